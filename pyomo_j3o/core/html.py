"""What notebooks show: tables, facts and sentences as HTML, everything in them escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from pyomo_j3o.core.short_names import told_apart

# Written into each tag: notebooks take style sheets out of what cells show.
_TABLE = "border-collapse:collapse;margin:0.3em 0"
_CELL = "padding:0.15em 0.7em;white-space:nowrap;vertical-align:top;text-align:"


def html_table(
    head: Sequence[str], lines: Iterable[Sequence[str]], numeric: Sequence[bool] = (), wraps: bool = False
) -> str:
    """Return a table.

    Parameters
    ----------
    head
        Names of the columns.
    lines
        Its cells.
    numeric
        Which columns are set flush right; none if empty.
    wraps
        Whether long cells go on in another line; otherwise they are shortened, and the whole text appears
        when the pointer rests on a cell.
    """
    lines = list(lines)
    shown = lines if wraps or not lines else zip(*map(told_apart, zip(*lines, strict=True)), strict=True)
    sides = ["right" if is_number else "left" for is_number in numeric] or ["left"] * len(head)
    top = "".join(
        f'<th style="{_CELL}{side}">{escape(name)}</th>' for name, side in zip(head, sides, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(map(_cell, line, short, sides, [wraps] * len(sides))) + "</tr>"
        for line, short in zip(lines, shown, strict=True)
    )
    return f'<table style="{_TABLE}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def _cell(cell: str, shown: str, side: str, wraps: bool) -> str:
    if wraps:
        return f'<td style="{_CELL}{side};white-space:normal">{escape(cell)}</td>'
    title = f' title="{escape(cell)}"' if shown != cell else ""
    return f'<td style="{_CELL}{side}"{title}>{escape(shown)}</td>'


def html_facts(facts: Iterable[tuple[str, str]]) -> str:
    """Return names and what they are as a table of two columns, long texts in full."""
    lines = "".join(
        f'<tr><th style="{_CELL}left">{escape(name)}</th>'
        f'<td style="{_CELL}left;white-space:normal">{escape(fact)}</td></tr>'
        for name, fact in facts
    )
    return f'<table style="{_TABLE}"><tbody>{lines}</tbody></table>'


def html_paragraphs(*sentences: str) -> str:
    """Return each sentence as a paragraph; an empty one is left out."""
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences if sentence)


def html_heading(text: str) -> str:
    """Return a heading."""
    return f"<h4>{escape(text)}</h4>"


def html_section(title: str, content: str) -> str:
    """Return a part of a page that can be folded away."""
    summary = f'<summary style="font-weight:bold">{escape(title)}</summary>'
    return f'<details open style="margin:0.6em 0">{summary}{content}</details>'
