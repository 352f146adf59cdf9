"""Threads for solvers: the caller waits, can be interrupted, and reads on meanwhile."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from queue import SimpleQueue

#: A function to run, where to put what it raises, and what to release then; None to end.
_Jobs = SimpleQueue[tuple[Callable[[], object], list[BaseException | None], threading.Lock] | None]


class Worker:
    """A thread that runs one function at a time for a caller who waits, with less ado than an executor."""

    def __init__(self) -> None:
        self._jobs: _Jobs = SimpleQueue()
        self._thread: threading.Thread | None = None
        # Should Ctrl-C come at the call of `close`, the thread ends when nobody can ask it for more.
        weakref.finalize(self, self._jobs.put, None).atexit = False

    def run(
        self,
        function: Callable[[], object],
        interrupt: Callable[[], None],
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        """Run `function` to its end.

        Parameters
        ----------
        function
            Run in the thread; what it raises is raised here.
        interrupt
            Called once at Ctrl-C, or if `meanwhile` fails, and must make `function` return soon: it is waited
            for.
        meanwhile
            Called now and then while `function` runs.
        """
        if self._thread is None:
            thread = threading.Thread(target=_work, args=(self._jobs,), name="j3o-solver", daemon=True)
            thread.start()
            self._thread = thread  # not before: Ctrl-C while it starts leaves one that cannot be joined yet
        outcome: list[BaseException | None] = []
        done = threading.Lock()
        done.acquire()
        sent = False
        try:
            self._jobs.put((function, outcome, done))
            sent = True
            # Waking now and then: with Gurobi in the process, a signal does not end the wait by itself.
            while not done.acquire(timeout=0.2):
                if meanwhile is not None:
                    meanwhile()
        except BaseException:
            interrupt()
            # Not by the lock: Ctrl-C may have come just after it was acquired.
            while sent and not outcome:
                time.sleep(1e-3)
            raise
        if outcome[0] is not None:
            raise outcome[0]

    def close(self) -> None:
        """End the thread."""
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join()


class Workers:
    """Threads that many solvers share: as many as run at a time, whatever the number of solvers.

    A thread is not free: what a solver frees in one thread, the memory allocator keeps for that thread.
    """

    def __init__(self) -> None:
        self._idle: list[Worker] = []

    def run(self, function: Callable[[], object], interrupt: Callable[[], None]) -> None:
        """Run `function` to its end in a thread that is idle; see `Worker.run`."""
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = Worker()
        try:
            worker.run(function, interrupt)
        finally:
            self._idle.append(worker)

    def close(self) -> None:
        """End the threads."""
        while self._idle:
            self._idle.pop().close()


def _work(jobs: _Jobs) -> None:
    while (job := jobs.get()) is not None:
        function, outcome, done = job
        error: BaseException | None = None
        try:
            function()
        except BaseException as raised:  # it belongs to the caller, whatever it is
            error = raised
        outcome.append(error)
        done.release()
        # Nothing of the caller's is held while the next job is waited for.
        del job, function, outcome, done, error
