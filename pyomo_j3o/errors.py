"""Every error that j3o raises by itself; each message names a component and a remedy."""

from __future__ import annotations

from typing import Any


class J3OError(Exception):
    """Base class of the errors raised by pyomo_j3o."""


class ModelError(J3OError, ValueError):
    """The Pyomo model is not one that j3o accepts."""


class AnnotationError(ModelError):
    """A mark is missing, contradicts another, or sits on something that cannot carry it."""


class UnsupportedTermError(ModelError):
    """An expression holds a term other than linear ones and onloading × offloading products."""


class TriviallyInfeasibleError(ModelError):
    """A row without any free variable is violated by its constants alone."""


class OptionError(J3OError, ValueError):
    """An option, or the value given to it, is unknown."""


class RebuildError(J3OError, RuntimeError):
    """A model that stays in a solver has changed in a way that it must not be compiled again for.

    Attributes
    ----------
    reason
        What changed, in plain data: as ``results.extra_info.update`` of a solve that may compile again.
    """

    def __init__(self, message: str, reason: dict[str, Any]) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> Any:
        return RebuildError, (str(self), self.reason)


class BackendError(J3OError, RuntimeError):
    """An LP or MIP solver is missing, out of licence, or failed."""


class EngineError(J3OError, RuntimeError):
    """Work cannot be sent to an executor, or the executor failed."""


class FleetError(J3OError, ValueError):
    """A fleet has no plan, or cannot be planned as it was given."""


class MeasureError(FleetError):
    """The `measure` of a sweep returned no mapping, or took a name that the table has by itself.

    Attributes
    ----------
    found
        The `Sweep` of the cases that had ended by then.
    """

    def __init__(self, message: str, found: Any) -> None:
        super().__init__(message)
        self.found = found

    def __reduce__(self) -> Any:
        return MeasureError, (str(self), self.found)


class PolicyError(J3OError, ValueError):
    """A policy of a controller raised, and its own error is the cause; or it returned no plan.

    Attributes
    ----------
    found
        The `Controlled` of the minutes that all policies had played until then.
    """

    def __init__(self, message: str, found: Any = None) -> None:
        super().__init__(message)
        self.found = found

    def __reduce__(self) -> Any:
        return PolicyError, (str(self), self.found)


class DeployError(J3OError, ValueError):
    """A plan cannot be written as the configuration of a server."""


class FileError(J3OError):
    """A file cannot be read or written, or does not hold what it should."""


def in_one_line(error: BaseException) -> str:
    """Return the kind of an error and the first line of what it says."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
