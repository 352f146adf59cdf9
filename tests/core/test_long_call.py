"""What a long call says: nothing soon, lines where somebody looks, and never in the way of what it does."""

import io
import logging
import re
import sys
import time

import pytest

from pyomo_j3o.core import long_call
from pyomo_j3o.core.long_call import LongCall


class Terminal(io.StringIO):
    """A terminal to the program."""

    def isatty(self):
        """Say so."""
        return True


def test_a_short_call_says_nothing(capsys):
    """Not on a terminal, not in the log."""
    with LongCall("explain") as call:
        call.say("working")
    assert capsys.readouterr() == ("", "")


def test_tee_says_everything_or_nothing(capsys):
    """True: at once, on stdout. False: never, however long it takes."""
    with LongCall("explain", tee=True) as call:
        call.say("a bound")
    assert capsys.readouterr().out.startswith("a bound (0.")
    with LongCall("explain", tee=False, quiet=0.0) as call:
        call.say("a bound")
    assert capsys.readouterr() == ("", "")


def test_tee_is_never_silent(capsys):
    """What was said last is printed again while nothing new is said, and not after the call."""
    with LongCall("explain", tee=True, beat=0.02) as call:
        call.say("a bound")
        text, deadline = "", time.perf_counter() + 10.0
        while "a bound, still at work (" not in text and time.perf_counter() < deadline:
            time.sleep(0.01)
            text += capsys.readouterr().out
    assert "a bound, still at work (" in text
    capsys.readouterr()
    time.sleep(0.1)
    assert capsys.readouterr() == ("", "")


def test_in_a_pipe_lines_go_to_the_log(caplog, capsys):
    """Nobody looks at stderr there."""
    with caplog.at_level(logging.INFO, "pyomo_j3o"), LongCall("explain", quiet=0.0) as call:
        call.say("a bound")
        call.say("too soon for another line")
    assert [record.getMessage() for record in caplog.records] == ["explain: a bound (0 s)"]
    assert capsys.readouterr() == ("", "")


def test_a_terminal_without_rich_gets_plain_lines(monkeypatch):
    """The timer says what is done, if nobody says anything new."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(long_call, "new_display", lambda counts: None)
    with LongCall("worth", quiet=0.5) as call:
        call.say("the first budget")
        assert terminal.getvalue() == ""
        deadline = time.perf_counter() + 10.0
        while not terminal.getvalue() and time.perf_counter() < deadline:
            time.sleep(0.01)
    assert re.fullmatch(r"worth: the first budget \(\d+ s\)\n", terminal.getvalue())


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_a_line_of_rich_ends_with_the_call(monkeypatch, error):
    """However the call ends, the terminal is left as it was."""
    pytest.importorskip("rich")
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    call = LongCall("worth", quiet=0.0)
    try:
        with call:
            call.say("the [first] budget")
            drawn = call._display._drawn
            assert drawn.live.is_started
            if error:
                raise error
    except KeyboardInterrupt:
        assert error is KeyboardInterrupt
    assert not drawn.live.is_started
    assert "worth: the [first] budget" in terminal.getvalue()
    call.say("afterwards")
    assert "afterwards" not in terminal.getvalue()
