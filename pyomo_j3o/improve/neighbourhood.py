"""Moves at one placement, and what each can reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pyomo_j3o.alternate.lagrangian import Lagrangian, Marginals, marginals
from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.core.matrices import entry_rows
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.core.structure import Structure
from pyomo_j3o.improve.params import DescentParams

#: Moves, or entries of price vectors, that are worked on at a time: what that takes of memory is small.
_AT_A_TIME = 20_000


@dataclass(frozen=True, slots=True)
class Moves:
    """Moves: take the variables `out` away, put `into` in; `reach` bounds the objective.

    Attributes
    ----------
    out, into : (moves, 2)
        -1 for none.
    reach : (moves,)
    """

    out: IntArray
    into: IntArray
    reach: FloatArray

    def __len__(self) -> int:
        return len(self.reach)

    def take(self, which: IntArray) -> Moves:
        """Return the moves numbered `which`."""
        return Moves(self.out[which], self.into[which], self.reach[which])


class Neighbourhood:
    """Moves at one placement, each with a bound of what it can reach.

    *Single* moves are additions, removals, and exchanges of two variables of one row. *Double* moves exchange
    two variables of a row for one or one for two, which a budget full of items of different sizes needs.

    Every price vector α >= 0 bounds the objective at every placement: F_α(S') plus what the prices pay for
    the shared budgets (Lagrangian duality). The least of these bounds over all price vectors that LPs have
    returned so far ranks the moves, and a move whose bound does not exceed the incumbent is not tried.

    Parameters
    ----------
    structure
        Of a linear problem.
    lagrangians
        F_α for the price vectors known, the most telling last; at least one.
    x
        The placement, (N,) bool.
    double
        The double moves instead of the single ones.
    deadline
        When to end; moves that are not looked at in time are left out.
    params
        How many moves are listed.
    """

    def __init__(
        self,
        structure: Structure,
        lagrangians: Sequence[Lagrangian],
        x: BoolArray,
        double: bool = False,
        deadline: Deadline = NEVER,
        params: DescentParams = DescentParams(),
    ) -> None:
        self._deadline = deadline
        self.structure = structure
        self.x = x
        problem = structure.problem
        self._n = max(problem.n_onloading, 1)
        can_leave = x & (problem.onloading_lower < 0.5)
        can_enter = ~x & (problem.onloading_upper > 0.5)
        latest = marginals(lagrangians[-1:], x)
        listed = _doubles if double else _singles
        out, into = listed(structure, can_leave, can_enter, latest, params)
        moves = Moves(out, into, np.full(len(out), np.inf))
        fine = np.zeros(len(moves), dtype=bool)
        for first in range(0, len(moves), _AT_A_TIME):
            if deadline.over:
                break
            some = np.arange(first, min(first + _AT_A_TIME, len(moves)))
            fine[some] = keeps_rows(structure, x, moves.take(some))
        self.moves = moves.take(np.flatnonzero(fine))
        out, into = self.moves.out, self.moves.into
        # All pairs of a variable that leaves and one that enters, by their place in a sorted list of keys.
        pairs = [(j, k) for j in range(2) for k in range(2)]
        real = [np.flatnonzero((out[:, j] >= 0) & (into[:, k] >= 0)) for j, k in pairs]
        key = np.concatenate(
            [out[some, j] * self._n + into[some, k] for some, (j, k) in zip(real, pairs, strict=True)]
        )
        keys, place = np.unique(key, return_inverse=True)
        # The first key is that of no pair.
        self._keys = np.concatenate([[-1], keys])
        self._place = np.zeros((len(pairs), len(self.moves)), dtype=np.int32)
        ends = np.cumsum([len(some) for some in real])[:-1]
        for number, (some, part) in enumerate(zip(real, np.split(place, ends), strict=True)):
            self._place[number, some] = part + 1
        self.learn(lagrangians)

    def learn(self, lagrangians: Sequence[Lagrangian]) -> None:
        """Lower the bounds of the moves by those of more price vectors."""
        moves = self.moves
        if not len(moves):
            return
        at_a_time = max(_AT_A_TIME // max(len(self.structure.opener_x), len(moves)), 1)
        for first in range(0, len(lagrangians), at_a_time):
            if self._deadline.over:
                return
            self._lower(lagrangians[first : first + at_a_time])

    def _lower(self, lagrangians: Sequence[Lagrangian]) -> None:
        moves = self.moves
        change = marginals(lagrangians, self.x)
        key = change.out * self._n + change.into
        place = np.minimum(np.searchsorted(self._keys, key), len(self._keys) - 1)
        same = self._keys[place] == key
        interaction = np.zeros((len(lagrangians), len(self._keys)))
        np.add.at(interaction, (change.which[same], place[same]), change.interaction[same])
        nothing = np.zeros((len(lagrangians), 1))
        removal, addition = (np.hstack([gain, nothing]) for gain in (change.removal, change.addition))
        reach = np.repeat(change.bound[:, None], len(moves), axis=1)
        for k in range(2):
            reach += removal[:, moves.out[:, k]]
            reach += addition[:, moves.into[:, k]]
        for k in range(4):
            reach += interaction[:, self._place[k]]
        np.minimum(moves.reach, reach.min(axis=0), out=moves.reach)

    def promising(self, threshold: float) -> IntArray:
        """Return the moves that may exceed `threshold`, best first."""
        found = np.flatnonzero(self.moves.reach > threshold)
        return found[np.argsort(-self.moves.reach[found], kind="stable")]


def keeps_rows(structure: Structure, x: BoolArray, moves: Moves) -> BoolArray:
    """Return which moves keep every placement row satisfied, (moves,)."""
    rows = structure.placement_rows
    if not len(rows) or not len(moves):
        return np.ones(len(moves), dtype=bool)
    matrix = structure.placement_columns
    number = np.arange(len(moves))
    sides = [(sign, side[:, k]) for sign, side in ((1.0, moves.into), (-1.0, moves.out)) for k in range(2)]
    change = sparse.csr_array(
        (
            np.concatenate([np.full(np.sum(column >= 0), sign) for sign, column in sides]),
            (
                np.concatenate([number[column >= 0] for _, column in sides]),
                np.concatenate([column[column >= 0] for _, column in sides]),
            ),
        ),
        shape=(len(moves), len(x)),
    )
    effect = sparse.coo_array(change @ matrix.T)
    activity = structure.placement_matrix @ x.astype(float)
    tolerance = structure.placement_tolerance
    lower, upper = structure.problem.row_lower[rows], structure.problem.row_upper[rows]
    row = effect.col
    after = activity[row] + effect.data
    # A row that is missed already may be missed still, if not by more.
    broken = (effect.data > 0) & (after > upper[row] + tolerance[row])
    broken |= (effect.data < 0) & (after < lower[row] - tolerance[row])
    return np.bincount(effect.row[broken], minlength=len(moves)) == 0


def _singles(
    structure: Structure, can_leave: BoolArray, can_enter: BoolArray, latest: Marginals, params: DescentParams
) -> tuple[IntArray, IntArray]:
    """Return the single moves, (moves, 2) each; exchanges within rows, and of those that serve one group."""
    n = max(len(can_leave), 1)
    leaving, entering = np.flatnonzero(can_leave), np.flatnonzero(can_enter)
    interacting = can_leave[latest.out] & can_enter[latest.into]
    row_out, out = _members(structure, can_leave)
    row_into, into = _members(structure, can_enter)
    per_row = _most(structure, row_out, row_into, lambda leave, enter: leave * enter, params)
    row_out, out = _best(row_out, out, latest.removal[0], per_row)
    row_into, into = _best(row_into, into, latest.addition[0], per_row)
    left, right = _join(row_out, row_into)
    pairs = np.union1d(latest.out[interacting] * n + latest.into[interacting], out[left] * n + into[right])
    nobody = np.full(max(len(leaving), len(entering)), -1, dtype=np.int64)
    first_out = np.concatenate([leaving, nobody[: len(entering)], pairs // n])
    first_into = np.concatenate([nobody[: len(leaving)], entering, pairs % n])
    none = np.full(len(first_out), -1, dtype=np.int64)
    return np.stack([first_out, none], axis=1), np.stack([first_into, none], axis=1)


def _doubles(
    structure: Structure, can_leave: BoolArray, can_enter: BoolArray, latest: Marginals, params: DescentParams
) -> tuple[IntArray, IntArray]:
    """Return the double moves within rows, (moves, 2) each, among the best of every row."""
    n = max(len(can_leave), 1)
    row_out, out = _members(structure, can_leave)
    row_all, all_into = _members(structure, can_enter)
    partners = _most(
        structure,
        row_out,
        row_all,
        lambda leave, enter: leave * enter * (np.maximum(leave + enter - 2, 0)) // 2,
        params,
        params.partners,
    )
    row_out, out = _best(row_out, out, latest.removal[0], partners)
    row_into, into = _best(row_all, all_into, latest.addition[0], partners)
    # Two leave for one.
    first, second = _twice(row_out)
    pair, enters = _join(row_out[first], row_into)
    two_out = np.stack([out[first[pair]], out[second[pair]]], axis=1)
    one_into = np.stack([into[enters], np.full(len(enters), -1, dtype=np.int64)], axis=1)
    # One leaves for two: the best to take its own place.
    per_row = _most(
        structure, row_out, row_all, lambda leave, enter: np.minimum(leave, partners) * enter, params
    )
    if np.bincount(row_all).max(initial=0) > per_row:
        row_all, all_into = _best(row_all, all_into, latest.addition[0], per_row)
    left, right = _join(row_out, row_all)
    key = latest.out * n + latest.into
    order = np.argsort(key, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(latest.interaction[order])])
    wanted = out[left] * n + all_into[right]
    between = np.searchsorted(key[order], wanted, "right"), np.searchsorted(key[order], wanted, "left")
    worth = latest.addition[0][all_into[right]] + total[between[0]] - total[between[1]]
    best = np.lexsort((-worth, left))
    best = best[_rank(left[best]) < partners]
    first, second = _twice(left[best])
    one_out = out[left[best[first]]]
    two_into = np.stack([all_into[right[best[first]]], all_into[right[best[second]]]], axis=1)
    one_out = np.stack([one_out, np.full(len(one_out), -1, dtype=np.int64)], axis=1)
    moves = np.unique(
        np.concatenate([np.hstack([two_out, one_into]), np.hstack([one_out, two_into])]), axis=0
    )
    return moves[:, :2], moves[:, 2:]


def _most(
    structure: Structure,
    row_out: IntArray,
    row_into: IntArray,
    moves: Callable[[IntArray, IntArray], IntArray],
    params: DescentParams,
    at_most: int = 2**30,
) -> int:
    """Return how many of a row's variables may take part, so that the moves of all rows are not too many.

    Narrow rows then keep all their moves, and of wide rows the best are left.

    Parameters
    ----------
    structure
        Of a linear problem.
    row_out, row_into
        The row of every variable that can leave, and that can enter.
    moves
        The number of moves of a row, by how many variables can leave it and enter it.
    params
        How many moves there may be.
    at_most
        The largest number to return.
    """
    n_rows = structure.placement_matrix.shape[0]
    leave, enter = (np.bincount(row, minlength=n_rows) for row in (row_out, row_into))
    limit = max(
        params.moves,
        params.moves_per_entry * (structure.problem.n_onloading + structure.placement_matrix.nnz),
    )
    most = min(at_most, int(np.maximum(leave, enter).max(initial=1)))
    while most > 1 and moves(np.minimum(leave, most), np.minimum(enter, most)).sum() > limit:
        most -= max(most // 8, 1)
    return most


def _members(structure: Structure, chosen: BoolArray) -> tuple[IntArray, IntArray]:
    """Return the chosen variables of every placement row: rows, ascending, and variables."""
    part = structure.placement_matrix
    row = entry_rows(part)
    keep = chosen[part.indices]
    return row[keep], part.indices[keep].astype(np.int64)


def _best(row: IntArray, variable: IntArray, worth: FloatArray, most: int) -> tuple[IntArray, IntArray]:
    """Return the `most` variables of each row that are worth most."""
    order = np.lexsort((-worth[variable], row))
    order = order[_rank(row[order]) < most]
    return row[order], variable[order]


def _rank(key: IntArray) -> IntArray:
    """Return the position of each entry among those of its key; `key` is sorted."""
    return np.arange(len(key)) - np.searchsorted(key, key)


def _join(left: IntArray, right: IntArray) -> tuple[IntArray, IntArray]:
    """Return all positions (i, j) with ``left[i] == right[j]``; `right` is sorted."""
    first = np.searchsorted(right, left, side="left")
    count = np.searchsorted(right, left, side="right") - first
    offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(np.arange(len(left)), count), np.repeat(first, count) + offset


def _twice(key: IntArray) -> tuple[IntArray, IntArray]:
    """Return all positions i < j with the same key; `key` is sorted."""
    first, second = _join(key, key)
    before = first < second
    return first[before], second[before]
