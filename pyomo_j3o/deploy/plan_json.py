"""The plan as one JSON file, with a schema."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyomo_j3o.core.version import __version__
from pyomo_j3o.deploy.components import Components
from pyomo_j3o.deploy.folders import write_export
from pyomo_j3o.deploy.params import PARAMS
from pyomo_j3o.deploy.reading import read_deployment
from pyomo_j3o.deploy.records import Deployment, Node, Route
from pyomo_j3o.deploy.rounding import rounded_away, weights_of

if TYPE_CHECKING:
    from pyomo.core.base.block import BlockData


def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of the file that `to_json` writes."""
    return json.loads(files("pyomo_j3o").joinpath("deploy/plan.schema.json").read_text(encoding="utf-8"))


def to_json(
    model: BlockData, results: Any, folder: str | Path, *, components: Components | None = None
) -> list[Path]:
    """Write the plan of a solved model as one file, ``plan.json``.

    It says what each node loads, its window, and the batches of each model; and for each client and task the
    share of every destination. `schema` returns its schema. What does not fit into whole weights, and what a
    server would do otherwise than the plan, is said in its ``notes``.

    Parameters
    ----------
    model
        The model, solved, with its solution loaded.
    results
        What the solve returned.
    folder
        Where to. It is made if it does not exist. An earlier export of the same kind is replaced as a whole,
        unless its files were changed or others added; anything else is left as it is, with an error.
    components
        What the parts of the model mean; not needed for models of `pyomo_j3o.library.build_model`,
        `build_multi_edge` and `replicas`.

    Returns
    -------
    list of Path
        The file.

    Raises
    ------
    DeployError
        If there is no plan to export, or the folder holds something else.
    """
    plan = document(read_deployment(model, results, components))
    text = json.dumps(plan, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return write_export(folder, "json", {"plan.json": text})


def document(deployment: Deployment) -> dict[str, Any]:
    """Return the content of ``plan.json``."""
    return {
        "format": "pyomo_j3o.deploy.plan",
        "version": 1,
        "written_by": f"pyomo_j3o {__version__}",
        "system": deployment.system,
        "nodes": [_node(node) for node in deployment.nodes],
        "routes": [_route(route) for route in deployment.routes],
        "notes": [*deployment.notes, *rounded_away(deployment, PARAMS.graph_total)],
    }


def _node(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "role": "client" if node.is_client else "server",
        "window_seconds": node.window,
        "headroom": node.headroom,
        "models": [
            {
                "name": model.name,
                "instances": model.instances,
                "queries_per_second": model.queries_per_second,
                "mean_batch_size": model.mean_batch,
                "max_batch_size": model.max_batch,
                "setup_seconds": model.setup,
                "seconds_per_query": model.per_query,
                "wait_seconds": model.wait,
                "gpus": list(model.gpus),
            }
            for model in node.models
        ],
    }


def _route(route: Route) -> dict[str, Any]:
    weights = weights_of(route, PARAMS.graph_total)
    return {
        "client": route.client,
        "task": route.task,
        "queries_per_second": route.rate,
        "dropped": route.dropped,
        "destinations": [
            {"node": to.node, "model": to.model, "share": to.share, "weight": weights.get(to)}
            for to in route.destinations
        ],
    }
