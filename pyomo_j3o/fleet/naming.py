"""How parts of a fleet and cases of a sweep are named."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from pyomo_j3o.errors import FleetError
from pyomo_j3o.fleet.records import Name


def named(what: str, given: Any) -> tuple[list[Name], list[Any]]:
    """Return the names of parts, and what `build` is called with for each.

    Parameters
    ----------
    what
        What they are in a message: ``"part"`` or ``"case"``.
    given
        Names; or a mapping from names to arguments of `build`.

    Raises
    ------
    FleetError
        There are none, two have the same name, or a name is none.
    """
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise FleetError(
            f"{what}s={given!r}: give several names, or a mapping from names to arguments of build"
        )
    names = list(given)
    arguments = list(given.values()) if isinstance(given, Mapping) else names
    if not names:
        raise FleetError(f"no {what}s; give at least one")
    seen = set()
    for name in names:
        if not _is_name(name):
            raise FleetError(f"{what} {name!r}: a {what} is named by a string, a number, or a tuple of these")
        if name in seen:
            raise FleetError(f"two {what}s are called {name!r}; give every {what} a name of its own")
        seen.add(name)
    return names, arguments


def _is_name(name: Any) -> bool:
    if isinstance(name, tuple):
        return all(map(_is_name, name))
    if isinstance(name, float):
        return math.isfinite(name)
    return isinstance(name, (str, int, np.integer)) and not isinstance(name, bool)
