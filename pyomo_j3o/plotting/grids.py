"""Grids of two indices: what is placed where, and amounts as colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pyomo_j3o.core.short_names import shortened, told_apart
from pyomo_j3o.plotting.axes import BLUE, GREY, and_more, axes_or_new, font_size, legend_above, patch

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Rows and columns that a picture shows; a larger one could not be read.
MOST_ROWS, MOST_COLUMNS = 40, 40

#: Characters of a name beside a row, and below a column.
ROW_NAME, _COLUMN_NAME = 28, 16

#: Width in points of a letter of an axis' name; capital letters are that wide.
_LETTER = 7.5

_CANDIDATE = "#E8E8E8"

Index = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Values by row and column, as many as can be read.

    Attributes
    ----------
    rows, columns
        Their names.
    value : (R, C)
        Sum of the values; NaN where there is no variable.
    more_rows, more_columns
        Numbers of those that are left out.
    """

    rows: list[str]
    columns: list[str]
    value: np.ndarray
    more_rows: int
    more_columns: int

    @classmethod
    def of(
        cls,
        values: Mapping[Index, float],
        candidates: Sequence[Index],
        row: int,
        column: int | None,
        with_empty: bool = False,
    ) -> Grid:
        """Return the grid of variables.

        Parameters
        ----------
        values
            By index.
        candidates
            Indices of all variables, in their order.
        row, column
            Positions in the index; without a `column` all positions but that of the row are one.
        with_empty
            Whether rows and columns that hold nothing are drawn, too.
        """

        def places(index: Index) -> tuple[Any, Any]:
            rest = index[1:] if len(index) > 2 else index[1]
            return index[row], rest if column is None else index[column]

        total: dict[tuple[Any, Any], float] = {}
        for index in candidates:
            place = places(index)
            total[place] = total.get(place, 0.0) + values.get(index, 0.0)
        if not with_empty:
            total = {place: amount for place, amount in total.items() if amount}
        order = [list(dict.fromkeys(places(index)[side] for index in candidates)) for side in (0, 1)]
        place_of = {name: k for k, name in enumerate(dict.fromkeys([*order[0], *order[1]]))}
        order[1].sort(key=place_of.__getitem__)  # both ends of arcs come in one order
        columns, more_columns = _largest(total, 1, MOST_COLUMNS, order[1])
        kept = {place: amount for place, amount in total.items() if place[1] in columns}
        rows, more_rows = _largest(kept, 0, MOST_ROWS, order[0])
        more_rows += len({place[0] for place in total}) - len({place[0] for place in kept})
        value = np.full((len(rows), len(columns)), np.nan)
        for (one, other), amount in total.items():
            if one in rows and other in columns:
                value[rows[one], columns[other]] = amount
        return cls(_names(rows, ROW_NAME), _names(columns, _COLUMN_NAME), value, more_rows, more_columns)


def _largest(
    total: Mapping[tuple[Any, Any], float], side: int, most: int, order: Sequence[Any]
) -> tuple[dict[Any, int], int]:
    """Return the places of the rows or columns that hold most, in this order, and how many are left out."""
    sums: dict[Any, float] = {}
    for place, amount in total.items():
        sums[place[side]] = sums.get(place[side], 0.0) + abs(amount)
    kept = set(sorted(sums, key=lambda name: -sums[name])[:most])
    return {name: k for k, name in enumerate(name for name in order if name in kept)}, len(sums) - len(kept)


def _names(places: Mapping[Any, int], widest: int) -> list[str]:
    texts = [", ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in places]
    return told_apart(texts, widest)


def draw_placed(grid: Grid, ax: Axes | None) -> Axes:
    """Draw which cells are placed, and how often where that is more than once in any of them."""
    from matplotlib.colors import ListedColormap

    ax = _axes_of(grid, ax)
    placed = np.where(np.isnan(grid.value), np.nan, np.minimum(np.rint(grid.value), 1.0))
    ax.imshow(placed, cmap=ListedColormap([_CANDIDATE, BLUE]), vmin=0, vmax=1, aspect="auto")
    count = np.nan_to_num(grid.value)
    for (k, j), value in np.ndenumerate(count):
        if value > 0.5 and count.max() > 1.5:
            ax.text(j, k, f"{value:.0f}", ha="center", va="center", color="white", fontsize=7)
    _finish_grid(ax, grid)
    legend_above(ax, [patch(BLUE, "placed"), patch(_CANDIDATE, "not placed")])
    return ax


def draw_heat(grid: Grid, ax: Axes | None) -> Axes:
    """Draw amounts as colours, with a scale."""
    ax = _axes_of(grid, ax)
    shown = np.where(grid.value == 0, np.nan, grid.value)
    # From light to dark, so that it survives grey print; negative amounts turn the scale to two colours.
    largest = float(np.nanmax(np.abs(shown)))
    signed = bool(np.nanmin(shown) < 0)
    image = ax.imshow(
        shown,
        cmap="PuOr" if signed else "YlGnBu",
        vmin=-largest if signed else 0.0,
        vmax=largest,
        aspect="auto",
    )
    colours = ax.figure.colorbar(image, ax=ax, pad=0.01, fraction=0.04)
    colours.set_label("amount", fontsize=8)
    colours.ax.tick_params(labelsize=7)
    _finish_grid(ax, grid)
    return ax


def _axes_of(grid: Grid, ax: Axes | None) -> Axes:
    height = 2.4 + 0.2 * len(grid.rows)
    return axes_or_new(ax, width=min(12.0, 4.5 + 0.2 * len(grid.columns)), height=height)


def _finish_grid(ax: Axes, grid: Grid) -> None:
    """Put names, lines between the cells, and a word on what is left out to a grid."""
    rows, columns = len(grid.rows), len(grid.columns)
    ax.set_yticks(range(rows), grid.rows)
    ax.tick_params(axis="y", labelsize=font_size(ax, rows), length=0)
    longest = max(map(len, grid.columns))
    width = ax.get_window_extent().width * 72 / ax.figure.dpi
    flat = longest * 5.0 * columns < width
    size = 8.0 if flat else max(4.0, min(8.0, 0.8 * width / columns))
    ax.set_xticks(range(columns), grid.columns, rotation=0 if flat else 90)
    ax.tick_params(axis="x", labelsize=size, length=0)
    ax.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=0.8)
    ax.tick_params(which="minor", length=0)
    ax.spines[:].set_color("#CCCCCC")
    left_out = and_more(grid.more_rows, "rows") + and_more(grid.more_columns, "columns")
    if left_out:
        ax.annotate(
            left_out.removeprefix("; "),
            (1.0, 1.0),
            xycoords="axes fraction",
            xytext=(0, 4),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=GREY,
        )


def name_axes(ax: Axes, sets: Sequence[str], row: int, column: int | Sequence[int] | None) -> None:
    """Name the axes after the sets that index a component, where these have names."""
    if not sets:
        return
    extent, points = ax.get_window_extent(), 72 / ax.figure.dpi
    ax.set_ylabel(shortened(sets[row], int(extent.height * points / _LETTER)))
    if column == ():
        return
    names = sets[1:] if column is None else (sets[column],) if isinstance(column, int) else ()
    label = ", ".join(name for name in names if name)
    ax.set_xlabel(shortened(label, int(extent.width * points / _LETTER)))
