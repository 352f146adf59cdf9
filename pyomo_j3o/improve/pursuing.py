"""The search of one part for as long as it takes: its steps get time by what they last brought."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from pyomo_j3o.alternate.lagrangian import price
from pyomo_j3o.alternate.offloading import OffloadingStep, Routing
from pyomo_j3o.alternate.onloading import greedy
from pyomo_j3o.certify.relaxation import TightRelaxation
from pyomo_j3o.core.problem import BoolArray, FloatArray
from pyomo_j3o.core.results import rounding
from pyomo_j3o.errors import BackendError
from pyomo_j3o.improve.branching import Tree
from pyomo_j3o.improve.part_search import PartSearch
from pyomo_j3o.improve.proving import shrunk_around
from pyomo_j3o.improve.task import Found, Task
from pyomo_j3o.lp.base import LPStatus
from pyomo_j3o.mip import (
    Limits,
    MIPModel,
    MIPSolution,
    MIPSolver,
    PausedSearch,
    believable,
    solve_checked,
)

logger = logging.getLogger("pyomo_j3o")

#: Standard deviation of the logarithm by which prices are shaken, and fraction of the placement that is kept.
_SHAKEN, _KEPT = 0.3, 0.7

#: Relative gap that a MILP solver may leave, by the margins of its bound, once it is done.
_TOLERANCES = 1e-5

#: What counts as a second: work of the kernel; looks of the MILP solver at its limits, and restarts, each
#: times the nonzeros of the part.
_WORK_PER_SECOND, _LOOKS_PER_SECOND, _RESTARTS_PER_SECOND = 6e3, 7.5e5, 5e5

#: Every such slice goes to the step that had least time.
_BY_TIME = 4


class Pursuit:
    """Searches one part on, one slice of time after the other, until its gap is closed.

    Three steps take turns: branch and bound on the kernel, a MILP solver on what the reduced costs of the
    tree's root leave, and descents from greedy placements at prices that are shaken. The step that last
    closed most of the gap per second goes on; where none closes any, and in every fourth slice, the one that
    had least time. A slice is as long as the step has had time before it, so that a step that needs long is
    not cut short forever. The tree and the MILP solver are paused between slices, not started anew.

    Parameters
    ----------
    task
        The part.
    x
        (N,) bool, the placement to start from.
    prices
        Price vectors met so far, (M,) each; at least one.
    tightened
        The relaxation with cuts.
    bound
        Proven of the part.
    seed
        Of the shaken prices.

    Attributes
    ----------
    best : Routing
        The best so far.
    bound : float
        No plan of the part is better.
    rate : float
        Gap that was closed per second in the last slice; +inf before the first one.
    """

    def __init__(
        self,
        task: Task,
        x: BoolArray,
        prices: Sequence[FloatArray],
        tightened: TightRelaxation,
        bound: float,
        seed: int,
    ) -> None:
        self._task = task
        self._step = OffloadingStep(task.structure, task.backend)
        start = self._step(x, task.deadline.last_work())
        self._prices = prices
        self._search = PartSearch(
            task, self._step, start, [price(task.structure, vector) for vector in prices]
        )
        self._search.bound = bound
        self._tightened = tightened
        self._random = np.random.default_rng(seed)
        self._tree: Tree | None = None
        self._candidates: Iterator[Routing] | None = None
        self._mip: _PausedMIP | None = None
        self._slices = 0
        self._seconds = {"kernel": 0.0, "milp": 0.0, "swaps": 0.0}
        self._size = max(tightened.model.matrix.nnz, 1)
        self._is_small = tightened.model.matrix.nnz <= task.params.milp.pursued
        self._rates = {"kernel": np.inf, "milp": np.inf, "swaps": 0.0}
        if task.mip_solvers is None:
            del self._rates["milp"]
        self.rate = np.inf

    @property
    def best(self) -> Routing:
        """The best so far."""
        return self._search.best

    @property
    def bound(self) -> float:
        """No plan of the part is better."""
        return self._search.bound

    @property
    def gap(self) -> float:
        """What is left to close."""
        return max(self.bound - self.best.objective, 0.0)

    @property
    def is_over(self) -> bool:
        """Whether the part is solved: no step can do more."""
        value = self.best.objective
        if self.gap <= max(self._task.rel_gap * abs(value), rounding(value)):
            return True
        if "kernel" in self._rates and "milp" in self._rates:
            return False
        # Descents prove nothing, and what a MILP solver leaves of a closed gap is its tolerances.
        within = "milp" not in self._rates and self.gap <= _TOLERANCES * abs(value)
        return within or not self._rates.keys() & {"kernel", "milp"}

    @property
    def seconds(self) -> float:
        """All that it has taken so far."""
        return sum(self._seconds.values())

    def close(self) -> None:
        """Free the solvers."""
        if self._mip is not None:
            self._mip.close()
        if self._tree is not None:
            self._tree.close()
        self._step.close()

    def advance(self, seconds: float) -> Iterator[Found]:
        """Let the most promising step work for some seconds at least, and yield what it finds.

        Seconds are counted in work: the answer does not depend on the machine, or on how busy it is.
        """
        self._slices += 1
        by_time = self._slices % _BY_TIME == 0
        name = min(self._rates, key=lambda one: (0.0 if by_time else -self._rates[one], self._seconds[one]))
        if self._is_small and "milp" in self._rates and not by_time:
            name = "milp"  # measured: there it is the sooner way to a small gap
        gap, plan, bound = self.gap, self.best.objective, self._own_bound(name)
        before = self._seconds[name]
        work = {"kernel": self._branch, "milp": self._solve, "swaps": self._restart}[name]
        try:
            yield from self._search.timed(name, work(max(seconds, before)))
        finally:
            spent = max(self._seconds[name] - before, 1e-3)
            self._seconds[name] = before + spent
            self.rate = (gap - self.gap) / spent
            if name in self._rates:
                # A bound of its own that falls will count once it is below the one that is known.
                lowered = bound - self._own_bound(name)
                gained = self.best.objective - plan + (lowered if np.isfinite(lowered) else 0.0)
                begins = name == "milp" and not np.isfinite(bound)
                self._rates[name] = np.inf if begins else gained / spent

    def _own_bound(self, name: str) -> float:
        """Return the bound that a step has proven by itself."""
        if name == "kernel" and self._tree is not None:
            return self._tree.bound
        return self._mip.bound if name == "milp" and self._mip is not None else np.inf

    def _branch(self, seconds: float) -> Iterator[Routing]:
        """Search on in the tree."""
        if self._tree is None:
            params = replace(
                self._task.params.tree, least_factor=np.inf, largest_factor=np.inf, hopeless=np.inf
            )
            self._tree = self._search.tree(self._tightened, params)
            self._candidates = self._search.search_tree(self._tree)
        assert self._candidates is not None
        self._tree.best = self.best
        before, kernel = self._seconds["kernel"], self._tree.kernel
        at_begin = kernel.work
        try:
            for routing in self._candidates:
                yield routing
                if (kernel.work - at_begin) / _WORK_PER_SECOND >= seconds:
                    return
            del self._rates["kernel"]
        finally:
            self._seconds["kernel"] = before + (kernel.work - at_begin) / _WORK_PER_SECOND
            self._search.bound = min(self.bound, self._tree.bound)

    def _solve(self, seconds: float) -> Iterator[Routing]:
        """Let the MILP solver go on, or begin anew if a better plan rules out much more."""
        while "kernel" in self._rates and (self._tree is None or self._tree.root is None):
            # The tree's root comes first: its block cuts are what the solver is to have.
            yield from self._branch(0.0)
            if self._task.deadline.over:
                return
        assert self._tree is not None
        if self._tree.root is None:
            del self._rates["milp"]  # a root that was not solved has nothing to hand over
            return
        if self._mip is not None and self.best.objective - self._mip.known > 0.5 * self._mip.gap:
            self._mip.close()
            self._mip = None
        if self._mip is None:
            self._mip = _PausedMIP(self._task, self._tree, self.best)
        n_x = self._task.structure.problem.n_onloading
        try:
            looks = max(1, round(seconds * _LOOKS_PER_SECOND / self._size))
            self._seconds["milp"] += looks * self._size / _LOOKS_PER_SECOND
            is_over = self._mip.advance(looks)
        except BackendError as error:
            logger.debug("A part is left without a MILP solver: %s", error)
            del self._rates["milp"]
            return
        x = self._mip.values[:n_x] > 0.5
        routing = self._search.routed(x) if len(x) else None
        if routing is not None:
            yield routing
        self._search.bound = min(self.bound, max(self._mip.bound, self.best.objective))
        if is_over:
            del self._rates["milp"]

    def _restart(self, seconds: float) -> Iterator[Routing]:
        """Descend from greedy placements at prices that are shaken, one after the other."""
        task, random = self._task, self._random
        number = max(1, round(seconds * _RESTARTS_PER_SECOND / self._size))
        self._seconds["swaps"] += number * self._size / _RESTARTS_PER_SECOND
        for _ in range(number):
            if task.deadline.over:
                return
            prices = self._prices[int(random.integers(len(self._prices)))]
            shaken = prices * np.exp(_SHAKEN * random.standard_normal(len(prices)))
            lagrangian = price(task.structure, shaken)
            kept = self.best.x & (random.random(len(self.best.x)) < _KEPT)
            x = greedy(lagrangian, by_density=False, start=kept, deadline=task.deadline, params=task.greedy)
            routing = self._search.routed(x)
            if routing is not None:
                yield from self._search.descend_if_near(routing)


class _PausedMIP:
    """A MILP solver on what a tree's root leaves of a part.

    Attributes
    ----------
    known, gap : float
        Objective of the plan that it started from, and the gap then.
    bound : float
        No plan that is better than that one is better than this.
    values : (n,)
        The best point so far; empty without one.
    """

    def __init__(self, task: Task, tree: Tree, plan: Routing) -> None:
        assert tree.root is not None
        assert task.mip_solvers is not None
        relaxation, point = tree.root
        self.known, self.gap = plan.objective, point.bound - plan.objective
        self.bound = np.inf
        self.values: FloatArray = np.zeros(0)
        self._task = task
        self._shrunk, self._start = shrunk_around(relaxation, point, plan)
        self._model = MIPModel(self._shrunk.model)
        self._solver: MIPSolver = next(iter(task.mip_solvers()))
        self._search = PausedSearch(self._work)

    def close(self) -> None:
        """End the search."""
        self._search.close()

    def advance(self, looks: int) -> bool:
        """Let it go on; return whether it is over; see `PausedSearch`."""
        search, constant = self._search, self._shrunk.constant
        is_over = search.advance(looks)
        found = search.solution
        if found is None:
            told = MIPSolution(LPStatus.STOPPED, np.zeros(0), -np.inf, search.bound)
            bound = believable(self._model, told, self._start, self._solver.dual_tolerance(False))
            values = search.point
        else:
            bound, values = found.bound, found.values
            if found.status is LPStatus.INFEASIBLE:
                bound = np.inf  # the plan says otherwise
        # What was ruled out is no better than the plan that was known.
        self.bound = min(self.bound, max(bound + constant, self.known))
        if len(values):
            self.values = self._shrunk.restore(values)
        return is_over

    def _work(self, search: PausedSearch) -> MIPSolution:
        task, deadline = self._task, self._task.deadline
        limits = Limits(
            deadline.left(),
            abs_gap=max(task.rel_gap * abs(self.known), rounding(self.known)),
            stop=lambda: deadline.over or search.stopped(),
            threads=1,
            watch=search,
        )
        return solve_checked(self._solver, self._model, limits, self._start)
