"""A plan played query by query: what happens to it where arrivals are random.

From top to bottom: `headroom` looks for the room that a plan needs to keep its promise. `discrete_events`
plays a plan. Below it, `arrivals` says when queries come, `serving` runs them on a node, and `delivery`
holds what came of them; `deadlines` says which answers are late. `window_work` computes in closed form the
work that a window collects, and `in_turn` how long queries wait on a node that runs them one by one.
"""

from pyomo_j3o.simulation.arrivals import MMPP, ArrivalProcess, Poisson, Recorded
from pyomo_j3o.simulation.delivery import Queries, Simulation, Windows
from pyomo_j3o.simulation.discrete_events import simulate

__all__ = ["MMPP", "ArrivalProcess", "Poisson", "Queries", "Recorded", "Simulation", "Windows", "simulate"]
