"""The onloading step: greedy on F_α under every row over x alone."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from pyomo_j3o.alternate.greedy_state import Bundles, GreedyState, LargestMerits
from pyomo_j3o.alternate.lagrangian import Lagrangian, price
from pyomo_j3o.alternate.params import GreedyParams
from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.core.matrices import entry_rows
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.core.structure import Index, Structure


class OnloadingStep(Protocol):
    """Chooses a placement for given prices."""

    def __call__(self, structure: Structure, prices: FloatArray) -> BoolArray:
        """Return which x are 1, shape (N,), given the prices of the rows, shape (M,)."""


def greedy_onloading(
    structure: Structure,
    prices: FloatArray,
    deadline: Deadline = NEVER,
    params: GreedyParams = GreedyParams(),
) -> BoolArray:
    """Return the better of two greedy placements for F_α: by plain gain, and by gain per budget.

    With one knapsack, the better of the density greedy and the best single element reaches ½(1 - 1/e) of
    the best F (Khuller, Moss, Naor 1999, DOI 10.1016/S0020-0190(99)00031-9; Leskovec et al. 2007, DOI
    10.1145/1281192.1281239) where F is monotone; over a partition matroid the plain one reaches ½
    (Fisher, Nemhauser, Wolsey 1978, DOI 10.1007/BFb0121195). With several budgets and prices neither
    bound is claimed here.

    Parameters
    ----------
    structure
        Of a linear problem.
    prices
        α, shape (M,).
    deadline
        When to end.
    params
        Limits of the effort.

    Returns
    -------
    (N,) bool
        May miss rows that greedy cannot satisfy (an equality of several sizes, say), or has not come to
        when the time is over; see `repairing`.
    """
    lagrangian = price(structure, prices)
    best = greedy(lagrangian, by_density=False, deadline=deadline, params=params)
    if deadline.over:
        return best
    other = greedy(lagrangian, by_density=True, deadline=deadline, params=params)
    return max(best, other, key=lambda x: (structure.placeable(x), lagrangian.value(x)))


def greedy(
    lagrangian: Lagrangian,
    by_density: bool,
    start: BoolArray | None = None,
    deadline: Deadline = NEVER,
    params: GreedyParams = GreedyParams(),
) -> BoolArray:
    """Add the variable with the largest gain in F (or gain per budget) until none gains or fits.

    Instead of a lazy queue (Minoux 1978, DOI 10.1007/BFb0006528) all gains are kept exact: adding one
    variable changes only the gains of columns in the groups that it improved, and those are updated
    in one vector operation.

    Parameters
    ----------
    lagrangian
        F.
    by_density
        Divide gains by the share of the scarcest budget that the variable takes.
    start
        Begin with this placement, (N,) bool, instead of the variables that must be 1.
    deadline
        When to end; the placement so far is then returned.
    params
        Limits of the effort.
    """
    structure = lagrangian.structure
    problem = structure.problem
    state = GreedyState(lagrangian, problem.onloading_lower > 0.5 if start is None else start, deadline)
    size = _relative_size(structure) if by_density else np.ones(problem.n_onloading)
    _cover(state, size, deadline, params)
    bundles = Bundles.of(structure, params)
    tolerance = 1e-12 * max(1.0, float(np.abs(state.gain).max(initial=0.0)))

    def score(k: IntArray) -> FloatArray:
        return np.where(state.unavailable(k), -np.inf, state.gain[k] / size[k])

    scores = LargestMerits(score(np.arange(problem.n_onloading)))
    merits = None
    if bundles is not None:
        merits = LargestMerits(bundles.merit(state, size, np.arange(problem.n_onloading)))
    state.changed()
    while not deadline.over:
        best = scores.place()
        bundle = None
        if bundles is not None and merits is not None:
            bundle = bundles.best(state, merits, max(scores.value[best], 0.0))
        if bundle is not None:
            for member in bundle.tolist():
                state.add(member)
        elif best >= 0 and scores.value[best] > tolerance:
            state.add(best)
        else:
            break
        changed = state.changed()
        scores.set(changed, score(changed))
        if bundles is not None and merits is not None:
            holding = bundles.that_hold(changed)
            merits.set(holding, bundles.merit(state, size, holding))
    return state.x


def _relative_size(structure: Structure) -> FloatArray:
    """Return per variable the largest share of a budget that it takes, (N,), at least 1e-6."""
    part = structure.placement_matrix
    upper = structure.problem.row_upper[structure.placement_rows]
    row = entry_rows(part)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = part.data / upper[row]
    share = np.where(np.isfinite(share) & (part.data > 0) & (upper[row] > 0), share, 0.0)
    size = np.zeros(structure.problem.n_onloading)
    np.maximum.at(size, part.indices, share)
    unlimited = size == 0.0
    size[unlimited] = size[~unlimited].min(initial=1.0)
    return np.maximum(size, 1e-6)


class _Shortage:
    """How much each variable helps the placement rows that still lie below their lower side.

    Attributes
    ----------
    needed : (N,)
        How much of the shortage of rows the variable removes, in rows.
    n_short : int
        Number of rows that are short.
    """

    def __init__(self, state: GreedyState, wide: int) -> None:
        self._state = state
        self._wide = wide
        self._rows = state.structure.placement_matrix
        self._by_row = Index(self._rows.indptr, np.arange(self._rows.nnz))
        self._width = np.diff(self._rows.indptr)
        self._shortage = np.zeros(len(state.activity))
        self.needed = np.zeros(len(state.x))
        self.n_short = 0
        self.update(np.flatnonzero(state.activity < state.lower))

    def update(self, rows: IntArray) -> IntArray:
        """Bring `rows` up to date; return the variables for which something changed."""
        now = np.maximum(self._state.lower[rows] - self._state.activity[rows], 0.0)
        before = self._shortage[rows]
        moved = (now != before) & ((self._width[rows] <= self._wide) | (before <= 0) | (now <= 0.5 * before))
        rows, now, before = rows[moved], now[moved], before[moved]
        if not len(rows):
            return rows
        self._shortage[rows] = now
        self.n_short += int(np.sum(now > 0)) - int(np.sum(before > 0))
        entries = self._by_row.of_keys(rows)
        position = np.repeat(np.arange(len(rows)), self._width[rows])
        value, variable = self._rows.data[entries], self._rows.indices[entries]
        change = np.zeros(len(entries))
        for sign, shortage in ((1.0, now[position]), (-1.0, before[position])):
            short = shortage > 0
            change[short] += sign * np.clip(value[short] / shortage[short], 0.0, 1.0)
        np.add.at(self.needed, variable, change)
        return variable


def _cover(state: GreedyState, size: FloatArray, deadline: Deadline, params: GreedyParams) -> None:
    """Add variables until every placement row reaches its lower side, as far as greedy can."""
    shortage = _Shortage(state, params.wide)
    every = np.arange(len(size))
    per_scale = max(len(size) // params.merits, 1)
    merits, most, scale = LargestMerits(np.zeros(0)), 1.0, 1.0

    def merit(k: IntArray) -> FloatArray:
        # Rows first; among variables that help as many rows, F decides. What is left by rounding is no help.
        helps = (shortage.needed[k] > 1e-9) & ~state.unavailable(k)
        return np.where(helps, shortage.needed[k] / most + state.gain[k] / size[k] / scale, -np.inf)

    added = 0
    while shortage.n_short and not deadline.over:
        if added % per_scale == 0:
            helps = np.flatnonzero((shortage.needed > 1e-9) & ~state.unavailable(every))
            if not len(helps):
                return
            most = float(shortage.needed[helps].max())
            scale = float(np.abs(state.gain[helps] / size[helps]).max()) or 1.0
            merits = LargestMerits(merit(every))
        best = merits.place()
        if merits.value[best] == -np.inf:
            return
        state.add(best)
        added += 1
        columns = state.structure.placement_columns
        rows = columns.indices[columns.indptr[best] : columns.indptr[best + 1]]
        changed = np.union1d(state.changed(), shortage.update(rows))
        merits.set(changed, merit(changed))
