"""Runs Pyomo's own test modules with j3o in the place of the solvers that they name. No tests in here."""

import importlib.util
import pathlib
import re
import types
import unittest


def load(name, changes, **names):
    """Return the module `name` of the installed Pyomo, executed with its source changed.

    It is not imported: that would make the marks of its own cases, which pytest does not know here.

    Parameters
    ----------
    name
        Dotted.
    changes
        (pattern, replacement) each; every one has to apply.
    **names
        What the source finds defined.
    """
    path = importlib.util.find_spec(name).origin
    source = pathlib.Path(path).read_text(encoding="utf-8")
    for pattern, replacement in changes:
        source, times = re.subn(pattern, lambda _, text=replacement: text, source)
        assert times, f"{name} holds no {pattern!r} any more"
    module = types.ModuleType(name.rpartition(".")[2])
    module.__dict__.update(names, __file__=path)
    exec(compile(source, path, "exec"), module.__dict__)
    return module


def cases_of(cls):
    """Return the names of the test cases of a class, in order."""
    return unittest.TestLoader().getTestCaseNames(cls)
