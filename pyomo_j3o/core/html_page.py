"""What was found as a page for a browser."""

from __future__ import annotations

from html import escape
from typing import Any

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 72em; padding: 0 1em; }}
table {{ border-collapse: collapse; margin: 1em 0; }}
th, td {{ padding: 0.2em 0.8em; text-align: left; white-space: nowrap; }}
tr:nth-child(even) td {{ background: #f4f4f4; }}
pre {{ overflow-x: auto; }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def page(title: str, *contents: Any) -> str:
    """Return an HTML page.

    Parameters
    ----------
    title
        Also its heading.
    *contents
        What a notebook would show as HTML is shown so; anything else as its text.
    """
    parts = []
    for content in contents:
        as_html = getattr(content, "_repr_html_", None)
        parts.append(as_html() if callable(as_html) else f"<pre>{escape(str(content))}</pre>")
    return _PAGE.format(title=escape(title), body="\n".join(parts))
