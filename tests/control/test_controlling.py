"""The loop: what policies may see and do, what they deliver, and that no policy beats the clairvoyant."""

import logging
import pickle
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from pyomo_j3o.control import (
    POLICIES,
    Clairvoyant,
    Planner,
    ReplaceAlways,
    ReplaceWhenItPays,
    RerouteOnly,
    SolveEvery,
    SolveOnce,
    TrueLoads,
    client_loads,
    control,
    controlling,
)
from pyomo_j3o.core.long_call import LongCall
from pyomo_j3o.errors import PolicyError
from pyomo_j3o.interface.solver import J3O
from pyomo_j3o.library import Trace, small_example_data, taskonomy_data

SMALL = small_example_data()
DATA = taskonomy_data(clients=2, edges=1, seed=4)
#: The gap that a solve may end with, and a little.
GAP = 1e-3
BURSTS = Trace(("a", "b"), [[5, 3], [40, 3], [0, 9], [20, 4], [2, 5], [30, 3]])


@pytest.fixture(scope="module")
def played():
    """Return all policies over six minutes, the last value expected."""
    return control(DATA, BURSTS, seed=2)


def test_no_policy_beats_the_clairvoyant(played):
    """Minute by minute its proven bound is above what anyone delivers, and its plan within the gap of it."""
    best = played.runs[played.clairvoyant]
    for name, run in played.runs.items():
        assert (played.regret(name) >= -1e-9).all(), name
        for mine, theirs, bound in zip(run.accuracy, best.accuracy, best.bound, strict=True):
            assert mine <= theirs + (bound - theirs) + 1e-9
        assert played.accuracy(name) <= played.accuracy(played.clairvoyant) + 5 * GAP
    assert np.max(played.regret(played.clairvoyant)) <= 5 * GAP


def test_policies_do_what_their_names_say(played):
    """Solve once and re-route only never move; solve every k minutes moves at these minutes alone."""
    assert sum(played.runs["solve once"].moves) == 0
    assert sum(played.runs["re-route only"].moves) == 0
    every = control(DATA, played.loads, SolveEvery(3)).runs["solve every 3 min"]
    assert [m for m in range(6) if every.moves[m]] in ([3], [])
    assert sum(played.runs["re-place when it pays"].moves) <= sum(played.runs["re-place always"].moves)


def test_with_true_loads_expected_replacing_always_is_the_clairvoyant():
    """The forecast is the only difference; routing alone is between it and never changing anything."""
    found = control(DATA, BURSTS, [SolveOnce(), RerouteOnly(), ReplaceAlways()], TrueLoads(), seed=2)
    best = found.runs["clairvoyant"]
    assert found.runs["re-place always"].accuracy == best.accuracy
    for once, routed, always in zip(
        *(found.runs[n].accuracy for n in ("solve once", "re-route only", "re-place always")), strict=True
    ):
        assert once <= routed + 1e-6
        assert routed <= always + 5 * GAP


@pytest.mark.parametrize("price", [0.0, 0.05, 1e3])
def test_moves_have_to_pay(price):
    """Free moves give up nothing; dear ones never happen; a move gains its price in what is expected."""
    policy = ReplaceWhenItPays(price=price, horizon=1.0, tolerance=1e-4)
    found = control(DATA, BURSTS, [policy, RerouteOnly()], TrueLoads(), seed=2)
    run, best = found.runs[policy.name], found.runs["clairvoyant"]
    if price == 0.0:
        assert np.allclose(run.accuracy, best.accuracy, atol=5 * GAP)
    if price == 1e3:
        assert sum(run.moves) == 0
    busy = found.load / DATA.load.sum()
    for minute in range(1, len(found)):
        if run.moves[minute]:
            gained = (run.accuracy[minute] - run.moves[minute] * price / busy[minute]) <= best.bound[minute]
            assert gained


class AtAPrice:
    """Solves every minute with a price of moves, as a policy of the user's does."""

    def __init__(self, price):
        self.price, self.name = price, f"price {price}"

    def decide(self, planner, view):
        """Place, from minute 0 on."""
        return planner.place(view.expected, price=self.price)


def test_the_first_placement_is_free():
    """Before minute 0 nothing is in force: no price keeps anybody from placing, and nothing has moved."""
    still = np.repeat(DATA.load[None], 2, 0)
    found = control(DATA, still, [AtAPrice(5.0), ReplaceAlways()])
    dear = found.runs["price 5.0"]
    assert dear.accuracy == pytest.approx(found.runs["re-place always"].accuracy, abs=5 * GAP)
    assert dear.lost == pytest.approx([0.0, 0.0], abs=1e-9)
    assert dear.moves == [0, 0]
    planner = Planner(DATA, {})
    assert not planner.in_force
    planner.plan = planner.place(DATA.load, price=5.0)
    assert planner.in_force
    assert np.array_equal(planner.place(0.1 * DATA.load, price=5.0).placement, planner.plan.placement)


def test_what_is_expected_is_the_same_for_all_policies():
    """Noise and forecasts do not depend on who asks, and one seed gives one run."""
    seen = {}

    class Watching(SolveOnce):
        def decide(self, planner, view):
            seen.setdefault(self.name, []).append(view.expected.copy())
            return super().decide(planner, view)

    policies = [Watching("one"), Watching("other")]
    found = control(SMALL, BURSTS, policies, variance=0.2, bias=0.1, seed=5)
    assert np.array_equal(seen["one"], seen["other"])
    assert not np.allclose(seen["one"][0], SMALL.load)
    again = control(SMALL, BURSTS, policies, variance=0.2, bias=0.1, seed=5)
    assert found.runs["one"].accuracy == again.runs["one"].accuracy


def test_ctrl_c_keeps_the_whole_minutes():
    """What all policies have played is returned, and says that it was interrupted."""

    class Impatient(SolveOnce):
        def decide(self, planner, view):
            if view.minute == 3:
                raise KeyboardInterrupt
            return super().decide(planner, view)

    found = control(SMALL, BURSTS, [SolveOnce("before"), Impatient("impatient")])
    assert found.interrupted
    assert len(found) == 3
    assert {len(run.accuracy) for run in found.runs.values()} == {3}
    assert len(found.totals()) == 3
    nothing = control(SMALL, BURSTS, [Interrupting()])
    assert len(nothing) == 0
    assert "clairvoyant" in str(nothing)


class Interrupting(SolveOnce):
    """Ctrl-C before anything."""

    def decide(self, planner, view):
        """Raise."""
        raise KeyboardInterrupt


def test_an_interrupted_solve_ends_the_loop(monkeypatch):
    """j3o turns Ctrl-C into a result; the planner turns it into Ctrl-C again."""
    solve = J3O.solve

    def interrupted(self, model, **options):
        results = solve(self, model, **options)
        results.termination_condition = type(results.termination_condition).interrupted
        return results

    planner = Planner(SMALL, {})
    monkeypatch.setattr(J3O, "solve", interrupted)
    with pytest.raises(KeyboardInterrupt):
        planner.place(SMALL.load)


def test_without_time_the_plan_in_force_stays():
    """A solve that finds nothing leaves what there is."""
    found = control(SMALL, BURSTS, [ReplaceAlways()], options={"time_limit": 0})
    run = found.runs["re-place always"]
    assert run.accuracy == [0.0] * 6
    assert run.lost == [1.0] * 6


class OutOfTime(Clairvoyant):
    """A clairvoyant whose time is over in every other minute before it has a plan."""

    def decide(self, planner, view):
        """Return the plan for the minute."""
        return planner.place(view.expected, **({"time_limit": 0.0} if view.minute % 2 else {}))


class Forgetful(Clairvoyant):
    """A clairvoyant that keeps the plan of the first minute."""

    def decide(self, planner, view):
        """Return the plan for the minute."""
        return planner.plan if view.minute else planner.place(view.expected)


@pytest.mark.parametrize("mark", [OutOfTime(), Forgetful()])
def test_a_bound_is_that_of_its_own_minute(mark, played):
    """Where the mark has proven nothing of a minute, no bound of another minute stands in for it."""
    busy, quiet = np.argmax(played.load), np.argmin(played.load)
    loads = played.loads[[busy, quiet, busy, quiet]]
    found = control(DATA, loads, [ReplaceAlways(), mark], TrueLoads())
    assert (found.regret("re-place always") >= -1e-9).all()
    bound = found.runs[mark.name].bound
    assert np.isfinite(bound).all()
    assert max(bound) <= 1.0


def test_without_a_plan_accuracy_and_bound_are_those_of_the_loads():
    """The plan in force stays; what it is said to be worth is what it delivers now."""
    planner = Planner(DATA, {})
    planner.plan = planner.place(DATA.load)
    loads = 3 * DATA.load
    found = planner.place(loads, time_limit=0.0)
    assert np.array_equal(found.shares, planner.plan.shares)
    assert found.accuracy == planner.delivery.of(loads, found.shares).accuracy < planner.plan.accuracy
    best = planner.place(loads)
    assert found.accuracy - 1e-9 <= best.accuracy <= found.bound + 1e-9
    assert found.is_for(loads)
    assert not planner.plan.is_for(loads)


def test_moves_are_counted_from_the_plan_in_force():
    """Whatever has been solved in between, adopted or not, and whatever the search begins with."""
    planner = Planner(DATA, {})
    planner.plan = planner.place(DATA.load)
    loads = 3 * DATA.load
    other = planner.place(50 * DATA.load)
    assert (other.placement != planner.plan.placement).any()
    stays = planner.place(loads, price=1e3)
    assert np.array_equal(stays.placement, planner.plan.placement)
    begun = planner.place(loads, start=planner.route(loads, other.placement), price=1e3)
    assert np.array_equal(begun.placement, planner.plan.placement)
    assert begun.accuracy == pytest.approx(stays.accuracy, abs=GAP)


def test_a_plan_is_no_worse_than_its_start():
    """Also with a price, and also where the start has moves and no time is left to find it again."""
    planner = Planner(DATA, {})
    loads = 3 * DATA.load
    start = planner.place(loads)
    # With nothing in force there is no price; once there is a plan, there is one.
    for price, seconds, kept in ((0.0, None, None), (0.0, 0.0, None), (1e-6, 0.0, None), (1e-6, 0.0, start)):
        planner = Planner(DATA, {})
        if kept is not None:
            planner.plan = planner.place(0.2 * DATA.load)
        found = planner.place(loads, start=start, price=price, time_limit=seconds)
        moves = int((start.placement != planner.plan.placement).sum())
        assert found.accuracy >= start.accuracy - price * moves - 1e-9
        assert found.bound >= found.accuracy - price * moves - 1e-9


def test_what_is_handed_out_cannot_be_written():
    """Loads, forecasts and plans are read-only: nobody changes what others are judged by."""

    def halved(history):
        history *= 0.5
        return history[-1]

    with pytest.raises(ValueError, match="read-only"):
        control(SMALL, BURSTS, SolveOnce(), halved)
    seen = []

    class Looking(Clairvoyant):
        def decide(self, planner, view):
            plan = super().decide(planner, view)
            seen.extend((view.expected, view.usual, plan.placement, plan.shares, plan.loads))
            return plan

    control(SMALL, BURSTS, Looking())
    assert not any(array.flags.writeable for array in seen)


class Wrong(SolveOnce):
    """A policy that returns what it is made with, or raises it."""

    def __init__(self, made):
        super().__init__("wrong")
        object.__setattr__(self, "made", made)

    def decide(self, planner, view):
        """Return or raise."""
        plan = super().decide(planner, view)
        if view.minute < 2:
            return plan
        if isinstance(self.made, Exception):
            raise self.made
        return self.made(plan)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda plan: None, "None is no plan; return what planner.place"),
        (
            lambda plan: replace(plan, shares=np.nan * plan.shares),
            "has a share that is no number from 0 to 1",
        ),
        (lambda plan: replace(plan, shares=plan.shares - 0.5), "has a share that is no number from 0 to 1"),
        (lambda plan: replace(plan, shares=np.ones_like(plan.shares)), "answers more than all queries"),
        (lambda plan: replace(plan, placement=~plan.placement), "to a model that it does not place"),
        (lambda plan: replace(plan, placement=plan.placement[1:]), "other shapes than a placement of"),
    ],
)
def test_a_policy_without_a_plan_is_named(made, said):
    """The sentence names policy and minute."""
    with pytest.raises(ValueError, match=f"^policy 'wrong' in minute 2: .*{said}"):
        control(SMALL, BURSTS, Wrong(made))


def test_a_policy_that_raises_is_named():
    """Policy and minute are named, its own error is the cause, and what has been played is at hand."""
    with pytest.raises(PolicyError, match=r"^policy 'wrong' in minute 2: it raised .*mine$") as caught:
        control(SMALL, BURSTS, Wrong(ZeroDivisionError("mine")))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    found = pickle.loads(pickle.dumps(caught.value)).found
    assert len(found) == 2
    assert set(found.runs) == {"wrong", "clairvoyant"}
    assert {len(run.accuracy) for run in found.runs.values()} == {2}
    assert not found.interrupted


def test_unknown_policies_of_a_result_are_named(played):
    """The sentence lists those that there are."""
    for ask in (played.regret, played.accuracy):
        with pytest.raises(KeyError, match="no policy 'foo'; the policies are solve once, "):
            ask("foo")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda load: 0 * load,
            "^loads: no query arrives, so no plan has a mean accuracy; keep planner.plan",
        ),
        (lambda load: -load, r"^loads\['phone', 'edges'\]: -.* is no load; give numbers of at least 0$"),
        (lambda load: load * np.nan, "nan is no load"),
        (lambda load: load[:-1], "^loads: give an array of queries/s of the shape"),
        (lambda load: "many", "^loads: give an array of queries/s of the shape"),
    ],
)
def test_loads_that_nobody_can_plan_for_are_named(wrong, message):
    """By `place` and by `route`, in one sentence; the planner goes on."""
    planner = Planner(SMALL, {})
    before = planner.place(SMALL.load)
    with pytest.raises(ValueError, match=message):
        planner.place(wrong(SMALL.load))
    with pytest.raises(ValueError, match=message):
        planner.route(wrong(SMALL.load), before.placement)
    assert planner.place(SMALL.load).accuracy == pytest.approx(before.accuracy)


def test_a_route_keeps_the_placement_and_frees_it_again():
    """The LP has the accuracy that the model has with this placement; nothing is fixed after it."""
    planner = Planner(DATA, {})
    plan = planner.place(DATA.load)
    routed = planner.route(DATA.load, plan.placement)
    assert np.array_equal(routed.placement, plan.placement)
    assert routed.accuracy == pytest.approx(plan.accuracy, abs=1e-6)
    less = planner.route(DATA.load * 2, np.zeros_like(plan.placement))
    assert less.accuracy < plan.accuracy
    assert planner.place(DATA.load).accuracy == pytest.approx(plan.accuracy, abs=GAP)


def test_tables_hold_every_minute_and_the_totals(played):
    """A row per minute and policy, and weighted means; the clairvoyant is the last."""
    totals = played.totals()
    assert totals["policy"] == [*(policy.name for policy in POLICIES), "clairvoyant"]
    assert totals["of clairvoyant %"][-1] == pytest.approx(100)
    by_hand = np.average(played.runs["solve once"].accuracy, weights=played.load)
    assert totals["accuracy"][0] == pytest.approx(by_hand)
    table = played.table()
    assert len(table) == 6 * 6
    assert table["moves"][:6] == [0] * 6  # the first placement is no move
    assert (np.array(table["seconds"]) >= 0).all()
    frames = pytest.importorskip("pandas")
    assert isinstance(played.to_frame(), frames.DataFrame)


def test_progress_is_told_in_the_log(caplog, monkeypatch):
    """Of a run that takes long: how many of the minutes are controlled."""
    monkeypatch.setattr(controlling, "LongCall", partial(LongCall, quiet=0.0))
    with caplog.at_level(logging.INFO, logger="pyomo_j3o"):
        control(SMALL, BURSTS, [SolveOnce()])
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("control: ")]
    assert lines[0] == "control: minutes of small example, 0 of 6 (0 s)"


def test_edge_servers_with_windows_are_controlled():
    """Batches have set-ups; the clairvoyant's bound holds for them, too."""
    data = taskonomy_data(clients=2, edges=1, seed=4, window=0.5)
    found = control(data, client_loads(data, BURSTS, seed=1)[:2], [ReplaceWhenItPays(), RerouteOnly()])
    for name in found.runs:
        assert (found.regret(name) >= -1e-6).all()
        assert 0 < found.accuracy(name) < 1


ZERO = np.ones((2, *SMALL.load.shape))
NEGATIVE = ZERO.copy()
NEGATIVE[1, 0, 1] = -1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"policies": []}, None),
        ({"policies": ["always"]}, r"policies\[0\]: 'always' is no policy"),
        ({"policies": ReplaceAlways}, r"^policies=<class .*ReplaceAlways'> is no policy"),
        ({"policies": "re-route only"}, "^policies='re-route only' is no policy; give objects"),
        ({"policies": [SolveOnce(), SolveOnce()]}, "two have the name 'solve once'"),
        ({"policies": [SolveOnce("clairvoyant")]}, "two have the name 'clairvoyant'"),
        ({"forecast": 3}, "forecast=3"),
        ({"bias": -2}, "bias=-2"),
        ({"variance": -2}, "variance=-2"),
        ({"seed": -1}, "seed=-1"),
        ({"trace": np.ones((3, 2))}, "trace: give a Trace, or loads of the shape"),
        ({"trace": "busy"}, "trace: give a Trace"),
        ({"trace": NEGATIVE}, r"trace\[minute 1, 'phone', 'depth'\]: -1.0 is no load"),
        ({"trace": 0 * ZERO}, r"trace\[minute 0\]: no query arrives"),
    ],
)
def test_what_cannot_be_controlled_is_named(given, message):
    """One sentence says which argument is wrong, and how; without a policy the clairvoyant is alone."""
    usual = {"trace": BURSTS, "policies": [SolveOnce()]}
    if message is None:
        assert list(control(SMALL, **(usual | given)).runs) == ["clairvoyant"]
        return
    with pytest.raises(ValueError, match=message):
        control(SMALL, **(usual | given))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SolveEvery(0), "minutes=0"),
        (lambda: ReplaceWhenItPays(price=-1), "price=-1"),
        (lambda: ReplaceWhenItPays(tolerance=float("nan")), "tolerance=nan"),
        (lambda: ReplaceWhenItPays(horizon=0), "horizon=0"),
    ],
)
def test_wrong_policies_are_named(make, message):
    """Numbers of a policy are checked when it is made."""
    with pytest.raises(ValueError, match=message):
        make()


def test_a_clairvoyant_of_ones_own_is_the_mark():
    """It is moved to the end, and not added again."""
    found = control(SMALL, BURSTS, [Clairvoyant("oracle"), SolveOnce()])
    assert list(found.runs) == ["solve once", "oracle"]
    assert found.clairvoyant == "oracle"
