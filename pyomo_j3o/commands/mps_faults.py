"""What is wrong in the text of an MPS file, with its line: HiGHS would guess, or leave entries out."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Iterator
from pathlib import Path

#: Sections that are looked at.
_SECTIONS = {"NAME", "OBJSENSE", "ROWS", "COLUMNS", "RHS", "RANGES", "BOUNDS", "ENDATA"}

#: Kinds of bounds: which ends they set, lower (L) and upper (U), and whether a number follows.
_BOUNDS = {
    "UP": ("U", True),
    "LO": ("L", True),
    "FX": ("LU", True),
    "UI": ("U", True),
    "LI": ("L", True),
    "SC": ("U", True),
    "BV": ("LU", False),
    "FR": ("LU", False),
    "MI": ("L", False),
    "PL": ("U", False),
}


class _Fault(Exception):
    """What is wrong with the line at hand."""


def first_fault(path: Path) -> str | None:
    """Return the first thing that is wrong in an MPS file, with its line; None if nothing is found.

    Names are taken to hold no blanks, as in free MPS. Sections that only some readers know end the search.

    Parameters
    ----------
    path
        Of the file, which may be compressed by gzip.
    """
    reader = _Reader()
    number = 0
    for number, line in enumerate(lines_of(path), 1):
        try:
            more = reader.take(line)
        except _Fault as fault:
            return f"line {number}: {fault}"
        if not more:
            return None if reader.at_end is None else reader.at_end()
    if not reader.began:
        return "the file is empty; give one with a model in it"
    return f"line {number}: the file ends without ENDATA; it may have been cut off"


def lines_of(path: Path) -> Iterator[str]:
    """Yield the lines of a file that may be compressed."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with (gzip.open if packed else open)(path, "rt", encoding="utf-8", errors="replace") as text:
        yield from text


def is_fixed(path: Path) -> bool:
    """Return whether the fields of all entries stand where fixed MPS has them, so that names may hold blanks.

    Parameters
    ----------
    path
        Of the file, which may be compressed by gzip.
    """
    inside = False
    for line in lines_of(path):
        if not line[:1].isspace() and not line.startswith("*"):
            inside = line.strip() == "COLUMNS"
        elif inside and line.strip() and "'MARKER'" not in line:
            gaps = line[:4] + line[12:14] + line[22:24]
            if gaps.strip() or line[4].isspace() or not _is_number(line[24:36]):
                return False
    return True


class _Reader:
    """Takes one line after the other, and raises `_Fault` at the first that is wrong."""

    def __init__(self) -> None:
        self._section = ""
        self._rows: set[str] = set()
        #: The rows that have an entry, of the column at hand and of each section of sides.
        self._entries: dict[str, set[str]] = {}
        self._column = ""
        self._columns: set[str] = set()
        self._in_marker = False
        #: Integer columns and ends of columns that have a bound.
        self._integer: list[str] = []
        self._bounds: set[tuple[str, str]] = set()
        self.began = False
        #: What is to be asked at ENDATA; None where a section ended the search.
        self.at_end: Callable[[], str | None] | None = None

    def take(self, line: str) -> bool:
        """Look at a line, and return whether there is more to look at."""
        words = line.split()
        if not words or line.startswith("*"):
            return True
        self.began = True
        if not line[0].isspace() and (words[0].upper() in _SECTIONS or len(words) == 1):
            return self._begin(words[0].upper())
        if self._section == "ROWS":
            self._row(words)
        elif self._section == "COLUMNS":
            self._entry_of_column(words)
        elif self._section in ("RHS", "RANGES"):
            seen = self._entries.setdefault(self._section, set())
            self._pairs(words[len(words) % 2 :], seen, f"in {self._section}")
        elif self._section == "BOUNDS":
            self._bound(words)
        elif self._section == "":
            raise _Fault("the file does not begin with a section such as NAME or ROWS")
        return True

    def _begin(self, section: str) -> bool:
        """Begin a section, and return whether it is one that is looked at."""
        if self._section == "" and section not in _SECTIONS:
            raise _Fault("the file does not begin with a section such as NAME or ROWS")
        if section == "ENDATA":
            self.at_end = self._integer_without_bounds
        self._section = section
        return section in _SECTIONS and section != "ENDATA"

    def _row(self, words: list[str]) -> None:
        if len(words) != 2 or words[0].upper() not in ("N", "L", "G", "E"):
            raise _Fault(f"'{' '.join(words)}' is no row; write N, L, G or E and a name")
        if words[1] in self._rows:
            raise _Fault(f"row '{words[1]}' is there twice; give it another name")
        self._rows.add(words[1])

    def _entry_of_column(self, words: list[str]) -> None:
        if "'MARKER'" in words:
            self._in_marker = "'INTORG'" in words
            return
        name = words[0]
        if name != self._column:
            if name in self._columns:
                raise _Fault(
                    f"column '{name}' is there twice; give it another name, or put its lines together"
                )
            self._columns.add(name)
            self._column, self._entries["COLUMNS"] = name, set()
            if self._in_marker:
                self._integer.append(name)
        self._pairs(words[1:], self._entries["COLUMNS"], f"of column '{name}'")

    def _pairs(self, words: list[str], seen: set[str], where: str) -> None:
        """Look at rows and numbers in turn."""
        if not words or len(words) % 2:
            raise _Fault(f"an entry {where} is not complete; write a row and a number")
        for row, number in zip(words[::2], words[1::2], strict=True):
            if row not in self._rows:
                raise _Fault(f"row '{row}' {where} is not in ROWS")
            if row in seen:
                raise _Fault(f"a second entry {where} for row '{row}'; leave one out")
            seen.add(row)
            _require_number(number)

    def _bound(self, words: list[str]) -> None:
        kind = words[0].upper()
        if kind not in _BOUNDS:
            raise _Fault(f"'{words[0]}' is no kind of bound; write one of {', '.join(_BOUNDS)}")
        ends, needs_number = _BOUNDS[kind]
        names = words[1:]
        # Behind a kind without a number one may stand all the same; the name of the set may be missing.
        if needs_number or len(names) == 3 or (len(names) == 2 and names[-1] not in self._columns):
            if len(names) < 2:
                raise _Fault(f"a bound of kind {kind} is not complete; write a column and a number")
            _require_number(names.pop())
        name = names[-1]
        if name not in self._columns:
            raise _Fault(f"column '{name}' in BOUNDS is not in COLUMNS")
        for end in ends:
            if (name, end) in self._bounds:
                side = "a lower" if end == "L" else "an upper"
                raise _Fault(f"column '{name}' has {side} bound already; leave one out")
            self._bounds.add((name, end))

    def _integer_without_bounds(self) -> str | None:
        """Return what is wrong if an integer column has no bound: readers differ on what it then is."""
        for name in self._integer:
            if (name, "L") not in self._bounds and (name, "U") not in self._bounds:
                return (
                    f"integer column '{name}' has no bounds, which some readers take as 0 to 1 and others as "
                    "no end; give it an upper bound in BOUNDS, or BV where it is 0 or 1"
                )
        return None


def _require_number(word: str) -> None:
    if not _is_number(word):
        raise _Fault(f"'{word}' is no number")


def _is_number(word: str) -> bool:
    try:
        return not math.isnan(float(word))
    except ValueError:
        return False
