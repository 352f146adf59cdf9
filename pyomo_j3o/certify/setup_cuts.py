"""Cuts of set-ups in capacity rows: who uses a capacity has at most what its own set-up leaves."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from pyomo_j3o.certify.mir import BaseRows
from pyomo_j3o.core.matrices import entry_rows
from pyomo_j3o.core.problem import FloatArray


def setup_cuts(base: BaseRows, upper: FloatArray) -> sparse.csr_array:
    """Return rows ``cuts @ (x, y) <= 0`` that every plan satisfies; all that say more than the links do.

    In a row ``Σ c_k x_k + Σ a_h y_h <= b`` without negative terms, let some y_h be 0 unless x_k is 1. If it
    is 1, its own set-up c_k leaves b - c_k for them::

        Σ_{h of k} a_h y_h  <=  (b - c_k) x_k

    The relaxation knows the right-hand side only as b less what fractions of all set-ups take.

    Parameters
    ----------
    base
        Rows, and the x that opens each y.
    upper
        (K,), of y.
    """
    n_x, n_y = base.x_rows.shape[1], base.y_rows.shape[1]
    x_row = entry_rows(base.x_rows)
    y_row = entry_rows(base.y_rows)
    x, y = base.x_rows.indices.astype(np.int64), base.y_rows.indices.astype(np.int64)
    setup, share = base.x_rows.data, base.y_rows.data
    n_rows = len(base.budget)
    sound = (
        np.bincount(x_row[setup < 0], minlength=n_rows) + np.bincount(y_row[share < 0], minlength=n_rows) == 0
    )

    if not len(x_row):
        return sparse.csr_array((0, n_x + n_y))

    # Entries of y whose opener has a set-up in the same row.
    key = x_row * n_x + x
    order = np.argsort(key)
    opener = base.opener[y]
    wanted = y_row * n_x + opener
    at = order[np.minimum(np.searchsorted(key[order], wanted), len(key) - 1)]
    fits = (opener >= 0) & sound[y_row] & (key[at] == wanted)
    entry, at = np.flatnonzero(fits), at[fits]

    setups, number = np.unique(at, return_inverse=True)
    left = base.budget[x_row[setups]] - setup[setups]
    reach = np.bincount(number, share[entry] * np.minimum(base.cap[y[entry]], upper[y[entry]]))
    useful = left < reach * (1 - 1e-9)
    new = np.cumsum(useful) - 1
    keep = useful[number]
    rows = np.concatenate([new[number[keep]], new[useful]])
    columns = np.concatenate([n_x + y[entry[keep]], x[setups[useful]]])
    values = np.concatenate([share[entry[keep]], -left[useful]])
    return sparse.csr_array((values, (rows, columns)), shape=(int(useful.sum()), n_x + n_y))
