"""Loads over time: every client follows a recorded series, shifted in time."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyomo_j3o.core.checks import check_positive, check_seed
from pyomo_j3o.core.matrices import FloatArray
from pyomo_j3o.library.data import InferenceData
from pyomo_j3o.library.request_traces import Trace


def require_loads(data: InferenceData, loads: Any) -> None:
    """Raise a `ValueError` unless these are loads of one minute, (I, tasks), with a query in it."""
    try:
        given = np.asarray(loads, dtype=float)
    except (TypeError, ValueError):
        given = np.zeros(0)
    if given.shape != data.load.shape or not isinstance(loads, np.ndarray):
        raise ValueError(
            f"loads: give an array of queries/s of the shape ({data.load.shape[0]} clients, "
            f"{data.load.shape[1]} tasks)"
        )
    for i, t in np.argwhere(~np.isfinite(given) | (given < 0))[:1]:
        raise ValueError(
            f"loads[{data.clients[i]!r}, {data.tasks[t]!r}]: {given[i, t]} is no load; give numbers of at "
            "least 0"
        )
    if not given[data.load > 0].any():
        raise ValueError(
            "loads: no query arrives, so no plan has a mean accuracy; keep planner.plan in such a minute"
        )


def client_loads(data: InferenceData, trace: Trace, seed: int = 0, floor: float = 0.05) -> FloatArray:
    """Return the loads of a system in every minute of a trace.

    Clients follow the series in turn: the first client the first series, the second the second, and so on,
    from the start again. Each begins at a minute of its own, drawn from the seed, and goes on from the first
    minute after the last. So clients are not in step. A client's loads of the data are multiplied by the
    count over its mean. A factor below `floor` is raised to it, so that every load stays positive; then the
    factors are divided by their mean, so that the mean over the trace is the load of the data.

    Parameters
    ----------
    data
        The system, with the mean loads.
    trace
        The counts.
    seed
        Of the first minutes.
    floor
        What a factor is at least, before it is divided by the mean.

    Returns
    -------
    numpy.ndarray
        Queries/s by minute, client and task, shape (T, I, tasks).
    """
    check_seed(seed)
    check_positive("floor", floor)
    factors = np.maximum(trace.factors, floor)
    factors = factors / factors.mean(axis=0)
    first = np.random.default_rng(seed).integers(len(trace), size=len(data.clients))
    followed = np.arange(len(data.clients)) % len(trace.series)
    minutes = (np.arange(len(trace))[:, None] + first) % len(trace)
    return np.asarray(factors[minutes, followed][:, :, None] * data.load)
