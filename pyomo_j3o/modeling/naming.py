"""How messages name the components of a model, and what they show of expressions and errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyomo_j3o.errors import ModelError

#: Characters of an expression that a message shows.
_LONGEST = 80


def called(component: Any) -> str:
    """Return the kind and the name of a component: ``Constraint 'memory[edge]'``."""
    return f"{component.ctype.__name__} '{component.name}'"


def the_model(model: Any) -> str:
    """Return what a message calls a model: by its name, or ``the model`` if it was given none."""
    return of_name(model.name)


def of_name(name: str | None) -> str:
    """Return what a message calls the model of this name; Pyomo's name of one without is ``unknown``."""
    return "the model" if name in (None, "", "unknown") else f"model '{name}'"


def beginning(text: str) -> str:
    """Return a text as it begins a sentence."""
    return text[:1].upper() + text[1:]


def listed(names: list[str], most: int = 3) -> str:
    """Return the first `most` names in quotes, and the number of the others."""
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def shortened(term: Any) -> str:
    """Return an expression as text, cut where it is long."""
    shown = str(term)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + "..."


def in_one_line(error: Exception) -> str:
    """Return the message of an error in one line, without a full stop at its end."""
    return " ".join(str(error).split()).rstrip(".")


def require_number(component: Any, verb: str, remedy: str) -> None:
    """Raise a `ModelError` if the value of a variable or a Param is missing, NaN or infinite."""
    number = component.value
    if number is None or not np.isfinite(number):
        raise ModelError(f"{called(component)} {verb} {number}; {remedy}")


def float_or_nan(number: Any) -> float:
    """Return the number as a float; NaN for what is no real number, or too large."""
    try:
        return float(number)
    except (TypeError, ValueError, OverflowError):
        return np.nan
