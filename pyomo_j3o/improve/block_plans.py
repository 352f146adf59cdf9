"""What the blocks would place, each by itself, at the shared onloading variables of a plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyomo_j3o.alternate.offloading import Routing
from pyomo_j3o.certify.block_cuts import BlockPricer
from pyomo_j3o.certify.kernel import Kernel
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import BoolArray, IntArray


@dataclass(frozen=True, slots=True)
class BlockPlacement:
    """What one block would place.

    Attributes
    ----------
    onloading : (k,)
        Numbers of its onloading variables.
    x : (k,) bool
        Their values.
    gain : float
        Over what the plan has, at the prices of the coupling rows.
    """

    onloading: IntArray
    x: BoolArray
    gain: float


def block_placements(
    kernel: Kernel, pricer: BlockPricer, plan: Routing, slack: float, deadline: Deadline
) -> list[BlockPlacement]:
    """Return what the blocks would place at the shared x of a plan, the largest gain first.

    The relaxation with the shared x fixed says what the coupling rows are worth there; at these prices, each
    block is a MIP by itself. Together, the placements may overrun what the blocks share.

    Parameters
    ----------
    kernel
        The tightened relaxation.
    pricer
        Of the blocks.
    plan
        A feasible one.
    slack
        As for `Kernel.solve`.
    deadline
        When to end.
    """
    n_x, model, shared = kernel.n_onloading, kernel.model, pricer.blocks.shared
    low, high = model.lower.copy(), model.upper.copy()
    low[:n_x][shared] = high[:n_x][shared] = plan.x[shared]
    point = kernel.solve(low[:n_x], high[:n_x], None, slack, -np.inf, deadline)
    gap = point.bound - plan.objective
    if not point.solved or gap <= 0.0:
        return []
    kernel.links.close(high, model.row_upper)
    known = np.concatenate([plan.x.astype(float), plan.y])
    priced = pricer.price(kernel.model, point.values, point.duals, known, gap, deadline, (low, high))
    found = []
    for block in priced:
        if len(block.values):
            mine = block.columns < n_x
            gain = float(block.costs @ (block.values - known[block.columns]))
            found.append(BlockPlacement(block.columns[mine], block.values[mine] > 0.5, gain))
    return sorted(found, key=lambda one: -one.gain)
