"""What runs in a worker process: one task after the other, from a pipe to a pipe."""

from __future__ import annotations

import os
import pickle
import signal
import struct
import sys
import threading
import traceback
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any, BinaryIO

from pyomo_j3o.core.deadline import Deadline

#: A message is a task, with the seconds that it may take, or stops the task at hand.
TASK, STOP = b"t", b"s"

_HEAD = struct.Struct("<Qcd")

_Tasks = SimpleQueue[tuple[bytes, Deadline]]


def write(pipe: Any, tag: bytes, seconds: float, payload: bytes) -> None:
    """Write one message."""
    pipe.write(_HEAD.pack(len(payload), tag, seconds))
    pipe.write(payload)
    pipe.flush()


def read(pipe: BinaryIO) -> tuple[bytes, float, bytes] | None:
    """Read one message; None at the end of the pipe."""
    head = pipe.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    size, tag, seconds = _HEAD.unpack(head)
    payload = pipe.read(size)
    return (tag, seconds, payload) if len(payload) == size else None


def main() -> None:
    """Work until the pipe is closed, whoever closes it: the end of the caller does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a solver prints is no reply
    tasks: _Tasks = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, tasks), daemon=True).start()
    shared = pickle.loads(tasks.get()[0])
    while True:
        payload, deadline = tasks.get()
        for reply in _replies(shared, payload, deadline):
            write(replies, TASK, 0.0, reply)


def _listen(requests: BinaryIO, tasks: _Tasks) -> None:
    """Take messages while a task runs; end the process, whatever it does, with the pipe."""
    deadline = Deadline()
    while (message := read(requests)) is not None:
        tag, seconds, payload = message
        if tag == STOP:
            deadline.stop()
        else:
            deadline = Deadline(seconds)
            tasks.put((payload, deadline))
    os._exit(0)


def _replies(shared: Any, payload: bytes, deadline: Deadline) -> Iterator[bytes]:
    """Yield what a task finds, or raises, and its end."""
    try:
        function, arguments = pickle.loads(payload)
        found = function(shared, deadline, *arguments)
        for value in found if isinstance(found, Iterator) else (found,):
            yield pickle.dumps(("value", value), protocol=5)
        yield pickle.dumps(("end", None))
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        error.add_note(f"In a worker process:\n{text}")
        try:
            reply = pickle.dumps(("error", error.with_traceback(None)))
            pickle.loads(reply)
        except Exception:
            reply = pickle.dumps(("error", RuntimeError(text)))
        yield reply
