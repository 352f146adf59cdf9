"""What docs/make_yardsticks.py reads from curves, on curves that are worked out by hand."""

import math
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))

import make_yardsticks


def row(*curve, limit=10.0, sense=1, solver="j3o"):
    """Return a solve with this curve."""
    kept = [list(point) for point in curve]
    return {"curve": kept, "limit": limit, "sense": sense, "solver": solver, "seconds": 1.0, "wrong": []}


def test_the_primal_integral_is_that_of_berthold():
    """It counts 1 before the first plan, and then the distance to the best one, over the larger of both."""
    found = row((1.0, None, 200.0), (2.0, 50.0, 200.0), (4.0, 100.0, 200.0))
    assert make_yardsticks.primal_integral(found, 100.0) == pytest.approx(2.0 + 2.0 * 0.5)


def test_a_plan_of_the_other_sign_counts_as_none():
    """Berthold's gap of such a plan is 1."""
    assert make_yardsticks.primal_integral(row((0.0, -1.0, None)), 100.0) == pytest.approx(10.0)


def test_the_gap_integral_counts_decades_above_the_goal():
    """A gap of 100 % counts 1, of 1 % a third, of the goal and less nothing."""
    found = row((1.0, 100.0, None), (2.0, 100.0, 101.0), (5.0, 100.0, 100.05))
    assert make_yardsticks.gap_integral(found) == pytest.approx(2.0 + 3.0 / 3.0)


def test_a_wide_gap_counts_no_more_than_none():
    """A gap above 100 % is as good as no plan."""
    assert make_yardsticks.gap_integral(row((0.0, 1.0, 50.0))) == pytest.approx(10.0)


def test_what_comes_after_the_limit_does_not_count():
    """Neither a gap nor an integral knows of it."""
    late = row((1.0, 100.0, 110.0), (11.0, 100.0, 100.0))
    assert make_yardsticks.time_to(late, 1e-3) == math.inf
    assert make_yardsticks.final_gap(late) == pytest.approx(0.1)
    assert make_yardsticks.primal_integral(late, 100.0) == pytest.approx(1.0)


def test_the_time_to_a_gap_is_that_of_the_first_point_with_it():
    """Plan and bound both have to be there."""
    found = row((1.0, None, 100.0), (2.0, 50.0, 100.0), (3.0, 100.0, 100.1))
    assert make_yardsticks.time_to(found, 1.0) == 2.0
    assert make_yardsticks.time_to(found, 1e-3) == 3.0


@pytest.mark.parametrize("sense", [1, -1])
def test_a_bound_that_a_plan_beats_is_told(sense):
    """Whoever found the plan."""
    right = row((1.0, sense * 100.0, sense * 101.0), sense=sense)
    wrong = row((1.0, sense * 90.0, sense * 99.0), sense=sense, solver="SCIP")
    told = make_yardsticks.complaints("model", {"j3o": right, "SCIP": wrong})
    assert len(told) == 1
    assert "SCIP" in told[0]


def test_no_time_counts_as_more_than_the_limit():
    """The ratio at the foot takes the limit for a solver that did not get there."""
    lines = [("model", None, {"j3o": 5.0, "HiGHS": math.inf, "SCIP": 2.0})]
    text = "\n".join(make_yardsticks.table(lines, "", 10.0))
    assert "| model | 5.00 | \\>10 | – | **2.00** | – |" in text
    assert "| *j3o over it, geometric mean* |  | 0.50 | – | 2.50 | – |" in text
    assert "- j3o's figure is above that of SCIP on 1 of 1: model (2.50)." in text
