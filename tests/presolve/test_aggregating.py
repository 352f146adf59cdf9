"""Aggregated capacities: what is open has to hold what must be routed; no plan is lost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_problems import by_placement
from small_problems import INF, beside, permuted, problem_of, solve

from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.lp import HighsBackend, LPStatus
from pyomo_j3o.lp.base import LPSolution
from pyomo_j3o.presolve.aggregating import aggregate_capacities


def aggregated(problem):
    """Return the problem with its new rows, and those as ({x: coefficient}, upper)."""
    result = aggregate_capacities(problem, HighsBackend(), NEVER).problem
    new = result.onloading_rows[problem.n_rows :]
    return result, list(zip(new.toarray().tolist(), result.row_upper[problem.n_rows :], strict=True))


def location(capacities, demands, equality=True, gates=True):
    """Return a facility-location problem: y is the share of a customer's demand."""
    sites, customers = range(len(capacities)), range(len(demands))
    x = {f"x{i}": -3.0 - i for i in sites}
    y = {f"y{i}{j}": -float((3 * i + 2 * j) % 5) for i in sites for j in customers}
    rows = [({f"y{i}{j}": 1 for i in sites}, 1 if equality else -INF, 1) for j in customers]
    rows += [
        ({f"y{i}{j}": demands[j] for j in customers} | {f"x{i}": -capacities[i]}, -INF, 0) for i in sites
    ]
    if gates:
        rows += [({f"y{i}{j}": 1, f"x{i}": -1}, -INF, 0) for i in sites for j in customers]
    return problem_of(x, y, rows, sense=-1)


def test_open_capacity_covers_total_demand():
    """Sites of 5, 7 and 9 for demands of 4, 3 and 2: 5 x0 + 7 x1 + 9 x2 >= 9."""
    result, rows = aggregated(location([5, 7, 9], [4, 3, 2]))
    ((coefficients, upper),) = rows
    assert coefficients == [-5, -7, -9]
    assert upper == pytest.approx(-9)
    assert result.row_lower[-1] == -INF
    assert result.offloading_rows[[-1]].nnz == 0


def test_each_stage_has_a_row_of_its_own():
    """Plants that supply satellites that supply customers: two rows, one for each stage."""
    plants, satellites, customers, demand = range(2), range(3), range(2), [3.0, 4.0]
    rows = [({f"w{k}{j}": 1 for k in satellites}, demand[j], demand[j]) for j in customers]
    for k in satellites:
        rows.append(({f"v{i}{k}": 1 for i in plants} | {f"w{k}{j}": -1 for j in customers}, 0, 0))
        rows.append(({f"w{k}{j}": 1 for j in customers} | {f"s{k}": -4}, -INF, 0))
    rows += [({f"v{i}{k}": 1 for k in satellites} | {f"p{i}": -6}, -INF, 0) for i in plants]
    problem = problem_of(
        dict.fromkeys(("p0", "p1", "s0", "s1", "s2"), -1),
        {f"v{i}{k}": (-1, 0, INF) for i in plants for k in satellites}
        | {f"w{k}{j}": (-1, 0, INF) for k in satellites for j in customers},
        rows,
    )
    _, new = aggregated(problem)
    assert sorted(coefficients for coefficients, _ in new) == [[-6, -6, 0, 0, 0], [0, 0, -4, -4, -4]]
    assert [upper for _, upper in new] == pytest.approx([-7, -7])


def test_nothing_is_added_where_nothing_must_be_routed():
    """If demand may be dropped, or there is a cloud, nothing has to be open."""
    droppable = location([5, 7, 9], [4, 3, 2], equality=False)
    assert aggregated(droppable)[0] is droppable
    rows = [({"a": 1, "b": 1, "cloud": 1}, 1, 1), ({"a": 2, "x": -3}, -INF, 0), ({"b": 2, "z": -3}, -INF, 0)]
    rows += [({"a": 2, "c": 1, "x": -3}, -INF, 0), ({"b": 2, "c": 1, "z": -3}, -INF, 0)]
    cloud = problem_of(dict.fromkeys("xz", -1), dict.fromkeys(["a", "b", "c", "cloud"], 1), rows)
    assert aggregated(cloud)[0] is cloud


def test_independent_parts_stay_independent():
    """The sites of two systems side by side are two families."""
    problem = beside(location([5, 7, 9], [4, 3, 2]), location([3, 3], [1, 1]))
    new = sorted(aggregated(problem)[1])
    assert [coefficients for coefficients, _ in new] == [[-5, -7, -9, 0, 0], [0, 0, 0, -3, -3]]
    assert [upper for _, upper in new] == pytest.approx([-9, -2])


class _OutOfTime:
    """A backend whose LPs never end in time."""

    name, description = "slow", "slow"

    def open(self, model):
        return self

    def solve(self, time_limit):
        return LPSolution.without_values(LPStatus.TIME_LIMIT)

    def close(self):
        pass


def test_nothing_is_claimed_that_was_not_proven():
    """An LP that was not solved in time adds no row."""
    problem = location([5, 7, 9], [4, 3, 2])
    assert aggregate_capacities(problem, _OutOfTime(), Deadline(0.0)).problem is problem


@st.composite
def locations(draw):
    """Draw facility-location problems with capacities of any size, gates or not, sometimes tight."""
    capacities = draw(st.lists(st.integers(1, 9), min_size=2, max_size=5))
    demands = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    return location(capacities, demands, gates=draw(st.booleans()))


@settings(deadline=None, max_examples=50)
@given(problem=locations(), data=st.data())
def test_no_plan_is_lost(problem, data):
    """Every placement that has a routing satisfies the new rows, in any order of rows and columns."""
    sizes = (problem.n_onloading, problem.n_offloading, problem.n_rows)
    problem = permuted(problem, *(np.array(data.draw(st.permutations(range(n)))) for n in sizes))
    _, new = aggregated(problem)
    every, values = by_placement(problem)
    for coefficients, upper in new:
        assert np.all((every @ np.array(coefficients))[np.isfinite(values)] <= upper + 1e-9)


@settings(deadline=None, max_examples=40)
@given(problem=locations())
def test_the_plan_is_the_optimum_within_its_gap(problem):
    """A solve agrees with enumeration: infeasible, or a plan no better than the optimum below its bound."""
    solved, (_, values) = solve(problem), by_placement(problem)
    optimum = values.max(initial=-INF)
    assert (solved.x is None) == (optimum == -INF)
    if solved.x is not None:
        assert solved.worst_violation <= 1e-6
        assert solved.value <= optimum + 1e-6 * abs(optimum)
        assert solved.bound >= optimum - 1e-6 * abs(optimum)
        assert len(solved.outcome.duals) == problem.n_rows
