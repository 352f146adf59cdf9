"""Functions that tests let worker processes run."""

import os
import sys
import time

from pyomo_j3o.core.deadline import OutOfTime
from pyomo_j3o.errors import BackendError


def numbers(shared, deadline, first, n):
    """Yield numbers, times what is shared."""
    for k in range(first, first + n):
        yield shared * k


def alone(shared, deadline, value):
    """Return one value."""
    return shared, value


def modules(shared, deadline):
    """Return which modules the process has imported, and its id."""
    return sorted(sys.modules), os.getpid()


def seconds_left(shared, deadline):
    """Return the seconds that the task has left."""
    return deadline.left()


def until_stopped(shared, deadline):
    """Yield the id of the process, and then how it ended."""
    yield os.getpid()
    while not deadline.over:
        time.sleep(0.01)
    yield "stopped"


def never_ends(shared, deadline):
    """Yield the id of the process, and take no notice of the deadline."""
    yield os.getpid()
    time.sleep(600)


def fails(shared, deadline, kind):
    """Raise what is asked for."""
    if kind == "backend":
        raise BackendError("a solver failed")
    if kind == "time":
        raise OutOfTime
    if kind == "local":

        class Local(Exception):
            pass

        raise Local("of no module")
    os._exit(3)


def prints(shared, deadline):
    """Print to the place where replies go."""
    print("not a reply", flush=True)
    os.write(1, b"nor this\n")
    return "reply"
