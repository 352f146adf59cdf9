"""A sweep solves each case by itself, on any executor, and a case that fails is one row."""

import io
import math
import pickle
from concurrent.futures import ThreadPoolExecutor

import pyomo.environ as pyo
import pytest

from pyomo_j3o import sweep
from pyomo_j3o.errors import EngineError, FleetError, MeasureError, OptionError
from pyomo_j3o.fleet.sweeping import Case, Sweep, _line
from tests.fleet_models import always_dies, broken_at_two, interrupts, shop


@pytest.fixture
def threads():
    """Run parts in threads of this process."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


def impossible(seed):
    """Build a shop that cannot serve what it has to."""
    m = shop(seed)
    m.more = pyo.Constraint(expr=sum(m.route.y.values()) >= 99)
    return m


def opened(model, results):
    """Count what is placed."""
    return {"opened": sum(x.value > 0.5 for x in model.place.x.values()), "limit": results.objective_bound}


def measures_what_is_there(model, results):
    """Return a figure under a name that the table has by itself."""
    return {"gap": 1.0}


def len_of_plan(model, results):
    """Return a figure without its name."""
    return 5


def impossible_at_one(seed):
    """Build a shop that has no plan for one of the seeds, so that nothing is measured there."""
    return impossible(seed) if seed == 1 else shop(seed)


def cannot_measure(model, results):
    """Raise in the measure."""
    raise KeyError("nothing")


def test_each_case_is_what_its_model_is_worth_by_itself(threads):
    """A case by itself gives the same figures."""
    found = sweep(shop, {"first": 3, "second": 4}, threads, measure=opened)
    assert list(found.cases) == ["first", "second"]
    for name, seed in (("first", 3), ("second", 4)):
        m = shop(seed)
        pyo.SolverFactory("j3o").solve(m)
        case = found.cases[name]
        assert case.objective == pytest.approx(pyo.value(m.profit), rel=1e-6)
        assert case.objective <= case.bound + 1e-9 * abs(case.bound)
        assert case.status == "optimal"
        assert case.measured["opened"] == sum(x.value > 0.5 for x in m.place.x.values())
        assert case.measured["limit"] == case.bound
    assert "opened" in str(found)
    assert [row["case"] for row in found.table] == ["first", "second"]


def test_cases_that_fail_are_rows_and_the_others_go_on(threads):
    """One failure is one row, with its traceback."""
    stream = io.StringIO()
    found = sweep(broken_at_two, [1, 2, 3], threads, tee=stream)
    assert [case.status for case in found.cases.values()] == ["optimal", "failed", "optimal"]
    assert found.cases[2].note.startswith("build raised ZeroDivisionError")
    assert "1 / (seed - 2)" in found.cases[2].traceback
    assert len(stream.getvalue().splitlines()) == 3
    without = sweep(impossible, [7], threads).cases[7]
    assert (without.status, without.objective) == ("provenInfeasible", None)


def test_a_measure_that_raises_costs_no_solve(threads):
    """The case keeps status, objective, bound and gap; note and traceback hold what was raised."""
    stream = io.StringIO()
    found = sweep(shop, [1], threads, measure=cannot_measure, tee=stream).cases[1]
    without = sweep(shop, [1], threads).cases[1]
    kept = ("status", "objective", "bound", "gap")
    assert [getattr(found, name) for name in kept] == [getattr(without, name) for name in kept]
    assert found.note == "measure raised KeyError: 'nothing'"
    assert 'raise KeyError("nothing")' in found.traceback
    assert found.measured == {}
    assert "measure raised KeyError" in stream.getvalue()


@pytest.mark.parametrize(("measure", "what"), [(measures_what_is_there, "'gap'"), (len_of_plan, "5;")])
def test_what_no_case_can_return_ends_the_sweep(threads, measure, what):
    """The first case that returns a taken name, or no mapping, is named; what has ended is in the error."""
    with pytest.raises(MeasureError, match=f"case 7: measure returned {what}") as raised:
        sweep(impossible_at_one, [1, 7, 3], threads, measure=measure)
    found = pickle.loads(pickle.dumps(raised.value)).found
    assert list(found.cases) == [1, 7]
    assert found.cases[7].objective == sweep(shop, [7], threads).cases[7].objective
    assert isinstance(raised.value, FleetError)


def test_seconds_that_nobody_knows_are_a_dash():
    """A case whose worker died has no seconds: neither the line nor the table says 'nan'."""
    lost = Case("lost", note="its worker process died 3 times")
    assert _line("a", lost, 1, 1).endswith("died 3 times  (-)")
    table = Sweep({"a": lost, "b": Case("failed", seconds=1.0)}).table
    assert table["seconds"] == [None, 1.0]
    assert "nan" not in str(table)


def test_processes_give_the_same_and_a_death_is_one_row(threads):
    """Processes give the figures of threads; a worker that dies takes no other case along."""
    here = sweep(shop, [0.5, 2], threads)
    found = sweep(always_dies, [0, 1, 2], workers=2)
    assert [case.status for case in found.cases.values()] == ["optimal", "lost", "optimal"]
    assert "died 3 times" in found.cases[1].note
    assert found.cases[2].objective == here.cases[2].objective


def test_ctrl_c_returns_what_has_ended(threads, listening):
    """Ctrl-C keeps what has ended."""
    found = sweep(interrupts, range(6), threads)
    assert found.interrupted
    assert set(found.cases) < set(range(6))


BAD = {
    "none": ((shop, []), {}, FleetError, "no cases"),
    "same": ((shop, [1, 1]), {}, FleetError, "two cases are called 1"),
    "name": ((shop, [math.inf]), {}, FleetError, "case inf"),
    "build": ((3, [1]), {}, FleetError, "build=3"),
    "measure": ((shop, [1]), {"measure": 3}, FleetError, "measure=3"),
    "option": ((shop, [1]), {"options": {"sed": 1}}, OptionError, "sed"),
    "ours": ((shop, [1]), {"options": {"load_solutions": True}}, OptionError, "load_solutions"),
    "workers": ((shop, [1]), {"workers": 0}, ValueError, "workers=0"),
    "lambda": ((lambda k: shop(k), [1]), {}, EngineError, "build cannot be sent"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    """One sentence names what is wrong."""
    given, keywords, error, text = BAD[case]
    with pytest.raises(error, match=text):
        sweep(*given, **keywords)


def test_a_solver_that_takes_ctrl_c_ends_the_sweep():
    """In a thread of this process it ends early and says so: that case has not ended."""
    iterations = []

    def ctrl_c(record):
        iterations.append(record.iteration)
        if iterations.count(1) == 2:
            raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as one:
        found = sweep(shop, range(4), one, options={"callback": ctrl_c})
    assert found.interrupted
    assert list(found.cases) == [0]
