"""One contract for every model: kernels against plain NumPy steps, and the invariants users rely on."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
from models import MODELS, M

from penstock import System, identity, relu
from penstock.reservoirs import ESN, ResESN, Stack
from penstock.system import numerical_jacobian

pytestmark = pytest.mark.filterwarnings("ignore::penstock.reservoirs.EchoStateWarning")
each_model = pytest.mark.parametrize("name", list(MODELS))

# contracting states of order 1: a few roundings per step
ATOL = 5e-14


def inputs(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape)


def loop(system, u, x):
    states = []
    for u_t in u:
        x = system.step(x, u_t)
        states.append(x)
    return np.array(states)


@each_model
def test_run_equals_a_loop_of_steps(name):
    system, u = MODELS[name](), inputs(30, M)
    assert isinstance(system, System)
    x0 = inputs(system.n_units, seed=1)
    np.testing.assert_allclose(system.run(u, x0), loop(system, u, x0), atol=ATOL)


@each_model
def test_batch_equals_loop(name):
    system = MODELS[name]()
    for n_series in (1, 2, 5):
        u, x0 = inputs(n_series, 12, M), inputs(n_series, system.n_units, seed=1)
        alone = np.stack([system.run(one, x) for one, x in zip(u, x0, strict=True)])
        np.testing.assert_allclose(system.run(u, x0), alone, atol=ATOL)
        np.testing.assert_allclose(np.concatenate(list(system.blocks(u, 5, x0)), axis=1), alone, atol=ATOL)
        shared = np.stack([system.run(one, x0[0]) for one in u])
        np.testing.assert_allclose(system.run(u, x0[0]), shared, atol=ATOL)


@each_model
def test_blocks_and_continued_runs_equal_one_run(name):
    system, u = MODELS[name](), inputs(30, M)
    whole = system.run(u)
    np.testing.assert_array_equal(np.concatenate(list(system.blocks(u, 7))), whole)
    np.testing.assert_array_equal(system.run(u[11:], x0=whole[10]), whole[11:])
    np.testing.assert_array_equal(system.run(u), whole)


@each_model
def test_jacobians_equal_the_numerical_ones(name):
    system = MODELS[name]()
    x, u = 0.3 * inputs(system.n_units, seed=1), inputs(M, seed=2)
    by_state = numerical_jacobian(lambda x: system.step(x, u), x)
    by_input = numerical_jacobian(lambda u: system.step(x, u), u)
    np.testing.assert_allclose(system.jacobian(x, u), by_state, atol=1e-14)
    np.testing.assert_allclose(system.input_jacobian(x, u), by_input, atol=1e-14)


@each_model
def test_batched_jacobians_equal_single_ones(name):
    system = MODELS[name]()
    X, U = inputs(4, system.n_units, seed=1), inputs(4, M, seed=2)
    single = [system.jacobian(x, u) for x, u in zip(X, U, strict=True)]
    np.testing.assert_allclose(system.jacobians(X, U), single, atol=1e-14)  # sums in another order
    np.testing.assert_allclose(system.jacobians(X, U[0])[0], single[0], atol=1e-14)
    assert system.jacobians(X[:0], U[:0]).shape == (0, system.n_units, system.n_units)
    with pytest.raises(
        ValueError, match=rf"X must have shape \(B, {system.n_units}\), got \(4, {system.n_units + 1}\)"
    ):
        system.jacobians(inputs(4, system.n_units + 1), U)
    with pytest.raises(ValueError, match=rf"U must have shape \(4, {M}\) or \({M},\), got \(3, {M}\)"):
        system.jacobians(X, U[:3])


@each_model
def test_arrays_of_the_piecewise_linear_form_step_as_the_model_does(name):
    system, u = MODELS[name](), inputs(M, seed=2)
    form = system.piecewise_linear(u)
    assert (form is not None) == ((name.startswith(("PLRNN", "Shallow")) and "below" not in name) or name == "ESN relu")
    if form is not None:
        A, B, C, d, h = form
        for x in 3 * inputs(20, system.n_units, seed=1):
            by_form = A @ x + B @ np.maximum(C @ x + d, 0) + h
            np.testing.assert_allclose(by_form, system.step(x, u), atol=1e-13)  # sums of order 10


@each_model
def test_push_multiplies_the_jacobians(name):
    system, u = MODELS[name](), inputs(6, M)
    x0, basis = 0.3 * inputs(system.n_units, seed=1), inputs(system.n_units, 4, seed=2)
    x, V = x0, basis
    for u_t in u:
        V = system.jacobian(x, u_t) @ V
        x = system.step(x, u_t)
    pushed_x, pushed = system.push(x0, u, basis)
    np.testing.assert_allclose(pushed, V, atol=ATOL)
    np.testing.assert_allclose(pushed_x, x, atol=ATOL)
    np.testing.assert_allclose(pushed_x, system.run(u, x0)[-1], atol=ATOL)


@each_model
def test_same_seed_same_model_and_inputs_are_left_alone(name):
    u = inputs(15, M)
    before = u.copy()
    np.testing.assert_array_equal(MODELS[name]().run(u), MODELS[name]().run(u))
    np.testing.assert_array_equal(u, before)


@each_model
def test_repr_names_the_model(name):
    assert type(MODELS[name]()).__name__ in repr(MODELS[name]())


@each_model
def test_bad_inputs_are_refused(name):
    system = MODELS[name]()
    with pytest.raises(ValueError, match=rf"u must have shape \(T, {M}\) or \(B, T, {M}\), got \(4, 3\)"):
        system.run(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="u must be finite, got nan"):
        system.run(np.full((4, M), np.nan))
    with pytest.raises(ValueError, match="x0 must have shape"):
        system.run(np.zeros((4, M)), x0=np.zeros(system.n_units + 1))


# every kernel and every class; other forms of W only change its product, which test_matvec.py knows in float32
@pytest.mark.parametrize("name", ["ESN leaks", "ESN sparse", "ResESN R", "ResESN sparse", "ES2N", "EuSN"])
def test_float32_in_is_float32_out(name):
    system = MODELS[name]()
    single = dataclasses.replace(system, W=system.W.astype(np.float32))
    assert single.dtype == np.float32
    u = inputs(20, M)
    states = single.run(u)
    assert states.dtype == np.float32
    # 20 steps of a map that does not expand, each with rounding errors of a few 1e-7
    np.testing.assert_allclose(states, system.run(u), atol=2e-5)
    np.testing.assert_allclose(single.run(np.stack([u] * 4))[3], states, atol=2e-5)
    x = np.linspace(-0.2, 0.2, system.n_units)  # not float32 numbers: the point itself must not be rounded
    np.testing.assert_allclose(single.jacobian(x, u[0]), system.jacobian(x, u[0]), atol=1e-6)
    x, V = single.push(states[-1], u, np.eye(system.n_units))
    assert x.dtype == V.dtype == np.float32


def explosive(kind, activation):
    """Three units, of which the second grows threefold per step once it is driven; with a residual, the third follows.

    Inputs and forms of matrices are those of MODELS: the same compiled kernels.
    """
    W_in = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    if kind == "dense":
        return 3 * np.eye(3), W_in, np.eye(3), activation
    W = sp.csr_array((np.array([3.0, 0.0, 3.0, 3.0]), np.array([0, 1, 1, 2]), np.array([0, 2, 3, 4])), shape=(3, 3))
    return W, W_in, sp.csr_array(np.eye(3)[[0, 2, 1]]), activation  # with a stored zero, so that it is no shift


@pytest.mark.parametrize("shape", [(900, 2), (1, 900, 2), (2, 900, 2), (5, 900, 2)])
@pytest.mark.parametrize("kind", ["dense", "csr"])
@pytest.mark.parametrize("activation", [identity, relu])
@pytest.mark.parametrize("residual", [False, True])
def test_divergence_is_noticed_by_every_kernel(residual, activation, kind, shape):
    W, W_in, skip, activation = explosive(kind, activation)
    model = ResESN(W, W_in, skip, 0.1, 1.0, 0.0, activation) if residual else ESN(W, W_in, activation=activation)
    u = np.zeros(shape)
    u[-1 if u.ndim == 3 else slice(None)] = 1.0
    series = f" of series {shape[0] - 1}" if len(shape) == 3 else ""
    for system in (model, Stack([model, ESN(np.zeros((1, 1)), np.zeros((1, 3)))])):
        with pytest.raises(FloatingPointError, match=rf"unit 1 is (inf|nan) at step 6\d\d{series};"):
            system.run(u)
    with pytest.raises(FloatingPointError, match=r"unit 1 is (inf|nan) at step 6\d\d;"):
        model.push(np.zeros(3), np.ones((900, 2)), np.zeros((3, 1)))


def test_overflowing_tangents_are_named():
    with pytest.raises(FloatingPointError, match="the tangents overflowed within 900 steps"):
        ESN(3 * np.eye(2), np.zeros((2, 2)), activation=identity).push(np.zeros(2), np.zeros((900, 2)), np.eye(2))


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith(("ESN", "ResESN", "ES2N"))])
def test_permuted_units_give_permuted_states(name):
    system, u = MODELS[name](), inputs(20, M)
    order = np.random.default_rng(4).permutation(system.n_units)
    parts = {"W": system.W[order][:, order], "W_in": system.W_in[order], "bias": system.bias[order]}
    if hasattr(system, "O"):
        parts["O"] = system.O[order][:, order]
    if np.ndim(getattr(system, "leak", 0.0)):
        parts["leak"] = system.leak[order]
    np.testing.assert_allclose(dataclasses.replace(system, **parts).run(u), system.run(u)[:, order], atol=ATOL)
