"""Columns: connections and parameters as published, separation ordered as published, heterogeneity that pays."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from numpy.testing import assert_allclose, assert_array_equal

from penstock import Gamma, Uniform
from penstock.spiking import (
    CurrentInjection,
    Liquid,
    SpikesIn,
    SpikeSource,
    SpikeTrains,
    grid_positions,
    heterogeneous_liquid,
    maass_column,
)

# Maass, Natschläger, Markram (2002), appendix: C, mean A (nA), delay (ms), U, D (ms), F (ms)
TABLE = {
    ("E", "E"): (0.3, 30.0, 1.5, 0.5, 1100.0, 50.0),
    ("E", "I"): (0.2, 60.0, 0.8, 0.05, 125.0, 1200.0),
    ("I", "E"): (0.4, -19.0, 0.8, 0.25, 700.0, 20.0),
    ("I", "I"): (0.1, -19.0, 0.8, 0.32, 144.0, 60.0),
}


def positions_of(seed, grid=(3, 3, 15)):
    return grid_positions(np.random.SeedSequence(seed).spawn(1)[0], grid=grid)


def recurrent(net):
    """The projections between neurons by names of their groups."""
    return {(p.pre.name, p.post.name): p for p in net.projections if p.pre.name != "input"}


@pytest.fixture(scope="module")
def columns():
    return [maass_column(seed) for seed in range(40)]


# The grid


def test_neurons_stand_on_all_points_of_the_grid_a_fifth_of_them_inhibitory():
    positions = grid_positions(3)
    together = np.concatenate(positions)
    assert len(positions.I) == 27
    assert_array_equal(np.unique(together, axis=0), np.indices((3, 3, 15)).reshape(3, -1).T)


def test_which_neurons_are_inhibitory_is_a_matter_of_chance():
    heights = np.concatenate([grid_positions(seed).I[:, 2] for seed in range(60)])
    assert abs(heights.mean() - 7) < 5 * np.sqrt((15**2 - 1) / 12 / heights.size)  # of 0..14, drawn without preference
    some = grid_positions(0, n=50, grid=(4, 4, 4))
    assert len(some.E) == 40 and len(np.unique(np.concatenate(some), axis=0)) == 50


# The column of Maass, Natschläger and Markram


@pytest.mark.parametrize("pair", TABLE)
def test_connections_fall_with_distance_as_the_formula_says(columns, pair):
    expected, found = np.zeros(60), np.zeros(60)
    for seed, net in enumerate(columns):
        a, b = (getattr(positions_of(seed), name) for name in pair)
        squares = ((a[:, None] - b[None]) ** 2).sum(-1)
        p = TABLE[pair][0] * np.exp(-squares / 4.0)
        if pair[0] == pair[1]:
            np.fill_diagonal(p, 0.0)
        pre, post = recurrent(net)[pair].edges()[:2]
        expected += np.bincount(np.minimum(squares, 59).ravel(), p.ravel(), minlength=60)
        found += np.bincount(np.minimum(squares[pre, post], 59), minlength=60)
    enough = expected > 10
    assert enough.sum() >= 7  # squared distances
    z = (found - expected)[enough] / np.sqrt(expected[enough])
    assert np.abs(z).max() < 5 and abs((found - expected).sum()) < 5 * np.sqrt(expected.sum())
    assert found[0] == 0  # no synapse of a neuron on itself


@pytest.mark.parametrize("pair", TABLE)
def test_synapses_are_those_of_the_table(columns, pair):
    _, A, delay, *dynamics = TABLE[pair]
    synapses = [recurrent(net)[pair] for net in columns]
    weights = np.concatenate([p.weights for p in synapses]) / 1000
    assert scipy.stats.kstest(weights / A, scipy.stats.expon.cdf).pvalue > 1e-4  # gamma of shape 1
    assert all((p.edges()[3] == delay).all() for p in synapses)
    assert synapses[0].synapse.tau == (3.0 if pair[0] == "E" else 6.0)
    U, per_rec, per_fac = np.concatenate([p.short_term[:3] for p in synapses], axis=1)
    for drawn, mean, most in zip((U, 0.1 / per_rec, 0.1 / per_fac), dynamics, (1.0, np.inf, np.inf), strict=True):
        assert 0 < drawn.min() and drawn.max() <= most
        law = scipy.stats.norm(mean, mean / 2)
        # positive draws are kept, the others have mean `mean`; what exceeds `most` counts as `most`
        kept = scipy.integrate.quad(lambda x, law=law, most=most: min(x, most) * law.pdf(x), 0, 8 * mean, limit=200)[0]
        assert_allclose(drawn.mean(), kept + mean * law.cdf(0), atol=5 * drawn.std() / np.sqrt(drawn.size))


def test_neurons_are_those_of_the_paper(columns):
    _, exc, inh = columns[0].groups
    for group, n, t_ref in ((exc, 108, 3.0), (inh, 27, 2.0)):
        model = group.model
        assert (len(group), model.tau_m, model.t_ref, model.V_th, model.V_reset) == (n, 30.0, t_ref, 15.0, 13.5)
        assert model.tau_m / model.C_m * 1000 == 1.0  # MOhm
        assert model.E_L + model.tau_m / model.C_m * model.I_e == pytest.approx(13.5)
    v = np.concatenate([net.get(group, "v") for net in columns for group in net.groups[1:]])
    assert scipy.stats.kstest(v, scipy.stats.uniform(13.5, 1.5).cdf).pvalue > 1e-4


def test_an_input_spike_lifts_potentials_at_rest_by_the_closed_form():
    net = maass_column(0, source=SpikeSource(1, [0], [1.0]), reach=0.0)
    for group in net.groups[1:]:
        net.set(group, v=13.5)
        net.record(group, "v")
    states = net.run(40.0, progress=False).states
    t = np.arange(0.0, 39.0, 0.1)  # the spike arrives in the step at 1.0 ms and acts from the next one on
    for name, weight, tau in (("E", 18.0, 3.0), ("I", 9.0, 6.0)):
        psp = weight * tau / (30.0 - tau) * (np.exp(-t / 30.0) - np.exp(-t / tau))
        got = states[name, "v"].values
        assert_allclose(got[10:], np.repeat(13.5 + psp[:, None], got.shape[1], axis=1), atol=1e-9)
        assert psp.max() < 1.5  # below the threshold


def test_without_input_the_column_is_silent():
    net = maass_column(1)
    for group in net.groups[1:]:
        net.record(group, "spikes")
    spikes = net.run(200.0, progress=False).spikes
    assert spikes["E"].n_spikes == spikes["I"].n_spikes == 0


def test_the_input_does_not_change_what_is_drawn():
    one, other = maass_column(4), maass_column(4, source=SpikeSource(3, [0, 1], [1.0, 2.0]))
    for p, q in zip(recurrent(one).values(), recurrent(other).values(), strict=True):
        for a, b in zip((*p.edges(), p.short_term), (*q.edges(), q.short_term), strict=True):
            assert_array_equal(a, b)
    assert_array_equal(one.get(one.groups[1], "v"), other.get(other.groups[1], "v"))
    another = maass_column(5)
    assert not np.array_equal(one.get(one.groups[1], "v"), another.get(another.groups[1], "v"))


def test_the_column_is_a_liquid():
    net = maass_column(2)
    liquid = Liquid(net, SpikesIn(net.groups[0]), dt=1.0)
    u = np.zeros(100)
    u[[5, 10, 15, 40]] = 1.0
    states = liquid.run(u)[:, liquid.observed]
    assert states.shape == (100, 135) and not states[:4].any() and (states[45] > 0).mean() > 0.5


# Its separation


def separation(pairs, seed):
    """Mean over neurons and pairs of the squared difference of the states, per ms; new potentials in every run."""
    rng, curves = np.random.default_rng(seed), []
    for times in pairs:
        states = []
        for train in times:
            net = maass_column(seed, source=SpikeSource(1, np.zeros(len(train), int), train))
            for group in net.groups[1:]:
                net.set(group, v=Uniform(13.5, 15.0)(rng, len(group)))
                net.record(group, "spikes")
            spikes = net.run(500.0, progress=False).spikes
            states.append(np.hstack([spikes[name].filtered(30.0) for name in "EI"]))
        curves.append(np.mean((states[0] - states[1]) ** 2, axis=1))
    return np.mean(curves, axis=0)


def pairs_at_distances(targets, n_pairs, seed):
    """Disjoint pairs of Poisson trains of 20 Hz for 500 ms, within 0.01 of each distance; at 0 a train twice."""
    rng = np.random.default_rng(seed)
    n = 700
    at, ids = np.nonzero(rng.random((5000, n)) < 0.002)
    trains = SpikeTrains(at * 0.1, ids, n, t_stop=500.0, dt=0.1)
    signals = trains.smoothed(lambda t: np.exp(-((t / 5.0) ** 2)), (-30.0, 30.0)).T
    products = signals @ signals.T
    distances = (np.diag(products)[:, None] + np.diag(products) - 2 * products) / 500.0
    pairs = {0.0: [(trains[i], trains[i]) for i in range(n_pairs)]}
    for target in targets:
        used = set()
        for i, j in rng.permutation(np.argwhere(np.triu(np.abs(distances - target) < 0.01, 1))).tolist():
            if not used & {i, j} and len(used) < 2 * n_pairs:
                used |= {i, j}
                pairs.setdefault(target, []).append((trains[i], trains[j]))
    return pairs


@pytest.mark.slow
def test_separation_grows_with_the_distance_of_the_inputs_as_published():
    pairs = pairs_at_distances((0.1, 0.2, 0.4), 25, seed=0)
    assert [len(pairs[d]) for d in (0.0, 0.1, 0.2, 0.4)] == [25] * 4
    curves = np.array([separation(pairs[d], seed=1) for d in (0.0, 0.1, 0.2, 0.4)])
    means = curves[:, 20:].mean(axis=1)
    assert (np.diff(means) > 0.05).all()
    assert curves[:, 20:].max() < 2.5  # the range of the published figure
    assert (curves[0, 20:] < curves[1:, 20:]).all()  # same input, other potentials: the lowest at all times
    assert curves[0, 300:].max() < 0.05 < curves[0, :100].max()  # and what the potentials did is forgotten


# Heterogeneous time constants


def test_time_constants_follow_their_laws():
    net = heterogeneous_liquid(5000, tau_i=Gamma(8.0, shape=1.5), weight=0.0, reach=0.0, seed=0)
    for group, (mean, shape) in zip(net.groups, ((20.0, 3.0), (8.0, 1.5)), strict=True):
        assert scipy.stats.kstest(group.model.tau_m, scipy.stats.gamma(shape, scale=mean / shape).cdf).pvalue > 1e-4
        assert_allclose(group.model.tau_m / group.model.C_m, 0.1)  # GOhm
    assert [len(group) for group in net.groups] == [4000, 1000]


def test_a_homogeneous_twin_has_the_same_synapses_and_potentials():
    net, twin = heterogeneous_liquid(200, seed=3), heterogeneous_liquid(200, tau_e=20.0, tau_i=10.0, seed=3)
    assert {group.model.tau_m.tolist()[0] for group in twin.groups} == {20.0, 10.0}
    for p, q in zip(net.projections, twin.projections, strict=True):
        for a, b in zip(p.edges(), q.edges(), strict=True):
            assert_array_equal(a, b)
    assert_array_equal(net.get(net.groups[0], "v"), twin.get(twin.groups[0], "v"))


def test_weights_and_signs_are_as_documented():
    net = heterogeneous_liquid(200, weight=40.0, inhibition=2.5, seed=0)
    values = {pair: set(p.weights) for pair, p in recurrent(net).items()}
    assert values == {("E", "E"): {40.0}, ("E", "I"): {80.0}, ("I", "E"): {-100.0}, ("I", "I"): {-100.0}}
    assert {p.synapse.tau for p in net.projections} == {5.0, 10.0}


@pytest.mark.parametrize("scale", [50.0, 200.0, 400.0])
def test_activity_is_neither_silent_nor_saturated_over_a_range_of_inputs(scale):
    net = heterogeneous_liquid(300, seed=1)
    liquid = Liquid(net, CurrentInjection.random(net.groups[0], scale=scale, seed=2))
    states = liquid.run(Uniform(-0.8, 0.8)(np.random.default_rng(3), 300))[:, liquid.observed]
    rates = states.mean(axis=0) / 0.03  # r spikes per second leave traces of 0.03 r on average, to a sixth of a sample
    assert 3 < rates.mean() < 40 and np.mean(rates == 0) < 0.3 and np.mean(rates > 150) < 0.03


def memory(seed, **time_constants):
    """Adjusted R^2 of the input of 0 to 15 samples ago, summed, by least squares on the stored states."""
    net = heterogeneous_liquid(250, **time_constants, seed=seed)
    liquid = Liquid(net, CurrentInjection.random(net.groups[0], scale=200.0, seed=50 + seed))
    u = Uniform(-0.8, 0.8)(np.random.default_rng(0), 2100)
    states = np.column_stack([liquid.run(u)[100:, liquid.observed], np.ones(2000)])
    targets = np.column_stack([u[100 - k : 2100 - k] for k in range(16)])
    weights, _, rank, _ = np.linalg.lstsq(states, targets, rcond=None)
    missed = ((targets - states @ weights) ** 2).sum(0) / ((targets - targets.mean(0)) ** 2).sum(0)
    return (1 - missed * 1999 / (2000 - rank)).sum()


def test_different_time_constants_remember_more_than_equal_ones():
    # errors of either are about 0.1
    different, equal = memory(1), memory(1, tau_e=20.0, tau_i=10.0)
    assert different > 2.1 and different > equal + 0.2


# Bad input


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: grid_positions(None), TypeError, "seed must be a non-negative integer"),
        (lambda: grid_positions(0, n=136), ValueError, "n must be at most 135, the points of grid"),
        (lambda: grid_positions(0, n=1), ValueError, "n must be at least 2"),
        (lambda: grid_positions(0, grid=(3, 3)), TypeError, "grid must be three numbers of points"),
        (lambda: grid_positions(0, grid=(3, 3, 0)), ValueError, "grid must be at least 1, got 0"),
        (lambda: grid_positions(0, grid=(3, 3, 1.5)), TypeError, "grid must be an integer"),
        (lambda: grid_positions(0, grid="abc"), TypeError, "grid must be three numbers"),
        (lambda: maass_column(-1), ValueError, "seed must be at least 0"),
        (lambda: maass_column("1"), TypeError, "seed must be an integer"),
        (lambda: maass_column(0, reach=-1.0), ValueError, "reach must be at least 0"),
        (lambda: maass_column(0, reach=True), TypeError, "reach must be a number"),
        (lambda: maass_column(0, source=[1.0]), TypeError, "source must be a SpikeSource"),
        (lambda: heterogeneous_liquid(1, seed=0), ValueError, "n must be at least 2"),
        (lambda: heterogeneous_liquid(10.0, seed=0), TypeError, "n must be an integer"),
        (lambda: heterogeneous_liquid(10, tau_e=0.0, seed=0), ValueError, "tau_e must be above 0"),
        (lambda: heterogeneous_liquid(10, tau_i=None, seed=0), TypeError, "tau_i must be a number"),
        (
            lambda: heterogeneous_liquid(10, tau_i=Uniform(-1, 0), seed=0),
            ValueError,
            "tau_i must draw 2 values above 0",
        ),
        (lambda: heterogeneous_liquid(10, weight=-1.0, seed=0), ValueError, "weight must be at least 0"),
        (lambda: heterogeneous_liquid(10, inhibition=np.nan, seed=0), ValueError, "inhibition must be finite"),
        (lambda: heterogeneous_liquid(10, I_e="1", seed=0), TypeError, "I_e must be a number"),
        (lambda: heterogeneous_liquid(10, dt=0.3, seed=0), ValueError, "must be a whole number of steps of dt=0.3"),
        (lambda: heterogeneous_liquid(10, seed=None), TypeError, "seed must be a non-negative integer"),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()
