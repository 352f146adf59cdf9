"""The optimum of a small `Problem` without any rounding: dual simplex and branch and bound on whole numbers.

Nothing of j3o and no solver takes part. A float stands for the number that it is. In rows of onloading
variables alone it stands for its shortest decimal: 0.1 + 0.2 <= 0.3 holds.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from pyomo_j3o.core.problem import OBJECTIVE

INF = math.inf

#: A value this large comes from an open end of a variable. No vertex of a small problem is as far out.
_FAR = 1 << 6000
_OPEN = 1 << 4000


class _TooLongError(Exception):
    """The work that was allowed is done."""


def exact_optimum(problem, hints=(), work=400_000):
    """Return the best maximised objective, a Fraction, and whether it is proven to be the best.

    The objective is -inf if no plan was found, +inf if it is unbounded. One that is not proven is still
    exact: the best objective at one placement.

    Parameters
    ----------
    problem
        Few columns and rows; every offloading variable in a product has finite bounds.
    hints
        Placements to try first, (N,) each.
    work
        So many entries may be computed until the search for a proof ends. A million take some two seconds.
    """
    if _is_between_multiples(problem):
        return -INF, True
    start, whole, unit, constant = _dictionary(problem)
    best = None
    for hint in hints:
        at_hint = start.copy()
        for j, value in enumerate(hint):
            at_hint.bound(j, int(value) * whole, int(value) * whole)
        value = at_hint.maximise([INF])
        if value is not None and (best is None or value > best):
            best = value
    proven, left, open_nodes = True, [work], [start]
    try:
        while open_nodes:
            node = open_nodes.pop()
            value = node.maximise(left)
            if value is None or (best is not None and value <= best):
                continue
            j, part = node.most_fractional(problem.n_onloading, whole)
            if j is None:
                best = value
                continue
            for up in (part < Fraction(1, 2), part >= Fraction(1, 2)):  # the nearer side is popped first
                child = node.copy()
                child.bound(j, up * whole, up * whole)
                open_nodes.append(child)
    except _TooLongError:
        proven = False
    if best is None:
        return -INF, proven
    if best / whole > _OPEN:
        return INF, True
    return best / unit + constant, proven


def _is_between_multiples(problem):
    """Return whether the body of a row of onloading variables alone can take no value between its sides.

    It is a multiple of the largest number that divides all coefficients: branching would try every placement.
    """
    for r in np.flatnonzero(_alone(problem)):
        numbers = [exact_number(v, True) for v in problem.onloading_rows.toarray()[r] if v]
        sides = problem.row_lower[r], problem.row_upper[r]
        sides = [exact_number(v, True) if math.isfinite(v) else v for v in sides]
        common = _common(numbers)
        unit = Fraction(math.gcd(*(int(v * common) for v in numbers)), common) if numbers else Fraction(1)
        low, high = (v / unit if isinstance(v, Fraction) else v for v in sides)
        if low != -INF and high != INF and math.ceil(low) > math.floor(high):
            return True
    return False


def _alone(problem):
    """Return which rows hold onloading variables alone, (M,)."""
    alone = ~problem.offloading_rows.toarray().any(axis=1)
    rows = problem.products.row
    alone[rows[rows != OBJECTIVE]] = False
    return alone


def exact_number(value, decimal=False):
    """Return the number that a float is, or its shortest decimal."""
    return Fraction(repr(float(value))) if decimal else Fraction(float(value))


def _dictionary(problem):
    """Return the first `_Dictionary`, the value of a variable at 1, the objective's unit and constant."""
    n, k, terms = problem.n_onloading, problem.n_offloading, problem.products
    width = n + k + len(terms)
    a = np.hstack([problem.onloading_rows.toarray(), problem.offloading_rows.toarray()])
    alone = _alone(problem)
    exact = np.vectorize(exact_number, otypes=[object])
    rows = np.full((problem.n_rows, width), Fraction(0), dtype=object)
    for r in range(problem.n_rows):
        rows[r, : n + k] = [exact_number(v, alone[r]) for v in a[r]]
    cost = np.full(width, Fraction(0), dtype=object)
    if n + k:
        cost[: n + k] = exact(np.concatenate([problem.onloading_objective, problem.offloading_objective]))
    lower = [_end(v) for v in (*problem.onloading_lower, *problem.offloading_lower)]
    upper = [_end(v) for v in (*problem.onloading_upper, *problem.offloading_upper)]
    sides = [
        (_end(low, one), _end(high, one))
        for low, high, one in zip(problem.row_lower, problem.row_upper, alone, strict=True)
    ]
    extra = []
    for p, (row, i, j, value) in enumerate(
        zip(terms.row, terms.onloading, terms.offloading, terms.coefficient, strict=True)
    ):
        if row == OBJECTIVE:
            cost[n + k + p] = exact_number(value)
        else:
            rows[row, n + k + p] = exact_number(value)
        low, high = lower[n + j], upper[n + j]
        lower.append(min(low, Fraction(0)))
        upper.append(max(high, Fraction(0)))
        # w = x·y at both values of x: low·x <= w <= high·x, low·(1-x) <= y - w <= high·(1-x).
        for w, x, y, end in (
            (1, -high, 0, Fraction(0)),
            (-1, low, 0, Fraction(0)),
            (1, -low, -1, -low),
            (-1, high, 1, high),
        ):
            line = np.full(width, Fraction(0), dtype=object)
            line[n + k + p], line[i], line[n + j] = Fraction(w), Fraction(x), Fraction(y)
            extra.append(line)
            sides.append((None, end))
    table = [*rows, *extra]
    # All values are whole numbers in units of 1 / `whole`; a row is multiplied by what makes it whole.
    ends = [v for v in (*lower, *upper) if v is not None]
    factors = [
        _common([v for v in (*line, *side) if v is not None]) for line, side in zip(table, sides, strict=True)
    ]
    whole = _common(ends)
    unit = _common(cost)
    lines = [[int(v * f) for v in line] for line, f in zip(table, factors, strict=True)]
    lines.append([int(v * unit) for v in cost])
    for (low, high), f in zip(sides, factors, strict=True):
        lower.append(None if low is None else low * f)
        upper.append(None if high is None else high * f)
    start = _Dictionary(
        np.array(lines, dtype=object).reshape(len(lines), width),
        1,
        list(range(width, width + len(table))),
        list(range(width)),
        [-_FAR * whole if v is None else int(v * whole) for v in lower],
        [_FAR * whole if v is None else int(v * whole) for v in upper],
        [0] * width,
    )
    for c, j in zip(start.table[-1], range(width), strict=True):
        near = start.lower[j] if abs(start.lower[j]) <= abs(start.upper[j]) else start.upper[j]
        start.at[j] = start.upper[j] if c > 0 else start.lower[j] if c < 0 else near
    return start, whole, unit * whole, exact_number(problem.objective_constant)


def _end(value, decimal=False):
    return exact_number(value, decimal) if np.isfinite(value) else None


def _common(numbers):
    """Return the least common denominator."""
    return math.lcm(1, *(v.denominator for v in numbers))


@dataclass
class _Dictionary:
    """Basic variables and the objective (the last line) as ``table / scale`` times the nonbasic ones.

    Variables are numbered, the columns first and the rows' bodies after them. A nonbasic one is at one of its
    bounds, `at`, so that the objective's line has the signs of an optimum (dual feasible): the dual simplex
    method needs no first phase. Pivots keep whole numbers whole (Edmonds 1967; Bareiss, 10.2307/2004533).
    """

    table: np.ndarray
    scale: int
    basic: list
    nonbasic: list
    lower: list
    upper: list
    at: list

    def copy(self):
        """Return another one with its own lists."""
        return _Dictionary(
            self.table.copy(),
            self.scale,
            *(list(part) for part in (self.basic, self.nonbasic, self.lower, self.upper, self.at)),
        )

    def bound(self, variable, lower, upper):
        """Give a variable other bounds, within its own."""
        if lower < self.lower[variable] or upper > self.upper[variable]:
            lower, upper = 1, 0  # a bound that is crossed: no value is left
        self.lower[variable], self.upper[variable] = lower, upper
        if variable in self.nonbasic:
            self.at[self.nonbasic.index(variable)] = lower

    def values(self):
        """Return the basic variables' values and the objective, times `scale`."""
        total = np.zeros(len(self.table), dtype=object)
        for k, value in enumerate(self.at):
            if value:
                total += self.table[:, k] * value
        return total

    def most_fractional(self, n, whole):
        """Return the onloading variable farthest from 0 and 1, and its value; None if all are whole."""
        worst, chosen, part = Fraction(0), None, None
        values = self.values()
        for i, j in enumerate(self.basic):
            if j < n:
                value = Fraction(values[i], self.scale * whole)
                distance = min(value, 1 - value)
                if distance > worst:
                    worst, chosen, part = distance, j, value
        return chosen, part

    def maximise(self, left):
        """Return the largest objective by the dual simplex method, a Fraction; None if there is none."""
        if any(low > high for low, high in zip(self.lower, self.upper, strict=True)):
            return None
        pivots = 0
        while True:
            values = self.values()
            row, rises = self._leaving(values, by_number=pivots > 20 * len(self.table))
            if row is None:
                return Fraction(values[-1], self.scale)
            column = self._entering(row, rises)
            if column is None:
                return None
            left[0] -= self.table.size
            if left[0] < 0:
                raise _TooLongError
            pivots += 1
            leaver = self.basic[row]
            self._pivot(row, column)
            self.at[column] = self.lower[leaver] if rises else self.upper[leaver]

    def _leaving(self, values, by_number):
        """Return the row of a variable out of its bounds, and whether it rises; by Bland's rule if asked."""
        chosen, rises, worst = None, False, 0
        for i, j in enumerate(self.basic):
            below = self.lower[j] * self.scale - values[i]
            above = values[i] - self.upper[j] * self.scale
            missed = max(below, above)
            if missed > 0 and (chosen is None or (j < self.basic[chosen] if by_number else missed > worst)):
                chosen, rises, worst = i, below > 0, missed
        return chosen, rises

    def _entering(self, row, rises):
        """Return the nonbasic column that keeps the signs of the objective's line; None if none helps."""
        line, costs, best = self.table[row], self.table[-1], None
        for k, j in enumerate(self.nonbasic):
            if not line[k] or self.lower[j] == self.upper[j]:
                continue
            if ((line[k] > 0) == rises) == (self.at[k] == self.lower[j]):
                ratio = Fraction(abs(costs[k]), abs(line[k])), j
                if best is None or ratio < best[0]:
                    best = ratio, k
        return None if best is None else best[1]

    def _pivot(self, row, column):
        table, pivot = self.table, self.table[row, column]
        line, entering = table[row].copy(), table[:, column].copy()
        table *= pivot
        table -= np.multiply.outer(entering, line)
        table //= self.scale
        table[row], table[:, column] = -line, entering
        table[row, column] = self.scale
        self.scale = pivot
        if pivot < 0:
            table *= -1
            self.scale = -pivot
        self.basic[row], self.nonbasic[column] = self.nonbasic[column], self.basic[row]
