"""LP solvers behind one small protocol, and the choice among them.

`base` is the protocol. `highs` and `gurobi` follow it, and `worker` is the threads that solvers
run in. `highs_options` is what nobody may set. `duality` says what row duals prove, whatever solver they
come from. `known_case` tells a solver that gives wrong optima.
"""

from __future__ import annotations

from pyomo_j3o.errors import BackendError
from pyomo_j3o.lp import gurobi
from pyomo_j3o.lp.base import Backend, LinearModel, LinearProgram, LPSolution, LPStatus, SolverOptions
from pyomo_j3o.lp.gurobi import GurobiBackend
from pyomo_j3o.lp.highs import HighsBackend

__all__ = [
    "Backend",
    "GurobiBackend",
    "HighsBackend",
    "LPSolution",
    "LPStatus",
    "LinearModel",
    "LinearProgram",
    "choose_backend",
]


def choose_backend(
    name: str,
    n_columns: int,
    n_rows: int,
    options: SolverOptions | None = None,
    threads: int | None = None,
    seed: int = 0,
) -> Backend:
    """Return the LP solver that `name` asks for.

    Parameters
    ----------
    name
        ``"highs"``, ``"gurobi"``, or ``"auto"``: Gurobi if it is installed and its licence covers
        the size, else HiGHS.
    n_columns, n_rows
        Size of the largest LP of the solve.
    options
        Passed to the solver.
    threads
        Passed to Gurobi; HiGHS's simplex method runs in one thread.
    seed
        Random seed of the solver.

    Raises
    ------
    BackendError
        ``"gurobi"`` was asked for and cannot take this LP.
    OptionError
        The solver does not know one of the options.
    """
    if name == "highs":
        return HighsBackend(options, seed)
    problem = gurobi.unavailable(n_columns, n_rows)
    if name == "auto" and not problem:
        # The elastic LP has two slacks a row, and cuts are rows.
        problem = gurobi.unavailable(n_columns + 2 * n_rows, 2 * n_rows)
        problem += " with slacks and cuts" if problem else ""
    gurobi.restore_ctrl_c()
    if name == "gurobi":
        if problem:
            raise BackendError(
                f"lp_solver='gurobi' cannot be used: {problem}; set lp_solver='highs' or 'auto', or "
                "install gurobipy with a licence for this size (pip install gurobipy)."
            )
        return GurobiBackend(options, threads, seed)
    if problem:
        return HighsBackend(options, seed, reason=f"auto: {problem}")
    return GurobiBackend(options, threads, seed, reason="auto: licensed for this size")
