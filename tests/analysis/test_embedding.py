from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import mutual_info_score

from penstock.analysis import correlation_dimension, delay_embedding, false_neighbours, mutual_information_delay
from penstock.data import henon

SPROTT_D2, SPROTT_ERROR = 2.055, 0.004  # correlation dimension of the Lorenz attractor, Sprott's web tables


def lorenz_slope(s):
    x, y, z = s
    return np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])


@lru_cache
def lorenz(n_trajectories, n_steps, dt, seed=0):
    """Independent trajectories side by side by Runge-Kutta 4, (n_trajectories, n_steps, 3), transient removed."""
    s = np.array([[0.0], [0.0], [25.0]]) + np.random.default_rng(seed).standard_normal((3, n_trajectories))
    h = min(dt, 0.01)
    per_sample, n_transient, out = round(dt / h), round(10 / h), []
    for step in range(n_transient + n_steps * per_sample):
        a = lorenz_slope(s)
        b = lorenz_slope(s + h / 2 * a)
        c = lorenz_slope(s + h / 2 * b)
        s = s + h / 6 * (a + 2 * b + 2 * c + lorenz_slope(s + h * c))
        if step >= n_transient and (step - n_transient) % per_sample == 0:
            out.append(s)
    return np.array(out).transpose(2, 0, 1)


# Delay vectors


def test_row_t_holds_the_series_at_t_and_later_copies():
    s = np.arange(10.0)
    for d, delay in ((1, 3), (3, 2), (4, 3)):
        v = delay_embedding(s, d, delay)
        for t, row in enumerate(v):
            assert_array_equal(row, [s[t + k * delay] for k in range(d)])
        assert t + (d - 1) * delay == len(s) - 1  # nothing is lost at the end


def test_channels_of_one_time_stand_together():
    s = np.arange(12.0).reshape(6, 2)
    assert_array_equal(delay_embedding(s, 2, 3)[1], [2, 3, 8, 9])


# Delay


def test_information_is_that_of_sklearn_on_the_same_bins():
    x = np.cumsum(np.random.default_rng(0).standard_normal(800))
    result = mutual_information_delay(x, max_delay=7, n_bins=5)
    symbols = np.searchsorted(np.quantile(x, [0.2, 0.4, 0.6, 0.8]), x, side="right")
    for k in range(8):
        assert_allclose(result.information[k], mutual_info_score(symbols[: 800 - k], symbols[k:]), rtol=1e-12)


def test_information_of_a_gaussian_process_is_its_closed_form():
    rng, rho, n = np.random.default_rng(1), 0.8, 100_000
    x = np.empty(n)
    x[0] = rng.standard_normal()
    noise = np.sqrt(1 - rho**2) * rng.standard_normal(n)
    for t in range(1, n):
        x[t] = rho * x[t - 1] + noise[t]
    result = mutual_information_delay(x, max_delay=6, n_bins=24)
    k = np.arange(2, 7)
    exact = -0.5 * np.log(1 - rho ** (2 * k))
    # bins lose up to 3 % of the information of these delays; the fluctuation at this length is about 0.003 nats
    assert_allclose(result.information[2:] - result.null_level, exact, rtol=0.03, atol=0.006)


def test_independent_values_have_the_null_level():
    result = mutual_information_delay(np.random.default_rng(2).random(20_000), max_delay=50)
    # 225 degrees of freedom: the mean over 50 delays is within 4 of its standard errors, sqrt(2/225/50) = 1.3 %
    assert_allclose(result.information[1:].mean(), result.null_level, rtol=0.054)


def test_a_monotone_curve_has_no_minimum_and_says_so():
    x = np.arange(3000.0) + np.random.default_rng(0).random(3000)
    result = mutual_information_delay(x, max_delay=5)
    assert not result.converged
    assert "NOT CONVERGED" in repr(result)


# Dimension by false neighbours


def test_henon_needs_two_coordinates_and_lorenz_three():
    assert false_neighbours(henon(3000)[:, 0], 1, theiler=0, max_dimension=4).dimension == 2
    x = lorenz(1, 3000, 0.05)[0, :, 0]
    result = false_neighbours(x, 3, theiler=20, max_dimension=5)
    assert result.dimension == 3 and result.converged
    assert result.fractions[1] > 0.02  # two coordinates still fold the attractor onto itself


def test_noise_has_no_dimension():
    result = false_neighbours(np.random.default_rng(0).standard_normal(1500), 1, theiler=0, max_dimension=6)
    assert not result.converged and (result.fractions > 0.1).all()
    assert "NOT CONVERGED" in repr(result)


def test_fractions_are_those_of_all_pairs():
    x, delay, theiler, d = lorenz(1, 400, 0.05, seed=1)[0, :, 0], 2, 9, 2
    result = false_neighbours(x, delay, theiler=theiler, max_dimension=d, ratio=4.0)
    n = len(x) - d * delay
    points = np.column_stack([x[:n], x[delay : n + delay]])
    distance = squareform(pdist(points))
    i = np.arange(n)
    distance[np.abs(i[:, None] - i) <= theiler] = np.inf
    j = distance.argmin(axis=1)
    gap, near = np.abs(x[2 * delay :] - x[2 * delay :][j]), distance[i, j]
    false = (gap > 4 * near) | (np.sqrt(gap**2 + near**2) > 2 * x.std())
    assert_allclose(result.fractions[1], false.mean(), rtol=1e-12)


# Correlation dimension


@pytest.mark.parametrize("theiler", [0, 1, 7])
@pytest.mark.parametrize("p", [2.0, np.inf])
def test_pairs_are_those_of_all_distances_outside_the_window(theiler, p):
    x = np.cumsum(np.random.default_rng(3).standard_normal((400, 2)), axis=0)
    radii = np.geomspace(2, 20, 9)
    result = correlation_dimension(x, theiler=theiler, radii=radii, p=p)
    distance = np.linalg.norm(x[:, None] - x, ord=p, axis=2)
    i, j = np.triu_indices(400, theiler + 1)
    assert_array_equal(result.n_pairs, [(distance[i, j] <= r).sum() for r in radii])
    assert_allclose(result.correlation, [(distance[i, j] <= r).mean() for r in radii], rtol=1e-12)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_cube_has_its_dimension_and_the_exact_curve(d):
    result = correlation_dimension(np.random.default_rng(d).random((8000, d)), theiler=0, p=np.inf)
    r = result.radii
    # two uniform numbers are closer than r with probability 2 r - r^2; 5 % is four standard errors at 1000 pairs, and
    # the curve wanders as a whole with the sample
    seen = result.n_pairs > 1000
    assert_allclose(result.correlation[seen], (2 * r - r**2)[seen] ** d, rtol=0.05 + 4 / np.sqrt(1000) * (d > 1))
    # the faces bend the curve: slope d (2 - 2 r)/(2 - r), 3.5 % down at the largest radii
    assert_allclose(result.dimension, d, rtol=0.04)
    assert result.converged


def test_takens_estimate_is_that_of_all_distances():
    x = np.random.default_rng(5).random((1500, 2))
    result = correlation_dimension(x, theiler=0)
    r0 = result.window[1]
    near = pdist(x)
    near = near[near <= r0]
    # power laws between two radii per octave, and below the first: 0.1 %
    assert_allclose(result.takens, -1 / np.mean(np.log(near / r0)), rtol=3e-3)


def test_a_limit_cycle_is_one_dimensional():
    phase = 0.05 * np.sqrt(2) * np.arange(12_000)
    x = np.column_stack([np.cos(phase), np.sin(phase), 0.3 * np.cos(2 * phase)])
    result = correlation_dimension(x, theiler=60)
    # evenly spread phases: only the curvature of the cycle is left, and the grain of the spacing
    assert_allclose(result.dimension, 1, atol=0.02)
    assert_allclose(result.takens, 1, atol=0.02)


def test_lorenz_has_the_published_dimension():
    x = lorenz(200, 100, 0.3).reshape(-1, 3)  # trajectories one after the other
    result = correlation_dimension(x, theiler=10)
    assert abs(result.dimension - SPROTT_D2) <= result.spread + SPROTT_ERROR
    assert result.spread < 0.05
    # the estimate from all pairs is sharper; its own curve wanders by about 0.01 with the window
    assert abs(result.takens - SPROTT_D2) < 0.015 + 3 * result.takens_error


def test_doubling_the_sampling_rate_changes_nothing_but_without_a_window_it_does():
    fine = lorenz(10, 1200, 0.02)
    coarse = fine[:, ::2]
    twice, once = (x.reshape(-1, 3) for x in (fine, coarse))
    a, b = correlation_dimension(twice, theiler=100), correlation_dimension(once, theiler=50)
    # the same trajectories: what differs is finite-sample noise at the small radii
    assert abs(a.takens - b.takens) < 3 * np.hypot(a.takens_error, b.takens_error)
    assert abs(a.dimension - b.dimension) < np.hypot(a.spread, b.spread)
    assert abs(a.takens - SPROTT_D2) < 0.1
    finest = lorenz(1, 6000, 0.0025)[0]
    radii = np.geomspace(0.5, 2.0, 5)
    trap, fair = (correlation_dimension(finest, theiler=w, radii=radii).slope.mean() for w in (0, 800))
    assert trap < fair - 0.2  # neighbours in time pull the slope towards one


def test_henon_has_the_published_dimension():
    result = correlation_dimension(delay_embedding(henon(8000)[:, 0], 2), theiler=0)
    # Grassberger and Procaccia (1983), 1.21 +- 0.01; a Cantor set makes the slope swing
    assert abs(result.dimension - 1.21) <= result.spread + 0.01
    assert result.spread < 0.06


def test_standard_error_is_the_spread_over_samples():
    results = [correlation_dimension(np.random.default_rng(s).random((1000, 2)), theiler=0,
                                     radii=np.geomspace(0.02, 0.08, 9)) for s in range(40)]  # fmt: skip
    slopes = np.array([r.slope for r in results])
    # from 1 where the points' places decide to sqrt(2) where pairs are few; 40 samples give a deviation to 11 %
    ratio = np.mean([r.slope_error for r in results], axis=0) / slopes.std(axis=0, ddof=1)
    assert 0.85 < ratio.mean() < 1.2 * np.sqrt(2)


@given(st.floats(1e-3, 1e3), st.integers(0, 5))
@settings(deadline=None, max_examples=8)
def test_scale_and_place_do_not_matter(scale, seed):
    x = np.random.default_rng(seed).random((500, 2))
    a, b = correlation_dimension(x, theiler=0), correlation_dimension(scale * (x - 0.5), theiler=0)
    # rounding of coordinates can move a pair across a radius
    assert_allclose(b.slope, a.slope, rtol=1e-3, atol=1e-3)


def test_repr_and_figures_show_what_decided():
    import matplotlib.pyplot as plt

    x = lorenz(1, 3000, 0.05)[0]
    result = correlation_dimension(x, theiler=20)
    for word in ("±", "Takens", "window", "Theiler window 20", "Euclidean", "pairs"):
        assert word in repr(result)
    slope = result.plot()
    assert slope.get_xscale() == "log"
    assert_allclose(slope.lines[0].get_ydata(), result.slope)
    information = mutual_information_delay(x[:, 0], max_delay=20)
    assert_array_equal(information.plot().lines[0].get_ydata(), information.information)
    neighbours = false_neighbours(x[:, 0], 3, theiler=20, max_dimension=4)
    assert_allclose(neighbours.plot().lines[0].get_ydata(), 100 * neighbours.fractions)
    plt.close("all")


def test_too_few_flat_radii_are_not_a_dimension():
    x = np.random.default_rng(0).random((400, 1))
    steep = correlation_dimension(x, theiler=0, radii=[0.4, 0.5, 0.6], flatness=1e-6)
    assert not steep.converged and "NOT CONVERGED" in repr(steep)


@pytest.mark.parametrize(
    ("call", "fragment"),
    [
        (lambda: delay_embedding([1.0, 2.0], 3, 1), "more than (dimension - 1) * delay = 2 steps, got 2"),
        (lambda: delay_embedding([1.0, np.nan], 1), "series must be finite"),
        (lambda: delay_embedding([1.0, 2.0], 0), "dimension must be at least 1"),
        (lambda: delay_embedding(np.empty((0, 2)), 1), "must not be empty"),
        (lambda: mutual_information_delay(np.ones(1000)), "series must vary"),
        (lambda: mutual_information_delay(np.arange(100.0)), "at least max_delay + n_bins**2 = 356"),
        (lambda: false_neighbours(np.ones(100), 1, theiler=0), "series must vary"),
        (lambda: false_neighbours(np.arange(10.0), 1, theiler=5), "series must have at least 21"),
        (lambda: correlation_dimension(np.ones((100, 2)), theiler=0), "points must differ"),
        (lambda: correlation_dimension(np.eye(30), theiler=0), "points must be at least"),
        (lambda: correlation_dimension(np.random.default_rng(0).random((50, 9)), theiler=0), "at least 200 pairs"),
        (lambda: correlation_dimension(np.eye(100), theiler=-1), "theiler must be at least 0"),
        (lambda: correlation_dimension(np.eye(100), theiler=0, radii=[2.0, 1.0, 3.0]), "increasing"),
        (lambda: correlation_dimension(np.eye(100), theiler=0, p=0.5), "p must be at least 1"),
    ],
)
def test_bad_input_is_named(call, fragment):
    with pytest.raises(ValueError) as error:
        call()
    assert fragment in str(error.value)


def test_chance_counts_the_bins_that_values_fill():
    x = np.random.default_rng(0).integers(0, 2, 4000).astype(float)
    result = mutual_information_delay(x, max_delay=40)
    assert result.null_level == 1 / 8000  # (2 - 1)^2 / 2T, whatever n_bins
    # the mean of 40 values of chi^2 / 2T with one degree of freedom, to four standard errors
    assert abs(result.information[1:].mean() * 8000 - 1) < 4 * np.sqrt(2 / 40)
