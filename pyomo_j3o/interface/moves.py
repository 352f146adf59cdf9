"""The option `move_cost`, and what results, log and message say of the moves of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyomo_j3o.core.log import Log, counted
from pyomo_j3o.core.problem import Plan
from pyomo_j3o.modeling.move_cost import MOVE_COST, Moves, require_price
from pyomo_j3o.presolve.lowered_prices import LoweredPrices


@dataclass(frozen=True)
class MovePrices:
    """The domain of `move_cost`: None, a price, or a mapping from variables to prices."""

    def __call__(self, value: Any) -> Any:
        """Return the value; raise an `OptionError` for a number that is no price."""
        if value is None or isinstance(value, Mapping):
            return value  # what it maps is looked at with the model
        return require_price(_number(value), f"{MOVE_COST}={value!r}")


def _number(value: Any) -> Any:
    """Return a number for what the `pyomo` command gives as text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def log_prices(moves: Moves | None, prices: LoweredPrices | None, log: Log) -> None:
    """Say in the log what has a price, and what has none as it holds no value."""
    if moves is None:
        return
    priced = counted(moves.priced, "onloading variable")
    unknown = moves.unknown
    without = f"; {unknown} hold no value to move from" if unknown else ""
    if moves.from_last_plan:
        without = f"; {moves.from_last_plan} hold no value, and move from the solver's last plan" + without
    if moves.without:
        without += f"; {counted(moves.without, 'integer')} of many steps, between the bounds, without one"
    log.line(f"Moves have a price: {priced}{without}")
    if prices is not None and prices.any:
        log.line(
            f"Prices of moves are lowered to {prices.price.max():.3g} at most, which forbids them as well; "
            "the results are at full price"
        )


def said_of(moves: Moves | None, plan: Plan, sense: float) -> str:
    """Return one sentence on the moves of a plan, with a space before it; nothing without a price."""
    if moves is None:
        return ""
    own = sense * moves.own_objective(plan.x, plan.y) + 0.0
    return (
        f" Of this, {counted(moves.number(plan.x), 'move')} cost {moves.cost(plan.x):.6g}, counted from "
        f"{_counted_from(moves)}; the objective without the price is {own:.8g}."
    )


def _counted_from(moves: Moves) -> str:
    """Return in words what moves are counted from: the values held, the solver's last plan, or nothing."""
    exceptions = []
    if moves.from_last_plan:
        exceptions.append(f"{moves.from_last_plan} without a value from the solver's last plan")
    if moves.unknown:
        exceptions.append(f"{moves.unknown} without a value not counted")
    return ", ".join(["the values held", *exceptions])


def fill_moves(info: Any, moves: Moves | None, plan: Plan | None, sense: float) -> None:
    """Put into the results how many variables change and what this costs; None without price or plan."""
    info.moves = info.move_cost = info.objective_without_moves = info.moves_from = None
    if moves is not None and plan is not None:
        info.moves_from = _counted_from(moves)
        info.moves, info.move_cost = moves.number(plan.x), moves.cost(plan.x)
        info.objective_without_moves = sense * moves.own_objective(plan.x, plan.y) + 0.0
