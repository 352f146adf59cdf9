"""Records of the trace: what a later step reached is told in the user's sense, with its own gap."""

import numpy as np
import pytest

from pyomo_j3o.core.results import Record, relative_gap


@pytest.mark.parametrize("sense", [1.0, -1.0, -0.5])
@pytest.mark.parametrize(("objective", "bound"), [(80.0, 84.0), (80.0, 80.0), (-3.0, np.inf), (80.0, 79.0)])
def test_a_later_plan_brings_its_own_gap(sense, objective, bound):
    """Incumbent, bound and gap belong together; a bound that the plan beats is no bound."""
    record = Record(3, sense * 50.0, sense * 50.0, sense * 90.0, 0.8, 4, True, 1.5, 2)
    later = record.with_plan(objective, bound, sense)
    assert later.incumbent == sense * objective
    assert later.bound == sense * max(bound, objective)
    assert later.relative_gap == relative_gap(objective, bound)
    assert (later.time, later.objective, later.iteration, later.cycle) == (1.5, sense * 50.0, 3, 2)
    assert record.with_plan(objective, bound, sense, 2.5).time == 2.5
