"""Options of HiGHS that a user may not set."""

from __future__ import annotations

from pyomo_j3o.lp.base import (
    SolverOptions,
    refuse_limits_of_objective,
    refuse_loose_tolerances,
    refuse_other_models,
)

#: Options that cut off plans by their objective.
_LIMITS_OF_OBJECTIVE = ("objective_bound", "objective_target")

#: Options that scale, cut, relax or replace the model.
_OTHER_MODELS = (
    "user_bound_scale",
    "user_objective_scale",
    "user_cost_scale",
    "small_matrix_value",
    "large_matrix_value",
    "infinite_bound",
    "infinite_cost",
    "solve_relaxation",
    "read_solution_file",
    "read_basis_file",
)

#: Tolerances and their defaults.
_LOOSEST = {
    "primal_feasibility_tolerance": 1e-7,
    "dual_feasibility_tolerance": 1e-7,
    "optimality_tolerance": 1e-7,
    "kkt_tolerance": 1e-7,
    "mip_feasibility_tolerance": 1e-6,
}


def refuse_options(options: SolverOptions) -> None:
    """Raise `OptionError` for what a user may not set, as answers would be taken for proven that are not."""
    refuse_limits_of_objective(options, _LIMITS_OF_OBJECTIVE, "HiGHS")
    refuse_other_models(options, _OTHER_MODELS, "HiGHS")
    refuse_loose_tolerances(options, _LOOSEST, "HiGHS")
