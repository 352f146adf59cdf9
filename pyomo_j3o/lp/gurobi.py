"""Gurobi behind the LP protocol: gurobipy's matrix interface; imported only where it is used."""

from __future__ import annotations

import functools
import signal
import threading
from typing import Any

import numpy as np
from scipy import sparse

from pyomo_j3o.core.problem import FloatArray
from pyomo_j3o.errors import BackendError, OptionError
from pyomo_j3o.lp.base import (
    LinearModel,
    LPSolution,
    LPStatus,
    SolverOptions,
    Statuses,
    refuse_limits_of_objective,
    refuse_loose_tolerances,
    refuse_other_models,
)

#: What the licence that comes with gurobipy from PyPI allows, columns and rows each.
FREE_SIZE = 2000

#: The same for columns of a model with products.
FREE_PRODUCT_SIZE = 200

#: Parameters that cut off plans by their objective.
_LIMITS_OF_OBJECTIVE = ("cutoff", "bestobjstop", "bestbdstop")

#: Parameters that scale the objective against its tolerance.
_OTHER_MODELS = ("objscale",)

#: Tolerances and their defaults.
_LOOSEST = {"feasibilitytol": 1e-6, "intfeastol": 1e-5, "optimalitytol": 1e-6}

#: Gurobi's error numbers: no licence, and a model too large for it.
LICENCE_ERRORS = (10009, 10010)

#: Gurobi's defaults are 1e-6. Beside large costs of other columns, that hides small gains.
#: In a row of small figures, it lets through a large part of what the row is there to limit.
_EXACT = {"OptimalityTol": 1e-9, "FeasibilityTol": 1e-9}


def unavailable(n_columns: int, n_rows: int, products: bool = False) -> str:
    """Return why Gurobi cannot take a model of this size, with or without products, or "" if it can."""
    try:
        import gurobipy  # noqa: F401
    except ImportError:
        return "gurobipy is not installed"
    columns = FREE_PRODUCT_SIZE if products else FREE_SIZE
    if n_columns <= columns and n_rows <= FREE_SIZE:
        return _licence_problem(0)
    problem = _licence_problem(FREE_SIZE + 1)
    if not problem:
        return ""
    if products and max(n_columns, n_rows) <= FREE_SIZE:
        problem = f"the Gurobi licence stops at {FREE_PRODUCT_SIZE} columns where there are products"
    return f"{problem}: the model has {n_columns} columns and {n_rows} rows"


def restore_ctrl_c() -> None:
    """Give SIGINT back to Python.

    While Gurobi optimises it takes SIGINT; from several threads at once it may not give it back, and Ctrl-C
    would be lost for the rest of the process. Only the main thread can mend that.
    """
    if threading.current_thread() is threading.main_thread():
        handler = signal.getsignal(signal.SIGINT)
        if handler is not None:
            signal.signal(signal.SIGINT, handler)


@functools.lru_cache(maxsize=2)
def _licence_problem(n_columns: int) -> str:
    """Return what the licence says to `n_columns`: asked once, since asking takes a licence."""
    import gurobipy

    try:
        with gurobipy.Env(params={"OutputFlag": 0}) as env, gurobipy.Model(env=env) as model:
            if n_columns:
                model.addMVar(n_columns)
            model.optimize()
    except gurobipy.GurobiError as error:
        if error.errno == LICENCE_ERRORS[1]:
            return f"the Gurobi licence stops at {FREE_SIZE} columns and rows"
        return f"Gurobi has no valid licence ({error})"
    return ""


def version() -> str:
    """Return the version of Gurobi."""
    import gurobipy

    return ".".join(map(str, gurobipy.gurobi.version()))


def environment(options: SolverOptions, seed: int) -> Any:
    """Return a silent environment with these parameters; an unknown one is an `OptionError`."""
    import gurobipy

    refuse_limits_of_objective(options, _LIMITS_OF_OBJECTIVE, "Gurobi")
    refuse_other_models(options, _OTHER_MODELS, "Gurobi")
    refuse_loose_tolerances(options, _LOOSEST, "Gurobi")
    env = gurobipy.Env(params={"OutputFlag": 0})
    env.setParam("Seed", seed % 2_000_000_000)
    for name, value in options.items():
        try:
            env.setParam(name, value)
        except (gurobipy.GurobiError, ValueError, TypeError, OverflowError) as error:
            env.close()
            raise OptionError(f"Gurobi does not take {name}={value!r}: {error}; give another") from None
    return env


class GurobiBackend:
    """Opens LPs on Gurobi, all in one environment."""

    name = "gurobi"
    parallel = False  # its environment serves one thread at a time

    def __init__(
        self,
        options: SolverOptions | None = None,
        threads: int | None = None,
        seed: int = 0,
        reason: str = "",
    ) -> None:
        self.description = f"Gurobi {version()}" + (f" ({reason})" if reason else "")
        own = {"Threads": threads} if threads else {}
        self._env = environment({**_EXACT, **own, **(options or {})}, seed)

    def open(self, model: LinearModel) -> GurobiProgram:
        """Return a `GurobiProgram` loaded with `model`."""
        return GurobiProgram(model, self._env)

    def close(self) -> None:
        """Give the licence back."""
        self._env.close()


class GurobiProgram:
    """One LP in Gurobi. A row with two finite, different sides is stored as two constraints."""

    def __init__(self, model: LinearModel, env: Any) -> None:
        import gurobipy

        self.name = "Gurobi"
        self._grb = gurobipy.GRB
        self._model = gurobipy.Model(env=env)
        self._columns: Any = self._model.addMVar(
            model.n_columns, lb=model.lower, ub=model.upper, obj=-model.objective
        )
        self._n_rows = 0
        self._blocks: list[tuple[Any, np.ndarray, str]] = []
        self.add_rows(sparse.csr_array(model.matrix), model.row_lower, model.row_upper)

    def set_column_bounds(self, lower: FloatArray, upper: FloatArray) -> None:
        """Replace the bounds of all columns."""
        self._columns.LB = lower
        self._columns.UB = upper

    def set_row_bounds(self, lower: FloatArray, upper: FloatArray) -> None:
        """Replace the bounds of all rows."""
        for constraints, rows, sense in self._blocks:
            constraints.RHS = (lower if sense == ">" else upper)[rows]

    def set_objective(self, objective: FloatArray) -> None:
        """Replace the objective."""
        self._columns.Obj = -objective

    def add_rows(self, matrix: sparse.csr_array, lower: FloatArray, upper: FloatArray) -> None:
        """Append rows."""
        equal = lower == upper
        for sense, mask in (
            ("=", equal),
            ("<", ~equal & np.isfinite(upper)),
            (">", ~equal & np.isfinite(lower)),
        ):
            rows = np.flatnonzero(mask)
            if len(rows):
                side = (lower if sense == ">" else upper)[rows]
                block = self._model.addMConstr(matrix[rows], self._columns, sense, side)
                self._blocks.append((block, rows + self._n_rows, sense))
        self._n_rows += len(lower)

    def basis(self) -> Any:
        """Return the basis of the last optimum."""
        # A range is two rows in Gurobi: one status for each side.
        status = np.full((2, self._n_rows), self._grb.BASIC)
        for constraints, numbers, sense in self._blocks:
            status[int(sense == ">"), numbers] = constraints.CBasis
        return np.array(self._columns.VBasis), status

    def statuses(self) -> None:
        """Tell nothing: Gurobi does not mend a basis of another LP."""

    def start_from(self, statuses: Statuses) -> None:
        """Start from nothing."""

    def set_basis(self, basis: Any) -> None:
        """Start the next solve from `basis`; what it does not know yet starts out of it."""
        columns, rows = basis
        self._model.update()  # a pending change would drop the basis
        self._columns.VBasis = np.concatenate(
            [columns, np.full(self._columns.size - len(columns), self._grb.NONBASIC_LOWER)]
        )
        status = np.full((2, self._n_rows), self._grb.BASIC)
        status[:, : rows.shape[1]] = rows
        for constraints, numbers, sense in self._blocks:
            constraints.CBasis = status[int(sense == ">"), numbers]

    def farkas(self) -> FloatArray | None:
        """Gurobi would have to be asked before it solves."""
        return None

    def solve(
        self, time_limit: float = np.inf, cutoff: float = -np.inf, iterations: int | None = None
    ) -> LPSolution:
        """Solve from the last basis within `time_limit` seconds; it does not stop earlier."""
        import gurobipy

        if time_limit <= 0:
            return LPSolution.without_values(LPStatus.TIME_LIMIT)
        grb = self._grb
        model = self._model
        model.setParam("TimeLimit", min(time_limit, grb.INFINITY))
        try:
            model.optimize()
            if model.Status == grb.INF_OR_UNBD:
                model.setParam("DualReductions", 0)
                model.optimize()
        except gurobipy.GurobiError as error:
            raise BackendError(
                f"Gurobi failed on the LP ({error}); set lp_solver='highs', or check the licence."
            ) from error
        statuses = {
            grb.OPTIMAL: LPStatus.OPTIMAL,
            grb.INFEASIBLE: LPStatus.INFEASIBLE,
            grb.UNBOUNDED: LPStatus.UNBOUNDED,
            grb.TIME_LIMIT: LPStatus.TIME_LIMIT,
        }
        if model.Status == grb.INTERRUPTED:
            raise KeyboardInterrupt
        if model.Status not in statuses:
            raise BackendError(
                f"Gurobi stopped with status {model.Status}; scale the model's coefficients, or set "
                "lp_solver='highs'."
            )
        status, done = statuses[model.Status], int(model.IterCount)
        if status is LPStatus.UNBOUNDED:
            status = self._without_objective()
        if status is not LPStatus.OPTIMAL:
            return LPSolution.without_values(status, done)
        duals = np.zeros(self._n_rows)
        for constraints, rows, _ in self._blocks:
            duals[rows] -= constraints.Pi
        return LPSolution(
            status,
            -model.ObjVal,
            np.array(self._columns.X),
            duals,
            -np.array(self._columns.RC),
            done,
        )

    def _without_objective(self) -> LPStatus:
        """Tell unbounded from infeasible: Gurobi's ray says nothing about a feasible point."""
        model, objective = self._model, np.array(self._columns.Obj)
        self._columns.Obj = np.zeros(len(objective))
        model.optimize()
        infeasible = model.Status == self._grb.INFEASIBLE
        self._columns.Obj = objective
        return LPStatus.INFEASIBLE if infeasible else LPStatus.UNBOUNDED

    def close(self) -> None:
        """Free the model."""
        self._model.dispose()
