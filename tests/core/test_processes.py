"""Worker processes: what comes back, what is raised, and that none outlives its owner."""

import gc
import os
import signal
import subprocess
import sys
import time

import process_tasks
import pytest

from pyomo_j3o.core.deadline import NEVER, Deadline, OutOfTime
from pyomo_j3o.core.processes import Processes, ProcessLost
from pyomo_j3o.errors import BackendError


@pytest.fixture
def processes():
    """Return processes that share the number 3."""
    made = Processes(3)
    yield made
    made.close()


def alive(pid):
    """Return whether a process runs: one that was killed and waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ends(pid, seconds=10.0):
    """Return whether a process ends within so many seconds."""
    end = time.perf_counter() + seconds
    while alive(pid) and time.perf_counter() < end:
        time.sleep(0.02)
    return not alive(pid)


def test_values_come_in_order_and_one_process_serves_all_tasks(processes):
    """A generator's values come one by one, a result alone is one value, and no task starts a process."""
    assert list(processes.stream(process_tasks.numbers, (4, 3), NEVER)) == [12, 15, 18]
    assert processes.call(process_tasks.alone, ("a",), NEVER) == (3, "a")
    ids = {processes.call(process_tasks.modules, (), NEVER)[1] for _ in range(3)}
    assert len(ids) == 1
    assert os.getpid() not in ids


def test_a_process_has_no_pyomo(processes):
    """What takes longest to import is not imported: tasks are on arrays."""
    names, _ = processes.call(process_tasks.modules, (), NEVER)
    assert "pyomo_j3o.core.process_worker" in names
    assert "pyomo" not in names


@pytest.mark.parametrize(("kind", "error"), [("backend", BackendError), ("time", OutOfTime)])
def test_what_a_task_raises_is_raised(processes, kind, error):
    """Errors keep their class and message, and the process is of use after them."""
    with pytest.raises(error) as raised:
        processes.call(process_tasks.fails, (kind,), NEVER)
    assert str(raised.value) == ("a solver failed" if kind == "backend" else "")
    assert "process_tasks" in raised.value.__notes__[0]
    assert processes.call(process_tasks.alone, (1,), NEVER) == (3, 1)


def test_what_cannot_be_pickled_is_told_by_its_text(processes):
    """An exception of a local class comes as a RuntimeError that names it."""
    with pytest.raises(RuntimeError, match="of no module"):
        processes.call(process_tasks.fails, ("local",), NEVER)


def test_a_process_that_ends_is_an_error_and_is_replaced(processes):
    """A crash, of a solver say, is told; the next task gets another process."""
    with pytest.raises(ProcessLost, match="code 3"):
        processes.call(process_tasks.fails, ("crash",), NEVER)
    assert processes.call(process_tasks.alone, (1,), NEVER) == (3, 1)


def test_prints_are_no_replies(processes):
    """What a task prints does not reach the pipe."""
    assert processes.call(process_tasks.prints, (), NEVER) == "reply"


def test_the_seconds_left_go_with_the_task(processes):
    """A task has no more time than its caller; without a limit, it has none."""
    processes.call(process_tasks.alone, (0,), NEVER)  # it has started
    assert 0 < processes.call(process_tasks.seconds_left, (), Deadline(50.0)) <= 50.0
    assert processes.call(process_tasks.seconds_left, (), NEVER) == float("inf")


def test_stopping_the_deadline_stops_the_task(processes):
    """What it yields after that still comes, and the process is used again."""
    deadline = Deadline()
    found = processes.stream(process_tasks.until_stopped, (), deadline)
    pid = next(found)
    deadline.stop()
    assert list(found) == ["stopped"]
    assert processes.call(process_tasks.modules, (), NEVER)[1] == pid


def test_a_stream_that_is_left_stops_its_task(processes):
    """Closing the generator ends the task; the process does the next one."""
    found = processes.stream(process_tasks.until_stopped, (), NEVER)
    pid = next(found)
    found.close()
    assert processes.call(process_tasks.modules, (), NEVER)[1] == pid


def test_a_task_that_does_not_stop_is_killed(processes):
    """A task that takes no notice of its deadline is an error, and its process is gone."""
    deadline = Deadline()
    found = processes.stream(process_tasks.never_ends, (), deadline)
    pid = next(found)
    deadline.stop()
    with pytest.raises(ProcessLost, match="in time"):
        next(found)
    assert not alive(pid)
    assert processes.call(process_tasks.alone, (1,), NEVER) == (3, 1)


def test_nothing_is_left_behind():
    """Closed or forgotten, in the middle of a task or not, no process stays, not even as a zombie."""
    for forget in (False, True):
        processes = Processes(3)
        processes.start(2)
        found = processes.stream(process_tasks.never_ends, (), NEVER)
        pids = [next(found), processes.call(process_tasks.modules, (), NEVER)[1]]
        if not forget:
            processes.close()
        del found, processes
        gc.collect()
        assert not any(map(alive, pids))


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_with_their_owner(sent):
    """Whatever ends the owner, even in the middle of a task, ends its processes."""
    script = (
        "import process_tasks, time\n"
        "from pyomo_j3o.core.deadline import NEVER\n"
        "from pyomo_j3o.core.processes import Processes\n"
        "p = Processes(3)\n"
        "found = p.stream(process_tasks.never_ends, (), NEVER)\n"
        "print(next(found), flush=True)\n"
        "time.sleep(600)\n"
    )
    path = os.pathsep.join(place for place in sys.path if place)
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as owner:
        try:
            pid = int(owner.stdout.readline())
            assert alive(pid)
            owner.send_signal(sent)
            assert ends(pid)
        finally:
            owner.kill()


def test_what_is_shared_has_to_pickle():
    """A lambda is refused before any process is started."""
    with pytest.raises(Exception, match="lambda"):
        Processes(lambda: 0)
