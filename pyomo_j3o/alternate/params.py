"""Parameters of the alternation. Values are chosen on the tuning set."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class GreedyParams:
    """Of the greedy onloading step.

    Attributes
    ----------
    merits : int
        Onloading variables. While rows are covered, the merits of all are computed anew each time that this
        number of them has been looked at.
    wide : int
        Entries. A row with more tells its variables how short it is only when its shortage has halved.
    members : int
        Most members of all bundles together, where a bundle is a variable with all that it requires.
    members_per_entry : int
        Members per onloading variable and entry of a placement row. Where that is more than `members`, it is
        the limit.
    bundles : int
        Bundles that are tried, best first, until one fits.
    """

    merits: int = 4_096
    wide: int = 1_000
    members: int = 20_000
    members_per_entry: int = 4
    bundles: int = 20


@dataclass(frozen=True, slots=True)
class BatchSurrogateParams:
    """Of the surrogate of the set-ups of batches, and of how it comes near the step.

    Attributes
    ----------
    first : float
        Fraction of the largest batch. δ in the first iteration.
    factor : float
        δ is multiplied by it in each iteration.
    small : float
        Fraction of the largest batch. From this δ on, the alternation ends where the same batches as before
        are in use.
    last : float
        Fraction of the largest batch. At this δ the alternation ends in any case.
    """

    first: float = 1.0
    factor: float = 0.25
    small: float = 0.05
    last: float = 1e-3


@dataclass(frozen=True, slots=True)
class LoopParams:
    """Of the alternation and its end.

    Attributes
    ----------
    longest_cycle : int
        Iterations. Of a longer cycle of placements, only the duals of the latest ones are averaged.
    damping : float
        Steps of the prices are multiplied by it each time that a placement comes again after others.
    thrashes : int
        Number of times that a placement may come again after others before the alternation ends.
    patience : int
        Iterations that may pass with little progress, where a search follows.
    least_progress : float
        Fraction of the gap. No more counts as little progress.
    patience_alone : int
        Iterations that may pass without any progress, where no search follows.
    greedy : GreedyParams
    batches : BatchSurrogateParams
    """

    longest_cycle: int = 10
    damping: float = 0.5
    thrashes: int = 3
    patience: int = 2
    least_progress: float = 0.1
    patience_alone: int = 3
    greedy: GreedyParams = field(default_factory=GreedyParams)
    batches: BatchSurrogateParams = field(default_factory=BatchSurrogateParams)
