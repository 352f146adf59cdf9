"""Limits of the mean latency as rows that are linear in the routing.

A node that runs its queries one by one is an M/G/1 queue: if queries arrive as Poisson processes with rates
λ_h and take s_h seconds each, a query waits on average, by Pollaczek and Khinchine,

    W = Σ_h λ_h s_h² / (2 (1 − Σ_h λ_h s_h)) .

With one model on the node all s_h are equal, and the queue is M/D/1. W ≤ w is linear in the rates:

    Σ_h λ_h (s_h + s_h² / (2 w)) ≤ 1 .

A query of model m then takes W + s_m on average, so a limit L of its task asks for w = L − s_m. The two sums
over h are the same for all models of a node, so each stands in one row, and each model needs a row of three
terms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o.core.checks import is_number
from pyomo_j3o.library.data import CLOUD, InferenceData, Option
from pyomo_j3o.library.inference_rows import Total

#: Seconds by task, or one number for all tasks.
LatencyLimit = float | Mapping[str, float]

#: A model that leaves less of a limit for waiting, as a part of it, is too slow for the task.
_LEAST_WAIT = 1e-3

#: A limit of more than this is none, s: some 30 years.
_NO_LIMIT = 1e9


def limits_by_task(data: InferenceData, limit: LatencyLimit | None) -> dict[str, float]:
    """Return the limits of the mean latency by task, s; without those of tasks that have none, or 30 years.

    Raises
    ------
    ValueError
        A limit is no positive number, or a task is unknown.
    """
    if limit is None:
        return {}
    given = limit if isinstance(limit, Mapping) else dict.fromkeys(data.tasks, limit)
    for task, seconds in given.items():
        if task not in data.tasks:
            raise ValueError(
                f"latency_limit[{task!r}]: unknown task; the tasks are {', '.join(map(repr, data.tasks))}"
            )
        if not is_number(seconds) or not seconds > 0:
            raise ValueError(f"latency_limit[{task!r}]: {seconds!r}; give seconds above 0, inf for no limit")
    return {task: float(seconds) for task, seconds in given.items() if seconds <= _NO_LIMIT}


def options_in_time(
    data: InferenceData, options: Sequence[Option], limits: Mapping[str, float]
) -> list[Option]:
    """Return the options that can keep the limit of their task.

    On a node that runs its queries one by one these are the models that take less than the limit by
    themselves. In a batching window, which promises an answer within 2·T_b, they are all or none. The latency
    of the cloud is not known, and counts as kept.
    """
    seconds = _seconds(data)

    def in_time(option: Option) -> bool:
        _, task, node, model = option
        if task not in limits or node == CLOUD:
            return True
        if node in data.windows:
            return 2 * data.windows[node] <= limits[task]
        return limits[task] - seconds[node, model] > _LEAST_WAIT * limits[task]

    return [option for option in options if in_time(option)]


def add_latency_rows(
    m: Any,
    data: InferenceData,
    options: Sequence[Option],
    limits: Mapping[str, float],
    total: Total,
    loads: Any = None,
) -> None:
    """Add the rows ``latency[node, model, task]``: how long a model lets the node's queries wait for a task.

    A row holds if the model is onloaded, and is implied otherwise. Where a model answers tasks with different
    limits, it holds if the model is used for the task: then the onloading variable
    ``place.serves[node, model, task]`` says so. The offloading variables ``route.busy`` and ``route.spread``
    are no less than Σ λ s and Σ λ s² of a node, by the rows ``busy`` and ``spread``.

    Parameters
    ----------
    m
        The model, with ``place.x`` and ``route.y``.
    data
        The system.
    options
        The ways to answer, all of which can be in time.
    limits
        By task, s.
    total
        How rows are written.
    loads
        The Param of the loads; None for the numbers of `data`.
    """
    seconds, budget = _seconds(data), dict(zip(data.nodes, data.compute_budget.tolist(), strict=True))
    # Where the budget is 0 nothing runs; where it is infinite every query has a processor for itself.
    queue: dict[str, list[Option]] = {}
    for option in options:
        node, model = option[2:]
        in_turn = node != CLOUD and node not in data.windows and 0 < budget[node] < math.inf
        if in_turn and seconds[node, model] > 0:
            queue.setdefault(node, []).append(option)
    queue = {node: here for node, here in queue.items() if any(h[1] in limits for h in here)}
    _add_sums(m, data, queue, seconds, total, loads)
    indicator = _add_indicators(m, queue, limits)
    m.latency = pyo.Constraint(pyo.Any)
    longest = {node: max(seconds[h[2:]] for h in here) for node, here in queue.items()}
    for (node, model, task), used in indicator.items():
        wait = limits[task] - seconds[node, model]
        # The processor cannot work more than all the time: Σ λ s ≤ 1, and so Σ λ s² ≤ the longest s.
        free = longest[node] / (2 * wait)
        left = m.route.busy[node] + m.route.spread[node] / (2 * wait)
        m.latency[node, model, task] = left + free * used <= 1 + free


def _add_sums(
    m: Any,
    data: InferenceData,
    queue: Mapping[str, Sequence[Option]],
    seconds: Mapping[tuple[str, str], float],
    total: Total,
    loads: Any,
) -> None:
    """Add the variables ``busy`` and ``spread`` of each node in `queue`, and the rows that hold them up."""
    rate = {
        (client, task): load if loads is None or load == 0 else loads[client, task]
        for client, row in zip(data.clients, data.load.tolist(), strict=True)
        for task, load in zip(data.tasks, row, strict=True)
    }
    m.route.busy = pyo.Var(list(queue), bounds=(0, 1))
    m.route.spread = pyo.Var(list(queue), bounds=(0, None))
    m.busy, m.spread = pyo.Constraint(pyo.Any), pyo.Constraint(pyo.Any)
    for node, here in queue.items():
        times = [(rate[h[:2]], seconds[h[2:]], h) for h in here]
        m.busy[node] = total([(r * s, h) for r, s, h in times]) <= m.route.busy[node]
        m.spread[node] = total([(r * s * s, h) for r, s, h in times]) <= m.route.spread[node]
        m.route.spread[node].setub(max(s for _, s, _ in times))


def _add_indicators(
    m: Any, queue: Mapping[str, Sequence[Option]], limits: Mapping[str, float]
) -> dict[tuple[str, str, str], Any]:
    """Return which variable says that a model is used for a task with a limit, by node, model and task.

    That is x, if all tasks of the model have one limit there, and else ``serves``, which is added here.
    """
    tasks: dict[tuple[str, str], dict[str, None]] = {}
    for here in queue.values():
        for _, task, node, model in here:
            tasks.setdefault((node, model), {})[task] = None
    indicator: dict[tuple[str, str, str], Any] = {}
    apart = []
    for (node, model), asked in tasks.items():
        limited = [task for task in asked if task in limits]
        if len({limits.get(task, math.inf) for task in asked}) > 1:
            apart += [(node, model, task) for task in limited]
        elif limited:
            indicator[node, model, limited[0]] = m.place.x[node, model]
    m.place.serves = pyo.Var(apart, domain=pyo.Binary)
    m.serves = pyo.Constraint(pyo.Any)
    for key in apart:
        indicator[key] = m.place.serves[key]
    for here in queue.values():
        for client, task, node, model in here:
            if (node, model, task) in m.place.serves:
                option = (client, task, node, model)
                m.serves[option] = m.route.y[option] <= m.place.serves[node, model, task]
    return indicator


def _seconds(data: InferenceData) -> dict[tuple[str, str], float]:
    """Return how long one query takes by node and model, τ/β, s."""
    beta = np.where(np.isinf(data.compute_budget), 1.0, data.compute_budget)
    with np.errstate(divide="ignore", invalid="ignore"):
        seconds = data.service_time / beta[:, None]
    return {
        (node, model): s
        for node, row in zip(data.nodes, seconds.tolist(), strict=True)
        for model, s in zip(data.models, row, strict=True)
    }
