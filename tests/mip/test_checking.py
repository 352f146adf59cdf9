"""What a MIP solver says is believed as far as it can be checked: solvers that lie, and whole rows."""

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory
from scipy import sparse
from small_problems import INF, problem_of

from pyomo_j3o import annotate
from pyomo_j3o.certify.relaxation import improving_ray, relaxation_model, unbounded_columns, whole_model
from pyomo_j3o.errors import BackendError
from pyomo_j3o.improve import part_search
from pyomo_j3o.interface import compiled, verdict
from pyomo_j3o.lp import HighsBackend
from pyomo_j3o.lp.base import LinearModel, LPStatus
from pyomo_j3o.methods import exact
from pyomo_j3o.mip import HighsMIP, Limits, MIPModel, MIPSolution, Start, first_able, solve_checked


class Says:
    """A MIP solver that gives one answer after the other, and notes what it was given."""

    name, title, description, takes_products, small = "fake", "Fake", "Fake 1.0", False, 0

    def __init__(self, *answers):
        self.answers, self.models, self.limits = list(answers), [], []

    def dual_tolerance(self, tight):
        """Return that of HiGHS."""
        return 1e-10 if tight else 1e-7

    def solve(self, model, limits, start=None, write=None):
        """Give the next answer."""
        self.models.append(model)
        self.limits.append(limits)
        return self.answers.pop(0)


def answer(values, bound, status=LPStatus.OPTIMAL, objective=None):
    """Return what a solver says of a point; its objective is the sum of it, if none is given."""
    values = np.array(values, dtype=float)
    return MIPSolution(status, values, float(values.sum()) if objective is None else objective, bound)


def knapsack(weights=(2.0, 3.0, 4.0), most=6.0):
    """At most two of three, worth 1 each."""
    n = len(weights)
    return MIPModel(
        LinearModel(
            np.ones(n),
            sparse.csr_array(np.array([weights])),
            np.array([-INF]),
            np.array([most]),
            np.zeros(n),
            np.ones(n),
            np.ones(n, dtype=bool),
        )
    )


def test_a_bound_that_the_start_beats_proves_nothing():
    """The start is worth 2; a bound of 1.5 is wrong, whatever the solver says of itself."""
    liar = Says(answer([0, 0, 1], 1.5))
    found = solve_checked(liar, knapsack(), Limits(), Start(np.array([1.0, 1.0, 0.0])))
    assert found.bound == INF


def test_a_bound_below_the_solver_s_own_point_proves_nothing():
    """It returns a point of 2 and a bound of 1."""
    assert solve_checked(Says(answer([1, 1, 0], 1.0)), knapsack(), Limits()).bound == INF


def test_a_start_that_is_no_point_of_the_model_proves_nothing_against_a_bound():
    """All three do not fit: that they are worth 3 says nothing."""
    found = solve_checked(Says(answer([1, 1, 0], 2.0)), knapsack(), Limits(), Start(np.ones(3)))
    assert 2.0 <= found.bound <= 2.0 + 1e-6


def test_a_believable_bound_has_a_margin():
    """A MIP solver's bound is worth its tolerances: it is moved outwards by a little."""
    bound = solve_checked(Says(answer([1, 1, 0], 2.0)), knapsack(), Limits()).bound
    assert 2.0 < bound <= 2.0 * (1 + 1e-6)


def small_gain(penalty):
    """Return max 1e-8 y - penalty z with z = x y and y <= 1e4, whose optimum is 1e-4."""
    return MIPModel(
        whole_model(
            problem_of(
                {"x": 0},
                {"y": (1e-8, 0, 1e4), "z": (-penalty, 0, 1e4)},
                [({"z": 1, "x": -1e4}, -INF, 0.0), ({"y": 1, "z": -1, "x": 1e4}, -INF, 1e4)],
            )
        )
    )


def test_the_margin_covers_what_the_dual_tolerance_hides():
    """A solver that does not see gains below 1e-7 says 0: its bound is no less than what it cannot see."""
    says = Says(answer([0, 0, 0], 0.0, objective=0.0), answer([0, 0, 0], 0.0, objective=0.0))
    assert solve_checked(says, small_gain(1.0), Limits()).bound >= 1e-4


def test_what_the_dual_tolerance_may_hide_is_looked_for_with_a_tight_one():
    """HiGHS by default says 0, with tight tolerances it finds the optimum; without a gap it is not asked."""
    found = solve_checked(HighsMIP(), small_gain(1.0), Limits(rel_gap=1e-4))
    assert found.objective == pytest.approx(1e-4)
    says = Says(answer([0, 0, 0], 0.0, objective=0.0), answer([0, 1e4, 0], 1e-4, objective=1e-4))
    solve_checked(says, small_gain(1.0), Limits(rel_gap=1e-4))
    assert [limits.tight for limits in says.limits] == [False, True]


def test_a_bound_of_a_matrix_of_all_sizes_proves_nothing():
    """Beside entries of 1e6, one of 1e-4 is what presolve takes for rounding."""
    model = knapsack((1e6, 1e-4, 3e6), 3.5e6)
    assert solve_checked(Says(answer([1, 1, 0], 2.0)), model, Limits()).bound == INF


def test_a_point_that_overfills_by_one_is_cut_off():
    """The solver is asked again with a cover of that point, which the point that fits satisfies."""
    fake = Says(answer([0, 1, 1], 2.0), answer([1, 1, 0], 2.0))
    found = solve_checked(fake, knapsack(most=6.0), Limits())
    assert found.values.tolist() == [1, 1, 0]
    rows = fake.models[1].linear
    assert rows.n_rows == 2
    assert (rows.matrix @ np.array([0.0, 1.0, 1.0]))[1] > rows.row_upper[1]
    assert (rows.matrix @ np.array([1.0, 1.0, 0.0]))[1] <= rows.row_upper[1]


def test_covers_keep_every_point_that_fits():
    """On random rows of both signs: what is added cuts off the point at hand, and no point that fits."""
    rng = np.random.default_rng(4)
    every = np.array([[choice >> k & 1 for k in range(6)] for choice in range(64)], dtype=float)
    tried = 0
    for _ in range(60):
        weights = rng.integers(-9, 10, 6).astype(float)
        low, high = np.sort(rng.integers(-15, 20, 2)).astype(float)
        model = knapsack(tuple(weights), high)
        model = replace(model, linear=replace(model.linear, row_lower=np.array([low])))
        body = every @ weights
        fits = (body >= low) & (body <= high)
        if not weights.any() or fits.all() or not fits.any():
            continue
        tried += 1
        point, good = every[~fits][0], every[fits][0]
        fake = Says(answer(point, INF), answer(good, INF))
        solve_checked(fake, model, Limits())
        rows = fake.models[1].linear
        holds = np.all(rows.matrix @ every.T <= rows.row_upper[:, None] + 1e-9, axis=0)
        assert np.array_equal(holds & fits, fits)
        assert not (rows.matrix @ point <= rows.row_upper + 1e-9).all()
    assert tried > 20


def test_a_solver_that_returns_the_same_wrong_point_for_ever_has_no_point():
    """After a number of rounds the point is refused, and nothing is called optimal."""
    fake = Says(*[answer([0, 1, 1], 2.0) for _ in range(200)])
    found = solve_checked(fake, knapsack(), Limits())
    assert not found.found
    assert found.status is LPStatus.STOPPED


def test_a_fraction_of_an_x_behind_a_huge_m_is_looked_for_again():
    """Y <= 1e9 x, y = 50: x = 5e-8 counts as 0, and a row is missed then. The second look is a tight one."""
    model = MIPModel(
        LinearModel(
            np.array([-1.0, -1.0]),
            sparse.csr_array(np.array([[-1e9, 1.0], [0.0, 1.0]])),
            np.array([-INF, 50.0]),
            np.array([0.0, INF]),
            np.zeros(2),
            np.array([1.0, INF]),
            np.array([True, False]),
        )
    )
    fake = Says(answer([5e-8, 50.0], 0.0, objective=-50.0), answer([1.0, 50.0], 0.0, objective=-51.0))
    assert solve_checked(fake, model, Limits()).values.tolist() == [1.0, 50.0]
    assert [limits.tight for limits in fake.limits] == [False, True]


class Liar(HighsMIP):
    """HiGHS with a bound that says that its worst point is the best."""

    def solve(self, model, limits, start=None, write=None):
        """Minimise instead."""
        found = super().solve(
            replace(model, linear=replace(model.linear, objective=-model.linear.objective)),
            limits,
            None,
            write,
        )
        value = model.objective_at(found.values)
        return MIPSolution(LPStatus.OPTIMAL, found.values, value, value)


def sites():
    """Return three sites, the cheapest of which is enough."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(3), domain=pyo.Binary)
    m.y = pyo.Var(range(3), bounds=(0, 4))
    m.link = pyo.Constraint(range(3), rule=lambda m, i: m.y[i] <= 4 * m.x[i])
    m.need = pyo.Constraint(expr=m.y[0] + m.y[1] + m.y[2] >= 3)
    m.cost = pyo.Objective(expr=5 * m.x[0] + 7 * m.x[1] + 9 * m.x[2] + m.y[0])
    annotate(m, onloading=m.x, offloading=m.y)
    return m


@pytest.mark.parametrize("start", ["j3o", "none"])
def test_the_status_comes_from_the_plan_and_what_is_proven_of_it(monkeypatch, start):
    """A MIP solver that calls the worst plan optimal: j3o's own plan stands, or nothing is called optimal."""
    monkeypatch.setattr(compiled, "choose_mip_solvers", lambda *_: iter([Liar()]))
    results = SolverFactory("j3o.exact").solve(
        sites(), mip_start=start, lp_solver="highs", raise_exception_on_nonoptimal_result=False
    )
    optimal = results.solution_status.name == "optimal"
    assert results.objective_bound <= 7 + 1e-6
    assert not optimal or results.incumbent_objective == pytest.approx(7)
    assert results.incumbent_objective == pytest.approx(7)


def test_a_gain_that_is_small_beside_other_costs_is_a_gain():
    """Along y = z the objective gains 1e-9 for ever, beside a cost of 1 million."""
    problem = problem_of(
        {"a": -1e6}, {"y": (2e-9, 0, INF), "z": (-1e-9, 0, INF)}, [({"y": 1, "z": -1}, -INF, 0.0)]
    )
    assert unbounded_columns(problem, HighsBackend()) == (0, 1)


def test_no_ray_where_every_open_column_costs_something():
    """The relaxation has open columns, and an optimum."""
    problem = problem_of({"a": -1}, {"y": (-1, 0, INF), "z": (-1, 0, INF)}, [({"y": 1, "z": 1}, 3, INF)])
    assert improving_ray(relaxation_model(problem), HighsBackend()) is None


def test_where_gurobi_s_plan_misses_a_row_highs_takes_its_place(monkeypatch):
    """Only where the choice of the solver was j3o's."""
    pytest.importorskip("gurobipy")
    calls, doubt = [], verdict.doubt

    def first_refused(solved):
        calls.append(1)
        return "the plan misses constraint 'c'." if len(calls) == 1 else doubt(solved)

    monkeypatch.setattr(verdict, "doubt", first_refused)
    results = SolverFactory("j3o").solve(sites())
    assert results.extra_info.lp_solver == "highs"
    assert results.incumbent_objective == pytest.approx(7)
    calls.clear()
    with pytest.raises(BackendError, match="misses constraint"):
        SolverFactory("j3o").solve(sites(), lp_solver="gurobi", mip_solver="gurobi")


def test_what_is_infeasible_by_the_integers_is_not_searched_for_long(monkeypatch):
    """The relaxation is feasible, no plan is: a MILP solver says so before our own branch and bound."""
    monkeypatch.setattr(part_search.Tree, "search", lambda self: pytest.fail("searched"))
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(6), domain=pyo.Binary)
    m.y = pyo.Var(range(6), bounds=(0, 3.0))
    m.link = pyo.Constraint(range(6), rule=lambda m, i: m.y[i] <= 3.0 * m.x[i])
    m.full = pyo.Constraint(range(6), rule=lambda m, i: m.y[i] >= 2.9 * m.x[i])
    m.exact = pyo.Constraint(expr=sum(m.y.values()) == 4.0)
    m.cost = pyo.Objective(expr=sum(m.x.values()))
    annotate(m, onloading=m.x, offloading=m.y)
    results = SolverFactory("j3o").solve(
        m, lp_solver="highs", load_solutions=False, raise_exception_on_nonoptimal_result=False
    )
    assert results.termination_condition.name == "provenInfeasible"


def test_a_proof_is_met_within_its_tolerances_alone():
    """Relative to the objective; next to 0, within rounding."""
    assert exact.allowance(1e3) == pytest.approx(1e-3)
    assert exact.allowance(1e-4) == pytest.approx(1e-10)
    assert exact.allowance(0.0) <= 1e-9


def test_a_row_with_a_product_is_no_row_over_binaries_alone():
    """X y + x >= 4 with y <= 8 holds at x = 1, y = 3, though 1 alone is less than 4."""
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(domain=pyo.Binary), pyo.Var(bounds=(0, 8))
    m.enough = pyo.Constraint(expr=m.x * m.y + m.x >= 4)
    m.cost = pyo.Objective(expr=5 * m.x + m.y)
    annotate(m, onloading=m.x, offloading=m.y)
    for options in ({"mip_solver": "gurobi"}, {"mip_solver": "scip"}, {"mip_solver": "highs"}):
        results = SolverFactory("j3o.exact").solve(m.clone(), lp_solver="highs", **options)
        assert results.incumbent_objective == pytest.approx(8), options
        assert results.objective_bound <= 8


@pytest.mark.parametrize("far", [1e9, 1e15, 1e20, 1e300])
@pytest.mark.parametrize("name", ["j3o", "j3o.exact"])
def test_a_bound_that_stands_for_none(name, far):
    """Whatever number a user writes for infinity: the optimum is found, and what is proven of it holds."""
    m = sites()
    m.z = pyo.Var(bounds=(0, far))
    m.also = pyo.Constraint(expr=m.z >= m.y[1])
    m.cost.expr += 2 * m.z
    annotate(m, offloading=m.z)
    results = SolverFactory(name).solve(m, lp_solver="highs", mip_solver="highs")
    assert results.solution_status.name == "optimal"
    assert results.incumbent_objective == pytest.approx(5 + 3, rel=1e-4)
    assert results.objective_bound <= 8 + 1e-9


def test_an_integer_with_a_tiny_coefficient_counts():
    """A row of 1e9 holds with x by half a per cent; HiGHS's presolve at default tolerances fixes it at 0."""
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(range(2), domain=pyo.Binary), pyo.Var(range(2))
    m.y[0].setlb(0), m.y[0].setub(1e6), m.y[1].setlb(0), m.y[1].setub(1e7)
    m.needed = pyo.Constraint(expr=-1e9 * m.x[0] + m.y[1] - 1e7 * m.x[1] * m.y[0] <= -995e6)
    m.open = pyo.Constraint(expr=m.x[1] >= 1)
    m.least = pyo.Constraint(expr=-1e9 * m.x[0] - 1e6 * m.y[1] >= -5e12)
    m.worth = pyo.Objective(expr=1e6 * m.x[1] - 1e7 * m.y[0] - m.y[1], sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=m.y)
    results = SolverFactory("j3o.exact").solve(m, lp_solver="highs", mip_solver="highs")
    assert results.incumbent_objective == pytest.approx(1e6)
    assert results.objective_bound >= 1e6


def test_a_solver_that_is_replaced_leaves_a_line(caplog):
    """The first that does not fail answers, and the log at level DEBUG names the one that did."""

    class Named:
        def __init__(self, title):
            self.title = title

    def use(solver):
        if solver.title == "Bad":
            raise BackendError("its licence is too small")
        return solver.title

    with caplog.at_level("DEBUG", logger="pyomo_j3o"):
        assert first_able([Named("Bad"), Named("Good")], use) == "Good"
    assert "Bad is left out: its licence is too small" in caplog.text
    with pytest.raises(BackendError, match="licence"):
        first_able([Named("Bad"), Named("Bad")], use)
