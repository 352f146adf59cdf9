"""The options of j3o: what may be given, under which name, and what an error says of the rest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
from pyomo.common.config import ConfigDict, ConfigValue, UninitializedMixin
from pyomo.common.modeling import NOTSET
from pyomo.contrib.solver.common.config import BranchAndBoundConfig, TextIO_or_Logger

from pyomo_j3o.errors import OptionError
from pyomo_j3o.interface.moves import MovePrices
from pyomo_j3o.interface.option_help import html_of_options
from pyomo_j3o.lp import gurobi

#: Names of the MIP solvers that can be asked for.
MIP_SOLVERS = ("gurobi", "highs", "scip")

#: What options are called elsewhere.
_ELSEWHERE = {
    "mipgap": ["rel_gap"],
    "mip_gap": ["rel_gap"],
    "ratiogap": ["rel_gap"],
    "timelimit": ["time_limit"],
    "warmstart": ["warm_start"],
    "solver": ["mip_solver"],
}

#: What classic solvers call options of j3o.
CLASSIC_NAMES = {"timelimit": "time_limit", "warmstart": "warm_start"}


class Option(ConfigValue):
    """A `ConfigValue` whose domain speaks for itself: its error reaches the user as it is."""

    __slots__ = ()

    def _cast(self, value: Any) -> Any:
        return super()._cast(value) if value is NOTSET or self._domain is None else self._domain(value)


# Pyomo sets its default lazily, and wants such a companion for every class of values.
Option._UninitializedClass = type("_UninitializedOption", (UninitializedMixin, Option), {"__slots__": ()})


@dataclass(frozen=True)
class _OneOf:
    name: str
    allowed: tuple[str, ...]

    def __call__(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.allowed:
            choice = ", ".join(map(repr, self.allowed))
            raise OptionError(f"{self.name}={value!r} is unknown; choose one of {choice}")
        return value


@dataclass(frozen=True)
class _Number:
    name: str
    least: float
    whole: bool = False
    optional: bool = False

    def __call__(self, value: Any) -> float | int | None:
        if value is None and self.optional:
            return None
        most = 2**31 - 1 if self.whole else math.inf  # what the solvers behind take
        try:
            number = float(value)
            good = self.least <= number <= most and not isinstance(value, bool)
            good = good and (not self.whole or number == int(number))
        except (TypeError, ValueError, OverflowError):
            good = False
        if not good:
            kind = "a whole number" if self.whole else "a number"
            limit = f" and at most {most}" if self.whole else ""
            raise OptionError(
                f"{self.name}={value!r} is not {kind} of at least {self.least:g}{limit}; give one"
            )
        return int(number) if self.whole else number


@dataclass(frozen=True)
class Truth:
    """The domain of an option that is True or False, or a word for one of them."""

    name: str

    def __call__(self, value: Any) -> bool:
        """Return the truth value; raise an `OptionError` for what is none."""
        names = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if isinstance(value, (bool, np.bool_)):
            return bool(value)
        if str(value).lower() in names:
            return names[str(value).lower()]
        raise OptionError(f"{self.name}={value!r} is neither True nor False; give one of them")


@dataclass(frozen=True)
class _Function:
    name: str

    def __call__(self, value: Any) -> Any:
        if value is not None and not callable(value):
            raise OptionError(f"{self.name}={value!r} cannot be called; give a function, or None")
        return value


@dataclass(frozen=True)
class _SetBy:
    """The domain of an option that a baseline sets itself: it takes that value alone."""

    solver: str
    name: str
    value: Any

    def __call__(self, value: Any) -> Any:
        if value is self.value or (isinstance(value, (str, int, float)) and value == self.value):
            return self.value
        raise OptionError(
            f"{self.name}={value!r}: {self.solver} is a baseline, which sets this option itself; leave it "
            "out, or use j3o"
        )


#: Words for an effort.
EFFORTS = ("default", "alternation", "full")


@dataclass(frozen=True)
class _Effort:
    """The domain of `effort`: one of `EFFORTS`, or a positive number."""

    allowed = EFFORTS

    def __call__(self, value: Any) -> str | float:
        if isinstance(value, str) and value in EFFORTS:
            return value
        try:
            number = float(value)
            good = 0.0 < number < math.inf and not isinstance(value, bool)
        except (TypeError, ValueError, OverflowError):
            good = False
        if not good:
            choice = ", ".join(map(repr, EFFORTS))
            raise OptionError(f"effort={value!r} is unknown; choose one of {choice}, or a number above 0")
        return number


def _streams(value: Any) -> list[Any]:
    try:
        return TextIO_or_Logger(value)
    except ValueError as error:
        raise OptionError(f"tee={value!r} is not something to write to: {error}") from None


#: Options of j3o's own: name, default, domain, description.
_DECLARED: tuple[tuple[str, Any, Any, str], ...] = (
    (
        "algorithm",
        "auto",
        _OneOf("algorithm", ("auto", "j3o", "baj3o", "exact")),
        "The heuristic j3o, or baj3o for models with a BatchingWindow (auto chooses), or exact.",
    ),
    (
        "lp_solver",
        "auto",
        _OneOf("lp_solver", ("auto", "highs", "gurobi")),
        "Gurobi if licensed for the size, else HiGHS; or one of them.",
    ),
    (
        "mip_solver",
        "auto",
        _OneOf("mip_solver", ("auto", *MIP_SOLVERS)),
        "For exact, and for the improvement: Gurobi if licensed for the size, else HiGHS, else SCIP.",
    ),
    (
        "mip_start",
        "auto",
        _OneOf("mip_start", ("auto", "j3o", "none")),
        "What exact starts from, unless warm_start is given: j3o's plan, except in small models.",
    ),
    (
        "effort",
        "default",
        _Effort(),
        "How long to search on: alternation alone, default, full (until rel_gap is reached), or a factor.",
    ),
    ("max_iterations", 50, _Number("max_iterations", 1, whole=True), "Limit of the alternation."),
    ("seed", 0, _Number("seed", 0, whole=True), "Random seed of the LP and MIP solvers."),
    ("improve", True, Truth("improve"), "Swaps and branch and bound after the alternation."),
    (
        "bound",
        "cuts",
        _OneOf("bound", ("cuts", "lp", "none")),
        "How hard to certify: LP relaxation with cuts and branching, as it is, or not at all.",
    ),
    ("warm_start", False, Truth("warm_start"), "Start from the placement that the variables hold."),
    ("move_cost", None, MovePrices(), "Price per onloading variable that changes; a number or a mapping."),
    ("strict", False, Truth("strict"), "Refuse a model without any annotation."),
    ("onloading_step", None, _Function("onloading_step"), "The user's own onloading step."),
    ("stop", None, _Function("stop"), "The user's own stopping rule: trace → bool."),
    ("callback", None, _Function("callback"), "Called with the record of each iteration."),
)

#: Options that Pyomo declares already, with errors that say what to give instead: name, default, domain,
#: description.
_REDECLARED: tuple[tuple[str, Any, Any, str], ...] = (
    ("tee", False, _streams, "Print the log: True, or a stream, a logger, or a list of these."),
    (
        "rel_gap",
        1e-4,
        _Number("rel_gap", 0.0),
        "Gap, relative to the objective, within which a plan is optimal. One that is given is pursued.",
    ),
    (
        "abs_gap",
        None,
        _Number("abs_gap", 0.0, optional=True),
        "Gap, in units of the objective, within which a plan is optimal. One that is given is pursued.",
    ),
    (
        "time_limit",
        None,
        _Number("time_limit", 0.0, optional=True),
        "Seconds of wall time at most; the best plan by then is returned.",
    ),
    (
        "threads",
        None,
        _Number("threads", 0, whole=True, optional=True),
        "Threads or processes at most; independent parts are solved side by side.",
    ),
    ("load_solutions", True, Truth("load_solutions"), "Load the plan into the model."),
    (
        "raise_exception_on_nonoptimal_result",
        True,
        Truth("raise_exception_on_nonoptimal_result"),
        "Raise where the search has not converged. The classic interface has False unless it is given.",
    ),
)


class _SolverOptions(ConfigDict):
    """The options of the solver behind j3o, by the names that it has for them."""

    __slots__ = ()

    def set_value(self, value: Any, skip_implicit: bool = False) -> Any:
        """Take a mapping of names and values, or a string of them; refuse all else with a remedy."""
        try:
            given = dict(value) if isinstance(value, Mapping) else value
            return super().set_value(given, skip_implicit)
        except ValueError:
            raise OptionError(
                f"solver_options={value!r} is not a dictionary of the solver's own options; give one, as "
                "{'presolve': 'off'}"
            ) from None


class J3OConfig(BranchAndBoundConfig):
    """The options of j3o; those not named here are Pyomo's own.

    An unknown option, or a value that an option does not take, is an `OptionError` in the line that gives it.
    """

    def __init__(
        self,
        description: str | None = None,
        doc: str | None = None,
        implicit: bool = False,
        implicit_domain: Any = None,
        visibility: int = 0,
    ) -> None:
        super().__init__(description, doc, implicit, implicit_domain, visibility)
        for name, default, domain, text in _DECLARED:
            self.declare(name, Option(default=default, domain=domain, description=text))
        for name, default, domain, text in _REDECLARED:
            del self[name]
            self.declare(name, Option(default=default, domain=domain, description=text))
        del self["solver_options"]
        text = "Options of the LP or MIP solver, by the names that it has for them."
        self.declare("solver_options", _SolverOptions(implicit=True, description=text))

    def _repr_html_(self) -> str:
        return html_of_options(self)

    def __setattr__(self, name: str, value: Any) -> None:
        with option_errors():
            super().__setattr__(name, value)

    def __setitem__(self, name: str, value: Any) -> None:
        with option_errors():
            super().__setitem__(name, value)

    def add(self, name: str, config: Any, **kwds: Any) -> Any:
        """Refuse what is no option: an assignment to an unknown name arrives here."""
        raise OptionError(_unknown(self, name))

    def set_value(self, value: Any, skip_implicit: bool = False) -> Any:
        """Take a mapping of options and their values."""
        if isinstance(value, Mapping) and not skip_implicit:
            require_known(self, value)
        with option_errors():
            return super().set_value(value, skip_implicit)


def preset(algorithm: str) -> J3OConfig:
    """Return the options with another default of `algorithm`."""
    config = J3OConfig()
    config.get("algorithm").set_default_value(algorithm)
    config.get("algorithm").reset()
    return config


def baseline_options(solver: str, **fixed: Any) -> J3OConfig:
    """Return the options of a baseline: ``bound`` is "lp" unless given, and some are set once and for all.

    Parameters
    ----------
    solver
        Its name.
    **fixed
        The values of the options that it sets itself.
    """
    config = J3OConfig()
    config.get("bound").set_default_value("lp")
    config.get("bound").reset()
    for name, value in fixed.items():
        text = config.get(name)._description
        del config[name]
        config.declare(
            name, Option(value, _SetBy(solver, name, value), f"{text} Set by the baseline itself.")
        )
    return config


@contextmanager
def option_errors() -> Iterator[None]:
    """Let what Pyomo's own domains say of a value reach the user as an `OptionError`."""
    try:
        yield
    except OptionError:
        raise
    except (ValueError, TypeError) as error:
        raise OptionError(" ".join(str(error).split())) from None


def is_given(config: ConfigDict, name: str) -> bool:
    """Return whether the user has set this option, be it to its default."""
    return any(option is config.get(name) for option in config.user_values())


def require_known(config: ConfigDict, given: Mapping[str, Any]) -> None:
    """Raise an `OptionError` if one of the names is no option."""
    for name in given:
        if name not in config:
            raise OptionError(_unknown(config, name))


def _unknown(config: ConfigDict, name: Any) -> str:
    """Say that there is no such option, and which one may be meant."""
    meant = _ELSEWHERE.get(str(name).lower()) or get_close_matches(str(name), config.keys(), 1)
    hint = f"did you mean {meant[0]!r}? It has" if meant else "it has"
    return (
        f"option {name!r} is unknown to j3o; {hint} {', '.join(sorted(config.keys()))}. Options of "
        "the LP or MIP solver go into solver_options."
    )


def chosen_algorithm(config: Any, windows: bool) -> str:
    """Return the algorithm that `auto` stands for, given whether the model has a batching window."""
    if config.algorithm == "auto":
        return "baj3o" if windows else "j3o"
    return str(config.algorithm)


def leaves_steps_to_us(config: Any) -> bool:
    """Return whether no option asks for steps of the method, or for a look at them."""
    own = (config.onloading_step, config.callback, config.stop)
    usual = config.improve and config.bound == "cuts" and config.effort != "alternation"
    return usual and all(one is None for one in own)


def fall_back_on_highs(config: Any) -> bool:
    """Let HiGHS take the place of Gurobi where the choice was ours; return whether that changes anything."""
    chosen = [name for name in ("lp_solver", "mip_solver") if config[name] == "auto"]
    for name in chosen:
        config[name] = "highs"
    return bool(chosen) and not gurobi.unavailable(1, 1)


def portable(config: ConfigDict) -> ConfigDict:
    """Return a copy of `config` without streams, timers and functions, so that results pickle."""
    copy = config(preserve_implicit=True)
    copy.get("tee").set_default_value([])  # the copy keeps what it was made from as its default
    copy.get("tee").reset()
    if isinstance(config.move_cost, Mapping):
        copy.get("move_cost").set_default_value(None)  # its variables would bring their model along
        copy.get("move_cost").reset()
    for name in ("timer", "onloading_step", "stop", "callback"):
        copy.get(name).reset()
    copy.value()
    return copy


class _MissingOptionError(OptionError, KeyError):
    """An option that is unknown was read."""

    __str__ = Exception.__str__  # a KeyError would show its sentence in quotes


class Options(MutableMapping[str, Any]):
    """The classic ``opt.options``: the options of j3o by item or attribute.

    To set or read an unknown one is an `OptionError`; to read it is a `KeyError`, too, as in any mapping.
    """

    def __init__(self, config: ConfigDict) -> None:
        object.__setattr__(self, "_config", config)

    def __repr__(self) -> str:
        return repr(self._config.value())

    def _repr_html_(self) -> str:
        return html_of_options(self._config)

    def __getitem__(self, name: str) -> Any:
        return self._config[self._known(name)]

    def __setitem__(self, name: str, value: Any) -> None:
        name = CLASSIC_NAMES.get(name, name)
        require_known(self._config, {name: value})
        with option_errors():
            if name == "solver_options":
                self._config.solver_options.set_value(value)
            else:
                self._config[name] = value

    def __delitem__(self, name: str) -> None:
        self._config.get(self._known(name)).reset()

    def clear(self) -> None:
        """Give every option its default again."""
        for name in self:
            del self[name]

    def popitem(self) -> tuple[str, Any]:
        """Refuse: an option never leaves, it only goes back to its default."""
        raise OptionError("options cannot be taken out; use del or clear() to go back to defaults")

    def __iter__(self) -> Iterator[str]:
        return iter(self._config)

    def __len__(self) -> int:
        return len(self._config)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __reduce__(self) -> Any:
        return (Options, (self._config,))

    def _known(self, name: str) -> str:
        name = CLASSIC_NAMES.get(name, name)
        if name not in self._config:
            raise _MissingOptionError(_unknown(self._config, name))
        return name
