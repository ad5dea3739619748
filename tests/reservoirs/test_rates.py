import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.integrate import quad

from penstock.reservoirs import DirectRate, ExpRate, InverseSquareRate, SoftplusRate

FORMULAS = {
    "exp": (ExpRate(), lambda w: -np.exp(w)),
    "softplus": (SoftplusRate(), lambda w: -np.log(1 + np.exp(w))),
    "inverse square": (InverseSquareRate(), lambda w: -1 / (w**2 + 0.1)),
    "steeper": (InverseSquareRate(a=3.0, b=0.02), lambda w: -1 / (3 * w**2 + 0.02)),
    "direct": (DirectRate(), lambda w: w),
}
STABLE = [name for name in FORMULAS if name != "direct"]
each_rate = pytest.mark.parametrize("name", FORMULAS)


@each_rate
def test_values_and_slopes_are_those_of_the_formula(name):
    rate, formula = FORMULAS[name]
    w = np.linspace(-4, 4, 33)
    assert_allclose(rate(w), formula(w), rtol=1e-13)
    by_complex_step = formula(w + 1e-30j).imag / 1e-30
    assert_allclose(rate.slope(w), by_complex_step, rtol=1e-12, atol=1e-300)
    assert np.ndim(rate(0.5)) == 0


@each_rate
def test_eigenvalues_can_be_placed(name):
    rate = FORMULAS[name][0]
    wanted = -np.array([1e-6, 0.001, 0.5, 3.0, 9.9])
    assert_allclose(rate(rate.inverse(wanted)), wanted, rtol=1e-12)


@pytest.mark.parametrize("name", STABLE)
@settings(deadline=None, max_examples=50)
@given(w=st.floats(-30, 700))
def test_all_but_the_direct_one_are_stable_for_every_weight(name, w):
    assert FORMULAS[name][0](w) < 0


def test_softplus_does_not_overflow():
    assert_allclose(SoftplusRate()([1e4, -600.0]), [-1e4, -np.exp(-600.0)], rtol=1e-12)
    assert_allclose(SoftplusRate().slope([1e4, -600.0]), [-1.0, -np.exp(-600.0)], rtol=1e-12)
    assert_allclose(SoftplusRate().inverse([-1e4]), [1e4])


@each_rate
def test_gradient_scale_of_a_long_memory(name):
    """With T = -1 / f the time of the memory, |f'| / f^2 is T, T (1 + o(1)), 2 sqrt(a (T - b)) and T^2."""
    rate = FORMULAS[name][0]
    T = 10.0 ** np.arange(2, 8)
    scale = rate.gradient_scale(rate.inverse(-1 / T))
    expected = {
        "exp": T,
        "softplus": T,
        "inverse square": 2 * np.sqrt(T - 0.1),
        "steeper": 2 * np.sqrt(3 * (T - 0.02)),
        "direct": T**2,
    }[name]
    # slope of softplus: 1 - exp(-1 / T) over 1 / T
    assert_allclose(scale, expected, rtol=1 / T[0] if name == "softplus" else 1e-9)


def test_gradient_over_weight_is_bounded_for_the_inverse_square_alone():
    w = np.concatenate([-np.logspace(-6, 2, 400), np.logspace(-6, 2, 400)])
    assert_allclose(InverseSquareRate().gradient_over_weight(w), 2.0, rtol=1e-12)
    assert_allclose(InverseSquareRate(3.0, 0.02).gradient_over_weight(w), 6.0, rtol=1e-12)
    for name in ("exp", "softplus", "direct"):
        ratio = FORMULAS[name][0].gradient_over_weight(w)
        assert ratio.max() > 1e5
        # and it is not the division by a small weight alone: memories of 20 steps and more are reached at |w| > 2
    for name in ("exp", "softplus"):
        ratio = FORMULAS[name][0].gradient_over_weight(-np.array([10.0, 20.0, 40.0]))
        assert (ratio[1:] > 1000 * ratio[:-1]).all()


def test_gradient_scale_itself_is_not_bounded_for_the_inverse_square():
    """It grows as 2 |w|, so it is the ratio to the weight that is bounded."""
    assert_allclose(InverseSquareRate().gradient_scale([-50.0, 0.0, 1e6]), [100.0, 0.0, 2e6])


@each_rate
def test_memory_change_is_the_integral_of_the_responses(name):
    rate, formula = FORMULAS[name]
    for w, change in ((-1.3, 0.2), (-0.5, 0.05), (-2.0, 1.0)):
        integrals = [
            quad(lambda t, v=v, w=w: abs(np.exp(formula(v) * t) - np.exp(formula(w) * t)), 0, np.inf, limit=200)[0]
            for v in np.linspace(w - change, w + change, 21)
        ]
        assert rate.memory_change(w, change) == pytest.approx(abs(formula(w)) * max(integrals), rel=1e-7)


def test_memory_change_of_stable_rates_is_bounded_for_all_weights_and_goes_to_zero():
    w = np.concatenate([-np.logspace(-3, 1.4, 300), [0.0], np.logspace(-3, 1.4, 300)])
    for change in (0.3, 0.03, 0.003):
        assert_allclose(ExpRate().memory_change(w, change), np.expm1(change), rtol=1e-9)
        assert (SoftplusRate().memory_change(w, change) <= np.expm1(change) * (1 + 1e-9)).all()
        # (2 |w| d + d^2) / (w^2 + b): with |w| / (w^2 + b) <= 1 / (2 sqrt b) it is at most d / sqrt b + d^2 / b
        largest = InverseSquareRate().memory_change(w, change).max()
        assert largest <= change / np.sqrt(0.1) + change**2 / 0.1
        closed = (2 * np.abs(w) * change + change**2) / (w**2 + 0.1)
        assert_allclose(InverseSquareRate().memory_change(w, change), closed, rtol=1e-9)


def test_memory_change_of_the_direct_rate_is_not_bounded():
    for change in (0.3, 0.03, 0.003):
        w = -change * (1 + np.array([1.0, 0.1, 1e-3, 1e-6]))
        assert_allclose(DirectRate().memory_change(w, change), 1 / np.array([1.0, 0.1, 1e-3, 1e-6]), rtol=1e-6)
        assert np.isinf(DirectRate().memory_change([-change, 0.0, 1.0], change)).all()


@pytest.mark.parametrize(
    ("ask", "error", "fragment"),
    [
        (lambda: ExpRate().inverse(0.1), ValueError, "rate must be below 0, or the mode never fades, got 0.1"),
        (lambda: SoftplusRate().inverse([-1.0, 0.0]), ValueError, "rate must be below 0"),
        (lambda: DirectRate().inverse(1.0), ValueError, "rate must be below 0"),
        (lambda: InverseSquareRate().inverse(-11.0), ValueError, "rate must be at least -1 / b = -10, got -11"),
        (lambda: InverseSquareRate(b=0.0), ValueError, "b must be above 0"),
        (lambda: InverseSquareRate(a=True), TypeError, "a must be a number"),
        (lambda: ExpRate()(np.nan), ValueError, "w must be finite"),
        (lambda: SoftplusRate()("0"), TypeError, "w must hold real numbers"),
        (lambda: DirectRate()(None), TypeError, "w must hold real numbers"),
        (lambda: InverseSquareRate().slope(1j), TypeError, "w must hold real numbers"),
        (lambda: ExpRate().memory_change(0.0, -1.0), ValueError, "change must be at least 0"),
        (lambda: ExpRate().memory_change(0.0, None), TypeError, "change must be a number"),
    ],
)
def test_bad_input_is_named(ask, error, fragment):
    with pytest.raises(error, match=re.escape(fragment)):
        ask()
