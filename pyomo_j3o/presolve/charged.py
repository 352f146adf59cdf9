"""A problem in which onloading variables pay for the set-ups of batches, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pyomo_j3o.core.matrices import entry_rows
from pyomo_j3o.core.problem import Batches, BoolArray, FloatArray, IntArray, Plan, Problem
from pyomo_j3o.core.results import Outcome

#: A rate below this fraction of the largest one of the plan is rounding, and makes no batch.
EMPTY = 1e-9


@dataclass(frozen=True, slots=True)
class Charged:
    """A reduction to a problem with fewer onloading variables, and which of them pay for batches.

    Attributes
    ----------
    problem : Problem
        Linear; the same y as the original. Rows are others.
    original : Problem
        With an indicator z for each of its B batches.
    column : (N,)
        The column of each original x, -1 for an indicator that is gone.
    batch : (b,)
        Numbers of the batches that somebody pays for; those without set-up and those that never run are out.
    payer : (b,)
        The column of ``problem`` that pays for the batch: the x it was replaced by, or its indicator.
    row : (b,)
        The row of ``problem`` that holds the set-up.
    setup : (b,)
        What is paid, in units of the row.
    idle_if_empty : (b,) bool
        The payer can be taken out of any plan in which the batch is empty.
    opening : row numbers
        Rows of ``problem`` that say no more than that an empty batch may stay unpaid.
    never : (B,) bool
        The batch can never run: its set-up alone is longer than the window.
    free : (B,) bool
        The indicator may be 0 whenever the batch is empty.
    budget : row numbers
        Rows of ``problem`` that follow: the set-ups of a window fit into it.
    stands_for : (B,)
        The column of ``problem`` that stands for an indicator that is gone, -1 for none.
    restricts : bool
        Plans of the original are missing in ``problem``. Its bound is no bound of the original.
    charge_all : bool
        A restored plan charges an onloaded model for its empty batches, too.
    """

    problem: Problem
    original: Problem
    column: IntArray
    batch: IntArray
    payer: IntArray
    row: IntArray
    setup: FloatArray
    idle_if_empty: BoolArray
    opening: IntArray
    budget: IntArray
    never: BoolArray
    free: BoolArray
    stands_for: IntArray
    restricts: bool
    charge_all: bool

    @property
    def batches(self) -> Batches:
        """Those of the original."""
        assert self.original.batches is not None
        return self.original.batches

    @property
    def indicators_left(self) -> bool:
        """Whether some batch with set-up still has an indicator of its own."""
        return bool(np.any(self.column[self.batches.indicator[self.batch]] >= 0))

    def rates(self, y: FloatArray) -> FloatArray:
        """Return the queries/s of the batches that somebody pays for, (b,)."""
        return self.batches.rates(y)[self.batch]

    def empty(self, y: FloatArray) -> BoolArray:
        """Return which of the original batches are empty, (B,)."""
        return empty(self.batches.rates(y))

    def largest_rates(self) -> FloatArray:
        """Return the queries/s that each batch that is paid for can have at most, (b,), above 0."""
        batches, problem = self.batches, self.problem
        arrivals = abs(batches.arrivals[self.batch])
        number = entry_rows(arrivals)
        upper = problem.offloading_upper[arrivals.indices]
        by_bounds = np.bincount(number, arrivals.data * upper, minlength=len(self.batch))
        # The window alone has room for no more, whatever the bounds.
        time = np.asarray(problem.offloading_rows[self.row[number], arrivals.indices]).ravel()
        room = np.maximum(problem.row_upper[self.row[number]], 0.0)
        by_room = np.zeros(len(self.batch))
        with np.errstate(divide="ignore", invalid="ignore"):
            np.maximum.at(by_room, number, np.where(time > 0, arrivals.data * room / time, np.inf))
        largest = np.minimum(by_bounds, by_room) + np.abs(batches.constant[self.batch])
        return np.where(np.isfinite(largest) & (largest > 0), largest, 1.0)

    def reduce_placement(self, x: BoolArray) -> BoolArray:
        """Return an original placement in the columns of ``problem``."""
        kept = self.column >= 0
        reduced = np.zeros(self.problem.n_onloading, dtype=bool)
        reduced[self.column[kept]] = x[kept]
        return reduced

    def reduce(self, plan: Plan) -> Plan:
        """Return a plan of the original in the columns of ``problem``."""
        return replace(plan, x=self.reduce_placement(plan.x))

    def restore_plan(self, plan: Plan) -> Plan:
        """Return a plan of ``problem`` in the columns of the original."""
        return replace(plan, x=self._restored_placement(plan.x, plan.y))

    def restore(self, outcome: Outcome) -> Outcome:
        """Return an outcome of ``problem`` in the columns of the original, without duals: rows are others."""
        return replace(
            outcome,
            plan=None if outcome.plan is None else self.restore_plan(outcome.plan),
            bound=np.inf if self.restricts else outcome.bound,
            duals=None,
            cuts=None,
        )

    def _restored_placement(self, x: BoolArray, y: FloatArray) -> BoolArray:
        """Return a placement in the original columns; y, (K,), says which batches are empty."""
        kept = self.column >= 0
        original = np.zeros(self.original.n_onloading, dtype=bool)
        original[kept] = x[self.column[kept]]
        z = self.batches.indicator
        gone = self.column[z] < 0
        used = ~self.empty(y)
        placed = np.append(x, True)[self.stands_for] & ~self.never
        charged = placed & (used | (self.charge_all & (self.stands_for >= 0)))
        original[z[gone]] = charged[gone]
        if not self.charge_all:
            original[z[self.free & ~gone & ~used]] = False
        return original


def empty(rates: FloatArray) -> BoolArray:
    """Return which batches are empty up to rounding, given the queries/s of all."""
    return np.asarray(rates <= EMPTY * np.abs(rates).max(initial=0.0))
