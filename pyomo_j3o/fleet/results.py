"""What `solve_parts` returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pyomo_j3o.core.html import html_paragraphs
from pyomo_j3o.core.results import relative_gap
from pyomo_j3o.core.table import Table
from pyomo_j3o.fleet.records import Name


@dataclass(frozen=True, slots=True)
class Round:
    """What is known of the fleet after one round. Figures are in the sense of the models.

    Attributes
    ----------
    round : int
        Counted from 1.
    prices : dict
        At which the parts were asked, by budget.
    solved : int
        Solves of a part so far.
    objective : float
        Of the best plan so far; the worst infinity before there is one.
    bound : float
        The best so far.
    gap : float
        Relative.
    share : float
        Use of the tightest budget by that plan, as a fraction of its limit; NaN without a plan.
    time : float
        Seconds since the call.
    """

    round: int
    prices: dict[str, float]
    solved: int
    objective: float
    bound: float
    gap: float
    share: float
    time: float


@dataclass(frozen=True, slots=True)
class PartResult:
    """One part in the plan of the fleet. Figures are in the sense of its model.

    Attributes
    ----------
    objective : float or None
        Of its plan; None if it has none.
    uses : dict
        Of its plan, by shared budget.
    bound : float
        Proven, at the prices of the fleet's bound: what ``objective - prices @ uses`` cannot beat (plus,
        where models are minimised).
    status : str
        How its last solve ended, by the name of Pyomo's termination condition, such as
        ``"convergenceCriteriaSatisfied"`` or ``"maxTimeLimit"``; ``"lost"`` if its workers died, and
        ``"not visited"`` if the run ended before.
    note : str
        Why its bound is loose, or why it has no plan; empty if all is well.
    priced : float or None
        The objective of its plan at these prices: what `bound` is a bound on.
    """

    objective: float | None
    uses: dict[str, float]
    bound: float
    status: str
    note: str = ""
    priced: float | None = None


@dataclass(frozen=True, eq=False)
class FleetResult:
    """A plan of the fleet, and what is proven about it; printing it gives a summary.

    Attributes
    ----------
    status
        ``"optimal"`` if every part has a plan and the gap is within the one that was asked for;
        ``"feasible"`` if every part has a plan, and together they are within the budgets; else ``"no plan"``.
    message
        How the run ended.
    objective
        Sum over the parts; the worst infinity if there is no plan of the whole fleet.
    bound
        Proven: no plan of the fleet is better.
    prices
        At which the bound is proven, by shared budget: what one more unit of it is worth at most, in the long
        run.
    uses, limits
        By shared budget; `uses` is empty without a plan.
    rounds
        The trace.
    parts
        By name.
    seconds
        Of process time that the workers solved, in all.
    """

    status: str
    message: str
    objective: float
    bound: float
    prices: dict[str, float]
    uses: dict[str, float]
    limits: dict[str, float]
    rounds: list[Round]
    parts: dict[Name, PartResult]
    seconds: float
    _plan: Callable[[Name], dict[str, float]] = field(repr=False)

    @property
    def gap(self) -> float:
        """The relative gap between plan and bound."""
        return relative_gap(self.objective, self.bound)

    @property
    def without_plan(self) -> list[Name]:
        """The parts that no plan was found for."""
        return [name for name, part in self.parts.items() if part.objective is None]

    def plan(self, name: Name) -> dict[str, float]:
        """Return the values of one part's variables, by name; those that are missing are 0.

        If the status is ``"no plan"``, it is the best plan of this part at the prices: plans of all parts
        need not be within the budgets together.

        Parameters
        ----------
        name
            Of the part.
        """
        if name not in self.parts:
            raise KeyError(f"no part is called {name!r}")
        return self._plan(name)

    @property
    def table(self) -> Table:
        """One row for every part."""
        columns = ("part", "objective", "at prices", "bound at prices", *self.limits, "status", "note")
        rows = [
            {
                "part": name,
                "objective": part.objective,
                "at prices": part.priced,
                "bound at prices": part.bound,
                **{budget: part.uses.get(budget) for budget in self.limits},
                "status": part.status,
                "note": part.note,
            }
            for name, part in self.parts.items()
        ]
        return Table(columns, rows)

    def _repr_html_(self) -> str:
        return html_paragraphs(*str(self).splitlines()) + self.table._repr_html_()

    def __str__(self) -> str:
        lines = [self.message]
        for budget, limit in self.limits.items():
            used = f"{self.uses[budget]:g}" if self.uses else "-"
            lines.append(f"{budget}: {used} of {limit:g}, price {self.prices[budget]:g}")
        return "\n".join(lines)
