"""Whether a model is still the one that results speak of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from pyomo_j3o.core.problem import OBJECTIVE, FloatArray, IntArray, Problem, Products
from pyomo_j3o.modeling.inverse import Inverse

#: Relative difference of two numbers that were summed in different orders.
_ROUNDING = 1e-12


def is_same(one: tuple[Problem, Inverse], other: tuple[Problem, Inverse], with_objective: bool) -> bool:
    """Return whether two compiled models have the same rows, columns and numbers, in whatever order.

    Parameters
    ----------
    one, other
        Arrays and the way back to the components, as compiled at different times.
    with_objective
        Whether the objective counts; that of a solve with a price of moves holds this price.
    """
    (before, back_before), (now, back_now) = one, other
    rows = _places(back_before.rows, back_now.rows)
    x = _places(back_before.variable_of_column, back_now.variable_of_column)
    y = _places(back_before.offloading, back_now.offloading)
    if rows is None or x is None or y is None or before.sense != now.sense:
        return False
    pairs: list[tuple[FloatArray, FloatArray]] = [
        (before.row_lower[rows], now.row_lower),
        (before.row_upper[rows], now.row_upper),
        (before.onloading_lower[x], now.onloading_lower),
        (before.onloading_upper[x], now.onloading_upper),
        (before.offloading_lower[y], now.offloading_lower),
        (before.offloading_upper[y], now.offloading_upper),
    ]
    if with_objective:
        pairs += [
            (before.onloading_objective[x], now.onloading_objective),
            (before.offloading_objective[y], now.offloading_objective),
            (np.array([before.objective_constant]), np.array([now.objective_constant])),
        ]
    return (
        all(np.allclose(a, b, rtol=_ROUNDING, atol=0.0) for a, b in pairs)
        and _alike(before.onloading_rows[rows][:, x], now.onloading_rows)
        and _alike(before.offloading_rows[rows][:, y], now.offloading_rows)
        and _alike_products(before.products, now.products, (rows, x, y))
    )


def _places(before: Sequence[Any], now: Sequence[Any]) -> IntArray | None:
    """Return where each of the components stood before; None if they are not the same ones."""
    if len(before) != len(now):
        return None
    where: dict[int, list[int]] = {}
    for k in range(len(before) - 1, -1, -1):
        where.setdefault(id(before[k]), []).append(k)  # one for each column of a count, the first on top
    places = [of.pop() if (of := where.get(id(component))) else -1 for component in now]
    return None if -1 in places else np.array(places, dtype=np.int64)


def _alike(one: sparse.csr_array, other: sparse.csr_array) -> bool:
    apart = sparse.coo_array(one - other)
    apart.eliminate_zeros()
    if not apart.nnz:
        return True
    row, column = apart.coords
    # The same entries of the sum of both sizes, which has all that either has.
    size = sparse.csr_array(abs(one) + abs(other))
    return all(
        abs(by) <= _ROUNDING * size[r, c]
        for r, c, by in zip(row.tolist(), column.tolist(), apart.data.tolist(), strict=True)
    )


def _alike_products(one: Products, other: Products, places: tuple[IntArray, IntArray, IntArray]) -> bool:
    if len(one) != len(other):
        return False
    if not len(one):
        return True
    rows, x, y = places
    row = np.where(other.row == OBJECTIVE, OBJECTIVE, rows[other.row] if len(rows) else OBJECTIVE)
    keys = ((one.row, one.onloading, one.offloading), (row, x[other.onloading], y[other.offloading]))
    order = [np.lexsort(key) for key in keys]
    same = all(np.array_equal(a[order[0]], b[order[1]]) for a, b in zip(*keys, strict=True))
    values = one.coefficient[order[0]], other.coefficient[order[1]]
    return same and np.allclose(*values, rtol=_ROUNDING, atol=0.0)
