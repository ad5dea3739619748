"""The what-and-when example: its task, its measures, and what the rules reach in it."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "what_and_when.py"


@pytest.fixture(scope="module")
def example():
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location("what_and_when", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_change_is_balanced(example):
    task = example.outcomes()
    moved = task.latency != task.new_latency
    assert_array_equal(task.p[moved], task.new_p[moved])
    assert_allclose(task.new_p[~moved], 1.2 - task.p[~moved])
    for latency in example.LATENCIES:
        for p in example.PROBABILITIES:
            own = (task.latency == latency) & (task.p == p)
            assert own.sum() == example.REPEATS and moved[own].sum() == example.REPEATS / 2
    assert set(task.new_latency) == set(example.LATENCIES)


def test_every_rule_meets_the_same_outcomes_of_these_frequencies(example):
    task = example.outcomes()
    draws = [example.happenings(task, np.random.default_rng(1), 4000, 3) for _ in range(2)]
    for one, other in zip(*draws, strict=True):
        assert_array_equal(one, other)
    happened, latencies, p = draws[0]
    assert_allclose(happened[:4000].mean(axis=0), task.p, atol=5 * np.sqrt(0.25 / 4000))
    assert_array_equal(latencies[3999:4001], [task.latency, task.new_latency])
    assert_array_equal(p[3999:4001], [task.p, task.new_p])


def test_smoothed_events_are_1_at_their_latency_and_heights_are_read_there(example):
    latency = np.array([100.0, 300.0])
    bumps = example.bump(latency)
    assert_array_equal(example.heights(bumps, np.eye(2), latency), [1.0, 1.0])
    assert_allclose(bumps[(latency / example.STEP).astype(int) - 1 + 7, [0, 1]], np.exp(-0.5), rtol=1e-12)  # width 70


def test_cue_currents_peak_at_the_drawn_times_with_the_drawn_sizes(example):
    rng = np.random.default_rng(3)
    size, peak = rng.uniform(4.0, 12.0, 50), rng.uniform(30.0, 650.0, 50)
    currents = example.cue_currents(np.random.default_rng(3), 50)
    assert_allclose(1.0 + currents.argmax(axis=0), peak, atol=0.51)  # on a grid of 1 ms
    # half a step off the peak costs a part 20 / 2 (0.5 / 30)^2 = 0.003 at most
    assert_allclose(currents.max(axis=0), size, rtol=0.004)


def test_the_cue_comes_again_in_every_trial_however_steps_are_taken(example):
    rows = np.arange(10.0)[:, None]
    stream = example.Cue(rows).stream(1, 1.0, None)
    parts = np.concatenate([stream.take(a, b) for a, b in ((0, 7), (7, 8), (8, 35))])
    assert_array_equal(parts, np.concatenate([rows, rows, rows, rows[:5]]))


def test_what_is_learnt_from_traces_at_the_times_of_the_outcomes(example):
    """One unit, on in one row before a sure outcome: from the trace that is left the weight becomes 1 / trace."""
    task = example.Outcomes(np.array([200.0]), np.array([1.0]), np.array([200.0]), np.array([1.0]))
    X = np.zeros((120, example.ROWS, 1))
    X[:, 16] = 10.0  # three rows before that of 200 ms
    a = np.exp(-1 / example.TRACE)
    W = example.learn_what(task, X, np.random.default_rng(0))
    # trace 0.88: every trial takes 0.2 * 0.77 of the error away, 0.85^120 = 2e-9
    assert_allclose(W, 1 / (10.0 * (1 - a) * a**3), rtol=1e-7)


def test_random_subspaces_have_mean_square_cosine_d_over_n(example):
    states = np.random.default_rng(4).standard_normal((500, 40)) * np.r_[np.full(4, 10.0), np.full(36, 1e-6)]
    plain, covariance = example.random_cosines(np.random.default_rng(5), 3, states, n_draws=300)
    # the sum of squares has mean d^2 / n; its spread is below its mean
    assert_allclose((plain**2).sum(axis=1).mean(), 9 / 40, atol=5 * 9 / 40 / np.sqrt(300))
    # states of 4 directions only: 3-dimensional subspaces of 4 dimensions share 2, and the sum has mean 9 / 4
    assert_allclose(covariance[:, :2], 1.0, atol=1e-3)
    assert_allclose((covariance**2).sum(axis=1).mean(), 9 / 4, atol=5 * 0.3 / np.sqrt(300))


@pytest.mark.slow
def test_local_rule_learns_probability_and_time_anew_where_least_squares_needs_to_forget(example):
    task, rows = example.outcomes(), {name: [] for name in example.RULES}
    for seed in (10, 11, 12):
        result = example.experiment(seed, task, 200, n_before=100, n_after=100)
        assert 2 < result.rates[0] < 8 and 5 < result.rates[1] < 20  # Hz: it neither falls silent nor bursts
        for name, learnt in result.when.items():
            rows[name].append(example.report(task, learnt, result.test.mean(axis=0)))
    local, still, forgetting = (example.Report(*np.mean(rows[name], axis=0)) for name in example.RULES)
    # wanted 1, 1, 0, 1. Outcomes are drawn: over networks slopes spread by 0.05 (before) to 0.1 (halves of them)
    for rule in (local, forgetting):
        assert_allclose(rule.before, 1.0, atol=0.1)
        assert_allclose([rule.moved, rule.new_p], 1.0, atol=0.2)
        assert_allclose(rule.left_behind, 0.0, atol=0.1)
    # without forgetting all trials count alike: half of the old latency, half of the new; (p + 1.2 - p) / 2 = 0.6
    assert_allclose(still.before, 1.0, atol=0.1)
    assert_allclose([still.moved, still.left_behind, still.new_p], [0.5, 0.5, 0.0], atol=0.1)
