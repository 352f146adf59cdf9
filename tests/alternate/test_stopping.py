"""Stopping rules are pure functions of the trace."""

from dataclasses import replace

import pytest

from pyomo_j3o.alternate import stopping
from pyomo_j3o.core.results import Ending, Record, Timings, relative_gap

INF = float("inf")


def trace_of(*incumbents, bound=10.0, repeated=False, time=1.0):
    """Return a trace with these incumbents; the last record may be a repetition."""
    last = len(incumbents)
    return [
        Record(
            i,
            v,
            v,
            bound,
            relative_gap(v, bound),
            1,
            repeated and i == last,
            time * i,
            int(repeated and i == last),
        )
        for i, v in enumerate(incumbents, 1)
    ]


def test_gap():
    """The gap is measured against the incumbent; without an incumbent or bound it is never closed."""
    stop = stopping.gap_closed(0.1)
    assert stop(trace_of(9.0)) is None
    assert stop(trace_of(9.5)) is Ending.GAP
    assert stop(trace_of(-INF)) is None
    assert stop(trace_of(9.5, bound=INF)) is None
    assert stopping.gap_closed(0.0)(trace_of(10.0)) is Ending.GAP


def test_absolute_gap():
    """A gap within `abs_gap` is closed even where the relative one is large."""
    assert stopping.gap_closed(0.0, 0.5)(trace_of(0.1, bound=0.5)) is Ending.GAP
    assert stopping.gap_closed(0.0, 0.3)(trace_of(0.1, bound=0.5)) is None


def test_placement_repeated():
    """A placement that came again ends the alternation."""
    assert stopping.placement_repeated()(trace_of(1.0, 2.0)) is None
    assert stopping.placement_repeated()(trace_of(1.0, 2.0, repeated=True)) is Ending.FIXED_POINT


def test_a_cycle_may_come_again_three_times():
    """Damping has three chances to end a cycle; the fourth time, the loop does."""
    record = trace_of(1.0)[0]
    trace = [record]
    for again in range(1, 5):
        trace += [record, replace(record, repeated=True, cycle=2)]
        assert stopping.placement_repeated()(trace) is (Ending.THRASHING if again > 3 else None)


def test_stalled():
    """Three iterations without a better incumbent are a stall; waiting for a first one is not."""
    stop = stopping.stalled(3)
    assert stop(trace_of(1, 1, 1)) is None
    assert stop(trace_of(1, 1, 1, 1)) is Ending.STALLED
    assert stop(trace_of(0, 1, 1, 1)) is None
    assert stop(trace_of(-INF, -INF, -INF, -INF, -INF)) is None


def test_limits():
    """Iterations and seconds are counted from the trace alone."""
    assert stopping.iteration_limit(2)(trace_of(1)) is None
    assert stopping.iteration_limit(2)(trace_of(1, 2)) is Ending.ITERATIONS
    assert stopping.time_limit(2.0)(trace_of(1)) is None
    assert stopping.time_limit(2.0)(trace_of(1, 2)) is Ending.TIME


def test_the_readers_own_rule():
    """Any truth value of a function of the trace will do."""
    assert stopping.user_rule(lambda trace: len(trace) > 1)(trace_of(1)) is None
    assert stopping.user_rule(lambda trace: trace[-1]["incumbent"])(trace_of(1)) is Ending.USER


def test_the_first_rule_named_gives_the_reason():
    """Of several that would stop, the one named first is reported."""
    trace = trace_of(10.0, repeated=True)
    assert stopping.first_of(stopping.gap_closed(0), stopping.placement_repeated())(trace) is Ending.GAP
    assert (
        stopping.first_of(stopping.placement_repeated(), stopping.gap_closed(0))(trace) is Ending.FIXED_POINT
    )
    assert stopping.first_of()(trace) is None


def test_a_rule_keeps_nothing_between_calls():
    """The same trace gives the same answer, however often and in whatever order rules are asked."""
    stop = stopping.first_of(stopping.stalled(2), stopping.iteration_limit(4))
    traces = [trace_of(1), trace_of(1, 1, 1), trace_of(1, 2, 3, 4)]
    answers = [stop(trace) for trace in traces]
    assert [stop(trace) for trace in reversed(traces)] == answers[::-1]


@pytest.mark.parametrize(
    ("incumbent", "bound", "gap"),
    [(100, 101, 0.01), (-100, -99, 0.01), (-100, -101, 0.01), (0, 0, 0), (1, INF, INF), (-INF, 1, INF)],
)
def test_relative_gap(incumbent, bound, gap):
    """|bound - incumbent| by |incumbent|, in either sense; inf where one of them is unknown."""
    assert relative_gap(incumbent, bound) == pytest.approx(gap)


def test_a_record_is_also_read_by_name():
    """`record["bound"]` is `record.bound`; any other name is a KeyError."""
    (record,) = trace_of(1.0)
    assert record["bound"] == record.bound == 10.0
    with pytest.raises(KeyError):
        record["colour"]


def test_timings_add_up_by_phase():
    """Time spent in a phase is added to it, also when it ends in an error."""
    timings = Timings()
    with pytest.raises(ValueError, match="x"), timings.phase("onload"):
        raise ValueError("x")
    first = timings.seconds["onload"]
    with timings.phase("onload"):
        pass
    assert timings.seconds["onload"] >= first > 0
    assert timings.seconds["offload"] == 0
    assert timings.elapsed() >= timings.seconds["onload"]
