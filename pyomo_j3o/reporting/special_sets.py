"""Special ordered sets in a report: they are no rows, so sentences say whether the plan holds them."""

from __future__ import annotations

import numpy as np
from pyomo.core.base.block import BlockData

from pyomo_j3o.core.tolerances import TRACE
from pyomo_j3o.modeling.naming import listed
from pyomo_j3o.modeling.special_sets import members_of, special_sets
from pyomo_j3o.reporting.held_plan import HeldPlan


def missed_sets(plan: HeldPlan, model: BlockData) -> tuple[int, tuple[str, ...]]:
    """Return how many active special ordered sets of a model a plan misses, and a sentence if it has any.

    Parameters
    ----------
    plan
        With a value for each variable that occurs.
    model
        Whose sets are looked at.
    """
    sets = special_sets(model)
    if not sets:
        return 0, ()
    value = {id(variable): held for variable, held in zip(plan.variables, plan.value.tolist(), strict=True)}
    missed = []
    for one in sets:
        held = [value.get(id(member), member.value) for member in members_of(one)]
        used = np.flatnonzero([number is not None and abs(number) > TRACE for number in held])
        if len(used) and used[-1] - used[0] >= one.level:
            missed.append(one.name)
    number = "1 special ordered set" if len(sets) == 1 else f"{len(sets):,} special ordered sets"
    if missed:
        return len(missed), (f"This is no plan: of {number}, it misses {listed(missed)}.",)
    return 0, (
        f"{number} {'holds, and is' if len(sets) == 1 else 'hold, and are'} not in the table of rows.",
    )
