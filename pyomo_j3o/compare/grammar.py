"""The words of the command line that name solvers: ``[label=]name[:option=value,option=value]``."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from pyomo_j3o.compare.contestants import Contestant
from pyomo_j3o.compare.dialects import (
    BEHIND_EXACT,
    EVERY_EXACT,
    EXACT,
)
from pyomo_j3o.compare.records import CompareError


def contestants_of(text: str) -> list[Contestant]:
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
        return [Contestant(label or _label(name, options), name, options)]
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
        labels = {first: label or _label(f"{name}:{first}", options)}
    else:
        labels = {
            behind: f"{label}:{behind}" if label else _label(f"{name}:{behind}", options)
            for behind in BEHIND_EXACT
        }
    return [Contestant(shown, EXACT, {"mip_solver": behind, **options}) for behind, shown in labels.items()]


def _label(name: str, options: Mapping[str, Any]) -> str:
    own = ",".join(f"{option}={given}" for option, given in options.items())
    return f"{name}:{own}" if own else name


def _options(text: str, whole: str) -> dict[str, Any]:
    options = {}
    # A comma separates options only where another one follows: a value may hold commas itself.
    for part in re.split(r",(?=[^,=]+=)", text) if text else []:
        option, equals, given = part.partition("=")
        if not equals or not option.strip():
            raise CompareError(
                f"solver {whole!r}: {part!r} is no option; write NAME:OPTION=VALUE,OPTION=VALUE"
            )
        options[option.strip()] = value_of(given.strip())
    return options


def value_of(text: str) -> Any:
    """Return the value of an option: True, False, a number or other Python literal, or the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
