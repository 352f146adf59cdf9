"""Write docs/parameters_table.md: all parameters of the method, from the docstrings of their dataclasses.

Run it from the root of the repository after any change of a parameter; a test compares the file.

    python docs/make_parameters_table.py
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

from pyomo_j3o.control.params import ControlParams
from pyomo_j3o.deploy.params import DeployParams
from pyomo_j3o.diagnosis.params import ConflictParams, RelaxingParams
from pyomo_j3o.fleet.params import FleetParams
from pyomo_j3o.methods.params import Params
from pyomo_j3o.mip.params import HighsParams
from pyomo_j3o.presolve.params import PropagationParams
from pyomo_j3o.reporting.params import ReportParams

HERE = Path(__file__).parent
#: These are no part of `Params`: what they belong to has no settings.
OTHERS = (
    PropagationParams(),
    HighsParams(),
    ConflictParams(),
    ControlParams(),
    FleetParams(),
    ReportParams(),
    RelaxingParams(),
    DeployParams(),
)


def described(kind: type) -> dict[tuple[str, ...], str]:
    """Return what the docstring of a dataclass says of its attributes: names side by side, and text."""
    found: dict[tuple[str, ...], str] = {}
    names: tuple[str, ...] = ()
    _, _, attributes = inspect.getdoc(kind).partition("Attributes\n----------\n")
    for line in attributes.splitlines():
        if line.startswith(" "):
            found[names] = f"{found[names]} {line.strip()}".strip()
        elif line:
            names = tuple(re.split(r", ", line.partition(" : ")[0]))
            found[names] = ""
    return found


def sections(params: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield a dataclass and all that it nests, each with its path, "search.tree" say."""
    yield path, params
    for one in fields(params):
        value = getattr(params, one.name)
        if is_dataclass(value):
            yield from sections(value, f"{path}.{one.name}".lstrip("."))


def written(value: object) -> str:
    """Return a default as the table shows it."""
    if isinstance(value, tuple):
        return f"({', '.join(map(written, value))})"
    return f"{value:,.0f}" if value == int(value) and abs(value) >= 1000 else f"{value:g}"


def section(paths: list[str], params: object) -> list[str]:
    """Return the lines of one dataclass; none if it only nests others."""
    rows = []
    for names, text in described(type(params)).items():
        values = [getattr(params, name) for name in names]
        if not any(map(is_dataclass, values)):
            shown = ", ".join(f"`{name}`" for name in names)
            rows.append(f"| {shown} | {', '.join(map(written, values))} | {text} |")
    if not rows:
        return []
    title = ", ".join(f"`{path}`" for path in paths)
    summary = inspect.getdoc(type(params)).splitlines()[0]
    return [f"**{title}.** {summary}", "", "| name | value | meaning |", "|---|---|---|", *rows, ""]


def table() -> str:
    """Return all parameters as Markdown."""
    paths: dict[object, list[str]] = {}
    for path, params in sections(Params()):
        paths.setdefault(params, []).append(path)
    for params in OTHERS:
        paths[params] = [type(params).__name__]
    lines = [line for params, where in paths.items() for line in section(where, params)]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    (HERE / "parameters_table.md").write_text(table(), encoding="utf-8")
