"""A liquid is the network it holds: the same spikes, and a state from which it goes on as if never stopped."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from penstock import Normal, Uniform
from penstock.analysis import kernel_rank, lyapunov_spectrum, memory_capacity, participation_ratio, replica_growth
from penstock.reservoirs import Forecaster, Regressor
from penstock.spiking import (
    ALIF,
    LIF,
    AdEx,
    ArrayCurrent,
    CurrentInjection,
    Delta,
    Exponential,
    FilteredSpikes,
    Izhikevich,
    Liquid,
    Network,
    OUCurrent,
    PairSTDP,
    PoissonGroup,
    PoissonRates,
    SpikesIn,
    SpikeSource,
    StepCurrent,
    ThresholdHomeostasis,
    TsodyksMarkram,
    all_to_all,
    from_matrix,
    probability,
)

N, DT, SAMPLE = 40, 0.5, 5.0
U = np.sin(np.arange(120) / 5)
GAIN, BIAS = np.random.default_rng(1).uniform(-200, 200, (N, 1)), 450.0


def network(timing="brian2", plastic=False, longest=60.0):
    """Forty neurons with delays from one step to several samples."""
    net = Network(dt=DT, timing=timing, seed=1)
    cells = net.add(LIF(N, t_ref=3.0, V_reset=-65.0), name="cells", v=Uniform(-70, -56))
    rule = TsodyksMarkram(U=0.5, tau_rec=100.0, tau_fac=20.0) if plastic else None
    delays = [0.5, 1.5, longest]
    net.connect(
        cells, cells, Exponential(tau=5.0), probability(0.25), weight=60.0, delay=lambda rng, n: rng.choice(delays, n),
        short_term=rule,
    )  # fmt: skip
    return net, cells


def liquid(**kind):
    net, cells = network(**kind)
    return Liquid(net, CurrentInjection(cells, GAIN, BIAS), dt=SAMPLE)


@pytest.mark.parametrize("timing", ["brian2", "nest"])
@pytest.mark.parametrize("plastic", [False, True])
def test_states_are_those_of_the_network_under_the_same_current(timing, plastic):
    states = liquid(timing=timing, plastic=plastic).run(U)
    net, cells = network(timing, plastic)
    net.stimulate(cells, ArrayCurrent(U[:, None] @ GAIN.T + BIAS, SAMPLE))
    net.record(cells, "spikes")
    net.record(cells, "v", every=SAMPLE)
    result = net.run(len(U) * SAMPLE, progress=False)
    assert np.array_equal(states[:, N : 2 * N], result.states["cells", "v"].values)
    ends = SAMPLE * np.arange(1, len(U) + 1)
    begun = result.spikes["cells"].times + (DT if timing == "brian2" else 0.0)  # the end of the step of the spike
    traces = np.zeros((len(U), N))
    for time, unit in zip(begun, result.spikes["cells"].ids, strict=True):
        later = ends > time - DT / 2
        traces[later, unit] += np.exp(-(ends[later] - time) / 30.0)
    assert traces.max() > 3
    np.testing.assert_allclose(states[:, :N], traces, rtol=0, atol=1e-12)  # sums of 40 terms of size 1


@pytest.mark.parametrize("timing", ["brian2", "nest"])
@pytest.mark.parametrize("plastic", [False, True])
def test_a_run_may_be_cut_anywhere(timing, plastic):
    system = liquid(timing=timing, plastic=plastic)
    whole = system.run(U)
    assert np.array_equal(np.concatenate(list(system.blocks(U, 7))), whole)
    x = np.zeros(system.n_units)
    for t in range(20):
        x = system.step(x, U[t : t + 1])
        assert np.array_equal(x, whole[t])
    assert np.array_equal(system.run(U[20:], whole[19]), whole[20:])
    assert np.array_equal(system.run(U), whole)


@settings(deadline=None, max_examples=10)
@given(cut=st.integers(1, 39), longest=st.sampled_from([0.5, 4.0, 4.5, 5.0, 5.5, 40.0]))
def test_spikes_on_their_way_survive_the_cut(cut, longest):
    system = liquid(longest=longest)
    whole = system.run(U[:40])
    assert np.array_equal(system.run(U[cut:40], whole[cut - 1]), whole[cut:])


def test_a_batch_is_a_loop_from_the_states_given():
    system = liquid()
    u = np.stack([U[:30], U[30:60]])[..., None]
    begun = system.run(U[60:62])
    together = system.run(u, begun)
    for series, x0, states in zip(u, begun, together, strict=True):
        assert np.array_equal(system.run(series, x0), states)


def test_chunks_of_the_liquids_own_change_nothing(monkeypatch):
    whole = liquid(plastic=True).run(U)
    monkeypatch.setattr("penstock.spiking.liquid._CHUNK", 5000)  # three samples at a time
    assert np.array_equal(liquid(plastic=True).run(U), whole)


def test_spike_trains_in_are_the_spikes_of_a_source():
    flags = np.random.default_rng(3).random((200, 5)) < 0.1

    def make(times, ids):
        net = Network(dt=DT, seed=2)
        source = net.add(SpikeSource(5, ids, times), name="source")
        cells = net.add(Izhikevich(20), name="cells")
        net.connect(source, cells, Delta(), all_to_all(), weight=6.0, delay=2.0)
        return net, source, cells

    net, source, _ = make([], [])
    states = Liquid(net, SpikesIn(source), dt=DT).run(flags.astype(float))
    step, unit = np.nonzero(flags)
    net, _, cells = make(step * DT, unit)
    net.record(cells, "v")
    expected = net.run(200 * DT, progress=False).states["cells", "v"].values
    assert np.array_equal(states[:, 20:40], expected) and expected.max() > -40


def mixed(timing, encoded=None):
    """Populations of several models, conductances, a rule for thresholds, and inputs beside the encoder's."""
    late = 0.5 if timing == "nest" else 0.0
    net = Network(dt=DT, timing=timing, seed=3)
    source = net.add(SpikeSource(4, *([], []) if encoded is None else encoded), name="source")
    own = net.add(SpikeSource(2, np.arange(150) % 2, 1.0 + 2.0 * np.arange(150)), name="own")
    leaky = net.add(LIF(6, t_ref=12.0), name="leaky", v=Uniform(-70, -56))
    adaptive = net.add(ALIF(5, t_ref=2.0, beta=2.0), name="adaptive")
    spiking = net.add(AdEx(4), name="spiking")
    net.regulate(leaky, ThresholdHomeostasis(5.0, eta=0.5))
    net.stimulate(adaptive[1:4], StepCurrent([0.0, 100.0], [900.0, 500.0]))
    net.connect(source, leaky[1:5], Exponential(4.0), all_to_all(), weight=600.0, delay=7.0)
    net.connect(own, spiking, Exponential(4.0, reversal=0.0), all_to_all(), weight=8.0, delay=late + 20.0)
    net.connect(leaky, adaptive, Exponential(5.0), all_to_all(), weight=90.0, delay=late)
    rule = TsodyksMarkram(U=0.5, tau_rec=100.0, tau_fac=20.0)
    net.connect(adaptive[1:], spiking, Delta(), all_to_all(), weight=3.0, delay=1.5, short_term=rule)
    net.connect(spiking, leaky, Exponential(6.0), all_to_all(), weight=-40.0, delay=33.0)
    return net, source, [leaky, adaptive, spiking]


@pytest.mark.parametrize("timing", ["brian2", "nest"])
@pytest.mark.parametrize("into", ["a source", "neurons"])
def test_every_state_of_mixed_populations_is_that_of_the_network(timing, into):
    net, source, cells = mixed(timing)
    net.record(source, "spikes")
    net.record(net.groups[1], "spikes")
    net.run(35.0, progress=False)  # what it did before leaves no trace
    if into == "a source":
        encoder = PoissonRates(source, np.array([40.0, 80.0, 120.0, -60.0]), offset=100.0, seed=1)
    else:
        encoder = CurrentInjection(cells[0][2:5], GAIN[:3], BIAS)
    system = Liquid(net, encoder, dt=SAMPLE)
    states = system.run(U[:60])
    assert np.array_equal(system.run(U[23:60], states[22]), states[23:])
    what, _ = encoder.encode(U[:60, None], np.zeros(0), 0, 10, DT)
    first = DT if timing == "nest" else 0.0  # the label of a spike in step 0
    net, _, cells = mixed(timing, (what[1], what[0] * DT + first) if into == "a source" else None)
    if into == "neurons":
        net.stimulate(cells[0][2:5], ArrayCurrent(what, SAMPLE))
    for group in cells:
        net.record(group, "spikes")
        for name in group.population.states:
            net.record(group, name, every=SAMPLE)
    result = net.run(60 * SAMPLE, progress=False)
    expected = np.hstack([result.states[g.name, name].values for g in cells for name in g.population.states])
    assert np.array_equal(states[:, 15 : 15 + expected.shape[1]], expected)
    assert all(result.spikes[g.name].times.size > 10 for g in cells)
    assert np.ptp(result.states["leaky", "shift"].values) > 1


def test_permuted_neurons_give_permuted_states():
    rng = np.random.default_rng(4)
    W, v = rng.normal(0, 60, (N, N)), rng.uniform(-70, -56, N)

    def states(order):
        net = Network(dt=DT)
        cells = net.add(LIF(N, t_ref=3.0), name="cells", v=v[order])
        net.connect(cells, cells, Exponential(5.0), from_matrix(W[np.ix_(order, order)].T), delay=1.0)
        return Liquid(net, CurrentInjection(cells, GAIN[order], BIAS), dt=SAMPLE).run(U[:40])[:, :N]

    order = rng.permutation(N)
    plain = states(np.arange(N))
    assert plain.max() > 1
    np.testing.assert_allclose(states(order), plain[:, order], rtol=0, atol=1e-9)  # sums in another order


class Traces:
    """The filtered spikes of a liquid as a system of their own."""

    n_units, n_inputs = N, 1

    def __init__(self, system):
        self.system = system

    def step(self, x, u):
        raise NotImplementedError

    def blocks(self, u, size, x0=None):
        return (states[:, :N] for states in self.system.blocks(u, size))


def test_memory_is_that_of_the_filtered_spikes():
    system = liquid()
    result, traces = (
        memory_capacity(s, max_delay=5, n_steps=1000, washout=100, seed=5, progress=False)
        for s in (system, Traces(system))
    )
    assert np.array_equal(result.per_delay, traces.per_delay)
    assert 0.2 < result.per_delay[0] <= 1 and result.n_units == N


def test_estimators_learn_from_the_filtered_spikes():
    system = liquid()
    target = np.roll(U, 1)
    model = Regressor(system, washout=20).fit(U[:, None], target)
    states = system.run(U)[20:, :N]
    fitted = model.predict(U[:, None])[20:]
    free = LinearRegression().fit(states, target[20:]).predict(states)
    best = 1 - np.var(free - target[20:]) / np.var(target[20:])
    assert 0.7 < 1 - np.var(fitted - target[20:]) / np.var(target[20:]) <= best + 1e-12


def test_a_closed_loop_is_the_liquid_fed_with_its_own_readout():
    system = liquid()
    W_out = np.random.default_rng(6).uniform(-0.2, 0.2, (1, N))
    start = system.run(U[:20])[-1]
    closed = system.close(W_out, 0.1).run(30, x0=start)
    x = start
    for state in closed:
        x = system.step(x, W_out @ x[:N] + 0.1)
        np.testing.assert_allclose(state[:N], x[:N], rtol=0, atol=1e-9)


def test_a_forecast_begins_at_the_end_of_the_training_series():
    net, cells = network(longest=1.0)
    u = np.sin(np.arange(1001) / 5)
    model = Forecaster(Liquid(net, CurrentInjection(cells, GAIN, BIAS), dt=20.0), washout=50).fit(u[:1000])
    assert model.forecast(5).series[0] == pytest.approx(u[1000], abs=0.3)  # forty neurons: a tenth of the variance


def test_ranks_and_dimensions_see_the_filtered_spikes_only():
    system = liquid()
    rank = kernel_rank(system, n_streams=50, n_steps=20, seed=0, progress=False)
    assert 5 < rank.rank <= N
    assert 1 < participation_ratio(system.run(U)[20:, system.observed]).value < N


def test_perturbations_of_a_silent_liquid_die_with_its_slowest_time_constant():
    net = Network(dt=DT)
    cells = net.add(LIF(3, tau_m=10.0), name="cells")
    system = Liquid(net, CurrentInjection(cells, np.zeros((3, 1))), FilteredSpikes(tau=40.0), dt=2.0)
    growth = replica_growth(system, np.zeros(900), interval=10, seed=0, progress=False)
    assert growth.exponent == pytest.approx(-1 / 40, abs=1e-6)


def test_perturbations_grow_only_where_their_size_moves_spikes():
    net = Network(dt=DT, seed=1)
    cells = net.add(LIF(N, t_ref=2.0, V_reset=-65.0), name="cells", v=Uniform(-70, -56))
    net.connect(cells, cells, Exponential(5.0), probability(0.4), weight=Uniform(-250, 250), delay=1.5)
    system = Liquid(net, CurrentInjection(cells, GAIN, 600.0), dt=SAMPLE)
    tiny, finite = (
        replica_growth(system, np.tile(U, 2), delta=delta, interval=4, n_replicas=2, seed=0, progress=False).exponent
        for delta in (1e-6, 10.0)
    )
    assert tiny == pytest.approx(-1 / 30, abs=1e-6) and finite > 0.02  # the decay of the traces alone; spikes


def test_derivatives_are_refused_with_the_way_out():
    with pytest.raises(TypeError, match=r"event_driven.*replica_growth"):
        liquid().jacobian(np.zeros(liquid().n_units), np.zeros(1))
    with pytest.raises(TypeError, match="event_driven"):
        lyapunov_spectrum(liquid(), U)


def test_the_matrix_is_that_of_the_projections():
    rng = np.random.default_rng(7)
    W = rng.normal(0, 1, (6, 6)) * (rng.random((6, 6)) < 0.5)
    net = Network(dt=DT)
    cells = net.add(LIF(6), name="cells")
    net.connect(cells[:4], cells, Exponential(5.0), from_matrix(W[:, :4].T))
    net.connect(cells[4:], cells, Exponential(5.0, reversal=None, name="late"), from_matrix(W[:, 4:].T))
    system = Liquid(net, CurrentInjection(cells, np.ones((6, 1))))
    assert np.array_equal(system.recurrent_matrix().toarray(), W)


def test_inhibition_behind_a_reversal_potential_counts_as_negative():
    net = Network(dt=DT)
    cells = net.add(LIF(4), name="cells")
    net.connect(cells, cells, Exponential(5.0, reversal=-90.0), all_to_all(), weight=2.0)
    W = Liquid(net, CurrentInjection(cells, np.ones((4, 1)))).recurrent_matrix().toarray()
    assert np.array_equal(W, 2.0 * np.eye(4) - 2.0)


@pytest.mark.parametrize("plastic", [False, True])
def test_the_same_matrix_gives_the_same_liquid_and_removed_synapses_are_gone(plastic):
    system = liquid(plastic=plastic)
    W = system.recurrent_matrix()
    states = system.run(U)
    assert np.array_equal(system.with_recurrent(W).run(U), states)
    cut = W.toarray()
    cut[::2] = 0
    pruned = system.with_recurrent(cut)
    assert np.array_equal(pruned.recurrent_matrix().toarray(), cut)
    net, cells = network(plastic=plastic)
    net.projections[0].weights = np.where(net.projections[0].edges()[1] % 2 == 0, 0.0, 60.0)
    zeroed = Liquid(net, CurrentInjection(cells, GAIN, BIAS), dt=SAMPLE)
    assert np.array_equal(zeroed.run(U)[:, :N], pruned.run(U)[:, :N])


def test_kept_neurons_run_as_they_would_among_silent_connections():
    system = liquid(plastic=True)
    kept = np.arange(0, N, 2)
    W = system.recurrent_matrix().toarray()
    alone = np.zeros_like(W)
    alone[np.ix_(kept, kept)] = W[np.ix_(kept, kept)]
    part = system.keep_units(kept)
    assert np.array_equal(part.recurrent_matrix().toarray(), W[np.ix_(kept, kept)])
    expected = system.with_recurrent(alone).run(U)[:, kept]
    assert expected.max() > 1
    np.testing.assert_allclose(part.run(U)[:, : kept.size], expected, rtol=0, atol=1e-12)


def test_an_added_synapse_belongs_to_the_projection_of_its_sign():
    system = liquid()
    W = system.recurrent_matrix().toarray()
    i, j = np.argwhere(W == 0)[0]
    W[i, j] = 60.0
    assert np.array_equal(system.with_recurrent(W).recurrent_matrix().toarray(), W)
    W[i, j] = -60.0
    with pytest.raises(ValueError, match=rf"W\[{i}, {j}\].*sign"):
        system.with_recurrent(W)


def two_populations():
    """Ten neurons, four of them fed, and six, with projections between parts of them."""
    rng = np.random.default_rng(8)
    net = Network(dt=DT, seed=1)
    a = net.add(LIF(10, t_ref=2.0), name="a", v=Uniform(-70, -56))
    b = net.add(LIF(6, t_ref=2.0), name="b", v=Uniform(-70, -56))
    net.connect(a, b, Exponential(5.0), all_to_all(), weight=40.0, delay=1.0)
    net.connect(b[1:5], a[2:8], Exponential(5.0), all_to_all(), weight=-60.0, delay=2.0)
    net.connect(a[:5], a, Exponential(5.0), probability(0.5), weight=Uniform(-50, 60), delay=2.0)
    return Liquid(net, CurrentInjection(a[:4], rng.uniform(50, 200, 4), 450.0), dt=SAMPLE)


def test_neurons_of_several_populations_are_kept_where_they_were():
    system = two_populations()
    W = system.recurrent_matrix().toarray()
    kept = np.array([1, 2, 5, 7, 11, 12, 15])
    alone = np.zeros_like(W)
    alone[np.ix_(kept, kept)] = W[np.ix_(kept, kept)]
    expected = system.with_recurrent(alone).run(U)[:, kept]
    part = system.keep_units(kept)
    twice = system.keep_units(np.arange(1, 16)).keep_units(kept - 1)
    for one in (part, twice):
        assert np.array_equal(one.recurrent_matrix().toarray(), W[np.ix_(kept, kept)])
        np.testing.assert_allclose(one.run(U)[:, : kept.size], expected, rtol=0, atol=1e-12)
    assert expected.max() > 1
    for gone in (np.arange(4, 16), np.arange(10, 16)):
        with pytest.raises(ValueError, match="units must leave neurons of"):
            system.keep_units(gone)


def test_a_projection_of_both_signs_takes_synapses_of_both():
    system = two_populations()
    W = system.recurrent_matrix().toarray()
    i, j = np.argwhere(W[:10, :5] == 0)[0]
    for weight in (30.0, -30.0):
        W[i, j] = weight
        assert np.array_equal(system.with_recurrent(W).recurrent_matrix().toarray(), W)


def test_a_synapse_of_weight_zero_may_be_given_one():
    net, cells = network()
    q = net.projections[0]
    q.weights = np.where(np.arange(len(q)) % 2, 60.0, 0.0)
    system = Liquid(net, CurrentInjection(cells, GAIN, BIAS), dt=SAMPLE)
    W = system.recurrent_matrix().toarray()
    pre, post = (ends[0] for ends in q.edges()[:2])
    assert W[post, pre] == 0
    W[post, pre] = 60.0
    assert np.array_equal(system.with_recurrent(W).recurrent_matrix().toarray(), W)


def test_neurons_with_currents_of_their_own_stay():
    net, cells = network()
    net.stimulate(cells, StepCurrent([0.0], [10.0]))
    with pytest.raises(ValueError, match=r"StepCurrent.*into 'cells'; give a constant current as I_e"):
        Liquid(net, CurrentInjection(cells, GAIN, BIAS)).keep_units([0, 1])


def test_copies_are_liquids_of_their_own():
    system = liquid(plastic=True)
    states = system.run(U)
    for twin in (copy.deepcopy(system), copy.copy(system), pickle.loads(pickle.dumps(system))):
        assert np.array_equal(twin.run(U), states) and np.array_equal(system.run(U), states)
        assert twin.network.step == 0 and twin.network.populations[0].n == N
    with pytest.raises(TypeError, match="Liquid and cannot be stored"):
        system.save("liquid.penstock")


def test_the_network_given_is_left_alone():
    net, cells = network()
    net.record(cells, "spikes")
    before = net.run(50.0, progress=False).spikes["cells"]
    net.reset()
    Liquid(net, CurrentInjection(cells, GAIN, BIAS)).run(U)
    after = net.run(50.0, progress=False).spikes["cells"]
    assert np.array_equal(before.times, after.times) and not net.drives


def test_plastic_weights_stay_as_they_were_learned():
    def make(learns):
        net = Network(dt=DT, seed=1)
        cells = net.add(LIF(N, t_ref=3.0, V_reset=-65.0), name="cells", v=Uniform(-70, -56))
        rule = PairSTDP(5.0, 6.0, w_max=100.0) if learns is None else None
        q = net.connect(
            cells,
            cells,
            Exponential(5.0),
            probability(0.25),
            weight=60.0 if learns is None else learns,
            plasticity=rule,
        )
        return net, q, CurrentInjection(cells, GAIN, BIAS)

    net, q, encoder = make(None)
    net.stimulate(encoder.group, ArrayCurrent(np.full(200, BIAS), 1.0))
    net.run(200.0, progress=False)
    net.drives.clear()
    assert np.ptp(q.weights) > 10
    frozen, encoder_of = make(q.weights), Liquid(net, encoder, dt=SAMPLE)
    expected = Liquid(frozen[0], frozen[2], dt=SAMPLE).run(U)
    assert np.array_equal(encoder_of.run(U), expected) and np.array_equal(encoder_of.run(U), expected)


def _with_noise(kind):
    net, cells = network()
    if kind == "current":
        net.stimulate(cells, OUCurrent(0.0, 10.0, 5.0))
    elif kind == "source":
        net.connect(net.add(PoissonGroup(3, 10.0)), cells, Delta(), all_to_all(), weight=1.0)
    else:
        net.connect(net.add(LIF(2, sigma=1.0), name="noisy"), cells, Delta(), all_to_all(), weight=1.0)
    return net, CurrentInjection(cells, GAIN)


@pytest.mark.parametrize("kind", ["current", "source", "membrane"])
def test_a_network_that_draws_random_numbers_is_refused(kind):
    with pytest.raises(ValueError, match="network must be deterministic"):
        Liquid(*_with_noise(kind))


class Encoder:
    """An encoder of the user's own, which returns what it is told."""

    n_inputs, n_states = 1, 0

    def __init__(self, group, what):
        self.group, self.what = group, what

    def encode(self, u, state, first, steps, dt):
        return self.what, np.zeros((len(u), 0))


def test_what_an_encoder_returns_is_checked():
    net, cells = network()
    source = net.add(SpikeSource(3, [], []), name="source")
    net.connect(source, cells, Delta(), all_to_all(), weight=1.0)
    for what in (np.ones((2, N - 1)), np.ones((3, N)), np.ones(N)):
        with pytest.raises(ValueError, match=rf"must return currents \(2, {N}\)"):
            Liquid(net, Encoder(cells, what)).run([0.0, 0.0])
    with pytest.raises(ValueError, match="currents must be finite"):
        Liquid(net, Encoder(cells, np.full((2, N), np.nan))).run([0.0, 0.0])
    for at, ids in (([0], [3]), ([-1], [0]), ([40], [0]), ([5, 1], [0, 0]), ([1, 1], [0, 0]), ([1, 1], [1, 0])):
        with pytest.raises(ValueError, match="must return spikes of 3 units in 40 steps"):
            Liquid(net, Encoder(source, (np.array(at), np.array(ids)))).run([0.0, 0.0])
    for group in (cells[::2], source[:2]):
        with pytest.raises(ValueError, match="encoder.group must be"):
            Liquid(net, Encoder(group, None))


def test_bad_arguments_are_named():
    alone = Network()
    with pytest.raises(ValueError, match="network must have neurons"):
        Liquid(alone, SpikesIn(alone.add(SpikeSource(2, [], []))))
    net, cells = network()
    encoder = CurrentInjection(cells, GAIN)
    other = network()[0]
    for wrong in (None, cells, 3):
        with pytest.raises(TypeError, match="network must be"):
            Liquid(wrong, encoder)
    for wrong in (None, CurrentInjection, 3.0, Normal(1.0)):
        with pytest.raises(TypeError, match="encoder must be"):
            Liquid(net, wrong)
    with pytest.raises(ValueError, match="of another one"):
        Liquid(other, encoder)
    for wrong in (FilteredSpikes, 30.0, "filtered"):
        with pytest.raises(TypeError, match="decoder must be"):
            Liquid(net, encoder, wrong)
    for wrong, kind in (
        (0.0, ValueError),
        (0.7, ValueError),
        (np.nan, ValueError),
        (True, TypeError),
        ("1", TypeError),
    ):
        with pytest.raises(kind, match="dt must"):
            Liquid(net, encoder, dt=wrong)
    system = Liquid(net, encoder)
    for wrong, kind in (([], ValueError), ([0, 0], ValueError), ([N], ValueError), ([0.5], TypeError)):
        with pytest.raises(kind, match="units must"):
            system.keep_units(wrong)
    for x, u, message in ((np.zeros(3), [0.0], "x0 must"), (np.zeros(system.n_units), [0.0, 0.0], "u must")):
        with pytest.raises(ValueError, match=message):
            system.step(x, u)
    with pytest.raises(ValueError, match=r"W must have shape"):
        system.with_recurrent(np.zeros((3, 3)))
    for wrong, kind in ((0.0, ValueError), (-1.0, ValueError), (None, TypeError), (True, TypeError)):
        with pytest.raises(kind, match="tau must"):
            FilteredSpikes(wrong)
