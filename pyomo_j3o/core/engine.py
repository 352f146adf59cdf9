"""Independent jobs on any `concurrent.futures.Executor`: submitted, tried again, or named as lost.

Without an executor, every worker is a `ProcessPoolExecutor` of one process. So the death of a process breaks
one worker alone, and tells which job it was at. Processes are spawned: HiGHS keeps threads, whose locks a
fork would copy in whatever state they are.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.errors import EngineError, in_one_line

#: Times that a job may lose its process; then it is lost.
DEATHS = 3

#: Jobs that an executor of the user holds at a time.
_AHEAD = 10_000

#: Seconds between two looks at the deadline, which also let Ctrl-C through.
_LOOK = 0.2

#: Of Dask: a task whose worker has died again and again. Dask is not imported for a comparison of names.
_LOST = "KilledWorker"


@dataclass(frozen=True, slots=True)
class Lost:
    """Stands for the result of a job that has none.

    Attributes
    ----------
    reason : str
        What became of its worker.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Job:
    """A call that runs elsewhere.

    Attributes
    ----------
    key : Hashable
        Names it, in results and in errors.
    arguments : tuple
        Of the function; they are pickled where workers are processes.
    """

    key: Hashable
    arguments: tuple[Any, ...]


class Engine:
    """Runs jobs on an executor that was given, which is left open, or on processes of its own.

    Parameters
    ----------
    executor
        None for processes of its own.
    workers
        How many of these; None for one per core.
    died
        Is told of every death of such a process, in a sentence.
    """

    def __init__(
        self,
        executor: Executor | None = None,
        workers: int | None = None,
        died: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._executor, self._died = executor, died
        self._idle: list[_Worker] = []
        self._all: list[_Worker] = []
        self._room = 0 if executor is not None else workers or _cores()

    @property
    def own(self) -> bool:
        """Whether the workers are processes of its own."""
        return self._executor is None

    def run(
        self,
        function: Callable[..., Any],
        jobs: Iterable[Job],
        deadline: Deadline = NEVER,
        late: float = 0.0,
    ) -> Generator[tuple[Job, Any], None, None]:
        """Yield every job with its result, or with `Lost`, in the order in which they end.

        Parameters
        ----------
        function
            Of a module, so that it pickles.
        jobs
            Are begun in this order.
        deadline
            Nothing is begun after it.
        late
            Seconds after it in which what is under way may end; it is yielded, too.

        Raises
        ------
        EngineError
            The executor is shut down or broken, a job cannot be sent, or its function raised.
        """
        run = _Run(self, function, deque(jobs))
        try:
            yield from run.results(deadline, late)
        finally:
            run.cancel()

    def close(self) -> None:
        """End the processes of its own."""
        while self._all:
            self._all.pop().end()
        self._idle.clear()

    def _submit(self, function: Callable[..., Any], job: Job) -> tuple[Future[Any], _Worker | None]:
        if self._executor is None:
            worker = self._idle.pop() if self._idle else self._new()
            return worker.pool.submit(function, *job.arguments), worker
        try:
            return self._executor.submit(function, *job.arguments), None
        except (RuntimeError, CancelledError) as error:  # a broken one is a RuntimeError, too
            raise EngineError(
                f"the executor takes no more jobs ({in_one_line(error)}); give one that is not shut down"
            ) from error

    def _has_room(self, at_work: int) -> bool:
        return at_work < (self._room if self.own else _AHEAD)

    def _new(self) -> _Worker:
        worker = _Worker()
        self._all.append(worker)
        return worker

    def _replace(self, worker: _Worker) -> None:
        """Put a new process in the place of a dead one."""
        self._all.remove(worker)
        worker.end()
        for attempt in range(DEATHS):
            fresh = self._new()
            try:
                fresh.pool.submit(_nothing).result()
                break
            except BrokenExecutor as error:
                self._all.remove(fresh)
                fresh.end()
                if attempt + 1 == DEATHS:
                    raise EngineError(
                        "worker processes end as they start; begin the work of a script below "
                        "`if __name__ == '__main__':`, since each of them imports the script"
                    ) from error
        self._idle.append(fresh)


class _Run:
    """The jobs of one call of `Engine.run`."""

    def __init__(self, engine: Engine, function: Callable[..., Any], waiting: deque[Job]) -> None:
        self._engine, self._function, self._waiting = engine, function, waiting
        self._done: SimpleQueue[Future[Any]] = SimpleQueue()
        self._at_work: dict[Future[Any], tuple[Job, _Worker | None]] = {}
        self._deaths: dict[Hashable, int] = {}

    def results(self, deadline: Deadline, late: float) -> Generator[tuple[Job, Any], None, None]:
        while (self._waiting or self._at_work) and deadline.left() + late > 0.0:
            if deadline.over:
                self._drop()
            while self._waiting and self._engine._has_room(len(self._at_work)):
                self._begin(self._waiting.popleft())
            try:
                future = self._done.get(timeout=_LOOK)
            except Empty:
                continue
            if future not in self._at_work:
                continue  # it was dropped
            job, worker = self._at_work.pop(future)
            result = self._result(job, worker, future)
            if result is not None:
                yield job, result

    def _drop(self) -> None:
        """Let go of what has not begun."""
        self._waiting.clear()
        for future in [future for future in self._at_work if future.cancel()]:
            del self._at_work[future]

    def cancel(self) -> None:
        """Let go of what has not ended."""
        for future, (_, worker) in self._at_work.items():
            future.cancel()
            if worker is not None:
                self._engine._all.remove(worker)
                worker.end(at_once=True)
        self._at_work.clear()

    def _begin(self, job: Job) -> None:
        future, worker = self._engine._submit(self._function, job)
        self._at_work[future] = job, worker
        future.add_done_callback(self._done.put)

    def _result(self, job: Job, worker: _Worker | None, future: Future[Any]) -> Any:
        """Return what a job has become; None if it is begun again."""
        try:
            result = future.result()
        except BrokenExecutor as error:
            if worker is None:
                raise EngineError(
                    f"the executor broke while {_named(job)} was at work ({in_one_line(error)}); give a new "
                    "one, or none, so that dead workers are replaced"
                ) from error
            self._engine._replace(worker)
            self._deaths[job.key] = deaths = self._deaths.get(job.key, 0) + 1
            self._engine._died(f"The worker process of {_named(job)} died ({deaths} of {DEATHS}).")
            if deaths >= DEATHS:
                return Lost(f"its worker process died {deaths} times")
            self._waiting.appendleft(job)
            return None
        except CancelledError as error:
            raise EngineError(
                f"the executor dropped {_named(job)}; give one that stays open until the end"
            ) from error
        except Exception as error:
            if type(error).__name__ == _LOST:
                return Lost(f"its worker died again and again ({in_one_line(error)})")
            raise EngineError(f"{_named(job)} could not be run: {in_one_line(error)}") from error
        if worker is not None:
            self._engine._idle.append(worker)
        return result


class _Worker:
    """One process of our own."""

    def __init__(self) -> None:
        self.pool = ProcessPoolExecutor(
            1, mp_context=multiprocessing.get_context("spawn"), initializer=_as_worker
        )

    def end(self, at_once: bool = False) -> None:
        """End the process, which has no job at hand unless `at_once`."""
        if at_once:
            # The standard library has a name for this from Python 3.14 on.
            for process in list((getattr(self.pool, "_processes", None) or {}).values()):
                process.kill()
        with suppress(Exception):
            self.pool.shutdown(wait=True, cancel_futures=True)


def require_picklable(what: str, thing: object) -> None:
    """Raise an `EngineError` if something cannot be sent to another process.

    Parameters
    ----------
    what
        Its name in the message.
    thing
        Anything.
    """
    try:
        pickle.dumps(thing)
    except Exception as error:
        raise EngineError(
            f"{what} cannot be sent to another process ({in_one_line(error)}); define it at the top of a "
            "module, not as a lambda or within a function"
        ) from error


def _as_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=end_with_parent, name="j3o-parent", daemon=True).start()


def _nothing() -> None:
    """Show that a process runs."""


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _named(job: Job) -> str:
    return job.key if isinstance(job.key, str) else repr(job.key)
