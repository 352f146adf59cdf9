"""Arrival processes: when the queries of one client and task come, given their mean rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from pyomo_j3o.core.checks import is_number


class ArrivalProcess(Protocol):
    """Draws the arrival times of one stream of queries; any function of this signature will do.

    A stream is one client's queries for one task. Each is drawn with a random generator of its own.
    """

    def __call__(self, rate: float, horizon: float, rng: np.random.Generator) -> np.ndarray:
        """Return the arrival times in [0, `horizon`), shape (Q,), s, in ascending order.

        Parameters
        ----------
        rate
            Mean rate λ of the stream, queries/s.
        horizon
            End of the simulated time, s.
        rng
            The only source of randomness to use.
        """
        ...


@dataclass(frozen=True)
class Poisson:
    """Queries that come independently of each other, at a constant rate."""

    def __call__(self, rate: float, horizon: float, rng: np.random.Generator) -> np.ndarray:
        """Return the arrival times, s; see `ArrivalProcess`."""
        return _thrown(rate, np.array([0.0, horizon]), np.ones(1), rng)


@dataclass(frozen=True)
class MMPP:
    """Bursts: a Poisson process whose rate switches between two values (Markov-modulated).

    Bursts and calm spells last exponentially distributed times. In a burst the rate is `peak` times the mean;
    in a calm spell it is as much lower as keeps the mean. The state at time 0 is drawn from the chain's
    stationary distribution, so the mean rate is the stream's λ at any time. Streams switch independently:
    bursts of different clients and tasks do not coincide, except by chance.

    Parameters
    ----------
    peak
        Rate in a burst over the mean rate, at least 1 and at most ``1 + calm/burst`` (no query in between).
    burst, calm
        Mean duration of a burst and of a calm spell, s.

    Raises
    ------
    ValueError
        If a duration is not positive and finite, or `peak` is out of its range.

    References
    ----------
    W. Fischer and K. Meier-Hellstern, "The Markov-modulated Poisson process (MMPP) cookbook", Performance
    Evaluation 18 (1993), https://doi.org/10.1016/0166-5316(93)90035-S.
    """

    peak: float = 3.0
    burst: float = 5.0
    calm: float = 15.0

    def __post_init__(self) -> None:
        for name in ("burst", "calm"):
            if not (is_number(getattr(self, name)) and 0 < getattr(self, name) < math.inf):
                raise ValueError(f"{name}={getattr(self, name)!r}: give a mean duration in seconds, above 0")
        highest = 1 + self.calm / self.burst
        if not (is_number(self.peak) and 1 <= self.peak <= highest):
            raise ValueError(
                f"peak={self.peak!r}: with bursts of {self.burst:g} s and calm spells of {self.calm:g} s "
                f"give a factor from 1 to {highest:g}; above that the mean rate cannot be kept"
            )

    def __call__(self, rate: float, horizon: float, rng: np.random.Generator) -> np.ndarray:
        """Return the arrival times, s; see `ArrivalProcess`."""
        share = self.burst / (self.burst + self.calm)
        low = (1 - share * self.peak) / (1 - share)
        in_burst = bool(rng.random() < share)
        # Exponential times have no memory, so the spell that time 0 falls into is no special one.
        spells: list[np.ndarray] = []
        covered = 0.0
        while covered < horizon:
            pairs = 1 + math.ceil((horizon - covered) / (self.burst + self.calm))
            means = (self.burst, self.calm) if in_burst else (self.calm, self.burst)
            spells.append(rng.exponential(np.tile(means, pairs)))
            covered += spells[-1].sum()
        lengths = np.concatenate(spells)
        factors = np.where(np.arange(len(lengths)) % 2 == (not in_burst), self.peak, max(low, 0.0))
        ends = np.minimum(np.cumsum(lengths), horizon)
        return _thrown(rate, np.concatenate([[0.0], ends]), factors, rng)


@dataclass(frozen=True)
class Recorded:
    """A recorded load: counts per interval, scaled to each stream's mean rate and repeated as needed.

    The queries of an interval are a Poisson process at the interval's rate: their number is random with the
    scaled count as its mean, and their times are uniform in it. All streams follow the same recording, so
    they rise and fall together. The mean over the whole recording is the stream's λ; a horizon that is no
    multiple of `duration` sees the mean of the part that it covers.

    Parameters
    ----------
    counts
        Queries counted in each interval, at least 0, any unit of scale.
    interval
        Length of an interval, s.

    Raises
    ------
    ValueError
        If `counts` is empty, holds a negative or non-finite number or only zeros, or `interval` is not
        positive.
    """

    counts: Sequence[float] = field(repr=False)
    interval: float = 60.0

    def __post_init__(self) -> None:
        try:
            counts = np.asarray(self.counts, dtype=float)
        except (TypeError, ValueError) as err:
            raise ValueError(f"counts: no numbers ({err}); give one number of queries per interval") from None
        if counts.ndim != 1 or not len(counts):
            raise ValueError("counts: give one number of queries per interval, as a flat sequence")
        if not (np.isfinite(counts).all() and (counts >= 0).all() and counts.sum() > 0):
            raise ValueError(
                "counts: a negative or non-finite number, or nothing but zeros; give counts of at least 0, "
                "one of them positive"
            )
        if not (is_number(self.interval) and 0 < self.interval < math.inf):
            raise ValueError(f"interval={self.interval!r}: give a length in seconds, above 0")
        object.__setattr__(self, "counts", tuple(counts.tolist()))

    @property
    def duration(self) -> float:
        """Length of the whole recording, s."""
        return len(self.counts) * self.interval

    def __call__(self, rate: float, horizon: float, rng: np.random.Generator) -> np.ndarray:
        """Return the arrival times, s; see `ArrivalProcess`."""
        n_intervals = math.ceil(horizon / self.interval)
        factors = np.resize(np.array(self.counts) / np.mean(self.counts), n_intervals)
        ends = np.minimum(np.arange(1, n_intervals + 1) * self.interval, horizon)
        return _thrown(rate, np.concatenate([[0.0], ends]), factors, rng)


def _thrown(rate: float, times: np.ndarray, factors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a Poisson process of rate ``rate·factors[k]`` between ``times[k]`` and ``times[k + 1]``.

    Its number of points is Poisson with the integrated rate as mean; given their number, the points are
    uniform in integrated rate.
    """
    mass = np.concatenate([[0.0], np.cumsum(np.diff(times) * factors)])
    points = np.sort(rng.uniform(0.0, mass[-1], rng.poisson(rate * mass[-1])))
    points = np.minimum(points, np.nextafter(mass[-1], 0.0))
    # The last piece that begins at or before a point has positive rate, as it reaches beyond the point.
    piece = np.searchsorted(mass, points, side="right") - 1
    return times[piece] + (points - mass[piece]) / factors[piece]
