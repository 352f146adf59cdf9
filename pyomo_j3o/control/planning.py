"""One system's model, kept from minute to minute: loads go in, plans come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyomo_j3o.core.matrices import BoolArray, FloatArray
from pyomo_j3o.interface.persistent import PersistentJ3O
from pyomo_j3o.library.data import InferenceData, Option
from pyomo_j3o.library.hierarchical import build_model


@dataclass(frozen=True, eq=False)
class Plan:
    """What is placed where, and who answers.

    Attributes
    ----------
    placement : (variables,) bool
        In the order of ``place.x`` of the model.
    shares : (options,)
        In the order of ``route.y``.
    accuracy : float
        Mean accuracy at the loads that the plan was made for, without any price.
    bound : float
        Proven: at these loads no plan has a higher accuracy, less the price of moves if there was one.
    """

    placement: BoolArray
    shares: FloatArray
    accuracy: float
    bound: float


class Planner:
    """The model of one policy, its solver, and the plan in force.

    Queries may be dropped, so that there is a plan for any loads.

    Parameters
    ----------
    data
        The system.
    options
        Of j3o, for every solve, such as a time limit.
    """

    def __init__(self, data: InferenceData, options: Mapping[str, Any]) -> None:
        self._model = build_model(data, droppable=True, mutable=True)
        self._solver = _solver(options)
        self._places = list(self._model.place.x.values())
        self._routes = list(self._model.route.y.values())
        self._asked = [(data.clients.index(i), data.tasks.index(t)) for i, t in self._model.loads]
        #: The plan in force: of nothing, at first.
        self.plan = Plan(
            np.zeros(len(self._places), dtype=bool), np.zeros(len(self._routes)), 0.0, float("inf")
        )

    @property
    def options(self) -> list[Option]:
        """The ways to answer, in the order of the shares."""
        return list(self._model.route.y)

    def place(self, loads: FloatArray, start: Plan | None = None, price: float = 0.0, **options: Any) -> Plan:
        """Return a plan for these loads, with a placement of its own; the plan in force if none is found.

        Parameters
        ----------
        loads
            (I, tasks), queries/s.
        start
            A plan for these loads to begin with; the result is no worse.
        price
            Of every placed model that is not in the plan in force, and the other way round, in mean accuracy.
        **options
            Of j3o, for this solve.
        """
        self._set(loads)
        held = self.plan if start is None else start
        for variable, number in zip(self._places, held.placement.tolist(), strict=True):
            variable.set_value(int(number))
        for variable, number in zip(self._routes, held.shares.tolist(), strict=True):
            variable.set_value(number, skip_validation=True)
        return self._solve(move_cost=price, warm_start=start is not None, **options)

    def route(self, loads: FloatArray, placement: BoolArray) -> Plan:
        """Return the best plan for these loads with this placement: an LP, if no server has a window."""
        self._set(loads)
        for variable, number in zip(self._places, placement.tolist(), strict=True):
            variable.fix(int(number))
        try:
            return self._solve()
        finally:
            for variable in self._places:
                variable.unfix()

    def _set(self, loads: FloatArray) -> None:
        for key, at in zip(self._model.loads, self._asked, strict=True):
            self._model.loads[key] = float(loads[at])

    def _solve(self, **options: Any) -> Plan:
        results = self._solver.solve(self._model, load_solutions=False, **options)
        if results.termination_condition.name == "interrupted":
            raise KeyboardInterrupt
        if results.incumbent_objective is None:
            return self.plan
        results.solution_loader.load_vars()
        own = results.extra_info.objective_without_moves
        return Plan(
            np.array([variable.value > 0.5 for variable in self._places], dtype=bool),
            np.array([variable.value for variable in self._routes], dtype=float),
            float(results.incumbent_objective if own is None else own),
            float(results.objective_bound),
        )


def _solver(options: Mapping[str, Any]) -> Any:
    """Return the solver of a planner, which is asked for one model again and again."""
    return PersistentJ3O(raise_exception_on_nonoptimal_result=False, **options)
