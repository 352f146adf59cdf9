"""Parameters of the methods. Values are chosen on the tuning set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartParams:
    """Where J3O's plan is of use to a MIP solver.

    Attributes
    ----------
    near : tuple of float
        Relative gaps of a plan. Between them, a MIP solver has nothing to look for but the proof. Below the
        first, the bound is nearly met, and what is missing for a smaller gap is a better plan.
    flows_per_onloading : float
        Offloading variables per onloading one. With no more, the placement is most of a model, and J3O, which
        prices placements by what they route, is no help.
    worth_improving : tuple of float
        Relative gaps of the alternation's plan. Below the first, the relaxation is nearly integral, and a MIP
        solver ends at its root. Above the second, the relaxation says little, and J3O would search for long.
    share : float
        Fraction of a time limit that the search for a start may take.
    share_if_short : float
        The same where the limit is short for the size.
    nonzeros_per_second : int
        A limit is short for a model of more: presolve and the first LP of a MIP solver may take all of it.
    """

    near: tuple[float, float] = (0.001, 0.02)
    flows_per_onloading: float = 3.0
    worth_improving: tuple[float, float] = (0.0025, 0.25)
    share: float = 0.5
    share_if_short: float = 0.9
    nonzeros_per_second: int = 20_000
