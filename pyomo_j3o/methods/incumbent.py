"""The best plan of the exact method: checked, routed anew, and held against the user's rows."""

from __future__ import annotations

import numpy as np

from pyomo_j3o.core.problem import BoolArray, FloatArray, Plan, Problem, evaluate
from pyomo_j3o.core.results import Outcome
from pyomo_j3o.core.tolerances import TRACE
from pyomo_j3o.lp import LPStatus
from pyomo_j3o.methods.instance import Instance
from pyomo_j3o.methods.own_rows import routing_model
from pyomo_j3o.methods.settings import Context

#: What a MIP solver gains by its tolerances is less than this fraction of the objective.
_BEYOND_TOLERANCES = 1e-4


class Incumbent:
    """The best plan so far, in the columns of the problem as it is.

    Parameters
    ----------
    instance
        The problem in all its forms.
    context
        Of the solve.

    Attributes
    ----------
    plan : Plan or None
    duals : (M,) or None
        Of its routing LP.
    """

    def __init__(self, instance: Instance, context: Context) -> None:
        self.plan: Plan | None = None
        self.duals: FloatArray | None = None
        self._instance = instance
        self._context = context

    @property
    def objective(self) -> float:
        """That of the plan; -inf without one."""
        return -np.inf if self.plan is None else self.plan.objective

    def take(self, plan: Plan | None, duals: FloatArray | None) -> None:
        """Take a plan over that has been checked."""
        self.plan, self.duals = plan, duals

    def start_from(self, x: BoolArray) -> None:
        """Route the placement that the user gave."""
        with self._context.timings.phase("offload"):
            self.plan, self.duals = self.routed(x)

    def keep_found(self, found: Outcome, better: float) -> None:
        """Take over the plan of a search on the linear form, if it has one that is better."""
        if found.plan is not None:
            plan = self._instance.to_linear.restore_plan(found.plan)
            self.keep(plan.x, plan.y, self._instance.problem, better)

    def keep(self, x: BoolArray, y: FloatArray, problem: Problem, better: float = _BEYOND_TOLERANCES) -> None:
        """Take over placement `x`, with its best routing, or else with `y` in the columns of `problem`.

        `y` counts if there is no other routing, or if it is better by this fraction of the objective.
        """
        plan, duals = self.plan, self.duals
        if plan is None or not np.array_equal(x, plan.x):
            try:
                plan, duals = self.routed(x)
            except KeyboardInterrupt:
                plan, duals = None, None
        given = self._as_given(x, y, problem)
        if given is not None and (
            plan is None or given.objective > plan.objective + better * abs(plan.objective)
        ):
            # Interrupted, or the MIP solver was content with an x that is not quite whole, or the LP with a
            # routing whose costs are small beside the largest.
            plan = given
        if plan is not None and (self.plan is None or plan.objective > self.plan.objective):
            self.plan, self.duals = plan, duals

    def _as_given(self, x: BoolArray, y: FloatArray, problem: Problem) -> Plan | None:
        """Return the plan of `x` and of `y` in the columns of `problem`, if the user's rows take it."""
        own = self._instance.problem
        if problem is not own:
            y = self._instance.to_linear.restore_plan(Plan(x, y, np.nan)).y
        y = np.clip(y, own.offloading_lower, own.offloading_upper)
        if not self._instance.accepts(x, y):
            return None
        return Plan(x, y, evaluate(own, x.astype(float), y))

    def routed(self, x: BoolArray) -> tuple[Plan | None, FloatArray | None]:
        """Return the best plan of a placement that the user's rows take, and its duals; None without one."""
        plan, duals = self._route(x)
        own = self._instance.own
        if own is None or (plan is not None and own.accepts(plan.x, plan.y)):
            return plan, duals
        routed = own.route(x, self._context.deadline.with_grace())
        return routed.plan, routed.duals

    def _route(self, x: BoolArray) -> tuple[Plan | None, FloatArray | None]:
        """Return the best plan of a placement and its duals; None if it has none."""
        problem = self._instance.problem
        program = self._context.backend.open(routing_model(problem, x))
        try:
            found = program.solve(self._context.deadline.last_work())
        finally:
            program.close()
        at = x.astype(float)
        inside = np.all(at >= problem.onloading_lower) and np.all(at <= problem.onloading_upper)
        if found.status is not LPStatus.OPTIMAL or not inside:
            return None, None
        y = found.values
        if problem.batches is not None:
            # Of a query that is a trace of rounding, a batch would cost its set-up all the same.
            y = problem.batches.without_traces(x, y, TRACE)
        y = np.clip(y, problem.offloading_lower, problem.offloading_upper)
        return Plan(x, y, evaluate(problem, at, y)), found.row_duals
