"""Pyomo's battery of models for its classic interface, `pyomo/solvers/tests`, run on j3o.

Two of its checks solve every model, with and without symbolic labels: `test_writers` compares values, stale
flags, duals and reduced costs, `test_pickle` solves clones and pickles. What should come out is in files that
Pyomo's package leaves out: here, Pyomo's own HiGHS says what should. What j3o cannot take is listed with the
reason, and each such reason is a test of its own.
"""

import os
from unittest import mock

import pyomo.environ as pyo
import pyomo.solvers.tests.models
import pyomo.solvers.tests.models.LP_unique_duals
import pytest
from peer_code import cases_of, load
from pyomo.common.collections import Bunch
from pyomo.contrib.solver.common.factory import SolverFactory as NewSolverFactory
from pyomo.core.base.piecewise import Bound, PWRepn
from pyomo.solvers.tests import solvers as lists
from pyomo.solvers.tests.models import base
from solver_models import objective_value, optimum

from pyomo_j3o.errors import AnnotationError, ModelError, UnsupportedTermError

SOLVERS = ("j3o", "j3o.exact", "j3o.baj3o")

#: Why j3o refuses a model, and what it raises. Of the models, by the beginning or the end of their names.
CANNOT = {
    "kernel": (ModelError, "a model of pyomo.kernel, which Pyomo's own HiGHS does not take either"),
    "quadratic": (UnsupportedTermError, "squares of variables"),
    "integer": (AnnotationError, "integer variables without bounds"),
}
_BY_PREFIX = {
    "QP": "quadratic",
    "QCP": "quadratic",
    "MIQP": "quadratic",
    "MIQCP": "quadratic",
    "MILP_discrete_var_bounds": "integer",
    "MILP_unbounded": "integer",
    "MILP_unused_vars": "integer",
}

CHECKS = ("test_writers", "test_pickle", "test_no_solution_behavior")


def refusal(model):
    """Return the key of `CANNOT` for a model of the battery; None for one that j3o takes."""
    if model.startswith("QP_constant_objective"):
        return None  # its squares cancel, and neither of its two models is of pyomo.kernel
    if model == "MIQCP_simple":
        return None  # all its variables are binary
    if model.endswith("_kernel"):
        return "kernel"
    return next((why for prefix, why in _BY_PREFIX.items() if model.startswith(prefix)), None)


def _solver(name):
    return Bunch(
        name=name,
        io="python",
        capabilities={"linear", "integer", "quadratic_objective", "quadratic_constraint", "sos1", "sos2"},
        import_suffixes=["dual", "rc"],
        export_suffixes=[],
        options={},
        io_options={},
        available=True,
        version=(0, 1, 0),
        demo_limits=(None, None, None),
    )


def _battery():
    cases = {(name, "python"): _solver(name) for name in SOLVERS}
    with mock.patch.dict(lists._test_solver_cases, cases, clear=True):
        return {
            check: load(
                f"pyomo.solvers.tests.checks.{check}", [(r"\n    unittest\.pytest\.mark\.solver\(.*", "")]
            )
            for check in CHECKS
        }


_modules = _battery()
#: (check, model) → the class with what applies; → [(case, method)] of what does not.
APPLIES, LEFT_OUT = {}, {}
for _check, _module in _modules.items():
    for _model, _cls in _module.driver.items():
        if refusal(_model) is None:
            _cls.__module__, _cls.__qualname__ = __name__, f"{_cls.__name__}_{_check}"
            APPLIES[_check, _model] = globals()[_cls.__qualname__] = _cls
        else:
            LEFT_OUT[_check, _model] = _cls
del _cls


@pytest.fixture(scope="module", autouse=True)
def _baselines(tmp_path_factory):
    """Let Pyomo's HiGHS write what the models should come to, and let all files go to a directory of ours."""
    directory = tmp_path_factory.mktemp("baselines")
    patched = [mock.patch.object(base, "thisDir", str(directory))]
    patched += [mock.patch.dict(module.__dict__, thisDir=str(directory)) for module in _modules.values()]
    for patch in patched:
        patch.start()
    for check, model in APPLIES:
        if check == "test_writers":
            _write_baseline(base.all_models(model)())
    yield
    for patch in patched:
        patch.stop()


def _write_baseline(case):
    if os.path.exists(case.results_file) or case.solve_should_fail:
        return
    # HiGHS does not take rows that are kept as a matrix, nor has it duals where there is a binary variable.
    suffixes = [] if "integer" in case.capabilities else ["dual", "rc"]
    with mock.patch.object(pyomo.solvers.tests.models.LP_compiled, "compile_block_linear_constraints"):
        case.generate_model(suffixes)
    case.warmstart_model()
    solved = case.model
    if any(solved.component_data_objects(pyo.SOSConstraint)):
        # HiGHS takes no special ordered sets. What it gets here is tested against enumeration elsewhere.
        solved = pyo.TransformationFactory("j3o.linearize_sos").create_using(solved)
    if "quadratic_constraint" in case.capabilities:
        solved = pyo.TransformationFactory("j3o.linearize_products").create_using(solved)
    NewSolverFactory("highs").solve(solved)
    # As in Pyomo's files: what is fixed is no solver's to give.
    held = {v.name: (v.value, v.stale or v.fixed) for v in solved.component_data_objects(pyo.Var)}
    if case.description == "LP_compiled":
        case.generate_model(suffixes)
    for variable in case.model.component_data_objects(pyo.Var):
        variable.set_value(held[variable.name][0], skip_validation=True)
    for variable in case.model.component_data_objects(pyo.Var):
        variable.stale = held[variable.name][1]
    case.save_current_solution(case.results_file, suffixes=case.test_suffixes)
    with open(case.results_file, encoding="utf-8") as file:
        text = file.read()
    with open(case.results_file, "w", encoding="utf-8") as file:
        # What a suffix that is not there stands for.
        file.write('{"suffix defaults": {"dual": [0], "rc": [0]},' + text.lstrip()[1:])


@pytest.mark.parametrize(("check", "model"), LEFT_OUT, ids=lambda part: part)
def test_what_cannot_apply_is_refused(check, model):
    """Every case that is left out raises the error that its reason says."""
    cls = LEFT_OUT[check, model]
    error, _ = CANNOT[refusal(model)]
    for case in cases_of(cls):
        with pytest.raises(error):
            getattr(cls(case), case)()


def test_a_baseline_that_is_wrong_is_noticed():
    """The comparison with the baseline is no formality: another value of one variable fails it."""
    case = base.all_models("LP_simple")()
    case.generate_model(["dual", "rc"])
    pyo.SolverFactory("j3o").solve(case.model)
    judged = {"suffixes": case.test_suffixes, "exclude_suffixes": {}}
    assert case.validate_current_solution(**judged)[0]
    case.model.y.value += 0.01
    assert not case.validate_current_solution(**judged)[0]


# --- Piecewise ------------------------------------------------------------------------------------------

#: As in Pyomo's battery: a bound on one side is of use in one sense alone. Its problem files are not in its
#: package, so the function is ours: neither convex nor concave, of four pieces (LOG needs
#: a power of two).
PIECEWISE = [
    (repn, bound, sense)
    for repn in PWRepn
    for bound in Bound
    for sense in (pyo.minimize, pyo.maximize)
    if (bound, sense) not in ((Bound.Lower, pyo.maximize), (Bound.Upper, pyo.minimize))
]


def piecewise(repn, bound, sense):
    """Return a model of two piecewise-linear functions, whose best points are known."""
    m = pyo.ConcreteModel()
    m.u, m.v = pyo.Var(bounds=(0, 4)), pyo.Var(bounds=(0, 4))
    m.f, m.g = pyo.Var(bounds=(-9, 9)), pyo.Var(bounds=(-9, 9))
    points, values = [0, 1, 2, 3, 4], [0, 3, 1, 3, 4]
    how = {"pw_pts": points, "f_rule": values, "pw_repn": repn, "pw_constr_type": bound}
    m.of_u = pyo.Piecewise(m.f, m.u, **how)
    m.of_v = pyo.Piecewise(m.g, m.v, **how)
    m.v_is = pyo.Constraint(expr=m.v == 1.5)
    sign = 1 if sense == pyo.maximize else -1
    # Maximised: f(4) - 1 or f(1) - 1/4 are 3 and 2.75. Minimised: f(0) is 0, f(2) + 1/2 is 1.5. f(1.5) is 2.
    m.goal = pyo.Objective(expr=m.f + m.g - sign * m.u / 4, sense=sense)
    return m


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("solver", ["j3o", "j3o.exact"])
@pytest.mark.parametrize(("repn", "bound", "sense"), PIECEWISE, ids=str)
def test_piecewise_functions(repn, bound, sense, solver):
    """Every representation comes to the points worked out by hand."""
    m = piecewise(repn, bound, sense)
    pyo.SolverFactory(solver).solve(m, rel_gap=1e-6)
    rows_alone = pyo.TransformationFactory("j3o.linearize_sos").create_using(m)
    assert objective_value(m) == pytest.approx(optimum(rows_alone), abs=1e-5)
    if repn in (PWRepn.BIGM_BIN, PWRepn.BIGM_SOS1):
        return  # not the function at all, as Pyomo's own warning says
    expected = (4, 4, 2, 5) if sense == pyo.maximize else (0, 0, 2, 2)
    assert (*(v.value for v in (m.u, m.f, m.g)), objective_value(m)) == pytest.approx(expected, abs=1e-5)
