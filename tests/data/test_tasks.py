import math
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import solve_ivp

from penstock.data import Task, ct_xor, lorenz96_task, mackey_glass_task, narma, sin_mem

DRAWN = [sin_mem, ct_xor, narma, partial(narma, 30), partial(narma, 60)]
SERIES = [*DRAWN, lambda lag=0, seed=0, **rest: mackey_glass_task(max(lag, 1), **rest)]


def series(task):
    return task.inputs[:, 0].tolist(), task.targets[:, 0].tolist()


# Rules, element by element


@pytest.mark.parametrize("delay", [0, 1, 10, 20])
@pytest.mark.parametrize("gain", [math.pi, math.pi / 0.8])
def test_sin_mem_follows_its_rule(delay, gain):
    u, y = series(sin_mem(delay, gain=gain, seed=1))
    expected = [math.sin(gain * u[t - delay]) if t >= delay else 0.0 for t in range(6000)]
    assert_allclose(y, expected, rtol=0, atol=1e-15)


def test_sin_mem_gain_is_pi_by_default():
    u, y = series(sin_mem(7, seed=1))
    assert_allclose(y[7:], [math.sin(math.pi * v) for v in u[:-7]], rtol=0, atol=1e-15)


@pytest.mark.parametrize("delay", [0, 5, 10])
def test_ct_xor_follows_its_rule(delay):
    u, y = series(ct_xor(delay, seed=2))
    expected = [0.0] * 6000
    for t in range(delay + 1, 6000):
        r = u[t - delay] * u[t - delay - 1]
        expected[t] = r * r if r > 0 else -r * r
    assert_allclose(y, expected, rtol=1e-15)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("order", "b"), [(10, 0.05), (30, 0.01), (60, 0.01)])
def test_narma_follows_its_rule(order, b, seed):
    u, y = series(narma(order, seed=seed))
    expected = [0.0] * 10_000
    for t in range(order - 1, 9999):
        past = 0.0
        for i in range(order):
            past += expected[t - i]
        expected[t + 1] = 0.3 * expected[t] + b * expected[t] * past + 1.5 * u[t - order + 1] * u[t] + 0.1
    # Order 60 amplifies rounding on its excursions, by less than 1e4; the others forget it.
    assert_allclose(y, expected, rtol=0, atol=1e-11)


def test_narma_reproduces_a_published_value():
    """The first non-zero target of the NARMA60 file of the deep residual echo state networks, from its inputs."""
    first, last, target = 0.18682040923334925, 0.15835856101260803, 0.14437691676096961
    assert_allclose(1.5 * first * last + 0.1, target, rtol=1e-15)
    task = narma(60, seed=3)
    u, y = series(task)
    assert y[:60] == [0.0] * 60
    assert_allclose(y[60], 1.5 * u[0] * u[59] + 0.1, rtol=1e-15)


def test_narma_takes_other_coefficients():
    u, y = series(narma(2, coefficients=(0.3, 0.1, 0.8, 0.2), seed=0))
    expected = [0.0] * 10_000
    for t in range(1, 9999):
        expected[t + 1] = (
            0.3 * expected[t] + 0.1 * expected[t] * (expected[t] + expected[t - 1]) + 0.8 * u[t] * u[t - 1] + 0.2
        )
    assert_allclose(y, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("order", [10, 30, 60])
def test_narma_stays_bounded_for_every_seed(order, seed):
    y = narma(order, seed=seed).targets
    assert np.isfinite(y).all() and y.min() >= 0 and y[order:].min() >= 0.1 and y.max() < 1.4


def test_narma_redraws_a_series_that_runs_away():
    def runs_away(u):
        y = [0.0] * len(u)
        for t in range(9, len(u) - 1):
            y[t + 1] = 0.3 * y[t] + 0.05 * y[t] * sum(y[t - 9 : t + 1]) + 1.5 * u[t - 9] * u[t] + 0.1
            if y[t + 1] > 1e3:
                return True
        return False

    redrawn = 0
    for seed in range(60):  # one in 20 runs away: none among 60 has a chance of 5 %, and the seeds are fixed
        rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
        first, second = rng.uniform(0, 0.5, 10_000), rng.uniform(0, 0.5, 10_000)
        if runs_away(first.tolist()):
            redrawn += 1
            assert_array_equal(narma(10, seed=seed).inputs[:, 0], second)
    assert redrawn > 0


def test_narma_bound_is_one_and_a_half():
    assert_array_equal(narma(1, coefficients=(0, 0, 0, 1.49), seed=0).targets[1:], 1.49)
    with pytest.raises(ValueError, match="coefficients must keep the series below 1.5"):
        narma(1, coefficients=(0, 0, 0, 1.5), seed=0)


def test_narma30_has_the_published_mean_and_spread():
    y = narma(30, seed=0).targets[200:]
    assert_allclose(y.mean(), 0.32, atol=0.01)  # published file: .32 and .092; spread between seeds .0023 and .0010
    assert_allclose(y.std(), 0.092, atol=0.005)


def test_narma60_has_the_published_mean():
    y = narma(60, seed=0).targets[400:]
    assert_allclose(y.mean(), 0.469, atol=0.035)  # published file: .469; spread between seeds .009


@pytest.mark.parametrize(
    ("task", "low", "high"),
    [(sin_mem, -0.8, 0.8), (ct_xor, -0.8, 0.8), (narma, 0.0, 0.5), (partial(narma, 30), 0.0, 0.5)],
)
def test_inputs_are_uniform_on_their_interval(task, low, high):
    u = np.sort(task(seed=4).inputs[:, 0])
    assert low <= u[0] and u[-1] < high
    assert np.ptp(np.diff(u)) < 0.01  # no gap
    n = u.size
    distance = np.abs((u - low) / (high - low) - (np.arange(n) + 0.5) / n).max()
    assert distance < 1.95 / math.sqrt(n)  # Kolmogorov-Smirnov at 0.1 %


def test_mackey_glass_task_obeys_the_delay_equation():
    task = mackey_glass_task()
    x = np.arctanh(task.inputs[:, 0]) + 1
    assert_allclose([x.min(), x.max()], [0.418, 1.319], atol=2e-3)  # published
    slope = (x[2:] - x[:-2]) / 2
    t = np.arange(17, x.size - 2)
    rhs = 0.2 * x[t - 17] / (1 + x[t - 17] ** 10) - 0.1 * x[t]
    assert_allclose(np.corrcoef(slope[t - 1], rhs)[0, 1], 0.99993, atol=2e-5)  # published file: .99993


def test_lorenz96_task_obeys_the_equation():
    task = lorenz96_task(n_series=1, seed=0)

    def rhs(t, x):
        return [(x[(i + 1) % 5] - x[i - 2]) * x[i - 1] - x[i] + 8 for i in range(5)]

    t = 0.01 * np.arange(150)
    for inputs, targets in zip(task.inputs, task.targets, strict=True):
        x = solve_ivp(rhs, (0, 1.49), inputs[0], method="RK45", t_eval=t, rtol=1e-10, atol=1e-10).y.T
        assert_allclose(inputs[:125], x[:125], rtol=0, atol=1e-5)  # errors of 1e-10 of 8 a step, grown
        assert_allclose(targets[:125], x[25:], rtol=0, atol=1e-5)


def test_lorenz96_task_has_the_published_lengths():
    task = lorenz96_task(seed=0)
    assert task.inputs.shape == task.targets.shape == (384, 400, 5)
    assert (task.train, task.validation, task.test) == (slice(0, 128), slice(128, 256), slice(256, 384))
    assert task.washout == 200
    start = task.inputs[:, 0]
    assert 7.5 <= start.min() < 7.51 and 8.49 < start.max() < 8.5
    assert np.unique(start).size == start.size


@pytest.mark.parametrize("horizon", [1, 25, 50])
def test_lorenz96_targets_lie_ahead_by_the_horizon(horizon):
    task = lorenz96_task(horizon, n_series=1, n_steps=30, washout=70, seed=0)
    assert task.inputs.shape == (3, 100, 5)
    assert_array_equal(task.targets[:, :-horizon], task.inputs[:, horizon:])
    assert not np.array_equal(task.targets[:, : -horizon - 1], task.inputs[:, horizon + 1 :])


# Alignment


@pytest.mark.parametrize("lag", [1, 3])
@pytest.mark.parametrize("task", DRAWN)
def test_lag_moves_the_target_forward_by_exactly_that_many_steps(task, lag):
    plain, lagged = task(seed=5), task(lag=lag, seed=5)
    assert_array_equal(lagged.inputs, plain.inputs[:-lag])
    assert_array_equal(lagged.targets, plain.targets[lag:])
    for wrong in (lag - 1, lag + 1):
        n = min(lagged.targets.size, plain.targets.size - wrong)
        assert not np.array_equal(lagged.targets[:n], plain.targets[wrong : wrong + n])


@pytest.mark.parametrize(("lag", "memory"), [(0, 10), (1, 9), (10, 0)])
def test_a_shift_register_solves_sin_mem_at_the_stated_delay_only(lag, memory):
    task = sin_mem(10, lag=lag, seed=6)
    register = np.zeros(12)
    states = np.empty((len(task.inputs), 12))
    for t, u in enumerate(task.inputs[:, 0]):
        register = np.concatenate(([u], register[:-1]))
        states[t] = register
    for tap in range(12):
        error = np.abs(np.sin(np.pi * states[:, tap]) - task.targets[:, 0])[20:].mean()
        assert (error < 1e-14) if tap == memory else (error > 0.3)


def test_narma_with_lag_one_depends_on_the_input_of_its_own_step():
    task = narma(10, lag=1, seed=7)
    u, y = series(task)  # y[t] is y_{t+1} of the rule
    t = 500
    expected = 0.3 * y[t - 1] + 0.05 * y[t - 1] * sum(y[t - 10 : t]) + 1.5 * u[t - 9] * u[t] + 0.1
    assert_allclose(y[t], expected, rtol=1e-14)


@pytest.mark.parametrize("horizon", [1, 84])
def test_mackey_glass_targets_lie_ahead_by_the_horizon(horizon):
    task = mackey_glass_task(horizon)
    assert task.inputs.shape == task.targets.shape == (10_000 - horizon, 1)
    assert_array_equal(task.targets[:-horizon], task.inputs[horizon:])
    assert not np.array_equal(task.targets[: -horizon - 1], task.inputs[horizon + 1 :])


# Splits


@pytest.mark.parametrize("lag", [0, 1, 84])
@pytest.mark.parametrize(
    ("task", "ends"), [*((t, (4000, 5000, 6000)) for t in SERIES[:2]), *((t, (5000, 7500, 10_000)) for t in SERIES[2:])]
)
def test_splits_are_the_published_ones(task, ends, lag):
    drawn = task(lag=lag, seed=0)
    lag = ends[-1] - len(drawn.inputs)  # the Mackey-Glass task has no lag 0
    starts = (0, *ends[:-1])
    assert (drawn.train, drawn.validation, drawn.test) == tuple(
        slice(start, end - lag) for start, end in zip(starts, ends, strict=True)
    )
    assert drawn.washout == 200
    assert drawn.inputs.shape == drawn.targets.shape == (ends[-1] - lag, 1)


@pytest.mark.parametrize("task", DRAWN)
def test_no_target_of_one_part_is_an_element_of_the_next(task):
    plain, lagged = task(seed=0), task(lag=5, seed=0)
    for part, whole in zip(lagged[2:5], plain[2:5], strict=True):
        assert_array_equal(lagged.targets[part], plain.targets[whole][5:])
        assert_array_equal(lagged.inputs[part], plain.inputs[whole][:-5])


@pytest.mark.parametrize("task", SERIES)
def test_splits_scale_with_the_length_and_lose_no_step(task):
    drawn = task(n_steps=3001, lag=1, seed=0)
    sizes = [part.stop - part.start for part in drawn[2:5]]
    assert sum(sizes) == 3001 - 3 and drawn.test.stop == len(drawn.inputs) == 3000


# What all share


@pytest.mark.parametrize("task", [*DRAWN, partial(lorenz96_task, n_series=1)])
def test_same_seed_same_bits_other_seed_other_series(task):
    one, same, other = task(seed=11), task(seed=11), task(seed=12)
    assert isinstance(one, Task)
    assert_array_equal(one.inputs, same.inputs)
    assert_array_equal(one.targets, same.targets)
    assert not np.array_equal(one.inputs, other.inputs)


def test_mackey_glass_task_is_the_same_every_time_and_moves_with_its_history():
    assert_array_equal(mackey_glass_task().inputs, mackey_glass_task().inputs)
    assert np.abs(mackey_glass_task(history=0.9).inputs - mackey_glass_task().inputs).max() > 0.1


@pytest.mark.parametrize("task", [*SERIES, partial(lorenz96_task, n_series=1)])
def test_inputs_and_targets_are_separate_finite_arrays(task):
    drawn = task(seed=0)
    assert not np.shares_memory(drawn.inputs, drawn.targets)
    assert np.isfinite(drawn.inputs).all() and np.isfinite(drawn.targets).all()
    assert drawn.inputs.flags.c_contiguous and drawn.targets.flags.c_contiguous


@pytest.mark.parametrize("task", [*DRAWN, lorenz96_task])
def test_a_seed_is_required(task):
    with pytest.raises(TypeError, match="seed"):
        task()
    with pytest.raises(TypeError, match="seed must be"):
        task(seed=None)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (partial(sin_mem, -1, seed=0), ValueError, "delay must be at least 0, got -1"),
        (partial(sin_mem, 2.5, seed=0), TypeError, "delay must be an integer"),
        (partial(sin_mem, gain=math.nan, seed=0), ValueError, "gain must be finite"),
        (partial(sin_mem, lag=-1, seed=0), ValueError, "lag must be at least 0"),
        (partial(sin_mem, n_steps=1000, seed=0), ValueError, "n_steps must leave more than lag . washout = 200"),
        (partial(sin_mem, lag=800, seed=0), ValueError, "got 6000, whose shortest part has 1000"),
        (partial(ct_xor, washout=-5, seed=0), ValueError, "washout must be at least 0"),
        (partial(narma, 20, seed=0), ValueError, r"order must be \[10, 30, 60\] unless coefficients are given, got 20"),
        (partial(narma, 0, seed=0), ValueError, "order must be at least 1"),
        (partial(narma, coefficients=(0.3, 0.05, 1.5), seed=0), ValueError, "coefficients must be four numbers"),
        (partial(narma, coefficients=(2.0, 1.0, 1.0, 1.0), seed=0), ValueError, "coefficients must keep the series"),
        (partial(narma, n_steps=500, seed=0), ValueError, "n_steps must leave more than"),
        (partial(mackey_glass_task, 0), ValueError, "horizon must be at least 1"),
        (partial(mackey_glass_task, 3000), ValueError, "n_steps must leave more than"),
        (partial(lorenz96_task, n_series=0, seed=0), ValueError, "n_series must be at least 1"),
    ],
)
def test_wrong_arguments_are_named(call, error, match):
    with pytest.raises(error, match=match):
        call()
