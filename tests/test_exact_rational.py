"""Optima without rounding: by hand, by enumeration, and where floats go wrong."""

from fractions import Fraction

import numpy as np
import pytest
from exact_rational import exact_optimum
from random_problems import SHAPES, random_problem
from small_problems import INF, brute_force, problem_of


@pytest.mark.parametrize("seed", range(36))
def test_it_agrees_with_enumeration(seed):
    """The optimum is that found placement by placement by an LP solver; infeasible and unbounded, too."""
    rng = np.random.default_rng(seed)
    shape = SHAPES[seed % len(SHAPES)]
    problem = random_problem(rng, shape, int(rng.integers(1, 6)), int(rng.integers(1, 8)))
    value, proven = exact_optimum(problem)
    assert proven
    expected = brute_force(problem)
    assert float(value) == expected or abs(float(value) - expected) < 1e-7


def test_a_fraction_is_exact():
    """The best of 3·y <= x is a third, not the float next to it."""
    problem = problem_of({"x": 0}, {"y": (1, 0, INF)}, [({"y": 3, "x": -1}, -INF, 0)])
    assert exact_optimum(problem) == (Fraction(1, 3), True)


def test_a_big_m_closes():
    """With M of 1e9, a flow of 50 still needs its site."""
    problem = problem_of(
        {"use": -100},
        {"flow": (0, 0, INF), "bought": (-5, 0, INF)},
        [({"flow": 1, "use": -1e9}, -INF, 0), ({"flow": 1, "bought": 1}, 50, INF)],
    )
    assert exact_optimum(problem) == (-100, True)


def test_decimals_are_those_written():
    """0.1 + 0.2 <= 0.3 holds in a row of binaries, though not in floats; a byte too much does not fit."""
    decimals = problem_of({"a": 1, "b": 1}, {}, [({"a": 0.1, "b": 0.2}, -INF, 0.3)])
    assert exact_optimum(decimals) == (2, True)
    heavy = problem_of({"a": 1, "b": 1}, {}, [({"a": 5e9, "b": 4999999999.0}, -INF, 9999999998.0)])
    assert exact_optimum(heavy) == (1, True)


def test_what_is_not_proven_is_exact_at_the_hint():
    """If the work ends, the best value at the placements given is returned, and not called proven."""
    problem = problem_of({"a": -1, "b": -1}, {"y": (4, 0, INF)}, [({"y": 1, "a": -1, "b": -1}, -INF, 0)])
    assert exact_optimum(problem, [[1, 0]], work=0) == (3, False)
    assert exact_optimum(problem, [[1, 0]]) == (6, True)


def test_a_row_between_two_multiples_needs_no_search():
    """Twice the sum of forty binaries is never 1.5 to 1.9, in decimals of any unit; it can be 1.5 to 2."""
    names = [f"x{i}" for i in range(40)]
    for unit, high, possible in ((1.0, 1.9, False), (0.01, 1.9, False), (0.01, 2.0, True)):
        row = (dict.fromkeys(names, 2 * unit), 1.5 * unit, high * unit)
        value, proven = exact_optimum(problem_of(dict.fromkeys(names, 0), {}, [row]))
        assert proven
        assert (value == 0) is possible
