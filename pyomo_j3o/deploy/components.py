"""Which parts of a Pyomo model say what is placed, what is routed, and how long windows are."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from pyomo_j3o.core.checks import is_number
from pyomo_j3o.errors import DeployError
from pyomo_j3o.library.data import CLOUD, InferenceData
from pyomo_j3o.library.serving_replicas import ReplicaData

if TYPE_CHECKING:
    from pyomo.core.base.block import BlockData


class PlannedBatch(NamedTuple):
    """The batch that a plan counts on for each copy of a model, where there is no window.

    While a copy works on one batch, it collects the next. So a query waits for ``setup + per_query * size``
    seconds at most before its own batch begins.

    Parameters
    ----------
    size
        Queries in the batch, at least 1.
    setup, per_query
        Set-up of a batch and time per query, s.
    """

    size: int
    setup: float
    per_query: float


@dataclass(frozen=True)
class Components:
    """What the parts of a model mean, for the export of its plan.

    Models of `pyomo_j3o.library.build_model`, `build_multi_edge` and `replicas` need none. A value is a Pyomo
    variable, Param or expression, or a number.

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
        a length in s. Nodes that are left out do not batch, but for the models in `batches`.
    batches
        By (node, model), the `PlannedBatch` that the plan counts on for each copy. Only of nodes without a
        window.
    gpus
        Nodes on which every copy of a model has a GPU of its own. On all other nodes, the models and their
        copies take turns on one processor.

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
    batches: Mapping[tuple[str, str], PlannedBatch] = field(default_factory=dict)
    gpus: Collection[str] = ()

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
        if isinstance(self.gpus, str):
            raise DeployError(
                f"gpus={self.gpus!r}: is one text; give a list of names, such as [{self.gpus!r}]"
            )
        for node in self.gpus:
            if node not in nodes:
                raise DeployError(f"gpus: {node!r} has no entry in placed; take it out")
        for key, batch in self.batches.items():
            _check_batch(key, batch, self)


def _check_batch(key: Any, batch: Any, components: Components) -> None:
    """Raise a `DeployError` if an entry of `Components.batches` is none."""
    if key not in components.placed:
        raise DeployError(f"batches[{key!r}]: there is no such entry in placed; take the batch out")
    if key[0] in components.windows:
        raise DeployError(f"batches[{key!r}]: the node has a window, which gives its batches; leave one out")
    numbers = batch if isinstance(batch, tuple) and len(batch) == 3 else ()
    finite = all(is_number(one) and 0 <= one < math.inf for one in numbers)
    if (
        not numbers
        or not finite
        or numbers[0] < 1
        or numbers[0] != int(numbers[0])
        or not sum(numbers[1:]) > 0
    ):
        raise DeployError(
            f"batches[{key!r}]={batch!r}: is no batch; give PlannedBatch(size, setup, per_query), a whole "
            "number of at least 1 and seconds"
        )


def components_of(model: BlockData) -> Components:
    """Return what the parts of a model of the library mean.

    Parameters
    ----------
    model
        A model of `pyomo_j3o.library.build_model`, `build_multi_edge` or `replicas`.

    Raises
    ------
    DeployError
        If it is another model.
    """
    data = getattr(model, "data", None)
    if isinstance(data, ReplicaData):
        return _of_replicas(model, data)
    if not isinstance(data, InferenceData):
        raise DeployError(
            f"Model {getattr(model, 'name', model)!r} was not made by pyomo_j3o.library.build_model, "
            "build_multi_edge or replicas, so nothing says which of its variables place and route what; give "
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


def _of_replicas(model: BlockData, data: ReplicaData) -> Components:
    """Return what the parts of a model of `pyomo_j3o.library.replicas` mean: each replica has a GPU."""
    placed = {(data.sites[e], data.networks[t][v]): n for (e, t, v), n in model.place.n.items()}
    batches = {
        (data.sites[e], data.networks[t][v]): PlannedBatch(
            data.batch[t][v], data.setup[t][v], data.per_query[t][v]
        )
        for e, t, v in model.place.n
    }
    return Components(
        placed=placed,
        routed={
            (data.clients[c], data.tasks[t], data.sites[e], data.networks[t][v]): y
            for (c, t, e, v), y in model.route.y.items()
        },
        rates={(data.clients[c], data.tasks[t]): rate for (c, t), rate in data.asked.items()},
        batches=batches,
        gpus=data.sites,
    )
