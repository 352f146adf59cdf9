"""What a simulated plan delivered: accuracy, latency, late answers, and whether queues grow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pyomo_j3o.core.table import Table
from pyomo_j3o.library.data import InferenceData

LEVELS = ("client", "edge", "cloud", "dropped")
"""Where a query was answered, in the order of the codes in `Queries.level`."""

#: Fewer windows than this say nothing about growth; as many groups of windows give the standard error.
_GROUPS = 20


@dataclass(frozen=True, eq=False)
class Queries:
    """The Q queries that arrived in the counted time, in order of arrival, as arrays of shape (Q,).

    Attributes
    ----------
    arrival
        Time of arrival, s.
    client, task, model
        Positions in the data's ``clients``, ``tasks`` and ``models``; -1 for the cloud's model and for none.
    node
        Position in the data's ``nodes``; -1 for the cloud and for none.
    level
        Position in `LEVELS`.
    accuracy
        Accuracy of the option that answered, 0 if the query was dropped.
    latency
        From arrival to answer, s; NaN for the cloud, of which no figure is known, and for dropped queries.
    deadline
        2·T_b, s: of the edge server that answered; of a client's own answers, the shortest of the edge
        servers that it may use. Inf where there is no window.
    """

    arrival: np.ndarray
    client: np.ndarray
    task: np.ndarray
    model: np.ndarray
    node: np.ndarray
    level: np.ndarray
    accuracy: np.ndarray
    latency: np.ndarray
    deadline: np.ndarray

    def __len__(self) -> int:
        return len(self.arrival)

    @property
    def batched(self) -> np.ndarray:
        """Whether a query was answered in a batch on an edge server with a window, shape (Q,)."""
        return (self.level == LEVELS.index("edge")) & np.isfinite(self.deadline)

    @property
    def late(self) -> np.ndarray:
        """Whether a query's latency is known and longer than its deadline, shape (Q,)."""
        # Rounding of a sum of times is not lateness.
        return np.nan_to_num(self.latency, nan=0.0) > self.deadline * (1 + 1e-9)


@dataclass(frozen=True, eq=False)
class Windows:
    """The J counted windows of one edge server.

    Attributes
    ----------
    length
        T_b, s.
    planned
        Σ_m (ν_m + τ_m q_m)/β over the models in use, s: the left-hand side of the plan's row.
    end
        End of each window, shape (J,), s.
    work
        Time that the batches collected in each window take on the server's processor, shape (J,), s.
    backlog
        Work of earlier windows that is left at each window's end, shape (J,), s.
    """

    length: float
    planned: float
    end: np.ndarray
    work: np.ndarray
    backlog: np.ndarray

    @property
    def utilisation(self) -> float:
        """Mean work over the length of the window; NaN if no window was counted."""
        return float(self.work.mean() / self.length) if len(self.work) else np.nan

    @property
    def share_over(self) -> float:
        """Share of windows whose work exceeds T_b; NaN if no window was counted."""
        return float((self.work > self.length * (1 + 1e-9)).mean()) if len(self.work) else np.nan

    @property
    def slope(self) -> float:
        """Slope of the least-squares line through the backlog, seconds of backlog per second."""
        if len(self.end) < 2:
            return np.nan
        return float(np.polyfit(self.end - self.end[0], self.backlog, 1)[0])

    @property
    def verdict(self) -> str:
        """Whether the queue is stable: ``stable``, ``grows``, ``critical`` or ``too short``.

        The rule compares the mean work per window with T_b. Its standard error comes from the means of 20
        equal groups of consecutive windows, so that bursts longer than a window count.

        - ``stable``: the mean lies below T_b by two standard errors or more. The backlog then keeps coming
          back to 0.
        - ``grows``: the mean lies above T_b by two standard errors or more. The backlog grows in proportion
          to time.
        - ``critical``: the mean cannot be told from T_b. At T_b itself the backlog grows like the square root
          of time.
        - ``too short``: fewer than 20 windows were counted.
        """
        if len(self.work) < _GROUPS:
            return "too short"
        means = np.array([group.mean() for group in np.array_split(self.work, _GROUPS)])
        slack = self.length - self.work.mean()
        error = 2 * means.std(ddof=1) / np.sqrt(_GROUPS)
        # Also constant work that fills the window exactly is critical.
        error = max(error, 1e-9 * self.length)
        if slack >= error:
            return "stable"
        return "grows" if slack <= -error else "critical"


@dataclass(frozen=True, eq=False, repr=False)
class Simulation:
    """What `pyomo_j3o.simulation.simulate` returns; printing it gives readable tables.

    Attributes
    ----------
    data
        The system that was simulated.
    horizon, warm_up
        Queries that arrive in [`warm_up`, `horizon`) are counted, s.
    planned_accuracy
        The plan's objective: Σ (λ_it/Λ) a_h y_ith.
    queries
        The queries that were counted.
    windows
        For each edge server with a window, by name, what happened in its windows.
    interrupted
        Whether Ctrl-C ended the simulation at `horizon`.
    """

    data: InferenceData
    horizon: float
    warm_up: float
    planned_accuracy: float
    queries: Queries
    windows: dict[str, Windows]
    interrupted: bool = False

    @property
    def accuracy(self) -> float:
        """Mean accuracy over the queries that arrived, 0 for those dropped; NaN if none arrived."""
        return _mean(self.queries.accuracy)

    @property
    def timely_accuracy(self) -> float:
        """The same with an accuracy of 0 also for answers from batches that come later than 2·T_b."""
        late = self.queries.late & self.queries.batched
        return _mean(np.where(late, 0.0, self.queries.accuracy))

    @property
    def timely_accuracy_all(self) -> float:
        """The same with an accuracy of 0 for all answers known to come later than 2·T_b, also from clients.

        The cloud counts as in time, as its latency is not known.
        """
        return _mean(np.where(self.queries.late, 0.0, self.queries.accuracy))

    @property
    def share_late(self) -> float:
        """Share of the queries run in batches on edge servers that are answered later than 2·T_b.

        0 if there is none.
        """
        return _share(self.queries.late[self.queries.batched])

    @property
    def share_late_clients(self) -> float:
        """Share of the queries that clients run and that have a deadline, answered later than 2·T_b.

        0 if there is none.
        """
        return _share(self.queries.late[self._of_clients])

    @property
    def _of_clients(self) -> np.ndarray:
        """Whether a query was answered by its client, and has a deadline, shape (Q,)."""
        return (self.queries.level == LEVELS.index("client")) & np.isfinite(self.queries.deadline)

    @property
    def share_late_all(self) -> float:
        """Share of all queries with a known latency and a deadline that are answered later than 2·T_b."""
        judged = np.isfinite(self.queries.latency) & np.isfinite(self.queries.deadline)
        return _share(self.queries.late[judged])

    @property
    def headline(self) -> str:
        """How many answers are late, of edge servers and clients; without windows, how long clients take."""
        clients = self.latencies(level="client")
        if not self.windows:
            if not len(clients):
                return "no latency of clients"
            mean, p99 = _mean(clients), _quantile(clients, 99)
            return f"clients answer after {mean:.3g} s on average, 99 % of their queries within {p99:.3g} s"
        parts = []
        if self.queries.batched.any():
            parts.append(f"{100 * self.share_late:.2f} % of the queries in batches")
        if self._of_clients.any():
            parts.append(f"{100 * self.share_late_clients:.2f} % of those on clients")
        return f"{' and '.join(parts) or 'no query'} later than two windows"

    def latencies(self, task: str | None = None, level: str | None = None) -> np.ndarray:
        """Return the latencies of the answered queries, s, in order of arrival.

        Parameters
        ----------
        task
            Only queries of this task.
        level
            Only queries answered at this level, ``"client"`` or ``"edge"``; both if not given. The cloud has
            no latency.

        Raises
        ------
        ValueError
            If there is no such task or level.
        """
        kept = np.isfinite(self.queries.latency)
        if task is not None:
            if task not in self.data.tasks:
                raise ValueError(f"task={task!r}: unknown; the tasks are {', '.join(self.data.tasks)}")
            kept &= self.queries.task == self.data.tasks.index(task)
        if level is not None:
            if level not in ("client", "edge"):
                raise ValueError(f"level={level!r}: has no latencies; use 'client' or 'edge'")
            kept &= self.queries.level == LEVELS.index(level)
        return self.queries.latency[kept]

    def task_table(self) -> Table:
        """Per task, how many queries arrived, where they were answered, how well and how fast.

        Returns
        -------
        Table
            One row per task that has queries and a last one ``all``: ``task``, ``queries``, the shares
            ``client``, ``edge``, ``cloud``, ``dropped``; ``accuracy``; ``late``, the share later than 2·T_b
            of the queries in batches; and quantiles of the latency in s, of what edge servers answered
            (``edge p50``, ``edge p95``, ``edge p99``) and of all that has a latency (``p50``, ``p99``), NaN
            if there is none.
        """
        q = self.queries
        names = [
            *((task, q.task == t) for t, task in enumerate(self.data.tasks)),
            ("all", np.full(len(q), True)),
        ]
        rows = []
        for name, here in names:
            if not here.any():
                continue
            timed = here & np.isfinite(q.latency)
            edge = q.latency[timed & (q.level == LEVELS.index("edge"))]
            row = {"task": name, "queries": int(here.sum())}
            row |= {level: float((q.level[here] == k).mean()) for k, level in enumerate(LEVELS)}
            row |= {
                "accuracy": _mean(q.accuracy[here]),
                "late": _share(q.late[here & q.batched]),
                **{f"edge p{p}": _quantile(edge, p) for p in (50, 95, 99)},
                **{f"p{p}": _quantile(q.latency[timed], p) for p in (50, 99)},
            }
            rows.append(row)
        columns = ("task", "queries", *LEVELS, "accuracy", "late")
        return Table((*columns, "edge p50", "edge p95", "edge p99", "p50", "p99"), rows)

    def edge_table(self) -> Table:
        """Per edge server with a window, its late answers, its work and its backlog.

        Returns
        -------
        Table
            ``edge``, ``window`` (T_b, s), ``queries``, ``late`` (share of them later than 2·T_b), ``planned``
            (work per window as the plan's row has it, s), ``work`` and ``sd`` (mean and standard deviation of
            the work per window, s), ``over`` (share of windows whose work exceeds T_b), ``utilisation``,
            ``backlog`` and ``max backlog`` (mean and largest at a window's end, s), ``slope`` (seconds of
            backlog per second) and ``queue`` (see `Windows.verdict`).
        """
        rows = []
        for edge, w in self.windows.items():
            here = self.queries.node == self.data.nodes.index(edge)
            rows.append(
                {
                    "edge": edge,
                    "window": w.length,
                    "queries": int(here.sum()),
                    "late": _share(self.queries.late[here]),
                    "planned": w.planned,
                    "work": _mean(w.work),
                    "sd": float(w.work.std()) if len(w.work) else np.nan,
                    "over": w.share_over,
                    "utilisation": w.utilisation,
                    "backlog": _mean(w.backlog),
                    "max backlog": float(w.backlog.max(initial=0.0)),
                    "slope": w.slope,
                    "queue": w.verdict,
                }
            )
        columns = ("edge", "window", "queries", "late", "planned", "work", "sd", "over", "utilisation")
        return Table((*columns, "backlog", "max backlog", "slope", "queue"), rows)

    def node_table(self) -> Table:
        """Per node that runs its queries one by one, in order of arrival, its latency.

        These are the clients and the edge servers without a window.

        Returns
        -------
        Table
            ``node``, ``queries``, ``late`` (share later than 2·T_b), and ``mean``, ``p50``, ``p99`` and
            ``max`` of the latency, s. A node that answered nothing has no row.
        """
        rows = []
        for n, node in enumerate(self.data.nodes):
            here = self.queries.node == n
            if node in self.windows or not here.any():
                continue
            latency = self.queries.latency[here]
            rows.append(
                {
                    "node": node,
                    "queries": int(here.sum()),
                    "late": _share(self.queries.late[here]),
                    "mean": _mean(latency),
                    "p50": _quantile(latency, 50),
                    "p99": _quantile(latency, 99),
                    "max": float(latency.max()),
                }
            )
        return Table(("node", "queries", "late", "mean", "p50", "p99", "max"), rows)

    def __repr__(self) -> str:
        return (
            f"<Simulation of {self.data.name!r}: {len(self.queries)} queries, accuracy {self.accuracy:.4f}, "
            f"{self.headline}>"
        )

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield (
            f"{self.data.name}: {len(self.queries)} queries in {self.horizon - self.warm_up:g} s of "
            "simulated time"
        )
        if self.interrupted:
            yield "Ctrl-C ended the simulation there"
        yield f"accuracy: {self.planned_accuracy:.4f} planned, {self.accuracy:.4f} delivered"
        yield self.headline
        if self.windows:
            for what, accuracy in (
                ("those in batches", self.timely_accuracy),
                (
                    f"{100 * self.share_late_all:.2f} % of all answers, clients' too,",
                    self.timely_accuracy_all,
                ),
            ):
                yield f"accuracy {accuracy:.4f} if {what} count as lost when they are late"
        if (self.queries.level == LEVELS.index("cloud")).any():
            yield "the cloud's latency is not known: its answers have none, and count as in time"
        tables = (("Tasks", self.task_table()), ("Edge servers", self.edge_table()))
        for title, table in tables:
            if len(table):
                yield f"\n{title} (times in s)\n{table}"
        nodes = self.node_table()
        if len(nodes):
            worst = max(nodes, key=lambda row: row["mean"])
            yield (
                f"\n{len(nodes)} nodes run queries one by one; the slowest is {worst['node']}: mean latency "
                f"{worst['mean']:.4g} s, 99th percentile {worst['p99']:.4g} s"
            )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan


def _share(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) else 0.0


def _quantile(values: np.ndarray, percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else np.nan
