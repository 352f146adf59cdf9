"""What one solve leaves to the next one of nearly the same problem."""

from __future__ import annotations


class Memory:
    """What a solve keeps of one problem for the next solve, whose figures may differ.

    It is handed to a solve by `Settings.memory`, which reads it and writes it. A problem of another shape
    gets a new one.
    """
