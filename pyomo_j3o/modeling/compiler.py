"""From a Pyomo model to the arrays of a `Problem`, and back from a plan to the model."""

from __future__ import annotations

import logging
import weakref
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
from pyomo.common.collections import ComponentMap
from pyomo.common.errors import PyomoException
from pyomo.common.gc_manager import PauseGC
from pyomo.core.base.block import Block, BlockData
from pyomo.core.base.component import ActiveComponent
from pyomo.core.base.constraint import Constraint, ConstraintData
from pyomo.core.base.expression import Expression
from pyomo.core.base.external import ExternalFunction
from pyomo.core.base.objective import Objective, ObjectiveData, maximize
from pyomo.core.base.param import Param
from pyomo.core.base.set import RangeSet, Set
from pyomo.core.base.suffix import Suffix
from pyomo.core.base.var import Var, VarData
from pyomo.core.expr.numvalue import native_numeric_types, value
from pyomo.core.expr.relational_expr import EqualityExpression, InequalityExpression
from pyomo.core.expr.visitor import identify_mutable_parameters, identify_variables
from pyomo.core.kernel.block import IBlock
from pyomo.core.staleflag import StaleFlagManager
from pyomo.gdp import Disjunct
from pyomo.network import Port
from scipy import sparse

from pyomo_j3o.core.deadline import Remaining, forever, require_time
from pyomo_j3o.core.problem import (
    OBJECTIVE,
    Batches,
    BoolArray,
    FloatArray,
    IntArray,
    Problem,
    Products,
    larger_end,
)
from pyomo_j3o.errors import AnnotationError, ModelError, TriviallyInfeasibleError, UnsupportedTermError
from pyomo_j3o.modeling.annotate import OFFLOADING, ONLOADING, Roles
from pyomo_j3o.modeling.batching_window import BatchingWindowData, Rate
from pyomo_j3o.modeling.expressions import NonlinearTerm, Terms, value_of_fixed

logger = logging.getLogger("pyomo_j3o")

#: Models that the notice of missing marks was written for: a loop that solves one again hears it once.
_noticed: weakref.WeakSet[BlockData] = weakref.WeakSet()

#: How far constants alone may miss a bound, relative to their size, before a model is called infeasible.
TOLERANCE = 1e-8

#: A bound of this size is none.
_INFINITE = 1e20

#: An objective that can be larger than this leaves no room for what is computed with it.
_LARGEST_SUM = 1e305

#: Rows are computed with where their figures are within these: what is divided by the smallest, and the
#: product of three of the largest, are numbers still.
_SMALLEST_FIGURE, _LARGEST_FIGURE = 1e-300, 1e100

# Components that may be active without a meaning of their own for the solver.
_UNDERSTOOD = {
    Block,
    Constraint,
    Expression,
    ExternalFunction,
    Objective,
    Param,
    Port,
    RangeSet,
    Set,
    Suffix,
    Var,
}

_REMEDIES = {
    "Disjunction": "apply a transformation such as gdp.bigm first",
    "Disjunct": "apply a transformation such as gdp.bigm first, or deactivate it",
    "LogicalConstraint": "apply core.logical_to_linear first",
    "SOSConstraint": "state it with binary variables, or deactivate it",
    "Complementarity": "apply a transformation such as mpec.simple_disjunction and then gdp.bigm first",
    "Arc": "apply network.expand_arcs first",
}

_LINEARITY = (
    "every expression has to be linear in the offloading variables once the onloading ones are fixed, "
    "so of products only those of one onloading and one offloading variable are allowed"
)

#: The clock is looked at once in so many rows.
_ROWS_AT_A_TIME = 1000

_UNMARKED, _ONLOADING, _OFFLOADING = 0, 1, 2
_CODES = {None: _UNMARKED, ONLOADING: _ONLOADING, OFFLOADING: _OFFLOADING}

# What a domain allows.
_OTHER, _INTEGER, _CONTINUOUS = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Inverse:
    """The way back from the arrays of a `Problem` to the Pyomo model that it was compiled from.

    Attributes
    ----------
    model
        The model or block that was compiled.
    onloading, offloading
        The variable of each column of x, (N,), and of y, (K,).
    rows
        The constraint of each row, (M,).
    constant_rows
        Constraints without a free variable: rows of constants, which hold.
    idle
        Annotated variables, not fixed, that occur in no active expression: columns of neither x nor y.
    idle_values
        What these get at `load`: the allowed value nearest to 0.
    sense
        The sense of the Problem: +1 if the user maximises, -1 if the user minimises.
    met
        The columns of (x, y) in the order in which the rows, and after them the objective, first name them
        outside of products; columns of products alone are not among them.
    """

    model: BlockData
    onloading: list[VarData]
    offloading: list[VarData]
    rows: list[ConstraintData]
    constant_rows: list[ConstraintData]
    idle: list[VarData]
    idle_values: list[float]
    sense: float
    met: IntArray

    def load(self, x: FloatArray, y: FloatArray) -> None:
        """Give the variables of the model the values `x` (N,), bool or near 0 and 1, and `y` (K,)."""
        pairs = self._pairs(x, y)
        try:
            _load(pairs)
        except BaseException:
            # Ctrl-C in the middle: a model never holds half of a plan.
            _load(pairs)
            raise

    def values(self, x: FloatArray, y: FloatArray) -> ComponentMap:
        """Return the values that `load` would give, by variable."""
        return ComponentMap(self._pairs(x, y))

    def duals(self, row_duals: FloatArray) -> dict[ConstraintData, float]:
        """Return the dual of every constraint in the user's own sense; 0 where no variable is free.

        Parameters
        ----------
        row_duals
            (M,), the change of the maximised objective per unit of the row's right-hand side.
        """
        duals = dict(zip(self.rows, (self.sense * np.asarray(row_duals)).tolist(), strict=True))
        return duals | dict.fromkeys(self.constant_rows, 0.0)

    def reduced_costs(self, onloading: FloatArray | None, offloading: FloatArray | None) -> ComponentMap:
        """Return the reduced costs in the user's own sense; None leaves a kind of variable out.

        Parameters
        ----------
        onloading, offloading
            (N,) and (K,), the change of the maximised objective per unit of the column's variable.
        """
        costs = ComponentMap()
        for variables, numbers in ((self.onloading, onloading), (self.offloading, offloading)):
            if numbers is not None:
                costs.update(zip(variables, (self.sense * np.asarray(numbers)).tolist(), strict=True))
        return costs

    def warm_start(self) -> tuple[FloatArray | None, FloatArray | None]:
        """Return the values that the model's variables hold now, as x (N,) and y (K,).

        A variable without a value gives NaN; if none of a kind has one, None is returned for it.
        """
        return _values_held(self.onloading), _values_held(self.offloading)

    def _pairs(self, x: FloatArray, y: FloatArray) -> list[tuple[VarData, float]]:
        # Adding 0.0 turns -0.0 into 0.0.
        pairs = list(zip(self.onloading, (np.rint(np.asarray(x, dtype=float)) + 0.0).tolist(), strict=True))
        pairs += zip(self.offloading, np.asarray(y, dtype=float).tolist(), strict=True)
        pairs += zip(self.idle, self.idle_values, strict=True)
        return pairs


def _load(pairs: list[tuple[VarData, float]]) -> None:
    StaleFlagManager.mark_all_as_stale()
    for variable, number in pairs:
        variable.set_value(number, skip_validation=True)
    # As after any Pyomo solver: the next change the user makes turns the rest stale.
    StaleFlagManager.mark_all_as_stale(delayed=True)


def compile_model(
    model: BlockData, strict: bool = False, remaining: Remaining = forever
) -> tuple[Problem, Inverse]:
    """Turn a Pyomo model into arrays; the model is left as it is.

    Parameters
    ----------
    model
        The model or block. Variables may live outside of it.
    strict
        Whether a model without any annotation is an error. Otherwise its binary variables are
        taken as onloading, the continuous ones as offloading, and a notice is logged.
    remaining
        Returns the seconds left.

    Returns
    -------
    Problem
        Maximised, one row per active constraint in the order of the model. Variables appear in the
        order of their declaration.
    Inverse
        Takes values, duals and reduced costs back to the model.

    Raises
    ------
    AnnotationError
        If a free variable is not marked, or its domain does not go with its mark.
    UnsupportedTermError
        If an expression is not linear in the offloading variables once the onloading ones are fixed.
    TriviallyInfeasibleError
        If constants alone violate a constraint, or the bounds of a variable cross.
    ModelError
        If there is not exactly one active objective, an active component is of a kind that j3o does
        not know, or a number is missing or not finite.
    OutOfTime
        If the time is over before the arrays are complete.
    """
    if not isinstance(model, BlockData):
        kind = type(model).__name__ + (" of pyomo.kernel" if isinstance(model, IBlock) else "")
        raise ModelError(f"a {kind} cannot be solved; pass a ConcreteModel or a member of a Block")
    if not model.is_constructed():
        raise ModelError(
            f"model '{model.name}' is abstract; call create_instance() and solve what that returns"
        )
    with PauseGC():
        _require_understood(model)
        objective = _only_objective(model)
        # Before their rows are read: what is wrong with them is best said of the window.
        windows = [(window, window.current_rates()) for window in filled_windows(model, tell_of_empty=True)]
        rows = _read_rows(model, objective, remaining)
        columns = _Columns(model, rows.terms, strict, remaining)
        require_time(remaining)
        problem, inverse = _assemble(model, rows, columns)
        return (_with_batches(problem, inverse, windows) if windows else problem), inverse


# ---------------------------------------------------------------------------------------------
# Reading the model
# ---------------------------------------------------------------------------------------------


def _require_understood(model: BlockData) -> None:
    """Raise if an active component is of a kind that would have to be ignored."""
    for block in model.block_data_objects(active=True):
        for ctype in block.collect_ctypes(active=None, descend_into=False):
            # Only what can be switched off can be switched on: a Set, say, has nothing to be ignored.
            if ctype in _UNDERSTOOD or not issubclass(ctype, ActiveComponent):
                continue
            strange = next(block.component_data_objects(ctype, active=True, descend_into=False), None)
            if strange is not None:
                remedy = _REMEDIES.get(ctype.__name__, "transform it into constraints, or deactivate it")
                raise ModelError(f"{_called(strange)} is active, but j3o does not know it; {remedy}")


def _only_objective(model: BlockData) -> ObjectiveData:
    objectives = list(model.component_data_objects(Objective, active=True))
    if not objectives:
        raise ModelError(f"model '{model.name}' has no active objective; add one, or activate one")
    if len(objectives) > 1:
        names = ", ".join(f"'{objective.name}'" for objective in objectives)
        raise ModelError(f"{len(objectives)} objectives are active, {names}; deactivate all but one")
    return objectives[0]


@dataclass(frozen=True, slots=True)
class _Rows:
    """What the constraints and, as the last row of `terms`, the objective say; fixed variables still in."""

    constraints: list[ConstraintData]
    lower: list[float]
    upper: list[float]
    objective: ObjectiveData
    sense: int
    terms: Terms

    def owner(self, row: int) -> ConstraintData | ObjectiveData:
        return self.objective if row == len(self.constraints) else self.constraints[row]


def _read_rows(model: BlockData, objective: ObjectiveData, remaining: Remaining) -> _Rows:
    sense = 1 if objective.sense == maximize else -1
    rows = _Rows([], [], [], objective, sense, Terms())
    owner: Any = objective
    try:
        for number, owner in enumerate(model.component_data_objects(Constraint, active=True)):
            _read_row(owner, rows)
            if number % _ROWS_AT_A_TIME == 0:
                require_time(remaining)
        owner = objective
        rows.terms.add(objective.expr, sense)
        rows.terms.end_row()
    except NonlinearTerm as error:
        raise UnsupportedTermError(_unsupported(owner, error.term)) from None
    except ModelError as error:
        raise type(error)(f"{_called(owner)}: {error}") from None
    except (PyomoException, ValueError, TypeError, ArithmeticError) as error:
        message = (
            f"{_called(owner)} cannot be evaluated; mend it or deactivate it: {' '.join(str(error).split())}"
        )
        raise ModelError(message) from error
    return rows


def _read_row(constraint: ConstraintData, rows: _Rows) -> None:
    """Add one constraint to `rows`, unless it has no bounds."""
    # Rows that Pyomo keeps as a matrix, compile_block_linear_constraints, have no expression.
    expression: Any = getattr(constraint, "expr", None)
    cls = expression.__class__
    numbers = native_numeric_types
    minus: Any = 0.0
    if cls is InequalityExpression or cls is EqualityExpression:
        left, right = expression._args_
        if right.__class__ in numbers or not right.is_potentially_variable():
            body, upper = left, right
            lower = right if cls is EqualityExpression else -inf
        elif left.__class__ in numbers or not left.is_potentially_variable():
            body, lower = right, left
            upper = left if cls is EqualityExpression else inf
        else:
            # The body is left - right. Pyomo would build that expression; we read the sides in turn.
            body, minus, upper = left, right, 0.0
            lower = 0.0 if cls is EqualityExpression else -inf
    else:
        # A range, or a row of a matrix; a range that is not fixed is refused by Pyomo.
        lower, body, upper = constraint.to_bounded_expression()
    lower = lower if lower.__class__ is float else -inf if lower is None else float(value(lower))
    upper = upper if upper.__class__ is float else inf if upper is None else float(value(upper))
    if lower == -inf and upper == inf:
        return
    terms = rows.terms
    terms.add(body, 1.0)
    if minus.__class__ is not float:
        terms.add(minus, -1.0)
    terms.end_row()
    rows.constraints.append(constraint)
    rows.lower.append(lower)
    rows.upper.append(upper)


def _unsupported(owner: Any, term: Any) -> str:
    names = [variable.name for variable in identify_variables(term, include_fixed=False)]
    shown = str(term)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return f"{_called(owner)} holds the term {shown} in {_listed(names)}; {_LINEARITY}"


def _called(owner: Any) -> str:
    return f"{owner.ctype.__name__} '{owner.name}'"


def _listed(names: list[str], most: int = 3) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


# ---------------------------------------------------------------------------------------------
# Sorting the variables
# ---------------------------------------------------------------------------------------------


class _Columns:
    """Every variable of the model with what is known of it; positions are those in `variables`.

    Attributes
    ----------
    linear, first, second
        Positions of the variables of the terms.
    fixed : (V,) bool
        Of the variables that occur.
    value : (V,)
        Of the fixed variables that occur; 0 elsewhere.
    onloading, offloading, idle
        Positions of the variables of x, of y, and of the annotated ones that do not occur.
    """

    def __init__(self, model: BlockData, terms: Terms, strict: bool, remaining: Remaining) -> None:
        self._containers: list[tuple[Var, int, int, bool]] = []
        self.variables: list[VarData] = []
        self._declare(model)
        require_time(remaining)
        position = dict(zip(map(id, self.variables), range(len(self.variables)), strict=True))
        self.linear = self._positions(terms.variable, position)
        self.first = self._positions(terms.first, position)
        self.second = self._positions(terms.second, position)
        require_time(remaining)

        occurs = np.zeros(len(self.variables), dtype=bool)
        for part in (self.linear, self.first, self.second):
            occurs[part] = True
        fixed = np.array([variable.fixed for variable in self.variables], dtype=bool)
        self.fixed = fixed & occurs
        self.value = np.zeros(len(self.variables))
        for i in np.flatnonzero(self.fixed):
            self.value[i] = value_of_fixed(self.variables[i])
            _require_number(self.variables[i], "is fixed at", "fix it at a number")

        free = occurs & ~fixed
        roles = Roles(model)
        role = self._roles(model, roles, occurs, free, strict)
        self.onloading = np.flatnonzero(free & (role == _ONLOADING))
        self.offloading = np.flatnonzero(free & (role == _OFFLOADING))
        self.idle = np.flatnonzero(self._live & ~occurs & ~fixed & (role != _UNMARKED))
        if not roles.any:
            self.idle = self.idle[:0]
        self.is_onloading = role == _ONLOADING

    def _declare(self, model: BlockData) -> None:
        """List every variable of the model, those of inactive blocks included."""
        live: dict[int, bool] = {}
        for block in model.block_data_objects(active=None, descend_into=(Block, Disjunct)):
            # Parents come before what is in them.
            alive = live[id(block)] = block.active and live.get(id(block.parent_block()), True)
            for container in block.component_map(Var).values():
                start = len(self.variables)
                if not container.is_indexed():
                    self.variables.append(container)
                elif not container.is_reference():
                    self.variables.extend(container.values())
                self._containers.append((container, start, len(self.variables), alive))

    def _positions(self, variables: list[VarData], position: dict[int, int]) -> IntArray:
        try:
            found = map(position.__getitem__, map(id, variables))
            return np.fromiter(found, dtype=np.int64, count=len(variables))
        except KeyError:
            # Some live outside of the block that is compiled; they come last.
            for variable in variables:
                if id(variable) not in position:
                    position[id(variable)] = len(self.variables)
                    self.variables.append(variable)
            return self._positions(variables, position)

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
                f"{_listed(names)}: free in an active constraint or the objective, but marked neither "
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
        binary = (kind == _INTEGER) & (lower >= 0) & (upper <= 1)
        for i in np.flatnonzero(~binary & (kind != _CONTINUOUS))[:1]:
            raise AnnotationError(
                f"variable '{self.variables[positions[i]].name}' is neither binary nor continuous, and "
                "nothing is marked; change its domain: onloading is binary, offloading continuous"
            )
        role = np.zeros(len(self.variables), dtype=np.int64)
        role[positions] = np.where(binary, _ONLOADING, _OFFLOADING)
        if model not in _noticed:
            _noticed.add(model)
            logger.warning(
                "No variable is marked for j3o: taking the %d binary ones as onloading and the %d continuous "
                "ones as offloading. To say so yourself, call "
                "pyomo_j3o.annotate(model, onloading=[...], offloading=[...]).",
                np.count_nonzero(binary),
                np.count_nonzero(~binary),
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
            bounds = np.array([np.nan if bound is None else value(bound) for bound in given], dtype=float)
        for i in np.flatnonzero(np.isnan(bounds)):
            if given[i] is not None:
                raise ModelError(f"a bound of variable '{variables[i].name}' is not a number; set another")
            bounds[i] = missing
        for i in np.flatnonzero(bounds == -missing)[:1]:
            raise ModelError(f"a bound of variable '{variables[i].name}' excludes all values; set another")
        return bounds

    def onloading_bounds(self, positions: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the bounds of onloading variables, rounded inwards to 0 or 1."""
        kind, lower, upper = self.domains(positions)
        for i in np.flatnonzero((kind != _INTEGER) | (lower < 0) | (upper > 1))[:1]:
            raise AnnotationError(
                f"onloading variable '{self.variables[positions[i]].name}' is not binary; "
                "make its domain Binary, or mark it offloading"
            )
        lower, upper = np.ceil(lower - TOLERANCE) + 0.0, np.floor(upper + TOLERANCE)
        self._require_open(positions, lower, upper)
        return lower, upper

    def offloading_bounds(self, positions: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the bounds of offloading variables."""
        kind, lower, upper = self.domains(positions)
        for i in np.flatnonzero(kind != _CONTINUOUS)[:1]:
            raise AnnotationError(
                f"offloading variable '{self.variables[positions[i]].name}' is not continuous; "
                "make its domain Reals or a part of them, or mark it onloading"
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
        for i in np.flatnonzero(lower > upper + _slack(lower, upper))[:1]:
            raise TriviallyInfeasibleError(
                f"variable '{self.variables[positions[i]].name}' has no value between its bounds "
                f"{lower[i]} and {upper[i]}; widen them"
            )


def _slack(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return by how much two finite numbers may differ and still count as equal; 0 for infinite ones."""
    size = np.maximum(np.abs(one), np.abs(other))
    return TOLERANCE * np.maximum(1.0, np.where(np.isfinite(size), size, 0.0))


# ---------------------------------------------------------------------------------------------
# Putting the arrays together
# ---------------------------------------------------------------------------------------------


def _assemble(model: BlockData, rows: _Rows, columns: _Columns) -> tuple[Problem, Inverse]:
    """Make the Problem from the terms of the rows and what is known of the columns."""
    terms = rows.terms
    n_owners = len(terms.constant)
    objective = n_owners - 1
    owners = np.arange(n_owners)
    constant = _floats(terms.constant)
    lower, upper = np.array(rows.lower, dtype=float), np.array(rows.upper, dtype=float)
    linear = _Linear(
        np.repeat(owners, np.diff(terms.linear_end, prepend=0)), columns.linear, _floats(terms.coefficient)
    )
    products = Products(
        np.repeat(owners, np.diff(terms.product_end, prepend=0)),
        columns.first,
        columns.second,
        _floats(terms.product_coefficient),
    )
    _require_finite(rows, constant, linear, products, lower, upper)
    _require_sizes(rows, constant, linear, products, lower, upper)
    if columns.fixed.any():
        constant, linear, products = _without_fixed(constant, linear, products, columns)
    products = _as_onloading_times_offloading(products, rows, columns)

    onloading = _matrix(linear, columns.onloading, n_owners, len(columns.variables))
    offloading = _matrix(linear, columns.offloading, n_owners, len(columns.variables))
    entries = np.diff(onloading.indptr) + np.diff(offloading.indptr)
    entries += np.bincount(products.row, minlength=n_owners)
    keep = np.flatnonzero(entries[:objective])
    lower, upper = _bounds_without_constant(rows, entries[:objective], lower, upper, constant[:objective])

    # The last entry is the objective's new row number, and so OBJECTIVE.
    new_row = np.full(n_owners, OBJECTIVE, dtype=np.int64)
    new_row[keep] = np.arange(len(keep))
    column = np.zeros(len(columns.variables), dtype=np.int64)
    column[columns.onloading] = np.arange(len(columns.onloading))
    column[columns.offloading] = np.arange(len(columns.offloading))
    onloading_lower, onloading_upper = columns.onloading_bounds(columns.onloading)
    offloading_lower, offloading_upper = columns.offloading_bounds(columns.offloading)
    problem = Problem(
        onloading_objective=_dense_row(onloading, objective),
        offloading_objective=_dense_row(offloading, objective),
        objective_constant=float(constant[objective]),
        onloading_rows=onloading[keep],
        offloading_rows=offloading[keep],
        row_lower=lower[keep],
        row_upper=upper[keep],
        onloading_lower=onloading_lower,
        onloading_upper=onloading_upper,
        offloading_lower=offloading_lower,
        offloading_upper=offloading_upper,
        products=Products(
            new_row[products.row],
            column[products.onloading],
            column[products.offloading],
            products.coefficient,
        ),
        sense=rows.sense,
    )
    _require_sums(problem, rows.owner(objective))
    inverse = Inverse(
        model=model,
        onloading=[columns.variables[i] for i in columns.onloading],
        offloading=[columns.variables[i] for i in columns.offloading],
        rows=[rows.constraints[i] for i in keep],
        constant_rows=[rows.constraints[i] for i in np.flatnonzero(entries[:objective] == 0)],
        idle=[columns.variables[i] for i in columns.idle],
        idle_values=columns.idle_values(),
        sense=rows.sense,
        met=_in_order_of_rows(columns),
    )
    return problem, inverse


def _in_order_of_rows(columns: _Columns) -> IntArray:
    """Return the columns of (x, y) in the order of their first linear term."""
    place = np.full(len(columns.variables), -1, dtype=np.int64)
    place[columns.onloading] = np.arange(len(columns.onloading))
    place[columns.offloading] = len(columns.onloading) + np.arange(len(columns.offloading))
    positions, first = np.unique(columns.linear, return_index=True)
    met = place[positions[np.argsort(first)]]
    return met[met >= 0]


def filled_windows(model: BlockData, tell_of_empty: bool = False) -> list[BatchingWindowData]:
    """Return the active batching windows whose `set_batches` has been called; raise if one lacks a part.

    Parameters
    ----------
    model
        The model or block.
    tell_of_empty
        Whether to warn of the others: as they are, they constrain nothing.
    """
    windows = [
        block for block in model.block_data_objects(active=True) if isinstance(block, BatchingWindowData)
    ]
    filled = [window for window in windows if window.filled]
    if tell_of_empty and len(filled) < len(windows):
        logger.warning(
            "BatchingWindow %s constrains nothing, as set_batches has not been called; call it, or "
            "deactivate the window.",
            _listed([window.name for window in windows if not window.filled]),
        )
    return filled


def _with_batches(
    problem: Problem, inverse: Inverse, windows: list[tuple[BatchingWindowData, dict[Any, Rate]]]
) -> Problem:
    """Return the problem that knows which of its columns and rows are batches."""
    row_of = {id(constraint): i for i, constraint in enumerate(inverse.rows)}
    x_of = {id(variable): i for i, variable in enumerate(inverse.onloading)}
    y_of = {id(variable): i for i, variable in enumerate(inverse.offloading)}
    indicator: list[int] = []
    row: list[int] = []
    constant: list[float] = []
    entries: tuple[list[int], list[int], list[float]] = ([], [], [])
    for window, rates in windows:
        capacity = row_of.get(id(window.capacity))
        for key, rate in rates.items():
            z = x_of.get(id(window.used[key]))
            if z is None or capacity is None:
                continue  # fixed or deactivated: an ordinary row
            arriving = rate.constant
            for variable, coefficient in zip(rate.variables, rate.coefficients, strict=True):
                if variable.fixed:
                    arriving += coefficient * value_of_fixed(variable)
                elif coefficient != 0.0:
                    y = y_of.get(id(variable))
                    if y is None:
                        rate.require_offloading(Roles(inverse.model))
                        continue  # it is in no other row, so nothing opens or closes it
                    entries[0].append(len(indicator))
                    entries[1].append(y)
                    entries[2].append(coefficient)
            indicator.append(z)
            row.append(capacity)
            constant.append(arriving)
    if not indicator:
        return problem
    arrivals = sparse.csr_array(
        (entries[2], (entries[0], entries[1])), shape=(len(indicator), problem.n_offloading), dtype=float
    )
    return replace(
        problem,
        batches=Batches(np.array(indicator), np.array(row), arrivals, np.array(constant, dtype=float)),
    )


@dataclass(frozen=True, slots=True)
class _Linear:
    """Terms ``coefficient * variable[column]`` of a row; all arrays of one length."""

    row: IntArray
    column: IntArray
    coefficient: FloatArray

    def where(self, mask: BoolArray) -> _Linear:
        return _Linear(self.row[mask], self.column[mask], self.coefficient[mask])


def _without_fixed(
    constant: FloatArray, linear: _Linear, products: Products, columns: _Columns
) -> tuple[FloatArray, _Linear, Products]:
    """Put in the values of fixed variables: products become linear terms, and these constants."""
    if len(products):
        swap = columns.fixed[products.offloading] & ~columns.fixed[products.onloading]
        first = np.where(swap, products.offloading, products.onloading)
        second = np.where(swap, products.onloading, products.offloading)
        held = columns.fixed[first]
        linear = _Linear(
            np.concatenate([linear.row, products.row[held]]),
            np.concatenate([linear.column, second[held]]),
            np.concatenate([linear.coefficient, products.coefficient[held] * columns.value[first[held]]]),
        )
        products = Products(products.row[~held], first[~held], second[~held], products.coefficient[~held])
    held = columns.fixed[linear.column]
    known = linear.where(held)
    sums = np.bincount(known.row, known.coefficient * columns.value[known.column], minlength=len(constant))
    return constant + sums, linear.where(~held), products


def _as_onloading_times_offloading(products: Products, rows: _Rows, columns: _Columns) -> Products:
    """Order the factors of every product, sum those that are alike, and raise if one has another shape."""
    if not len(products):
        return products
    first, second = products.onloading, products.offloading
    swap = columns.is_onloading[second] & ~columns.is_onloading[first]
    # Of two factors of one kind either may come first; which one must not depend on how it was written.
    swap |= (columns.is_onloading[second] == columns.is_onloading[first]) & (second < first)
    products = _merged(
        products.row, np.where(swap, second, first), np.where(swap, first, second), products.coefficient
    )
    wrong = columns.is_onloading[products.onloading] == columns.is_onloading[products.offloading]
    for i in np.flatnonzero(wrong)[:1]:
        one, other = products.onloading[i], products.offloading[i]
        kind = ONLOADING if columns.is_onloading[one] else OFFLOADING
        names = f"{columns.variables[one].name}*{columns.variables[other].name}"
        raise UnsupportedTermError(
            f"{_called(rows.owner(products.row[i]))} holds the term {names}, "
            f"a product of two {kind} variables; {_LINEARITY}"
        )
    return products


def _merged(row: IntArray, first: IntArray, second: IntArray, coefficient: FloatArray) -> Products:
    """Sum the coefficients of equal triples, and drop the zeros."""
    pair = row * (first.max() + 1) + first

    def is_new() -> BoolArray:
        return (pair[1:] != pair[:-1]) | (second[1:] != second[:-1])

    if not np.all((pair[1:] > pair[:-1]) | ((pair[1:] == pair[:-1]) & (second[1:] > second[:-1]))):
        order = np.lexsort((second, pair))
        row, first, second, coefficient = row[order], first[order], second[order], coefficient[order]
        pair = pair[order]
        start = np.flatnonzero(np.concatenate([[True], is_new()]))
        row, first, second = row[start], first[start], second[start]
        coefficient = np.add.reduceat(coefficient, start)
    there = coefficient != 0
    return Products(row[there], first[there], second[there], coefficient[there])


def _matrix(linear: _Linear, positions: IntArray, n_rows: int, n_variables: int) -> sparse.csr_array:
    """Return the terms in the variables at `positions` as a matrix without duplicates and zeros."""
    column = np.full(n_variables, -1, dtype=np.int64)
    column[positions] = np.arange(len(positions))
    column = column[linear.column]
    mine = column >= 0
    matrix = sparse.coo_array(
        (linear.coefficient[mine], (linear.row[mine], column[mine])), shape=(n_rows, len(positions))
    ).tocsr()
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def _dense_row(matrix: sparse.csr_array, row: int) -> FloatArray:
    dense = np.zeros(matrix.shape[1])
    here = slice(matrix.indptr[row], matrix.indptr[row + 1])
    dense[matrix.indices[here]] = matrix.data[here]
    return dense


def _bounds_without_constant(
    rows: _Rows, entries: IntArray, lower: FloatArray, upper: FloatArray, constant: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Move the constants from the bodies to the bounds; raise for a row that nothing can satisfy."""
    for i in np.flatnonzero(lower > upper + _slack(lower, upper))[:1]:
        raise TriviallyInfeasibleError(
            f"{_called(rows.constraints[i])} has bounds that cross, {lower[i]} and {upper[i]}; mend them"
        )
    missed = (constant < lower - _slack(lower, constant)) | (constant > upper + _slack(upper, constant))
    for i in np.flatnonzero(missed & (entries == 0))[:1]:
        raise TriviallyInfeasibleError(
            f"{_called(rows.constraints[i])} has no free variable left, and its body, {constant[i]}, is not "
            f"between {lower[i]} and {upper[i]}; unfix a variable or change a Param"
        )
    return _less_constant(np.minimum(lower, upper), constant), _less_constant(upper, constant)


def _less_constant(side: FloatArray, constant: FloatArray) -> FloatArray:
    """Return ``side - constant`` without the noise of that difference: 10.3 - 10 is 0.3."""
    left = side - constant
    noise = 4.0 * np.spacing(np.maximum(np.abs(np.where(np.isfinite(side), side, 0.0)), np.abs(constant)))
    clean = left.copy()
    open_still = np.isfinite(left) & (constant != 0.0)
    left = np.where(open_still, left, 0.0)
    for decimals in range(13):
        rounded = np.round(left, decimals)
        near = open_still & (np.abs(rounded - left) <= noise)
        clean[near] = rounded[near]
        open_still &= ~near
    return clean


def _require_finite(
    rows: _Rows,
    constant: FloatArray,
    linear: _Linear,
    products: Products,
    lower: FloatArray,
    upper: FloatArray,
) -> None:
    """Raise if a number of the rows is NaN or infinite; open bounds may be."""
    strange = np.concatenate(
        [
            np.flatnonzero(~np.isfinite(constant)),
            linear.row[~np.isfinite(linear.coefficient)],
            products.row[~np.isfinite(products.coefficient)],
            np.flatnonzero(np.isnan(lower) | np.isnan(upper) | (lower == inf) | (upper == -inf)),
        ]
    )
    if not len(strange):
        return
    owner = rows.owner(strange.min())
    expression = owner.expr if hasattr(owner, "expr") else owner.body
    for variable in identify_variables(expression, include_fixed=True):
        if variable.fixed:
            _require_number(variable, "is fixed at", "fix it at a number")
    for parameter in identify_mutable_parameters(expression):
        _require_number(parameter, "is", "give it a finite value")
    raise ModelError(
        f"{_called(owner)} holds a coefficient, a constant or a bound that is not finite; "
        "look for nan and inf in it"
    )


def _require_sizes(
    rows: _Rows,
    constant: FloatArray,
    linear: _Linear,
    products: Products,
    lower: FloatArray,
    upper: FloatArray,
) -> None:
    """Raise if a figure of a constraint is too large or too small to compute with."""
    n_rows = len(lower)
    row = np.concatenate([linear.row, products.row, np.tile(np.arange(n_rows), 3)])
    figure = np.abs(
        np.concatenate([linear.coefficient, products.coefficient, lower, upper, constant[:n_rows]])
    )
    known = np.isfinite(figure) & (figure > 0) & (row < n_rows)
    strange = np.flatnonzero(known & ((figure > _LARGEST_FIGURE) | (figure < _SMALLEST_FIGURE)))
    if len(strange):
        raise ModelError(
            f"{_called(rows.owner(row[strange[0]]))} holds a figure of {figure[strange[0]]:.3g}, outside of "
            f"{_SMALLEST_FIGURE:g} to {_LARGEST_FIGURE:g}, within which rows are computed; write it in other "
            "units, or leave it out if it limits nothing"
        )


def _require_sums(problem: Problem, owner: Any) -> None:
    """Raise if the objective of some plan is larger than floating-point numbers are."""
    terms = problem.products
    mine = terms.row == OBJECTIVE
    reach = np.maximum(1.0, larger_end(problem.offloading_lower, problem.offloading_upper))
    with np.errstate(over="ignore"):
        total = np.abs(problem.onloading_objective).sum()
        total += np.abs(problem.offloading_objective) @ reach
        total += np.abs(terms.coefficient[mine]) @ reach[terms.offloading[mine]]
    if total > _LARGEST_SUM:
        raise ModelError(
            f"{_called(owner)} can grow beyond what floating-point numbers hold; give its coefficients in a "
            "larger unit"
        )


def _require_number(component: Any, verb: str, remedy: str) -> None:
    number = component.value
    if number is None or not np.isfinite(number):
        raise ModelError(f"{_called(component)} {verb} {number}; {remedy}")


def _floats(numbers: list[Any]) -> FloatArray:
    """Return `numbers` as an array, NaN in place of what is too large or no real number."""
    try:
        return np.array(numbers, dtype=float)
    except (TypeError, ValueError, OverflowError):
        return np.array([_float_or_nan(number) for number in numbers])


def _float_or_nan(number: Any) -> float:
    try:
        return float(number)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _values_held(variables: list[VarData]) -> FloatArray | None:
    held = [variable.value for variable in variables]
    if all(number is None for number in held):
        return None
    try:
        return np.array([np.nan if number is None else number for number in held], dtype=float)
    except (TypeError, ValueError, OverflowError):
        for variable, number in zip(variables, held, strict=True):
            if number is not None and np.isnan(_float_or_nan(number)):
                raise ModelError(
                    f"{_called(variable)} holds {number!r}, which is no number to start from; give it one, "
                    "or None"
                ) from None
        raise
