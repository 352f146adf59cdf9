"""The way back from the arrays of a `Problem` to the Pyomo model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from pyomo.common.collections import ComponentMap
from pyomo.core.base.block import BlockData
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.base.var import VarData
from pyomo.core.staleflag import StaleFlagManager

from pyomo_j3o.core.counts import Counts
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.errors import ModelError
from pyomo_j3o.modeling.auxiliary import Auxiliary, written_for
from pyomo_j3o.modeling.columns import Columns
from pyomo_j3o.modeling.naming import called, float_or_nan


@dataclass(frozen=True, slots=True, eq=False)
class Settling:
    """What was added to a model, in the order of the arrays.

    Attributes
    ----------
    auxiliary
        In positions of all variables.
    onloading, offloading
        Positions of the onloading variables, (V,), and of the columns of y, (K,).
    held
        Values of all variables that are fixed; 0 elsewhere.
    added
        Variables and rows that were added, by id. They live as long as `auxiliary` does.
    """

    auxiliary: Auxiliary
    onloading: IntArray
    offloading: IntArray
    held: FloatArray
    added: frozenset[int]

    @staticmethod
    def of(auxiliary: Auxiliary, columns: Columns) -> Settling:
        """Return what was added to a model of these columns."""
        added = frozenset(map(id, (*auxiliary.variables, *auxiliary.constraints)))
        return Settling(auxiliary, columns.onloading, columns.offloading, columns.value, added)

    def settled(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return `y`, (K,), at values of the onloading variables, (V,); see `Auxiliary.settled`."""
        values = self.held.copy()
        values[self.onloading], values[self.offloading] = x, y
        return self.auxiliary.settled(values)[self.offloading]


@dataclass(frozen=True, slots=True)
class Inverse:
    """The way back from the arrays of a `Problem` to the Pyomo model that it was compiled from.

    Attributes
    ----------
    model
        The model or block that was compiled.
    onloading, offloading
        The V onloading variables, and the variable of each column of y, (K,). Without counts, there is one
        column of x for each onloading variable.
    rows
        The constraint of each row, (M,).
    constant_rows
        Constraints without a free variable: rows of constants, which hold.
    idle
        Annotated variables, not fixed, that occur in no active expression: columns of neither x nor y.
    idle_values
        What these get at `load`: the allowed value nearest to 0.
    sense
        The sense of the Problem: +1 if the user maximises, -1 if the user minimises.
    met
        The columns of (x, y) in the order in which the rows, and after them the objective, first name them
        outside of products; columns of products alone are not among them.
    counts
        How integer variables are made of the N columns of x; None if all are binary.
    settling
        What was added to the model: variables and rows that are not the user's; None if nothing was.
    """

    model: BlockData
    onloading: list[VarData]
    offloading: list[VarData]
    rows: list[ConstraintData]
    constant_rows: list[ConstraintData]
    idle: list[VarData]
    idle_values: list[float]
    sense: float
    met: IntArray
    counts: Counts | None = None
    settling: Settling | None = None

    def with_auxiliary(self, auxiliary: Auxiliary, columns: Columns) -> Inverse:
        """Return the way back that knows what was added to the model."""
        return replace(self, settling=Settling.of(auxiliary, columns))

    def name_of(self, component: VarData | ConstraintData) -> str:
        """Return the name of a component, or of the user's component that one of ours was written for."""
        return written_for(component) if self.is_added(component) else str(component.name)

    def is_added(self, component: VarData | ConstraintData) -> bool:
        """Return whether a variable or a row was added to the model, and so is not the user's."""
        return self.settling is not None and id(component) in self.settling.added

    def settled(self, x: FloatArray | BoolArray, y: FloatArray) -> FloatArray:
        """Return `y`, (K,), without what tolerances leave of products and sets at columns `x`, (N,).

        See `Auxiliary.settled`.
        """
        return y if self.settling is None else self.settling.settled(self.values_of_onloading(x), y)

    def in_columns(self, counts: Counts) -> Inverse:
        """Return the way back from columns that make up integer variables, which are columns so far."""
        n, of = len(self.onloading), counts.variable
        place = np.full(n + len(self.offloading), -1, dtype=np.int64)
        place[self.met] = np.arange(len(self.met))
        new = np.concatenate([place[:n][of], place[n:]])
        met = np.flatnonzero(new >= 0)
        return replace(self, met=met[np.argsort(new[met], kind="stable")], counts=counts)

    @property
    def variable_of_column(self) -> list[VarData]:
        """The variable of each column of x, (N,): an integer one stands there more than once."""
        if self.counts is None:
            return self.onloading
        return [self.onloading[v] for v in self.counts.variable]

    def values_of_onloading(self, x: FloatArray | BoolArray) -> FloatArray:
        """Return the value of every onloading variable, (V,), at columns `x`, (N,)."""
        return np.asarray(x, dtype=float) if self.counts is None else self.counts.values(x)

    def columns_of(self, values: FloatArray) -> FloatArray:
        """Return the columns of x, (N,), at values of the onloading variables, (V,), NaN where unknown.

        What lies outside of the bounds of a variable, or is not whole, gives a column that is neither 0 nor
        1.
        """
        return values if self.counts is None else self.counts.columns(values)

    def load(self, x: FloatArray, y: FloatArray) -> None:
        """Give the variables their values at columns `x` (N,), bool or near 0 and 1, and `y` (K,).

        One that has been fixed since the model was compiled keeps its value.
        """
        pairs = self._pairs(x, y)
        try:
            _load(pairs)
        except BaseException:
            # Ctrl-C in the middle: a model never holds half of a plan.
            _load(pairs)
            raise

    def values(self, x: FloatArray, y: FloatArray) -> ComponentMap:
        """Return the values that `load` would give, by variable."""
        return ComponentMap(self._pairs(x, y))

    def duals(self, row_duals: FloatArray) -> dict[ConstraintData, float]:
        """Return the dual of every constraint in the user's own sense; 0 where no variable is free.

        Parameters
        ----------
        row_duals
            (M,), the change of the maximised objective per unit of the row's right-hand side.
        """
        duals = dict(zip(self.rows, (self.sense * np.asarray(row_duals)).tolist(), strict=True))
        duals |= dict.fromkeys(self.constant_rows, 0.0)
        return {row: dual for row, dual in duals.items() if not self.is_added(row)}

    def reduced_costs(self, onloading: FloatArray | None, offloading: FloatArray | None) -> ComponentMap:
        """Return the reduced costs in the user's own sense; None leaves a kind of variable out.

        Parameters
        ----------
        onloading, offloading
            (N,) and (K,), the change of the maximised objective per unit of the column's variable.
        """
        if onloading is not None and self.counts is not None:
            onloading = self.counts.per_unit(np.asarray(onloading))
        costs = ComponentMap()
        for variables, numbers in ((self.onloading, onloading), (self.offloading, offloading)):
            if numbers is not None:
                pairs = zip(variables, (self.sense * np.asarray(numbers)).tolist(), strict=True)
                costs.update(pair for pair in pairs if not self.is_added(pair[0]))
        return costs

    def warm_start(self) -> tuple[FloatArray | None, FloatArray | None]:
        """Return the values that the model's variables hold now, as x (N,) and y (K,).

        A variable without a value gives NaN; if none of a kind has one, None is returned for it.
        """
        values = _values_held(self.onloading)
        return None if values is None else self.columns_of(values), _values_held(self.offloading)

    def _pairs(self, x: FloatArray, y: FloatArray) -> list[tuple[VarData, float]]:
        # Adding 0.0 turns -0.0 into 0.0.
        whole = self.values_of_onloading(np.rint(np.asarray(x, dtype=float))) + 0.0
        pairs = list(zip(self.onloading, whole.tolist(), strict=True))
        pairs += zip(self.offloading, np.asarray(y, dtype=float).tolist(), strict=True)
        pairs += zip(self.idle, self.idle_values, strict=True)
        return pairs if self.settling is None else [pair for pair in pairs if not self.is_added(pair[0])]


def _load(pairs: list[tuple[VarData, float]]) -> None:
    StaleFlagManager.mark_all_as_stale()
    for variable, number in pairs:
        if not variable.fixed:
            variable.set_value(number, skip_validation=True)
    # As after any Pyomo solver: the next change the user makes turns the rest stale.
    StaleFlagManager.mark_all_as_stale(delayed=True)


def _values_held(variables: list[VarData]) -> FloatArray | None:
    held = [variable.value for variable in variables]
    if all(number is None for number in held):
        return None
    try:
        return np.array([np.nan if number is None else number for number in held], dtype=float)
    except (TypeError, ValueError, OverflowError):
        for variable, number in zip(variables, held, strict=True):
            if number is not None and np.isnan(float_or_nan(number)):
                raise ModelError(
                    f"{called(variable)} holds {number!r}, which is no number to start from; give it one, "
                    "or None"
                ) from None
        raise
