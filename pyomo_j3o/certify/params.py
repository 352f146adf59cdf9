"""Parameters of the bound. Values are chosen on the tuning set."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class KernelParams:
    """Of the kernel, the LP over the columns that matter.

    Attributes
    ----------
    growth : int
        Most columns that are let in at a time.
    growth_of_size : float
        Fraction of the columns inside. Where that is more than `growth`, this number is let in.
    per_lp : int
        Simplex iterations that an LP costs besides its own.
    unit : int
        Columns. An iteration of an LP with as many, or more, is one unit of work.
    least_size : float
        Units of work. An iteration of a smaller LP counts by its number of columns, but no less than this.
    """

    growth: int = 2_000
    growth_of_size: float = 0.5
    per_lp: int = 25
    unit: int = 1_000
    least_size: float = 0.02


@dataclass(frozen=True, slots=True)
class CoverParams:
    """Of lifted cover cuts.

    Attributes
    ----------
    violation : float
        Onloading variables. A cut that the relaxation violates by less is left out.
    lifting : int
        Most items times levels that the lifting of one cover takes. A row of 900 items needs fewer.
    heavy : float
        Fraction of the budget. Heavier items come last in two of the four orders in which covers are sought.
    """

    violation: float = 1e-4
    lifting: int = 200_000
    heavy: float = 0.5


@dataclass(frozen=True, slots=True)
class RoundingParams:
    """Of mixed-integer rounding cuts.

    Attributes
    ----------
    violation : float
        Distance of the relaxation from a cut. Where it is smaller, the cut is left out.
    trials : int
        Most fractional onloading variables of each row that serve as divisors, and are tried complemented.
    divided_by : tuple of float
        Numbers by which the best divisor is divided, for more divisors.
    near_integer : float
        A right-hand side closer to an integer gives coefficients too large to trust.
    fill : int
        Entries. Priced rows are written over demand rows as far as that adds no more.
    fill_per_entry : int
        Entries per entry of an offloading variable. Where that is more than `fill`, it is the limit.
    """

    violation: float = 1e-3
    trials: int = 8
    divided_by: tuple[float, ...] = (2.0, 4.0, 8.0)
    near_integer: float = 0.01
    fill: int = 100_000
    fill_per_entry: int = 2


@dataclass(frozen=True, slots=True)
class AscentParams:
    """Of the ascent of prices before a large LP.

    Attributes
    ----------
    large : int
        Entries of the relaxation. With fewer, its LP is solved at once.
    first : int
        Columns of each demand group, the cheapest, that the steps look at.
    first_of_group : float
        Fraction of the group. Where that is more than `first`, this number is looked at.
    steps : int
        Most steps of one round.
    rounds : int
        Most rounds. Columns that the steps do not look at, and that the bound lacks, come in after each.
    pace : float
        First length of a step, in units of each row's typical price.
    slower : float
        By what the length is multiplied where steps fail.
    slowest : float
        The ascent ends where steps would be shorter than this.
    again : float
        By what the first length is multiplied in each further round.
    patience : int
        Steps in a row that may fail.
    gain : float
        Fraction of the bound. A step that lowers it by less has failed.
    weight : float
        Of the last subgradient in the direction of a step.
    memory : float
        Weight of what came before in the mean square of each row's misses.
    least_square : float
        Fraction of the largest mean square. Those of other rows count as no less.
    worth : float
        Fraction of the bound. Where the absent columns add less, they stay absent.
    """

    large: int = 20_000
    first: int = 20
    first_of_group: float = 0.2
    steps: int = 200
    rounds: int = 3
    pace: float = 0.5
    slower: float = 0.6
    slowest: float = 1e-2
    again: float = 0.2
    patience: int = 4
    gain: float = 1e-4
    weight: float = 0.2
    memory: float = 0.8
    least_square: float = 1e-12
    worth: float = 1e-3


@dataclass(frozen=True, slots=True)
class SiftParams:
    """Of sifting a large relaxation.

    Attributes
    ----------
    large : int
        Offloading variables. A relaxation with fewer is solved at once.
    first : int
        Columns of each demand group, those that are worth most, that come first.
    near : float
        Fraction of the bound per demand group. Columns that cost less, at the prices of the ascent, come
        first, too.
    most : float
        Fraction of all columns. Where more would come first, the relaxation is solved at once.
    slack : float
        Fraction of the largest coefficient of the objective that absent columns may add to the bound.
    """

    large: int = 5_000
    first: int = 10
    near: float = 0.06
    most: float = 0.7
    slack: float = 1e-6


@dataclass(frozen=True, slots=True)
class BlockParams:
    """Of blocks and of the cuts that their MIPs prove.

    Attributes
    ----------
    shares : tuple of float
        Fractions of all columns. Divisions are looked for with no block above each of them.
    nodes : int
        Nodes of the MIP of one block.
    largest : int
        Nonzeros. A block whose MIP has more is left out.
    close : float
        Fraction of a block's gap at which its MIP ends.
    least : float
        Fraction of the part's gap. A block with a smaller gap is left out.
    """

    shares: tuple[float, ...] = (0.35, 0.15, 0.06)
    nodes: int = 50
    largest: int = 20_000
    close: float = 0.01
    least: float = 1e-3


@dataclass(frozen=True, slots=True)
class CutParams:
    """Of the relaxation and its rounds of cuts.

    Attributes
    ----------
    rounds : int
        Most rounds of cuts.
    rounds_again : int
        The same where the relaxation starts from the optimum of one of nearly the same problem.
    worth : float
        Fraction of what all rounds have lowered the bound by. A round that lowers it by less is the last one.
    widest : float
        Ratio of coefficients. A cut with a wider one, or with a larger coefficient, is left out.
    setup_violation : float
        A set-up cut that the relaxation violates by less is left out.
    kernel : float
        Fraction of the bound. Columns with a smaller reduced cost are in the first kernel.
    slack : float
        Fraction of the bound that columns outside the kernel may add to it.
    lp : KernelParams
    covers : CoverParams
    rounding : RoundingParams
    ascent : AscentParams
    sifting : SiftParams
    """

    rounds: int = 20
    rounds_again: int = 4
    worth: float = 5e-3
    widest: float = 1e6
    setup_violation: float = 1e-2
    kernel: float = 1e-3
    slack: float = 1e-5
    lp: KernelParams = field(default_factory=KernelParams)
    covers: CoverParams = field(default_factory=CoverParams)
    rounding: RoundingParams = field(default_factory=RoundingParams)
    ascent: AscentParams = field(default_factory=AscentParams)
    sifting: SiftParams = field(default_factory=SiftParams)
