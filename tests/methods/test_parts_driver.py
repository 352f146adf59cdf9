"""The driver of the search after the loop: it keeps, counts, proves, and stops once the gap is closed."""

import numpy as np
import pytest
from one_part import OnePart

from pyomo_j3o.alternate.offloading import Routing
from pyomo_j3o.core.deadline import NEVER
from pyomo_j3o.core.log import Log
from pyomo_j3o.core.results import Timings
from pyomo_j3o.improve.task import Found
from pyomo_j3o.lp import HighsBackend, LPStatus
from pyomo_j3o.methods.parts_driver import PartsDriver
from pyomo_j3o.methods.progress import Progress
from pyomo_j3o.methods.settings import Context, Settings


def routing(objective, x=(False, False)):
    """Return a feasible routing of two variables with this objective."""
    nothing = np.zeros(0)
    return Routing(np.array(x), LPStatus.OPTIMAL, objective, nothing, nothing, nothing, objective)


def driver_of(start, bounds_count=True):
    """Return the driver of one part over two variables, its bound still open, and the solve's progress."""
    parts = OnePart(2)
    parts.bound = lambda: float(parts.bounds.sum())
    context = Context(HighsBackend(), NEVER, Timings(), Log([]))
    progress = Progress(1.0, Settings(lambda trace: None, 0.01, 0.0, 1), context)
    return PartsDriver(parts, start, start.objective, progress, bounds_count), progress


@pytest.mark.parametrize("bounds_count", [True, False])
def test_nothing_more_is_asked_for_once_the_gap_is_closed(bounds_count):
    """100 of 100.5 is within 1 %; what is proven of a restriction closes nothing."""
    best = routing(100.0, (True, False))
    asked = []

    def search():
        for found in (
            Found("", routing(90.0), np.inf),
            Found("swaps", routing(90.0), 100.5, begins=True),
            Found("swaps", best, 100.5),
            Found("kernel", best, 100.5, begins=True),
        ):
            asked.append(found.step)
            yield found

    driver, progress = driver_of(routing(90.0), bounds_count)
    assert driver.follow(0, search()) is bounds_count
    assert driver.closed is bounds_count
    assert asked == (["", "swaps", "swaps"] if bounds_count else ["", "swaps", "swaps", "kernel"])
    assert progress.bound == (100.5 if bounds_count else np.inf)
    assert driver.found[0] is best
    assert driver.x.tolist() == [True, False]


def test_what_a_step_gained_and_lowered_is_counted_even_if_it_fails():
    """The step that an error ends is in the table with its gain, and with its time."""

    def search():
        yield Found("", routing(10.0), np.inf)
        yield Found("kernel", routing(10.0), 40.0, begins=True)
        yield Found("kernel", routing(15.0), 40.0)
        yield Found("kernel", routing(15.0), 30.0)
        raise RuntimeError("a solver fails")

    driver, progress = driver_of(routing(10.0))
    with pytest.raises(RuntimeError, match="fails"):
        driver.follow(0, search())
    (step,) = progress.steps
    assert (step.name, step.gained, step.lowered) == ("kernel", 5.0, 10.0)
    assert step.seconds > 0.0
    assert not driver.closed
