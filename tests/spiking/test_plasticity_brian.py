"""Learned weights are those of Brian2: scripts written by hand for it, and networks carried over by the bridge."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from penstock import Uniform
from penstock.spiking import (
    ALIF,
    LIF,
    Exponential,
    InhibitorySTDP,
    LocalLearning,
    Modulation,
    Network,
    PairSTDP,
    PoissonGroup,
    SynapticScaling,
    ThreeFactor,
    ThresholdHomeostasis,
    TripletSTDP,
    TsodyksMarkram,
    compare_with_brian2,
    probability,
)
from penstock.spiking.brian_learning import learning_of

TOLERANCE = 1e-12  # of weights of 0 to 60: rounding of some hundred changes


# ---------------------------------------------------------------------------------- scripts written by hand for Brian2
def delayed_network(rule, currents=(600.0, 2500.0)):
    """200 LIF neurons, a tenth of all pairs connected, delays of 1 to 100 steps, weights all different."""
    net = Network(dt=0.1, seed=7)
    cells = net.add(LIF(200, I_e=np.linspace(*currents, 200), t_ref=2.0), name="cells", v=Uniform(-70, -55))
    net.connect(
        cells, cells, Exponential(5.0), probability(0.1), weight=Uniform(0, 60), delay=Uniform(0.1, 10.0),
        plasticity=rule,
    )  # fmt: skip
    return net


def by_hand(brian2, net, equations, on_pre, on_post, duration):
    """Run the network of `delayed_network` as a user of Brian2 writes it; return steps, neurons and weights."""
    ms, clock = brian2.ms, brian2.Clock(dt=0.1 * brian2.ms)
    cells = brian2.NeuronGroup(
        200,
        """dv/dt = (-70 - v)/(10*ms) + (I + g)/(250*ms) : 1 (unless refractory)
           dg/dt = -g/(5*ms) : 1
           I : 1 (constant)""",
        threshold="v > -55", reset="v = -70", refractory=2 * ms, method="exact", clock=clock,
    )  # fmt: skip
    cells.v, cells.I = net.get(net.groups[0], "v"), net.groups[0].population.model.I_e
    synapses = brian2.Synapses(cells, cells, equations, on_pre=on_pre, on_post=on_post, clock=clock)
    pre, post, weights, delays = net.projections[0].edges()
    synapses.connect(i=pre, j=post)
    synapses.w, synapses.pre.delay = weights, delays * ms
    spikes = brian2.SpikeMonitor(cells)
    brian2.Network(cells, synapses, spikes).run(duration * ms, namespace={})
    return np.rint(np.asarray(spikes.t / ms) / 0.1).astype(int), np.asarray(spikes.i), np.asarray(synapses.w)


BY_HAND = {
    "pairs": (
        PairSTDP(0.6, 0.63, tau_plus=20.0, tau_minus=20.0, w_max=60.0),
        """w : 1
           dx/dt = -x/(20*ms) : 1 (event-driven)
           dy/dt = -y/(20*ms) : 1 (event-driven)""",
        "g_post += w; x += 1; w = clip(w - 0.63*y, 0, 60)",
        "y += 1; w = clip(w + 0.6*x, 0, 60)",
    ),
    "nearest pairs, soft bounds": (
        PairSTDP(6.0, 6.6, tau_plus=15.0, tau_minus=30.0, w_max=60.0, mu_plus=1.0, mu_minus=1.0, nearest=True),
        """w : 1
           dx/dt = -x/(15*ms) : 1 (event-driven)
           dy/dt = -y/(30*ms) : 1 (event-driven)""",
        "g_post += w; x = 1; w -= 6.6*w/60*y",
        "y = 1; w += 6.0*(1 - w/60)*x",
    ),
    "triplets": (
        TripletSTDP(0.3, 0.5, 0.2, 0.1, tau_plus=16.8, tau_minus=33.7, tau_x=101.0, tau_y=125.0, w_max=60.0),
        """w : 1
           dr1/dt = -r1/(16.8*ms) : 1 (event-driven)
           dr2/dt = -r2/(101*ms) : 1 (event-driven)
           do1/dt = -o1/(33.7*ms) : 1 (event-driven)
           do2/dt = -o2/(125*ms) : 1 (event-driven)""",
        "g_post += w; w = clip(w - o1*(0.5 + 0.1*r2), 0, 60); r1 += 1; r2 += 1",
        "w = clip(w + r1*(0.3 + 0.2*o2), 0, 60); o1 += 1; o2 += 1",
    ),
    "inhibitory": (
        InhibitorySTDP(0.3, 60.0, tau=20.0, w_max=60.0),
        """w : 1
           dx/dt = -x/(20*ms) : 1 (event-driven)
           dy/dt = -y/(20*ms) : 1 (event-driven)""",
        "x += 1; w = clip(w + 0.3*(y - 2.4), 0, 60); g_post += w",
        "y += 1; w = clip(w + 0.3*x, 0, 60)",
    ),
}  # fmt: skip


def compare_by_hand(brian2, name, duration):
    """Demand the same spikes and weights on both sides; return the number of spikes."""
    rule, *script = BY_HAND[name]
    net = delayed_network(rule)
    before = net.projections[0].weights
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Brian2's parser
        at, ids, weights = by_hand(brian2, net, *script, duration)
    net.record(net.groups[0], "spikes")
    spikes = net.run(duration, progress=False).spikes["cells"]
    order = np.lexsort((ids, at))
    assert_array_equal(np.rint(spikes.times / 0.1), at[order])
    assert_array_equal(spikes.ids, ids[order])
    assert_allclose(net.projections[0].weights, weights, rtol=0, atol=TOLERANCE)
    assert np.median(np.abs(weights - before)) > 1.0
    return spikes.times.size


@pytest.mark.brian
@pytest.mark.parametrize("name", list(BY_HAND)[1:])
def test_weights_and_spikes_are_those_of_a_script_for_brian2(brian2, name):
    assert compare_by_hand(brian2, name, 80.0) > 2500


@pytest.mark.brian
@pytest.mark.slow
def test_weights_equal_brian2_over_half_a_second_and_twenty_thousand_spikes(brian2):
    assert compare_by_hand(brian2, "pairs", 500.0) > 20_000


# ----------------------------------------------------------------------------------------- carried over by the bridge
def network_of_all_rules(timing, rng_seed=2):
    """Every rule somewhere, with mixed and equal delays, weights all different, and two modulators."""
    net = Network(dt=0.1, timing=timing, seed=rng_seed)
    source = net.add(PoissonGroup(30, rate=60.0), name="source")
    reward = net.add(PoissonGroup(5, rate=40.0), name="reward")
    cells = net.add(LIF(40, V_th=np.linspace(-56, -54, 40), I_e=500.0, t_ref=2.0), name="cells", v=Uniform(-70, -56))
    tired = net.add(ALIF(20, I_e=550.0, beta=1.0, b=5.0), name="tired", v=Uniform(-70, -56))
    for post in (cells, tired):
        net.connect(reward, post, Modulation(50.0), probability(0.5), weight=Uniform(-0.5, 1), delay=Uniform(0.1, 3))
    net.connect(reward, tired, Modulation(20.0, name="error"), probability(0.5), weight=Uniform(-1, 1), delay=0.3)
    current = Exponential(4.0)
    law = {"weight": Uniform(5, 35), "delay": Uniform(0.1, 8.0)}
    some = probability(0.2)
    net.connect(
        source,
        cells[5:],
        current,
        some,
        **law,
        plasticity=PairSTDP(1.2, 1.3, tau_plus=17.0, w_min=1.0, w_max=40.0, mu_plus=0.4, mu_minus=0.7, dendritic=True),
    )
    net.connect(cells, cells[3:33], current, some, **law, plasticity=PairSTDP(1.5, 1.7, w_max=40.0, nearest=True))
    net.connect(
        cells,
        cells,
        current,
        some,
        **law,
        plasticity=ThreeFactor(PairSTDP(1.0, 1.2, w_max=40.0), tau_c=21.0, learning_rate=0.3),
    )
    net.connect(
        source,
        tired,
        current,
        some,
        **law,
        plasticity=LocalLearning(0.0002, "error", tau_pre=15.0, tau_e=30.0, width=12.0, w_max=40.0),
    )
    net.connect(
        cells,
        tired,
        current,
        some,
        weight=Uniform(5, 35),
        delay=1.5,
        short_term=TsodyksMarkram(0.5, 100.0, 50.0),
        plasticity=TripletSTDP(0.3, 0.5, 0.6, 0.3, tau_plus=16.8, tau_minus=33.7, tau_x=101.0, tau_y=125.0, w_max=40.0),
    )
    scaled = net.connect(tired, cells, Exponential(8.0, name="gi"), some, weight=Uniform(-35, -5), delay=0.5)
    both = net.connect(tired, tired, current, some, **law, plasticity=InhibitorySTDP(0.6, 40.0, w_max=40.0))
    net.regulate(scaled, SynapticScaling(30.0, every=15.0, eta=0.2))
    net.regulate(both, SynapticScaling(60.0, every=10.0, eta=0.1))
    net.regulate(cells, ThresholdHomeostasis(40.0, eta=0.2))
    return net  # fmt: skip


@pytest.mark.brian
@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_all_rules_are_carried_over_and_the_weights_compared(brian2, timing):
    net = network_of_all_rules(timing)
    before = [p.weights for p in net.projections]
    comparison = compare_with_brian2(net, 60.0, progress=False)
    assert comparison.equal and comparison.n_spikes > 200
    assert comparison.weight_difference < TOLERANCE
    for projection, weights in zip(net.projections, before, strict=True):
        assert_array_equal(projection.weights, weights)  # a copy was run


def test_rules_unknown_to_the_bridge_are_refused_by_name():
    class Strange:
        pass

    with pytest.raises(ValueError, match="cannot be carried over to Brian2: Strange has no counterpart; PairSTDP, "):
        learning_of(SimpleNamespace(plasticity=Strange(), scaling=None), "", 0.1)
