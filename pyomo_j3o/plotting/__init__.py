"""Pictures of a plan, a solve and a simulation, drawn on the axes that are given. Drawing needs matplotlib.

From top to bottom: `plans` draws what sits where and who answers; of models that are not of the library it is
`reports`, with the grids of `grids`. `traces` draws incumbent and bound by iteration. `simulations` draws
latency and backlog, and `controllers` accuracy over time. All share `axes`: colours, legends and text that
fits. Matplotlib is imported when something is drawn, not before.
"""

from pyomo_j3o.plotting.controllers import plot_control, plot_forecast_errors
from pyomo_j3o.plotting.plans import plot_placement, plot_plan, plot_routing
from pyomo_j3o.plotting.reports import plot_flows, plot_fullness
from pyomo_j3o.plotting.simulations import plot_backlog, plot_latency, plot_simulation
from pyomo_j3o.plotting.traces import plot_trace

__all__ = [
    "plot_backlog",
    "plot_control",
    "plot_flows",
    "plot_forecast_errors",
    "plot_fullness",
    "plot_latency",
    "plot_placement",
    "plot_plan",
    "plot_routing",
    "plot_simulation",
    "plot_trace",
]
