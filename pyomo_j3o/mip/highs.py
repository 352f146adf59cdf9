"""HiGHS behind the MIP protocol: highspy on arrays, in a thread of its own."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import highspy
import numpy as np

from pyomo_j3o.core.deadline import OutOfTime
from pyomo_j3o.errors import BackendError
from pyomo_j3o.lp.base import LPStatus, SolverOptions
from pyomo_j3o.lp.highs import LARGE, name_and_version, new_highs, pass_model
from pyomo_j3o.lp.highs_options import refuse_options
from pyomo_j3o.lp.known_case import KNOWN_CASE, require_right
from pyomo_j3o.lp.worker import Worker
from pyomo_j3o.mip.base import Limits, MIPModel, MIPSolution, Start, Write
from pyomo_j3o.mip.monitor import Monitor
from pyomo_j3o.mip.params import HighsParams

_MODEL_STATUS = highspy.HighsModelStatus

_MIP_INTERRUPT = highspy.cb.HighsCallbackType.kCallbackMipInterrupt

_STATUS = {
    _MODEL_STATUS.kOptimal: LPStatus.OPTIMAL,
    _MODEL_STATUS.kModelEmpty: LPStatus.OPTIMAL,
    _MODEL_STATUS.kInfeasible: LPStatus.INFEASIBLE,
    _MODEL_STATUS.kUnbounded: LPStatus.UNBOUNDED,
    _MODEL_STATUS.kTimeLimit: LPStatus.TIME_LIMIT,
    _MODEL_STATUS.kSolutionLimit: LPStatus.STOPPED,
    _MODEL_STATUS.kIterationLimit: LPStatus.STOPPED,
    _MODEL_STATUS.kObjectiveBound: LPStatus.STOPPED,
    _MODEL_STATUS.kObjectiveTarget: LPStatus.STOPPED,
    _MODEL_STATUS.kMemoryLimit: LPStatus.STOPPED,
    _MODEL_STATUS.kInterrupt: LPStatus.INTERRUPTED,
}

#: Where the limit is short for the size, what does not look at the clock is left out: both presolves, of the
#: MIP and of its first LP, and the analytic centre in a thread of its own.
_SHORT = {"presolve": "off", "mip_root_presolve_only": True, "threads": 1}

#: Entries below this HiGHS drops by default; so it does here, unless the model has any.
_DROPPED = 1e-9

#: From a start near the optimum on, what HiGHS spends on sub-MIPs and on restarts of its root is a third to
#: two thirds of its time, and often finds what is there already. Where it does not, the search is given back.
_PROOF_ONLY = {
    "mip_heuristic_effort": 0.0,
    "mip_heuristic_run_rens": False,
    "mip_heuristic_run_rins": False,
    "mip_heuristic_run_root_reduced_cost": False,
    "mip_allow_restart": False,
}

#: Without a start, HiGHS keeps what finds a plan at its root. In small models of many kinds, what is left out
#: takes a quarter to a half of the time to a small gap.
_LEAN = {
    "mip_heuristic_run_rins": False,
    "mip_heuristic_run_root_reduced_cost": False,
    "mip_allow_restart": False,
}

#: For a MIP of some hundred columns. What is learnt there of branching, or of symmetry, pays on larger ones.
_PLAIN = {
    **_PROOF_ONLY,
    "mip_heuristic_run_feasibility_jump": False,
    "mip_root_presolve_only": True,
    "mip_pscost_minreliable": 0,
    "mip_detect_symmetry": False,
}

#: Nonzeros. A plain MIP with no more is over before anybody could interrupt it: asking whether somebody did
#: takes a sixth of its time.
_AT_ONCE = 2_000

#: Tolerances of integrality and of rows, and of duals in presolve.
_TIGHT = {
    "mip_feasibility_tolerance": 1e-9,
    "primal_feasibility_tolerance": 1e-9,
    "dual_feasibility_tolerance": 1e-10,
}

#: HiGHS's own. The dual tolerance of its LPs is this fraction of the MIP's tolerance.
_DEFAULT = {"mip_feasibility_tolerance": 1e-6, "dual_feasibility_tolerance": 1e-7}
_OF_LPS = 0.1


@functools.cache
def require_right_highs() -> None:
    """Solve a MIP with a known optimum, once in a process, in a thread of its own.

    Raises
    ------
    BackendError
        HiGHS gives another optimum, as 1.14.0 does.
    """
    highs, thread = new_highs({}), Worker()
    pass_model(highs, KNOWN_CASE, integer=True)
    try:
        thread.run(highs.run, lambda: None)  # over in a millisecond, Ctrl-C or not
    finally:
        thread.close()
    solved = highs.getModelStatus() == _MODEL_STATUS.kOptimal
    objective = -highs.getInfo().objective_function_value if solved else np.nan
    require_right(name_and_version(), "highspy", objective)


class HighsMIP:
    """Solves MIPs with HiGHS; products are to be linearised first.

    Parameters
    ----------
    options
        Passed to HiGHS.
    seed
        Random seed.
    reason
        Why HiGHS was taken, for the log.
    params
        What it is asked to do in a short time, and when a proof is stuck.
    """

    name = "highs"
    parallel = True
    title = "HiGHS"
    takes_products = False
    small = 2_000

    def __init__(
        self,
        options: SolverOptions | None = None,
        seed: int = 0,
        reason: str = "",
        params: HighsParams = HighsParams(),
    ) -> None:
        refuse_options(options or {})
        self._own = dict(options or {})
        self._seed = seed
        self._params = params
        self.description = name_and_version() + (f" ({reason})" if reason else "")
        if self._own:
            new_highs(self._own)  # an unknown option is an error here, before any work is done
        require_right_highs()

    def dual_tolerance(self, tight: bool) -> float:
        """Return the tolerance of duals: the larger one of presolve's and of the LPs'."""
        options = {**_DEFAULT, **(_TIGHT if tight else {}), **self._own}
        of_lps = _OF_LPS * float(options["mip_feasibility_tolerance"])
        return max(of_lps, float(options["dual_feasibility_tolerance"]))

    def solve(
        self, model: MIPModel, limits: Limits, start: Start | None = None, write: Write | None = None
    ) -> MIPSolution:
        """Solve `model`; see `MIPSolver`."""
        if len(model.products):
            raise BackendError("HiGHS does not take products; linearise the model first.")
        # 0 leaves the number to HiGHS.
        options: dict[str, Any] = {"random_seed": self._seed, "threads": limits.threads or 0}
        if np.abs(model.linear.matrix.data).min(initial=1.0) >= _DROPPED:
            # The limit holds for cuts as well, where what is below it is noise that costs time.
            options["small_matrix_value"] = _DROPPED
        if limits.tight:
            options.update(_TIGHT)
        if limits.plain:
            options.update(_PLAIN)
        size, params = model.linear.matrix.nnz, self._params
        if size > params.set_up_per_second * limits.time:
            return MIPSolution.without_values(LPStatus.TIME_LIMIT)
        if size > params.presolved_per_second * limits.time:
            options.update(_SHORT)
        if size > params.jumped_per_second * limits.time:
            options["mip_heuristic_run_feasibility_jump"] = False
        if np.isfinite(limits.time):
            end = min(size / params.ended_per_second, params.largest_end * limits.time)
            limits = replace(limits, time=limits.time - end)
        options.update(
            limits.as_options("mip_rel_gap", "mip_abs_gap", "mip_max_nodes", "mip_max_improving_sols")
        )
        begin, before = time.perf_counter(), None
        sparing = _PROOF_ONLY if start is not None and start.near_optimal else _LEAN if limits.lean else None
        if sparing is not None:
            before, stuck = self._proof(model, limits, {**options, **sparing, **self._own}, start, write)
            if before is not None and not stuck:
                return before
            if before is not None:
                if write is not None:
                    write("The proof is stuck: once more, with HiGHS's own search for plans")
                if before.found and (start is None or before.objective > model.objective_at(start.values)):
                    start = Start(before.values)
                limits = replace(limits, time=limits.time - (time.perf_counter() - begin))
        found = self._attempt(model, limits, {**options, **self._own}, start, write)
        if start is not None and found is None:
            # HiGHS 1.16 at times returns the start in place of the better point that it found.
            found = self._attempt(model, limits, {**options, **self._own}, None, write)
        assert found is not None
        if before is None:
            return found
        better = found if found.objective >= before.objective else before
        return replace(
            better,
            status=found.status,
            bound=min(found.bound, before.bound),
            nodes=found.nodes + before.nodes,
        )

    def _proof(
        self,
        model: MIPModel,
        limits: Limits,
        options: SolverOptions,
        start: Start | None,
        write: Write | None,
    ) -> tuple[MIPSolution | None, bool]:
        """Solve without most of HiGHS's own search for plans; return also whether that was given up."""
        progress = _Progress(self._params)
        found = self._attempt(model, limits, options, start, write, progress)
        return found, progress.stuck and found is not None and found.status is LPStatus.INTERRUPTED

    def _attempt(
        self,
        model: MIPModel,
        limits: Limits,
        options: SolverOptions,
        start: Start | None,
        write: Write | None,
        progress: _Progress | None = None,
    ) -> MIPSolution | None:
        """Solve once; None if the point that HiGHS returns is not the one that it speaks of."""
        highs = new_highs(options)
        pass_model(highs, model.linear, integer=True, maximise=model.maximise)
        if start is not None:
            known = highspy.HighsSolution()
            known.col_value = start.values.tolist()
            highs.setSolution(known)
        silent = self._own.get("output_flag") is False
        monitor = Monitor(None if silent else write, limits.stop)
        run = _Run(highs, model, monitor, self._params, progress, limits)
        with run.listening():
            found = run.solution(min(limits.time, float(self._own.get("time_limit", np.inf))))
            return None if start is not None and run.contradicts(found) else found


class _Progress:
    """Watches a proof: it is stuck if many more nodes leave the plan and nearly all of the gap."""

    def __init__(self, params: HighsParams) -> None:
        self.stuck = False
        self._params = params
        self._next = params.stuck_after
        self._plan = self._gap = np.inf

    def take(self, nodes: int, plan: float, bound: float) -> bool:
        """Note where the search is, and return whether it is stuck."""
        if nodes < self._next:
            return self.stuck
        gap = abs(plan - bound)
        self.stuck = self.stuck or (plan == self._plan and gap >= self._params.stuck * self._gap)
        self._next, self._plan, self._gap = self._params.stuck_factor * nodes, plan, gap
        return self.stuck


class _Run:
    """One MIP in HiGHS while it is solved."""

    def __init__(
        self,
        highs: highspy.Highs,
        model: MIPModel,
        monitor: Monitor,
        params: HighsParams,
        progress: _Progress | None,
        limits: Limits,
    ) -> None:
        self._watch = limits.watch
        self._at_once = limits.plain and model.linear.matrix.nnz <= _AT_ONCE and limits.checks is None
        self._highs = highs
        self._model = model
        self._monitor = monitor
        self._params = params
        self._progress = progress
        self._checks_left = np.inf if limits.checks is None else limits.checks
        self._interrupted = threading.Event()
        #: What ended it, once it was interrupted.
        self._ended_by = _MODEL_STATUS.kInterrupt
        self._thread = Worker()
        self._rerun = False
        self._end = np.inf

    def contradicts(self, found: MIPSolution) -> bool:
        """Return whether the point that HiGHS returned is worse than the objective that it gave."""
        if not found.found:
            return False
        told = self._model.sign * self._highs.getInfo().objective_function_value
        return bool(told > found.objective + 1e-6 * max(1.0, abs(told)))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Subscribe to HiGHS's callbacks, and free everything at the end."""
        highs, linear = self._highs, self._model.linear
        asks = [] if self._at_once else [highs.cbMipInterrupt]
        if linear.n_columns + linear.n_rows > LARGE:
            asks.append(highs.cbSimplexInterrupt)
        try:
            for callback in asks:
                callback.subscribe(self._check_interrupt)
            if self._watch is not None:
                highs.cbMipImprovingSolution.subscribe(self._show_point)
            if self._monitor.listens:
                highs.cbLogging.subscribe(self._take_text)
                highs.setOptionValue("log_to_console", False)
                highs.setOptionValue("output_flag", True)
            yield
        finally:
            try:
                self._thread.close()
            finally:
                # HiGHS, its callbacks, and this object hold one another, which no garbage collection undoes.
                for callback in asks:
                    callback.unsubscribe(self._check_interrupt)
                if self._watch is not None:
                    highs.cbMipImprovingSolution.unsubscribe(self._show_point)
                if self._monitor.listens:
                    highs.cbLogging.unsubscribe(self._take_text)
                highs.clear()

    def solution(self, time_limit: float) -> MIPSolution:
        """Solve, once more where that is needed, and read what was found; all within the limit."""
        highs = self._highs
        self._end = time.perf_counter() + max(time_limit, 1e-3)
        status = self._solve()
        info = highs.getInfo()
        nodes = max(int(info.mip_node_count), 0)
        if self._rerun or status is LPStatus.INFEASIBLE:
            return MIPSolution.without_values(status, nodes=nodes)
        bound = np.inf
        if np.any(self._model.linear.integer) and np.isfinite(info.mip_dual_bound):
            bound = self._model.sign * info.mip_dual_bound  # of an LP, HiGHS gives none
        feasible = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        if not feasible:
            return MIPSolution.without_values(status, bound, nodes)
        values = np.array(highs.getSolution().col_value)
        objective = self._model.objective_at(values)
        if status is LPStatus.OPTIMAL and not np.any(self._model.linear.integer):
            bound = objective
        return MIPSolution(status, values, objective, bound, nodes)

    def _solve(self) -> LPStatus:
        highs = self._highs
        status = self._run()
        if status == _MODEL_STATUS.kUnboundedOrInfeasible:
            highs.setOptionValue("presolve", "off")
            status = self._run()
        if status == _MODEL_STATUS.kInfeasible and highs.getInfo().mip_node_count <= 0:
            status = self._confirmed()
        if status in (_MODEL_STATUS.kUnboundedOrInfeasible, _MODEL_STATUS.kUnbounded):
            # A ray says nothing about a feasible point; without an objective there is none.
            self._rerun = True
            n = self._model.linear.n_columns
            highs.changeColsCost(n, np.arange(n, dtype=np.int32), np.zeros(n))
            # HiGHS 1.16 has crashed on badly scaled models without objective and presolve.
            highs.setOptionValue("presolve", "choose")
            status = self._run()
            if status == _MODEL_STATUS.kUnboundedOrInfeasible:
                return LPStatus.INFEASIBLE
            if status in (_MODEL_STATUS.kOptimal, _MODEL_STATUS.kSolutionLimit):
                return LPStatus.UNBOUNDED
        if status not in _STATUS:
            raise BackendError(
                f"HiGHS stopped with status '{highs.modelStatusToString(status)}'; scale the model's "
                "coefficients, or set another mip_solver."
            )
        return _STATUS[status]

    def _confirmed(self) -> highspy.HighsModelStatus:
        """Look for a point without presolve, which calls badly scaled models infeasible that are not."""
        highs = self._highs
        _, nodes = highs.getOptionValue("mip_max_nodes")
        highs.setOptionValue("presolve", "off")
        highs.setOptionValue("mip_max_nodes", min(self._params.second_look, nodes))
        self._run()
        highs.setOptionValue("mip_max_nodes", nodes)
        feasible = highs.getInfo().primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        if not feasible:
            return self._ended_by if self._interrupted.is_set() else _MODEL_STATUS.kInfeasible
        return self._run()

    def _run(self) -> highspy.HighsModelStatus:
        highs = self._highs
        if self._interrupted.is_set():
            return self._ended_by
        # HiGHS counts its limit from the first run of the object.
        left = max(self._end - time.perf_counter(), 0.0)
        limit = highs.getRunTime() + left if np.isfinite(left) else np.inf
        highs.setOptionValue("time_limit", limit)
        try:
            self._thread.run(highs.run, self._interrupted.set, self._monitor)
        except KeyboardInterrupt:
            if self._progress is not None:
                self._progress.stuck = False  # the user's word goes first
            return self._ended_by
        except OutOfTime:
            self._ended_by = _MODEL_STATUS.kTimeLimit
            return self._ended_by
        finally:
            self._monitor.flush()
        spent = self._checks_left < 0 and highs.getModelStatus() == _MODEL_STATUS.kInterrupt
        return _MODEL_STATUS.kSolutionLimit if spent else highs.getModelStatus()

    def _take_text(self, event: highspy.highs.HighsCallbackEvent) -> None:
        self._monitor.put(event.message)

    def _show_point(self, event: highspy.highs.HighsCallbackEvent) -> None:
        if self._watch is not None:
            self._watch.take(np.array(event.data_out.mip_solution, dtype=float))

    def _check_interrupt(self, event: highspy.highs.HighsCallbackEvent) -> None:
        if self._watch is not None and event.callback_type == _MIP_INTERRUPT:
            bound = event.data_out.mip_dual_bound
            self._watch.look(self._model.sign * bound if abs(bound) < highspy.kHighsInf else np.inf)
        if self._interrupted.is_set() or self._is_spent(event) or self._is_stuck(event):
            event.interrupt()

    def _is_spent(self, event: highspy.highs.HighsCallbackEvent) -> bool:
        self._checks_left -= event.callback_type == _MIP_INTERRUPT
        return self._checks_left < 0

    def _is_stuck(self, event: highspy.highs.HighsCallbackEvent) -> bool:
        if self._progress is None or event.callback_type != _MIP_INTERRUPT:
            return False
        at = event.data_out
        return self._progress.take(at.mip_node_count, at.mip_primal_bound, at.mip_dual_bound)
