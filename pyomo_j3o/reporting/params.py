"""Parameters of reports, which have no settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReportParams:
    """Of what is printed of a plan. Frames and files hold all of it.

    Attributes
    ----------
    lines : int
        Most lines of one component in the text of a report.
    lines_in_notebook : int
        The same in a notebook.
    components : int
        Most components of one kind that have lines of their own.
    width : int
        Characters of a cell in the text of a report.
    same_objective : float
        Fraction of the objective. Values that differ by more are not those of the results.
    binding : float
        Fraction of a row's limit. A row with less slack binds.
    """

    lines: int = 10
    lines_in_notebook: int = 20
    components: int = 6
    width: int = 48
    same_objective: float = 1e-6
    binding: float = 1e-6
