"""Shares as whole weights: KServe graphs, routes of the Gateway API, and Envoy's clusters."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pyomo_j3o.deploy.components import Components
from pyomo_j3o.deploy.folders import write_export
from pyomo_j3o.deploy.names import renamed, service_names
from pyomo_j3o.deploy.params import PARAMS
from pyomo_j3o.deploy.reading import read_deployment
from pyomo_j3o.deploy.records import Deployment, Destination, Route
from pyomo_j3o.deploy.rounding import rounded_away, weights_of

if TYPE_CHECKING:
    from pyomo.core.base.block import BlockData

logger = logging.getLogger("pyomo_j3o")

#: Headers that tell a gateway whose query it is, and for what.
_HEADERS = ("x-client", "x-task")


def to_kserve(
    model: BlockData,
    results: Any,
    folder: str | Path,
    *,
    components: Components | None = None,
    names: Mapping[str, str] | None = None,
    gateway: str = "inference",
    port: int = 80,
) -> list[Path]:
    """Write the shares of the plan as weights of KServe, of the Gateway API and of Envoy.

    For every client and task whose queries leave the client:

    - ``inference-graphs/client-task.json``: a KServe ``InferenceGraph`` whose router is a ``Splitter``, with
      weights that add up to 100;
    - ``http-routes/client-task.json``: an ``HTTPRoute`` of the Gateway API with weighted ``backendRefs``, for
      queries with the headers ``x-client`` and ``x-task``. Its weights add up to 10 000.

    ``envoy-routes.json`` holds the same as one ``RouteConfiguration`` of Envoy. Kubernetes reads JSON as it
    reads YAML.

    Weights split what leaves the client; what it answers itself, and what is dropped, is not in them. They
    are whole numbers by largest remainder. A share whose weight is 0 gets no query, and a warning names it.
    The service of a model on a node is named ``model-node``, in the letters that Kubernetes takes.

    Parameters
    ----------
    model, results, folder, components
        As for `to_json`.
    names
        Names to write in place of some of the names of clients, tasks, nodes and models.
    gateway
        Name of the ``Gateway`` that the routes belong to.
    port
        Port of the services.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    DeployError
        If there is no plan to export, two names become one, or the folder holds something else.
    """
    deployment = read_deployment(model, results, components)
    services, routes = _named(deployment, names)
    for note in rounded_away(deployment, PARAMS.graph_total):
        logger.warning(note)
    texts, envoy = {}, []
    for route, name in routes.items():
        graph = _targets(route, services, PARAMS.graph_total)
        fine = _targets(route, services, PARAMS.route_total)
        texts[f"inference-graphs/{name}.json"] = _graph(name, graph)
        texts[f"http-routes/{name}.json"] = _http_route(name, route, fine, gateway, port)
        envoy.append(_envoy_route(route, fine))
    hosts = [{"name": gateway, "domains": ["*"], "routes": envoy}]
    texts["envoy-routes.json"] = {"name": gateway, "virtual_hosts": hosts}
    files = {path: json.dumps(text, indent=1, ensure_ascii=False) + "\n" for path, text in texts.items()}
    return write_export(folder, "kserve", files)


class _Target(NamedTuple):
    """A service, and its weight."""

    service: str
    weight: int


def _named(
    deployment: Deployment, names: Mapping[str, str] | None
) -> tuple[dict[str, str], dict[Route, str]]:
    """Return names of services, by "model-node", and of the routes that leave their client."""
    routes = [route for route in deployment.routes if route.sent]
    known = [name for route in deployment.routes for name in (route.client, route.task)]
    known += [name for node in deployment.nodes for name in (node.name, *(m.name for m in node.models))]
    known += [name for route in routes for to in route.sent for name in (to.node, to.model)]
    written = renamed(known, names)
    services = service_names(
        "model on a node",
        {_key(to): _service(written, to) for route in routes for to in route.sent},
    )
    keys = {f"{route.client}/{route.task}": route for route in routes}
    named = service_names(
        "client and task",
        {key: f"{written[route.client]}-{written[route.task]}" for key, route in keys.items()},
    )
    return services, {route: named[key] for key, route in keys.items()}


def _service(written: Mapping[str, str], to: Destination) -> str:
    # The cloud of the library is a node and its model at once.
    return written[to.node] if to.node == to.model else f"{written[to.model]}-{written[to.node]}"


def _key(to: Destination) -> str:
    return f"{to.model}/{to.node}"


def _targets(route: Route, services: Mapping[str, str], total: int) -> list[_Target]:
    return [_Target(services[_key(to)], weight) for to, weight in weights_of(route, total).items()]


def _graph(name: str, targets: list[_Target]) -> dict[str, Any]:
    steps = [{"serviceName": one.service, "weight": one.weight} for one in targets]
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": name},
        "spec": {"nodes": {"root": {"routerType": "Splitter", "steps": steps}}},
    }


def _http_route(name: str, route: Route, targets: list[_Target], gateway: str, port: int) -> dict[str, Any]:
    headers = [
        {"type": "Exact", "name": header, "value": value}
        for header, value in zip(_HEADERS, (route.client, route.task), strict=True)
    ]
    backends = [{"name": one.service, "port": port, "weight": one.weight} for one in targets]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {
            "parentRefs": [{"name": gateway}],
            "rules": [{"matches": [{"headers": headers}], "backendRefs": backends}],
        },
    }


def _envoy_route(route: Route, targets: list[_Target]) -> dict[str, Any]:
    headers = [
        {"name": header, "string_match": {"exact": value}}
        for header, value in zip(_HEADERS, (route.client, route.task), strict=True)
    ]
    clusters = [{"name": one.service, "weight": one.weight} for one in targets]
    return {
        "match": {"prefix": "/", "headers": headers},
        "route": {"weighted_clusters": {"clusters": clusters}},
    }
