"""Long expressive memory: the equation written out, its unit cube, its gates at their ends and exact identities."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from penstock import Readout
from penstock.analysis import lyapunov_spectrum
from penstock.closed_loop import ClosedLoop
from penstock.reservoirs import LEM, Stack


def draw(*shapes, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-scale, scale, shape) for shape in shapes]


def make(n=6, m=2, dt=0.7, scale=1.0, seed=0):
    return LEM(*draw((3 * n, n), (n, n), (4 * n, m), 4 * n, seed=seed, scale=scale), dt)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def loops(lem, u, x0):
    """The equation unit by unit, in the order of its text."""
    n = lem.n_units // 2
    y, z, states = list(x0[:n]), list(x0[n:]), []
    for u_t in u:
        drive = [
            b + sum(v * x for v, x in zip(row, u_t, strict=True)) for row, b in zip(lem.W_in, lem.bias, strict=True)
        ]
        by_y = [sum(w * x for w, x in zip(row, y, strict=True)) for row in lem.W]
        p = [lem.dt / (1 + math.exp(-by_y[i] - drive[i])) for i in range(n)]
        q = [lem.dt / (1 + math.exp(-by_y[n + i] - drive[n + i])) for i in range(n)]
        z = [(1 - q[i]) * z[i] + q[i] * math.tanh(by_y[2 * n + i] + drive[2 * n + i]) for i in range(n)]
        by_z = [sum(w * x for w, x in zip(row, z, strict=True)) for row in lem.W_z]
        y = [(1 - p[i]) * y[i] + p[i] * math.tanh(by_z[i] + drive[3 * n + i]) for i in range(n)]
        states.append(y + z)
    return np.array(states)


def test_states_equal_the_equation_written_out():
    lem = make()
    u, x0 = draw((60, 2), 12, seed=1)
    np.testing.assert_allclose(lem.run(u, x0), loops(lem, u, x0), atol=2e-14)  # bounded states, 60 steps


@settings(deadline=None, max_examples=40)
@given(
    dt=st.floats(1e-3, 1.0),
    weights=st.sampled_from([0.1, 1.0, 30.0]),
    inputs=st.sampled_from([1.0, 1e3]),
    start=st.sampled_from([0.5, 1.0]),
    seed=st.integers(0, 999),
)
def test_states_never_leave_the_unit_cube(dt, weights, inputs, start, seed):
    lem = make(dt=dt, scale=weights, seed=seed)
    u, x0 = draw((200, 2), 12, seed=seed, scale=inputs)
    x0 = start * np.sign(x0)
    assert np.abs(lem.run(u, x0)).max() <= 1  # also to rounding


def test_closed_gates_keep_the_state():
    lem = make()
    shut = dataclasses.replace(lem, bias=np.repeat([-800.0, -800.0, 0.3, 0.3], 6))
    u, x0 = draw((20, 2), 12, seed=2)
    np.testing.assert_array_equal(shut.run(u, x0)[-1], x0)
    np.testing.assert_array_equal(shut.jacobian(x0, u[0]), np.eye(12))


def test_open_gates_make_two_plain_layers_of_which_the_second_sees_the_new_first():
    lem = make(dt=1.0)
    opened = dataclasses.replace(lem, bias=np.concatenate([np.full(12, 800.0), lem.bias[12:]]))
    u, x0 = draw((20, 2), 12, seed=3)
    states, y = opened.run(u, x0), x0[:6]
    for u_t, state in zip(u, states, strict=True):
        z = np.tanh(lem.W[12:] @ y + lem.W_in[12:18] @ u_t + lem.bias[12:18])
        y = np.tanh(lem.W_z @ z + lem.W_in[18:] @ u_t + lem.bias[18:])
        np.testing.assert_allclose(state, [*y, *z], atol=1e-14)
        y = state[:6]


def test_small_steps_converge_to_the_differential_equation_with_order_one():
    lem = make(4)
    u, x0 = np.array([0.6, -0.3]), draw(8, seed=4)[0]

    def flow(_, x):
        y, z = np.split(x, 2)
        a = lem.W_in @ u + lem.bias
        to_y, to_z, goal = np.split(a[:12] + lem.W @ y, 3)
        return np.concatenate(
            [sigmoid(to_y) * (np.tanh(lem.W_z @ z + a[12:]) - y), sigmoid(to_z) * (np.tanh(goal) - z)]
        )

    exact = solve_ivp(flow, (0, 4), x0, rtol=1e-11, atol=1e-12).y[:, -1]
    counts = np.array([100, 200, 400, 800])
    errors = [
        np.abs(dataclasses.replace(lem, dt=4 / count).run(np.tile(u, (count, 1)), x0)[-1] - exact).max()
        for count in counts
    ]
    assert abs(-np.polyfit(np.log(counts), np.log(errors), 1)[0] - 1) < 0.05  # steps of 0.04 to 0.005
    assert errors[-1] < 5e-3


def determinant(lem, x, u):
    """The determinant as two factors: z by z, and y by y at fixed new z."""
    n = x.size // 2
    (y, z), a = np.split(x, 2), lem.W_in @ u + lem.bias
    to_y, to_z, goal = np.split(a[: 3 * n] + lem.W @ y, 3)
    p, q = lem.dt * sigmoid(to_y), lem.dt * sigmoid(to_z)
    target = np.tanh(lem.W_z @ ((1 - q) * z + q * np.tanh(goal)) + a[3 * n :])
    by_y = np.diag(1 - p) + (p * sigmoid(-to_y) * (target - y))[:, None] * lem.W[:n]
    return np.prod(1 - q) * np.linalg.det(by_y)


def test_the_determinant_does_not_see_the_coupling_of_the_two_variables():
    lem = make()
    for seed in range(5):
        x, u = draw(12, 2, seed=seed)
        assert np.linalg.det(lem.jacobian(x, u)) == pytest.approx(determinant(lem, x, u), rel=1e-11)


def test_exponents_sum_to_the_mean_logarithm_of_the_determinant():
    lem = make()
    u = draw((500, 2), seed=5)[0]
    spectrum = lyapunov_spectrum(lem, u, washout=100, x0=np.zeros(12), seed=0)
    states = np.concatenate([np.zeros((1, 12)), lem.run(u)])
    logs = [np.log(abs(determinant(lem, x, u_t))) for x, u_t in zip(states[100:-1], u[100:], strict=True)]
    assert spectrum.exponents.sum() == pytest.approx(np.mean(logs) / lem.dt, rel=1e-10)


def test_positions_are_what_a_readout_sees_and_the_step_is_the_time_step():
    lem = make()
    assert (lem.n_units, lem.n_inputs, lem.dt, lem.observed) == (12, 2, 0.7, slice(0, 6))


@pytest.mark.slow
def test_sparse_weights_give_the_states_and_jacobians_of_dense_ones():
    lem = make()
    u, x = draw((25, 2), 12, seed=3)
    lem = dataclasses.replace(lem, W=lem.W * (np.abs(lem.W) > 0.4), W_z=lem.W_z * (np.abs(lem.W_z) > 0.4))
    thin = dataclasses.replace(lem, W=sp.csr_array(lem.W), W_z=sp.csr_array(lem.W_z))
    np.testing.assert_allclose(thin.run(np.stack([u, u]))[1], lem.run(u), atol=1e-14)
    np.testing.assert_allclose(thin.jacobian(x, u[0]), lem.jacobian(x, u[0]), atol=1e-15)


@pytest.mark.slow
def test_single_precision_stays_single():
    lem, u = make(scale=0.5), draw((50, 2), seed=5)[0]
    single = dataclasses.replace(lem, W=lem.W.astype(np.float32))
    states = single.run(u)
    assert states.dtype == single.W_z.dtype == np.float32
    np.testing.assert_allclose(states, lem.run(u), atol=3e-6)  # contracting: some roundings of 6e-8


def test_closed_loop_equals_stepwise_feedback_of_the_positions():
    lem, readout = make(), Readout(*draw((2, 6), 2, seed=6))
    x = x0 = draw(12, seed=7)[0]
    states = []
    for _ in range(40):
        x = lem.step(x, readout.W_out @ x[:6] + readout.offset)
        states.append(x)
    np.testing.assert_allclose(ClosedLoop(lem, readout).run(40, x0), states, atol=1e-13)


def test_a_stack_carries_tangents_through_the_states_below():
    stack = Stack([make(), make(m=12)])
    u, V = draw((5, 2), (24, 3), seed=11)
    x, expected = np.zeros(24), V
    for u_t in u:
        expected = stack.jacobian(x, u_t) @ expected
        x = stack.step(x, u_t)
    np.testing.assert_allclose(stack.push(np.zeros(24), u, V)[1], expected, atol=1e-13)  # five products


def test_networks_are_drawn_as_their_authors_do():
    lem = LEM.random(100, n_inputs=3, seed=2)
    for part, shape in ((lem.W, (300, 100)), (lem.W_z, (100, 100)), (lem.W_in, (400, 3)), (lem.bias, (400,))):
        assert part.shape == shape
        assert 0.095 < np.abs(part).max() <= 0.1
        assert abs(part.mean()) < 5 * 0.1 / math.sqrt(3 * part.size)
    assert lem.dt == 1.0
    scaled = LEM.random(100, n_inputs=3, dt=0.2, recurrent_scaling=2.0, input_scaling=3.0, bias_scaling=0.0, seed=2)
    np.testing.assert_allclose(scaled.W, 2 * lem.W)
    np.testing.assert_allclose(scaled.W_z, 2 * lem.W_z)
    np.testing.assert_allclose(scaled.W_in, 3 * lem.W_in)
    assert not scaled.bias.any()
    np.testing.assert_array_equal(LEM.random(100, n_inputs=1, seed=2).W, lem.W)


GOOD = {"W": np.ones((6, 2)), "W_z": np.eye(2), "W_in": np.ones((8, 1))}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("W", np.ones((4, 2)), r"W must have shape \(3 N, N\)"),
        ("W", np.ones((0, 0)), r"W must have shape \(3 N, N\)"),
        ("W", None, "W must hold real numbers"),
        ("W_z", np.ones((6, 2)), r"W_z must have shape \(2, 2\)"),
        ("W_z", np.full((2, 2), np.inf), "W_z must be finite"),
        ("W_in", np.ones((6, 1)), r"W_in must have shape \(8, any\)"),
        ("bias", np.ones(6), r"bias must be a number or have shape \(8,\)"),
        ("dt", 0.0, r"dt must lie in \(0, 1\]"),
        ("dt", 1.01, r"dt must lie in \(0, 1\]"),
        ("dt", np.nan, "dt must be finite"),
        ("dt", "long", "dt must be a number"),
        ("dt", True, "dt must be a number"),
    ],
)
def test_bad_fields_are_named(name, value, message):
    with pytest.raises((ValueError, TypeError), match=message):
        LEM(**(GOOD | {name: value}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_units": 0}, "n_units must be at least 1"),
        ({"n_inputs": 1.0}, "n_inputs must be an integer"),
        ({"recurrent_scaling": -1.0}, "recurrent_scaling must be at least 0"),
        ({"input_scaling": np.nan}, "input_scaling must be finite"),
        ({"bias_scaling": None}, "bias_scaling must be a number"),
        ({"dt": 2.0}, r"dt must lie in \(0, 1\]"),
        ({"dtype": int}, "dtype must be float64 or float32"),
        ({"seed": None}, "seed must be a non-negative integer"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises((ValueError, TypeError), match=message):
        LEM.random(**({"n_units": 10, "seed": 0} | settings))
