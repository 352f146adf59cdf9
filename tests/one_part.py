"""A stand-in for the parts of a solve: one part, of which only the bound is kept."""

from types import SimpleNamespace

import numpy as np


class OnePart:
    """What a `PartsDriver` needs of `Parts`, for one part of `n` onloading variables."""

    def __init__(self, n):
        self.parts = [SimpleNamespace(onloading=np.arange(n))]
        self.bounds = np.array([np.inf])

    def note(self, k, found):
        """Take what is proven of the part."""
        self.bounds[k] = min(self.bounds[k], found.bound)
