"""How a report prints: sections by component, what matters first, long ones cut with a count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyomo_j3o.core.html import html_facts, html_heading, html_paragraphs, html_section, html_table
from pyomo_j3o.core.results import gap_in_words
from pyomo_j3o.core.short_names import told_apart
from pyomo_j3o.core.table import Table, aligned, cell_text, one_line
from pyomo_j3o.reporting.params import ReportParams

if TYPE_CHECKING:
    from pyomo_j3o.reporting.plan_report import PlanReport

_PARAMS = ReportParams()

#: Kinds of rows that have something to give: of the others all bind, or nobody asks.
BUDGETS = ("limit", "requirement")

#: What a column holds that says nothing; None where nothing else is named.
_NOTHING: dict[str, tuple[Any, ...]] = {"value": (None, 1), "amount": (None, 0), "objective": (0,)}

#: What Pyomo calls a model without a name.
NAMELESS = ("", "unknown")

#: What is printed of a status.
_STATUS = {
    "optimal": "proven optimal",
    "feasible": "feasible, not proven optimal",
    "unknown": "unknown: no results of this model with these values were given",
    "no plan": "no plan: rows, bounds or whole numbers are missed",
}


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report: a title, a table, and how much of it is not shown."""

    title: str
    head: list[str]
    lines: list[list[str]]
    numeric: list[bool]
    more: int = 0


# --- tables that are made of others ---------------------------------------------------------------------


def by_component(rows: Table, order: Sequence[str]) -> Table:
    """Return one row per component of constraints, in this order.

    All without an index share the last row; one alone has its name there.
    """
    columns = ("component", "kind", "rows", "binds", "missed", "mean fullness", "fullest")
    found = []
    groups = _grouped(rows.rows)
    for name in [*dict.fromkeys(order), ""]:
        members = groups.get(name, [])
        if not members:
            continue
        full = [row["fullness"] for row in members if row["fullness"] is not None]
        kinds = [row["kind"] for row in members]
        entry = {
            "component": name or (members[0]["name"] if len(members) == 1 else "(no index)"),
            "kind": kinds[0] if len(set(kinds)) == 1 else "several",
            "rows": len(members),
            "binds": sum(row["status"] == "binds" for row in members),
            "missed": sum(row["status"] == "missed" for row in members),
            "mean fullness": sum(full) / len(full) if full else None,
            "fullest": max(full, default=None),
        }
        found.append(entry)
    return Table(columns, found)


def binding(rows: Table) -> Table:
    """Return the limits and requirements that bind or are missed: missed ones first, then by dual."""
    found = [row for row in rows if row["status"] == "missed"]
    tight = [row for row in rows if row["status"] == "binds" and row["kind"] in BUDGETS]
    tight.sort(key=lambda row: -abs(row["dual"] or 0.0))
    return Table(rows.columns, found + tight)


def _grouped(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return rows by component, what has no index together under the name ""."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["component"] if row["index"] else "", []).append(row)
    return groups


def is_made(component: str) -> bool:
    """Return whether a component was made by a transformation: such names begin with an underscore."""
    return component.startswith("_")


# --- sections -------------------------------------------------------------------------------------------


def sections(report: PlanReport, most: int) -> Iterator[Section]:
    """Yield the parts of a report, with `most` lines each."""
    one = report.summary
    yield from _of_variables(report, "placed", ("value", "serves", "amount", "objective"), most)
    yield from _of_variables(report, "routed", ("amount", "share", "demand", "objective"), most)
    components = report.components
    if one.rows:
        lines = sorted(components, key=lambda row: (not row["missed"], is_made(row["component"])))
        yield _section(f"Rows: {one.rows:,}", components.columns, lines, most, percents(components))
    budgets = list(report.binding)
    budgets += [row for row in report.rows if row["kind"] in BUDGETS and row["status"] in ("slack", "closed")]
    if budgets:
        columns = ["row", "used", "relation", "limit", "slack", "fullness", "status", "dual"]
        lines = [{**row, "row": short_name(row, report.given_names)} for row in budgets]
        columns = [column for column in columns if any(line[column] not in (None, 0.0) for line in lines)]
        yield _section(
            _title_of_budgets(report),
            columns,
            lines,
            most,
            {"fullness": _percent},
        )


def short_name(row: dict[str, Any], given_names: frozenset[str]) -> str:
    """Return the name of a row as it is printed.

    That is its component and index. Its own name stands only where blocks with an index are in between, and
    where a file gives the name.
    """
    if not row["index"] or "[:]" in row["component"] or row["component"] in given_names:
        return str(row["name"])
    return f"{row['component']}[{', '.join(map(str, row['index']))}]"


def _title_of_budgets(report: PlanReport) -> str:
    missed = sum(row["status"] == "missed" for row in report.rows)
    budgets = sum(row["kind"] in BUDGETS for row in report.rows)
    said = [f"{missed:,} rows are missed"] if missed else []
    said += [f"{report.summary.binding:,} of {budgets:,} limits and requirements bind"] if budgets else []
    return f"Fullest rows: {', '.join(said)}"


def _of_variables(report: PlanReport, kind: str, numbers: Sequence[str], most: int) -> Iterator[Section]:
    """Yield a section for each component of variables that are placed, or routed."""
    table = report.table(kind)
    groups = dict(sorted(_grouped(table.rows).items(), key=lambda item: is_made(item[0])))
    for number, (name, rows) in enumerate(groups.items()):
        if number == _PARAMS.components and len(groups) > number + 1:
            rest = sum(len(rows) for rows in list(groups.values())[number:])
            title = f"{kind.capitalize()}: {rest:,} more in {len(groups) - number} components"
            yield Section(title, [], [], [])
            return
        title = name or "variables without an index"
        many = len(report.candidates.get(name, ()))
        whole = f" of {many:,}" if many else ""
        sets = report.dimensions.get(name, ())
        by_index = name and name not in report.given_names
        label = ", ".join(sets) if sets and all(sets) else "index" if by_index else "variable"
        columns = [label, *(column for column in numbers if _says_something(column, rows))]
        lines = [{**row, label: row["index"] if by_index else row["name"]} for row in rows]
        yield _section(
            f"{kind.capitalize()}: {title} ({len(rows):,}{whole})", columns, lines, most, {"share": _percent}
        )


def _says_something(column: str, rows: Sequence[dict[str, Any]]) -> bool:
    """Return whether a column tells rows apart, or tells something at all."""
    usual = _NOTHING.get(column, (None,))
    return any(row[column] not in usual for row in rows)


def percents(table: Table) -> dict[str, Callable[[Any], str]]:
    """Return how the columns of a table are written that are fractions."""
    return {column: _percent for column in table.columns if "full" in column}


def _percent(value: Any) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _section(
    title: str,
    columns: Sequence[str],
    rows: Sequence[dict[str, Any]],
    most: int,
    written: dict[str, Callable[[Any], str]],
) -> Section:
    """Return a section of the first rows; one row alone is not cut."""
    shown = rows if len(rows) <= most + 1 else rows[:most]
    numeric = [all(row[c] is None or isinstance(row[c], (int, float)) for row in shown) for c in columns]
    lines = [[written.get(c, cell_text)(row[c]) for c in columns] for row in shown]
    return Section(title, list(columns), lines, numeric, len(rows) - len(shown))


# --- text and HTML --------------------------------------------------------------------------------------


def facts(report: PlanReport) -> list[tuple[str, str]]:
    """Return the summary as names and texts."""
    one = report.summary
    found = [
        ("objective", f"{one.objective:.8g} ({one.sense} {one.objective_name})"),
        ("status", _STATUS.get(one.status, one.status)),
    ]
    found += [("note", note) for note in one.notes]
    if one.bound is not None:
        gap = "" if one.gap is None else f", {gap_in_words(one.objective, one.bound)}"
        found.append(("bound", f"{one.bound:.8g}: no plan is better{gap}"))
    seconds = "" if one.seconds is None else f"{one.seconds:.2f} s"
    if one.solver or seconds:
        found.append(("found by", ", in ".join(part for part in (one.solver, seconds) if part)))
    if one.message:
        found.append(("message", one.message))
    if one.onloading:
        found.append(("placed", f"{one.placed:,} of {one.onloading:,} onloading variables"))
    if one.offloading:
        found.append(("routed", f"{one.routed:,} of {one.offloading:,} offloading variables"))
    return found


def _title(report: PlanReport) -> str:
    name = report.summary.model
    if name in NAMELESS:
        return "Plan of the model"
    return f"Plan of {name}" if name[:1] == "'" else f"Plan of '{name}'"


def as_text(report: PlanReport) -> str:
    """Return a report as text."""
    lines = [_title(report)]
    lines += [f"  {name:<9}  {fact}" for name, fact in facts(report)]
    for section in sections(report, _PARAMS.lines):
        lines += ["", section.title, *_aligned(section)]
        if section.more:
            lines.append(f"  and {section.more:,} more")
    return "\n".join(map(one_line, lines))


def _aligned(section: Section) -> list[str]:
    lines = [section.head, *section.lines] if section.head else []
    if not lines:
        return []
    columns = [told_apart(column, _PARAMS.width) for column in zip(*lines, strict=True)]
    return ["  " + line for line in aligned(list(zip(*columns, strict=True)), section.numeric)]


def as_html(report: PlanReport) -> str:
    """Return a report as HTML for a notebook."""
    parts = [html_heading(_title(report)), html_facts(facts(report))]
    for section in sections(report, _PARAMS.lines_in_notebook):
        table = html_table(section.head, section.lines, section.numeric) if section.head else ""
        more = html_paragraphs(f"and {section.more:,} more" if section.more else "")
        parts.append(html_section(section.title, table + more))
    return "".join(parts)
