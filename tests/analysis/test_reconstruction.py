from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.ndimage import gaussian_filter1d
from scipy.special import rel_entr

from penstock.analysis import (
    ALL_POINTS,
    ALRNN,
    GTF,
    GTF_LEGACY,
    ReconstructionVariant,
    spectral_distance,
    state_space_divergence,
    state_space_divergence_mixtures,
)


def walk(n, d=2, seed=0):
    """A stationary process with a spectrum: x' = 0.9 x + noise."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    for t in range(1, n):
        x[t] = 0.9 * x[t - 1] + np.sqrt(0.19) * x[t]
    return x


def dense_divergence(true, generated, edges, smoothing, drop_first=False):
    """The published arithmetic on full arrays: histogram, Laplace smoothing, Kullback-Leibler."""
    p, q = (np.histogramdd(x, bins=edges)[0] for x in (true, generated))
    if drop_first:
        for h in (p, q):
            for axis in range(h.ndim):
                np.moveaxis(h, axis, 0)[0] = 0
    p, q = ((h + smoothing) / (h.sum() + smoothing * h.size) for h in (p, q))
    return rel_entr(p, q).sum()


# State-space divergence


def test_identical_series_diverge_by_nothing():
    x = walk(2000)
    for variant in (ALL_POINTS, GTF, GTF_LEGACY, ALRNN):
        assert state_space_divergence(x, x, variant=variant).value == 0
    assert state_space_divergence_mixtures(x, x).value == 0
    assert spectral_distance(x, x).value == 0


def test_published_variants_are_their_dense_arithmetic():
    true, generated = walk(3000), 1.2 * walk(2500, seed=1)
    spread, low, high = true.std(axis=0, ddof=1), true.min(axis=0), true.max(axis=0)
    n = 11
    grids = {
        GTF: (low - 0.1 * spread, high + 0.1 * spread),
        GTF_LEGACY: (-2 * spread, 2 * spread),
        ALRNN: (low, high),
    }
    for variant, (a, b) in grids.items():
        edges = [np.linspace(*pair, n + 1) for pair in zip(a, b, strict=True)]
        kept_true, kept_generated = true, generated
        if variant is ALRNN:  # histogramdd counts the maximum, the published code does not
            kept_true, kept_generated = (x[(x < b).all(axis=1)] for x in (true, generated))
        exact = dense_divergence(kept_true, kept_generated, edges, 1e-5, drop_first=variant is ALRNN)
        result = state_space_divergence(true, generated, n_bins=n, variant=variant)
        assert_allclose(result.value, exact, rtol=1e-9)
        assert result.variant is variant and variant.name in repr(result)


def test_default_is_the_gtf_grid_with_one_more_cell():
    true = walk(3000)
    inside = np.clip(walk(2500, seed=1), true.min(axis=0), true.max(axis=0))
    # nobody escapes: one cell of 1e-5 more changes nothing visible
    a, b = (state_space_divergence(true, inside, variant=v).value for v in (ALL_POINTS, GTF))
    assert_allclose(a, b, rtol=1e-5)
    escaped = inside.copy()
    escaped[::4] = 1e3
    edges = [np.linspace(x.min() - 0.1 * x.std(ddof=1), x.max() + 0.1 * x.std(ddof=1), 8) for x in true.T]
    p, q = (np.append(np.histogramdd(x, bins=edges)[0].ravel(), np.sum(x[:, 0] > 100)) for x in (true, escaped))
    p, q = ((h + 1e-5) / (h.sum() + 1e-5 * h.size) for h in (p, q))
    result = state_space_divergence(true, escaped, n_bins=7)
    assert_allclose(result.value, rel_entr(p, q).sum(), rtol=1e-9)
    assert_allclose(result.outside, 0.25)


def test_series_of_which_nine_tenths_escape_scores_ln_10_not_nothing():
    true = walk(50_000)
    generated = true.copy()
    generated[np.arange(50_000) % 10 > 0] += 100
    # the tenth that stays is a thinned copy: ln 10 = 2.303 but for its empty cells, which are few with 8 bins
    assert_allclose(state_space_divergence(true, generated, n_bins=8).value, np.log(10), atol=0.02)
    assert state_space_divergence(true, generated, n_bins=8, variant=GTF).value < 0.03  # the trap
    assert state_space_divergence(true, true + 100, variant=GTF).value == np.inf  # not NaN
    assert 5 < state_space_divergence(true, true + 100).value < np.inf
    assert state_space_divergence(true, 1e300 * true).value > 5


def test_more_points_in_a_cell_than_sixteen_bits_count():
    n = 140_000  # twice 65,535 and more, all in the middle bin of three
    true = np.concatenate([np.full(n, 0.5), [0.0, 1.0]])
    generated = np.concatenate([np.full(n // 2, 0.5), np.zeros(n // 2)])
    result = state_space_divergence(true, generated, n_bins=3)
    assert_allclose(result.value, np.log(2), atol=1e-3)  # the two single points weigh 1e-5 each


def test_many_dimensions_need_no_memory_but_say_that_smoothing_rules():
    x = walk(500, d=20)
    result = state_space_divergence(x, walk(500, d=20, seed=1))
    assert np.isfinite(result.value)
    assert_allclose(result.smoothing_share, 1, rtol=1e-12)
    small = state_space_divergence(x[:, :2], x[:, :2])
    assert_allclose(small.smoothing_share, 901e-5 / (500 + 901e-5))
    assert "smoothing" in repr(result)


def test_floor_is_the_value_between_the_halves_on_the_same_grid():
    x = walk(4000)
    result = state_space_divergence(x, x, n_bins=10, variant=GTF)
    edges = [np.linspace(c.min() - 0.1 * c.std(ddof=1), c.max() + 0.1 * c.std(ddof=1), 11) for c in x.T]
    assert_allclose(result.floor, dense_divergence(x[:2000], x[2000:], edges, 1e-5), rtol=1e-9)
    long = state_space_divergence(walk(16_000), walk(16_000), n_bins=10)
    assert long.floor < result.floor  # shorter series, higher floor


@given(st.integers(0, 1000), st.floats(1e-2, 1e2), st.floats(-10, 10))
@settings(deadline=None, max_examples=15)
def test_divergence_is_positive_and_free_of_units_and_order(seed, scale, shift):
    true, generated = walk(300, seed=seed), walk(300, seed=seed + 1) + 0.3
    value = state_space_divergence(true, generated, n_bins=6).value
    assert value > 0
    rng = np.random.default_rng(seed)
    moved = state_space_divergence(
        rng.permutation(scale * true + shift)[:, ::-1], (scale * generated + shift)[:, ::-1], n_bins=6
    )
    # a point on the edge of a bin may change sides by rounding: one of 300
    assert_allclose(moved.value, value, rtol=0.05)


# Mixtures


def test_two_points_have_the_divergence_of_two_gaussians():
    true = np.array([[0.0, 0.0], [1e-9, 1e-9]])
    for distance, variance in ((3.0, 1.0), (2.0, 0.25), (300.0, 1.0)):
        result = state_space_divergence_mixtures(true, [[distance, 0.0]], variance=variance, n_samples=4000)
        exact = distance**2 / (2 * variance)
        # ln p - ln q = d^2/2v + (d/sqrt v) z with z standard normal
        assert_allclose(result.standard_error, distance / np.sqrt(variance * 4000), rtol=0.05)
        assert abs(result.value - exact) < 4 * result.standard_error


def test_samples_without_likelihood_are_kept():
    near = np.random.default_rng(0).standard_normal((250, 8))
    true, generated = np.concatenate([near, near + 60]), near  # half of the attractor is never visited
    result = state_space_divergence_mixtures(true, generated)
    # half of the samples are 60 away in each of 8 dimensions; the nearest of 250 points is up to 3 nearer in each
    assert 0.5 * 8 * 55**2 / 2 < result.value < 0.5 * 8 * 62**2 / 2
    rng = np.random.default_rng(1)
    x = true[rng.integers(500, size=1000)] + rng.standard_normal((1000, 8))
    p, q = (np.exp(-((x[:, None] - m) ** 2).sum(-1) / 2).mean(axis=1) for m in (true, generated))
    kept = (p > 0) & (q > 0)
    assert 0.4 < kept.mean() < 0.6
    assert np.mean(np.log(p[kept] / q[kept])) < 0.1  # the trap: dropped samples leave nothing to see


def test_mixtures_agree_with_a_direct_sum_and_repeat_themselves():
    true, generated = walk(60, d=3), walk(50, d=3, seed=1)
    a = state_space_divergence_mixtures(true, generated, variance=0.5, n_samples=300, seed=7)
    rng = np.random.default_rng(np.random.SeedSequence(7))
    x = true[rng.integers(60, size=300)] + np.sqrt(0.5) * rng.standard_normal((300, 3))
    p, q = (np.exp(-((x[:, None] - m) ** 2).sum(-1)).mean(axis=1) for m in (true, generated))
    assert_allclose(a.value, np.mean(np.log(p / q)), rtol=1e-10)
    b = state_space_divergence_mixtures(true, generated, variance=0.5, n_samples=300, seed=7)
    assert (a.value, a.floor) == (b.value, b.floor)
    assert "Monte-Carlo" in repr(a) and "variance 0.5" in repr(a)


# Spectra


def test_distance_is_the_published_formula():
    true, generated = walk(1001, d=3), walk(1001, d=3, seed=1) ** 3

    def alrnn(x, y):
        spectra = []
        for z in (x, y):
            z = (z - z.mean()) / z.std()
            s = gaussian_filter1d(np.abs(np.fft.rfft(z)) ** 2 * 2 / len(z), 20)
            spectra.append(s / s.sum())
        return np.sqrt(1 - np.sum(np.sqrt(spectra[0] * spectra[1])))

    exact = [alrnn(x, y) for x, y in zip(true.T, generated.T, strict=True)]
    for variant in (ALRNN, ALL_POINTS):
        result = spectral_distance(true, generated, variant=variant)
        assert_allclose(result.per_dimension, exact, rtol=1e-9)  # the same number in another form
        assert_allclose(result.value, np.mean(exact), rtol=1e-9)


def test_gtf_spectrum_is_continued_without_its_end():
    true, generated = walk(400, d=1), walk(400, d=1, seed=1)
    k = np.arange(-12, 13)
    kernel = np.exp(-(k**2) / 18) / np.exp(-(k**2) / 18).sum()

    def smooth(x, edge):
        s = np.abs(np.fft.rfft((x - x.mean()) / x.std())) ** 2
        padded = np.concatenate([s[12:0:-1] if edge else s[11::-1], s, s[-2:-14:-1] if edge else s[:-13:-1]])
        s = np.convolve(padded, kernel, mode="valid")
        return s / s.sum()

    for variant, without_edge in ((GTF, True), (ALRNN, False)):
        p, q = (smooth(x[:, 0], without_edge) for x in (true, generated))
        result = spectral_distance(true, generated, smoothing=3.0, variant=variant)
        assert_allclose(result.true_spectrum[:, 0], p, rtol=1e-9)
        assert_allclose(result.value, np.linalg.norm(np.sqrt(p) - np.sqrt(q)) / np.sqrt(2), rtol=1e-9)


def test_equal_spectra_are_never_not_a_number():
    published = []
    for seed in range(200):
        x = walk(300, d=1, seed=seed)
        result = spectral_distance(x, x)
        assert result.value == 0
        p = result.true_spectrum
        published.append(1 - np.sum(np.sqrt(p * p)))
    assert min(published) < 0  # the other form would have taken the root of this


def test_disjoint_spectra_are_at_distance_one():
    t = np.arange(1000)
    a, b = np.sin(2 * np.pi * 20 * t / 1000), np.sin(2 * np.pi * 200 * t / 1000)  # whole periods: one bin each
    assert_allclose(spectral_distance(a, b, smoothing=0).value, 1, rtol=1e-6)
    assert spectral_distance(a, b, smoothing=200).value < 0.5  # the width decides


@given(st.integers(0, 1000), st.floats(1e-100, 1e100), st.floats(-10, 10))
@settings(deadline=None, max_examples=15)
def test_distance_is_bounded_symmetric_and_free_of_units(seed, scale, shift):
    a, b = walk(200, seed=seed), walk(200, seed=seed + 1) ** 2
    value = spectral_distance(a, b).value
    assert 0 < value < 1
    assert_allclose(spectral_distance(b, a).value, value, rtol=1e-12)
    assert_allclose(spectral_distance(scale * (a + shift), b).value, value, rtol=1e-7)


def test_floor_is_the_distance_of_the_halves_at_the_same_bandwidth():
    x = walk(2000)
    result = spectral_distance(x, x)
    assert_allclose(result.floor, spectral_distance(x[:1000], x[1000:], smoothing=10).value, rtol=1e-12)
    assert_allclose(result.frequencies[-1], 0.5)
    assert_allclose(spectral_distance(x, x, dt=0.01).frequencies[-1], 50)


# Figures, texts and bad input


def test_figures_show_the_numbers():
    import matplotlib.pyplot as plt

    x, y = walk(500), walk(500, seed=1)
    spectra = spectral_distance(x, y)
    assert_allclose(spectra.plot().lines[1].get_ydata(), spectra.generated_spectrum[1:].mean(axis=1))
    plt.close("all")
    for result, words in (
        (spectra, ("Hellinger", "ALL_POINTS", "20 bins", "floor")),
        (state_space_divergence(x, y, variant=ALRNN), ("ALRNN", "nats", "floor", "outside", "30 bins")),
    ):
        for word in words:
            assert word in repr(result)


X = walk(100)


@pytest.mark.parametrize(
    ("call", "error", "fragment"),
    [
        (lambda: state_space_divergence(X, X[:, :1]), ValueError, "generated must have the 2 dimensions"),
        (lambda: state_space_divergence(X, X * np.nan), ValueError, "generated must be finite"),
        (lambda: state_space_divergence(X * [1, 0], X), ValueError, "constant in dimension 1"),
        (
            lambda: state_space_divergence(np.tile(X, 100), np.tile(X, 100)),
            ValueError,
            "state_space_divergence_mixtures",
        ),
        (lambda: state_space_divergence(X[:3], X), ValueError, "true must have at least 4 steps"),
        (lambda: state_space_divergence(X, X, n_bins=1), ValueError, "n_bins must be at least 2"),
        (lambda: state_space_divergence(X, X, smoothing=0), ValueError, "smoothing must be above 0"),
        (lambda: state_space_divergence(X, X, variant="GTF"), TypeError, "variant must be a ReconstructionVariant"),
        (lambda: state_space_divergence(X, X[:0]), ValueError, "generated must not be empty"),
        (lambda: ReconstructionVariant("mine", margin=-1.0), ValueError, "margin must be at least 0"),
        (lambda: replace(GTF, half_width=0.0), ValueError, "half_width must be above 0"),
        (lambda: state_space_divergence_mixtures(X, X, variance=0.0), ValueError, "variance must be above 0"),
        (lambda: state_space_divergence_mixtures(X, X, seed=None), TypeError, "seed must be"),
        (lambda: spectral_distance(X, X[:99]), ValueError, "generated must have the length of true, 100, got 99"),
        (lambda: spectral_distance(X, X * [0, 1] + 5), ValueError, "generated must vary in every dimension"),
        (lambda: spectral_distance(np.ones(50), X[:50, 0]), ValueError, "true must vary in every dimension"),
        (lambda: spectral_distance(X, X, smoothing=-1.0), ValueError, "smoothing must be at least 0"),
    ],
)
def test_bad_input_is_named(call, error, fragment):
    with pytest.raises(error) as raised:
        call()
    assert fragment in str(raised.value)
