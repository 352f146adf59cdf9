"""Joint onloading and offloading in Pyomo; importing this package registers the solver ``j3o``."""

__version__ = "0.1.0"
