"""Products x·y → an equivalent linear problem, exact at every binary x, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.core.matrices import entry_rows
from pyomo_j3o.core.problem import OBJECTIVE, BoolArray, FloatArray, IntArray, Plan, Problem, Products
from pyomo_j3o.core.results import Outcome
from pyomo_j3o.errors import ModelError
from pyomo_j3o.presolve.tightening import finite_bounds, implied_bounds


class UnboundedProductError(ModelError):
    """An offloading variable in a product has no finite bound; `offloading` is its index."""

    def __init__(self, offloading: int, side: str) -> None:
        super().__init__(f"offloading variable {offloading} has no finite {side} bound")
        self.offloading = offloading
        self.side = side

    def reason(self, variable: str) -> str:
        """Say what is missing, in the user's name of the variable."""
        return (
            f"offloading variable '{variable}' is in a product but has no finite {self.side} bound, and none "
            "follows from the rows"
        )

    def named(self, variable: str) -> ModelError:
        """Return the error in the words of the user's model, whose name of the variable is `variable`."""
        return ModelError(
            f"{self.reason(variable)}; give it one by setlb or setub, or solve with algorithm='exact' and "
            "mip_solver='gurobi' or 'scip', which take products as they are"
        )


@dataclass(frozen=True, slots=True)
class Linearized:
    """A linear `problem` in place of one with products, and what recovers the original y from its columns.

    The first K columns of the linear problem are the original y, except that a y which is of use only in
    products with one x (`gate` is that x, else -1) is replaced by the product itself, z = x·y. Columns
    from K on are products of the other y: column K + p is x[pair_x[p]]·y[pair_y[p]].
    """

    problem: Problem
    original: Problem
    gate: IntArray
    pair_x: IntArray
    pair_y: IntArray

    def reduce(self, plan: Plan) -> Plan:
        """Return a plan of the original in the columns of `problem`."""
        return replace(plan, y=self.columns(plan.x, plan.y))

    def restore_plan(self, plan: Plan) -> Plan:
        """Return a plan of `problem` in the columns of the original."""
        return replace(plan, y=self.recover(plan.x, plan.y))

    def restore(self, outcome: Outcome) -> Outcome:
        """Return an outcome of `problem` in the columns and rows of the original."""
        plan, duals, original = outcome.plan, outcome.duals, self.original
        return replace(
            outcome,
            plan=None if plan is None else self.restore_plan(plan),
            duals=None if duals is None else duals[: original.n_rows],
            ray=tuple(j for j in outcome.ray if j < original.n_offloading),
            cuts=None,
        )

    def recover(self, x: BoolArray, columns: FloatArray) -> FloatArray:
        """Return the original y, shape (K,), at placement `x`; a y behind a closed x is put next to 0."""
        original = self.original
        y = columns[: original.n_offloading].copy()
        closed = self._closed(x)
        y[closed] = np.clip(0.0, original.offloading_lower[closed], original.offloading_upper[closed])
        return y

    def columns(self, x: BoolArray, y: FloatArray) -> FloatArray:
        """Return the columns of the linear problem at a placement and the original y, (K,)."""
        own = y.copy()
        own[self._closed(x)] = 0.0
        return np.concatenate([own, x[self.pair_x] * y[self.pair_y]])

    def _closed(self, x: BoolArray) -> BoolArray:
        """Return which y are behind an x that is 0, (K,)."""
        behind = self.gate >= 0
        behind[behind] = ~x[self.gate[behind]]
        return behind


def linearize(problem: Problem) -> Linearized:
    """Return a linear problem with the same optimal value and the same plans.

    A y that is of use only in products with one and the same x is replaced by z = x·y with
    ``l·x <= z <= u·x``: the linear form of the theory page. Any other product gets a column of its own
    and the four rows of McCormick (1976, DOI 10.1007/BF01580665), which are exact for binary x.

    Parameters
    ----------
    problem
        With or without products.

    Raises
    ------
    UnboundedProductError
        A bound that the rows need is infinite and does not follow from the model's rows.
    """
    gate = sole_gates(problem)
    if not len(problem.products):
        no_pairs = np.zeros(0, dtype=np.int64)
        return Linearized(problem, problem, gate, no_pairs, no_pairs)
    untied = substitute(problem, gate)
    linear, pair_x, pair_y = untied.problem, untied.pair_x, untied.pair_y
    n_old, n_new = problem.n_offloading, len(pair_x)
    gated = gate >= 0
    lower, upper = linear.offloading_lower, linear.offloading_upper

    # z is 0 where x is, so that a gated column needs l and u of y itself; where the user gave none, what
    # the rows imply for z serves as well.
    needs = np.concatenate([gated, np.zeros(n_new, dtype=bool)])
    needs[pair_y] = True
    if not np.all(np.isfinite(lower[needs]) & np.isfinite(upper[needs])):
        lower, upper = finite_bounds(linear, implied_bounds(linear))
        for side, bound in (("lower", lower), ("upper", upper)):
            missing = np.flatnonzero(needs & ~np.isfinite(bound))
            if len(missing):
                raise UnboundedProductError(int(missing[0]), side)
        behind = np.concatenate([gated, np.zeros(n_new, dtype=bool)])
        lower[behind], upper[behind] = np.minimum(lower[behind], 0.0), np.maximum(upper[behind], 0.0)
        lower[n_old:] = np.minimum(lower[pair_y], 0.0)
        upper[n_old:] = np.maximum(upper[pair_y], 0.0)

    own_lower = np.where(np.isfinite(problem.offloading_lower), problem.offloading_lower, lower[:n_old])
    own_upper = np.where(np.isfinite(problem.offloading_upper), problem.offloading_upper, upper[:n_old])
    extra = _gate_rows(gate, own_lower, own_upper) + _mccormick_rows(
        pair_x, pair_y, n_old, own_lower[pair_y], own_upper[pair_y]
    )
    linear = _append_rows(replace(linear, offloading_lower=lower, offloading_upper=upper), extra)
    return Linearized(linear, problem, gate, pair_x, pair_y)


def sole_gates(problem: Problem) -> IntArray:
    """Return per y the one x with which it occurs, or -1 if it occurs with another x, or alone.

    Alone it may occur where it only takes: a y >= 0 in rows and in an objective that are no worse at y = 0.
    At x = 0 it is of no use there and may as well be 0, as x·y is.
    """
    terms = problem.products
    n = problem.n_offloading
    least = np.full(n, np.iinfo(np.int64).max)
    most = np.full(n, -1, dtype=np.int64)
    np.minimum.at(least, terms.offloading, terms.onloading)
    np.maximum.at(most, terms.offloading, terms.onloading)
    alone = problem.offloading_objective > 0
    matrix = problem.offloading_rows
    row = entry_rows(matrix)
    gives = (matrix.data > 0) & np.isfinite(problem.row_lower[row])
    gives |= (matrix.data < 0) & np.isfinite(problem.row_upper[row])
    alone[matrix.indices[gives]] = True
    occurs = problem.offloading_objective != 0
    occurs[matrix.indices] = True
    alone |= occurs & (problem.offloading_lower != 0)
    return np.where((least == most) & ~alone, most, -1)


def substitute(problem: Problem, gate: IntArray) -> Linearized:
    """Return the problem with a column in place of every product; no row ties the columns to x yet.

    Parameters
    ----------
    problem
        With or without products.
    gate
        (K,), the x that gates a y whose column becomes that of the product, -1 for any other y: as
        `sole_gates` returns it, or with fewer gates.
    """
    terms, n_old = problem.products, problem.n_offloading
    gated = gate >= 0
    apart = ~gated[terms.offloading]
    pairs, pair_of_term = np.unique(
        terms.onloading[apart] * n_old + terms.offloading[apart], return_inverse=True
    )
    pair_x, pair_y = pairs // max(n_old, 1), pairs % max(n_old, 1)
    n_new = len(pairs)

    column = terms.offloading.copy()
    column[apart] = n_old + pair_of_term
    in_row = terms.row != OBJECTIVE
    objective = np.concatenate([problem.offloading_objective, np.zeros(n_new)])
    np.add.at(objective, column[~in_row], terms.coefficient[~in_row])
    rows = _widen(problem.offloading_rows, n_new) + sparse.csr_array(
        (terms.coefficient[in_row], (terms.row[in_row], column[in_row])),
        shape=(problem.n_rows, n_old + n_new),
    )
    # A product is 0 where its x is.
    lower, upper = problem.offloading_lower.copy(), problem.offloading_upper.copy()
    lower[gated], upper[gated] = np.minimum(lower[gated], 0.0), np.maximum(upper[gated], 0.0)
    linear = replace(
        problem,
        offloading_objective=objective,
        offloading_rows=sparse.csr_array(rows),
        offloading_lower=np.concatenate([lower, np.minimum(lower[pair_y], 0.0)]),
        offloading_upper=np.concatenate([upper, np.maximum(upper[pair_y], 0.0)]),
        products=Products.none(),
    )
    return Linearized(linear, problem, gate, pair_x, pair_y)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows to append, as triples: row number within the block, column, coefficient."""

    count: int
    x_entries: tuple[IntArray, IntArray, FloatArray]
    y_entries: tuple[IntArray, IntArray, FloatArray]
    upper: FloatArray


def _widen(matrix: sparse.csr_array, extra: int) -> sparse.csr_array:
    return sparse.csr_array(
        (matrix.data, matrix.indices, matrix.indptr), shape=(matrix.shape[0], matrix.shape[1] + extra)
    )


def _gate_rows(gate: IntArray, lower: FloatArray, upper: FloatArray) -> list[_Rows]:
    """Rows z - u·x <= 0 and l·x - z <= 0; a side at 0 is a bound of z already."""
    blocks = []
    for sign, bound in ((1.0, upper), (-1.0, lower)):
        ys = np.flatnonzero((gate >= 0) & (bound != 0))
        number = np.arange(len(ys))
        blocks.append(
            _Rows(
                len(ys),
                (number, gate[ys], -sign * bound[ys]),
                (number, ys, np.full(len(ys), sign)),
                np.zeros(len(ys)),
            )
        )
    return blocks


def _mccormick_rows(
    pair_x: IntArray, pair_y: IntArray, first: int, lower: FloatArray, upper: FloatArray
) -> list[_Rows]:
    """Rows that make column first + p equal x·y: l·x <= z <= u·x and y - u(1-x) <= z <= y - l(1-x)."""
    n = len(pair_x)
    if not n:
        return []
    number, z = np.arange(n), first + np.arange(n)
    one = np.ones(n)
    twice = np.concatenate([number, number])
    z_and_y = np.concatenate([z, pair_y])
    return [
        _Rows(n, (number, pair_x, -upper), (number, z, one), np.zeros(n)),
        _Rows(n, (number, pair_x, lower), (number, z, -one), np.zeros(n)),
        _Rows(n, (number, pair_x, -lower), (twice, z_and_y, np.concatenate([one, -one])), -lower),
        _Rows(n, (number, pair_x, upper), (twice, z_and_y, np.concatenate([-one, one])), upper),
    ]


def _append_rows(problem: Problem, blocks: list[_Rows]) -> Problem:
    offset = 0
    x_parts, y_parts, uppers = [], [], []
    for block in blocks:
        x_parts.append((block.x_entries[0] + offset, *block.x_entries[1:]))
        y_parts.append((block.y_entries[0] + offset, *block.y_entries[1:]))
        uppers.append(block.upper)
        offset += block.count
    upper = np.concatenate(uppers)

    def stack(old: sparse.csr_array, parts: list[tuple[IntArray, IntArray, FloatArray]]) -> sparse.csr_array:
        row, column, value = (np.concatenate(piece) for piece in zip(*parts, strict=True))
        new = sparse.csr_array((value, (row, column)), shape=(offset, old.shape[1]))
        new.eliminate_zeros()
        return sparse.csr_array(sparse.vstack([old, new], format="csr"))

    return replace(
        problem,
        onloading_rows=stack(problem.onloading_rows, x_parts),
        offloading_rows=stack(problem.offloading_rows, y_parts),
        row_lower=np.concatenate([problem.row_lower, np.full(offset, -np.inf)]),
        row_upper=np.concatenate([problem.row_upper, upper]),
    )
