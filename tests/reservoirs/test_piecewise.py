"""Piecewise-linear networks against loops over single weights, published fixed points and exact bounds."""

import naive
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import Readout
from penstock.reservoirs import PLRNN, ShallowPLRNN

# DurstewitzLab/SCYFI (Eisenmann et al. 2023): its test systems, recomputed by exhaustive enumeration
SCYFI_H = [0.37298253, -0.97931491]
SCYFI = [
    ([-0.0222311, 0.96461297], [[0, -0.64375], [0.52505308, 0]], [0.364871, -22.260649], [0.964613, -0.022231]),
    ([0.7, -0.7], [[0, -0.14375], [0.52505308, 0]], [1.243275, -0.192076], [0.7, -0.7]),
]


def draw(*shapes, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-scale, scale, shape) for shape in shapes]


def make_plrnn(n=6, m=2, n_linear=0):
    A, W, h, W_in = draw(n, (n, n), n, (n, m))
    return PLRNN(0.6 * A, 0.3 * W, h, W_in, n_linear)


def make_shallow(clipped, n=4, hidden=9, m=2):
    A, W1, W2, h1, h2, W_in = draw(n, (n, hidden), (hidden, n), n, hidden, (n, m))
    return ShallowPLRNN(0.6 * A, 0.3 * W1, 0.3 * W2, h1, h2, W_in, clipped)


MODELS = {
    "PLRNN": make_plrnn,
    "almost linear": lambda: make_plrnn(n_linear=4),
    "linear": lambda: make_plrnn(n_linear=6),
    "shallow": lambda: make_shallow(False),
    "clipped": lambda: make_shallow(True),
}
each_model = pytest.mark.parametrize("name", list(MODELS))


@pytest.mark.parametrize("n_linear", [0, 4, 6])
def test_plrnn_states_equal_the_equation_written_out(n_linear):
    plrnn = make_plrnn(n_linear=n_linear)
    u, x0 = draw((30, 2), 6, seed=1)
    twin = naive.plrnn_states(plrnn.A, plrnn.W, plrnn.h, plrnn.W_in, n_linear, u, x0)
    np.testing.assert_allclose(plrnn.run(u, x0), twin, rtol=1e-12, atol=1e-13)  # states of order 1, some roundings each


@pytest.mark.parametrize("clipped", [False, True])
def test_shallow_states_equal_the_equation_written_out(clipped):
    network = make_shallow(clipped)
    u, x0 = draw((30, 2), 4, seed=1)
    parts = (network.A, network.W1, network.W2, network.h1, network.h2, network.W_in)
    twin = naive.shallow_plrnn_states(*parts, clipped, u, x0)
    np.testing.assert_allclose(network.run(u, x0), twin, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("A, W, point, eigenvalues", SCYFI)
def test_published_fixed_points_are_fixed(A, W, point, eigenvalues):
    plrnn = PLRNN(A, W, SCYFI_H)
    assert plrnn.n_inputs == 0
    np.testing.assert_allclose(plrnn.step(np.array(point), []), point, atol=2e-6)  # printed to 6 decimals
    np.testing.assert_allclose(sorted(np.linalg.eigvals(plrnn.jacobian(point, []))), sorted(eigenvalues), atol=1e-6)
    # |eigenvalue| .965: 0.965^1500 is 1e-23
    np.testing.assert_allclose(plrnn.run(1500, x0=[1.0, 1.0])[-1], point, atol=1e-6)


@given(seed=st.integers(0, 10_000), n_hidden=st.integers(1, 30))
@settings(deadline=None, max_examples=25)
def test_clipped_orbits_end_within_the_bound(seed, n_hidden):
    rng = np.random.default_rng(seed)
    A = rng.uniform(-0.95, 0.95, 3)
    W1, W2 = 3 * rng.normal(size=(3, n_hidden)), 3 * rng.normal(size=(n_hidden, 3))
    h1, h2 = rng.normal(size=3), rng.normal(size=n_hidden)
    orbit = ShallowPLRNN(A, W1, W2, h1, h2, clipped=True).run(1200, x0=20 * rng.normal(size=3))
    bound = (np.abs(h1) + np.abs(W1) @ np.abs(h2)) / (1 - np.abs(A))
    # what is left of the start after 1000 steps: 0.95^1000 is 5e-23
    assert (np.abs(orbit[1000:]) <= bound * (1 + 1e-12)).all()


def test_without_clipping_the_same_network_may_run_away():
    with pytest.raises(FloatingPointError, match="the state diverged"):
        ShallowPLRNN([0.5], [[2.0]], [[1.0]]).run(2000, x0=[1.0])


def test_a_linear_network_multiplies_its_matrix():
    plrnn = make_plrnn(n_linear=6)
    whole = np.diag(plrnn.A) + plrnn.W
    np.testing.assert_allclose(plrnn.jacobian(np.ones(6), np.zeros(2)), whole, atol=0)
    np.testing.assert_allclose(plrnn.jacobian(-np.ones(6), np.zeros(2)), whole, atol=0)
    pushed = plrnn.push(np.ones(6), np.ones((5, 2)), np.eye(6))[1]
    np.testing.assert_allclose(pushed, np.linalg.matrix_power(whole, 5), atol=1e-14)


@each_model
def test_jacobians_are_the_finite_differences(name):
    system = MODELS[name]()
    x, u = draw(system.n_units, 2, seed=3)
    h = 1e-6  # affine within a region: the differences are exact to rounding, 1e-16 / 1e-6
    by_state = [(system.step(x + h * e, u) - system.step(x - h * e, u)) / (2 * h) for e in np.eye(x.size)]
    np.testing.assert_allclose(system.jacobian(x, u), np.transpose(by_state), atol=1e-9)
    np.testing.assert_array_equal(system.input_jacobian(x, u), system.W_in)


@each_model
def test_closed_loop_equals_stepwise_feedback(name):
    system = MODELS[name]()
    W_out, offset, x0 = draw((2, system.n_units), 2, system.n_units, seed=3, scale=0.2)
    closed = system.close(W_out, offset)
    x, states = x0, []
    for _ in range(20):
        x = system.step(x, W_out @ x + offset)
        states.append(x)
    np.testing.assert_allclose(closed.run(20, x0), states, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(closed.run(np.empty((4, 20, 0)), x0)[2], states, rtol=1e-11, atol=1e-12)
    by_rule = system.jacobian(x0, W_out @ x0 + offset) + system.W_in @ W_out
    np.testing.assert_allclose(closed.jacobian(x0, []), by_rule, atol=1e-14)
    np.testing.assert_array_equal(system.close(Readout(W_out, offset)).run(5, x0), closed.run(5, x0))


@each_model
def test_every_jacobian_has_the_lure_form(name):
    system = MODELS[name]()
    (block,) = system.lure_blocks()
    p = block.C.shape[0]
    rng = np.random.default_rng(4)
    for _ in range(20):
        J = system.jacobian(3 * rng.normal(size=system.n_units), rng.normal(size=2))
        # J = A + B D C with D diagonal: one unknown per component, the outer products being independent
        terms = np.array([np.outer(b, c).ravel() for b, c in zip(block.B.T, block.C, strict=True)]).reshape(p, J.size).T
        D, *_ = np.linalg.lstsq(terms, (J - block.A).ravel(), rcond=None)
        assert np.linalg.matrix_rank(terms) == p
        np.testing.assert_allclose(terms @ D, (J - block.A).ravel(), atol=1e-12)
        assert ((D > block.slopes[0] - 1e-9) & (D < block.slopes[1] + 1e-9)).all()


@each_model
def test_float32_in_is_float32_out(name):
    system = MODELS[name]()
    fields = {field: np.float32(value) for field, value in vars(system).items() if isinstance(value, np.ndarray)}
    fields = {field: value for field, value in fields.items() if not field.startswith("_")}
    rest = {field: getattr(system, field) for field in ("n_linear", "clipped") if hasattr(system, field)}
    single = type(system)(**fields, **rest)
    u, x0 = draw((15, 2), system.n_units, seed=1)
    assert single.run(u).dtype == single.push(x0, u, np.eye(system.n_units))[1].dtype == np.float32
    np.testing.assert_allclose(single.run(u, x0), system.run(u, x0), rtol=1e-5, atol=2e-5)


def test_sparse_and_dense_weights_agree():
    A, W1, W2, h2 = draw(8, (8, 20), (20, 8), 20)
    W1, W2 = W1 * (np.abs(W1) > 0.7), W2 * (np.abs(W2) > 0.7)
    dense = ShallowPLRNN(0.5 * A, W1, W2, 0.1, h2, clipped=True)
    x0 = draw((4, 8), seed=2)[0]
    steps = np.empty((4, 30, 0))
    for first, second in ((sp.csr_array, sp.csr_array), (np.asarray, sp.csr_array)):  # the third pair is in MODELS
        sparse = ShallowPLRNN(0.5 * A, first(W1), second(W2), 0.1, h2, clipped=True)
        np.testing.assert_allclose(sparse.run(steps, x0), dense.run(steps, x0), atol=1e-12)  # another order of sums


def test_bad_arrays_are_refused():
    A, W, h = draw(3, (3, 3), 3)
    with pytest.raises(ValueError, match=r"W must be square and not empty, got shape \(2, 3\)"):
        PLRNN(A, W[:2], h)
    with pytest.raises(ValueError, match=r"A must be a number or have shape \(3,\), got \(2,\)"):
        PLRNN(A[:2], W, h)
    with pytest.raises(ValueError, match=r"A must have shape \(3,\), its diagonal, or \(3, 3\), got \(\)"):
        PLRNN(0.5, W, h)
    with pytest.raises(ValueError, match=r"A must have shape \(3, 3\), got \(2, 3\)"):
        PLRNN(W[:2], W, h)
    with pytest.raises(ValueError, match=r"h must be a number or have shape \(3,\), got \(4,\)"):
        PLRNN(A, W, np.zeros(4))
    with pytest.raises(ValueError, match=r"W_in must have shape \(3, any\), got \(2, 1\)"):
        PLRNN(A, W, h, np.zeros((2, 1)))
    with pytest.raises(ValueError, match="n_linear must be at most n_units=3, got 4"):
        PLRNN(A, W, h, n_linear=4)
    with pytest.raises(ValueError, match="h must be finite, got nan"):
        PLRNN(A, W, np.nan)
    with pytest.raises(ValueError, match=r"W2 must have shape \(5, 3\), got \(4, 3\)"):
        ShallowPLRNN(A, np.zeros((3, 5)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"h2 must be a number or have shape \(5,\), got \(3,\)"):
        ShallowPLRNN(A, np.zeros((3, 5)), np.zeros((5, 3)), h2=h)
    with pytest.raises(TypeError, match="clipped must be True or False, got 'yes'"):
        ShallowPLRNN(A, np.zeros((3, 5)), np.zeros((5, 3)), clipped="yes")
