"""Hierarchical-inference models for Pyomo, annotated and ready to solve.

The description of a system (`InferenceData`), its readers and the Taskonomy instances come from modules that
know nothing of Pyomo; this one turns a description into the model that the theory page of the docs states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o.library.building import weighted
from pyomo_j3o.library.data import CLOUD, InferenceData
from pyomo_j3o.library.domainnet_figures import domainnet_data
from pyomo_j3o.library.taskonomy_figures import (
    taskonomy_data,
)
from pyomo_j3o.modeling.annotate import OffloadingBlock, OnloadingBlock
from pyomo_j3o.modeling.batching_window import BatchingWindow

#: One way to answer: (client, task, node, model).
Option = tuple[str, str, str, str]
_Row = list[tuple[float, Option]]


class _Terms(NamedTuple):
    """Per family of rows and per row: coefficients of the shares really served, and their options."""

    demand: dict[tuple[str, str], _Row]
    compute: dict[str, _Row]
    client_uplink: dict[str, _Row]
    edge_uplink: dict[str, _Row]
    batches: dict[str, dict[str, _Row]]
    objective: _Row


def build_model(
    data: InferenceData, droppable: bool = False, form: str = "linear", headroom: float = 0.0
) -> pyo.ConcreteModel:
    """Write the joint onloading and offloading model of one system.

    ::

        max  Σ_it (λ_it/Λ) Σ_h a_h y_ith
        s.t. Σ_h y_ith = 1   (≤ 1 if droppable)           demand[client, task]
             y_ith ≤ x_nm                                  link[client, task, node, model]
             Σ_m r_m x_nm ≤ μ_n                            memory[node]
             Σ λ_it τ_nm y_ith ≤ β_n                       compute[node]
             Σ λ_it b_t y_ith ≤ κ_i   (h not on i)         client_uplink[client]
             Σ λ_it b_t y_ith ≤ κ_e   (h in the cloud)     edge_uplink[edge]

    An edge server that has a window runs its queries in batches. There, with q_m = T_b Σ λ_it y_item the mean
    batch size of model m, the compute row gives way to::

             Σ_m (ν_em·1[q_m > 0] + τ_em q_m) ≤ (1 − headroom) β_e T_b              batch[edge]

    The product form has no ``link`` rows; there x·y stands wherever a model must be onloaded for y to count.
    Both forms have the same optimum: a feasible (x, y) of the linear form is one of the product form with the
    same value, and in the product form replacing y by x·y gives a feasible point of the linear form. The
    window's row is written in y, not x·y, in both: y ≥ x·y, so the replacement can only make batches smaller.

    Parameters
    ----------
    data
        The system.
    droppable
        Whether queries may be dropped, at an accuracy of 0.
    form
        ``"linear"`` (a MILP) or ``"product"`` (products of an onloading and an offloading variable).
    headroom
        Part of every window that is kept free, from 0 to below 1: batches are as large as planned only on
        average. It takes from what can be run, so a system that must not drop queries may not have a plan.

    Returns
    -------
    pyomo.environ.ConcreteModel
        Holds ``place.x[node, model]`` (binary), ``route.y[client, task, node, model]`` (share of the
        queries, in [0, 1]; node and model are ``"cloud"`` for the cloud), the rows above, the objective
        ``mean_accuracy`` (maximised), and `data` itself as the attribute ``data``. With windows, ``batch`` is
        a `BatchingWindow` over the edge servers of ``data.windows``. A variable x exists only where the model
        fits the node's memory by itself, its set-up the window, and it can answer a task that the node may be
        asked; rows whose budget is infinite, or that would be empty, are left out.

    Raises
    ------
    ValueError
        If `form` is unknown, a demand that must not be dropped has no option at all, or `headroom` is out of
        range or given to a system without windows.
    """
    if form not in ("linear", "product"):
        raise ValueError(f"form={form!r}: unknown; use 'linear' or 'product'")
    if not 0 <= headroom < 1:
        raise ValueError(f"headroom={headroom!r}: give the part of a window to keep free, from 0 to below 1")
    if headroom > 0 and data.window is None:
        raise ValueError(
            f"headroom={headroom!r}: no edge server has a window; give the data a window, or leave it at 0"
        )
    held = _models_worth_onloading(data, headroom)
    options = _options(data, held)

    m = pyo.ConcreteModel(name=data.name)
    m.data = data
    m.place = OnloadingBlock()
    m.place.x = pyo.Var([(n, k) for n, models in held.items() for k in models], domain=pyo.Binary)
    m.route = OffloadingBlock()
    m.route.y = pyo.Var(options, bounds=(0, 1))
    x, y = m.place.x, m.route.y

    if form == "linear":
        total = _linear_sum(y)
        # Rows are assigned one by one, not by rule: a model that holds a local function cannot be pickled.
        m.link = pyo.Constraint(pyo.Any)
        for h in options:
            if h[2] != CLOUD:
                m.link[h] = y[h] <= x[h[2:]]
    else:
        total = _product_sum(x, y)

    terms = _terms_by_row(data, options)
    m.demand = pyo.Constraint(pyo.Any)
    for i, client in enumerate(data.clients):
        for t, task in enumerate(data.tasks):
            row = terms.demand.get((client, task))
            if row is None and data.load[i, t] > 0 and not droppable:
                raise ValueError(
                    f"load[{client!r}, {task!r}]: no model that fits the client or its edge server "
                    "can do this task, and the cloud does not; give an accuracy, a larger memory "
                    "budget or a longer window, or build the model with droppable=True"
                )
            if row is not None:
                m.demand[client, task] = total(row) <= 1 if droppable else total(row) == 1

    budget = {
        field: dict(zip(data.nodes, getattr(data, field).tolist(), strict=True))
        for field in ("memory_budget", "compute_budget", "uplink_budget")
    }
    footprint = dict(zip(data.models, data.memory.tolist(), strict=True))
    m.memory = pyo.Constraint(pyo.Any)
    for node, models in held.items():
        if models and math.isfinite(budget["memory_budget"][node]):
            row = weighted((footprint[k], x[node, k]) for k in models)
            m.memory[node] = row <= budget["memory_budget"][node]
    for component, field in (
        ("compute", "compute_budget"),
        ("client_uplink", "uplink_budget"),
        ("edge_uplink", "uplink_budget"),
    ):
        rows = pyo.Constraint(pyo.Any)
        m.add_component(component, rows)
        for node, row in getattr(terms, component).items():
            if math.isfinite(budget[field][node]) and not (component == "compute" and node in terms.batches):
                rows[node] = total(row) <= budget[field][node]

    if terms.batches:
        m.batch = BatchingWindow(list(terms.batches))
        rate = _linear_sum(y)
        for edge, batches in terms.batches.items():
            setup, per_query = data.batch_times(edge)
            m.batch[edge].set_batches(
                length=data.windows[edge],
                arrivals={k: rate(row) for k, row in batches.items()},
                setup={k: setup[k] for k in batches},
                per_query={k: per_query[k] for k in batches},
                headroom=headroom,
            )

    m.mean_accuracy = pyo.Objective(expr=total(terms.objective), sense=pyo.maximize)
    return m


def _models_worth_onloading(data: InferenceData, headroom: float) -> dict[str, list[str]]:
    """Models per node that fit its memory and window alone, run there, and do a task asked for there."""
    asked = {client: data.load[i] > 0 for i, client in enumerate(data.clients)}
    for edge in data.edges:
        asked[edge] = data.load[data.clients_of(edge)].sum(axis=0) > 0
    can = ~np.isnan(data.accuracy)
    held = {}
    for n, node in enumerate(data.nodes):
        useful = (can & asked[node]).any(axis=1) & (data.memory <= data.memory_budget[n])
        useful &= ~np.isnan(data.service_time[n])
        e = n - len(data.clients)
        if data.window is not None and data.setup_time is not None and e >= 0 and np.isfinite(data.window[e]):
            useful &= data.setup_time[e] <= (1 - headroom) * data.window[e] * data.compute_budget[n]
        held[node] = [k for k, good in zip(data.models, useful, strict=True) if good]
    return held


def _options(data: InferenceData, held: dict[str, list[str]]) -> list[Option]:
    """All (client, task, node, model) that can answer the client's queries for the task."""
    can = {
        k: {data.tasks[t] for t in np.flatnonzero(~np.isnan(row))}
        for k, row in zip(data.models, data.accuracy, strict=True)
    }
    options = []
    for i, client in enumerate(data.clients):
        for t, task in enumerate(data.tasks):
            if not data.load[i, t] > 0:
                continue
            for node in (client, data.edge_of[i]):
                options += [(client, task, node, k) for k in held[node] if task in can[k]]
            if not math.isnan(data.cloud_accuracy[t]):
                options.append((client, task, CLOUD, CLOUD))
    return options


def _terms_by_row(data: InferenceData, options: list[Option]) -> _Terms:
    """Return the coefficients of the served shares, by family of rows."""
    client_at = {name: i for i, name in enumerate(data.clients)}
    node_at = {name: n for n, name in enumerate(data.nodes)}
    model_at = {name: k for k, name in enumerate(data.models)}
    task_at = {name: t for t, name in enumerate(data.tasks)}
    # Python floats: numpy scalars would survive into the expressions and slow down every walk over them.
    load, accuracy, cloud = data.load.tolist(), data.accuracy.tolist(), data.cloud_accuracy.tolist()
    seconds, size, all_load = data.service_time.tolist(), data.query_size.tolist(), data.total_load
    windows = data.windows
    terms = _Terms({}, {}, {}, {}, {}, [])
    for h in options:
        client, task, node, model = h
        i, t = client_at[client], task_at[task]
        rate = load[i][t]
        terms.demand.setdefault((client, task), []).append((1.0, h))
        worth = cloud[t] if node == CLOUD else accuracy[model_at[model]][t]
        terms.objective.append((rate / all_load * worth, h))
        if node != CLOUD:
            terms.compute.setdefault(node, []).append((rate * seconds[node_at[node]][model_at[model]], h))
        if node in windows:
            terms.batches.setdefault(node, {}).setdefault(model, []).append((rate, h))
        if node != client:
            terms.client_uplink.setdefault(client, []).append((rate * size[t], h))
        if node == CLOUD:
            terms.edge_uplink.setdefault(data.edge_of[i], []).append((rate * size[t], h))
    return terms


def _linear_sum(y: Any) -> Callable[[_Row], Any]:
    def total(row: _Row) -> Any:
        return weighted((c, y[h]) for c, h in row)

    return total


def _product_sum(x: Any, y: Any) -> Callable[[_Row], Any]:
    def total(row: _Row) -> Any:
        return pyo.quicksum(c * y[h] if h[2] == CLOUD else c * (x[h[2:]] * y[h]) for c, h in row)

    return total


def taskonomy(
    clients: int = 10,
    edges: int = 2,
    seed: int = 0,
    droppable: bool = False,
    form: str = "linear",
    memory: float = 1.0,
    compute: float = 1.0,
    uplink: float = 1.0,
    window: float | Sequence[float] | None = None,
    headroom: float = 0.0,
) -> pyo.ConcreteModel:
    """Build an instance of ours on the published Taskonomy figures, as a Pyomo model.

    Parameters
    ----------
    clients, edges, seed, memory, compute, uplink, window
        As for `taskonomy_data`.
    droppable, form, headroom
        As for `build_model`.

    Returns
    -------
    pyomo.environ.ConcreteModel
        See `build_model`.

    Raises
    ------
    ValueError
        As `taskonomy_data` and `build_model`.
    """
    data = taskonomy_data(clients, edges, seed, memory=memory, compute=compute, uplink=uplink, window=window)
    return build_model(data, droppable=droppable, form=form, headroom=headroom)


def domainnet(
    clients: int = 10,
    edges: int = 2,
    seed: int = 0,
    droppable: bool = False,
    form: str = "linear",
    memory: float = 1.0,
    compute: float = 1.0,
    uplink: float = 1.0,
    window: float | Sequence[float] | None = None,
    headroom: float = 0.0,
) -> pyo.ConcreteModel:
    """Build an instance of ours on the published DomainNet figures, as a Pyomo model.

    Parameters
    ----------
    clients, edges, seed, memory, compute, uplink, window
        As for `domainnet_data`.
    droppable, form, headroom
        As for `build_model`.

    Returns
    -------
    pyomo.environ.ConcreteModel
        See `build_model`.

    Raises
    ------
    ValueError
        As `domainnet_data` and `build_model`.
    """
    data = domainnet_data(clients, edges, seed, memory=memory, compute=compute, uplink=uplink, window=window)
    return build_model(data, droppable=droppable, form=form, headroom=headroom)


def small_example_data() -> InferenceData:
    """Two clients, one edge server, three models, two tasks: small enough to solve by hand.

    The figures are made up. ``both`` answers both tasks, ``sharp`` and ``deep`` one each, better. The
    phone has room for ``both`` alone, the robot for any one model, the server for ``sharp`` and ``deep``.
    """
    nan = math.nan
    return InferenceData(
        name="small example",
        models=("both", "sharp", "deep"),
        memory=np.array([2, 3, 3]),
        tasks=("edges", "depth"),
        query_size=np.array([1, 1]),
        accuracy=np.array([[0.70, 0.60], [0.90, nan], [nan, 0.80]]),
        cloud_accuracy=np.array([0.95, 0.95]),
        clients=("phone", "robot"),
        edges=("server",),
        edge_of=("server", "server"),
        load=np.array([[4, 2], [1, 3]]),
        service_time=np.array([[0.1, 0.2, 0.2], [0.1, 0.2, 0.2], [0.02, 0.05, 0.05]]),
        memory_budget=np.array([2, 3, 6]),
        compute_budget=np.array([1, 1, 0.2]),
        uplink_budget=np.array([4, 1, 2]),
    )


def small_example(droppable: bool = False, form: str = "linear") -> pyo.ConcreteModel:
    """Build the model of `small_example_data`.

    Parameters
    ----------
    droppable, form
        As for `build_model`.
    """
    return build_model(small_example_data(), droppable=droppable, form=form)
