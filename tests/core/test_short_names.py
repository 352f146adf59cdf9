"""Short names: those of different members stay different, and none is longer than it may be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyomo_j3o.core.html import html_table
from pyomo_j3o.core.short_names import shortened, told_apart


@given(st.lists(st.text(alphabet="ab[],.", max_size=80), max_size=8), st.integers(16, 60))
def test_no_name_is_longer_than_it_may_be(texts, widest):
    """Short ones stay as they are."""
    shown = told_apart(texts, widest)
    assert [len(short) <= widest for short in shown] == [True] * len(texts)
    assert [short for text, short in zip(texts, shown, strict=True) if len(text) <= widest] == [
        text for text in texts if len(text) <= widest
    ]


@given(
    st.lists(st.text(alphabet="xyz", min_size=1, max_size=6), min_size=2, max_size=6, unique=True),
    st.integers(36, 60),
    st.integers(20, 60),
)
def test_names_that_differ_in_the_middle_stay_different(middles, widest, around):
    """However long what they have in common is."""
    names = ["a" * around + middle + "b" * around for middle in middles]
    shown = told_apart(names, widest)
    assert len(set(shown)) == len(set(names))


def test_a_column_of_a_notebook_tells_its_names_apart():
    """The whole name is shown when the pointer rests on it."""
    names = [f"{'reformulation' * 4}[{k}]{'.constraints' * 4}" for k in range(3)]
    assert len({shortened(name) for name in names}) == 1
    html = html_table(["row"], [[name] for name in names])
    for k, name in enumerate(names):
        assert html.count(f"[{k}]") == 2
        assert f'title="{name}"' in html
