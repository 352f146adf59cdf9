"""Loads over time: means kept, clients out of step, nothing at 0."""

import numpy as np
import pytest

from pyomo_j3o.control import client_loads
from pyomo_j3o.library import Trace, request_traces, taskonomy_data

DATA = taskonomy_data(clients=6, edges=2, seed=1)


def test_the_mean_over_the_trace_is_the_load_of_the_data():
    """Every load is positive where the system has one, and has its mean."""
    loads = client_loads(DATA, request_traces(), seed=3)
    assert loads.shape == (57, *DATA.load.shape)
    assert np.allclose(loads.mean(axis=0), DATA.load)
    assert ((loads > 0) == (DATA.load > 0)).all()


def test_clients_follow_the_series_in_turn_and_out_of_step():
    """Up to a shift in time, a client's loads are its series; seeds decide the shift."""
    trace = Trace(("a", "b"), np.column_stack([np.arange(1, 21), np.ones(20)]))
    loads = client_loads(DATA, trace, seed=0)
    per_client = loads.sum(axis=2) / DATA.load.sum(axis=1)
    for client in (0, 2, 4):
        assert np.allclose(np.sort(per_client[:, client]), np.arange(1, 21) / 10.5)
        assert np.allclose(per_client[:, client + 1], 1.0)
    assert not np.allclose(per_client[:, 0], per_client[:, 2])
    again = client_loads(DATA, trace, seed=0)
    assert np.array_equal(loads, again)
    assert not np.array_equal(loads, client_loads(DATA, trace, seed=1))


def test_the_floor_is_a_number_above_zero():
    """Without a floor a load could be 0."""
    with pytest.raises(ValueError, match="floor=0"):
        client_loads(DATA, request_traces(), floor=0)
    with pytest.raises(ValueError, match="seed=-1"):
        client_loads(DATA, request_traces(), seed=-1)
