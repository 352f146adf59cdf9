"""One solve of a yardstick: the best plan and the best bound over the processor's time.

`make_yardsticks.py` starts each in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import time

if multiprocessing.parent_process() is not None:
    # Deadlines and log of j3o read this clock, some of them from the import on.
    time.perf_counter = time.process_time

import io
import logging
import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import highspy
import make_shapes_table as shapes
import numpy as np
from pyomo.contrib.solver.common.factory import SolverFactory
from scipy import sparse

from pyomo_j3o import library
from pyomo_j3o.compare.checking import Referee
from pyomo_j3o.core.problem import FloatArray, IntArray, missed
from pyomo_j3o.core.results import relative_gap
from pyomo_j3o.methods.instance import mip_model
from pyomo_j3o.mip import Limits, MIPModel, MIPSolution
from pyomo_j3o.mip.highs import HighsMIP
from pyomo_j3o.mip.paused import PausedSearch
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.presolve.decomposing import split

#: The gap that every solver is asked for.
GOAL = 1e-3
#: Gurobi's free licence takes so many columns and rows.
LICENCE = 2_000
#: Relative, of the plans' rows and objectives, and of what a bound may miss.
TOLERANCE = 1e-5
#: A point of a curve is kept if the gap fell by this part of itself.
WORTH_KEEPING = 0.002

#: Seconds of the pieces in which parts are searched.
PIECE = 0.05

#: Seconds, plan and bound; None where nothing is known.
Point = tuple[float, float | None, float | None]

_SIZES = ("5-1", "10-1", "20-2", "30-3", "40-4", "60-6")


def _models() -> dict[str, Callable[..., Any]]:
    """Return the models by name."""
    arguments = {name.removeprefix("taskonomy-"): given for name, given in library.instances()}
    inference = {
        f"{size}-{kind}": arguments[f"{size}-{kind}"] for size in _SIZES for kind in ("serve", "drop")
    }
    for seed in (2, 3):
        inference[f"5-1-drop, seed {seed}"] = {"clients": 5, "edges": 1, "seed": seed, "droppable": True}
    for seed, droppable in ((200, False), (201, True)):
        kind = "drop" if droppable else "serve"
        inference[f"100-10-{kind}"] = {"clients": 100, "edges": 10, "seed": seed, "droppable": droppable}
    small = ("facility location, capacitated", "network functions", "network design")
    large = ("p-median", "two-stage location", "content placement")
    return (
        {name: partial(library.taskonomy, **given) for name, given in inference.items()}
        | {name: partial(shapes.SHAPES[name], 0) for name in small}
        | {f"{name}, larger": partial(shapes.LARGER[name], 0) for name in large}
    )


MODELS = _models()


def gap_at(point: Point) -> float:
    """Return the certified gap at a point of a curve, as a part of the plan."""
    _, plan, bound = point
    return math.inf if plan is None or bound is None else relative_gap(plan, bound)


class Curve:
    """The best plan and the best bound over the processor's time, in the user's sense.

    Parameters
    ----------
    sense
        1 if the objective is maximised, -1 if it is minimised.
    limit
        Seconds that count.
    """

    def __init__(self, sense: int, limit: float) -> None:
        self.sense = sense
        self.limit = limit
        self.points: list[Point] = []
        self._plan, self._bound = -math.inf, math.inf
        self._start = time.process_time()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.process_time() - self._start

    def note(self, plan: float | None = None, bound: float | None = None) -> None:
        """Take what a solver tells; None or an infinite number tells nothing."""
        before = self._plan, self._bound
        if plan is not None and abs(plan) < 1e20:
            self._plan = max(self._plan, self.sense * plan)
        if bound is not None and abs(bound) < 1e20:
            self._bound = min(self._bound, self.sense * bound)
        if (self._plan, self._bound) != before:
            shown = (float(self.sense * self._plan), float(self.sense * self._bound))
            self.points.append((self.seconds, *(one if math.isfinite(one) else None for one in shown)))

    def thinned(self) -> list[Point]:
        """Return the points with another plan, those at which the gap fell, and the last."""
        kept: list[Point] = []
        last, plan = math.inf, None
        for point in self.points:
            gap = gap_at(point)
            if point[1] != plan or gap < (1.0 - WORTH_KEEPING) * last or point is self.points[-1]:
                kept.append((round(point[0], 4), *point[1:]))
                last, plan = gap, point[1]
        return kept


class _Log(io.StringIO):
    """Reads j3o's log while it is written."""

    def __init__(self, curve: Curve) -> None:
        super().__init__()
        self._curve = curve

    def write(self, text: str) -> int:
        """Take over one line; those of the table end in incumbent, bound, gap and time."""
        cells = re.search(r"(\S+) +(\S+) +(-|[\d.]+%) +[\d.]+s(  cycle.*)?$", text.rstrip())
        if cells:
            self._curve.note(*(None if cells[k] == "-" else float(cells[k]) for k in (1, 2)))
        return len(text)


def _finish(curve: Curve, model: Any, results: Any) -> None:
    """Load the plan into the model, and note how the call ended."""
    if results.incumbent_objective is not None:
        results.solution_loader.load_vars()
    curve.note(results.incumbent_objective, results.objective_bound)


_QUIET = {"raise_exception_on_nonoptimal_result": False, "load_solutions": False, "threads": 1}


def by_j3o(model: Any, curve: Curve, **options: Any) -> None:
    """Solve by j3o, HiGHS behind it."""
    behind = {"lp_solver": "highs", "mip_solver": "highs"}
    results = SolverFactory("j3o").solve(
        model, tee=_Log(curve), time_limit=curve.limit, **behind, **_QUIET, **options
    )
    _finish(curve, model, results)


def by_highs(model: Any, curve: Curve) -> None:
    """Solve by HiGHS through Pyomo's interface."""
    run = highspy.Highs.run

    def improved(event: Any) -> None:
        curve.note(plan=event.data_out.objective_function_value)

    def watched(event: Any) -> None:
        curve.note(event.data_out.mip_primal_bound, event.data_out.mip_dual_bound)
        stop(event)

    def stop(event: Any) -> None:
        if curve.seconds > curve.limit:
            event.interrupt()

    def watched_run(self: Any) -> Any:
        self.cbMipImprovingSolution.subscribe(improved)
        self.cbMipInterrupt.subscribe(watched)
        self.cbSimplexInterrupt.subscribe(stop)
        return run(self)

    highspy.Highs.run = watched_run
    try:
        results = SolverFactory("highs").solve(model, rel_gap=GOAL, **_QUIET)
        _finish(curve, model, results)
    finally:
        highspy.Highs.run = run


class _Part:
    """The search of one independent part by HiGHS, piece by piece."""

    def __init__(self, model: MIPModel, tell: Callable[[], None]) -> None:
        self.plan, self.bound = -math.inf, math.inf
        #: The best point, empty before there is one.
        self.values = np.zeros(0)
        self.seconds = 0.0
        self.over = False
        self._model = model
        self._tell = tell
        self._looks = 1
        self._search = PausedSearch(self._solve)

    def _solve(self, search: PausedSearch) -> MIPSolution:
        limits = Limits(rel_gap=GOAL, stop=search.stopped, threads=1, watch=self)
        return HighsMIP().solve(self._model, limits)

    def look(self, bound: float) -> None:
        """Take a bound, and wait until the next piece may begin."""
        self._take(bound=bound)
        self._search.look(bound)

    def take(self, values: FloatArray) -> None:
        """Take a plan."""
        self._take(values)

    def _take(self, values: FloatArray | None = None, bound: float = math.inf) -> None:
        if values is not None and self._model.objective_at(values) > self.plan:
            self.values, self.plan = values, self._model.objective_at(values)
        self.bound = min(self.bound, bound)
        self._tell()

    def advance(self) -> None:
        """Search on for about `PIECE` seconds."""
        begin = time.process_time()
        self.over = self._search.advance(self._looks)
        took = time.process_time() - begin
        self.seconds += took
        self._looks = max(1, 2 * self._looks if took < PIECE else self._looks // 2)
        found = self._search.solution
        if found is not None:
            self._take(found.values if found.found else None, found.bound)

    def close(self) -> None:
        """End the search."""
        self._search.close()


def _in_order(model: MIPModel, order: IntArray) -> MIPModel:
    """Return the model with its columns in another order."""
    linear = model.linear
    assert linear.integer is not None
    return replace(
        model,
        linear=replace(
            linear,
            objective=linear.objective[order],
            matrix=sparse.csr_array(sparse.csr_array(linear.matrix)[:, order]),
            lower=linear.lower[order],
            upper=linear.upper[order],
            integer=linear.integer[order],
        ),
    )


def by_highs_on_parts(model: Any, curve: Curve) -> tuple[str, ...]:
    """Solve the independent parts by HiGHS, piece by piece, always the part with the largest gap.

    A part that is paused goes on where it was. So there are early plans and bounds of the whole, as there
    would not be if one part was solved after the other.
    """
    problem, inverse = compile_model(model)
    whole = split(problem)
    # HiGHS's search depends on the order of columns: it is that of Pyomo's interface.
    place = np.full(problem.n_onloading + problem.n_offloading, len(inverse.met))
    place[inverse.met] = np.arange(len(inverse.met))
    orders = [np.argsort(place[whole.columns(part)], kind="stable") for part in whole.parts]

    def total() -> tuple[float, float]:
        plan, bound = (sum(getattr(part, name) for part in parts) for name in ("plan", "bound"))
        return plan + problem.objective_constant, bound + problem.objective_constant

    def tell() -> None:
        curve.note(*(problem.sense * value for value in total()))

    parts = [
        _Part(_in_order(mip_model(part.problem), order), tell)
        for part, order in zip(whole.parts, orders, strict=True)
    ]
    try:
        while relative_gap(*total()) > GOAL and curve.seconds < curve.limit:
            running = [part for part in parts if not part.over]
            if not running:
                break
            max(running, key=lambda part: (part.bound - part.plan, -part.seconds)).advance()
    finally:
        for search in parts:
            search.close()
    if not all(len(part.values) for part in parts):
        return ()
    points = [np.zeros(len(order)) for order in orders]
    for point, order, search in zip(points, orders, parts, strict=True):
        point[order] = search.values
    n_x = [len(part.onloading) for part in whole.parts]
    x = whole.onloading(point[:n] for point, n in zip(points, n_x, strict=True))
    y = whole.offloading(point[n:] for point, n in zip(points, n_x, strict=True))
    return ("a row is missed",) if missed(problem, np.round(x), y) else ()


def by_scip(model: Any, curve: Curve) -> None:
    """Solve by SCIP through Pyomo's interface."""
    import pyscipopt

    kinds = pyscipopt.SCIP_EVENTTYPE
    running: list[bool] = []

    class Watch(pyscipopt.Eventhdlr):
        def eventinit(self) -> None:
            for kind in (kinds.BESTSOLFOUND, kinds.DUALBOUNDIMPROVED, kinds.FIRSTLPSOLVED):
                self.model.catchEvent(kind, self)

        def eventexit(self) -> None:
            for kind in (kinds.BESTSOLFOUND, kinds.DUALBOUNDIMPROVED, kinds.FIRSTLPSOLVED):
                self.model.dropEvent(kind, self)

        def eventexec(self, event: Any) -> None:
            if running:
                curve.note(self.model.getPrimalbound(), self.model.getDualbound())

    class Watched(pyscipopt.Model):
        def optimize(self) -> None:
            self.includeEventhdlr(Watch(), "watch", "notes plan and bound")
            self.setParam("limits/time", max(curve.limit - curve.seconds, 0.0))
            running.append(True)
            super().optimize()
            # While its memory is freed, SCIP tells of bounds that it has not proven.
            running.clear()

    original, pyscipopt.Model = pyscipopt.Model, Watched
    try:
        # The first clock is the processor's.
        options = {"timing/clocktype": 1}
        results = SolverFactory("scip_direct").solve(model, rel_gap=GOAL, solver_options=options, **_QUIET)
        _finish(curve, model, results)
    finally:
        pyscipopt.Model = original


def by_gurobi(model: Any, curve: Curve) -> None:
    """Solve by Gurobi through Pyomo's interface."""
    import gurobipy

    of = gurobipy.GRB.Callback

    def watch(grb: Any, where: int) -> None:
        if where == of.MIP:
            curve.note(grb.cbGet(of.MIP_OBJBST), grb.cbGet(of.MIP_OBJBND))
        elif where == of.MIPSOL:
            curve.note(grb.cbGet(of.MIPSOL_OBJBST), grb.cbGet(of.MIPSOL_OBJBND))
        if curve.seconds > curve.limit:
            grb.terminate()

    class Watched(gurobipy.Model):
        def optimize(self, callback: Any = None) -> None:
            super().optimize(watch)

    original, gurobipy.Model = gurobipy.Model, Watched
    try:
        results = SolverFactory("gurobi_direct").solve(model, rel_gap=GOAL, **_QUIET)
        _finish(curve, model, results)
    finally:
        gurobipy.Model = original


#: By name; the first two are j3o as it comes, and j3o that pursues the gap.
SOLVERS: dict[str, Callable[[Any, Curve], tuple[str, ...] | None]] = {
    "j3o, default": by_j3o,
    "j3o": partial(by_j3o, rel_gap=GOAL),
    "HiGHS": by_highs,
    "HiGHS on parts": by_highs_on_parts,
    "SCIP": by_scip,
    "Gurobi": by_gurobi,
}


def within_licence(model: Any) -> bool:
    """Return whether Gurobi's free licence takes the model."""
    problem = compile_model(model)[0]
    return max(problem.n_onloading + problem.n_offloading, problem.n_rows) <= LICENCE


def run(name: str, solver: str, limit: float) -> dict[str, Any] | None:
    """Solve one model, in a process of its own; return None if this solver cannot."""
    model = MODELS[name]()
    if solver == "Gurobi" and not within_licence(model):
        return None
    if solver == "HiGHS on parts" and len(split(compile_model(model)[0]).parts) == 1:
        return None
    work = SOLVERS[solver]
    # Pyomo does not know what it means that HiGHS was interrupted.
    logging.getLogger("pyomo").setLevel(logging.ERROR)
    # Imports, and checks of versions and licences, are no part of a solve.
    work(library.small_example(), Curve(1, limit))
    referee = Referee(model, name, "", 0)
    curve = Curve(referee.instance.sense, limit)
    wrong = work(model, curve)
    seconds = curve.seconds
    if wrong is None:
        last = curve.points[-1][1] if curve.points else None
        wrong = referee.check(model, last, TOLERANCE)[1] if last is not None else ()
    return {
        "model": name,
        "solver": solver,
        "limit": limit,
        "sense": curve.sense,
        "seconds": round(seconds, 4),
        "wrong": list(wrong),
        "curve": curve.thinned(),
    }
