"""Many solves at once give the answers of one alone; and everything pickles."""

import pickle
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import highspy
import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.util import NoSolutionError
from solver_models import classic, new, objective_value, two_servers, worst_violation

from pyomo_j3o.library import taskonomy

#: Picklable descriptions of instances, of several sizes, so that solves overlap in every phase.
INSTANCES = [(3, 1, 0), (2, 1, 1), (2, 1, 2), (3, 2, 3)] * 2


def answer(instance, lp_solver="highs", interface="new"):
    """Return what a solve of one instance says: values, objective, bound, trace."""
    clients, edges, seed = instance
    m = taskonomy(clients, edges, seed)
    if interface == "new":
        results = new(lp_solver=lp_solver, seed=1).solve(m)
        bound, trace = results.objective_bound, [record.objective for record in results.extra_info.trace]
    else:
        results = classic(lp_solver=lp_solver, seed=1).solve(m)
        bound, trace = results.problem.upper_bound, None
    values = [v.value for v in m.component_data_objects(pyo.Var)]
    return objective_value(m), bound, trace, values, worst_violation(m) <= 1e-6


@pytest.fixture(scope="module")
def alone():
    """Return the answers of one solve after the other, by interface."""
    distinct = {instance: answer(instance) for instance in set(INSTANCES)}
    return [distinct[instance] for instance in INSTANCES]


@pytest.mark.parametrize("interface", ["new", "classic"])
def test_eight_threads_at_once(alone, interface):
    """Solves of different models in threads of their own: to the last bit the answers of each alone."""
    count = {"new": 8, "classic": 4}[interface]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda instance: answer(instance, interface=interface), INSTANCES[:count]))
    for one, many in zip(alone[:count], together, strict=True):
        assert many[:2] == one[:2]
        assert many[3:] == one[3:]
        assert many[4]


def test_eight_threads_with_gurobi():
    """The same with Gurobi, one environment per solve."""
    pytest.importorskip("gurobipy")
    instance = (2, 1, 0)
    one = answer(instance, "gurobi")
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda _: answer(instance, "gurobi"), range(8)))
    assert all(many == one for many in together)


def test_one_solver_object_in_eight_threads():
    """A solver object may be shared: options of one call do not reach another that runs at the same time."""
    opt = new(lp_solver="highs")
    expected = [
        new(lp_solver="highs").solve(
            two_servers(), max_iterations=k, raise_exception_on_nonoptimal_result=False
        )
        for k in range(1, 5)
    ]

    def solve(k):
        return opt.solve(two_servers(), max_iterations=k, raise_exception_on_nonoptimal_result=False)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            together = list(pool.map(solve, [1, 2, 3, 4, 1, 2, 3, 4]))
            for one, many in zip(expected * 2, together, strict=True):
                assert many.incumbent_objective == one.incumbent_objective
                assert len(many.extra_info.trace) == len(one.extra_info.trace)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_pool(alone, method):
    """Worker processes, forked after solves in this one or started afresh: the same answers."""
    count = {"fork": 4, "spawn": 2}[method]  # a fresh process first imports everything
    with ProcessPoolExecutor(count // 2, mp_context=get_context(method)) as pool:
        together = list(pool.map(answer, INSTANCES[:count]))
    assert together == alone[:count]


def test_threads_beside_a_user_of_highs():
    """HiGHS with other settings in other threads, neither breaks j3o nor is broken by it."""
    expected = answer((2, 1, 0))
    stop = threading.Event()
    statuses = set()

    def user():
        while not stop.is_set():
            highs = highspy.Highs()
            highs.setOptionValue("output_flag", False)
            highs.setOptionValue("threads", 2)
            highs.addVar(0.0, 1.0)
            highs.changeColCost(0, -1.0)
            highs.run()
            statuses.add(highs.getModelStatus())

    worker = threading.Thread(target=user)
    worker.start()
    try:
        assert [answer((2, 1, 0)) for _ in range(2)] == [expected] * 2
    finally:
        stop.set()
        worker.join()
    assert statuses == {highspy.HighsModelStatus.kOptimal}


def test_results_pickle():
    """Results go through a pickle with trace, timing, configuration, and a loader that still loads."""
    m = two_servers()
    results = new(max_iterations=9).solve(m, tee=False, callback=print_nothing, load_solutions=False)
    copy = pickle.loads(pickle.dumps(results))
    assert copy.incumbent_objective == results.incumbent_objective
    assert copy.objective_bound == results.objective_bound
    assert copy.termination_condition == results.termination_condition
    assert copy.extra_info.trace == results.extra_info.trace
    assert copy.timing_info.wall_time == results.timing_info.wall_time
    assert copy.solver_config.max_iterations == 9
    assert copy.solver_log == results.solver_log
    values = {v.name: x for v, x in copy.solution_loader.get_vars().items()}
    assert values == {v.name: x for v, x in results.solution_loader.get_vars().items()}


def test_model_and_results_pickle_together():
    """In one pickle the loader keeps to the model that went with it."""
    m = two_servers()
    results = new().solve(m, load_solutions=False)
    other, copy = pickle.loads(pickle.dumps((m, results)))
    copy.solution_loader.load_vars()
    assert objective_value(other) == pytest.approx(results.incumbent_objective)
    assert m.x["a", 1].value is None


@pytest.mark.parametrize("make", [new, classic])
@pytest.mark.parametrize("tee", [False, True])
def test_loaded_results_pickle_whatever_the_model_holds(make, tee):
    """They leave the model behind, here one with a local rule; what they hold is read by name."""
    m, twin = two_servers(), two_servers()
    for model in (m, twin):
        model.late = pyo.Constraint([1, 2], rule=lambda m, k: m.x["a", k] <= 1)
        model.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    results = make().solve(m, tee=tee)
    with pytest.raises(AttributeError, match="local object"):
        pickle.dumps(m)
    copy = pickle.loads(pickle.dumps(results))
    loader = getattr(copy, "j3o", copy).solution_loader
    variables = list(twin.component_data_objects(pyo.Var))
    loader.load_vars(variables)
    assert [v.value for v in variables] == [v.value for v in m.component_data_objects(pyo.Var)]
    assert objective_value(twin) == pytest.approx(objective_value(m))
    rows = list(twin.component_data_objects(pyo.Constraint))
    assert list(loader.get_duals(rows).values()) == [m.dual[m.find_component(row.name)] for row in rows]
    assert len(loader.get_reduced_costs(variables)) == len(variables)
    for read in (loader.load_vars, loader.load_solution, loader.get_vars, loader.get_duals):
        with pytest.raises(NoSolutionError, match="without their model"):
            read()
    twin.other = pyo.Var()
    with pytest.raises(NoSolutionError, match="'other'"):
        loader.get_vars([twin.other])


def test_results_without_a_plan_leave_the_model_behind():
    """Those of an infeasible model with a local rule pickle, too, and still say why nothing is there."""
    m = two_servers()
    m.wrong = pyo.Constraint([1], rule=lambda m, k: m.x["a", k] >= 2)
    results = new().solve(m, load_solutions=False, raise_exception_on_nonoptimal_result=False)
    copy = pickle.loads(pickle.dumps(results))
    with pytest.raises(NoSolutionError, match="infeasible"):
        copy.solution_loader.get_vars()


def print_nothing(record):
    """Observe nothing."""


def test_results_without_a_plan_pickle():
    """So do those of an infeasible model, and of one whose constants alone violate a row."""
    for body in (lambda m: m.x["a", 1] >= 2, lambda m: pyo.inequality(1, 0 * m.x["a", 1], 2)):
        m = two_servers()
        m.wrong = pyo.Constraint(expr=body(m))
        results = new().solve(m, load_solutions=False, raise_exception_on_nonoptimal_result=False)
        assert pickle.loads(pickle.dumps(results)).termination_condition == results.termination_condition


@pytest.mark.parametrize("make", [new, classic])
@pytest.mark.parametrize("used", [False, True])
def test_the_solver_pickles(make, used):
    """A solver keeps its options through a pickle, before and after its first solve."""
    opt = make(max_iterations=3, lp_solver="highs", rel_gap=0.2)
    opt.config.seed = 5
    expected = make(max_iterations=3, lp_solver="highs", rel_gap=0.2, seed=5).solve(two_servers())
    if used:
        opt.solve(two_servers())
    copy = pickle.loads(pickle.dumps(opt))
    assert type(copy) is type(opt)
    assert (copy.config.max_iterations, copy.config.rel_gap, copy.config.seed) == (3, 0.2, 5)
    m = two_servers()
    copy.solve(m)
    assert objective_value(m) == pytest.approx(
        expected.incumbent_objective if make is new else expected.problem.lower_bound
    )
    copy.config.max_iterations = 8
    assert opt.config.max_iterations == 3
    if make is classic:
        copy.options["max_iterations"] = 4
        assert copy.config.max_iterations == 4
        assert opt.config.max_iterations == 3


def test_the_options_pickle():
    """The configuration and the classic options pickle by themselves."""
    assert pickle.loads(pickle.dumps(new(seed=3).config)).seed == 3
    assert pickle.loads(pickle.dumps(classic(seed=3).options))["seed"] == 3


def test_classic_results_pickle():
    """Classic results go through a pickle, loaded or not."""
    for load in (True, False):
        results = classic().solve(two_servers(), load_solutions=load)
        copy = pickle.loads(pickle.dumps(results))
        assert copy.solver.termination_condition == results.solver.termination_condition
        assert copy.problem.upper_bound == results.problem.upper_bound
        assert len(copy.solution) == len(results.solution)


def test_a_solved_model_pickles_and_clones():
    """A model that j3o has solved is still an ordinary model."""
    m = two_servers()
    results = new().solve(m)
    for copy in (m.clone(), pickle.loads(pickle.dumps(m))):
        assert objective_value(copy) == pytest.approx(results.incumbent_objective)
        assert new().solve(copy).incumbent_objective == pytest.approx(results.incumbent_objective)
