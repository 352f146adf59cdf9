"""The model that a solver keeps between its solves, and what earlier solves have left for the next."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pyomo.core.base.block import BlockData
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.base.objective import ObjectiveData
from pyomo.core.base.var import VarData

from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Plan, Problem
from pyomo_j3o.core.results import Ending, relative_gap
from pyomo_j3o.interface.verdict import Solved
from pyomo_j3o.interface.warm_start import plan_of
from pyomo_j3o.methods.memory import Memory
from pyomo_j3o.modeling.changes import Changes, Checks, Named
from pyomo_j3o.modeling.columns import Columns
from pyomo_j3o.modeling.compiled_model import COMPILED, FIRST, NOTHING, PATCHED, CompiledModel, Update
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.modeling.move_cost import MOVE_COST, has_prices, prices_given
from pyomo_j3o.modeling.rows import Selection

#: Options that change nothing of what a search finds, or that end it only by a limit.
_WITHOUT_MEANING = frozenset(
    (
        "allow_rebuild",
        "auto_updates",
        "load_solutions",
        "raise_exception_on_nonoptimal_result",
        "symbolic_solver_labels",
        "tee",
        "threads",
        "time_limit",
        "timer",
        "working_dir",
    )
)

#: Options with which the same model is another question each time, or with which the user watches the search.
_ASKED_ANEW = ("callback", "move_cost", "onloading_step", "stop", "warm_start")

#: A search that has ended so was cut short.
_CUT_SHORT = (Ending.TIME, Ending.INTERRUPTED, Ending.LIMIT, Ending.ITERATIONS, Ending.REFUSED)

#: Memories of problems of different shapes that are kept: the model as it is, and with its placement fixed.
_MEMORIES = 3


@dataclass(frozen=True, slots=True)
class LastPlan:
    """What the last plan gives every variable of the model, fixed ones included; NaN where nothing is known.

    Attributes
    ----------
    variables : (V,)
    values : (V,)
    """

    variables: list[VarData]
    values: FloatArray

    def among(self, variables: list[VarData]) -> FloatArray:
        """Return the values of other variables, in their order."""
        if variables is self.variables:
            return self.values
        known = dict(zip(map(id, self.variables), self.values.tolist(), strict=True))
        return np.array([known.get(id(variable), np.nan) for variable in variables], dtype=float)


@dataclass(slots=True)
class HeldModel:
    """One model between two solves.

    Attributes
    ----------
    model
        The model or block.
    compiled
        It as it was at the last look; None before the first that succeeded.
    update
        What has been found and done since the last results; None for nothing yet.
    told
        Checks that the user's own calls ask for at the next look.
    without
        Constraints that the user has taken out of the solver, by id.
    prices
        Of moves, as the option and Suffixes gave them to the last solve; None before the first.
    objective
        The one that the user has set; None if the active one counts.
    last
        The last plan.
    solved
        How the last search ended, and the options that it was asked with.
    memories
        By shape of the problem, the last used at the end.
    """

    model: BlockData
    compiled: CompiledModel | None = None
    update: Update | None = None
    told: set[str] = field(default_factory=set)
    without: dict[int, ConstraintData] = field(default_factory=dict)
    prices: list[Any] | None = None
    objective: ObjectiveData | None = None
    last: LastPlan | None = None
    solved: tuple[Solved, dict[str, Any]] | None = None
    memories: dict[Any, Memory] = field(default_factory=dict)

    def look(self, config: Any, deadline: Deadline, removals_stay: bool) -> None:
        """Bring the arrays up to date with the model.

        Parameters
        ----------
        config
            Options of the call.
        deadline
            When to end.
        removals_stay
            Whether what the user has taken out stays out although new constraints are looked for.
        """
        self._forget_what_has_left()
        if not removals_stay and config.auto_updates.check_for_new_or_removed_constraints:
            self.without.clear()
        selection = Selection(dict(self.without), self.objective)
        if self.compiled is None:
            self.compiled = CompiledModel.of(self.model, config.strict, deadline, selection)
            found = Update(FIRST, Changes(), "the model is new to the solver")
        else:
            names = {name: getattr(config.auto_updates.checks, name) for name in Checks.__dataclass_fields__}
            checks = Checks(**(names | dict.fromkeys(self.told, True)))
            self.compiled, found = self.compiled.refreshed(
                config.strict, deadline, checks, selection, config.allow_rebuild
            )
        self.told.clear()
        if found.outcome != NOTHING:
            self.solved = None
        if found.outcome == COMPILED:
            self.memories.clear()
        self.update = found if self.update is None else self.update.followed_by(found)

    def look_at_prices(self, config: Any) -> None:
        """Note whether moves have other prices than in the solve before."""
        before, self.prices = self.prices, prices_given(config.move_cost, self.model)
        if before is not None and before != self.prices and self.update is not None:
            changes = Changes()
            changes.note(MOVE_COST, [Named(MOVE_COST)])
            self.update = self.update.followed_by(Update(PATCHED, changes))

    def answer(self, config: Any) -> Solved | None:
        """Return how the last search ended, if the question is the same and it ended by itself."""
        solved = self._of_same_model(config)
        if solved is None or self.solved is None:
            return None
        same = self.solved[1] == _options(config) and solved.outcome.ending not in _CUT_SHORT
        return solved if same else None

    def answer_without_time(self, config: Any) -> Solved | None:
        """Return the last plan and bound as those of a search that the time has ended, if they still hold."""
        solved = self._of_same_model(config)
        if solved is None or solved.outcome.plan is None:
            return None
        outcome, plan = solved.outcome, solved.outcome.plan
        gap = relative_gap(plan.objective, outcome.bound)
        closed = gap <= config.rel_gap or outcome.bound - plan.objective <= (config.abs_gap or 0.0)
        return replace(solved, outcome=replace(outcome, ending=Ending.GAP if closed else Ending.TIME))

    def _of_same_model(self, config: Any) -> Solved | None:
        """Return how the last search ended, if nothing has changed since and no option asks anew."""
        if self.solved is None or any(config.get(name) is not None and config[name] for name in _ASKED_ANEW):
            return None
        solved, _ = self.solved
        # The placement that moves are counted from may be another one, that of the plan itself at least.
        moved = solved.moves is not None or has_prices(self.model)
        return None if moved else solved

    def remember(self, solved: Solved, config: Any) -> None:
        """Keep how a search ended, and its plan."""
        self.solved = solved, _options(config)
        if solved.outcome.plan is not None and self.compiled is not None:
            columns, plan = self.compiled.read.columns, solved.outcome.plan
            variables = columns.variables
            values = np.full(len(variables), np.nan) if self.last is None else self.last.among(variables)
            values = values.copy()
            values[columns.fixed] = columns.value[columns.fixed]
            values[columns.onloading] = self.inverse.values_of_onloading(plan.x)
            values[columns.offloading] = plan.y
            self.last = LastPlan(variables, values)

    def start(self, problem: Problem) -> tuple[BoolArray | None, Plan | None]:
        """Return the placement of the last plan, and this plan if it still holds."""
        if self.last is None or self.compiled is None:
            return None, None
        columns: Columns = self.compiled.read.columns
        values = self.last.among(columns.variables)
        if self.compiled.read.auxiliary is not None:
            values = self.compiled.read.auxiliary.completed(values)
        x = self.inverse.columns_of(values[columns.onloading])
        y = values[columns.offloading]
        if len(x) and np.isnan(x).all():
            return None, None
        return np.nan_to_num(x, nan=0.0) > 0.5, plan_of(problem, x, y)

    def constraints_known(self) -> set[int]:
        """Return the ids of the constraints that the model had at the last look, or that were taken out."""
        seen = [] if self.compiled is None else self.compiled.snapshot.constraints
        return {*map(id, seen), *self.without}

    def placement_before(self) -> FloatArray | None:
        """Return the columns of what the onloading variables hold, (N,); without a value, of the last plan.

        NaN where neither is known; None if nothing is.
        """
        if self.compiled is None:
            return None
        held, _ = self.compiled.inverse.warm_start()
        if self.last is None:
            return held
        columns: Columns = self.compiled.read.columns
        planned = self.inverse.columns_of(self.last.among(columns.variables)[columns.onloading])
        return planned if held is None else np.where(np.isnan(held), planned, held)

    def memory(self, problem: Problem, algorithm: str) -> Memory:
        """Return what earlier solves of a problem of this shape have left."""
        shape = _shape(problem, self.inverse, algorithm)
        memory = self.memories.pop(shape, None) or Memory()
        self.memories[shape] = memory
        while len(self.memories) > _MEMORIES:
            del self.memories[next(iter(self.memories))]
        return memory

    @property
    def inverse(self) -> Inverse:
        """The way back from the arrays to the model."""
        assert self.compiled is not None
        return self.compiled.inverse

    def _forget_what_has_left(self) -> None:
        """Let constraints that the model no longer has, or has switched off, come back by themselves."""
        here = [c for c in self.without.values() if c.active and c.parent_block() is not None]
        self.without = {id(constraint): constraint for constraint in here}
        if self.objective is not None and not self.objective.active:
            self.objective = None


def _options(config: Any) -> dict[str, Any]:
    return {name: value for name, value in config.value().items() if name not in _WITHOUT_MEANING}


def _shape(problem: Problem, inverse: Inverse, algorithm: str) -> Any:
    """Return what two problems must have in common for one to use what is known of the other."""
    arrays: list[IntArray] = [
        problem.products.row,
        problem.products.onloading,
        problem.products.offloading,
    ]
    if problem.counts is not None:
        arrays.append(problem.counts.variable)
    if problem.batches is not None:
        arrays += [problem.batches.indicator, problem.batches.row]
    # Components are as good as their ids here: as long as the memory lives, so do they.
    ids = (tuple(map(id, part)) for part in (inverse.onloading, inverse.offloading, inverse.rows))
    return (algorithm, *ids, *(array.tobytes() for array in arrays))
