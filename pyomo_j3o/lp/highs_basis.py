"""Bases of HiGHS: extended where an LP has grown, and as arrays for another LP."""

from __future__ import annotations

from dataclasses import dataclass

import highspy
import numpy as np

from pyomo_j3o.lp.base import Statuses

_KIND = highspy.HighsBasisStatus
_CODES = {
    _KIND.kLower: Statuses.LOWER,
    _KIND.kBasic: Statuses.BASIC,
    _KIND.kUpper: Statuses.UPPER,
    _KIND.kZero: Statuses.FREE,
    _KIND.kNonbasic: Statuses.LOWER,
}
_KINDS = (_KIND.kLower, _KIND.kBasic, _KIND.kUpper, _KIND.kZero)


@dataclass(slots=True)
class Basis:
    """A basis and its size, kept beside it since reading a status list of HiGHS copies it."""

    statuses: highspy.HighsBasis
    columns: int
    rows: int

    def extend(self, columns: int, rows: int) -> None:
        """Extend a basis by n columns and m rows that are out of it."""
        wider = highspy.HighsBasis()
        wider.col_status = [*self.statuses.col_status, *[highspy.HighsBasisStatus.kLower] * columns]
        wider.row_status = [*self.statuses.row_status, *[highspy.HighsBasisStatus.kBasic] * rows]
        wider.valid = True
        self.statuses, self.columns, self.rows = wider, self.columns + columns, self.rows + rows


def statuses_of(basis: highspy.HighsBasis) -> Statuses:
    """Return a basis as arrays."""
    columns, rows = (
        np.fromiter((_CODES[status] for status in statuses), dtype=np.int64)
        for statuses in (basis.col_status, basis.row_status)
    )
    return Statuses(columns, rows)


def basis_from(statuses: Statuses) -> highspy.HighsBasis:
    """Return a basis that HiGHS mends where it is none of its LP."""
    basis = highspy.HighsBasis()
    basis.col_status = [_KINDS[code] for code in statuses.columns.tolist()]
    basis.row_status = [_KINDS[code] for code in statuses.rows.tolist()]
    basis.valid = basis.alien = True
    return basis
