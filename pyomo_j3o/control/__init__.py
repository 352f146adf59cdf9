"""A controller: loads change from minute to minute, and a policy decides what moves and what is routed anew.

From top to bottom: `controlling` is the loop over the minutes of a trace. In each, `forecasts` says what is
expected, one of the `policies` decides with its `planning` model, and `delivery` plays the plan on the true
loads. `records` holds what came of it. `loads` makes a system's loads follow a trace.
"""

from pyomo_j3o.control.controlling import POLICIES, control
from pyomo_j3o.control.delivery import Delivered, Delivery
from pyomo_j3o.control.forecasts import Forecast, LastValue, MovingAverage, Noise, TrueLoads
from pyomo_j3o.control.loads import client_loads
from pyomo_j3o.control.planning import Plan, Planner
from pyomo_j3o.control.policies import (
    Clairvoyant,
    Policy,
    ReplaceAlways,
    ReplaceWhenItPays,
    RerouteOnly,
    SolveEvery,
    SolveOnce,
    View,
)
from pyomo_j3o.control.records import Controlled, Run

__all__ = [
    "POLICIES",
    "Clairvoyant",
    "Controlled",
    "Delivered",
    "Delivery",
    "Forecast",
    "LastValue",
    "MovingAverage",
    "Noise",
    "Plan",
    "Planner",
    "Policy",
    "ReplaceAlways",
    "ReplaceWhenItPays",
    "RerouteOnly",
    "Run",
    "SolveEvery",
    "SolveOnce",
    "TrueLoads",
    "View",
    "client_loads",
    "control",
]
