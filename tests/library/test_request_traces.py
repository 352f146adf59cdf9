"""Traces: the two that come with the package, files, and what is refused."""

import math

import numpy as np
import pytest

from pyomo_j3o.library import Trace, request_traces


def test_the_recorded_traces_are_whole_minutes_of_two_services():
    """Incomplete last minutes are left out; minutes without a request are in."""
    trace = request_traces()
    assert trace.series == ("code", "conv")
    assert trace.counts.shape == (57, 2)
    assert trace.counts[:4, 0].tolist() == [63, 0, 0, 531]
    assert trace.counts[-1].tolist() == [47, 246]
    assert (trace.counts[:, 0] == 0).sum() == 12
    assert np.allclose(trace.factors.mean(axis=0), 1.0)
    assert not trace.counts.flags.writeable


def test_files_may_end_at_different_minutes(tmp_path):
    """Minutes that not all series have at the ends are left out; comments and order do not matter."""
    path = tmp_path / "counts.csv"
    path.write_text("# mine\nn,name,t\n3,a,5\n4,b,6\n0,b,5\n\n2,a,6\n7,a,7\n", encoding="utf-8")
    trace = Trace.read_csv(path, series="name", minute="t", count="n")
    assert trace.series == ("a", "b")
    assert trace.minutes.tolist() == [5, 6]
    assert trace.counts.tolist() == [[3, 0], [2, 4]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("service,minute\na,0\n", "no column 'requests'"),
        ("service,minute,requests\n", "has no line"),
        ("service,minute,requests\na,0,1\na,2,1\n", "minute 1 of 'a' is missing"),
        ("service,minute,requests\na,0,1\na,0,1\n", "minute 0 of 'a' occurs twice"),
        ("service,minute,requests\na,0,many\n", "minute '0' of 'a' has the count 'many'"),
        ("service,minute,requests\na,0.5,1\n", "minute '0.5' of 'a'"),
        ("service,minute,requests\na,-3,1\n", "^minutes: -3 is no minute; give whole numbers of at least 0$"),
        (
            "service,minute,requests\na,0,1\na,1,1\nb,5,1\n",
            "'b' begins in minute 5, but 'a' ends in minute 1; give series that have a minute in common$",
        ),
        ("service,minute,requests\na,0,3\na,1,-2\n", r"minute 1, 'a'\]: -2.0 is no count"),
    ],
)
def test_files_that_are_no_trace_are_refused(tmp_path, text, message):
    """One sentence names the first offender."""
    path = tmp_path / "counts.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        Trace.read_csv(path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"series": ("a", "a")}, "series="),
        ({"counts": [1.0, 2.0]}, "counts: shape"),
        ({"counts": "many"}, "counts: not an array"),
        ({"counts": [[1, 2], [3, math.nan], [-1, 0]]}, r"counts\[minute 1, 'b'\]: nan is no count"),
        ({"counts": [[1, 2], [math.inf, 1], [1, 0]]}, r"counts\[minute 1, 'a'\]: inf"),
        ({"counts": [[1, 0], [1, 0], [1, 0]]}, r"counts\['b'\]: nothing ever arrives"),
        ({"minutes": [0, 1, 3]}, "after 1 comes 3"),
        ({"minutes": [0.5, 1.5, 2.5]}, "0.5 is no minute"),
        ({"minutes": [math.nan, 1, 2]}, "nan is no minute"),
        ({"minutes": [0, 2, 1]}, "after 0 comes 2"),
        ({"minutes": [0, 1]}, "minutes: 2 of them for 3 rows of counts"),
    ],
)
def test_arrays_that_are_no_trace_are_refused(given, message):
    """Gaps, negative numbers and NaN are named with their minute and series."""
    usual = {"series": ("a", "b"), "counts": [[1, 2], [0, 1], [4, 0]]}
    with pytest.raises(ValueError, match=message):
        Trace(**(usual | given))
