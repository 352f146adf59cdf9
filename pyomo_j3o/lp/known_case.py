"""A small model with a known optimum: what a solver makes of it tells whether its version can be trusted."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

import numpy as np
from scipy import sparse

from pyomo_j3o.errors import BackendError
from pyomo_j3o.lp.base import LinearModel

#: ``min 2 b + 99999 y`` with ``a + b = 10``, ``a <= 100 y``, ``a, b >= 0`` and a binary y, here maximised:
#: the optimum is b = 10, also of the relaxation. HiGHS 1.14.0 opens y without need and calls that optimal.
KNOWN_CASE = LinearModel(
    np.array([0.0, -2.0, -99999.0]),
    sparse.csr_array(np.array([[1.0, 1.0, 0.0], [1.0, 0.0, -100.0]])),
    np.array([10.0, -np.inf]),
    np.array([10.0, 0.0]),
    np.zeros(3),
    np.array([np.inf, np.inf, 1.0]),
    np.array([False, False, True]),
)

#: Of the known case, maximised.
OPTIMUM = -20.0


def require_right(solver: str, package: str, objective: float) -> None:
    """Raise unless `objective`, what a solver says of the known case, is its optimum.

    Parameters
    ----------
    solver
        Its name and version, as in ``"HiGHS 1.14.0"``.
    package
        What installs it from PyPI.
    objective
        Of the maximised case; NaN if the solver did not call it solved.

    Raises
    ------
    BackendError
        The answer is wrong; the message names the version and how to get another one.
    """
    if abs(objective - OPTIMUM) <= 1e-6:
        return
    try:
        series = ".".join(installed(package).split(".")[:2])
        wanted = f"'{package}!={series}.*'"
    except PackageNotFoundError:  # built from source
        wanted = package
    raise BackendError(
        f"{solver} gives a wrong answer to a model with a known optimum; install another version: "
        f"pip install {wanted}"
    )
