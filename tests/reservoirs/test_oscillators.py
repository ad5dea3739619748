"""Coupled oscillators: the equation written out, closed forms of single oscillators, bounds and exact identities."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import cholesky, solve_discrete_are

from penstock import Readout
from penstock.analysis import lyapunov_spectrum, stability
from penstock.closed_loop import ClosedLoop
from penstock.reservoirs import CoRNN, EchoStateWarning, Stack
from penstock.scaling import spectral_radius


def draw(*shapes, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-scale, scale, shape) for shape in shapes]


def make(n=6, m=2, W_z=True, **settings):
    W, velocity, W_in, bias, gamma, epsilon = draw((n, n), (n, n), (n, m), n, n, n)
    numbers = {"gamma": 2 + gamma, "epsilon": 3 + epsilon, "dt": 0.1} | settings
    return CoRNN(W, velocity if W_z else None, W_in, bias, **numbers)


def alone(gamma, epsilon, dt, W=0.0):
    """Oscillators without coupling, or each with its own position, that the mean of two inputs pushes directly."""
    gamma, epsilon = np.broadcast_arrays(np.atleast_1d(gamma), epsilon)
    n = gamma.size
    return CoRNN(W * np.eye(n), None, np.full((n, 2), 0.5), gamma=gamma, epsilon=epsilon, dt=dt)


def loops(net, u, x0):
    """The equation unit by unit, in the order of its text."""
    n, dt = net.n_units // 2, net.dt
    y, z, states = list(x0[:n]), list(x0[n:]), []
    for u_t in u:
        new = []
        for i in range(n):
            force = net.bias[i] + sum(net.W_in[i, k] * u_t[k] for k in range(len(u_t)))
            force += sum(net.W[i, j] * y[j] + (net.W_z[i, j] * z[j] if net.W_z is not None else 0) for j in range(n))
            new.append(z[i] + dt * (math.tanh(force) - net.gamma[i] * y[i] - net.epsilon[i] * z[i]))
        y, z = [y[i] + dt * new[i] for i in range(n)], new
        states.append(y + z)
    return np.array(states)


# --- the equation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("W_z", [True, False])
def test_states_equal_the_equation_written_out(W_z):
    net = make(W_z=W_z)
    u, x0 = draw((60, 2), 12, seed=1)
    np.testing.assert_allclose(net.run(u, x0), loops(net, u, x0), atol=1e-14)  # states below 1, damped


def test_small_steps_converge_to_the_differential_equation_with_order_one():
    net = make(5)
    u, x0 = np.array([0.7, -0.2]), draw(10, seed=2)[0]

    def flow(_, x):
        y, z = np.split(x, 2)
        return np.concatenate([z, np.tanh(net.W @ y + net.W_z @ z + net.W_in @ u + net.bias)
                               - net.gamma * y - net.epsilon * z])  # fmt: skip

    exact = solve_ivp(flow, (0, 2), x0, rtol=1e-11, atol=1e-12).y[:, -1]
    counts = np.array([100, 200, 400, 800])
    ends = [dataclasses.replace(net, dt=2 / count).run(np.tile(u, (count, 1)), x0)[-1] for count in counts]
    errors = [np.abs(end - exact).max() for end in ends]
    order = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert abs(order - 1) < 0.05  # the next term of the expansion, at steps of 0.02 to 0.0025
    assert errors[-1] < 0.01


def test_a_constant_force_leads_to_the_balance_of_force_and_stiffness():
    gamma = np.array([0.5, 2.0, 7.0])
    states = alone(gamma, 3.0, 0.1).run(np.full((3000, 2), 0.8))
    np.testing.assert_allclose(states[-1], [*np.tanh(0.8) / gamma, 0, 0, 0], atol=1e-12)


def test_positions_are_what_a_readout_sees_and_the_step_is_the_time_step():
    net = make()
    assert net.observed == slice(0, 6)
    assert (net.n_units, net.n_inputs, net.dt) == (12, 2, 0.1)
    states = net.run(draw((20, 2))[0])
    y, z = states[:, net.observed], states[:, 6:]
    np.testing.assert_allclose(np.diff(y, axis=0), net.dt * z[1:], atol=1e-15)


def test_zero_velocity_weights_are_no_velocity_weights():
    net, u = make(W_z=False), draw((30, 2), seed=4)[0]
    zeros = dataclasses.replace(net, W_z=np.zeros((6, 6)))
    np.testing.assert_allclose(zeros.run(u), net.run(u), atol=1e-15)  # sums of zeros


@pytest.mark.parametrize("W_z", [None, sp.csr_array, np.asarray], ids=["none", "sparse", "dense"])
def test_sparse_weights_give_the_states_of_dense_ones(W_z):
    net = make()
    u, V = draw((3, 25, 2), (12, 3), seed=3)
    net = dataclasses.replace(net, W=net.W * (np.abs(net.W) > 0.4), W_z=W_z and net.W_z)
    thin = dataclasses.replace(net, W=sp.csr_array(net.W), W_z=W_z and W_z(net.W_z))
    np.testing.assert_allclose(thin.run(u), net.run(u), atol=1e-14)
    np.testing.assert_allclose(thin.jacobian(u[0, :6].ravel(), u[0, 0]), net.jacobian(u[0, :6].ravel(), u[0, 0]))
    np.testing.assert_allclose(thin.push(np.zeros(12), u[0], V)[1], net.push(np.zeros(12), u[0], V)[1], atol=1e-14)
    assert thin.loop_gain() == pytest.approx(net.loop_gain(), rel=1e-12)


@pytest.mark.slow
def test_single_precision_stays_single():
    net, u = make(), draw((50, 2), seed=5)[0]
    single = dataclasses.replace(net, W=net.W.astype(np.float32))
    states = single.run(u)
    assert states.dtype == single.W_z.dtype == single.gamma.dtype == np.float32
    np.testing.assert_allclose(states, net.run(u), atol=2e-6)  # damped: some roundings of 6e-8


def test_closed_loop_equals_stepwise_feedback_of_the_positions():
    net, readout = make(), Readout(*draw((2, 6), 2, seed=6))
    x = x0 = draw(12, seed=7)[0]
    states = []
    for _ in range(40):
        x = net.step(x, readout.W_out @ x[:6] + readout.offset)
        states.append(x)
    np.testing.assert_allclose(ClosedLoop(net, readout).run(40, x0), states, atol=1e-13)


def test_a_stack_carries_tangents_through_the_states_below():
    stack = Stack([make(), make(m=12)])
    u, V = draw((5, 2), (24, 3), seed=11)
    x, expected = np.zeros(24), V
    for u_t in u:
        expected = stack.jacobian(x, u_t) @ expected
        x = stack.step(x, u_t)
    np.testing.assert_allclose(stack.push(np.zeros(24), u, V)[1], expected, atol=1e-13)  # five products


# --- one oscillator by itself ---------------------------------------------------------------------------------------

# oscillating, ringing, overdamped, of negative stiffness, with multipliers of negative real part
APART = [(1.0, 0.5, 1.0), (9.0, 0.2, 0.1), (1.0, 5.0, 0.1), (-0.5, 4.0, 0.1), (3.0, 1.9, 1.0)]
CRITICAL = (4.0, 3.96, 0.01)  # a double root: epsilon = 2 sqrt(gamma) - dt gamma


@pytest.mark.parametrize(("gamma", "epsilon", "dt"), [*APART, CRITICAL])
def test_multipliers_are_the_eigenvalues_of_the_step(gamma, epsilon, dt):
    net = alone(gamma, epsilon, dt)
    (pair,) = net.uncoupled_spectrum()
    by_lapack = np.linalg.eigvals(net.jacobian(np.zeros(2), np.zeros(2))).astype(complex)
    by_lapack = by_lapack[np.argsort(-np.abs(by_lapack - 1e-9j))]
    # the critical pair is a double root, of which rounding takes the square root
    np.testing.assert_allclose(np.sort_complex(pair), np.sort_complex(by_lapack), atol=1e-7)
    assert np.abs(pair[0]) >= np.abs(pair[1])
    assert np.prod(pair) == pytest.approx(1 - dt * epsilon, abs=1e-12)


@pytest.mark.parametrize(("gamma", "epsilon", "dt"), APART)
def test_free_oscillation_is_the_power_of_the_multipliers(gamma, epsilon, dt):
    net = alone(gamma, epsilon, dt)
    first, second = net.uncoupled_spectrum()[0]
    powers = np.arange(1, 41)
    y = dt * (1 - dt * epsilon) * ((first**powers - second**powers) / (first - second)).real
    np.testing.assert_allclose(net.run(np.zeros((40, 2)), x0=[0.0, 1.0])[:, 0], y, atol=1e-12)


def test_without_damping_a_quadratic_form_is_kept():
    gamma, dt = np.array([0.3, 1.0, 20.0]), 0.2
    y, z = np.split(alone(gamma, 0.0, dt).run(np.zeros((10_000, 2)), x0=[1, -1, 0.5, 0.2, 0.5, 2]), 2, axis=1)
    energy = z**2 + gamma * y**2 - dt * gamma * y * z  # of a velocity step followed by a position step
    np.testing.assert_allclose(energy, np.broadcast_to(energy[0], energy.shape), rtol=1e-10)


@pytest.mark.parametrize(
    ("gamma", "epsilon", "dt", "stable"),
    [(1.0, 1.0, 0.1, True), (-1e-3, 1.0, 0.1, False), (1.0, 0.0, 0.1, False), (1.0, 21.0, 0.1, False),
     (1.0, 19.0, 0.1, True), (5.0, 19.0, 0.1, True), (25.0, 19.0, 0.1, False), (0.99, 1.5, 1.0, True),
     (1.01, 1.5, 1.0, False)],
)  # fmt: skip
def test_stability_conditions_of_the_docstring(gamma, epsilon, dt, stable):
    rate, stiffness = dt * epsilon, dt * dt * gamma
    assert stable == (gamma > 0 and 0 < rate < 2 and 2 * rate + stiffness < 4)
    net = alone(gamma, epsilon, dt)
    assert stable == (np.abs(net.uncoupled_spectrum()) < 1 - 1e-12).all()
    assert stable == np.isfinite(net.loop_gain()) == np.isfinite(net.state_bounds()[1]).all()


# --- bounds ---------------------------------------------------------------------------------------------------------

# dt epsilon and dt² gamma / (4 - 2 dt epsilon) of stable oscillators
stable_rates = st.tuples(st.floats(0.03, 1.9), st.floats(0.003, 0.97))


def oscillator(rates, dt=0.5):
    damping, stiffness = rates
    return {"gamma": stiffness * (4 - 2 * damping) / dt**2, "epsilon": damping / dt, "dt": dt}


def test_the_bound_of_an_overdamped_position_is_reached():
    net = alone([1.0, 2.0], 6.0, 0.1)
    end = net.run(np.full((3000, 2), 50.0))[-1]  # tanh(50) is 1 to rounding
    np.testing.assert_allclose(end[:2], [1.0, 0.5], rtol=1e-12)
    np.testing.assert_allclose(net.state_bounds()[1][:2], [1.0, 0.5], rtol=1e-12)


@settings(deadline=None, max_examples=25)
@given(rates=st.lists(stable_rates, min_size=4, max_size=4), size=st.sampled_from([1.0, 1e3]), seed=st.integers(0, 99))
def test_no_weights_and_no_inputs_drive_the_states_out_of_their_bounds(rates, size, seed):
    W, W_z, W_in, u = draw((4, 4), (4, 4), (4, 2), (400, 2), seed=seed, scale=size)
    numbers = [oscillator(pair) for pair in rates]
    gamma, epsilon = ([one[name] for one in numbers] for name in ("gamma", "epsilon"))
    net = CoRNN(W, W_z, W_in, gamma=gamma, epsilon=epsilon, dt=0.5)
    low, high = net.state_bounds()
    states = net.run(u)
    assert (states <= high * (1 + 1e-12)).all()
    assert (states >= low * (1 + 1e-12)).all()


def test_the_worst_force_drives_an_oscillator_close_to_its_bounds():
    # within ±1 the worst force has the signs of the impulse response in reverse, and reaches the sum of its moduli
    gamma, epsilon, dt = 9.0, 0.6, 0.1
    net, n_steps = alone(gamma, epsilon, dt), 600
    pushed = [dt**2, dt]  # by a force of 1 in the first step
    response = np.concatenate([[pushed], net.run(np.zeros((n_steps - 1, 2)), x0=pushed)])
    for variable in (0, 1):
        force = np.sign(response[::-1, variable])
        end = net.run(np.repeat(50 * force[:, None], 2, axis=1))[-1, variable]  # tanh(50) is 1 to rounding
        assert end == pytest.approx(np.abs(response[:, variable]).sum(), rel=1e-9)
        bound = net.state_bounds()[1][variable]
        assert end < bound < 1.6 * end  # the mean of |sin| is 2 / pi = 1 / 1.57


def test_gains_have_the_units_of_the_time_step():
    # for strong damping the largest gains are those of a constant force, 1 / gamma, and near 1 / epsilon
    for dt in (0.1, 0.01):
        still = CoRNN(np.eye(1), None, np.ones((1, 2)), gamma=2.0, epsilon=8.0, dt=dt)
        moving = CoRNN(np.zeros((1, 1)), np.eye(1), np.ones((1, 2)), gamma=2.0, epsilon=8.0, dt=dt)
        assert still.loop_gain() == pytest.approx(1 / 2, rel=1e-12)
        assert moving.loop_gain() == pytest.approx(1 / 8, rel=0.02)


@pytest.mark.parametrize("W_z", [True, False])
def test_below_a_loop_gain_of_one_some_quadratic_norm_shrinks_at_every_slope(W_z):
    net = make(5, W_z=W_z, dt=0.3)
    factor = 0.98 / net.loop_gain()
    net = dataclasses.replace(net, W=factor * net.W, W_z=factor * net.W_z if W_z else None, bias=0.0)
    assert net.loop_gain() == pytest.approx(0.98, rel=1e-12)
    identity, dt = np.eye(5), net.dt
    A = dataclasses.replace(net, W=0 * net.W, W_z=None).jacobian(np.zeros(10), np.zeros(2))
    B = np.concatenate([dt * dt * identity, dt * identity])
    C = np.hstack([net.W, net.W_z if W_z else 0 * identity])
    P = solve_discrete_are(A, B, C.T @ C + 1e-6 * np.eye(10), -identity)  # the bounded real lemma
    root = cholesky((P + P.T) / 2)
    rng = np.random.default_rng(0)
    slopes = [*rng.uniform(0, 1, (100, 5)), *rng.integers(0, 2, (50, 5))]
    norms = [np.linalg.norm(root @ (A + B * d @ C) @ np.linalg.inv(root), 2) for d in slopes]
    assert max(norms) < 1
    x, u = draw(10, 2, seed=3)
    d = 1 - np.tanh(C @ x + net.W_in @ u) ** 2
    np.testing.assert_allclose(net.jacobian(x, u), A + B * d @ C, atol=1e-14)


def test_the_loop_gain_is_sharp_for_strong_damping_and_equal_stiffness():
    for factor in (0.99, 1.01):  # W = factor gamma: at the origin the net stiffness changes its sign with factor - 1
        net = alone([2.0, 2.0, 2.0], 8.0, 0.05, W=2.0 * factor)
        assert net.loop_gain() == pytest.approx(factor, rel=1e-12)
        assert (spectral_radius(net.jacobian(np.zeros(6), np.zeros(2))) < 1) == (factor < 1)


def test_below_a_loop_gain_of_one_the_start_is_forgotten():
    net = make(8, dt=0.3)
    net = dataclasses.replace(net, W=0.9 / net.loop_gain() * net.W, W_z=0.9 / net.loop_gain() * net.W_z)
    u, starts = draw((2, 600, 2), (2, 16), seed=8, scale=3.0)
    ends = net.run(np.stack([u[0], u[0]]), 5 * starts)[:, -1]
    assert np.abs(ends[0] - ends[1]).max() < 1e-9


@pytest.mark.parametrize("W_z", [True, False])
def test_the_lure_form_is_the_step(W_z):
    net = make(W_z=W_z)
    (block,) = net.lure_blocks()
    x, u = draw(12, 2, seed=6)
    state = block.A @ x + block.B @ np.tanh(block.C @ x + net.W_in @ u + net.bias)
    np.testing.assert_allclose(state, net.step(x, u), atol=1e-14)


@pytest.mark.parametrize("W_z", [True, False])
def test_what_the_loop_gain_certifies_has_a_certificate_with_a_rate(W_z):
    net = make(4, W_z=W_z, dt=0.3)
    factor = 0.9 / net.loop_gain()
    net = dataclasses.replace(net, W=factor * net.W, W_z=factor * net.W_z if W_z else None)
    found = stability(net)
    assert found.certified
    best = found.layers[0].best
    u, starts = draw((50, 2), (2, 8), seed=8, scale=3.0)
    one, other = net.run(np.stack([u] * 3), [*starts, starts[0]])[:2]
    distances = best.distance(np.concatenate([starts[:1], one]), np.concatenate([starts[1:], other]))
    assert (distances[1:] <= best.rate * distances[:-1] + 1e-12).all()


def test_no_certificate_is_given_to_an_oscillator_that_its_own_weight_makes_unstable():
    net = alone(2.0, 8.0, 0.05, W=2.1)
    assert net.loop_gain() > 1
    assert stability(net).necessary_violated


# --- exact identities -----------------------------------------------------------------------------------------------


def test_without_velocity_weights_the_determinant_is_the_damping_alone():
    net = make(W_z=False)
    for seed in range(5):
        x, u = draw(12, 2, seed=seed, scale=2.0)
        assert np.linalg.det(net.jacobian(x, u)) == pytest.approx(np.prod(1 - net.dt * net.epsilon), rel=1e-12)


def test_with_velocity_weights_the_determinant_is_that_of_the_velocity_block():
    net = make()
    x, u = draw(12, 2, seed=9)
    slopes = 1 - np.tanh(net.W @ x[:6] + net.W_z @ x[6:] + net.W_in @ u + net.bias) ** 2
    B = np.diag(1 - net.dt * net.epsilon) + net.dt * slopes[:, None] * net.W_z
    assert np.linalg.det(net.jacobian(x, u)) == pytest.approx(np.linalg.det(B), rel=1e-12)


def test_exponents_sum_to_the_damping_whatever_the_inputs():
    net = make(W_z=False)
    u = draw((400, 2), seed=10)[0]
    spectrum = lyapunov_spectrum(net, u, washout=50, seed=0)
    per_time = np.log(1 - net.dt * net.epsilon).sum() / net.dt
    assert spectrum.exponents.sum() == pytest.approx(per_time, rel=1e-10)


def test_exponents_of_free_oscillators_are_the_logarithms_of_their_multipliers():
    net = alone([0.5, 2.0, 3.0], [3.0, 4.0, 5.0], 0.1)  # real multipliers, all apart
    spectrum = lyapunov_spectrum(net, np.zeros((3000, 2)), washout=300, seed=0)
    exact = np.sort(np.log(np.abs(net.uncoupled_spectrum())).ravel())[::-1] / net.dt
    np.testing.assert_allclose(spectrum.exponents, exact, atol=0.02)  # the start's share, a few / (3000 dt)


# --- drawn networks -------------------------------------------------------------------------------------------------


def test_untrained_networks_are_drawn_as_their_authors_do():
    net = CoRNN.random(100, n_inputs=3, seed=2)
    width = 1 / math.sqrt(203)
    for part in (net.W, net.W_z, net.W_in, net.bias):
        assert 0.95 * width < np.abs(part).max() <= width
        assert abs(part.mean()) < 5 * width / math.sqrt(3 * part.size)
    assert np.abs(np.corrcoef(net.W.ravel(), net.W_z.ravel())[0, 1]) < 0.05  # 10,000 pairs
    scaled = CoRNN.random(100, n_inputs=3, recurrent_scaling=2.0, input_scaling=3.0, bias_scaling=0.0, seed=2)
    np.testing.assert_allclose(scaled.W, 2 * net.W)
    np.testing.assert_allclose(scaled.W_in, 3 * net.W_in)
    assert not scaled.bias.any()


def test_an_unstable_oscillator_is_warned_of():
    with pytest.warns(EchoStateWarning, match="10 of 10 oscillators are unstable by themselves") as caught:
        CoRNN.random(10, gamma=-0.1, seed=0)
    assert caught[0].filename == __file__


# --- bad input ------------------------------------------------------------------------------------------------------

GOOD = {"W": np.eye(2), "W_z": None, "W_in": np.ones((2, 1)), "gamma": 1.0, "epsilon": 1.0, "dt": 0.1}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("W", np.ones((2, 3)), "W must be square"),
        ("W", np.full((2, 2), np.nan), "W must be finite"),
        ("W", "random", "W must hold real numbers"),
        ("W_z", np.ones((3, 3)), r"W_z must have shape \(2, 2\)"),
        ("W_z", 0, r"W_z must have shape \(2, 2\)"),
        ("W_z", "none", "W_z must hold real numbers"),
        ("W_in", np.ones((3, 1)), r"W_in must have shape \(2, any\)"),
        ("bias", np.ones(3), "bias must be a number or have shape"),
        ("gamma", np.ones(3), "gamma must be a number or have shape"),
        ("gamma", None, "gamma must hold real numbers"),
        ("gamma", np.nan, "gamma must be finite"),
        ("epsilon", [1.0, -0.5], "epsilon, the damping, must be at least 0, got -0.5"),
        ("epsilon", "strong", "epsilon must hold real numbers"),
        ("dt", 0.0, "dt must be above 0"),
        ("dt", None, "dt must be a number"),
        ("dt", True, "dt must be a number"),
    ],
)
def test_bad_fields_are_named(name, value, message):
    with pytest.raises((ValueError, TypeError), match=message):
        CoRNN(**(GOOD | {name: value}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_inputs": True}, "n_inputs must be an integer"),
        ({"recurrent_scaling": -1.0}, "recurrent_scaling must be at least 0"),
        ({"dtype": "float16"}, "dtype must be float64 or float32"),
        ({"dt": 0}, "dt must be above 0"),
        ({"gamma": np.ones(3)}, "gamma must be a number or have shape"),
        ({"seed": None}, "seed must be a non-negative integer"),
    ],
)
def test_bad_settings_of_an_untrained_network_are_named(settings, message):
    with pytest.raises((ValueError, TypeError), match=message):
        CoRNN.random(**({"n_units": 10, "seed": 0} | settings))
