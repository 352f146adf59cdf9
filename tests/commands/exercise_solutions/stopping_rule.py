"""Exercise 2 (45 minutes): a stopping rule.

A stopping rule gets the trace, one record for each iteration so far, and returns whether to stop. It keeps no
state: the same trace gives the same answer. A record has, among others,

    record.incumbent   objective of the best plan so far; infinite before there is one
    record.bound       proven: no plan is better than this

and a model may be maximised or minimised.
"""

import pyomo.environ as pyo

from pyomo_j3o import library


def part_closed(trace, patience):
    """Return which part of the gap the last `patience` iterations have closed, from 0 to 1.

    That is |incumbent now - incumbent then| / |bound now - incumbent then|. Then is `patience` records before
    the last one. Return 1 where nothing can be said: the trace is too short, or there was no plan then.
    Return 0 if there was no gap left then.
    """
    if len(trace) <= patience:
        return 1
    now, then = trace[-1], trace[-1 - patience]
    if abs(then.incumbent) == float("inf"):
        return 1
    gap = abs(now.bound - then.incumbent)
    return abs(now.incumbent - then.incumbent) / gap if gap > 0 else 0


def patient(patience, part):
    """Return a rule that stops when `patience` iterations have closed less than this part of the gap."""
    return lambda trace: part_closed(trace, patience) < part


def my_rule(trace):
    """Stop when three iterations have closed less than 5 % of the gap."""
    return patient(3, 0.05)(trace)


def iterations_with(rule):
    """Return how many iterations a solve with this rule takes, and the objective that it reaches.

    The model is ``library.taskonomy(clients=5, edges=1, seed=1, droppable=True)``, and the solver is j3o with
    effort="alternation". See `results.j3o.extra_info.trace` and `results.j3o.incumbent_objective`.
    """
    model = library.taskonomy(clients=5, edges=1, seed=1, droppable=True)
    solver = pyo.SolverFactory("j3o", effort="alternation", stop=rule)
    results = solver.solve(model).j3o
    return len(results.extra_info.trace), results.incumbent_objective
