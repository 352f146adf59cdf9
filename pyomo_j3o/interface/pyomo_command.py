"""What the `pyomo solve` command prints of j3o's results beside what it prints of everybody's."""

from __future__ import annotations

import math
from typing import Any

from pyomo.common.plugin_base import SingletonPlugin, implements
from pyomo.contrib.solver.common.results import Results, SolutionStatus
from pyomo.scripting.interface import IPyomoScriptPrintResults

from pyomo_j3o.core.results import gap_in_words


class PrintGapAndBound(SingletonPlugin):
    """Prints whether the plan is proven, its gap and its bound; the command's own gap is an absolute one."""

    implements(IPyomoScriptPrintResults, service=True)

    def apply(self, options: Any = None, results: Any = None, **others: Any) -> None:
        """Print one line, unless the results are another solver's or the command is to be quiet."""
        found = getattr(results, "j3o", None)
        if not isinstance(found, Results) or _is_quiet(options):
            return
        print(f"    {line_of(found)}")


def line_of(results: Results) -> str:
    """Return in one line whether the plan of j3o's results is proven, with its gap and its bound."""
    bound = results.objective_bound
    known = bound is not None and math.isfinite(bound)
    with_bound = f"bound {bound:.8g}" if known else "no bound"
    if results.incumbent_objective is None:
        return f"No plan, {with_bound}"
    proven = results.solution_status == SolutionStatus.optimal
    word = "Proven optimal" if proven else "NOT proven optimal"
    objective = results.incumbent_objective
    with_gap = f", {gap_in_words(objective, bound)}" if known else ""
    return f"{word}, objective {objective:.8g}{with_gap}, {with_bound}"


def _is_quiet(options: Any) -> bool:
    runtime = getattr(options, "runtime", None)
    return getattr(runtime, "logging", None) == "quiet"
