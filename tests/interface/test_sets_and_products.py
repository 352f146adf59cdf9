"""Special ordered sets and products of two onloading variables: the same optimum as by enumeration."""

import itertools
import logging

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_lp import lp_maximum

from pyomo_j3o import J3O, PersistentJ3O, annotate, budget_worth, explain_infeasibility, report
from pyomo_j3o.compare.checking import Referee
from pyomo_j3o.errors import AnnotationError, ModelError, UnsupportedTermError
from pyomo_j3o.interface.solver import ExactJ3O

logging.getLogger("pyomo").setLevel(logging.ERROR)


class Drawn:
    """A small random model, as arrays and as a Pyomo model.

    Its objective and rows are ``a'x + x'Qx + b'y``; sets hold x and y. One x is a count.
    """

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.n, self.k, m = int(rng.integers(2, 4)), int(rng.integers(2, 5)), int(rng.integers(1, 4))
        self.sense = int(rng.choice([-1, 1]))
        few = rng.random((m + 1, self.n)) < 0.6
        self.a = rng.integers(-3, 4, (m + 1, self.n)) * few
        pairs = np.triu(rng.random((m + 1, self.n, self.n)) < 0.4)
        self.q = rng.integers(-3, 4, (m + 1, self.n, self.n)) * pairs
        self.q[:, 0, 0] = 0  # of the count; its square is refused
        self.b = rng.integers(-3, 4, (m + 1, self.k)) * (rng.random((m + 1, self.k)) < 0.6)
        self.side = rng.integers(0, 6, m)
        self.low = rng.choice([0.0, 0.0, -1.0, -2.5, 0.5], self.k)
        self.high = rng.choice([1.0, 2.0, 4.5], self.k)
        self.count = (int(rng.choice([-1, 0, 1])), int(rng.choice([1, 2])))
        self.sets = []
        for _ in range(int(rng.integers(1, 3))):
            members = rng.permutation(self.n + self.k)[: rng.integers(2, self.n + self.k + 1)]
            weights = rng.permutation(len(members)) + 1
            self.sets.append((int(rng.integers(1, 3)), members.tolist(), weights.tolist()))

    def model(self):
        """Return the Pyomo model."""
        m = pyo.ConcreteModel()
        m.x = pyo.Var(range(self.n), domain=pyo.Binary)
        m.x[0].domain = pyo.Integers
        m.x[0].setlb(self.count[0])
        m.x[0].setub(self.count[1])
        m.y = pyo.Var(range(self.k), bounds=lambda m, j: (self.low[j], self.high[j]))
        members = [*m.x.values(), *m.y.values()]

        def body(r):
            square = sum(int(self.q[r, i, j]) * m.x[i] * m.x[j] for i in range(self.n) for j in range(self.n))
            linear = sum(int(c) * v for c, v in zip([*self.a[r], *self.b[r]], members, strict=True))
            return square + linear

        m.rows = pyo.ConstraintList()
        for r, side in enumerate(self.side):
            if not isinstance(body(r + 1), (int, float)):
                m.rows.add(body(r + 1) <= int(side))
        m.sets = pyo.Block()
        for number, (level, of_set, weights) in enumerate(self.sets):
            rule = ([members[i] for i in of_set], weights)
            one = pyo.SOSConstraint(initialize=lambda m, rule=rule: rule, sos=level)
            m.sets.add_component(f"s{number}", one)
        m.goal = pyo.Objective(
            expr=body(0) + 0 * m.x[0], sense=pyo.maximize if self.sense > 0 else pyo.minimize
        )
        annotate(m, onloading=m.x, offloading=m.y)
        return m

    def _allows(self, nonzero):
        for level, members, weights in self.sets:
            order = np.argsort(weights)
            there = np.flatnonzero(np.array(nonzero)[np.array(members)[order]])
            if len(there) and there[-1] - there[0] >= level:
                return False
        return True

    def optimum(self):
        """Return the best objective by enumeration of x and of which y are 0; None without a plan."""
        best = None
        ranges = [range(self.count[0], self.count[1] + 1), *([range(2)] * (self.n - 1))]
        for x in itertools.product(*ranges):
            x = np.array(x)
            fixed = self.a @ x + np.einsum("rij,i,j->r", self.q, x, x)
            for there in itertools.product([False, True], repeat=self.k):
                there = np.array(there)
                if np.any(~there & (self.low > 0)) or not self._allows([*(x != 0), *there]):
                    continue
                sides = np.full(len(self.b) - 1, -np.inf), self.side - fixed[1:]
                found = lp_maximum(
                    self.sense * self.b[0], self.b[1:], *sides, self.low * there, self.high * there
                )
                if np.isfinite(found):
                    value = fixed[0] + self.sense * found
                    best = value if best is None else max(best, value, key=lambda v: self.sense * v)
        return best


def meets_sets(model):
    """Return whether the values meet every set, exactly."""
    for one in model.component_data_objects(pyo.SOSConstraint):
        held = [v.value for v, _ in sorted(one.get_items(), key=lambda item: item[1])]
        there = [k for k, value in enumerate(held) if value != 0]
        if there and there[-1] - there[0] >= one.level:
            return False
    return True


def solve(solver, model):
    """Solve without loading, and whatever comes out."""
    return solver.solve(model, rel_gap=1e-8, load_solutions=False, raise_exception_on_nonoptimal_result=False)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), exactly=st.booleans())
def test_the_optimum_is_that_of_enumeration(seed, exactly):
    """Plan and bound are right, sets hold exactly, the value is the user's own; the model stays."""
    drawn = Drawn(seed)
    model, best = drawn.model(), drawn.optimum()
    before = [c.name for c in model.component_data_objects()]
    referee = Referee(model, "drawn", "small", 0)
    results = solve(ExactJ3O() if exactly else J3O(), model)
    if best is None:
        assert results.incumbent_objective is None
        return
    assert results.incumbent_objective == pytest.approx(best, abs=1e-5)
    assert drawn.sense * (results.objective_bound - best) >= -1e-6
    results.solution_loader.load_vars()
    assert meets_sets(model)
    assert pyo.value(model.goal) == pytest.approx(results.incumbent_objective, abs=1e-9)
    assert referee.check(model, results.incumbent_objective, 1e-6)[1] == ()
    assert [c.name for c in model.component_data_objects()] == before
    assert set(map(id, results.solution_loader.get_vars())) <= set(
        map(id, model.component_data_objects(pyo.Var))
    )


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_transformed_models_have_the_same_optimum(seed):
    """`j3o.linearize_products` and `j3o.linearize_sos` leave a model that HiGHS solves to the same value."""
    drawn = Drawn(seed)
    model, best = drawn.model(), drawn.optimum()
    changed = pyo.TransformationFactory("j3o.linearize_sos").create_using(model)
    pyo.TransformationFactory("j3o.linearize_products").apply_to(changed)
    assert not list(changed.component_data_objects(pyo.SOSConstraint, active=True))
    results = pyo.SolverFactory("appsi_highs").solve(changed, load_solutions=False)
    assert (results.solver.termination_condition == pyo.TerminationCondition.optimal) is (best is not None)
    if best is None:
        return
    again = solve(J3O(), changed)
    assert again.incumbent_objective == pytest.approx(best, abs=1e-5)
    again.solution_loader.load_vars()
    pyo.TransformationFactory("j3o.linearize_sos").propagate_solution(changed, model)
    assert pyo.value(model.goal) == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_gurobi_finds_the_same(seed):
    """Gurobi, which takes sets and products as they are, comes to the same value."""
    pytest.importorskip("gurobipy")
    gurobi = pyo.SolverFactory("gurobi_direct")
    if not gurobi.available(exception_flag=False):
        pytest.skip("no licence")
    drawn = Drawn(seed)
    mine = solve(J3O(), drawn.model()).incumbent_objective
    model = drawn.model()
    direct = pyo.SolverFactory("gurobi_persistent", model=model)
    found = direct.solve(load_solutions=False)
    optimal = found.solver.termination_condition == pyo.TerminationCondition.optimal
    assert optimal is (mine is not None)
    if optimal:
        assert direct.get_model_attr("ObjVal") == pytest.approx(mine, abs=1e-5)


def co_located(interference=0.0, n=6):
    """Return a model in which models that share a server gain, or lose, by it."""
    m = pyo.ConcreteModel("co-located")
    m.x = pyo.Var(range(n), domain=pyo.Binary)
    m.y = pyo.Var(range(n), bounds=(0, 1))
    m.link = pyo.Constraint(range(n), rule=lambda m, i: m.y[i] <= m.x[i])
    shared = sum(m.x[i] * m.x[i + 1] for i in range(n - 1))
    m.room = pyo.Constraint(expr=sum(2 * m.x[i] for i in range(n)) - shared <= 5)
    m.gain = pyo.Objective(expr=pyo.quicksum(m.y.values()) - interference * shared, sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=m.y)
    return m


def test_co_location_is_worth_it():
    """Neighbours share memory: four of them fit into room for two and a half."""
    m = co_located()
    pyo.SolverFactory("j3o").solve(m)
    placed = [i for i in range(6) if m.x[i].value > 0.5]
    assert len(placed) == 4
    assert placed == list(range(placed[0], placed[0] + 4))


def test_a_plan_held_is_a_start():
    """A warm start completes what the user's variables say, and is never lost."""
    m = co_located(0.1)
    for i in range(6):
        m.x[i], m.y[i] = i in (1, 2, 3, 4), i in (1, 2, 3, 4)
    quick = {"max_iterations": 1, "improve": False, "effort": "alternation"}
    results = J3O().solve(m, warm_start=True, raise_exception_on_nonoptimal_result=False, **quick)
    assert results.incumbent_objective >= 3.7 - 1e-6


def test_a_persistent_solver_sees_every_change():
    """Sets and products that come, go and are freed count at the next solve."""
    m = co_located()
    opt = PersistentJ3O()
    assert opt.solve(m).incumbent_objective == pytest.approx(4)
    assert opt.solve(m).incumbent_objective == pytest.approx(4)
    m.one = pyo.SOSConstraint(var=m.y, sos=1)
    assert opt.solve(m).incumbent_objective == pytest.approx(1)
    m.one.deactivate()
    m.x[2].fix(0)
    assert opt.solve(m, rel_gap=1e-6).incumbent_objective == pytest.approx(3)
    m.x.fix(0)
    assert opt.solve(m).incumbent_objective == pytest.approx(0)
    m.x.unfix()
    assert opt.solve(m).incumbent_objective == pytest.approx(4)


def test_what_was_added_is_not_shown():
    """Reports, budgets, duals and conflicts speak of the user's own components."""
    m = co_located()
    m.dual, m.rc = (pyo.Suffix(direction=pyo.Suffix.IMPORT) for _ in range(2))
    m.near = pyo.SOSConstraint(var=m.y, sos=2)
    results = J3O().solve(m)
    assert "j3o_" not in str(report(m, results))
    assert "j3o_" not in str(budget_worth(m, results))
    assert {c.name for c in results.solution_loader.get_duals()} == {
        c.name for c in m.component_data_objects(pyo.Constraint)
    }
    assert {v.name for v in results.solution_loader.get_reduced_costs()} == {
        v.name for v in m.component_data_objects(pyo.Var)
    }
    m.most = pyo.Constraint(expr=sum(m.y.values()) >= 2.5)
    explanation = explain_infeasibility(m)
    text = str(explanation)
    assert "most" in text
    assert all(row.component.model() is m for c in explanation.conflicts for row in c.rows)
    assert "j3o_" not in text
    assert "near" in text
    assert all(
        row.component.model() is m for conflict in explain_infeasibility(m).conflicts for row in conflict.rows
    )


def test_a_report_says_whether_sets_hold():
    """They are no rows of the table: a sentence says that they hold, and a plan that misses one is none."""
    m = co_located()
    m.near = pyo.SOSConstraint(var=m.y, sos=2)
    results = J3O().solve(m)
    shown = report(m, results)
    assert "1 special ordered set holds, and is not in the table of rows." in shown.summary.notes
    held = shown.summary.missed
    for variable in m.y.values():
        variable.set_value(0.0)
    m.y[0].set_value(0.5)
    m.y[2].set_value(0.5)
    shown = report(m)
    assert (held, shown.summary.status) == (0, "no plan")
    assert "This is no plan: of 1 special ordered set, it misses 'near'." in shown.summary.notes


def test_sets_without_a_choice_add_nothing():
    """A set of no more members than its level, or of members that are 0 anyway, is no row."""
    m = co_located()
    m.two = pyo.SOSConstraint(initialize=lambda m: [m.y[0], m.y[1]], sos=2)
    m.empty = pyo.SOSConstraint(var=m.y, index=[0, 1], sos=1)
    m.empty.set_items([], [])
    m.y[0].fix(0)
    m.other = pyo.SOSConstraint(initialize=lambda m: [m.y[0], m.y[5]], sos=1)
    assert J3O().solve(m).incumbent_objective == pytest.approx(4)


def test_a_member_in_a_tiny_unit_counts():
    """A bound of 1e-9 is no 0: the set holds in any unit."""
    m = pyo.ConcreteModel()
    m.y = pyo.Var([1, 2, 3], bounds=(0, 1e-9))
    m.one = pyo.SOSConstraint(var=m.y, sos=1)
    m.gain = pyo.Objective(expr=1e9 * sum(m.y.values()), sense=pyo.maximize)
    results = J3O().solve(m)
    assert results.incumbent_objective == pytest.approx(1)
    assert meets_sets(m)


def open_member(m):
    """Take a bound away, and add a set."""
    m.y[3].setub(None)
    m.link[3].deactivate()
    m.near = pyo.SOSConstraint(var=m.y, sos=1)


def third_level(m):
    """Add a set of level 3."""
    m.near = pyo.SOSConstraint(var=m.y, sos=3)


def twice(m):
    """Add a set that holds a member twice."""
    m.near = pyo.SOSConstraint(initialize=lambda m: [m.y[1], m.y[3], m.y[3]], sos=1)


def unmarked(m):
    """Add a set with a variable of no role."""
    m.z = pyo.Var([1, 2], bounds=(0, 1))
    m.near = pyo.SOSConstraint(var=m.z, sos=1)


def two_counts(m):
    """Add a product of two integers."""
    m.n = pyo.Var([1, 2], domain=pyo.Integers, bounds=(0, 3))
    annotate(m, onloading=m.n)
    m.near = pyo.Constraint(expr=m.n[1] * m.n[2] <= 4)


def three(m):
    """Add a product of three."""
    m.near = pyo.Constraint(expr=m.x[1] * m.x[2] * m.x[3] <= 0)


@pytest.mark.parametrize("name", ["j3o", "j3o.exact"])
@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (open_member, ModelError, r"SOSConstraint 'near' holds 'y\[3\]', which has no upper bound.*setub"),
        (third_level, ModelError, r"'near' is of level 3, and j3o takes levels 1 and 2; write it"),
        (twice, ModelError, r"'near' holds 'y\[3\]' more than once"),
        (unmarked, AnnotationError, r"'z\[1\]'.*annotate"),
        (two_counts, UnsupportedTermError, r"'near' holds the term n\[1\]\*n\[2\], .*weighted sum of Binary"),
        (three, UnsupportedTermError, "'near' holds the term"),
    ],
)
def test_what_stays_refused_says_what_to_write(spoil, error, message, name):
    """One sentence with the component and the remedy; the model is left as it was."""
    m = co_located()
    spoil(m)
    for variable in m.component_data_objects(pyo.Var):
        variable.set_value(1)
    before = [c.name for c in m.component_data_objects()]
    with pytest.raises(error, match=message):
        pyo.SolverFactory(name).solve(m)
    assert [c.name for c in m.component_data_objects()] == before
    assert all(variable.value == 1 for variable in m.component_data_objects(pyo.Var))


def test_the_remedy_for_two_counts_holds():
    """One count as a weighted sum of binaries: the product is taken, and right."""
    m = pyo.ConcreteModel()
    m.n = pyo.Var(domain=pyo.Integers, bounds=(0, 3))
    m.b = pyo.Var([1, 2], domain=pyo.Binary)
    m.room = pyo.Constraint(expr=m.n + 2 * (m.b[1] + 2 * m.b[2]) <= 7)
    m.gain = pyo.Objective(expr=m.n * (m.b[1] + 2 * m.b[2]), sense=pyo.maximize)
    annotate(m, onloading=[m.n, m.b])
    assert J3O().solve(m, rel_gap=1e-6).incumbent_objective == pytest.approx(6)


def test_a_referee_sees_a_set_that_is_missed():
    """A plan with members too far apart is none, whoever made it."""
    m = co_located()
    m.near = pyo.SOSConstraint(var=m.y, sos=2)
    referee = Referee(m, "co-located", "small", 0)
    for i in range(6):
        m.x[i], m.y[i] = i in (0, 2), 0.5 * (i in (0, 2))
    complaints = referee.check(m, None, 1e-6)[1]
    assert complaints == ("special ordered set 'near' is missed by 0.5",)
    m.y[2] = 0
    assert referee.check(m, None, 1e-6)[1] == ()
