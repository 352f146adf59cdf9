"""The truth about random models, and a judge of what j3o says of them.

The optimum of a model comes from its arrays. HiGHS and SciPy's MILP solver get them with tight tolerances,
products written out by their four rows, and tell placements. The objective at a placement is computed without
rounding (`exact_rational`). If the exact search ends soon, it is proven to be the optimum without any solver.
Models with windows go to Pyomo's own HiGHS.
"""

import logging
import math
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction

import highspy
import numpy as np
import pyomo.environ as pyo
import pytest
from exact_rational import exact_number, exact_optimum
from pyomo.contrib.solver.common.factory import SolverFactory as NewSolverFactory
from pyomo.repn import generate_standard_repn
from random_families import family_case, small_case
from random_models import random_case
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp
from small_problems import INF
from solver_models import change_params, objective_value, own_search_first

from pyomo_j3o.core.problem import OBJECTIVE
from pyomo_j3o.errors import TriviallyInfeasibleError
from pyomo_j3o.lp import gurobi
from pyomo_j3o.mip import scip

#: What a bound, a plan and its rows may be off by, relative to the optimum and to the row's largest term.
TOLERANCE = 1e-6

#: Nothing is relative to a number smaller than this.
TINY = 1e-12

#: Arrays of more entries are not solved without rounding.
_MOST_ENTRIES = 20_000


# --- the truth ------------------------------------------------------------------------------------------


@dataclass
class Truth:
    """The optimum in the user's sense: the worst infinity if infeasible, the best one if unbounded.

    `margin` is by how much it may be better still, 0 if `exact`.
    """

    value: float
    margin: float = 0.0
    exact: bool = False


def truth_of(case, placements=()):
    """Return the `Truth` of a case; placements that were found are looked at, too."""
    if case.problem is None:
        found = NewSolverFactory("highs").solve(case.model.clone(), rel_gap=1e-7, load_solutions=False)
        return Truth(found.incumbent_objective, 1e-5 * max(1.0, abs(found.incumbent_objective)))
    problem = case.problem
    told = [_by_highs(problem), _by_scipy(problem)]
    hints = [x for _, x, _ in told if x is not None]
    hints += [x for x in placements if x is not None and not any(np.array_equal(x, y) for y in hints)]
    width = problem.n_onloading + problem.n_offloading + len(problem.products)
    if width * (problem.n_rows + 4 * len(problem.products)) > _MOST_ENTRIES:
        value, proven = max([v for v, _, _ in told]), False
    else:
        value, proven = exact_optimum(problem, hints)
    value = float(value)
    if proven or value == INF:
        return Truth(problem.sense * value, 0.0, True)
    if value == -INF:
        if any(v > -INF for v, _, _ in told):
            raise ArithmeticError(f"the solvers say {[v for v, _, _ in told]}, and no plan holds")
        return Truth(problem.sense * value)
    return Truth(problem.sense * value, max(0.0, max(bound for _, _, bound in told) - value))


def optimum(case):
    """Return the optimum alone."""
    return truth_of(case).value


def _linear_form(problem):
    """Return cost, matrix, row ends and bounds, all maximised; products x·y by their four rows."""
    n, k, terms = problem.n_onloading, problem.n_offloading, problem.products
    n_pairs = len(terms)
    width = n + k + n_pairs
    cost, matrix = np.zeros(width), np.zeros((problem.n_rows, width))
    cost[:n], cost[n : n + k] = problem.onloading_objective, problem.offloading_objective
    matrix[:, :n], matrix[:, n : n + k] = problem.onloading_rows.toarray(), problem.offloading_rows.toarray()
    lower = np.concatenate([problem.onloading_lower, problem.offloading_lower, np.full(n_pairs, -INF)])
    upper = np.concatenate([problem.onloading_upper, problem.offloading_upper, np.full(n_pairs, INF)])
    extra, ends = [], []
    for p, (row, i, j, value) in enumerate(
        zip(terms.row, terms.onloading, terms.offloading, terms.coefficient, strict=True)
    ):
        if row == OBJECTIVE:
            cost[n + k + p] = value
        else:
            matrix[row, n + k + p] = value
        low, high = problem.offloading_lower[j], problem.offloading_upper[j]
        for w, x, y, end in ((1, -high, 0, 0.0), (-1, low, 0, 0.0), (1, -low, -1, -low), (-1, high, 1, high)):
            line = np.zeros(width)
            line[n + k + p], line[i], line[n + j] = w, x, y
            extra.append(line)
            ends.append(end)
    matrix = np.vstack([matrix, *([np.array(extra)] if extra else [])])
    row_lower = np.concatenate([problem.row_lower, np.full(len(ends), -INF)])
    return cost, matrix, row_lower, np.concatenate([problem.row_upper, ends]), lower, upper


def _by_scipy(problem):
    """Return optimum, placement and bound of arrays by SciPy's MILP solver, maximised."""
    cost, matrix, row_lower, row_upper, lower, upper = _linear_form(problem)
    if not len(cost):
        return float(problem.objective_constant), np.zeros(0), float(problem.objective_constant)
    whole = np.zeros(len(cost))
    whole[: problem.n_onloading] = 1

    def solve(costs, presolve):
        return milp(
            costs,
            integrality=whole,
            bounds=Bounds(lower, upper),
            constraints=LinearConstraint(matrix, row_lower, row_upper) if len(matrix) else None,
            options={"presolve": presolve, "mip_rel_gap": 1e-9},
        )

    found = solve(-cost, True)
    if found.status == 0:
        x = np.round(found.x[: problem.n_onloading])
        bound = found.fun if found.mip_dual_bound is None else found.mip_dual_bound
        return problem.objective_constant - found.fun, x, problem.objective_constant - bound
    # Presolve may say "unbounded or infeasible": without an objective it cannot be unbounded.
    found = solve(0 * cost, False)
    if found.status == 0:
        return INF, np.round(found.x[: problem.n_onloading]), INF
    return -INF, None, -INF


def _by_highs(problem):
    """Return optimum, placement and bound of arrays by HiGHS, as tight as it goes, maximised."""
    cost, matrix, row_lower, row_upper, lower, upper = _linear_form(problem)
    highs, lp, rows = highspy.Highs(), highspy.HighsLp(), sparse.csr_array(matrix)
    for name, value in (
        ("output_flag", False),
        ("mip_rel_gap", 1e-9),
        ("mip_abs_gap", 0.0),
        ("mip_feasibility_tolerance", 1e-9),
        ("primal_feasibility_tolerance", 1e-9),
        ("dual_feasibility_tolerance", 1e-9),
        ("threads", 1),
    ):
        highs.setOptionValue(name, value)
    lp.num_col_, lp.num_row_ = len(cost), len(matrix)
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.offset_ = problem.objective_constant
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = cost, lower, upper
    lp.row_lower_, lp.row_upper_ = row_lower, row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_ = rows.indptr.astype(np.int32), rows.indices.astype(np.int32)
    lp.a_matrix_.value_ = rows.data
    lp.integrality_ = [
        highspy.HighsVarType.kInteger if j < problem.n_onloading else highspy.HighsVarType.kContinuous
        for j in range(len(cost))
    ]
    highs.passModel(lp)
    highs.run()
    status, info = highs.getModelStatus(), highs.getInfo()
    if status == highspy.HighsModelStatus.kOptimal:
        x = np.round(np.array(highs.getSolution().col_value)[: problem.n_onloading])
        bound = info.mip_dual_bound if problem.n_onloading else info.objective_function_value
        return info.objective_function_value, x, bound
    highs.changeColsCost(len(cost), np.arange(len(cost), dtype=np.int32), np.zeros(len(cost)))
    highs.run()
    if highs.getModelStatus() == highspy.HighsModelStatus.kOptimal:
        return INF, np.round(np.array(highs.getSolution().col_value)[: problem.n_onloading]), INF
    return -INF, None, -INF


# --- what a solve said ----------------------------------------------------------------------------------


@dataclass
class Said:
    """What one solve said of a model, and what its plan is worth when it is looked at."""

    condition: str
    sense: int
    optimal: bool = False
    value: float | None = None
    bound: float = math.nan
    worth: float | None = None
    term: float = 0.0
    missed: str = ""
    placement: np.ndarray | None = None
    seconds: float = 0.0

    @property
    def bounded_by_none(self):
        """Whether there is a plan, and no bound is claimed for it."""
        return self.value is not None and not self.missed and math.isinf(self.bound)


def ask(case, solver, options):
    """Solve a copy of a case's model; return the `Said`."""
    m = case.model.clone()
    if options.get("warm_start"):
        rng = np.random.default_rng([case.seed, 2])
        for variable in m.component_data_objects(pyo.Var):
            if variable.is_binary() and not variable.fixed and rng.random() < 0.8:
                variable.value = int(rng.integers(2))
    begin = time.process_time()
    results = NewSolverFactory(solver).solve(
        m, load_solutions=False, raise_exception_on_nonoptimal_result=False, **options
    )
    seconds = time.process_time() - begin
    objective = next(m.component_data_objects(pyo.Objective, active=True))
    sense = 1 if objective.sense == pyo.maximize else -1
    said = Said(results.termination_condition.name, sense, seconds=seconds)
    said.value, said.bound = results.incumbent_objective, results.objective_bound
    said.bound = math.nan if said.bound is None else said.bound
    if said.value is not None:
        results.solution_loader.load_vars()
        said.optimal = results.solution_status.name == "optimal"
        said.missed = missed(m)
        said.worth, said.term = objective_value(m), _largest_term(objective.expr)
        variables = list(m.component_data_objects(pyo.Var))
        said.placement = np.round([variables[k].value for k in case.places])
    return said


def missed(model):
    """Return which row, bound or domain the values that the variables hold miss, and by how much; "" if none.

    A row may be missed by `TOLERANCE` times its largest term or side. A row of binary variables alone holds
    exactly if its numbers are whole, or decimals of few digits.
    """
    for constraint in model.component_data_objects(pyo.Constraint, active=True):
        body, largest, whole = _body(constraint)
        for side, sign in ((constraint.lower, 1), (constraint.upper, -1)):
            if side is None:
                continue
            end = exact_number(pyo.value(side), whole)
            by = sign * (end - body)
            allowed = 0 if whole else TOLERANCE * max(largest, abs(end))
            if by > allowed:
                return f"row {constraint.name} of size {float(max(largest, abs(end))):.1e} by {float(by):.1e}"
    for variable in model.component_data_objects(pyo.Var):
        if variable.value is None:
            continue
        ends = [(variable.lb, 1), (variable.ub, -1)]
        by = max(
            [0.0] + [s * (end - variable.value) / max(1.0, abs(end)) for end, s in ends if end is not None]
        )
        if variable.is_binary() or variable.is_integer():
            by = max(by, abs(variable.value - round(variable.value)))
        if by > TOLERANCE:
            return f"bounds or domain of {variable.name} by {by:.1e}"
    return ""


def _body(constraint):
    """Return a row's body at the values, its size, and whether it has whole numbers and binaries alone.

    The size is that of the largest term, at least that of the largest coefficient or 1, whichever is smaller.
    """
    repn = generate_standard_repn(constraint.body, quadratic=True)
    if repn.nonlinear_expr is not None:
        value = exact_number(pyo.value(constraint.body))
        return value, abs(value), False
    sides = [pyo.value(s) for s in (constraint.lower, constraint.upper) if s is not None]
    numbers = [exact_number(v, True) for v in (*repn.linear_coefs, repn.constant, *sides)]
    common = math.lcm(1, *(v.denominator for v in numbers))
    whole = not repn.quadratic_vars and all(v.is_binary() or v.is_integer() for v in repn.linear_vars)
    whole = whole and all(abs(v * common) < 2**53 for v in numbers)
    terms = [Fraction(exact_number(repn.constant, whole))]
    for c, v in zip(repn.linear_coefs, repn.linear_vars, strict=True):
        terms.append(exact_number(c, whole) * (round(v.value) if whole else exact_number(v.value)))
    for c, (v, w) in zip(repn.quadratic_coefs, repn.quadratic_vars, strict=True):
        terms.append(exact_number(c) * exact_number(v.value) * exact_number(w.value))
    unit = min([1, max(map(abs, (*repn.linear_coefs, *repn.quadratic_coefs)), default=0)])
    return sum(terms), max([abs(t) for t in terms] + [exact_number(unit)]), whole


def _largest_term(expression):
    repn = generate_standard_repn(expression, quadratic=True)
    terms = [abs(repn.constant)]
    terms += [abs(c * v.value) for c, v in zip(repn.linear_coefs, repn.linear_vars, strict=True)]
    terms += [
        abs(c * v.value * w.value)
        for c, (v, w) in zip(repn.quadratic_coefs, repn.quadratic_vars, strict=True)
    ]
    return float(max(terms))


def complaint(said, truth, rel_gap=1e-4):
    """Return what is wrong with what was said, and the relative distance of the plan to the optimum."""
    value, s = truth.value, said.sense
    if not np.isfinite(value):
        expected = "unbounded" if s * value > 0 else "provenInfeasible"
        # Where no plan holds to the last digit, one may within the tolerance of rows.
        held = s * value < 0 and said.value is not None and not said.missed
        right = said.condition == expected or held
        return "" if right else f"{said.condition} where it is {expected}", None
    if said.value is None:
        return f"no plan, {said.condition}, where the optimum is {value}", None
    if said.missed:
        return f"plan misses {said.missed}", None
    # The terms of the objective are rounded, so that nothing can be nearer than this.
    tiny = 1e-9 * said.term + TINY
    size = abs(value)
    if abs(said.worth - said.value) > TOLERANCE * size + tiny:
        return f"objective {said.value} is told of a plan worth {said.worth}", None
    # The optimum is the exact one of some plan: a bound that it beats is wrong whatever the margin.
    if np.isnan(said.bound) or s * (value - said.bound) > TOLERANCE * size + tiny + _slack(truth):
        return f"bound {said.bound} is beaten by the optimum {value}", None
    # Within the tolerance of rows, a plan may be better than the exact optimum.
    if not truth.exact and s * (said.value - value) > 1e-3 * size + tiny + truth.margin:
        return f"plan of {said.value} is better than the optimum {value}", None
    distance = max(0.0, s * (value - said.value) - tiny) / max(size, TINY)
    if said.optimal and distance > rel_gap + TOLERANCE:
        return f"called optimal, {distance:.1e} from it", distance
    return "", distance


def _slack(truth):
    """Return what the value itself may be too good by: nothing, but of models with windows."""
    return 0.0 if truth.exact else truth.margin


# --- the judge ------------------------------------------------------------------------------------------


@dataclass
class Verdict:
    """What came of one seed.

    `wrong` says what a correct solver never does; `distance` is that of j3o's plan to the optimum, relative
    to it, `search` that without the MILP solver that small parts go to, and `alternation` that without the
    improvement and with other options, drawn at random; all None without an optimum. `exact` says that the
    optimum is known without rounding. Seconds are those of the process.
    """

    seed: int
    shape: str
    size: str
    style: str
    n_variables: int
    wrong: str = ""
    distance: float | None = None
    search: float | None = None
    alternation: float | None = None
    exact: bool = False
    seconds: float | None = None
    highs_seconds: float | None = None
    optimum: float | None = field(default=None, repr=False)


def judge(seed, family=None):
    """Solve the model of a seed in several ways; say what is wrong with any.

    The ways are j3o with HiGHS, j3o as it comes, j3o without the MILP solver that small parts go to, j3o with
    options drawn at random, j3o.exact, and j3o.exact from j3o's plan.
    """
    with _only_errors("pyomo_j3o"), _only_errors("pyomo.core"):
        return _judge(random_case(seed) if family is None else family_case(seed, family))


@contextmanager
def _only_errors(name):
    """Keep the warnings of a logger back, and let those of the tests that follow through again."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _ways(seed):
    """Return (name, solver, options, relative gap) of every way; options that are drawn change no truth."""
    rng = np.random.default_rng([seed, 1])
    others = {
        "improve": False,
        "bound": str(rng.choice(["cuts", "lp", "none"])),
        "threads": int(rng.choice([1, 2])),
        "warm_start": bool(rng.random() < 0.5),
        "algorithm": str(rng.choice(["auto", "j3o", "baj3o"])),
    }
    highs = {"lp_solver": "highs", "mip_solver": "highs"}
    return (
        ("j3o", "j3o", highs, 1e-4),
        ("defaults", "j3o", {}, 1e-4),
        ("search", "j3o", {"lp_solver": "highs"}, 1e-4),
        ("alternation", "j3o", {"lp_solver": "highs"} | others, 1e-4),
        ("exact", "j3o.exact", highs | {"rel_gap": 1e-6}, 1e-6),
        ("exact from a plan", "j3o.exact", highs | {"mip_start": "j3o"}, 1e-4),
    )


def _judge(case):
    n = sum(1 for _ in case.model.component_data_objects(pyo.Var))
    verdict = Verdict(case.seed, case.shape, case.size, case.style, n)
    ways, said, complaints, distances = _ways(case.seed), {}, [], {}
    for name, solver, options, _ in ways:
        try:
            with _own_search() if name == "search" else nullcontext():
                said[name] = ask(case, solver, options)
        except Exception as error:
            complaints.append(f"{name}: {type(error).__name__}: {error}")
    try:
        truth = truth_of(case, [one.placement for one in said.values() if not one.missed])
    except ArithmeticError as error:
        verdict.wrong = f"truth: {error}"
        return verdict
    verdict.exact, verdict.optimum = truth.exact, truth.value
    for name, solver, options, rel_gap in ways:
        if name not in said:
            continue
        if math.isinf(truth.value) and options.get("bound") == "none" and said[name].bounded_by_none:
            # Without a bound, nothing is said of what other placements bring.
            continue
        wrong, distances[name] = complaint(said[name], truth, rel_gap)
        if not wrong and solver == "j3o.exact" and (distances[name] or 0) > 1.1 * rel_gap + 1e-6:
            wrong = f"misses the optimum by {distances[name]:.1e}"
        if wrong:
            complaints.append(f"{name}: {wrong}")
    verdict.distance, verdict.search = distances.get("j3o"), distances.get("search")
    verdict.alternation = distances.get("alternation")
    if "j3o" in said:
        verdict.seconds, verdict.highs_seconds = said["j3o"].seconds, _highs_seconds(case)
    verdict.wrong = "; ".join(complaints)
    return verdict


@contextmanager
def _own_search():
    """Let nothing count as small enough to go to a MILP solver before branch and bound on its kernel."""
    with pytest.MonkeyPatch.context() as patch:
        change_params(patch, own_search_first)
        yield


def _highs_seconds(case):
    """Return the seconds that Pyomo's own HiGHS takes; products are written out before they count."""
    m = case.model.clone()
    if case.problem is None:
        return None
    if len(case.problem.products):
        try:
            pyo.TransformationFactory("j3o.linearize_products").apply_to(m)
        except TriviallyInfeasibleError:
            return None  # by constants alone
    begin = time.process_time()
    NewSolverFactory("highs").solve(
        m, rel_gap=1e-4, load_solutions=False, raise_exception_on_nonoptimal_result=False
    )
    return time.process_time() - begin


# --- bounds, by every backend ---------------------------------------------------------------------------


@dataclass
class Certified:
    """What one backend said of one small model.

    `beaten` is by how much the optimum beats the bound, None without a bound; `distance` is that of the plan
    to the optimum, None without a plan. Both are relative to the optimum.
    """

    seed: int
    family: str
    way: str
    exact: bool
    has_optimum: bool
    optimal: bool = False
    beaten: float | None = None
    distance: float | None = None
    wrong: str = ""


def backends():
    """Return {name: (solver, options)} of all backends at hand."""
    licensed = not gurobi.unavailable(10, 10)
    ways = {}
    for name in ("highs", "gurobi") if licensed else ("highs",):
        for bound in ("cuts", "lp"):
            ways[f"j3o, {name}, {bound}"] = "j3o", {"lp_solver": name, "mip_solver": name, "bound": bound}
    for name in ("highs", *(["gurobi"] if licensed else []), *([] if scip.unavailable() else ["scip"])):
        ways[f"j3o.exact, {name}"] = "j3o.exact", {"lp_solver": "highs", "mip_solver": name}
    return ways


def certify(seed):
    """Solve a small model by every backend; return a `Certified` of each."""
    case, said, crashes = small_case(seed), {}, {}
    with _only_errors("pyomo_j3o"), _only_errors("pyomo.core"):
        for way, (solver, options) in backends().items():
            try:
                said[way] = ask(case, solver, options)
            except Exception as error:
                crashes[way] = f"{type(error).__name__}: {error}"
    truth = truth_of(case, [one.placement for one in said.values() if not one.missed])
    verdicts, has_optimum = [], bool(np.isfinite(truth.value))
    for way in backends():
        verdict = Certified(seed, case.shape, way, truth.exact, has_optimum, wrong=crashes.get(way, ""))
        verdicts.append(verdict)
        if way in crashes:
            continue
        one = said[way]
        verdict.optimal = one.optimal
        verdict.wrong, verdict.distance = complaint(one, truth)
        if np.isfinite(truth.value) and np.isfinite(one.bound):
            over = one.sense * (truth.value - one.bound) - TINY
            verdict.beaten = max(0.0, over) / max(abs(truth.value), TINY)
    return verdicts
