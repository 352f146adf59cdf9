"""Write docs/bounds_table.md: bounds of small models by every backend, against the optimum without rounding.

Run it from the root of the repository; 2,000 models take about ten minutes in two processes. Models and
judge are those of tests/random_families.py and tests/random_judge.py. The default tests run a few seeds.

    python docs/make_bounds_table.py [--seeds N] [--first SEED] [--jobs N]
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

from random_judge import TOLERANCE, Certified, certify  # noqa: E402

import pyomo_j3o  # noqa: E402


def row(way: str, verdicts: list[Certified]) -> str:
    """Return one row: how often a bound was given, beaten, and closed."""
    known = [v for v in verdicts if v.has_optimum]
    given = [v.beaten for v in known if v.beaten is not None]
    beaten = sum(b > TOLERANCE for b in given)
    optimal = sum(v.optimal for v in known)
    wrong = sum(bool(v.wrong) for v in verdicts)
    share = f"{100 * optimal / max(1, len(known)):.1f} %"
    worst = f"{max(given, default=0.0):.1e}"
    cells = [way, len(verdicts), len(known), len(given), beaten, worst, share, wrong]
    return "| " + " | ".join(map(str, cells)) + " |"


def table(verdicts: list[Certified]) -> list[str]:
    """Return the table, by backend, and what is wrong."""
    lines = [
        "| solver, backend | models | with an optimum | bounds | beaten | by at most | optimal | wrong |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    ways = dict.fromkeys(v.way for v in verdicts)
    lines += [row(way, [v for v in verdicts if v.way == way]) for way in ways]
    first, last = verdicts[0].seed, verdicts[-1].seed
    proven = len({v.seed for v in verdicts if v.exact})
    lines += [
        "",
        f"Seeds {first} to {last}. For {proven} of them, the answer is proven without rounding; for the",
        f"others it is the exact objective of a plan. j3o {pyomo_j3o.__version__}.",
    ]
    wrong = [f"seed {v.seed} ({v.family}, {v.way}): {v.wrong}" for v in verdicts if v.wrong]
    lines.append(f"Wrong: {'; '.join(wrong) or 'none'}.")
    return lines


def main() -> None:
    """Judge all seeds, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    begin, verdicts = time.perf_counter(), []
    # HiGHS and its threads do not outlive a fork.
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        seeds = range(options.first, options.first + options.seeds)
        for of_seed in pool.map(certify, seeds, chunksize=10):
            verdicts += of_seed
            for verdict in of_seed:
                if verdict.wrong:
                    print(verdict, flush=True)
    (HERE / "bounds_table.md").write_text("\n".join(table(verdicts)) + "\n", encoding="utf-8")
    print(f"{options.seeds} models in {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
