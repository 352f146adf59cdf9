"""Descents: swaps, drops and additions, scored by the duals of all LPs and confirmed by an LP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pyomo_j3o.offloading import OffloadingStep, Routing
from pyomo_j3o.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.structure import Structure
from pyomo_j3o.surrogate import Surrogate, marginals, price

#: So many price vectors, the latest, bound a neighbourhood when it is set up.
_MEMORY = 12

#: Exchange each placed variable with so many of the best absent ones of its rows.
_ALTERNATIVES = 12

#: So many of the best moves are looked through for some that can be made together.
_TOGETHER = 64


@dataclass(frozen=True, slots=True)
class Moves:
    """Moves: take `out` away and put `into` in, -1 for none; `reach` bounds the objective; (moves,) each."""

    out: IntArray
    into: IntArray
    reach: FloatArray

    def __len__(self) -> int:
        return len(self.reach)

    def take(self, which: IntArray) -> Moves:
        """Return the moves numbered `which`."""
        return Moves(self.out[which], self.into[which], self.reach[which])


class Neighbourhood:
    """The additions, removals and exchanges at one placement, each with a bound of what it can reach.

    Every price vector α >= 0 bounds the objective at every placement: F_α(S') plus what the prices pay for
    the shared budgets (Lagrangian duality). The least of these bounds over all price vectors that LPs have
    returned so far ranks the moves, and a move whose bound does not exceed the incumbent is not tried.

    Parameters
    ----------
    structure
        Of a linear problem.
    surrogates
        F_α for the price vectors known, the most telling last; at least one.
    x
        The placement, (N,) bool.
    """

    def __init__(self, structure: Structure, surrogates: Sequence[Surrogate], x: BoolArray) -> None:
        self.structure = structure
        self.x = x
        problem = structure.problem
        self._n = max(problem.n_onloading, 1)
        can_leave = x & (problem.onloading_lower < 0.5)
        can_enter = ~x & (problem.onloading_upper > 0.5)
        latest = marginals(surrogates[-1:], x)
        leaving, entering = np.flatnonzero(can_leave), np.flatnonzero(can_enter)
        interacting = can_leave[latest.out] & can_enter[latest.into]
        row_out, row_into = _pairs_in_rows(structure, can_leave, can_enter, latest.addition[0])
        pairs = np.union1d(
            latest.out[interacting] * self._n + latest.into[interacting], row_out * self._n + row_into
        )
        nobody = np.full(max(len(leaving), len(entering)), -1, dtype=np.int64)
        moves = Moves(
            np.concatenate([leaving, nobody[: len(entering)], pairs // self._n]),
            np.concatenate([nobody[: len(leaving)], entering, pairs % self._n]),
            np.full(len(leaving) + len(entering) + len(pairs), np.inf),
        )
        self.moves = moves.take(np.flatnonzero(keeps_rows(structure, x, moves)))
        self._leaves, self._enters = self.moves.out >= 0, self.moves.into >= 0
        both = self._leaves & self._enters
        key = np.where(both, self.moves.out * self._n + self.moves.into, -1)
        self._by_key = np.argsort(key, kind="stable")
        self._keys = key[self._by_key]
        self.learn(surrogates)

    def learn(self, surrogates: Sequence[Surrogate]) -> None:
        """Lower the bounds of the moves by those of more price vectors."""
        moves = self.moves
        if not len(moves):
            return
        change = marginals(surrogates, self.x)
        reach = np.repeat(change.bound[:, None], len(moves), axis=1)
        reach[:, self._leaves] += change.removal[:, moves.out[self._leaves]]
        reach[:, self._enters] += change.addition[:, moves.into[self._enters]]
        key = change.out * self._n + change.into
        place = np.minimum(np.searchsorted(self._keys, key), len(moves) - 1)
        same = self._keys[place] == key
        np.add.at(reach, (change.which[same], self._by_key[place[same]]), change.interaction[same])
        np.minimum(moves.reach, reach.min(axis=0), out=moves.reach)

    def promising(self, threshold: float) -> IntArray:
        """Return the moves that may exceed `threshold`, best first."""
        found = np.flatnonzero(self.moves.reach > threshold)
        return found[np.argsort(-self.moves.reach[found], kind="stable")]


def keeps_rows(structure: Structure, x: BoolArray, moves: Moves) -> BoolArray:
    """Return which single moves keep every placement row satisfied, (moves,)."""
    rows = structure.placement_rows
    if not len(rows) or not len(moves):
        return np.ones(len(moves), dtype=bool)
    matrix = structure.placement_columns
    number = np.arange(len(moves))
    enters, leaves = moves.into >= 0, moves.out >= 0
    shape = (len(moves), len(x))
    change = sparse.csr_array(
        (
            np.concatenate([np.ones(enters.sum()), -np.ones(leaves.sum())]),
            (
                np.concatenate([number[enters], number[leaves]]),
                np.concatenate([moves.into[enters], moves.out[leaves]]),
            ),
        ),
        shape=shape,
    )
    effect = sparse.coo_array(change @ matrix.T)
    activity = structure.placement_matrix @ x.astype(float)
    tolerance = structure.placement_tolerance()
    lower, upper = structure.problem.row_lower[rows], structure.problem.row_upper[rows]
    row = effect.coords[1]
    after = activity[row] + effect.data
    # A row that is missed already may be missed still, if not by more.
    broken = (effect.data > 0) & (after > upper[row] + tolerance[row])
    broken |= (effect.data < 0) & (after < lower[row] - tolerance[row])
    return np.bincount(effect.coords[0][broken], minlength=len(moves)) == 0


def descend(
    structure: Structure,
    step: OffloadingStep,
    start: Routing,
    surrogates: list[Surrogate],
    remaining: Callable[[], float],
    report: Callable[[Routing], None] = lambda routing: None,
    patience: int = 15,
    worth: float = 0.0,
) -> Routing:
    """Return a routing that no single addition, removal or exchange improves, or the best in time.

    Moves that touch different rows and groups are tried together; if that fails, the better half of
    them, and so on. Each LP, also a failed one, adds its prices to what is known of all other moves.

    Parameters
    ----------
    structure
        Of a linear problem.
    step
        The offloading step.
    start
        The routing to begin with; may be infeasible, its merit then counts.
    surrogates
        F_α for price vectors known so far; the latest are kept in it.
    remaining
        Returns the seconds left.
    report
        Called with each better routing.
    patience
        The descent ends when so many LPs in a row gained no more than `worth` together.
    worth
        In units of the objective.
    """
    best = start
    if not best.solved:
        return best
    reached = [best.merit]
    surrogates.append(price(structure, start.duals))
    while remaining() > 0:
        neighbourhood = Neighbourhood(structure, surrogates[-_MEMORY:], best.x)
        size = len(neighbourhood.moves)
        improved = False
        while not improved and remaining() > 0:
            # Where F_α is an estimate only, a move is tried even if it promises nothing, but not for ever.
            threshold = best.merit + 1e-9 * max(1.0, abs(best.merit)) if structure.exact else -np.inf
            candidates = neighbourhood.promising(threshold)
            stuck = len(reached) > patience and best.merit - reached[-1 - patience] <= worth
            if not len(candidates) or stuck:
                return best
            batch = candidates[:1].tolist()
            if size > 1:
                batch = _independent(structure, neighbourhood.moves, candidates[:_TOGETHER])[:size]
            size = max(len(batch) // 2, 1)
            x = best.x.copy()
            for k in batch:
                _apply(neighbourhood.moves, k, x)
            routing = step(x, remaining(), at_least=best.merit)
            if not routing.solved:
                return best
            surrogates.append(price(structure, routing.duals))
            del surrogates[:-_MEMORY]  # hundreds of LPs would otherwise hold hundreds of price vectors
            if routing.better_than(best):
                if routing.feasible and not best.feasible:
                    reached.clear()  # merits with a penalty in them are no measure any more
                best, improved = routing, True
                report(best)
            else:
                neighbourhood.learn(surrogates[-1:])
                if len(batch) == 1:
                    neighbourhood.moves.reach[batch[0]] = -np.inf
            reached.append(best.merit)
    return best


def _apply(moves: Moves, k: int, x: BoolArray) -> None:
    if moves.out[k] >= 0:
        x[moves.out[k]] = False
    if moves.into[k] >= 0:
        x[moves.into[k]] = True


def _independent(structure: Structure, moves: Moves, candidates: IntArray) -> list[int]:
    """Return moves, best first, no two of which share a placement row or a demand group."""
    matrix = structure.placement_columns
    busy_rows = np.zeros(matrix.shape[0], dtype=bool)
    busy_groups = np.zeros(len(structure.group_demand), dtype=bool)
    chosen = []
    for k in candidates:
        rows, groups = [], []
        for variable in (moves.out[k], moves.into[k]):
            if variable < 0:
                continue
            rows.append(matrix.indices[matrix.indptr[variable] : matrix.indptr[variable + 1]])
            openers = slice(structure.opener_start[variable], structure.opener_start[variable + 1])
            group = structure.group[structure.opener_column[openers]]
            groups.append(group[group >= 0])
        touched_rows, touched_groups = np.concatenate(rows), np.concatenate(groups)
        if busy_rows[touched_rows].any() or busy_groups[touched_groups].any():
            continue
        busy_rows[touched_rows] = True
        busy_groups[touched_groups] = True
        chosen.append(int(k))
    return chosen


def _pairs_in_rows(
    structure: Structure, can_leave: BoolArray, can_enter: BoolArray, addition: FloatArray
) -> tuple[IntArray, IntArray]:
    """Return pairs (leaving, entering) of each placement row, entering among the best of the row."""
    part = structure.placement_matrix
    row = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
    column = part.indices
    enters = np.flatnonzero(can_enter[column])
    order = enters[np.lexsort((-addition[column[enters]], row[enters]))]
    rank = np.arange(len(order)) - np.searchsorted(row[order], row[order])
    order = order[rank < _ALTERNATIVES]
    leaves = np.flatnonzero(can_leave[column])
    # Join the two lists by row.
    first = np.searchsorted(row[order], row[leaves], side="left")
    count = np.searchsorted(row[order], row[leaves], side="right") - first
    offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return column[np.repeat(leaves, count)], column[order[np.repeat(first, count) + offset]]
