"""Who pays a batch's set-up: indicators of batches replaced by the onloading variables that open them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.core.matrices import entry_rows
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Problem
from pyomo_j3o.core.tolerances import rounding_of
from pyomo_j3o.presolve.charged import Charged
from pyomo_j3o.presolve.params import PresolveParams


def charge_when_used(
    problem: Problem, negligible: float = PresolveParams().negligible, charge_all: bool = False
) -> Charged:
    """Return an equivalent problem in which fewer indicators of batches are left.

    An indicator z goes where set-up is free, where it is longer than the window, and where one x alone opens
    all that z opens, and does nothing else: who uses such a model pays, and who does not can do without it:
    x says what z says.

    Parameters
    ----------
    problem
        Linear, with batches.
    negligible
        Where the set-ups of a window together are less than this fraction of it, they are left out. The
        problem is a relaxation then. 0 keeps them all.
    charge_all
        Whether a restored plan charges an onloaded model for its empty batches, too.
    """
    return _charge(problem, False, negligible, charge_all)


def charge_when_onloaded(problem: Problem, negligible: float = PresolveParams().negligible) -> Charged:
    """Return the problem in which every onloaded model pays for its batches, be they empty or not.

    Its plans are plans of the original; its best plan may be worse, its bound says nothing.

    Parameters
    ----------
    problem, negligible
        As for `charge_when_used`.
    """
    return _charge(problem, True, negligible, charge_all=True)


class _Entries:
    """A matrix as triples."""

    def __init__(self, matrix: sparse.csr_array) -> None:
        self.shape = matrix.shape
        self.row: IntArray = entry_rows(matrix)
        self.column: IntArray = matrix.indices.astype(np.int64)
        self.value: FloatArray = matrix.data

    def per_row(self, weights: FloatArray | BoolArray) -> FloatArray:
        """Return the sum of something per row."""
        return np.bincount(self.row, weights, minlength=self.shape[0]).astype(float)


class _Indicators:
    """What the rows say of every batch and its indicator; B batches."""

    def __init__(self, problem: Problem, negligible: float) -> None:
        assert problem.batches is not None
        self.problem, self.batches = problem, problem.batches
        self.xs, self.ys = _Entries(problem.onloading_rows), _Entries(problem.offloading_rows)
        self.n_xs, self.n_ys = np.diff(problem.onloading_rows.indptr), np.diff(problem.offloading_rows.indptr)
        self.n_batches = len(self.batches)
        arrivals = self.batches.arrivals
        #: (B, K): which columns bring queries to which batch.
        self.columns = sparse.csr_array(
            (np.ones(arrivals.nnz), arrivals.indices, arrivals.indptr),
            shape=(self.n_batches, problem.n_offloading),
        )
        batch_of = np.full(problem.n_onloading, -1, dtype=np.int64)
        batch_of[self.batches.indicator] = np.arange(self.n_batches)
        #: Per entry of x, the batch whose indicator it is, or -1.
        self.of_batch = batch_of[self.xs.column]
        of_batch = np.flatnonzero(self.of_batch >= 0)
        pays = self.xs.row[of_batch] == self.batches.row[self.of_batch[of_batch]]
        #: Entries of x: set-ups; where an indicator opens columns.
        self.pays, self.opens = of_batch[pays], of_batch[~pays]
        self.setup = np.bincount(
            self.of_batch[self.pays], self.xs.value[self.pays], minlength=self.n_batches
        ).astype(float)
        #: (M,): the row has an upper side only; it has it, and every term of it is at least 0.
        self.from_above = np.isneginf(problem.row_lower)
        self.y_is_odd = self.ys.per_row(
            (self.ys.value < 0) | (problem.offloading_lower[self.ys.column] < 0)
        ).astype(bool)
        self.sound = self.from_above & ~self.y_is_odd & ~self.xs.per_row(self.xs.value < 0).astype(bool)
        self.room = self._room()
        self.clean = self._clean()
        short = self.room[self.batches.row]
        dead_at_zero = self.columns @ (problem.offloading_lower != 0).astype(float) == 0
        in_window = np.bincount(self.batches.row, self.setup, minlength=problem.n_rows)[self.batches.row]
        self.costly = (self.setup > 0) & (in_window > negligible * np.where(np.isfinite(short), short, 0.0))
        self.never = self.clean & dead_at_zero & (self.setup > short + rounding_of(short))
        self._read_links()

    def _room(self) -> FloatArray:
        """Return what set-ups may take of each row at most, (M,)."""
        low = self.ys.per_row(
            np.where(self.ys.value > 0, self.ys.value * self.problem.offloading_lower[self.ys.column], 0.0)
        )
        return np.where(self.sound, self.problem.row_upper - low, np.inf)

    def _clean(self) -> BoolArray:
        """Return for which batches the indicator may be 0 exactly if the batch is empty, (B,)."""
        problem, opens = self.problem, self.opens
        row, batch = self.xs.row[opens], self.of_batch[opens]
        with np.errstate(invalid="ignore"):
            high = self.ys.per_row(self.ys.value * problem.offloading_upper[self.ys.column])
        odd = self.y_is_odd[row] | (self.n_xs[row] != 1) | (self.xs.value[opens] >= 0)
        odd |= (problem.row_upper[row] != 0) | ~self.from_above[row]
        # Opening rows are no limit once they are open, and are about the arrivals alone.
        odd |= ~(-self.xs.value[opens] * (1 + 1e-9) >= high[row])
        batch_of_row = np.full(problem.n_rows, -1, dtype=np.int64)
        batch_of_row[row] = batch
        entry = np.flatnonzero(batch_of_row[self.ys.row] >= 0)
        n_y = problem.n_offloading
        pattern = entry_rows(self.columns) * n_y
        of_arrivals = pattern + self.columns.indices
        opened = batch_of_row[self.ys.row[entry]] * n_y + self.ys.column[entry]
        strangers = batch_of_row[self.ys.row[entry[~np.isin(opened, of_arrivals)]]]
        z = self.batches.indicator
        clean: BoolArray = np.bincount(batch, odd, minlength=self.n_batches) == 0
        clean[strangers] = False
        clean[np.bincount(pattern // n_y, ~np.isin(of_arrivals, opened), minlength=self.n_batches) > 0] = (
            False
        )
        clean &= (problem.onloading_objective[z] == 0) & (self.setup >= 0)
        clean &= (problem.onloading_lower[z] == 0) & (problem.onloading_upper[z] == 1)
        return clean & self.from_above[self.batches.row]

    def _read_links(self) -> None:
        """Find which x closes which y, and which x closes all columns of a batch."""
        problem, xs, ys = self.problem, self.xs, self.ys
        n_x = problem.n_onloading
        entry = np.flatnonzero((self.n_ys[xs.row] == 1) & (self.of_batch < 0))
        row = xs.row[entry]
        y = problem.offloading_rows.indptr[row]
        column, scale = ys.column[y], ys.value[y]
        raises = xs.value[entry] * scale < 0
        #: Pairs (x, y): x raises the bound of y in a row of its own.
        self.opener_x, self.opener_y = xs.column[entry[raises]], column[raises]
        side = np.where(scale > 0, problem.row_upper[row], problem.row_lower[row])
        other = np.where(scale > 0, problem.row_lower[row], problem.row_upper[row])
        closes = raises & (self.n_xs[row] == 1) & (side == 0) & (problem.offloading_lower[column] >= 0)
        self.link_row, self.link_y = row[closes], column[closes]
        pairs = np.unique(column[closes] * n_x + xs.column[entry[closes]])
        pair_y, pair_x = pairs // max(n_x, 1), pairs % max(n_x, 1)
        linked = sparse.csr_array((np.ones(len(pairs)), (pair_y, pair_x)), shape=(problem.n_offloading, n_x))
        covered = sparse.coo_array(self.columns @ linked)
        size, n_linked = np.diff(self.columns.indptr), np.bincount(pair_x, minlength=n_x)
        whole = covered.data == size[covered.row]
        # Taking x out of a plan harms rows that need it, other than links of columns that are 0.
        needs = (xs.value > 0) & np.isfinite(problem.row_lower[xs.row])
        needs |= (xs.value < 0) & np.isfinite(problem.row_upper[xs.row])
        needs[entry[closes & np.isinf(other)]] = False
        removable = np.bincount(xs.column, needs, minlength=n_x) == 0
        removable &= (problem.onloading_objective <= 0) & (problem.onloading_lower == 0)
        exact = whole & removable[covered.col] & (n_linked[covered.col] == size[covered.row])
        #: (B,): an x that closes all columns of the batch; one that does nothing else, and is worth nothing
        #: without it; -1 for none.
        self.closer = np.full(self.n_batches, -1, dtype=np.int64)
        self.own = np.full(self.n_batches, -1, dtype=np.int64)
        self.closer[covered.row[whole]] = covered.col[whole]
        self.own[covered.row[exact]] = covered.col[exact]


def _charge(problem: Problem, tie: bool, negligible: float, charge_all: bool) -> Charged:
    known = _Indicators(problem, negligible)
    batches, xs = known.batches, known.xs
    owner = np.where(known.own >= 0, known.own, known.closer if tie else -1)
    costly = known.costly
    owner[~known.clean | known.never | ~costly] = -1
    gone = known.clean & ((owner >= 0) | known.never | ~costly)

    dead, keep_y = _dead_columns(known)
    keep_row = np.ones(problem.n_rows, dtype=bool)
    keep_row[xs.row[known.opens[gone[known.of_batch[known.opens]]]]] = False
    keep_row[known.link_row[dead[known.link_y]]] = False

    # Set-ups move to the owners; the indicators' columns go.
    stays = np.ones(problem.n_onloading, dtype=bool)
    stays[batches.indicator[gone]] = False
    column = np.where(stays, np.cumsum(stays) - 1, -1)
    target = column[xs.column]
    pays = known.pays
    owner_of = owner[known.of_batch[pays]]
    target[pays] = np.where(owner_of >= 0, column[owner_of], target[pays])
    payer = np.where(owner >= 0, column[owner], column[batches.indicator])
    paid = np.flatnonzero(costly & ~known.never)
    more = _more_rows(known, payer, paid, tie, column)
    new_row = np.where(keep_row, np.cumsum(keep_row) - 1, -1)
    x_rows, y_rows = _kept_rows(known, new_row, (target, int(stays.sum())), more, keep_y)
    lower = problem.onloading_lower.copy()
    lower[batches.indicator[more.always]] = 1.0
    reduced = replace(
        problem,
        onloading_objective=problem.onloading_objective[stays],
        offloading_objective=np.where(dead, 0.0, problem.offloading_objective),
        onloading_rows=x_rows,
        offloading_rows=y_rows,
        row_lower=np.concatenate([problem.row_lower[keep_row], np.full(len(more.upper), -np.inf)]),
        row_upper=np.concatenate([problem.row_upper[keep_row], more.upper]),
        onloading_lower=lower[stays],
        onloading_upper=problem.onloading_upper[stays],
        offloading_upper=np.where(dead, 0.0, problem.offloading_upper),
        batches=None,
        counts=None if problem.counts is None else problem.counts.of_columns(np.flatnonzero(stays)),
    )
    opening = new_row[xs.row[known.opens[known.clean[known.of_batch[known.opens]]]]]
    return Charged(
        problem=reduced,
        original=problem,
        column=column,
        batch=paid,
        payer=payer[paid],
        row=new_row[batches.row[paid]],
        setup=known.setup[paid],
        idle_if_empty=(owner[paid] < 0) & known.clean[paid] | ((owner == known.own) & (owner >= 0))[paid],
        opening=opening[opening >= 0],
        budget=int(keep_row.sum()) + np.arange(more.n_budgets),
        never=known.never,
        free=known.clean,
        stands_for=np.where(gone & (owner >= 0), payer, -1),
        restricts=tie,
        charge_all=charge_all,
    )


def _dead_columns(known: _Indicators) -> tuple[BoolArray, BoolArray]:
    """Return the columns of batches that never run, (K,), and which entries of y are kept.

    An entry of such a column is kept only in a row that is missed without it.
    """
    problem, ys = known.problem, known.ys
    dead = np.zeros(problem.n_offloading, dtype=bool)
    dead[(known.columns[np.flatnonzero(known.never)]).indices] = True
    empty = (known.n_ys > 0) & (known.n_xs == 0) & (ys.per_row(~dead[ys.column]) == 0)
    unmet = empty & ((problem.row_lower > 0) | (problem.row_upper < 0))
    return dead, ~dead[ys.column] | unmet[ys.row]


def _kept_rows(
    known: _Indicators,
    new_row: IntArray,
    columns: tuple[IntArray, int],
    more: _MoreRows,
    keep_y: BoolArray,
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Return the rows that are kept, and `more` of them, over x and over y.

    Parameters
    ----------
    known
        What the rows say.
    new_row
        (M,), the new number of each row; -1 for one that goes.
    columns
        The new column of each entry of x, -1 for one that goes, and the number of new columns.
    more
        Rows over x alone that follow.
    keep_y
        Which entries of y are kept.
    """
    xs, ys, (target, n_columns) = known.xs, known.ys, columns
    n_rows = int(np.sum(new_row >= 0))
    keep_x = (target >= 0) & (new_row[xs.row] >= 0)
    keep_y = keep_y & (new_row[ys.row] >= 0)
    row = np.concatenate([new_row[xs.row[keep_x]], n_rows + more.row])
    column = np.concatenate([target[keep_x], more.column])
    value = np.concatenate([xs.value[keep_x], more.value])
    height = n_rows + len(more.upper)
    return (
        sparse.csr_array((value, (row, column)), shape=(height, n_columns)),
        sparse.csr_array(
            (ys.value[keep_y], (new_row[ys.row[keep_y]], ys.column[keep_y])),
            shape=(height, known.problem.n_offloading),
        ),
    )


@dataclass(frozen=True, slots=True)
class _MoreRows:
    """Rows over x alone, all with an upper side; the budgets come first."""

    row: IntArray
    column: IntArray
    value: FloatArray
    upper: FloatArray
    n_budgets: int
    #: Batches that are paid for in any case.
    always: IntArray


def _more_rows(known: _Indicators, payer: IntArray, paid: IntArray, tie: bool, column: IntArray) -> _MoreRows:
    """Return what follows for x alone: set-ups fit their window, and with `tie`, who is onloaded pays."""
    windows, window, size = np.unique(known.batches.row[paid], return_inverse=True, return_counts=True)
    useful = (size > 1) & np.isfinite(known.room[windows])
    number = np.cumsum(useful) - 1
    inside = useful[window]
    # Two batches of one window may have one payer.
    row, col, value = [number[window[inside]]], [payer[paid[inside]]], [known.setup[paid[inside]]]
    upper = [known.room[windows[useful]]]
    n_budgets = int(useful.sum())
    always = np.zeros(0, dtype=np.int64)
    kept = paid[payer[paid] == column[known.batches.indicator[paid]]]
    if tie and len(kept):
        pairs = sparse.csr_array(
            (np.ones(len(known.opener_x)), (known.opener_y, known.opener_x)),
            shape=(known.problem.n_offloading, known.problem.n_onloading),
        )
        opened = sparse.coo_array(known.columns[kept] @ pairs)
        n = len(opened.data)
        row += [n_budgets + np.arange(n), n_budgets + np.arange(n)]
        col += [column[opened.col], payer[kept[opened.row]]]
        value += [np.ones(n), -np.ones(n)]
        upper.append(np.zeros(n))
        ungated = np.diff(pairs.indptr) == 0
        always = kept[(known.columns[kept] @ ungated.astype(float) > 0) | (known.batches.constant[kept] > 0)]
    return _MoreRows(
        np.concatenate(row),
        np.concatenate(col),
        np.concatenate(value),
        np.concatenate(upper),
        n_budgets,
        always,
    )
