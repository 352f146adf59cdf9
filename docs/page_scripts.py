"""A Sphinx extension: every page with Python code can be downloaded as one script.

The blocks of a page run one after the other, as `tests/test_docs.py` runs them, so together they are a
script. The scripts are written into the folder ``_scripts`` of the built site; a line below the title of each
page links to its own.
"""

from __future__ import annotations

import doctest
import re
from pathlib import Path, PurePosixPath
from typing import Any

#: A fenced block of Python; what it holds is group 1.
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r"^# (.+)\n", re.MULTILINE)
#: The landing page shows a piece of code, but is no script.
_LEFT_OUT = ("index",)


def script_of(page: str) -> str:
    """Return the Python blocks of a page as one script; empty if there are none.

    Of a block that is written as a session (``>>>``), results become comments.

    Parameters
    ----------
    page
        The text of the page, MyST Markdown.
    """
    blocks = [block.group(1) for block in _BLOCK.finditer(page)]
    if not blocks:
        return ""
    title = _TITLE.search(page)
    parts = [f"# {title.group(1)}"] if title else []
    for block in blocks:
        session = block.lstrip().startswith(">>>")
        parts.append((doctest.script_from_examples(block) if session else block).strip())
    return "\n\n".join(parts) + "\n"


def _link_below_title(app: Any, name: str, source: list[str]) -> None:
    """Write the script of a page, and put a link to it below the title."""
    if app.builder.format != "html" or name in _LEFT_OUT:
        return
    script = script_of(source[0])
    if not script:
        return
    path = Path(app.outdir, "_scripts", f"{name}.py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script, encoding="utf-8")
    up = "../" * name.count("/")
    link = (
        f'\n<a class="page-script" href="{up}_scripts/{name}.py" '
        f'download="{PurePosixPath(name).name}.py">The code of this page as a script</a>\n'
    )
    source[0] = _TITLE.sub(lambda title: title.group(0) + link, source[0], count=1)


def setup(app: Any) -> dict[str, Any]:
    """Register the extension."""
    app.connect("source-read", _link_below_title)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
