"""What MPS and LP files call their objective: HiGHS does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pyomo_j3o.commands.mps_faults import lines_of

#: The sense of an LP file, and the name of its objective.
_OF_LP = re.compile(
    r"\s*(?:minimi[sz]e|maximi[sz]e|minimum|maximum|min|max)\s+([^\s:<>=+*^\[\]]+)\s*:", re.IGNORECASE
)

#: Lines of an LP file in front of which the name stands.
_LINES = 1000


def objective_name(path: Path) -> str:
    """Return what a file calls its objective; "" if it gives no name.

    Parameters
    ----------
    path
        Of an MPS or LP file, which may be compressed by gzip.
    """
    lines = lines_of(path)
    if ".mps" in path.name.lower():
        return next(_free_rows(lines), "")
    head = "\n".join(line.split("\\")[0] for line in islice(lines, _LINES))
    found = _OF_LP.match(head)
    return found.group(1) if found else ""


def _free_rows(lines: Iterator[str]) -> Iterator[str]:
    """Yield the names of the rows without sides, of which the first is the objective."""
    inside = False
    for line in lines:
        if line.startswith("*"):
            continue
        kind, _, name = line.strip().partition(" ")
        if not line[:1].isspace() and kind in ("ROWS", "COLUMNS"):
            if inside:
                return
            inside = True
        elif inside and kind.upper() == "N":
            yield name.strip()
