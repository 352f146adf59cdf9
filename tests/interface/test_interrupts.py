"""Whatever stops a solve, and wherever: a model holds its old values or a whole plan, never half of one.

Most tests count the calls of j3o's own functions and raise at the n-th, so that every phase is hit, and the
same one each time. After each, the solver object has to find what a new one finds.
"""

import errno
import gc
import io
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.util import NoFeasibleSolutionError, NoOptimalSolutionError
from pyomo.core.base.var import VarData
from solver_models import classic, new, two_servers, worst_violation

import pyomo_j3o
from pyomo_j3o import BatchingWindow
from pyomo_j3o.lp import HighsBackend
from pyomo_j3o.lp.worker import Worker
from pyomo_j3o.methods.incumbent import Incumbent
from pyomo_j3o.mip import HighsMIP

PACKAGE = Path(pyomo_j3o.__file__).parent
#: How a solve may end that was interrupted: by that, or as Pyomo's solvers say that they were stopped.
ENDS = (KeyboardInterrupt, NoOptimalSolutionError, NoFeasibleSolutionError)
OPTIONS = {
    # Who wants to see the iterations gets them, however small the model is.
    "j3o": {"lp_solver": "highs", "mip_solver": "highs", "callback": lambda record: None},
    "quick": {"lp_solver": "highs", "mip_solver": "highs"},
    "exact": {
        "lp_solver": "highs",
        "mip_solver": "highs",
        "algorithm": "exact",
        "mip_start": "j3o",
        "rel_gap": 0.0,
    },
    "baj3o": {"lp_solver": "highs", "mip_solver": "highs", "algorithm": "baj3o"},
}
ALGORITHMS = pytest.mark.parametrize("algorithm", OPTIONS)


def module_of(file):
    """Return the module of a file of j3o, its room first: `lp.highs`."""
    return ".".join(Path(file).relative_to(PACKAGE).with_suffix("").parts)


class Raise:
    """Raises `error` at the n-th call of a function of j3o; without n, counts the calls of each module."""

    def __init__(self, error=None, at=None):
        self.error, self.at = error, at
        self.calls, self.modules = 0, []

    def __enter__(self):
        sys.setprofile(self._on_event)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)

    def _on_event(self, frame, event, _):
        if event != "call" or not frame.f_code.co_filename.startswith(str(PACKAGE)):
            return
        self.calls += 1
        if self.at is None:
            self.modules.append(module_of(frame.f_code.co_filename))
        elif self.calls == self.at:
            sys.setprofile(None)
            raise self.error


def model(algorithm="j3o"):
    """Return a model that every phase has something to do for, with values of its own."""
    m = two_servers()
    if algorithm == "baj3o":
        for y in m.y.values():
            y.setub(0.83)
        m.batch = BatchingWindow(m.nodes)
        for n in m.nodes:
            m.batch[n].set_batches(
                1.0,
                {k: sum(m.y[q, n, k] for q in m.queries) for k in m.kinds},
                dict.fromkeys(m.kinds, 0.2),
                dict.fromkeys(m.kinds, 0.5),
            )
    for number, variable in enumerate(m.component_data_objects(pyo.Var)):
        if not variable.fixed:
            variable.set_value(number % 2, skip_validation=True)
    return m


def held(m):
    """Return the values that the variables hold, and whether they are stale."""
    return [(v.value, v.stale) for v in m.component_data_objects(pyo.Var)]


def assert_old_or_whole(m, before):
    """Assert that a model holds what it held, or a whole plan, all of it fresh."""
    if held(m) == before:
        return
    free = [v for v in m.component_data_objects(pyo.Var) if not v.fixed]
    stale = [v.name for v in free if v.stale]
    values_kept = [v.value for v in m.component_data_objects(pyo.Var)] == [value for value, _ in before]
    assert values_kept or not stale, f"half a plan: {len(stale)} of {len(free)} are stale"
    assert values_kept or worst_violation(m) <= 1e-6


def run(opt, m, **options):
    """Return the objective of a solve."""
    return opt.solve(m, **options).incumbent_objective


@pytest.fixture(scope="module")
def fresh():
    """Return, by algorithm, what a new solver finds, and the modules of j3o in the order of their calls."""
    found = {}
    for algorithm, options in OPTIONS.items():
        run(new(), model(algorithm), **options)  # what is done once in a process is done
        m = model(algorithm)
        with Raise() as count:
            objective = run(new(), m, **options)
        found[algorithm] = objective, count.modules
    return found


def points(modules, n, known=()):
    """Return calls to raise at: n evenly spaced, and a middle one of every module that is not known."""
    chosen = {1 + k * (len(modules) - 1) // (n - 1) for k in range(n)}
    for module in set(modules).difference(known):
        places = [k + 1 for k, name in enumerate(modules) if name == module]
        chosen.add(places[len(places) // 2])
    return sorted(chosen)


@ALGORITHMS
def test_every_phase_is_hit(fresh, algorithm):
    """The calls that are counted are those of compilation, bound, both steps, improvement, proof, loading."""
    modules = set(fresh[algorithm][1])
    expected = {
        "alternate.alternating",
        "alternate.offloading",
        "alternate.onloading",
        "certify.cutting",
        "certify.relaxation",
        "core.log",
        "core.results",
        "core.structure",
        "improve.improving",
        "interface.solver",
        "interface.verdict",
        "lp.highs",
        "methods.j3o",
        "methods.parts_driver",
        "methods.progress",
        "methods.run",
        "modeling.annotate",
        "modeling.columns",
        "modeling.inverse",
        "modeling.compiler",
        "modeling.expressions",
        "modeling.loading",
        "modeling.rows",
        "presolve.decomposing",
        "presolve.linearize",
        "presolve.scaling",
    }
    if algorithm == "quick":
        others = ("alternate", "certify.cutting", "core.structure", "improve", "methods.parts", "methods.run")
        others += ("presolve.decomposing",)
        expected = {module for module in expected if not module.startswith(others)}
        expected |= {"methods.quick_look", "mip.checking", "mip.highs"}
    if algorithm == "exact":
        expected |= {"methods.exact", "methods.incumbent", "methods.mip_parts", "mip.highs"}
    if algorithm == "baj3o":
        expected |= {"alternate.batch_surrogate", "methods.baj3o", "presolve.setup_payers"}
    assert expected <= modules


@ALGORITHMS
@pytest.mark.parametrize("errors", [(KeyboardInterrupt,), (RuntimeError, MemoryError)])
def test_an_error_at_any_call(fresh, algorithm, errors):
    """The interrupt or error gets out, or the solve ends in order; the next solve is that of a new solver."""
    objective, modules = fresh[algorithm]
    opt, options = new(), OPTIONS[algorithm]
    threads = threading.active_count()
    known = () if algorithm == "j3o" else fresh["j3o"][1]  # the other methods call it
    for number, at in enumerate(points(modules, 12, known)[:: len(errors) ** 2]):
        error, m = errors[number % len(errors)], model(algorithm)
        before = held(m)
        try:
            with Raise(error, at):
                run(opt, m, **options)
        except (error, *ENDS):
            pass
        assert_old_or_whole(m, before)
    again = model(algorithm)
    assert run(opt, again, **options) == pytest.approx(objective, rel=1e-9)
    gc.collect()
    assert threading.active_count() <= threads


@ALGORITHMS
def test_after_an_interrupt_the_same_model_is_solved_as_ever(fresh, algorithm):
    """Nothing of the first solve is left in the model, either."""
    objective, modules = fresh[algorithm]
    opt, m, options = new(), model(algorithm), OPTIONS[algorithm]
    for at in points(modules, 3)[::8]:
        try:
            with Raise(KeyboardInterrupt, at):
                run(opt, m, **options)
        except ENDS:
            pass
    assert run(opt, m, **options) == pytest.approx(objective, rel=1e-9)


# --- loading --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("make", [new, classic])
def test_an_interrupt_while_values_are_loaded(monkeypatch, make, error):
    """At whichever variable it comes: the plan is loaded to its end, and then the interrupt gets out."""
    expected = two_servers()
    make().solve(expected)
    plan = held(expected)
    set_value, n = VarData.set_value, len(plan)
    for at in range(1, n + 1, 4):
        m = two_servers()
        interrupted, _ = _nth(set_value, at, error)
        with monkeypatch.context() as patch:
            patch.setattr(VarData, "set_value", lambda *given, _set=interrupted, **kwds: _set(*given, **kwds))
            with pytest.raises(error):
                make().solve(m)
        assert held(m) == plan


# --- what j3o calls ---------------------------------------------------------------------------------------


def _nth(function, n, error):
    """Return `function` that raises at its n-th call, and the list of its calls."""
    calls = []

    def counted(*args, **kwargs):
        calls.append(1)
        if len(calls) == n:
            raise error
        return function(*args, **kwargs)

    return counted, calls


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("error", [RuntimeError("solver is broken"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize(
    ("owner", "name", "algorithm"),
    [(HighsBackend, "open", "j3o"), (HighsMIP, "solve", "exact"), (Incumbent, "_route", "exact")],
)
def test_a_solver_behind_that_raises(fresh, monkeypatch, owner, name, algorithm, error, n):
    """LP solver, MIP solver, last LP: the error gets out as it is, or the best plan so far is loaded."""
    opt, m, options = new(), model(algorithm), OPTIONS[algorithm]
    before = held(m)
    with monkeypatch.context() as patch:
        broken, calls = _nth(getattr(owner, name), n, error)
        patch.setattr(owner, name, broken)
        try:
            run(opt, m, **options)
        except (RuntimeError, *ENDS) as raised:
            assert raised is error or isinstance(error, KeyboardInterrupt)  # noqa: PT017 (or none at all)
        else:
            assert isinstance(error, KeyboardInterrupt) or len(calls) < n
    assert_old_or_whole(m, before)
    assert run(opt, m, **options) == pytest.approx(fresh[algorithm][0], rel=1e-9)


@ALGORITHMS
@pytest.mark.parametrize("option", ["callback", "stop", "onloading_step"])
def test_what_the_user_gave_raises(fresh, algorithm, option):
    """A user's own error gets out as it is; the model keeps what it held."""
    opt, m, options = new(), model(algorithm), OPTIONS[algorithm]
    before = held(m)

    class OwnError(Exception):
        pass

    def broken(*_):
        raise OwnError

    with pytest.raises(OwnError):
        opt.solve(m, **{**options, option: broken})
    assert held(m) == before
    assert run(opt, m, **options) == pytest.approx(fresh[algorithm][0], rel=1e-9)


def test_a_thread_that_nobody_closed_ends():
    """Ctrl-C at the call of close() leaves no thread behind."""
    worker, done = Worker(), []
    worker.run(lambda: done.append(threading.current_thread()), lambda: None)
    del worker
    gc.collect()
    done[0].join(5)
    assert not done[0].is_alive()


def test_an_interrupt_while_a_thread_starts(monkeypatch):
    """It gets out as it is: the thread, which cannot be joined yet, ends by itself."""
    start, started = threading.Thread.start, []

    def interrupted(self):
        started.append(self)
        raise KeyboardInterrupt

    worker = Worker()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            worker.run(lambda: None, lambda: None)
    worker.close()
    start(started[0])
    started[0].join(5)
    assert not started[0].is_alive()


# --- logs -------------------------------------------------------------------------------------------------


class FullDisk(io.StringIO):
    """A stream on a disk that has room for so many writes."""

    def __init__(self, room):
        super().__init__()
        self.room = room

    def write(self, text):
        """Write, or fail as the system does."""
        self.room -= 1
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(text)


@ALGORITHMS
@pytest.mark.parametrize("room", [0, 3, 6])
def test_a_full_disk_does_not_end_a_solve(fresh, algorithm, room, caplog):
    """The log breaks off with one warning, other streams go on, and the plan is loaded."""
    full, other, m = FullDisk(room), io.StringIO(), model(algorithm)
    with caplog.at_level(logging.WARNING, "pyomo_j3o"):
        results = new().solve(m, tee=[full, other], **OPTIONS[algorithm])
    assert results.incumbent_objective == pytest.approx(fresh[algorithm][0], rel=1e-9)
    assert worst_violation(m) <= 1e-6
    assert sum("No space left" in record.message for record in caplog.records) == 1
    assert other.getvalue() == results.solver_log
    assert full.getvalue() == results.solver_log[: len(full.getvalue())]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_logfile_on_a_full_disk(fresh):
    """As with a stream of one's own."""
    m = model()
    results = classic().solve(m, logfile="/dev/full", **OPTIONS["j3o"])
    assert results.j3o.incumbent_objective == pytest.approx(fresh["j3o"][0], rel=1e-9)
    assert worst_violation(m) <= 1e-6


# --- real signals -----------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that signal")
@ALGORITHMS
def test_a_signal_at_any_time(fresh, algorithm):
    """A real signal, some milliseconds into the solve, that the interpreter turns into KeyboardInterrupt."""
    opt, options = new(), OPTIONS[algorithm]
    begin = time.perf_counter()
    run(opt, model(algorithm), **options)
    whole = time.perf_counter() - begin
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for share in (0.1, 0.3, 0.5, 0.7, 0.9):
            m = model(algorithm)
            before = held(m)
            signal.setitimer(signal.ITIMER_REAL, share * whole)
            try:
                run(opt, m, **options)
            except ENDS:
                pass
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert_old_or_whole(m, before)
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert run(opt, model(algorithm), **options) == pytest.approx(fresh[algorithm][0], rel=1e-9)
