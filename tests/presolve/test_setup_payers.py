"""Set-ups paid by onloading variables: plans come back feasible and worth the same, and who pays is right."""

from dataclasses import replace

import numpy as np
import pytest
from batching_models import Drawn
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse
from small_problems import INF, placements, problem_of

from pyomo_j3o.alternate.offloading import OffloadingStep
from pyomo_j3o.core.problem import Batches, Plan, evaluate, violations
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.lp import HighsBackend
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.presolve.setup_payers import charge_when_onloaded, charge_when_used

CHARGES = pytest.mark.parametrize("charge", [charge_when_used, charge_when_onloaded])
kinds = st.fixed_dictionaries({name: st.booleans() for name in ("shared", "ungated", "costs", "forced")})


def one_window(setup, gates, length=1.0):
    """Return a window of one batch: y_j is open with x_gate; the batch takes `setup` and 0.1 per y.

    The columns of x are those of `gates`, then the indicator.
    """
    names = list(dict.fromkeys(gates))
    y = {f"y{j}": 1 for j in range(len(gates))}
    rows = [({f"y{j}": 1, gate: -1}, -INF, 0) for j, gate in enumerate(gates)]
    rows += [({f"y{j}": 1, "used": -1}, -INF, 0) for j in range(len(gates))]
    rows.append((dict.fromkeys(y, 0.1) | ({"used": setup} if setup else {}), -INF, length))
    problem = problem_of(dict.fromkeys(names, 0) | {"used": 0}, y, rows)
    return replace(
        problem,
        batches=Batches(
            np.array([len(names)]),
            np.array([len(rows) - 1]),
            sparse.csr_array(np.ones((1, len(y)))),
            np.zeros(1),
        ),
    )


def restored(charged, x, y):
    """Return a placement in the original columns."""
    return charged.restore_plan(Plan(np.array(x), y, 0.0)).x


@CHARGES
@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), kind=kinds)
def test_every_plan_comes_back_feasible_and_worth_the_same(seed, kind, charge):
    """At each placement of the smaller problem, its best routing is a plan of the original as well."""
    problem = compile_model(Drawn(seed, **kind).model())[0]
    charged = charge(problem, negligible=False)
    structure, n_plans = analyse(charged.problem), 0
    step = OffloadingStep(structure, HighsBackend())
    for x in placements(charged.problem):
        if not structure.placeable(x):
            continue
        routing = step(x)
        if not routing.feasible:
            continue
        n_plans += 1
        for charge_all in {False, charge is charge_when_onloaded}:
            back = replace(charged, charge_all=charge_all)
            original = back.restore_plan(Plan(x, routing.y, routing.objective)).x
            missed = violations(problem, original.astype(float), routing.y)
            assert missed.max() <= 1e-6
            value = evaluate(problem, original.astype(float), routing.y)
            assert value == pytest.approx(routing.objective, abs=1e-6)
            kept = charged.column >= 0
            kept[problem.batches.indicator] = False
            assert np.array_equal(charged.reduce_placement(original)[charged.column[kept]], original[kept])
    step.close()
    assume(n_plans > 0)


def test_an_x_that_opens_the_whole_batch_pays():
    """With one gate the indicator goes, and the gate takes its place in the window's row."""
    charged = charge_when_used(one_window(0.4, ["a", "a"]))
    assert charged.column.tolist() == [0, -1]
    assert charged.batch.tolist() == [0]
    assert charged.payer.tolist() == [0]
    assert charged.setup.tolist() == [0.4]
    assert charged.problem.onloading_rows.toarray()[charged.row].tolist() == [[0.4]]
    assert charged.stands_for.tolist() == [0]
    assert not charged.indicators_left
    used, idle = np.array([0.5, 0.5]), np.zeros(2)
    assert restored(charged, [True], used).tolist() == [True, True]
    assert restored(charged, [True], idle).tolist() == [True, False]
    assert restored(replace(charged, charge_all=True), [True], idle).tolist() == [True, True]


def test_a_batch_with_two_gates_keeps_its_indicator():
    """Neither gate opens the whole batch; if who is onloaded pays, each of them switches the indicator on."""
    problem = one_window(0.4, ["a", "b"])
    charged = charge_when_used(problem)
    assert charged.indicators_left
    assert charged.payer.tolist() == [2]
    tied = charge_when_onloaded(problem)
    possible = [x.tolist() for x in placements(tied.problem) if analyse(tied.problem).placeable(x)]
    assert [False, False, False] in possible
    assert [True, True, True] in possible
    assert all(x[2] for x in possible if x[0] or x[1])


@CHARGES
def test_a_set_up_longer_than_its_window_closes_the_batch(charge):
    """Nothing can be routed through it, and nobody pays for it."""
    charged = charge(one_window(1.5, ["a"]))
    assert charged.never.tolist() == [True]
    assert len(charged.batch) == 0
    assert charged.problem.offloading_upper.tolist() == [0.0]
    assert restored(replace(charged, charge_all=True), [True], np.zeros(1)).tolist() == [True, False]


@CHARGES
def test_a_batch_without_set_up_is_paid_by_nobody(charge):
    """Its indicator goes, and its columns stay open."""
    charged = charge(one_window(0.0, ["a", "b"]))
    assert charged.column.tolist() == [0, 1, -1]
    assert len(charged.batch) == 0
    assert charged.problem.offloading_upper.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("negligible", "n_paid"), [(1e-5, 0), (0.0, 1)])
def test_set_ups_that_hardly_count_may_be_left_out(negligible, n_paid):
    """A set-up of a millionth of the window is paid only where nothing is negligible."""
    assert len(charge_when_used(one_window(1e-6, ["a"]), negligible).batch) == n_paid
