"""The offloading step: the routing LP at a fixed placement, and its elastic form when it is infeasible."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from pyomo_j3o.core.problem import BoolArray, FloatArray, Plan
from pyomo_j3o.core.structure import PlacementRows, Structure
from pyomo_j3o.core.tolerances import ROUNDING, rounding_of
from pyomo_j3o.lp.base import Backend, LinearModel, LinearProgram, LPSolution, LPStatus
from pyomo_j3o.presolve.decomposing import Split

#: Where there are more parts, their LPs are freed between two placements: a solver holds several times what
#: an LP of a small part needs, and opening one anew from its basis is quick.
_OPEN = 16

#: What one part says of the whole.
_WORST_FIRST = (LPStatus.UNBOUNDED, LPStatus.TIME_LIMIT, LPStatus.INFEASIBLE)


@dataclass(frozen=True, slots=True)
class Routing:
    """The best routing of one placement.

    Attributes
    ----------
    x : (N,) bool
        The placement.
    status : LPStatus
        ``INFEASIBLE`` if no routing serves the placement; then `y` is empty and `duals` come from the
        elastic LP.
    objective : float
        Of the maximised problem, x included; -inf if infeasible.
    y : (K,)
    duals : (M,)
        Of all rows; those of rows over x alone are 0.
    reduced_costs : (K,)
        Of y; the part that a link row holds at its bound is in that row's dual instead.
    merit : float
        The objective, or that of the elastic LP (penalties included) where no routing exists.
    """

    x: BoolArray
    status: LPStatus
    objective: float
    y: FloatArray
    duals: FloatArray
    reduced_costs: FloatArray
    merit: float = -np.inf

    @staticmethod
    def impossible(x: BoolArray, structure: PlacementRows) -> Routing:
        """Return the routing of a placement that breaks a row over x alone: none, and no prices."""
        problem = structure.problem
        zeros = np.zeros(problem.n_offloading)
        return Routing(x, LPStatus.INFEASIBLE, -np.inf, np.zeros(0), np.zeros(problem.n_rows), zeros)

    @staticmethod
    def of_plan(plan: Plan, structure: PlacementRows) -> Routing:
        """Return a plan found otherwise as a routing, without prices."""
        problem = structure.problem
        duals, costs = np.zeros(problem.n_rows), np.zeros(problem.n_offloading)
        return Routing(plan.x, LPStatus.OPTIMAL, plan.objective, plan.y, duals, costs, plan.objective)

    @property
    def solved(self) -> bool:
        """Whether an LP, the routing's or its elastic form, was solved to its optimum."""
        return self.status in (LPStatus.OPTIMAL, LPStatus.INFEASIBLE)

    @property
    def feasible(self) -> bool:
        """Whether a routing was found."""
        return self.status is LPStatus.OPTIMAL

    def better_than(self, other: Routing) -> bool:
        """Feasible beats infeasible; among equals the larger merit wins, by more than rounding."""
        if self.feasible != other.feasible:
            return self.feasible
        return self.merit > other.merit + ROUNDING * max(1.0, abs(other.merit))


class OffloadingStep:
    """Routes for one placement after the other in one LP whose bounds move, so that its basis is kept.

    The LP has the routing rows only: link rows are bounds once x is fixed. Of the K columns of y it has those
    that some placement so far has opened; one that is not open is 0. For each row it also has slack columns,
    closed except when the elastic form is asked for.

    Parameters
    ----------
    structure
        Of a linear problem.
    backend
        The LP solver.
    """

    def __init__(self, structure: Structure, backend: Backend) -> None:
        self.structure = structure
        problem = structure.problem
        n_rows = len(structure.routing_rows)
        lower, upper = (side[structure.routing_rows] for side in (problem.row_lower, problem.row_upper))
        self._over, self._under = np.flatnonzero(np.isfinite(upper)), np.flatnonzero(np.isfinite(lower))
        n_slacks = len(self._over) + len(self._under)
        slacks = sparse.csr_array(
            (
                np.concatenate([-np.ones(len(self._over)), np.ones(len(self._under))]),
                (np.concatenate([self._over, self._under]), np.arange(n_slacks)),
            ),
            shape=(n_rows, n_slacks),
        )
        self._penalty = np.concatenate([structure.penalty[side] for side in (self._over, self._under)])
        self._no_slack = np.zeros(n_slacks)
        self._backend = backend
        self._slacks, self._sides = slacks, (lower, upper)
        self._columns = np.zeros(0, dtype=np.int64)
        self._inside = np.zeros(problem.n_offloading, dtype=bool)
        self._next: BoolArray | None = None
        self._basis: Any = None
        self._lp: LinearProgram | None = None

    def expect(self, x: BoolArray) -> None:
        """Say which placement, (N,) bool, holds all that are asked for next: its columns come in together."""
        self._next = x

    def __call__(self, x: BoolArray, time_limit: float = np.inf, at_least: float = -np.inf) -> Routing:
        """Return the best routing for placement `x`, or elastic prices if there is none.

        The elastic LP is solved first. It is a relaxation: where its optimum uses no slack it is the
        routing LP's own, and where it does not exceed `at_least`, no routing does. Only otherwise is the
        slack closed.

        Parameters
        ----------
        x
            (N,) bool.
        time_limit
            In seconds; passed to the LP solver.
        at_least
            A routing that is not better than this is of no use and may be reported as infeasible.
        """
        structure = self.structure
        start = time.perf_counter()
        lower, upper = structure.column_bounds(x)
        self._let_in((lower != 0.0) | (upper != 0.0))
        assert self._lp is not None
        self._lp.set_row_bounds(*structure.routing_bounds(x))
        crossed = bool(np.any(lower > upper))
        if crossed:
            # Link rows contradict one another at x; the elastic LP keeps both values within reach.
            lower, upper = np.minimum(lower, upper), np.maximum(lower, upper)
        elastic = self._solve(lower, upper, np.full(len(self._no_slack), np.inf), time_limit)
        if elastic.status is LPStatus.UNBOUNDED:
            if crossed:
                return Routing.impossible(x, structure)
            # Its slack may be what is unbounded.
            plain = self._solve(lower, upper, self._no_slack, time_limit)
            if plain.status is LPStatus.INFEASIBLE:
                return Routing.impossible(x, structure)
            return self._routing(x, plain.status, plain, lower, upper)
        if elastic.status is not LPStatus.OPTIMAL:
            return self._routing(x, elastic.status, elastic, lower, upper)
        slack = elastic.values[: len(self._no_slack)]
        if not crossed and slack.max(initial=0.0) <= 1e-9:
            return self._routing(x, LPStatus.OPTIMAL, elastic, lower, upper)
        routing = self._routing(x, LPStatus.INFEASIBLE, elastic, lower, upper)
        if crossed or routing.merit <= at_least:
            return routing
        left = time_limit - (time.perf_counter() - start)
        plain = self._solve(lower, upper, self._no_slack, left)
        if plain.status is LPStatus.INFEASIBLE:
            return routing
        return self._routing(x, plain.status, plain, lower, upper)

    def close(self) -> None:
        """Free the LP; the next placement opens it anew from its basis."""
        if self._lp is not None:
            self._lp.close()
            self._lp = None

    def _let_in(self, columns: BoolArray) -> None:
        """Open the LP anew if some of `columns`, (K,) bool, are not in it, from the basis it had."""
        if self._lp is not None and not np.any(columns & ~self._inside):
            return
        if self._next is not None:
            lower, upper = self.structure.column_bounds(self._next)
            columns = columns | (lower != 0.0) | (upper != 0.0)
        new = np.flatnonzero(columns & ~self._inside)
        self._inside[new] = True
        self._columns = np.concatenate([self._columns, new])
        structure, problem = self.structure, self.structure.problem
        # The slacks come first, so that a basis knows its columns again when others are appended.
        program = self._backend.open(
            LinearModel(
                np.concatenate([-self._penalty, problem.offloading_objective[self._columns]]),
                sparse.csr_array(
                    sparse.hstack([self._slacks, structure.routing_matrix[:, self._columns]], format="csr")
                ),
                *self._sides,
                np.concatenate([self._no_slack, problem.offloading_lower[self._columns]]),
                np.concatenate(
                    [np.full(len(self._no_slack), np.inf), problem.offloading_upper[self._columns]]
                ),
            )
        )
        if self._basis is not None:
            program.set_basis(self._basis)
        self.close()
        self._lp = program

    def _solve(
        self, lower: FloatArray, upper: FloatArray, slack_upper: FloatArray, time_limit: float
    ) -> LPSolution:
        assert self._lp is not None
        self._lp.set_column_bounds(
            np.concatenate([self._no_slack, lower[self._columns]]),
            np.concatenate([slack_upper, upper[self._columns]]),
        )
        found = self._lp.solve(time_limit)
        self._basis = self._lp.basis() if found.status is LPStatus.OPTIMAL else None
        return found

    def _routing(
        self, x: BoolArray, status: LPStatus, solution: LPSolution, lower: FloatArray, upper: FloatArray
    ) -> Routing:
        structure, problem = self.structure, self.structure.problem
        n_columns = problem.n_offloading
        duals = np.zeros(problem.n_rows)
        if solution.status is not LPStatus.OPTIMAL:
            return Routing(x, status, -np.inf, np.zeros(0), duals, np.zeros(n_columns))
        duals[structure.routing_rows] = solution.row_duals
        reduced_costs = problem.offloading_objective - structure.routing_matrix.T @ solution.row_duals
        reduced_costs[self._columns] = solution.reduced_costs[len(self._no_slack) :]
        self._move_to_links(x, duals, reduced_costs, lower, upper)
        if status is not LPStatus.OPTIMAL:
            merit = solution.objective + problem.objective_constant + problem.onloading_objective @ x
            return Routing(x, status, -np.inf, np.zeros(0), duals, reduced_costs, float(merit))
        y = np.zeros(n_columns)
        y[self._columns] = solution.values[len(self._no_slack) :]
        y = np.clip(y, lower, upper)
        objective = (
            problem.objective_constant + problem.onloading_objective @ x + problem.offloading_objective @ y
        )
        return Routing(x, status, float(objective), y, duals, reduced_costs, float(objective))

    def _move_to_links(
        self,
        x: BoolArray,
        duals: FloatArray,
        reduced_costs: FloatArray,
        lower: FloatArray,
        upper: FloatArray,
    ) -> None:
        """Turn the reduced cost of a column that a link row holds at its bound into that row's dual."""
        structure, problem = self.structure, self.structure.problem
        rows, column, scale = structure.link_rows, structure.link_column, structure.link_scale
        if not len(rows):
            return
        rest = structure.link_matrix @ x.astype(float)
        cost = reduced_costs[column]
        wants_up = cost > 0
        # Which side of the row limits the column in the direction that it wants to move.
        side = np.where(wants_up == (scale > 0), problem.row_upper[rows], problem.row_lower[rows])
        limit = (side - rest) / scale
        own = np.where(wants_up, problem.offloading_upper[column], problem.offloading_lower[column])
        at = np.where(wants_up, upper[column], lower[column])
        tighter = np.where(wants_up, limit < own, limit > own)
        with np.errstate(invalid="ignore"):  # an open side is no limit, and inf - inf is not near 0
            near = np.abs(limit - at) <= rounding_of(at)
        binding = (cost != 0) & tighter & near
        holders = np.flatnonzero(binding)
        _, first = np.unique(column[holders], return_index=True)
        holders = holders[first]
        duals[rows[holders]] = cost[holders] / scale[holders]
        reduced_costs[column[holders]] = 0.0


class OffloadingByParts:
    """The offloading step of a problem in independent parts, one LP each; it keeps the best routing of each.

    Parameters
    ----------
    whole
        A linear problem in its independent parts.
    structures
        Of the parts.
    backend
        The LP solver.
    """

    def __init__(self, whole: Split, structures: Sequence[Structure], backend: Backend) -> None:
        self._whole = whole
        self._steps = [OffloadingStep(structure, backend) for structure in structures]
        self._best: list[Routing | None] = [None] * len(structures)

    def __call__(self, x: BoolArray, time_limit: float = np.inf, at_least: float = -np.inf) -> Routing:
        """Return the routing of placement `x`; see `OffloadingStep`."""
        start = time.perf_counter()
        found = []
        for k, (part, step) in enumerate(zip(self._whole.parts, self._steps, strict=True)):
            before = self._best[k]
            if len(self._steps) > 1:
                at_least = before.objective if before is not None and before.feasible else -np.inf
            left = time_limit - (time.perf_counter() - start)
            routing = step(x[part.onloading], left, at_least)
            if len(self._steps) > _OPEN:
                step.close()
            if routing.solved and (before is None or routing.better_than(before)):
                self._best[k] = routing
            found.append(routing)
        return self._together(found)

    def adopt(self, k: int, routing: Routing) -> None:
        """Take over a routing of part `k` that something else has found, if it is the best so far."""
        before = self._best[k]
        if before is None or routing.better_than(before):
            self._best[k] = routing

    @property
    def best(self) -> Routing | None:
        """The best routings of all parts so far as one; None if a part has none yet."""
        known = [routing for routing in self._best if routing is not None]
        return self._together(known) if len(known) == len(self._steps) else None

    def rest(self) -> None:
        """Free the LPs until a placement is asked for again."""
        self.close()

    def close(self) -> None:
        """Free the LPs."""
        for step in self._steps:
            step.close()

    def _together(self, routings: Sequence[Routing]) -> Routing:
        whole, problem = self._whole, self._whole.original
        x = whole.placement(routing.x for routing in routings)
        duals = whole.rows(routing.duals for routing in routings)
        costs = whole.offloading(routing.reduced_costs for routing in routings)
        statuses = [routing.status for routing in routings]
        status = next((one for one in _WORST_FIRST if one in statuses), LPStatus.OPTIMAL)
        merit = problem.objective_constant + sum(routing.merit for routing in routings)
        objective = problem.objective_constant + sum(routing.objective for routing in routings)
        y = np.zeros(0)
        if all(routing.feasible for routing in routings):
            y = whole.offloading(routing.y for routing in routings)
        else:
            objective = -np.inf
        return Routing(x, status, objective, y, duals, costs, merit)
