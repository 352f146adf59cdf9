"""Fleets: parts that share nothing but budgets, each a model of its own, planned by many workers.

`solving.solve_parts` checks the arguments and returns the `results`. `rounds` is the method: prices on the
shared budgets, asked of all parts again and again; `master` holds what is known, the bound, and the master
problem. `asking` sends tasks out and takes answers in; `worker` is what runs elsewhere; `records` are what
travels in between, and `folder` keeps it. `sweeping.sweep` solves cases that share nothing. Executors are
behind `pyomo_j3o.core.engine`.
"""

from pyomo_j3o.fleet.results import FleetResult, PartResult, Round
from pyomo_j3o.fleet.solving import solve_parts
from pyomo_j3o.fleet.sweeping import Case, Sweep, sweep

__all__ = ["Case", "FleetResult", "PartResult", "Round", "Sweep", "solve_parts", "sweep"]
