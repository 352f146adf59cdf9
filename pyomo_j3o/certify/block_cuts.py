"""Block cuts: what the MIP of one block proves of all plans, once its coupling rows are priced out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.certify.blocks import Blocks
from pyomo_j3o.certify.params import BlockParams
from pyomo_j3o.certify.shrinking import shrink
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.core.tolerances import INTEGRAL
from pyomo_j3o.errors import BackendError
from pyomo_j3o.lp.base import LinearModel, LPStatus
from pyomo_j3o.lp.duality import UNIT, bound_at, usable_duals
from pyomo_j3o.mip import Limits, MIPModel, MIPSolver, Start, solve_checked

logger = logging.getLogger("pyomo_j3o")

#: A coefficient of a cut below this fraction of its largest one is noise to an LP solver.
_TINY = 1e-8


@dataclass(frozen=True, slots=True)
class PricedBlock:
    """What the MIP of one block says at some prices of the coupling rows.

    Attributes
    ----------
    columns : (k,)
        Of the block.
    costs : (k,)
        Objective of its columns, less what they use of the coupling rows at their prices.
    bound : float
        No plan within the bounds has a larger ``costs @ values``.
    relaxed : float
        The same as the duals of the relaxation prove it.
    values : (k,)
        The best ones found; empty if none were.
    """

    columns: IntArray
    costs: FloatArray
    bound: float
    relaxed: float
    values: FloatArray


class BlockPricer:
    """Solves the MIPs of blocks at one price vector after the other.

    The coupling rows, cuts among them, are priced into the objective (Lagrangian relaxation), and every
    block becomes a small MIP. Its optimum v* gives a row over its columns, ``costs @ v <= v*``, which every
    plan satisfies: an inequality of the convex hull of the block's plans, as in Dantzig-Wolfe decomposition
    (Geoffrion 1974, DOI 10.1007/BFb0120690), at the price of one MIP.

    Parameters
    ----------
    blocks
        The blocks.
    n_rows
        Rows of the relaxation, cuts included, that the MIPs get. Block cuts are beyond them.
    solver
        Of the MIPs.
    params
        How long the MIPs are solved.
    """

    def __init__(
        self, blocks: Blocks, n_rows: int, solver: MIPSolver, params: BlockParams = BlockParams()
    ) -> None:
        self.blocks = blocks
        self._n_rows = n_rows
        self._solver = solver
        self._params = params
        order = np.argsort(blocks.of_column, kind="stable")
        sorted_label = blocks.of_column[order]
        self._columns = [
            order[slice(*np.searchsorted(sorted_label, [number, number + 1]))] for number in blocks.numbers
        ]

    def price(
        self,
        model: LinearModel,
        values: FloatArray,
        duals: FloatArray,
        known: FloatArray,
        gap: float,
        deadline: Deadline,
        bounds: tuple[FloatArray, FloatArray] | None = None,
    ) -> list[PricedBlock]:
        """Solve the MIP of every block whose gap is worth it, and in which some x is fractional.

        Parameters
        ----------
        model
            The relaxation over (x, y), with cuts.
        values
            (n,) of its optimum. Where all x of a block are whole, no cut of the block is violated.
        duals
            (m,) of its rows.
        known
            (n,) a plan. What costs a block more than its gap to this is left out.
        gap
            Of the whole part: a block with a small fraction of it is left out.
        deadline
            When to end: the blocks that are left then are left out.
        bounds
            Lower and upper bounds of the columns, (n,) each, within which the result holds; None for those of
            the model.
        """
        matrix = sparse.csr_array(model.matrix)
        of_row = self.blocks.of_rows(matrix)
        duals = usable_duals(model, duals)
        costs = model.objective - matrix.T @ np.where(of_row < 0, duals, 0.0)
        row_order = np.argsort(of_row, kind="stable")
        sorted_rows = of_row[row_order]
        assert model.integer is not None
        lower, upper = (model.lower, model.upper) if bounds is None else bounds
        ends = model.ends(lower, upper)
        fractional = model.integer & (np.abs(values - np.round(values)) > INTEGRAL)
        found: list[PricedBlock] = []
        for number, columns in zip(self.blocks.numbers, self._columns, strict=True):
            if not fractional[columns].any():
                continue
            if deadline.over:
                break
            rows = row_order[slice(*np.searchsorted(sorted_rows, [number, number + 1]))]
            part = LinearModel(
                costs[columns],
                matrix[rows][:, columns],
                model.row_lower[rows],
                model.row_upper[rows],
                lower[columns],
                upper[columns],
                model.integer[columns],
                ends[0][columns],
                ends[1][columns],
            )
            priced = self._solve(
                part, columns, duals[rows], rows < self._n_rows, known[columns], gap, deadline
            )
            if priced is not None:
                found.append(priced)
        return found

    def _solve(
        self,
        block: LinearModel,
        columns: IntArray,
        duals: FloatArray,
        is_original: BoolArray,
        known: FloatArray,
        gap_of_part: float,
        deadline: Deadline,
    ) -> PricedBlock | None:
        """Solve the MIP of one block; None if it promises nothing, or was not solved."""
        reduced = block.objective - block.matrix.T @ duals
        relaxed = bound_at(block, duals, reduced, block.lower, block.upper)
        at_known = float(block.objective @ known)
        gap = relaxed - at_known
        if not np.isfinite(gap) or gap <= self._params.least * gap_of_part:
            return None
        shrunk = shrink(block, reduced, gap, is_original)
        smaller = shrunk.model
        if smaller.matrix.nnz > self._params.largest or not len(shrunk.free):
            return None
        # In the unit of its largest cost, the solver's absolute tolerances hide nothing.
        unit = 2.0 ** np.floor(np.log2(max(float(np.abs(smaller.objective).max(initial=0.0)), 1e-300)))
        model = MIPModel(replace(smaller, objective=smaller.objective / unit))
        limits = Limits(
            deadline.left(),
            abs_gap=self._params.close * gap / unit,
            nodes=self._params.nodes,
            stop=lambda: deadline.over,
            threads=1,
            plain=True,
        )
        of_known = shrunk.reduce(known)
        start = None if of_known is None else Start(of_known)
        try:
            found = solve_checked(self._solver, model, limits, start)
        except BackendError as error:
            logger.debug("A block is left out: %s", error)
            return None
        if found.status is LPStatus.INTERRUPTED:
            raise KeyboardInterrupt
        if not np.isfinite(found.bound):
            return None  # infeasible it is not: what is known says otherwise
        # Whatever the reduced costs rule out is no better than what is known.
        bound = max(found.bound * unit + shrunk.constant, at_known)
        bound += len(columns) * UNIT * (abs(bound) + float(np.abs(block.objective) @ np.abs(known)))
        values = shrunk.restore(found.values) if found.found else np.zeros(0)
        return PricedBlock(columns, block.objective, bound, relaxed, values)


def cuts_of(
    priced: Sequence[PricedBlock], model: LinearModel, least: float
) -> tuple[sparse.csr_array, FloatArray]:
    """Return the rows ``costs @ v <= bound`` over (x, y) that lower a block's bound by more than `least`.

    Coefficients that are tiny beside the largest one are left out, at the price of what their columns could
    add at most; a row for which that has no end is left out.
    """
    lower, upper = model.ends(model.lower, model.upper)
    columns, values, limits = [], [], []
    for one in priced:
        if one.bound >= one.relaxed - least:
            continue
        size = np.abs(one.costs)
        tiny = size <= _TINY * size.max(initial=0.0)
        cost = np.where(tiny, one.costs, 0.0)
        ends = np.where(cost > 0, -lower[one.columns], upper[one.columns])
        with np.errstate(invalid="ignore"):
            given_up = np.where(cost != 0.0, np.abs(cost) * ends, 0.0)
        limit = one.bound + float(np.maximum(given_up, 0.0).sum())
        if np.isfinite(limit) and not tiny.all():
            columns.append(one.columns[~tiny])
            values.append(one.costs[~tiny])
            limits.append(limit)
    sizes = np.array([len(one) for one in columns], dtype=np.int64)
    matrix = sparse.csr_array(
        (
            np.concatenate([*values, np.zeros(0)]),
            np.concatenate([*columns, np.zeros(0, dtype=np.int64)]),
            np.concatenate([[0], np.cumsum(sizes)]),
        ),
        shape=(len(limits), model.n_columns),
    )
    return matrix, np.array(limits)
