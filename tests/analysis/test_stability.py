"""Certificates against simulation, closed forms and facts of matrix analysis; nothing unstable is ever certified."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import MODELS, M

from penstock import LureBlock, Map, SystemDefaults, identity, relu, sigmoid, tanh
from penstock.analysis import (
    contraction_certificate,
    effective_spectral_norm,
    effective_spectral_radius,
    lyapunov_spectrum,
    stability,
)
from penstock.analysis.contraction import certificates, published_norm
from penstock.reservoirs import ES2N, ESN, DeepESN, ResESN, ResRMN, Stack
from penstock.scaling import spectral_norm, spectral_radius
from penstock.weights import eye, orthogonal, ring

pytestmark = pytest.mark.filterwarnings("ignore::penstock.reservoirs.EchoStateWarning")


def esn(W, **settings):
    W = np.asarray(W, float)
    return ESN(W, np.ones((len(W), 1)), **settings)


def rates(system):
    (block,) = system.lure_blocks()
    return {one.kind: one.rate for one in certificates(block)}


def numerical_radius(W, n_angles=361):
    """max |x* W x| over unit vectors: the largest eigenvalue of the Hermitian part over all rotations of W."""
    turns = np.exp(1j * np.linspace(0, 2 * np.pi, n_angles))
    return max(np.linalg.eigvalsh((z * W + np.conj(z) * W.T) / 2)[-1] for z in turns)


# --- bounds in closed form ------------------------------------------------------------------------------------------


def test_published_bounds_are_those_of_the_papers():
    W = np.random.default_rng(0).uniform(-1, 1, (9, 9))
    norm = np.linalg.svd(W, compute_uv=False)[0]
    (leaky,) = esn(W, leak=0.3).lure_blocks()
    # sums and products of a few numbers of order 1
    np.testing.assert_allclose(published_norm(leaky), 0.7 + 0.3 * norm, rtol=1e-14)
    (squashed,) = esn(W, activation=sigmoid).lure_blocks()
    np.testing.assert_allclose(published_norm(squashed), norm / 4, rtol=1e-14)
    residual = ResESN.random(30, alpha=0.4, beta=0.2, seed=0)
    (block,) = residual.lure_blocks()
    np.testing.assert_allclose(published_norm(block), 0.4 + 0.2 * spectral_norm(residual.W), rtol=1e-14)
    edge = ES2N.random(30, beta=0.2, seed=0)
    (block,) = edge.lure_blocks()
    np.testing.assert_allclose(published_norm(block), 0.8 + 0.2 * spectral_norm(edge.W), rtol=1e-14)


def test_necessary_bound_of_a_stack_is_the_largest_of_its_layers():
    deep = DeepESN.random(30, n_layers=3, leak=0.4, seed=0)
    by_layer = [np.abs(np.linalg.eigvals(0.6 * np.eye(10) + 0.4 * layer.W)).max() for layer in deep.layers]
    result = stability(deep)
    np.testing.assert_allclose([layer.radius_at_rest for layer in result.layers], by_layer, rtol=1e-12)
    np.testing.assert_allclose(result.radius_at_rest, max(by_layer), rtol=1e-12)
    assert result.rate == max(layer.best.rate for layer in result.layers)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 15), seed=st.integers(0, 2**32 - 1))
def test_weighted_rows_reach_the_radius_of_the_absolute_values_and_scaling_never_exceeds_it(n, seed):
    W = np.random.default_rng(seed).standard_normal((n, n)) / np.sqrt(n)
    found = rates(esn(W))
    perron = np.abs(np.linalg.eigvals(np.abs(W))).max()
    # the Perron vector makes all weighted row sums equal; three inverse iterations find it to rounding
    np.testing.assert_allclose(found["weighted row sums"], perron, rtol=1e-13)
    assert found["scaled Euclidean norm"] <= min(perron, np.linalg.norm(W, 2)) * (1 + 1e-12)
    assert found["row sums"] == pytest.approx(np.abs(W).sum(axis=1).max(), rel=1e-14)
    floor = max(spectral_radius(W), 0.5 * spectral_radius(W))
    assert all(rate >= floor * (1 - 1e-9) for rate in found.values())


def test_two_units_in_closed_form():
    # for off-diagonal p, q: rho(|W|) = sqrt(pq) is also the scaled norm, reached with S = diag((q/p)^1/2, 1)
    p, q = 8.0, 0.1
    for signs in (1, -1):
        found = rates(esn([[0, p], [signs * q, 0]]))
        np.testing.assert_allclose(found["Euclidean norm"], p, rtol=1e-14)
        np.testing.assert_allclose(found["weighted row sums"], np.sqrt(p * q), rtol=1e-14)
        np.testing.assert_allclose(found["scaled Euclidean norm"], np.sqrt(p * q), rtol=1e-12)
    # a chain has no memory beyond its length: arbitrarily small in the right norm
    assert rates(esn([[0, 50.0], [0, 0]]))["scaled Euclidean norm"] < 0.2


def test_scaling_finds_the_metric_in_which_hidden_rotations_are_rotations():
    # W = S^-1 (0.9 Q) S has radius 0.9, which no norm undercuts and the right scaling reaches
    s = np.exp(np.random.default_rng(0).uniform(-2, 2, 12))
    W = 0.9 * orthogonal(12, seed=0) * s / s[:, None]
    assert np.linalg.norm(W, 2) > 2 and spectral_radius(np.abs(W)) > 2
    # 1e-3: the last Schatten norm differs from the largest singular value by at most 12^(1/128) before it is minimised
    np.testing.assert_allclose(rates(esn(W))["scaled Euclidean norm"], 0.9, rtol=1e-3)


def test_normal_weights_have_their_radius_for_a_norm():
    rotation = 0.95 * orthogonal(12, seed=0)
    found = rates(esn(rotation))
    np.testing.assert_allclose(found["Euclidean norm"], 0.95, rtol=1e-13)
    assert stability(esn(rotation)).certified
    symmetric = rotation + rotation.T
    symmetric *= 0.9 / spectral_radius(symmetric)
    # 1e-6: the margin given to a bound that is met exactly
    np.testing.assert_allclose(min(rates(esn(symmetric)).values()), 0.9, rtol=2e-6)


@pytest.mark.parametrize("radius", [0.5, 0.7])
def test_circle_criterion_is_at_most_the_numerical_radius(radius):
    model = ESN.random(25, spectral_radius=radius, seed=4)
    found = rates(model)["quadratic form"]
    # the rate is bisected to 1e-3
    assert spectral_radius(model.W) <= found <= numerical_radius(model.W) * (1 + 1.1e-3)
    assert found <= rates(model)["scaled Euclidean norm"] * (1 + 2e-6)


def test_circle_criterion_allows_strong_inhibition_to_leaky_units():
    # x' = (1 - a) x + a tanh(w x + u): slopes between 1 - a and 1 - a + a w; contracts as long as w > -(2 - a)/a
    a = 0.25
    for w, contracts in ((-6.9, True), (-7.1, False)):
        assert stability(esn([[w]], leak=a)).certified is contracts
        assert published_norm(esn([[w]], leak=a).lure_blocks()[0]) > 1


def test_linear_systems_are_decided_by_their_radius():
    rng = np.random.default_rng(5)
    for radius, stable in ((0.97, True), (1.03, False)):
        W = rng.standard_normal((20, 20)) + 5 * np.triu(rng.standard_normal((20, 20)))  # far from normal
        W *= radius / spectral_radius(W)
        result = stability(esn(W, activation=identity))
        assert result.certified is stable and result.necessary_violated is not stable


def test_radius_below_one_without_contraction_is_undecided():
    # rho = sqrt(det) = 0.84, yet where the second unit saturates, D = diag(1, 0), the first grows by 2
    W = np.array([[2.0, -3.0], [1.4, -1.75]])
    assert spectral_radius(W) < 1 < spectral_radius(np.diag([1, 0.0]) @ W)
    result = stability(esn(W))
    assert result.undecided and not result.certified and not result.necessary_violated
    assert "undecided" in repr(result)


def test_ring_on_the_unit_circle_is_neither_certified_nor_refuted():
    assert stability(esn(ring(8).toarray(), activation=identity)).undecided
    lossless = stability(ResRMN.random(5, n_memory=6, alpha=0.1, beta=0.1, seed=0))
    assert lossless.undecided and lossless.layers[1].certified
    assert stability(ResRMN.random(5, n_memory=6, memory_radius=0.9, alpha=0.1, beta=0.1, seed=0)).certified


# --- certificates hold ----------------------------------------------------------------------------------------------


@functools.cache
def judged(kind, seed):
    settings = {"n_inputs": 2, "input_scaling": 2.0, "bias_scaling": 1.0, "seed": seed}
    model = {
        "plain": lambda: ESN.random(8, spectral_radius=0.55, **settings),
        "leaky": lambda: ESN.random(8, spectral_radius=0.6, leak=0.4, **settings),
        "leaks": lambda: ESN.random(8, spectral_radius=0.4, leak=np.linspace(0.1, 1, 8), **settings),
        "sigmoid": lambda: ESN.random(8, spectral_radius=2.0, activation=sigmoid, **settings),
        "relu": lambda: ESN.random(8, spectral_radius=0.5, activation=relu, **settings),
        "residual": lambda: ResESN.random(8, alpha=0.5, beta=0.5, spectral_radius=0.5, **settings),
        "linear": lambda: ESN.random(8, spectral_radius=0.9, activation=identity, **settings),
    }[kind]()
    return model, stability(model, progress=False)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["plain", "leaky", "leaks", "sigmoid", "relu", "residual", "linear"]),
    model_seed=st.integers(0, 3),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-3, 1.0, 5.0]),
)
def test_distances_shrink_at_the_rate_at_every_step_under_any_input(kind, model_seed, seed, scale):
    model, result = judged(kind, model_seed)
    rng = np.random.default_rng(seed)
    u = scale * rng.standard_normal((25, 2))
    x0 = scale * rng.standard_normal((2, 8))
    runs = np.concatenate([x0[:, None], model.run(np.stack([u, u]), x0)], axis=1)
    for one in result.layers[0].certificates:
        d = one.distance(runs[0], runs[1])
        # where d is small against the states, their rounding (1e-16 each, times the condition of the norm) shows
        floor = 1e-12 * one.distance(runs[0], np.zeros(8)).max()
        assert (d[1:] <= one.rate * d[:-1] * (1 + 1e-9) + floor).all(), one


def test_most_of_these_models_are_certified():
    certified = {kind: judged(kind, 0)[1].certified for kind in ("plain", "leaky", "leaks", "sigmoid", "residual")}
    assert all(certified.values()), certified
    assert judged("linear", 0)[1].certified


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), radius=st.floats(1.0, 3.0), leak=st.sampled_from([0.1, 0.5, 1.0]))
def test_unstable_systems_are_never_certified(seed, radius, leak):
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((6, 6))
    rest = (1 - leak) * np.eye(6) + leak * W
    W = (rest * radius / spectral_radius(rest) - (1 - leak) * np.eye(6)) / leak
    result = stability(esn(W, leak=leak), progress=False)
    assert not result.certified
    assert result.necessary_violated or radius < 1 + 1e-8


def test_rectangular_blocks_as_of_shallow_piecewise_linear_networks_are_certified_and_contract():
    rng = np.random.default_rng(7)
    A, W1, W2 = np.diag(rng.uniform(0.2, 0.6, 4)), rng.standard_normal((4, 9)) / 9, rng.standard_normal((9, 4)) / 4
    block = LureBlock(A, W1, W2, (0.0, 1.0), 1.0, np.inf)
    x, y = rng.standard_normal((2, 500, 4))
    step = [A @ state + W1 @ np.maximum(W2 @ state, 0) for state in (x.T, y.T)]
    for one in certificates(block):
        assert (one.distance(step[0].T, step[1].T) <= one.rate * one.distance(x, y) * (1 + 1e-12)).all()
    assert min(one.rate for one in certificates(block)) < 1


def test_a_certified_stack_forgets_its_start():
    deep = DeepESN.random(24, n_layers=3, spectral_radius=0.4, input_scaling=3.0, seed=1)
    result = stability(deep)
    assert result.certified
    u = np.random.default_rng(0).uniform(-1, 1, (2, 400, 1))
    u[1] = u[0]
    x, y = deep.run(u, np.random.default_rng(1).uniform(-1, 1, (2, 24)))
    # the rate bounds the decay up to a polynomial in the number of layers; 400 steps reach rounding
    assert result.rate**400 < 1e-16 and np.abs(x[-1] - y[-1]).max() < 1e-14


# --- verdicts and what they cover -----------------------------------------------------------------------------------

# best configurations of andreaceni/ResESN, N = 100 (input scaling, bias scaling, radius, alpha, beta)
PUBLISHED = {
    "NARMA10 C": (ring, 0.25, 2, 1.1, 1e-4, 1.0),
    "NARMA10 I": (eye, 0.25, 1, 0.9, 0.01, 1.05),
    "NARMA30 C": (ring, 0.25, 0.5, 0.8, 0.9, 0.4),
    "MG1 C": (ring, 0.5, 1, 1.1, 0.1, 1.01),
    "MG84 R": (orthogonal, 1, 0.5, 1.1, 1e-4, 0.99),
    "MG84 I": (eye, 2, 1, 1, 0.8, 0.2),
}


@pytest.mark.parametrize("name", ["NARMA10 C", "MG1 C", "MG84 R"])
def test_published_best_settings_are_flagged_and_still_analysed(name):
    skip, omega, bias, radius, alpha, beta = PUBLISHED[name]
    model = ResESN.random(
        40, skip=skip, input_scaling=omega, bias_scaling=bias, spectral_radius=radius, alpha=alpha, beta=beta, seed=0
    )
    u = np.random.default_rng(0).uniform(0, 0.5, (400, 1))
    result = stability(model, u, n_samples=5, progress=False)
    assert result.necessary_violated and not result.certified
    assert "necessary condition violated" in repr(result)
    assert not result.rest_is_fixed and "leaves the origin" in repr(result)
    # and yet they have echo states under their input
    assert result.along_input.exponent < 0


def test_the_radius_of_a_residual_reservoir_with_identity_skip_is_read_off_the_eigenvalues_of_w():
    model = ResESN.random(40, skip=eye, alpha=0.8, beta=0.8, spectral_radius=0.6, seed=0)
    values = 0.8 + 0.8 * np.linalg.eigvals(model.W)
    result = stability(model)
    np.testing.assert_allclose(result.radius_at_rest, np.abs(values).max(), rtol=1e-12)
    assert result.necessary_violated


def test_the_origin_refutes_nothing_where_it_is_not_at_rest_or_has_a_kink():
    squashed = stability(esn([[-4.2, 0], [0, -4.2]], activation=sigmoid))
    assert squashed.radius_at_rest > 1 and squashed.undecided and not squashed.rest_is_fixed
    # relu with W = -2 dies at once from any start without input
    model = esn([[-2.0]], activation=relu)
    assert (model.run(np.zeros(3), x0=[5.0])[1:] == 0).all()
    assert stability(model).undecided


def test_a_kink_or_jump_at_the_origin_refutes_nothing_without_the_form_either():
    dies = Map(lambda x, u: np.maximum(0, -4 * x), n_units=2)
    assert (dies.run(3, x0=[5.0, -1.0])[1:] == 0).all()
    for rule in (dies, Map(lambda x, u: 3 * x + 0.5 * np.sign(x), n_units=2)):
        result = stability(rule)
        assert result.radius_at_rest > 1 and result.undecided and "kink at the origin" in repr(result)

    class Single:  # the rounding of a bias of order 1 is no kink
        n_units, n_inputs, dtype = 1, 0, np.float32

        def step(self, x, u):
            x = np.asarray(x, np.float32)
            return np.tanh(2 * x + np.float32(0.7)) - np.tanh(np.float32(0.7))

    result = stability(Single())
    slope = 2 * (1 - np.tanh(0.7) ** 2)
    # differences of single-precision steps over 5e-3
    np.testing.assert_allclose(result.radius_at_rest, slope, rtol=1e-3)
    assert slope < 1.27 and result.necessary_violated


def test_large_layers_are_certified_by_the_first_norm_that_does():
    plain = stability(ESN.random(210, spectral_radius=0.4, seed=0), progress=False)
    assert plain.certified and len(plain.layers[0].certificates) == 4 and "not tried" in repr(plain)
    assert "raise quadratic_up_to" not in repr(plain)
    model = ESN.random(210, spectral_radius=0.6, seed=0)
    found = stability(model, progress=False)
    best = found.layers[0].best
    assert best.kind == "quadratic form" and found.certified
    # the numerical radius is what the criterion reaches with equal multipliers; the rate is bisected to 5e-2
    assert 0.6 <= best.rate <= numerical_radius(model.W, 37) * 1.06
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 40, 210))
    for _ in range(5):
        step = [np.tanh(z @ model.W.T) for z in (x, y)]
        assert (best.distance(*step) <= best.rate * best.distance(x, y) * (1 + 1e-9)).all()
        x, y = step
    skipped = stability(model, quadratic_up_to=200, progress=False)
    assert skipped.undecided and "raise quadratic_up_to to decide more" in repr(skipped)
    refused = stability(ESN.random(210, spectral_radius=0.9, seed=0), progress=False)
    assert refused.undecided and refused.layers[0].quadratic_searched and len(refused.layers[0].certificates) == 4


def test_a_metric_that_fails_is_not_believed():
    from penstock.analysis.contraction import _holds

    one, zero = np.eye(1), np.zeros((1, 1))
    # x' = tanh(c x): P = p, Λ = l: p > 0, p < 2 l, and (c l)^2 < p (2 l - p), at best c < 1
    for c, holds in ((0.999, True), (1.0, False), (1.001, False)):
        assert _holds(zero, one, c * one, one, np.ones(1)) is holds
    assert not _holds(zero, one, 0.5 * one, -one, np.ones(1))
    assert not _holds(zero, one, 0.5 * one, np.nan * one, np.ones(1))


def test_systems_without_the_form_have_no_certificate_and_say_so():
    model = Map(lambda x, u: np.tanh(0.5 * x + u), n_units=2, n_inputs=2)
    result = stability(model)
    assert result.layers == () and result.rate is None and result.undecided
    assert "no certificate is possible, sampled quantities only" in repr(result)
    np.testing.assert_allclose(result.radius_at_rest, 0.5, rtol=1e-12)
    assert stability(Map(lambda x, u: 2 * np.tanh(x), n_units=1)).necessary_violated
    assert np.isnan(stability(Map(lambda x, u: 0.5 * x + 1 / x, n_units=1)).radius_at_rest)


def test_a_users_step_alone_is_enough():
    class Step:
        n_units, n_inputs = 2, 1

        def step(self, x, u):
            return 0.25 * x + u

    result = stability(Step(), np.ones(200), n_samples=3)
    np.testing.assert_allclose(result.along_input.exponent, np.log(0.25), rtol=1e-9)
    np.testing.assert_allclose(result.along_input.radii, 0.25, rtol=1e-9)


@pytest.mark.parametrize(
    "name", ["ESN dense", "ESN linear", "ESN ring", "ResESN C", "DeepResESN", "ResRMN", "EuSN sparse"]
)
def test_the_exponent_along_an_input_is_at_most_the_logarithm_of_the_rate(name):
    u = np.random.default_rng(0).uniform(-1, 1, (200, M))
    result = stability(MODELS[name](), u, n_samples=2, progress=False)
    # 1e-3: the finite run, of which the rate bounds the growth in its own norm
    assert result.along_input.exponent <= np.log(result.rate) + 3 * result.along_input.exponent_error + 1e-3
    assert result.certified + result.necessary_violated + result.undecided == 1


# --- along an input -------------------------------------------------------------------------------------------------


def test_along_an_input_are_the_exponent_and_the_radii_of_the_jacobian():
    model, u = ESN.random(15, leak=0.5, seed=0), np.random.default_rng(0).uniform(-1, 1, (300, 1))
    found = stability(model, u, washout=50, n_samples=7, seed=3).along_input
    expected = lyapunov_spectrum(model, u, 1, washout=50, seed=3, progress=False)
    assert found.exponent == expected.exponents[0] and found.exponent_error == expected.standard_errors[0]
    states = model.run(u)
    times = np.linspace(50, 299, 7).astype(int)
    radii = [np.abs(np.linalg.eigvals(model.jacobian(states[t - 1], u[t]))).max() for t in times]
    np.testing.assert_allclose(found.radii, radii, rtol=1e-10)
    np.testing.assert_allclose(found.mean_radius, np.mean(radii), rtol=1e-10)
    np.testing.assert_allclose(found.radius_error, np.std(radii, ddof=1) / np.sqrt(7), rtol=1e-8)


def test_autonomous_systems_start_off_the_origin():
    # a limit point away from the unstable origin: slope 1 - tanh^2 at x = tanh(2 x)
    model = ESN([[2.0]], np.empty((1, 0)))
    found = stability(model, n_steps=500, n_samples=5).along_input
    x = 0.9575040240772687  # root of x = tanh 2x
    np.testing.assert_allclose(found.mean_radius, 2 * (1 - x * x), rtol=1e-9)
    np.testing.assert_allclose(found.exponent, np.log(2 * (1 - x * x)), rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_exponent_and_radii_are_of_the_same_run(seed):
    # attractors on both sides of the origin, of different slopes
    rule = Map(lambda x, u: np.tanh(np.where(x.real > 0, 2, 3) * x), n_units=1)
    found = stability(rule, n_steps=200, n_samples=3, seed=seed, progress=False).along_input
    np.testing.assert_allclose(found.exponent, np.log(found.mean_radius), rtol=1e-6)
    left = stability(rule, n_steps=200, x0=[-0.5], n_samples=3, seed=seed, progress=False).along_input
    x = 0.9949015284526289  # root of x = tanh 3x
    np.testing.assert_allclose(left.mean_radius, 3 * (1 - x * x), rtol=1e-6)
    np.testing.assert_allclose(left.exponent, np.log(3 * (1 - x * x)), rtol=1e-6)
    assert "largest exponent" in repr(left)


def test_same_seed_same_bits():
    model, u = ESN.random(12, seed=0), np.random.default_rng(0).uniform(-1, 1, (200, 1))
    a, b = stability(model, u, seed=1), stability(model, u, seed=1)
    assert a.along_input.exponent == b.along_input.exponent
    for one, other in zip(a.layers[0].certificates, b.layers[0].certificates, strict=True):
        assert one.rate == other.rate and (one.transform == other.transform).all()


def test_effective_radius_and_norm_are_what_their_names_say():
    W = np.random.default_rng(2).standard_normal((7, 7))
    rest = 0.7 * np.eye(7) + 0.3 * W
    model = esn(W, leak=0.3)
    np.testing.assert_allclose(effective_spectral_radius(model), np.abs(np.linalg.eigvals(rest)).max(), rtol=1e-12)
    np.testing.assert_allclose(effective_spectral_norm(model), np.linalg.svd(rest)[1][0], rtol=1e-12)
    layer = stability(model).layers[0]
    assert (layer.radius_at_rest, layer.norm_at_rest) == (
        effective_spectral_radius(model),
        effective_spectral_norm(model),
    )


# --- continuous time ------------------------------------------------------------------------------------------------


def test_continuous_metric_solves_its_inequality_and_has_the_radius_for_a_rate():
    rng = np.random.default_rng(3)
    W = rng.standard_normal((10, 10))
    np.fill_diagonal(W, -np.abs(np.diagonal(W)))
    absolute = np.abs(W) - np.diag(np.abs(np.diagonal(W)))
    W *= 0.9 / spectral_radius(absolute)
    metzler = np.abs(W) - np.diag(np.abs(np.diagonal(W))) - np.eye(10)
    found = contraction_certificate(W)
    assert found.certified
    np.testing.assert_allclose(found.spectral_abscissa, np.linalg.eigvals(metzler).real.max(), atol=1e-10)
    assert found.rate >= -found.spectral_abscissa * (1 - 1e-9)
    if found.condition.startswith("g |W|"):
        P = np.diag(found.P)
        assert np.linalg.eigvalsh(P @ metzler + metzler.T @ P)[-1] < 0


def test_strong_self_inhibition_is_known_to_help():
    found = contraction_certificate([[-50.0, 0.5], [0.5, -50.0]])
    # |W| without the diagonal has radius 1/2: the rate is 1 - 1/2
    assert found.certified and found.condition == "g |W| - I Hurwitz"
    np.testing.assert_allclose(found.rate, 0.5, rtol=1e-8)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), slope=st.sampled_from([0.25, 1.0, 2.0]), tau=st.sampled_from([1.0, 20.0]))
def test_continuous_distances_decay_at_the_rate_whatever_the_slopes(seed, slope, tau):
    rng = np.random.default_rng(seed)
    W = 0.35 * rng.standard_normal((5, 5)) / slope
    found = contraction_certificate(W, slope=slope, tau=tau)
    root = np.sqrt(found.P)
    for _ in range(20):
        D = np.diag(rng.choice([0, slope], 5))
        for jacobian in (W @ D, D @ W):  # phi inside and outside
            scaled = root[:, None] * (jacobian - np.eye(5)) / tau / root
            # d/dt ln of the distance is at most the largest eigenvalue of the symmetric part
            assert np.linalg.eigvalsh((scaled + scaled.T) / 2)[-1] <= -found.rate + 1e-12


def test_continuous_certificate_refuses_unstable_networks():
    found = contraction_certificate(2 * np.eye(3))
    assert not found.certified and found.rate <= 0 and "undecided" in repr(found)
    assert not contraction_certificate(np.eye(3)).certified


# --- bad input ------------------------------------------------------------------------------------------------------


def test_bad_input_is_named():
    model, free = ESN.random(5, seed=0), ESN(np.eye(2), np.empty((2, 0)))
    with pytest.raises(TypeError, match="system must be a System"):
        stability(3)
    with pytest.raises(TypeError, match="got the class ESN"):
        stability(ESN)
    with pytest.raises(ValueError, match="u must have shape"):
        stability(model, np.zeros((50, 2)))
    with pytest.raises(ValueError, match="u must be one series"):
        stability(model, np.zeros((2, 50, 1)))
    with pytest.raises(ValueError, match="u must be inputs"):
        stability(model, n_steps=100)
    with pytest.raises(ValueError, match="n_steps must be None"):
        stability(model, np.zeros(100), n_steps=100)
    with pytest.raises(ValueError, match="u must be None"):
        stability(free, np.zeros((10, 0)))
    with pytest.raises(ValueError, match="u must be at least 40 steps longer"):
        stability(model, np.zeros(30))
    with pytest.raises(ValueError, match="x0 must be None without a run"):
        stability(model, x0=np.zeros(5))
    with pytest.raises(ValueError, match="x0 must have shape"):
        stability(model, np.zeros(100), x0=np.zeros(3))
    with pytest.raises(ValueError, match="quadratic_up_to must be at least 0"):
        stability(model, quadratic_up_to=-1)
    with pytest.raises(ValueError, match="n_samples must be at least 1"):
        stability(model, np.zeros(100), n_samples=0)
    with pytest.raises(ValueError, match="W must be square"):
        contraction_certificate(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="slope must be above 0"):
        contraction_certificate(np.eye(2), slope=0)
    with pytest.raises(ValueError, match="tau must be above 0"):
        contraction_certificate(np.eye(2), tau=-1)


@pytest.mark.filterwarnings("ignore:overflow encountered")  # of the user's own step
def test_steps_that_diverge_are_named():
    class Grows(SystemDefaults):
        n_units, n_inputs = 1, 1

        def step(self, x, u):
            return 1e3 * x + u

    with pytest.raises(FloatingPointError, match="the state diverged: unit 0"):
        stability(Grows(), np.ones(400))


def test_plot_shows_every_layer_the_unit_circle_and_the_radius():
    deep = Stack([ESN.random(6, seed=0), ESN.random(4, n_inputs=6, seed=1, activation=tanh)])
    ax = stability(deep, np.zeros(100), n_samples=2).plot()
    drawn = [text.get_text() for text in ax.get_legend().get_texts()]
    assert drawn[0] == "unit circle" and len(drawn) == 4
    assert len(ax.lines[1].get_xdata()) == 6 and len(ax.lines[2].get_xdata()) == 4
