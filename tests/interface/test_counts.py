"""Counts: onloading variables that are general integers, from the model to the results and back."""

import io
import itertools

import numpy as np
import pyomo.environ as pyo
import pytest
from count_models import random_count_model
from pyomo.contrib.appsi.solvers import Highs
from solver_models import QUIET, new, worst_violation

from pyomo_j3o import PersistentJ3O, annotate, budget_worth, explain_infeasibility
from pyomo_j3o.errors import OptionError


def replicas():
    """Return two models for one server: the best plan has 3 small replicas and 1 large one, worth 9.8."""
    m = pyo.ConcreteModel("replicas")
    m.n = pyo.Var(["small", "large"], domain=pyo.NonNegativeIntegers, bounds=(0, 5))
    m.y = pyo.Var(["small", "large"], bounds=(0, 10))
    annotate(m, onloading=m.n, offloading=m.y)
    m.memory = pyo.Param(initialize=6.0, mutable=True)
    m.room = pyo.Constraint(expr=m.n["small"] + 3 * m.n["large"] <= m.memory)
    m.rate = pyo.Constraint(["small", "large"], rule=lambda m, k: m.y[k] <= 2 * m.n[k])
    m.demand = pyo.Constraint(expr=m.y["small"] + m.y["large"] <= 8)
    m.gain = pyo.Objective(
        expr=m.y["small"] + 2 * m.y["large"] - 0.1 * m.n["small"] - 0.1 * m.n["large"], sense=pyo.maximize
    )
    return m


def values(m):
    """Return the numbers of replicas."""
    return {k: m.n[k].value for k in m.n}


def by_highs(m):
    """Return the optimum by Pyomo's HiGHS; None without a plan."""
    solver = Highs()
    solver.config.load_solution = False
    solver.highs_options = {"mip_rel_gap": 1e-9}
    return solver.solve(m).best_feasible_objective


def test_one_plan_by_all():
    """Native, exact and alternation alone find the same counts, whole ones."""
    for algorithm, options in (("j3o", {}), ("exact", {}), ("j3o", {"effort": "alternation"})):
        m = replicas()
        found = new(algorithm=algorithm).solve(m, **options)
        assert found.incumbent_objective == pytest.approx(9.6)
        assert values(m) == {"small": 3, "large": 1} or values(m) == {"small": 0, "large": 2}
        assert found.extra_info.number_of_variables == 4


@pytest.mark.parametrize("seed", range(0, 200, 13))
def test_as_good_as_highs(seed):
    """Heuristic ≤ exact ≤ bound on random models; plans keep all rows and are whole."""
    truth = by_highs(random_count_model(seed))
    for options in ({"rel_gap": 1e-6}, {"algorithm": "exact", "rel_gap": 1e-7}, {"effort": "alternation"}):
        m = random_count_model(seed)
        sense = 1.0 if m.gain.sense == pyo.maximize else -1.0
        found = new(lp_solver="highs", mip_solver="highs").solve(m, **QUIET, **options)
        if truth is None:
            assert found.incumbent_objective is None
            continue
        allowed = 1e-5 * max(1.0, abs(truth))
        assert sense * (found.objective_bound - truth) >= -allowed
        if "effort" not in options:
            assert found.incumbent_objective == pytest.approx(truth, abs=allowed)
        if found.incumbent_objective is not None:
            assert sense * (found.incumbent_objective - truth) <= allowed
            found.solution_loader.load_vars()
            assert worst_violation(m) <= 1e-6
            assert all(v.value == round(v.value) and v.lb <= v.value <= v.ub for v in m.n.values())


def test_exact_agrees_with_highs_on_70_models():
    """Same optimum, a bound that is true, and no plan where HiGHS has none."""
    for seed in range(70):
        m, truth = random_count_model(seed), by_highs(random_count_model(seed))
        sense = 1.0 if m.gain.sense == pyo.maximize else -1.0
        found = new(algorithm="exact", mip_solver="highs").solve(m, **QUIET, rel_gap=1e-7)
        if truth is None:
            assert found.incumbent_objective is None, seed
            continue
        allowed = 1e-6 * max(1.0, abs(truth))
        assert found.incumbent_objective == pytest.approx(truth, abs=allowed), seed
        assert sense * (found.objective_bound - truth) >= -allowed, seed


@pytest.mark.parametrize("seed", [1, 14, 48])
def test_products_of_counts_and_flows(seed):
    """n·y in rows and in the objective: the best of all placements, each with its LP."""
    m = random_count_model(seed, products=True)
    sense = 1.0 if m.gain.sense == pyo.maximize else -1.0
    whole = [*m.n.values(), *m.x.values()]
    worths = []
    for point in itertools.product(*(range(int(v.lb), int(v.ub) + 1) for v in whole)):
        for variable, number in zip(whole, point, strict=True):
            variable.fix(number)
        worth = by_highs(m)
        if worth is not None:
            worths.append(sense * worth)
    for variable in whole:
        variable.unfix()
    for options in ({}, {"algorithm": "exact"}):
        found = new(lp_solver="highs", mip_solver="highs").solve(m, rel_gap=1e-6, **options)
        assert sense * found.incumbent_objective == pytest.approx(max(worths), rel=1e-5)


@pytest.mark.parametrize("factor", [1e-3, 1e4])
def test_units_do_not_matter(factor):
    """A row and the objective in other units: the same plan, and a bound in those units."""
    m = random_count_model(7)
    m.room.set_value(factor * m.room.body <= factor * m.room.upper)
    plain, scaled = random_count_model(7), m
    scaled.gain.expr = factor * scaled.gain.expr
    one, other = (new(lp_solver="highs").solve(model, rel_gap=1e-6) for model in (plain, scaled))
    assert other.incumbent_objective == pytest.approx(factor * one.incumbent_objective, rel=1e-5)


def test_a_fixed_integer_is_a_constant():
    """Whatever its value; so is one whose bounds are equal, and one with a negative range."""
    m = replicas()
    m.n["large"].fix(2)
    assert new().solve(m).incumbent_objective == pytest.approx(7.8)
    m.n["large"].unfix()
    m.n["large"].setlb(2)
    m.n["large"].setub(2)
    assert new().solve(m).incumbent_objective == pytest.approx(7.8)
    assert values(m) == {"small": 0, "large": 2}
    m.n["large"].domain = pyo.Integers
    m.n["large"].setlb(-4)
    m.n["large"].setub(-1)
    m.rate["large"].deactivate()
    m.y["large"].fix(0)
    found = new().solve(m)
    assert (values(m), found.incumbent_objective) == ({"small": 4, "large": -4}, pytest.approx(8.0))


def test_long_ranges_are_exact():
    """Up to a million steps, in few columns; the log says how many."""
    m = replicas()
    for k in m.n:
        m.n[k].setub(1_000_000)
    m.memory = 1000.0
    m.demand.set_value(m.y["small"] + m.y["large"] <= 1500)
    for k in m.y:
        m.y[k].setub(1500)
    log = io.StringIO()
    found = new().solve(m, rel_gap=0.0, tee=log)
    assert found.incumbent_objective == pytest.approx(by_highs(m.clone()), rel=1e-6)
    assert "40 onloading columns" in log.getvalue()


def test_a_warm_start_counts():
    """The plan held is never lost; what is no plan is a start all the same."""
    m = replicas()
    new().solve(m)
    held = values(m)
    best = new().solve(m, warm_start=True, effort="alternation").incumbent_objective
    assert (values(m), best) == (held, pytest.approx(9.6))
    m.n["small"].set_value(7, skip_validation=True)
    m.n["large"].set_value(2.4, skip_validation=True)
    assert new().solve(m, warm_start=True).incumbent_objective == pytest.approx(9.6)


@pytest.mark.parametrize("options", [{}, {"algorithm": "exact"}, {"effort": "alternation"}])
@pytest.mark.parametrize(("price", "moves"), [(0.2, 4), (0.7, 1), (5.0, 0)])
def test_every_unit_is_a_move(options, price, moves):
    """The price is per unit of the change: from 0 small and 1 large, few or no replicas are added."""
    worths = {}
    for small, large in itertools.product(range(6), repeat=2):
        if small + 3 * large <= 6:
            flow = min(8.0, 2 * large) * 2 + max(0.0, min(2 * small, 8.0 - 2 * large))
            worths[small, large] = flow - 0.1 * (small + large) - price * (small + abs(large - 1))
    m = replicas()
    m.n["small"].value, m.n["large"].value = 0, 1
    found = new().solve(m, move_cost=price, rel_gap=1e-6, **options)
    assert found.incumbent_objective <= max(worths.values()) + 1e-6
    if "effort" not in options:
        assert found.incumbent_objective == pytest.approx(max(worths.values()))
    info = found.extra_info
    changed = values(m)["small"] + abs(values(m)["large"] - 1)
    assert (info.moves, info.move_cost) == (changed, pytest.approx(price * changed))


def test_a_price_of_a_long_range_is_refused():
    """Where the price is not linear in the columns; at the end of the range it is."""
    m = replicas()
    m.n["small"].setub(60)
    m.n["small"].value = 3
    with pytest.raises(OptionError, match=r"'n\[small\]', an integer with more than 32 steps"):
        new().solve(m, move_cost=pyo.ComponentMap([(m.n["small"], 1.0)]))
    m.n["small"].value = 0
    prices = pyo.ComponentMap([(m.n["small"], 0.3)])
    found = new().solve(m, move_cost=prices, rel_gap=1e-6)
    assert found.extra_info.moves == values(m)["small"]


def test_a_price_of_all_leaves_out_what_takes_none():
    """A long count between its bounds moves freely; the price of the others is that of a mapping of them."""
    m = replicas()
    m.n["small"].setub(60)
    lines = io.StringIO()
    found = {}
    for name, prices in (("all", 1.0), ("others", pyo.ComponentMap([(m.n["large"], 1.0)]))):
        m.n["small"].value, m.n["large"].value = 3, 2
        found[name] = new().solve(m, move_cost=prices, rel_gap=1e-6, tee=[lines])
    assert found["all"].incumbent_objective == pytest.approx(found["others"].incumbent_objective)
    assert found["all"].extra_info.moves == found["others"].extra_info.moves
    assert "1 integer of many steps, between the bounds, without one" in lines.getvalue()


def test_a_kept_model_follows_bounds_and_numbers():
    """Bounds, Params and values that change between solves: as good as a solver that is new to the model."""
    m = replicas()
    opt = PersistentJ3O()
    rng = np.random.default_rng(0)
    assert opt.solve(m).incumbent_objective == pytest.approx(9.6)
    for _ in range(12):
        which = rng.integers(5)
        key = str(rng.choice(["small", "large"]))
        if which == 0:
            m.memory = float(rng.integers(3, 15))
        elif which == 1:
            m.n[key].setub(int(rng.integers(1, 45)))
        elif which == 2:
            m.n[key].fix(int(rng.integers(0, 2)))
        elif which == 3:
            m.n[key].unfix()
        else:
            m.n[key].setlb(int(rng.integers(0, 2)))
        kept = opt.solve(m, rel_gap=1e-6)
        assert kept.incumbent_objective == pytest.approx(
            new().solve(m.clone(), rel_gap=1e-6).incumbent_objective
        )
        assert kept.extra_info.update["outcome"] in ("nothing", "patched")


def test_an_infeasible_count_is_explained():
    """The rows that conflict, in the user's units; bounds of integers count as given."""
    m = replicas()
    m.least = pyo.Constraint(expr=m.n["small"] + m.n["large"] >= 8)
    m.most = pyo.Constraint(expr=m.n["small"] <= 4)
    explained = explain_infeasibility(m)
    rows = {row.name: row for row in explained.conflicts[0].rows}
    assert {name: row.enough for name, row in rows.items()} == {"least": 4.0, "room": 16.0}


def test_a_budget_of_counts_has_a_worth():
    """Relaxed by the step, the model gains what solving it again says."""
    m = replicas()
    found = new().solve(m, rel_gap=1e-6)
    table = budget_worth(m, found, rows=[m.room], step=1.0)
    (row,) = table.rows
    m.memory = 7.0
    again = new().solve(m, rel_gap=1e-6, load_solutions=False).incumbent_objective
    assert (row["budget"], row["used"]) == (6.0, 6.0)
    assert row["worth"] == pytest.approx(again - found.incumbent_objective, abs=1e-5)


def test_duals_and_reduced_costs_are_per_unit():
    """A reduced cost is the change of the Lagrangian per unit of the count."""
    m = replicas()
    found = new().solve(m)
    duals, costs = found.solution_loader.get_duals(), found.solution_loader.get_reduced_costs()
    for k in m.n:
        assert costs[m.n[k]] == pytest.approx(-0.1 + 2 * duals[m.rate[k]] - 0.0)


def _far_from_its_value(cost):
    """Return a model whose count of 101 values holds 40, and what each value is worth less its moves."""
    m = pyo.ConcreteModel()
    m.n = pyo.Var(domain=pyo.Integers, bounds=(0, 100), initialize=40)
    m.y = pyo.Var(bounds=(0, 200))
    annotate(m, onloading=m.n, offloading=m.y)
    m.rate = pyo.Constraint(expr=m.y <= 2 * m.n)
    m.gain = pyo.Objective(expr=m.y - 1.5 * m.n, sense=pyo.maximize)
    return m, max(0.5 * n - cost * abs(n - 40) for n in range(101))


@pytest.mark.parametrize("cost", [0.2, 0.7])
def test_moves_of_a_long_count_are_priced_by_a_variable(cost):
    """The price is refused in a sentence whose remedy works: a variable above the difference."""
    m, best = _far_from_its_value(cost)
    with pytest.raises(OptionError, match="gives a price to 'n', an integer with more than 32 steps"):
        pyo.SolverFactory("j3o").solve(m, move_cost=pyo.ComponentMap([(m.n, cost)]))
    assert m.n.value == 40
    m.d = pyo.Var(bounds=(0, 100))
    annotate(m, offloading=m.d)
    m.more = pyo.Constraint(expr=m.d >= m.n - 40)
    m.less = pyo.Constraint(expr=m.d >= 40 - m.n)
    m.gain.set_value(m.gain.expr - cost * m.d)
    pyo.SolverFactory("j3o").solve(m, rel_gap=1e-6)
    assert pyo.value(m.gain) == pytest.approx(best)
