"""A plan in plain data, as servers need it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LoadedModel:
    """A model that a node loads.

    Attributes
    ----------
    name
        The model.
    instances
        How many copies of it the node holds.
    queries_per_second
        What the plan sends to it, all clients and tasks together.
    mean_batch
        Mean queries that one instance collects in a window, or while it works on a planned batch; None
        without either.
    max_batch
        The mean times (1 + headroom of the window), rounded up; 1 at least. Without a window the planned
        batch, and 1 if there is none.
    setup, per_query
        Planned set-up of a batch and time per query, s; None where the model states none.
    wait
        How long a batch may collect queries, s: the window, or the time of a planned batch. None without
        either.
    gpus
        Numbers of the node's GPUs that hold one instance each; empty if the models of the node take turns on
        one processor.
    """

    name: str
    instances: int
    queries_per_second: float
    mean_batch: float | None
    max_batch: int
    setup: float | None = None
    per_query: float | None = None
    wait: float | None = None
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True)
class Node:
    """A node, and what it loads.

    Attributes
    ----------
    name
        The node.
    is_client
        Whether queries begin here.
    window, headroom
        T_b in s, and the fraction of it that the plan keeps free; None for a node that does not batch.
    models
        Those that the plan places here, in the order of the model.
    """

    name: str
    is_client: bool
    window: float | None
    headroom: float | None
    models: tuple[LoadedModel, ...]


@dataclass(frozen=True)
class Destination:
    """Where a share of the queries of one client and task goes.

    Attributes
    ----------
    node, model
        The node and its model. For the cloud, ``"cloud"`` and, where clients have several edge servers, the
        one on the way.
    share
        Share of the queries, above 0.
    """

    node: str
    model: str
    share: float


@dataclass(frozen=True)
class Route:
    """Where the queries of one client and task go.

    Attributes
    ----------
    client, task
        Whose queries, and for what.
    rate
        Queries/s.
    destinations
        By falling share.
    """

    client: str
    task: str
    rate: float
    destinations: tuple[Destination, ...]

    @property
    def dropped(self) -> float:
        """Share of the queries that no destination answers."""
        return max(0.0, 1.0 - sum(d.share for d in self.destinations))

    @property
    def sent(self) -> tuple[Destination, ...]:
        """The destinations other than the client itself."""
        return tuple(d for d in self.destinations if d.node != self.client)


@dataclass(frozen=True)
class Deployment:
    """A plan in plain data.

    Attributes
    ----------
    system
        Name of the model.
    nodes
        Every node that may hold a model, in the order of the model.
    routes
        One for each client and task with queries.
    notes
        What a server would do otherwise than the plan, in sentences.
    """

    system: str
    nodes: tuple[Node, ...]
    routes: tuple[Route, ...]
    notes: tuple[str, ...] = ()

    @property
    def servers(self) -> tuple[str, ...]:
        """Names of the nodes that are no clients and hold a model."""
        return tuple(node.name for node in self.nodes if node.models and not node.is_client)
