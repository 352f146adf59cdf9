"""A table that prints, that notebooks show, and that other programs read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyomo_j3o.core.html import html_paragraphs, html_table
from pyomo_j3o.core.output_files import write_file

if TYPE_CHECKING:
    import pandas as pd


#: What is smaller than any solver's tolerance.
NOISE = 1e-6

#: What would end a line, or move the cursor, and how it is written in a text of one line.
_ESCAPED = str.maketrans({c: repr(c)[1:-1] for c in [*map(chr, range(32)), *"\x7f\x85\u2028\u2029"]})

#: Rows that a notebook shows.
_ROWS_IN_NOTEBOOK = 60


@dataclass(frozen=True, repr=False)
class Table:
    """Rows under named columns; printing it gives aligned text, a notebook shows it as a table.

    Attributes
    ----------
    columns
        Column names, in order.
    rows
        One dict per row, with every column as a key.
    """

    columns: tuple[str, ...]
    rows: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __getitem__(self, column: str) -> list[Any]:
        """Return the values of one column."""
        if column not in self.columns:
            raise KeyError(f"no column {column!r}; the columns are {', '.join(self.columns)}")
        return [row[column] for row in self.rows]

    def __repr__(self) -> str:
        rows = "1 row" if len(self) == 1 else f"{len(self)} rows"
        return f"<Table of {rows}: {', '.join(self.columns)}>"

    def __str__(self) -> str:
        return "\n".join(aligned([self.columns, *self.cells()], self.numeric))

    def _repr_html_(self) -> str:
        shown = Table(self.columns, self.rows[:_ROWS_IN_NOTEBOOK])
        more = len(self) - len(shown)
        table = html_table(self.columns, shown.cells(), self.numeric)
        return table + html_paragraphs(f"and {more:,} more" if more else "")

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers alone; a number that is missing counts as one."""
        return [
            all(row[c] is None or isinstance(row[c], (int, float)) for row in self.rows) for c in self.columns
        ]

    def cells(self) -> list[list[str]]:
        """Return each row as text, cell by cell."""
        return [[cell_text(row[c]) for c in self.columns] for row in self.rows]

    def to_frame(self) -> pd.DataFrame:
        """Return the table as a pandas DataFrame; needs pandas."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=list(self.columns))

    def to_csv(self, path: str | Path) -> None:
        """Write the table to a CSV file: all rows, and numbers in full.

        Parameters
        ----------
        path
            Of the file, which is written whole or not at all.

        Raises
        ------
        FileError
            If it cannot be written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([_csv_cell(row[c]) for c in self.columns] for row in self.rows)
        write_file(path, text.getvalue().encode("utf-8"))


def aligned(lines: Sequence[Sequence[str]], numeric: Sequence[bool] = ()) -> list[str]:
    """Return the cells of each line as text in columns, those of numbers flush right."""
    lines = [list(map(one_line, line)) for line in lines]
    width = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = list(numeric) or [False] * len(width)
    return [
        "  ".join(
            cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(line, width, right, strict=True)
        ).rstrip()
        for line in lines
    ]


def one_line(text: str) -> str:
    """Return a text that stays on its line: a line break in it is written as two characters."""
    return text.translate(_ESCAPED)


def cell_text(cell: Any) -> str:
    """Return what is printed of a cell: four digits or more of a number, members of a tuple with commas."""
    if isinstance(cell, float):
        return "0" if abs(cell) < NOISE else f"{cell:.0f}" if 1e4 <= abs(cell) < 1e7 else f"{cell:.4g}"
    if cell is None:
        return "-"
    return ", ".join(map(str, cell)) if isinstance(cell, tuple) else str(cell)


def _csv_cell(cell: Any) -> Any:
    """Return a cell for a CSV file: what is missing is empty."""
    return "" if cell is None else ", ".join(map(str, cell)) if isinstance(cell, tuple) else cell
