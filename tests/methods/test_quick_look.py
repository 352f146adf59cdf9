"""The quick look: a small model that it closes is solved, and what it leaves open loses nothing by it."""

import exact_models
import numpy as np
import pytest
from random_families import family_case
from solver_models import new, two_servers

from pyomo_j3o import library
from pyomo_j3o.core.results import Ending, Outcome
from pyomo_j3o.errors import BackendError
from pyomo_j3o.methods import quick_look
from pyomo_j3o.methods.params import LookParams, Params
from pyomo_j3o.methods.settings import Settings
from pyomo_j3o.mip import HighsMIP
from pyomo_j3o.modeling.compiler import compile_model

HIGHS = {"lp_solver": "highs", "mip_solver": "highs"}


def solved(model, params=None, **options):
    """Return the results of a solve by HiGHS alone."""
    opt = new()
    if params is not None:
        opt.params = params
    return opt.solve(model, load_solutions=False, **HIGHS, **options)


@pytest.fixture
def looks(monkeypatch):
    """Count the looks that are taken."""
    taken, take = [], quick_look.take_look

    def counted(*given):
        taken.append(take(*given))
        return taken[-1]

    monkeypatch.setattr("pyomo_j3o.methods.j3o.take_look", counted)
    return taken


def test_a_look_that_closes_the_gap_is_one_iteration(looks):
    """Trace, bound, duals and log are there as after any solve."""
    m = two_servers()
    results = new().solve(m, **HIGHS)
    assert len(looks) == 1
    assert looks[0].outcome is not None
    assert looks[0].outcome.duals is not None
    (record,) = results.extra_info.trace
    assert record.incumbent == pytest.approx(results.incumbent_objective)
    assert record.relative_gap <= 1e-4
    assert results.objective_bound >= results.incumbent_objective
    rest = solved(two_servers(), callback=lambda record: None)
    assert len(looks) == 1
    assert results.incumbent_objective == pytest.approx(rest.incumbent_objective, rel=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"callback": lambda record: None},
        {"stop": lambda trace: False},
        {"improve": False},
        {"bound": "lp"},
        {"bound": "none"},
        {"warm_start": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_who_asks_for_the_steps_gets_them(looks, options):
    """No look is taken where an option asks for steps of the method, or for a view of them."""
    m = two_servers()
    for variable in m.x.values():
        variable.set_value(0, skip_validation=True)
    assert solved(m, **options).extra_info.trace
    assert not looks


@pytest.mark.parametrize("family", ["money", "lots", "portfolio", "parts", "network"])
@pytest.mark.parametrize("seed", range(2))
def test_with_and_without_a_look_the_optimum_is_the_same(looks, family, seed):
    """Whatever constant the objective has: both bounds hold for both plans."""
    quick = solved(family_case(seed, family).model)
    slow = solved(family_case(seed, family).model, Params(look=LookParams(nonzeros=0, strange_nonzeros=0)))
    assert len(looks) == 1
    scale = 1e-6 * max(1.0, abs(slow.incumbent_objective))
    sense = np.sign(slow.objective_bound - slow.incumbent_objective) or np.sign(
        quick.objective_bound - quick.incumbent_objective
    )
    for one, other in ((quick, slow), (slow, quick)):
        assert sense * (one.objective_bound - other.incumbent_objective) >= -scale


def test_what_a_look_has_found_is_never_lost(monkeypatch):
    """A look without a bound leaves a plan: the search that follows returns that or a better one."""
    seen, take = [], quick_look.take_look

    def blind(*given):
        look = take(*given)
        seen.append(quick_look.Look(best=look.best))
        return seen[-1]

    def nothing(run):
        return Ending.TIME

    monkeypatch.setattr("pyomo_j3o.methods.j3o.take_look", blind)
    monkeypatch.setattr("pyomo_j3o.methods.j3o.search", nothing)
    results = solved(two_servers(), raise_exception_on_nonoptimal_result=False)
    assert results.incumbent_objective == pytest.approx(two_servers_optimum())
    assert seen


def two_servers_optimum():
    """Return the optimum by the exact method."""
    return (
        new()
        .solve(two_servers(), algorithm="exact", rel_gap=0.0, load_solutions=False, **HIGHS)
        .incumbent_objective
    )


def test_an_infeasible_problem_stays_without_a_plan():
    """A plan of the look does not contradict a proof."""
    outcome = Outcome(None, -np.inf, Ending.INFEASIBLE)
    assert quick_look.no_worse(outcome, [], quick_look.Look(), 1.0) is outcome


def test_a_solver_that_fails_is_left_out(monkeypatch):
    """The search goes on as if there had been no look."""

    def broken(*_):
        raise BackendError("broken")

    expected = two_servers_optimum()
    monkeypatch.setattr(HighsMIP, "solve", broken)
    results = solved(two_servers(), raise_exception_on_nonoptimal_result=False)
    assert results.incumbent_objective == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("flows", [0.0, np.inf])
def test_a_strange_model_is_mostly_placement(flows):
    """With few offloading variables per onloading one, and no more nonzeros than the limit."""
    problem = family_case(0, "portfolio").problem

    def is_strange(pursues=False, **changed):
        look = LookParams(flows_per_onloading=flows, **changed)
        settings = Settings(lambda trace: None, 1e-4, 0.0, 50, pursues=pursues, params=Params(look=look))
        return quick_look.is_strange(problem, settings)

    assert is_strange() == (flows > 0)
    assert not is_strange(strange_nonzeros=0)


def test_a_model_whose_flows_serve_no_demand_is_strange_where_a_gap_is_pursued():
    """Balances of flows are no demand; the customers of a location model are one."""

    def is_strange(model, **changed):
        look = LookParams(**changed)
        settings = Settings(lambda trace: None, 1e-4, 0.0, 50, pursues=True, params=Params(look=look))
        return quick_look.is_strange(compile_model(model)[0], settings)

    flows = exact_models.multicommodity(8, 5, 0)
    assert is_strange(flows)
    assert not is_strange(flows, least_serving=0.0)
    assert not is_strange(flows, strange_nonzeros=0)
    assert not is_strange(library.facility_location(8, 20, 0))


@pytest.mark.parametrize("pursues", [False, True])
def test_a_pursued_look_is_a_search_of_its_own(monkeypatch, pursues):
    """Without a goal, a small model with a structure gets a few nodes; with one, as many as it takes."""
    given, solve = [], quick_look.solve_checked

    def keep(solver, model, limits, *rest):
        given.append(limits)
        return solve(solver, model, limits, *rest)

    monkeypatch.setattr(quick_look, "solve_checked", keep)
    solved(library.facility_location(6, 15, 3), **({"rel_gap": 1e-3} if pursues else {}))
    (limits,) = given
    assert limits.lean is pursues
    assert (limits.checks is None) is pursues
    nonzeros = compile_model(library.facility_location(6, 15, 3))[0].n_nonzeros
    params = LookParams()
    assert limits.nodes == (params.pursued_effort if pursues else params.effort) // nonzeros
