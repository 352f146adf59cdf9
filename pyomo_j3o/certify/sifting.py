"""Sifting: the LP relaxation of a large problem from few columns on, the others let in as they pay."""

from __future__ import annotations

import numpy as np

from pyomo_j3o.certify.kernel import Kernel
from pyomo_j3o.certify.params import CutParams, SiftParams
from pyomo_j3o.certify.relaxation import TightRelaxation
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import BoolArray
from pyomo_j3o.core.structure import Structure
from pyomo_j3o.lp.base import Backend, LinearModel


def sift(
    structure: Structure,
    model: LinearModel,
    backend: Backend,
    deadline: Deadline,
    params: CutParams = CutParams(),
) -> tuple[Kernel, TightRelaxation] | None:
    """Return the LP relaxation and its optimum, or None if it is better solved at once.

    Facility location has a column and a link for every site and customer, and hardly any customer is served
    from far away. The LP over the cheapest columns of each demand group is small; its duals tell which of
    the others it lacks (sifting; Bixby, Gregory, Lustig, Marsten, Shanno 1992, DOI 10.1287/opre.40.5.885).

    Parameters
    ----------
    structure
        Of a linear problem.
    model
        Its relaxation over (x, y).
    backend
        The LP solver.
    deadline
        When to end.
    params
        Of the relaxation.

    Returns
    -------
    Kernel
        For the caller to go on with, and to close.
    TightRelaxation
    """
    problem, priced = structure.problem, structure.priced_rows
    if problem.n_offloading < params.sifting.large:
        return None
    # Where columns compete for a budget, the cheapest is not the one that gets it.
    no_x = np.diff(problem.onloading_rows.indptr)[priced] == 0
    if np.any(no_x & (problem.row_lower[priced] != problem.row_upper[priced])):
        return None
    lower, upper = model.ends(model.lower, model.upper)
    if np.any(np.isinf(lower) | np.isinf(upper)):
        return None  # the ends that are wanted for a proof depend on the LP's optimum
    columns = _first_columns(structure, params.sifting)
    if columns.sum() > params.sifting.most * len(columns):
        return None
    n_x = problem.n_onloading
    kernel = Kernel(model, backend, n_x, columns, params.lp)
    slack = params.sifting.slack * float(np.abs(model.objective).max(initial=1e-9))
    try:
        point = kernel.solve(model.lower[:n_x], model.upper[:n_x], None, slack, -np.inf, deadline)
    except BaseException:
        kernel.close()
        raise
    if not point.solved:
        kernel.close()
        return None
    return kernel, TightRelaxation(
        model, point.solution(model, kernel.iterations), point.bound, kernel.iterations
    )


def _first_columns(structure: Structure, params: SiftParams) -> BoolArray:
    """Return the columns (x, y) to begin with: all, but of the y in a demand group only the cheapest."""
    problem = structure.problem
    n_x = problem.n_onloading
    columns = np.ones(n_x + problem.n_offloading, dtype=bool)
    grouped = np.flatnonzero(
        (structure.group >= 0) & np.append(structure.group_is_row, False)[structure.group]
    )
    group = structure.group[grouped]
    worth = problem.offloading_objective[grouped] / structure.group_weight[grouped]
    order = np.lexsort((-worth, group))
    rank = np.arange(len(order)) - np.searchsorted(group[order], group[order])
    size = np.bincount(group)[group[order]]
    absent = rank >= np.maximum(params.first, params.first_of_group * size)
    columns[n_x + grouped[order[absent]]] = False
    return columns
