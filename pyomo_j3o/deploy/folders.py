"""Folders that are written whole, or not at all, and never over anything else."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pyomo_j3o.errors import DeployError

#: Lists what was written, with digests, so that the next export knows what is its own.
_MANIFEST = ".j3o-export.json"


def write_export(
    folder: str | Path, kind: str, files: Mapping[str, str], empty: Sequence[str] = ()
) -> list[Path]:
    """Write a folder of files beside its place, and move it there once it is complete.

    A folder that does not exist, or is empty, is filled. One that holds an earlier export of the same kind,
    as it was written, is replaced. Anything else is left as it is.

    Parameters
    ----------
    folder
        Where to.
    kind
        What is exported, in a word.
    files
        By path below the folder, with "/", the text of each file.
    empty
        Folders below it that hold nothing yet.

    Returns
    -------
    list of Path
        The files, in order.

    Raises
    ------
    DeployError
        If the folder holds anything else, or cannot be written.
    """
    target = Path(os.path.realpath(folder))
    try:
        _require_free(target, kind)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside:
            new = Path(beside) / "new"
            _fill(new, kind, files, empty)
            _put_in_place(new, target, Path(beside) / "old")
    except OSError as error:
        raise DeployError(
            f"folder {folder} cannot be written ({error}); make room, or give another"
        ) from error
    return [Path(folder) / name for name in files]


def _fill(new: Path, kind: str, files: Mapping[str, str], empty: Sequence[str]) -> None:
    new.mkdir()
    for name in empty:
        (new / name).mkdir(parents=True, exist_ok=True)
    digests = {}
    for name, text in files.items():
        # Half of a character becomes what JSON writes for it.
        content = text.encode("utf-8", "backslashreplace")
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        (new / name).write_bytes(content)
        digests[name] = hashlib.sha256(content).hexdigest()
    manifest = {"kind": kind, "files": digests}
    (new / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _put_in_place(new: Path, target: Path, old: Path) -> None:
    if not target.exists():
        new.rename(target)
        return
    target.rename(old)
    try:
        new.rename(target)
    except BaseException:
        old.rename(target)
        raise


def _require_free(target: Path, kind: str) -> None:
    """Raise a `DeployError` if a folder holds anything that this export may not replace."""
    if not target.exists():
        return
    if not target.is_dir():
        raise DeployError(f"{target} is a file; give the name of a folder")
    if Path.cwd().is_relative_to(target):
        # It is replaced by another folder of its name.
        raise DeployError(f"folder {target} is the one that this process works in; give another one")
    present = sorted(_files(target))
    if not present:
        return
    try:
        manifest = json.loads((target / _MANIFEST).read_text(encoding="utf-8"))
        held, digests = str(manifest["kind"]), dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise DeployError(
            f"folder {target} holds other files, such as {present[0]!r}; give an empty or a new one"
        ) from None
    if held != kind:
        raise DeployError(f"folder {target} holds an export for {held}; give every kind a folder of its own")
    for name in present:
        if name != _MANIFEST and not _unchanged(target / name, digests.get(name)):
            done = "changed" if name in digests else "added"
            raise DeployError(
                f"folder {target} holds {name!r}, which was {done} after the export and would be lost; "
                "give a new folder, or move the file"
            )


def _files(target: Path) -> Iterator[str]:
    """Yield the paths of files and links below a folder, with "/"."""
    for path in target.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(target).as_posix()


def _unchanged(path: Path, digest: str | None) -> bool:
    return (
        path.is_file() and not path.is_symlink() and hashlib.sha256(path.read_bytes()).hexdigest() == digest
    )
