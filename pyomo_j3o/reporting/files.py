"""A report in files: CSV for spreadsheets, JSON for programs, HTML for browsers."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyomo_j3o.core.html_page import page
from pyomo_j3o.core.output_files import unwritable, write_file
from pyomo_j3o.core.table import Table

if TYPE_CHECKING:
    from pyomo_j3o.reporting.plan_report import PlanReport

#: Name and version of the JSON; the version goes up when an entry changes its meaning or leaves.
SCHEMA = "pyomo_j3o.plan_report/1"

_IN_FILES = ("placed", "routed", "rows")


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of what `PlanReport.to_json` writes."""
    text = resources.files("pyomo_j3o.reporting").joinpath("plan_report.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def as_json(report: PlanReport) -> str:
    """Return a report as JSON; a number that is not finite becomes null."""
    content = {
        "schema": SCHEMA,
        "summary": asdict(report.summary),
        "dimensions": {name: list(sets) for name, sets in report.dimensions.items()},
        **{name: report.table(name).rows for name in _IN_FILES},
    }
    return json.dumps(_plain(content), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def as_page(report: PlanReport) -> str:
    """Return a report as an HTML page."""
    one = report.summary
    return page(f"Plan of {one.model}", *([one.message] if one.message else []), report)


def _plain(value: Any) -> Any:
    """Return a value of what JSON has: text for what it has not, such as a date in an index."""
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    number = getattr(value, "item", None)  # numpy's numbers
    return _plain(number()) if callable(number) else str(value)


def returned_or_written(text: str, path: str | Path | None) -> str | None:
    """Return a text if there is no path; else write it to that file, whole or not at all."""
    if path is None:
        return text
    # Half of a character becomes what JSON writes for it.
    write_file(path, text.encode("utf-8", "backslashreplace"))
    return None


def write_csv(report: PlanReport, path: Path, table: str | None) -> None:
    """Write tables of a report: one file, or a folder of them; see `PlanReport.to_csv`."""
    if path.suffix.lower() == ".csv" and not path.is_dir():
        (_together(report) if table is None else report.table(table)).to_csv(path)
        return
    tables = {name: report.table(name) for name in (("summary", *_IN_FILES) if table is None else (table,))}
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise unwritable(path, cause, "a folder") from cause
    for name, one in tables.items():
        one.to_csv(path / f"{name}.csv")


def _together(report: PlanReport) -> Table:
    """Return the tables one below the other: the name of each in front, and all columns that one has."""
    tables = {name: report.table(name) for name in _IN_FILES}
    columns = dict.fromkeys(["table", *(column for one in tables.values() for column in one.columns)])
    rows = [
        dict.fromkeys(columns) | {"table": name} | row for name, one in tables.items() for row in one.rows
    ]
    return Table(tuple(columns), rows)
