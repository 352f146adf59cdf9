"""SCIP behind the MIP protocol: pyscipopt, imported only where it is used."""

from __future__ import annotations

import functools
import importlib.util
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from scipy import sparse

from pyomo_j3o.core.deadline import NEVER, Deadline, OutOfTime
from pyomo_j3o.core.problem import OBJECTIVE, FloatArray
from pyomo_j3o.errors import BackendError, OptionError
from pyomo_j3o.lp.base import (
    LPStatus,
    SolverOptions,
    refuse_limits_of_objective,
    refuse_loose_tolerances,
    refuse_other_models,
)
from pyomo_j3o.lp.known_case import KNOWN_CASE, require_right
from pyomo_j3o.lp.worker import Worker
from pyomo_j3o.mip.base import Limits, MIPModel, MIPSolution, Start, Write
from pyomo_j3o.mip.monitor import Monitor

#: What SCIP takes for infinite.
_INFINITY = 1e20

#: Rows that are handed over between two looks at the clock.
_ROWS_AT_A_TIME = 1000

#: Parameters that end the search by an objective.
_LIMITS_OF_OBJECTIVE = ("limits/primal", "limits/dual", "limits/objectivestop")

#: Parameters that say from where on a number is infinite.
_OTHER_MODELS = ("numerics/infinity", "numerics/hugeval")

#: Tolerances and their defaults.
_LOOSEST = {
    "numerics/epsilon": 1e-9,
    "numerics/sumepsilon": 1e-6,
    "numerics/feastol": 1e-6,
    "numerics/dualfeastol": 1e-7,
    "numerics/checkfeastolfac": 1.0,
    "numerics/lpfeastolfactor": 1.0,
}

#: The tolerance of duals, SCIP's own and a tight one: SCIP takes costs below that for 0.
_DUAL, _DEFAULT_DUAL, _TIGHT_DUAL = "numerics/dualfeastol", 1e-7, 1e-9

_STATUS = {
    "optimal": LPStatus.OPTIMAL,
    "gaplimit": LPStatus.OPTIMAL,
    "infeasible": LPStatus.INFEASIBLE,
    "unbounded": LPStatus.UNBOUNDED,
    "timelimit": LPStatus.TIME_LIMIT,
    "userinterrupt": LPStatus.INTERRUPTED,
    "terminate": LPStatus.INTERRUPTED,
}


def unavailable() -> str:
    """Return why SCIP cannot be used, or "" if it can."""
    return "" if importlib.util.find_spec("pyscipopt") else "pyscipopt is not installed"


def _name_and_version(scip: Any) -> str:
    if hasattr(scip, "getMajorVersion"):
        version = ".".join(map(str, (scip.getMajorVersion(), scip.getMinorVersion(), scip.getTechVersion())))
    else:
        version = str(scip.version())  # pyscipopt 5.3 writes "9.02" for 9.0.2
    return f"SCIP {version}"


@functools.cache
def _require_right_scip() -> None:
    """Solve a MIP with a known optimum, once in a process; raise if SCIP gives another."""
    scip = _new_scip({"misc/catchctrlc": False})
    with _one_kind_of_error():
        _fill(scip, MIPModel(KNOWN_CASE))
        status = _run(scip, Limits(), None)
    if status is LPStatus.INTERRUPTED:
        raise KeyboardInterrupt
    solved = status is LPStatus.OPTIMAL
    require_right(_name_and_version(scip), "pyscipopt", float(scip.getObjVal()) if solved else np.nan)


class ScipMIP:
    """Solves MIPs with SCIP, products as they are; in one thread.

    Parameters
    ----------
    options
        SCIP's parameters, by their full names ("limits/nodes").
    seed
        Shifts SCIP's random seeds.
    reason
        Why SCIP was taken, for the log.
    """

    name = "scip"
    parallel = False
    title = "SCIP"
    takes_products = True
    small = 2_000

    def __init__(self, options: SolverOptions | None = None, seed: int = 0, reason: str = "") -> None:
        self._own = dict(options or {})
        self._seed = seed
        known = _new_scip(self._own)  # an unknown option is an error here, before any work is done
        self.description = _name_and_version(known) + (f" ({reason})" if reason else "")
        _require_right_scip()

    def dual_tolerance(self, tight: bool) -> float:
        """Return the tolerance of duals."""
        return float(self._own.get(_DUAL, _TIGHT_DUAL if tight else _DEFAULT_DUAL))

    def solve(
        self, model: MIPModel, limits: Limits, start: Start | None = None, write: Write | None = None
    ) -> MIPSolution:
        """Solve `model`; see `MIPSolver`."""
        with _one_kind_of_error():
            return self._solve(model, limits, start, write)

    def _solve(
        self, model: MIPModel, limits: Limits, start: Start | None, write: Write | None
    ) -> MIPSolution:
        options: dict[str, Any] = {
            # SCIP would take Ctrl-C away from Python.
            "misc/catchctrlc": False,
            "randomization/randomseedshift": self._seed,
        }
        end = time.perf_counter() + min(limits.time, float(self._own.get("limits/time", np.inf)))
        options.update(
            limits.as_options("limits/gap", "limits/absgap", "limits/totalnodes", "limits/solutions")
        )
        if limits.tight:
            options[_DUAL] = _TIGHT_DUAL
        scip = _new_scip(options)
        if start is not None and start.near_optimal:
            from pyscipopt.scip import PY_SCIP_PARAMSETTING as SCIP_PARAMSETTING

            scip.setHeuristics(SCIP_PARAMSETTING.OFF)
        _set(scip, {name: value for name, value in self._own.items() if name != "limits/time"})
        try:
            columns, epigraph = _fill(scip, model, Deadline(end - time.perf_counter()))
        except OutOfTime:
            return MIPSolution.without_values(LPStatus.TIME_LIMIT)
        if start is not None:
            _hand_over(scip, model, columns, epigraph, start.values)
        _set(scip, {"limits/time": min(max(end - time.perf_counter(), 0.0), _INFINITY)})
        status = _run(scip, limits, write)
        if status is LPStatus.UNBOUNDED:
            # A ray says nothing about a feasible point; without an objective there is none.
            scip.freeTransform()
            scip.setObjective(0.0)
            status = _run(scip, limits, write)
            return MIPSolution.without_values(
                LPStatus.UNBOUNDED if status in (LPStatus.OPTIMAL, LPStatus.UNBOUNDED) else status
            )
        nodes, bound = int(scip.getNTotalNodes()), model.sign * float(scip.getDualbound())
        bound = bound if abs(bound) < _INFINITY else np.inf
        if status is LPStatus.INFEASIBLE or not scip.getNSols():
            return MIPSolution.without_values(status, bound, nodes)
        best = scip.getBestSol()
        values = np.array([best[column] for column in columns])
        return MIPSolution(status, values, model.objective_at(values), bound, nodes)


@contextmanager
def _one_kind_of_error() -> Iterator[None]:
    """Turn what goes wrong inside SCIP into a `BackendError`; pyscipopt has no class of its own for it."""
    try:
        yield
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise BackendError(f"SCIP failed ({error}); set another mip_solver, or scale the model.") from error


def _new_scip(options: SolverOptions) -> Any:
    from pyscipopt import Model

    scip = Model()
    scip.hideOutput()
    _set(scip, options)
    return scip


def _set(scip: Any, options: SolverOptions) -> None:
    refuse_limits_of_objective(options, _LIMITS_OF_OBJECTIVE, "SCIP")
    refuse_other_models(options, _OTHER_MODELS, "SCIP")
    refuse_loose_tolerances(options, _LOOSEST, "SCIP")
    for name, value in options.items():
        try:
            scip.setParam(name, value)
        except Exception as error:  # pyscipopt raises whatever it likes
            raise OptionError(
                f"SCIP does not take the option {name}={value!r} of solver_options: {error}; see "
                "https://www.scipopt.org/doc/html/PARAMETERS.php"
            ) from None


def _fill(scip: Any, model: MIPModel, deadline: Deadline = NEVER) -> tuple[list[Any], Any]:
    """Put the arrays into SCIP; return its columns, and the one that stands for a quadratic objective.

    Raises
    ------
    OutOfTime
        The time is over before all rows are there.
    BackendError
        A coefficient is infinite to SCIP.
    """
    from pyscipopt.scip import Expr, ExprCons, Term

    linear, terms = model.linear, model.products
    figures = np.concatenate([linear.matrix.data, linear.objective, terms.coefficient])
    largest = float(np.abs(figures).max(initial=0.0))
    if largest >= _INFINITY:
        raise BackendError(
            f"SCIP takes a coefficient of {largest:.3g}, the largest of the model once it is scaled, for "
            "infinite; set another mip_solver, or write the coefficients of each row in nearer units."
        )
    integer = np.zeros(linear.n_columns, dtype=bool) if linear.integer is None else linear.integer
    columns = [
        scip.addVar(vtype="I" if whole else "C", lb=_side(low), ub=_side(high), obj=cost)
        for whole, low, high, cost in zip(
            integer.tolist(),
            linear.lower.tolist(),
            linear.upper.tolist(),
            (model.sign * linear.objective).tolist(),
            strict=True,
        )
    ]
    if model.maximise:
        scip.setMaximize()
    else:
        scip.setMinimize()
    single = [Term(column) for column in columns]
    products: dict[int, dict[Any, float]] = {}
    for row, one, other, coefficient in zip(
        terms.row.tolist(),
        terms.onloading.tolist(),
        terms.offloading.tolist(),
        terms.coefficient.tolist(),
        strict=True,
    ):
        products.setdefault(row, {})[Term(columns[one], columns[other])] = coefficient
    epigraph = None
    if OBJECTIVE in products:
        # SCIP's objective is linear: a column that is at most the products takes their place.
        epigraph = scip.addVar(vtype="C", lb=None, ub=None, obj=model.sign)
        negated = {term: -coefficient for term, coefficient in products.pop(OBJECTIVE).items()}
        scip.addCons(ExprCons(Expr({Term(epigraph): 1.0, **negated}), None, 0.0))
    matrix = sparse.csr_array(linear.matrix)
    starts, indices, data = matrix.indptr.tolist(), matrix.indices.tolist(), matrix.data.tolist()
    for row, (low, high) in enumerate(zip(linear.row_lower.tolist(), linear.row_upper.tolist(), strict=True)):
        low, high = _side(low), _side(high)
        if row % _ROWS_AT_A_TIME == 0:
            deadline.require()
        if low is None and high is None:
            continue
        entries = range(starts[row], starts[row + 1])
        body = {single[indices[entry]]: data[entry] for entry in entries}
        body.update(products.get(row, {}))
        scip.addCons(ExprCons(Expr(body), low, high))
    return columns, epigraph


def _side(bound: float) -> float | None:
    return bound if abs(bound) < _INFINITY else None


def _hand_over(scip: Any, model: MIPModel, columns: list[Any], epigraph: Any, values: FloatArray) -> None:
    """Give SCIP a point to begin with."""
    solution = scip.createSol()
    for column, value in zip(columns, values.tolist(), strict=True):
        scip.setSolVal(solution, column, value)
    if epigraph is not None:
        whole = model.objective_at(values)
        scip.setSolVal(solution, epigraph, whole - float(model.linear.objective @ values))
    scip.addSol(solution)


def _run(scip: Any, limits: Limits, write: Write | None) -> LPStatus:
    """Optimise in a thread of its own, its log read from a file meanwhile: SCIP knows no other way out."""
    monitor = Monitor(write, limits.stop)
    with tempfile.TemporaryDirectory(prefix="j3o-") as folder:
        log: TextIO | None = None
        if monitor.listens:
            path = Path(folder, "scip.log")
            path.touch()
            scip.setLogfile(str(path))
            log = path.open(encoding="utf-8", errors="replace")

        def read_on() -> None:
            if log is not None:
                monitor.put(log.read())

        def meanwhile() -> None:
            read_on()
            monitor()

        worker = Worker()
        ended_by: LPStatus | None = None
        try:
            worker.run(scip.optimizeNogil, scip.interruptSolve, meanwhile)
        except KeyboardInterrupt:
            ended_by = LPStatus.INTERRUPTED
        except OutOfTime:
            ended_by = LPStatus.TIME_LIMIT
        finally:
            worker.close()
            if log is not None:
                scip.setLogfile(None)
                read_on()
                monitor.flush()
                log.close()
    status = scip.getStatus()
    if ended_by is not None:
        return ended_by
    if status == "inforunbd":
        return LPStatus.UNBOUNDED
    if status in _STATUS:
        return _STATUS[status]
    if status.endswith("limit"):
        return LPStatus.STOPPED
    raise BackendError(
        f"SCIP stopped with status '{status}'; scale the model's coefficients, or set another mip_solver."
    )
