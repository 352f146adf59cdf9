"""Instances of ours on published figures: 53 image classifiers for the six domains of DomainNet."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from pyomo_j3o.library.data import InferenceData
from pyomo_j3o.library.drawing import BudgetRanges, Networks, draw_system
from pyomo_j3o.library.published_figures import network_figures, published_rows

# One uncompressed 8-bit RGB image of 224×224 pixels, the input of most of the networks.
_QUERY_MBIT = 224 * 224 * 3 * 8 / 1e6

_BUDGETS = BudgetRanges(
    client_memory=(40.0, 140.0),
    edge_memory=(150.0, 450.0),
    client_compute=(0.1, 0.35),
    edge_compute_share=0.2,
    client_uplink_share=(0.2, 0.6),
    edge_uplink_share=0.05,
)


@cache
def domainnet_models() -> Networks:
    """Read the published figures that come with the package.

    Returns
    -------
    Networks
        ResNets trained for one domain, for all six, or for others than the one asked, and zero-shot CLIP
        image encoders. Accuracy is the published top-1 accuracy. A task is a domain.

    References
    ----------
    The sources are listed in the head of ``pyomo_j3o/data/domainnet_models.csv``: ForkMerge (NeurIPS 2023,
    arXiv 2301.12618), Transfer-Learning-Library, transferlearning, open_clip, DomainBed and PaddleClas.
    """
    rows = published_rows("domainnet_models.csv")
    tasks = tuple(sorted({row["domain"] for row in rows}))
    found = network_figures(rows, tasks, "domain", value=lambda row: float(row["top1"]) / 100)
    return Networks(found.names, tasks, found.values, found.parameters, found.gmacs, _QUERY_MBIT)


def domainnet_data(
    clients: int = 10,
    edges: int = 2,
    seed: int = 0,
    memory: float = 1.0,
    compute: float = 1.0,
    uplink: float = 1.0,
    window: float | Sequence[float] | None = None,
) -> InferenceData:
    """Draw a system of clients and edge servers that choose among 53 published DomainNet classifiers.

    Networks, accuracies, parameters and multiply-adds are published; the system around them is ours, drawn by
    `library.drawing.draw_system`, which says how. It is not an instance of arXiv 2508.13380, and reproduces
    no figure of it. A client holds one to three ResNets, an edge server three to ten.

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
    return draw_system(
        f"domainnet-{clients}-{edges}-{seed}" + ("" if window is None else "-batched"),
        domainnet_models(),
        _BUDGETS,
        clients,
        edges,
        seed,
        memory=memory,
        compute=compute,
        uplink=uplink,
        window=window,
    )
