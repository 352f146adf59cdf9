"""What the results of a solve say of a plan, by j3o or by any other solver of Pyomo."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyomo.common.collections import ComponentMap
from pyomo.common.errors import PyomoException
from pyomo.contrib.solver.common.results import Results
from pyomo.core.base.block import BlockData
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.base.suffix import Suffix
from pyomo.core.base.var import VarData
from pyomo.opt.results.results_ import SolverResults

from pyomo_j3o.core.problem import FloatArray
from pyomo_j3o.errors import J3OError, ModelError
from pyomo_j3o.modeling.compiler import Read, assemble
from pyomo_j3o.modeling.loading import J3OSolutionLoader
from pyomo_j3o.reporting.changes import is_same


@dataclass(frozen=True)
class Proof:
    """What is known of a plan besides its values.

    Attributes
    ----------
    objective, bound
        Of the results, in the user's sense; None where they have none.
    status
        ``"optimal"``, ``"feasible"`` or another word of the results; ``"unknown"`` without any.
    solver
        Which one found the plan, and with what; empty if that is not known.
    message
        What it said of its end.
    seconds
        Of wall time; None if not known.
    values
        Returns the values of variables as the results have them; raises if they have none.
    duals
        Returns the duals of constraints; the same.
    loaded
        Whether the results have given the model's variables their values; False if that is not known.
    compiled
        Returns the arrays that were solved, and the way back to the model; None if they are not known.
    has_moves
        Whether the objective of the results has a price of moves in it.
    """

    objective: float | None = None
    bound: float | None = None
    status: str = "unknown"
    solver: str = ""
    message: str = ""
    seconds: float | None = None
    values: Callable[[list[VarData]], Any] | None = None
    duals: Callable[[list[ConstraintData]], Any] | None = None
    loaded: bool = False
    compiled: Callable[[], tuple[Any, ...]] | None = None
    has_moves: bool = False

    def is_of(self, read: Read) -> bool:
        """Return whether a model is still the one that was solved, as far as the results know it."""
        if self.compiled is None:
            return True
        try:
            problem, inverse = self.compiled()[:2]
        except RuntimeError:  # the solver has gone on to another model
            return True
        try:
            return is_same((problem, inverse), assemble(read), not self.has_moves)
        except J3OError:
            return False

    def values_of(self, variables: list[VarData]) -> FloatArray | None:
        """Return the values of variables, (V,); None if the results hold none."""
        if self.values is None:
            return None
        try:
            found = ComponentMap(self.values(variables))
        except (PyomoException, KeyError, RuntimeError):
            return None
        return np.array([_number_or_nan(found.get(variable)) for variable in variables])


def proof_of(results: Any, sense: int) -> Proof:
    """Return what results say.

    Parameters
    ----------
    results
        Of either interface of Pyomo, by any solver; None for none.
    sense
        +1 if the model is maximised, -1 if it is minimised.

    Raises
    ------
    ModelError
        If they are no results.
    """
    if results is None:
        return Proof()
    if isinstance(results, SolverResults):
        own = getattr(results, "j3o", None)
        return _of_new(own) if isinstance(own, Results) else _of_classic(results, sense)
    if isinstance(results, Results):
        return _of_new(results)
    raise ModelError(
        f"results={type(results).__name__} are none of a solve; give what solve() of a Pyomo solver "
        "returned, or leave them out"
    )


def _of_new(results: Results) -> Proof:
    info, loader = results.extra_info, results.solution_loader
    parts = [results.solver_name or ""]
    if info.get("mip_solver_choice") is not None and info.get("mip_solver_choice").value():
        parts.append(str(info.mip_solver_choice))
    elif info.get("lp_solver") is not None and info.get("lp_solver").value():
        parts.append(f"LPs by {info.lp_solver}")
    return Proof(
        objective=_finite(results.incumbent_objective),
        bound=_finite(results.objective_bound),
        status=results.solution_status.name,
        solver=", ".join(part for part in parts if part),
        message=str(info.message) if info.get("message") is not None else "",
        seconds=_finite(results.timing_info.wall_time),
        values=None if loader is None else loader.get_vars,
        duals=None if loader is None else loader.get_duals,
        loaded=bool(getattr(loader, "loaded", False)),
        compiled=(lambda: loader.compiled) if isinstance(loader, J3OSolutionLoader) else None,
        has_moves=info.get("moves") is not None and info.moves is not None,
    )


def _of_classic(results: SolverResults, sense: int) -> Proof:
    problem, solver = results.problem, results.solver
    ends = [_finite(problem.lower_bound), _finite(problem.upper_bound)]
    bound, objective = ends if sense < 0 else ends[::-1]
    status = str(solver.termination_condition)
    return Proof(
        objective=objective,
        bound=bound,
        status=status if status in ("optimal", "feasible") else f"ended by {status}",
        solver="",
        message=_text(solver, "termination_message") or _text(solver, "message"),
        seconds=_finite(getattr(solver, "wallclock_time", None)),
    )


def duals_of(proof: Proof, model: BlockData, constraints: list[ConstraintData]) -> FloatArray | None:
    """Return the dual of each constraint, (R,), NaN where there is none; None if there are none at all.

    Those of the results come before those in the model's suffix ``dual``.
    """
    for duals in (_duals_of_results(proof, constraints), _duals_of_suffix(model, constraints)):
        if duals is not None and np.any(np.nan_to_num(duals) != 0):
            return duals
    return None


def _duals_of_results(proof: Proof, constraints: list[ConstraintData]) -> FloatArray | None:
    if proof.duals is None:
        return None
    try:
        found = proof.duals(constraints)
    except (PyomoException, KeyError, RuntimeError):
        return None
    return np.array([_number_or_nan(found.get(constraint)) for constraint in constraints])


def _duals_of_suffix(model: BlockData, constraints: list[ConstraintData]) -> FloatArray | None:
    suffix = model.component("dual")
    if not isinstance(suffix, Suffix) or not len(suffix):
        return None
    return np.array([_number_or_nan(suffix.get(constraint)) for constraint in constraints])


def _finite(number: Any) -> float | None:
    """Return a number that is one, and finite; None for all else, Pyomo's undefined entries among it."""
    found = _number_or_nan(getattr(number, "value", number))
    return found if math.isfinite(found) else None


def _number_or_nan(number: Any) -> float:
    try:
        return math.nan if number is None else float(number)
    except (TypeError, ValueError):
        return math.nan


def _text(section: Any, name: str) -> str:
    """Return an entry of classic results as text; nothing for one that is undefined, or a mere condition."""
    found = getattr(section, name, None)
    found = getattr(found, "value", found)
    return found if isinstance(found, str) and not found.startswith("TerminationCondition.") else ""
