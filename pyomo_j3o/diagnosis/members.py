"""The constraints that a user names: one, an indexed one, a slice, or a list of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyomo.core.base.constraint import Constraint, ConstraintData
from pyomo.core.base.indexed_component_slice import IndexedComponent_slice

from pyomo_j3o.errors import ModelError


def constraints_named(given: Any, option: str) -> list[ConstraintData]:
    """Return the constraints that are named, each once, in the order in which they are named.

    Parameters
    ----------
    given
        A constraint, an indexed one, a member or a slice (``m.uplink[:, "edge1"]``), or a list of them.
    option
        Name of the argument, for errors.

    Raises
    ------
    ModelError
        Something in it is no constraint.
    """
    return list({id(member): member for member in _members(given, option)}.values())


def _members(given: Any, option: str) -> Iterator[ConstraintData]:
    if isinstance(given, (list, tuple, set, frozenset, IndexedComponent_slice)):
        for one in given:
            yield from _members(one, option)
    elif isinstance(given, ConstraintData):
        yield given
    elif isinstance(given, Constraint):
        yield from given.values()
    elif isinstance(given, str):
        raise ModelError(
            f"{option} names {given!r}, of type str; pass the component itself, {option}=[model.{given}]"
        )
    else:
        name = getattr(given, "name", None) or repr(given)
        raise ModelError(
            f"{option} names '{name}', of type {type(given).__name__}, and that is no constraint; name "
            f"constraints like {option}=[model.memory]"
        )
