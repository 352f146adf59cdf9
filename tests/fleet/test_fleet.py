"""Fleets against the whole in one model, and what is said of bad input."""

import io
import math
from concurrent.futures import ThreadPoolExecutor

import pyomo.environ as pyo
import pytest
from fleet_models import (
    broken_at_two,
    cheap_shop,
    cheap_shop_of_two,
    counted,
    either,
    interrupts,
    shop,
    shop_of_two,
    whole,
)

from pyomo_j3o import solve_parts
from pyomo_j3o.errors import EngineError, FleetError, OptionError


@pytest.fixture
def threads():
    """Return an executor that needs no new process."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


def uses_without_limit(build, parts, names):
    """Return what the best plan uses of each budget if nothing limits it."""
    model = whole(build, parts, {})
    pyo.SolverFactory("highs").solve(model)
    return {
        name: sum(pyo.value(model.find_component(f"part{k}.{name}")) for k in range(len(parts)))
        for name in names
    }


def optimum(build, parts, limits, gap=1e-9):
    """Return the objective of the best plan of the whole in one model, or of one within a gap of it."""
    model = whole(build, parts, limits)
    pyo.SolverFactory("highs").solve(model, options={"mip_rel_gap": gap})
    return pyo.value(model.all)


def check_plan(result, build, parts, limits):
    """Hold the plan of every part, and the shared rows, against the whole in one model."""
    model = whole(build, parts, limits)
    for k, part in enumerate(parts):
        values = result.plan(part)
        for variable in model.find_component(f"part{k}").component_data_objects(pyo.Var):
            name = variable.name.removeprefix(f"part{k}.")
            variable.set_value(values.pop(name, 0.0), skip_validation=True)
        assert not values, "a value of no variable"
    for row in model.component_data_objects(pyo.Constraint, active=True):
        slack = min(row.slack(), 0.0)
        assert slack >= -1e-5, row.name
    for variable in model.component_data_objects(pyo.Var):
        if variable.is_binary():
            assert abs(variable.value - round(variable.value)) < 1e-5
    assert pyo.value(model.all) == pytest.approx(result.objective, rel=1e-6)


BUILDS = {
    "maximised": (shop, ["van0"]),
    "minimised": (cheap_shop, ["van0"]),
    "maximised, two budgets": (shop_of_two, ["van0", "van1"]),
    "minimised, two budgets": (cheap_shop_of_two, ["van0", "van1"]),
}


@pytest.mark.parametrize("kind", BUILDS)
@pytest.mark.parametrize("share", [2.0, 0.7])
def test_bound_and_plan_hold_against_the_whole(kind, share, threads):
    """The bound is never better than the optimum of the whole, and the plan satisfies all rows."""
    build, names = BUILDS[kind]
    parts = list(range(4))
    limits = {name: share * use for name, use in uses_without_limit(build, parts, names).items()}
    result = solve_parts(build, parts, limits, threads, rel_gap=5e-3)
    best = optimum(build, parts, limits)
    sense = 1 if kind.startswith("max") else -1
    assert sense * (result.bound - best) >= -1e-6 * abs(best)
    assert sense * (best - result.objective) >= -1e-6 * abs(best)
    assert math.isfinite(result.gap)
    assert result.gap < 0.08
    check_plan(result, build, parts, limits)
    assert all(result.uses[name] <= limits[name] * (1 + 1e-6) for name in names)
    if share > 1:
        assert all(price == 0 for price in result.prices.values())
        assert result.status == "optimal"


@pytest.mark.parametrize("build", [shop, cheap_shop])
def test_gap_falls_with_the_number_of_parts(build, threads):
    """Of many parts, all but a few fit the prices: the gap that is asked for is reached and proven."""
    parts = list(range(16))
    limits = {"van0": 0.7 * uses_without_limit(build, parts, ["van0"])["van0"]}
    result = solve_parts(build, parts, limits, threads, rel_gap=0.01)
    assert result.status == "optimal"
    assert result.gap <= 0.01
    assert result.uses["van0"] <= limits["van0"] * (1 + 1e-6)
    check_plan(result, build, parts, limits)


def test_sampled_prices_reach_the_same_gap(threads):
    """A fleet that is large enough for a sample has its prices from it, and is solved to the gap."""
    parts = list(range(48))
    limits = {"van0": 160.0}
    stream = io.StringIO()
    result = solve_parts(shop, parts, limits, threads, tee=stream)
    assert "sample" in stream.getvalue()
    assert result.status == "optimal"
    # The bound does not forget the parts outside of the sample.
    assert result.bound >= optimum(shop, parts, limits, gap=2e-3) * (1 - 1e-6)
    check_plan(result, shop, parts, limits)


def test_without_shared_budgets_every_part_is_solved_once(threads):
    """Parts that share nothing are planned by themselves."""
    result = solve_parts(shop, [4, 5], executor=threads)
    assert result.status == "optimal"
    assert len(result.rounds) == 1
    assert result.objective == pytest.approx(sum(p.objective for p in result.parts.values()))
    assert result.objective == pytest.approx(optimum(shop, [4, 5], {}), rel=0.01)


def test_mapping_names_parts(threads):
    """A mapping gives names to arguments, and results go by the names."""
    result = solve_parts(shop, {"north": 1, ("far", 2): 2}, {"van0": 4.0}, threads)
    assert list(result.parts) == ["north", ("far", 2)]
    assert {row["part"] for row in result.table} == {"north", ("far", 2)}
    assert result.plan("north")
    with pytest.raises(KeyError, match="south"):
        result.plan("south")
    assert "van0" in str(result)


def test_plans_without_a_folder_last_as_long_as_the_result(threads):
    """Plans can be read after the run has ended, though no folder was named."""
    result = solve_parts(shop, [1, 2, 3], {"van0": 3.0}, threads)
    assert all(result.plan(part) for part in (1, 2, 3) if result.parts[part].objective)


def test_log_has_one_line_for_every_round(threads):
    """The lines of the rounds say what the trace says."""
    stream = io.StringIO()
    result = solve_parts(shop, range(3), {"van0": 9.0}, threads, rel_gap=1e-3, tee=stream)
    lines = [
        line.split()
        for line in stream.getvalue().splitlines()
        if line.split()[:1] and line[:6].strip().isdigit()
    ]
    assert [int(line[0]) for line in lines] == [found.round for found in result.rounds]
    assert [int(line[1]) for line in lines] == [found.solved for found in result.rounds]
    bounds = [found.bound for found in result.rounds]
    assert bounds == sorted(bounds, reverse=True)


def test_ctrl_c_returns_what_is_known(listening):
    """Interrupted, the run says so, names the parts without a plan, and leaves none of them out."""
    with ThreadPoolExecutor(1) as executor:
        result = solve_parts(interrupts, range(8), {"van0": 1.0}, executor)
    assert "interrupted" in result.message
    assert result.status == "no plan"
    assert result.without_plan
    assert len(result.parts) == 8
    assert result.bound == math.inf
    assert not math.isfinite(result.gap)


def test_no_time_at_all_is_taken_as_j3o_takes_it(threads):
    """With 0 s there is no plan; every part says why, and the bound is one that needs no solve."""
    result = solve_parts(shop, range(3), {"van0": 1.0}, threads, time_limit=0)
    assert result.status == "no plan"
    assert {part.status for part in result.parts.values()} == {"not visited"}
    assert "not visited" in str(result.table)


def test_rounds_print_as_plain_numbers(threads):
    """Every figure of a round is a float or an int of Python."""
    result = solve_parts(shop, range(3), {"van0": 9.0}, threads)
    assert "np." not in repr(result.rounds[-1])
    assert "np." not in repr((result.objective, result.bound, result.gap, result.uses, result.prices))


def test_time_limit_ends_the_run(threads):
    """A run that is out of time returns all parts, and no bound that it has not proven."""
    result = solve_parts(shop, range(8), {"van0": 1.0}, threads, time_limit=1e-3)
    assert "time limit" in result.message
    assert result.bound == math.inf
    assert len(result.parts) == 8
    assert result.without_plan


def test_resumed_run_builds_nothing_again(tmp_path, threads):
    """With the folder of a run that has ended, the same result comes without a single build."""
    builds, folder = tmp_path / "builds", tmp_path / "kept"
    builds.mkdir()
    parts = {seed: (seed, str(builds)) for seed in range(5)}
    first = solve_parts(counted, parts, {"van0": 12.0}, threads, folder=folder)
    n = len(list(builds.iterdir()))
    again = solve_parts(counted, parts, {"van0": 12.0}, threads, folder=folder)
    assert n >= 5
    assert len(list(builds.iterdir())) == n
    assert (again.objective, again.bound) == (first.objective, first.bound)
    assert again.plan(3) == first.plan(3)


@pytest.mark.parametrize(
    ("parts", "limits", "options", "named"),
    [
        ([1, 2, 3], {"van0": 12.0}, {}, "parts"),
        ([1, 2], {"van0": 11.0}, {}, "shared budgets"),
        ([1, 2], {"van0": 12.0}, {"seed": 3}, "options"),
    ],
)
def test_folder_of_another_run_is_refused(parts, limits, options, named, tmp_path, threads):
    """The message says what differs."""
    solve_parts(shop, [1, 2], {"van0": 12.0}, threads, folder=tmp_path / "kept")
    with pytest.raises(FleetError, match=f"another run: not the same {named}"):
        solve_parts(shop, parts, limits, threads, folder=tmp_path / "kept", options=options)
    with pytest.raises(FleetError, match="not the same build"):
        solve_parts(shop_of_two, [1, 2], {"van0": 12.0}, threads, folder=tmp_path / "kept")


def test_folder_with_other_files_is_refused(tmp_path, threads):
    """No file of the user's is mixed with those of a run."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FleetError, match="other files"):
        solve_parts(shop, [1, 2], None, threads, folder=tmp_path)


def test_torn_answer_is_solved_again(tmp_path, threads):
    """A file that is not whole counts as missing."""
    first = solve_parts(shop, [1, 2], None, threads, folder=tmp_path / "kept")
    for file in (tmp_path / "kept").glob("*.gz"):
        file.write_bytes(file.read_bytes()[:20])
    again = solve_parts(shop, [1, 2], None, threads, folder=tmp_path / "kept")
    assert again.objective == pytest.approx(first.objective)


def no_model(part):
    """Forget to return the model."""


def unmarked(part):
    """Build a model without marks."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(domain=pyo.Binary)
    m.o = pyo.Objective(expr=m.x, sense=pyo.maximize)
    return m


def impossible(part):
    """Build a shop in which nobody can be served, and all have to be."""
    m = cheap_shop(part)
    m.closed = pyo.Constraint(expr=sum(m.place.x.values()) <= 0)
    return m


def leaves(part):
    """Try to end the process that builds."""
    raise SystemExit(3)


def row_for_use(part):
    """Build a shop that calls a row what should be an expression."""
    m = shop(part)
    m.van = pyo.Constraint(expr=m.van0 <= 3)
    return m


BAD = {
    "same names": ((shop, [1, 2, 1]), {}, FleetError, "two parts are called 1"),
    "no parts": ((shop, []), {}, FleetError, "no parts"),
    "one string": ((shop, "abc"), {}, FleetError, "parts='abc'"),
    "strange name": ((shop, [float("nan")]), {}, FleetError, "part nan"),
    "unused budget": ((shop, [1, 2], {"vann": 3.0}), {}, FleetError, "no part uses the shared budget 'vann'"),
    "no room": ((shop, [1, 2], {"van0": -3.0}), {}, FleetError, "'van0' cannot be met.*at least 0"),
    "all served": ((cheap_shop, [1, 2], {"van0": 0.5}), {}, FleetError, "'van0' cannot be met"),
    "two together": (
        (cheap_shop_of_two, [1, 2], {"van0": 0.5, "van1": 99.0}),
        {},
        FleetError,
        "'van0' cannot be met",
    ),
    "limit": ((shop, [1, 2], {"van0": "much"}), {}, FleetError, "'van0'.*'much'"),
    "raises": ((broken_at_two, [1, 2]), {}, FleetError, "part 2: build raised ZeroDivisionError"),
    "leaves": ((leaves, ["a"]), {}, FleetError, "part 'a': build raised SystemExit: 3"),
    "endless": ((shop, [1, 2], {"van0": math.inf}), {}, FleetError, "'van0'.*a finite number"),
    "senses": ((either, [1, 2]), {}, FleetError, "part 2 is minimised, but part 1 is maximised"),
    "no model": ((no_model, [1]), {}, FleetError, "part 1: build returned NoneType"),
    "no marks": ((unmarked, [1]), {}, FleetError, "part 1: build returned a model without any mark"),
    "no plan": ((impossible, ["here"], {"van0": 9.0}), {}, FleetError, "part 0|part 'here'"),
    "no plan, named": ((impossible, [7], {"van0": 9.0}), {}, FleetError, "part 7: it has no plan"),
    "row": (
        (row_for_use, [1], {"van": 9.0}),
        {},
        FleetError,
        "part 1: .*'van' is a ScalarConstraint|Constraint",
    ),
    "no function": (("shop", [1]), {}, FleetError, "build='shop'"),
    "gap": ((shop, [1]), {"rel_gap": 0}, ValueError, "rel_gap=0"),
    "time": ((shop, [1]), {"time_limit": -1}, ValueError, "time_limit=-1"),
    "option": ((shop, [1]), {"options": {"sed": 1}}, OptionError, "sed"),
    "our option": ((shop, [1]), {"options": {"warm_start": True}}, OptionError, "warm_start"),
    "workers": ((shop, [1]), {"workers": 0}, ValueError, "workers=0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case, threads):
    """One sentence names what is wrong."""
    given, keywords, kind, text = BAD[case]
    with pytest.raises(kind, match=text):
        solve_parts(*given, executor=threads, **keywords)


def test_build_that_raises_shows_its_traceback(threads):
    """The traceback of the worker is the cause of the error."""
    with pytest.raises(FleetError) as caught:
        solve_parts(broken_at_two, [1, 2], executor=threads)
    assert "in broken_at_two" in str(caught.value.__cause__)


def test_executor_that_is_shut_down():
    """An executor that takes no jobs is an error in one sentence."""
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(EngineError, match="not shut down"):
        solve_parts(shop, [1, 2], executor=executor)


def test_lambda_cannot_be_sent():
    """A function that no other process finds is refused before anything starts."""
    with pytest.raises(EngineError, match="top of a module"):
        solve_parts(lambda part: shop(part), [1, 2])
