"""Event-driven networks: exact spike times, saltation against finite differences, exponents against closed forms."""

import dataclasses
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.optimize import brentq

from penstock import Uniform
from penstock.analysis import lyapunov_spectrum, replica_growth
from penstock.spiking import (
    LIF,
    Alpha,
    Delta,
    EventIzhikevich,
    EventLIF,
    Exponential,
    Izhikevich,
    Izhikevich2007,
    Network,
    PoissonGroup,
    StepCurrent,
    event_driven,
    one_to_one,
    probability,
)

N = 20
KINDS = {
    "delta": {},
    "soft": {"soft_reset": True},
    "current": {"tau_syn": 3.0},
    "equal taus": {"tau_syn": 10.0, "tau_m": 10.0},
    "slow current": {"tau_syn": 25.0},
    "refractory": {"t_ref": 2.0},
    "refractory current": {"tau_syn": 4.0, "t_ref": 1.5},
}
QUIET = {"progress": False}


def lif(seed=0, n=N, size=1.0, **changes):
    rng = np.random.default_rng(seed)
    W = rng.normal(0, size, (n, n)) * (rng.random((n, n)) < 0.3)
    np.fill_diagonal(W, 0)
    cells = {"tau_m": rng.uniform(8, 12, n), "I": rng.uniform(17, 25, n), "V_th": 15.0, "V_reset": 0.0}
    return EventLIF(W, W_in=rng.normal(0, 1, (n, 2)), **(cells | changes))


def izhikevich(seed=0, n=10, **changes):
    rng = np.random.default_rng(seed)
    W = rng.normal(0, 0.5, (n, n)) * (rng.random((n, n)) < 0.3)
    return EventIzhikevich(W, I=rng.uniform(8, 14, n), W_in=rng.normal(0, 1, (n, 2)), **changes)


def differences(net, x, u, h):
    return np.column_stack([(net.step(x + h * e, u) - net.step(x - h * e, u)) / (2 * h) for e in np.eye(len(x))])


def settled(net, seed=1):
    return net.run(np.random.default_rng(seed).normal(0, 1, (30, net.n_inputs)), net.start)[-1]


# --- spike times ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("t_ref, mu, theta, rate", [(2.0, 22.5, 15.0, 77.005278), (0.0, 1.2, 1.0, 55.811063)])
def test_a_lif_fires_at_the_rate_of_the_closed_form(t_ref, mu, theta, rate):
    net = EventLIF([[0.0]], tau_m=10.0, I=mu, V_th=theta, V_reset=0.0, t_ref=t_ref)
    period = t_ref + 10 * np.log(mu / (mu - theta))
    times = net.spikes(1000)[0]
    assert_allclose(np.diff(times), period, rtol=1e-12)
    assert abs(1000 / np.diff(times).mean() - rate) < 1e-6  # the published digits


def test_the_first_spike_under_dc_is_that_of_nest():
    net = EventLIF([[0.0]], tau_m=10.0, I=40.0, V_th=15.0, V_reset=0.0, dt=5.0)  # 1000 pA, 250 pF
    assert_allclose(net.spikes(1)[0][0], 4.700036292457, atol=1e-12)
    high = EventLIF([[0.0]], tau_m=10.0, I=40.0, V_th=100.0, V_reset=0.0, dt=5.0)
    assert_allclose(high.run(1)[0, 0], 15.738773611495, atol=1e-12)


def test_two_coupled_neurons_follow_the_formulas_by_hand():
    net = EventLIF([[0.0, -3.0], [0.0, 0.0]], tau_m=10.0, I=20.0, V_th=15.0, V_reset=0.0, dt=10.0)
    first = 10 * np.log((20 - 10) / 5)  # unit 1 starts at 10 mV
    V_0 = 20 + (2 - 20) * np.exp(-first / 10) - 3  # unit 0 at 2 mV, then kicked
    assert_allclose(net.spikes(2, [2.0, 10.0])[1][0], first, rtol=1e-14)
    assert_allclose(net.run(1, [2.0, 10.0])[0, 0], 20 + (V_0 - 20) * np.exp(-(10 - first) / 10), rtol=1e-14)


@pytest.mark.parametrize("tau_syn", [2.0, 10.0, 30.0])
def test_a_current_that_lifts_the_potential_for_a_moment_makes_a_spike(tau_syn):
    """The end of the step is below threshold; the moment is found where SciPy finds it."""
    net = EventLIF([[0.0]], tau_m=10.0, I=0.0, V_th=5.0, V_reset=-50.0, tau_syn=tau_syn, dt=200.0)
    meets = lambda t, y: y[0] - 5.0  # noqa: E731
    meets.direction = 1
    path = solve_ivp(
        lambda t, y: [(y[1] - y[0]) / 10, -y[1] / tau_syn],
        (0, 200),
        [0.0, 60.0],
        events=meets,
        rtol=1e-12,
        atol=1e-12,
    )
    assert path.y[0, -1] < 5
    assert_allclose(net.spikes(1, [0.0, 60.0])[0][:1], path.t_events[0][:1], atol=1e-9)


def test_izhikevich_spikes_come_when_scipy_finds_them():
    cell = EventIzhikevich([[0.0]], I=10.0)
    t, y, times = 0.0, cell.start.copy(), []
    while t < 100:
        peak = lambda t, y: y[0] - 30.0  # noqa: E731
        peak.terminal, peak.direction = True, 1
        part = solve_ivp(_rs, (t, 100), y, events=peak, rtol=1e-11, atol=1e-11)
        t, y = part.t[-1], part.y[:, -1]
        if t < 100:
            times.append(t)
            y = [-65.0, y[1] + 8]
    assert_allclose(cell.spikes(100, cell.start)[0], times, atol=1e-6)  # Runge-Kutta of 0.01 ms
    assert_allclose(cell.run(100, cell.start)[-1], y, atol=1e-5)


def _rs(t, y):
    return [0.04 * y[0] ** 2 + 5 * y[0] + 140 - y[1] + 10, 0.02 * (0.2 * y[0] - y[1])]


def test_izhikevich_2007_is_the_quadratic_form_of_its_parameters():
    cell = dict(C=100.0, k=0.7, vr=-60.0, vt=-40.0, a=0.03, b=-2.0, c=-50.0, d=100.0, v_peak=35.0)
    net = EventIzhikevich.form_2007([[0.0]], I=70.0, **cell)

    def rule(t, y):
        return [(0.7 * (y[0] + 60) * (y[0] + 40) - y[1] + 70) / 100, 0.03 * (-2 * (y[0] + 60) - y[1])]

    truth = solve_ivp(rule, (0, 20), [-60.0, 0.0], rtol=1e-11, atol=1e-11).y[:, -1]
    assert_allclose(net.run(20, [-60.0, 0.0])[-1], truth, rtol=1e-8)


# --- a plain simulator ----------------------------------------------------------------------------------------------


def plain_path(net, i, v, s, t):
    """The textbook solution of neuron i alone from (v, s): potential and current after times t."""
    tau, tau_s = net.tau_m[i], 1.0 if net.tau_syn is None else net.tau_syn[i]
    if tau == tau_s:
        effect = t / tau * np.exp(-t / tau)
    else:
        effect = tau_s / (tau_s - tau) * (np.exp(-t / tau_s) - np.exp(-t / tau))
    return net.I[i] + (v - net.I[i]) * np.exp(-t / tau) + s * effect, s * np.exp(-t / tau_s)


def plain_due(net, i, v, s, rest, left):
    """Time until neuron i fires alone: the first change of sign on a fine grid, then Brent's method."""
    s = plain_path(net, i, v, s, rest)[1]
    if v > net.V_th[i] and rest <= 0:
        return 0.0
    grid = np.linspace(0, left - rest, 100)
    above = np.flatnonzero(plain_path(net, i, v, s, grid)[0] > net.V_th[i]) if rest < left else []
    if not len(above):
        return np.inf
    miss = lambda t: plain_path(net, i, v, s, t)[0] - net.V_th[i]  # noqa: E731
    return rest + brentq(miss, grid[above[0] - 1], grid[above[0]], xtol=1e-13, rtol=1e-14)


def plain_step(net, x):
    """One step of an autonomous EventLIF, all neurons brought along at every spike; end, [(time, unit), …]."""
    Y = np.zeros((3, net.n_neurons))
    Y[net._blocks] = x.reshape(-1, net.n_neurons)
    (V, S, rest), now, spikes = Y, 0.0, []
    while True:
        due = [plain_due(net, i, V[i], S[i], rest[i], net.dt - now) for i in range(net.n_neurons)]
        elapsed = min(*due, net.dt - now)
        for i in range(net.n_neurons):
            held = min(rest[i], elapsed)
            S[i] = plain_path(net, i, 0.0, S[i], held)[1]
            V[i], S[i] = plain_path(net, i, V[i], S[i], elapsed - held)
            rest[i] -= held
        now += elapsed
        if min(due) == np.inf:
            return Y[net._blocks].ravel(), spikes
        firing = np.array(due) == elapsed
        while firing.any():
            spikes += [(now, i) for i in np.flatnonzero(firing)]
            pulse = net.W[:, firing].sum(axis=1)
            if net.tau_syn is None:
                V += pulse * (rest <= 0)
            else:
                S += pulse
            V[firing] = V[firing] - net.V_th[firing] + net.V_reset[firing] if net.soft_reset else net.V_reset[firing]
            rest[firing] = net.t_ref[firing]
            firing = (V > net.V_th) & (rest <= 0)


@pytest.mark.parametrize("kind", KINDS)
def test_lif_networks_and_their_tangents_are_those_of_a_plain_simulator(kind):
    """Strong pulses of five neurons: cascades of several generations with delta pulses."""
    net = lif(11, n=5, size=5.0, dt=40.0, **KINDS[kind])
    x = net.run(np.zeros((2, 2)), net.start)[-1]
    end, spikes = plain_step(net, x)
    trains, times = net.spikes(np.zeros((1, 2)), x), np.array([time for time, _ in spikes])
    assert len(spikes) > 12 and (net.tau_syn is not None or (np.diff(times) == 0).sum() > 5)
    assert_allclose(trains.times, times, atol=1e-11)
    assert sorted(zip(trains.times.round(9), trains.ids, strict=True)) == sorted((round(t, 9), i) for t, i in spikes)
    assert_allclose(net.run(np.zeros((1, 2)), x)[0], end, atol=1e-10)
    directions = np.random.default_rng(0).normal(0, 1, (3, net.n_units))
    if net.t_ref.any():
        directions[:, -5:] *= x[-5:] > 0  # the time left cannot fall below 0
    ends = [[plain_step(net, x + sign * 1e-6 * e)[0] for sign in (1, -1)] for e in directions]
    numeric = np.transpose([(more - less) / 2e-6 for more, less in ends])
    pushed = net.push(x, np.zeros((1, 2)), directions.T)[1]
    assert_allclose(pushed, numeric, atol=1e-6 * max(1, np.abs(numeric).max()))


def plain_izhikevich(net, x):
    """The same of an autonomous EventIzhikevich, by SciPy."""
    n, now, spikes = net.n_neurons, 0.0, []

    def rule(t, y):
        v, w, s = np.resize(y, (3, n)) * [[1], [1], [net.tau_syn is not None]]
        dv = net.p2 * v**2 + net.p1 * v + net.p0 + (net.I + s - w) / net.C
        ds = [] if net.tau_syn is None else -s / net.tau_syn
        return np.concatenate([dv, net.a * (net.b * (v - net.v_w) - w), ds])

    peaks = [lambda t, y, i=i: y[i] - net.v_peak[i] for i in range(n)]
    for peak in peaks:
        peak.terminal, peak.direction = True, 1
    while True:
        part = solve_ivp(rule, (now, net.dt), x, events=peaks, rtol=1e-10, atol=1e-10, max_step=1.0)
        now, x = part.t[-1], part.y[:, -1].copy()
        if part.status == 0:
            return x, spikes
        firing = np.array([len(times) > 0 for times in part.t_events])
        while firing.any():
            spikes += [(now, i) for i in np.flatnonzero(firing)]
            x[(2 if net.tau_syn is not None else 0) * n :][:n] += net.W[:, firing].sum(axis=1)
            x[:n][firing] = net.c[firing]
            x[n : 2 * n][firing] += net.d[firing]
            firing = x[:n] > net.v_peak


@pytest.mark.parametrize("tau_syn", [None, [3.0, 4.0, 5.0]])
def test_izhikevich_networks_with_cascades_are_those_of_a_plain_simulator(tau_syn):
    """A pulse of 110 mV lifts unit 1 over its peak; parameters are those of the form with units, most unequal."""
    W = np.array([[0.0, 9.0, 2.0], [110.0, 0.0, -5.0], [7.0, 4.0, 0.0]])
    cell = dict(C=[100.0, 80.0, 120.0], k=0.7, vr=-60.0, vt=-40.0, a=0.03, b=[-2.0, 1.0, 0.5], c=[-50.0, -45.0, -55.0])
    net = EventIzhikevich.form_2007(
        W, **cell, d=[100.0, 60.0, 30.0], v_peak=[35.0, 25.0, 30.0], I=[200, 90, 150], tau_syn=tau_syn, dt=60.0
    )
    end, spikes = plain_izhikevich(net, net.start)
    trains, times = net.spikes(1, net.start), np.array([time for time, _ in spikes])
    assert len(spikes) >= 5 and (tau_syn or (np.diff(times) == 0).any())
    assert_allclose(trains.times, times, atol=1e-6)  # Runge-Kutta of 0.01 ms
    assert_allclose(net.run(1, net.start)[0], end, atol=1e-5)
    numeric = differences(net, net.start, np.zeros(0), 1e-6)
    assert_allclose(net.jacobian(net.start, []), numeric, atol=2e-6 * np.abs(numeric).max())


def test_who_is_not_refractory_has_no_tangent_in_the_time_left_nor_less_than_none():
    net = lif(n=5, t_ref=[0.0, 2.0, 2.0, 2.0, 2.0])
    x = settled(net)
    free = np.flatnonzero(x[5:] == 0) + 5
    assert free.size > 1
    assert not net.jacobian(x, np.zeros(2))[:, free].any()
    below = x.copy()
    below[free] = -1.0
    assert_array_equal(net.run(np.ones((4, 2)), below), net.run(np.ones((4, 2)), x))


# --- tangents -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_lif_tangents_equal_differences_of_steps_with_spikes(kind):
    net = lif(dt=30.0, **KINDS[kind])
    x, u = settled(net), np.array([0.3, -0.5])
    assert len(net.spikes(u[None], x).times) > 35
    exact, numeric = net.jacobian(x, u), differences(net, x, u, 1e-6)
    smooth = np.ones(net.n_units, bool)
    if net.t_ref.any():
        smooth[-N:] = x[-N:] > 0  # the time left cannot fall below 0
    scale = np.abs(numeric).max()
    assert_allclose(exact[:, smooth], numeric[:, smooth], atol=1e-6 * scale)
    by_input = [(net.step(x, u + 1e-6 * e) - net.step(x, u - 1e-6 * e)) / 2e-6 for e in np.eye(2)]
    assert_allclose(net.input_jacobian(x, u), np.transpose(by_input), atol=1e-6 * scale)


@pytest.mark.parametrize("kind", [{}, {"tau_syn": 3.0}])
def test_izhikevich_tangents_equal_differences_of_steps_with_spikes(kind):
    net = izhikevich(dt=30.0, **kind)
    x, u = settled(net), np.array([0.3, -0.5])
    assert len(net.spikes(u[None], x).times) > 3
    numeric = differences(net, x, u, 1e-5)
    scale = np.abs(numeric).max()
    assert_allclose(net.jacobian(x, u), numeric, atol=1e-6 * scale)
    by_input = [(net.step(x, u + 1e-6 * e) - net.step(x, u - 1e-6 * e)) / 2e-6 for e in np.eye(2)]
    assert_allclose(net.input_jacobian(x, u), np.transpose(by_input), atol=1e-6 * scale)


@pytest.mark.parametrize("soft, rank", [(False, 2), (True, 4)])
def test_cascades_have_the_tangent_of_the_composite_jump(soft, rank):
    """Unit 0 lifts 1 and 2 over threshold at once: under hard reset these two forget their potentials."""
    W = np.zeros((4, 4))
    W[1, 0], W[2, 1], W[3, 2], W[0, 2] = 3.0, 4.0, 1.0, 0.5
    net = EventLIF(W, tau_m=[9.0, 10.0, 11.0, 12.0], I=20.0, V_th=15.0, V_reset=0.0, soft_reset=soft, dt=6.0)
    x = np.array([12.0, 11.0, 10.0, 2.0])
    trains = net.spikes(1, x)
    assert trains.times.size == 3 and np.ptp(trains.times) == 0
    J = net.jacobian(x, [])
    assert_allclose(J, differences(net, x, np.zeros(0), 1e-5), atol=1e-8)
    assert np.linalg.matrix_rank(J) == rank


def test_ranks_lost_in_cascades_are_exponents_of_minus_infinity():
    W = [[0.0, 0.0], [3.0, 0.0]]
    net = EventLIF(W, tau_m=10.0, I=[20.0, 13.0], V_th=15.0, V_reset=0.0)
    found = lyapunov_spectrum(net, n_steps=2000, **QUIET).exponents
    assert abs(found[0]) < 1e-3 and found[1] == -np.inf


def test_a_threshold_that_is_only_touched_has_no_tangent():
    net = EventLIF([[0.0]], tau_m=10.0, I=15.0 * (1 + 1e-12), V_th=15.0, V_reset=0.0, dt=500.0)
    assert len(net.spikes(1)[0]) == 1
    with pytest.raises(FloatingPointError, match="unit 0 meets its threshold with slope 0"):
        net.jacobian([0.0], [])


# --- exponents ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau_syn", [None, 4.0])
def test_uncoupled_neurons_are_neutral_and_their_currents_decay(tau_syn):
    """Over whole periods every factor is 1: one step is one period, of 10 ms."""
    drive = 15 / (1 - np.exp(-1.0))
    net = EventLIF(np.zeros((4, 4)), tau_m=10.0, I=drive, V_th=15.0, V_reset=0.0, tau_syn=tau_syn, dt=10.0)
    found = lyapunov_spectrum(net, n_steps=400, **QUIET)
    assert_allclose(found.exponents[:4], 0, atol=2e-5)
    if tau_syn:
        assert_allclose(found.exponents[4:], -1 / tau_syn, atol=1e-9)


def test_the_grid_forgets_spike_times_and_finds_the_leak():
    """Why saltation: without it the same network seems to contract at 1 / tau_m."""
    net = lif(size=0.0, tau_m=10.0)
    x, u = settled(net), np.zeros(2)
    almost_everywhere = np.exp(-0.1)  # of a step of 1 ms on a grid, whose spikes do not move in time
    quiet = net.spikes(u[None], x).counts(1.0)[0] == 0
    assert_allclose(np.diag(net.jacobian(x, u))[quiet], almost_everywhere, rtol=1e-12)
    growth = np.log(np.abs(np.diag(net.push(x, np.zeros((2000, 2)), np.eye(N))[1]))) / 2000
    assert np.abs(growth).max() < 2e-3 < 0.1


def test_pure_inhibition_is_stable_chaos_and_its_sum_is_that_of_spikes_and_leaks():
    rng = np.random.default_rng(4)
    W = np.where(rng.random((N, N)) < 0.3, -1.0, 0.0)
    np.fill_diagonal(W, 0)
    net = EventLIF(W, tau_m=10.0, I=rng.uniform(18, 22, N), V_th=15.0, V_reset=0.0)
    found = lyapunov_spectrum(net, n_steps=6000, washout=2000, x0=net.start, **QUIET)
    assert abs(found.exponents[0]) < 2e-4 and (found.exponents[1:] < -1e-3).all()
    counts = net.spikes(6000, net.run(2000, net.start)[-1]).counts(6000.0)[0]
    saltation = counts * np.log(net.I / (net.I - 15))  # det S = F_after / F_before
    assert_allclose(found.exponents.sum(), saltation.sum() / 6000 - N / 10, atol=1e-9)


def test_replicas_part_at_the_leading_exponent_of_a_chaotic_network():
    rng = np.random.default_rng(1)
    W = rng.normal(0, 3.0, (40, 40)) * (rng.random((40, 40)) < 0.3)
    np.fill_diagonal(W, 0)
    net = EventLIF(W, tau_m=10.0, I=20.0, V_th=15.0, V_reset=0.0)
    tangents = lyapunov_spectrum(net, n_exponents=1, n_steps=2000, washout=500, **QUIET)
    replicas = replica_growth(net, interval=2, n_replicas=2, n_steps=2000, washout=500, **QUIET)
    assert tangents.exponents[0] > 0.01
    assert abs(tangents.exponents[0] - replicas.exponent) < 1e-3  # the same trajectory, but for its beginning


def test_a_resting_izhikevich_neuron_has_the_eigenvalues_of_its_fixed_point():
    cell = EventIzhikevich([[0.0]], I=0.0)
    x = np.array([-70.0, -14.0])  # F20
    assert_allclose(cell.step(x, []), x, atol=1e-12)
    J = np.array([[0.08 * -70 + 5, -1.0], [0.02 * 0.2, -0.02]])
    assert_allclose(cell.jacobian(x, []), expm(J), atol=1e-10)


def test_regular_spiking_has_a_neutral_exponent_and_that_of_its_return_map():
    """The map of the recovery after a spike, followed by SciPy; its slope belongs to one period."""
    d, c = 2.0, -65.0

    def after(w):
        peak = lambda t, y: y[0] - 30.0  # noqa: E731
        peak.terminal, peak.direction = True, 1
        part = solve_ivp(_rs, (0, 200), [c, w], events=peak, rtol=1e-11, atol=1e-11)
        return part.y[1, -1] + d, part.t[-1]

    w = 0.0
    for _ in range(12):
        w, period = after(w)
    slope = (after(w + 1e-3)[0] - after(w - 1e-3)[0]) / 2e-3
    cell = EventIzhikevich([[0.0]], I=10.0, c=c, d=d, dt=period)
    found = lyapunov_spectrum(cell, n_steps=60, washout=20, x0=[c, w], **QUIET).exponents
    assert abs(found[0]) < 1e-5
    assert_allclose(found[1], np.log(abs(slope)) / period, rtol=5e-3)


# --- the System contract --------------------------------------------------------------------------------------------

MODELS = {f"LIF {kind}": (lambda kind=kind: lif(**KINDS[kind])) for kind in KINDS}
MODELS |= {"Izhikevich": izhikevich, "Izhikevich current": lambda: izhikevich(tau_syn=3.0)}


@pytest.mark.parametrize("name", MODELS)
def test_runs_batches_blocks_and_pushes_agree(name):
    net = MODELS[name]()
    u, x = np.random.default_rng(2).normal(0, 1, (3, 12, 2)), net.start
    alone = np.stack([net.run(one, x) for one in u])
    assert_array_equal(net.run(u, x), alone)
    assert_array_equal(np.concatenate(list(net.blocks(u[0], 5, x))), alone[0])
    assert_array_equal(net.step(x, u[0, 0]), alone[0, 0])
    basis = np.random.default_rng(3).normal(0, 1, (net.n_units, 3))
    product, y = basis, x
    for u_t in u[0]:
        product, y = net.jacobian(y, u_t) @ product, net.step(y, u_t)
    end, pushed = net.push(x, u[0], basis)
    assert_array_equal(end, alone[0, -1])
    assert_allclose(pushed, product, atol=1e-11 * np.abs(product).max())


@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 100), kind=st.sampled_from(list(KINDS)))
def test_permuted_units_have_permuted_states(seed, kind):
    net, order = lif(seed, n=8, **KINDS[kind]), np.random.default_rng(seed).permutation(8)
    cells = {f: getattr(net, f)[order] for f in ("tau_m", "I", "W_in")}
    twin = dataclasses.replace(net, W=net.W[np.ix_(order, order)], **cells)
    u = np.random.default_rng(seed).normal(0, 1, (10, 2))
    blocks = (np.arange(net.n_units).reshape(-1, 8)[:, order]).ravel()
    assert_allclose(twin.run(u, net.start[blocks]), net.run(u, net.start)[:, blocks], atol=1e-9)


def test_records_can_be_pickled_pruned_and_read():
    net = lif()
    twin = pickle.loads(pickle.dumps(net))
    assert_array_equal(twin.run(np.ones((5, 2))), net.run(np.ones((5, 2))))
    assert_array_equal(net.recurrent_matrix(), net.W)
    silent = net.with_recurrent(np.zeros((N, N)))
    assert not silent.W.any() and silent.n_units == N
    kept = net.keep_units([1, 4, 7])
    assert_array_equal(kept.W, net.W[np.ix_([1, 4, 7], [1, 4, 7])])
    assert repr(kept).startswith("EventLIF(n_neurons=3, n_inputs=2, delta pulses, tau_m=<")


# --- from networks --------------------------------------------------------------------------------------------------


def network(dt, synapse, t_ref=0.0):
    net = Network(dt=dt, seed=3)
    e = net.add(LIF(16, t_ref=t_ref, I_e=np.linspace(420, 560, 16)), name="e", v=Uniform(-69, -56))
    i = net.add(LIF(4, t_ref=t_ref, tau_m=8.0, I_e=np.linspace(520, 600, 4)), name="i", v=Uniform(-69, -56))
    up, down = (2.0, -2.0) if synapse == Delta() else (60.0, -80.0)
    net.connect(e, i, synapse, probability(0.3), weight=up)
    net.connect(e, e, synapse, probability(0.2), weight=up / 2)
    net.connect(i, e, synapse, probability(0.4), weight=down)
    return net


@pytest.mark.parametrize("synapse, t_ref", [(Exponential(4.0), 0.0), (Delta(), 0.0)])
def test_clock_driven_networks_converge_to_the_events(synapse, t_ref):
    exact = event_driven(network(0.1, synapse, t_ref))
    end, errors = exact.run(12, exact.start)[-1, :20], []
    for dt in (0.02, 0.01, 0.005, 0.0025):
        net = network(dt, synapse, t_ref)
        for group in net.groups:
            net.record(group, "spikes")
        net.run(12.0)
        errors.append(np.abs(np.concatenate([net.get(group, "v") for group in net.groups]) - end).mean())
    order = -np.polyfit(np.log([1, 2, 4, 8]), np.log(errors), 1)[0]
    assert 0.6 < order < 1.4 and errors[-1] < 0.05


def test_units_of_networks_become_millivolts_and_drives_are_folded_in():
    net = Network(dt=0.1)
    a = net.add(LIF(2, tau_m=20.0, C_m=100.0, E_L=-65.0, t_ref=0.0, I_e=50.0), name="a")
    b = net.add(LIF(1, tau_m=10.0, C_m=200.0, t_ref=0.0), name="b", v=-60.0)
    net.connect(a, b, Exponential(5.0), probability(1.0), weight=40.0)
    net.stimulate(a[1:], StepCurrent([0.0], [10.0]))
    system = event_driven(net)
    assert_allclose(system.I, [-65 + 50 / 5, -65 + 60 / 5, -70.0])
    assert_allclose(system.W.toarray() if hasattr(system.W, "toarray") else system.W, [[0] * 3, [0] * 3, [2.0, 2.0, 0]])
    assert_array_equal(system.start, [-65.0, -65.0, -60.0, 0, 0, 0])


def test_weights_and_currents_of_all_populations_and_receptors_come_together():
    """Every entry by hand; two receptors of one time constant on one population are one current."""
    net = Network(dt=0.1)
    a = net.add(LIF(2, tau_m=[10.0, 20.0], C_m=[100.0, 50.0], t_ref=[0.0, 1.0]), name="a")
    b = net.add(LIF(3, tau_m=5.0, C_m=10.0, t_ref=0.0), name="b")
    for name, pre, post, weight in (("p", b[1:], a, 3.0), ("q", a, a, 7.0)):
        net.connect(pre, post, Exponential(4.0, name=name), one_to_one(), weight=weight)
    net.connect(a, b[:2], Exponential(6.0), one_to_one(), weight=11.0)
    net.set(a, p=[1.0, 2.0], q=[30.0, 40.0])
    net.set(b, g=5.0)
    system, W = event_driven(net), np.zeros((5, 5))
    W[0, 3], W[1, 4], W[0, 0], W[1, 1], W[2, 0], W[3, 1] = 0.3, 1.2, 0.7, 2.8, 5.5, 5.5
    found = system.W.toarray() if hasattr(system.W, "toarray") else system.W
    assert_allclose(found, W, rtol=1e-15)
    assert_array_equal(system.tau_syn, [4, 4, 6, 6, 6])
    assert_array_equal(system.t_ref, [0, 1, 0, 0, 0])
    assert_allclose(system.start[5:10], [3.1, 16.8, 2.5, 2.5, 2.5])


def test_izhikevich_networks_keep_their_parameters():
    net = Network(dt=0.1)
    net.add(Izhikevich(2, c=-50.0, d=2.0, I_e=4.0))
    assert_allclose(event_driven(net).I, 4.0)
    assert_array_equal(event_driven(net).start, [-65.0, -65.0, -13.0, -13.0])
    net = Network(dt=0.1)
    net.add(Izhikevich2007(1, I_e=70.0))
    same = EventIzhikevich.form_2007(
        [[0.0]], I=70.0, C=100.0, k=0.7, vr=-60.0, vt=-40.0, a=0.03, b=-2.0, c=-50.0, d=100.0, v_peak=35.0
    )
    assert_allclose(event_driven(net).run(60, [-60.0, 0.0]), same.run(60, [-60.0, 0.0]), rtol=1e-11)  # roundings


def _with(model, synapse=None, **options):
    net = Network(dt=0.1)
    cells = net.add(model, name="cells")
    if synapse is not None:
        net.connect(cells, cells, synapse, one_to_one(), weight=1.0, **options)
    return net


def _driven():
    net = _with(LIF(2))
    net.stimulate(net.groups[0], StepCurrent([0.0, 5.0], [1.0, 2.0]))
    return net


@pytest.mark.parametrize(
    "make, fragment",
    [
        (lambda: _with(PoissonGroup(2, rate=5.0)), "'cells' is PoissonGroup"),
        (lambda: _with(LIF(2, sigma=1.0)), "has noise, sigma=1"),
        (lambda: _with(LIF(2), Alpha(5.0)), "neither of delta pulses nor of exponential currents"),
        (lambda: _with(LIF(2), Exponential(5.0, reversal=0.0)), "neither of delta pulses nor"),
        (lambda: _with(LIF(2), Delta(), delay=1.0), "has delays"),
        (lambda: _with(Izhikevich2007(2, cubic=0.1)), "cubic is not 0"),
        (lambda: _with(Izhikevich(2, u_leak=0.0)), "u_leak is not 1"),
        (_driven, "changes in time"),
    ],
)
def test_networks_without_an_event_driven_form_are_refused_with_the_reason(make, fragment):
    with pytest.raises(ValueError, match=fragment) as raised:
        event_driven(make())
    assert "replica_growth(Liquid(network" in str(raised.value)


# --- without the compiler -------------------------------------------------------------------------------------------

SCRIPT = """
import sys
import numpy as np
from penstock.spiking import EventIzhikevich, EventLIF, ForceNetwork, Theta

rng, results = np.random.default_rng(0), {}
W, u = rng.normal(0, 3, (4, 4)), rng.normal(0, 1, (9, 2))
lif = dict(tau_m=10.0, I=rng.uniform(17, 25, 4), V_th=15.0, V_reset=0.0, W_in=rng.normal(0, 1, (4, 2)))
systems = {str(kind): EventLIF(W, **lif, **kind) for kind in ({}, {"t_ref": 2.0}, {"tau_syn": 4.0, "t_ref": 1.5})}
systems["Izhikevich"] = EventIzhikevich(W, I=20.0, W_in=lif["W_in"], tau_syn=4.0, h=0.1)
for name, net in systems.items():
    results[name] = net.push(net.start, u, np.eye(net.n_units))[1]
    results[name + " spikes"] = net.spikes(u, net.start).times
twenty_times = dict(neurons=Theta(10, tau_m=20.0, I_e=0.5), Q=1.0, G=0.01, dt=0.05)
for kind, other in {"izhikevich": {}, "lif": {}, "theta": twenty_times}.items():
    net = getattr(ForceNetwork, kind)(10, seed=1, **other)
    learnt = net.force(np.sin(0.1 * np.arange(250)), learn=(net.dt * 50, net.dt * 200), every=2, progress=False)
    results[kind], results[kind + " decoder"] = learnt.state, learnt.decoder
    results[kind + " states"] = learnt.system().run(10)
np.savez(sys.argv[1], **results)
"""


def test_plain_python_gives_the_same_without_warnings(tmp_path, monkeypatch):
    """FORCE too: what fills up its last block of neurons must not diverge."""
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", SCRIPT, str(tmp_path / "plain.npz")]
    done = subprocess.run(command, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "compiled.npz")])
    exec(SCRIPT, {})
    with np.load(tmp_path / "plain.npz") as slow, np.load(tmp_path / "compiled.npz") as fast:
        for name in slow:
            assert slow[name].size > 2
            assert_allclose(fast[name], slow[name], rtol=0, atol=1e-11 * np.abs(slow[name]).max(), err_msg=name)


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, error, fragment",
    [
        ({"tau_m": 0.0}, ValueError, "tau_m must be above 0, got 0"),
        ({"tau_m": None}, TypeError, "tau_m must be a number"),
        ({"I": np.nan}, ValueError, "I must be finite"),
        ({"I": np.ones(3)}, ValueError, r"I must be a number or have shape \(20,\)"),
        ({"V_reset": 15.0}, ValueError, "V_reset must be below V_th"),
        ({"tau_syn": -1.0}, ValueError, "tau_syn must be above 0"),
        ({"t_ref": -1.0}, ValueError, "t_ref must be at least 0"),
        ({"soft_reset": 1}, TypeError, "soft_reset must be True or False"),
        ({"soft_reset": True, "t_ref": 1.0}, ValueError, "soft_reset must be False with t_ref"),
        ({"dt": 0}, ValueError, "dt must be above 0"),
        ({"dt": True}, TypeError, "dt must be a number"),
        ({"V_th": "15"}, TypeError, "V_th must be a number"),
    ],
)
def test_bad_parameters_of_lif_are_named(changes, error, fragment):
    with pytest.raises(error, match=fragment):
        lif(**changes)


def test_other_bad_input_is_named():
    with pytest.raises(ValueError, match=r"W must have shape \(2, 2\), got \(2, 3\)"):
        EventLIF(np.zeros((2, 3)), tau_m=10.0, I=1.0, V_th=1.0, V_reset=0.0)
    with pytest.raises(ValueError, match="c must be below v_peak"):
        EventIzhikevich([[0.0]], c=30.0)
    with pytest.raises(ValueError, match="h must be above 0"):
        EventIzhikevich([[0.0]], h=-0.1)
    with pytest.raises(TypeError, match="W must hold real numbers"):
        EventIzhikevich.form_2007(None, C=1, k=1, vr=0, vt=1, a=1, b=1, c=1, d=1, v_peak=3)
    with pytest.raises(ValueError, match="k must be above 0, got -1"):
        EventIzhikevich.form_2007([[0.0]], C=1, k=-1, vr=0, vt=1, a=1, b=1, c=1, d=1, v_peak=3)
    with pytest.raises(ValueError, match="u must have at least one step"):
        EventIzhikevich([[0.0]]).spikes(0)
    with pytest.raises(TypeError, match="network must be a Network"):
        event_driven(LIF(3))
    runaway = EventLIF([[0.0, 40.0], [40.0, 0.0]], tau_m=10.0, I=20.0, V_th=15.0, V_reset=0.0)
    with pytest.raises(FloatingPointError, match="neurons fire without end in step 0"):
        runaway.run(3, [14.9, 3.0])
