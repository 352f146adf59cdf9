"""The runs of a comparison at the same time, in processes of this machine or on a Dask cluster.

Every worker builds the instance for itself, and checks the plan that its solver finds; what comes back is one
`Run`. Blocks are put together in the order in which one run after another would have made them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from typing import Any

from pyomo_j3o.compare.checking import Referee
from pyomo_j3o.compare.contestants import Contestant
from pyomo_j3o.compare.race import Comparison, Observer, entered, run_once
from pyomo_j3o.compare.records import CompareError, Instance, Run, Settings
from pyomo_j3o.compare.sources import Source
from pyomo_j3o.compare.verdicts import judge
from pyomo_j3o.core.engine import Engine, Job, Lost
from pyomo_j3o.errors import EngineError, FileError


def compare_side_by_side(
    sources: Sequence[Source],
    contestants: list[Contestant],
    settings: Settings,
    observer: Observer,
    engine: Engine,
) -> Comparison:
    """Run every solver on every instance, several at a time; otherwise as `race.compare`.

    A run whose worker dies has failed; the others go on.

    Raises
    ------
    CompareError
        If a model cannot be built, a solver does not take an option, or the engine fails.
    """
    comparison = entered(sources, contestants, settings)
    observer.begin(comparison, len(sources))
    order = [(i, j) for i in range(len(sources)) for j in range(len(contestants))]
    found: dict[tuple[int, int], tuple[Instance | None, Run]] = {}
    jobs = []
    for i, j in order:
        contestant = contestants[j]
        if contestant.missing:
            found[i, j] = None, Run(contestant.label, "absent", reason=contestant.missing)
        else:
            who = (contestant.label, contestant.name, tuple(contestant.options.items()))
            jobs.append(Job((i, j), (sources[i], who, settings)))
    table = _Blocks(sources, comparison, observer, order)
    table.take(found)
    try:
        with closing(engine.run(run_elsewhere, jobs)) as results:
            for job, result in results:
                found[job.key] = _run_of(result, contestants[job.key[1]].label)  # type: ignore[index]
                table.take(found)
    except EngineError as error:
        raise CompareError(f"{error}") from error
    except KeyboardInterrupt:
        comparison.interrupted = True
    return comparison


def run_elsewhere(
    source: Source, who: tuple[str, str, tuple[tuple[str, Any], ...]], settings: Settings
) -> tuple[Instance, Run] | str:
    """Build an instance, solve it by one solver, and check the plan; in a worker.

    Parameters
    ----------
    source
        Of the instance.
    who
        Label, name and options of the solver.
    settings
        What every solver is told.

    Returns
    -------
    tuple or str
        The instance and the run; or why there is none.
    """
    label, name, options = who
    try:
        referee = Referee(source.build(), source.name, source.size, source.seed)
        return referee.instance, run_once(_warm(label, name, options), settings, referee)
    except (CompareError, FileError) as error:
        return str(error)


@cache
def _warm(label: str, name: str, options: tuple[tuple[str, Any], ...]) -> Contestant:
    """Return a solver that has paid for its first use; once in every process."""
    contestant = Contestant(label, name, dict(options))
    contestant.enter(Settings(time_limit=10.0), 0)
    return contestant


def _run_of(result: Any, label: str) -> tuple[Instance | None, Run]:
    if isinstance(result, Lost):
        return None, Run(label, "failed", reason=result.reason)
    if isinstance(result, str):
        raise CompareError(result)
    instance, run = result
    return instance, run


class _Blocks:
    """Puts runs together in their order, whatever the order in which they end."""

    def __init__(
        self,
        sources: Sequence[Source],
        comparison: Comparison,
        observer: Observer,
        order: Sequence[tuple[int, int]],
    ) -> None:
        self._sources, self._comparison, self._observer = sources, comparison, observer
        self._order, self._next = order, 0
        self._runs: list[Run] = []
        self._instance: Instance | None = None

    def take(self, found: dict[tuple[int, int], tuple[Instance | None, Run]]) -> None:
        """Show the runs whose turn it is."""
        comparison = self._comparison
        while self._next < len(self._order) and self._order[self._next] in found:
            i, j = self._order[self._next]
            instance, run = found.pop((i, j))
            if j == 0:
                self._runs, self._instance = [], None
            self._instance = self._instance or instance or _instance_of(self._sources[i])
            self._runs.append(run)
            block = judge(self._instance, self._runs, comparison.reference, comparison.settings)
            if j > 0:
                comparison.blocks.pop()
            comparison.blocks.append(block)
            self._next += 1
            self._observer.update(comparison, block, j == len(comparison.entrants) - 1)


def _instance_of(source: Source) -> Instance:
    return Referee(source.build(), source.name, source.size, source.seed).instance


@contextmanager
def opened(workers: int | None, address: str | None) -> Iterator[Engine]:
    """Open the engine for a number of processes, or for a Dask cluster.

    Parameters
    ----------
    workers, address
        One of them.

    Raises
    ------
    CompareError
        Dask is not installed, or no scheduler answers.
    """
    if address is None:
        with closing(Engine(workers=workers)) as engine:
            yield engine
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise CompareError('--dask needs distributed: pip install "pyomo-j3o[dask]"') from error
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise CompareError(f"--dask {address}: no scheduler answers there; give its address") from error
    with client, client.get_executor(pure=False) as executor, closing(Engine(executor)) as engine:
        yield engine
