"""A problem as its independent parts: their structures, and what is proven of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from pyomo_j3o.certify.relaxation import Relaxation, TightRelaxation, together
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.parallel import in_parts
from pyomo_j3o.core.problem import BoolArray, FloatArray, Problem
from pyomo_j3o.core.processes import Processes, ProcessLost
from pyomo_j3o.core.results import Cuts, relative_gap
from pyomo_j3o.core.structure import Structure, analyse
from pyomo_j3o.core.whole_numbers import rounded_bound, unit_of_objective
from pyomo_j3o.errors import BackendError
from pyomo_j3o.improve.boxes import Explored
from pyomo_j3o.improve.task import Found
from pyomo_j3o.lp import Backend
from pyomo_j3o.lp.duality import summed
from pyomo_j3o.methods.kept import KeptRelaxation
from pyomo_j3o.methods.memory import PartMemory
from pyomo_j3o.methods.part_work import (
    Start,
    Tools,
    onload_part,
    received,
    relax_part,
    repair_part,
    search_part,
    sent,
)
from pyomo_j3o.methods.settings import Context, Settings
from pyomo_j3o.presolve.decomposing import split


class Parts:
    """The independent parts of a problem.

    Parameters
    ----------
    problem
        The whole, linear.
    settings, context
        Of the solve.

    Attributes
    ----------
    whole : Split
        The problem in its parts.
    parts : tuple of Part
    structures : list of Structure
    bounds : (parts,)
        Proven of each.
    """

    def __init__(self, problem: Problem, settings: Settings, context: Context) -> None:
        self._problem = problem
        self._context = context
        self._threads = settings.threads
        self._params = settings.params
        self.whole = split(problem, settings.params.presolve.smallest_part)
        self.parts = self.whole.parts
        self.tools = Tools(context.backend, settings.params, settings.rel_gap, settings.mip_solvers)
        self._processes = self._started()
        self.structures: list[Structure] = []
        for part in self.parts:
            context.deadline.require()
            self.structures.append(analyse(part.problem, context.deadline))
        self.bounds = np.full(len(self.parts), np.inf)
        self._units = [unit_of_objective(part.problem) for part in self.parts]
        self._kept: list[KeptRelaxation | TightRelaxation | None] = [None] * len(self.parts)
        memory = self._memory = settings.memory
        if memory is not None:
            memory.begin(settings.asked)
        self.remembered = [None if memory is None else memory.of(part) for part in self.parts]
        self.unchanged = [
            None if one is None or settings.pursues else one.of(part.problem)
            for one, part in zip(self.remembered, self.parts, strict=True)
        ]
        self._relaxations: list[Relaxation] = []
        #: What all relaxations prove together.
        self._certified = np.inf
        self._explored: dict[int, Explored] = {}
        #: Parts whose search has ended by itself, or has closed the gap.
        self._complete: set[int] = set()

    def __len__(self) -> int:
        return len(self.parts)

    def _started(self) -> Processes | None:
        """Start processes to work on the parts, where they are worth it; None for threads."""
        n = min(self.threads(self.tools.backend), len(self.with_x))
        if n <= 1 or self._problem.n_nonzeros < self._params.run.processes:
            return None
        tools = self.tools.portable()
        if tools is None:
            return None
        try:
            processes = Processes(tools)
        except Exception as error:  # whatever an object of the user's raises
            self._context.log.line(f"Parts are worked on in this process alone: {error}")
            return None
        processes.start(n)
        return processes

    def close(self) -> None:
        """End the processes."""
        if self._processes is not None:
            self._processes.close()

    @property
    def with_x(self) -> list[int]:
        """Numbers of the parts that have onloading variables."""
        return [k for k, part in enumerate(self.parts) if part.problem.n_onloading]

    def weights(self, numbers: Sequence[int]) -> list[float]:
        """Return by what the parts share the time."""
        return [1.0 + self.parts[k].problem.n_nonzeros for k in numbers]

    def threads(self, backend: Backend) -> int:
        """Return how many parts may be worked on at a time."""
        return (self._threads or 1) if backend.parallel else 1

    def onload(self, prices: FloatArray, deadline: Deadline) -> BoolArray:
        """Return the greedy placement of every part at prices (M,), together (N,)."""
        x = np.zeros(self._problem.n_onloading, dtype=bool)
        tasks = [(self.structures[k], prices[self.parts[k].rows]) for k in self.with_x]
        return self._place(x, self.with_x, onload_part, tasks, deadline)

    def repair(self, x: BoolArray, prices: FloatArray, deadline: Deadline) -> BoolArray:
        """Return a placement like `x`, (N,), whose parts can be routed, as far as one is found near by."""
        numbers = [k for k in self.with_x if self.unchanged[k] is None]
        parts = [self.parts[k] for k in numbers]
        tasks = [
            (self.structures[k], x[part.onloading], prices[part.rows])
            for k, part in zip(numbers, parts, strict=True)
        ]
        return self._place(x.copy(), numbers, repair_part, tasks, deadline)

    def _place(
        self,
        x: BoolArray,
        numbers: Sequence[int],
        function: Callable[..., BoolArray],
        tasks: Sequence[tuple[Any, ...]],
        deadline: Deadline,
    ) -> BoolArray:
        """Write what a function of `part_work` returns for some parts into `x`, (N,), and return it."""
        processes = self._processes

        def work(number: int, deadline: Deadline) -> BoolArray:
            with suppress(ProcessLost):
                if processes is not None:
                    placement: BoolArray = processes.call(function, tasks[number], deadline)
                    return placement
            return function(self.tools, deadline, *tasks[number])

        if processes is None:
            placements = [work(number, deadline) for number in range(len(numbers))]
        else:
            weights = self.weights(numbers)
            placements = in_parts(work, weights, deadline, self.threads(self.tools.backend))
        for k, placement in zip(numbers, placements, strict=True):
            x[self.parts[k].onloading] = placement
        return x

    def relax(self, with_cuts: bool, deadline: Deadline) -> Relaxation:
        """Relax every part by itself, and note what is proven of each."""
        context, processes = self._context, self._processes

        def work(k: int, deadline: Deadline) -> Relaxation:
            unchanged, remembered = self.unchanged[k], self.remembered[k]
            if unchanged is not None:
                return unchanged.relaxation
            trail = None if remembered is None else remembered.trail
            task = self.structures[k], with_cuts, trail
            try:
                relaxation = None
                with suppress(ProcessLost):
                    if processes is not None:
                        relaxation = processes.call(relax_part, task, deadline)
                relaxation = relaxation or relax_part(self.tools, deadline, *task)
            except BackendError as error:
                context.log.line(f"The relaxation proves no bound: {error}")
                relaxation = relax_part(self.tools, Deadline(0.0), self.structures[k], with_cuts)
            if with_cuts:
                self._keep(k, relaxation.tightened)
            return replace(relaxation, tightened=None)

        every = range(len(self.parts))
        found = in_parts(work, self.weights(every), deadline, self.threads(context.backend))
        self.bounds = np.array([relaxation.bound for relaxation in found])
        self._relaxations = found
        relaxations = [replace(one, bound=bound) for one, bound in zip(found, self._rounded(), strict=True)]
        relaxation = together(self.whole, relaxations)
        self._certified = relaxation.bound
        return relaxation

    def _keep(self, k: int, tightened: TightRelaxation | None) -> None:
        if tightened is None or len(self.parts) == 1:  # there is nothing to save on
            self._kept[k] = tightened
        else:
            self._kept[k] = KeptRelaxation.of(self.parts[k].problem, tightened) or tightened

    def explored_before(self, k: int) -> Explored | None:
        """Return what the search of part `k` in a solve before has left."""
        before = self.remembered[k]
        return None if before is None else before.explored

    def is_near_again(self, objective: float) -> bool:
        """Return whether a plan is about as near the relaxation's bound as that of the solve before was."""
        near = 0.0 if self._memory is None else self._params.search.near_again * self._memory.gap
        return near > 0.0 and relative_gap(objective, self._certified) <= near

    def settle(self, k: int) -> BoolArray | None:
        """Take over what is proven of part `k` if it is as it was; return its placement then."""
        unchanged = self.unchanged[k]
        if unchanged is None:
            return None
        self.bounds[k] = min(self.bounds[k], unchanged.bound)
        return unchanged.x

    def note(self, k: int, found: Found) -> None:
        """Take what the search of part `k` has proven and explored."""
        self.bounds[k] = min(self.bounds[k], found.bound)
        if found.explored is not None:
            self._explored[k] = found.explored
        gap = relative_gap(found.routing.objective, float(self.bounds[k]))
        if found.ends or (found.routing.feasible and gap <= self.tools.rel_gap):
            self._complete.add(k)

    def remember(self, x: BoolArray, objective: float) -> None:
        """Leave to the next solve, if there is to be one, what this one has found.

        Parameters
        ----------
        x
            (N,), the best placement.
        objective
            Of its plan.
        """
        if self._memory is not None:
            self._memory.gap = relative_gap(objective, self._certified)
        for k, part in enumerate(self.parts):
            if self._memory is None or self.unchanged[k] is not None or not self._relaxations:
                continue
            tightened = self.tightened(k)
            self._memory.keep(
                part,
                PartMemory(
                    part.problem,
                    x[part.onloading],
                    self._relaxations[k],
                    float(self.bounds[k]),
                    None if tightened is None else tightened.trail,
                    self._explored.get(k) or self.explored_before(k),
                    complete=k in self._complete or not part.problem.n_onloading,
                ),
            )

    def tightened(self, k: int) -> TightRelaxation | None:
        """Return the relaxation of part `k` with its cuts; None where there is none."""
        kept = self._kept[k]
        return kept.whole() if isinstance(kept, KeptRelaxation) else kept

    def search(self, k: int, start: Start, deadline: Deadline) -> Iterator[Found]:
        """Search part `k` by itself; see `improve`."""
        if self._processes is None:
            yield from search_part(self.tools, deadline, self.structures[k], start)
            return
        try:
            # Closed at once where the search is left: not when the garbage is collected.
            with closing(self._processes.stream(sent, (self.structures[k], start), deadline)) as stream:
                yield from received(stream)
        except ProcessLost as error:
            self._context.log.line(f"The search of a part ended early: {error}")

    def bound(self) -> float:
        """Return what the bounds of the parts add up to."""
        return summed([*self._rounded(), self._problem.objective_constant])

    def _rounded(self) -> list[float]:
        """Return the bound of each part, lowered to a multiple of its unit where its objective has one."""
        each = zip(self.parts, self._units, self.bounds, strict=True)
        return [rounded_bound(part.problem, unit, float(bound)) for part, unit, bound in each]

    def cuts(self, n_rows: int) -> Cuts | None:
        """Return the rows of the tightened relaxations beyond the first `n_rows` of the problem."""
        problem, found = self._problem, []
        for k, part in enumerate(self.parts):
            tightened = self.tightened(k)
            if tightened is None:
                continue
            model = tightened.model
            own = np.concatenate([part.rows >= n_rows, np.ones(model.n_rows - len(part.rows), dtype=bool)])
            rows = sparse.coo_array(sparse.csr_array(model.matrix)[np.flatnonzero(own)])
            columns = self.whole.columns(part)
            shape = rows.shape[0], problem.n_onloading + problem.n_offloading
            wide = sparse.csr_array((rows.data, (rows.row, columns[rows.col])), shape=shape)
            found.append((wide, model.row_lower[own], model.row_upper[own]))
        if not found:
            return None
        matrices, lower, upper = zip(*found, strict=True)
        return Cuts(sparse.csr_array(sparse.vstack(matrices)), np.concatenate(lower), np.concatenate(upper))
