"""Pyomo's own battery for solvers behind its new interface, run on the solvers of j3o alone.

The battery reads its lists of solvers while its classes are made, so the lists are put into its source before
it is executed. j3o takes LPs and binary programs without annotation; what it cannot take is listed below with
the reason, and each such reason is a test of its own.
"""

import pytest
from peer_code import cases_of, load

from pyomo_j3o import J3O, PersistentJ3O
from pyomo_j3o.errors import AnnotationError, ModelError
from pyomo_j3o.interface.solver import BatchingJ3O, ExactJ3O

pytest.importorskip("parameterized")

#: What cannot apply to j3o: test → (what it raises, why).
CANNOT = {
    f"{case}_{solver}": reason
    for solver in ("0_j3o", "1_j3o_exact", "2_j3o_baj3o", "3_j3o_persistent")
    for case, reason in (
        ("test_no_objective", (ModelError, "a model without an objective is an error in j3o")),
        ("test_domain_with_integers", (AnnotationError, "an integer without bounds")),
    )
}

#: Lists of the battery that stay empty: j3o takes neither squares nor general nonlinear terms.
WITHOUT_J3O = ("nlp_solvers", "qcp_solvers", "qp_solvers", "miqcqp_solvers", "nl_solvers")

#: Cases that run on solvers of those lists alone, or on HiGHS, and so on none of j3o's.
NOT_RUN = {
    "test_mutable_quadratic_coefficient": "squares of variables",
    "test_mutable_quadratic_objective_qcp": "squares of variables",
    "test_mutable_quadratic_objective_qp": "squares of variables",
    "test_fixed_vars_4": "products of offloading variables",
    "test_exp": "exp of a variable",
    "test_log": "log of a variable",
    "test_presolve_with_zero_coef": "powers of variables, for presolve of the NL writer",
    "test_external_function": "external functions of variables",
    "test_node_limit": "general integer variables",
}

_LISTS = f"""
class mark_parameterized(parameterized):
    expand = classmethod(lambda cls, input, **kwds: parameterized.expand(input, skip_on_empty=True, **kwds))

all_solvers = mip_solvers = dual_solvers = sos_solvers = [
    ("j3o", J3O), ("j3o.exact", ExactJ3O), ("j3o.baj3o", BatchingJ3O), ("j3o_persistent", PersistentJ3O)
]
{" = ".join(WITHOUT_J3O)} = []
nl_solvers_set = set()


def _load_tests("""


_module = load(
    "pyomo.contrib.solver.tests.solvers.test_solvers",
    [
        (r"\ndef _load_tests\(", _LISTS),
        # The classic twin of j3o is named as itself.
        (r"name \+ '_v2'", "name"),
        # Written for HiGHS alone, whose option it is.
        (r"_load_tests\(\[\(\"highs\", Highs\)\]\)", "[]"),
    ],
    J3O=J3O,
    ExactJ3O=ExactJ3O,
    BatchingJ3O=BatchingJ3O,
    PersistentJ3O=PersistentJ3O,
)
_CLASSES = (_module.TestDualSignConvention, _module.TestSolvers, _module.TestLegacySolverInterface)
_empty = {name for cls in _CLASSES for name in cases_of(cls) if "j3o" not in name}
_refused = {}


def _take_out(cls):
    """Return `cls` without what cannot apply."""
    cls.__module__ = __name__
    for name in [name for name in vars(cls) if name in CANNOT or name in NOT_RUN]:
        _refused[name] = (cls, getattr(cls, name))
        delattr(cls, name)
    return cls


TestDualSignConvention, TestSolvers, TestLegacySolverInterface = map(_take_out, _CLASSES)


@pytest.mark.parametrize("name", CANNOT)
def test_what_cannot_apply_is_refused(name):
    """Each case that was left out is one that j3o refuses, for the reason given."""
    cls, method = _refused[name]
    error, _ = CANNOT[name]
    with pytest.raises(error):
        method(cls())


def test_every_case_that_is_not_run_has_its_reason():
    """A case that a newer Pyomo adds for other solvers alone is noticed."""
    assert _empty == set(NOT_RUN)
