"""A small marked model, and what its rows and its objective become."""

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o.core.problem import OBJECTIVE
from pyomo_j3o.modeling.annotate import annotate
from pyomo_j3o.modeling.compiler import compile_model


def tiny():
    """Return two onloading and three offloading variables, marked; an empty objective."""
    m = pyo.ConcreteModel("tiny")
    m.x = pyo.Var([1, 2], domain=pyo.Binary)
    m.y = pyo.Var([1, 2, 3], bounds=(0, 1))
    m.p = pyo.Param(initialize=5.0, mutable=True)
    annotate(m, onloading=m.x, offloading=m.y)
    m.gain = pyo.Objective(expr=0, sense=pyo.maximize)
    return m


def row(problem, inverse, constraint):
    """Return what one constraint became: {variable or (x, y) names: coefficient}."""
    return terms_of(problem, inverse, inverse.rows.index(constraint))


def objective(problem, inverse):
    """Return what the objective became, without its constant."""
    return terms_of(problem, inverse, OBJECTIVE)


def terms_of(problem, inverse, number):
    """Return the terms of a row by its number: {variable or (x, y) names: coefficient}."""
    found = {}
    for variables, rows, costs in (
        (inverse.onloading, problem.onloading_rows, problem.onloading_objective),
        (inverse.offloading, problem.offloading_rows, problem.offloading_objective),
    ):
        numbers = costs if number == OBJECTIVE else rows[[number]].toarray()[0]
        found |= {v.name: c for v, c in zip(variables, numbers, strict=True) if c}
    products = problem.products
    for i in np.flatnonzero(products.row == number):
        x, y = inverse.onloading[products.onloading[i]], inverse.offloading[products.offloading[i]]
        assert (x.name, y.name) not in found
        found[x.name, y.name] = products.coefficient[i]
    return found


def compiled_row(m, expression):
    """Return the terms of ``expression <= 100`` and the bound that its constant leaves."""
    m.c = pyo.Constraint(expr=expression <= 100)
    problem, inverse = compile_model(m)
    return row(problem, inverse, m.c), problem.row_upper[0]
