"""What runs in a worker: builds the model of one part, puts prices in, solves, and returns small arrays.

A worker holds nothing between two visits: an engine may run a visit twice, or elsewhere.
"""

from __future__ import annotations

import math
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pyomo.environ as pyo
from pyomo.common.modeling import unique_component_name
from pyomo.contrib.fbbt.fbbt import compute_bounds_on_expr
from pyomo.contrib.solver.common.results import TerminationCondition
from pyomo.core.base.block import BlockData

from pyomo_j3o.fleet.records import Answer, Failure, Look, Report, Task
from pyomo_j3o.interface.solver import J3O
from pyomo_j3o.modeling.annotate import annotated
from pyomo_j3o.modeling.move_cost import has_prices
from pyomo_j3o.modeling.rows import active_objective

#: Pyomo reads a name of several parts with one parser, which two threads may not use at a time.
_PARSER = threading.Lock()


class _Refused(Exception):
    """The part is not one that can be planned; the message says why."""


def visit(
    build: Callable[[Any], Any],
    argument: Any,
    budgets: Sequence[str],
    tasks: Sequence[Task],
    options: Sequence[Mapping[str, Any]],
    end: float = math.inf,
) -> Report | Failure:
    """Build one part, solve it once for every task, and leave its model as it was.

    A `build` may keep its models: the next visit finds the variables, the objective and the components that
    this one found.

    Parameters
    ----------
    build
        Returns the model of the part.
    argument
        What it is called with.
    budgets
        Names of the shared budgets.
    tasks
        In this order; each starts from the plan of the one before it.
    options
        Of the solver, for each effort.
    end
        When the last solve has to end, by `time.time`: a job may wait for its worker.
    """
    try:
        model = build(argument)
    except (Exception, SystemExit) as error:
        return _failure("build raised", error)
    part = None
    try:
        part = _Part(model, budgets)
        look = part.look()
        answers = [part.solve(task, _in_time(options[task.effort], end)) for task in tasks]
        return Report(look, tuple(answers))
    except _Refused as refusal:
        return Failure(str(refusal))
    except Exception as error:
        return _failure("its model raised", error)
    finally:
        if part is not None:
            part.leave()


def _in_time(options: Mapping[str, Any], end: float) -> Mapping[str, Any]:
    """Return options of a solve that ends in time."""
    limit, left = options.get("time_limit"), max(end - time.time(), 0.01)
    return {**options, "time_limit": left if limit is None else min(limit, left)}


def _failure(what: str, error: BaseException) -> Failure:
    text = str(error).strip().splitlines()
    return Failure(
        f"{what} {type(error).__name__}" + (f": {text[0]}" if text else ""), traceback.format_exc()
    )


class _Part:
    """The model of one part, with prices on what it uses."""

    def __init__(self, model: Any, budgets: Sequence[str]) -> None:
        if not isinstance(model, BlockData):
            raise _Refused(f"build returned {type(model).__name__}, not a Pyomo model; return the model")
        if not annotated(model):
            raise _Refused("build returned a model without any mark; annotate its variables")
        if has_prices(model):
            raise _Refused("its Suffix 'move_cost' prices moves, which a fleet does not count; take it out")
        self.model, self.names = model, budgets
        self.uses = [_use_of(model, name) for name in budgets]
        self.objective = active_objective(model)
        self.sense = 1 if self.objective.sense == pyo.maximize else -1
        self.solved = False
        self._held = [(variable, variable.value) for variable in model.component_data_objects(pyo.Var)]
        add = pyo.Block(concrete=True)
        model.add_component(unique_component_name(model, "fleet"), add)
        shared = [b for b, use in enumerate(self.uses) if use is not None]
        add.prices = pyo.Param(range(len(budgets)), initialize=0.0, mutable=True)
        add.weight = pyo.Param(initialize=1.0, mutable=True)
        add.limits = pyo.Param(range(len(budgets)), initialize=0.0, mutable=True)
        cost = pyo.quicksum(add.prices[b] * self.uses[b] for b in shared)
        add.worth = pyo.Objective(
            expr=add.weight * self.objective.expr - self.sense * cost, sense=self.objective.sense
        )
        add.caps = pyo.Constraint(pyo.Any)
        for b in shared:
            add.caps[b] = self.uses[b] <= add.limits[b]
        add.caps.deactivate()
        self.added = add

    def look(self) -> Look:
        """Return what the bounds of the columns say."""
        low, high = _interval(self.objective.expr)
        intervals = [(0.0, 0.0) if use is None else _interval(use) for use in self.uses]
        return Look(
            self.sense,
            high if self.sense > 0 else -low,
            tuple(least for least, _ in intervals),
            tuple(most for _, most in intervals),
            tuple(use is not None for use in self.uses),
        )

    def solve(self, task: Task, options: Mapping[str, Any]) -> Answer:
        """Solve at the prices of one task."""
        begin = time.process_time()
        self._put(task)
        given = dict(options)
        if self.solved:
            given["warm_start"] = True
        results = J3O().solve(
            self.model, load_solutions=False, raise_exception_on_nonoptimal_result=False, **given
        )
        condition = results.termination_condition
        if task.caps is None and condition == TerminationCondition.provenInfeasible:
            raise _Refused("it has no plan, whatever it may use of the shared budgets")
        if condition == TerminationCondition.unbounded:
            raise _Refused("its objective is unbounded; give its variables bounds")
        bound = math.inf if task.caps is not None else _safe(results.objective_bound, self.sense)
        if results.incumbent_objective is None:
            seconds = time.process_time() - begin
            return Answer(task, None, (), bound, condition.name, seconds)
        results.solution_loader.load_vars()
        self.solved = True
        objective = self.sense * float(pyo.value(self.objective.expr))
        uses = tuple(0.0 if use is None else float(pyo.value(use)) for use in self.uses)
        for name, use in zip(self.names, uses, strict=True):
            if not math.isfinite(use):
                raise _Refused(f"its plan uses {use:g} of {name!r}, which is no amount; mend the expression")
        plan = {
            variable.name: float(variable.value)
            for variable in self.model.component_data_objects(pyo.Var)
            if variable.value
        }
        return Answer(task, objective, uses, bound, condition.name, time.process_time() - begin, plan)

    def leave(self) -> None:
        """Make the model what it was before the visit."""
        self.model.del_component(self.added)
        self.objective.activate()
        for variable, held in self._held:
            variable.set_value(held, skip_validation=True)

    def _put(self, task: Task) -> None:
        """Make the model that of a task."""
        added = self.added
        self.objective.deactivate()
        added.weight.set_value(task.weight)
        for b, price in enumerate(task.prices):
            added.prices[b].set_value(price)
            if b in added.caps and task.caps is not None:
                added.limits[b].set_value(task.caps[b])
        if task.caps is None:
            added.caps.deactivate()
        else:
            added.caps.activate()


def _safe(bound: Any, sense: int) -> float:
    """Return a bound as one of a maximised problem; inf if there is none."""
    if bound is None or math.isnan(bound):
        return math.inf
    return sense * float(bound)


def _use_of(model: BlockData, name: str) -> Any:
    """Return what a part uses of a budget: its component of that name, summed; None if it has none."""
    component = model.component(name)
    if component is None:
        with _PARSER, suppress(TypeError, AssertionError):  # what it says of "[" and the like
            component = model.find_component(name)
    if component is None or not hasattr(component, "ctype"):  # the model's own attributes, like its name
        return None
    if component.ctype not in (pyo.Expression, pyo.Var):
        raise _Refused(
            f"what it calls {name!r} is a {component.ctype.__name__}; a use of a shared budget is a Var or a "
            "named Expression"
        )
    members = list(component.values()) if component.is_indexed() else [component]
    for member in members:
        if component.ctype is pyo.Expression and member.expr is None:
            raise _Refused(f"Expression {member.name!r} is empty, so its use is unknown; fill it")
    return pyo.quicksum(members) if component.is_indexed() else component


def _interval(expression: Any) -> tuple[float, float]:
    """Return between which figures an expression lies, by the bounds of its variables."""
    low, high = compute_bounds_on_expr(expression)
    return -math.inf if low is None else float(low), math.inf if high is None else float(high)
