"""A text stream that outlasts its reader."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from typing import Any, TextIO


class LastingStream(io.TextIOBase):
    """A text stream that goes quiet where it fails: the work goes on, and its files are written.

    Parameters
    ----------
    stream
        To write to.

    Attributes
    ----------
    failure
        Why not all was written; "" if it was, or if its reader went away.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._open = True
        self.failure = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the file descriptor of the stream."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Return True: what cannot be written is dropped."""
        return True

    def write(self, text: str) -> int:
        """Write, or drop the text."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, or do nothing."""
        self._try(self._stream.flush)

    def _try(self, work: Callable[[], Any]) -> None:
        if not self._open:
            return
        try:
            work()
        except OSError as error:
            self._open = False
            if error.errno != errno.EPIPE:  # who read it, as `head` does, may have gone
                self.failure = error.strerror or str(error)
