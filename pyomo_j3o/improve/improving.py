"""After the loop: descents, and branch and bound, by a MILP solver on small parts, else on the kernel."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.alternate.lagrangian import Surrogate, price
from pyomo_j3o.alternate.offloading import OffloadingStep, Routing
from pyomo_j3o.alternate.onloading import greedy
from pyomo_j3o.certify.relaxation import Tightened
from pyomo_j3o.core.deadline import GRACE, Remaining, forever
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Problem
from pyomo_j3o.core.results import Step, rounding
from pyomo_j3o.core.structure import Structure
from pyomo_j3o.errors import BackendError
from pyomo_j3o.improve.branching import Tree
from pyomo_j3o.improve.diving import INTEGRAL
from pyomo_j3o.improve.local_search import descend
from pyomo_j3o.lp.base import Backend, LinearModel, LPStatus
from pyomo_j3o.mip import Limits, MIPModel, MIPSolution, MIPSolver, Start, first_able, solve_checked

#: A rounded placement within this part of the incumbent is descended from, or so many times the gap, up to a
#: part; that factor falls with each descent in vain.
_NEAR, _IN_GAPS, _FARTHEST, _VAIN = 0.01, 2.0, 0.06, 0.7

#: So many LPs in a row may bring nothing in a descent, and in one from a rounded placement.
_FAILURES, _FAILURES_NEARBY = 10, 4

#: Farther from the bound than this, a descent comes before branch and bound, as long as it brings this part.
_FAR, _WORTH = 0.02, 0.2

#: A MILP solver gets parts with a wider gap than this and no more nonzeros, by either of two pairs: on large
#: parts it is slow. It ends at a gap, or after nodes.
_WIDE, _SMALL, _CLOSE, _NODES = (0.0125, 0.025), (8_000, 20_000), 5e-3, 2000

#: Before branch and bound of our own, it gets a part of no more nonzeros than the first, or than the second
#: where rows over several y contain x, for whose cuts it is the better; nodes times nonzeros are limited.
_TINY, _TINY_MIXED, _TINY_EFFORT = 2_000, 6_000, 600_000

#: A gap this wide says that the steps before are not made for the part: there it is worth closing farther.
_STRANGE, _CLOSER = 0.1, 1e-3

#: A relative gap this small is closed as far as a MILP solver can tell.
_PROVEN = 1e-6

#: What improvement reports: the step ("" for the start), the best routing, and the bound.
Report = Callable[[str, Routing, float], None]


@dataclass(frozen=True, slots=True)
class Improved:
    """What improvement made of one independent part.

    Attributes
    ----------
    x : (N,) bool
    bound : float
        No plan of the part is better: +inf if nothing was proven.
    """

    x: BoolArray
    bound: float


def improve(
    structure: Structure,
    backend: Backend,
    x: BoolArray,
    prices: Sequence[FloatArray],
    relaxation: Callable[[], Tightened | None],
    remaining: Callable[[], float],
    report: Report,
    done: Callable[[Step], None],
    rel_gap: float,
    mip_solvers: Callable[[], Iterable[MIPSolver]] | None,
    others: Sequence[BoolArray] = (),
) -> Improved:
    """Return a placement of one part at least as good as `x`, and a bound.

    If `x` is far from the bound, a descent from the rounded relaxation, or else from `x`. A small part then
    goes to a MILP solver. What that does not close, and a larger part: branch and bound on the kernel, whose
    relaxations are rounded; a descent from the best placement; and where all that leaves a wide gap, a MILP
    solver, if the part is small enough for it.

    Parameters
    ----------
    structure
        Of a linear problem without constant.
    backend
        The LP solver.
    x
        (N,) bool; satisfies the rows over x, but may have no routing: what the elastic LP says then counts.
    prices
        Price vectors met so far, (M,) each; at least one.
    relaxation
        Returns the tightened relaxation, None if it could not be solved.
    remaining
        Returns the seconds left.
    report
        Called with the start and each better routing.
    done
        Called with each step when it is over, whatever ended it.
    rel_gap
        The search ends at this relative gap.
    mip_solvers
        Returns the MIP solvers for small parts and wide gaps, best first; None to do without.
    others
        Further placements, (N,) bool each, that a descent begins at if they are near the best.
    """
    step = OffloadingStep(structure, backend)
    try:
        start = step(x, remaining())
        if not start.solved:
            return Improved(x, np.inf)
        report("", start, np.inf)
        surrogates = [price(structure, vector) for vector in prices]
        search = _Search(structure, step, start, surrogates, remaining, report, done)
        tightened = relaxation() if remaining() > 0 else None
        if tightened is not None and remaining() > 0:
            search.bound = tightened.bound
            search.approach(tightened)
            if mip_solvers is not None and search.solve_small(tightened, rel_gap, mip_solvers):
                return Improved(search.best.x, search.bound)
            search.branch(backend, tightened, rel_gap)
        search.descend()
        for other in others:
            search.descend_from(other)
        if tightened is not None and mip_solvers is not None and remaining() > 0:
            search.solve_milp(tightened, rel_gap, mip_solvers)
        return Improved(search.best.x, search.bound)
    finally:
        step.close()


class _Search:
    """The best routing so far of one part, and what found it."""

    def __init__(
        self,
        structure: Structure,
        step: OffloadingStep,
        start: Routing,
        surrogates: list[Surrogate],
        remaining: Callable[[], float],
        report: Report,
        done: Callable[[Step], None],
    ) -> None:
        self.structure = structure
        self.best = start
        self.bound = np.inf
        self._done = done
        self._step = step
        self._surrogates = surrogates
        self._remaining = remaining
        self._report = report
        self._tried: set[bytes] = set()
        self._in_gaps = _IN_GAPS

    def approach(self, tightened: Tightened) -> None:
        """Come near the bound if the best routing is none, or far from it: a search from afar costs more."""
        n_x = self.structure.problem.n_onloading
        model, solution = tightened.model, tightened.solution
        worth = _WORTH * _FAR * abs(tightened.bound)

        def approach() -> None:
            rounded = self._round(
                solution.values[:n_x], solution.row_duals, model.lower[:n_x], model.upper[:n_x]
            )
            if rounded is not None:
                self._keep("swaps", self._descent(rounded, "swaps", worth=worth))
            if self._is_far(tightened):
                self._keep("swaps", self._descent(self.best, "swaps", worth=worth))

        if self._is_far(tightened):
            self._timed("swaps", approach)

    def _is_far(self, tightened: Tightened) -> bool:
        gap = tightened.bound - self.best.objective
        return not self.best.feasible or gap > _FAR * max(abs(tightened.bound), 1e-9)

    def branch(self, backend: Backend, tightened: Tightened, rel_gap: float) -> None:
        """Branch and bound on the kernel of `tightened`."""
        tree = Tree(
            self.structure,
            backend,
            tightened,
            self.best.objective,
            self.best.x,
            self._propose,
            self._remaining,
            rel_gap,
        )

        def search() -> None:
            try:
                tree.search()
            finally:
                self.bound = min(self.bound, tree.bound)
                tree.close()

        self._timed("kernel", search)

    def descend(self) -> None:
        """Descend from the best routing."""
        self._timed("swaps", lambda: self._keep("swaps", self._descent(self.best, "swaps", double=True)))

    def descend_from(self, x: BoolArray) -> None:
        """Descend from a placement that something else has found."""

        def descend() -> None:
            found = self._step(x, self._remaining())
            near = found.merit > self.best.merit - _NEAR * abs(self.best.merit)
            if not found.solved or found.feasible < self.best.feasible or not near:
                return
            self._keep("swaps", self._descent(found, "swaps"))

        if self._remaining() > 0 and not np.array_equal(x, self.best.x):
            self._timed("swaps", descend)

    def solve_milp(
        self, tightened: Tightened, rel_gap: float, mip_solvers: Callable[[], Iterable[MIPSolver]]
    ) -> None:
        """Leave a part that the steps before are not made for, flows, say, to a MILP solver."""
        best = self.best
        gap = self.bound - best.objective
        scale = abs(best.objective)
        model = tightened.model
        wanted = any(
            (not best.feasible or gap > max(wide, rel_gap) * scale) and model.matrix.nnz <= small
            for wide, small in zip(_WIDE, _SMALL, strict=True)
        )
        if not wanted:
            return
        strange = not best.feasible or gap > _STRANGE * scale
        self._milp(model, max(rel_gap, _CLOSER if strange else _CLOSE), _NODES, mip_solvers)

    def solve_small(
        self, tightened: Tightened, rel_gap: float, mip_solvers: Callable[[], Iterable[MIPSolver]]
    ) -> bool:
        """Leave a small part to a MILP solver for a few nodes; return whether that closed its gap."""
        nonzeros = tightened.model.matrix.nnz
        gap = self.bound - self.best.objective
        if nonzeros > (_TINY_MIXED if self.structure.mixed_matrix.nnz else _TINY) or self._remaining() <= 0:
            return False
        if self.best.feasible and gap <= rel_gap * abs(self.best.objective):
            return False
        nodes = _TINY_EFFORT // max(nonzeros, 1)
        return self._milp(tightened.model, rel_gap, nodes, mip_solvers, near_optimal=True)

    def _milp(
        self,
        model: LinearModel,
        rel_gap: float,
        nodes: int,
        mip_solvers: Callable[[], Iterable[MIPSolver]],
        near_optimal: bool = False,
    ) -> bool:
        """Let a MILP solver search on from the best routing; return whether it closed the gap."""
        best, n_x, closed = self.best, self.structure.problem.n_onloading, False
        start = None
        if best.feasible:
            start = Start(np.concatenate([best.x, best.y]).astype(float), near_optimal)

        def use(solver: MIPSolver) -> MIPSolution:
            return solve_checked(
                solver,
                MIPModel(model),
                Limits(
                    self._remaining(),
                    rel_gap=rel_gap,
                    nodes=nodes,
                    stop=lambda: self._remaining() <= 0,
                    threads=1,
                ),
                start,
            )

        def solve() -> None:
            nonlocal closed
            try:
                found = first_able(mip_solvers(), use)
            except BackendError:
                return  # the steps that follow need none
            if found.found:
                routing = self._step(found.values[:n_x] > 0.5, max(self._remaining(), GRACE))
                if routing.solved:
                    self._keep("milp", routing)
            if np.isfinite(found.bound):
                self.bound = min(self.bound, found.bound)
            if found.status is LPStatus.OPTIMAL and self.best.feasible:
                value = self.best.objective
                closed = self.bound - value <= max(max(rel_gap, _PROVEN) * abs(value), rounding(value))
            if found.status is LPStatus.INTERRUPTED and self._remaining() > 0:
                raise KeyboardInterrupt

        self._timed("milp", solve)
        return closed

    def _timed(self, name: str, work: Callable[[], None]) -> None:
        """Do the work and note what it brought."""
        start, before, bound = time.perf_counter(), self.best, self.bound
        try:
            work()
        finally:
            gained = 0.0
            if self.best is not before:
                gained = self.best.merit - before.merit if before.feasible == self.best.feasible else np.inf
            lowered = bound - self.bound if np.isfinite(bound) else 0.0
            self._done(Step(name, gained, lowered, time.perf_counter() - start))
        self._report(name, self.best, self.bound)

    def _descent(
        self,
        start: Routing,
        name: str,
        patience: int = _FAILURES,
        worth: float = 0.0,
        double: bool = False,
    ) -> Routing:
        return descend(
            self.structure,
            self._step,
            start,
            self._surrogates,
            self._remaining,
            lambda routing: self._keep(name, routing),
            patience,
            worth,
            double,
        )

    def _keep(self, name: str, routing: Routing) -> None:
        if routing.better_than(self.best):
            self.best = routing
            self._report(name, routing, self.bound)

    def _propose(self, x: FloatArray, duals: FloatArray, lower: FloatArray, upper: FloatArray) -> float:
        """Round a fractional placement, and descend from it if that comes near the best."""
        found = self._round(x, duals, lower, upper)
        if found is not None:
            gap = self.bound - self.best.merit
            scale = abs(self.best.merit)
            reach = min(max(self._in_gaps * gap, _NEAR * scale), _FARTHEST * scale)
            near = found.merit > self.best.merit - reach
            if near and found.feasible >= self.best.feasible:
                before = self.best
                found = self._descent(found, "kernel", _FAILURES_NEARBY)
                in_vain = self.best is before and not found.better_than(before)
                self._in_gaps = _VAIN * self._in_gaps if in_vain else _IN_GAPS
            self._keep("kernel", found)
        return self.best.objective

    def _round(
        self, x: FloatArray, duals: FloatArray, lower: FloatArray, upper: FloatArray
    ) -> Routing | None:
        """Round a fractional placement, fill it greedily at the LP's prices, and route it; None if known."""
        rounded = ((x > 0.5) & (upper > 0.5)) | (lower > 0.5)
        if np.any(np.abs(x - rounded) > INTEGRAL) or not self.structure.placeable(rounded):
            surrogate = price(self.structure, duals[: self.structure.problem.n_rows])
            rounded = greedy(surrogate, by_density=False, start=rounded, remaining=self._remaining)
            if not self.structure.placeable(rounded) and self._remaining() > 0:
                rounded = greedy(surrogate, by_density=False, remaining=self._remaining)
        if not self.structure.placeable(rounded) or rounded.tobytes() in self._tried:
            return None
        self._tried.add(rounded.tobytes())
        found = self._step(rounded, self._remaining())
        return found if found.solved else None


def drop_idle(problem: Problem, routing: Routing, remaining: Remaining = forever) -> Routing:
    """Return the routing without placed variables that nothing needs, one after the other.

    A variable goes if no row is missed without it at the same y, and the objective does not fall: memory
    filled by a model that answers no query is of no use to the reader of the plan.

    Parameters
    ----------
    problem
        Linear.
    routing
        Feasible; its y, duals and status stay as they are.
    remaining
        Returns the seconds left; what is not looked at in time stays placed.
    """
    columns = sparse.csc_array(problem.onloading_rows)
    every = np.repeat(np.arange(len(routing.x)), np.diff(columns.indptr))
    x = routing.x.copy()
    body = problem.onloading_rows @ x.astype(float) + problem.offloading_rows @ routing.y
    slack = 1e-9 * np.maximum(1.0, np.abs(body))
    candidates = x & (problem.onloading_lower < 0.5) & (problem.onloading_objective <= 0.0)

    def missed(rows: IntArray, value: FloatArray) -> BoolArray:
        """Return where a row is missed once it holds `value` less."""
        after = body[rows] - value
        # A row that is missed by rounding already must not be missed by more.
        low = np.minimum(problem.row_lower[rows], body[rows]) - slack[rows]
        high = np.maximum(problem.row_upper[rows], body[rows]) + slack[rows]
        return (after < low) | (after > high)

    # What requires another comes later in the list as often as not: a second pass sees it gone.
    for _ in range(2):
        needed = np.bincount(every[missed(columns.indices, columns.data)], minlength=len(x)) > 0
        for k in np.flatnonzero(candidates & x & ~needed):
            if remaining() <= 0:
                break
            entries = slice(columns.indptr[k], columns.indptr[k + 1])
            rows, value = columns.indices[entries], columns.data[entries]
            if not missed(rows, value).any():
                x[k] = False
                body[rows] -= value
    gain = float(problem.onloading_objective @ x.astype(float)) - float(
        problem.onloading_objective @ routing.x.astype(float)
    )
    return replace(routing, x=x, objective=routing.objective + gain, merit=routing.merit + gain)
