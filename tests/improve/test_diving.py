"""Dives: down to a placement inside the box, never past the cutoff, and ended by time."""

import numpy as np
import pytest
from random_problems import SHAPES, boxes, by_placement, random_problem, tighten
from small_problems import INF, tight_knapsacks

from pyomo_j3o.certify.kernel import Kernel
from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.core.tolerances import INTEGRAL
from pyomo_j3o.improve.diving import dive
from pyomo_j3o.improve.params import DiveParams
from pyomo_j3o.lp import HighsBackend

LINEAR = [shape for shape in SHAPES if shape not in ("products", "y only")]
TOLERANCE = 1e-6


class Box:
    """A box of x with its relaxation, and the best plan in it by enumeration."""

    def __init__(self, problem, lower, upper):
        self.structure, tightened = tighten(problem)
        self.lower, self.upper = lower, upper
        self.kernel = None
        if tightened is None:
            return
        every = np.ones(tightened.model.n_columns, dtype=bool)
        self.kernel = Kernel(tightened.model, HighsBackend(), problem.n_onloading, every)
        self.start = self.kernel.solve(lower, upper, None, 0.0, -INF, NEVER)
        self.every, values = by_placement(problem)
        self.values = values - problem.objective_constant

    def best(self, lower, upper):
        """Return the best objective among the placements within bounds."""
        inside = np.all((self.every >= lower) & (self.every <= upper), axis=1)
        return self.values[inside].max(initial=-INF)

    def dive(self, cutoff=-INF, deadline=NEVER):
        """Dive from the optimum of the box."""
        lower, upper = self.lower.copy(), self.upper.copy()
        found = dive(self.structure, self.kernel, self.start, (lower, upper), cutoff, deadline, DiveParams())
        assert np.array_equal(lower, self.lower)
        assert np.array_equal(upper, self.upper)
        return found


def relaxed_boxes(problem, rng, count=4):
    """Return random boxes whose relaxation has an optimum."""
    made = [Box(problem, lower, upper) for lower, upper in boxes(rng, problem.n_onloading, count)]
    return [box for box in made if box.kernel is not None and box.start.solved]


def integral(x):
    """Whether all are 0 or 1."""
    return bool(np.all(np.abs(x - np.round(x)) <= INTEGRAL))


def test_a_dive_ends_inside_its_box_at_a_bound_that_holds():
    """Its bounds of x lie within the given ones, its point within them, and no plan in them is better."""
    ended_integral = with_plan = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        problems = [random_problem(rng, shape, n_x=6, n_y=8) for shape in LINEAR]
        problems += [tight_knapsacks(seed), tight_knapsacks(seed + 100)]
        for problem in problems:
            for box in relaxed_boxes(problem, rng):
                found = box.dive()
                if found is None:
                    continue
                point, lower, upper = found
                x = point.values[: problem.n_onloading]
                assert np.all(lower >= box.lower)
                assert np.all(upper <= box.upper)
                assert np.all((x >= lower - TOLERANCE) & (x <= upper + TOLERANCE))
                best = box.best(lower, upper)
                assert point.bound >= best - TOLERANCE * max(1.0, abs(best)) or best == -INF
                assert point.bound <= box.start.bound + TOLERANCE * max(1.0, abs(box.start.bound))
                if integral(x):
                    ended_integral += 1
                    placed = np.round(x)
                    # The relaxation holds all rows: rounded, its x has a plan worth the point's bound.
                    value = box.best(placed, placed)
                    assert value == pytest.approx(point.bound, abs=1e-5, rel=1e-6)
                    with_plan += np.isfinite(value)
    assert ended_integral >= 100
    assert with_plan >= 100


def test_a_dive_from_a_fractional_optimum_reaches_a_placement():
    """Of tight knapsacks, whose optima are fractional, most dives end at a placement; some die."""
    reached = started = 0
    for seed in range(30):
        problem = tight_knapsacks(seed)
        size = problem.n_onloading
        box = Box(problem, np.zeros(size), np.ones(size))
        if integral(box.start.values[:size]):
            continue
        started += 1
        found = box.dive()
        reached += found is not None and integral(found[0].values[:size])
    assert started >= 15
    assert reached >= 0.8 * started


def test_a_dive_does_not_end_below_the_cutoff():
    """What a dive returns is better than the cutoff; at the optimum of a fractional box, it dies."""
    returned = died = 0
    for seed in range(20):
        problem = tight_knapsacks(seed)
        size = problem.n_onloading
        box = Box(problem, np.zeros(size), np.ones(size))
        if integral(box.start.values[:size]):
            continue
        for cutoff in (box.best(box.lower, box.upper) - 20.0, box.start.bound):
            found = box.dive(cutoff)
            assert found is None or found[0].bound > cutoff
            returned += found is not None
            died += found is None
            assert found is None or cutoff < box.start.bound
    assert returned > 5
    assert died > 5


def test_without_time_a_dive_stays_where_it_is():
    """The optimum that it starts from comes back, with the bounds of the box."""
    problem = tight_knapsacks(1)
    size = problem.n_onloading
    box = Box(problem, np.zeros(size), np.ones(size))
    point, lower, upper = box.dive(deadline=Deadline(0.0))
    assert point is box.start
    assert np.array_equal(lower, box.lower)
    assert np.array_equal(upper, box.upper)
