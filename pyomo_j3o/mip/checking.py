"""What a MIP solver says, checked: whole rows counted exactly, and no bound that a known plan beats."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.core.matrices import entry_rows, rows_of
from pyomo_j3o.core.problem import (
    FARTHEST_APART,
    OBJECTIVE,
    TOLERANCE,
    FloatArray,
    IntArray,
    farthest_apart,
    larger_end,
)
from pyomo_j3o.core.whole_numbers import counted_side, units_of
from pyomo_j3o.lp.base import LinearModel, LPStatus
from pyomo_j3o.mip.base import Limits, MIPModel, MIPSolution, MIPSolver, Start, Write
from pyomo_j3o.presolve.tightening import ends_of_better_plans

#: A MIP solver's bound counts with a margin for rounding: a part of the bound, and a part of the most that
#: one column contributes to the objective.
_MARGIN, _MARGIN_OF_LARGEST = 1e-7, 1e-9

#: An integer column with a smaller coefficient hardly counts beside feasibility tolerances of 1e-6.
_SLIGHT = 1e-3

#: A cost below this multiple of the tolerance of duals may be overlooked as a whole.
_NEAR_TOLERANCE = 10.0

#: If neither bounds nor rows give a column an end, a better point counts as no farther out than this multiple
#: of what is farthest out in the point at hand.
_TIMES_THE_FARTHEST = 100.0

#: A point that overfills a whole row by its tolerance is cut off at most this number of times.
_ROUNDS = 50


def solve_checked(
    solver: MIPSolver,
    model: MIPModel,
    limits: Limits,
    start: Start | None = None,
    write: Write | None = None,
) -> MIPSolution:
    """Solve a model, and believe no more of the answer than what can be checked.

    - Rows over binary columns in whole numbers hold exactly. A point that breaks one within the solver's
      tolerance is cut off by a cover inequality (Balas 1975, DOI 10.1007/BF01580440), and the model is solved
      again.
    - A point that misses a row once its integers are rounded, as a huge M allows, is looked for again with
      tight tolerances; so is every point of a model with tiny coefficients of integers, from the start.
    - The bound has a margin for small costs that the solver's dual tolerance may hide. Where that margin is
      wider than the gap that is asked for, the model is solved with tight tolerances.
    - A bound that a known point beats proves nothing.

    Parameters
    ----------
    solver, model, limits, start, write
        As for `MIPSolver.solve`.
    """
    begin = time.perf_counter()
    whole = _WholeRows.of(model)
    proven, nodes = np.inf, 0
    can_be_tighter = solver.dual_tolerance(True) < solver.dual_tolerance(False)

    def attempt(model: MIPModel, tight: bool) -> MIPSolution:
        nonlocal proven, nodes
        left = replace(limits, time=limits.time - (time.perf_counter() - begin), tight=tight)
        found = solver.solve(model, left, start, write)
        nodes += found.nodes
        proven = min(proven, believable(model, found, start, solver.dual_tolerance(tight)))
        return found

    def gap_at(values: FloatArray) -> float:
        """Return the gap that is asked for at a point."""
        return max((limits.rel_gap or 0.0) * abs(model.objective_at(values)), limits.abs_gap or 0.0)

    def hides_the_gap(values: FloatArray) -> bool:
        """Return whether the dual tolerance may hide more than the gap, and a smaller one hides less."""
        if limits.rel_gap is None or not can_be_tighter:
            return False
        return _hidden(model, solver.dual_tolerance(False), values) > gap_at(values)

    tight = _has_slight_integers(model) or (start is not None and hides_the_gap(start.values))
    found = attempt(model, tight)
    if not tight and found.found and whole.covers(found.values) is None:
        missing = _misses_when_rounded(model, found.values)
        unproven = found.status is LPStatus.OPTIMAL and proven - found.objective > gap_at(found.values)
        tight = missing or (unproven and hides_the_gap(found.values))
        if tight:
            again = attempt(model, True)
            if missing and (again.found or again.status is LPStatus.INFEASIBLE):
                found = again
            elif again.found:
                found = again if again.objective >= found.objective else replace(found, status=again.status)
    for _ in range(_ROUNDS):
        covers = whole.covers(found.values) if found.found else None
        if covers is None:
            break
        if found.status in (LPStatus.TIME_LIMIT, LPStatus.INTERRUPTED):
            return MIPSolution.without_values(found.status, proven, nodes)
        model = replace(model, linear=_with_rows(model.linear, *covers))
        found = attempt(model, tight)
    else:
        return MIPSolution.without_values(LPStatus.STOPPED, proven, nodes)
    if not found.found:
        return MIPSolution.without_values(found.status, proven, nodes)
    return replace(found, bound=proven, nodes=nodes)


def believable(model: MIPModel, found: MIPSolution, start: Start | None, tolerance: float) -> float:
    """Return a solver's bound with a margin for its tolerances; +inf if a known point beats it.

    Parameters
    ----------
    model, start
        What the solver got.
    found
        What it says.
    tolerance
        Of its duals.
    """
    if found.status is LPStatus.INFEASIBLE or not np.isfinite(found.bound):
        return found.bound
    if farthest_apart(sparse.csr_array(model.linear.matrix)) > FARTHEST_APART:
        return np.inf
    bound = found.bound + _MARGIN * abs(found.bound) + _MARGIN_OF_LARGEST * _largest_contribution(model)
    values = found.values if found.found else None if start is None else start.values
    bound += _hidden(model, tolerance, values)
    known = found.objective if found.found else -np.inf
    if start is not None and not len(model.products) and not _missed(model.linear, start.values):
        known = max(known, model.objective_at(start.values))
    return np.inf if bound < known - TOLERANCE * max(1.0, abs(known)) else max(bound, known)


def _hidden(model: MIPModel, tolerance: float, values: FloatArray | None) -> float:
    """Return how much objective a solver may overlook by the absolute tolerance of its duals.

    A cost near the tolerance counts as 0: what is lost is at most the tolerance, or the cost where that is
    smaller, times the range of the column.

    Parameters
    ----------
    model
        As the solver gets it.
    tolerance
        Of the duals.
    values
        (n,), a known point, if there is one: points that are worse are of no interest.
    """
    linear, terms = model.linear, model.products
    mine = terms.row == OBJECTIVE
    costs = np.concatenate([np.abs(linear.objective), np.abs(terms.coefficient[mine])])
    slight = (costs > 0) & (costs < _NEAR_TOLERANCE * tolerance)
    if not slight.any():
        return 0.0
    floor = -np.inf
    if values is not None and not mine.any():
        floor = float(linear.objective @ values)
        floor -= TOLERANCE * max(1.0, abs(floor))
    lower, upper = ends_of_better_plans(_without_rows_of(linear, terms.row[~mine]), floor)
    far = _TIMES_THE_FARTHEST * float(np.max(np.abs(values), initial=1.0)) if values is not None else np.inf
    lower = np.where(np.isfinite(lower), lower, np.minimum(-far, upper))
    upper = np.where(np.isfinite(upper), upper, np.maximum(far, lower))
    size = np.maximum(np.abs(lower), np.abs(upper))[terms.offloading[mine]]
    ranges = np.maximum(np.concatenate([upper - lower, size]), 0.0)
    return float((np.minimum(costs, tolerance) * ranges)[slight].sum())


def _without_rows_of(linear: LinearModel, rows: IntArray) -> LinearModel:
    """Return the model with these rows open: of one with products, its linear part says nothing."""
    if not len(rows):
        return linear
    lower, upper = linear.row_lower.copy(), linear.row_upper.copy()
    lower[rows], upper[rows] = -np.inf, np.inf
    return replace(linear, row_lower=lower, row_upper=upper)


def _largest_contribution(model: MIPModel) -> float:
    """Return the most that one column contributes to the objective; per unit where it has no end."""
    linear, terms = model.linear, model.products
    ends = np.maximum(np.abs(linear.lower), np.abs(linear.upper))
    ends = np.where(np.isfinite(ends), ends, 1.0)
    mine = terms.row == OBJECTIVE
    products = np.abs(terms.coefficient[mine]) * ends[terms.offloading[mine]]
    return max(
        float(np.max(np.abs(linear.objective) * ends, initial=0.0)), float(np.max(products, initial=0.0))
    )


def _has_slight_integers(model: MIPModel) -> bool:
    """Return whether an integer column stands in a row with a coefficient near a solver's tolerance.

    Whether it is 0 or 1 is then lost in the tolerance of the row, and presolve of HiGHS has fixed it wrongly.
    """
    linear = model.linear
    if linear.integer is None:
        return False
    matrix = sparse.csr_array(linear.matrix)
    return bool(np.any(linear.integer[matrix.indices] & (np.abs(matrix.data) < _SLIGHT)))


def _misses_when_rounded(model: MIPModel, values: FloatArray) -> bool:
    """Return whether a point misses a row once its integer columns are whole."""
    linear = model.linear
    if linear.integer is None or len(model.products):
        return False
    return _missed(linear, np.where(linear.integer, np.rint(values), values))


def _missed(linear: LinearModel, values: FloatArray) -> bool:
    """Return whether a point misses a row by more than its tolerance."""
    body = linear.matrix @ values
    missed = np.maximum(linear.row_lower - body, body - linear.row_upper)
    size = np.maximum(np.maximum(1.0, np.abs(body)), larger_end(linear.row_lower, linear.row_upper))
    return bool(np.any(missed > TOLERANCE * size))


def _with_rows(linear: LinearModel, rows: sparse.csr_array, upper: FloatArray) -> LinearModel:
    """Return the model with rows ``rows @ v <= upper`` more."""
    return replace(
        linear,
        matrix=sparse.csr_array(sparse.vstack([linear.matrix, rows], format="csr")),
        row_lower=np.concatenate([linear.row_lower, np.full(len(upper), -np.inf)]),
        row_upper=np.concatenate([linear.row_upper, upper]),
    )


@dataclass(frozen=True, slots=True)
class _WholeRows:
    """Both sides of the rows over binary columns in whole numbers, each as ``counts @ v <= most``.

    Attributes
    ----------
    counts : (sides, n) CSR, of whole numbers
    most : (sides,), whole
    """

    counts: sparse.csr_array
    most: FloatArray

    @staticmethod
    def of(model: MIPModel) -> _WholeRows:
        linear, terms = model.linear, model.products
        matrix = sparse.csr_array(linear.matrix)
        binary = np.zeros(linear.n_columns, dtype=bool)
        if linear.integer is not None:
            binary = linear.integer & (linear.lower >= 0) & (linear.upper <= 1)
        row = entry_rows(matrix)
        others = np.bincount(row, ~binary[matrix.indices], minlength=linear.n_rows)
        others[terms.row[terms.row != OBJECTIVE]] += 1
        rows = np.flatnonzero((others == 0) & (np.diff(matrix.indptr) > 0))
        if not len(rows):
            return _WholeRows(sparse.csr_array((0, linear.n_columns)), np.zeros(0))
        unit = units_of(rows_of(matrix, rows))
        rows, unit = rows[unit > 0], unit[unit > 0]
        part = rows_of(matrix, rows)
        counts = np.rint(part.data / np.repeat(unit, np.diff(part.indptr)))
        part = sparse.csr_array((counts, part.indices, part.indptr), shape=part.shape)
        lower = counted_side(linear.row_lower[rows], unit, np.ceil)
        upper = counted_side(linear.row_upper[rows], unit, np.floor)
        above, below = np.flatnonzero(np.isfinite(upper)), np.flatnonzero(np.isfinite(lower))
        both = rows_of(part, np.concatenate([above, below]))
        sign = np.repeat([1.0, -1.0], [len(above), len(below)])
        both.data *= np.repeat(sign, np.diff(both.indptr))
        return _WholeRows(both, np.concatenate([upper[above], -lower[below]]))

    def covers(self, values: FloatArray) -> tuple[sparse.csr_array, FloatArray] | None:
        """Return a cover inequality for each side that the rounded point breaks; None if there is none."""
        if not len(self.most):
            return None
        on = np.rint(values)
        broken = np.flatnonzero(self.counts @ on > self.most)
        if not len(broken):
            return None
        entries: tuple[list[float], list[int], list[int]] = ([], [], [])
        upper = []
        for number, side in enumerate(broken.tolist()):
            first, last = self.counts.indptr[side], self.counts.indptr[side + 1]
            columns, weights = self.counts.indices[first:last], self.counts.data[first:last]
            cover = _fewest(columns, weights, on, float(self.most[side]))
            signs = np.sign(weights[cover])
            entries[0].extend(signs.tolist())
            entries[1].extend([number] * len(signs))
            entries[2].extend(columns[cover].tolist())
            upper.append(float(np.sum(signs > 0)) - 1.0)
        shape = (len(broken), self.counts.shape[1])
        return sparse.csr_array((entries[0], (entries[1], entries[2])), shape=shape), np.array(upper)


def _fewest(columns: IntArray, weights: FloatArray, on: FloatArray, most: float) -> IntArray:
    """Return the fewest entries, the heaviest first, that break ``weights @ v <= most`` as they stand."""
    # An entry counts at its worse end: at 1 if its weight is positive, at 0 if it is negative.
    worse = np.flatnonzero((weights > 0) == (on[columns] > 0.5))
    worse = worse[np.argsort(-np.abs(weights[worse]), kind="stable")]
    budget = most - float(np.minimum(weights, 0.0).sum())
    return worse[: int(np.searchsorted(np.cumsum(np.abs(weights[worse])), budget, side="right")) + 1]
