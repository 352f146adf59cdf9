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
    sense = instance.sense
    right = [run for run in runs if _is_right(run)]
    champion = max(right, key=lambda run: sense * _number(run.objective), default=None)
    plan = None if champion is None else champion.objective
    contradictions = [_contradiction(run, champion, sense, settings.tolerance) for run in runs]
    bound = _tightest_bound(runs, contradictions, sense)
    proven = _closed(plan, bound, settings.gap)
    best = plan if proven or bound is None else bound
    seconds = next((run.seconds for run in runs if run.solver == reference), None)
    rows = tuple(
        _row(run, contradiction, best, seconds, settings.gap)
        for run, contradiction in zip(runs, contradictions, strict=True)
    )
    return Block(instance, rows, plan, bound, best, proven)


def _is_right(run: Run) -> bool:
    """Whether the run has a plan, and the plan passed the check."""
    return run.objective is not None and not run.complaints


def _contradiction(run: Run, champion: Run | None, sense: int, tolerance: float) -> str:
    """Return how the best plan contradicts what a run claims; empty if it does not.

    Parameters
    ----------
    run
        It may claim a bound, or that there is no plan.
    champion
        The run with the best plan that passed the check, if there is one.
    sense
        1 to maximise, -1 to minimise.
    tolerance
        By how much the plan may be better than the bound, relative to ``max(1, |plan|)``.
    """
    if champion is None:
        return ""
    plan = _number(champion.objective)
    by = "its own plan" if champion is run else f"the verified plan of {champion.solver}"
    if run.outcome == "infeasible":
        return f"It says that there is no plan, but {by}, {plan:.8g}, passed the check."
    if run.bound is None or sense * (plan - run.bound) <= tolerance * max(1.0, abs(plan)):
        return ""
    return f"Its bound {run.bound:.8g} is contradicted by {by}, {plan:.8g}."


def _tightest_bound(runs: Sequence[Run], contradictions: Sequence[str], sense: int) -> float | None:
    """Return the tightest finite bound among those that no plan contradicts."""
    trusted = [
        sense * run.bound
        for run, contradiction in zip(runs, contradictions, strict=True)
        if not contradiction and run.bound is not None and math.isfinite(run.bound)
    ]
    return sense * min(trusted) if trusted else None


def _row(run: Run, contradiction: str, best: float | None, reference: float | None, gap: float) -> Row:
    """Return a run beside the best known value and the seconds of the reference."""
    faults = [f"Its plan is wrong: {complaint}." for complaint in run.complaints]
    faults += [contradiction] if contradiction else []
    if run.outcome == "failed":
        faults.append(f"It failed: {run.reason}")
    right = _is_right(run)
    return Row(
        run=run,
        status=_status(run, bool(contradiction), gap),
        gap=gap_of(run) if right else None,
        ratio=_ratio(run.objective, best) if right else None,
        share=run.seconds / reference if run.seconds is not None and reference else None,
        faults=tuple(faults),
    )


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
    rows = _rows_that_count(blocks, label)
    plans = [row for row in rows if _is_right(row.run)]
    ratios = [row.ratio for row in plans if row.ratio is not None]
    gaps = [math.inf if row.gap is None else row.gap for row in plans]
    pairs = _seconds_beside(blocks, label, reference)
    hard = [(ours, theirs) for ours, theirs in pairs if theirs > HARD]
    return Summary(
        solver=label,
        runs=len(rows),
        plans=len(plans),
        proven=sum(row.status == "proven" for row in rows),
        wrong=sum(bool(row.faults) for row in rows),
        mean_ratio=_mean(ratios),
        worst_ratio=min(ratios, default=None),
        mean_gap=_mean(gaps),
        max_gap=max(gaps, default=None),
        seconds=sum(row.run.seconds or 0.0 for row in rows),
        share=_share(pairs),
        hard_share=_share(hard),
        hard=len(hard),
    )


def _rows_that_count(blocks: list[Block], label: str) -> list[Row]:
    """Return the rows of a solver on all instances in which it took part."""
    rows = (_row_of(block, label) for block in blocks)
    return [row for row in rows if row is not None and row.run.outcome not in ASIDE]


def _seconds_beside(blocks: list[Block], label: str, reference: str) -> list[tuple[float, float]]:
    """Return the seconds of a solver and of the reference on every instance where both have a time."""
    pairs = []
    for block in blocks:
        ours, theirs = _row_of(block, label), _row_of(block, reference)
        if ours is not None and theirs is not None and ours.run.seconds and theirs.run.seconds:
            pairs.append((ours.run.seconds, theirs.run.seconds))
    return pairs


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
