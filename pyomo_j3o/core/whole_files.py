"""Files that are written whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file beside its place, and move it there once it is complete.

    What was there stays if the disk is full, or Ctrl-C comes. A link is followed. What is no ordinary file,
    such as a pipe, is written to as it is.

    Parameters
    ----------
    path
        Where to.
    content
        All of it.

    Raises
    ------
    OSError
        It cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with open(target, "wb", buffering=0) as stream:
            stream.write(content)
        return
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with open(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, target.stat().st_mode if target.exists() else 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
