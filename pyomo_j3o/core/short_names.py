"""Long names made short for a table or a picture, so that different names stay different."""

from __future__ import annotations

from collections.abc import Sequence

#: Characters of a cell that are shown.
WIDEST_CELL = 60


def shortened(text: str, widest: int = WIDEST_CELL) -> str:
    """Return a text of at most `widest` characters; what is left out of its middle is an ellipsis."""
    if len(text) <= widest:
        return text
    head = (widest - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (widest - 1 - head) :]}"


def told_apart(texts: Sequence[str], widest: int = WIDEST_CELL) -> list[str]:
    """Return texts of at most `widest` characters, those that differ in the middle with that middle.

    Names that a transformation makes begin and end alike, such as
    ``reformulation.relaxedDisjuncts[7].constraints[c_0,ub]``. Shortened one by one, all of them would read
    the same.

    Parameters
    ----------
    texts
        Names of one column, or beside one axis.
    widest
        Most characters of each.
    """
    alike: dict[str, set[str]] = {}
    for text in texts:
        alike.setdefault(shortened(text, widest), set()).add(text)
    short = {}
    for shown, members in alike.items():
        if len(members) == 1:
            short[members.pop()] = shown
        else:
            short.update({text: _with_middle(text, sorted(members), widest) for text in members})
    return [short[text] for text in texts]


def _with_middle(text: str, alike: Sequence[str], widest: int) -> str:
    """Return a text with a little of its beginning and its end, and of the part that no other one shares."""
    begin = _n_common(alike)
    end = len(text) - _n_common([other[begin:][::-1] for other in alike])
    head, tail = widest // 4, widest // 8
    room = widest - head - tail - 2
    # What there is room for besides: most of it in front.
    end = min(len(text), end + max(0, room - (end - begin)) // 4)
    begin = max(head, min(begin, end - room))
    front = text[:head] + ("…" if begin > head else "")
    rest = text[max(end, len(text) - tail) :]
    back = ("…" if end < len(text) - tail else "") + rest
    return front + shortened(text[begin:end], room) + back


def _n_common(texts: Sequence[str]) -> int:
    """Return with how many of the same characters all texts begin."""
    first, last = min(texts), max(texts)  # the two that differ most
    return next((k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
