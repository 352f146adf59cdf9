"""A line through measured batch latencies, what it says of itself, and the published latencies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyomo_j3o.library.batch_latency import fit_batch_latency, v100_batch_latency, v100_classifiers

seconds = st.floats(1e-5, 10.0)
sizes = st.lists(st.integers(1, 128), min_size=2, max_size=8, unique=True)

# Latency in ms at batch sizes 1 to 8: github.com/uwsampl/nexus, commit
# b436191c2f006e59ec523d5e5a575a128294345e, tests/data/model_db/profiles, caffe:vgg16:1 on TITAN X (Pascal).
VGG16_ON_TITAN_X = [6.2774, 14.499, 18.1801, 20.5512, 20.4613, 22.7735, 26.2789, 28.7682]


@given(setup=seconds, per_query=seconds, sizes=sizes)
def test_a_line_is_found_again(setup, per_query, sizes):
    """Measurements on a line give its set-up and time per query, and are called straight."""
    fit = fit_batch_latency(sizes, [setup + per_query * b for b in sizes])
    assert [fit.latency(b) for b in sizes] == pytest.approx(fit.seconds)
    assert fit.largest_relative_error < 1e-6
    assert fit.verdict.startswith("The measurements lie on a straight line")
    if setup > 0.01 * per_query:
        assert (fit.setup, fit.per_query) == pytest.approx((setup, per_query), rel=1e-3)


@given(
    measured=st.lists(
        st.tuples(st.integers(1, 64), seconds), min_size=2, max_size=8, unique_by=lambda m: m[0]
    ),
    factors=st.tuples(st.floats(0, 3), st.floats(0, 3)),
)
def test_no_other_line_has_a_smaller_sum_of_squares(measured, factors):
    """Among the lines with a set-up and a time per query of at least 0."""

    def squares(setup, per_query):
        return sum((setup + per_query * b - s) ** 2 for b, s in measured)

    fit = fit_batch_latency(*zip(*measured, strict=True))
    assert min(fit.setup, fit.per_query) >= 0
    assert fit.r_squared <= 1
    least = squares(fit.setup, fit.per_query)
    longest = max(s for _, s in measured)
    for other in (
        (fit.setup * factors[0], fit.per_query * factors[1]),
        (longest * factors[0], longest * factors[1] / 64),
    ):
        assert least <= squares(*other) + 1e-9 * longest**2


@given(unit=st.floats(1e-6, 1e3))
def test_the_unit_of_time_does_not_matter(unit):
    """In other units both times scale, and what is said of straightness stays."""
    base = fit_batch_latency(range(1, 9), VGG16_ON_TITAN_X)
    fit = fit_batch_latency(range(1, 9), [unit * ms for ms in VGG16_ON_TITAN_X])
    assert (fit.setup, fit.per_query) == pytest.approx((unit * base.setup, unit * base.per_query))
    assert fit.r_squared == pytest.approx(base.r_squared)
    assert fit.relative_errors == pytest.approx(base.relative_errors)


def test_vgg16_on_a_titan_x_is_said_not_to_be_straight():
    """6.28 ms for one query and 14.5 ms for two: the verdict says that the line is 62 % off at one."""
    fit = fit_batch_latency(range(1, 9), [ms / 1000 for ms in VGG16_ON_TITAN_X])
    assert fit.verdict.startswith("The measurements do not lie on a straight line")
    assert "farthest off at batch size 1, where it gives 10.1 ms for 6.28 ms (+62 %)" in fit.verdict
    assert fit.r_squared == pytest.approx(0.911, abs=5e-4)
    assert fit.largest_relative_error == pytest.approx(0.615, abs=5e-4)


@pytest.mark.parametrize(
    ("measured", "setup", "per_query"),
    [
        ([3.0, 3.0, 3.0], 3.0, 0.0),  # level: exact, though there is no variance to explain
        ([4.0, 3.0, 2.0], 3.0, 0.0),  # falling: the mean
        ([1.0, 4.0, 9.0], 0.0, 36 / 14),  # steeper and steeper: a line through the origin, Σbs / Σb²
    ],
)
def test_neither_part_is_negative(measured, setup, per_query):
    """Where the free line would have a negative part, that part is 0 and the other the best without it."""
    fit = fit_batch_latency([1, 2, 3], measured)
    assert (fit.setup, fit.per_query) == pytest.approx((setup, per_query))


@pytest.mark.parametrize("seconds", [[0.2, 0.1], [0.3, 0.2, 0.1], [0.7, 0.3, 0.1, 0.1]])
def test_the_share_explained_is_never_below_0(seconds):
    """The best line through latencies that fall is level, which explains nothing."""
    fit = fit_batch_latency(range(1, 1 + len(seconds)), seconds)
    assert fit.per_query == 0
    assert 0 <= fit.r_squared < 1e-12
    assert "R² = 0.000" in fit.verdict


@pytest.mark.parametrize(
    ("batch_sizes", "seconds", "message"),
    [
        ([1], [0.1], "two different batch sizes"),
        ([4, 4], [0.1, 0.2], "two different batch sizes"),
        ([], [], "two different batch sizes"),
        ([1, 2, 4], [0.1, 0.2], "2 latencies for 3 batch sizes"),
        ([0, 1], [0.1, 0.2], r"batch_sizes\[0\]: 0 is not a positive"),
        ([1, 2], [0.1, 0.0], r"seconds\[1\]: 0 is not a positive"),
        ([1, 2], [0.1, float("nan")], r"seconds\[1\]: nan"),
        ([1, 2], [0.1, float("inf")], r"seconds\[1\]: inf"),
        ([1, 2], ["fast", "slow"], "seconds: not a sequence of numbers"),
        ([[1, 2], [3, 4]], [0.1, 0.2], r"batch_sizes: shape \(2, 2\)"),
        (3, [0.1], "batch_sizes: shape"),
        ([1, 2], [1e307, 1e308], r"seconds: from 1e\+307 to 1e\+308, beyond what can be fitted"),
        ([1, 2], [1e-308, 1e304], "seconds: from 1e-308 to .*give latencies in seconds"),
    ],
)
def test_bad_measurements_are_named(batch_sizes, seconds, message):
    """The message names the argument and the measurement."""
    with pytest.raises(ValueError, match=message):
        fit_batch_latency(batch_sizes, seconds)


def test_the_published_table_has_150_classifiers_with_known_rows():
    """ResNet50 takes 2.54, 4.79 and 7.4 ms; its line is 1.91 ms + 0.692 ms per query."""
    published = v100_classifiers()
    assert len(published.names) == len(set(published.names)) == 150
    resnet50 = published.names.index("ResNet50")
    assert published.gmacs[resnet50] == 4.11
    assert published.setup[resnet50] == pytest.approx(1.911e-3, abs=5e-7)
    assert published.per_query[resnet50] == pytest.approx(0.692e-3, abs=5e-8)
    assert (published.gmacs.min(), published.gmacs.max()) == pytest.approx((0.253, 313.4), abs=0.05)
    assert min(published.setup.min(), published.per_query.min()) > 0


@pytest.mark.parametrize(
    ("name", "multiply_adds"), [("ResNet50", 3.8), ("ResNet101", 7.6), ("ResNet152", 11.3), ("VGG19", 19.6)]
)
def test_the_published_operations_are_multiply_adds(name, multiply_adds):
    """They are within a tenth of the multiply-adds in He et al., CVPR 2016, and not twice as many."""
    published = v100_classifiers()
    assert published.gmacs[published.names.index(name)] == pytest.approx(multiply_adds, rel=0.1)


def test_the_map_from_size_is_the_least_squares_line_in_logarithms():
    """To the four digits that it is written with; R² and scatter are those that its docstring states."""
    published = v100_classifiers()
    log_size = np.log(published.gmacs)
    for part, estimate, r_squared, factor in (
        (published.setup, v100_batch_latency(published.gmacs)[0], 0.31, 2.17),
        (published.per_query, v100_batch_latency(published.gmacs)[1], 0.72, 1.75),
    ):
        slope, at_one = np.polyfit(log_size, np.log(part), 1)
        assert estimate == pytest.approx(np.exp(at_one + slope * log_size), rel=1e-3)
        residual = np.log(part / estimate)
        assert 1 - residual.var() / np.log(part).var() == pytest.approx(r_squared, abs=0.005)
        assert np.exp(residual.std(ddof=2)) == pytest.approx(factor, abs=0.005)


def test_the_map_keeps_shapes_and_refuses_what_has_no_size():
    """A table of networks gives a table of times; 0 and NaN are refused."""
    setup, per_query = v100_batch_latency(np.ones((2, 3)))
    assert setup == pytest.approx(np.full((2, 3), 1.954e-3))
    assert per_query == pytest.approx(np.full((2, 3), 0.4561e-3))
    for wrong in (0.0, float("nan")):
        with pytest.raises(ValueError, match="gmacs"):
            v100_batch_latency(np.array([1.0, wrong]))
