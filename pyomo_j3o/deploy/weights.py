"""Shares as whole numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def whole_weights(shares: Sequence[float], total: int) -> list[int]:
    """Return whole weights in proportion to the shares that add up to `total`, by largest remainder.

    Every weight is its exact proportion, rounded down or up. Of two equal remainders the first is rounded up.

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
    order = np.argsort(-(exact - down), kind="stable")
    down[order[:left]] += 1
    return [int(weight) for weight in down]
