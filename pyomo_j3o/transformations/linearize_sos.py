"""The exact linear form of a model with special ordered sets, as a Pyomo model for any solver."""

from __future__ import annotations

from pyomo.common.modeling import unique_component_name
from pyomo.core.base.block import BlockData
from pyomo.core.base.transformation import Transformation, TransformationFactory

from pyomo_j3o.modeling.compiler import read_model
from pyomo_j3o.modeling.rewriting import Rewriting
from pyomo_j3o.transformations.linearize_products import attach, copy_values

#: What the new block is called, or the like if the model has a component of that name.
BLOCK = "j3o_sets"


@TransformationFactory.register(
    "j3o.linearize_sos",
    doc="Put binary variables and linear rows in place of special ordered sets; exact.",
)
class LinearizeSOS(Transformation):
    """Put binary variables and rows in place of every active `SOSConstraint` of level 1 or 2; exact.

    ``apply_to(model)`` changes the model, ``create_using(model)`` a clone of it. The sets are deactivated.
    What takes their place stands in one new block, `j3o_sets`:

    ``indicator``
        Binary and onloading. In a set of level 1 it says which member may be other than 0, indexed by the
        names of the set and of the member; a binary member has none, as it says so itself. In a set of level
        2 it stands for two neighbours, indexed by the name of the set and the number of the first.
    ``upper``, ``lower``
        ``y <= u * (sum of the indicators that open y)``, and ``y >= l * (the same sum)``, where l and u are
        the bounds of y, or what the rows imply if it has none.
    ``at_most_one``
        The sum of the indicators of a set is at most 1.

    So the values that any solver leaves in the variables of the original are a plan of the original, with the
    same objective. Everything else is left as it is, and a model without such sets altogether. Solvers of
    this package need no transformation: they write these rows for themselves.

    Raises
    ------
    ModelError
        As from the solver: the model cannot be read, a set is of a higher level, or a member has no bound.
        The model is left as it was.

    Examples
    --------
    >>> import pyomo.environ as pyo
    >>> import pyomo_j3o
    >>> m = pyo.ConcreteModel()
    >>> m.y = pyo.Var([1, 2], bounds=(0, 3))
    >>> pyomo_j3o.annotate(m, offloading=m.y)
    >>> m.one_of_them = pyo.SOSConstraint(var=m.y, sos=1)
    >>> m.gain = pyo.Objective(expr=m.y[1] + 2 * m.y[2], sense=pyo.maximize)
    >>> pyo.TransformationFactory("j3o.linearize_sos").apply_to(m)
    >>> print(m.j3o_sets.upper["one_of_them", "y[2]"].expr)
    y[2] - 3.0*j3o_sets.indicator[one_of_them,'y[2]']  <=  0.0
    """

    def propagate_solution(self, linear_model: BlockData, original_model: BlockData) -> None:
        """Copy the values of the variables of `linear_model` to those of the model that it was made from.

        Parameters
        ----------
        linear_model
            What ``create_using(original_model)`` returned.
        original_model
            Its variables get the values and the stale flags.

        Raises
        ------
        ModelError
            If `linear_model` lacks one of the variables; no value is copied then.
        """
        copy_values(linear_model, original_model)

    def _apply_to(self, model: BlockData) -> None:
        read = read_model(model)
        rewriting = Rewriting(model, read.rows, read.columns, read.figures, strict=False)
        sets = rewriting.sets()
        if sets:
            attach(model, unique_component_name(model, BLOCK), rewriting.auxiliary.blocks)
        for one in sets:
            one.deactivate()

    def _create_using(self, model: BlockData) -> BlockData:
        linear = model.clone()
        self._apply_to(linear)
        return linear
