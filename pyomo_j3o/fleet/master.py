"""What is known of the parts, the fleet's bound, and the master problem over the parts' points.

Every part is maximised, and uses u_kb of budget b, of which there are c_b. With prices p >= 0 on them, no
plan of the fleet is worth more than ``sum_k L_k(p) + p @ c``, where L_k(p) is a proven bound of part k on
``objective - p @ use`` (Lagrangian relaxation of the shared rows; Geoffrion 1974,
https://doi.org/10.1007/BFb0120690). Points that the parts returned, at whatever prices, make up the master
problem of Dantzig and Wolfe (1960, https://doi.org/10.1287/opre.8.1.101): its duals are the next prices, and
one point for each part, within the budgets, is a plan.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from pyomo_j3o.core.problem import FloatArray
from pyomo_j3o.fleet.records import Answer, Look, Task

#: By how much a plan may exceed a budget, in its unit; see `units_of`.
WITHIN = 1e-6

#: The unit of a budget is at least this fraction of the largest use by one part,
_LEAST_UNIT = 1e-9

#: and this one where its limit is 0.
_UNIT_OF_NOTHING = 1e-3


@dataclass(frozen=True, slots=True)
class Point:
    """A plan of one part: its objective, its uses, and the task that found it."""

    objective: float
    uses: tuple[float, ...]
    task: Task


@dataclass(slots=True)
class Knowledge:
    """What is known of one part.

    Attributes
    ----------
    look : Look or None
        None before its model was built anywhere.
    points : list of Point
    bounds : list of (tuple of float, float)
        Prices, and the bound that was proven at these.
    least : list of (tuple of float, float)
        Prices, and the bound on ``-prices @ uses`` alone.
    asked : set of Task
        What it has been asked.
    lost : bool
        Its worker died again and again: it is not asked any more.
    status, note : str
        How its last solve ended; why it has no other bound than a loose one.
    seconds : float
        Of process time.
    """

    look: Look | None = None
    points: list[Point] = field(default_factory=list)
    bounds: list[tuple[tuple[float, ...], float]] = field(default_factory=list)
    least: list[tuple[tuple[float, ...], float]] = field(default_factory=list)
    asked: set[Task] = field(default_factory=set)
    lost: bool = False
    status: str = ""
    note: str = ""
    seconds: float = 0.0

    def learn(self, answer: Answer) -> None:
        """Take what one solve has found."""
        task = answer.task
        self.asked.add(task)
        self.status = answer.status
        self.seconds += answer.seconds
        if answer.objective is not None:
            self.points.append(Point(answer.objective, answer.uses, task))
        if task.caps is None and math.isfinite(answer.bound):
            (self.bounds if task.weight else self.least).append((task.prices, answer.bound))

    def bound(self, prices: Sequence[float]) -> float:
        """Return a proven bound at any prices.

        A bound at prices q holds at p with ``(q - p) @ use`` added, at most what the least and the most
        use make of that. The columns alone prove a loose one.
        """
        if self.look is None:
            return math.inf
        best = self.look.highest - sum(_times(p, u) for p, u in zip(prices, self.look.least, strict=True))
        for known, bound in self.bounds:
            moves = zip(known, prices, self.look.least, self.look.most, strict=True)
            best = min(best, bound + sum(max(_times(q - p, u), _times(q - p, v)) for q, p, u, v in moves))
        return best

    def contradiction(self) -> float:
        """Return by how much a plan is worth more than a bound, relative to their figures; 0 if none is."""
        most = 0.0
        for prices, bound in self.bounds:
            for point in self.points:
                parts = [point.objective, *(-_times(p, u) for p, u in zip(prices, point.uses, strict=True))]
                size = abs(bound) + sum(map(abs, parts)) + self._noise
                most = max(most, (math.fsum(parts) - bound) / max(size, 1e-300))
        return most

    @property
    def _noise(self) -> float:
        """What is nothing beside the largest figures that the columns allow."""
        highest = 0.0 if self.look is None else abs(self.look.highest)
        return 1e-3 * highest if math.isfinite(highest) else 0.0

    def gap(self, prices: Sequence[float]) -> float:
        """Return by how much the bound at these prices is above the best point; inf without a point."""
        return self.bound(prices) - self.best(prices)

    def best(self, prices: Sequence[float]) -> float:
        """Return what the best point is worth at these prices; -inf without a point."""
        return max((p.objective - float(np.dot(prices, p.uses)) for p in self.points), default=-math.inf)

    def least_use(self, prices: Sequence[float]) -> float:
        """Return below what ``prices @ uses`` cannot be."""
        if self.look is None:
            return -math.inf
        proven = [-bound for known, bound in self.least if known == tuple(prices)]
        return max([sum(_times(p, u) for p, u in zip(prices, self.look.least, strict=True)), *proven])

    def insensitive(self) -> bool:
        """Whether prices change nothing: it uses no budget."""
        return self.look is not None and not any(self.look.least) and not any(self.look.most)


def _times(price: float, use: float) -> float:
    return price * use if price else 0.0


@dataclass(frozen=True, slots=True)
class Mixture:
    """The optimum of the master LP: a mixture of points for each part.

    Attributes
    ----------
    value : float
        What it is worth, without what it exceeds budgets by.
    prices : FloatArray
        Its duals, shape (B,).
    exceeds : bool
        Whether it is not within the budgets.
    fractional : dict
        For each part that is a mixture of several points, the uses of the mixture.
    """

    value: float
    prices: FloatArray
    exceeds: bool
    fractional: dict[int, tuple[float, ...]]


class Columns:
    """The points of some parts as the columns of the master problem.

    Parameters
    ----------
    known
        All parts.
    parts
        Positions of those in this problem.
    limits
        Of the budgets, shape (B,).
    """

    def __init__(self, known: Sequence[Knowledge], parts: Sequence[int], limits: FloatArray) -> None:
        self.parts = [k for k in parts if known[k].points]
        self.limits = limits
        self.owner, self.which = (
            np.array(numbers, dtype=int)
            for numbers in (
                [row for row, k in enumerate(self.parts) for _ in known[k].points],
                [j for k in self.parts for j in range(len(known[k].points))],
            )
        )
        points = [point for k in self.parts for point in known[k].points]
        self.worth = np.array([point.objective for point in points])
        self.uses = np.array([point.uses for point in points]).reshape(len(points), len(limits))
        one = (np.ones(len(points)), (self.owner, np.arange(len(points))))
        self.one_each = sparse.csr_array(one, shape=(len(self.parts), len(points)))
        self.unit = units_of(limits, self.uses)

    def mix(self, steepest: FloatArray) -> Mixture | None:
        """Solve the master LP.

        If no mixture of the points is within the budgets, these may be exceeded at a price.

        Parameters
        ----------
        steepest
            This price, shape (B,).
        """
        n = len(self.worth)
        if n == 0:
            return None
        scale = max(1.0, float(np.abs(self.worth).max()))
        penalties = steepest * self.unit / scale
        result = self._solved(-self.worth / scale, penalties, np.zeros(len(self.limits)))
        if result.x is None:
            result = self._solved(-self.worth / scale, penalties, np.full(len(self.limits), np.inf))
        if result.x is None:
            return None
        weights = result.x[:n]
        count = np.bincount(self.owner[weights > WITHIN], minlength=len(self.parts))
        mixed = {
            self.parts[row]: tuple((weights * (self.owner == row)) @ self.uses)
            for row in np.flatnonzero(count > 1)
        }
        prices = np.maximum(0.0, -result.ineqlin.marginals * scale / self.unit)
        return Mixture(float(weights @ self.worth), prices, bool((result.x[n:] > WITHIN).any()), mixed)

    def shortage(self) -> FloatArray | None:
        """Return prices on uses alone by which no mixture of the points is within the budgets.

        They are the duals of the least excess (phase 1 of the simplex method), shape (B,): 0 if the points
        have a mixture within the budgets, and None if there are no points.
        """
        n = len(self.worth)
        if n == 0:
            return None
        n_budgets = len(self.limits)
        result = self._solved(np.zeros(n), np.ones(n_budgets), np.full(n_budgets, np.inf))
        if result.x is None or result.fun <= WITHIN:
            return np.zeros(n_budgets)
        # A few digits: the parts are not asked twice for what differs by rounding.
        prices = np.round(np.maximum(0.0, -result.ineqlin.marginals), 6)
        return unmixed(prices / self.unit)

    def _solved(self, costs: FloatArray, penalties: FloatArray, most: FloatArray) -> Any:
        """Minimise costs of the points, and penalties on at most so much excess."""
        n, n_budgets = len(self.worth), len(self.limits)
        upper = np.concatenate((np.full(n, np.inf), most))
        return linprog(
            np.concatenate((costs, penalties)),
            A_ub=sparse.hstack(
                (sparse.csr_array(self.uses.T / self.unit[:, None]), -sparse.eye_array(n_budgets))
            ),
            b_ub=self.limits / self.unit,
            A_eq=sparse.hstack((self.one_each, sparse.csr_array((len(self.parts), n_budgets)))),
            b_eq=np.ones(len(self.parts)),
            bounds=np.column_stack((np.zeros(n + n_budgets), upper)),
            method="highs",
        )

    def choose(self, seconds: float, gap: float) -> dict[int, int] | None:
        """Choose one point for each part, within the budgets; None if none was found.

        Parameters
        ----------
        seconds, gap
            At which HiGHS ends.

        Returns
        -------
        dict or None
            From part to the number of its point.
        """
        n = len(self.worth)
        if n == 0:
            return None
        scale = max(1.0, float(np.abs(self.worth).max()))
        result = milp(
            -self.worth / scale,
            integrality=np.ones(n),
            bounds=Bounds(0, 1),
            constraints=[
                LinearConstraint(self.one_each, 1, 1),
                LinearConstraint(
                    sparse.csr_array(self.uses.T / self.unit[:, None]), ub=self.limits / self.unit
                ),
            ],
            options={"time_limit": seconds, "mip_rel_gap": gap},
        )
        if result.x is None:
            return None
        chosen = np.flatnonzero(result.x > 0.5)
        used = self.uses[chosen].sum(axis=0)
        if len(chosen) != len(self.parts) or (used > self.limits + WITHIN * self.unit).any():
            return None
        return {
            self.parts[row]: int(j) for row, j in zip(self.owner[chosen], self.which[chosen], strict=True)
        }


def units_of(limits: FloatArray, uses: FloatArray) -> FloatArray:
    """Return the unit that each budget is counted in, shape (B,): the tolerances of HiGHS are absolute.

    It is the limit. A limit that is next to nothing beside the uses, or 0, has a unit by these.

    Parameters
    ----------
    limits
        Shape (B,).
    uses
        Of points, shape (n, B).
    """
    largest = np.abs(uses).max(axis=0, initial=0.0)
    units = np.where(
        limits != 0.0, np.maximum(np.abs(limits), _LEAST_UNIT * largest), _UNIT_OF_NOTHING * largest
    )
    return np.asarray(np.where(units > 0.0, units, 1.0))


def unmixed(prices: FloatArray) -> FloatArray:
    """Return prices on uses alone, in units of the budget itself if there is only one."""
    return np.where(prices > 0, 1.0, 0.0) if np.count_nonzero(prices) == 1 else prices


def fleet_bound(
    known: Sequence[Knowledge], parts: Sequence[int], limits: FloatArray, prices: FloatArray
) -> float:
    """Return what no plan of these parts can be worth more than, by the prices given."""
    figures = [known[k].bound(prices.tolist()) for k in parts]
    figures += (prices * limits).tolist()
    return math.fsum(figures) if all(map(math.isfinite, figures)) else math.inf
