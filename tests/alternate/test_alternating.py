"""The loop by itself, with steps written for the test."""

import numpy as np
import pytest

from pyomo_j3o.alternate.alternating import alternate
from pyomo_j3o.alternate.offloading import Routing
from pyomo_j3o.core.results import Ending
from pyomo_j3o.lp import LPStatus


class Script:
    """Onloads and offloads from a list of (placement, status, merit, duals)."""

    def __init__(self, *entries):
        self.entries = entries
        self.prices, self.at_least, self.seen = [], [], []

    def onload(self, prices):
        """Return the next placement."""
        self.prices.append(prices.copy())
        return np.array([c == "1" for c in self.entries[len(self.prices) - 1][0]])

    def offload(self, x, at_least):
        """Return the next routing."""
        self.at_least.append(at_least)
        _, status, merit, duals = self.entries[len(self.at_least) - 1]
        objective = merit if status is LPStatus.OPTIMAL else -np.inf
        return Routing(x, status, objective, np.zeros(0), np.array(duals, dtype=float), np.zeros(0), merit)

    def observe(self, routing, best, repeated):
        """Note what is seen; stop at the end of the script."""
        self.seen.append((routing.merit, best.merit, repeated))
        return Ending.ITERATIONS if len(self.seen) == len(self.entries) else None

    def run(self, prices=(0.0,)):
        """Alternate from these prices."""
        return alternate(self.onload, self.offload, np.array(prices), self.observe)


GOOD, BAD = LPStatus.OPTIMAL, LPStatus.INFEASIBLE


def test_the_incumbent_never_falls():
    """The best of 3, 5, 4 is 5, and the observer sees 3, 5, 5."""
    script = Script(("100", GOOD, 3, [0]), ("010", GOOD, 5, [0]), ("001", GOOD, 4, [0]))
    best, ending = script.run()
    assert best.objective == 5
    assert [incumbent for _, incumbent, _ in script.seen] == [3, 5, 5]
    assert ending is Ending.ITERATIONS


def test_a_feasible_routing_beats_any_elastic_one():
    """An elastic merit of 9 is no plan: the routing of 1 is the incumbent, and stays it."""
    script = Script(("10", BAD, 9, [0]), ("01", GOOD, 1, [0]), ("11", BAD, 99, [0]))
    best, _ = script.run()
    assert best.objective == 1
    assert [incumbent for _, incumbent, _ in script.seen] == [9, 1, 1]


def test_without_a_plan_the_best_elastic_routing_is_returned():
    """If nothing can be routed, what the elastic LP likes best is the place to go on from."""
    best, _ = Script(("10", BAD, 1, [0]), ("01", BAD, 3, [0]), ("11", BAD, 2, [0])).run()
    assert best.merit == 3
    assert not best.feasible


def test_prices_move_towards_the_duals():
    """θ_k = 1/(k + 1): α is the mean of the first prices and all duals so far."""
    script = Script(("10", GOOD, 1, [4]), ("01", GOOD, 2, [1]), ("11", GOOD, 3, [7]), ("00", GOOD, 0, [0]))
    script.run(prices=[1.0])
    assert [float(p[0]) for p in script.prices] == pytest.approx([1, 5 / 2, 6 / 3, 13 / 4])


def test_the_first_prices_are_not_changed_in_place():
    """The caller's array is left alone."""
    prices = np.array([1.0])
    script = Script(("10", GOOD, 1, [4]), ("01", GOOD, 2, [1]))
    alternate(script.onload, script.offload, prices, script.observe)
    assert prices.tolist() == [1.0]


def test_a_placement_that_comes_again_is_said_to():
    """Repetition is about any earlier placement, not only the last; how long ago the latest was counts."""
    script = Script(*((x, GOOD, 1, [0]) for x in ("10", "01", "10", "11", "01", "01")))
    script.run()
    assert [cycle for _, _, cycle in script.seen] == [0, 0, 2, 0, 3, 1]


def test_thrashing_is_damped():
    """After 10, 01, 10 the prices move to the mean of those duals, by half of θ_3, then by half of θ_4."""
    script = Script(
        ("10", GOOD, 1, [4]),
        ("01", GOOD, 2, [0]),
        ("10", GOOD, 1, [4]),
        ("11", GOOD, 3, [8]),
        ("00", GOOD, 0, [0]),
    )
    best, _ = script.run(prices=[0.0])
    third = 2 / 3 * 2.0
    fourth = 7 / 8 * third + 1 / 8 * (0 + 4) / 2
    fifth = 9 / 10 * fourth + 1 / 10 * 8
    assert [float(p[0]) for p in script.prices] == pytest.approx([0, 2, third, fourth, fifth])
    assert best.objective == 3


def test_a_loop_that_swings_calms_down():
    """Two sites, each of which looks better while the other one is open: damping makes that rare.

    The site with the higher price is chosen; the duals say the opposite of what was chosen last.
    """
    seen = []

    def onload(prices):
        return np.array([prices[0] >= prices[1], prices[0] < prices[1]])

    def offload(x, at_least):
        return Routing(x, GOOD, 1.0, np.zeros(0), np.where(x, -100.0, 100.0), np.zeros(0), 1.0)

    def observe(routing, best, cycle):
        seen.append(cycle)
        return Ending.ITERATIONS if len(seen) == 40 else None

    best, _ = alternate(onload, offload, np.array([1.0, 0.0]), observe)
    assert max(seen) >= 2
    assert best.objective == 1.0
    swings = [cycle > 1 for cycle in seen]
    assert sum(swings[20:]) < sum(swings[:20])


def test_the_offloading_step_is_told_what_it_has_to_exceed():
    """Only a feasible incumbent sets a mark; before there is one, anything is of use."""
    script = Script(("10", BAD, 9, [0]), ("01", GOOD, 2, [0]), ("11", GOOD, 3, [0]), ("00", GOOD, 1, [0]))
    script.run()
    assert script.at_least == [-np.inf, -np.inf, 2, 3]


@pytest.mark.parametrize(
    ("status", "ending"),
    [
        (LPStatus.TIME_LIMIT, Ending.TIME),
        (LPStatus.UNBOUNDED, Ending.UNBOUNDED),
    ],
)
def test_a_step_that_breaks_off_ends_the_loop(status, ending):
    """An LP out of time or unbounded ends the loop at once; the incumbent is kept."""
    script = Script(("10", GOOD, 4, [0]), ("01", status, -np.inf, [0]), ("11", GOOD, 9, [0]))
    best, found = script.run()
    assert found is ending
    assert best.objective == 4
    assert len(script.seen) == 2
