"""One problem in the forms that the solvers take, and the rows as the user wrote them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from pyomo_j3o.certify.relaxation import whole_model
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Problem
from pyomo_j3o.methods.own_rows import OwnRows
from pyomo_j3o.mip import MIPModel
from pyomo_j3o.presolve.forms import Forms
from pyomo_j3o.presolve.reduction import Reduction


@dataclass(frozen=True, slots=True)
class Instance:
    """One problem in its forms, and the user's rows.

    Attributes
    ----------
    forms : Forms
        The problem in the forms that solvers take.
    met : (at most N + K,)
        Columns of (x, y) in the order in which the user's rows first name them; see `Inverse`.
    own : OwnRows or None
        The rows as the user wrote them, which every plan is held against; None if it is not.
    """

    forms: Forms
    met: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    own: OwnRows | None = None

    @property
    def problem(self) -> Problem:
        """The problem in units that suit solvers, with its products."""
        return self.forms.scaled

    @property
    def linear(self) -> Problem | None:
        """The linear form of `problem`; None if there is none."""
        return self.forms.linear

    def accepts(self, x: BoolArray, y: FloatArray) -> bool:
        """Return whether the user's own rows take a plan of `problem`."""
        return self.own is None or self.own.accepts(x, y)

    @property
    def to_linear(self) -> Reduction:
        """The reduction from `problem` to `linear`, which must exist."""
        assert self.forms.to_linear is not None
        return self.forms.to_linear


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
