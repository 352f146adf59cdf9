"""A scoreboard for onloading steps: who takes part beside them, and how a step is found by its name."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from pyomo_j3o.compare.contestants import Contestant
from pyomo_j3o.compare.dialects import BASELINES
from pyomo_j3o.compare.records import CompareError

#: Options of the alternation alone: a search after it would hide what a step is worth.
_ALONE = {"effort": "alternation"}


@dataclass(frozen=True)
class NamedStep:
    """An onloading step as the command line names it; it pickles by that name, and loads where it is called.

    Attributes
    ----------
    text
        ``module:function``, or ``path/to/file.py:function``.
    folder
        Where modules and relative paths are looked for.
    """

    text: str
    folder: str

    def __call__(self, structure: Any, prices: Any) -> Any:
        """Return what the step returns; whatever it raises is a failure of its own."""
        step = loaded(self)
        try:
            return step(structure, prices)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise RuntimeError(f"{said} ({Path(last.filename).name}, line {last.lineno})") from error

    def __repr__(self) -> str:
        return self.text


def steps_of(texts: Sequence[str]) -> list[Contestant]:
    """Return the alternation with each of these steps, named as on the command line.

    Raises
    ------
    CompareError
        A step cannot be found.
    """
    contestants = []
    for text in texts:
        step = NamedStep(text, str(Path.cwd()))
        loaded(step)
        contestants.append(Contestant(text, "j3o", {**_ALONE, "onloading_step": step}))
    return contestants


def scoreboard(steps: Sequence[Contestant]) -> list[Contestant]:
    """Return steps among those that they are measured by: the greedy step, j3o, and the baselines."""
    greedy, best = Contestant("greedy step", "j3o", _ALONE), Contestant("j3o", "j3o", {})
    # j3o pursues the gap that all are told, for the optimum. The baselines that search need not.
    searching = {name: {"effort": "default"} for name in BASELINES if name.startswith("j3o.all_")}
    baselines = [Contestant(name.partition(".")[2], name, searching.get(name, {})) for name in BASELINES]
    return [greedy, *steps, best, *baselines]


@cache
def loaded(step: NamedStep) -> Callable[..., Any]:
    """Return the function that a step names.

    Raises
    ------
    CompareError
        There is no such module, file or function, or importing it fails.
    """
    place, colon, name = step.text.rpartition(":")
    if not (colon and place and name):
        raise CompareError(
            f"--onloading {step.text}: it names no function; write mymodule:my_step, or ann.py:my_step"
        )
    folder = Path(step.folder, place).parent if place.endswith(".py") else Path(step.folder)
    sys.path.insert(0, str(folder))
    try:
        module = _file(Path(step.folder, place)) if place.endswith(".py") else importlib.import_module(place)
    except CompareError:
        raise
    except ModuleNotFoundError as error:
        raise CompareError(
            f"--onloading {step.text}: there is no module {error.name!r} in {folder} or among those installed"
        ) from error
    except Exception as error:
        said = " ".join(str(error).split())
        raise CompareError(f"--onloading {step.text}: {type(error).__name__}: {said}") from error
    finally:
        sys.path.remove(str(folder))
    function = getattr(module, name, None)
    if not callable(function):
        raise CompareError(f"--onloading {step.text}: {place} has no function {name!r}; define it there")
    return function


def _file(path: Path) -> ModuleType:
    """Run a file as a module of its own: several may have one name."""
    if not path.is_file():
        raise CompareError(f"--onloading {path}: there is no such file; give the path from this folder")
    spec = importlib.util.spec_from_file_location(f"_step_{abs(hash(path))}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
