"""How each solver is addressed: its names in Pyomo, its own names of the settings, and its interface.

A solver that `DIALECTS` does not list takes part as well. Pyomo's new interface has one name for the time
limit, the gap and the number of threads, and all its solvers share these names. The seed is passed if the
solver has an option of that name, as ``j3o`` has. A setting that a solver cannot take is shown, not dropped
in silence.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import pyomo.environ as pyo
from pyomo.contrib.solver.common.factory import SolverFactory as NewFactory
from pyomo.contrib.solver.common.results import Results
from pyomo.core.base.block import BlockData
from pyomo.opt import SolverFactory as ClassicFactory
from pyomo.opt import TerminationCondition as ClassicCondition

from pyomo_j3o.errors import OptionError

#: The name that stands for `EXACT`, j3o's exact solver, with each of these MIP solvers behind it.
EVERY_EXACT, EXACT, BEHIND_EXACT = "exact", "j3o.exact", ("highs", "gurobi", "scip")

#: The baselines, in the order of a scoreboard.
BASELINES = (
    "j3o.apart",
    "j3o.most_accurate_first",
    "j3o.random",
    "j3o.all_local",
    "j3o.all_edge",
    "j3o.all_cloud",
)

#: What the log of a classic solver says of an option that it does not take.
_REFUSED = re.compile(
    r"^.*(?:no match for|unknown option|invalid option|unrecognized option|not a valid option).*$",
    re.IGNORECASE | re.MULTILINE,
)

#: The bound in the log of CBC.
_POSSIBLE = re.compile(r"\(best possible ([-+.\de]+)\)")


@dataclass(frozen=True)
class Dialect:
    """How one solver wants to be addressed.

    Attributes
    ----------
    new
        Its names in Pyomo's new interface, best first.
    products
        That of the interface that also takes products of variables.
    classic
        Its names in the classic interface, tried after `new`.
    gap, threads, seed
        The solver's own names of these settings. The new interface has its own for the first two.
    quiet
        Options that keep it from writing a log. Pyomo reads a log through a pipe; a solver that fills the
        pipe while it keeps Python from running, as SCIP does, would wait for ever.
    complaint
        Says what is wrong with an option, for solvers whose interface does not.
    strict
        All its options are declared: an unknown one is not passed on to another solver behind it.
    behind
        Its options that choose a solver behind it: without that one, it is not there either.
    install
        How to get it.
    """

    new: tuple[str, ...] = ()
    products: str = ""
    classic: tuple[str, ...] = ()
    gap: str = ""
    threads: str = ""
    seed: str = ""
    quiet: Mapping[str, Any] = field(default_factory=dict)
    complaint: Callable[[str, Any], str] | None = None
    strict: bool = False
    behind: tuple[str, ...] = ()
    install: str = ""


def _complaint_of_highs(name: str, given: Any) -> str:
    # Pyomo drops what HiGHS does not know without a word.
    import highspy

    from pyomo_j3o.lp.highs import QuietHighs

    highs = QuietHighs()
    if highs.getOptionType(name)[0] == highspy.HighsStatus.kError:
        return f"HiGHS has no option {name!r}"
    if highs.setOptionValue(name, given) == highspy.HighsStatus.kError:
        return f"HiGHS does not take {given!r} for {name!r}"
    return ""


DIALECTS: dict[str, Dialect] = {
    "j3o": Dialect(new=("j3o",), strict=True, behind=("lp_solver", "mip_solver")),
    "highs": Dialect(
        new=("highs",),
        seed="random_seed",
        quiet={"output_flag": False},
        complaint=_complaint_of_highs,
        install="python -m pip install highspy",
    ),
    "appsi_highs": Dialect(
        classic=("appsi_highs",),
        gap="mip_rel_gap",
        threads="threads",
        seed="random_seed",
        quiet={"output_flag": False},
        complaint=_complaint_of_highs,
        install="python -m pip install highspy",
    ),
    "gurobi": Dialect(
        new=("gurobi_direct",),
        products="gurobi_direct_minlp",
        seed="Seed",
        quiet={"OutputFlag": 0},
        install="python -m pip install gurobipy",
    ),
    "scip": Dialect(
        new=("scip_direct",),
        seed="randomization/randomseedshift",
        quiet={"display/verblevel": 0},
        install="python -m pip install pyscipopt",
    ),
    "cbc": Dialect(classic=("cbc",), gap="ratioGap", threads="threads", seed="randomCbcSeed"),
    "glpk": Dialect(classic=("glpk",), gap="mipgap", seed="seed"),
    "cplex": Dialect(classic=("cplex",), gap="mip_tolerances_mipgap", threads="threads", seed="randomseed"),
    "xpress": Dialect(classic=("xpress",), gap="miprelstop", threads="threads", seed="randomseed"),
}
for _name in (EXACT, "j3o.baj3o", *BASELINES):
    DIALECTS[_name] = replace(DIALECTS["j3o"], new=(_name,))
# Interfaces that are asked for by their own names speak as their solver does.
for _name in ("gurobi_direct", "gurobi_direct_minlp", "gurobi_persistent"):
    DIALECTS[_name] = replace(DIALECTS["gurobi"], new=(_name,), products="")
for _name in ("scip_direct", "scip_persistent"):
    DIALECTS[_name] = replace(DIALECTS["scip"], new=(_name,))


@dataclass(frozen=True)
class Answer:
    """What a solver returned.

    Attributes
    ----------
    condition
        How it ended, in Pyomo's words.
    claimed, bound
        None where it gives none.
    load
        Writes the plan into the model; None if there is no plan.
    message
        One sentence on how it ended; empty if the solver has none.
    """

    condition: str
    claimed: float | None
    bound: float | None
    load: Callable[[], None] | None
    message: str = ""


class Interface(Protocol):
    """One of Pyomo's two kinds of solver objects."""

    version: str

    def missing(self) -> str:
        """Say why it cannot run; empty if it can."""

    def prepare(
        self, settings: Mapping[str, Any], options: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[str]]:
        """Take settings and options; return them as the solver is told, and the settings it cannot take."""

    def solve(self, model: BlockData) -> Answer:
        """Solve as prepared, without loading the plan."""


class NewInterface:
    """A solver of `pyomo.contrib.solver`."""

    def __init__(self, name: str, dialect: Dialect) -> None:
        self._name, self._dialect = name, dialect
        self._solver = NewFactory(name)
        self._keywords: dict[str, Any] = {}
        self.version = _dotted(self._solver.version)

    def missing(self) -> str:
        """Say why the solver cannot run."""
        found = self._solver.available()
        return "" if found else f"{self._name}: {found.name}"

    def prepare(
        self, settings: Mapping[str, Any], options: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[str]]:
        """Take settings and options."""
        declared, dialect = self._solver.config, self._dialect
        common: dict[str, Any] = {}
        own: dict[str, Any] = {}
        untold = []
        for setting, shared in (
            ("time_limit", "time_limit"),
            ("gap", "rel_gap"),
            ("threads", "threads"),
            ("seed", "seed"),
        ):
            if shared in declared:
                common[shared] = settings[setting]
            elif getattr(dialect, setting, ""):
                own[getattr(dialect, setting)] = settings[setting]
            else:
                untold.append(setting)
        for option, given in options.items():
            known = option in declared or (dialect.strict and option != "solver_options")
            (common if known else own)[option] = given
        self._keywords = {
            **common,
            "load_solutions": False,
            "raise_exception_on_nonoptimal_result": False,
        }
        if own or dialect.quiet:
            self._keywords["solver_options"] = {**dialect.quiet, **own}
        return {**common, **own}, untold

    def solve(self, model: BlockData) -> Answer:
        """Solve as prepared, without loading the plan."""
        results: Results = self._solver.solve(model, **self._keywords)
        claimed, condition = results.incumbent_objective, results.termination_condition.name
        # The results hold the plan: they live on in the function that loads it.
        load = None if claimed is None else lambda: results.solution_loader.load_vars()
        message = str(getattr(results.extra_info, "message", ""))
        return Answer(condition, _plain(claimed), _plain(results.objective_bound), load, message)


class ClassicInterface:
    """A solver of Pyomo's classic `SolverFactory`: an executable, or a shared library."""

    def __init__(self, name: str, dialect: Dialect) -> None:
        self._name, self._dialect = name, dialect
        self._solver = ClassicFactory(name)
        self._keywords: dict[str, Any] = {}
        self.version = ""

    def missing(self) -> str:
        """Say why the solver cannot run."""
        if not self._solver.available(exception_flag=False):
            return "Pyomo finds no executable or library for a solver of this name"
        if not self._solver.license_is_valid():
            return "no valid licence"
        self.version = _dotted(self._solver.version)
        return ""

    def prepare(
        self, settings: Mapping[str, Any], options: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[str]]:
        """Take settings and options."""
        dialect = self._dialect
        own = {
            getattr(dialect, setting): settings[setting]
            for setting in ("gap", "threads", "seed")
            if getattr(dialect, setting)
        }
        own.update(options)
        self._keywords = {
            "load_solutions": False,
            "timelimit": settings["time_limit"],
            "options": {**dialect.quiet, **own},
        }
        untold = [setting for setting in ("gap", "threads", "seed") if not getattr(dialect, setting)]
        return {"timelimit": settings["time_limit"], **own}, untold

    def solve(self, model: BlockData) -> Answer:
        """Solve as prepared, without loading the plan."""
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "log")
            results = self._solver.solve(model, logfile=str(log), **self._keywords)
            text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        refused = _REFUSED.search(text)
        if refused:
            # CBC reads on after an option that it does not know.
            raise OptionError(refused.group().strip())
        condition = results.solver.termination_condition
        lower, upper = results.problem.lower_bound, results.problem.upper_bound
        maximise = next(model.component_data_objects(pyo.Objective, active=True)).sense == pyo.maximize
        claimed, bound = (lower, upper) if maximise else (upper, lower)
        possible = _POSSIBLE.findall(text)
        if maximise and self._name == "cbc" and possible:
            # CBC minimises what is to be maximised; Pyomo takes this bound from its log without turning it.
            bound = -float(possible[-1])
        load = None
        if len(results.solution) and condition not in (
            ClassicCondition.infeasible,
            ClassicCondition.unbounded,
            ClassicCondition.infeasibleOrUnbounded,
            ClassicCondition.error,
        ):
            load = lambda: model.solutions.load_from(results)  # noqa: E731
        words = {"optimal": "convergenceCriteriaSatisfied", "infeasible": "provenInfeasible"}
        return Answer(
            words.get(str(condition), str(condition)),
            _plain(claimed) if load is not None else None,
            _plain(bound),
            load,
        )


def _dotted(version: Callable[[], Any]) -> str:
    try:
        found = version()
    except Exception:
        return ""  # a solver that cannot tell its version may still solve
    return ".".join(map(str, found)) if isinstance(found, tuple) else str(found or "")


def _plain(number: Any) -> float | None:
    """Return a finite float, or None: what is infinite, or no number, says nothing."""
    try:
        found = float(number)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None
