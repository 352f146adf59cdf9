"""Flows over a graph, annotated: arcs with fixed charges, and chains of virtual network functions.

Flow is conserved at every node, by rows whose coefficients have both signs. No row says "this customer's
shares add up to 1", so the onloading step has no demand groups to go by and looks at reduced costs instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyomo.environ as pyo
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from pyomo_j3o.core.checks import check_counts, check_positive, check_seed, check_share
from pyomo_j3o.library.building import distances, weighted
from pyomo_j3o.modeling.annotate import OffloadingBlock, OnloadingBlock

Arc = tuple[int, int]


def _draw_graph(rng: np.random.Generator, nodes: int, neighbours: int) -> tuple[np.ndarray, dict[Arc, float]]:
    """Draw a connected graph in the unit square: a shortest tree, and arcs both ways to nearest neighbours.

    Returns the predecessor of each node in the tree, by walking it from node 0 (-9999 at node 0 itself), and
    the arcs with their lengths.
    """
    point = rng.random((nodes, 2))
    away = distances(point, point)
    tree = minimum_spanning_tree(away)
    _, parent = breadth_first_order(tree, 0, directed=False)
    pairs = {tuple(sorted((n, int(parent[n])))) for n in range(1, nodes)}
    for n in range(nodes):
        pairs |= {tuple(sorted((n, int(k)))) for k in np.argsort(away[n])[1 : neighbours + 1]}
    arcs = sorted([(a, b) for a, b in pairs] + [(b, a) for a, b in pairs])
    return parent, {(a, b): float(away[a, b]) for a, b in arcs}


def fixed_charge_network(nodes: int = 12, seed: int = 0, neighbours: int = 3) -> pyo.ConcreteModel:
    """Build a network-design model: which arcs to pay for so that supplies reach demands at least cost.

    ::

        min  Σ_a f_a x_a + Σ_a c_a y_a
        s.t. Σ_(a out of n) y_a − Σ_(a into n) y_a = b_n    balance[n]
             y_a ≤ u_a x_a                                  capacity[a]

    The fixed-charge design problem of Magnanti and Wong's survey (1984) with one commodity. A quarter of the
    nodes supply goods, the others take them; an arc's fixed cost and unit cost grow with its length. A plan
    exists: the arcs of a shortest tree can carry everything.

    Parameters
    ----------
    nodes
        Their number, at least 2.
    seed
        Seed of the one random generator used.
    neighbours
        Every node has arcs both ways to this many of its nearest nodes.

    Returns
    -------
    pyomo.environ.ConcreteModel
        Holds ``place.x[a, b]``, ``route.y[a, b]`` (flow), the rows above and the objective ``cost``.

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    T. L. Magnanti, R. T. Wong. Network design and transportation planning: models and algorithms.
    Transportation Science 18(1), 1–55, 1984.
    """
    check_counts(nodes=nodes, neighbours=neighbours)
    if nodes < 2:
        raise ValueError(f"nodes={nodes!r}: goods need somewhere to go; give at least 2")
    check_seed(seed)
    rng = np.random.default_rng(seed)
    parent, length = _draw_graph(rng, nodes, neighbours)
    sources = max(1, nodes // 4)
    balance = np.concatenate([rng.uniform(5, 35, sources), -rng.uniform(5, 35, nodes - sources)])
    balance[:sources] *= -balance[sources:].sum() / balance[:sources].sum()
    balance = rng.permutation(balance)
    total = float(np.maximum(balance, 0).sum())
    capacity = {a: total * float(rng.uniform(0.2, 0.8)) for a in length}
    for n, flow in enumerate(_tree_flows(parent, balance)):
        if n:  # node 0 is the root
            up = (n, int(parent[n]))
            arc = up if flow > 0 else up[::-1]
            capacity[arc] = max(capacity[arc], 1.01 * abs(flow))
    fixed = {a: total * d * float(rng.uniform(0.5, 1.5)) for a, d in length.items()}
    b = balance.tolist()

    m = pyo.ConcreteModel(name="fixed-charge network")
    m.place = OnloadingBlock()
    m.place.x = pyo.Var(list(length), domain=pyo.Binary)
    m.route = OffloadingBlock()
    m.route.y = pyo.Var(list(length), bounds=(0, None))
    x, y = m.place.x, m.route.y
    m.balance = pyo.Constraint(range(nodes))
    for n in range(nodes):
        m.balance[n] = weighted((1.0 if a[0] == n else -1.0, y[a]) for a in length if n in a) == b[n]
    m.capacity = pyo.Constraint(list(length))
    for a in length:
        m.capacity[a] = weighted([(1.0, y[a]), (-capacity[a], x[a])]) <= 0
    m.cost = pyo.Objective(
        expr=weighted([*((fixed[a], x[a]) for a in length), *((d, y[a]) for a, d in length.items())])
    )
    return m


def _tree_flows(parent: np.ndarray, balance: np.ndarray) -> list[float]:
    """Return for every node what flows from it to its parent if all goods take the tree."""
    flow = balance.astype(float).tolist()
    children = {n: [c for c in range(1, len(flow)) if parent[c] == n] for n in range(len(flow))}
    order = [0]
    for n in order:
        order += children[n]
    for n in reversed(order[1:]):
        flow[int(parent[n])] += flow[n]
    return flow


def virtual_functions(
    nodes: int = 8,
    functions: int = 4,
    demands: int = 10,
    seed: int = 0,
    chain: int = 2,
    link_share: float = 0.25,
    cores: float = 8.0,
) -> pyo.ConcreteModel:
    """Build a network-function model: where to run which functions, and which way the traffic takes.

    ::

        max  Σ_d λ_d v_d − Σ_nf g_f x_nf − Σ_dsa ε λ_d l_a y_dsa
        s.t. flow of stage s into n, less that out of n,
             + done of the stage before at n − done of this stage at n
             + v_d if n is the source and s the first stage
             − v_d if n is the target and s the last          = 0     conservation[d, s, n]
             done_dsn ≤ x_nf       (f: the function after stage s)    link[d, s, n]
             Σ_ds λ_d done_dsn ≤ C x_nf                               instance[n, f]
             Σ_f k_f x_nf ≤ cores                                     cores[n]
             Σ_ds λ_d y_dsa ≤ L_a                                     bandwidth[a]

    A demand's traffic has to pass a chain of functions, in order, on its way. Stage s is the traffic after s
    functions: the graph exists once for every stage, and a function done at a node leads from one copy to the
    next. The share v_d of a demand that is carried earns its rate; functions and bandwidth cost. Cohen et al.
    (2015) treat the placement of network functions with guarantees.

    Parameters
    ----------
    nodes, functions, demands
        Their numbers; at least 2 nodes.
    seed
        Seed of the one random generator used.
    chain
        How many functions a demand has to pass, at most `functions`.
    link_share
        What an arc carries at most, as a share of all demands' rates together, above 0 and below 1.
    cores
        Cores of every node, positive; a function takes 1 to 4.

    Returns
    -------
    pyomo.environ.ConcreteModel
        Holds ``place.x[node, function]``, ``route.served[demand]`` (v), ``route.flow[demand, stage, a, b]``
        and ``route.done[demand, stage, node]``, all three shares of the demand, the rows above, the demands
        as the attribute ``demands`` (source, target, chain, rate) and the objective ``profit`` (maximised).

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    R. Cohen, L. Lewin-Eytan, J. S. Naor, D. Raz. Near optimal placement of virtual network functions.
    IEEE INFOCOM 2015, 1346–1354.
    """
    check_counts(nodes=nodes, functions=functions, demands=demands, chain=chain)
    if nodes < 2:
        raise ValueError(f"nodes={nodes!r}: traffic needs somewhere to go; give at least 2")
    if chain > functions:
        raise ValueError(f"chain={chain!r}: there are {functions} functions; give at most that many")
    check_share("link_share", link_share)
    check_positive("cores", cores)
    check_seed(seed)
    rng = np.random.default_rng(seed)
    _, length = _draw_graph(rng, nodes, 2)
    drawn = _draw_functions(rng, nodes, functions, demands, chain)

    m = pyo.ConcreteModel(name="virtual network functions")
    m.demands = drawn.demands
    m.place = OnloadingBlock()
    m.place.x = pyo.Var(range(nodes), range(functions), domain=pyo.Binary)
    m.route = OffloadingBlock()
    m.route.served = pyo.Var(range(demands), bounds=(0, 1))
    m.route.flow = pyo.Var(
        [(d, s, *a) for d in range(demands) for s in range(chain + 1) for a in length], bounds=(0, 1)
    )
    m.route.done = pyo.Var(range(demands), range(chain), range(nodes), bounds=(0, 1))
    m.conservation = pyo.Constraint(range(demands), range(chain + 1), range(nodes))
    for stage in m.conservation.index_set():
        m.conservation[stage] = weighted(_conserved(m, list(length), chain, *stage)) == 0
    _add_functions(m, drawn, cores)
    m.bandwidth = pyo.Constraint(list(length))
    for a in length:
        carried = weighted(
            (drawn.rates[d], m.route.flow[d, s, *a]) for d in range(demands) for s in range(chain + 1)
        )
        m.bandwidth[a] = carried <= link_share * sum(drawn.rates)
    m.profit = pyo.Objective(expr=_profit(m, drawn, length), sense=pyo.maximize)
    return m


class _Functions(NamedTuple):
    """The demands and the functions of a network.

    Attributes
    ----------
    demands
        Source, target, chain of functions and rate of each demand.
    rates
        Their rates.
    takes, price
        Per function: the cores that it takes, and what it costs to run it.
    """

    demands: list[tuple[int, int, tuple[int, ...], float]]
    rates: list[float]
    takes: list[float]
    price: list[float]


def _draw_functions(
    rng: np.random.Generator, nodes: int, functions: int, demands: int, chain: int
) -> _Functions:
    ends = [rng.choice(nodes, 2, replace=False).tolist() for _ in range(demands)]
    chains = [rng.choice(functions, chain, replace=False).tolist() for _ in range(demands)]
    rates = rng.uniform(5, 35, demands).tolist()
    wanted = [(a, b, tuple(fs), rate) for (a, b), fs, rate in zip(ends, chains, rates, strict=True)]
    takes = rng.uniform(1, 4, functions).tolist()
    price = (0.05 * sum(rates) * rng.uniform(0.5, 1.5, functions)).tolist()
    return _Functions(wanted, rates, takes, price)


def _conserved(m: Any, arcs: Sequence[Arc], chain: int, d: int, s: int, n: int) -> list[tuple[float, Any]]:
    """Return the terms of demand d's traffic at stage s in node n: what comes less what leaves."""
    served, flow, done = m.route.served, m.route.flow, m.route.done
    source, target, _, _ = m.demands[d]
    terms = [(1.0 if a[1] == n else -1.0, flow[d, s, *a]) for a in arcs if n in a]
    if s > 0:
        terms.append((1.0, done[d, s - 1, n]))
    if s < chain:
        terms.append((-1.0, done[d, s, n]))
    if s == 0 and n == source:
        terms.append((1.0, served[d]))
    if s == chain and n == target:
        terms.append((-1.0, served[d]))
    return terms


def _add_functions(m: Any, drawn: _Functions, cores: float) -> None:
    """Add the rows of what is done at a node: only what runs there, within its capacity and its cores."""
    x, done = m.place.x, m.route.done
    m.link = pyo.Constraint(done.index_set())
    at: dict[tuple[int, int], list[tuple[float, Any]]] = {}
    for d, s, n in done:
        _, _, functions, rate = drawn.demands[d]
        m.link[d, s, n] = weighted([(1.0, done[d, s, n]), (-1.0, x[n, functions[s]])]) <= 0
        at.setdefault((n, functions[s]), []).append((rate, done[d, s, n]))
    m.instance = pyo.Constraint(x.index_set())
    for key, terms in at.items():
        m.instance[key] = weighted([*terms, (-0.4 * sum(drawn.rates), x[key])]) <= 0
    nodes = range(1 + max(n for n, _ in x))
    m.cores = pyo.Constraint(nodes)
    for n in nodes:
        m.cores[n] = weighted((cores_taken, x[n, f]) for f, cores_taken in enumerate(drawn.takes)) <= cores


def _profit(m: Any, drawn: _Functions, length: dict[Arc, float]) -> Any:
    """Return what the traffic carried earns, less what functions and bandwidth cost."""
    x, served, flow = m.place.x, m.route.served, m.route.flow
    return weighted(
        [
            *((drawn.rates[d], served[d]) for d in served),
            *((-drawn.price[f], x[n, f]) for n, f in x),
            *((-0.1 * drawn.rates[d] * length[a, b], flow[d, s, a, b]) for d, s, a, b in flow),
        ]
    )
