"""What one comparison measures: instances, runs, settings; no solver and no Pyomo here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pyomo_j3o.errors import J3OError


class CompareError(J3OError):
    """The comparison cannot be made as it was asked for; the message says what to give instead."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What every solver is told.

    Attributes
    ----------
    time_limit : float
        Seconds per run.
    gap : float
        Relative gap at which a solver may stop, and at which a plan counts as proven.
    threads : int
        Threads per solver.
    tolerance : float
        By how much a plan may miss a row, a bound or a whole number, relative to ``max(1, |side|)``.
    side_by_side : str
        Where several runs go on at a time; empty if they go on one after the other.
    """

    time_limit: float = 60.0
    gap: float = 1e-4
    threads: int = 1
    tolerance: float = 1e-5
    side_by_side: str = ""


@dataclass(frozen=True, slots=True)
class Instance:
    """One model to solve.

    Attributes
    ----------
    name, size : str
        As shown; the boxes of the picture are one per size.
    seed : int
        Drew the instance, if it was drawn, and is the random seed of the solvers.
    sense : int
        1 to maximise, -1 to minimise.
    variables, integers, constraints : int
        How many there are.
    """

    name: str
    size: str
    seed: int
    sense: int
    variables: int
    integers: int
    constraints: int


@dataclass(frozen=True, slots=True)
class Run:
    """What one solver did on one instance.

    Attributes
    ----------
    solver : str
        Its label.
    outcome : str
        ``"plan"``, ``"no plan"``, ``"infeasible"``, ``"unbounded"``, ``"absent"``, ``"licence"``,
        ``"unsupported"``, ``"failed"`` or ``"interrupted"`` (before there was a plan).
    condition : str
        How the solver says that it ended, in Pyomo's words.
    reason : str
        Why there is no plan, where somebody said so.
    claimed : float or None
        The objective as the solver gives it.
    objective : float or None
        The objective of the plan, computed from the model.
    bound : float or None
        What the solver says that no plan can beat.
    seconds : float or None
        From the call of solve() to the values in the model.
    complaints : tuple of str
        What is wrong with the plan; empty if it is right.
    notes : tuple of str
        What the solver's interface had to warn of.
    """

    solver: str
    outcome: str
    condition: str = ""
    reason: str = ""
    claimed: float | None = None
    objective: float | None = None
    bound: float | None = None
    seconds: float | None = None
    complaints: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entrant:
    """A solver as it takes part: its label, and what it is told.

    Attributes
    ----------
    label, name, version : str
        ``name`` is the one that Pyomo knows.
    told : dict
        The settings and options, by the solver's own names.
    untold : tuple of str
        The settings that this solver's interface has no way to take.
    missing : str
        Why it cannot run; empty if it can.
    """

    label: str
    name: str
    version: str = ""
    told: dict[str, Any] = field(default_factory=dict)
    untold: tuple[str, ...] = ()
    missing: str = ""
