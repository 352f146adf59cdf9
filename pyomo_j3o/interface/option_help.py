"""What `help` and notebooks say of the options: their values, defaults and meaning."""

from __future__ import annotations

import inspect
from typing import Any

from pyomo.common.config import ConfigDict

from pyomo_j3o.core.html import html_table

#: Options of Pyomo's solvers that j3o takes, and that say nothing to it: it writes no file.
_WITHOUT_EFFECT = ("working_dir", "symbolic_solver_labels", "timer")


def add_options(solver: type) -> None:
    """Add the options of a solver to its docstring, and to that of its own `solve`."""
    config = solver.CONFIG  # type: ignore[attr-defined]
    methods = [method for name, method in vars(solver).items() if name == "solve"]
    for documented in (solver, *methods):
        # Python run with -OO has no docstrings.
        if documented.__doc__:
            text = f"{inspect.cleandoc(documented.__doc__)}\n\nOther Parameters\n----------------\n"
            documented.__doc__ = text + _described(config)


def _described(config: ConfigDict) -> str:
    """Return the options as a section of a docstring."""
    return "".join(
        f"{name} : {_values(config, name)}\n    {meaning(config, name)}\n" for name in _with_effect(config)
    )


def meaning(config: ConfigDict, name: str) -> str:
    """Return what an option means, in one line."""
    return " ".join(str(config.get(name)._description or "").split())


def html_of_options(config: ConfigDict) -> str:
    """Return the options as a table: name, value as it is now, values that may be given, meaning."""
    lines = [
        [name, _written(config[name]), _values(config, name), meaning(config, name)]
        for name in _with_effect(config)
    ]
    return html_table(["option", "value", "values", "meaning"], lines, wraps=True)


def _with_effect(config: ConfigDict) -> list[str]:
    return [name for name in config if name not in _WITHOUT_EFFECT]


def _written(value: Any) -> str:
    return repr(value.value() if isinstance(value, ConfigDict) else value)


def _values(config: ConfigDict, name: str) -> str:
    """Return the values that an option takes, its default first or named."""
    option = config.get(name)
    if isinstance(option, ConfigDict):
        return "mapping"
    default = option._default
    allowed = getattr(option._domain, "allowed", None)
    if allowed:
        return "{" + ", ".join(map(repr, dict.fromkeys((default, *allowed)))) + "}"
    # To write nowhere is what False means.
    return f"default {False if default == [] else default!r}"
