"""Policies: when models move, and when queries are only routed anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pyomo_j3o.control.planning import Plan, Planner
from pyomo_j3o.core.checks import check_counts, check_positive, is_number
from pyomo_j3o.core.matrices import FloatArray, read_only


@dataclass(frozen=True, eq=False)
class View:
    """What a policy sees before a minute begins; its arrays are read-only.

    Attributes
    ----------
    minute : int
        Counted from 0; nothing is placed before minute 0.
    expected : (I, tasks)
        The forecast of the loads, queries/s.
    usual : (I, tasks)
        The mean loads of the system.
    """

    minute: int
    expected: FloatArray
    usual: FloatArray

    def __post_init__(self) -> None:
        for name in ("expected", "usual"):
            object.__setattr__(self, name, read_only(getattr(self, name)))


class Policy(Protocol):
    """Decides on the plan of every minute; any object with a `name` and this method will do."""

    @property
    def name(self) -> str:
        """What tables and pictures call it."""
        ...

    def decide(self, planner: Planner, view: View) -> Plan:
        """Return the plan for the minute; ``planner.plan`` is the one in force."""
        ...


@dataclass(frozen=True)
class SolveOnce:
    """One plan, for the mean loads; nothing changes after it."""

    name: str = "solve once"

    def decide(self, planner: Planner, view: View) -> Plan:
        """Return the plan for the minute."""
        return planner.plan if view.minute else planner.place(view.usual)


@dataclass(frozen=True)
class SolveEvery:
    """A new plan every so many minutes, for the loads expected then; nothing changes in between.

    Parameters
    ----------
    minutes
        How many.
    """

    minutes: int = 10

    def __post_init__(self) -> None:
        check_counts(minutes=self.minutes)

    @property
    def name(self) -> str:
        """What tables and pictures call it."""
        return f"solve every {self.minutes} min"

    def decide(self, planner: Planner, view: View) -> Plan:
        """Return the plan for the minute."""
        return planner.plan if view.minute % self.minutes else planner.place(view.expected)


@dataclass(frozen=True)
class RerouteOnly:
    """The placement for the mean loads, routed anew every minute: an LP."""

    name: str = "re-route only"

    def decide(self, planner: Planner, view: View) -> Plan:
        """Return the plan for the minute."""
        placed = planner.plan if view.minute else planner.place(view.usual)
        return planner.route(view.expected, placed.placement)


@dataclass(frozen=True)
class ReplaceWhenItPays:
    """Routed anew every minute; models move only where a proof does not exclude that this pays.

    The solve begins with the placement in force, routed anew, and has a price for every move. It ends as
    soon as its bound proves that moves gain no more than `tolerance` beyond their price; then nothing moves.
    Otherwise the plan found replaces the one in force, if it is better by more than its moves cost.

    Parameters
    ----------
    price
        What a move costs, in mean accuracy during one minute of mean load: 0.01 is one query in a hundred
        answered wrongly for a minute.
    horizon
        For how many minutes a new placement is expected to be of use. In each of them a move has to gain the
        price over this number.
    tolerance
        Relative gap at which a solve ends.
    """

    price: float = 0.01
    horizon: float = 10.0
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("price", "tolerance"):
            number = getattr(self, name)
            if not (is_number(number) and 0 <= number < float("inf")):
                raise ValueError(f"{name}={number!r}: give a number of at least 0")
        check_positive("horizon", self.horizon)

    @property
    def name(self) -> str:
        """What tables and pictures call it."""
        return "re-place when it pays"

    def decide(self, planner: Planner, view: View) -> Plan:
        """Return the plan for the minute."""
        if not view.minute:
            return planner.place(view.expected)
        kept = planner.route(view.expected, planner.plan.placement)
        # A busy minute has more queries that gain.
        busy = float(view.expected.sum() / view.usual.sum())
        price = self.price / (self.horizon * busy)
        # An effort beside the gap: the gap ends the search, and is not pursued at all cost.
        plan = planner.place(view.expected, kept, price, rel_gap=self.tolerance, effort="default")
        moves = int((plan.placement != planner.plan.placement).sum())
        return plan if plan.accuracy - price * moves > kept.accuracy else kept


@dataclass(frozen=True)
class ReplaceAlways:
    """A new plan every minute, whatever has to move for it."""

    name: str = "re-place always"

    def decide(self, planner: Planner, view: View) -> Plan:
        """Return the plan for the minute."""
        return planner.place(view.expected)


@dataclass(frozen=True)
class Clairvoyant(ReplaceAlways):
    """A new plan every minute for its true loads, at no price: the mark that regret is measured against."""

    name: str = "clairvoyant"
