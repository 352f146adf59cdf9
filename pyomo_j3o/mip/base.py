"""The protocol that every MIP solver behind j3o follows, what it is given, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from pyomo_j3o.core.problem import OBJECTIVE, FloatArray, Products
from pyomo_j3o.errors import BackendError
from pyomo_j3o.lp.base import LinearModel, LPStatus


class LicenceError(BackendError):
    """The licence of a MIP solver does not cover the model, as the solver itself found out."""


@dataclass(frozen=True, slots=True)
class MIPModel:
    """A mixed-integer model, maximised, with products of two columns if the solver takes them.

    Attributes
    ----------
    linear : LinearModel
        With `integer` set; (n,) columns, (m,) rows.
    products : Products
        Terms ``coefficient * v[onloading] * v[offloading]`` of rows, or of the objective; both numbers are
        those of columns of `linear`.
    maximise : bool
        Whether the solver is to see it maximised, as here, or the negative of it minimised: what its log says
        is then in the user's sense.
    """

    linear: LinearModel
    products: Products = field(default_factory=Products.none)
    maximise: bool = True

    @property
    def sign(self) -> float:
        """What turns this objective into that which the solver sees."""
        return 1.0 if self.maximise else -1.0

    def objective_at(self, values: FloatArray) -> float:
        """Return the objective at ``values`` (n,)."""
        terms = self.products
        mine = terms.row == OBJECTIVE
        product = terms.coefficient * values[terms.onloading] * values[terms.offloading]
        return float(self.linear.objective @ values + product[mine].sum())


class Watch(Protocol):
    """Sees a search while it runs. Its methods are called from the solver's own thread."""

    def look(self, bound: float) -> None:
        """Take the bound that the solver has by now; the search goes on when this returns."""

    def take(self, values: FloatArray) -> None:
        """Take a better point, (n,)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a MIP solver may use, and when it may stop.

    Attributes
    ----------
    time
        Seconds.
    rel_gap, abs_gap
        Gap of incumbent and bound; either is enough. None leaves the solver its own default.
    nodes
        Of the search tree; None for no limit.
    checks
        Times that the solver looks at its limits, about once for each LP at the root; None for no limit. A
        limit that is the same on every machine, for HiGHS alone.
    first_incumbent
        At the first feasible point.
    stop
        Asked now and then: True ends the solve as the end of its time does.
    threads
        None for the solver's own default.
    tight
        With the tightest tolerances that the solver has: for models in which a fraction of an x that counts
        as 0 opens what a huge M holds, or in which gains are small beside other costs. SCIP has no other
        tolerance of rows that it keeps.
    plain
        Without a search for plans by heuristics: the quickest way to the bound of a MIP of some hundred
        columns. A solver may do without it.
    lean
        Without the heuristics that solve MIPs of their own in the tree: in small models they often cost more
        than they find. A solver may give them back, and do without this.
    watch
        Is told where the search is, from the solver's own thread, and may hold it up. A solver may do
        without it.
    """

    time: float = np.inf
    rel_gap: float | None = None
    abs_gap: float | None = None
    nodes: int | None = None
    checks: int | None = None
    first_incumbent: bool = False
    stop: Callable[[], bool] | None = None
    threads: int | None = None
    tight: bool = False
    plain: bool = False
    lean: bool = False
    watch: Watch | None = None

    def as_options(self, rel_gap: str, abs_gap: str, nodes: str, solutions: str) -> dict[str, Any]:
        """Return those that are set, by the names that a solver has for them."""
        given = {
            rel_gap: self.rel_gap,
            abs_gap: self.abs_gap,
            nodes: self.nodes,
            solutions: 1 if self.first_incumbent else None,
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Start:
    """A feasible point to begin with.

    Attributes
    ----------
    values : (n,)
    near_optimal : bool
        It is known to be close to the optimum: the solver need not search for plans by heuristics of its own,
        and all its time goes into the proof.
    """

    values: FloatArray
    near_optimal: bool = False


@dataclass(frozen=True, slots=True)
class MIPSolution:
    """What a MIP solver found.

    Attributes
    ----------
    status : LPStatus
        ``OPTIMAL`` within the gap that was asked for; ``STOPPED`` at a limit other than time.
    values : (n,)
        Of the incumbent; empty if there is none.
    objective : float
        Of the maximised model; -inf without an incumbent.
    bound : float
        Proven: no point is better. -inf if infeasible, +inf if nothing is proven.
    nodes : int
        Of the search tree.
    """

    status: LPStatus
    values: FloatArray
    objective: float
    bound: float
    nodes: int = 0

    @property
    def found(self) -> bool:
        """Whether there is an incumbent."""
        return len(self.values) > 0

    @staticmethod
    def without_values(status: LPStatus, bound: float = np.inf, nodes: int = 0) -> MIPSolution:
        """Return the record of a solve that ended without an incumbent."""
        bound = -np.inf if status is LPStatus.INFEASIBLE else bound
        return MIPSolution(status, np.zeros(0), -np.inf, bound, nodes)


#: Takes one line of a solver's log.
Write = Callable[[str], None]


class MIPSolver(Protocol):
    """Solves one mixed-integer model after the other, with one set of options."""

    #: Short name as in the options ("gurobi", "highs", "scip").
    name: str
    #: Whether several models may be solved at a time, each in a thread.
    parallel: bool
    #: Its name as people write it.
    title: str
    #: Name, version, and why this solver was taken; printed in the log.
    description: str
    #: Whether it takes products as they are.
    takes_products: bool
    #: A model with no more nonzeros it solves before a start is found.
    small: int

    def dual_tolerance(self, tight: bool) -> float:
        """Return how far, in absolute terms, a reduced cost may be on the wrong side of 0.

        `tight` is that of `Limits`.
        """

    def solve(
        self, model: MIPModel, limits: Limits, start: Start | None = None, write: Write | None = None
    ) -> MIPSolution:
        """Solve `model`.

        Ctrl-C ends it with the status ``INTERRUPTED`` and the best point so far.

        Parameters
        ----------
        model
            With products only if the solver takes them.
        limits
            When it may stop.
        start
            Handed over as a MIP start.
        write
            Takes the solver's log, line by line, while it runs.

        Raises
        ------
        LicenceError
            The licence does not cover the model.
        BackendError
            The solver failed.
        OptionError
            It does not take one of its options.
        """
