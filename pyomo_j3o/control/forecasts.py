"""What a controller expects of the next minute, and how wrong that is made on purpose."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pyomo_j3o.core.checks import check_counts, check_seed, is_number
from pyomo_j3o.core.matrices import FloatArray, read_only

#: Takes the loads of all minutes so far, (t, I, tasks), t >= 1, which are read-only; returns those expected
#: next, (I, tasks).
Forecast = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class LastValue:
    """The next minute is like the last."""

    def __call__(self, history: FloatArray) -> FloatArray:
        """Return the loads of the last minute."""
        return history[-1]


@dataclass(frozen=True)
class MovingAverage:
    """The next minute is like the mean of the last ones.

    Parameters
    ----------
    minutes
        How many; fewer at the start.
    """

    minutes: int = 5

    def __post_init__(self) -> None:
        check_counts(minutes=self.minutes)

    def __call__(self, history: FloatArray) -> FloatArray:
        """Return the mean loads of the last minutes."""
        return np.asarray(history[-self.minutes :].mean(axis=0))


@dataclass(frozen=True)
class TrueLoads:
    """The next minute is known: with noise, a forecast whose error is exactly that noise.

    It is handed the coming minute as the last of the history.
    """

    def __call__(self, history: FloatArray) -> FloatArray:
        """Return the loads of the last minute that it sees."""
        return history[-1]


@dataclass(frozen=True)
class Noise:
    """Errors of a forecast: every load is multiplied by a lognormal factor, so that it stays positive.

    Parameters
    ----------
    bias
        Mean of the factor, less 1; above -1. 0.1 expects a tenth too much.
    variance
        Variance of the factor over its squared mean: 0.25 is a relative error of 50 %.
    seed
        Of the draws.
    """

    bias: float = 0.0
    variance: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (is_number(self.bias) and -1 < self.bias < math.inf):
            raise ValueError(f"bias={self.bias!r}: give a number above -1, such as 0.1 for a tenth too much")
        if not (is_number(self.variance) and 0 <= self.variance < math.inf):
            raise ValueError(f"variance={self.variance!r}: give a number of at least 0, such as 0.25")
        check_seed(self.seed)

    def factors(self, shape: tuple[int, ...]) -> FloatArray:
        """Return factors of this shape."""
        spread = math.sqrt(math.log1p(self.variance))
        normal = np.random.default_rng(self.seed).standard_normal(shape)
        return np.asarray((1 + self.bias) * np.exp(spread * normal - spread**2 / 2))


def expected_loads(
    loads: FloatArray, usual: FloatArray, forecast: Forecast, noise: Noise, least: float
) -> FloatArray:
    """Return what is expected of every minute, (T, I, tasks).

    Parameters
    ----------
    loads
        The true loads, (T, I, tasks).
    usual
        (I, tasks) what is expected of the first minute, which has no history.
    forecast
        What is expected of the others.
    noise
        What all are multiplied by.
    least
        What an expected load is at least, as a share of the usual one.

    Raises
    ------
    ValueError
        If a forecast is no array of numbers of at least 0, one per client and task.
    """
    sees = isinstance(forecast, TrueLoads)
    expected = np.empty_like(loads)
    for minute in range(len(loads)):
        history = read_only(loads[: minute + sees])
        expected[minute] = _checked(forecast(history), usual, minute) if len(history) else usual
    return np.maximum(expected * noise.factors(loads.shape), least * usual)


def _checked(given: FloatArray, usual: FloatArray, minute: int) -> FloatArray:
    """Return a forecast; raise if it is none."""
    try:
        array = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.shape != usual.shape or not (np.isfinite(array).all() and (array >= 0).all()):
        raise ValueError(
            f"forecast: what it returns for minute {minute} is no array of {usual.shape[0]} clients by "
            f"{usual.shape[1]} tasks of numbers of at least 0; return queries/s"
        )
    return array
