"""The commands: exit statuses, files that are never lost, and one sentence for what is wrong."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

from pyomo_j3o.commands import solving
from pyomo_j3o.commands.cli import main
from pyomo_j3o.interface.solver import J3O

FINE, NO_PLAN, MISUSED, INTERRUPTED = 0, 1, 2, 130

#: Items worth 4, 3, 2 of weights 3, 3, 2 in a bag for 5; y <= x[0] earns 1 more. Items 0 and 2, with y: 7.
BAG = """
import pyomo.environ as pyo
from pyomo_j3o import annotate

def create_model(seed=0):
    m = pyo.ConcreteModel("bag")
    m.x = pyo.Var(range(3), domain=pyo.Binary)
    m.y = pyo.Var(bounds=(0, 1))
    m.bag = pyo.Constraint(expr=3 * m.x[0] + 3 * m.x[1] + 2 * m.x[2] <= 5)
    m.link = pyo.Constraint(expr=m.y <= m.x[0])
    m.worth = pyo.Objective(expr=4 * m.x[0] + 3 * m.x[1] + 2 * m.x[2] + (1 + seed) * m.y, sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=m.y)
    return m
"""

#: Of the same model nothing fits.
NOTHING_FITS = (
    BAG
    + "\nmodel = create_model()\nmodel.all = pyo.Constraint(expr=sum(model.x[:]) >= 3)\ndel create_model\n"
)


@pytest.fixture(autouse=True)
def reporting(monkeypatch):
    """Give the commands a report of few words where the room of reports is not there."""
    if importlib.util.find_spec("pyomo_j3o.reporting") is not None:
        return

    class Report:
        def __init__(self, model, results):
            x = results.solution_loader.compiled[1].onloading
            self.placed = [variable.name for variable in x if variable.value > 0.5]

        def __str__(self):
            return f"Plan: {', '.join(self.placed)}"

        def to_csv(self, path):
            path.write_text("\n".join(["name", *self.placed]))

        def to_json(self):
            return json.dumps(self.placed)

        def _repr_html_(self):
            return f"<p>{self}</p>"

    room = types.ModuleType("pyomo_j3o.reporting")
    room.report = Report
    monkeypatch.setitem(sys.modules, "pyomo_j3o.reporting", room)


@pytest.fixture
def bag(tmp_path, monkeypatch):
    """Go to a folder with the file of the bag, and return its name."""
    monkeypatch.chdir(tmp_path)
    Path("bag.py").write_text(BAG)
    return "bag.py"


def rows_of(path):
    """Return the rows of a CSV file."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- solve and report -----------------------------------------------------------------------------------


def test_solve_shows_the_log_and_what_is_placed(bag, capsys):
    """The log by default, one sentence with --quiet; the exit status says that there is a plan."""
    assert main(["solve", bag]) == FINE
    out = capsys.readouterr().out
    assert "3 onloading and 1 offloading variable, 2 rows" in out
    assert out.endswith("Placed, 2 of 3: x[0], x[2]\n")
    assert main(["solve", bag, "--quiet"]) == FINE
    assert capsys.readouterr().out == "Optimal: objective 7, gap 0.00%, proven.\n"


def test_report_shows_the_plan(bag, capsys):
    """The log can be left out, the report not."""
    assert main(["report", bag, "-q"]) == FINE
    out = capsys.readouterr().out
    assert out.startswith("Optimal: objective 7")
    assert "Plan" in out
    assert len(out.splitlines()) > 1


@pytest.mark.parametrize("command", ["solve", "report"])
def test_files_hold_the_plan(bag, command):
    """CSV, JSON and HTML hold what is placed."""
    assert main([command, bag, "-q", "--csv", "p.csv", "--json", "p.json", "--html", "p.html"]) == FINE
    assert {"x[0]", "x[2]"} <= {row["name"] for row in rows_of("p.csv")}
    json.loads(Path("p.json").read_text())
    assert "x[1]" not in {row["name"] for row in rows_of("p.csv") if row.get("table", "placed") == "placed"}
    page = Path("p.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "Optimal: objective 7" in page


@pytest.mark.parametrize("text", [BAG, BAG + "\nmodel = create_model()\ndel create_model\n"])
def test_options_reach_the_solver(bag, text, capsys, monkeypatch):
    """Those with an argument of their own, any other one by --option; --seed reaches create_model, too."""
    seen = {}
    solve = J3O.solve

    def watched(self, model, **kwds):
        config = self.config
        names = ("time_limit", "rel_gap", "effort", "algorithm", "seed", "threads", "improve", "lp_solver")
        seen.update({name: config[name] for name in names})
        return solve(self, model, **kwds)

    monkeypatch.setattr(J3O, "solve", watched)
    Path(bag).write_text(text)
    spelt = "--time-limit 9 --rel-gap 0.01 --effort 2 --algorithm j3o --seed 4 --threads 1"
    assert (
        main(["solve", bag, "-q", *spelt.split(), "--option", "improve=no", "--option", "lp_solver=highs"])
        == 0
    )
    assert seen == {
        "time_limit": 9.0,
        "rel_gap": 0.01,
        "effort": 2.0,
        "algorithm": "j3o",
        "seed": 4,
        "threads": 1,
        "improve": False,
        "lp_solver": "highs",
    }
    with_seed = 11 if "del create_model" not in text else 7
    assert f"objective {with_seed}," in capsys.readouterr().out


@pytest.mark.parametrize("command", ["solve", "report", "worth"])
def test_no_plan_has_status_one(bag, command, capsys):
    """An infeasible model: what can be asked next is said, and no file is written."""
    Path("none.py").write_text(NOTHING_FITS)
    assert main([command, "none.py", "-q", "--csv", "p.csv"]) == NO_PLAN
    said = capsys.readouterr()
    assert "pyomo-j3o explain none.py" in said.out
    assert "p.csv: it was not written" in said.err
    assert not Path("p.csv").exists()


def test_ctrl_c_keeps_the_best_plan(bag, monkeypatch, capsys):
    """Ctrl-C ends the search with status 130; the plan is shown and written."""
    made = solving.solver_of

    def interrupted(options):
        solver = made(options)
        solver.config.callback = lambda record: os.kill(os.getpid(), signal.SIGINT)
        return solver

    monkeypatch.setattr(solving, "solver_of", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert main(["solve", bag, "--csv", "p.csv"]) == INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, before)
    out = capsys.readouterr().out
    assert "interrupted" in out
    assert "run the command again" in out
    assert "warm_start" not in out
    assert "Placed, " in out
    assert len(rows_of("p.csv")) > 0


# --- what is wrong --------------------------------------------------------------------------------------


def files_here():
    """Return the files of the current folder, but for what Python keeps of modules."""
    return sorted(path for path in Path.cwd().rglob("*") if "__pycache__" not in path.parts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("solve", "MODEL is missing"),
        ("solve none.py", "none.py: there is no such file or folder"),
        ("solve bga.py", "did you mean bag.py?"),
        ("solve bag.txt", "bag.txt: its kind is not known; give a .py file"),
        ("solve empty", "empty: it is no library folder"),
        ("solve half", "tasks.csv: missing; write a table"),
        ("solve bag.py --onloading x*", "--onloading is for MPS and LP files; mark the variables of bag.py"),
        ("solve bag.py --droppable", "--droppable and --headroom are for library folders"),
        ("solve bag.mps --onloading q*", "the onloading pattern 'q*' matches no column"),
        ("solve bag.mps --onloading *", "matches 'y', which is continuous"),
        ("solve bag.mps --onloading x(0)", "no onloading pattern matches 'x(1)', 'x(2)', binary in the file"),
        ("solve bag.py --option effrt=2", "did you mean 'effort'?"),
        ("solve bag.py --option effort", "write --option NAME=VALUE"),
        ("solve bag.py --option tee=True", "the command sets it; leave it out"),
        ("solve bag.py --seed 1 --option seed=2", "seed is given twice"),
        ("solve bag.py --time-limit soon", "time_limit='soon' is not a number"),
        ("solve bag.py --algorithm best", "algorithm='best' is unknown"),
        ("solve bag.py --efort 2", "solve has no argument '--efort'; did you mean --effort?"),
        ("slove bag.py", "there is no command 'slove'; did you mean solve?"),
        ("solve bag.py --csv bag.py", "--csv would overwrite the model file"),
        ("solve bag.py --csv one --json one", "--json would overwrite the file of --csv"),
        ("solve bag.py --csv empty", "empty: Is a directory; give a file that can be written"),
        ("solve bag.py --csv none/plan.csv", "none/plan.csv: No such file or directory"),
        ("solve bag.py --plot plan.txt", "use a name that ends in .pdf, .png, .svg"),
        ("solve half --csv half/models.csv", "would overwrite a table of the model"),
        ("explain bag.py --time-limit 0", "time_limit=0.0 is not a finite number above 0"),
        ("worth bag.py --rows bga", "--rows 'bga' matches no constraint of 'bag'; it has bag, link"),
        ("simulate bag.py", "its model is not one of pyomo_j3o.library.build_model"),
        ("init bag", "bag.py: it is there already"),
        ("init bag.txt", "give a name that ends in .py"),
        ("init none/mine", "none/mine.py: No such file or directory"),
    ],
)
def test_what_is_wrong_is_one_sentence(bag, arguments, message, capsys, monkeypatch):
    """Status 2 and one line, before anything is solved; nothing is written or changed."""
    monkeypatch.setattr(J3O, "solve", lambda *_: pytest.fail("it was solved"))
    Path("bag.txt").write_text(BAG)
    Path("empty").mkdir()
    Path("half").mkdir()
    Path("half", "models.csv").write_text("model,memory\nresnet,1\n")
    write_mps()
    before = files_here()
    assert main(arguments.split()) == MISUSED
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.startswith("pyomo-j3o: ")
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert files_here() == before
    assert Path(bag).read_text() == BAG


def write_mps():
    """Write the model of the bag as an MPS file."""
    scope: dict = {}
    exec(BAG, scope)
    scope["create_model"]().write("bag.mps", io_options={"symbolic_solver_labels": True})


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"bag.py": "import pyomo.environ\n1 / 0\n"}, "bag.py, line 2: ZeroDivisionError: division by zero"),
        ({"bag.py": "x = (1,\n"}, "bag.py, line 1: SyntaxError: '(' was never closed"),
        (
            {"bag.py": "import helper_of_bag\n", "helper_of_bag.py": "\nraise KeyError('gone')\n"},
            "helper_of_bag.py, line 2 (used by bag.py, line 1): KeyError: 'gone'",
        ),
        (
            {"bag.py": "def create_model():\n    from late_of_bag import model\n    return model\n"},
            "bag.py, line 2: ModuleNotFoundError: No module named 'late_of_bag'",
        ),
        ({"bag.py": "import sys\nsys.exit('no data')\n"}, "bag.py, line 2: SystemExit: no data"),
        ({"bag.py": "x = 1\n"}, "it has no models and neither create_model()"),
    ],
    ids=["raises", "syntax", "neighbour", "inside", "exits", "none"],
)
@pytest.mark.parametrize("command", ["solve", "compare"])
def test_errors_of_a_model_file_have_file_and_line(bag, files, message, command, capsys):
    """The line of the user's own file, and no traceback of ours."""
    for name, text in files.items():
        Path(name).write_text(text)
    assert main([command, bag]) == MISUSED
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_neighbour_may_be_imported_late(bag):
    """What create_model imports from the folder of the file is found."""
    Path("late_neighbour_of_bag.py").write_text(BAG)
    Path(bag).write_text(
        "def create_model():\n    import late_neighbour_of_bag as n\n    return n.create_model()\n"
    )
    assert main(["solve", bag, "-q"]) == FINE


# --- files ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("command", ["solve", "explain", "worth"])
def test_a_full_disk_loses_nothing(bag, command, tmp_path, capsys, monkeypatch):
    """What cannot be written is elsewhere, under a name that is said; the text and other files are there."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    assert main([command, bag, "--csv", "/dev/full", "--json", "good.json"]) == MISUSED
    said = capsys.readouterr()
    assert said.out
    start, _, instead = said.err.rstrip("\n").removesuffix(" instead").rpartition(" is in ")
    assert start == "pyomo-j3o: /dev/full: No space left on device; its content"
    assert Path(instead).read_text()
    json.loads(Path("good.json").read_text())


def test_what_cannot_be_drawn_takes_nothing_along(bag, capsys, monkeypatch):
    """An error of a picture, whatever it is, is one sentence after the plan and its other files."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(solving, "_drawn", lambda model: 1 / 0)
    assert main(["solve", bag, "--plot", "p.png", "--csv", "p.csv"]) == MISUSED
    said = capsys.readouterr()
    assert "Placed, 2 of 3" in said.out
    assert said.err.endswith("p.png: it was not written: ZeroDivisionError: division by zero\n")
    assert Path("p.csv").exists()


def test_a_report_that_fails_takes_nothing_along(bag, capsys, monkeypatch):
    """The plan is named all the same."""
    monkeypatch.setattr(solving, "report_of", lambda solution: 1 / 0)
    assert main(["report", bag]) == MISUSED
    said = capsys.readouterr()
    assert "Placed, 2 of 3: x[0], x[2]" in said.out
    assert "the plan could not be reported: ZeroDivisionError" in said.err


def test_paths_mean_the_folder_where_the_command_began(bag, tmp_path):
    """A model file may change the folder; and a file that is replaced is whole."""
    (tmp_path / "away").mkdir()
    Path(bag).write_text("import os\nos.chdir('away')\n" + BAG)
    Path("worth.csv").write_text("old\n" * 1000)
    assert main(["worth", bag, "-q", "--csv", "worth.csv"]) == FINE
    assert [row["row"] for row in rows_of(tmp_path / "worth.csv")] == ["bag"]
    assert list((tmp_path / "away").iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_standard_output_may_be_full(bag, monkeypatch):
    """The file is written, and the status is that of wrong use."""
    full = open("/dev/full", "w", encoding="utf-8")  # noqa: SIM115
    monkeypatch.setattr(sys, "stdout", full)
    assert main(["worth", bag, "--csv", "worth.csv"]) == MISUSED
    assert len(rows_of("worth.csv")) == 1
    with contextlib.suppress(OSError):
        full.close()


def test_standard_output_may_lose_its_reader(bag):
    """The file is written, without a traceback."""
    command = f"'{sys.executable}' -m pyomo_j3o worth {bag} --csv worth.csv | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert len(rows_of("worth.csv")) == 1


# --- the other commands ---------------------------------------------------------------------------------


def test_explain_names_the_conflict(bag, capsys):
    """Status 1 and the rows of a model without a plan, in every kind of file; status 0 where there is one."""
    pytest.importorskip("matplotlib")
    Path("none.py").write_text(NOTHING_FITS)
    files = "--csv c.csv --json c.json --html c.html --plot c.png"
    assert main(["explain", "none.py", *files.split()]) == NO_PLAN
    assert "has no plan" in capsys.readouterr().out
    found = rows_of("c.csv")
    assert {row["name"] for row in found} == {"bag", "all"}
    assert [float(row["enough"]) for row in found if row["name"] == "bag"] == [8.0]
    content = json.loads(Path("c.json").read_text())
    assert content["feasible"] is False
    assert [row["name"] for row in content["rows"]] == [row["name"] for row in found]
    assert "has no plan" in Path("c.html").read_text()
    assert Path("c.png").read_bytes().startswith(b"\x89PNG")
    assert main(["explain", bag]) == FINE
    assert "has a plan: nothing conflicts" in capsys.readouterr().out


def test_worth_prices_the_rows_that_are_named(bag, capsys):
    """One more unit of the bag makes room for both items of weight 3: 8 - 7 = 1."""
    pytest.importorskip("matplotlib")
    files = "--csv w.csv --json w.json --html w.html --plot w.svg"
    assert main(["worth", bag, "-q", "--rows", "b*", *files.split()]) == FINE
    (row,) = rows_of("w.csv")
    assert (row["row"], float(row["worth"]), row["how"]) == ("bag", 1.0, "re-solved")
    assert json.loads(Path("w.json").read_text())["budgets"][0]["worth"] == 1.0
    assert "<svg" in Path("w.svg").read_text()
    assert "bag" in capsys.readouterr().out


def test_simulate_plays_a_folder(tmp_path, monkeypatch, capsys):
    """A folder that init has written is solved and played; the files hold what the text says."""
    pytest.importorskip("simpy")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    assert main(["init", "mine", "--folder"]) == FINE
    assert "pyomo-j3o simulate mine" in capsys.readouterr().out
    files = "--csv s.csv --json s.json --html s.html --plot s.png"
    assert main(["simulate", "mine", "-q", "--horizon", "100", *files.split()]) == FINE
    out = capsys.readouterr().out
    content = json.loads(Path("s.json").read_text())
    assert f"accuracy: {content['planned_accuracy']:.4f} planned, {content['accuracy']:.4f} delivered" in out
    assert [row["task"] for row in rows_of("s.csv") if row["table"] == "tasks"] == ["edges", "depth", "all"]
    assert Path("s.png").read_bytes().startswith(b"\x89PNG")
    assert main(["simulate", "mine", "-q", "--horizon", "0"]) == MISUSED
    assert "horizon" in capsys.readouterr().err
    assert main(["solve", "mine", "--headroom", "0.5", "-q"]) == MISUSED
    assert "headroom" in capsys.readouterr().err


def test_init_writes_a_model_that_runs(tmp_path, monkeypatch, capsys):
    """The file is short, solves at once, and is never overwritten."""
    monkeypatch.chdir(tmp_path)
    assert main(["init", "mine"]) == FINE
    assert len(Path("mine.py").read_text().splitlines()) < 45
    assert main(["solve", "mine.py"]) == FINE
    out = capsys.readouterr().out
    assert "Optimal" in out
    assert main(["worth", "mine.py", "-q", "--csv", "w.csv"]) == FINE
    assert sum(float(row["worth"]) > 0 for row in rows_of("w.csv")) >= 2


def test_the_model_of_init_has_one_order(tmp_path, monkeypatch):
    """Pyomo would take the keys of a dict in an order that changes from run to run."""
    monkeypatch.chdir(tmp_path)
    assert main(["init", "mine"]) == FINE
    m = runpy.run_path("mine.py")["create_model"]()
    films = ["drama", "comedy", "news"]
    assert list(m.x) == [(cache, film) for cache in ("north", "south") for film in films]
    assert list(m.once) == [(town, film) for town in ("harbour", "airport") for film in films]
    assert list(m.space) == list(m.link) == ["north", "south"]


def test_a_matrix_file_has_the_plan_of_its_model(bag, capsys):
    """The same sentence from the Python file and from the MPS file that it was written to."""
    write_mps()
    assert main(["solve", bag, "-q"]) == FINE
    own = capsys.readouterr().out
    assert main(["solve", "bag.mps", "--onloading", "x*", "-q", "--csv", "p.csv"]) == FINE
    assert capsys.readouterr().out == own
    assert {"x(0)", "x(2)"} <= {row["name"] for row in rows_of("p.csv")}


@pytest.mark.parametrize("command", ["init", "solve", "report", "explain", "worth", "simulate", "compare"])
def test_every_command_has_help(command, capsys):
    """With examples, and what the exit status means."""
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert "examples:" in out
    assert "exit status" in " ".join(out.split())


@pytest.mark.parametrize(("arguments", "worth"), [([], 14), (["--seed", "3"], 10)])
def test_create_model_keeps_the_default_of_its_seed(tmp_path, arguments, worth):
    """The command line solves the model that Python builds, unless a seed is asked for."""
    file = tmp_path / "bag.py"
    file.write_text(BAG.replace("seed=0", "seed=7"), encoding="utf-8")
    report = tmp_path / "report.json"
    assert main(["report", str(file), "--quiet", "--json", str(report), *arguments]) == FINE
    assert json.loads(report.read_text(encoding="utf-8"))["summary"]["objective"] == pytest.approx(worth)


def test_compare_refuses_matrix_files_before_it_prints(bag, capsys):
    """With the lines of a Python file that reads them; these work."""
    pytest.importorskip("rich")
    pytest.importorskip("matplotlib")
    write_mps()
    assert main(["compare", "bag.mps"]) == MISUSED
    said = capsys.readouterr()
    assert said.out == ""
    assert "bag.mps: it is no Python file" in said.err
    lines = [text for text in said.err.split("'") if text.startswith(("from", "model ="))]
    lines.append(re.search(r"model = read_model\('bag.mps'\)", said.err)[0])
    Path("read_bag.py").write_text("\n".join(dict.fromkeys(lines[:1] + lines[-1:])) + "\n")
    assert main(["solve", "read_bag.py", "-q"]) == FINE


def test_simulate_offers_no_matrix_files(capsys):
    """It plays models of the library alone."""
    with pytest.raises(SystemExit):
        main(["simulate", "--help"])
    out = capsys.readouterr().out
    assert "MPS" not in out
    assert "--onloading" not in out
    assert main(["simulate"]) == MISUSED
    assert "--onloading" not in capsys.readouterr().err


@pytest.mark.parametrize("late", [False, True], ids=["KeyboardInterrupt", "ImportError"])
def test_ctrl_c_anywhere_in_a_command_is_one_line(bag, monkeypatch, capsys, late):
    """Also where a module written in C makes an ImportError of it; any other ImportError stays one."""

    def interrupted(options):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            if late:
                raise ImportError("initialization failed") from error
            raise

    monkeypatch.setattr(solving, "solver_of", interrupted)
    assert main(["solve", bag]) == INTERRUPTED
    assert capsys.readouterr().err == "pyomo-j3o: interrupted\n"

    def broken(options):
        raise ImportError("no such thing")

    monkeypatch.setattr(solving, "solver_of", broken)
    with pytest.raises(ImportError, match="no such thing"):
        main(["solve", bag])
