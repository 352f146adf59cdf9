"""How far rows that the user names have to move to leave a plan: from the model's components, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from pyomo.core.base.constraint import ConstraintData

from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.log import counted
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Problem, activities
from pyomo_j3o.diagnosis.movable import Sides
from pyomo_j3o.diagnosis.relaxed_rows import MARGIN, RelaxedRow, RelaxedRows
from pyomo_j3o.diagnosis.relaxing import Moved, least_move
from pyomo_j3o.errors import ModelError
from pyomo_j3o.lp import LPStatus
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.modeling.naming import the_model

#: A share below this is rounding.
_ROUNDING = 1e-7


def sides_of(problem: Problem, inverse: Inverse, wanted: Sequence[ConstraintData]) -> tuple[Sides, list[str]]:
    """Return the sides of the rows asked for that are not 0 as written, and notes on what is left out.

    Parameters
    ----------
    problem, inverse
        As compiled.
    wanted
        The constraints asked for.

    Raises
    ------
    ModelError
        One of them is no row of the model, or all sides are 0.
    """
    number = {id(constraint): r for r, constraint in enumerate(inverse.rows)}
    constant = {id(constraint) for constraint in inverse.constant_rows}
    for constraint in wanted:
        if id(constraint) not in number and id(constraint) not in constant:
            raise ModelError(
                f"relax names '{constraint.name}', which is no active row of {the_model(inverse.model)}; "
                "name active constraints of it"
            )
    rows = np.array(sorted(number[id(c)] for c in wanted if id(c) in number), dtype=np.int64)
    both = np.concatenate([rows, rows])
    upper = np.repeat([False, True], len(rows))
    there = np.isfinite(np.where(upper, problem.row_upper[both], problem.row_lower[both]))
    side = np.where(there, _written(inverse, both, upper), np.inf)
    moves = there & (side != 0)
    if not moves.any():
        raise ModelError(
            "relax names only rows with a side of 0, which no factor changes; name rows with a "
            "budget alone on one side, such as sum(flows) <= 120"
        )
    notes = []
    still = len(np.unique(both[side == 0]))
    if still:
        notes.append(f"{counted(still, 'side')} of 0 stayed as {'it is' if still == 1 else 'they are'}.")
    idle = sum(id(c) in constant for c in wanted)
    if idle:
        notes.append(f"{counted(idle, 'row')} of constants alone did not count.")
    order = np.lexsort((upper[moves], both[moves]))
    return Sides(both[moves][order], upper[moves][order], np.abs(side[moves][order])), notes


def _written(inverse: Inverse, row: IntArray, upper: BoolArray) -> FloatArray:
    """Return sides of rows as the user wrote them, (S,); infinite where there is none.

    What is constant in the body stays there, as it does for ``constraint.body <= side``.
    """
    rows = [inverse.rows[r] for r in row.tolist()]
    given = [r.ub if up else r.lb for r, up in zip(rows, upper.tolist(), strict=True)]
    return np.array([np.inf if side is None else float(side) for side in given])


def relax_rows(
    problem: Problem,
    inverse: Inverse,
    wanted: Sequence[ConstraintData],
    together: bool,
    deadline: Deadline,
    say: Callable[[str], None],
) -> RelaxedRows:
    """Return how far the rows asked for have to move to leave a plan.

    Parameters
    ----------
    problem, inverse
        As compiled.
    wanted
        The constraints asked for.
    together
        Whether all move by one share.
    deadline
        When to end.
    say
        Takes lines on what is known by now.

    Raises
    ------
    ModelError
        One of the constraints is no row of the model, or all sides are 0.
    UnboundedProductError
        The products cannot be linearised.
    BackendError
        HiGHS failed.
    """
    sides, notes = sides_of(problem, inverse, wanted)
    moved = least_move(problem, sides, together, deadline, say)
    of_model = (inverse.model.name, together)
    at_least = moved.least
    if np.isfinite(at_least):
        at_least = max(at_least - MARGIN * (1 + at_least), 0.0)
    if moved.status is LPStatus.INFEASIBLE:
        return RelaxedRows(*of_model, False, False, at_least=np.inf, notes=tuple(notes))
    if moved.status is not LPStatus.OPTIMAL:
        feasible = False if at_least > 0 else None
        return RelaxedRows(
            *of_model, feasible, None, at_least=at_least, interrupted=moved.interrupted, notes=tuple(notes)
        )
    share = np.where(moved.share > _ROUNDING, moved.share + MARGIN * (1 + moved.share), 0.0)
    feasible = not share.any()
    answer = RelaxedRows(
        *of_model,
        # That the move is above 0 does not prove that none is needed.
        True if feasible else False if at_least > 0 else None,
        True,
        _rows(problem, inverse, sides, moved, share),
        float(share.max(initial=0.0) if together else share.sum()),
        0.0 if feasible else at_least,
        moved.interrupted,
        notes=tuple(notes),
        plan=(inverse, np.rint(moved.x), moved.y),
    )
    return answer if not feasible else replace(answer, interrupted=False)


def _rows(
    problem: Problem, inverse: Inverse, sides: Sides, moved: Moved, share: FloatArray
) -> tuple[RelaxedRow, ...]:
    """Return the sides in the user's components and units."""
    now = _written(inverse, sides.row, sides.upper)
    # What is constant in the body has been taken from the sides of the arrays.
    constant = now - np.where(sides.upper, problem.row_upper[sides.row], problem.row_lower[sides.row])
    used = activities(problem, np.rint(moved.x), moved.y)[sides.row] + constant
    enough = now + np.where(sides.upper, 1.0, -1.0) * share * sides.size
    return tuple(
        RelaxedRow(inverse.rows[row].name, inverse.rows[row], "<=" if up else ">=", *figures)
        for row, up, *figures in zip(
            sides.row.tolist(),
            sides.upper.tolist(),
            now.tolist(),
            enough.tolist(),
            used.tolist(),
            strict=True,
        )
    )
