"""The variables of a Pyomo model: which columns they become, with which bounds."""

from __future__ import annotations

import logging
import weakref
from copy import copy
from math import inf
from typing import Any, NamedTuple

import numpy as np
from pyomo.core.base.block import Block, BlockData
from pyomo.core.base.var import Var, VarData
from pyomo.core.expr.numvalue import value
from pyomo.gdp import Disjunct

from pyomo_j3o.core.counts import LONGEST
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.errors import AnnotationError, ModelError, TriviallyInfeasibleError
from pyomo_j3o.modeling.annotate import OFFLOADING, ONLOADING, Roles
from pyomo_j3o.modeling.expressions import Terms, value_of_fixed
from pyomo_j3o.modeling.naming import float_or_nan, listed, require_number
from pyomo_j3o.modeling.param_values import param_without_number

logger = logging.getLogger("pyomo_j3o")

#: Models that the notice of missing marks was written for: a loop that solves one again hears it once.
_noticed: weakref.WeakSet[BlockData] = weakref.WeakSet()

#: How far constants alone may miss a bound, relative to their size, before a model is called infeasible.
TOLERANCE = 1e-8

#: A bound of this size is none.
_INFINITE = 1e20

#: No whole number farther from 0 is the least of a range: sums of larger ones are not exact.
_LARGEST_BASE = 1e9

#: What to write instead of a domain that no two bounds describe.
_ONE_BINARY_PER_VALUE = (
    "give every value that it may take a Binary variable of its own, onloading, let these sum to 1, and "
    "write the sum of value times variable in its place"
)

_UNMARKED, _ONLOADING, _OFFLOADING = 0, 1, 2
_CODES = {None: _UNMARKED, ONLOADING: _ONLOADING, OFFLOADING: _OFFLOADING}

# What a domain allows.
_OTHER, _INTEGER, _CONTINUOUS = 0, 1, 2


class Positions(NamedTuple):
    """Positions of the variables of linear terms, and of the factors of products, in `Columns.variables`."""

    linear: IntArray
    first: IntArray
    second: IntArray


def declared_variables(model: BlockData) -> tuple[list[tuple[Var, int, int, bool]], list[VarData]]:
    """Return every variable of the model, those of inactive blocks included.

    Returns
    -------
    list of tuple
        Each Var, the range of its members among the variables, and whether its block is active.
    list of VarData
    """
    containers: list[tuple[Var, int, int, bool]] = []
    variables: list[VarData] = []
    live: dict[int, bool] = {}
    for block in model.block_data_objects(active=None, descend_into=(Block, Disjunct)):
        # Parents come before what is in them.
        alive = live[id(block)] = block.active and live.get(id(block.parent_block()), True)
        for container in block.component_map(Var).values():
            start = len(variables)
            if not container.is_indexed():
                variables.append(container)
            elif not container.is_reference():
                variables.extend(container.values())
            containers.append((container, start, len(variables), alive))
    return containers, variables


class Columns:
    """Every variable of the model with what is known of it; positions are those in `variables`.

    Attributes
    ----------
    declared
        Number of the variables that belong to the model; those after them live outside of it.
    positions
        Of the variables of the terms.
    fixed : (V,) bool
        Of the variables that occur.
    value : (V,)
        Of the fixed variables that occur; 0 elsewhere.
    onloading, offloading, idle
        Positions of the variables of x, of y, and of the annotated ones that do not occur.
    """

    def __init__(self, model: BlockData, terms: Terms, strict: bool, deadline: Deadline) -> None:
        self._containers, self.variables = declared_variables(model)
        self.declared = len(self.variables)
        deadline.require()
        self._position = dict(zip(map(id, self.variables), range(len(self.variables)), strict=True))
        self.positions = self.places_of(terms)
        deadline.require()
        self._settle(model, strict)

    def known(self, terms: Terms) -> Positions | None:
        """Return the positions of the variables of some terms; None if one is not among the variables."""
        try:
            return Positions(self._at(terms.variable), self._at(terms.first), self._at(terms.second))
        except KeyError:
            return None

    def place(self, variables: list[VarData]) -> IntArray:
        """Return the positions of some variables; those that are new come last."""
        return self._found(variables)

    def places_of(self, terms: Terms) -> Positions:
        """Return the positions of the variables of some terms; those that are new come last."""
        return Positions(self._found(terms.variable), self._found(terms.first), self._found(terms.second))

    def with_positions(self, model: BlockData, strict: bool, positions: Positions) -> Columns:
        """Return the columns of the same variables, as they are now, in other terms."""
        other = copy(self)
        other.positions = positions
        other._settle(model, strict)
        return other

    def _settle(self, model: BlockData, strict: bool) -> None:
        """Find out which variables occur, which are fixed, and which role each has."""
        occurs = np.zeros(len(self.variables), dtype=bool)
        for part in self.positions:
            occurs[part] = True
        fixed = np.array([variable.fixed for variable in self.variables], dtype=bool)
        self.fixed = fixed & occurs
        self.value = np.zeros(len(self.variables))
        for i in np.flatnonzero(self.fixed):
            self.value[i] = value_of_fixed(self.variables[i])
            require_number(self.variables[i], "is fixed at", "fix it at a number")

        free = occurs & ~fixed
        roles = Roles(model)
        role = self._roles(model, roles, occurs, free, strict)
        self.onloading = np.flatnonzero(free & (role == _ONLOADING))
        self.offloading = np.flatnonzero(free & (role == _OFFLOADING))
        self.idle = np.flatnonzero(self._live & ~occurs & ~fixed & (role != _UNMARKED))
        if not roles.any:
            self.idle = self.idle[:0]
        self.is_onloading = role == _ONLOADING

    def _at(self, variables: list[VarData]) -> IntArray:
        found = map(self._position.__getitem__, map(id, variables))
        return np.fromiter(found, dtype=np.int64, count=len(variables))

    def _found(self, variables: list[VarData]) -> IntArray:
        try:
            return self._at(variables)
        except KeyError:
            # Some live outside of the block that is compiled; they come last.
            for variable in variables:
                if id(variable) not in self._position:
                    self._position[id(variable)] = len(self.variables)
                    self.variables.append(variable)
            return self._at(variables)

    @property
    def _live(self) -> BoolArray:
        """Which variables belong to active blocks of the model that is compiled."""
        live = np.zeros(len(self.variables), dtype=bool)
        for _, start, stop, is_live in self._containers:
            live[start:stop] = is_live
        return live

    def _roles(
        self, model: BlockData, roles: Roles, occurs: BoolArray, free: BoolArray, strict: bool
    ) -> IntArray:
        """Return the role code of every variable; raise if a free one has none."""
        role = np.zeros(len(self.variables), dtype=np.int64)
        declared = 0
        for container, start, stop, _ in self._containers:
            common, differs = roles.of_container(container)
            role[start:stop] = _CODES[common]
            if differs:
                role[start:stop] = [_CODES[roles.of(variable)] for variable in self.variables[start:stop]]
            declared = stop
        role[declared:] = [_CODES[roles.of(variable)] for variable in self.variables[declared:]]
        if not free.any():
            return role
        if not roles.any:
            return self._roles_by_domain(model, free, strict)
        unmarked = np.flatnonzero(free & (role == _UNMARKED))
        if len(unmarked):
            names = [self.variables[i].name for i in unmarked]
            raise AnnotationError(
                f"{listed(names)}: free in an active constraint or the objective, but marked neither "
                "onloading nor offloading; call pyomo_j3o.annotate(model, onloading=[...], offloading=[...])"
            )
        return role

    def _roles_by_domain(self, model: BlockData, free: BoolArray, strict: bool) -> IntArray:
        if strict:
            raise AnnotationError(
                "no variable of the model is marked, and strict=True forbids a guess; call "
                "pyomo_j3o.annotate(model, onloading=[...], offloading=[...])"
            )
        positions = np.flatnonzero(free)
        kind, lower, upper = self.domains(positions)
        whole = kind == _INTEGER
        for i in np.flatnonzero(~whole & (kind != _CONTINUOUS))[:1]:
            name = self.variables[positions[i]].name
            raise AnnotationError(
                f"variable '{name}' is neither continuous nor of all whole numbers between two bounds; "
                f"{_ONE_BINARY_PER_VALUE}"
            )
        role = np.zeros(len(self.variables), dtype=np.int64)
        role[positions] = np.where(whole, _ONLOADING, _OFFLOADING)
        if model not in _noticed:
            _noticed.add(model)
            logger.warning(
                "No variable is marked for j3o: taking the %d %s ones as onloading and the %d continuous "
                "ones as offloading. To say so yourself, call "
                "pyomo_j3o.annotate(model, onloading=[...], offloading=[...]).",
                np.count_nonzero(whole),
                "binary" if np.all((lower >= 0) & (upper <= 1) | ~whole) else "binary and integer",
                np.count_nonzero(~whole),
            )
        return role

    def domains(self, positions: IntArray) -> tuple[IntArray, FloatArray, FloatArray]:
        """Return kind, lower and upper bound of the variables at `positions`; the bounds may cross."""
        variables = [self.variables[i] for i in positions]
        domains = [variable.domain for variable in variables]
        keys = list(map(id, domains))
        met = dict(zip(keys, zip(domains, variables, strict=True), strict=True))
        # Domains are few: what takes time is asked once of each.
        number = {key: i for i, key in enumerate(met)}
        which = np.fromiter(map(number.__getitem__, keys), dtype=np.int64, count=len(keys))
        kinds, lows, highs = [], [], []
        for domain, variable in met.values():
            low, high = domain.bounds()
            whole, real = variable.is_integer(), variable.is_continuous()
            kinds.append(_INTEGER if whole else _CONTINUOUS if real else _OTHER)
            lows.append(-inf if low is None else float(low))
            highs.append(inf if high is None else float(high))
        lower = self._bounds(variables, [variable._lb for variable in variables], -inf)
        upper = self._bounds(variables, [variable._ub for variable in variables], inf)
        return (
            np.array(kinds, dtype=np.int64)[which],
            np.maximum(lower, np.array(lows)[which]),
            np.minimum(upper, np.array(highs)[which]),
        )

    @staticmethod
    def _bounds(variables: list[VarData], given: list[Any], missing: float) -> FloatArray:
        """Return bounds as the variables hold them, numbers, None or expressions, as an array."""
        if set(map(type, given)) <= {int, float, type(None)}:
            bounds = np.array(given, dtype=float)
        else:
            numbers = (None if bound is None else value(bound, exception=False) for bound in given)
            bounds = np.array([float_or_nan(number) for number in numbers])
        for i in np.flatnonzero(np.isnan(bounds)):
            if given[i] is not None:
                cause = param_without_number(given[i])
                if cause is not None:
                    take_away = f"set{'lb' if missing < 0 else 'ub'}(None)"
                    raise ModelError(
                        f"a bound of variable '{variables[i].name}' cannot be evaluated: {cause}, or take "
                        f"the bound away with {take_away}"
                    )
                raise ModelError(f"a bound of variable '{variables[i].name}' is not a number; set another")
            bounds[i] = missing
        for i in np.flatnonzero(bounds == -missing)[:1]:
            raise ModelError(f"a bound of variable '{variables[i].name}' excludes all values; set another")
        return bounds

    def onloading_bounds(self, positions: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the bounds of onloading variables, rounded inwards to whole numbers."""
        kind, lower, upper = self.domains(positions)
        for i in np.flatnonzero(kind == _CONTINUOUS)[:1]:
            raise AnnotationError(
                f"onloading variable '{self.variables[positions[i]].name}' is continuous, but only binary "
                "and integer variables are onloading; make its domain Binary or Integers, or mark it "
                "offloading"
            )
        for i in np.flatnonzero(kind == _OTHER)[:1]:
            raise AnnotationError(
                f"onloading variable '{self.variables[positions[i]].name}' does not take all whole numbers "
                f"between two bounds; {_ONE_BINARY_PER_VALUE}"
            )
        lower, upper = np.ceil(lower - TOLERANCE) + 0.0, np.floor(upper + TOLERANCE)
        self._require_open(positions, lower, upper)
        for side, remedy, bound in (("upper", "setub", upper), ("lower", "setlb", lower)):
            for i in np.flatnonzero(np.abs(bound) >= _INFINITE)[:1]:
                name = self.variables[positions[i]].name
                raise AnnotationError(
                    f"onloading variable '{name}' is an integer without {side} bound; give it one with "
                    f"{remedy}, the {'most' if side == 'upper' else 'least'} that a plan can need"
                )
        for i in np.flatnonzero((upper - lower > LONGEST) | (np.abs(lower) > _LARGEST_BASE))[:1]:
            name = self.variables[positions[i]].name
            raise AnnotationError(
                f"onloading variable '{name}' is an integer from {lower[i]:.15g} to {upper[i]:.15g}, but a "
                f"range may hold {LONGEST:,} steps at most and begin no farther from 0 than "
                f"{_LARGEST_BASE:g}; tighten its bounds, or count in a larger unit"
            )
        return lower, np.maximum(lower, upper)

    def offloading_bounds(self, positions: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the bounds of offloading variables."""
        kind, lower, upper = self.domains(positions)
        for i in np.flatnonzero(kind != _CONTINUOUS)[:1]:
            remedy = "mark it onloading" if kind[i] == _INTEGER else _ONE_BINARY_PER_VALUE
            raise AnnotationError(
                f"offloading variable '{self.variables[positions[i]].name}' is not continuous; "
                f"make its domain Reals or a part of them, or {remedy}"
            )
        self._require_open(positions, lower, upper)
        # What other solvers take for infinite is infinite.
        lower, upper = np.where(lower <= -_INFINITE, -inf, lower), np.where(upper >= _INFINITE, inf, upper)
        return np.minimum(lower, upper), upper

    def idle_values(self) -> list[float]:
        """Return the allowed value nearest to 0 of every idle variable."""
        kind, lower, upper = self.domains(self.idle)
        whole = kind == _INTEGER
        lower[whole], upper[whole] = np.ceil(lower[whole] - TOLERANCE), np.floor(upper[whole] + TOLERANCE)
        return (np.minimum(np.maximum(0.0, lower), upper) + 0.0).tolist()

    def _require_open(self, positions: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        for i in np.flatnonzero(lower > upper + slack(lower, upper))[:1]:
            raise TriviallyInfeasibleError(
                f"variable '{self.variables[positions[i]].name}' has no value between its bounds "
                f"{lower[i]} and {upper[i]}; widen them"
            )


def slack(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return by how much two finite numbers may differ and still count as equal; 0 for infinite ones."""
    size = np.maximum(np.abs(one), np.abs(other))
    return TOLERANCE * np.maximum(1.0, np.where(np.isfinite(size), size, 0.0))
