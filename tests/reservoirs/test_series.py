"""Forms of series, their scaling, and states streamed in pieces."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from penstock import SystemDefaults
from penstock.reservoirs import ESN
from penstock.reservoirs.series import BATCH, BLOCK_ELEMENTS, Scaling, as_series, block_size, state_blocks

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("value", "shapes", "kind", "flat"),
    [
        (np.ones(5), [(5, 1)], None, True),
        ([1, 2, 3], [(3, 1)], None, True),
        (np.ones((5, 2)), [(5, 2)], None, False),
        ([[1.0, 2.0], [3.0, 4.0]], [(2, 2)], None, False),
        (np.ones((3, 5, 2)), [(5, 2)] * 3, np.ndarray, False),
        ([np.ones((5, 2)), np.ones((3, 2))], [(5, 2), (3, 2)], list, False),
        ((np.ones(5), np.ones(5)), [(5, 1), (5, 1)], list, True),
        ([np.float64(1.0), np.float64(2.0)], [(2, 1)], None, True),
    ],
)
def test_every_form_is_parts_of_one_width(value, shapes, kind, flat):
    series = as_series("X", value)
    assert [part.shape for part in series.parts] == shapes
    assert (series.kind, series.flat, series.n_channels) == (kind, flat, shapes[0][1])
    again = series.like(series.parts, flat)
    assert type(again) is (list if kind is list else np.ndarray)
    for a, b in zip([again] if kind is None else again, [value] if kind is None else value, strict=True):
        assert_array_equal(a, b)


def test_gaps_stay_gaps_where_they_may_be():
    values = as_series("y", [1.0, np.nan, 3.0], missing=True).parts[0][:, 0]
    assert_array_equal(values, [1.0, np.nan, 3.0])


@pytest.mark.parametrize(
    ("value", "missing", "message"),
    [
        ([], False, "X must hold at least one series, got an empty list"),
        (np.empty((0, 5, 2)), False, r"X must hold at least one series, got shape \(0, 5, 2\)"),
        (np.empty((0, 2)), False, r"X must have at least one step and one channel, got shape \(0, 2\)"),
        ([np.ones(3), np.ones(0)], False, r"X\[1\] must have at least one step"),
        ([np.ones((3, 2)), np.ones((3, 1))], False, r"X\[1\] must have 2 channels like the first series, got 1"),
        ([np.ones(3), np.array([1.0, np.nan])], False, r"X\[1\] must be finite, got nan at index \(1,\)"),
        (np.ones((2, 2, 2, 2)), False, "X must have 1 or 2 or 3 dimensions"),
        ([[1.0, 2.0], [3.0]], False, "X must be a regular array"),
        (np.float64(3.0), False, "X must have 1 or 2 or 3 dimensions"),
        (None, False, "X must be given, got None"),
        (["a", "b"], False, "X must hold real numbers"),
        ([np.ones(3), np.array(["a"])], True, r"X\[1\] must hold real numbers"),
        ([1.0, np.inf], True, "X must be finite, got inf"),
    ],
)
def test_bad_series_are_named(value, missing, message):
    with pytest.raises((ValueError, TypeError), match=message):
        as_series("X", value, missing=missing)


def test_scaling_is_to_mean_0_and_variance_1_of_all_parts_gaps_left_out_and_back():
    parts = [RNG.normal([3, -100, 5], [2, 1e-3, 0], (n, 3)) for n in (40, 70)]
    parts[1][3, 0] = np.nan
    scaling = Scaling.of(parts)
    whole = np.concatenate([scaling(part) for part in parts])
    assert_allclose(np.nanmean(whole, axis=0), 0, atol=1e-10)  # 1e5 standard deviations from 0: rounding of the mean
    assert_allclose(np.nanstd(whole[:, :2], axis=0), 1, rtol=1e-10)
    assert_array_equal(whole[:, 2], 0)  # a constant is centred only
    assert_allclose(scaling.undo(scaling(parts[0])), parts[0], rtol=1e-14)
    assert_array_equal(Scaling.none(3)(parts[0]), parts[0])


@given(lengths=st.lists(st.integers(1, 700), min_size=1, max_size=90), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_pieces_put_together_are_the_states_of_every_series_in_order(lengths, seed):
    esn = ESN.random(4, seed=0)
    drives = [np.random.default_rng(seed).uniform(-1, 1, (length, 1)) for length in lengths]
    pieces = list(state_blocks(esn, drives))
    assert [i for i, start, _ in pieces if start == 0] == list(range(len(drives)))
    for i, drive in enumerate(drives):
        own = [states for j, _, states in pieces if i == j]
        assert_allclose(np.concatenate(own), esn.run(drive), atol=1e-13)  # a product per step rounds otherwise


class Recorder(SystemDefaults):
    """Units that see the input, and record how much is asked for at a time."""

    n_units, n_inputs = 2048, 1

    def __init__(self):
        self.sizes = []

    def step(self, x, u):
        return np.tile(u, 2048)

    def _run(self, u, x0, out):
        self.sizes.append(u.shape)
        out[...] = u
        return False


def test_long_series_come_in_pieces_short_ones_together_and_none_is_large():
    system = Recorder()
    drives = [np.full((length, 1), float(i)) for i, length in enumerate([1300] + [3] * 150 + [600])]
    starts = []
    for i, start, states in state_blocks(system, drives):
        assert (states == i).all()
        starts += [(i, start)] if start else []
    assert starts == [(0, 512), (0, 1024), (151, 512)]  # 2^20 values are 512 rows of 2048
    assert all(np.prod(size) * 2048 <= BLOCK_ELEMENTS for size in system.sizes)
    assert [size[0] for size in system.sizes if len(size) == 3] == [BATCH, BATCH, 150 - 2 * BATCH]


@pytest.mark.parametrize(("shape", "steps"), [((10**6, 1), 512), ((4, 10**6, 1), 128), ((1000, 10**6, 1), 8)])
def test_blocks_of_batches_hold_as_many_values(shape, steps):
    assert block_size(Recorder(), np.broadcast_to(0.0, shape)) == steps
