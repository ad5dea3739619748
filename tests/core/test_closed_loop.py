"""Closed loops of any system against the plain loop, the chain rule and the folded network."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import MODELS, M, N

from penstock import Map, Readout, SystemDefaults
from penstock.analysis import lyapunov_spectrum
from penstock.closed_loop import ClosedLoop, PassThrough
from penstock.reservoirs import ESN, ResESN, ResRMN

RNG = np.random.default_rng(0)


def readout_of(system, k=M, size=0.1):
    rng = np.random.default_rng(1)
    n = len(range(*system.observed.indices(system.n_units)))
    return Readout(size * rng.standard_normal((k, n)), rng.uniform(-0.1, 0.1, k))


@pytest.fixture(params=MODELS)
def system(request):
    return MODELS[request.param]()


def test_the_loop_is_the_system_driven_by_its_own_outputs(system):
    R = readout_of(system)
    closed = ClosedLoop(system, R)
    x = np.random.default_rng(2).uniform(-0.5, 0.5, system.n_units)
    states = closed.run(12, x)
    for state in states:
        x = system.step(x, R.W_out @ x[system.observed] + R.offset)
        np.testing.assert_allclose(state, x, atol=1e-13)  # sums in another order


def test_what_is_left_of_the_inputs_comes_first(system):
    R, u = readout_of(system, 1), RNG.uniform(-1, 1, (9, M - 1))
    closed = ClosedLoop(system, R)
    x = np.zeros(system.n_units)
    assert closed.n_inputs == M - 1
    for state, u_t in zip(closed.run(u), u, strict=True):
        x = system.step(x, np.append(u_t, R.W_out @ x[system.observed] + R.offset))
        np.testing.assert_allclose(state, x, atol=1e-13)


def test_batches_and_blocks_are_the_single_series(system):
    closed = ClosedLoop(system, readout_of(system, 1))
    u, x0 = RNG.uniform(-1, 1, (4, 11, M - 1)), RNG.uniform(-0.5, 0.5, (4, system.n_units))
    batch = closed.run(u, x0)
    for own, series, x in zip(batch, u, x0, strict=True):
        np.testing.assert_allclose(own, closed.run(series, x), atol=1e-12)  # a product per step rounds otherwise
        np.testing.assert_array_equal(np.concatenate(list(closed.blocks(series, 4, x))), closed.run(series, x))


@pytest.mark.parametrize("k", [1, 2])
def test_jacobians_are_those_of_the_complex_step(system, k):
    closed = ClosedLoop(system, readout_of(system, k))
    rng = np.random.default_rng(3)
    x, u = rng.uniform(0, 0.5, closed.n_units), rng.uniform(-1, 1, closed.n_inputs)  # one unit of LegS counts steps
    by_state = np.column_stack([np.imag(closed.step(x + 1e-30j * e, u)) for e in np.eye(x.size)]) / 1e-30
    np.testing.assert_allclose(closed.jacobian(x, u), by_state, atol=1e-13)
    for j, e in enumerate(np.eye(u.size)):
        np.testing.assert_allclose(
            closed.input_jacobian(x, u)[:, j], np.imag(closed.step(x + 0j, u + 1e-30j * e)) / 1e-30, atol=1e-13
        )


def test_the_push_is_the_product_of_jacobians(system):
    closed = ClosedLoop(system, readout_of(system, 1))
    rng = np.random.default_rng(4)
    u, x, V = rng.uniform(-1, 1, (6, M - 1)), rng.uniform(-0.5, 0.5, N), rng.standard_normal((N, 3))
    x, V = np.resize(x, closed.n_units), np.resize(V, (closed.n_units, 3))
    end, pushed = closed.push(x, u, V)
    for u_t in u:
        V, x = closed.jacobian(x, u_t) @ V, closed.step(x, u_t)
    np.testing.assert_allclose(pushed, V, atol=1e-12 * np.abs(V).max())  # six products
    np.testing.assert_allclose(end, x, atol=1e-13)


@pytest.mark.parametrize(
    "close", [lambda system: ClosedLoop(system, readout_of(system, 1)), lambda s: PassThrough(s, 1)]
)
@pytest.mark.parametrize("with_inputs", [True, False])
def test_tangents_of_inputs_and_the_tape_follow_the_chain_rule(system, close, with_inputs):
    loop, rng = close(system), np.random.default_rng(6)
    x, u = rng.uniform(-0.5, 0.5, loop.n_units), rng.uniform(-1, 1, (5, loop.n_inputs))
    V, dU = rng.standard_normal((2, loop.n_units)), rng.standard_normal((5 * with_inputs, 2, loop.n_inputs))
    ends, bases, tapes = ([array.copy() for _ in range(2)] for array in (x, V, np.empty((5, 2, loop.n_units))))
    for push, end, basis, tape in zip((type(loop)._push, SystemDefaults._push), ends, bases, tapes, strict=True):
        push(loop, end, u, basis, dU, tape)
    scale = max(1.0, np.abs(tapes[1]).max())
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-13)
    np.testing.assert_allclose(tapes[0], tapes[1], atol=1e-12 * scale)  # five products
    np.testing.assert_array_equal(bases[0], tapes[0][-1])


FED = {
    "dense": lambda dtype: ESN.random(12, n_inputs=M, leak=0.4, bias_scaling=0.3, dtype=dtype, seed=0),
    "sparse": lambda dtype: ESN.random(12, n_inputs=M, leak=0.4, density=0.3, dtype=dtype, seed=0),
    "residual": lambda dtype: ResESN.random(12, n_inputs=M, bias_scaling=0.3, dtype=dtype, seed=0),
    "residual sparse": lambda dtype: ResESN.random(12, n_inputs=M, density=0.4, dtype=dtype, seed=0),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", FED)
def test_kernels_that_feed_back_by_themselves_are_the_plain_loop_in_batches_of_either_precision(name, dtype):
    system = FED[name](dtype)
    R, rng = readout_of(system, 1, size=0.3), np.random.default_rng(7)
    u, x0 = rng.uniform(-1, 1, (3, 8, M - 1)).astype(dtype), rng.uniform(-0.5, 0.5, (3, 12)).astype(dtype)
    states = ClosedLoop(system, R).run(u, x0)
    assert states.dtype == dtype
    for series, own, x in zip(states, u, x0, strict=True):
        for state, u_t in zip(series, own, strict=True):
            x = system.step(x, np.append(u_t, R.W_out @ x + R.offset))
            np.testing.assert_allclose(state, x, atol=50 * np.finfo(dtype).eps)  # sums of 12 terms over 8 steps


def test_a_readout_may_hand_out_the_state_itself(system):
    """Not a copy of it: the states must not change under the hands of the kernel that reads them as inputs."""
    closed = ClosedLoop(system, lambda states: states[..., :M])
    x0 = np.random.default_rng(8).uniform(-0.5, 0.5, (3, system.n_units))
    for states, x in zip(closed.run(np.empty((3, 4, 0)), x0), x0, strict=True):
        for state in states:
            x = system.step(x, x[system.observed][:M])
            np.testing.assert_allclose(state, x, atol=1e-12)  # sums in another order


def test_a_dense_network_folds_its_readout_and_a_sparse_one_keeps_its_matrix():
    rng = np.random.default_rng(5)
    dense = ESN.random(30, n_inputs=2, leak=0.4, bias_scaling=0.2, seed=1)
    R = Readout(0.2 * rng.standard_normal((2, 30)), [0.1, -0.2])
    sparse = ESN.random(30, n_inputs=2, leak=0.4, density=0.2, bias_scaling=0.2, seed=1)
    assert isinstance(dense.close(R), ESN) and isinstance(sparse.close(R), ClosedLoop)
    x = rng.uniform(-0.5, 0.5, 30)
    np.testing.assert_allclose(dense.close(R).run(20, x), ClosedLoop(dense, R).run(20, x), atol=1e-12)
    full = ESN(sparse.W.toarray(), sparse.W_in, sparse.bias, sparse.leak)
    np.testing.assert_allclose(sparse.close(R).run(20, x), full.close(R).run(20, x), atol=1e-12)
    exponents = [
        lyapunov_spectrum(loop, n_steps=300, seed=0, progress=False).exponents
        for loop in (sparse.close(R), full.close(R))
    ]
    np.testing.assert_allclose(exponents[0], exponents[1], atol=1e-6)  # two roundings of one contracting orbit


def test_any_system_closes_by_itself():
    memory = ResRMN.random(6, n_memory=5, n_inputs=1, memory_radius=0.9, seed=0)
    assert memory.close(np.full(memory.n_units, 0.01)[None][:, memory.observed]).n_inputs == 0


def test_a_readout_may_be_any_function():
    system = Map(lambda x, u: 0.5 * x + u, n_units=2, n_inputs=1)
    closed = system.close(lambda states: np.sin(states[..., :1]))
    x = np.array([0.3, -0.2])
    np.testing.assert_allclose(closed.run(1, x)[0], 0.5 * x + np.sin(0.3), rtol=1e-15)
    exact = 0.5 * np.eye(2) + np.array([[np.cos(0.3), 0.0]] * 2)
    np.testing.assert_allclose(closed.jacobian(x, []), exact, atol=1e-8)  # central differences


def test_divergence_names_step_and_unit():
    closed = Map(lambda x, u: x + u, n_units=1, n_inputs=1).close([[1e200]])
    with pytest.raises(FloatingPointError, match="unit 0 is inf at step 1"), np.errstate(over="ignore"):
        closed.run(5, [1.0])


@pytest.mark.parametrize(
    ("readout", "message"),
    [
        (Readout(np.ones((1, 3)), 0.0), "readout must read 10 units"),
        (Readout(np.ones((2, 10)), 0.0), "readout must have 1 to 1 outputs"),
        (lambda states: states.sum(), "readout must turn states"),
        (3, "readout must be a Readout or a function"),
    ],
)
def test_a_readout_that_does_not_fit_is_named(readout, message):
    with pytest.raises((ValueError, TypeError), match=message):
        ClosedLoop(ESN.random(10, seed=0), readout)


@given(k=st.integers(1, M), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_kept_inputs_stand_behind_the_state(k, seed):
    rng = np.random.default_rng(seed)
    esn = ESN.random(7, n_inputs=M, seed=seed)
    u = rng.uniform(-1, 1, (5, M))
    states = PassThrough(esn, k).run(u)
    np.testing.assert_array_equal(states[:, :7], esn.run(u))
    np.testing.assert_array_equal(states[:, 7:], u[:, M - k :])


def test_increments_fed_back_integrate():
    """x' = 0.1 with the value before added: y grows by 0.1 a step."""
    still = Map(lambda x, u: 0 * x, n_units=1, n_inputs=1)
    closed = ClosedLoop(PassThrough(still, 1), Readout([[0.0, 1.0]], [0.1]))
    np.testing.assert_allclose(closed.run(5)[:, 1], 0.1 * np.arange(1, 6), rtol=1e-14)


@pytest.mark.parametrize("k", [0, 3])
def test_more_inputs_than_there_are_cannot_be_kept(k):
    with pytest.raises(ValueError, match=r"n_kept must lie in 1…2"):
        PassThrough(ESN.random(7, n_inputs=2, seed=0), k)


@pytest.mark.parametrize("n_kept", [1.5, "1", None, True])
def test_a_number_of_kept_inputs_that_is_none_is_named(n_kept):
    with pytest.raises((ValueError, TypeError), match="n_kept must be an integer"):
        PassThrough(ESN.random(7, n_inputs=2, seed=0), n_kept)
