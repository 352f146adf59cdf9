"""`pyomo-j3o exercise`: the templates fail until they are done, and solutions pass."""

import csv
import shutil
import sys
from pathlib import Path

import pytest

from pyomo_j3o.commands import teaching
from pyomo_j3o.commands.cli import main
from pyomo_j3o.commands.exercise_tests import EXERCISES, outcomes, text_of

SOLUTIONS = Path(__file__).parent / "exercise_solutions"


@pytest.fixture
def solved(tmp_path):
    """Return a folder with all solutions."""
    shutil.copytree(SOLUTIONS, tmp_path / "ann", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "ann"


def test_new_exercises_have_everything_but_the_solution(tmp_path, capsys):
    """A page, three files and their tests: they compile, they name their tests, and none is done."""
    folder = tmp_path / "homework"
    assert main(["exercise", "new", str(folder)]) == 0
    assert "begin with" in capsys.readouterr().out
    names = {"README.md"} | {f"{test}{exercise}.py" for exercise in EXERCISES for test in ("", "test_")}
    assert {path.name for path in folder.iterdir()} == names
    for path in folder.glob("*.py"):
        compile(path.read_text(), str(path), "exec")
        assert ("TODO" in path.read_text()) == (not path.name.startswith("test_"))
    assert main(["exercise", "new", str(folder)]) == 2
    assert "it is there already" in capsys.readouterr().err


def test_the_templates_are_the_solutions_with_gaps():
    """Who fills in the TODOs has the rest already: names, arguments and docstrings are the same."""
    for exercise in EXERCISES:
        solution = (SOLUTIONS / f"{exercise}.py").read_text()
        lines = text_of(f"{exercise}.py").splitlines()
        lines = [line for line in lines if line.lstrip().startswith(("def ", "class ", '"""'))]
        assert len(lines) >= 5
        assert all(line in solution for line in lines)


def test_check_counts_what_passes(solved, tmp_path, capsys, monkeypatch):
    """One exercise solved but for one function, one that ends the process: a row each, in a file, too."""
    monkeypatch.setattr(teaching, "EXERCISES", ("onloading_step", "stopping_rule"))
    rule = solved / "stopping_rule.py"
    rule.write_text(rule.read_text().replace("def my_rule", "def another_rule"))
    (solved / "onloading_step.py").write_text("import os\nos._exit(3)\n")
    (solved / "test_stopping_rule.py").write_text("")  # what the folder says of its own tests does not count
    before = sorted(path.name for path in solved.iterdir())
    points = tmp_path / "points.csv"
    assert main(["exercise", "check", str(solved), "--csv", str(points)]) == 1
    assert "6 of 15 tests pass." in capsys.readouterr().out
    rows = list(csv.DictReader(points.open()))
    assert [(row["exercise"], row["passed"]) for row in rows] == [
        ("onloading_step", "0"),
        ("stopping_rule", "6"),
    ]
    assert "the code ended the process" in rows[0]["first_failure"]
    assert "my_rule" in rows[1]["first_failure"]
    assert sorted(path.name for path in solved.iterdir()) == before


@pytest.mark.parametrize("exercise", EXERCISES)
def test_no_template_passes(exercise, tmp_path, monkeypatch):
    """What is to be done is named by the first failure."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / f"{exercise}.py").write_text(text_of(f"{exercise}.py"))
    found = outcomes(tmp_path, exercise)
    sys.modules.pop(exercise, None)
    assert not all(one["passed"] for one in found)
    assert "TODO 1" in next(one["reason"] for one in found if not one["passed"])


def test_code_that_never_ends_is_ended(solved, capsys):
    """After the time limit, whatever it waits for."""
    for exercise in EXERCISES:
        (solved / f"{exercise}.py").write_text("while True:\n    pass\n")
    assert main(["exercise", "check", str(solved), "--time-limit", "0.2"]) == 1
    assert "not over after 0.2 s" in capsys.readouterr().out


@pytest.mark.parametrize("exercise", EXERCISES)
def test_a_solution_passes_all_tests(exercise, solved, monkeypatch):
    """The tests can be passed, and the numbers in them are right."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    found = outcomes(solved, exercise)
    sys.modules.pop(exercise, None)
    assert len(found) >= 7
    assert [one for one in found if not one["passed"]] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "nowhere"], "there is no such folder"),
        (["check", ".", "--time-limit", "0"], "give seconds above 0"),
        (["new", "no/such/place"], "give a name in a folder that is there"),
    ],
)
def test_wrong_use_is_said(arguments, message, tmp_path, monkeypatch, capsys):
    """With status 2."""
    monkeypatch.chdir(tmp_path)
    assert main(["exercise", *arguments]) == 2
    assert message in capsys.readouterr().err
