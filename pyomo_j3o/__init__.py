"""Joint onloading and offloading in Pyomo; importing this package registers the solver ``j3o``."""

from pyomo_j3o.annotate import OffloadingBlock, OnloadingBlock, annotate
from pyomo_j3o.batching_window import BatchingWindow
from pyomo_j3o.explaining import explain_infeasibility
from pyomo_j3o.sensitivity import budget_worth
from pyomo_j3o.solver import J3O
from pyomo_j3o.surrogate_rows import BatchingSurrogate
from pyomo_j3o.transformations import LinearizeProducts
from pyomo_j3o.version import __version__

__all__ = [
    "J3O",
    "BatchingSurrogate",
    "BatchingWindow",
    "LinearizeProducts",
    "OffloadingBlock",
    "OnloadingBlock",
    "__version__",
    "annotate",
    "budget_worth",
    "explain_infeasibility",
]
