"""The same spikes and states in Brian2, model by model; and what is said where Brian2 cannot follow or is not there."""

import gc
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import published
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad

from penstock.spiking import (
    ALIF,
    LIF,
    AdEx,
    Alpha,
    ArrayCurrent,
    Delta,
    DoubleExponential,
    Exponential,
    Izhikevich,
    Izhikevich2007,
    Network,
    OUCurrent,
    PoissonGroup,
    PoissonInput,
    Pulse,
    RampCurrent,
    SpikeSource,
    StepCurrent,
    TsodyksMarkram,
    compare_with_brian2,
    izhikevich_2003,
    one_to_one,
    potjans_diesmann,
    probability,
    to_brian2,
    vogels_abbott_coba,
    vogels_abbott_cuba,
)
from penstock.spiking import brian as bridge
from penstock.spiking.brian_models import gain_of, model_of

N = 40


def uniform(low, high):
    return lambda rng, size: rng.uniform(low, high, size)


def spread(low, high, n=N):
    """n values between, in no order: a parameter of each neuron."""
    return np.random.default_rng(int(100 * abs(low)) + 1).uniform(low, high, n)


# every neuron differs; about half of them fire without input. Weights: current, conductance, jump
LEAKY = dict(
    tau_m=spread(8, 15), C_m=spread(200, 300), V_th=spread(-56, -54), t_ref=np.repeat([1.0, 2.0, 0.5, 3.0], 10)
)
MODELS = {
    "LIF": (LIF(N, I_e=spread(250, 450), **LEAKY), 60.0, 1.0, 0.7),
    "LIF of one kind": (LIF(N, I_e=380.0, t_ref=2.0), 60.0, 1.0, 0.7),
    "LIF soft": (LIF(N, I_e=spread(250, 450), soft_reset=True, t_ref=0.0), 60.0, 1.0, 0.7),
    "LIF noisy": (LIF(N, I_e=350.0, sigma=spread(1, 4)), 60.0, 1.0, 0.7),
    "LIF Euler": (LIF(N, I_e=spread(250, 450), integrator="euler", **LEAKY), 60.0, 1.0, 0.7),
    "ALIF": (ALIF(N, I_e=spread(300, 600), b=20.0, beta=spread(0.5, 1.5), tau_w=60.0, **LEAKY), 80.0, 1.0, 0.7),
    "ALIF Euler": (ALIF(N, I_e=spread(300, 600), b=20.0, beta=1.0, integrator="euler", **LEAKY), 80.0, 1.0, 0.7),
    "AdEx": (AdEx(N, I_e=spread(500, 900), a=spread(2, 6), t_ref=1.0), 200.0, 3.0, 1.0),
    "AdEx exponential": (AdEx(N, I_e=spread(500, 900), b=40.0, integrator="exponential_euler"), 200.0, 3.0, 1.0),
    "Izhikevich": (Izhikevich(N, I_e=spread(2, 12), c=spread(-65, -50), d=spread(2, 8)), 4.0, 0.05, 2.0),
    "Izhikevich fig1": (Izhikevich(N, I_e=spread(2, 12), p1=4.1, p0=108.0, b=-0.1, integrator="fig1"), 4.0, 0.05, 2.0),
    "Izhikevich half": (Izhikevich(N, I_e=spread(2, 12), a=spread(0.02, 0.1), integrator="half"), 4.0, 0.05, 2.0),
    "2007": (Izhikevich2007(N, I_e=spread(50, 150)), 60.0, 1.0, 1.0),
    "2007 LTS": (
        Izhikevich2007(
            N, C=100, k=1, vr=-56, vt=-42, v_peak=40, peak_slope=-0.1, a=0.03, b=8, c=-53, c_slope=0.04, d=20,
            u_max=270, I_e=spread(150, 300),
        ),
        60.0, 1.0, 1.0,
    ),
    "2007 FS": (
        Izhikevich2007(
            N, C=20, k=1, vr=-55, vt=-40, v_peak=25, a=0.2, b=0, c=-45, d=0, cubic=0.025, v_cubic=-55,
            I_e=spread(60, 200),
        ),
        20.0, 0.4, 1.0,
    ),
    "2007 TC": (
        Izhikevich2007(
            N, C=200, k=1.6, vr=-60, vt=-50, v_peak=35, peak_slope=0.1, a=0.01, b=15, b_above=0, v_switch=-58, c=-60,
            c_slope=-0.1, d=10, I_e=spread(50, 150),
        ),
        60.0, 1.0, 1.0,
    ),
}  # fmt: skip
EXCITING = Exponential(4.0, reversal=0.0, name="ge")
INHIBITING = Exponential(9.0, reversal=-80.0, name="gi")
SYNAPSES = {
    "exponential": [Exponential(5.0)],
    "alpha": [Alpha(2.0)],
    "double": [DoubleExponential(1.0, 7.0)],
    "pulse": [Pulse()],
    "delta": [Delta()],
    "tau_m": [Exponential(10.0), Alpha(10.0)],
    "all currents": [Exponential(5.0), Alpha(3.0), DoubleExponential(1.0, 7.0), Pulse(), Delta()],
    "four currents": [Exponential(5.0), Alpha(3.0), DoubleExponential(7.0, 1.0), Pulse()],
    "conductances": [EXCITING, INHIBITING],
    "staged conductances": [Alpha(2.0, reversal=0.0), DoubleExponential(1.0, 8.0, reversal=-80.0), Exponential(5.0)],
    "conductance and pulse": [EXCITING, Pulse(), Exponential(3.0)],
}
CASES = [
    ("LIF", "exponential", "brian2"),
    ("LIF", "four currents", "nest"),
    ("LIF", "conductances", "brian2"),
    ("LIF of one kind", "tau_m", "nest"),
    ("LIF soft", "delta", "brian2"),
    ("LIF noisy", "pulse", "brian2"),
    ("LIF Euler", "all currents", "brian2"),
    ("ALIF", "four currents", "nest"),
    ("AdEx", "all currents", "brian2"),
    ("AdEx exponential", "staged conductances", "nest"),
    ("Izhikevich", "conductances", "nest"),
    ("Izhikevich fig1", "four currents", "nest"),
    ("Izhikevich half", "all currents", "brian2"),
    ("2007", "all currents", "brian2"),
    ("2007 LTS", "exponential", "nest"),
    ("2007 FS", "conductances", "brian2"),
    ("2007 TC", "alpha", "brian2"),
]
MORE_CASES = [
    ("LIF", "alpha", "nest"),
    ("LIF", "double", "brian2"),
    ("LIF", "all currents", "brian2"),
    ("LIF", "staged conductances", "nest"),
    ("LIF of one kind", "conductance and pulse", "brian2"),
    ("LIF soft", "exponential", "nest"),
    ("LIF noisy", "tau_m", "nest"),
    ("LIF Euler", "staged conductances", "nest"),
    ("ALIF", "pulse", "brian2"),
    ("ALIF", "conductances", "brian2"),
    ("ALIF Euler", "alpha", "brian2"),
    ("AdEx", "pulse", "nest"),
    ("AdEx", "staged conductances", "brian2"),
    ("AdEx exponential", "all currents", "brian2"),
    ("Izhikevich", "all currents", "brian2"),
    ("Izhikevich half", "conductances", "brian2"),
]


def small_network(neurons, synapses, timing="brian2", seed=1):
    """Recurrent slices, heterogeneous weights, delays of 0.1 to 6 ms, and Poisson spikes."""
    model, current, conductance, jump = MODELS[neurons]
    net = Network(dt=0.1, timing=timing, seed=seed)
    noise = net.add(PoissonGroup(30, rate=60.0), name="noise")
    cells = net.add(model, name="cells")
    net.set(cells, v=net.get(cells, "v") + spread(0.0, 4.0))
    for synapse in SYNAPSES[synapses]:
        size = jump if isinstance(synapse, Delta) else conductance if synapse.reversal is not None else current
        size *= 10 if isinstance(synapse, Pulse) else 1
        for pre, post in ((noise, cells[10:]), (cells[:30], cells[5:])):
            net.connect(
                pre, post, synapse, probability(0.2), weight=uniform(0.2 * size, 2 * size), delay=uniform(0.1, 6.0)
            )
    for receptor in net.populations[1].receptors:
        net.set(cells, **{receptor.name: spread(0, 0.5) * current})
    return net


def run_both(brian2, net, duration):
    """Run both sides; demand equal spikes and nearly equal states at the end; return the number of spikes."""
    built = to_brian2(net, duration)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Brian2's parser
        built.network.run(duration * brian2.ms, namespace={})
    for group in net.groups:
        net.record(group, "spikes")
    recorded = net.run(duration, progress=False).spikes
    shift = net.timing == "nest"
    total = 0
    for group in net.groups:
        ours, theirs = recorded[group.name], built.spikes[group.name]
        assert_array_equal(np.rint(ours.times / net.dt) - shift, np.rint(np.asarray(theirs.t / brian2.ms) / net.dt))
        order = np.lexsort((np.asarray(theirs.i), np.rint(np.asarray(theirs.t / brian2.ms) / net.dt)))
        assert_array_equal(ours.ids, np.asarray(theirs.i)[order])
        total += ours.times.size
        for name in group.population.states:
            value = np.asarray(getattr(built.groups[group.name], name)[:])
            # rounding of either side, enlarged by the upstroke of spikes and by sums of hundreds of mV and pA
            assert_allclose(net.get(group, name), value, rtol=1e-9, atol=1e-9, err_msg=f"{name} of {group.name}")
    return total


@pytest.mark.brian
@pytest.mark.parametrize(
    ("neurons", "synapses", "timing"), [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE_CASES)]
)
def test_spikes_and_states_are_those_of_brian2(brian2, neurons, synapses, timing):
    net = small_network(neurons, synapses, timing)
    run_both(brian2, net, 60.0)
    assert len(net.recorders) == 2 and net.populations[1].ready.max() > 0  # the neurons did spike


@pytest.mark.brian
@pytest.mark.parametrize("synapse", [Exponential(5.0), Alpha(2.0), Delta(), Pulse()], ids=lambda s: type(s).__name__)
def test_inputs_are_replayed_number_by_number(brian2, synapse):
    net = Network(dt=0.1, seed=4)
    cells = net.add(LIF(20, tau_m=12.0, I_e=200.0), name="cells")
    pulses = net.add(SpikeSource(2, [0, 1, 0], [0.0, 0.3, 30.0]), name="pulses")
    net.connect(pulses, cells[:2], Exponential(3.0, name="kick"), one_to_one(), weight=4000.0, delay=0.0)
    size = 0.4 if isinstance(synapse, Delta) else 500.0 if isinstance(synapse, Pulse) else 20.0
    net.stimulate(cells[4:16], PoissonInput(50, 40.0, size, synapse))
    net.stimulate(cells, StepCurrent([5.0, 20.0], [100.0, -50.0]))
    net.stimulate(cells[3:9], StepCurrent([1.0], [spread(0, 200, 6)]))
    net.stimulate(cells, RampCurrent(10.0, 40.0, spread(100, 300, 20)))
    net.stimulate(cells[10:], ArrayCurrent(spread(0, 150, 50), 0.5))
    net.stimulate(cells, OUCurrent(30.0, 80.0, 4.0))
    assert run_both(brian2, net, 50.0) > 30


@pytest.mark.brian
def test_shared_currents_need_no_table_per_neuron(brian2):
    net = Network(dt=0.1)
    cells = net.add(LIF(10, V_th=spread(-60, -55, 10)), name="cells")
    net.stimulate(cells, StepCurrent([2.0, 30.0], [500.0, 0.0]))
    assert run_both(brian2, net, 40.0) > 10
    assert to_brian2(net, 40.0).groups["cells"].namespace["drive"].values.ndim == 1


@pytest.mark.brian
@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_tsodyks_markram_synapses_are_those_of_brian2(brian2, timing):
    net = Network(dt=0.1, timing=timing, seed=3)
    source = net.add(PoissonGroup(20, rate=80.0), name="source")
    cells = net.add(LIF(20, I_e=300.0), name="cells")
    laws = TsodyksMarkram(uniform(0.1, 0.9), uniform(20, 800), uniform(5, 1000))
    net.connect(source, cells, Exponential(4.0), probability(0.5), weight=150.0, delay=uniform(0.1, 5), short_term=laws)
    depressing = TsodyksMarkram(0.5, 100.0, 0.0)  # no facilitation at all
    net.connect(cells, cells, Alpha(2.0), probability(0.3), weight=uniform(10, 80), delay=1.0, short_term=depressing)
    assert run_both(brian2, net, 150.0) > 150


@pytest.mark.brian
@pytest.mark.parametrize(("timing", "spikes"), [("brian2", 0), ("nest", 2)])
def test_a_potential_exactly_at_threshold_is_a_spike_in_nest_timing_only(brian2, timing, spikes):
    net = Network(dt=0.1, timing=timing)
    net.add(LIF(1, E_L=-55.0, V_th=-55.0, V_reset=-70.0, integrator="euler"), name="still", v=-55.0)
    net.add(LIF(1, E_L=-55.0, V_th=-55.0, V_reset=-70.0, integrator="euler"), name="again", v=-55.0)
    assert run_both(brian2, net, 5.0) == spikes


@pytest.mark.brian
def test_two_populations_share_receptors_and_delays_of_zero(brian2):
    net = Network(dt=0.1, seed=2)
    exc = net.add(LIF(60, tau_m=20, C_m=200, E_L=-49, V_th=-50, V_reset=-60, t_ref=5), name="exc", v=uniform(-60, -50))
    inh = net.add(ALIF(20, tau_m=20, C_m=200, E_L=-49, V_th=-50, V_reset=-60, beta=2.0), name="inh")
    ge, gi = Exponential(5.0, name="ge"), Exponential(10.0, name="gi")
    for post in (exc, inh):
        net.connect(exc, post, ge, probability(0.1), weight=30.0)
        net.connect(inh, post, gi, probability(0.1), weight=-150.0)
    net.connect(exc, inh, ge, probability(0.0), weight=1.0)  # without a synapse
    assert run_both(brian2, net, 100.0) > 50


@pytest.mark.brian
def test_brian2_keeps_its_preferences_clock_and_random_numbers(brian2):
    net = small_network("LIF noisy", "pulse")
    brian2.prefs["codegen.target"] = "auto"
    brian2.defaultclock.dt = 0.25 * brian2.ms
    state = np.random.get_state()  # noqa: NPY002 - which Brian2 draws from
    compare_with_brian2(net, 5.0, progress=False)
    assert brian2.prefs["codegen.target"] == "auto"
    assert float(brian2.defaultclock.dt / brian2.ms) == 0.25
    assert_array_equal(state[1], np.random.get_state()[1])  # noqa: NPY002
    assert state[2] == np.random.get_state()[2]  # noqa: NPY002
    brian2.prefs["codegen.target"] = "numpy"
    built = to_brian2(net, 5.0)  # noqa: F841 - in this frame, where Brian2 looks for objects
    assert not brian2.collect()
    brian2.defaultclock.dt = 0.1 * brian2.ms


@pytest.mark.brian
def test_a_failed_run_gives_the_preferences_back(brian2, monkeypatch):
    brian2.prefs["codegen.target"] = "cython"
    monkeypatch.setattr(bridge, "_run_brian2", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        compare_with_brian2(small_network("LIF of one kind", "pulse"), 5.0)
    assert brian2.prefs["codegen.target"] == "cython"


@pytest.mark.brian
@pytest.mark.parametrize("synapses", ["delta", "four currents"])
def test_brian2_finds_nothing_to_warn_about(brian2, synapses):
    from brian2.utils.logger import catch_logs

    net = small_network("LIF soft", synapses)
    gc.collect()  # Brian2 warns of networks that other tests built and never ran
    with catch_logs() as logs:
        compare_with_brian2(net, 5.0, progress=False)
    assert not logs


@pytest.mark.brian
def test_comparison_starts_from_the_initial_state_and_leaves_the_network_as_it_is(brian2):
    net, same = (small_network("LIF noisy", "exponential") for _ in range(2))
    for one in (net, same):
        one.record(one.groups[1], "spikes")
    fresh = compare_with_brian2(net, 40.0, progress=False)
    net.run(20.0, progress=False)
    assert compare_with_brian2(net, 40.0, progress=False).n_spikes == fresh.n_spikes
    assert net.step == 200 and len(net.recorders) == 1
    same.run(20.0, progress=False)
    ours, theirs = (one.run(20.0, progress=False).spikes["cells"] for one in (net, same))
    assert_array_equal(ours.times, theirs.times)
    assert_array_equal(ours.ids, theirs.ids)


@pytest.mark.brian
def test_first_difference_names_time_unit_and_side(brian2, monkeypatch):
    net = Network(dt=0.1)
    cells = net.add(LIF(5, t_ref=1.0, I_e=[0.0, 0.0, 0.0, 500.0, 0.0]), name="cells")
    net.add(LIF(5), name="silent")
    net.connect(cells, net.groups[1], Exponential(5.0), one_to_one(), weight=1.0)
    honest = bridge.to_brian2

    def tampered(net, duration):
        built = honest(net, duration)
        built.groups["cells"].I_e[1] = 1000.0
        return built

    monkeypatch.setattr(bridge, "to_brian2", tampered)
    comparison = compare_with_brian2(net, 40.0, progress=False)
    # NEST's first spike under 1000 pA from -70 to -55 mV is at 4.7 ms, before the third unit's at 13.9 ms
    first = comparison.first_difference
    assert (first.population, first.unit, first.side, comparison.n_equal) == ("cells", 1, "Brian2", 0)
    assert first.time == pytest.approx(0.1 * np.floor(4.700036292457 / 0.1))
    assert "unit 1 of 'cells' spikes in Brian2 only" in repr(comparison) and not comparison.equal


@pytest.mark.brian
def test_to_brian2_returns_the_groups_by_name(brian2):
    net = small_network("Izhikevich", "pulse")
    built = to_brian2(net, 5.0)
    assert list(built.groups) == ["noise", "cells"] == list(built.spikes)
    pre, post, weights, delays = net.projections[1].edges()
    theirs = built.synapses[1]
    assert_array_equal(theirs.i, pre)
    assert_array_equal(theirs.j, post + 5)
    assert_array_equal(theirs.weight, weights)
    assert_allclose(np.asarray(theirs.delay / brian2.ms), delays, rtol=1e-12)
    assert "cells: 40" in repr(built)
    assert [synapses.pre.order for synapses in built.synapses] == [0, 1]  # sums are rounded in the order of ours


# ---------------------------------------------------------------------------------------------- a second of model time
@pytest.mark.brian
@pytest.mark.slow
@pytest.mark.parametrize("name", ["cuba", "coba"])
def test_benchmark_networks_of_4000_neurons_equal_brian2_over_a_second(brian2, name):
    build, known = {"cuba": (vogels_abbott_cuba, published.CUBA), "coba": (vogels_abbott_coba, published.COBA)}[name]
    comparison = compare_with_brian2(build(1), 1000.0, progress=False)
    assert repr(comparison) == f"BrianComparison(equal: {known.n_spikes} spikes in 1000 ms)"
    assert comparison.n_spikes_brian2 == known.n_spikes


@pytest.mark.brian
@pytest.mark.slow
@pytest.mark.parametrize("integrator", ["half", "euler", "fig1"])
def test_izhikevich_1000_equals_brian2_over_a_second(brian2, integrator):
    comparison = compare_with_brian2(izhikevich_2003(3, integrator=integrator), 1000.0, progress=False)
    assert comparison.equal and comparison.n_spikes > 5000


@pytest.mark.brian
@pytest.mark.slow
def test_microcircuit_of_7717_neurons_equals_brian2(brian2):
    comparison = compare_with_brian2(potjans_diesmann(0.1, 1), 30.0, progress=False)
    assert comparison.equal and comparison.n_spikes > 300


@pytest.mark.brian
@pytest.mark.slow
def test_network_with_delays_of_a_tenth_to_ten_milliseconds_equals_brian2_over_a_second(brian2):
    net = Network(dt=0.1, seed=5)
    exc = net.add(LIF(800, tau_m=20, C_m=200, E_L=-49, V_th=-50, V_reset=-60, t_ref=5), name="exc", v=uniform(-60, -50))
    inh = net.add(LIF(200, tau_m=20, C_m=200, E_L=-49, V_th=-50, V_reset=-60, t_ref=5), name="inh", v=uniform(-60, -50))
    for post in (exc, inh):
        net.connect(exc, post, Exponential(5.0), probability(0.05), weight=uniform(10, 40), delay=uniform(0.1, 10.0))
        net.connect(
            inh, post, Exponential(10.0), probability(0.05), weight=uniform(-200, -50), delay=uniform(0.1, 10.0)
        )
    steps = np.concatenate([np.rint(p.edges()[3] / 0.1) for p in net.projections])
    assert steps.min() <= 1 and steps.max() == 100
    comparison = compare_with_brian2(net, 1000.0, progress=False)
    assert comparison.equal and comparison.n_spikes > 3000


@pytest.mark.brian
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_networks_put_together_by_chance_equal_brian2(brian2, seed):
    # without the fast-spiking cell of 2007: driven hard, it makes 10 mV of 1e-13 mV in 50 ms, and of rounding as well
    rng = np.random.default_rng(seed)
    timing = rng.choice(["brian2", "nest"])
    kinds = [name for name in SYNAPSES if timing == "brian2" or not any(isinstance(s, Delta) for s in SYNAPSES[name])]
    while True:
        neurons, synapses = rng.choice([name for name in MODELS if name != "2007 FS"]), rng.choice(kinds)
        noise_with_conductance = neurons == "LIF noisy" and any(s.reversal is not None for s in SYNAPSES[synapses])
        if not noise_with_conductance and (neurons, synapses, timing) not in CASES + MORE_CASES:
            break
    net = small_network(neurons, synapses, timing, seed=seed)
    cells = net.groups[1]
    other = net.add(LIF(15, I_e=spread(300, 500, 15)), name="other")
    rule = TsodyksMarkram(uniform(0.1, 0.9), uniform(0, 300), uniform(0, 300))
    net.connect(cells, other[3:], Exponential(6.0), probability(0.3), weight=80.0, delay=1.5, short_term=rule)
    net.stimulate(cells[3:20], OUCurrent(0.0, 0.5 * MODELS[neurons][1], 5.0))
    assert run_both(brian2, net, 150.0) > 100


# ------------------------------------------------------------------------------------------------- without Brian2
def test_networks_without_counterpart_are_refused_by_name():
    net = small_network("LIF of one kind", "pulse", "nest")
    net.connect(net.groups[0], net.groups[1], Delta(), probability(0.1), weight=0.1)
    with pytest.raises(ValueError, match=r'Delta\(\).*timing="nest".*take timing="brian2"'):
        to_brian2(net, 10.0)
    net = Network(dt=0.1, timing="nest")
    net.stimulate(net.add(LIF(5)), PoissonInput(10, 10.0, 0.1, Delta()))
    with pytest.raises(ValueError, match=r"PoissonInput.*Delta synapses act before"):
        compare_with_brian2(net, 10.0)


def test_duration_is_asked_for_where_inputs_must_be_drawn():
    with pytest.raises(ValueError, match=r"duration must be given.*: noise"):
        to_brian2(small_network("LIF", "exponential"))
    net = Network(dt=0.1)
    net.stimulate(net.add(LIF(5)), StepCurrent([1.0], [2.0]))
    with pytest.raises(ValueError, match=r"duration must be given.*StepCurrent"):
        to_brian2(net)


@pytest.mark.parametrize(
    ("duration", "error", "words"),
    [
        (None, TypeError, "duration must be a time in ms, got None"),
        (0.25, ValueError, "duration must be a whole number of steps of dt=0.1 ms, got 0.25"),
        (-1.0, ValueError, "duration must be at least 0.1 ms"),
        (float("nan"), ValueError, "duration must be finite"),
        ("10", TypeError, "duration must be a number"),
        (True, TypeError, "duration must be a number"),
    ],
)
def test_bad_durations_are_named(duration, error, words):
    with pytest.raises(error, match=words):
        compare_with_brian2(small_network("LIF", "exponential"), duration)


@pytest.mark.parametrize("net", [None, 3, LIF(5)], ids=["None", "number", "neurons"])
def test_only_networks_are_taken(net):
    for function in (to_brian2, compare_with_brian2):
        with pytest.raises(TypeError, match="net must be a Network"):
            function(net, 10.0)


def test_inputs_that_do_not_fit_in_memory_are_refused_before_they_are_drawn(monkeypatch):
    net = Network(dt=0.1)
    net.stimulate(net.add(LIF(10_000), name="cells"), OUCurrent(0.0, 1.0, 5.0))
    monkeypatch.setattr(bridge, "_import_brian2", lambda: SimpleNamespace(Clock=lambda dt: None, ms=1.0))
    with pytest.raises(MemoryError, match=r"the input of 1e\+07 ms, which Brian2 replays"):
        to_brian2(net, 1e7)


@pytest.mark.brian
@pytest.mark.parametrize("name", ["I_stim", "mV", "exp", "E_L", "t"])
def test_synapse_names_with_another_meaning_are_refused(brian2, name):
    net = Network(dt=0.1)
    cells = net.add(LIF(5), name="cells")
    net.connect(cells, cells, Exponential(5.0, name=name), probability(0.5), weight=1.0)
    with pytest.raises(ValueError, match=f"the synaptic state '{name}' of 'cells' cannot be carried over"):
        to_brian2(net)


@pytest.mark.brian
def test_jumps_with_soft_resets_need_one_rule_for_all_neurons(brian2):
    net = Network(dt=0.1)
    cells = net.add(LIF(2, soft_reset=True, t_ref=[0.0, 1.0]), name="cells")
    net.connect(cells, cells, Delta(), probability(0.5), weight=1.0)
    with pytest.raises(ValueError, match=r"'cells' cannot be carried over: soft resets.*t_ref=0"):
        to_brian2(net)


def test_neurons_unknown_to_the_bridge_are_refused():
    class Strange:
        pass

    with pytest.raises(ValueError, match="Strange neurons cannot be carried over"):
        model_of(Strange(), [], 0.1, inclusive=False, driven=False)


def plain_network():
    net = Network(dt=0.1)
    net.add(LIF(3), name="cells")
    return net


def test_absent_brian2_is_an_import_error_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "brian2", None)
    with pytest.raises(ImportError, match=r'Brian2 is not installed; pip install "penstock\[brian\]"'):
        to_brian2(plain_network())
    with pytest.raises(ImportError, match="Brian2 is not installed"):
        compare_with_brian2(plain_network(), 1.0)


@pytest.mark.parametrize(
    "fault",
    [
        "raise AttributeError(\"type object 'numpy.ndarray' has no attribute 'ptp'\")",
        "raise ImportError(\"cannot import name 'x' from 'numpy'\")",
        "import a_package_that_brian2_would_need",
    ],
    ids=["AttributeError", "ImportError", "ModuleNotFoundError"],
)
def test_broken_brian2_is_an_import_error_with_reason_and_remedy(monkeypatch, tmp_path, fault):
    (tmp_path / "brian2.py").write_text(fault)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "brian2"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=rf"cannot be imported with NumPy {np.__version__}.*numpy<2\.4") as error:
        to_brian2(plain_network())
    assert type(error.value.__cause__).__name__ in str(error.value)


def test_importing_penstock_does_not_import_brian2():
    import subprocess

    code = "import sys, penstock.spiking; sys.exit('brian2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def spikes_of(net, *sides):
    return bridge._compare(*sides, net, 100)


@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_the_first_of_several_differences_is_reported(timing):
    net = Network(dt=0.1, timing=timing)
    net.add(LIF(3), name="a")
    net.add(LIF(4), name="b")
    ours = [(np.array([1, 5, 9]), np.array([0, 1, 2])), (np.array([5, 7]), np.array([3, 0]))]
    theirs = [(np.array([1, 5, 10]), np.array([0, 1, 2])), (np.array([7]), np.array([0]))]
    assert spikes_of(net, ours, ours).equal and spikes_of(net, ours, ours).n_equal == 5
    found = spikes_of(net, ours, theirs)
    label = 5 + (timing == "nest")  # both sides count steps; the label is the network's own
    assert tuple(found.first_difference) == (label, pytest.approx(0.1 * label), "b", 3, "penstock")
    assert (found.n_equal, found.n_spikes, found.n_spikes_brian2) == (2, 5, 4)
    assert spikes_of(net, theirs, ours).first_difference.side == "Brian2"


@pytest.mark.parametrize("synapse", [Alpha(2.0), DoubleExponential(1.0, 7.0), DoubleExponential(7.0, 1.0)], ids=repr)
def test_gain_makes_the_peak_the_weight(synapse):
    rise, decay = (2.0, 2.0) if isinstance(synapse, Alpha) else (synapse.tau_rise, synapse.tau_decay)
    t = np.linspace(0.0, 20.0, 2001)
    g = [quad(lambda s, t=t: np.exp(-s / decay - (t - s) / rise) / rise, 0, t, epsabs=1e-13)[0] for t in t]
    assert max(g) * gain_of(synapse) == pytest.approx(1.0, abs=1e-5)  # the peak lies between two samples


def test_constants_of_the_matrix_exponential_are_the_closed_forms():
    # v gains (tau_s / (tau_s - tau_m)) (e^{-h/tau_s} - e^{-h/tau_m}) tau_m / C per pA; h/C e^{-h/tau} for equal ones
    h, tau_m, C = 0.1, np.array([10.0, 20.0]), np.array([250.0, 200.0])
    model = model_of(
        LIF(2, tau_m=tau_m, C_m=C), [("g", Exponential(10.0)), ("p", Pulse())], h, inclusive=False, driven=False
    )
    e_m, e_s = np.exp(-h / tau_m), np.exp(-h / 10.0)
    apart = 10.0 / (10.0 - 20.0) * (e_s - e_m[1]) * 20.0 / 200.0
    assert_allclose(model.constants["v_from_g"], [h / 250.0 * e_s, apart], rtol=1e-12)
    assert_allclose(model.constants["v_from_p"], tau_m / C * (1 - e_m), rtol=1e-12)
    assert_allclose(model.constants["v_from_v"], e_m, rtol=1e-15)
    assert_allclose(model.constants["v_from_rest"], -70.0 * (1 - e_m), rtol=1e-12)
