"""Every solver on every instance, one after the other, each on a model that nobody has touched."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from pyomo_j3o.compare.checking import Referee
from pyomo_j3o.compare.contestants import (
    Contestant,
    first_line,
    label_apart,
    new_start_for_highs,
    outcome_of,
    quietly,
)
from pyomo_j3o.compare.dialects import EXACT
from pyomo_j3o.compare.records import Entrant, Run, Settings
from pyomo_j3o.compare.sources import Source
from pyomo_j3o.compare.verdicts import Block, Summary, judge, summarise

_OUTCOMES = {
    "provenInfeasible": "infeasible",
    "unbounded": "unbounded",
    "interrupted": "interrupted",
}


@dataclass
class Comparison:
    """All that one comparison found, so far.

    Attributes
    ----------
    settings
        What every solver was told.
    reference
        The label of the solver whose time the shares refer to.
    entrants
        The solvers.
    blocks
        One per instance that was begun.
    interrupted
        Ended by Ctrl-C.
    """

    settings: Settings
    reference: str
    entrants: list[Entrant]
    blocks: list[Block] = field(default_factory=list)
    interrupted: bool = False

    def summaries(self) -> list[Summary]:
        """Return one summary per solver."""
        return summarise(self.blocks, self.entrants, self.reference)

    def faults(self) -> list[tuple[str, str, str]]:
        """Return all that is wrong: instance, solver, sentence."""
        return [
            (block.instance.name, row.run.solver, fault)
            for block in self.blocks
            for row in block.rows
            for fault in row.faults
        ]


class Observer(Protocol):
    """Is told how a comparison goes."""

    def begin(self, comparison: Comparison, instances: int) -> None:
        """Take notice of the solvers, before the first run."""

    def running(self, instance: str, solver: str) -> None:
        """Take notice of a run that starts now."""

    def update(self, comparison: Comparison, block: Block, finished: bool) -> None:
        """Take notice of a run that ended; `block` is complete if `finished`."""


def compare(
    sources: Sequence[Source],
    contestants: list[Contestant],
    settings: Settings,
    observer: Observer,
) -> Comparison:
    """Run every solver on every instance.

    Times are compared with those of the first solver that can run and is not ours: an exact one, as a rule.
    If all are ours, the first exact one comes before the others.
    Ctrl-C ends the comparison: what has been found until then is returned, marked as interrupted.

    Raises
    ------
    CompareError
        If a model cannot be built, or a solver does not take an option.
    """
    comparison = entered(sources, contestants, settings)
    observer.begin(comparison, len(sources))
    with _noticing_interrupts() as interrupted:
        try:
            for source in sources:
                _one_instance(source, contestants, comparison, observer, interrupted)
                if interrupted.is_set():
                    break
        except KeyboardInterrupt:
            interrupted.set()
    comparison.interrupted = interrupted.is_set()
    return comparison


def entered(sources: Sequence[Source], contestants: list[Contestant], settings: Settings) -> Comparison:
    """Return a comparison before its first run: labels told apart, every solver found and warmed up."""
    label_apart(contestants)
    entrants = [contestant.enter(settings, sources[0].seed) for contestant in contestants]
    return Comparison(settings, _reference(contestants), entrants)


def _one_instance(
    source: Source,
    contestants: Sequence[Contestant],
    comparison: Comparison,
    observer: Observer,
    interrupted: threading.Event,
) -> None:
    settings, runs = comparison.settings, []
    referee = Referee(source.build(), source.name, source.size, source.seed)
    for contestant in contestants:
        observer.running(source.name, contestant.label)
        run = run_once(contestant, settings, referee)
        if run.condition == "interrupted":
            interrupted.set()  # some solvers take Ctrl-C themselves, and only say so
        if interrupted.is_set():
            # Its time says nothing about the solver; neither does a failure.
            outcome = run.outcome if run.outcome == "plan" else "interrupted"
            run = replace(run, outcome=outcome, condition="interrupted", reason="", seconds=None)
        runs.append(run)
        block = judge(referee.instance, runs, comparison.reference, settings)
        if len(runs) > 1:
            comparison.blocks.pop()
        comparison.blocks.append(block)
        finished = contestant is contestants[-1] or interrupted.is_set()
        observer.update(comparison, block, finished)
        if interrupted.is_set():
            return


def run_once(contestant: Contestant, settings: Settings, referee: Referee) -> Run:
    """Solve one instance by one solver, and check the plan."""
    label = contestant.label
    if contestant.missing:
        return Run(label, "absent", reason=contestant.missing)
    model = referee.copy()
    gc.collect()  # the rubbish of the last run is not this solver's
    with quietly() as notes:
        try:
            solve = contestant.ready(settings, referee.instance.seed, referee.linear)
            new_start_for_highs()
            begin = time.perf_counter()
            answer = solve(model)
            if answer.load is not None:
                answer.load()
        except KeyboardInterrupt:
            return Run(label, "interrupted", condition="interrupted")
        except Exception as error:
            return Run(label, outcome_of(error), reason=first_line(error), notes=tuple(notes))
        seconds = time.perf_counter() - begin
    found: dict[str, Any] = {
        "condition": answer.condition,
        "claimed": answer.claimed,
        "bound": answer.bound,
        "seconds": seconds,
        "notes": tuple(notes),
    }
    if answer.load is None:
        outcome = _OUTCOMES.get(answer.condition, "no plan")
        reason = "" if outcome in _OUTCOMES.values() else answer.message or answer.condition
        return Run(label, outcome, reason=reason, **found)
    objective, complaints = referee.check(model, answer.claimed, settings.tolerance)
    return Run(label, "plan", objective=objective, complaints=complaints, **found)


def _reference(contestants: Sequence[Contestant]) -> str:
    able = [contestant for contestant in contestants if not contestant.missing] or contestants

    def rank(contestant: Contestant) -> int:
        ours = contestant.name.partition(".")[0] == "j3o"
        return 0 if not ours else 1 if contestant.name == EXACT else 2

    return min(able, key=rank).label  # the first of those with the least rank


@contextmanager
def _noticing_interrupts() -> Iterator[threading.Event]:
    """Set an event at Ctrl-C, and then do what Python does: some solvers swallow what it raises."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def notice(number: int, frame: Any) -> None:
        event.set()
        signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, notice)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
