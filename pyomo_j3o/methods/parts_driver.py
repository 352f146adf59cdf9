"""One driver takes what the search after the loop finds in the independent parts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pyomo_j3o.alternate.offloading import Routing
from pyomo_j3o.core.results import Step
from pyomo_j3o.improve.task import Found
from pyomo_j3o.methods.parts import Parts
from pyomo_j3o.methods.progress import Progress


class PartsDriver:
    """Takes what the searches of the parts find: keeps it, proves, logs, counts, and stops.

    Parameters
    ----------
    parts
        The independent parts; their bounds are lowered in place.
    start
        The routing that all searches start from.
    incumbent
        Objective of the best plan known, which may be another.
    progress
        Of the solve.
    bounds_count
        Whether what is proven of the parts is proven of the whole: not where the problem is a restriction.

    Attributes
    ----------
    x : (N,) bool
        The placements found, of all parts.
    found : dict
        The last routing found, by part.
    """

    def __init__(
        self,
        parts: Parts,
        start: Routing,
        incumbent: float,
        progress: Progress,
        bounds_count: bool,
    ) -> None:
        self.x = start.x.copy()
        self.found: dict[int, Routing] = {}
        #: Whether the gap is closed.
        self.closed = False
        self._parts = parts
        self._start = start
        self._incumbent = incumbent
        self._progress = progress
        self._bounds_count = bounds_count
        self._first: dict[int, float] = {}
        self._gained: dict[int, float] = {}
        self._before: dict[int, tuple[Found, float]] = {}
        self._lock = threading.Lock()

    @property
    def changed(self) -> bool:
        """Whether another placement was found than that of the start."""
        return not np.array_equal(self.x, self._start.x)

    def follow(self, k: int, search: Iterator[Found]) -> bool:
        """Take all that the search of part `k` finds; return whether the gap is closed."""
        try:
            return any(self.take(k, found) for found in search)
        finally:
            self.leave(k)

    def take(self, k: int, found: Found) -> bool:
        """Take what the search of part `k` has found; return whether the search is over.

        Several parts may be searched at a time.
        """
        with self._lock:
            routing = found.routing
            self._count(k, found)
            self._parts.note(k, found)
            self.x[self._parts.parts[k].onloading] = routing.x
            self.found[k] = routing
            self._gained[k] = routing.merit - self._first.setdefault(k, routing.merit)
            if self._start.feasible and found.step and not found.begins and not self.closed:
                objective = max(self._start.objective + sum(self._gained.values()), self._incumbent)
                self.prove()
                self._progress.tell_improvement(found.step, objective)
                self.closed = self._progress.is_closed(objective)
            return self.closed

    def prove(self) -> None:
        """Lower the bound of the whole to what is proven of the parts, if that counts."""
        if self._bounds_count:
            self._progress.prove(self._parts.bound())

    def leave(self, k: int) -> None:
        """Count the time of the step that part `k` is in: whatever ended the search, it ends here."""
        with self._lock:
            if k in self._before:
                last, _ = self._before[k]
                self._count(k, replace(last, begins=False))

    def _count(self, k: int, found: Found) -> None:
        """Add what was found since the last call, and the time since, to the step."""
        now = time.perf_counter()
        before, since = self._before.get(k, (found, now))
        self._before[k] = found, now
        if not found.step or found.begins:
            return
        gained = 0.0
        if found.routing is not before.routing:
            same_kind = found.routing.feasible == before.routing.feasible
            gained = found.routing.merit - before.routing.merit if same_kind else np.inf
        lowered = before.bound - found.bound if np.isfinite(before.bound) else 0.0
        self._progress.add(Step(found.step, gained, lowered, now - since))
