"""Tolerances that several steps share."""

from __future__ import annotations

import numpy as np

from pyomo_j3o.core.problem import FloatArray

#: A value of an onloading variable this close to 0 or 1 is integral.
INTEGRAL = 1e-6

#: A smaller value of an offloading variable is a trace of rounding: no batch pays its set-up for it.
TRACE = 1e-6

#: Fraction of a figure, or of 1 if that is more, that rounding may take from it.
ROUNDING = 1e-9


def rounding_of(figures: FloatArray) -> FloatArray:
    """Return by how much figures may be off by rounding: `ROUNDING` of each, or of 1 if that is more."""
    return ROUNDING * np.maximum(1.0, np.abs(figures))
