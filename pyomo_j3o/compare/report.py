"""A comparison as a table on the terminal, as CSV and as JSON."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pyomo_j3o.compare.race import Comparison
from pyomo_j3o.compare.records import Entrant, Instance
from pyomo_j3o.compare.verdicts import HARD, Block, Row
from pyomo_j3o.core.lasting_stream import LastingStream
from pyomo_j3o.core.live_display import below_notebook
from pyomo_j3o.core.long_call import LongCall
from pyomo_j3o.core.version import __version__

_BAD, _GOOD, _PALE = "bold red", "green", "dim"

#: The columns of the CSV file; the values per run of the JSON file are the same.
COLUMNS: dict[str, Callable[[Block, Row], Any]] = {
    "instance": lambda block, row: block.instance.name,
    "size": lambda block, row: block.instance.size,
    "seed": lambda block, row: block.instance.seed,
    "sense": lambda block, row: "maximize" if block.instance.sense > 0 else "minimize",
    "variables": lambda block, row: block.instance.variables,
    "integers": lambda block, row: block.instance.integers,
    "constraints": lambda block, row: block.instance.constraints,
    "solver": lambda block, row: row.run.solver,
    "status": lambda block, row: row.status,
    "objective": lambda block, row: row.run.objective,
    "claimed_objective": lambda block, row: row.run.claimed,
    "bound": lambda block, row: row.run.bound,
    "gap": lambda block, row: row.gap,
    "seconds": lambda block, row: row.run.seconds,
    "share_of_reference": lambda block, row: row.share,
    "ratio": lambda block, row: row.ratio,
    "best_plan": lambda block, row: block.plan,
    "best_bound": lambda block, row: block.bound,
    "best_is_proven": lambda block, row: block.proven,
    "termination_condition": lambda block, row: row.run.condition,
    "reason": lambda block, row: row.run.reason,
    "faults": lambda block, row: " ".join(row.faults),
    "notes": lambda block, row: " ".join(row.run.notes),
}


class TerminalReport:
    """Prints the table as it grows: with a line of progress on a terminal, as plain text elsewhere.

    Parameters
    ----------
    save
        Called after every run, so that what was measured is on disk whatever happens then.
    """

    def __init__(self, save: Callable[[Comparison], None]) -> None:
        self._save = save
        # Pyomo's interfaces redirect standard output while they solve; a copy of it stays where it is.
        self._copy = _copy_of_stdout()
        stream = self._stream = LastingStream(self._copy or sys.stdout)
        self._console = Console(
            file=stream,  # type: ignore[arg-type]
            width=None if stream.isatty() or "COLUMNS" in os.environ else 104,
            highlight=False,
        )
        self._draws = self._console.is_terminal and not below_notebook()
        self._call = LongCall("compare")  # where nothing is drawn
        self._labels: list[str] = []
        self._now, self._done, self._total = "", 0, 0
        self._block: Block | None = None
        self._clock: Callable[[], float] = self._console.get_time
        self._since = 0.0
        self._first = True
        self._live = Live(
            console=self._console,
            # One change a second costs the solver, which shares the processor, next to nothing.
            refresh_per_second=1,
            redirect_stdout=False,
            redirect_stderr=False,
            transient=True,
            get_renderable=self._progress,
        )

    def __enter__(self) -> TerminalReport:
        if self._draws:
            self._live.start()
        else:
            self._call.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._live.stop()
        self._call.__exit__(kind, error, at)
        if self._copy is not None:
            with contextlib.suppress(OSError):  # noted already, if it matters
                self._copy.close()

    @property
    def failure(self) -> str:
        """Why the table could not be shown to its end; "" if it was, or if its reader went away."""
        return self._stream.failure

    def begin(self, comparison: Comparison, instances: int) -> None:
        """Print what every solver is told."""
        self._labels = [entrant.label for entrant in comparison.entrants]
        self._total = instances * len(self._labels)
        settings = comparison.settings
        self._console.print(
            f"{instances} instance{_s(instances)}, {len(self._labels)} solver{_s(len(self._labels))}; "
            f"time limit {settings.time_limit:g} s, gap {settings.gap:g}, {settings.threads} "
            f"thread{_s(settings.threads)}; times are compared with those of {comparison.reference}"
        )
        if settings.side_by_side:
            self._console.print(
                f"Runs side by side on {settings.side_by_side}: their times share the machine."
            )
        table = Table.grid(padding=(0, 0, 0, 2), pad_edge=True)
        table.add_column(overflow="fold", max_width=30)
        table.add_column()  # a long line goes on below itself, and leaves the labels alone
        for entrant in comparison.entrants:
            table.add_row(Text(entrant.label), _settings_taken(entrant))
        self._console.print(table)
        self._console.print()

    def running(self, instance: str, solver: str) -> None:
        """Show which run goes on."""
        self._now, self._since = f"{solver} on {instance}", self._clock()
        if not self._draws:
            self._call.say(self._now, self._done, self._total)
        self._refresh()

    def update(self, comparison: Comparison, block: Block, finished: bool) -> None:
        """Show the runs of the instance so far; print them for good if it is finished."""
        self._done += 1
        self._now = ""
        self._block = None if finished else block
        if finished:
            self._console.print(self._table(block, header=self._first))
            self._first = False
        self._refresh()
        self._save(comparison)

    def end(self, comparison: Comparison) -> None:
        """Print the summary and all faults."""
        self._live.stop()
        if self._block is not None:  # stopped amid an instance
            self._console.print(self._table(self._block, header=self._first))
            self._block = None
        if comparison.interrupted:
            self._console.print(
                f"Interrupted in run {self._done} of {self._total}; this is what was found until then.\n",
                style="yellow",
            )
        if comparison.blocks:
            self._console.print(self._summary(comparison))
        faults = comparison.faults()
        for instance, solver, fault in faults:
            self._console.print(Text(f"{instance}, {solver}: {fault}", style=_BAD))
        if not faults and any(
            row.run.objective is not None for block in comparison.blocks for row in block.rows
        ):
            self._console.print(
                "Every plan passed the check on a fresh model, and no bound is contradicted by a plan."
            )

    def _refresh(self) -> None:
        if self._draws:
            self._live.refresh()

    def _progress(self) -> Group:
        parts: list[Any] = [] if self._block is None else [self._table(self._block, header=self._first)]
        if self._now:
            seconds = self._clock() - self._since
            parts.append(Text(f"run {self._done + 1} of {self._total}: {self._now}, {seconds:.0f} s"))
        return Group(*parts)

    def _table(self, block: Block, header: bool) -> Group:
        table = _new_table(show_header=header)
        width = max([*map(len, self._labels), 6])
        table.add_column("solver", width=min(width, 28), overflow="fold")
        table.add_column("status", width=11)
        for name, columns in (
            ("objective", 11),
            ("bound", 11),
            ("gap", 7),
            ("time", 8),
            ("time/ref", 8),
            ("obj/best", 8),
        ):
            table.add_column(name, width=columns, justify="right", no_wrap=True)
        for row in block.rows:
            table.add_row(*_cells(row))
        title = Text(f"{_described(block.instance)}; {_best(block)}", style="bold")
        return Group(title, table, *_remarks(block), Text())

    def _summary(self, comparison: Comparison) -> Group:
        table = _new_table(show_header=True)
        width = max([*map(len, self._labels), 6])
        table.add_column("solver", width=min(width, 28), overflow="fold")
        for name in (
            *("plans", "proven", "obj/best", "worst", "gap", "max gap"),
            *("time", "time/ref", f"ref > {HARD:g} s"),
        ):
            table.add_column(name, justify="right", no_wrap=True)
        for one in comparison.summaries():
            cells = [
                f"{one.plans}/{one.runs}",
                str(one.proven),
                _percent(one.mean_ratio),
                _percent(one.worst_ratio),
                _percent(one.mean_gap),
                _percent(one.max_gap),
                f"{one.seconds:.1f} s" if one.runs else "-",
                _percent(one.share, digits=1),
                _percent(one.hard_share, digits=1) + (f" ({one.hard})" if one.hard else ""),
            ]
            table.add_row(escape(one.solver), *cells, style=_BAD if one.wrong else None)
        explained = (
            "plans: passed the check, of how many runs. obj/best, worst: the objective as a share of the "
            "best known value (a proven optimum, else the best bound), mean and least. gap, max gap: "
            f"certified, mean and largest. time: summed; time/ref: over that of {comparison.reference}; "
            f"ref > {HARD:g} s: the same, where {comparison.reference} needs more than that (on how many "
            "instances)."
        )
        return Group(Text("Summary", style="bold"), table, Text(explained, style=_PALE), Text())


def _cells(row: Row) -> list[str | Text]:
    """Return what the table of an instance shows of a run."""
    run = row.run
    return [
        escape(run.solver),
        Text(row.status, style=_style_of_status(row)),
        _figure(run.objective, _BAD if run.complaints else ""),
        _figure(run.bound, _BAD if row.status == "WRONG BOUND" else ""),
        _percent(row.gap),
        "-" if run.seconds is None else f"{run.seconds:.2f} s",
        _percent(row.share, digits=1),
        _percent(row.ratio),
    ]


def _style_of_status(row: Row) -> str:
    if row.status.startswith("WRONG") or row.run.outcome == "failed":
        return _BAD
    if row.status == "proven":
        return _GOOD
    return _PALE if row.run.objective is None else ""


def _remarks(block: Block) -> list[Text]:
    """Return the lines below the table of an instance: faults, and why a solver takes no part."""
    return [
        # A fault is told in full; of why a solver takes no part, the beginning is enough.
        Text(f"  {row.run.solver}: {text}", style=_BAD)
        if row.faults
        else Text(f"  {row.run.solver}: {text}", style=_PALE, no_wrap=True, overflow="ellipsis")
        for row in block.rows
        for text in row.faults or (row.run.reason,)
        if text and row.run.outcome != "absent"  # why it is absent stands above all tables
    ]


def _new_table(show_header: bool) -> Table:
    return Table(box=None, show_header=show_header, padding=(0, 1, 0, 0))


def as_csv(comparison: Comparison) -> bytes:
    """Return one line per run."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(COLUMNS))
    writer.writeheader()
    writer.writerows(_rows(comparison))
    return text.getvalue().encode()


def as_json(comparison: Comparison) -> bytes:
    """Return settings, solvers, runs, summary and faults; what is unknown or infinite is null."""
    content = {
        "settings": {**asdict(comparison.settings), "reference": comparison.reference},
        "machine": {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "system": platform.system(),
            "cores": os.cpu_count(),
            "pyomo_j3o": __version__,
            "pyomo": _version_of("pyomo"),
        },
        "interrupted": comparison.interrupted,
        "solvers": [asdict(entrant) for entrant in comparison.entrants],
        "runs": _rows(comparison),
        "summary": [asdict(one) for one in comparison.summaries()],
        "faults": [
            dict(zip(("instance", "solver", "fault"), fault, strict=True)) for fault in comparison.faults()
        ],
    }
    return (json.dumps(_finite(content), indent=1, default=str, allow_nan=False) + "\n").encode()


def _rows(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {name: given(block, row) for name, given in COLUMNS.items()}
        for block in comparison.blocks
        for row in block.rows
    ]


def _finite(content: Any) -> Any:
    """Return the content with None for what JSON has no word for."""
    if isinstance(content, dict):
        return {name: _finite(given) for name, given in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(given) for given in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _version_of(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def _copy_of_stdout() -> TextIO | None:
    try:
        number = os.dup(sys.stdout.fileno())
    except (AttributeError, OSError, ValueError):
        return None  # no file behind it, as in a notebook: nothing to keep apart
    return open(number, "w", encoding=sys.stdout.encoding, errors="replace", buffering=1)


def _settings_taken(entrant: Entrant) -> Text:
    """Return version, settings and options of a solver, or why it is absent."""
    if entrant.missing:
        return Text(f"absent: {entrant.missing}", style="yellow")
    line = Text(
        f"{entrant.version:<8} " + " ".join(f"{name}={given}" for name, given in entrant.told.items())
    )
    if entrant.untold:
        line.append(f"; cannot be told: {', '.join(entrant.untold)}", style="yellow")
    return line


def _described(instance: Instance) -> str:
    return (
        f"{instance.name}: {instance.variables:,} variables ({instance.integers:,} integer), "
        f"{instance.constraints:,} rows"
    )


def _best(block: Block) -> str:
    if block.best is None:
        return "no plan and no bound known"
    if block.proven:
        return f"optimum {block.best:.7g}"
    if block.bound is None:
        return f"best plan known {block.best:.7g}, no bound"
    return f"best bound {block.bound:.7g}"


def _figure(number: float | None, style: str = "") -> Text:
    return Text("-" if number is None else f"{number:.7g}", style=style)


def _percent(share: float | None, digits: int = 2) -> str:
    if share is None:
        return "-"
    if not math.isfinite(share):
        return "none"
    return f"{100 * share:.{digits}f}%" if abs(share) < 100 else f"{100 * share:.2g}%"


def _s(count: int) -> str:
    return "" if count == 1 else "s"
