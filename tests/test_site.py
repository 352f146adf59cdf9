"""What the site promises: fresh tables, true figures, pages as scripts, a picture for each example."""

import ast
import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)


def script(name):
    """Return a script of the docs as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text_of(name):
    """Return a page of the docs."""
    return (DOCS / name).read_text(encoding="utf-8")


PAGE_SCRIPTS = script("page_scripts")

#: What docs/why.md quotes, by the table that it comes from.
QUOTED = {
    "quality_table.md": ("99.96 %", "99.83 %", "0.28 %", "0.75 %", "6.6 %"),
    "yardsticks_table.md": ("0.36", "0.21", "2.11", "5.58", "6 of 7", "2.51", "1.52"),
    "pursuit_table.md": ("0.51", "3.14", "1.51", "1.47"),
    "exact_shapes_table.md": ("66 %", "109 %"),
    "location_table.md": ("349 %",),
}


def test_the_table_of_options_is_up_to_date():
    """If this fails: python docs/make_options_table.py."""
    assert text_of("options_table.md") == script("make_options_table").text()


@pytest.mark.parametrize("table", QUOTED)
def test_figures_of_why_stand_in_their_tables(table):
    """If this fails, a table was measured again: quote docs/why.md (and docs/paper.md) from it."""
    for figure in QUOTED[table]:
        word = re.compile(rf"(?<![\d.]){re.escape(figure)}")
        assert word.search(text_of("why.md")), figure
        assert word.search(text_of(table)), figure


def test_figures_of_the_page_on_the_paper_stand_in_their_table():
    """What is set beside the paper's statements comes from the table of docs/quality.md."""
    for figure in ("99.96 %", "99.83 %", "6.6 %"):
        assert figure in text_of("paper.md")
        assert figure in text_of("quality_table.md")
    assert "6.3 on average" in text_of("paper.md")
    assert "Mean number of iterations: 6.3." in text_of("quality_table.md")


def test_j3o_in_60_lines_has_no_more():
    """All code before the comparison counts; empty lines do not."""
    built, _, _ = text_of("j3o_in_60_lines.md").partition("## The real one")
    code = PAGE_SCRIPTS.script_of(built)
    assert len([line for line in code.splitlines()[1:] if line.strip()]) <= 60


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_script_of_a_page_is_python(page):
    """It compiles, and holds every block."""
    text = page.read_text(encoding="utf-8")
    code = PAGE_SCRIPTS.script_of(text)
    ast.parse(code)
    assert bool(code) == ("```python" in text)


def test_a_session_becomes_code_and_its_results_comments():
    """What a page prints is no code."""
    page = "# Title\n\n```python\nx = 1\n```\n\ntext\n\n```python\n>>> x + 1\n2\n>>> x\n1\n```\n"
    code = PAGE_SCRIPTS.script_of(page)
    assert code.startswith("# Title\n\nx = 1\n")
    assert [ast.unparse(line) for line in ast.parse(code).body] == ["x = 1", "x + 1", "x"]


def test_every_example_has_a_card_with_a_picture():
    """And every picture of a card is there."""
    gallery = text_of("gallery.md")
    for example in (ROOT / "examples").glob("*.py"):
        assert f"<../examples/{example.name}>" in gallery
    pictures = re.findall(r":img-top: (\S+)", gallery)
    assert len(pictures) == gallery.count("{grid-item-card}")
    assert all((DOCS / picture).is_file() for picture in pictures)
