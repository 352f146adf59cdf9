"""Pyomo's own battery for solvers behind its new interface, run on j3o and j3o.exact alone.

The battery reads its lists of solvers while its classes are made, so the lists are put into its source before
it is executed. j3o takes LPs and binary programs without annotation; what it cannot take is listed below with
the reason, and each such reason is a test of its own.
"""

import importlib.util
import pathlib
import re
import types
import unittest

import pytest

from pyomo_j3o import J3O
from pyomo_j3o.errors import AnnotationError, ModelError
from pyomo_j3o.solver import ExactJ3O

pytest.importorskip("parameterized")

#: What cannot apply to j3o: test → (what it raises, why).
CANNOT = {
    f"{case}_{solver}": reason
    for solver in ("0_j3o", "1_j3o_exact")
    for case, reason in (
        ("test_no_objective", (ModelError, "a model without an objective is an error in j3o")),
        ("test_domain_with_integers", (AnnotationError, "j3o has no general integer variables")),
    )
}

#: Lists of the battery that stay empty: j3o takes neither squares, nor general nonlinear terms, nor SOS.
WITHOUT_J3O = ("nlp_solvers", "qcp_solvers", "qp_solvers", "miqcqp_solvers", "nl_solvers", "sos_solvers")

_LISTS = f"""
class mark_parameterized(parameterized):
    expand = classmethod(lambda cls, input, **kwds: parameterized.expand(input, skip_on_empty=True, **kwds))

all_solvers = mip_solvers = dual_solvers = [("j3o", J3O), ("j3o.exact", ExactJ3O)]
{" = ".join(WITHOUT_J3O)} = []
nl_solvers_set = set()


def _load_tests("""


def _battery_for_j3o():
    # Not imported: that would make the marks of its own cases, which pytest does not know here.
    battery = importlib.util.find_spec("pyomo.contrib.solver.tests.solvers.test_solvers").origin
    source = pathlib.Path(battery).read_text()
    source, lists = re.subn(r"\ndef _load_tests\(", lambda _: _LISTS, source)
    # The classic twin of j3o is named as itself.
    source, names = re.subn(r"name \+ '_v2'", "name", source)
    # Written for HiGHS alone, whose option it is.
    source, _ = re.subn(r"_load_tests\(\[\(\"highs\", Highs\)\]\)", "[]", source)
    assert lists == 1
    assert names == 2
    module = types.ModuleType("battery_for_j3o")
    module.J3O, module.ExactJ3O = J3O, ExactJ3O
    exec(compile(source, battery, "exec"), module.__dict__)
    return module


_module = _battery_for_j3o()
_refused = {}


def _take_out(cls):
    """Return `cls` without what cannot apply."""
    cls.__module__ = __name__
    for name in [name for name in vars(cls) if name in CANNOT]:
        _refused[name] = (cls, getattr(cls, name))
        delattr(cls, name)
    return cls


TestDualSignConvention = _take_out(_module.TestDualSignConvention)
TestSolvers = _take_out(_module.TestSolvers)
TestLegacySolverInterface = _take_out(_module.TestLegacySolverInterface)


@pytest.mark.parametrize("name", CANNOT)
def test_what_cannot_apply_is_refused(name):
    """Each case that was left out is one that j3o refuses, for the reason given."""
    cls, method = _refused[name]
    error, _ = CANNOT[name]
    with pytest.raises(error):
        method(cls())


def test_most_of_the_battery_runs():
    """Pyomo's battery has not moved away: over 40 cases are collected."""
    classes = (TestDualSignConvention, TestSolvers, TestLegacySolverInterface)
    cases = [name for cls in classes for name in unittest.TestLoader().getTestCaseNames(cls) if "j3o" in name]
    assert len(cases) >= 40
