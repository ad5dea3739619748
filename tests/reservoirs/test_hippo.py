"""HiPPO memories: matrices from their polynomials, coefficients from integrals of the past, decoders, channels."""

from dataclasses import replace

import numpy as np
import pytest
import scipy
from numpy.polynomial import Laguerre, Legendre
from numpy.polynomial.laguerre import laggauss
from numpy.polynomial.legendre import leggauss
from scipy.integrate import quad

from penstock.reservoirs import (
    ESN,
    LagT,
    LegT,
    WarpedLegS,
    bilinear,
    forward_euler,
    lagt,
    legs,
    legt,
    zero_order_hold,
)

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


def test_window_too_short_for_forward_euler_is_refused():
    assert LegT.of(6, 10.7, discretise=forward_euler).order == 6  # the limit is 10.64, below 4 per polynomial
    for order, theta, dt, limit in (
        (6, 10.6, 1.0, "10.642"),
        (32, 140.0, 1.0, "196.85"),  # above 4 per polynomial, and yet it explodes
        (32, 90.0, 0.5, "98.425"),
    ):
        message = f"theta must be above {limit} for forward_euler at order {order} and dt {dt}, got {theta}; zero_order"
        with pytest.raises(ValueError, match=message):
            LegT.of(order, theta, dt=dt, discretise=forward_euler)


def test_window_whose_steps_are_lost_in_rounding_is_refused():
    assert LegT.of(4, 1e9).order == 4
    for discretise in (zero_order_hold, bilinear, forward_euler):
        for theta, dtype in ((1e9, "float32"), (1e17, "float64")):
            message = (
                rf"theta must give a stable memory, got {theta!r} at dt 1\.0, whose spectral radius in {dtype} is 1"
            )
            with pytest.raises(ValueError, match=message.replace("+", r"\+")):
                LegT.of(4, theta, discretise=discretise, dtype=dtype)


def test_bad_memories_are_refused():
    for keyword, value, error in (
        ("dt", 0.0, ValueError), ("dt", "1", TypeError), ("n_inputs", 0, ValueError), ("n_inputs", 1.0, TypeError),
        ("dtype", np.int64, ValueError), ("discretise", "zoh", TypeError),
        ("discretise", ESN, TypeError),
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
    for bad, error in ((np.nan, ValueError), ("1", TypeError), (np.ones((2, 2)), ValueError)):
        with pytest.raises(error, match="delays must"):
            window.decoder(bad)
    with pytest.raises(ValueError, match=r"states must have shape \(…, 4\), got \(3, 5\)"):
        window.reconstruct(np.ones((3, 5)), 1.0)
