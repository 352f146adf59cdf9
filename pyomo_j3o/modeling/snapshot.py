"""A look at all of a Pyomo model that may change between two solves, and how two looks differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter, is_
from typing import Any

from pyomo.common.modeling import NOTSET
from pyomo.core.base.block import BlockData
from pyomo.core.base.component_namer import index_repr
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.base.objective import Objective, ObjectiveData
from pyomo.core.base.var import Var, VarData
from pyomo.core.expr.numvalue import native_numeric_types

from pyomo_j3o.modeling.annotate import marks_written
from pyomo_j3o.modeling.batching_window import BatchingWindowData
from pyomo_j3o.modeling.changes import ALL_CHECKS, Changes, Checks, Named
from pyomo_j3o.modeling.columns import declared_variables
from pyomo_j3o.modeling.dependencies import Dependencies
from pyomo_j3o.modeling.rows import Selection

_arguments = attrgetter("_args_")
_value, _fixed, _domain = attrgetter("_value"), attrgetter("_fixed"), attrgetter("_domain")
_lower, _upper = attrgetter("_lb"), attrgetter("_ub")


#: What a member is called, for as long as that can be asked: the name of its container, and its index.
Place = tuple[str, Any]


@dataclass(slots=True)
class Snapshot:
    """The state of a model at one moment; the objects are kept, so that none can be mistaken for another.

    Lists that belong together have one order. `watched` are the variables whose state is noted: the declared
    ones, and those outside of the model that its rows hold. `row_places` and `variable_places` are what
    constraints and declared variables are called.
    """

    constraints: list[ConstraintData]
    expressions: list[Any]
    objectives: list[ObjectiveData]
    objective_expressions: list[Any]
    senses: list[Any]
    row_places: list[Place]
    variable_places: list[Place]
    containers: list[tuple[Var, bool]]
    blocks: list[tuple[BlockData, bool]]
    declared: list[VarData]
    watched: list[VarData]
    fixed: list[bool]
    values: list[Any]
    lower: list[Any]
    upper: list[Any]
    domains: list[Any]
    limits: dict[int, Any]
    marks: list[tuple[Any, Any]]
    windows: list[tuple[BatchingWindowData, Any]]
    parameters: list[Any]
    named: list[Any]

    @classmethod
    def of(
        cls,
        model: BlockData,
        selection: Selection,
        outside: list[VarData],
        depends: Dependencies,
        before: Snapshot | None = None,
        checks: Checks = ALL_CHECKS,
    ) -> Snapshot:
        """Look at a model.

        Parameters
        ----------
        model
            The model or block.
        selection
            Which rows and which objective count.
        outside
            Variables of its rows that live elsewhere.
        depends
            What its rows depend on.
        before
            The last look; what is not looked at is taken from it.
        checks
            What to look at.
        """
        containers, declared = declared_variables(model)
        watched = declared + outside if outside else declared
        known = checks if before is not None else ALL_CHECKS
        old: Any = before

        def looked(check: bool, name: str, look: Callable[[], list[Any]]) -> list[Any]:
            return look() if check else getattr(old, name)

        by_set, by_variable = known.check_for_new_or_removed_constraints, known.update_vars
        constraints = looked(by_set, "constraints", lambda: list(selection.constraints(model)))
        objectives = looked(
            known.check_for_new_or_removed_objectives,
            "objectives",
            lambda: list(model.component_data_objects(Objective, active=True)),
        )
        by_objective, by_parameter = known.update_objectives, known.update_parameters
        if not by_variable and len(old.watched) != len(watched):
            by_variable = True
        domains = looked(by_variable, "domains", lambda: list(map(_domain, watched)))
        return cls(
            constraints=constraints,
            expressions=looked(known.update_constraints, "expressions", lambda: _expressions(constraints)),
            objectives=objectives,
            objective_expressions=looked(
                by_objective, "objective_expressions", lambda: [o._args_[0] for o in objectives]
            ),
            senses=looked(by_objective, "senses", lambda: [o._sense for o in objectives]),
            row_places=(
                old.row_places
                if old is not None and _same(old.constraints, constraints)
                else _places(constraints)
            ),
            variable_places=(
                old.variable_places
                if old is not None and _same(old.declared, declared)
                else _places(declared)
            ),
            containers=[(container, alive) for container, _, _, alive in containers],
            blocks=_blocks_of([container for container, _, _, _ in containers], model),
            declared=declared,
            watched=watched,
            fixed=looked(by_variable, "fixed", lambda: list(map(_fixed, watched))),
            values=looked(by_parameter, "values", lambda: list(map(_value, watched))),
            lower=looked(by_variable, "lower", lambda: list(map(_lower, watched))),
            upper=looked(by_variable, "upper", lambda: list(map(_upper, watched))),
            domains=domains,
            limits=_limits(domains) if by_variable else old.limits,
            marks=marks_written([model, *outside]),
            windows=[
                (block, getattr(block, "_assumed", None))
                for block in model.block_data_objects(active=True)
                if isinstance(block, BatchingWindowData)
            ],
            parameters=looked(by_parameter, "parameters", lambda: list(map(_value, depends.parameters))),
            named=looked(
                known.update_named_expressions,
                "named",
                lambda: [arguments[0] for arguments in map(_arguments, depends.named)],
            ),
        )

    def changes_since(self, before: Snapshot, depends: Dependencies) -> Changes:
        """Return how this look differs from an earlier one, taken with the same dependencies."""
        changes = Changes()
        _note_members(changes, "constraints", before.constraints, self.constraints, before.row_places)
        _note_members(changes, "variables", before.declared, self.declared, before.variable_places)
        alive = {id(container): is_alive for container, is_alive in before.containers}
        if any(alive.get(id(container), live) != live for container, live in self.containers):
            active = {id(block): is_active for block, is_active in before.blocks}
            changes.note("blocks switched", (b for b, now in self.blocks if active.get(id(b), now) != now))
        if len(self.marks) != len(before.marks) or not all(map(_same_mark, before.marks, self.marks)):
            _note_marks(changes, before.marks, self.marks)
        old, new = [x for pair in before.windows for x in pair], [x for pair in self.windows for x in pair]
        if not _same(old, new):
            known = {id(assumed) for _, assumed in before.windows}
            filled = [window for window, assumed in self.windows if id(assumed) not in known]
            changes.note("batching windows", filled or [w for w, _ in (self.windows or before.windows)])
        if not _same(before.objectives, self.objectives):
            changes.note("objective", self.objectives or before.objectives)
        else:
            changed = _differing(before.objective_expressions, self.objective_expressions)
            changes.note("objective expression", (self.objectives[i] for i in changed))
            changed = [i for i, s in enumerate(self.senses) if s != before.senses[i]]
            changes.note("sense", (self.objectives[i] for i in changed))
        if _same(before.constraints, self.constraints):
            changed = _differing(before.expressions, self.expressions)
            changes.note("constraint expressions", (self.constraints[i] for i in changed))
        changed = _differing(before.named, self.named)
        changes.note("named expressions", (depends.named[i] for i in changed))
        changed = _differing(before.parameters, self.parameters)
        changes.note("parameters", (depends.parameters[i] for i in changed))
        if _same(before.watched, self.watched):
            self._note_variables(before, changes)
        return changes

    def _note_variables(self, before: Snapshot, changes: Changes) -> None:
        variables = self.watched
        if self.fixed != before.fixed:
            pairs = list(zip(before.fixed, self.fixed, variables, strict=True))
            changes.note("fixed", (v for then, now, v in pairs if now and not then))
            changes.note("unfixed", (v for then, now, v in pairs if then and not now))
        if any(self.fixed):
            held = [i for i in _differing(before.values, self.values) if self.fixed[i] and before.fixed[i]]
            changes.note("fixed values", (variables[i] for i in held))
        bounds = {*_differing(before.lower, self.lower), *_differing(before.upper, self.upper)}
        changes.note("bounds", (variables[i] for i in sorted(bounds)))
        domains = set(_differing(before.domains, self.domains))
        if self.limits != before.limits:
            # A Set has other members.
            other = {key for key, limits in self.limits.items() if before.limits.get(key, limits) != limits}
            domains |= {i for i, domain in enumerate(self.domains) if id(domain) in other}
        changes.note("domains", (variables[i] for i in sorted(domains)))


def _limits(domains: list[Any]) -> dict[int, Any]:
    """Return what each domain allows now, by id: its ends, and the step of its numbers."""
    distinct = dict(zip(map(id, domains), domains, strict=True))
    return {key: domain.get_interval() for key, domain in distinct.items()}


def _expressions(constraints: list[ConstraintData]) -> list[Any]:
    try:
        return list(map(attrgetter("_expr"), constraints))
    except AttributeError:  # rows that Pyomo keeps in a matrix
        return [getattr(constraint, "_expr", None) for constraint in constraints]


def _same(before: list[Any], now: list[Any]) -> bool:
    """Return whether two lists hold the same objects."""
    return before is now or (len(before) == len(now) and all(map(is_, before, now)))


def _differing(before: list[Any], now: list[Any]) -> list[int]:
    """Return where two lists of one length hold other objects, and not equal numbers."""
    if before is now or all(map(is_, before, now)):
        return []
    numbers = native_numeric_types
    return [
        i
        for i, (one, other) in enumerate(zip(before, now, strict=True))
        if one is not other
        and not (one.__class__ in numbers and other.__class__ in numbers and bool(one == other))
    ]


def _places(components: list[Any]) -> list[Place]:
    """Return what members of containers are called; a container is asked for its name once."""
    names: dict[int, str] = {}
    places = []
    for component in components:
        container = component.parent_component()
        if container is None:
            places.append((component.name, NOTSET))
            continue
        name = names.get(id(container))
        if name is None:
            name = names[id(container)] = container.name
        places.append((name, NOTSET if component is container else component._index))
    return places


def _named(place: Place) -> Named:
    name, index = place
    return Named(name if index is NOTSET else name + index_repr(index))


def _blocks_of(containers: list[Var], model: BlockData) -> list[tuple[BlockData, bool]]:
    """Return the blocks that hold Vars of the model, outer ones first, and whether each is active itself."""
    found: dict[int, tuple[BlockData, bool]] = {}
    for container in containers:
        path = []
        block = container.parent_block()
        while block is not None and id(block) not in found:
            path.append(block)
            block = None if block is model else block.parent_block()
        found |= {id(block): (block, block.active) for block in reversed(path)}
    return list(found.values())


def _note_members(
    changes: Changes, what: str, before: list[Any], now: list[Any], places: list[Place]
) -> None:
    if _same(before, now):
        return
    old, new = set(map(id, before)), set(map(id, now))
    added = [one for one in now if id(one) not in old]
    removed = [_named(place) for one, place in zip(before, places, strict=True) if id(one) not in new]
    changes.note(f"{what} added", added)
    changes.note(f"{what} removed", removed)
    if not added and not removed:
        moved = (other for one, other in zip(before, now, strict=True) if one is not other)
        changes.note("constraints moved" if what == "constraints" else "variables added", moved)


def _same_mark(one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    return one[0] is other[0] and (one[1] is other[1] or bool(one[1] == other[1]))


def _note_marks(changes: Changes, before: list[tuple[Any, Any]], now: list[tuple[Any, Any]]) -> None:
    old = {id(component): role for component, role in before}
    new = {id(component): role for component, role in now}
    both = [*now, *((component, role) for component, role in before if id(component) not in new)]
    differ = [c for c, _ in both if old.get(id(c)) != new.get(id(c))]
    changes.note("marks", differ or [component for component, _ in both])
