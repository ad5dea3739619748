import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from published import REGULARITY

from penstock.spiking import (
    SpikeTrains,
    compare_statistics,
    count_correlation,
    cv,
    cv2,
    fano_factor,
    firing_rates,
    isi,
    lv,
    lvr,
    power_spectrum,
    synchrony,
)

PER_UNIT = {"cv": cv, "cv2": cv2, "lv": lv, "lvr": lvr, "firing_rates": firing_rates}
interval_lists = st.lists(st.lists(st.floats(0.1, 50.0), max_size=12), min_size=2, max_size=4)


def trains_of(*trains, t_stop=None):
    times = np.concatenate([np.asarray(times, dtype=float) for times in trains])
    ids = np.repeat(np.arange(len(trains)), [len(times) for times in trains])
    return SpikeTrains(times, ids, len(trains), t_stop=times.max() + 1 if t_stop is None else t_stop)


def renewal(order, n_intervals, seed):
    """A gamma process of that order with intervals of mean 10 ms."""
    intervals = np.random.default_rng(seed).gamma(order, 10 / order, n_intervals)
    return trains_of(np.cumsum(intervals))


def poisson(n, rate, duration, seed):
    rng = np.random.default_rng(seed)
    size = rng.poisson(n * rate * duration / 1000)
    return SpikeTrains(rng.uniform(0, duration, size), rng.integers(0, n, size), n, t_stop=duration)


# --- one unit -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", REGULARITY, ids=["five", "elephant"])
def test_published_intervals_have_their_published_statistics(known):
    trains = trains_of(np.cumsum([7.0, *known.intervals]))
    assert_allclose(cv(trains), known.cv, atol=1e-10)  # as printed
    assert_allclose(cv2(trains), known.cv2, rtol=1e-12)
    assert_allclose(lv(trains), known.lv, rtol=1e-11)
    assert_allclose(lvr(trains, 5.0), known.lvr, rtol=1e-9)


def test_variance_over_one_less_than_the_intervals():
    trains = trains_of(np.cumsum([1.0, 10, 20, 10, 30, 15]))
    assert_allclose(cv(trains, ddof=1), 0.4921529568, atol=1e-10)


def test_lvr_without_a_refractory_time_is_lv():
    trains = renewal(2, 500, seed=0)
    assert_allclose(lvr(trains, 0.0), lv(trains), rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_gamma_processes_have_cv_1_over_root_k_and_lv_3_over_2k_plus_1(order):
    # order 1 is the Poisson process: CV = LV = CV2 = 1. 40,000 intervals: standard errors near 0.005.
    trains = renewal(order, 40_000, seed=order)
    assert_allclose(cv(trains), order**-0.5, atol=0.02)
    assert_allclose(lv(trains), 3 / (2 * order + 1), atol=0.02)
    # E abs(a - b) / (a + b) for gamma intervals: (a - b) / (a + b) = 2 B - 1 with B ~ beta(k, k)
    beta = scipy.stats.beta(order, order)
    assert_allclose(cv2(trains), 2 * beta.expect(lambda b: abs(2 * b - 1)), atol=0.02)
    if order == 1:
        assert_allclose(cv2(trains), 1, atol=0.02)


def test_poisson_counts_have_fano_factor_1():
    # 4000 windows: standard deviation sqrt(2 / 4000) = 0.022 a unit, of the mean of 20 units 0.005
    factors = fano_factor(poisson(20, 40, 400_000, seed=0), 100.0)
    assert_allclose(factors.mean(), 1, atol=0.02)
    assert_allclose(factors, 1, atol=0.1)


def test_the_fano_factor_of_a_renewal_process_tends_to_its_squared_cv():
    assert_allclose(fano_factor(renewal(4, 40_000, seed=3), 500.0), 1 / 4, atol=0.05)  # 800 windows: 5 % each


def test_fano_factor_is_variance_over_mean_of_window_counts():
    trains = trains_of([1.0, 2.0, 11.0, 25.0], [5.0, 15.0, 25.0], [], t_stop=30.0)
    assert_allclose(fano_factor(trains, 10.0)[:2], [np.var([2, 1, 1]) / (4 / 3), 0])
    assert_allclose(fano_factor(trains, 10.0, ddof=1)[:2], [np.var([2, 1, 1], ddof=1) / (4 / 3), 0])
    assert np.isnan(fano_factor(trains, 10.0)[2])


def test_rates_count_spikes_per_second_of_the_window():
    trains = SpikeTrains([150.0, 160.0, 180.0], [0, 0, 2], 3, t_start=100.0, t_stop=200.0)
    assert firing_rates(trains).tolist() == [20.0, 0.0, 10.0]


def test_intervals_are_those_between_a_units_own_spikes():
    trains = trains_of([1.0, 4.0, 9.0], [2.0], [3.0, 5.0])
    assert [d.tolist() for d in isi(trains)] == [[3.0, 5.0], [], [2.0]]


@pytest.mark.parametrize("statistic", [cv, cv2, lv, lvr])
def test_units_with_less_than_three_spikes_are_nan(statistic):
    result = statistic(trains_of([], [1.0], [1.0, 2.0], [1.0, 2.0, 4.0]))
    assert_array_equal(np.isnan(result), [True, True, True, False])


@pytest.mark.parametrize("statistic", [cv, cv2, lv, lvr])
def test_regular_trains_have_no_variation_and_coincident_spikes_no_statistic(statistic):
    result = statistic(trains_of(np.arange(1.0, 9.0), [3.0, 3.0, 3.0]))
    assert_allclose(result, [0, np.nan], atol=1e-15)


@given(interval_lists, st.floats(0.1, 1000.0))
@settings(deadline=None, max_examples=30)
def test_statistics_do_not_change_with_a_shift_in_time(intervals, shift):
    trains = [np.cumsum(unit) for unit in intervals]
    before, after = trains_of(*trains, t_stop=2000.0), trains_of(*[t + shift for t in trains], t_stop=2000.0)
    for statistic in PER_UNIT.values():
        # intervals of 0.1 ms carry rounding errors of 1e-13 ms at 1000 ms
        assert_allclose(statistic(after), statistic(before), rtol=1e-9, atol=1e-9)


@given(interval_lists)
@settings(deadline=None, max_examples=30)
def test_statistics_move_with_their_units(intervals):
    trains = trains_of(*[np.cumsum(unit) for unit in intervals], t_stop=1000.0)
    order = np.arange(len(intervals))[::-1]
    for statistic in PER_UNIT.values():
        assert_array_equal(statistic(trains.select(order)), statistic(trains)[order])
    assert_allclose(count_correlation(trains.select(order), 5.0), count_correlation(trains, 5.0)[order][:, order])
    assert_allclose(synchrony(trains.select(order).counts(5.0)), synchrony(trains.counts(5.0)), rtol=1e-12)


# --- the population -------------------------------------------------------------------------------------------------


def test_correlations_are_those_of_numpy():
    trains = poisson(5, 50, 2000, seed=1)
    assert_allclose(count_correlation(trains, 10.0), np.corrcoef(trains.counts(10.0).T), rtol=1e-12, atol=1e-14)


def test_independent_poisson_trains_correlate_by_one_over_root_bins():
    pairs = count_correlation(poisson(40, 20, 20_000, seed=2), 5.0)[np.triu_indices(40, 1)]
    assert abs(pairs.mean()) < 4 / np.sqrt(4000 * len(pairs))
    assert_allclose(pairs.std(), 1 / np.sqrt(4000), rtol=0.1)  # 780 pairs: 2.5 % expected


def test_units_that_never_change_have_no_correlation():
    trains = trains_of([1.0, 6.0, 11.0], [2.0], [3.0], t_stop=15.0)  # one spike in every bin of 5 ms
    correlation = count_correlation(trains, 5.0)
    assert np.isnan(correlation[0]).all() and np.isnan(correlation[:, 0]).all()
    assert_allclose(correlation[1:, 1:], 1.0)


def test_identical_trains_have_synchrony_1():
    times = np.sort(np.random.default_rng(0).uniform(0, 500, 40))
    trains = trains_of(times, times, times, t_stop=500.0)
    assert_allclose([synchrony(trains.filtered(10.0)), synchrony(trains.counts(2.0))], 1, rtol=1e-12)


def test_independent_units_have_synchrony_one_over_root_n():
    # chi^2 = 1 / n up to 1 / sqrt(number of independent samples)
    assert_allclose(synchrony(poisson(100, 20, 50_000, seed=3).counts(2.0)), 0.1, rtol=0.03)


def test_synchrony_is_the_root_of_variance_of_mean_over_mean_of_variance():
    signals = np.random.default_rng(0).standard_normal((50, 4)) * [1, 2, 3, 0]
    expected = np.var(signals.mean(axis=1)) / np.mean([np.var(s) for s in signals.T])
    assert_allclose(synchrony(signals) ** 2, expected, rtol=1e-12)
    assert np.isnan(synchrony(np.ones((5, 3))))


def test_a_segment_is_cut_to_whole_bins():
    spectrum = power_spectrum(SpikeTrains([5.0], [0], 1, t_stop=200.0), bin=2.0, segment=51.9)
    assert spectrum.segment == 50.0
    assert_allclose(np.diff(spectrum.frequencies), 1000 / 50.0)


@pytest.mark.parametrize(("n", "rate"), [(1, 50.0), (20, 8.0)])
def test_the_spectrum_of_poisson_trains_is_flat_at_rate_over_n(n, rate):
    trains = poisson(n, rate, 200_000, seed=4)
    spectrum = power_spectrum(trains, bin=1.0, segment=200.0)
    level = trains.n_spikes / n / 200 / n
    assert_allclose(spectrum.poisson_level, level, rtol=1e-12)
    # 2000 half-overlapping pieces: standard deviation sqrt(1.06 / 1000) = 3 % per frequency, 100 frequencies
    assert_allclose(spectrum.power.mean(), level, rtol=0.02)
    assert_allclose(spectrum.power, level, rtol=0.13)
    assert_allclose(spectrum.frequencies, np.arange(1, 101) * 5.0)


def test_the_spectrum_over_all_frequencies_is_the_variance_of_the_rate():
    # Parseval: two-sided, so the positive half counts twice
    trains = poisson(3, 30, 100_000, seed=5)
    spectrum = power_spectrum(trains, bin=2.0, segment=500.0)
    step = spectrum.frequencies[1] - spectrum.frequencies[0]
    assert step == pytest.approx(1000 / 500)
    assert_allclose(2 * spectrum.power.sum() * step, trains.rate(2.0).var(), rtol=0.03)


def test_a_rhythm_peaks_at_its_frequency():
    # rate 20 (1 + cos 2 pi 30 t): Hz; the line has area (20 / 2)^2 two-sided, a Hann window spreads it over 1.5 bins
    rng = np.random.default_rng(6)
    times = rng.uniform(0, 50_000, 50 * 2000)
    times = times[rng.uniform(0, 2, len(times)) < 1 + np.cos(2 * np.pi * 0.030 * times)]
    spectrum = power_spectrum(SpikeTrains(times, np.arange(len(times)) % 50, 50, t_stop=50_000.0), segment=1000.0)
    peak = np.argmax(spectrum.power)
    assert spectrum.frequencies[peak] == 30
    assert_allclose(spectrum.power[peak], 10.0**2 / 1.5, rtol=0.05)
    assert "at 30 Hz" in repr(spectrum)


# --- two networks ---------------------------------------------------------------------------------------------------


def test_a_network_differs_in_nothing_from_itself():
    trains = poisson(15, 20, 3000, seed=7)
    result = compare_statistics(trains, trains.select(np.arange(15)[::-1]))
    assert (result.rate_distance, result.cv_distance, result.correlation_distance) == (0, 0, 0)


def test_distances_are_those_of_scipy_over_the_units_that_have_the_statistic():
    first, second = poisson(15, 2, 3000, seed=8), poisson(12, 5, 2000, seed=9)
    result = compare_statistics(first, second, bin=50.0)
    for name, statistic in (("rate", firing_rates), ("cv", cv)):
        a, b = (values[~np.isnan(values)] for values in (statistic(first), statistic(second)))
        assert_allclose(getattr(result, f"{name}_distance"), scipy.stats.ks_2samp(a, b).statistic, rtol=1e-14)
    pairs = [np.corrcoef(t.counts(50.0).T)[np.triu_indices(t.n, 1)] for t in (first, second)]
    assert_allclose(result.correlation_distance, scipy.stats.ks_2samp(*pairs).statistic, atol=0.02)  # ties round
    assert len(result.rates[0]) == 15 and len(result.correlations[1]) == 66


def test_regular_and_irregular_networks_of_one_rate_differ_in_cv_only():
    n, period = 20, 25.0
    rng = np.random.default_rng(10)
    regular = trains_of(*[np.arange(phase, 4000.0, period) for phase in rng.uniform(0, period, n)], t_stop=4000.0)
    irregular = trains_of(*[np.sort(rng.uniform(0, 4000, 160)) for _ in range(n)], t_stop=4000.0)
    result = compare_statistics(regular, irregular)
    assert result.rate_distance == 0 and result.cv_distance == 1
    assert "cv          1.0000" in repr(result)


def test_silent_networks_have_no_distance_of_cvs():
    silent = SpikeTrains([], [], 4, t_stop=100.0)
    result = compare_statistics(silent, poisson(4, 50, 100, seed=0))
    assert result.rate_distance == 1
    assert np.isnan(result.cv_distance) and np.isnan(result.correlation_distance)
    assert "none" in repr(result)


# --- bad input ------------------------------------------------------------------------------------------------------

TRAINS = SpikeTrains([1.0, 5.0], [0, 1], 2, t_stop=10.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        *[(lambda f=f: f([1.0, 2.0]), "trains must be SpikeTrains, got list") for f in PER_UNIT.values()],
        (lambda: isi(None), "trains must be SpikeTrains"),
        (lambda: fano_factor(None, 1.0), "trains must be SpikeTrains"),
        (lambda: count_correlation(np.ones((3, 2))), "trains must be SpikeTrains"),
        (lambda: power_spectrum("x"), "trains must be SpikeTrains"),
        (lambda: compare_statistics(TRAINS, None), "second must be SpikeTrains"),
        (lambda: compare_statistics(1.0, TRAINS), "first must be SpikeTrains"),
        (lambda: compare_statistics(TRAINS, TRAINS, bin=0), "bin must be above 0"),
        (lambda: synchrony(TRAINS), r"signals must be an array.*trains.filtered"),
        (lambda: synchrony(np.ones(3)), "signals must have 2 dimensions"),
        (lambda: synchrony(np.empty((0, 3))), "signals must hold at least one time"),
        (lambda: synchrony([[np.nan]]), "signals must be finite"),
        (lambda: cv(TRAINS, ddof=2), "ddof must be 0 or 1"),
        (lambda: cv(TRAINS, ddof=True), "ddof must be an integer"),
        (lambda: fano_factor(TRAINS, 2.0, ddof=-1), "ddof must be at least 0"),
        (lambda: fano_factor(TRAINS, 6.0), "window must fit twice into the 10 ms"),
        (lambda: fano_factor(TRAINS, None), "window must be a number"),
        (lambda: count_correlation(TRAINS, 6.0), "bin must fit twice into the 10 ms"),
        (lambda: count_correlation(TRAINS, -1.0), "bin must be above 0"),
        (lambda: lvr(TRAINS, -1.0), "R must be at least 0"),
        (lambda: lvr(TRAINS, "5"), "R must be a number"),
        (lambda: power_spectrum(TRAINS, bin=20.0), "bin must be at most the window"),
        (lambda: power_spectrum(TRAINS, bin=5.0), "segment must hold at least 2 bins of 5 ms"),
        (lambda: power_spectrum(TRAINS, segment=11.0), "fit into 10 ms, got 11"),
        (lambda: power_spectrum(TRAINS, segment=np.nan), "segment must be finite"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
