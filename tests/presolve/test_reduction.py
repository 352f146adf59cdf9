"""One law for all reductions: what is true of the reduced problem comes back as true of the original."""

from dataclasses import replace

import numpy as np
import pytest
from batching_models import Drawn
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse
from small_problems import (
    INF,
    beside,
    brute_force,
    linear_problems,
    permuted,
    placements,
    problem_of,
    product_problems,
)

from pyomo_j3o.core.deadline import NEVER
from pyomo_j3o.core.problem import Plan, evaluate, missed
from pyomo_j3o.core.results import Cuts, Ending, Outcome, Step
from pyomo_j3o.lp import HighsBackend, LPStatus
from pyomo_j3o.lp.duality import dual_bound
from pyomo_j3o.methods.own_rows import routing_model
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.presolve.aggregating import aggregate_capacities
from pyomo_j3o.presolve.decomposing import split
from pyomo_j3o.presolve.forms import forms_of
from pyomo_j3o.presolve.linearize import linearize
from pyomo_j3o.presolve.reduction import Chain, SameColumns
from pyomo_j3o.presolve.scaling import scale, scale_rows
from pyomo_j3o.presolve.setup_payers import charge_when_onloaded, charge_when_used
from pyomo_j3o.presolve.tightening import SmallerM, shrink_big_m

kinds = st.fixed_dictionaries({name: st.booleans() for name in ("shared", "ungated", "costs", "forced")})


# --- the law --------------------------------------------------------------------------------------------


def optimum(problem):
    """Return the outcome of a proof by enumeration: the best plan, its bound and its duals."""
    best, duals = None, None
    for x in placements(problem):
        program = HighsBackend().open(routing_model(problem, x))
        found = program.solve()
        program.close()
        if found.status is not LPStatus.OPTIMAL or missed(problem, x.astype(float), found.values):
            continue
        value = evaluate(problem, x.astype(float), found.values)
        if best is None or value > best.objective:
            best, duals = Plan(x, found.values, value), found.row_duals
    if best is None:
        return Outcome(None, -INF, Ending.INFEASIBLE)
    step = Step("swaps", abs(best.objective), abs(best.objective), 1.0)
    return Outcome(best, best.objective, Ending.GAP, duals, steps=(step,))


def dual_value(problem, x, duals):
    """Return what duals prove of all routings of a placement."""
    model = routing_model(problem, x)
    constant = evaluate(problem, x.astype(float), np.zeros(problem.n_offloading))
    return dual_bound(model, duals, model.lower, model.upper) + constant


def scaled_by(factors, matrix):
    """Return the matrix with every row times its factor, its indices sorted as those of every `Problem`."""
    product = sparse.csr_array(sparse.diags_array(factors) @ matrix)
    product.sort_indices()
    return product


def require_same(one, other, size):
    """Require that two plans are the same up to rounding."""
    assert np.array_equal(one.x, other.x)
    assert one.y == pytest.approx(other.y, rel=1e-6, abs=1e-6)
    assert one.objective == pytest.approx(other.objective, rel=1e-9, abs=1e-9 * size)


def drops_a_dual(reduction, outcome):
    """Return whether a smaller M on the way back leaves a dual out: its row has room in the original."""
    if isinstance(reduction, SmallerM):
        return not np.array_equal(reduction.restore(outcome).duals, outcome.duals)
    for link in reversed(reduction.links if isinstance(reduction, Chain) else ()):
        if drops_a_dual(link, outcome):
            return True
        outcome = link.restore(outcome)
    return False


def require_law(problem, reduction, truth, size=1.0, restricts=False):
    """Require of one reduction what holds of all.

    Parameters
    ----------
    problem, reduction
        The original, and what it is reduced by.
    truth
        The optimum of the original: -inf without a plan.
    size
        What counts as 1 in the objective of the original.
    restricts
        Plans of the original may be missing.
    """
    outcome, close = optimum(reduction.problem), {"rel": 1e-6, "abs": 1e-6 * size}
    back = reduction.restore(outcome)
    if outcome.plan is None:
        assert restricts or truth == -INF
        assert back.plan is None
        assert back.bound == (INF if restricts else -INF)
        return
    plan = back.plan

    # The plan is feasible, and worth the same; to the user as well, whatever the sense and the unit.
    assert not missed(problem, plan.x.astype(float), plan.y)
    assert plan.objective == pytest.approx(evaluate(problem, plan.x.astype(float), plan.y), **close)
    user = outcome.plan.objective * reduction.problem.sense
    assert user == pytest.approx(plan.objective * problem.sense, **close)
    if not restricts:
        assert plan.objective == pytest.approx(truth, **close)

    # A bound keeps its direction: a looser one comes back looser.
    if restricts:
        assert back.bound == INF
    else:
        assert back.bound == pytest.approx(truth, **close)
        looser = reduction.restore(replace(outcome, bound=outcome.bound + abs(outcome.bound) + 1.0))
        assert looser.bound > back.bound
        assert reduction.restore(replace(outcome, bound=INF)).bound == INF

    # Duals come back with the sign and in the unit of the rows: they prove what they proved before.
    if back.duals is not None:
        assert back.duals.shape == (problem.n_rows,)
        before = dual_value(reduction.problem, outcome.plan.x, outcome.duals)
        after = dual_value(problem, plan.x, back.duals)
        assert before == pytest.approx(outcome.plan.objective, rel=1e-6, abs=1e-6)
        if drops_a_dual(reduction, outcome):
            # A row had bound by its smaller M, which other rows imply: their duals are not at hand.
            assert after >= plan.objective - 1e-6 * max(abs(plan.objective), size)
        else:
            assert after == pytest.approx(plan.objective, **close)

    # What a step gained is told in the unit of the plan.
    assert back.steps[0].gained == pytest.approx(abs(plan.objective), **close)
    assert back.steps[0].lowered == pytest.approx(abs(plan.objective), **close)

    # A plan that is reduced and restored is itself.
    require_same(reduction.restore_plan(reduction.reduce(plan)), plan, size)
    assert reduction.restore_plan(outcome.plan).objective == plan.objective


# --- problems -------------------------------------------------------------------------------------------


@st.composite
def in_odd_units(draw):
    """Draw a problem with rows, y and objective in far units, its optimum, and what counts as 1 there."""
    plain = draw(st.one_of(linear_problems(bounded=True), product_problems()))

    def powers(n):
        return np.array([10.0 ** draw(st.sampled_from([0, 0, 0, -5, -2, 3, 6])) for _ in range(n)])

    row, unit, price = powers(plain.n_rows), powers(plain.n_offloading), float(powers(1)[0])
    terms = plain.products
    of_row = np.append(row, price)[terms.row]
    problem = replace(
        plain,
        onloading_objective=plain.onloading_objective * price,
        offloading_objective=plain.offloading_objective * price / unit,
        objective_constant=plain.objective_constant * price,
        onloading_rows=scaled_by(row, plain.onloading_rows),
        offloading_rows=scaled_by(row, plain.offloading_rows @ sparse.diags_array(1.0 / unit)),
        row_lower=plain.row_lower * row,
        row_upper=plain.row_upper * row,
        offloading_lower=plain.offloading_lower * unit,
        offloading_upper=plain.offloading_upper * unit,
        products=replace(terms, coefficient=terms.coefficient * of_row / unit[terms.offloading]),
    )
    return problem, brute_force(plain) * price, price


@st.composite
def behind_huge_m(draw):
    """Draw a linear problem in which some y are open with an x, by an M of a million."""
    problem = draw(linear_problems(most_x=3, most_y=4, most_rows=4, bounded=True))
    n, pairs = draw(st.integers(1, 3)), []
    for _ in range(n):
        x, y = (draw(st.integers(0, k - 1)) for k in (problem.n_onloading, problem.n_offloading))
        pairs.append((x, y))
    x_rows, y_rows = np.zeros((n, problem.n_onloading)), np.zeros((n, problem.n_offloading))
    for r, (x, y) in enumerate(pairs):
        x_rows[r, x], y_rows[r, y] = -1e6, 1.0
    return replace(
        problem,
        onloading_rows=sparse.csr_array(np.vstack([problem.onloading_rows.toarray(), x_rows])),
        offloading_rows=sparse.csr_array(np.vstack([problem.offloading_rows.toarray(), y_rows])),
        row_lower=np.concatenate([problem.row_lower, np.full(n, -INF)]),
        row_upper=np.concatenate([problem.row_upper, np.zeros(n)]),
    )


@st.composite
def locations(draw):
    """Draw a facility-location problem in which capacities must cover demand."""
    sites, customers = range(draw(st.integers(2, 4))), range(draw(st.integers(1, 3)))
    demand = [draw(st.integers(1, 5)) for _ in customers]
    rows = [({f"y{i}{j}": 1 for i in sites}, 1, 1) for j in customers]
    rows += [
        ({f"y{i}{j}": demand[j] for j in customers} | {f"x{i}": -draw(st.integers(1, 9))}, -INF, 0)
        for i in sites
    ]
    y = {f"y{i}{j}": -float(draw(st.integers(0, 5))) for i in sites for j in customers}
    return problem_of({f"x{i}": -3.0 - i for i in sites}, y, rows, sense=draw(st.sampled_from([1, -1])))


# --- each of them, and all together ---------------------------------------------------------------------


@settings(deadline=None, max_examples=70)
@given(drawn=in_odd_units())
def test_scaling(drawn):
    """Units change; what is true does not."""
    problem, truth, size = drawn
    assume(np.isfinite(truth))
    require_law(problem, scale(problem), truth, size)


@settings(deadline=None, max_examples=40)
@given(problem=linear_problems(bounded=True), exponent=st.sampled_from([-5, 6]))
def test_scaling_rows(problem, exponent):
    """Rows a million times as large, or a hundred thousandth, are the same rows."""
    far = replace(
        problem,
        onloading_rows=problem.onloading_rows * 10.0**exponent,
        offloading_rows=problem.offloading_rows * 10.0**exponent,
        row_lower=problem.row_lower * 10.0**exponent,
        row_upper=problem.row_upper * 10.0**exponent,
    )
    require_law(far, scale_rows(far), brute_force(problem))


@settings(deadline=None, max_examples=70)
@given(problem=product_problems())
def test_linearising(problem):
    """Products or columns in their place."""
    require_law(problem, linearize(problem), brute_force(problem))


@settings(deadline=None, max_examples=70)
@given(problem=behind_huge_m())
def test_shrinking_big_m(problem):
    """An M of a million or one that the row needs."""
    require_law(problem, shrink_big_m(problem), brute_force(problem))


def test_a_row_that_binds_by_its_smaller_m_is_worth_nothing():
    """In y <= 1e6 x with y <= 3, the bound binds, whatever the LP prices; what y <= 0 is worth stays."""
    problem = problem_of(
        {"a": -1, "b": 0},
        {"y": (1, 0, 3), "z": (1, 0, 3)},
        [({"y": 1, "a": -1e6}, -INF, 0), ({"z": 1, "b": -1e6}, -INF, 0)],
    )
    reduction = shrink_big_m(problem)
    assert reduction.changed.tolist() == [0, 1]
    x = np.array([True, False])
    outcome = Outcome(Plan(x, np.array([3.0, 0.0]), 2.0), 2.0, Ending.GAP, np.ones(2))
    back = reduction.restore(outcome)
    assert back.duals.tolist() == [0, 1]
    assert dual_value(problem, x, back.duals) == pytest.approx(2.0)
    assert dual_value(problem, x, outcome.duals) > 1e5


@pytest.mark.parametrize("reduce", [scale, scale_rows, shrink_big_m])
def test_matrices_that_share_indices_do_not_spoil_one_another(reduce):
    """Taking absolute values sorts a matrix in place: nothing else may change with it."""
    rows = [({"a": -3e9, "y": 1}, -INF, 0), ({"a": 5e-9, "b": 1e-9, "c": 4e-9, "y": 2e-9}, -INF, 7e-9)]
    problem = problem_of(dict.fromkeys("abc", 1), {"y": 1}, rows)
    reduced = reduce(problem).problem
    last = shrink_big_m(reduced).problem
    before = [one.onloading_rows.toarray() for one in (problem, reduced, last)]
    for one in (last, reduced, problem):
        abs(one.onloading_rows)
    after = [one.onloading_rows.toarray() for one in (problem, reduced, last)]
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))


@settings(deadline=None, max_examples=40)
@given(problem=locations())
def test_aggregating_capacities(problem):
    """With a row that says that capacities cover demand, or without."""
    require_law(problem, aggregate_capacities(problem, HighsBackend(), NEVER), brute_force(problem))


@pytest.mark.parametrize("charge", [charge_when_used, charge_when_onloaded])
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), kind=kinds)
def test_eliminating_indicators(charge, seed, kind):
    """With indicators of batches, or with models that pay for them."""
    problem = compile_model(Drawn(seed, **kind).model())[0]
    reduction = charge(problem, negligible=False)
    require_law(problem, reduction, brute_force(problem), restricts=charge is charge_when_onloaded)


@settings(deadline=None, max_examples=70)
@given(drawn=in_odd_units())
def test_the_chain_of_all(drawn):
    """From the user's problem to scaled rows of a linear form with small M, and back."""
    problem, truth, size = drawn
    assume(np.isfinite(truth))
    forms = forms_of(problem)
    assume(not forms.scaling.crossed)
    chain = Chain((forms.scaling, forms.to_linear))
    assert chain.problem is forms.linear is forms.last
    require_law(problem, chain, truth, size)


@settings(deadline=None, max_examples=40)
@given(problem=product_problems())
def test_chains_compose(problem):
    """A chain of chains gives what its links give one after the other; nothing changes nothing."""
    linearized = linearize(problem)
    smaller = shrink_big_m(linearized.problem)
    rows = scale_rows(smaller.problem)
    outcome = optimum(rows.problem)
    back = linearized.restore(smaller.restore(rows.restore(outcome)))
    chains = (
        Chain((linearized, smaller, rows)),
        Chain((Chain((linearized, smaller)), rows)),
        Chain((SameColumns(problem, problem.n_rows), linearized, Chain((smaller, rows)))),
    )
    for chain in chains:
        again = chain.restore(outcome)
        assert again.bound == back.bound
        assert again.steps == back.steps
        if back.plan is not None:
            assert np.array_equal(again.duals, back.duals)
            assert np.array_equal(again.plan.y, back.plan.y)
            there = rows.reduce(smaller.reduce(linearized.reduce(back.plan)))
            assert np.array_equal(chain.reduce(back.plan).y, there.y)


@settings(deadline=None, max_examples=40)
@given(one=product_problems(most_x=2, most_rows=3), other=linear_problems(2, 3, 3, True), data=st.data())
def test_splitting_into_parts(one, other, data):
    """The optima of the parts, put together, are the optimum: plan, bound and duals."""
    whole = replace(beside(one, other), products=one.products)
    sizes = (whole.n_onloading, whole.n_offloading, whole.n_rows)
    whole = permuted(whole, *(np.array(data.draw(st.permutations(range(n))), dtype=np.int64) for n in sizes))
    apart, truth = split(whole, smallest=0), brute_force(whole)
    outcomes = [optimum(part.problem) for part in apart.parts]
    plans = [outcome.plan for outcome in outcomes if outcome.plan is not None]
    if len(plans) < len(outcomes):
        assert truth == -INF
        return
    x, y = apart.placement(plan.x for plan in plans), apart.offloading(plan.y for plan in plans)
    duals = apart.rows(outcome.duals for outcome in outcomes)
    value = evaluate(whole, x.astype(float), y)
    assert not missed(whole, x.astype(float), y)
    assert value == pytest.approx(truth, abs=1e-6)
    assert sum(outcome.bound for outcome in outcomes) + whole.objective_constant == pytest.approx(
        truth, abs=1e-6
    )
    assert dual_value(whole, x, duals) == pytest.approx(value, abs=1e-6)
    assert np.array_equal(apart.onloading(plan.x.astype(float) for plan in plans), x)
    for part, plan in zip(apart.parts, plans, strict=True):
        require_same(part.reduce(Plan(x, y, value)), plan, 1.0)
        assert apart.columns(part).tolist() == [
            *part.onloading.tolist(),
            *(whole.n_onloading + part.offloading).tolist(),
        ]


def test_a_ray_and_cuts_come_back_in_columns_of_the_original():
    """Columns of products are none of the original; cuts over them say nothing there."""
    problem = problem_of({"a": -1, "b": 0}, {"y": (1, 0, 3)}, products=[(-1, "a", "y", 5), (-1, "b", "y", 1)])
    linearized = linearize(problem)
    n = linearized.problem.n_offloading
    assert n > 1
    cuts = Cuts(sparse.csr_array((0, 2 + n)), np.zeros(0), np.zeros(0))
    outcome = Outcome(None, INF, Ending.UNBOUNDED, ray=tuple(range(n)), cuts=cuts)
    back = linearized.restore(outcome)
    assert back.ray == (0,)
    assert back.cuts is None
