"""Which parts of a Pyomo model say what is placed, what is routed, and how long windows are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyomo_j3o.errors import DeployError
from pyomo_j3o.library.data import CLOUD, InferenceData

if TYPE_CHECKING:
    from pyomo.core.base.block import BlockData


@dataclass(frozen=True)
class Components:
    """What the parts of a model mean, for the export of its plan.

    Models of `pyomo_j3o.library.build_model` and `pyomo_j3o.library.build_multi_edge` need none. A value is a
    Pyomo variable, Param or expression, or a number.

    Parameters
    ----------
    placed
        By (node, model), whether the node loads the model, or how many copies of it.
    routed
        By (client, task, node, model), the share of the client's queries for the task that is answered there.
        A node without an entry in `placed` loads nothing: a cloud, say.
    rates
        By (client, task), queries/s.
    windows
        By node, its batching window: a `pyomo_j3o.BatchingWindow` whose models have the names of `placed`, or
        a length in s. Nodes that are left out do not batch.

    Examples
    --------
    >>> import pyomo.environ as pyo
    >>> from pyomo_j3o.deploy import Components
    >>> m = pyo.ConcreteModel()
    >>> m.x = pyo.Var(["rack"], ["vit"], domain=pyo.Binary)
    >>> m.y = pyo.Var(["phone"], ["rack"], bounds=(0, 1))
    >>> components = Components(
    ...     placed=dict(m.x.items()),
    ...     routed={(client, "label", node, "vit"): y for (client, node), y in m.y.items()},
    ...     rates={("phone", "label"): 20},
    ...     windows={"rack": 0.25},
    ... )
    """

    placed: Mapping[tuple[str, str], Any]
    routed: Mapping[tuple[str, str, str, str], Any]
    rates: Mapping[tuple[str, str], Any]
    windows: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, parts in (("placed", 2), ("routed", 4), ("rates", 2)):
            for key in getattr(self, name):
                if not (
                    isinstance(key, tuple) and len(key) == parts and all(isinstance(k, str) for k in key)
                ):
                    raise DeployError(f"{name}[{key!r}]: the key is no tuple of {parts} names; give one")
        for option in self.routed:
            if option[:2] not in self.rates:
                raise DeployError(f"rates: no entry for {option[:2]!r}, which routed has; give its queries/s")
        nodes = {node for node, _ in self.placed}
        for node, model in ((option[2], option[3]) for option in self.routed):
            if node in nodes and (node, model) not in self.placed:
                raise DeployError(f"placed: no entry for {(node, model)!r}, which routed has; give one")
        for node in self.windows:
            if node not in nodes:
                raise DeployError(f"windows[{node!r}]: the node has no entry in placed; take the window out")


def components_of(model: BlockData) -> Components:
    """Return what the parts of a model of the library mean.

    Parameters
    ----------
    model
        A model of `pyomo_j3o.library.build_model` or `pyomo_j3o.library.build_multi_edge`.

    Raises
    ------
    DeployError
        If it is another model.
    """
    data = getattr(model, "data", None)
    if not isinstance(data, InferenceData):
        raise DeployError(
            f"Model {getattr(model, 'name', model)!r} was not made by pyomo_j3o.library.build_model or "
            "build_multi_edge, so nothing says which of its variables place and route what; give "
            "components=pyomo_j3o.deploy.Components(...)"
        )
    x, routed = model.place.x, dict(model.route.y.items())
    if model.component("link") is None:
        # The product form: nothing keeps y at 0 where its model is not onloaded.
        routed = {h: y if h[2] == CLOUD else x[h[2:]] * y for h, y in routed.items()}
    rates: Mapping[tuple[str, str], Any]
    if model.component("loads") is not None:
        rates = dict(model.loads.items())
    else:
        rates = {
            (client, task): rate
            for client, row in zip(data.clients, data.load.tolist(), strict=True)
            for task, rate in zip(data.tasks, row, strict=True)
            if rate > 0
        }
    windows = dict(model.batch.items()) if model.component("batch") is not None else {}
    return Components(placed=dict(x.items()), routed=routed, rates=rates, windows=windows)
