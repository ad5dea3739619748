"""Solvers of v' = B(v) - D(v) v: closed forms, bounds, and their order against SciPy, alone and inside the models."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from penstock import Uniform
from penstock.reservoirs import SimpleLTC
from penstock.reservoirs.liquid import LTC
from penstock.reservoirs.solvers import SOLVERS, exponential_euler, exponential_midpoint, fused, rk4, solver_code

ORDERS = {fused: 1, exponential_euler: 1, exponential_midpoint: 2, rk4: 4}
each_solver = pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.__name__)
BOUNDED = (fused, exponential_euler, exponential_midpoint)


def order_of(make, solver, unfolds=(16, 32, 64)):
    """Return by which power of the substep the error of `make(solver, unfolds)` falls, its input frozen over one step.

    The truth is SciPy's DOP853 on v' = B - D v, with D and B from the `linearize` of the system.
    """
    system = make(solver, 1)
    rng = np.random.default_rng(4)
    x0, u = rng.uniform(-0.3, 0.3, system.n_units), rng.uniform(-1, 1, system.n_inputs)

    def slope(t, x):
        D, B = system.linearize(x, u)[:2]
        return B - D * x

    exact = solve_ivp(slope, (0, system.dt), x0, method="DOP853", rtol=1e-11, atol=1e-13).y[:, -1]
    errors = np.array([np.abs(make(solver, k).run(u[None], x0)[-1] - exact).max() for k in unfolds])
    assert errors[-1] > 1e-10  # above what the reference leaves open
    return np.log2(errors[:-1] / errors[1:]) / np.log2(np.divide(unfolds[1:], unfolds[:-1]))


def simple_ltc(solver, unfolds):
    settings = {"n_inputs": 2, "spectral_radius": 4.0, "bias_scaling": 0.5, "dt": 4.0, "seed": 1}
    return SimpleLTC.random(12, solver=solver, unfolds=unfolds, **settings)


def ltc(solver, unfolds):
    return LTC.random(12, n_inputs=2, solver=solver, unfolds=unfolds, dt=1.0, seed=1, g_leak=Uniform(0.5, 1))


@each_solver
@pytest.mark.parametrize("make", [ltc, simple_ltc], ids=lambda make: make.__name__)
def test_models_converge_with_the_order_of_their_solver(make, solver):
    # the slope is within a tenth of the order, and nears it with every halving
    before, after = np.abs(order_of(make, solver) - ORDERS[solver])
    assert after < 0.1 and after < before + 0.01


@each_solver
def test_order_on_the_logistic_equation(solver):
    """v' = v - v v has the solution 1 / (1 + (1/v0 - 1) exp(-t))."""
    errors = []
    for steps in (20, 40, 80):
        v = 0.2
        for _ in range(steps):
            v = solver(lambda v: (v, v), v, 2 / steps)
        errors.append(abs(v - 1 / (1 + 4 * np.exp(-2))))
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), ORDERS[solver], atol=0.1)


@pytest.mark.parametrize("h", [1e-6, 0.1, 1.0, 50.0])
def test_steps_with_constant_coefficients_have_closed_forms(h):
    D, B, v = np.array([0.3, 2.0]), np.array([0.5, -1.0]), np.array([1.0, 0.4])

    def held(_):
        return D, B

    z, rest = h * D, B / D
    exact = rest + (v - rest) * np.exp(-z)
    taylor = rest + (v - rest) * (1 - z + z**2 / 2 - z**3 / 6 + z**4 / 24)
    np.testing.assert_allclose(fused(held, v, h), rest + (v - rest) / (1 + z), rtol=1e-14)
    np.testing.assert_allclose(exponential_euler(held, v, h), exact, rtol=1e-14)
    np.testing.assert_allclose(exponential_midpoint(held, v, h), exact, rtol=1e-14)
    np.testing.assert_allclose(rk4(held, v, h), taylor, rtol=1e-12)  # terms of 4e6 that nearly cancel


@each_solver
def test_without_decay_the_state_grows_evenly(solver):
    for decay in (0.0, 1e-300, 1e-17):  # 1 - exp(-h D) is 0 in floating point
        assert solver(lambda v, D=decay: (np.full(1, D), np.ones(1)), np.ones(1), 0.5)[0] == 1.5


@given(
    solver=st.sampled_from(BOUNDED),
    h=st.floats(-6, 6),
    decay=st.floats(-3, 3),
    rest=st.floats(-1, 1),
    v=st.floats(-1, 1),
)
@settings(deadline=None, max_examples=60)
def test_implicit_and_exponential_steps_stay_between_state_and_rest(solver, h, decay, rest, v):
    D = np.array([10.0**decay])
    end = solver(lambda v: (D, D * rest), np.array([v]), 10.0**h)[0]
    assert min(v, rest) - 1e-15 <= end <= max(v, rest) + 1e-15  # two roundings of numbers up to 1


def test_rk4_leaves_the_bounds_with_large_steps():
    assert abs(rk4(lambda v: (1.0, 0.0), 1.0, 10.0)) > 1


@each_solver
def test_complex_states_pass_so_that_the_complex_step_works(solver):
    def gate(v):
        f = 1 / (1 + np.exp(-v))
        return 1 + f, 0.5 * f

    slope = np.imag(solver(gate, np.array([0.3 + 1e-20j]), 0.7)) / 1e-20
    central = (solver(gate, np.array([0.3 + 1e-6]), 0.7) - solver(gate, np.array([0.3 - 1e-6]), 0.7)) / 2e-6
    np.testing.assert_allclose(slope, central, rtol=1e-8)  # differences lose half the digits


def test_solver_code_counts_the_solvers():
    assert [solver_code(solver) for solver in SOLVERS] == [0, 1, 2, 3]


@pytest.mark.parametrize("bad", ["fused", None, 0, np.tanh])
def test_other_solvers_are_refused(bad):
    with pytest.raises(ValueError, match=r"solver must be one of penstock\.reservoirs\.fused, .*rk4, got"):
        solver_code(bad)
