"""Sifting: the LP relaxation of a large problem from few columns on, the others let in as they pay."""

from __future__ import annotations

import numpy as np

from pyomo_j3o.certify.ascent import Ascent
from pyomo_j3o.certify.kernel import Kernel, reach
from pyomo_j3o.certify.params import AscentParams, CutParams
from pyomo_j3o.certify.relaxation import TightRelaxation
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import BoolArray, FloatArray
from pyomo_j3o.core.structure import Structure
from pyomo_j3o.lp.base import Backend, LinearModel, Statuses


def sift(
    structure: Structure,
    model: LinearModel,
    ascent: Ascent,
    backend: Backend,
    deadline: Deadline,
    params: CutParams = CutParams(),
) -> tuple[Kernel, TightRelaxation] | None:
    """Return the LP relaxation and its optimum, or None if it is better solved at once.

    Facility location has a column and a link for every site and customer, and hardly any customer is served
    from far away. The LP over the columns that are worth most at good prices is small; its duals tell which
    of the others it lacks (sifting; Bixby, Gregory, Lustig, Marsten, Shanno 1992, DOI
    10.1287/opre.40.5.885).

    Parameters
    ----------
    structure
        Of a linear problem.
    model
        Its relaxation over (x, y).
    ascent
        Prices, and what each column is worth at them.
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
    problem = structure.problem
    n_x = problem.n_onloading
    if problem.n_offloading < params.sifting.large or _competes(structure):
        return None
    worth = ascent.worth[n_x:] * reach(model)[n_x:]
    # As good as one that pays is what costs a small part of what the demand of a group is worth.
    near = params.sifting.near * abs(ascent.bound) / max(1, len(structure.demand_rows))
    columns = first_of_groups(structure, worth, params.sifting.first, 0.0, -near)
    if columns.sum() > params.sifting.most * len(columns):
        return None
    return first_optimum(model, n_x, columns, None, backend, deadline, params)


def first_optimum(
    model: LinearModel,
    n_x: int,
    columns: BoolArray,
    basis: Statuses | None,
    backend: Backend,
    deadline: Deadline,
    params: CutParams,
) -> tuple[Kernel, TightRelaxation] | None:
    """Return a kernel that begins with these columns and this basis, and its optimum.

    None is returned if a column has no end, or the optimum was not found in time: a bound then needs more.
    """
    lower, upper = model.ends(model.lower, model.upper)
    if np.any(np.isinf(lower) | np.isinf(upper)):
        return None  # the ends that are wanted for a proof depend on the LP's optimum
    kernel = Kernel(model, backend, n_x, columns, params.lp, basis)
    slack = params.sifting.slack * float(np.abs(model.objective).max(initial=1e-9))
    try:
        point = kernel.solve(model.lower[:n_x], model.upper[:n_x], None, slack, -np.inf, deadline)
    except BaseException:
        kernel.close()
        raise
    if not point.solved:
        kernel.close()
        return None
    solution = point.solution(model, kernel.iterations)
    return kernel, TightRelaxation(model, solution, point.bound, kernel.iterations)


def cheapest_columns(structure: Structure, params: AscentParams) -> BoolArray:
    """Return the columns (x, y) to find prices with: all, but of the y in a demand group only the cheapest.

    Where columns compete for a budget, the cheapest is not the one that gets it: all count.
    """
    problem = structure.problem
    if _competes(structure):
        return np.ones(problem.n_onloading + problem.n_offloading, dtype=bool)
    worth = problem.offloading_objective / structure.group_weight
    return first_of_groups(structure, worth, params.first, params.first_of_group, np.inf)


def _competes(structure: Structure) -> bool:
    """Return whether columns compete for a budget that no onloading variable adds to."""
    problem, priced = structure.problem, structure.priced_rows
    no_x = np.diff(problem.onloading_rows.indptr)[priced] == 0
    return bool(np.any(no_x & (problem.row_lower[priced] != problem.row_upper[priced])))


def first_of_groups(
    structure: Structure, worth: FloatArray, first: int, first_of_group: float, enough: float
) -> BoolArray:
    """Return the columns (x, y) to begin with: all, but of the y in a demand group only the best.

    Parameters
    ----------
    structure
        Of a linear problem.
    worth
        (K,) of each y.
    first
        Columns of each group that come first in any case.
    first_of_group
        The same as a fraction of the group.
    enough
        A column that is worth more than this comes first, too.
    """
    n_x = structure.problem.n_onloading
    columns = np.ones(n_x + len(worth), dtype=bool)
    grouped = np.flatnonzero(
        (structure.group >= 0) & np.append(structure.group_is_row, False)[structure.group]
    )
    group = structure.group[grouped]
    order = np.lexsort((-worth[grouped], group))
    rank = np.arange(len(order)) - np.searchsorted(group[order], group[order])
    size = np.bincount(group)[group[order]]
    absent = (rank >= np.maximum(first, first_of_group * size)) & (worth[grouped[order]] <= enough)
    columns[n_x + grouped[order[absent]]] = False
    return columns
