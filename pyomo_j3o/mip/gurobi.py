"""Gurobi behind the MIP protocol: gurobipy's matrix interface; imported only where it is used."""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from pyomo_j3o.core.deadline import OutOfTime
from pyomo_j3o.core.problem import OBJECTIVE
from pyomo_j3o.errors import BackendError
from pyomo_j3o.lp.base import LPStatus, SolverOptions
from pyomo_j3o.lp.gurobi import LICENCE_ERRORS, environment, restore_ctrl_c, version
from pyomo_j3o.lp.known_case import KNOWN_CASE, require_right
from pyomo_j3o.lp.worker import Worker
from pyomo_j3o.mip.base import LicenceError, Limits, MIPModel, MIPSolution, Start, Write
from pyomo_j3o.mip.monitor import Monitor

#: Values of this size are Gurobi's infinity.
_INFINITE = 1e20

#: From a start near the optimum on, time goes into the proof.
_PROOF_ONLY = {"Heuristics": 0.0}


#: With its default of 1e-6, small gains of columns were seen to be lost from its bounds. It is the tightest.
_EXACT = {"OptimalityTol": 1e-9}

#: Tolerances of integrality and of rows.
_TIGHT = {"IntFeasTol": 1e-9, "FeasibilityTol": 1e-9, "IntegralityFocus": 1}


@functools.cache
def _require_right_gurobi() -> None:
    """Solve a MIP with a known optimum, once in a process; raise if Gurobi gives another."""
    import gurobipy

    model, env = MIPModel(KNOWN_CASE), environment({}, 0)
    try:
        with gurobipy.Model(env=env) as grb:
            found = _solution(grb, _fill(grb, model), model, Limits(), None)
    except gurobipy.GurobiError as error:
        if error.errno in LICENCE_ERRORS:
            return  # the model to solve will say so
        raise BackendError(f"Gurobi failed on a small MIP ({error}); set another mip_solver.") from error
    finally:
        env.close()
        restore_ctrl_c()
    if found.status is LPStatus.INTERRUPTED:
        raise KeyboardInterrupt
    solved = found.status is LPStatus.OPTIMAL
    require_right(f"Gurobi {version()}", "gurobipy", found.objective if solved else np.nan)


class GurobiMIP:
    """Solves MIPs with Gurobi; products of columns make them nonconvex MIQCPs.

    Parameters
    ----------
    options
        Gurobi's parameters.
    seed
        Random seed.
    reason
        Why Gurobi was taken, for the log.
    """

    name = "gurobi"
    parallel = False
    title = "Gurobi"
    takes_products = True
    small = 10_000

    def __init__(
        self,
        options: SolverOptions | None = None,
        seed: int = 0,
        reason: str = "",
    ) -> None:
        self._own = dict(options or {})
        self._seed = seed
        self.description = f"Gurobi {version()}" + (f" ({reason})" if reason else "")
        environment(self._own, seed).close()  # an unknown option is an error here, before any work is done
        _require_right_gurobi()

    def dual_tolerance(self, tight: bool) -> float:
        """Return the tolerance of duals, tight or not the smallest that Gurobi has."""
        return float(self._own.get("OptimalityTol", _EXACT["OptimalityTol"]))

    def solve(
        self, model: MIPModel, limits: Limits, start: Start | None = None, write: Write | None = None
    ) -> MIPSolution:
        """Solve `model`; see `MIPSolver`."""
        import gurobipy

        options: dict[str, Any] = {} if limits.threads is None else {"Threads": limits.threads}
        if start is not None and start.near_optimal:
            options.update(_PROOF_ONLY)
        if limits.tight:
            options.update(_TIGHT)
        options.update(limits.as_options("MIPGap", "MIPGapAbs", "NodeLimit", "SolutionLimit"))
        end = time.perf_counter() + min(limits.time, float(self._own.get("TimeLimit", np.inf)))
        write = write if self._own.get("OutputFlag", 1) else None
        env = environment({**options, **self._own, **_EXACT}, self._seed)
        try:
            with gurobipy.Model(env=env) as grb:
                columns = _fill(grb, model)
                if start is not None:
                    columns.Start = start.values
                limits = replace(limits, time=end - time.perf_counter())  # what filling it has left
                return _solution(grb, columns, model, limits, write)
        except gurobipy.GurobiError as error:
            if error.errno in LICENCE_ERRORS:
                raise LicenceError(
                    f"Gurobi's licence does not cover this model ({error}); set mip_solver='auto', 'highs' "
                    "or 'scip', or install a licence for this size."
                ) from error
            raise BackendError(f"Gurobi failed on the MIP ({error}); set another mip_solver.") from error
        finally:
            env.close()


def _fill(grb: Any, model: MIPModel) -> Any:
    """Put the arrays into a Gurobi model, and return its columns."""
    import gurobipy

    linear, terms = model.linear, model.products
    n, m = linear.n_columns, linear.n_rows
    kinds = np.full(n, gurobipy.GRB.CONTINUOUS)
    if linear.integer is not None:
        kinds[linear.integer] = gurobipy.GRB.INTEGER
    columns = grb.addMVar(n, lb=linear.lower, ub=linear.upper, vtype=kinds)
    grb.setMObjective(
        model.sign * _quadratic(model, OBJECTIVE) if np.any(terms.row == OBJECTIVE) else None,
        model.sign * linear.objective,
        0.0,
        columns,
        columns,
        columns,
        gurobipy.GRB.MAXIMIZE if model.maximise else gurobipy.GRB.MINIMIZE,
    )
    matrix = sparse.csr_array(linear.matrix)
    with_products = np.zeros(m, dtype=bool)
    with_products[terms.row[terms.row != OBJECTIVE]] = True
    equal = linear.row_lower == linear.row_upper
    for sense, side, mask in (
        ("=", linear.row_upper, equal),
        ("<", linear.row_upper, ~equal & np.isfinite(linear.row_upper)),
        (">", linear.row_lower, ~equal & np.isfinite(linear.row_lower)),
    ):
        rows = np.flatnonzero(mask & ~with_products)
        if len(rows):
            grb.addMConstr(matrix[rows], columns, sense, side[rows])
        for row in np.flatnonzero(mask & with_products):
            coefficients = np.zeros(n)
            entries = slice(matrix.indptr[row], matrix.indptr[row + 1])
            coefficients[matrix.indices[entries]] = matrix.data[entries]
            grb.addMQConstr(
                _quadratic(model, int(row)), coefficients, sense, side[row], columns, columns, columns
            )
    return columns


def _quadratic(model: MIPModel, row: int) -> sparse.csr_array:
    """Return the matrix of the products in one row."""
    terms, n = model.products, model.linear.n_columns
    mine = terms.row == row
    return sparse.csr_array(
        (terms.coefficient[mine], (terms.onloading[mine], terms.offloading[mine])), shape=(n, n)
    )


def _solution(grb: Any, columns: Any, model: MIPModel, limits: Limits, write: Write | None) -> MIPSolution:
    status = _run(grb, limits, write)
    if status is None:
        # Without its reductions, the presolve tells infeasible from unbounded.
        grb.setParam("DualReductions", 0)
        status = _run(grb, limits, write) or LPStatus.INFEASIBLE
    nodes = int(grb.NodeCount)
    values = np.array(columns.X) if grb.SolCount and status is not LPStatus.INFEASIBLE else np.zeros(0)
    # A nonconvex model that is unbounded may end with a point at infinity.
    if status is LPStatus.UNBOUNDED or not np.all(np.abs(values) < _INFINITE):
        # A ray says nothing about a feasible point; without an objective there is none.
        grb.setObjective(0.0)
        again = _run(grb, limits, write) or LPStatus.UNBOUNDED
        status = LPStatus.UNBOUNDED if again is LPStatus.OPTIMAL else again
        return MIPSolution.without_values(status, nodes=nodes)
    bound = _bound(grb, model, status)
    if not len(values):
        return MIPSolution.without_values(status, bound, nodes)
    objective = model.objective_at(values)
    if len(model.products) and limits.abs_gap is not None and np.isfinite(bound):
        # With an absolute gap on products, Gurobi 13 has been seen to give a bound that is too tight.
        bound = max(bound, objective + limits.abs_gap)
    return MIPSolution(status, values, objective, bound, nodes)


def _bound(grb: Any, model: MIPModel, status: LPStatus) -> float:
    """Return what Gurobi has proven; +inf if nothing."""
    import gurobipy

    if grb.Status == gurobipy.GRB.CUTOFF:
        return np.inf  # what the user cut off says nothing about the rest
    if not (grb.IsMIP or len(model.products)) and status is not LPStatus.OPTIMAL:
        return np.inf
    try:
        bound = model.sign * float(grb.ObjBound if grb.IsMIP or len(model.products) else grb.ObjVal)
    except AttributeError:
        return np.inf
    return bound if abs(bound) < gurobipy.GRB.INFINITY else np.inf


def _run(grb: Any, limits: Limits, write: Write | None) -> LPStatus | None:
    """Optimise in a thread of its own; None if Gurobi cannot tell infeasible from unbounded."""
    import gurobipy

    code = gurobipy.GRB
    monitor = Monitor(write, limits.stop)

    def listen(_: Any, where: int) -> None:
        if where == code.Callback.MESSAGE and monitor.listens:
            monitor.put(grb.cbGet(code.Callback.MSG_STRING))
        elif where == code.Callback.MIP and limits.watch is not None:
            bound = grb.cbGet(code.Callback.MIP_OBJBND)
            limits.watch.look(-grb.ModelSense * bound if abs(bound) < code.INFINITY else np.inf)
        elif where == code.Callback.MIPSOL and limits.watch is not None:
            limits.watch.take(np.array(grb.cbGetSolution(grb.getVars()), dtype=float))

    grb.setParam("TimeLimit", min(max(limits.time, 0.0), code.INFINITY))
    if monitor.listens:
        grb.setParam("LogToConsole", 0)
        grb.setParam("OutputFlag", 1)
    listens = monitor.listens or limits.watch is not None
    worker = Worker()
    try:
        worker.run(lambda: grb.optimize(listen if listens else None), grb.terminate, monitor)
    except KeyboardInterrupt:
        return LPStatus.INTERRUPTED
    except OutOfTime:
        return LPStatus.TIME_LIMIT
    finally:
        worker.close()
        monitor.flush()
    if grb.Status == code.INF_OR_UNBD:
        return None
    statuses = {
        code.OPTIMAL: LPStatus.OPTIMAL,
        code.SUBOPTIMAL: LPStatus.STOPPED,
        code.INFEASIBLE: LPStatus.INFEASIBLE,
        code.UNBOUNDED: LPStatus.UNBOUNDED,
        code.TIME_LIMIT: LPStatus.TIME_LIMIT,
        code.INTERRUPTED: LPStatus.INTERRUPTED,
    }
    at_limit = (
        code.NODE_LIMIT,
        code.SOLUTION_LIMIT,
        code.ITERATION_LIMIT,
        code.CUTOFF,
        code.USER_OBJ_LIMIT,
        code.WORK_LIMIT,
        code.MEM_LIMIT,
    )
    if grb.Status in at_limit:
        return LPStatus.STOPPED
    if grb.Status not in statuses:
        raise BackendError(
            f"Gurobi stopped with status {grb.Status}; scale the model's coefficients, or set another "
            "mip_solver."
        )
    return statuses[grb.Status]
