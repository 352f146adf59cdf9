"""What is logged of the steps after the loop: news, and now and then that there is none."""

import io

from pyomo_j3o.core.deadline import NEVER
from pyomo_j3o.core.log import Log
from pyomo_j3o.core.results import Timings
from pyomo_j3o.lp import HighsBackend
from pyomo_j3o.methods.progress import Progress
from pyomo_j3o.methods.settings import Context, Settings


class Clock(Timings):
    """Timings of which the test says how late it is."""

    now = 1.0

    def elapsed(self):
        """Return the seconds since the start."""
        return self.now


def test_a_line_without_news_waits_some_seconds():
    """The same incumbent and bound are logged once, and again when the last line is some seconds old."""
    text, clock = io.StringIO(), Clock()
    context = Context(HighsBackend(), NEVER, clock, Log([text]))
    progress = Progress(1.0, Settings(lambda trace: None, 0.01, 0.0, 1), context)
    progress.prove(12.0)

    def lines():
        context.log.flush()
        return len(text.getvalue().splitlines())

    progress.tell_improvement("swaps", 10.0)
    first = lines()
    progress.tell_improvement("kernel", 10.0)
    assert lines() == first
    progress.tell_improvement("kernel", 11.0)
    assert lines() == first + 1
    progress.prove(11.5)
    progress.tell_improvement("kernel", 11.0)
    assert lines() == first + 2
    clock.now = 100.0
    progress.tell_improvement("milp", 11.0)
    assert lines() == first + 3
