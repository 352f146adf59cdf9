"""A MILP solver on what the reduced costs of a relaxation leave of a part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pyomo_j3o.alternate.offloading import Routing
from pyomo_j3o.certify.kernel import Point
from pyomo_j3o.certify.shrinking import Shrunk, shrink
from pyomo_j3o.lp.base import LinearModel, LPStatus
from pyomo_j3o.mip import MIPModel, MIPSolution, Start


def shrunk_around(model: LinearModel, point: Point, plan: Routing) -> tuple[Shrunk, Start | None]:
    """Return a relaxation without what its reduced costs rule out, and the plan in what is left of it.

    Parameters
    ----------
    model
        The relaxation with its cuts, within the box that `point` is the optimum of.
    point
        Its optimum.
    plan
        A feasible one.
    """
    known = np.concatenate([plan.x.astype(float), plan.y])
    shrunk = shrink(model, point.costs, point.bound - plan.objective)
    of_plan = shrunk.reduce(known)
    if of_plan is None:
        # No reduced cost rules the plan out but by rounding: then none is to be trusted.
        shrunk = shrink(model, np.zeros(len(known)), np.inf)
        of_plan = shrunk.reduce(known)
    return shrunk, None if of_plan is None else Start(of_plan, True)


def search_within_gap(
    model: LinearModel,
    point: Point,
    plan: Routing,
    solve: Callable[[MIPModel, Start | None], MIPSolution | None],
) -> MIPSolution | None:
    """Return what a MILP solver finds that is better than a plan, in the columns of the whole model.

    The solver gets the relaxation with its cuts, the plan as its start, and no column that the reduced costs
    rule out.

    Parameters
    ----------
    model, point, plan
        As for `shrunk_around`.
    solve
        Returns what the solver says of a model and a start, checked; None if it failed.

    Returns
    -------
    MIPSolution or None
        Its bound counts the plan: what was ruled out is no better.
    """
    shrunk, start = shrunk_around(model, point, plan)
    found = solve(MIPModel(shrunk.model), start)
    if found is None:
        return None
    bound = max(found.bound + shrunk.constant, plan.objective)
    if found.status is LPStatus.INFEASIBLE:
        bound = np.inf  # the plan says otherwise
    values = shrunk.restore(found.values) if found.found else found.values
    return replace(found, values=values, objective=found.objective + shrunk.constant, bound=bound)
