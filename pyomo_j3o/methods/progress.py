"""What a solve has proven so far, and what it tells of that: trace, log, steps after the loop."""

from __future__ import annotations

import numpy as np

from pyomo_j3o.core.results import Record, Step, relative_gap
from pyomo_j3o.methods.settings import Context, Settings

#: Seconds after which a line is logged without news.
_SILENCE = 5.0


class Progress:
    """The bound, the trace, and the steps after the loop.

    Parameters
    ----------
    sense
        What turns the maximised objective into the user's.
    settings, context
        Of the solve.

    Attributes
    ----------
    bound : float
        Proven: no plan is better.
    trace : list of Record
        One per iteration; the last also tells what came after it.
    steps : list of Step
        What the steps after the loop brought.
    """

    def __init__(self, sense: float, settings: Settings, context: Context) -> None:
        self.bound = np.inf
        self.trace: list[Record] = []
        self.steps: list[Step] = []
        #: Incumbent and bound of the last line of the log, and its time.
        self._told: tuple[tuple[float, float], float] = ((np.nan, np.nan), 0.0)
        self._sense = sense
        self._settings = settings
        self._context = context

    def prove(self, bound: float) -> None:
        """Lower the bound."""
        self.bound = min(self.bound, bound)

    def is_closed(self, objective: float) -> bool:
        """Return whether a plan of this objective is within the gap asked for."""
        return self._settings.closed(objective, max(self.bound, objective))

    def gap(self, objective: float) -> float:
        """Return the relative gap of a plan of this objective; one that beats the bound has none."""
        return relative_gap(objective, max(self.bound, objective))

    def tell_bound(self) -> None:
        """Log the bound that is known before the first iteration."""
        self._context.log.bound(self._sense * self.bound, self._context.timings.elapsed())

    def note(self, objective: float, incumbent: float, onloaded: int, cycle: int = 0) -> Record:
        """Append a record to the trace, and return it."""
        record = Record(
            iteration=self._settings.iterations_before + len(self.trace) + 1,
            objective=self._sense * objective,
            incumbent=self._sense * incumbent,
            bound=self._sense * self.bound,
            relative_gap=relative_gap(incumbent, self.bound),
            onloaded=onloaded,
            repeated=cycle > 0,
            time=self._context.timings.elapsed(),
            cycle=cycle,
        )
        self.trace.append(record)
        return record

    def show(self, record: Record) -> None:
        """Call the user's callback."""
        if self._settings.callback is not None:
            self._settings.callback(record)

    def tell_improvement(self, step: str, incumbent: float) -> None:
        """Log where a step after the loop stands, if that is news, or the last line is some seconds old."""
        elapsed = self._context.timings.elapsed()
        known, since = self._told
        if known == (incumbent, self.bound) and elapsed - since < _SILENCE:
            return
        self._told = (incumbent, self.bound), elapsed
        self._context.log.improvement(step, self._sense * incumbent, self._sense * self.bound, elapsed)

    def amend(self, incumbent: float) -> None:
        """Let the last record tell the incumbent that the steps after the loop reached."""
        if not self.trace:
            return
        if not np.isfinite(self.trace[-1].incumbent):
            # No iteration had a plan, so none stands in the log.
            self.tell_improvement("first", incumbent)
            self._context.log.flush()
        elapsed = self._context.timings.elapsed()
        self.trace[-1] = self.trace[-1].with_plan(incumbent, self.bound, self._sense, elapsed)

    def add(self, step: Step) -> None:
        """Add a step to what those of the same name have brought."""
        for place, known in enumerate(self.steps):
            if known.name == step.name:
                self.steps[place] = Step(
                    step.name,
                    known.gained + step.gained,
                    known.lowered + step.lowered,
                    known.seconds + step.seconds,
                )
                return
        self.steps.append(step)
