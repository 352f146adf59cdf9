"""Conflicts on arrays: what is named conflicts, nothing of it can be left out, the growth told does."""

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_problems import SHAPES, random_problem
from scipy import sparse
from small_problems import INF, beside, brute_force, linear_problems, placements, problem_of, product_problems

from pyomo_j3o.diagnosis.conflicts import find_conflicts
from pyomo_j3o.diagnosis.subsystems import Growth
from pyomo_j3o.diagnosis.system import Side, System
from pyomo_j3o.lp import LPStatus

#: By so much a side is moved beyond what is told: LP solvers round.
ROUNDING = 1e-6


def has_plan(problem):
    """Whether some placement can be routed, by enumeration and scipy's LP."""
    nothing = replace(
        problem,
        onloading_objective=0 * problem.onloading_objective,
        offloading_objective=0 * problem.offloading_objective,
        products=replace(
            problem.products,
            coefficient=np.where(problem.products.row < 0, 0.0, problem.products.coefficient),
        ),
    )
    return bool(brute_force(nothing) > -INF)


def moved(problem, changes):
    """Return the problem with some sides moved outwards, {side: amount}."""
    parts = {
        name: getattr(problem, name).astype(float).copy()
        for name in (
            f"{kind}_{end}" for kind in ("row", "onloading", "offloading") for end in ("lower", "upper")
        )
    }
    for side, amount in changes.items():
        name, number = "row", side.row
        if side.row < 0:
            on = side.column < problem.n_onloading
            name, number = ("onloading", side.column) if on else (
                "offloading", side.column - problem.n_onloading)  # fmt: skip
        parts[f"{name}_{'upper' if side.upper else 'lower'}"][number] += amount if side.upper else -amount
    parts["onloading_lower"] = np.maximum(parts["onloading_lower"], 0.0)
    parts["onloading_upper"] = np.minimum(parts["onloading_upper"], 1.0)
    return replace(problem, **parts)


def only(problem, sides):
    """Return the problem with these sides alone, and what counts as given."""
    in_product = np.zeros(problem.n_offloading, dtype=bool)
    in_product[problem.products.offloading] = True
    every = [Side(r, -1, up) for r in range(problem.n_rows) for up in (False, True)]
    every += [Side(-1, c, up) for c in range(problem.n_onloading) for up in (False, True)]
    for j in np.flatnonzero(~in_product):
        column = problem.n_onloading + int(j)
        every += [Side(-1, column, False)] if problem.offloading_lower[j] != 0 else []
        every.append(Side(-1, column, True))
    return moved(problem, {side: INF for side in every if side not in sides})


def reliefs(conflicts):
    """Return what relieves all these conflicts, {side: amount}."""
    total = {}
    for conflict in conflicts:
        for side, amount in zip(conflict.sides, conflict.together, strict=True):
            total[side] = total.get(side, 0.0) + amount + (ROUNDING if amount else 0.0)
    return total


def check_laws(problem):
    """Assert all that is claimed of the conflicts of a problem."""
    finding = find_conflicts(problem)
    assert finding.feasible is has_plan(problem)
    assert bool(finding.conflicts) is not finding.feasible
    for k, conflict in enumerate(finding.conflicts):
        before = moved(problem, reliefs(finding.conflicts[:k]))
        whole = [*conflict.sides, *conflict.ties]
        assert len(set(whole)) == len(whole)
        assert conflict.irreducible
        assert conflict.ties_irreducible
        assert not has_plan(only(before, whole))
        for side in whole:
            assert has_plan(only(before, [other for other in whole if other != side]))
        others = [other for other in finding.conflicts if other is not conflict]
        around = moved(problem, reliefs(others))
        if not finding.complete:
            continue
        for side, growth in zip(conflict.sides, conflict.alone, strict=True):
            assert growth.proven
            if growth.amount == INF:
                assert not has_plan(moved(around, {side: 1e6}))
                continue
            assert growth.amount > 0
            assert has_plan(moved(around, {side: growth.amount + ROUNDING}))
            if not others:
                # What relieves the others is a little more than it has to be.
                assert not has_plan(moved(around, {side: growth.amount * (1 - 1e-3)}))
    if finding.conflicts and finding.complete:
        assert has_plan(moved(problem, reliefs(finding.conflicts)))
    return finding


@settings(deadline=None, max_examples=40)
@given(problem=linear_problems())
def test_laws_on_linear_problems(problem):
    """Named is what conflicts, no part of it can be left out, the growth told is enough and no less is."""
    check_laws(problem)


@settings(deadline=None, max_examples=30)
@given(problem=product_problems())
def test_laws_with_products(problem):
    """The same with products x·y, whose linearisation is never named."""
    check_laws(problem)


@settings(deadline=None, max_examples=20)
@given(problem=linear_problems(most_x=3, most_y=3, most_rows=4), data=st.data())
def test_a_plan_asked_too_much_of(problem, data):
    """A row that asks for more than any plan gives is in the conflict."""
    assume(problem.n_onloading and has_plan(problem))
    body = np.zeros(problem.n_onloading)
    body[data.draw(st.integers(0, problem.n_onloading - 1))] = 1.0
    asked = replace(
        problem,
        onloading_rows=sparse.csr_array(sparse.vstack([problem.onloading_rows, body[None]], format="csr")),
        offloading_rows=sparse.csr_array(
            sparse.vstack([problem.offloading_rows, np.zeros((1, problem.n_offloading))], format="csr")
        ),
        row_lower=np.append(problem.row_lower, 2.0),
        row_upper=np.append(problem.row_upper, INF),
    )
    finding = check_laws(asked)
    (conflict,) = finding.conflicts
    assert Side(problem.n_rows, -1, False) in conflict.sides


def test_independent_parts_have_a_conflict_each():
    """Two problems side by side, both without a plan: one conflict each, in the numbers of the whole."""
    one = problem_of({"a": 0}, {"y": 0}, [({"y": 1, "a": -1}, -INF, 0), ({"y": 1}, 2, INF)])
    finding = find_conflicts(beside(one, one))
    assert {conflict.sides for conflict in finding.conflicts} == {
        (Side(1, -1, False),),
        (Side(3, -1, False),),
    }
    assert all(conflict.alone == (Growth(1.0, 1.0),) for conflict in finding.conflicts)


def test_only_the_integers_conflict():
    """2a + 2b = 3 has no binary solution; both sides of the row are to blame."""
    problem = problem_of({"a": 0, "b": 0}, {}, [({"a": 2, "b": 2}, 3, 3), ({"a": 1, "b": 1}, -INF, 2)])
    (conflict,) = check_laws(problem).conflicts
    assert {side.row for side in conflict.sides} == {0}
    assert [growth.amount for growth in conflict.alone] == pytest.approx([1, 1])


def test_budgets_are_named_and_links_are_ties():
    """Demand against a budget through links: two rows, and the links beside them."""
    rows = [
        ({"a": 2, "b": 3}, -INF, 4),
        ({"y": 1, "a": -1}, -INF, 0),
        ({"z": 1, "b": -1}, -INF, 0),
        ({"y": 1, "z": 1}, 2, 2),
    ]
    (conflict,) = check_laws(problem_of({"a": 0, "b": 0}, {"y": 0, "z": 0}, rows)).conflicts
    assert {side.row for side in conflict.sides} == {0, 3}
    assert {side.row for side in conflict.ties} == {1, 2}


def test_rows_in_tiny_units_have_growth_in_these_units():
    """A budget written in units of 1e-9 is told in them."""
    problem = problem_of({"a": 0}, {"y": 0}, [({"y": 4e-9}, -INF, 1e-9), ({"y": 1}, 1, INF)])
    (conflict,) = find_conflicts(problem).conflicts
    amounts = dict(zip(conflict.sides, conflict.alone, strict=True))
    assert amounts[Side(0, -1, True)].amount == pytest.approx(3e-9)
    assert amounts[Side(1, -1, False)].amount == pytest.approx(0.75)


def test_crossed_bounds_are_a_conflict():
    """Sides that leave no value between them are named before anything is solved."""
    problem = problem_of({"a": 0}, {"y": (0, 2, 1)}, [({"y": 1, "a": 1}, 3, 2.5)])
    finding = find_conflicts(problem)
    assert [conflict.sides[0] for conflict in finding.conflicts] == [Side(0, -1, False), Side(-1, 1, False)]
    assert not finding.complete


def test_rows_of_constants_and_no_columns():
    """A row without any variable that its constant breaks conflicts by itself."""
    (conflict,) = find_conflicts(problem_of({}, {}, [({}, 1, INF)])).conflicts
    assert conflict.sides == (Side(0, -1, False),)
    assert find_conflicts(problem_of({}, {})).feasible


def test_out_of_time_is_neither_plan_nor_conflict():
    """Without time nothing is claimed."""
    problem = problem_of({"a": 0, "b": 0}, {}, [({"a": 2, "b": 2}, 3, 3)])
    finding = find_conflicts(problem, time_limit=0.0)
    assert finding.feasible is None
    assert not finding.conflicts


def test_where_nothing_was_looked_for_nothing_is_claimed():
    """An empty list of conflicts is no plan."""
    problem = problem_of({"a": 0, "b": 0}, {}, [({"a": 2, "b": 2}, 3, 3)])
    assert find_conflicts(problem, most=0).feasible is None


def test_gurobi_agrees():
    """On random problems Gurobi's own conflict is infeasible exactly when there is one here."""
    gurobipy = pytest.importorskip("gurobipy")
    rng = np.random.default_rng(5)
    sizes = []
    for number in range(40):
        problem = random_problem(rng, SHAPES[number % len(SHAPES)], n_x=4, n_y=4)
        if len(problem.products) or not placements(problem) or not problem.n_rows:
            continue
        problem = replace(problem, row_lower=np.where(rng.random(problem.n_rows) < 0.2,
            np.minimum(problem.row_upper, 9.0), problem.row_lower))  # fmt: skip
        env = gurobipy.Env(params={"OutputFlag": 0})
        model = gurobipy.Model(env=env)
        x = model.addMVar(problem.n_onloading, lb=problem.onloading_lower, ub=problem.onloading_upper,
                          vtype="B")  # fmt: skip
        y = model.addMVar(problem.n_offloading, lb=problem.offloading_lower, ub=problem.offloading_upper)
        for r in range(problem.n_rows):
            body = problem.onloading_rows[[r]].toarray() @ x if problem.n_onloading else 0
            body = body + (problem.offloading_rows[[r]].toarray() @ y if problem.n_offloading else 0)
            if np.isfinite(problem.row_lower[r]):
                model.addConstr(body >= problem.row_lower[r], name=f"{r}>")
            if np.isfinite(problem.row_upper[r]):
                model.addConstr(body <= problem.row_upper[r], name=f"{r}<")
        model.optimize()
        infeasible = model.Status in (gurobipy.GRB.INFEASIBLE, gurobipy.GRB.INF_OR_UNBD)
        finding = find_conflicts(problem)
        assert finding.feasible is not infeasible
        if infeasible:
            model.computeIIS()
            theirs = sum(c.IISConstr for c in model.getConstrs())
            ours = finding.conflicts[0]
            # Both are irreducible; neither is the smallest there is for certain.
            sizes.append((sum(side.row >= 0 for side in ours.sides), theirs))
        model.dispose()
        env.dispose()
    assert len(sizes) >= 5
    assert sum(ours for ours, _ in sizes) <= sum(theirs for _, theirs in sizes)


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.lists(st.integers(1, 4 * 10**12), min_size=2, max_size=6),
    short=st.integers(1, 1000),
    wanted=st.integers(1, 6),
    lower=st.booleans(),
)
def test_rows_of_whole_numbers_are_counted_to_the_last_unit(sizes, short, wanted, lower):
    """Of bytes, one that is missing is told: what is enough is a sum of sizes, and no smaller one is."""
    wanted = min(wanted, len(sizes))
    fewest = sum(sorted(sizes)[:wanted])
    short = min(short, fewest)
    names = [f"x{i}" for i in range(len(sizes))]
    sign = -1 if lower else 1
    room = {name: sign * size for name, size in zip(names, sizes, strict=True)}
    side = sign * (fewest - short)
    problem = problem_of(
        dict.fromkeys(names, 0),
        {},
        [(room, side if lower else -INF, INF if lower else side), (dict.fromkeys(names, 1), wanted, INF)],
    )
    finding = find_conflicts(problem)
    assert finding.feasible is False
    (conflict,) = finding.conflicts
    growths = dict(zip(conflict.sides, conflict.alone, strict=True))
    growth = growths[Side(0, -1, not lower)]
    assert growth.amount == short
    assert growth.proven


def test_a_row_of_multiples_that_misses_its_side_is_named_at_once():
    """30 even sizes are no odd number: no MIP solver has to find that out."""
    sizes = 2 * np.random.default_rng(1).integers(10**8, 10**9, 30)
    names = [f"x{i}" for i in range(30)]
    odd = float(sizes.sum() // 4 * 2 + 1)
    row = (dict(zip(names, sizes.astype(float), strict=True)), odd, odd)
    problem = problem_of(dict.fromkeys(names, 0), {"y": (0, 1, 1)}, [row, ({"y": 1, "x0": -1}, -INF, 0)])
    begin = time.perf_counter()
    finding = find_conflicts(problem, time_limit=60)
    assert time.perf_counter() - begin < 20
    (conflict,) = finding.conflicts
    assert conflict.sides == (Side(0, -1, False), Side(0, -1, True))
    assert conflict.irreducible
    for growth in conflict.alone:
        # What is enough is a sum of sizes, and so no nearer than the next even number.
        assert growth is None or (growth.amount >= 1 and growth.amount % 2 == 1)
    # Where a side alone is out of reach, that side is the conflict.
    high = problem_of({"a": 0}, {}, [({"a": 2}, 3, 3)])
    assert find_conflicts(high).conflicts[0].sides == (Side(0, -1, False),)


def test_where_the_search_is_undecided_rows_are_asked_alone(monkeypatch):
    """Sums of 6, 10 and 15 that are 7 do not exist, whatever else the model holds."""
    names = ["a", "b", "c"]
    sevens = ({"a": 6, "b": 10, "c": 15}, 7, 7)
    others = [({name: 1.5, "y": -1}, -INF, 1) for name in names]
    problem = problem_of(dict.fromkeys(names, 0), {"y": (0, 1, 1)}, [*others, sevens])
    status = System.status

    def undecided(self, members, deadline):
        found = status(self, members, deadline)
        return LPStatus.TIME_LIMIT if len(members) > 2 and found is LPStatus.INFEASIBLE else found

    monkeypatch.setattr(System, "status", undecided)
    finding = find_conflicts(problem)
    assert finding.conflicts[0].sides == (Side(3, -1, False), Side(3, -1, True))
