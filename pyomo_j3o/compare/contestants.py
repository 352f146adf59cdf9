"""Solvers as they take part: found by name, told the same things in their own words, timed alike.

A solver that is in no table here takes part as well. One of Pyomo's new interface is told of time limit, gap
and threads by the names that all of them share, and of the seed if it has an option of that name, as ``j3o``
has. What cannot be told is said, never dropped in silence.
"""

from __future__ import annotations

import ast
import logging
import math
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import pyomo.environ as pyo
from pyomo.contrib.solver.common.factory import SolverFactory as NewFactory
from pyomo.contrib.solver.common.results import Results
from pyomo.contrib.solver.common.util import IncompatibleModelError
from pyomo.core.base.block import BlockData
from pyomo.opt import SolverFactory as ClassicFactory
from pyomo.opt import TerminationCondition as ClassicCondition

from pyomo_j3o.compare.records import CompareError, Entrant, Settings
from pyomo_j3o.errors import BackendError, ModelError, OptionError
from pyomo_j3o.library.hierarchical import small_example

#: The name that stands for `EXACT`, j3o's exact solver, with each of these MIP solvers behind it.
EVERY_EXACT, EXACT, BEHIND_EXACT = "exact", "j3o.exact", ("highs", "gurobi", "scip")

#: Settings that an option of the same name replaces for one solver.
_SHARED = {"time_limit": "time_limit", "gap": "gap", "rel_gap": "gap", "threads": "threads", "seed": "seed"}

_LIMITED = re.compile(r"licen[cs]e", re.IGNORECASE)
_REFUSED = re.compile(
    r"^.*(?:no match for|unknown option|invalid option|unrecognized option|not a valid option).*$",
    re.IGNORECASE | re.MULTILINE,
)
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
for _name in (EXACT, "j3o.baj3o"):
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
    """

    condition: str
    claimed: float | None
    bound: float | None
    load: Callable[[], None] | None


class _Interface(Protocol):
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


class _NewInterface:
    """A solver of `pyomo.contrib.solver`."""

    def __init__(self, name: str, dialect: Dialect) -> None:
        self._name, self._dialect = name, dialect
        self._solver = NewFactory(name)
        self._keywords: dict[str, Any] = {}
        self.version = _dotted(self._solver.version)

    def missing(self) -> str:
        found = self._solver.available()
        return "" if found else f"{self._name}: {found.name}"

    def prepare(
        self, settings: Mapping[str, Any], options: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[str]]:
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
        results: Results = self._solver.solve(model, **self._keywords)
        claimed, condition = results.incumbent_objective, results.termination_condition.name
        # The results hold the plan: they live on in the function that loads it.
        load = None if claimed is None else lambda: results.solution_loader.load_vars()
        return Answer(condition, _plain(claimed), _plain(results.objective_bound), load)


class _ClassicInterface:
    """A solver of Pyomo's classic `SolverFactory`: an executable, or a shared library."""

    def __init__(self, name: str, dialect: Dialect) -> None:
        self._name, self._dialect = name, dialect
        self._solver = ClassicFactory(name)
        self._keywords: dict[str, Any] = {}
        self.version = ""

    def missing(self) -> str:
        if not self._solver.available(exception_flag=False):
            return "Pyomo finds no executable or library for a solver of this name"
        if not self._solver.license_is_valid():
            return "no valid licence"
        self.version = _dotted(self._solver.version)
        return ""

    def prepare(
        self, settings: Mapping[str, Any], options: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[str]]:
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


class Contestant:
    """One solver with its options, ready to solve one model after another.

    Parameters
    ----------
    label
        As shown.
    name
        The one that Pyomo knows.
    options
        Beside the settings that all are told.
    """

    def __init__(self, label: str, name: str, options: Mapping[str, Any]) -> None:
        self.label, self.name, self.options = label, name, dict(options)
        self.dialect = DIALECTS.get(name, Dialect())
        self.missing = ""
        # Held as long as the comparison lasts: Gurobi's interface drops its licence with its last user.
        self._found: _Interface | None = None

    def enter(self, settings: Settings, seed: int) -> Entrant:
        """Find the solver, warm it up on a tiny model, and see whether it takes what it is told.

        The first use of a solver pays for imports and licences; a tiny model pays here, outside every clock.

        Raises
        ------
        CompareError
            If an option is unknown to the solver, or a value is not one that it takes.
        """
        with quietly():
            try:
                self._found = self._look_up(linear=True)
                self.missing = self._found.missing()
            except Exception as error:
                self.missing = first_line(error)
            if self.missing or self._found is None:
                self.missing += f" ({self.dialect.install})" if self.dialect.install else ""
                return Entrant(self.label, self.name, missing=self.missing)
            self._require_known_options()
            told, untold = self._prepare(self._found, settings, seed, self.options)
            self._warm_up(settings, seed)
        return Entrant(self.label, self.name, self._found.version, told, tuple(untold), self.missing)

    def ready(self, settings: Settings, seed: int, linear: bool) -> Callable[[BlockData], Answer]:
        """Return a fresh solver, told everything, as a function of the model."""
        interface = self._look_up(linear)
        self._prepare(interface, settings, seed, self.options)
        return interface.solve

    def _look_up(self, linear: bool) -> _Interface:
        dialect = self.dialect
        listed = bool(dialect.new or dialect.classic)
        new = dialect.new if listed else (self.name,)
        if not linear and dialect.products:
            new = (dialect.products,)
        for name in new:
            if name in NewFactory:
                return _NewInterface(name, dialect)
        return _ClassicInterface((dialect.classic or (self.name,))[0], dialect)

    def _prepare(
        self, interface: _Interface, settings: Settings, seed: int, options: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[str]]:
        shared: dict[str, Any] = {
            "time_limit": settings.time_limit,
            "gap": settings.gap,
            "threads": settings.threads,
            "seed": seed,
        }
        own = {}
        for option, given in options.items():
            if option in _SHARED:
                shared[_SHARED[option]] = given
            else:
                own[option] = given
        return interface.prepare(shared, own)

    def _require_known_options(self) -> None:
        if self.dialect.complaint is None:
            return
        for option, given in self.options.items():
            wrong = "" if option in _SHARED else self.dialect.complaint(option, given)
            if wrong:
                raise CompareError(f"solver {self.label!r}: {wrong}; correct the option, or leave it out")

    def _warm_up(self, settings: Settings, seed: int) -> None:
        plainly = self._look_up(linear=True)
        chosen = {option: given for option, given in self.options.items() if option in self.dialect.behind}
        self._prepare(plainly, settings, seed, chosen)
        try:
            plainly.solve(small_example())
        except OptionError:
            pass  # told below, with all options
        except Exception as error:
            # Without a licence, or the solver behind it, it has no part in the comparison. Whatever else is
            # wrong, its runs will tell.
            if outcome_of(error) == "licence" or isinstance(error, BackendError):
                self.missing = first_line(error)
            return
        if not self.options:
            return
        try:
            self.ready(settings, seed, linear=True)(small_example())
        except Exception as error:
            shown = ", ".join(f"{option}={given!r}" for option, given in self.options.items())
            raise CompareError(
                f"solver {self.label!r} does not take {shown}: {first_line(error)}; "
                "correct the option, or leave it out"
            ) from error


def read(text: str) -> list[Contestant]:
    """Return whom one word of the command line stands for: ``exact`` for three, any other for one.

    Parameters
    ----------
    text
        ``[label=]name[:option=value,option=value]``. A MIP solver may follow the name ``exact`` after a colon
        of its own: ``exact:highs:option=value`` is one contestant, too.

    Raises
    ------
    CompareError
        If `text` cannot be read.
    """
    head, _, tail = text.partition(":")
    label, _, name = (part.strip() for part in head.rpartition("="))
    if not name:
        raise CompareError(f"solver {text!r}: there is no name; write NAME, NAME:OPTION=VALUE or LABEL=NAME")
    if name != EVERY_EXACT:
        options = _options(tail, text)
        return [Contestant(label or _shown(name, options), name, options)]
    first, _, rest = tail.partition(":")
    alone = bool(first) and "=" not in first  # what comes first is no option: it is a solver
    if alone and first not in BEHIND_EXACT:
        raise CompareError(
            f"solver {text!r}: exact has no {first!r} behind it; write one of {', '.join(BEHIND_EXACT)}"
        )
    options = _options(rest if alone else tail, text)
    if "mip_solver" in options:
        raise CompareError(
            f"solver {text!r}: exact names its MIP solver itself; write exact:{options['mip_solver']}"
        )
    if alone:
        labels = {first: label or _shown(f"{name}:{first}", options)}
    else:
        labels = {
            behind: f"{label}:{behind}" if label else _shown(f"{name}:{behind}", options)
            for behind in BEHIND_EXACT
        }
    return [Contestant(shown, EXACT, {"mip_solver": behind, **options}) for behind, shown in labels.items()]


def _shown(name: str, options: Mapping[str, Any]) -> str:
    own = ",".join(f"{option}={given}" for option, given in options.items())
    return f"{name}:{own}" if own else name


def outcome_of(error: Exception) -> str:
    """Sort an exception of a solver: too small a licence, a model it does not take, or a failure."""
    if _LIMITED.search(str(error)):
        return "licence"
    if isinstance(error, (IncompatibleModelError, ModelError, NotImplementedError)):
        return "unsupported"
    return "failed"


def label_apart(contestants: list[Contestant]) -> None:
    """Add a number to a label that was there before, so that no two are alike."""
    seen: dict[str, int] = {}
    for contestant in contestants:
        seen[contestant.label] = seen.get(contestant.label, 0) + 1
        if seen[contestant.label] > 1:
            contestant.label += f" #{seen[contestant.label]}"


def new_start_for_highs() -> None:
    """Let the next solver choose its own number of threads: HiGHS holds the process to the first that ran."""
    highspy = sys.modules.get("highspy")
    if highspy is not None:
        highspy.Highs.resetGlobalScheduler(True)


@contextmanager
def quietly() -> Iterator[list[str]]:
    """Collect what Pyomo and pyomo_j3o log, instead of printing it between the rows of a table."""
    notes: list[str] = []

    class _Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            notes.append(" ".join(record.getMessage().split()))

    handler = _Collect(logging.WARNING)
    loggers = [logging.getLogger(name) for name in ("pyomo", "pyomo_j3o")]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
    try:
        yield notes
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate


def first_line(error: BaseException) -> str:
    """Return the first sentence-like line of an error, with its class where the text alone says little."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else ""
    return text if " " in text else f"{type(error).__name__}: {text}".rstrip(": ")


def _options(text: str, whole: str) -> dict[str, Any]:
    options = {}
    # A comma separates options only where another one follows: a value may hold commas itself.
    for part in re.split(r",(?=[^,=]+=)", text) if text else []:
        option, equals, given = part.partition("=")
        if not equals or not option.strip():
            raise CompareError(
                f"solver {whole!r}: {part!r} is no option; write NAME:OPTION=VALUE,OPTION=VALUE"
            )
        options[option.strip()] = _value(given.strip())
    return options


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


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
