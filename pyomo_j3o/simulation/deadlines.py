"""When an answer is late: the promise of two windows, by the place of the answer."""

from __future__ import annotations

import math

import numpy as np

from pyomo_j3o.library.data import InferenceData


def deadlines(data: InferenceData) -> np.ndarray:
    """Return how late an answer of each node may be.

    An edge server with a window promises an answer within 2·T_b. A client is held to the promise that its
    query would have had elsewhere: to the shortest one of the edge servers that it may use.

    Parameters
    ----------
    data
        The system.

    Returns
    -------
    numpy.ndarray
        From arrival to answer, shape (N,), s, in the order of ``data.nodes``; inf where no window makes a
        promise.
    """
    promise = {edge: 2 * data.windows.get(edge, math.inf) for edge in data.edges}
    own = [min(promise[edge] for edge in edges) for edges in data.reach.values()]
    return np.array([*own, *promise.values()])
