"""Nodes that run their queries one by one, in closed form: how long queries wait, and how many are late."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pyomo_j3o.library.data import InferenceData, Option
from pyomo_j3o.simulation.deadlines import deadlines


class InTurnWork(NamedTuple):
    """The queries of one node that runs them one by one, in order of arrival: an M/G/1 queue.

    Attributes
    ----------
    rate
        Queries/s of each option that the node answers, shape (K,).
    seconds
        What a query of it takes on the node's processor, τ/β, shape (K,), s.
    deadline
        Of each option, shape (K,), s: on a client, the shortest 2·T_b of the edge servers that it may use;
        inf if none of them has a window, and on an edge server.
    """

    rate: np.ndarray
    seconds: np.ndarray
    deadline: np.ndarray

    @property
    def utilisation(self) -> float:
        """Σ λ s, the share of the time in which the processor works."""
        return float(self.rate @ self.seconds)

    @property
    def mean_wait(self) -> float:
        """Mean time that a query waits for its turn if queries arrive as a Poisson process, s.

        By Pollaczek and Khinchine it is Σ λ s² / (2 (1 - Σ λ s)); inf if the processor cannot keep up.
        """
        idle = 1.0 - self.utilisation
        return float(self.rate @ self.seconds**2) / (2.0 * idle) if idle > 0 else math.inf

    def late(self, scale: float = 1.0) -> float:
        """Guess how many queries/s are answered after their deadline.

        The waiting time is taken as 0 with probability 1 - ρ, and as exponential otherwise. Its mean is
        right, and in heavy traffic so is its law (Kingman 1962, DOI 10.1111/j.2517-6161.1962.tb00465.x).

        Parameters
        ----------
        scale
            What all rates are multiplied by.
        """
        scaled = self._replace(rate=scale * self.rate)
        busy, wait = scaled.utilisation, scaled.mean_wait
        room = self.deadline - self.seconds
        if not math.isfinite(wait):
            return float(scaled.rate[np.isfinite(self.deadline)].sum())
        if wait == 0:
            return float(scaled.rate[room < 0].sum())
        late = np.where(room < 0, 1.0, busy * np.exp(-busy * np.maximum(room, 0.0) / wait))
        return float(scaled.rate @ late)


def in_turn_work(data: InferenceData, shares: dict[Option, float]) -> dict[str, InTurnWork]:
    """Return what a routing brings to each node that runs its queries one by one.

    Parameters
    ----------
    data
        The system.
    shares
        Share of its queries that each option (client, task, node, model) answers.

    Returns
    -------
    dict
        By node: the clients, and the edge servers without a window, whose compute budget has a limit and that
        answer anything.
    """
    node_at = {node: n for n, node in enumerate(data.nodes)}
    model_at = {model: k for k, model in enumerate(data.models)}
    task_at = {task: t for t, task in enumerate(data.tasks)}
    client_at = {client: i for i, client in enumerate(data.clients)}
    deadline = deadlines(data)
    found: dict[str, list[tuple[float, float, float]]] = {}
    for (client, task, node, model), share in shares.items():
        if share <= 0 or node not in node_at or node in data.windows:
            continue
        n, i = node_at[node], client_at[client]
        compute = float(data.compute_budget[n])
        if not 0 < compute < math.inf:
            continue
        rate = float(data.load[i, task_at[task]]) * share
        seconds = float(data.service_time[n, model_at[model]]) / compute
        found.setdefault(node, []).append((rate, seconds, float(deadline[n])))
    return {node: InTurnWork(*np.array(rows).T) for node, rows in found.items()}
