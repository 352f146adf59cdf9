"""Results of a solver that keeps its model: their loaders end with the next change or solve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyomo.contrib.solver.common.results import Results
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.base.var import VarData

from pyomo_j3o.core.problem import FloatArray, Problem
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.modeling.loading import J3OSolutionLoader, NoPlanLoader


class _Expires:
    """A loader that says so once its model has gone on."""

    _valid = True

    def invalidate(self) -> None:
        """End this loader: what it holds may be wrong of the model as it is now."""
        self._valid = False

    def _require_valid(self) -> None:
        if not self._valid:
            raise RuntimeError("The results in the solver are no longer valid.")

    # Pyomo's name, by which its own loaders are asked.
    _assert_solution_still_valid = _require_valid


class ExpiringPlan(_Expires, J3OSolutionLoader):
    """`J3OSolutionLoader` until the model changes."""

    @property
    def compiled(self) -> tuple[Problem, Inverse, FloatArray, FloatArray, FloatArray | None]:
        """As of `J3OSolutionLoader`."""
        self._require_valid()
        return super().compiled

    def get_number_of_solutions(self) -> int:
        """As of `J3OSolutionLoader`."""
        self._require_valid()
        return super().get_number_of_solutions()

    def get_solution_ids(self) -> list[Any]:
        """As of `J3OSolutionLoader`."""
        self._require_valid()
        return list(super().get_solution_ids())

    def load_vars(self, vars_to_load: Sequence[VarData] | None = None) -> None:
        """As of `J3OSolutionLoader`."""
        self._require_valid()
        super().load_vars(vars_to_load)

    def get_vars(self, vars_to_load: Sequence[VarData] | None = None) -> Mapping[VarData, float]:
        """As of `J3OSolutionLoader`."""
        self._require_valid()
        return super().get_vars(vars_to_load)

    def get_duals(self, cons_to_load: Sequence[ConstraintData] | None = None) -> dict[ConstraintData, float]:
        """As of `J3OSolutionLoader`."""
        self._require_valid()
        return super().get_duals(cons_to_load)

    def get_reduced_costs(self, vars_to_load: Sequence[VarData] | None = None) -> Mapping[VarData, float]:
        """As of `J3OSolutionLoader`."""
        self._require_valid()
        return super().get_reduced_costs(vars_to_load)

    def load_import_suffixes(self) -> None:
        """As of `J3OSolutionLoader`."""
        self._require_valid()
        super().load_import_suffixes()


class ExpiringNoPlan(_Expires, NoPlanLoader):
    """`NoPlanLoader` until the model changes."""

    def get_number_of_solutions(self) -> int:
        """As of `NoPlanLoader`."""
        self._require_valid()
        return super().get_number_of_solutions()

    def get_vars(self, vars_to_load: Sequence[VarData] | None = None) -> Mapping[VarData, float]:
        """As of `NoPlanLoader`."""
        self._require_valid()
        return super().get_vars(vars_to_load)


def let_expire(results: Results) -> None:
    """Give results a loader that can be ended."""
    loader = results.solution_loader
    if isinstance(loader, J3OSolutionLoader):
        problem, inverse, x, y, duals = loader.compiled
        results.solution_loader = ExpiringPlan(problem, inverse, x > 0.5, y, duals)
    else:
        results.solution_loader = ExpiringNoPlan(None, loader.err_msg)
