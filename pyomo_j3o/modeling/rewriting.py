"""A linear form of what arrays have no place for: products of two onloading variables, and ordered sets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from pyomo.core.base.block import Block, BlockData
from pyomo.core.base.constraint import Constraint, ConstraintData
from pyomo.core.base.sos import SOSConstraintData

from pyomo_j3o.core.deadline import NEVER
from pyomo_j3o.core.problem import IntArray, Products
from pyomo_j3o.modeling import onloading_products, special_sets
from pyomo_j3o.modeling.annotate import annotate, annotated
from pyomo_j3o.modeling.auxiliary import Auxiliary, MembersOfSet
from pyomo_j3o.modeling.columns import Columns
from pyomo_j3o.modeling.figures import Figures, Linear
from pyomo_j3o.modeling.naming import float_or_nan
from pyomo_j3o.modeling.rows import Rows, read_rows
from pyomo_j3o.modeling.special_sets import Opened


def needs_rewriting(model: BlockData, columns: Columns, figures: Figures) -> bool:
    """Return whether a model holds products of two onloading variables, or special ordered sets."""
    return bool(onloading_products.in_question(figures, columns).any()) or bool(
        special_sets.special_sets(model)
    )


class Rewriting:
    """A model as it was read, in which one kind of thing after the other gets a linear form.

    Parameters
    ----------
    model
        The model or block; it is left as it is.
    rows, columns, figures
        As read from it.
    strict
        As for `compile_model`.

    Attributes
    ----------
    rows, columns, figures
        With what was added.
    auxiliary : Auxiliary
        What was added.
    """

    def __init__(
        self, model: BlockData, rows: Rows, columns: Columns, figures: Figures, strict: bool
    ) -> None:
        self.model, self.rows, self.columns, self.figures = model, rows, columns, figures
        self.auxiliary = Auxiliary()
        self._strict = strict
        self._marked = annotated(model)

    def products(self, both_sides: bool = False) -> None:
        """Put a variable in place of each product of two onloading variables.

        Parameters
        ----------
        both_sides
            Whether rows that no best plan needs are kept.

        Raises
        ------
        UnsupportedTermError
            If neither factor is binary.
        """
        mine = onloading_products.in_question(self.figures, self.columns)
        if not mine.any():
            return
        pairs, where, self.figures = onloading_products.pairs_of(
            self.rows, self.figures, self.columns, mine, both_sides
        )
        if not len(pairs.gate):
            self._settle()
            return
        block = onloading_products.block_of(pairs, self.columns)
        if self._marked:
            annotate(block.model(), offloading=block.product)
        place = self.columns.place(list(block.product.values()))
        linear = self.figures.linear.and_also(where.row, place[where.pair], where.coefficient)
        self.figures = replace(self.figures, linear=linear)
        self._add(block)
        self.auxiliary = replace(self.auxiliary, product=place, first=pairs.gate, second=pairs.other)

    def sets(self) -> list[SOSConstraintData]:
        """Write the special ordered sets as rows, and return them.

        Raises
        ------
        ModelError
            If a set cannot be written so; the message names it.
        """
        sets = special_sets.special_sets(self.model)
        if not sets:
            return sets
        members = [self.columns.place(special_sets.members_of(one)) for one in sets]
        figures = self.figures
        everyone = np.unique(np.concatenate(members))
        ranges = special_sets.ranges_of(everyone, figures, self.columns)
        block, opened = special_sets.block_of(sets, members, ranges, self.columns)
        if self._marked and len(block.indicator):
            annotate(block.model(), onloading=block.indicator)
        found = []
        for level, of_set, indicators in opened:
            found.append(MembersOfSet(level, of_set, self._places(indicators)))
        self._add(block)
        self.auxiliary = replace(self.auxiliary, sets=found)
        return sets

    def _places(self, indicators: Opened) -> IntArray:
        places: IntArray = np.full(len(indicators), -1, dtype=np.int64)
        there = np.array([indicator is not None for indicator in indicators], dtype=bool)
        places[there] = self.columns.place([one for one in indicators if one is not None])
        return places

    def hold_values(self) -> None:
        """Give the new variables the values that follow from those that the user's variables hold."""
        variables = self.columns.variables
        held = np.array([_held(variable.value) for variable in variables], dtype=float)
        values = self.auxiliary.completed(held)
        for position in np.flatnonzero(np.isnan(held) & ~np.isnan(values)):
            if not variables[position].fixed:
                variables[position].set_value(float(values[position]), skip_validation=True)

    def _add(self, block: Block) -> None:
        """Add the rows of a block after those that are there; the objective comes last."""
        rows, figures = self.rows, self.figures
        new = read_rows(_constraints(block), None, NEVER)
        n_before, n_new = len(rows.constraints), len(new.constraints)
        added = Figures.of(new, self.columns.places_of(new.terms))
        linear, terms = figures.linear, figures.products
        self.figures = Figures(
            np.concatenate([figures.constant[:n_before], added.constant, figures.constant[n_before:]]),
            Linear(_behind(linear.row, n_before, n_new), linear.column, linear.coefficient).and_also(
                n_before + added.linear.row, added.linear.column, added.linear.coefficient
            ),
            Products(
                _behind(terms.row, n_before, n_new), terms.onloading, terms.offloading, terms.coefficient
            ),
            np.concatenate([figures.lower, added.lower]),
            np.concatenate([figures.upper, added.upper]),
        )
        self.rows = replace(
            rows,
            constraints=[*rows.constraints, *new.constraints],
            lower=[*rows.lower, *new.lower],
            upper=[*rows.upper, *new.upper],
        )
        self.auxiliary = replace(self.auxiliary, blocks=[*self.auxiliary.blocks, block])
        self._settle()

    def _settle(self) -> None:
        self.columns = self.columns.with_positions(self.model, self._strict, self.figures.positions)


def _constraints(block: Block) -> list[ConstraintData]:
    return list(block.component_data_objects(Constraint))


def _behind(row: IntArray, n_before: int, n_new: int) -> IntArray:
    """Return numbers of rows with the objective moved behind the new ones."""
    return np.where(row == n_before, n_before + n_new, row)


def _held(number: Any) -> float:
    return np.nan if number is None else float_or_nan(number)
