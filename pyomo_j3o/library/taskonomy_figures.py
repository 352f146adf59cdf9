"""Instances of ours on published figures: 72 Taskonomy networks on clients, edge servers and a cloud."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np

from pyomo_j3o.library.data import InferenceData
from pyomo_j3o.library.drawing import BudgetRanges, Networks, draw_system
from pyomo_j3o.library.published_figures import network_figures, published_rows


class TaskonomyModels(NamedTuple):
    """The published networks, as arrays.

    Attributes
    ----------
    names
        The M = 72 model ids.
    tasks
        The T = 5 task names.
    loss
        Test loss, shape (M, T), lower is better; NaN where the model was not trained for the task.
    parameters
        Shape (M,), million parameters.
    gmacs
        Shape (M,), billion multiply-adds per query (one 256×256 image).
    """

    names: tuple[str, ...]
    tasks: tuple[str, ...]
    loss: np.ndarray
    parameters: np.ndarray
    gmacs: np.ndarray


@cache
def taskonomy_models() -> TaskonomyModels:
    """Read the published figures that come with the package.

    Returns
    -------
    TaskonomyModels
        Settings 1 (small networks) and 2 (large networks), 36 models each.

    References
    ----------
    T. Standley et al., "Which Tasks Should Be Learned Together in Multi-task Learning?", ICML 2020;
    github.com/tstandley/taskgrouping, commit bb1496e42ff442b7ac69e6f227060b8023325d07 (MIT).
    """
    rows = published_rows("taskonomy_models.csv")
    tasks = tuple(dict.fromkeys(row["task"] for row in rows))
    found = network_figures(
        rows,
        tasks,
        "task",
        value=lambda row: float(row["loss_test"]),
        parameters=lambda row: int(row["params"]) / 1e6,
        gmacs=lambda row: int(row["macs"]) / 1e9,
    )
    return TaskonomyModels(found.names, tasks, found.values, found.parameters, found.gmacs)


def accuracy_from_loss(loss: np.ndarray) -> np.ndarray:
    """Map losses to accuracies, our way: the best published loss of the task over the loss.

    Per task it is decreasing in the loss and lies in (0, 1], with 1 for the best published model. The five
    losses have different units; a ratio to the best of the task has none. It is a relative quality, no hit
    rate: 0.5 says twice the loss of the best model. One 2-D keypoints network has about half the loss of the
    next best, so all other keypoints networks lie near 0.5.

    Parameters
    ----------
    loss
        Shape (M, T), NaN where a model cannot do a task.

    Returns
    -------
    numpy.ndarray
        Shape (M, T), NaN in the same places.
    """
    return np.nanmin(loss, axis=0) / loss


# One uncompressed 8-bit RGB image of 256×256 pixels, the networks' input.
_QUERY_MBIT = 256 * 256 * 3 * 8 / 1e6

# Ours, set so that all four kinds of budget bind and the LP relaxation is a few per cent above the optimum.
_BUDGETS = BudgetRanges(
    client_memory=(5.0, 14.0),
    edge_memory=(20.0, 45.0),
    client_compute=(0.1, 0.35),
    edge_compute_share=0.35,
    client_uplink_share=(0.2, 0.6),
    edge_uplink_share=0.05,
)


def taskonomy_data(
    clients: int = 10,
    edges: int = 2,
    seed: int = 0,
    memory: float = 1.0,
    compute: float = 1.0,
    uplink: float = 1.0,
    window: float | Sequence[float] | None = None,
) -> InferenceData:
    """Draw a system of clients and edge servers that choose among the 72 published Taskonomy networks.

    Networks, losses, parameters and multiply-adds are published; the system around them is ours, drawn by
    `library.drawing.draw_system`, which says how. It is not an instance of arXiv 2508.13380, and reproduces
    no figure of it. Accuracy is `accuracy_from_loss`, so that of the cloud is 1. A client holds one to three
    small networks or a half-size large one, an edge server one or two large networks or up to ten small ones.

    Parameters
    ----------
    clients, edges, seed, memory, compute, uplink, window
        As for `library.drawing.draw_system`.

    Returns
    -------
    InferenceData
        Memory in million parameters, payload in Mbit.

    Raises
    ------
    ValueError
        If there is no client or edge server, a multiplier is negative, or a window is no positive length.
    """
    published = taskonomy_models()
    networks = Networks(
        published.names,
        published.tasks,
        accuracy_from_loss(published.loss),
        published.parameters,
        published.gmacs,
        _QUERY_MBIT,
    )
    return draw_system(
        f"taskonomy-{clients}-{edges}-{seed}" + ("" if window is None else "-batched"),
        networks,
        _BUDGETS,
        clients,
        edges,
        seed,
        memory=memory,
        compute=compute,
        uplink=uplink,
        window=window,
    )


# Clients, edge servers, and the seed without drops; the one with drops is the next.
_SIZES = (
    (5, 1, 0),
    (8, 1, 2),
    (10, 1, 4),
    (10, 2, 6),
    (12, 2, 8),
    (15, 2, 10),
    (20, 2, 14),
    (20, 3, 16),
    (24, 3, 18),
    (25, 2, 20),
    (30, 3, 22),
    (36, 4, 26),
    (40, 4, 28),
    (50, 5, 30),
    (60, 6, 32),
)


def instances() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name the thirty instances of comparisons: 5–60 clients, 1–6 edge servers, with drops and without.

    Yields
    ------
    tuple
        A name and the keyword arguments of `pyomo_j3o.library.taskonomy`.
    """
    for clients, edges, first in _SIZES:
        for droppable in (False, True):
            kind = "drop" if droppable else "serve"
            yield (
                f"taskonomy-{clients}-{edges}-{kind}",
                {"clients": clients, "edges": edges, "seed": first + droppable, "droppable": droppable},
            )


def windowed_instances() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name thirty instances whose edge servers batch, of the sizes of `instances`.

    The window is 0.05, 0.1, 0.2, 0.5 and 1 s in turn, so that each occurs at small and at large sizes, with
    drops and without. Seeds differ from those of `instances`.

    Yields
    ------
    tuple
        A name and the keyword arguments of `pyomo_j3o.library.taskonomy`.
    """
    windows = cycle((0.05, 0.1, 0.2, 0.5, 1.0))
    for (name, arguments), window in zip(instances(), windows, strict=False):
        seed = arguments["seed"] + 100
        yield f"{name}-{window:g}s", {**arguments, "seed": seed, "window": window}
