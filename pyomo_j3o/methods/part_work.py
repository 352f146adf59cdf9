"""What is done on one independent part, in this process or in another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pyomo_j3o.alternate.offloading import Routing
from pyomo_j3o.alternate.onloading import greedy_onloading
from pyomo_j3o.certify.cutting import relax
from pyomo_j3o.certify.relaxation import Relaxation, TightRelaxation
from pyomo_j3o.certify.trail import Trail
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import BoolArray, FloatArray
from pyomo_j3o.core.processes import can_start
from pyomo_j3o.core.structure import Structure
from pyomo_j3o.errors import BackendError
from pyomo_j3o.improve.boxes import Explored
from pyomo_j3o.improve.improving import improve
from pyomo_j3o.improve.repairing import repaired
from pyomo_j3o.improve.task import Found, Task
from pyomo_j3o.lp import Backend
from pyomo_j3o.methods.params import Params
from pyomo_j3o.mip import HighsMIP, MIPSolver


@dataclass(frozen=True, slots=True)
class Tools:
    """What every part is worked on with.

    Attributes
    ----------
    backend : Backend
        The LP solver.
    params : Params
        Of all steps.
    rel_gap : float
        The search of a part ends at this relative gap.
    mip_solvers : callable or None
        Returns those for small parts and wide gaps, best first; None to do without.
    """

    backend: Backend
    params: Params
    rel_gap: float
    mip_solvers: Callable[[], Iterable[MIPSolver]] | None = None

    def portable(self) -> Tools | None:
        """Return the tools as another process can use them; None if a solver is bound to this process."""
        if not self.backend.parallel or not can_start():
            return None
        if self.mip_solvers is None:
            return self
        try:
            solver = next(iter(self.mip_solvers()), None)
        except BackendError:
            return None
        return replace(self, mip_solvers=_Only(solver)) if isinstance(solver, HighsMIP) else None


@dataclass(frozen=True, slots=True)
class _Only:
    """Returns one MIP solver, which needs no other for when it fails."""

    solver: MIPSolver

    def __call__(self) -> Iterable[MIPSolver]:
        return (self.solver,)


@dataclass(frozen=True, slots=True)
class Start:
    """What the search of a part starts from.

    Attributes
    ----------
    x : (N,) bool
        The placement.
    prices : sequence of (M,)
        Met so far.
    tightened : TightRelaxation or None
        The relaxation with cuts; None if it could not be solved, or not before.
    others : sequence of (N,) bool
        Further placements.
    relaxes : bool
        The search begins with the relaxation.
    explored : Explored or None
        By a search of nearly the same part.
    keeps : bool
        What this search explores is wanted.
    """

    x: BoolArray
    prices: Sequence[FloatArray]
    tightened: TightRelaxation | None
    others: Sequence[BoolArray] = ()
    relaxes: bool = False
    explored: Explored | None = None
    keeps: bool = False


def relax_part(
    tools: Tools, deadline: Deadline, structure: Structure, with_cuts: bool, trail: Trail | None = None
) -> Relaxation:
    """Relax a part."""
    return relax(structure, tools.backend, with_cuts, deadline, tools.params.cuts, trail)


def onload_part(tools: Tools, deadline: Deadline, structure: Structure, prices: FloatArray) -> BoolArray:
    """Return the greedy placement of a part."""
    return greedy_onloading(structure, prices, deadline, tools.params.loop.greedy)


def repair_part(
    tools: Tools, deadline: Deadline, structure: Structure, x: BoolArray, prices: FloatArray
) -> BoolArray:
    """Return a placement of a part that can be routed, near one that cannot."""
    return repaired(structure, tools.backend, x, prices, deadline, tools.params.search.descent)


def search_part(tools: Tools, deadline: Deadline, structure: Structure, start: Start) -> Iterator[Found]:
    """Search a part."""
    tightened, params = start.tightened, tools.params
    if start.relaxes:
        tightened = relax(structure, tools.backend, True, deadline, params.cuts).tightened
    task = Task(
        structure,
        tools.backend,
        tools.rel_gap if start.explored is None else max(tools.rel_gap, start.explored.gap),
        deadline,
        tools.mip_solvers,
        params.search,
        params.loop.greedy,
        start.explored,
        start.keeps,
    )
    yield from improve(task, start.x, start.prices, tightened, start.others)


def sent(tools: Tools, deadline: Deadline, structure: Structure, start: Start) -> Iterator[Found]:
    """Search a part, for another process: a routing that stays is sent once."""
    last = None
    for found in search_part(tools, deadline, structure, start):
        known = found.routing is last
        last = found.routing
        yield replace(found, routing=None) if known else found  # type: ignore[arg-type]


def received(stream: Iterator[Found]) -> Iterator[Found]:
    """Yield what a search in another process has found: a routing that is sent once is one object."""
    last: Routing | None = None
    for found in stream:
        last = last if found.routing is None else found.routing
        assert last is not None
        yield replace(found, routing=last)
