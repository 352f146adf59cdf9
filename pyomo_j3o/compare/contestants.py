"""Solvers as they take part: found by name, warmed up, and told the same settings."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from pyomo.common import Executable
from pyomo.contrib.solver.common.factory import SolverFactory as NewFactory
from pyomo.contrib.solver.common.util import IncompatibleModelError
from pyomo.core.base.block import BlockData
from pyomo.opt import SolverFactory as ClassicFactory

from pyomo_j3o.compare.dialects import (
    DIALECTS,
    Answer,
    ClassicInterface,
    Dialect,
    Interface,
    NewInterface,
)
from pyomo_j3o.compare.records import CompareError, Entrant, Settings
from pyomo_j3o.errors import BackendError, ModelError, OptionError
from pyomo_j3o.library.hierarchical import small_example

#: Settings that an option of the same name replaces for one solver.
_SHARED = {"time_limit": "time_limit", "gap": "gap", "rel_gap": "gap", "threads": "threads", "seed": "seed"}

_LIMITED = re.compile(r"licen[cs]e", re.IGNORECASE)


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
        self._found: Interface | None = None

    def require_known(self) -> None:
        """Raise a `CompareError` for a name that neither Pyomo nor a program on this machine has."""
        known = {*DIALECTS, *NewFactory, *ClassicFactory}
        if self.name in known or Executable(self.name).path() is not None:
            return
        near = get_close_matches(self.name, sorted(name for name in known if not name.startswith("_")), 1)
        hint = f"did you mean {near[0]}?" if near else "'pyomo help --solvers' lists those that it knows"
        raise CompareError(f"solver {self.name!r} is unknown to Pyomo; {hint}")

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

    def _look_up(self, linear: bool) -> Interface:
        dialect = self.dialect
        listed = bool(dialect.new or dialect.classic)
        new = dialect.new if listed else (self.name,)
        if not linear and dialect.products:
            new = (dialect.products,)
        for name in new:
            if name in NewFactory:
                return NewInterface(name, dialect)
        return ClassicInterface((dialect.classic or (self.name,))[0], dialect)

    def _prepare(
        self, interface: Interface, settings: Settings, seed: int, options: Mapping[str, Any]
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
        if not self.options or any(callable(given) for given in self.options.values()):
            return  # of the user's own code, its runs will tell
        try:
            self.ready(settings, seed, linear=True)(small_example())
        except Exception as error:
            shown = ", ".join(f"{option}={given!r}" for option, given in self.options.items())
            raise CompareError(
                f"solver {self.label!r} does not take {shown}: {first_line(error)}; "
                "correct the option, or leave it out"
            ) from error


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
