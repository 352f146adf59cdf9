"""Constants of the export of plans."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeployParams:
    """Constants of the export of plans.

    Attributes
    ----------
    graph_total : int
        What the weights of one KServe graph add up to; KServe takes no other number.
    route_total : int
        What the weights of one route of the Gateway API or of Envoy add up to.
    fractional : float
        An onloading variable farther than this from a whole number is no placement.
    stale : float
        Where the objective of the model is farther than this from that of the results, relative to the larger
        of it and 1, the model does not hold the plan of the results.
    """

    graph_total: int = 100
    route_total: int = 10_000
    fractional: float = 1e-4
    stale: float = 1e-4


PARAMS = DeployParams()
