"""How a solve ended: the checks of its plan, Pyomo's results, and the message."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pyomo.contrib.solver.common.results import Results, SolutionStatus, TerminationCondition
from pyomo.core.base.block import BlockData
from pyomo.core.base.objective import Objective, minimize

from pyomo_j3o.core.problem import (
    OBJECTIVE,
    BoolArray,
    FloatArray,
    Plan,
    Problem,
    evaluate,
    larger_end,
)
from pyomo_j3o.core.results import (
    Ending,
    Outcome,
    Phase,
    Record,
    at_most_from_the_best,
    is_nothing,
    relative_gap,
    rounding,
)
from pyomo_j3o.errors import BackendError, TriviallyInfeasibleError
from pyomo_j3o.interface.moves import fill_moves, said_of
from pyomo_j3o.interface.notebook import J3OResults
from pyomo_j3o.interface.remedies import Remedies
from pyomo_j3o.methods.mip_parts import Proof, allowance
from pyomo_j3o.methods.own_rows import first_missed
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.modeling.loading import J3OSolutionLoader
from pyomo_j3o.modeling.move_cost import Moves
from pyomo_j3o.modeling.naming import beginning, the_model
from pyomo_j3o.presolve.charged import empty
from pyomo_j3o.presolve.scaling import Scaling

_CONDITIONS = {
    Ending.GAP: TerminationCondition.convergenceCriteriaSatisfied,
    Ending.REDUCED_GAP: TerminationCondition.convergenceCriteriaSatisfied,
    Ending.FIXED_POINT: TerminationCondition.convergenceCriteriaSatisfied,
    Ending.THRASHING: TerminationCondition.convergenceCriteriaSatisfied,
    Ending.STALLED: TerminationCondition.convergenceCriteriaSatisfied,
    Ending.USER: TerminationCondition.convergenceCriteriaSatisfied,
    Ending.ITERATIONS: TerminationCondition.iterationLimit,
    Ending.USUAL_ITERATIONS: TerminationCondition.convergenceCriteriaSatisfied,
    Ending.TIME: TerminationCondition.maxTimeLimit,
    Ending.LIMIT: TerminationCondition.iterationLimit,
    Ending.TOLERANCES: TerminationCondition.convergenceCriteriaSatisfied,
    Ending.BASELINE: TerminationCondition.convergenceCriteriaSatisfied,
    Ending.REFUSED: TerminationCondition.unknown,
    Ending.INTERRUPTED: TerminationCondition.interrupted,
    Ending.INFEASIBLE: TerminationCondition.provenInfeasible,
    Ending.UNBOUNDED: TerminationCondition.unbounded,
}

_REMEDIES = Remedies()

#: An objective is near 0 if the distance to its bound is at most this fraction of its absolute terms.
_SMALL = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a solve ended, be it before its search.

    Attributes
    ----------
    algorithm : str
        The one that was used; the one that `auto` stands for if the model was not compiled.
    sense : float
        +1 if the user maximises, -1 if the user minimises.
    outcome : Outcome
        Of the maximised problem, in the user's units.
    trace : list of Record
    lp_solver : str or None
        Its name; None before one was chosen.
    proof : Proof or None
        What a MIP solver did, if the algorithm is exact.
    reason : str
        One sentence on the end, where that is known; empty otherwise.
    """

    algorithm: str
    sense: float
    outcome: Outcome
    trace: list[Record] = field(default_factory=list)
    lp_solver: str | None = None
    proof: Proof | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved(Ended):
    """How a search ended.

    Attributes
    ----------
    problem : Problem
        As compiled, with the price of moves.
    inverse : Inverse
        From the problem to the model.
    unit : float
        What counts as 1 in the objective.
    missed : tuple of (int, float) or None
        What the last plan that was refused misses most, and by how much; see `first_missed`.
    moves : Moves or None
        What the price of moves is made of.
    """

    problem: Problem
    inverse: Inverse
    unit: float
    missed: tuple[int, float] | None = None
    moves: Moves | None = None

    def objective_at(self, x: BoolArray, y: FloatArray) -> float:
        """Return the maximised objective at a plan, x (N,) and y (K,)."""
        if self.moves is not None:
            return self.moves.objective(x, y)
        return evaluate(self.problem, x.astype(float), y)


def ended_by_constants(algorithm: str, model: BlockData, error: TriviallyInfeasibleError) -> Ended:
    """Return the end of a solve whose model is infeasible by its constants alone."""
    outcome = Outcome(None, -np.inf, Ending.INFEASIBLE)
    reason = f"Proven infeasible before the search: {error}."
    return Ended(algorithm=algorithm, sense=_sense(model), outcome=outcome, reason=reason)


def ended_by_time(algorithm: str, model: BlockData) -> Ended:
    """Return the end of a solve whose time was over before the search."""
    return Ended(algorithm=algorithm, sense=_sense(model), outcome=Outcome(None, np.inf, Ending.TIME))


def _sense(model: BlockData) -> float:
    objectives = model.component_data_objects(Objective, active=True)
    return -1.0 if any(objective.sense == minimize for objective in objectives) else 1.0


def require_possible(scaling: Scaling, inverse: Inverse) -> None:
    """Raise if a row of whole numbers has sides that no sum of them lies between."""
    for row, unit in scaling.crossed[:1]:
        raise TriviallyInfeasibleError(
            f"constraint '{inverse.rows[row].name}' can never hold: it has onloading variables alone, its "
            f"coefficients are multiples of {unit:g}, and no multiple lies between its sides; "
            "change a side"
        )


def doubt(solved: Solved) -> str | None:
    """Return one sentence on the row that the plan misses, products and all; None for a good plan."""
    plan = solved.outcome.plan
    if plan is None:
        return refusal(solved) if solved.outcome.ending is Ending.REFUSED else None
    missed = first_missed(solved.problem, plan.x, plan.y)
    if missed is None:
        return None
    return (
        f"the plan that the solver behind j3o returned misses {_named(missed, solved)}; scale the model's "
        "coefficients, or tighten that solver's feasibility tolerance through solver_options."
    )


def _named(missed: tuple[int, float], solved: Solved) -> str:
    """Return the row or bound that a plan misses, in the user's name of it, and by how much."""
    worst, amount = missed
    problem, inverse = solved.problem, solved.inverse
    if worst < problem.n_rows:
        name = f"constraint '{inverse.rows[worst].name}'"
    else:
        variables = [*inverse.variable_of_column, *inverse.offloading]
        name = f"the bounds of '{variables[worst - problem.n_rows].name}'"
    return f"{name} by {amount:.1e}"


def _require_paid(solved: Solved, x: BoolArray, y: FloatArray) -> None:
    """Check windows by their definition: what is in no batch that is paid for is nothing, and no rounding."""
    batches = solved.problem.batches
    if batches is None:
        return
    for b in np.flatnonzero(~x[batches.indicator] & ~empty(batches.rates(y)))[:1]:
        indicator = solved.inverse.variable_of_column[batches.indicator[b]]
        raise BackendError(
            f"the plan that the solver behind j3o returned sends {batches.rates(y)[b]:.1e} queries/s to a "
            f"batch whose '{indicator.name}' is 0, within its tolerance; "
            "scale the model so that such a rate is not of the size of rounding"
        )


def _condition(outcome: Outcome) -> TerminationCondition:
    """Return Pyomo's word for how a solve ended; a search that ended without a plan has not converged."""
    condition = _CONDITIONS[outcome.ending]
    converged = condition is TerminationCondition.convergenceCriteriaSatisfied
    return TerminationCondition.unknown if converged and outcome.plan is None else condition


def results_of(ended: Ended, config: Any) -> Results:
    """Turn the outcome into Pyomo's results, in the user's own sense."""
    results = J3OResults()
    outcome, sense = ended.outcome, ended.sense
    results.termination_condition = _condition(outcome)
    if outcome.ending is not Ending.INFEASIBLE:
        results.objective_bound = sense * outcome.bound
    results.extra_info.relative_gap = math.inf
    if outcome.plan is None or not isinstance(ended, Solved):
        return results
    x, y = outcome.plan.x, outcome.plan.y
    _require_paid(ended, x, y)
    value = ended.objective_at(x, y)
    bound = max(outcome.bound, value)
    gap = relative_gap(value, bound)
    results.incumbent_objective = sense * value + 0.0  # -0.0 is 0.0
    results.objective_bound = sense * bound + 0.0
    closed = gap <= config.rel_gap or bound - value <= (config.abs_gap or 0.0)
    # The proof of a MIP solver is worth its tolerances, and no more.
    by_mip_solver = ended.proof is not None or outcome.ending is Ending.GAP
    allowed = allowance if by_mip_solver else rounding
    closed = closed or bound - value <= ended.unit * allowed(value / ended.unit)
    results.solution_status = SolutionStatus.optimal if closed else SolutionStatus.feasible
    results.extra_info.relative_gap = gap
    results.solution_loader = J3OSolutionLoader(ended.problem, ended.inverse, x, y, outcome.duals)
    return results


def fill_extra_info(info: Any, ended: Ended, message: str) -> None:
    """Put into the results what Pyomo has no field for."""
    proof = ended.proof
    info.algorithm = ended.algorithm
    info.lp_solver = ended.lp_solver
    info.mip_solver = None if proof is None else proof.solver
    info.mip_solver_choice = None if proof is None else proof.description
    info.nodes = None if proof is None else proof.nodes
    has_start = proof is not None and math.isfinite(proof.start)
    info.mip_start_objective = ended.sense * proof.start if proof is not None and has_start else None
    info.trace = ended.trace
    info.improvement = list(ended.outcome.steps)
    info.message = message
    fill_moves(info, ended.moves if isinstance(ended, Solved) else None, ended.outcome.plan, ended.sense)
    if isinstance(ended, Solved):
        members = (*ended.inverse.onloading, *ended.inverse.offloading)
        info.number_of_variables = sum(not ended.inverse.is_added(variable) for variable in members)
        info.number_of_constraints = ended.problem.n_rows


def explanation(ended: Ended, config: Any, model: BlockData, remedies: Remedies = _REMEDIES) -> str:
    """Return one sentence that says how the solve ended and, where it is short of a plan, what to do."""
    if ended.reason:
        return ended.reason
    outcome = ended.outcome
    if outcome.ending is Ending.INFEASIBLE:
        return (
            f"{beginning(the_model(model))} is proven infeasible: no placement and routing satisfies all "
            "constraints" + remedies.of_conflict()
        )
    if outcome.plan is not None:
        return _of_plan(ended, outcome.plan, config, remedies)
    if isinstance(ended, Solved):
        if outcome.ending is Ending.UNBOUNDED:
            return _of_ray(ended, model)
        if outcome.ending is Ending.REFUSED:
            return refusal(ended)
    if outcome.ending is Ending.INTERRUPTED:
        return "Interrupted before any plan was found."
    if outcome.ending is Ending.LIMIT:
        return (
            "No plan was found within a limit set in solver_options, nor proven that there is none; "
            "raise that limit."
        )
    if outcome.ending.phase is Phase.LOOP and config.effort == "alternation":
        alternation = remedies.option("effort", "alternation")
        return f"The alternation found no plan, which proves nothing; leave out {alternation}."
    limit = "" if config.time_limit is None else f" of time_limit={config.time_limit:g} s"
    return (
        f"No plan was found within the limit{limit}, nor proven that there is none; "
        f"raise {remedies.option('time_limit')}."
    )


def _of_plan(ended: Ended, plan: Plan, config: Any, remedies: Remedies) -> str:
    """Return what is said of a solve with a plan."""
    outcome = ended.outcome
    bound = max(outcome.bound, plan.objective)
    gap, distance = relative_gap(plan.objective, bound), bound - plan.objective
    certainty = f"gap {100 * gap:.2f}%" if np.isfinite(gap) else _no_bound(config)
    terms = _size_of_terms(ended.problem, plan) if isinstance(ended, Solved) else 0.0
    # Relative to an objective of 0, or one that its terms cancel to 0, every gap is huge.
    at_zero = 1e-4 < gap < np.inf and is_nothing(plan.objective)
    near_zero = at_zero or (1.0 < gap < np.inf and distance <= _SMALL * terms)
    if near_zero:
        certainty = at_most_from_the_best(distance)
    rounding_alone = near_zero and abs(plan.objective) <= 4.0 * np.finfo(float).eps * terms
    value = f"objective {0.0 if rounding_alone else ended.sense * plan.objective + 0.0:.8g}"
    moved = said_of(ended.moves, plan, ended.sense) if isinstance(ended, Solved) else ""
    if outcome.ending is Ending.GAP:
        proven = "" if near_zero else ", proven"
        return f"Optimal{_within(gap, distance, config)}: {value}, {certainty}{proven}.{moved}"
    cause = f"ended by: {outcome.ending.value}"
    if outcome.steps and outcome.ending.phase is Phase.LOOP:
        cause = f"{Phase.LOOP.value} {cause}; the improvement by its limit of effort"
    return f"Feasible plan: {value}, {certainty}; {cause}.{moved}{_to_go_on(ended, config, remedies)}"


def _to_go_on(ended: Ended, config: Any, remedies: Remedies) -> str:
    """Return one sentence on what makes the next solve search on, if anything does."""
    outcome = ended.outcome
    if outcome.ending is Ending.TIME and config.time_limit is not None:
        return f" To search on, raise {remedies.option('time_limit')}."
    if outcome.ending is Ending.INTERRUPTED:
        # As in Pyomo's own solvers, an error comes before the plan is loaded.
        held = config.load_solutions and not config.raise_exception_on_nonoptimal_result
        return f" {remedies.after_interrupt(held)}"
    if outcome.ending.phase is not Phase.LOOP or ended.proof is not None:
        return ""
    if config.effort == "alternation":
        return f" To search on, leave out {remedies.option('effort', 'alternation')}."
    if not config.improve or config.bound != "cuts":
        return " To search on, leave improve and bound at their defaults."
    full = remedies.option("effort", "full")
    if isinstance(config.effort, float):
        return f" To search on, set {full}."
    gap = remedies.option("rel_gap")
    return "" if config.effort == "full" else f" To search on, set {full}, or the {gap} you need."


def _within(gap: float, distance: float, config: Any) -> str:
    """Return the gap that was asked for, where it alone makes the plan optimal."""
    if gap <= 1e-4:
        return ""
    if gap <= config.rel_gap:
        return f" within rel_gap={config.rel_gap:g}"
    return f" within abs_gap={config.abs_gap:g}" if distance <= (config.abs_gap or 0.0) else ""


def _size_of_terms(problem: Problem, plan: Plan) -> float:
    """Return the sum of the absolute terms of the objective at a plan, in the user's units."""
    products, x, y = problem.products, plan.x.astype(float), plan.y
    mine = products.row == OBJECTIVE
    terms = products.coefficient[mine] * x[products.onloading[mine]] * y[products.offloading[mine]]
    total = abs(problem.objective_constant) + np.abs(terms).sum()
    total += np.abs(problem.onloading_objective) @ x + np.abs(problem.offloading_objective) @ np.abs(y)
    return float(total)


def _of_ray(solved: Solved, model: BlockData) -> str:
    """Return what is said of an unbounded model, with the variables along which it is."""
    variables = solved.inverse.offloading
    names = [f"'{variables[j].name}'" for j in solved.outcome.ray]
    which = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    along, them = (f" along {which}", "these") if names else ("", "the offloading")
    return (
        f"The objective of {the_model(model)} is unbounded: it improves without end{along}; "
        f"bound {them} variables, or check the sense of the objective."
    )


def refusal(solved: Solved) -> str:
    """Return one sentence on what the plans miss that the solvers took for plans, and on the remedy."""
    if solved.missed is None:
        return (
            "No plan was found that holds in every row, nor proven that there is none; rescale the model so "
            "that its coefficients and bounds are of like size."
        )
    what = _named(solved.missed, solved)
    variables, row = solved.inverse.offloading, solved.missed[0]
    widest = _widest(solved.problem, row)
    bounds = f", and tighten the bounds of '{variables[widest].name}'" if widest is not None else ""
    return (
        f"No plan was found that holds in every row, nor proven that there is none: the one at hand misses "
        f"{what}, which passes for rounding in the solver's units; rescale that row{bounds}."
    )


def _widest(problem: Problem, row: int) -> int | None:
    """Return the variable of y that can contribute most to a row; None for a bound, or without y."""
    if row >= problem.n_rows:
        return None
    terms, reach = problem.products, larger_end(problem.offloading_lower, problem.offloading_upper)
    entries = problem.offloading_rows[[row]]
    size = np.zeros(problem.n_offloading)
    size[entries.indices] = np.abs(entries.data)
    mine = terms.row == row
    np.maximum.at(size, terms.offloading[mine], np.abs(terms.coefficient[mine]))
    worth = size * reach
    return int(np.argmax(worth)) if worth.max(initial=0.0) > 0 else None


def _no_bound(config: Any) -> str:
    return "no bound asked for" if config.bound == "none" else "no bound proven in time"
