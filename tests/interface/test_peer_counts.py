"""The page on peer suites says what is run: its counts are those of the tests collected here."""

from pathlib import Path

import pytest

pytest.importorskip("parameterized")

import test_peer_gdpopt as gdpopt
import test_peer_models as models
import test_peer_suite as suite
from peer_code import cases_of

PAGE = Path(__file__).parents[2] / "docs" / "peer_suites.md"


def rows():
    """Return the rows of the page's table: name, cases that pass, cases that do not apply."""
    classes = (suite.TestDualSignConvention, suite.TestSolvers, suite.TestLegacySolverInterface)
    yield "new interface", sum(len(cases_of(cls)) for cls in classes), len(suite.CANNOT) + len(suite.NOT_RUN)
    for check in models.CHECKS:
        applies, left_out = (
            sum(len(cases_of(cls)) for (of, _), cls in known.items() if of == check)
            for known in (models.APPLIES, models.LEFT_OUT)
        )
        yield f"classic interface, `{check}`", applies, left_out
    yield "`Piecewise`", 2 * len(models.PIECEWISE), 0
    yield "GDPopt", len(gdpopt.APPLIES), len(gdpopt.LEFT_OUT)


@pytest.mark.parametrize(("name", "passed", "left_out"), list(rows()))
def test_the_page_tells_the_counts(name, passed, left_out):
    """One row each, as the table has it."""
    assert f"| {name} | {passed} | {left_out} |" in PAGE.read_text(encoding="utf-8")


def test_the_page_tells_every_reason():
    """What is left out is left out for a reason that a reader finds."""
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    reasons = [*suite.NOT_RUN.values(), *(reason for _, reason in suite.CANNOT.values())]
    reasons += [reason for _, reason in models.CANNOT.values()] + list(gdpopt.CANNOT)
    for reason in reasons:
        assert reason in page, reason
