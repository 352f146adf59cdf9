"""Columns of one count as one column of a MIP solver."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from pyomo_j3o.core.counts import Counts
from pyomo_j3o.core.problem import Products
from pyomo_j3o.lp import LinearModel
from pyomo_j3o.mip import MIPModel
from pyomo_j3o.mip.merging import merged


def model_of(counts, per_unit, costs, apart=None):
    """Return a model whose columns are those of `counts`, the same per unit; and one y."""
    n = len(counts.weight)
    rows = np.column_stack([per_unit[:, counts.variable] * counts.weight, np.ones(len(per_unit))])
    if apart is not None:
        rows[0, apart] += 1.0
    linear = LinearModel(
        np.append(costs[counts.variable] * counts.weight, 0.0),
        sparse.csr_array(rows),
        np.full(len(rows), -np.inf),
        np.full(len(rows), 10.0),
        np.zeros(n + 1),
        np.append(np.ones(n), 4.0),
        np.append(np.ones(n, dtype=bool), False),
    )
    return MIPModel(linear)


@given(st.lists(st.integers(0, 80), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_a_count_is_one_column(spans, random):
    """The model has a column for each variable, and points go there and come back with their bodies."""
    spans = np.array([2, *spans], dtype=float)
    counts = Counts.of(np.zeros(len(spans)), spans)
    per_unit = np.array([[random.choice([0.0, 0.1, 1.0, -3.7]) for _ in spans] for _ in range(3)])
    model = model_of(counts, per_unit, np.array([random.uniform(-1, 1) for _ in spans]))
    merging = merged(model, counts)
    assert merging.model.linear.n_columns == len(spans) + 1
    assert merging.model.linear.upper[:-1].tolist() == np.maximum(spans, 1.0).tolist()
    values = np.array([float(random.randint(0, int(span))) for span in spans])
    point = np.append(counts.columns(values), 2.5)
    there = merging.reduce(point)
    assert there.tolist() == [*values, 2.5]
    assert merging.restore(there).tolist() == point.tolist()
    assert merging.model.linear.matrix @ there == pytest.approx(model.linear.matrix @ point)
    assert merging.model.objective_at(there) == pytest.approx(model.objective_at(point))


def test_what_a_row_tells_apart_stays_apart():
    """Of five columns the third is different: it stays, and those on its two sides are one column each."""
    counts = Counts.of(np.zeros(1), np.array([5.0]))
    merging = merged(model_of(counts, np.ones((1, 1)), np.ones(1), apart=2), counts)
    assert merging.model.linear.upper.tolist() == [2.0, 1.0, 2.0, 4.0]
    point = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 2.5])
    assert merging.restore(merging.reduce(point)).tolist() == point.tolist()


def test_weights_without_the_least_stay_apart():
    """Without weight 1, the sums of 2, 4 and 8 are not all whole numbers of a range."""
    counts = Counts.of(np.zeros(1), np.array([63.0]))
    merging = merged(model_of(counts, np.ones((1, 1)), np.ones(1), apart=0), counts)
    assert merging.model.linear.n_columns == len(counts.weight) + 1


def test_products_of_all_columns_become_one():
    """n·y is one product again; a product that holds one column alone tells it apart."""
    counts = Counts.of(np.zeros(1), np.array([3.0]))
    model = model_of(counts, np.ones((1, 1)), np.ones(1))
    three = Products(np.array([0, 0, 0]), np.array([0, 1, 2]), np.array([3, 3, 3]), np.full(3, 2.0))
    whole = merged(MIPModel(model.linear, three), counts).model
    assert (whole.linear.n_columns, len(whole.products)) == (2, 1)
    assert (whole.products.onloading[0], whole.products.offloading[0]) == (0, 1)
    one = Products(np.array([0]), np.array([0]), np.array([3]), np.array([2.0]))
    apart = merged(MIPModel(model.linear, one), counts).model
    assert (apart.linear.n_columns, apart.products.offloading.tolist()) == (3, [2])
