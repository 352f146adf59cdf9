"""Forecasts see the past alone, and their noise has the bias and the variance that it is given."""

import math

import numpy as np
import pytest

from pyomo_j3o.control import LastValue, MovingAverage, Noise, TrueLoads
from pyomo_j3o.control.forecasts import expected_loads

LOADS = np.arange(1.0, 13.0).reshape(6, 2, 1)
USUAL = np.array([[5.0], [6.0]])


def expected(forecast, **noise):
    """Return what is expected of every minute."""
    return expected_loads(LOADS, USUAL, forecast, Noise(**noise), least=1e-3)


def test_the_first_minute_is_as_usual_and_the_others_follow():
    """Last value and moving average look back; the true loads are those of the minute itself."""
    assert np.array_equal(expected(LastValue()), np.concatenate([USUAL[None], LOADS[:-1]]))
    average = expected(MovingAverage(2))
    assert np.array_equal(average[1], LOADS[0])
    assert np.array_equal(average[4], LOADS[2:4].mean(axis=0))
    assert np.array_equal(expected(TrueLoads()), LOADS)


def test_a_forecast_never_sees_the_minute_it_is_for():
    """What it is handed ends with the minute before."""
    seen = []
    expected(lambda history: seen.append(len(history)) or history[-1])
    assert seen == [1, 2, 3, 4, 5]


def test_noise_has_its_bias_and_its_variance():
    """The factors are positive; mean and variance are those asked for, and one seed draws one noise."""
    factors = Noise(bias=0.2, variance=0.25, seed=1).factors((200_000,))
    assert (factors > 0).all()
    assert factors.mean() == pytest.approx(1.2, rel=0.01)
    assert factors.var() / factors.mean() ** 2 == pytest.approx(0.25, rel=0.03)
    assert np.array_equal(factors, Noise(0.2, 0.25, 1).factors((200_000,)))
    assert np.array_equal(Noise().factors((3,)), np.ones(3))


def test_an_expected_load_is_never_zero():
    """A forecast of 0 is raised to a small share of the usual load."""
    found = expected(lambda history: np.zeros((2, 1)))
    assert np.array_equal(found[1:], np.broadcast_to(1e-3 * USUAL, (5, 2, 1)))


@pytest.mark.parametrize(
    "wrong", [np.zeros(2), np.full((2, 1), math.nan), np.full((2, 1), -1.0), "much", None, math.inf]
)
def test_what_is_no_forecast_is_named(wrong):
    """The sentence says for which minute, and what to return."""
    with pytest.raises(ValueError, match="forecast: what it returns for minute 1 is no array of 2 clients"):
        expected(lambda history: wrong)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bias": -1}, "bias=-1"),
        ({"bias": math.nan}, "bias=nan"),
        ({"bias": "none"}, "bias='none'"),
        ({"variance": -0.1}, "variance=-0.1"),
        ({"variance": math.inf}, "variance=inf"),
        ({"seed": 0.5}, "seed=0.5"),
    ],
)
def test_wrong_noise_is_named(given, message):
    """Bias, variance and seed are checked where they are given."""
    with pytest.raises(ValueError, match=message):
        Noise(**given)
    with pytest.raises(ValueError, match="minutes=0"):
        MovingAverage(0)
