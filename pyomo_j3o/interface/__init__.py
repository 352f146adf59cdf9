"""The solver as Pyomo sees it; importing this room registers j3o, its variants and the baselines.

`solver` is j3o behind Pyomo's new interface, `classic` behind the classic one. `options` declares what may be
given, and `option_help` says so in docstrings and notebooks. `compiled` brings the model into the forms of
solvers, `warm_start` is what the variables hold by then, and `verdict` says how a solve ended: the checks of
its plan, Pyomo's results, and the message, which advises `remedies`. `moves` is what they say of the price of
moves, `notebook` how results print and show, `pyomo_command` what the `pyomo` command prints.

`baselines` and `classic_baselines` are marks that j3o has to beat, each called by its own name.

`persistent` and `classic_persistent` are the solver that keeps its model. `held_model` is what it keeps,
`auto_updates` says which changes are looked for, and `expiring` ends results that no longer belong to the
model.
"""

from pyomo.contrib.solver.common.factory import SolverFactory

from pyomo_j3o.interface.baselines import BASELINES
from pyomo_j3o.interface.classic import LegacyBatchingJ3O, LegacyExactJ3O, LegacyJ3O, for_factory
from pyomo_j3o.interface.classic_baselines import CLASSIC
from pyomo_j3o.interface.classic_persistent import LegacyPersistentJ3O
from pyomo_j3o.interface.option_help import add_options
from pyomo_j3o.interface.persistent import PersistentJ3O
from pyomo_j3o.interface.pyomo_command import PrintGapAndBound as PrintGapAndBound
from pyomo_j3o.interface.solver import J3O, BatchingJ3O, ExactJ3O

# Each registration enters both factories of Pyomo.
SolverFactory.register(
    "j3o", doc="J3O: joint onloading (placement) and offloading (routing), with a proven bound"
)(J3O, for_factory(LegacyJ3O))
SolverFactory.register("j3o.baj3o", doc="J3O with batching windows: set-up of batches by BAJ3O's surrogate")(
    BatchingJ3O, for_factory(LegacyBatchingJ3O)
)
SolverFactory.register(
    "j3o.exact",
    doc="The model of J3O as a MILP or MIQCP, by Gurobi, HiGHS or SCIP, with J3O's plan as a start",
)(ExactJ3O, for_factory(LegacyExactJ3O))
SolverFactory.register(
    "j3o_persistent",
    doc="J3O that keeps its model: it finds what has changed, and starts from the last solve",
)(PersistentJ3O, for_factory(LegacyPersistentJ3O))

for _baseline, _text in BASELINES.items():
    SolverFactory.register(_baseline.name, doc=_text)(_baseline, for_factory(CLASSIC[_baseline]))

_SOLVERS: tuple[type, ...] = (
    *(J3O, BatchingJ3O, ExactJ3O, PersistentJ3O),
    *(LegacyJ3O, LegacyBatchingJ3O, LegacyExactJ3O, LegacyPersistentJ3O),
    *(*CLASSIC, *CLASSIC.values()),
)
for _solver in _SOLVERS:
    add_options(_solver)
