"""j3o under the `pyomo` command in an empty directory.

Four tests run the command in a process of its own, which has to import everything first. The others call
what the command calls.
"""

import json
import pathlib
import re
import subprocess
import sys

import pytest
from pyomo.scripting import pyomo_main

MODEL = """
import pyomo.environ as pyo
from pyomo_j3o import annotate

model = pyo.ConcreteModel("from the command line")
model.x = pyo.Var([1, 2, 3], domain=pyo.Binary)
model.y = pyo.Var([1, 2, 3], bounds=(0, None))
model.room = pyo.Constraint(expr=2 * model.x[1] + 3 * model.x[2] + 4 * model.x[3] <= 6)
model.link = pyo.Constraint([1, 2, 3], rule=lambda m, k: m.y[k] <= 0.7 * m.x[k])
model.demand = pyo.Constraint(expr=model.y[1] + model.y[2] + model.y[3] <= 1)
model.gain = pyo.Objective(expr=3 * model.y[1] + 4 * model.y[2] + 5 * model.y[3], sense=pyo.maximize)
annotate(model, onloading=model.x, offloading=model.y)
"""

#: x[1] and x[3]: 0.7 queries on 3 at 5, 0.3 on 1 at 3.
OPTIMUM = 4.4


@pytest.fixture
def directory(tmp_path):
    """Return a directory with the model above, and one that has no plan."""
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "hopeless.py").write_text(MODEL + "\nmodel.hopeless = pyo.Constraint(expr=model.y[1] >= 5)\n")
    return tmp_path


@pytest.fixture
def command(directory):
    """Return a function that runs the command in a process and returns (exit code, output)."""
    command = str(pathlib.Path(sys.executable).with_name("pyomo"))

    def run(*arguments):
        done = subprocess.run(
            [command, *arguments], cwd=directory, capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def pyomo(directory, monkeypatch, capfd, caplog):
    """Return a function that does what the command does in this process, and returns (exit code, output)."""
    monkeypatch.chdir(directory)

    def run(*arguments):
        try:
            found = pyomo_main.main(list(arguments))
        except SystemExit as end:
            found = end.code
        said = capfd.readouterr()
        return getattr(found, "errorcode", found), said.out + said.err + caplog.text

    return run


def test_help_lists_j3o(command):
    """The command finds the solver by itself, and says that it is available."""
    code, output = command("help", "--solvers")
    assert code == 0
    (line,) = [line for line in output.splitlines() if line.split() and line.strip(" +-*").startswith("j3o ")]
    assert "+" in line.split("j3o")[0]
    assert "onloading" in output


def test_solve_json(command, directory):
    """--json writes results.json, which is valid JSON and holds objective, bound and variables."""
    code, output = command("solve", "--solver=j3o", "--json", "model.py")
    assert code == 0, output
    assert "Incumbent" not in output  # only --stream-output shows the log
    assert "Proven optimal, objective 4.4, gap 0.00 %, bound 4.4" in output
    results = json.loads((directory / "results.json").read_text(), parse_constant=refuse)
    assert results["Problem"][0]["Lower bound"] == pytest.approx(OPTIMUM)
    assert results["Solver"][0]["Status"] == "ok"
    variables = results["Solution"][1]["Variable"]
    assert variables["y[3]"]["Value"] == pytest.approx(0.7)
    assert variables["x[3]"]["Value"] == 1


def refuse(constant):
    """Say which word of a results file no JSON parser but Python's takes."""
    raise AssertionError(f"{constant} is not JSON")


def test_results_in_another_format_and_file(pyomo, directory):
    """--results-format and --save-results are honoured."""
    code, output = pyomo("solve", "--solver=j3o", "--results-format=yaml", "--save-results=out", "model.py")
    assert code == 0, output
    text = (directory / "out").read_text()
    assert "y[3]" in text
    assert "0.7" in text


def test_solver_options_and_summary(pyomo):
    """--solver-options sets options of j3o, --summary prints the model at the plan."""
    code, output = pyomo(
        "solve",
        "--solver=j3o",
        "--solver-options=max_iterations=5 seed=1",
        "--summary",
        "--stream-output",
        "model.py",
    )
    assert code == 0, output
    assert "Solution Summary" in output or "SOLUTION" in output.upper()
    assert "Incumbent" in output
    assert "gain" in output
    assert "4.4" in output
    assert "Traceback" not in output


def test_solver_options_are_really_set(command, directory):
    """One iteration without improvement ends at the iteration limit."""
    code, output = command(
        "solve",
        "--solver=j3o",
        "--solver-options=max_iterations=1 improve=False rel_gap=0 bound=lp lp_solver=highs",
        "--json",
        "--stream-output",
        "model.py",
    )
    assert "HiGHS" in output
    results = json.loads((directory / "results.json").read_text(), parse_constant=refuse)
    assert results["Solver"][0]["Termination condition"] == "maxIterations", output
    assert re.search(r"NOT proven optimal, objective \d\S*, gap \d+\.\d\d %, bound \d", output), output
    message = results["Solver"][0]["Message"]
    assert message.startswith("NOT proven optimal. Feasible plan, objective")
    assert "x3a" not in message
    assert code in (0, 1)


def test_an_unknown_solver_option_is_told(pyomo):
    """The name of the option is in the message, and the exit code is not 0."""
    code, output = pyomo("solve", "--solver=j3o", "--solver-options=bogus=1", "model.py")
    assert code != 0
    assert "bogus" in output


def test_the_other_switches_do_no_harm(pyomo, directory):
    """Time limit (an option of the solver), log file, suffixes, kept files, timing."""
    code, output = pyomo(
        "solve",
        "--solver=j3o",
        "--solver-options=timelimit=60",
        "--logfile=log.txt",
        "--solver-suffix=dual",
        "--keepfiles",
        "--report-timing",
        "--json",
        "model.py",
    )
    assert code == 0, output
    assert "Traceback" not in output
    results = json.loads((directory / "results.json").read_text())
    assert results["Problem"][0]["Lower bound"] == pytest.approx(OPTIMUM)


def test_a_time_limit_of_nothing_is_told(pyomo):
    """The time limit reaches the solver and binds: no plan, no traceback."""
    _, output = pyomo("solve", "--solver=j3o", "--solver-options=time_limit=0", "model.py")
    assert "time" in output.lower()
    assert "time_limit" in output or "maxTimeLimit" in output
    assert "Traceback" not in output


def test_an_infeasible_model_is_told_without_a_traceback(command):
    """The user reads that the model is infeasible."""
    _, output = command("solve", "--solver=j3o", "hopeless.py")
    assert "infeasible" in output
    assert "Traceback" not in output


def test_a_configuration_file(pyomo, directory):
    """The command takes a YAML file that names j3o and its options."""
    (directory / "config.yaml").write_text(
        "model:\n  filename: model.py\n"
        "solvers:\n  - solver name: j3o\n    options:\n      max_iterations: 5\n      seed: 1\n"
    )
    code, output = pyomo("solve", "config.yaml")
    assert code == 0, output
    assert "Traceback" not in output


def test_other_solvers_are_none_the_worse(pyomo):
    """The command with another solver works as before, on the annotated model."""
    code, output = pyomo("solve", "--solver=highs", "--json", "model.py")
    assert code == 0, output
