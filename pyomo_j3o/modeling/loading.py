"""Values of a plan on the way back into the user's variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pyomo.common.collections import ComponentMap
from pyomo.contrib.solver.common.solution_loader import NoSolutionSolutionLoader, SolutionLoader
from pyomo.contrib.solver.common.util import (
    NoDualsError,
    NoReducedCostsError,
    NoSolutionError,
)
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.base.var import VarData
from pyomo.core.staleflag import StaleFlagManager

from pyomo_j3o.core.problem import (
    OBJECTIVE,
    BoolArray,
    FloatArray,
    Problem,
)
from pyomo_j3o.modeling.inverse import Inverse


class J3OSolutionLoader(SolutionLoader):
    """Carries the plan of one solve back to the model that it was compiled from.

    Parameters
    ----------
    problem
        The compiled arrays, products included.
    inverse
        The way back.
    x
        (N,).
    y
        (K,).
    duals
        (M,), of the routing LP with the placement fixed; None if it was not solved to its end.
    """

    def __init__(
        self, problem: Problem, inverse: Inverse, x: BoolArray, y: FloatArray, duals: FloatArray | None
    ) -> None:
        self._loaded = False
        self._pyomo_model = inverse.model
        self._problem = problem
        self._inverse = inverse
        self._x = x.astype(float)
        self._y = y
        self._duals = duals

    @property
    def loaded(self) -> bool:
        """Whether the variables of the model have got their values from here, all of them."""
        return self._loaded

    @property
    def compiled(self) -> tuple[Problem, Inverse, FloatArray, FloatArray, FloatArray | None]:
        """The arrays, the way back, x, y and the duals of the maximised problem."""
        return self._problem, self._inverse, self._x, self._y, self._duals

    def get_number_of_solutions(self) -> int:
        """Return 1: the incumbent."""
        return 1

    def load_vars(self, vars_to_load: Sequence[VarData] | None = None) -> None:
        """Give the variables, or only those named, their values; a fixed one keeps its own."""
        if vars_to_load is None:
            self._inverse.load(self._x, self._y)
            self._loaded = True
        else:
            _load(self.get_vars(vars_to_load))

    def get_vars(self, vars_to_load: Sequence[VarData] | None = None) -> Mapping[VarData, float]:
        """Return the values of the variables, or only of those named."""
        return _restricted(self._inverse.values(self._x, self._y), vars_to_load)

    def get_duals(self, cons_to_load: Sequence[ConstraintData] | None = None) -> dict[ConstraintData, float]:
        """Return the duals of the last LP, placement fixed: change of the objective per unit of a row's side.

        Rows over onloading variables alone have a dual of 0: they are not in that LP.
        """
        duals = self._inverse.duals(self._known_duals())
        if cons_to_load is None:
            return duals
        return {constraint: duals[constraint] for constraint in cons_to_load}

    def get_reduced_costs(self, vars_to_load: Sequence[VarData] | None = None) -> Mapping[VarData, float]:
        """Return the reduced costs of the last LP, those of the fixed onloading variables included."""
        onloading, offloading = _reduced_costs(self._problem, self._x, self._y, self._known_duals())
        return _restricted(self._inverse.reduced_costs(onloading, offloading), vars_to_load)

    def _known_duals(self) -> FloatArray:
        return np.zeros(self._problem.n_rows) if self._duals is None else self._duals

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Leave the model behind once it holds the plan: it may not pickle, and can be far larger."""
        if not self._loaded:
            return super().__reduce_ex__(protocol)
        found = (self.get_vars(), self.get_duals(), self.get_reduced_costs())
        return J3OPickledPlan, tuple({one.name: number for one, number in part.items()} for part in found)


class J3OPickledPlan(SolutionLoader):
    """The plan of a loaded solve after a pickle, without its model: values by the names of the components.

    Every method takes variables or constraints of any model whose names are those of the model solved, such
    as the original in the process that collects the results: ``load_vars(list(variables))`` loads them there.

    Parameters
    ----------
    values, duals, reduced_costs
        By name.
    """

    def __init__(
        self, values: dict[str, float], duals: dict[str, float], reduced_costs: dict[str, float]
    ) -> None:
        self._values = values
        self._duals = duals
        self._reduced_costs = reduced_costs

    def get_number_of_solutions(self) -> int:
        """Return 1: the incumbent."""
        return 1

    def load_vars(self, vars_to_load: Sequence[VarData] | None = None) -> None:
        """Give the variables named their values; a fixed one keeps its own."""
        _load(self.get_vars(vars_to_load))

    def get_vars(self, vars_to_load: Sequence[VarData] | None = None) -> Mapping[VarData, float]:
        """Return the values of the variables named."""
        return ComponentMap(_by_name(self._values, vars_to_load))

    def get_duals(self, cons_to_load: Sequence[ConstraintData] | None = None) -> dict[ConstraintData, float]:
        """Return the duals of the constraints named."""
        return dict(_by_name(self._duals, cons_to_load))

    def get_reduced_costs(self, vars_to_load: Sequence[VarData] | None = None) -> Mapping[VarData, float]:
        """Return the reduced costs of the variables named."""
        return ComponentMap(_by_name(self._reduced_costs, vars_to_load))

    def load_import_suffixes(self) -> None:
        """Raise: there is no model that they could belong to."""
        _by_name({}, None)


def _load(values: Mapping[VarData, float]) -> None:
    for variable, number in values.items():
        if not variable.fixed:
            variable.set_value(number, skip_validation=True)
    StaleFlagManager.mark_all_as_stale(delayed=True)


def _by_name(numbers: dict[str, float], components: Sequence[Any] | None) -> list[tuple[Any, float]]:
    if components is None:
        raise NoSolutionError(
            "The results were pickled without their model, which held the plan already; name the components "
            "to read, as in get_vars(list(model.component_data_objects(Var)))."
        )
    missing = [one.name for one in components if one.name not in numbers]
    if missing:
        raise NoSolutionError(
            f"The results hold no number of '{missing[0]}'; the model solved had none such."
        )
    return [(one, numbers[one.name]) for one in components]


class NoPlanLoader(NoSolutionSolutionLoader):
    """Says why there is nothing to load, after Pyomo's own words for it."""

    def __reduce__(self) -> Any:
        return NoPlanLoader, (None, self.err_msg)  # the model is of no use to it

    def get_vars(self, vars_to_load: Sequence[VarData] | None = None) -> Mapping[VarData, float]:
        """There are no values."""
        raise NoSolutionError(f"{NoSolutionError.default_message} {self.err_msg}")

    def get_duals(self, cons_to_load: Sequence[ConstraintData] | None = None) -> dict[ConstraintData, float]:
        """There are no duals."""
        raise NoDualsError(f"{NoDualsError.default_message} {self.err_msg}")

    def get_reduced_costs(self, vars_to_load: Sequence[VarData] | None = None) -> Mapping[VarData, float]:
        """There are no reduced costs."""
        raise NoReducedCostsError(f"{NoReducedCostsError.default_message} {self.err_msg}")


def _restricted(values: ComponentMap, wanted: Sequence[VarData] | None) -> ComponentMap:
    return values if wanted is None else ComponentMap((variable, values[variable]) for variable in wanted)


def _reduced_costs(
    problem: Problem, x: FloatArray, y: FloatArray, duals: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the change of the Lagrangian per unit of each x and y."""
    onloading = problem.onloading_objective - problem.onloading_rows.T @ duals
    offloading = problem.offloading_objective - problem.offloading_rows.T @ duals
    terms = problem.products
    if len(terms):
        weight = terms.coefficient * np.where(terms.row == OBJECTIVE, 1.0, -np.append(duals, 0.0)[terms.row])
        onloading = onloading + np.bincount(
            terms.onloading, weight * y[terms.offloading], minlength=problem.n_onloading
        )
        offloading = offloading + np.bincount(
            terms.offloading, weight * x[terms.onloading], minlength=problem.n_offloading
        )
    return np.asarray(onloading), np.asarray(offloading)
