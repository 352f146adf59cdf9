"""Prices of moves that are larger than they have to be, lowered for the search: no digits are lost."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.core.problem import OBJECTIVE, FloatArray, Problem, Products
from pyomo_j3o.core.whole_numbers import units_of
from pyomo_j3o.presolve.tightening import implied_bounds

#: A price need not be more than so many times all that the objective and cheaper moves can change. Of a plan
#: that has to move, the bound may be off by twice the inverse of this, relative.
_ENOUGH = 2.0**15

#: What rounding does to a sum, per unit of its terms' sizes together.
_ROUNDING = 8 * 2.0**-52


@dataclass(frozen=True, slots=True)
class LoweredPrices:
    """Prices to search with, and what a bound that holds with these says of the full prices.

    Attributes
    ----------
    full : (N,)
        What a change of each column costs.
    price : (N,)
        No more than that: what the search pays.
    least : float
        Proven: no plan has less of the objective without any price. -inf if that is not known.
    """

    full: FloatArray
    price: FloatArray
    least: float

    @property
    def any(self) -> bool:
        """Whether any price is lowered."""
        return bool((self.price < self.full).any())

    def bound(self, bound: float) -> float:
        """Return an upper bound of the objective with the full prices, given one with the lowered prices.

        A plan that changes columns of set C has less by ``sum(full[C] - price[C])``. Where even the lowered
        prices of C must be large, as the objective alone cannot be as low as the bound, that is large, too.
        """
        if not np.isfinite(bound):
            return bound
        slack = _ROUNDING * float(self.price.sum())
        paid = self.least - bound - slack  # what every plan pays at least, at lowered prices
        more = 0.0
        if self.any and np.isfinite(paid):
            # The larger the full price, the smaller the share of it that is left.
            share = np.divide(self.price, self.full, out=np.ones_like(self.full), where=self.full > 0)
            for level in np.unique(share[share < 1.0]):
                dear = share <= level
                here = paid - float(self.price[~dear].sum())
                here -= _ROUNDING * (abs(paid) + abs(self.least) + abs(bound))
                unit = float(units_of(sparse.csr_array(self.price[dear][None, :]))[0])
                if here > 0.0:
                    here = np.ceil(here / unit) * unit if unit > 0 else here
                    more = max(more, (1.0 / level - 1.0) * here)
        return bound - more * (1.0 - _ROUNDING) + slack


def lowered_prices(problem: Problem, price: FloatArray) -> LoweredPrices:
    """Return prices that forbid the same moves, and are no larger than they have to be.

    From the smallest price on, one that is more than `_ENOUGH` times what the objective and all moves
    at smaller prices can change together is lowered to about that, and the larger ones in proportion. So a
    move that a lowered price allows is one without which there is no plan.

    Parameters
    ----------
    problem
        Without the price; with or without products.
    price
        (N,), what a change of each column costs.
    """
    sizes = np.abs(
        np.concatenate(
            [problem.onloading_objective, problem.offloading_objective, problem.products.coefficient]
        )
    )
    if price.max(initial=0.0) <= _ENOUGH * sizes.max(initial=0.0):
        return LoweredPrices(price, price, -np.inf)
    least, most = _range(problem)
    reach = most - least
    if not np.isfinite(reach):
        return LoweredPrices(price, price, least)
    levels, count = np.unique(price[price > 0], return_counts=True)
    reach = max(reach, float(levels[0]) / _ENOUGH) if reach == 0.0 else reach
    factor, factors = 1.0, np.ones(len(levels))
    for k, level in enumerate(levels):
        if factor * level > _ENOUGH * reach:
            # A power of two: prices that are multiples of one unit stay so.
            factor = float(np.exp2(np.floor(np.log2(_ENOUGH * reach) - np.log2(level))))
        factors[k] = factor
        reach += factor * float(level) * int(count[k])
    lowered = price.copy()
    priced = price > 0
    lowered[priced] *= factors[np.searchsorted(levels, price[priced])]
    return LoweredPrices(price, lowered, least)


def _range(problem: Problem) -> tuple[float, float]:
    """Return what the objective is at least and at most, by the bounds of the columns."""
    terms = problem.products
    held = terms.row[terms.row != OBJECTIVE]
    row_lower, row_upper = problem.row_lower.copy(), problem.row_upper.copy()
    row_lower[held], row_upper[held] = -np.inf, np.inf  # what the other terms of such a row say is not all
    linear = replace(problem, row_lower=row_lower, row_upper=row_upper, products=Products.none())
    lower, upper = implied_bounds(linear)
    mine = terms.row == OBJECTIVE
    column, weight = terms.offloading[mine], terms.coefficient[mine]
    parts = [
        _ends(problem.onloading_objective, problem.onloading_lower, problem.onloading_upper),
        _ends(problem.offloading_objective, lower, upper),
    ]
    low, high = _ends(weight, lower[column], upper[column])
    parts.append((np.minimum(low, 0.0), np.maximum(high, 0.0)))
    low, high = (np.concatenate([part[end] for part in parts]) for end in (0, 1))
    slack = _ROUNDING * (len(low) + 1.0) * (np.abs(low).sum() + np.abs(high).sum())
    constant = problem.objective_constant
    return float(constant + low.sum() - slack), float(constant + high.sum() + slack)


def _ends(weight: FloatArray, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the smallest and the largest of ``weight * v`` for v between the bounds; 0 without a weight."""
    with np.errstate(invalid="ignore"):
        at_lower, at_upper = (np.where(weight == 0.0, 0.0, weight * end) for end in (lower, upper))
    return np.minimum(at_lower, at_upper), np.maximum(at_lower, at_upper)
