"""A small model in which everything may change, and edits of it."""

from __future__ import annotations

import pyomo.environ as pyo

from pyomo_j3o import annotate

NODES = [1, 2, 3]


def mutable_model() -> pyo.ConcreteModel:
    """Return a small model in which everything may change: Params stand wherever Pyomo takes them."""
    m = pyo.ConcreteModel("mutable")
    m.x = pyo.Var(NODES, domain=pyo.Binary)
    m.y = pyo.Var(NODES, bounds=(0, 1))
    m.z = pyo.Var(bounds=(0, 5))
    m.idle = pyo.Var(bounds=(0, 5))
    m.p = pyo.Param(NODES, initialize={1: 1.5, 2: 0.3, 3: 2.0}, mutable=True, within=pyo.Any)
    m.cap = pyo.Param(initialize=2.0, mutable=True, within=pyo.Any)
    m.q = pyo.Param(initialize=1.0, mutable=True)
    m.spare = pyo.Param(initialize=0.5, mutable=True)
    m.y[3].setub(m.q)
    m.work = pyo.Expression(NODES)
    for i in NODES:
        m.work[i] = m.p[i] * m.y[i] + 0.1 * m.z
    m.total = pyo.Expression(expr=sum(m.work[i] for i in NODES) + m.q)
    m.link = pyo.Constraint(NODES)
    for i in NODES:
        m.link[i] = m.y[i] <= m.x[i]
    m.memory = pyo.Constraint(expr=sum(m.p[i] * m.x[i] for i in NODES) <= m.cap)
    m.compute = pyo.Constraint(expr=m.total <= 4 * m.cap)
    m.products = pyo.Constraint(expr=m.x[1] * (m.p[2] * m.y[1] + m.y[2]) + m.z <= m.cap + 3)
    m.bilinear = pyo.Constraint(expr=0.3 * (m.x[2] * m.y[2]) + m.q * (m.x[3] * m.y[3]) <= m.z + 7)
    m.range = pyo.Constraint(expr=pyo.inequality(-m.cap, m.y[1] - m.y[2] + 0.1, m.cap))
    m.need = pyo.Param(initialize=0.0, mutable=True)
    m.demand = pyo.Constraint(expr=m.y[1] + m.y[2] >= m.need)
    m.sub = pyo.Block()
    m.sub.row = pyo.Constraint(expr=m.total * 0.5 + m.x[1] >= -3)
    m.gain = pyo.Objective(expr=m.total + sum(m.y[i] for i in NODES) - m.q * m.z, sense=pyo.maximize)
    m.other = pyo.Objective(expr=m.p[1] * m.z + m.x[1] * m.y[1], sense=pyo.minimize)
    m.other.deactivate()
    annotate(m, onloading=m.x, offloading=[m.y, m.z, m.idle])
    return m


def _swap_objectives(m: pyo.ConcreteModel) -> None:
    for objective in (m.gain, m.other):
        if objective.active:
            objective.deactivate()
        else:
            objective.activate()


def _toggle_row(m: pyo.ConcreteModel, name: str) -> None:
    row = m.component(name)
    if row.active:
        row.deactivate()
    else:
        row.activate()


def _extra_row(m: pyo.ConcreteModel, i: int, number: float) -> None:
    if m.component("extra") is None:
        m.extra = pyo.Constraint(expr=m.p[i] * m.y[i] + number * m.z <= 9)
    else:
        m.del_component(m.extra)


def _extra_variable(m: pyo.ConcreteModel, number: float) -> None:
    if m.component("late") is None:
        m.late = pyo.Var(bounds=(0, 1))
        m.j3o_role[m.late] = "offloading"
        m.late_row = pyo.Constraint(expr=m.late + m.y[1] <= 1 + number)
    else:
        m.del_component(m.late_row)
        del m.j3o_role[m.late]
        m.del_component(m.late)


def _remark(m: pyo.ConcreteModel) -> None:
    """Say of z that it is onloading, which it cannot be, or take that back."""
    m.j3o_role[m.z] = "offloading" if m.j3o_role[m.z] == "onloading" else "onloading"


def _fix(variable: pyo.Var, number: float) -> None:
    variable.fix(number, skip_validation=True)


#: Edits by name: what is done to the model with a node and a number.
EDITS = {
    "parameter": lambda m, i, a: m.p[i].set_value(a),
    "side": lambda m, i, a: m.cap.set_value(a),
    "side infinite": lambda m, i, a: m.cap.set_value(float("inf")),
    "side of an expression": lambda m, i, a: m.cap.set_value(m.q + a),
    "bound by Param": lambda m, i, a: m.q.set_value(a),
    "demand": lambda m, i, a: m.need.set_value(a),
    "fix x": lambda m, i, a: _fix(m.x[i], float(a > 0.5)),
    "unfix x": lambda m, i, a: m.x[i].unfix(),
    "fix y": lambda m, i, a: _fix(m.y[i], a),
    "unfix y": lambda m, i, a: m.y[i].unfix(),
    "value of a free variable": lambda m, i, a: m.y[i].set_value(a, skip_validation=True),
    "bounds": lambda m, i, a: m.y[i].setub(a),
    "bound by another Param": lambda m, i, a: m.y[i].setub(m.spare),
    "bound by an expression": lambda m, i, a: m.z.setub(5 + a * m.spare),
    "spare": lambda m, i, a: m.spare.set_value(a),
    "crossing bounds": lambda m, i, a: m.z.setlb(a),
    "domain": lambda m, i, a: setattr(m.idle, "domain", pyo.NonNegativeIntegers if a > 0.5 else pyo.Reals),
    "domain of z": lambda m, i, a: setattr(m.z, "domain", pyo.Integers if a > 2 else pyo.Reals),
    "sense": lambda m, i, a: m.gain.set_sense(-m.gain.sense),
    "objective swapped": lambda m, i, a: _swap_objectives(m),
    "objective expression": lambda m, i, a: m.gain.set_value(m.total * a + m.y[i]),
    "two objectives": lambda m, i, a: m.other.activate(),
    "named expression": lambda m, i, a: m.work[i].set_value(a * m.y[i] + 0.2 * m.z),
    "named, other variables": lambda m, i, a: m.work[i].set_value(a * m.y[1] + m.idle),
    "row deactivated": lambda m, i, a: _toggle_row(m, "compute"),
    "product row deactivated": lambda m, i, a: _toggle_row(m, "products"),
    "row's expression": lambda m, i, a: m.link[i].set_value(2 * m.y[i] <= (2 + a) * m.x[i]),
    "row's variables": lambda m, i, a: m.link[i].set_value(m.y[1] + a * m.y[i] <= 9 * m.x[i]),
    "row added": _extra_row,
    "variable added": lambda m, i, a: _extra_variable(m, a),
    "block": lambda m, i, a: _toggle_row(m, "sub"),
    "marks": lambda m, i, a: _remark(m),
    "nan": lambda m, i, a: m.p[i].set_value(float("nan")),
}


def mend(m: pyo.ConcreteModel) -> None:
    """Take back what makes a model one that no solver takes."""
    for i in NODES:
        m.p[i] = 1.0 + 0.25 * i
    m.q, m.cap = 1.0, 2.0
    m.other.deactivate()
    m.gain.activate()
    m.j3o_role[m.z] = "offloading"
    m.z.domain = pyo.Reals
    m.z.setlb(0)
