"""Joint onloading and offloading in Pyomo; importing this package registers ``j3o`` and its variants."""

from pyomo_j3o.core.version import __version__
from pyomo_j3o.diagnosis.infeasibility import explain_infeasibility
from pyomo_j3o.diagnosis.sensitivity import budget_worth
from pyomo_j3o.fleet.solving import solve_parts
from pyomo_j3o.fleet.sweeping import sweep
from pyomo_j3o.interface.persistent import PersistentJ3O
from pyomo_j3o.interface.solver import J3O
from pyomo_j3o.modeling.annotate import OffloadingBlock, OnloadingBlock, annotate
from pyomo_j3o.modeling.batching_window import BatchingWindow
from pyomo_j3o.reporting import report
from pyomo_j3o.transformations.batching_surrogate import BatchingSurrogate
from pyomo_j3o.transformations.linearize_products import LinearizeProducts
from pyomo_j3o.transformations.linearize_sos import LinearizeSOS

__all__ = [
    "J3O",
    "BatchingSurrogate",
    "BatchingWindow",
    "LinearizeProducts",
    "LinearizeSOS",
    "OffloadingBlock",
    "OnloadingBlock",
    "PersistentJ3O",
    "__version__",
    "annotate",
    "budget_worth",
    "explain_infeasibility",
    "report",
    "solve_parts",
    "sweep",
]
