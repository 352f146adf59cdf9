"""Measure the example deployment.py for minutes, and write docs/deployment_table.md and a picture.

Each server is measured in an environment that has it, for 20 minutes. Its figures go into
docs/deployment.csv, and the table is written from there. The picture is that of MLServer. Run it from the
root of the repository.

    python docs/make_deployment_table.py MLServer [minutes]
    python docs/make_deployment_table.py Triton [minutes]
"""

from __future__ import annotations

import csv
import importlib
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples"))
deployment = importlib.import_module("deployment")

FIGURES = HERE / "deployment.csv"
HEAD = (
    "| server | arrivals | window filled | node | queries | late, simulated | late, measured "
    "| median, s: simulated | measured | 99th percentile, s: simulated | measured |"
)


def measure(server: str, minutes: float) -> list[dict]:
    """Return the rows of one server, and draw the picture of MLServer."""
    found = deployment.measured(*deployment.planned(), seconds=60 * minutes, server=server)
    if server == "MLServer":
        deployment.draw(found, HERE / "_static" / "deployment.png")
    return [{"server": server, "minutes": minutes, **m.row()} for m in found]


def line(row: dict) -> str:
    """Return a line of the table."""
    late = [f"{100 * float(row[f'{kind} late']):.1f} %" for kind in ("forecast", "measured")]
    seconds = [f"{float(row[f'{kind} p{p}']):.2f}" for p in (50, 99) for kind in ("forecast", "measured")]
    filled = f"{100 * float(row['filled']):.0f} %"
    cells = [row["server"], row["arrivals"], filled, row["node"], str(row["queries"]), *late, *seconds]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure, keep, write."""
    server, minutes = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    rows = []
    if FIGURES.exists():
        with FIGURES.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["server"] != server]
    rows = sorted(rows + measure(server, minutes), key=lambda row: row["server"])
    with FIGURES.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    table = [HEAD, "|---|---|---:|---|" + "---:|" * 7, *map(line, rows), ""]
    (HERE / "deployment_table.md").write_text("\n".join(table), encoding="utf-8")


if __name__ == "__main__":
    main()
