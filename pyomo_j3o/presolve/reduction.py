"""The contract of all reductions: an easier problem, the way there for plans, and the way back for results.

Reductions form chains, as in CVXPY: Diamond and Boyd (2016, JMLR 17(83)), Agrawal, Verschueren, Diamond and
Boyd (2018, "A rewriting system for convex optimization problems", DOI 10.1080/23307706.2017.1397554), and
the class `Reduction` of its module `cvxpy/reductions/reduction.py`. There, `apply` returns the reduced
problem and inverse data, which `invert` takes. Here, a function that reduces (`scale`, `linearize`, ...)
returns one object, which holds both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pyomo_j3o.core.problem import Plan, Problem
from pyomo_j3o.core.results import Outcome


class Reduction(Protocol):
    """A problem that stands for another one, the original.

    Every reduction keeps this law. Take an optimal plan of the reduced problem. Restored, it is a feasible
    plan of the original, and its objective is the original's optimum. The exceptions are in the docstrings
    of the functions that reduce.
    """

    @property
    def problem(self) -> Problem:
        """The reduced problem."""
        ...

    def reduce(self, plan: Plan) -> Plan:
        """Return a plan of the original in the columns and units of `problem`."""
        ...

    def restore_plan(self, plan: Plan) -> Plan:
        """Return a plan of `problem` in the columns and units of the original."""
        ...

    def restore(self, outcome: Outcome) -> Outcome:
        """Return an outcome of `problem` as one of the original.

        The plan, the bound and the duals come back in the columns, rows and units of the original. Duals are
        None if the rows of the two problems do not correspond. Cuts are None if the columns do not.
        """
        ...


class PlansStay:
    """The way of plans in a reduction that leaves columns and units as they are."""

    __slots__ = ()

    def reduce(self, plan: Plan) -> Plan:
        """Return the plan: columns and units are the same."""
        return plan

    def restore_plan(self, plan: Plan) -> Plan:
        """Return the plan: columns and units are the same."""
        return plan


@dataclass(frozen=True, slots=True)
class SameColumns(PlansStay):
    """A reduction to other rows over the same columns.

    Attributes
    ----------
    problem : Problem
        Its first rows stand for those of the original. The rows after them are new.
    n_rows : int
        The number of rows of the original.
    """

    problem: Problem
    n_rows: int

    def restore(self, outcome: Outcome) -> Outcome:
        """Return the outcome without the duals of new rows."""
        duals = outcome.duals
        return replace(outcome, duals=None if duals is None else duals[: self.n_rows])


@dataclass(frozen=True, slots=True)
class Chain:
    """Reductions one after the other, as one.

    Attributes
    ----------
    links : sequence of Reduction
        At least one. Each reduces the problem of the one before it.
    """

    links: Sequence[Reduction]

    @property
    def problem(self) -> Problem:
        """The problem at the end."""
        return self.links[-1].problem

    def reduce(self, plan: Plan) -> Plan:
        """Return a plan of the original in the columns and units of `problem`."""
        for link in self.links:
            plan = link.reduce(plan)
        return plan

    def restore_plan(self, plan: Plan) -> Plan:
        """Return a plan of `problem` in the columns and units of the original."""
        for link in reversed(self.links):
            plan = link.restore_plan(plan)
        return plan

    def restore(self, outcome: Outcome) -> Outcome:
        """Return an outcome of `problem` as one of the original."""
        for link in reversed(self.links):
            outcome = link.restore(outcome)
        return outcome
