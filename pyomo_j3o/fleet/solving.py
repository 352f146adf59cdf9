"""`solve_parts`: arguments are checked, the rounds run, and what is known at the end is returned."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from pyomo_j3o.core.checks import check_counts, check_share, is_number
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.engine import Engine, require_picklable
from pyomo_j3o.core.log import counted
from pyomo_j3o.core.problem import FloatArray
from pyomo_j3o.core.results import relative_gap
from pyomo_j3o.errors import EngineError, FleetError, OptionError
from pyomo_j3o.fleet.asking import Fleet, Parts
from pyomo_j3o.fleet.folder import Folder, identity_of
from pyomo_j3o.fleet.market import sample_prices
from pyomo_j3o.fleet.naming import named
from pyomo_j3o.fleet.params import FleetParams
from pyomo_j3o.fleet.progress import Progress
from pyomo_j3o.fleet.records import Name
from pyomo_j3o.fleet.results import FleetResult, PartResult, Round
from pyomo_j3o.fleet.rounds import Rounds
from pyomo_j3o.interface.options import option_errors
from pyomo_j3o.interface.solver import J3O
from pyomo_j3o.modeling.move_cost import MOVE_COST

#: Options of the solver that a fleet sets by itself.
_OURS = ("load_solutions", "raise_exception_on_nonoptimal_result", "tee", "warm_start")

#: Parameters of the coordination. They are no options: only tests and the tuning set replace them.
_PARAMS = FleetParams()


# Ten parameters: each names one thing that a user decides on, and all but two have a default.
def solve_parts(
    build: Callable[[Any], Any],
    parts: Iterable[Any] | Mapping[Any, Any],
    shared: Mapping[str, float] | None = None,
    executor: Executor | None = None,
    *,
    workers: int | None = None,
    folder: str | Path | None = None,
    rel_gap: float = 0.01,
    time_limit: float | None = None,
    options: Mapping[str, Any] | None = None,
    tee: Any = None,
) -> FleetResult:
    """Plan a fleet of parts that share nothing but budgets; every part is a model of its own.

    The rows of the shared budgets are relaxed: every part pays a price for what it uses, and so is solved by
    itself, wherever a worker is free. Prices change from round to round. The result is a plan of every part,
    within the budgets, and a proven bound on what all plans of the fleet are worth.

    Parameters
    ----------
    build
        ``build(part)`` returns the annotated Pyomo model of one part. It runs in the workers, perhaps more
        than once for one part. For processes it has to be defined at the top of a module.
    parts
        What `build` is called with, which names the part, too: strings, numbers or tuples, all different. Or
        a mapping from names to what `build` is called with.
    shared
        From the name of each shared budget to its limit. What a part uses of it is the Var or the named
        Expression of this name in its model, summed if it is indexed. A part without one uses nothing.
    executor
        Any `concurrent.futures.Executor`; it is left open. None for processes on this machine, which are
        replaced if they die.
    workers
        Number of these processes; None for one per core.
    folder
        Where answers of the parts are kept. A run with the same arguments goes on with what it finds there.
    rel_gap
        The gap at which the run ends, above 0.
    time_limit
        Seconds for all of it, at least 0; at 0, nothing is solved.
    options
        For the solves of the parts, as for ``SolverFactory("j3o")``. By default ``rel_gap`` is half of the
        fleet's in a round, ``threads`` is 1, and ``time_limit`` is 60 s; a part whose own gap is in the way
        is solved with ``effort="full"``.
    tee
        True prints a line for every round; a text stream, or several, get these lines instead. False says
        nothing. None says on a terminal or in a notebook how far the run is, once it takes a few seconds.

    Returns
    -------
    FleetResult
        What is known at the end; after Ctrl-C, too.

    Raises
    ------
    FleetError
        A part cannot be planned, a shared budget cannot be met or is not used, or an argument is wrong. The
        message names it.
    EngineError
        The executor is shut down or broken, or `build` cannot be sent to it.
    OptionError
        An option of the solver, or its value, is unknown.
    """
    begin = time.perf_counter()
    if executor is not None and not (hasattr(executor, "submit") and not isinstance(executor, type)):
        raise EngineError(f"executor={executor!r} is none; give a concurrent.futures.Executor, or nothing")
    fleet = _checked(build, parts, shared or {}, options or {}, rel_gap)
    if workers is not None:
        check_counts(workers=workers)
    if time_limit is not None and not (is_number(time_limit) and time_limit >= 0):
        raise ValueError(f"time_limit={time_limit!r}: give seconds of at least 0, or None for no limit")
    if executor is None or isinstance(executor, ProcessPoolExecutor):
        require_picklable("build", build)
    names = fleet.names
    identity = (
        {} if folder is None else identity_of(build, names, fleet.arguments, fleet.limits, fleet.options)
    )
    kept = Folder(folder, identity)
    progress = Progress("solve_parts", tee)
    deadline = Deadline(math.inf if time_limit is None else time_limit)
    own = min(workers or os.cpu_count() or 1, len(names)) if executor is None else None
    engine = Engine(executor, own, progress.line)
    with progress, closing(engine):
        run = _FleetRun(Parts(fleet, engine, kept, deadline, progress, _PARAMS), progress, rel_gap, begin)
        return run.result(run.rounds(deadline))


class _FleetRun:
    """One run: its rounds, and what it returns."""

    def __init__(self, parts: Parts, progress: Progress, gap: float, begin: float) -> None:
        self._parts, self._progress, self._gap, self._begin = parts, progress, gap, begin
        self._limits = np.array(list(parts.fleet.limits.values()), dtype=float)
        self._trace: list[Round] = []
        self._rounds = Rounds(parts, self._limits, _PARAMS, gap, self._observe)

    def rounds(self, deadline: Deadline) -> str:
        """Run all rounds; return why they ended."""
        n = len(self._limits)
        self._progress.line(
            f"Fleet of {counted(len(self._parts.fleet.names), 'part')}, {counted(n, 'shared budget')}"
        )
        self._progress.header()
        try:
            prices = sample_prices(self._parts, self._limits, _PARAMS, self._gap)
            ended = self._rounds.run(prices)
        except KeyboardInterrupt:
            ended = "interrupted"
        if deadline.over:
            ended = "time limit"
        if ended in ("interrupted", "time limit"):
            self._rounds.choose()
        return ended

    def _observe(self, rounds: Rounds, prices: FloatArray) -> None:
        sense = self._parts.sense or 1
        uses = rounds.uses.tolist() if rounds.choice else []
        shares = [use / limit for use, limit in zip(uses, self._limits.tolist(), strict=False) if limit]
        found = Round(
            round=len(self._trace) + 1,
            prices=dict(zip(self._parts.fleet.limits, prices.tolist(), strict=True)),
            solved=self._parts.solved,
            objective=float(sense * rounds.objective),
            bound=float(sense * rounds.bound),
            gap=float(relative_gap(rounds.objective, rounds.bound)),
            share=max(shares, default=math.nan) if rounds.choice else math.nan,
            time=time.perf_counter() - self._begin,
        )
        self._trace.append(found)
        self._progress.round(found)

    def result(self, ended: str) -> FleetResult:
        """Return what is known."""
        rounds, budgets = self._rounds, list(self._parts.fleet.limits)
        sense, prices = self._parts.sense or 1, rounds.market.prices
        known, names = self._parts.known, self._parts.fleet.names
        tasks = {names[k]: (k, known[k].points[j].task) for k, j in self._choice().items()}

        def plan(name: Name) -> dict[str, float]:
            if name not in tasks:
                raise FleetError(f"part {name!r} has no plan: {results[name].note or results[name].status}")
            return self._parts.plan(*tasks[name])

        results = self._part_results(prices, sense)
        gap = relative_gap(rounds.objective, rounds.bound)
        if not rounds.choice:
            status, found = "no plan", "No plan of the whole fleet within the budgets"
        else:
            status = "optimal" if rounds.closed else "feasible"
            found = f"{status.capitalize()}: objective {sense * rounds.objective:.8g}, gap {100 * gap:.2f}%"
        lost = [repr(name) for name, part in results.items() if part.objective is None]
        others = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
        message = f"{found} ({ended})." + (f" Without a plan: {', '.join(lost[:5])}{others}." if lost else "")
        if self._parts.recalled:
            self._progress.line(f"{counted(self._parts.recalled, 'answer')} came from the folder.")
        self._progress.line(message)
        return FleetResult(
            status=status,
            message=message,
            objective=float(sense * rounds.objective),
            bound=float(sense * rounds.bound),
            prices=dict(zip(budgets, prices.tolist(), strict=True)),
            uses=dict(zip(budgets, rounds.uses.tolist(), strict=True)) if rounds.choice else {},
            limits=dict(self._parts.fleet.limits),
            rounds=self._trace,
            parts=results,
            seconds=sum(one.seconds for one in known),
            _plan=plan,
        )

    def _choice(self) -> dict[int, int]:
        """Return the plan of every part in that of the fleet; without one, the best that each part has."""
        if self._rounds.choice:
            return self._rounds.choice
        prices = self._rounds.market.prices
        best: dict[int, int] = {}
        for k, known in enumerate(self._parts.known):
            worth = [point.objective - float(prices @ np.array(point.uses)) for point in known.points]
            if worth:
                best[k] = int(np.argmax(worth))
        return best

    def _part_results(self, prices: FloatArray, sense: int) -> dict[Name, PartResult]:
        budgets, choice = list(self._parts.fleet.limits), self._choice()
        results: dict[Name, PartResult] = {}
        for k, (name, known) in enumerate(zip(self._parts.fleet.names, self._parts.known, strict=True)):
            point = known.points[choice[k]] if k in choice else None
            note = known.note
            if known.look is None:
                note = note or "not visited: no bound"
            elif not known.bounds:
                note = (note + "; " if note else "") + "bound by the columns alone"
            results[name] = PartResult(
                objective=None if point is None else sense * point.objective,
                uses={} if point is None else dict(zip(budgets, point.uses, strict=True)),
                bound=sense * known.bound(prices.tolist()),
                priced=None if point is None else sense * (point.objective - float(prices @ point.uses)),
                status=known.status or "not visited",
                note=note,
            )
        return results


def _checked(
    build: Any, parts: Any, shared: Mapping[str, float], options: Mapping[str, Any], rel_gap: float
) -> Fleet:
    """Return the arguments, or say which of them is wrong."""
    if not callable(build):
        raise FleetError(f"build={build!r} is no function; give one that returns the model of a part")
    for name, given in (("shared", shared), ("options", options)):
        if not isinstance(given, Mapping):
            raise FleetError(f"{name}={given!r} is no mapping; give a dict")
    check_share("rel_gap", rel_gap)
    names, arguments = named("part", parts)
    for budget, limit in shared.items():
        if not isinstance(budget, str) or not budget or not is_number(limit) or not math.isfinite(limit):
            raise FleetError(
                f"shared[{budget!r}]={limit!r}: give the limit of a named budget, a finite number; leave the "
                "budget out if it has none"
            )
    for option in _OURS:
        if option in options:
            raise OptionError(f"option {option!r} is set by solve_parts itself; leave it out")
    if options.get(MOVE_COST) is not None:
        raise OptionError(f"option {MOVE_COST!r} prices moves, which a fleet does not count; leave it out")
    efforts = (_PARAMS.brief, "default", "full")
    each = tuple(
        {"rel_gap": part * rel_gap, "effort": effort, "threads": 1, "time_limit": _PARAMS.part_seconds}
        | dict(options)
        for part, effort in zip(_PARAMS.part_gaps, efforts, strict=True)
    )
    with option_errors():
        J3O(**each[0])
    return Fleet(build, names, arguments, {name: float(limit) for name, limit in shared.items()}, each)
