"""The solver as Pyomo sees it: `J3O` for the new interface, `LegacyJ3O` for the classic one."""

from __future__ import annotations

import datetime
import io
import logging
import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, TextIO

import numpy as np
from pyomo.common.config import ConfigDict, ConfigValue, UninitializedMixin
from pyomo.common.modeling import NOTSET
from pyomo.contrib.solver.common.base import Availability, LegacySolverWrapper, SolverBase
from pyomo.contrib.solver.common.config import BranchAndBoundConfig, TextIO_or_Logger
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.results import Results, SolutionStatus, TerminationCondition
from pyomo.contrib.solver.common.solution_loader import SolutionLoader
from pyomo.contrib.solver.common.util import (
    NoFeasibleSolutionError,
    NoOptimalSolutionError,
)
from pyomo.core.base.block import BlockData
from pyomo.core.base.objective import Objective, minimize
from pyomo.core.base.suffix import Suffix
from pyomo.core.staleflag import StaleFlagManager
from pyomo.opt.results.results_ import SolverResults

from pyomo_j3o.alternate import stopping
from pyomo_j3o.core.deadline import OutOfTime, require_time
from pyomo_j3o.core.log import Log
from pyomo_j3o.core.problem import (
    BoolArray,
    FloatArray,
    Plan,
    Problem,
    evaluate,
    larger_end,
)
from pyomo_j3o.core.results import PHASES, Ending, Outcome, Record, Timings, relative_gap, rounding
from pyomo_j3o.core.version import __version__
from pyomo_j3o.diagnosis.infeasibility import lines_for_log
from pyomo_j3o.errors import BackendError, OptionError, TriviallyInfeasibleError
from pyomo_j3o.lp import choose_backend, gurobi
from pyomo_j3o.methods import baj3o, exact
from pyomo_j3o.methods import j3o as method
from pyomo_j3o.methods.vetting import OwnRows, first_missed, vetted
from pyomo_j3o.mip import MIPSolver, Size, require_right_highs, scip
from pyomo_j3o.mip import mip_solvers as choose_mip_solvers
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.modeling.loading import J3OSolutionLoader, NoPlanLoader
from pyomo_j3o.presolve.linearize import UnboundedProductError
from pyomo_j3o.presolve.scaling import Scaling, scale
from pyomo_j3o.presolve.setup_payers import empty

logger = logging.getLogger("pyomo_j3o")

_CONDITIONS = {
    Ending.GAP: TerminationCondition.convergenceCriteriaSatisfied,
    Ending.FIXED_POINT: TerminationCondition.convergenceCriteriaSatisfied,
    Ending.THRASHING: TerminationCondition.convergenceCriteriaSatisfied,
    Ending.STALLED: TerminationCondition.convergenceCriteriaSatisfied,
    Ending.USER: TerminationCondition.convergenceCriteriaSatisfied,
    Ending.ITERATIONS: TerminationCondition.iterationLimit,
    Ending.USUAL_ITERATIONS: TerminationCondition.convergenceCriteriaSatisfied,
    Ending.TIME: TerminationCondition.maxTimeLimit,
    Ending.LIMIT: TerminationCondition.iterationLimit,
    Ending.TOLERANCES: TerminationCondition.convergenceCriteriaSatisfied,
    Ending.REFUSED: TerminationCondition.unknown,
    Ending.INTERRUPTED: TerminationCondition.interrupted,
    Ending.INFEASIBLE: TerminationCondition.provenInfeasible,
    Ending.UNBOUNDED: TerminationCondition.unbounded,
}

#: What ends the alternation, and not what follows it.
_OF_ALTERNATION = (
    Ending.FIXED_POINT,
    Ending.THRASHING,
    Ending.STALLED,
    Ending.USER,
    Ending.ITERATIONS,
    Ending.USUAL_ITERATIONS,
)

#: So many seconds at most go into naming a conflict in the log.
_SECONDS_OF_WHY = 2.0

_MIP_SOLVERS = ("gurobi", "highs", "scip")


class _Option(ConfigValue):
    """A `ConfigValue` whose domain speaks for itself: its error reaches the user as it is."""

    __slots__ = ()

    def _cast(self, value: Any) -> Any:
        return super()._cast(value) if value is NOTSET or self._domain is None else self._domain(value)


# Pyomo sets its default lazily, and wants such a companion for every class of values.
_Option._UninitializedClass = type("_UninitializedOption", (UninitializedMixin, _Option), {"__slots__": ()})


# Domains are objects of classes, not closures: a configuration then pickles with them.


@dataclass(frozen=True)
class _OneOf:
    name: str
    allowed: tuple[str, ...]

    def __call__(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.allowed:
            choice = ", ".join(map(repr, self.allowed))
            raise OptionError(f"{self.name}={value!r} is unknown; choose one of {choice}")
        return value


@dataclass(frozen=True)
class _Number:
    name: str
    least: float
    whole: bool = False
    optional: bool = False

    def __call__(self, value: Any) -> float | int | None:
        if value is None and self.optional:
            return None
        most = 2**31 - 1 if self.whole else math.inf  # what the solvers behind take
        try:
            number = float(value)
            good = self.least <= number <= most and not isinstance(value, bool)
            good = good and (not self.whole or number == int(number))
        except (TypeError, ValueError, OverflowError):
            good = False
        if not good:
            kind = "a whole number" if self.whole else "a number"
            limit = f" and at most {most}" if self.whole else ""
            raise OptionError(
                f"{self.name}={value!r} is not {kind} of at least {self.least:g}{limit}; give one"
            )
        return int(number) if self.whole else number


@dataclass(frozen=True)
class _Truth:
    name: str

    def __call__(self, value: Any) -> bool:
        names = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if isinstance(value, (bool, np.bool_)):
            return bool(value)
        if str(value).lower() in names:
            return names[str(value).lower()]
        raise OptionError(f"{self.name}={value!r} is neither True nor False; give one of them")


@dataclass(frozen=True)
class _Function:
    name: str

    def __call__(self, value: Any) -> Any:
        if value is not None and not callable(value):
            raise OptionError(f"{self.name}={value!r} cannot be called; give a function, or None")
        return value


def _streams(value: Any) -> list[Any]:
    try:
        return TextIO_or_Logger(value)
    except ValueError as error:
        raise OptionError(f"tee={value!r} is not something to write to: {error}") from None


class J3OConfig(BranchAndBoundConfig):
    """The options of j3o; those not named here are Pyomo's own."""

    def __init__(
        self,
        description: str | None = None,
        doc: str | None = None,
        implicit: bool = False,
        implicit_domain: Any = None,
        visibility: int = 0,
    ) -> None:
        super().__init__(description, doc, implicit, implicit_domain, visibility)
        declared: tuple[tuple[str, Any, Any, str], ...] = (
            (
                "algorithm",
                "auto",
                _OneOf("algorithm", ("auto", "j3o", "baj3o", "exact")),
                "The heuristic j3o, or baj3o for models with a BatchingWindow (auto chooses), or exact.",
            ),
            (
                "lp_solver",
                "auto",
                _OneOf("lp_solver", ("auto", "highs", "gurobi")),
                "Gurobi if licensed for the size, else HiGHS; or one of them.",
            ),
            (
                "mip_solver",
                "auto",
                _OneOf("mip_solver", ("auto", *_MIP_SOLVERS)),
                "For exact, and for the improvement: Gurobi if licensed for the size, else HiGHS, else SCIP.",
            ),
            (
                "mip_start",
                "auto",
                _OneOf("mip_start", ("auto", "j3o", "none")),
                "What exact starts from, unless warm_start is given: j3o's plan, except in small models.",
            ),
            ("max_iterations", 50, _Number("max_iterations", 1, whole=True), "Limit of the alternation."),
            ("seed", 0, _Number("seed", 0, whole=True), "Random seed of the LP solver."),
            (
                "improve",
                True,
                _Truth("improve"),
                "Swaps and branch and bound after the alternation.",
            ),
            (
                "bound",
                "cuts",
                _OneOf("bound", ("cuts", "lp", "none")),
                "How hard to certify: LP relaxation with cuts and branching, as it is, or not at all.",
            ),
            ("warm_start", False, _Truth("warm_start"), "Start from the placement that the variables hold."),
            ("strict", False, _Truth("strict"), "Refuse a model without any annotation."),
            ("onloading_step", None, _Function("onloading_step"), "The reader's own onloading step."),
            ("stop", None, _Function("stop"), "The reader's own stopping rule: trace → bool."),
            ("callback", None, _Function("callback"), "Called with the record of each iteration."),
        )
        for name, default, domain, text in declared:
            self.declare(name, _Option(default=default, domain=domain, description=text))

        redeclared: tuple[tuple[str, Any, Any], ...] = (
            ("tee", False, _streams),
            ("rel_gap", 1e-4, _Number("rel_gap", 0.0)),
            ("abs_gap", None, _Number("abs_gap", 0.0, optional=True)),
            ("time_limit", None, _Number("time_limit", 0.0, optional=True)),
            ("threads", None, _Number("threads", 0, whole=True, optional=True)),
            ("load_solutions", True, _Truth("load_solutions")),
            (
                "raise_exception_on_nonoptimal_result",
                True,
                _Truth("raise_exception_on_nonoptimal_result"),
            ),
        )
        for name, default, domain in redeclared:
            # Declared by Pyomo already: the same option, with errors that say what to give instead.
            text = self.get(name)._description
            del self[name]
            self.declare(name, _Option(default=default, domain=domain, description=text))


@dataclass(frozen=True, slots=True)
class _Solved:
    """All that the results are made of."""

    problem: Problem
    inverse: Inverse
    outcome: Outcome
    trace: list[Record]
    lp_solver: str
    proof: exact.Proof | None
    algorithm: str
    #: What counts as 1 in the objective.
    unit: float
    #: What the last plan that was refused misses most, and by how much; see `first_missed`.
    missed: tuple[int, float] | None = None


class J3O(SolverBase):
    """Solve an annotated Pyomo model by J3O: a heuristic plan and a proven bound.

    The method is that of Cha, Chan, de Veciana and Vikalo, arXiv 2508.13380 (2025); improvement and
    certificate are ours. See the documentation for the options.
    """

    CONFIG = J3OConfig()
    name = "j3o"

    def __init__(self, **kwds: Any) -> None:
        _require_known(self.CONFIG, {key: value for key, value in kwds.items() if key != "name"})
        with _option_errors():
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
            As in Pyomo's own solvers: see `raise_exception_on_nonoptimal_result` and `load_solutions`.
        """
        started = datetime.datetime.now(datetime.UTC)
        timings = Timings()
        _require_known(self.config, kwds)
        with _option_errors():
            config = self.config(value=kwds, preserve_implicit=True)
            if "max_iterations" not in kwds and _given(self.config, "max_iterations"):
                config.max_iterations = self.config.max_iterations  # a copy forgets what was set
        captured = io.StringIO()
        log = Log([captured, *config.tee])
        try:
            solved: _Solved | None
            try:
                solved = self._solve(model, config, timings, log)
                if solved.outcome.ending is Ending.REFUSED and _falls_back_on_highs(config):
                    log.line(f"{_refused(solved)} Once more, with HiGHS")
                    solved = self._solve(model, config, timings, log)
                results = self._results(solved, config)
            except _PlanRefusedError as error:
                if not _falls_back_on_highs(config):
                    raise
                log.line(f"{error}; once more, with HiGHS")
                solved = self._solve(model, config, timings, log)
                results = self._results(solved, config)
            message = _explanation(solved, config, model)
        except TriviallyInfeasibleError as error:
            results = Results()
            results.termination_condition = TerminationCondition.provenInfeasible
            solved, message = None, f"Proven infeasible before the search: {error}."
        except OutOfTime:
            results = Results()
            results.termination_condition = TerminationCondition.maxTimeLimit
            minimised = any(o.sense == minimize for o in model.component_data_objects(Objective, active=True))
            results.objective_bound = -math.inf if minimised else math.inf
            solved, message = None, _no_plan(config)
        if solved is None or solved.outcome.plan is None:
            results.solution_loader = NoPlanLoader(model, message)
            results.extra_info.relative_gap = math.inf
        log.line(message)
        if config.tee and solved is not None and solved.outcome.ending is Ending.INFEASIBLE:
            left = math.inf if config.time_limit is None else config.time_limit - timings.elapsed()
            for line in lines_for_log(solved.problem, solved.inverse, min(left, _SECONDS_OF_WHY)):
                log.line(line)
        log.line()
        results.solver_name = self.name
        results.solver_version = self.version()
        results.extra_info.algorithm = _algorithm(config, False) if solved is None else solved.algorithm
        results.extra_info.lp_solver = solved.lp_solver if solved is not None else None
        proof = None if solved is None else solved.proof
        results.extra_info.mip_solver = proof.solver if proof is not None else None
        results.extra_info.mip_solver_choice = proof.description if proof is not None else None
        results.extra_info.nodes = proof.nodes if proof is not None else None
        results.extra_info.mip_start_objective = None
        if solved is not None and proof is not None and math.isfinite(proof.start):
            results.extra_info.mip_start_objective = solved.problem.sense * proof.start
        results.extra_info.trace = solved.trace if solved is not None else []
        results.extra_info.improvement = list(solved.outcome.steps) if solved is not None else []
        results.extra_info.message = message
        if solved is not None:
            results.extra_info.number_of_variables = solved.problem.n_onloading + solved.problem.n_offloading
            results.extra_info.number_of_constraints = solved.problem.n_rows
        self._finish(results, config, timings, message)
        results.timing_info.start_timestamp = started
        results.timing_info.wall_time = timings.elapsed()
        for phase, seconds in timings.seconds.items():
            setattr(results.timing_info, phase, seconds)
        results.solver_log = captured.getvalue()
        results.solver_config = _portable(config)
        results.value()  # Results pickle only once every value has been read.
        return results

    def _solve(self, model: BlockData, config: Any, timings: Timings, log: Log) -> _Solved:
        """Compile, choose the solvers, and run the method on arrays."""
        limit = math.inf if config.time_limit is None else config.time_limit

        def remaining() -> float:
            return limit - timings.elapsed()

        require_right_highs()  # whatever is chosen, the last resort for a placement is HiGHS
        with timings.phase("compile"):
            problem, inverse = compile_model(model, config.strict, remaining)
            require_time(remaining)
            algorithm = _algorithm(config, problem.batches is not None)
            scaled, scaling = scale(problem)
            _require_possible(scaling, inverse)
            not_linear, own = "", OwnRows(problem, scaled, scaling)
            try:
                instance = exact.Instance.of(scaled, inverse.met, own, remaining)
            except UnboundedProductError as error:
                variable = inverse.offloading[error.offloading].name
                if algorithm != "exact" or config.mip_solver == "highs":
                    raise error.named(variable) from None
                instance, not_linear = exact.Instance(scaled, own=own), error.reason(variable)
        require_time(remaining)
        linear = scaled if instance.linear is None else instance.linear
        options = dict(config.solver_options.value())

        def mip_solvers() -> Iterator[MIPSolver]:
            products = bool(len(problem.products)) and algorithm == "exact"
            size = problem if products else linear
            return choose_mip_solvers(
                config.mip_solver,
                Size(size.n_onloading + size.n_offloading, size.n_rows, products, not_linear),
                dict.fromkeys(_MIP_SOLVERS if algorithm == "exact" else (backend.name,), options),
                config.seed,
            )

        with ExitStack() as stack:
            backend = choose_backend(
                config.lp_solver,
                linear.n_onloading + linear.n_offloading,
                linear.n_rows,
                options if algorithm != "exact" else None,
                config.threads,
                config.seed,
            )
            stack.callback(backend.close)
            if config.mip_solver != "auto" and algorithm != "exact":
                next(mip_solvers())  # what cannot be used is an error before any work is done
            named = "" if model.name == "unknown" else f" on '{model.name}'"
            log.line(f"J3O {__version__}{named}")
            log.line(
                f"{problem.n_onloading} onloading and {problem.n_offloading} offloading variables, "
                f"{problem.n_rows} rows, {problem.n_nonzeros} nonzeros"
            )
            if problem.batches is not None:
                windows = len(np.unique(problem.batches.row))
                log.line(f"Batching windows: {windows}, with {len(problem.batches)} batches")
            log.line(f"LP solver: {backend.description}")
            settings = _settings(config, scaling.objective, mip_solvers, exact_follows=algorithm == "exact")
            given = _start(inverse) if config.warm_start else None
            proof = None
            if algorithm == "exact":
                outcome, trace, proof = exact.solve(
                    instance, mip_solvers(), backend, settings, given, config.mip_start, timings, log
                )
                proof = replace(proof, start=proof.start / scaling.objective)
                if outcome.ending is Ending.INFEASIBLE:
                    outcome = vetted(outcome, own, instance.linear, settings, timings, log)
            else:
                log.header()
                settings = replace(settings, start=given)
                outcome, trace = baj3o.solve(linear, backend, settings, timings, log, algorithm == "baj3o")
                before = instance.in_own_columns(outcome)
                outcome = vetted(before, own, linear, settings, timings, log)
                if trace and outcome is not before and outcome.plan is not None:
                    trace[-1] = _amended(trace[-1], outcome.plan, outcome.bound, scaled.sense, timings)
            outcome = scaling.invert(outcome)
            if outcome.plan is not None:
                outcome = replace(outcome, plan=_within_bounds(outcome.plan, problem))
            if outcome.ending is Ending.ITERATIONS and not _given(config, "max_iterations"):
                # Nobody asked for a limit: the default is one more way for the alternation to end.
                outcome = replace(outcome, ending=Ending.USUAL_ITERATIONS)
            unit = 1.0 / scaling.objective
            return _Solved(problem, inverse, outcome, trace, backend.name, proof, algorithm, unit, own.missed)

    def _results(self, solved: _Solved, config: Any) -> Results:
        """Turn the outcome into Pyomo's results, in the user's own sense."""
        results = Results()
        outcome, sense = solved.outcome, solved.problem.sense
        results.termination_condition = _CONDITIONS[outcome.ending]
        if outcome.ending is not Ending.INFEASIBLE:
            results.objective_bound = sense * outcome.bound
        if outcome.plan is None:
            return results
        x, y = outcome.plan.x, outcome.plan.y
        _require_feasible(solved.problem, solved.inverse, x, y)
        _require_paid(solved.problem, solved.inverse, x, y)
        value = evaluate(solved.problem, x.astype(float), y)
        bound = max(outcome.bound, value)
        gap = relative_gap(value, bound)
        results.incumbent_objective = sense * value + 0.0  # -0.0 is 0.0
        results.objective_bound = sense * bound + 0.0
        closed = gap <= config.rel_gap or bound - value <= (config.abs_gap or 0.0)
        # The proof of a MIP solver is worth its tolerances, and no more.
        allowed = rounding if solved.proof is None else exact.allowance
        closed = closed or bound - value <= solved.unit * allowed(value / solved.unit)
        results.solution_status = SolutionStatus.optimal if closed else SolutionStatus.feasible
        results.extra_info.relative_gap = gap
        results.solution_loader = J3OSolutionLoader(solved.problem, solved.inverse, x, y, outcome.duals)
        return results

    def _finish(self, results: Results, config: Any, timings: Timings, message: str) -> None:
        """Raise or load, as the options say."""
        condition = results.termination_condition
        converged = condition == TerminationCondition.convergenceCriteriaSatisfied
        if config.raise_exception_on_nonoptimal_result and not converged:
            raise NoOptimalSolutionError(
                f"{message} Set raise_exception_on_nonoptimal_result=False"
                + ("" if results.solution_loader.get_number_of_solutions() else " and load_solutions=False")
                + " to get the results all the same."
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


@contextmanager
def _log_file(path: Any) -> Iterator[TextIO]:
    """Open a file for the log; that the disk is full by the end is no reason to lose the results."""
    file = open(path, "w", encoding="utf-8")  # noqa: SIM115 (closing it may fail)
    try:
        yield file
    finally:
        with suppress(OSError):  # the log has warned of it already
            file.close()


@contextmanager
def _option_errors() -> Iterator[None]:
    """Let what Pyomo's own domains say of a value reach the user as an `OptionError`."""
    try:
        yield
    except OptionError:
        raise
    except (ValueError, TypeError) as error:
        raise OptionError(" ".join(str(error).split())) from None


def _given(config: ConfigDict, name: str) -> bool:
    """Return whether the user has set this option, be it to its default."""
    return any(option is config.get(name) for option in config.user_values())


def _require_known(config: ConfigDict, given: Mapping[str, Any]) -> None:
    for name in given:
        if name not in config:
            raise OptionError(_unknown(config, name))


def _unknown(config: ConfigDict, name: Any) -> str:
    """Say that there is no such option, and which one may be meant."""
    meant = _ELSEWHERE.get(str(name).lower()) or get_close_matches(str(name), config.keys(), 1)
    hint = f"did you mean {meant[0]!r}? It has" if meant else "it has"
    return (
        f"option {name!r} is unknown to j3o; {hint} {', '.join(sorted(config.keys()))}. Options of "
        "the LP or MIP solver go into solver_options."
    )


def _require_possible(scaling: Scaling, inverse: Inverse) -> None:
    """Raise if a row of whole numbers has sides that no sum of them lies between."""
    for row, unit in scaling.crossed[:1]:
        raise TriviallyInfeasibleError(
            f"constraint '{inverse.rows[row].name}' can never hold: it has onloading variables alone, its "
            f"coefficients are multiples of {unit:g}, and no multiple lies between its sides; "
            "change a side"
        )


def _algorithm(config: Any, windows: bool) -> str:
    """Return the algorithm that `auto` stands for, given whether the model has a batching window."""
    if config.algorithm == "auto":
        return "baj3o" if windows else "j3o"
    return str(config.algorithm)


def _settings(
    config: Any,
    factor: float,
    mip_solvers: Callable[[], Iterator[MIPSolver]],
    exact_follows: bool,
) -> method.Settings:
    """Return the settings of the method in the units of the scaled objective, `factor` times the user's."""
    limit = math.inf if config.time_limit is None else config.time_limit
    return method.Settings(
        stopping.usual(
            config.rel_gap,
            config.abs_gap or 0.0,
            limit,
            config.max_iterations,
            config.improve,
            config.stop,
        ),
        config.rel_gap,
        (config.abs_gap or 0.0) * factor,
        limit,
        config.improve,
        config.bound,
        config.onloading_step,
        config.callback,
        None,
        config.max_iterations,
        config.threads,
        # What it could improve, the exact solver proves.
        None if exact_follows else mip_solvers,
    )


def _start(inverse: Inverse) -> BoolArray | None:
    x, _ = inverse.warm_start()
    return None if x is None else np.nan_to_num(x, nan=0.0) > 0.5


class _PlanRefusedError(BackendError):
    """A plan misses a row of the user's model."""


def _falls_back_on_highs(config: Any) -> bool:
    """Let HiGHS take the place of Gurobi where the choice was ours; return whether that changes anything."""
    chosen = [name for name in ("lp_solver", "mip_solver") if config[name] == "auto"]
    for name in chosen:
        config[name] = "highs"
    return bool(chosen) and not gurobi.unavailable(1, 1)


def _require_feasible(problem: Problem, inverse: Inverse, x: BoolArray, y: FloatArray) -> None:
    """Check the plan on the arrays of the user's model, products and all, before anything is loaded."""
    missed = first_missed(problem, x, y)
    if missed is not None:
        raise _PlanRefusedError(
            f"the plan that the solver behind j3o returned misses {_named(missed, problem, inverse)}; scale "
            "the model's coefficients, or tighten that solver's feasibility tolerance through solver_options"
        )


def _named(missed: tuple[int, float], problem: Problem, inverse: Inverse) -> str:
    """Return the row or bound that a plan misses, in the user's name of it, and by how much."""
    worst, amount = missed
    if worst < problem.n_rows:
        name = f"constraint '{inverse.rows[worst].name}'"
    else:
        variables = [*inverse.onloading, *inverse.offloading]
        name = f"the bounds of '{variables[worst - problem.n_rows].name}'"
    return f"{name} by {amount:.1e}"


def _require_paid(problem: Problem, inverse: Inverse, x: BoolArray, y: FloatArray) -> None:
    """Check windows by their definition: what is in no batch that is paid for is nothing, and no rounding."""
    batches = problem.batches
    if batches is None:
        return
    for b in np.flatnonzero(~x[batches.indicator] & ~empty(batches.rates(y)))[:1]:
        raise BackendError(
            f"the plan that the solver behind j3o returned sends {batches.rates(y)[b]:.1e} queries/s to a "
            f"batch whose '{inverse.onloading[batches.indicator[b]].name}' is 0, within its tolerance; "
            "scale the model so that such a rate is not of the size of rounding"
        )


def _within_bounds(plan: Plan, problem: Problem) -> Plan:
    """Return the plan with what misses a bound of y by a tolerance at that bound."""
    return replace(plan, y=np.clip(plan.y, problem.offloading_lower, problem.offloading_upper))


def _amended(record: Record, plan: Plan, bound: float, sense: float, timings: Timings) -> Record:
    """Return the last record with the plan and the bound that the solve ends with."""
    return replace(
        record,
        incumbent=sense * plan.objective,
        bound=sense * bound,
        relative_gap=relative_gap(plan.objective, bound),
        time=timings.elapsed(),
    )


def _explanation(solved: _Solved, config: Any, model: BlockData) -> str:
    """Return one sentence that says how the solve ended and, where it is short of a plan, what to do."""
    outcome = solved.outcome
    if outcome.ending is Ending.INFEASIBLE:
        return (
            f"Model '{model.name}' is proven infeasible: no placement and routing satisfies all constraints; "
            "pyomo_j3o.explain_infeasibility(model) names those that conflict."
        )
    if outcome.ending is Ending.UNBOUNDED:
        variables = solved.inverse.offloading
        names = [f"'{variables[j].name}'" for j in outcome.ray if j < len(variables)]
        which = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        along, them = (f" along {which}", "these") if names else ("", "the offloading")
        return (
            f"The objective of model '{model.name}' is unbounded: it improves without end{along}; "
            f"bound {them} variables, or check the sense of the objective."
        )
    if outcome.plan is None:
        if outcome.ending is Ending.INTERRUPTED:
            return "Interrupted before any plan was found."
        if outcome.ending is Ending.REFUSED:
            return _refused(solved)
        if outcome.ending is Ending.LIMIT:
            return (
                "No plan was found within a limit set in solver_options, nor proven that there is none; "
                "raise that limit."
            )
        return _no_plan(config)
    gap = relative_gap(outcome.plan.objective, outcome.bound)
    certainty = f"gap {100 * gap:.2f}%" if np.isfinite(gap) else _no_bound(config)
    value = f"objective {solved.problem.sense * outcome.plan.objective + 0.0:.8g}"
    if outcome.ending is Ending.GAP:
        within = f" within rel_gap={config.rel_gap:g}" if gap > 1e-4 and gap <= config.rel_gap else ""
        return f"Optimal{within}: {value}, {certainty}, proven."
    ended = f"ended by: {outcome.ending.value}"
    if outcome.steps and outcome.ending in _OF_ALTERNATION:
        ended = f"the alternation {ended}; the improvement by its limit of effort"
    return f"Feasible plan: {value}, {certainty}; {ended}."


def _refused(solved: _Solved) -> str:
    """Return one sentence on what the plans miss that the solvers took for plans, and on the remedy."""
    if solved.missed is None:
        return (
            "No plan was found that holds in every row, nor proven that there is none; rescale the model so "
            "that its coefficients and bounds are of like size."
        )
    what = _named(solved.missed, solved.problem, solved.inverse)
    variables, row = solved.inverse.offloading, solved.missed[0]
    names = _widest(solved.problem, row)
    bounds = f", and tighten the bounds of '{variables[names].name}'" if names is not None else ""
    return (
        f"No plan was found that holds in every row, nor proven that there is none: the one at hand misses "
        f"{what}, which passes for rounding in the solver's units; rescale that row{bounds}."
    )


def _widest(problem: Problem, row: int) -> int | None:
    """Return the variable of y that can contribute most to a row; None for a bound, or without y."""
    if row >= problem.n_rows:
        return None
    terms, reach = problem.products, larger_end(problem.offloading_lower, problem.offloading_upper)
    entries = problem.offloading_rows[[row]]
    size = np.zeros(problem.n_offloading)
    size[entries.indices] = np.abs(entries.data)
    mine = terms.row == row
    np.maximum.at(size, terms.offloading[mine], np.abs(terms.coefficient[mine]))
    worth = size * reach
    return int(np.argmax(worth)) if worth.max(initial=0.0) > 0 else None


def _no_plan(config: Any) -> str:
    limit = "" if config.time_limit is None else f" of time_limit={config.time_limit:g} s"
    return f"No plan was found within the limit{limit}, nor proven that there is none; raise time_limit."


def _no_bound(config: Any) -> str:
    return "no bound asked for" if config.bound == "none" else "no bound proven in time"


def _portable(config: ConfigDict) -> ConfigDict:
    """Return a copy of `config` without streams, timers and functions, so that results pickle."""
    copy = config(preserve_implicit=True)
    copy.get("tee").set_default_value([])  # the copy keeps what it was made from as its default
    copy.get("tee").reset()
    for name in ("timer", "onloading_step", "stop", "callback"):
        copy.get(name).reset()
    copy.value()
    return copy


class _MissingOptionError(OptionError, KeyError):
    """An option that is unknown was read."""

    __str__ = Exception.__str__  # a KeyError would show its sentence in quotes


class _Options(MutableMapping[str, Any]):
    """The classic ``opt.options``: the options of j3o by item or attribute.

    To set or read an unknown one is an `OptionError`; to read it is a `KeyError`, too, as in any mapping.
    """

    def __init__(self, config: ConfigDict) -> None:
        object.__setattr__(self, "_config", config)

    def __repr__(self) -> str:
        return repr(self._config.value())

    def __getitem__(self, name: str) -> Any:
        return self._config[self._known(name)]

    def __setitem__(self, name: str, value: Any) -> None:
        name = _CLASSIC_NAMES.get(name, name)
        _require_known(self._config, {name: value})
        with _option_errors():
            if name == "solver_options":
                self._config.solver_options.set_value(value)
            else:
                self._config[name] = value

    def __delitem__(self, name: str) -> None:
        self._config.get(self._known(name)).reset()

    def clear(self) -> None:
        """Give every option its default again."""
        for name in self:
            del self[name]

    def popitem(self) -> tuple[str, Any]:
        """Refuse: an option never leaves, it only goes back to its default."""
        raise OptionError("options cannot be taken out; use del or clear() to go back to defaults")

    def __iter__(self) -> Iterator[str]:
        return iter(self._config)

    def __len__(self) -> int:
        return len(self._config)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __reduce__(self) -> Any:
        return (_Options, (self._config,))

    def _known(self, name: str) -> str:
        name = _CLASSIC_NAMES.get(name, name)
        if name not in self._config:
            raise _MissingOptionError(_unknown(self._config, name))
        return name


#: What options are called elsewhere.
_ELSEWHERE = {
    "mipgap": ["rel_gap"],
    "mip_gap": ["rel_gap"],
    "ratiogap": ["rel_gap"],
    "timelimit": ["time_limit"],
    "warmstart": ["warm_start"],
    "solver": ["mip_solver"],
}

_CLASSIC_NAMES = {"timelimit": "time_limit", "warmstart": "warm_start"}

#: Keywords of classic solvers that say nothing to j3o: there is no file, and no other way in.
_WITHOUT_EFFECT = ("keepfiles", "solnfile", "report_timing", "file_determinism", "writer_config", "suffixes")


class LegacyJ3O(LegacySolverWrapper, J3O):
    """`J3O` behind Pyomo's classic interface: options by `options` or by name, classic results."""

    def __init__(self, **kwds: Any) -> None:
        self._ignore_interface(kwds.pop("solver_io", None))
        given = {_CLASSIC_NAMES.get(name, name): value for name, value in kwds.items()}
        options = _as_mapping(given.pop("options", None))
        given.pop("executable", None)  # the `pyomo` command may name one; there is none to run
        J3O.__init__(self, **given)
        object.__setattr__(self, "options", _Options(self.config))
        self._capabilities = LegacySolverWrapper._all_true()
        self.options.update(options)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "options" and name in self.__dict__:
            self.options.update(value)
        else:
            super().__setattr__(name, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__["options"] = _Options(self.config)

    def solve(self, model: BlockData, **kwds: Any) -> SolverResults:
        """Solve a model; every option of `J3O` may be given, for this call only.

        Returns
        -------
        SolverResults
            Classic results; `.j3o` holds the new ones.
        """
        self._ignore_interface(kwds.pop("solver_io", None))
        logfile = kwds.pop("logfile", None)
        timing = bool(kwds.get("report_timing"))
        call: dict[str, Any] = {}
        if not _given(self.config, "raise_exception_on_nonoptimal_result"):
            call["raise_exception_on_nonoptimal_result"] = False
        for source in (_as_mapping(kwds.pop("options", None)), kwds):
            for name, value in source.items():
                if name in _WITHOUT_EFFECT or (value is None and name in ("timelimit", "solver_options")):
                    continue
                call[_CLASSIC_NAMES.get(name, name)] = value
        load = call.get("load_solutions", self.config.load_solutions)
        with ExitStack() as stack:
            if logfile is not None:
                streams = call.get("tee", self.config.tee)
                streams = list(streams) if isinstance(streams, (list, tuple)) else [streams]
                call["tee"] = [*streams, stack.enter_context(_log_file(logfile))]
            results = J3O.solve(self, model, **call)
        classic, solution = self._map_results(model, results)
        for number in ("number_of_variables", "number_of_constraints"):
            if number in results.extra_info:
                setattr(classic.problem, number, results.extra_info[number])
        message = results.extra_info.message
        if results.solution_status == SolutionStatus.feasible:
            # Whoever reads the classic condition `optimal` of a converged solve finds the truth beside it.
            message = f"NOT proven optimal. {message}"
        classic.solver.message = classic.solver.termination_message = message
        classic.solver.wallclock_time = results.timing_info.wall_time
        classic = self._solution_handler(load, model, results, classic, solution)
        classic.j3o = results
        if timing:
            print("\n".join(f"{name:>10} {results.timing_info[name]:8.3f} s" for name in PHASES))
        return classic

    def _solution_handler(
        self,
        load_solutions: bool,
        model: BlockData,
        results: Results,
        legacy_results: SolverResults,
        legacy_soln: Any,
    ) -> SolverResults:
        """Put an unloaded plan where ``model.solutions.load_from(results)`` finds it."""
        legacy_results._smap_id = None
        if results.incumbent_objective is None:
            pass
        elif load_solutions:
            # What the `pyomo` command reports of a solve is what the model notes of its solutions.
            if hasattr(model, "solutions"):
                legacy_soln._cuid = False
                model.solutions.clear()
                model.solutions.add_solution(legacy_soln, None, cache={None: None})
        else:
            _store(results.solution_loader, model, legacy_results, legacy_soln)
        legacy_results.timing_info = results.timing_info.value()
        return legacy_results

    def set_options(self, options: Any) -> None:
        """Take options from the `pyomo` command: a mapping, or a string "name=value name=value"."""
        given = {name: value for name, value in _as_mapping(options).items() if value is not None}
        if "tee" in given:
            given["tee"] = _Truth("tee")(given["tee"])
        with _option_errors():
            self.options.update(given)

    def warm_start_capable(self) -> bool:
        """Return True: see the option `warm_start`."""
        return True

    @staticmethod
    def _ignore_interface(solver_io: Any) -> None:
        """Take any ``solver_io``: code that serves many solvers, oemof.solph for one, always names a file."""
        if solver_io is not None:
            logger.debug("solver_io=%r says nothing to j3o, which reads the model itself.", solver_io)


def _as_mapping(options: Any) -> Mapping[str, Any]:
    """Read options as the classic interface and the `pyomo` command give them."""
    if options is None:
        return {}
    if isinstance(options, ConfigDict):
        return dict(options.value())
    if isinstance(options, str):
        options = [part.partition("=") for part in options.split()]
        if all(middle for _, middle, _ in options):
            return {name: value for name, _, value in options}
    elif isinstance(options, Mapping):
        return options
    raise OptionError(f"options={options!r} cannot be read; give a dictionary, or 'name=value name=value'")


def _store(loader: SolutionLoader, model: BlockData, results: SolverResults, solution: Any) -> None:
    from pyomo.core.base import SymbolMap
    from pyomo.core.base.label import NumericLabeler

    symbols = solution.symbol_map = SymbolMap()
    symbols.default_labeler = NumericLabeler("x")
    for variable, value in loader.get_vars().items():
        solution.variable[symbols.getSymbol(variable)] = {"Value": value}
    if _imports(model, "dual"):
        for constraint, value in loader.get_duals().items():
            solution.constraint[symbols.getSymbol(constraint)] = {"Dual": value}
    if _imports(model, "rc"):
        for variable, value in loader.get_reduced_costs().items():
            solution.variable[symbols.getSymbol(variable)]["Rc"] = value
    results.solution.insert(solution)
    results._smap_id = id(symbols)
    results._smap = symbols


def _imports(model: BlockData, name: str) -> bool:
    suffix = model.component(name)
    return isinstance(suffix, Suffix) and suffix.import_enabled()


def _preset(algorithm: str) -> J3OConfig:
    """Return the options with another default of `algorithm`."""
    config = J3OConfig()
    config.get("algorithm").set_default_value(algorithm)
    config.get("algorithm").reset()
    return config


class ExactJ3O(J3O):
    """`J3O` with ``algorithm="exact"``: the same annotated model, solved by a MIP solver."""

    CONFIG = _preset("exact")
    name = "j3o.exact"


class LegacyExactJ3O(LegacyJ3O, ExactJ3O):
    """`ExactJ3O` behind Pyomo's classic interface."""

    CONFIG = ExactJ3O.CONFIG
    name = ExactJ3O.name


SolverFactory.register(
    "j3o", doc="J3O: joint onloading (placement) and offloading (routing), with a proven bound"
)(J3O, LegacyJ3O)


class BatchingJ3O(J3O):
    """`J3O` with ``algorithm="baj3o"``: aware of what a batch costs to set up."""

    CONFIG = _preset("baj3o")
    name = "j3o.baj3o"


class LegacyBatchingJ3O(LegacyJ3O, BatchingJ3O):
    """`BatchingJ3O` behind Pyomo's classic interface."""

    CONFIG = BatchingJ3O.CONFIG
    name = BatchingJ3O.name


SolverFactory.register("j3o.baj3o", doc="J3O with batching windows: set-up of batches by BAJ3O's surrogate")(
    BatchingJ3O, LegacyBatchingJ3O
)
SolverFactory.register(
    "j3o.exact",
    doc="The model of J3O as a MILP or MIQCP, by Gurobi, HiGHS or SCIP, with J3O's plan as a start",
)(ExactJ3O, LegacyExactJ3O)
