"""By how much named sides of rows have to move outwards: one LP for a bound, one MILP for the amount.

Every side is measured by its size as the user wrote it: moved by a share t, a side b of <= becomes
b + t |b|, and a side b of >= becomes b - t |b|. The arrays have other sides, as constants of a row, fixed
variables and the least values of counts have moved into them; what a side moves by is the same. Together,
all sides move by one share, and the least one is looked for. By themselves, each side has a share of its
own, and the least sum is looked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import FloatArray, Problem
from pyomo_j3o.core.whole_numbers import in_whole_numbers
from pyomo_j3o.diagnosis.movable import Movable, Sides
from pyomo_j3o.diagnosis.params import RelaxingParams
from pyomo_j3o.diagnosis.patience import Patience
from pyomo_j3o.diagnosis.rounding import around, dive
from pyomo_j3o.lp import HighsBackend, LinearModel, LPStatus
from pyomo_j3o.mip import HighsMIP, Limits, MIPModel, MIPSolution, Start, solve_checked
from pyomo_j3o.presolve.decomposing import split
from pyomo_j3o.presolve.linearize import linearize
from pyomo_j3o.presolve.scaling import scale_rows


@dataclass(frozen=True, slots=True)
class Moved:
    """What is known of the least move of sides that leaves a plan.

    Attributes
    ----------
    status : LPStatus
        ``OPTIMAL`` if a move is known that is enough, ``INFEASIBLE`` if it is proven that none is,
        ``TIME_LIMIT`` or ``INTERRUPTED`` if neither was found.
    share : (S,)
        By what share of its size each side moves; together, the same for all. Empty if no move is known.
    least : float
        Proven: no smaller share (together) or sum of shares (each by itself) is enough.
    x, y : (N,), (K,)
        The plan that the move leaves. Empty if no move is known.
    interrupted : bool
        Whether Ctrl-C ended the search.
    """

    status: LPStatus
    share: FloatArray
    least: float
    x: FloatArray
    y: FloatArray
    interrupted: bool = False

    @property
    def total(self) -> float:
        """The sum of the shares."""
        return float(self.share.sum())


def least_move(
    problem: Problem,
    sides: Sides,
    together: bool,
    deadline: Deadline,
    say: Callable[[str], None] = lambda text: None,
    params: RelaxingParams = RelaxingParams(),
) -> Moved:
    """Find the least move of sides that leaves a plan.

    Parameters
    ----------
    problem
        With or without products.
    sides
        That may move.
    together
        Whether all of them move by one share.
    deadline
        When to end.
    say
        Takes a line on what is known by now.
    params
        When the search does not pay any more.

    Raises
    ------
    UnboundedProductError
        If the products cannot be linearised.
    BackendError
        HiGHS failed.
    """
    search = _Search(problem, sides, together, deadline, say, params)
    try:
        status = search.run()
    except KeyboardInterrupt:
        return search.moved(LPStatus.INTERRUPTED, interrupted=True)
    return search.moved(status, interrupted=False)


class _Search:
    """The search in one part after another; together, a part begins from the share that the others need."""

    def __init__(
        self,
        problem: Problem,
        sides: Sides,
        together: bool,
        deadline: Deadline,
        say: Callable[[str], None],
        params: RelaxingParams,
    ) -> None:
        self._problem, self._sides, self._together = problem, sides, together
        self._deadline, self._say, self._params = deadline, say, params
        linear = linearize(problem).problem
        counted, factors = _counted(linear, sides)
        scaled = scale_rows(counted)
        self._split = split(scaled.problem)
        steps = sides.size * (factors * scaled.row)[sides.row]
        self._parts = [Movable.of(part, sides, steps, together) for part in self._split.parts]
        #: Of each part: what is enough, a proven bound, and a point; None without one.
        self._shares = [np.zeros(len(part.sides)) for part in self._parts]
        self._least = np.zeros(len(self._parts))
        self._points: list[FloatArray | None] = [None] * len(self._parts)
        self._impossible = False
        #: The optimum of its LP relaxation, and the process time that took.
        self._relaxed: list[FloatArray | None] = [None] * len(self._parts)
        self._seconds = np.zeros(len(self._parts))

    def run(self) -> LPStatus:
        """Solve the LPs of all parts, then their MILPs, the hardest first."""
        for k in range(len(self._parts)):
            status = self._relax(k)
            if status is not LPStatus.OPTIMAL:
                self._impossible = status is LPStatus.INFEASIBLE
                return status
        self._say(f"{self._known(np.inf)} by the LP relaxation")
        for k in np.argsort(-self._least, kind="stable").tolist():
            status = self._place(k)
            if status is not LPStatus.OPTIMAL:
                self._impossible = status is LPStatus.INFEASIBLE
                return status
        return LPStatus.OPTIMAL

    def _relax(self, k: int) -> LPStatus:
        """Prove a bound of one part by its LP relaxation, and note how long that takes."""
        if self._deadline.over:
            return LPStatus.TIME_LIMIT
        part, begin = self._parts[k], time.process_time()
        model = replace(part.model, integer=np.zeros(part.model.n_columns, dtype=bool))
        found = self._solve(model, Limits(self._deadline.left(), threads=1))
        self._seconds[k] = time.process_time() - begin
        if found.status is LPStatus.INFEASIBLE:
            return LPStatus.INFEASIBLE
        if not found.found:
            return LPStatus.TIME_LIMIT
        self._least[k], self._relaxed[k] = max(-found.bound, 0.0), found.values
        return LPStatus.OPTIMAL

    def _place(self, k: int) -> LPStatus:
        """Find a point of one part with a small move."""
        part, params = self._parts[k], self._params
        floor = max((float(share.max(initial=0.0)) for share in self._shares), default=0.0)
        model = part.not_below(floor) if self._together else part.model
        known = max(float(self._least[k]), floor if self._together else 0.0)
        # Process time: other programs of the machine do not count.
        most = max(params.seconds, params.times_the_lp * self._seconds[k])
        pace = Deadline(most, clock=time.process_time)
        start = self._first_point(k, model, pace)
        patience = Patience(params, most, model.objective, -known, start, self._tell)
        limits = Limits(
            self._deadline.left(),
            rel_gap=params.gap,
            abs_gap=params.gap_of_sides,
            stop=lambda: patience.over() or (patience.has_point and pace.over),
            threads=1,
            watch=patience,
        )
        found = self._solve(model, limits, start)
        if found.status is LPStatus.INFEASIBLE and not found.found:
            return LPStatus.INFEASIBLE
        if -found.bound > floor or not self._together:
            # Below the floor nothing was looked for, so nothing was proven there.
            self._least[k] = max(self._least[k], -found.bound)
        points = [found.values if found.found else None, patience.point, start]
        values = self._best_of(model, points)
        if values is not None:
            self._points[k] = values[: part.n_plan]
            self._shares[k] = part.shares(values)
        if found.status is LPStatus.INTERRUPTED:
            raise KeyboardInterrupt
        return LPStatus.TIME_LIMIT if values is None else LPStatus.OPTIMAL

    def _first_point(self, k: int, model: LinearModel, pace: Deadline) -> FloatArray | None:
        """Return a first point of a large part, and a better one near it; None if there is none.

        The LP relaxation is rounded. If that leads nowhere, it is the first point of the MILP.
        """
        if self._relaxed[k] is None or model.matrix.nnz <= HighsMIP.small:
            return None
        relaxed, point = self._rounded(self._parts[k], model, pace)
        if relaxed is None:
            return None
        if point is None:
            limits = self._limits(pace.share(self._params.first))
            found = self._solve(model, replace(limits, first_incumbent=True))
            point = self._routed(model, found.values) if found.found else None
        if point is None:
            return None
        self._tell(-float(model.objective @ point))
        while not pace.over:
            limits = self._limits(pace.share(self._params.around))
            found = self._solve(around(model, relaxed, point), limits, point)
            near = self._best_of(model, [found.values if found.found else None, point])
            before, bound = float(model.objective @ point), -float(self._least[k])
            point = point if near is None else near
            gained = float(model.objective @ point) - before
            self._tell(-float(model.objective @ point))
            if gained <= self._params.gain * (bound - before):
                break
        return point

    def _limits(self, share: Deadline) -> Limits:
        """Return the limits of a search that ends with a share of process time."""
        return Limits(
            self._deadline.left(),
            rel_gap=self._params.gap,
            abs_gap=self._params.gap_of_sides,
            stop=lambda: share.over,
            threads=1,
        )

    def _rounded(
        self, part: Movable, model: LinearModel, pace: Deadline
    ) -> tuple[FloatArray | None, FloatArray | None]:
        """Return the optimum of the LP relaxation, and the point that rounding makes of it."""
        share = pace.share(self._params.first)
        with closing(HighsBackend().open(model)) as program:
            solved = program.solve(self._deadline.left())
            if solved.status is not LPStatus.OPTIMAL:
                return None, None
            dived = dive(
                program, part, solved.values, lambda: share.over or self._deadline.over, self._params
            )
        return solved.values, None if dived is None else self._routed(model, dived)

    def _routed(self, model: LinearModel, point: FloatArray) -> FloatArray | None:
        """Return the best point with the rounded x of this one; None if an LP finds none."""
        integer = np.asarray(model.integer)
        lower, upper = model.lower.copy(), model.upper.copy()
        lower[integer] = upper[integer] = np.rint(point[integer])
        fixed = replace(model, lower=lower, upper=upper)
        exact = self._solve(fixed, Limits(self._deadline.last_work(), threads=1))
        return exact.values if exact.found else None

    def _best_of(self, model: LinearModel, points: list[FloatArray | None]) -> FloatArray | None:
        """Return the best of some points, each with its x rounded.

        The x of a MILP is near 0 and 1, and an LP says what the rounded x needs. If no LP ends in time, the
        first of the points counts as the solver has checked it.
        """
        known = [point for point in points if point is not None]
        routed = [self._routed(model, point) for point in known]
        exact = [point for point in routed if point is not None] or known[:1]
        return max(exact, key=lambda point: float(model.objective @ point), default=None)

    def _solve(self, model: LinearModel, limits: Limits, start: FloatArray | None = None) -> MIPSolution:
        if limits.time <= 0:
            return MIPSolution.without_values(LPStatus.TIME_LIMIT)
        known = None if start is None else Start(start)
        found = solve_checked(HighsMIP(), MIPModel(model), limits, known)
        if found.status is LPStatus.INTERRUPTED and not found.found:
            raise KeyboardInterrupt
        return found

    def _tell(self, share: float) -> None:
        self._say(self._known(share))

    def _known(self, share: float) -> str:
        """Return what is known of the move in words."""
        least = self._least.max(initial=0.0) if self._together else self._least.sum()
        if self._together:
            most = f" and at most {1 + share:.4g}" if np.isfinite(share) else ""
            return f"a factor of at least {1 + least:.4g}{most}"
        most = f" and at most {100 * share:.4g} %" if np.isfinite(share) else ""
        return f"changes of at least {100 * least:.4g} %{most} in all"

    def moved(self, status: LPStatus, interrupted: bool) -> Moved:
        """Return what is known."""
        least = float(self._least.max(initial=0.0) if self._together else self._least.sum())
        known = [point for point in self._points if point is not None]
        if len(known) < len(self._parts):
            least = np.inf if self._impossible else least
            return Moved(status, np.zeros(0), least, np.zeros(0), np.zeros(0), interrupted)
        share = np.zeros(len(self._sides))
        for part, found in zip(self._parts, self._shares, strict=True):
            share[part.sides] = found
        if self._together:
            share[:] = share.max(initial=0.0)
        columns = [point[: part.n_x] for point, part in zip(known, self._parts, strict=True)]
        routing = [point[part.n_x :] for point, part in zip(known, self._parts, strict=True)]
        # After the columns of the model come those of linearised products.
        y = self._split.offloading(routing)[: self._problem.n_offloading]
        return Moved(LPStatus.OPTIMAL, share, least, self._split.onloading(columns), y, interrupted)


def _counted(problem: Problem, sides: Sides) -> tuple[Problem, FloatArray]:
    """Return the problem with rows in whole numbers counted in their units, and the factor of each row, (M,).

    Named rows keep their sides.
    """
    counted, factors, crossed = in_whole_numbers(problem)
    kept = np.union1d(crossed, sides.row)
    lower, upper = counted.row_lower.copy(), counted.row_upper.copy()
    lower[kept], upper[kept] = (problem.row_lower * factors)[kept], (problem.row_upper * factors)[kept]
    return replace(counted, row_lower=lower, row_upper=upper), factors
