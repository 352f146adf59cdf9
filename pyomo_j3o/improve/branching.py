"""Branch and bound on the kernel: the proven bound falls, and the plans that dives find improve."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Generator, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np

from pyomo_j3o.alternate.offloading import Routing
from pyomo_j3o.certify.block_cuts import BlockPricer, cuts_of
from pyomo_j3o.certify.kernel import Kernel, Point, kernel_columns
from pyomo_j3o.certify.relaxation import TightRelaxation
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import FloatArray, IntArray
from pyomo_j3o.core.results import relative_gap
from pyomo_j3o.core.structure import Structure
from pyomo_j3o.improve.block_plans import BlockPlacement, block_placements
from pyomo_j3o.improve.boxes import Candidate, Explored, Node, Path, box_of, fractional_in
from pyomo_j3o.improve.diving import dive
from pyomo_j3o.improve.params import TreeParams
from pyomo_j3o.improve.propagation import fix_by_reduced_cost, propagate
from pyomo_j3o.improve.pseudo_costs import PseudoCosts
from pyomo_j3o.lp.base import Backend, LinearModel, LPStatus


@dataclass(frozen=True, slots=True)
class TreeLimits:
    """When a tree's search ends.

    Attributes
    ----------
    deadline : Deadline
    rel_gap : float
        At this relative gap.
    params : TreeParams
        After the effort that they allow.
    """

    deadline: Deadline
    rel_gap: float
    params: TreeParams


class Tree:
    """Best-bound search over boxes of x.

    The relaxation's kernel, not a MILP solver, is searched: measured on parts of ten clients, HiGHS spends
    three seconds at its root even on the kernel alone, while a few branchings on the right variables, chosen
    by strong branching (Achterberg, Koch, Martin 2005, DOI 10.1016/j.orl.2004.04.002), close most of the gap.

    Parameters
    ----------
    structure
        Of a linear problem.
    backend
        The LP solver.
    tightened
        Its relaxation with cuts.
    best
        The best routing known; its placement is in the kernel whatever it costs.
    limits
        When the search ends.
    pricer
        Of the blocks; None if the part has none.
    explored
        By a search of nearly the same part: after the root, this one goes on at its leaves.

    Attributes
    ----------
    best : Routing
        The best one known. Whoever takes the candidates of `search` sets it.
    nodes : int
        Nodes that were branched on.
    """

    def __init__(
        self,
        structure: Structure,
        backend: Backend,
        tightened: TightRelaxation,
        best: Routing,
        limits: TreeLimits,
        pricer: BlockPricer | None = None,
        explored: Explored | None = None,
    ) -> None:
        self.structure = structure
        self.best = best
        self._pricer = pricer
        self.nodes = 0
        #: The relaxation at the root with its block cuts, within the box that its optimum and its reduced
        #: costs are of, and this optimum; None before it is solved.
        self.root: tuple[LinearModel, Point] | None = None
        self._next_price = 0
        #: The shared x at which the blocks have said what they would place.
        self._asked: set[bytes] = set()
        self._params, self._deadline, self._rel_gap = limits.params, limits.deadline, limits.rel_gap
        self._next_dive = self._params.dive_after
        self._n_x = structure.problem.n_onloading
        root = tightened.bound
        self._scale = max(abs(root), 1e-9)
        self._gap = np.clip(root - self.incumbent, 1e-9 * self._scale, self._params.widest_gap * self._scale)
        least, largest = self._params.least_effort, self._params.largest_effort
        self._effort = float(np.clip(tightened.iterations, least, largest))
        columns = kernel_columns(tightened, self._params.kernel * self._gap)
        columns[: self._n_x] |= best.x
        self._leaves: list[Path] = []
        self._branched: dict[Path, int] = {}
        self._most_work, self._usual_gap = np.inf, 0.0
        self._costs = PseudoCosts(self._n_x)
        if explored is not None:
            columns |= explored.columns
            self._leaves = explored.leaves(self._params.leaves)
            self._costs = deepcopy(explored.costs)
            self._branched = dict(explored.branched)
            self._most_work, self._usual_gap = self._params.again * explored.work, explored.root_gap
        self.kernel = Kernel(tightened.model, backend, self._n_x, columns, self._params.lp, tightened.basis)
        self._number = itertools.count()
        # What is within the gap asked for is settled, however far below.
        self._margin = max(self._params.margin, self._params.within * self._rel_gap)
        # Bounds of boxes that were given up: unsolved in time, or no better than the incumbent.
        self._given_up = -np.inf
        n_x, model = self._n_x, tightened.model
        first = Node(0.0, next(self._number), model.lower[:n_x].copy(), model.upper[:n_x].copy(), root)
        self._open: list[Node] = [first]
        self._parked: list[Node] = []
        self._at_work: list[Node] = []

    def close(self) -> None:
        """Free the LPs."""
        self.kernel.close()

    @property
    def incumbent(self) -> float:
        """Objective of the best plan known; -inf without one."""
        return self.best.objective

    @property
    def bound(self) -> float:
        """No plan is better than this (without the problem's constant)."""
        bounds = [self._given_up, self.incumbent]
        bounds += [node.bound for node in self._open[:1]]
        bounds += [node.bound for node in (*self._parked, *self._at_work)]
        return max(bounds)

    def extend(self) -> None:
        """Let the search go on for some times the usual effort."""
        self._effort *= self._params.extended
        self._most_work = np.inf

    def explored(self) -> Explored:
        """Return what the search leaves to the next one."""
        root = np.inf if self.root is None else relative_gap(self.incumbent, self.root[1].bound)
        blocks = None if self._pricer is None else self._pricer.blocks
        return Explored(self._branched, self._costs, self.kernel.inside, self.kernel.work, blocks, root)

    def search(self) -> Iterator[Candidate]:
        """Branch until the gap is closed, or the effort is spent, which is more the wider the gap is.

        It ends earlier where twice the effort hardly narrowed a very wide gap.

        Yields
        ------
        Candidate
            Whoever makes a plan from it sets `best` before the search goes on.
        """
        params = self._params
        checkpoint, gap_before = self._effort, np.inf
        while not self._deadline.over:
            while not self._open and self._parked:
                self._unpark()
            if not self._open:
                return
            gap = self.bound - self.incumbent
            spent = self.kernel.work
            effort = self._effort_at(gap)
            if gap <= self._usual_gap * abs(self.incumbent):
                effort = min(effort, self._most_work)
            if self._is_closed(gap) or (spent > effort and not self._at_old_leaves):
                return
            if spent > checkpoint:
                if gap > max(params.narrowed * gap_before, params.hopeless * self._scale):
                    return
                checkpoint, gap_before = 2.0 * spent, gap
            node = heapq.heappop(self._open)
            # Whatever ends the search from inside, the bound still counts this box.
            self._at_work = [node]
            yield from self._work(node)
            self._at_work = []

    @property
    def _at_old_leaves(self) -> bool:
        """Whether a leaf of the search before, whose turn has not come, sets the bound."""
        return self._open[0].is_old_leaf and self._open[0].basis is None

    def _is_closed(self, gap: float) -> bool:
        return bool(np.isfinite(gap) and gap <= self._rel_gap * abs(self.incumbent))

    def _effort_at(self, gap: float) -> float:
        """Return the effort that a gap is worth, in units of the kernel's work."""
        params = self._params
        factor = (gap / self._scale / params.at_gap) ** params.power
        return float(np.clip(factor, params.least_factor, params.largest_factor)) * self._effort

    def _work(self, node: Node) -> Iterator[Candidate]:
        """Solve a box unless that was done, put it back if others are better now, or branch on it."""
        if node.point is None:
            worth_branching = yield from self._solve(node)
            if not worth_branching:
                return
        if self._open and node.bound < self._open[0].bound:
            self._push(node)
            return
        # After some nodes the best box is a better place to dive from than the root; without a plan all are.
        if self.nodes >= self._next_dive or self.incumbent == -np.inf:
            before = self.incumbent
            yield from self._dive(node)
            far = self.bound - self.incumbent > self._params.widest_gap * self._scale
            soon = far or self.incumbent > before
            later = self._params.wait * (self.nodes + 1)
            self._next_dive = self.nodes + self._params.dive_after if soon else later
        self.nodes += 1
        self._branch(node)

    def _cutoff(self) -> float:
        return self.incumbent + self._margin * abs(self.incumbent) if np.isfinite(self.incumbent) else -np.inf

    def _settled(self) -> float:
        """Return the bound at which a box is of no more use, a part of the gap above the incumbent."""
        if not np.isfinite(self.incumbent):
            return -np.inf
        return self.incumbent + min(self._params.settled * self._rel_gap, self._margin) * abs(self.incumbent)

    def _push(self, node: Node) -> None:
        node.key = -node.bound
        if node.bound <= self._settled():
            self._given_up = max(self._given_up, node.bound)
        elif node.bound <= self._cutoff():
            self._parked.append(node)
        else:
            heapq.heappush(self._open, node)

    def _unpark(self) -> None:
        """Go on with nodes close to the incumbent: the margin shrinks, in the end to nothing."""
        waiting, self._parked = self._parked, []
        self._margin = self._params.margin_factor * self._margin if self._margin > 1e-12 else 0.0
        for node in waiting:
            self._push(node)

    def _solve(self, node: Node) -> Generator[Candidate, None, bool]:
        """Solve a node's LP; return whether there is something to branch on."""
        if not propagate(self.structure, node.lower, node.upper):
            return False
        point = self.kernel.solve(
            node.lower, node.upper, node.basis, self._params.slack * self._gap, self._cutoff(), self._deadline
        )
        if point.bound == -np.inf or (point.status is LPStatus.INFEASIBLE and not len(point.values)):
            return False
        node.bound = min(node.bound, point.bound)
        node.basis = point.basis
        if not point.solved:
            # Cut off, or not solved in time.
            if node.bound <= self._cutoff():
                self._push(node)
            else:
                self._given_up = max(self._given_up, node.bound)
            return False
        node.point = point
        if node.variable >= 0:
            self._costs.learn(
                node.variable, node.lower[node.variable] > 0.5, node.before - node.bound, node.distance
            )
        if not node.is_old_leaf or not fractional_in(point.values[: self._n_x]).any():
            yield self._candidate(point, node.lower, node.upper)
        if self._pricer is not None and node.bound > self._cutoff():
            self._price(self._pricer, node)
        if node.is_root:
            self.root = self._within(node), node.point
        if self._pricer is not None and node.point is not point:
            point = node.point
            yield self._candidate(point, node.lower, node.upper)
        if node.bound <= self._cutoff():
            node.point = None
            self._push(node)
            return False
        settled = self._settled()
        if fix_by_reduced_cost(node.lower, node.upper, point.costs[: self._n_x], point.bound, settled):
            self._given_up = max(self._given_up, settled)
        return True

    def _within(self, node: Node) -> LinearModel:
        """Return the relaxation within the box of a node."""
        model = self.kernel.model
        lower, upper = model.lower.copy(), model.upper.copy()
        lower[: self._n_x], upper[: self._n_x] = node.lower, node.upper
        return replace(model, lower=lower, upper=upper)

    def _price(self, pricer: BlockPricer, node: Node) -> None:
        """Add the block cuts at a node's prices, and solve it once more.

        At the root this comes first. Below it, the prices are worth it once the shared x are settled; after a
        round in vain it waits until the number of nodes has doubled.
        """
        params, point, best = self._params, node.point, self.best
        assert point is not None
        below = not node.is_root
        if (
            not best.feasible
            or node.is_old_leaf
            or self.nodes < self._next_price
            or (below and fractional_in(point.values[: self._n_x][pricer.blocks.shared]).any())
        ):
            return
        gap, model = node.bound - best.objective, self.kernel.model
        known = np.concatenate([best.x.astype(float), best.y])
        priced = pricer.price(model, point.values, point.duals, known, gap, self._deadline)
        self.kernel.work += params.per_mip * len(priced)
        cuts, limit = cuts_of(priced, model, params.least_cut * gap)
        if not len(limit):
            return
        before = node.bound
        self.kernel.add_rows(cuts, limit)
        again = self.kernel.solve(
            node.lower, node.upper, None, params.slack * self._gap, self._cutoff(), self._deadline
        )
        node.bound = min(node.bound, again.bound)
        if again.basis is not None:
            node.basis = again.basis
        if again.solved:
            node.point = again
        in_vain = before - node.bound < params.worth_pricing * gap
        self._next_price = 2 * (self.nodes + 1) if in_vain else self.nodes

    def block_placements(self) -> list[BlockPlacement]:
        """Return what the blocks would place at the shared x of the best plan; nothing if that is known.

        See `block_placements`.
        """
        if self._pricer is None or not self.best.feasible or self._deadline.over:
            return []
        shared = self.best.x[self._pricer.blocks.shared].tobytes()
        if shared in self._asked:
            return []
        self._asked.add(shared)
        slack = self._params.slack * self._gap
        found = block_placements(self.kernel, self._pricer, self.best, slack, self._deadline)
        self.kernel.work += self._params.per_mip * len(found)
        return found

    def _candidate(self, point: Point, lower: FloatArray, upper: FloatArray) -> Candidate:
        return Candidate(point.values[: self._n_x], point.duals, lower, upper)

    def _dive(self, node: Node) -> Iterator[Candidate]:
        assert node.point is not None
        found = dive(
            self.structure,
            self.kernel,
            node.point,
            (node.lower, node.upper),
            self.incumbent,
            self._deadline,
            self._params.dive,
        )
        if found is not None:
            yield self._candidate(*found)

    def _branch(self, node: Node) -> None:
        """Replace a node by two, or by one if a variable has no choice."""
        assert node.point is not None
        if node.is_root and self._leaves:
            self._go_on(node)
            return
        fractional = self._fractional(node)
        if not len(fractional) and not self._is_closed(node.bound - self.incumbent):
            # What columns outside of the kernel add to its bound counts in the end.
            self._sharpen(node)
            fractional = self._fractional(node)
        if not len(fractional):
            # An integral relaxation: its plan is known, and nothing in the box is better than its bound.
            self._given_up = max(self._given_up, node.bound)
            return
        x = node.point.values[: self._n_x]
        influence = self.kernel.influence(node.point)[fractional]
        scores = self._costs.scores(x, fractional, influence, 1e-6 * self._gap)
        for child in self._children(node, fractional, scores):
            self._branched[node.path] = child.variable
            self._push(child)

    def _fractional(self, node: Node) -> IntArray:
        """Return the variables that a node may be branched on."""
        assert node.point is not None
        return np.flatnonzero(fractional_in(node.point.values[: self._n_x]) & (node.lower < node.upper))

    def _sharpen(self, node: Node) -> None:
        """Solve a node until no column outside of the kernel adds to its bound."""
        point = self.kernel.solve(node.lower, node.upper, node.basis, 0.0, self._cutoff(), self._deadline)
        node.bound = min(node.bound, point.bound)
        if point.solved:
            node.point = point

    def _go_on(self, root: Node) -> None:
        """Replace the root by the leaves of the search before."""
        for path in self._leaves:
            lower, upper = box_of(path, root.lower, root.upper)
            if np.all(lower <= upper):
                self._push(Node(0.0, next(self._number), lower, upper, root.bound, path=path))

    def _children(self, node: Node, fractional: IntArray, scores: FloatArray) -> list[Node]:
        """Return the boxes that replace a node: two, or at most one if a variable has no choice."""
        params = self._params
        best: list[Node] = []
        best_score, tried, failed = -np.inf, 0, 0
        for place in np.argsort(-scores, kind="stable"):
            if best and (tried >= params.candidates or failed >= params.lookahead):
                break
            k = int(fractional[place])
            reliable = self._costs.count(k) >= params.reliable
            if reliable and best and scores[place] <= best_score:
                continue
            both = [self._child(node, k, value, probe=not reliable) for value in (0.0, 1.0)]
            children = [child for child in both if child is not None]
            alive = [child for child in children if child.bound > self._cutoff()]
            if len(alive) < 2:
                # One value is impossible, or no better: the other replaces the node.
                return children
            drops = [max(node.bound - child.bound, 1e-6 * self._gap) for child in alive]
            score = scores[place] if reliable else drops[0] * drops[1]
            tried += not reliable
            failed += 1
            if score > best_score:
                best, best_score, failed = alive, score, 0
        return best

    def _child(self, node: Node, k: int, value: float, probe: bool) -> Node | None:
        """Return the box of x_k = `value`, its bound lowered by a few iterations; None if it is empty."""
        assert node.point is not None
        lower, upper = node.lower.copy(), node.upper.copy()
        lower[k] = upper[k] = value
        if not propagate(self.structure, lower, upper):
            return None
        distance = abs(node.point.values[k] - value)
        child = Node(
            *(0.0, next(self._number), lower, upper, node.bound, node.basis, None),
            *(k, distance, node.bound, (*node.path, (k, value))),
        )
        if probe:
            iterations, seconds = self._params.probe, self._deadline.left()
            found = self.kernel.probe(lower, upper, node.basis, iterations, self._cutoff(), seconds)
            child.bound = min(child.bound, found.bound)
            if found.basis is not None:
                child.basis = found.basis
        return None if child.bound == -np.inf else child
