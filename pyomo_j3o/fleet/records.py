"""What travels between the master and the workers: small arrays, and no model."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

#: How long a part is solved: while prices are sought, in a round, and where its own gap is in the way.
BRIEF, USUAL, LONG = 0, 1, 2

#: A part's name.
Name = Hashable


@dataclass(frozen=True, slots=True)
class Task:
    """One solve of a part: maximise ``weight * objective - prices @ uses``.

    Attributes
    ----------
    prices : tuple of float
        One per budget, >= 0, in the objective's unit per unit of the budget.
    weight : float
        1; 0 to find the least use alone.
    caps : tuple of float or None
        Limits on this part's uses. Such a solve proves nothing about the part without them.
    effort : int
        `BRIEF`, `USUAL` or `LONG`.
    """

    prices: tuple[float, ...]
    weight: float = 1.0
    caps: tuple[float, ...] | None = None
    effort: int = USUAL


@dataclass(frozen=True, slots=True)
class Look:
    """What the columns of a part's model say, without a solve. All figures are maximised.

    Attributes
    ----------
    sense : int
        1 if the model is maximised, -1 if minimised.
    highest : float
        The objective cannot be above; inf if the bounds of its variables say nothing.
    least, most : tuple of float
        Between these the uses lie, one per budget.
    holds : tuple of bool
        Which budgets the part has at all.
    """

    sense: int
    highest: float
    least: tuple[float, ...]
    most: tuple[float, ...]
    holds: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one solve of a part has found. All figures are maximised.

    Attributes
    ----------
    task : Task
    objective : float or None
        Of the plan, without prices; None if there is no plan.
    uses : tuple of float
        Of the plan, one per budget.
    bound : float
        Proven: no plan of the part is worth more at these prices.
    status : str
        How the solve ended.
    seconds : float
        Of process time.
    plan : dict
        Values other than 0, by the names of the variables.
    """

    task: Task
    objective: float | None
    uses: tuple[float, ...]
    bound: float
    status: str
    seconds: float
    plan: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """What one visit to a part has found.

    Attributes
    ----------
    look : Look
    answers : tuple of Answer
    """

    look: Look
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a part cannot be planned.

    Attributes
    ----------
    sentence : str
        What went wrong.
    traceback : str
        Of the worker; empty if nothing was raised.
    """

    sentence: str
    traceback: str = ""
