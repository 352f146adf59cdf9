"""Tightened relaxations as they are kept until their part is searched."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.certify.relaxation import TightRelaxation, whole_model
from pyomo_j3o.core.problem import FloatArray, IntArray, Problem
from pyomo_j3o.lp import LinearModel


@dataclass(frozen=True, slots=True)
class KeptRelaxation:
    """A tightened relaxation without the entries that its rows have in common with those of its problem.

    Attributes
    ----------
    problem : Problem
        Linear.
    cuts : (k, N + K) CSR
        The rows that the relaxation has beyond those of the problem.
    changed, values : (e,)
        The entries of the problem's rows that were tightened, by their number, and what they are.
    """

    problem: Problem
    cuts: sparse.csr_array
    changed: IntArray
    values: FloatArray
    _bare: TightRelaxation

    @staticmethod
    def of(problem: Problem, tightened: TightRelaxation) -> KeptRelaxation | None:
        """Return the relaxation as it is kept; None if its rows are not those of the problem."""
        n, matrix = problem.n_rows, sparse.csr_array(tightened.model.matrix)
        base, own = _matrix_of(problem), matrix[:n]
        same = np.array_equal(base.indptr, own.indptr) and np.array_equal(base.indices, own.indices)
        if not same:
            return None
        changed = np.flatnonzero(base.data != own.data)
        nothing = sparse.csr_array((0, matrix.shape[1]))
        bare = replace(tightened, model=replace(tightened.model, matrix=nothing))
        return KeptRelaxation(problem, matrix[n:], changed, own.data[changed], bare)

    def whole(self) -> TightRelaxation:
        """Return the relaxation as it was."""
        base = _matrix_of(self.problem)
        base.data[self.changed] = self.values
        matrix = sparse.csr_array(sparse.vstack([base, self.cuts], format="csr"))
        return replace(self._bare, model=replace(self.model, matrix=matrix))

    @property
    def model(self) -> LinearModel:
        """Everything of its model but the matrix."""
        return self._bare.model


def _matrix_of(problem: Problem) -> sparse.csr_array:
    return sparse.csr_array(whole_model(problem).matrix)
