"""Repair: what can be routed stays as it is; what cannot is routed after a few exchanges."""

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from small_problems import location_problems

from pyomo_j3o import library
from pyomo_j3o.alternate.offloading import OffloadingStep
from pyomo_j3o.certify.cutting import relax
from pyomo_j3o.core.deadline import NEVER
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.improve.params import DescentParams
from pyomo_j3o.improve.repairing import repaired
from pyomo_j3o.lp import HighsBackend
from pyomo_j3o.modeling.compiler import compile_model


def repair(problem, x):
    """Return the routing of `x`, and that of its repair at the prices of the relaxation."""
    structure, backend = analyse(problem), HighsBackend()
    prices = relax(structure, backend, False, NEVER).duals
    step = OffloadingStep(structure, backend)
    before = step(x)
    after = step(repaired(structure, backend, x, prices, NEVER, DescentParams()))
    step.close()
    assert structure.placeable(after.x)
    return before, after


@given(location_problems(), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_repair_is_never_worse_and_leaves_plans_alone(problem, seed):
    """From any placement that keeps its rows, feasible or not."""
    x = np.random.default_rng(seed).random(problem.n_onloading) < 0.5
    x &= problem.onloading_upper > 0.5
    assume(analyse(problem).placeable(x))
    before, after = repair(problem, x)
    assert not before.better_than(after)
    if before.feasible:
        assert np.array_equal(after.x, x)


@pytest.mark.parametrize("seed", [0, 2])
def test_the_plan_for_other_loads_is_repaired_by_a_few_exchanges(seed):
    """Loads move by up to 10 % each, and no query may be dropped: the plan fails, and a near one does not."""
    m = library.build_model(library.taskonomy_data(6, 1, seed), mutable=True)
    pyo.SolverFactory("j3o").solve(m, lp_solver="highs", mip_solver="highs", rel_gap=0.02)
    rng = np.random.default_rng(seed)
    failed = 0
    for _ in range(4):
        moved = m.clone()
        for load in moved.loads.values():
            load.set_value(load.value * rng.uniform(0.9, 1.1))
        problem, inverse = compile_model(moved)
        x = np.array([variable.value > 0.5 for variable in inverse.onloading])
        before, after = repair(problem, x)
        failed += not before.feasible
        assert after.feasible
        assert np.sum(after.x != x) <= 6
    assert failed
