"""What one solve leaves to the next one of nearly the same problem."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from pyomo_j3o.certify.relaxation import Relaxation
from pyomo_j3o.certify.trail import Trail
from pyomo_j3o.core.matrices import same_matrix
from pyomo_j3o.core.problem import BoolArray, FloatArray, Problem
from pyomo_j3o.improve.boxes import Explored
from pyomo_j3o.presolve.decomposing import Part

#: Fraction by which objectives may differ from a multiple of each other.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class PartMemory:
    """What is left of one independent part.

    Attributes
    ----------
    problem : Problem
        The part as it was.
    x : (N,) bool
        The best placement found.
    relaxation : Relaxation
        Without the relaxation with cuts.
    bound : float
        Proven when the search ended.
    trail : Trail or None
        Of the relaxation.
    explored : Explored or None
        By branch and bound.
    complete : bool
        Whether the search ended by itself: not by a limit, nor because all parts together were good enough.
    """

    problem: Problem
    x: BoolArray
    relaxation: Relaxation
    bound: float
    trail: Trail | None
    explored: Explored | None
    complete: bool

    def fits(self, problem: Problem) -> bool:
        """Return whether a problem has as many columns and rows."""
        mine = self.problem
        return (mine.n_onloading, mine.n_offloading, mine.n_rows) == (
            problem.n_onloading,
            problem.n_offloading,
            problem.n_rows,
        )

    def of(self, problem: Problem) -> Unchanged | None:
        """Return what holds still of a problem with the same rows, and a multiple of the objective."""
        mine = self.problem
        if not self.complete or not _same_rows(mine, problem):
            return None
        before = np.concatenate([mine.onloading_objective, mine.offloading_objective])
        now = np.concatenate([problem.onloading_objective, problem.offloading_objective])
        if np.array_equal(before, now):
            return Unchanged(self.x, self.relaxation, self.bound)
        largest = int(np.argmax(np.abs(before), axis=0)) if len(before) else 0
        factor = now[largest] / before[largest] if len(before) and before[largest] else 0.0
        slack = np.abs(now - factor * before)
        reach = np.concatenate(
            [
                np.maximum(np.abs(mine.onloading_lower), np.abs(mine.onloading_upper)),
                np.maximum(np.abs(mine.offloading_lower), np.abs(mine.offloading_upper)),
            ]
        )
        if not factor > 0.0 or np.any(slack > _ROUNDING * np.abs(now)) or not np.all(np.isfinite(reach)):
            return None
        grain = 2.0 * _ROUNDING * float(np.abs(now) @ reach)
        relaxation = replace(
            self.relaxation,
            bound=factor * self.relaxation.bound + grain,
            duals=factor * self.relaxation.duals,
        )
        return Unchanged(self.x, relaxation, factor * self.bound + grain)


@dataclass(frozen=True, slots=True)
class Unchanged:
    """What holds of a part that is as it was, but for the unit of its objective.

    Attributes
    ----------
    x : (N,) bool
        Its best placement.
    relaxation : Relaxation
    bound : float
        Proven.
    """

    x: BoolArray
    relaxation: Relaxation
    bound: float


@dataclass(slots=True)
class Memory:
    """What a solve keeps of a problem for the next solve, whose figures may differ.

    It is handed to a solve by `Settings.memory`, which reads it and writes it. Parts of another shape are
    searched anew.

    Attributes
    ----------
    parts : dict
        By the columns of each part.
    asked : tuple
        What the solve before was asked for.
    gap : float
        Relative gap of its plan to the bound of its relaxation.
    """

    parts: dict[bytes, PartMemory] = field(default_factory=dict)
    asked: tuple[object, ...] = ()
    gap: float = 0.0

    def begin(self, asked: tuple[object, ...]) -> None:
        """Forget everything if a solve is asked for something else than the one before."""
        if asked != self.asked:
            self.parts.clear()
            self.asked = asked

    def of(self, part: Part) -> PartMemory | None:
        """Return what is left of a part; None if nothing is."""
        found = self.parts.get(_key(part))
        return found if found is not None and found.fits(part.problem) else None

    def keep(self, part: Part, memory: PartMemory) -> None:
        """Keep what is left of a part."""
        self.parts[_key(part)] = memory


def _key(part: Part) -> bytes:
    return part.onloading.tobytes() + b"|" + part.offloading.tobytes()


def _same_rows(one: Problem, other: Problem) -> bool:
    """Return whether two problems have the same plans, array by array."""
    vectors: list[tuple[FloatArray, FloatArray]] = [
        (one.row_lower, other.row_lower),
        (one.row_upper, other.row_upper),
        (one.onloading_lower, other.onloading_lower),
        (one.onloading_upper, other.onloading_upper),
        (one.offloading_lower, other.offloading_lower),
        (one.offloading_upper, other.offloading_upper),
    ]
    return (
        not len(one.products)
        and not len(other.products)
        and all(np.array_equal(a, b) for a, b in vectors)
        and same_matrix(one.onloading_rows, other.onloading_rows)
        and same_matrix(one.offloading_rows, other.offloading_rows)
    )
