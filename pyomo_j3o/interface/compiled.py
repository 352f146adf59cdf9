"""A compiled model in the forms that the solvers take, and the solvers that the options ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import Plan, Problem
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
from pyomo_j3o.presolve.lowered_prices import LoweredPrices, lowered_prices
from pyomo_j3o.presolve.scaling import Scaling


@dataclass(frozen=True, slots=True)
class Compiled:
    """One model in the forms that the solvers take.

    Attributes
    ----------
    problem, inverse
        As compiled and with the price of moves, in the user's units; prices are lowered as `prices` says.
    algorithm : str
        The one to use; never ``"auto"``.
    own : OwnRows
        The rows as the user wrote them.
    instance : Instance
        The problem in its forms.
    not_linear : str
        Why the products cannot be linearised; empty if they can.
    moves : Moves or None
        The price of moves.
    prices : LoweredPrices or None
        What of it is in `problem`.
    """

    problem: Problem
    inverse: Inverse
    algorithm: str
    own: OwnRows
    instance: Instance
    not_linear: str = ""
    moves: Moves | None = None
    prices: LoweredPrices | None = None

    @property
    def scaling(self) -> Scaling:
        """The reduction from `problem` to ``instance.problem``."""
        return self.instance.forms.scaling

    @property
    def linear(self) -> Problem:
        """The scaled problem without products; with them if they cannot be linearised."""
        return self.instance.forms.last

    @property
    def priced(self) -> Problem:
        """As compiled and with the full price of moves, in the user's units."""
        return self.problem if self.moves is None else self.moves.problem

    def bound_at_full_price(self, bound: float) -> float:
        """Return the bound of `priced` that follows from one of `problem`."""
        return bound if self.prices is None else self.prices.bound(bound)

    def plan_at_full_price(self, plan: Plan | None) -> Plan | None:
        """Return a plan with its objective in `priced`; None for None."""
        if plan is None or self.moves is None:
            return plan
        return replace(plan, objective=self.moves.objective(plan.x, plan.y))


def compiled_forms(
    problem: Problem,
    inverse: Inverse,
    config: Any,
    deadline: Deadline,
    params: OwnRowsParams,
    moves: Moves | None = None,
) -> Compiled:
    """Bring a compiled model, with the price of moves if there is one, into the forms that solvers take."""
    prices = None
    if moves is not None:
        prices = lowered_prices(moves.own, moves.price)
        problem = moves.problem_at(prices.price)
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
    return Compiled(problem, inverse, algorithm, own, instance, not_linear, moves, prices)


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
