"""j3o behind Pyomo's new interface: one model's way from `solve` to results and loaded values."""

from __future__ import annotations

import datetime
import io
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from pyomo.contrib.solver.common.base import Availability, SolverBase
from pyomo.contrib.solver.common.results import Results, TerminationCondition
from pyomo.contrib.solver.common.util import NoFeasibleSolutionError, NoOptimalSolutionError
from pyomo.core.base.block import BlockData
from pyomo.core.staleflag import StaleFlagManager

from pyomo_j3o.alternate import stopping
from pyomo_j3o.core.deadline import Deadline, OutOfTime
from pyomo_j3o.core.log import Log, counted
from pyomo_j3o.core.problem import BoolArray, FloatArray, Plan, Problem, evaluate
from pyomo_j3o.core.results import Ending, Outcome, Phase, Record, Timings, relative_gap
from pyomo_j3o.core.version import __version__
from pyomo_j3o.diagnosis.infeasibility import lines_for_log
from pyomo_j3o.errors import BackendError, TriviallyInfeasibleError
from pyomo_j3o.interface import verdict
from pyomo_j3o.interface.compiled import Compiled, backend_for, compiled_forms, mip_solvers_for
from pyomo_j3o.interface.extra_info import add_update
from pyomo_j3o.interface.moves import log_prices
from pyomo_j3o.interface.options import (
    J3OConfig,
    chosen_algorithm,
    fall_back_on_highs,
    is_given,
    leaves_steps_to_us,
    option_errors,
    portable,
    preset,
    require_known,
)
from pyomo_j3o.interface.remedies import Remedies
from pyomo_j3o.interface.verdict import Ended, Solved
from pyomo_j3o.interface.warm_start import no_worse, placement_held, plan_held
from pyomo_j3o.lp import Backend, gurobi
from pyomo_j3o.methods import baj3o, exact, j3o
from pyomo_j3o.methods.memory import Memory
from pyomo_j3o.methods.params import Params
from pyomo_j3o.methods.settings import Context, Settings
from pyomo_j3o.methods.vetting import vetted
from pyomo_j3o.mip import MIPSolver, require_right_highs, scip
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.modeling.loading import NoPlanLoader
from pyomo_j3o.modeling.move_cost import moves_of

#: Seconds at most that go into naming a conflict in the log.
_SECONDS_OF_CONFLICT = 2.0

#: What an error says of a plan that it keeps from being loaded.
_WHERE_THE_PLAN_IS = (
    "The plan is not in the model's variables: it is in the results that this error carries; with 'except "
    "NoOptimalSolutionError as error', error.results.solution_loader.load_solution() loads it. "
)


class J3O(SolverBase):
    """Solve an annotated Pyomo model by J3O: a heuristic plan and a proven bound.

    The method is that of Cha, Chan, de Veciana and Vikalo, arXiv 2508.13380 (2025); improvement and
    certificate are ours. See the documentation for the options.
    """

    CONFIG = J3OConfig()
    name = "j3o"
    #: Parameters of the method. They are no options: only tests and the tuning set replace them.
    params = Params()
    #: What the last sentence advises. The command line has words of its own.
    remedies = Remedies()

    def __init__(self, **kwds: Any) -> None:
        require_known(self.CONFIG, {key: value for key, value in kwds.items() if key != "name"})
        with option_errors():
            super().__init__(**kwds)

    def available(self) -> Availability:
        """Return whether it can be used: what it needs comes with it, unless an option asks for more."""
        asked = {self.config.lp_solver, self.config.mip_solver}
        if "scip" in asked and scip.unavailable():
            return Availability.NotFound
        if "gurobi" in asked and (problem := gurobi.unavailable(1, 1)):
            return Availability.NotFound if "not installed" in problem else Availability.BadLicense
        return Availability.FullLicense

    def version(self) -> tuple[int, ...]:
        """Return the version of pyomo_j3o."""
        return tuple(int(part) for part in __version__.split("."))

    def __getstate__(self) -> dict[str, Any]:
        # Configurations pickle only once every value has been read.
        self.config.value()
        return self.__dict__.copy()

    def solve(self, model: BlockData, **kwds: Any) -> Results:
        """Solve a model.

        Parameters
        ----------
        model
            Annotated; left as it is unless a plan is loaded.
        **kwds
            Options for this call only.

        Returns
        -------
        Results

        Raises
        ------
        ModelError
            The model is not one that j3o accepts; the message names the component.
        OptionError
            An option or its value is unknown.
        BackendError
            The LP solver that was asked for cannot be used.
        NoOptimalSolutionError, NoFeasibleSolutionError
            As in Pyomo's own solvers: see `raise_exception_on_nonoptimal_result` and `load_solutions`. The
            attribute `results` of the error holds the results, and in them the plan, if there is one.
        """
        started = datetime.datetime.now(datetime.UTC)
        timings = Timings()
        config = self._config_of_call(kwds)
        captured = io.StringIO()
        log = Log([captured, *config.tee])
        try:
            solved = self._solve(model, config, timings, log)
            doubt = verdict.doubt(solved)
            if doubt is not None and fall_back_on_highs(config):
                log.line(f"{doubt} Once more, with HiGHS")
                solved = self._solve(model, config, timings, log)
                doubt = verdict.doubt(solved)
            if doubt is not None and solved.outcome.plan is not None:
                raise BackendError(doubt.rstrip("."))
            ended: Ended = solved
        except TriviallyInfeasibleError as error:
            ended = verdict.ended_by_constants(chosen_algorithm(config, False), model, error)
        except OutOfTime:
            ended = verdict.ended_by_time(chosen_algorithm(config, False), model)
        results = verdict.results_of(ended, config)
        message = verdict.explanation(ended, config, model, self.remedies)
        if ended.outcome.plan is None:
            results.solution_loader = NoPlanLoader(model, message)
        log.line(message)
        if config.tee:
            _log_conflict(ended, config, timings, log)
        log.line()
        results.solver_name, results.solver_version = self.name, self.version()
        verdict.fill_extra_info(results.extra_info, ended, message)
        add_update(results, self._update())
        self._complete(results)
        try:
            self._finish(results, config, timings, message)
        except (NoOptimalSolutionError, NoFeasibleSolutionError) as error:
            error.results = results
            raise
        finally:
            results.timing_info.start_timestamp = started
            results.timing_info.wall_time = timings.elapsed()
            for phase, seconds in timings.seconds.items():
                setattr(results.timing_info, phase, seconds)
            results.solver_log = captured.getvalue()
            results.solver_config = portable(config)
            results.value()  # Results pickle only once every value has been read.
        return results

    def _config_of_call(self, given: Mapping[str, Any]) -> Any:
        """Return the options of one call: those of the solver, and over them those that were given."""
        require_known(self.config, given)
        with option_errors():
            config = self.config(value=given, preserve_implicit=True)
            if "max_iterations" not in given and is_given(self.config, "max_iterations"):
                config.max_iterations = self.config.max_iterations  # a copy forgets what was set
            if not self._asked_for("effort", given) and self._asked_for_gap(given):
                config.effort = "full"
            if (
                config.effort == "full"
                and config.abs_gap is not None
                and not self._asked_for("rel_gap", given)
            ):
                config.rel_gap = 0.0  # the usual one would end the search before the gap that was asked for
        return config

    def _asked_for(self, name: str, given: Mapping[str, Any]) -> bool:
        """Return whether this call or the solver's own options set an option."""
        return name in given or is_given(self.config, name)

    def _asked_for_gap(self, given: Mapping[str, Any]) -> bool:
        """Return whether a gap was asked for: it is pursued then."""
        names = [name for name in ("rel_gap", "abs_gap") if self._asked_for(name, given)]
        return any(given.get(name, self.config[name]) is not None for name in names)

    def _solve(self, model: BlockData, config: Any, timings: Timings, log: Log) -> Solved:
        """Compile, and search until the time is over."""
        limit = math.inf if config.time_limit is None else config.time_limit
        deadline = Deadline(limit - timings.elapsed())
        gurobi.restore_ctrl_c()  # whoever has used Gurobi before
        require_right_highs()  # whatever is chosen, the last resort for a placement is HiGHS
        with timings.phase("compile"):
            problem, inverse = self._compile(model, config, deadline)
            deadline.require()
        return self._search(model, problem, inverse, config, deadline, timings, log)

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
        """Choose the solvers, and run the method on arrays."""
        with timings.phase("compile"):
            moves = moves_of(config.move_cost, problem, inverse, self._placement_before())
            compiled = compiled_forms(problem, inverse, config, deadline, self.params.own_rows, moves)
        deadline.require()
        instance, linear = compiled.instance, compiled.linear
        exactly = compiled.algorithm == "exact"
        proof = None
        with closing(backend_for(compiled, config)) as backend:
            mip_solvers = partial(mip_solvers_for, compiled, config, backend.name)
            if config.mip_solver != "auto" and not exactly:
                next(mip_solvers())  # what cannot be used is an error before any work is done
            _log_sizes(model, compiled.problem, inverse, backend, log)
            log_prices(compiled.moves, compiled.prices, log)
            # What the MIP solvers could improve, the exact algorithm proves.
            factor = compiled.scaling.objective
            settings = settings_of(config, factor, None if exactly else mip_solvers, self.params)
            settings = replace(settings, memory=self._memory(compiled, config))
            given, held = self._start(compiled, config)
            asked_for = config.warm_start and given is not None
            context = Context(backend, deadline, timings, log)
            if exactly:
                outcome, trace, proof = exact.solve(
                    instance, mip_solvers(), settings, context, given, config.mip_start
                )
                proof = replace(proof, start=proof.start / compiled.scaling.objective)
                if outcome.ending is Ending.INFEASIBLE:
                    outcome = vetted(outcome, compiled.own, instance.linear, settings, context)
            else:
                log.header()
                settings = replace(
                    settings,
                    start=given,
                    quick_look=linear.batches is None and not asked_for and leaves_steps_to_us(config),
                )
                if linear.batches is None:  # then baj3o is j3o
                    outcome, trace = j3o.solve(linear, settings, context)
                else:
                    outcome, trace = baj3o.solve(linear, settings, context, compiled.algorithm == "baj3o")
                outcome = _in_own_rows(outcome, trace, compiled, settings, context)
        return Solved(
            problem=compiled.priced,
            inverse=compiled.inverse,
            outcome=no_worse(
                _at_full_price(_in_own_units(outcome, compiled, config), compiled, config),
                compiled.plan_at_full_price(held),
            ),
            trace=trace,
            lp_solver=backend.name,
            proof=proof,
            algorithm=compiled.algorithm,
            sense=compiled.problem.sense,
            unit=1.0 / compiled.scaling.objective,
            missed=compiled.own.missed,
            moves=compiled.moves,
        )

    # --- what a solver that keeps its model does otherwise ------------------------------------------------

    def _compile(self, model: BlockData, config: Any, deadline: Deadline) -> tuple[Problem, Inverse]:
        """Return the arrays of a model, and the way back."""
        return compile_model(model, config.strict, deadline)

    def _start(self, compiled: Compiled, config: Any) -> tuple[BoolArray | None, Plan | None]:
        """Return the placement to start from, and the plan that is not to be lost."""
        if not config.warm_start:
            return None, None
        return placement_held(compiled.inverse), plan_held(compiled.problem, compiled.inverse)

    def _placement_before(self) -> FloatArray | None:
        """Return the placement that moves are counted from, (N,); None for what the variables hold."""
        return None

    def _memory(self, compiled: Compiled, config: Any) -> Memory | None:
        """Return what earlier solves have left for this one."""
        return None

    def _update(self) -> dict[str, Any] | None:
        """Return what has changed since the solve before; None if nothing is known of it."""
        return None

    def _complete(self, results: Results) -> None:
        """Put into the results what is known of them besides the search."""

    def _finish(self, results: Results, config: Any, timings: Timings, message: str) -> None:
        """Raise or load, as the options say."""
        condition = results.termination_condition
        converged = condition == TerminationCondition.convergenceCriteriaSatisfied
        if config.raise_exception_on_nonoptimal_result and not converged:
            has_plan = bool(results.solution_loader.get_number_of_solutions())
            if has_plan:
                StaleFlagManager.mark_all_as_stale()
            without = " and load_solutions=False" if not has_plan else ""
            raise NoOptimalSolutionError(
                f"{message} {_WHERE_THE_PLAN_IS if has_plan else ''}Set "
                f"raise_exception_on_nonoptimal_result=False{without} to get the results without this error."
            )
        if not config.load_solutions:
            if results.solution_loader.get_number_of_solutions():
                # As in Pyomo's own solvers: what the variables hold is not this solve's plan.
                StaleFlagManager.mark_all_as_stale()
            return
        if results.solution_loader.get_number_of_solutions() == 0:
            raise NoFeasibleSolutionError(
                f"{message} There is nothing to load; set load_solutions=False to get the results all the "
                "same."
            )
        with timings.phase("load"):
            results.solution_loader.load_solution()


class BatchingJ3O(J3O):
    """`J3O` with ``algorithm="baj3o"``: aware of what a batch costs to set up."""

    CONFIG = preset("baj3o")
    name = "j3o.baj3o"


class ExactJ3O(J3O):
    """`J3O` with ``algorithm="exact"``: the same annotated model, solved by a MIP solver."""

    CONFIG = preset("exact")
    name = "j3o.exact"


def settings_of(
    config: Any,
    factor: float,
    mip_solvers: Callable[[], Iterator[MIPSolver]] | None,
    params: Params,
) -> Settings:
    """Return the settings of the method in the units of the scaled objective, `factor` times the user's."""
    limit = math.inf if config.time_limit is None else config.time_limit
    abs_gap = config.abs_gap or 0.0
    pursues = (
        config.effort == "full" and config.improve and config.bound == "cuts" and mip_solvers is not None
    )
    if pursues:
        params = replace(params, search=params.search.before_pursuit())
    if isinstance(config.effort, float):
        params = replace(params, search=params.search.scaled(config.effort))
    return Settings(
        # The trace is in the user's units.
        stop=stopping.usual(
            rel_gap=config.rel_gap,
            abs_gap=abs_gap,
            seconds=limit,
            iterations=config.max_iterations,
            improve=config.improve,
            rule=config.stop,
            params=params.loop,
        ),
        rel_gap=config.rel_gap,
        abs_gap=abs_gap * factor,
        improve=config.improve,
        branches=config.effort != "alternation",
        pursues=pursues,
        bound=config.bound,
        onloading_step=config.onloading_step,
        callback=config.callback,
        max_iterations=config.max_iterations,
        threads=config.threads,
        mip_solvers=mip_solvers,
        params=params,
    )


def _log_sizes(model: BlockData, problem: Problem, inverse: Inverse, backend: Backend, log: Log) -> None:
    """Begin the log: version, sizes, and the LP solver."""
    named = "" if model.name == "unknown" else f" on '{model.name}'"
    log.line(f"J3O {__version__}{named}")
    log.line(
        f"{len(inverse.onloading)} onloading and {counted(problem.n_offloading, 'offloading variable')}, "
        f"{counted(problem.n_rows, 'row')}, {counted(problem.n_nonzeros, 'nonzero')}"
    )
    if problem.counts is not None:
        log.line(
            f"Integers are written as sums of binaries: {counted(problem.n_onloading, 'onloading column')}"
        )
    if inverse.settling is not None:
        log.line(
            "Special ordered sets and products of onloading variables are written as "
            f"{counted(len(inverse.settling.auxiliary.constraints), 'row')} with "
            f"{counted(len(inverse.settling.auxiliary.variables), 'variable')} of their own"
        )
    if problem.batches is not None:
        windows = len(np.unique(problem.batches.row))
        log.line(f"Batching windows: {windows}, with {counted(len(problem.batches), 'batch', 'batches')}")
    log.line(f"LP solver: {backend.description}")


def _in_own_rows(
    found: Outcome, trace: list[Record], compiled: Compiled, settings: Settings, context: Context
) -> Outcome:
    """Return the outcome of the linear problem in the columns of the one with products, its plan vetted.

    If vetting has changed the outcome, the last record gets the plan and the bound that the solve ends with.
    """
    before = compiled.instance.to_linear.restore(found)
    outcome = vetted(before, compiled.own, compiled.linear, settings, context)
    plan, sense = outcome.plan, compiled.own.scaled.sense
    if trace and outcome is not before and plan is not None:
        trace[-1] = trace[-1].with_plan(plan.objective, outcome.bound, sense, context.timings.elapsed())
    return outcome


def _in_own_units(outcome: Outcome, compiled: Compiled, config: Any) -> Outcome:
    """Return the outcome of the scaled problem as that of the user's."""
    outcome, problem = compiled.scaling.restore(outcome), compiled.problem
    if outcome.plan is not None:
        # What misses a bound by a tolerance gets the bound.
        y = np.clip(outcome.plan.y, problem.offloading_lower, problem.offloading_upper)
        plan = replace(outcome.plan, y=compiled.inverse.settled(outcome.plan.x, y))
        if compiled.inverse.settling is not None:
            plan = replace(plan, objective=evaluate(problem, plan.x.astype(float), plan.y))
        outcome = replace(outcome, plan=_in_order(plan, problem))
    if outcome.ending is Ending.ITERATIONS and not is_given(config, "max_iterations"):
        # Nobody asked for a limit: the default is one more way for the alternation to end.
        outcome = replace(outcome, ending=Ending.USUAL_ITERATIONS)
    return outcome


def _at_full_price(outcome: Outcome, compiled: Compiled, config: Any) -> Outcome:
    """Return the outcome, in the user's units, with the full price of moves."""
    if compiled.moves is None:
        return outcome
    plan, bound = compiled.plan_at_full_price(outcome.plan), compiled.bound_at_full_price(outcome.bound)
    if plan is None:
        return replace(outcome, bound=bound)
    bound = max(bound, plan.objective)
    closed = relative_gap(plan.objective, bound) <= config.rel_gap
    closed = closed or bound - plan.objective <= (config.abs_gap or 0.0)
    ending = outcome.ending
    if ending is Ending.GAP and not closed and config.rel_gap > 0:
        ending = Ending.REDUCED_GAP
    elif ending.phase is Phase.LOOP and closed:
        ending = Ending.GAP
    return replace(outcome, plan=plan, bound=bound, ending=ending)


def _in_order(plan: Plan, problem: Problem) -> Plan:
    """Return the plan of the same values whose columns of a count are 1 from the first on.

    That costs no more: only a price of moves tells the columns of a count apart, and it favours the first.
    """
    if problem.counts is None:
        return plan
    x = problem.counts.canonical(plan.x)
    return replace(plan, x=x, objective=evaluate(problem, x.astype(float), plan.y))


def _log_conflict(ended: Ended, config: Any, timings: Timings, log: Log) -> None:
    """Name in the log what conflicts in a model without a plan."""
    if isinstance(ended, Solved) and ended.outcome.ending is Ending.INFEASIBLE:
        left = math.inf if config.time_limit is None else config.time_limit - timings.elapsed()
        for line in lines_for_log(ended.problem, ended.inverse, min(left, _SECONDS_OF_CONFLICT)):
            log.line(line)
