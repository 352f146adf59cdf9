"""j3o for a model that is solved again and again: it stays compiled, and each solve helps the next."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from pyomo.contrib.solver.common.base import PersistentSolverBase
from pyomo.contrib.solver.common.results import Results
from pyomo.core.base.block import BlockData
from pyomo.core.base.constraint import Constraint, ConstraintData
from pyomo.core.base.objective import ObjectiveData
from pyomo.core.base.param import ParamData
from pyomo.core.base.var import VarData

from pyomo_j3o.core.deadline import NEVER, Deadline, OutOfTime
from pyomo_j3o.core.log import Log
from pyomo_j3o.core.problem import BoolArray, FloatArray, Plan, Problem
from pyomo_j3o.core.results import Timings
from pyomo_j3o.errors import ModelError, TriviallyInfeasibleError
from pyomo_j3o.interface.auto_updates import PersistentConfig
from pyomo_j3o.interface.compiled import Compiled
from pyomo_j3o.interface.expiring import let_expire
from pyomo_j3o.interface.held_model import HeldModel
from pyomo_j3o.interface.solver import J3O
from pyomo_j3o.interface.verdict import Solved
from pyomo_j3o.methods.memory import Memory
from pyomo_j3o.modeling.compiled_model import COMPILED, PATCHED
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.modeling.naming import the_model


class PersistentJ3O(J3O, PersistentSolverBase):
    """`J3O` that keeps its model: a solve finds what has changed, and starts from the solve before.

    ``solve(model)`` is all that is needed; the first call compiles the model, each later one looks for
    changes. The other methods are those of Pyomo's persistent solvers.
    """

    CONFIG = PersistentConfig()
    name = "j3o_persistent"
    #: Whether a constraint that the user takes out stays out although the model has it still.
    _removals_stay = False

    def __init__(self, **kwds: Any) -> None:
        super().__init__(**kwds)
        self._held: HeldModel | None = None
        self._results: Results | None = None
        self._has_looked = False

    def __getstate__(self) -> dict[str, Any]:
        # A copy has no instance: it is as after construction.
        return super().__getstate__() | {"_held": None, "_results": None}

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Let go of the model and of all that was kept of it."""
        self._end_results()
        self._held = None

    def is_persistent(self) -> bool:
        """Return True."""
        return True

    def solve(self, model: BlockData, **kwds: Any) -> Results:
        """Solve a model; one that is not the model of the last solve becomes the instance.

        Parameters, results and errors are those of `J3O.solve`. Besides, ``results.extra_info.update`` says
        what has changed since the solve before.

        Raises
        ------
        RebuildError
            If the structure of the model has changed, and ``allow_rebuild=False``.
        """
        self._has_looked = False
        if self._held is None or self._held.model is not model:
            self._end_results()
            self._held = HeldModel(model)
        try:
            return super().solve(model, **kwds)
        finally:
            if self._held is not None:
                self._held.update = None

    def set_instance(self, model: BlockData, **kwds: Any) -> None:
        """Take a model; what was kept of another one is forgotten.

        Parameters
        ----------
        model
            The model or block.
        **kwds
            Options for this call only.
        """
        config = self._config_of_call(kwds)
        self.close()
        held = HeldModel(model)
        # That constants alone make it infeasible is the answer of a solve.
        with suppress(TriviallyInfeasibleError):
            held.look(config, NEVER, self._removals_stay)
        self._held = held

    def update(self, **kwds: Any) -> None:
        """Look for changes now; the next solve looks again.

        Parameters
        ----------
        **kwds
            Options for this call only.
        """
        config = self._config_of_call(kwds)
        if self._held is None:
            raise RuntimeError("must call set_instance or solve before update")
        before = self._held.compiled
        with suppress(TriviallyInfeasibleError):
            self._held.look(config, NEVER, self._removals_stay)
        if self._held.compiled is not before:
            self._end_results()

    # --- what the user tells of changes -------------------------------------------------------------------

    def add_constraints(self, cons: Iterable[ConstraintData]) -> None:
        """Tell of constraints that the model has now, or take in again what was removed."""
        held = self._told("check_for_new_or_removed_constraints")
        constraints = _members(cons)
        for constraint in constraints:
            require_within(held.model, constraint)
        for constraint in constraints:
            held.without.pop(id(constraint), None)

    def remove_constraints(self, cons: Iterable[ConstraintData]) -> None:
        """Tell of constraints that the model loses.

        One that the model has still comes back at the next look for new constraints.

        Raises
        ------
        ModelError
            If one belongs to another model.
        """
        held = self._told("check_for_new_or_removed_constraints")
        constraints = _members(cons)
        known = held.constraints_known()
        for constraint in constraints:
            if id(constraint) not in known:
                require_within(held.model, constraint)
        held.without |= {id(constraint): constraint for constraint in constraints}

    def add_block(self, block: BlockData) -> None:
        """Tell of the constraints of a block."""
        self.add_constraints(block.component_data_objects(Constraint, active=True))

    def remove_block(self, block: BlockData) -> None:
        """Tell of a block, as it is before it leaves the model."""
        self.remove_constraints(block.component_data_objects(Constraint, active=True))

    def set_objective(self, obj: ObjectiveData) -> None:
        """Take an objective; it counts even if another one is active."""
        held = self._told("check_for_new_or_removed_objectives", "update_objectives")
        if not obj.active:
            raise ValueError(f"Objective '{obj.name}' is not active; activate it before set_objective")
        require_within(held.model, obj)
        held.objective = obj

    def update_variables(self, variables: Iterable[VarData]) -> None:
        """Tell of variables with other bounds, domains or fixings."""
        self._told("update_vars", "update_parameters")

    def update_parameters(self, params: Iterable[ParamData] = ()) -> None:
        """Tell of Params, or fixed variables, with other values."""
        self._told("update_parameters")

    def _told(self, *checks: str) -> HeldModel:
        """Return the instance, in which these checks are made at the next look whatever the options say."""
        if self._held is None:
            raise RuntimeError("call set_instance first")
        self._end_results()
        self._held.told.update(checks)
        return self._held

    # --- one solve ----------------------------------------------------------------------------------------

    def _solve(self, model: BlockData, config: Any, timings: Timings, log: Log) -> Solved:
        """Look for changes, and search if the last answer does not stand."""
        held = self._instance
        self._end_results()
        if not self._has_looked:
            limit = math.inf if config.time_limit is None else config.time_limit
            deadline = Deadline(limit - timings.elapsed())
            if held.solved is None:
                deadline.require()
            # Otherwise a look that finds no change has an answer, however little time there is.
            with timings.phase("compile"):
                held.look(config, deadline, self._removals_stay)
                held.look_at_prices(config)
            self._has_looked = True
        answer = held.answer(config)
        if answer is not None:
            log.line("Nothing was found to have changed since the last solve, whose plan stands")
            return answer
        if held.update is not None and held.update.outcome in (PATCHED, COMPILED):
            log.line(f"The model was {held.update.in_words()}")
        try:
            solved = super()._solve(model, config, timings, log)
        except OutOfTime:
            kept = held.answer_without_time(config)
            if kept is None:
                raise
            log.line("No time was left to search; nothing was found to have changed, so the last plan stands")
            return kept
        held.remember(solved, config)
        return solved

    @property
    def _instance(self) -> HeldModel:
        if self._held is None:
            raise RuntimeError("call set_instance first")
        return self._held

    def _compile(self, model: BlockData, config: Any, deadline: Deadline) -> tuple[Problem, Inverse]:
        """Return the arrays that the look at the model has left."""
        compiled = self._instance.compiled
        if compiled is None:
            raise AssertionError("a look that succeeds leaves arrays")
        return compiled.problem, compiled.inverse

    def _start(self, compiled: Compiled, config: Any) -> tuple[BoolArray | None, Plan | None]:
        """Return the last placement and plan, unless the user has said what to start from."""
        if config.warm_start:
            return super()._start(compiled, config)
        if _shows_its_steps(config):
            return None, None
        placement, plan = self._instance.start(compiled.problem)
        from_nothing = compiled.algorithm == "exact" and config.mip_start == "none"
        return None if from_nothing else placement, plan

    def _placement_before(self) -> FloatArray | None:
        """Return what the variables hold, and where they hold nothing, the placement of the last plan."""
        return self._instance.placement_before()

    def _memory(self, compiled: Compiled, config: Any) -> Memory | None:
        """Return what earlier solves have left of a problem of this shape."""
        if _shows_its_steps(config):
            return None
        return self._instance.memory(compiled.problem, compiled.algorithm)

    def _complete(self, results: Results) -> None:
        """Keep the results to end them later."""
        let_expire(results)
        self._results = results

    def _update(self) -> dict[str, Any] | None:
        """Return what has changed, and what was done about it."""
        update = self._instance.update
        return None if update is None else update.summary()

    def _end_results(self) -> None:
        """End the loader of the last results."""
        if self._results is not None:
            self._results.solution_loader.invalidate()
            self._results = None


def _shows_its_steps(config: Any) -> bool:
    """Return whether the options ask for the steps of the method as they are without an earlier solve."""
    return config.effort == "alternation" or config.onloading_step is not None


def _members(components: Iterable[Any]) -> list[ConstraintData]:
    """Return the members of constraints, some of which may be indexed."""
    members: list[ConstraintData] = []
    for component in components:
        if isinstance(component, ConstraintData):
            members.append(component)
        elif isinstance(component, Constraint):
            members.extend(component.values())
        else:
            named = f"'{component.name}'" if hasattr(component, "name") else repr(component)
            raise ModelError(f"{named} is no constraint; give Constraints or members of them")
    return members


def require_within(model: BlockData, component: Any) -> None:
    """Raise a `ModelError` unless a component belongs to a model."""
    block = component.parent_block()
    while block is not None and block is not model:
        block = block.parent_block()
    if block is None:
        raise ModelError(
            f"{component.ctype.__name__} '{component.name}' is not in {the_model(model)}; add it to the "
            "model first"
        )
