"""Relaxations that are kept without what their problem says anyway."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from small_problems import linear_problems, searched_problems

from pyomo_j3o.certify.cutting import relax
from pyomo_j3o.core.deadline import NEVER
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.lp import HighsBackend
from pyomo_j3o.methods.kept import KeptRelaxation


@settings(deadline=None, max_examples=40)
@given(problem=st.one_of(linear_problems(), searched_problems()))
def test_a_kept_relaxation_comes_back_as_it_was(problem):
    """Every entry, side and bound is the same, cuts and tightened links included."""
    backend = HighsBackend()
    tightened = relax(analyse(problem), backend, True, NEVER).tightened
    backend.close()
    kept = None if tightened is None else KeptRelaxation.of(problem, tightened)
    if kept is None:
        return  # a link that was tightened to nothing has left its row
    whole = kept.whole()
    assert whole.bound == tightened.bound
    assert whole.solution is tightened.solution
    before, after = sparse.csr_array(tightened.model.matrix), sparse.csr_array(whole.model.matrix)
    assert before.shape == after.shape
    for name in ("data", "indices", "indptr"):
        assert np.array_equal(getattr(before, name), getattr(after, name))
    for name in ("objective", "row_lower", "row_upper", "lower", "upper"):
        assert np.array_equal(getattr(tightened.model, name), getattr(whole.model, name))


def test_most_relaxations_are_kept_as_their_cuts(two_servers_three_models):
    """What is kept of a model of budgets, links and demand is its cuts alone."""
    problem = two_servers_three_models
    backend = HighsBackend()
    tightened = relax(analyse(problem), backend, True, NEVER).tightened
    backend.close()
    kept = KeptRelaxation.of(problem, tightened)
    assert kept.cuts.shape[0] == tightened.model.n_rows - problem.n_rows
    assert kept.model.matrix.nnz == 0
