"""A search over whole columns: dives from the relaxation, then small MIPs around the plan at hand.

Replicas of one model have the same price, so that greedy on F cannot tell the first from the fifth: what the
fifth gains depends on the load that the others leave. The relaxation knows the load. It is rounded a few
counts at a time. A relaxation whose sums of counts are whole knows more; plans are sought near its sums. Then
neighbouring counts are freed, all others stay, and a MIP solver searches what is free: graph induced
neighbourhood search (Maher et al. 2017, "The SCIP Optimization Suite 4.0", ZIB-Report 17-12). After each
sweep it searches all counts in which the best plan and that relaxation differ (Danna, Rothberg, Le Pape 2005,
DOI 10.1007/s10107-004-0518-7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from scipy import sparse

from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.matrices import rows_of
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.core.structure import Index
from pyomo_j3o.core.tolerances import INTEGRAL
from pyomo_j3o.improve.count_sums import sums_of, with_sums
from pyomo_j3o.improve.params import CountParams
from pyomo_j3o.lp import Backend, LinearModel, LPSolution, LPStatus
from pyomo_j3o.mip import Limits, MIPModel, MIPSolution, Start

#: Solves a MIP, from a start if there is one, within limits.
Solve = Callable[[MIPModel, Start | None, Limits], MIPSolution]


class CountSearch:
    """The best point so far of a model with whole columns, and what finds better ones.

    Parameters
    ----------
    model
        Maximised; its whole columns are marked.
    backend
        The LP solver.
    solve
        A MIP solver.
    deadline
        When to end.
    params
        How wide and how long.

    Attributes
    ----------
    best : (n,) or None
        Whole where it has to be.
    objective : float
        That of `best`; -inf without one.
    """

    def __init__(
        self, model: LinearModel, backend: Backend, solve: Solve, deadline: Deadline, params: CountParams
    ) -> None:
        assert model.integer is not None
        self.model = model
        self.best: FloatArray | None = None
        self.objective = -np.inf
        self._whole = np.flatnonzero(model.integer)
        self._solve, self._deadline, self._params = solve, deadline, params
        self._by_row = sparse.csr_array(model.matrix)
        self._by_column = sparse.csc_array(model.matrix)
        self._random = np.random.default_rng(0)
        self._backend = backend
        self._program = backend.open(model)
        self._sums: sparse.csr_array | None = None
        #: The best point found of the relaxation whose sums are whole, and these sums.
        self._guide: FloatArray | None = None

    def close(self) -> None:
        """Release the LP."""
        self._program.close()

    def relax(self) -> LPSolution:
        """Solve the relaxation."""
        self._program.set_column_bounds(self.model.lower, self.model.upper)
        return self._program.solve(self._deadline.left())

    def take(self, values: FloatArray) -> bool:
        """Keep a point if it is better than the best; return whether it is."""
        objective = float(self.model.objective @ values)
        if objective <= self.objective:
            return False
        self.best, self.objective = values, objective
        return True

    def fill(self, whole: FloatArray) -> bool:
        """Take the best point with these values of the whole columns, (whole columns,), if there is one."""
        lower, upper = self.model.lower.copy(), self.model.upper.copy()
        lower[self._whole] = upper[self._whole] = whole
        self._program.set_column_bounds(lower, upper)
        found = self._program.solve(self._deadline.left())
        return found.status is LPStatus.OPTIMAL and self.take(self._exactly(found.values))

    # --- dives --------------------------------------------------------------------------------------------

    def dive(self, root: LPSolution) -> None:
        """Round the relaxation a few columns at a time, and solve it in between, with each of the rules."""
        for sure, share in self._params.dives:
            if self._deadline.over:
                return
            point = self._dived(root, sure, share)
            if point is not None:
                self.take(point)

    def _dived(self, root: LPSolution, sure: float, share: float) -> FloatArray | None:
        """Return the point that a dive ends at; None if it died.

        What a column has reached it keeps. Of those in between two whole numbers, the ones nearest to the
        upper one get it: all above `sure`, and this share of the rest. If that is too much, half of them.
        """
        lower, upper, found = self.model.lower.copy(), self.model.upper.copy(), root
        whole = self._whole
        for _ in range(2 * len(whole)):
            value = found.values[whole]
            least = np.floor(value + INTEGRAL)
            part = value - least
            between = np.flatnonzero(part > INTEGRAL)
            if not len(between):
                return self._exactly(found.values)
            lower[whole] = np.maximum(lower[whole], np.minimum(least, upper[whole]))
            order = between[np.argsort(-part[between], kind="stable")]
            chosen = order[: max(1, int(np.sum(part[order] >= sure)), int(share * len(order)))]
            while True:
                if self._deadline.over:
                    return None
                raised = lower.copy()
                raised[whole[chosen]] = least[chosen] + 1.0
                found = self._solved(raised, upper)
                if found.status is LPStatus.OPTIMAL:
                    lower = raised
                    break
                if len(chosen) == 1:
                    upper[whole[chosen]] = least[chosen]
                    found = self._solved(lower, upper)
                    break
                chosen = chosen[: len(chosen) // 2]
            if found.status is not LPStatus.OPTIMAL:
                return None
        return None

    def _solved(self, lower: FloatArray, upper: FloatArray) -> LPSolution:
        self._program.set_column_bounds(lower, upper)
        return self._program.solve(self._deadline.left())

    def _exactly(self, values: FloatArray) -> FloatArray:
        """Return a point with its whole columns rounded."""
        point = values.copy()
        point[self._whole] = np.rint(point[self._whole])
        return point

    # --- sums ---------------------------------------------------------------------------------------------

    def relax_to_sums(self, bound: float) -> float:
        """Solve the relaxation whose sums of counts alone are whole, and return what it proves.

        Parameters
        ----------
        bound
            Proven.

        Returns
        -------
        float
            The better of both bounds.
        """
        if self._deadline.over:
            return bound
        self._sums = sums_of(self.model)
        if self._sums is None:
            return bound
        model = with_sums(self.model, self._sums, apart=False)
        if model.matrix.nnz > self._params.sum_nonzeros:
            return bound
        found = self._asked(model, self._params.sum_effort)
        # That it is infeasible is left to the LPs, which prove it.
        if not found.found:
            return bound
        # The best point is at least as good as that of the whole model: a worse one tells nothing.
        if found.objective >= self.objective:
            self._guide = found.values
        return min(bound, found.bound)

    def search_near_sums(self) -> None:
        """Dive with the sums that the relaxation chose, and let the MIP solver search sums near them."""
        if self._guide is None or self._sums is None or self._deadline.over:
            return
        n, whole = self.model.n_columns, with_sums(self.model, self._sums, apart=True)
        chosen = np.rint(self._guide[n:])
        inner = CountSearch(
            _with_last(whole, chosen, chosen), self._backend, self._solve, self._deadline, self._params
        )
        try:
            root = inner.relax()
            if root.status is LPStatus.OPTIMAL:
                inner.dive(root)
        finally:
            inner.close()
        if inner.best is not None:
            self.take(inner.best[:n])
        reach = self._params.sum_reach
        lower = np.maximum(whole.lower[n:], chosen - reach)
        upper = np.minimum(whole.upper[n:], chosen + reach)
        # From a start on, HiGHS looks for plans near the start, which the sweeps do better.
        found = self._asked(_with_last(whole, lower, upper), self._params.near_effort)
        if found.found:
            self.take(self._exactly(found.values[:n]))

    def _asked(self, model: LinearModel, effort: int) -> MIPSolution:
        """Return what the MIP solver finds out about a model within an effort; Ctrl-C goes on as such."""
        size = max(model.matrix.nnz, 1)
        limits = self._limits(0.0, max(1, effort // size))
        limits = replace(limits, checks=max(1, self._params.sum_checks // size))
        found = self._solve(MIPModel(model), None, limits)
        if found.status is LPStatus.INTERRUPTED:
            raise KeyboardInterrupt
        return found

    # --- neighbourhoods -----------------------------------------------------------------------------------

    def improve(self, closed: Callable[[float], bool], bound: float) -> Iterator[float]:
        """Free neighbouring columns of the best point, let the MIP solver search, and go on with the next.

        A sweep frees every whole column at least once. If it gains little, the next one frees more at a time.

        Parameters
        ----------
        closed
            Whether an objective is good enough.
        bound
            Proven.

        Yields
        ------
        float
            Each better objective.
        """
        params = self._params
        size = params.first
        while size <= params.largest and self.best is not None:
            before, waiting = self.objective, self._in_any_order()
            while len(waiting):
                if self._deadline.over or closed(self.objective):
                    return
                free = self._around(int(waiting[0]), size)
                waiting = waiting[~free[waiting]]
                if self._search(free, bound):
                    yield self.objective
            if self._guide is not None and self._search(self._apart_from_guide(), bound):
                yield self.objective
            if self.objective - before < params.worth * max(bound - before, 0.0):
                size *= params.growth

    def _in_any_order(self) -> IntArray:
        """Return the whole columns that can move, in a random order."""
        model, whole = self.model, self._whole
        moving = whole[model.lower[whole] < model.upper[whole]]
        return self._random.permutation(moving)

    def _apart_from_guide(self) -> BoolArray:
        """Return the whole columns in which best point and relaxation differ, and all that are not, (n,)."""
        assert self.best is not None
        assert self._guide is not None
        free, whole = np.ones(self.model.n_columns, dtype=bool), self._whole
        free[whole] = np.abs(self.best[whole] - self._guide[whole]) > INTEGRAL
        return free

    def _around(self, column: int, size: int) -> BoolArray:
        """Return `size` whole columns nearest to one over shared rows, and what lies between, (n,)."""
        assert self.model.integer is not None
        whole, free = self.model.integer, np.zeros(self.model.n_columns, dtype=bool)
        seen = np.zeros(self.model.n_rows, dtype=bool)
        front = np.array([column])
        free[front] = True
        by_column = Index(self._by_column.indptr, self._by_column.indices)
        by_row = Index(self._by_row.indptr, self._by_row.indices)
        room = size - 1
        while len(front) and room > 0:
            rows = np.unique(by_column.of_keys(front))
            rows = rows[~seen[rows]]
            seen[rows] = True
            met = np.unique(by_row.of_keys(rows)) if len(rows) else rows
            front = met[~free[met]]
            of_whole = front[whole[front]]
            if len(of_whole) > room:
                front = np.union1d(front[~whole[front]], self._random.permutation(of_whole)[:room])
            free[front] = True
            room -= min(len(of_whole), room)
        return free

    def _limits(self, abs_gap: float, nodes: int) -> Limits:
        deadline = self._deadline
        return Limits(
            deadline.left(),
            abs_gap=abs_gap,
            nodes=nodes,
            stop=lambda: deadline.over,
            threads=1,
            lean=True,
        )

    def _search(self, free: BoolArray, bound: float) -> bool:
        """Let the MIP solver search what is free around the best point; return whether that helped."""
        best, model, params = self.best, self.model, self._params
        assert best is not None
        assert model.integer is not None
        columns = np.flatnonzero(free)
        held = best.copy()
        held[columns] = 0.0
        part = sparse.csr_array(self._by_column[:, columns])
        rows = np.flatnonzero(np.diff(part.indptr))
        rest = (self._by_row @ held)[rows]
        within = LinearModel(
            model.objective[columns],
            rows_of(part, rows),
            model.row_lower[rows] - rest,
            model.row_upper[rows] - rest,
            model.lower[columns],
            model.upper[columns],
            model.integer[columns],
        )
        limits = self._limits(params.close * max(bound - self.objective, 0.0), params.nodes)
        found = self._solve(MIPModel(within), Start(best[columns]), limits)
        if found.status is LPStatus.INTERRUPTED:
            raise KeyboardInterrupt
        if not found.found:
            return False
        point = held
        point[columns] = found.values
        return self.take(self._exactly(point))


def _with_last(model: LinearModel, lower: FloatArray, upper: FloatArray) -> LinearModel:
    """Return the model with these bounds of its last columns."""
    first = model.n_columns - len(lower)
    return replace(
        model,
        lower=np.append(model.lower[:first], lower),
        upper=np.append(model.upper[:first], upper),
    )
