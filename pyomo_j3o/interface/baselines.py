"""Baselines behind Pyomo's new interface: marks that j3o has to beat, each called by its own name.

Two kinds: `_ByStep` takes the placement of a simple onloading step as it is, and routes for it. `_ByOptions`
solves the model by j3o with some of its options alone. The bound of both is that of the whole model.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pyomo.core.base.block import BlockData

from pyomo_j3o.alternate.baselines import AtRandom, apart, most_accurate_first
from pyomo_j3o.alternate.onloading import OnloadingStep
from pyomo_j3o.certify.relaxation import bound_of_columns
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.log import Log
from pyomo_j3o.core.problem import Problem
from pyomo_j3o.core.results import Ending, Outcome, Phase, Record, Timings, relative_gap
from pyomo_j3o.errors import ModelError
from pyomo_j3o.interface.compiled import backend_for, compiled_forms
from pyomo_j3o.interface.options import J3OConfig, baseline_options
from pyomo_j3o.interface.solver import J3O, settings_of
from pyomo_j3o.interface.verdict import Solved
from pyomo_j3o.library.data import CLOUD
from pyomo_j3o.library.plan_tables import system_of
from pyomo_j3o.methods import j3o
from pyomo_j3o.methods.settings import Context
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.modeling.move_cost import moves_of
from pyomo_j3o.modeling.naming import the_model


def _options_by_step(solver: str, **fixed: Any) -> J3OConfig:
    """Return the options of a baseline that takes one placement as it is."""
    return baseline_options(
        solver,
        algorithm="j3o",
        effort="alternation",
        improve=False,
        onloading_step=None,
        stop=None,
        warm_start=False,
        **fixed,
    )


class _ByStep(J3O):
    """A baseline: its own onloading step, one LP for the routing, and no search.

    With a `BatchingWindow`, every onloaded model is charged for its batches, as by ``algorithm="j3o"``.
    """

    #: What is said of the placement if no plan was found.
    without_plan = "its placement cannot"

    def _step(self, config: Any) -> OnloadingStep:
        """Return the onloading step of one solve."""
        raise NotImplementedError

    def _asked_for_gap(self, given: Any) -> bool:
        return False  # there is no search that could pursue it

    def _search(
        self,
        model: BlockData,
        problem: Problem,
        inverse: Inverse,
        config: Any,
        deadline: Deadline,
        timings: Timings,
        log: Log,
    ) -> Solved:
        own = config(preserve_implicit=True)
        for name, function in (("onloading_step", self._step(config)), ("stop", _has_plan)):
            option = own.get(name)
            option._domain = None
            own[name] = function
        own.max_iterations = config.max_iterations
        solved = super()._search(model, problem, inverse, own, deadline, timings, log)
        if solved.outcome.ending.phase is not Phase.LOOP:
            return solved
        reason = ""
        if solved.outcome.plan is None:
            reason = (
                f"{self.name} has no plan for {the_model(model)}: {self.without_plan} serve all demands; let "
                "demands be dropped (droppable=True in pyomo_j3o.library), or use j3o."
            )
        return replace(solved, outcome=replace(solved.outcome, ending=Ending.BASELINE), reason=reason)


def _has_plan(trace: Any) -> bool:
    return bool(np.isfinite(trace[-1].incumbent))


class MostAccurateFirst(_ByStep):
    """The baseline that gives every demand its most accurate option first, as long as it fits.

    Its placement looks at memory alone. See `pyomo_j3o.alternate.baselines.most_accurate_first`.
    """

    CONFIG = _options_by_step("j3o.most_accurate_first", max_iterations=1)
    name = "j3o.most_accurate_first"

    def _step(self, config: Any) -> OnloadingStep:
        return most_accurate_first


class Apart(_ByStep):
    """The baseline that optimises placement and routing apart.

    Its placement looks at memory and accuracy, and not at compute and communication; then it is routed. See
    `pyomo_j3o.alternate.baselines.apart`.
    """

    CONFIG = _options_by_step("j3o.apart", max_iterations=1)
    name = "j3o.apart"

    def _step(self, config: Any) -> OnloadingStep:
        return apart


class Random(_ByStep):
    """The baseline that places at random what fits; the first placement that can be routed counts.

    The same `seed` gives the same plan. `max_iterations` is the largest number of draws.
    """

    CONFIG = _options_by_step("j3o.random")
    name = "j3o.random"
    without_plan = "none of its placements can"

    def _step(self, config: Any) -> OnloadingStep:
        return AtRandom(config.seed)


@dataclass(frozen=True, slots=True)
class _Level:
    """The options of a library model that a baseline uses: those on one level of the system."""

    name: str
    words: str


class _ByOptions(J3O):
    """A baseline: j3o, where queries may be answered on one level of the system alone.

    The placement is as good as j3o finds it for these options. The model is one of `pyomo_j3o.library`, which
    knows where its offloading variables run.
    """

    level = _Level("", "")

    def _search(
        self,
        model: BlockData,
        problem: Problem,
        inverse: Inverse,
        config: Any,
        deadline: Deadline,
        timings: Timings,
        log: Log,
    ) -> Solved:
        elsewhere = self._columns_elsewhere(model, inverse)
        lp_solver, ending, bound = self._certified(problem, inverse, config, deadline, timings, log)
        if ending is not None:
            return Solved(
                problem=problem,
                inverse=inverse,
                outcome=Outcome(None, bound, ending),
                lp_solver=lp_solver,
                algorithm=config.algorithm,
                sense=problem.sense,
                unit=1.0,
            )
        upper = problem.offloading_upper.copy()
        upper[elsewhere] = np.minimum(upper[elsewhere], 0.0)
        asked = config.bound
        if asked == "lp":
            config.bound = "cuts"  # that of the whole is known; this is the search among what is left
        log.line(f"{self.name}: the search among {self.level.words} alone; so are its bounds")
        try:
            solved = super()._search(
                *(model, replace(problem, offloading_upper=upper), inverse, config),
                *(deadline, timings, log),
            )
        finally:
            config.bound = asked
        return self._of_whole(solved, bound, config, model)

    def _columns_elsewhere(self, model: BlockData, inverse: Inverse) -> list[int]:
        """Return the columns of y that run on other levels.

        Raises
        ------
        ModelError
            The model does not say where its offloading variables run, or one of these must be above 0.
        """
        data = system_of(model)
        if data is None:
            raise ModelError(
                f"{self.name} cannot know where the offloading variables of {the_model(model)} run; build "
                "the model with pyomo_j3o.library.build_model or build_multi_edge, or use j3o.apart, "
                "j3o.most_accurate_first or j3o.random"
            )
        levels = {CLOUD: "cloud"} | dict.fromkeys(data.edges, "edge")
        found = set()
        for option, variable in model.route.y.items():
            if levels.get(option[2], "local") == self.level.name:
                continue
            held = variable.value if variable.fixed else variable.lb
            if held is not None and held > 0:
                raise ModelError(
                    f"variable '{variable.name}' must be above 0, but {self.name} uses {self.level.words} "
                    "alone; unfix it, or lower its bound"
                )
            found.add(id(variable))
        return [k for k, variable in enumerate(inverse.offloading) if id(variable) in found]

    def _certified(
        self,
        problem: Problem,
        inverse: Inverse,
        config: Any,
        deadline: Deadline,
        timings: Timings,
        log: Log,
    ) -> tuple[str, Ending | None, float]:
        """Return the LP solver, why the whole model has no plan if so, and its bound in the user's units."""
        with timings.phase("compile"):
            moves = moves_of(config.move_cost, problem, inverse, None)
            compiled = compiled_forms(problem, inverse, config, deadline, self.params.own_rows, moves)
        factor = compiled.scaling.objective
        with closing(backend_for(compiled, config)) as backend:
            settings = settings_of(config, factor, None, self.params)
            context = Context(backend, deadline, timings, log)
            ending, bound = j3o.certify(compiled.linear, settings, context)
            if config.bound != "none":
                bound = min(bound, bound_of_columns(compiled.linear))  # known before any LP is solved
        return backend.name, ending, compiled.bound_at_full_price(bound / factor)

    def _of_whole(self, solved: Solved, bound: float, config: Any, model: BlockData) -> Solved:
        """Return how the search among the options ended as that of the whole model, with its bound."""
        outcome, reason = solved.outcome, ""
        plan, ending = outcome.plan, outcome.ending
        if plan is not None:
            bound = max(bound, plan.objective)
            gap = relative_gap(plan.objective, bound)
            if gap <= config.rel_gap or bound - plan.objective <= (config.abs_gap or 0.0):
                ending = Ending.GAP
            elif ending is Ending.GAP:
                ending = Ending.REDUCED_GAP
            elif ending.phase is Phase.LOOP:
                ending = Ending.BASELINE
        elif ending is Ending.INFEASIBLE:
            ending = Ending.BASELINE
            reason = (
                f"{self.name} has no plan for {the_model(model)}: {self.level.words} alone cannot serve all "
                "queries within their budgets; build the model with droppable=True to see how many they can."
            )
        trace = [_with_bound(record, bound, solved.sense) for record in solved.trace]
        outcome = replace(outcome, bound=bound, ending=ending)
        return replace(solved, outcome=outcome, trace=trace, reason=reason)


def _with_bound(record: Record, bound: float, sense: float) -> Record:
    """Return a record with the bound, of the maximised problem, of the whole model."""
    gap = relative_gap(record.incumbent, sense * bound)
    return replace(record, bound=sense * bound, relative_gap=gap)


class AllLocal(_ByOptions):
    """The baseline whose queries are all answered by models on their own clients."""

    CONFIG = baseline_options("j3o.all_local")
    name = "j3o.all_local"
    level = _Level("local", "models on clients")


class AllEdge(_ByOptions):
    """The baseline whose queries are all answered by models on edge servers."""

    CONFIG = baseline_options("j3o.all_edge")
    name = "j3o.all_edge"
    level = _Level("edge", "models on edge servers")


class AllCloud(_ByOptions):
    """The baseline whose queries are all answered in the cloud."""

    CONFIG = baseline_options("j3o.all_cloud")
    name = "j3o.all_cloud"
    level = _Level("cloud", "the cloud")


#: All baselines, with what the factories say of them.
BASELINES: dict[type[J3O], str] = {
    AllLocal: "Baseline: j3o with models on clients alone",
    AllEdge: "Baseline: j3o with models on edge servers alone",
    AllCloud: "Baseline: j3o with the cloud alone",
    MostAccurateFirst: "Baseline: the most accurate options are placed first, then routed",
    Random: "Baseline: a random placement, then routed",
    Apart: "Baseline: a placement that looks at no compute or communication, then routed",
}
