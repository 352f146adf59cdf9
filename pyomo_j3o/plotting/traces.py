"""A solve by iteration: the incumbent, and the bound that is proven."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pyomo_j3o.core.results import gap_in_words
from pyomo_j3o.errors import OptionError
from pyomo_j3o.plotting.axes import (
    BLUE,
    ORANGE,
    axes_or_new,
    legend_above,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_trace(results: Any, ax: Axes | None = None) -> Axes:
    """Draw the incumbent and the proven bound by iteration.

    Parameters
    ----------
    results
        What ``solve`` of j3o returned, in the classic interface or the new one, or its ``extra_info.trace``
        itself: records with ``iteration``, ``incumbent``, ``bound`` and ``time`` as attributes or keys.
        Values that are missing or infinite are left out.
    ax
        Where to draw; a new figure if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    OptionError
        If `results` have no trace: they are another solver's, or no results.
    ValueError
        If there is no record to draw.
    """
    from matplotlib.ticker import MaxNLocator

    records = _records(results)
    if not records:
        raise ValueError("the trace is empty: no iteration was recorded, so there is nothing to draw")
    ax = axes_or_new(ax, width=7.0, height=4.0)
    last = {}
    for key, label, colour, marker in (
        ("incumbent", "incumbent", BLUE, "o"),
        ("bound", "proven bound", ORANGE, "v"),
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
        gap = gap_in_words(last["incumbent"], last["bound"])
        title += f", {gap} of the incumbent" if gap.startswith("gap") else f", {gap}"
    ax.set_title(title, loc="left", pad=26)
    if last:
        legend_above(ax, ax.get_legend_handles_labels()[0])
    return ax


def _records(results: Any) -> list[Any]:
    own = getattr(results, "j3o", results)  # classic results carry the new ones
    extra = getattr(own, "extra_info", None)
    trace = own if extra is None else getattr(extra, "trace", None)
    records = None
    if isinstance(trace, Iterable) and not isinstance(trace, (str, bytes, Mapping)):
        records = list(trace)
    if records is None or not all(_is_record(record) for record in records):
        raise OptionError(
            f"results={type(results).__name__} have no trace to draw; give what solve() of j3o returned, or "
            "its extra_info.trace"
        )
    return records


def _is_record(record: Any) -> bool:
    names = ("incumbent", "bound")
    if isinstance(record, Mapping):
        return any(name in record for name in names)
    return any(hasattr(record, name) for name in names)


def _field(record: Any, name: str, default: Any = None) -> Any:
    if isinstance(record, Mapping):
        return record.get(name, default)
    return getattr(record, name, default)
