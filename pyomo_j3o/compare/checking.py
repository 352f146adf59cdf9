"""Put a plan to the test on a fresh model that no solver has touched."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from pyomo.common.numeric_types import value
from pyomo.core.base.block import Block, BlockData
from pyomo.core.base.constraint import Constraint
from pyomo.core.base.objective import Objective, ObjectiveData
from pyomo.core.base.var import Var

from pyomo_j3o.compare.records import CompareError, Instance

#: What a referee cannot put to the test.
_STRANGE = ("SOSConstraint", "LogicalConstraint", "Disjunct", "Disjunction", "Complementarity")


class Referee:
    """Keeps a model of its own, and checks plans on it.

    Parameters
    ----------
    model
        Built as the solvers' models are, and given to none of them.
    name, size, seed
        Of the instance.

    Raises
    ------
    CompareError
        If the model has not exactly one active objective, or something that cannot be checked.
    """

    def __init__(self, model: BlockData, name: str, size: str, seed: int) -> None:
        self._model = model
        objectives = list(model.component_data_objects(Objective, active=True, descend_into=True))
        if len(objectives) != 1:
            raise CompareError(f"{name}: {len(objectives)} objectives are active; one is needed")
        strange = {c.ctype.__name__ for c in model.component_objects(active=True)} & set(_STRANGE)
        if strange:
            raise CompareError(
                f"{name}: its {' and '.join(sorted(strange))} cannot be checked here; write constraints instead"
            )
        self._objective: ObjectiveData = objectives[0]
        variables = list(_variables(model))
        self.instance = Instance(
            name,
            size,
            seed,
            1 if self._objective.sense == -1 else -1,  # Pyomo's maximize is -1
            len(variables),
            sum(variable.is_integer() for variable in variables),
            sum(1 for _ in model.component_data_objects(Constraint, active=True, descend_into=True)),
        )

    def linear(self) -> bool:
        """Return whether the objective and all rows are linear."""
        rows = self._model.component_data_objects(Constraint, active=True, descend_into=True)
        bodies = [self._objective.expr, *(row.body for row in rows)]
        return all(
            not hasattr(body, "polynomial_degree") or body.polynomial_degree() in (0, 1) for body in bodies
        )

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
        self._take_values(solved)
        complaints = [*_first_of(self._bad_values(tolerance)), *_first_of(self._broken_rows(tolerance))]
        objective = _evaluate(self._objective.expr)
        if objective is None:
            complaints.append(f"objective '{self._objective.name}' has a variable without a value")
        elif claimed is not None and not abs(claimed - objective) <= tolerance * max(1.0, abs(objective)):
            complaints.append(f"its objective is {objective:.8g}, not {claimed:.8g} as the solver says")
        return objective, tuple(complaints)

    def _take_values(self, solved: BlockData) -> None:
        ours = list(self._model.component_objects(Var, descend_into=True))
        theirs = list(solved.component_objects(Var, descend_into=True))
        if [(v.name, list(v.keys())) for v in ours] != [(v.name, list(v.keys())) for v in theirs]:
            raise CompareError(
                f"{self.instance.name}: two models built one after the other have different variables; seed what "
                "is random in it"
            )
        for mine, other in zip(ours, theirs, strict=True):
            for index, variable in mine.items():
                if not variable.fixed:
                    variable.set_value(other[index].value, skip_validation=True)

    def _bad_values(self, tolerance: float) -> Iterator[tuple[float, str]]:
        for variable in _variables(self._model):
            held = variable.value
            if held is None or variable.fixed:
                continue  # what no row and no objective reads has no value; what is fixed was not decided
            if not math.isfinite(held):
                yield math.inf, f"'{variable.name}' is {held}"
                continue
            if variable.is_integer() and not abs(held - round(held)) <= tolerance:
                yield abs(held - round(held)), f"'{variable.name}' is {held:.8g}, which is no whole number"
            missed = _missed(held, *variable.bounds, tolerance)
            if missed:
                yield missed, f"'{variable.name}' is {held:.8g}, outside its bounds"

    def _broken_rows(self, tolerance: float) -> Iterator[tuple[float, str]]:
        for row in self._model.component_data_objects(Constraint, active=True, descend_into=True):
            body = _evaluate(row.body)
            if body is None:
                yield math.inf, f"constraint '{row.name}' has a variable without a value"
                continue
            missed = _missed(body, value(row.lower), value(row.upper), tolerance)
            if missed:
                yield missed, f"constraint '{row.name}' is missed by {missed:.2g}"


def _variables(model: BlockData) -> Iterable[Any]:
    return model.component_data_objects(Var, descend_into=Block)


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


def _first_of(found: Iterable[tuple[float, str]]) -> list[str]:
    """Return the worst finding, with the number of the others."""
    everything = sorted(found, key=lambda pair: -pair[0])
    if not everything:
        return []
    others = f" (and {len(everything) - 1} more)" if len(everything) > 1 else ""
    return [everything[0][1] + others]
