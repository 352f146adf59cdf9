"""Parameters of the coordination of a fleet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FleetParams:
    """Of the prices, and of the rounds.

    Attributes
    ----------
    sample : int
        Parts, evenly spaced, on which prices are sought first.
    worth_sampling : float
        A fleet of fewer parts than this multiple of a sample does without one.
    sample_rounds : int
        Rounds at most on the sample.
    sampled_gap : float
        The sample agrees where prices are off by less than this fraction of the gap that is sought.
    rounds : int
        Rounds at most on the fleet.
    patience : int
        Rounds in a row that bring neither plan nor bound; then it ends.
    worth : float
        A smaller gain, as a fraction of the gap that is sought, is none.
    part_gaps : tuple of float
        Gaps at which the solve of a part ends, as fractions of the gap that is sought for the fleet: while
        prices are sought, in a round, and where the part's own gap is in the way.
    brief : float
        Effort of a solve while prices are sought.
    part_seconds : float
        Limit of one solve of a part, s.
    blame : float
        Parts are solved for long where their own gaps are at least this fraction of the fleet's.
    sharpened : float
        Sum of the gaps of those parts, as a multiple of what has to go.
    steepest : float
        Price of what exceeds a budget while no mixture of the points is within all, as a multiple of
        objective per use over all parts.
    reaches : int
        Times at most in a row that least uses are sought.
    smoothing : float
        Weight of the best prices against those of the master LP.
    repairs : int
        Partial rounds at most after a round, which move use where the budgets need it.
    dearer : float
        By which fraction prices move in the first of them.
    moved : float
        Use of the parts in a partial round, as a multiple of the use that has to move.
    fitted : float
        Fraction of the prices that a part pays for uses within limits of its own.
    fills : int
        Times at most in a round that what is left of the budgets is offered.
    filled : int
        Parts that it is offered to at a time.
    worth_filling : float
        What is left is offered if it is worth this fraction of the gap at the prices.
    master_seconds : float
        Limit of the choice of one plan per part by HiGHS, s.
    master_gap : float
        Its gap, as a fraction of the gap that is sought.
    reserve : float
        Solves of parts end before the run does, by this fraction of the seconds that are left.
    longest_reserve : float
        That much at most, s.
    late : float
        How much later than the run ends an answer may come, s.
    contradiction : float
        A plan that is worth more than its part's bound by this much, relative to these figures, is an error.
    """

    sample: int = 16
    worth_sampling: float = 3.0
    sample_rounds: int = 8
    sampled_gap: float = 0.2
    rounds: int = 30
    patience: int = 3
    worth: float = 0.02
    part_gaps: tuple[float, float, float] = (1.0, 0.5, 0.25)
    brief: float = 0.5
    part_seconds: float = 60.0
    blame: float = 0.5
    sharpened: float = 2.0
    steepest: float = 0.05
    reaches: int = 10
    smoothing: float = 0.5
    repairs: int = 3
    dearer: float = 0.25
    moved: float = 2.0
    fitted: float = 0.5
    fills: int = 3
    filled: int = 4
    worth_filling: float = 0.1
    master_seconds: float = 10.0
    master_gap: float = 0.05
    reserve: float = 0.05
    longest_reserve: float = 1.0
    late: float = 1.0
    contradiction: float = 1e-3
