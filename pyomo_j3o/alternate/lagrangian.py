"""F_α: what a set of onloaded variables is worth once the shared rows are priced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pyomo_j3o.core.matrices import distinct
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.core.structure import Structure
from pyomo_j3o.core.tolerances import ROUNDING


@dataclass(frozen=True, slots=True)
class Lagrangian:
    """The set function F_α of the theory page at fixed prices α, in units of the objective.

    ``F(S) = sum_{k in S} modular_k + sum_g (best use of the columns that S opens in group g)``.
    Submodular; a facility-location function where every column can serve its whole group.

    Attributes
    ----------
    structure : Structure
    modular : (N,)
        d_k - Σ_r α_r B_rk.
    worth : (K,)
        D_g (c_h - Σ_r α_r A_rh): the group's value if column h serves all of it; -∞ for a closed column,
        which serves nothing.
    base : (groups,)
        Value of a group before any x is placed: its best ungated column, or to stay unserved, at the
        elastic LP's penalty if it must be served.
    constant : float
        Σ_r α_r b_r over the binding sides of the priced rows, and the constant of the objective.
    """

    structure: Structure
    modular: FloatArray
    worth: FloatArray
    base: FloatArray
    constant: float = 0.0

    def bound(self, x: BoolArray) -> float:
        """Return an upper bound of the objective at placement `x`: F(S) and what the prices pay for."""
        return self.value(x) + self.constant

    def value(self, x: BoolArray) -> float:
        """Return F(S) for the set S = {k : x_k}."""
        return float(self.modular @ x + self.group_values(x).sum())

    def group_values(self, x: BoolArray) -> FloatArray:
        """Return the value of every group at S, shape (groups,)."""
        structure = self.structure
        closed = missing_links(structure, x)
        usable = np.flatnonzero((structure.group >= 0) & (structure.n_links > 0) & (closed == 0))
        usable = usable[self.worth[usable] > self.base[structure.group[usable]]]
        group = structure.group[usable]
        order = np.lexsort((-self.worth[usable], group))
        usable, group = usable[order], group[order]
        # Fill each group from its best column down until the whole demand is served.
        filled = np.cumsum(structure.share[usable])
        first = np.searchsorted(group, group)
        before = filled - structure.share[usable]
        within = before - before[first]
        part = np.clip(1.0 - within, 0.0, structure.share[usable])
        total = self.base.copy()
        np.add.at(total, group, part * (self.worth[usable] - self.base[group]))
        return total


@dataclass(frozen=True, slots=True)
class Marginals:
    """First-order changes of several F_α at one set S, for B price vectors α at once.

    Exact where every column can serve its whole group; where a column waits for a second link or shares its
    group, `addition` is an estimate.

    Attributes
    ----------
    bound : (B,)
        F_α(S) and what the prices pay for.
    addition : (B, N)
        F(S + k) - F(S), for k not in S.
    removal : (B, N)
        F(S - j) - F(S), for j in S.
    which, out, into : (entries,)
        Exchanges j → k in which the two interact under price vector `which`; pairs may repeat.
    interaction : (entries,)
        What the entry adds to removal and addition in F(S - j + k), >= 0.
    """

    bound: FloatArray
    addition: FloatArray
    removal: FloatArray
    which: IntArray
    out: IntArray
    into: IntArray
    interaction: FloatArray


def marginals(lagrangians: Sequence[Lagrangian], x: BoolArray) -> Marginals:
    """Return what each F_α gains or loses by every single addition, removal and exchange at S.

    Parameters
    ----------
    lagrangians
        B of them, on one structure.
    x
        S, (N,) bool.
    """
    structure = lagrangians[0].structure
    missing = missing_links(structure, x)
    group = structure.group
    worth = np.stack([lagrangian.worth for lagrangian in lagrangians])
    base = np.stack([lagrangian.base for lagrangian in lagrangians])
    modular = np.stack([lagrangian.modular for lagrangian in lagrangians])

    usable, top, best, runner_up = _two_best(structure, missing, worth, base)
    column, opener = structure.opener_column, structure.opener_x
    opened_by = _sole_openers(structure, x)
    # Who holds the best column of a group: nobody, if all its links stay open without any single x.
    holder = np.full(base.shape, -1, dtype=np.int64)
    which, held = np.nonzero(top)
    holder[which, group[usable[held]]] = opened_by[usable[held]]

    # Additions: what the closed columns of k add over the best one of their groups.
    live = np.flatnonzero((group[column] >= 0) & (missing[column] > 0) & ~x[opener])
    c, g, k = column[live], group[column[live]], opener[live]
    weight = structure.share[c] / missing[c]
    live_worth = worth[:, c]
    addition = modular.copy()
    owners, start = np.unique(k, return_index=True)  # openers are sorted by x
    if len(owners):
        rise = weight * np.maximum(live_worth - best[:, g], 0.0)
        addition[:, owners] += np.add.reduceat(rise, start, axis=1)

    # Removals: the groups whose best column j holds fall back to the runner-up.
    removal = -modular
    which, held = np.nonzero(holder >= 0)
    np.subtract.at(removal, (which, holder[which, held]), (best - runner_up)[which, held])

    # Exchanges: where k serves a group that j held, k is measured against the runner-up.
    which, entry = np.nonzero((holder[:, g] >= 0) & (live_worth > runner_up[:, g]))
    reach = np.minimum(live_worth[which, entry], best[which, g[entry]])
    more = weight[entry] * (reach - runner_up[which, g[entry]])
    into, out = k[entry], holder[which, g[entry]]

    # And where k also opens the very column that j opens, the column is not lost.
    usable_too = (group[column] >= 0) & (missing[column] <= 0)
    spare = np.flatnonzero(usable_too & ~x[opener] & (opened_by[column] >= 0))
    if len(spare):
        place = np.full(structure.problem.n_offloading, -1, dtype=np.int64)
        place[usable] = np.arange(len(usable))
        is_top = top[:, place[column[spare]]]
        again, item = np.nonzero(is_top)
        kept = group[column[spare[item]]]
        which = np.concatenate([which, again])
        out = np.concatenate([out, opened_by[column[spare[item]]]])
        into = np.concatenate([into, opener[spare[item]]])
        more = np.concatenate([more, (best - runner_up)[again, kept]])

    constant = np.array([lagrangian.constant for lagrangian in lagrangians])
    if structure.exact:
        bound = modular @ x + best.sum(axis=1) + constant
    else:
        bound = np.array([lagrangian.bound(x) for lagrangian in lagrangians])
    return Marginals(bound, addition, removal, which, out, into, more)


def _two_best(
    structure: Structure, missing: FloatArray, worth: FloatArray, base: FloatArray
) -> tuple[IntArray, BoolArray, FloatArray, FloatArray]:
    """Return the best and the second-best open column of every group.

    Parameters
    ----------
    structure
        Of a linear problem.
    missing
        (K,), links of each column that are closed.
    worth
        (B, K), of every column.
    base
        (B, groups), what a group is worth without a column.

    Returns
    -------
    (usable,)
        The open columns, sorted by group.
    (B, usable) bool
        Which of them is the best of its group, and better than none.
    (B, groups)
        What the best is worth.
    (B, groups)
        What the second-best is worth.
    """
    group = structure.group
    usable = np.flatnonzero((group >= 0) & (structure.n_links > 0) & (missing == 0))
    usable = usable[np.argsort(group[usable], kind="stable")]
    served, first = np.unique(group[usable], return_index=True)
    best, runner_up = base.copy(), base.copy()
    top = np.zeros((len(base), len(usable)), dtype=bool)
    if len(served):
        open_worth = worth[:, usable]
        position = np.repeat(np.arange(len(served)), np.diff(np.append(first, len(usable))))
        highest = np.maximum.reduceat(open_worth, first, axis=1)
        top = open_worth == highest[:, position]
        tied = np.add.reduceat(top, first, axis=1, dtype=np.int64) > 1
        second = np.maximum.reduceat(np.where(top, -np.inf, open_worth), first, axis=1)
        best[:, served] = np.maximum(base[:, served], highest)
        runner_up[:, served] = np.maximum(base[:, served], np.where(tied, highest, second))
        top &= open_worth > base[:, group[usable]]
    return usable, top, best, runner_up


def _sole_openers(structure: Structure, x: BoolArray) -> IntArray:
    """Return which single x keeps each column open, (K,); -1 where no single one does.

    Of several that each close it alone, one is charged; the others' removal is an overestimate then.
    """
    column, opener, link = structure.opener_column, structure.opener_x, structure.opener_link
    opened_by = np.full(structure.problem.n_offloading, -1, dtype=np.int64)
    placed = np.flatnonzero(x[opener])
    openers_of_link = np.bincount(link[placed], minlength=int(link.max(initial=-1)) + 1)
    alone = placed[openers_of_link[link[placed]] == 1]
    opened_by[column[alone]] = opener[alone]
    return opened_by


def missing_links(structure: Structure, x: BoolArray) -> FloatArray:
    """Return per column how many of its links no x in `x` has opened yet, (K,)."""
    n = structure.problem.n_offloading
    opened = np.flatnonzero(x[structure.opener_x])
    if not len(opened):
        return structure.n_links.astype(float)
    link_and_column = distinct(structure.opener_link[opened] * n + structure.opener_column[opened])
    return (structure.n_links - np.bincount(link_and_column % n, minlength=n)).astype(float)


def price(structure: Structure, prices: FloatArray) -> Lagrangian:
    """Return F_α for the row prices α.

    Parameters
    ----------
    structure
        Of a linear problem with M rows.
    prices
        (M,), of all rows; those of placement, link and demand rows are not charged, except that a column
        outside all demand groups pays for every routing row it is in (its reduced cost).
    """
    problem = structure.problem
    charged = np.zeros(problem.n_rows)
    charged[structure.priced_rows] = prices[structure.priced_rows]
    worth = (
        structure.group_demand[structure.group]
        * (problem.offloading_objective - problem.offloading_rows.T @ charged)
        if len(structure.group_demand)
        else np.zeros(problem.n_offloading)
    )
    worth = np.where(structure.closed, -np.inf, worth / structure.group_weight)
    modular = problem.onloading_objective - problem.onloading_rows.T @ charged
    sides = np.where(charged > 0, problem.row_upper, problem.row_lower)
    paid = float(np.sum(charged[charged != 0] * sides[charged != 0]))
    constant = paid + _ungrouped(structure, charged) + problem.objective_constant
    return Lagrangian(
        structure,
        np.asarray(modular, dtype=float),
        worth,
        _base(structure, worth),
        constant,
    )


def _base(structure: Structure, worth: FloatArray) -> FloatArray:
    # Unserved demand that must be served costs what the elastic LP charges for it.
    base = np.where(structure.group_required, -structure.group_penalty, 0.0)
    free = np.flatnonzero((structure.group >= 0) & (structure.n_links == 0))
    np.maximum.at(base, structure.group[free], worth[free])
    return base


def _ungrouped(structure: Structure, charged: FloatArray) -> float:
    """Return what columns outside all groups, which no x opens, can be worth at these prices.

    A demand row that may be exceeded is outside too, as far as its columns gain by exceeding it.
    """
    problem = structure.problem
    excess = np.append(structure.group_open_ended, False)[structure.group]
    cost = problem.offloading_objective - problem.offloading_rows.T @ charged
    outside = np.flatnonzero((structure.group < 0) | (excess & (cost > 0)))
    if not len(outside):
        return 0.0
    cost = cost[outside]
    # A reduced cost this small is rounding, also next to an infinite bound.
    cost = np.where(np.abs(cost) <= ROUNDING * max(1.0, float(np.abs(cost).max())), 0.0, cost)
    side = np.where(cost > 0, problem.offloading_upper[outside], problem.offloading_lower[outside])
    return float(np.sum(cost[cost != 0] * side[cost != 0]))
