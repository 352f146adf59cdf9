"""Parameters of the methods, and of everything below them. Values are chosen on the tuning set."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyomo_j3o.alternate.params import LoopParams
from pyomo_j3o.certify.params import CutParams
from pyomo_j3o.improve.params import SearchParams
from pyomo_j3o.presolve.params import PresolveParams


@dataclass(frozen=True, slots=True)
class StartParams:
    """Where J3O's plan is of use to a MIP solver.

    Attributes
    ----------
    near : tuple of float
        Relative gaps of a plan. Between them, a MIP solver has nothing to look for but the proof. Below the
        first, the bound is nearly met, and what is missing for a smaller gap is a better plan.
    flows_per_onloading : float
        Offloading variables per onloading one. With no more, the placement is most of a model, and J3O, which
        prices placements by what they route, is no help.
    worth_improving : tuple of float
        Relative gaps of the alternation's plan. Below the first, the relaxation is nearly integral, and a MIP
        solver ends at its root. Above the second, the relaxation says little, and J3O would search for long.
    share : float
        Fraction of a time limit that the search for a start may take.
    share_if_short : float
        The same where the limit is short for the size.
    nonzeros_per_second : int
        A limit is short for a model of more: presolve and the first LP of a MIP solver may take all of it.
    """

    near: tuple[float, float] = (0.001, 0.02)
    flows_per_onloading: float = 3.0
    worth_improving: tuple[float, float] = (0.0025, 0.25)
    share: float = 0.5
    share_if_short: float = 0.9
    nonzeros_per_second: int = 20_000


@dataclass(frozen=True, slots=True)
class ExactParams:
    """Of the exact method.

    Attributes
    ----------
    last_check : float
        Fraction of the seconds of compilation that routing and checking the last plan take. The MIP solver's
        limit is earlier by as much.
    largest_check : float
        Fraction of the whole limit that this may not exceed.
    start : StartParams
    """

    last_check: float = 0.3
    largest_check: float = 0.1
    start: StartParams = field(default_factory=StartParams)


@dataclass(frozen=True, slots=True)
class RunParams:
    """Of the steps of one solve by J3O, and of their time.

    Attributes
    ----------
    reserved : float
        Fraction of a time limit that the search for a bound leaves to the search for a plan.
    most_fractional : float
        Fraction of the positive onloading variables of the relaxation. If more are fractional, the rounded
        relaxation is no placement to start from.
    iterations_again : int
        Iterations of the alternation where it begins about as near the bound as the solve before ended.
    without : float
        Without a plan, the search after the loop may take this multiple of the time before it.
    least_without : float
        Seconds that it may take in any case.
    first_plan : float
        Seconds, at least, for which a MILP solver is asked for a first plan.
    share_of_j3o : float
        Fraction of a time limit that J3O's search gets where it is one of its own within BAJ3O's.
    slice : float
        Of the first slice of each part where a gap is pursued, in seconds as the work of a step counts.
    processes : int
        Parts of a problem with at least as many nonzeros are worked on side by side by processes, not by
        threads. Starting a process takes half a second.
    """

    reserved: float = 0.5
    most_fractional: float = 0.5
    iterations_again: int = 2
    without: float = 4.0
    least_without: float = 2.0
    first_plan: float = 0.5
    share_of_j3o: float = 0.5
    slice: float = 0.25
    processes: int = 60_000


@dataclass(frozen=True, slots=True)
class LookParams:
    """Of the look that a MIP solver takes at a small or strange model before anything is certified.

    Attributes
    ----------
    nonzeros : int
        A model with no more is small.
    effort : int
        Nodes times nonzeros that the MIP solver gets; it gets one node in any case.
    checks : int
        Nonzeros times looks of HiGHS at its limits, about one for each LP: its root alone may take long. A
        limit in seconds would let the answer depend on the machine.
    near : float
        Relative gap. A plan that is closer to the bound than this is where the search starts.
    flows_per_onloading : float
        Offloading variables per onloading one. A model with no more is strange: the placement is most of it,
        and J3O prices placements by what they route.
    least_serving : float
        Where a gap is pursued, a model is strange, too, if a smaller share of its offloading variables are in
        demand groups.
    strange_nonzeros : int
        A strange model with no more goes to the MIP solver, however large it is otherwise.
    strange_effort : int
        Nodes times nonzeros that the MIP solver gets there.
    pursued_effort : int
        Nodes times nonzeros that the MIP solver gets in small and strange models where a gap is pursued.
    strange_share : float
        Fraction of a time limit that it may take in either.
    within : float
        Fraction of the gap asked for at which it ends: its bound counts with a margin for rounding.
    """

    nonzeros: int = 3_000
    effort: int = 100_000
    checks: int = 75_000
    near: float = 0.05
    flows_per_onloading: float = 3.0
    least_serving: float = 0.5
    strange_nonzeros: int = 12_000
    strange_effort: int = 6_000_000
    pursued_effort: int = 60_000_000
    strange_share: float = 0.8
    within: float = 0.9


@dataclass(frozen=True, slots=True)
class OwnRowsParams:
    """Of the search for a plan, or for a proof, in the rows as the user wrote them.

    Attributes
    ----------
    few_to_prove : int
        Free onloading variables. With no more, every placement is routed to prove which is best.
    few_to_find : int
        The same, to find any plan.
    excluded : int
        Most placements without a routing that are excluded, one after the other.
    seconds_of_milp : float
        Seconds that the MILP for each of them may take.
    mending : int
        Rounds in which the onloading variables change that mend most of a missed row.
    seconds_of_descent : float
        Seconds that a descent looks for a better plan.
    seconds_of_proof : float
        Seconds that a plan, or a proof that there is none, is looked for where solvers are not believed.
    """

    few_to_prove: int = 10
    few_to_find: int = 12
    excluded: int = 50
    seconds_of_milp: float = 10.0
    mending: int = 5
    seconds_of_descent: float = 2.0
    seconds_of_proof: float = 5.0


@dataclass(frozen=True, slots=True)
class Params:
    """Of the whole method, step by step.

    Attributes
    ----------
    presolve : PresolveParams
    cuts : CutParams
    loop : LoopParams
    search : SearchParams
    look : LookParams
    run : RunParams
    exact : ExactParams
    own_rows : OwnRowsParams
    """

    presolve: PresolveParams = field(default_factory=PresolveParams)
    cuts: CutParams = field(default_factory=CutParams)
    loop: LoopParams = field(default_factory=LoopParams)
    search: SearchParams = field(default_factory=SearchParams)
    look: LookParams = field(default_factory=LookParams)
    run: RunParams = field(default_factory=RunParams)
    exact: ExactParams = field(default_factory=ExactParams)
    own_rows: OwnRowsParams = field(default_factory=OwnRowsParams)
