"""From a solved model to a plan in plain data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import pyomo.environ as pyo

from pyomo_j3o.core.checks import is_number
from pyomo_j3o.core.table import NOISE
from pyomo_j3o.deploy.components import Components, PlannedBatch, components_of
from pyomo_j3o.deploy.params import PARAMS
from pyomo_j3o.deploy.records import Deployment, Destination, LoadedModel, Node, Route
from pyomo_j3o.errors import DeployError
from pyomo_j3o.modeling.naming import beginning, the_model

if TYPE_CHECKING:
    from pyomo.core.base.block import BlockData

#: Conditions of classic results that come without a plan.
_WITHOUT_PLAN = {"infeasible", "unbounded", "infeasibleOrUnbounded", "invalidProblem", "noSolution", "error"}


def read_deployment(model: BlockData, results: Any, components: Components | None = None) -> Deployment:
    """Read the plan of a solved model as plain data, for servers.

    Parameters
    ----------
    model
        The model, solved, with its solution loaded.
    results
        What the solve returned, in the classic interface or the new one.
    components
        What the parts of the model mean; not needed for `pyomo_j3o.library.build_model`,
        `build_multi_edge` and `replicas`.

    Returns
    -------
    Deployment

    Raises
    ------
    DeployError
        If the results hold no plan, the model does not hold that plan, a value is no plan, or nothing says
        what the model's parts mean.
    """
    _require_plan(model, results)
    own = components is not None  # then nobody but the user knows what the plan counts on
    components = components_of(model) if components is None else components
    _require_loaded(model, results)
    copies = {key: _copies(variable) for key, variable in components.placed.items()}
    rates = {key: _at_least_0(rate, "rates", key) for key, rate in components.rates.items()}
    shares = _shares(components, copies)
    windows = {node: _window(node, given) for node, given in components.windows.items()}
    answered: dict[tuple[str, str], float] = {}
    for option, share in shares.items():
        answered[option[2:]] = answered.get(option[2:], 0.0) + rates[option[:2]] * share
    clients = {client for client, _ in rates}
    loaded: dict[str, list[LoadedModel]] = {node: [] for node, _ in copies}
    used = dict.fromkeys(components.gpus, 0)
    for (node, name), count in copies.items():
        if count > 0:
            rate, batch = answered.get((node, name), 0.0), components.batches.get((node, name))
            one = _loaded(name, count, rate, windows.get(node), batch)
            if node in used:
                one = replace(one, gpus=tuple(range(used[node], used[node] + count)))
                used[node] += count
            loaded[node].append(one)
    nodes = []
    for node, models in loaded.items():
        window = windows.get(node)
        length, headroom = (None, None) if window is None else (window.length, window.headroom)
        nodes.append(Node(node, node in clients, length, headroom, tuple(models)))
    notes = tuple(_notes(nodes)) if own else ()
    return Deployment(str(model.name), tuple(nodes), _routes(rates, shares), notes)


def _notes(nodes: list[Node]) -> Iterator[str]:
    """Yield a sentence for each node that a server would run in another way than a plan may count on."""
    for node in nodes:
        shared = [model for model in node.models if model.instances > 1 and not model.gpus]
        if shared:
            yield (
                f"The copies of {_list_of(shared)} on {node.name!r} take turns on one processor, so they "
                "answer no more queries than one copy does; if each copy has a GPU of its own, name the node "
                "in Components(gpus=...)."
            )
        single = [model for model in node.models if model.wait is None]
        if any(model.instances > 1 or model.gpus for model in single):
            yield (
                f"On {node.name!r}, {_list_of(single)} will answer one query at a time; if the plan counts "
                "on batches, give Components(batches=...) or windows."
            )


def _list_of(models: list[LoadedModel]) -> str:
    return ", ".join(repr(model.name) for model in models)


class _Window(NamedTuple):
    """Length in s, headroom, and by model ν and τ in s."""

    length: float
    headroom: float
    setup: dict[Any, float]
    per_query: dict[Any, float]


def _require_plan(model: BlockData, results: Any) -> None:
    """Raise a `DeployError` if the results are none, or come without a plan."""
    results = getattr(results, "j3o", results)
    if hasattr(results, "solution_status"):
        found = getattr(results.solution_status, "name", "") in ("optimal", "feasible")
    elif hasattr(results, "solver"):
        found = str(results.solver.termination_condition) not in _WITHOUT_PLAN
    else:
        raise DeployError(
            f"results={results!r}: is not what a solve returns; solve the model, and give its results"
        )
    if not found:
        raise DeployError(
            f"{beginning(the_model(model))} was solved without finding a plan, so there is nothing to "
            "export; the message of the results says why"
        )


def _require_loaded(model: BlockData, results: Any) -> None:
    """Raise a `DeployError` if the model holds values other than those that the results speak of."""
    results = getattr(results, "j3o", results)
    expected = getattr(results, "incumbent_objective", None)
    if getattr(getattr(results, "extra_info", None), "objective_without_moves", None) is not None:
        expected = results.extra_info.objective_without_moves
    objectives = list(model.component_data_objects(pyo.Objective, active=True))
    if expected is None or len(objectives) != 1:
        return
    value = pyo.value(objectives[0], exception=False)
    if value is None:
        raise DeployError(
            f"{beginning(the_model(model))} has variables without a value; solve it first, and load the "
            "solution"
        )
    if abs(value - expected) > PARAMS.stale * max(1.0, abs(value), abs(expected)):
        raise DeployError(
            f"{beginning(the_model(model))} does not hold the plan of the results: its objective is "
            f"{value:g}, and theirs {expected:g}; load the solution, or solve again after a change"
        )


def _number(given: Any) -> float:
    try:
        value = pyo.value(given, exception=False)
        if value is not None:
            return float(value)
    except (TypeError, ValueError):
        raise DeployError(f"{given!r} is no number; give one, or a Pyomo variable or expression") from None
    raise DeployError(f"{given} has no value; solve the model first, and load the solution")


def _at_least_0(given: Any, name: str, key: Any) -> float:
    number = _number(given)
    if not 0 <= number < math.inf:
        raise DeployError(f"{name}[{key!r}] is {number:g}; give a finite number of at least 0")
    return number


def _copies(variable: Any) -> int:
    """Return how often a model is loaded."""
    value = _number(variable)
    count = round(value) if math.isfinite(value) else -1
    if count < 0 or abs(value - count) > PARAMS.fractional:
        raise DeployError(
            f"{variable} is {value:g}, which is no number of copies; solve the model again, or mend the "
            "values set by hand"
        )
    return count


def _shares(
    components: Components, copies: dict[tuple[str, str], int]
) -> dict[tuple[str, str, str, str], float]:
    """Return the shares above a solver's tolerance, by option."""
    shares, total = {}, dict.fromkeys(components.rates, 0.0)
    for option, given in components.routed.items():
        share = _number(given)
        if not -NOISE <= share <= 1 + NOISE:
            raise DeployError(
                f"{given} is {share:g}, which is no share of queries; solve the model again, or mend the "
                "values set by hand"
            )
        total[option[:2]] += share
        if share > NOISE:
            if copies.get(option[2:], 1) == 0:
                raise DeployError(
                    f"{given} is {share:g}, but {option[2]!r} does not load {option[3]!r}; solve the model "
                    "again, or mend the values set by hand"
                )
            shares[option] = min(share, 1.0)
    for (client, task), served in total.items():
        if served > 1 + NOISE:
            raise DeployError(
                f"The shares of {client!r} and {task!r} add up to {served:.7g}, and must not exceed 1; solve "
                "the model again, or mend the values set by hand"
            )
    return shares


def _window(node: str, given: Any) -> _Window:
    """Return a window that is given as a `BatchingWindow` or as a number."""
    if hasattr(given, "utilisation"):
        setup, per_query = (
            {model: _number(times[model]) for model in times} for times in (given.setup, given.per_query)
        )
        window = _Window(_number(given.length), _number(given.headroom), setup, per_query)
    elif is_number(given) or (hasattr(given, "is_numeric_type") and given.is_numeric_type()):
        window = _Window(_number(given), 0.0, {}, {})
    else:
        raise DeployError(
            f"windows[{node!r}]={given!r}: is no window; give a filled BatchingWindow, or seconds"
        )
    if not 0 < window.length < math.inf:
        raise DeployError(
            f"windows[{node!r}]: {window.length:g} s is no window; give seconds above 0, or take the window "
            "out"
        )
    return window


def _loaded(
    name: str, instances: int, rate: float, window: _Window | None, batch: PlannedBatch | None
) -> LoadedModel:
    if batch is not None:
        wait = batch.setup + batch.per_query * batch.size
        mean, size = wait * rate / instances, int(batch.size)
        return LoadedModel(name, instances, rate, mean, size, batch.setup, batch.per_query, wait)
    if window is None:
        return LoadedModel(name, instances, rate, None, 1)
    mean = window.length * rate / instances
    # A product that is whole up to rounding is that whole number.
    largest = max(1, math.ceil(mean * (1 + window.headroom) * (1 - 1e-9)))
    return LoadedModel(
        *(name, instances, rate, mean, largest),
        *(window.setup.get(name), window.per_query.get(name)),
        window.length,
    )


def _routes(
    rates: dict[tuple[str, str], float], shares: dict[tuple[str, str, str, str], float]
) -> tuple[Route, ...]:
    to: dict[tuple[str, str], list[Destination]] = {key: [] for key, rate in rates.items() if rate > 0}
    for (client, task, node, model), share in shares.items():
        if (client, task) in to:
            to[client, task].append(Destination(node, model, share))
    return tuple(
        Route(*key, rates[key], tuple(sorted(found, key=lambda d: -d.share))) for key, found in to.items()
    )
