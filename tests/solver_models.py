"""Small annotated models, and what tests of the solver ask of a solved one. No tests in here."""

import itertools
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory as NewSolverFactory
from pyomo.repn import generate_standard_repn

from pyomo_j3o import annotate
from pyomo_j3o.interface import solver


def new(**options):
    """Return j3o behind Pyomo's new interface."""
    return NewSolverFactory("j3o", **options)


def classic(**options):
    """Return j3o behind Pyomo's classic interface."""
    return pyo.SolverFactory("j3o", **options)


def change_params(monkeypatch, change):
    """Let every solve have the parameters that `change` makes of the usual ones."""
    monkeypatch.setattr(solver.J3O, "params", change(solver.J3O.params))


def milp_params(**changes):
    """Return a change of parameters: of those that send parts to a MILP solver."""

    def change(params):
        search = params.search
        return replace(params, search=replace(search, milp=replace(search.milp, **changes)))

    return change


def start_params(**changes):
    """Return a change of parameters: of those that say where J3O's plan is of use to a MIP solver."""

    def change(params):
        exact = params.exact
        return replace(params, exact=replace(exact, start=replace(exact.start, **changes)))

    return change


def without_look(params):
    """Return parameters with which no model gets a quick look."""
    return replace(params, look=replace(params.look, nonzeros=-1, strange_nonzeros=-1))


def own_search_first(params):
    """Return parameters with which branch and bound on the kernel gets every part before a MILP solver."""
    return milp_params(first=-1, first_mixed=-1)(without_look(params))


def two_servers(sense=pyo.maximize, form="linear"):
    """Two servers hold one or two of three models; three queries are routed. Solved by brute force below.

    Minimising, the objective is the negative, so that both senses have the same plans.
    """
    m = pyo.ConcreteModel("two servers")
    m.nodes = pyo.Set(initialize=["a", "b"])
    m.kinds = pyo.Set(initialize=[1, 2, 3])
    m.queries = pyo.Set(initialize=[1, 2, 3])
    m.x = pyo.Var(m.nodes, m.kinds, domain=pyo.Binary)
    # One model serves at most 0.83 of a query. That is a row, or a bound where products need one, but not
    # both, and less than the demand: so duals are unique.
    m.y = pyo.Var(m.queries, m.nodes, m.kinds, bounds=(0, None if form == "linear" else 0.83))
    worth = {
        (q, n, k): 3 + ((7 * q + 3 * k + 5 * (n == "b")) % 11) / 4
        for q in m.queries
        for n in "ab"
        for k in m.kinds
    }
    m.room = pyo.Param(m.nodes, initialize={"a": 3.5, "b": 4.2}, mutable=True)
    m.speed = pyo.Param(initialize=1.3, mutable=True)
    total = {key: m.y[key] if form == "linear" else m.x[key[1:]] * m.y[key] for key in worth}

    # Rows are assigned one by one, not by rule: a model that holds a local function cannot be pickled.
    for name in ("memory", "link", "demand", "compute"):
        m.add_component(name, pyo.Constraint(pyo.Any))
    for n in m.nodes:
        m.memory[n] = sum((1 + k * 0.7) * m.x[n, k] for k in m.kinds) <= m.room[n]
        m.compute[n] = sum((0.9 + 0.13 * q) * total[q, n, k] for q in m.queries for k in m.kinds) <= m.speed
    for q in m.queries:
        m.demand[q] = sum(total[q, n, k] for n in m.nodes for k in m.kinds) <= 1
    if form == "linear":
        for q, n, k in worth:
            m.link[q, n, k] = m.y[q, n, k] <= 0.83 * m.x[n, k]
    sign = 1 if sense == pyo.maximize else -1
    m.gain = pyo.Objective(expr=sign * sum(w * total[key] for key, w in worth.items()), sense=sense)
    annotate(m, onloading=m.x, offloading=m.y)
    return m


def knapsack(n=12, seed=0):
    """Return a model of onloading variables alone."""
    rng = np.random.default_rng(seed)
    m = pyo.ConcreteModel("knapsack")
    m.x = pyo.Var(range(n), domain=pyo.Binary)
    weight, worth = rng.integers(5, 30, n).tolist(), rng.integers(5, 30, n).tolist()
    m.room = pyo.Constraint(expr=sum(weight[i] * m.x[i] for i in range(n)) <= sum(weight) // 2)
    m.worth = pyo.Objective(expr=sum(worth[i] * m.x[i] for i in range(n)), sense=pyo.maximize)
    annotate(m, onloading=m.x)
    return m


def transport():
    """Return a model of offloading variables alone: an LP."""
    m = pyo.ConcreteModel("transport")
    m.y = pyo.Var([1, 2], [1, 2, 3], bounds=(0, None))
    m.supply = pyo.Constraint([1, 2], rule=lambda m, i: sum(m.y[i, j] for j in (1, 2, 3)) <= (20, 30)[i - 1])
    m.need = pyo.Constraint(
        [1, 2, 3], rule=lambda m, j: sum(m.y[i, j] for i in (1, 2)) >= (10, 25, 12)[j - 1]
    )
    m.cost = pyo.Objective(expr=sum((2 + (5 * i + 3 * j) % 7) * m.y[i, j] for i, j in m.y))
    annotate(m, offloading=m.y)
    return m


def infeasible(x_alone=False):
    """Return a model that no placement and routing satisfies, with values and suffixes to be left alone."""
    m = two_servers()
    if x_alone:
        m.too_much = pyo.Constraint(expr=pyo.quicksum(m.x.values()) >= 6)
    else:
        m.too_much = pyo.Constraint(expr=pyo.quicksum(m.y.values()) >= 100)
    return m


def hard_to_place(n=40, rows=5):
    """Return a model for which a first plan is hard to find: market split (Cornuéjols and Dawande 1999)."""
    rng = np.random.default_rng(3)
    m = pyo.ConcreteModel("market split")
    m.x = pyo.Var(range(n), domain=pyo.Binary)
    m.y = pyo.Var(bounds=(0, 1))
    weight = rng.integers(0, 100, (rows, n)).tolist()
    m.split = pyo.Constraint(
        range(rows),
        rule=lambda m, r: pyo.quicksum(w * m.x[i] for i, w in enumerate(weight[r])) == sum(weight[r]) // 2,
    )
    m.gain = pyo.Objective(expr=m.x[0] + m.y, sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=m.y)
    return m


def optimum(model):
    """Return the proven optimum of a linear model, by HiGHS's branch and bound; None without one."""
    copy = model.clone()
    results = NewSolverFactory("highs").solve(
        copy, rel_gap=0, load_solutions=False, raise_exception_on_nonoptimal_result=False
    )
    return results.incumbent_objective


def brute_force(model, x):
    """Return the best objective over all values of the variables x, by one HiGHS LP each."""
    best = None
    copy = model.clone()
    variables = [copy.find_component(v.name) for v in x]
    sense = next(copy.component_data_objects(pyo.Objective, active=True)).sense
    highs = NewSolverFactory("highs")
    for values in itertools.product((0, 1), repeat=len(variables)):
        for variable, number in zip(variables, values, strict=True):
            variable.fix(number)
        results = highs.solve(copy, load_solutions=False, raise_exception_on_nonoptimal_result=False)
        found = results.incumbent_objective
        if found is not None and (best is None or (found > best) == (sense == pyo.maximize)):
            best = found
    return best


def worst_violation(model):
    """Return by how much the values that the variables hold miss a constraint, bound or domain at most."""
    worst = 0.0
    for constraint in model.component_data_objects(pyo.Constraint, active=True):
        body = pyo.value(constraint.body)
        if constraint.lower is not None:
            worst = max(worst, pyo.value(constraint.lower) - body)
        if constraint.upper is not None:
            worst = max(worst, body - pyo.value(constraint.upper))
    for variable in model.component_data_objects(pyo.Var):
        if variable.value is None:
            continue
        if variable.lb is not None:
            worst = max(worst, variable.lb - variable.value)
        if variable.ub is not None:
            worst = max(worst, variable.value - variable.ub)
        if variable.is_binary():
            worst = max(worst, abs(variable.value - round(variable.value)))
    return worst


def objective_value(model):
    """Return the active objective at the values that the variables hold."""
    return pyo.value(next(model.component_data_objects(pyo.Objective, active=True)))


def snapshot(model, stale=True):
    """Return all that a solve must leave alone if it loads nothing; stale flags if it ends in an error."""
    variables = [
        (v.name, v.value, stale and v.stale, v.fixed, v.lb, v.ub, v.domain.name)
        for v in model.component_data_objects(pyo.Var)
    ]
    suffixes = [
        (s.name, sorted((c.name, value) for c, value in s.items()), s.direction)
        for s in model.component_objects(pyo.Suffix)
    ]
    active = [(c.name, c.active) for c in model.component_data_objects((pyo.Constraint, pyo.Objective))]
    parameters = [
        (p.name, str(p._value))
        for p in model.component_data_objects(pyo.Param)
        if p._value is not pyo.Param.NoValue
    ]
    return variables, suffixes, active, parameters


def with_marks(model):
    """Give the variables of a model values and stale flags of all kinds, and the model full suffixes."""
    model.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    model.rc = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    for number, variable in enumerate(model.component_data_objects(pyo.Var)):
        if variable.fixed:
            continue
        variable.set_value(None if number % 3 == 2 else number % 2, skip_validation=True)
        variable.stale = number % 2 == 0
        model.rc[variable] = 17.0 + number
    for number, constraint in enumerate(model.component_data_objects(pyo.Constraint)):
        model.dual[constraint] = 0.5 + number
    return model


QUIET = {"load_solutions": False, "raise_exception_on_nonoptimal_result": False}
SENSES = pytest.mark.parametrize("sense", [pyo.maximize, pyo.minimize], ids=["max", "min"])
BACKENDS = pytest.mark.parametrize(
    "lp_solver",
    [
        "highs",
        pytest.param("gurobi", marks=pytest.mark.skipif(not find_spec("gurobipy"), reason="needs gurobipy")),
    ],
)
PHASES = ("compile", "onload", "offload", "improve", "certify", "load")


def require_kkt(model, results, tolerance=1e-6):
    """Require that duals and reduced costs prove the routing optimal for its placement (linear models)."""
    sense = next(model.component_data_objects(pyo.Objective, active=True)).sense
    sign = 1 if sense == pyo.maximize else -1
    duals, costs = results.solution_loader.get_duals(), results.solution_loader.get_reduced_costs()
    lagrangian = {}
    objective = next(model.component_data_objects(pyo.Objective, active=True))
    repn = generate_standard_repn(objective.expr)
    for c, v in zip(repn.linear_coefs, repn.linear_vars, strict=True):
        lagrangian[id(v)] = lagrangian.get(id(v), 0.0) + c
    for constraint, dual in duals.items():
        repn = generate_standard_repn(constraint.body)
        for c, v in zip(repn.linear_coefs, repn.linear_vars, strict=True):
            lagrangian[id(v)] = lagrangian.get(id(v), 0.0) - dual * c
        body = pyo.value(constraint.body)
        at_upper = constraint.upper is not None and body >= pyo.value(constraint.upper) - tolerance
        at_lower = constraint.lower is not None and body <= pyo.value(constraint.lower) + tolerance
        assert at_upper or sign * dual <= tolerance, constraint.name
        assert at_lower or sign * dual >= -tolerance, constraint.name
    for variable, cost in costs.items():
        assert cost == pytest.approx(lagrangian.get(id(variable), 0.0), abs=tolerance), variable.name
        if not variable.is_binary():
            at_upper = variable.ub is not None and variable.value >= variable.ub - tolerance
            at_lower = variable.lb is not None and variable.value <= variable.lb + tolerance
            assert at_upper or sign * cost <= tolerance, variable.name
            assert at_lower or sign * cost >= -tolerance, variable.name
    return duals, costs
