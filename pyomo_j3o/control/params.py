"""Constants of the controller."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ControlParams:
    """Constants of the controller.

    Attributes
    ----------
    floor
        What a client's load is at least, as a share of its mean, before all are brought to their mean again.
    least
        What a forecast of a load is at least, as a share of the mean load.
    """

    floor: float = 0.05
    least: float = 1e-3
