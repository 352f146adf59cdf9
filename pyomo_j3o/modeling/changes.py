"""What has changed in a Pyomo model between two looks at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

#: Kinds of changes after which the model is compiled again; the others change numbers.
STRUCTURAL = (
    "constraints added",
    "constraints removed",
    "constraints moved",
    "variables added",
    "variables removed",
    "blocks switched",
    "marks",
    "batching windows",
)

#: Kinds of changes after which only numbers are read again.
VALUES = (
    "constraint expressions",
    "objective",
    "objective expression",
    "sense",
    "named expressions",
    "parameters",
    "fixed",
    "unfixed",
    "fixed values",
    "bounds",
    "domains",
    "move_cost",
)

#: Names of a kind that are kept.
_FIRST = 3


@dataclass(frozen=True, slots=True)
class Checks:
    """Which changes are looked for, by the names of Pyomo's own observer.

    Changes of other kinds, as marks, variables and blocks, are always looked for.
    """

    check_for_new_or_removed_constraints: bool = True
    check_for_new_or_removed_objectives: bool = True
    update_constraints: bool = True
    update_vars: bool = True
    update_parameters: bool = True
    update_named_expressions: bool = True
    update_objectives: bool = True


#: Look for everything.
ALL_CHECKS = Checks()


@dataclass(frozen=True, slots=True)
class Named:
    """Stands for a component that has left the model, and its name with it; or for what is no component."""

    name: str


@dataclass(slots=True)
class Changes:
    """Components that have changed, by kind.

    Attributes
    ----------
    found
        By kind, in the order of `STRUCTURAL` and `VALUES`; a kind without changes is left out.
    """

    found: dict[str, list[Any]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.found)

    def note(self, kind: str, components: Iterable[Any]) -> None:
        """Enter the components of a kind."""
        listed = list(components)
        if listed:
            self.found.setdefault(kind, []).extend(listed)

    def of(self, *kinds: str) -> Iterator[Any]:
        """Yield the components of some kinds."""
        for kind in kinds:
            yield from self.found.get(kind, ())

    @property
    def structural(self) -> list[str]:
        """The kinds found after which the model is compiled again."""
        return [kind for kind in STRUCTURAL if kind in self.found]

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return per kind the number of components and the names of the first."""
        kinds = [kind for kind in (*STRUCTURAL, *VALUES) if kind in self.found]
        return {kind: {"count": len(self.found[kind]), "first": self.first(kind)} for kind in kinds}

    def first(self, kind: str) -> list[str]:
        """Return the names of the first components of a kind."""
        return [one.name for one in self.found[kind][:_FIRST]]
