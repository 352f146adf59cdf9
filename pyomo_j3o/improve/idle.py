"""What a plan places and nobody needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from pyomo_j3o.alternate.offloading import Routing
from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.core.matrices import entry_rows
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Problem
from pyomo_j3o.core.tolerances import rounding_of


def drop_idle(problem: Problem, routing: Routing, deadline: Deadline = NEVER) -> Routing:
    """Return the routing without placed variables that nothing needs, one after the other.

    A variable goes if no row is missed without it at the same y, and the objective does not fall: memory
    filled by a model that answers no query is of no use to the reader of the plan.

    Parameters
    ----------
    problem
        Linear.
    routing
        Feasible; its y, duals and status stay as they are.
    deadline
        When to end; what is not looked at in time stays placed.
    """
    columns = sparse.csc_array(problem.onloading_rows)
    every = entry_rows(columns)
    x = routing.x.copy()
    body = problem.onloading_rows @ x.astype(float) + problem.offloading_rows @ routing.y
    rounding = rounding_of(body)
    candidates = x & (problem.onloading_lower < 0.5) & (problem.onloading_objective <= 0.0)

    def missed(rows: IntArray, value: FloatArray) -> BoolArray:
        """Return where a row is missed once it holds `value` less."""
        after = body[rows] - value
        # A row that is missed by rounding already must not be missed by more.
        low = np.minimum(problem.row_lower[rows], body[rows]) - rounding[rows]
        high = np.maximum(problem.row_upper[rows], body[rows]) + rounding[rows]
        return (after < low) | (after > high)

    # What requires another comes later in the list as often as not: a second pass sees it gone.
    for _ in range(2):
        needed = np.bincount(every[missed(columns.indices, columns.data)], minlength=len(x)) > 0
        for k in np.flatnonzero(candidates & x & ~needed):
            if deadline.over:
                break
            entries = slice(columns.indptr[k], columns.indptr[k + 1])
            rows, value = columns.indices[entries], columns.data[entries]
            if not missed(rows, value).any():
                x[k] = False
                body[rows] -= value
    gain = float(problem.onloading_objective @ x.astype(float)) - float(
        problem.onloading_objective @ routing.x.astype(float)
    )
    return replace(routing, x=x, objective=routing.objective + gain, merit=routing.merit + gain)
