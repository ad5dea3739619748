from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import solve_ivp

from penstock.data import Uniform, lorenz63
from penstock.data.irregular import Exponential, fitzhugh_nagumo_at, irregular_task, lorenz_at, sines_at
from penstock.metrics import nrmse_std

SINES = partial(irregular_task, sines_at, Exponential(0.5), n_steps=800, gap=20, washout=50)


def ramp(rng, times):
    return 3.0 * times


# Alignment


def test_target_is_the_signal_at_the_time_that_the_interval_leads_to():
    task = irregular_task(ramp, Uniform(0.1, 2.0), n_steps=500, gap=5, washout=10, seed=1)
    value, interval = task.inputs.T
    assert_allclose(task.targets[:, 0], value + 3.0 * interval, rtol=1e-14)  # a slope of 3: rounding only
    assert_allclose(value, 3.0 * task.times[:-1], rtol=1e-15)


def test_inputs_are_the_earlier_targets_and_intervals_the_differences_of_the_times():
    task = SINES(seed=2)
    assert_array_equal(task.inputs[1:, :1], task.targets[:-1])
    assert_array_equal(task.inputs[:, 1], np.diff(task.times))
    assert (task.inputs[:, 1] > 0).all() and task.times[0] == 0


def test_parts_are_contiguous_blocks_that_share_no_sample():
    task = SINES(seed=0)
    parts = [range(800)[part] for part in (task.train, task.validation, task.test)]
    # step k holds the samples k and k + 1
    samples = [{*part, part[-1] + 1} for part in parts]
    assert not samples[0] & samples[1] and not samples[1] & samples[2]
    assert [part.step for part in parts] == [1, 1, 1]
    assert [parts[i + 1][0] - parts[i][-1] - 1 for i in (0, 1)] == [20, 20]
    assert [len(part) for part in parts] == [380, 180, 200]


def test_the_smallest_gap_still_shares_no_sample():
    task = irregular_task(ramp, Uniform(1, 2), n_steps=40, gap=1, washout=0, seed=0)
    assert_array_equal(task.targets[task.train][-1] < task.inputs[task.validation][0, :1], [True])
    assert_array_equal(task.targets[task.validation][-1] < task.inputs[task.test][0, :1], [True])


# Laws


def test_exponential_gaps_have_mean_and_variance_of_the_law():
    gaps = SINES(n_steps=40_000, seed=3).inputs[:, 1]
    # standard errors: 0.5 / 200 of the mean, sqrt(8) 0.25 / 200 of the variance; four of them
    assert_allclose(gaps.mean(), 0.5, atol=0.01)
    assert_allclose(gaps.var(), Exponential(0.5).variance, atol=0.015)


def test_noise_has_the_given_share_of_the_standard_deviation_and_leaves_the_targets_clean():
    clean, noisy = SINES(n_steps=20_000, seed=4), SINES(n_steps=20_000, noise=0.3, seed=4)
    assert_array_equal(clean.targets, noisy.targets)
    assert_array_equal(clean.times, noisy.times)
    added = (noisy.inputs - clean.inputs)[:, 0]
    assert_allclose(added.std() / clean.targets.std(), 0.3, rtol=0.02)  # standard error 0.5 %


def test_same_seed_same_bits_and_other_seeds_differ():
    first, again, other = SINES(noise=0.1, seed=5), SINES(noise=0.1, seed=5), SINES(noise=0.1, seed=6)
    for a, b in zip(first[:3], again[:3], strict=True):
        assert_array_equal(a, b)
    assert not np.isin(first.times[1:], other.times).any()


# Signals


def test_lorenz_at_grid_times_is_the_flow_of_lorenz63():
    x = lorenz_at(np.random.default_rng(0), 0.02 * np.arange(200), channels=(0, 1, 2))
    # restart the other integrator on the attractor: 4 time units stretch 1e-9 by exp(0.9 * 4) and the transients
    assert_allclose(x, lorenz63(200, dt=0.02, x0=x[0], washout=0), atol=1e-5)


def test_lorenz_shows_x_alone_by_default():
    times = [0.1, 0.2]
    both = lorenz_at(np.random.default_rng(1), times, channels=(0, 2))
    assert_array_equal(lorenz_at(np.random.default_rng(1), times), both[:, :1])


def test_fitzhugh_nagumo_solves_its_published_equations():
    times = np.sort(np.random.default_rng(2).uniform(0, 60, 50))
    v = fitzhugh_nagumo_at(np.random.default_rng(3), times)
    start = np.random.default_rng(3).uniform(-1, 1), 0.0

    def rhs(t, y):
        return y[0] - y[0] ** 3 / 3 - y[1] + 0.5, 0.02 * (y[0] + 0.7 - 0.8 * y[1])

    exact = solve_ivp(rhs, (0, 60), start, method="DOP853", t_eval=times, rtol=1e-11, atol=1e-11)
    assert_allclose(v[:, 0], exact.y[0], atol=1e-6)  # tolerances 1e-9, stretched on the jumps


def test_sines_obey_the_linear_recurrence_of_their_frequencies():
    x = sines_at(np.random.default_rng(4), np.arange(50.0), frequencies=(0.3,))[:, 0]
    assert_allclose(x[2:], 2 * np.cos(0.3) * x[1:-1] - x[:-2], atol=1e-13)


def test_last_value_is_a_poor_forecast_at_the_default_gaps():
    task = irregular_task(n_steps=1200, seed=0)
    error = nrmse_std(task.targets[:, 0], task.inputs[:, 0])
    assert 0.3 < error < 1.0  # there is something to learn, and something to know


# Bad input


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        ({"signal": None}, TypeError, "signal must be a function"),
        ({"signal": "lorenz"}, TypeError, "signal must be a function"),
        ({"signal": lambda rng, t: t[1:]}, ValueError, "signal must return shape"),
        ({"signal": lambda rng, t: np.full_like(t, np.nan)}, ValueError, "signal must be finite"),
        ({"signal": lambda rng, t: np.empty((t.size, 0))}, ValueError, "signal must return shape"),
        ({"gaps": 0.5}, TypeError, "gaps must be a function"),
        ({"gaps": Uniform(-1, 1)}, ValueError, "gaps must be above 0"),
        ({"gaps": lambda rng, n: np.zeros(n)}, ValueError, "gaps must be above 0"),
        ({"gaps": lambda rng, n: np.ones(n + 1)}, ValueError, "gaps must draw shape"),
        ({"n_steps": 0}, ValueError, "n_steps"),
        ({"n_steps": 2.5}, TypeError, "n_steps"),
        ({"n_steps": 100}, ValueError, "n_steps must leave more than washout"),
        ({"gap": 0}, ValueError, "gap must be at least 1"),
        ({"gap": True}, TypeError, "gap must be an integer"),
        ({"washout": -1}, ValueError, "washout"),
        ({"noise": -0.1}, ValueError, "noise"),
        ({"noise": None}, TypeError, "noise"),
        ({"seed": None}, TypeError, "seed"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_bad_arguments_are_named(bad, error, words):
    with pytest.raises(error, match=words):
        irregular_task(**({"signal": sines_at, "seed": 0} | bad))


@pytest.mark.parametrize("times", [[], [1.0, 1.0], [2.0, 1.0], [-1.0, 1.0], [0.0]])
def test_signals_refuse_times_that_do_not_increase(times):
    with pytest.raises(ValueError, match="times must increase"):
        fitzhugh_nagumo_at(np.random.default_rng(0), times)


@pytest.mark.parametrize("mean", [0.0, -1.0, np.nan, np.inf])
def test_exponential_needs_a_mean_above_zero(mean):
    with pytest.raises(ValueError, match="mean must be"):
        Exponential(mean)
