"""The options of a solver that keeps its model: which changes it looks for by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from pyomo.common.config import ConfigDict

from pyomo_j3o.errors import OptionError
from pyomo_j3o.interface.options import J3OConfig, Option, Truth
from pyomo_j3o.modeling.changes import Checks

_CHECKS = tuple(check.name for check in fields(Checks))

#: What the checks are called in older persistent solvers of Pyomo. An empty name is a change that is
#: always looked for.
_OLDER = {
    "check_for_new_or_removed_params": "",
    "check_for_new_or_removed_vars": "",
    "treat_fixed_vars_as_params": "",
    "check_for_new_objective": "check_for_new_or_removed_objectives",
    "update_objective": "update_objectives",
    "update_params": "update_parameters",
}


class AutoUpdates(ConfigDict):
    """Which changes are looked for, by the names of Pyomo's observer or of its older persistent solvers."""

    __slots__ = ()

    def __init__(
        self,
        description: str | None = None,
        doc: str | None = None,
        implicit: bool = False,
        implicit_domain: Any = None,
        visibility: int = 0,
    ) -> None:
        super().__init__(description, doc, implicit, implicit_domain, visibility)
        for name in _CHECKS:
            self.declare(name, Option(default=True, domain=Truth(f"auto_updates.{name}")))

    def __str__(self) -> str:
        """Show the switches, one beside the other."""
        return ", ".join(f"{name}={self[name]}" for name in _CHECKS)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(_OLDER.get(name) or name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ConfigDict._reserved_words:
            super().__setattr__(name, value)
        else:
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        known = _known(name)
        if known:
            super().__setitem__(known, value)

    def set_value(self, value: Any, skip_implicit: bool = False) -> Any:
        """Take a mapping of checks to True or False; the others stay as they are."""
        if not isinstance(value, Mapping):
            raise OptionError(
                f"auto_updates={value!r} is no dictionary; give one, as {{'update_parameters': False}}"
            )
        given = {_known(str(name)): on for name, on in value.items()}
        given.pop("", None)
        return super().set_value(given, skip_implicit)

    @property
    def checks(self) -> Checks:
        """The checks as they are set."""
        return Checks(**{name: self[name] for name in _CHECKS})


def _known(name: str) -> str:
    """Return the name of a check; empty for what is always looked for. Raise for an unknown name."""
    if name in _CHECKS:
        return name
    if name in _OLDER:
        return _OLDER[name]
    meant = get_close_matches(name, [*_CHECKS, *_OLDER], 1)
    hint = f"did you mean {meant[0]!r}? It has" if meant else "it has"
    raise OptionError(f"auto_updates has no {name!r}; {hint} {', '.join(_CHECKS)}")


class PersistentConfig(J3OConfig):
    """The options of j3o, and those of a solver that keeps its model."""

    def __init__(
        self,
        description: str | None = None,
        doc: str | None = None,
        implicit: bool = False,
        implicit_domain: Any = None,
        visibility: int = 0,
    ) -> None:
        super().__init__(description, doc, implicit, implicit_domain, visibility)
        self.declare(
            "allow_rebuild",
            Option(
                default=True,
                domain=Truth("allow_rebuild"),
                description="Whether a model whose structure has changed is compiled again, or an error.",
            ),
        )
        self.declare("auto_updates", AutoUpdates(description="Which changes are looked for."))
