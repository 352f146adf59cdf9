"""What it costs to change a placement: the price of every onloading variable, and the model with these."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pyomo.core.base.block import BlockData
from pyomo.core.base.suffix import Suffix
from pyomo.core.base.var import Var, VarData
from pyomo.core.expr.numeric_expr import NumericValue
from pyomo.core.expr.numvalue import value

from pyomo_j3o.core.counts import LONGEST_UNARY, Counts
from pyomo_j3o.core.problem import BoolArray, FloatArray, Problem, evaluate
from pyomo_j3o.errors import OptionError
from pyomo_j3o.modeling.annotate import ONLOADING, Roles, blocks_of
from pyomo_j3o.modeling.batching_window import BatchingWindowData
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.modeling.naming import float_or_nan, shortened

#: The name of the option, and of the LOCAL Suffix that gives a price where the option does not.
MOVE_COST = "move_cost"

#: No price may be larger: sums of more are no numbers.
_LARGEST_PRICE = 1e100


@dataclass(frozen=True, slots=True)
class Moves:
    """A placement to stay near, and what it costs to leave it.

    Of an integer variable, every unit by which it differs is a move: ``price * abs(n - n_held)``.

    Attributes
    ----------
    own : Problem
        The model without the price.
    held : (N,)
        The placement, 0 or 1; NaN where none is known.
    price : (N,)
        What a change costs, in units of the user's objective; 0 where no placement is known.
    counted : (N,) bool
        Whose changes are moves.
    without : int
        How many integers a price of all variables leaves out, as they take none.
    from_last_plan : int
        How many variables hold no value, so that their changes are counted from the solver's last plan.
    """

    own: Problem
    held: FloatArray
    price: FloatArray
    counted: BoolArray
    without: int = 0
    from_last_plan: int = 0

    @property
    def problem(self) -> Problem:
        """The model with the price of every change taken from its objective."""
        return self.problem_at(self.price)

    def problem_at(self, price: FloatArray) -> Problem:
        """Return the model with other prices, (N,), taken from its objective: linear, as x is binary."""
        stays = self.held == 1.0
        return replace(
            self.own,
            onloading_objective=self.own.onloading_objective + np.where(stays, price, -price),
            objective_constant=math.fsum([self.own.objective_constant, *-price[stays]]),
        )

    @property
    def unknown(self) -> int:
        """How many variables that could move have no value to move from."""
        return self._variables(self.counted & np.isnan(self.held))

    @property
    def priced(self) -> int:
        """How many variables have a price."""
        return self._variables(self.price > 0)

    def number(self, x: BoolArray) -> int:
        """Return how many variables the placement `x`, (N,), changes; of integer ones, by how many units."""
        changed = self._changed(x)
        counts = self.own.counts
        return int(np.count_nonzero(changed) if counts is None else counts.weight[changed].sum())

    def cost(self, x: BoolArray) -> float:
        """Return what these changes cost."""
        return float(self.price[self._changed(x)].sum())

    def own_objective(self, x: BoolArray, y: FloatArray) -> float:
        """Return the maximised objective without the price at a plan, x (N,) and y (K,)."""
        return evaluate(self.own, x.astype(float), y)

    def objective(self, x: BoolArray, y: FloatArray) -> float:
        """Return the maximised objective with the price at a plan, x (N,) and y (K,).

        It is computed from the moves: in the objective of `problem`, a large price and its constant cancel.
        """
        return self.own_objective(x, y) - self.cost(x)

    def _variables(self, columns: BoolArray) -> int:
        """Return the number of variables that have some of these columns, (N,) bool."""
        counts = self.own.counts
        return len(np.unique(np.flatnonzero(columns) if counts is None else counts.variable[columns]))

    def _changed(self, x: BoolArray) -> BoolArray:
        x = x if self.own.counts is None else self.own.counts.canonical(x)
        return self.counted & ~np.isnan(self.held) & (x != (self.held == 1.0))


def moves_of(
    option: Any, problem: Problem, inverse: Inverse, placement: FloatArray | BoolArray | None = None
) -> Moves | None:
    """Return what changes of the placement cost; None if neither the option nor a Suffix says anything.

    A price of a single variable counts before one of its Var, and the option counts before the Suffix. A
    number is the price of every onloading variable except the indicators of batching windows, which are no
    models, and of integers that take no price: those of many steps that start between their bounds. What is
    fixed, or occurs nowhere, has no price.

    Parameters
    ----------
    option
        None, a number, or a mapping from Vars and their members to numbers.
    problem, inverse
        The compiled model.
    placement
        (N,) what changes are counted from, NaN where that is unknown; None for what the variables hold.

    Raises
    ------
    OptionError
        If a price is no finite number of at least 0, or belongs to what is no onloading variable, or to an
        integer that takes no price.
    """
    given = [_entries(suffix, f"Suffix '{suffix.name}'") for suffix in _suffixes(inverse.model)]
    everywhere = 0.0
    if isinstance(option, Mapping):
        given.append(_entries(option, MOVE_COST))
    elif option is not None:
        everywhere, given = require_price(option, f"{MOVE_COST}={option!r}"), []
    elif not given:
        return None
    variables = inverse.onloading
    counted = np.array(
        [not (_is_indicator(variable) or inverse.is_added(variable)) for variable in variables], dtype=bool
    )
    price = np.where(counted, everywhere, 0.0)
    if given:
        numbers = {id(variable): number for number, variable in enumerate(variables)}
        for entries in given:
            for number, of_move in _priced(entries, numbers, inverse):
                price[number], counted[number] = of_move, True
    held = _placement(inverse, placement)
    n_without, counts = 0, problem.counts
    if counts is not None:
        without = _without_price(held, counts)
        if given:
            _require_no_price(without & (price > 0), inverse)
        n_without = int(np.count_nonzero(without & (price > 0)))
        price, counted = np.where(without, 0.0, price), counted & ~without
        price, counted = price[counts.variable] * counts.weight, counted[counts.variable]
    price[np.isnan(held)] = 0.0
    planned = 0
    if placement is not None:
        empty = counted & np.isnan(_placement(inverse, None)) & ~np.isnan(held)
        planned = len(np.unique(np.flatnonzero(empty) if counts is None else counts.variable[empty]))
    return Moves(problem, held, price, counted, n_without, planned)


def _without_price(held: FloatArray, counts: Counts) -> BoolArray:
    """Return which variables take no price at a placement of columns, (N,).

    Of columns with weights above 1, the changes add up to those of the variable only where all or none of
    them are 1 at the start.
    """
    some = np.bincount(counts.variable, held == 1.0) * np.bincount(counts.variable, held == 0.0)
    return (some > 0) & ~counts.in_units


def _require_no_price(priced: BoolArray, inverse: Inverse) -> None:
    """Raise for the first of the variables that have a price and take none."""
    for v in np.flatnonzero(priced)[:1]:
        raise OptionError(
            f"{MOVE_COST} gives a price to '{inverse.onloading[v].name}', an integer with more than "
            f"{LONGEST_UNARY} steps between its bounds and a value between them; tighten its bounds to "
            f"{LONGEST_UNARY} steps, or leave it out and price an offloading variable in the objective that "
            "rows keep at or above the difference, in both directions"
        )


def prices_given(option: Any, model: BlockData) -> list[Any]:
    """Return the prices of the option and of the Suffixes as plain data, to be compared with earlier ones."""
    given: list[Any] = [suffix.items() for suffix in _suffixes(model)]
    if isinstance(option, Mapping):
        given.append(option.items())
    elif option is not None:
        return [option]  # it counts before every Suffix
    return [[(id(component), _value(number)) for component, number in prices] for prices in given]


def has_prices(model: BlockData) -> bool:
    """Return whether a Suffix of the model gives prices of moves."""
    return bool(_suffixes(model))


def require_price(number: Any, named: str) -> float:
    """Return a price as a float; raise an `OptionError` that begins with `named` if it is none."""
    price = math.nan if isinstance(number, (bool, str)) else float_or_nan(number)
    if not 0.0 <= price <= _LARGEST_PRICE:
        raise OptionError(
            f"{named} is no price of a move; give a number from 0 to {_LARGEST_PRICE:g}, or a mapping from "
            "onloading variables to such numbers"
        )
    return price


#: A variable and its price.
_Entry = tuple[VarData, float]


def _entries(prices: Mapping[Any, Any], source: str) -> list[_Entry]:
    """Return the price of every variable that a mapping or a Suffix names, those of whole Vars first."""
    whole: list[_Entry] = []
    single: list[_Entry] = []
    for component, number in prices.items():
        if not isinstance(component, (Var, VarData)):
            shown = getattr(component, "name", repr(component))
            raise OptionError(
                f"{source} names {shown}, which is no variable; name onloading Vars or members of them"
            )
        number = _value(number)
        price = require_price(number, f"{source} gives '{component.name}' {shortened(number)}, which")
        if isinstance(component, VarData):
            single.append((component, price))
        else:
            whole += [(member, price) for member in component.values()]
    return whole + single


def _value(number: Any) -> Any:
    """Return the value of a Param or an expression without variables; anything else as it is."""
    constant = isinstance(number, NumericValue) and not number.is_potentially_variable()
    return value(number, exception=False) if constant else number


def _priced(entries: list[_Entry], numbers: dict[int, int], inverse: Inverse) -> Iterator[tuple[int, float]]:
    """Yield number and price of variables; raise if an entry is of a free one that is not onloading."""
    roles = None
    for variable, price in entries:
        number = numbers.get(id(variable))
        if number is not None:
            yield number, price
        elif not variable.fixed:
            roles = roles or Roles(inverse.model)
            onloading = roles.of(variable) == ONLOADING if roles.any else variable.is_integer()
            if not onloading or variable.model() is not inverse.model.model():
                raise OptionError(
                    f"{MOVE_COST} gives a price to '{variable.name}', which is no onloading variable of the "
                    "model; only changes of these have a price, so leave it out"
                )


def _suffixes(model: BlockData) -> list[Suffix]:
    """Return the Suffixes with prices in the whole model, inner ones first, as those with marks are found."""
    found = [block.component(MOVE_COST) for block in blocks_of(model.model())]
    return [one for one in reversed(found) if one is not None and one.ctype is Suffix and len(one)]


def _is_indicator(variable: VarData) -> bool:
    return isinstance(variable.parent_block(), BatchingWindowData)


def _placement(inverse: Inverse, given: FloatArray | BoolArray | None) -> FloatArray:
    """Return a placement as 0, 1 or NaN, (N,): the one that is given, or what the variables hold."""
    values = inverse.warm_start()[0] if given is None else np.asarray(given, dtype=float)
    if values is None:
        return inverse.columns_of(np.full(len(inverse.onloading), np.nan))
    return np.where(np.isnan(values), np.nan, (values >= 0.5).astype(float))
