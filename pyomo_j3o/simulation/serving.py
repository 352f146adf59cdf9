"""How nodes serve queries in simulated time: one by one, or in batches window by window."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyomo_j3o.core.checks import is_number
from pyomo_j3o.library.data import InferenceData
from pyomo_j3o.simulation.delivery import Windows

if TYPE_CHECKING:
    from simpy import Environment

#: Seconds that a batch of n queries takes: measured points (n, seconds), or a function of n.
BatchTime = Mapping[int, float] | Callable[[int], float]
#: By model, or one function of edge server, model and batch size.
Latency = Mapping[str, BatchTime] | Callable[[str, str, int], float]


class InTurn:
    """A node that runs its queries one by one, in order of arrival."""

    def __init__(self, arrival: np.ndarray, seconds: np.ndarray, compute: float) -> None:
        self._arrival, self._seconds, self._compute = arrival, seconds, compute
        self._done = len(arrival) if math.isinf(compute) else 0
        self.answered = arrival + seconds

    def serve(self, env: Environment) -> Generator[Any, Any, None]:
        """Serve all queries, as a SimPy process."""
        if math.isinf(self._compute):
            return  # Nobody waits for a processor.
        seconds = (self._seconds / self._compute).tolist()
        for k, arrival in enumerate(self._arrival.tolist()):
            if env.now < arrival:
                yield env.timeout(arrival - env.now)
            yield env.timeout(seconds[k])
            self.answered[k] = env.now
            self._done = k + 1

    @property
    def answered_until(self) -> float:
        """When the first query arrived that is not answered yet, s; inf if all are."""
        return float(self._arrival[self._done]) if self._done < len(self._arrival) else math.inf


class Batches(NamedTuple):
    """The batches that an edge server collects: one per window and model that is asked for.

    Attributes
    ----------
    length
        T_b, s.
    window, model, size
        Of each batch: the number of its window, position of its model, queries in it. In the order in which
        they run.
    batch
        For each query the position of its batch.
    n_windows
        How many windows begin before the horizon.
    """

    length: float
    window: np.ndarray
    model: np.ndarray
    size: np.ndarray
    batch: np.ndarray
    n_windows: int

    @classmethod
    def of(cls, arrival: np.ndarray, model: np.ndarray, length: float, horizon: float) -> Batches:
        """Collect the queries of one edge server, given arrival (s) and model of each, both shape (Q,)."""
        window = (arrival / length).astype(int)
        keys, batch, size = np.unique(
            np.column_stack([window, model]), axis=0, return_inverse=True, return_counts=True
        )
        return cls(length, keys[:, 0], keys[:, 1], size, batch.reshape(-1), 1 + int(horizon / length))


class InBatches:
    """An edge server that runs the batches of a window from its end on, behind those of earlier windows."""

    def __init__(self, batches: Batches, seconds: np.ndarray) -> None:
        self._batches, self._seconds = batches, seconds
        self._finish = np.zeros(len(seconds))
        self._backlog = np.zeros(batches.n_windows)
        self._done = 0

    def serve(self, env: Environment) -> Generator[Any, Any, None]:
        """Run all batches, as a SimPy process."""
        first = np.searchsorted(self._batches.window, np.arange(self._batches.n_windows + 1)).tolist()
        seconds = self._seconds.tolist()
        for j in range(self._batches.n_windows):
            end = (j + 1) * self._batches.length
            # This point is reached when the batches of all earlier windows are done.
            self._backlog[j] = max(0.0, env.now - end)
            if first[j] < first[j + 1] and env.now < end:
                yield env.timeout(end - env.now)
            for k in range(first[j], first[j + 1]):
                yield env.timeout(seconds[k])
                self._finish[k] = env.now
            self._done = j + 1

    @property
    def answered_until(self) -> float:
        """When the first window began whose queries are not all answered yet, s; inf if all are."""
        return self._done * self._batches.length if self._done < self._batches.n_windows else math.inf

    @property
    def answered(self) -> np.ndarray:
        """When each query was answered, shape (Q,), s."""
        return self._finish[self._batches.batch]

    def windows(self, planned: float, warm_up: float, horizon: float) -> Windows:
        """Return the record of the windows that lie in the counted time; `planned` is the plan's work, s."""
        length, n = self._batches.length, self._batches.n_windows
        end = (1 + np.arange(n)) * length
        # A multiple of the length that is rounded down still is a whole window.
        counted = (end - length >= warm_up - 1e-9 * length) & (end <= horizon + 1e-9 * length)
        seconds = np.bincount(self._batches.window, self._seconds, minlength=n)
        return Windows(length, planned, end[counted], seconds[counted], self._backlog[counted])


class BatchLatencies:
    """How long batches really take."""

    def __init__(
        self,
        data: InferenceData,
        latency: Latency | None,
        setup_error: float,
    ) -> None:
        self._data, self._setup_error = data, setup_error
        self._by_edge = latency if callable(latency) else None
        self._by_model: dict[str, Callable[[int], float]] = {}
        if latency is None:
            return
        if setup_error != 0:
            raise ValueError(
                f"setup_error={setup_error!r}: latency says already what batches take; give one of the two"
            )
        if not callable(latency):
            if not hasattr(latency, "items"):
                raise ValueError(
                    f"latency={latency!r}: give for some models, by name, measured points or a function, "
                    "such as {'resnet': {1: 0.006, 2: 0.014}}, or one function of edge server, model and size"
                )
            for model, table in latency.items():
                if model not in data.models:
                    raise ValueError(f"latency[{model!r}]: unknown model; known are {_listed(data.models)}")
                self._by_model[model] = table if callable(table) else _interpolated(model, table)

    def of(self, edge: str, batches: Batches) -> np.ndarray:
        """Return the latency of each batch on an edge server, s."""
        compute = float(self._data.compute_budget[self._data.nodes.index(edge)])
        setup, per_query = self._data.batch_times(edge)
        seconds = np.zeros(len(batches.size))
        for m in np.unique(batches.model).tolist():
            name = self._data.models[m]
            here = batches.model == m
            size = batches.size[here]
            if self._by_edge is None and name not in self._by_model:
                seconds[here] = setup[name] * (1 + self._setup_error) + per_query[name] * size
                continue
            sizes, which = np.unique(size, return_inverse=True)
            given = [
                self._by_model[name](b) if self._by_edge is None else self._by_edge(edge, name, b)
                for b in sizes.tolist()
            ]
            for b, s in zip(sizes.tolist(), given, strict=True):
                if not (is_number(s) and 0 <= s < math.inf):
                    raise ValueError(
                        f"latency of {name!r} on {edge!r}: {s!r} for a batch of {b}; give seconds, at least 0"
                    )
            seconds[here] = np.array(given)[which] / compute
        return seconds


def _interpolated(model: str, table: Mapping[int, float]) -> Callable[[int], float]:
    try:
        points = np.array(sorted(table.items()), dtype=float).reshape(-1, 2)
    except (AttributeError, TypeError, ValueError):
        points = np.zeros((0, 2))
    sizes, seconds = points.T
    good = np.isfinite(points).all() and (np.diff(sizes, prepend=0) > 0).all() and (seconds >= 0).all()
    if len(points) < 2 or not good:
        raise ValueError(
            f"latency[{model!r}]: give the seconds, at least 0, of two batch sizes or more, such as "
            "{1: 0.006, 2: 0.014}"
        )
    slope = (seconds[-1] - seconds[-2]) / (sizes[-1] - sizes[-2])

    def latency(size: int) -> float:
        return float(np.interp(size, sizes, seconds) + slope * max(0.0, size - sizes[-1]))

    return latency


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
