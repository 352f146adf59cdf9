"""What a solve leaves behind: the trace, why it ended, how long each phase took, and the outcome."""

from __future__ import annotations

import enum
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import sparse

from pyomo_j3o.core.problem import FloatArray, Plan

#: An objective, in its scaled unit, that is no larger than the first is 0 up to rounding. Its gap closes at
#: the second.
_NOTHING, _CLOSED = 1e-12, 1e-9

#: The least size of an objective in a relative gap, and the largest gap that is written in per cent where
#: nothing but objective and bound is known.
_LEAST_SIZE, _LARGEST_PERCENT = 1e-10, 10.0

#: The phases of a solve, as `timing_info` names them.
PHASES = ("compile", "certify", "onload", "offload", "improve", "exact", "load")


class Phase(enum.Enum):
    """What of a solve ended."""

    LOOP = "the alternation"
    SOLVER = "the MIP solver"
    WHOLE = "the solve"


class Ending(enum.Enum):
    """Why a solve ended; `phase` tells what of it did."""

    GAP = "the gap is closed"
    REDUCED_GAP = "the gap of a reduced problem is closed, that of the model is not"
    FIXED_POINT = "the placement stayed the same"
    THRASHING = "the same placements came again and again"
    STALLED = "hardly any progress in the last iterations"
    USER = "the stopping rule given by the user"
    ITERATIONS = "iteration limit"
    USUAL_ITERATIONS = "the usual number of iterations"
    TIME = "time limit"
    LIMIT = "a limit set in solver_options"
    TOLERANCES = "gap or tolerances of the MIP solver"
    BASELINE = "a baseline searches no further"
    REFUSED = "no plan within the tolerance of every row"
    INTERRUPTED = "interrupted"
    INFEASIBLE = "proven infeasible"
    UNBOUNDED = "unbounded"

    @property
    def phase(self) -> Phase:
        """What ended: the steps after the loop go on where only the alternation did."""
        if self in _OF_LOOP:
            return Phase.LOOP
        return Phase.SOLVER if self in (Ending.LIMIT, Ending.TOLERANCES) else Phase.WHOLE


_OF_LOOP = frozenset(
    (
        Ending.FIXED_POINT,
        Ending.THRASHING,
        Ending.STALLED,
        Ending.USER,
        Ending.ITERATIONS,
        Ending.USUAL_ITERATIONS,
    )
)


@dataclass(frozen=True, slots=True)
class Record:
    """One iteration of the alternation, in the user's own sense; also readable as ``record["incumbent"]``.

    Attributes
    ----------
    iteration : int
        Counted from 1.
    objective : float
        Of this iteration's plan; the worst infinity if its placement could not be routed.
    incumbent : float
        Objective of the best plan so far; the worst infinity before there is one.
    bound : float
        The proven bound; the best infinity without one.
    relative_gap : float
        ``|bound - incumbent| / max(|incumbent|, 1e-10)``.
    onloaded : int
        How many onloading variables are 1 in this iteration's placement.
    repeated : bool
        This placement was seen before.
    time : float
        Seconds since the call of solve().
    cycle : int
        How many iterations ago this placement was met last: 0 if never, 1 at a fixed point, more where the
        loop thrashes between placements.
    """

    iteration: int
    objective: float
    incumbent: float
    bound: float
    relative_gap: float
    onloaded: int
    repeated: bool
    time: float
    cycle: int = 0

    def __getitem__(self, name: str) -> Any:
        if name not in self.__slots__:
            raise KeyError(name)
        return getattr(self, name)

    def with_plan(self, objective: float, bound: float, sense: float, time: float | None = None) -> Record:
        """Return the record with what a later step has reached.

        Parameters
        ----------
        objective, bound
            Of the maximised problem.
        sense
            What turns them into the user's.
        time
            Seconds since the call of solve(); None to keep it.
        """
        return replace(
            self,
            incumbent=sense * objective,
            bound=sense * max(bound, objective),
            relative_gap=relative_gap(objective, bound),
            time=self.time if time is None else time,
        )


@dataclass(frozen=True, slots=True)
class Step:
    """What one step after the alternation brought, summed over the independent parts of the model.

    Attributes
    ----------
    name : str
        ``"swaps"`` (descents), ``"kernel"`` (branch and bound on the kernel), ``"milp"`` (a MILP solver), or
        ``"idle"`` (what serves nobody is closed at the end).
    gained : float
        By how much the objective got better, >= 0; inf if the step found the first plan.
    lowered : float
        By how much the bound came closer, >= 0.
    seconds : float
        Summed over parts, also over those that were searched side by side.
    """

    name: str
    gained: float
    lowered: float
    seconds: float


def relative_gap(incumbent: float, bound: float) -> float:
    """Return ``|bound - incumbent| / max(|incumbent|, 1e-10)``, inf where either is infinite."""
    if not (np.isfinite(incumbent) and np.isfinite(bound)):
        return float("inf")
    return abs(bound - incumbent) / max(abs(incumbent), _LEAST_SIZE)


def is_nothing(objective: float) -> bool:
    """Return whether an objective is so near to 0 that no gap can be measured by it."""
    return abs(objective) < _LEAST_SIZE


def gap_in_words(objective: float, bound: float) -> str:
    """Return what is written of a gap: per cent, or near an objective of 0 the distance to the bound.

    Parameters
    ----------
    objective, bound
        In either sense; both finite.
    """
    gap, distance = relative_gap(objective, bound), abs(bound - objective)
    if distance > 0 and (gap > _LARGEST_PERCENT or (gap > 1e-4 and is_nothing(objective))):
        return at_most_from_the_best(distance)
    return f"gap {100 * gap:.2f} %"


def at_most_from_the_best(distance: float) -> str:
    """Return a distance in words, with two digits, rounded up."""
    step = 10.0 ** (math.floor(math.log10(distance)) - 1)
    most = math.ceil(distance / step - 1e-9) * step if step > 0 else distance
    return f"at most {most:.1e} from the best" if most < 1e-4 else f"at most {most:.12g} from the best"


def rounding(objective: float) -> float:
    """Return the gap that counts as closed by rounding alone, in units of a scaled objective.

    Relative to an objective of 0, every gap is infinitely large.
    """
    return _CLOSED if abs(objective) <= _NOTHING else 0.0


@dataclass(slots=True)
class Timings:
    """Seconds by phase."""

    start: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return time.perf_counter() - self.start

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time spent inside to phase `name`."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - begin


@dataclass(frozen=True, slots=True)
class Cuts:
    """Rows that every plan of a problem keeps, and its LP relaxation does not.

    Attributes
    ----------
    matrix : (k, N + K) CSR
        Over the columns (x, y).
    lower, upper : (k,)
        Sides of the rows.
    """

    matrix: sparse.csr_array
    lower: FloatArray
    upper: FloatArray


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a solve on arrays; objective and bound are those of the maximised problem.

    Attributes
    ----------
    plan : Plan or None
        In the columns of the linear problem.
    bound : float
        Proven: no plan is better. +inf without one, -inf if there is no plan.
    ending : Ending
    duals : (M,) or None
        Of the routing LP of `plan`, placement fixed.
    ray : tuple of int
        Where the problem is unbounded: columns of y along which it is.
    steps : tuple of Step
        What the improvement gained, step by step.
    cuts : Cuts or None
        What the relaxation was tightened by; None if it was not, or not in the columns of this problem.
    """

    plan: Plan | None
    bound: float
    ending: Ending
    duals: FloatArray | None = None
    ray: tuple[int, ...] = ()
    steps: tuple[Step, ...] = ()
    cuts: Cuts | None = None
