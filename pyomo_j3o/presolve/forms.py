"""One problem in the forms that solvers take, and the chain of reductions from one to the next."""

from __future__ import annotations

from dataclasses import dataclass

from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.core.problem import Problem
from pyomo_j3o.presolve.linearize import UnboundedProductError, linearize
from pyomo_j3o.presolve.reduction import Chain, Reduction
from pyomo_j3o.presolve.scaling import Scaling, scale, scale_rows
from pyomo_j3o.presolve.tightening import shrink_big_m


@dataclass(frozen=True, slots=True)
class Forms:
    """One problem in the forms that solvers take.

    ::

        original --scaling--> scaled --linearize, shrink_big_m, scale_rows--> linear

    Attributes
    ----------
    original : Problem
        In the user's units.
    scaling : Scaling
        To the units that suit solvers. Its problem holds the products.
    to_linear : Reduction or None
        From the scaled problem to the linear form. None if there is no linear form.
    not_linear : UnboundedProductError or None
        Why the products cannot be linearised.
    """

    original: Problem
    scaling: Scaling
    to_linear: Reduction | None = None
    not_linear: UnboundedProductError | None = None

    @property
    def scaled(self) -> Problem:
        """The problem in units that suit solvers, with its products."""
        return self.scaling.problem

    @property
    def linear(self) -> Problem | None:
        """The linear form of `scaled`. None if there is none."""
        return None if self.to_linear is None else self.to_linear.problem

    @property
    def last(self) -> Problem:
        """The linear form, or `scaled` if there is no linear form."""
        return self.scaled if self.to_linear is None else self.to_linear.problem


def forms_of(problem: Problem, deadline: Deadline = NEVER) -> Forms:
    """Return the forms of a problem.

    There is no linear form in two cases: the products cannot be linearised, or a row in whole numbers can
    never hold (``scaling.crossed``).

    Parameters
    ----------
    problem
        With or without products, in any units.
    deadline
        When to end.

    Raises
    ------
    OutOfTime
        The time is over.
    """
    scaling = scale(problem)
    if scaling.crossed:
        return Forms(problem, scaling)
    try:
        linearized = linearize(scaling.problem)
    except UnboundedProductError as error:
        return Forms(problem, scaling, not_linear=error.with_traceback(None))
    deadline.require()
    smaller = shrink_big_m(linearized.problem, scaling.needed)
    deadline.require()
    return Forms(problem, scaling, Chain((linearized, smaller, scale_rows(smaller.problem))))
