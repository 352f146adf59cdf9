"""What the pictures share: colours, axes, legends, and text that is written where it fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch
    from matplotlib.text import Text

# Okabe and Ito's palette, which colour-blind readers can tell apart (https://jfly.uni-koeln.de/color/).
LEVEL_COLOURS = {"client": "#0072B2", "edge": "#E69F00", "cloud": "#56B4E9", "dropped": "#D9D9D9"}
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#555555"
# Okabe and Ito's again, without the yellow that a thin line loses on white.
LINE_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
# From light to dark, so that they also survive grey print (ColorBrewer YlGnBu, which is colour-blind safe).
TASK_COUNT_COLOURS = ("#EDF8B1", "#C7E9B4", "#7FCDBB", "#41B6C4", "#1D91C0", "#225EA8", "#0C2C84")


def finish_lines(ax: Axes, title: str) -> None:
    """Put title, grid and a legend of few columns to axes with lines."""
    ax.grid(axis="y", color="#E5E5E5", linewidth=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.set_title(title, loc="left")
    ax.legend(frameon=False, fontsize=8)


def axes_or_new(ax: Axes | None, width: float, height: float) -> Axes:
    """Return the axes that are given, or those of a new figure of this size in inches."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(width, height), layout="constrained")
    figure.draw_without_rendering()
    return ax


def patch(colour: str, label: str) -> Patch:
    """Return the entry of a legend that stands for areas of this colour."""
    from matplotlib.patches import Patch

    return Patch(facecolor=colour, label=label)


def legend_above(ax: Axes, handles: Sequence[Any]) -> None:
    """Put a legend of one line above the axes."""
    ax.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=len(handles),
        frameon=False,
        fontsize=8,
        borderaxespad=0.2,
        handlelength=1.2,
        columnspacing=1.2,
    )


def task_count_colour(n_tasks: int) -> str:
    """Return the colour of a model that can do this many tasks."""
    return TASK_COUNT_COLOURS[max(min(n_tasks, len(TASK_COUNT_COLOURS)), 1) - 1]


def font_size(ax: Axes, n_rows: int) -> float:
    """Return the largest size in points, at most 9, at which one line of text fits each of `n_rows` rows."""
    height = ax.get_window_extent().height * 72 / ax.figure.dpi
    return max(4.0, min(9.0, 0.75 * height / max(n_rows, 1)))


def write_into_segments(
    ax: Axes, labels: Sequence[tuple[str, float, float, float, str]], size: float
) -> None:
    """Centre each text in its segment, and leave out those that would not fit."""
    from matplotlib.colors import to_rgb

    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    pixels_per_unit = ax.transData.transform((1, 0))[0] - ax.transData.transform((0, 0))[0]
    for text, left, width, y, colour in labels:
        red, green, blue = to_rgb(colour)
        ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
        written: Text = ax.text(
            left + width / 2,
            y,
            text,
            ha="center",
            va="center",
            fontsize=min(size, 8.0),
            color=ink,
            clip_on=True,
        )
        if written.get_window_extent().width > pixels_per_unit * width - 6:
            written.remove()


def and_more(number: int, what: str) -> str:
    """Return words on what is left out of a picture; none if all is drawn."""
    return f"; {number:,} more {what}" if number else ""
