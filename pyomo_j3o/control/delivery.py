"""What a plan delivers when loads are other than it was made for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pyomo_j3o.core.matrices import FloatArray
from pyomo_j3o.library.data import InferenceData, Option
from pyomo_j3o.library.inference_rows import Row, terms_by_row


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one minute brings.

    Attributes
    ----------
    accuracy : float
        Mean accuracy over all queries that arrive; one that is lost counts as 0.
    lost : float
        Share of the queries that nobody answers.
    """

    accuracy: float
    lost: float


class Delivery:
    """Plays the shares of a plan on given loads: what a budget has no room for is lost.

    Placement and shares stay as they are. The queries that arrive use each budget in proportion. If they need
    more of a budget than there is, all that use this budget are cut by the same factor. A query that uses
    several such budgets is cut by the smallest of their factors. Every budget then holds, for what uses it
    was cut by its factor or by a smaller one. This is pessimistic: what a query lost in one place leaves free
    in another is used by nobody.

    Parameters
    ----------
    data
        The system.
    options
        The ways to answer, in the order of the shares.
    """

    def __init__(self, data: InferenceData, options: Sequence[Option]) -> None:
        column = {option: k for k, option in enumerate(options)}
        once = {(client, task): 1.0 for client in data.clients for task in data.tasks}
        terms = terms_by_row(data, options, once)
        self._client = np.array([data.clients.index(h[0]) for h in options])
        self._task = np.array([data.tasks.index(h[1]) for h in options])
        self._worth = np.zeros(len(options))
        for accuracy, option in terms.objective:
            self._worth[column[option]] = accuracy
        compute, uplink = (
            dict(zip(data.nodes, budgets.tolist(), strict=True))
            for budgets in (data.compute_budget, data.uplink_budget)
        )
        rows: list[Row] = []
        room: list[float] = []
        batches: list[tuple[int, float, Row]] = []
        for family, budget in (
            (terms.compute, compute),
            (terms.client_uplink, uplink),
            (terms.edge_uplink, uplink),
        ):
            for node, row in family.items():
                if family is terms.compute and node in terms.batches:
                    continue
                rows.append(row)
                room.append(budget[node])
        for edge, by_model in terms.batches.items():
            setup, per_query = data.batch_times(edge)
            batches += [(len(rows), setup[k] / data.windows[edge], row) for k, row in by_model.items()]
            rows.append([(per_query[k] * rate, h) for k, row in by_model.items() for rate, h in row])
            room.append(1.0)
        self._uses = _matrix(rows, column)
        self._room = np.array(room)
        self._batches = _matrix([row for _, _, row in batches], column)
        self._batch_row = np.array([r for r, _, _ in batches], dtype=np.int64)
        self._setup = np.array([setup for _, setup, _ in batches])

    def of(self, loads: FloatArray, shares: FloatArray) -> Delivered:
        """Return what a plan delivers.

        Parameters
        ----------
        loads
            The true ones, (I, tasks), queries/s; some are positive.
        shares
            (options,) of the plan.
        """
        answered = self.answered(loads, shares)
        total = float(loads.sum())
        return Delivered(float(self._worth @ answered) / total, max(0.0, 1 - float(answered.sum()) / total))

    def most(self, loads: FloatArray) -> float:
        """Return the mean accuracy if the best option answered every query: no plan delivers more.

        Parameters
        ----------
        loads
            (I, tasks), queries/s; some are positive.
        """
        best = np.zeros(loads.shape)
        np.maximum.at(best, (self._client, self._task), self._worth)
        return float((best * loads).sum() / loads.sum())

    def answered(self, loads: FloatArray, shares: FloatArray) -> FloatArray:
        """Return the queries/s that each option answers, (options,)."""
        sent = loads[self._client, self._task] * np.clip(shares, 0.0, 1.0)
        needed = self._uses @ sent
        open_batches = (self._batches @ sent) > 0
        set_up = np.bincount(
            self._batch_row[open_batches], self._setup[open_batches], minlength=len(self._room)
        )
        room = np.maximum(self._room - set_up, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            kept = np.where(needed > room, room / needed, 1.0)
        cut = np.ones(len(sent))
        entries = self._uses.tocoo()
        np.minimum.at(cut, entries.col, kept[entries.row])
        return np.asarray(sent * cut)


def _matrix(rows: Sequence[Row], column: dict[Option, int]) -> sparse.csr_array:
    """Return rows of coefficients and options as a matrix, (rows, options)."""
    entries = [(r, column[h], float(c)) for r, row in enumerate(rows) for c, h in row]
    row, at, number = zip(*entries, strict=True) if entries else ((), (), ())
    shape = (len(rows), len(column))
    return sparse.coo_array((np.array(number, dtype=float), (row, at)), shape=shape).tocsr()
