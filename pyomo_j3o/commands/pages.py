"""Tables as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from typing import Any

from pyomo_j3o.core.table import Table


def csv_of(tables: Mapping[str, Table]) -> bytes:
    """Return tables one below the other; if there are several, the first column has the name of the table."""
    several = len(tables) > 1
    columns = dict.fromkeys(column for table in tables.values() for column in table.columns)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*(["table"] if several else []), *columns])
    writer.writeheader()
    for name, table in tables.items():
        for row in table:
            cells = {column: "" if cell != cell else cell for column, cell in row.items()}  # NaN is no figure
            writer.writerow(({"table": name} if several else {}) | cells)
    return text.getvalue().encode()


def json_of(summary: Mapping[str, Any], tables: Mapping[str, Table]) -> bytes:
    """Return a summary and tables; what is infinite or no number is null."""
    content = dict(summary) | {name: table.rows for name, table in tables.items()}
    return (json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _plain(value: Any) -> Any:
    """Return a value of what JSON has."""
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return number if math.isfinite(number) else None
