"""Parts in worker processes: the answers of one process, and nothing left behind whatever ends a solve."""

import os
import signal
import time
from dataclasses import replace

import pytest
from solver_models import new

from pyomo_j3o.core import processes as processes_module
from pyomo_j3o.library import taskonomy
from pyomo_j3o.methods import parts as parts_module
from pyomo_j3o.methods.params import Params
from pyomo_j3o.methods.progress import Progress

#: Processes for a problem of any size.
EAGER = replace(Params(), run=replace(Params().run, processes=0))


@pytest.fixture
def started(monkeypatch):
    """Return the process objects that solves start from now on."""
    made = []

    class Noted(processes_module._Process):
        def __init__(self):
            super().__init__()
            made.append(self)

    monkeypatch.setattr(processes_module, "_Process", Noted)
    return made


def solver(threads, **options):
    """Return a solver that uses processes for models of any size."""
    made = new(lp_solver="highs", mip_solver="highs", threads=threads, **options)
    made.params = EAGER
    return made


def told(results):
    """Return what a solve says."""
    trace = [(record.objective, record.incumbent, record.onloaded) for record in results.extra_info.trace]
    return results.incumbent_objective, results.objective_bound, trace


def ended(made):
    """Return whether all processes are gone, and waited for."""
    return all(process._process.returncode is not None for process in made)


@pytest.mark.parametrize("options", [{}, {"bound": "lp"}, {"bound": "none"}], ids=str)
def test_processes_give_the_answer_of_one(started, options):
    """Objective, bound and trace are those without processes, to the last bit; the processes are gone."""
    model = taskonomy(15, 3, 4, droppable=True)
    alone = told(solver(1, **options).solve(model))
    assert not started
    assert told(solver(2, **options).solve(model)) == alone
    assert len(started) == 2
    assert ended(started)


def test_a_small_model_starts_none(started):
    """Where processes would cost more than they bring, threads do the work."""
    assert new(lp_solver="highs", threads=2).solve(taskonomy(4, 2, 1)).incumbent_objective > 0
    assert not started


def test_a_search_goes_on_without_a_process_that_ends(started, monkeypatch):
    """Processes that end while they have nothing to do are replaced, and the answer is the same."""
    model = taskonomy(15, 3, 4, droppable=True)
    alone = told(solver(1).solve(model))
    real = parts_module.Parts.onload

    def onload(self, prices, deadline):
        x = real(self, prices, deadline)
        for process in started:
            process.kill()
        return x

    monkeypatch.setattr(parts_module.Parts, "onload", onload)
    assert told(solver(2).solve(model)) == alone
    assert len(started) > 2
    assert ended(started)


def test_what_a_process_was_at_is_done_here_if_it_ends(started, monkeypatch):
    """Relaxations and placements of lost processes are made here; a search that is lost leaves its plan."""
    model = taskonomy(15, 3, 4, droppable=True)
    alone = solver(1).solve(model)
    monkeypatch.setattr(processes_module, "_COMMAND", "raise SystemExit(3)")
    results = solver(2).solve(model)
    assert told(results)[2][0] == told(alone)[2][0]
    assert "ended early: a worker process ended with code 3" in results.solver_log
    assert results.incumbent_objective <= results.objective_bound * (1 + 1e-9)


def test_ctrl_c_in_the_search_ends_the_processes(started, monkeypatch, listening):
    """Ctrl-C while parts are searched keeps the plan and the bound, and ends the processes at once."""
    real, at = Progress.tell_improvement, []

    def interrupt(self, step, incumbent):
        if not at and step != "idle":
            at.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)
        real(self, step, incumbent)

    monkeypatch.setattr(Progress, "tell_improvement", interrupt)
    results = solver(2, raise_exception_on_nonoptimal_result=False).solve(taskonomy(30, 3, 4, droppable=True))
    assert at
    assert results.termination_condition.name == "interrupted"
    assert results.incumbent_objective <= results.objective_bound * (1 + 1e-9)
    assert ended(started)


def test_what_does_not_pickle_is_worked_on_here(started, monkeypatch):
    """The log says so, and the answer is the same."""
    model = taskonomy(15, 3, 4, droppable=True)
    alone = told(solver(1).solve(model))

    def refuse(tools):
        raise TypeError("it has a lock")

    monkeypatch.setattr(parts_module, "Processes", refuse)
    results = solver(2).solve(model)
    assert told(results) == alone
    assert "in this process alone: it has a lock" in results.solver_log
    assert not started


def test_a_time_limit_holds_with_processes(started):
    """A solve that is out of time has ended its processes, and what it says is valid."""
    results = solver(
        2, time_limit=1.0, raise_exception_on_nonoptimal_result=False, load_solutions=False
    ).solve(taskonomy(60, 6, 4, droppable=True))
    if results.incumbent_objective is not None and results.objective_bound is not None:
        assert results.incumbent_objective <= results.objective_bound * (1 + 1e-9)
    assert ended(started)
