"""Parts one after the other or side by side: order, time, and what an exception in one of them ends."""

import threading
import time

import pytest

from pyomo_j3o.core.parallel import share

INF = float("inf")


class Clock:
    """Seconds left, spent by the parts themselves."""

    def __init__(self, seconds):
        self.left = seconds

    def __call__(self):
        """Return what is left."""
        return self.left


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_results_come_in_the_order_of_the_parts(threads):
    """The slowest first part is the first result all the same; each part is worked on once."""
    seen = []

    def work(k, remaining):
        time.sleep(0.03 if k == 0 else 0.0)
        seen.append(k)
        return 10 * k

    assert share(work, [1.0] * 5, lambda: INF, threads) == [0, 10, 20, 30, 40]
    assert sorted(seen) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("threads", [1, 4])
def test_no_parts_and_one_part(threads):
    """Nothing to do is no result; one part has all the time."""
    assert share(lambda k, remaining: k, [], lambda: 7.0, threads) == []
    assert share(lambda k, remaining: remaining(), [3.0], lambda: 7.0, threads) == [7.0]


def test_one_after_the_other_time_is_shared_by_weight():
    """Of 12 seconds, parts of weights 1, 2, 3 get 2, 4, 6 if each spends its own."""
    clock, got = Clock(12.0), []

    def work(k, remaining):
        got.append(remaining())
        clock.left -= remaining()
        assert remaining() == pytest.approx(0)

    share(work, [1.0, 2.0, 3.0], clock)
    assert got == pytest.approx([2, 4, 6])


def test_time_left_over_serves_the_parts_after_it():
    """A part that needs nothing leaves its share to the others, by weight."""
    clock, got = Clock(12.0), []

    def work(k, remaining):
        got.append(remaining())
        clock.left -= 0.0 if k == 0 else remaining()

    share(work, [2.0, 1.0, 1.0], clock)
    assert got == pytest.approx([6, 6, 6])


def test_time_that_was_overdrawn_is_not_given_twice():
    """A part that takes more than its share takes it from those after it."""
    clock, got = Clock(10.0), []

    def work(k, remaining):
        got.append(remaining())
        clock.left -= 9.0 if k == 0 else 0.0

    share(work, [1.0, 1.0], clock)
    assert got == pytest.approx([5, 1])


@pytest.mark.parametrize("threads", [1, 2])
def test_without_a_limit_nobody_has_one(threads):
    """With no end of time each part has no end of time."""
    assert share(lambda k, remaining: remaining(), [1.0, 5.0], lambda: INF, threads) == [INF, INF]


def test_side_by_side_all_get_the_whole_time():
    """With threads, a part has the time that all have."""
    assert share(lambda k, remaining: remaining(), [1.0, 5.0, 2.0], lambda: 8.0, 2) == [8.0] * 3


def test_so_many_parts_at_a_time():
    """Two threads hold two parts at a time, and both are used."""
    at_work, most, lock = 0, 0, threading.Lock()

    def work(k, remaining):
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.02)
        with lock:
            at_work -= 1

    share(work, [1.0] * 6, lambda: INF, 2)
    assert most == 2


@pytest.mark.parametrize("threads", [1, 3])
def test_an_exception_of_one_part_is_raised(threads):
    """What a part raises reaches the caller as it is."""

    def work(k, remaining):
        if k == 1:
            raise LookupError("part 1")

    with pytest.raises(LookupError, match="part 1"):
        share(work, [1.0] * 3, lambda: INF, threads)


def test_one_after_the_other_an_exception_is_the_end():
    """Parts after the one that raised are not begun."""
    begun = []

    def work(k, remaining):
        begun.append(k)
        if k == 1:
            raise LookupError

    with pytest.raises(LookupError):
        share(work, [1.0] * 4, lambda: INF)
    assert begun == [0, 1]


@pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt])
def test_side_by_side_an_exception_ends_the_others(error):
    """The others at work have no time left, are waited for, and parts that were not begun are never begun."""
    both, begun, ended = threading.Barrier(2), [], []

    def work(k, remaining):
        begun.append(k)
        if k < 2:
            both.wait(5)
        if k == 0:
            raise error
        assert remaining() in (INF, 0.0)
        give_up = time.perf_counter() + 5
        while remaining() > 0 and time.perf_counter() < give_up:
            time.sleep(0.002)
        ended.append((k, remaining()))

    with pytest.raises(error):
        share(work, [1.0] * 6, lambda: INF, 2)
    assert (1, 0.0) in ended
    assert all(left == 0.0 for _, left in ended)
    # One thread was free for a moment before it was told.
    assert len(begun) < 6
    assert len(ended) == len(begun) - 1
    assert not [t for t in threading.enumerate() if t.name.startswith("j3o-part")]


def test_the_answer_does_not_depend_on_threads():
    """The same work on each part gives the same results with any number of threads."""

    def work(k, remaining):
        total = 0
        for n in range(2000):
            total = (total * 31 + n * k) % 1_000_003
        return total

    results = [share(work, [1.0 + k for k in range(9)], lambda: INF, threads) for threads in (1, 2, 4, 9, 20)]
    assert all(one == results[0] for one in results)
