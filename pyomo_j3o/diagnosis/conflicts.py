"""Why a problem has no plan: the conflicts of each independent part, in the numbers of the whole problem."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Problem
from pyomo_j3o.core.whole_numbers import in_whole_numbers
from pyomo_j3o.diagnosis.iis import Search
from pyomo_j3o.diagnosis.params import ConflictParams
from pyomo_j3o.diagnosis.subsystems import NOBODY, Growth, InfeasibleSubsystem, Telling
from pyomo_j3o.diagnosis.system import BOUND, Side, System
from pyomo_j3o.presolve.decomposing import Part, split
from pyomo_j3o.presolve.linearize import Linearized, linearize
from pyomo_j3o.presolve.scaling import Scaling, scale_rows

#: Figures that come from a few multiplications are off by no more than this fraction of them.
_ROUNDING = 2.0**-49


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of the conflicts of a problem.

    Attributes
    ----------
    feasible : bool or None
        None if time ended before a plan or a conflict was found.
    conflicts : tuple of InfeasibleSubsystem
        Each in the problem in which those before it are relieved.
    complete : bool
        Whether the problem has a plan once these are relieved.
    bounds_given : bool
        Whether bounds that rows imply of a y in a product count as given, as it has none of its own.
    interrupted : bool
        Whether Ctrl-C ended the search.
    """

    feasible: bool | None
    conflicts: tuple[InfeasibleSubsystem, ...] = ()
    complete: bool = True
    bounds_given: bool = False
    interrupted: bool = False


def find_conflicts(
    problem: Problem,
    time_limit: float = np.inf,
    most: int = 5,
    details: bool = True,
    families: IntArray | None = None,
    params: ConflictParams = ConflictParams(),
    tell: Telling = NOBODY,
) -> Finding:
    """Find out why a problem has no plan.

    Every independent part is searched for irreducible infeasible subsystems (IIS): rows and bounds that no
    plan satisfies together, none of which can be left out. `iis` says how. Three things count as given: x is
    0 or 1, y is not negative, and the rows that linearise a product hold.

    Parameters
    ----------
    problem
        With or without products.
    time_limit
        In seconds.
    most
        The largest number of conflicts to look for.
    details
        Whether to look for ties, too, and among several sets of rows for the smallest.
    families
        (M + N + K,): of rows, x and y, the number of the component that each belongs to. A row that is the
        only one of its component in a conflict is asked first how far it has to give way.
    params
        Which sets are looked at, and for how long.
    tell
        Takes what is known by now.

    Raises
    ------
    UnboundedProductError
        If the products cannot be linearised.
    """
    deadline = Deadline(time_limit)
    crossed = _crossed_bounds(problem)
    if crossed:
        return Finding(False, tuple(crossed[:most]), complete=False)
    linearized = linearize(problem)
    counted, inwards = _counted(linearized.problem)
    scaled = scale_rows(counted.problem)
    factors = counted.row * scaled.row
    given = _given_bounds(linearized)
    conflicts: list[InfeasibleSubsystem] = []
    unknown, complete, interrupted = False, True, False
    whole = split(scaled.problem)
    for part in whole.parts:
        columns = whole.columns(part)
        system = System.of(part.problem, part.rows >= problem.n_rows, given[columns])
        if not system.n_columns and not len(part.rows):
            continue
        of_members = _families_of_members(system, part, columns, problem, families)
        in_whole = partial(_side_in_whole, rows=part.rows, columns=columns)
        search = Search(system, deadline, details, of_members, params, tell.of_part(in_whole))
        if len(conflicts) < most:
            search.run(most - len(conflicts))
        elif complete:
            # Whether there are more is one question: not for the details.
            search.ask()
        unknown = unknown or search.unknown
        complete = complete and search.complete
        conflicts += [
            _in_whole(conflict, part.rows, columns, factors, inwards) for conflict in search.conflicts
        ]
        if search.interrupted:
            interrupted, complete = True, False
            break
    feasible = False if conflicts else True if complete and not unknown else None
    implied = bool(conflicts) and _has_implied_bounds(problem)
    return Finding(feasible, tuple(conflicts), complete, implied, interrupted)


def _families_of_members(
    system: System, part: Part, columns: IntArray, problem: Problem, families: IntArray | None
) -> IntArray:
    """Return the number of the component that each member of a part belongs to, (S,)."""
    if families is None:
        return system.everything()
    of_rows, of_columns = families[: problem.n_rows], families[problem.n_rows :]
    bound = system.kind == BOUND
    of_members = np.zeros(len(bound), dtype=np.int64)
    of_members[bound] = of_columns[columns[system.index[bound]]]
    of_members[~bound] = of_rows[part.rows[system.index[~bound]]]
    return of_members


def _has_implied_bounds(problem: Problem) -> bool:
    """Whether a y in a product lacks a bound of its own, so that rows imply one."""
    lower, upper = problem.offloading_lower, problem.offloading_upper
    in_products = np.zeros(problem.n_offloading, dtype=bool)
    in_products[problem.products.offloading] = True
    return bool(np.any(in_products & ~(np.isfinite(lower) & np.isfinite(upper))))


def _crossed_bounds(problem: Problem) -> list[InfeasibleSubsystem]:
    """Return one conflict per row or variable whose sides leave no value between them."""
    lower = np.concatenate([problem.row_lower, problem.onloading_lower, problem.offloading_lower])
    upper = np.concatenate([problem.row_upper, problem.onloading_upper, problem.offloading_upper])
    found = []
    for i in np.flatnonzero(lower > upper):
        row, column = (int(i), -1) if i < problem.n_rows else (-1, int(i) - problem.n_rows)
        sides = tuple(Side(row, column, up) for up in (False, True))
        growth = Growth(float(lower[i] - upper[i]), float(lower[i] - upper[i]))
        found.append(InfeasibleSubsystem(sides, (), True, True, (growth, growth), (0.0, growth.amount)))
    return found


def _counted(problem: Problem) -> tuple[Scaling, FloatArray]:
    """Return the problem with rows in whole numbers counted in their units.

    Where no multiple lies between the sides of a row, they stay where they are.

    Returns
    -------
    Scaling
    moved : (2, M)
        By how much the lower and the upper side of each row moved inwards, in the user's numbers.
    """
    counted, factors, crossed = in_whole_numbers(problem)
    lower, upper = counted.row_lower.copy(), counted.row_upper.copy()
    lower[crossed] = (problem.row_lower * factors)[crossed]
    upper[crossed] = (problem.row_upper * factors)[crossed]
    with np.errstate(invalid="ignore"):
        moved = np.stack([lower / factors - problem.row_lower, problem.row_upper - upper / factors])
    moved = np.where(np.isfinite(moved), np.maximum(moved, 0.0), 0.0)
    counted = replace(counted, row_lower=lower, row_upper=upper)
    return Scaling(counted, factors, np.ones(problem.n_offloading)), moved


def _given_bounds(linearized: Linearized) -> BoolArray:
    """Return which columns of the linear problem have bounds that products rest on, (N + K',)."""
    original, n_x = linearized.original, linearized.original.n_onloading
    given = np.zeros(n_x + linearized.problem.n_offloading, dtype=bool)
    given[n_x : n_x + original.n_offloading] = linearized.gate >= 0
    given[n_x + linearized.pair_y] = True
    given[n_x + original.n_offloading :] = True
    return given


def _side_in_whole(side: Side, rows: IntArray, columns: IntArray) -> Side:
    """Return a side of a part in the numbers of the whole problem."""
    if side.row >= 0:
        return replace(side, row=int(rows[side.row]))
    return replace(side, column=int(columns[side.column]))


def _in_whole(
    conflict: InfeasibleSubsystem, rows: IntArray, columns: IntArray, factors: FloatArray, inwards: FloatArray
) -> InfeasibleSubsystem:
    """Return a conflict of a part in the numbers and units of the whole problem."""
    sides = tuple(_side_in_whole(side, rows, columns) for side in conflict.sides)
    unit = [1.0 / factors[side.row] if side.row >= 0 else 1.0 for side in sides]
    # The side had moved inwards by so much before it was asked how far it has to give way.
    before = [inwards[int(side.upper), side.row] if side.row >= 0 else 0.0 for side in sides]

    def own(amount: float, u: float, ahead: float) -> float:
        return max(_difference(amount * u, ahead), 0.0)

    return replace(
        conflict,
        sides=sides,
        ties=tuple(_side_in_whole(side, rows, columns) for side in conflict.ties),
        alone=tuple(
            None if growth is None else Growth(own(growth.amount, u, ahead), own(growth.least, u, ahead))
            for growth, u, ahead in zip(conflict.alone, unit, before, strict=True)
        ),
        together=tuple(
            own(slack, u, ahead) for slack, u, ahead in zip(conflict.together, unit, before, strict=False)
        ),
    )


def _difference(one: float, other: float) -> float:
    """Return a difference without the digits that are rounding in both: of whole numbers, a whole number."""
    noise = _ROUNDING * max(abs(one), abs(other))
    if not 0.0 < noise < np.inf:
        return one - other
    return round(one - other, -math.ceil(math.log10(noise)))
