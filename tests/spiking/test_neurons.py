"""Neuron models against closed forms, SciPy's integrators and loops over units that are written from the equations."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from penstock.spiking import ALIF, LIF, AdEx, Exponential, Izhikevich, Izhikevich2007, Network, SpikeSource
from penstock.spiking.connectors import all_to_all
from penstock.spiking.inputs import ArrayCurrent

VOLTAGE_UNITS = {"C_m": 10.0, "tau_m": 10.0, "E_L": 0.0, "V_reset": 0.0}  # 1 pA raises the resting potential by 1 mV


def simulate(model, steps, *, dt=0.1, timing="brian2", current=None, wire=None, seed=0, **initial):
    """Return spikes (steps, n) and {state: its values after every step (steps, n)}."""
    net = Network(dt=dt, timing=timing, seed=seed)
    group = net.add(model, name="cells", **initial)
    if wire is not None:
        wire(net, group)
    if current is not None:
        net.stimulate(group, ArrayCurrent(current, dt))
    for variable in ("spikes", *model.variables):
        net.record(group, variable)
    result = net.run(steps * dt, progress=False)
    spikes = np.zeros((steps, model.n), bool)
    trains = result.spikes["cells"]
    spikes[np.rint(trains.times / dt).astype(int) - (timing == "nest"), trains.ids] = True
    return spikes, {name: result.states["cells", name].values for name in model.variables}


def spike_steps(spikes, unit=0):
    return np.flatnonzero(spikes[:, unit])


# ---------------------------------------------------------------------------------------- loops from the equations
def lif_step(p, s, current, dt):
    """Exact solution of tau_m v' = E_L - v + (current + I_e - w) tau_m / C_m with w decaying, by its own algebra."""
    rest = p.E_L + (current + p.I_e) * p.tau_m / p.C_m
    forced = 0.0
    if s.get("w"):
        forced = (
            -s["w"]
            / p.C_m
            * scipy.integrate.quad(
                lambda t: math.exp(-t / p.tau_w - (dt - t) / p.tau_m), 0, dt, epsabs=0, epsrel=1e-13
            )[0]
        )
    v = rest + (s["v"] - rest) * math.exp(-dt / p.tau_m) + forced
    return {"v": v} | tired(p, s, math.exp, dt)


def tired(p, s, decay, dt):
    if "w" not in s:
        return {}
    return {"w": s["w"] * decay(-dt / p.tau_w), "theta": s["theta"] * decay(-dt / p.tau_theta)}


def lif_euler(p, s, current, dt):
    v = s["v"] + dt * ((p.E_L - s["v"]) / p.tau_m + (current + p.I_e - s.get("w", 0.0)) / p.C_m)
    return {"v": v} | tired(p, s, lambda x: 1 + x, dt)


def adex_euler(p, s, current, dt):
    v, w = s["v"], s["w"]
    dv = (p.g_L * (p.E_L - v) + p.g_L * p.Delta_T * math.exp((v - p.V_T) / p.Delta_T) - w + current + p.I_e) / p.C_m
    return {"v": v + dt * dv, "w": w + dt * (p.a * (v - p.E_L) - w) / p.tau_w}


def adex_exponential(p, s, current, dt):
    v, w = s["v"], s["w"]
    rest = p.E_L + p.Delta_T * math.exp((v - p.V_T) / p.Delta_T) + (current + p.I_e - w) / p.g_L
    target = p.a * (v - p.E_L)
    return {
        "v": rest + (v - rest) * math.exp(-dt * p.g_L / p.C_m),
        "w": target + (w - target) * math.exp(-dt / p.tau_w),
    }


def izhikevich_step(p, s, current, dt):
    def slope(v):
        return 0.04 * v**2 + p.p1 * v + p.p0 - s["u"] + current + p.I_e

    old = s["v"]
    if p.integrator == "half":
        half = old + dt / 2 * slope(old)
        new = half + dt / 2 * slope(half)
    else:
        new = old + dt * slope(old)
    seen = old if p.integrator == "euler" else new
    return {"v": new, "u": s["u"] + dt * p.a * (p.b * (seen - p.v_u) - p.u_leak * s["u"])}


def izhikevich_2007_step(p, s, current, dt):
    v, u = s["v"], s["u"]
    new = v + dt * (p.k * (v - p.vr) * (v - p.vt) - u + current + p.I_e) / p.C
    goal = (p.b_above if new > p.v_switch else p.b) * (v - p.vr)
    if new >= p.v_cubic:
        goal += p.cubic * (v - p.v_cubic) ** 3
    return {"v": new, "u": u + dt * p.a * (goal - u)}


def leaky_reset(p, s):
    v = s["v"] - (p.V_th - p.V_reset) if p.soft_reset else p.V_reset
    return {"v": v} if "w" not in s else {"v": v, "w": s["w"] + p.b, "theta": s["theta"] + p.beta}


TWINS = {  # step, threshold, reset
    LIF: (lambda p: lif_euler if p.integrator == "euler" else lif_step, lambda p, s: p.V_th, leaky_reset),
    ALIF: (lambda p: lif_euler if p.integrator == "euler" else lif_step, lambda p, s: p.V_th + s["theta"], leaky_reset),
    AdEx: (
        lambda p: adex_euler if p.integrator == "euler" else adex_exponential,
        lambda p, s: p.V_cut,
        lambda p, s: {"v": p.V_reset, "w": s["w"] + p.b},
    ),
    Izhikevich: (
        lambda p: izhikevich_step,
        lambda p, s: p.v_peak,
        lambda p, s: {"v": p.c, "u": s["u"] + p.d},
    ),
    Izhikevich2007: (
        lambda p: izhikevich_2007_step,
        lambda p, s: p.v_peak + p.peak_slope * s["u"],
        lambda p, s: {"v": p.c + p.c_slope * s["u"], "u": min(s["u"] + p.d, p.u_max)},
    ),
}


def twin(model, current, dt, timing):
    """The same network, unit by unit in plain Python."""
    steps = len(current)
    spikes = np.zeros((steps, model.n), bool)
    states = {name: np.zeros((steps, model.n)) for name in model.variables}
    pick, threshold, reset = TWINS[type(model)]
    for i in range(model.n):
        values = {f.name: getattr(model, f.name) for f in dataclasses.fields(model)}
        p = SimpleNamespace(**{k: x[i] if np.ndim(x) else x for k, x in values.items()})
        s = {name: float(np.broadcast_to(x, model.n)[i]) for name, x in model.initial().items()}
        ref, free = round(getattr(p, "t_ref", 0.0) / dt), 0
        inclusive = timing == "nest" if model.inclusive is None else model.inclusive
        for k in range(steps):
            new = pick(p)(p, s, current[k, i], dt)
            s = new if k >= free else new | {"v": s["v"]}
            level = threshold(p, s)
            if k >= free and (s["v"] >= level if inclusive else s["v"] > level):
                spikes[k, i] = True
                s = s | reset(p, s)
                free = k + ref + (timing == "nest")
            for name in s:
                states[name][k, i] = s[name]
    return spikes, states


EACH = {"C_m": [180.0, 250.0, 320.0], "tau_m": [8.0, 10.0, 15.0]}
MODELS = {
    "LIF": LIF(3, **EACH, t_ref=[0.0, 0.1, 2.0]),
    "LIF one set": LIF(3, sigma=0.0, I_e=100.0),
    "LIF soft": LIF(3, **EACH, t_ref=[0.0, 0.1, 2.0], V_reset=-64.0, soft_reset=True),
    "LIF euler": LIF(3, **EACH, integrator="euler"),
    "ALIF": ALIF(3, **EACH, tau_w=[8.0, 40.0, 15.0 + 1e-9], b=[90.0, 20.0, 0.0], beta=[0.0, 2.0, 3.0]),
    "ALIF euler": ALIF(3, tau_w=30.0, b=60.0, tau_theta=50.0, beta=2.0, integrator="euler", soft_reset=True),
    "AdEx": AdEx(3, tau_w=[144.0, 20.0, 144.0], b=[80.5, 500.0, 0.0], V_reset=[-70.6, -45.4, -70.6], t_ref=0.3),
    "AdEx exponential": AdEx(3, tau_w=[144.0, 20.0, 100.0], a=[4.0, -2.0, 0.0], integrator="exponential_euler"),
    "Izhikevich euler": Izhikevich(3, a=[0.02, 0.1, 0.02], c=[-65, -65, -50], d=[8, 2, 2], p1=[5.0, 4.9, 5.0]),
    "Izhikevich fig1": Izhikevich(3, v_u=[0.0, -5.0, 0.0], u_leak=[1.0, 0.9, 1.0], integrator="fig1"),
    "Izhikevich half": Izhikevich(3, d=[8, 2, 2], p0=[140.0, 139.0, 141.0], integrator="half"),
    "Izhikevich 2007": Izhikevich2007(
        3,
        C=[100.0, 20.0, 200.0],
        k=[1.0, 1.0, 1.6],
        vr=[-56.0, -55.0, -60.0],
        vt=[-42.0, -40.0, -50.0],
        v_peak=[40.0, 25.0, 35.0],
        peak_slope=[-0.1, 0.0, 0.1],
        a=[0.03, 0.2, 0.01],
        b=[8.0, 0.0, 15.0],
        c=[-53.0, -45.0, -60.0],
        c_slope=[0.04, 0.0, -0.1],
        d=[20.0, 0.0, 10.0],
        u_max=[120.0, np.inf, np.inf],
        v_switch=[np.inf, np.inf, -65.0],
        cubic=[0.0, 0.025, 0.0],
        v_cubic=[0.0, -55.0, 0.0],
    ),
    "Izhikevich 2007 one set": Izhikevich2007(3),
}


def currents(model, steps, rng):
    """Slow noise strong enough for a few spikes of each model."""
    mean = 12.0 if isinstance(model, Izhikevich) else 900.0 if isinstance(model, AdEx) else 550.0
    mean = 250.0 if isinstance(model, Izhikevich2007) else mean
    return mean * (1 + 0.8 * np.repeat(rng.standard_normal((steps // 50 + 1, model.n)), 50, axis=0)[:steps])


@pytest.mark.parametrize("timing", ["brian2", "nest"])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_does_what_its_equations_say(name, timing):
    model = MODELS[name]
    current = currents(model, 1500, np.random.default_rng(3))
    spikes, states = simulate(model, 1500, timing=timing, current=current)
    spikes_twin, states_twin = twin(model, current, 0.1, timing)
    assert spikes.any(axis=0).all()
    assert_array_equal(spikes, spikes_twin)
    for variable in model.variables:  # rounding only, but every upstroke of a spike multiplies it
        assert_allclose(states[variable][:200], states_twin[variable][:200], rtol=1e-10, atol=1e-10)
        assert_allclose(states[variable][:600], states_twin[variable][:600], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("neuron", [LIF, ALIF])
@pytest.mark.parametrize("integrator", ["exact", "euler"])
def test_conductances_pull_by_exponential_euler_or_euler(neuron, integrator):
    adaptation = {"b": 40.0, "beta": 1.0} if neuron is ALIF else {}
    model = neuron(1, E_L=-60.0, V_th=-57.0, V_reset=-60.0, integrator=integrator, **adaptation)

    def wire(net, group):
        source = net.add(SpikeSource(1, [0, 0, 0], [0.5, 2.0, 9.0]), name="source")
        net.connect(source, group, Exponential(tau=5.0, reversal=0.0), all_to_all(), weight=20.0, delay=0.1)

    spikes, states = simulate(model, 300, wire=wire)
    v, g, w, theta, free = -60.0, 0.0, 0.0, 0.0, 0
    expected, fired = [], []
    for k in range(300):
        g_all, drive = 25.0 + g, 25.0 * -60.0 - w
        if k >= free and integrator == "exact":
            v = drive / g_all + (v - drive / g_all) * math.exp(-g_all * 0.1 / 250.0)
        elif k >= free:
            v += 0.1 / 250.0 * (drive - g_all * v)
        decay = math.exp if integrator == "exact" else lambda x: 1 + x
        g, w, theta = g * decay(-0.1 / 5.0), w * decay(-0.1 / 100.0), theta * decay(-0.1 / 100.0)
        crossed = k >= free and v > -57.0 + theta
        g += 20.0 * ((k - 1) in (5, 20, 90))
        if crossed:
            v, free = -60.0, k + 20
            fired.append(k)
            w, theta = w + model.b * (neuron is ALIF) if neuron is ALIF else 0.0, theta + adaptation.get("beta", 0.0)
        expected.append(v)
    assert len(fired) >= 2
    assert_array_equal(spike_steps(spikes), fired)
    assert_allclose(states["v"][:, 0], expected, rtol=1e-12)


# -------------------------------------------------------------------------------------------------- LIF, exact facts
@pytest.mark.parametrize(
    ("t_ref", "threshold", "mu", "rate"), [(2.0, 15.0, 22.5, 77.005278), (0.0, 1.0, 1.2, 55.811063)]
)
def test_f_I_curve(t_ref, threshold, mu, rate):
    neurons = LIF(1, **VOLTAGE_UNITS, V_th=threshold, t_ref=t_ref, I_e=mu)
    steps = spike_steps(simulate(neurons, 200_000, dt=0.001)[0])
    assert len(steps) > 10
    interval = np.diff(steps).mean() * 0.001
    assert abs(interval - 1000 / rate) <= 0.001  # one step of the grid


def test_no_spike_at_or_below_threshold_and_a_step_on_it_only_with_nest():
    quiet = LIF(2, **VOLTAGE_UNITS, V_th=15.0, I_e=[15.0, 14.0])
    assert not simulate(quiet, 20_000)[0].any()
    start = LIF(1, **VOLTAGE_UNITS, V_th=15.0, I_e=15.0)  # starts on the threshold and stays there
    assert not simulate(start, 1, v=15.0)[0].any()
    assert simulate(start, 1, v=15.0, timing="nest")[0].all()


@pytest.mark.parametrize("h", [2.0**-j for j in range(0, 14)])
def test_membrane_is_exact_at_any_step(h):
    neurons = LIF(1, C_m=250, tau_m=10, E_L=0, V_th=1000, V_reset=0, I_e=1000.0)
    _, states = simulate(neurons, round(5 / h), dt=h)
    assert_allclose(states["v"][-1, 0], 15.738773611495, atol=1e-11)  # as published
    assert_allclose(states["v"][-1, 0], -40 * math.expm1(-0.5), rtol=1e-13)


@pytest.mark.parametrize("h", [0.1, 0.05, 0.01, 0.001])
def test_first_spike_of_a_constant_current(h):
    neurons = LIF(1, C_m=250, tau_m=10, E_L=0, V_th=15, V_reset=0, I_e=1000.0)
    exact = 4.700036292457
    assert spike_steps(simulate(neurons, round(6 / h), dt=h)[0])[0] == math.floor(exact / h)


def test_trace_of_NEST():
    spikes, states = simulate(LIF(1, I_e=1000.0), 100, timing="nest")
    v = states["v"][:, 0]  # v[j] is at (j + 1) h
    assert_allclose(v[:5], [-69.602, -69.2079, -68.8178, -68.4316, -68.0492], rtol=1e-6)
    assert_allclose(v[46], -55.0001, rtol=1e-6)
    assert spike_steps(spikes)[0] == 47  # stamped 4.8 ms
    assert_array_equal(v[47:68], -70.0)  # 4.8 to 6.8 ms
    assert v[68] > -70.0


@pytest.mark.parametrize("h", [0.1, 0.2, 0.5, 1.0])
def test_spike_time_on_the_grid_does_not_depend_on_the_step(h):
    spikes, _ = simulate(LIF(1, I_e=1450.0), round(10 / h), dt=h, timing="nest")
    assert_allclose((spike_steps(spikes)[0] + 1) * h, 3.0, rtol=1e-12)


@pytest.mark.parametrize("timing", ["brian2", "nest"])
@pytest.mark.parametrize("ref", [0, 1, 20])
def test_grid_exact_intervals(timing, ref):
    mu = np.array([1.01, 1.05, 1.1, 1.2, 1.5, 2, 3, 5, 10])
    T = 10 * np.log(mu / (mu - 1)) / 0.1  # in steps, none of them whole
    spikes, _ = simulate(LIF(9, **VOLTAGE_UNITS, V_th=1.0, t_ref=ref * 0.1, I_e=mu), 2500, timing=timing)
    for i in range(9):
        steps = spike_steps(spikes, i)
        interval = max(ref, 1) - 1 + math.floor(T[i]) + 1 if timing == "brian2" else ref + math.ceil(T[i])
        assert steps[0] + (timing == "nest") == (math.floor(T[i]) if timing == "brian2" else math.ceil(T[i]))
        assert len(steps) >= 4
        assert set(np.diff(steps)) == {interval}


def test_soft_reset_keeps_the_overshoot():
    kick = np.zeros((3, 1))
    kick[1] = 4000.0
    args = {"current": kick, "timing": "nest", "v": -56.0}
    neurons = LIF(1, tau_m=1e9, t_ref=0.0, E_L=-70.0)  # next to no leak: v grows by I h / C
    _, soft = simulate(dataclasses.replace(neurons, soft_reset=True), 3, **args)
    _, hard = simulate(neurons, 3, **args)
    assert_allclose(soft["v"][:, 0], [-56.0, -56.0 + 1.6 - 15.0, -69.4], rtol=1e-9)
    assert_allclose(hard["v"][:, 0], [-56.0, -70.0, -70.0], rtol=1e-9)


def test_soft_reset_without_leak_counts_the_charge():
    # 1000.3 ms * 900 pA / 250 pF / 15 mV = 240.07 thresholds; a hard reset would lose the overshoots
    neurons = LIF(1, tau_m=1e12, E_L=0, V_reset=0, V_th=15, t_ref=0, I_e=900.0, soft_reset=True)
    assert simulate(neurons, 10_003)[0].sum() == 240


# ------------------------------------------------------------------------------------------------------------- noise
def test_noise_step_is_the_exact_one():
    size = LIF(1, tau_m=10.0, sigma=1.0).coefficients(0.1, False)[6]
    assert_allclose(size * math.sqrt(2), 0.14071719, atol=5e-9)  # Euler-Maruyama has 0.14142136


def test_noise_makes_the_stationary_law_and_correlation():
    n, sigma = 40_000, 2.0
    neurons = LIF(n, tau_m=10.0, C_m=100.0, E_L=-60.0, V_th=0.0, I_e=50.0, sigma=sigma)
    _, states = simulate(neurons, 800, seed=5)
    early, late = states["v"][699], states["v"][799]
    sd = sigma / math.sqrt(2)
    assert abs(late.mean() + 55.0) < 5 * sd / math.sqrt(n)  # 5 standard errors, here and below
    assert abs(late.std() / sd - 1) < 5 / math.sqrt(2 * n)
    assert abs(np.corrcoef(early, late)[0, 1] - math.exp(-1)) < 5 / math.sqrt(n)
    first = states["v"][0]
    assert abs(first.std() / (0.14071719 * sd) - 1) < 5 / math.sqrt(2 * n)


def test_rate_of_noisy_neurons_is_that_of_a_threshold_seen_on_a_grid():
    # Siegert 27.110 Hz; with the threshold raised by 0.5826 sigma sqrt(h/tau) 26.347 Hz, Monte Carlo 26.341 Hz
    neurons = LIF(200, C_m=10, tau_m=10, E_L=0, V_reset=0, V_th=15, t_ref=2.0, I_e=15.0, sigma=math.sqrt(1.5))
    net = Network(dt=0.1, timing="nest", seed=1)
    group = net.add(neurons, name="cells")
    net.record(group, "spikes")
    net.run(300.0, progress=False)
    rate = net.run(10_000.0, progress=False).spikes["cells"].times.size / 200 / 10
    assert abs(rate / 26.347 - 1) < 0.006  # 4 standard errors of 52,000 intervals with CV 0.31


@pytest.mark.parametrize("build", [lambda: LIF(1, sigma=1.0), lambda: ALIF(1, sigma=1.0)])
def test_noise_with_conductances_is_refused(build):
    with pytest.raises(ValueError, match="sigma must be 0 with conductance"):
        build().coefficients(0.1, True)


# -------------------------------------------------------------------------------------------------------------- ALIF
def test_rising_threshold_gives_the_intervals_of_its_closed_form():
    mu, theta0, beta, tau_theta, h = 40.0, 15.0, 4.0, 60.0, 0.1
    neurons = ALIF(1, **VOLTAGE_UNITS, V_th=theta0, t_ref=2.0, I_e=mu, tau_theta=tau_theta, beta=beta)
    steps = spike_steps(simulate(neurons, 5000, timing="nest")[0])
    expected, theta, last, held = [], 0.0, 0, 0
    while True:
        k = np.arange(1, 2000)  # updates since the last spike; v moves in those after the held ones
        above = mu * -np.expm1(-(k - held) * h / 10) >= theta0 + theta * np.exp(-k * h / tau_theta)
        k = k[above & (k > held)][0]
        if last + k > 5000:
            break
        last += k
        theta, held = theta * math.exp(-k * h / tau_theta) + beta, 20
        expected.append(last - 1)
    assert_array_equal(steps, expected)
    assert np.diff(steps)[-1] > 1.5 * np.diff(steps)[0]  # it adapts


@pytest.mark.parametrize("tau_w", [3.0, 10.0 * (1 - 1e-9), 10.0, 10.0 * (1 + 1e-6), 80.0])
@pytest.mark.parametrize("h", [0.1, 0.5, 2.0])
def test_adaptation_current_acts_exactly(tau_w, h):
    neurons = ALIF(1, **VOLTAGE_UNITS, V_th=50.0, tau_w=tau_w)
    _, states = simulate(neurons, round(20 / h), dt=h, w=-30.0)
    t = 20.0
    if abs(tau_w / 10 - 1) < 1e-3:  # difference quotient, by its series in the gap of the rates
        gap = 1 / tau_w - 1 / 10
        kernel = math.exp(-t / 10) * t * (1 - gap * t / 2)
    else:
        kernel = (math.exp(-t / tau_w) - math.exp(-t / 10)) / (1 / 10 - 1 / tau_w)
    assert_allclose(states["v"][-1, 0], 30.0 / 10.0 * kernel, rtol=1e-10)
    assert_allclose(states["w"][-1, 0], -30.0 * math.exp(-t / tau_w), rtol=1e-12)


def test_adaptation_current_lowers_the_rate_to_its_mean_field():
    # f = 1 / T(mu - b tau_w f), because a slow w is nearly its mean b tau_w f
    b, tau_w, mu = 0.1, 2000.0, 60.0

    def interval(f):
        drive = mu - b * tau_w * f
        return 2.0 + 10 * math.log(drive / (drive - 15.0))

    f = scipy.optimize.brentq(lambda f: f * interval(f) - 1, 1e-6, 0.2)
    neurons = ALIF(1, **VOLTAGE_UNITS, V_th=15.0, t_ref=2.0, I_e=mu, tau_w=tau_w, b=b)
    steps = spike_steps(simulate(neurons, 300_000, dt=0.01, timing="nest", w=b * tau_w * f)[0])
    # half a step of 0.01 ms in 7.7 ms, and the ripple b of w
    assert abs(np.diff(steps).mean() * 0.01 * f - 1) < 2e-3
    assert f * interval(0) < 0.8


def test_without_jumps_ALIF_is_LIF_to_the_bit():
    current = currents(LIF(4), 2000, np.random.default_rng(1))
    spikes, states = simulate(LIF(4), 2000, current=current)
    spikes_a, states_a = simulate(ALIF(4), 2000, current=current)
    assert spikes.sum() > 10
    assert_array_equal(spikes, spikes_a)
    assert_array_equal(states["v"], states_a["v"])


# -------------------------------------------------------------------------------------------- propagators, all steps
positive = st.floats(0.5, 200.0)


@settings(deadline=None, max_examples=60)
@given(
    tau_m=positive, tau_w=positive, C_m=positive, E_L=st.floats(-80, 0), I_e=st.floats(-500, 500), h=st.floats(0.01, 2)
)
def test_two_steps_are_one_of_twice_the_length(tau_m, tau_w, C_m, E_L, I_e, h):
    neurons = ALIF(1, tau_m=tau_m, tau_w=tau_w, C_m=C_m, E_L=E_L, I_e=I_e, sigma=1.5, V_reset=-90.0)
    _, _, _, d, c_I, c0, noise, _, d_w, c_w, _, d_theta, _ = neurons.coefficients(h, False)
    e, e_w = 1 - d, 1 - d_w
    twice = neurons.coefficients(2 * h, False)
    close = {"rtol": 1e-11, "atol": 1e-11}
    assert_allclose(twice[[3, 8, 11]], [d * (2 - d), d_w * (2 - d_w), d_theta * (2 - d_theta)], **close)
    assert_allclose(twice[[4, 5]], [c_I * (1 + e), c0 * (1 + e)], **close)
    assert_allclose(twice[6] ** 2, noise**2 * (1 + e * e), **close)
    assert_allclose(twice[9], c_w * (e + e_w), **close)


@settings(deadline=None, max_examples=30)
@given(gap=st.floats(-1e-2, 1e-2))
def test_equal_time_constants_are_no_singularity(gap):
    c_w = ALIF(1, tau_m=10.0, C_m=1.0, tau_w=10.0 / (1 + gap)).coefficients(1.0, False)[9]
    x = 0.1 * gap  # h (1/tau_w - 1/tau_m)
    series = math.exp(-0.1) * (1 - x / 2 + x**2 / 6 - x**3 / 24)
    assert_allclose(c_w, series, rtol=1e-12)


@pytest.mark.parametrize("conductance", [True, False])
def test_tables_of_a_tiring_neuron_begin_with_those_of_a_plain_one_but_for_the_slope_of_the_threshold(conductance):
    plain, tiring = (model(1, V_th=-50.0).coefficients(0.1, conductance) for model in (LIF, ALIF))
    assert_array_equal(np.flatnonzero(plain != tiring[:8]), [1])
    assert tiring[1] == 1.0  # threshold: V_th + theta


@pytest.mark.parametrize("name", MODELS)
def test_tables_hold_one_row_per_coefficient_and_a_column_per_neuron_where_they_differ(name):
    model = MODELS[name]
    table = model.coefficients(0.1, False)
    values = {f.name: getattr(model, f.name) for f in dataclasses.fields(model)}
    for i in range(model.n):
        one = type(model)(**{k: x[i] if np.ndim(x) else x for k, x in values.items()} | {"n": 1})
        assert_array_equal(table if table.ndim == 1 else table[:, i], one.coefficients(0.1, False))


# -------------------------------------------------------------------------------------------------------------- AdEx
def adex_by_lsoda(p, duration):
    """Return spike times and the dense solution up to the first spike."""

    def rhs(t, y):
        v, w = y
        spike = p.g_L * p.Delta_T * math.exp(min((v - p.V_T) / p.Delta_T, 50))
        return [(p.g_L * (p.E_L - v) + spike - w + p.I_e) / p.C_m, (p.a * (v - p.E_L) - w) / p.tau_w]

    def crossing(t, y):
        return y[0] - p.V_cut

    crossing.terminal, crossing.direction = True, 1
    t, y, times, first = 0.0, [p.E_L, 0.0], [], None
    while t < duration:
        part = scipy.integrate.solve_ivp(
            rhs, (t, duration), y, "LSODA", events=crossing, rtol=1e-10, atol=1e-10, dense_output=True
        )
        first = first or part
        t = part.t[-1]
        if part.status == 1:
            times.append(t)
            y = [p.V_reset, part.y[1, -1] + p.b]
    return np.array(times), first


SETS = {
    "regular": AdEx(1, I_e=1000.0),
    "bursting": AdEx(1, tau_w=20, b=500, V_reset=-45.4, I_e=1000.0),
    "delayed": AdEx(1, C_m=200, g_L=12, E_L=-70, V_T=-50, a=-10, tau_w=300, b=0, V_reset=-58, V_cut=0, I_e=300.0),
}


@pytest.mark.parametrize("integrator", ["euler", "exponential_euler"])
@pytest.mark.parametrize("name", SETS)
def test_AdEx_converges_to_a_stiff_solver(name, integrator):
    neurons = dataclasses.replace(SETS[name], integrator=integrator)
    times, first = adex_by_lsoda(neurons, 80.0)
    errors = []
    for h in (0.004, 0.002):
        spikes, states = simulate(neurons, round(80 / h), dt=h, timing="nest")
        found = (spike_steps(spikes) + 1) * h
        assert found.size == times.size >= 3
        errors.append(np.abs(found - times).max())
    assert errors[1] < 0.15  # ms after several spikes: first order, and the grid of the spikes adds up
    assert errors[1] < 0.7 * errors[0]
    t = h * np.arange(1, round((times[0] - 1.0) / h))
    v, w = first.sol(t)
    assert np.mean(np.abs(states["v"][: t.size, 0] / v - 1)) < 5e-4
    assert np.mean(np.abs(states["w"][: t.size, 0] - w)) < 1e-4 * np.abs(w).max()


def test_AdEx_without_adaptation_and_slope_is_LIF():
    common = {"C_m": 250.0, "E_L": -70.0, "V_reset": -70.0, "t_ref": 2.0, "I_e": 500.0}
    lif = LIF(1, tau_m=10.0, V_th=-55.0, **common)
    adex = AdEx(1, g_L=25.0, V_T=-55.0, Delta_T=0.01, a=0, b=0, **common, integrator="exponential_euler")
    spikes, states = simulate(lif, 2000)
    spikes_x, states_x = simulate(adex, 2000)
    steps, steps_x = spike_steps(spikes), spike_steps(spikes_x)
    assert steps.size == steps_x.size >= 10
    assert np.abs(np.diff(steps_x) - np.diff(steps)).max() <= 1  # the upstroke takes up to a step
    assert_allclose(states_x["v"][: steps[0] - 5], states["v"][: steps[0] - 5], rtol=1e-12)


def test_w_moves_on_while_AdEx_is_refractory():
    spikes, states = simulate(AdEx(1, V_cut=-30.0, t_ref=5.0, E_L=-70.0, V_reset=-60.0), 40, v=-29.0, w=100.0)
    assert spike_steps(spikes)[0] == 0
    assert_array_equal(states["v"][:50, 0], -60.0)
    w = states["w"][:, 0]
    step = 0.1 / 144.0
    assert_allclose(np.diff(w), step * (4.0 * 10.0 - w[:-1]), rtol=1e-10)


# -------------------------------------------------------------------------------------------------------- Izhikevich
@pytest.mark.parametrize("integrator", ["euler", "fig1", "half"])
@pytest.mark.parametrize(("b", "points"), [(0.2, (-70, -50)), (0.25, (-64.41391, -54.33609)), (0.26, (-62.5, -56))])
def test_fixed_points(b, points, integrator):
    neurons = Izhikevich(2, b=b, integrator=integrator)
    v = np.array(points, dtype=float)
    _, states = simulate(neurons, 1, v=v, u=b * v)
    assert_allclose(states["v"][0], v, atol=2e-6)  # five decimals are published: 0.1 * 0.08 * 5e-6 * 60 at most
    assert_allclose(states["u"][0], b * v, atol=1e-6)


@pytest.mark.parametrize(("b", "current"), [(0.2, 4.0), (0.25, 1.015625), (0.26, 0.4225)])
def test_the_fixed_points_meet_at_the_saddle_node_current(b, current):
    v = (b - 5) / 0.08
    _, states = simulate(Izhikevich(1, b=b, I_e=current), 1, v=v, u=b * v)
    assert_allclose(states["v"][0, 0], v, atol=1e-12)
    # with more current v' > 0 on the whole line u = b v, with less there is a place where it is negative
    line = np.linspace(-75, -45, 3001)
    for more, grows in ((1e-3, True), (-1e-3, False)):
        _, states = simulate(Izhikevich(3001, b=b, I_e=current + more), 1, v=line, u=b * line)
        assert np.all(states["v"][0] > line) == grows


@pytest.mark.parametrize(("a", "b", "hopf"), [(0.02, 0.2, 3.7975), (0.02, 0.25, 0.685), (0.1, 0.26, 0.2625)])
def test_rest_loses_stability_at_the_hopf_current(a, b, hopf):
    currents = np.array([hopf - 0.01, hopf + 0.01])
    v = ((b - 5) - np.sqrt((5 - b) ** 2 - 0.16 * (140 + currents))) / 0.08
    _, states = simulate(Izhikevich(2, a=a, b=b, I_e=currents), 120_000, dt=0.01, v=v + 1e-4, u=b * v)
    away = np.abs(states["v"] - v)
    early, late = away[:30_000].max(axis=0), away[-30_000:].max(axis=0)
    assert late[0] < 0.5 * early[0]
    assert late[1] > 2 * early[1]


def test_the_figure_scheme_needs_more_than_the_peak_and_the_others_the_peak():
    for integrator, spikes in (("fig1", False), ("euler", True), ("half", True)):
        for timing in ("brian2", "nest"):
            # v' = 0 at v = 30: a start on the peak stays on it
            neurons = Izhikevich(1, p1=0.0, p0=-36.0, a=0.0, integrator=integrator)
            assert simulate(neurons, 1, timing=timing, v=30.0, u=0.0)[0].any() == spikes


def test_Izhikevich_neurons_start_where_the_scripts_do():
    assert Izhikevich(2, b=[0.2, 0.25]).initial()["v"] == -65.0
    assert_array_equal(Izhikevich(2, b=[0.2, 0.25]).initial()["u"], [-13.0, -16.25])
    assert Izhikevich2007(1, vr=-75.0).initial() == {"v": -75.0, "u": 0.0}
    assert LIF(1, E_L=-49.0, V_th=-50.0, V_reset=-60.0).initial() == {"v": -49.0}
    assert AdEx(1).initial() == {"v": -70.6, "w": 0.0}


# ---------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LIF(0), "n must be at least 1, got 0"),
        (lambda: LIF(3, V_th=-70.0), "V_reset must be below V_th, got V_reset=-70 and V_th=-70"),
        (lambda: LIF(3, V_th=[-50, -80, -50]), "V_reset=-70 and V_th=-80"),
        (lambda: LIF(3, tau_m=-10.0), "tau_m must be above 0, got -10"),
        (lambda: LIF(3, tau_m=[1.0, 0.0, 1.0]), "tau_m must be above 0, got 0"),
        (lambda: LIF(3, C_m=0), "C_m must be above 0"),
        (lambda: LIF(3, t_ref=-1.0), "t_ref must be at least 0, got -1"),
        (lambda: LIF(3, sigma=-1.0), "sigma must be at least 0"),
        (lambda: LIF(3, sigma=1.0, integrator="euler"), "sigma must be 0 with integrator='euler'"),
        (lambda: LIF(3, E_L=np.nan), "E_L must be finite"),
        (lambda: LIF(3, E_L=[0, np.nan, 0]), "E_L must be finite, got nan at index \\(1,\\)"),
        (lambda: LIF(3, I_e=np.inf), "I_e must be finite"),
        (lambda: LIF(3, I_e=[1.0, 2.0]), "I_e must be a number or have shape \\(3,\\), got \\(2,\\)"),
        (lambda: LIF(3, I_e=np.zeros((3, 1))), "I_e must have 0 or 1 dimensions, got shape \\(3, 1\\)"),
        (lambda: LIF(3, integrator="rk4"), "integrator must be one of exact, euler, got 'rk4'"),
        (lambda: LIF(3).coefficients(-0.1, False), "dt must be above 0"),
        (lambda: ALIF(3, tau_w=0.0), "tau_w must be above 0"),
        (lambda: ALIF(3, tau_theta=-5.0), "tau_theta must be above 0"),
        (lambda: ALIF(3, V_th=-80.0), "V_reset must be below V_th"),
        (lambda: AdEx(3, Delta_T=0.0), "Delta_T must be above 0"),
        (lambda: AdEx(3, g_L=-1.0), "g_L must be above 0"),
        (lambda: AdEx(3, V_reset=-40.0), "V_reset must be below V_cut, got V_reset=-40 and V_cut=-40.4"),
        (lambda: AdEx(3, V_cut=np.nan), "V_cut must be finite"),
        (lambda: AdEx(3, integrator="exact"), "integrator must be one of euler, exponential_euler"),
        (lambda: Izhikevich(3, c=30.0), "c must be below v_peak"),
        (lambda: Izhikevich(3, integrator="nest"), "integrator must be one of euler, fig1, half"),
        (lambda: Izhikevich2007(3, C=0.0), "C must be above 0"),
        (lambda: Izhikevich2007(3, u_max=-np.inf), "u_max must be finite"),
        (lambda: Izhikevich2007(3, v_switch=[np.nan, 0.0, np.inf]), "v_switch must be finite"),
        (lambda: Izhikevich2007(3, d=np.inf), "d must be finite"),
        (lambda: Izhikevich2007(2, u_max=[[1.0], [1.0, 2.0]]), "u_max must be a regular array"),
        (lambda: LIF(2, tau_m=[[1.0], [1.0, 2.0]]), "tau_m must be a regular array"),
    ],
)
def test_impossible_numbers_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda h: LIF(2, tau_m=[10.0, h], integrator="euler"), "tau_m must be at least dt=0.5 ms with integrator='e"),
        (lambda h: ALIF(1, tau_w=h, integrator="euler"), "tau_w must be at least dt=0.5 ms"),
        (lambda h: ALIF(1, tau_theta=h, integrator="euler"), "tau_theta must be at least dt=0.5 ms"),
        (lambda h: AdEx(1, C_m=h, g_L=1.0), "C_m / g_L must be at least dt=0.5 ms"),
        (lambda h: AdEx(1, tau_w=h), "tau_w must be at least dt=0.5 ms"),
    ],
    ids=["tau_m", "tau_w", "tau_theta", "AdEx membrane", "AdEx tau_w"],
)
def test_Eulers_rule_is_refused_where_a_decay_would_change_sign(build, message):
    build(0.5).coefficients(0.5, False)  # at once is a decay still
    with pytest.raises(ValueError, match=message):
        build(0.49).coefficients(0.5, False)
    exact = {"integrator": "exact" if type(build(1.0)) is not AdEx else "exponential_euler"}
    dataclasses.replace(build(0.49), **exact).coefficients(0.5, False)


def test_the_cut_of_AdEx_follows_when_it_is_given_as_None_again():
    changed = dataclasses.replace(AdEx(1), V_T=-45.0, Delta_T=3.0, V_cut=None)
    assert changed.V_cut == -30.0
    assert dataclasses.replace(AdEx(1), V_T=-45.0).V_cut == pytest.approx(-40.4)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LIF(2.5), "n must be an integer"),
        (lambda: LIF(True), "n must be an integer"),
        (lambda: LIF(None), "n must be an integer"),
        (lambda: LIF(3, 10.0), "positional"),
        (lambda: LIF(3, tau_m=None), "tau_m must be a number, got None"),
        (lambda: LIF(3, tau_m="10 ms"), "tau_m must be a number, got '10 ms'"),
        (lambda: LIF(3, tau_m=True), "tau_m must be a number, got True"),
        (lambda: LIF(3, tau_m=[True, True, False]), "tau_m must hold numbers, got booleans"),
        (lambda: LIF(3, soft_reset=1), "soft_reset must be True or False"),
        (lambda: LIF(3, tau=10.0), "unexpected keyword argument 'tau'"),
        (lambda: AdEx(3, V_cut="0"), "V_cut must be a number"),
        (lambda: Izhikevich2007(3, u_max="none"), "u_max must be a number"),
        (lambda: Izhikevich(3, a=None), "a must be a number"),
    ],
)
def test_wrong_types_are_named(build, message):
    with pytest.raises(TypeError, match=message):
        build()


def test_records_own_their_arrays_and_show_what_differs_from_the_defaults():
    given_array = np.array([-60.0, -65.0])
    neurons = LIF(2, E_L=given_array, V_th=-50)
    given_array[:] = 0.0
    assert_array_equal(neurons.E_L, [-60.0, -65.0])
    for array in (neurons.E_L, Izhikevich2007(2, u_max=[670.0, np.inf]).u_max):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        neurons.V_th = -40.0
    assert repr(neurons) == "LIF(2, E_L=<-65 to -60>, V_th=-50)"
    assert len(neurons) == 2
