"""Sifting: the same optimum as the whole LP, from few columns."""

import numpy as np
import pytest
from small_problems import INF, problem_of

from pyomo_j3o.certify import sifting
from pyomo_j3o.certify.ascent import ascend
from pyomo_j3o.certify.cutting import relax
from pyomo_j3o.certify.params import AscentParams, CutParams, SiftParams
from pyomo_j3o.certify.relaxation import relaxation_model
from pyomo_j3o.core.deadline import NEVER
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.lp import HighsBackend

#: Sift small problems, from two columns per group on.
SIFTED = CutParams(ascent=AscentParams(large=0), sifting=SiftParams(large=10, first=2))
#: Sift none.
WHOLE = CutParams(sifting=SiftParams(large=10**9))


def location(seed, sites=12, customers=15, demand_side=(1, 1), extra=()):
    """Return a drawn facility-location problem with capacities and links."""
    rng = np.random.default_rng(seed)
    away = np.abs(rng.random((sites, 1)) - rng.random(customers))
    demand, capacity = rng.uniform(1, 3, customers), rng.uniform(6, 15, sites)
    x = {f"x{i}": -float(rng.uniform(0.2, 1.0)) for i in range(sites)}
    y = {f"y{i}_{j}": -float(away[i, j]) for i in range(sites) for j in range(customers)}
    rows = [({f"y{i}_{j}": 1 for i in range(sites)}, *demand_side) for j in range(customers)]
    rows += [
        ({f"y{i}_{j}": demand[j] for j in range(customers)} | {f"x{i}": -capacity[i]}, -INF, 0)
        for i in range(sites)
    ]
    rows += [({f"y{i}_{j}": 1, f"x{i}": -1}, -INF, 0) for i in range(sites) for j in range(customers)]
    return analyse(problem_of(x, y, [*rows, *extra]))


def whole(structure):
    """Return the optimum of the LP relaxation, solved at once."""
    program = HighsBackend().open(relaxation_model(structure.problem))
    try:
        return program.solve()
    finally:
        program.close()


def sift(structure, model):
    """Return what sifting finds from the prices of an ascent."""
    columns = sifting.cheapest_columns(structure, SIFTED.ascent)
    ascent = ascend(model, structure.problem.n_onloading, columns, NEVER, SIFTED.ascent)
    return sifting.sift(structure, model, ascent, HighsBackend(), NEVER, SIFTED)


@pytest.mark.parametrize("seed", range(8))
def test_the_optimum_is_that_of_the_whole_lp(seed):
    """Objective and bound agree with the LP solved at once, and the duals prove the bound."""
    structure = location(seed)
    model = relaxation_model(structure.problem)
    kernel, found = sift(structure, model)
    kernel.close()
    expected = whole(structure).objective
    assert kernel.size < model.n_columns
    assert found.solution.objective == pytest.approx(expected, abs=1e-5)
    assert expected - 1e-9 <= found.bound <= expected + 1e-5
    values = found.solution.values
    body = model.matrix @ values
    assert np.all(body <= model.row_upper + 1e-7)
    assert np.all(body >= model.row_lower - 1e-7)
    assert np.all(values >= model.lower - 1e-9)
    assert np.allclose(
        found.solution.reduced_costs, model.objective - model.matrix.T @ found.solution.row_duals
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("cuts", [False, True])
def test_the_relaxation_is_as_tight(seed, cuts):
    """With cuts and without, the bound is about what it is without sifting, and never below the optimum."""
    structure = location(seed)
    sifted = relax(structure, HighsBackend(), cuts, NEVER, SIFTED)
    plain = relax(structure, HighsBackend(), cuts, NEVER, WHOLE)
    assert sifted.status is plain.status
    assert sifted.bound == pytest.approx(plain.bound, rel=1e-2 if cuts else 1e-5)


def test_columns_that_compete_for_a_budget_are_not_sifted():
    """Under a shared budget the cheapest column is not the one that gets it: all count from the start."""
    budget = ({f"y{i}_{j}": 1 + i for i in range(12) for j in range(15)}, -INF, 60)
    structure = location(0, extra=[budget])
    assert sifting.cheapest_columns(structure, AscentParams(first=2, first_of_group=0.0)).all()
    assert not sifting.cheapest_columns(location(0), AscentParams(first=2, first_of_group=0.0)).all()
    assert sift(structure, relaxation_model(structure.problem)) is None


def test_an_infeasible_problem_is_left_to_the_whole_lp():
    """Sifting returns None, and the relaxation is infeasible."""
    structure = location(0, demand_side=(9, 9))
    model = relaxation_model(structure.problem)
    assert sift(structure, model) is None
    assert relax(structure, HighsBackend(), True, NEVER, SIFTED).bound == -INF
