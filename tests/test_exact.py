"""The exact solver: Gurobi, HiGHS and SCIP agree with one another and with enumeration."""

import numpy as np
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.results import SolutionStatus, TerminationCondition
from random_problems import SHAPES, as_pyomo, by_placement, random_problem
from solver_models import worst_violation

MIP_SOLVERS = ("gurobi", "highs", "scip")


def exact(**options):
    """Return the exact solver behind Pyomo's new interface, told not to raise."""
    return SolverFactory(
        "j3o.exact", raise_exception_on_nonoptimal_result=False, load_solutions=False, **options
    )


@pytest.mark.parametrize("mip_solver", MIP_SOLVERS)
@pytest.mark.parametrize("seed", range(204))
def test_all_solvers_agree_with_enumeration(seed, mip_solver):
    """On random models of every shape, with products or not, of either sense: the optimum, and its proof."""
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, SHAPES[seed % len(SHAPES)], sense=1 if rng.random() < 0.5 else -1)
    best = problem.sense * by_placement(problem)[1].max()
    model = as_pyomo(problem)
    start = "j3o" if seed % 3 else "none"
    results = exact(mip_solver=mip_solver, mip_start=start, rel_gap=0).solve(model)
    if np.isinf(best):
        expected = problem.sense * best < 0
        assert results.termination_condition == (
            TerminationCondition.provenInfeasible if expected else TerminationCondition.unbounded
        )
        assert results.incumbent_objective is None
        return
    assert results.solution_status == SolutionStatus.optimal
    slack = 1e-6 * max(1.0, abs(best))
    assert results.incumbent_objective == pytest.approx(best, abs=slack)
    assert results.objective_bound == pytest.approx(best, abs=slack)
    results.solution_loader.load_vars()
    assert worst_violation(model) <= 1e-6
