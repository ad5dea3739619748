"""Learned weights are those of a plain replay of the recorded spikes, synapse by synapse, without any trace variable.

A trace is summed anew from all earlier spikes of a train whenever it is asked for, so that nothing but the equations is
shared with the compiled run. Spikes reach a synapse at its delay after they left; in one step arrivals come first.
"""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from penstock import Uniform
from penstock.spiking import (
    LIF,
    Exponential,
    InhibitorySTDP,
    Modulation,
    Network,
    PairSTDP,
    PoissonGroup,
    SpikeSource,
    SynapticScaling,
    ThreeFactor,
    ThresholdHomeostasis,
    TripletSTDP,
    one_to_one,
    probability,
)

DT = 0.1
TOLERANCE = 1e-12  # of weights of size 1 to 100: rounding of some hundred changes
N = 25


# ------------------------------------------------------------------------------------------------------- the replay
def trace(times, now, tau, nearest=False):
    """Sum exp(-(now - t) / tau) over the earlier spikes, or take the last one alone."""
    left = np.exp((np.asarray(times) - now) / tau)
    return 0.0 if not left.size else left[-1] if nearest else left.sum()


def replay(rule, arrivals, posts, w):
    """Walk through the spikes of one synapse (ms); return the weight after the last."""
    change = {PairSTDP: pair, TripletSTDP: triplet, InhibitorySTDP: inhibitory}[type(rule)]
    pre, post = [], []
    for now, of_target in sorted([(t, False) for t in arrivals] + [(t, True) for t in posts]):
        w = min(max(w + change(rule, w, now, pre, post, of_target), rule.w_min), rule.w_max)
        (post if of_target else pre).append(now)
    return w


def pair(rule, w, now, pre, post, of_target):
    span = rule.w_max - rule.w_min
    if of_target:
        return rule.A_plus * ((rule.w_max - w) / span) ** rule.mu_plus * trace(pre, now, rule.tau_plus, rule.nearest)
    return -rule.A_minus * ((w - rule.w_min) / span) ** rule.mu_minus * trace(post, now, rule.tau_minus, rule.nearest)


def triplet(rule, w, now, pre, post, of_target):
    """Pfister and Gerstner (2006), equations 3 and 4: the slow traces just before the spike itself."""
    r1, r2 = (trace(pre, now, tau, rule.nearest) for tau in (rule.tau_plus, rule.tau_x))
    o1, o2 = (trace(post, now, tau, rule.nearest) for tau in (rule.tau_minus, rule.tau_y))
    return r1 * (rule.A2_plus + rule.A3_plus * o2) if of_target else -o1 * (rule.A2_minus + rule.A3_minus * r2)


def inhibitory(rule, w, now, pre, post, of_target):
    if of_target:
        return rule.eta * trace(pre, now, rule.tau)
    return rule.eta * (trace(post, now, rule.tau) - 2 * rule.target_rate * 1e-3 * rule.tau)


def window_sum(rule, arrivals, posts):
    """Sum the closed kernel of additive pair STDP over all pairs of spikes; a gap of 0 counts as pre before post."""
    gap = np.subtract.outer(posts, arrivals)
    after, before = gap[gap >= 0], gap[gap < 0]
    return rule.A_plus * np.exp(-after / rule.tau_plus).sum() - rule.A_minus * np.exp(before / rule.tau_minus).sum()


# ---------------------------------------------------------------------------------------- networks and their spikes
def learning_network(rule, timing="brian2"):
    """Neurons that fire at 20 to 90 Hz, connected at random with delays of 0.1 to 9 ms."""
    net = Network(dt=DT, timing=timing, seed=3)
    source = net.add(PoissonGroup(15, rate=40.0), name="source")
    cells = net.add(LIF(N, I_e=np.linspace(380.0, 700.0, N), t_ref=2.0), name="cells", v=Uniform(-70, -56))
    synapse, weight = Exponential(4.0), Uniform(5, 35)
    for pre, post, p in ((source, cells[5:], 0.3), (cells, cells[3:20], 0.2)):
        net.connect(pre, post, synapse, probability(p), weight=weight, delay=Uniform(0.1, 9), plasticity=rule)
    return net


def run_and_replay(net, duration, replay_one):
    """Run the network; return learned and replayed weights of all plastic projections.

    `replay_one(arrivals, posts, weight, delay)` gets times of steps (ms), arrivals without the delay.
    """
    for group in net.groups:
        net.record(group, "spikes")
    plastic = [p for p in net.projections if p.plasticity is not None]
    before = [p.weights for p in plastic]
    spikes = net.run(duration, progress=False).spikes
    last = duration - 0.5 * DT + DT * (net.timing == "nest")  # what arrives later has not changed anything yet
    replayed = []
    for projection, weights in zip(plastic, before, strict=True):
        pre, post, _, delays = projection.edges()
        trains = [by_unit(spikes[g.population.name], g) for g in (projection.pre, projection.post)]
        for i, j, w, delay in zip(pre, post, weights, np.rint(delays / DT), strict=True):
            replayed.append(replay_one(trains[0][i], trains[1][j], w, delay, last))
    return np.concatenate(before), np.concatenate([p.weights for p in plastic]), np.array(replayed)


def by_unit(trains, group):
    """Return the steps in which the units of a group spike."""
    at = np.rint(trains.times / DT).astype(np.int64)
    return [at[trains.ids == unit] for unit in range(group.start, group.start + len(group))]


def axonal(rule):
    """Return a replay in which presynaptic spikes count at their arrival."""

    def replay_one(pre, post, w, delay, last):
        arrivals = (pre + delay) * DT
        return replay(rule, arrivals[arrivals < last], post * DT, w)

    return replay_one


ADDITIVE = PairSTDP(1.2, 1.3, tau_plus=17.0, tau_minus=25.0, w_max=40.0)
RULES = {
    "additive": ADDITIVE,
    "soft bounds": PairSTDP(2.0, 2.1, tau_plus=17.0, tau_minus=25.0, w_min=-5.0, w_max=50.0, mu_plus=1.0, mu_minus=1.0),
    "exponents": PairSTDP(1.5, 1.6, w_min=2.0, w_max=40.0, mu_plus=0.3, mu_minus=0.6),
    "anti-Hebbian": PairSTDP(-1.0, -1.1, w_max=40.0),
    "nearest": PairSTDP(1.5, 1.6, tau_plus=17.0, tau_minus=25.0, w_max=40.0, nearest=True),
    "triplet": TripletSTDP(0.6, 0.7, 1.3, 0.4, tau_plus=16.8, tau_minus=33.7, tau_x=101.0, tau_y=125.0, w_max=40.0),
    "triplet nearest": TripletSTDP(
        0.9, 1.3, 1.3, 0.4, tau_plus=16.8, tau_minus=33.7, tau_x=101.0, tau_y=125.0, w_max=40.0, nearest=True
    ),
    "inhibitory": InhibitorySTDP(0.6, 40.0, tau=15.0, w_max=40.0),
}


@pytest.mark.parametrize("timing", ["brian2", "nest"])
@pytest.mark.parametrize("name", RULES)
def test_learned_weights_are_those_of_the_replayed_spikes(name, timing):
    rule = RULES[name]
    before, learned, replayed = run_and_replay(learning_network(rule, timing), 120.0, axonal(rule))
    assert_allclose(learned, replayed, rtol=0, atol=TOLERANCE)
    moved = np.abs(learned - before)
    assert np.median(moved) > 0.5 and len(learned) > 140  # nearly every synapse has learned


@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_additive_pairs_far_from_bounds_sum_the_window_over_all_pairs_of_spikes(timing):
    rule = PairSTDP(0.12, 0.13, tau_plus=17.0, tau_minus=25.0, w_min=-1000.0, w_max=1000.0)

    def closed(pre, post, w, delay, last):
        arrivals = (pre + delay) * DT
        return w + window_sum(rule, arrivals[arrivals < last], post * DT)

    _, learned, summed = run_and_replay(learning_network(rule, timing), 150.0, closed)
    assert_allclose(learned, summed, rtol=0, atol=TOLERANCE)


def test_learning_goes_on_across_runs_as_in_one():
    whole, halves = (learning_network(RULES["triplet"]) for _ in range(2))
    whole.run(120.0, progress=False)
    for duration in (50.0, 0.1, 69.9):
        halves.run(duration, progress=False)
    for one, other in zip(whole.projections, halves.projections, strict=True):
        assert_array_equal(one.weights, other.weights)


def test_every_trace_of_triplets_matters():
    # without this, the test above might pass for rules whose slow traces are never read
    whole, without = (learning_network(rule) for rule in (RULES["triplet"], replace(RULES["triplet"], A3_plus=0.0)))
    for net in (whole, without):
        net.run(60.0, progress=False)
    assert np.abs(whole.projections[1].weights - without.projections[1].weights).max() > 1.0


# --------------------------------------------------------------------------------------------------- dendritic delays
def nest_replay(pre, post, w, delay, last):
    """NEST's stdp_synapse (Morrison et al. 2007): at a presynaptic spike, the targets' spikes since the one before.

    Weights as parts of the largest; the whole delay is dendritic: a target's spike reaches the synapse `delay` later,
    and one that meets a presynaptic spike there pairs with earlier ones only.
    """
    lam, alpha, tau_plus, tau_minus, largest = 0.01, 1.1, 20.0, 30.0, 100.0
    w, before = w / largest, np.array([])
    reached = (post + delay) * DT
    for now in [*(pre * DT), np.inf]:
        since = before[-1] if before.size else -np.inf
        for t in reached[(reached > since) & (reached <= min(now, last))]:
            w = min(w + lam * (1 - w) * trace(before, t, tau_plus), 1.0)
        if now < np.inf:
            w = max(w - alpha * lam * w * trace(reached[reached < now - 1e-9], now, tau_minus), 0.0)
            before = np.append(before, now)
    return w * largest


@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_dendritic_delays_are_those_of_nest(timing):
    # parameters of NEST's test_stdp_synapse_basic: lambda 0.01, alpha 1.1, tau 20 and 30 ms, mu 1; here mixed delays
    rule = PairSTDP(1.0, 1.1, tau_plus=20.0, tau_minus=30.0, w_max=100.0, mu_plus=1.0, mu_minus=1.0, dendritic=True)
    net = learning_network(rule, timing)
    before, learned, replayed = run_and_replay(net, 150.0, nest_replay)
    assert_allclose(learned, replayed, rtol=0, atol=TOLERANCE)
    assert np.median(np.abs(learned - before)) > 0.1


# ------------------------------------------------------------------------------------------------- three-factor rules
def two_neurons(delay, pre_times, kick_times, reward_times, rule):
    """A source, and a neuron that a current of one step makes spike in the step after the kick arrives."""
    net = Network(dt=DT)
    pre, kick, reward = (
        net.add(SpikeSource(1, np.zeros(len(times), int), times), name=name)
        for name, times in (("pre", pre_times), ("kick", kick_times), ("reward", reward_times))
    )
    post = net.add(LIF(1, t_ref=0.5), name="post")
    net.connect(kick, post, Exponential(0.1, name="kick"), one_to_one(), weight=1e5)
    net.connect(reward, post, Modulation(200.0), one_to_one(), weight=1.0)
    synapses = net.connect(
        pre, post, Exponential(5.0, name="g"), one_to_one(), weight=5.0, delay=delay, plasticity=rule
    )
    net.record(post, "spikes")
    return net, synapses


def test_distal_reward_gives_the_closed_form():
    # Izhikevich (2007): one hit of size 1 and a reward 0.5 s later, tau_c = 1 s, tau_d = 0.2 s: 0.1010884433 (in s)
    rule = ThreeFactor(PairSTDP(1.0, 1.0, w_max=10.0), tau_c=1000.0, learning_rate=1e-3)
    net, synapses = two_neurons(1.0, [9.0], [9.9], [510.0], rule)
    spikes = net.run(8000.0, progress=False).spikes["post"].times
    assert_allclose(spikes, [10.0])  # the arrival meets the spike: a hit of exactly A_plus at 10 ms, reward at 510 ms
    assert synapses.weights[0] - 5.0 == pytest.approx(0.1010884433, abs=1e-10)
    assert synapses.weights[0] - 5.0 == pytest.approx(np.exp(-0.5) / (1 / 1.0 + 1 / 0.2), rel=1e-12)


def test_arrivals_after_the_spike_make_eligibility_negative():
    rule = ThreeFactor(PairSTDP(1.0, 0.7, tau_minus=30.0, w_max=10.0), tau_c=1000.0, learning_rate=1e-3)
    net, synapses = two_neurons(3.0, [9.0], [9.9], [512.0], rule)  # the arrival at 12 ms, 2 ms after the spike
    net.run(8000.0, progress=False)
    expected = -0.7 * np.exp(-2 / 30.0) * np.exp(-0.5) / 6.0
    assert synapses.weights[0] - 5.0 == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dendritic", [False, True])
def test_an_arrival_acts_with_the_weight_that_rewards_have_given_meanwhile(dendritic):
    """The pair meets at 10 ms without distance; with a dendritic delay of 1 ms at 11 ms, 2 ms after the emission.

    The weight then gains 0.9 per ms, also between the second emission and its arrival at 26 ms; 1 % is a step's part.
    """
    rule = ThreeFactor(PairSTDP(1.0, 0.0, w_max=1000.0, dendritic=dendritic), tau_c=1000.0)
    net, synapses = two_neurons(1.0, [9.0, 25.0], [9.9], [20.0], rule)
    net.run(26.0, progress=False)
    weight, g = synapses.weights[0], net.get(net.groups[3], "g")[0]
    mark, rate = np.exp(-2 / 20 - 0.009) if dendritic else np.exp(-0.01), 1 / 1000 + 1 / 200
    assert weight == pytest.approx(5.0 + mark * -np.expm1(-6 * rate) / rate, rel=0.02)
    net.run(DT, progress=False)
    assert net.get(net.groups[3], "g")[0] - g * np.exp(-DT / 5) == pytest.approx(weight, rel=0.015)


def third_factor(rule, tau, amounts, pre, post, rewards, w, end):
    """Follow eligibility and factor from event to event, the weight by the closed integral between two."""
    rate = 1 / rule.tau_c + 1 / tau
    events = [(t, 0, 0.0) for t in pre] + [(t, 1, a) for t, a in zip(rewards, amounts, strict=True)]
    events = sorted(events + [(t, 2, 0.0) for t in post])
    c = d = now = 0.0
    arrived, fired = [], []
    for t, kind, amount in [*events, (end, 3, 0.0)]:
        w += rule.learning_rate * c * d * (1 - np.exp(-rate * (t - now))) / rate
        c, d, now = c * np.exp(-(t - now) / rule.tau_c), d * np.exp(-(t - now) / tau), t
        if kind == 0:
            c -= rule.rule.A_minus * trace(fired, t, rule.rule.tau_minus)
            arrived.append(t)
        elif kind == 1:
            d += amount
        elif kind == 2:
            c += rule.rule.A_plus * trace(arrived, t, rule.rule.tau_plus)
            fired.append(t)
    return w


@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_rewarded_weights_are_those_of_the_replayed_spikes_and_rewards(timing):
    rule = ThreeFactor(PairSTDP(1.0, 1.2, w_min=-500.0, w_max=500.0), tau_c=31.0, learning_rate=0.02)
    net = learning_network(rule, timing)
    reward = net.add(SpikeSource(2, [0, 1, 0, 1, 1], [20.0, 35.5, 50.0, 70.3, 90.0]), name="reward")
    cells = net.groups[1]
    modulation = net.connect(
        reward, cells, Modulation(40.0), probability(0.5), weight=Uniform(-1, 1), delay=Uniform(0.1, 9)
    )
    for group in net.groups:
        net.record(group, "spikes")
    before = [p.weights for p in net.projections[:2]]
    spikes = net.run(130.0, progress=False).spikes
    shift = DT * (timing == "nest")
    end = 130.0 - DT + shift  # changes up to the last step's events
    trains = {g.name: by_unit(spikes[g.name], g) for g in net.groups}
    for projection, weights in zip(net.projections[:2], before, strict=True):
        found = []
        for i, j, w, delay in zip(*projection.edges()[:2], weights, projection.edges()[3], strict=True):
            unit = j + projection.post.start
            arrivals = trains[projection.pre.name][i] * DT + delay
            rewards = [
                (t * DT + late, size) for k, to, size, late in zip(*modulation.edges(), strict=True) if to == unit
                for t in trains["reward"][k] if t * DT + late < end + 1e-6
            ]  # fmt: skip
            times, amounts = [r[0] for r in rewards], [r[1] for r in rewards]
            posts = trains["cells"][unit] * DT
            on_grid = np.rint(arrivals[arrivals < end + 1e-6] / DT) * DT
            found.append(third_factor(rule, 40.0, amounts, on_grid, posts, np.rint(np.array(times) / DT) * DT, w, end))
        assert_allclose(projection.weights, found, rtol=0, atol=TOLERANCE)
        assert np.abs(projection.weights - weights).max() > 0.5


# --------------------------------------------------------------------------------------------------------- regulation
def test_scaling_multiplies_by_the_rates_of_whole_intervals():
    net = learning_network(None)
    for projection in net.projections:
        net.regulate(projection, SynapticScaling(50.0, every=25.0, eta=0.2))
    net.record(net.groups[1], "spikes")
    before = [p.weights for p in net.projections]
    spikes = net.run(110.0, progress=False).spikes["cells"]
    counts = np.zeros((4, N))  # of the four whole intervals of 25 ms
    late = np.rint(spikes.times / DT).astype(int) // 250
    np.add.at(counts, (late[late < 4], spikes.ids[late < 4]), 1.0)
    factor = np.exp(0.2 * (1 - counts / 0.025 / 50.0)).prod(axis=0)
    for projection, weights in zip(net.projections, before, strict=True):
        targets = projection.edges()[1] + projection.post.start
        assert_allclose(projection.weights, weights * factor[targets], rtol=1e-13)
    assert factor.min() < 0.8 and factor.max() > 1.2


def test_shifts_of_thresholds_count_spikes_against_the_target():
    net = learning_network(None)
    cells = net.groups[1]
    net.regulate(cells, ThresholdHomeostasis(30.0, eta=0.3))
    net.record(cells, "spikes")
    counts = np.bincount(net.run(150.0, progress=False).spikes["cells"].ids, minlength=N)
    assert_allclose(net.get(cells, "shift"), 0.3 * (counts - 30.0 * 0.150), atol=1e-11)
    assert counts.max() > counts.min() + 5


# ----------------------------------------------------------------------------------------------- rates reach a target
@pytest.mark.slow
def test_inhibitory_plasticity_brings_excitatory_neurons_to_the_target_rate():
    # Vogels et al. (2011) scaled by us: 800 + 200 neurons for 8000 + 2000, in-degrees 2.5 times and weights 1 / 2.5 of
    # theirs, so that inhibitory spikes and those of single targets depend less on each other; the rate at which changes
    # balance is 3 Hz / (1 + correlation)
    net = Network(dt=0.1, seed=1)
    leak = {"tau_m": 20.0, "C_m": 200.0, "E_L": -60.0, "V_reset": -60.0, "V_th": -50.0, "t_ref": 5.0, "I_e": 200.0}
    exc = net.add(LIF(800, integrator="euler", **leak), name="E", v=Uniform(-60, -50))
    inh = net.add(LIF(200, integrator="euler", **leak), name="I", v=Uniform(-60, -50))
    ge, gi = Exponential(5.0, reversal=0.0, name="ge"), Exponential(10.0, reversal=-80.0, name="gi")
    for post in (exc, inh):
        net.connect(exc, post, ge, probability(0.5), weight=0.12)
    net.connect(inh, inh, gi, probability(0.5), weight=1.2)
    rule = InhibitorySTDP(0.12, 3.0, w_max=100.0)
    net.connect(inh, exc, gi, probability(0.5), weight=0.0, plasticity=rule)
    net.record(exc, "rate", 100.0)
    rates = net.run(30_000.0, progress=False).rates["E"].values
    learned = rates[50:].reshape(5, -1).mean(axis=1)
    assert rates[0] > 40.0
    # five blocks of 5 s have a standard error of 0.06 Hz; correlations move the balance by as much again or twice
    assert learned.std(ddof=1) / np.sqrt(5) < 0.12
    assert learned.mean() == pytest.approx(3.0, abs=0.3)
