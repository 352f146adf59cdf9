"""The rounds: prices, the parts' answers at these, a bound, a plan, and the next prices.

::

    prices of a sample of the parts, by the rounds below
    until the gap is closed:
        every part: the best plan and a bound at these prices          Parts.ask
        the fleet's bound at these prices                              fleet_bound
        the master LP over all points: its duals                       Columns.mix
        if it has no plan: every part's least use                      Market.reach
        parts that it mixes: a plan within their share of the budgets
        parts that lack most at these prices: what the plan leaves of the budgets
        one point for each part, within the budgets                    Columns.choose
        a few parts at other prices, where use has to move
        prices between the best ones and the duals
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pyomo_j3o.core.problem import FloatArray
from pyomo_j3o.errors import FleetError
from pyomo_j3o.fleet.asking import Parts
from pyomo_j3o.fleet.market import Market, require_used
from pyomo_j3o.fleet.master import WITHIN, Mixture, Point, units_of, unmixed
from pyomo_j3o.fleet.params import FleetParams
from pyomo_j3o.fleet.records import USUAL, Task


class Rounds:
    """The rounds on the whole fleet, and the best plan so far.

    Parameters
    ----------
    parts
        The fleet.
    limits
        Of the budgets, shape (B,).
    params, gap
        Of the coordination, and the gap that is sought.
    observe
        Is called after every round.
    """

    def __init__(
        self,
        parts: Parts,
        limits: FloatArray,
        params: FleetParams,
        gap: float,
        observe: Callable[[Rounds, FloatArray], None],
    ) -> None:
        self.parts, self.limits, self.params, self.wanted = parts, limits, params, gap
        self.market = Market(parts, range(len(parts.known)), limits, params)
        self.choice: dict[int, int] = {}
        self._observe = observe

    @property
    def objective(self) -> float:
        """What the best plan is worth, maximised; -inf if there is none."""
        return math.fsum(point.objective for point in self.chosen) if self.choice else -math.inf

    @property
    def chosen(self) -> list[Point]:
        """The plan of every part in the plan of the fleet."""
        return [self.parts.known[k].points[j] for k, j in self.choice.items()]

    @property
    def uses(self) -> FloatArray:
        """Of the best plan, shape (B,)."""
        uses = np.array([point.uses for point in self.chosen])
        return np.asarray(uses.reshape(len(self.choice), len(self.limits)).sum(axis=0))

    @property
    def bound(self) -> float:
        """No plan is worth more; a bound that is below the plan by rounding is the plan's worth."""
        return max(self.market.bound, self.objective)

    @property
    def closed(self) -> bool:
        """Whether the gap is within the one that is sought."""
        return self._missing() <= self.wanted * max(abs(self.objective), 1e-10) if self.choice else False

    def run(self, prices: FloatArray) -> str:
        """Go on until the gap is closed; return why it ended."""
        idle = 0
        for number in range(self.params.rounds):
            before = self.objective, self.bound
            self.market.ask(prices, USUAL)
            if number == 0:
                require_used(self.parts)
                self._require_room()
            mixture = self.market.mix()
            self._improve(mixture)
            self._observe(self, prices)
            if self.closed:
                return "the gap is closed"
            if mixture is None:
                return "no part has a plan"
            idle = 0 if self._has_gained(*before) else idle + 1
            mixture = self.market.mix() or mixture
            if self.parts.over:
                return "time limit"
            following = self.market.next_prices(mixture)
            if following is None and mixture.exceeds:
                following = self._reach()
            if following is None or idle >= self.params.patience:
                return "other prices bring nothing"
            prices = following
        return "limit of rounds"

    def choose(self) -> None:
        """Keep the best plan that the points make up, if it is better."""
        columns = self.market.columns()
        if len(columns.parts) < len(self.parts.known):
            return
        seconds = self.parts.seconds(self.params.master_seconds)
        choice = columns.choose(seconds, self.params.master_gap * self.wanted)
        if choice is None:
            return
        before, held = self.objective, self.choice
        self.choice = choice
        if self.objective < before:
            self.choice = held

    def _missing(self) -> float:
        return self.bound - self.objective

    def _has_gained(self, objective: float, bound: float) -> bool:
        least = self.params.worth * self.wanted * max(abs(self.objective), 1e-10)
        if not self.choice:
            return True  # prices still rise
        return not (self.objective - objective <= least and bound - self.bound <= least)

    def _improve(self, mixture: Mixture | None) -> None:
        """Make a plan of the points; ask few parts for more of them where it needs these."""
        if mixture is None:
            return
        self.choose()
        if self.closed:
            return
        within = not mixture.exceeds
        if mixture.fractional and within:
            self._fit(mixture.fractional, "fitting parts")
        if not self.choice:
            self._use_least(mixture)
        for attempt in range(self.params.repairs):
            if self.closed or self.parts.over or not self._repair(attempt + 1):
                break
            self.choose()
        self._fill()
        if not self.closed:
            self._sharpen()

    def _fit(self, caps: dict[int, tuple[float, ...]], what: str) -> None:
        """Ask parts for plans within limits of their own, at a part of the prices.

        At the prices themselves, a part may use or not use what is worth just these.
        """
        prices = tuple((self.params.fitted * self.market.prices).tolist())
        self.parts.ask({k: [Task(prices, caps=uses)] for k, uses in caps.items()}, what)
        self.choose()

    def _fill(self) -> None:
        """Offer what the best plan leaves of the budgets to the parts that lack most at the prices."""
        prices = self.market.prices
        for _ in range(self.params.fills):
            if not self.choice or self.closed or self.parts.over:
                return
            left = np.maximum(0.0, self.limits - self.uses)
            before = self.objective
            if prices @ left < self.params.worth_filling * self._missing():
                return
            chosen = self.chosen
            lacks = [
                known.bound(prices.tolist()) - point.objective + float(prices @ np.array(point.uses))
                for known, point in zip(self.parts.known, chosen, strict=True)
            ]
            members = np.argsort(-np.array(lacks), kind="stable")[: self.params.filled].tolist()
            self._fit(
                {k: tuple((left + np.array(chosen[k].uses)).tolist()) for k in members}, "filling budgets"
            )
            if self.objective <= before:
                return

    def _sharpen(self) -> None:
        """Solve parts for longer where their own gaps are what is missing."""
        if not self.choice:
            return
        gaps = np.array([known.gap(self.market.prices.tolist()) for known in self.parts.known])
        if not np.isfinite(gaps).all() or gaps.sum() < self.params.blame * self._missing():
            return
        order = np.argsort(-gaps, kind="stable")
        target = self.wanted * abs(self.objective)
        enough = self.params.sharpened * (self._missing() - target)
        count = int(np.searchsorted(np.cumsum(gaps[order]), enough)) + 1
        members = [k for k in order[:count].tolist() if gaps[k] > 0.1 * target / len(gaps)]
        self.market.sharpen(members)
        self.choose()

    def _repair(self, attempt: int) -> bool:
        """Ask the parts that use most, or least, at dearer or cheaper prices; False if that is no help."""
        prices = self.market.prices
        now = self._uses_now()
        if now is None:
            return False
        total = now.sum(axis=0)
        over = total - self.limits
        slack = prices * np.maximum(0.0, -over)
        dear = over > WITHIN * units_of(self.limits, now)
        cheap = ~dear & (slack > 0.25 * self.wanted * abs(self.objective)) if self.choice else ~dear & ~dear
        if not (dear.any() or cheap.any()) or not prices.any():
            return False
        step = self.params.dearer * attempt
        moved = prices * np.where(dear, 1 + step, np.where(cheap, 1 / (1 + step), 1.0))
        budget = int(np.argmax(np.where(dear | cheap, prices * np.abs(over), -1.0)))
        order = np.argsort(now[:, budget], kind="stable")
        if dear[budget]:
            order = order[::-1]
        enough = self.params.moved * abs(over[budget])
        amounts = (
            np.cumsum(now[order, budget])
            if dear[budget]
            else np.arange(1, len(order) + 1) * (max(total[budget], 1e-12) / len(order))
        )
        members = order[: int(np.searchsorted(amounts, enough)) + 1].tolist()
        task = Task(tuple(moved.tolist()))
        self.parts.ask({k: [task] for k in members}, "moving use")
        return True

    def _uses_now(self) -> FloatArray | None:
        """Return the uses in the best plan; before there is one, those of the best points at the prices."""
        if self.choice:
            return np.array(
                [self.parts.known[k].points[self.choice[k]].uses for k in range(len(self.choice))]
            )
        if any(not known.points for known in self.parts.known):
            return None
        prices = tuple(self.market.prices.tolist())
        best = [
            max(known.points, key=lambda point: point.objective - float(np.dot(prices, point.uses)))
            for known in self.parts.known
        ]
        return np.array([point.uses for point in best])

    def _require_room(self) -> None:
        """Raise if the columns alone prove that a budget cannot be met."""
        for b, (name, limit) in enumerate(self.parts.fleet.limits.items()):
            unit = tuple(float(b == other) for other in range(len(self.limits)))
            self._require_met(name, self._least(unit), limit)

    def _reach(self) -> FloatArray | None:
        """Find points that make up a mixture within the budgets; return the prices that follow from these."""
        if not self.market.reach(self._require_budgets):
            return None
        self.choose()
        mixture = self.market.mix()
        return None if mixture is None else self.market.next_prices(mixture)

    def _use_least(self, mixture: Mixture) -> None:
        """Find the least uses of the budgets that have a price, while there is no plan."""
        priced = mixture.prices > 0
        units = unmixed(np.where(priced | ~priced.any(), 1 / self.market.columns().unit, 0.0))
        if units.any():
            task = Task(tuple(units.tolist()), weight=0.0)
            self.parts.ask({k: [task] for k in self.market.members}, "least use")
            self._require_budgets(units)
            self.choose()

    def _require_budgets(self, prices: FloatArray) -> None:
        """Raise if the least uses prove that budgets cannot be met."""
        priced = np.flatnonzero(prices)
        least, limit = self._least(tuple(prices.tolist())), float(prices @ self.limits)
        if not self._is_over(least, limit):
            return
        budgets = list(self.parts.fleet.limits)
        if len(priced) == 1:
            only = int(priced[0])
            self._require_met(budgets[only], least / prices[only], limit / prices[only])
        more = f"; if all grow alike, it takes a factor of {least / limit:.4g} at least" if limit > 0 else ""
        names = ", ".join(repr(budgets[b]) for b in priced)
        raise FleetError(
            f"shared budgets {names} cannot be met together, though each may be met by itself; raise some of "
            f"them{more}"
        )

    def _require_met(self, name: str, least: float, limit: float) -> None:
        if self._is_over(least, limit):
            raise FleetError(
                f"shared budget {name!r} cannot be met: the parts use at least {least:g}, and the limit is "
                f"{limit:g}; raise it"
            )

    def _least(self, prices: tuple[float, ...]) -> float:
        return math.fsum(known.least_use(prices) for known in self.parts.known)

    @staticmethod
    def _is_over(least: float, limit: float) -> bool:
        """Whether a least use is above a limit; where the limit is 0, by more than what rounding leaves."""
        return least > limit + WITHIN * max(abs(limit), 1e-6 * least)
