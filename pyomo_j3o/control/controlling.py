"""The loop of a controller: forecast, decide, apply the plan to the true loads."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyomo_j3o.control.forecasts import Forecast, LastValue, Noise, expected_loads
from pyomo_j3o.control.loads import client_loads
from pyomo_j3o.control.params import ControlParams
from pyomo_j3o.control.planning import Planner
from pyomo_j3o.control.policies import (
    Clairvoyant,
    Policy,
    ReplaceAlways,
    ReplaceWhenItPays,
    RerouteOnly,
    SolveEvery,
    SolveOnce,
    View,
)
from pyomo_j3o.control.records import Controlled, Run
from pyomo_j3o.core.long_call import LongCall
from pyomo_j3o.core.matrices import FloatArray
from pyomo_j3o.errors import PolicyError, in_one_line
from pyomo_j3o.library.data import InferenceData
from pyomo_j3o.library.request_traces import Trace

#: One of each kind.
POLICIES: tuple[Policy, ...] = (
    SolveOnce(),
    SolveEvery(),
    RerouteOnly(),
    ReplaceWhenItPays(),
    ReplaceAlways(),
)


# Eight parameters: what is controlled, by what, knowing what, and how far off.
def control(
    data: InferenceData,
    trace: Trace | FloatArray,
    policies: Policy | Sequence[Policy] = POLICIES,
    forecast: Forecast | None = None,
    bias: float = 0.0,
    variance: float = 0.0,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> Controlled:
    """Play policies over the minutes of a trace, beside a clairvoyant that knows the loads.

    In every minute each policy sees a forecast of its loads, and decides on a placement and on shares. These
    stay for the minute, and are played on the true loads: queries that a budget has no room for are lost, see
    `pyomo_j3o.control.delivery.Delivery`. Before the first minute nothing is placed, and the mean loads are
    expected. Every policy keeps one model and its plan; all get the same forecasts.

    After Ctrl-C, what all policies have played until then is returned, whole minutes alone.

    Parameters
    ----------
    data
        The system. Its loads are the mean ones.
    trace
        What the loads follow, see `client_loads`; or the loads of every minute, (T, I, tasks), queries/s.
    policies
        One or more. A clairvoyant is added if there is none.
    forecast
        Takes the loads of all minutes so far, (t, I, tasks), and returns those expected next, (I, tasks). The
        last value if not given.
    bias, variance
        Of the forecast's errors: every load expected is multiplied by a lognormal factor of mean 1 + `bias`
        and of this relative variance. 0.25 is an error of 50 %.
    seed
        Of these errors, and of the minutes at which clients begin in the trace.
    options
        Of j3o, for every solve, such as ``{"time_limit": 10}``.

    Returns
    -------
    Controlled

    Raises
    ------
    ValueError
        If an argument is none of these; the message names it.
    PolicyError
        A policy raised, and its error is the cause; or what it returned is no plan. The message names policy
        and minute. ``error.found`` is the `Controlled` of the whole minutes that all policies have played.
    """
    chosen = _with_clairvoyant(policies)
    params = ControlParams()
    loads = client_loads(data, trace, seed, params.floor) if isinstance(trace, Trace) else _loads(data, trace)
    guess = LastValue() if forecast is None else forecast
    if not callable(guess):
        raise ValueError(f"forecast={forecast!r}: give a function of the loads so far, or LastValue()")
    usual = data.load
    expected = expected_loads(loads, usual, guess, Noise(bias, variance, seed), params.least)
    agents = [_Agent(policy, Planner(data, options or {}), Run()) for policy in chosen]
    minutes = 0

    def found(interrupted: bool = False) -> Controlled:
        runs = {agent.policy.name: agent.run.until(minutes) for agent in agents}
        return Controlled(data.name, loads[:minutes], runs, agents[-1].policy.name, interrupted)

    try:
        with LongCall("control", counts=True) as call:
            for minute in range(len(loads)):
                call.say(f"minutes of {data.name}", minute, len(loads))
                for agent in agents:
                    known = loads[minute] if isinstance(agent.policy, Clairvoyant) else expected[minute]
                    agent.play(View(minute, known, usual), loads[minute])
                minutes += 1
    except KeyboardInterrupt:
        return found(interrupted=True)
    except PolicyError as error:
        error.found = found()
        raise
    return found()


@dataclass(frozen=True)
class _Agent:
    """A policy, its model, and what it has done."""

    policy: Policy
    planner: Planner
    run: Run

    def play(self, view: View, loads: FloatArray) -> None:
        """Decide on the plan of a minute, and note what it delivers.

        Raises
        ------
        PolicyError
            If the policy raises, or what it returns is no plan; the message names policy and minute.
        """
        planner, before = self.planner, self.planner.plan
        whose = f"policy {self.policy.name!r} in minute {view.minute}"
        started = time.process_time()
        try:
            plan = self.policy.decide(planner, view)
        except Exception as error:
            raise PolicyError(f"{whose}: it raised {in_one_line(error)}") from error
        seconds = time.process_time() - started
        reason = planner.refusal(plan)
        if reason:
            raise PolicyError(f"{whose}: {reason}")
        moved = int((plan.placement != before.placement).sum()) if planner.in_force else 0
        # What was proven at other loads says nothing of this minute.
        bound = plan.bound if plan.is_for(view.expected) else planner.delivery.most(view.expected)
        planner.plan = plan
        delivered = planner.delivery.of(loads, plan.shares)
        self.run.note(delivered.accuracy, delivered.lost, moved, seconds, bound)


def _with_clairvoyant(policies: Policy | Sequence[Policy]) -> list[Policy]:
    """Return the policies, checked, with one clairvoyant at the end."""
    given: list[Any] = [policies]
    if isinstance(policies, Sequence) and not isinstance(policies, str):
        given = list(policies)
    for number, policy in enumerate(given):
        named = isinstance(getattr(policy, "name", None), str) and not isinstance(policy, type)
        if not named or not callable(getattr(policy, "decide", None)):
            which = f"policies={policy!r}" if policy is policies else f"policies[{number}]: {policy!r}"
            raise ValueError(
                f"{which} is no policy; give objects such as ReplaceAlways(), with a name and a method decide"
            )
    marks = [policy for policy in given if isinstance(policy, Clairvoyant)] or [Clairvoyant()]
    chosen = [policy for policy in given if not isinstance(policy, Clairvoyant)] + marks[:1]
    names = [policy.name for policy in chosen]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"policies: two have the name {name!r}; give every policy a name of its own")
    return chosen


def _loads(data: InferenceData, given: Any) -> FloatArray:
    """Return loads by minute, client and task; raise if they are none for this system."""
    try:
        loads = np.array(given, dtype=float)
    except (TypeError, ValueError):
        loads = np.zeros(0)
    shape = data.load.shape
    if loads.ndim != 3 or loads.shape[1:] != shape or not len(loads):
        raise ValueError(
            f"trace: give a Trace, or loads of the shape (minutes, {shape[0]} clients, {shape[1]} tasks)"
        )
    strange = ~np.isfinite(loads) | (loads < 0) | ((loads > 0) & (data.load == 0))
    for t, i, k in np.argwhere(strange)[:1]:
        raise ValueError(
            f"trace[minute {t}, {data.clients[i]!r}, {data.tasks[k]!r}]: {loads[t, i, k]} is no load; give "
            "numbers of at least 0, and 0 where the system has no load"
        )
    for t in np.flatnonzero(loads.sum(axis=(1, 2)) <= 0)[:1]:
        raise ValueError(f"trace[minute {t}]: no query arrives; leave that minute out")
    return loads
