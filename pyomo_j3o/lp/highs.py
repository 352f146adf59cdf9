"""HiGHS behind the LP protocol: highspy on arrays, in threads of its own."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import highspy
import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from pyomo_j3o.core.problem import FloatArray
from pyomo_j3o.errors import BackendError, OptionError
from pyomo_j3o.lp.base import (
    LinearModel,
    LPSolution,
    LPStatus,
    SolverOptions,
    Statuses,
)
from pyomo_j3o.lp.highs_basis import Basis, basis_from, statuses_of
from pyomo_j3o.lp.highs_options import refuse_options
from pyomo_j3o.lp.known_case import KNOWN_CASE, require_right
from pyomo_j3o.lp.worker import Workers

#: What ends a solve that was asked to stop early.
_STOPPED = {
    highspy.HighsModelStatus.kObjectiveBound: LPStatus.STOPPED,
    highspy.HighsModelStatus.kIterationLimit: LPStatus.STOPPED,
}

#: Ctrl-C ends an LP of more columns and rows than this; a smaller one is over before it is asked at every
#: iteration whether it should end.
LARGE = 20_000

#: Smaller entries of a matrix count as 0.
_SMALLEST = 1e-12

#: Larger entries of a matrix are refused, and larger sides, bounds and costs count as infinite: by default
#: from 1e15 and 1e20 on, which a row of few and large units reaches.
_LARGEST = 1e100

#: HiGHS's largest number of iterations.
_NO_LIMIT = 2**31 - 1

#: Where HiGHS loses its way in an LP, it is solved once more from scratch in one of these ways: the dual
#: simplex method after presolve has been seen to fail on LPs of seven rows that other ways take with ease.
_OTHER_WAYS: tuple[SolverOptions, ...] = (
    {},
    {"presolve": "off"},
    {"presolve": "off", "simplex_strategy": 4},
)

#: What helps where figures are too far apart.
_REMEDY = "write constraints and objective in units in which their figures are nearer to 1"

_STATUS = {
    highspy.HighsModelStatus.kOptimal: LPStatus.OPTIMAL,
    highspy.HighsModelStatus.kModelEmpty: LPStatus.OPTIMAL,
    highspy.HighsModelStatus.kInfeasible: LPStatus.INFEASIBLE,
    highspy.HighsModelStatus.kUnbounded: LPStatus.UNBOUNDED,
    highspy.HighsModelStatus.kTimeLimit: LPStatus.TIME_LIMIT,
}


@functools.cache
def version() -> tuple[int, int, int]:
    """Return the version of the HiGHS library in use."""
    highs = QuietHighs()
    return (highs.versionMajor(), highs.versionMinor(), highs.versionPatch())


def name_and_version() -> str:
    """Return name and version of the HiGHS library in use."""
    return "HiGHS " + ".".join(map(str, version()))


@functools.cache
def _require_right_lp() -> None:
    """Solve an LP with a known optimum, once in a process; raise if HiGHS gives another."""
    program = HighsProgram(KNOWN_CASE)
    try:
        require_right(name_and_version(), "highspy", program.solve().objective)
    finally:
        program.close()


class HighsBackend:
    """Opens LPs on HiGHS."""

    name = "highs"
    parallel = True

    def __init__(self, options: SolverOptions | None = None, seed: int = 0, reason: str = "") -> None:
        refuse_options(options or {})
        self._given = options, seed, reason
        self._options = {"random_seed": seed, **(options or {})}
        self._workers = Workers()
        self.description = name_and_version() + (f" ({reason})" if reason else "")
        if options:
            new_highs(self._options)  # an unknown option is an error here, before any work is done
        _require_right_lp()

    def open(self, model: LinearModel) -> HighsProgram:
        """Return a `HighsProgram` loaded with `model`."""
        return HighsProgram(model, self._options, self._workers)

    def __reduce__(self) -> tuple[Any, ...]:
        return HighsBackend, self._given

    def close(self) -> None:
        """End the threads that its programs ran in."""
        self._workers.close()


class HighsProgram:
    """One LP in HiGHS.

    HiGHS keeps one task scheduler per calling thread and refuses another number of threads on it. All
    calls therefore run in threads where nothing but LPs with the same options runs: whatever the user ran
    before with HiGHS, or will run after, with any ``threads``, stays possible. It also leaves the calling
    thread free to take Ctrl-C, which stops the running solve.

    Parameters
    ----------
    model
        The LP.
    options
        Of HiGHS.
    workers
        Threads that it shares with other LPs of these options; None for its own.
    """

    def __init__(
        self, model: LinearModel, options: SolverOptions | None = None, workers: Workers | None = None
    ) -> None:
        self.name = "HiGHS"
        self._objective = model.objective
        self._lower, self._upper = model.lower, model.upper
        self._row_lower, self._row_upper = model.row_lower, model.row_upper
        self._interrupted = threading.Event()
        self._workers, self._alone = workers or Workers(), workers is None
        self._highs = new_highs(options or {})
        self._iteration_limit = (options or {}).get("simplex_iteration_limit", _NO_LIMIT)
        # Steepest-edge weights are computed anew for a basis from outside: that costs more than they save.
        self._devex = "simplex_dual_edge_weight_strategy" not in (options or {})
        # The simplex method also serves small changes of bounds from the last basis.
        self._asks = model.n_columns + model.n_rows > LARGE
        if self._asks:
            self._highs.cbSimplexInterrupt.subscribe(self._check_interrupt)
        pass_model(self._highs, model)

    def set_column_bounds(self, lower: FloatArray, upper: FloatArray) -> None:
        """Replace the bounds of all columns."""
        moved = np.flatnonzero((lower != self._lower) | (upper != self._upper)).astype(np.int32)
        if len(moved):
            _check(self._highs.changeColsBounds(len(moved), moved, lower[moved], upper[moved]))
            self._lower, self._upper = lower.copy(), upper.copy()

    def set_row_bounds(self, lower: FloatArray, upper: FloatArray) -> None:
        """Replace the bounds of all rows."""
        moved = np.flatnonzero((lower != self._row_lower) | (upper != self._row_upper)).astype(np.int32)
        if len(moved):
            # The method is missing in the stubs of highspy.
            highs: Any = self._highs
            _check(highs.changeRowsBounds(len(moved), moved, lower[moved], upper[moved]))
            self._row_lower, self._row_upper = lower.copy(), upper.copy()

    def set_objective(self, objective: FloatArray) -> None:
        """Replace the objective."""
        n = len(objective)
        self._objective = objective
        _check(self._highs.changeColsCost(n, np.arange(n, dtype=np.int32), -objective))

    def add_rows(self, matrix: sparse.csr_array, lower: FloatArray, upper: FloatArray) -> None:
        """Append rows; the basis is extended by their slacks."""
        self._row_lower = np.concatenate([self._row_lower, lower])
        self._row_upper = np.concatenate([self._row_upper, upper])
        rows = sparse.csr_array(matrix)
        _check(
            self._highs.addRows(
                rows.shape[0],
                lower,
                upper,
                rows.nnz,
                rows.indptr[:-1].astype(np.int32),
                rows.indices.astype(np.int32),
                rows.data,
            )
        )

    def basis(self) -> Any:
        """Return the basis of the last optimum."""
        return Basis(self._highs.getBasis(), len(self._lower), len(self._row_lower))

    def set_basis(self, basis: Any) -> None:
        """Start the next solve from `basis`; what it does not know yet starts out of it."""
        columns, rows = len(self._lower) - basis.columns, len(self._row_lower) - basis.rows
        if columns or rows:
            basis.extend(columns, rows)
        if self._devex:
            self._highs.setOptionValue("simplex_dual_edge_weight_strategy", 1)
        _check(self._highs.setBasis(basis.statuses))

    def statuses(self) -> Statuses:
        """Return the basis of the last optimum as arrays."""
        return statuses_of(self._highs.getBasis())

    def start_from(self, statuses: Statuses) -> None:
        """Start the next solve from a basis that HiGHS mends."""
        _check(self._highs.setBasis(basis_from(statuses)))

    def farkas(self) -> FloatArray | None:
        """Return multipliers of the rows that show that the last LP was infeasible, if they are known."""
        # The methods are missing in the stubs of highspy.
        highs: Any = self._highs
        _, known = highs.getDualRayExist()
        if not known:
            return None
        _, known, ray = highs.getDualRay()
        return -np.array(ray) if known else None

    def solve(
        self, time_limit: float = np.inf, cutoff: float = -np.inf, iterations: int | None = None
    ) -> LPSolution:
        """Solve from the last basis within `time_limit` seconds."""
        if time_limit <= 0:
            return LPSolution.without_values(LPStatus.TIME_LIMIT)
        highs = self._highs
        if cutoff > -np.inf or iterations is not None:
            highs.setOptionValue("objective_bound", -cutoff)
            highs.setOptionValue("simplex_iteration_limit", _NO_LIMIT if iterations is None else iterations)
            try:
                return self._solution(self._run(time_limit, _STATUS | _STOPPED))
            finally:
                highs.setOptionValue("objective_bound", np.inf)
                highs.setOptionValue("simplex_iteration_limit", self._iteration_limit)
        return self._solution(self._run(time_limit))

    def _solution(self, status: LPStatus) -> LPSolution:
        if not len(self._lower) and np.any((self._row_lower > 0) | (self._row_upper < 0)):
            status = LPStatus.INFEASIBLE  # HiGHS calls a model without columns empty, whatever its rows say
        info = self._highs.getInfo()
        done = max(int(info.simplex_iteration_count), 0)
        if status in (LPStatus.STOPPED, LPStatus.INFEASIBLE, LPStatus.TIME_LIMIT):
            duals = -np.array(self._highs.getSolution().row_dual)
            if len(duals) == len(self._row_lower) and np.all(np.isfinite(duals)):
                return replace(LPSolution.without_values(status, done), row_duals=duals)
        if status is not LPStatus.OPTIMAL:
            return LPSolution.without_values(status, done)
        solution = self._highs.getSolution()
        return LPSolution(
            status,
            -info.objective_function_value,
            np.array(solution.col_value),
            -np.array(solution.row_dual),
            -np.array(solution.col_dual),
            done,
        )

    def close(self) -> None:
        """Free the model, and end its threads if no other LP uses them."""
        if self._alone:
            self._workers.close()
        # HiGHS, its callbacks, and this object hold one another, which no garbage collection undoes.
        if self._asks:
            self._highs.cbSimplexInterrupt.unsubscribe(self._check_interrupt)
        self._highs.clear()

    def _run(
        self, time_limit: float, statuses: Mapping[highspy.HighsModelStatus, LPStatus] = _STATUS
    ) -> LPStatus:
        highs = self._highs
        end = time.perf_counter() + time_limit
        status = self._run_in_thread(end)
        if status == highspy.HighsModelStatus.kUnboundedOrInfeasible:
            highs.setOptionValue("presolve", "off")
            status = self._run_in_thread(end)
            highs.setOptionValue("presolve", "choose")
        if status == highspy.HighsModelStatus.kUnboundedOrInfeasible:
            return self._without_objective(end)
        for options in _OTHER_WAYS:
            if status in statuses or status == highspy.HighsModelStatus.kUnboundedOrInfeasible:
                break
            status = self._run_from_scratch(options, end)
        if status == highspy.HighsModelStatus.kUnboundedOrInfeasible:
            return self._without_objective(end)
        if status == highspy.HighsModelStatus.kUnknown and self._feasible_in_both():
            return LPStatus.OPTIMAL
        if status not in statuses:
            raise BackendError(
                f"HiGHS stopped with status '{highs.modelStatusToString(status)}' on an LP of "
                f"{_described(highs.getLp())}; {_REMEDY}, or set lp_solver='gurobi'."
            )
        return statuses[status]

    def _feasible_in_both(self) -> bool:
        """Return whether the point and its duals are feasible.

        HiGHS calls an optimum unknown where the objectives of the two differ by the rounding of huge duals.
        Plans and bounds are checked elsewhere, whatever the status.
        """
        info, feasible = self._highs.getInfo(), highspy.SolutionStatus.kSolutionStatusFeasible
        return bool(info.primal_solution_status == feasible and info.dual_solution_status == feasible)

    def _run_from_scratch(self, options: SolverOptions, end: float) -> highspy.HighsModelStatus:
        """Solve without the basis at hand, with some options changed for this once."""
        highs = self._highs
        before = {name: highs.getOptionValue(name)[1] for name in options}
        highs.clearSolver()
        for name, value in options.items():
            highs.setOptionValue(name, value)
        status = self._run_in_thread(end)
        for name, value in before.items():
            highs.setOptionValue(name, value)
        return status

    def _without_objective(self, end: float) -> LPStatus:
        """Tell unbounded from infeasible: without its objective, an unbounded problem has an optimum."""
        highs, n = self._highs, len(self._lower)
        every = np.arange(n, dtype=np.int32)
        highs.changeColsCost(n, every, np.zeros(n))
        status = self._run_in_thread(end)
        highs.changeColsCost(n, every, -self._objective)
        if status == highspy.HighsModelStatus.kOptimal:
            return LPStatus.UNBOUNDED
        return _STATUS.get(status, LPStatus.INFEASIBLE)

    def _run_in_thread(self, end: float) -> highspy.HighsModelStatus:
        highs = self._highs
        self._interrupted.clear()
        # HiGHS counts its limit from the first run of the object.
        left = max(end - time.perf_counter(), 0.0)
        limit = highs.getRunTime() + left if np.isfinite(left) else np.inf
        highs.setOptionValue("time_limit", limit)
        self._workers.run(highs.run, self._interrupted.set)
        return highs.getModelStatus()

    def _check_interrupt(self, event: highspy.highs.HighsCallbackEvent) -> None:
        if self._interrupted.is_set():
            event.interrupt()


class QuietHighs(highspy.Highs):
    """HiGHS without the banner that setting up its callbacks would print."""

    def enableCallbacks(self) -> None:
        """Set up the callbacks with the output off."""
        self.setOptionValue("output_flag", False)
        super().enableCallbacks()


def new_highs(options: SolverOptions) -> highspy.Highs:
    """Return HiGHS in one thread, unless `options` say otherwise; an unknown option is an `OptionError`."""
    highs = QuietHighs()
    highs.setOptionValue("threads", 1)
    # By default entries below 1e-9 are dropped: with a column of 1e10 that changes the problem.
    highs.setOptionValue("small_matrix_value", _SMALLEST)
    for name in ("large_matrix_value", "infinite_bound", "infinite_cost"):
        highs.setOptionValue(name, _LARGEST)
    for name, value in options.items():
        if highs.setOptionValue(name, value) != highspy.HighsStatus.kOk:
            raise OptionError(
                f"HiGHS does not take the option {name}={value!r} of solver_options; see "
                "https://ergo-code.github.io/HiGHS/dev/options/definitions/"
            )
    return highs


def pass_model(
    highs: highspy.Highs, model: LinearModel, integer: bool = False, maximise: bool = False
) -> None:
    """Load `model` into HiGHS, maximised or its negative minimised, integer columns if `integer` says so."""
    matrix = model.matrix
    row_wise = isinstance(matrix, sparse.csr_array)
    integrality = np.zeros(model.n_columns, dtype=np.int32)
    if integer and model.integer is not None:
        integrality[model.integer] = int(highspy.HighsVarType.kInteger)
    status = highs.passModel(
        model.n_columns,
        model.n_rows,
        matrix.nnz,
        int(highspy.MatrixFormat.kRowwise if row_wise else highspy.MatrixFormat.kColwise),
        int(highspy.ObjSense.kMaximize if maximise else highspy.ObjSense.kMinimize),
        0.0,
        model.objective if maximise else -model.objective,
        model.lower,
        model.upper,
        model.row_lower,
        model.row_upper,
        matrix.indptr.astype(np.int32),
        matrix.indices.astype(np.int32),
        matrix.data.astype(float),
        integrality,
    )
    if status == highspy.HighsStatus.kError:
        sizes = _sizes(matrix.data, np.concatenate([model.row_lower, model.row_upper]), model.objective)
        raise BackendError(f"HiGHS refused a model of {sizes}; {_REMEDY}.")


def _described(lp: highspy.HighsLp) -> str:
    return _sizes(lp.a_matrix_.value_, [*lp.row_lower_, *lp.row_upper_], lp.col_cost_)


def _sizes(entries: ArrayLike, sides: ArrayLike, costs: ArrayLike) -> str:
    """Name the smallest and largest figures of a model, as it is once scaled."""

    def largest(figures: ArrayLike) -> float:
        figure = np.abs(np.asarray(figures, dtype=float))
        return float(figure[np.isfinite(figure)].max(initial=0.0))

    entry = np.abs(np.asarray(entries, dtype=float))
    smallest = float(entry[entry > 0].min(initial=np.inf))
    span = f"coefficients of {smallest:.2g} to {largest(entry):.2g}, " if np.isfinite(smallest) else ""
    return f"{span}sides of up to {largest(sides):.2g} and costs of up to {largest(costs):.2g} once scaled"


def _check(status: highspy.HighsStatus) -> None:
    if status == highspy.HighsStatus.kError:
        raise BackendError(f"HiGHS refused a change of the LP; {_REMEDY}.")
