"""Descents: swaps, drops and additions, scored by the duals of all LPs and confirmed by an LP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pyomo_j3o.alternate.lagrangian import Lagrangian, price
from pyomo_j3o.alternate.offloading import OffloadingStep, Routing
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import BoolArray, IntArray
from pyomo_j3o.core.structure import Structure
from pyomo_j3o.core.tolerances import ROUNDING
from pyomo_j3o.improve.neighbourhood import Moves, Neighbourhood
from pyomo_j3o.improve.params import DescentParams


@dataclass(frozen=True, slots=True)
class Descent:
    """How far a descent goes.

    Attributes
    ----------
    params : DescentParams
    patience : int
        It ends after this number of LPs in a row that gained no more than `worth` together.
    worth : float
        In units of the objective.
    double : bool
        Whether double moves are tried where no single one is left.
    """

    params: DescentParams
    patience: int
    worth: float = 0.0
    double: bool = False

    def is_stuck(self, reached: Sequence[float]) -> bool:
        """Return whether the merits reached, one per LP, tell that it is over."""
        return len(reached) > self.patience and reached[-1] - reached[-1 - self.patience] <= self.worth


def descend(
    step: OffloadingStep,
    start: Routing,
    lagrangians: list[Lagrangian],
    descent: Descent,
    deadline: Deadline,
) -> Iterator[Routing]:
    """Yield better and better routings until no move of a `Neighbourhood` improves, or time is over.

    Moves that touch different rows and groups are tried together; if that fails, the better half of
    them, and so on. Each LP, also a failed one, adds its prices to what is known of all other moves.

    Parameters
    ----------
    step
        The offloading step of a linear problem.
    start
        The routing to begin with; may be infeasible, its merit then counts.
    lagrangians
        F_α for price vectors known so far; the latest are kept in it.
    descent
        How far it goes.
    deadline
        When to end.
    """
    structure, memory = step.structure, descent.params.memory
    best = start
    if not best.solved:
        return
    reached = [best.merit]
    lagrangians.append(price(structure, start.duals))
    while not deadline.over:
        neighbourhood = Neighbourhood(
            structure, lagrangians[-memory:], best.x, False, deadline, descent.params
        )
        size = len(neighbourhood.moves)
        improved = doubled = False
        while not improved and not deadline.over:
            # Where F_α is an estimate only, a move is tried even if it promises nothing, but not for ever.
            threshold = best.merit + ROUNDING * max(1.0, abs(best.merit)) if structure.exact else -np.inf
            candidates = neighbourhood.promising(threshold)
            if descent.is_stuck(reached) or ((doubled or not descent.double) and not len(candidates)):
                return
            if not len(candidates):
                neighbourhood = Neighbourhood(
                    structure, lagrangians[-memory:], best.x, True, deadline, descent.params
                )
                size, doubled = len(neighbourhood.moves), True
                continue
            candidates = candidates[: descent.params.together]
            batch = _independent(structure, neighbourhood.moves, candidates)[:size] if size > 1 else []
            batch = batch or candidates[:1].tolist()
            size = max(len(batch) // 2, 1)
            routing = _try(step, best, neighbourhood.moves, candidates, batch, deadline)
            if not routing.solved:
                return
            lagrangians.append(price(structure, routing.duals))
            del lagrangians[:-memory]  # hundreds of LPs would otherwise hold hundreds of price vectors
            if routing.better_than(best):
                if routing.feasible and not best.feasible:
                    reached.clear()  # merits with a penalty in them are no measure any more
                best, improved = routing, True
                yield best
            else:
                neighbourhood.learn(lagrangians[-1:])
                if len(batch) == 1:
                    neighbourhood.moves.reach[batch[0]] = -np.inf
            reached.append(best.merit)


def _try(
    step: OffloadingStep,
    best: Routing,
    moves: Moves,
    candidates: IntArray,
    batch: Sequence[int],
    deadline: Deadline,
) -> Routing:
    """Route the placement after the moves of `batch`; columns that `candidates` open come in with them."""
    ahead = best.x.copy()
    entering = moves.into[candidates]
    ahead[entering[entering >= 0]] = True
    step.expect(ahead)
    x = best.x.copy()
    for k in batch:
        _apply(moves, k, x)
    return step(x, deadline.left(), at_least=best.merit)


def _apply(moves: Moves, k: int, x: BoolArray) -> None:
    out, into = moves.out[k], moves.into[k]
    x[out[out >= 0]] = False
    x[into[into >= 0]] = True


def _independent(structure: Structure, moves: Moves, candidates: IntArray) -> list[int]:
    """Return moves, best first, no two of which share a placement row or a demand group."""
    matrix = structure.placement_columns
    busy_rows = np.zeros(matrix.shape[0], dtype=bool)
    busy_groups = np.zeros(len(structure.group_demand), dtype=bool)
    chosen = []
    for k in candidates:
        rows, groups = [], []
        for variable in (*moves.out[k], *moves.into[k]):
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
