"""A plan as files that servers read: what each node loads, how it batches, and where queries go.

`components` says which parts of a Pyomo model mean what, for models of the library by itself. `reading` turns
a solved model into a `Deployment`, plain data (`records`). Each target has a file: `plan_json`, `triton`,
`mlserver` and `kserve`. Below them, `names` makes names that a target takes, `weights` makes shares whole
numbers, and `folders` writes a folder whole, or not at all.
"""

from pyomo_j3o.deploy.components import Components, PlannedBatch
from pyomo_j3o.deploy.kserve import to_kserve
from pyomo_j3o.deploy.mlserver import to_mlserver
from pyomo_j3o.deploy.plan_json import schema, to_json
from pyomo_j3o.deploy.reading import read_deployment
from pyomo_j3o.deploy.records import Deployment, Destination, LoadedModel, Node, Route
from pyomo_j3o.deploy.triton import to_triton

__all__ = [
    "Components",
    "Deployment",
    "Destination",
    "LoadedModel",
    "Node",
    "PlannedBatch",
    "Route",
    "read_deployment",
    "schema",
    "to_json",
    "to_kserve",
    "to_mlserver",
    "to_triton",
]
