"""Write docs/options_table.md: every option of the solver, from the declarations in the code.

Run it from the root of the repository after any change of an option; a test compares the file.

    python docs/make_options_table.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyomo_j3o.interface.options import CLASSIC_NAMES, J3OConfig

PATH = Path(__file__).parent / "options_table.md"
#: Options that Pyomo gives every solver, and whose values its own classes check.
PYOMOS = {
    "working_dir": "a folder",
    "symbolic_solver_labels": "True, False",
    "timer": "a `HierarchicalTimer`",
}
#: What an option takes whose domain is a function of Pyomo's, or one of j3o's that does not list it.
TAKES = {
    "tee": "True, False, a stream, a logger, a list of these",
    "move_cost": "a number ≥ 0, a mapping of variables to numbers",
    "solver_options": "a mapping of names to values",
}


def takes(name: str, domain: Any) -> str:
    """Return which values an option takes, in a few words, from what checks them."""
    if name in PYOMOS or name in TAKES:
        return (PYOMOS | TAKES)[name]
    kind = type(domain).__name__.lstrip("_")
    if kind in ("OneOf", "Effort"):
        more = ", a number > 0" if kind == "Effort" else ""
        return ", ".join(f'`"{value}"`' for value in domain.allowed) + more
    if kind == "Number":
        return f"{'a whole number' if domain.whole else 'a number'} ≥ {domain.least:g}"
    return {"Truth": "True, False", "Function": "a function"}[kind]


def text() -> str:
    """Return the table: a row for each option, in alphabetical order."""
    config = J3OConfig()
    also = {ours: classic for classic, ours in CLASSIC_NAMES.items()}
    lines = ["| option | default | takes | what it is |", "|---|---|---|---|"]
    for name in sorted(config):
        option = config.get(name)
        default = {"tee": False, "solver_options": {}}.get(name, option.value())
        shown = f'`"{default}"`' if isinstance(default, str) else f"`{default}`"
        words = " ".join(str(option._description).split())
        if name in also:
            words += f" Also called `{also[name]}`."
        lines.append(f"| `{name}` | {shown} | {takes(name, option._domain)} | {words} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
