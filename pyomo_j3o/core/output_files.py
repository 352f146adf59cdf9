"""Files that a command writes: refused before the work if they cannot be written, and never lost after it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pyomo_j3o.core.whole_files import write_whole
from pyomo_j3o.errors import FileError

#: The endings that pictures may have.
PICTURES = (".pdf", ".png", ".svg")


def require_writable(outputs: Mapping[str, Path | None], inputs: Mapping[Path, str]) -> list[Path]:
    """Raise now, and not after an hour of work, if a file cannot be written.

    Parameters
    ----------
    outputs
        By option, such as ``"csv"``, the file to write; None if it was not asked for. That of ``"plot"`` has
        to be a picture by its ending.
    inputs
        What each file that is read is called, as "the model file".

    Returns
    -------
    list of Path
        The files that will be replaced.

    Raises
    ------
    FileError
        A file cannot be written, or would overwrite one that is read or another one that is written.
    """
    picture = outputs.get("plot")
    if picture is not None and picture.suffix not in PICTURES:
        raise FileError(f"{picture}: no picture is written so; use a name that ends in {', '.join(PICTURES)}")
    places: dict[str, str] = {os.path.realpath(file): what for file, what in inputs.items()}
    replaced = []
    for option, path in outputs.items():
        if path is None:
            continue
        new = not path.exists()
        place = os.path.realpath(path)
        if new or path.is_file():
            if place in places:
                raise FileError(f"{path}: --{option} would overwrite {places[place]}; give another name")
            places[place] = f"the file of --{option}"
        try:
            path.open("a").close()
            if new:
                path.unlink()
        except OSError as cause:
            raise unwritable(path, cause) from cause
        if path.is_file() and path.stat().st_size:
            replaced.append(path)
    return replaced


def unwritable(path: Path, cause: OSError, what: str = "a file") -> FileError:
    """Return the error of a file or folder that cannot be written."""
    return FileError(f"{path}: {cause.strerror or cause}; give {what} that can be written")


def write_file(path: str | Path, content: bytes) -> None:
    """Write a file, whole or not at all.

    Raises
    ------
    FileError
        It cannot be written.
    """
    try:
        write_whole(path, content)
    except OSError as cause:
        raise unwritable(Path(path), cause) from cause


def write_somewhere(path: Path, content: bytes) -> None:
    """Write a file whole; if that fails, under another name beside it or in the folder of temporary files.

    Parameters
    ----------
    path
        Where to.
    content
        All of it.

    Raises
    ------
    FileError
        The file is not where it should be; the message names the file that holds its content instead, if one
        could be written.
    """
    try:
        write_whole(path, content)
    except OSError as cause:
        other = _written_elsewhere(path, content)
        if other is None:
            raise unwritable(path, cause) from cause
        raise FileError(f"{path}: {cause.strerror or cause}; its content is in {other} instead") from cause


def _written_elsewhere(path: Path, content: bytes) -> Path | None:
    """Write to a new file beside a file, or else in the folder of temporary files; return it, if one did."""
    target = Path(os.path.realpath(path))
    beside = not target.exists() or target.is_file()  # a device has no neighbours
    for folder in (*([path.absolute().parent] if beside else []), Path(tempfile.gettempdir())):
        try:
            handle, name = tempfile.mkstemp(dir=folder, prefix=f"{path.stem}-", suffix=path.suffix)
        except OSError:
            continue
        try:
            with open(handle, "wb") as file:
                file.write(content)
        except OSError:
            with suppress(OSError):
                os.unlink(name)
            continue
        return Path(name)
    return None
