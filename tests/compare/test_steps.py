"""A scoreboard: onloading steps from modules and files, beside what they are measured by."""

import json
import pickle

import pytest

pytest.importorskip("rich")
pytest.importorskip("matplotlib")

from pyomo_j3o.commands.cli import main
from pyomo_j3o.compare.cli import FAULTY, FINE, MISUSED
from pyomo_j3o.compare.sources import from_suite
from pyomo_j3o.compare.steps import NamedStep, scoreboard, steps_of

STEPS = """
import numpy as np
from pyomo_j3o.alternate.onloading import greedy_onloading

def nothing(structure, prices):
    return np.zeros(structure.problem.n_onloading, dtype=bool)

def greedy(structure, prices):
    return greedy_onloading(structure, prices)

def unfinished(structure, prices):
    raise NotImplementedError("to be done")

number = 7
"""


@pytest.fixture
def homework(tmp_path, monkeypatch):
    """Return a folder, the current one, with steps in a file of its own."""
    (tmp_path / "ann.py").write_text(STEPS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_steps_are_run_beside_others_and_judged(homework, capsys):
    """The greedy step from a file does what the built-in one does; no step is worse; one failure is one."""
    names = [f"ann.py:{name}" for name in ("greedy", "nothing", "unfinished")]
    solvers = ["greedy=j3o:effort=alternation", "j3o.random"]
    command = ["compare", "--onloading", *names, "--solvers", *solvers, "--clients", "2", "--edges", "1"]
    assert main([*command, "--droppable", "--json", "runs.json", "--plot", "runs.png"]) == FAULTY
    runs = {run["solver"]: run for run in json.loads((homework / "runs.json").read_text())["runs"]}
    assert list(runs) == [*names, "greedy", "j3o.random"]
    assert runs["ann.py:greedy"]["objective"] == runs["greedy"]["objective"]
    assert runs["ann.py:nothing"]["objective"] < runs["greedy"]["objective"]
    assert runs["ann.py:unfinished"]["status"] == "failed"
    said = " ".join(capsys.readouterr().out.split())  # lines are as long as the terminal is wide
    assert "NotImplementedError: to be done (ann.py, line 12)" in said
    assert (homework / "runs.png").stat().st_size > 1000
    assert main([*command[:3], *command[5:], "--droppable"]) == FINE


def test_who_and_what_is_usual(homework):
    """The greedy step first, then the steps, j3o and six baselines; on six instances, always the same."""
    board = scoreboard(steps_of(["ann.py:greedy"]))
    assert [one.label for one in board[:3]] == ["greedy step", "ann.py:greedy", "j3o"]
    assert len(board) == 9
    first, again = (from_suite("course", [], [], False, [0]) for _ in range(2))
    assert [source.name for source in first] == [source.name for source in again]
    assert len(first) == 6
    assert not any(row.equality for row in first[0].build().demand.values())


def test_a_step_travels_by_its_name(homework):
    """It pickles for worker processes, and shows as it was written."""
    step = NamedStep("ann.py:nothing", str(homework))
    assert pickle.loads(pickle.dumps(step)) == step
    assert repr(step) == "ann.py:nothing"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ann", "names no function; write mymodule:my_step"),
        ("ann.py:", "names no function"),
        ("bob:greedy", "there is no module 'bob'"),
        ("bob.py:greedy", "there is no such file"),
        ("ann.py:greed", "ann.py has no function 'greed'"),
        ("ann.py:number", "ann.py has no function 'number'"),
        ("wrong.py:step", "SyntaxError"),
    ],
)
def test_what_is_no_step_is_refused(homework, capsys, text, message):
    """Before any run, with status 2."""
    (homework / "wrong.py").write_text("def step(:")
    assert main(["compare", "--onloading", text]) == MISUSED
    assert message in capsys.readouterr().err
