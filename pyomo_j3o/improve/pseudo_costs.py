"""Pseudo-costs: what branching on a variable has lowered the bound by so far."""

from __future__ import annotations

import numpy as np

from pyomo_j3o.core.problem import FloatArray, IntArray
from pyomo_j3o.core.tolerances import INTEGRAL


class PseudoCosts:
    """By how much the bound fell per unit when a variable was rounded down or up, on average."""

    def __init__(self, n: int) -> None:
        self._sum = np.zeros((2, n))
        self._count = np.zeros((2, n))

    def learn(self, k: int, up: bool, drop: float, distance: float) -> None:
        """Add an observation."""
        self._sum[int(up), k] += max(drop, 0.0) / max(distance, INTEGRAL)
        self._count[int(up), k] += 1

    def count(self, k: int) -> float:
        """Return how often `k` was observed in both directions."""
        return float(self._count[:, k].min())

    def scores(self, x: FloatArray, fractional: IntArray, influence: FloatArray, least: float) -> FloatArray:
        """Return the product of the expected drops; by influence where nothing was observed, on one scale."""
        down, up = self._sum[:, fractional] / np.maximum(self._count[:, fractional], 1.0)
        value = x[fractional]
        scores = np.maximum(value * down, least) * np.maximum((1.0 - value) * up, least)
        guess: FloatArray = np.minimum(value, 1.0 - value) * influence
        known = self._count[:, fractional].min(axis=0) > 0
        if not known.any():
            return np.asarray(guess * guess, dtype=float)
        factor = np.median(np.sqrt(scores[known]) / np.maximum(guess[known], least))
        return np.asarray(np.where(known, scores, (factor * guess) ** 2), dtype=float)
