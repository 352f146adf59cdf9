"""Play a plan query by query: random arrivals, batches, queues; needs SimPy.

The model that a plan comes from sees mean rates only. Here queries arrive one by one, and what the plan
promises (the accuracy, and that an edge server answers within two batching windows) is measured.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pyomo_j3o.core.checks import is_number
from pyomo_j3o.core.long_call import LongCall
from pyomo_j3o.library.data import CLOUD, InferenceData, Option
from pyomo_j3o.library.plan_tables import checked_shares, read_plan
from pyomo_j3o.simulation.arrivals import ArrivalProcess, Poisson
from pyomo_j3o.simulation.deadlines import deadlines
from pyomo_j3o.simulation.delivery import LEVELS, Queries, Simulation
from pyomo_j3o.simulation.serving import Batches, BatchLatencies, InBatches, InTurn, Latency
from pyomo_j3o.simulation.window_work import window_work

if TYPE_CHECKING:
    from pyomo.core.base.block import BlockData
    from simpy import Environment

logger = logging.getLogger("pyomo_j3o")

#: A simulation of more windows of one edge server than this logs a warning.
_MANY_WINDOWS = 1e6

#: How often a simulation says how far it is.
_STEPS = 20

#: A share below this is what a solver's tolerance leaves of 0.
_NO_SHARE = 1e-6


def simulate(
    model: BlockData,
    arrivals: ArrivalProcess | None = None,
    *,
    latency: Latency | None = None,
    setup_error: float = 0.0,
    horizon: float = 600.0,
    warm_up: float = 0.0,
    seed: int = 0,
    tee: bool | None = None,
) -> Simulation:
    """Play the plan of a solved library model, as a discrete-event simulation.

    - Queries of each client and task arrive by `arrivals`. Each takes one of the plan's options, at random
      with the plan's shares as probabilities; what no option serves is dropped.
    - An edge server with a window (one of ``data.windows``) collects the queries that arrive in
      [j·T_b, (j+1)·T_b) and runs them, as one batch per model in the order of the data's ``models``, from the
      window's end on, behind whatever is left of earlier windows. All queries of a batch are answered at its
      end. A batch of b queries takes (ν + τ·b)/β.
    - A client, and an edge server without a window, runs its queries one by one in order of arrival, each in
      τ/β.
    - The compute budget β makes a node a processor of β times the speed that τ and ν are stated for. Where it
      has no limit (inf), every query has a processor of that speed for itself, at once.
    - Uplinks take no time, and the cloud's latency is not known: of its answers only accuracy and number are
      reported.

    A plan that fills its window's row exactly has utilisation 1 and random batches. Its backlog is a random
    walk reflected at 0, which grows like the square root of time: in the long run nearly all answers of that
    server come later than 2·T_b. The batching window's ``headroom`` is the remedy, and `find_headroom` finds
    how much is needed. The same holds for a client whose compute row is full.

    Parameters
    ----------
    model
        A model of `pyomo_j3o.library.build_model` or `pyomo_j3o.library.build_multi_edge`, solved.
    arrivals
        `Poisson` (if not given), `MMPP`, `Recorded`, or any function like `ArrivalProcess`.
    latency
        True latency of batches on edge servers with a window, in place of ν + τ·b. Either for some models, by
        name, measured points (batch size → s; interpolated, level below the smallest size, and beyond the
        largest on the line through the last two) or a function of the batch size; or one function of edge
        server, model and batch size. It is divided by β as well.
    setup_error
        The true set-up time is ν·(1 + `setup_error`): 0.5 says that the plan's ν is too small, and the true
        one 50 % above it.
    horizon
        Queries arrive in [0, `horizon`), s; all of them are then served.
    warm_up
        Queries that arrive, and windows that begin, before this time are simulated but not counted, s.
    seed
        Each client and task has a stream of random numbers of its own that depends on this and its position
        only: the same seed gives the same arrivals to any two plans of one system. A whole number of at
        least 0.
    tee
        True prints how far the simulation is; False says nothing. None says it on a terminal or in a
        notebook, once the call takes more than three seconds.

    Returns
    -------
    Simulation
        After Ctrl-C it holds the time that was simulated by then, as a shorter `horizon`, and is marked as
        ``interrupted``.

    Raises
    ------
    ValueError
        If the model is not one of the library's, has no values, or has values that are no plan; if a number
        is out of range, `arrivals` or `latency` is not or does not return what it should, `latency` names an
        unknown model, or queries are routed to a node with a compute budget of 0.
    ImportError
        If SimPy is missing.
    KeyboardInterrupt
        At Ctrl-C before any query could be counted.
    """
    data, shares = read_plan(model)
    shares = checked_shares(shares)
    _check_numbers(horizon, warm_up, setup_error, seed)
    arrivals = Poisson() if arrivals is None else arrivals
    if isinstance(arrivals, type) or not callable(arrivals):
        raise ValueError(
            f"arrivals={arrivals!r}: no arrival process; give one like Poisson(), or a function of rate, "
            "horizon and random generator"
        )
    options = _Options.of(data, shares)
    latencies = BatchLatencies(data, latency, setup_error)
    env = _environment()

    arrival, stream, option = _draw_queries(options, arrivals, horizon, seed)
    node, used = options.node[option], options.model[option]
    here = {name: np.flatnonzero(node == n) for n, name in enumerate(data.nodes)}
    batching = {
        edge: _in_batches(edge, length, arrival[here[edge]], used[here[edge]], horizon, latencies)
        for edge, length in data.windows.items()
    }
    servers: dict[str, InBatches | InTurn] = dict(batching)
    for n, name in enumerate(data.nodes):
        if name not in batching and len(here[name]):
            seconds = data.service_time[n, used[here[name]]]
            servers[name] = InTurn(arrival[here[name]], seconds, _compute(data, n))
    for server in servers.values():
        env.process(server.serve(env))
    with LongCall("simulate", tee) as call:
        end = _run(env, horizon, list(servers.values()), call)
    if end <= warm_up:
        raise KeyboardInterrupt

    answered = np.full(len(arrival), np.nan)
    for name, server in servers.items():
        answered[here[name]] = server.answered
    counted = (arrival >= warm_up) & (arrival < end)
    client, task = options.stream[stream].T
    queries = Queries(
        arrival=arrival[counted],
        client=client[counted],
        task=task[counted],
        model=used[counted],
        node=node[counted],
        level=options.level[option][counted],
        accuracy=options.accuracy[option][counted],
        latency=(answered - arrival)[counted],
        deadline=_deadlines(data, client, node)[counted],
    )
    windows = {
        edge: batching[edge].windows(work.planned, warm_up, min(end, horizon))
        for edge, work in window_work(data, shares).items()
    }
    return Simulation(
        data, min(end, horizon), warm_up, options.mean_accuracy, queries, windows, math.isfinite(end)
    )


def _run(env: Environment, horizon: float, servers: Sequence[InBatches | InTurn], call: LongCall) -> float:
    """Run the simulation; return inf, or after Ctrl-C the time up to which all queries are answered, s."""
    try:
        for k in range(1, _STEPS + 1):
            env.run(until=horizon * k / _STEPS)
            call.say(f"{horizon * k / _STEPS:.4g} of {horizon:.4g} s are simulated")
        call.say("what is left in queues is served")
        env.run()
    except KeyboardInterrupt:
        # A query that arrived later may have no answer yet, and those without would be the slow ones.
        return min(env.now, *(server.answered_until for server in servers))
    return math.inf


def _in_batches(
    edge: str,
    length: float,
    arrival: np.ndarray,
    model: np.ndarray,
    horizon: float,
    latencies: BatchLatencies,
) -> InBatches:
    """Return an edge server with a window that is about to serve these queries, by arrival and model."""
    if horizon / length > _MANY_WINDOWS:
        logger.warning(
            "Edge server '%s' has %.1e windows in the horizon, which may take minutes, as its window is "
            "%g s; give windows in seconds, or a shorter horizon.",
            edge,
            horizon / length,
            length,
        )
    batches = Batches.of(arrival, model, length, horizon)
    return InBatches(batches, latencies.of(edge, batches))


class _Options(NamedTuple):
    """The options of a plan as arrays over K of them; one more, the last, is to be dropped.

    Attributes
    ----------
    data
        The system.
    stream
        Positions of client and task of the S streams of queries, shape (S, 2).
    first
        Where the options of each stream begin, shape (S + 1,).
    share
        Share of its stream that an option serves, shape (K + 1,); 0 for the last.
    node, model
        Positions in the data's ``nodes`` and ``models``, shape (K + 1,); -1 for the cloud and for none.
    level
        Position in ``LEVELS``, shape (K + 1,).
    accuracy
        Shape (K + 1,).
    """

    data: InferenceData
    stream: np.ndarray
    first: np.ndarray
    share: np.ndarray
    node: np.ndarray
    model: np.ndarray
    level: np.ndarray
    accuracy: np.ndarray

    @classmethod
    def of(cls, data: InferenceData, shares: dict[Option, float]) -> _Options:
        at = [{name: k for k, name in enumerate(names)} for names in (data.clients, data.tasks)]
        node_at = {name: n for n, name in enumerate(data.nodes)} | {CLOUD: -1}
        model_at = {name: k for k, name in enumerate(data.models)} | {CLOUD: -1}
        # In the data's order, so that nothing depends on the order of a dict.
        found = sorted(
            (at[0][client], at[1][task], node_at[node], model_at[model], share)
            for (client, task, node, model), share in shares.items()
        )
        i, t, n, m = np.array([row[:4] for row in found], dtype=int).reshape(-1, 4).T
        stream = np.argwhere(data.load > 0)
        n_tasks = len(data.tasks)
        first = np.searchsorted(i * n_tasks + t, [*(stream @ [n_tasks, 1]), data.load.size])
        level = np.where(n < 0, LEVELS.index("cloud"), (n >= len(data.clients)).astype(int))
        accuracy = np.where(n < 0, data.cloud_accuracy[t], data.accuracy[m, t])
        return cls(
            data=data,
            stream=stream,
            first=first,
            share=np.append([row[4] for row in found], 0.0),
            node=np.append(n, -1),
            model=np.append(m, -1),
            level=np.append(level, LEVELS.index("dropped")),
            accuracy=np.append(accuracy, 0.0),
        )

    @property
    def mean_accuracy(self) -> float:
        """The plan's objective."""
        rate = np.repeat(self.data.load[tuple(self.stream.T)], np.diff(self.first))
        return float((rate * self.share[:-1] * self.accuracy[:-1]).sum() / self.data.total_load)


def _draw_queries(
    options: _Options, arrivals: ArrivalProcess, horizon: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return arrival time (s), stream and option of each query, by arrival time."""
    times, streams, chosen = [], [], []
    for s, (client, task) in enumerate(options.stream.tolist()):
        when, which = (
            np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(client, task, purpose)))
            for purpose in (0, 1)
        )
        drawn = _times(arrivals(float(options.data.load[client, task]), horizon, when))
        if len(drawn) and not 0 <= drawn[0] <= drawn[-1] <= horizon:
            raise ValueError(
                f"arrivals: a query at {drawn[0]:g} s or {drawn[-1]:g} s, outside the simulated time; return "
                f"times from 0 to below the horizon of {horizon:g} s"
            )
        first, last = options.first[s : s + 2]
        bounds = np.cumsum(options.share[first:last])
        # Shares sum to 1 up to a solver's tolerance; a query in between is not dropped for that.
        if len(bounds) and bounds[-1] > 1 - _NO_SHARE:
            bounds /= bounds[-1]
        taken = np.searchsorted(bounds, which.random(len(drawn)), side="right")
        times.append(drawn)
        streams.append(np.full(len(drawn), s))
        chosen.append(np.where(taken < last - first, first + taken, len(options.share) - 1))
    time = np.concatenate(times)
    order = np.argsort(time, kind="stable")
    return time[order], np.concatenate(streams)[order], np.concatenate(chosen)[order]


def _times(drawn: object) -> np.ndarray:
    """Return what an arrival process has drawn in ascending order, shape (Q,)."""
    try:
        times = np.asarray(drawn, dtype=float)
    except (TypeError, ValueError):
        times = np.array(np.nan)
    if times.ndim != 1:
        raise ValueError(
            f"arrivals: what was returned ({type(drawn).__name__}) is no flat list of times; return an array "
            "with the time of each query in seconds"
        )
    return np.sort(times)


def _compute(data: InferenceData, n: int) -> float:
    budget = float(data.compute_budget[n])
    if budget == 0:
        raise ValueError(
            f"compute_budget[{data.nodes[n]!r}]: 0, but the plan sends queries there; solve the model again"
        )
    return budget


def _deadlines(data: InferenceData, client: np.ndarray, node: np.ndarray) -> np.ndarray:
    """Return the deadline of each query, shape (Q,), s, given its client and the node that answered."""
    by_node = deadlines(data)
    # The cloud's latency is not known; its queries are filed under their client.
    return np.where(node >= 0, by_node[node], by_node[client])


def _check_numbers(horizon: float, warm_up: float, setup_error: float, seed: int) -> None:
    if not (is_number(horizon) and 0 < horizon < math.inf):
        raise ValueError(f"horizon={horizon!r}: give the simulated time in seconds, above 0")
    if not (is_number(warm_up) and 0 <= warm_up < horizon):
        raise ValueError(f"warm_up={warm_up!r}: give seconds from 0 to below the horizon of {horizon:g} s")
    if not (is_number(setup_error) and -1 <= setup_error < math.inf):
        raise ValueError(
            f"setup_error={setup_error!r}: give the relative error of the set-up time, at least -1 (0.5: the "
            "true one is 50 % above the planned one)"
        )
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed={seed!r}: give a whole number of at least 0")


def _environment() -> Environment:
    try:
        import simpy
    except ImportError:
        raise ImportError("simulate needs SimPy, which is not installed: pip install simpy") from None
    return simpy.Environment()
