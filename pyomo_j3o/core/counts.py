"""General integer variables as sums of binary columns, and the way back to their values.

A count ``n`` between whole bounds ``l <= n <= u`` becomes ``l`` plus a weighted sum of binary columns. A
short range gets a column per unit: each further replica then has a gain of its own, which greedy compares. A
long range gets weights 1, 2, 4, ... and a rest. Their sums are the values of the range and no others, so that
no row has to cap them (Watters 1967, DOI 10.1287/opre.15.6.1171).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pyomo_j3o.core.matrices import BoolArray, FloatArray, IntArray

#: The longest range that gets a column per unit.
LONGEST_UNARY = 32

#: The longest range that is taken at all: figures of a row may not be farther apart than solvers can tell.
LONGEST = 1_000_000


@dataclass(frozen=True, slots=True)
class Counts:
    """How the values of V onloading variables are made of N binary columns.

    The value of variable v is ``base[v]`` plus the weights of its columns that are 1.

    Attributes
    ----------
    variable : (N,)
        The variable of each column, ascending: the columns of one variable are neighbours.
    weight : (N,)
        Whole numbers of at least 1, ascending within a variable except for the last.
    base : (V,)
        The least value of each variable; 0 of a binary one, whose bounds are those of its column.
    """

    variable: IntArray
    weight: FloatArray
    base: FloatArray
    first: IntArray = field(init=False)
    rank: IntArray = field(init=False)

    def __post_init__(self) -> None:
        """Note the first column of each variable, (V,), and each column's place in its variable, (N,)."""
        first = np.searchsorted(self.variable, np.arange(len(self.base)))
        object.__setattr__(self, "first", first)
        object.__setattr__(self, "rank", np.arange(len(self.variable)) - first[self.variable])

    @staticmethod
    def of(lower: FloatArray, upper: FloatArray) -> Counts | None:
        """Return how variables with these whole bounds, (V,) each, are made; None if all are binary."""
        binary = (lower >= 0.0) & (upper <= 1.0)
        if binary.all():
            return None
        span = np.where(binary, 1.0, np.maximum(upper - lower, 1.0))
        weights = [_weights(int(length)) for length in span]
        size = np.array([len(one) for one in weights])
        return Counts(
            np.repeat(np.arange(len(span)), size), np.concatenate(weights), np.where(binary, 0.0, lower)
        )

    @property
    def in_units(self) -> BoolArray:
        """Which variables have columns of weight 1 alone, (V,)."""
        heaviest = np.ones(len(self.base))
        np.maximum.at(heaviest, self.variable, self.weight)
        return heaviest == 1.0

    def values(self, x: FloatArray | BoolArray) -> FloatArray:
        """Return the values of the variables, (V,), at columns ``x``, (N,)."""
        parts = self.weight * np.asarray(x, dtype=float)
        return self.base + np.bincount(self.variable, parts, minlength=len(self.base))

    def columns(self, values: FloatArray) -> FloatArray:
        """Return the columns, (N,), that give the variables these values, (V,); NaN stays NaN.

        Of columns that are alike the first ones are 1. What is missing to a whole number, or lies outside of
        the range of a variable, is left to one of its columns, which is then neither 0 nor 1.
        """
        given = np.asarray(values, dtype=float)
        known = np.where(np.isnan(given), self.base, given) - self.base
        x = np.clip(known[self.variable] - self.rank, 0.0, 1.0)
        heavy = np.flatnonzero(~self.in_units)
        if len(heavy):
            mine = np.flatnonzero(np.isin(self.variable, heavy))
            x[mine] = 0.0
            rest = np.rint(known)
            # The heaviest first: no weight is larger than all lighter ones and 1.
            order = mine[np.lexsort((-self.weight[mine], self.variable[mine]))]
            place = np.arange(len(order)) - np.searchsorted(self.variable[order], self.variable[order])
            for step in range(int(place.max()) + 1):
                column = order[place == step]
                of = self.variable[column]
                taken = rest[of] >= self.weight[column]
                x[column] = taken
                rest[of] -= self.weight[column] * taken
        x[self.first] += known - np.bincount(self.variable, self.weight * x, minlength=len(self.base))
        x[np.isnan(given)[self.variable]] = np.nan
        return x

    def canonical(self, x: BoolArray) -> BoolArray:
        """Return the placement of the same values whose columns of 1 come first where they are alike."""
        return self.columns(self.values(x)) > 0.5

    def per_unit(self, of_columns: FloatArray) -> FloatArray:
        """Return what one more unit of each variable is worth, (V,), given what each column is, (N,)."""
        return of_columns[self.first] / self.weight[self.first]

    def of_columns(self, columns: IntArray) -> Counts:
        """Return the counts over some columns, ascending; a variable may be there in part."""
        numbers, variable = np.unique(self.variable[columns], return_inverse=True)
        return Counts(variable, self.weight[columns], self.base[numbers])


def _weights(span: int) -> FloatArray:
    """Return the weights of the columns of a range of this length."""
    if span <= LONGEST_UNARY:
        return np.ones(span)
    powers = 2.0 ** np.arange(int(np.log2(span + 1)))
    rest = span - powers.sum()
    return np.append(powers, rest) if rest else np.asarray(powers, dtype=float)
