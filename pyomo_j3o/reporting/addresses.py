"""Where a member of a component stands: the name of its component, and its index."""

from __future__ import annotations

from typing import Any, NamedTuple

from pyomo.core.base.block import BlockData

Index = tuple[Any, ...]


class Address(NamedTuple):
    """The place of a variable or a constraint in the user's model.

    Attributes
    ----------
    component
        Its component, as in ``place.x``; ``node[:].x`` if it is in the members of an indexed block.
    indices
        Of the blocks that it is in and its own, one after the other; empty without an index.
    """

    component: str
    indices: Index


class Addresses:
    """Finds the address of variables and constraints; what members have in common is looked up once.

    Parameters
    ----------
    model
        The model or block. Names begin below it, as those that a user of this block writes.
    """

    def __init__(self, model: BlockData) -> None:
        self._model = model
        self._containers: dict[int, Address] = {}
        self._blocks: dict[int, Address] = {}
        self._given: set[str] = set()

    @property
    def given_names(self) -> frozenset[str]:
        """The components met so far whose members have names of their own, given by a file."""
        return frozenset(self._given)

    def of(self, member: Any) -> Address:
        """Return the address of one variable or constraint."""
        container = member.parent_component()
        common = self._containers.get(id(container))
        if common is None:
            common = self._containers[id(container)] = self._of_container(container)
            if getattr(container, "names_are_given", False):
                self._given.add(common.component)
        if not container.is_indexed():
            return common
        return Address(common.component, common.indices + as_tuple(member.index()))

    def _of_container(self, container: Any) -> Address:
        path, index = self._of_block(container.parent_block())
        return Address(f"{path}.{container.local_name}" if path else container.local_name, index)

    def _of_block(self, block: BlockData | None) -> Address:
        """Return path and indices of a block; nothing for the model itself, and for its root."""
        if block is None or block is self._model or block.parent_block() is None:
            return Address("", ())
        known = self._blocks.get(id(block))
        if known is not None:
            return known
        container = block.parent_component()
        path, index = self._of_block(block.parent_block())
        own = container.local_name
        if container.is_indexed():
            own, index = f"{own}[:]", index + as_tuple(block.index())
        found = Address(f"{path}.{own}" if path else own, index)
        self._blocks[id(block)] = found
        return found


def as_tuple(index: Any) -> Index:
    """Return an index as Pyomo has it, None, one entry or a tuple, as a tuple."""
    if index is None:
        return ()
    return index if isinstance(index, tuple) else (index,)


def names_of_dimensions(container: Any) -> tuple[str, ...]:
    """Return the names of the sets that index a component, "" for one that the user has not named."""
    if not container.is_indexed():
        return ()
    names: list[str] = []
    for subset in container.index_set().subsets():
        block = subset.parent_block()
        # Pyomo adds a set of its own, `x_index`, for an index that is no set of the user's.
        named = block is not None and block.component(subset.local_name) is subset
        named &= not subset.local_name.startswith(container.local_name)
        names += [subset.local_name if named else ""] * (subset.dimen if isinstance(subset.dimen, int) else 1)
    return tuple(names)
