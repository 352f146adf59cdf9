"""BAJ3O's surrogate: set-up as a concave function of the batch size, linearised anew in each iteration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from pyomo_j3o.alternate.offloading import OffloadingByParts, Routing
from pyomo_j3o.alternate.onloading import greedy_onloading
from pyomo_j3o.alternate.params import LoopParams
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import BoolArray, FloatArray, Problem
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.lp.base import Backend
from pyomo_j3o.presolve.charged import Charged, empty
from pyomo_j3o.presolve.decomposing import Split, take


def surrogate(q: FloatArray, largest: FloatArray, delta: float) -> tuple[FloatArray, FloatArray]:
    """Return φ_δ(q) = log(1 + q/δ) / log(1 + U/δ) and its slope.

    Concave, 0 at q = 0 and 1 at q = U; as δ → 0 it becomes the step 1[q > 0]. BAJ3O replaces the step by such
    a function and that by its first-order Taylor expansion (arXiv 2508.13380); the form of φ is our choice.

    Parameters
    ----------
    q
        Batch sizes, in any unit.
    largest
        U, in the same unit, above 0.
    delta
        δ, as part of U.
    """
    scale = delta * largest
    height = np.log1p(1.0 / delta)
    return np.log1p(q / scale) / height, 1.0 / ((scale + q) * height)


def linearised(charged: Charged, q: FloatArray, largest: FloatArray, delta: float) -> Problem:
    """Return the problem in which each set-up is the tangent of φ_δ at batch size q: linear, no indicators.

    Parameters
    ----------
    charged
        The problem, and who pays.
    q, largest
        Queries/s of the b batches now, and at most.
    delta
        δ, as part of the largest.
    """
    problem = charged.problem
    batches = charged.batches
    height, slope = surrogate(q, largest, delta)
    arrivals = batches.arrivals[charged.batch]
    # At 0 queries the tangent pays what is left over here; constant arrivals are paid for by all.
    constant = charged.setup * (height + slope * (batches.constant[charged.batch] - q))
    per_query = sparse.csr_array(
        (charged.setup * slope, (charged.row, np.arange(len(q)))), shape=(problem.n_rows, len(q))
    )
    wide = sparse.csr_array(
        (arrivals.data, arrivals.indices, arrivals.indptr), shape=(len(q), problem.n_offloading)
    )
    paid = sparse.csr_array((charged.setup, (charged.row, charged.payer)), shape=problem.onloading_rows.shape)
    keep = np.ones(problem.n_rows)
    keep[np.concatenate([charged.opening, charged.budget])] = 0.0
    mask = sparse.dia_array((keep[None, :], [0]), shape=(len(keep), len(keep)))
    x_rows = sparse.csr_array(mask @ (problem.onloading_rows - paid))
    # What is left of a set-up that has been taken out is rounding.
    x_rows.data[np.abs(x_rows.data) <= 1e-12] = 0.0
    x_rows.eliminate_zeros()
    y_rows = sparse.csr_array(mask @ (problem.offloading_rows + per_query @ wide))
    y_rows.sort_indices()
    gone = keep == 0.0
    return replace(
        problem,
        onloading_rows=x_rows,
        offloading_rows=y_rows,
        row_lower=np.where(gone, -np.inf, problem.row_lower),
        row_upper=np.where(
            gone, np.inf, problem.row_upper - np.bincount(charged.row, constant, minlength=problem.n_rows)
        ),
    )


class BatchSurrogate:
    """The two steps of BAJ3O at a point that moves: batch sizes and δ.

    Parameters
    ----------
    charged
        The problem, and who pays for which batch.
    whole
        Its ``problem`` in independent parts.
    backend
        The LP solver.
    y
        (K,), where to begin.
    params
        Of the alternation.
    """

    def __init__(
        self,
        charged: Charged,
        whole: Split,
        backend: Backend,
        y: FloatArray,
        params: LoopParams = LoopParams(),
    ) -> None:
        self._charged, self._whole, self._backend = charged, whole, backend
        self._largest = charged.largest_rates()
        self._params = params
        self._delta = params.batches.first
        self._support: BoolArray | None = None
        self._settled = False
        self._move(charged.rates(y))

    @property
    def settled(self) -> bool:
        """Whether δ is small and the same batches as before were in use."""
        return self._settled

    def onload(self, prices: FloatArray, deadline: Deadline) -> BoolArray:
        """Return the greedy placement for F_α of the surrogate; indicators that are left are not in it.

        Parameters
        ----------
        prices
            α, (M,).
        deadline
            When to end.
        """
        x = np.zeros(self._charged.problem.n_onloading, dtype=bool)
        for part, structure in zip(self._whole.parts, self._structures, strict=True):
            if len(part.onloading):
                x[part.onloading] = greedy_onloading(
                    structure, prices[part.rows], deadline, self._params.greedy
                )
        return x

    def offload(self, x: BoolArray, time_limit: float) -> tuple[BoolArray, Routing]:
        """Route by the surrogate LP, move to the batch sizes that it gives, and shrink δ.

        Returns
        -------
        (N,) bool
            What of `x` is in use, and the indicators of the batches that are not empty: each of them pays in
            full where this placement is routed.
        Routing
            That of the surrogate.
        """
        step = OffloadingByParts(self._whole, self._structures, self._backend)
        try:
            routing = step(x, time_limit)
        finally:
            step.close()
        if not routing.feasible:
            return self._in_use(x, self._largest), routing
        q = np.maximum(self._charged.rates(routing.y), 0.0)
        support = ~empty(q)
        again = self._support is not None and np.array_equal(support, self._support)
        params = self._params.batches
        self._settled = (again and self._delta <= params.small) or self._delta <= params.last
        self._support = support
        self._delta *= params.factor
        self._move(q)
        return self._in_use(x, q), routing

    def _move(self, q: FloatArray) -> None:
        problem = linearised(self._charged, q, self._largest, self._delta)
        parts = (
            replace(part, problem=take(problem, part.onloading, part.offloading, part.rows))
            for part in self._whole.parts
        )
        self._whole = Split(problem, tuple(parts))
        self._structures = [analyse(part.problem) for part in self._whole.parts]

    def _in_use(self, x: BoolArray, q: FloatArray) -> BoolArray:
        """Return the placement without payers of empty batches, given sizes `q`, (b,), as windows allow."""
        charged = self._charged
        used = ~empty(q)
        # Where φ < 1 let too many batches into a window, those that serve most per set-up stay.
        order = np.lexsort((-q / charged.setup, ~used, charged.row))
        row, setup = charged.row[order], np.where(used, charged.setup, 0.0)[order]
        taken = np.cumsum(setup)
        first = np.searchsorted(row, row)
        taken -= taken[first] - setup[first]
        used[order] &= taken <= charged.problem.row_upper[row] * (1 + 1e-9)
        own = charged.idle_if_empty
        x = x.copy()
        x[charged.payer[own & ~used]] = False
        # Who pays for several batches stays for each of them.
        x[charged.payer[used]] = True
        return x
