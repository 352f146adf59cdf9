"""What the log says of an iteration."""

import io

import numpy as np
import pytest

from pyomo_j3o.core.log import Log, counted
from pyomo_j3o.core.results import Record


def record(objective):
    """Return an iteration with this objective and no plan before it."""
    return Record(1, objective, -np.inf, 5.0, np.inf, 2, False, 0.5)


@pytest.mark.parametrize(
    ("objective", "in_time", "said"),
    [(3.0, True, "3.0000000"), (-np.inf, True, "infeasible"), (-np.inf, False, "no time")],
)
def test_a_routing_that_time_ended_is_not_called_infeasible(objective, in_time, said):
    """An LP that was not solved to its end proves nothing."""
    stream = io.StringIO()
    Log([stream]).iteration(record(objective), in_time)
    assert said in stream.getvalue()
    assert ("infeasible" in stream.getvalue()) == (said == "infeasible")


def test_one_is_singular():
    """A number stands before the noun that it asks for."""
    assert [counted(number, "row") for number in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert [counted(number, "batch", "batches") for number in (1, 2)] == ["1 batch", "2 batches"]
