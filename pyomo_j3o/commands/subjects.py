"""The model that a command line names: in a Python file, an MPS or LP file, or a library folder."""

from __future__ import annotations

import argparse
from difflib import get_close_matches
from pathlib import Path

from pyomo.core.base.block import BlockData

from pyomo_j3o.commands.labelled import read_model
from pyomo_j3o.commands.matrix_files import ENDINGS, is_matrix_file
from pyomo_j3o.compare.model_files import model_of_file
from pyomo_j3o.errors import FileError, OptionError
from pyomo_j3o.library.folders import read_folder
from pyomo_j3o.library.hierarchical import build_model


def model_of(options: argparse.Namespace) -> BlockData:
    """Return the model that the options name.

    Parameters
    ----------
    options
        Of a parser with the arguments of `add_model`.

    Raises
    ------
    FileError
        There is no such file or folder, or it does not hold a model.
    OptionError
        An option is for another kind of model.
    """
    path = options.model
    if path is None:
        pattern = "" if options.command == "simulate" else " --onloading 'x*'"
        raise OptionError(f"MODEL is missing; it comes first: pyomo-j3o {options.command} MODEL{pattern}")
    if not path.exists():
        raise FileError(f"{path}: there is no such file or folder{_hint(path)}")
    if options.onloading and not is_matrix_file(path):
        raise OptionError(
            f"--onloading is for MPS and LP files; mark the variables of {path} by pyomo_j3o.annotate"
        )
    if path.is_dir():
        return _model_of_folder(path, options.droppable, options.headroom)
    if options.droppable or options.headroom is not None:
        raise OptionError(f"--droppable and --headroom are for library folders; {path} is a file")
    if is_matrix_file(path):
        return read_model(path, options.onloading)
    if path.suffix != ".py":
        raise FileError(
            f"{path}: its kind is not known; give a .py file, one that ends in {', '.join(ENDINGS)}, or a "
            "library folder"
        )
    seed = str(getattr(options, "seed", None))
    return model_of_file(path.absolute(), int(seed) if seed.isdecimal() else None)


def _model_of_folder(path: Path, droppable: bool, headroom: float | None) -> BlockData:
    if not (path / "models.csv").exists():
        raise FileError(
            f"{path}: it is no library folder, as it has no models.csv; 'pyomo-j3o init NAME --folder' "
            "writes one to start from"
        )
    try:
        return build_model(read_folder(path), droppable=droppable, headroom=headroom or 0.0)
    except (OSError, ValueError) as error:
        raise FileError(str(error)) from error


def _hint(path: Path) -> str:
    """Return the name of a neighbour that may be meant."""
    try:
        names = [neighbour.name for neighbour in path.parent.iterdir()]
    except OSError:
        return ""
    near = get_close_matches(path.name, names, 1)
    return f"; did you mean {path.parent / near[0]}?" if near else ""
