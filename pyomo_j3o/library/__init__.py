"""Models that are annotated and ready to solve, after published figures and textbook formulations.

Hierarchical inference: `hierarchical` and `several_edges` turn a description of a system (`data`) into a
Pyomo model; options and rows are those of `inference_rows`. `taskonomy_figures`, `domainnet_figures`,
`dense_figures` and `batch_latency` read published figures (`published_figures`), and `drawing` draws systems
from them.
`request_traces` are arrivals over time. `folders` reads and writes systems. `plan_tables` shows what a solved
model does. `fleets` builds one edge server of many.

Other models of the same form: `facilities`, `services`, `networks` and, with counts, `serving_replicas`.
Builders share `building`.
"""

from pyomo_j3o.core.table import Table
from pyomo_j3o.library.batch_latency import (
    BatchLatency,
    fit_batch_latency,
    v100_batch_latency,
    v100_classifiers,
)
from pyomo_j3o.library.data import CLOUD, FacilityData, InferenceData
from pyomo_j3o.library.dense_figures import dense_prediction_data, dense_prediction_models
from pyomo_j3o.library.domainnet_figures import domainnet_data, domainnet_models
from pyomo_j3o.library.facilities import (
    build_facility_location,
    facility_data,
    facility_location,
    maximal_covering,
    p_median,
    two_stage,
)
from pyomo_j3o.library.fleets import edge_server
from pyomo_j3o.library.folders import from_frames, read_folder, write_folder
from pyomo_j3o.library.hierarchical import (
    build_model,
    dense_prediction,
    domainnet,
    small_example,
    small_example_data,
    taskonomy,
)
from pyomo_j3o.library.networks import fixed_charge_network, virtual_functions
from pyomo_j3o.library.plan_tables import budget_table, placement_table, routing_table
from pyomo_j3o.library.request_traces import Trace, request_traces
from pyomo_j3o.library.services import content_placement, service_placement
from pyomo_j3o.library.serving_replicas import ReplicaData, replicas
from pyomo_j3o.library.several_edges import build_multi_edge, multi_edge
from pyomo_j3o.library.taskonomy_figures import (
    accuracy_from_loss,
    instances,
    taskonomy_data,
    taskonomy_models,
    windowed_instances,
)

__all__ = [
    "CLOUD",
    "BatchLatency",
    "FacilityData",
    "InferenceData",
    "ReplicaData",
    "Table",
    "Trace",
    "accuracy_from_loss",
    "budget_table",
    "build_facility_location",
    "build_model",
    "build_multi_edge",
    "content_placement",
    "dense_prediction",
    "dense_prediction_data",
    "dense_prediction_models",
    "domainnet",
    "domainnet_data",
    "domainnet_models",
    "edge_server",
    "facility_data",
    "facility_location",
    "fit_batch_latency",
    "fixed_charge_network",
    "from_frames",
    "instances",
    "maximal_covering",
    "multi_edge",
    "p_median",
    "placement_table",
    "read_folder",
    "replicas",
    "request_traces",
    "routing_table",
    "service_placement",
    "small_example",
    "small_example_data",
    "taskonomy",
    "taskonomy_data",
    "taskonomy_models",
    "two_stage",
    "v100_batch_latency",
    "v100_classifiers",
    "virtual_functions",
    "windowed_instances",
    "write_folder",
]
