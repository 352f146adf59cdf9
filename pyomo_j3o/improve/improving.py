"""The search after the loop: who gets an independent part, when, and for how long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from pyomo_j3o.alternate.lagrangian import price
from pyomo_j3o.alternate.offloading import OffloadingStep
from pyomo_j3o.certify.relaxation import TightRelaxation
from pyomo_j3o.core.problem import BoolArray, FloatArray
from pyomo_j3o.improve.part_search import PartSearch
from pyomo_j3o.improve.task import Found, Task


def improve(
    task: Task,
    x: BoolArray,
    prices: Sequence[FloatArray],
    tightened: TightRelaxation | None,
    others: Sequence[BoolArray] = (),
) -> Iterator[Found]:
    """Yield better and better routings of one part, and bounds.

    If the plan is far from the bound, a descent comes first. A small part then goes to a MILP solver. A
    larger one is searched by branch and bound on the kernel, whose relaxations are rounded. A descent from
    the best placement follows. If the gap is wide after all that, and the part is small enough, it goes to a
    MILP solver.

    Parameters
    ----------
    task
        The part.
    x
        (N,) bool; satisfies the rows over x, but may have no routing: what the elastic LP says then counts.
    prices
        Price vectors met so far, (M,) each; at least one.
    tightened
        The relaxation with cuts; None if it could not be solved.
    others
        Further placements, (N,) bool each, that a descent begins at if they are near the best.
    """
    step = OffloadingStep(task.structure, task.backend)
    try:
        start = step(x, task.deadline.left())
        if not start.solved:
            return
        yield Found("", start, np.inf)
        lagrangians = [price(task.structure, vector) for vector in prices]
        search = PartSearch(task, step, start, lagrangians)
        yield from _steps(search, task, tightened, others)
        yield replace(search.found(""), ends=not task.deadline.over)
    finally:
        step.close()


def _steps(
    search: PartSearch, task: Task, tightened: TightRelaxation | None, others: Sequence[BoolArray]
) -> Iterator[Found]:
    """Yield what the steps find, one after the other."""
    if tightened is not None and not task.deadline.over:
        yield from search.near(tightened)
        if search.closed:
            return
    yield from search.timed("swaps", search.descend())
    for other in others:
        if not task.deadline.over and not np.array_equal(other, search.best.x):
            yield from search.timed("swaps", search.descend_from(other))
    if tightened is not None and not task.deadline.over and search.is_for_milp_at_last(tightened):
        yield from search.timed("milp", search.solve_at_last(tightened))
