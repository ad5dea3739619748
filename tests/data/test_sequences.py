"""Sequence tasks against their definitions, element by element."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.data import (
    Sequences,
    adding,
    copy_memory,
    delayed_match,
    flip_flop,
    integration,
    n_back,
    parity,
    sequence_memory,
)

TASKS = {
    "flip_flop": lambda seed: flip_flop(3, n_steps=40, n_series=6, seed=seed),
    "parity": lambda seed: parity(40, n_series=6, seed=seed),
    "parity of a window": lambda seed: parity(40, n_series=6, window=5, seed=seed),
    "integration": lambda seed: integration(40, n_series=6, seed=seed),
    "adding": lambda seed: adding(40, n_series=6, seed=seed),
    "copy_memory": lambda seed: copy_memory(20, n_series=6, seed=seed),
    "sequence_memory": lambda seed: sequence_memory(5, n_series=6, seed=seed),
    "delayed_match": lambda seed: delayed_match(10, n_series=40, seed=seed),
    "n_back": lambda seed: n_back(2, n_steps=40, n_series=6, seed=seed),
}
seeds = st.integers(0, 10_000)


@pytest.mark.parametrize("name", list(TASKS))
def test_shapes_fit_and_the_seed_decides(name):
    task, again, other = TASKS[name](1), TASKS[name](1), TASKS[name](2)
    assert isinstance(task, Sequences) and task.inputs.shape[:2] == task.targets.shape[:2] == task.mask.shape
    assert task.inputs.dtype == task.targets.dtype == np.float64 and task.mask.dtype == bool
    for part, same in zip(task, again, strict=True):
        np.testing.assert_array_equal(part, same)
    assert (task.inputs != other.inputs).any()
    assert task.mask.any(axis=1).all() and str(task.inputs.shape) in repr(task)


@given(seed=seeds, n_bits=st.integers(1, 4), p_pulse=st.floats(0.01, 1))
@settings(deadline=None, max_examples=20)
def test_flip_flop_asks_for_the_last_pulse(seed, n_bits, p_pulse):
    task = flip_flop(n_bits, n_steps=30, n_series=3, p_pulse=p_pulse, seed=seed)
    assert set(np.unique(task.inputs)) <= {-1.0, 0.0, 1.0} and task.mask.all()
    for u, y in zip(task.inputs, task.targets, strict=True):
        for channel in range(n_bits):
            last = None
            for t in range(30):
                last = u[t, channel] if u[t, channel] else last
                assert y[t, channel] == last


def test_pulses_come_as_often_as_asked_and_with_both_signs():
    u = flip_flop(2, n_steps=1001, n_series=100, p_pulse=0.2, seed=0).inputs[:, 1:]
    # 200 000 draws: standard error of the rate 0.0009, of the mean sign 0.005
    assert abs((u != 0).mean() - 0.2) < 0.004
    assert abs(u[u != 0].mean()) < 0.02


@given(seed=seeds, window=st.one_of(st.none(), st.integers(1, 20)))
@settings(deadline=None, max_examples=20)
def test_parity_counts_the_ones(seed, window):
    task = parity(20, n_series=3, window=window, seed=seed)
    for bits, y, asked in zip(task.inputs[..., 0], task.targets[..., 0], task.mask, strict=True):
        for t in range(20):
            if window is None or t >= window - 1:
                start = 0 if window is None else t - window + 1
                assert y[t] == sum(bits[start : t + 1]) % 2 and asked[t]
            else:
                assert not asked[t]


@pytest.mark.parametrize("window", [None, 1, 4])
def test_parity_bits_and_answers_are_balanced(window):
    task = parity(200, n_series=500, window=window, seed=0)
    assert set(np.unique(task.inputs)) == {0.0, 1.0}
    # 100 000 fair bits, and as many answers that are fair and pairwise independent: standard error 0.0016
    assert abs(task.inputs.mean() - 0.5) < 0.007
    assert abs(task.targets[task.mask].mean() - 0.5) < 0.007


@pytest.mark.parametrize("decay", [1.0, 0.8])
def test_integration_sums_what_is_left_of_every_input(decay):
    task = integration(25, n_series=3, decay=decay, scale=0.5, seed=0)
    for u, y in zip(task.inputs[..., 0], task.targets[..., 0], strict=True):
        expected = [sum(decay**k * u[t - k] for k in range(t + 1)) for t in range(25)]
        np.testing.assert_allclose(y, expected, atol=1e-13)  # 25 terms of order 1
    u = integration(1000, n_series=50, scale=0.5, seed=1).inputs
    # 50 000 draws: standard error of the mean 0.0022, of the deviation 0.0016
    assert abs(u.mean()) < 0.01 and abs(u.std() - 0.5) < 0.008


@given(seed=seeds, n_steps=st.integers(2, 30))
@settings(deadline=None, max_examples=20)
def test_adding_asks_for_the_sum_of_the_two_marked_numbers(seed, n_steps):
    task = adding(n_steps, n_series=5, seed=seed)
    for (u, marker), y, asked in zip(task.inputs.transpose(0, 2, 1), task.targets[..., 0], task.mask, strict=True):
        first, second = np.flatnonzero(marker)
        assert first < n_steps // 2 <= second and (marker[[first, second]] == 1).all()
        assert y[-1] == u[first] + u[second] and (u >= 0).all() and (u < 1).all()
        assert asked[-1] and asked.sum() == 1
        assert (y[:first] == 0).all() and (y[first:second] == u[first]).all()


def test_always_answering_one_to_adding_errs_by_a_sixth():
    task = adding(20, n_series=50_000, seed=0)
    # var of the squared error: E (s-1)^4 - 1/36 = 1/15 - 1/36, so the standard error is 0.0009
    assert abs(((task.targets[task.mask] - 1) ** 2).mean() - 1 / 6) < 0.004


@given(seed=seeds, delay=st.integers(1, 10), length=st.integers(1, 5), n_symbols=st.integers(1, 5))
@settings(deadline=None, max_examples=20)
def test_copy_memory_repeats_the_sequence_after_the_go(seed, delay, length, n_symbols):
    task = copy_memory(delay, length=length, n_symbols=n_symbols, n_series=3, seed=seed)
    assert task.inputs.shape == (3, 2 * length + delay, n_symbols + 2) and task.targets.shape[2] == n_symbols + 1
    assert (task.inputs.sum(axis=2) == 1).all() and (task.targets.sum(axis=2) == 1).all()
    blank, go = n_symbols, n_symbols + 1
    for fed, asked, mask in zip(task.inputs.argmax(2), task.targets.argmax(2), task.mask, strict=True):
        sequence = list(fed[:length])
        assert max(sequence) < n_symbols
        assert list(fed[length:]) == [blank] * (delay - 1) + [go] + [blank] * length
        assert list(asked) == [blank] * (length + delay) + sequence
        assert list(mask) == [False] * (length + delay) + [True] * length


@given(seed=seeds, length=st.integers(1, 5), n_symbols=st.integers(1, 4), max_delay=st.integers(0, 6))
@settings(deadline=None, max_examples=20)
def test_sequence_memory_repeats_the_sequence_from_the_cue_on(seed, length, n_symbols, max_delay):
    task = sequence_memory(length, n_symbols=n_symbols, max_delay=max_delay, n_series=4, seed=seed)
    assert task.inputs.shape == (4, 2 * length + max_delay, n_symbols + 1)
    for u, y, mask in zip(*task, strict=True):
        (cue,) = np.flatnonzero(u[:, -1])
        assert length <= cue <= length + max_delay
        np.testing.assert_array_equal(y[cue : cue + length], u[:length, :-1])
        assert (u[:length, :-1].sum(axis=1) == 1).all() and u.sum() == length + 1
        assert y.sum() == length and list(np.flatnonzero(mask)) == list(range(cue, cue + length))


def test_every_delay_of_sequence_memory_occurs_equally_often():
    cue = sequence_memory(1, max_delay=4, n_series=10_000, seed=0).inputs[..., -1].argmax(axis=1)
    counts = np.bincount(cue - 1, minlength=5)
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(10_000 * 0.2 * 0.8)  # five standard deviations


@given(seed=seeds, delay=st.integers(0, 6), n_symbols=st.integers(2, 5))
@settings(deadline=None, max_examples=20)
def test_delayed_match_compares_the_two_symbols(seed, delay, n_symbols):
    task = delayed_match(delay, n_symbols=n_symbols, n_series=10, seed=seed)
    for u, y, mask in zip(*task, strict=True):
        assert u.shape == (delay + 2, n_symbols) and (u[1:-1] == 0).all()
        assert u[0].sum() == u[-1].sum() == 1
        assert y[-1, 0] == (u[0].argmax() == u[-1].argmax()) and (y[:-1] == 0).all()
        assert list(np.flatnonzero(mask)) == [delay + 1]


@given(seed=seeds, n=st.integers(1, 5), n_symbols=st.integers(2, 5), p_match=st.floats(0.1, 0.9))
@settings(deadline=None, max_examples=20)
def test_n_back_compares_with_the_symbol_n_steps_ago(seed, n, n_symbols, p_match):
    task = n_back(n, n_steps=15, n_symbols=n_symbols, p_match=p_match, n_series=4, seed=seed)
    for u, y, mask in zip(*task, strict=True):
        assert (u.sum(axis=1) == 1).all()
        symbols = u.argmax(axis=1)
        assert list(y[:, 0]) == [float(t >= n and symbols[t] == symbols[t - n]) for t in range(15)]
        assert list(np.flatnonzero(mask)) == list(range(n, 15))


@pytest.mark.parametrize("n_symbols, p_match", [(2, 0.5), (4, 0.3)])
def test_matches_come_as_often_as_asked_and_symbols_evenly(n_symbols, p_match):
    task = n_back(3, n_steps=203, n_symbols=n_symbols, p_match=p_match, n_series=500, seed=0)
    assert abs(task.targets[task.mask].mean() - p_match) < 0.008  # 100 000 draws: standard error below 0.0016
    # runs of matches repeat symbols, which widens the error of their frequencies to below 0.003
    assert np.abs(task.inputs.mean(axis=(0, 1)) - 1 / n_symbols).max() < 0.015
    matches = delayed_match(2, n_symbols=n_symbols, n_series=20_000, seed=0)
    assert abs(matches.targets[:, -1].mean() - 0.5) < 0.018  # standard error 0.0035


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: flip_flop(0, seed=0), "n_bits must be at least 1"),
        (lambda: flip_flop(p_pulse=0, seed=0), r"p_pulse must lie in \(0, 1\]"),
        (lambda: flip_flop(n_steps=0, seed=0), "n_steps must be at least 1"),
        (lambda: parity(10, window=11, seed=0), "window must be at most n_steps=10, got 11"),
        (lambda: parity(10, window=0, seed=0), "window must be at least 1"),
        (lambda: integration(10, decay=1.1, seed=0), r"decay must lie in \(0, 1\]"),
        (lambda: integration(10, scale=0, seed=0), "scale must be above 0"),
        (lambda: adding(1, seed=0), "n_steps must be at least 2"),
        (lambda: copy_memory(0, seed=0), "delay must be at least 1"),
        (lambda: sequence_memory(max_delay=-1, seed=0), "max_delay must be at least 0"),
        (lambda: delayed_match(3, n_symbols=1, seed=0), "n_symbols must be at least 2"),
        (lambda: n_back(3, n_steps=3, seed=0), "n_steps must be at least 4"),
        (lambda: n_back(p_match=1.0, seed=0), r"p_match must lie in \(0, 1\)"),
        (lambda: parity(10, n_series=0, seed=0), "n_series must be at least 1"),
        (lambda: parity(10, seed=-1), "seed must be at least 0"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
