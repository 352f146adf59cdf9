"""Joint onloading and offloading in Pyomo; importing this package registers the solver ``j3o``."""

from pyomo_j3o.annotate import OffloadingBlock, OnloadingBlock, annotate

__version__ = "0.1.0"

__all__ = ["OffloadingBlock", "OnloadingBlock", "annotate"]
