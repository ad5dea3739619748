"""Residual reservoirs: reductions to simpler models, spectra, kernels against their naive twins."""

import naive
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import penstock
from penstock.reservoirs import ES2N, ESN, EchoStateWarning, EuSN, ResESN
from penstock.weights import eye, orthogonal, permutation, ring

U = np.random.default_rng(0).uniform(-1, 1, (40, 1))


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(2, 33),
    m=st.integers(2, 5),
    code=st.integers(0, 3),
    batch=st.integers(1, 5),
    # those of MODELS: the forms of W, skip and W_in (one column or none has its own) would mix, each compiled anew
    forms=st.sampled_from([(None, orthogonal), (None, ring), (0.2, ring)]),
    seed=st.integers(0, 10**6),
)
def test_kernels_equal_their_naive_twins(n, m, code, batch, forms, seed):
    rng, (density, skip) = np.random.default_rng(seed), forms
    activation = penstock.vmath.ACTIVATIONS[code]
    f, slope = naive.ACTIVATIONS[activation.__name__]
    dense = rng.uniform(-1, 1, (n, n)) / n * (rng.random((n, n)) < (density or 1.0))
    W_in, bias = rng.uniform(-1, 1, (n, m)), rng.uniform(-0.1, 0.1, n)
    O = skip(n) if skip is ring else skip(n, seed=seed)  # noqa: E741
    model = ResESN(dense if density is None else sp.csr_array(dense), W_in, O, 0.7, 0.3, bias, activation)
    terms = (dense, W_in, bias, O.toarray() if sp.issparse(O) else O, 0.7, 0.3, f)
    u, x0 = rng.uniform(-1, 1, (batch, 9, m)), rng.uniform(-1, 1, (batch, n))
    exact = np.stack([naive.residual_states(*terms, *pair) for pair in zip(u, x0, strict=True)])
    np.testing.assert_allclose(model.run(u, x0), exact, atol=1e-13)
    np.testing.assert_allclose(model.run(u[0], x0[0]), exact[0], atol=1e-13)
    V = rng.standard_normal((n, 3))
    x_exact, V_exact = naive.residual_tangents(*terms, slope, u[0], x0[0], V)
    x, pushed = model.push(x0[0], u[0], V)
    np.testing.assert_allclose(x, x_exact, atol=1e-13)
    np.testing.assert_allclose(pushed, V_exact, atol=1e-12)


def test_no_skip_is_the_plain_esn():
    esn = ESN.random(30, bias_scaling=0.2, seed=0)
    same = ResESN(esn.W, esn.W_in, orthogonal(30, seed=1), 0.0, 1.0, esn.bias)
    np.testing.assert_allclose(same.run(U), esn.run(U), atol=1e-14)


def test_identity_skip_is_the_leaky_esn():
    leaky = ESN.random(30, leak=0.3, bias_scaling=0.2, seed=0)
    same = ResESN(leaky.W, leaky.W_in, eye(30), 0.7, 0.3, leaky.bias)
    np.testing.assert_allclose(same.run(U), leaky.run(U), atol=1e-14)


def test_es2n_is_the_residual_network_with_weights_that_sum_to_one():
    es2n = ES2N.random(30, beta=0.2, bias_scaling=0.2, seed=0)
    same = ResESN(es2n.W, es2n.W_in, es2n.O, 0.8, 0.2, es2n.bias)
    np.testing.assert_allclose(same.run(U), es2n.run(U), atol=1e-14)
    np.testing.assert_array_equal(ResESN.random(30, alpha=0.8, beta=0.2, bias_scaling=0.2, seed=0).W, es2n.W)


def test_eusn_is_an_euler_step_of_its_equation():
    eusn = EuSN.random(20, eps=0.05, gamma=0.1, seed=0)
    A = eusn.W - eusn.W.T - 0.1 * np.eye(20)
    same = ResESN(A, eusn.W_in, np.eye(20), 1.0, 0.05, eusn.bias)
    np.testing.assert_allclose(eusn.run(U), same.run(U), atol=1e-14)


@pytest.mark.parametrize("eps, gamma", [(0.01, 0.001), (0.1, 0.5)])
def test_eusn_eigenvalues_have_real_part_one_minus_eps_gamma(eps, gamma):
    eusn = EuSN.random(50, eps=eps, gamma=gamma, bias_scaling=0.0, seed=0)
    eigenvalues = np.linalg.eigvals(eusn.jacobian(np.zeros(50), [0.0]))
    np.testing.assert_allclose(eigenvalues.real, 1 - eps * gamma, atol=1e-13)
    assert np.abs(eigenvalues).max() > 1 - eps * gamma


def test_pure_skip_preserves_the_norm():
    for skip in (orthogonal, ring, permutation):
        model = ResESN.random(40, alpha=1.0, beta=0.0, skip=skip, input_scaling=0.0, seed=0)
        x0 = np.random.default_rng(1).standard_normal(40)
        states = model.run(np.zeros(200), x0=x0)
        np.testing.assert_allclose(np.linalg.norm(states, axis=1), np.linalg.norm(x0), rtol=1e-12)


def test_cyclic_skip_shifts_the_state():
    x0 = np.arange(5.0)
    model = ResESN(np.zeros((5, 5)), np.zeros((5, 1)), ring(5), 1.0, 0.0)
    np.testing.assert_array_equal(model.run([0.0, 0.0], x0=x0), [np.roll(x0, 1), np.roll(x0, 2)])


def test_es2n_eigenvalues_lie_near_the_circle():
    es2n = ES2N.random(60, beta=0.05, seed=0)
    eigenvalues = np.linalg.eigvals(es2n.jacobian(np.zeros(60), [0.0]))
    # Bauer-Fike: O is normal, so within beta ‖W‖₂ of the circle of radius 1 - beta
    assert np.abs(np.abs(eigenvalues) - 0.95).max() <= 0.05 * np.linalg.norm(es2n.W, 2)


def test_closed_loop_equals_feeding_the_readout_back():
    model = ResESN.random(20, alpha=0.8, beta=0.2, skip=ring, seed=0)
    W_out, x = np.random.default_rng(1).standard_normal((1, 20)), np.full(20, 0.1)
    states = model.close(W_out, 0.3).run(10, x0=x)
    for state in states:
        x = model.step(x, W_out @ x + 0.3)
        np.testing.assert_allclose(state, x, atol=1e-13)


def test_published_unstable_settings_warn():
    with pytest.warns(EchoStateWarning, match="above 1"):
        # the published best for Mackey-Glass 84 steps ahead
        ResESN.random(100, alpha=1e-4, beta=0.99, spectral_radius=1.1, bias_scaling=0.5, seed=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ResESN(np.eye(3), np.ones((3, 1)), 2 * np.eye(3)), "O must be orthogonal"),
        (lambda: ES2N(np.eye(3), np.ones((3, 1)), np.ones((3, 3)) / 3), "O must be orthogonal"),
        (lambda: ResESN(np.eye(3), np.ones((3, 1)), np.eye(2)), r"O must have shape \(3, 3\), got \(2, 2\)"),
        (lambda: ResESN.random(5, alpha=-0.1, seed=0), r"alpha must be at least 0, got -0\.1"),
        (lambda: ResESN.random(5, beta=np.nan, seed=0), "beta must be finite, got nan"),
        (lambda: ES2N.random(5, beta=0.0, seed=0), r"beta must lie in \(0, 1\], got 0\.0"),
        (lambda: ES2N.random(5, beta=1.5, seed=0), r"beta must lie in \(0, 1\], got 1\.5"),
        (lambda: EuSN.random(5, eps=0.0, seed=0), r"eps must be above 0, got 0\.0"),
        (lambda: EuSN.random(5, gamma=-1.0, seed=0), r"gamma must be at least 0, got -1\.0"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
