"""Where progress is drawn: in a notebook, in a real kernel too, on a terminal, and not below a notebook."""

import io
import os
import re
import sys
import time
from types import ModuleType, SimpleNamespace

import pytest

from pyomo_j3o.core import live_display
from pyomo_j3o.core.long_call import LongCall
from pyomo_j3o.fleet.progress import Progress


class Terminal(io.StringIO):
    """A terminal to the program."""

    def isatty(self):
        """Say so."""
        return True


@pytest.fixture
def outputs(monkeypatch):
    """Return the outputs of a notebook's cell; each is a list of the HTML that was drawn there."""
    found = []

    class Handle:
        def __init__(self, thing):
            self.drawn = [thing._repr_html_()]
            found.append(self.drawn)

        def update(self, thing):
            self.drawn.append(thing._repr_html_())

    python, display = ModuleType("IPython"), ModuleType("IPython.display")
    python.get_ipython = lambda: SimpleNamespace(kernel="a kernel")
    display.display = lambda thing, display_id: Handle(thing)
    monkeypatch.setitem(sys.modules, "IPython", python)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return found


def test_a_notebook_has_one_output_that_ends_with_the_seconds(outputs, capsys):
    """It has a bar while there is something to count, escapes what it shows, and nothing else is printed."""
    with LongCall("worth", quiet=0.0) as call:
        call.say("budgets of <b>", 3, 40)
        time.sleep(0.25)
        call.say("budgets of <b>", 7, 40)
    (drawn,) = outputs
    assert 'value="7" max="40"' in drawn[-2]
    assert re.search(r"worth: budgets of &lt;b&gt;, 7 of 40 \(\d+ s\)", drawn[-2])
    assert re.search(r">worth: \d+ s<", drawn[-1])
    assert "<progress" not in drawn[-1]
    assert capsys.readouterr() == ("", "")


def test_a_short_call_leaves_a_notebook_alone(outputs):
    """As does one that is silent."""
    with LongCall("worth") as call:
        call.say("a budget")
    with LongCall("worth", tee=False, quiet=0.0) as call:
        call.say("a budget")
    assert outputs == []


def test_a_fleet_prints_its_lines_once_and_draws_above_them(outputs):
    """The output that is drawn over comes first, so that the lines stay together."""
    stream = io.StringIO()
    with Progress("sweep", stream) as progress, progress.of(2, "solving cases") as step:
        for k in range(2):
            progress.line(f"line {k}")
            step()
    assert stream.getvalue() == "line 0\nline 1\n"
    assert len(outputs) == 1


@pytest.mark.parametrize("tee", [None, False])
def test_a_fleet_without_tee_writes_no_lines(tee, capsys, outputs):
    """It does not write to standard output either."""
    with Progress("sweep", tee) as progress:
        progress.line("a line")
    assert capsys.readouterr() == ("", "")
    assert outputs == []


def test_without_a_bar_a_fleet_says_now_and_then_how_far_it_is(monkeypatch):
    """The lines go where the others go, and come no faster than every half minute."""
    monkeypatch.setattr("pyomo_j3o.core.long_call._BETWEEN", 0.15)
    monkeypatch.setattr("pyomo_j3o.core.long_call._TICK", 0.02)
    stream = io.StringIO()
    begin = time.perf_counter()
    with Progress("sweep", stream) as progress, progress.of(40, "solving cases") as step:
        step()
        while stream.getvalue().count("\n") < 2 and time.perf_counter() - begin < 10.0:
            time.sleep(0.01)
    assert stream.getvalue().startswith("sweep: solving cases, 1 of 40 (")
    assert time.perf_counter() - begin >= 0.3


def test_lines_do_not_mix_with_the_bar_of_a_terminal(monkeypatch):
    """The bar is taken away before a line is printed."""
    pytest.importorskip("rich")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    with LongCall("sweep", quiet=0.0, counts=True) as call:
        call.say("solving cases", 1, 4)
        with call.aside():
            before = len(terminal.getvalue())
            time.sleep(0.3)
            assert len(terminal.getvalue()) == before
    assert "sweep: solving cases, 1 of 4" in terminal.getvalue()


def test_a_command_that_a_notebook_runs_draws_nothing(monkeypatch):
    """It sees a terminal, but its output is kept: a plain line comes instead."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("JPY_PARENT_PID", str(os.getppid()))
    assert live_display.new_display(counts=False) is None
    with LongCall("explain", quiet=0.0) as call:
        call.say("a conflict")
    assert re.fullmatch(r"explain: a conflict \(\d+ s\)\n", terminal.getvalue())


def test_in_a_real_kernel():
    """A call and its lines come as one output that is drawn over, one text, and one table."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cell = """
        from pyomo_j3o.core.long_call import LongCall
        from pyomo_j3o.core.table import Table
        with LongCall("worth", quiet=0.0) as call:
            call.say("budgets", 1, 2)
            print("a line")
        Table(("row",), [{"row": "memory"}])
    """
    lines = "\n".join(line[8:] for line in cell.splitlines())
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(lines)])
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    drawn, text, table = notebook.cells[0].outputs
    assert re.fullmatch(r"worth: \d+ s", drawn["data"]["text/plain"])
    assert text["text"] == "a line\n"
    assert "<td" in table["data"]["text/html"]
