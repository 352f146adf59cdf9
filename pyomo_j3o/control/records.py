"""What a controller has done: minute by minute, and in total."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np

from pyomo_j3o.core.matrices import FloatArray
from pyomo_j3o.core.table import Table

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Run:
    """One policy over the minutes of a trace; all lists have one entry per minute.

    Attributes
    ----------
    accuracy : list of float
        Mean accuracy delivered at the true loads.
    lost : list of float
        Share of the queries that nobody answered.
    moves : list of int
        Onloading variables that changed; the first placement counts as none, as nothing is in force before.
    seconds : list of float
        Process time of the decision.
    bound : list of float
        What was proven in the minute for the loads that the policy was given; without a plan for these
        loads, the accuracy if the best option answered every query.
    """

    accuracy: list[float] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)
    moves: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    bound: list[float] = field(default_factory=list)

    def note(self, accuracy: float, lost: float, moves: int, seconds: float, bound: float) -> None:
        """Add a minute."""
        self.accuracy.append(accuracy)
        self.lost.append(lost)
        self.moves.append(moves)
        self.seconds.append(seconds)
        self.bound.append(bound)

    def until(self, minutes: int) -> Run:
        """Return the first minutes."""
        return Run(*(getattr(self, one.name)[:minutes] for one in fields(self)))


@dataclass(frozen=True)
class Controlled:
    """What policies have delivered over the minutes of a trace; printing it gives the table of totals.

    Attributes
    ----------
    name : str
        Of the system.
    loads : (T, I, tasks)
        The true loads of the minutes that were played, queries/s.
    runs : dict of Run
        By the name of the policy; the clairvoyant is the last.
    clairvoyant : str
        Its name.
    interrupted : bool
        Whether Ctrl-C ended it before the last minute.
    """

    name: str
    loads: FloatArray
    runs: dict[str, Run]
    clairvoyant: str
    interrupted: bool = False

    def __str__(self) -> str:
        return str(self.totals())

    def _repr_html_(self) -> str:
        return self.totals()._repr_html_()

    def __len__(self) -> int:
        return len(self.loads)

    @property
    def load(self) -> FloatArray:
        """Queries/s of all clients and tasks in every minute, (T,)."""
        return np.asarray(self.loads.sum(axis=(1, 2)))

    def accuracy(self, name: str) -> float:
        """Return the mean accuracy of a policy over all queries of the trace."""
        return self._mean(self._run(name).accuracy)

    def regret(self, name: str) -> FloatArray:
        """Return by how much accuracy a policy is below the clairvoyant's proven bound, per minute, (T,)."""
        return np.array(self.runs[self.clairvoyant].bound) - np.array(self._run(name).accuracy)

    def totals(self) -> Table:
        """Return a row per policy.

        Columns: ``accuracy``, the mean over all queries; ``of clairvoyant %``, that over the clairvoyant's;
        ``regret``, the mean distance to the clairvoyant's proven bound, over all queries; ``lost %``, the
        queries that nobody answered; ``moves``; and ``decide s``, the process time of all decisions.
        """
        best = self.accuracy(self.clairvoyant)
        columns = ("policy", "accuracy", "of clairvoyant %", "regret", "lost %", "moves", "decide s")
        rows = []
        for name, run in self.runs.items():
            accuracy = self._mean(run.accuracy)
            regret, lost = self._mean(self.regret(name)), 100 * self._mean(run.lost)
            of_best = 100 * accuracy / best if best else np.nan
            cells = (name, accuracy, of_best, regret, lost, sum(run.moves), sum(run.seconds))
            rows.append(dict(zip(columns, cells, strict=True)))
        return Table(columns, rows)

    def table(self) -> Table:
        """Return a row per minute and policy: load, accuracy, regret, lost queries, moves and seconds."""
        columns = ("minute", "policy", "load", "accuracy", "regret", "lost", "moves", "seconds")
        load, regret = self.load.tolist(), {name: self.regret(name).tolist() for name in self.runs}
        rows = []
        for minute in range(len(self)):
            for name, run in self.runs.items():
                of_minute = (run.accuracy[minute], regret[name][minute], run.lost[minute])
                cells = (minute, name, load[minute], *of_minute, run.moves[minute], run.seconds[minute])
                rows.append(dict(zip(columns, cells, strict=True)))
        return Table(columns, rows)

    def to_frame(self) -> pd.DataFrame:
        """Return `table` as a pandas DataFrame; needs pandas."""
        return self.table().to_frame()

    def _run(self, name: str) -> Run:
        if name not in self.runs:
            raise KeyError(f"no policy {name!r}; the policies are {', '.join(self.runs)}")
        return self.runs[name]

    def _mean(self, by_minute: object) -> float:
        """Return a mean over minutes, weighted by their queries."""
        return float(np.average(np.asarray(by_minute, dtype=float), weights=self.load)) if len(self) else 0.0
