"""The report itself: its tables, how it prints, and where it can be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pyomo_j3o.core.table import Table
from pyomo_j3o.errors import OptionError
from pyomo_j3o.reporting import files, layout
from pyomo_j3o.reporting.addresses import Index

if TYPE_CHECKING:
    import pandas as pd

#: The tables that a report has, by the names that `PlanReport.table` takes.
TABLES = ("summary", "placed", "routed", "rows", "components", "budgets", "binding")


@dataclass(frozen=True, slots=True)
class Summary:
    """What there is to know of a plan in a few numbers.

    Attributes
    ----------
    model
        Its name.
    objective_name, sense
        The active objective, and ``"maximize"`` or ``"minimize"``.
    objective
        At the values of the plan.
    bound
        Proven: no plan is better. None if it is not known, or may be that of another model.
    gap
        The distance of the two over the objective's size; None without a bound, and where `missed` is not 0.
    status
        ``"optimal"``, ``"feasible"`` or what else the results say; ``"unknown"`` without results, and
        ``"no plan"`` where the values miss rows, bounds or whole numbers.
    solver, message, seconds
        Who found the plan, how it ended, and in what wall time.
    onloading, placed
        Numbers of onloading variables, and of those that are not 0.
    offloading, routed
        Numbers of offloading variables, and of those that are not 0.
    rows, binding, missed
        Numbers of rows, of those that bind (no links, demands or equations), and of rows, bounds and whole
        numbers that the values miss.
    notes
        What else there is to say, in sentences.
    """

    model: str
    objective_name: str
    sense: str
    objective: float
    bound: float | None
    gap: float | None
    status: str
    solver: str
    message: str
    seconds: float | None
    onloading: int
    placed: int
    offloading: int
    routed: int
    rows: int
    binding: int
    missed: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class PlanReport:
    """What a plan does: printing it gives text, and a notebook shows tables.

    Attributes
    ----------
    summary : Summary
        Objective, bound, gap, status and counts.
    placed : Table
        Onloading variables that are not 0, see `pyomo_j3o.report` for all columns.
    routed : Table
        Offloading variables that are not 0.
    rows : Table
        All rows: those that are missed, then limits and requirements by their fullness, then the others.
    components : Table
        One row per component of constraints: how many rows, how many bind, and how full they are.
    candidates : dict
        By component, the indices of all its variables, be they 0 or not.
    dimensions : dict
        By component, the names of the sets that index it; "" for one without a name.
    given_names : frozenset of str
        Components whose members are called as in the file that they come from: these names are printed, and
        not component and index.
    """

    summary: Summary
    placed: Table
    routed: Table
    rows: Table
    components: Table
    candidates: Mapping[str, list[Index]] = field(repr=False)
    dimensions: Mapping[str, tuple[str, ...]] = field(repr=False)
    given_names: frozenset[str] = frozenset()

    @property
    def budgets(self) -> Table:
        """The rows that are limits and requirements, fullest first."""
        return Table(self.rows.columns, [row for row in self.rows if row["kind"] in layout.BUDGETS])

    @property
    def binding(self) -> Table:
        """The rows that bind or are missed, without links, demands and equations; largest dual first."""
        return layout.binding(self.rows)

    def table(self, name: str) -> Table:
        """Return one of the tables.

        Parameters
        ----------
        name
            ``"summary"``, ``"placed"``, ``"routed"``, ``"rows"``, ``"components"``, ``"budgets"`` or
            ``"binding"``.

        Raises
        ------
        OptionError
            If there is no such table.
        """
        if name not in TABLES:
            raise OptionError(f"table={name!r} is unknown; choose one of {', '.join(map(repr, TABLES))}")
        if name == "summary":
            entries = asdict(self.summary) | {"notes": " ".join(self.summary.notes)}
            return Table(("entry", "value"), [{"entry": k, "value": v} for k, v in entries.items()])
        found: Table = getattr(self, name)
        return found

    def to_frame(self, table: str = "placed") -> pd.DataFrame:
        """Return a table as a pandas DataFrame, all of it; needs pandas.

        Parameters
        ----------
        table
            Which one, see `table`.
        """
        return self.table(table).to_frame()

    def to_csv(self, path: str | Path, table: str | None = None) -> None:
        """Write tables to CSV files, each whole or not at all.

        Parameters
        ----------
        path
            A folder, which gets ``summary.csv``, ``placed.csv``, ``routed.csv`` and ``rows.csv``; it is made
            if it is not there. Or a file whose name ends in ``.csv``, which gets one table.
        table
            Which one, see `table`. If not given, a file gets `placed`, `routed` and `rows` one below the
            other, with the name of the table in the first column.

        Raises
        ------
        OptionError
            If there is no such table.
        FileError
            If a file or the folder cannot be written.
        """
        files.write_csv(self, Path(path), table)

    def to_json(self, path: str | Path | None = None) -> str | None:
        """Return the report as JSON, or write it to a file.

        `pyomo_j3o.reporting.json_schema` describes it.

        Parameters
        ----------
        path
            Of the file, which is written whole or not at all; the text is returned if not given.

        Raises
        ------
        FileError
            If the file cannot be written.
        """
        return files.returned_or_written(files.as_json(self), path)

    def to_html(self, path: str | Path | None = None) -> str | None:
        """Return the report as a whole HTML page, or write it to a file.

        Parameters
        ----------
        path
            Of the file, which is written whole or not at all; the text is returned if not given.

        Raises
        ------
        FileError
            If the file cannot be written.
        """
        return files.returned_or_written(files.as_page(self), path)

    def __str__(self) -> str:
        return layout.as_text(self)

    def __repr__(self) -> str:
        one = self.summary
        return (
            f"<PlanReport of '{one.model}': objective {one.objective:.6g}, {one.status}, "
            f"{one.placed} placed, {one.routed} routed>"
        )

    def _repr_html_(self) -> str:
        return layout.as_html(self)
