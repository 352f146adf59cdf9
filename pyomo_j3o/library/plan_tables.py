"""A plan read back from a solved model as tables: what sits where, who answers, how full it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pyomo_j3o.core.table import NOISE, Table
from pyomo_j3o.library.data import CLOUD, InferenceData, Option
from pyomo_j3o.reporting import report

if TYPE_CHECKING:
    from pyomo.core.base.block import BlockData


def system_of(model: BlockData) -> InferenceData | None:
    """Return the system that `build_model` or `build_multi_edge` wrote a model of; None for other models."""
    data = getattr(model, "data", None)
    return data if isinstance(data, InferenceData) else None


def read_plan(model: BlockData, by_way: bool = False) -> tuple[InferenceData, dict[Option, float]]:
    """Read the routing of a solved model, and the description that it is to be read against.

    Parameters
    ----------
    model
        A model of `pyomo_j3o.library.build_model` or `build_multi_edge`, solved.
    by_way
        Whether options in the cloud stay apart by the edge server on the way, which their last entry names.
        Otherwise their shares are added up, and their last entry is ``"cloud"``.

    Returns
    -------
    InferenceData
        The system that the model was built from.
    dict
        By option (client, task, node, model), the share of the client's queries for the task that it answers.
        In the product form an option whose model is not onloaded answers none, whatever its y is.

    Raises
    ------
    ValueError
        If the model is not one of the library's, or has not been solved.
    """
    data = system_of(model)
    if data is None:
        name = getattr(model, "name", repr(model))
        raise ValueError(
            f"{name}: not a model of pyomo_j3o.library.hierarchical, so there is no description to read the "
            "plan against; build it with pyomo_j3o.library.build_model"
        )
    x, y = model.place.x, model.route.y
    shares = {h: _value(v) for h, v in y.items()}
    if model.component("link") is None:
        # The product form: nothing keeps y at 0 where its model is not onloaded.
        shares = {h: share if h[2] == CLOUD else share * _value(x[h[2:]]) for h, share in shares.items()}
    if by_way:
        return data, shares
    merged: dict[Option, float] = {}
    for h, share in shares.items():
        whole = (*h[:3], CLOUD) if h[2] == CLOUD else h
        merged[whole] = merged.get(whole, 0.0) + share
    return data, merged


def checked_shares(shares: dict[Option, float]) -> dict[Option, float]:
    """Return the shares of a plan without those that are 0 up to a solver's tolerance.

    Parameters
    ----------
    shares
        As `read_plan` returns them.

    Returns
    -------
    dict
        Those above 1e-6.

    Raises
    ------
    ValueError
        If one is below 0, above 1 or NaN, or those of one client and task add up to more than 1.
    """
    total: dict[tuple[str, str], float] = {}
    for option, share in shares.items():
        if not -NOISE <= share <= 1 + NOISE:
            raise ValueError(
                f"route.y[{','.join(option)}]: {share:g} is no share of queries, which lies between 0 and 1; "
                "solve the model again, or mend the values set by hand"
            )
        total[option[:2]] = total.get(option[:2], 0.0) + share
    for (client, task), served in total.items():
        if served > 1 + NOISE:
            raise ValueError(
                f"route.y[{client},{task},:,:]: shares add up to {served:.7g}, and must not exceed 1; "
                "solve the model again, or mend the values set by hand"
            )
    return {option: share for option, share in shares.items() if share > NOISE}


def placement_table(model: BlockData) -> Table:
    """Which models sit where, and how much each is used.

    Parameters
    ----------
    model
        A model of `pyomo_j3o.library.build_model` or `build_multi_edge`, solved. Of any other model it is the
        table ``placed`` of `pyomo_j3o.report`.

    Returns
    -------
    Table
        One row per onloaded model: ``node``, ``level`` (client or edge), ``model``, ``memory`` (in the data's
        ``memory_unit``) and ``queries`` (queries/s that it answers). A node that holds nothing has no row.

    Raises
    ------
    ValueError
        If the model has not been solved.
    """
    if system_of(model) is None:
        return report(model).placed
    data, shares = read_plan(model)
    answered: dict[tuple[str, str], float] = {}
    for (_, _, node, name), rate, share in _rates(data, shares):
        answered[node, name] = answered.get((node, name), 0.0) + rate * share
    footprint = dict(zip(data.models, data.memory.tolist(), strict=True))
    # Solvers return 0 and 1 up to a tolerance.
    rows = [
        {
            "node": node,
            "level": _level(data, node),
            "model": name,
            "memory": footprint[name],
            "queries": answered.get((node, name), 0.0),
        }
        for (node, name), x in model.place.x.items()
        if _value(x) > 0.5
    ]
    return Table(("node", "level", "model", "memory", "queries"), rows)


def routing_table(model: BlockData) -> Table:
    """Where each task's queries are answered, and how well.

    Parameters
    ----------
    model
        A model of `pyomo_j3o.library.build_model` or `build_multi_edge`, solved. Of any other model it is the
        table ``routed`` of `pyomo_j3o.report`.

    Returns
    -------
    Table
        One row per task that has load, and a last one ``all``: ``task``, ``load`` (queries/s), the shares
        ``client``, ``edge``, ``cloud``, ``dropped`` of that load (they sum to 1), and ``accuracy``, the mean
        over all its queries with 0 for those dropped. The accuracy in the row ``all`` is the objective.

    Raises
    ------
    ValueError
        If the model has not been solved.
    """
    if system_of(model) is None:
        return report(model).routed
    data, shares = read_plan(model)
    worth = {
        (name, task): a
        for name, row in zip(data.models, data.accuracy.tolist(), strict=True)
        for task, a in zip(data.tasks, row, strict=True)
    }
    worth |= {(CLOUD, task): a for task, a in zip(data.tasks, data.cloud_accuracy.tolist(), strict=True)}
    at = {task: dict.fromkeys(("client", "edge", "cloud", "accuracy"), 0.0) for task in data.tasks}
    for (_, task, node, name), rate, share in _rates(data, shares):
        at[task][_level(data, node)] += rate * share
        at[task]["accuracy"] += rate * share * worth[name, task]
    load = dict(zip(data.tasks, data.load.sum(axis=0).tolist(), strict=True))
    at["all"] = {key: sum(at[task][key] for task in data.tasks) for key in at[data.tasks[0]]}
    load["all"] = data.total_load
    rows = []
    for task, amounts in at.items():
        if load[task] > 0:
            part = {key: amount / load[task] for key, amount in amounts.items()}
            dropped = max(0.0, 1.0 - part["client"] - part["edge"] - part["cloud"])
            rows.append({"task": task, "load": load[task], **part, "dropped": dropped})
    return Table(("task", "load", "client", "edge", "cloud", "dropped", "accuracy"), rows)


def budget_table(model: BlockData) -> Table:
    """How full each budget is.

    Parameters
    ----------
    model
        A model of `pyomo_j3o.library.build_model` or `build_multi_edge`, solved. Of any other model it is the
        table ``rows`` of `pyomo_j3o.report`, without links, demands and equations.

    Returns
    -------
    Table
        Three rows per node: ``node``, ``level``, ``kind`` (memory, compute or uplink), ``used``, ``budget``,
        ``share`` (used over budget; 0 where there is no limit or nothing is used) and ``unit``. An edge
        server with a window has three more, in seconds of its mean window: ``set-up`` of the batches,
        ``queries``, and ``window``, which is both together. Times are those of the part of the processor that
        the models get (ν/β, τ/β), and the budget is the window less its headroom.

    Raises
    ------
    ValueError
        If the model has not been solved.
    """
    if system_of(model) is None:
        return report(model).budgets
    data, shares = read_plan(model, by_way=True)
    used, answered = _use_of_budgets(model, data, shares)
    units = {"memory": data.memory_unit, "compute": "s/s", "uplink": f"{data.payload_unit}/s"}
    columns = ("node", "level", "kind", "used", "budget", "share", "unit")
    rows = []
    for n, node in enumerate(data.nodes):
        amounts = [
            (kind, used[node, kind], float(getattr(data, f"{kind}_budget")[n]), unit)
            for kind, unit in units.items()
        ]
        if node in data.windows:
            room = data.windows[node]
            if model.component("batch") is not None and node in model.batch:
                room *= 1.0 - float(model.batch[node].headroom())
            fill = _window_fill(data, node, answered)
            amounts += [(kind, amount, room, "s") for kind, amount in fill.items()]
        for kind, amount, budget, unit in amounts:
            share = amount / budget if budget > 0 else 0.0
            row = (node, _level(data, node), kind, amount, budget, share, unit)
            rows.append(dict(zip(columns, row, strict=True)))
    return Table(columns, rows)


def _use_of_budgets(
    model: BlockData, data: InferenceData, shares: dict[Option, float]
) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], float]]:
    """Return what is used by node and kind of budget, and the queries/s answered by node and model."""
    used = {(node, kind): 0.0 for node in data.nodes for kind in ("memory", "compute", "uplink")}
    answered: dict[tuple[str, str], float] = {}
    footprint = dict(zip(data.models, data.memory.tolist(), strict=True))
    for (node, name), x in model.place.x.items():
        used[node, "memory"] += footprint[name] * _value(x)
    seconds = {
        (node, name): s
        for node, row in zip(data.nodes, data.service_time.tolist(), strict=True)
        for name, s in zip(data.models, row, strict=True)
    }
    size = dict(zip(data.tasks, data.query_size.tolist(), strict=True))
    home = dict(zip(data.clients, data.edge_of, strict=True))
    for (client, task, node, name), rate, share in _rates(data, shares):
        if node == CLOUD:
            used[home[client] if name == CLOUD else name, "uplink"] += rate * share * size[task]
        else:
            used[node, "compute"] += rate * share * seconds[node, name]
            answered[node, name] = answered.get((node, name), 0.0) + rate * share
        if node != client:
            used[client, "uplink"] += rate * share * size[task]
    return used, answered


def _window_fill(data: InferenceData, edge: str, answered: dict[tuple[str, str], float]) -> dict[str, float]:
    """Return the seconds that set-ups, queries and both take of a window, given the queries/s answered."""
    setup, per_query = data.batch_times(edge)
    # What is smaller than any solver's tolerance is no batch.
    rates = {name: rate for (node, name), rate in answered.items() if node == edge and rate > NOISE}
    setups = sum(setup[name] for name in rates)
    queries = sum(per_query[name] * data.windows[edge] * rate for name, rate in rates.items())
    return {"set-up": setups, "queries": queries, "window": setups + queries}


def _value(variable: Any) -> float:
    if variable.value is None:
        raise ValueError(
            f"{variable.name} has no value; solve the model first, and check that a plan was found"
        )
    return variable.value


def _rates(data: InferenceData, shares: dict[Option, float]) -> Iterator[tuple[Option, float, float]]:
    rate = {
        (client, task): r
        for client, row in zip(data.clients, data.load.tolist(), strict=True)
        for task, r in zip(data.tasks, row, strict=True)
    }
    for h, share in shares.items():
        yield h, rate[h[:2]], share


def _level(data: InferenceData, node: str) -> str:
    if node == CLOUD:
        return "cloud"
    return "edge" if node in data.edges else "client"
