"""What the constraints and the objective of a Pyomo model say, term by term."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from pyomo.common.errors import PyomoException
from pyomo.core.base.block import Block, BlockData
from pyomo.core.base.component import ActiveComponent
from pyomo.core.base.constraint import Constraint, ConstraintData
from pyomo.core.base.expression import Expression
from pyomo.core.base.external import ExternalFunction
from pyomo.core.base.objective import Objective, ObjectiveData, maximize
from pyomo.core.base.param import Param
from pyomo.core.base.set import RangeSet, Set
from pyomo.core.base.sos import SOSConstraint
from pyomo.core.base.suffix import Suffix
from pyomo.core.base.var import Var
from pyomo.core.expr.numvalue import native_numeric_types
from pyomo.core.expr.relational_expr import EqualityExpression, InequalityExpression
from pyomo.core.expr.visitor import identify_variables
from pyomo.network import Port

from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.errors import ModelError, UnsupportedTermError
from pyomo_j3o.modeling.expressions import NonlinearTerm, Terms
from pyomo_j3o.modeling.fixed_values import fixed_value
from pyomo_j3o.modeling.naming import called, listed, shortened, the_model
from pyomo_j3o.modeling.param_values import param_without_number

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
    SOSConstraint,
    Suffix,
    Var,
}

_REMEDIES = {
    "Disjunction": "apply a transformation such as gdp.bigm first",
    "Disjunct": "apply a transformation such as gdp.bigm first, or deactivate it",
    "LogicalConstraint": "apply core.logical_to_linear first",
    "Complementarity": "apply a transformation such as mpec.simple_disjunction and then gdp.bigm first",
    "Arc": "apply network.expand_arcs first",
}

LINEARITY = (
    "every expression has to be linear in the offloading variables once the onloading ones are fixed, "
    "so of products only those of an onloading and an offloading variable, or of two onloading ones, one of "
    "them binary, are allowed"
)


#: Rows that are read between two looks at the clock.
_ROWS_AT_A_TIME = 1000


def require_understood(model: BlockData) -> None:
    """Raise if an active component is of a kind that would have to be ignored."""
    for block in model.block_data_objects(active=True):
        for ctype in block.collect_ctypes(active=None, descend_into=False):
            # Only what can be switched off can be switched on: a Set, say, has nothing to be ignored.
            if ctype in _UNDERSTOOD or not issubclass(ctype, ActiveComponent):
                continue
            strange = next(block.component_data_objects(ctype, active=True, descend_into=False), None)
            if strange is not None:
                remedy = _REMEDIES.get(ctype.__name__, "transform it into constraints, or deactivate it")
                raise ModelError(f"{called(strange)} is active, but j3o does not know it; {remedy}")


# Not compared field by field: Pyomo makes an expression of two objectives that are compared.
@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Which rows and which objective of a model count.

    Attributes
    ----------
    without
        Constraints that are left out, by their id.
    objective
        The one that counts if several are active; None where only one may be.
    """

    without: Mapping[int, ConstraintData] = field(default_factory=dict)
    objective: ObjectiveData | None = None

    def same(self, other: Selection) -> bool:
        """Return whether another selection leaves out the same and prefers the same."""
        return self.without.keys() == other.without.keys() and self.objective is other.objective

    def constraints(self, model: BlockData) -> Iterable[ConstraintData]:
        """Return the active constraints in the order of the model."""
        active = model.component_data_objects(Constraint, active=True)
        return (c for c in active if id(c) not in self.without) if self.without else active


#: All of a model.
WHOLE = Selection()


def active_objective(model: BlockData, preferred: ObjectiveData | None = None) -> ObjectiveData:
    """Return the active objective; raise a `ModelError` unless there is exactly one, or the preferred one."""
    objectives = list(model.component_data_objects(Objective, active=True))
    if any(objective is preferred for objective in objectives):
        return preferred
    if not objectives:
        raise ModelError(f"{the_model(model)} has no active objective; add one, or activate one")
    if len(objectives) > 1:
        names = ", ".join(f"'{objective.name}'" for objective in objectives)
        raise ModelError(f"{len(objectives)} objectives are active, {names}; deactivate all but one")
    return objectives[0]


@dataclass(frozen=True, slots=True)
class Rows:
    """What the constraints and, as the last row of `terms`, the objective say; fixed variables still in."""

    constraints: list[ConstraintData]
    lower: list[float]
    upper: list[float]
    objective: ObjectiveData | None
    sense: int
    terms: Terms

    def owner(self, row: int) -> Any:
        """Return the constraint of a row, or the objective for the last one."""
        return self.objective if row == len(self.constraints) else self.constraints[row]


def read_rows(
    constraints: Iterable[ConstraintData], objective: ObjectiveData | None, deadline: Deadline
) -> Rows:
    """Read constraints, and then the objective.

    Parameters
    ----------
    constraints
        In their order.
    objective
        None if it is not to be read.
    deadline
        When to end.

    Raises
    ------
    UnsupportedTermError
        If a term is no constant, linear term or product of two variables.
    ModelError
        If an expression cannot be evaluated.
    OutOfTime
        If the time is over.
    """
    sense = 1 if objective is None or objective.sense == maximize else -1
    rows = Rows([], [], [], objective, sense, Terms())
    owner: Any = objective
    try:
        for number, owner in enumerate(constraints):
            _read_row(owner, rows)
            if number % _ROWS_AT_A_TIME == 0:
                deadline.require()
        if objective is not None:
            owner = objective
            rows.terms.add(objective.expr, sense)
            rows.terms.end_row()
    except NonlinearTerm as error:
        raise UnsupportedTermError(_unsupported(owner, error.term)) from None
    except ModelError as error:
        raise type(error)(f"{called(owner)}: {error}") from None
    except (PyomoException, ValueError, TypeError, ArithmeticError) as error:
        cause = param_without_number(getattr(owner, "expr", None))
        if cause is not None:
            raise ModelError(f"{called(owner)} cannot be evaluated: {cause}") from error
        message = (
            f"{called(owner)} cannot be evaluated; mend it or deactivate it: {' '.join(str(error).split())}"
        )
        raise ModelError(message) from error
    return rows


def _read_row(constraint: ConstraintData, rows: Rows) -> None:
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
    if lower.__class__ is not float:
        lower = _side(lower, -inf)
    if upper.__class__ is not float:
        upper = _side(upper, inf)
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


def _side(given: Any, missing: float) -> float:
    """Return a side of a constraint, a number or an expression in Params, as a float."""
    return missing if given is None else float(fixed_value(given))


def _unsupported(owner: Any, term: Any) -> str:
    names = [variable.name for variable in identify_variables(term, include_fixed=False)]
    return f"{called(owner)} holds the term {shortened(term)} in {listed(names)}; {LINEARITY}"
