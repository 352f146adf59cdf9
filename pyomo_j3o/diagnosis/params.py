"""Parameters of the searches for conflicts and for what relieves them: constants, no settings.

Values are chosen on the tuning set.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConflictParams:
    """Of the search for an irreducible infeasible subsystem (IIS).

    Attributes
    ----------
    weightings : int
        Weightings of the elastic LP that are solved, to find a small set of rows.
    sets : int
        Most sets of rows that are made irreducible; the smallest is kept.
    share_of_rows : float
        Fraction of the time left that one set of rows may take.
    share_of_ties : float
        Fraction of the time left that the ties and bounds of a set of rows may take.
    share_of_relief : float
        Fraction of the time left that relieving a conflict may take.
    share_of_question : float
        Fraction of the time left for the question whether there are more conflicts than were asked for.
    seconds_of_never : float
        Seconds that each search for the relief of a row may take that no multiple of its unit satisfies.
    unanswered : int
        Sides of one component in a row that have no answer in time, after which the others are not asked.
    fine : float
        Units of rows in whole numbers, relative to a side. Smaller ones are beyond a MIP solver's tolerances.
    """

    weightings: int = 6
    sets: int = 4
    share_of_rows: float = 0.5
    share_of_ties: float = 0.25
    share_of_relief: float = 0.25
    share_of_question: float = 0.5
    seconds_of_never: float = 1.0
    unanswered: int = 3
    fine: float = 1e-4


@dataclass(frozen=True, slots=True)
class RelaxingParams:
    """Of the search for the least move of named sides.

    Attributes
    ----------
    gap : float
        Gap of the share, or of the sum of shares, at which the search ends.
    gap_of_sides : float
        Gap in shares of a side at which the search ends: what nobody would count.
    gain : float
        Fraction of the gap that has to be closed to count as a gain.
    patience : float
        The search ends if it has waited for a gain this number of times as long as all gains took.
    times_the_lp : float
        Once a point is known, a part is searched for this number of times as long as its LP relaxation took.
    seconds : float
        And at least this number of seconds. These are seconds of process time.
    wide : float
        Gap, as a part of the factor, for which this holds. It waits in proportion to the gap, within
        `proportion`.
    proportion : tuple of float
        Least and largest multiple of that time.
    sure : float
        Values of the LP relaxation from this one on are rounded up together.
    rounded : float
        Fraction of the fractional ones that are rounded up together in any case.
    first : float
        Fraction of the time left that rounding may take, and as much again the first point of the MILP.
    around : float
        Fraction of the time left that the search around the rounded point may take.
    """

    gap: float = 1e-4
    gap_of_sides: float = 1e-5
    gain: float = 0.05
    patience: float = 0.5
    times_the_lp: float = 8.0
    seconds: float = 1.0
    wide: float = 0.02
    proportion: tuple[float, float] = (0.5, 5.0)
    sure: float = 0.8
    rounded: float = 0.1
    first: float = 0.5
    around: float = 0.5
