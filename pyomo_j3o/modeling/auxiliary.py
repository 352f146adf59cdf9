"""Variables and rows that a model needs besides the user's own; they live in a model of ours."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.block import Block
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.base.var import VarData
from pyomo.core.expr.numeric_expr import LinearExpression

from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray

#: A member of a special ordered set that is no farther from 0 than this is 0.
ZERO = 1e-8

#: What the blocks with the variables and rows for products, and for special ordered sets, are called.
PRODUCTS, SETS = "j3o_products", "j3o_sets"

#: The name of our model; it begins no name of a component.
_OURS = "j3o"


@dataclass(frozen=True, slots=True, eq=False)
class MembersOfSet:
    """The members of a special ordered set that may be other than 0, and what opens them.

    Attributes
    ----------
    level : int
        1 or 2.
    members : (n,)
        Positions of the variables, in the order of their weights.
    indicators : (n,) or (n - 1,)
        Of level 1, the position of the indicator of each member, -1 for a binary one, which is its own. Of
        level 2, that of each pair of neighbours.
    """

    level: int
    members: IntArray
    indicators: IntArray

    def open_members(self, values: FloatArray) -> BoolArray:
        """Return which members the indicators let be other than 0, (n,) bool."""
        if self.level == 1:
            return (self.indicators < 0) | (values[self.indicators] > 0.5)
        pair: BoolArray = values[self.indicators] > 0.5
        return np.append(pair, False) | np.append(False, pair)

    def chosen(self, values: FloatArray) -> FloatArray:
        """Return values of the indicators, 0.0 or 1.0, at which the members may have their values."""
        known = values[self.members]
        nonzero = np.abs(known) > ZERO
        if self.level == 1:
            return nonzero.astype(float)
        pairs = np.zeros(len(self.indicators))
        if nonzero.any():
            pairs[min(int(np.argmax(nonzero)), len(pairs) - 1)] = 1.0
        return pairs


@dataclass(frozen=True, slots=True, eq=False)
class Auxiliary:
    """What was added to a model, and how it follows from the user's variables.

    Positions are those in `Columns.variables`.

    Attributes
    ----------
    blocks
        That hold the variables and rows; each is in a model of its own.
    product, first, second : (P,)
        Positions of the variables for products, and of the two factors.
    sets
        The special ordered sets.
    """

    blocks: list[Block] = field(default_factory=list)
    product: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    first: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    second: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    sets: list[MembersOfSet] = field(default_factory=list)

    @property
    def variables(self) -> list[VarData]:
        """The variables that were added."""
        return [v for block in self.blocks for v in block.component_data_objects(pyo.Var)]

    @property
    def constraints(self) -> list[ConstraintData]:
        """The rows that were added."""
        return [c for block in self.blocks for c in block.component_data_objects(pyo.Constraint)]

    def completed(self, values: FloatArray) -> FloatArray:
        """Return values of all variables, (V,), in which those of ours follow from those of the user."""
        values = values.copy()
        values[self.product] = values[self.first] * values[self.second]
        for one in self.sets:
            ours = one.indicators >= 0
            values[one.indicators[ours]] = one.chosen(values)[ours]
        return values

    def settled(self, values: FloatArray) -> FloatArray:
        """Return values of all variables, (V,), without what tolerances leave.

        A product is the product of its factors, and a member of a set that no indicator opens is 0.
        """
        values = values.copy()
        values[self.product] = values[self.first] * values[self.second]
        for one in self.sets:
            values[one.members[~one.open_members(values)]] = 0.0
        return values


def new_block(name: str, doc: str) -> Block:
    """Return a block in a model of its own, so that its components have names that begin with `name`."""
    ours = pyo.ConcreteModel(name=_OURS)
    block = Block(doc=doc)
    ours.add_component(name, block)
    # Pyomo refers to parents weakly: nothing else keeps the model alive. A tuple is no component to Pyomo.
    block._home = (ours,)
    return block


def written_for(component: VarData | ConstraintData) -> str:
    """Return the name of what a variable or row of ours was written for.

    That is a special ordered set of the user, or a product of two variables.
    """
    index = component.index()
    first, *others = index if isinstance(index, tuple) else (index,)
    return f"{first}*{others[0]}" if component.parent_block().local_name == PRODUCTS else str(first)


def leave_home(block: Block) -> None:
    """Take a block out of the model of its own, so that it can be added to another."""
    block.model().del_component(block)
    del block._home


def sum_of(*terms: tuple[float, VarData]) -> LinearExpression:
    """Return the sum of coefficient times variable."""
    return LinearExpression(
        constant=0.0,
        linear_coefs=[coefficient for coefficient, _ in terms],
        linear_vars=[variable for _, variable in terms],
    )
