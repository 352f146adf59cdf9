"""What the rows imply: bounds of y, and links y <= M x with an M no larger than it must be."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.core.implied_ends import GRAIN, implied_ends, left_by, propagate, rests
from pyomo_j3o.core.matrices import entry_rows, side_by_side
from pyomo_j3o.core.problem import FloatArray, IntArray, Problem, larger_end, largest_entries
from pyomo_j3o.core.results import Outcome
from pyomo_j3o.lp.base import LinearModel
from pyomo_j3o.presolve.params import PropagationParams
from pyomo_j3o.presolve.reduction import PlansStay

#: A bound farther out than this stands for none.
_NO_BOUND = 1e7

#: An M is huge if it is more than this multiple of what the row needs.
_HUGE = 100.0

#: A tightened coefficient of x is no smaller than this fraction of the largest one of y in the row.
_LEAST = 1e-3


def tighten_links(problem: Problem, bounds: tuple[FloatArray, FloatArray]) -> Problem:
    """Return the problem with a smaller coefficient of x in rows of one x and any y that need less.

    In ``a'y - b x <= c``, b > 0, a binary x at 1 lets a'y rise to c + b. If it cannot rise that far, by the
    bounds of y, b is lowered to what it can reach; in ``a'y + b x <= c`` the row at x = 0 is lowered alike.
    Every plan stays, and the LP relaxation gets tighter (coefficient tightening; Savelsbergh 1994, DOI
    10.1287/ijoc.6.4.445). A huge M would also drown in the LP solver's tolerances.

    Parameters
    ----------
    problem
        Linear.
    bounds
        Of y, (K,) each, as `implied_bounds` returns them.
    """
    x_rows = problem.onloading_rows
    single = np.flatnonzero((np.diff(x_rows.indptr) == 1) & (np.diff(problem.offloading_rows.indptr) >= 1))
    if not len(single):
        return problem
    entry = x_rows.indptr[single]
    low, high = row_ends(problem.offloading_rows, bounds)
    sizes = abs(problem.offloading_rows)[single] @ larger_end(*bounds)
    least = _LEAST * largest_entries(problem.offloading_rows)[single]
    data, row_lower, row_upper = x_rows.data.copy(), problem.row_lower.copy(), problem.row_upper.copy()
    for side, other, sign, reach in (
        (row_upper, problem.row_lower, 1.0, high[single]),
        (row_lower, problem.row_upper, -1.0, -low[single]),
    ):
        # Only rows with one side: the other side of a range would move too.
        one_sided = np.isfinite(side[single]) & ~np.isfinite(other[single])
        # As a row that is below its side.
        coefficient, limit = sign * x_rows.data[entry], sign * np.where(one_sided, side[single], 0.0)
        # A grain more than needed, so that rounding takes no plan away. It is far below the tolerances of a
        # solver: from y <= (M + 1e-9) x, where another row says y <= M, HiGHS 1.16 derives x = 0 (probing).
        needed = reach + 10.0 * GRAIN * np.maximum(1.0, sizes)
        # y <= 1e-9 x, where y can only be 0, is a row that presolve of a MILP solver takes for another.
        needed = np.where(coefficient < 0, np.maximum(needed, limit + least), needed)
        excess = limit + np.maximum(-coefficient, 0.0) - needed
        looser = one_sided & (excess > 0) & (excess < np.abs(coefficient))
        opens, closes = looser & (coefficient < 0), looser & (coefficient > 0)
        # Not what was less the excess: of a huge M, nothing would be left but rounding.
        data[entry[opens]] = sign * (limit - needed)[opens]
        data[entry[closes]] = sign * (needed - (limit - coefficient))[closes]
        side[single[closes]] = sign * needed[closes]
    return replace(
        problem,
        onloading_rows=sparse.csr_array((data, x_rows.indices, x_rows.indptr), shape=x_rows.shape),
        row_lower=row_lower,
        row_upper=row_upper,
    )


@dataclass(frozen=True, slots=True)
class SmallerM(PlansStay):
    """A reduction to smaller coefficients of x in some rows.

    Attributes
    ----------
    problem, original : Problem
        With the same columns and rows.
    changed : row numbers
        Rows that are not the same. Each holds one x.
    """

    problem: Problem
    original: Problem
    changed: IntArray

    def restore(self, outcome: Outcome) -> Outcome:
        """Return the outcome with duals of 0 where a row binds with the smaller M alone.

        Such a row has room in the original, so that nothing is to be paid for it. Within a solver's
        tolerances, what binds is the bound of y from which the smaller M comes.
        """
        plan, duals, rows = outcome.plan, outcome.duals, self.changed
        if plan is None or duals is None or not np.any(duals[rows]):
            return outcome
        original, x = self.original, plan.x.astype(float)
        body = original.onloading_rows[rows] @ x + original.offloading_rows[rows] @ plan.y
        room = np.minimum(original.row_upper[rows] - body, body - original.row_lower[rows])
        duals = duals.copy()
        duals[rows[room > 0.5 * largest_entries(original.onloading_rows[rows])]] = 0.0
        return replace(outcome, duals=duals)


def shrink_big_m(problem: Problem, needed: tuple[FloatArray, FloatArray] | None = None) -> SmallerM:
    """Bring every huge M of a row over one x down to what the row needs.

    Some best plan stays, and no plan is new. Whatever looks at the rows then sees how much an x really opens,
    and no fraction of an x within a solver's tolerance of 0 opens anything that counts. Duals that come back
    prove the same where bounds of y imply the smaller M. Where other rows imply it, they may prove less.

    Parameters
    ----------
    problem
        Linear. The rows of batching windows stay as they are.
    needed
        Bounds of y, (K,) each, as `needed_bounds` returns them; None to compute them.
    """
    if needed is None:
        needed = needed_bounds(problem, implied_bounds(problem))
    tight = tighten_links(problem, needed)
    before, after = problem.onloading_rows, tight.onloading_rows
    row = entry_rows(before)
    huge = np.zeros(problem.n_rows, dtype=bool)
    huge[row[np.abs(before.data) > _HUGE * np.abs(after.data)]] = True
    if problem.batches is not None:
        huge[problem.batches.row] = False
    if not huge.any():
        return SmallerM(problem, problem, np.flatnonzero(huge))
    data = np.where(huge[row], after.data, before.data)
    smaller = replace(
        problem,
        onloading_rows=sparse.csr_array((data, before.indices, before.indptr), shape=before.shape),
        row_lower=np.where(huge, tight.row_lower, problem.row_lower),
        row_upper=np.where(huge, tight.row_upper, problem.row_upper),
    )
    return SmallerM(smaller, problem, np.flatnonzero(huge))


def row_ends(
    matrix: sparse.csr_array, bounds: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Return the least and the largest value of every row of `matrix` within the column bounds."""
    row = entry_rows(matrix)
    lower, upper = bounds
    at_lower, at_upper = matrix.data * lower[matrix.indices], matrix.data * upper[matrix.indices]
    ends = np.minimum(at_lower, at_upper), np.maximum(at_lower, at_upper)
    low, high = (np.bincount(row, end, minlength=matrix.shape[0]).astype(float) for end in ends)
    return low, high


def implied_bounds(
    problem: Problem, params: PropagationParams = PropagationParams()
) -> tuple[FloatArray, FloatArray]:
    """Return bounds of y that follow from the rows (activity-based propagation), never looser than given.

    Each bound is wider than what was computed by what rounding may have taken from it.

    Parameters
    ----------
    problem
        Linear; of one with products, only rows without any may be looked at.
    params
        How many passes over the rows.
    """
    matrix = side_by_side(problem.onloading_rows, problem.offloading_rows)
    n_x = problem.n_onloading
    lower = np.concatenate([problem.onloading_lower, problem.offloading_lower])
    upper = np.concatenate([problem.onloading_upper, problem.offloading_upper])
    sides = problem.row_lower, problem.row_upper
    implied_ends(matrix, *sides, lower, upper, params.rounds, params.chain)
    return lower[n_x:], upper[n_x:]


def ends_of_better_plans(
    model: LinearModel, floor: float, params: PropagationParams = PropagationParams()
) -> tuple[FloatArray, FloatArray]:
    """Return bounds of all columns of a maximised model that hold where its objective is above `floor`.

    The objective is one more row then. That gives an end to columns that cost something.
    """
    matrix = sparse.csr_array(model.matrix)
    objective = sparse.csr_array(model.objective.reshape(1, -1))
    whole = sparse.csr_array(sparse.vstack([objective, matrix], format="csr"))
    row_lower = np.concatenate([[floor], model.row_lower])
    row_upper = np.concatenate([[np.inf], model.row_upper])
    lower, upper = model.ends(model.lower.copy(), model.upper.copy())
    for _ in range(params.rounds):
        propagate(whole, row_lower, row_upper, lower, upper)
    return lower, upper


def needed_bounds(problem: Problem, bounds: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return bounds of y that some best plan keeps: nobody needs more than what the rows ask for.

    If more of a column gains nothing, and every row that more of it helps is met at t whatever the others do,
    a plan that has more than t is as good with t (dominated columns; Andersen and Andersen 1995, DOI
    10.1007/BF01586000). This gives an end to a flow that only a huge M bounds. The optimum stays; other plans
    may lie outside.

    Parameters
    ----------
    problem
        Linear.
    bounds
        Of y, (K,) each, as `implied_bounds` returns them.
    """
    matrix = side_by_side(problem.onloading_rows, problem.offloading_rows)
    n_x = problem.n_onloading
    row, column, value = entry_rows(matrix), matrix.indices, matrix.data
    lower = np.concatenate([problem.onloading_lower, bounds[0]])
    upper = np.concatenate([problem.onloading_upper, bounds[1]])
    rest_low, rest_high, grain = rests(matrix, lower, upper)
    asks_more, asks_less = np.isfinite(problem.row_lower), np.isfinite(problem.row_upper)
    with np.errstate(invalid="ignore", over="ignore"):
        met_above = left_by(problem.row_lower[row], rest_low, grain, value)
        met_below = left_by(problem.row_upper[row], rest_high, -grain, value)
    # Where more of the column helps a row, and where less does.
    more = np.where(value > 0, asks_more[row], asks_less[row])
    less = np.where(value > 0, asks_less[row], asks_more[row])
    most, least = np.full(len(lower), -np.inf), np.full(len(lower), np.inf)
    np.maximum.at(most, column[more], np.where(value > 0, met_above, met_below)[more])
    np.minimum.at(least, column[less], np.where(value > 0, met_below, met_above)[less])
    # The division, too, is rounded.
    most, least = most * (1.0 + np.sign(most) * GRAIN), least * (1.0 - np.sign(least) * GRAIN)
    most, least = np.maximum(most, lower)[n_x:], np.minimum(least, upper)[n_x:]
    gain = problem.offloading_objective
    # Where both would hold alone but not together, the upper one.
    high_end = np.where((gain <= 0) & np.isfinite(most), np.minimum(most, bounds[1]), bounds[1])
    low_end = np.where((gain >= 0) & np.isfinite(least) & (least <= high_end), least, -np.inf)
    return np.maximum(low_end, bounds[0]), high_end


def finite_bounds(problem: Problem, bounds: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return the bounds of y, with what the rows imply where none is given, at twice its distance.

    A column at such a bound would hide that it is the row that holds it, and take its dual.

    Parameters
    ----------
    problem
        Its own bounds stay as they are, unless they are very far out.
    bounds
        Of y, (K,) each, as `implied_bounds` returns them.
    """
    low, high = bounds
    lower, upper = problem.offloading_lower, problem.offloading_upper
    # Where the rows contradict a bound that is given, it is for them to say so.
    low = np.minimum(low - 1.0 - np.abs(low), upper)
    high = np.maximum(high + 1.0 + np.abs(high), lower)
    # Of a bound that is given very far out, the rows may say more.
    return (
        np.where(lower > -_NO_BOUND, lower, np.maximum(low, lower)),
        np.where(upper < _NO_BOUND, upper, np.minimum(high, upper)),
    )
