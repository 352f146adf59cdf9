"""A Pyomo model of an MPS or LP file: variables, rows and objective keep the names of the file.

Names with an index, ``x[1,a]`` or ``x(1_a)``, become members of a component ``x``. All others become members
of the components ``columns`` and ``rows``. Pyomo would write the index of a member in its own way; the
components here write it as the file does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.constraint import ConstraintData, IndexedConstraint
from pyomo.core.base.objective import ScalarObjective
from pyomo.core.base.var import IndexedVar, VarData
from pyomo.core.expr.numeric_expr import LinearExpression

from pyomo_j3o.commands.matrix_files import ENDINGS, MatrixModel, is_matrix_file, read_matrix_file
from pyomo_j3o.core.problem import BoolArray
from pyomo_j3o.errors import FileError
from pyomo_j3o.modeling.annotate import annotate
from pyomo_j3o.modeling.naming import listed

#: A name with an index: its component, what opens the index, the index, and what closes it.
_INDEXED = re.compile(r"([^\[\](){}]+)([\[({])([^\[\](){}]+)([\])}]_?)")


#: Of continuous, integer and binary columns.
_DOMAINS = (pyo.Reals, pyo.Integers, pyo.Binary)


class Family(NamedTuple):
    """What the names of the members of a component have in common.

    Attributes
    ----------
    before, after
        What stands before and after the index in a name.
    """

    before: str
    after: str


class _LabelledMember:
    """A member that is called as in its file."""

    __slots__ = ()

    def getname(self, fully_qualified: bool = False, name_buffer: Any = None, relative_to: Any = None) -> str:
        """Return the name that the file has for the member."""
        container = self.parent_component()  # type: ignore[attr-defined]
        index = self.index()  # type: ignore[attr-defined]
        parts = index if isinstance(index, tuple) else (index,)
        own = container.family.before + ",".join(map(str, parts)) + container.family.after
        block = container.parent_block()
        if not fully_qualified or block is None or block is (relative_to or block.model()):
            return own
        return f"{block.getname(True, relative_to=relative_to)}.{own}"


class LabelledVarData(_LabelledMember, VarData):
    """A column of a file."""

    __slots__ = ()


class LabelledVar(IndexedVar):
    """Columns of a file whose names differ in their index alone."""

    names_are_given = True

    _ComponentDataClass = LabelledVarData
    family = Family("", "")


class LabelledConstraintData(_LabelledMember, ConstraintData):
    """A row of a file."""

    __slots__ = ()


class LabelledConstraint(IndexedConstraint):
    """Rows of a file whose names differ in their index alone."""

    names_are_given = True

    _ComponentDataClass = LabelledConstraintData
    family = Family("", "")


class LabelledObjective(ScalarObjective):
    """The objective of a file."""

    label = ""

    def getname(self, fully_qualified: bool = False, name_buffer: Any = None, relative_to: Any = None) -> str:
        """Return the name that the file has for the objective."""
        own = self.label or super().getname()
        block = self.parent_block()
        if not fully_qualified or block is None or block is (relative_to or block.model()):
            return own
        return f"{block.getname(True, relative_to=relative_to)}.{own}"


def read_model(path: str | Path, onloading: str | Sequence[str] | None = None) -> pyo.ConcreteModel:
    """Read an MPS or LP file as an annotated Pyomo model.

    Parameters
    ----------
    path
        Of a file whose name ends in ``.mps``, ``.lp``, ``.mps.gz`` or ``.lp.gz``.
    onloading
        Patterns, such as ``"x*"``, for the names of the onloading columns: all binary and integer ones. The
        other columns are offloading. If not given, the binary and integer columns are onloading. A
        semi-continuous column y that is 0 or within bounds has a new binary column ``on_y``, onloading in any
        case.

    Returns
    -------
    pyomo.environ.ConcreteModel
        Its variables, constraints and objective are called as the columns, rows and objective of the file.

    Raises
    ------
    FileError
        The file cannot be read, holds what is not linear or what readers take in different ways, a pattern
        matches no column or a continuous one, or no pattern matches a binary or integer column.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError(f"{path}: there is no such file; give an MPS or LP file")
    if not is_matrix_file(path):
        raise FileError(f"{path}: give a file whose name ends in {', '.join(ENDINGS)}")
    matrix = read_matrix_file(path)
    patterns = [onloading] if isinstance(onloading, str) else onloading
    marked = matrix.integer if patterns is None else _marked(path, matrix, list(patterns))
    return _pyomo_model(matrix, marked)


def _marked(path: Path, matrix: MatrixModel, patterns: Sequence[str]) -> BoolArray:
    """Return which columns the patterns match, (C,)."""
    marked = matrix.switch.copy()
    whole = [matrix.columns[k] for k in np.flatnonzero(matrix.integer & ~matrix.switch)]
    for pattern in patterns:
        # A name such as x[1] is no pattern, though it looks like one.
        matched = np.array([name == pattern or fnmatchcase(name, pattern) for name in matrix.columns])
        if not matched.any():
            there = f"the binary and integer columns are {listed(whole)}" if whole else "no column is binary"
            raise FileError(f"{path}: the onloading pattern '{pattern}' matches no column; {there}")
        for k in np.flatnonzero(matched & ~matrix.integer)[:1]:
            raise FileError(
                f"{path}: the onloading pattern '{pattern}' matches '{matrix.columns[k]}', which is "
                "continuous; give a pattern that matches binary or integer columns alone"
            )
        marked |= matched
    missed = np.flatnonzero(matrix.integer & ~marked)
    if len(missed):
        names = listed([matrix.columns[k] for k in missed])
        kind = "binary" if _binary(matrix)[missed].all() else "integer"
        raise FileError(
            f"{path}: no onloading pattern matches {names}, {kind} in the file, and offloading variables are "
            "continuous; add a pattern"
        )
    return marked


def _binary(matrix: MatrixModel) -> BoolArray:
    """Return which columns take 0 and 1 alone, (C,)."""
    return matrix.integer & (matrix.lower >= 0) & (matrix.upper <= 1)


def _pyomo_model(matrix: MatrixModel, onloading: BoolArray) -> pyo.ConcreteModel:
    """Write the arrays as a Pyomo model with these columns marked."""
    model = pyo.ConcreteModel(name=matrix.name)
    variables = _add_columns(model, matrix)
    _add_rows(model, matrix, variables)
    used = np.flatnonzero(matrix.cost)
    expression = LinearExpression(
        constant=matrix.offset,
        linear_coefs=matrix.cost[used].tolist(),
        linear_vars=[variables[k] for k in used],
    )
    sense = pyo.maximize if matrix.maximise else pyo.minimize
    objective = LabelledObjective(expr=expression, sense=sense)
    objective.label = matrix.objective
    model.add_component(_free_name(model, "objective"), objective)
    annotate(model, *_containers(variables, onloading))
    return model


def _containers(variables: Sequence[Any], onloading: BoolArray) -> tuple[list[Any], list[Any]]:
    """Return what is to be marked onloading and offloading: whole components where all members agree."""
    by_container: dict[int, list[int]] = {}
    for k, variable in enumerate(variables):
        by_container.setdefault(id(variable.parent_component()), []).append(k)
    marked: tuple[list[Any], list[Any]] = ([], [])
    for members in by_container.values():
        mine = onloading[members]
        if mine.all() or not mine.any():
            marked[0 if mine[0] else 1].append(variables[members[0]].parent_component())
        else:
            for k in members:
                marked[0 if onloading[k] else 1].append(variables[k])
    return marked


def _add_columns(model: pyo.ConcreteModel, matrix: MatrixModel) -> list[Any]:
    """Add the columns, and return their variables in the order of the file."""
    variables: list[Any] = [None] * len(matrix.columns)
    kinds = (matrix.integer.astype(int) + _binary(matrix)).tolist()
    lower, upper = _finite(matrix.lower), _finite(matrix.upper)
    for name, family, members in _families(model, matrix.columns, "columns"):
        bounds = {index: (lower[k], upper[k]) for index, k in members.items()}
        container = LabelledVar(list(members), bounds=bounds)
        container.family = family
        model.add_component(name, container)
        for index, k in members.items():
            variables[k] = container[index]
            if kinds[k]:
                variables[k].domain = _DOMAINS[kinds[k]]
    return variables


def _add_rows(model: pyo.ConcreteModel, matrix: MatrixModel, variables: Sequence[Any]) -> None:
    lower, upper = _finite(matrix.row_lower), _finite(matrix.row_upper)
    starts, body = matrix.matrix.indptr.tolist(), matrix.matrix
    for name, family, members in _families(model, matrix.rows, "rows"):
        container = LabelledConstraint(list(members))
        container.family = family
        model.add_component(name, container)
        for index, r in members.items():
            if lower[r] is None and upper[r] is None:
                continue  # nothing is asked of a free row
            mine = slice(starts[r], starts[r + 1])
            expression = LinearExpression(
                constant=0.0,
                linear_coefs=body.data[mine].tolist(),
                linear_vars=[variables[k] for k in body.indices[mine]],
            )
            equal = lower[r] == upper[r]
            container[index] = (expression, upper[r]) if equal else (lower[r], expression, upper[r])


def _finite(sides: Any) -> list[float | None]:
    return [side if np.isfinite(side) else None for side in sides.tolist()]


def _families(
    model: pyo.ConcreteModel, names: Sequence[str], rest: str
) -> list[tuple[str, Family, Mapping[Any, int]]]:
    """Return a component for each family of names: its own name, the family, and positions by index."""
    # Indices of one component have one length.
    found: dict[tuple[str, Family, int], dict[Any, int]] = {}
    for k, name in enumerate(names):
        parts = _INDEXED.fullmatch(name)
        if parts is None:
            found.setdefault((rest, Family("", ""), 1), {})[name] = k
            continue
        before, opening, inside, closing = parts.groups()
        index = tuple(_number_or_text(part) for part in inside.split(","))
        members = found.setdefault((before, Family(before + opening, closing), len(index)), {})
        members[index[0] if len(index) == 1 else index] = k
    result: list[tuple[str, Family, Mapping[Any, int]]] = []
    taken: set[str] = set()
    for (wanted, family, _), members in found.items():
        name = _free_name(model, wanted, taken)
        taken.add(name)
        result.append((name, family, members))
    return result


def _free_name(model: pyo.ConcreteModel, wanted: str, taken: set[str] | frozenset[str] = frozenset()) -> str:
    """Return a name that no component and no attribute of a model has."""
    name = wanted.replace(".", "_")
    while name in taken or hasattr(model, name):
        name += "_"
    return name


def _number_or_text(part: str) -> int | str:
    """Return a whole number where it is written as Python would."""
    return int(part) if part.isdecimal() and str(int(part)) == part else part
