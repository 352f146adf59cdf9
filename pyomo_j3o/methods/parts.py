"""A problem as its independent parts: their structures, and what is proven of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from pyomo_j3o.alternate.onloading import greedy_onloading
from pyomo_j3o.certify.cutting import relax
from pyomo_j3o.certify.relaxation import Relaxation, TightRelaxation, together
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.parallel import in_parts
from pyomo_j3o.core.problem import BoolArray, FloatArray, Problem
from pyomo_j3o.core.results import Cuts
from pyomo_j3o.core.structure import Structure, analyse
from pyomo_j3o.errors import BackendError
from pyomo_j3o.lp import Backend
from pyomo_j3o.lp.duality import summed
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
    tightened : list
        The relaxation of each with its cuts; None where there is none.
    """

    def __init__(self, problem: Problem, settings: Settings, context: Context) -> None:
        self._problem = problem
        self._context = context
        self._threads = settings.threads
        self._params = settings.params
        self.whole = split(problem, settings.params.presolve.smallest_part)
        self.parts = self.whole.parts
        self.structures: list[Structure] = []
        for part in self.parts:
            context.deadline.require()
            self.structures.append(analyse(part.problem, context.deadline))
        self.bounds = np.full(len(self.parts), np.inf)
        self.tightened: list[TightRelaxation | None] = [None] * len(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

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
        for part, structure in zip(self.parts, self.structures, strict=True):
            if len(part.onloading):
                x[part.onloading] = greedy_onloading(
                    structure, prices[part.rows], deadline, self._params.loop.greedy
                )
        return x

    def relax(self, with_cuts: bool, deadline: Deadline) -> Relaxation:
        """Relax every part by itself, and note what is proven of each."""
        context, params = self._context, self._params.cuts

        def work(k: int, deadline: Deadline) -> Relaxation:
            try:
                return relax(self.structures[k], context.backend, with_cuts, deadline, params)
            except BackendError as error:
                context.log.line(f"The relaxation proves no bound: {error}")
                return relax(self.structures[k], context.backend, with_cuts, Deadline(0.0), params)

        every = range(len(self.parts))
        relaxations = in_parts(work, self.weights(every), deadline, self.threads(context.backend))
        self.bounds = np.array([relaxation.bound for relaxation in relaxations])
        if with_cuts:
            self.tightened = [relaxation.tightened for relaxation in relaxations]
        return together(self.whole, relaxations)

    def bound(self) -> float:
        """Return what the bounds of the parts add up to."""
        return summed([*self.bounds, self._problem.objective_constant])

    def cuts(self, n_rows: int) -> Cuts | None:
        """Return the rows of the tightened relaxations beyond the first `n_rows` of the problem."""
        problem, found = self._problem, []
        for part, tightened in zip(self.parts, self.tightened, strict=True):
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
