"""What the systems' own packages read in an export, printed as JSON.

Each is asked in a process of its own: their protobuf messages have the same names, and one process takes one.

    python schema_checks.py triton|mlserver|kserve|envoy FILE...
"""

import json
import sys
from pathlib import Path


def triton(path: Path) -> dict:
    """Return a ``config.pbtxt`` as Triton's client package reads it, which refuses unknown fields."""
    from google.protobuf import json_format, text_format
    from tritonclient.grpc import model_config_pb2

    config = text_format.Parse(path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    return json_format.MessageToDict(config, preserving_proto_field_name=True)


def mlserver(path: Path) -> dict:
    """Return a ``model-settings.json`` as MLServer reads it, and refuse fields that it would ignore."""
    from mlserver.settings import ModelSettings

    raw = json.loads(path.read_text(encoding="utf-8"))
    unknown = set(raw) - {*ModelSettings.model_fields, "implementation"}
    assert not unknown, unknown
    settings = ModelSettings.parse_file(str(path))
    return json.loads(settings.model_dump_json(by_alias=True, exclude_unset=True))


def kserve(path: Path) -> dict:
    """Return an ``InferenceGraph``, its fields by KServe's names; refuse unknown ones and wrong types."""
    import kserve.models

    def read(kind: str, held):
        if kind.startswith("dict(str, "):
            return {key: read(kind[len("dict(str, ") : -1], one) for key, one in held.items()}
        if kind.startswith("list["):
            return [read(kind[len("list[") : -1], one) for one in held]
        model = getattr(kserve.models, kind, None)
        if model is None:
            assert isinstance(held, {"str": str, "int": int}.get(kind, object)), held
            return held
        names = {written: name for name, written in model.attribute_map.items()}
        fields = {names[key]: read(model.openapi_types[names[key]], one) for key, one in held.items()}
        # Its setters refuse what is missing.
        model(**fields)
        return fields

    return read("V1alpha1InferenceGraph", json.loads(path.read_text(encoding="utf-8")))


def envoy(path: Path) -> dict:
    """Return routes as Envoy's messages hold them, which refuse unknown fields."""
    from envoy.config.route.v3 import route_pb2
    from google.protobuf import json_format

    routes = json_format.Parse(path.read_text(encoding="utf-8"), route_pb2.RouteConfiguration())
    return json_format.MessageToDict(routes, preserving_proto_field_name=True)


if __name__ == "__main__":
    check = {"triton": triton, "mlserver": mlserver, "kserve": kserve, "envoy": envoy}[sys.argv[1]]
    print(json.dumps({name: check(Path(name)) for name in sys.argv[2:]}, default=str))
