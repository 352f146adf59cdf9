"""Results as they print and as a notebook shows them."""

from __future__ import annotations

import math
from typing import Any

from pyomo.contrib.solver.common.results import Results, SolutionStatus
from pyomo.opt.results.results_ import SolverResults

from pyomo_j3o.core.html import html_facts
from pyomo_j3o.core.results import PHASES, gap_in_words

#: Words for Pyomo's status of a plan.
_STATUS = {
    SolutionStatus.optimal: "proven optimal",
    SolutionStatus.feasible: "feasible, not proven optimal",
    SolutionStatus.infeasible: "infeasible",
    SolutionStatus.noSolution: "no plan",
}


#: What was chosen, by its name in `extra_info`.
_CHOSEN = (("algorithm", "algorithm"), ("LP solver", "lp_solver"), ("MIP solver", "mip_solver"))


class J3OResults(Results):
    """Pyomo's `Results`, which print in a few lines, and which a notebook shows as a table."""

    def __repr__(self) -> str:
        plan = "no plan" if self.incumbent_objective is None else f"objective {self.incumbent_objective:.8g}"
        return f"<Results of {self.solver_name or 'j3o'}: {_STATUS[self.solution_status]}, {plan}>"

    def __str__(self) -> str:
        return "\n".join(f"{name:<11}  {fact}" for name, fact in facts(self))

    def _repr_html_(self) -> str:
        return html_facts(facts(self))


class ClassicResults(SolverResults):
    """Pyomo's classic results, which a notebook shows as a table."""

    def _repr_html_(self) -> str:
        return html_facts(facts(self.j3o)) if isinstance(getattr(self, "j3o", None), Results) else ""


def facts(results: Results) -> list[tuple[str, str]]:
    """Return what results say as names and texts.

    Parameters
    ----------
    results
        Of the new interface.
    """
    info, timing = results.extra_info, results.timing_info
    found = [("status", _STATUS[results.solution_status])]
    if results.incumbent_objective is not None:
        found.append(("objective", f"{results.incumbent_objective:.8g}"))
    if results.objective_bound is not None:
        found.append(("bound", f"{results.objective_bound:.8g}"))
    objective, bound = results.incumbent_objective, results.objective_bound
    if objective is not None and bound is not None and math.isfinite(bound):
        found.append(("gap", gap_in_words(objective, bound).removeprefix("gap ")))
    found.append(("termination", results.termination_condition.name))
    found += [
        (label, str(info[name]))
        for label, name in (
            ("algorithm", "algorithm"),
            ("LP solver", "lp_solver"),
            ("MIP solver", "mip_solver"),
        )
        if info.get(name) is not None and info[name] is not None
    ]
    if timing.wall_time is not None:
        phases = [f"{name} {timing[name]:.2f}" for name in PHASES if _took_time(timing, name)]
        split = f" ({', '.join(phases)})" if phases else ""
        found.append(("time", f"{timing.wall_time:.2f} s{split}"))
    if info.get("message") is not None and info.message:
        found.append(("message", str(info.message)))
    return found


def _took_time(timing: Any, name: str) -> bool:
    return timing.get(name) is not None and timing[name] >= 0.005
