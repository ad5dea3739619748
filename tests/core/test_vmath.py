"""The vector functions of the kernels against extended precision."""

import mpmath
import numpy as np
import pytest
from numba import njit

from penstock import vmath
from penstock.vmath import activate, all_finite, slopes


@njit(error_model="numpy")
def _tanh(x, out):
    for i in range(x.size):
        out[i] = vmath.tanh(x[i])


@njit(error_model="numpy")
def _exp(x, out):
    for i in range(x.size):
        out[i] = vmath.exp(x[i])


@njit(error_model="numpy")
def _sigmoid(x, out):
    for i in range(x.size):
        out[i] = vmath.sigmoid(x[i])


@njit(error_model="numpy")
def _relu(x, out):
    for i in range(x.size):
        out[i] = vmath.relu(x[i])


@njit(error_model="numpy")
def _one_plus_exp2(t, out, falling):
    for i in range(t.size):
        out[i] = vmath.one_plus_exp2(t[i])
        falling[i] = vmath.falling_sigmoid2(t[i])


KERNELS = {"tanh": _tanh, "exp": _exp, "sigmoid": _sigmoid, "relu": _relu}
LONG = {
    "tanh": np.tanh,
    "exp": np.exp,
    "sigmoid": lambda x: np.where(x < 0, np.exp(-np.abs(x)), 1) / (1 + np.exp(-np.abs(x))),
    "relu": lambda x: np.maximum(x, 0),
}
PRECISE = {
    "tanh": mpmath.tanh,
    "exp": mpmath.exp,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "relu": lambda x: max(x, mpmath.mpf(0)),
}


def apply(name, x):
    out = np.empty_like(x)
    KERNELS[name](x, out)
    return out


def ulps(got, exact):
    return np.abs(got.astype(np.longdouble) - exact) / np.spacing(np.abs(exact).astype(got.dtype))


def grid(dtype):
    tiny = np.logspace(-300 if dtype == np.float64 else -37, 0, 20_001)
    dense = np.random.default_rng(0).uniform(0, 0.6, 1_000_000)  # where tanh is hardest
    parts = [
        dense,
        np.linspace(-20, 20, 400_001),
        np.linspace(-1, 1, 200_001),
        tiny,
        -tiny,
        np.linspace(-700, 700, 100_001),
    ]
    return np.concatenate(parts).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", list(KERNELS))
def test_error_is_at_most_two_and_a_half_ulp(name, dtype):
    x = grid(dtype)
    with np.errstate(over="ignore", under="ignore"):
        exact = LONG[name](x.astype(np.longdouble))
        inside = np.isfinite(exact.astype(dtype)) & (np.abs(x) <= (700 if dtype == np.float64 else 85))
    assert ulps(apply(name, x)[inside], exact[inside]).max() <= 2.5


@pytest.mark.parametrize("name", list(KERNELS))
def test_error_against_mpmath(name):
    x = np.concatenate(
        [np.random.default_rng(0).normal(0, 5, 300), np.logspace(-12, 2.8, 60), -np.logspace(-12, 2, 60)]
    )
    with mpmath.workdps(40):
        exact = np.array([np.longdouble(mpmath.nstr(PRECISE[name](mpmath.mpf(float(v))), 30)) for v in x])
    assert ulps(apply(name, x), exact).max() <= 2.5


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_special_values(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, tiny, -tiny], dtype)
    for name, expected in {
        "tanh": [0.0, -0.0, np.nan, 1.0, -1.0, tiny, -tiny],
        "exp": [1.0, 1.0, np.nan, np.inf, 0.0, 1.0, 1.0],
        "sigmoid": [0.5, 0.5, np.nan, 1.0, 0.0, 0.5, 0.5],
        "relu": [0.0, -0.0, np.nan, np.inf, 0.0, tiny, 0.0],
    }.items():
        np.testing.assert_array_equal(apply(name, x), np.array(expected, dtype), err_msg=name)
        np.testing.assert_array_equal(np.signbit(apply(name, x)[:2]), np.signbit(np.array(expected[:2], dtype)))


def test_exp_overflows_and_underflows_gradually():
    x = np.array([709.782, 709.79, -708.5, -745.0, -746.0, 1e300, -1e300])
    got = apply("exp", x)
    assert got[1] == got[5] == np.inf and got[4] == got[6] == 0.0
    # a denormal result has no relative accuracy: one unit of the last place that exists
    np.testing.assert_allclose(got[[0, 2, 3]], np.exp(x[[0, 2, 3]]), rtol=3e-16, atol=5e-324)


def test_tanh_is_odd_and_bounded():
    x = np.random.default_rng(1).normal(0, 8, 100_000)
    y = apply("tanh", x)
    np.testing.assert_array_equal(apply("tanh", -x), -y)
    assert np.abs(y).max() <= 1.0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_activate_and_slopes_follow_the_table_of_activations(dtype):
    z = np.random.default_rng(2).normal(0, 2, 1001).astype(dtype)
    rtol = 4 * np.finfo(dtype).eps
    for code, function in enumerate(vmath.ACTIVATIONS):
        y, d = z.copy(), np.empty_like(z)
        activate(code, y)
        np.testing.assert_allclose(y, function(z), rtol=rtol)
        slopes(code, y, d)
        central = (function(z.astype(float) + 1e-6) - function(z.astype(float) - 1e-6)) / 2e-6
        away = np.abs(z) > 1e-5  # relu has a kink at 0
        # central differences: 1e-10 rounding + 1e-12 truncation; float32 outputs: the cancellation in 1 - y²
        np.testing.assert_allclose(d[away], central[away], atol=1e-9 if dtype == np.float64 else 3e-7)
        np.testing.assert_allclose(vmath.activation_slope(function, y), d, rtol=rtol)


def test_complex_arguments_give_derivatives():
    z = np.array([-1.3, 0.4, 2.0])
    for function in vmath.ACTIVATIONS:
        exact = vmath.activation_slope(function, function(z))
        np.testing.assert_allclose(np.imag(function(z + 1e-20j)) / 1e-20, exact, rtol=1e-14)


@pytest.mark.parametrize(("dtype", "reach"), [(np.float64, 510), (np.float32, 62)])
def test_one_plus_exp2_is_good_to_two_ulp_and_keeps_products_finite(dtype, reach):
    t = np.concatenate([np.linspace(-reach, reach, 300_001), np.linspace(-3, 3, 300_001)]).astype(dtype)
    out, falling = np.empty_like(t), np.empty_like(t)
    _one_plus_exp2(t, out, falling)
    exact = 1 + np.exp2(t.astype(np.longdouble))
    assert ulps(out, exact).max() <= 2
    assert ulps(falling, 1 / exact).max() <= 3
    t = np.array([1e30, -1e30, np.inf, -np.inf, np.nan], dtype)
    out, falling = np.empty_like(t), np.empty_like(t)
    _one_plus_exp2(t, out, falling)
    limit = dtype(2) ** dtype(reach)
    np.testing.assert_array_equal(out, [limit, 1, limit, 1, np.nan])
    assert np.isfinite(out[0] * out[0])
    np.testing.assert_array_equal(falling, 1 / out)
    np.testing.assert_allclose(vmath.falling_sigmoid2(-1.3 / np.log(2)), vmath.sigmoid(1.3), rtol=1e-15)
    assert vmath.one_plus_exp2(3.0) == 9.0
    for edge in t:  # plain Python, where the compiler is switched off
        np.testing.assert_array_equal(
            vmath.one_plus_exp2(edge), 1 + np.exp2(np.clip(edge, -dtype(reach), dtype(reach)))
        )


def test_all_finite_sees_every_position():
    for n in (1, 7, 64, 129):
        for position in range(n):
            for bad in (np.nan, np.inf, -np.inf):
                x = np.full(n, 1e308)
                assert all_finite(x)
                x[position] = bad
                assert not all_finite(x)


def test_unknown_activation_is_refused_with_the_choice():
    with pytest.raises(ValueError, match=r"activation must be one of penstock\.tanh"):
        vmath.activation_code(np.sin)
