"""Random edits of one model: after each, the solver that keeps it and one that never saw it agree."""

from __future__ import annotations

import pyomo.environ as pyo
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from mutable_models import EDITS, NODES, mend, mutable_model
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.results import TerminationCondition

from pyomo_j3o.errors import J3OError

QUIET = {"load_solutions": False, "raise_exception_on_nonoptimal_result": False}
FOUND = TerminationCondition.convergenceCriteriaSatisfied


def status_of(results) -> tuple[TerminationCondition, bool]:
    """Return how a solve ended, and whether it has a plan."""
    return results.termination_condition, results.incumbent_objective is not None


def assert_agree(kept, truth, sense: float) -> None:
    """Require that the truth, an optimum, lies between plan and bound, and these within the gap."""
    assert status_of(kept) == status_of(truth)
    if truth.incumbent_objective is None:
        return
    best, plan, bound = (
        sense * number
        for number in (truth.incumbent_objective, kept.incumbent_objective, kept.objective_bound)
    )
    room = 1e-6 * max(1.0, abs(best))
    assert plan <= best + room
    assert best <= bound + room
    assert bound - plan <= 1e-4 * max(abs(plan), 1e-6) + room


class Edits(RuleBasedStateMachine):
    """One model, one solver of each interface that keeps it, and a solver made anew each time."""

    @initialize(values=st.booleans())
    def start(self, values):
        """Begin with a model, whose plan is loaded after each solve or not."""
        self.model = mutable_model()
        self.kept = SolverFactory("j3o_persistent")
        self.classic = pyo.SolverFactory("j3o_persistent")
        self.classic.set_instance(self.model)
        self.options = QUIET | {"load_solutions": values}

    @rule(
        edit=st.sampled_from(sorted(EDITS)), i=st.sampled_from(NODES), a=st.sampled_from([0.0, 0.1, 1.0, 2.5])
    )
    def edit(self, edit, i, a):
        """Edit the model, and solve it three times."""
        EDITS[edit](self.model, i, a)
        self.solve()

    @rule(
        edit=st.sampled_from(sorted(EDITS)), i=st.sampled_from(NODES), a=st.sampled_from([0.0, 0.1, 1.0, 2.5])
    )
    def edit_unseen(self, edit, i, a):
        """Edit the model without a solve."""
        EDITS[edit](self.model, i, a)

    @rule(a=st.sampled_from([0.0, 1.0, 1.5]))
    def mend(self, a):
        """Make it a model that can be solved; often one with a plan."""
        mend(self.model)
        self.model.need = a
        self.solve()

    @rule()
    def again(self):
        """Solve what has not changed."""
        self.solve()

    def solve(self):
        """Hold the kept ones against a proof on a model that is compiled from scratch."""
        error = None
        try:
            truth = SolverFactory("j3o.exact").solve(self.model, **QUIET)
        except J3OError as raised:
            error = raised
        if error is not None:
            for opt in (self.kept, self.classic):
                with pytest.raises(type(error)):
                    opt.solve(self.model, **QUIET)
            return
        options = self.options | {"load_solutions": self.options["load_solutions"] and status_of(truth)[1]}
        active = next(self.model.component_data_objects(pyo.Objective, active=True))
        sense = 1.0 if active.sense == pyo.maximize else -1.0
        assert_agree(self.kept.solve(self.model, **options), truth, sense)
        assert_agree(self.classic.solve(self.model, **options).j3o, truth, sense)


TestEdits = Edits.TestCase
TestEdits.settings = settings(
    max_examples=8,
    stateful_step_count=18,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
