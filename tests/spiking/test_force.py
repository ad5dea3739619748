"""FORCE on spiking networks against a plain transcription of the rule, ridge regression, and the marks of the paper."""

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from penstock.spiking import LIF, ForceNetwork, Izhikevich2007, Network, SpikingForce, Theta

KINDS = ("izhikevich", "lif", "theta")


def sine(t):
    return np.sin(2 * np.pi * 5 * t / 1000)


# ---------------------------------------------------------------------------------------- the rule, written plainly
def membrane(net, v, u, current):
    """The membranes after a step by forward Euler: v, u."""
    p, dt = net.neurons, net.dt
    if isinstance(p, LIF):
        free = u <= 0
        dv = (p.E_L - v + p.tau_m / p.C_m * (current + p.I_e)) / p.tau_m
        return v + dt * dv * free, np.maximum(u - 1, 0)
    if isinstance(p, Theta):
        return v + dt / p.tau_m * (1 - np.cos(v) + (1 + np.cos(v)) * np.pi**2 * (current + p.I_e)), u
    dv = (p.k * (v - p.vr) * (v - p.vt) - u + current + p.I_e) / p.C
    return v + dt * dv, u + dt * p.a * (p.b * (v - p.vr) - u)


def peak_of(p):
    return p.V_th if isinstance(p, LIF) else np.pi if isinstance(p, Theta) else p.v_peak


def reset(net, v, u, fired):
    p = net.neurons
    if isinstance(p, LIF):
        return np.where(fired, p.V_reset, v), np.where(fired, np.rint(p.t_ref / net.dt), u)
    if isinstance(p, Theta):
        return np.where(fired, -np.pi, v), u
    return np.where(fired, p.c, v), u + p.d * fired


def transcribed(net, target, learn, *, every, P0, normalised=True, forgetting=1.0, inputs=None):
    """The order of operations of the published programs, matrix by matrix: all states, outputs, decoder."""
    n, dt, tr, td = net.n, net.dt, net.tau_r, net.tau_d
    W0, scale = net.W0.toarray(), 1000 / net.rate_unit / (tr * td)
    s, h, r, hr = np.zeros((4, n))
    v, u, z = net.v0.copy(), np.zeros(n), np.zeros(net.n_outputs)
    if isinstance(net.neurons, LIF):
        u += np.rint(net.neurons.t_ref / dt)
    phi, P, states, outputs = np.zeros((n, net.n_outputs)), P0 * np.eye(n), [], []
    for t, x in enumerate(target):
        drive = net.E @ z + (net.E_in @ inputs[t] if inputs is not None else 0)
        v, u = membrane(net, v, u, s + drive)
        fired = v >= peak_of(net.neurons)
        s = s * np.exp(-dt / tr) + h * dt
        h = h * np.exp(-dt / td) + scale * W0 @ fired
        r = r * np.exp(-dt / tr) + hr * dt
        hr = hr * np.exp(-dt / td) + scale * fired
        z = phi.T @ r
        if learn[0] <= t < learn[1] and (t - learn[0]) % every == 0:
            k = P @ r
            phi = phi - np.outer(k, z - x) / (forgetting + r @ k if normalised else 1.0)
            P = (P - np.outer(k, k) / (forgetting + r @ k)) / forgetting
        v, u = reset(net, v, u, fired)
        states.append(np.concatenate([r, v, u, s, h, hr, z]))
        outputs.append(z)
    return np.array(states), np.array(outputs), phi


def drawn(kind, n, **other):
    """A network of published numbers; theta neurons twenty times faster, so that they fire within milliseconds."""
    if kind == "theta":
        other = {"neurons": Theta(n, tau_m=20.0, I_e=0.5), "Q": 1.0, "G": 0.01, "dt": 0.05} | other
    return getattr(ForceNetwork, kind)(n, seed=1, **other)


SETTINGS = [
    ("izhikevich", {}),
    ("lif", {}),
    ("theta", {}),
    ("izhikevich", {"normalised": False}),
    ("lif", {"forgetting": 0.99}),
]


@pytest.mark.parametrize("kind, how", SETTINGS, ids=str)
def test_the_kernel_follows_a_plain_transcription_of_the_rule(kind, how):
    """Two outputs, 95 updates: more than wait in V; before the chaos makes more of the rounding, 1e-16 in a step."""
    net = drawn(kind, 70, n_outputs=2)  # 70: more than a block of neurons, and a rest
    target = np.column_stack([sine(net.dt * np.arange(600)), np.cos(0.1 * np.arange(600))])
    P0 = {"izhikevich": 2.0, "lif": 1e-3, "theta": 1e-3}[kind]
    states, outputs, phi = transcribed(net, target, (120, 595), every=5, P0=P0, **how)
    learn = (net.dt * 120, net.dt * 595)
    result = net.force(target, learn=learn, every=5, P0=P0, progress=False, **how)
    assert result.n_updates == 95
    assert result.spikes.n_spikes > 20
    assert np.abs(outputs).max() > 0.01  # it learned something, or the test is empty
    assert_allclose(result.output, outputs, rtol=0, atol=1e-10 * np.abs(outputs).max())
    assert_allclose(result.decoder, phi, rtol=0, atol=1e-10 * np.abs(phi).max())
    assert_allclose(result.state, states[-1], rtol=0, atol=1e-10 * np.abs(states[-1]).max())


def filtered(result):
    """r at the end of every step, from the recorded spikes alone (T, n)."""
    net = result.network
    fired = np.zeros((len(result.times), net.n))
    fired[np.rint(result.spikes.times / net.dt).astype(int) - 1, result.spikes.ids] = 1
    r, hr, all_r = np.zeros(net.n), np.zeros(net.n), np.empty_like(fired)
    for t, spikes in enumerate(fired):
        r = r * np.exp(-net.dt / net.tau_r) + net.dt * hr
        hr = hr * np.exp(-net.dt / net.tau_d) + spikes * 1000 / net.rate_unit / net.tau_r / net.tau_d
        all_r[t] = r
    return all_r


def learned(normalised=True, forgetting=1.0):
    """A run of 1500 steps with 90 updates, its r and targets at these, and P0."""
    net = ForceNetwork.izhikevich(60, seed=3)
    result = net.force(
        lambda t: np.column_stack([sine(t), np.cos(0.1 * t)[:]])[:, :1],
        duration=60.0, learn=(20.0, 56.0), every=10, P0=30.0,
        normalised=normalised, forgetting=forgetting, progress=False,
    )  # fmt: skip
    at = np.arange(500, 1400, 10)
    return result, filtered(result)[at], result.target[at]


def test_the_normalised_rule_is_ridge_regression_on_the_sampled_rates():
    """F29: penalty 1 / P0; the rule as published, without normalisation, is not."""
    result, r, x = learned()
    ridge = np.linalg.solve(r.T @ r + np.eye(60) / 30.0, r.T @ x)
    assert_allclose(result.decoder, ridge, rtol=0, atol=1e-9 * np.abs(ridge).max())
    published, r, x = learned(normalised=False)
    ridge = np.linalg.solve(r.T @ r + np.eye(60) / 30.0, r.T @ x)
    assert np.abs(published.decoder - ridge).max() > 0.01 * np.abs(ridge).max()


def test_forgetting_weighs_older_samples_less():
    """The minimum of sum λ^(last - i) |x_i - φ' r_i|² + λ^count |φ|² / P0."""
    result, r, x = learned(forgetting=0.95)
    weight = 0.95 ** np.arange(len(r))[::-1, None]
    ridge = np.linalg.solve(r.T @ (weight * r) + 0.95 ** len(r) * np.eye(60) / 30.0, r.T @ (weight * x))
    assert_allclose(result.decoder, ridge, rtol=0, atol=1e-8 * np.abs(ridge).max())


def test_forgetting_stops_before_rounding_destroys_the_inverse():
    """4500 updates at 0.97, which alone makes directions without spikes grow to 1e59: without a stop it diverges."""
    net = ForceNetwork.izhikevich(40, seed=1)
    result = net.force(sine, duration=200.0, learn=(20.0, 200.0), every=1, forgetting=0.97, progress=False)
    assert np.sqrt((result.error[2500:] ** 2).mean()) < 0.3


def test_uncoupled_izhikevich_neurons_are_those_of_a_network():
    """Both by forward Euler from the old values; the run of `Network` in spikes and potentials, parameters unequal."""
    n, dt = 5, 0.1
    neurons = Izhikevich2007(
        n, C=[100, 120, 90, 250, 100], k=0.7, d=[100, 50, 120, 200, 0], I_e=[100, 200, 300, 1000, 90]
    )
    net = ForceNetwork(np.zeros((n, n)), np.zeros(n), neurons, v0=[-60, -55, -50, -70, -61], dt=dt)
    run = net.run(100.0, np.zeros((n, 1)), progress=False)
    other = Network(dt=dt, seed=0)
    cells = other.add(neurons, v=net.v0, u=0.0)
    other.record(cells, "spikes")
    other.record(cells, "v")
    expected = other.run(100.0, progress=False)
    trains = expected.spikes["group0"]
    assert len(trains.times) > 10
    assert_allclose(run.spikes.times - dt, trains.times, atol=1e-9)  # labelled by the end and the start of the step
    assert_array_equal(run.spikes.ids, trains.ids)
    assert_allclose(run.state[n : 2 * n], expected.states["group0", "v"].values[-1], rtol=1e-12)


def test_a_theta_neuron_fires_with_period_tau_over_root_of_current():
    """T = tau_m / sqrt(I), up to the Euler error, of order dt / T."""
    current = np.array([0.5, 1.0, 4.0])
    net = ForceNetwork(np.zeros((3, 3)), np.zeros(3), Theta(3, tau_m=50.0, I_e=current), v0=-np.pi, dt=0.01)
    spikes = net.run(2000.0, np.zeros((3, 1)), progress=False).spikes
    periods = [np.diff(spikes[i]).mean() for i in range(3)]
    assert_allclose(periods, 50.0 / np.sqrt(current), rtol=2e-3)


def test_an_lif_neuron_rests_for_its_refractory_time():
    """Interval t_ref + tau ln(1 + (V_th - V_reset) / (V_inf - V_th)) by Euler: whole steps of (1 - dt / tau)."""
    neurons = LIF(1, tau_m=10, C_m=10, E_L=-30, V_th=-40, V_reset=-65, t_ref=2, integrator="euler")
    net = ForceNetwork(np.zeros((1, 1)), [0.0], neurons, v0=-65.0, dt=0.05)
    spikes = net.run(100.0, np.zeros((1, 1)), progress=False).spikes
    steps = np.ceil(np.log(10 / 35) / np.log(1 - 0.005)) + 40
    assert_allclose(np.diff(spikes[0]), 0.05 * steps, atol=1e-9)
    assert_allclose(spikes[0][0], 0.05 * steps, atol=1e-9)  # refractory at the start too


def test_inputs_from_outside_act_as_a_known_current():
    """One constant input through E_in is the same as that current in I_e; more than two blocks of unequal neurons."""
    net = drawn("izhikevich", 200)
    weights, steps = np.linspace(-50, 50, 200)[:, None], 500
    driven = replace(net, E_in=weights).run(20.0, np.zeros((200, 1)), inputs=np.full(steps, 2.0), progress=False)
    neurons = replace(net.neurons, I_e=1000.0 + 2 * weights[:, 0])
    constant = replace(net, neurons=neurons).run(20.0, np.zeros((200, 1)), progress=False)
    assert_allclose(driven.state, constant.state, rtol=0, atol=1e-9 * np.abs(constant.state).max())


def small_result(**how):
    return drawn("izhikevich", 70).force(sine, duration=60.0, learn=(10.0, 40.0), progress=False, **how)


def test_a_run_in_two_parts_is_the_run_at_once():
    """Decoding and decay of h are summed over other intervals: equal to rounding."""
    result = small_result()
    at_once = result.run(30.0, progress=False)
    first = result.run(12.0, progress=False)
    second = result.network.run(18.0, result.decoder, state=first.state, progress=False)
    both = np.concatenate([first.output, second.output])
    assert_allclose(both, at_once.output, rtol=0, atol=1e-9 * np.abs(both).max())
    assert len(first.spikes.times) + len(second.spikes.times) == len(at_once.spikes.times)


def test_the_trained_network_as_a_system_is_the_free_run():
    result = small_result()
    system, run = result.system(), result.run(10.0, progress=False)
    states = system.run(250, x0=system.start)
    assert_allclose(system.output(states), run.output, rtol=0, atol=1e-9)
    assert_allclose(states[-1], run.state, rtol=0, atol=1e-9 * np.abs(run.state).max())
    assert_allclose(system.step(states[99], []), states[100], rtol=0, atol=1e-9 * np.abs(states).max())
    assert system.observed == slice(0, 70)
    batch = system.run(np.empty((2, 5, 0)), x0=system.start)
    assert_array_equal(batch[1], states[:5])
    assert_array_equal(system.network.system(system.decoder).start, system.network.initial_state())
    with pytest.raises(TypeError, match="event_driven"):
        system.jacobian(system.start, [])
    with pytest.raises(TypeError, match="W0 with the feedback"):
        system.recurrent_matrix()


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    one, same = small_result(), small_result()
    assert_array_equal(one.output, same.output)
    assert_array_equal(one.decoder, same.decoder)
    assert not np.array_equal(ForceNetwork.izhikevich(70, seed=2).E, one.network.E)


def test_drawn_weights_have_the_published_moments():
    """Variance G² / (p n) per entry, so G² / (p² n) of those drawn; fractions to 5 standard errors."""
    net = ForceNetwork.izhikevich(400, seed=0)
    count = net.W0.nnz
    assert abs(count - 16_000) < 5 * np.sqrt(160_000 * 0.1 * 0.9)
    assert abs(net.W0.data.std() / (5e3 / (0.1 * 20)) - 1) < 5 / np.sqrt(2 * count)
    assert -5e3 <= net.E.min() < -4.9e3 and 4.9e3 < net.E.max() <= 5e3
    balanced = ForceNetwork.lif(400, seed=0).W0
    assert_allclose(balanced.sum(axis=1), 0, atol=1e-12)
    assert balanced.nnz == count  # the same places: only weights move


def phase_locked(frequency, lag):
    """A result whose output is the sine at another frequency and late by `lag` ms."""
    result = drawn("izhikevich", 5).force(sine, duration=3000.0, learn=(0.0, 40.0), every=50, progress=False)
    output = np.sin(2 * np.pi * frequency * (result.times - lag) / 1000)[:, None]
    return replace(result, output=output)


def test_frequency_and_aligned_correlation_of_a_known_copy():
    late = phase_locked(5.0, 33.0)
    assert_allclose(late.frequency, 5.0, atol=0.03)  # the grid of the spectrum: 1 / (16 · 2.96 s)
    assert_allclose(late.lag_aligned_correlation(), 1.0, atol=1e-6)
    fast = phase_locked(6.0, 0.0)
    assert_allclose(fast.frequency, 6.0, atol=0.03)
    assert_allclose(fast.target_frequency, 5.0, atol=0.03)
    assert fast.lag_aligned_correlation()[0] < 0.5
    assert fast.lag_aligned_correlation(200.0)[0] > 0.85  # within a period, the phases part by a fifth of one


def test_aligned_correlation_is_that_of_the_best_overlap():
    rng, result = np.random.default_rng(0), small_result()
    result = replace(result, output=rng.standard_normal(result.output.shape))
    z, x = (series[result.free, 0] for series in (result.output, result.target))
    for window, cuts in ((None, [slice(0, 500)]), (10.0, [slice(0, 250), slice(250, 500)])):
        best = [best_by_hand(z[cut], x[cut]) for cut in cuts]
        assert_allclose(result.lag_aligned_correlation(window), np.mean(best), rtol=1e-9)


def best_by_hand(z, x):
    lags = range(1, len(z) // 4 + 1)
    pairs = [(z, x), *((z[lag:], x[:-lag]) for lag in lags), *((z[:-lag], x[lag:]) for lag in lags)]
    return max(np.corrcoef(*pair)[0, 1] for pair in pairs)


def test_reports_say_what_happened():
    result = small_result()
    counts = [((a < result.spikes.times) & (result.spikes.times <= b)).sum() for a, b in ((0, 10), (10, 40), (40, 60))]
    assert_allclose(result.rates, 1000 * np.array(counts) / 70 / np.array([10, 30, 20]))
    text = repr(result)
    assert "38 updates" in text
    assert "at the best lag" in text
    assert "70 Izhikevich2007" in text
    axes = result.plot()
    assert len(axes) == 3
    assert "FreeRun(5 ms" in repr(result.run(5.0, progress=False))
    untrained = drawn("izhikevich", 5).force(np.zeros(50), learn=None, progress=False)
    assert untrained.n_updates == 0
    assert isinstance(untrained, SpikingForce)


BAD_NETWORKS = [
    (dict(W0=np.zeros((3, 4))), ValueError, "W0"),
    (dict(W0=np.full((3, 3), np.nan)), ValueError, "W0"),
    (dict(E=np.zeros(4)), ValueError, "E must"),
    (dict(E=np.zeros((3, 0))), ValueError, "at least 1"),
    (dict(E_in=np.zeros((2, 1))), ValueError, "E_in"),
    (dict(neurons="theta"), TypeError, "neurons"),
    (dict(neurons=LIF(3)), ValueError, "integrator='euler'"),
    (dict(neurons=Izhikevich2007(3, cubic=1.0)), ValueError, "cubic"),
    (dict(neurons=Izhikevich2007(3, u_max=10.0)), ValueError, "u_max"),
    (dict(neurons=LIF(3, t_ref=0.03, integrator="euler")), ValueError, "t_ref"),
    (dict(v0=[1.0, 2.0]), ValueError, "v0"),
    (dict(tau_r=0.0), ValueError, "tau_r"),
    (dict(tau_d=-1.0), ValueError, "tau_d"),
    (dict(dt=True), TypeError, "dt"),
    (dict(rate_unit="Hz"), TypeError, "rate_unit"),
    (dict(every=0), ValueError, "every"),
    (dict(P0=np.nan), ValueError, "P0"),
]


@pytest.mark.parametrize("wrong, error, message", BAD_NETWORKS, ids=range(len(BAD_NETWORKS)))
def test_a_network_that_makes_no_sense_is_refused(wrong, error, message):
    right = dict(W0=sp.csr_array((3, 3)), E=np.ones(3), neurons=Izhikevich2007(3))
    ForceNetwork(**right)
    with pytest.raises(error, match=message):
        ForceNetwork(**(right | wrong))


BAD_RUNS = [
    (dict(target=np.zeros((100, 2))), ValueError, "target"),
    (dict(target=np.full(100, np.nan)), ValueError, "target"),
    (dict(target="sine"), TypeError, "target"),
    (dict(target=lambda t: 0.0), ValueError, "one row per time"),
    (dict(target=sine, duration=-1.0), ValueError, "duration"),
    (dict(learn=(2.0, 1.0)), ValueError, "learn"),
    (dict(learn=(1.0, 9.0)), ValueError, "within the run of 4 ms"),
    (dict(learn=3.0), TypeError, "learn"),
    (dict(learn=(0.0, 1.01)), ValueError, "learn"),
    (dict(every=0), ValueError, "every"),
    (dict(every=2.5), TypeError, "every"),
    (dict(P0=0.0), ValueError, "P0"),
    (dict(normalised="yes"), TypeError, "normalised"),
    (dict(forgetting=1.5), ValueError, "forgetting"),
    (dict(inputs=np.zeros((100, 1))), ValueError, "inputs"),
]


@pytest.mark.parametrize("wrong, error, message", BAD_RUNS, ids=range(len(BAD_RUNS)))
def test_a_run_that_makes_no_sense_is_refused(wrong, error, message):
    net, right = drawn("izhikevich", 3), dict(target=np.zeros(100), learn=(1.0, 2.0), progress=False)
    with pytest.raises(error, match=message):
        net.force(**(right | wrong))


def test_other_arguments_that_make_no_sense_are_refused():
    net = drawn("izhikevich", 3)
    result = net.force(np.zeros(100), learn=(1.0, 4.0), progress=False)
    for call, error, message in [
        (lambda: net.run(1.0, np.zeros((2, 1))), ValueError, "decoder"),
        (lambda: net.run(0.0, np.zeros((3, 1))), ValueError, "duration"),
        (lambda: net.run(1.0, np.zeros((3, 1)), state=np.zeros(5)), ValueError, "state"),
        (lambda: replace(net, E_in=np.ones((3, 1))).run(1.0, np.zeros((3, 1))), ValueError, "inputs must be given"),
        (lambda: ForceNetwork.izhikevich(3, seed=None), TypeError, "seed"),
        (lambda: ForceNetwork.izhikevich(0, seed=0), ValueError, "n must"),
        (lambda: ForceNetwork.lif(3, seed=0, p=1.5), ValueError, "p must"),
        (lambda: ForceNetwork.theta(3, seed=0, G=-1), ValueError, "G must"),
        (lambda: Theta(3, tau_m=0.0), ValueError, "tau_m"),
        (lambda: Theta(3, I_e=[1.0]), ValueError, "I_e"),
        (lambda: net.system(np.zeros((2, 1))), ValueError, "decoder"),
        (lambda: result.frequency, ValueError, "ends with learning"),
        (lambda: small_result().lag_aligned_correlation(25.0), ValueError, "window"),
    ]:
        with pytest.raises(error, match=message):
            call()


def test_a_network_that_diverges_says_when():
    net = drawn("izhikevich", 20)
    with pytest.raises(FloatingPointError, match="diverged at"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.run(60.0, np.full((20, 1), 1e308), progress=False)
    system = net.system(np.full((20, 1), 1e308))
    with pytest.raises(FloatingPointError, match="at step") as raised:
        system.run(1500, x0=system.start)
    step = int(re.search(r"at step (\d+)", str(raised.value))[1])
    assert np.isfinite(system.run(step, x0=system.start)).all()  # it names the first step, not the last
    assert step < 1499


def test_states_that_are_not_finite_are_no_result():
    """Currents overflow while the decoder, of zeros, hides them."""
    net = replace(drawn("izhikevich", 20), W0=np.full((20, 20), 1.7e308))
    with pytest.raises(FloatingPointError, match="diverged before 60 ms"):
        net.run(60.0, np.zeros((20, 1)), progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_trained_network_goes_on_with_the_sine(kind):
    """Marks of the paper, of two networks of each kind: the frequency within 2 %, the shape within seconds."""
    for seed in (0, 1) if kind != "theta" else (0,):
        coarse = {"dt": 0.02, "every": 25} if kind == "theta" else {}
        net = getattr(ForceNetwork, kind)(1000, seed=seed, **coarse)
        result = net.force(sine, progress=False)
        assert_allclose(result.frequency, 5.0, rtol=0.02)
        assert result.lag_aligned_correlation(1000.0)[0] > 0.95
        assert abs(np.sqrt(2) * result.output[result.free].std() - 1) < 0.15
        before, while_learning, after = result.rates
        assert before < while_learning
        assert_allclose(after, while_learning, rtol=0.1)
