"""The folder of a run: one small file for every visit's answer, so that nothing is solved twice."""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
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
        except (OSError, EOFError, ValueError):
            return None
        look, answer = found["look"], found["answer"]
        for part, names in ((look, ("least", "most", "holds")), (answer, ("uses",))):
            part.update({name: tuple(part[name]) for name in names})
        answer["task"] = task
        return Look(**look), Answer(**answer)

    def _file(self, name: Name, task: Task) -> Path:
        told = repr((name, task.prices, task.weight, task.caps, task.effort)).encode()
        return self.path / f"{hashlib.sha256(told).hexdigest()[:32]}.json.gz"


def identity_of(
    build: Any, names: Sequence[Name], arguments: Sequence[Any], shared: Mapping[str, float], options: Any
) -> dict[str, str]:
    """Return what makes a run this run: prices depend on limits, and answers on all the rest."""

    def digest(thing: Any) -> str:
        return hashlib.sha256(pickle.dumps(thing, protocol=4)).hexdigest()[:16]

    where = f"{getattr(build, '__module__', '?')}.{getattr(build, '__qualname__', repr(type(build)))}"
    each = hashlib.sha256("".join(digest(argument) for argument in arguments).encode()).hexdigest()[:16]
    return {
        "build": where,
        "parts": f"{len(names)}, {digest(list(map(repr, names)))}, {each}",
        "shared budgets": repr(sorted(shared.items())),
        "options": repr([sorted(each.items()) for each in options]),
        "version of pyomo_j3o": __version__,
    }
