"""Encoders: currents and spikes that follow from the samples alone, the same however a series is cut."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from penstock.spiking import (
    LIF,
    ArrayCurrent,
    CurrentInjection,
    Exponential,
    Latency,
    Liquid,
    Network,
    PoissonGroup,
    PoissonRates,
    PopulationRates,
    SpikesIn,
    SpikeSource,
    StepForward,
    all_to_all,
    probability,
)

DT = 0.1


def source(n):
    return Network().add(SpikeSource(n, [], []), name="source")


def cells(n):
    return Network().add(LIF(n), name="cells")


def encode(encoder, u, *, state=None, first=0, steps=10, dt=DT):
    """What an encoder makes of a series (T, m) or (T,) from its beginning."""
    u = np.asarray(u, float)
    u = u if u.ndim == 2 else u[:, None]
    return encoder.encode(u, np.zeros(encoder.n_states) if state is None else state, first, steps, dt)


def raster(encoder, u, **options):
    """The spikes as a table (samples * steps, units) of counts."""
    (at, ids), _ = encode(encoder, u, **options)
    table = np.zeros((len(u) * options.get("steps", 10), len(encoder.group)), int)
    np.add.at(table, (at, ids), 1)
    return table


ENCODERS = {
    "current": CurrentInjection(cells(5), np.arange(10.0).reshape(5, 2) / 7, bias=3.3),
    "poisson": PoissonRates(source(5), np.geomspace(1, 900, 10).reshape(5, 2), offset=300.0, seed=3),
    "population": PopulationRates(source(9), np.linspace(-1, 1, 18).reshape(9, 2), 0.7, 2000.0, seed=3),
    "step": StepForward(source(4), [0.13, 0.02]),
    "latency": Latency(source(2), -1.0, [1.0, 0.3]),
    "spikes": SpikesIn(source(2)),
}
CUTS = st.lists(st.integers(0, 60), max_size=6).map(lambda cuts: [0, *sorted(cuts), 60])


@pytest.mark.parametrize("name", ENCODERS)
@settings(deadline=None, max_examples=15)
@given(cuts=CUTS)
def test_parts_of_a_series_give_the_bits_of_the_whole(name, cuts):
    encoder, steps = ENCODERS[name], 7
    u = np.random.default_rng(1).uniform(-1, 1, (60, 2))
    whole, states = encode(encoder, u, steps=steps)
    whole = whole if isinstance(whole, tuple) else (whole,)
    parts, state = [], np.zeros(encoder.n_states)
    for a, b in zip(cuts, cuts[1:], strict=False):
        part, after = encode(encoder, u[a:b], state=state, first=a, steps=steps)
        assert after.shape == (b - a, encoder.n_states)
        assert_array_equal(after, states[a:b])
        state = after[-1] if b > a else state
        parts.append((part[0] + a * steps, part[1]) if isinstance(part, tuple) else (part,))
    for joined, one in zip(map(np.concatenate, zip(*parts, strict=True)), whole, strict=True):
        assert_array_equal(joined, one)


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "current"])
def test_spikes_are_sorted_by_step_then_unit_and_differ(name):
    encoder = ENCODERS[name]
    u = np.random.default_rng(2).uniform(-1, 1, (200, 2))
    (at, ids), _ = encode(encoder, u, steps=7)
    assert at.size > 80 and at.min() >= 0 and at.max() < 1400 and ids.max() < len(encoder.group)
    assert (np.diff(at * len(encoder.group) + ids.astype(np.int64)) > 0).all()


# Currents


def test_currents_are_the_weighted_inputs_plus_bias():
    rng = np.random.default_rng(0)
    W_in, bias, u = rng.normal(size=(6, 3)), rng.normal(size=6), rng.normal(size=(20, 3))
    what, states = encode(CurrentInjection(cells(6), W_in, bias), u)
    assert_allclose(what, np.einsum("nm,tm->tn", W_in, u) + bias, atol=1e-14)  # sums of four numbers about 1
    assert states.shape == (20, 0)


def test_drawn_weights_are_uniform_and_as_dense_as_asked():
    encoder = CurrentInjection.random(cells(400), 10, scale=50.0, density=0.3, bias=7.0, seed=4)
    there = encoder.W_in != 0
    assert abs(there.sum() - 1200) < 5 * np.sqrt(4000 * 0.3 * 0.7)  # five standard deviations of a binomial count
    assert scipy.stats.kstest(encoder.W_in[there], scipy.stats.uniform(-50, 100).cdf).pvalue > 1e-4
    assert_array_equal(encoder.bias, np.full(400, 7.0))
    assert_array_equal(CurrentInjection.random(cells(400), 10, scale=50.0, density=0.3, seed=4).W_in, encoder.W_in)
    assert (CurrentInjection.random(cells(9), scale=1.0, seed=0).W_in != 0).all()


def test_a_liquid_feels_the_currents_of_a_network_with_the_same_input():
    u = np.random.default_rng(5).uniform(-1, 1, 40)
    W_in = np.linspace(-200, 300, 8)

    def network():
        net = Network(dt=0.5, seed=0)
        group = net.add(LIF(8, t_ref=2.0), name="cells")
        net.connect(group, group, Exponential(5.0), probability(0.5), weight=100.0, delay=1.0)
        return net, group

    net, group = network()
    liquid = Liquid(net, CurrentInjection(group[2:6], W_in[2:6], bias=400.0), dt=5.0)
    other, group = network()
    other.stimulate(group[2:6], ArrayCurrent(u[:, None] * W_in[2:6] + 400.0, 5.0))
    other.record(group, "spikes")
    trains = other.run(200.0, progress=False).spikes["cells"]
    assert trains.n_spikes > 20
    last = (np.floor(trains.times / 5.0) + 1) * 5.0 - 0.5  # the beginning of the last step of a spike's sample
    traces = np.zeros((40, 8))
    for k in range(40):
        seen = last <= 5.0 * k + 4.5
        np.add.at(traces[k], trains.ids[seen], np.exp(-(5.0 * k + 4.5 - trains.times[seen]) / 30.0))
    assert_allclose(liquid.run(u)[:, liquid.observed], traces, atol=1e-12)


# Poisson spikes


def test_counts_are_binomial_with_the_rate_times_the_step():
    rates = np.array([0.0, 3.0, 40.0, 700.0, 9000.0, 10_000.0])
    encoder = PoissonRates(source(6), np.zeros(6), offset=rates, seed=0)
    counts = raster(encoder, np.zeros(2000), steps=50).sum(0)
    p, n = rates * DT / 1000, 100_000
    assert (np.abs(counts - n * p) <= 5 * np.sqrt(n * p * (1 - p))).all()  # five standard deviations
    assert counts[0] == 0 and counts[-1] == n


def test_rates_follow_the_input_sample_by_sample_and_are_never_negative():
    encoder = PoissonRates(source(2), [[100.0, 0.0], [0.0, -50.0]], offset=[20.0, 60.0], seed=1)
    u = np.array([[0.5, 1.0], [-1.0, 2.0]])
    assert_allclose(encoder.rates(u), [[70.0, 10.0], [0.0, 0.0]])
    table = raster(encoder, np.repeat(u, 5000, axis=0), steps=20).reshape(2, -1, 2).sum(1)
    expected = 5000 * 20 * encoder.rates(u) * DT / 1000
    assert (np.abs(table - expected) <= 5 * np.sqrt(expected)).all()


def test_a_number_depends_on_seed_step_and_unit_alone():
    encoder = PoissonRates(source(5), np.full(5, 4000.0), seed=9)
    table = raster(encoder, np.ones(30), steps=4)
    key = np.random.SeedSequence(9).generate_state(2, np.uint64)
    for step in (0, 1, 50, 119):  # two blocks of four numbers hold the five of a step
        bits = np.random.Philox(key=key, counter=2 * step)
        numbers = np.random.Generator(bits).random(5)
        assert_array_equal(table[step], numbers < 0.4)


def test_more_input_adds_spikes_and_removes_none():
    encoder = PoissonRates(source(8), np.full(8, 1000.0), seed=2)
    few, many = (raster(encoder, np.full(300, x)) for x in (0.3, 0.9))
    assert few.sum() > 500 and (many >= few).all() and many.sum() > few.sum()
    assert (raster(PoissonRates(source(8), np.full(8, 1000.0), seed=3), np.full(300, 0.3)) != few).any()


def test_blocks_of_random_numbers_leave_no_trace(monkeypatch):
    encoder = ENCODERS["poisson"]
    u = np.random.default_rng(1).uniform(-1, 1, (60, 2))
    (at, ids), _ = encode(encoder, u)
    monkeypatch.setattr("penstock.spiking.encoders._BLOCK", 100)
    (at_of_blocks, ids_of_blocks), _ = encode(encoder, u)
    assert_array_equal(at, at_of_blocks)
    assert_array_equal(ids, ids_of_blocks)


def test_tuning_curves_are_gaussian():
    encoder = PopulationRates(source(3), [-1.0, 0.0, 2.0], width=[1.0, 0.5, 1.0], max_rate=[100.0, 50.0, 10.0], seed=0)
    half = np.sqrt(2 * np.log(2))  # standard deviations from the centre to half the height
    assert_allclose(
        encoder.rates(np.array([[0.0], [-1 + half], [half / 2]]))[:, :2].diagonal(),
        [100 / np.e**0.5, 50 * np.exp(-2 * (half - 1) ** 2)],
    )
    assert_allclose(encoder.rates(np.array([[half / 2]]))[0, 1], 25.0)
    plane = PopulationRates(source(1), [[1.0, 2.0]], 2.0, 80.0, seed=0)
    assert_allclose(plane.rates(np.array([[4.0, 6.0]])), 80 * np.exp(-25 / 8))  # at distance 5


def test_the_spikes_of_a_population_tell_the_input():
    centres = np.linspace(-1, 1, 21)
    encoder = PopulationRates(source(21), centres, 0.3, 200.0, seed=1)
    for u in (-0.5, 0.0, 0.4):
        counts = raster(encoder, np.full(400, u), steps=100).sum(0)
        read = counts @ centres / counts.sum()
        assert abs(read - u) < 5 * 0.3 / np.sqrt(counts.sum()) + 0.02  # the ends of the range cut the curves a little


# Delta modulation


def follow(u, threshold, steps):
    """One spike after the other: per channel its baselines and [(step, ON or OFF)]."""
    baseline, baselines, spikes = 0, [], []
    for t, x in enumerate(u):
        moves = 0
        while moves < steps and x / threshold - baseline >= 1:
            baseline, moves = baseline + 1, moves + 1
        while moves > -steps and x / threshold - baseline <= -1:
            baseline, moves = baseline - 1, moves - 1
        spikes += [(t * steps + j * steps // abs(moves), moves > 0) for j in range(abs(moves))]
        baselines.append(baseline)
    return baselines, spikes


@settings(deadline=None, max_examples=30)
@given(
    u=st.lists(st.floats(-5, 5), min_size=1, max_size=20),
    steps=st.integers(1, 12),
    threshold=st.sampled_from([0.25, 0.3, 1.0, 7.0]),
)
def test_crossings_become_spikes_one_by_one(u, steps, threshold):
    (at, ids), states = encode(StepForward(source(2), threshold), u, steps=steps)
    baselines, spikes = follow(u, threshold, steps)
    assert_array_equal(states[:, 0], baselines)
    assert list(zip(at, ids == 0, strict=True)) == spikes
    assert len(set(at)) == len(at)  # at most one per step


@settings(deadline=None, max_examples=50)
@given(moves=st.lists(st.floats(-1, 1), min_size=1, max_size=40), steps=st.integers(1, 8), threshold=st.floats(0.01, 3))
def test_the_baseline_stays_within_a_threshold_of_an_input_that_is_slow_enough(moves, steps, threshold):
    u = np.cumsum(moves) * steps * threshold
    (at, ids), _ = encode(StepForward(source(2), threshold), u, steps=steps)
    signed = np.where(ids == 0, 1, -1)
    read = threshold * np.array([signed[at < (t + 1) * steps].sum() for t in range(len(u))])
    assert np.abs(u - read).max() <= threshold * (1 + 1e-9)  # rounding of u / threshold


def test_after_a_jump_the_baseline_catches_up_with_a_spike_in_every_step():
    (at, ids), states = encode(StepForward(source(2), 0.1), np.full(5, -2.55), steps=10)
    assert_array_equal(states[:, 0], [-10, -20, -25, -25, -25])
    assert_array_equal(at, [*range(20), 20, 22, 24, 26, 28])
    assert (ids == 1).all()


def test_channels_are_modulated_apart():
    u = np.random.default_rng(3).normal(size=(50, 3)).cumsum(axis=0)
    (at, ids), states = encode(StepForward(source(6), [0.5, 1.0, 2.0]), u, steps=9)
    for c, threshold in enumerate([0.5, 1.0, 2.0]):
        (one, on_off), alone = encode(StepForward(source(2), threshold), u[:, c], steps=9)
        assert_array_equal(states[:, c], alone[:, 0])
        mine = np.isin(ids, [c, c + 3])
        assert_array_equal(at[mine], one)
        assert_array_equal(ids[mine] == c, on_off == 0)


# Latencies and given spikes


def test_latencies_tell_the_input_to_half_a_step():
    u = np.random.default_rng(4).uniform(-3, 5, (200, 4))
    steps = 21
    (at, ids), _ = encode(Latency(source(4), -3.0, 5.0), u, steps=steps)
    latency = np.empty((200, 4))
    latency[at // steps, ids] = at % steps
    assert at.size == 800
    assert np.abs(5.0 - 8.0 * latency / (steps - 1) - u).max() <= 8.0 / (steps - 1) / 2 + 1e-12


def test_latencies_beyond_the_range_are_those_of_its_ends():
    u = np.array([[9.0, 1.0, 0.5, 0.0, -9.0]])
    (at, ids), _ = encode(Latency(source(5), 0.0, 1.0), u, steps=9)
    assert_array_equal(np.stack([at, ids]), [[0, 0, 4, 8, 8], [0, 1, 2, 3, 4]])
    assert_array_equal(encode(Latency(source(5), 0.0, 1.0), u, steps=1)[0][0], np.zeros(5))


def test_a_liquid_fed_with_spikes_is_the_network_with_these_spikes():
    times = np.array([3.0, 4.0, 20.0, 21.0, 22.0])

    def network(model):
        net = Network(dt=0.5, seed=0)
        stimulus, group = net.add(model, name="input"), net.add(LIF(3), name="cells")
        net.connect(stimulus, group, Exponential(5.0), all_to_all(), weight=np.array([600.0, 900.0, 1200.0]), delay=1.5)
        return net, stimulus, group

    net, _, group = network(SpikeSource(1, np.zeros(5, int), times))
    net.record(group, "v", every=1.0)
    states = net.run(40.0, progress=False).states["cells", "v"].values
    net, stimulus, _ = network(SpikeSource(1, [], []))
    liquid = Liquid(net, SpikesIn(stimulus), dt=1.0)
    u = np.isin(np.arange(40.0), times)
    assert_array_equal(liquid.run(u.astype(float))[:, 3:6], states)
    assert states.max() > -60.0 and (np.diff(states, axis=0) < -1).any()  # it has spiked


# Bad input

NET = Network()
NEURONS, SOURCE = NET.add(LIF(4), name="cells"), NET.add(SpikeSource(4, [], []), name="source")
NOISE = NET.add(PoissonGroup(4, 10.0), name="noise")
BUSY = NET.add(SpikeSource(4, [0], [1.0]), name="busy")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: CurrentInjection(None, np.ones(4)),
            TypeError,
            "group must be a group that net.add returned, got None",
        ),
        (lambda: CurrentInjection("cells", np.ones(4)), TypeError, "group must be a group"),
        (lambda: CurrentInjection(SOURCE, np.ones(4)), ValueError, "group must be neurons, got the source 'source'"),
        (lambda: CurrentInjection(NEURONS[[0, 2]], np.ones(2)), ValueError, "unbroken range of units of 'cells'"),
        (lambda: CurrentInjection(NEURONS, np.ones(3)), ValueError, r"W_in must have shape \(4, m\) or \(4,\)"),
        (lambda: CurrentInjection(NEURONS, np.ones((4, 0))), ValueError, "W_in must have shape"),
        (lambda: CurrentInjection(NEURONS, 1.0), ValueError, "W_in must have 1 or 2 dimensions"),
        (lambda: CurrentInjection(NEURONS, None), TypeError, "W_in must hold real numbers"),
        (lambda: CurrentInjection(NEURONS, np.ones(4, bool)), TypeError, "W_in must hold numbers, got booleans"),
        (lambda: CurrentInjection(NEURONS, [1, 2, 3, np.nan]), ValueError, "W_in must be finite"),
        (lambda: CurrentInjection(NEURONS, sp.csr_array(np.ones((4, 1)))), TypeError, "W_in must be a dense array"),
        (lambda: CurrentInjection(NEURONS, np.ones(4), bias=np.ones(3)), ValueError, "bias must be a number or have"),
        (lambda: CurrentInjection(NEURONS, np.ones(4), bias=None), TypeError, "bias must hold real numbers"),
        (lambda: CurrentInjection.random(SOURCE, seed=0), ValueError, "group must be neurons"),
        (lambda: CurrentInjection.random(NEURONS, 0, seed=0), ValueError, "n_inputs must be at least 1, got 0"),
        (lambda: CurrentInjection.random(NEURONS, True, seed=0), TypeError, "n_inputs must be an integer"),
        (lambda: CurrentInjection.random(NEURONS, scale=-1.0, seed=0), ValueError, "scale must be above 0"),
        (lambda: CurrentInjection.random(NEURONS, density=1.5, seed=0), ValueError, r"density must lie in \(0, 1\]"),
        (lambda: CurrentInjection.random(NEURONS, seed=None), TypeError, "seed must be a non-negative integer"),
        (lambda: PoissonRates(NEURONS, np.ones(4), seed=0), ValueError, "source must be a SpikeSource"),
        (lambda: PoissonRates(NOISE, np.ones(4), seed=0), ValueError, "source must be a SpikeSource"),
        (lambda: PoissonRates(BUSY, np.ones(4), seed=0), ValueError, "source must have no spikes of its own"),
        (lambda: PoissonRates(SOURCE[:2], np.ones(2), seed=0), ValueError, "source must be the whole of 'source'"),
        (lambda: PoissonRates(SOURCE, np.ones(5), seed=0), ValueError, "gain must have shape"),
        (lambda: PoissonRates(SOURCE, np.ones(4), offset=np.inf, seed=0), ValueError, "offset must be finite"),
        (lambda: PoissonRates(SOURCE, np.ones(4), seed=-1), ValueError, "seed must be at least 0"),
        (lambda: PoissonRates(SOURCE, np.ones(4), seed=1.5), TypeError, "seed must be an integer"),
        (lambda: PopulationRates(SOURCE, np.ones(3), 1.0, 9.0, seed=0), ValueError, "centres must have shape"),
        (lambda: PopulationRates(SOURCE, np.ones(4), 0.0, 9.0, seed=0), ValueError, "width must be above 0, got 0"),
        (lambda: PopulationRates(SOURCE, np.ones(4), 1.0, -9.0, seed=0), ValueError, "max_rate must be at least 0 Hz"),
        (lambda: PopulationRates(SOURCE, np.ones(4), "1", 9.0, seed=0), TypeError, "width must hold real numbers"),
        (lambda: StepForward(source(3), 1.0), ValueError, "an ON and an OFF unit per channel, got 3 units"),
        (lambda: StepForward(SOURCE, 0.0), ValueError, "threshold must be above 0, got 0"),
        (lambda: StepForward(SOURCE, [1.0, 2.0, 3.0]), ValueError, r"threshold must be a number or have shape \(2,\)"),
        (lambda: StepForward(SOURCE, True), TypeError, "threshold must hold numbers, got booleans"),
        (lambda: Latency(SOURCE, 1.0, 1.0), ValueError, "u_min must be below u_max, got u_min=1 and u_max=1"),
        (lambda: Latency(SOURCE, np.nan, 1.0), ValueError, "u_min must be finite"),
        (lambda: Latency(NEURONS, 0.0, 1.0), ValueError, "CurrentInjection feeds neurons"),
        (lambda: SpikesIn(None), TypeError, "source must be a group that net.add returned, got None"),
        (lambda: SpikesIn(NEURONS), ValueError, "source must be a SpikeSource"),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    "encoder",
    [PoissonRates(source(1), [1e4], seed=0), PopulationRates(source(1), [1.0], 1.0, 1e4, seed=0)],
    ids=["rates", "population"],
)
def test_a_rate_of_more_than_a_spike_per_step_is_refused(encoder):
    assert raster(encoder, np.ones(3)).all()
    with pytest.raises(ValueError, match="rates must be at most 1000 / dt = 5000 Hz, one spike per step of dt=0.2 ms"):
        encode(encoder, np.ones(3), dt=0.2)
