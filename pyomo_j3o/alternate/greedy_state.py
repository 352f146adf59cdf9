"""What greedy knows at one placement: what an addition is worth, and what still fits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pyomo_j3o.alternate.lagrangian import Lagrangian, missing_links
from pyomo_j3o.alternate.params import GreedyParams
from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.core.matrices import entry_rows
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.core.structure import Index, Structure

#: The best of many scores is kept by groups of this size.
_GROUP = 256


class LargestMerits:
    """Numbers that change a few at a time, and the place of the largest one, the first of equals.

    Attributes
    ----------
    value : (n,)
    """

    def __init__(self, value: FloatArray) -> None:
        n_groups = -(-len(value) // _GROUP)
        self._padded = np.full((n_groups, _GROUP), -np.inf)
        self.value = self._padded.reshape(-1)[: len(value)]
        self.value[:] = value
        self._highest = self._padded.max(axis=1, initial=-np.inf)

    def set(self, places: IntArray, value: FloatArray) -> None:
        """Replace the numbers at `places`."""
        self.value[places] = value
        groups = np.unique(places // _GROUP)
        self._highest[groups] = self._padded[groups].max(axis=1)

    def place(self) -> int:
        """Return the place of the largest number; -1 if there are none."""
        if not len(self.value):
            return -1
        group = int(self._highest.argmax())
        # Where all are -inf, the padding of the last group is no better.
        return group * _GROUP + int(self._padded[group].argmax())


class GreedyState:
    """A placement that grows from a start, (N,) bool, with the exact gain in F of every variable not in it.

    When the time is over before all of the start is in it, the rest is left out.

    Attributes
    ----------
    x : (N,) bool
    gain : (N,)
        F(S + k) - F(S); exact where no group has two columns opened by the same k at once.
    best : (groups,)
        Value of each group at S.
    activity : (placement rows,)
    """

    def __init__(self, lagrangian: Lagrangian, start: BoolArray, deadline: Deadline = NEVER) -> None:
        structure = lagrangian.structure
        problem = structure.problem
        self.lagrangian = lagrangian
        self.structure = structure
        # Where columns fill a part of their group's demand, its value depends on the order of opening.
        one_by_one = bool(np.any(structure.share < 1.0))
        self.x = np.zeros(problem.n_onloading, dtype=bool) if one_by_one else start.copy()
        self.best = lagrangian.base.copy()
        self.activity = structure.placement_matrix @ self.x.astype(float)
        self._missing = missing_links(structure, self.x)
        open_columns = np.flatnonzero((structure.n_links > 0) & (self._missing <= 0) & (structure.group >= 0))
        np.maximum.at(self.best, structure.group[open_columns], lagrangian.worth[open_columns])
        self._link_closed = np.ones(int(structure.opener_link.max(initial=-1)) + 1, dtype=bool)
        self._link_closed[structure.opener_link[self.x[structure.opener_x]]] = False
        self._counts = ~self._lesser_twins()
        self._column_gain = self._gain_of(np.arange(problem.n_offloading))
        self.gain = lagrangian.modular + np.bincount(
            structure.opener_x, self._column_gain[structure.opener_column], minlength=problem.n_onloading
        )
        self._columns = structure.placement_columns
        tolerance = structure.placement_tolerance
        self.upper = problem.row_upper[structure.placement_rows] + tolerance
        self.lower = problem.row_lower[structure.placement_rows] - tolerance
        self.closed_for_good = problem.onloading_upper < 0.5
        # The entries of every row by size: those that the row forbids to add are the first and the last ones.
        rows = structure.placement_matrix
        row = entry_rows(rows)
        order = np.lexsort((rows.data, row))
        self._start, self._value, self._variable = rows.indptr, rows.data[order], rows.indices[order]
        least, most = self._limits(np.arange(len(self.activity)))
        low, high = self._value < least[row], self._value > most[row]
        self._low_end = self._start[:-1] + np.bincount(row, low, minlength=len(least)).astype(np.int64)
        self._high_start = self._start[1:] - np.bincount(row, high, minlength=len(least)).astype(np.int64)
        self._n_blocking = np.bincount(self._variable[low | high], minlength=problem.n_onloading).astype(
            np.int64
        )
        self._changed: list[IntArray] = []
        if one_by_one:
            for k in np.flatnonzero(start).tolist():
                if deadline.over:
                    break
                self.add(k)

    def unavailable(self, k: IntArray) -> BoolArray:
        """Return which of the variables `k` cannot be added now: placed, fixed at 0, or breaking a row."""
        return self.x[k] | (self._n_blocking[k] > 0) | self.closed_for_good[k]

    def fits(self, members: IntArray) -> bool:
        """Return whether all `members` can be added together."""
        if np.any(self.closed_for_good[members]):
            return False
        columns = Index(self._columns.indptr, np.arange(self._columns.nnz)).of_keys(members)
        rows, position = np.unique(self._columns.indices[columns], return_inverse=True)
        rise = np.bincount(position, self._columns.data[columns], minlength=len(rows))
        return not np.any((rise > 0) & (self.activity[rows] + rise > self.upper[rows]))

    def changed(self) -> IntArray:
        """Return the variables whose gain or availability has changed since the last call."""
        found = np.unique(np.concatenate(self._changed)) if self._changed else np.zeros(0, dtype=np.int64)
        self._changed.clear()
        return found

    def add(self, k: int) -> None:
        """Place variable `k` and bring gains and activities up to date."""
        structure = self.structure
        self.x[k] = True
        self._changed.append(np.array([k]))
        first, last = self._columns.indptr[k], self._columns.indptr[k + 1]
        rows = self._columns.indices[first:last]
        self.activity[rows] += self._columns.data[first:last]
        self._update_blocked(rows)
        openers = slice(structure.opener_start[k], structure.opener_start[k + 1])
        closed = self._link_closed[structure.opener_link[openers]]
        columns = structure.opener_column[openers][closed]
        if not len(columns):
            return
        self._link_closed[structure.opener_link[openers][closed]] = False
        np.subtract.at(self._missing, columns, 1.0)
        usable = columns[(self._missing[columns] <= 0) & (structure.group[columns] >= 0)]
        group = structure.group[usable]
        rise = structure.share[usable] * np.maximum(self.lagrangian.worth[usable] - self.best[group], 0.0)
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
        variables = self.structure.opener_x[openers]
        np.add.at(self.gain, variables, np.repeat(change, counts))
        self._changed.append(variables)

    def _gain_of(self, columns: IntArray) -> FloatArray:
        structure = self.structure
        group = structure.group[columns]
        missing = self._missing[columns]
        rise = np.maximum(self.lagrangian.worth[columns] - self.best[group], 0.0) if len(self.best) else 0.0
        # A column behind two links is promised to each by half, so that greedy finds the pair.
        gain = structure.share[columns] * rise / np.maximum(missing, 1.0)
        return np.where((missing > 0) & (group >= 0) & self._counts[columns], gain, 0.0)

    def _lesser_twins(self) -> BoolArray:
        """Return the columns whose group has a better one opened by the same x: only the best counts."""
        structure = self.structure
        column = structure.opener_column
        group = structure.group[column]
        key = structure.opener_x * max(len(self.best), 1) + group
        order = np.lexsort((-self.lagrangian.worth[column], key))
        twin = np.zeros(len(key), dtype=bool)
        twin[order[1:]] = key[order[1:]] == key[order[:-1]]
        lesser = np.zeros(structure.problem.n_offloading, dtype=bool)
        lesser[column[twin & (structure.share[column] >= 1.0) & (group >= 0)]] = True
        return lesser

    def _update_blocked(self, rows: IntArray) -> None:
        """Count anew which entries the rows forbid to add; only those between old and new limits move."""
        least, most = self._limits(rows)
        start, end = self._start[rows], self._start[rows + 1]
        for ends, limit, side, sign in (
            (self._low_end, least, "left", 1),
            (self._high_start, most, "right", -1),
        ):
            at = ends[rows]
            before = self._value[np.maximum(at - 1, 0)]
            after = self._value[np.minimum(at, len(self._value) - 1)]
            # Where the limit still lies between the same two entries, nothing has moved.
            down = (at > start) & (before >= limit if side == "left" else before > limit)
            up = (at < end) & (after < limit if side == "left" else after <= limit)
            for i in np.flatnonzero(down | up).tolist():
                old = int(at[i])
                new = int(start[i]) + int(
                    np.searchsorted(self._value[start[i] : end[i]], limit[i], side=side)  # type: ignore[call-overload]
                )
                moved = self._variable[min(old, new) : max(old, new)]
                self._n_blocking[moved] += sign if new > old else -sign
                ends[rows[i]] = new
                self._changed.append(moved)

    def _limits(self, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the values below the first, or above the second of which `rows` forbid an entry.

        An addition that makes a row which is already over its side no worse is not to blame.
        """
        activity = self.activity[rows]
        return np.minimum(self.lower[rows] - activity, 0.0), np.maximum(self.upper[rows] - activity, 0.0)


@dataclass(slots=True)
class Bundles:
    """Variables with all that they require by rows of the kind x_a <= x_b, added together.

    `closure` is (N, N) CSR: row a holds 1 at a and at everything that a requires. `holders` is the same by
    columns. A variable that requires very many is no bundle. `refused` are those that did not fit; at
    most `trials` are tried at a time.
    """

    closure: sparse.csr_array
    holders: sparse.csc_array
    refused: BoolArray
    trials: int

    @staticmethod
    def of(structure: Structure, params: GreedyParams = GreedyParams()) -> Bundles | None:
        """Return the bundles of `structure`, or None where no row is a precedence."""
        part = structure.placement_matrix
        upper = structure.problem.row_upper[structure.placement_rows]
        row = entry_rows(part)
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
        most = max(params.members, params.members_per_entry * (n + part.nnz))
        closure = sparse.csr_array(sparse.eye_array(n, format="csr") + step)
        large = np.zeros(n, dtype=bool)
        while True:
            # No bundle has more members than those of its members together.
            size = closure @ np.diff(closure.indptr).astype(float)
            order = np.argsort(size, kind="stable")
            large[order[np.cumsum(size[order]) > 2 * most]] = True
            large |= closure @ large.astype(float) > 0
            small = sparse.dia_array((~large[None, :], [0]), shape=(n, n)).astype(float)
            closure = sparse.csr_array(small @ closure)
            wider = sparse.csr_array(closure @ closure)
            wider.data[:] = 1.0
            if wider.nnz == closure.nnz:
                break
            closure = wider
        wider.eliminate_zeros()
        if not len(wider.data) or np.diff(wider.indptr).max() < 2:
            return None
        return Bundles(wider, sparse.csc_array(wider), np.zeros(n, dtype=bool), params.bundles)

    def merit(self, state: GreedyState, size: FloatArray, bundles: IntArray) -> FloatArray:
        """Return what the absent members of each of `bundles` gain together, per size."""
        entries = Index(self.closure.indptr, np.arange(self.closure.nnz)).of_keys(bundles)
        count = np.diff(self.closure.indptr)[bundles]
        position = np.repeat(np.arange(len(bundles)), count)
        member = self.closure.indices[entries]
        absent = ~state.x[member]

        def total(value: FloatArray) -> FloatArray:
            return np.bincount(position, np.where(absent, value, 0.0), minlength=len(bundles)).astype(float)

        fine = (total(np.ones(len(member))) > 1.5) & ~state.x[bundles] & ~self.refused[bundles]
        together = total(state.gain[member]) / np.maximum(total(size[member]), 1e-300)
        return np.where(fine, together, -np.inf)

    def that_hold(self, variables: IntArray) -> IntArray:
        """Return the bundles that have one of the variables as a member."""
        holders = Index(self.holders.indptr, self.holders.indices).of_keys(variables)
        return np.unique(holders).astype(np.int64)

    def best(self, state: GreedyState, merits: LargestMerits, floor: float) -> IntArray | None:
        """Return the bundle of two or more that is worth more than `floor` and fits, or None."""
        for _ in range(self.trials):
            a = merits.place()
            if a < 0 or not merits.value[a] > floor:
                return None
            members = self.closure.indices[self.closure.indptr[a] : self.closure.indptr[a + 1]]
            members = members[~state.x[members]]
            if state.fits(members):
                return members
            self.refused[a] = True
            merits.set(np.array([a]), np.array([-np.inf]))
        return None
