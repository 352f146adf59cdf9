"""Parts one after the other or side by side: order, time, and what an exception in one of them ends."""

import threading
import time

import pytest

from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.core.parallel import in_parts

INF = float("inf")


class Clock:
    """A clock that the parts themselves set forward."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        """Return the time."""
        return self.now


def within(seconds):
    """Return a deadline of so many seconds on a clock that stands still."""
    return Deadline(seconds, clock=Clock())


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_results_come_in_the_order_of_the_parts(threads):
    """The slowest first part is the first result all the same; each part is worked on once."""
    seen = []

    def work(k, deadline):
        time.sleep(0.03 if k == 0 else 0.0)
        seen.append(k)
        return 10 * k

    assert in_parts(work, [1.0] * 5, NEVER, threads) == [0, 10, 20, 30, 40]
    assert sorted(seen) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("threads", [1, 4])
def test_no_parts_and_one_part(threads):
    """Nothing to do is no result; one part has all the time."""
    assert in_parts(lambda k, deadline: k, [], within(7.0), threads) == []
    assert in_parts(lambda k, deadline: deadline.left(), [3.0], within(7.0), threads) == [7.0]


def test_one_after_the_other_time_is_shared_by_weight():
    """Of 12 seconds, parts of weights 1, 2, 3 get 2, 4, 6 if each spends its own."""
    clock, got = Clock(), []

    def work(k, deadline):
        got.append(deadline.left())
        clock.now += deadline.left()
        assert deadline.left() == pytest.approx(0)

    in_parts(work, [1.0, 2.0, 3.0], Deadline(12.0, clock=clock))
    assert got == pytest.approx([2, 4, 6])


def test_time_left_over_serves_the_parts_after_it():
    """A part that needs nothing leaves its share to the others, by weight."""
    clock, got = Clock(), []

    def work(k, deadline):
        got.append(deadline.left())
        clock.now += 0.0 if k == 0 else deadline.left()

    in_parts(work, [2.0, 1.0, 1.0], Deadline(12.0, clock=clock))
    assert got == pytest.approx([6, 6, 6])


def test_time_that_was_overdrawn_is_not_given_twice():
    """A part that takes more than its share takes it from those after it."""
    clock, got = Clock(), []

    def work(k, deadline):
        got.append(deadline.left())
        clock.now += 9.0 if k == 0 else 0.0

    in_parts(work, [1.0, 1.0], Deadline(10.0, clock=clock))
    assert got == pytest.approx([5, 1])


@pytest.mark.parametrize("threads", [1, 2])
def test_without_a_limit_nobody_has_one(threads):
    """With no end of time each part has no end of time."""
    assert in_parts(lambda k, deadline: deadline.left(), [1.0, 5.0], NEVER, threads) == [INF, INF]


def test_side_by_side_all_get_the_whole_time():
    """With threads, a part has the time that all have."""
    assert in_parts(lambda k, deadline: deadline.left(), [1.0, 5.0, 2.0], within(8.0), 2) == [8.0] * 3


def test_so_many_parts_at_a_time():
    """Two threads hold two parts at a time, and both are used."""
    at_work, most, lock = 0, 0, threading.Lock()

    def work(k, deadline):
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.02)
        with lock:
            at_work -= 1

    in_parts(work, [1.0] * 6, NEVER, 2)
    assert most == 2


@pytest.mark.parametrize("threads", [1, 3])
def test_an_exception_of_one_part_is_raised(threads):
    """What a part raises reaches the caller as it is."""

    def work(k, deadline):
        if k == 1:
            raise LookupError("part 1")

    with pytest.raises(LookupError, match="part 1"):
        in_parts(work, [1.0] * 3, NEVER, threads)


def test_one_after_the_other_an_exception_is_the_end():
    """Parts after the one that raised are not begun."""
    begun = []

    def work(k, deadline):
        begun.append(k)
        if k == 1:
            raise LookupError

    with pytest.raises(LookupError):
        in_parts(work, [1.0] * 4, NEVER)
    assert begun == [0, 1]


@pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt])
def test_side_by_side_an_exception_ends_the_others(error):
    """The others at work have no time left, are waited for, and parts that were not begun are never begun."""
    both, begun, ended = threading.Barrier(2), [], []

    def work(k, deadline):
        begun.append(k)
        if k < 2:
            both.wait(5)
        if k == 0:
            raise error
        assert deadline.left() in (INF, 0.0)
        give_up = time.perf_counter() + 5
        while deadline.left() > 0 and time.perf_counter() < give_up:
            time.sleep(0.002)
        ended.append((k, deadline.left()))

    with pytest.raises(error):
        in_parts(work, [1.0] * 6, NEVER, 2)
    assert (1, 0.0) in ended
    assert all(left == 0.0 for _, left in ended)
    # One thread was free for a moment before it was told.
    assert len(begun) < 6
    assert len(ended) == len(begun) - 1
    assert not [t for t in threading.enumerate() if t.name.startswith("j3o-part")]


def test_the_answer_does_not_depend_on_threads():
    """The same work on each part gives the same results with any number of threads."""

    def work(k, deadline):
        total = 0
        for n in range(2000):
            total = (total * 31 + n * k) % 1_000_003
        return total

    results = [in_parts(work, [1.0 + k for k in range(9)], NEVER, threads) for threads in (1, 2, 4, 9, 20)]
    assert all(one == results[0] for one in results)
