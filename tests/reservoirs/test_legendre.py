"""Legendre memories: published matrices, Padé delays, decoding, and the cell against its equations written out."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.interpolate import pade
from scipy.signal import cont2discrete
from scipy.special import eval_sh_legendre

from penstock.analysis import controllability_rank, linear_memory_curve
from penstock.reservoirs import (
    ESN,
    LMU,
    LegendreMemory,
    LegS,
    LegT,
    Stack,
    backward_euler,
    bilinear,
    euler_limit,
    forward_euler,
    legt,
    lmu,
    zero_order_hold,
)
from penstock.system import numerical_jacobian


def three_sines(n_steps=3000):
    t = np.arange(n_steps)
    return sum(np.sin(2 * np.pi * f * t + phase) for f, phase in ((0.003, 0), (0.007, 1), (0.011, 2)))


# --- the linear memory ----------------------------------------------------------------------------------------------


def test_matrices_have_the_published_rows():
    A, B = lmu(4)
    np.testing.assert_array_equal(A, [[-1, -1, -1, -1], [3, -3, -3, -3], [-5, 5, -5, -5], [7, -7, 7, -7]])
    np.testing.assert_array_equal(B[:, 0], [1, -3, 5, -7])
    np.testing.assert_allclose(lmu(4, theta=8.0)[0], A / 8, rtol=1e-15)
    pairs = [-7.4906 + 1.6215j, -6.4705 + 4.9001j, -4.0388 + 8.3456j]
    eigenvalues = np.linalg.eigvals(lmu(6)[0])
    np.testing.assert_allclose(sorted(eigenvalues[eigenvalues.imag > 0], key=np.real), pairs, atol=5e-5)


def test_it_is_the_translated_legendre_memory_in_other_coordinates():
    n = np.arange(15)
    T = np.diag((-1.0) ** n * np.sqrt(2 * n + 1))
    (A, B), (A_t, B_t) = lmu(15), legt(15)
    np.testing.assert_allclose(T @ A_t @ np.linalg.inv(T), A, atol=1e-13)
    np.testing.assert_allclose(T @ B_t, B, atol=1e-13)
    one, other = LegendreMemory.of(15, 40.0), LegT.of(15, 40.0)
    u, delays = np.random.default_rng(0).uniform(-1, 1, 100), np.linspace(0, 40, 9)
    np.testing.assert_allclose(one.reconstruct(one.run(u), delays), other.reconstruct(other.run(u), delays), atol=1e-12)


def test_its_delay_is_the_pade_approximant():
    order = 5
    A, B = lmu(order)
    taylor = np.cumprod(np.append(1.0, -1 / np.arange(1.0, 2 * order)))  # of exp(-s)
    numerator, denominator = pade(taylor, order, order - 1)
    C = LegendreMemory.of(order, 1.0).decoder(1.0)  # theta = 1: the far end of the window
    for s in (0.3j, 2j, 1 + 5j):
        transfer = (C @ np.linalg.solve(s * np.eye(order) - A, B)).item()
        np.testing.assert_allclose(transfer, numerator(s) / denominator(s), rtol=1e-10)


def test_decoder_is_made_of_shifted_legendre_polynomials():
    delays = np.array([0.0, 12.5, 40.0, 50.0])
    expected = [eval_sh_legendre(i, delays / 50) for i in range(7)]
    np.testing.assert_allclose(LegendreMemory.of(7, 50.0).decoder(delays), np.transpose(expected), atol=1e-13)


@pytest.mark.parametrize(
    ("discretise", "method"),
    [(forward_euler, "euler"), (backward_euler, "backward_diff"), (bilinear, "bilinear"), (zero_order_hold, "zoh")],
    ids=["forward", "backward", "bilinear", "held"],
)
def test_steps_are_those_of_scipy_and_keep_a_constant(discretise, method):
    A, B = lmu(6)
    expected = cont2discrete((A / 30, B / 30, np.eye(6), np.zeros((6, 1))), 0.5, method)
    memory = LegendreMemory.of(6, 30.0, dt=0.5, discretise=discretise)
    np.testing.assert_allclose(memory.W, expected[0], atol=1e-14)
    np.testing.assert_allclose(memory.W_in, expected[1], atol=1e-14)
    states = memory.run(np.full(1500, 2.0))
    np.testing.assert_allclose(states[-1], 2 * np.eye(6)[0], atol=1e-9)


@pytest.mark.parametrize(
    ("order", "limit"), [(4, 5.15), (6, 10.64), (8, 17.7), (12, 36.2), (16, 59.7), (20, 87.9), (32, 196.9)]
)
def test_forward_euler_needs_the_published_lengths(order, limit):
    assert abs(1 / euler_limit(lmu(order)[0]) - limit) < 0.05 * (1 if limit > 12 else 0.1)
    assert LegendreMemory.of(order, 1.01 * limit, discretise=forward_euler).order == order
    with pytest.raises(ValueError, match=rf"theta must be above .* for forward_euler at order {order} and dt 1\.0"):
        LegendreMemory.of(order, 0.99 * limit, discretise=forward_euler)
    assert LegendreMemory.of(order, 0.1 * limit).order == order  # a hold has no limit


def test_decoded_delays_have_the_published_error():
    memory, u = LegendreMemory.of(12, 100.0), three_sines()
    assert abs(np.abs(np.linalg.eigvals(memory.W)).max() - 0.9447) < 5e-5
    states = memory.run(u)
    for delay in (25, 50, 100):
        target = u[400 - delay : len(u) - delay]
        past = states[400:] @ memory.decoder(delay).T
        nrmse = np.sqrt(np.mean((past[:, 0] - target) ** 2) / np.var(target))
        assert abs(nrmse - 0.024) < 0.001
        if delay < 100:  # in the middle of the step the error is a hundred times smaller: what is left is the memory's
            past = states[400:] @ memory.decoder(delay + 0.5).T
            assert np.sqrt(np.mean((past[:, 0] - target) ** 2) / np.var(target)) < 5e-4


def test_memory_capacity_is_the_order():
    memory = LegendreMemory.of(9, 25.0)
    assert controllability_rank(memory.W, memory.W_in) == 9
    assert abs(linear_memory_curve(memory.W, memory.W_in).sum() - 9) < 1e-9


def test_delays_outside_of_the_window_are_refused():
    memory = LegendreMemory.of(5, 20.0)
    for delays in (-1, 20.5, [3.0, 21.0]):
        with pytest.raises(ValueError, match=r"delays must lie in \[0, 20\]"):
            memory.decoder(delays)
    for order, theta, error, name in (
        (0, 9.0, ValueError, "order"), ("3", 9.0, TypeError, "order"), (3, 0.0, ValueError, "theta"),
        (3, np.inf, ValueError, "theta"), (3, True, TypeError, "theta"),
    ):  # fmt: skip
        with pytest.raises(error, match=f"{name} must be"):
            LegendreMemory.of(order, theta)
        with pytest.raises(error, match=f"{name} must be"):
            lmu(order, theta)


# --- the cell -------------------------------------------------------------------------------------------------------


def cell(n=6, d=2, q=4, m=2, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    shapes = {
        "W": (n, n),
        "W_in": (n, m),
        "W_m": (n, d * q),
        "e_x": (d, m),
        "e_h": (d, n),
        "e_m": (d, d * q),
        "bias": n,
    }
    arrays = {name: rng.uniform(-0.5, 0.5, shape).astype(dtype) for name, shape in shapes.items()}
    return LMU(memory=LegendreMemory.of(q, 7.0, n_inputs=d), **arrays)


def written_out(lmu, u, h, m):
    """The equations, memory by memory."""
    A, B = zero_order_hold(*map(np.array, _per_memory(lmu)), 1.0)
    states = []
    for u_t in u:
        v = lmu.e_x @ u_t + lmu.e_h @ h + lmu.e_m @ m
        m = np.concatenate([A @ one + B[:, 0] * v_i for one, v_i in zip(np.split(m, len(v)), v, strict=True)])
        h = np.tanh(lmu.W_in @ u_t + lmu.W @ h + lmu.W_m @ m + lmu.bias)
        states.append(np.concatenate([h, m]))
    return np.array(states)


def _per_memory(lmu_cell):
    return lmu(lmu_cell.memory.order, lmu_cell.memory.theta)


@pytest.mark.parametrize("d", [1, 2])
def test_states_equal_the_equations_written_out(d):
    one = cell(d=d)
    rng = np.random.default_rng(1)
    u, h, m = rng.uniform(-1, 1, (40, 2)), rng.uniform(-1, 1, 6), rng.uniform(-1, 1, 4 * d)
    expected = written_out(one, u, h, m)
    np.testing.assert_allclose(one.run(u, np.concatenate([h, m])), expected, atol=1e-12)  # 40 steps of states near 1
    assert one.run(u)[:, one.observed].shape == (40, 6)


def test_without_feedback_the_memory_is_that_of_the_encoded_inputs():
    one = replace(cell(), e_h=0.0, e_m=0.0)
    u = np.random.default_rng(2).uniform(-1, 1, (60, 2))
    np.testing.assert_allclose(one.run(u)[:, 6:], one.memory.run(u @ one.e_x.T), atol=1e-13)
    silent = replace(one, W_in=np.zeros((6, 2)), W=np.zeros((6, 6)), bias=0.0)
    states = silent.run(u)
    np.testing.assert_allclose(states[:, :6], np.tanh(states[:, 6:] @ one.W_m.T), atol=1e-14)  # m of the same step


@pytest.mark.parametrize("d", [1, 2])
def test_tangents_equal_products_of_numerical_jacobians(d):
    one = cell(d=d)
    stack = Stack([ESN.random(3, n_inputs=1, seed=0), replace(one, W_in=cell(d=d, m=3).W_in, e_x=cell(d=d, m=3).e_x)])
    rng = np.random.default_rng(3)
    u, x, product = rng.uniform(-1, 1, (5, 1)), rng.uniform(-1, 1, stack.n_units), np.eye(stack.n_units)
    _, pushed = stack.push(x, u, product)
    for u_t in u:
        product = numerical_jacobian(lambda x: stack.step(x, u_t), x) @ product  # noqa: B023
        x = stack.step(x, u_t)
    np.testing.assert_allclose(pushed, product, atol=1e-13)


def test_weights_are_drawn_by_the_published_laws():
    one = LMU.random(300, order=40, theta=100.0, n_inputs=5, n_memories=4, seed=0)
    for matrix, bound in ((one.e_x, np.sqrt(3 / 5)), (one.e_h, np.sqrt(3 / 300))):  # LeCun, uniform
        assert 0.8 * bound < np.abs(matrix).max() <= bound
    assert abs(one.e_h.std() * np.sqrt(300) - 1) < 0.1  # 1200 numbers
    for matrix, n_in in ((one.W, 300), (one.W_m, 160), (one.W_in, 5)):  # Xavier, normal
        assert abs(matrix.std() / np.sqrt(2 / (300 + n_in)) - 1) < 4 / np.sqrt(2 * matrix.size)
    assert not one.e_m.any()
    assert not one.bias.any()
    again = LMU.random(300, order=40, theta=100.0, n_inputs=5, n_memories=4, seed=0, input_scaling=2.0,
                       feedback_scaling=0.0, spectral_radius=0.7, bias_scaling=0.5)  # fmt: skip
    np.testing.assert_allclose(again.e_x, 2 * one.e_x, rtol=1e-15)
    np.testing.assert_allclose(again.W_in, 2 * one.W_in, rtol=1e-15)
    assert not again.e_h.any()
    assert abs(np.abs(np.linalg.eigvals(again.W)).max() - 0.7) < 1e-12
    assert 0.4 < np.abs(again.bias).max() <= 0.5


@pytest.mark.slow  # compiles both kernels once more
def test_float32_in_is_float32_out():
    single, double = cell(dtype=np.float32), cell()
    u, x0 = np.random.default_rng(4).uniform(-1, 1, (30, 2)), np.linspace(-0.5, 0.5, 14)
    _, pushed = single.push(x0, u, np.eye(14))
    assert single.dtype == single.memory.dtype == single.run(u).dtype == pushed.dtype == np.float32
    np.testing.assert_allclose(single.run(u, x0), double.run(u, x0), atol=2e-5)  # 30 steps with roundings of a few 1e-7
    np.testing.assert_allclose(pushed, double.push(x0, u, np.eye(14))[1], atol=1e-4)
    assert LMU.random(9, order=3, theta=6.0, dtype=np.float32, seed=0).dtype == np.float32


def test_the_time_step_is_that_of_the_memory():
    assert LMU.random(5, order=3, theta=2.0, dt=0.25, seed=0).dt == 0.25


def test_bad_cells_are_refused():
    one = cell()
    for name, value, message in (
        ("W", np.ones((6, 5)), r"W must be square and not empty, got shape \(6, 5\)"),
        ("W_in", np.ones((5, 2)), r"W_in must have shape \(6, any\), got \(5, 2\)"),
        ("W_m", np.ones((6, 7)), r"W_m must have shape \(6, 8\), got \(6, 7\)"),
        ("e_x", np.ones((2, 3)), r"e_x must have shape \(2, 2\), got \(2, 3\)"),
        ("e_h", np.ones((3, 6)), r"e_h must have shape \(2, 6\), got \(3, 6\)"),
        ("e_m", np.nan, "e_m must be finite"),
        ("bias", np.ones(4), r"bias must be a number or have shape \(6,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(one, **{name: value})
    for memory in (None, ESN.random(8, n_inputs=2, seed=0), LegS(4)):
        with pytest.raises(TypeError, match="memory must be a LegendreMemory, LegT, LagT or WarpedLegS, got"):
            replace(one, memory=memory)
    with pytest.raises(TypeError, match="W_m must hold real numbers"):
        replace(one, W_m=None)
    for name, value, error in (
        ("n_memories", 0, ValueError), ("n_inputs", 1.5, TypeError), ("order", 0, ValueError),
        ("theta", -1.0, ValueError), ("dt", 0.0, ValueError), ("input_scaling", -1.0, ValueError),
        ("feedback_scaling", "1", TypeError),
        ("spectral_radius", -0.1, ValueError), ("seed", None, TypeError), ("bias_scaling", np.nan, ValueError),
    ):  # fmt: skip
        with pytest.raises(error, match=f"{name} must be"):
            LMU.random(5, **({"order": 3, "theta": 6.0, "seed": 0} | {name: value}))
    with pytest.raises(ValueError, match="n_units must be at least 1, got 0"):
        LMU.random(0, order=3, theta=6.0, seed=0)
