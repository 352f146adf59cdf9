"""Limits bind: what is stored and listed grows with the arrays, and a clock that is out ends every step."""

import itertools

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from large_models import KINDS, wide_knapsack
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.results import TerminationCondition
from scipy import sparse
from small_problems import INF, Looks, linear_problems, problem_of

from pyomo_j3o.alternate import greedy_state
from pyomo_j3o.alternate.greedy_state import GreedyState
from pyomo_j3o.alternate.lagrangian import price
from pyomo_j3o.alternate.offloading import OffloadingStep
from pyomo_j3o.alternate.onloading import greedy, greedy_onloading
from pyomo_j3o.certify import covers
from pyomo_j3o.certify.covers import Knapsacks, separate
from pyomo_j3o.certify.params import CoverParams
from pyomo_j3o.core import demand_groups
from pyomo_j3o.core.deadline import OutOfTime
from pyomo_j3o.core.matrices import among, distinct
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.improve.idle import drop_idle
from pyomo_j3o.improve.local_search import Descent, descend
from pyomo_j3o.improve.neighbourhood import Neighbourhood
from pyomo_j3o.improve.params import DescentParams
from pyomo_j3o.lp import HighsBackend
from pyomo_j3o.modeling import rows as rows_module
from pyomo_j3o.modeling.compiler import compile_model


@pytest.fixture(scope="module")
def wide():
    """Return the structure of a model with one row over all of 300 binaries, and many rows of three."""
    return analyse(compile_model(wide_knapsack(items=300))[0])


def knapsacks_of(rows, n):
    """Return the `Knapsacks` of ({item: weight}, budget) rows over n variables."""
    listed = [({f"x{i}": w for i, w in weights.items()}, -INF, budget) for weights, budget in rows]
    return Knapsacks.of(analyse(problem_of({f"x{i}": 0 for i in range(n)}, {}, listed)))


def test_knapsacks_take_two_cells_per_entry(wide):
    """One wide row does not widen the others: padding at most doubles what is stored."""
    knapsacks = Knapsacks.of(wide)
    assert wide.placement_matrix.nnz <= knapsacks.n_cells <= 2 * wide.placement_matrix.nnz
    assert max(block.item.shape[1] for block in knapsacks.blocks) == 300


weights = st.dictionaries(st.integers(0, 6), st.integers(1, 9).map(float), min_size=2)
rows = st.lists(
    weights.flatmap(lambda w: st.tuples(st.just(w), st.floats(0.1, 1.0).map(lambda f: f * sum(w.values())))),
    min_size=1,
    max_size=5,
)


@settings(deadline=None, max_examples=70)
@given(
    rows=rows,
    x=st.lists(st.floats(0, 1), min_size=7, max_size=7),
    complemented=st.sets(st.integers(0, 6)),
    cells=st.integers(1, 20),
    lifting=st.integers(0, 10),
    looks=st.integers(0, 20),
)
def test_cuts_hold_in_blocks_of_any_size_and_however_little_is_lifted(
    rows, x, complemented, cells, lifting, looks
):
    """No placement that fits is cut off, whatever the blocks, the items lifted, and the time left."""
    rows = [
        (
            {i: -weight if i in complemented else weight for i, weight in w.items()},
            budget - sum(weight for i, weight in w.items() if i in complemented),
        )
        for w, budget in rows
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(covers, "_CELLS", cells)
        params = CoverParams(lifting=lifting)
        cuts, limit = separate(knapsacks_of(rows, 7), np.array(x), deadline=Looks(looks, 1.0), params=params)
    for point in itertools.product([0.0, 1.0], repeat=7):
        if all(sum(w * point[i] for i, w in row.items()) <= budget for row, budget in rows):
            assert np.all(cuts @ np.array(point) <= limit + 1e-9)


@settings(deadline=None, max_examples=70)
@given(rows=rows, x=st.lists(st.floats(0, 1), min_size=7, max_size=7), cells=st.integers(1, 20))
def test_cuts_do_not_depend_on_the_blocks(rows, x, cells):
    """All rows together give the cuts that each of them gives by itself."""

    def found(rows):
        cuts, limit = separate(knapsacks_of(rows, 7), np.array(x))
        return {(*cut, side) for cut, side in zip(cuts.toarray().tolist(), limit.tolist(), strict=True)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(covers, "_CELLS", cells)
        together = found(rows)
    assert together == set().union(*(found([row]) for row in rows))


@pytest.mark.parametrize("double", [False, True])
def test_a_wide_row_lists_no_more_moves_than_its_size_allows(double):
    """Half of 2,000 variables of one row are open: of a million exchanges the best are listed."""
    n = 2000
    row = {f"x{i}": 1 + i % 3 for i in range(n)}
    structure = analyse(problem_of({f"x{i}": i % 7 for i in range(n)}, {}, [(row, -INF, 1.2 * n)]))
    x = np.arange(n) % 2 == 0
    moves = Neighbourhood(structure, [price(structure, np.zeros(1))], x, double).moves
    assert 1000 <= len(moves) <= 20_000 + 2 * n
    if not double:
        exchanges = moves.take(np.flatnonzero((moves.out[:, 0] >= 0) & (moves.into[:, 0] >= 0)))
        gain = exchanges.into[:, 0] % 7 - exchanges.out[:, 0] % 7
        assert gain.max() == 6
        assert gain.min() > 0


def test_precedences_in_a_chain_are_no_square():
    """x_0 <= x_1 <= ... <= x_1999 has two million pairs; bundles hold a few per entry, and greedy ends."""
    n = 2000
    rows = [({f"x{i}": 1, f"x{i + 1}": -1}, -INF, 0) for i in range(n - 1)]
    structure = analyse(problem_of({f"x{i}": -1 if i % 10 else 12 for i in range(n)}, {}, rows))
    bundles = greedy_state.Bundles.of(structure)
    assert bundles is None or bundles.closure.nnz <= max(20_000, 8 * structure.placement_matrix.nnz)
    assert structure.placeable(greedy(price(structure, np.zeros(n - 1)), False))


@settings(deadline=None, max_examples=50)
@given(problem=linear_problems(), data=st.data())
def test_greedy_knows_what_it_may_add(problem, data):
    """After every addition, what is blocked is what breaks a row: by its definition, entry by entry."""
    structure = analyse(problem)
    n = problem.n_onloading
    state = GreedyState(price(structure, np.zeros(problem.n_rows)), np.zeros(n, dtype=bool))
    matrix = structure.placement_matrix.toarray()
    for k in data.draw(st.permutations(range(n))):
        state.add(k)
        after = state.activity[:, None] + matrix
        rising = (matrix > 0) & (after > state.upper[:, None])
        rising |= (matrix < 0) & (after > state.upper[:, None]) & (state.activity <= state.upper)[:, None]
        falling = (matrix < 0) & (after < state.lower[:, None])
        blocked = (rising | falling).any(axis=0) | state.x | (problem.onloading_upper < 0.5)
        assert np.array_equal(state.unavailable(np.arange(n)), blocked)


@given(
    value=st.lists(st.floats(-5, 5), min_size=1, max_size=40),
    changes=st.lists(st.tuples(st.integers(0, 39), st.floats(-5, 5)), max_size=20),
)
def test_the_largest_of_numbers_that_change(value, changes):
    """It is the first of the largest, as argmax says, after every change."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(greedy_state, "_GROUP", 4)
        largest, plain = greedy_state.LargestMerits(np.array(value)), np.array(value)
        for place, number in changes:
            plain[place % len(plain)] = number
            largest.set(np.array([place % len(plain)]), np.array([number]))
            assert largest.place() == plain.argmax()


@given(data=st.data(), rounds=st.integers(0, 3))
def test_disjoint_rows_are_those_of_one_pass(data, rounds):
    """Chosen all at once, rows are the same as when each asks whether its columns are still free."""
    m, n = data.draw(st.integers(1, 12)), 12
    sets = [data.draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=4)) for _ in range(m)]
    matrix = sparse.csr_array([[float(j in columns) for j in range(n)] for columns in sets])
    order = np.array(data.draw(st.permutations(range(m))))[: data.draw(st.integers(0, m))]
    position = np.repeat(np.arange(m), np.diff(matrix.indptr))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demand_groups, "_ROUNDS", rounds)
        chosen = demand_groups._disjoint(order.astype(np.int64), position, matrix.indices.astype(np.int64), n)
    taken: set[int] = set()
    for k, mine in zip(order, chosen, strict=True):
        assert mine == (not sets[k] & taken)
        taken |= sets[k] if mine else set()


integers = st.lists(st.integers(-3, 9), max_size=12).map(lambda found: np.array(found, dtype=np.int64))


@given(values=integers, known=integers)
def test_what_is_found_by_sorting_is_what_numpy_finds(values, known):
    """Distinct values, and those among others, are the same as by NumPy's tables."""
    assert distinct(values).tolist() == np.unique(values).tolist()
    assert among(values, known).tolist() == np.isin(values, known).tolist()


def test_the_analysis_looks_at_the_clock(wide):
    """It ends between its steps when the time is over, and asks several times."""
    problem = wide.problem
    patient = Looks(INF, 1.0)
    analyse(problem, patient)
    assert patient.asked >= 4
    for looks in range(patient.asked):
        with pytest.raises(OutOfTime):
            analyse(problem, Looks(looks, 1.0))


def test_a_clock_that_is_out_ends_greedy(wide):
    """Greedy adds no more variables than it had looks at the clock, though rows are left uncovered."""
    surrogate = price(wide, np.zeros(wide.problem.n_rows))
    for looks in (0, 1, 7):
        clock = Looks(looks, 1.0)
        assert greedy(surrogate, False, deadline=clock).sum() <= looks
        assert clock.asked <= looks + 3
    assert greedy_onloading(wide, np.zeros(wide.problem.n_rows), Looks(5, 1.0)).sum() <= 5


def test_a_clock_that_is_out_ends_a_descent(wide):
    """No move is tried, and none is looked through, when the time is over."""
    with_step = OffloadingStep(wide, HighsBackend())
    start = with_step(np.zeros(300, dtype=bool))
    clock = Looks(1, 1.0)
    descent = Descent(DescentParams(), DescentParams().patience, double=True)
    found = list(descend(with_step, start, [price(wide, start.duals)], descent, clock))
    with_step.close()
    assert found == []
    assert clock.asked <= 4


def test_what_is_idle_stays_when_the_time_is_over(bits):
    """Nothing needs a or b: both go, or, without time, none."""
    problem = problem_of({"a": 0, "b": 0}, {"p": 1}, [({"p": 1}, -INF, 1)])
    with_step = OffloadingStep(analyse(problem), HighsBackend())
    routing = with_step(bits("11"))
    with_step.close()
    assert drop_idle(problem, routing).x.tolist() == [False, False]
    assert drop_idle(problem, routing, Looks(0, 1.0)).x.tolist() == [True, True]


def test_compilation_looks_at_the_clock(monkeypatch):
    """It ends in the middle of the rows, and says so."""
    m = wide_knapsack(items=50)
    monkeypatch.setattr(rows_module, "_ROWS_AT_A_TIME", 10)
    clock = Looks(5, 1.0)
    with pytest.raises(OutOfTime):
        compile_model(m, deadline=clock)
    assert clock.asked == 6
    patient = Looks(INF, 1.0)
    compile_model(m, deadline=patient)
    assert patient.asked > 20


def test_a_model_that_is_too_large_for_its_limit_keeps_its_values():
    """A limit that compilation alone passes ends in a sentence; nothing is loaded."""
    m = wide_knapsack(items=200)
    m.x[0].set_value(1)
    m.y[0].set_value(0.25)
    results = SolverFactory("j3o").solve(
        m, time_limit=1e-4, load_solutions=False, raise_exception_on_nonoptimal_result=False
    )
    assert results.termination_condition == TerminationCondition.maxTimeLimit
    assert results.incumbent_objective is None
    assert results.objective_bound == -INF
    assert "No plan was found within the limit of time_limit=0.0001 s" in results.extra_info.message
    classic = pyo.SolverFactory("j3o").solve(m, timelimit=1e-4, load_solutions=False)
    assert classic.solver.termination_condition == pyo.TerminationCondition.maxTimeLimit
    assert (m.x[0].value, m.y[0].value, m.x[1].value) == (1, 0.25, None)


@pytest.mark.parametrize("kind", KINDS)
def test_large_models_are_right_when_they_are_small(kind):
    """The exact optimum of a small version of each kind lies between j3o's plan and its bound."""
    build, small = KINDS[kind]
    m = build(**small)
    options = {"load_solutions": False, "raise_exception_on_nonoptimal_result": False}
    options |= {"lp_solver": "highs", "mip_solver": "highs"}
    exact = SolverFactory("j3o.exact").solve(m, rel_gap=1e-7, **options)
    assert exact.termination_condition == TerminationCondition.convergenceCriteriaSatisfied
    found = SolverFactory("j3o").solve(m, **options)
    ends = sorted([found.incumbent_objective, found.objective_bound])
    slack = 1e-5 * max(1.0, abs(exact.incumbent_objective))
    assert ends[0] - slack <= exact.incumbent_objective <= ends[1] + slack
    assert abs(found.incumbent_objective - exact.incumbent_objective) <= 0.05 * abs(exact.incumbent_objective)
