"""Parameters of presolve. Values are chosen on the tuning set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PropagationParams:
    """Of bounds that follow from the rows.

    Attributes
    ----------
    rounds : int
        Passes over all rows.
    chain : int
        Most further passes over rows that hold a column without an end: through stocks, say, an end travels
        one period in each pass.
    """

    rounds: int = 3
    chain: int = 60


@dataclass(frozen=True, slots=True)
class PresolveParams:
    """Of what is done to a problem before it is searched.

    Attributes
    ----------
    smallest_part : int
        Columns. Smaller independent components share a part until it has this number of them.
    families : int
        Families of rows, the largest, that are worth an LP each for an aggregated row.
    refinements : int
        Rounds of colour refinement that tell the families apart.
    negligible : float
        Fraction of a window. Where all its set-ups together are less, they are left to the last LP.
    """

    smallest_part: int = 200
    families: int = 8
    refinements: int = 2
    negligible: float = 1e-5
