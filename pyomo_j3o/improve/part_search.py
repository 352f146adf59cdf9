"""The best routing so far of one independent part, and the steps that find better ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from pyomo_j3o.alternate.lagrangian import Lagrangian, price
from pyomo_j3o.alternate.offloading import OffloadingStep, Routing
from pyomo_j3o.alternate.onloading import greedy
from pyomo_j3o.certify.block_cuts import BlockPricer
from pyomo_j3o.certify.blocks import find_blocks
from pyomo_j3o.certify.relaxation import TightRelaxation
from pyomo_j3o.core.problem import BoolArray
from pyomo_j3o.core.results import relative_gap, rounding
from pyomo_j3o.core.tolerances import INTEGRAL
from pyomo_j3o.errors import BackendError
from pyomo_j3o.improve.block_plans import BlockPlacement
from pyomo_j3o.improve.boxes import Candidate, Explored
from pyomo_j3o.improve.branching import Tree, TreeLimits
from pyomo_j3o.improve.local_search import Descent, descend
from pyomo_j3o.improve.params import TreeParams
from pyomo_j3o.improve.proving import search_within_gap
from pyomo_j3o.improve.task import Found, Task
from pyomo_j3o.lp.base import LPStatus
from pyomo_j3o.mip import Limits, MIPModel, MIPSolution, MIPSolver, Start, first_able, solve_checked
from pyomo_j3o.mip.highs import HighsMIP

logger = logging.getLogger("pyomo_j3o")

#: A relative gap this small is closed as far as a MILP solver can tell.
_PROVEN = 1e-6


class PartSearch:
    """The best routing so far of one part, and what finds better ones."""

    def __init__(
        self, task: Task, step: OffloadingStep, start: Routing, lagrangians: list[Lagrangian]
    ) -> None:
        self.best = start
        self.bound = self._first_bound = np.inf
        #: Whether a MILP solver has closed the gap.
        self.closed = False
        #: Whether one has searched this part: what it leaves open, the other steps would not close sooner.
        self._asked = False
        self._task = task
        self._step = step
        self._lagrangians = lagrangians
        self._tried: set[bytes] = set()
        self._in_gaps = task.params.in_gaps
        self._tree: Tree | None = None
        self._explored: Explored | None = None
        #: Whether the tree's gap was left to a MILP solver.
        self._proved = False

    def near(self, tightened: TightRelaxation) -> Iterator[Found]:
        """Use the relaxation: come near the bound, then search by a MILP solver or by the tree."""
        self.bound = self._first_bound = tightened.bound
        if self._is_far():
            yield from self.timed("swaps", self._approach(tightened))
        if self._is_for_milp_at_first(tightened):
            yield from self.timed("milp", self._solve_at_first(tightened))
        if not self._asked:
            yield from self.timed("kernel", self._branch(tightened))

    def timed(self, name: str, work: Iterator[Routing]) -> Iterator[Found]:
        """Do the work of one step, and yield what it finds, its beginning and its end."""
        yield Found(name, self.best, self.bound, begins=True)
        for routing in work:
            if routing.better_than(self.best):
                self.best = routing
                yield self.found(name)
        yield self.found(name)

    def found(self, name: str) -> Found:
        """Return where a step stands, with what has been explored where somebody will go on from there."""
        return Found(name, self.best, self.bound, explored=self.explored() if self._task.keeps else None)

    # --- local search -------------------------------------------------------------------------------------

    def _is_far(self) -> bool:
        params, explored = self._task.params, self._task.explored
        # A relaxation that proved little before proves as little now.
        usual = 0.0 if explored is None else params.near_again * explored.first_gap
        far = max(params.far, usual) * max(abs(self.bound), 1e-9)
        return not self.best.feasible or self.bound - self.best.objective > far

    def _approach(self, tightened: TightRelaxation) -> Iterator[Routing]:
        """Descend from the rounded relaxation, or else from the best: a search from afar costs more."""
        params, n_x = self._task.params, self._task.structure.problem.n_onloading
        model, solution = tightened.model, tightened.solution
        worth = params.worth * params.far * abs(tightened.bound)
        descent = Descent(params.descent, params.descent.patience, worth)
        rounded = self._round(
            Candidate(solution.values[:n_x], solution.row_duals, model.lower[:n_x], model.upper[:n_x])
        )
        if rounded is not None:
            yield rounded
            yield from self._descent(rounded, descent)
        if self._is_far():
            yield from self._descent(self.best, descent)

    def descend(self) -> Iterator[Routing]:
        """Descend from the best routing."""
        params, explored = self._task.params.descent, self._task.explored
        gap = relative_gap(self.best.objective, self.bound)
        again = explored is not None and gap <= explored.root_gap
        patience = params.patience_nearby if again else params.patience
        yield from self._descent(self.best, Descent(params, patience, double=not again))

    def descend_from(self, x: BoolArray) -> Iterator[Routing]:
        """Descend from a placement that something else has found, if it is near the best."""
        params = self._task.params
        found = self._step(x, self._task.deadline.left())
        near = found.merit > self.best.merit - params.near * abs(self.best.merit)
        if found.solved and found.feasible >= self.best.feasible and near:
            yield found
            yield from self._descent(found, Descent(params.descent, params.descent.patience))

    def _descent(self, start: Routing, descent: Descent) -> Iterator[Routing]:
        return descend(self._step, start, self._lagrangians, descent, self._task.deadline)

    # --- branch and bound on the kernel -------------------------------------------------------------------

    def _branch(self, tightened: TightRelaxation) -> Iterator[Routing]:
        tree = self._tree = self.tree(tightened, self._task.params.tree)
        try:
            yield from self.search_tree(tree)
            if self._is_for_proof(tree) and self._needed_no_proof:
                tree.extend()
                yield from self.search_tree(tree)
            if self._is_for_proof(tree):
                self._proved = True
                yield from self._prove(tree)
        finally:
            self.bound = min(self.bound, tree.bound)
            self._tree, self._explored = None, tree.explored()
            tree.close()

    def explored(self) -> Explored | None:
        """Return what this search leaves to the next one; None if it did not branch."""
        found, before = self._explored, self._task.explored
        if self._tree is not None:
            found = self._tree.explored()
        if found is None or not self.best.feasible:
            return before
        if before is not None:
            return replace(
                found,
                work=before.work,
                gap=before.gap,
                root_gap=before.root_gap,
                first_gap=before.first_gap,
                proved=before.proved,
            )
        value = self.best.objective
        first = relative_gap(value, self._first_bound)
        return replace(found, gap=relative_gap(value, self.bound), first_gap=first, proved=self._proved)

    def tree(self, tightened: TightRelaxation, params: TreeParams) -> Tree:
        """Return a tree over the part, with what it is worth to search it; the caller closes it."""
        task = self._task
        limits = TreeLimits(task.deadline, task.rel_gap, params)
        pricer = self._pricer(tightened)
        return Tree(task.structure, task.backend, tightened, self.best, limits, pricer, task.explored)

    def search_tree(self, tree: Tree) -> Iterator[Routing]:
        """Make plans of what a tree finds, to its end; the best one is yielded at every node."""
        for candidate in tree.search():
            yield from self._from_candidate(candidate)
            tree.best = self.best
            if tree.nodes or not self._is_near_again(tree):
                yield from self._from_blocks(tree.block_placements())
                tree.best = self.best
            yield self.best
        self.bound = min(self.bound, tree.bound)

    def _is_near_again(self, tree: Tree) -> bool:
        """Return whether the plan is about as near the root's bound as that of the search before was.

        The leaves of that search are worth more then than a better plan.
        """
        explored, value = self._task.explored, self.best.objective
        if explored is None:
            return False
        if tree.root is None:
            gap, usual = relative_gap(value, self._first_bound), explored.first_gap
        else:
            gap, usual = relative_gap(value, tree.root[1].bound), explored.root_gap
        return gap <= self._task.params.near_again * usual

    def _is_for_proof(self, tree: Tree) -> bool:
        """Return whether the tree left a gap that a MILP solver can close from the root's block cuts."""
        task, params = self._task, self._task.params.milp
        gap, scale = self.bound - self.best.objective, abs(self.best.objective)
        return (
            task.mip_solvers is not None
            and tree.root is not None
            and self.best.feasible
            and tree.root[0].matrix.nnz <= params.proof
            and max(task.rel_gap, params.proof_gap) * scale < gap <= params.proof_widest * scale
            and not task.deadline.over
        )

    @property
    def _needed_no_proof(self) -> bool:
        """Whether the search before came as near as it did without a MILP solver: its leaves lead there."""
        return self._task.explored is not None and not self._task.explored.proved

    def _prove(self, tree: Tree) -> Iterator[Routing]:
        """Let HiGHS search the part without what the root's reduced costs rule out.

        It is HiGHS whatever solver is asked for: Gurobi spends the few nodes before its bound has moved.
        """
        task, params, best = self._task, self._task.params.milp, self.best
        assert tree.root is not None
        deadline, close = task.deadline, max(task.rel_gap, params.proof_close)
        limits = Limits(
            deadline.left(),
            abs_gap=close * abs(best.objective),
            nodes=params.proof_nodes,
            stop=lambda: deadline.over,
            threads=1,
        )
        found = search_within_gap(*tree.root, best, partial(self._solved, limits=limits, only=HighsMIP()))
        if found is None:
            return
        if found.found:
            routing = self._step(found.values[: len(best.x)] > 0.5, deadline.last_work())
            if routing.solved:
                yield routing
        self.bound = min(self.bound, found.bound)
        if found.status is LPStatus.INTERRUPTED:
            raise KeyboardInterrupt

    def _solved(
        self, model: MIPModel, start: Start | None, limits: Limits, only: MIPSolver | None = None
    ) -> MIPSolution | None:
        """Solve by the first MILP solver that is able to, or by only one; None if none is."""
        assert self._task.mip_solvers is not None
        solvers = self._task.mip_solvers() if only is None else iter((only,))
        try:
            return first_able(solvers, lambda solver: solve_checked(solver, model, limits, start))
        except BackendError as error:
            logger.debug("A part is left without a MILP solver: %s", error)
            return None

    def _from_blocks(self, placements: Sequence[BlockPlacement]) -> Iterator[Routing]:
        """Take over what the blocks of the best plan would place: all together, then one by one."""
        x = self.best.x.copy()
        for block in placements:
            x[block.onloading] = block.x
        together = self.routed(x)
        if together is not None:
            yield from self.descend_if_near(together)
        if len(placements) < 2:
            return
        best = self.best
        for block in placements:
            if self._task.deadline.over:
                return
            x = best.x.copy()
            x[block.onloading] = block.x
            routing = self.routed(x)
            if routing is not None and routing.better_than(best):
                best = routing
                yield routing

    def routed(self, x: BoolArray) -> Routing | None:
        """Route a placement; None if it is known, breaks a row over x, or cannot be routed."""
        if x.tobytes() in self._tried or not self._task.structure.placeable(x):
            return None
        self._tried.add(x.tobytes())
        found = self._step(x, self._task.deadline.left())
        return found if found.solved else None

    def _pricer(self, tightened: TightRelaxation) -> BlockPricer | None:
        """Return what prices the blocks of the part; None if it has none."""
        problem, params = self._task.structure.problem, self._task.params.blocks
        n_x, model, explored = problem.n_onloading, tightened.model, self._task.explored
        if explored is not None:
            # What couples the columns is looked up anew whenever blocks are priced.
            return (
                None
                if explored.blocks is None
                else BlockPricer(explored.blocks, model.n_rows, HighsMIP(), params)
            )
        blocks = find_blocks(model, n_x, problem.n_rows, tightened.solution.values[:n_x], params)
        return None if blocks is None else BlockPricer(blocks, model.n_rows, HighsMIP(), params)

    def _from_candidate(self, candidate: Candidate) -> Iterator[Routing]:
        """Round a fractional placement, and descend from it if that comes near the best."""
        rounded = self._round(candidate)
        if rounded is not None:
            yield from self.descend_if_near(rounded)

    def descend_if_near(self, start: Routing) -> Iterator[Routing]:
        """Yield a routing, and descend from it if it is near the best."""
        params = self._task.params
        gap = self.bound - self.best.merit
        scale = abs(self.best.merit)
        reach = min(max(self._in_gaps * gap, params.near * scale), params.farthest * scale)
        near = start.merit > self.best.merit - reach
        if not near or start.feasible < self.best.feasible:
            yield start
            return
        before, found = self.best, start
        for found in self._descent(start, Descent(params.descent, params.descent.patience_nearby)):
            yield found
        in_vain = self.best is before and not found.better_than(before)
        self._in_gaps = params.in_vain * self._in_gaps if in_vain else params.in_gaps
        yield found

    def _round(self, candidate: Candidate) -> Routing | None:
        """Round a fractional placement, fill it greedily at the LP's prices, and route it; None if known."""
        structure, deadline, x = self._task.structure, self._task.deadline, candidate.x
        params = self._task.greedy
        rounded = ((x > 0.5) & (candidate.upper > 0.5)) | (candidate.lower > 0.5)
        if np.any(np.abs(x - rounded) > INTEGRAL) or not structure.placeable(rounded):
            lagrangian = price(structure, candidate.duals[: structure.problem.n_rows])
            rounded = greedy(lagrangian, by_density=False, start=rounded, deadline=deadline, params=params)
            if not structure.placeable(rounded) and not deadline.over:
                rounded = greedy(lagrangian, by_density=False, deadline=deadline, params=params)
        return self.routed(rounded)

    # --- MILP solvers -------------------------------------------------------------------------------------

    def _is_for_milp_at_first(self, tightened: TightRelaxation) -> bool:
        """Return whether the part is so small that a MILP solver gets it before the tree."""
        task, params = self._task, self._task.params.milp
        mixed = task.structure.mixed_matrix.nnz > 0
        small = tightened.model.matrix.nnz <= (params.first_mixed if mixed else params.first)
        gap = self.bound - self.best.objective
        open_gap = not self.best.feasible or gap > task.rel_gap * abs(self.best.objective)
        return task.mip_solvers is not None and small and open_gap and not task.deadline.over

    def _solve_at_first(self, tightened: TightRelaxation) -> Iterator[Routing]:
        nodes = self._task.params.milp.first_effort // max(tightened.model.matrix.nnz, 1)
        return self._milp(tightened, Limits(rel_gap=self._task.rel_gap, nodes=nodes), near_optimal=True)

    def is_for_milp_at_last(self, tightened: TightRelaxation) -> bool:
        """Return whether the gap is still so wide that a MILP solver gets the part: of flows, say."""
        task, best, params = self._task, self.best, self._task.params.milp
        gap, nonzeros = self.bound - best.objective, tightened.model.matrix.nnz
        # Asked before, it gets the part again only where the other steps do not suit it.
        least = params.strange if self._asked else task.rel_gap
        return task.mip_solvers is not None and any(
            (not best.feasible or gap > max(wide, least) * abs(best.objective)) and nonzeros <= small
            for wide, small in params.last
        )

    def solve_at_last(self, tightened: TightRelaxation) -> Iterator[Routing]:
        """Search on by a MILP solver."""
        best, params = self.best, self._task.params.milp
        strange = not best.feasible or self.bound - best.objective > params.strange * abs(best.objective)
        close = max(self._task.rel_gap, params.close_strange if strange else params.close)
        return self._milp(tightened, Limits(rel_gap=close, nodes=params.nodes))

    def _milp(
        self, tightened: TightRelaxation, limits: Limits, near_optimal: bool = False
    ) -> Iterator[Routing]:
        """Let a MILP solver search on from the best routing, and note whether it closed the gap."""
        task, best, n_x = self._task, self.best, self._task.structure.problem.n_onloading
        deadline, rel_gap = task.deadline, limits.rel_gap or 0.0
        start = None
        if best.feasible:
            start = Start(np.concatenate([best.x, best.y]).astype(float), near_optimal)
        limits = replace(limits, time=deadline.left(), stop=lambda: deadline.over, threads=1)

        found = self._solved(MIPModel(tightened.model), start, limits)
        if found is None:
            return
        self._asked = True
        if found.found:
            routing = self._step(found.values[:n_x] > 0.5, deadline.last_work())
            if routing.solved:
                yield routing
        if np.isfinite(found.bound):
            self.bound = min(self.bound, found.bound)
        if found.status is LPStatus.OPTIMAL and self.best.feasible:
            value = self.best.objective
            self.closed = self.bound - value <= max(max(rel_gap, _PROVEN) * abs(value), rounding(value))
        if found.status is LPStatus.INTERRUPTED:
            raise KeyboardInterrupt
