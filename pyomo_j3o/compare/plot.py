"""A comparison as a picture: quality against time, and a box per size; needs matplotlib."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyomo_j3o.compare.race import Comparison
from pyomo_j3o.compare.verdicts import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers can tell apart (https://jfly.uni-koeln.de/color/).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# One more than there are colours: the eighth solver has the first colour, with a mark of its own.
_MARKERS = "osD^vPX<"
_GREY = "#555555"

#: How many letters fit below the picture, side by side.
_LEGEND = 150

#: Below this distance from the best known value (in %) the axis is linear, so that 0 is on it.
_LINEAR = 0.01


def as_picture(comparison: Comparison, suffix: str) -> bytes:
    """Draw the comparison.

    Parameters
    ----------
    comparison
        With one run at least.
    suffix
        Of the file, such as ``".png"``; it chooses the format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    labels = [entrant.label for entrant in comparison.entrants if _rows(comparison, entrant.label)]
    looks = {
        label: (_COLOURS[k % len(_COLOURS)], _MARKERS[k % len(_MARKERS)]) for k, label in enumerate(labels)
    }
    figure = Figure(figsize=(10.0, 6.0), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.1, 1.0))
    scatter = figure.add_subplot(grid[:, 0])
    quality = figure.add_subplot(grid[0, 1])
    times = figure.add_subplot(grid[1, 1], sharex=quality)

    _draw_scatter(comparison, scatter, looks)
    _draw_boxes(comparison, quality, looks, _distance)
    _draw_boxes(comparison, times, looks, lambda row: row.run.seconds)
    _distance_axis(scatter)
    _distance_axis(quality)
    scatter.set_xscale("log")
    times.set_yscale("log")
    _label_times(scatter.xaxis)
    _label_times(times.yaxis)
    scatter.set_title("Quality against time (up and left is better)", loc="left")
    scatter.set_xlabel("time, s")
    scatter.set_ylabel("distance to the best known value, %")
    quality.set_title("Quality by size", loc="left")
    quality.set_ylabel("distance, %")
    quality.tick_params(axis="x", labelbottom=False)
    times.set_title("Time by size", loc="left")
    times.set_ylabel("time, s")
    for ax in (scatter, quality, times):
        ax.grid(axis="y", color="#DDDDDD", linewidth=0.6)
        ax.set_axisbelow(True)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)

    _draw_legend(comparison, figure, scatter, looks)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=150, format=suffix.removeprefix("."))
    return picture.getvalue()


def _draw_legend(
    comparison: Comparison, figure: Figure, scatter: Axes, looks: dict[str, tuple[str, str]]
) -> None:
    """Draw the line of the time limit, if a run reached it, and the legend below the picture."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="none", label=label)
        for label, (colour, marker) in looks.items()
    ]
    handles.append(
        Line2D(
            [], [], color=_GREY, marker="o", fillstyle="none", linestyle="none", label="hollow: not proven"
        )
    )
    limit = comparison.settings.time_limit
    if any((row.run.seconds or 0.0) >= limit for block in comparison.blocks for row in block.rows):
        scatter.axvline(limit, color=_GREY, linewidth=0.8, linestyle=":")
        handles.append(Line2D([], [], color=_GREY, linestyle=":", label=f"time limit, {limit:g} s"))
    # The longest label decides how many fit side by side.
    longest = max(len(str(handle.get_label())) for handle in handles)
    most = max(1, min(6, _LEGEND // (longest + 6)))  # 6 letters: the mark and the spaces
    lines = math.ceil(len(handles) / most)
    columns = math.ceil(len(handles) / lines)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)


def _draw_scatter(comparison: Comparison, ax: Axes, looks: dict[str, tuple[str, str]]) -> None:
    for label, (colour, marker) in looks.items():
        for row in _rows(comparison, label):
            distance = _distance(row)
            if distance is not None and row.run.seconds is not None:
                ax.scatter(
                    row.run.seconds,
                    distance,
                    marker=marker,
                    s=42,
                    facecolors=colour if row.status == "proven" else "none",
                    edgecolors=colour,
                    linewidths=1.2,
                    zorder=3,
                )


def _draw_boxes(
    comparison: Comparison,
    ax: Axes,
    looks: dict[str, tuple[str, str]],
    figure_of: Callable[[Row], float | None],
) -> None:
    sizes = list(dict.fromkeys(block.instance.size for block in comparison.blocks))
    width = 0.8 / max(len(looks), 1)
    for k, (label, (colour, _)) in enumerate(looks.items()):
        for at, size in enumerate(sizes):
            found = [figure_of(row) for row in _rows(comparison, label, size)]
            values = [number for number in found if number is not None]
            if not values:
                continue
            ax.boxplot(
                [values],
                positions=[at + (k - (len(looks) - 1) / 2) * width],
                widths=0.8 * width,
                whis=(0, 100),  # the whiskers reach the extremes: no run is left out
                patch_artist=True,
                boxprops={
                    "facecolor": colour,
                    "alpha": 0.35,
                    "edgecolor": colour,
                    # Boxes have no marks: the second of one colour is hatched.
                    "hatch": "////" if k >= len(_COLOURS) else None,
                },
                medianprops={"color": colour, "linewidth": 2},
                whiskerprops={"color": colour},
                capprops={"color": colour},
                manage_ticks=False,
            )
    ax.set_xticks(range(len(sizes)), sizes, rotation=0 if len("".join(sizes)) < 50 else 30)
    ax.set_xlim(-0.6, max(len(sizes), 1) - 0.4)


def _distance_axis(ax: Axes) -> None:
    """Show distances in per cent, the best value on top."""
    ax.set_yscale("symlog", linthresh=_LINEAR, linscale=0.5)
    furthest = max(ax.get_ylim()[1], 1.0)
    ticks = [tick for tick in (0.0, 0.01, 0.1, 1.0, 10.0, 100.0) if tick <= furthest]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_yticks([], minor=True)
    ax.set_ylim(furthest * 1.3, -0.3 * _LINEAR)  # room for the marks at 0


def _label_times(axis: Axis) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def _distance(row: Row) -> float | None:
    return None if row.ratio is None else 100 * (1 - row.ratio)


def _rows(comparison: Comparison, label: str, size: str = "") -> list[Row]:
    return [
        row
        for block in comparison.blocks
        if size in ("", block.instance.size)
        for row in block.rows
        if row.run.solver == label and row.run.seconds is not None
    ]
