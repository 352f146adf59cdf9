"""Where the models come from: the suites of the library, or a file of the user."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyomo.environ as pyo
from pyomo.common.collections import Bunch
from pyomo.core.base.block import BlockData

from pyomo_j3o import library
from pyomo_j3o.compare.records import CompareError

_BUILDERS: dict[str, Callable[..., BlockData]] = {
    "taskonomy": library.taskonomy,
    "domainnet": library.domainnet,
}

#: Suites with sizes of their own: the thirty instances of the page on quality, and of that on batching.
_LISTS: dict[str, Callable[[], Iterator[tuple[str, dict[str, Any]]]]] = {
    "quality": library.instances,
    "windows": library.windowed_instances,
}

#: The suites by name.
SUITES = (*_BUILDERS, *_LISTS)

_MODULE = "_pyomo_j3o_compared_model"


@dataclass(frozen=True)
class Source:
    """Builds one instance.

    Attributes
    ----------
    name, size
        As shown.
    seed
        Of the drawing, if there is one, and of the solvers.
    build
        Returns the model.
    """

    name: str
    size: str
    seed: int
    build: Callable[[], BlockData]


def from_suite(
    suite: str,
    clients: Sequence[int],
    edges: Sequence[int],
    droppable: bool,
    seeds: Sequence[int],
) -> list[Source]:
    """Return the instances of a suite: every size with every number of edge servers and every seed.

    Parameters
    ----------
    suite
        One of `SUITES`.
    clients, edges, droppable, seeds
        As the builders of the library take them, several of most. Of ``quality`` and ``windows``, which have
        their own edge servers, drops and seeds, `clients` chooses the sizes; all of them if there are none.
    """
    if suite in _LISTS:
        chosen = [(n, a) for n, a in _LISTS[suite]() if not clients or a["clients"] in clients]
        if not chosen:
            known = sorted({a["clients"] for _, a in _LISTS[suite]()})
            raise CompareError(f"--suite {suite} has no such --clients; it has {', '.join(map(str, known))}")
        return [
            Source(
                name,
                f"{given['clients']} clients",
                given["seed"],
                partial(library.taskonomy, **given),
            )
            for name, given in chosen
        ]
    return [
        Source(
            f"{suite}-{n}-{k}{'-drop' if droppable else ''}-seed{seed}",
            f"{n} clients",
            seed,
            partial(_BUILDERS[suite], clients=n, edges=k, seed=seed, droppable=droppable),
        )
        for n in clients or (10, 20)
        for k in edges or (2,)
        for seed in seeds
    ]


def from_file(path: Path, seeds: Iterable[int]) -> list[Source]:
    """Return one instance per seed of the model in a Python file.

    The file has a function ``create_model()``, or ``pyomo_create_model(options, model_options)``, or a model
    as a variable: ``model``, or the only one of any name, as for the `pyomo` command. A function with a
    parameter ``seed`` is given the seed.
    """
    if not path.is_file():
        raise CompareError(f"{path}: there is no such file; give a .py file, or a suite by --suite")
    seeds = list(seeds)
    return [
        Source(
            f"{path.stem}-seed{seed}" if len(seeds) > 1 else path.stem,
            path.stem,
            seed,
            partial(_build, path.absolute(), seed),  # a model file may change the folder
        )
        for seed in seeds
    ]


def _build(path: Path, seed: int) -> BlockData:
    try:
        model = _model_of(_run(path), path, seed)
        if not isinstance(model, BlockData):
            raise CompareError(
                f"{path}: it gives a {type(model).__name__}, not a Pyomo model; return the model"
            )
        return model if model.is_constructed() else model.create_instance()
    except (CompareError, KeyboardInterrupt):
        raise
    except BaseException as error:
        lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == str(path)]
        place = f", line {lines[-1]}" if lines else ""
        raise CompareError(f"{path}{place}: {type(error).__name__}: {error}") from error


def _run(path: Path) -> Any:
    """Run a file as a module of its own, each time from the start."""
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise CompareError(f"{path}: it is no Python file; give one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    sys.modules[_MODULE] = module
    sys.path.insert(0, folder)  # its neighbours can be imported, as if it were run by itself
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
        del sys.modules[_MODULE]
    return module


def _model_of(module: Any, path: Path, seed: int) -> Any:
    for name in ("create_model", "pyomo_create_model"):
        function = getattr(module, name, None)
        if callable(function):
            return function(**_arguments(function, path, seed))
    if isinstance(getattr(module, "model", None), BlockData):
        return module.model
    models = {id(found): found for found in vars(module).values() if isinstance(found, pyo.Model)}
    if len(models) == 1:
        return next(iter(models.values()))
    raise CompareError(
        f"{path}: it has {len(models) or 'no'} models and neither create_model() nor pyomo_create_model(); "
        "call the one to solve 'model', or return it from create_model()"
    )


def _arguments(function: Callable[..., Any], path: Path, seed: int) -> dict[str, Any]:
    known = {"seed": seed, "options": Bunch(), "model_options": Bunch()}
    given = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in known:
            given[name] = known[name]
        elif parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            raise CompareError(f"{path}: {function.__name__}() needs {name!r}; give the parameter a default")
    return given
