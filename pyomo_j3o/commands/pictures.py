"""Figures as files, and a bar for each row of a table."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: The number of bars that are drawn.
_MOST_BARS = 25


def picture(draw: Callable[[], Figure], suffix: str) -> bytes:
    """Return a figure as the content of a file.

    Parameters
    ----------
    draw
        Returns the figure.
    suffix
        Of the file, such as ``".png"``.
    """
    import matplotlib

    matplotlib.use("Agg")  # no window
    figure = draw()
    content = io.BytesIO()
    figure.savefig(content, dpi=150, format=suffix.removeprefix("."))
    return content.getvalue()


def bars(names: Sequence[str], sizes: Sequence[float], title: str, label: str) -> Figure:
    """Draw a bar for each name, the first on top.

    Parameters
    ----------
    names, sizes
        Of the bars; the first 25 are drawn.
    title, label
        Of the picture and of its axis.
    """
    from matplotlib.figure import Figure

    shown = min(len(names), _MOST_BARS)
    figure: Any = Figure(figsize=(8.0, 1.4 + 0.28 * max(shown, 1)), layout="constrained")
    ax = figure.subplots()
    ax.barh(range(shown), sizes[:shown], color="#0072B2", height=0.7)
    ax.set_yticks(range(shown), names[:shown])
    ax.set_ylim(max(shown, 1) - 0.4, -0.6)
    more = f" (the first {shown} of {len(names)})" if len(names) > shown else ""
    ax.set_title(title + more, loc="left")
    ax.set_xlabel(label)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return figure
