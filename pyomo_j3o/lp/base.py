"""The protocol that every LP solver behind j3o follows, and what it returns."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from scipy import sparse

from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.errors import OptionError


class LPStatus(enum.Enum):
    """Why an LP (or MILP) solver stopped."""

    OPTIMAL = "optimal"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    TIME_LIMIT = "time limit"
    STOPPED = "stopped early, as asked for"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class LinearModel:
    """maximise ``objective @ v`` over ``row_lower <= matrix @ v <= row_upper`` and bounds on v.

    Attributes
    ----------
    objective : (n,)
    matrix : (m, n) CSR or CSC
    row_lower, row_upper : (m,), ±inf where open
    lower, upper : (n,), ±inf where open
    integer : (n,) bool, optional
        Columns that must be integer; only a MIP solver looks at it.
    far_lower, far_upper : (n,), optional
        Bounds for proofs alone, where `lower` and `upper` have none: points outside are not better than
        `floor`. A solver never sees them, since far bounds do an LP solver more harm than good.
    floor : float
        No proof goes below it; -inf where all points lie within the bounds for proofs.
    """

    objective: FloatArray
    matrix: sparse.csr_array | sparse.csc_array
    row_lower: FloatArray
    row_upper: FloatArray
    lower: FloatArray
    upper: FloatArray
    integer: BoolArray | None = None
    far_lower: FloatArray | None = None
    far_upper: FloatArray | None = None
    floor: float = -np.inf

    def ends(self, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return column bounds, (n,) each, with the bounds for proofs where they have none."""
        if self.far_lower is not None:
            lower = np.where(np.isinf(lower), self.far_lower, lower)
        if self.far_upper is not None:
            upper = np.where(np.isinf(upper), self.far_upper, upper)
        return lower, upper

    @property
    def n_columns(self) -> int:
        """Number of columns, n."""
        return len(self.objective)

    @property
    def n_rows(self) -> int:
        """Number of rows, m."""
        return len(self.row_lower)


@dataclass(frozen=True, slots=True)
class LPSolution:
    """What an LP solver found; arrays are empty unless `status` is ``OPTIMAL``.

    Where it is ``STOPPED``, ``INFEASIBLE`` or ``TIME_LIMIT``, the duals of that moment may be there: not
    optimal, but good for a bound.

    Attributes
    ----------
    status : LPStatus
    objective : float
        Of the maximised LP; -inf if infeasible, +inf if unbounded, nan if stopped early.
    values : (n,)
    row_duals : (m,)
        Change of the maximum per unit by which a row's active side moves up; >= 0 on a binding
        upper side, <= 0 on a binding lower side.
    reduced_costs : (n,)
        ``objective - matrix.T @ row_duals``; > 0 on a column held at its upper bound.
    iterations : int
        Simplex iterations that it took: a measure of effort that does not depend on the machine.
    """

    status: LPStatus
    objective: float
    values: FloatArray
    row_duals: FloatArray
    reduced_costs: FloatArray
    iterations: int = 0

    @staticmethod
    def without_values(status: LPStatus, iterations: int = 0) -> LPSolution:
        """Return the record of a solve that ended without an optimal point."""
        objective = {LPStatus.INFEASIBLE: -np.inf, LPStatus.UNBOUNDED: np.inf}.get(status, np.nan)
        empty = np.zeros(0)
        return LPSolution(status, objective, empty, empty, empty, iterations)


@dataclass(frozen=True, slots=True)
class Statuses:
    """A basis as arrays: it can be cut to some columns and rows, and be of use to another LP.

    Attributes
    ----------
    columns : (n,)
        `LOWER`, `BASIC`, `UPPER` or `FREE`.
    rows : (m,)
        The same of their slacks.
    """

    columns: IntArray
    rows: IntArray

    #: Out of the basis at the lower end, in the basis, out of it at the upper end, and at no end.
    LOWER: ClassVar[int] = 0
    BASIC: ClassVar[int] = 1
    UPPER: ClassVar[int] = 2
    FREE: ClassVar[int] = 3


class LinearProgram(Protocol):
    """One LP that is solved again and again while only bounds move; keeps its basis between solves."""

    #: Name and version of the solver, as the log prints it.
    name: str

    def set_column_bounds(self, lower: FloatArray, upper: FloatArray) -> None:
        """Replace the bounds of all columns, (n,) each."""

    def set_row_bounds(self, lower: FloatArray, upper: FloatArray) -> None:
        """Replace the bounds of all rows, (m,) each.

        Which sides are finite must not change, and a row with equal sides keeps equal sides.
        """

    def set_objective(self, objective: FloatArray) -> None:
        """Replace the objective, (n,)."""

    def add_rows(self, matrix: sparse.csr_array, lower: FloatArray, upper: FloatArray) -> None:
        """Append rows, (k, n), with their bounds, (k,) each."""

    def basis(self) -> Any:
        """Return the basis of the last optimum, to be handed to `set_basis` of this LP only."""

    def set_basis(self, basis: Any) -> None:
        """Start the next solve from `basis`; the rows must be those it was taken with."""

    def statuses(self) -> Statuses | None:
        """Return the basis of the last optimum as arrays; None if the solver does not tell."""

    def start_from(self, statuses: Statuses) -> None:
        """Start the next solve from a basis that is nearly one of this LP, or from nothing.

        What is too much in it, or missing, the solver mends.
        """

    def farkas(self) -> FloatArray | None:
        """Return multipliers of the rows, (m,), that show that the last LP was infeasible; None if unknown.

        Signs are those of `LPSolution.row_duals`: what the rows allow of the multiplied sum is less than
        any point within the column bounds gives it.
        """

    def solve(
        self, time_limit: float = np.inf, cutoff: float = -np.inf, iterations: int | None = None
    ) -> LPSolution:
        """Solve from the last basis within `time_limit` seconds.

        It may stop as soon as the maximum is known to be below `cutoff`, or after n simplex iterations.
        """

    def close(self) -> None:
        """Release what the solver holds."""


class Backend(Protocol):
    """Opens LPs on one solver with one set of options."""

    #: Short name as in the options ("highs", "gurobi").
    name: str
    #: Whether several of its LPs may be solved at a time, each in a thread.
    parallel: bool
    #: Name, version, and why this solver was taken; printed in the log.
    description: str

    def open(self, model: LinearModel) -> LinearProgram:
        """Return a `LinearProgram` loaded with `model`."""

    def close(self) -> None:
        """Release the solver's environment."""


SolverOptions = Mapping[str, Any]


def refuse_limits_of_objective(options: SolverOptions, names: Collection[str], title: str) -> None:
    """Raise if an option cuts off plans by their objective: what is left then says nothing of the model.

    Parameters
    ----------
    options
        Of the solver.
    names
        Of such options, in small letters.
    title
        The solver's name as people write it.
    """
    for name, value in options.items():
        if name.lower() in names:
            raise OptionError(
                f"the option {name}={value!r} of solver_options lets {title} cut off plans by an objective "
                "that is scaled and may be negated here; leave it out, and set rel_gap, abs_gap or stop"
            )


def refuse_other_models(options: SolverOptions, names: Collection[str], title: str) -> None:
    """Raise if an option changes what the solver reads of the model that it is given.

    Parameters
    ----------
    options, names, title
        As for `refuse_limits_of_objective`.
    """
    for name, value in options.items():
        if name.lower() in names:
            raise OptionError(
                f"the option {name}={value!r} of solver_options changes what {title} reads of the model, and "
                "what it answers would not hold for the model as it is; leave it out, and write the model "
                "in other units if it needs that"
            )


def refuse_loose_tolerances(options: SolverOptions, loosest: Mapping[str, float], title: str) -> None:
    """Raise if a tolerance is looser than the solver's default, which bounds and proofs rest on.

    Parameters
    ----------
    options, title
        As for `refuse_limits_of_objective`.
    loosest
        The default of each tolerance, by its name in small letters.
    """
    for name, value in options.items():
        limit = loosest.get(name.lower(), np.inf)
        try:
            loose = not float(value) <= limit
        except (TypeError, ValueError):
            continue  # the solver says by itself what it does not take
        if loose:
            raise OptionError(
                f"the option {name}={value!r} of solver_options is a looser tolerance than {title}'s own "
                f"of {limit:g}, and what it proves would not hold; leave it out, or set no more than that"
            )


__all__ = [
    "Backend",
    "IntArray",
    "LPSolution",
    "LPStatus",
    "LinearModel",
    "LinearProgram",
    "SolverOptions",
    "refuse_limits_of_objective",
    "refuse_loose_tolerances",
    "refuse_other_models",
]
