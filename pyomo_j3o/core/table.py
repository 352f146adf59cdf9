"""A table that prints, and that other programs read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


#: What is smaller than any solver's tolerance.
NOISE = 1e-6


@dataclass(frozen=True)
class Table:
    """Rows under named columns; printing it gives aligned text.

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

    def __str__(self) -> str:
        numeric = {c: all(isinstance(row[c], (int, float)) for row in self.rows) for c in self.columns}
        cells = [list(self.columns)] + [[_text(row[c]) for c in self.columns] for row in self.rows]
        width = [max(len(line[k]) for line in cells) for k in range(len(self.columns))]
        return "\n".join(
            "  ".join(
                cell.rjust(w) if numeric[c] else cell.ljust(w)
                for cell, w, c in zip(line, width, self.columns, strict=True)
            ).rstrip()
            for line in cells
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the table as a pandas DataFrame; needs pandas."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=list(self.columns))


def _text(cell: Any) -> str:
    if isinstance(cell, float):
        return "0" if abs(cell) < NOISE else f"{cell:.4g}"
    return str(cell)
