"""Some parts and limits on what they use together: prices are asked, kept and followed by better ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from pyomo_j3o.core.log import counted
from pyomo_j3o.core.problem import FloatArray
from pyomo_j3o.errors import FleetError
from pyomo_j3o.fleet.asking import Parts
from pyomo_j3o.fleet.master import Columns, Mixture, fleet_bound
from pyomo_j3o.fleet.params import FleetParams
from pyomo_j3o.fleet.records import BRIEF, LONG, Task


class Market:
    """Some parts, and limits on what they use together: prices are sought that both agree on.

    Parameters
    ----------
    parts
        All of the fleet.
    members
        Positions of those in this market.
    limits
        Shape (B,).
    params
        Of the coordination.
    """

    def __init__(self, parts: Parts, members: Sequence[int], limits: FloatArray, params: FleetParams) -> None:
        self.parts, self.members, self.limits, self.params = parts, members, limits, params
        self.prices = np.zeros(len(limits))
        self.bound = math.inf
        self._steepest: FloatArray | None = None
        self._duals: FloatArray | None = None
        self._tried: list[FloatArray] = []

    def ask(self, prices: FloatArray, effort: int) -> None:
        """Ask every member at these prices, and keep the bound if it is the best."""
        task = Task(tuple(prices.tolist()), effort=effort)
        self._tried.append(prices)
        try:
            self.parts.ask({k: [task] for k in self.members}, "solving parts")
        finally:  # after Ctrl-C, too
            bound = fleet_bound(self.parts.known, self.members, self.limits, prices)
            if bound < self.bound or len(self._tried) == 1:
                self.bound, self.prices = bound, prices

    def sharpen(self, parts: Sequence[int]) -> None:
        """Solve some members for longer at the best prices."""
        task = Task(tuple(self.prices.tolist()), effort=LONG)
        try:
            self.parts.ask({k: [task] for k in parts}, "solving parts for longer")
        finally:
            bound = fleet_bound(self.parts.known, self.members, self.limits, self.prices)
            self.bound = min(self.bound, bound)

    def priced(self) -> float:
        """Return what the points are worth at the best prices: the bound, but for the parts' own gaps."""
        known = [self.parts.known[k] for k in self.members]
        worth = [one.best(self.prices.tolist()) for one in known if one.points]
        return math.fsum([*worth, float(self.prices @ self.limits)])

    def columns(self) -> Columns:
        """Return the master problem as it stands."""
        return Columns(self.parts.known, self.members, self.limits)

    def mix(self) -> Mixture | None:
        """Solve the master LP."""
        columns = self.columns()
        if self._steepest is None:
            if not len(columns.worth):
                return None
            used = np.maximum(np.abs(columns.uses).sum(axis=0), np.abs(self.limits))
            worth = max(float(np.abs(columns.worth).sum()), 1e-6)
            self._steepest = np.where(
                used > 0, self.params.steepest * worth / np.where(used > 0, used, 1), worth
            )
        return columns.mix(self._steepest)

    def reach(self, require: Callable[[FloatArray], None]) -> bool:
        """Have least uses sought until a mixture of the points is within the budgets; False if none is.

        Parameters
        ----------
        require
            Is called with prices on uses alone, once all parts were asked for the least that they make.
        """
        for _ in range(self.params.reaches):
            prices = self.columns().shortage()
            if prices is None or self.parts.over:
                return False
            if not prices.any():
                return True
            task = Task(tuple(prices.tolist()), weight=0.0)
            known = [self.parts.known[k] for k in self.members]
            if all(one.lost or task in one.asked for one in known):
                return False
            self.parts.ask({k: [task] for k in self.members}, "least use")
            require(prices)
        return False

    def next_prices(self, mixture: Mixture) -> FloatArray | None:
        """Return prices that were not tried yet; None if none are left to try.

        The duals are smoothed (Wentges 1997, https://doi.org/10.1016/S0969-6016(97)00001-4), unless the
        points are still without a plan, or the answers at smoothed prices have left the duals as they were.
        """
        weight = self.params.smoothing
        stay = self._duals is not None and np.allclose(self._duals, mixture.prices, rtol=1e-6, atol=0)
        self._duals = mixture.prices
        smoothed = weight * self.prices + (1 - weight) * mixture.prices
        plain = stay or mixture.exceeds
        for prices in (mixture.prices,) if plain else (smoothed, mixture.prices):
            if self._is_new(prices):
                return np.asarray(prices)
        return None

    def _is_new(self, prices: FloatArray) -> bool:
        assert self._steepest is not None
        close = 1e-4 * self._steepest + 0.0
        near = 1e-3 * prices
        return not any((np.abs(prices - tried) <= np.minimum(close, near)).all() for tried in self._tried)


def sample_prices(parts: Parts, limits: FloatArray, params: FleetParams, gap: float) -> FloatArray:
    """Return prices that a sample of the parts agrees on; 0 if the fleet is too small for one.

    Parameters
    ----------
    parts
        The fleet.
    limits
        Of the whole fleet.
    params, gap
        Of the coordination, and the gap that is sought.
    """
    n = len(parts.known)
    if not len(limits) or n < params.worth_sampling * params.sample:
        return np.zeros(len(limits))
    members = np.linspace(0, n - 1, params.sample).round().astype(int).tolist()
    parts.look(members)
    looks = [known.look for known in parts.known]
    if not all(any(look and look.holds[b] for look in looks) for b in range(len(limits))):
        parts.look(range(n))
        require_used(parts)
    market = Market(parts, members, limits * len(members) / n, params)
    prices = np.zeros(len(limits))
    for _ in range(params.sample_rounds):
        market.ask(prices, BRIEF)
        mixture = market.mix()
        if mixture is None:
            break
        # The parts' own gaps say nothing about prices.
        missing = market.priced() - mixture.value
        asked = ", ".join(f"{name} {p:.4g}" for name, p in zip(parts.fleet.limits, prices, strict=True))
        parts.progress.line(f"{'sample':>6} {parts.solved:>8} prices: {asked}")
        if not mixture.exceeds and missing <= params.sampled_gap * gap * abs(mixture.value):
            break
        following = market.next_prices(mixture)
        if following is None and mixture.exceeds and market.reach(lambda prices: None):
            mixture = market.mix() or mixture
            following = market.next_prices(mixture)
        if following is None or parts.over:
            break
        prices = following
    return market.prices


def require_used(parts: Parts) -> None:
    """Raise if there is a shared budget that no part uses."""
    looks = [known.look for known in parts.known]
    if not all(looks):
        return  # a part that was not seen may use it
    for b, name in enumerate(parts.fleet.limits):
        if not any(look and look.holds[b] for look in looks):
            raise FleetError(
                f"no part uses the shared budget {name!r}: {counted(len(looks), 'model')} without a Var or a "
                "named Expression of this name; give the models one, or take the budget out"
            )
