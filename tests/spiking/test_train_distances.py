import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from penstock.spiking import (
    SpikeTrains,
    van_rossum_distance,
    van_rossum_distances,
    victor_purpura_distance,
    victor_purpura_distances,
)

spikes = st.lists(st.floats(0.0, 100.0), max_size=8).map(sorted)
scales = st.floats(0.1, 200.0)


def brute_van_rossum(a, b, tau):
    """All pairs of spikes: the integral of the product of two decays d apart is tau / 2 exp(-d / tau)."""
    times, signs = np.array([*a, *b]), np.array([1.0] * len(a) + [-1.0] * len(b))
    if not len(times):
        return 0.0
    return np.sqrt(max(signs @ np.exp(-np.abs(times[:, None] - times) / tau) @ signs / 2, 0))


def brute_victor_purpura(a, b, cost):
    """The recursion as written down, without a table."""
    if not len(a) or not len(b):
        return float(len(a) + len(b))
    return min(
        brute_victor_purpura(a[:-1], b, cost) + 1,
        brute_victor_purpura(a, b[:-1], cost) + 1,
        brute_victor_purpura(a[:-1], b[:-1], cost) + cost * abs(a[-1] - b[-1]),
    )


DISTANCES = pytest.mark.parametrize("distance", [van_rossum_distance, victor_purpura_distance])


# --- van Rossum -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.5, 10.0, 1e4])
def test_one_spike_against_none_is_one_half(tau):
    assert van_rossum_distance([30.0], [], tau) ** 2 == pytest.approx(0.5, rel=1e-15)
    assert van_rossum_distance([], [30.0], tau) ** 2 == pytest.approx(0.5, rel=1e-15)


@pytest.mark.parametrize("lag", [1e-9, 0.1, 3.0, 50.0])
def test_two_single_spikes_lie_1_minus_exp_of_their_lag_apart(lag):
    assert_allclose(
        van_rossum_distance([lag], [0.0], 7.0) ** 2, -np.expm1(-lag / 7), rtol=1e-6 if lag < 1e-6 else 1e-14
    )


def test_the_limits_of_tau_compare_numbers_and_coincidences():
    a, b = [1.0, 20.0, 40.0, 50.0], [20.0, 60.0]
    assert_allclose(2 * van_rossum_distance(a, b, 1e12) ** 2, (4 - 2) ** 2, rtol=1e-9)  # 1 / tau of the spread
    assert_allclose(2 * van_rossum_distance(a, b, 1e-3) ** 2, 4 + 2 - 2 * 1, rtol=1e-12)  # one spike coincides


def test_it_is_the_integral_of_the_squared_difference():
    rng = np.random.default_rng(0)
    a, b, tau = np.sort(rng.uniform(0, 100, 12)), np.sort(rng.uniform(0, 100, 9)), 8.0
    dt = 1e-3
    t = np.arange(0, 400, dt) + dt / 2
    f, g = (np.where(t[:, None] >= s, np.exp(np.minimum(s - t[:, None], 0) / tau), 0).sum(axis=1) for s in (a, b))
    # the midpoint rule errs by about a step at each jump
    assert_allclose(van_rossum_distance(a, b, tau) ** 2, ((f - g) ** 2).sum() * dt / tau, rtol=2e-3)


@given(spikes, spikes, scales)
@settings(deadline=None, max_examples=100)
def test_it_is_the_sum_over_all_pairs_of_spikes(a, b, tau):
    # the sum over pairs cancels: its square is good to 1e-14 or so
    assert_allclose(van_rossum_distance(a, b, tau) ** 2, brute_van_rossum(a, b, tau) ** 2, rtol=1e-12, atol=1e-13)


def test_nearly_equal_trains_keep_their_small_distance():
    a = np.arange(1.0, 1001.0)
    b = a.copy()
    b[500] += 1e-7
    # D^2 = 1e-7 / tau: the sum over 4 million pairs would lose it
    assert_allclose(van_rossum_distance(a, b, 10.0) ** 2, 1e-8, rtol=1e-5)


def test_a_pause_longer_than_any_exponent_is_no_overflow():
    assert van_rossum_distance([0.0], [1e9], 1e-6) ** 2 == pytest.approx(1, rel=1e-15)


# --- Victor and Purpura ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lag", [0.0, 0.5, 3.9, 4.1, 50.0])
def test_two_single_spikes_cost_a_move_or_two_changes(lag):
    assert_allclose(victor_purpura_distance([20.0], [20.0 + lag], 0.5), min(0.5 * lag, 2), rtol=1e-14)


def test_the_limits_of_the_cost_count_spikes():
    a, b = [1.0, 20.0, 40.0, 50.0], [20.0, 60.0]
    assert victor_purpura_distance(a, b, 0.0) == 4 - 2
    assert victor_purpura_distance(a, b, 1e9) == 4 + 2 - 2 * 1


def test_a_hand_worked_pair():
    # 10 -> 12 costs 0.4, 30 -> 29 costs 0.2, 55 has no partner nearer than 10 ms
    assert_allclose(victor_purpura_distance([10.0, 30.0, 55.0], [12.0, 29.0, 80.0], 0.2), 0.4 + 0.2 + 2, rtol=1e-14)


@given(spikes.map(lambda s: s[:5]), spikes.map(lambda s: s[:5]), st.floats(0.0, 2.0))
@settings(deadline=None, max_examples=60)
def test_it_is_the_recursion_as_written_down(a, b, cost):
    assert_allclose(victor_purpura_distance(a, b, cost), brute_victor_purpura(a, b, cost), rtol=1e-12, atol=1e-13)


# --- both are metrics -----------------------------------------------------------------------------------------------


@DISTANCES
@given(spikes, spikes, scales)
@settings(deadline=None, max_examples=60)
def test_symmetry(distance, a, b, scale):
    assert_allclose(distance(a, b, scale), distance(b, a, scale), rtol=1e-12, atol=1e-12)


@DISTANCES
@given(spikes, spikes, scales)
@settings(deadline=None, max_examples=60)
def test_identity(distance, a, b, scale):
    assert distance(a, a, scale) == 0
    assume(len(a) != len(b) or max(np.abs(np.subtract(a, b)), default=0) > 1e-3)
    assert distance(a, b, scale) > 0


@DISTANCES
@given(spikes, spikes, spikes, scales)
@settings(deadline=None, max_examples=100)
def test_triangle_inequality(distance, a, b, c, scale):
    assert distance(a, c, scale) <= distance(a, b, scale) + distance(b, c, scale) + 1e-12


@DISTANCES
@given(spikes, spikes, scales, st.floats(-1000.0, 1000.0))
@settings(deadline=None, max_examples=60)
def test_a_shift_of_both_changes_nothing(distance, a, b, scale, shift):
    shifted = distance(np.add(a, shift), np.add(b, shift), scale)
    # times near 1000 ms round by 1e-13 ms, and the root magnifies what D^2 loses near 0
    assert_allclose(shifted**2, distance(a, b, scale) ** 2, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("matrix", "distance"),
    [(van_rossum_distances, van_rossum_distance), (victor_purpura_distances, victor_purpura_distance)],
    ids=["van Rossum", "Victor-Purpura"],
)
def test_the_matrix_holds_the_distances_of_all_pairs(matrix, distance):
    rng = np.random.default_rng(1)
    trains = SpikeTrains(rng.uniform(0, 200, 80), rng.integers(0, 6, 80), 8, t_stop=200.0)  # two are silent
    result = matrix(trains, 3.0)
    for i in range(8):
        for j in range(8):
            assert_allclose(result[i, j], distance(trains[i], trains[j], 3.0), rtol=1e-12)
    order = [5, 0, 7, 2]
    assert_array_equal(matrix(trains.select(order), 3.0) > 0, result[np.ix_(order, order)] > 0)
    assert_allclose(matrix(trains.select(order), 3.0), result[np.ix_(order, order)], rtol=1e-12)


def test_silent_populations_lie_at_one_point():
    silent = SpikeTrains([], [], 3, t_stop=10.0)
    assert not van_rossum_distances(silent, 1.0).any() and not victor_purpura_distances(silent, 1.0).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: van_rossum_distance([1.0], [2.0], 0.0), "tau must be above 0"),
        (lambda: van_rossum_distance([1.0], [2.0], None), "tau must be a number"),
        (lambda: van_rossum_distance([2.0, 1.0], [2.0], 1.0), "first must be sorted"),
        (lambda: van_rossum_distance([1.0], [2.0, 1.0], 1.0), "second must be sorted"),
        (lambda: van_rossum_distance([np.nan], [2.0], 1.0), "first must be finite"),
        (lambda: van_rossum_distance(None, [2.0], 1.0), "first must hold real numbers"),
        (lambda: van_rossum_distance([1.0], 2.0, 1.0), "second must have 1 dim"),
        (lambda: victor_purpura_distance([1.0], [2.0], -0.1), "cost must be at least 0"),
        (lambda: victor_purpura_distance([1.0], [2.0], np.inf), "cost must be finite"),
        (lambda: victor_purpura_distance([1.0], [2.0], "1"), "cost must be a number"),
        (lambda: victor_purpura_distance([1.0], ["a"], 1.0), "second must hold real numbers"),
        (lambda: van_rossum_distances([[1.0]], 1.0), "trains must be SpikeTrains"),
        (lambda: victor_purpura_distances(None, 1.0), "trains must be SpikeTrains"),
        (lambda: victor_purpura_distances(SpikeTrains([], [], 1, t_stop=1.0), True), "cost must be a number"),
        (lambda: van_rossum_distances(SpikeTrains([], [], 1, t_stop=1.0), -1.0), "tau must be above 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
