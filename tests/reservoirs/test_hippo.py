"""HiPPO memories: matrices from their polynomials, steps from SciPy, coefficients from integrals of the past."""

from dataclasses import replace

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import Laguerre, Legendre
from numpy.polynomial.laguerre import laggauss
from numpy.polynomial.legendre import leggauss
from scipy.integrate import quad
from scipy.signal import cont2discrete

from penstock.reservoirs import (
    ESN,
    LagT,
    LegS,
    LegT,
    Stack,
    WarpedLegS,
    backward_euler,
    bilinear,
    euler_limit,
    forward_euler,
    lagt,
    legs,
    legt,
    zero_order_hold,
)
from penstock.system import numerical_jacobian

ALPHAS = {"forward": 0.0, "backward": 1.0, "bilinear": 0.5, "held": None}
each_alpha = pytest.mark.parametrize("alpha", list(ALPHAS.values()), ids=list(ALPHAS))
FIXED = {"LegT": LegT, "LagT": LagT, "WarpedLegS": WarpedLegS}


def polynomials(order):
    """The orthonormal Legendre polynomials of [0, 1], as NumPy's polynomials."""
    return [np.sqrt(2 * n + 1) * Legendre.basis(n, domain=[0, 1]) for n in range(order)]


def on_unit_interval(rows, columns):
    """Integrals of row times column over [0, 1], exact for polynomials."""
    nodes, weights = leggauss(40)
    x, w = (nodes + 1) / 2, weights / 2
    return np.array([[(w * row(x) * column(x)).sum() for column in columns] for row in rows])


def smooth(t):
    return np.sin(3 * t) + 0.5 * np.cos(7 * t + 1)


# --- matrices -------------------------------------------------------------------------------------------------------


def test_matrices_have_the_published_rows():
    A, B = legs(4)
    rows = [[-1, 0, 0, 0], [-1.7320508, -2, 0, 0], [-2.2360680, -3.8729833, -3, 0]]
    np.testing.assert_allclose(A, [*rows, [-2.6457513, -4.5825757, -5.9160798, -4]], atol=5e-8)
    np.testing.assert_allclose(B[:, 0], np.sqrt([1, 3, 5, 7]), rtol=1e-15)
    A, B = legt(4)
    rows = [[-1, 1.7321, -2.2361, 2.6458], [-1.7321, -3, 3.873, -4.5826], [-2.2361, -3.873, -5, 5.9161]]
    np.testing.assert_allclose(A, [*rows, [-2.6458, -4.5826, -5.9161, -7]], atol=5e-5)
    np.testing.assert_allclose(B[:, 0], np.sqrt([1, 3, 5, 7]), rtol=1e-15)
    A, B = lagt(3)
    np.testing.assert_array_equal(A, [[-0.5, 0, 0], [-1, -0.5, 0], [-1, -1, -0.5]])
    np.testing.assert_array_equal(B, np.ones((3, 1)))
    for make in (legs, legt, lagt):
        np.testing.assert_allclose(make(5, theta=4.0)[0], make(5)[0] / 4, rtol=1e-15)
        np.testing.assert_allclose(make(5, theta=4.0)[1], make(5)[1] / 4, rtol=1e-15)


def test_matrices_follow_from_differentiating_the_projections():
    order = 9
    p = polynomials(order)
    slopes = [one.deriv() for one in p]
    # c_n = integral of f(t x) p_n(x): t c' = p_n(1) f - c - integral of x p_n' f
    by_x = [lambda x, slope=slope: x * slope(x) for slope in slopes]
    np.testing.assert_allclose(legs(order)[0], -np.eye(order) - on_unit_interval(by_x, p), atol=1e-11)
    # a window: f leaves at its far end x = 0, where the polynomials stand for it
    far = np.array([one(0.0) for one in p])
    np.testing.assert_allclose(legt(order)[0], -np.outer(far, far) - on_unit_interval(slopes, p), atol=1e-11)
    # functions exp(-s / 2) L_n(s): theta c' = f + integral of their slopes times f
    nodes, weights = laggauss(2 * order)
    L = np.array([Laguerre.basis(n)(nodes) for n in range(order)])
    dL = np.array([Laguerre.basis(n).deriv()(nodes) if n else 0 * nodes for n in range(order)])
    np.testing.assert_allclose(lagt(order)[0], ((dL - L / 2) * weights) @ L.T, atol=1e-11)


def test_eigenvalues_of_legs_are_the_negative_integers():
    np.testing.assert_array_equal(np.sort(np.linalg.eigvals(legs(30)[0]))[::-1], -np.arange(1.0, 31))


# --- discretisations ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("discretise", "method"),
    [(forward_euler, "euler"), (backward_euler, "backward_diff"), (bilinear, "bilinear"), (zero_order_hold, "zoh")],
    ids=["forward", "backward", "bilinear", "held"],
)
def test_discretisations_equal_those_of_scipy(discretise, method):
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(6, 6)), rng.normal(size=(6, 2))
    expected = cont2discrete((A, B, np.eye(6), np.zeros((6, 2))), 0.3, method)
    A_d, B_d = discretise(A, B, 0.3)
    np.testing.assert_allclose(A_d, expected[0], atol=1e-13)
    np.testing.assert_allclose(B_d, expected[1], atol=1e-13)
    np.testing.assert_allclose(discretise(A, B[:, 1], 0.3)[1], expected[1][:, 1], atol=1e-13)


def test_a_hold_is_exact_where_the_matrix_cannot_be_inverted():
    A_d, B_d = zero_order_hold([[0.0, 1.0], [0.0, 0.0]], [0.0, 1.0], 0.5)  # free fall: x = t^2 / 2
    np.testing.assert_allclose(A_d, [[1, 0.5], [0, 1]], rtol=1e-15)
    np.testing.assert_allclose(B_d, [0.125, 0.5], rtol=1e-15)


def test_forward_euler_is_stable_up_to_its_limit():
    A = legt(7)[0]
    limit = euler_limit(A)
    radius = [np.abs(np.linalg.eigvals(np.eye(7) + share * limit * A)).max() for share in (0.99, 1.0, 1.01)]
    assert radius[0] < 1 < radius[2]
    assert abs(radius[1] - 1) < 1e-12
    assert euler_limit([[-4.0]]) == 0.5
    assert euler_limit([[0.1, 0.0], [0.0, -1.0]]) == 0


def test_window_too_short_for_forward_euler_is_refused():
    assert LegT.of(6, 10.7, discretise=forward_euler).order == 6  # the limit is 10.64, below 4 per polynomial
    with pytest.raises(
        ValueError, match=r"theta must be above 10\.642 for forward_euler at order 6 and dt 1\.0, got 10"
    ):
        LegT.of(6, 10.6, discretise=forward_euler)
    with pytest.raises(ValueError, match=r"theta must be above 196\.85 .* got 140 and forward_euler, whose memory has"):
        LegT.of(32, 140, discretise=forward_euler)  # above 4 per polynomial, and yet it explodes
    with pytest.raises(ValueError, match=r"theta must be above 98\.425 for forward_euler at order 32 and dt 0\.5"):
        LegT.of(32, 90.0, dt=0.5, discretise=forward_euler)


# --- one time scale -------------------------------------------------------------------------------------------------


def weighting(kind, n):
    """What coefficient n multiplies the input s ago by, in units of theta."""
    if kind is LegT:
        return lambda s: polynomials(n + 1)[n](1 - s)
    if kind is LagT:
        return lambda s: np.exp(-s / 2) * Laguerre.basis(n)(s)
    return lambda s: np.exp(-s) * polynomials(n + 1)[n](np.exp(-s))


@pytest.mark.parametrize("kind", [LagT, WarpedLegS], ids=["LagT", "WarpedLegS"])
def test_coefficients_are_integrals_of_the_past(kind):
    theta, dt, end = 0.8, 0.002, 5.0
    memory = kind.of(7, theta, dt=dt)
    states = memory.run(smooth(np.arange(dt / 2, end, dt)))  # samples in the middle of their steps
    for n in range(7):
        weight = weighting(kind, n)
        c = quad(lambda s: smooth(end - s) * weight(s / theta) / theta, 0, end, limit=200)[0]  # noqa: B023
        assert abs(states[-1, n] - c) < 2e-5  # second order in dt


def test_coefficients_of_a_window_are_its_integrals():
    theta, dt, end = 1.5, 0.002, 12.0
    states = LegT.of(12, theta, dt=dt).run(smooth(np.arange(dt / 2, end, dt)))
    for n in range(8):
        weight = weighting(LegT, n)
        c = quad(lambda s: smooth(end - s) * weight(s / theta) / theta, 0, theta)[0]  # noqa: B023
        assert abs(states[-1, n] - c) < 2e-5  # second order in dt; twelve polynomials miss little of two waves


def test_window_of_a_polynomial_below_its_order_is_exact():
    theta, end = 1.0, 8.0
    f = np.polynomial.Polynomial([0.3, -1.0, 0.2, 0.1])
    c = [quad(lambda x, p=p: f(end - theta * (1 - x)) * p(x), 0, 1)[0] for p in polynomials(4)]
    coarse, fine = (LegT.of(4, theta, dt=dt).run(f(np.arange(dt / 2, end, dt)))[-1] - c for dt in (0.002, 0.001))
    assert np.abs(fine).max() < 1e-5
    np.testing.assert_allclose(fine, coarse / 4, atol=1e-8)  # the hold alone errs, by dt^2


@pytest.mark.parametrize("kind", list(FIXED.values()), ids=list(FIXED))
def test_decoders_undo_the_projection(kind):
    order, theta = 8, 3.0
    memory = kind.of(order, theta)
    nodes, weights = (laggauss(60)) if kind is LagT else leggauss(60)
    if kind is LagT:
        delays, weights = nodes, weights * np.exp(nodes)
    else:
        x, weights = (nodes + 1) / 2, weights / 2
        delays = 1 - x if kind is LegT else -np.log(x)  # weight exp(-s) ds = dx
    D = memory.decoder(theta * delays)
    np.testing.assert_allclose((D.T * weights) @ D, np.eye(order), atol=1e-11)
    density = np.exp(-delays) if kind is WarpedLegS else 1.0
    by_definition = np.array([weighting(kind, n)(delays) for n in range(order)]).T
    np.testing.assert_allclose(D.T * density, by_definition.T, atol=1e-9)


def test_laguerre_functions_neither_overflow_nor_lose_their_zeros():
    D = LagT.of(300, 1.0).decoder([0.0, 40.0, 1e6])
    np.testing.assert_array_equal(D[0], 1)
    assert np.isfinite(D).all()
    np.testing.assert_array_equal(D[2], 0)
    expected = np.exp(-20) * scipy.special.eval_laguerre(np.arange(300), 40.0)
    np.testing.assert_allclose(D[1], expected, atol=1e-13)


@pytest.mark.parametrize("kind", list(FIXED.values()), ids=list(FIXED))
def test_channels_have_memories_of_their_own(kind):
    u = np.random.default_rng(0).uniform(-1, 1, (50, 3))
    together, alone = kind.of(5, 8.0, n_inputs=3), kind.of(5, 8.0)
    states = together.run(u)
    separate = [alone.run(channel) for channel in u.T]
    np.testing.assert_allclose(states, np.hstack(separate), atol=1e-13)
    past = together.reconstruct(states, [1.0, 2.5])
    assert past.shape == (50, 2, 3)
    for i in range(3):
        np.testing.assert_allclose(past[..., i], separate[i] @ alone.decoder([1.0, 2.5]).T, atol=1e-13)
    np.testing.assert_allclose(together.reconstruct(states[-1], 1.0), past[-1, :1], atol=1e-14)


def test_a_memory_is_a_linear_network_that_keeps_its_scale():
    memory = LegT.of(6, 20.0, dt=0.5, dtype=np.float32)
    assert memory.dtype == np.float32
    assert memory.run(np.ones(4)).dtype == np.float32
    pruned = replace(memory, W=memory.W * (np.abs(memory.W) > 0.02))
    assert isinstance(pruned, LegT)
    assert (pruned.theta, pruned.dt, pruned.order) == (20.0, 0.5, 6)
    closed = memory.close(memory.decoder(3.0))
    assert type(closed) is ESN
    np.testing.assert_allclose(closed.W, memory.W + memory.W_in @ memory.decoder(3.0), atol=1e-6)


# --- the whole past -------------------------------------------------------------------------------------------------


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


@each_alpha
def test_float32_in_is_float32_out(alpha):
    u = np.random.default_rng(5).uniform(-1, 1, 60)
    single = LegS(6, alpha=alpha, dtype=np.float32)
    assert single.run(u).dtype == np.float32
    np.testing.assert_allclose(single.run(u), LegS(6, alpha=alpha).run(u), atol=1e-4)  # forward steps grow to 20 first


@pytest.mark.slow  # compiles the tangents once more
@each_alpha
def test_float32_tangents_equal_those_of_float64(alpha):
    u, x = np.random.default_rng(5).uniform(-1, 1, 20), np.linspace(1, 4, 7)
    _, pushed = LegS(6, alpha=alpha, dtype=np.float32).push(x, u, np.eye(7))
    assert pushed.dtype == np.float32
    np.testing.assert_allclose(pushed, LegS(6, alpha=alpha).push(x, u, np.eye(7))[1], atol=1e-4)


def test_readouts_see_the_coefficients_but_not_the_time():
    memory = LegS(5, n_inputs=2, alpha=None)
    states = memory.run(np.ones((10, 2)))
    assert states[:, memory.observed].shape == (10, 10)
    np.testing.assert_array_equal(states[:, -1], np.arange(1, 11))
    np.testing.assert_allclose(memory.reconstruct(states, [0.5, 1.0])[-1], np.ones((2, 2)), atol=1e-12)


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [legs, legt, lagt, lambda *a: LegT.of(*a), lambda *a: LagT.of(*a)],
                         ids=["legs", "legt", "lagt", "LegT", "LagT"])  # fmt: skip
def test_bad_orders_and_scales_are_refused(make):
    for order, error in ((0, ValueError), (-3, ValueError), (2.0, TypeError), (True, TypeError), (None, TypeError)):
        with pytest.raises(error, match="order must be"):
            make(order, 5.0)
    for theta, error in (
        (0, ValueError),
        (-1.0, ValueError),
        (np.nan, ValueError),
        ("7", TypeError),
        (None, TypeError),
    ):
        with pytest.raises(error, match="theta must be"):
            make(4, theta)


@pytest.mark.parametrize("discretise", [forward_euler, backward_euler, bilinear, zero_order_hold],
                         ids=["forward", "backward", "bilinear", "held"])  # fmt: skip
def test_bad_continuous_systems_are_refused(discretise):
    A, B = legs(3)
    for dt in (0, -0.1, np.inf):
        with pytest.raises(ValueError, match="dt must be"):
            discretise(A, B, dt)
    with pytest.raises(TypeError, match="dt must be a number"):
        discretise(A, B, None)
    with pytest.raises(ValueError, match="A must be square and not empty, got shape"):
        discretise(A[:2], B, 0.1)
    with pytest.raises(ValueError, match="B must have 3 rows to match A, got shape"):
        discretise(A, B[:2], 0.1)
    with pytest.raises(ValueError, match="B must be finite"):
        discretise(A, np.full((3, 1), np.nan), 0.1)


def test_bad_memories_are_refused():
    for keyword, value, error in (
        ("dt", 0.0, ValueError), ("dt", "1", TypeError), ("n_inputs", 0, ValueError), ("n_inputs", 1.0, TypeError),
        ("dtype", np.int64, ValueError), ("discretise", "zoh", TypeError),
    ):  # fmt: skip
        with pytest.raises(error, match=f"{keyword} must be"):
            LagT.of(4, 5.0, **{keyword: value})
    with pytest.raises(TypeError, match=r"LegT has nothing to draw; take LegT\.of\(order, theta\)"):
        LegT.random(10, seed=0)
    with pytest.raises(ValueError, match="W_in must have a column per memory of equal size, got shape"):
        replace(LegT.of(4, 9.0), W_in=np.ones((4, 3)))
    with pytest.raises(ValueError, match="theta must be above 0"):
        replace(LegT.of(4, 9.0), theta=-1.0)


def test_points_outside_of_the_memory_are_refused():
    window = LegT.of(4, 9.0)
    for delays in (-0.1, 9.1, [0.0, 10.0]):
        with pytest.raises(ValueError, match=r"delays must lie in \[0, 9\]"):
            window.decoder(delays)
    with pytest.raises(ValueError, match=r"delays must lie in \[0, inf\]"):
        LagT.of(4, 9.0).decoder(-1.0)
    with pytest.raises(ValueError, match=r"fractions must lie in \[0, 1\], got 0\.5 to 1\.5"):
        LegS(4).decoder([0.5, 1.5])
    for bad, error in ((np.nan, ValueError), ("1", TypeError), (np.ones((2, 2)), ValueError)):
        with pytest.raises(error, match="delays must"):
            window.decoder(bad)
    with pytest.raises(ValueError, match=r"states must have shape \(…, 4\), got \(3, 5\)"):
        window.reconstruct(np.ones((3, 5)), 1.0)


def test_bad_scaled_memories_are_refused():
    for keyword, value, error in (
        ("order", 0, ValueError), ("order", 2.5, TypeError), ("n_inputs", 0, ValueError), ("alpha", -0.1, ValueError),
        ("alpha", 1.1, ValueError), ("alpha", np.nan, ValueError), ("alpha", "bilinear", TypeError),
        ("alpha", True, TypeError), ("dtype", int, ValueError),
    ):  # fmt: skip
        with pytest.raises(error, match=f"{keyword} must"):
            LegS(**({"order": 4} | {keyword: value}))
