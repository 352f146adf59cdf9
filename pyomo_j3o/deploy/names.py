"""Names of nodes and models as folders, and as services of Kubernetes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping

from pyomo_j3o.errors import DeployError

#: What Windows, Linux or macOS takes for something other than a part of a name.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
#: Names that Windows keeps for devices, with any extension.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
#: Longest name of a folder, in bytes, and of a service.
_LONGEST_FOLDER, _LONGEST_SERVICE = 255, 63


def renamed(names: Iterable[str], given: Mapping[str, str] | None) -> dict[str, str]:
    """Return for each name the one to write.

    Parameters
    ----------
    names
        Names in the model.
    given
        The names to write in place of some of them.

    Raises
    ------
    DeployError
        If a name that is replaced does not occur, or one to write is no text.
    """
    written = {name: name for name in names}
    for name, other in (given or {}).items():
        if name not in written:
            raise DeployError(f"names[{name!r}]: the plan has no such name; take the entry out")
        if not isinstance(other, str):
            raise DeployError(f"names[{name!r}]={other!r}: is no text; give the name to write")
        written[name] = other
    return written


def folder_names(what: str, written: Mapping[str, str]) -> dict[str, str]:
    """Return names of folders; raise a `DeployError` for a name that is none, and for two that become one.

    Parameters
    ----------
    what
        What the names name, for the message.
    written
        By name in the model, the name to write.
    """
    for name, folder in written.items():
        fault = _fault(folder)
        if fault:
            raise DeployError(
                f"The name of the {what} {name!r} is no valid folder name: {fault}. Rename it, or give "
                f"names={{{name!r}: ...}}"
            )
    # Windows and macOS do not tell upper case from lower case.
    return _distinct(what, written, str.casefold, "folder")


def service_names(what: str, written: Mapping[str, str]) -> dict[str, str]:
    """Return names of Kubernetes services: lower-case letters, digits and "-", from a letter on, 63 at most.

    Other characters become "-". What is too long is cut, and ends with eight figures of its digest.

    Parameters
    ----------
    what
        What the names name, for the message.
    written
        By name in the model, the name to write.

    Raises
    ------
    DeployError
        If two names become one.
    """
    return _distinct(what, {name: _service(text) for name, text in written.items()}, str, "service")


def _service(text: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if plain and not plain[0].isalpha():
        plain = f"n{plain}"
    if plain and len(plain) <= _LONGEST_SERVICE:
        return plain
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{plain[: _LONGEST_SERVICE - 9].rstrip('-') or 'n'}-{digest}"


def _fault(name: str) -> str:
    """Return why a name is no folder name on every system; nothing if it is one."""
    found = _FORBIDDEN.search(name)
    if found:
        return f"it holds {found[0]!r}"
    if not name.strip() or name.strip(".") == "":
        return "it is empty, or nothing but dots"
    if name[0] in " ." or name[-1] in " .":
        return "it begins or ends with a blank or a dot"
    if _DEVICES.fullmatch(name):
        return "Windows keeps it for a device"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "it holds half of a character"
    return f"it is longer than {_LONGEST_FOLDER} bytes" if size > _LONGEST_FOLDER else ""


def _distinct(what: str, written: Mapping[str, str], key: Callable[[str], str], kind: str) -> dict[str, str]:
    first: dict[str, str] = {}
    for name, text in written.items():
        other = first.setdefault(key(text), name)
        if other != name:
            raise DeployError(
                f"Two names become one: {other!r} and {name!r} ({what}) would both be the {kind} {text!r}; "
                "rename one, in the model or by names="
            )
    return dict(written)
