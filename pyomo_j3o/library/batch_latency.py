"""How long a batch takes: a set-up and a time per query, fitted to measurements and to published ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from pyomo_j3o.library.published_figures import published_rows

#: Up to this relative error at every measured batch size a line is called straight.
_STRAIGHT = 0.1


@dataclass(frozen=True)
class BatchLatency:
    """A line latency(b) = ν + τ·b through measured latencies of batches of b queries.

    Made by `fit_batch_latency`. ν goes into `pyomo_j3o.library.InferenceData` as a ``setup_time`` and τ as a
    ``service_time``.

    Attributes
    ----------
    setup
        ν, s: what a batch costs however small it is.
    per_query
        τ, s.
    r_squared
        Share of the variance of the measurements that the line explains, from 0 to 1.
    batch_sizes, seconds
        The measurements.
    """

    setup: float
    per_query: float
    r_squared: float
    batch_sizes: tuple[float, ...]
    seconds: tuple[float, ...]

    def latency(self, batch_size: float) -> float:
        """Return the latency in s that the line gives to a batch of `batch_size` queries."""
        return self.setup + self.per_query * batch_size

    @property
    def relative_errors(self) -> tuple[float, ...]:
        """For each measurement, how far the line lies above it, as a share of the measurement."""
        measured = zip(self.batch_sizes, self.seconds, strict=True)
        return tuple((self.latency(b) - s) / s for b, s in measured)

    @property
    def largest_relative_error(self) -> float:
        """The largest distance of the line from a measurement, as a share of the measurement."""
        return max(map(abs, self.relative_errors))

    @property
    def verdict(self) -> str:
        """The line, whether the measurements lie on it within 10 %, and where it is worst, in a sentence."""
        errors = self.relative_errors
        worst = max(range(len(errors)), key=lambda k: abs(errors[k]))
        size, measured = self.batch_sizes[worst], self.seconds[worst]
        straight = self.largest_relative_error <= _STRAIGHT
        return (
            f"The measurements {'lie' if straight else 'do not lie'} on a straight line: "
            f"{_ms(self.setup)} + {_ms(self.per_query)} per query (R² = {self.r_squared:.3f}) is farthest "
            f"off at batch size {size:g}, where it gives {_ms(self.latency(size))} for {_ms(measured)} "
            f"({100 * errors[worst]:+.0f} %)."
        )


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


def fit_batch_latency(batch_sizes: Sequence[float], seconds: Sequence[float]) -> BatchLatency:
    """Fit a set-up time ν and a time per query τ to the measured latencies of batches.

    The pair (ν, τ) ≥ 0 has the least sum of squares Σ (ν + τ·b − seconds)² over the measurements. Large
    batches take long and so weigh most; measure the sizes that a window will see. Read `BatchLatency.verdict`
    before the two numbers are used: a window is planned with the line, and where latency is no straight line
    the plan is off by as much.

    Parameters
    ----------
    batch_sizes
        Queries per batch, at least two different sizes; repeated sizes are repeated measurements.
    seconds
        Latency of each batch, s.

    Returns
    -------
    BatchLatency

    Raises
    ------
    ValueError
        If the two do not have the same length, a size or a latency is not a positive number, all sizes are
        the same, or numbers are so large or so far apart that the fit cannot be stated.
    """
    sizes, times = _measurements("batch_sizes", batch_sizes), _measurements("seconds", seconds)
    if len(sizes) != len(times):
        raise ValueError(
            f"seconds: {len(times)} latencies for {len(sizes)} batch sizes; give one latency per batch size"
        )
    if len(np.unique(sizes)) < 2:
        raise ValueError(
            "batch_sizes: a line needs two different batch sizes at least; measure one batch of a few more "
            "queries"
        )
    unit = times.max()
    (setup, per_query), residual = nnls(np.column_stack([np.ones_like(sizes), sizes]), times / unit)
    variation = np.sum((times / unit - np.mean(times / unit)) ** 2)
    fit = BatchLatency(
        setup=float(setup * unit),
        per_query=float(per_query * unit),
        # Equal latencies are a level line, which fits them exactly.
        r_squared=max(0.0, float(1 - residual**2 / variation)) if variation > 0 else 1.0,
        batch_sizes=tuple(sizes.tolist()),
        seconds=tuple(times.tolist()),
    )
    if not math.isfinite(1000 * float(unit)) or not all(map(math.isfinite, fit.relative_errors)):
        raise ValueError(
            f"seconds: from {times.min():g} to {times.max():g}, beyond what can be fitted; give latencies in "
            "seconds"
        )
    return fit


def _measurements(name: str, values: Sequence[float]) -> np.ndarray:
    try:
        array = np.array(values, dtype=float)
    except (TypeError, ValueError) as err:
        raise ValueError(f"{name}: not a sequence of numbers ({err}); write one like [1, 4, 8]") from None
    if array.ndim != 1:
        raise ValueError(f"{name}: shape {array.shape}; give a flat sequence, one number per measured batch")
    wrong = np.flatnonzero(~((array > 0) & np.isfinite(array)))
    if wrong.size:
        raise ValueError(
            f"{name}[{wrong[0]}]: {array[wrong[0]]:g} is not a positive, finite number; leave the "
            "measurement out, or measure it again"
        )
    return array


class PublishedLatencies(NamedTuple):
    """Batch latencies of published classifiers on one GPU, fitted.

    Attributes
    ----------
    names
        The K names.
    gmacs
        Shape (K,), billion multiply-adds per query.
    setup
        ν, shape (K,), s.
    per_query
        τ, shape (K,), s.
    """

    names: tuple[str, ...]
    gmacs: np.ndarray
    setup: np.ndarray
    per_query: np.ndarray


@cache
def v100_classifiers() -> PublishedLatencies:
    """Read the published latencies of 150 ImageNet classifiers on a V100, and fit each.

    Batch sizes are 1, 4 and 8, in single precision with TensorRT. No fit is off by more than 20 % at any of
    them, and half of the fits by less than 3 %.

    Returns
    -------
    PublishedLatencies
        The source's GFLOPs count one per multiply-add (ResNet50 has 4.11): they are multiply-adds.

    References
    ----------
    github.com/PaddlePaddle/PaddleClas, commit d178931fca432204e6b7422bac4f92e09ff22fa4,
    docs/en/algorithm_introduction/ImageNet_models_en.md (Apache-2.0).
    """
    rows = published_rows("batch_latency_v100.csv")
    sizes = (1, 4, 8)
    fits = [fit_batch_latency(sizes, [float(row[f"ms_b{b}"]) / 1000 for b in sizes]) for row in rows]
    gmacs = np.array([float(row["gflops"]) for row in rows])
    setup, per_query = np.array([f.setup for f in fits]), np.array([f.per_query for f in fits])
    for array in (gmacs, setup, per_query):
        array.setflags(write=False)
    return PublishedLatencies(tuple(row["model"] for row in rows), gmacs, setup, per_query)


# Least squares of log ν and log τ over log multiply-adds of the 150 classifiers, to four digits: seconds at
# one billion multiply-adds, and the exponent. Written out so that instances are the same on every machine.
_SETUP_LINE = (1.954e-3, 0.3936)
_PER_QUERY_LINE = (0.4561e-3, 0.6855)


def v100_batch_latency(gmacs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate set-up time and time per query on a V100 for networks of which only the size is known.

    ::

        ν(G) = 1.954 ms · G^0.3936        τ(G) = 0.4561 ms · G^0.6855        G in billion multiply-adds

    are the least-squares lines, in logarithms, through the 150 fits of `v100_classifiers`. Size says much
    about τ (R² = 0.72) and little about ν (0.31): one standard deviation of what is left is a factor of 1.75
    for τ and of 2.17 for ν. The classifiers have 0.25 to 313 billion multiply-adds; outside this range the
    lines are extrapolated.

    Parameters
    ----------
    gmacs
        Any shape, positive, billion multiply-adds per query.

    Returns
    -------
    tuple of numpy.ndarray
        ν and τ in s, of the same shape.

    Raises
    ------
    ValueError
        If a number is not positive and finite.
    """
    sizes = np.asarray(gmacs, dtype=float)
    if not np.all((sizes > 0) & np.isfinite(sizes)):
        raise ValueError("gmacs: not all positive and finite; give billion multiply-adds, such as 4.1")
    setup, per_query = (at_one * sizes**power for at_one, power in (_SETUP_LINE, _PER_QUERY_LINE))
    return setup, per_query
