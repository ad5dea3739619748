import importlib
import tracemalloc
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import hermite_e, legendre
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chi2
from sklearn.linear_model import LinearRegression

from penstock import Map, Normal, Signs, SystemDefaults, Uniform
from penstock.analysis import (
    Protocol,
    information_processing_capacity,
    linear_memory_curve,
    memory_capacity,
    noise_limited_capacity,
    plot_capacity_profiles,
)
from penstock.analysis.products import count_products, partitions, shell
from penstock.laws import orthonormal_polynomials
from penstock.reservoirs import ESN

capacity_module = importlib.import_module("penstock.analysis.capacity")


class Past(SystemDefaults):
    """States that are any function of the last inputs: see(u_t, u_{t-1}, ...) with every argument (T, m)."""

    def __init__(self, see, n_units, n_past=1, n_inputs=1):
        self.see, self.n_units, self.n_past, self.n_inputs = see, n_units, n_past, n_inputs

    def blocks(self, u, size, x0=None):
        padded = np.concatenate([np.zeros((self.n_past, self.n_inputs)), u])
        shifted = [padded[self.n_past - k : len(padded) - k] for k in range(self.n_past + 1)]
        states = np.asarray(self.see(*shifted)).reshape(len(u), self.n_units)
        yield from (states[start : start + size] for start in range(0, len(u), size))


class Noise(SystemDefaults):
    """States that know nothing of the input."""

    n_inputs = 1

    def __init__(self, n_units, seed):
        self.n_units, self.seed = n_units, seed

    def blocks(self, u, size, x0=None):
        rng = np.random.default_rng(self.seed)
        yield from (rng.standard_normal((min(size, len(u) - start), self.n_units)) for start in range(0, len(u), size))


def columns(*parts):
    return np.hstack(parts)


def measure(system, **settings):
    return information_processing_capacity(system, **{"seed": 0, "progress": False, **settings})


def delay_line(n_units):
    return Map(lambda x, u: np.concatenate([u, x[:-1]]), n_units=n_units, n_inputs=1)


def linear(n_units, seed, radius=0.8):
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((n_units, n_units))
    W *= radius / np.abs(np.linalg.eigvals(W)).max()
    W_in = rng.uniform(-1, 1, (n_units, 1))
    return W, W_in, Map(lambda x, u: W @ x + W_in @ u, n_units=n_units, n_inputs=1)


def odd_network(n_units, seed=0):
    return ESN.random(n_units, spectral_radius=0.8, input_scaling=0.7, bias_scaling=0.0, seed=seed)


def fixed(u):
    return lambda rng, size: u[: size[0]].reshape(size)


# Exact systems


def test_a_delay_line_spends_itself_on_single_delays():
    result = measure(delay_line(6), max_delays=[9, 9, 4], n_steps=5000)
    linear_terms = [result.of({k: 1}) for k in range(10)]
    assert_allclose(linear_terms[:6], 1.0, atol=1e-12)
    # 223 other products with 6 regressors: the largest of as many chi-squared numbers, p = 1e-6, is 41
    others = np.sort(result.capacity)[:-6]
    assert others.max() < chi2.isf(1e-6, 6) / 5000
    assert (result.rank, result.bound, result.n_units) == (6, 6.0, 6)
    assert result.total == pytest.approx(6, abs=0.03)
    assert result.by_degree[0] == pytest.approx(6, abs=1e-9)


def test_a_linear_system_has_degree_one_alone_and_all_of_it():
    W, W_in, system = linear(6, seed=1)
    result = measure(system, max_delays=[40, 12, 5], n_steps=20_000)
    exact = linear_memory_curve(W, W_in, max_delay=40)
    assert abs(result.unbiased_by_degree[0] - exact.sum()) < 4 * result.unbiased_by_degree_standard_error[0]
    single = np.array([result.of({k: 1}) for k in range(len(exact))])
    # standard error of one R^2, plus the null level 6 / 20000
    error = np.sqrt(4 * exact * (1 - exact) ** 2 / 20_000 + 2 * 6 * (1 - exact) ** 2 / 20_000**2)
    assert (np.abs(single - exact - (1 - exact) * 6 / 20_000) < 4.5 * error + 1e-9).all()
    assert abs(result.total - 6) < 4 * result.standard_error + 0.01
    # 210 products of degrees 2 and 3 pass with p = 1e-4 each
    assert result.significant[result.degrees.sum(axis=1) > 1].sum() <= 1


def test_states_that_are_basis_products_have_capacity_one_there_and_none_elsewhere():
    system = Past(lambda u, v, w: columns((3 * v**2 - 1) / 2, u * w), 2, n_past=2)
    result = measure(system, max_delays=[5, 5, 3], n_steps=10_000)
    assert result.of({1: 2}) == pytest.approx(1, abs=1e-12)
    assert result.of({0: 1, 2: 1}) == pytest.approx(1, abs=1e-12)
    assert result.total == pytest.approx(2, abs=0.01)
    assert np.sort(result.capacity)[-3] < chi2.isf(1e-6, 2) / 10_000 * 3
    assert_allclose(result.by_degree, [0, 2, 0], atol=5e-3)
    assert_allclose(result.by_degree_and_delay[1, :4], [0, 1, 1, 0], atol=5e-3)


def test_a_complete_set_of_polynomials_has_total_n():
    def see(u, v):
        return columns(u, v, u**2, u * v, v**2, u**3 + u * v**2, v**3 - u, u**2 * v)

    result = measure(Past(see, 8, n_past=1), max_delays=[1, 1, 1], n_steps=5000)
    # nine products for eight states: all of degrees 1 and 2 are in their span, and v u^2, v^3, but u^3 and u v^2 mixed
    exact = [{0: 1}, {1: 1}, {0: 2}, {1: 2}, {0: 1, 1: 1}, {1: 3}, {0: 2, 1: 1}]
    assert_allclose([result.of(product) for product in exact], 1.0, atol=1e-10)
    assert result.of({0: 3}) + result.of({0: 1, 1: 2}) == pytest.approx(1, abs=0.02)
    assert result.total == pytest.approx(8, abs=0.02)


@pytest.mark.parametrize("law", [Uniform(-1, 1), Uniform(0.2, 1.4), Normal(0.7)])
def test_memoryless_tanh_has_the_coefficients_of_its_expansion(law):
    """C_d = (E[f phi_d])^2 / var f with the expectation by Gauss quadrature."""
    if isinstance(law, Normal):
        nodes, weights = hermite_e.hermegauss(200)
        u, weights = law.std * nodes, weights / weights.sum()
        phi = [hermite_e.HermiteE.basis(d)(nodes) for d in range(6)]
    else:
        nodes, weights = legendre.leggauss(100)
        u, weights = law.mean + nodes * (law.high - law.low) / 2, weights / 2
        phi = [legendre.Legendre.basis(d)(nodes) for d in range(6)]
    f = np.tanh(2 * u + 0.5)
    variance = weights @ f**2 - (weights @ f) ** 2
    exact = [(weights @ (f * p)) ** 2 / (weights @ p**2) / variance for p in phi[1:]]
    n_steps = 40_000
    result = measure(Past(lambda u: np.tanh(2 * u + 0.5), 1, 0), input_law=law, max_delays=[0] * 5, n_steps=n_steps)
    measured = [result.of({0: d}) for d in range(1, 6)]
    # the standard error of R^2 is 2 R sqrt(1 - R^2) / sqrt(T), times up to 3 for the tails of high degrees
    assert_allclose(measured, exact, atol=3 * 2 * 0.5 / np.sqrt(n_steps))
    assert_allclose(measured[:2], exact[:2], atol=4 / np.sqrt(n_steps))


def test_a_small_network_fills_its_rank():
    """Fading memory: the total is the number of units, degrees up to nine and some dozen delays hold it."""
    system = ESN.random(4, spectral_radius=0.5, input_scaling=1.0, bias_scaling=0.3, seed=0)
    result = measure(system, max_degree=7, n_steps=50_000)
    assert result.rank == 4
    assert abs(result.unbiased_total - 4) < 4 * result.unbiased_standard_error + 0.02
    assert result.total <= 4 + 4 * result.standard_error
    assert 0.97 < result.completeness <= 1 + 4 * result.standard_error / 4


@pytest.mark.parametrize("scale", [0.1, 0.5, 2.0])
def test_total_is_at_most_the_rank_within_its_error(scale):
    system = ESN.random(15, spectral_radius=0.9, input_scaling=scale, bias_scaling=0.1, seed=3)
    result = measure(system, max_degree=4, n_steps=10_000)
    assert result.total <= result.bound + 3 * result.standard_error
    assert result.total <= result.thresholded_total <= result.raw_total
    assert result.unbiased_total <= result.bound + 3 * result.unbiased_standard_error


# The regression, against scikit-learn and memory_capacity


@pytest.mark.parametrize(
    "product", [{0: 1}, {7: 1}, {1: 2}, {3: 3}, {0: 1, 2: 1}, {1: 2, 4: 1}, {4: 2, 1: 1}, {0: 1, 1: 1, 2: 1}]
)
def test_capacity_is_the_coefficient_of_determination_of_scikit_learn(product):
    system = ESN.random(12, spectral_radius=0.8, input_scaling=0.6, bias_scaling=0.2, seed=2)
    u = np.random.default_rng(1).uniform(-1, 1, (3100, 1))
    result = measure(system, input_law=fixed(u), max_delays=[8, 5, 5], n_steps=3000, washout=100)
    y = np.ones(3000)
    for delay, degree in product.items():
        # a law without polynomials of its own: orthonormal over the draws, that is, QR of the powers
        powers, triangle = np.linalg.qr(np.vander(u[:, 0], 4, increasing=True))
        y = y * (powers * np.sign(np.diag(triangle)))[100 - delay : 3100 - delay, degree]
    states = system.run(u)[100:]
    expected = LinearRegression().fit(states, y).score(states, y)
    assert result.of(product) == pytest.approx(expected, abs=1e-10)


def test_degree_one_equals_memory_capacity_on_the_same_inputs():
    system = ESN.random(10, spectral_radius=0.9, input_scaling=0.5, seed=1)
    law = Uniform(-1, 1)
    result = measure(system, max_delays=[30], n_steps=6000, washout=200, input_law=law, seed=5)
    raw = memory_capacity(
        system, 30, protocol=Protocol("RAW"), n_steps=6000, washout=200, input_law=law, seed=5, progress=False
    )
    assert_allclose([result.of({k: 1}) for k in range(31)], raw.per_delay, atol=1e-11)
    adjusted = memory_capacity(system, 30, n_steps=6000, washout=200, input_law=law, seed=5, progress=False)
    # the null level of memory_capacity is rank / T for every delay, here it is weighted by leverage: some per cent
    # of 31 delays times 10 / 6000
    assert result.memory_capacity == pytest.approx(adjusted.total, abs=0.1 * 31 * 10 / 6000)
    assert result.unbiased_standard_error == pytest.approx(adjusted.standard_error, rel=0.05)


@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 10**6), exponent=st.floats(-8, 8))
def test_an_invertible_mixture_of_the_units_changes_nothing(seed, exponent):
    system = ESN.random(6, spectral_radius=0.7, input_scaling=0.6, bias_scaling=0.1, seed=1)
    mixing = (
        np.linalg.qr(np.random.default_rng(seed).standard_normal((6, 6)))[0] * np.geomspace(1, 5, 6) * 10.0**exponent
    )

    class Mixed(SystemDefaults):
        n_units, n_inputs = 6, 1

        def blocks(self, u, size, x0=None):
            yield from (block @ mixing + 3 * 10.0**exponent for block in system.blocks(u, size, x0))

    settings = dict(max_delays=[10, 4], n_steps=1000, washout=100)
    assert_allclose(measure(Mixed(), **settings).capacity, measure(system, **settings).capacity, atol=1e-9)


def test_long_range_of_products_in_several_passes_changes_nothing(monkeypatch):
    system = odd_network(8)
    whole = measure(system, max_delays=[20, 12, 8], n_steps=2000)
    monkeypatch.setattr(capacity_module, "CROSS_BYTES", 0)
    monkeypatch.setattr(capacity_module, "ROWS", 333)
    parts = measure(system, max_delays=[20, 12, 8], n_steps=2000)
    assert len(whole.capacity) > 256
    assert_array_equal(whole.delays, parts.delays)
    assert_allclose(whole.capacity, parts.capacity, atol=1e-12)
    assert parts.standard_error == pytest.approx(whole.standard_error, rel=1e-6)


# Parity


def test_odd_networks_have_no_even_capacity_under_antithetic_inputs():
    """Every state meets its negative, and an even product the same value: they are orthogonal to rounding."""
    half = np.random.default_rng(0).uniform(-1, 1, 3000)
    u = np.concatenate([-half[-1000:], half, -half])

    class Legendre(Uniform):
        def __call__(self, rng, size):
            return u.reshape(size)

    result = measure(odd_network(12), input_law=Legendre(-1, 1), max_delays=[15, 8, 4, 3], n_steps=6000, washout=1000)
    even = result.degrees.sum(axis=1) % 2 == 0
    assert even.sum() > 50
    # squares of roundings of 1e-15, of which twelve are summed
    assert result.capacity[even].max() < 1e-27
    assert result.by_degree[0] > 5 and result.by_degree[2] > 0.5


# Chance


def test_irrelevant_products_score_rank_over_steps_and_the_raw_sum_counts_them():
    n_units, n_steps = 10, 4000
    results = [measure(Noise(n_units, seed), max_delays=[30, 20, 10], n_steps=n_steps, seed=seed) for seed in range(8)]
    count = len(results[0].capacity)
    assert count == sum(comb(K + d, d) for d, K in ((1, 30), (2, 20), (3, 10)))
    raw = np.array([result.raw_total for result in results])
    exact = count * n_units / (n_steps - 1)
    spread = raw.std(ddof=1) / np.sqrt(8)
    # mean of eight: Student's t with 7 degrees of freedom passes 5.4 once in a thousand
    assert abs(raw.mean() - exact) < 5.4 * spread and spread < 0.02 * exact
    assert_allclose([result.expected_excess for result in results], exact, rtol=0.01)
    assert abs(np.mean([result.unbiased_total for result in results])) < 5.4 * spread
    assert max(result.total for result in results) < 0.02  # a chance product or two of chi-squared 36 / 4000


def test_raw_excess_of_a_delay_line_is_the_number_of_irrelevant_products_times_rank_over_steps():
    excess, errors = [], []
    for seed in range(8):
        result = measure(delay_line(5), max_delays=[40, 25], n_steps=5000, washout=100, seed=seed)
        excess.append(result.raw_total - 5)
        errors.append(result.expected_excess)
    irrelevant = comb(41, 1) + comb(27, 2) - 5
    # leverage is linear in the squares of the inputs here, and raises the null level of the products with them
    assert np.mean(excess) == pytest.approx(irrelevant * 5 / 5000, rel=0.15)
    assert abs(np.mean(excess) - np.mean(errors)) < 5.4 * np.std(excess, ddof=1) / np.sqrt(8)


def test_null_level_of_dependent_states_is_their_leverage_under_the_product():
    """x = u^3, y = phi_4(u): uncorrelated, but E[x^2 y^2] / E[x^2] E[y^2] is 2.2, which is what chance scores."""
    nodes, weights = legendre.leggauss(60)
    y = legendre.Legendre.basis(4)(nodes)
    ratio = (weights @ (nodes**6 * y**2)) * 2 / ((weights @ nodes**6) * (weights @ y**2))
    assert ratio > 1.5
    n_steps, count = 2000, 300
    system = Past(lambda u: u**3, 1, 0)
    results = [measure(system, max_delays={4: 0}, n_steps=n_steps, washout=0, seed=seed) for seed in range(count)]
    levels = np.array([result.null_level[0] for result in results])
    # sample moments of order 14 over 2000 steps
    assert levels.mean() == pytest.approx(ratio / n_steps, rel=0.02)
    scores = np.array([result.capacity[0] for result in results])
    assert scores.mean() == pytest.approx(ratio / n_steps, abs=4 * scores.std() / np.sqrt(count))
    assert abs(scores.mean() - 1 / n_steps) > 4 * scores.std() / np.sqrt(count)  # rank / T would be wrong


@pytest.mark.parametrize("law", [Uniform(-1, 1), Normal(1.0), Signs(1.0)])
def test_one_in_a_hundred_irrelevant_products_passes_a_threshold_of_one_per_cent(law):
    delays = [300, 40] if isinstance(law, Uniform) else [300, 40, 8]
    result = measure(Noise(12, 1), input_law=law, max_delays=delays, p=0.01, n_steps=4000)
    count = len(result.capacity)
    # nearly independent products: .01 ± 4 sqrt(.01 .99 / count)
    assert abs(result.significant.mean() - 0.01) < 4 * np.sqrt(0.01 * 0.99 / count)


def test_threshold_is_the_chi_squared_quantile_over_the_steps():
    result = measure(Noise(12, 1), max_delays=[100], n_steps=8000, p=1e-3)
    assert np.median(result.threshold) == pytest.approx(chi2.isf(1e-3, 12) / 8000, rel=0.01)


def test_memoryless_states_know_no_delay():
    system = Past(lambda u: columns(np.tanh(u), u**2, u**3), 3, 0)
    result = measure(system, max_delays=[20, 15, 8], n_steps=10_000)
    delayed = result.delays.max(axis=1) > 0
    assert result.unbiased[~delayed].sum() == pytest.approx(3, abs=0.02)
    assert result.significant[delayed].sum() <= 1
    error = result.unbiased_standard_error
    assert abs(result.unbiased[delayed].sum()) < 4 * error


def test_constant_states_process_nothing():
    result = measure(Past(lambda u: np.full((len(u), 2), 0.3), 2, 0), max_delays=[5, 3], n_steps=1000)
    assert (result.rank, result.bound, result.total, result.raw_total, result.completeness) == (0, 0, 0, 0, 0)
    assert not result.significant.any()


@pytest.mark.parametrize("kept", [0, np.inf], ids=["fitted apart", "left out"])
def test_error_of_irrelevant_products_is_their_spread_also_if_blocks_are_fitted_one_by_one(monkeypatch, kept):
    monkeypatch.setattr(importlib.import_module("penstock.analysis.regression"), "KEPT_BYTES", kept)
    results = [measure(Noise(4, 1), max_delays=[40], n_steps=4000, seed=seed) for seed in range(20)]
    spread = np.std([result.unbiased_total for result in results], ddof=1)
    ratio = np.mean([result.unbiased_standard_error for result in results]) / spread
    # the spread of 20 is known to 16 %; without regard to what chance alone decides, ten fits err by sqrt(10)
    assert 0.6 < ratio < (1.5 if kept == 0 else 2.1)


@pytest.mark.slow
@pytest.mark.parametrize("n_steps", [2000, 8000])
def test_standard_errors_equal_the_spread_over_seeds(n_steps):
    system = ESN.random(8, spectral_radius=0.8, input_scaling=0.7, bias_scaling=0.2, seed=4)
    results = [measure(system, max_delays=[20, 12, 6], n_steps=n_steps, seed=seed) for seed in range(60)]

    def ratio(error, value):
        return np.mean([getattr(r, error) for r in results], 0) / np.std(
            [getattr(r, value) for r in results], 0, ddof=1
        )

    # the spread of 60 is known to 9 %; which products pass the threshold varies too, which the error leaves out, and
    # the jackknife of an irrelevant product is too large by sqrt(2)
    assert 0.65 < ratio("standard_error", "total") < 1.35
    assert 0.75 < ratio("unbiased_standard_error", "unbiased_total") < 1.6
    assert (ratio("unbiased_by_degree_standard_error", "unbiased_by_degree") > 0.7).all()
    mean = np.mean([result.unbiased_total for result in results])
    error = np.std([result.unbiased_total for result in results], ddof=1) / np.sqrt(60)
    longer = measure(system, max_delays=[20, 12, 6], n_steps=200_000, seed=1000)
    assert abs(mean - longer.unbiased_total) < 4 * np.hypot(error, longer.unbiased_standard_error) + 30 / n_steps


@pytest.mark.slow
def test_unbiased_total_of_many_products_stays_at_the_rank():
    """With rank / T as null level the excess of high degrees makes this 22.9."""
    system = ESN.random(20, input_scaling=0.5, spectral_radius=0.9, bias_scaling=0.1, seed=0)
    result = measure(system, max_delays=[40, 20, 15, 10, 8], n_steps=20_000)
    assert len(result.capacity) > 3000
    assert abs(result.unbiased_total - 20) < 4 * result.unbiased_standard_error


# Laws


def test_normal_inputs_bring_hermite_polynomials():
    law = Normal(0.5)
    system = Past(lambda u, v: columns((v / 0.5) ** 2, (u / 0.5) ** 3 - 3 * u / 0.5), 2)
    result = measure(system, input_law=law, max_delays=[3, 3, 3], n_steps=10_000)
    assert result.of({1: 2}) == pytest.approx(1, abs=1e-12)
    assert result.of({0: 3}) == pytest.approx(1, abs=1e-12)
    assert result.of({0: 1}) < 0.02


def test_signs_have_products_of_different_delays_only():
    system = Past(lambda u, v, w: columns(u * v, u * v * w), 2, n_past=2)
    result = measure(system, input_law=Signs(0.3), max_delays=[4, 4, 4], n_steps=5000)
    assert result.degrees.max() == 1
    assert_allclose([result.of({0: 1, 1: 1}), result.of({0: 1, 1: 1, 2: 1})], 1.0, atol=1e-12)
    assert result.total == pytest.approx(2, abs=0.01)


def test_other_laws_are_made_orthonormal_over_their_draws():
    rng = np.random.default_rng(0)
    u = rng.exponential(1.0, (50_000, 1))
    phi = orthonormal_polynomials(lambda rng, size: None, u, 3)[:, :, 0]
    assert_allclose(phi @ phi.T / len(u), np.eye(4), atol=1e-12)
    # Laguerre's, up to sign, to the sampling error of moments of order 4
    assert_allclose(phi[1], u[:, 0] - 1, atol=0.02 * (1 + u[:, 0].max()))
    assert_allclose(phi[2, :100], (u[:100, 0] ** 2 - 4 * u[:100, 0] + 2) / 2, atol=0.3)
    system = Past(lambda u, v: (u**2 - 4 * u + 2) / 2, 1)
    result = measure(system, input_law=lambda rng, size: rng.exponential(1.0, size), max_delays=[2, 2], n_steps=20_000)
    assert result.of({0: 2}) > 0.97


@pytest.mark.parametrize("law", [Uniform(-0.3, 2.0), Normal(3.0)])
def test_polynomials_of_known_laws_are_orthonormal(law):
    if isinstance(law, Normal):
        nodes, weights = hermite_e.hermegauss(30)
        u = law.std * nodes
    else:
        nodes, weights = legendre.leggauss(30)
        u = law.mean + nodes * (law.high - law.low) / 2
    phi = orthonormal_polynomials(law, u, 8)
    assert_allclose((phi * weights) @ phi.T / weights.sum(), np.eye(9), atol=1e-11)


def test_laws_of_few_values_have_few_polynomials():
    u = np.random.default_rng(0).choice([-1.0, 0.5, 2.0], 1000)
    assert len(orthonormal_polynomials(lambda rng, size: None, u, 6)) == 3
    assert len(orthonormal_polynomials(Signs(2.0), np.array([2.0, -2.0]), 6)) == 2
    result = measure(delay_line(2), input_law=lambda rng, size: rng.choice([-1.0, 0.5, 2.0], size), n_steps=1000)
    assert result.degrees.max() == 2


# Noise floor


def test_noise_floor_equals_the_formula_on_stored_states():
    system = odd_network(8)
    u = np.random.default_rng(3).uniform(-1, 1, (2100, 1))
    law = type("Drawn", (Uniform,), {"__call__": lambda self, rng, size: u})(-1.0, 1.0)
    noise = 0.05
    result = measure(system, input_law=law, max_delays=[6, 3], n_steps=2000, washout=100, noise_floor=noise)
    states = system.run(u)[100:]
    cov = np.cov(states.T, bias=True)
    noisy = cov + noise**2 * np.trace(cov) / 8 * np.eye(8)
    for product, y in (({2: 1}, u[98:-2, 0]), ({0: 1, 1: 1}, u[100:, 0] * u[99:-1, 0])):
        c = (states - states.mean(axis=0)).T @ (y - y.mean()) / 2000
        assert result.of(product) == pytest.approx(c @ np.linalg.solve(noisy, c) / y.var(), abs=1e-12)
    assert result.bound == pytest.approx(np.trace(np.linalg.solve(noisy, cov)), rel=1e-10)


def test_noise_limited_memory_of_a_linear_system_is_the_exact_one():
    W, W_in, system = linear(6, seed=2)
    std = np.sqrt(1 / 3)
    cov = sum(np.outer(v, v) / 3 for v in (np.linalg.matrix_power(W, k) @ W_in[:, 0] for k in range(300)))
    variance = 0.1**2 * np.trace(cov) / 6
    exact = noise_limited_capacity(W, W_in * std, noise_variance=variance, max_delay=40)
    result = measure(system, max_delays=[40], n_steps=40_000, noise_floor=0.1)
    assert abs(result.memory_capacity - exact.per_delay.sum()) < 4 * result.unbiased_standard_error + 2e-3


def test_noise_floor_hides_a_tiny_nonlinearity():
    system = Past(lambda u: columns(u, u + 1e-6 * u**2), 2, 0)
    plain = measure(system, max_delays=[2, 2], n_steps=2000)
    assert plain.of({0: 2}) == pytest.approx(1, abs=1e-6)
    hidden = measure(system, max_delays=[2, 2], n_steps=2000, noise_floor=1e-3)
    assert hidden.of({0: 2}) < chi2.isf(1e-4, 1) / 2000  # what chance correlates a square with u
    assert hidden.of({0: 1}) == pytest.approx(1, abs=1e-4)
    assert hidden.bound == pytest.approx(1, abs=1e-4) and hidden.rank == 2


def test_chance_passes_the_threshold_under_a_noise_floor_as_often():
    result = measure(Noise(12, 1), max_delays=[1500], p=0.01, n_steps=4000, noise_floor=1.0)
    assert result.bound == pytest.approx(6, rel=0.02)
    assert abs(result.significant.mean() - 0.01) < 4 * np.sqrt(0.01 * 0.99 / 1501)
    assert result.raw_total == pytest.approx(1501 * 6 / 4000, rel=0.05)


# The search


def test_products_are_all_those_over_distinct_delays():
    for degree, n_delays in ((1, 7), (2, 6), (3, 5), (4, 4)):
        patterns = partitions(degree, degree)
        products = {
            tuple(sorted(zip(delays, degrees, strict=True)))
            for pattern in patterns
            for k in range(n_delays)
            for degrees, delays, _ in [shell(pattern, k, 1, degree)]
            for degrees, delays in zip(degrees.tolist(), delays.tolist(), strict=True)
        }
        assert len(products) == comb(n_delays + degree - 1, degree)
        assert len(products) == sum(count_products(q, k, 1) for q in patterns for k in range(n_delays))
        for product in products:
            used = [(k, d) for k, d in product if d]
            assert sum(d for _, d in used) == degree and len({k for k, _ in used}) == len(used)


def test_channels_count_as_further_inputs():
    products = shell((1, 1), 1, 2, 2)
    pairs = {
        tuple(sorted(zip(k, c, strict=True)))
        for k, c in zip(products.delays.tolist(), products.channels.tolist(), strict=True)
    }
    inputs = [(k, c) for k in range(2) for c in range(2)]
    assert pairs == {pair for pair in combinations(inputs, 2) if max(k for k, _ in pair) == 1}
    system = Past(lambda u, v: columns(u[:, :1] * v[:, 1:], u[:, 1:] * u[:, :1]), 2, 1, n_inputs=2)
    result = measure(system, max_delays=[3, 3], n_steps=3000)
    assert result.of({(0, 0): 1, (1, 1): 1}) == pytest.approx(1, abs=1e-12)
    assert result.of({(0, 0): 1, (0, 1): 1}) == pytest.approx(1, abs=1e-12)
    assert result.of({(0, 1): 1, (1, 0): 1}) < 0.02
    assert result.total == pytest.approx(2, abs=0.02)


def test_the_search_ends_after_a_run_of_empty_delays():
    system = Past(lambda u, v, w, x, y: columns(y, w * x), 2, n_past=4)
    result = measure(system, max_degree=2, n_steps=5000, patience=3)
    assert result.searched == {(1,): 4 + 4 * 3 + 7, (2,): 11, (1, 1): 6}
    assert result.limited == () and "complete: it ended" in repr(result)
    assert result.of({4: 1}) == pytest.approx(1, abs=1e-12)
    assert result.of({2: 1, 3: 1}) == pytest.approx(1, abs=1e-12)


class Chain(SystemDefaults):
    """A delay line of a function of the input, of which the readout sees some units."""

    n_units, n_inputs = 40, 1

    def __init__(self, function, observed):
        self.function, self.observed = function, observed

    def step(self, x, u):
        return np.concatenate([self.function(u), x[:-1]])


@pytest.mark.parametrize("observed", [slice(-1, None), slice(0, None, 39)], ids=["last", "first and last"])
def test_the_search_finds_memory_behind_a_gap_as_long_as_the_system(observed):
    units = range(40)[observed]
    linear = measure(Chain(lambda u: u, observed), max_degree=2, n_steps=2000)
    square = measure(Chain(lambda u: u**2, observed), max_degree=2, n_steps=2000)
    for delay in units:
        assert linear.of({delay: 1}) > 1 - 1e-9 and square.of({delay: 2}) > 1 - 1e-9
    # the units are orthogonal basis functions: nothing else is there
    assert linear.completeness == pytest.approx(1, abs=0.01) and "complete: it ended" in repr(linear)


def test_products_are_searched_around_the_nearest_delay_that_holds_anything():
    class Pair(Chain):
        def step(self, x, u):
            return np.concatenate([u, x[:-2], [x[29] + x[29] * x[28]]])  # u_30 + u_30 u_29

    result = measure(Pair(None, slice(-1, None)), max_degree=2, n_steps=2000)
    variance = np.array([1 / 3, 1 / 9])
    assert_allclose([result.of({30: 1}), result.of({29: 1, 30: 1})], variance / variance.sum(), atol=0.05)
    assert result.completeness == pytest.approx(1, abs=0.05)


def test_capacity_that_was_not_found_is_not_called_complete():
    class Product(Chain):
        def step(self, x, u):
            return np.concatenate([u, x[:-2], [x[30] * x[24]]])

    result = measure(Product(None, slice(-1, None)), max_degree=2, n_steps=2000)
    assert result.total < 0.1
    assert not result.limited and "complete" not in repr(result) and "rest of the bound" in repr(result)


def test_growing_and_given_ranges_agree_on_the_products_both_have():
    system = ESN.random(6, spectral_radius=0.6, input_scaling=0.8, bias_scaling=0.1, seed=0)
    grown = measure(system, max_degree=2, n_steps=3000)
    given = measure(system, max_delays=[10, 4], n_steps=3000)
    for k in range(11):
        assert grown.of({k: 1}) == pytest.approx(given.of({k: 1}), abs=1e-12)
    for pair in combinations(range(5), 2):
        assert grown.of(dict.fromkeys(pair, 1)) == pytest.approx(given.of(dict.fromkeys(pair, 1)), abs=1e-12)


def test_a_search_that_hits_its_limit_says_so():
    few = measure(odd_network(10), max_degree=3, n_steps=3000, max_products=60)
    assert len(few.capacity) <= 60 and (1, 1, 1) in few.limited
    assert "NOT complete" in repr(few) and "1+1+1" in repr(few)
    short = measure(delay_line(40), max_degree=1, n_steps=3000, washout=30)
    assert short.limited == ((1,),) and short.searched == {(1,): 30}
    assert short.total == pytest.approx(31, abs=1e-6)


def test_degrees_left_out_are_not_searched():
    result = measure(delay_line(3), max_delays={3: 2}, n_steps=1000)
    assert set(result.degrees.sum(axis=1)) == {3}
    assert "degree 1    0 ± 0, not searched" in repr(result)


# Settings, errors, output


def test_same_seed_same_bits():
    system = odd_network(6)
    one, same, other = (
        measure(system, max_degree=3, n_steps=1500, seed=seed) for seed in (1, np.random.SeedSequence(1), 2)
    )
    assert_array_equal(one.capacity, same.capacity)
    assert one.standard_error == same.standard_error and one.total != other.total


def test_memory_does_not_grow_with_the_states():
    system = ESN.random(100, spectral_radius=0.5, seed=0)
    peaks = []
    measure(system, max_delays=[5, 3], n_steps=1000)
    for n_steps in (10_000, 20_000):
        tracemalloc.start()
        measure(system, max_delays=[5, 3], n_steps=n_steps)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # inputs, polynomials and their temporaries are some ten numbers a step; the states would be 100
    assert (peaks[1] - peaks[0]) / 10_000 < 200


def test_only_observed_units_count():
    line = delay_line(8)
    object.__setattr__(line, "observed", slice(2, 4))
    result = measure(line, max_delays=[8], n_steps=1000)
    assert result.n_units == 2
    assert_allclose([result.of({2: 1}), result.of({3: 1})], 1.0, atol=1e-12)
    assert result.of({1: 1}) < 0.03


def test_an_object_with_step_alone_is_enough():
    class Plain:
        n_units, n_inputs = 2, 1

        def step(self, x, u):
            return np.array([u[0], x[0] * u[0]])

    assert measure(Plain(), max_delays=[1, 1], n_steps=500).of({0: 1, 1: 1}) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("settings", "error", "fragment"),
    [
        ({"max_degree": 0}, ValueError, "max_degree must be at least 1"),
        ({"max_degree": 2.5}, TypeError, "max_degree must be an integer"),
        ({"max_delays": 5}, TypeError, "max_delays must be a sequence"),
        ({"max_delays": "3"}, TypeError, "max_delays must be a sequence"),
        ({"max_delays": []}, ValueError, "max_delays must give at least one"),
        ({"max_delays": [3, -1]}, ValueError, "max_delays for degree 2 must be at least 0"),
        ({"max_delays": {0: 3}}, ValueError, "degree in max_delays must be at least 1"),
        ({"max_delays": [3, 3, 3], "max_degree": 2}, ValueError, "max_delays must not go beyond max_degree = 2"),
        ({"max_delays": [10, 500]}, ValueError, "max_products must be at least"),
        ({"p": 0.0}, ValueError, "p must be a probability"),
        ({"p": 1.0}, ValueError, "p must be a probability"),
        ({"p": "a"}, TypeError, "p must be a number"),
        ({"noise_floor": -1.0}, ValueError, "noise_floor must be at least 0"),
        ({"noise_floor": np.nan}, ValueError, "noise_floor must be finite"),
        ({"patience": 0}, ValueError, "patience must be at least 1"),
        ({"max_products": 0}, ValueError, "max_products must be at least 1"),
        ({"n_steps": 5}, ValueError, "n_steps must be at least"),
        ({"n_steps": 20}, ValueError, "n_steps must be larger"),
        ({"washout": -1}, ValueError, "washout must be at least 0"),
        ({"input_law": 0.5}, TypeError, "input_law must be a function"),
        ({"input_law": lambda rng, size: np.zeros(3)}, ValueError, "input_law(rng, size) must return"),
        ({"input_law": lambda rng, size: np.full(size, np.inf)}, ValueError, "input_law(rng, size) must be finite"),
        ({"input_law": lambda rng, size: np.ones(size)}, ValueError, "input_law must give values that vary"),
        ({"seed": None}, TypeError, "seed must be"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
    ],
)
def test_bad_input_is_named(settings, error, fragment):
    with pytest.raises(error) as raised:
        measure(odd_network(8), **settings)
    assert fragment in str(raised.value)


def test_systems_of_no_use_are_named():
    with pytest.raises(TypeError, match="system must be a System"):
        measure(3.0)
    with pytest.raises(ValueError, match="system must have inputs"):
        measure(Map(lambda x, u: 0.5 * x, n_units=2))
    with pytest.raises(FloatingPointError, match="diverged"), np.errstate(all="ignore"):
        measure(Map(lambda x, u: 3 * x + u, n_units=1, n_inputs=1), n_steps=2000)


def test_products_that_were_not_searched_are_refused():
    result = measure(delay_line(3), max_delays=[4, 2], n_steps=500)
    for product in ({5: 1}, {0: 3}, {}, {0: 1, 3: 1}, {(0, 1): 1}):
        with pytest.raises(ValueError, match="degrees must name a product that was searched"):
            result.of(product)


def test_result_says_what_produced_it():
    result = measure(delay_line(5), max_delays=[9, 4], n_steps=2000, input_law=Uniform(-0.5, 0.5), seed=42)
    text = repr(result)
    for part in (
        "of at most 5",
        "degree 1    5",
        "delays 0..9",
        "25 searched",
        "probability 0.0001",
        "Uniform(low=-0.5, high=0.5)",
        "2000 steps",
        "washout 500",
        "seed 42",
        "rank 5",
        "noise floor 0",
        "covers the delays asked for",
    ):
        assert part in text
    assert max(map(len, text.splitlines())) < 130


def test_profile_plots_show_the_totals():
    import matplotlib.pyplot as plt

    results = [measure(odd_network(6, seed), max_degree=3, n_steps=2000) for seed in (0, 1)]
    axes = plt.figure().subplots()
    assert results[0].plot(axes) is axes
    assert axes.get_xlabel() == "longest delay of the product (steps)"
    heights = sum(bar.get_height() for bars in axes.containers for bar in bars)
    assert heights == pytest.approx(results[0].total)
    axes = plot_capacity_profiles(results, ["first", "second"])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["first", "second"]
    bars = [container for container in axes.containers if hasattr(container, "patches")]
    assert sum(bar[1].get_height() for bar in bars) == pytest.approx(results[1].total)
    with pytest.raises(ValueError, match="labels must name each"):
        plot_capacity_profiles(results, ["only one"])
    plt.close("all")
