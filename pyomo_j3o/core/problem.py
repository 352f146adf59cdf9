"""The arrays that everything below the Pyomo model works on: `Problem`, `Plan`, and their check."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.core.counts import Counts
from pyomo_j3o.core.matrices import BoolArray as BoolArray
from pyomo_j3o.core.matrices import FloatArray as FloatArray
from pyomo_j3o.core.matrices import IntArray as IntArray
from pyomo_j3o.core.matrices import entry_rows

#: The row number that stands for the objective in `Products.row`.
OBJECTIVE = -1


#: What a plan may miss a row by, per unit of the row's size, and still satisfy it.
TOLERANCE = 1e-6

#: Where the entries of a row are farther apart than this, a solver takes the small ones for rounding: what
#: its presolve, its cuts and its tolerances prove is no proof.
FARTHEST_APART = 1e7

#: What rounding may leave of a row's body, per unit of its terms' sizes together: a few times the precision
#: of a double, for the values of variables are rounded as well.
_ROUNDING = 8 * 2.0**-52


@dataclass(frozen=True, slots=True)
class Products:
    """Terms ``coefficient * x[onloading] * y[offloading]``, one entry each; all arrays (P,).

    `row` is the row that holds the term, or `OBJECTIVE`. A (row, onloading, offloading) triple
    occurs once at most.
    """

    row: IntArray
    onloading: IntArray
    offloading: IntArray
    coefficient: FloatArray

    def __len__(self) -> int:
        return len(self.row)

    @staticmethod
    def none() -> Products:
        """Return an empty set of products, as a linear model has it."""
        empty = np.zeros(0, dtype=np.int64)
        return Products(empty, empty, empty, np.zeros(0))


@dataclass(frozen=True, slots=True)
class Batches:
    """The batches of all batching windows, one entry each; B of them.

    Attributes
    ----------
    indicator : (B,)
        The onloading column z that is 1 if the batch is not empty.
    row : (B,)
        The row that holds the set-up of the batch: its coefficient of z is the set-up.
    arrivals : (B, K) CSR
        Queries/s that reach the batch per unit of y.
    constant : (B,)
        Queries/s that reach it in any case.
    """

    indicator: IntArray
    row: IntArray
    arrivals: sparse.csr_array
    constant: FloatArray

    def __len__(self) -> int:
        return len(self.indicator)

    def without_traces(self, x: BoolArray, y: FloatArray, tolerance: float) -> FloatArray:
        """Return y with 0 where a batch is closed at placement `x`, and what it holds is rounding."""
        closed = self.arrivals[np.flatnonzero(~x[self.indicator])]
        traces = np.unique(closed.indices[closed.data != 0])
        traces = traces[np.abs(y[traces]) <= tolerance]
        cleaned = y.copy()
        cleaned[traces] = 0.0
        return cleaned

    def rates(self, y: FloatArray) -> FloatArray:
        """Return the queries/s of every batch at y, (B,)."""
        # Of a linear form, the columns after those of the model are products.
        return np.asarray(self.arrivals @ y[: self.arrivals.shape[1]] + self.constant)


@dataclass(frozen=True, slots=True)
class Problem:
    """A model that is linear in y once x is fixed; always **maximised**.

    ::

        maximise  onloading_objective @ x + offloading_objective @ y + objective_constant
        subject   row_lower <= onloading_rows @ x + offloading_rows @ y <= row_upper   (M rows)
                  onloading_lower <= x <= onloading_upper, x binary                    (N columns)
                  offloading_lower <= y <= offloading_upper                            (K columns)

    with the terms of `products` added to their rows and to the objective. Infinite bounds are
    ``±inf``; every other entry is finite. The coefficients carry whatever units the user's model has.

    Attributes
    ----------
    onloading_objective : (N,)
    offloading_objective : (K,)
    objective_constant : float
    onloading_rows : (M, N) CSR, sorted indices, no duplicates, no stored zeros
    offloading_rows : (M, K) CSR, sorted indices, no duplicates, no stored zeros
    row_lower, row_upper : (M,)
    onloading_lower, onloading_upper : (N,), each 0 or 1
    offloading_lower, offloading_upper : (K,)
    products : Products
    sense : float
        +1 if the user maximises, -1 if the user minimises: the user's objective is
        ``sense`` times the one above. Of a scaled problem, that times the inverse of the factor.
    batches : Batches or None
        Which of the columns and rows are batching windows; to the problem they are columns and rows like any.
    counts : Counts or None
        Which columns of x make up one general integer variable; to the problem they are columns like any.
        None if every onloading variable is binary.
    """

    onloading_objective: FloatArray
    offloading_objective: FloatArray
    objective_constant: float
    onloading_rows: sparse.csr_array
    offloading_rows: sparse.csr_array
    row_lower: FloatArray
    row_upper: FloatArray
    onloading_lower: FloatArray
    onloading_upper: FloatArray
    offloading_lower: FloatArray
    offloading_upper: FloatArray
    products: Products
    sense: float = 1.0
    batches: Batches | None = None
    counts: Counts | None = None

    @property
    def n_onloading(self) -> int:
        """Number of onloading variables, N."""
        return len(self.onloading_objective)

    @property
    def n_offloading(self) -> int:
        """Number of offloading variables, K."""
        return len(self.offloading_objective)

    @property
    def n_rows(self) -> int:
        """Number of rows, M."""
        return len(self.row_lower)

    @property
    def n_nonzeros(self) -> int:
        """Number of nonzero coefficients in the rows and products."""
        return int(self.onloading_rows.nnz + self.offloading_rows.nnz + len(self.products))


@dataclass(frozen=True, slots=True)
class Plan:
    """A placement and a routing: `x` (N,) bool, `y` (K,), and the maximised objective."""

    x: BoolArray
    y: FloatArray
    objective: float


def evaluate(problem: Problem, x: FloatArray, y: FloatArray) -> float:
    """Return the (maximised) objective of `problem` at (x, y).

    Parameters
    ----------
    problem
        With or without products.
    x
        (N,).
    y
        (K,).
    """
    value = problem.objective_constant + problem.onloading_objective @ x + problem.offloading_objective @ y
    terms = problem.products
    if len(terms):
        mine = terms.row == OBJECTIVE
        value += np.sum(terms.coefficient[mine] * x[terms.onloading[mine]] * y[terms.offloading[mine]])
    return float(value)


def activities(problem: Problem, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the value of every row's body at (x, y), shape (M,).

    Parameters
    ----------
    problem
        With or without products.
    x
        (N,).
    y
        (K,).
    """
    body = problem.onloading_rows @ x + problem.offloading_rows @ y
    terms = problem.products
    if len(terms):
        mine = terms.row != OBJECTIVE
        np.add.at(
            body,
            terms.row[mine],
            terms.coefficient[mine] * x[terms.onloading[mine]] * y[terms.offloading[mine]],
        )
    return np.asarray(body, dtype=float)


def violations(problem: Problem, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return by how much (x, y) misses each row, then each bound of x, then of y; (M + N + K,), >= 0.

    Parameters
    ----------
    problem
        With or without products.
    x
        (N,); that it is binary is not checked.
    y
        (K,).
    """
    body = activities(problem, x, y)
    return np.concatenate(
        [
            np.maximum(0.0, np.maximum(problem.row_lower - body, body - problem.row_upper)),
            np.maximum(0.0, np.maximum(problem.onloading_lower - x, x - problem.onloading_upper)),
            np.maximum(0.0, np.maximum(problem.offloading_lower - y, y - problem.offloading_upper)),
        ]
    )


def allowed_violations(problem: Problem, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return by how much (x, y) may miss each row, then each bound of x, then of y; (M + N + K,).

    A row may be missed by `TOLERANCE` of its size: the larger of its sides and its body, and no less than 1,
    or than its largest coefficient where that is smaller. A row in a tiny unit is measured in that unit.
    Terms of 1e13 that cancel leave a rest of rounding, which is allowed, too.

    Parameters
    ----------
    problem
        With or without products.
    x
        (N,).
    y
        (K,).
    """
    allowed = np.full(problem.n_rows + problem.n_onloading + problem.n_offloading, TOLERANCE)
    unit = np.minimum(1.0, largest_coefficients(problem))
    body = np.abs(activities(problem, x, y))
    allowed[: problem.n_rows] *= np.maximum(
        np.maximum(unit, body), larger_end(problem.row_lower, problem.row_upper)
    )
    together = sizes_of_terms(problem, x, y)
    rows = slice(0, problem.n_rows)
    allowed[rows] = np.maximum(allowed[rows], _ROUNDING * together)
    ends = larger_end(problem.offloading_lower, problem.offloading_upper)
    allowed[problem.n_rows + problem.n_onloading :] *= np.maximum(1.0, ends)
    return allowed


def sizes_of_terms(problem: Problem, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the sum of the absolute terms of every row at x (N,) and y (K,), (M,)."""
    return activities(_absolute(problem), np.abs(x), np.abs(y))


def _absolute(problem: Problem) -> Problem:
    """Return the problem with the absolute values of its coefficients in rows and products."""
    terms = problem.products
    return replace(
        problem,
        onloading_rows=abs(problem.onloading_rows),
        offloading_rows=abs(problem.offloading_rows),
        products=replace(terms, coefficient=np.abs(terms.coefficient)),
    )


def missed(problem: Problem, x: FloatArray, y: FloatArray) -> bool:
    """Return whether (x, y) misses a row or a bound by more than rounding; see `allowed_violations`."""
    return bool(np.any(violations(problem, x, y) > allowed_violations(problem, x, y)))


def larger_end(lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Return the larger size of two bounds; an infinite one counts as 0."""
    return np.maximum(*(np.where(np.isfinite(end), np.abs(end), 0.0) for end in (lower, upper)))


def farthest_apart(matrix: sparse.csr_array) -> float:
    """Return the largest ratio of two entries of one row, at least 1."""
    return float(ratios_of_entries(matrix).max(initial=1.0))


def ratios_of_entries(matrix: sparse.csr_array) -> FloatArray:
    """Return the largest ratio of two entries of each row, (M,); 0 for an empty one."""
    smallest = np.full(matrix.shape[0], np.inf)
    np.minimum.at(smallest, entry_rows(matrix), np.abs(matrix.data))
    return largest_entries(matrix) / smallest


def largest_entries(matrix: sparse.csr_array) -> FloatArray:
    """Return the largest absolute value of every row of `matrix`, 0 for an empty one."""
    largest = np.zeros(matrix.shape[0])
    np.maximum.at(largest, entry_rows(matrix), np.abs(matrix.data))
    return largest


def largest_coefficients(problem: Problem) -> FloatArray:
    """Return the largest absolute coefficient of each row, products included, (M,); 0 for an empty row."""
    return np.maximum(largest_entries(problem.onloading_rows), largest_over_y(problem))


def largest_over_y(problem: Problem) -> FloatArray:
    """Return the largest absolute coefficient of a y or a product in each row, (M,); 0 without any."""
    largest = largest_entries(problem.offloading_rows)
    terms = problem.products
    inside = terms.row >= 0
    np.maximum.at(largest, terms.row[inside], np.abs(terms.coefficient[inside]))
    return largest
