"""Reading and writing an inference system as a folder of small tables, or from pandas DataFrames.

A folder holds one JSON file and seven to nine CSV tables, all of which a person can write by hand. A line
that starts with ``#`` is a comment; columns may come in any order.

==================== ==================================================================================
``system.json``      optional: ``{"name": ..., "memory_unit": ..., "payload_unit": ...}``
``models.csv``       ``model, memory``
``tasks.csv``        ``task, query_size, cloud_accuracy`` (empty: the cloud does not do the task)
``accuracy.csv``     ``model, task, accuracy`` (0 to 1); a pair not listed: the model cannot do the task
``clients.csv``      ``client, edge, memory_budget, compute_budget, uplink_budget`` (``inf``: no limit)
``edges.csv``        ``edge, memory_budget, compute_budget, uplink_budget``, and if queries run in batches
                     ``window`` in s (``inf``: no window)
``load.csv``         ``client, task, load`` in queries/s; a pair that is not listed means no queries
``service_time.csv`` ``node, model, service_time`` in s; a pair not listed means the node cannot run the model
``setup_time.csv``   optional, with windows only: ``edge, model, setup_time`` in s; a pair not listed means 0
``reaches.csv``      optional: ``client, edge``, a line for each edge server that a client may use; one
                     that is not listed uses that of ``clients.csv`` alone
==================== ==================================================================================
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyomo_j3o.core.whole_files import write_whole
from pyomo_j3o.library.data import InferenceData

if TYPE_CHECKING:
    import pandas as pd

_BUDGETS = ("memory_budget", "compute_budget", "uplink_budget")
_COLUMNS = {
    "models": ("model", "memory"),
    "tasks": ("task", "query_size", "cloud_accuracy"),
    "accuracy": ("model", "task", "accuracy"),
    "clients": ("client", "edge", *_BUDGETS),
    "edges": ("edge", *_BUDGETS),
    "load": ("client", "task", "load"),
    "service_time": ("node", "model", "service_time"),
}
# What only a system with windows has.
_WINDOW_COLUMN = "window"
# What a system need not have: windows, several edge servers per client.
_OPTIONAL = {"setup_time": ("edge", "model", "setup_time"), "reaches": ("client", "edge")}
_MAY_BE_INF = {*_BUDGETS, _WINDOW_COLUMN}
_MAY_BE_EMPTY = {"cloud_accuracy"}
_SHARES = {"accuracy", "cloud_accuracy"}
_LABELS = ("name", "memory_unit", "payload_unit")

_Row = tuple[str, dict[str, Any]]


def read_folder(path: str | Path) -> InferenceData:
    """Read a system from a folder of tables.

    The files are ``system.json`` (optional labels), ``models.csv``, ``tasks.csv``, ``accuracy.csv``,
    ``clients.csv``, ``edges.csv``, ``load.csv`` and ``service_time.csv``, with windows also
    ``setup_time.csv``, and ``reaches.csv`` if clients may use several edge servers; the head of
    `pyomo_j3o.library.folders` lists their columns.

    Parameters
    ----------
    path
        The folder.

    Returns
    -------
    InferenceData

    Raises
    ------
    FileNotFoundError
        If the folder or one of its tables is missing.
    ValueError
        If a table is not as it should be. The message names file, line and column, and says what to do.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; write_folder(data, path) makes one to start from")
    tables = {name: _read_csv(folder / f"{name}.csv", columns) for name, columns in _COLUMNS.items()}
    for name, columns in _OPTIONAL.items():
        if (folder / f"{name}.csv").exists():
            tables[name] = _read_csv(folder / f"{name}.csv", columns)
    return _assemble(tables, _read_labels(folder / "system.json", default_name=folder.resolve().name))


def write_folder(data: InferenceData, path: str | Path) -> None:
    """Write a system as a folder of tables that `read_folder` reads back without loss.

    Parameters
    ----------
    data
        The system.
    path
        The folder; made if it does not exist. Tables of the same names in it are overwritten, and a
        ``setup_time.csv`` is removed if the system has no windows, and a ``reaches.csv`` if each client uses
        one edge server.

    Raises
    ------
    ValueError
        If a name cannot be read back from a table, as one with a line break, or an accuracy is above 1;
        nothing is written then.
    """
    _require_readable(data)
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    labels = {label: getattr(data, label) for label in _LABELS}
    text = json.dumps(labels, indent=2, ensure_ascii=False) + "\n"
    write_whole(folder / "system.json", text.encode())
    columns = _COLUMNS | _OPTIONAL
    if data.window is not None:
        columns["edges"] = (*_COLUMNS["edges"], _WINDOW_COLUMN)
    tables = _tables(data)
    for name in _OPTIONAL.keys() - tables.keys():
        (folder / f"{name}.csv").unlink(missing_ok=True)
    for name, rows in tables.items():
        table = io.StringIO(newline="")
        plain = csv.writer(table, lineterminator="\n")
        quoted = csv.writer(table, lineterminator="\n", quoting=csv.QUOTE_ALL)
        plain.writerow(columns[name])
        for row in rows:
            # Without quotes, a line that starts so is a comment.
            (quoted if row[0].startswith("#") else plain).writerow(row)
        write_whole(folder / f"{name}.csv", table.getvalue().encode())


def _require_readable(data: InferenceData) -> None:
    """Raise if a table would not give back what is written into it."""
    for field in ("models", "tasks", "clients", "edges"):
        for name in getattr(data, field):
            if name != name.strip() or len(name.splitlines()) > 1 or name == "nan":
                raise ValueError(
                    f"{field}: the name {name!r} cannot be written to a table; use one without a line break, "
                    "without blanks at its ends, and other than 'nan'"
                )
    for field in ("accuracy", "cloud_accuracy"):
        highest = np.nanmax(getattr(data, field), initial=0.0)
        if highest > 1:
            raise ValueError(f"{field}: {highest:g} is above 1; give a share from 0 to 1")


def from_frames(
    frames: Mapping[str, pd.DataFrame],
    name: str = "inference system",
    memory_unit: str = "GB",
    payload_unit: str = "Mbit",
) -> InferenceData:
    """Build a system from pandas DataFrames with the columns of the tables of `read_folder`.

    Parameters
    ----------
    frames
        ``{"models": ..., "tasks": ..., "accuracy": ..., "clients": ..., "edges": ..., "load": ...,
        "service_time": ...}``, with windows also ``"setup_time"`` and a column ``window`` of ``"edges"``,
        with several edge servers per client also ``"reaches"``; more columns than needed do no harm.
    name, memory_unit, payload_unit
        As in `InferenceData`.

    Returns
    -------
    InferenceData

    Raises
    ------
    ValueError
        If a frame or a column is missing, or a cell is not as it should be.
    """
    known = _COLUMNS | _OPTIONAL
    unknown = sorted(set(frames) - set(known))
    if unknown:
        raise ValueError(f"frames[{unknown[0]!r}]: no such table; the tables are {', '.join(known)}")
    tables = {}
    for table, columns in known.items():
        if table not in frames:
            if table in _OPTIONAL:
                continue
            raise ValueError(
                f"frames: the table {table!r} is missing; give a DataFrame with the columns "
                f"{', '.join(columns)}"
            )
        frame = frames[table]
        if not hasattr(frame, "columns") or not hasattr(frame, "to_dict"):
            raise ValueError(f"frames[{table!r}]: an object of type {type(frame).__name__}; give a DataFrame")
        _require_columns(f"frames[{table!r}]", columns, frame.columns)
        if table == "edges" and _WINDOW_COLUMN in frame.columns:
            columns = (*columns, _WINDOW_COLUMN)
        records = frame[list(columns)].to_dict("records")
        tables[table] = [
            (f"frames[{table!r}], row {label!r}", record)
            for label, record in zip(frame.index, records, strict=True)
        ]
    return _assemble(tables, {"name": name, "memory_unit": memory_unit, "payload_unit": payload_unit})


def _read_labels(path: Path, default_name: str) -> dict[str, str]:
    labels = {"name": default_name}
    if path.exists():
        try:
            content = json.loads(_text(path))
        except RecursionError:
            raise ValueError(f"{path}: nested too deep; write an object of texts") from None
        except json.JSONDecodeError as err:
            raise ValueError(f"{path}, line {err.lineno}, column {err.colno}: not JSON ({err.msg})") from None
        if not isinstance(content, dict):
            raise ValueError(f'{path}, line 1: write an object such as {{"name": "my system"}}')
        for label, text in content.items():
            if label not in _LABELS:
                raise ValueError(f"{path}: unknown entry {label!r}; known are {', '.join(_LABELS)}")
            if not isinstance(text, str):
                raise ValueError(f"{path}: {label!r} is {text!r}; write a text")
            labels[label] = text
    return labels


def _text(path: Path) -> str:
    """Return the text of a file, without the mark that some editors put at its beginning."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line}: not UTF-8; save the file as UTF-8") from None


def _cells(where: str, line: str) -> list[str]:
    try:
        return next(csv.reader([line], skipinitialspace=True))
    except csv.Error as error:
        raise ValueError(f"{where}: not a line of a CSV table ({error})") from None


def _read_csv(path: Path, columns: tuple[str, ...]) -> list[_Row]:
    try:
        lines = _text(path).splitlines()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: missing; write a table with the columns {', '.join(columns)}"
        ) from None
    # Comments and blank lines are skipped, yet the line numbers in messages are those of the file.
    kept = [
        (number, _cells(f"{path}, line {number}", line))
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.startswith("#")
    ]
    if not kept:
        raise ValueError(f"{path}, line 1: empty; the first line holds the column names {', '.join(columns)}")
    first, header = kept[0]
    header = [cell.strip() for cell in header]
    _require_columns(f"{path}, line {first}", columns, header)
    rows = []
    for number, cells in kept[1:]:
        where = f"{path}, line {number}"
        if len(cells) != len(header):
            raise ValueError(
                f"{where}: {len(cells)} cells for {len(header)} columns; write one per column of "
                f"{', '.join(header)}"
            )
        rows.append((where, dict(zip(header, (cell.strip() for cell in cells), strict=True))))
    return rows


def _require_columns(where: str, columns: Iterable[str], present: Iterable[str]) -> None:
    present = list(present)
    for column in columns:
        if column not in present:
            found = ", ".join(map(str, present))
            raise ValueError(f"{where}: the column {column!r} is missing; found {found}")
    for column in (*columns, _WINDOW_COLUMN):
        if present.count(column) > 1:
            raise ValueError(f"{where}: the column {column!r} is there twice; leave one out")


def _assemble(tables: dict[str, list[_Row]], labels: dict[str, str]) -> InferenceData:
    models = _keyed("model", tables["models"], "models")
    tasks = _keyed("task", tables["tasks"], "tasks")
    clients = _keyed("client", tables["clients"], "clients")
    edges = _keyed("edge", tables["edges"], "edges")
    for node in edges:
        if node in clients:
            raise ValueError(f"{edges[node][0]}, column 'edge': {node!r} is a client already; rename one")
    known = {
        "model": list(models),
        "task": list(tasks),
        "client": list(clients),
        "edge": list(edges),
        "node": list(clients) + list(edges),
    }
    per_node = list(clients.values()) + list(edges.values())
    windowed = any(_WINDOW_COLUMN in cells for _, cells in edges.values())
    if "setup_time" in tables and not windowed:
        raise ValueError(
            "setup_time: the table is there, but edges has no column 'window', so nothing is batched; add "
            "the column (seconds, inf for no window), or take the table out"
        )
    return InferenceData(
        models=tuple(models),
        tasks=tuple(tasks),
        clients=tuple(clients),
        edges=tuple(edges),
        memory=_column("memory", models.values()),
        query_size=_column("query_size", tasks.values()),
        cloud_accuracy=_column("cloud_accuracy", tasks.values()),
        edge_of=tuple(_name("edge", row, known["edge"]) for row in clients.values()),
        accuracy=_matrix(tables["accuracy"], "model", "task", "accuracy", known, math.nan),
        load=_matrix(tables["load"], "client", "task", "load", known, 0.0),
        service_time=_matrix(tables["service_time"], "node", "model", "service_time", known, math.nan),
        memory_budget=_column("memory_budget", per_node),
        compute_budget=_column("compute_budget", per_node),
        uplink_budget=_column("uplink_budget", per_node),
        window=_column(_WINDOW_COLUMN, edges.values()) if windowed else None,
        setup_time=_matrix(tables.get("setup_time", []), "edge", "model", "setup_time", known, 0.0)
        if windowed
        else None,
        name=labels["name"],
        memory_unit=labels.get("memory_unit", InferenceData.memory_unit),
        payload_unit=labels.get("payload_unit", InferenceData.payload_unit),
        reaches=_reaches(tables["reaches"], clients, known) if "reaches" in tables else None,
    )


def _reaches(
    rows: list[_Row], clients: dict[str, _Row], known: dict[str, list[str]]
) -> dict[str, tuple[str, ...]]:
    """Return the edge servers of each client: those listed, or else its own."""
    listed: dict[str, list[str]] = {}
    for row in rows:
        client, edge = (_name(column, row, known[column]) for column in ("client", "edge"))
        edges = listed.setdefault(client, [])
        if edge in edges:
            raise ValueError(f"{row[0]}: {(client, edge)} was listed before; list each pair once")
        edges.append(edge)
    return {client: tuple(listed.get(client, (row[1]["edge"],))) for client, row in clients.items()}


def _keyed(column: str, rows: list[_Row], table: str) -> dict[str, _Row]:
    keyed: dict[str, _Row] = {}
    for row in rows:
        name = _name(column, row)
        if name in keyed:
            raise ValueError(f"{row[0]}, column {column!r}: {name!r} was listed before; list each once")
        keyed[name] = row
    if not keyed:
        raise ValueError(f"{table}: the table has no rows; list at least one {column}")
    return keyed


def _name(column: str, row: _Row, known: list[str] | None = None) -> str:
    where, cells = row
    name = str(cells[column])
    if not name.strip() or name == "nan":
        raise ValueError(f"{where}, column {column!r}: empty; write a name")
    if known is not None and name not in known:
        some = ", ".join(known[:10]) + (", …" if len(known) > 10 else "")
        raise ValueError(f"{where}, column {column!r}: unknown name {name!r}; known are {some}")
    return name


def _number(column: str, row: _Row) -> float:
    where, cells = row
    cell = cells[column]
    if column in _MAY_BE_EMPTY and (cell is None or cell == ""):
        return math.nan
    try:
        if isinstance(cell, str) and "_" in cell:
            raise ValueError  # 1_000 is a number in Python only
        number = float(cell)
    except (TypeError, ValueError):
        raise ValueError(
            f"{where}, column {column!r}: {cell!r} is not a number; write one like 0.5"
        ) from None
    if math.isnan(number) and column not in _MAY_BE_EMPTY:
        raise ValueError(
            f"{where}, column {column!r}: NaN; write a number"
            + ("" if column in _MAY_BE_INF else ", or leave the row out")
        )
    if math.isinf(number) and column not in _MAY_BE_INF:
        raise ValueError(f"{where}, column {column!r}: {cell!r} is not finite; write a finite number")
    if number < 0:
        raise ValueError(f"{where}, column {column!r}: {number:g} is negative; write a number of at least 0")
    if number > 1 and column in _SHARES:
        raise ValueError(f"{where}, column {column!r}: {number:g} is above 1; write a share from 0 to 1")
    return number


def _column(column: str, rows: Iterable[_Row]) -> np.ndarray:
    return np.array([_number(column, row) for row in rows])


def _matrix(
    rows: list[_Row], first: str, second: str, column: str, known: dict[str, list[str]], absent: float
) -> np.ndarray:
    places = {key: {name: k for k, name in enumerate(known[key])} for key in (first, second)}
    matrix = np.full((len(known[first]), len(known[second])), absent)
    seen = set()
    for row in rows:
        pair = tuple(_name(key, row, known[key]) for key in (first, second))
        if pair in seen:
            columns = f"columns {first!r} and {second!r}"
            raise ValueError(f"{row[0]}, {columns}: {pair} was listed before; list each pair once")
        seen.add(pair)
        matrix[places[first][pair[0]], places[second][pair[1]]] = _number(column, row)
    return matrix


def _tables(data: InferenceData) -> dict[str, list[tuple[str, ...]]]:
    def pairs(
        array: np.ndarray, first: tuple[str, ...], second: tuple[str, ...], listed: np.ndarray
    ) -> list[tuple[str, ...]]:
        # repr of a float is the shortest text that reads back as the same number.
        return [(first[a], second[b], repr(float(array[a, b]))) for a, b in np.argwhere(listed)]

    def budgets(n: int) -> tuple[str, ...]:
        return tuple(repr(float(getattr(data, budget)[n])) for budget in _BUDGETS)

    n_clients = len(data.clients)
    edges = [(edge, *budgets(n_clients + e)) for e, edge in enumerate(data.edges)]
    optional: dict[str, list[tuple[str, ...]]] = {}
    if data.window is not None and data.setup_time is not None:
        edges = [(*row, repr(length)) for row, length in zip(edges, data.window.tolist(), strict=True)]
        optional["setup_time"] = pairs(data.setup_time, data.edges, data.models, data.setup_time > 0)
    if data.reaches is not None:
        optional["reaches"] = [(client, edge) for client, edges in data.reach.items() for edge in edges]
    return {
        "models": list(zip(data.models, map(repr, data.memory.tolist()), strict=True)),
        "tasks": [
            (task, repr(size), "" if math.isnan(cloud) else repr(cloud))
            for task, size, cloud in zip(
                data.tasks, data.query_size.tolist(), data.cloud_accuracy.tolist(), strict=True
            )
        ],
        "accuracy": pairs(data.accuracy, data.models, data.tasks, ~np.isnan(data.accuracy)),
        "clients": [(client, data.edge_of[i], *budgets(i)) for i, client in enumerate(data.clients)],
        "edges": edges,
        "load": pairs(data.load, data.clients, data.tasks, data.load > 0),
        "service_time": pairs(data.service_time, data.nodes, data.models, ~np.isnan(data.service_time)),
        **optional,
    }
