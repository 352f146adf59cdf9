"""Onloading steps of the baselines: what an operator would do without prices. Each looks at no price."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.alternate.onloading import greedy_onloading
from pyomo_j3o.core.matrices import entry_rows
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.core.structure import Structure
from pyomo_j3o.core.tolerances import rounding_of

#: How often a random placement that was there before is drawn anew.
_MOST_DRAWS = 20


def most_accurate_first(structure: Structure, prices: FloatArray) -> BoolArray:
    """Return the placement that gives every demand its best options first, as long as they fit.

    Every demand has its options in the order of their objective coefficients. First all demands get what
    their best option needs, those that are worth most first. Then all get what their second-best option
    needs, and so on. What costs something in the objective is placed only where it is a demand's best option,
    or a row over onloading variables asks for it.

    Parameters
    ----------
    structure
        Of a linear problem.
    prices
        (M,), not used.

    Returns
    -------
    (N,) bool
    """
    free = structure.problem.onloading_objective >= 0
    order, best = _by_worth(structure)
    return _filled(structure, order, free | best)


def apart(structure: Structure, prices: FloatArray) -> BoolArray:
    """Return the placement that would be good if no row coupled the routing.

    Greedy maximises F at prices of 0: every demand goes to the best option that is open, however much
    compute and communication that takes. Options that need no onloading, such as the cloud, are left out:
    without their budgets nothing would be placed beside them. What still fits then and costs nothing is
    added, most accurate first.

    Parameters
    ----------
    structure
        Of a linear problem.
    prices
        (M,), not used.

    Returns
    -------
    (N,) bool
    """
    # With a link that nothing opens, an option is out of reach.
    ungated = (structure.group >= 0) & (structure.n_links == 0)
    without = replace(structure, n_links=np.where(ungated, 1, structure.n_links))
    x = greedy_onloading(without, np.zeros_like(prices))
    order, _ = _by_worth(structure)
    return _filled(structure, order, structure.problem.onloading_objective >= 0, x)


class AtRandom:
    """Places onloading variables in a random order, as long as they fit; another placement at every call.

    What costs something in the objective is left out with a probability of ½, unless a row over onloading
    variables asks for it. If only placements of earlier calls are drawn again and again, one of them is
    returned once more.

    Parameters
    ----------
    seed
        The same seed gives the same placements, call by call.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._drawn: set[bytes] = set()

    def __call__(self, structure: Structure, prices: FloatArray) -> BoolArray:
        """Return the next placement, (N,) bool; `prices`, (M,), are not used."""
        n, free = structure.problem.n_onloading, structure.problem.onloading_objective >= 0
        for _ in range(_MOST_DRAWS):
            order, coin = self._random.permutation(n), self._random.random(n) < 0.5
            x = _filled(structure, order, free | coin)
            if x.tobytes() not in self._drawn:
                break
        self._drawn.add(x.tobytes())
        return x


def _by_worth(structure: Structure) -> tuple[IntArray, BoolArray]:
    """Return the onloading variables in the order of `most_accurate_first`, and which a best option needs."""
    problem, group = structure.problem, structure.group
    worth = problem.offloading_objective / structure.group_weight
    gated = np.flatnonzero((group >= 0) & (structure.n_links > 0))
    gated = gated[np.lexsort((gated, -worth[gated], group[gated]))]
    _, first, size = np.unique(group[gated], return_index=True, return_counts=True)
    rank = np.arange(len(gated)) - np.repeat(first, size)
    stake = np.repeat(worth[gated[first]] * structure.group_demand[group[gated[first]]], size)
    ordered = np.lexsort((group[gated], -stake, rank))
    openers = structure.opener_x[structure.by_column.of_keys(gated[ordered])]
    _, places = np.unique(openers, return_index=True)
    named = openers[np.sort(places)]
    others = np.setdiff1d(np.arange(problem.n_onloading), named)
    best = np.zeros(problem.n_onloading, dtype=bool)
    best[structure.opener_x[structure.by_column.of_keys(gated[first])]] = True
    return np.concatenate([named, others]), best


def _filled(
    structure: Structure, order: IntArray, wanted: BoolArray, start: BoolArray | None = None
) -> BoolArray:
    """Place variables in this order, as long as they fit: first what rows ask for, then what is wanted.

    Parameters
    ----------
    structure
        Of a linear problem.
    order
        Numbers of onloading variables.
    wanted
        (N,); the others are placed only where a row asks for them.
    start
        What is placed already, (N,) bool.
    """
    problem = structure.problem
    fixed = problem.onloading_lower > 0.5
    room = _Room.of(structure, fixed if start is None else start | fixed)
    order = order[problem.onloading_upper[order] > 0.5]
    for only_helpers in (True, False):
        added = True
        while added:  # one that is placed may make room for another, as in x_a <= x_b
            added = False
            for k in order.tolist():
                if room.x[k] or not (room.is_asked_for(k) or (wanted[k] and not only_helpers)):
                    continue
                if room.has_room_for(k):
                    room.add(k)
                    added = True
    return room.x


@dataclass(slots=True)
class _Room:
    """What the rows leave to a placement that grows, while y takes as little of every row as it can.

    Attributes
    ----------
    x : (N,) bool
    columns : (rows, N) CSC
        Of rows ``columns @ x <= limits``.
    left : (rows,)
        Of the limits; below 0 where a row asks for more.
    tolerance : (rows,)
    """

    x: BoolArray
    columns: sparse.csc_array
    left: FloatArray
    tolerance: FloatArray

    @staticmethod
    def of(structure: Structure, x: BoolArray) -> _Room:
        """Return the room beside placement `x`, (N,) bool."""
        problem = structure.problem
        matrix, row = problem.offloading_rows, entry_rows(problem.offloading_rows)
        low, high = problem.offloading_lower[matrix.indices], problem.offloading_upper[matrix.indices]
        rising = matrix.data > 0
        least = np.bincount(row, matrix.data * np.where(rising, low, high), minlength=problem.n_rows)
        most = np.bincount(row, matrix.data * np.where(rising, high, low), minlength=problem.n_rows)
        slack = np.zeros(problem.n_rows)
        slack[structure.placement_rows] = structure.placement_tolerance
        limits = np.concatenate([problem.row_upper - least, most - problem.row_lower])
        rows = sparse.csr_array(sparse.vstack([problem.onloading_rows, -problem.onloading_rows]))
        limiting = np.isfinite(limits)
        # A row without positive coefficients that holds at 0 never binds: such are most links.
        positive = np.bincount(entry_rows(rows), rows.data > 0, minlength=len(limits)) > 0
        limiting &= positive | (np.where(limiting, limits, 0.0) < 0)
        rows, limits = rows[limiting], limits[limiting]
        tolerance = np.maximum(np.concatenate([slack, slack])[limiting], rounding_of(limits))
        return _Room(x.copy(), sparse.csc_array(rows), limits - rows @ x.astype(float), tolerance)

    def _entries(self, k: int) -> tuple[IntArray, FloatArray]:
        where = slice(self.columns.indptr[k], self.columns.indptr[k + 1])
        return self.columns.indices[where], self.columns.data[where]

    def has_room_for(self, k: int) -> bool:
        """Return whether no row forbids variable `k`."""
        row, value = self._entries(k)
        return not np.any((value > 0) & (value > self.left[row] + self.tolerance[row]))

    def is_asked_for(self, k: int) -> bool:
        """Return whether variable `k` helps a row that is not satisfied yet."""
        row, value = self._entries(k)
        return bool(np.any((value < 0) & (self.left[row] < -self.tolerance[row])))

    def add(self, k: int) -> None:
        """Place variable `k`."""
        row, value = self._entries(k)
        self.x[k] = True
        self.left[row] -= value
