"""Liquid time-constant cells of one gate: the published step, its bounds and its derivatives."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import Uniform, identity, load, relu, sigmoid, tanh
from penstock.reservoirs import SimpleLTC, elapsed_inputs
from penstock.reservoirs.solvers import SOLVERS, exponential_euler, exponential_midpoint, fused, rk4
from penstock.system import numerical_jacobian

each_solver = pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.__name__)
BOUNDED = (fused, exponential_euler, exponential_midpoint)


def model(n=7, **settings):
    return SimpleLTC.random(n, **{"n_inputs": 2, "bias_scaling": 0.3, "A": Uniform(-2, 2), "seed": 5, **settings})


def algorithm_1(ltc, u, x):
    """The published algorithm, unit by unit."""
    states = []
    for u_t in u:
        for _ in range(ltc.unfolds):
            new = []
            for i in range(ltc.n_units):
                z = sum(ltc.W[i, j] * x[j] for j in range(ltc.n_units)) + ltc.bias[i]
                f = 1 / (1 + np.exp(-z - sum(ltc.W_in[i, k] * u_t[k] for k in range(len(u_t)))))
                h = ltc.dt / ltc.unfolds
                new.append((x[i] + h * f * ltc.A[i]) / (1 + h * (1 / ltc.tau[i] + f)))
            x = new
        states.append(x)
    return np.array(states)


# --- the equation ---------------------------------------------------------------------------------------------------


def test_fused_steps_are_the_published_algorithm():
    ltc, rng = model(dt=0.7), np.random.default_rng(0)
    u, x0 = rng.uniform(-1, 1, (9, 2)), rng.uniform(-1, 1, 7)
    np.testing.assert_allclose(ltc.run(u, x0), algorithm_1(ltc, u, x0), atol=1e-14)


@pytest.mark.parametrize("solver", [exponential_euler, exponential_midpoint])
@pytest.mark.parametrize("dt", [1e-3, 1.0, 40.0])
def test_exponential_steps_are_exact_where_no_gate_depends_on_the_state(solver, dt):
    rng = np.random.default_rng(1)
    W_in, tau, A = rng.uniform(-1, 1, (5, 2)), rng.uniform(0.5, 5, 5), rng.uniform(-1, 1, 5)
    ltc = SimpleLTC(np.zeros((5, 5)), W_in, 0.2, tau, A, solver=solver, dt=dt, unfolds=3)
    f = 1 / (1 + np.exp(-W_in.sum(axis=1) * 0.8 - 0.2))
    rest, rate = f * A / (1 / tau + f), 1 / tau + f
    times = dt * np.arange(1, 6)[:, None]
    x0 = rng.uniform(-1, 1, 5)
    np.testing.assert_allclose(
        ltc.run(np.full((5, 2), 0.8), x0), rest + (x0 - rest) * np.exp(-rate * times), atol=1e-14
    )


def test_a_closed_gate_decays_and_an_open_one_drives_to_A():
    """f = 0 leaves x' = -x / tau; relu gates far above 1 / tau hold the state at A."""
    ltc = SimpleLTC(np.zeros((2, 2)), np.eye(2), 0.0, 2.0, 0.7, activation=relu, solver=exponential_euler)
    states = ltc.run([[-1.0, 1e9], [-5.0, 1e9], [-1.0, 1e9]], [0.5, 0.5])
    np.testing.assert_allclose(states[-1], [0.5 * np.exp(-1.5), 0.7], rtol=1e-9)  # 1 / tau is 5e-10 of the gate


def test_linearize_is_the_equation_and_its_derivative():
    ltc, rng = model(), np.random.default_rng(2)
    x, u = rng.uniform(-1, 1, 7), rng.uniform(-1, 1, 2)

    def gate(x):
        return 1 / (1 + np.exp(-(ltc.W @ x + ltc.W_in @ u + ltc.bias)))

    D, B, v_inf, tau, jacobian = ltc.linearize(x, u)
    np.testing.assert_allclose(D, 1 / ltc.tau + gate(x), rtol=1e-14)
    np.testing.assert_allclose(B, gate(x) * ltc.A, rtol=1e-14)
    np.testing.assert_allclose(v_inf, B / D, rtol=1e-14)
    np.testing.assert_allclose(tau, ltc.tau / (1 + ltc.tau * gate(x)), rtol=1e-14)  # the tau_sys of the paper
    slope = numerical_jacobian(lambda x: gate(x) * ltc.A - (1 / ltc.tau + gate(x)) * x, x)
    np.testing.assert_allclose(jacobian, slope, atol=1e-14)


# --- bounds ---------------------------------------------------------------------------------------------------------


@given(
    solver=st.sampled_from(BOUNDED),
    activation=st.sampled_from((sigmoid, relu)),
    exponent=st.floats(-6, 6),
    size=st.floats(0, 1e3),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=60)
def test_states_stay_in_their_bounds_for_every_step_and_input(solver, activation, exponent, size, seed):
    ltc = model(spectral_radius=5.0, solver=solver, activation=activation, dt=10.0**exponent, seed=seed)
    low, high = ltc.state_bounds()
    rng = np.random.default_rng(seed)
    states = ltc.run(rng.uniform(-size, size, (20, 2)), rng.uniform(low, high))
    assert (states >= low - 1e-12).all() and (states <= high + 1e-12).all()  # a rounding in each of 120 steps


def test_state_bounds_reach_from_zero_to_A():
    low, high = SimpleLTC(np.eye(2), np.ones((2, 1)), A=[-0.5, 2.0]).state_bounds()
    assert low.tolist() == [-0.5, 0.0] and high.tolist() == [0.0, 2.0]


def test_runge_kutta_leaves_the_bounds_with_large_steps():
    ltc = SimpleLTC(np.zeros((2, 2)), np.eye(2), solver=rk4, dt=100.0)
    assert abs(ltc.run(np.ones((2, 2)))).max() > 1


@given(size=st.floats(0, 1e3), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_time_constants_stay_in_their_bounds_and_reach_them(size, seed):
    ltc, rng = model(seed=seed), np.random.default_rng(seed)
    low, high = ltc.time_constant_bounds()
    tau = ltc.linearize(rng.uniform(-2, 2, 7), rng.uniform(-size, size, 2)).tau
    assert (tau >= low * (1 - 1e-14)).all() and (tau <= high * (1 + 1e-14)).all()
    np.testing.assert_allclose(low, ltc.tau / (1 + ltc.tau), rtol=1e-15)
    for bias, bound in ((50.0, low), (-50.0, high)):  # sigmoid(50) differs from 1 by 2e-22
        np.testing.assert_allclose(replace(ltc, bias=bias).linearize(np.zeros(7), np.zeros(2)).tau, bound, rtol=1e-14)


def test_time_constants_of_relu_gates_have_no_lower_bound():
    ltc = model(activation=relu)
    low, high = ltc.time_constant_bounds()
    assert (low == 0).all() and (high == ltc.tau).all()
    assert replace(ltc, bias=1e9).linearize(np.zeros(7), np.zeros(2)).tau.max() < 1e-8


# --- derivatives ----------------------------------------------------------------------------------------------------


def test_jacobian_of_one_fused_step_is_the_closed_form():
    """delta_ij / Den_i + h f'_i W_ij (A_i - x'_i) / Den_i with Den = 1 + h (1 / tau + f)."""
    ltc, rng = model(unfolds=1, dt=0.6), np.random.default_rng(3)
    x, u = rng.uniform(-1, 1, 7), rng.uniform(-1, 1, 2)
    f = 1 / (1 + np.exp(-(ltc.W @ x + ltc.W_in @ u + ltc.bias)))
    den = 1 + 0.6 * (1 / ltc.tau + f)
    end = (x + 0.6 * f * ltc.A) / den
    expected = np.diag(1 / den) + (0.6 * f * (1 - f) * (ltc.A - end) / den)[:, None] * ltc.W
    np.testing.assert_allclose(ltc.jacobian(x, u), expected, atol=1e-15)


@each_solver
def test_derivatives_by_state_input_and_elapsed_time_are_those_of_the_complex_step(solver):
    ltc, rng = model(solver=solver, timed=True, unfolds=3), np.random.default_rng(4)
    x, u = rng.uniform(-1, 1, 7), np.array([0.3, -0.8, 1.7])
    by_state = numerical_jacobian(lambda x: ltc.step(x, u), x)
    by_input = numerical_jacobian(lambda u: ltc.step(x, u), u)
    np.testing.assert_allclose(ltc.jacobian(x, u), by_state, atol=1e-14)
    np.testing.assert_allclose(ltc.input_jacobian(x, u), by_input, atol=1e-14)
    assert np.abs(by_input[:, 2]).max() > 1e-3  # the time matters


@each_solver
def test_pushed_tangents_follow_inputs_and_elapsed_times(solver):
    ltc, rng = model(solver=solver, timed=True, unfolds=3), np.random.default_rng(5)
    x, u, dU = rng.uniform(-1, 1, 7), rng.uniform(0.2, 2, (6, 3)), rng.uniform(-1, 1, (6, 4, 3))
    V = rng.uniform(-1, 1, (4, 7))
    pushed, end, tape = V.copy(), x.copy(), np.empty((6, 4, 7))
    ltc._push(end, u, pushed, dU, tape)
    for t in range(6):
        V = V @ ltc.jacobian(x, u[t]).T + dU[t] @ ltc.input_jacobian(x, u[t]).T
        x = ltc.step(x, u[t])
        np.testing.assert_allclose(tape[t], V, atol=1e-13)
    np.testing.assert_allclose(pushed, V, atol=1e-13)
    np.testing.assert_allclose(end, x, atol=1e-13)


# --- elapsed time ---------------------------------------------------------------------------------------------------


@each_solver
def test_every_timed_step_is_a_step_of_that_dt(solver):
    ltc, rng = model(solver=solver), np.random.default_rng(6)
    u, times = rng.uniform(-1, 1, (8, 2)), np.cumsum(rng.uniform(0.1, 3, 8))
    with_times = elapsed_inputs(u, times)
    x, states = np.zeros(7), []
    for u_t in with_times:
        x = replace(ltc, dt=u_t[2]).run(u_t[None, :2], x)[-1]
        states.append(x)
    timed = replace(ltc, timed=True)
    assert timed.n_inputs == 3 and ltc.n_inputs == 2
    np.testing.assert_array_equal(timed.run(with_times), states)
    np.testing.assert_allclose(timed.run(np.stack([with_times] * 4))[3], states, atol=1e-14)
    np.testing.assert_allclose(timed.step(states[2], with_times[3]), states[3], atol=1e-14)


def test_exponential_steps_under_a_constant_input_depend_on_the_time_only():
    """Without recurrence ten steps of 0.1 and of uneven lengths that sum to 1 end in the same state."""
    ltc = SimpleLTC(np.zeros((2, 2)), np.eye(2), tau=[0.5, 3.0], solver=exponential_euler, timed=True)
    uneven = np.diff(np.sort(np.append(np.random.default_rng(7).uniform(0, 1, 9), [0.0, 1.0])))
    ends = [ltc.run(np.column_stack([np.full((10, 2), 0.4), steps]))[-1] for steps in (np.full(10, 0.1), uneven)]
    np.testing.assert_allclose(*ends, rtol=1e-13)


@pytest.mark.parametrize("elapsed", [0.0, -1.0])
def test_elapsed_times_must_be_positive(elapsed):
    u = np.array([[0.1, 0.2, 1.0], [0.1, 0.2, elapsed]])
    with pytest.raises(ValueError, match=r"positive elapsed times in its last channel, got .* at step 1"):
        model(timed=True).run(u)


# --- forms and types ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_sparse_weights_and_float32_give_the_same_states():
    ltc, rng = model(12, density=0.3), np.random.default_rng(8)
    dense = replace(ltc, W=ltc.W.toarray())
    single = replace(dense, W=dense.W.astype(np.float32))
    u = rng.uniform(-1, 1, (4, 15, 2))
    for x, V in (ltc.push(np.zeros(12), u[0], np.eye(12)), single.push(np.zeros(12), u[0], np.eye(12))):
        atol = 1e-14 if x.dtype == np.float64 else 2e-6  # a few roundings: the map contracts
        np.testing.assert_allclose(x, dense.run(u[0])[-1], atol=atol)
        np.testing.assert_allclose(V, dense.push(np.zeros(12), u[0], np.eye(12))[1], atol=atol)
    np.testing.assert_allclose(ltc.run(u), dense.run(u), atol=1e-14)
    np.testing.assert_allclose(single.run(u), dense.run(u), atol=2e-6)
    assert single.run(u).dtype == np.float32 and single.tau.dtype == np.float32


def test_a_network_left_alone_relaxes_to_the_fixed_point_of_its_equation():
    """Where it stands still x = f A / (1 / tau + f), whatever the solver."""
    for solver in SOLVERS:
        ltc = model(solver=solver)
        x = ltc.run(np.zeros((400, 2)))[-1]
        np.testing.assert_allclose(x, ltc.linearize(x, np.zeros(2)).v_inf, atol=1e-12)


def test_random_draws_each_array_from_its_own_stream():
    one, two = model(), model(n_inputs=5, tau=2.0, A=np.arange(7.0))
    np.testing.assert_array_equal(one.W, two.W)
    np.testing.assert_array_equal(one.bias, two.bias)
    np.testing.assert_array_equal(one.W_in, two.W_in[:, :2])
    assert (two.tau == 2).all() and (two.A == np.arange(7)).all()
    assert (np.abs(SimpleLTC.random(9, seed=0).A) == 1).all()
    assert SimpleLTC.random(9, dtype=np.float32, seed=0).dtype == np.float32


def test_saved_models_keep_solver_and_times(tmp_path):
    ltc = model(solver=rk4, timed=True, unfolds=2)
    ltc.save(tmp_path / "ltc")
    again = load(tmp_path / "ltc")
    assert repr(again) == repr(ltc) and "timed" in repr(ltc) and "rk4" in repr(ltc)
    np.testing.assert_array_equal(again.tau, ltc.tau)


# --- bad input ------------------------------------------------------------------------------------------------------

EYE, ONE = np.eye(3), np.ones((3, 1))
BAD = {
    "W not square": (ValueError, "W must be square", {"W": np.ones((3, 2))}),
    "W nan": (ValueError, "W must be finite", {"W": np.full((3, 3), np.nan)}),
    "W text": (TypeError, "W must hold real numbers", {"W": "W"}),
    "W_in rows": (ValueError, r"W_in must have shape \(3, any\)", {"W_in": np.ones((2, 1))}),
    "bias length": (ValueError, "bias must be a number or have shape", {"bias": [1.0, 2.0]}),
    "bias none": (TypeError, "bias must hold real numbers", {"bias": None}),
    "tau zero": (ValueError, "tau must be above 0, got 0", {"tau": [1.0, 0.0, 1.0]}),
    "tau negative": (ValueError, "tau must be above 0, got -1", {"tau": -1.0}),
    "tau nan": (ValueError, "tau must be finite", {"tau": np.nan}),
    "tau length": (ValueError, r"tau must be a number or have shape \(3,\)", {"tau": [1.0, 2.0]}),
    "A length": (ValueError, r"A must be a number or have shape \(3,\)", {"A": [1.0, 2.0]}),
    "A none": (TypeError, "A must hold real numbers", {"A": None}),
    "A infinite": (ValueError, "A must be finite", {"A": np.inf}),
    "tanh": (ValueError, "activation must be penstock.sigmoid or penstock.relu, got tanh", {"activation": tanh}),
    "identity": (ValueError, "a negative gate f can bring the rate", {"activation": identity}),
    "activation text": (ValueError, "activation must be one of", {"activation": "sigmoid"}),
    "dt zero": (ValueError, "dt must be above 0", {"dt": 0.0}),
    "dt nan": (ValueError, "dt must be finite", {"dt": np.nan}),
    "dt bool": (TypeError, "dt must be a number", {"dt": True}),
    "unfolds zero": (ValueError, "unfolds must be at least 1", {"unfolds": 0}),
    "unfolds float": (TypeError, "unfolds must be an integer", {"unfolds": 6.0}),
    "solver text": (ValueError, "solver must be one of", {"solver": "fused"}),
    "timed number": (TypeError, "timed must be True or False, got 1", {"timed": 1}),
}


@pytest.mark.parametrize("name", list(BAD))
def test_bad_arrays_and_settings_are_refused(name):
    error, message, settings = BAD[name]
    arrays = {"W": EYE, "W_in": ONE, **settings}
    with pytest.raises(error, match=message):
        SimpleLTC(arrays.pop("W"), arrays.pop("W_in"), **arrays)


@pytest.mark.parametrize(
    ("error", "message", "settings"),
    [
        (TypeError, "seed must be a non-negative integer", {"seed": None}),
        (ValueError, "tau must be above 0", {"tau": Uniform(-2, -1)}),
        (ValueError, "tau must be a number or have shape", {"tau": np.ones(2)}),
        (ValueError, "dtype must be float64 or float32", {"dtype": np.int64}),
        (TypeError, "n_inputs must be an integer", {"n_inputs": 1.5}),
        (TypeError, "spectral_radius must be a number", {"spectral_radius": "1"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_draws_are_refused(error, message, settings):
    with pytest.raises(error, match=message):
        model(**settings)


def test_sparse_input_weights_are_taken():
    ltc = model()
    sparse = replace(ltc, W_in=sp.csr_array(ltc.W_in))
    x, u = np.linspace(-1, 1, 7), np.array([0.2, -0.4])
    np.testing.assert_allclose(sparse.step(x, u), ltc.step(x, u), rtol=1e-14)


@pytest.mark.slow
def test_sparse_input_weights_have_the_same_derivatives():
    ltc = model()
    sparse = replace(ltc, W_in=sp.csr_array(ltc.W_in))
    x, u = np.linspace(-1, 1, 7), np.array([0.2, -0.4])
    np.testing.assert_allclose(sparse.input_jacobian(x, u), ltc.input_jacobian(x, u), rtol=1e-14)
