"""Parameters: documented one by one, shown in the docs as they are, and chosen on a set of their own."""

import importlib.util
import re
import sys
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from pathlib import Path

import exact_models
import pytest
import tuning_set
from solver_models import new, two_servers

from pyomo_j3o import library
from pyomo_j3o.methods.params import Params

DOCS = Path(__file__).parents[2] / "docs"


def script(name):
    """Return a script of the docs as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLE = script("make_parameters_table")
#: In the order of the table.
KINDS = dict.fromkeys(type(params) for _, params in [*TABLE.sections(Params()), *enumerate(TABLE.OTHERS)])


def test_the_table_of_the_docs_is_up_to_date():
    """If this fails: python docs/make_parameters_table.py."""
    assert (DOCS / "parameters_table.md").read_text(encoding="utf-8") == TABLE.table()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_parameter_is_documented(kind):
    """The docstring names the fields in their order, and says something of each that is a value."""
    said = TABLE.described(kind)
    assert [name for names in said for name in names] == [one.name for one in fields(kind)]
    for names, text in said.items():
        nested = [is_dataclass(getattr(kind(), name)) for name in names]
        assert all(nested) or text.endswith(".")


def test_parameters_are_frozen():
    """Nothing that one solve does with them can change another."""
    with pytest.raises(FrozenInstanceError):
        Params().loop.patience = 5


def test_the_solver_hands_its_parameters_down():
    """Without patience, the alternation ends after its second iteration."""
    usual, hasty = new(), new()
    loop = replace(Params().loop, patience=1, least_progress=1.0)
    hasty.params = replace(Params(), loop=loop)
    long, short = (
        len(solver.solve(two_servers(), bound="none", load_solutions=False).extra_info.trace)
        for solver in (usual, hasty)
    )
    assert short == 2 < long


def test_no_reported_set_has_a_seed_of_the_tuning_set():
    """Those of the library, and those of the exact solver's table, are smaller."""
    seeds = [arguments["seed"] for _, arguments in (*library.instances(), *library.windowed_instances())]
    seeds += [int(seed) for seed in re.findall(r", s(\d+)", " ".join(exact_models.MODELS))]
    assert max(seeds) < tuning_set.FIRST_SEED


def test_the_command_reads_parameters_by_name():
    """`--set search.tree.kernel=0.02` changes that one, and what does not exist is refused by name."""
    tune = script("tune")
    params = tune.read(["search.tree.kernel=0.02", "exact.start.near=(0.0, 0.1)"])
    assert params.search.tree == replace(Params().search.tree, kernel=0.02)
    assert params.exact.start.near == (0.0, 0.1)
    assert params.loop == Params().loop
    for wrong in ("search.kernel=1", "search.tree=1", "nothing=1", "loop.patience.more=1"):
        with pytest.raises(SystemExit, match="no parameter"):
            tune.read([wrong])
