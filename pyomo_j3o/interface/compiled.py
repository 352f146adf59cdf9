"""A compiled model in the forms that the solvers take, and the solvers that the options ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import Problem
from pyomo_j3o.interface import verdict
from pyomo_j3o.interface.options import MIP_SOLVERS, chosen_algorithm
from pyomo_j3o.lp import Backend, choose_backend
from pyomo_j3o.methods.instance import Instance
from pyomo_j3o.methods.own_rows import OwnRows
from pyomo_j3o.methods.params import OwnRowsParams
from pyomo_j3o.mip import MIPSolver, Size
from pyomo_j3o.mip import mip_solvers as choose_mip_solvers
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.modeling.move_cost import Moves
from pyomo_j3o.presolve.forms import forms_of
from pyomo_j3o.presolve.scaling import Scaling


@dataclass(frozen=True, slots=True)
class Compiled:
    """One model in the forms that the solvers take.

    Attributes
    ----------
    problem, inverse
        As compiled and with the price of moves, in the user's units.
    algorithm : str
        The one to use; never ``"auto"``.
    own : OwnRows
        The rows as the user wrote them.
    instance : Instance
        The problem in its forms.
    not_linear : str
        Why the products cannot be linearised; empty if they can.
    moves : Moves or None
        The price of moves in `problem`.
    """

    problem: Problem
    inverse: Inverse
    algorithm: str
    own: OwnRows
    instance: Instance
    not_linear: str = ""
    moves: Moves | None = None

    @property
    def scaling(self) -> Scaling:
        """The reduction from `problem` to ``instance.problem``."""
        return self.instance.forms.scaling

    @property
    def linear(self) -> Problem:
        """The scaled problem without products; with them if they cannot be linearised."""
        return self.instance.forms.last


def compiled_forms(
    problem: Problem,
    inverse: Inverse,
    config: Any,
    deadline: Deadline,
    params: OwnRowsParams,
    moves: Moves | None = None,
) -> Compiled:
    """Bring a compiled model, with the price of moves if there is one, into the forms that solvers take."""
    problem = problem if moves is None else moves.problem
    algorithm = chosen_algorithm(config, problem.batches is not None)
    forms, not_linear = forms_of(problem, deadline), ""
    verdict.require_possible(forms.scaling, inverse)
    if forms.not_linear is not None:
        variable = inverse.offloading[forms.not_linear.offloading].name
        if algorithm != "exact" or config.mip_solver == "highs":
            raise forms.not_linear.named(variable)
        not_linear = forms.not_linear.reason(variable)
    own = OwnRows(problem, forms.scaling, params=params, settle=inverse.settled if inverse.settling else None)
    instance = Instance(forms, inverse.met, own)
    return Compiled(problem, inverse, algorithm, own, instance, not_linear, moves)


def backend_for(compiled: Compiled, config: Any) -> Backend:
    """Return the LP solver that the options ask for; those in `solver_options` are its own unless exact."""
    linear, exactly = compiled.linear, compiled.algorithm == "exact"
    return choose_backend(
        config.lp_solver,
        linear.n_onloading + linear.n_offloading,
        linear.n_rows,
        options=None if exactly else dict(config.solver_options.value()),
        threads=config.threads,
        seed=config.seed,
    )


def mip_solvers_for(compiled: Compiled, config: Any, lp_solver: str) -> Iterator[MIPSolver]:
    """Yield the MIP solvers that the options ask for; `lp_solver` has its options in common with its own."""
    exactly = compiled.algorithm == "exact"
    products = bool(len(compiled.problem.products)) and exactly
    problem = compiled.problem if products else compiled.linear
    options = dict(config.solver_options.value())
    return choose_mip_solvers(
        config.mip_solver,
        Size(problem.n_onloading + problem.n_offloading, problem.n_rows, products, compiled.not_linear),
        dict.fromkeys(MIP_SOLVERS if exactly else (lp_solver,), options),
        config.seed,
    )
