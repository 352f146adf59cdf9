"""Which nodes a target gets, under which names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pyomo_j3o.deploy.names import folder_names, renamed
from pyomo_j3o.deploy.records import Deployment, LoadedModel, Node
from pyomo_j3o.errors import DeployError


class Folder(NamedTuple):
    """A model on a node, and its folder below that of the export."""

    path: str
    name: str
    node: Node
    model: LoadedModel


def model_folders(
    deployment: Deployment, nodes: Sequence[str] | None, names: Mapping[str, str] | None
) -> list[Folder]:
    """Return a folder ``node/model`` for every loaded model.

    Parameters
    ----------
    deployment
        The plan.
    nodes
        Which nodes; None for all that hold a model.
    names
        Names to write in place of some of the model's.

    Raises
    ------
    DeployError
        If a node is unknown or holds no model, no node is left, or a name is no folder name.
    """
    chosen = _chosen(deployment, nodes)
    models = list(dict.fromkeys(model.name for node in chosen for model in node.models))
    written = renamed([*(node.name for node in deployment.nodes), *models], names)
    server = folder_names("node", {node.name: written[node.name] for node in chosen})
    folder = folder_names("model", {name: written[name] for name in models})
    return [
        Folder(f"{server[node.name]}/{folder[model.name]}", folder[model.name], node, model)
        for node in chosen
        for model in node.models
    ]


def _chosen(deployment: Deployment, nodes: Sequence[str] | None) -> list[Node]:
    if isinstance(nodes, str):
        raise DeployError(f"nodes={nodes!r}: is one text; give a list of names, such as [{nodes!r}]")
    known = {node.name: node for node in deployment.nodes}
    holding = [node.name for node in deployment.nodes if node.models]
    wanted = holding if nodes is None else list(dict.fromkeys(nodes))
    for name in wanted:
        if name not in known:
            raise DeployError(
                f"nodes: {name!r} is no node that may hold a model; known are {', '.join(known)}"
            )
        if not known[name].models:
            raise DeployError(f"nodes: {name!r} holds no model in this plan; leave it out")
    if not wanted:
        raise DeployError(
            f"The plan of {deployment.system!r} places no model on any of the nodes, so there is nothing to "
            "export; solve it again, or give other nodes"
        )
    return [known[name] for name in wanted]
