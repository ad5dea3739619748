"""The memory of the whole past: integrals, steps of SciPy, tangents through the time, and what analyses say of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import Legendre
from scipy.integrate import quad
from scipy.signal import cont2discrete

from penstock.analysis import fixed_points, lyapunov_spectrum
from penstock.reservoirs import ESN, LegS, Stack, legs
from penstock.system import numerical_jacobian

ALPHAS = {"forward": 0.0, "backward": 1.0, "bilinear": 0.5, "held": None}
each_alpha = pytest.mark.parametrize("alpha", list(ALPHAS.values()), ids=list(ALPHAS))


def polynomials(order):
    """The orthonormal Legendre polynomials of [0, 1], as NumPy's polynomials."""
    return [np.sqrt(2 * n + 1) * Legendre.basis(n, domain=[0, 1]) for n in range(order)]


def smooth(t):
    return np.sin(3 * t) + 0.5 * np.cos(7 * t + 1)


def held_coefficients(u, order):
    """Integrals of a staircase over [0, 1] times the polynomials."""
    edges = np.linspace(0, 1, len(u) + 1)
    return np.array([np.diff(p.integ()(edges)) @ u for p in polynomials(order)])


@pytest.mark.parametrize("n_steps", [1, 2, 7, 300])
def test_held_inputs_are_projected_exactly(n_steps):
    u = np.random.default_rng(1).uniform(-1, 1, n_steps)
    states = LegS(20, alpha=None).run(u)
    np.testing.assert_allclose(states[-1, :-1], held_coefficients(u, 20), atol=1e-12)
    assert states[-1, -1] == n_steps


@pytest.mark.parametrize("alpha", [0.5, 1.0, 0.0], ids=["bilinear", "backward", "forward"])
def test_steps_are_those_of_scipy_with_dt_one_over_k(alpha):
    order = 6
    u, (A, B) = np.random.default_rng(2).uniform(-1, 1, 40), legs(order)
    c, states = np.zeros(order), []
    for k, u_k in enumerate(u, 1):
        A_d, B_d, *_ = cont2discrete((A, B, np.eye(order), np.zeros((order, 1))), 1 / k, "gbt", alpha=alpha)
        c = A_d @ c + B_d[:, 0] * u_k
        states.append(c)
    np.testing.assert_allclose(LegS(order, alpha=alpha).run(u)[:, :-1], states, atol=1e-12)


def test_coefficients_tend_to_the_integrals_of_the_whole_past():
    order, errors = 8, []
    c = [quad(lambda s, p=p: smooth(3 * s) * p(s), 0, 1)[0] for p in polynomials(order)]
    for n_steps in (1000, 4000):
        states = LegS(order).run(smooth(3 * (np.arange(n_steps) + 0.5) / n_steps))
        errors.append(np.abs(states[-1, :-1] - c).max())
    assert errors[1] < 5e-4
    assert errors[1] < 0.3 * errors[0]


def test_bilinear_reconstructs_best_and_forward_worst():
    n_steps = 400
    middles = (np.arange(n_steps) + 0.5) / n_steps
    u = smooth(3 * middles)
    error = {}
    for name, alpha in ALPHAS.items():
        memory = LegS(16, alpha=alpha)
        past = memory.reconstruct(memory.run(u)[-1], middles)[:, 0]
        error[name] = np.sqrt(np.mean((past - u) ** 2))
    assert error["held"] < error["bilinear"] < 0.5 * error["backward"] < 0.5 * error["forward"]


def test_an_input_at_half_the_speed_leaves_the_same_coefficients():
    u = np.random.default_rng(3).uniform(-1, 1, 60)
    for n_times in (2, 5):
        slow = LegS(12, alpha=None).run(np.repeat(u, n_times))[-1, :-1]
        np.testing.assert_allclose(slow, LegS(12, alpha=None).run(u)[-1, :-1], atol=1e-13)
    fast, slow = (LegS(8).run(smooth(3 * (np.arange(n) + 0.5) / n))[-1, :-1] for n in (2000, 4000))
    np.testing.assert_allclose(slow, fast, atol=2e-3)  # first order in 1 / n where the past is short


@given(st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=40), st.integers(1, 12))
@settings(deadline=None, max_examples=25)
def test_coefficients_of_a_held_input_are_never_larger_than_it(u, order):
    states = LegS(order, alpha=None).run(np.array(u))[:, :-1]
    assert np.linalg.norm(states, axis=1).max() <= np.abs(u).max() * (1 + 1e-12) + 1e-300


@each_alpha
def test_implicit_steps_take_the_zero_state_for_a_past(alpha):
    mean = LegS(9, alpha=alpha).run(np.full(200, 2.5))[:, 0]
    k = np.arange(1, 201)  # the products of 1 - 1 / (k + alpha): half a step of zeros, or a whole one
    np.testing.assert_allclose(mean, 2.5 * (1 - (alpha or 0) / (k + (alpha or 0))), rtol=1e-13)


@each_alpha
def test_tangents_follow_the_time_too(alpha):
    memory = LegS(7, n_inputs=2, alpha=alpha)
    rng = np.random.default_rng(4)
    u, x = rng.uniform(-1, 1, (5, 2)), np.append(rng.uniform(-1, 1, 14), 3.0)
    product, state = np.eye(15), x
    for u_t in u:
        product = numerical_jacobian(lambda x: memory.step(x, u_t), state) @ product  # noqa: B023
        state = memory.step(state, u_t)
    pushed_x, pushed = memory.push(x, u, np.eye(15))
    np.testing.assert_allclose(pushed, product, atol=1e-12)
    np.testing.assert_allclose(pushed_x, state, atol=1e-13)
    stack = Stack([ESN.random(3, n_inputs=2, seed=0), LegS(4, n_inputs=3, alpha=alpha)])
    x, product = np.append(rng.uniform(-1, 1, 15), 3.0), np.eye(16)
    _, pushed = stack.push(x, u, np.eye(16))
    for u_t in u:
        product = numerical_jacobian(lambda x: stack.step(x, u_t), x) @ product  # noqa: B023
        x = stack.step(x, u_t)
    np.testing.assert_allclose(pushed, product, atol=1e-12)


def test_readouts_see_the_coefficients_but_not_the_time():
    memory = LegS(5, n_inputs=2, alpha=None)
    states = memory.run(np.ones((10, 2)))
    assert states[:, memory.observed].shape == (10, 10)
    np.testing.assert_array_equal(states[:, -1], np.arange(1, 11))
    np.testing.assert_allclose(memory.reconstruct(states, [0.5, 1.0])[-1], np.ones((2, 2)), atol=1e-12)


def test_the_past_fades_by_powers_of_its_length():
    """Steps are functions of one matrix, so the eigenvalues -1…-q of it multiply over the steps."""
    q, first, last = 6, 30, 150
    powers = np.arange(1.0, q + 1)
    for alpha in ALPHAS.values():
        x = np.append(np.zeros(q), first)
        _, pushed = LegS(q, alpha=alpha).push(x, np.zeros(last - first), np.eye(q + 1))
        k = np.arange(first + 1, last + 1)[:, None]
        a = alpha or 0.0
        each = ((1 - (1 - a) * powers / k) / (1 + a * powers / k)).prod(axis=0)
        expected = (first / last) ** powers if alpha is None else each
        eigenvalues = np.linalg.eigvals(pushed[:q, :q])
        np.testing.assert_allclose(np.sort(eigenvalues.real), np.sort(expected), atol=1e-10)
        np.testing.assert_array_equal(pushed[q], np.eye(q + 1)[q])  # the time goes on, whatever the coefficients


def test_exponents_are_logarithms_of_the_length_and_no_point_is_fixed():
    q, washout, n_steps = 5, 100, 1400
    u = np.random.default_rng(6).uniform(-1, 1, washout + n_steps)
    result = lyapunov_spectrum(LegS(q, alpha=None), u, washout=washout, progress=False)
    volume = -q * (q + 1) / 2 * np.log((washout + n_steps) / washout)  # of the powers -1…-q of the time
    assert abs(result.exponents.sum() * n_steps - volume) < 1e-9 * n_steps
    points = fixed_points(LegS(q), n_starts=8, seed=0, progress=False)
    assert len(points) == 0


@pytest.mark.slow  # compiles both kernels once more
@each_alpha
def test_float32_in_is_float32_out(alpha):
    rng, x = np.random.default_rng(5), np.linspace(1, 4, 7)
    u, double, single = rng.uniform(-1, 1, 60), LegS(6, alpha=alpha), LegS(6, alpha=alpha, dtype=np.float32)
    _, pushed = single.push(x, u[:20], np.eye(7))
    assert single.run(u).dtype == pushed.dtype == np.float32
    np.testing.assert_allclose(single.run(u), double.run(u), atol=1e-4)  # forward steps grow to 20 first
    np.testing.assert_allclose(pushed, double.push(x, u[:20], np.eye(7))[1], atol=1e-4)


def test_bad_scaled_memories_are_refused():
    for keyword, value, error in (
        ("order", 0, ValueError), ("order", 2.5, TypeError), ("n_inputs", 0, ValueError), ("alpha", -0.1, ValueError),
        ("alpha", 1.1, ValueError), ("alpha", np.nan, ValueError), ("alpha", "bilinear", TypeError),
        ("alpha", True, TypeError), ("dtype", int, ValueError),
    ):  # fmt: skip
        with pytest.raises(error, match=f"{keyword} must"):
            LegS(**({"order": 4} | {keyword: value}))


def test_fractions_outside_of_the_past_are_refused():
    with pytest.raises(ValueError, match=r"fractions must lie in \[0, 1\], got 0\.5 to 1\.5"):
        LegS(4).decoder([0.5, 1.5])
    with pytest.raises(ValueError, match=r"fractions must lie in \[0, 1\], got -0\.1 to -0\.1"):
        LegS(4).decoder(-0.1)
