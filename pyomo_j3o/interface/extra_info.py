"""What results hold besides the fields that Pyomo has for them."""

from __future__ import annotations

from typing import Any

from pyomo.common.config import ConfigDict
from pyomo.contrib.solver.common.results import Results


class ExtraInfo(ConfigDict):
    """Pyomo's extra info, in which ``update`` is an entry and not the method of a mapping."""

    __slots__ = ()

    @property
    def update(self) -> Any:
        """What has changed since the solve before, and what was done about it."""
        return self["update"]


def add_update(results: Results, update: Any) -> None:
    """Give results the entry ``extra_info.update``; None where no solve before is known."""
    info = ExtraInfo(implicit=True)
    for name, entry in results.extra_info.items():
        info[name] = entry
    info["update"] = update
    del results["extra_info"]
    results.declare("extra_info", info)
