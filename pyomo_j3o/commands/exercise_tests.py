"""The tests of one exercise, run on the code in a folder: ``python -m`` this, in a process of its own.

The tests are those of the package, whatever the folder's own say. The code under test may print, exit or
never end, so what came out is written to a file.
"""

from __future__ import annotations

import json
import sys
import traceback
import unittest
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

#: The exercises, in their order.
EXERCISES = ("onloading_step", "stopping_rule", "observer")


def text_of(name: str) -> str:
    """Return the text of a file of the exercises, such as ``README.md`` or ``observer.py``."""
    stored = name + ".txt" if name.endswith(".py") else name
    return (resources.files("pyomo_j3o.commands") / "exercises" / stored).read_text(encoding="utf-8")


def tests_of(exercise: str) -> list[str]:
    """Return the names of the tests of an exercise, in their order."""
    lines = text_of(f"test_{exercise}.py").splitlines()
    return [line.split("(")[0].split()[1] for line in lines if line.startswith("    def test_")]


def outcomes(folder: Path, exercise: str) -> list[dict[str, Any]]:
    """Run the tests of an exercise on the code in a folder.

    Parameters
    ----------
    folder
        With the file of the exercise.
    exercise
        One of `EXERCISES`.

    Returns
    -------
    list of dict
        Per test ``test``, ``passed`` and ``reason``, which is empty if it passed. If the file cannot be
        imported, all tests have failed for that reason.
    """
    sys.path.insert(0, str(folder))
    module = ModuleType(f"test_{exercise}")
    name = f"test_{exercise}.py"
    code = compile(text_of(name), name, "exec")
    tests = tests_of(exercise)
    try:
        exec(code, module.__dict__)
    except BaseException as error:
        reason = _reason(error)
        return [{"test": test, "passed": False, "reason": reason} for test in tests]
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromModule(module).run(result)
    wrong = {test.id(): text for test, text in (*result.failures, *result.errors)}
    reasons = {name.rpartition(".")[2]: text.strip().splitlines()[-1] for name, text in wrong.items()}
    return [{"test": t, "passed": t not in reasons, "reason": reasons.get(t, "")} for t in tests]


def _reason(error: BaseException) -> str:
    return " ".join(traceback.format_exception_only(error)[-1].split())


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(outcomes(Path(sys.argv[1]), sys.argv[2])), encoding="utf-8")
