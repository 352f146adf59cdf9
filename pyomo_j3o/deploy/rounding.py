"""Shares of what leaves a client as whole weights, and what these leave out."""

from __future__ import annotations

from pyomo_j3o.deploy.records import Deployment, Destination, Route
from pyomo_j3o.deploy.weights import whole_weights


def weights_of(route: Route, total: int) -> dict[Destination, int]:
    """Return the weights of the destinations other than the client; they add up to `total`, if there are any.

    What the client answers itself, and what is dropped, never meets a splitter.
    """
    if not route.sent:
        return {}
    weights = whole_weights([to.share for to in route.sent], total)
    return dict(zip(route.sent, weights, strict=True))


def rounded_away(deployment: Deployment, total: int) -> list[str]:
    """Return a sentence for each share above 0 whose weight is 0."""
    return [
        f"Of the queries of {route.client!r} for {route.task!r}, the share {to.share:.3g} for {to.model!r} "
        f"on {to.node!r} has the weight 0 of {total}: a splitter with these weights sends nothing there."
        for route in deployment.routes
        for to, weight in weights_of(route, total).items()
        if weight == 0
    ]
