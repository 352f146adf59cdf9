"""Write docs/fuzz_table.md: random annotated models, each solved by j3o and by j3o.exact and judged.

Run it from the root of the repository; a thousand models take about eight minutes in two processes. All
shapes and families have the same number of models. These and their judge are those of tests/random_models.py,
tests/random_families.py and tests/random_judge.py, whose seeds the default tests run a few of.

    python docs/make_fuzz_table.py [--seeds N] [--first SEED] [--jobs N]
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

import numpy as np  # noqa: E402
from random_families import FAMILIES  # noqa: E402
from random_judge import Verdict, judge  # noqa: E402
from random_models import N_SHAPES, SIZES  # noqa: E402

import pyomo_j3o  # noqa: E402

#: A plan this near to the optimum counts as found, and as near.
EXACT, NEAR = 1e-6, 0.01


def row(name: str, verdicts: list[Verdict]) -> str:
    """Return one row: how many, how many have an optimum, and how near j3o came to it."""
    known = [v for v in verdicts if v.distance is not None]
    cells = [name, str(len(verdicts)), str(len(known))]
    for distances in (
        [v.distance for v in known],
        [v.search for v in known if v.search is not None],
        [v.alternation for v in known if v.alternation is not None],
    ):
        n = max(1, len(distances))
        cells.append(f"{100 * sum(d <= EXACT for d in distances) / n:.1f} %" if distances else "")
        cells.append(f"{100 * sum(d <= NEAR for d in distances) / n:.1f} %" if distances else "")
    cells.append(str(sum(bool(v.wrong) for v in verdicts)))
    return "| " + " | ".join(cells) + " |"


def family_row(name: str, verdicts: list[Verdict]) -> str:
    """Return one row of a family: what j3o found, and its time over that of HiGHS."""
    known = [v for v in verdicts if v.distance is not None]
    cells = [name, str(len(verdicts)), str(len(known))]
    shares = [100 * sum(v.distance <= far for v in known) / max(1, len(known)) for far in (EXACT, NEAR)]
    cells += [f"{share:.1f} %" if known else "" for share in shares]
    cells.append(str(sum(bool(v.wrong) for v in verdicts)))
    ratios = [v.seconds / v.highs_seconds for v in verdicts if v.seconds and v.highs_seconds]
    cells += [f"{np.median(ratios):.1f}", f"{max(ratios):.1f}"] if ratios else ["", ""]
    return "| " + " | ".join(cells) + " |"


def table(verdicts: list[Verdict]) -> list[str]:
    """Return the tables, by shape, by size and by family, and what stands out."""
    head = (
        "| {} | models | with an optimum | j3o: optimal | j3o: within 1 % | own search: optimal "
        "| own search: within 1 % | alternation: optimal | alternation: within 1 % | wrong |"
    )
    lines = []
    shaped = [v for v in verdicts if v.shape not in FAMILIES]
    for title, key in (("shape", "shape"), ("size", "size")):
        lines += [head.format(title), "|---" + "|---:" * 9 + "|"]
        names = list(SIZES) if key == "size" else sorted({v.shape for v in shaped})
        lines += [row(name, [v for v in shaped if getattr(v, key) == name]) for name in names]
        lines += [row("all", shaped), ""]
    lines += [
        "| family | models | with an optimum | optimal | within 1 % | wrong | time over HiGHS's | worst |",
        "|---" + "|---:" * 7 + "|",
    ]
    families = [v for v in verdicts if v.shape in FAMILIES]
    lines += [family_row(name, [v for v in families if v.shape == name]) for name in FAMILIES]
    lines += [family_row("all families", families), family_row("all shapes", shaped), ""]
    styles = len({v.style for v in verdicts})
    largest = max(v.n_variables for v in verdicts)
    exact = sum(v.exact for v in verdicts)
    lines += [
        f"{len(verdicts)} models, {styles} styles of modelling, up to {largest} variables. For {exact} of",
        "them, optimum, infeasibility or unboundedness is proven without rounding. "
        f"j3o {pyomo_j3o.__version__}.",
    ]
    far = [v for v in verdicts if v.distance is not None and v.distance > NEAR]
    for title, those in (("Farther than 1 %", far), ("Wrong", [v for v in verdicts if v.wrong])):
        told = "; ".join(f"seed {v.seed} ({v.shape}, {v.n_variables} variables{told_of(v)})" for v in those)
        lines.append(f"{title}: {told or 'none'}.")
    return lines


def told_of(verdict: Verdict) -> str:
    """Return what is to be said of one seed."""
    if verdict.wrong:
        return f": {verdict.wrong}"
    return f", {100 * verdict.distance:.1f} %"


def main() -> None:
    """Judge all seeds, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    begin, verdicts = time.perf_counter(), []
    # HiGHS and its threads do not outlive a fork.
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        each = -(-options.seeds // (N_SHAPES + len(FAMILIES)))
        seeds = range(options.first, options.first + each)
        drawn = [(seed, None) for seed in range(options.first, options.first + N_SHAPES * each)]
        drawn += [(seed, family) for family in FAMILIES for seed in seeds]
        for verdict in pool.map(judge, *zip(*drawn, strict=True), chunksize=10):
            verdicts.append(verdict)
            if verdict.wrong or (verdict.distance or 0) > NEAR:
                print(verdict, flush=True)
            if len(verdicts) % 500 == 0:
                print(f"{len(verdicts)} models, {time.perf_counter() - begin:.0f} s", flush=True)
    (HERE / "fuzz_table.md").write_text("\n".join(table(verdicts)) + "\n", encoding="utf-8")
    print(f"{len(verdicts)} models in {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
