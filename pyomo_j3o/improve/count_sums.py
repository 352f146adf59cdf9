"""Sums of whole columns that are alike: whole numbers, too, and few of them.

The relaxation runs fractions of replicas on the sites. In every plan, the replicas of one kind add up to a
whole number over all sites. A relaxation in which these sums alone have to be whole has few whole columns,
and its bound is nearer to the best plan.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from pyomo_j3o.core.matrices import rows_of
from pyomo_j3o.core.problem import IntArray
from pyomo_j3o.lp import LinearModel


def sums_of(model: LinearModel) -> sparse.csr_array | None:
    """Return sums of whole columns that help to know, (sums, n); None if there are none.

    Rows over whole columns alone, such as the budgets of servers, are left out. What then hangs together by
    rows is an area, such as all that can serve one task. The columns of an area have a sum; so have those
    of them that also have the same objective and the same coefficients, whatever the rows.

    Parameters
    ----------
    model
        Its whole columns are marked.
    """
    assert model.integer is not None
    whole = np.flatnonzero(model.integer)
    if not len(whole):
        return None
    area = _areas(model)[whole]
    by_column = sparse.csc_array(model.matrix)
    kinds: dict[tuple[int, float, bytes], int] = {}
    kind = np.empty(len(whole), dtype=np.intp)
    for place, column in enumerate(whole.tolist()):
        held = by_column.data[by_column.indptr[column] : by_column.indptr[column + 1]]
        key = int(area[place]), float(model.objective[column]), np.unique(held).tobytes()
        kind[place] = kinds.setdefault(key, len(kinds))
    members = sorted({*_groups(kind), *_groups(area)})
    if not members:
        return None
    of_sum = np.repeat(np.arange(len(members)), [len(one) for one in members])
    columns = whole[np.concatenate([np.array(one) for one in members])]
    shape = (len(members), model.n_columns)
    return sparse.csr_array((np.ones(len(columns)), (of_sum, columns)), shape=shape)


def with_sums(model: LinearModel, sums: sparse.csr_array, apart: bool) -> LinearModel:
    """Return the model with a whole column more for each sum, and a row that says what it is.

    Parameters
    ----------
    model, sums
        As for `sums_of`, and from there.
    apart
        Whether the columns that were whole have to be so still.
    """
    assert model.integer is not None
    n_sums = sums.shape[0]
    total = sparse.hstack([sums, -sparse.eye_array(n_sums)])
    wide = sparse.hstack([model.matrix, sparse.csr_array((model.n_rows, n_sums))])
    nothing = np.zeros(n_sums)
    return LinearModel(
        np.append(model.objective, nothing),
        sparse.csr_array(sparse.vstack([wide, total], format="csr")),
        np.append(model.row_lower, nothing),
        np.append(model.row_upper, nothing),
        np.append(model.lower, sums @ model.lower),
        np.append(model.upper, sums @ model.upper),
        np.append(model.integer & apart, np.ones(n_sums, dtype=bool)),
    )


def _areas(model: LinearModel) -> IntArray:
    """Return the number of the area of each column, (n,)."""
    assert model.integer is not None
    matrix = sparse.csr_array(model.matrix)
    mixed = np.flatnonzero(matrix.astype(bool).astype(float) @ (~model.integer).astype(float))
    met = rows_of(matrix, mixed)
    ones = sparse.csr_array((np.ones(met.nnz), met.indices, met.indptr), shape=met.shape)
    edges = sparse.block_array([[None, ones], [ones.T, None]], format="csr")
    _, area = connected_components(edges, directed=False)
    return area[len(mixed) :]


def _groups(label: IntArray) -> list[tuple[int, ...]]:
    """Return the places, ascending, that have each label, if there are two or more."""
    order = np.argsort(label, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    return [tuple(one.tolist()) for one in groups if len(one) > 1]
