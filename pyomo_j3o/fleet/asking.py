"""Asks the parts: what is known already comes from the folder, all else from the workers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.engine import Engine, Job, Lost
from pyomo_j3o.errors import FleetError
from pyomo_j3o.fleet.folder import Folder
from pyomo_j3o.fleet.master import Knowledge
from pyomo_j3o.fleet.params import FleetParams
from pyomo_j3o.fleet.progress import Progress
from pyomo_j3o.fleet.records import Answer, Failure, Look, Name, Report, Task
from pyomo_j3o.fleet.worker import visit


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the user gave, checked.

    Attributes
    ----------
    build : callable
        Returns the model of one part.
    names, arguments : sequence
        Of the parts: how they are called, and what `build` gets.
    limits : dict
        Of the shared budgets.
    options : tuple of dict
        Of the parts' solves, for each effort.
    """

    build: Callable[[Any], Any]
    names: Sequence[Name]
    arguments: Sequence[Any]
    limits: dict[str, float]
    options: tuple[dict[str, Any], ...]


class Parts:
    """All parts of a fleet, and what they have answered.

    Parameters
    ----------
    fleet
        What to plan.
    engine
        Where workers run.
    folder
        Keeps the answers.
    deadline
        When asking ends.
    progress
        Is told of every part.
    params
        Of the coordination.
    """

    def __init__(
        self,
        fleet: Fleet,
        engine: Engine,
        folder: Folder,
        deadline: Deadline,
        progress: Progress,
        params: FleetParams,
    ) -> None:
        self.fleet = fleet
        self.known = [Knowledge() for _ in fleet.names]
        self.sense = 0
        self.solved = self.recalled = 0
        self._first: Name = None
        self._engine, self._folder, self._deadline = engine, folder, deadline
        self.progress = progress
        self._params = params

    def ask(self, tasks: Mapping[int, Sequence[Task]], what: str) -> None:
        """Have tasks solved; those that were solved before are not solved again.

        Parameters
        ----------
        tasks
            By position of the part.
        what
            Shown with the progress.

        Raises
        ------
        FleetError
            A part cannot be planned; the message names it.
        """
        wanted: dict[int, list[Task]] = {}
        for k, given in tasks.items():
            known = self.known[k]
            new = [] if known.lost else [task for task in given if task not in known.asked]
            left = [task for task in new if not self._recall(k, task)]
            if left and not (self._tells_nothing(k, left)):
                wanted[k] = left
        with self.progress.of(len(wanted), what) as step:
            for k, result in self._visits(wanted):
                self._take(k, result)
                step()

    def look(self, parts: Iterable[int]) -> None:
        """Have models built, but not solved: for what their columns say."""
        unseen = [k for k in parts if self.known[k].look is None and not self.known[k].lost]
        with self.progress.of(len(unseen), "building") as step:
            for k, result in self._visits({k: [] for k in unseen}):
                self._take(k, result)
                step()

    @property
    def over(self) -> bool:
        """Whether no more parts are asked: the time of the run is over."""
        return self._deadline.over

    def seconds(self, most: float) -> float:
        """Return the seconds that a step of the master may take: so many at most, 1 s where time is over."""
        return min(most, max(self._deadline.left(), 1.0))

    def plan(self, k: int, task: Task) -> dict[str, float]:
        """Return the plan that answered a task."""
        held = self._folder.held(self.fleet.names[k], task)
        if held is None:
            raise FleetError(
                f"the plan of {self._called(k)} is no longer in {self._folder.path}; solve the fleet again"
            )
        return held[1].plan

    def _visits(self, wanted: Mapping[int, Sequence[Task]]) -> Iterable[tuple[int, Any]]:
        build, options = self.fleet.build, self.fleet.options
        budgets, end = tuple(self.fleet.limits), self._end()
        positions = {self._called(k): k for k in wanted}
        jobs = (
            Job(name, (build, self.fleet.arguments[k], budgets, tuple(wanted[k]), options, end))
            for name, k in positions.items()
        )
        with closing(self._engine.run(visit, jobs, self._deadline, late=self._params.late)) as results:
            for job, result in results:
                yield positions[str(job.key)], result

    def _end(self) -> float:
        """Return when solves have to end, by the clock of the day: that of other machines, too."""
        left = self._deadline.left()
        if left == math.inf:
            return math.inf
        return time.time() + left - min(self._params.reserve * left, self._params.longest_reserve)

    def _take(self, k: int, result: Report | Failure | Lost) -> None:
        known = self.known[k]
        if isinstance(result, Lost):
            known.lost, known.note, known.status = True, result.reason, "lost"
            self._look_at_lost(k)
        elif isinstance(result, Failure):
            cause = RuntimeError(f"in the worker\n{result.traceback}") if result.traceback else None
            raise FleetError(f"{self._called(k)}: {result.sentence}") from cause
        else:
            self._see(k, result.look)
            for answer in result.answers:
                self._learn(k, answer)
                self.solved += 1
                self._folder.keep(self.fleet.names[k], result.look, answer)

    def _look_at_lost(self, k: int) -> None:
        """Try to get at least what the columns of a lost part say."""
        for _, result in self._visits({k: []}):
            if isinstance(result, Report):
                self._see(k, result.look)

    def _recall(self, k: int, task: Task) -> bool:
        held = self._folder.held(self.fleet.names[k], task)
        if held is not None:
            self._see(k, held[0])
            self._learn(k, held[1])
            self.recalled += 1
        return held is not None

    def _learn(self, k: int, answer: Answer) -> None:
        known = self.known[k]
        known.learn(answer)
        excess = known.contradiction()
        if excess > self._params.contradiction:
            raise FleetError(
                f"{self._called(k)} has a plan that is worth {100 * excess:.2g}% more than was proven to be "
                "possible; let build return the same model for it at every visit"
            )

    def _see(self, k: int, look: Look) -> None:
        if not self.sense:
            self.sense, self._first = look.sense, self.fleet.names[k]
        if look.sense != self.sense:
            words = {1: "maximised", -1: "minimised"}
            raise FleetError(
                f"{self._called(k)} is {words[look.sense]}, but part {self._first!r} is {words[self.sense]}; "
                "give all parts the same sense"
            )
        self.known[k].look = look

    def _tells_nothing(self, k: int, tasks: Sequence[Task]) -> bool:
        """Whether prices change nothing for a part, which has been solved for as long."""
        known = self.known[k]
        if not known.insensitive() or not known.points:
            return False
        longest = max(asked.effort for asked in known.asked)
        return all(not task.weight or task.effort <= longest for task in tasks)

    def _called(self, k: int) -> str:
        return f"part {self.fleet.names[k]!r}"
