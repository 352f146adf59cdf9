"""Pictures of a plan, a solve and a simulation, drawn on the axes that are given; they need matplotlib."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pyomo_j3o.library.plan_tables import budget_table, placement_table, routing_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from matplotlib.text import Text
    from pyomo.core.base.block import BlockData

    from pyomo_j3o.simulation.delivery import Simulation

# Okabe and Ito's palette, which colour-blind readers can tell apart (https://jfly.uni-koeln.de/color/).
_LEVEL_COLOURS = {"client": "#0072B2", "edge": "#E69F00", "cloud": "#56B4E9", "dropped": "#D9D9D9"}
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#555555"
# Okabe and Ito's again, without the yellow that a thin line loses on white.
_LINE_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
# From light to dark, so that they also survive grey print (ColorBrewer YlGnBu, which is colour-blind safe).
_TASK_COUNT_COLOURS = ("#EDF8B1", "#C7E9B4", "#7FCDBB", "#41B6C4", "#1D91C0", "#225EA8", "#0C2C84")


def plot_placement(model: BlockData, ax: Axes | None = None) -> Axes:
    """Draw which models sit where: one bar per node, as long as its memory budget is full.

    A segment is one onloaded model. Its colour says how many tasks the model can do; its name is written
    into it where there is room.

    Parameters
    ----------
    model
        A model of `pyomo_j3o.library.build_model`, solved.
    ax
        Where to draw; a new figure, tall enough for all nodes, if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the model is not one of the library's, or has not been solved.
    """
    placed = placement_table(model)
    data = model.data
    budgets = {row["node"]: row for row in budget_table(model) if row["kind"] == "memory"}
    ax = _axes(ax, width=9.0, height=1.4 + 0.26 * len(budgets))
    n_tasks = {
        name: int(row.sum()) for name, row in zip(data.models, data.accuracy == data.accuracy, strict=True)
    }
    height = {node: k for k, node in enumerate(data.edges + data.clients)}
    right_end = dict.fromkeys(height, 0.0)
    labels = []
    for row in placed:
        node, limit = row["node"], budgets[row["node"]]["budget"]
        # Without a limit there is nothing to be a share of; the bar then shows how what is there splits up.
        whole = limit if 0 < limit < math.inf else max(budgets[node]["used"], 1e-12)
        colour = _task_count_colour(n_tasks[row["model"]])
        ax.barh(
            height[node],
            100 * row["memory"] / whole,
            left=right_end[node],
            height=0.8,
            color=colour,
            edgecolor="#444444",
            linewidth=0.4,
        )
        labels.append((row["model"], right_end[node], 100 * row["memory"] / whole, height[node], colour))
        right_end[node] += 100 * row["memory"] / whole
    ax.axvline(100, color=_GREY, linewidth=1)
    ax.axhline(len(data.edges) - 0.5, color=_GREY, linewidth=0.5, linestyle=":")
    ax.set_xlim(0, 102)
    ax.set_ylim(len(height) - 0.4, -0.6)
    ax.set_yticks(list(height.values()), [f"{node} ({budgets[node]['budget']:.3g})" for node in height])
    ax.tick_params(axis="y", labelsize=_font_size(ax, len(height)), length=0)
    ax.set_xlabel("share of the memory budget used (%)")
    ax.set_ylabel(f"node (its memory budget, {data.memory_unit})")
    ax.set_title("Onloading: which models sit where", loc="left", pad=26)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    most = len(_TASK_COUNT_COLOURS)
    counts = sorted({min(n_tasks[row["model"]], most) for row in placed})
    if counts:
        names = [
            f"{n} task" if n == 1 else f"{n} tasks" if n < most else f"{n} tasks or more" for n in counts
        ]
        names[0] = f"does {names[0]}"
        _legend_above(
            ax, [_patch(_task_count_colour(n), name) for n, name in zip(counts, names, strict=True)]
        )
    _write_into_segments(ax, labels, _font_size(ax, len(height)))
    return ax


def plot_routing(model: BlockData, ax: Axes | None = None) -> Axes:
    """Draw where each task's queries are answered: one bar per task, stacked client, edge, cloud, dropped.

    Parameters
    ----------
    model
        A model of `pyomo_j3o.library.build_model`, solved.
    ax
        Where to draw; a new figure if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the model is not one of the library's, or has not been solved.
    """
    table = routing_table(model)
    ax = _axes(ax, width=8.0, height=1.8 + 0.45 * len(table))
    labels = []
    left = [0.0] * len(table)
    shown = []
    for level, colour in _LEVEL_COLOURS.items():
        widths = [100 * share for share in table[level]]
        if level != "dropped" or max(widths) > 0.05:
            shown.append(_patch(colour, level))
        ax.barh(
            range(len(table)), widths, left=left, height=0.72, color=colour, edgecolor="white", linewidth=0.8
        )
        labels += [
            (f"{width:.0f} %", at, width, k, colour)
            for k, (at, width) in enumerate(zip(left, widths, strict=True))
            if width >= 0.5
        ]
        left = [a + w for a, w in zip(left, widths, strict=True)]
    ax.set_xlim(0, 100)
    ax.set_ylim(len(table) - 0.4, -0.6)
    ax.axhline(len(table) - 1.5, color=_GREY, linewidth=0.5, linestyle=":")
    ax.set_yticks(range(len(table)), [f"{row['task']}\n{row['load']:.3g} queries/s" for row in table])
    ax.tick_params(axis="y", labelsize=min(9.0, _font_size(ax, 2 * len(table))), length=0)
    ax.set_xlabel("share of the task's queries (%)")
    ax.set_title("Offloading: where queries are answered", loc="left", pad=26)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    # The accuracy stands outside the bars, in the margin, so that it collides with nothing.
    for k, row in enumerate(table):
        ax.annotate(
            f"{row['accuracy']:.3f}",
            (1.01, k),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            color=_GREY,
            annotation_clip=False,
        )
    ax.annotate(
        "accuracy",
        (1.01, 1.0),
        xycoords="axes fraction",
        xytext=(0, 2),
        textcoords="offset points",
        fontsize=8,
        color=_GREY,
    )
    _legend_above(ax, shown)
    _write_into_segments(ax, labels, 8.0)
    return ax


def plot_plan(model: BlockData) -> Figure:
    """Draw the whole plan: onloading on the left, offloading on the right.

    Parameters
    ----------
    model
        A model of `pyomo_j3o.library.build_model`, solved.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with its ``savefig``.

    Raises
    ------
    ValueError
        If the model is not one of the library's, or has not been solved.
    """
    import matplotlib.pyplot as plt

    n_nodes = len({row["node"] for row in budget_table(model)})
    routing = routing_table(model)
    routing_height = 1.8 + 0.45 * len(routing)
    height = max(routing_height, 1.4 + 0.28 * n_nodes)
    # Wide enough for two pictures, narrow enough that 8 points can be read across a page.
    figure = plt.figure(figsize=(10.5, height), layout="constrained")
    # Many nodes make the left picture tall; the right one keeps the height that its few bars need.
    grid = figure.add_gridspec(
        2, 2, width_ratios=(1.2, 1), height_ratios=(routing_height, max(height - routing_height, 0.01))
    )
    left = figure.add_subplot(grid[:, 0])
    right = figure.add_subplot(grid[:, 1] if height < 1.3 * routing_height else grid[0, 1])
    # Axes of a constrained figure find their size when it is drawn, and labels are fitted to that size.
    for ax in (left, right):
        ax.set_yticks([0], ["a node with a name of normal length"])
    figure.draw_without_rendering()
    plot_placement(model, left)
    plot_routing(model, right)
    figure.suptitle(f"{model.name}: mean accuracy {routing['accuracy'][-1]:.4f}", x=0.01, ha="left")
    return figure


def plot_trace(results: Any, ax: Axes | None = None) -> Axes:
    """Draw the incumbent and the proven bound by iteration.

    Parameters
    ----------
    results
        What ``solve`` of the new interface returned, or its ``extra_info.trace`` itself: records with
        ``iteration``, ``incumbent``, ``bound`` and ``time`` as attributes or keys. Values that are missing or
        infinite are left out.
    ax
        Where to draw; a new figure if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no record to draw.
    """
    from matplotlib.ticker import MaxNLocator

    records = _records(results)
    if not records:
        raise ValueError("the trace is empty: no iteration was recorded, so there is nothing to draw")
    ax = _axes(ax, width=7.0, height=4.0)
    last = {}
    for key, label, colour, marker in (
        ("incumbent", "incumbent", _BLUE, "o"),
        ("bound", "proven bound", _ORANGE, "v"),
    ):
        points = [(_field(r, "iteration", k), _field(r, key)) for k, r in enumerate(records, start=1)]
        points = [(k, v) for k, v in points if v is not None and math.isfinite(v)]
        if points:
            ax.step(
                *zip(*points, strict=True),
                where="post",
                color=colour,
                marker=marker,
                markersize=5,
                label=label,
            )
            last[key] = points[-1][1]
    ax.set_xlabel("iteration")
    ax.set_ylabel("objective")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.ticklabel_format(axis="y", useOffset=False)
    ax.grid(axis="y", color="#E5E5E5", linewidth=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    title = f"{len(records)} iterations" if len(records) > 1 else "1 iteration"
    seconds = _field(records[-1], "time")
    if seconds is not None:
        title += f", {seconds:.2f} s"
    if len(last) == 2:
        gap = abs(last["bound"] - last["incumbent"]) / max(abs(last["incumbent"]), 1e-10)
        title += f", gap {100 * gap:.2f} % of the incumbent"
    ax.set_title(title, loc="left", pad=26)
    if last:
        _legend_above(ax, ax.get_legend_handles_labels()[0])
    return ax


def plot_latency(simulation: Simulation, ax: Axes | None = None, level: str | None = None) -> Axes:
    """Draw how long answers took: per task, the share answered within a given time, and the line at 2·T_b.

    The cloud's latency is not known, so its answers are not drawn.

    Parameters
    ----------
    simulation
        What `pyomo_j3o.simulation.simulate` returned.
    ax
        Where to draw; a new figure if not given.
    level
        Only answers of ``"client"`` or ``"edge"``; both if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no such level, or no answer to draw.
    """
    latencies = {task: simulation.latencies(task, level) for task in simulation.data.tasks}
    latencies = {task: seconds for task, seconds in latencies.items() if len(seconds)}
    if not latencies:
        raise ValueError(
            f"the simulation has no latency to draw: no {level or 'client or edge server'} answered a query"
        )
    ax = _axes(ax, width=7.0, height=4.0)
    colours = dict(zip(simulation.data.tasks, itertools.cycle(_LINE_COLOURS), strict=False))
    for task, seconds in latencies.items():
        shares = 100 * (np.arange(len(seconds)) + 1) / len(seconds)
        ax.step(np.sort(seconds), shares, where="post", color=colours[task], label=task)
    deadlines = sorted({2 * w.length for w in simulation.windows.values()})
    for k, deadline in enumerate(deadlines):
        label = "two windows" if k == 0 else None
        ax.axvline(deadline, color=_GREY, linestyle="--", linewidth=1, label=label)
    # A few answers that take very long would squeeze the rest; they are what the last per cent says.
    longest = max(float(np.percentile(seconds, 99.5)) for seconds in latencies.values())
    ax.set_xlim(0, 1.05 * max([longest, *deadlines]))
    ax.set_ylim(0, 100)
    ax.set_xlabel("time from arrival to answer (s)")
    ax.set_ylabel("answered within that time (%)")
    where = {None: "clients and edge servers", "client": "clients", "edge": "edge servers"}
    _finish_lines(ax, f"Latency on {where[level]}")
    return ax


def plot_backlog(simulation: Simulation, ax: Axes | None = None) -> Axes:
    """Draw the work of earlier windows that is left at each window's end, per edge server.

    Parameters
    ----------
    simulation
        What `pyomo_j3o.simulation.simulate` returned.
    ax
        Where to draw; a new figure if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If no edge server has a window.
    """
    if not simulation.windows:
        raise ValueError("the simulation has no backlog: no edge server has a batching window")
    ax = _axes(ax, width=7.0, height=4.0)
    for (edge, w), colour in zip(simulation.windows.items(), itertools.cycle(_LINE_COLOURS), strict=False):
        ax.plot(w.end, w.backlog, color=colour, linewidth=0.9, label=f"{edge}: {w.verdict}")
    ax.set_xlim(simulation.warm_up, simulation.horizon)
    # Queues that are empty all the time are drawn on the scale of a window.
    highest = max(w.backlog.max(initial=0.0) for w in simulation.windows.values())
    ax.set_ylim(0, 1.05 * max(highest, min(w.length for w in simulation.windows.values())))
    ax.set_xlabel("time (s)")
    ax.set_ylabel("backlog at the window's end (s)")
    _finish_lines(ax, "Backlog of edge servers")
    return ax


def plot_simulation(simulation: Simulation) -> Figure:
    """Draw what a simulated plan delivered: latency on the left, backlog on the right.

    With windows the latency is that of the edge servers, which the plan's promise is about. Without, it is
    that of clients and edge servers, and there is no backlog to draw.

    Parameters
    ----------
    simulation
        What `pyomo_j3o.simulation.simulate` returned.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with its ``savefig``.

    Raises
    ------
    ValueError
        If there is no latency to draw.
    """
    import matplotlib.pyplot as plt

    windows = bool(simulation.windows)
    figure, axes = plt.subplots(
        1, 1 + windows, figsize=(5.25 * (1 + windows), 3.9), layout="constrained", squeeze=False
    )
    plot_latency(simulation, axes[0, 0], "edge" if windows else None)
    if windows:
        plot_backlog(simulation, axes[0, 1])
    late = f", {100 * simulation.share_late:.1f} % later than two windows" if windows else ""
    figure.suptitle(f"{simulation.data.name}: accuracy {simulation.accuracy:.4f}{late}", x=0.01, ha="left")
    return figure


def _finish_lines(ax: Axes, title: str) -> None:
    """Put title, grid and a legend of few columns to axes with lines."""
    ax.grid(axis="y", color="#E5E5E5", linewidth=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.set_title(title, loc="left")
    ax.legend(frameon=False, fontsize=8)


def _axes(ax: Axes | None, width: float, height: float) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(width, height), layout="constrained")
    figure.draw_without_rendering()
    return ax


def _records(results: Any) -> list[Any]:
    extra = getattr(results, "extra_info", None)
    trace = results if extra is None else extra.trace
    return list(trace or ())


def _field(record: Any, name: str, default: Any = None) -> Any:
    if isinstance(record, dict):
        return record.get(name, default)
    return getattr(record, name, default)


def _patch(colour: str, label: str) -> Patch:
    from matplotlib.patches import Patch

    return Patch(facecolor=colour, label=label)


def _legend_above(ax: Axes, handles: Sequence[Any]) -> None:
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


def _task_count_colour(n_tasks: int) -> str:
    return _TASK_COUNT_COLOURS[max(min(n_tasks, len(_TASK_COUNT_COLOURS)), 1) - 1]


def _font_size(ax: Axes, n_rows: int) -> float:
    """Return the largest size in points, at most 9, at which one line of text fits each of `n_rows` rows."""
    height = ax.get_window_extent().height * 72 / ax.figure.dpi
    return max(4.0, min(9.0, 0.75 * height / max(n_rows, 1)))


def _write_into_segments(
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
