"""Fleets with tight budgets, models that are kept, folders that are broken, and time that runs out."""

import functools
import gzip
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor

import pyomo.environ as pyo
import pytest
from fleet_models import shop

from pyomo_j3o import annotate, solve_parts, sweep
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.engine import Engine, Job
from pyomo_j3o.errors import FleetError, OptionError
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
    """The note says what to return."""
    found = sweep(shop, [1], threads, measure=counts)
    assert "return a mapping" in found.cases[1].note
    assert list(found.to_frame()["case"]) == [1]
