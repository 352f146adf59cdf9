"""MIP solvers behind one small protocol, and the choice among them.

`base` is the protocol. `highs`, `gurobi` and `scip` follow it, and `monitor` passes on their logs and stops
them. `paused` lets a search wait, and go on. `checking` believes no more of their answers than what can be
checked. `params` are the constants.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pyomo_j3o.errors import BackendError
from pyomo_j3o.lp import gurobi as gurobi_lp
from pyomo_j3o.lp.base import SolverOptions
from pyomo_j3o.mip import scip
from pyomo_j3o.mip.base import LicenceError, Limits, MIPModel, MIPSolution, MIPSolver, Start
from pyomo_j3o.mip.checking import believable, solve_checked
from pyomo_j3o.mip.gurobi import GurobiMIP
from pyomo_j3o.mip.highs import HighsMIP, require_right_highs
from pyomo_j3o.mip.paused import PausedSearch
from pyomo_j3o.mip.scip import ScipMIP

logger = logging.getLogger("pyomo_j3o")

Result = TypeVar("Result")

__all__ = [
    "GurobiMIP",
    "HighsMIP",
    "LicenceError",
    "Limits",
    "MIPModel",
    "MIPSolution",
    "MIPSolver",
    "PausedSearch",
    "ScipMIP",
    "Size",
    "Start",
    "believable",
    "first_able",
    "mip_solvers",
    "require_right_highs",
    "solve_checked",
]


@dataclass(frozen=True, slots=True)
class Size:
    """How large a model is, as the solvers would get it.

    Attributes
    ----------
    columns, rows : int
        Of the model as it is, with its products.
    products : bool
        Whether it has any.
    not_linear : str
        Why its products cannot be linearised, as HiGHS needs it; "" if they can.
    """

    columns: int
    rows: int
    products: bool = False
    not_linear: str = ""


def mip_solvers(
    name: str,
    size: Size,
    options: Mapping[str, SolverOptions],
    seed: int = 0,
) -> Iterator[MIPSolver]:
    """Yield the MIP solvers that `name` asks for, best first; more than one only for ``"auto"``.

    ``"auto"`` is Gurobi if it is installed and its licence covers the size, else HiGHS, else, if the products
    cannot be linearised for HiGHS, SCIP. The next one is for when that fails, or its
    licence turns out too small after all.

    Parameters
    ----------
    name
        ``"auto"``, ``"gurobi"``, ``"highs"`` or ``"scip"``.
    size
        Of the model.
    options
        By the name of the solver that they are passed to.
    seed
        Random seed of the solver.

    Raises
    ------
    BackendError
        The solver that was asked for, or every one, cannot take this model.
    OptionError
        The solver does not know one of the options.
    """
    if name in ("auto", "gurobi"):
        problem = gurobi_lp.unavailable(size.columns, size.rows, size.products)
        gurobi_lp.restore_ctrl_c()
        if not problem:
            reason = "auto: licensed for this size" if name == "auto" else ""
            yield GurobiMIP(options.get("gurobi"), seed, reason)
            problem = "its licence turned out too small, or it failed"
        elif name == "gurobi":
            raise BackendError(
                f"mip_solver='gurobi' cannot be used: {problem}; set mip_solver='highs', 'scip' or 'auto', "
                "or install gurobipy with a licence for this size (pip install gurobipy)."
            )
        if name == "gurobi":
            return
    else:
        problem = ""
    reason = f"auto: {problem}" if problem else ""
    if name in ("auto", "highs"):
        if not size.not_linear:
            yield HighsMIP(options.get("highs"), seed, reason)
            return
        if name == "highs":
            raise BackendError(f"mip_solver='highs' cannot be used: {size.not_linear}; set another one.")
        reason += f"; HiGHS cannot take the products: {size.not_linear}"
    missing = scip.unavailable()
    if not missing:
        yield ScipMIP(options.get("scip"), seed, reason)
    elif name == "scip":
        raise BackendError(
            f"mip_solver='scip' cannot be used: {missing}; install it (pip install pyscipopt), or set "
            "mip_solver='highs' or 'auto'."
        )
    else:
        raise BackendError(
            f"No MIP solver takes this model. HiGHS: {size.not_linear}. Gurobi: {problem}. SCIP: {missing}; "
            "install one (pip install pyscipopt), or give the variable a bound."
        )


def first_able(solvers: Iterable[MIPSolver], use: Callable[[MIPSolver], Result]) -> Result:
    """Return what `use` makes of the first of `solvers` that takes the model and does not fail.

    Raises
    ------
    BackendError
        That of the last one, if none does.
    """
    failure: BackendError | None = None
    for solver in solvers:
        try:
            return use(solver)
        except BackendError as error:
            logger.debug("%s is left out: %s", solver.title, error)
            failure = error
    assert failure is not None
    raise failure
