"""Hierarchical-inference models for Pyomo, annotated and ready to solve.

The description of a system (`InferenceData`), its readers and the Taskonomy instances come from modules that
know nothing of Pyomo; this one turns a description into the model that the theory page of the docs states.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o.core.checks import is_number
from pyomo_j3o.library.data import CLOUD, InferenceData, Option
from pyomo_j3o.library.dense_figures import dense_prediction_data
from pyomo_j3o.library.domainnet_figures import domainnet_data
from pyomo_j3o.library.inference_rows import (
    Row,
    Terms,
    Total,
    add_budgets,
    add_demand,
    add_loads,
    add_variables,
    fill_memory,
    linear_sum,
    mean_accuracy,
    models_worth_onloading,
    options_of,
    terms_by_row,
)
from pyomo_j3o.library.latency_rows import (
    LatencyLimit,
    add_latency_rows,
    limits_by_task,
    options_in_time,
)
from pyomo_j3o.library.taskonomy_figures import taskonomy_data
from pyomo_j3o.modeling.batching_window import BatchingWindow


def build_model(
    data: InferenceData,
    droppable: bool = False,
    form: str = "linear",
    headroom: float = 0.0,
    mutable: bool = False,
    compute_headroom: float = 0.0,
    latency_limit: LatencyLimit | None = None,
) -> pyo.ConcreteModel:
    """Write the joint onloading and offloading model of one system.

    ::

        max  Σ_it (λ_it/Λ) Σ_h a_h y_ith
        s.t. Σ_h y_ith = 1   (≤ 1 if droppable)           demand[client, task]
             y_ith ≤ x_nm                                  link[client, task, node, model]
             Σ_m r_m x_nm ≤ μ_n                            memory[node]
             Σ λ_it τ_nm y_ith ≤ (1 − compute_headroom) β_n                compute[node]
             Σ λ_it b_t y_ith ≤ κ_i   (h not on i)         client_uplink[client]
             Σ λ_it b_t y_ith ≤ κ_e   (h in the cloud)     edge_uplink[edge]

    An edge server that has a window runs its queries in batches. There, with q_m = T_b Σ λ_it y_item the mean
    batch size of model m, the compute row gives way to::

             Σ_m (ν_em·1[q_m > 0] + τ_em q_m) ≤ (1 − headroom) β_e T_b              batch[edge]

    With a `latency_limit` L_t, a model m on a node that runs its queries one by one, each in s = τ_nm/β_n,
    that is used for the task lets them wait w = L_t − s on average (Pollaczek and Khinchine; M/D/1 if the
    node runs one model, else M/G/1)::

             m serves t on n  ⟹  B_n + S_n / (2w) ≤ 1                  latency[node, model, task]
             Σ λ_it s y_ith ≤ B_n ,   Σ λ_it s² y_ith ≤ S_n            busy[node], spread[node]

    Where all tasks of m have one limit, x_nm says whether it holds; else ``place.serves[node, model, task]``
    does, and y_ith is no larger than that (``serves``).

    If the data say by ``reaches`` that clients may use several edge servers, a client and task have the
    models on each of these as options, and the cloud by way of each. The row ``edge_uplink[e]`` holds what
    goes by way of e.

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
    mutable
        Whether the loads are a mutable Param ``loads[client, task]``, which may be given other values before
        the model is solved again. It holds the loads that are above 0 in the data.
    compute_headroom
        Part of the compute budget that is kept free on clients, and on edge servers without a window, from 0
        to below 1: without, the queue of a node whose row is full grows without end.
    latency_limit
        Largest mean latency in s, for all tasks or by task. It holds for Poisson arrivals, for every model
        and node that answers queries of the task: on clients, and on edge servers without a window, by the
        rows above; on an edge server with a window by its promise of 2·T_b, so that nothing of a task with a
        shorter limit runs there. The latency of the cloud is not known, and has no limit.

    Returns
    -------
    pyomo.environ.ConcreteModel
        Holds ``place.x[node, model]`` (binary), ``route.y[client, task, node, model]`` (share of the
        queries, in [0, 1]; node and model are ``"cloud"`` for the cloud, but with ``reaches`` the model is
        the edge server on the way), the rows above, the objective
        ``mean_accuracy`` (maximised), and `data` itself as the attribute ``data``. With windows, ``batch`` is
        a `BatchingWindow` over the edge servers of ``data.windows``. A variable x exists only where the model
        fits the node's memory by itself, its set-up the window, and it can answer a task that the node may be
        asked; rows whose budget is infinite, or that would be empty, are left out.

    Raises
    ------
    ValueError
        If `form` is unknown, a demand that must not be dropped has no option at all, `headroom` or
        `compute_headroom` is out of range, `headroom` is given to a system without windows, or a limit is no
        positive number or one of an unknown task.
    """
    if form not in ("linear", "product"):
        raise ValueError(f"form={form!r}: unknown; use 'linear' or 'product'")
    if not 0 <= headroom < 1:
        raise ValueError(f"headroom={headroom!r}: give the part of a window to keep free, from 0 to below 1")
    if headroom > 0 and data.window is None:
        raise ValueError(
            f"headroom={headroom!r}: no edge server has a window; give the data a window, or leave it at 0"
        )
    if not is_number(compute_headroom) or not 0 <= compute_headroom < 1:
        raise ValueError(
            f"compute_headroom={compute_headroom!r}: give the part of a processor to keep free, from 0 to "
            "below 1"
        )
    limits = limits_by_task(data, latency_limit)
    several = data.reaches is not None
    held = models_worth_onloading(data, data.reach, headroom)
    # Of several edge servers, an option in the cloud names the one on the way.
    in_cloud = data.reach if several else dict.fromkeys(data.clients, (CLOUD,))
    options = options_of(data, held, data.reach, in_cloud)
    if limits:
        options = options_in_time(data, options, limits)
        used = {option[2:] for option in options}
        held = {node: [k for k in models if (node, k) in used] for node, models in held.items()}

    m = pyo.ConcreteModel(name=f"{data.name} with several edge servers" if several else data.name)
    m.data = data
    loads = add_loads(m, data) if mutable else None
    terms = terms_by_row(data, options, loads)
    if several:
        terms = terms.in_order_of(data.nodes)
    add_variables(m, held, options)
    if form == "linear":
        total = linear_sum(m.route.y)
        _add_links(m, options)
    else:
        total = _product_sum(m.place.x, m.route.y)
    add_demand(
        *(m, data, terms, total, droppable),
        where="an edge server in its reach" if several else "its edge server",
        remedy="an accuracy, a larger memory budget or a longer window" + " or latency_limit" * bool(limits),
    )
    m.memory = pyo.Constraint(pyo.Any)
    fill_memory(m, data, held)
    add_budgets(m, data, terms, total, compute_headroom)
    if limits:
        add_latency_rows(m, data, options, limits, total, loads)
    if terms.batches:
        _add_windows(m, data, terms, headroom)
    m.mean_accuracy = pyo.Objective(expr=mean_accuracy(total, terms, loads), sense=pyo.maximize)
    return m


def _add_links(m: Any, options: Sequence[Option]) -> None:
    # Rows are assigned one by one, not by rule: a model that holds a local function cannot be pickled.
    x, y = m.place.x, m.route.y
    m.link = pyo.Constraint(pyo.Any)
    for h in options:
        if h[2] != CLOUD:
            m.link[h] = y[h] <= x[h[2:]]


def _add_windows(m: Any, data: InferenceData, terms: Terms, headroom: float) -> None:
    """Add the batching window of each edge server that has one."""
    m.batch = BatchingWindow(list(terms.batches))
    rate = linear_sum(m.route.y)
    for edge, batches in terms.batches.items():
        setup, per_query = data.batch_times(edge)
        m.batch[edge].set_batches(
            length=data.windows[edge],
            arrivals={k: rate(row) for k, row in batches.items()},
            setup={k: setup[k] for k in batches},
            per_query={k: per_query[k] for k in batches},
            headroom=headroom,
        )


def _product_sum(x: Any, y: Any) -> Total:
    """Return the function that writes a row as a sum over y in the cloud, and over x·y elsewhere."""

    def total(row: Row) -> Any:
        return pyo.quicksum(c * y[h] if h[2] == CLOUD else c * (x[h[2:]] * y[h]) for c, h in row)

    return total


# Ten keyword parameters: each is one axis of the published experiments, and each has a default.
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


# The parameters of `taskonomy`, so that one suite can stand in for the other.
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


# The parameters of `taskonomy` behind the name of a benchmark.
def dense_prediction(
    benchmark: str = "nyud",
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
    """Build an instance of ours on figures of networks for dense prediction, as a Pyomo model.

    Part of these figures is published and part is made up: `dense_prediction_models` says which.

    Parameters
    ----------
    benchmark, clients, edges, seed, memory, compute, uplink, window
        As for `dense_prediction_data`.
    droppable, form, headroom
        As for `build_model`.

    Returns
    -------
    pyomo.environ.ConcreteModel
        See `build_model`.

    Raises
    ------
    ValueError
        As `dense_prediction_data` and `build_model`.
    """
    data = dense_prediction_data(
        benchmark, clients, edges, seed, memory=memory, compute=compute, uplink=uplink, window=window
    )
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
