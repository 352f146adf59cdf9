"""The solver that keeps its model behind Pyomo's classic interface for persistent solvers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pyomo.contrib.solver.common.results import Results
from pyomo.core.base.block import BlockData
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.base.objective import ObjectiveData, minimize
from pyomo.core.base.var import Var, VarData
from pyomo.core.expr.numvalue import NumericValue, native_numeric_types
from pyomo.opt.results.results_ import SolverResults
from pyomo.solvers.plugins.solvers.persistent_solver import PersistentSolver

from pyomo_j3o.core.deadline import NEVER
from pyomo_j3o.errors import ModelError
from pyomo_j3o.interface.classic import LegacyJ3O
from pyomo_j3o.interface.held_model import HeldModel
from pyomo_j3o.interface.persistent import PersistentJ3O, require_within


class LegacyPersistentJ3O(LegacyJ3O, PersistentJ3O, PersistentSolver):
    """`PersistentJ3O` behind Pyomo's classic interface.

    It finds changes by itself, so that none of the methods that tell of them is needed. A constraint that
    `remove_constraint` has taken out stays out, as always in that interface, until it is added again or has
    been out of the model.
    """

    CONFIG = PersistentJ3O.CONFIG
    name = PersistentJ3O.name
    _removals_stay = True

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()

    def has_instance(self) -> bool:
        """Return whether the solver has a model."""
        return self._held is not None

    def solve(self, model: BlockData | None = None, **kwds: Any) -> SolverResults:
        """Solve the instance; a model that is given becomes it, if there is none yet.

        Raises
        ------
        RuntimeError
            If there is neither.
        ValueError
            If there is an instance, and another model is given.
        """
        kwds.pop("save_results", None)
        if self._held is None and model is None:
            raise RuntimeError(
                "Please use set_instance to set the instance before calling solve with the persistent solver "
                "interface."
            )
        if self._held is not None and model is not None and model is not self._held.model:
            raise ValueError(
                "The problem instance provided to the solve method is not the same as the instance provided "
                "to the set_instance method in the persistent solver interface."
            )
        return super().solve(self._held.model if model is None and self._held is not None else model, **kwds)

    def _map_results(self, model: BlockData, results: Results) -> tuple[SolverResults, Any]:
        """Return classic results; if several objectives are active, sense and bounds are of the one set."""
        classic, solution = super()._map_results(model, results)
        objective = self._instance.objective
        if objective is not None:
            classic.problem.sense = objective.sense
            ends = (results.objective_bound, results.incumbent_objective)
            lower, upper = ends if objective.sense == minimize else reversed(ends)
            classic.problem.lower_bound, classic.problem.upper_bound = lower, upper
        return classic, solution

    def set_instance(self, model: BlockData, **kwds: Any) -> None:
        """Take a model; what was kept of another one is forgotten."""
        for name in ("skip_trivial_constraints", "output_fixed_variable_bounds"):
            kwds.pop(name, None)  # of no meaning here: rows of constants may always come and go
        super().set_instance(model, **kwds)

    def add_constraint(self, con: ConstraintData) -> None:
        """Tell of a constraint, or take in again one that was removed."""
        self._require_instance("add_constraint")
        self.add_constraints([con])

    def remove_constraint(self, con: ConstraintData) -> None:
        """Take out a constraint; it may stay in the model."""
        self._require_instance("remove_constraint")
        self.remove_constraints([con])

    def add_block(self, block: BlockData) -> None:
        """Tell of a block, or take in again one that was removed."""
        self._require_instance("add_block")
        super().add_block(block)

    def remove_block(self, block: BlockData) -> None:
        """Take out the constraints of a block, and its variables.

        Raises
        ------
        ValueError
            If another constraint, or the objective, holds one of the variables.
        """
        self._require_instance("remove_block")
        super().remove_block(block)
        for variable in block.component_data_objects(Var, descend_into=True):
            self.remove_var(variable)

    def set_objective(self, obj: ObjectiveData) -> None:
        """Take an objective in place of the one before."""
        self._require_instance("set_objective")
        super().set_objective(obj)

    def add_var(self, var: VarData) -> None:
        """Tell of a variable of the model."""
        held = self._require_instance("add_var")
        if var.model() is not held.model.model():
            raise RuntimeError("The pyomo var must be attached to the solver model")
        self.update_variables([var])

    def update_var(self, var: VarData) -> None:
        """Tell of a variable with other bounds, domain or fixing."""
        self._require_instance("update_var")
        self.update_variables([var])

    def remove_var(self, var: VarData) -> None:
        """Tell of a variable that the model loses.

        Raises
        ------
        ValueError
            If a constraint, or the objective, holds it.
        """
        self._require_instance("remove_var")
        if self._holds(var):
            raise ValueError(
                f"Cannot remove Var {var} because it is still referenced by the objective or one or more "
                "constraints"
            )
        self.update_variables([var])

    def add_column(
        self,
        model: BlockData,
        var: VarData,
        obj_coef: Any,
        constraints: Sequence[ConstraintData],
        coefficients: Sequence[Any],
    ) -> None:
        """Put a new variable into the objective and constraints of the model.

        Parameters
        ----------
        model
            The instance.
        var
            The variable, a component of it already.
        obj_coef
            Its coefficient in the objective; 0 for none.
        constraints, coefficients
            Of one length.

        Raises
        ------
        RuntimeError
            If the variable is in another model, or in a row already.
        ModelError
            If a constraint is none of the instance, or a coefficient is no number. The model is as it was.
        """
        held = self._require_instance("add_column")
        if model is not held.model:
            raise RuntimeError(
                "The pyomo model which the column is being added to must be the same as the pyomo model "
                "attached to this PersistentSolver instance; i.e., the same pyomo model used in set_instance."
            )
        if var.model() is not model.model():
            raise RuntimeError("The pyomo var must be attached to the solver model")
        if self._holds(var):
            raise RuntimeError("The pyomo var must not have been already added to the solver model")
        if len(constraints) != len(coefficients):
            raise RuntimeError("The list of constraints and the list of coefficients be of equal length")
        compiled = held.compiled
        assert compiled is not None
        objective = compiled.read.rows.owner(len(compiled.read.rows.constraints))
        _put_into(var, objective, obj_coef, _rows_to_change(model, constraints, coefficients))
        self._told("update_constraints", "update_objectives", "update_vars")

    def load_vars(self, vars_to_load: Sequence[VarData] | None = None) -> None:
        """Give the variables, or only those named, the values of the last plan."""
        self._last_results().solution_loader.load_vars(vars_to_load)

    def load_duals(self, cons_to_load: Iterable[ConstraintData] | None = None) -> None:
        """Put the duals of the last solve into the Suffix ``dual`` of the model."""
        self._load_suffix("dual", self._last_results().solution_loader.get_duals, cons_to_load)

    def load_rc(self, vars_to_load: Iterable[VarData] | None = None) -> None:
        """Put the reduced costs of the last solve into the Suffix ``rc`` of the model."""
        self._load_suffix("rc", self._last_results().solution_loader.get_reduced_costs, vars_to_load)

    def _load_suffix(self, name: str, get: Callable[[Any], Any], wanted: Iterable[Any] | None) -> None:
        suffix = self._instance.model.component(name)
        if suffix is None:
            raise RuntimeError(f"The model has no Suffix '{name}'; declare one to load into")
        for component, number in get(None if wanted is None else list(wanted)).items():
            suffix[component] = number

    def _last_results(self) -> Results:
        if self._results is None:
            raise RuntimeError("There are no results that belong to the model as it is; call solve first.")
        return self._results

    def _require_instance(self, method: str) -> HeldModel:
        if self._held is None:
            raise RuntimeError(f"You must call set_instance before calling {method}.")
        return self._held

    def _holds(self, var: VarData) -> bool:
        """Return whether a constraint that counts, or the objective, holds a variable."""
        held = self._instance
        held.look(self.config, NEVER, self._removals_stay)
        compiled = held.compiled
        if compiled is None:
            raise AssertionError("a look that succeeds leaves arrays")
        return compiled.holds(var)


def _rows_to_change(
    model: BlockData, constraints: Sequence[ConstraintData], coefficients: Sequence[Any]
) -> list[tuple[ConstraintData, Any]]:
    """Return constraints of a model and coefficients; raise if one is something else."""
    for constraint in constraints:
        if not isinstance(constraint, ConstraintData):
            raise ModelError(f"add_column: {constraint} is no single constraint; give members of Constraints")
        require_within(model, constraint)
    return list(zip(constraints, coefficients, strict=True))


def _is_constant(number: Any) -> bool:
    """Return whether something is a number, a Param, or an expression of these."""
    if number.__class__ in native_numeric_types:
        return True
    return isinstance(number, NumericValue) and not number.is_potentially_variable()


def _put_into(
    variable: VarData, objective: ObjectiveData, worth: Any, rows: list[tuple[ConstraintData, Any]]
) -> None:
    """Add a variable to an objective and to rows: to all of them, or after an error to none."""
    for coefficient in (worth, *(coefficient for _, coefficient in rows)):
        if not _is_constant(coefficient):
            raise ModelError(
                f"add_column: the coefficient {coefficient} of '{variable.name}' is no number; give a number "
                "or a Param"
            )
    before = [(constraint, constraint.expr) for constraint, _ in rows]
    goal = objective.expr
    try:
        for constraint, coefficient in rows:
            lower, body, upper = constraint.to_bounded_expression()
            constraint.set_value((lower, body + coefficient * variable, upper))
        if not (worth.__class__ in native_numeric_types and worth == 0.0):
            objective.set_value(goal + worth * variable)
    except BaseException:
        for constraint, expression in before:
            constraint.set_value(expression)
        objective.set_value(goal)
        raise
