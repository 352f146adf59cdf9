"""The code blocks of the README and of every page of the docs run, in order, page by page."""

from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = Sybil(parsers=[PythonCodeBlockParser()], path=str(ROOT), patterns=["*.md"])


def examples_of(page: Path) -> list:
    """Return the Python blocks of a page, in order."""
    return list(BLOCKS.parse(page).examples())


@pytest.mark.parametrize("page", [p for p in PAGES if examples_of(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_code_blocks_run(page, tmp_path, monkeypatch):
    """Every Python block of the page runs after those above it, and prints what it says it prints."""
    monkeypatch.chdir(tmp_path)
    for example in examples_of(page):
        example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_line_loses_its_text(page):
    """Outside of code no line begins with "%", a comment to MyST, or ">", a quotation."""
    code = False
    for line in page.read_text(encoding="utf-8").splitlines():
        code ^= line.lstrip().startswith("```")
        assert code or not line.lstrip().startswith(("%", "> ")), line


def test_readme_model_is_short_and_early():
    """The README installs by line 12, and its first model has at most 15 lines and ends by line 30."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    start = lines.index("```python") + 1
    end = lines.index("```", start)
    assert any("pip install" in line for line in lines[:12])
    assert end - start <= 15
    assert end < 30
    assert len(lines) <= 105
