"""Problems small enough to work out by hand, and the LP backends that every law is checked on."""

import signal

import numpy as np
import pytest
from small_problems import INF, problem_of

from pyomo_j3o.lp import GurobiBackend, HighsBackend, gurobi


@pytest.fixture
def two_servers_three_models():
    """Two edge servers of memory 2, three models of sizes 1, 1, 2; one client and two tasks at each.

    x_em places model m on edge server e. Model 0 does task A with accuracy 0.6, model 1 task B with 0.8,
    model 2 both with 0.9. The cloud reaches 1.0; client 0 sends half of its task A there at most.
    With model 2 on both servers, 0.5 of A0 in the cloud, the best routing is worth 3.65.
    """
    x = {f"x{e}{m}": 0 for e in "01" for m in "012"}
    does = {("A", "0"): 0.6, ("B", "1"): 0.8, ("A", "2"): 0.9, ("B", "2"): 0.9}
    y = {f"{t}{e}{m}": a for e in "01" for (t, m), a in does.items()} | {"A0c": 1.0}
    rows = [({f"x{e}{m}": size for m, size in zip("012", (1, 1, 2), strict=True)}, -INF, 2) for e in "01"]
    rows += [({name: 1 for name in y if name.startswith(t + e)}, 1, 1) for e in "01" for t in "AB"]
    rows += [({f"{t}{e}{m}": 1, f"x{e}{m}": -1}, -INF, 0) for e in "01" for t, m in does]
    rows += [({"A0c": 2}, -INF, 1)]
    return problem_of(x, y, rows)


@pytest.fixture
def two_depots_two_shops():
    """Facility location: depots a (cost 3, capacity 10) and b (cost 2, capacity 4); shops of demand 3 and 5.

    Serving shop 1 earns 6 from a, 7 from b; shop 2 earns 8 from a, 9 from b. Both may stay unserved.
    Depot a alone earns 6 + 8 - 3 = 11; b alone at best 7 + 9/5 - 2; both 7 + 9/5 + 8·4/5 - 5 = 10.2.
    """
    return problem_of(
        {"a": -3, "b": -2},
        {"1a": 6, "1b": 7, "2a": 8, "2b": 9},
        [
            ({"1a": 1, "1b": 1}, -INF, 1),
            ({"2a": 1, "2b": 1}, -INF, 1),
            ({"1a": 3, "2a": 5, "a": -10}, -INF, 0),
            ({"1b": 3, "2b": 5, "b": -4}, -INF, 0),
        ],
    )


def _backends():
    reason = gurobi.unavailable(10, 10)
    yield pytest.param(HighsBackend, id="highs")
    yield pytest.param(GurobiBackend, id="gurobi", marks=pytest.mark.skipif(bool(reason), reason=reason))


@pytest.fixture(params=_backends())
def backend_class(request):
    """Every LP backend in turn."""
    return request.param


@pytest.fixture
def backend(backend_class):
    """Return an open backend; it is closed after the test."""
    one = backend_class()
    yield one
    one.close()


@pytest.fixture
def bits():
    """Return a function that turns "101" into a placement."""
    return lambda text: np.array([c == "1" for c in text])


@pytest.fixture
def listening():
    """Let Python take SIGINT, which a process started in the background may have been told to ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
