"""The plan of any annotated model as pictures: what is placed, what flows, and how full each row is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyomo_j3o.core.checks import is_number
from pyomo_j3o.core.results import gap_in_words
from pyomo_j3o.core.short_names import shortened, told_apart
from pyomo_j3o.errors import OptionError
from pyomo_j3o.plotting.axes import (
    BLUE,
    GREY,
    ORANGE,
    and_more,
    axes_or_new,
    font_size,
    legend_above,
    patch,
)
from pyomo_j3o.plotting.grids import MOST_ROWS, Grid, draw_heat, draw_placed, name_axes
from pyomo_j3o.reporting import PlanReport, report
from pyomo_j3o.reporting.addresses import Addresses
from pyomo_j3o.reporting.layout import NAMELESS, is_made, short_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pyomo.core.base.block import BlockData

#: Bars that a picture shows, and characters of the name beside one.
MOST_BARS, _BAR_NAME = 25, 36

#: Characters that a title has for the names of what is not drawn.
_LONGEST_LIST = 40


def as_report(plan: PlanReport | BlockData, results: Any = None) -> PlanReport:
    """Return a report as it is, and the report of a model."""
    return plan if isinstance(plan, PlanReport) else report(plan, results)


def plot_grid(plan: PlanReport | BlockData, ax: Axes | None = None, component: Any = None) -> Axes:
    """Draw which onloading variables are placed.

    Variables with two indices or more are a grid: the first index is the row, the others the column. A
    coloured cell is placed, a grey one might have been. Variables with fewer indices are bars, as long as
    what goes through them.

    Parameters
    ----------
    plan
        A report, or a model with values.
    ax
        Where to draw; a new figure if not given.
    component
        The component, or its name as in the report; the one with most variables placed if not given. The
        title names those that are not drawn.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is nothing to draw.
    """
    found = as_report(plan)
    name, rows = _rows_of(found, "placed", component)
    if name and len(rows[0]["index"]) > 1:
        values = {row["index"]: float(row["value"]) for row in rows}
        grid = Grid.of(values, found.candidates[name], 0, None, with_empty=True)
        ax = draw_placed(grid, ax)
        name_axes(ax, found.dimensions.get(name, ()), 0, None)
    else:
        # Bars need a number; if nothing else is known of what is placed, that is its value.
        known = (word for word in ("amount", "objective") if any(row[word] for row in rows))
        what = next(known, "value")
        ax = _draw_bars(rows, what, "" if name in found.given_names else name, ax)
        if name:
            name_axes(ax, found.dimensions.get(name, ()), 0, ())
    many = f" of {len(found.candidates[name]):,}" if name else ""
    others = "" if component is not None else _not_drawn(found, "placed", name)
    ax.set_title(f"Placed: {_title(name)}, {len(rows):,}{many}{others}", loc="left", pad=24)
    return ax


def plot_flows(
    plan: PlanReport | BlockData,
    ax: Axes | None = None,
    component: Any = None,
    dimensions: Sequence[int] | None = None,
) -> Axes:
    """Draw what is routed.

    Variables with two indices or more are a heat map of two of them, summed over the others; those with
    fewer are bars.

    Parameters
    ----------
    plan
        A report, or a model with values.
    ax
        Where to draw; a new figure if not given.
    component
        The component, or its name as in the report; the one with most variables routed if not given. The
        title names those that are not drawn.
    dimensions
        Positions in the index of what is a row, and of what is a column. If not given, these are the first
        and the last, or both ends of an arc where the first two positions come from one set.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    OptionError
        If `component` is none that is routed, or `dimensions` are no two positions in its index.
    ValueError
        If there is nothing to draw.
    """
    found = as_report(plan)
    name, rows = _rows_of(found, "routed", component)
    n_dimensions = len(rows[0]["index"]) if name else 0
    sets = found.dimensions.get(name, ())
    if n_dimensions > 1:
        arcs = len(sets) > 1 and sets[0] == sets[1] != ""
        usual = (0, 1 if arcs else n_dimensions - 1)
        row, column = usual if dimensions is None else _positions(dimensions, n_dimensions, name, sets)
        values = {one["index"]: one["amount"] for one in rows}
        ax = draw_heat(Grid.of(values, found.candidates[name], row, column), ax)
        name_axes(ax, sets, row, column)
        rest = n_dimensions - 2
        over = f", summed over {rest} more {'index' if rest == 1 else 'indices'}" if rest else ""
    else:
        ax = _draw_bars(rows, "amount", "" if name in found.given_names else name, ax)
        over = ""
    others = "" if component is not None else _not_drawn(found, "routed", name)
    ax.set_title(f"Routed: {_title(name)}{over}{others}", loc="left", pad=24)
    return ax


def plot_fullness(plan: PlanReport | BlockData, ax: Axes | None = None, most: int = MOST_BARS) -> Axes:
    """Draw how full limits and requirements are, the fullest first, with a line where a row binds.

    Parameters
    ----------
    plan
        A report, or a model with values.
    ax
        Where to draw; a new figure if not given.
    most
        Number of rows that are drawn at most.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no limit or requirement with a fullness.
    """
    found = as_report(plan)
    rows = [row for row in found.budgets if row["fullness"] is not None]
    if not rows:
        raise ValueError(f"model '{found.summary.model}' has no limit or requirement to draw")
    shown = rows[:most]
    ax = axes_or_new(ax, width=8.0, height=1.3 + 0.27 * len(shown))
    # A row that is missed by a factor would squeeze the rest.
    widths = [100 * min(row["fullness"], 1.5) for row in shown]
    colours = {"binds": ORANGE, "missed": "#000000"}
    ax.barh(range(len(shown)), widths, height=0.72, color=[colours.get(r["status"], BLUE) for r in shown])
    ax.axvline(100, color=GREY, linewidth=1.2)
    size = font_size(ax, len(shown))
    labels = told_apart([short_name(row, found.given_names) for row in shown], _BAR_NAME)
    _rows_down(ax, labels, size)
    ax.set_xlim(0, max(100.0, *widths) * 1.02)
    for k, row in enumerate(shown):
        ax.annotate(
            f"{row['used']:.4g} {row['relation'].replace('<=', '≤').replace('>=', '≥')} {row['limit']:.4g}",
            (1.01, k),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=min(size, 8.0),
            color=GREY,
            annotation_clip=False,
        )
    kinds = {row["status"] for row in shown}
    words = (("binds", ORANGE, "binds"), ("missed", "#000000", "missed"), ("slack", BLUE, "has slack"))
    legend_above(ax, [patch(colour, label) for word, colour, label in words if word in kinds])
    ax.set_xlabel(f"fullness (%){and_more(len(rows) - len(shown), 'rows')}")
    ax.set_title("How full each row is", loc="left", pad=24)
    return ax


def plot_report(plan: PlanReport | BlockData, results: Any = None) -> Figure:
    """Draw a whole plan: what is placed, what is routed, and how full each row is.

    Parameters
    ----------
    plan
        A report, or a model with values.
    results
        Of the solve of a model, for the title.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with its ``savefig``.

    Raises
    ------
    ValueError
        If there is nothing to draw.
    """
    import matplotlib.pyplot as plt

    found = as_report(plan, results)
    draw: list[Any] = [plot_grid] if len(found.placed) else []
    draw += [plot_flows] if len(found.routed) else []
    draw += [plot_fullness] if any(row["fullness"] is not None for row in found.budgets) else []
    if not draw:
        raise ValueError(f"model '{found.summary.model}': nothing is placed or routed, and no row is full")
    heights = [_height(found, one) for one in draw]
    figure, axes = plt.subplots(
        len(draw),
        1,
        figsize=(9.5, sum(heights) + 0.5),
        layout="constrained",
        height_ratios=heights,
        squeeze=False,
    )
    figure.draw_without_rendering()
    for one, ax in zip(draw, axes[:, 0], strict=True):
        one(found, ax)
    summary = found.summary
    gap = ""
    if summary.gap is not None and summary.bound is not None:
        gap = f", {gap_in_words(summary.objective, summary.bound)}"
    name = "" if summary.model in NAMELESS else f"{shortened(summary.model)}: "
    figure.suptitle(f"{name}objective {summary.objective:.6g}{gap}", x=0.01, ha="left")
    return figure


def _groups(found: PlanReport, kind: str) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of what is placed or routed by component, those without an index under ""."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in found.table(kind):
        groups.setdefault(row["component"] if row["index"] else "", []).append(row)
    return groups


def _name_of(component: Any) -> str:
    """Return how a report calls a component, or the component of a variable."""
    parent = getattr(component, "parent_component", None)
    if parent is None or not hasattr(component, "local_name"):
        raise OptionError(
            f"component={component!r} is no component; give one of the model, or its name as in the report"
        )
    container = parent()
    if not container.is_indexed():
        return ""  # in a report, these are together
    return Addresses(container.model()).of(next(iter(container.values()), container)).component


def _positions(given: Any, n_dimensions: int, name: str, sets: Sequence[str]) -> tuple[int, int]:
    """Return two different positions in an index."""
    known = ", ".join(f"{k} ({one})" if one else str(k) for k, one in enumerate(sets or [""] * n_dimensions))
    pair = tuple(given) if isinstance(given, (tuple, list)) else ()
    whole = all(is_number(one) and one == int(one) for one in pair)
    if len(pair) != 2 or not whole or pair[0] == pair[1] or not all(0 <= k < n_dimensions for k in pair):
        raise OptionError(
            f"dimensions={given!r}: give two different positions in the index of {name}, of {known}"
        )
    return int(pair[0]), int(pair[1])


def _not_drawn(found: PlanReport, kind: str, drawn: str) -> str:
    """Return words on the components that a picture of one of them leaves out."""
    others = {name: rows for name, rows in _groups(found, kind).items() if name != drawn}
    if not others:
        return ""
    named = ", ".join(
        f"{name or 'variables without an index'} ({len(rows):,})" for name, rows in others.items()
    )
    return f"; not drawn: {named if len(named) <= _LONGEST_LIST else f'{len(others)} more components'}"


def _title(name: str) -> str:
    return shortened(name) if name else "variables without an index"


def _height(found: PlanReport, draw: Any) -> float:
    """Return the height in inches that a picture of a report needs."""
    if draw is plot_fullness:
        rows = sum(row["fullness"] is not None for row in found.budgets)
        return 1.3 + 0.27 * min(rows, MOST_BARS)
    kind = "placed" if draw is plot_grid else "routed"
    name, rows_of = _rows_of(found, kind, None)
    if not name or len(rows_of[0]["index"]) < 2:
        return 1.3 + 0.27 * min(len(rows_of), MOST_BARS)
    indices = found.candidates[name] if draw is plot_grid else [row["index"] for row in rows_of]
    return 2.4 + 0.2 * min(len({index[0] for index in indices}), MOST_ROWS)


def _rows_of(found: PlanReport, kind: str, component: Any) -> tuple[str, list[dict[str, Any]]]:
    """Return a component of variables, "" for all without an index, and its rows in the report."""
    groups = _groups(found, kind)
    if component is not None:
        name = component if isinstance(component, str) else _name_of(component)
        if name not in groups:
            known = ", ".join(one or "''" for one in groups) or "none"
            raise OptionError(f"component={name!r}: nothing of it is {kind}; there is {known}")
        return name, groups[name]
    if not groups:
        raise ValueError(f"model '{found.summary.model}': nothing is {kind}, so there is nothing to draw")
    return max(groups.items(), key=lambda item: (not is_made(item[0]), len(item[1])))


# --- bars -----------------------------------------------------------------------------------------------


def _draw_bars(rows: Sequence[dict[str, Any]], what: str, name: str, ax: Axes | None) -> Axes:
    """Draw a number of each row as a bar: the largest first, or in the order of whole numbers."""
    shown = sorted(rows, key=lambda row: -abs(row[what] or 0.0))[:MOST_BARS]
    if len(shown) == len(rows) and all(isinstance(one, int) for row in rows for one in row["index"]):
        shown.sort(key=lambda row: row["index"])  # periods, say
    ax = axes_or_new(ax, width=8.0, height=1.3 + 0.27 * len(shown))
    ax.barh(range(len(shown)), [row[what] or 0.0 for row in shown], height=0.72, color=BLUE)
    ax.axvline(0, color=GREY, linewidth=0.8)
    labels = [", ".join(map(str, row["index"])) if name else row["name"] for row in shown]
    _rows_down(ax, told_apart(labels, _BAR_NAME), font_size(ax, len(shown)))
    words = {"amount": "amount", "objective": "part of the objective", "value": "value"}[what]
    words += " that goes through it" if "serves" in rows[0] and what == "amount" else ""
    ax.set_xlabel(f"{words}{and_more(len(rows) - len(shown), 'not drawn')}")
    return ax


def _rows_down(ax: Axes, labels: Sequence[str], size: float) -> None:
    """Name bars from the top down."""
    ax.set_yticks(range(len(labels)), labels)
    ax.tick_params(axis="y", labelsize=size, length=0)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
