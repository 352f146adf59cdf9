"""After the loop: swaps, drops and additions, scored by the LP's duals and confirmed by an LP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pyomo_j3o.offloading import OffloadingStep, Routing
from pyomo_j3o.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.structure import Structure
from pyomo_j3o.surrogate import price


@dataclass(frozen=True, slots=True)
class Moves:
    """Candidate moves, best first: take `out` away and put `into` in; -1 stands for none; (moves,) each."""

    out: IntArray
    into: IntArray
    gain: FloatArray

    def __len__(self) -> int:
        return len(self.gain)


def find_moves(structure: Structure, routing: Routing, alternatives: int = 8, prices=None) -> Moves:
    """Return the additions, removals and exchanges that may improve `routing` and keep every x-row.

    With α the duals of the LP at S, F_α(S') plus the price of the budgets bounds the LP at S' from
    above and is tight at S (Lagrangian duality): a move without a gain in F_α cannot improve the plan.

    Parameters
    ----------
    structure
        Of a linear problem.
    routing
        A feasible routing with its duals.
    alternatives
        Per x-row, exchange with so many of the best absent variables besides those that interact.
    """
    x = routing.x
    problem = structure.problem
    surrogate = price(structure, routing.duals if prices is None else prices)
    marginals = surrogate.marginals(x)
    n = problem.n_onloading
    can_leave = x & (problem.onloading_lower < 0.5)
    can_enter = ~x & (problem.onloading_upper > 0.5)

    leaving, entering = np.flatnonzero(can_leave), np.flatnonzero(can_enter)
    none = np.full(max(len(leaving), len(entering)), -1, dtype=np.int64)
    interacting = can_leave[marginals.out] & can_enter[marginals.into]
    out, into = marginals.out[interacting], marginals.into[interacting]
    row_out, row_into = _pairs_in_rows(structure, can_leave, can_enter, marginals.addition, alternatives)
    # Within a row, exchanges without interaction too: the pair key finds those already listed.
    known = out * n + into
    fresh = np.unique(np.setdiff1d(row_out * n + row_into, known))
    pair_out = np.concatenate([out, fresh // max(n, 1)])
    pair_into = np.concatenate([into, fresh % max(n, 1)])
    interaction = np.concatenate([marginals.interaction[interacting], np.zeros(len(fresh))])

    moves_out = np.concatenate([leaving, none[: len(entering)], pair_out])
    moves_into = np.concatenate([none[: len(leaving)], entering, pair_into])
    gain = np.concatenate(
        [
            marginals.removal[leaving],
            marginals.addition[entering],
            marginals.removal[pair_out] + marginals.addition[pair_into] + interaction,
        ]
    )
    promising = gain > 1e-9 * max(1.0, abs(routing.merit))
    moves = Moves(moves_out[promising], moves_into[promising], gain[promising])
    fits = keeps_rows(structure, x, moves)
    order = np.argsort(-moves.gain[fits], kind="stable")
    keep = np.flatnonzero(fits)[order]
    return Moves(moves.out[keep], moves.into[keep], moves.gain[keep])


def keeps_rows(structure: Structure, x: BoolArray, moves: Moves) -> BoolArray:
    """Return which single moves keep every placement row satisfied, (moves,)."""
    rows = structure.placement_rows
    if not len(rows) or not len(moves):
        return np.ones(len(moves), dtype=bool)
    matrix = sparse.csc_array(structure.placement_matrix)
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
    broken = (after > upper[row] + tolerance[row]) | (after < lower[row] - tolerance[row])
    return np.bincount(effect.coords[0][broken], minlength=len(moves)) == 0


def improve(
    structure: Structure,
    step: OffloadingStep,
    start: Routing,
    remaining: Callable[[], float],
    record: Callable[[Routing], None] | None = None,
    patience: int = 30,
) -> Routing:
    """Return a routing at least as good as `start`, by moves that an LP confirms.

    Moves that touch different rows and groups are tried together; if that fails, the better half of
    them, and so on down to one. A move that fails alone is not tried again until another succeeds.

    Parameters
    ----------
    structure
        Of a linear problem.
    step
        The offloading step.
    start
        A feasible routing.
    remaining
        Returns the seconds left.
    record
        Called with each better routing.
    patience
        Stop after so many single moves in a row without success.
    """
    best = start
    failed: set[tuple[int, int]] = set()
    failures = 0
    while failures < patience and remaining() > 0:
        moves = find_moves(structure, best)
        fresh = [k for k in range(len(moves)) if (moves.out[k], moves.into[k]) not in failed]
        if not fresh:
            break
        batch = _independent(structure, moves, fresh, best.x)
        if failures:
            # Together they failed before: one at a time from here on.
            batch = batch[:1]
        while True:
            x = best.x.copy()
            for k in batch:
                _apply(moves, k, x)
            routing = step(x, remaining()) if structure.placeable(x) else None
            if routing is not None and _better(routing, best):
                best, failures = routing, 0
                failed.clear()
                if record is not None:
                    record(best)
                break
            if len(batch) == 1:
                failed.add((int(moves.out[batch[0]]), int(moves.into[batch[0]])))
                failures += 1
                break
            if remaining() <= 0:
                break
            batch = batch[: len(batch) // 2]
    return best


def _better(routing: Routing, best: Routing) -> bool:
    """Feasible beats infeasible; among equals the larger merit wins, by more than rounding."""
    if routing.feasible != best.feasible:
        return routing.feasible
    return routing.merit > best.merit + 1e-9 * max(1.0, abs(best.merit))


def _apply(moves: Moves, k: int, x: BoolArray) -> None:
    if moves.out[k] >= 0:
        x[moves.out[k]] = False
    if moves.into[k] >= 0:
        x[moves.into[k]] = True


def _independent(structure: Structure, moves: Moves, candidates: list[int], x: BoolArray) -> list[int]:
    """Return moves, best first, no two of which share a placement row or a demand group."""
    matrix = sparse.csc_array(structure.placement_matrix)
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
        chosen.append(k)
    return chosen


def _pairs_in_rows(
    structure: Structure, can_leave: BoolArray, can_enter: BoolArray, addition: FloatArray, top: int
) -> tuple[IntArray, IntArray]:
    """Return pairs (leaving, entering) of each placement row, entering among the `top` gains of the row."""
    part = structure.placement_matrix
    row = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
    column = part.indices
    enters = np.flatnonzero(can_enter[column])
    order = enters[np.lexsort((-addition[column[enters]], row[enters]))]
    rank = np.arange(len(order)) - np.searchsorted(row[order], row[order])
    order = order[rank < top]
    leaves = np.flatnonzero(can_leave[column])
    # Join the two lists by row.
    first = np.searchsorted(row[order], row[leaves], side="left")
    count = np.searchsorted(row[order], row[leaves], side="right") - first
    offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return column[np.repeat(leaves, count)], column[order[np.repeat(first, count) + offset]]
