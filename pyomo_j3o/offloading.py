"""The offloading step: the routing LP at a fixed placement, and its elastic form when it is infeasible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pyomo_j3o.lp.base import Backend, LinearModel, LPSolution, LPStatus
from pyomo_j3o.problem import BoolArray, FloatArray
from pyomo_j3o.structure import Structure


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

    @property
    def feasible(self) -> bool:
        """Whether a routing was found."""
        return self.status is LPStatus.OPTIMAL


class OffloadingStep:
    """Routes for one placement after the other in one LP whose bounds move, so that its basis is kept.

    The LP has the K columns of y and the routing rows only: link rows are bounds once x is fixed. For
    each row it also has slack columns, closed except when the elastic form is asked for.

    Parameters
    ----------
    structure
        Of a linear problem.
    backend
        The LP solver.
    """

    def __init__(self, structure: Structure, backend: Backend) -> None:
        self._structure = structure
        problem = structure.problem
        matrix = structure.routing_matrix
        lower, upper = (side[structure.routing_rows] for side in (problem.row_lower, problem.row_upper))
        self._over, self._under = np.flatnonzero(np.isfinite(upper)), np.flatnonzero(np.isfinite(lower))
        n_slacks = len(self._over) + len(self._under)
        slacks = sparse.csr_array(
            (
                np.concatenate([-np.ones(len(self._over)), np.ones(len(self._under))]),
                (np.concatenate([self._over, self._under]), np.arange(n_slacks)),
            ),
            shape=(matrix.shape[0], n_slacks),
        )
        self._penalty = np.concatenate([self._row_penalty()[side] for side in (self._over, self._under)])
        none_left = np.zeros(n_slacks)
        self._no_slack = none_left
        self._lp = backend.open(
            LinearModel(
                np.concatenate([problem.offloading_objective, none_left]),
                sparse.csr_array(sparse.hstack([matrix, slacks], format="csr")),
                lower,
                upper,
                np.concatenate([problem.offloading_lower, none_left]),
                np.concatenate([problem.offloading_upper, none_left]),
            )
        )

    def __call__(self, x: BoolArray, time_limit: float = np.inf) -> Routing:
        """Return the best routing for placement `x`, or elastic prices if there is none.

        Parameters
        ----------
        x
            (N,) bool.
        time_limit
            In seconds; passed to the LP solver.
        """
        structure = self._structure
        column_lower, column_upper = structure.column_bounds(x)
        row_lower, row_upper = structure.routing_bounds(x)
        crossed = column_lower > column_upper
        if crossed.any():
            # Link rows contradict one another here; the elastic LP keeps both values within reach.
            column_lower, column_upper = (
                np.minimum(column_lower, column_upper),
                np.maximum(column_lower, column_upper),
            )
        self._lp.set_row_bounds(row_lower, row_upper)
        solution = None
        if not crossed.any():
            solution = self._solve(column_lower, column_upper, self._no_slack, time_limit)
        if solution is None or solution.status is LPStatus.INFEASIBLE:
            return self._elastic(x, column_lower, column_upper, time_limit)
        return self._routing(x, solution.status, solution, column_lower, column_upper)

    def close(self) -> None:
        """Free the LP."""
        self._lp.close()

    def _solve(
        self, lower: FloatArray, upper: FloatArray, slack_upper: FloatArray, time_limit: float
    ) -> LPSolution:
        self._lp.set_column_bounds(
            np.concatenate([lower, self._no_slack]), np.concatenate([upper, slack_upper])
        )
        return self._lp.solve(time_limit)

    def _elastic(
        self, x: BoolArray, lower: FloatArray, upper: FloatArray, time_limit: float
    ) -> Routing:
        n_columns = len(lower)
        open_slack = np.full(len(self._no_slack), np.inf)
        self._lp.set_objective(
            np.concatenate([self._structure.problem.offloading_objective, -self._penalty])
        )
        solution = self._solve(lower, upper, open_slack, time_limit)
        self._lp.set_objective(
            np.concatenate([self._structure.problem.offloading_objective, self._no_slack])
        )
        status = LPStatus.INFEASIBLE if solution.status is LPStatus.OPTIMAL else solution.status
        routing = self._routing(x, status, solution, lower, upper)
        if solution.status is LPStatus.OPTIMAL:
            assert len(routing.reduced_costs) == n_columns
        return routing

    def _routing(
        self, x: BoolArray, status: LPStatus, solution: LPSolution, lower: FloatArray, upper: FloatArray
    ) -> Routing:
        structure, problem = self._structure, self._structure.problem
        n_columns = problem.n_offloading
        duals = np.zeros(problem.n_rows)
        if solution.status is not LPStatus.OPTIMAL:
            return Routing(x, status, -np.inf, np.zeros(0), duals, np.zeros(n_columns))
        duals[structure.routing_rows] = solution.row_duals
        reduced_costs = solution.reduced_costs[:n_columns].copy()
        self._move_to_links(x, duals, reduced_costs, lower, upper)
        if status is not LPStatus.OPTIMAL:
            merit = solution.objective + problem.objective_constant + problem.onloading_objective @ x
            return Routing(x, status, -np.inf, np.zeros(0), duals, reduced_costs, float(merit))
        y = np.clip(solution.values[:n_columns], lower, upper)
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
        structure, problem = self._structure, self._structure.problem
        rows, column, scale = structure.link_rows, structure.link_column, structure.link_scale
        if not len(rows):
            return
        rest = problem.onloading_rows[rows] @ x.astype(float)
        cost = reduced_costs[column]
        wants_up = cost > 0
        # Which side of the row limits the column in the direction that it wants to move.
        side = np.where(wants_up == (scale > 0), problem.row_upper[rows], problem.row_lower[rows])
        limit = (side - rest) / scale
        own = np.where(wants_up, problem.offloading_upper[column], problem.offloading_lower[column])
        at = np.where(wants_up, upper[column], lower[column])
        tighter = np.where(wants_up, limit < own, limit > own)
        binding = (cost != 0) & tighter & (np.abs(limit - at) <= 1e-9 * np.maximum(1.0, np.abs(at)))
        holders = np.flatnonzero(binding)
        _, first = np.unique(column[holders], return_index=True)
        holders = holders[first]
        duals[rows[holders]] = cost[holders] / scale[holders]
        reduced_costs[column[holders]] = 0.0

    def _row_penalty(self) -> FloatArray:
        """Return per routing row a price per unit of violation above what serving it can be worth.

        A demand row pays as much again as its best column is worth; the prices of the shared rows then
        stay within a small multiple of what they are where the placement is feasible. Other rows cost so
        much more that they give way only where unserved demand does not help.
        """
        structure = self._structure
        matrix = structure.routing_matrix
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        worth = np.abs(structure.problem.offloading_objective[matrix.indices]) / np.abs(matrix.data)
        highest = np.zeros(matrix.shape[0])
        np.maximum.at(highest, row, worth)
        typical = max(float(highest.max(initial=0.0)), 1e-6)
        demand = np.isin(structure.routing_rows, structure.demand_rows)
        return np.where(demand, np.maximum(PEN * highest, 1e-3 * typical), 100.0 * typical)
PEN = 1.0
