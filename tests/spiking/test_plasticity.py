"""Plasticity in the compiled run against loops over all steps and synapses in plain NumPy, and closed forms."""

from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad

from penstock import Uniform
from penstock.spiking import (
    ALIF,
    LIF,
    Delta,
    Exponential,
    InhibitorySTDP,
    Izhikevich,
    LocalLearning,
    Modulation,
    Network,
    PairSTDP,
    PoissonGroup,
    SpikeSource,
    SynapticScaling,
    ThreeFactor,
    ThresholdHomeostasis,
    TripletSTDP,
    TsodyksMarkram,
    all_to_all,
    from_edges,
    one_to_one,
    probability,
)

DT, STEPS, N_PRE, N_POST = 0.5, 800, 12, 7  # ms: on a coarse grid many spikes meet in one step


def build(rule, *, timing="brian2", seed=3, weight=None, delay=None, synapse=None, order=None, model=LIF, **more):
    """Random trains onto neurons that a current drives, through plastic synapses of several delays."""
    rng = np.random.default_rng(seed)
    spikes = rng.random((STEPS, N_PRE)) < 0.03
    steps, ids = np.nonzero(spikes)
    edges = np.argwhere(rng.random((N_PRE, N_POST)) < 0.6)
    drive = np.linspace(420, 600, N_POST)
    weights = rng.uniform(1.0, 4.0, len(edges)) if weight is None else weight
    delays = DT * rng.integers(1, 8, len(edges)) if delay is None else delay
    order = np.arange(N_POST) if order is None else order  # neuron i of the first is neuron order[i] here
    net = Network(dt=DT, timing=timing, seed=seed)
    pre = net.add(SpikeSource(N_PRE, ids, (steps + (timing == "nest")) * DT), name="pre")
    post = net.add(model(N_POST, I_e=drive[np.argsort(order)], V_th=-52.0 if model is LIF else -50.0), name="post")
    moved = order[edges[:, 1]]
    by = np.lexsort((moved, edges[:, 0]))
    each = {"weight": weights[by] if np.ndim(weights) else weights, "delay": delays[by] if np.ndim(delays) else delays}
    plastic = net.connect(
        pre, post, synapse or Exponential(4.0), from_edges(edges[by, 0], moved[by]), **each, plasticity=rule, **more
    )
    net.record(post, "spikes")
    return SimpleNamespace(net=net, pre=pre, post=post, p=plastic, pre_spikes=spikes)


def raster(recording, shift=0, n=N_POST, steps=STEPS):
    trains = recording.spikes["post"]
    out = np.zeros((steps, n), bool)
    out[np.rint(trains.times / DT).astype(int) - shift, trains.ids] = True
    return out


def pair_form(rule):
    """The numbers of pair, triplet and inhibitory rules under common names."""
    m = SimpleNamespace(a3p=0.0, a3m=0.0, mup=0.0, mum=0.0, alpha=0.0, tx=1.0, ty=1.0, dendritic=False, nearest=False)
    if isinstance(rule, PairSTDP):
        m.ap, m.am, m.tp, m.tm = rule.A_plus, rule.A_minus, rule.tau_plus, rule.tau_minus
        m.mup, m.mum, m.dendritic, m.nearest = rule.mu_plus, rule.mu_minus, rule.dendritic, rule.nearest
    elif isinstance(rule, TripletSTDP):
        m.ap, m.am, m.tp, m.tm = rule.A2_plus, rule.A2_minus, rule.tau_plus, rule.tau_minus
        m.a3p, m.a3m, m.tx, m.ty, m.nearest = rule.A3_plus, rule.A3_minus, rule.tau_x, rule.tau_y, rule.nearest
    else:
        m.ap, m.am, m.tp, m.tm = rule.eta, -rule.eta, rule.tau, rule.tau
        m.alpha = 2 * rule.target_rate * rule.tau / 1000
    m.low, m.high = rule.w_min, rule.w_max
    return m


def depressed(m, w, o1, r2):
    part = ((w - m.low) / (m.high - m.low)) ** m.mum
    return np.clip(w - (m.am + m.a3m * r2) * part * (o1 - m.alpha), m.low, m.high)


def naive(rule, w, source, target, lag, pre, post):
    """Every trace of every synapse in every step; spikes as (steps, n) of bools, `lag` in steps."""
    m, w = pair_form(rule), w.copy()
    r1, r2, o1, o2 = np.zeros((4, w.size))
    seen = lambda spikes, k, i, late: np.array([k >= d and spikes[k - d, j] for d, j in zip(late, i, strict=True)])  # noqa: E731
    none = np.zeros_like(lag)
    for k in range(len(pre)):
        for trace, tau in ((r1, m.tp), (r2, m.tx), (o1, m.tm), (o2, m.ty)):
            trace *= np.exp(-DT / tau)
        arrives = seen(pre, k, source, none if m.dendritic else lag)
        fires = seen(post, k, target, lag if m.dendritic else none)

        if not m.dendritic:
            w[arrives] = depressed(m, w, o1, r2)[arrives]
            r1[arrives], r2[arrives] = (1.0, 1.0) if m.nearest else (r1[arrives] + 1, r2[arrives] + 1)
        part = ((m.high - w) / (m.high - m.low)) ** m.mup
        w[fires] = np.clip(w + (m.ap + m.a3p * o2) * part * r1, m.low, m.high)[fires]
        if m.dendritic:  # those that meet are no pair
            w[arrives] = depressed(m, w, o1, r2)[arrives]
            r1[arrives], r2[arrives] = (1.0, 1.0) if m.nearest else (r1[arrives] + 1, r2[arrives] + 1)
        o1[fires], o2[fires] = (1.0, 1.0) if m.nearest else (o1[fires] + 1, o2[fires] + 1)
    return w


TRIPLET = TripletSTDP(0.05, 0.06, 0.1, 0.04, tau_plus=16.8, tau_minus=33.7, tau_x=101, tau_y=125, w_max=5.0)
RULES = [
    PairSTDP(0.3, 0.25, w_max=5.0),
    PairSTDP(0.3, 0.25, tau_plus=12.0, tau_minus=31.0, w_min=-1.0, w_max=5.0, mu_plus=1.0, mu_minus=1.0, nearest=True),
    PairSTDP(0.3, 0.25, w_min=0.5, w_max=5.0, mu_plus=0.4, mu_minus=0.7),
    PairSTDP(0.05, 0.055, tau_plus=20.0, tau_minus=30.0, w_max=5.0, mu_plus=1.0, mu_minus=1.0, dendritic=True),
    PairSTDP(0.2, 0.15, w_max=5.0, nearest=True, dendritic=True),
    TRIPLET,
    TripletSTDP(0.05, 0.06, 0.1, 0.04, tau_plus=17, tau_minus=34, tau_x=90, tau_y=125, w_max=5.0, nearest=True),
    InhibitorySTDP(0.1, 8.0, tau=15.0, w_max=5.0),
]


@pytest.mark.parametrize("timing", ["brian2", "nest"])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_learned_weights_are_those_of_a_loop_over_all_steps_and_synapses(rule, timing):
    """1e-12: traces that decay in one exponential or in 800 factors differ by their rounding."""
    made = build(rule, timing=timing)
    source, target, w, delay = made.p.edges()
    after = raster(made.net.run(STEPS * DT, progress=False), shift=timing == "nest")
    expected = naive(rule, w, source, target, np.rint(delay / DT).astype(int), made.pre_spikes, after)
    assert after.sum() > 60 and np.abs(expected - w).max() > 0.3
    assert_allclose(made.p.weights, expected, rtol=0, atol=1e-12)
    inside = (expected > rule.w_min) & (expected < rule.w_max)
    assert inside.mean() > 0.2


def first_jump(rule, **more):
    """The state g of a target after the second spike of a source, its own spike between them."""
    net = Network(dt=0.5)
    pre = net.add(SpikeSource(1, [0, 0], [1.0, 20.0]), name="pre")
    push = net.add(SpikeSource(1, [0], [10.0]), name="push")
    post = net.add(LIF(1), name="post")
    net.connect(push, post, Delta(), one_to_one(), weight=30.0)
    p = net.connect(pre, post, Exponential(5.0), one_to_one(), weight=2.0, plasticity=rule, **more)
    net.run(20.0, progress=False)
    before = net.get(post, "g")[0]
    net.run(0.5, progress=False)
    return net.get(post, "g")[0] - before * np.exp(-0.1), p.weights[0]


def test_spikes_act_with_the_weight_before_the_change_of_pair_rules_and_after_that_of_inhibitory_ones():
    """The target spikes at 10.5 ms (the jump at 10 ms comes after the test of its step)."""
    x, y = np.exp(-9.5 / 20), np.exp(-9.5 / 20)
    jump, w = first_jump(PairSTDP(0.5, 0.4, w_max=10.0))
    assert_allclose([jump, w], [2 + 0.5 * x, 2 + 0.5 * x - 0.4 * y], rtol=1e-13)
    jump, w = first_jump(InhibitorySTDP(0.5, 5.0, w_max=10.0))
    w0 = 2 - 0.5 * 0.2  # alpha = 2 * 5 Hz * 20 ms
    assert_allclose([jump, w], [w0 + 0.5 * x + 0.5 * (y - 0.2)] * 2, rtol=1e-13)


def test_short_term_plasticity_scales_what_the_learned_weight_does():
    rule, short = PairSTDP(0.5, 0.4, w_max=10.0), TsodyksMarkram(U=0.5, tau_rec=800.0, tau_fac=0.0)
    plain, learned = first_jump(rule)
    jump, w = first_jump(rule, short_term=short)
    assert_allclose(jump, plain * short.responses([1.0, 20.0])[1], rtol=1e-13)
    assert w == learned


def test_pairs_give_the_window_of_the_rule_with_the_arrival_as_presynaptic_time():
    """F25: one pair each, at all distances; spikes of targets are forced by jumps of 30 mV one step before."""
    shifts, delay = np.arange(-30, 31), 4 * DT
    for dendritic in (False, True):
        net = Network(dt=DT)
        pre = net.add(SpikeSource(61, np.arange(61), np.full(61, 50.0)), name="pre")
        push = net.add(SpikeSource(61, np.arange(61), 50.0 + DT * (shifts - 1)), name="push")
        post = net.add(LIF(61), name="post")
        net.connect(push, post, Delta(), one_to_one(), weight=30.0)
        rule = PairSTDP(1.0, 0.7, tau_plus=10.0, tau_minus=25.0, w_min=-5.0, w_max=5.0, dendritic=dendritic)
        p = net.connect(pre, post, Modulation(10.0), one_to_one(), weight=0.0, delay=delay, plasticity=rule)
        net.run(120.0, progress=False)
        gap = shifts * DT + (delay if dendritic else -delay)  # of the target's spike after the presynaptic one, there
        window = np.where(gap >= 0, np.exp(-gap / 10.0), -0.7 * np.exp(gap / 25.0))
        assert_allclose(p.weights, np.where(gap == 0, 0.0, window) if dendritic else window, rtol=0, atol=1e-14)


# ------------------------------------------------------------------------------------------------- three factors
def rewarded(hits, pulses, *, tau_c=1000.0, tau_d=200.0, until, dt=0.5, chunks=1, low=-1e9):
    """Gain of a weight by pairs without distance at `hits` (ms) and modulator at `pulses` ((ms, amount), …)."""
    net = Network(dt=dt)
    hits, times, amounts = np.asarray(hits), *np.transpose(pulses)
    pre = net.add(SpikeSource(1, np.zeros(len(hits), int), hits), name="pre")
    push = net.add(SpikeSource(1, np.zeros(len(hits), int), hits - dt), name="push")
    reward = net.add(SpikeSource(len(times), np.arange(len(times)), times), name="reward")
    post = net.add(LIF(1, t_ref=0.0), name="post")
    net.connect(push, post, Delta(), one_to_one(), weight=30.0)
    pair = PairSTDP(1.0, 0.0, tau_plus=1e-3, w_min=low, w_max=1e9)  # so short that only spikes that meet are pairs
    rule = ThreeFactor(pair, "dopamine", tau_c=tau_c, learning_rate=1e-3)
    p = net.connect(pre, post, Delta(), one_to_one(), weight=0.0, plasticity=rule)
    net.connect(reward, post, Modulation(tau_d), all_to_all(), weight=amounts)
    for _ in range(chunks):
        net.run(until / chunks, progress=False)
    return p.weights[0]


def test_a_late_reward_acts_as_the_closed_form_of_distal_reward():
    """F28, seconds: A D exp(-T / tau_c) / (1 / tau_c + 1 / tau_d); after 20 s 1e-43 of it is left to come."""
    assert_allclose(rewarded([20.0], [(520.0, 1.0)], until=20_000.0), 0.1010884433, atol=5e-11)


def test_hits_and_rewards_in_any_order_act_as_the_integral_of_eligibility_times_modulator():
    hits, pulses = [30.0, 200.0, 450.0, 451.0, 1300.0], [(10.0, 0.5), (350.5, 2.0), (460.0, -1.0), (1310.0, 1.5)]
    pulses = [*pulses, (1400.0, 0.7)]
    end, tau_c, tau_d = 1700.0, 120.0, 45.0

    def product(t):
        c = sum(np.exp(-(t - h) / tau_c) for h in hits if h <= t)
        return c * sum(a * np.exp(-(t - s) / tau_d) for s, a in pulses if s <= t)

    edges = np.unique([0.0, *hits, *[s for s, _ in pulses], end])
    expected = sum(quad(product, a, b, epsabs=1e-13, epsrel=1e-13)[0] for a, b in zip(edges, edges[1:], strict=False))
    got = rewarded(hits, pulses, tau_c=tau_c, tau_d=tau_d, until=end + 0.5)  # the last step begins at its end
    assert_allclose(got, 1e-3 * expected, rtol=1e-9)


def naive_three_factor(rule, made, w, source, target, lag, post, modulator):
    """Steps of exact integrals of c d, c changed by per-synapse traces; one value per synapse everywhere."""
    pair, n = rule.rule, w.size
    c, x, y, gained = np.zeros((4, n))
    rate = 1 / rule.tau_c + 1 / 30.0
    for k in range(STEPS):
        if k:
            gained += rule.learning_rate * c * modulator[k - 1, target] * (1 - np.exp(-rate * DT)) / rate
        c *= np.exp(-DT / rule.tau_c)
        x, y = x * np.exp(-DT / pair.tau_plus), y * np.exp(-DT / pair.tau_minus)
        arrives = np.array([k >= d and made.pre_spikes[k - d, j] for d, j in zip(lag, source, strict=True)])
        fires = post[k, target]
        c -= pair.A_minus * y * arrives
        x += arrives
        c += pair.A_plus * x * fires
        y += fires
    return w + gained


def with_reward(rule, **more):
    made = build(rule, **more)
    made.reward = made.net.add(PoissonGroup(5, rate=20.0), name="reward")
    made.net.connect(made.reward, made.post, Modulation(30.0, name="m"), probability(0.6), weight=Uniform(-1.0, 2.0))
    made.net.record(made.post, "m")
    return made


def test_three_factor_weights_are_those_of_a_loop_over_all_steps_and_synapses():
    """tau_c of 40 steps: eligibilities are referred anew 20 times."""
    rule = ThreeFactor(PairSTDP(0.3, 0.25, w_min=-50.0, w_max=50.0), "m", tau_c=20.0, learning_rate=0.02)
    made = with_reward(rule)
    source, target, w, delay = made.p.edges()
    recording = made.net.run(STEPS * DT, progress=False)
    lag = np.rint(delay / DT).astype(int)
    m = recording.states["post", "m"].values
    expected = naive_three_factor(rule, made, w, source, target, lag, raster(recording), m)
    assert np.abs(expected - w).max() > 0.1
    assert_allclose(made.p.weights, expected, rtol=0, atol=1e-11)


def test_eligible_weights_stay_within_bounds_and_may_be_set_between_runs():
    assert rewarded([20.0], [(30.0, -5.0)], until=500.0, low=-0.25) == -0.25
    made = with_reward(ThreeFactor(PairSTDP(0.3, 0.25, w_max=50.0), "m"))
    made.net.run(50.0, progress=False)
    made.p.weights = 2.0
    assert_array_equal(made.p.weights, 2.0)


# ------------------------------------------------------------------------------------------------ local learning
@pytest.mark.parametrize("model", ["LIF", "ALIF"])
def test_local_learning_is_a_loop_over_all_steps_and_synapses(model):
    """Below threshold, where the recorded potential is the one that the rule sees."""
    rule = LocalLearning(1e-4, "m", tau_pre=15.0, tau_e=25.0, width=14.0, w_min=1.2, w_max=3.8)
    quiet = {"V_th": -45.0}
    made = with_reward(
        rule, weight=2.0, model=lambda n, I_e, V_th: {"LIF": LIF, "ALIF": ALIF}[model](n, I_e=I_e, **quiet)
    )
    theta = np.zeros((STEPS, N_POST))
    if model == "ALIF":  # tau_theta of 100 ms
        made.net.set(made.post, theta=np.linspace(0, 6, N_POST))
        theta = np.linspace(0, 6, N_POST) * np.exp(-DT / 100.0 * np.arange(1, STEPS + 1))[:, None]
    made.net.record(made.post, "v")
    source, target, w, delay = made.p.edges()
    recording = made.net.run(STEPS * DT, progress=False)
    v, m = (recording.states["post", name].values for name in ("v", "m"))
    lag, x, e = np.rint(delay / DT).astype(int), np.zeros(w.size), np.zeros(w.size)
    for k in range(STEPS):
        x *= np.exp(-DT / 15.0)
        x += [k >= d and made.pre_spikes[k - d, j] for d, j in zip(lag, source, strict=True)]
        psi = np.maximum(0.0, 1 - np.abs(v[k] + 45.0 - theta[k]) / 14.0)
        e = np.exp(-DT / 25.0) * e + x * psi[target]
        w = np.clip(w + 1e-4 * m[k, target] * e, 1.2, 3.8)
    assert not raster(recording).any() and ((w > 1.2) & (w < 3.8)).any() and (np.abs(w - 2.0) > 0.1).any()
    assert_allclose(made.p.weights, w, rtol=0, atol=1e-12)


@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_local_learning_sees_the_potential_before_the_reset(timing):
    """A jump of 16 mV in step 4 lifts v over the threshold; Brian2's order tests it one step later, as it has sunk."""
    start = DT * (timing == "nest")
    net = Network(dt=DT, timing=timing)
    source, post = net.add(SpikeSource(1, [0], [2.0 + start])), net.add(LIF(1))
    net.connect(source, post, Delta(), one_to_one(), weight=16.0, delay=start)
    rule = LocalLearning(1.0, "m", tau_pre=10.0, tau_e=1e-3, width=5.0, w_max=9.0)
    p = net.connect(source, post, Modulation(1e-3), one_to_one(), weight=1.0, delay=start, plasticity=rule)
    net.connect(source, post, Modulation(1e9, name="m"), one_to_one(), weight=1.0, delay=start)
    net.run(2.0 + start, progress=False)
    assert p.weights == [1.0]
    net.run(DT, progress=False)
    assert_allclose(p.weights, 1 + (1 - 1 / 5), rtol=1e-12)  # at -54 mV
    net.run(DT, progress=False)
    if timing == "nest":
        assert net.get(post, "v") == [-70.0]
        assert_allclose(p.weights, 1.8, rtol=1e-12)
    else:
        sunk = -70.0 + 16.0 * np.exp(-0.05)
        gain = np.exp(-0.05) * (1 - abs(sunk + 55.0) / 5)
        assert_allclose(p.weights, 1.8 + gain, rtol=1e-8)


def test_modulators_act_on_no_membrane():
    for model in (LIF(3), LIF(3, integrator="euler"), Izhikevich(3, integrator="euler"), LIF(3, sigma=2.0)):
        potentials = []
        for weight in (0.0, 1e6):
            net = Network(dt=0.5, seed=1)
            reward, post = net.add(SpikeSource(1, [0], [1.0])), net.add(model)
            net.connect(reward, post, Modulation(200.0), all_to_all(), weight=weight)
            net.run(20.0, progress=False)
            potentials.append(net.get(post, "v"))
            assert_allclose(net.get(post, "dopamine"), weight * np.exp(-18.5 / 200), rtol=1e-3)
        assert_array_equal(*potentials)


# ------------------------------------------------------------------------------------------------- regulation
@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_the_rate_differs_from_the_target_by_the_gain_of_the_shift_alone(timing):
    """Exact: shift = eta (spikes - target_rate time); 1e-9 for 10^4 roundings of some mV. And it is bounded."""
    for model in (LIF, ALIF):
        net = Network(dt=0.5, timing=timing, seed=2)
        cells = net.add(model(5, I_e=np.linspace(450, 900, 5)), name="cells")
        net.regulate(cells, ThresholdHomeostasis(12.0, eta=0.5))
        net.record(cells, "spikes")
        counts = np.bincount(net.run(5000.0, progress=False).spikes["cells"].ids, minlength=5)
        shift = net.get(cells, "shift")
        assert_allclose(shift, 0.5 * (counts - 12.0 * 5.0), atol=1e-9)
        late = np.bincount(net.run(20_000.0, progress=False).spikes["cells"].ids, minlength=5) / 20.0
        assert_allclose(late, 12.0, rtol=0.02)


def test_thresholds_are_where_the_shift_puts_them():
    net = Network(dt=0.1)
    cells = net.add(LIF(3, I_e=375.0, tau_m=10.0, C_m=250.0, V_th=-60.0), name="cells")  # v goes to -55 mV
    net.regulate(cells, ThresholdHomeostasis(1e-9, eta=1e-9))
    net.set(cells, shift=[0.0, 3.0, 6.0])
    net.record(cells, "spikes")
    trains = net.run(40.0, progress=False).spikes["cells"]
    first = [trains.times[trains.ids == i].min(initial=np.inf) for i in range(3)]
    expected = [10 * np.log(15 / 5), 10 * np.log(15 / 2), np.inf]  # of -70 + 15 (1 - exp(-t / 10))
    assert_allclose(first, np.floor(np.array(expected) / 0.1) * 0.1, atol=1e-9)


def test_scaling_multiplies_weights_onto_a_neuron_by_one_number():
    made = build(None)
    rule = SynapticScaling(20.0, every=50.0, eta=0.3)
    made.net.regulate(made.p, rule)
    w, target = made.p.weights, made.p.edges()[1]
    fires = raster(made.net.run(STEPS * DT, progress=False)).reshape(8, 100, N_POST).sum(1)
    for count in fires:
        w = w * np.exp(0.3 * (1 - count / (20.0 * 0.05)))[target]
    assert_allclose(made.p.weights, w, rtol=1e-13)
    ratio = made.p.weights / build(None).p.weights
    assert all(np.ptp(ratio[target == i]) < 1e-12 * ratio.max() for i in range(N_POST)) and np.ptp(ratio) > 0.1


def test_scaling_brings_neurons_to_the_target_rate():
    net = Network(dt=0.5, seed=4)
    noise, cells = net.add(PoissonGroup(200, rate=20.0)), net.add(LIF(4), name="post")
    p = net.connect(noise, cells, Exponential(5.0), all_to_all(), weight=Uniform(5.0, 25.0))
    net.regulate(p, SynapticScaling(15.0, every=200.0, eta=0.05))
    net.record(cells, "rate", every=1000.0)
    net.run(20_000.0, progress=False)
    assert abs(net.run(20_000.0, progress=False).rates["post"].values.mean() - 15.0) < 1.0


def test_inhibition_holds_the_target_rate():
    """Vogels et al.: without it these neurons fire at more than 40 Hz."""
    net = Network(dt=0.5, seed=5)
    drive, noise = net.add(PoissonGroup(100, rate=30.0)), net.add(PoissonGroup(100, rate=20.0))
    cells = net.add(LIF(20, tau_m=20.0, C_m=200.0, E_L=-60.0, V_th=-50.0, V_reset=-60.0, t_ref=5.0), name="cells")
    net.connect(drive, cells, Exponential(5.0, reversal=0.0), probability(0.5), weight=1.5)
    rule = InhibitorySTDP(0.05, 8.0, w_max=100.0)
    p = net.connect(noise, cells, Exponential(10.0, reversal=-80.0), probability(0.5), weight=0.0, plasticity=rule)
    net.record(cells, "rate", every=500.0)
    rates = net.run(15_000.0, progress=False).rates["cells"].values
    assert rates[0] > 30.0 and p.weights.mean() > 0.5
    assert abs(rates[-16:].mean() - 8.0) < 2.0  # above it: inhibition keeps spikes away from arrivals


# ------------------------------------------------------------------------------------------ runs in other ways
def everything(seed=3, **more):
    """One of each rule in one network, with noise."""
    made = with_reward(ThreeFactor(PairSTDP(0.3, 0.25, w_max=50.0), "m", tau_c=20.0, learning_rate=0.02), seed=seed)
    net, post = made.net, made.post
    more = net.add(PoissonGroup(20, rate=40.0), name="more")
    made.all = [made.p]
    local = LocalLearning(1e-3, "m", tau_pre=15.0, tau_e=25.0, width=6.0, w_min=-9.0, w_max=9.0)
    for rule in (*RULES, local):
        w = Uniform(max(rule.w_min, 0.5), 3.0)
        delay = DT * 3
        made.all.append(
            net.connect(more, post, Exponential(4.0), probability(0.4), weight=w, delay=delay, plasticity=rule)
        )
    net.regulate(made.all[1], SynapticScaling(20.0, every=15.0, eta=0.1))
    net.regulate(made.p, SynapticScaling(20.0, every=25.0, eta=0.1))
    net.regulate(post, ThresholdHomeostasis(20.0, eta=0.3))
    return made


def outcome(made):
    return [*[p.weights for p in made.all], made.net.get(made.post, "v"), made.net.get(made.post, "shift")]


def test_weights_do_not_depend_on_pieces_copies_recorders_or_layouts():
    """F36, to the bit; times of the pieces meet those of scaling and of eligibilities or miss them."""
    whole = everything()
    whole.net.run(200.0, progress=False)
    pieces = everything()
    pieces.net.record(pieces.post, "v")
    for duration in (0.5, 14.5, 10.0, 35.5, 0.5):
        pieces.net.run(duration, progress=False)
        _ = [p.weights for p in pieces.all]
    twin = deepcopy(pieces)
    for made in (pieces, twin):
        made.net._changed()  # lay all out anew
        made.net.run(139.0, progress=False)
    for a, b, c in zip(outcome(whole), outcome(pieces), outcome(twin), strict=True):
        assert_array_equal(a, b)
        assert_array_equal(a, c)
    assert all(np.ptp(p.weights) > 0 for p in whole.all)


def test_a_copy_learns_alone():
    made = everything()
    made.net.run(20.0, progress=False)
    before = [p.weights for p in made.all]
    deepcopy(made).net.run(50.0, progress=False)
    assert all(np.array_equal(p.weights, w) for p, w in zip(made.all, before, strict=True))


def test_reset_keeps_weights_and_forgets_spikes():
    made, fresh = everything(), everything()
    made.net.run(55.0, progress=False)  # between two times at which eligibilities are referred anew
    learned = [p.weights for p in made.all]
    made.net.reset()
    for p, q, w in zip(made.all, fresh.all, learned, strict=True):
        assert_array_equal(p.weights, w)
        q.weights = w
    made.net.run(60.0, progress=False)
    fresh.net.run(60.0, progress=False)
    for a, b in zip(outcome(made), outcome(fresh), strict=True):
        assert_array_equal(a, b)


@settings(deadline=None, max_examples=6)
@given(st.permutations(range(N_POST)), st.sampled_from(RULES))
def test_permuted_neurons_learn_permuted_weights(order, rule):
    made, other = build(rule), build(rule, order=np.array(order))
    for one in (made, other):
        one.net.run(200.0, progress=False)
    pre, post, w, _ = made.p.edges()
    dense, moved = np.zeros((2, N_PRE, N_POST))
    dense[pre, post] = w
    pre, post, w, _ = other.p.edges()
    moved[pre, post] = w
    assert_array_equal(dense, moved[:, order])


def test_a_projection_made_between_two_runs_learns_from_later_spikes_only():
    for rule in (RULES[0], RULES[3]):
        late = build(RULES[0])
        late.net.run(100.0, progress=False)
        delay = DT * np.resize([1, 5, 3, 7], N_PRE * N_POST)
        weight = np.linspace(1, 3, N_PRE * N_POST)
        q = late.net.connect(
            late.pre, late.post, Modulation(9.0), all_to_all(), weight=weight, delay=delay, plasticity=rule
        )
        pre, post, w, delay = q.edges()
        after = raster(late.net.run(STEPS * DT - 100.0, progress=False))
        spikes = late.pre_spikes.copy()
        spikes[:200] = False
        expected = naive(rule, w, pre, post, np.rint(delay / DT).astype(int), spikes, after)
        assert_allclose(q.weights, expected, atol=1e-12)


def test_parts_of_populations_learn_like_whole_ones():
    rule = PairSTDP(0.3, 0.25, w_max=5.0)
    made = build(None)
    q = made.net.connect(
        made.pre[3:9], made.post[2:6], Modulation(9.0), all_to_all(), weight=2.0, delay=1.0, plasticity=rule
    )
    after = raster(made.net.run(STEPS * DT, progress=False))
    pre, post, _, _ = q.edges()
    lag = np.full(len(q), 2)
    expected = naive(rule, np.full(len(q), 2.0), pre + 3, post + 2, lag, made.pre_spikes, after)
    assert_allclose(q.weights, expected, atol=1e-12)


def test_memory_counts_what_synapses_remember():
    plain, plastic = build(None), build(ThreeFactor(PairSTDP(0.1, 0.1, w_max=9.0), "m"))
    n, rows = len(plain.p), plain.p.pointers.size - 1
    # two numbers and two places per synapse, triples per source and delay and per target, and more per target
    expected = n * (16 + 8) + 24 * (rows + N_POST) + 8 * N_POST + 4 * (N_POST + 1)
    assert plastic.net.memory() - plain.net.memory() == expected


# ------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: PairSTDP(None, 0.1, w_max=1.0), TypeError, "A_plus must be a number"),
        (lambda: PairSTDP(0.1, np.nan, w_max=1.0), ValueError, "A_minus must be finite"),
        (lambda: PairSTDP(0.1, True, w_max=1.0), TypeError, "A_minus must be a number"),
        (lambda: PairSTDP(0.1, 0.1, tau_plus=0.0, w_max=1.0), ValueError, "tau_plus must be above 0"),
        (lambda: PairSTDP(0.1, 0.1, mu_minus=-1, w_max=1.0), ValueError, "mu_minus must be at least 0"),
        (lambda: PairSTDP(0.1, 0.1, w_min=1.0, w_max=1.0), ValueError, "w_min must be below w_max"),
        (lambda: PairSTDP(0.1, 0.1, w_max=np.inf), ValueError, "w_max must be finite"),
        (lambda: PairSTDP(0.1, 0.1, w_max=1.0, nearest="yes"), TypeError, "nearest must be True or False"),
        (lambda: PairSTDP(0.1, 0.1, w_max=1.0, dendritic=1), TypeError, "dendritic must be True or False"),
        (lambda: InhibitorySTDP(0.1, -3.0, w_max=1.0), ValueError, "target_rate must be at least 0"),
        (lambda: ThreeFactor("stdp"), TypeError, "rule must be a PairSTDP"),
        (lambda: ThreeFactor(PairSTDP(1, 1, w_max=1.0, mu_plus=1)), ValueError, "rule must be additive"),
        (lambda: ThreeFactor(PairSTDP(1, 1, w_max=1.0), 3), ValueError, "factor must be the name"),
        (lambda: ThreeFactor(PairSTDP(1, 1, w_max=1.0), tau_c=-1), ValueError, "tau_c must be above 0"),
        (
            lambda: LocalLearning(1.0, "m", tau_pre=1.0, tau_e=1.0, width=0.0, w_max=1.0),
            ValueError,
            "width must be above 0",
        ),
        (lambda: SynapticScaling(0.0), ValueError, "target_rate must be above 0"),
        (lambda: ThresholdHomeostasis(5.0, eta="fast"), TypeError, "eta must be a number"),
        (lambda: Modulation(0.0), ValueError, "tau must be above 0"),
        (lambda: Modulation(10.0, name=None), ValueError, "name must be a word"),
    ],
)
def test_rules_with_wrong_numbers_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_weights_outside_bounds_are_refused_by_name_when_given_and_when_set():
    with pytest.raises(ValueError, match=r"weights outside bounds.*'pre' -> 'post'.*w_max=5.*got 6"):
        build(PairSTDP(0.1, 0.1, w_max=5.0), weight=6.0)
    made = build(PairSTDP(0.1, 0.1, w_max=5.0))
    with pytest.raises(ValueError, match=r"weights outside bounds.*'pre' -> 'post'.*got -1"):
        made.p.weights = -1.0


def test_rules_bound_to_missing_states_are_refused():
    made = build(ThreeFactor(PairSTDP(0.1, 0.1, w_max=5.0)))
    with pytest.raises(ValueError, match=r"ThreeFactor of 'pre' -> 'post' needs the state 'dopamine' of 'post'"):
        made.net.run(10.0, progress=False)
    made.net.connect(made.pre, made.post, Exponential(5.0, name="dopamine"), all_to_all(), weight=1.0)
    with pytest.raises(ValueError, match="made by a modulation"):
        made.net.run(10.0, progress=False)
    net = Network()
    pre, post = net.add(PoissonGroup(2, rate=5.0)), net.add(Izhikevich(2, integrator="euler"), name="izh")
    local = LocalLearning(1.0, "m", tau_pre=1.0, tau_e=1.0, width=1.0, w_max=1.0)
    with pytest.raises(ValueError, match="LocalLearning needs targets with a threshold V_th .*'izh'"):
        net.connect(pre, post, Exponential(5.0), all_to_all(), weight=1.0, plasticity=local)
    with pytest.raises(TypeError, match=r"plasticity must be PairSTDP\(…\)"):
        net.connect(pre, post, Exponential(5.0), all_to_all(), weight=1.0, plasticity=PairSTDP)
    with pytest.raises(TypeError, match=r"plasticity must be PairSTDP\(…\)"):
        net.connect(pre, post, Exponential(5.0), all_to_all(), weight=1.0, plasticity=SynapticScaling(5.0))
    assert not net.projections


def test_regulation_of_what_cannot_be_regulated_is_refused():
    made = build(None)
    net, homeostasis, scaling = made.net, ThresholdHomeostasis(5.0, eta=0.1), SynapticScaling(5.0)
    izhikevich = net.add(Izhikevich(2, integrator="euler"), name="izh")
    wrong = [
        (made.pre, homeostasis, ValueError, "needs neurons with a threshold V_th"),
        (izhikevich, homeostasis, ValueError, "needs neurons with a threshold V_th"),
        (made.post[:2], homeostasis, ValueError, "what must be the whole population"),
        (made.p, homeostasis, TypeError, "what must be a group"),
        (made.post, scaling, TypeError, "what must be a projection"),
        (build(None).p, scaling, ValueError, "of another one"),
        (made.p, SynapticScaling(5.0, every=0.7), ValueError, "every must be a whole number of steps"),
        (made.p, PairSTDP(1, 1, w_max=1.0), TypeError, "rule must be ThresholdHomeostasis"),
        (made.p, None, TypeError, "rule must be ThresholdHomeostasis"),
    ]
    for what, rule, error, message in wrong:
        with pytest.raises(error, match=message):
            net.regulate(what, rule)
    net.regulate(made.post, homeostasis)
    net.regulate(made.p, scaling)
    for what, rule in ((made.post, homeostasis), (made.p, scaling)):
        with pytest.raises(ValueError, match="already|earlier"):
            net.regulate(what, rule)
