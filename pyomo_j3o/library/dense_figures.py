"""Instances of ours on published figures of dense prediction: NYUD-v2, PASCAL-Context and Cityscapes-3D."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from pyomo_j3o.library.data import InferenceData
from pyomo_j3o.library.drawing import BudgetRanges, Networks, draw_system
from pyomo_j3o.library.published_figures import network_figures, published_rows
from pyomo_j3o.library.taskonomy_figures import accuracy_from_loss


class _Benchmark(NamedTuple):
    """What is ours about a benchmark: the images, and what budgets and loads are drawn from.

    Attributes
    ----------
    pixels
        Of one query, an uncompressed 8-bit RGB image.
    ranges
        As `library.drawing.draw_system` takes them.
    """

    pixels: int
    ranges: BudgetRanges


# Networks for dense prediction take half a second and more per image on a client, so there are few queries.
_QUERIES_PER_SECOND = (0.5, 2.0)


def _ranges(
    client_memory: tuple[float, float], edge_memory: tuple[float, float], client_compute: tuple[float, float]
) -> BudgetRanges:
    """Return the ranges of a benchmark; all but these three are the same."""
    return BudgetRanges(
        client_memory=client_memory,
        edge_memory=edge_memory,
        client_compute=client_compute,
        edge_compute_share=0.3,
        client_uplink_share=(0.2, 0.6),
        edge_uplink_share=0.05,
        queries_per_second=_QUERIES_PER_SECOND,
    )


# Every client and edge server can hold the smallest network that does all tasks.
_BENCHMARKS = {
    "nyud": _Benchmark(480 * 640, _ranges((34.0, 180.0), (80.0, 220.0), (0.2, 1.0))),
    "pascal_context": _Benchmark(512 * 512, _ranges((100.0, 260.0), (150.0, 400.0), (0.3, 1.2))),
    "cityscapes3d": _Benchmark(1024 * 2048, _ranges((24.0, 90.0), (80.0, 260.0), (0.3, 1.2))),
}


@cache
def dense_prediction_models(benchmark: str = "nyud") -> Networks:
    """Read the figures of one benchmark that come with the package.

    - ``"nyud"``: NYUD-v2, 4 tasks, 13 networks. All values are published; parameters and multiply-adds are
      for MTMamba++, M2H-small, M2H and SwinMTL, and made up for the others.
    - ``"pascal_context"``: PASCAL-Context, 5 tasks, 12 networks. All values are published; parameters and
      multiply-adds are made up.
    - ``"cityscapes3d"``: Cityscapes-3D, 3 tasks, 16 networks. The values of two TaskPrompter networks are
      published. The 14 networks whose name begins with ``made_up`` are made up, and so are all sizes.

    Accuracy is ours. Where a higher value is better (mIoU, maxF, odsF, mDS), it is the published value over
    100. Where a lower one is better (RMSE, mean angular error), it is the lowest value of the task over the
    value: see `accuracy_from_loss`. So in every task a better value has a higher accuracy.

    Parameters
    ----------
    benchmark
        One of the three names.

    Returns
    -------
    Networks
        The models.

    Raises
    ------
    ValueError
        If there is no such benchmark.

    References
    ----------
    The sources are listed in the head of ``library/published/dense_prediction_models.csv``, whose columns
    ``source`` and ``size_source`` name that of every figure: the READMEs of PRISM (ICML 2026), M2H (arXiv
    2510.17363) and TaskPrompter, and TaskPrompter's paper (arXiv 2304.00971).
    """
    ours = _benchmark(benchmark)
    rows = [row for row in published_rows("dense_prediction_models.csv") if row["benchmark"] == benchmark]
    lower = {row["task"]: row["better"] == "lower" for row in rows}
    tasks = tuple(lower)
    found = network_figures(rows, tasks, "task", value=lambda row: float(row["value"]))
    loss, share = accuracy_from_loss(found.values), found.values / 100
    accuracy = np.where([lower[task] for task in tasks], loss, share)
    accuracy.setflags(write=False)
    query = ours.pixels * 3 * 8 / 1e6
    return Networks(found.names, tasks, accuracy, found.parameters, found.gmacs, query)


# Eight parameters: the first chooses the benchmark, the others are those of `taskonomy_data`.
def dense_prediction_data(
    benchmark: str = "nyud",
    clients: int = 10,
    edges: int = 2,
    seed: int = 0,
    memory: float = 1.0,
    compute: float = 1.0,
    uplink: float = 1.0,
    window: float | Sequence[float] | None = None,
) -> InferenceData:
    """Draw a system of clients and edge servers that choose among networks for dense prediction.

    `dense_prediction_models` says which figures of the networks are published and which are made up. The
    system around them is ours, drawn by `library.drawing.draw_system`, which says how, with 0.5–2 queries/s
    per client. It is not an instance of arXiv 2508.13380, and reproduces no figure of it. A query is one
    uncompressed image of 480×640 (NYUD-v2), 512×512 (PASCAL-Context) or 1024×2048 pixels (Cityscapes-3D). A
    client has room for one to a few networks, and so has an edge server.

    Parameters
    ----------
    benchmark
        ``"nyud"``, ``"pascal_context"`` or ``"cityscapes3d"``.
    clients, edges, seed, memory, compute, uplink, window
        As for `library.drawing.draw_system`. The classifiers behind its set-ups and times per query have up
        to 313 billion multiply-adds; for the few networks here that have more, the fit is extended.

    Returns
    -------
    InferenceData
        Memory in million parameters, payload in Mbit.

    Raises
    ------
    ValueError
        If there is no such benchmark, no client or edge server, a multiplier is negative, or a window is no
        positive length.
    """
    ranges = _benchmark(benchmark).ranges
    return draw_system(
        f"{benchmark}-{clients}-{edges}-{seed}" + ("" if window is None else "-batched"),
        dense_prediction_models(benchmark),
        ranges,
        clients,
        edges,
        seed,
        memory=memory,
        compute=compute,
        uplink=uplink,
        window=window,
    )


def _benchmark(name: str) -> _Benchmark:
    """Return what is ours about a benchmark, or raise a ValueError that names those that there are."""
    if name not in list(_BENCHMARKS):
        raise ValueError(f"benchmark={name!r}: give one of {', '.join(map(repr, _BENCHMARKS))}")
    return _BENCHMARKS[name]
