"""The folder of a run: one small file for every visit's answer, so that nothing is solved twice."""

from __future__ import annotations

import gzip
import hashlib
import inspect
import json
import pickle
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from pyomo_j3o.core.version import __version__
from pyomo_j3o.core.whole_files import write_whole
from pyomo_j3o.errors import FleetError
from pyomo_j3o.fleet.records import Answer, Look, Name, Task

_MANIFEST = "fleet.json"


class Folder:
    """What a run has found, in files; the plans of the parts are nowhere else.

    Parameters
    ----------
    path
        Where; None for a folder that is removed once nobody asks for it any more.
    identity
        What makes a run this run, as text.

    Raises
    ------
    FleetError
        The folder belongs to another run, or cannot be used.
    """

    def __init__(self, path: str | Path | None, identity: Mapping[str, str]) -> None:
        self._temporary = None
        if path is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="j3o-fleet-")
            path = self._temporary.name
        elif not isinstance(path, (str, Path)):
            raise FleetError(f"folder={path!r} is no path; give one")
        self.path = Path(path)
        manifest = self.path / _MANIFEST
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not manifest.exists():
                if any(self.path.iterdir()):
                    raise FleetError(f"folder {self.path} holds other files; give an empty or a new one")
                write_whole(manifest, json.dumps(identity, indent=1).encode())
            held = json.loads(manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            if isinstance(error, FleetError):
                raise
            raise FleetError(f"folder {self.path} cannot be used ({error}); give another one") from error
        if not isinstance(held, dict):
            raise FleetError(f"folder {self.path} cannot be used ({_MANIFEST} is broken); give another one")
        other = [name for name in identity if held.get(name) != identity[name]]
        if other:
            raise FleetError(
                f"folder {self.path} is that of another run: not the same {' and '.join(other)}; give "
                "another folder, or the arguments of that run"
            )

    def keep(self, name: Name, look: Look, answer: Answer) -> None:
        """Write the answer to one task."""
        content = json.dumps({"look": asdict(look), "answer": asdict(answer)}).encode()
        try:
            write_whole(self._file(name, answer.task), gzip.compress(content, compresslevel=3, mtime=0))
        except OSError as error:
            raise FleetError(
                f"folder {self.path} cannot be written to ({error}); make room, or give another one"
            ) from error

    def held(self, name: Name, task: Task) -> tuple[Look, Answer] | None:
        """Return the answer to a task, if there is one."""
        try:
            found = json.loads(gzip.decompress(self._file(name, task).read_bytes()))
            look, answer = found["look"], found["answer"]
            for part, names in ((look, ("least", "most", "holds")), (answer, ("uses",))):
                part.update({name: tuple(part[name]) for name in names})
            answer["task"] = task
            held = Look(**look), Answer(**answer)
            return held if _is_sound(*held) else None
        except (OSError, EOFError, ValueError, zlib.error, LookupError, TypeError, AttributeError):
            return None  # it is missing or broken: the task is solved again

    def _file(self, name: Name, task: Task) -> Path:
        told = repr((name, task.prices, task.weight, task.caps, task.effort)).encode()
        return self.path / f"{hashlib.sha256(told).hexdigest()[:32]}.json.gz"


def _is_sound(look: Look, answer: Answer) -> bool:
    """Return whether a record holds as many figures as it should, and figures alone."""
    n = len(answer.task.prices)
    lengths = {len(look.least), len(look.most), len(look.holds)}
    has_plan = answer.objective is not None
    figures: list[object] = [*look.least, *look.most, look.highest, answer.bound, answer.seconds]
    figures += [*answer.uses, *answer.plan.values(), *([answer.objective] if has_plan else [])]
    return (
        lengths == {n}
        and len(answer.uses) == (n if has_plan else 0)
        and (has_plan or not answer.plan)
        and all(isinstance(figure, (int, float)) for figure in figures)
    )


def identity_of(
    build: Any, names: Sequence[Name], arguments: Sequence[Any], shared: Mapping[str, float], options: Any
) -> dict[str, str]:
    """Return what makes a run this run: prices depend on limits, and answers on all the rest."""
    each = hashlib.sha256("".join(_digest(argument) for argument in arguments).encode()).hexdigest()[:16]
    return {
        "build": _called(build),
        "parts": f"{len(names)}, {_digest(list(map(repr, names)))}, {each}",
        "shared budgets": repr(sorted(shared.items())),
        "options": repr([sorted(each.items()) for each in options]),
        "version of pyomo_j3o": __version__,
    }


def _called(build: Any) -> str:
    """Return the name of a function, with what it holds: arguments of a partial, attributes of an object."""
    if isinstance(build, partial):
        return f"{_called(build.func)} with {_digest((build.args, sorted(build.keywords.items())))}"
    name = getattr(build, "__qualname__", None)
    holder = build.__self__ if inspect.ismethod(build) else build if name is None else None
    named = f"{getattr(build, '__module__', '?')}.{name or type(build).__qualname__}"
    return named if holder is None else f"{named} of {_digest(holder)}"


def _ordered(thing: Any) -> Any:
    """Return a thing with its sets in one order, whatever order the hashes of this process give them."""
    if type(thing) is dict:
        return {key: _ordered(value) for key, value in thing.items()}
    if type(thing) in (list, tuple):
        return type(thing)(map(_ordered, thing))
    if type(thing) in (set, frozenset):
        return type(thing).__name__, sorted(pickle.dumps(_ordered(each), protocol=4) for each in thing)
    return thing


def _digest(thing: Any) -> str:
    try:
        content = pickle.dumps(_ordered(thing), protocol=4)
    except Exception as error:
        raise FleetError(
            f"what build is, or is called with, cannot be pickled ({type(error).__name__}: {error}), so a "
            "folder cannot tell it from another; give no folder"
        ) from error
    return hashlib.sha256(content).hexdigest()[:16]
