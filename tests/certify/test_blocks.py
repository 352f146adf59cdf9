"""Blocks are found from the arrays alone, whatever their order; block cuts hold for every plan."""

from dataclasses import replace

import numpy as np
import pytest
from block_problems import clients
from hypothesis import example, given, settings
from hypothesis import strategies as st
from random_problems import tighten
from small_problems import INF, best_routing, brute_force, permuted, placements

from pyomo_j3o.certify.block_cuts import BlockPricer, PricedBlock, cuts_of
from pyomo_j3o.certify.blocks import Blocks, find_blocks
from pyomo_j3o.certify.params import BlockParams
from pyomo_j3o.certify.relaxation import relaxation_model
from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.mip.highs import HighsMIP

#: Blocks of up to half of the columns: the problems are small.
WIDE = BlockParams(shares=(0.5,), least=0.0)


def blocks_of(problem, x=None):
    """Return the blocks of a problem, as if all x were fractional."""
    x = np.full(problem.n_onloading, 0.5) if x is None else x
    return find_blocks(relaxation_model(problem), problem.n_onloading, problem.n_rows, x, WIDE)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n_clients=st.integers(5, 8), n_shared=st.integers(2, 3))
def test_clients_are_found_in_any_order(seed, n_clients, n_shared):
    """If the clients' x are fractional, they are the blocks, in whatever order columns and rows come."""
    rng = np.random.default_rng(seed)
    problem, of_client = clients(rng, n_clients, 4, n_shared)
    n_x, n_y = problem.n_onloading, problem.n_offloading
    x_order, y_order = rng.permutation(n_x), rng.permutation(n_y)
    mixed = permuted(problem, x_order, y_order, rng.permutation(problem.n_rows))
    found = blocks_of(mixed, np.where(x_order < n_shared, 1.0, 0.5))
    assert found is not None
    columns = np.concatenate([x_order, n_x + y_order])
    label = np.empty(n_x + n_y, dtype=np.int64)
    label[columns] = found.of_column
    for columns_of_client in of_client:
        assert len(set(label[columns_of_client])) == 1
    assert len({label[own[0]] for own in of_client}) == n_clients == len(found.numbers)
    assert np.all(label[:n_shared] == -1)


def test_rows_of_a_block_and_coupling_rows():
    """A row within one block is its own; every other row couples."""
    problem, _ = clients(np.random.default_rng(1), 5, 4, 2)
    found = blocks_of(problem)
    model = relaxation_model(problem)
    of_row = found.of_rows(model.matrix)
    dense = model.matrix.toarray() != 0
    for row, block in zip(dense, of_row, strict=True):
        labels = set(found.of_column[row])
        assert (labels == {block} and block >= 0) or (block == -1 and (len(labels) > 1 or -1 in labels))


def test_nothing_fractional_or_nothing_coupled_gives_no_blocks():
    """Without a fractional x there is nothing to gain; one x alone in fractions is one block alone."""
    problem, _ = clients(np.random.default_rng(2), 4)
    x = np.zeros(problem.n_onloading)
    assert blocks_of(problem, x) is None
    x[-1] = 0.5
    assert blocks_of(problem, x) is None


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), serve=st.booleans(), noise=st.sampled_from([0.0, 0.1, 1.0, 10.0]))
@example(seed=709, serve=True, noise=0.1)
@example(seed=1335, serve=True, noise=10.0)
@example(seed=1418, serve=False, noise=0.1)
@example(seed=1435, serve=True, noise=0.1)
@example(seed=1441, serve=True, noise=0.0)
def test_every_plan_satisfies_every_block_cut(seed, serve, noise):
    """Whatever the prices, no routing of any placement is beyond a block cut."""
    rng = np.random.default_rng(seed)
    problem, _ = clients(rng, serve=serve)
    _, tightened = tighten(problem)
    if tightened is None:
        return
    model, solution = tightened.model, tightened.solution
    every = [(best_routing(problem, x), x) for x in placements(problem)]
    objective, x = max(every, key=lambda one: one[0])
    blocks = blocks_of(problem)
    if blocks is None or objective == -INF:
        return
    duals = solution.row_duals + noise * rng.normal(size=model.n_rows)
    values = np.full(model.n_columns, 0.5)
    known = _plan(problem, x)
    pricer = BlockPricer(blocks, model.n_rows, HighsMIP(), WIDE)
    priced = pricer.price(model, values, duals, known, 1.0, NEVER)
    for block in priced:
        if len(block.values):
            assert block.costs @ block.values <= block.bound + 1e-7
    cuts, limit = cuts_of(priced, model, 0.0)
    for row, side in zip(cuts.toarray(), limit, strict=True):
        n_x = problem.n_onloading
        aimed = replace(
            problem, onloading_objective=row[:n_x], offloading_objective=row[n_x:], objective_constant=0.0
        )
        assert brute_force(aimed) <= side + 1e-6 * max(1.0, abs(side))


def _plan(problem, x):
    """Return the columns (x, y) of a feasible plan at a placement, by the routing step."""
    from pyomo_j3o.alternate.offloading import OffloadingStep
    from pyomo_j3o.core.structure import analyse
    from pyomo_j3o.lp import HighsBackend

    step = OffloadingStep(analyse(problem), HighsBackend())
    try:
        routing = step(x)
    finally:
        step.close()
    assert routing.feasible
    return np.concatenate([x.astype(float), routing.y])


def test_a_deadline_that_is_over_prices_nothing():
    """The time is asked for before each MIP."""
    problem, _ = clients(np.random.default_rng(3))
    _, tightened = tighten(problem)
    model = tightened.model
    pricer = BlockPricer(blocks_of(problem), model.n_rows, HighsMIP(), WIDE)
    half = np.full(model.n_columns, 0.5)
    x = np.zeros(problem.n_onloading, dtype=bool)
    known = _plan(problem, x)
    assert not pricer.price(model, half, tightened.solution.row_duals, known, 1.0, Deadline(0.0))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_tiny_coefficients_leave_a_cut_at_their_price(sign):
    """What is left out of a cut may add to its side, and no cut comes from a column without an end."""
    problem, _ = clients(np.random.default_rng(4))
    model = relaxation_model(problem)
    costs = np.array([1.0, sign * 1e-12])
    block = PricedBlock(np.array([0, model.n_columns - 1]), costs, 0.5, 1.0, np.zeros(0))
    cuts, limit = cuts_of([block], model, 0.0)
    assert cuts.nnz == 1
    assert limit[0] == pytest.approx(0.5 + (1e-12 if sign < 0 else 0.0), abs=1e-16)
    free = replace(model, lower=np.full(model.n_columns, -INF), upper=np.full(model.n_columns, INF))
    assert not len(cuts_of([block], free, 0.0)[1])


def test_the_columns_of_blocks_are_those_of_their_number():
    """A pricer asks each block that has onloading variables once."""
    blocks = Blocks(np.array([0, 1, -1, 0, 1, 2]), np.array([0, 1]), 3)
    assert blocks.shared.tolist() == [False, False, True]
