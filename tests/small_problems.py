"""Small `Problem`s written by name, a generator of random ones, and what is true of them by enumeration."""

import itertools
import math
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
from hypothesis import strategies as st
from reference_lp import lp_maximum
from scipy import sparse

from pyomo_j3o.alternate import stopping
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.log import Log
from pyomo_j3o.core.problem import OBJECTIVE, Problem, Products, evaluate, violations
from pyomo_j3o.core.results import Timings
from pyomo_j3o.lp import HighsBackend
from pyomo_j3o.methods import j3o as method
from pyomo_j3o.methods.settings import Context, Settings
from pyomo_j3o.mip import HighsMIP
from pyomo_j3o.presolve.linearize import linearize

INF = math.inf


class Looks(Deadline):
    """A deadline that is over after so many looks at it."""

    def __init__(self, looks, seconds=INF):
        super().__init__()
        self.looks, self.seconds = looks, seconds
        self.asked = 0

    def left(self):
        """Return the seconds left."""
        self.asked += 1
        return self.seconds if self.asked <= self.looks else 0.0


def highs_first():
    """Return HiGHS's MILP solver, which then gets small parts before the search on the kernel does."""
    return [HighsMIP()]


#: A test runs with each of the two searches that improve a small part: HiGHS's MILP solver, and without a
#: MILP solver, branch and bound on the kernel, as large parts get it.
BOTH_SEARCHES = pytest.mark.parametrize("mip_solvers", [highs_first, None], ids=["MILP solver", "own search"])


def problem_of(x, y, rows=(), products=(), constant=0.0, sense=1):
    """Return the `Problem` in which every variable has a name.

    Parameters
    ----------
    x
        {name: objective} or {name: (objective, lower, upper)}.
    y
        {name: objective}, bounds 0 and 1, or {name: (objective, lower, upper)}.
    rows
        ({name: coefficient}, lower, upper) each.
    products
        (row number or `OBJECTIVE`, x, y, coefficient) each.
    """
    xs = {k: v if isinstance(v, tuple) else (v, 0, 1) for k, v in x.items()}
    ys = {k: v if isinstance(v, tuple) else (v, 0, 1) for k, v in y.items()}
    x_at, y_at = {k: i for i, k in enumerate(xs)}, {k: i for i, k in enumerate(ys)}
    onloading, offloading = np.zeros((len(rows), len(xs))), np.zeros((len(rows), len(ys)))
    for r, (terms, _, _) in enumerate(rows):
        for name, coefficient in terms.items():
            if name in x_at:
                onloading[r, x_at[name]] = coefficient
            else:
                offloading[r, y_at[name]] = coefficient

    def column(source, which):
        return np.array([entry[which] for entry in source], dtype=float)

    return Problem(
        column(xs.values(), 0),
        column(ys.values(), 0),
        float(constant),
        sparse.csr_array(onloading),
        sparse.csr_array(offloading),
        column(rows, 1),
        column(rows, 2),
        column(xs.values(), 1),
        column(xs.values(), 2),
        column(ys.values(), 1),
        column(ys.values(), 2),
        Products(
            np.array([p[0] for p in products], dtype=np.int64),
            np.array([x_at[p[1]] for p in products], dtype=np.int64),
            np.array([y_at[p[2]] for p in products], dtype=np.int64),
            np.array([p[3] for p in products], dtype=float),
        ),
        sense,
    )


def placements(problem):
    """Return all x in {0, 1}^N within their bounds, bool arrays."""
    choices = [
        [v for v in (False, True) if low <= v <= high]
        for low, high in zip(problem.onloading_lower, problem.onloading_upper, strict=True)
    ]
    return [np.array(x, dtype=bool) for x in itertools.product(*choices)]


def at_placement(problem, x):
    """Return the LP that is left at `x`: (objective constant, c, A, row lower, row upper), dense."""
    point = x.astype(float)
    constant = problem.objective_constant + problem.onloading_objective @ point
    c, matrix = problem.offloading_objective.copy(), problem.offloading_rows.toarray()
    terms = problem.products
    for row, i, j, value in zip(terms.row, terms.onloading, terms.offloading, terms.coefficient, strict=True):
        if row == OBJECTIVE:
            c[j] += value * point[i]
        else:
            matrix[row, j] += value * point[i]
    rest = problem.onloading_rows.toarray() @ point
    return constant, c, matrix, problem.row_lower - rest, problem.row_upper - rest


def best_routing(problem, x):
    """Return the best objective at placement `x`: -inf if infeasible, +inf if unbounded."""
    constant, c, matrix, lower, upper = at_placement(problem, x)
    return constant + lp_maximum(c, matrix, lower, upper, problem.offloading_lower, problem.offloading_upper)


def brute_force(problem):
    """Return the best objective over all placements: -inf if none is feasible, +inf if one is unbounded."""
    return max((best_routing(problem, x) for x in placements(problem)), default=-INF)


@dataclass
class Solved:
    """What `method.solve` said of a problem, products linearised as the solver does."""

    problem: Problem
    outcome: object
    trace: list
    x: np.ndarray | None = None
    y: np.ndarray | None = None

    @property
    def ending(self):
        """Return why the solve ended."""
        return self.outcome.ending

    @property
    def bound(self):
        """Return the proven bound, maximised."""
        return self.outcome.bound

    @property
    def value(self):
        """Return the objective of the plan in the original problem."""
        return evaluate(self.problem, self.x.astype(float), self.y)

    @property
    def worst_violation(self):
        """Return by how much the plan misses its worst row or bound."""
        return violations(self.problem, self.x.astype(float), self.y).max(initial=0.0)


def solve(problem, backend=None, stop=None, rel_gap=1e-6, time_limit=INF, **given):
    """Solve as `J3O.solve` does, on arrays."""
    options = {
        "abs_gap": 0.0,
        "improve": True,
        "bound": "cuts",
        "onloading_step": None,
        "callback": None,
        "start": None,
        "mip_solvers": highs_first,
    }
    rules = [
        stopping.gap_closed(rel_gap),
        stopping.time_limit(time_limit),
        stopping.placement_repeated(),
        stopping.iteration_limit(50),
        stopping.stalled(4),
    ]
    settings = Settings(
        stop=stop or stopping.first_of(*rules),
        rel_gap=rel_gap,
        max_iterations=50,
        **options | given,
    )
    linearized = linearize(problem)
    context = Context(backend or HighsBackend(), Deadline(time_limit), Timings(), Log([]))
    outcome, trace = method.solve(linearized.problem, settings, context)
    solved = Solved(problem, outcome, trace)
    if outcome.plan is not None:
        solved.x = outcome.plan.x
        solved.y = linearized.recover(outcome.plan.x, outcome.plan.y)
    return solved


def permuted(problem, x_order, y_order, row_order):
    """Return the same problem with its columns and rows in another order."""
    x_place, y_place, row_place = np.argsort(x_order), np.argsort(y_order), np.argsort(row_order)
    terms = problem.products
    return Problem(
        problem.onloading_objective[x_order],
        problem.offloading_objective[y_order],
        problem.objective_constant,
        sparse.csr_array(problem.onloading_rows.toarray()[np.ix_(row_order, x_order)]),
        sparse.csr_array(problem.offloading_rows.toarray()[np.ix_(row_order, y_order)]),
        problem.row_lower[row_order],
        problem.row_upper[row_order],
        problem.onloading_lower[x_order],
        problem.onloading_upper[x_order],
        problem.offloading_lower[y_order],
        problem.offloading_upper[y_order],
        Products(
            np.where(terms.row == OBJECTIVE, OBJECTIVE, np.append(row_place, 0)[terms.row]),
            x_place[terms.onloading],
            y_place[terms.offloading],
            terms.coefficient,
        ),
        problem.sense,
    )


def beside(one, other):
    """Return both problems side by side as one, with no row in common."""
    merged = {}
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if sparse.issparse(a):
            merged[field.name] = sparse.csr_array(sparse.block_diag([a, b], format="csr"))
        elif isinstance(a, np.ndarray):
            merged[field.name] = np.concatenate([a, b])
    return replace(one, objective_constant=one.objective_constant + other.objective_constant, **merged)


# --- random problems -----------------------------------------------------------------------------------

small = st.integers(1, 5)
signed = st.integers(-4, 4).filter(bool)


def subsets(names, least=1):
    """Draw subsets of `names` of at least so many members."""
    return st.lists(st.sampled_from(names), min_size=least, max_size=len(names), unique=True)


@st.composite
def placement_row(draw, xs):
    """Draw a row over x alone."""
    kind = draw(st.sampled_from(["knapsack", "count", "precedence", "cover", "sizes", "any"]))
    if kind == "precedence" and len(xs) >= 2:
        a, b = draw(st.permutations(xs))[:2]
        return {a: 1, b: -1}, -INF, 0
    members = draw(subsets(xs))
    if kind == "count":
        least, most = sorted(draw(st.tuples(st.integers(0, 2), st.integers(0, 3))))
        return dict.fromkeys(members, 1), draw(st.sampled_from([-INF, least, most])), most
    if kind == "cover":
        return dict.fromkeys(members, 1), 1, INF
    if kind == "any":
        low = draw(st.integers(-4, 1))
        return {k: draw(signed) for k in members}, draw(st.sampled_from([-INF, low])), low + draw(small)
    sizes = {k: draw(small) for k in members}
    budget = draw(st.integers(0, 12))
    return sizes, budget if kind == "sizes" and draw(st.booleans()) else -INF, budget


@st.composite
def routing_row(draw, xs, ys):
    """Draw a row that holds y, and maybe x."""
    kind = draw(
        st.sampled_from(
            ["=1", "=1", "<=b", ">=b", "capacity", "budget", "gate", "gate", "gate", "or", "partial", "floor",
             "flow", "any"]
        )
    )  # fmt: skip
    y = draw(st.sampled_from(ys))
    x = draw(st.sampled_from(xs))
    if kind == "gate":
        return ({y: 1, x: -draw(st.sampled_from([1, 1, 2]))}, -INF, 0) if draw(st.booleans()) else (
            {y: -2, x: 2}, 0, INF)  # fmt: skip
    if kind == "or":
        return {y: 1} | dict.fromkeys(draw(subsets(xs)), draw(st.sampled_from([-1, -0.5]))), -INF, 0
    if kind == "partial":
        return {y: 1, x: -draw(st.sampled_from([-0.5, 0.5, 1]))}, -INF, draw(st.sampled_from([0.25, 0.5]))
    if kind == "floor":
        return {y: 1, x: -0.5}, 0, INF
    members = draw(subsets(ys, min(2, len(ys))))
    if kind == "=1":
        return dict.fromkeys(members, 1), 1, 1
    if kind == "<=b":
        return {k: draw(st.sampled_from([1, 1, 2])) for k in members}, -INF, draw(st.sampled_from([1, 1, 3]))
    if kind == ">=b":
        return dict.fromkeys(members, 1), draw(st.sampled_from([0.5, 1])), draw(st.sampled_from([1, INF]))
    if kind == "capacity":
        return {k: draw(small) for k in members} | {x: -draw(small)}, -INF, 0
    if kind == "budget":
        return {k: draw(small) for k in members}, -INF, draw(st.integers(0, 8)) / 2
    if kind == "flow":
        return {k: draw(st.sampled_from([1, -1])) for k in members}, 0, draw(st.sampled_from([0, 0, INF]))
    low = draw(st.integers(-4, 2))
    body = {k: draw(signed) for k in members} | {k: draw(signed) for k in draw(subsets(xs, 0))}
    return body, draw(st.sampled_from([-INF, low])), low + draw(st.integers(0, 4))


@st.composite
def linear_problems(draw, most_x=4, most_y=5, most_rows=7, bounded=False):
    """Draw small linear problems of every kind of row that a `Problem` can hold."""
    xs = [f"x{i}" for i in range(draw(st.integers(1, most_x)))]
    ys = [f"y{i}" for i in range(draw(st.integers(1, most_y)))]
    x_bounds = st.sampled_from([(0, 1)] * 6 + [(0, 0), (1, 1)])
    tops = [1, 1, 1, 2] if bounded else [1, 1, 1, 1, 2, INF]
    y_bounds = st.tuples(st.sampled_from([0, 0, 0, 0, 0, -1, 0.25]), st.sampled_from(tops))
    x = {k: (draw(st.integers(-5, 2)), *draw(x_bounds)) for k in xs}
    y = {k: (draw(st.integers(-3, 9)), *draw(y_bounds)) for k in ys}
    rows = draw(
        st.lists(st.one_of(routing_row(xs, ys), routing_row(xs, ys), placement_row(xs)), max_size=most_rows)
    )
    return problem_of(
        x, y, rows, constant=draw(st.sampled_from([0, 0, -3])), sense=draw(st.sampled_from([1, -1]))
    )


@st.composite
def product_problems(draw, most_x=3, most_y=4, most_rows=5):
    """Draw small problems with products x·y in the objective and in rows; every y has finite bounds."""
    problem = draw(linear_problems(most_x, most_y, most_rows, bounded=True))
    row = st.integers(OBJECTIVE, problem.n_rows - 1)
    x, y = st.integers(0, problem.n_onloading - 1), st.integers(0, problem.n_offloading - 1)
    where = draw(st.lists(st.tuples(row, x, y), max_size=6, unique=True))
    values = [float(draw(signed)) for _ in where]
    # Some y live in products alone: their linear terms go, except where that leaves a row empty.
    only = draw(subsets(range(problem.n_offloading), 0))
    objective, matrix = problem.offloading_objective.copy(), problem.offloading_rows.toarray()
    objective[only] = 0.0
    parts = np.array(where, dtype=np.int64).reshape(-1, 3)
    thinned = matrix.copy()
    thinned[:, only] = 0.0
    held = thinned.any(axis=1) | (np.diff(problem.onloading_rows.indptr) > 0)
    held |= np.isin(np.arange(problem.n_rows), parts[:, 0])
    matrix[held] = thinned[held]
    return replace(
        problem,
        offloading_objective=objective,
        offloading_rows=sparse.csr_array(matrix),
        products=Products(parts[:, 0], parts[:, 1], parts[:, 2], np.array(values)),
    )


def problems():
    """Draw linear and product problems alike."""
    return st.one_of(linear_problems(), product_problems())


def tight_knapsacks(seed, n_x=6, n_y=4, n_budgets=4):
    """Return items worth about as much as they weigh, within several budgets; some of them open a y.

    The relaxation with cuts stays above the optimum of most: the search has to branch. Each item is worth its
    mean weight over the budgets, up to 3 %.
    """
    rng = np.random.default_rng(seed)
    items, queries = [f"x{i}" for i in range(n_x)], [f"y{j}" for j in range(n_y)]
    weight = rng.integers(50, 300, (n_budgets, n_x)).astype(float)
    worth = weight.mean(axis=0) * rng.uniform(0.97, 1.03, n_x)
    rows = [(dict(zip(items, row, strict=True)), -INF, float(row.sum() // 2)) for row in weight]
    rows += [({y: 1.0, str(rng.choice(items)): -float(rng.choice([1, 0.5]))}, -INF, 0.0) for y in queries]
    rows.append((dict.fromkeys(queries, 1.0), -INF, 2.0))
    answers = {y: float(rng.integers(5, 60)) for y in queries}
    return problem_of(
        dict(zip(items, worth, strict=True)), answers, rows, constant=3.0, sense=int(rng.choice([-1, 1]))
    )


def searched_problems():
    """Draw problems on which the search has to branch."""
    return st.builds(tight_knapsacks, st.integers(0, 9999))


@st.composite
def location_problems(draw, gates="one", most_x=4, most_groups=3, placement=True):
    """Draw demand groups behind gates: the problems whose F_α is a facility-location function, and near ones.

    Every y is in one demand row (= 1 or <= 1). `gates` says what opens a y: "one" x, no two options of a
    group sharing theirs; "any": none, one, several that are all
    needed, any of several (beside one that is needed or not), capacity rows.
    """
    xs = [f"x{i}" for i in range(draw(st.integers(2, most_x)))]
    y, rows = {}, []
    for g in range(draw(st.integers(1, most_groups))):
        options = draw(subsets(xs, 2))
        names = [f"y{g}{x}" for x in options]
        y |= {name: draw(st.integers(-2, 9)) for name in names}
        rows.append((dict.fromkeys(names, 1), draw(st.sampled_from([1, -INF])), 1))
        for x, name in zip(options, names, strict=True):
            kind = (
                "one"
                if gates == "one"
                else draw(st.sampled_from(["none", "one", "all", "or", "both", "capacity"]))
            )
            others = [x, *draw(subsets(xs))] if kind in ("all", "or", "both") else [x]
            if kind in ("or", "both"):
                rows.append(({name: 1} | dict.fromkeys(others, -1), -INF, 0))
            if kind == "capacity":
                rows.append(({name: draw(small), x: -draw(small)}, -INF, 0))
            elif kind in ("one", "both"):
                rows.append(({name: 1, x: -1}, -INF, 0))
            elif kind == "all":
                rows += [({name: 1, k: -1}, -INF, 0) for k in dict.fromkeys(others)]
    for _ in range(draw(st.integers(0, 2))):
        first, *members = draw(subsets(list(y), 2))
        # Uneven, so that it is not taken for a demand row.
        rows.append(({first: 6} | {k: draw(small) for k in members}, -INF, draw(st.integers(1, 8)) / 2))
    if gates == "any" and draw(st.booleans()):
        members, x = draw(subsets(list(y))), draw(st.sampled_from(xs))
        rows.append(({k: draw(small) for k in members} | {x: -draw(small)}, -INF, 0))
    if placement:
        rows += draw(st.lists(placement_row(xs), max_size=2))
    return problem_of({k: draw(st.integers(-4, 2)) for k in xs}, y, rows)
