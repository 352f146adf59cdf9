"""When a search for a smaller move does not pay any more."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from pyomo_j3o.core.problem import FloatArray
from pyomo_j3o.diagnosis.params import RelaxingParams


class Patience:
    """Watches a search: it does not pay any more if it has gained next to nothing for as long as it took.

    Parameters
    ----------
    params
        What counts as a gain, and for how long to wait for one.
    least_wait
        Seconds of process time to wait for a gain at least.
    objective
        (n,), of the maximised model.
    bound
        Of the maximised model, known before the search.
    start
        (n,), a point that is known before the search, or None.
    tell
        Takes the share of the best point, when there is a better one.
    """

    def __init__(
        self,
        params: RelaxingParams,
        least_wait: float,
        objective: FloatArray,
        bound: float,
        start: FloatArray | None,
        tell: Callable[[float], None],
    ) -> None:
        self._params, self._least_wait = params, least_wait
        self._objective, self._bound, self._tell = objective, bound, tell
        self._best = self._told = -np.inf if start is None else float(objective @ start)
        self._gap = self._bound - self._best
        #: The best point that the solver has told of, (n,); None if that is none.
        self.point: FloatArray | None = None
        self._begin = self._gained = time.process_time()

    @property
    def has_point(self) -> bool:
        """Whether a point is known."""
        return bool(np.isfinite(self._best))

    def look(self, bound: float) -> None:
        """Take the bound that the solver has by now."""
        self._bound = min(self._bound, bound)
        self._note()

    def take(self, values: FloatArray) -> None:
        """Take a better point, (n,)."""
        objective = float(self._objective @ values)
        if objective > self._best:
            self._best, self.point = objective, values
        self._note()

    def _note(self) -> None:
        gap = self._bound - self._best
        if gap <= (1 - self._params.gain) * self._gap:
            self._gap, self._gained = gap, time.process_time()

    def over(self) -> bool:
        """Return whether the search does not pay any more."""
        if self._best > self._told:
            self._told = self._best
            self._tell(-self._best)
        if not self.has_point:
            return False
        waited = time.process_time() - self._gained
        wait = max(self._least_wait, self._params.patience * (self._gained - self._begin))
        # The share at hand is -best, the factor one more.
        left = (self._bound - self._best) / (self._params.wide * (1.0 - self._best))
        least, most = self._params.proportion
        return waited > min(max(left, least), most) * wait
