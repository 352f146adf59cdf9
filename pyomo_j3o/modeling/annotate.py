"""The marks a user puts on a Pyomo model: which variables onload models, which offload queries."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from pyomo.core.base.block import Block, BlockData, declare_custom_block
from pyomo.core.base.component import Component, ComponentData
from pyomo.core.base.indexed_component_slice import IndexedComponent_slice
from pyomo.core.base.suffix import Suffix
from pyomo.core.base.var import Var, VarData
from pyomo.core.pyomoobject import PyomoObject
from pyomo.gdp import Disjunct

from pyomo_j3o.errors import AnnotationError
from pyomo_j3o.modeling.naming import the_model

ONLOADING = "onloading"
OFFLOADING = "offloading"

#: The name of the LOCAL Suffix that holds the marks.
SUFFIX = "j3o_role"


class Mark(NamedTuple):
    """A role and the component that carries it.

    `holder` is where it is written: the Suffix, the name of an argument of `annotate`, or the
    class of the block.
    """

    component: Any
    role: str
    holder: Any

    @property
    def source(self) -> str:
        """Say where the mark is written."""
        if isinstance(self.holder, type):
            return f"its class {self.holder.__name__}"
        if isinstance(self.holder, str):
            return f"the argument {self.holder}"
        return f"Suffix '{self.holder.name}'"

    @property
    def removal(self) -> str:
        """Say how to take the mark out."""
        if isinstance(self.holder, type):
            return f"declare '{self.component.name}' as a plain Block"
        if isinstance(self.holder, str):
            return f"take '{self.component.name}' out of {self.holder}"
        return f"del model.{self.holder.name}[model.{self.component.name}]"


def marks_itself(role: str, annotates: bool = True) -> Callable[[type[BlockData]], type[BlockData]]:
    """Return a decorator that makes a custom block enter `role` for itself when it is constructed.

    Parameters
    ----------
    role
        ``"onloading"`` or ``"offloading"``.
    annotates
        Whether a model with such a block counts as annotated: its other variables then need a mark, too.
    """

    def construct(self: Block, data: Any = None) -> None:
        # A block that is constructed without a parent has no model yet that could hold its mark, and
        # is not told when it gets one. Its class speaks for it.
        if self.parent_block() is not None:
            _suffix_of(self.model()).setdefault(self, role)
        Block.construct(self, data)

    def decorate(block_data: type[BlockData]) -> type[BlockData]:
        block_data._class_role = role
        container = getattr(sys.modules[block_data.__module__], block_data.__name__.removesuffix("Data"))
        block_data._annotates = container._annotates = annotates
        container.__doc__ = block_data.__doc__
        container.construct = construct
        return block_data

    return decorate


# Pyomo makes these two from the data classes below.
OnloadingBlock: type[Block]
OffloadingBlock: type[Block]


@marks_itself(ONLOADING)
@declare_custom_block(name="OnloadingBlock")
class OnloadingBlockData(BlockData):
    """A block whose variables, and those of its sub-blocks, say which models are onloaded where.

    To Pyomo it is an ordinary `Block`: scalar, indexed, built by a rule, nested. When constructed
    it marks itself ``"onloading"`` in the Suffix `j3o_role` of the model it belongs to.

    Examples
    --------
    >>> import pyomo.environ as pyo
    >>> from pyomo_j3o import OnloadingBlock
    >>> m = pyo.ConcreteModel()
    >>> m.place = OnloadingBlock()
    >>> m.place.x = pyo.Var(["resnet", "vit"], domain=pyo.Binary)
    >>> m.j3o_role[m.place]
    'onloading'
    """


@marks_itself(OFFLOADING)
@declare_custom_block(name="OffloadingBlock")
class OffloadingBlockData(BlockData):
    """A block whose variables, and those of its sub-blocks, say where the queries go.

    To Pyomo it is an ordinary `Block`: scalar, indexed, built by a rule, nested. When constructed
    it marks itself ``"offloading"`` in the Suffix `j3o_role` of the model it belongs to.

    Examples
    --------
    >>> import pyomo.environ as pyo
    >>> from pyomo_j3o import OffloadingBlock
    >>> m = pyo.ConcreteModel()
    >>> m.route = OffloadingBlock()
    >>> m.route.y = pyo.Var(["local", "edge", "cloud"], bounds=(0, 1))
    >>> m.j3o_role[m.route]
    'offloading'
    """


def annotate(model: BlockData, onloading: Any = (), offloading: Any = ()) -> None:
    """Mark variables of an existing model as onloading or offloading; nothing else is changed.

    The marks go into one LOCAL Suffix named `j3o_role` on the root of the model, so every other
    solver and writer takes the model as before.

    Parameters
    ----------
    model
        The model, or a block of it, that holds every component named below.
    onloading
        What decides which models are onloaded: a Var, a member of one, a Block, a Reference, a
        slice, or an iterable of these. A block stands for all the variables in it.
    offloading
        What decides where queries go; the same kinds of component.

    Raises
    ------
    AnnotationError
        If something cannot carry a mark, is not in the model, or would get both roles. No mark is
        written then.

    Examples
    --------
    >>> import pyomo.environ as pyo
    >>> from pyomo_j3o import annotate
    >>> m = pyo.ConcreteModel()
    >>> m.x = pyo.Var(["resnet", "vit"], domain=pyo.Binary)
    >>> m.y = pyo.Var(bounds=(0, 1))
    >>> annotate(m, onloading=m.x, offloading=[m.y])
    >>> m.j3o_role[m.x], m.j3o_role[m.y]
    ('onloading', 'offloading')
    """
    if not isinstance(model, BlockData):
        raise AnnotationError(
            f"annotate() was given {_describe(model)} as the model; pass a ConcreteModel, an AbstractModel "
            "or a (member of a) Block"
        )
    new: dict[int, Mark] = {}
    for role, given in ((ONLOADING, onloading), (OFFLOADING, offloading)):
        for component in _components(given, role):
            _require_within(model, component)
            former = new.setdefault(id(component), Mark(component, role, f"{role}="))
            if former.role != role:
                raise AnnotationError(
                    f"'{component.name}' is in both lists, onloading and offloading; take it out of one"
                )
    _require_consistent(model, new)
    suffix = _suffix_of(model.model())
    for mark in new.values():
        suffix[mark.component] = mark.role


def annotated(model: BlockData) -> bool:
    """Return whether the model that `model` belongs to carries any mark at all."""
    return Roles(model).any


def marks_written(within: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Return component and role of every mark in the models that some blocks and variables belong to."""
    roots = {id(root): root for root in (one.model() for one in within) if root is not None}
    marks: list[tuple[Any, Any]] = []
    for root in roots.values():
        for block in blocks_of(root):
            suffix = block.component(SUFFIX)
            if suffix is not None and suffix.ctype is Suffix:
                marks.extend(suffix.items())
    return marks


class Roles:
    """The role of every variable, read off the marks in force when the object is made.

    An explicit mark on a variable counts, be it on the `Var` or on one member of it; without one
    the nearest enclosing block that is marked decides. Marks are collected from every `j3o_role`
    Suffix of the whole model, so that those of a model nested as a block count as well.

    Parameters
    ----------
    model
        The model or block whose variables are to be looked up. Variables of other models may be
        asked for, too; their models are read when they first occur.
    """

    def __init__(self, model: BlockData) -> None:
        self._marks: dict[int, Mark] = {}
        self._read_roots: set[int] = set()
        self._block_marks: dict[int, Mark | None] = {}
        self._container_marks: dict[int, Mark | None] = {}
        self._containers_with_marked_members: set[int] = set()
        self._any = False
        self._read(model.model())

    @property
    def any(self) -> bool:
        """Whether anything at all is marked."""
        return self._any

    def of(self, variable: VarData) -> str | None:
        """Return the role of `variable`, or None if nothing marks it.

        Raises
        ------
        AnnotationError
            If two marks contradict each other.
        """
        container = variable.parent_component()
        inherited = self._container_mark(container)
        mark = inherited
        if container.is_indexed():
            mark = self._marks.get(id(variable), inherited)
            self._require_agreement(variable, mark, inherited)
        return None if mark is None else mark.role

    def of_container(self, container: Var) -> tuple[str | None, bool]:
        """Return the role of `container`, and whether members of it carry marks of their own."""
        mark = self._container_mark(container)
        return None if mark is None else mark.role, id(container) in self._containers_with_marked_members

    def _container_mark(self, container: Var) -> Mark | None:
        key = id(container)
        if key not in self._container_marks:
            parent = container.parent_block()
            if id(parent) not in self._block_marks:
                self._read(container.model())
            inherited = self._block_mark(parent)
            mark = self._marks.get(key, inherited)
            self._require_agreement(container, mark, inherited)
            self._container_marks[key] = mark
        return self._container_marks[key]

    def _block_mark(self, block: BlockData | None) -> Mark | None:
        """Return the mark of the nearest marked block, from `block` outwards."""
        passed = []
        mark = None
        while block is not None and mark is None:
            if id(block) in self._block_marks:
                mark = self._block_marks[id(block)]
                break
            passed.append(id(block))
            mark = self._own_block_mark(block)
            block = block.parent_block()
        self._block_marks.update(dict.fromkeys(passed, mark))
        return mark

    def _own_block_mark(self, block: BlockData) -> Mark | None:
        container = block.parent_component()
        candidates = [self._marks.get(id(block))]
        if container is not block:
            candidates.append(self._marks.get(id(container)))
        class_role = _class_role(block)
        if class_role is not None:
            candidates.append(Mark(block, class_role, type(block)))
        present = [mark for mark in candidates if mark is not None]
        if not present:
            return None
        for other in present[1:]:
            self._require_agreement(block, present[0], other)
        return present[0]

    def _read(self, root: BlockData) -> None:
        """Collect the marks of a whole model, once."""
        if root is None or id(root) in self._read_roots:
            return
        self._read_roots.add(id(root))
        for block in blocks_of(root):
            if _class_role(block) is not None:
                self._any |= _annotates(block)
            suffix = block.component(SUFFIX)
            if suffix is None or suffix.ctype is not Suffix:
                continue
            for component, role in suffix.items():
                if role not in (ONLOADING, OFFLOADING):
                    raise AnnotationError(
                        f"Suffix '{suffix.name}' gives '{component.name}' the role {role!r}; "
                        f"write {ONLOADING!r} or {OFFLOADING!r}"
                    )
                self._any |= _annotates(component)
                for carrier in component.values() if component.is_reference() else (component,):
                    self._add(Mark(carrier, role, suffix))

    def _add(self, mark: Mark) -> None:
        former = self._marks.setdefault(id(mark.component), mark)
        self._require_agreement(mark.component, former, mark)
        if isinstance(mark.component, VarData):
            container = mark.component.parent_component()
            if container is not mark.component:
                self._containers_with_marked_members.add(id(container))

    @staticmethod
    def _require_agreement(component: Any, one: Mark | None, other: Mark | None) -> None:
        if one is None or other is None or one.role == other.role:
            return

        def explain(mark: Mark) -> str:
            via = "" if mark.component is component else f" through '{mark.component.name}'"
            return f"{mark.role}{via} (by {mark.source})"

        raise AnnotationError(
            f"'{component.name}' is marked both {explain(one)} and {explain(other)}; "
            f"take one of the two marks out: {one.removal}, or {other.removal}"
        )


def _class_role(block: BlockData) -> str | None:
    # Asked of the class: a block that lacks an attribute takes long to say so.
    return getattr(type(block), "_class_role", None)


def _annotates(component: Any) -> bool:
    return getattr(type(component), "_annotates", True)


def blocks_of(root: BlockData) -> Iterator[BlockData]:
    """Yield `root` and every block below it, inactive ones and unconstructed models included."""
    # Inactive blocks count: their variables may well occur in an active constraint elsewhere.
    pending = [root]
    while pending:
        block = pending.pop()
        yield block
        for component in block.component_objects((Block, Disjunct), descend_into=False):
            if isinstance(component, BlockData):
                pending.append(component)
            elif component.is_constructed() and not component.is_reference():
                pending.extend(component.values())


def _suffix_of(root: BlockData) -> Suffix:
    """Return the Suffix with the marks on `root`, made if it is not there yet."""
    suffix = root.component(SUFFIX)
    if suffix is None:
        suffix = Suffix(direction=Suffix.LOCAL, datatype=None)
        root.add_component(SUFFIX, suffix)
    elif suffix.ctype is not Suffix:
        raise AnnotationError(
            f"'{suffix.name}' is a {suffix.ctype.__name__}, but j3o keeps its marks in a Suffix of that "
            "name; rename the component"
        )
    return suffix


def _components(given: Any, role: str) -> Iterator[Any]:
    """Yield the components that a user named, with References and slices taken apart."""
    single = isinstance(given, (Component, ComponentData, IndexedComponent_slice, str))
    if not single and not isinstance(given, Iterable):
        raise AnnotationError(
            f"annotate({role}=...) was given {_describe(given)}; pass Vars, Blocks or members of them"
        )
    for item in [given] if single else given:
        if isinstance(item, IndexedComponent_slice) or (isinstance(item, Component) and item.is_reference()):
            members = list(item.values()) if isinstance(item, Component) else list(item)
        else:
            members = [item]
        for component in members:
            if not isinstance(component, (Var, VarData, Block, BlockData)):
                raise AnnotationError(
                    f"{_describe(component)} cannot be marked {role}; "
                    "only Vars, Blocks and members of them can"
                )
            yield component


def _require_within(model: BlockData, component: Any) -> None:
    ancestor = component
    while ancestor is not None and ancestor is not model:
        container = ancestor.parent_component()
        if container is model:
            return
        ancestor = container.parent_block()
    if ancestor is None:
        raise AnnotationError(
            f"'{component.name}' is not a component of {the_model(model)}; "
            "attach it to the model first, or annotate the model that it belongs to"
        )


def _require_consistent(model: BlockData, new: dict[int, Mark]) -> None:
    """Raise if `new` marks contradict each other or those that the model has."""
    roles = Roles(model)
    for mark in new.values():
        former = roles._marks.get(id(mark.component))
        if former is not None and former.role != mark.role:
            raise AnnotationError(
                f"'{mark.component.name}' is marked {former.role} already (by {former.source}); "
                f"take that mark out before marking it {mark.role}: {former.removal}"
            )
        roles._add(mark)
    # A new mark on a block or on a whole Var can contradict an older one further down.
    narrow = all(isinstance(mark.component, VarData) for mark in new.values())
    for mark in list(new.values() if narrow else roles._marks.values()):
        component = mark.component
        if isinstance(component, VarData):
            roles.of(component)
        elif isinstance(component, Var):
            roles.of_container(component)
        elif isinstance(component, BlockData):
            roles._own_block_mark(component)
        else:
            for block in component.values():
                roles._own_block_mark(block)


def _describe(thing: Any) -> str:
    """Return words for anything that a user may have handed in by mistake."""
    if isinstance(thing, (Component, ComponentData)):
        return f"the {thing.ctype.__name__} '{thing.name}'"
    # The repr of a Pyomo expression says nothing.
    shown = str(thing) if isinstance(thing, PyomoObject) else repr(thing)
    return f"the {type(thing).__name__} {shown}"
