"""Fleets with tight budgets, models that are kept, folders that are broken, and time that runs out."""

import functools
import gzip
import json
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pyomo.environ as pyo
import pytest
from fleet_models import shop

from pyomo_j3o import annotate, solve_parts, sweep
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.engine import Engine, Job
from pyomo_j3o.errors import EngineError, FleetError, OptionError
from pyomo_j3o.fleet import worker
from pyomo_j3o.fleet.asking import Parts
from pyomo_j3o.fleet.folder import identity_of
from pyomo_j3o.fleet.master import Knowledge
from pyomo_j3o.fleet.records import BRIEF, LONG, Answer, Look, Task


@pytest.fixture
def threads():
    """Return an executor that needs no new process."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


def house(local):
    """Build a part that is served by the cloud for 1, or by itself for `local` and 0.1."""
    m = pyo.ConcreteModel()
    ways = ["cloud", "local"]
    m.x = pyo.Var(ways, domain=pyo.Binary)
    m.y = pyo.Var(ways, bounds=(0, 1))
    m.link = pyo.Constraint(ways, rule=lambda m, i: m.y[i] <= m.x[i])
    m.served = pyo.Constraint(expr=m.y["cloud"] + m.y["local"] == 1)
    m.cloud = pyo.Expression(expr=10 * m.y["cloud"])
    m.cost = pyo.Objective(expr=m.y["cloud"] + local * m.y["local"] + 0.1 * m.x["local"])
    annotate(m, onloading=[m.x], offloading=[m.y])
    return m


@pytest.mark.parametrize("local", [20.0, 1e3, 1e6])
def test_price_is_found_however_dear_the_budget(local, threads):
    """Where two of four parts fit, the gap is closed in a few rounds at whatever price that takes."""
    result = solve_parts(house, dict.fromkeys(range(4), local), {"cloud": 20.0}, threads)
    assert result.status == "optimal"
    assert result.objective == pytest.approx(2 + 2 * (local + 0.1))
    assert result.objective >= result.bound * (1 - 1e-9)
    assert len(result.rounds) <= 6


def test_budgets_of_nothing_have_a_plan(threads):
    """If doing nothing is all that fits, the plan of doing nothing is found and proven."""
    result = solve_parts(shop, range(3), {"van0": 0.0}, threads)
    assert result.status == "optimal"
    assert result.uses["van0"] <= 1e-6
    assert len(result.rounds) <= 10


@functools.lru_cache(None)
def kept(seed):
    """Build a shop once."""
    return shop(seed)


def test_models_that_are_kept_are_left_as_they_were(threads):
    """A build that keeps its models gives what one that makes new ones gives."""
    kept.cache_clear()
    limits = {"van0": 5.0}
    new = solve_parts(shop, range(4), limits, threads)
    same = solve_parts(kept, range(4), limits, threads)
    assert (same.objective, same.bound) == pytest.approx((new.objective, new.bound), rel=1e-6)
    names = [each.name for each in shop(0).component_objects()]
    assert [each.name for each in kept(0).component_objects()] == names
    assert kept(0).profit.active
    assert all(y.value is None for y in kept(0).route.y.values())


class Drifting:
    """Builds a model that earns more at every visit."""

    def __init__(self):
        self.visits = 0

    def __call__(self, seed):
        """Build a shop, which earns 5 more than at the visit before."""
        self.visits += 1
        m = shop(seed)
        m.profit.expr += 5.0 * self.visits
        return m


def test_build_that_changes_its_mind_is_told(threads):
    """A plan that is worth more than the bound of its part is an error, and no optimal result."""
    with pytest.raises(FleetError, match="same model for it at every visit"):
        solve_parts(Drifting(), range(3), {"van0": 3.0}, threads)


def test_plain_names_need_no_parser(monkeypatch, threads):
    """The parser of Pyomo, which threads may not share, is asked for other names alone, behind a lock."""
    seen = []
    original = pyo.Block._ComponentDataClass.find_component

    def watched(self, name):
        seen.append((name, worker._PARSER.locked()))
        return original(self, name)

    monkeypatch.setattr(pyo.Block._ComponentDataClass, "find_component", watched)
    m = shop(1)
    assert worker._use_of(m, "van0") is m.van0
    assert not seen
    assert worker._use_of(m, "route.y") is not None
    assert worker._use_of(m, "[") is None
    assert seen == [("route.y", True), ("[", True)]


def priced(seed):
    """Build a shop with a price of moves."""
    m = shop(seed)
    m.move_cost = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    m.move_cost[m.place.x] = 0.3
    return m


def test_prices_of_moves_are_refused(threads):
    """Neither a Suffix nor the option gives an objective beside the bound of another one."""
    with pytest.raises(FleetError, match="part 1: its Suffix 'move_cost'"):
        solve_parts(priced, [1], None, threads)
    with pytest.raises(OptionError, match="'move_cost'"):
        solve_parts(shop, [1], None, threads, options={"move_cost": 0.3})
    with pytest.raises(OptionError, match="'tee'"):
        solve_parts(shop, [1], None, threads, options={"tee": True})
    with pytest.raises(FleetError, match=r"shared\[''\]"):
        solve_parts(shop, [1], {"": 1.0}, threads)


def slept(seconds):
    """Sleep, and say so."""
    time.sleep(seconds)
    return seconds


def test_answers_under_way_at_the_deadline_are_taken():
    """A job that has begun may end a little late; one that has not is dropped."""
    with ThreadPoolExecutor(1) as executor:
        jobs = [Job(k, (0.4,)) for k in range(3)]
        engine = Engine(executor)
        ended = [job.key for job, _ in engine.run(slept, jobs, Deadline(0.1), late=30.0)]
        assert ended == [0]
        assert not list(engine.run(slept, jobs, Deadline(0.1)))


def test_solve_of_a_part_ends_with_the_run():
    """The limit of a solve is what is left when it begins, not when its job was made."""
    assert worker._in_time({"time_limit": 60.0}, math.inf)["time_limit"] == 60.0
    assert 0 < worker._in_time({"time_limit": 60.0}, time.time() + 5)["time_limit"] <= 5
    assert worker._in_time({"time_limit": None}, time.time() - 5)["time_limit"] > 0


def test_part_that_uses_nothing_is_solved_for_longer():
    """Prices tell such a part nothing, but more effort does."""
    parts = Parts.__new__(Parts)
    parts.known = [Knowledge(look=Look(1, 9.0, (), (), ()))]
    parts.known[0].learn(Answer(Task(()), 5.0, (), 6.0, "feasible", 0.1))
    assert parts._tells_nothing(0, [Task((), effort=BRIEF)])
    assert not parts._tells_nothing(0, [Task((), effort=LONG)])


@pytest.mark.parametrize("content", [b"{}", b"[]", b'{"look": 1, "answer": 2}', b"null", "flipped"])
def test_broken_answers_are_solved_again(content, tmp_path, threads):
    """Whatever is in a file that is broken, its task is solved again."""
    folder = tmp_path / "kept"
    first = solve_parts(shop, [1], None, threads, folder=folder)
    for file in folder.glob("*.gz"):
        held = bytearray(file.read_bytes())
        held[len(held) // 2] ^= 0xFF
        file.write_bytes(bytes(held) if content == "flipped" else gzip.compress(content))
    again = solve_parts(shop, [1], None, threads, folder=folder)
    assert again.objective == pytest.approx(first.objective)


@pytest.mark.parametrize("content", ["[]", "null", "{", "7"])
def test_broken_folder_is_one_sentence(content, tmp_path, threads):
    """A folder whose manifest is broken is named."""
    (tmp_path / "fleet.json").write_text(content)
    with pytest.raises(FleetError, match="cannot be used"):
        solve_parts(shop, [1], None, threads, folder=tmp_path)
    with pytest.raises(FleetError, match="folder=7"):
        solve_parts(shop, [1], None, threads, folder=7)


class Shops:
    """Builds shops with as many budgets as it holds."""

    def __init__(self, budgets):
        self.budgets = budgets

    def build(self, seed):
        """Build one."""
        return shop(seed, budgets=self.budgets)


def test_what_a_build_holds_is_part_of_its_run():
    """Partials and objects that hold different things are different runs; the order of a set is not."""

    def told(build, argument=1):
        return json.dumps(identity_of(build, ["a"], [argument], {}, []))

    pairs = [
        (functools.partial(shop, budgets=1), functools.partial(shop, budgets=2)),
        (functools.partial(shop, 1), functools.partial(Shops(1).build)),
        (Shops(1).build, Shops(2).build),
    ]
    for one, other in pairs:
        assert told(one) == told(one)
        assert told(one) != told(other)
    # Of small numbers that collide, a set keeps the order in which they came.
    assert list({0, 8}) != list({8, 0})
    assert told(shop, {"of": [{0, 8}]}) == told(shop, {"of": [{8, 0}]})


def test_no_plan_is_said_of_the_budgets(threads):
    """Parts that have plans, but none together, are not said to use NaN."""
    result = solve_parts(shop, range(9), {"van0": 1.0}, threads, time_limit=1e-3)
    assert "within the budgets" in result.message
    assert result.message.count(",") == 4
    assert "more" in result.message
    assert "van0: - of 1" in str(result)


def counts(model, results):
    """Return no mapping."""
    return 3


def test_measure_that_returns_a_number_is_told(threads):
    """The error says what to return, and holds the case with its figures."""
    with pytest.raises(FleetError, match="return a mapping") as caught:
        sweep(shop, [1], threads, measure=counts)
    assert list(caught.value.found.to_frame()["case"]) == [1]


def shop_in(unit, seed):
    """Build a shop whose use is counted in another unit."""
    m = shop(seed)
    m.van0.set_value(unit * m.van0.expr)
    return m


@pytest.mark.parametrize("unit", [1e-9, 1e-6, 1e-3, 1e6, 1e9])
def test_a_budget_is_kept_in_whatever_unit(unit, threads):
    """Limits far below 1 are limits, too: plans and bounds are those of the budget in another unit."""
    here = solve_parts(shop, range(3), {"van0": 4.0}, threads, rel_gap=1e-3)
    there = solve_parts(
        functools.partial(shop_in, unit), range(3), {"van0": 4.0 * unit}, threads, rel_gap=1e-3
    )
    assert there.uses["van0"] <= 4.0 * unit * (1 + 1e-6)
    assert there.bound >= here.objective - 1e-6
    assert here.bound >= there.objective - 1e-6
    assert there.objective == pytest.approx(here.objective, rel=5e-3)


@pytest.mark.parametrize("limit", [1e-12, 1e-30])
def test_next_to_nothing_is_nothing(limit, threads):
    """A limit that no plan but that of nothing keeps is not taken for room."""
    result = solve_parts(functools.partial(shop_in, 1e-6), range(2), {"van0": limit}, threads)
    assert result.uses["van0"] <= limit * (1 + 1e-6)


def reach(seed):
    """Build a shop that may use the van on top of what it does, for what that is worth at every price."""
    m = shop(seed)
    m.more = pyo.Var(bounds=(0, 5))
    m.route.extra = pyo.Var(bounds=(0, 5))
    m.same = pyo.Constraint(expr=m.more == m.route.extra)
    annotate(m, offloading=[m.more])
    m.van0.set_value(m.van0.expr + m.more)
    m.profit.set_value(m.profit.expr + 0.9 * m.more)
    return m


@pytest.mark.parametrize("count", [1, 3])
def test_what_is_left_of_a_budget_is_used(count, threads):
    """Where a part can use more for just the price, none of the budget is left, and the gap is closed."""
    result = solve_parts(reach, range(count), {"van0": 4.0 * count}, threads, rel_gap=1e-3)
    assert result.uses["van0"] == pytest.approx(4.0 * count, rel=1e-5)
    assert result.status == "optimal"


def odd_use(use, seed):
    """Build a shop whose use is no number, in one of the parts."""
    m = shop(seed)
    if seed == 1:
        m.van0.set_value(use * m.route.y[0, 0] + m.van0.expr)
    return m


@pytest.mark.parametrize("use", [math.nan, math.inf])
def test_a_use_that_is_no_number_is_refused(use, threads):
    """The part and the budget are named."""
    with pytest.raises(FleetError, match=r"part 1: .*'van0'"):
        solve_parts(functools.partial(odd_use, use), range(3), {"van0": 2.0}, threads)


def empty_use(seed):
    """Build a shop whose use is not filled."""
    m = shop(seed)
    m.van0.set_value(None)
    return m


def test_an_empty_use_is_refused(threads):
    """The sentence says to fill it."""
    with pytest.raises(FleetError, match=r"'van0' is empty.*fill it"):
        solve_parts(empty_use, range(2), {"van0": 2.0}, threads)


def one_of_two(seed):
    """Build a part that uses one budget or the other."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(2), domain=pyo.Binary)
    m.y = pyo.Var(range(2), bounds=(0, 1))
    m.link = pyo.Constraint(range(2), rule=lambda m, i: m.y[i] <= m.x[i])
    m.all = pyo.Constraint(expr=m.y[0] + m.y[1] == 1)
    m.euro = pyo.Expression(expr=1e9 * m.y[0])
    m.watt = pyo.Expression(expr=1e6 * m.y[1])
    m.cost = pyo.Objective(expr=m.x[0] + m.x[1])
    annotate(m, onloading=m.x, offloading=m.y)
    return m


def test_budgets_that_cannot_be_met_together_are_named(threads):
    """By which factor they have to grow is a true figure: 3 parts share 1.2 and 1.2, so 3 / 2.4."""
    with pytest.raises(FleetError, match=r"'euro', 'watt' cannot be met together.*a factor of 1.25 at least"):
        solve_parts(one_of_two, range(3), {"euro": 1.2e9, "watt": 1.2e6}, threads)


def test_a_new_process_that_dies_is_replaced_as_well(monkeypatch):
    """One that is killed while it starts does not end the run."""
    engine = Engine(None, 1)
    new, killed = engine._new, []

    def first_killed():
        fresh = new()
        if not killed:
            killed.append(fresh)
            fresh.pool.submit(os._exit, 9)
        return fresh

    worker = new()
    monkeypatch.setattr(engine, "_new", first_killed)
    engine._replace(worker)
    assert killed
    assert engine._idle[0] is not killed[0]
    assert engine._idle[0].pool.submit(abs, -3).result() == 3
    engine.close()


@pytest.mark.parametrize(
    ("change", "value"), [("uses", []), ("objective", "5"), ("objective", None), ("plan", {"x": "1"})]
)
def test_records_of_another_shape_are_solved_again(change, value, tmp_path, threads):
    """A record that is whole JSON, but not what it should be, counts as damaged."""
    given = {"parts": range(2), "shared": {"van0": 2.0}, "executor": threads, "folder": tmp_path}
    first = solve_parts(shop, **given)
    for file in tmp_path.glob("*.json.gz"):
        record = json.loads(gzip.decompress(file.read_bytes()))
        record["answer"][change] = value
        file.write_bytes(gzip.compress(json.dumps(record).encode()))
    again = solve_parts(shop, **given)
    assert again.objective == first.objective


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"shared": [("van0", 3.0)]}, "is no mapping"),
        ({"options": 5}, "is no mapping"),
        ({"executor": 5}, "Executor"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(wrong, error):
    """Each in a sentence."""
    with pytest.raises((FleetError, EngineError), match=error):
        solve_parts(shop, range(2), **({"shared": {"van0": 2.0}} | wrong))
