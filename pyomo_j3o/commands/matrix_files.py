"""MPS and LP files as arrays, read by HiGHS."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from pyomo_j3o.commands.mps_faults import first_fault, is_fixed
from pyomo_j3o.commands.objective_names import objective_name
from pyomo_j3o.core.problem import BoolArray, FloatArray
from pyomo_j3o.errors import FileError
from pyomo_j3o.lp.highs import new_highs

logger = logging.getLogger("pyomo_j3o")

#: Endings of the files that are read here.
ENDINGS = (".mps", ".lp", ".mps.gz", ".lp.gz")

#: A side or bound of this size is none, as in HiGHS.
_INFINITE = 1e20

#: How many warnings of HiGHS are shown.
_MOST_WARNINGS = 3


@dataclass(frozen=True, slots=True)
class MatrixModel:
    """A linear model of C columns and R rows, as its file has it.

    Attributes
    ----------
    name
        Of the model; that of the file if it gives none.
    maximise
        The sense of the objective.
    offset
        The constant of the objective.
    cost, lower, upper : (C,)
        Of the columns.
    integer : (C,)
        Whether a column takes whole numbers only.
    matrix : (R, C) CSR
    row_lower, row_upper : (R,)
        Sides of the rows.
    columns, rows
        Names, C and R of them.
    objective
        The name of the objective; "" if the file gives none.
    semi : (C,)
        Whether a column may also be 0 where its bounds exclude that. `with_switches` leaves none.
    switch : (C,)
        Whether a column is none of the file's, but says where such a column may be other than 0.
    """

    name: str
    maximise: bool
    offset: float
    cost: FloatArray
    lower: FloatArray
    upper: FloatArray
    integer: BoolArray
    matrix: sparse.csr_array
    row_lower: FloatArray
    row_upper: FloatArray
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    objective: str
    semi: BoolArray
    switch: BoolArray


def is_matrix_file(path: Path) -> bool:
    """Return whether the name of a file is that of an MPS or LP file."""
    return path.name.lower().endswith(ENDINGS)


def read_matrix_file(path: Path) -> MatrixModel:
    """Read an MPS or LP file.

    Parameters
    ----------
    path
        Of a file whose name has one of the `ENDINGS`.

    Raises
    ------
    FileError
        The file cannot be read, holds what is not linear, or something that readers take in different ways,
        such as two entries of one column in one row, or an integer column without bounds.
    """
    import highspy

    highs = new_highs({})
    highs.setOptionValue("log_to_console", False)
    highs.setOptionValue("output_flag", True)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        highs.setOptionValue("log_file", str(log))
        status = highs.readModel(str(path))
        highs.setOptionValue("log_file", "")  # it closes the file
        said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    failed = status == highspy.HighsStatus.kError
    if ".mps" in path.name.lower():
        fault = first_fault(path)
        # Names in fixed MPS may hold blanks, which cannot be told from gaps between names.
        if fault is not None and not (_has_blanks(highs.getLp()) and is_fixed(path)):
            raise FileError(f"{path}: {fault}")
    if failed:
        why = _first_error(said)
        remedy = "; write each set with binary columns, or solve the model in Pyomo" if "SOS" in why else ""
        raise FileError(f"{path}: HiGHS cannot read it: {why}{remedy}")
    if status == highspy.HighsStatus.kWarning:
        for line in _warnings(said):
            logger.warning("%s: %s.", path, line)
    model = highs.getModel()
    _require_linear(path, model)
    return with_switches(path, _arrays(path, model.lp_))


def _has_blanks(lp: Any) -> bool:
    """Return whether names hold blanks, as they may in fixed MPS."""
    return any(" " in name for name in (*lp.col_names_, *lp.row_names_))


def _require_linear(path: Path, model: Any) -> None:
    """Raise for quadratic objectives, and a model of no columns."""
    lp = model.lp_
    if lp.num_col_ == 0:
        raise FileError(f"{path}: the model has no columns; give a file with a model in it")
    if model.hessian_.dim_ > 0:
        raise FileError(f"{path}: the objective is quadratic; write products of variables as linear rows")


def _arrays(path: Path, lp: Any) -> MatrixModel:
    import highspy

    n_columns, n_rows = lp.num_col_, lp.num_row_
    matrix = lp.a_matrix_
    by_column = matrix.format_ == highspy.MatrixFormat.kColwise
    parts = (np.array(matrix.value_, dtype=float), np.array(matrix.index_), np.array(matrix.start_))
    if by_column:
        body = sparse.csc_array(parts, shape=(n_rows, n_columns)).tocsr()
    else:
        body = sparse.csr_array(parts, shape=(n_rows, n_columns))
    kinds = highspy.HighsVarType
    whole, either = (kinds.kInteger, kinds.kSemiInteger), (kinds.kSemiContinuous, kinds.kSemiInteger)
    none = np.zeros(n_columns, dtype=bool)
    integer = np.array([kind in whole for kind in lp.integrality_], dtype=bool)
    semi = np.array([kind in either for kind in lp.integrality_], dtype=bool)
    return MatrixModel(
        name=lp.model_name_ or path.name.split(".")[0],
        maximise=lp.sense_ == highspy.ObjSense.kMaximize,
        offset=float(lp.offset_),
        cost=np.array(lp.col_cost_, dtype=float),
        lower=_sides(lp.col_lower_),
        upper=_sides(lp.col_upper_),
        integer=integer if len(integer) else none,
        matrix=body,
        row_lower=_sides(lp.row_lower_),
        row_upper=_sides(lp.row_upper_),
        columns=_names(path, lp.col_names_, n_columns, "column"),
        rows=_names(path, lp.row_names_, n_rows, "row"),
        objective=objective_name(path),
        semi=semi if len(semi) else none,
        switch=none,
    )


def with_switches(path: Path, model: MatrixModel) -> MatrixModel:
    """Return a model whose semi-continuous columns are ordinary ones, each tied to a binary column.

    A column y that is 0 or within l and u gets a switch x: the new column ``on_y``, and the new rows
    ``least_y``, ``y >= l x``, and ``most_y``, ``y <= u x``. Where l and u are on either side of 0, they are
    the bounds of an ordinary column, which needs no switch. So is an integer column that is 0 or from 1 on.

    Parameters
    ----------
    path
        Of the file, for messages.
    model
        As the file has it.

    Raises
    ------
    FileError
        If a semi-continuous column has no bound.
    """
    for k in np.flatnonzero(model.semi & ~(np.isfinite(model.lower) & np.isfinite(model.upper)))[:1]:
        raise FileError(
            f"{path}: column '{model.columns[k]}' is semi-continuous and has no "
            f"{'upper' if np.isinf(model.upper[k]) else 'lower'} bound; give it one"
        )
    lower, upper = model.lower, model.upper
    near = np.where(model.integer, 1.0, 0.0)
    own = np.flatnonzero(model.semi & ((lower > near) | (upper < -near)))
    n, m, new = len(model.columns), len(model.rows), len(own)
    each, one = np.arange(new), np.ones(new)
    # Two rows for every switch: y - l x >= 0, and y - u x <= 0.
    ties = sparse.csr_array(
        (
            np.concatenate([one, -lower[own], one, -upper[own]]),
            (
                np.concatenate([2 * each, 2 * each, 2 * each + 1, 2 * each + 1]),
                np.concatenate([own, n + each, own, n + each]),
            ),
        ),
        shape=(2 * new, n + new),
    )
    body = sparse.csr_array(
        (model.matrix.data, model.matrix.indices, model.matrix.indptr), shape=(m, n + new)
    )
    return replace(
        model,
        cost=np.append(model.cost, np.zeros(new)),
        lower=np.append(np.where(model.semi, np.minimum(lower, 0.0), lower), np.zeros(new)),
        upper=np.append(np.where(model.semi, np.maximum(upper, 0.0), upper), one),
        integer=np.append(model.integer, one > 0.0),
        matrix=sparse.csr_array(sparse.vstack([body, ties], format="csr")),
        row_lower=np.append(model.row_lower, np.tile([0.0, -np.inf], new)),
        row_upper=np.append(model.row_upper, np.tile([np.inf, 0.0], new)),
        columns=_with_new(model.columns, [f"on_{model.columns[k]}" for k in own]),
        rows=_with_new(model.rows, [f"{side}_{model.columns[k]}" for k in own for side in ("least", "most")]),
        semi=np.zeros(n + new, dtype=bool),
        switch=np.append(model.switch, one > 0.0),
    )


def _with_new(names: tuple[str, ...], new: list[str]) -> tuple[str, ...]:
    """Return names and new ones, those that are taken with underscores before them."""
    taken, added = set(names), []
    for name in new:
        while name in taken:
            name = f"_{name}"
        taken.add(name)
        added.append(name)
    return (*names, *added)


def _sides(given: Any) -> FloatArray:
    """Return bounds, infinite where HiGHS takes them so."""
    sides = np.array(given, dtype=float)
    sides[sides >= _INFINITE] = np.inf
    sides[sides <= -_INFINITE] = -np.inf
    return sides


def _names(path: Path, given: list[str], number: int, kind: str) -> tuple[str, ...]:
    """Return the names of columns or rows; numbered ones if the file has two alike, which HiGHS drops."""
    names = tuple(given)
    if len(names) == number and all(names):
        return names
    letter = kind[0]
    logger.warning(
        "%s: names of %ss are not unique; they are called %s1, %s2, ...", path, kind, letter, letter
    )
    return tuple(f"{letter}{k}" for k in range(1, number + 1))


def _first_error(said: str) -> str:
    """Return the first error in what HiGHS has logged, with the line of the file where it is told."""
    lines = [" ".join(line.split()) for line in said.splitlines()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    places = [line.removeprefix("--> ").rsplit(":", 2) for line in lines if line.startswith("--> ")]
    place = f" (line {places[0][1]})" if places and len(places[0]) == 3 else ""
    return (errors[0] if errors else "it gives no reason") + place


def _warnings(said: str) -> list[str]:
    """Return the first warnings in what HiGHS has logged."""
    lines = [line.removeprefix("WARNING: ").strip() for line in said.splitlines()]
    lines = [line for line, raw in zip(lines, said.splitlines(), strict=True) if raw.startswith("WARNING")]
    more = len(lines) - _MOST_WARNINGS
    return lines[:_MOST_WARNINGS] + ([f"there are {more} warnings more"] if more > 0 else [])
