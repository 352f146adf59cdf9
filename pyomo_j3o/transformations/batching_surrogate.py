"""BAJ3O's linear rows in place of batching windows, as a Pyomo model for any LP or MILP solver."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.common.modeling import unique_component_name
from pyomo.core.base.block import Block, BlockData
from pyomo.core.base.transformation import Transformation, TransformationFactory
from pyomo.core.expr.visitor import identify_variables
from pyomo.repn import generate_standard_repn

from pyomo_j3o.alternate.batch_surrogate import surrogate
from pyomo_j3o.errors import ModelError, OptionError
from pyomo_j3o.modeling.batching_window import BatchingWindowData, filled_windows
from pyomo_j3o.presolve.charged import empty
from pyomo_j3o.transformations.linearize_products import copy_values

#: What the new block is called, or the like if the model has a component of that name.
BLOCK = "j3o_batching_surrogate"

#: δ as part of the largest batch, if none is given, and at least.
_DELTA, _LEAST = 0.05, 1e-9


@TransformationFactory.register(
    "j3o.batching_surrogate",
    doc="Put BAJ3O's linear row at the current point in place of each batching window; no indicators.",
)
class BatchingSurrogate(Transformation):
    """Put BAJ3O's linear row at the current point in place of each active `BatchingWindow`.

    The step 1[q > 0] of a model's set-up becomes φ_δ(q) = log(1 + q/δ) / log(1 + U/δ), and that its Taylor
    expansion of first order at the batch size q̄ that the variables hold now (arXiv 2508.13380 for the idea;
    the form of φ is ours), so that of each window one linear row is left::

        Σ_k ν_k/T_b · (φ_δ(q̄_k) + φ'_δ(q̄_k) · (q_k - q̄_k)) + τ_k · arrivals_k  <=  1 - headroom

    ``apply_to(model, delta=0.05)`` changes the model, ``create_using(model, delta=0.05)`` a clone. Rows of
    the windows are deactivated, and indicators fixed. What is new stands in `j3o_batching_surrogate`:

    ``capacity``
        The row above, indexed by the name of the window.
    ``charge``
        φ_δ(q̄), the part of its set-up that a model is charged there, indexed by window and model.

    Mutable Params and bounds count with the value that they have now.

    The tangent lies above φ_δ, but φ_δ below 1 except at the largest batch: a plan of the rows need not be
    one of the windows. `propagate_solution` takes the routing back and marks what is in use; solve once more
    with ``used`` fixed, as BAJ3O does, to be safe.

    Parameters of ``apply_to`` and ``create_using``
    -----------------------------------------------
    delta
        δ as part of U, the largest batch that the bounds of the arrivals allow; at least 1e-9.

    Raises
    ------
    OptionError
        If `delta` is no such number.
    ModelError
        If a window's numbers are out of range now, or the model is not constructed.

    Notes
    -----
    A variable without a value counts as 0, and a rate outside of what bounds allow as the nearest inside. A
    model whose set-up is longer than the window stays closed.

    Examples
    --------
    >>> import pyomo.environ as pyo
    >>> from pyomo_j3o import BatchingWindow
    >>> m = pyo.ConcreteModel()
    >>> m.y = pyo.Var(bounds=(0, 1), initialize=1)
    >>> m.batch = BatchingWindow()
    >>> m.batch.set_batches(0.5, {"vit": 20 * m.y}, setup={"vit": 0.1}, per_query={"vit": 0.01})
    >>> pyo.TransformationFactory("j3o.batching_surrogate").apply_to(m, delta=1)
    >>> print(m.j3o_batching_surrogate.capacity["batch"].expr)
    0.2*y + 0.2*(1.0 + 0.03606737602222408*(20*y - 20.0))  <=  1.0
    """

    def propagate_solution(self, surrogate_model: BlockData, original_model: BlockData) -> None:
        """Copy the routing of `surrogate_model`, and choose the batches that are to run.

        Parameters
        ----------
        surrogate_model
            What ``create_using(original_model)`` returned, with values.
        original_model
            Its variables get the values. ``used`` of its windows is 1 where there are arrivals; where the
            set-ups of these do not fit the window, those with the most queries per set-up stay, as in BAJ3O.
        """
        copy_values(surrogate_model, original_model)
        batches = [(window, key) for window in filled_windows(original_model) for key in window.models]
        rates = np.array([_rate(window, key)[0] for window, key in batches])
        setups = np.array([pyo.value(window.setup[key]) for window, key in batches])
        runs = ~empty(rates)
        room = {
            id(window): pyo.value(window.length) * (1.0 - pyo.value(window.headroom)) for window, _ in batches
        }
        # Those with the most queries per set-up choose first.
        for b in np.argsort(-rates / np.maximum(setups, 1e-300), kind="stable"):
            window, key = batches[b]
            if window.used[key].fixed:
                chosen = pyo.value(window.used[key]) > 0.5
            else:
                chosen = bool(runs[b] and setups[b] <= room[id(window)] * (1 + 1e-9))
                window.used[key].set_value(int(chosen))
            room[id(window)] -= setups[b] * chosen

    def _apply_to(self, model: BlockData, **options: Any) -> None:
        delta = _delta(options)
        if not isinstance(model, BlockData) or not model.is_constructed():
            raise ModelError(
                "j3o.batching_surrogate takes a constructed model; give a ConcreteModel, or what "
                "create_instance() returns"
            )
        # A second call finds nothing left to replace.
        windows = [window for window in filled_windows(model) if window.capacity.active]
        for window in windows:
            window.current_rates()
        if not windows:
            return
        block = Block(doc="BAJ3O's linear rows in place of batching windows")
        model.add_component(unique_component_name(model, BLOCK), block)
        block.capacity = pyo.Constraint(pyo.Any)
        block.charge = pyo.Expression(pyo.Any)
        for window in windows:
            block.capacity[window.name] = _row(window, delta, block)
            window.capacity.deactivate()
            _take_out(window)

    def _create_using(self, model: BlockData, **options: Any) -> BlockData:
        changed = model.clone()
        self._apply_to(changed, **options)
        return changed


def _delta(options: dict[str, Any]) -> float:
    given = dict(options.pop("options", None) or {}) | options
    delta = given.pop("delta", _DELTA)
    if given:
        raise OptionError(f"option {next(iter(given))!r} is unknown to j3o.batching_surrogate; it has delta")
    try:
        number = float(delta)
    except (TypeError, ValueError):
        number = math.nan
    if not _LEAST <= number < math.inf:
        raise OptionError(
            f"delta={delta!r} is no number of at least {_LEAST:g}; give δ as part of the largest batch"
        )
    return number


def _row(window: BatchingWindowData, delta: float, block: BlockData) -> Any:
    """Return the linear row of one window, and note in the block what each model is charged."""
    length, room = pyo.value(window.length), 1.0 - pyo.value(window.headroom)
    total: Any = 0.0
    for key in window.models:
        arrivals, setup = window.arrivals[key].expr, pyo.value(window.setup[key]) / length
        if not window.used[key].fixed and setup > room:
            window.used[key].fix(0)
        total += pyo.value(window.per_query[key]) * arrivals
        now, largest = _rate(window, key)
        if window.used[key].fixed:
            block.charge[window.name, key] = height = float(pyo.value(window.used[key]))
            total += setup * height
        elif largest > 0:
            at, slope = surrogate(np.array([now]), np.array([largest]), delta)
            block.charge[window.name, key] = height = float(at[0])
            total += setup * (height + float(slope[0]) * (arrivals - now))
    return total <= room


def _rate(window: BatchingWindowData, key: Any) -> tuple[float, float]:
    """Return the rate at the values that the variables hold, within its range, and the largest possible."""
    linear = generate_standard_repn(window.arrivals[key].expr)
    now = largest = float(pyo.value(linear.constant))
    for variable, coefficient in zip(linear.linear_vars, linear.linear_coefs, strict=True):
        value = variable.value or 0.0
        if math.isnan(value):
            raise ModelError(f"variable '{variable.name}' holds nan; give it a number, or None")
        now += coefficient * value
        largest += coefficient * (variable.ub if coefficient > 0 else variable.lb)
    return min(max(now, 0.0), largest), largest


def _take_out(window: BatchingWindowData) -> None:
    """Take the free indicators of a window out of the model; rows without one stay."""
    free = [variable for variable in window.used.values() if not variable.fixed]
    numbers = set(map(id, free))
    for row in window.opens.values():
        if any(id(variable) in numbers for variable in identify_variables(row.body)):
            row.deactivate()
    for variable in free:
        variable.fix(0)
