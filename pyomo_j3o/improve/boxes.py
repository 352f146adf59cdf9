"""Boxes of x: the nodes of branch and bound, and the leaves that one search leaves to the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pyomo_j3o.certify.blocks import Blocks
from pyomo_j3o.certify.kernel import Point
from pyomo_j3o.core.problem import BoolArray, FloatArray
from pyomo_j3o.core.tolerances import INTEGRAL
from pyomo_j3o.improve.pseudo_costs import PseudoCosts

#: Variables that were branched on, and their values, from the root on.
Path = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A fractional placement that a plan may be made from.

    Attributes
    ----------
    x : (N,), fractional
    duals : (m,)
        Of the rows of the relaxation.
    lower, upper : (N,)
        Bounds of x.
    """

    x: FloatArray
    duals: FloatArray
    lower: FloatArray
    upper: FloatArray


@dataclass(slots=True, order=True)
class Node:
    """A box of x. Its LP is solved when its turn comes: until then `bound` is what is known of it."""

    key: float
    number: int
    lower: FloatArray = field(compare=False)
    upper: FloatArray = field(compare=False)
    bound: float = field(compare=False)
    basis: Any = field(compare=False, default=None)
    point: Point | None = field(compare=False, default=None)
    #: The variable branched on, how far it moved, and the bound before; -1 at the root and at old leaves.
    variable: int = field(compare=False, default=-1)
    distance: float = field(compare=False, default=1.0)
    before: float = field(compare=False, default=np.inf)
    path: Path = field(compare=False, default=())

    @property
    def is_old_leaf(self) -> bool:
        """Whether it is a leaf of a search before."""
        return self.variable < 0 and not self.is_root

    @property
    def is_root(self) -> bool:
        """Whether it is the box of everything."""
        return not self.path


@dataclass(frozen=True, slots=True)
class Explored:
    """What a search by branch and bound leaves to the next one of nearly the same part.

    Its leaves are boxes that together are everything, whatever the figures are: only what was branched on
    counts, not what bounds have cut off.

    Attributes
    ----------
    branched : dict of Path to int
        The inner nodes of the tree, with the variable that each was branched on.
    costs : PseudoCosts
        What branching was worth.
    columns : (n,) bool
        In the kernel at the end.
    work : float
        What the first of these searches took, in units of the kernel's work.
    blocks : Blocks or None
        Of the part.
    root_gap : float
        The relative gap of the root of the first of these searches, with block cuts, to its last plan.
    first_gap : float
        The same without block cuts.
    gap : float
        The relative gap that the first of these searches ended with.
    proved : bool
        Whether it left a gap to a MILP solver.
    """

    branched: Mapping[Path, int]
    costs: PseudoCosts
    columns: BoolArray
    work: float
    blocks: Blocks | None
    root_gap: float
    first_gap: float = np.inf
    gap: float = np.inf
    proved: bool = False

    def leaves(self, most: int) -> list[Path]:
        """Return the leaves of the tree; if there are more than `most`, those of its upper part."""
        inner = dict(sorted(self.branched.items(), key=lambda one: len(one[0]))[: max(most - 1, 0)])
        children = [(*path, (k, value)) for path, k in inner.items() for value in (0.0, 1.0)]
        # Neighbours come one after the other: the basis of one is near the optimum of the next.
        return sorted(path for path in children if path not in inner) or [()]


def box_of(path: Path, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the bounds of x, (N,) each, in the box of a path."""
    low, high = lower.copy(), upper.copy()
    for k, value in path:
        low[k] = max(low[k], value)
        high[k] = min(high[k], value)
    return low, high


def fractional_in(x: FloatArray) -> BoolArray:
    """Return which values of x are neither 0 nor 1, but for tolerances."""
    return np.asarray((x > INTEGRAL) & (x < 1.0 - INTEGRAL))
