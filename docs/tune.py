"""Solve the tuning set with the usual parameters, and with others beside them; print both.

Run it from the root of the repository; it takes about a minute. The models are those of tests/tuning_set.py,
which is apart from every set whose figures stand in the docs. Each model is solved by j3o and HiGHS with the
usual parameters and, if some are set, right after that with the changed ones. Seconds are of the processor,
so that other work on the machine does not count. The names are those of docs/parameters_table.md.

    python docs/tune.py [--set NAME=VALUE ...] [--only TEXT ...] [--limit SECONDS]
    python docs/tune.py --set search.tree.kernel=0.02 loop.patience=3
"""

from __future__ import annotations

import argparse
import ast
import sys
import time
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from pyomo.contrib.solver.common.factory import SolverFactory

from pyomo_j3o.methods.params import Params

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from tuning_set import MODELS


@dataclass(frozen=True)
class Solved:
    """Objective, relative gap, and seconds of the processor."""

    objective: float
    gap: float
    seconds: float


def changed(params: Any, name: str, value: Any) -> Any:
    """Return parameters with the one called `name`, "search.tree.kernel" say, replaced by `value`."""
    first, _, rest = name.partition(".")
    known = [one.name for one in fields(params)] if is_dataclass(params) else []
    if first not in known or (not rest and is_dataclass(getattr(params, first))):
        raise SystemExit(f"There is no parameter '{name}' in {type(params).__name__}: {', '.join(known)}")
    inner = changed(getattr(params, first), rest, value) if rest else value
    return replace(params, **{first: inner})


def read(settings: list[str]) -> Params:
    """Return the parameters that NAME=VALUE texts make of the usual ones."""
    params = Params()
    for setting in settings:
        name, _, value = setting.partition("=")
        params = changed(params, name, ast.literal_eval(value))
    return params


def solve(name: str, params: Params, limit: float) -> Solved:
    """Solve one model of the set."""
    model, solver = MODELS[name](), SolverFactory("j3o")
    solver.params = params
    begin = time.process_time()
    results = solver.solve(
        model,
        lp_solver="highs",
        mip_solver="highs",
        time_limit=limit,
        load_solutions=False,
        raise_exception_on_nonoptimal_result=False,
    )
    seconds = time.process_time() - begin
    if results.incumbent_objective is None:
        return Solved(float("nan"), float("inf"), seconds)
    objective, bound = results.incumbent_objective, results.objective_bound
    return Solved(objective, abs(bound - objective) / max(abs(objective), 1e-10), seconds)


def row(name: str, ways: list[Solved]) -> str:
    """Return one line: objective, gap and seconds, way by way."""
    cells = [f"{one.objective:>14.6g} {100 * one.gap:>8.3f} % {one.seconds:>8.2f} s" for one in ways]
    return f"{name:36}" + "   ".join(cells)


def sums(ways: list[list[Solved]]) -> str:
    """Return the last line: sums of gaps and seconds; objectives of different models are not added up."""
    cells = [
        f"{'':14} {100 * sum(one.gap for one in way):>8.3f} % {sum(one.seconds for one in way):>8.2f} s"
        for way in ways
    ]
    return f"{'sum':36}" + "   ".join(cells)


def main() -> None:
    """Solve, print as it goes, and add up."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="changed parameters")
    parser.add_argument("--only", nargs="+", default=[""], help="texts, one of which a model's name contains")
    parser.add_argument("--limit", type=float, default=60.0, help="time limit of one solve, s")
    options = parser.parse_args()
    params = [Params(), read(options.set)] if options.set else [Params()]
    solved = []
    for name in MODELS:
        if any(text in name for text in options.only):
            solved.append([solve(name, one, options.limit) for one in params])
            print(row(name, solved[-1]), flush=True)
    print(sums([list(way) for way in zip(*solved, strict=True)]))
    if options.set:
        better = sum(b.objective != a.objective for a, b in solved)
        print(
            f"usual parameters on the left, {' '.join(options.set)} on the right; {better} objectives differ"
        )


if __name__ == "__main__":
    main()
