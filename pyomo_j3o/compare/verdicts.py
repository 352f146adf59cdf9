"""From runs to verdicts: who is proven, who is wrong, how good a plan is, and the summary per solver."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pyomo_j3o.compare.records import Entrant, Instance, Run, Settings

#: The summary compares times on all instances, and on those where the reference needs more seconds than this.
HARD = 5.0

#: Outcomes of a run that counts for nothing, through no fault of the solver.
ASIDE = ("absent", "licence", "unsupported", "interrupted")


@dataclass(frozen=True, slots=True)
class Row:
    """A run beside the others of its instance.

    Attributes
    ----------
    run : Run
    status : str
        In a word or two: ``"proven"``, ``"time limit"``, ``"feasible"``, ``"WRONG PLAN"``,
        ``"WRONG BOUND"``, or the outcome of a run without a plan.
    gap : float or None
        ``|bound - objective| / max(|objective|, 1e-10)``.
    ratio : float or None
        The objective beside the best known value, the smaller over the larger: 1 is the best known. None if
        there is none, or one of the two is zero or of another sign.
    share : float or None
        The seconds over those of the reference.
    faults : tuple of str
        What is wrong, in full sentences.
    """

    run: Run
    status: str
    gap: float | None
    ratio: float | None
    share: float | None
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """The rows of one instance.

    Attributes
    ----------
    instance : Instance
    rows : tuple of Row
    plan : float or None
        The best objective among the plans that passed the check.
    bound : float or None
        The tightest bound that no such plan contradicts.
    best : float or None
        What the ratios refer to: `plan` where it is proven to be an optimum, else `bound`, else `plan`.
    proven : bool
        Whether `plan` and `bound` meet within the gap.
    """

    instance: Instance
    rows: tuple[Row, ...]
    plan: float | None
    bound: float | None
    best: float | None
    proven: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """What one solver did on all instances.

    Attributes
    ----------
    solver : str
    runs, plans, proven, wrong : int
        Runs that took part; those with a right plan; those proven within the gap; those with a fault.
    mean_ratio, worst_ratio, mean_gap, max_gap : float or None
        Over the right plans. A plan without a bound has an infinite gap.
    seconds : float
        Summed.
    share, hard_share : float or None
        The summed seconds over those of the reference: on all instances where both have a time, and on those
        of them where the reference needs more than `HARD` seconds.
    hard : int
        How many the latter are.
    """

    solver: str
    runs: int
    plans: int
    proven: int
    wrong: int
    mean_ratio: float | None
    worst_ratio: float | None
    mean_gap: float | None
    max_gap: float | None
    seconds: float
    share: float | None
    hard_share: float | None
    hard: int


def judge(instance: Instance, runs: Sequence[Run], reference: str, settings: Settings) -> Block:
    """Put the runs of one instance beside each other.

    A bound is wrong if a plan that passed the check is better, whoever found it; so is the claim that there
    is no plan at all. The fault is that of the run that made the claim.
    """
    sense, slack = instance.sense, settings.tolerance
    right = [run for run in runs if run.objective is not None and not run.complaints]
    champion = max(right, key=lambda run: sense * _number(run.objective), default=None)
    plan = None if champion is None else champion.objective

    def contradicted(run: Run) -> str:
        if champion is None or plan is None:
            return ""
        by = "its own plan" if champion is run else f"the verified plan of {champion.solver}"
        if run.outcome == "infeasible":
            return f"It says that there is no plan, but {by}, {plan:.8g}, passed the check."
        if run.bound is None or sense * (plan - run.bound) <= slack * max(1.0, abs(plan)):
            return ""
        return f"Its bound {run.bound:.8g} is contradicted by {by}, {plan:.8g}."

    wrong_bounds = [contradicted(run) for run in runs]
    trusted = [
        sense * run.bound
        for run, wrong in zip(runs, wrong_bounds, strict=True)
        if not wrong and run.bound is not None and math.isfinite(run.bound)
    ]
    bound = sense * min(trusted) if trusted else None
    proven = _closed(plan, bound, settings.gap)
    best = plan if proven or bound is None else bound
    seconds = next((run.seconds for run in runs if run.solver == reference), None)

    rows = []
    for run, wrong in zip(runs, wrong_bounds, strict=True):
        fine = run.objective is not None and not run.complaints
        faults = [f"Its plan is wrong: {complaint}." for complaint in run.complaints]
        faults += [wrong] if wrong else []
        if run.outcome == "failed":
            faults.append(f"It failed: {run.reason}")
        rows.append(
            Row(
                run,
                _status(run, bool(wrong), settings.gap),
                gap_of(run) if fine else None,
                _ratio(run.objective, best) if fine else None,
                run.seconds / seconds if run.seconds is not None and seconds else None,
                tuple(faults),
            )
        )
    return Block(instance, tuple(rows), plan, bound, best, proven)


def gap_of(run: Run) -> float | None:
    """Return the certified gap of a run; None without a plan or a bound."""
    if run.objective is None or run.bound is None or not math.isfinite(run.bound):
        return None
    return abs(run.bound - run.objective) / max(abs(run.objective), 1e-10)


def summarise(blocks: Iterable[Block], entrants: Iterable[Entrant], reference: str) -> list[Summary]:
    """Return one summary per solver, in the order of `entrants`."""
    blocks = list(blocks)
    return [_summary(blocks, entrant.label, reference) for entrant in entrants]


def _summary(blocks: list[Block], label: str, reference: str) -> Summary:
    by_block = [(_row_of(block, label), _row_of(block, reference)) for block in blocks]
    rows = [row for row, _ in by_block if row is not None and row.run.outcome not in ASIDE]
    plans = [row for row in rows if row.run.objective is not None and not row.run.complaints]
    ratios = [row.ratio for row in plans if row.ratio is not None]
    gaps = [math.inf if row.gap is None else row.gap for row in plans]
    pairs = [
        (row.run.seconds, other.run.seconds)
        for row, other in by_block
        if row is not None and row.run.seconds and other is not None and other.run.seconds
    ]
    hard = [(ours, theirs) for ours, theirs in pairs if theirs > HARD]
    return Summary(
        label,
        len(rows),
        len(plans),
        sum(row.status == "proven" for row in rows),
        sum(bool(row.faults) for row in rows),
        _mean(ratios),
        min(ratios, default=None),
        _mean(gaps),
        max(gaps, default=None),
        sum(row.run.seconds or 0.0 for row in rows),
        _share(pairs),
        _share(hard),
        len(hard),
    )


def _share(pairs: list[tuple[float, float]]) -> float | None:
    return sum(ours for ours, _ in pairs) / sum(theirs for _, theirs in pairs) if pairs else None


def _row_of(block: Block, label: str) -> Row | None:
    return next((row for row in block.rows if row.run.solver == label), None)


def _status(run: Run, wrong_bound: bool, gap: float) -> str:
    if run.complaints:
        return "WRONG PLAN"
    if wrong_bound:
        return "WRONG BOUND"
    if run.outcome != "plan":
        return run.outcome
    if _closed(run.objective, run.bound, gap):
        return "proven"
    return {"maxTimeLimit": "time limit", "interrupted": "interrupted"}.get(run.condition, "feasible")


def _closed(plan: float | None, bound: float | None, gap: float) -> bool:
    if plan is None or bound is None:
        return False
    # Solvers divide by the plan or by the bound, and stop at the gap within rounding.
    return abs(bound - plan) <= 1.001 * gap * max(abs(plan), abs(bound)) + 1e-9


def _ratio(objective: float | None, best: float | None) -> float | None:
    if objective is None or best is None:
        return None
    if abs(objective - best) <= 1e-9 * max(1.0, abs(best)):
        return 1.0
    if objective * best <= 0:
        return None
    return min(abs(objective), abs(best)) / max(abs(objective), abs(best))


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _number(value: float | None) -> float:
    assert value is not None
    return value
