"""Bad input: one error of the right class that names the component and the remedy; nothing is touched."""

import importlib.util
import math
import re
import sys

import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.results import SolutionStatus, TerminationCondition
from pyomo.contrib.solver.common.util import NoFeasibleSolutionError, NoOptimalSolutionError
from solver_models import classic, infeasible, knapsack, new, snapshot, two_servers, with_marks

import pyomo_j3o
from pyomo_j3o import annotate
from pyomo_j3o.errors import (
    AnnotationError,
    BackendError,
    J3OError,
    ModelError,
    OptionError,
    UnsupportedTermError,
)

QUIET = {"load_solutions": False, "raise_exception_on_nonoptimal_result": False}
INTERFACES = pytest.mark.parametrize("make", [new, classic], ids=["new", "classic"])


def unannotated(m):
    """Spoil the model: unannotated."""
    m.stray = pyo.Var(bounds=(0, 1))
    m.uses = pyo.Constraint(expr=m.stray + m.y[1, "a", 1] <= 1)


def unannotated_in_objective(m):
    """Spoil the model: unannotated in objective."""
    m.stray = pyo.Var([1, 2], bounds=(0, 1))
    m.gain.set_value(m.gain.expr + m.stray[2])


def misspelt_mark(m):
    """Spoil the model: misspelt mark."""
    m.j3o_role[m.y] = "ofloading"


def contradiction_by_block(m):
    """Spoil the model: contradiction by block."""
    m.block = pyo.Block()
    m.block.z = pyo.Var(domain=pyo.Binary)
    m.j3o_role[m.block] = "offloading"
    m.j3o_role[m.block.z] = "onloading"
    m.uses = pyo.Constraint(expr=m.block.z <= 1)


def contradiction_by_member(m):
    """Spoil the model: contradiction by member."""
    m.j3o_role[m.x["a", 1]] = "offloading"


def onloading_not_binary(m):
    """Spoil the model: onloading not binary."""
    m.z = pyo.Var(bounds=(0, 1))
    annotate(m, onloading=m.z)
    m.uses = pyo.Constraint(expr=m.z + m.x["a", 1] <= 1)


def onloading_integer(m):
    """Spoil the model: an onloading integer without an upper bound."""
    m.z = pyo.Var(bounds=(0, None), domain=pyo.Integers)
    annotate(m, onloading=m.z)
    m.uses = pyo.Constraint(expr=m.z + m.x["a", 1] <= 1)


def offloading_integer(m):
    """Spoil the model: offloading integer."""
    m.z = pyo.Var(bounds=(0, 3), domain=pyo.NonNegativeIntegers)
    annotate(m, offloading=m.z)
    m.uses = pyo.Constraint(expr=m.z + m.x["a", 1] <= 1)


def offloading_binary(m):
    """Spoil the model: offloading binary."""
    m.z = pyo.Var(domain=pyo.Binary)
    annotate(m, offloading=m.z)
    m.uses = pyo.Constraint(expr=m.z + m.x["a", 1] <= 1)


def no_objective(m):
    """Spoil the model: no objective."""
    m.gain.deactivate()


def two_objectives(m):
    """Spoil the model: two objectives."""
    m.other = pyo.Objective(expr=m.y[1, "a", 1])


def square(m):
    """Spoil the model: square."""
    m.bent = pyo.Constraint(expr=m.y[1, "a", 1] ** 2 <= 0.5)


def product_of_offloading(m):
    """Spoil the model: product of offloading."""
    m.bent = pyo.Constraint(expr=m.y[1, "a", 1] * m.y[2, "a", 1] <= 0.5)


def sine(m):
    """Spoil the model: sine."""
    m.bent = pyo.Constraint(expr=pyo.sin(m.y[1, "a", 1]) <= 0.5)


def triple(m):
    """Spoil the model: triple."""
    m.bent = pyo.Constraint(expr=m.x["a", 1] * m.x["b", 1] * m.y[1, "a", 1] <= 0.5)


def unbounded_factor(m):
    """Spoil the model: unbounded factor."""
    m.z = pyo.Var(bounds=(0, None))
    annotate(m, offloading=m.z)
    m.gain.set_value(m.gain.expr - m.x["a", 1] * m.z)


def nan_coefficient(m):
    """Spoil the model: nan coefficient."""
    m.odd = pyo.Constraint(expr=math.nan * m.x["a", 1] + m.x["b", 1] <= 1)


def infinite_coefficient(m):
    """Spoil the model: infinite coefficient."""
    m.odd = pyo.Constraint(expr=math.inf * m.x["a", 1] + m.x["b", 1] <= 1)


def nan_param(m):
    """Spoil the model: nan param."""
    m.speed = math.nan


def infinite_right_side(m):
    """Spoil the model: infinite right side."""
    m.odd = pyo.Constraint(expr=m.x["a", 1] + m.x["b", 1] >= math.inf)


def nan_in_objective(m):
    """Spoil the model: nan in objective."""
    m.gain.set_value(m.gain.expr + math.nan * m.y[1, "a", 1])


def fixed_without_value(m):
    """Spoil the model: fixed without value."""
    m.y[1, "a", 1].fix(None, skip_validation=True)


def unset_param(m):
    """Spoil the model: unset param."""
    m.p = pyo.Param(mutable=True)
    m.odd = pyo.Constraint(expr=m.p * m.x["a", 1] <= 1)


def active_disjunction(m):
    """Spoil the model: active disjunction."""
    from pyomo.gdp import Disjunction

    m.either = Disjunction(expr=[[m.x["a", 1] >= 1], [m.x["b", 1] >= 1]])


#: What is done to a good model → (error, what the message names, a word of the remedy).
CASES = {
    unannotated: (AnnotationError, "stray", "annotate"),
    unannotated_in_objective: (AnnotationError, "stray", "annotate"),
    misspelt_mark: (AnnotationError, "'y'", "write"),
    contradiction_by_block: (AnnotationError, "block", "take"),
    contradiction_by_member: (AnnotationError, r"x\[a,1\]", "take"),
    onloading_not_binary: (AnnotationError, "'z'", "Binary|binary"),
    onloading_integer: (AnnotationError, "'z'", "setub"),
    offloading_integer: (AnnotationError, "'z'", "continuous|Reals"),
    offloading_binary: (AnnotationError, "'z'", "onloading|continuous|Reals"),
    no_objective: (ModelError, "two servers", "add|activate"),
    two_objectives: (ModelError, "'gain', 'other'", "deactivate"),
    square: (UnsupportedTermError, "bent.*y", "linear"),
    product_of_offloading: (UnsupportedTermError, "bent.*y", "linear"),
    sine: (UnsupportedTermError, "bent.*sin", "linear"),
    triple: (UnsupportedTermError, "bent", "linear"),
    unbounded_factor: (ModelError, "'z'", "setub"),
    nan_coefficient: (ModelError, "odd", "nan"),
    infinite_coefficient: (ModelError, "odd", "inf"),
    nan_param: (ModelError, "speed", "give|finite"),
    infinite_right_side: (ModelError, "odd", "inf|deactivate|mend"),
    nan_in_objective: (ModelError, "gain", "nan"),
    fixed_without_value: (ModelError, r"y\[1,a,1\]", "fix"),
    unset_param: (ModelError, "'p'|odd", "give|value|mend"),
    active_disjunction: (ModelError, "either", "gdp.bigm"),
}


@INTERFACES
@pytest.mark.parametrize("spoil", CASES, ids=lambda spoil: spoil.__name__)
def test_a_bad_model_is_one_clear_error(spoil, make):
    """The error has the right class, names the component, says what to do; the model stays as it was."""
    error, names, remedy = CASES[spoil]
    m = with_marks(two_servers())
    spoil(m)
    m.solution_is_untouched = pyo.Var(initialize=3)
    before = snapshot(m)
    for options in ({}, QUIET):
        with pytest.raises(error, match=f"(?s){names}") as raised:
            make().solve(m, **options)
        assert isinstance(raised.value, J3OError)
        assert isinstance(raised.value, ValueError)
        assert re.search(remedy, str(raised.value)), str(raised.value)
        assert "\n" not in str(raised.value)
        assert len(str(raised.value)) < 500
    assert repr(snapshot(m)) == repr(before)


@pytest.mark.parametrize("spoil", CASES, ids=lambda spoil: spoil.__name__)
def test_a_solver_that_raised_solves_the_next_model(spoil):
    """An error leaves nothing behind in the solver object."""
    opt, m = new(), two_servers()
    spoil(m)
    with pytest.raises(CASES[spoil][0]):
        opt.solve(m, max_iterations=1)
    expected = new().solve(two_servers(), improve=False)
    assert opt.solve(two_servers(), improve=False).incumbent_objective == expected.incumbent_objective


def test_a_mark_on_what_cannot_carry_it():
    """Params, constraints, strings, foreign variables: annotate() names them, and marks nothing."""
    m = two_servers()
    foreign = two_servers()
    before = snapshot(m)
    for thing, name in (
        (m.speed, "speed"),
        (m.compute, "compute"),
        ("y", "y"),
        (3, "3"),
        (foreign.x, "x"),
        (None, "None"),
    ):
        with pytest.raises(AnnotationError, match=name):
            annotate(m, onloading=[thing])
    with pytest.raises(AnnotationError, match=r"'y'"):
        annotate(m, onloading=m.y)
    m.z = pyo.Var()
    with pytest.raises(AnnotationError, match=r"'z'.*both"):
        annotate(m, onloading=m.z, offloading=m.z)
    m.del_component("z")
    assert snapshot(m) == before


@INTERFACES
def test_an_unbounded_model(make):
    """Said to be unbounded, with a remedy; loading and raising are honoured, values stay."""
    m = with_marks(two_servers())
    for row in (m.demand, m.compute, m.link):
        row.deactivate()
    before = snapshot(m)
    with pytest.raises(NoOptimalSolutionError, match=r"unbounded.*bound"):
        make().solve(m, raise_exception_on_nonoptimal_result=True)
    with pytest.raises(NoFeasibleSolutionError, match=r"load_solutions=False"):
        make().solve(m, raise_exception_on_nonoptimal_result=False)
    results = make().solve(m, **QUIET)
    condition = results.termination_condition if make is new else results.solver.termination_condition
    assert str(condition.name) == "unbounded"
    assert snapshot(m) == before


@INTERFACES
@pytest.mark.parametrize("x_alone", [True, False])
def test_an_infeasible_model(make, x_alone):
    """Proven infeasible, with a remedy; loading and raising are honoured, values stay."""
    m = with_marks(infeasible(x_alone))
    before = snapshot(m)
    with pytest.raises(NoOptimalSolutionError, match=r"(?s)two servers.*infeasible.*explain_infeasibility"):
        make().solve(m, raise_exception_on_nonoptimal_result=True)
    with pytest.raises(NoFeasibleSolutionError, match=r"load_solutions=False"):
        make().solve(m, raise_exception_on_nonoptimal_result=False)
    make().solve(m, **QUIET)
    assert snapshot(m) == before


@INTERFACES
def test_a_trivially_infeasible_row(make):
    """A row violated by constants is infeasible as any other; the message names it and the fixed state."""
    m = two_servers()
    m.hopeless = pyo.Constraint(expr=m.x["a", 1] + m.x["b", 1] >= 1)
    m.x["a", 1].fix(0)
    m.x["b", 1].fix(0)
    m = with_marks(m)
    before = snapshot(m)
    with pytest.raises(NoOptimalSolutionError, match=r"hopeless.*unfix"):
        make().solve(m, raise_exception_on_nonoptimal_result=True)
    with pytest.raises(NoFeasibleSolutionError, match=r"hopeless"):
        make().solve(m, raise_exception_on_nonoptimal_result=False)
    results = make().solve(m, **QUIET)
    assert snapshot(m) == before
    if make is new:
        assert results.termination_condition == TerminationCondition.provenInfeasible
        assert results.solution_status == SolutionStatus.noSolution
        assert results.objective_bound in (None, -math.inf)
        assert "hopeless" in results.extra_info.message


def test_messages_are_whole_sentences():
    """What is appended to a message starts after a full stop."""
    m = two_servers()
    m.hopeless = pyo.Constraint(expr=0 * m.x["a", 1] >= 1)
    for options in ({}, {"raise_exception_on_nonoptimal_result": False}):
        with pytest.raises((NoOptimalSolutionError, NoFeasibleSolutionError), match=r"\. (Set|There)"):
            new().solve(m, **options)


def test_crossing_bounds():
    """A variable whose bounds cross makes the model infeasible, and is named."""
    m = two_servers()
    m.y[1, "a", 1].setub(-1)
    with pytest.raises(NoOptimalSolutionError, match=r"y\[1,a,1\]"):
        new().solve(m)
    assert m.y[1, "a", 1].value is None


@INTERFACES
def test_an_empty_model(make):
    """A model with nothing in it has no objective: an error that says so."""
    with pytest.raises(ModelError, match=r"'nothing'.*objective.*add"):
        make().solve(pyo.ConcreteModel("nothing"))


@INTERFACES
def test_what_is_no_model(make):
    """None, a Var, an AbstractModel: an error that says what to pass."""
    with pytest.raises(ModelError, match=r"ConcreteModel"):
        make().solve(None)
    with pytest.raises(ModelError, match=r"ConcreteModel"):
        make().solve(two_servers().x)
    with pytest.raises(ModelError, match=r"create_instance"):
        make().solve(pyo.AbstractModel())


@INTERFACES
def test_time_limit_zero(make):
    """Nothing is found in no time: reported as the time limit, with the remedy, nothing touched."""
    m = with_marks(two_servers())
    before = snapshot(m)
    with pytest.raises(NoOptimalSolutionError, match=r"raise time_limit"):
        make().solve(m, time_limit=0, raise_exception_on_nonoptimal_result=True)
    with pytest.raises(NoFeasibleSolutionError, match=r"raise time_limit"):
        make().solve(m, time_limit=0, raise_exception_on_nonoptimal_result=False)
    results = make().solve(m, time_limit=0, **QUIET)
    condition = results.termination_condition if make is new else results.solver.termination_condition
    assert condition.name == "maxTimeLimit"
    assert snapshot(m) == before


BAD_VALUES = [
    ("algorithm", "magic"),
    ("lp_solver", "cplex"),
    ("bound", "tight"),
    ("max_iterations", 0),
    ("max_iterations", 2.5),
    ("max_iterations", None),
    ("max_iterations", "many"),
    ("max_iterations", math.nan),
    ("rel_gap", -0.1),
    ("rel_gap", math.nan),
    ("rel_gap", None),
    ("time_limit", -1),
    ("time_limit", "soon"),
    ("time_limit", math.nan),
    ("threads", -1),
    ("threads", 1.5),
    ("seed", -1),
    ("seed", None),
    ("improve", "perhaps"),
    ("warm_start", 7),
    ("strict", None),
    ("load_solutions", "often"),
    ("onloading_step", 3),
    ("stop", "now"),
    ("callback", 1),
    ("tee", 3),
    ("solver_options", 3),
]


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_a_bad_value_is_an_error_where_it_is_given(name, value):
    """Constructor, config, call: OptionError that names the option; the model is not looked at."""
    m = with_marks(two_servers())
    before = snapshot(m)
    with pytest.raises(OptionError, match=name):
        new(**{name: value})
    with pytest.raises(OptionError, match=name):
        new().solve(m, **{name: value})
    opt = new()
    # The dictionary of solver_options is Pyomo's own, and so is its error.
    with pytest.raises(ValueError if name == "solver_options" else OptionError, match=name):
        setattr(opt.config, name, value)
    with pytest.raises(OptionError, match=name):
        classic().options[name] = value
    assert snapshot(m) == before
    if name != "solver_options":
        assert opt.config[name] == new().config[name]


def test_the_error_of_a_bad_value_lists_the_good_ones():
    """The message is one line and says what can be given."""
    with pytest.raises(OptionError, match=r"'auto', 'highs', 'gurobi'") as raised:
        new(lp_solver="cplex")
    assert "\n" not in str(raised.value)
    with pytest.raises(OptionError, match=r"at least 1"):
        new(max_iterations=0)


@pytest.mark.parametrize("name", ["bogus", "max_iteration", "mipgap"])
def test_an_unknown_option_is_an_error_where_it_is_given(name):
    """Constructor, call, classic options: OptionError with the known names and a hint at solver_options."""
    m = with_marks(two_servers())
    before = snapshot(m)
    for give in (
        lambda: new(**{name: 1}),
        lambda: new().solve(m, **{name: 1}),
        lambda: classic().solve(m, **{name: 1}),
        lambda: classic().solve(m, options={name: 1}),
        lambda: classic().options.__setitem__(name, 1),
        lambda: classic().options.update({name: 1}),
        lambda: setattr(classic().options, name, 1),
        lambda: classic().options[name],
    ):
        with pytest.raises(OptionError, match=f"'{name}' is unknown.*max_iterations.*solver_options"):
            give()
    with pytest.raises((OptionError, ValueError, AttributeError), match=name):
        setattr(new().config, name, 1)
    assert snapshot(m) == before


@INTERFACES
def test_gurobi_without_gurobipy_or_licence(make, monkeypatch):
    """Asked for by name, a Gurobi that cannot be used is an error that says why and what to do."""
    m = knapsack(2001)
    for variable in m.x.values():
        variable.value = 1
    if importlib.util.find_spec("gurobipy"):
        with pytest.raises(BackendError, match=r"2000.*highs"):
            make().solve(m, lp_solver="gurobi")
    monkeypatch.setitem(sys.modules, "gurobipy", None)
    with pytest.raises(BackendError, match=r"gurobipy is not installed.*highs.*pip install"):
        make().solve(m, lp_solver="gurobi")
    assert all(v.value == 1 for v in m.x.values())


@pytest.mark.parametrize("lp_solver", ["highs", "gurobi"])
def test_an_unknown_solver_option_names_the_solver(lp_solver):
    """Options of the LP solver are checked by it, before anything is done."""
    if lp_solver == "gurobi":
        pytest.importorskip("gurobipy")
    m = with_marks(two_servers())
    before = snapshot(m)
    with pytest.raises(OptionError, match=r"(?i)" + lp_solver + ".*no_such"):
        new().solve(m, lp_solver=lp_solver, solver_options={"no_such": 1})
    assert snapshot(m) == before


def test_strict_refuses_a_model_without_marks():
    """The message says what to call."""
    m = two_servers()
    m.del_component("j3o_role")
    with pytest.raises(pyomo_j3o.errors.AnnotationError, match=r"annotate"):
        new(strict=True).solve(m)


@pytest.mark.parametrize(
    ("solver", "options"),
    [
        ("highs", {"objective_bound": -5.0}),
        ("highs", {"objective_target": 5.0}),
        ("gurobi", {"cutoff": -5.0}),
        ("gurobi", {"BestObjStop": 5.0}),
        ("scip", {"limits/primal": 5.0}),
    ],
)
def test_an_option_that_cuts_off_plans_is_refused(solver, options):
    """Such a number is in units that nobody sees; what is left would be called infeasible, or optimal."""
    if solver != "highs":
        pytest.importorskip({"gurobi": "gurobipy", "scip": "pyscipopt"}[solver])
    name = next(iter(options))
    with pytest.raises(OptionError, match=f"{name}=.*cut off plans by an objective.*rel_gap"):
        new(algorithm="exact", mip_solver=solver).solve(two_servers(), solver_options=options)


@pytest.mark.parametrize("algorithm", ["j3o", "exact"])
@pytest.mark.parametrize(
    ("solver", "name", "value", "why"),
    [
        ("highs", "user_bound_scale", -20, "what HiGHS reads"),
        ("highs", "user_objective_scale", -30, "what HiGHS reads"),
        ("highs", "small_matrix_value", 1.0, "what HiGHS reads"),
        ("highs", "large_matrix_value", 1.0, "what HiGHS reads"),
        ("highs", "infinite_bound", 1e15, "what HiGHS reads"),
        ("highs", "infinite_cost", 1e15, "what HiGHS reads"),
        ("highs", "solve_relaxation", True, "what HiGHS reads"),
        ("highs", "read_solution_file", "/nowhere", "what HiGHS reads"),
        ("highs", "read_basis_file", "/nowhere", "what HiGHS reads"),
        ("highs", "mip_feasibility_tolerance", 0.3, "looser tolerance than HiGHS's own of 1e-06"),
        ("highs", "primal_feasibility_tolerance", "0.1", "looser tolerance than HiGHS's own of 1e-07"),
        ("highs", "dual_feasibility_tolerance", float("nan"), "looser tolerance than HiGHS's own of 1e-07"),
        ("highs", "kkt_tolerance", 0.1, "looser tolerance than HiGHS's own of 1e-07"),
        ("gurobi", "ObjScale", -1, "what Gurobi reads"),
        ("gurobi", "FeasibilityTol", 1e-2, "looser tolerance than Gurobi's own of 1e-06"),
        ("gurobi", "intfeastol", 0.1, "looser tolerance than Gurobi's own of 1e-05"),
        ("gurobi", "OptimalityTol", 1e-2, "looser tolerance than Gurobi's own of 1e-06"),
        ("scip", "numerics/infinity", 1e10, "what SCIP reads"),
        ("scip", "numerics/feastol", 1e-3, "looser tolerance than SCIP's own of 1e-06"),
        ("scip", "numerics/epsilon", 1e-3, "looser tolerance than SCIP's own of 1e-09"),
    ],
)
def test_an_option_that_changes_the_model_or_loosens_a_proof_is_refused(solver, name, value, why, algorithm):
    """What a solver proves of another model, or loosely, is no proof; a sentence names option and remedy."""
    if solver != "highs":
        pytest.importorskip({"gurobi": "gurobipy", "scip": "pyscipopt"}[solver])
    if algorithm == "j3o" and solver == "scip":
        pytest.skip("SCIP gets options with algorithm='exact' only")
    chosen = {"mip_solver": solver} if algorithm == "exact" else {"lp_solver": solver}
    with pytest.raises(OptionError, match=f"{name}=.*{why}.*leave it out"):
        new(algorithm=algorithm, **chosen).solve(two_servers(), solver_options={name: value})


@pytest.mark.parametrize(
    ("solver", "options"),
    [
        ("highs", {"mip_feasibility_tolerance": 1e-9, "primal_feasibility_tolerance": 1e-9}),
        ("gurobi", {"FeasibilityTol": 1e-9, "OptimalityTol": 1e-6}),
        ("scip", {"numerics/feastol": 1e-9}),
    ],
)
def test_a_tolerance_that_is_no_looser_is_taken(solver, options):
    """Whoever wants a solver to be stricter may say so."""
    if solver != "highs":
        pytest.importorskip({"gurobi": "gurobipy", "scip": "pyscipopt"}[solver])
    found = new(algorithm="exact", mip_solver=solver).solve(two_servers(), solver_options=options)
    assert found.incumbent_objective == pytest.approx(new().solve(two_servers()).incumbent_objective)


def test_a_start_that_is_no_number_is_named():
    """A string that a variable holds is an error if it is to start from, and none otherwise."""
    m = two_servers()
    m.x["b", 1].set_value("a", skip_validation=True)
    with pytest.raises(ModelError, match=r"'x\[b,1\]' holds 'a'.*give it one"):
        new().solve(m, warm_start=True)
    new().solve(m)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("algorithm", ["j3o", "exact"])
@pytest.mark.parametrize(
    ("coefficient", "side"), [(1e308, 1e308), (1.0, 1e308), (1.0, -1e308), (1.0, 5e-324), (5e-324, 1.0)]
)
def test_a_row_beyond_what_can_be_computed_is_refused(coefficient, side, algorithm):
    """One sentence names the constraint, the figure and the remedy, and no warning of numpy leaks."""
    m = two_servers()
    m.odd = pyo.Constraint(expr=coefficient * m.y[1, "a", 1] + 3 * m.x["a", 1] <= side)
    with pytest.raises(ModelError, match=r"Constraint 'odd' holds a figure of .*write it in other units"):
        new(algorithm=algorithm).solve(m)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("size", [1e-290, 1e-100, 1e25, 1e60])
def test_a_row_in_any_other_unit_is_solved(size):
    """The plan is that of ordinary numbers, whatever solver looks at the row."""
    ordinary = new().solve(two_servers()).incumbent_objective
    for options in ({}, {"lp_solver": "highs", "mip_solver": "highs"}, {"algorithm": "exact"}):
        m = two_servers()
        m.odd = pyo.Constraint(expr=size * m.y[1, "a", 1] + 2 * size * m.x["a", 1] <= 5 * size)
        assert new(**options).solve(m).incumbent_objective == pytest.approx(ordinary)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_an_objective_beyond_numbers_is_refused():
    """No sum of its terms is a number; the sentence names the objective and says what to do."""
    m = two_servers()
    m.gain.set_value(1e308 * m.x["a", 1] + 1e308 * m.x["b", 1] + m.y[1, "a", 1])
    with pytest.raises(ModelError, match=r"Objective 'gain' can grow beyond.*larger unit"):
        new().solve(m)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("name", ["j3o", "exact"])
@pytest.mark.parametrize("size", [1e-310, 1e-200, 1e200])
def test_an_objective_of_any_other_size_is_solved(size, name):
    """The plan is that of ordinary numbers, and no warning leaks."""
    m = knapsack()
    ordinary = new(algorithm=name).solve(m).incumbent_objective
    objective = next(m.component_data_objects(pyo.Objective, active=True))
    objective.set_value(size * objective.expr)
    assert new(algorithm=name).solve(m).incumbent_objective == pytest.approx(size * ordinary, rel=1e-6, abs=0)
