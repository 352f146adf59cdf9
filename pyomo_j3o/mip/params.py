"""Parameters of the MIP solvers' adapters, which have no settings. Values are chosen on the tuning set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HighsParams:
    """Of HiGHS under a time limit, and of its proofs from a start near the optimum.

    Attributes
    ----------
    presolved_per_second : float
        Nonzeros that HiGHS's presolve takes a second for, where it is slow. Where the limit is shorter for
        the size, what does not look at the clock is left out.
    jumped_per_second : float
        Nonzeros that the feasibility jump, which does not look at the clock either, takes a second for.
    set_up_per_second : float
        Nonzeros that HiGHS takes a second to set up before its first LP: with less time it finds nothing.
    ended_per_second : float
        Nonzeros on which HiGHS still works for a second when its limit is over, rounding what its last LP
        left. Its limit is earlier by as much.
    largest_end : float
        Fraction of the limit that this may not exceed.
    second_look : int
        Most nodes of a second look at what presolve calls infeasible.
    stuck : float
        Fraction of the gap. A proof is stuck, and HiGHS's own search for plans is given back, where
        `stuck_factor` times the nodes found no better plan and left this much of the gap, or more.
    stuck_factor : int
        See `stuck`.
    stuck_after : int
        Nodes with which the count for `stuck` begins.
    """

    presolved_per_second: float = 20_000
    jumped_per_second: float = 100_000
    set_up_per_second: float = 400_000
    ended_per_second: float = 500_000
    largest_end: float = 0.25
    second_look: int = 100
    stuck: float = 0.9
    stuck_factor: int = 4
    stuck_after: int = 50
