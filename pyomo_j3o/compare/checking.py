"""Put a plan to the test on a fresh copy of the model that no solver has touched."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from pyomo.common.numeric_types import value
from pyomo.core.base.block import Block, BlockData
from pyomo.core.base.constraint import Constraint
from pyomo.core.base.objective import Objective, maximize
from pyomo.core.base.sos import SOSConstraint
from pyomo.core.base.var import Var

from pyomo_j3o.compare.records import CompareError, Instance

#: What a referee cannot put to the test.
_STRANGE = ("LogicalConstraint", "Disjunct", "Disjunction", "Complementarity")


class Referee:
    """Keeps the model as it was built, and checks every plan on a fresh copy of it.

    Parameters
    ----------
    model
        Stays as it is: `copy` hands out copies.
    name, size, seed
        Of the instance.

    Raises
    ------
    CompareError
        If the model has not exactly one active objective, or something that cannot be checked.
    """

    def __init__(self, model: BlockData, name: str, size: str, seed: int) -> None:
        self._model = model
        objectives = list(model.component_data_objects(Objective, active=True, descend_into=Block))
        if len(objectives) != 1:
            raise CompareError(f"{name}: {len(objectives)} objectives are active; one is needed")
        strange = {c.ctype.__name__ for c in model.component_objects(active=True)} & set(_STRANGE)
        if strange:
            raise CompareError(
                f"{name}: its {' and '.join(sorted(strange))} cannot be checked here; "
                "write constraints instead"
            )
        objective = objectives[0]
        variables = list(_variables(model))
        self.instance = Instance(
            name,
            size,
            seed,
            1 if objective.sense == maximize else -1,
            len(variables),
            sum(variable.is_integer() for variable in variables),
            sum(1 for _ in _rows(model)),
        )
        bodies = [objective.expr, *(row.body for row in _rows(model))]
        #: Whether the objective and all rows are linear.
        self.linear = all(
            not hasattr(body, "polynomial_degree") or body.polynomial_degree() in (0, 1) for body in bodies
        )

    def copy(self) -> BlockData:
        """Return a fresh copy of the model, for a solver to work on."""
        return self._model.clone()

    def check(
        self, solved: BlockData, claimed: float | None, tolerance: float
    ) -> tuple[float | None, tuple[str, ...]]:
        """Take the values from a solved model and check them.

        Parameters
        ----------
        solved
            Holds the plan.
        claimed
            The objective that the solver gives for it, if it gives one.
        tolerance
            Relative to ``max(1, |side|)``.

        Returns
        -------
        tuple
            The objective, computed here (None if it cannot be), and what is wrong.
        """
        fresh = self.copy()
        found = {variable.name: variable.value for variable in _variables(solved)}
        for variable in _variables(fresh):
            if not variable.fixed:  # what the model fixes is no solver's to decide
                variable.set_value(found.get(variable.name), skip_validation=True)
        complaints = [*_worst(_bad_values(fresh, tolerance)), *_worst(_broken_rows(fresh, tolerance))]
        complaints += _worst(_broken_sets(fresh, tolerance))
        goal = next(fresh.component_data_objects(Objective, active=True))
        objective = _evaluate(goal.expr)
        if objective is None:
            complaints.append(f"objective '{goal.name}' has a variable without a value")
        elif claimed is not None and not abs(claimed - objective) <= tolerance * max(1.0, abs(objective)):
            complaints.append(f"its objective is {objective:.8g}, not {claimed:.8g} as the solver says")
        return objective, tuple(complaints)


def _variables(model: BlockData) -> Iterator[Any]:
    yield from model.component_data_objects(Var, descend_into=Block)


def _rows(model: BlockData) -> Iterator[Any]:
    yield from model.component_data_objects(Constraint, active=True, descend_into=Block)


def _bad_values(model: BlockData, tolerance: float) -> Iterator[tuple[float, str]]:
    for variable in _variables(model):
        held = variable.value
        if held is None or variable.fixed:
            continue  # a missing value is told of by the rows and the objective that need it
        if not math.isfinite(held):
            yield math.inf, f"'{variable.name}' is {held}"
            continue
        if variable.is_integer() and not abs(held - round(held)) <= tolerance:
            yield abs(held - round(held)), f"'{variable.name}' is {held:.8g}, which is no whole number"
        lower, upper = variable.bounds
        missed = _missed(held, lower, upper, tolerance)
        if missed:
            yield missed, f"'{variable.name}' is {held:.8g}, outside its bounds"


def _broken_rows(model: BlockData, tolerance: float) -> Iterator[tuple[float, str]]:
    for row in _rows(model):
        body = _evaluate(row.body)
        if body is None:
            yield math.inf, f"constraint '{row.name}' has a variable without a value"
            continue
        missed = _missed(body, value(row.lower), value(row.upper), tolerance)
        if missed:
            yield missed, f"constraint '{row.name}' is missed by {missed:.2g}"


def _broken_sets(model: BlockData, tolerance: float) -> Iterator[tuple[float, str]]:
    for one in model.component_data_objects(SOSConstraint, active=True, descend_into=Block):
        members = [variable.value for variable, _ in sorted(one.get_items(), key=lambda item: value(item[1]))]
        if None in members:
            yield math.inf, f"special ordered set '{one.name}' has a variable without a value"
            continue
        # Some neighbours, as many as the level says, may be other than 0.
        best = math.inf
        for start in range(max(1, len(members) - one.level + 1)):
            rest = members[:start] + members[start + one.level :]
            best = min(best, max((abs(held) for held in rest), default=0.0))
        if best > tolerance:
            yield best, f"special ordered set '{one.name}' is missed by {best:.2g}"


def _evaluate(expression: Any) -> float | None:
    try:
        return float(value(expression))
    except (ValueError, TypeError, ArithmeticError):
        return None


def _missed(held: float, lower: float | None, upper: float | None, tolerance: float) -> float:
    """Return by how much a value lies outside its sides, 0 if within the tolerance."""
    worst = 0.0
    for side, sign in ((lower, 1.0), (upper, -1.0)):
        # Written so that a NaN is a miss.
        if side is not None and not sign * (side - held) <= tolerance * max(1.0, abs(side)):
            worst = max(worst, abs(side - held)) or math.inf
    return worst


def _worst(found: Iterable[tuple[float, str]]) -> list[str]:
    """Return the worst finding, with the number of the others."""
    everything = sorted(found, key=lambda pair: -pair[0])
    if not everything:
        return []
    others = f" (and {len(everything) - 1} more)" if len(everything) > 1 else ""
    return [everything[0][1] + others]
