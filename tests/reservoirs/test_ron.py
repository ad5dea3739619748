"""Random oscillators: the published laws of their constants, and what negative stiffness does."""

import math

import numpy as np
import pytest

from penstock.reservoirs import RON, EchoStateWarning
from penstock.scaling import spectral_radius


def test_random_oscillators_follow_the_published_laws():
    ron = RON.random(400, n_inputs=2, input_scaling=0.5, bias_scaling=0.2, seed=1)
    assert ron.W_z is None
    assert spectral_radius(ron.W) == pytest.approx(0.99, rel=1e-9)
    ranges = {"gamma": (1.35, 4.05), "epsilon": (2.35, 7.05), "W_in": (0, 0.5), "bias": (-0.2, 0.2)}
    for name, (low, high) in ranges.items():
        values = getattr(ron, name)
        assert low <= values.min() < low + 0.03 * (high - low)  # of 400 draws one lies that near, but for e^-12
        assert high - 0.03 * (high - low) < values.max() <= high
        middle, five_sd = (low + high) / 2, 5 * (high - low) / math.sqrt(12 * values.size)
        assert abs(values.mean() - middle) < five_sd
    assert ron.dt == 0.042


def test_the_same_seed_draws_the_same_weights_for_any_inputs():
    one, two = RON.random(30, n_inputs=1, seed=4), RON.random(30, n_inputs=3, seed=4)
    for name in ("W", "bias", "gamma", "epsilon"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    np.testing.assert_array_equal(one.W_in[:, 0], two.W_in[:, 0])
    assert RON.random(seed=0).n_units == 512


def test_negative_stiffness_is_warned_of_and_grows():
    with pytest.warns(EchoStateWarning, match=r"\d+ of 50 oscillators are unstable by themselves") as caught:
        ron = RON.random(50, n_inputs=2, gamma=0.4, gamma_range=2.7, epsilon=8.0, epsilon_range=4.7, dt=0.076, seed=0)
    assert caught[0].filename == __file__
    assert 0.3 < (ron.gamma < 0).mean() < 0.4  # 0.95 / 2.7 = 0.352
    states = np.abs(ron.run(np.random.default_rng(0).uniform(-1, 1, (4000, 2)))[:, ron.observed]).max(axis=1)
    slowest = np.log(np.abs(ron.uncoupled_spectrum()).max())
    assert slowest > 0.005
    rate = np.log(states[-1] / states[-1001]) / 1000
    assert rate == pytest.approx(slowest, rel=1e-6)  # the force, within ±1, no longer matters
    with pytest.raises(FloatingPointError, match="the state diverged"):
        ron.run(np.zeros((int(800 / slowest), 2)))  # e^710 is the largest number


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_units": 0}, "n_units must be at least 1"),
        ({"n_units": 2.5}, "n_units must be an integer"),
        ({"n_inputs": -1}, "n_inputs must be at least 0"),
        ({"gamma_range": -1.0}, "gamma_range must be at least 0"),
        ({"gamma": None}, "gamma must be a number"),
        ({"epsilon": 1.0, "epsilon_range": 2.1}, "epsilon_range must be at most 2 epsilon = 2, got 2.1"),
        ({"epsilon": -1.0, "epsilon_range": 0.0}, "epsilon_range must be at most 2 epsilon = -2"),
        ({"epsilon_range": "wide"}, "epsilon_range must be a number"),
        ({"dt": -0.1}, "dt must be above 0"),
        ({"spectral_radius": np.nan}, "spectral_radius must be finite"),
        ({"input_scaling": -1.0}, "input_scaling must be a number of at least 0"),
        ({"bias_scaling": "big"}, "bias_scaling must be a number"),
        ({"density": 2.0}, "density must lie in"),
        ({"dtype": int}, "dtype must be float64 or float32"),
        ({"seed": None}, "seed must be a non-negative integer"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises((ValueError, TypeError), match=message):
        RON.random(**({"n_units": 10, "seed": 0} | settings))
