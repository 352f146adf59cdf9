"""`sweep`: cases that share nothing, each a model of its own, solved by many workers."""

from __future__ import annotations

import math
import os
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pyomo.contrib.solver.common.results import TerminationCondition

from pyomo_j3o.core.checks import check_counts
from pyomo_j3o.core.engine import Engine, Job, Lost, require_picklable
from pyomo_j3o.core.table import Table
from pyomo_j3o.errors import FleetError, MeasureError, OptionError, in_one_line
from pyomo_j3o.fleet.naming import named
from pyomo_j3o.fleet.progress import Progress
from pyomo_j3o.fleet.records import Name
from pyomo_j3o.interface.options import option_errors
from pyomo_j3o.interface.solver import J3O

if TYPE_CHECKING:
    import pandas as pd

#: Options of the solver that a sweep sets by itself.
_OURS = ("load_solutions", "raise_exception_on_nonoptimal_result", "tee")

#: Status of a case whose solve took Ctrl-C; a sweep ends there.
_INTERRUPTED = "interrupted"

#: Columns of the table of a sweep that `measure` may not take.
_TAKEN = ("case", "status", "objective", "bound", "gap", "seconds", "note")


@dataclass(frozen=True, slots=True)
class Case:
    """What became of one case. Figures are in the sense of its model.

    Attributes
    ----------
    status : str
        ``"optimal"`` or ``"feasible"``; without a plan, how the solve ended; ``"failed"`` if `build` or the
        solve raised, ``"lost"`` if its worker died.
    objective, bound, gap : float or None
        Of the plan, what is proven, and the relative gap between them; None without a plan.
    seconds : float
        Of process time, building included; NaN if its worker died.
    measured : dict
        What `measure` returned; empty if it raised.
    note : str
        Why there is no plan, or what `measure` raised; empty if all is well.
    traceback : str
        Of what `build`, the solve or `measure` raised.
    """

    status: str
    objective: float | None = None
    bound: float | None = None
    gap: float | None = None
    seconds: float = math.nan
    measured: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class _Fault:
    """What a worker returns where `measure` returned what no case can use: the case, and what is wrong."""

    case: Case
    reason: str


@dataclass(frozen=True, eq=False)
class Sweep:
    """What `sweep` returns; printing it shows the table.

    Attributes
    ----------
    cases : dict of name to Case
        In the order in which they were given; after Ctrl-C, only those that had ended.
    interrupted : bool
        Whether Ctrl-C ended it.
    """

    cases: Mapping[Name, Case]
    interrupted: bool = False

    @property
    def table(self) -> Table:
        """One row for every case, with a column for everything that was measured."""
        measured = list(dict.fromkeys(key for case in self.cases.values() for key in case.measured))
        rows = [
            {
                "case": name,
                "status": case.status,
                "objective": case.objective,
                "bound": case.bound,
                "gap": case.gap,
                "seconds": None if math.isnan(case.seconds) else case.seconds,
                **{key: case.measured.get(key) for key in measured},
                "note": case.note,
            }
            for name, case in self.cases.items()
        ]
        return Table((*_TAKEN[:-1], *measured, _TAKEN[-1]), rows)

    def to_frame(self) -> pd.DataFrame:
        """Return the table as a pandas DataFrame; needs pandas."""
        return self.table.to_frame()

    def __str__(self) -> str:
        return str(self.table)

    def _repr_html_(self) -> str:
        return self.table._repr_html_()


# Seven parameters: what is solved and how, where it runs, and what is shown.
def sweep(
    build: Callable[[Any], Any],
    cases: Iterable[Any] | Mapping[Any, Any],
    executor: Executor | None = None,
    *,
    workers: int | None = None,
    options: Mapping[str, Any] | None = None,
    measure: Callable[[Any, Any], Mapping[str, Any]] | None = None,
    tee: Any = None,
) -> Sweep:
    """Solve a model for each of several cases, several at a time.

    A case that fails is one row that says so; the others go on. If `measure` raises, its case keeps the
    figures of its solve, and `note` says what was raised. After Ctrl-C, the cases that have ended are
    returned.

    Parameters
    ----------
    build
        ``build(case)`` returns the annotated model of one case. It runs in the workers; for processes it has
        to be defined at the top of a module.
    cases
        What `build` is called with, which names the case, too: strings, numbers or tuples, all different. Or
        a mapping from names to what `build` is called with.
    executor
        Any `concurrent.futures.Executor`; it is left open. None for processes on this machine.
    workers
        Number of these processes; None for one per core.
    options
        For every solve, as for ``SolverFactory("j3o")``. ``threads`` is 1 if not given.
    measure
        ``measure(model, results)`` returns a mapping with more figures of a case by name, such as the largest
        backlog of a simulation. It runs in the worker once a plan is loaded into the model. The table has
        the names ``case``, ``status``, ``objective``, ``bound``, ``gap``, ``seconds`` and ``note`` by itself.
    tee
        True prints a line for every case; a text stream, or several, get these lines instead. False says
        nothing. None says on a terminal or in a notebook how far the sweep is, once it takes a few seconds.

    Returns
    -------
    Sweep

    Raises
    ------
    FleetError
        There are no cases, or their names are not different.
    MeasureError
        `measure` returned no mapping, or took a name of the table; a `FleetError`. The sweep ends at the
        first such case. ``error.found`` is the `Sweep` of all cases that have ended by then.
    EngineError
        The executor is shut down or broken, or `build` or `measure` cannot be sent to it.
    OptionError
        An option of the solver, or its value, is unknown, or `sweep` sets it by itself.
    """
    for what, function in (("build", build), ("measure", measure)):
        if not callable(function) and (what == "build" or function is not None):
            raise FleetError(f"{what}={function!r} is no function; give one")
    names, arguments = named("case", cases)
    if workers is not None:
        check_counts(workers=workers)
    given = {"threads": 1} | dict(options or {})
    for option in _OURS:
        if option in given:
            raise OptionError(f"option {option!r} is set by sweep itself; leave it out")
    with option_errors():
        J3O(**given)
    if executor is None or isinstance(executor, ProcessPoolExecutor):
        require_picklable("build", build)
        require_picklable("measure", measure)
    jobs = [
        Job(f"case {name!r}", (build, argument, given, measure))
        for name, argument in zip(names, arguments, strict=True)
    ]
    by_key = {job.key: name for job, name in zip(jobs, names, strict=True)}
    found: dict[Name, Case] = {}
    interrupted = False
    progress = Progress("sweep", tee)
    own = min(workers or os.cpu_count() or 1, len(names)) if executor is None else None
    try:
        with (
            progress,
            closing(Engine(executor, own, progress.line)) as engine,
            progress.of(len(jobs), "solving cases") as step,
            closing(engine.run(solve_case, jobs)) as results,
        ):
            for job, result in results:
                name = by_key[job.key]
                case = result.case if isinstance(result, _Fault) else result
                if isinstance(result, Lost):
                    case = Case("lost", note=result.reason)
                if case.status == _INTERRUPTED:  # a solver in a thread of this process took Ctrl-C
                    raise KeyboardInterrupt
                found[name] = case
                progress.line(_line(name, found[name], len(found), len(names)))
                step()
                if isinstance(result, _Fault):
                    raise MeasureError(
                        f"case {name!r}: {result.reason}; {len(found)} of {len(names)} cases have ended by "
                        "then, and are in the attribute 'found' of this error",
                        _in_order(found, names),
                    )
    except KeyboardInterrupt:
        interrupted = True
    return _in_order(found, names, interrupted)


def _in_order(found: Mapping[Name, Case], names: Iterable[Name], interrupted: bool = False) -> Sweep:
    return Sweep({name: found[name] for name in names if name in found}, interrupted)


def solve_case(
    build: Callable[[Any], Any],
    argument: Any,
    options: Mapping[str, Any],
    measure: Callable[[Any, Any], Mapping[str, Any]] | None,
) -> Case | _Fault:
    """Build and solve one case, and measure its plan; in a worker.

    Parameters
    ----------
    build, options, measure
        As of `sweep`.
    argument
        What `build` is called with.
    """
    begin, what = time.process_time(), "build"
    try:
        model = build(argument)
        what = "its solve"
        results = J3O().solve(
            model, load_solutions=False, raise_exception_on_nonoptimal_result=False, **options
        )
        if results.termination_condition == TerminationCondition.interrupted:
            return Case(_INTERRUPTED, note="Ctrl-C")
        plan = results.incumbent_objective
        if plan is None:
            seconds = time.process_time() - begin
            return Case(results.termination_condition.name, seconds=seconds, note="no plan")
        results.solution_loader.load_vars()
    except (Exception, SystemExit) as error:
        return _noting(what, error, Case("failed", seconds=time.process_time() - begin))
    solved = Case(
        results.solution_status.name,
        plan,
        results.objective_bound,
        results.extra_info.relative_gap,
        time.process_time() - begin,
    )
    if measure is None:
        return solved
    try:
        given = measure(model, results)
        measured = dict(given) if isinstance(given, Mapping) else {}
    except (Exception, SystemExit) as error:
        return _noting("measure", error, replace(solved, seconds=time.process_time() - begin))
    solved = replace(solved, seconds=time.process_time() - begin)
    reason = _misuse(given)
    return _Fault(replace(solved, note=reason), reason) if reason else replace(solved, measured=measured)


def _noting(what: str, error: BaseException, case: Case) -> Case:
    """Return a case with note and traceback of the error that `what` raised; called where it is handled."""
    return replace(case, note=f"{what} raised {in_one_line(error)}", traceback=traceback.format_exc())


def _misuse(given: Any) -> str:
    """Return what is wrong with that which `measure` returned, whatever the case; empty if nothing is."""
    if not isinstance(given, Mapping):
        return f"measure returned {given!r}; return a mapping from names to figures"
    for name in given:
        if name in _TAKEN:
            return f"measure returned {name!r}, which the table has by itself; rename it"
    return ""


def _line(name: Name, case: Case, done: int, total: int) -> str:
    if case.objective is None:
        said = f"{case.status}: {case.note}" if case.note else case.status
    else:
        gap = "-" if case.gap is None else f"{100 * case.gap:.2f}%"
        said = f"{case.status}, objective {case.objective:.8g}, gap {gap}"
        said += f"; {case.note}" if case.note else ""
    seconds = "-" if math.isnan(case.seconds) else f"{case.seconds:.1f}s"
    return f"{done:>5}/{total}  {name!s:<16}  {said}  ({seconds})"
