"""What the search of one independent part is given, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pyomo_j3o.alternate.offloading import Routing
from pyomo_j3o.alternate.params import GreedyParams
from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.core.structure import Structure
from pyomo_j3o.improve.boxes import Explored
from pyomo_j3o.improve.params import SearchParams
from pyomo_j3o.lp.base import Backend
from pyomo_j3o.mip import MIPSolver


@dataclass(frozen=True, slots=True)
class Task:
    """An independent part to search, and what with.

    Attributes
    ----------
    structure : Structure
        Of a linear problem without constant.
    backend : Backend
        The LP solver.
    rel_gap : float
        The search ends at this relative gap.
    deadline : Deadline
    mip_solvers : callable or None
        Returns the MIP solvers for small parts and wide gaps, best first; None to do without.
    params : SearchParams
    greedy : GreedyParams
        Of the greedy step that completes rounded placements.
    explored : Explored or None
        By a search of nearly the same part.
    keeps : bool
        What this search explores is wanted.
    """

    structure: Structure
    backend: Backend
    rel_gap: float
    deadline: Deadline = NEVER
    mip_solvers: Callable[[], Iterable[MIPSolver]] | None = None
    params: SearchParams = field(default_factory=SearchParams)
    greedy: GreedyParams = field(default_factory=GreedyParams)
    explored: Explored | None = None
    keeps: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """Where the search of a part stands.

    Attributes
    ----------
    step : str
        ``"swaps"``, ``"kernel"`` or ``"milp"``; "" for what the search starts from.
    routing : Routing
        The best so far.
    bound : float
        No plan of the part is better: +inf if nothing was proven.
    begins : bool
        The step begins here, and has found nothing yet.
    ends : bool
        The search is over.
    explored : Explored or None
        So far; None where it is not wanted.
    """

    step: str
    routing: Routing
    bound: float
    begins: bool = False
    ends: bool = False
    explored: Explored | None = None
