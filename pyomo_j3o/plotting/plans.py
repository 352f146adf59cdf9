"""A plan as a picture: which models sit where, and where queries are answered."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pyomo_j3o.library.plan_tables import budget_table, placement_table, routing_table, system_of
from pyomo_j3o.plotting.axes import (
    GREY,
    LEVEL_COLOURS,
    TASK_COUNT_COLOURS,
    axes_or_new,
    font_size,
    legend_above,
    patch,
    task_count_colour,
    write_into_segments,
)
from pyomo_j3o.plotting.reports import plot_flows, plot_grid, plot_report
from pyomo_j3o.reporting import PlanReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pyomo.core.base.block import BlockData


def plot_placement(model: BlockData | PlanReport, ax: Axes | None = None, component: Any = None) -> Axes:
    """Draw what is placed.

    Of a model of `pyomo_j3o.library.build_model` it is one bar per node, as long as its memory budget is
    full. A segment is one onloaded model. Its colour says how many tasks the model can do; its name is
    written into it where there is room.

    Of any other model, and of a report, it is a grid: the first index is the row, the others the column. A
    coloured cell is placed, a grey one might have been. Variables with one index, or none, are bars, as long
    as what goes through them.

    Parameters
    ----------
    model
        A solved model, or its report.
    ax
        Where to draw; a new figure, tall enough for all nodes, if not given.
    component
        The component to draw as a grid, or its name as in the report; the one with most variables placed if
        not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the model has not been solved, or nothing is placed.
    """
    data = None if isinstance(model, PlanReport) or component is not None else system_of(model)
    if data is None:
        return plot_grid(model, ax, component)
    placed = placement_table(model)
    budgets = {row["node"]: row for row in budget_table(model) if row["kind"] == "memory"}
    ax = axes_or_new(ax, width=9.0, height=1.4 + 0.26 * len(budgets))
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
        colour = task_count_colour(n_tasks[row["model"]])
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
    ax.axvline(100, color=GREY, linewidth=1)
    ax.axhline(len(data.edges) - 0.5, color=GREY, linewidth=0.5, linestyle=":")
    ax.set_xlim(0, 102)
    ax.set_ylim(len(height) - 0.4, -0.6)
    ax.set_yticks(list(height.values()), [f"{node} ({budgets[node]['budget']:.3g})" for node in height])
    ax.tick_params(axis="y", labelsize=font_size(ax, len(height)), length=0)
    ax.set_xlabel("share of the memory budget used (%)")
    ax.set_ylabel(f"node (its memory budget, {data.memory_unit})")
    ax.set_title("Onloading: which models sit where", loc="left", pad=26)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    most = len(TASK_COUNT_COLOURS)
    counts = sorted({min(n_tasks[row["model"]], most) for row in placed})
    if counts:
        names = [
            f"{n} task" if n == 1 else f"{n} tasks" if n < most else f"{n} tasks or more" for n in counts
        ]
        names[0] = f"does {names[0]}"
        legend_above(ax, [patch(task_count_colour(n), name) for n, name in zip(counts, names, strict=True)])
    write_into_segments(ax, labels, font_size(ax, len(height)))
    return ax


def plot_routing(model: BlockData | PlanReport, ax: Axes | None = None) -> Axes:
    """Draw where each task's queries are answered: one bar per task, stacked client, edge, cloud, dropped.

    Of a model that is not of `pyomo_j3o.library.build_model`, and of a report, it is `plot_flows`.

    Parameters
    ----------
    model
        A solved model, or its report.
    ax
        Where to draw; a new figure if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the model has not been solved, or nothing is routed.
    """
    if isinstance(model, PlanReport) or system_of(model) is None:
        return plot_flows(model, ax)
    table = routing_table(model)
    ax = axes_or_new(ax, width=8.0, height=1.8 + 0.45 * len(table))
    labels = []
    left = [0.0] * len(table)
    shown = []
    for level, colour in LEVEL_COLOURS.items():
        widths = [100 * share for share in table[level]]
        if level != "dropped" or max(widths) > 0.05:
            shown.append(patch(colour, level))
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
    ax.axhline(len(table) - 1.5, color=GREY, linewidth=0.5, linestyle=":")
    ax.set_yticks(range(len(table)), [f"{row['task']}\n{row['load']:.3g} queries/s" for row in table])
    ax.tick_params(axis="y", labelsize=min(9.0, font_size(ax, 2 * len(table))), length=0)
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
            color=GREY,
            annotation_clip=False,
        )
    ax.annotate(
        "accuracy",
        (1.01, 1.0),
        xycoords="axes fraction",
        xytext=(0, 2),
        textcoords="offset points",
        fontsize=8,
        color=GREY,
    )
    legend_above(ax, shown)
    write_into_segments(ax, labels, 8.0)
    return ax


def plot_plan(model: BlockData | PlanReport, results: Any = None) -> Figure:
    """Draw the whole plan: onloading on the left, offloading on the right.

    Of a model that is not of `pyomo_j3o.library.build_model`, and of a report, it is what is placed, what is
    routed, and how full each row is, one below the other.

    Parameters
    ----------
    model
        A solved model, or its report.
    results
        Of the solve, for the title of a model that is not of the library; None if there are none.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with its ``savefig``.

    Raises
    ------
    ValueError
        If the model has not been solved, or its plan is empty.
    """
    import matplotlib.pyplot as plt

    if isinstance(model, PlanReport) or system_of(model) is None:
        return plot_report(model, results)

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
