"""How much of windows and processors to keep free, so that answers are late as seldom as wished."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr

from pyomo_j3o.core.checks import is_number
from pyomo_j3o.core.html import html_paragraphs
from pyomo_j3o.core.long_call import LongCall
from pyomo_j3o.core.table import Table
from pyomo_j3o.library.plan_tables import checked_shares, read_plan
from pyomo_j3o.simulation.delivery import Simulation
from pyomo_j3o.simulation.discrete_events import simulate
from pyomo_j3o.simulation.in_turn import InTurnWork, in_turn_work
from pyomo_j3o.simulation.window_work import WindowWork, window_work

if TYPE_CHECKING:
    from pyomo.core.base.block import BlockData


#: Whose late answers count, by the names of the argument ``where``: how they are told, and which share it is.
_PLACES: dict[str, tuple[str, Callable[[Simulation], float]]] = {
    "batches": ("the queries in batches", lambda run: run.share_late),
    "clients": ("the queries on clients", lambda run: run.share_late_clients),
    "all": ("all queries with a deadline", lambda run: run.share_late_all),
}


@dataclass(frozen=True, eq=False)
class HeadroomSearch:
    """What `find_headroom` returns; printing it shows every headroom that was tried.

    Attributes
    ----------
    headroom
        The smallest headroom found that meets the target. NaN if Ctrl-C came before there was one.
    target
        Largest share of the queries that may be late.
    simulations
        The simulated plan at every headroom tried.
    where
        Whose queries count: ``"batches"``, ``"clients"`` or ``"all"``.
    interrupted
        Whether Ctrl-C ended the search: a smaller headroom may do.
    """

    headroom: float
    target: float
    simulations: dict[float, Simulation]
    where: str = "batches"
    interrupted: bool = False

    @property
    def simulation(self) -> Simulation:
        """The simulated plan at the headroom found."""
        if math.isnan(self.headroom):
            raise ValueError("no headroom tried before Ctrl-C meets the target; see `simulations` for those")
        return self.simulations[self.headroom]

    @property
    def table(self) -> Table:
        """Every headroom tried, in ascending order, and what it costs.

        ``headroom``; ``late``, the share of the queries that count answered later than 2·T_b; ``planned``,
        ``accuracy`` and ``timely``, the planned accuracy, the delivered one, and that with late answers
        counted as 0; ``cost``, the planned accuracy given up against no headroom.
        """
        late = _PLACES[self.where][1]
        rows = [
            {
                "headroom": headroom,
                "late": late(run),
                "planned": run.planned_accuracy,
                "accuracy": run.accuracy,
                "timely": run.timely_accuracy if self.where == "batches" else run.timely_accuracy_all,
                "cost": self.simulations[0.0].planned_accuracy - run.planned_accuracy,
            }
            for headroom, run in sorted(self.simulations.items())
        ]
        return Table(("headroom", "late", "planned", "accuracy", "timely", "cost"), rows)

    def __str__(self) -> str:
        return "\n".join([*self._lines(), str(self.table)])

    def _repr_html_(self) -> str:
        return html_paragraphs(*self._lines()) + self.table._repr_html_()

    def _lines(self) -> list[str]:
        what, late = _PLACES[self.where]
        aim = f"target {100 * self.target:g} %"
        lines = ["Ctrl-C ended the search: a smaller headroom may do."] if self.interrupted else []
        if math.isnan(self.headroom):
            lines = [f"Ctrl-C ended the search: no headroom tried by then meets the {aim} of {what}."]
        else:
            share = 100 * late(self.simulation)
            lines.append(f"headroom {self.headroom:g}: {share:.2f} % of {what} late ({aim})")
        return lines


def find_headroom(
    solve: Callable[[float], BlockData],
    target: float = 0.01,
    *,
    step: float = 0.01,
    highest: float = 0.6,
    where: str = "batches",
    tee: bool | None = None,
    **settings: Any,
) -> HeadroomSearch:
    """Find the smallest headroom whose plan, simulated, is late for no more than a target share of queries.

    A plan may fill its window's row, Σ (ν + τ·q) ≤ (1 - headroom)·T_b, to the brim, but batches are as large
    as planned on average only, and without headroom the queue of a full window grows without end. So does
    that of a client whose compute row, Σ λ τ ≤ (1 - compute_headroom)·β, is full. The search
    solves without headroom, then with `guess_headroom`, walks from there in steps that double until the
    target lies in between, and bisects: about five to ten solves. All plans are played on the same arrivals.

    It takes for granted that more headroom never makes more queries late. As every headroom may change the
    whole plan, this can fail by a little; what holds in any case is that the plan at the headroom found meets
    the target, and that the one tried a step below does not.

    Parameters
    ----------
    solve
        Builds and solves the model with the given headroom, and returns it.
    target
        Largest share of late queries among those that count, above 0. Over a horizon of H s and a rate of
        λ queries/s a share much below 1/(λ·H) cannot be seen.
    step, highest
        The headroom is a multiple of `step`, at most `highest`.
    where
        Whose queries count: ``"batches"``, those that edge servers run in batches, for the ``headroom`` of
        `build_model`; ``"clients"``, those that clients run, for its ``compute_headroom``; ``"all"``, those
        of both, where `solve` gives both.
    tee
        True prints each headroom tried; False says nothing. None says it on a terminal or in a notebook, once
        the call takes more than three seconds.
    **settings
        Passed to `pyomo_j3o.simulation.simulate`: ``arrivals``, ``latency``, ``setup_error``, ``horizon``,
        ``warm_up``, ``seed``.

    Returns
    -------
    HeadroomSearch
        After Ctrl-C, also where `solve` takes it and returns what it has, it holds the headrooms tried by
        then, and is marked as ``interrupted``.

    Raises
    ------
    ValueError
        If a number is out of range, `where` is unknown, or the target is not met at the highest headroom.
    KeyboardInterrupt
        At Ctrl-C before the plan without headroom was played.
    """
    _check_target(target)
    _check_where(where)
    if not (is_number(step) and is_number(highest) and 0 < step <= highest < 1):
        raise ValueError(f"step={step!r}, highest={highest!r}: give 0 < step <= highest < 1")
    with LongCall("find_headroom", tee) as call:
        search = _Search(solve, target, where, {"tee": False, **settings}, call)
        try:
            return search.run(step, math.floor(highest / step + 1e-9))
        except KeyboardInterrupt:
            if not search.runs:
                raise
            enough = [headroom for headroom, run in search.runs.items() if search.late(run) <= target]
            return HeadroomSearch(min(enough, default=math.nan), target, search.runs, where, True)


class _Search:
    """The headrooms that were tried, {headroom: simulation}, and how one more is tried."""

    def __init__(
        self,
        solve: Callable[[float], BlockData],
        target: float,
        where: str,
        settings: dict[str, Any],
        call: LongCall,
    ) -> None:
        self._solve, self._target, self._where = solve, target, where
        self._settings, self._call = settings, call
        self.late = _PLACES[where][1]
        self.runs: dict[float, Simulation] = {}

    def run(self, step: float, last: int) -> HeadroomSearch:
        """Find the smallest multiple of `step`, up to the last, that meets the target."""
        without = self._play(0.0)
        if self.late(self.runs[0.0]) <= self._target:
            return HeadroomSearch(0.0, self._target, self.runs, self._where)
        guess = math.ceil(guess_headroom(without, self._target, self._where) / step)

        def meets(k: int) -> bool:
            headroom = _multiple(k, step)
            self._play(headroom)
            return self.late(self.runs[headroom]) <= self._target

        found = _smallest(meets, min(max(guess, 1), last), last)
        if found > last:
            highest = _multiple(last, step)
            share, what = 100 * self.late(self.runs[highest]), _PLACES[self._where][0]
            raise ValueError(
                f"highest={highest:g}: even with this headroom {share:.2f} % of {what} are late; raise the "
                "target, give the nodes more compute or longer windows, or see whether set-up times or "
                "latencies are far from what was planned"
            )
        return HeadroomSearch(_multiple(found, step), self._target, self.runs, self._where)

    def _play(self, headroom: float) -> BlockData:
        """Solve with a headroom, and play the plan; return the model."""
        with _noticing_ctrl_c() as pressed:
            model = self._solve(headroom)
        if pressed.is_set():
            raise KeyboardInterrupt
        run = simulate(model, **self._settings)
        if run.interrupted:
            raise KeyboardInterrupt
        self.runs[headroom] = run
        self._call.say(f"headroom {headroom:g}, {100 * self.late(run):.2f} % late")
        return model


@contextmanager
def _noticing_ctrl_c() -> Iterator[threading.Event]:
    """Set an event at Ctrl-C, and let it do what it did: a solver may end early and not say so."""
    pressed = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield pressed
        return

    def notice(number: int, frame: Any) -> None:
        pressed.set()
        before(number, frame)

    signal.signal(signal.SIGINT, notice)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def guess_headroom(model: BlockData, target: float = 0.01, where: str = "batches") -> float:
    """Guess the headroom needed from one plan, in closed form.

    A query that arrives u s after its window began is late if its batch is done more than u s past the end of
    the next window. With u uniform over the window, and all batches of a window taken to be done with the
    last, the share that is late is the mean of max(0, B + W' - T_b) over T_b: B is the backlog, and W' the
    work of a window that is known to hold the query. That is more than the work W of just any window. To a
    Poisson process one query more is one query more, so W' is W with a batch of its model one larger, which
    is never empty::

        E[W'] = E[W] + τ + ν e^-q ,      Var[W'] = Var[W] - ν² e^-q (1 - e^-q) - 2 ν τ q e^-q

    Where batches are large, this is next to nothing. Where a batch is mostly one query, it is the query's own
    set-up, and may by itself be longer than a window.

    The backlog is a random walk with steps W - T_b, reflected at 0. With W and W' taken as normal, mean and
    standard deviation of W from `window_work.window_work`, Spitzer's identity gives its mean in the
    long run, and what the query adds is taken from its own window alone::

        E[B]         = Σ_n E[max(0, S_n)] / n ,      S_n normal, mean n·(E[W] - T_b), variance n·Var[W]
        share late   = (E[B] + E[max(0, W' - T_b)] - E[max(0, W - T_b)]) / T_b

    A plan with headroom h is taken as the same mix of models at a row of (1 - h)·T_b, so that mean and
    variance of W and all q scale with it; a model whose set-up alone exceeds the row is gone, and its queries
    with it. The guess is the h at which the share of the others is the target; an edge server whose plan has
    more room than that already needs none, and the largest h of all edge servers counts.

    The guess knows Poisson arrivals and the planned latencies only, and not how the plan changes with h. So
    it is a place to start a search, not an answer. It is most off where a headroom takes the only model out
    that an edge server runs, for the next plan has another there: the guess is then the headroom at which
    that happens, and the one needed may be far larger. Where an edge server runs several models, whose
    batches are not all done with the last, it was up to 0.12 too large on ten of the library's instances.

    Clients are M/G/1 queues (`in_turn.InTurnWork`): the guess for them is the h at which, with every client's
    load cut to a utilisation of 1 - h, the share of late queries of all clients is the target.

    Parameters
    ----------
    model
        A model of `pyomo_j3o.library.build_model` or `pyomo_j3o.library.build_multi_edge`, solved; best
        without headroom.
    target
        Largest share of the queries that may be late, above 0 and below 1.
    where
        Whose queries count, as for `find_headroom`; of ``"all"``, the larger of both guesses.

    Returns
    -------
    float
        From 0 to 1; 0 if there are no such queries, 1 if no headroom will do.

    Raises
    ------
    ValueError
        If the model is not one of the library's, has not been solved, or has values that are no plan, or if
        `target` is out of range or `where` unknown.

    References
    ----------
    F. Spitzer, "A combinatorial lemma and its application to probability theory", Transactions of the AMS 82
    (1956), https://doi.org/10.1090/S0002-9947-1956-0079851-X.
    """
    _check_target(target)
    _check_where(where)
    data, shares = read_plan(model)
    shares = checked_shares(shares)
    headroom = 0.0
    if where != "clients":
        for work in window_work(data, shares).values():
            if work.planned > 0:
                high = _least(partial(_share_late, work), target)
                if work.planned > (1 - high) * work.length:
                    headroom = max(headroom, high)
    if where != "batches":
        clients = [work for node, work in in_turn_work(data, shares).items() if node in data.clients]
        if clients and _share_late_of_clients(clients, 0.0) > target:
            headroom = max(headroom, _least(partial(_share_late_of_clients, clients), target))
    return headroom


def _least(share_late: Callable[[float], float], target: float) -> float:
    """Return the least headroom, to 1e-4, at which a share is the target at most; 1 if there is none."""
    low, high = 0.0, 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if share_late(middle) <= target else (middle, high)
    return high


def _share_late_of_clients(clients: Sequence[InTurnWork], headroom: float) -> float:
    """Return the share of late queries with a deadline if no client worked more than 1 - headroom."""
    late = judged = 0.0
    for work in clients:
        scale = min(1.0, (1 - headroom) / max(work.utilisation, 1e-12))
        late += work.late(scale)
        judged += scale * float(work.rate[np.isfinite(work.deadline)].sum())
    return late / judged if judged > 0 else 0.0


def _share_late(work: WindowWork, headroom: float) -> float:
    """Return the share of late queries if a row that is `work` were shrunk to leave so much headroom."""
    length, room = work.length, (1 - headroom) * work.length
    runs = work.setup <= room
    if not runs.any():
        return 0.0
    scale = room / work.planned
    mean, variance = scale * work.mean, scale * work.sd**2
    backlog = _mean_backlog(mean, math.sqrt(variance), length)
    nu, tau, q = work.setup, work.per_query, work.queries
    empty = np.exp(-q)
    # What of the variance is whether there is a batch at all; of the query's own batch this is known.
    chance = scale * (nu**2 * empty * (1 - empty) + 2 * nu * tau * q * empty)
    own = _mean_excess(
        mean + tau + nu * np.exp(-scale * q) - length, np.sqrt(np.maximum(0.0, variance - chance))
    )
    usual = _mean_excess(np.array(mean - length), np.sqrt(np.array(variance)))
    late = np.minimum(1.0, (backlog + own - usual) / length)
    return float((q * late)[runs].sum() / q[runs].sum())


def _mean_excess(mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Return E[max(0, X)] of a normal X, of the shape of its mean and standard deviation."""
    z = mean / np.maximum(sd, 1e-12 * np.abs(mean) + 1e-300)
    excess: np.ndarray = sd * np.exp(-z * z / 2) / math.sqrt(2 * math.pi) + mean * ndtr(z)
    return excess


def _check_where(where: str) -> None:
    if where not in _PLACES:
        raise ValueError(f"where={where!r}: unknown; use {', '.join(map(repr, _PLACES))}")


def _check_target(target: float) -> None:
    if not (is_number(target) and 0 < target < 1):
        raise ValueError(f"target={target!r}: give a share of late queries above 0 and below 1, such as 0.01")


def _mean_backlog(mean: float, sd: float, length: float) -> float:
    """Return the mean of a reflected random walk with normal steps of mean `mean` - `length`, s."""
    slack = length - mean
    if slack <= 0:
        return math.inf
    if sd == 0:
        return 0.0
    k = slack / sd
    if k < 0.01:
        return sd / (2 * k)  # Its limit when traffic is heavy; the series would be long.
    n = np.arange(1, 2 + math.ceil(50 / k**2))
    z = k * np.sqrt(n)
    # E[max(0, S_n)] = sd √n (φ(z) - z Φ(-z)); terms fall like exp(-n k²/2).
    return float((sd / np.sqrt(n) * (np.exp(-z * z / 2) / math.sqrt(2 * math.pi) - z * ndtr(-z))).sum())


def _smallest(meets: Callable[[int], bool], guess: int, last: int) -> int:
    """Return the smallest k from 1 to `last` with ``meets(k)``, or `last` + 1; `meets` is monotone.

    Walks from the guess in steps that double, and bisects once the answer lies in between.
    """
    low, high = 0, last + 1
    k, stride = guess, 1
    while high - low > 1:
        if meets(k):
            high, k = k, k - stride
        else:
            low, k = k, k + stride
        stride *= 2
        if not low < k < high:
            k = (low + high) // 2
    return high


def _multiple(k: int, step: float) -> float:
    # 0.07, not 0.07 and a bit: the number is shown, and is a key.
    return round(k * step, 10)
