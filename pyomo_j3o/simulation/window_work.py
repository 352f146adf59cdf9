"""The work that a batching window collects, in closed form: what the plan's row counts, and its spread."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pyomo_j3o.library.data import InferenceData, Option


class WindowWork(NamedTuple):
    """Work of one edge server's window.

    Attributes
    ----------
    length
        T_b, s.
    planned
        Σ_m (ν_m·1[q_m > 0] + τ_m q_m)/β, s: the left-hand side of the plan's row, q_m being mean batch sizes.
    mean, sd
        Mean and standard deviation if queries arrive as Poisson processes, s.
    setup, per_query
        ν/β and τ/β of each of the M models in use, shape (M,), s.
    queries
        Mean batch size q of each, shape (M,).
    """

    length: float
    planned: float
    mean: float
    sd: float
    setup: np.ndarray
    per_query: np.ndarray
    queries: np.ndarray


def window_work(data: InferenceData, shares: dict[Option, float]) -> dict[str, WindowWork]:
    """Return the work per window that a routing brings to each edge server with a window.

    With Poisson arrivals the batch of model m has a Poisson number b_m of queries with mean q_m, independent
    of other models'. It is empty with probability exp(-q_m), and then costs no set-up, so the mean is below
    what the plan's row counts::

        mean     = Σ_m  ν (1 - e^-q) + τ q
        variance = Σ_m  τ² q + ν² e^-q (1 - e^-q) + 2 ν τ q e^-q

    Here ν and τ are divided by β, and the last term is twice the covariance of ν·1[b > 0] and τ·b.

    Parameters
    ----------
    data
        The system.
    shares
        Share of its queries that each option (client, task, node, model) answers.

    Returns
    -------
    dict
        By edge server; those of ``data.windows``.
    """
    load = {
        (client, task): rate
        for client, row in zip(data.clients, data.load.tolist(), strict=True)
        for task, rate in zip(data.tasks, row, strict=True)
    }
    batches: dict[str, dict[str, float]] = {edge: {} for edge in data.windows}
    for (client, task, node, model), share in shares.items():
        if node in batches and share > 0:
            queries = data.windows[node] * load[client, task] * share
            batches[node][model] = batches[node].get(model, 0.0) + queries
    work = {}
    for edge, sizes in batches.items():
        setup, per_query = data.batch_times(edge)
        nu, tau = np.array([setup[m] for m in sizes]), np.array([per_query[m] for m in sizes])
        q = np.array(list(sizes.values()))
        empty = np.exp(-q)
        variance = tau**2 * q + nu**2 * empty * (1 - empty) + 2 * nu * tau * q * empty
        work[edge] = WindowWork(
            length=data.windows[edge],
            planned=float((nu + tau * q).sum()),
            mean=float((nu * (1 - empty) + tau * q).sum()),
            sd=float(np.sqrt(variance.sum())),
            setup=nu,
            per_query=tau,
            queries=q,
        )
    return work
