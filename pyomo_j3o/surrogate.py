"""F_α: what a set of onloaded variables is worth once the shared rows are priced."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyomo_j3o.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.structure import Structure


@dataclass(frozen=True, slots=True)
class Surrogate:
    """The set function F_α of the theory page at fixed prices α, in units of the objective.

    ``F(S) = sum_{k in S} modular_k + sum_g (best use of the columns that S opens in group g)``.
    Submodular; a facility-location function where every column can serve its whole group.

    Attributes
    ----------
    structure : Structure
    modular : (N,)
        d_k - Σ_r α_r B_rk.
    worth : (K,)
        D_g (c_h - Σ_r α_r A_rh): the group's value if column h serves all of it.
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

    def marginals(self, x: BoolArray) -> Marginals:
        """Return what F gains or loses by each single addition, removal and exchange at S."""
        structure = self.structure
        n = structure.problem.n_onloading
        n_groups = len(self.base)
        missing = missing_links(structure, x)
        group = structure.group
        usable = np.flatnonzero((group >= 0) & (structure.n_links > 0) & (missing == 0))
        order = np.lexsort((-self.worth[usable], group[usable]))
        usable = usable[order]
        first = np.ones(len(usable), dtype=bool)
        first[1:] = group[usable[1:]] != group[usable[:-1]]
        top = usable[first]
        second = np.flatnonzero(first) + 1
        has_second = (second < len(usable)) & ~np.append(first, True)[np.minimum(second, len(usable))]
        best, runner_up = self.base.copy(), self.base.copy()
        best[group[top]] = np.maximum(best[group[top]], self.worth[top])
        with_second = group[top][has_second]
        runner_up[with_second] = np.maximum(runner_up[with_second], self.worth[usable[second[has_second]]])

        # Additions: what the closed columns of k add over the best one of their groups.
        column, opener = structure.opener_column, structure.opener_x
        live = np.flatnonzero((group[column] >= 0) & (missing[column] > 0) & ~x[opener])
        c, g = column[live], group[column[live]]
        weight = structure.share[c] / missing[c]
        addition = self.modular + np.bincount(
            opener[live], weight * np.maximum(self.worth[c] - best[g], 0.0), minlength=n
        )

        # Removals: the groups whose best column k holds fall back to the runner-up.
        holder = np.full(n_groups, -1, dtype=np.int64)
        place_of = np.full(structure.problem.n_offloading, -1, dtype=np.int64)
        place_of[top[self.worth[top] >= best[group[top]]]] = 1
        held = np.flatnonzero(x[opener] & (place_of[column] > 0))
        holder[group[column[held]]] = opener[held]
        fall = np.where(holder >= 0, best - runner_up, 0.0)
        removal = -self.modular - np.bincount(holder[holder >= 0], fall[holder >= 0], minlength=n)

        # Exchanges: where k serves a group that j held, k is measured against the runner-up.
        shared = (holder[g] >= 0) & (self.worth[c] > runner_up[g])
        more = weight[shared] * (np.minimum(self.worth[c[shared]], best[g[shared]]) - runner_up[g[shared]])
        out, into = holder[g[shared]], opener[live[shared]]
        pair, which = np.unique(out * n + into, return_inverse=True)
        interaction = np.bincount(which, more, minlength=len(pair)).astype(float)
        return Marginals(addition, removal, pair // max(n, 1), pair % max(n, 1), interaction)


@dataclass(frozen=True, slots=True)
class Marginals:
    """First-order changes of F at a set S.

    Attributes
    ----------
    addition : (N,)
        F(S + k) - F(S), for k not in S.
    removal : (N,)
        F(S - j) - F(S), for j in S.
    out, into : (pairs,)
        Exchanges j → k in which the two interact.
    interaction : (pairs,)
        F(S - j + k) - F(S) - removal_j - addition_k, >= 0.
    """

    addition: FloatArray
    removal: FloatArray
    out: IntArray
    into: IntArray
    interaction: FloatArray


def missing_links(structure: Structure, x: BoolArray) -> FloatArray:
    """Return per column how many of its links no x in `x` has opened yet, (K,)."""
    n = structure.problem.n_offloading
    opened = np.flatnonzero(x[structure.opener_x])
    if not len(opened):
        return structure.n_links.astype(float)
    link_and_column = np.unique(structure.opener_link[opened] * n + structure.opener_column[opened])
    return (structure.n_links - np.bincount(link_and_column % n, minlength=n)).astype(float)


def price(structure: Structure, prices: FloatArray) -> Surrogate:
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
    worth = np.asarray(worth / structure.group_weight, dtype=float)
    modular = problem.onloading_objective - problem.onloading_rows.T @ charged
    sides = np.where(charged > 0, problem.row_upper, problem.row_lower)
    paid = float(np.sum(charged[charged != 0] * sides[charged != 0]))
    return Surrogate(
        structure,
        np.asarray(modular, dtype=float),
        worth,
        _base(structure, worth),
        paid + problem.objective_constant,
    )


def _base(structure: Structure, worth: FloatArray) -> FloatArray:
    # Unserved demand that must be served costs what the elastic LP charges for it.
    base = np.where(structure.group_required, -structure.group_penalty, 0.0)
    free = np.flatnonzero((structure.group >= 0) & (structure.n_links == 0))
    np.maximum.at(base, structure.group[free], worth[free])
    return base
