"""The spiking Legendre memory unit against its equations written out, and against the memory it is made of."""

import numpy as np
import pytest

from penstock.analysis import memory_capacity
from penstock.reservoirs import LegendreMemory
from penstock.spiking import L2MU


def unit(**kind):
    return L2MU.random(6, n_inputs=2, memory_size=3, order=4, theta=5.0, seed=0, **kind)


def plain(cell, u):
    """The equations, neuron after neuron."""
    n, d, q = 6, 3, 4
    v = {"u": [0.0] * d, "m": [0.0] * (d * q), "h": [0.0] * n}
    s = {name: [0.0] * len(values) for name, values in v.items()}

    def fire(name, currents, beta, theta):
        for i, current in enumerate(currents):
            v[name][i] = beta * v[name][i] + current - s[name][i] * theta
        s[name] = [float(value > theta) for value in v[name]]

    hidden = []
    for row in u:
        into_u = [
            sum(cell.e_x[k, c] * row[c] for c in range(2))
            + sum(cell.e_h[k, j] * s["h"][j] for j in range(n))
            + sum(cell.e_m[k, j] * s["m"][j] for j in range(d * q))
            for k in range(d)
        ]
        fire("u", into_u, cell.beta_u, cell.theta_u)
        into_m = [
            sum(cell.A[i, j] * s["m"][k * q + j] for j in range(q)) + cell.B[i] * s["u"][k]
            for k in range(d)
            for i in range(q)
        ]
        fire("m", into_m, cell.beta_m, cell.theta_m)
        into_h = [
            sum(cell.W_x[i, c] * row[c] for c in range(2))
            + sum(cell.W_h[i, j] * s["h"][j] for j in range(n))
            + sum(cell.W_m[i, j] * s["m"][j] for j in range(d * q))
            for i in range(n)
        ]
        fire("h", into_h, cell.beta_h, cell.theta_h)
        hidden.append(s["h"] + v["h"] + s["m"] + v["m"] + s["u"] + v["u"])
    return np.array(hidden)


def test_states_are_those_of_the_equations():
    cell = unit(beta_u=0.8, theta_u=0.2, beta_h=0.45, theta_h=0.65, beta_m=0.2, theta_m=0.4)
    u = np.random.default_rng(1).normal(0, 2, (60, 2))
    states, expected = cell.run(u), plain(cell, u)
    assert 0.05 < expected[:, :6].mean() < 0.95
    np.testing.assert_allclose(states, expected, rtol=0, atol=1e-12)


def test_the_memory_is_a_legendre_window_by_zero_order_hold():
    cell, memory = unit(), LegendreMemory.of(4, 5.0)
    np.testing.assert_allclose(cell.A, memory.W, atol=1e-13)
    np.testing.assert_allclose(cell.B, np.ravel(memory.W_in), atol=1e-13)
    assert np.array_equal(unit(transposed=True).A, cell.A.T)


def test_batches_are_loops_and_blocks_are_runs():
    cell = unit()
    u = np.random.default_rng(2).normal(0, 2, (3, 20, 2))
    together = cell.run(u)
    for series, states in zip(u, together, strict=True):
        np.testing.assert_allclose(cell.run(series), states, atol=1e-12)
    assert np.array_equal(np.concatenate(list(cell.blocks(u[0], 7))), cell.run(u[0]))
    assert np.array_equal(unit().run(u[0]), cell.run(u[0]))


def test_spikes_remember_their_inputs():
    cell = L2MU.random(60, memory_size=8, order=4, theta=8.0, seed=1, theta_h=0.3)
    result = memory_capacity(cell, max_delay=5, n_steps=1500, washout=100, seed=0, progress=False)
    assert result.per_delay[0] > 0.3 and result.n_units == 60


def test_derivatives_and_bad_arguments_are_refused():
    with pytest.raises(TypeError, match="replica_growth"):
        unit().jacobian(np.zeros(unit().n_units), np.zeros(2))
    for name, value, message in (
        ("beta_u", 1.5, r"beta_u must lie in \[0, 1\]"),
        ("theta_h", 0.0, "theta_h must be above 0"),
        ("order", 0, "order must be at least 1"),
        ("memory_size", 2.5, "memory_size must be an integer"),
        ("theta", -1.0, "theta must be above 0"),
        ("transposed", 1, "transposed must be"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            L2MU.random(5, seed=0, **{name: value})
    cell = unit()
    with pytest.raises(ValueError, match="e_h must have shape"):
        L2MU(cell.e_x, cell.e_h[:, :4], cell.e_m, W_x=cell.W_x, W_h=cell.W_h, W_m=cell.W_m, A=cell.A, B=cell.B)
