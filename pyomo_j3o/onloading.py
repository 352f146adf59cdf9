"""The onloading step: greedy on F_α under every row over x alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from scipy import sparse

from pyomo_j3o.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.structure import Structure
from pyomo_j3o.surrogate import Surrogate, missing_links, price


class OnloadingStep(Protocol):
    """Chooses a placement for given prices."""

    def __call__(self, structure: Structure, prices: FloatArray) -> BoolArray:
        """Return which x are 1, shape (N,), given the prices of the rows, shape (M,)."""


def greedy_onloading(structure: Structure, prices: FloatArray) -> BoolArray:
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

    Returns
    -------
    (N,) bool
        May miss rows that greedy cannot satisfy (an equality of several sizes, say); see `repairing`.
    """
    surrogate = price(structure, prices)
    candidates = [greedy(surrogate, by_density=flag) for flag in (False, True)]
    return max(candidates, key=lambda x: (structure.placeable(x), surrogate.value(x)))


def greedy(surrogate: Surrogate, by_density: bool, start: BoolArray | None = None) -> BoolArray:
    """Add the variable with the largest gain in F (or gain per budget) until none gains or fits.

    Instead of a lazy queue (Minoux 1978, DOI 10.1007/BFb0006528) all gains are kept exact: adding one
    variable changes only the gains of columns in the groups that it improved, and those are updated
    in one vector operation.

    Parameters
    ----------
    surrogate
        F.
    by_density
        Divide gains by the share of the scarcest budget that the variable takes.
    start
        Begin with this placement, (N,) bool, instead of the variables that must be 1.
    """
    structure = surrogate.structure
    problem = structure.problem
    state = GreedyState(surrogate, problem.onloading_lower > 0.5 if start is None else start)
    size = _relative_size(structure) if by_density else np.ones(problem.n_onloading)
    _cover(state, size)
    bundles = _Bundles.of(structure)
    tolerance = 1e-12 * max(1.0, float(np.abs(state.gain).max(initial=0.0)))
    score = np.empty_like(state.gain)
    while True:
        np.divide(state.gain, size, out=score)
        score[state.unavailable()] = -np.inf
        best = int(score.argmax()) if len(score) else -1
        if bundles is not None and (bundle := bundles.best(state, size, score, best)) is not None:
            for member in bundle:
                state.add(member)
            continue
        if best < 0 or not score[best] > tolerance:
            return state.x
        state.add(best)


class GreedyState:
    """A placement that grows from a start, (N,) bool, with the exact gain in F of every variable not in it.

    Attributes
    ----------
    x : (N,) bool
    gain : (N,)
        F(S + k) - F(S); exact where no group has two columns opened by the same k at once.
    best : (groups,)
        Value of each group at S.
    activity : (placement rows,)
    """

    def __init__(self, surrogate: Surrogate, start: BoolArray) -> None:
        structure = surrogate.structure
        problem = structure.problem
        self.surrogate = surrogate
        self.structure = structure
        # Where columns fill a part of their group's demand, its value depends on the order of opening.
        one_by_one = bool(np.any(structure.share < 1.0))
        self.x = np.zeros(problem.n_onloading, dtype=bool) if one_by_one else start.copy()
        self.best = surrogate.base.copy()
        self.activity = structure.placement_matrix @ self.x.astype(float)
        self._missing = missing_links(structure, self.x)
        open_columns = np.flatnonzero((structure.n_links > 0) & (self._missing <= 0) & (structure.group >= 0))
        np.maximum.at(self.best, structure.group[open_columns], surrogate.worth[open_columns])
        self._link_closed = np.ones(int(structure.opener_link.max(initial=-1)) + 1, dtype=bool)
        self._link_closed[structure.opener_link[self.x[structure.opener_x]]] = False
        self._counts = ~self._lesser_twins()
        self._column_gain = self._gain_of(np.arange(problem.n_offloading))
        self.gain = surrogate.modular + np.bincount(
            structure.opener_x, self._column_gain[structure.opener_column], minlength=problem.n_onloading
        )
        self._rows = structure.placement_matrix
        self._columns = structure.placement_columns
        tolerance = structure.placement_tolerance
        self._upper = problem.row_upper[structure.placement_rows] + tolerance
        self._lower = problem.row_lower[structure.placement_rows] - tolerance
        self._closed_for_good = problem.onloading_upper < 0.5
        row = np.repeat(np.arange(len(self.activity)), np.diff(self._rows.indptr))
        self._entry_blocked = self._blocked(row, self._rows.data)
        self._n_blocking = np.bincount(
            self._rows.indices[self._entry_blocked], minlength=problem.n_onloading
        ).astype(np.int64)
        if one_by_one:
            for k in np.flatnonzero(start).tolist():
                self.add(k)

    def unavailable(self) -> BoolArray:
        """Return which variables cannot be added now: placed, fixed at 0, or breaking a row."""
        return self.x | (self._n_blocking > 0) | self._closed_for_good

    def short_rows(self) -> IntArray:
        """Return the placement rows that still lie below their lower side."""
        return np.flatnonzero(self.activity < self._lower)

    def needed(self) -> FloatArray:
        """Return per variable how much of the shortage of rows it removes, in rows, (N,)."""
        short = self.short_rows()
        shortage = self._lower[short] - self.activity[short]
        part = self._rows[short]
        position = np.repeat(np.arange(len(short)), np.diff(part.indptr))
        helps = np.clip(part.data / shortage[position], 0.0, 1.0)
        return np.bincount(part.indices, helps, minlength=len(self.x)).astype(float)

    def add(self, k: int) -> None:
        """Place variable `k` and bring gains and activities up to date."""
        structure = self.structure
        self.x[k] = True
        first, last = self._columns.indptr[k], self._columns.indptr[k + 1]
        rows = self._columns.indices[first:last]
        self.activity[rows] += self._columns.data[first:last]
        for row in rows:
            self._update_blocked(row)
        openers = slice(structure.opener_start[k], structure.opener_start[k + 1])
        closed = self._link_closed[structure.opener_link[openers]]
        columns = structure.opener_column[openers][closed]
        if not len(columns):
            return
        self._link_closed[structure.opener_link[openers][closed]] = False
        np.subtract.at(self._missing, columns, 1.0)
        usable = columns[(self._missing[columns] <= 0) & (structure.group[columns] >= 0)]
        group = structure.group[usable]
        rise = structure.share[usable] * np.maximum(self.surrogate.worth[usable] - self.best[group], 0.0)
        np.maximum.at(self.best, group, self.best[group] + rise)
        changed = structure.by_group.of_keys(np.unique(group)) if len(group) else columns
        self._refresh(np.union1d(changed, columns) if len(usable) < len(columns) else changed)

    def _refresh(self, columns: IntArray) -> None:
        """Recompute what `columns` contribute to the gains of their openers."""
        new = self._gain_of(columns)
        change = new - self._column_gain[columns]
        moved = change != 0.0
        columns, change = columns[moved], change[moved]
        if not len(columns):
            return
        self._column_gain[columns] += change
        by_column = self.structure.by_column
        openers = by_column.of_keys(columns)
        counts = by_column.start[columns + 1] - by_column.start[columns]
        np.add.at(self.gain, self.structure.opener_x[openers], np.repeat(change, counts))

    def _gain_of(self, columns: IntArray) -> FloatArray:
        structure = self.structure
        group = structure.group[columns]
        missing = self._missing[columns]
        rise = np.maximum(self.surrogate.worth[columns] - self.best[group], 0.0) if len(self.best) else 0.0
        # A column behind two links is promised to each by half, so that greedy finds the pair.
        gain = structure.share[columns] * rise / np.maximum(missing, 1.0)
        return np.where((missing > 0) & (group >= 0) & self._counts[columns], gain, 0.0)

    def _lesser_twins(self) -> BoolArray:
        """Return the columns whose group has a better one opened by the same x: only the best counts."""
        structure = self.structure
        column = structure.opener_column
        group = structure.group[column]
        key = structure.opener_x * max(len(self.best), 1) + group
        order = np.lexsort((-self.surrogate.worth[column], key))
        twin = np.zeros(len(key), dtype=bool)
        twin[order[1:]] = key[order[1:]] == key[order[:-1]]
        lesser = np.zeros(structure.problem.n_offloading, dtype=bool)
        lesser[column[twin & (structure.share[column] >= 1.0) & (group >= 0)]] = True
        return lesser

    def _update_blocked(self, row: int) -> None:
        first, last = self._rows.indptr[row], self._rows.indptr[row + 1]
        blocked = self._blocked(row, self._rows.data[first:last])
        change = blocked.astype(np.int64) - self._entry_blocked[first:last]
        self._n_blocking[self._rows.indices[first:last]] += change
        self._entry_blocked[first:last] = blocked

    def _blocked(self, row: int | IntArray, value: FloatArray) -> BoolArray:
        """Return for which entries of `row` the row forbids to add their variable."""
        activity, upper, lower = self.activity[row], self._upper[row], self._lower[row]
        after = activity + value
        # An addition that makes a row which is already over its side no worse is not to blame.
        blocked = (after > upper) & ((value > 0) | (activity <= upper))
        return np.asarray(blocked | (np.isfinite(lower) & (value < 0) & (after < lower)))


def _relative_size(structure: Structure) -> FloatArray:
    """Return per variable the largest share of a budget that it takes, (N,), at least 1e-6."""
    part = structure.placement_matrix
    upper = structure.problem.row_upper[structure.placement_rows]
    row = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = part.data / upper[row]
    share = np.where(np.isfinite(share) & (part.data > 0) & (upper[row] > 0), share, 0.0)
    size = np.zeros(structure.problem.n_onloading)
    np.maximum.at(size, part.indices, share)
    unlimited = size == 0.0
    size[unlimited] = size[~unlimited].min(initial=1.0)
    return np.maximum(size, 1e-6)


def _cover(state: GreedyState, size: FloatArray) -> None:
    """Add variables until every placement row reaches its lower side, as far as greedy can."""
    while len(state.short_rows()):
        needed = state.needed()
        needed[state.unavailable()] = 0.0
        if not needed.max(initial=0.0) > 0:
            return
        gain = state.gain / size
        scale = float(np.abs(gain[needed > 0]).max()) or 1.0
        # Rows first; among variables that help as many rows, F decides.
        merit = np.where(needed > 0, needed / needed.max() + gain / scale, -np.inf)
        state.add(int(merit.argmax()))


@dataclass(slots=True)
class _Bundles:
    """Variables with all that they require by rows of the kind x_a <= x_b, added together.

    `closure` is (N, N) CSR: row a holds 1 at a and at everything that a requires.
    """

    closure: sparse.csr_array
    refused: set[int] = field(default_factory=set)

    @staticmethod
    def of(structure: Structure) -> _Bundles | None:
        """Return the bundles of `structure`, or None where no row is a precedence."""
        part = structure.placement_matrix
        upper = structure.problem.row_upper[structure.placement_rows]
        row = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
        n_negative = np.bincount(row, part.data < 0, minlength=part.shape[0])
        precedence = (n_negative == 1) & (upper == 0.0)
        negative = np.flatnonzero((part.data < 0) & precedence[row])
        if not len(negative):
            return None
        required = np.full(part.shape[0], -1)
        required[row[negative]] = part.indices[negative]
        positive = np.flatnonzero((part.data > 0) & precedence[row])
        n = structure.problem.n_onloading
        step = sparse.csr_array(
            (np.ones(len(positive)), (part.indices[positive], required[row[positive]])), shape=(n, n)
        )
        closure = sparse.csr_array(sparse.eye_array(n, format="csr") + step)
        while True:
            wider = sparse.csr_array(closure @ closure)
            wider.data[:] = 1.0
            if wider.nnz == closure.nnz:
                return _Bundles(wider)
            closure = wider

    def best(self, state: GreedyState, size: FloatArray, score: FloatArray, single: int) -> list[int] | None:
        """Return the bundle of two or more that beats the best single variable and fits, or None."""
        absent = ~state.x
        together = self.closure @ np.where(absent, state.gain, 0.0)
        total = self.closure @ np.where(absent, size, 0.0)
        several = (self.closure @ absent.astype(float)) > 1.5
        merit = np.where(several & absent, together / np.maximum(total, 1e-300), -np.inf)
        merit[list(self.refused)] = -np.inf
        floor = max(score[single], 0.0) if single >= 0 else 0.0
        for a in np.argsort(-merit)[:20]:
            if not merit[a] > floor:
                return None
            members = self.closure.indices[self.closure.indptr[a] : self.closure.indptr[a + 1]]
            members = members[absent[members]]
            x = state.x.copy()
            x[members] = True
            over = state.structure.placement_matrix @ x - state._upper
            if np.all(over <= 0) and not np.any(state._closed_for_good[members]):
                return [int(k) for k in members]
            self.refused.add(int(a))
        return None
