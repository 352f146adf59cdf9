"""One battery for all MIP solvers, and the choice among them."""

import math
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory as NewSolverFactory
from scipy import sparse
from solver_models import two_servers

from pyomo_j3o import mip
from pyomo_j3o.core.problem import OBJECTIVE, Products
from pyomo_j3o.errors import BackendError, OptionError
from pyomo_j3o.lp import LinearModel, LPStatus, known_case
from pyomo_j3o.lp import gurobi as gurobi_lp
from pyomo_j3o.lp import highs as highs_lp
from pyomo_j3o.mip import (
    GurobiMIP,
    HighsMIP,
    LicenceError,
    Limits,
    MIPModel,
    ScipMIP,
    Size,
    Start,
    highs,
    mip_solvers,
)
from pyomo_j3o.mip import gurobi as gurobi_mip
from pyomo_j3o.mip import highs as highs_mip
from pyomo_j3o.mip import scip as scip_mip
from pyomo_j3o.mip.params import HighsParams

INF = math.inf

SOLVERS = (GurobiMIP, HighsMIP, ScipMIP)


@pytest.fixture(params=SOLVERS, ids=lambda kind: kind.name)
def solver(request):
    """One MIP solver after the other."""
    return request.param()


def model_of(objective, rows=(), lower=(), upper=(), integer=True, low=0.0, high=1.0, maximise=True):
    """Return a MIP over columns within [low, high]."""
    n = len(objective)
    return MIPModel(
        LinearModel(
            np.array(objective, dtype=float),
            sparse.csr_array(np.array(rows, dtype=float).reshape(len(rows), n)),
            np.array(lower, dtype=float),
            np.array(upper, dtype=float),
            np.full(n, low),
            np.full(n, high),
            np.full(n, integer),
        ),
        maximise=maximise,
    )


@pytest.mark.parametrize(
    ("module", "check", "package"),
    [
        (highs_lp, "_require_right_lp", "highspy"),
        (highs_mip, "require_right_highs", "highspy"),
        (gurobi_mip, "_require_right_gurobi", "gurobipy"),
        (scip_mip, "_require_right_scip", "pyscipopt"),
    ],
    ids=["highs-lp", "highs", "gurobi", "scip"],
)
def test_a_version_that_gets_the_known_case_wrong_is_refused(module, check, package, monkeypatch):
    """The optimum is 20; of a solver that gives anything else, one sentence names version and remedy."""
    check = getattr(module, check)
    check.cache_clear()
    check()
    assert check.cache_info().currsize == 1
    check.cache_clear()
    monkeypatch.setattr(known_case, "OPTIMUM", -99999.0)
    with pytest.raises(
        BackendError, match=rf"^\w+ \d+\.\S+ gives a wrong answer .* '{package}!=\d+\.\d+\.\*'$"
    ):
        check()
    monkeypatch.undo()
    check()


def test_highs_is_tried_before_any_solve(monkeypatch):
    """A wrong HiGHS is an error of every solve, also where only the search would meet it."""

    def refuse():
        raise BackendError("HiGHS gives a wrong answer")

    monkeypatch.setattr("pyomo_j3o.interface.solver.require_right_highs", refuse)
    with pytest.raises(BackendError, match="wrong answer"):
        pyo.SolverFactory("j3o", lp_solver="gurobi", mip_solver="scip").solve(two_servers())


def knapsack(n=30, rows=3, seed=0):
    """Several knapsacks that take a while to prove."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(10, 100, (rows, n)).astype(float)
    return model_of(
        weight.mean(axis=0) + rng.integers(0, 10, n), weight, [-INF] * rows, weight.sum(axis=1) / 2
    )


def market_split(n=40, rows=5, seed=0):
    """Equalities over binaries for which no point is found in any reasonable time."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(1, 100, (rows, n)).astype(float)
    side = np.floor(weight.sum(axis=1) / 2)
    return model_of(np.ones(n), weight, side, side)


@pytest.mark.parametrize("maximise", [True, False])
def test_optimum_point_and_bound(solver, maximise):
    """Objective, values and bound of a knapsack are those of enumeration, whatever the solver's sense."""
    model = knapsack(10, 2)
    model = replace(model, maximise=maximise)
    points = np.array(np.meshgrid(*[[0, 1]] * 10)).reshape(10, -1).T
    inside = np.all(points @ model.linear.matrix.toarray().T <= model.linear.row_upper, axis=1)
    best = (points @ model.linear.objective)[inside].max()
    found = solver.solve(model, Limits(rel_gap=0.0))
    assert found.status is LPStatus.OPTIMAL
    assert found.objective == pytest.approx(best)
    assert found.bound == pytest.approx(best)
    assert found.objective == pytest.approx(model.linear.objective @ found.values)
    assert np.all(model.linear.matrix @ found.values <= model.linear.row_upper + 1e-6)


def test_ranges_equalities_and_free_columns(solver):
    """A row with two sides, an equality and columns without ends are what they say."""
    model = model_of([1, 1, 1], [[1, 1, 0], [0, 1, -1]], [-1, 2], [3, 2], integer=False, low=-INF, high=INF)
    model.linear.lower[2], model.linear.upper[2] = -4.0, 5.5
    model.linear.integer[2] = True
    found = solver.solve(model, Limits())
    assert found.status is LPStatus.OPTIMAL
    assert found.objective == pytest.approx(8)  # v2 = 5, v1 = 7, v0 = -4
    assert found.bound == pytest.approx(8)


def test_infeasible_and_unbounded(solver):
    """A fractional window is infeasible; a ray is unbounded, and infeasible where there is no point."""
    assert solver.solve(model_of([1], [[1]], [0.2], [0.8]), Limits()).status is LPStatus.INFEASIBLE
    ray = model_of([1, 0], [[0, 1]], [0.2], [INF], high=INF)
    found = solver.solve(ray, Limits())
    assert found.status is LPStatus.UNBOUNDED
    assert not found.found
    nowhere = model_of([1, 0], [[0, 1]], [0.2], [0.8], high=INF)
    found = solver.solve(nowhere, Limits())
    assert found.status is LPStatus.INFEASIBLE
    assert found.bound == -INF


def test_without_integer_columns(solver):
    """An LP is a MIP, too."""
    found = solver.solve(model_of([1, 2], [[1, 1]], [-INF], [1.5], integer=False), Limits())
    assert found.status is LPStatus.OPTIMAL
    assert found.objective == found.bound == pytest.approx(2.5)


@pytest.mark.parametrize("kind", [GurobiMIP, ScipMIP])
@pytest.mark.parametrize("maximise", [True, False])
def test_products_in_rows_and_in_the_objective(kind, maximise):
    """Terms x·y count in the row, and in the objective, that they are said to be in."""
    linear = model_of([0, 1, -0.5], [[0, 0, 1]], [-INF], [5.0], low=0, high=4).linear
    linear.integer[:] = [True, False, False]
    linear.upper[0] = 1.0
    terms = Products(np.array([OBJECTIVE, 0]), np.array([0, 0]), np.array([1, 1]), np.array([-3.0, 2.0]))
    found = kind().solve(MIPModel(linear, terms, maximise), Limits(rel_gap=0.0))
    assert found.objective == pytest.approx(4)  # x = 0: 4 + 0 - 0
    terms = Products(np.array([OBJECTIVE, 0]), np.array([0, 0]), np.array([1, 1]), np.array([3.0, 2.0]))
    found = kind().solve(MIPModel(linear, terms, maximise), Limits(rel_gap=0.0))
    assert found.objective == pytest.approx(10)  # x = 1, 2 y <= 5: 2.5 + 3 * 2.5
    assert found.bound == pytest.approx(10)


def test_highs_refuses_products():
    """HiGHS never solves a model without its products as if that were the model."""
    terms = Products(np.array([OBJECTIVE]), np.array([0]), np.array([1]), np.array([1.0]))
    with pytest.raises(BackendError, match="products"):
        HighsMIP().solve(MIPModel(model_of([1, 1]).linear, terms), Limits())


def test_a_start_is_taken(solver):
    """A start within the gap ends the solve; one to go on from leads to the optimum."""
    model = knapsack()
    best = solver.solve(model, Limits(rel_gap=0.0))
    values = best.values.copy()
    values[np.flatnonzero(values > 0.5)[0]] = 0.0
    found = solver.solve(model, Limits(rel_gap=10.0), Start(values))
    assert found.status is LPStatus.OPTIMAL
    assert found.objective >= float(model.linear.objective @ values) - 1e-6
    found = solver.solve(model, Limits(rel_gap=0.0), Start(values, near_optimal=True))
    assert found.objective == pytest.approx(best.objective)


def test_a_wrong_start_does_no_harm(solver):
    """A start that misses a row is dropped."""
    model = knapsack(15)
    best = solver.solve(model, Limits(rel_gap=0.0)).objective
    assert solver.solve(model, Limits(rel_gap=0.0), Start(np.ones(15))).objective == pytest.approx(best)


def test_limits_of_gap_nodes_and_points(solver):
    """A wide gap ends early, and so do nodes and the first incumbent; the bound holds all the same."""
    model = knapsack(60, 5)
    best = solver.solve(model, Limits(30.0, rel_gap=1e-2))
    for limits in (Limits(rel_gap=0.5), Limits(abs_gap=1e4), Limits(nodes=1), Limits(first_incumbent=True)):
        found = solver.solve(model, replace(limits, time=30.0))
        assert found.status in (LPStatus.OPTIMAL, LPStatus.STOPPED)
        assert found.bound >= best.objective - 1e-6
        assert found.objective <= best.bound + 1e-6


@pytest.mark.parametrize("checks", [0, 1, 5, 40])
def test_a_limit_of_checks_is_the_same_every_time(checks):
    """HiGHS stops where it did before, and the bound holds: this limit is no clock, and no Ctrl-C."""
    model = knapsack(60, 5)
    best = HighsMIP().solve(model, Limits(rel_gap=1e-2))
    one, again = (HighsMIP().solve(model, Limits(rel_gap=0.0, checks=checks, threads=1)) for _ in range(2))
    assert one.status is again.status is LPStatus.STOPPED
    assert (one.objective, one.bound, one.nodes) == (again.objective, again.bound, again.nodes)
    assert np.array_equal(one.values, again.values)
    assert one.bound >= best.objective - 1e-6
    assert one.objective <= best.bound + 1e-6


@pytest.mark.timed
def test_the_time_limit_binds(solver):
    """Half a second is half a second, with or without an incumbent, and none at all is none."""
    for seconds in (0.0, 0.5):
        start = time.perf_counter()
        found = solver.solve(market_split(), Limits(seconds))
        assert time.perf_counter() - start < seconds + 2.0
        assert found.status is LPStatus.TIME_LIMIT
        assert not found.found
        assert found.bound > 0


@pytest.mark.timed
def test_a_stop_from_elsewhere_is_the_end_of_time(solver):
    """Whoever says stop gets an answer soon."""
    start = time.perf_counter()
    found = solver.solve(market_split(), Limits(stop=lambda: time.perf_counter() - start > 0.5))
    assert found.status is LPStatus.TIME_LIMIT
    assert time.perf_counter() - start < 5.0


@pytest.mark.timed
def test_the_log_arrives_while_it_runs(solver):
    """Lines come one by one, whole, in the thread of the caller, and before the end."""
    lines, threads, times = [], set(), []

    def write(line):
        lines.append(line)
        threads.add(threading.current_thread())
        times.append(time.perf_counter())

    solver.solve(market_split(), Limits(1.5), write=write)
    end = time.perf_counter()
    assert threads == {threading.current_thread()}
    assert all("\n" not in line for line in lines)
    assert times[0] < end - 0.5
    text = "\n".join(lines)
    assert {"gurobi": "Root relaxation", "highs": "Presolving model", "scip": "presolving"}[
        solver.name
    ] in text


def test_nothing_is_printed(solver, capfd):
    """Without a reader, there is no output."""
    solver.solve(knapsack(), Limits(rel_gap=0.01))
    out, err = capfd.readouterr()
    assert out + err == ""


def test_what_the_reader_raises_reaches_the_caller(solver):
    """A stream that fails ends the solve with its own error."""

    def write(line):
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"):
        solver.solve(market_split(), Limits(20.0), write=write)


@pytest.mark.parametrize("kind", SOLVERS, ids=lambda kind: kind.name)
def test_an_unknown_option_is_an_error_at_once(kind):
    """It names the option."""
    with pytest.raises(OptionError, match="nonsense"):
        kind({"nonsense": 1})


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (GurobiMIP, {"NodeLimit": 0}),
        (HighsMIP, {"mip_max_nodes": 0}),
        (ScipMIP, {"limits/nodes": 1}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_options_of_the_user_win(kind, options):
    """What the user passes to the solver overrides what j3o would."""
    found = kind(options).solve(knapsack(60, 5), Limits(30.0, rel_gap=0.0, nodes=10**6))
    assert found.status is LPStatus.STOPPED


@pytest.mark.parametrize("kind", SOLVERS, ids=lambda kind: kind.name)
def test_same_seed_same_answer(kind):
    """Twice the same, to the last bit."""
    first, second = (kind(seed=3).solve(knapsack(), Limits(rel_gap=0.0, threads=1)) for _ in range(2))
    assert np.array_equal(first.values, second.values)
    assert first.bound == second.bound


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize("name", ["highs", "scip", "gurobi"])
def test_ctrl_c_returns_the_best_point(name):
    """SIGINT while a solver works ends it with what it has; the process lives on and takes the next one."""
    code = f"""
import os, signal, sys, threading, time
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]
from test_mip import SOLVERS, knapsack
from pyomo_j3o.mip import Limits
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs this in the background ignores it
solver = next(kind for kind in SOLVERS if kind.name == {name!r})()
def interrupt():
    time.sleep(1.5)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
found = solver.solve(knapsack(200, 40), Limits(60.0, rel_gap=0.0))
print(found.status.name, found.found, found.bound < float("inf"))
try:
    threading.Thread(target=interrupt).start()
    time.sleep(10)
except KeyboardInterrupt:
    print("again")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    # Gurobi has a word of its own to say about Ctrl-C.
    said = [line for line in done.stdout.split("\n") if line and "nterrupt request" not in line]
    assert said == ["INTERRUPTED True True", "again"], done.stderr


# --- the choice among solvers -----------------------------------------------------------------------------


def names(name, size, **options):
    """Return the short names of the solvers that are offered, best first."""
    return [solver.name for solver in mip_solvers(name, size, options)]


SMALL, LARGE = Size(10, 10), Size(3000, 10)


def test_auto_takes_gurobi_where_the_licence_reaches(monkeypatch):
    """Gurobi within its licence and HiGHS behind it; HiGHS beyond; the description says why."""
    monkeypatch.setattr(gurobi_lp, "unavailable", lambda n, m, products: "too large" if n > 2000 else "")
    assert names("auto", SMALL) == ["gurobi", "highs"]
    assert names("auto", LARGE) == ["highs"]
    assert "too large" in next(mip_solvers("auto", LARGE, {})).description
    assert names("highs", SMALL) == ["highs"]
    assert names("scip", LARGE) == ["scip"]
    with pytest.raises(BackendError, match=r"too large.*mip_solver="):
        names("gurobi", LARGE)


def test_auto_takes_scip_where_highs_cannot(monkeypatch):
    """Products that have no linear form go to Gurobi or to SCIP; without both, the error names the remedy."""
    monkeypatch.setattr(gurobi_lp, "unavailable", lambda n, m, products: "" if n <= 10 else "too large")
    odd = Size(10, 10, True, "'y' has no bound")
    assert names("auto", odd) == ["gurobi", "scip"]
    assert names("auto", replace(odd, columns=11)) == ["scip"]
    with pytest.raises(BackendError, match="'y' has no bound"):
        names("highs", odd)
    monkeypatch.setattr(mip.scip, "unavailable", lambda: "pyscipopt is not installed")
    with pytest.raises(BackendError, match=r"'y' has no bound.*too large.*pyscipopt"):
        names("auto", replace(odd, columns=11))
    with pytest.raises(BackendError, match="pip install"):
        names("scip", SMALL)


def test_the_free_licence_takes_fewer_columns_with_products():
    """What Gurobi itself says of a model just above its limits is what the choice foresees."""
    if gurobi_lp.unavailable(10, 10) or not gurobi_lp.unavailable(5000, 10):
        pytest.skip("needs the licence that comes with gurobipy")
    assert not gurobi_lp.unavailable(200, 10, True)
    assert "products" in gurobi_lp.unavailable(201, 10, True)
    assert not gurobi_lp.unavailable(2000, 2000)
    n = 201
    linear = model_of(np.ones(n)).linear
    one = np.zeros(1, dtype=np.int64)
    terms = Products(one, one, one + 1, np.ones(1))
    terms = replace(terms, row=np.full(1, OBJECTIVE))
    with pytest.raises(LicenceError, match="mip_solver"):
        GurobiMIP().solve(MIPModel(linear, terms), Limits())
    small = model_of(np.ones(200)).linear
    assert GurobiMIP().solve(MIPModel(small, terms), Limits()).objective == pytest.approx(201)


def test_what_is_infinite_to_scip_is_one_sentence(monkeypatch):
    """A coefficient at SCIP's infinity is named; whatever else SCIP refuses is no bare exception either."""
    pytest.importorskip("pyscipopt")
    solver, model = ScipMIP(), model_of([1.0, 1.0], [[1e21, 1.0]], [-INF], [1.0])
    with pytest.raises(BackendError, match=r"coefficient of 1e\+21.*set another mip_solver"):
        solver.solve(model, Limits())
    monkeypatch.setattr(scip_mip, "_INFINITY", 1e30)
    with pytest.raises(BackendError, match=r"SCIP failed \(.*error in input data.*set another mip_solver"):
        solver.solve(model, Limits())


def test_under_auto_the_next_solver_takes_over_where_one_fails(monkeypatch):
    """Of the first that fails the log says why; asked for by name, its failure is the error."""

    def fail(*arguments, **keywords):
        raise BackendError("Gurobi failed on the MIP")

    if gurobi_lp.unavailable(10, 10):
        pytest.skip("needs Gurobi")
    monkeypatch.setattr(GurobiMIP, "solve", fail)
    results = NewSolverFactory("j3o.exact").solve(two_servers())
    assert results.extra_info.mip_solver == "highs"
    assert "Gurobi failed on the MIP" in results.solver_log
    with pytest.raises(BackendError, match="Gurobi failed"):
        NewSolverFactory("j3o.exact").solve(two_servers(), mip_solver="gurobi")


# --- what solvers get wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (HighsMIP, {"simplex_iteration_limit": 1, "presolve": "off"}),
        (GurobiMIP, {"IterationLimit": 1, "Method": 0, "Presolve": 0}),
        (GurobiMIP, {"BarIterLimit": 1, "Method": 2, "Crossover": 0, "Presolve": 0}),
    ],
)
def test_an_lp_that_stops_early_proves_nothing(kind, options):
    """The objective of an LP at a limit is no bound."""
    rng = np.random.default_rng(0)
    model = model_of(
        rng.uniform(1, 2, 20), rng.uniform(0, 1, (15, 20)), [-INF] * 15, [3.0] * 15, integer=False
    )
    best = HighsMIP().solve(model, Limits()).objective
    found = kind(options).solve(model, Limits())
    assert found.bound >= best - 1e-6


def test_highs_that_returns_the_start_for_its_optimum_is_asked_again(monkeypatch):
    """If the point is not the one that HiGHS speaks of, the solve is done without the start."""
    asked = []
    real = mip.highs._Run.contradicts

    def contradicts(self, found):
        asked.append(found)
        return True

    monkeypatch.setattr(mip.highs._Run, "contradicts", contradicts)
    model = knapsack(15)
    best = HighsMIP().solve(model, Limits(rel_gap=0.0)).objective
    assert not asked
    found = HighsMIP().solve(model, Limits(rel_gap=0.0), Start(np.zeros(15)))
    assert len(asked) == 1
    assert found.objective == pytest.approx(best)
    monkeypatch.setattr(mip.highs._Run, "contradicts", real)
    assert HighsMIP().solve(model, Limits(rel_gap=0.0), Start(np.zeros(15))).objective == pytest.approx(best)


def test_what_is_infeasible_stays_so_at_the_second_look():
    """HiGHS is asked again without presolve before a model counts as infeasible; here it is."""
    model = MIPModel(
        LinearModel(
            np.array([1.0, 1.0]),
            sparse.csr_array(np.array([[1.0, 1.0]])),
            np.array([0.4]),
            np.array([0.6]),
            np.zeros(2),
            np.ones(2),
            np.array([True, True]),
        )
    )
    assert HighsMIP().solve(model, Limits()).status is LPStatus.INFEASIBLE


def test_a_proof_that_is_stuck_is_told_from_one_that_moves():
    """It is stuck if four times the nodes found no better plan and left nine tenths of the gap."""

    def stuck(*states):
        progress = highs._Progress(HighsParams())
        return [progress.take(nodes, plan, bound) for nodes, plan, bound in states]

    assert stuck((1, 10.0, 12.0), (49, 10.0, 12.0), (60, 10.0, 12.0)) == [False, False, False]
    assert stuck((50, 10.0, 12.0), (199, 10.0, 12.0), (200, 10.0, 11.9)) == [False, False, True]
    assert stuck((50, 10.0, 12.0), (200, 10.0, 11.7), (800, 10.0, 11.0)) == [False, False, False]
    assert stuck((50, 10.0, 12.0), (200, 10.1, 12.0), (800, 10.1, 11.99)) == [False, False, True]


@pytest.mark.parametrize("maximise", [True, False])
def test_highs_gets_its_search_back_where_the_proof_is_stuck(monkeypatch, maximise):
    """From a near start, HiGHS first proves without heuristics; once stuck, it runs as it does by default."""
    model = replace(knapsack(60, 5), maximise=maximise)
    best = HighsMIP().solve(model, Limits(rel_gap=2e-2))
    runs, new = [], highs.new_highs

    def keep(options):
        runs.append({name for name in highs._PROOF_ONLY if name in options})
        return new(options)

    monkeypatch.setattr(highs, "new_highs", keep)
    solver, start = HighsMIP(), Start(np.zeros(60), near_optimal=True)
    solver.solve(model, Limits(rel_gap=0.5), replace(start, near_optimal=False))
    assert runs == [set()]
    solver = HighsMIP(params=HighsParams(stuck=-1.0, stuck_after=1, stuck_factor=1))
    del runs[:]
    lines = []
    found = solver.solve(model, Limits(rel_gap=2e-2), start, lines.append)
    assert runs == [set(highs._PROOF_ONLY), set()]
    assert any("stuck" in line for line in lines)
    assert found.status is LPStatus.OPTIMAL
    assert found.objective >= best.objective * (1 - 2e-2)
    assert found.objective <= best.bound + 1e-6
    assert best.objective <= found.bound + 1e-6


def test_a_lean_search_gets_all_heuristics_back_where_it_is_stuck(monkeypatch):
    """First HiGHS does without some; once stuck, it runs as it does by default, from the plan it has."""
    model = knapsack(60, 5)
    best = HighsMIP().solve(model, Limits(rel_gap=2e-2))
    runs, new = [], highs.new_highs

    def keep(options):
        runs.append({name for name in highs._LEAN if name in options})
        return new(options)

    monkeypatch.setattr(highs, "new_highs", keep)
    moves = HighsMIP(params=HighsParams(stuck_after=10**6))
    stuck = HighsMIP(params=HighsParams(stuck=-1.0, stuck_after=0, stuck_factor=0))
    for solver, expected in ((moves, [set(highs._LEAN)]), (stuck, [set(highs._LEAN), set()])):
        del runs[:]
        found = solver.solve(model, Limits(rel_gap=2e-2, lean=True))
        assert runs == expected
        assert found.status is LPStatus.OPTIMAL
        assert found.objective >= best.objective * (1 - 2e-2)
        assert found.objective <= best.bound + 1e-6
        assert best.objective <= found.bound + 1e-6


def test_a_limit_that_is_short_for_the_size_leaves_out_what_has_no_clock(monkeypatch):
    """HiGHS's presolve and feasibility jump are off then; the optimum is the same, and an own option wins."""
    model = knapsack(15)
    best = HighsMIP().solve(model, Limits(time=60.0, rel_gap=0.0)).objective
    given = []

    def new_highs(options):
        given.append(dict(options))
        return highs_lp.new_highs(options)

    monkeypatch.setattr(highs_mip, "new_highs", new_highs)
    hurried = HighsParams(presolved_per_second=0.1, jumped_per_second=0.1)
    solver = HighsMIP({"mip_root_presolve_only": False}, params=hurried)
    found = solver.solve(model, Limits(time=60.0, rel_gap=0.0))
    assert found.objective == pytest.approx(best)
    assert given[-1]["presolve"] == "off"
    assert given[-1]["mip_heuristic_run_feasibility_jump"] is False
    assert given[-1]["mip_root_presolve_only"] is False
    monkeypatch.undo()


def test_highs_is_not_asked_where_it_could_not_even_begin(monkeypatch):
    """Nothing is found then, and nothing is said of the model."""
    monkeypatch.setattr(highs_mip.HighsMIP, "_attempt", None)
    found = HighsMIP(params=HighsParams(set_up_per_second=0.1)).solve(knapsack(15), Limits(time=60.0))
    assert (found.status, found.found, found.bound) == (LPStatus.TIME_LIMIT, False, INF)
