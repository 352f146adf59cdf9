"""What the builders of hierarchical inference share: the ways to answer, and the rows that these fill."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o.library.building import weighted
from pyomo_j3o.library.data import CLOUD, InferenceData, Option
from pyomo_j3o.modeling.annotate import OffloadingBlock, OnloadingBlock

#: Coefficients of the shares really served, numbers or expressions in Params, and their options.
Row = list[tuple[Any, Option]]

#: What belongs to one node.
_Rows = TypeVar("_Rows")

#: Returns the sum that a row stands for, as a Pyomo expression.
Total = Callable[[Row], Any]


class Terms(NamedTuple):
    """The rows of each family.

    Attributes
    ----------
    demand
        By client and task.
    compute
        By node.
    client_uplink
        By client.
    edge_uplink
        By edge server.
    batches
        By edge server with a window and model, queries/s.
    objective
        One row.
    """

    demand: dict[tuple[str, str], Row]
    compute: dict[str, Row]
    client_uplink: dict[str, Row]
    edge_uplink: dict[str, Row]
    batches: dict[str, dict[str, Row]]
    objective: Row

    def in_order_of(self, nodes: Sequence[str]) -> Terms:
        """Return the same with budget rows and windows in the order of these nodes."""

        def in_order(rows: dict[str, _Rows]) -> dict[str, _Rows]:
            return {node: rows[node] for node in nodes if node in rows}

        return self._replace(
            compute=in_order(self.compute),
            client_uplink=in_order(self.client_uplink),
            edge_uplink=in_order(self.edge_uplink),
            batches=in_order(self.batches),
        )


def models_worth_onloading(
    data: InferenceData, reach: Mapping[str, Sequence[str]], headroom: float = 0.0
) -> dict[str, list[str]]:
    """Return the models of each node that fit it by themselves, run there, and do a task asked for there.

    Parameters
    ----------
    data
        The system.
    reach
        Per client the edge servers that it may use.
    headroom
        Part of every window that is kept free. A model fits a node if it fits the memory, and if its set-up
        fits the window.
    """
    asked = {client: data.load[i] > 0 for i, client in enumerate(data.clients)}
    for edge in data.edges:
        near = [i for i, client in enumerate(data.clients) if edge in reach[client]]
        asked[edge] = (data.load[near] > 0).any(axis=0)
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


def options_of(
    data: InferenceData,
    held: Mapping[str, Sequence[str]],
    reach: Mapping[str, Sequence[str]],
    in_cloud: Mapping[str, Sequence[str]],
) -> list[Option]:
    """Return all (client, task, node, model) that can answer the client's queries for the task.

    Parameters
    ----------
    data
        The system.
    held
        Per node the models that may be onloaded there.
    reach
        Per client the edge servers that it may use.
    in_cloud
        Per client the last entries of its options in the cloud, where no model is chosen.
    """
    can = {
        k: {data.tasks[t] for t in np.flatnonzero(~np.isnan(row))}
        for k, row in zip(data.models, data.accuracy, strict=True)
    }
    options = []
    for i, client in enumerate(data.clients):
        for t, task in enumerate(data.tasks):
            if not data.load[i, t] > 0:
                continue
            for node in (client, *reach[client]):
                options += [(client, task, node, k) for k in held[node] if task in can[k]]
            if not math.isnan(data.cloud_accuracy[t]):
                options += [(client, task, CLOUD, last) for last in in_cloud[client]]
    return options


def terms_by_row(data: InferenceData, options: Sequence[Option], loads: Any = None) -> Terms:
    """Return the coefficients of the served shares, by family of rows.

    A query that goes to the cloud takes from the uplink of the edge server that its option names last; that
    of its client, if it names none.

    Parameters
    ----------
    data
        The system.
    options
        The ways to answer.
    loads
        The Param of `add_loads`, which the coefficients then hold; the objective is then not divided by the
        total load. None for the numbers of `data`.
    """
    client_at = {name: i for i, name in enumerate(data.clients)}
    node_at = {name: n for n, name in enumerate(data.nodes)}
    model_at = {name: k for k, name in enumerate(data.models)}
    task_at = {name: t for t, name in enumerate(data.tasks)}
    # Python floats: numpy scalars would survive into the expressions and slow down every walk over them.
    load, accuracy, cloud = data.load.tolist(), data.accuracy.tolist(), data.cloud_accuracy.tolist()
    seconds, size, all_load = data.service_time.tolist(), data.query_size.tolist(), data.total_load
    windows = data.windows
    terms = Terms({}, {}, {}, {}, {}, [])
    for h in options:
        client, task, node, model = h
        i, t = client_at[client], task_at[task]
        rate: Any = load[i][t] if loads is None else loads[client, task]
        terms.demand.setdefault((client, task), []).append((1.0, h))
        worth = cloud[t] if node == CLOUD else accuracy[model_at[model]][t]
        terms.objective.append(((rate / all_load if loads is None else rate) * worth, h))
        if node == CLOUD:
            edge = data.edge_of[i] if model == CLOUD else model
            terms.edge_uplink.setdefault(edge, []).append((rate * size[t], h))
        else:
            terms.compute.setdefault(node, []).append((rate * seconds[node_at[node]][model_at[model]], h))
        if node in windows:
            terms.batches.setdefault(node, {}).setdefault(model, []).append((rate, h))
        if node != client:
            terms.client_uplink.setdefault(client, []).append((rate * size[t], h))
    return terms


def linear_sum(y: Any) -> Total:
    """Return the function that writes a row as a sum over y."""

    def total(row: Row) -> Any:
        return weighted((c, y[h]) for c, h in row)

    return total


def add_loads(m: Any, data: InferenceData) -> Any:
    """Add and return the mutable Param ``loads``: the loads by client and task that are above 0."""
    asked = {
        (client, task): rate
        for client, row in zip(data.clients, data.load.tolist(), strict=True)
        for task, rate in zip(data.tasks, row, strict=True)
        if rate > 0
    }
    m.loads = pyo.Param(list(asked), initialize=asked, within=pyo.NonNegativeReals, mutable=True)
    return m.loads


def mean_accuracy(total: Total, terms: Terms, loads: Any = None) -> Any:
    """Return the mean accuracy of all queries, as a Pyomo expression; a Param `loads` gives the weights."""
    served = total(terms.objective)
    # Divided once: a total in every coefficient would be summed up for each of them.
    return served if loads is None else served / pyo.quicksum(loads.values())


def add_variables(m: Any, held: Mapping[str, Sequence[str]], options: Sequence[Option]) -> None:
    """Add the blocks ``place`` with x, by node and model, and ``route`` with y, by option."""
    m.place = OnloadingBlock()
    m.place.x = pyo.Var([(node, k) for node, models in held.items() for k in models], domain=pyo.Binary)
    m.route = OffloadingBlock()
    m.route.y = pyo.Var(options, bounds=(0, 1))


def add_demand(
    m: Any, data: InferenceData, terms: Terms, total: Total, droppable: bool, where: str, remedy: str
) -> None:
    """Add the rows ``demand``, or say which demand has no option.

    Parameters
    ----------
    m
        The model.
    data, terms, total
        The system, its rows, and how they are written.
    droppable
        Whether queries may be dropped.
    where, remedy
        What the message of a demand without an option says: the nodes asked, and what to give.

    Raises
    ------
    ValueError
        If a demand that must not be dropped has no option.
    """
    m.demand = pyo.Constraint(pyo.Any)
    for i, client in enumerate(data.clients):
        for t, task in enumerate(data.tasks):
            row = terms.demand.get((client, task))
            if row is not None:
                m.demand[client, task] = total(row) <= 1 if droppable else total(row) == 1
            elif data.load[i, t] > 0 and not droppable:
                raise ValueError(
                    f"load[{client!r}, {task!r}]: no model that fits the client or {where} "
                    f"can do this task, and the cloud does not; give {remedy}, "
                    "or build the model with droppable=True"
                )


def fill_memory(m: Any, data: InferenceData, held: Mapping[str, Sequence[str]]) -> None:
    """Fill the rows ``memory``: one per node that may hold a model and whose budget is finite."""
    footprint = dict(zip(data.models, data.memory.tolist(), strict=True))
    for node, budget in zip(data.nodes, data.memory_budget.tolist(), strict=True):
        if held[node] and math.isfinite(budget):
            m.memory[node] = weighted((footprint[k], m.place.x[node, k]) for k in held[node]) <= budget


def add_budgets(
    m: Any, data: InferenceData, terms: Terms, total: Total, compute_headroom: float = 0.0
) -> None:
    """Add the rows ``compute``, ``client_uplink`` and ``edge_uplink``, one per node with a finite budget.

    An edge server with a window has no compute row: its window's row takes that place. Of a compute budget,
    `compute_headroom` is the part that is kept free.
    """
    compute, uplink = (
        dict(zip(data.nodes, budgets.tolist(), strict=True))
        for budgets in ((1 - compute_headroom) * data.compute_budget, data.uplink_budget)
    )
    without_window = {node: row for node, row in terms.compute.items() if node not in terms.batches}
    for name, family, budget in (
        ("compute", without_window, compute),
        ("client_uplink", terms.client_uplink, uplink),
        ("edge_uplink", terms.edge_uplink, uplink),
    ):
        rows = pyo.Constraint(pyo.Any)
        m.add_component(name, rows)
        for node, row in family.items():
            if math.isfinite(budget[node]):
                rows[node] = total(row) <= budget[node]
