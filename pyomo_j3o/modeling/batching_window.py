"""Batching windows: queries that arrive in one window run in the next, as one batch per model."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.common.errors import PyomoException
from pyomo.core.base.block import Block, BlockData, declare_custom_block
from pyomo.core.base.expression import ExpressionData
from pyomo.core.base.indexed_component import normalize_index
from pyomo.core.expr.expr_common import ExpressionType
from pyomo.core.pyomoobject import PyomoObject

from pyomo_j3o.errors import ModelError
from pyomo_j3o.modeling.annotate import ONLOADING, Roles, marks_itself
from pyomo_j3o.modeling.expressions import Terms
from pyomo_j3o.modeling.naming import in_one_line, listed
from pyomo_j3o.modeling.rates import IN_PARAMS, LINEAR, Assumed, Rate, number_of

logger = logging.getLogger("pyomo_j3o")

#: What `set_batches` puts into the block.
_HELD = (
    "models",
    "length",
    "headroom",
    "setup",
    "per_query",
    "arrivals",
    "used",
    "batch_size",
    "opens",
    "utilisation",
    "capacity",
)

#: What of it gets another name from Pyomo's ``core.scale_model``.
_SCALED = ["used", "opens", "capacity"]


# Pyomo makes it from the data class below.
BatchingWindow: type[Block]


@marks_itself(ONLOADING, annotates=False)
@declare_custom_block(name="BatchingWindow")
class BatchingWindowData(BlockData):
    """The batching window of one edge server, or of one class of queries on it.

    The queries that arrive in one window run in the next, as one batch per model, so that each is answered
    within two windows if the batches of a window never take longer than the window. To Pyomo it is an
    ordinary `Block`, scalar or indexed, which `set_batches` fills with ordinary components.

    Examples
    --------
    >>> import pyomo.environ as pyo
    >>> from pyomo_j3o import BatchingWindow, OffloadingBlock
    >>> m = pyo.ConcreteModel()
    >>> m.route = OffloadingBlock()
    >>> m.route.y = pyo.Var(["phone", "camera"], bounds=(0, 1))
    >>> m.batch = BatchingWindow(["edge"])
    >>> m.batch["edge"].set_batches(
    ...     length=0.5,
    ...     arrivals={"resnet": 30 * m.route.y["phone"] + 50 * m.route.y["camera"]},
    ...     setup={"resnet": 0.004},
    ...     per_query={"resnet": 0.002},
    ... )
    >>> print(m.batch["edge"].capacity.expr)
    0.008*batch[edge].used[resnet] + 0.002*(30*route.y[phone] + 50*route.y[camera])  <=  1.0
    """

    def set_batches(
        self,
        length: Any,
        arrivals: Mapping[Any, Any],
        setup: Mapping[Any, Any],
        per_query: Mapping[Any, Any],
        headroom: Any = 0.0,
    ) -> None:
        """State that the batches of every window are done within one window.

        ::

            Σ_k (ν_k · 1[q_k > 0] + τ_k · q_k) <= (1 - headroom) · T_b ,      q_k = T_b · arrivals_k

        With a binary ``used[k]`` for the indicator, which opens every variable of the model's arrivals, the
        formulation is exact: any MILP solver sees the true constraint. A second call replaces the first; one
        that fails changes nothing.

        Parameters
        ----------
        length
            T_b, seconds; a number or an expression in mutable Params, as for all that follows.
        arrivals
            For each model k the queries/s that reach it here, linear in offloading variables that have
            bounds. Rates are not negative: where their terms could say otherwise, a row forbids it. A key is
            what an index of Pyomo's can be; ``("vit",)`` is ``"vit"`` to it.
        setup
            ν_k, seconds that a batch costs however small it is.
        per_query
            τ_k, seconds per query.
        headroom
            Fraction of the window, from 0 to below 1, that is kept free: batches are as large as planned on
            average only.

        Raises
        ------
        ModelError
            If a number is out of range, the mappings do not have the same keys, two keys are one to Pyomo, or
            a rate has no upper bound.
        AnnotationError
            If a rate holds an onloading variable.
        UnsupportedTermError
            If a rate is not linear.

        Notes
        -----
        The block then holds ``used`` (binary), ``opens`` and ``capacity`` (rows), and for the reader the
        expressions ``length``, ``headroom``, ``setup``, ``per_query``, ``arrivals``, ``batch_size`` (mean
        number of queries per batch) and ``utilisation`` (fraction of the window at work). ``capacity`` is the
        row above, divided by the length.
        """
        if not self.parent_component().is_constructed():
            raise ModelError(
                f"BatchingWindow '{self.name}' is abstract; call set_batches in its rule, or in a "
                "BuildAction declared after it"
            )
        where = f"BatchingWindow '{self.name}'"
        _require_same_keys(where, arrivals, setup, per_query)
        index = _indices(where, arrivals)
        keys = list(index.values())
        setup = self._read_all(setup, index, f"{where}: setup")
        per_query = self._read_all(per_query, index, f"{where}: per_query")
        length, headroom = self._read(length, f"{where}: length"), self._read(headroom, f"{where}: headroom")
        self._require_in_range(length, setup, per_query, headroom)
        arrivals = self._read_all(arrivals, index, f"{where}: arrivals", LINEAR)
        roles, terms = Roles(self), Terms()
        rates = {key: Rate(self.name, key, arrivals[key], terms) for key in keys}
        for rate in rates.values():
            rate.require_offloading(roles)
            rate.require_bounded()
        # Up to here nothing has changed: after an error the window is as it was.
        self._make_room()
        # From here on the window is not one that holds nothing, whatever may happen below.
        self._assumed: dict[Any, Assumed] = {}

        self.models = pyo.Set(initialize=keys, dimen=None)
        self.length = pyo.Expression(expr=length)
        self.headroom = pyo.Expression(expr=headroom)
        # Assigned one by one, not by rule: a model that holds a local function cannot be pickled.
        for name, given in (("setup", setup), ("per_query", per_query), ("arrivals", arrivals)):
            expressions = pyo.Expression(self.models)
            self.add_component(name, expressions)
            for key in keys:
                expressions[key] = given[key]
        self.used = pyo.Var(self.models, domain=pyo.Binary)
        self.batch_size = pyo.Expression(self.models)
        self.opens = pyo.Constraint(pyo.Any)
        for key in keys:
            self.batch_size[key] = length * arrivals[key]
            for number, row in enumerate(rates[key].rows(self.used[key])):
                self.opens[key, number] = row
        at_work = pyo.quicksum((setup[k] / length) * self.used[k] + per_query[k] * arrivals[k] for k in keys)
        self.utilisation = pyo.Expression(expr=at_work)
        self.capacity = pyo.Constraint(expr=at_work <= 1.0 - headroom if keys else pyo.Constraint.Skip)
        #: What the rows rest on; a Pyomo model may change after they are written.
        self._assumed = {key: rate.assumed for key, rate in rates.items()}
        self._warn_of_idle_models(length, setup, headroom)

    @property
    def filled(self) -> bool:
        """Whether `set_batches` has been called; a window that holds nothing constrains nothing.

        Raises
        ------
        ModelError
            If a component that `set_batches` has put in is missing.
        """
        if getattr(self, "_assumed", None) is None:
            return False
        missing = [name for name in _HELD if self.component(name) is None]
        if missing == _SCALED:
            return False  # The rows go on under other names, as rows like any.
        if missing:
            raise ModelError(
                f"BatchingWindow '{self.name}' has lost its '{missing[0]}', or was never filled to the end; "
                "call set_batches again"
            )
        return True

    def current_rates(self) -> dict[Any, Rate]:
        """Return the arrivals as they are now, after a look at what may have changed since `set_batches`.

        Raises
        ------
        ModelError
            If a number is out of range now, or the rows no longer say what the arrivals are.
        """
        if not self.filled:
            return {}
        self._require_in_range(self.length.expr, _held(self.setup), _held(self.per_query), self.headroom.expr)
        terms = Terms()
        rates = {key: Rate(self.name, key, self.arrivals[key].expr, terms) for key in self.models}
        for key, rate in rates.items():
            if not rate.within(self._assumed[key]):
                raise ModelError(
                    f"BatchingWindow '{self.name}': since set_batches, bounds or Params have changed what "
                    f"arrivals[{key!r}] can be; call set_batches again"
                )
        self._warn_of_idle_models(self.length.expr, _held(self.setup), self.headroom.expr)
        return rates

    def _read_all(
        self, mapping: Mapping[Any, Any], index: dict[Any, Any], what: str, remedy: str = IN_PARAMS
    ) -> dict[Any, Any]:
        """Return what a mapping holds by the index that Pyomo makes of each key."""
        read = {}
        for key, k in index.items():
            try:
                entry = mapping[key]
            except (PyomoException, KeyError, ValueError, TypeError) as error:
                raise ModelError(f"{what}[{k!r}] has no value: {in_one_line(error)}; {remedy}") from None
            read[k] = self._read(entry, f"{what}[{k!r}]", remedy)
        return read

    def _read(self, given: Any, what: str, remedy: str = IN_PARAMS) -> Any:
        """Return a number as a float, what an expression of this block stands for, and others as they are."""
        if isinstance(given, ExpressionData) and given.parent_block() is self:
            given = given.expr
        if isinstance(given, np.ndarray) and given.ndim == 0:
            given = given.item()
        if not isinstance(given, PyomoObject):
            return number_of(given, what, remedy)
        # Of an inequality it is said elsewhere that it is not linear.
        relational = given.is_expression_type(ExpressionType.RELATIONAL)
        if not given.is_numeric_type() and not (relational and remedy is LINEAR):
            shown = given.name if given.is_component_type() else str(given)
            raise ModelError(f"{what} is {shown!r} ({type(given).__name__}), which is no number; {remedy}")
        return given

    def _make_room(self) -> None:
        """Take out what an earlier call has put in, and nothing of the user's."""
        first = getattr(self, "_assumed", None) is None
        for name in _HELD:
            if not first:
                self.del_component(name)
            elif name in vars(self):
                raise ModelError(
                    f"BatchingWindow '{self.name}' has a '{name}' already, which is a name that set_batches "
                    "needs; rename it"
                )

    def _require_in_range(
        self, length: Any, setup: Mapping[Any, Any], per_query: Mapping[Any, Any], headroom: Any
    ) -> None:
        name = self.name
        number = number_of(length, f"BatchingWindow '{name}': length")
        if not (number > 0 and math.isfinite(number)):
            raise ModelError(
                f"BatchingWindow '{name}': length={number:g} is no window; give a finite number of seconds "
                "above 0 (without a window, write the compute budget as a plain constraint)"
            )
        part = number_of(headroom, f"BatchingWindow '{name}': headroom")
        if not 0 <= part < 1:
            raise ModelError(
                f"BatchingWindow '{name}': headroom={part:g} is no part of a window; give a number from 0 to "
                "below 1"
            )
        for what, mapping in (("setup", setup), ("per_query", per_query)):
            for key, given in mapping.items():
                number = number_of(given, f"BatchingWindow '{name}': {what}[{key!r}]")
                if not (number >= 0 and math.isfinite(number)):
                    raise ModelError(
                        f"BatchingWindow '{name}': {what}[{key!r}]={number:g} is no time; give a finite "
                        "number of seconds of at least 0"
                    )

    def _warn_of_idle_models(self, length: Any, setup: Mapping[Any, Any], headroom: Any) -> None:
        room = pyo.value(length) * (1 - pyo.value(headroom))
        idle = [key for key in setup if pyo.value(setup[key]) > room]
        # Said once, and again where Params have changed it.
        before = getattr(self, "_warned_of", [])
        self._warned_of = idle
        if idle and idle != before:
            named = ", ".join(map(repr, idle[:3])) + (f" and {len(idle) - 3} more" if len(idle) > 3 else "")
            logger.warning(
                "BatchingWindow '%s': the set-up of %s takes longer than the %g s there are; no query can "
                "run there on %s.",
                self.name,
                named,
                room,
                "that model" if len(idle) == 1 else "these models",
            )


def _refuse_indexed(self: Block, *_: Any, **__: Any) -> None:
    """Say that it is a member that is filled."""
    raise ModelError(
        f"BatchingWindow '{self.name}' is indexed; call set_batches of each member, {self.name}[...]"
    )


# A scalar window is its own member, and has the method of the data class.
BatchingWindow.set_batches = _refuse_indexed  # noqa: F821


def _held(expressions: Any) -> dict[Any, Any]:
    return {key: expressions[key].expr for key in expressions}


def _keys(mapping: Mapping[Any, Any]) -> list[Any]:
    # Some mappings, as the series of pandas, iterate over their values.
    return list(mapping.keys())


def _indices(where: str, mapping: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return for each key of a mapping the index that Pyomo makes of it."""
    key_of: dict[Any, Any] = {}
    for key in _keys(mapping):
        index = normalize_index(key)
        if any(part is Ellipsis for part in (index if isinstance(index, tuple) else (index,))):
            raise ModelError(f"{where}: the key {key!r} stands for many to Pyomo; take names without '...'")
        if index in key_of:
            raise ModelError(
                f"{where}: the keys {key_of[index]!r} and {key!r} are one index to Pyomo; give one of the "
                "models another name"
            )
        key_of[index] = key
    return {key: index for index, key in key_of.items()}


def _require_same_keys(where: str, *mappings: Mapping[Any, Any]) -> None:
    names = ("arrivals", "setup", "per_query")
    for name, mapping in zip(names, mappings, strict=True):
        if isinstance(mapping, type) or not hasattr(mapping, "keys"):
            raise ModelError(
                f"{where}: {name}={mapping!r} is not a mapping; give one number or expression per model, "
                "{model: ...}"
            )
    for name, mapping in zip(names, mappings, strict=True):
        for other, keys in zip(names, mappings, strict=True):
            for key in _keys(keys):
                if key not in mapping:
                    raise ModelError(
                        f"{where}: {name} has no entry for {key!r}, but {other} has; give all three mappings "
                        "the same models"
                    )


def filled_windows(model: BlockData, warn_of_empty: bool = False) -> list[BatchingWindowData]:
    """Return the active batching windows whose `set_batches` has been called; raise if one lacks a part.

    Parameters
    ----------
    model
        The model or block.
    warn_of_empty
        Whether to warn of the others: as they are, they constrain nothing.
    """
    windows = [
        block for block in model.block_data_objects(active=True) if isinstance(block, BatchingWindowData)
    ]
    filled = [window for window in windows if window.filled]
    if warn_of_empty and len(filled) < len(windows):
        logger.warning(
            "BatchingWindow %s constrains nothing, as set_batches has not been called; call it, or "
            "deactivate the window.",
            listed([window.name for window in windows if not window.filled]),
        )
    return filled
