"""Records of the search for conflicts: what conflicts, how far it has to give way, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyomo_j3o.core.problem import FloatArray, IntArray
from pyomo_j3o.diagnosis.system import Side


@dataclass(frozen=True, slots=True)
class Growth:
    """By how much one side has to give way.

    Attributes
    ----------
    amount : float
        So much is enough, upwards for an upper side and downwards for a lower one; inf if no amount is.
    least : float
        No less is enough. Below `amount`, or 0, where time ended the search.
    """

    amount: float
    least: float

    @property
    def proven(self) -> bool:
        """Whether no smaller amount is enough, up to rounding."""
        return self.amount <= self.least or self.amount - self.least <= 1e-5 * self.amount


@dataclass(frozen=True, slots=True)
class InfeasibleSubsystem:
    """Rows and bounds that no plan satisfies together.

    Attributes
    ----------
    sides : tuple of Side
        The set. If it is irreducible (an IIS), the others have a plan without any one of them.
    ties : tuple of Side
        Rows that tie one y to x (``y <= u x``) and bounds, without which `sides` would not conflict.
    irreducible : bool
        Whether `sides` are proven to be irreducible.
    ties_irreducible : bool
        Whether `ties` are.
    alone : tuple of Growth
        Per side: the change of this side alone that is enough, with all other conflicts relieved. None if it
        was not looked for, or not found in time.
    together : tuple of float
        Per side: its change in the cheapest change of all, each relative to its size. Empty if unknown.
    """

    sides: tuple[Side, ...]
    ties: tuple[Side, ...]
    irreducible: bool
    ties_irreducible: bool
    alone: tuple[Growth | None, ...] = ()
    together: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Members:
    """An infeasible subsystem as members of the system.

    Attributes
    ----------
    core, ties : IntArray
        The set, and what ties it together.
    irreducible, ties_irreducible : bool
        Whether `core` and `ties` are proven to be irreducible.
    slack : (len(core),) or None
        The cheapest change of `core`; None if none was found.
    never : bool
        Whether `core` is one row that no multiple of its unit satisfies.
    """

    core: IntArray
    ties: IntArray
    irreducible: bool
    ties_irreducible: bool
    slack: FloatArray | None = None
    never: bool = False


@dataclass(frozen=True, slots=True)
class Telling:
    """Who hears what is known by now.

    Attributes
    ----------
    say
        Takes a line.
    conflict
        Takes the sides of a conflict as soon as it is found.
    """

    say: Callable[[str], None] = lambda text: None
    conflict: Callable[[Sequence[Side]], None] = lambda sides: None

    def of_part(self, in_whole: Callable[[Side], Side]) -> Telling:
        """Return the same for a part, of which a function returns the sides in the whole problem."""
        return Telling(self.say, lambda sides: self.conflict([in_whole(side) for side in sides]))


NOBODY = Telling()
"""Nobody hears anything."""
