"""Runs at the same time: the same table in the same order, and a worker that dies is a failed run."""

import csv

import pytest

pytest.importorskip("rich")
pytest.importorskip("matplotlib")

from pyomo_j3o.commands.cli import main
from pyomo_j3o.compare.cli import FAULTY, FINE, MISUSED
from pyomo_j3o.core import engine

#: Ends its process where it is built for the seed 1, but in the process that compares.
MODEL = """
import multiprocessing
import os

import pyomo.environ as pyo

def create_model(seed=0):
    if seed == 1 and {dies} and multiprocessing.parent_process() is not None:
        os._exit(3)
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(3), domain=pyo.Binary)
    m.bag = pyo.Constraint(expr=3 * m.x[0] + 3 * m.x[1] + 2 * m.x[2] <= 5 + seed)
    m.worth = pyo.Objective(expr=4 * m.x[0] + 3 * m.x[1] + 2 * m.x[2], sense=pyo.maximize)
    return m
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that compares on two seeds: exit status, and rows."""

    def go(*more, solvers=("j3o", "highs", "cbc"), dies=False):
        file, table = tmp_path / "bag.py", tmp_path / "runs.csv"
        file.write_text(MODEL.format(dies=dies))
        command = ["compare", str(file), "--seeds", "0", "1", "--csv", str(table)]
        status = main([*command, "--solvers", *solvers, *more])
        with open(table, newline="", encoding="utf-8") as rows:
            return status, list(csv.DictReader(rows))

    return go


def test_same_rows_in_the_same_order(run, capsys):
    """What one run after another finds, several at a time find, too; and the output says how times arose."""
    alone = run()
    assert "share the machine" not in capsys.readouterr().out
    together = run("--workers", "2")
    assert "2 worker processes: their times share the machine" in capsys.readouterr().out
    kept = ("instance", "solver", "status", "objective", "claimed_objective")
    assert alone[0] == together[0] == FINE
    assert [[row[c] for c in kept] for row in alone[1]] == [[row[c] for c in kept] for row in together[1]]


def test_worker_that_dies_is_a_failed_run(run, monkeypatch):
    """Its row says so, and that of the other instance is as ever."""
    monkeypatch.setattr(engine, "DEATHS", 1)  # every death costs the import of Pyomo once more
    status, rows = run("--workers", "1", solvers=["highs"], dies=True)
    assert status == FAULTY
    well, dead = rows
    assert (well["seed"], well["status"]) == ("0", "proven")
    assert (dead["seed"], dead["status"]) == ("1", "failed")
    assert "died 1 times" in dead["reason"]


def test_dask_that_is_not_there_is_said(monkeypatch, capsys):
    """An address at which no scheduler answers is wrong use, in one sentence."""
    distributed = pytest.importorskip("distributed")
    client = distributed.Client
    monkeypatch.setattr(distributed, "Client", lambda address, timeout: client(address, timeout=timeout / 20))
    file = ["compare", "--clients", "2", "--dask", "tcp://127.0.0.1:9"]
    assert main(file) == MISUSED
    assert "no scheduler answers" in capsys.readouterr().err


def test_dask_runs_the_comparison(run):
    """On a local cluster, the rows are those of any engine."""
    distributed = pytest.importorskip("distributed")
    workers = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "protocol": "tcp"}
    with distributed.LocalCluster(**workers, dashboard_address=None) as cluster:
        status, rows = run("--dask", cluster.scheduler_address)
    assert status == FINE
    assert [row["objective"] for row in rows if row["solver"] == "j3o"] == ["6.0", "7.0"]


def test_both_engines_at_once_are_refused(capsys):
    """There is one place where runs go on."""
    with pytest.raises(SystemExit):
        main(["compare", "--workers", "2", "--dask", "tcp://127.0.0.1:9"])
    assert "not allowed with" in capsys.readouterr().err
