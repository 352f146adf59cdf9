"""Checks of arguments: one sentence that names the argument and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import TypeGuard

import numpy as np


def check_counts(**counts: int) -> None:
    """Raise a ValueError for the first of the named numbers that is no whole number of at least 1."""
    for name, number in counts.items():
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 1:
            raise ValueError(f"{name}={number!r}: give a whole number of at least 1")


def check_seed(seed: int) -> None:
    """Raise a ValueError if the seed is no whole number of at least 0, such as None, which draws anew."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed={seed!r}: give a whole number of at least 0")


def check_share(name: str, share: float) -> None:
    """Raise a ValueError if the named argument is no number above 0 and below 1."""
    if not (is_number(share) and 0 < share < 1):
        raise ValueError(f"{name}={share!r}: give a number above 0 and below 1")


def check_positive(name: str, number: float) -> None:
    """Raise a ValueError if the named argument is no positive and finite number."""
    if not (is_number(number) and 0 < number < np.inf):
        raise ValueError(f"{name}={number!r}: give a positive number")


def check_multipliers(**factors: float) -> None:
    """Raise a ValueError for the first of the named multipliers that is no finite number of at least 0."""
    for name, factor in factors.items():
        if not (is_number(factor) and 0 <= factor < np.inf):
            raise ValueError(f"{name}={factor!r}: give a multiplier of at least 0 (1: the default budgets)")


def check_names(name: str, names: Sequence[str]) -> None:
    """Raise a ValueError if the named argument is no sequence of one or more strings, all different."""
    given = (
        isinstance(names, Sequence) and not isinstance(names, str) and all(isinstance(n, str) for n in names)
    )
    if not given or not names or len(set(names)) < len(names):
        raise ValueError(f"{name}={names!r}: give one or more names, all different")


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether a value is one real number, of Python or numpy; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)
