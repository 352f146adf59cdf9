"""``pyomo-j3o init``: a model of one's own to start from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pyomo_j3o.commands.answers import Answer, Terminal
from pyomo_j3o.commands.arguments import new_command
from pyomo_j3o.core.whole_files import write_whole
from pyomo_j3o.errors import FileError
from pyomo_j3o.library.folders import write_folder
from pyomo_j3o.library.hierarchical import small_example_data

_INIT = """\
Write a short model that runs at once, as a Python file or as a folder of tables, to change into your own.

The exit status is 0, or 2 if it cannot be written. Nothing is overwritten.
"""

_EXAMPLES = """\
examples:
  pyomo-j3o init my_model && pyomo-j3o solve my_model.py
  pyomo-j3o init my_folder --folder && pyomo-j3o simulate my_folder
"""

_MODEL = '''\
"""Which films does each cache hold, and who watches them from there? Change it into your own model.

    pyomo-j3o solve {name}
    pyomo-j3o report {name} --html plan.html
"""

import pyomo.environ as pyo

from pyomo_j3o import annotate

SIZE = {{"drama": 4, "comedy": 3, "news": 1}}  # GB
SPACE = {{"north": 5, "south": 4}}  # GB of each cache
VIEWERS = {{  # requests/s by town and film
    ("harbour", "drama"): 30, ("harbour", "comedy"): 10, ("harbour", "news"): 25,
    ("airport", "drama"): 5, ("airport", "comedy"): 20, ("airport", "news"): 40,
}}  # fmt: skip
SAVED = {{  # ms that a request saves if it is answered by the cache, not from far away
    ("harbour", "north"): 40, ("harbour", "south"): 15, ("airport", "north"): 10, ("airport", "south"): 50,
}}  # fmt: skip
LINK = {{"north": 50, "south": 60}}  # requests/s that each cache can answer


def create_model():
    """Return the model: x is placed (onloading), y is routed (offloading)."""
    m = pyo.ConcreteModel("{stem}")
    # list(SPACE), not SPACE: Pyomo takes the keys of a dict in another order in every run.
    m.x = pyo.Var(list(SPACE), list(SIZE), domain=pyo.Binary)  # cache holds film
    m.y = pyo.Var([(t, f, c) for t, f in VIEWERS for c in SPACE], bounds=(0, 1))  # share of requests

    m.space = pyo.Constraint(
        list(SPACE), rule=lambda m, c: sum(SIZE[f] * m.x[c, f] for f in SIZE) <= SPACE[c]
    )
    m.held = pyo.Constraint(m.y.index_set(), rule=lambda m, t, f, c: m.y[t, f, c] <= m.x[c, f])
    m.once = pyo.Constraint(list(VIEWERS), rule=lambda m, t, f: sum(m.y[t, f, c] for c in SPACE) <= 1)
    m.link = pyo.Constraint(
        list(SPACE), rule=lambda m, c: sum(n * m.y[t, f, c] for (t, f), n in VIEWERS.items()) <= LINK[c]
    )
    m.saved = pyo.Objective(
        expr=sum(VIEWERS[t, f] * SAVED[t, c] * m.y[t, f, c] for t, f, c in m.y), sense=pyo.maximize
    )
    annotate(m, onloading=m.x, offloading=m.y)
    return m
'''


def add_parsers(commands: Any) -> None:
    """Add `init` to the commands."""
    parser = new_command(commands, "init", "write a model to start from", _INIT, _EXAMPLES)
    parser.add_argument("name", type=Path, metavar="NAME", help="of the file, with or without .py")
    parser.add_argument("--folder", action="store_true", help="write a library folder: tables, and no code")
    parser.set_defaults(run=run_init)


def run_init(options: argparse.Namespace) -> int:
    """Carry out `init`, and return the exit status.

    Raises
    ------
    FileError
        There is such a file, or it cannot be written.
    """
    name: Path = options.name
    if options.folder:
        path, following = name, f"pyomo-j3o solve {name}; pyomo-j3o simulate {name} --quiet"
    else:
        if name.suffix not in ("", ".py"):
            raise FileError(f"{name}: the model is a Python file; give a name that ends in .py")
        path = name.with_suffix(".py")
        following = f"pyomo-j3o solve {path}; pyomo-j3o report {path} --quiet"
    if path.exists() or path.is_symlink():
        raise FileError(f"{path}: it is there already; give another name")
    try:
        if options.folder:
            write_folder(small_example_data(), path)
        else:
            text = _MODEL.format(name=path, stem=path.stem)
            compile(text, str(path), "exec")  # a name may hold what no Python file takes
            write_whole(path, text.encode())
    except OSError as error:
        raise FileError(
            f"{path}: {error.strerror or error}; give a name in a folder that is there"
        ) from error
    except SyntaxError as error:
        raise FileError(f"{path}: no Python file takes this name; use letters and digits") from error
    return Terminal().deliver(Answer(f"{path} is written; next: {following}"), {})
