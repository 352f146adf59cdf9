"""`pyomo-j3o compare`: what solvers say is checked, and whatever a solver does, there is a table."""

from __future__ import annotations

import contextlib
import csv
import importlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.base import Availability, SolverBase
from pyomo.contrib.solver.common.config import BranchAndBoundConfig
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.results import Results, TerminationCondition
from pyomo.opt import SolverFactory as ClassicFactory

pytest.importorskip("rich")
pytest.importorskip("matplotlib")

from pyomo_j3o.commands.cli import main
from pyomo_j3o.compare.checking import Referee
from pyomo_j3o.compare.cli import FAULTY, FINE, INTERRUPTED, MISUSED
from pyomo_j3o.compare.contestants import label_apart
from pyomo_j3o.compare.grammar import contestants_of
from pyomo_j3o.compare.records import CompareError, Instance, Run, Settings
from pyomo_j3o.compare.sources import from_file, from_suite
from pyomo_j3o.compare.verdicts import judge, summarise
from pyomo_j3o.lp import gurobi

ROOT = Path(__file__).parents[2]

#: Items worth 4, 3, 2 of weights 3, 3, 2 in a bag for 5; y <= x[0] earns 1 more. Items 0 and 2, with y: 7.
MODEL = """
import pyomo.environ as pyo

def create_model(seed=0):
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(3), domain=pyo.Binary)
    m.y = pyo.Var(bounds=(0, 1))
    m.bag = pyo.Constraint(expr=3 * m.x[0] + 3 * m.x[1] + 2 * m.x[2] <= 5)
    m.link = pyo.Constraint(expr=m.y <= m.x[0])
    m.worth = pyo.Objective(expr=4 * m.x[0] + 3 * m.x[1] + 2 * m.x[2] + m.y, sense=pyo.maximize)
    return m
"""


def bag() -> pyo.ConcreteModel:
    """Return the model of the file."""
    names: dict = {}
    exec(MODEL, names)
    return names["create_model"]()


class Puppet(SolverBase):
    """Says what a test wants it to say about the bag; of other models, that it found nothing."""

    CONFIG = BranchAndBoundConfig()
    there = True

    def available(self):
        """Say whether it is installed."""
        return Availability.FullLicense if self.there else Availability.NotFound

    def version(self):
        """Return a made-up version."""
        return (1, 2)

    def answer(self):
        """Return x, y, the objective and the bound."""
        return (1, 0, 1), 1, 7.0, 7.0

    def solve(self, model, **options):
        """Return the answer as Pyomo's results."""
        results = Results()
        results.termination_condition = TerminationCondition.convergenceCriteriaSatisfied
        if not hasattr(model, "bag"):
            return results
        x, y, results.incumbent_objective, results.objective_bound = self.answer()
        if x is None:
            results.termination_condition = TerminationCondition.provenInfeasible
            return results

        class Loader:
            def load_vars(self):
                for k, value in enumerate(x):
                    model.x[k].set_value(value, skip_validation=True)
                model.y.set_value(y, skip_validation=True)

        results.solution_loader = Loader()
        return results


def _raise(error):
    raise error


def _swallow_ctrl_c():
    with contextlib.suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    return (0, 1, 1), 0, 5.0, 9.0


PUPPETS = {
    "right": None,
    "worse": lambda: ((0, 1, 1), 0, 5.0, 9.0),
    "too-heavy": lambda: ((1, 1, 1), 1, 10.0, 10.0),
    "half": lambda: ((1, 2 / 3, 0), 1, 7.0, 7.0),
    "outside": lambda: ((1, 0, 1), -1, 5.0, 9.0),
    "valueless": lambda: ((1, 0, None), 1, 7.0, 7.0),
    "boastful": lambda: ((0, 1, 1), 0, 7.0, 9.0),
    "low-bound": lambda: ((0, 1, 1), 0, 5.0, 6.0),
    "below-itself": lambda: ((1, 0, 1), 1, 7.0, 6.5),
    "denies": lambda: (None, None, None, None),
    "crashes": lambda: _raise(RuntimeError("out of order")),
    "unlicensed": lambda: _raise(RuntimeError("Model too large for size-limited license")),
    "ctrl-c": lambda: _raise(KeyboardInterrupt),
    "swallows": _swallow_ctrl_c,
    "away": None,
}


@pytest.fixture(autouse=True)
def puppets():
    """Register the puppets with Pyomo, and take them away after the test."""
    for name, answer in PUPPETS.items():
        own = {"there": name != "away"}
        if answer is not None:
            own["answer"] = staticmethod(answer)
        SolverFactory.register(name, doc="a puppet")(type("Puppet_" + name, (Puppet,), own))
    yield
    for name in PUPPETS:
        SolverFactory.unregister(name)
        ClassicFactory.unregister(name)


@pytest.fixture
def bag_file(tmp_path):
    """Return a file with the model."""
    path = tmp_path / "bag.py"
    path.write_text(MODEL)
    return path


@pytest.fixture
def run(bag_file, tmp_path, capsys):
    """Return a function that compares solvers on the bag: exit status, rows by solver, what was printed."""

    def go(*solvers, more=()):
        table = tmp_path / "runs.csv"
        status = main(["compare", str(bag_file), "--csv", str(table), "--solvers", *solvers, *more])
        with open(table, newline="", encoding="utf-8") as file:
            rows = {row["solver"]: row for row in csv.DictReader(file)}
        return status, rows, capsys.readouterr().out

    return go


@pytest.mark.parametrize(
    ("solver", "status", "complaint"),
    [
        ("too-heavy", "WRONG PLAN", "constraint 'bag' is missed by 3"),
        ("half", "WRONG PLAN", "'x[1]' is 0.66666667, which is no whole number"),
        ("outside", "WRONG PLAN", "'y' is -1, outside its bounds"),
        ("valueless", "WRONG PLAN", "has a variable without a value"),
        ("boastful", "WRONG PLAN", "its objective is 5, not 7 as the solver says"),
        ("low-bound", "WRONG BOUND", "Its bound 6 is contradicted by the verified plan of right, 7."),
        ("below-itself", "WRONG BOUND", "Its bound 6.5 is contradicted by"),
        ("denies", "WRONG BOUND", "It says that there is no plan, but the verified plan of right, 7,"),
        ("crashes", "failed", "It failed: out of order"),
    ],
)
def test_a_fault_is_marked_and_gives_a_status(run, solver, status, complaint):
    """What is wrong is in the table, in a sentence, and in the exit status; the others are none the worse."""
    code, rows, printed = run(solver, "right")
    assert code == FAULTY
    assert rows[solver]["status"] == status
    assert complaint in rows[solver]["faults"]
    assert f"bag, {solver}: " in printed
    assert rows["right"]["status"] == "proven"
    assert rows["right"]["faults"] == ""
    assert float(rows["right"]["best_plan"]) == 7


def test_a_plan_counts_by_what_it_is_worth(run):
    """Objective, gap and ratio come from the checked plan; a worse plan with a true bound is no fault."""
    code, rows, printed = run("worse", "right")
    assert code == FINE
    assert "Every plan passed the check" in printed
    row = rows["worse"]
    assert (row["status"], float(row["objective"]), float(row["bound"])) == ("feasible", 5, 9)
    assert float(row["gap"]) == pytest.approx(4 / 5)
    assert float(row["ratio"]) == pytest.approx(5 / 7)


@pytest.mark.parametrize(("solver", "status"), [("away", "absent"), ("unlicensed", "licence")])
def test_who_cannot_take_part_is_shown_and_counts_for_nothing(run, solver, status):
    """An absent solver and a licence too small are no faults."""
    code, rows, printed = run(solver, "right")
    assert code == FINE
    assert rows[solver]["status"] == status
    assert rows[solver]["objective"] == ""
    assert solver in printed
    assert rows["right"]["status"] == "proven"


def test_a_solver_that_nobody_knows_is_refused(bag_file, tmp_path, capsys):
    """A name that neither Pyomo nor this machine has ends the command before any run."""
    table = tmp_path / "runs.csv"
    for name, message in (
        ("higs", "did you mean highs?"),
        ("no-such-solver", "'pyomo help --solvers' lists"),
    ):
        command = ["compare", str(bag_file), "--solvers", "right", name, "--csv", str(table)]
        assert main(command) == MISUSED
        assert f"solver '{name}' is unknown to Pyomo; {message}" in capsys.readouterr().err
    assert not table.exists()


@pytest.mark.parametrize("solver", ["ctrl-c", "swallows"])
def test_ctrl_c_prints_what_was_found(run, solver):
    """Ctrl-C ends the comparison, also where a solver swallows it; the table so far is printed and saved."""
    before = signal.getsignal(signal.SIGINT)
    code, rows, printed = run("worse", solver, "right")
    assert code == INTERRUPTED
    assert list(rows) == ["worse", solver]
    assert rows["worse"]["status"] == "feasible"
    assert rows[solver]["status"] == "interrupted"
    assert rows[solver]["seconds"] == ""
    assert "Interrupted in run 2 of 3" in printed
    assert "Summary" in printed
    assert signal.getsignal(signal.SIGINT) is before


def test_csv_and_json_say_the_same(bag_file, tmp_path, capsys):
    """Both files hold one record per run, with the same values; JSON adds settings, summary and faults."""
    table, record, picture = (tmp_path / name for name in ("runs.csv", "runs.json", "runs.png"))
    files = ["--csv", str(table), "--json", str(record), "--plot", str(picture)]
    code = main(["compare", str(bag_file), "--seeds", "0", "1", "--solvers", "right", "low-bound", *files])
    assert code == FAULTY
    content = json.loads(record.read_text(encoding="utf-8"))
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["instance"] for row in rows] == ["bag-seed0"] * 2 + ["bag-seed1"] * 2
    for row, one in zip(rows, content["runs"], strict=True):
        assert row == {name: "" if value is None else str(value) for name, value in one.items()}
    assert content["settings"] == {"time_limit": 60, "gap": 1e-4, "threads": 1, "tolerance": 1e-5} | {
        "side_by_side": "",
        "reference": "right",
    }
    assert [one["proven"] for one in content["summary"]] == [2, 0]
    assert [fault["solver"] for fault in content["faults"]] == ["low-bound"] * 2
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000


def test_j3o_beside_highs(tmp_path, capsys):
    """A real run: HiGHS proves the optimum, j3o's plan and bound lie on either side of it."""
    record, picture = tmp_path / "runs.json", tmp_path / "runs.svg"
    models, solvers = ["--clients", "2", "--edges", "1"], ["j3o", "highs", "fast=j3o:improve=False"]
    files = ["--json", str(record), "--plot", str(picture)]
    assert main(["compare", *models, "--solvers", *solvers, *files]) == FINE
    ours, exact, fast = json.loads(record.read_text(encoding="utf-8"))["runs"]
    assert exact["status"] == "proven"
    assert fast["objective"] <= exact["objective"] * (1 + 1e-4)
    assert 0.9 * exact["objective"] <= ours["objective"] <= exact["objective"] * (1 + 1e-4)
    assert ours["bound"] >= exact["objective"] * (1 - 1e-4)
    assert ours["share_of_reference"] == pytest.approx(ours["seconds"] / exact["seconds"])
    drawn = picture.read_text(encoding="utf-8")
    assert "<svg" in drawn
    out = capsys.readouterr().out
    assert all(word in out for word in ("objective", "bound", "gap", "time/ref", "obj/best", "fast"))


def test_j3o_beside_its_exact_solver(tmp_path, capsys):
    """A real run: j3o.exact proves one optimum with HiGHS and with SCIP, and j3o's plan and bound hold it."""
    pytest.importorskip("pyscipopt")
    table, picture = tmp_path / "runs.csv", tmp_path / "runs.png"
    solvers = ["j3o", "exact:highs", "exact:scip"]
    files = ["--csv", str(table), "--plot", str(picture)]
    assert main(["compare", "--clients", "2", "--edges", "1", "--solvers", *solvers, *files]) == FINE
    with open(table, newline="", encoding="utf-8") as file:
        ours, highs, scip = csv.DictReader(file)
    assert [row["solver"] for row in (ours, highs, scip)] == solvers
    assert highs["status"] == scip["status"] == "proven"
    assert float(highs["objective"]) == pytest.approx(float(scip["objective"]), rel=1e-4)
    assert float(ours["objective"]) <= float(highs["objective"]) * (1 + 1e-4)
    assert float(ours["bound"]) >= float(highs["objective"]) * (1 - 1e-4)
    assert picture.read_bytes().startswith(b"\x89PNG")
    out = " ".join(capsys.readouterr().out.split())
    assert "time_limit=60.0 rel_gap=0.0001 threads=1 seed=0 mip_solver=scip" in out
    assert "times are compared with those of exact:highs" in out


@pytest.mark.parametrize("package", ["gurobipy", "pyscipopt"])
def test_a_mip_solver_that_is_not_installed_is_absent(run, monkeypatch, package):
    """`exact` without the package of one MIP solver shows that one as absent, with the reason; no fault."""
    find = importlib.util.find_spec
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    solver = {"gurobipy": "exact:gurobi", "pyscipopt": "exact:scip"}[package]
    code, rows, printed = run("exact", "right")
    assert code == FINE
    assert list(rows) == ["exact:highs", "exact:gurobi", "exact:scip", "right"]
    assert rows[solver]["status"] == "absent"
    assert f"{package} is not installed" in rows[solver]["reason"]
    assert f"{package} is not installed" in " ".join(printed.split())
    assert rows["exact:highs"]["status"] == "proven"
    assert float(rows["exact:highs"]["objective"]) == 7


def test_a_licence_too_small_for_an_instance_is_marked_there(tmp_path, capsys):
    """`exact:gurobi` is marked `licence` where the model is too large for it, and there alone."""
    pytest.importorskip("gurobipy")
    if gurobi.unavailable(100, 100) or not gurobi.unavailable(3200, 2700):
        pytest.skip("needs the licence that comes with gurobipy")
    table = tmp_path / "runs.csv"
    models = ["--clients", "2", "10", "--edges", "1"]
    assert main(["compare", *models, "--solvers", "exact:gurobi", "right", "--csv", str(table)]) == FINE
    with open(table, newline="", encoding="utf-8") as file:
        small, large = (row for row in csv.DictReader(file) if row["solver"] == "exact:gurobi")
    assert small["status"] == "proven"
    assert (large["status"], large["faults"]) == ("licence", "")
    assert "licence stops at 2000 columns" in large["reason"]
    assert "1/1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("solvers", "reference"),
    [
        (["j3o", "exact:highs", "right"], "right"),
        (["j3o", "exact:highs", "away"], "exact:highs"),
        (["j3o", "fast=j3o:improve=False"], "j3o"),
    ],
)
def test_the_reference_is_somebody_else_if_there_is_one(run, solvers, reference):
    """Times refer to the first other solver; to the exact one of j3o only if nobody else can run."""
    _, _, printed = run(*solvers)
    assert f"times are compared with those of {reference}" in " ".join(printed.split())


def test_options_are_told_or_refused(run, capsys):
    """What a solver is told is printed; an option that it does not know ends the command before any run."""
    for wrong in ("highs:no_such_option=1", "highs:presolve=perhaps", "j3o:no_such_option=1"):
        assert main(["compare", "--solvers", wrong]) == MISUSED
        assert "correct the option, or leave it out" in capsys.readouterr().err
    code, rows, printed = run("highs:presolve=off", "highs", more=["--time-limit", "9"])
    assert code == FINE
    assert "time_limit=9.0 rel_gap=0.0001 threads=1 random_seed=0 presolve=off" in " ".join(printed.split())
    assert list(rows) == ["highs:presolve=off", "highs"]


def test_contestants_are_told_apart():
    """Two solvers with one label are numbered; labels, names and typed options are read from the text."""
    texts = ("j3o", "j3o", "mine=j3o:improve=False,max_iterations=3")
    several = [contestant for text in texts for contestant in contestants_of(text)]
    label_apart(several)
    assert [one.label for one in several] == ["j3o", "j3o #2", "mine"]
    assert several[2].options == {"improve": False, "max_iterations": 3}
    with pytest.raises(CompareError, match="there is no name"):
        contestants_of("mine=")
    with pytest.raises(CompareError, match="'quick' is no option"):
        contestants_of("j3o:quick")


def test_exact_stands_for_one_contestant_per_mip_solver():
    """`exact` is j3o.exact with HiGHS, Gurobi and SCIP; its options are for each, `exact:highs` is one."""

    def read_as(text):
        return [(one.label, one.name, one.options) for one in contestants_of(text)]

    each = [{"mip_solver": name} for name in ("highs", "gurobi", "scip")]
    assert read_as("exact") == [(f"exact:{one['mip_solver']}", "j3o.exact", one) for one in each]
    assert read_as("exact:scip") == read_as("exact")[2:]
    cold = {"mip_start": "none"}
    assert read_as("exact:mip_start=none") == [
        (f"exact:{one['mip_solver']}:mip_start=none", "j3o.exact", one | cold) for one in each
    ]
    assert [label for label, _, _ in read_as("cold=exact:mip_start=none")] == [
        "cold:highs",
        "cold:gurobi",
        "cold:scip",
    ]
    assert read_as("cold=exact:highs:mip_start=none") == [("cold", "j3o.exact", each[0] | cold)]
    assert read_as("exact=highs") == [("exact", "highs", {})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exact:cbc", "exact has no 'cbc' behind it; write one of highs, gurobi, scip"),
        ("exact:highs:fast", "'fast' is no option"),
        ("exact:mip_solver=scip", "write exact:scip"),
        ("exact:highs:no_such_option=1", "option 'no_such_option' is unknown to j3o"),
        ("j3o.exact:presolve=off", "option 'presolve' is unknown to j3o"),
        ("j3o.exact:mip_solver=cbc", "mip_solver='cbc' is unknown; choose one of"),
    ],
)
def test_what_exact_does_not_know_is_refused(bag_file, capsys, text, message):
    """A wrong MIP solver or option of j3o.exact ends the command before any run; none is passed on."""
    assert main(["compare", str(bag_file), "--solvers", text]) == MISUSED
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        MODEL,
        MODEL.replace("create_model(seed=0)", "pyomo_create_model(options=None, model_options=None)"),
        MODEL + "\nmodel = create_model()\ndel create_model\n",
        MODEL + "\nthe_bag = create_model()\ndel create_model\n",
        """
import pyomo.environ as pyo
model = pyo.AbstractModel()
model.x = pyo.Var(domain=pyo.Binary)
model.worth = pyo.Objective(expr=model.x, sense=pyo.maximize)
""",
    ],
    ids=["create_model", "pyomo_create_model", "model", "another name", "abstract"],
)
def test_a_file_may_hold_its_model_in_many_ways(tmp_path, text):
    """A function, a variable, an abstract model: each gives a concrete model."""
    path = tmp_path / "mine.py"
    path.write_text(text)
    (source,) = from_file(path, [0])
    assert source.name == "mine"
    assert source.build().is_constructed()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "it has no models"),
        ("def create_model(size): pass", "needs 'size'; give the parameter a default"),
        ("def create_model(): return 3", "it gives an object of type int, no Pyomo model"),
        ("import pyomo.environ\n1 / 0", "line 2: ZeroDivisionError"),
        (
            "import pyomo.environ as pyo\nmodel = pyo.ConcreteModel()",
            "0 objectives are active; one is needed",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, capsys, text, message):
    """A file without a usable model ends the command with status 2 and a sentence."""
    path = tmp_path / "mine.py"
    path.write_text(text)
    assert main(["compare", str(path), "--solvers", "right"]) == MISUSED
    assert message in capsys.readouterr().err


def test_anything_raised_by_a_model_file_is_said(tmp_path, capsys):
    """Also what is no Exception."""
    path = tmp_path / "mine.py"
    path.write_text("class Odd(BaseException): pass\nraise Odd('x')\n")
    assert main(["compare", str(path), "--solvers", "right"]) == MISUSED
    assert capsys.readouterr().err == f"pyomo-j3o: {path}, line 2: Odd: x\n"


def test_files_are_never_lost(bag_file, tmp_path, capsys):
    """Nothing overwrites the model, nor one result the other; that a file is replaced is said."""
    command = ["compare", str(bag_file), "--solvers", "right"]
    before = bag_file.read_text()
    link = tmp_path / "link.csv"
    link.symlink_to(bag_file)
    for path in (bag_file, link):
        assert main([*command, "--csv", str(path)]) == MISUSED
        assert "would overwrite the model file" in capsys.readouterr().err
    assert bag_file.read_text() == before
    one = str(tmp_path / "one")
    assert main([*command, "--csv", one, "--json", one]) == MISUSED
    assert "would overwrite the file of --csv" in capsys.readouterr().err
    assert not Path(one).exists()
    for expected in ("", f"pyomo-j3o: {one} is replaced\n"):
        assert main([*command, "--csv", one]) == FINE
        assert capsys.readouterr().err == expected


def test_relative_paths_mean_the_folder_where_the_command_began(bag_file, tmp_path, monkeypatch):
    """A model file that changes the folder changes nothing about them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "away").mkdir()
    (tmp_path / "mine.py").write_text(
        f"import os; os.chdir({str(tmp_path / 'away')!r})\n" + bag_file.read_text()
    )
    assert (
        main(["compare", "mine.py", "--seeds", "0", "1", "--solvers", "right", "--csv", "here.csv"]) == FINE
    )
    assert (tmp_path / "here.csv").exists()
    assert list((tmp_path / "away").iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("option", ["--csv", "--json", "--plot"])
def test_a_full_disk_is_said(option, bag_file, tmp_path, capsys, monkeypatch):
    """One sentence and status 2; what could not be written is elsewhere, and the other files are there."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    full = tmp_path / "full.png"
    full.symlink_to("/dev/full")
    good = tmp_path / "good"
    other = "--csv" if option != "--csv" else "--json"
    files = [option, str(full), other, str(good)]
    assert main(["compare", str(bag_file), "--solvers", "right", *files]) == MISUSED
    said = capsys.readouterr().err
    assert said.startswith(f"pyomo-j3o: {full}: No space left on device; its content is in ")
    instead = Path(said.split(" is in ")[1].removesuffix(" instead\n"))
    assert instead.parent == tmp_path / "temporary"
    assert instead.stat().st_size > 0
    assert good.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(("where", "status"), [(">&-", FINE), (">/dev/full", MISUSED)])
def test_the_table_may_be_lost_and_the_files_are_not(where, status, tmp_path):
    """Standard output closed or full: the CSV file is written, without a traceback."""
    (tmp_path / "mine.py").write_text(MODEL)
    command = f"'{sys.executable}' -m pyomo_j3o compare mine.py --solvers highs --csv runs.csv {where}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    assert done.returncode == status
    assert len((tmp_path / "runs.csv").read_text().splitlines()) == 2


def test_a_number_that_is_none_is_said_in_words(capsys):
    """The names of our functions are no words for a reader."""
    for option, text, message in (("--clients", "x", "whole number"), ("--time-limit", "abc", "number")):
        with pytest.raises(SystemExit):
            main(["compare", option, text])
        assert f"'{text}' is not a {message}" in capsys.readouterr().err


def test_the_command_alone_prints_its_help(capsys):
    """Without a command there is help, and status 2."""
    assert main([]) == MISUSED
    assert "compare" in capsys.readouterr().out


def test_wrong_use_has_status_two(tmp_path, capsys, bag_file):
    """No file, no such size, no way to write: known before anything is solved."""
    assert main(["compare", str(tmp_path / "none.py")]) == MISUSED
    assert main(["compare", "--suite", "quality", "--clients", "7"]) == MISUSED
    assert main(["compare", str(bag_file), "--csv", str(tmp_path / "none" / "runs.csv")]) == MISUSED
    assert main(["compare", str(bag_file), "--plot", "runs.txt"]) == MISUSED
    capsys.readouterr()
    assert main(["compare", str(bag_file), "--clients", "7", "--droppable"]) == MISUSED
    assert "--clients and --droppable: of a suite, not of a file" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["compare", str(bag_file), "--threads", "0"])
    capsys.readouterr()


def test_suites_by_name_and_size():
    """Sizes, edge servers and seeds are combined; quality and windows have thirty instances of their own."""
    sources = from_suite("domainnet", [3, 5], [1], False, [0, 1])
    assert [source.name for source in sources] == [f"domainnet-{n}-1-seed{s}" for n in (3, 5) for s in (0, 1)]
    assert sources[0].size == "3 clients"
    for suite in ("nyud", "pascal_context", "cityscapes3d"):
        (source,) = from_suite(suite, [2], [1], False, [0])
        assert source.build().data.name == f"{suite}-2-1-0"
    assert len(from_suite("quality", [], [], False, [0])) == 30
    windows = from_suite("windows", [5], [], False, [0])
    assert [source.name for source in windows] == ["taskonomy-5-1-serve-0.05s", "taskonomy-5-1-drop-0.1s"]
    assert windows[0].build().batch["edge1"].capacity.active
    assert len(from_suite("quality", [10], [], False, [0])) == 4


def test_the_referee_keeps_its_model(tmp_path):
    """A solver that meddles with its copy changes neither the check nor what the next solver gets."""
    referee = Referee(bag(), "bag", "bag", 0)
    copy = referee.copy()
    copy.bag.deactivate()
    copy.x[0].fix(1)
    for variable in (copy.x[1], copy.x[2], copy.y):
        variable.value = 1
    objective, complaints = referee.check(copy, None, 1e-5)
    assert objective == 10
    assert complaints == ("constraint 'bag' is missed by 3",)
    assert referee.copy().bag.active
    assert referee.copy().x[1].value is None
    assert referee.linear


def test_verdicts_when_minimising():
    """For a minimum a bound above a plan is wrong, and the ratio is the best value over the objective."""
    instance = Instance("i", "i", 0, -1, 1, 1, 1)
    runs = [
        Run("a", "plan", objective=10.0, bound=8.0, seconds=1.0),
        Run("b", "plan", objective=8.0, bound=8.0, seconds=6.0),
        Run("c", "plan", objective=16.0, bound=9.0, seconds=3.0),
    ]
    block = judge(instance, runs, "b", Settings())
    assert (block.plan, block.bound, block.best, block.proven) == (8, 8, 8, True)
    assert [row.status for row in block.rows] == ["feasible", "proven", "WRONG BOUND"]
    assert [row.ratio for row in block.rows] == [0.8, 1, 0.5]
    entrants = [contestant.enter(Settings(), 0) for contestant in contestants_of("right")]
    assert summarise([block], entrants, "b")[0].runs == 0  # it was not in the race


def test_cbc_bound_of_a_maximum(monkeypatch):
    """Of a stopped CBC the bound is read from its log, which is about the minimum of the negative."""
    from pyomo_j3o.compare import dialects

    class Stopped:
        """What the classic interface of CBC returns after a time limit."""

        def available(self, exception_flag):
            return True

        def license_is_valid(self):
            return True

        def version(self):
            return (2, 10, 3, 0)

        def solve(self, model, logfile, **options):
            from pyomo.opt import SolverResults

            Path(logfile).write_text(
                "Cbc0005I Partial search - best objective -5 (best possible -7.5), took 1\n"
            )
            results = SolverResults()
            results.problem.lower_bound, results.problem.upper_bound = 5, -7.5
            return results

    monkeypatch.setattr(dialects, "ClassicFactory", lambda name: Stopped())
    (cbc,) = contestants_of("cbc")
    assert cbc.enter(Settings(), 0).told == {
        "timelimit": 60,
        "ratioGap": 1e-4,
        "threads": 1,
        "randomCbcSeed": 0,
    }
    assert cbc.ready(Settings(), 0, linear=True)(bag()).bound == 7.5


def test_a_missing_extra_is_named(monkeypatch, capsys):
    """Without Rich or matplotlib one sentence says what to install."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "rich" else find(name))
    assert main(["compare"]) == MISUSED
    assert capsys.readouterr().err == 'pyomo-j3o: compare needs rich: pip install "pyomo-j3o[compare]"\n'


def test_the_script_the_module_and_the_light_import():
    """`python -m pyomo_j3o` works, the script points at a function, and importing loads no extra."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        module, _, function = tomllib.load(file)["project"]["scripts"]["pyomo-j3o"].partition(":")
    assert getattr(importlib.import_module(module), function) is main
    # Of the comparison itself the command line and its error alone are imported.
    code = """if True:
        import pyomo_j3o.compare.cli, runpy, sys
        light = {"pyomo_j3o.compare.cli", "pyomo_j3o.compare.records"}
        rest = {name for name in sys.modules if name.startswith("pyomo_j3o.compare.")}
        assert not {"rich", "matplotlib"} & set(sys.modules) and rest == light, rest
        sys.argv = ["pyomo_j3o", "--version"]
        runpy.run_module("pyomo_j3o", run_name="__main__")
    """
    command = [sys.executable, "-c", code]
    assert "pyomo_j3o " in subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
