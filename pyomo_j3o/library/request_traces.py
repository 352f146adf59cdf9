"""Arrivals over time: counts per minute, from arrays or files, and those of two production services."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from pyomo_j3o.core.checks import check_names


@dataclass(frozen=True, eq=False)
class Trace:
    """Counts per minute of one or more series, such as services.

    Parameters
    ----------
    series
        Names of the S series.
    counts
        Requests per minute, or any multiple of them, shape (T, S). A minute without requests is a 0; every
        series has one positive count at least.
    minutes
        Numbers of the T minutes, at least 0, each one more than the last; 0, 1, 2, ... if not given.

    Raises
    ------
    ValueError
        If a minute is missing or no whole number of at least 0, or a count is negative or not a finite
        number. The message names the first.
    """

    series: tuple[str, ...]
    counts: np.ndarray
    minutes: np.ndarray | None = None

    def __post_init__(self) -> None:
        check_names("series", self.series)
        object.__setattr__(self, "series", tuple(self.series))
        counts = _numbers("counts", self.counts)
        if counts.ndim != 2 or counts.shape[1] != len(self.series) or not len(counts):
            raise ValueError(
                f"counts: shape {counts.shape} where one row per minute and one column for each of "
                f"{len(self.series)} series is expected"
            )
        minutes = np.arange(len(counts)) if self.minutes is None else _numbers("minutes", self.minutes)
        if minutes.shape != (len(counts),):
            raise ValueError(
                f"minutes: {minutes.size} of them for {len(counts)} rows of counts; give one each"
            )
        for minute in minutes[~np.isfinite(minutes) | (minutes < 0) | (minutes % 1 != 0)][:1]:
            raise ValueError(f"minutes: {minute:g} is no minute; give whole numbers of at least 0")
        for step in np.flatnonzero(np.diff(minutes) != 1)[:1]:
            raise ValueError(
                f"minutes: after {minutes[step]:g} comes {minutes[step + 1]:g}; give every minute in order, "
                "with a count of 0 where nothing arrived"
            )
        for t, s in np.argwhere(~np.isfinite(counts) | (counts < 0))[:1]:
            raise ValueError(
                f"counts[minute {minutes[t]:g}, {self.series[s]!r}]: {counts[t, s]} is no count; give a "
                "number of at least 0"
            )
        for s in np.flatnonzero(counts.sum(axis=0) <= 0)[:1]:
            raise ValueError(f"counts[{self.series[s]!r}]: nothing ever arrives; leave the series out")
        for field, array in (("counts", counts), ("minutes", minutes)):
            array.setflags(write=False)
            object.__setattr__(self, field, array)

    def __len__(self) -> int:
        return len(self.counts)

    def __repr__(self) -> str:
        return f"<Trace of {len(self)} minutes: {', '.join(self.series)}>"

    @property
    def factors(self) -> np.ndarray:
        """Counts over the mean count of their series, shape (T, S)."""
        return np.asarray(self.counts / self.counts.mean(axis=0))

    @classmethod
    def read_csv(
        cls, path: str | Path, series: str = "service", minute: str = "minute", count: str = "requests"
    ) -> Trace:
        """Read a file with one line per series and minute; lines that start with ``#`` are comments.

        The series need not end in the same minute: minutes that not all of them have at the ends are left
        out.

        Parameters
        ----------
        path
            The file, CSV in UTF-8.
        series, minute, count
            Names of its columns.

        Raises
        ------
        ValueError
            If a column is missing, if no minute is in all series, or if the trace is not one that `Trace`
            takes.
        """
        return _from_text(Path(path).read_text(encoding="utf-8-sig"), str(path), (series, minute, count))


@cache
def request_traces() -> Trace:
    """Return the recorded requests per minute of two production services for language models.

    ``code`` completes code, in bursts: many minutes have no request. ``conv`` is a conversation service, and
    its load changes slowly. The published figures are time stamps; the counts are derived from them. The
    last minute of each service is incomplete, and left out; so is the one minute that ``conv`` has more.

    Returns
    -------
    Trace
        57 minutes of 2023.

    References
    ----------
    P. Patel et al., "Splitwise: Efficient Generative LLM Inference Using Phase Splitting", ISCA 2024;
    github.com/Azure/AzurePublicDataset, commit b469a113cedca53ddc3bdea71a143dc4b7d8700c (CC-BY 4.0).
    """
    name = "azure_llm_2023_requests_per_minute.csv"
    text = files("pyomo_j3o").joinpath("library/published", name).read_text(encoding="utf-8")
    return _from_text(text, name, ("service", "minute", "requests"))


def _from_text(text: str, source: str, columns: tuple[str, str, str]) -> Trace:
    """Return the trace of a file with a line per series and minute."""
    reader = csv.DictReader(line for line in text.splitlines() if line.strip() and line[0] != "#")
    for column in columns:
        if column not in (reader.fieldnames or ()):
            raise ValueError(f"{source}: has no column {column!r}; only {list(reader.fieldnames or ())}")
    found: dict[str, dict[int, float]] = {}
    for row in reader:
        name, minute, count = (row[column] for column in columns)
        try:
            number, at = float(count), int(minute)
        except (TypeError, ValueError):
            raise ValueError(
                f"{source}: minute {minute!r} of {name!r} has the count {count!r}; give whole minutes and "
                "numbers"
            ) from None
        if at in found.setdefault(name, {}):
            raise ValueError(f"{source}: minute {at} of {name!r} occurs twice; give each minute once")
        found[name][at] = number
    if not found:
        raise ValueError(f"{source}: has no line; give one per series and minute")
    first, last = max(map(min, found.values())), min(map(max, found.values()))
    if first > last:
        late, early = (
            next(name for name, counts in found.items() if end(counts) == limit)
            for end, limit in ((min, first), (max, last))
        )
        raise ValueError(
            f"{source}: {late!r} begins in minute {first}, but {early!r} ends in minute {last}; give series "
            "that have a minute in common"
        )
    for name, counts in found.items():
        for at in range(first, last + 1):
            if at not in counts:
                raise ValueError(
                    f"{source}: minute {at} of {name!r} is missing; give every minute, with a count of 0 "
                    "where nothing arrived"
                )
    minutes = range(first, last + 1)
    counted = [[found[name][at] for name in found] for at in minutes]
    return Trace(tuple(found), np.array(counted), np.array(minutes))


def _numbers(field: str, values: Any) -> np.ndarray:
    """Return an array of numbers; raise a ValueError that names the field for anything else."""
    try:
        return np.array(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{field}: not an array of numbers ({error})") from None
