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
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.certify.relaxation import whole_model
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Problem
from pyomo_j3o.core.whole_numbers import in_whole_numbers
from pyomo_j3o.diagnosis.params import RelaxingParams
from pyomo_j3o.lp import LinearModel, LPStatus
from pyomo_j3o.mip import HighsMIP, Limits, MIPModel, MIPSolution, solve_checked
from pyomo_j3o.presolve.decomposing import Part, split
from pyomo_j3o.presolve.linearize import linearize
from pyomo_j3o.presolve.scaling import scale_rows


@dataclass(frozen=True, slots=True)
class Sides:
    """S sides of rows that may move outwards.

    Attributes
    ----------
    row : (S,)
        Numbers of rows.
    upper : (S,)
        Whether it is the upper side.
    size : (S,)
        How large the side is as the user wrote it, above 0: what it moves by for a share of 1.
    """

    row: IntArray
    upper: BoolArray
    size: FloatArray

    def __len__(self) -> int:
        return len(self.row)


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
        self._parts = [_Movable.of(part, sides, steps, together) for part in self._split.parts]
        #: Of each part: what is enough, a proven bound, and a point; None without one.
        self._shares = [np.zeros(len(part.sides)) for part in self._parts]
        self._least = np.zeros(len(self._parts))
        self._points: list[FloatArray | None] = [None] * len(self._parts)
        self._impossible = False
        self._least_wait = params.seconds

    def run(self) -> LPStatus:
        """Solve the LPs of all parts, then their MILPs, the hardest first."""
        begin = time.perf_counter()
        for k, part in enumerate(self._parts):
            relaxed = replace(part.model, integer=np.zeros(part.model.n_columns, dtype=bool))
            found = self._solve(relaxed, Limits(self._deadline.left(), threads=1))
            if found.status is LPStatus.INFEASIBLE:
                self._impossible = True
                return LPStatus.INFEASIBLE
            if not found.found:
                return LPStatus.TIME_LIMIT
            self._least[k] = max(-found.bound, 0.0)
        took = time.perf_counter() - begin
        self._least_wait = max(self._params.seconds, self._params.times_the_lp * took)
        self._say(f"{self._known(np.inf)} by the LP relaxation")
        for k in np.argsort(-self._least, kind="stable").tolist():
            status = self._place(k)
            if status is not LPStatus.OPTIMAL:
                self._impossible = status is LPStatus.INFEASIBLE
                return status
        return LPStatus.OPTIMAL

    def _place(self, k: int) -> LPStatus:
        """Find a point of one part with a small move."""
        part = self._parts[k]
        floor = max((float(share.max(initial=0.0)) for share in self._shares), default=0.0)
        model = part.not_below(floor) if self._together else part.model
        known = max(float(self._least[k]), floor if self._together else 0.0)
        patience = _Patience(self._params, self._least_wait, model.objective, -known, self._tell)
        limits = Limits(
            self._deadline.left(),
            rel_gap=self._params.gap,
            abs_gap=self._params.gap_of_sides,
            stop=patience.over,
            threads=1,
            watch=patience,
        )
        found = self._solve(model, limits)
        if found.status is LPStatus.INFEASIBLE and not found.found:
            return LPStatus.INFEASIBLE
        if -found.bound > floor or not self._together:
            # Below the floor nothing was looked for, so nothing was proven there.
            self._least[k] = max(self._least[k], -found.bound)
        if found.found:
            self._keep(k, model, found)
        if found.status is LPStatus.INTERRUPTED:
            raise KeyboardInterrupt
        return LPStatus.OPTIMAL if found.found else LPStatus.TIME_LIMIT

    def _keep(self, k: int, model: LinearModel, found: MIPSolution) -> None:
        """Keep a point: the x of a MILP is near 0 and 1, and an LP says what the rounded x needs."""
        integer = np.asarray(model.integer)
        lower, upper = model.lower.copy(), model.upper.copy()
        lower[integer] = upper[integer] = np.rint(found.values[integer])
        exact = self._solve(replace(model, lower=lower, upper=upper), Limits(self._deadline.last_work()))
        values = exact.values if exact.found else found.values
        self._points[k] = values[: self._parts[k].n_plan]
        self._shares[k] = self._parts[k].shares(values)

    def _solve(self, model: LinearModel, limits: Limits) -> MIPSolution:
        if limits.time <= 0:
            return MIPSolution.without_values(LPStatus.TIME_LIMIT)
        found = solve_checked(HighsMIP(), MIPModel(model), limits)
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


@dataclass(frozen=True, slots=True)
class _Movable:
    """One part as a MILP in which its named sides move at a price.

    Attributes
    ----------
    model : LinearModel
        The shares are the last columns: one if all sides move together, else one for each.
    sides : IntArray
        The positions, among all sides, of those in this part.
    n_x, n_plan : int
        Number of columns of x, and of x and y.
    """

    model: LinearModel
    sides: IntArray
    n_x: int
    n_plan: int

    @staticmethod
    def of(part: Part, sides: Sides, steps: FloatArray, together: bool) -> _Movable:
        """Return a part whose sides move by these steps, (S,), for a share of 1."""
        mine = np.flatnonzero(np.isin(sides.row, part.rows))
        row, upper = np.searchsorted(part.rows, sides.row[mine]), sides.upper[mine]
        plain = whole_model(part.problem)
        side = np.where(upper, plain.row_upper[row], plain.row_lower[row])
        n_shares = min(1, len(mine)) if together else len(mine)
        # Each named side becomes a row of its own, a'v - s t <= b or a'v + s t >= b with the step s.
        number = np.zeros(len(mine), dtype=np.int64) if together else np.arange(len(mine))
        step = sparse.csr_array(
            (np.where(upper, -1.0, 1.0) * steps[mine], (np.arange(len(mine)), number)),
            shape=(len(mine), n_shares),
        )
        matrix = sparse.csr_array(plain.matrix)
        lower, upper_side = plain.row_lower.copy(), plain.row_upper.copy()
        lower[row[~upper]], upper_side[row[upper]] = -np.inf, np.inf
        model = LinearModel(
            objective=np.concatenate([np.zeros(plain.n_columns), -np.ones(n_shares)]),
            matrix=sparse.csr_array(
                sparse.block_array([[matrix, None], [matrix[row], step]], format="csr")
                if len(mine)
                else matrix
            ),
            row_lower=np.concatenate([lower, np.where(upper, -np.inf, side)]),
            row_upper=np.concatenate([upper_side, np.where(upper, side, np.inf)]),
            lower=np.concatenate([plain.lower, np.zeros(n_shares)]),
            upper=np.concatenate([plain.upper, np.full(n_shares, np.inf)]),
            integer=np.concatenate([np.asarray(plain.integer), np.zeros(n_shares, dtype=bool)]),
        )
        return _Movable(model, mine, part.problem.n_onloading, plain.n_columns)

    def not_below(self, share: float) -> LinearModel:
        """Return the model with a common share that is not below this one."""
        lower = self.model.lower.copy()
        lower[self.n_plan :] = share
        return replace(self.model, lower=lower)

    def shares(self, values: FloatArray) -> FloatArray:
        """Return the share of each of the sides at a point."""
        return np.maximum(np.broadcast_to(values[self.n_plan :], len(self.sides)), 0.0)


def _counted(problem: Problem, sides: Sides) -> tuple[Problem, FloatArray]:
    """Return the problem with rows in whole numbers counted in their units, and the factor of each row, (M,).

    Named rows keep their sides.
    """
    counted, factors, crossed = in_whole_numbers(problem)
    kept = np.union1d(crossed, sides.row)
    lower, upper = counted.row_lower.copy(), counted.row_upper.copy()
    lower[kept], upper[kept] = (problem.row_lower * factors)[kept], (problem.row_upper * factors)[kept]
    return replace(counted, row_lower=lower, row_upper=upper), factors


class _Patience:
    """Watches a search: it does not pay any more if it has gained next to nothing for as long as it took.

    Parameters
    ----------
    params
        What counts as a gain, and for how long to wait for one.
    least_wait
        Seconds to wait for a gain at least.
    objective
        (n,), of the maximised model.
    bound
        Of the maximised model, known before the search.
    tell
        Takes the share of the best point, when there is a better one.
    """

    def __init__(
        self,
        params: RelaxingParams,
        least_wait: float,
        objective: FloatArray,
        bound: float,
        tell: Callable[[float], None],
    ) -> None:
        self._params, self._least_wait = params, least_wait
        self._objective, self._bound, self._tell = objective, bound, tell
        self._best, self._told = -np.inf, -np.inf
        self._gap = np.inf
        self._begin = self._gained = time.perf_counter()

    def look(self, bound: float) -> None:
        """Take the bound that the solver has by now."""
        self._bound = min(self._bound, bound)
        self._note()

    def take(self, values: FloatArray) -> None:
        """Take a better point, (n,)."""
        self._best = max(self._best, float(self._objective @ values))
        self._note()

    def _note(self) -> None:
        gap = self._bound - self._best
        if gap <= (1 - self._params.gain) * self._gap:
            self._gap, self._gained = gap, time.perf_counter()

    def over(self) -> bool:
        """Return whether the search does not pay any more."""
        if self._best > self._told:
            self._told = self._best
            self._tell(-self._best)
        if not np.isfinite(self._best):
            return False
        waited = time.perf_counter() - self._gained
        wait = max(self._least_wait, self._params.patience * (self._gained - self._begin))
        # The share at hand is -best, the factor one more.
        left = (self._bound - self._best) / (self._params.wide * (1.0 - self._best))
        least, most = self._params.proportion
        return waited > min(max(left, least), most) * wait
