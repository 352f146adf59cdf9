"""A model repository for NVIDIA Triton, one per node."""

from __future__ import annotations

import json
import logging
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

logger = logging.getLogger("pyomo_j3o")

_KINDS = ("KIND_AUTO", "KIND_GPU", "KIND_CPU", "KIND_MODEL")
#: The largest number that Triton's field of a batch size takes.
_LARGEST = 2**31 - 1


def to_triton(
    model: BlockData,
    results: Any,
    folder: str | Path,
    *,
    components: Components | None = None,
    nodes: Sequence[str] | None = None,
    names: Mapping[str, str] | None = None,
    backend: str | None = None,
    kind: str = "KIND_AUTO",
) -> list[Path]:
    """Write a model repository for NVIDIA Triton for each node.

    A repository is the folder ``node``. In it, every loaded model has a folder with ``config.pbtxt`` and an
    empty version folder ``1``, where the model file goes. The configuration holds

    - ``max_batch_size``: the mean batch of the plan times (1 + headroom), rounded up, or the planned batch;
    - ``max_queue_delay_microseconds``: the window T_b, or the time of a planned batch, so that no query waits
      for longer than the plan lets it. The server sends a batch off earlier if it is full;
    - ``instance_group``: where models take turns on one processor, as many instances as the plan has copies.
      Each needs the resource ``processor``, of which there is one: with ``tritonserver
      --rate-limit=execution_count`` the models of a node run one after the other, as the plan assumes. Where
      each copy has a GPU, one instance on each of ``gpus``, numbers that no other model of the node has, and
      no shared resource;
    - ``parameters``: planned set-up and time per query, if the model states them, for a Python backend.

    A model with neither a window nor a planned batch gets ``max_batch_size: 1`` and no batcher. What a server
    would do otherwise than the plan is logged as a warning, and stands in the ``notes`` of `to_json`.

    Parameters
    ----------
    model, results, folder, components
        As for `to_json`.
    nodes
        Which nodes. All that hold a model, clients included, if not given.
    names
        Names to write in place of some of the names of nodes and models.
    backend
        Triton's backend, such as ``"onnxruntime"``. If not given, Triton takes it from the model file's name.
    kind
        Where instances run: ``"KIND_AUTO"``, ``"KIND_GPU"``, ``"KIND_CPU"`` or ``"KIND_MODEL"``. Copies with
        a GPU each are ``"KIND_GPU"``.

    Returns
    -------
    list of Path
        The files ``config.pbtxt``.

    Raises
    ------
    DeployError
        If there is no plan to export, a name is no folder name or two become one, a window is below one
        microsecond, `kind` has no GPU for copies that have one each, or the folder holds something else.
    """
    if kind not in _KINDS:
        raise DeployError(f"kind={kind!r}: unknown; use {', '.join(_KINDS)}")
    if backend is not None and not (isinstance(backend, str) and backend):
        raise DeployError(f"backend={backend!r}: is no name; give one such as 'onnxruntime'")
    deployment = read_deployment(model, results, components)
    folders = model_folders(deployment, nodes, names)
    for note in deployment.notes:
        logger.warning(note)
    texts = {f"{one.path}/config.pbtxt": _config(one, backend, kind) for one in folders}
    return write_export(folder, "triton", texts, empty=[f"{one.path}/1" for one in folders])


def _config(one: Folder, backend: str | None, kind: str) -> str:
    model = one.model
    if model.max_batch > _LARGEST:
        raise DeployError(
            f"{one.node.name!r}: a batch of {model.max_batch} queries for {model.name!r} is more than Triton "
            "takes; state rates in queries/s"
        )
    lines = [f"name: {_quoted(one.name)}"]
    if backend is not None:
        lines.append(f"backend: {_quoted(backend)}")
    lines += [f"max_batch_size: {model.max_batch}", *_instances(one, kind)]
    if model.wait is not None:
        delay = round(1e6 * model.wait)
        if delay == 0:
            raise DeployError(
                f"{one.node.name!r}: the window of {model.wait:g} s is 0 in Triton's unit, a microsecond; "
                "state windows in seconds"
            )
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {delay} }}")
    figures = {"setup_seconds": model.setup, "seconds_per_query": model.per_query}
    lines += [
        f'parameters {{ key: "{key}" value {{ string_value: "{figure!r}" }} }}'
        for key, figure in figures.items()
        if figure is not None
    ]
    return "\n".join(lines) + "\n"


def _instances(one: Folder, kind: str) -> list[str]:
    """Return the group of a model's instances: on GPUs of its own, or taking turns on one processor."""
    model = one.model
    if not model.gpus:
        resource = '    rate_limiter { resources [ { name: "processor" count: 1 } ] }'
        own = [f"    count: {model.instances}", f"    kind: {kind}", resource]
    elif kind in ("KIND_AUTO", "KIND_GPU"):
        # Triton's count is per GPU.
        numbers = ", ".join(map(str, model.gpus))
        own = ["    count: 1", "    kind: KIND_GPU", f"    gpus: [ {numbers} ]"]
    else:
        raise DeployError(
            f"kind={kind!r}: every copy of {model.name!r} on {one.node.name!r} has a GPU in this plan; leave "
            "kind out, or take the node out of Components(gpus=...)"
        )
    return ["instance_group [", "  {", *own, "  }", "]"]


def _quoted(text: str) -> str:
    """Return a string of protobuf's text format, which has the escapes of JSON for what folder names hold."""
    return json.dumps(text, ensure_ascii=False)
