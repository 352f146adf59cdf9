"""How to solve, and what with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from pyomo_j3o.alternate.onloading import OnloadingStep
from pyomo_j3o.alternate.stopping import Stop
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.log import Log
from pyomo_j3o.core.problem import BoolArray
from pyomo_j3o.core.results import Record, Timings, relative_gap, rounding
from pyomo_j3o.lp import Backend
from pyomo_j3o.methods.memory import Memory
from pyomo_j3o.methods.params import Params
from pyomo_j3o.mip import MIPSolver
from pyomo_j3o.presolve.charged import Charged


@dataclass(frozen=True, slots=True)
class Context:
    """What every step of one solve needs.

    Attributes
    ----------
    backend : Backend
        The LP solver.
    deadline : Deadline
        When the solve has to end.
    timings : Timings
        Extended by the phases.
    log : Log
        What ``tee`` prints.
    """

    backend: Backend
    deadline: Deadline
    timings: Timings
    log: Log


@dataclass(frozen=True, slots=True)
class Settings:
    """How to solve.

    Attributes
    ----------
    stop
        Ends the alternation.
    rel_gap, abs_gap
        A plan this close to the bound is optimal.
    max_iterations
        Of all alternations together.
    improve
        Search on after the alternation.
    bound
        "cuts", "lp" or "none".
    onloading_step
        The user's own, or None for the greedy one.
    callback
        Called with each record.
    threads
        Number of independent parts that are worked on at a time; None for one.
    mip_solvers
        Returns the MIP solvers that may finish the improvement, best first; None for none.
    params
        Parameters of all steps.
    start
        A placement to begin with, (N,) bool, or None.
    charged
        Who pays for batches, for a second alternation with BAJ3O's surrogate; None for none.
    branches
        Whether any step may branch; without, the method is the alternation of the paper alone.
    pursues
        Whether the search goes on until the gap is closed.
    proven
        A bound that counts in place of what is proven of this problem, which is a restriction of another.
    iterations_before
        Where the numbers of the iterations begin.
    quick_look
        A small model goes to a MIP solver first, for a few nodes. What the user wants to see, step by step,
        is then not there to be seen.
    memory
        Of the solve before, if there was one of nearly the same problem; updated by this one.
    worth_improving
        Lowest and highest relative gap after the alternation at which the improvement is worth its time.
    """

    stop: Stop
    rel_gap: float
    abs_gap: float
    max_iterations: int
    improve: bool = True
    bound: str = "cuts"
    onloading_step: OnloadingStep | None = None
    callback: Callable[[Record], None] | None = None
    threads: int | None = None
    mip_solvers: Callable[[], Iterable[MIPSolver]] | None = None
    params: Params = field(default_factory=Params)
    start: BoolArray | None = None
    charged: Charged | None = None
    branches: bool = True
    pursues: bool = False
    proven: float | None = None
    iterations_before: int = 0
    quick_look: bool = False
    memory: Memory | None = None
    worth_improving: tuple[float, float] = (0.0, np.inf)

    @property
    def asked(self) -> tuple[object, ...]:
        """What of the settings decides how far a search goes."""
        return (
            *(self.rel_gap, self.abs_gap, self.improve, self.bound, self.branches, self.pursues),
            *(self.params, self.onloading_step, self.charged is None),
        )

    def closed(self, objective: float, bound: float) -> bool:
        """Return whether a plan of this objective is within the gap asked for."""
        close = bound - objective <= max(self.abs_gap, rounding(objective))
        return close or relative_gap(objective, bound) <= self.rel_gap
