"""A comparison as a picture: quality against time, and a box per size; needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyomo_j3o.compare.race import Comparison
from pyomo_j3o.compare.verdicts import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, which colour-blind readers can tell apart (https://jfly.uni-koeln.de/color/).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "osD^vPX"
_GREY = "#555555"

#: Below this distance from the best known value (in %) the axis is linear, so that 0 is on it.
_LINEAR = 0.01


def write_plot(comparison: Comparison, path: Path) -> None:
    """Draw the comparison and save it; the format is that of the file's ending."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 6.0), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.15, 1.0))
    scatter = figure.add_subplot(grid[:, 0])
    quality = figure.add_subplot(grid[0, 1])
    times = figure.add_subplot(grid[1, 1], sharex=quality)
    _draw_scatter(comparison, scatter)
    _draw_boxes(comparison, quality, _distance)
    _draw_boxes(comparison, times, lambda row: row.run.seconds)
    _distance_axis(quality)
    quality.set_title("Quality by size", loc="left")
    quality.tick_params(axis="x", labelbottom=False)
    times.set_yscale("log")
    times.set_ylabel("time (s)")
    times.set_xlabel("size of the instance")
    times.set_title("Time by size", loc="left")
    for ax in (scatter, quality, times):
        ax.grid(axis="y", color="#DDDDDD", linewidth=0.6)
        ax.set_axisbelow(True)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
    figure.savefig(path, dpi=150)


def _draw_scatter(comparison: Comparison, ax: Axes) -> None:
    from matplotlib.lines import Line2D

    handles = []
    limit = comparison.settings.time_limit
    for k, entrant in enumerate(comparison.entrants):
        colour, marker = _COLOURS[k % len(_COLOURS)], _MARKERS[k % len(_MARKERS)]
        drawn = [
            (row.run.seconds, _distance(row), row.status == "proven")
            for row in _rows(comparison, entrant.label)
        ]
        points = [(x, y, proven) for x, y, proven in drawn if x is not None and y is not None]
        if not points:
            continue
        for full in (True, False):
            some = [(x, y) for x, y, proven in points if proven is full]
            ax.scatter(
                [x for x, _ in some],
                [y for _, y in some],
                marker=marker,
                s=42,
                facecolors=colour if full else "none",
                edgecolors=colour,
                linewidths=1.2,
                clip_on=False,
                zorder=3,
            )
        handles.append(Line2D([], [], marker=marker, color=colour, linestyle="none", label=entrant.label))
    ax.set_xscale("log")
    _distance_axis(ax)
    ax.set_xlabel("time from solve() to the plan in the model (s)")
    ax.set_title("Quality against time: up and left is better", loc="left")
    if any((row.run.seconds or 0) >= limit for block in comparison.blocks for row in block.rows):
        ax.axvline(limit, color=_GREY, linewidth=0.8, linestyle=":")
        handles.append(
            Line2D([], [], color=_GREY, linewidth=0.8, linestyle=":", label=f"time limit, {limit:g} s")
        )
    if handles:
        handles.append(
            Line2D(
                [],
                [],
                marker="o",
                color=_GREY,
                fillstyle="none",
                linestyle="none",
                label="hollow: not proven",
            )
        )
        ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False)


def _draw_boxes(comparison: Comparison, ax: Axes, figure_of: Any) -> None:
    sizes = list(dict.fromkeys(block.instance.size for block in comparison.blocks))
    labels = [entrant.label for entrant in comparison.entrants if _rows(comparison, entrant.label)]
    width = 0.8 / max(len(labels), 1)
    for k, entrant in enumerate(comparison.entrants):
        if entrant.label not in labels:
            continue
        colour = _COLOURS[k % len(_COLOURS)]
        shift = (labels.index(entrant.label) - (len(labels) - 1) / 2) * width
        for at, size in enumerate(sizes):
            rows = _rows(comparison, entrant.label, size)
            values = [value for value in map(figure_of, rows) if value is not None]
            if not values:
                continue
            ax.boxplot(
                [values],
                positions=[at + shift],
                widths=0.8 * width,
                whis=(0, 100),  # the whiskers reach the extremes: no run is left out
                patch_artist=True,
                boxprops={"facecolor": colour, "alpha": 0.35, "edgecolor": colour},
                medianprops={"color": colour, "linewidth": 2},
                whiskerprops={"color": colour},
                capprops={"color": colour},
                manage_ticks=False,
            )
    ax.set_xticks(range(len(sizes)), sizes, rotation=0 if len("".join(sizes)) < 60 else 30)
    ax.set_xlim(-0.6, max(len(sizes), 1) - 0.4)


def _distance_axis(ax: Axes) -> None:
    """Show distances in per cent, the best value on top."""
    ax.set_yscale("symlog", linthresh=_LINEAR, linscale=0.5)
    furthest = max(ax.get_ylim()[1], _LINEAR)
    ticks = [tick for tick in (0.0, 0.01, 0.1, 1.0, 10.0, 100.0) if tick <= furthest * 3]
    ax.set_yticks(ticks, [f"{tick:g} %" for tick in ticks])
    ax.set_yticks([], minor=True)
    ax.set_ylim(max(furthest * 1.3, ticks[-1]), 0)
    ax.set_ylabel("distance to the best known value")


def _distance(row: Row) -> float | None:
    return None if row.ratio is None else 100 * (1 - row.ratio)


def _rows(comparison: Comparison, label: str, size: str | None = None) -> Sequence[Row]:
    return [
        row
        for block in comparison.blocks
        if size is None or block.instance.size == size
        for row in block.rows
        if row.run.solver == label and row.run.seconds is not None
    ]
