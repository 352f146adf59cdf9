"""Linear programs solved in rational arithmetic: the truth that no tolerance blurs. No tests in here."""

from fractions import Fraction


def exact_maximum(objective, rows, lower, upper):
    """Return the maximum of ``objective @ v`` over ``row @ v <= side`` and finite bounds, as a Fraction.

    None if there is no point. The simplex method with Bland's rule solves the problem of ``v = lower + u``.

    Parameters
    ----------
    objective, lower, upper
        One number per column.
    rows
        (coefficients, side) each.
    """
    n = len(objective)
    low = [Fraction(value) for value in lower]
    tableau = []
    for coefficients, side in rows:
        a = [Fraction(value) for value in coefficients]
        tableau.append((a, Fraction(side) - sum(x * y for x, y in zip(a, low, strict=True))))
    units = [[Fraction(int(k == j)) for k in range(n)] for j in range(n)]
    tableau += [(unit, Fraction(end) - start) for unit, end, start in zip(units, upper, low, strict=True)]
    found = _simplex([Fraction(c) for c in objective], tableau)
    return (
        None if found is None else found + sum(Fraction(c) * v for c, v in zip(objective, low, strict=True))
    )


def _simplex(objective, rows):
    """Return the maximum over u >= 0, by two phases; None if there is no point."""
    n, m = len(objective), len(rows)
    # Columns: u, slacks, one artificial that lifts every negative side.
    width = n + m + 1
    table = [
        [*a, *(Fraction(int(k == i)) for k in range(m)), Fraction(-1), side]
        for i, (a, side) in enumerate(rows)
    ]
    basis = [n + i for i in range(m)]
    worst = min(range(m), key=lambda i: table[i][-1])
    if table[worst][-1] < 0:
        _pivot(table, basis, worst, width - 1)
        lift = [Fraction(0)] * (width - 1) + [Fraction(-1)]
        if _climb(table, basis, lift, width) < 0:
            return None
        if width - 1 in basis:
            row = basis.index(width - 1)
            column = next(j for j in range(width - 1) if table[row][j] != 0)
            _pivot(table, basis, row, column)
    for row in table:
        row[width - 1] = Fraction(0)
    return _climb(table, basis, objective + [Fraction(0)] * (m + 1), width - 1)


def _climb(table, basis, costs, width):
    while True:
        reduced = [
            costs[j] - sum(costs[b] * row[j] for b, row in zip(basis, table, strict=True) if costs[b])
            for j in range(width)
        ]
        enters = next((j for j in range(width) if reduced[j] > 0), None)
        if enters is None:
            return sum((costs[b] * row[-1] for b, row in zip(basis, table, strict=True)), Fraction(0))
        ratios = [(row[-1] / row[enters], basis[i], i) for i, row in enumerate(table) if row[enters] > 0]
        if not ratios:
            raise ArithmeticError("unbounded, though every column has an end")
        _pivot(table, basis, min(ratios)[2], enters)


def _pivot(table, basis, row, column):
    factor = table[row][column]
    table[row] = [value / factor for value in table[row]]
    for i, other in enumerate(table):
        if i != row and other[column]:
            times = other[column]
            table[i] = [a - times * b for a, b in zip(other, table[row], strict=True)]
    basis[row] = column
