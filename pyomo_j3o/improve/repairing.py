"""A placement that cannot be routed, changed a little until it can."""

from __future__ import annotations

from pyomo_j3o.alternate.lagrangian import price
from pyomo_j3o.alternate.offloading import OffloadingStep
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import BoolArray, FloatArray
from pyomo_j3o.core.structure import Structure
from pyomo_j3o.improve.local_search import Descent, descend
from pyomo_j3o.improve.params import DescentParams
from pyomo_j3o.lp import Backend


def repaired(
    structure: Structure,
    backend: Backend,
    x: BoolArray,
    prices: FloatArray,
    deadline: Deadline,
    params: DescentParams,
) -> BoolArray:
    """Return the placement that a descent reaches when its first routing is found; `x` if it has one.

    What the elastic LP says of the placement leads the descent. A plan of a model whose figures have moved is
    often a few exchanges away from a plan of the model as it is.

    Parameters
    ----------
    structure
        Of an independent part.
    backend
        The LP solver.
    x
        (N,) bool; satisfies the rows over x alone.
    prices
        (M,), of the relaxation.
    deadline
        When to give up.
    params
        Of the descent; its `patience_of_repair` limits the LPs without a gain.

    Returns
    -------
    (N,) bool
        What the descent ended with if no routing was found.
    """
    step = OffloadingStep(structure, backend)
    try:
        start = step(x, deadline.left())
        if start.feasible or not start.solved:
            return x
        descent = Descent(params, params.patience_of_repair)
        for found in descend(step, start, [price(structure, prices)], descent, deadline):
            x = found.x
            if found.feasible:
                break
        return x
    finally:
        step.close()
