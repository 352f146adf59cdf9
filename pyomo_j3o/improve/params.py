"""Parameters of the search after the loop. Values are chosen on the tuning set."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pyomo_j3o.certify.params import BlockParams, KernelParams


@dataclass(frozen=True, slots=True)
class DescentParams:
    """Of local search by swaps, drops and additions.

    Attributes
    ----------
    memory : int
        Latest price vectors that bound the moves of a neighbourhood.
    moves : int
        Most exchanges within rows that a neighbourhood lists.
    moves_per_entry : float
        Most exchanges per onloading variable and entry of a placement row, where that is more than `moves`.
    partners : int
        Of two variables that leave or enter together, the number of best ones of a row that are looked at.
    together : int
        Best moves among which some are looked for that can be made in one LP.
    patience : int
        A descent ends after this number of LPs without a gain.
    patience_nearby : int
        The same for a descent from a rounded placement.
    patience_of_repair : int
        The same for a descent from a placement to start from that cannot be routed.
    """

    memory: int = 12
    moves: int = 20_000
    moves_per_entry: float = 0.25
    partners: int = 12
    together: int = 64
    patience: int = 10
    patience_nearby: int = 4
    patience_of_repair: int = 20


@dataclass(frozen=True, slots=True)
class DiveParams:
    """Of dives from a fractional placement down to an integral one.

    Attributes
    ----------
    sure : float
        Values above this are rounded up together.
    lps : int
        LPs of one dive, and one more for every second fractional variable.
    """

    sure: float = 0.8
    lps: int = 30


@dataclass(frozen=True, slots=True)
class TreeParams:
    """Of branch and bound on the kernel.

    Attributes
    ----------
    widest_gap : float
        Fraction of the bound. Wherever the gap sets a scale, it counts as no more.
    kernel : float
        Fraction of the gap. Columns with a smaller reduced cost are in the first kernel.
    slack : float
        Fraction of the gap that columns outside the kernel may add to a bound.
    candidates : int
        Variables that strong branching tries at a node.
    lookahead : int
        Strong branching ends after this number of variables in a row that are no better.
    probe : int
        Simplex iterations of strong branching per child.
    reliable : int
        Solved children of a variable after which its pseudo-costs replace strong branching.
    at_gap : float
        Relative gap at which the effort is that of the relaxation.
    least_effort, largest_effort : int
        Limits of that effort, in simplex iterations.
    power : float
        The effort grows with this power of the gap.
    least_factor, largest_factor : float
        Limits of the factor by which it grows.
    hopeless, narrowed : float
        The search gives up if doubling the effort left a gap above the fraction `hopeless` of the bound at
        more than the fraction `narrowed` of what it was.
    dive_after : int
        Nodes before the first dive, after a dive that found a better plan, and while no plan is near.
    wait : int
        After another dive, the next one waits until the number of nodes has grown by this factor.
    margin : float
        Fraction of the incumbent. Nodes closer to it wait until all others are done.
    within : float
        Fraction of the relative gap asked for. Where that is more than `margin`, it is the margin.
    margin_factor : float
        When all others are done, the margin is multiplied by it, and the nodes beyond it are searched.
    settled : float
        Fraction of the relative gap asked for. A node that is closer to the incumbent, and within the margin,
        is given up.
    per_mip : float
        Work that the MIP of a block counts as.
    least_cut : float
        Fraction of the gap. A block cut that lowers the bound of its block by less is left out.
    worth_pricing : float
        Fraction of the gap. A round of block cuts that lowers the bound by less is in vain.
    leaves : int
        Most leaves of a search before that this one goes on at.
    again : float
        Fraction of the work that the first search took. One that goes on at leaves takes no more, unless the
        gap is wider than it was at the root before.
    extended : float
        Factor of the effort where the search before needed no MILP solver to come as near.
    lp : KernelParams
    dive : DiveParams
    """

    widest_gap: float = 0.02
    kernel: float = 0.01
    slack: float = 0.05
    candidates: int = 2
    lookahead: int = 1
    probe: int = 40
    reliable: int = 2
    at_gap: float = 0.003
    least_effort: int = 1500
    largest_effort: int = 4000
    power: float = 2
    least_factor: float = 0.1
    largest_factor: float = 8.0
    hopeless: float = 0.12
    narrowed: float = 0.9
    dive_after: int = 2
    wait: int = 2
    margin: float = 1e-3
    within: float = 0.9
    margin_factor: float = 0.1
    settled: float = 0.5
    per_mip: float = 30.0
    least_cut: float = 1e-3
    worth_pricing: float = 0.1
    leaves: int = 100
    again: float = 0.1
    extended: float = 4.0
    lp: KernelParams = field(default_factory=lambda: KernelParams(growth=200, growth_of_size=0.3))
    dive: DiveParams = field(default_factory=DiveParams)


@dataclass(frozen=True, slots=True)
class MILPParams:
    """Which parts are small enough for a MILP solver, and for how long it gets them.

    Attributes
    ----------
    first : int
        Nonzeros. A part with no more goes to a MILP solver before branch and bound on the kernel.
    first_mixed : int
        The same where rows over several offloading variables contain onloading ones: MILP solvers have the
        better cuts for them.
    first_effort : int
        Nodes times nonzeros that the MILP solver gets then.
    proof : int
        Nonzeros. A part with no more, in which the tree leaves a gap, goes to a MILP solver with the block
        cuts of the root.
    proof_gap, proof_widest : float
        Relative gaps between which that is done.
    proof_close, proof_nodes : float, int
        Relative gap and number of nodes at which that ends.
    pursued : int
        Nonzeros. Where a gap is pursued in a part with no more, a MILP solver begins.
    last : tuple of (float, int)
        Pairs of a relative gap and of nonzeros. A part with a wider gap and no more nonzeros goes to a MILP
        solver at the end.
    close : float
        Relative gap at which that ends.
    nodes : int
        Nodes after which that ends.
    strange : float
        A wider relative gap than this shows that the other steps do not suit the part.
    close_strange : float
        Relative gap at which the MILP solver ends there.
    """

    first: int = 3_500
    first_mixed: int = 12_000
    first_effort: int = 6_000_000
    proof: int = 9_000
    proof_gap: float = 3e-3
    proof_widest: float = 0.0125
    proof_close: float = 2e-3
    proof_nodes: int = 20
    pursued: int = 30_000
    last: tuple[tuple[float, int], ...] = ((0.0125, 8_000), (0.025, 20_000))
    close: float = 5e-3
    nodes: int = 2000
    strange: float = 0.1
    close_strange: float = 1e-3


@dataclass(frozen=True, slots=True)
class CountParams:
    """Of the search over integer variables, before the alternation.

    Attributes
    ----------
    dives : tuple of (float, float)
        Rules of the dives: fractional parts above the first are rounded up together, and of the others this
        share.
    first, largest : int
        Integer variables that a small MIP frees around one of them, at first and at most.
    sum_nonzeros : int
        Nonzeros of the relaxation whose sums of counts are whole. With more, it takes long and is left out.
    sum_effort : int
        Nodes times nonzeros that it gets.
    sum_reach : int
        How far from the sums of that relaxation a MIP solver looks for a plan.
    near_effort : int
        Nodes times nonzeros for which it does.
    sum_checks : int
        Nonzeros times looks of HiGHS at its limits, about one for each LP at the root, in both.
    growth : int
        Factor by which the next sweep frees more if one gained little.
    worth : float
        Fraction of the gap. A sweep that gains less gained little.
    nodes : int
        Of the search tree of one small MIP.
    close : float
        Fraction of the gap of the whole at which a small MIP ends.
    """

    dives: tuple[tuple[float, float], ...] = ((0.75, 0.2), (0.5, 0.5))
    first: int = 30
    largest: int = 60
    sum_nonzeros: int = 10_000
    sum_effort: int = 210_000
    sum_reach: int = 2
    near_effort: int = 42_000
    sum_checks: int = 1_000_000
    growth: int = 2
    worth: float = 0.1
    nodes: int = 10
    close: float = 0.01


@dataclass(frozen=True, slots=True)
class SearchParams:
    """Of the search after the loop as a whole.

    Attributes
    ----------
    far : float
        Relative gap. Farther from the bound, a descent comes before branch and bound.
    worth : float
        Fraction of the gap `far`. That descent ends when it gains less in `DescentParams.patience` LPs.
    near : float
        Fraction of the incumbent. A rounded placement within it is descended from.
    in_gaps : float
        Multiple of the gap. So is a rounded placement within this distance.
    farthest : float
        Fraction of the incumbent that `in_gaps` may not exceed.
    in_vain : float
        `in_gaps` falls by this factor with each such descent that found nothing.
    near_again : float
        Multiple of the gap at the root in a search before. With a wider one, a better plan comes before the
        leaves of that search.
    blocks : BlockParams
    descent : DescentParams
    tree : TreeParams
    milp : MILPParams
    counts : CountParams
    """

    far: float = 0.02
    worth: float = 0.2
    near: float = 0.01
    in_gaps: float = 2.0
    farthest: float = 0.06
    in_vain: float = 0.7
    near_again: float = 1.1
    blocks: BlockParams = field(default_factory=BlockParams)
    descent: DescentParams = field(default_factory=DescentParams)
    tree: TreeParams = field(default_factory=TreeParams)
    milp: MILPParams = field(default_factory=MILPParams)
    counts: CountParams = field(default_factory=CountParams)

    def before_pursuit(self) -> SearchParams:
        """Return the parameters of a search that leaves proofs to a longer one after it."""
        return replace(self, milp=replace(self.milp, proof=0))

    def scaled(self, effort: float) -> SearchParams:
        """Return the parameters of a search that may take so many times the usual effort."""

        def times(number: int) -> int:
            return max(1, round(effort * number))

        return replace(
            self,
            descent=replace(self.descent, patience=times(self.descent.patience)),
            tree=replace(
                self.tree,
                least_effort=times(self.tree.least_effort),
                largest_effort=times(self.tree.largest_effort),
            ),
            milp=replace(
                self.milp,
                first_effort=times(self.milp.first_effort),
                proof=times(self.milp.proof),
                proof_gap=self.milp.proof_gap / effort,
                proof_close=self.milp.proof_close / effort,
                proof_nodes=times(self.milp.proof_nodes),
                nodes=times(self.milp.nodes),
            ),
            counts=replace(
                self.counts,
                sum_effort=times(self.counts.sum_effort),
                near_effort=times(self.counts.near_effort),
                sum_checks=times(self.counts.sum_checks),
                nodes=times(self.counts.nodes),
                largest=times(self.counts.largest),
            ),
        )
