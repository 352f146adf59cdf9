"""One battery for every LP backend: answers, signs of duals, changes of bounds, limits, and isolation."""

import gc
import threading
import weakref
from dataclasses import replace

import highspy
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linprog

from pyomo_j3o.errors import BackendError, J3OError, OptionError
from pyomo_j3o.lp import (
    HighsBackend,
    LinearModel,
    LPStatus,
    choose_backend,
    gurobi,
)
from pyomo_j3o.lp.highs import HighsProgram
from pyomo_j3o.lp.worker import Worker
from pyomo_j3o.mip import HighsMIP, Limits, MIPModel

INF = np.inf
FIXTURE_ONCE = [HealthCheck.function_scoped_fixture]


def model_of(objective, rows=(), row_lower=(), row_upper=(), lower=0.0, upper=INF):
    """Return the LP over dense `rows`; scalar bounds count for every column."""
    n = len(objective)
    return LinearModel(
        np.array(objective, dtype=float),
        sparse.csr_array(np.array(rows, dtype=float).reshape(len(rows), n)),
        np.array(row_lower, dtype=float),
        np.array(row_upper, dtype=float),
        np.broadcast_to(np.asarray(lower, dtype=float), (n,)).copy(),
        np.broadcast_to(np.asarray(upper, dtype=float), (n,)).copy(),
    )


def solve(backend, model, **given):
    """Open, solve once, close."""
    program = backend.open(model)
    try:
        return program.solve(**given)
    finally:
        program.close()


def by_scipy(model, box=INF):
    """Return the optimum by scipy: -inf if infeasible, +inf if unbounded."""
    matrix = model.matrix.toarray()
    over, under = np.isfinite(model.row_upper), np.isfinite(model.row_lower)
    found = linprog(
        -model.objective,
        np.vstack([matrix[over], -matrix[under]]) if model.n_rows else None,
        np.concatenate([model.row_upper[over], -model.row_lower[under]]) if model.n_rows else None,
        bounds=np.column_stack([np.maximum(model.lower, -box), np.minimum(model.upper, box)]),
        options={"presolve": False},
    )
    if found.status == 4 and box == INF:
        # Undecided: with coefficients this small, what is unbounded reaches far into a large box.
        value = by_scipy(model, 1e5)
        return INF if value > 1e3 else value
    return {0: -found.fun if found.status == 0 else None, 2: -INF, 3: INF}[found.status]


def assert_certified(model, solution):
    """Assert primal feasibility, what reduced costs are, complementary slackness, and no duality gap."""
    v, duals, costs = solution.values, solution.row_duals, solution.reduced_costs
    body = model.matrix @ v
    assert np.all(v >= model.lower - 1e-7)
    assert np.all(v <= model.upper + 1e-7)
    assert np.all(body >= model.row_lower - 1e-6)
    assert np.all(body <= model.row_upper + 1e-6)
    assert np.allclose(costs, model.objective - model.matrix.T @ duals, atol=1e-6)
    for price, value, low, high in [
        *zip(duals, body, model.row_lower, model.row_upper, strict=True),
        *zip(costs, v, model.lower, model.upper, strict=True),
    ]:
        if price > 1e-7:
            assert value == pytest.approx(high, abs=1e-5)
        if price < -1e-7:
            assert value == pytest.approx(low, abs=1e-5)
    assert solution.objective == pytest.approx(model.objective @ v, abs=1e-6)


def test_optimum_duals_and_reduced_costs(backend):
    """Max 3a + 2b + c, a + b + c <= 4, a <= 3: the row is worth 2, a's bound 1, c loses 1."""
    model = model_of([3, 2, 1], [[1, 1, 1]], [-INF], [4], upper=[3, INF, INF])
    solution = solve(backend, model)
    assert solution.status is LPStatus.OPTIMAL
    assert solution.objective == pytest.approx(11)
    assert solution.values == pytest.approx([3, 1, 0])
    assert solution.row_duals == pytest.approx([2])
    assert solution.reduced_costs == pytest.approx([1, 0, -1])


@pytest.mark.parametrize(
    ("objective", "row_lower", "row_upper", "value", "dual"),
    [
        ([1, 1], 1, 3, 3, 1),
        ([-1, -1], 1, 3, -1, -1),
        ([1, 1], 2, 2, 2, 1),
        ([-1, -1], 2, 2, -2, -1),
        ([-1, -1], 2, INF, -2, -1),
        ([-1, -1], -INF, 3, 0, 0),
    ],
    ids=["range above", "range below", "equality, dual > 0", "equality, dual < 0", "lower side", "slack"],
)
def test_sign_of_a_rows_dual(backend, objective, row_lower, row_upper, value, dual):
    """A dual is >= 0 on a binding upper side, <= 0 on a binding lower side; ranges and equalities alike."""
    solution = solve(backend, model_of(objective, [[1, 1]], [row_lower], [row_upper]))
    assert solution.objective == pytest.approx(value)
    assert solution.row_duals == pytest.approx([dual])


def test_infeasible(backend):
    """Infeasible is said so, with -inf and no values."""
    solution = solve(backend, model_of([1], [[1]], [2], [INF], upper=1))
    assert solution.status is LPStatus.INFEASIBLE
    assert solution.objective == -INF
    assert len(solution.values) == 0


def test_unbounded(backend):
    """Unbounded is said so, with +inf, and not mixed up with infeasible."""
    solution = solve(backend, model_of([1, 0], [[1, -1]], [-INF], [0]))
    assert solution.status is LPStatus.UNBOUNDED
    assert solution.objective == INF


def test_infeasible_and_with_a_ray(backend):
    """With a ray but no point, the LP is infeasible."""
    model = model_of([1, 1], [[1, 0], [0, 1]], [-INF, 2], [0, 1])
    assert solve(backend, model).status is LPStatus.INFEASIBLE


def test_no_rows(backend):
    """Without rows every column sits at its better bound; nothing bounds an open one."""
    solution = solve(backend, model_of([1, -1, 0], lower=-1, upper=2))
    assert solution.status is LPStatus.OPTIMAL
    assert solution.objective == pytest.approx(3)
    assert solution.values[:2] == pytest.approx([2, -1])
    assert solution.row_duals.shape == (0,)
    assert solution.reduced_costs == pytest.approx([1, -1, 0])
    assert solve(backend, model_of([1])).status is LPStatus.UNBOUNDED


def test_no_columns(backend):
    """Without columns the objective is 0, if the rows admit 0."""
    solution = solve(backend, model_of([], [[]], [-1], [1]))
    assert solution.status is LPStatus.OPTIMAL
    assert solution.objective == 0
    assert solution.values.shape == (0,)
    assert solution.row_duals == pytest.approx([0])
    assert solve(backend, model_of([])).status is LPStatus.OPTIMAL
    assert solve(backend, model_of([], [[]], [1], [2])).status is LPStatus.INFEASIBLE


def test_crossed_bounds_are_infeasible(backend):
    """A lower bound above the upper one is an infeasible LP, no error."""
    assert solve(backend, model_of([1], lower=2, upper=1)).status is LPStatus.INFEASIBLE


def test_bounds_move_and_the_answer_follows(backend):
    """Bounds of columns, of rows, the objective: each change is seen by the next solve."""
    program = backend.open(model_of([3, 2], [[1, 1], [1, -1]], [-INF, -1], [4, 1], upper=3))
    assert program.solve().objective == pytest.approx(10.5)  # a = 2.5, b = 1.5
    program.set_column_bounds(np.array([0.0, 0.0]), np.array([1.0, 5.0]))
    assert program.solve().objective == pytest.approx(7)  # a = 1, b = 2
    program.set_row_bounds(np.array([-INF, 0.0]), np.array([4.0, 1.0]))
    assert program.solve().objective == pytest.approx(5)  # a = b = 1
    program.set_column_bounds(np.array([2.0, 0.0]), np.array([2.0, 0.5]))
    assert program.solve().status is LPStatus.INFEASIBLE
    program.set_column_bounds(np.array([0.0, 0.0]), np.array([1.0, 5.0]))
    program.set_objective(np.array([-1.0, 1.0]))
    assert program.solve().objective == pytest.approx(0)
    program.close()


def test_a_range_row_moves_as_a_whole(backend):
    """Both sides of a range follow `set_row_bounds`; a range may become an equality and back."""
    program = backend.open(model_of([1, 1], [[1, 1]], [0], [3]))
    for low, high in [(1, 5), (2, 2), (0, 3), (-4, -1)]:
        program.set_row_bounds(np.array([float(low)]), np.array([float(high)]))
        solution = program.solve()
        assert solution.objective == (pytest.approx(high) if high >= 0 else -INF)
    program.close()


def test_an_equality_moves(backend):
    """The side of an equality may move."""
    program = backend.open(model_of([-1, -2], [[1, 1]], [1], [1]))
    assert program.solve().objective == pytest.approx(-1)
    program.set_row_bounds(np.array([3.0]), np.array([3.0]))
    assert program.solve().objective == pytest.approx(-3)
    program.close()


def test_added_rows_count_and_their_duals_come_last(backend):
    """Rows added after a solve cut it off; their duals follow those of the rows before."""
    program = backend.open(model_of([1, 1], [[1, 1]], [-INF], [3], upper=2))
    assert program.solve().objective == pytest.approx(3)
    program.add_rows(sparse.csr_array([[1.0, 0.0], [1.0, 2.0]]), np.array([-INF, -INF]), np.array([1.0, 2.0]))
    solution = program.solve()
    assert solution.objective == pytest.approx(1.5)
    assert solution.row_duals == pytest.approx([0, 0.5, 0.5])
    program.add_rows(sparse.csr_array([[0.0, 1.0]]), np.array([0.75]), np.array([INF]))
    assert program.solve().row_duals[3] < 0
    program.add_rows(sparse.csr_array((0, 2)), np.zeros(0), np.zeros(0))
    assert len(program.solve().row_duals) == 4
    program.close()


def test_an_optimum_with_huge_duals_is_one():
    """HiGHS calls it unknown, as the two objectives differ by the rounding of a dual of 1e11."""
    model = LinearModel(
        np.array([-1e5, 0.1, 1e6, 0.0]),
        sparse.csr_array([[0.0, -1.0, 0.0, -20.0], [0.0, -15258.7890625, 1.52587890625e-05, 0.0]]),
        np.array([-20.0, -np.inf]),
        np.array([0.0, -15258.7890625]),
        np.zeros(4),
        np.ones(4),
    )
    solution = HighsProgram(model).solve()
    assert solution.status is LPStatus.OPTIMAL
    assert solution.values == pytest.approx([0.0, 1.0, 0.0, 0.0])


def test_sides_and_entries_of_any_size_are_taken():
    """A side of 1e23 is no infinity, and an entry of 1e33 no error."""
    model = LinearModel(
        np.array([-1.0, -1.0]),
        sparse.csr_array([[1e13, 0.0], [1e33, 1e33]]),
        np.array([1e23, -np.inf]),
        np.array([np.inf, 1e45]),
        np.zeros(2),
        np.full(2, np.inf),
    )
    assert HighsProgram(model).solve().values == pytest.approx([1e10, 0.0])


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_no_time_left(backend, seconds):
    """A time limit of nothing or less ends before the LP is touched, and the next solve still works."""
    program = backend.open(model_of([1], upper=1))
    solution = program.solve(seconds)
    assert solution.status is LPStatus.TIME_LIMIT
    assert np.isnan(solution.objective)
    assert len(solution.values) == 0
    assert program.solve(10.0).status is LPStatus.OPTIMAL
    program.close()


def test_a_time_limit_counts_from_each_solve(backend):
    """The limit is that of one solve: twenty solves within 0.2 s each all come to an end."""
    rng = np.random.default_rng(0)
    model = model_of(rng.random(60), rng.random((40, 60)), [-INF] * 40, [1.0] * 40)
    program = backend.open(model)
    for _ in range(20):
        program.set_objective(rng.random(60))
        assert program.solve(5.0).status is LPStatus.OPTIMAL
    assert program.solve(1e-9).status in (LPStatus.TIME_LIMIT, LPStatus.OPTIMAL)
    assert program.solve().status is LPStatus.OPTIMAL
    program.close()


@pytest.mark.parametrize(
    "options", [{"no_such_option": 1}, {"time_limit": "soon", "TimeLimit": "soon"}], ids=["name", "value"]
)
def test_an_unknown_option_is_an_error_at_once(backend_class, options):
    """An option that the solver does not take is refused when the backend is made, by name."""
    with pytest.raises(OptionError, match=next(iter(options))):
        backend_class(options)


def test_options_reach_the_solver(backend_class):
    """An option that the solver knows changes what it does: no iterations are allowed here."""
    name = {"highs": "simplex_iteration_limit", "gurobi": "IterationLimit"}[backend_class.name]
    backend = backend_class({name: 0, **({"presolve": "off"} if name.islower() else {"Presolve": 0})})
    rng = np.random.default_rng(1)
    model = model_of(rng.random(20), rng.random((10, 20)), [0.5] * 10, [1.0] * 10)
    with pytest.raises(BackendError, match=r"scale|lp_solver"):
        solve(backend, model)
    backend.close()


def test_the_seed_is_accepted_and_the_answer_repeats(backend_class):
    """Two backends with one seed return the same point to the last bit."""
    rng = np.random.default_rng(2)
    model = model_of(rng.integers(0, 3, 30), rng.integers(0, 2, (15, 30)), [-INF] * 15, [4] * 15, upper=1)
    backends = [backend_class(seed=5) for _ in range(2)]
    first, second = (solve(backend, model).values for backend in backends)
    assert np.array_equal(first, second)
    for backend in backends:
        backend.close()


def test_two_programs_side_by_side(backend):
    """Programs of one backend do not disturb each other."""
    one = backend.open(model_of([1], upper=1))
    other = backend.open(model_of([1], upper=7))
    assert one.solve().objective == pytest.approx(1)
    assert other.solve().objective == pytest.approx(7)
    one.set_column_bounds(np.zeros(1), np.full(1, 2.0))
    assert other.solve().objective == pytest.approx(7)
    one.close()
    assert other.solve().objective == pytest.approx(7)
    other.close()


entry = st.integers(-3, 3).map(float)


@st.composite
def models(draw):
    """Small LPs with every kind of row and bound."""
    n, m = draw(st.integers(1, 4)), draw(st.integers(0, 4))
    rows = [[draw(entry) for _ in range(n)] for _ in range(m)]
    lower = [draw(st.sampled_from([0.0, 0.0, -1.0, -INF])) for _ in range(n)]
    upper = [draw(st.sampled_from([1.0, 3.0, INF])) for _ in range(n)]
    sides = [draw(st.tuples(st.integers(-4, 2), st.integers(0, 4), st.integers(0, 3))) for _ in range(m)]
    row_lower = [-INF if kind == 1 else float(low) for low, _, kind in sides]
    row_upper = [INF if kind == 2 else float(low + width) for low, width, kind in sides]
    return model_of([draw(entry) for _ in range(n)], rows, row_lower, row_upper, lower, upper)


@settings(deadline=None, max_examples=50, suppress_health_check=FIXTURE_ONCE)
@given(model=models())
def test_agrees_with_scipy_and_certifies_itself(backend_class, model):
    """On random LPs status and optimum are scipy's, and duals and slacks prove the optimum."""
    backend = backend_class()
    solution = solve(backend, model)
    backend.close()
    expected = by_scipy(model)
    if solution.status is not LPStatus.OPTIMAL:
        assert solution.objective == expected
        return
    assert solution.objective == pytest.approx(expected, abs=1e-6)
    assert_certified(model, solution)


@settings(deadline=None, max_examples=40, suppress_health_check=FIXTURE_ONCE)
@given(data=st.data())
def test_a_kept_basis_never_changes_the_answer(backend_class, data):
    """After any sequence of changes of bounds the warm answer is the cold one."""
    model = data.draw(models())
    backend = backend_class()
    program = backend.open(model)
    for _ in range(4):
        program.solve()
        width = [data.draw(st.integers(0, 3)) for _ in range(model.n_columns)]
        low = np.array([data.draw(st.integers(-1, 1)) for _ in range(model.n_columns)], dtype=float)
        shift = np.array([data.draw(st.integers(-2, 2)) for _ in range(model.n_rows)], dtype=float)
        changed = replace(
            model,
            lower=low,
            upper=low + width,
            row_lower=model.row_lower + shift,
            row_upper=model.row_upper + shift,
        )
        program.set_column_bounds(changed.lower, changed.upper)
        program.set_row_bounds(changed.row_lower, changed.row_upper)
        warm = program.solve()
        expected = by_scipy(changed)
        assert warm.objective == expected or warm.objective == pytest.approx(expected, abs=1e-6)
        if warm.status is LPStatus.OPTIMAL:
            assert_certified(changed, warm)
    program.close()
    backend.close()


# --- bases, cutoffs, limits of iterations, proofs of infeasibility -----------------------------------------


def routing_like(seed=0, n=40, m=25):
    """Return an LP that takes a simplex method some dozens of iterations from scratch."""
    rng = np.random.default_rng(seed)
    matrix = rng.integers(1, 20, (m, n)) * (rng.random((m, n)) < 0.4)
    return model_of(rng.integers(5, 50, n), matrix, [-INF] * m, rng.integers(30, 90, m), upper=1)


def without_presolve(backend_class):
    """Return a backend whose every solve is one of the simplex method from the basis given."""
    options = {"gurobi": {"Presolve": 0, "Method": 1}, "highs": {"presolve": "off"}}
    return backend_class(options[backend_class.name])


def test_iterations_are_counted(backend_class):
    """A solve from scratch takes some, the next none: the number is that of this solve alone."""
    backend = without_presolve(backend_class)
    program = backend.open(routing_like())
    first = program.solve()
    assert first.iterations >= 10
    assert program.solve().iterations == 0
    program.set_objective(np.roll(routing_like().objective, 1))
    assert program.solve().iterations > 0
    program.close()
    backend.close()


def test_a_basis_brings_back_its_optimum(backend_class):
    """A basis taken earlier makes its LP a matter of no iterations, wherever the solver has been since."""
    backend = without_presolve(backend_class)
    model = routing_like()
    program = backend.open(model)
    first = program.solve()
    basis = program.basis()
    shut = np.where(first.values > 0.5, 0.0, model.upper)
    for restore in (False, True):
        program.set_column_bounds(model.lower, shut)
        assert program.solve().iterations > 0
        program.set_column_bounds(model.lower, model.upper)
        if restore:
            program.set_basis(basis)
        again = program.solve()
        assert (again.iterations == 0) == restore
        assert again.objective == pytest.approx(first.objective)
        assert again.values == pytest.approx(first.values)
        assert again.row_duals == pytest.approx(first.row_duals)
    program.close()
    backend.close()


def test_a_basis_from_before_rows_were_added(backend_class):
    """It is extended: rows that the optimum keeps cost no iteration, one that cuts it off is obeyed.

    A basis may be used as often as one likes.
    """
    backend = without_presolve(backend_class)
    model = routing_like()
    program = backend.open(model)
    first = program.solve()
    basis = program.basis()
    ones = sparse.csr_array(np.ones((1, model.n_columns)))
    total = float(first.values.sum())
    program.add_rows(ones, np.array([-INF]), np.array([total + 1.0]))
    program.add_rows(ones, np.array([total - 1.0]), np.array([total + 2.0]))  # a range
    for _ in range(2):
        program.set_column_bounds(model.lower, 0.5 * model.upper)
        assert program.solve().iterations > 0
        program.set_column_bounds(model.lower, model.upper)
        program.set_basis(basis)
        again = program.solve()
        assert again.iterations == 0
        assert again.objective == pytest.approx(first.objective)
    program.add_rows(ones, np.array([-INF]), np.array([total - 0.5]))
    program.set_basis(basis)
    cut = program.solve()
    assert cut.iterations > 0
    assert cut.objective < first.objective - 1e-6
    assert cut.values.sum() == pytest.approx(total - 0.5)
    program.close()
    backend.close()


def test_a_basis_in_a_program_with_more_columns():
    """An LP with columns and rows appended starts from the basis of the smaller one: one that pays enters."""
    backend = without_presolve(HighsBackend)
    model = routing_like()
    narrow = backend.open(model)
    first = narrow.solve()
    basis = narrow.basis()
    narrow.close()
    n, m = model.n_columns, model.n_rows
    matrix = sparse.csr_array(
        sparse.block_array([[model.matrix, np.ones((m, 2))], [None, np.array([[1.0, 1.0]])]], format="csr")
    )
    for worth, rise in ((-1.0, 0.0), (1e4, 1.0)):
        wide = LinearModel(
            np.append(model.objective, [worth, worth]),
            matrix,
            np.append(model.row_lower, -INF),
            np.append(model.row_upper, 1.0),
            np.append(model.lower, [0.0, 0.0]),
            np.append(model.upper, [1.0, 1.0]),
        )
        program = backend.open(wide)
        program.set_basis(basis)
        found = program.solve()
        assert_certified(wide, found)
        assert (found.iterations > 0) == (rise > 0)
        assert found.values[n:].sum() == pytest.approx(rise)
        if not rise:
            assert found.objective == pytest.approx(first.objective)
        program.close()
    backend.close()


def test_a_basis_survives_a_change_of_objective():
    """A basis that is set after the objective was changed is started from."""
    backend = without_presolve(HighsBackend)
    model = routing_like()
    program = backend.open(model)
    program.solve()
    basis = program.basis()
    program.set_objective(-model.objective)
    assert program.solve().iterations > 0
    program.set_objective(model.objective)
    program.set_basis(basis)
    assert program.solve().iterations == 0
    program.close()
    backend.close()


@settings(deadline=None, max_examples=40, suppress_health_check=FIXTURE_ONCE)
@given(model=models(), data=st.data())
def test_any_basis_is_safe(backend_class, model, data):
    """Whatever state a basis was taken in, at whatever bounds, the answer from it is the cold one."""
    backend = backend_class()
    program = backend.open(model)
    bases = []
    for _ in range(4):
        width = [data.draw(st.integers(0, 3)) for _ in range(model.n_columns)]
        low = np.array([data.draw(st.integers(-1, 1)) for _ in range(model.n_columns)], dtype=float)
        changed = replace(model, lower=low, upper=low + width)
        program.set_column_bounds(changed.lower, changed.upper)
        if bases:
            program.set_basis(data.draw(st.sampled_from(bases)))
        found, expected = program.solve(), by_scipy(changed)
        assert found.objective == expected or found.objective == pytest.approx(expected, abs=1e-6)
        if found.status is LPStatus.OPTIMAL:
            assert_certified(changed, found)
            bases.append(program.basis())
    program.close()
    backend.close()


def dual_value(model, duals):
    """Return what `duals` prove: no point of the LP has a larger objective."""
    costs = model.objective - model.matrix.T @ duals
    sides = np.where(duals > 0, model.row_upper, model.row_lower)
    ends = np.where(costs > 0, model.upper, model.lower)
    return sum(d * side for d, side in zip(duals, sides, strict=True) if d) + sum(
        c * end for c, end in zip(costs, ends, strict=True) if c
    )


def test_a_cutoff_stops_what_falls_below_it(backend_class):
    """It is `STOPPED` where the maximum is lower, with duals that prove so much; else it is the optimum.

    An LP solver may also go on to the optimum.
    """
    backend = without_presolve(backend_class)
    model = routing_like()
    program = backend.open(model)
    free = program.solve()
    basis = program.basis()
    upper = np.where(free.values > 0.5, 0.0, model.upper)
    program.set_column_bounds(model.lower, upper)
    shut = program.solve()
    assert shut.objective < free.objective - 1.0
    early = 0
    for cutoff in (shut.objective - 5.0, shut.objective + 1.0, free.objective - 1e-3, free.objective + 50.0):
        program.set_basis(basis)
        found = program.solve(cutoff=cutoff)
        if cutoff < shut.objective or found.status is LPStatus.OPTIMAL:
            assert found.status is LPStatus.OPTIMAL
            assert found.objective == pytest.approx(shut.objective)
            continue
        assert found.status is LPStatus.STOPPED
        assert np.isnan(found.objective)
        assert len(found.values) == 0
        assert found.iterations <= shut.iterations if cutoff < free.objective - 1.0 else found.iterations < 3
        proven = dual_value(replace(model, upper=upper), found.row_duals)
        assert shut.objective - 1e-6 <= proven <= cutoff + 1e-6
        early += 1
    assert early == (3 if backend.name == "highs" else 0)
    # The cutoff was that of one call.
    program.set_basis(basis)
    assert program.solve().objective == pytest.approx(shut.objective)
    program.close()
    backend.close()


def test_a_limit_of_iterations(backend_class):
    """After so many iterations it is `STOPPED`, with duals good for a bound; it can go on from there.

    An LP solver may also go on to the optimum at once.
    """
    backend = without_presolve(backend_class)
    model = routing_like()
    program = backend.open(model)
    free = program.solve()
    basis = program.basis()
    changed = replace(model, upper=np.where(free.values > 0.5, 0.0, model.upper))
    program.set_column_bounds(changed.lower, changed.upper)
    shut = program.solve()
    assert shut.iterations >= 4
    bounds = []
    for limit in (0, 1, 3, shut.iterations + 1):
        program.set_basis(basis)
        found = program.solve(iterations=limit)
        if limit > shut.iterations or backend.name == "gurobi":
            assert found.status is LPStatus.OPTIMAL
            assert found.objective == pytest.approx(shut.objective)
            continue
        assert found.status is LPStatus.STOPPED
        assert found.iterations == limit
        bounds.append(dual_value(changed, found.row_duals))
    assert all(bound >= shut.objective - 1e-6 for bound in bounds)
    assert bounds == sorted(bounds, reverse=True)
    # The limit was that of one call: what was left undone is done.
    program.set_basis(basis)
    program.solve(iterations=1)
    assert program.solve().objective == pytest.approx(shut.objective)
    program.close()
    backend.close()


def assert_proves_infeasible(model, ray):
    """Assert that the rows, multiplied by `ray`, contradict the bounds of the columns."""
    assert ray.shape == (model.n_rows,)
    assert np.all(np.isfinite(ray))
    ray = ray / np.abs(ray).max()
    row = np.where(np.abs(ray) > 1e-9, ray, 0.0)
    costs = np.where(np.abs(model.matrix.T @ row) > 1e-9, model.matrix.T @ row, 0.0)
    allowed = sum(r * (high if r > 0 else low) for r, low, high in
                  zip(row, model.row_lower, model.row_upper, strict=True) if r)  # fmt: skip
    least = sum(c * (low if c > 0 else high) for c, low, high in
                zip(costs, model.lower, model.upper, strict=True) if c)  # fmt: skip
    assert allowed < least - 1e-9


def test_a_proof_of_infeasibility(backend_class):
    """Two demands of 1 against room for one: the proof multiplies these three rows and not the fourth."""
    rows = [[1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 1, 1], [1, -1, 0, 0]]
    model = model_of([1, 2, 3, 4], rows, [1, 1, -INF, -2], [1, INF, 1.5, 2], upper=1)
    backend = without_presolve(backend_class)
    program = backend.open(model)
    assert program.solve().status is LPStatus.INFEASIBLE
    ray = program.farkas()
    if backend.name == "highs":
        assert_proves_infeasible(model, ray)
        assert np.sign(ray).tolist() == [-1, -1, 1, 0]
    else:
        assert ray is None
    program.close()
    backend.close()


@settings(deadline=None, max_examples=50)
@given(model=models(), data=st.data())
def test_every_ray_is_a_proof(model, data):
    """Of HiGHS: after changes of bounds as well, and none is there where the LP has an optimum."""
    backend = HighsBackend()
    program = backend.open(model)
    program.solve()
    for _ in range(3):
        shift = np.array([data.draw(st.integers(-4, 4)) for _ in range(model.n_rows)], dtype=float)
        changed = replace(
            model,
            upper=np.minimum(model.upper, 1.0),
            lower=np.maximum(model.lower, -1.0),
            row_lower=model.row_lower + shift,
            row_upper=model.row_upper + shift,
        )
        program.set_column_bounds(changed.lower, changed.upper)
        program.set_row_bounds(changed.row_lower, changed.row_upper)
        found, ray = program.solve(), program.farkas()
        if found.status is LPStatus.OPTIMAL:
            assert ray is None
        elif ray is not None:
            assert_proves_infeasible(changed, ray)
    program.close()


def test_rays_are_there_for_most_infeasible_lps():
    """Of HiGHS, from a basis of a feasible neighbour, which is how branch and bound gets there."""
    rays = infeasible = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        model = routing_like(seed, 15, 8)
        model = replace(model, row_lower=np.where(rng.random(8) < 0.5, 5.0, -INF))
        program = HighsBackend().open(model)
        program.solve()
        changed = replace(model, upper=np.where(rng.random(15) < 0.85, 0.0, model.upper))
        program.set_column_bounds(changed.lower, changed.upper)
        if program.solve().status is LPStatus.INFEASIBLE:
            infeasible += 1
            ray = program.farkas()
            if ray is not None:
                rays += 1
                assert_proves_infeasible(changed, ray)
        program.close()
    assert infeasible >= 8
    assert rays >= 0.8 * infeasible


# --- living beside the user's own HiGHS ------------------------------------------------------------------


def users_own(threads):
    """Solve a small MIP with a highspy object of the user's own; return its optimum."""
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", threads)
    highs.setOptionValue("parallel", "on")
    x = [highs.addVariable(0, 5, 1.0, type=highspy.HighsVarType.kInteger) for _ in range(4)]
    highs.addConstr(sum((3 + i) * v for i, v in enumerate(x)) >= 17)
    assert highs.run() == highspy.HighsStatus.kOk
    assert highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return highs.getInfo().objective_function_value


def in_a_fresh_thread(function):
    """Run `function` in a thread that HiGHS has not seen, and raise what it raises."""
    failures = []

    def run():
        try:
            function()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


@pytest.mark.parametrize("threads", [2, 4])
def test_the_users_highs_works_before_and_after_ours(backend_class, threads):
    """A user's own HiGHS with any number of threads works before, after and between ours, in one thread."""

    def story():
        backend = backend_class()
        assert users_own(threads) == 3
        program = backend.open(model_of([1], upper=2))
        assert program.solve().objective == pytest.approx(2)
        assert users_own(threads) == 3
        assert program.solve().objective == pytest.approx(2)
        program.close()
        assert users_own(threads) == 3
        backend.close()

    in_a_fresh_thread(story)


@pytest.mark.parametrize("threads", [2, 4])
def test_the_users_highs_works_after_ours(backend_class, threads):
    """Ours first, then the user's with more threads: no scheduler of ours is left in the way."""

    def story():
        backend = backend_class()
        assert solve(backend, model_of([1], upper=2)).objective == pytest.approx(2)
        backend.close()
        assert users_own(threads) == 3

    in_a_fresh_thread(story)


def test_milps_leave_the_users_highs_alone():
    """The same holds for the MILPs of the repair."""

    def story():
        model = model_of([1, 1], [[2, 2]], [-INF], [3], upper=1)

        def best(integer, threads):
            mip = MIPModel(replace(model, integer=np.array(integer)))
            return HighsMIP().solve(mip, Limits(threads=threads)).objective

        assert best([True, True], 1) == pytest.approx(1)
        assert users_own(2) == 3
        assert best([True, False], 2) == pytest.approx(1.5)

    in_a_fresh_thread(story)


def test_no_thread_is_left_behind(backend):
    """A closed backend leaves no thread of its programs, which share one while none runs beside another."""
    before = threading.active_count()
    for _ in range(5):
        solve(backend, model_of([1], upper=1))
    assert threading.active_count() <= before + 1
    backend.close()
    assert threading.active_count() == before


# --- the choice among backends ----------------------------------------------------------------------------


def test_ctrl_c_just_after_an_lp_does_not_wait_for_ever(monkeypatch):
    """An interrupt that arrives when the lock of a finished LP is already held still gets through."""
    worker, interrupted, real = Worker(), threading.Event(), threading.Lock
    worker.run(lambda: None, interrupted.set)

    class LateInterrupt:
        def __init__(self):
            self.lock = real()

        def acquire(self, timeout=-1):
            if self.lock.acquire(timeout=timeout) and timeout >= 0:
                raise KeyboardInterrupt
            return True

        def release(self):
            self.lock.release()

    ran = []
    monkeypatch.setattr(threading, "Lock", LateInterrupt)
    with pytest.raises(KeyboardInterrupt):
        worker.run(lambda: ran.append(1), interrupted.set)
    monkeypatch.undo()
    assert ran == [1]
    assert interrupted.is_set()
    worker.run(lambda: ran.append(2), interrupted.set)
    assert ran == [1, 2]
    with pytest.raises(ZeroDivisionError):
        worker.run(lambda: 1 / 0, interrupted.set)
    worker.close()


def test_a_closed_program_leaves_no_memory_behind():
    """HiGHS is freed with its program, although its callbacks refer to it."""
    program = HighsProgram(model_of([1, 1], [[1, 2]], [-INF], [3]))
    program.solve()
    freed = weakref.ref(program._highs)
    program.close()
    del program
    gc.collect()
    assert freed() is None


def test_auto_takes_gurobi_where_the_licence_reaches_and_says_why(monkeypatch):
    """`auto` is Gurobi within its licence, HiGHS beyond, and the description gives the reason."""
    monkeypatch.setattr(gurobi, "unavailable", lambda columns, rows: "too large" if columns > 5 else "")
    assert choose_backend("auto", 9, 1).name == "highs"
    assert "too large" in choose_backend("auto", 9, 1).description
    with pytest.raises(BackendError, match=r"too large.*lp_solver='highs'"):
        choose_backend("gurobi", 9, 1)
    assert choose_backend("highs", 1, 1).name == "highs"


def test_gurobi_by_name_and_by_auto():
    """Where Gurobi can be used, both ways lead to it."""
    reason = gurobi.unavailable(10, 10)
    if reason:
        pytest.skip(reason)
    for name in ("gurobi", "auto"):
        backend = choose_backend(name, 10, 10, threads=1)
        assert backend.name == "gurobi"
        backend.close()


def test_errors_are_ours():
    """An error of a backend can be caught as a J3OError."""
    with pytest.raises(J3OError):
        HighsBackend({"nonsense": 1})


def test_an_lp_in_which_the_dual_simplex_method_fails_is_solved_in_another_way():
    """HiGHS 1.16 ends without a status after presolve: "failed due to excessive dual values"."""
    rows = [
        [0.074243545532226562, -311.1953125, -1792.8125],
        [0, 0, -0.9355621337890625],
        [1.1426664059399627e-08, 0, 0.776214599609375],
        [-0.001, 0, 1],
        [0, 0, -1],
        [0, -1, 1],
        [0.8349554807769517, 1, -1],
    ]
    upper = [0.051754951477050781, INF, INF, 0, 0, 0, 0.8349554807769517]
    lower = [-INF, -1.0206596925854683e-05, 8.3243940025568008e-06, -INF, -INF, -INF, -INF]
    model = model_of(
        [-4.341064453125, 267624, 0], rows, lower, upper, 0.0, [1, 0.843994140625, 0.843994140625]
    )
    found = solve(HighsBackend(), model)
    assert found.status is LPStatus.OPTIMAL
    assert found.objective == pytest.approx(221060.58498315)
