"""A Pyomo model that stays compiled while it changes: numbers are patched, others compiled again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pyomo.common.gc_manager import PauseGC
from pyomo.core.base.block import BlockData
from pyomo.core.base.objective import maximize
from pyomo.core.base.var import VarData
from pyomo.core.expr.numvalue import native_numeric_types

from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.core.problem import BoolArray, IntArray, Problem
from pyomo_j3o.errors import RebuildError
from pyomo_j3o.modeling.batching_window import filled_windows
from pyomo_j3o.modeling.changes import ALL_CHECKS, Changes, Checks
from pyomo_j3o.modeling.compiler import Read, assemble, rates_of_windows, read_model, rewritten
from pyomo_j3o.modeling.dependencies import NO_ROW, NO_SIDES, Dependencies
from pyomo_j3o.modeling.figures import Figures
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.modeling.naming import listed, the_model
from pyomo_j3o.modeling.rewriting import needs_rewriting
from pyomo_j3o.modeling.rows import WHOLE, Selection, active_objective, read_rows, require_understood
from pyomo_j3o.modeling.snapshot import Snapshot
from pyomo_j3o.modeling.special_sets import special_sets

#: Outcomes of a look, from the least work to the most.
NOTHING, PATCHED, FIRST, COMPILED = "nothing", "patched", "compiled", "compiled again"
_OUTCOMES = (NOTHING, PATCHED, FIRST, COMPILED)


@dataclass(frozen=True, slots=True)
class Update:
    """What a refresh found and did.

    Attributes
    ----------
    outcome : str
        ``"nothing"`` changed, numbers were ``"patched"``, or the model was ``"compiled"`` for the first time
        or ``"compiled again"``.
    changes : Changes
        What was found.
    reason : str
        Why the model was compiled; empty if it was not.
    """

    outcome: str
    changes: Changes
    reason: str = ""

    def followed_by(self, later: Update) -> Update:
        """Return this update and a later one as one."""
        if later.outcome == NOTHING:
            return self
        if self.outcome == NOTHING:
            return later
        changes = Changes()
        for one in (self, later):
            for kind, components in one.changes.found.items():
                known = set(map(id, changes.found.get(kind, ())))
                changes.note(kind, (c for c in components if id(c) not in known))
        reason = "; ".join(reason for reason in (self.reason, later.reason) if reason)
        return Update(max(self.outcome, later.outcome, key=_OUTCOMES.index), changes, reason)

    def in_words(self) -> str:
        """Return the outcome and what it is for: ``patched (parameters: 90)``."""
        kinds = (f"{kind}: {entry['count']}" for kind, entry in self.changes.summary().items())
        return f"{self.outcome} ({self.reason or ', '.join(kinds)})"

    def summary(self) -> dict[str, Any]:
        """Return it in plain data: outcome, reason, and per kind of change its number and first names."""
        return {"outcome": self.outcome, "reason": self.reason, "changes": self.changes.summary()}


class _OtherStructure(Exception):
    """A change of numbers has turned out to be one of the structure."""


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """A model with its arrays, and all that is needed to bring these up to date.

    Objects are never changed: `refreshed` returns another. After an error the old one stands, and finds the
    same changes at the next look.

    Attributes
    ----------
    problem, inverse
        As `compile_model` returns them.
    read
        What they are made from.
    selection
        Which rows and which objective count.
    strict
        Whether a model without marks is refused.
    depends
        What its rows depend on.
    snapshot
        The state of the model that the arrays stand for.
    """

    problem: Problem
    inverse: Inverse
    read: Read
    selection: Selection
    strict: bool
    depends: Dependencies
    snapshot: Snapshot

    @classmethod
    def of(
        cls,
        model: BlockData,
        strict: bool = False,
        deadline: Deadline = NEVER,
        selection: Selection = WHOLE,
    ) -> CompiledModel:
        """Compile a model; parameters and errors are those of `read_model`."""
        with PauseGC():
            read = rewritten(read_model(model, strict, deadline, selection), strict)
            deadline.require()
            problem, inverse = assemble(read)
            deadline.require()
            depends = _dependencies(read, selection)
            snapshot = Snapshot.of(model, selection, _outside(read), depends)
            return cls(problem, inverse, read, selection, strict, depends, snapshot)

    def refreshed(
        self,
        strict: bool = False,
        deadline: Deadline = NEVER,
        checks: Checks = ALL_CHECKS,
        selection: Selection = WHOLE,
        allow_rebuild: bool = True,
    ) -> tuple[CompiledModel, Update]:
        """Bring the arrays up to date with the model.

        The result equals, bit by bit, what compiling the model as it is now would give.

        Parameters
        ----------
        strict
            As for `compile_model`.
        deadline
            When to end.
        checks
            Which changes are looked for. Once one is found, the whole model counts as it is now.
        selection
            Which rows and which objective count.
        allow_rebuild
            Whether the model may be compiled again.

        Returns
        -------
        CompiledModel
            This one if nothing has changed.
        Update
            What was found and done.

        Raises
        ------
        RebuildError
            If the structure has changed, and must not be compiled again.
        """
        with PauseGC():
            model = self.read.model
            require_understood(model)
            outside = _outside(self.read)
            # Another selection is a change that the user has asked for.
            look = checks if selection.same(self.selection) else ALL_CHECKS
            now = Snapshot.of(model, selection, outside, self.depends, self.snapshot, look)
            changes = now.changes_since(self.snapshot, self.depends)
            if changes and look != ALL_CHECKS:
                now = Snapshot.of(model, selection, outside, self.depends)
                changes = now.changes_since(self.snapshot, self.depends)
            same_objective = self._objective(selection) is self.read.rows.objective
            if not same_objective and "objective" not in changes.found:
                changes.note("objective", [self._objective(selection)])
            whole = self.depends.whole and not special_sets(model)
            if not changes and strict == self.strict and whole:
                same = self if selection.same(self.selection) else replace(self, selection=selection)
                return same, Update(NOTHING, changes)
            try:
                reason = self._reason_to_compile(changes, strict)
                if reason:
                    raise _OtherStructure(reason)
                return self._patched(changes, now, selection, deadline), Update(PATCHED, changes)
            except _OtherStructure as other:
                reason = str(other)
            # What cannot be seen is no change of the structure that a user could avoid.
            if not allow_rebuild and (changes or strict != self.strict):
                raise RebuildError(
                    f"allow_rebuild=False, but the structure of {the_model(model)} has changed: {reason}; "
                    "undo that, or set allow_rebuild=True",
                    Update(COMPILED, changes, reason).summary(),
                )
            again = CompiledModel.of(model, strict, deadline, selection)
            return again, Update(COMPILED, changes, reason)

    def holds(self, variable: VarData) -> bool:
        """Return whether a row, or the objective, holds a variable, fixed or not."""
        columns = self.read.columns
        number = next((i for i, other in enumerate(columns.variables) if other is variable), None)
        return number is not None and any((part == number).any() for part in columns.positions)

    def _objective(self, selection: Selection) -> Any:
        """Return the objective that counts, without a look at the model if that is as it was."""
        if selection.objective is self.selection.objective:
            return self.read.rows.objective
        return active_objective(self.read.model, selection.objective)

    def _reason_to_compile(self, changes: Changes, strict: bool) -> str:
        """Return why numbers alone will not do; empty if they will."""
        if changes.structural:
            return "; ".join(
                f"{kind}: {listed([one.name for one in changes.found[kind]])}" for kind in changes.structural
            )
        if strict != self.strict:
            return f"strict={strict}"
        if self.read.auxiliary is not None or special_sets(self.read.model):
            return "special ordered sets and products of onloading variables are written anew"
        if not self.depends.whole:
            return "rows that Pyomo keeps in a matrix, or without sides, cannot be watched"
        return ""

    def _patched(
        self, changes: Changes, now: Snapshot, selection: Selection, deadline: Deadline
    ) -> CompiledModel:
        """Return the model with the numbers as they are now."""
        read, model = self.read, self.read.model
        found = changes.found
        rows = read.rows
        if "objective" in found or "sense" in found:
            objective = active_objective(model, selection.objective)
            sense = 1 if objective.sense == maximize else -1
            rows = replace(rows, objective=objective, sense=sense)
        windows = rates_of_windows(model)
        read = replace(read, rows=rows, windows=windows)
        other_terms = any(
            kind in found
            for kind in ("constraint expressions", "objective", "objective expression", "named expressions")
        )
        stay = not other_terms and not _expressions_among(found.get("bounds", []))
        depends = self.depends if stay else _dependencies(read, selection)
        owners = self._owners_to_read(changes, rows, depends)
        figures = read.figures
        if len(owners):
            new = self._read_again(read, owners, deadline)
            if other_terms:
                _require_same_variables(figures, owners, new, rows, len(read.columns.variables))
            figures = figures.replaced(owners, new)
        deadline.require()
        columns = read.columns.with_positions(model, self.strict, figures.positions)
        read = replace(read, figures=figures, columns=columns)
        if needs_rewriting(model, columns, figures):
            raise _OtherStructure("there are products of two onloading variables now")
        problem, inverse = assemble(read)
        if depends is not self.depends:
            now = Snapshot.of(model, selection, _outside(read), depends)
        return CompiledModel(problem, inverse, read, selection, self.strict, depends, now)

    def _owners_to_read(self, changes: Changes, rows: Any, depends: Dependencies) -> IntArray:
        """Return the numbers of the rows, and of the objective, whose numbers may have changed."""
        found = changes.found
        n_rows = len(rows.constraints)
        number = {id(parameter): i for i, parameter in enumerate(self.depends.parameters)}
        again = self.depends.rows_of(number[id(p)] for p in found.get("parameters", ()))
        if again is None:
            raise _OtherStructure("constraints without sides may have them now")
        if any(kind in found for kind in ("objective", "objective expression", "sense")):
            again[n_rows] = True
        if "constraint expressions" in found:
            row_of = {id(constraint): i for i, constraint in enumerate(rows.constraints)}
            for constraint in found["constraint expressions"]:
                if id(constraint) not in row_of:
                    raise _OtherStructure(f"'{constraint.name}' had no sides before")
                again[row_of[id(constraint)]] = True
        together: BoolArray = self.depends.together | depends.together
        stirred = any(k in found for k in ("named expressions", "fixed", "unfixed", "fixed values"))
        if stirred or (again & together).any():
            again |= depends.together
            if stirred:
                again |= together
        return np.flatnonzero(again)

    def _read_again(self, read: Read, owners: IntArray, deadline: Deadline) -> Figures:
        """Read some rows, and the objective if its number is among them."""
        n_rows = len(read.rows.constraints)
        constraints = [read.rows.constraints[i] for i in owners if i < n_rows]
        objective = read.rows.objective if owners[-1] == n_rows else None
        new = read_rows(constraints, objective, deadline)
        if len(new.constraints) < len(constraints):
            there = set(map(id, new.constraints))
            names = [constraint.name for constraint in constraints if id(constraint) not in there]
            raise _OtherStructure(f"constraints without sides: {listed(names)}")
        positions = read.columns.known(new.terms)
        if positions is None or len(read.columns.variables) > read.columns.declared:
            # Variables outside of the model have their places from the order in which rows name them.
            names = [one.name for one in (*constraints, *([objective] if objective is not None else ()))]
            raise _OtherStructure(
                f"rows read again where variables live outside of the model: {listed(names)}"
            )
        return Figures.of(new, positions)


def _outside(read: Read) -> list[Any]:
    return read.columns.variables[read.columns.declared :]


def _dependencies(read: Read, selection: Selection) -> Dependencies:
    """Return what the rows, the objective, the bounds and the windows depend on."""
    rows = read.rows
    depends = Dependencies(len(rows.constraints) + 1)
    depends.whole = read.auxiliary is None
    for row, constraint in enumerate(rows.constraints):
        expression = getattr(constraint, "_expr", None)
        if expression is None:  # a row that Pyomo keeps in a matrix
            depends.whole = False
        depends.add(expression, row)
    depends.add(rows.owner(len(rows.constraints)).expr, len(rows.constraints))
    for variable in read.columns.variables:
        for bound in (variable._lb, variable._ub):
            if bound.__class__ is not float and bound is not None:
                depends.add(bound, NO_ROW)
    for window in filled_windows(read.model):
        for expressions in (window.setup, window.per_query, window.arrivals):
            for expression in expressions.values():
                depends.add(expression, NO_ROW)
        depends.add(window.length, NO_ROW)
        depends.add(window.headroom, NO_ROW)
    counted = set(map(id, rows.constraints))
    for constraint in selection.constraints(read.model):
        if id(constraint) not in counted:
            depends.add(getattr(constraint, "_expr", None), NO_SIDES)
    return depends


def _expressions_among(bounds_of: list[VarData]) -> bool:
    """Return whether a bound of some variables is an expression, and so depends on Params."""
    bounds = [bound for variable in bounds_of for bound in (variable._lb, variable._ub)]
    return any(bound is not None and bound.__class__ not in native_numeric_types for bound in bounds)


def _require_same_variables(
    before: Figures, owners: IntArray, new: Figures, rows: Any, n_variables: int
) -> None:
    """Raise if a constraint that was read again holds other variables than before."""
    counts = np.zeros(len(before.constant), dtype=bool)
    counts[owners[owners < len(rows.constraints)]] = True

    def held(figures: Figures, number: Callable[[IntArray], IntArray]) -> IntArray:
        terms = [
            (figures.linear.row, figures.linear.column),
            (figures.products.row, figures.products.onloading),
            (figures.products.row, figures.products.offloading),
        ]
        row = np.concatenate([number(row) for row, _ in terms])
        pairs = row * n_variables + np.concatenate([column for _, column in terms])
        return np.unique(pairs[counts[row]])

    one, other = held(before, lambda row: row), held(new, lambda row: owners[row])
    differ = np.setxor1d(one, other, assume_unique=True)
    if len(differ):
        names = [rows.constraints[i].name for i in np.unique(differ // n_variables)]
        raise _OtherStructure(f"constraints with other variables: {listed(names)}")
