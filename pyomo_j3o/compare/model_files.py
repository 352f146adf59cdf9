"""A model in a Python file of the user: its file is run, and the model found in it."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyomo.environ as pyo
from pyomo.common.collections import Bunch
from pyomo.core.base.block import BlockData

from pyomo_j3o.errors import FileError

_MODULE = "_pyomo_j3o_model_file"


def model_of_file(path: Path, seed: int | None = None) -> BlockData:
    """Run a file, and return the model that it holds.

    The file has a function ``create_model()``, or ``pyomo_create_model(options, model_options)``, or a model
    as a variable: ``model``, or the only one of any name, as for the `pyomo` command.

    Parameters
    ----------
    path
        Of the file, absolute: the file may change the folder.
    seed
        Given to a function with a parameter of this name. None leaves the function its default, or gives 0
        where it has none.

    Raises
    ------
    FileError
        The file fails, or holds no model; the message names the line of the file.
    """
    try:
        with _run(path) as module:
            model = _model_of(module, path, seed)
        if not isinstance(model, BlockData):
            raise FileError(
                f"{path}: it gives an object of type {type(model).__name__}, no Pyomo model; return the model"
            )
        return model if model.is_constructed() else model.create_instance()
    except (FileError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise FileError(f"{_place(path, error)}: {type(error).__name__}: {_said(error)}") from error


def _place(path: Path, error: BaseException) -> str:
    """Return file and line of an error, of a neighbour that the file imports, too."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{error.filename}, line {error.lineno}"
    places = [(at.filename, at.lineno) for at in traceback.extract_tb(error.__traceback__)]
    own = [line for name, line in places if name == str(path)]
    near = [place for place in places if Path(place[0]).parent in (path.parent, path.resolve().parent)]
    if not own:
        return str(path)
    if near and near[-1][0] != str(path):
        return f"{near[-1][0]}, line {near[-1][1]} (used by {path.name}, line {own[-1]})"
    return f"{path}, line {own[-1]}"


def _said(error: BaseException) -> str:
    """Return the message of an error in one line."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return " ".join(text.split())


@contextmanager
def _run(path: Path) -> Iterator[Any]:
    """Run a file as a module of its own, each time from the start; its neighbours can be imported."""
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise FileError(f"{path}: it is no Python file; give one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    sys.modules[_MODULE] = module
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        with suppress(ValueError):  # the file may have taken it out
            sys.path.remove(folder)
        sys.modules.pop(_MODULE, None)


def _model_of(module: Any, path: Path, seed: int | None) -> Any:
    for name in ("create_model", "pyomo_create_model"):
        function = getattr(module, name, None)
        if callable(function):
            return function(**_arguments(function, path, seed))
    if isinstance(getattr(module, "model", None), BlockData):
        return module.model
    models = {id(found): found for found in vars(module).values() if isinstance(found, pyo.Model)}
    if len(models) == 1:
        return next(iter(models.values()))
    raise FileError(
        f"{path}: it has {len(models) or 'no'} models and neither create_model() nor pyomo_create_model(); "
        "call the one to solve 'model', or return it from create_model()"
    )


def _arguments(function: Callable[..., Any], path: Path, seed: int | None) -> dict[str, Any]:
    known = {"seed": seed or 0, "options": Bunch(), "model_options": Bunch()}
    given = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "seed" and seed is None and parameter.default is not parameter.empty:
            continue
        if name in known:
            given[name] = known[name]
        elif parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            raise FileError(f"{path}: {function.__name__}() needs {name!r}; give the parameter a default")
    return given
