"""Where the models come from: the suites of the library, or a file of the user."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pyomo.core.base.block import BlockData

from pyomo_j3o import library
from pyomo_j3o.compare.model_files import model_of_file
from pyomo_j3o.compare.records import CompareError

_BUILDERS: dict[str, Callable[..., BlockData]] = {
    "taskonomy": library.taskonomy,
    "domainnet": library.domainnet,
    "nyud": partial(library.dense_prediction, "nyud"),
    "pascal_context": partial(library.dense_prediction, "pascal_context"),
    "cityscapes3d": partial(library.dense_prediction, "cityscapes3d"),
}


def _course() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the instances of a scoreboard. Queries may be dropped, so that poor placements have plans."""
    for clients in (5, 10):
        for seed in range(3):
            yield (
                f"course-{clients}-seed{seed}",
                {"clients": clients, "edges": 1, "seed": seed, "droppable": True},
            )


#: Suites with sizes of their own: the thirty instances of the page on quality, and of that on batching, and
#: the six of the page on coursework.
_LISTS: dict[str, Callable[[], Iterator[tuple[str, dict[str, Any]]]]] = {
    "quality": library.instances,
    "windows": library.windowed_instances,
    "course": _course,
}

#: The suites by name.
SUITES = (*_BUILDERS, *_LISTS)


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
        As the builders of the library take them, several of most. Of ``quality``, ``windows`` and ``course``,
        which have their own edge servers, drops and seeds, `clients` chooses the sizes; all of them if there
        are none.
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
    parameter ``seed`` is given the seed. Without seeds it keeps its default, and solvers get 0.
    """
    if not path.is_file():
        raise CompareError(f"{path}: there is no such file; give a .py file, or a suite by --suite")
    if path.suffix != ".py":
        raise CompareError(
            f"{path}: it is no Python file. To compare on an MPS or LP file, write a .py file with the lines "
            "'from pyomo_j3o.commands import read_model' and "
            f"'model = read_model({path.name!r})'"
        )
    given: list[int | None] = list(seeds) or [None]
    return [
        Source(
            f"{path.stem}-seed{seed}" if len(given) > 1 else path.stem,
            path.stem,
            seed or 0,
            partial(model_of_file, path.absolute(), seed),  # a model file may change the folder
        )
        for seed in given
    ]
