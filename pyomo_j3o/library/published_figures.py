"""The files of published figures that come with the package, and how figures of networks become arrays."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import NamedTuple

import numpy as np

#: A line of a file, by the names of its columns.
Row = dict[str, str]


class NetworkFigures(NamedTuple):
    """What a file says of networks; the arrays are read-only.

    Attributes
    ----------
    names
        Of the M networks, in the order of the file.
    values
        Shape (M, T), one for each network and task; NaN where a network does not do a task.
    parameters, gmacs
        Shape (M,), million parameters and billion multiply-adds.
    """

    names: tuple[str, ...]
    values: np.ndarray
    parameters: np.ndarray
    gmacs: np.ndarray


def published_rows(file: str) -> list[Row]:
    """Return the lines of a file in ``library/published``, without its head of comments."""
    text = files("pyomo_j3o").joinpath("library/published", file).read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def network_figures(
    rows: Sequence[Row],
    tasks: Sequence[str],
    task: str,
    value: Callable[[Row], float],
    parameters: Callable[[Row], float] = lambda row: float(row["params_m"]),
    gmacs: Callable[[Row], float] = lambda row: float(row["gmacs"]),
) -> NetworkFigures:
    """Return the figures of networks in rows of one network and one task each.

    Parameters
    ----------
    rows
        Name their network ``model_id``.
    tasks
        The T tasks, in their order.
    task
        The column that names the task.
    value, parameters, gmacs
        Return the figure of a row.
    """
    names = tuple(dict.fromkeys(row["model_id"] for row in rows))
    values = np.full((len(names), len(tasks)), np.nan)
    size, work = np.zeros(len(names)), np.zeros(len(names))
    for row in rows:
        k = names.index(row["model_id"])
        values[k, tasks.index(row[task])] = value(row)
        size[k], work[k] = parameters(row), gmacs(row)
    for array in (values, size, work):
        array.setflags(write=False)
    return NetworkFigures(names, values, size, work)
