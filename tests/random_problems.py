"""Seeded random problems of every shape, their relaxations, and their optima placement by placement."""

import highspy
import numpy as np
import pyomo.environ as pyo
from small_problems import INF, at_placement, best_routing, placements, problem_of

from pyomo_j3o import annotate
from pyomo_j3o.certify.cutting import relax
from pyomo_j3o.core.deadline import NEVER
from pyomo_j3o.core.problem import OBJECTIVE
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.lp import HighsBackend

#: What a random problem may look like.
SHAPES = (
    "budget",
    "gated",
    "capacity",
    "signed",
    "mixed",
    "free",
    "products",
    "x only",
    "y only",
    "equality",
    "knapsacks",
    "charges",
)


def random_problem(rng, shape, n_x=5, n_y=6, sense=1):
    """Return a random problem of a shape named in `SHAPES`; about half of them have a tight budget."""
    n_x = 0 if shape == "y only" else n_x
    n_y = 0 if shape == "x only" else n_y
    xs, ys = [f"x{i}" for i in range(n_x)], [f"y{j}" for j in range(n_y)]
    x = {k: (float(rng.integers(-5, 3)), 0, 1) for k in xs}
    y = {k: (float(rng.integers(-2, 9)), 0.0, float(rng.choice([1, 1, 2]))) for k in ys}
    rows, products = [], []

    def some(names, least=1):
        return list(rng.permutation(names)[: rng.integers(min(least, len(names)), len(names) + 1)])

    def sizes(names, low=1, high=9):
        return {k: float(rng.integers(low, high + 1)) for k in names}

    def signed(names):
        return {k: float(rng.choice([-3, -2, -1, 1, 2, 3])) for k in names}

    if xs:
        load = sizes(xs)
        rows.append((load, -INF, float(np.floor(rng.uniform(0.3, 0.9) * sum(load.values())))))
        if rng.random() < 0.4:
            a = signed(some(xs, 2))
            least = sum(min(v, 0) for v in a.values())
            rows.append((a, float(least + rng.integers(0, 3)), float(rng.choice([INF, least + 4.0]))))
        if rng.random() < 0.25:
            rows.append((dict.fromkeys(some(xs), 1.0), 1.0, INF))
        if shape == "x only":
            x |= {k: (float(rng.integers(1, 12)), 0, 1) for k in xs}
        if shape == "knapsacks":
            for _ in range(3):
                load = sizes(some(xs, 2))
                rows.append((load, -INF, float(np.floor(rng.uniform(0.4, 0.9) * sum(load.values())))))
            rows.append((dict.fromkeys(some(xs, 2), 1.0), 1.0, INF))
        if shape == "equality":
            chosen = sizes(some(xs, 2), 1, 5)
            rows.append((chosen, *[float(rng.integers(1, 1 + int(sum(chosen.values()))))] * 2))
    if xs and ys and shape != "free":
        for k in ys:
            if rng.random() < 0.8:
                x_k = str(rng.choice(xs))
                rows.append(({k: 1.0, x_k: -float(rng.choice([1, 1, 2, 0.5]))}, -INF, 0.0))
    if ys:
        rows += [
            (dict.fromkeys(map(str, group), 1.0), float(rng.choice([-INF, -INF, 0.5])), 1.0)
            for group in np.array_split(rng.permutation(ys), max(1, n_y // 3))
            if rng.random() < 0.8
        ]
        if rng.random() < 0.6:
            rows.append((sizes(some(ys, 2)), -INF, float(rng.integers(2, 10))))
    if shape == "equality" and ys:
        rows.append((dict.fromkeys(some(ys, 2), 1.0), 1.0, 1.0))
    if shape == "charges":
        # Every y has a capacity that costs a fixed charge, and all together have a demand to meet.
        x |= {k: (-float(rng.integers(1, 9)), 0, 1) for k in xs}
        for group, k in zip(np.array_split(rng.permutation(ys), max(1, n_x)), xs, strict=False):
            rows.append((dict.fromkeys(map(str, group), 1.0) | {k: -float(rng.integers(1, 3))}, -INF, 0.0))
        rows.append((dict.fromkeys(ys, 1.0), float(rng.integers(1, 3)), INF))
    if shape == "capacity":
        rows += [(sizes(some(ys, 2)) | {k: -float(rng.integers(3, 12))}, -INF, 0.0) for k in xs[:2]]
    if shape == "mixed":
        for _ in range(3):
            body = signed(some(xs)) | signed(some(ys))
            low = float(rng.integers(-6, 1))
            rows.append((body, float(rng.choice([-INF, low])), low + float(rng.integers(3, 9))))
    if shape in ("signed", "free") and ys:
        for k in some(ys):
            low = -2.0 if shape == "signed" else -INF
            y[k] = (y[k][0], low, 2.0 if shape == "signed" else INF)
            if shape == "free":
                # Its ends come from rows alone, one of them a range that x moves.
                mover = {str(rng.choice(xs)): float(rng.choice([-2, 2]))} if xs else {}
                rows.append(({k: 1.0} | mover, -3.0, 3.0))
                rows.append(({k: 2.0, ys[0]: 1.0} if k != ys[0] else {k: 2.0}, -INF, 5.0))
    if shape == "products":
        taken = set()
        for _ in range(5):
            row = int(rng.integers(OBJECTIVE, len(rows)))
            place = row, str(rng.choice(xs)), str(rng.choice(ys))
            if place not in taken:
                taken.add(place)
                products.append((*place, float(rng.choice([-2, -1, 1, 3]))))
    return problem_of(x, y, rows, products, constant=float(rng.integers(-3, 4)), sense=sense)


def as_pyomo(problem):
    """Return the problem as an annotated Pyomo model, minimised or maximised as its sense says."""
    m = pyo.ConcreteModel("random")
    m.x = pyo.Var(range(problem.n_onloading), domain=pyo.Binary)
    m.y = pyo.Var(range(problem.n_offloading))
    for i, (low, high) in enumerate(zip(problem.onloading_lower, problem.onloading_upper, strict=True)):
        m.x[i].setlb(low)
        m.x[i].setub(high)
    for j, (low, high) in enumerate(zip(problem.offloading_lower, problem.offloading_upper, strict=True)):
        m.y[j].setlb(low if np.isfinite(low) else None)
        m.y[j].setub(high if np.isfinite(high) else None)
    a, d = problem.onloading_rows.toarray(), problem.offloading_rows.toarray()
    bodies = [
        sum(a[r, i] * m.x[i] for i in np.flatnonzero(a[r]))
        + sum(d[r, j] * m.y[j] for j in np.flatnonzero(d[r]))
        for r in range(problem.n_rows)
    ]
    worth = problem.objective_constant
    worth += sum(c * m.x[i] for i, c in enumerate(problem.onloading_objective))
    worth += sum(c * m.y[j] for j, c in enumerate(problem.offloading_objective))
    terms = problem.products
    for row, i, j, value in zip(terms.row, terms.onloading, terms.offloading, terms.coefficient, strict=True):
        if row == OBJECTIVE:
            worth += value * m.x[i] * m.y[j]
        else:
            bodies[row] += value * m.x[i] * m.y[j]
    m.rows = pyo.ConstraintList()
    # Of a row without variables, Pyomo would see at once whether it holds, and take nothing that does not.
    m.nothing = pyo.Param(initialize=0, mutable=True)
    bodies = [m.nothing if body.__class__ in (int, float) else body for body in bodies]
    for body, low, high in zip(bodies, problem.row_lower, problem.row_upper, strict=True):
        low, high = float(low) if np.isfinite(low) else None, float(high) if np.isfinite(high) else None
        if (low, high) != (None, None):
            m.rows.add(pyo.inequality(low, body, high) if low != high else body == low)
    sense = pyo.maximize if problem.sense > 0 else pyo.minimize
    m.worth = pyo.Objective(expr=problem.sense * worth, sense=sense)
    if problem.n_onloading:
        annotate(m, onloading=m.x)
    if problem.n_offloading:
        annotate(m, offloading=m.y)
    return m


def by_placement(problem):
    """Return all placements, (P, N), and the best objective at each, (P,): -inf where none, +inf unbounded.

    Of a linear problem by one HiGHS whose rows move, which is a few times faster than scipy.
    """
    every = placements(problem)
    every = np.array(every, dtype=bool).reshape(len(every), problem.n_onloading)
    if len(problem.products) or not problem.n_offloading or not problem.n_rows:
        return every, np.array([best_routing(problem, x) for x in every])
    _, c, matrix, _, _ = at_placement(problem, np.zeros(problem.n_onloading, dtype=bool))
    fixed = ~matrix.any(axis=1)
    moved = every.astype(float) @ problem.onloading_rows.toarray().T
    low, high = problem.row_lower - moved, problem.row_upper - moved
    possible = np.all((low[:, fixed] <= 1e-9) & (high[:, fixed] >= -1e-9), axis=1)
    rest = every.astype(float) @ problem.onloading_objective + problem.objective_constant
    values = np.full(len(every), -INF)
    highs, rows = _highs(c, matrix[~fixed], problem), np.arange(int(np.sum(~fixed)), dtype=np.int32)
    for p in np.flatnonzero(possible):
        highs.changeRowsBounds(len(rows), rows, low[p, ~fixed], high[p, ~fixed])
        highs.run()
        status = highs.getModelStatus()
        if status == highspy.HighsModelStatus.kOptimal:
            values[p] = rest[p] - highs.getInfo().objective_function_value
        elif status != highspy.HighsModelStatus.kInfeasible:
            values[p] = best_routing(problem, every[p])
    return every, values


def _highs(c, matrix, problem):
    highs = highspy.Highs()
    for name, value in (("output_flag", False), ("presolve", "off"), ("threads", 1)):
        highs.setOptionValue(name, value)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(c), len(matrix)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = -c, problem.offloading_lower, problem.offloading_upper
    lp.row_lower_, lp.row_upper_ = np.full(len(matrix), -INF), np.full(len(matrix), INF)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum(np.count_nonzero(matrix, axis=1))]).astype(np.int32)
    lp.a_matrix_.index_ = np.nonzero(matrix)[1].astype(np.int32)
    lp.a_matrix_.value_ = matrix[np.nonzero(matrix)]
    highs.passModel(lp)
    return highs


def tighten(problem, backend=None, cuts=True):
    """Return the structure of a linear problem and its relaxation with cuts, None where it has no optimum."""
    structure = analyse(problem)
    return structure, relax(structure, backend or HighsBackend(), cuts, NEVER).tightened


def boxes(rng, n, count):
    """Return random boxes of x, the first one open."""
    for number in range(count):
        kind = rng.integers(0, 5 if number else 1, n)
        yield np.where(kind == 4, 1.0, 0.0), np.where(kind == 3, 0.0, 1.0)
