"""Worker processes for independent parts: interpreters beside this one, each with a lock of its own.

Threads share the interpreter's lock, which small parts hold most of the time. Processes are started as
commands, not by `multiprocessing`. Its start method "spawn" imports the user's script again, which then needs
a guard. "fork" copies the locks of HiGHS's threads, whatever state they are in. The library `loky` needs no
guard either, but its workers import the package, and Pyomo with it, which takes 1.3 s longer.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.process_worker import STOP, TASK, read, write
from pyomo_j3o.errors import BackendError

#: Seconds that a worker has to come to its end when it is told to; then it is killed.
_PATIENCE = 1.0

#: Seconds between two looks at the deadline.
_LOOK = 0.1

#: Makes the package known without running its `__init__`, which imports Pyomo.
_COMMAND = """
import importlib, sys, types
name, place = sys.argv[1:]
package = types.ModuleType(name)
package.__path__ = [place]
sys.modules[name] = package
importlib.import_module(name + ".core.process_worker").main()
"""


class ProcessLost(BackendError):
    """A worker process ended by itself, or had to be killed: what it was at has no result."""


def can_start() -> bool:
    """Return whether this interpreter can be started once more: not one that is frozen into a program."""
    return bool(sys.executable) and not getattr(sys, "frozen", False)


class Processes:
    """Worker processes, as many as there are tasks at a time; they hold nothing between two tasks.

    Parameters
    ----------
    shared
        First argument of every function; sent once to every process.

    Raises
    ------
    Exception
        `shared` cannot be pickled.
    """

    def __init__(self, shared: object) -> None:
        self._shared = pickle.dumps(shared, protocol=5)
        self._idle: list[_Process] = []
        self._all: list[_Process] = []
        # Whatever becomes of the solve, no process outlives it.
        self._finalizer = weakref.finalize(self, _end, self._all)

    def start(self, n: int) -> None:
        """Start processes; what they import, they import while the caller goes on."""
        for _ in range(n):
            self._idle.append(self._new())

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...], deadline: Deadline) -> Any:
        """Return ``function(shared, deadline, *arguments)`` of another process; see `stream`."""
        with closing(self.stream(function, arguments, deadline)) as found:
            results = list(found)
        return results[-1]

    def stream(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], deadline: Deadline
    ) -> Generator[Any, None, None]:
        """Yield what ``function(shared, deadline, *arguments)`` yields in another process.

        Parameters
        ----------
        function
            Of a module of this package; a generator, or one whose result is yielded alone.
        arguments
            To be pickled.
        deadline
            Stopping it stops the function. A function that goes on all the same is killed.

        Raises
        ------
        Exception
            What the function raised.
        ProcessLost
            The process ended by itself, or had to be killed.
        """
        process = self._take()
        at_rest = False
        try:
            process.send(TASK, deadline.left(), pickle.dumps((function, arguments), protocol=5))
            for kind, value in process.replies(deadline):
                at_rest = kind != "value"
                if kind == "error":
                    raise value
                if kind == "value":
                    yield value
        finally:
            if at_rest or process.settle():
                self._idle.append(process)

    def close(self) -> None:
        """End all processes at once."""
        self._finalizer()

    def _take(self) -> _Process:
        try:
            while not (process := self._idle.pop()).runs:
                pass
        except IndexError:
            process = self._new()
        return process

    def _new(self) -> _Process:
        process = _Process()
        self._all.append(process)
        process.send(TASK, 0.0, self._shared)
        return process


def _end(processes: list[_Process]) -> None:
    while processes:
        processes.pop().kill()


class _Process:
    """One worker process, and a thread that takes what it sends."""

    def __init__(self) -> None:
        place = Path(__file__).resolve().parent.parent
        # Where the caller found its modules, the worker finds them.
        known = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _COMMAND, place.name, str(place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": known},
            # Ctrl-C at a terminal is for the caller, who ends this.
            process_group=0 if os.name == "posix" else None,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self._received: SimpleQueue[bytes | None] = SimpleQueue()
        thread = threading.Thread(
            target=_receive, args=(self._process.stdout, self._received), name="j3o-process", daemon=True
        )
        thread.start()

    def send(self, tag: bytes, seconds: float, payload: bytes = b"") -> None:
        """Send a message; a process that has ended by itself is an error of `replies`."""
        with suppress(OSError, ValueError):
            write(self._process.stdin, tag, seconds, payload)

    def replies(self, deadline: Deadline) -> Iterator[tuple[str, Any]]:
        """Yield kinds and values of what a task sends, up to its end."""
        told = None
        while True:
            if told is None and deadline.over:
                self.send(STOP, 0.0)
                told = time.perf_counter()
            try:
                payload = self._received.get(timeout=_LOOK)
            except Empty:
                if told is not None and time.perf_counter() - told > _PATIENCE:
                    self.kill()
                    raise ProcessLost("a worker process did not end in time") from None
                continue
            if payload is None:
                self.kill()
                raise ProcessLost(f"a worker process ended with code {self._process.returncode}")
            kind, value = pickle.loads(payload)
            yield kind, value
            if kind != "value":
                return

    def settle(self) -> bool:
        """End the task at hand, whose results nobody needs; return whether the process is of further use."""
        if not self.runs:
            return False
        over = Deadline()
        over.stop()
        try:
            for _ in self.replies(over):
                pass
        except ProcessLost:
            return False
        return True

    @property
    def runs(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with suppress(OSError):  # what was not sent yet is lost
                self._process.stdin.close()


def _receive(pipe: Any, received: SimpleQueue[bytes | None]) -> None:
    """Take all messages of a process; None at its end."""
    with suppress(OSError, ValueError), pipe:
        while (message := read(pipe)) is not None:
            received.put(message[2])
    received.put(None)
