"""Settings for MLServer, one folder of models per node."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyomo_j3o.deploy.components import Components
from pyomo_j3o.deploy.folders import write_export
from pyomo_j3o.deploy.reading import read_deployment
from pyomo_j3o.deploy.selection import Folder, model_folders
from pyomo_j3o.errors import DeployError

if TYPE_CHECKING:
    from pyomo.core.base.block import BlockData


def to_mlserver(
    model: BlockData,
    results: Any,
    folder: str | Path,
    *,
    components: Components | None = None,
    nodes: Sequence[str] | None = None,
    names: Mapping[str, str] | None = None,
    implementation: str = "model.Model",
) -> list[Path]:
    """Write a folder for MLServer for each node: ``mlserver start folder/node`` serves it.

    Every loaded model has a folder with ``model-settings.json``. ``max_batch_size`` is the mean batch of the
    plan times (1 + headroom), rounded up, or the planned batch, and ``max_batch_time`` the window T_b, or the
    time of a planned batch, in seconds: the server sends
    a batch off when it is full, or when its first query has waited for so long. MLServer does not batch a
    model whose ``max_batch_size`` is 1. The plan's figures are in ``parameters.extra``, where a runtime
    finds them. MLServer has no instances: a plan with several copies of a model on a node is refused.

    Parameters
    ----------
    model, results, folder, components
        As for `to_json`.
    nodes
        Which nodes. All that hold a model, clients included, if not given.
    names
        Names to write in place of some of the names of nodes and models.
    implementation
        The class that serves the models, a subclass of ``mlserver.MLModel``, with its module. It may lie in
        a file beside ``model-settings.json``, or be installed.

    Returns
    -------
    list of Path
        The files ``model-settings.json``.

    Raises
    ------
    DeployError
        If there is no plan to export, a name is no folder name or two become one, a node has several copies
        of a model, or the folder holds something else.
    """
    module, _, kind = implementation.rpartition(".") if isinstance(implementation, str) else ("", "", "")
    if not (module and kind):
        raise DeployError(
            f"implementation={implementation!r}: names no class; give one such as 'model.Model'"
        )
    folders = model_folders(read_deployment(model, results, components), nodes, names)
    texts = {f"{one.path}/model-settings.json": _settings(one, implementation) for one in folders}
    return write_export(folder, "mlserver", texts)


def _settings(one: Folder, implementation: str) -> str:
    model = one.model
    if model.instances > 1:
        raise DeployError(
            f"{one.node.name!r}: holds {model.instances} copies of {model.name!r}, and MLServer loads one; "
            "name the copies apart in the model, or use to_triton"
        )
    settings: dict[str, Any] = {"name": one.name, "implementation": implementation}
    if model.wait is not None:
        settings |= {"max_batch_size": model.max_batch, "max_batch_time": model.wait}
    plan = {
        "node": one.node.name,
        "queries_per_second": model.queries_per_second,
        "mean_batch_size": model.mean_batch,
        "setup_seconds": model.setup,
        "seconds_per_query": model.per_query,
    }
    settings["parameters"] = {"extra": plan}
    return json.dumps(settings, indent=1, ensure_ascii=False) + "\n"
