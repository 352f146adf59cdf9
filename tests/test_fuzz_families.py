"""Random models of the families that people write: what j3o says is true, by whatever backend.

docs/make_fuzz_table.py and docs/make_bounds_table.py do the same with thousands of seeds.
"""

import numpy as np
import pytest
from random_families import FAMILIES, family_case, in_other_units, small_case
from random_judge import Said, Truth, certify, complaint, judge, missed, truth_of
from random_problems import as_pyomo
from small_problems import INF, problem_of


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_said_of_a_family_is_true(family, seed):
    """No crash, wrong bound, status or plan; j3o's plan is within 1 % of the optimum."""
    verdict = judge(seed, family)
    assert not verdict.wrong, verdict
    assert max(verdict.distance or 0, verdict.search or 0) <= 0.01, verdict


@pytest.mark.parametrize("seed", [13, 53, 174, 338, 391])
def test_products_with_far_ends_lose_no_plan(seed):
    """With ends of y of a million and a plan far from them, what is rounding there is none in the rows."""
    verdict = judge(seed, "bilinear")
    assert not verdict.wrong, verdict
    assert max(verdict.distance or 0, verdict.search or 0) <= 0.01, verdict


@pytest.mark.parametrize("seed", range(8))
def test_gains_beside_penalties_are_no_rounding(seed):
    """A gain of 1 beside a penalty of 1e12: no bound is beaten, and no plan is lost."""
    verdict = judge(seed, "penalties")
    assert not verdict.wrong, verdict
    assert max(verdict.distance or 0, verdict.search or 0) <= 0.01, verdict


@pytest.mark.parametrize("seed", range(12))
def test_no_backend_gives_a_bound_that_is_beaten(seed):
    """With figures from 1e-6 to 1e9, what every LP and MIP backend makes j3o say is true."""
    wrong = [v for v in certify(seed) if v.wrong or (v.beaten or 0) > 1e-6]
    assert not wrong, wrong


@pytest.mark.parametrize("seed", [469, 784, 906, 945])
def test_figures_that_led_a_backend_astray(seed):
    """A trace of y times 1e6 where x is 0, penalties of 1e12: the plan is found all the same."""
    wrong = [v for v in certify(seed) if v.wrong or (v.beaten or 0) > 1e-6]
    assert not wrong, wrong


def test_penalties_stay_numbers():
    """Of tiny coefficients, a penalty per unit would grow to what HiGHS takes for infinite."""
    verdict = judge(72, "figures")
    assert not verdict.wrong, verdict


def test_the_better_routing_of_a_placement_counts():
    """Costs of 1e-5 beside those of 1e8: an LP solver's tolerance hides them, and another search does not."""
    verdict = judge(12, "figures")
    assert not verdict.wrong, verdict


def test_a_seed_is_one_model():
    """What a table lists by its seed can be built again."""
    for family in FAMILIES:
        one, other = family_case(4, family).problem, family_case(4, family).problem
        np.testing.assert_array_equal(one.offloading_objective, other.offloading_objective)
        np.testing.assert_array_equal(one.row_upper, other.row_upper)
    assert small_case(7).problem.n_rows == small_case(7).problem.n_rows


def test_infeasible_is_infeasible():
    """Every model of the infeasible family is so, without rounding."""
    for seed in range(12):
        case = family_case(seed, "infeasible")
        truth = truth_of(case)
        assert truth.exact
        assert truth.value == -case.problem.sense * INF


def test_twins_share_their_optimum():
    """In units that are powers of two, the optimum is the same number in the unit of the objective."""
    for seed in range(5):
        case = family_case(seed, "semi-continuous")
        twin = in_other_units(case.problem, np.random.default_rng(seed), (-3, 6), rounded=True)
        factor = twin.onloading_objective[0] / case.problem.onloading_objective[0]
        case.problem, value = twin, truth_of(case).value
        assert truth_of(case).exact
        assert truth_of(case).value == factor * value


def one_byte_too_much():
    """Return a model of two weights and what fits, at the plan that overfills it by one."""
    m = as_pyomo(problem_of({"a": 1, "b": 1}, {}, [({"a": 5e9, "b": 4999999999.0}, -INF, 9999999998.0)]))
    m.x[0].value = m.x[1].value = 1
    return m


def test_the_judge_sees_a_byte_too_much():
    """A row of whole numbers is missed by one in ten thousand million, and kept with one item less."""
    m = one_byte_too_much()
    assert "by 1.0e+00" in missed(m)
    m.x[0].value = 0
    assert not missed(m)


def test_the_judge_takes_no_floor():
    """A bound 1e-5 of a small optimum too good is wrong, as is an optimal plan as far from it."""
    truth = Truth(1e-4, exact=True)
    good = {
        "condition": "convergenceCriteriaSatisfied",
        "sense": -1,
        "value": 1e-4,
        "worth": 1e-4,
        "term": 1e-4,
    }
    assert not complaint(Said(**good, optimal=True, bound=1e-4), truth)[0]
    assert "is beaten by" in complaint(Said(**good, bound=1.00001e-4), truth)[0]
    far = good | {"value": 1.001e-4, "worth": 1.001e-4}
    assert "called optimal" in complaint(Said(**far, optimal=True, bound=1e-4), truth)[0]
    assert not complaint(Said(**far, bound=1e-4), truth)[0]
