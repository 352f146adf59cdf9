"""Shares as whole numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def whole_weights(shares: Sequence[float], total: int) -> list[int]:
    """Return whole weights in proportion to the shares that add up to `total`, by largest remainder.

    Every weight is its exact proportion, rounded down or up. A larger share never gets a smaller weight; of
    two equal shares the first is rounded up.

    Parameters
    ----------
    shares
        Positive numbers; at least one.
    total
        What the weights add up to.
    """
    exact = np.asarray(shares, dtype=float)
    exact = total * (exact / exact.sum())
    # A proportion that is whole up to rounding is that whole number.
    down = np.floor(exact + 1e-9).astype(int)
    left = total - int(down.sum())
    # Shares that differ in the last figure may have equal remainders; a larger one never gets less.
    order = np.lexsort((-np.asarray(shares, dtype=float), down - exact))
    down[order[:left]] += 1
    return [int(weight) for weight in down]
