"""What the model builders share: rows that Pyomo takes fast, and distances."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from pyomo.core.expr.numeric_expr import LinearExpression


def weighted(terms: Iterable[tuple[float, Any]], constant: float = 0.0) -> LinearExpression:
    """Return constant + Σ coefficient · variable, several times faster than the sum written with +.

    Parameters
    ----------
    terms
        Pairs of a coefficient, a Python float, and a variable. A numpy scalar would survive into the
        expression and slow down every walk over it.
    constant
        What is added.

    Returns
    -------
    pyomo.core.expr.numeric_expr.LinearExpression
        The sum.
    """
    pairs = list(terms)
    return LinearExpression(
        constant=constant, linear_coefs=[c for c, _ in pairs], linear_vars=[v for _, v in pairs]
    )


def times(coefficient: float, variables: Iterable[Any]) -> list[tuple[float, Any]]:
    """Return the terms of a sum in which every variable has the same coefficient."""
    return [(coefficient, variable) for variable in variables]


def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the Euclidean distances between two sets of points, (A, 2) and (B, 2), as an array (A, B)."""
    return np.sqrt(((one[:, None, :] - other[None, :, :]) ** 2).sum(axis=2))
