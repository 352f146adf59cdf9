"""Pyomo's tests of GDPopt's outer approximation, with `j3o.exact` as its MIP solver.

What cannot be run is listed with the reason; where the reason is an error, that is a test of its own.
"""

import pytest
from peer_code import cases_of, load
from pyomo.contrib.solver.common.util import NoFeasibleSolutionError

from pyomo_j3o.errors import UnsupportedTermError

_module = load(
    "pyomo.contrib.gdpopt.tests.test_gdpopt",
    [
        (r"mip_solver = 'glpk'", "mip_solver = 'j3o.exact'"),
        # There is no Ipopt here: what needs one is listed below.
        (r"nlp_solver = 'ipopt'", "nlp_solver = 'j3o.exact'"),
        (r"    @unittest\.pytest\.mark\.\w+\n", ""),
    ],
)
CLASSES = (_module.TestGDPoptUnit, _module.TestGDPopt, _module.TestGDPoptRIC)

#: Reason → (what is raised, cases by name).
CANNOT = {
    "nonlinear subproblems": (
        UnsupportedTermError,
        "no_objective solve_block GDP_nonlinear_objective fixed_vars_honored ignore_set_for_oa_cuts "
        "force_nlp_subproblem_with_general_integer_variables nested_disjunctions_max_binary "
        "nested_disjunctions_no_init nested_disjunctions_set_covering "
        "reverse_numeric_differentiation_in_LOA some_vars_only_in_subproblem",
    ),
    "GDPopt expects a result where a MIP is infeasible or unbounded; j3o raises, as Pyomo's own HiGHS does": (
        NoFeasibleSolutionError,
        "solve_discrete_problem_unbounded logical_constraints_on_disjuncts_nonlinear_convex "
        "unbounded_gdp_maximization unbounded_gdp_minimization",
    ),
    "needs Pyomo's examples, which its package leaves out, or BARON, or GAMS": (
        None,
        "8PP strip_pack constrained_layout custom_disjuncts auto_persistent_solver iteration_limit "
        "time_limit",
    ),
    "runs Gurobi alone": (None, "solve_nlp infeasible_or_unbounded_mip_termination"),
}
# Parts of names where Pyomo's cases are many.
_PARTS = ("8PP", "strip_pack", "constrained_layout", "custom_disjuncts")


def reason_of(case):
    """Return why a case cannot be run; None if it can."""
    for reason, (_, names) in CANNOT.items():
        for name in names.split():
            if case == f"test_{name}" or (name in _PARTS and name in case):
                return reason
    return None


APPLIES, LEFT_OUT = [], []
for _cls in CLASSES:
    for _case in cases_of(_cls):
        (LEFT_OUT if reason_of(_case) else APPLIES).append(pytest.param(_cls, _case, id=_case))
del _cls


def run(cls, case):
    """Run one case."""
    test = cls(case)
    test.setUp()
    getattr(test, case)()


@pytest.mark.parametrize(("cls", "case"), APPLIES)
def test_what_applies(cls, case):
    """Pyomo's case passes."""
    run(cls, case)


@pytest.mark.parametrize(("cls", "case"), [p for p in LEFT_OUT if CANNOT[reason_of(p.values[1])][0]])
def test_what_cannot_apply_is_refused(cls, case):
    """A case that j3o refuses raises the error that its reason says."""
    with pytest.raises(CANNOT[reason_of(case)][0]):
        run(cls, case)
