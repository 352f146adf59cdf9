"""One problem in the forms that the solvers take, and what is found of it in its own columns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from pyomo_j3o.certify.relaxation import (
    whole_model,
)
from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Problem
from pyomo_j3o.core.results import Outcome
from pyomo_j3o.methods.own_rows import OwnRows
from pyomo_j3o.mip import MIPModel
from pyomo_j3o.presolve.linearize import Linearized, linearize
from pyomo_j3o.presolve.scaling import scale_rows
from pyomo_j3o.presolve.tightening import shrink_big_m


@dataclass(frozen=True, slots=True)
class Instance:
    """One problem in the forms that the solvers take.

    Attributes
    ----------
    problem : Problem
        As it is, with its products.
    linearized : Linearized or None
        Without; None if that cannot be done.
    linear : Problem or None
        The problem of `linearized`, scaled; None if that cannot be done.
    row_factors : (M',)
        By which the rows of `linear` are scaled.
    met : (at most N + K,)
        Columns of (x, y) in the order in which the user's rows first name them; see `Inverse`.
    own : OwnRows or None
        The rows as the user wrote them, which every plan is held against; None if it is not.
    """

    problem: Problem
    linearized: Linearized | None = None
    linear: Problem | None = None
    row_factors: FloatArray = field(default_factory=lambda: np.zeros(0))
    met: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    own: OwnRows | None = None

    @staticmethod
    def of(
        problem: Problem,
        met: IntArray,
        own: OwnRows | None = None,
        deadline: Deadline = NEVER,
    ) -> Instance:
        """Return the instance of a scaled problem; see the attributes for `met` and `own`.

        Raises
        ------
        UnboundedProductError
            The products cannot be linearised.
        OutOfTime
            The time is over.
        """
        linearized = linearize(problem)
        deadline.require()
        smaller = shrink_big_m(linearized.problem)
        deadline.require()
        return Instance(problem, linearized, *scale_rows(smaller), met, own)

    def accepts(self, x: BoolArray, y: FloatArray) -> bool:
        """Return whether the user's own rows take a plan of `problem`."""
        return self.own is None or self.own.accepts(x, y)

    def in_own_columns(self, outcome: Outcome) -> Outcome:
        """Return an outcome of `linear` in the columns and rows of `problem`."""
        plan, duals = outcome.plan, outcome.duals
        if plan is not None:
            assert self.linearized is not None
            plan = replace(plan, y=self.linearized.recover(plan.x, plan.y))
        if duals is not None:
            duals = (duals * self.row_factors)[: self.problem.n_rows]
        return replace(outcome, plan=plan, duals=duals)


def mip_model(problem: Problem) -> MIPModel:
    """Return the problem over (x, y), products and all, as a `MIPModel`.

    The solver gets the rows as they are, and searches as it would without J3O.
    """
    terms = problem.products
    if not len(terms):
        return MIPModel(whole_model(problem), maximise=problem.sense > 0)
    return MIPModel(
        whole_model(problem),
        replace(terms, offloading=terms.offloading + problem.n_onloading),
        problem.sense > 0,
    )
