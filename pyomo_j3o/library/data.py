"""Plain-data descriptions, checked once, free of Pyomo: inference systems, and sites with their customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

CLOUD = "cloud"
"""Name of the one node that every edge server hangs on, and of the model that it runs."""

#: One way to answer: (client, task, node, model).
Option = tuple[str, str, str, str]


@dataclass(frozen=True, eq=False)
class InferenceData:
    """Clients, edge servers, models and tasks of one instance, as arrays.

    A client sends queries for tasks; its queries run on a model that is onloaded on the client itself, on a
    model that is onloaded on its edge server (or on one of several), or in the cloud. Nodes are the clients
    followed by the edge servers, in this order wherever an axis has length ``N = I + E``.

    Parameters
    ----------
    models
        Names of the M models.
    memory
        Footprint r_m, shape (M,), in ``memory_unit``.
    tasks
        Names of the T tasks.
    query_size
        Payload b_t of one query, shape (T,), in ``payload_unit``.
    accuracy
        a_mt, shape (M, T), dimensionless and at least 0; NaN where model m cannot do task t.
    cloud_accuracy
        Accuracy of the cloud on each task, shape (T,); NaN where the cloud does not do the task.
    clients, edges
        Names of the I clients and the E edge servers, all different.
    edge_of
        For each client the name of the edge server that it hangs on, length I; not used if there are
        `reaches`.
    load
        λ_it, shape (I, T), queries/s.
    service_time
        τ_nm, shape (N, M), seconds of compute per query; NaN where node n cannot run model m.
    memory_budget
        μ_n, shape (N,), in ``memory_unit``; inf for no limit, as for the other budgets.
    compute_budget
        β_n, shape (N,), seconds of compute per second (1 = one processor always busy). Of each window of an
        edge server it leaves β_n T_b seconds.
    uplink_budget
        κ_n, shape (N,), ``payload_unit``/s: from a client to its edge server, from that to the cloud.
    window
        T_b, shape (E,) or one number for all, seconds: queries that reach an edge server in one window run
        in the next, as one batch per model. None if edge servers do not batch; inf is no window.
    setup_time
        ν_em, shape (E, M), seconds that a batch of model m costs on edge server e however small it is; given
        if `window` is, and 0 where it was not.
    name, memory_unit, payload_unit
        Labels for tables and pictures.
    reaches
        Per client the names of the edge servers that it may use, one or more. None if each client uses the
        one that it hangs on.

    Raises
    ------
    ValueError
        If a field is empty, has the wrong shape, holds a NaN, a negative number or an unknown name. The
        message names field and index, and says what to do.
    """

    models: tuple[str, ...]
    memory: np.ndarray
    tasks: tuple[str, ...]
    query_size: np.ndarray
    accuracy: np.ndarray
    cloud_accuracy: np.ndarray
    clients: tuple[str, ...]
    edges: tuple[str, ...]
    edge_of: tuple[str, ...]
    load: np.ndarray
    service_time: np.ndarray
    memory_budget: np.ndarray
    compute_budget: np.ndarray
    uplink_budget: np.ndarray
    window: np.ndarray | None = None
    setup_time: np.ndarray | None = None
    name: str = "inference system"
    memory_unit: str = "GB"
    payload_unit: str = "Mbit"
    reaches: Mapping[str, Sequence[str]] | None = None

    def __post_init__(self) -> None:
        for field in ("models", "tasks", "clients", "edges", "edge_of"):
            object.__setattr__(self, field, _names(field, getattr(self, field)))
        _check_names(self)
        if self.reaches is not None:
            object.__setattr__(self, "reaches", _known_edges(self, self.reaches))
        n_models, n_tasks, n_clients = len(self.models), len(self.tasks), len(self.clients)
        per_model, per_task = ("models",), ("tasks",)
        node = ("nodes: clients, then edges",)
        shapes = {
            "memory": ((n_models,), per_model),
            "query_size": ((n_tasks,), per_task),
            "accuracy": ((n_models, n_tasks), per_model + per_task),
            "cloud_accuracy": ((n_tasks,), per_task),
            "load": ((n_clients, n_tasks), ("clients", *per_task)),
            "service_time": ((len(self.nodes), n_models), node + per_model),
            "memory_budget": ((len(self.nodes),), node),
            "compute_budget": ((len(self.nodes),), node),
            "uplink_budget": ((len(self.nodes),), node),
        }
        if self.window is not None:
            n_edges = len(self.edges)
            if np.ndim(self.window) == 0:
                object.__setattr__(self, "window", np.full(n_edges, self.window))
            if self.setup_time is None:
                object.__setattr__(self, "setup_time", np.zeros((n_edges, n_models)))
            shapes["window"] = ((n_edges,), ("edges",))
            shapes["setup_time"] = ((n_edges, n_models), ("edges", *per_model))
        elif self.setup_time is not None:
            raise ValueError(
                "setup_time: given without a window, so nothing is batched; give both or neither"
            )
        for field, (shape, axes) in shapes.items():
            object.__setattr__(self, field, _array(self, field, shape, axes))
        if not self.load.sum() > 0:
            raise ValueError(
                "load: no client sends any query, so there is nothing to serve; give at least "
                "one client and task a positive rate (queries/s)"
            )

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the N = I + E nodes that hold models: the clients, then the edge servers."""
        return self.clients + self.edges

    @property
    def reach(self) -> dict[str, tuple[str, ...]]:
        """The edge servers that each client may use: those of `reaches`, else the one of `edge_of`."""
        if self.reaches is not None:
            return {client: tuple(edges) for client, edges in self.reaches.items()}
        return {client: (edge,) for client, edge in zip(self.clients, self.edge_of, strict=True)}

    @property
    def total_load(self) -> float:
        """Λ, the queries per second of all clients and tasks together."""
        return float(self.load.sum())

    @property
    def windows(self) -> dict[str, float]:
        """Lengths T_b in s of the windows that limit what an edge server runs, by edge server.

        Left out are windows of inf, and edge servers whose compute budget is 0 or inf: no window makes a
        difference there.
        """
        if self.window is None:
            return {}
        rows = zip(self.edges, self.window.tolist(), self._edge_compute, strict=True)
        return {edge: length for edge, length, beta in rows if length < np.inf and 0 < beta < np.inf}

    def batch_times(self, edge: str) -> tuple[dict[str, float], dict[str, float]]:
        """Return set-up time and time per query of each model in a batch on an edge server with a window.

        A compute budget β is the share of the processor that these models get: a batch takes as long as on a
        processor that is 1/β times as slow, so both times are divided by β. The longer the window, the less
        set-ups matter: Σ (ν/β · 1[q > 0] + τ/β · q) ≤ T with q = T·rate tends to the compute row
        Σ τ·rate ≤ β.

        Parameters
        ----------
        edge
            One of `windows`.

        Returns
        -------
        tuple of dict
            ν/β and τ/β in s, by model; τ is NaN where the edge server cannot run the model.
        """
        if self.setup_time is None or edge not in self.windows:
            raise ValueError(
                f"{edge!r}: no edge server with a window; those are {', '.join(self.windows) or '(none)'}"
            )
        e = self.edges.index(edge)
        setup, per_query = (
            dict(zip(self.models, (seconds / self._edge_compute[e]).tolist(), strict=True))
            for seconds in (self.setup_time[e], self.service_time[len(self.clients) + e])
        )
        return setup, per_query

    @property
    def _edge_compute(self) -> list[float]:
        return self.compute_budget[len(self.clients) :].tolist()

    def clients_of(self, edge: str) -> list[int]:
        """Return the positions in ``clients`` of those that may use `edge`."""
        reach = self.reach
        return [i for i, client in enumerate(self.clients) if edge in reach[client]]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InferenceData):
            return NotImplemented
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return all(
            np.array_equal(a, b, equal_nan=True)
            if isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
            else type(a) is type(b) and a == b
            for a, b in pairs
        )

    def __repr__(self) -> str:
        return (
            f"<InferenceData {self.name!r}: {len(self.clients)} clients, {len(self.edges)} edge servers, "
            f"{len(self.models)} models, {len(self.tasks)} tasks>"
        )


@dataclass(frozen=True, eq=False)
class FacilityData:
    """Sites that may be opened and customers that have to be served from open ones.

    Parameters
    ----------
    opening
        (I,) cost of opening each site.
    capacity
        (I,) what each site can serve, in units of demand; inf if anything.
    demand
        (J,) demand of each customer.
    cost
        (I, J) cost of serving one unit of the customer's demand from the site.

    Raises
    ------
    ValueError
        If the shapes do not agree, or an entry is negative or not a number.
    """

    opening: np.ndarray
    capacity: np.ndarray
    demand: np.ndarray
    cost: np.ndarray

    def __post_init__(self) -> None:
        for field in ("opening", "capacity", "demand", "cost"):
            array = np.asarray(getattr(self, field), dtype=float)
            if np.isnan(array).any() or (array < 0).any():
                raise ValueError(
                    f"{field}: has an entry that is negative or not a number; give numbers of at least 0"
                )
            object.__setattr__(self, field, array)
        sites, customers = self.opening.size, self.demand.size
        for field, shape in (
            ("opening", (sites,)),
            ("capacity", (sites,)),
            ("demand", (customers,)),
            ("cost", (sites, customers)),
        ):
            if getattr(self, field).shape != shape:
                raise ValueError(f"{field}: has the shape {getattr(self, field).shape}; give one of {shape}")


# NaN says "cannot", and inf says "no limit"; elsewhere either is a slip of the hand.
_MAY_BE_NAN = {
    "accuracy": "cannot do the task",
    "cloud_accuracy": "does not do the task",
    "service_time": "cannot run the model",
}
_MAY_BE_INF = {"memory_budget", "compute_budget", "uplink_budget", "window"}


def _names(field: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ValueError(f"{field}: one text {value!r} instead of a sequence of names; write [{value!r}]")
    names = tuple(value)
    if not names:
        raise ValueError(f"{field}: empty; give at least one name")
    for position, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"{field}[{position}]: {name!r} is not a name; use a non-empty text")
    return tuple(str(name) for name in names)


def _check_names(data: InferenceData) -> None:
    for field, names in (("models", data.models), ("tasks", data.tasks), ("clients and edges", data.nodes)):
        seen = set()
        for name in names:
            if name in seen:
                raise ValueError(f"{field}: the name {name!r} occurs twice; every name must be different")
            seen.add(name)
    if CLOUD in data.nodes:
        raise ValueError(f"clients and edges: {CLOUD!r} is kept for the cloud; rename that node")
    if len(data.edge_of) != len(data.clients):
        raise ValueError(
            f"edge_of: {len(data.edge_of)} entries for {len(data.clients)} clients; give one "
            "edge server per client"
        )
    for client, edge in zip(data.clients, data.edge_of, strict=True):
        if edge not in data.edges:
            raise ValueError(
                f"edge_of[{client!r}]: unknown edge server {edge!r}; known are "
                f"{', '.join(map(repr, data.edges))}"
            )


def _known_edges(data: InferenceData, reaches: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return the edge servers of each client without repetition, or say what is wrong with them."""
    for client in reaches:
        if client not in data.clients:
            raise ValueError(
                f"reaches[{client!r}]: unknown client; known are {', '.join(map(repr, data.clients))}"
            )
    found = {}
    for client in data.clients:
        edges = reaches.get(client, ())
        found[client] = tuple(dict.fromkeys(edges))
        if not found[client] or any(e not in data.edges for e in found[client]):
            raise ValueError(
                f"reaches[{client!r}]={edges!r}: give one or more of the edge servers {', '.join(data.edges)}"
            )
    return found


def _array(data: InferenceData, field: str, shape: tuple[int, ...], axes: tuple[str, ...]) -> np.ndarray:
    try:
        array = np.array(getattr(data, field), dtype=float)
    except (TypeError, ValueError) as err:
        raise ValueError(f"{field}: not an array of numbers ({err})") from None
    if array.shape != shape:
        raise ValueError(
            f"{field}: shape {array.shape} where {shape} is expected, one entry per {' and per '.join(axes)}"
        )
    labels = {"models": data.models, "tasks": data.tasks, "clients": data.clients, "edges": data.edges}
    wrong = (
        (array < 0, "is negative", "give a number of at least 0"),
        ((array == 0) & (field == "window"), "is no window", "give a length in seconds, or None"),
        (np.isinf(array) & (field not in _MAY_BE_INF), "is not finite", "give a finite number"),
        (
            np.isnan(array) & (field not in _MAY_BE_NAN),
            "is NaN",
            "fill the gap; only " + ", ".join(_MAY_BE_NAN) + " may hold NaN, where something cannot be done",
        ),
    )
    for mask, fault, remedy in wrong:
        if mask.any():
            at = np.argwhere(mask)[0]
            index = ", ".join(repr(labels.get(axis, data.nodes)[k]) for axis, k in zip(axes, at, strict=True))
            raise ValueError(f"{field}[{index}]: {array[tuple(at)]} {fault}; {remedy}")
    array.setflags(write=False)
    return array
