"""Echo-state networks: exact cases, kernels against their naive twins, bad settings."""

import dataclasses
from functools import partial

import naive
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import penstock
from penstock.reservoirs import ESN, EchoStateWarning
from penstock.scaling import scale_fast, scale_leaky, scale_spectral_norm, spectral_norm, spectral_radius
from penstock.weights import cycle_with_jumps, delay_line, orthogonal, ring, sparse


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 33),
    m=st.integers(0, 9),
    code=st.integers(0, 3),
    batch=st.integers(1, 5),
    density=st.sampled_from([None, 0.2]),
    seed=st.integers(0, 10**6),
)
def test_kernels_equal_their_naive_twins(n, m, code, batch, density, seed):
    rng = np.random.default_rng(seed)
    activation = penstock.vmath.ACTIVATIONS[code]
    f, slope = naive.ACTIVATIONS[activation.__name__]
    dense = rng.uniform(-1, 1, (n, n)) / n * (rng.random((n, n)) < (density or 1.0))
    W_in, bias, leak = rng.uniform(-1, 1, (n, m)), rng.uniform(-0.1, 0.1, n), rng.uniform(0.1, 1, n)
    esn = ESN(dense if density is None else sp.csr_array(dense), W_in, bias, leak, activation)
    u, x0 = rng.uniform(-1, 1, (batch, 9, m)), rng.uniform(-1, 1, (batch, n))
    exact = np.stack([naive.esn_states(dense, W_in, bias, leak, f, *pair) for pair in zip(u, x0, strict=True)])
    np.testing.assert_allclose(esn.run(u, x0), exact, atol=1e-13)
    np.testing.assert_allclose(esn.run(u[0], x0[0]), exact[0], atol=1e-13)
    V = rng.standard_normal((n, 3))
    x, pushed = esn.push(x0[0], u[0], V)
    x_exact, V_exact = naive.esn_tangents(dense, W_in, bias, leak, f, slope, u[0], x0[0], V)
    np.testing.assert_allclose(x, x_exact, atol=1e-13)
    np.testing.assert_allclose(pushed, V_exact, atol=1e-12)


def test_without_recurrence_the_state_is_the_input_filtered():
    W_in, bias = np.array([[0.5], [-2.0]]), np.array([0.1, 0.0])
    u = np.random.default_rng(0).uniform(-1, 1, 20)
    states = ESN(np.zeros((2, 2)), W_in, bias).run(u)
    np.testing.assert_allclose(states, np.tanh(u[:, None] * W_in[:, 0] + bias), rtol=1e-15)


def test_leaky_update_by_hand():
    esn = ESN(np.array([[0.0]]), np.array([[1.0]]), leak=0.25, activation=penstock.identity)
    np.testing.assert_allclose(esn.run([1.0, 0.0, 4.0])[:, 0], [0.25, 0.1875, 1.140625], rtol=1e-15)


def test_delay_line_holds_past_inputs_exactly():
    line = ESN(penstock.weights.delay_line(5), np.eye(5)[:, :1], activation=penstock.identity)
    u = np.random.default_rng(1).standard_normal(30)
    states = line.run(u)
    for unit in range(5):
        np.testing.assert_array_equal(states[unit:, unit], u[: 30 - unit])


def test_dense_and_sparse_storage_give_the_same_states():
    thin = ESN.random(60, density=0.2, leak=0.7, seed=0)
    full = dataclasses.replace(thin, W=thin.W.toarray())
    u = np.random.default_rng(0).uniform(-1, 1, (6, 50, 1))
    np.testing.assert_allclose(thin.run(u), full.run(u), atol=1e-14)


def test_recurrent_weights_do_not_depend_on_the_inputs():
    one, two = (ESN.random(30, n_inputs=m, bias_scaling=0.3, seed=7) for m in (1, 2))
    np.testing.assert_array_equal(one.W, two.W)
    np.testing.assert_array_equal(one.bias, two.bias)
    np.testing.assert_array_equal(one.W_in[:, 0], two.W_in[:, 0])


def test_every_unit_is_driven_by_default():
    assert (np.abs(ESN.random(200, seed=0).W_in) > 0).all()


@pytest.mark.parametrize("settings", [{}, {"density": 0.1}, {"weights": ring}, {"dtype": np.float32}])
def test_spectral_radius_is_exact(settings):
    W = ESN.random(150, spectral_radius=0.8, seed=1, **settings).W
    dense = W.toarray() if sp.issparse(W) else W
    rtol = 1e-5 if settings.get("dtype") else 1e-9
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(dense.astype(float))).max(), 0.8, rtol=rtol)


def test_other_scalings():
    np.testing.assert_allclose(
        spectral_norm(ESN.random(50, spectral_radius=0.9, scale=scale_spectral_norm, seed=0).W), 0.9
    )
    leaky = ESN.random(50, spectral_radius=0.95, leak=0.2, scale=partial(scale_leaky, leak=0.2), seed=0)
    np.testing.assert_allclose(spectral_radius(0.8 * np.eye(50) + 0.2 * leaky.W), 0.95, rtol=1e-9)
    W = ESN.random(50, spectral_radius=0.5, scale=scale_fast, seed=0).W
    assert np.abs(W).max() <= 0.5 * np.sqrt(3 / 50)
    kept = ESN.random(20, weights=orthogonal, spectral_radius=None, seed=0).W
    np.testing.assert_allclose(kept @ kept.T, np.eye(20), atol=1e-14)


def test_input_scaling_may_differ_by_channel():
    W_in = ESN.random(500, n_inputs=2, input_scaling=[0.1, 2.0], seed=0).W_in
    assert 0.095 < np.abs(W_in[:, 0]).max() <= 0.1 and 1.9 < np.abs(W_in[:, 1]).max() <= 2.0


def test_closed_loop_equals_feeding_the_readout_back():
    esn = ESN.random(40, n_inputs=2, leak=0.4, bias_scaling=0.1, seed=2)
    rng = np.random.default_rng(3)
    W_out, offset = 0.1 * rng.standard_normal((2, 40)), np.array([0.2, -0.1])
    closed, x = esn.close(W_out, offset), rng.uniform(-1, 1, 40)
    assert closed.n_inputs == 0
    states = closed.run(25, x0=x)
    for state in states:
        x = esn.step(x, W_out @ x + offset)
        np.testing.assert_allclose(state, x, atol=1e-13)


def test_closed_loop_jacobian_adds_the_feedback():
    esn = ESN.random(10, leak=0.4, seed=2)
    W_out, x = np.random.default_rng(3).standard_normal((1, 10)), np.full(10, 0.1)
    feedback = esn.input_jacobian(x, W_out @ x) @ W_out
    np.testing.assert_allclose(esn.close(W_out).jacobian(x, []), esn.jacobian(x, W_out @ x) + feedback, atol=1e-15)


def test_divergence_names_step_unit_and_series():
    explosive = ESN(3 * np.eye(2), np.array([[0.0], [1.0]]), activation=penstock.identity)
    u = np.ones((4, 900, 1))
    u[:2] = 0.0
    with pytest.raises(FloatingPointError, match=r"unit 1 is inf at step 64\d;"):
        explosive.run(u[2])
    with pytest.raises(FloatingPointError, match=r"unit 1 is inf at step 64\d of series 2;"):
        explosive.run(u)


def test_unstable_settings_warn_but_run():
    with pytest.warns(EchoStateWarning, match=r"spectral radius 1\.3 at the origin"):
        esn = ESN.random(30, spectral_radius=1.3, seed=0)
    assert np.isfinite(esn.run(np.ones(10))).all()


def test_unstable_relu_settings_warn():
    with pytest.warns(EchoStateWarning, match=r"spectral radius 3 at the origin"):
        ESN.random(20, spectral_radius=3.0, activation=penstock.relu, seed=0)


def test_scalars_are_checked_before_the_matrix_is_drawn():
    def never(n_units):
        raise AssertionError("drawn")

    for bad in ({"leak": 2.0}, {"activation": np.tanh}, {"dtype": np.int8}):
        with pytest.raises(ValueError, match=r"leak|activation|dtype"):
            ESN.random(10, weights=never, seed=0, **bad)


def test_per_unit_leak_is_read_only():
    esn = ESN(np.eye(3), np.ones((3, 1)), leak=[0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="read-only"):
        esn.leak[0] = 1.0


def test_close_takes_a_fitted_readout():
    esn = ESN.random(10, seed=0)
    readout = penstock.Readout(np.full((1, 10), 0.1), 0.2)
    np.testing.assert_array_equal(esn.close(readout).W, esn.close(readout.W_out, readout.offset).W)
    np.testing.assert_array_equal(esn.close(readout).bias, esn.close(readout.W_out, readout.offset).bias)


def test_leak_may_keep_a_large_radius_stable():
    ESN.random(100, spectral_radius=1.0, leak=0.3, seed=0)  # warnings are errors here
    slow = ESN(-2.0 * np.eye(3), np.ones((3, 1)), leak=0.5)
    assert spectral_radius(slow._linear_part()) == 0.5


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_units": -5}, ValueError, "n_units must be at least 1, got -5"),
        ({"n_units": 10.0}, TypeError, r"n_units must be an integer, got 10\.0"),
        ({"n_inputs": -1}, ValueError, "n_inputs must be at least 0, got -1"),
        ({"leak": 0.0}, ValueError, r"leak must lie in \(0, 1\], got 0\.0"),
        ({"leak": 1.2}, ValueError, r"leak must lie in \(0, 1\], got 1\.2"),
        ({"leak": np.ones(3)}, ValueError, r"leak must be a number or have shape \(10,\), got \(3,\)"),
        ({"density": 0.0}, ValueError, r"density must lie in \(0, 1\], got 0\.0"),
        ({"density": 1.1}, ValueError, r"density must lie in \(0, 1\], got 1\.1"),
        ({"density": 0.1, "weights": ring}, ValueError, "density goes with the default weights only"),
        ({"spectral_radius": -0.9}, ValueError, r"spectral_radius must be at least 0, got -0\.9"),
        ({"spectral_radius": np.nan}, ValueError, "spectral_radius must be finite, got nan"),
        ({"input_scaling": np.inf}, ValueError, "input_scaling must be finite, got inf"),
        ({"input_scaling": [1.0, 2.0]}, ValueError, "input_scaling must be a number of at least 0, or 1 of them"),
        ({"input_scaling": -1.0}, ValueError, "input_scaling must be a number of at least 0"),
        ({"input_scaling": "a"}, TypeError, "input_scaling must hold real numbers"),
        ({"weights": "uniform"}, TypeError, "weights must be a function of penstock.weights or a matrix"),
        ({"weights": cycle_with_jumps}, TypeError, "weights must work as weights"),
        ({"weights": delay_line}, ValueError, "spectral_radius=None to leave W as drawn"),
        ({"scale": "fast"}, TypeError, "scale must be a function"),
        ({"dtype": "foo"}, ValueError, "dtype must be float64 or float32, got 'foo'"),
        ({"dtype": None}, ValueError, "dtype must be float64 or float32, got None"),
        ({"bias_scaling": -1.0}, ValueError, r"bias_scaling must be at least 0, got -1\.0"),
        ({"activation": np.cos}, ValueError, "activation must be one of penstock.tanh"),
        ({"weights": np.eye(3)}, ValueError, r"weights must have shape \(10, 10\), got \(3, 3\)"),
        ({"weights": partial(sparse, density=2.0)}, ValueError, r"density must lie in \(0, 1\], got 2\.0"),
        ({"dtype": np.int32}, ValueError, "dtype must be float64 or float32, got .*int32"),
        ({"seed": None}, TypeError, "seed must be a non-negative integer, got None"),
    ],
)
def test_bad_settings_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        ESN.random(**{"n_units": 10, "seed": 0, **settings})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"W": np.ones((3, 2))}, r"W must be square and not empty, got shape \(3, 2\)"),
        ({"W": np.full((3, 3), np.nan)}, "W must be finite"),
        ({"W_in": np.ones((4, 1))}, r"W_in must have shape \(3, any\), got \(4, 1\)"),
        ({"W_in": np.ones(3)}, r"W_in must have shape \(3, any\), got \(3,\)"),
        ({"bias": np.ones(2)}, r"bias must be a number or have shape \(3,\) to match W, got \(2,\)"),
    ],
)
def test_bad_arrays_are_named(arrays, message):
    with pytest.raises(ValueError, match=message):
        ESN(**{"W": np.eye(3), "W_in": np.ones((3, 1)), **arrays})


def test_bad_readouts_are_named():
    with pytest.raises(ValueError, match=r"W_out must have shape \(1, 10\), got \(1, 3\)"):
        ESN.random(10, seed=0).close(np.ones(3))
    with pytest.raises(ValueError, match=r"offset must be a number or have shape \(1,\), got \(2,\)"):
        ESN.random(10, seed=0).close(np.ones(10), [1.0, 2.0])
