"""What every experiment shares: cases are measured one by one, kept in a folder, and drawn.

An experiment is a module with a docstring whose first line is its question, and four functions:

- ``cases(full)`` lists the cases, as mappings of plain values. Each is measured by itself.
- ``measure(case)`` returns the figures of one case, as a mapping of plain values.
- ``table(rows)`` returns heads and lines of text cells. A row is a case with its figures.
- ``draw(rows, figure)`` draws all rows on an empty figure of matplotlib.

A folder gets three files of an experiment: ``NAME.jsonl`` with a line for each case that is measured,
``NAME.md`` with the table, and ``NAME.png``. Cases that are in the folder are not measured again, so a run
that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from pyomo.contrib.solver.common.factory import SolverFactory

import pyomo_j3o

#: Options that make every solve the same on every machine, licence or not.
OPEN_SOURCE = {"lp_solver": "highs", "mip_solver": "highs", "threads": 1}

#: Okabe and Ito's palette, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, PINK, SKY, AMBER, BLACK = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000",
)  # fmt: skip
#: Colours of lines, the palette without its yellow.
LINES = (BLUE, AMBER, GREEN, PINK, SKY, ORANGE, BLACK)
PLACES = {"client": BLUE, "edge": AMBER, "cloud": SKY, "dropped": "#D9D9D9"}

#: The baselines that `pyomo_j3o` registers by name, each with its mark in pictures.
BASELINES = {
    "all_local": (GREEN, "v"),
    "all_edge": (AMBER, "^"),
    "all_cloud": (SKY, "s"),
    "most_accurate_first": (PINK, "D"),
    "random": (ORANGE, "x"),
    "apart": (BLACK, "+"),
}


def axes_of(figure: Figure, panels: int = 1, height: float = 3.6) -> list[Any]:
    """Return axes one below the other, each 7.2 inches wide: a page shows them without shrinking them."""
    figure.set_size_inches(7.2, height * panels)
    figure.set_layout_engine("constrained", h_pad=0.1)
    axes = list(figure.subplots(panels, 1, squeeze=False)[:, 0])
    for ax in axes:
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
        ax.grid(axis="y", color="#E5E5E5", linewidth=0.6)
        ax.set_axisbelow(True)
    return axes


def legend(ax: Any, columns: int = 2) -> None:
    """Put the legend above the axes, where it hides no line."""
    ax.legend(frameon=False, fontsize=8, ncols=columns, loc="lower left", bbox_to_anchor=(0, 1))


def baselines(build: Callable[[], Any]) -> dict[str, float | None]:
    """Return the objective of every baseline on a model of the library; None if it has no plan.

    Parameters
    ----------
    build
        Returns the model; it is called for each baseline.
    """
    found = {}
    for name in BASELINES:
        results = SolverFactory(f"j3o.{name}").solve(
            build(), raise_exception_on_nonoptimal_result=False, **OPEN_SOURCE
        )
        found[name] = results.incumbent_objective
    return found


def draw_baselines(ax: Any, at: Any, means: Iterable[dict[str, Any]], factor: float = 1.0) -> None:
    """Draw the baselines as marks without lines; they are lower marks than those of j3o.

    Parameters
    ----------
    ax
        The axes.
    at
        Where the groups stand on the x axis.
    means
        Of each group, with the entries of `baselines`.
    factor
        What their values are multiplied by.
    """
    groups = list(means)
    for name, (colour, marker) in BASELINES.items():
        values = [factor * mean[name] for mean in groups]
        label = name.replace("_", " ")
        ax.plot(at, values, color=colour, marker=marker, ms=5, mfc="none", ls="", label=label)


def draw_places(ax: Any, at: Any, means: Iterable[dict[str, Any]]) -> None:
    """Draw the shares of queries that clients, edge servers and the cloud answer, as stacked areas."""
    shares = [[100 * mean[place] for mean in means] for place in PLACES]
    ax.stackplot(at, *shares, colors=PLACES.values(), labels=PLACES)
    ax.set_ylim(0, 100)
    ax.set_ylabel("share of the queries (%)")
    legend(ax, 4)


def means(
    rows: Iterable[dict[str, Any]], by: str | tuple[str, ...], figures: Iterable[str]
) -> dict[Any, Any]:
    """Return the means of figures over the rows that agree in some entries, in the order of the rows.

    Parameters
    ----------
    rows
        Cases with their figures.
    by
        The entry, or the entries, that group them.
    figures
        What is averaged; None and NaN are left out.

    Returns
    -------
    dict
        By the value of `by`, or the tuple of values; each is a dict by figure.
    """
    groups = defaultdict(list)
    for row in rows:
        groups[row[by] if isinstance(by, str) else tuple(row[key] for key in by)].append(row)
    return {value: {key: _mean(some, key) for key in figures} for value, some in groups.items()}


def _mean(rows: list[dict[str, Any]], key: str) -> Any:
    known = [row[key] for row in rows if row[key] is not None and not np.all(np.isnan(row[key]))]
    return np.mean(known, axis=0) if known else np.nan


def measured(path: Path) -> dict[str, dict[str, Any]]:
    """Return what a file holds, by case. A last line that was cut off is left out."""
    found = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            found[_key(record["case"])] = record
    return found


def run(module: ModuleType, name: str, folder: Path, full: bool) -> list[dict[str, Any]]:
    """Measure the cases of an experiment that a folder does not hold yet, and write its table and picture.

    Parameters
    ----------
    module
        The experiment.
    name
        Of its files.
    folder
        Where they are; it is made if it is not there.
    full
        Whether to measure all cases, or a few small ones.

    Returns
    -------
    list of dict
        The cases, each with its figures.

    Raises
    ------
    SystemExit
        The folder was measured with another version of pyomo_j3o or HiGHS.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, versions = folder / f"{name}.jsonl", _versions()
    known, cases = measured(path), [dict(case) for case in module.cases(full)]
    strange = [record["versions"] for record in known.values() if record["versions"] != versions]
    if strange:
        raise SystemExit(f"{path} was measured with {strange[0]}, not {versions}; give another folder")
    print(f"{name}: {module.__doc__.splitlines()[0]}", flush=True)
    for number, case in enumerate(cases, start=1):
        if _key(case) in known:
            continue
        begin = time.perf_counter()
        record = {"case": case, "found": dict(module.measure(case)), "versions": versions}
        record["seconds"] = round(time.perf_counter() - begin, 3)
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        known[_key(case)] = json.loads(json.dumps(record))
        said = ", ".join(f"{key} {value}" for key, value in case.items())
        print(f"  {number:>4}/{len(cases)}  {said}  ({record['seconds']:.1f} s)", flush=True)
    rows = [{**case, **known[_key(case)]["found"]} for case in cases]
    seconds = sum(known[_key(case)]["seconds"] for case in cases)
    heads, lines = module.table(rows)
    foot = f"{len(cases)} cases, {seconds:,.0f} s. " + ", ".join(f"{k} {v}" for k, v in versions.items())
    text = "\n".join(f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *lines))
    (folder / f"{name}.md").write_text(f"{text}\n\n{foot}, {platform.machine()}, one thread.\n", "utf-8")
    figure = Figure()
    module.draw(rows, figure)
    figure.savefig(folder / f"{name}.png", dpi=110)
    print(f"{text}\n\n{folder / name}.png\n", flush=True)
    return rows


def main(name: str) -> None:
    """Run the experiment that is the script of this call.

    Parameters
    ----------
    name
        ``__file__`` of the script.
    """
    module = sys.modules["__main__"]
    parser = argparse.ArgumentParser(description=(module.__doc__ or "").split("\n")[0])
    parser.add_argument("folder", nargs="?", default="experiments", type=Path, help="for results")
    parser.add_argument("--full", action="store_true", help="all cases, not a few small ones")
    options = parser.parse_args()
    run(module, Path(name).stem, options.folder, options.full)


def _key(case: dict[str, Any]) -> str:
    return json.dumps(case, sort_keys=True)


def _versions() -> dict[str, str]:
    return {"pyomo_j3o": pyomo_j3o.__version__, "HiGHS": version("highspy")}
