"""Brunel's network: wiring and drive as published, every stationary state of the theory, simulated rates."""

import functools

import numpy as np
import pytest
from numpy.testing import assert_allclose

from penstock.spiking import (
    LIF,
    Delta,
    Network,
    PoissonGroup,
    PoissonInput,
    SpikeSource,
    brunel,
    brunel_rates,
    cv,
    fixed_in_degree,
    mean_field_rates,
    siegert_rate,
)

SMALL = dict(order=50, density=0.4)  # C_E = 80, C_I = 20


@pytest.mark.parametrize("V_reset, rate", [(0.0, 32.03), (10.0, 37.95)])
def test_asynchronous_state_has_the_reference_rate(V_reset, rate):
    theory = brunel_rates(5.0, 2.0, V_reset=V_reset)
    assert_allclose(theory.rates, [rate], atol=5e-3)
    assert theory.stable.tolist() == [True]


def test_every_state_satisfies_its_own_equation():
    for g, eta in ((3.0, 0.5), (2.0, 0.7), (4.5, 0.9), (6.0, 4.0)):
        theory = brunel_rates(g, eta)
        again = siegert_rate(theory.mu, theory.sigma, tau_m=20.0, V_th=20.0, V_reset=10.0, t_ref=2.0)
        assert_allclose(again, theory.rates, rtol=1e-9)  # of a slope of the response of up to 1e3


def test_weak_inhibition_and_drive_leave_three_states_the_middle_one_unstable():
    theory = brunel_rates(3.0, 0.5)
    assert theory.stable.tolist() == [True, False, True]
    assert theory.rates[0] < 1e-30 and theory.rates[2] > 200


def test_without_external_drive_rest_is_a_state():
    assert brunel_rates(6.0, 0.0).rates.tolist() == [0.0]
    assert np.isnan(brunel_rates(6.0, 0.0).cv[0])


def test_two_populations_give_the_same_rates_as_one():
    drive = dict(external_in_degrees=80, external_weights=0.2, external_rates=1.5 * 20 / (0.2 * 80 * 20e-3))
    neuron = dict(tau_m=20.0, V_th=20.0, V_reset=5.0, t_ref=2.0)
    both = mean_field_rates([[80, 20]] * 2, [[0.2, -1.0]] * 2, **drive, **neuron)
    assert_allclose(brunel_rates(5.0, 1.5, J=0.2, V_reset=5.0, **SMALL).rates, both.rates[:1], rtol=1e-9)


def test_network_is_wired_as_published():
    net = brunel(5.0, 2.0, 3, J=0.2, **SMALL)
    assert [len(group) for group in net.groups] == [200, 50]
    for projection in net.projections:
        pre, post, weights, delays = projection.edges()
        inhibitory = projection.pre.name == "I"
        assert (np.bincount(post, minlength=len(projection.post)) == (20 if inhibitory else 80)).all()
        assert set(weights) == {-1.0 if inhibitory else 0.2} and set(delays) == {1.5}
        assert len(set(zip(pre.tolist(), post.tolist(), strict=True))) == len(pre)
        assert projection.pre.name != projection.post.name or not (pre == post).any()


def test_potentials_start_anywhere_between_reset_and_threshold():
    net = brunel(5.0, 2.0, 3, V_reset=12.0, **SMALL)
    v = np.concatenate([net.get(group, "v") for group in net.groups])
    assert 12.0 <= v.min() < 12.3 and 19.7 < v.max() <= 20.0  # of 250: probability 4e-5 each side to fail
    assert_allclose(v.mean(), 16.0, atol=4 * 8 / np.sqrt(12 * 250))


def test_every_neuron_hears_the_external_drive_that_eta_states():
    """At eta = 1 the drive alone lifts the mean potential to the threshold: C_E J rate tau_m = 20 mV."""
    for drive in brunel(5.0, 1.0, 3, J=0.2, **SMALL).drives:
        assert isinstance(drive.source, PoissonInput) and drive.source.n_sources == 80
        assert_allclose(drive.source.n_sources * drive.source.rate * 1e-3 * drive.source.weight * 20.0, 20.0)


def test_same_seed_same_spikes_another_seed_others():
    def spikes(seed):
        net = brunel(5.0, 2.0, seed, J=0.5, **SMALL)
        net.record(net.groups[0], "spikes")
        trains = net.run(60.0, progress=False).spikes["E"]
        return trains.times.tolist(), trains.ids.tolist()

    assert spikes(1) == spikes(1) != spikes(2)


@functools.cache
def settled_spikes(V_reset):
    """The spikes of the asynchronous state, by population, 50 to 550 ms."""
    net = brunel(5.0, 2.0, 1, V_reset=V_reset)
    for group in net.groups:
        net.record(group, "spikes")
    return {name: trains.between(50.0, 550.0) for name, trains in net.run(550.0, progress=False).spikes.items()}


@pytest.mark.slow
@pytest.mark.parametrize("V_reset, rate", [(0.0, 32.03), (10.0, 37.95)])
def test_simulated_asynchronous_state_fires_at_the_reference_rate(V_reset, rate):
    """Reference simulations gave 32.05 and 32.10 Hz (E, I; reset 0), 37.3 and 37.6 Hz (reset 10), the paper 37.7 Hz.

    Rates of 100 ms differ by 1 Hz (one standard deviation, measured), so 500 ms are known to 1.5 %; the theory takes
    input as Poisson and jumps as small, and is within 2 % of the simulations.
    """
    for trains in settled_spikes(V_reset).values():
        assert_allclose(trains.mean_rate, rate, rtol=0.03)


def as_source(trains, moved):
    """A source of the spikes of the trains at times (from 0, ms) that a function of times and ids gives."""
    steps = np.round(moved(trains.times - trains.t_start, trains.ids) * 10).astype(int) % round(trains.duration * 10)
    ids, steps = np.unique([trains.ids, steps], axis=1)
    return SpikeSource(trains.n, ids, steps / 10)


def intervals_cv_of_listeners(sources):
    """The CV of neurons outside of the network that hear as many of these sources as those inside."""
    net = Network(dt=0.1, seed=3)
    cells = net.add(LIF(300, tau_m=20.0, E_L=0.0, V_th=20.0, V_reset=10.0, t_ref=2.0), name="cells", v=15.0)
    for source, in_degree, weight in zip(sources, (1000, 250), (0.1, -0.5), strict=True):
        net.connect(net.add(source), cells, Delta(), fixed_in_degree(in_degree), weight=weight)
    net.stimulate(cells, PoissonInput(1000, 20.0, 0.1, Delta()))
    net.record(cells, "spikes")
    return np.nanmean(cv(net.run(500.0, progress=False).spikes["cells"]))


@pytest.mark.slow
def test_intervals_are_more_regular_than_in_theory_because_the_sources_are_regular():
    """Shifting each source by a time of its own leaves nothing but its regularity; strewing its spikes removes that.

    Half a second leaves out long intervals, so that the 0.68 of the theory, 0.63 in a long run of neurons with Poisson
    sources, become 0.61, while 0.40 become 0.39.
    """
    rng, spikes = np.random.default_rng(0), settled_spikes(10.0)
    shift = rng.uniform(0, 500, 10_000)
    shifted = [as_source(trains, lambda times, ids: times + shift[ids]) for trains in spikes.values()]
    strewn = [as_source(trains, lambda times, ids: rng.uniform(0, 500, times.size)) for trains in spikes.values()]
    inside = np.nanmean(cv(spikes["E"]))
    assert 0.36 < inside < 0.41
    assert_allclose(intervals_cv_of_listeners(shifted), inside, atol=0.03)
    poisson = [PoissonGroup(trains.n, rate=trains.mean_rate) for trains in spikes.values()]
    irregular = intervals_cv_of_listeners(poisson)
    # strewn spikes keep the number of each source, which is not quite a Poisson process
    assert_allclose(intervals_cv_of_listeners(strewn), irregular, atol=0.04)
    assert 0.57 < irregular < brunel_rates(5.0, 2.0).cv[0]


@pytest.mark.parametrize("function", [brunel, brunel_rates])
@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(g=-1.0), "g must be at least 0"),
        (dict(g=None), "g must be a number"),
        (dict(eta=np.nan), "eta must be finite"),
        (dict(eta="2"), "eta must be a number"),
        (dict(order=2.5), "order must be an integer"),
        (dict(order=1), "order must be at least 2"),
        (dict(density=1.0), "density must leave each neuron 1 to 49 of 50"),
        (dict(density=0.001), "density must leave each neuron 1 to 49 of 50"),
        (dict(density=0.0), "density must lie in"),
        (dict(J=0.0), "J must be above 0"),
        (dict(J=True), "J must be a number"),
        (dict(V_reset=20.0), "V_reset must be below the threshold of 20 mV"),
    ],
)
def test_bad_values_are_refused(function, wrong, message):
    seed = {"seed": 1} if function is brunel else {}
    with pytest.raises((ValueError, TypeError), match=message):
        function(**dict(g=5.0, eta=2.0, **SMALL, **seed) | wrong)


def test_seed_is_checked():
    with pytest.raises(TypeError, match="seed must be an integer"):
        brunel(5.0, 2.0, None, **SMALL)
