"""One system's model, kept from minute to minute: loads go in, plans come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pyomo_j3o.control.delivery import Delivery
from pyomo_j3o.control.loads import require_loads
from pyomo_j3o.core.matrices import BoolArray, FloatArray, read_only
from pyomo_j3o.core.problem import TOLERANCE
from pyomo_j3o.interface.persistent import PersistentJ3O
from pyomo_j3o.library.data import InferenceData, Option
from pyomo_j3o.library.hierarchical import build_model


@dataclass(frozen=True, eq=False)
class Plan:
    """What is placed where, and who answers; its arrays are read-only copies.

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
    loads : (I, tasks) or None
        These loads, queries/s; None if there are none.
    """

    placement: BoolArray
    shares: FloatArray
    accuracy: float
    bound: float
    loads: FloatArray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "placement", read_only(np.array(self.placement, dtype=bool)))
        object.__setattr__(self, "shares", read_only(np.array(self.shares, dtype=float)))
        if self.loads is not None:
            object.__setattr__(self, "loads", read_only(np.array(self.loads, dtype=float)))

    def is_for(self, loads: FloatArray) -> bool:
        """Return whether accuracy and bound are those at these loads."""
        return self.loads is not None and np.array_equal(self.loads, loads)


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
        self._data = data
        self._model = build_model(data, droppable=True, mutable=True)
        self._solver = _solver(options)
        self._places = list(self._model.place.x.values())
        self._routes = list(self._model.route.y.values())
        self._asked = [(data.clients.index(i), data.tasks.index(t)) for i, t in self._model.loads]
        at = {key: number for number, key in enumerate(self._model.place.x)}
        self._opener = np.array([at.get(option[2:], -1) for option in self.options], dtype=np.int64)
        group = {demand: number for number, demand in enumerate(dict.fromkeys(h[:2] for h in self.options))}
        self._group = np.array([group[option[:2]] for option in self.options], dtype=np.int64)
        #: What plans deliver at loads that they were not made for.
        self.delivery = Delivery(data, self.options)
        #: The plan in force: of nothing, at first; see `in_force`.
        self.plan = Plan(
            np.zeros(len(self._places), dtype=bool), np.zeros(len(self._routes)), 0.0, float("inf")
        )

    @property
    def in_force(self) -> bool:
        """Whether a plan has been decided on: before minute 0 nothing is placed, and nothing can move."""
        return self.plan.loads is not None

    @property
    def options(self) -> list[Option]:
        """The ways to answer, in the order of the shares."""
        return list(self._model.route.y)

    def place(self, loads: FloatArray, start: Plan | None = None, price: float = 0.0, **options: Any) -> Plan:
        """Return a plan for these loads, with a placement of its own.

        If none is found, it is the plan in force, with what it delivers and what is proven at these loads.

        Parameters
        ----------
        loads
            (I, tasks), queries/s.
        start
            A plan for these loads to begin with; the result is no worse.
        price
            Of every move, in mean accuracy at these loads: of every placed model that is not in the plan in
            force, and the other way round. While no plan is in force, no price is charged.
        **options
            Of j3o, for this solve.

        Raises
        ------
        ValueError
            If the loads have another shape, if one is no finite number of at least 0, or if all are 0.
        """
        self._set(loads)
        if not self.in_force:
            price = 0.0
        begun = start if start is not None and (price == 0 or self._moves(start) == 0) else None
        # Moves are counted from what the variables hold.
        self._hold(self.plan if begun is None else begun)
        found = self._solve(loads, move_cost=price, warm_start=begun is not None, **options)
        if start is None:
            return found
        worth = found.accuracy - price * self._moves(found)
        least = start.accuracy - price * self._moves(start)
        return found if worth >= least else replace(start, bound=max(found.bound, least), loads=loads)

    def route(self, loads: FloatArray, placement: BoolArray) -> Plan:
        """Return the best plan for these loads with this placement: an LP, if no server has a window."""
        self._set(loads)
        for variable, number in zip(self._places, placement.tolist(), strict=True):
            variable.fix(int(number))
        try:
            return self._solve(loads)
        finally:
            for variable in self._places:
                variable.unfix()

    def refusal(self, plan: Any) -> str:
        """Return why something is no plan of this system; empty if it is one."""
        if not isinstance(plan, Plan):
            return f"{plan!r} is no plan; return what planner.place or planner.route returns, or planner.plan"
        n, k = len(self._places), len(self._routes)
        if plan.placement.shape != (n,) or plan.shares.shape != (k,):
            return f"its plan has other shapes than a placement of {n} variables and {k} shares"
        shares = plan.shares
        if not ((shares >= -TOLERANCE) & (shares <= 1 + TOLERANCE)).all():
            return "its plan has a share that is no number from 0 to 1"
        if (np.bincount(self._group, shares, minlength=1) > 1 + 2 * TOLERANCE).any():
            return "its plan answers more than all queries of a client and task"
        closed = (self._opener >= 0) & ~np.append(plan.placement, True)[self._opener]
        if (shares[closed] > TOLERANCE).any():
            return "its plan routes queries to a model that it does not place"
        return ""

    def _moves(self, plan: Plan) -> int:
        """Return how many onloading variables a plan has otherwise than the plan in force."""
        return int((plan.placement != self.plan.placement).sum())

    def _hold(self, plan: Plan) -> None:
        for variable, number in zip(self._places, plan.placement.tolist(), strict=True):
            variable.set_value(int(number))
        for variable, number in zip(self._routes, plan.shares.tolist(), strict=True):
            variable.set_value(number, skip_validation=True)

    def _set(self, loads: FloatArray) -> None:
        require_loads(self._data, loads)
        for key, at in zip(self._model.loads, self._asked, strict=True):
            self._model.loads[key] = float(loads[at])

    def _solve(self, loads: FloatArray, **options: Any) -> Plan:
        results = self._solver.solve(self._model, load_solutions=False, **options)
        if results.termination_condition.name == "interrupted":
            raise KeyboardInterrupt
        proven = results.objective_bound
        bound = self.delivery.most(loads) if proven is None else min(proven, self.delivery.most(loads))
        if results.incumbent_objective is None:
            delivered = self.delivery.of(loads, self.plan.shares).accuracy
            return replace(self.plan, accuracy=delivered, bound=bound, loads=loads)
        results.solution_loader.load_vars()
        own = results.extra_info.objective_without_moves
        return Plan(
            np.array([variable.value > 0.5 for variable in self._places], dtype=bool),
            np.array([variable.value for variable in self._routes], dtype=float),
            float(results.incumbent_objective if own is None else own),
            bound,
            loads,
        )


def _solver(options: Mapping[str, Any]) -> Any:
    """Return the solver of a planner, which is asked for one model again and again."""
    return PersistentJ3O(raise_exception_on_nonoptimal_result=False, **options)
