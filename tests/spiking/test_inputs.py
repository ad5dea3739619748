"""Inputs: given spikes and currents on the grid, exact laws of the random ones, the same bits however they are cut."""

import itertools

import numpy as np
import pytest
import scipy.signal
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.spiking import LIF, Delta, Exponential, Network
from penstock.spiking.inputs import (
    ArrayCurrent,
    OUCurrent,
    PoissonGroup,
    PoissonInput,
    RampCurrent,
    SpikeSource,
    StepCurrent,
)

DT = 0.1


def spikes(group, steps, *, seed=0, dt=DT, shift=0):
    """The spikes of all steps as a table (steps, n) of counts."""
    when, who = group.stream(dt, np.random.default_rng(seed), shift).take(0, steps)
    table = np.zeros((steps, group.n), int)
    np.add.at(table, (when, who), 1)
    return table


def drive(record, steps, *, n=1, seed=0, dt=DT):
    return record.stream(n, dt, np.random.default_rng(seed)).take(0, steps)


def fits(observed, expected):
    """A chi-square test that passes wrongly rejected once in 10^5 tests; rare cells are put together."""
    observed = np.ravel(observed)
    expected = np.ravel(expected) * (observed.sum() / np.sum(expected))
    common = expected > 5
    if not common.all():
        observed = np.append(observed[common], observed[~common].sum())
        expected = np.append(expected[common], expected[~common].sum())
    return scipy.stats.chisquare(observed, expected).pvalue > 1e-5


# However a run is cut

SOURCES = {
    "given": SpikeSource(5, [4, 0, 2, 2], [0.5, 0.5, 2.0, 10.0]),
    "poisson": PoissonGroup(50, 300.0),
    "poisson of many rates": PoissonGroup(6, [0.0, 1.0, 30.0, 1000.0, 5000.0, 10000.0], start=0.3, stop=15.0),
    "poisson of a changing rate": PoissonGroup(3, np.geomspace(1, 9999, 30).reshape(10, 3), dt_rate=1.5, start=0.3),
    "poisson, never": PoissonGroup(3, 0.0),
}
DRIVES = {
    "step": StepCurrent([0.0, 3.0, 9.0], [1.0, 2.0, 3.0]),
    "ramp": RampCurrent(2.0, 8.0, 5.0, initial=-1.0),
    "array": ArrayCurrent(np.arange(21.0).reshape(7, 3), 0.5),
    "ou": OUCurrent([1.0, 2.0, 3.0], 5.0, 2.0),
    "poisson input": PoissonInput(100, [10.0, 20.0, 5000.0], 2.0, Delta()),
}
CUTS = st.lists(st.integers(0, 200), max_size=8).map(lambda cuts: [0, *sorted(cuts), 200])


@pytest.mark.parametrize("name", SOURCES)
@settings(deadline=None, max_examples=20)
@given(cuts=CUTS)
def test_spikes_are_the_same_bits_however_the_run_is_cut(name, cuts):
    whole = SOURCES[name].stream(DT, np.random.default_rng(1), 0).take(0, 200)
    stream = SOURCES[name].stream(DT, np.random.default_rng(1), 0)
    parts = [stream.take(a, b) for a, b in itertools.pairwise(cuts)]
    for (steps, _), (a, b) in zip(parts, itertools.pairwise(cuts), strict=True):
        assert ((steps >= a) & (steps < b)).all()
    for joined, wanted, dtype in zip(zip(*parts, strict=True), whole, (np.int64, np.uint32), strict=True):
        assert np.array_equal(np.concatenate(joined), wanted) and wanted.dtype == dtype
    assert (np.diff(whole[0] * 100 + whole[1]) > 0).all()  # sorted by step, then unit; none twice


@pytest.mark.parametrize("name", DRIVES)
@settings(deadline=None, max_examples=20)
@given(cuts=CUTS)
def test_drives_are_the_same_bits_however_the_run_is_cut(name, cuts):
    whole = drive(DRIVES[name], 200, n=3, seed=1)
    stream = DRIVES[name].stream(3, DT, np.random.default_rng(1))
    parts = [stream.take(a, b) for a, b in itertools.pairwise(cuts)]
    assert np.array_equal(np.concatenate(parts), whole)
    assert whole.dtype == np.float64 and whole.shape in [(200, 1), (200, 3)]


def test_long_poisson_trains_are_the_same_bits_too():
    group = PoissonGroup(100, 500.0)  # 5 spikes per step: several blocks of 2^14 spikes
    whole = group.stream(DT, np.random.default_rng(0), 0).take(0, 10_000)
    stream = group.stream(DT, np.random.default_rng(0), 0)
    parts = [stream.take(k, k + 100) for k in range(0, 10_000, 100)]
    assert all(np.array_equal(np.concatenate(p), w) for p, w in zip(zip(*parts, strict=True), whole, strict=True))


@pytest.mark.parametrize(
    "record", [PoissonGroup(2, 10.0), OUCurrent(0, 1, 1), PoissonInput(2, 3, 4, Delta())], ids=repr
)
def test_random_steps_out_of_order_are_refused(record):
    sizes = () if isinstance(record, PoissonGroup) else (2,)
    stream = record.stream(*sizes, DT, np.random.default_rng(0))
    stream.take(0, 10)
    for k0, k1 in ((0, 10), (11, 12), (10, 9)):
        with pytest.raises(ValueError, match="steps must be taken in order, from 10 on"):
            stream.take(k0, k1)


# Spike source


def test_given_spikes_come_in_the_step_of_their_label():
    source = SpikeSource(3, [2, 0, 1], [0.3, 0.0, 0.1 + 0.2])  # 0.1 + 0.2 is not 0.3 in floating point
    assert [x.tolist() for x in source.stream(0.1, None, 0).take(0, 10)] == [[0, 3, 3], [0, 1, 2]]
    later = SpikeSource(3, [2, 0], [0.3, 0.1])  # labels of the end of a step, as in NEST
    assert [x.tolist() for x in later.stream(0.1, None, 1).take(0, 10)] == [[0, 2], [0, 2]]


def test_a_time_off_the_grid_is_named_with_its_neighbours():
    source = SpikeSource(2, [0, 1, 0], [1.0, 1.25, 3.33])
    with pytest.raises(ValueError, match=r"times must be a whole number of steps.*got 1.25 ms; take 1.2 or 1.3 ms"):
        source.stream(0.1, None, 0)
    with pytest.raises(ValueError, match=r"times must be at least 0.1 ms, got 0 ms"):
        SpikeSource(1, [0], [0.0]).stream(0.1, None, 1)


def test_two_spikes_of_one_unit_in_one_step_are_refused_and_of_two_units_kept():
    with pytest.raises(ValueError, match="two spikes of unit 1 at 2 ms"):
        SpikeSource(2, [1, 0, 1], [2.0, 1.0, 2.0]).stream(0.1, None, 0)
    assert spikes(SpikeSource(2, [1, 0], 2.0), 30).sum() == 2


# Poisson group


def test_f34_counts_are_binomial_with_at_most_one_spike_per_step():
    group, steps = PoissonGroup(400, 2000.0), 1000
    table = spikes(group, steps)
    assert table.max() == 1
    law = scipy.stats.binom(steps, 0.2)  # r h = 2000 Hz * 0.1 ms
    counts = table.sum(0)
    assert abs(counts.mean() - law.mean()) < 5 * law.std() / np.sqrt(400)
    assert abs(counts.var() / law.var() - 1) < 5 * np.sqrt(2 / 400)  # a Poisson count would have 1.25 of it


def test_every_pattern_of_spikes_has_its_product_probability():
    p = np.array([0.9, 0.3, 0.05, 0.28])  # in several octaves, two in one
    table = spikes(PoissonGroup(4, p * 10_000), 40_000)
    patterns = np.array(list(itertools.product([0, 1], repeat=4)))
    expected = 40_000 * np.prod(np.where(patterns, p, 1 - p), axis=1)
    assert fits(np.bincount(table @ [8, 4, 2, 1], minlength=16), expected)


@pytest.mark.parametrize("rate", [20.0, 4000.0, np.array([50.0, 4000.0])], ids=["low", "high", "mixed"])
def test_intervals_are_geometric(rate):
    table = spikes(PoissonGroup(2, rate), 100_000, seed=3)
    for unit, r in enumerate(np.broadcast_to(rate, 2)):
        intervals = np.diff(np.flatnonzero(table[:, unit]))
        law = scipy.stats.geom(r * DT / 1000)
        edges = np.unique(law.ppf(np.linspace(0, 1, 12)[1:-1]))
        assert fits(np.histogram(intervals, [0.5, *(edges + 0.5), np.inf])[0], np.diff([0, *law.cdf(edges), 1]))


def test_rates_over_six_decades_are_those_given():
    rate = np.geomspace(0.01, 10_000, 300)
    counts = spikes(PoissonGroup(300, rate), 20_000).sum(0)
    p = rate * DT / 1000
    z = (counts - 20_000 * p) / np.sqrt(20_000 * p * (1 - p) + 1e-9)
    assert (counts[p == 1] == 20_000).all()
    busy = (p * 20_000 > 20) & (p < 1)
    assert abs((z[busy] ** 2).sum() / busy.sum() - 1) < 5 * np.sqrt(2 / busy.sum())
    rare = ~busy & (p < 1)
    assert abs(counts[rare].sum() - 20_000 * p[rare].sum()) < 5 * np.sqrt(20_000 * p[rare].sum())


def test_rare_spikes_cost_little_beside_frequent_ones():
    class Counting:
        """A generator that counts its geometric draws."""

        drawn = 0

        def __init__(self):
            self.rng = np.random.default_rng(0)

        def geometric(self, p, size):
            self.drawn += size
            return self.rng.geometric(p, size)

        def random(self, size):
            return self.rng.random(size)

    rng = Counting()
    rates = np.append(5000.0, np.full(9999, 0.5))
    found = PoissonGroup(10_000, rates).stream(DT, rng, 0).take(0, 10_000)[0].size
    assert abs(found - 10_000 * rates.sum() * DT / 1000) < 5 * np.sqrt(found)
    assert rng.drawn < 4 * found  # all at the highest rate would be 5000 times as many


def test_poisson_spikes_stay_in_their_window():
    always = 10_000.0
    assert np.flatnonzero(spikes(PoissonGroup(1, always, start=0.5, stop=1.0), 20)).tolist() == [5, 6, 7, 8, 9]
    # step k is labelled (k + 1) h where labels are those of NEST
    nest = spikes(PoissonGroup(1, always, start=0.5, stop=1.0), 20, shift=1)
    assert np.flatnonzero(nest).tolist() == [4, 5, 6, 7, 8]
    assert np.flatnonzero(spikes(PoissonGroup(1, always, stop=0.3), 20, shift=1)).tolist() == [0, 1]
    with pytest.raises(ValueError, match="stop must be a whole number of steps"):
        PoissonGroup(1, 1.0, stop=0.33).stream(DT, np.random.default_rng(0), 0)


def test_a_rate_above_one_spike_per_step_is_refused():
    assert spikes(PoissonGroup(2, 10_000.0), 10).all()
    for rates in (PoissonGroup(2, [1.0, 10_001.0]), PoissonGroup(2, [1.0, 10_001.0], dt_rate=1.0)):
        with pytest.raises(ValueError, match=r"rate must be at most 1000 / dt = 10000 Hz.*got 10001 Hz"):
            rates.stream(DT, np.random.default_rng(0), 0)
    with pytest.raises(ValueError, match="dt_rate must be a whole number of steps of dt=0.1 ms, got 0.25 ms"):
        PoissonGroup(2, [1.0], dt_rate=0.25).stream(DT, np.random.default_rng(0), 0)


def test_a_changing_rate_holds_for_the_times_of_its_bin_and_is_0_after_the_last():
    always = 10_000.0
    turns = PoissonGroup(2, [[always, 0.0], [0.0, always], [always, always]], dt_rate=0.3)
    wanted = np.repeat([[1, 0], [0, 1], [1, 1], [0, 0]], 3, axis=0)
    assert (spikes(turns, 12) == wanted).all()
    assert (spikes(turns, 11, shift=1) == wanted[1:]).all()  # labels are the ends of steps: the first is 0.1 ms
    both = PoissonGroup(2, [always, 0.0, always], dt_rate=0.3, start=0.1, stop=0.7)
    assert spikes(both, 12).T.tolist() == [[0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]] * 2
    late = PoissonGroup(1, [0.0, always], dt_rate=0.3, stop=9.0)
    assert np.flatnonzero(spikes(late, 200)).tolist() == [3, 4, 5]


@pytest.mark.parametrize("shape", [(2,), (2, 4)])
def test_every_pattern_of_spikes_of_a_changing_rate_has_its_product_probability(shape):
    p = np.array([[0.9, 0.3, 0.05, 0.28], [0.1, 0.45, 0.0, 0.9]]) if len(shape) == 2 else np.array([0.9, 0.15])
    rates = np.tile(p * 10_000, (4000, 1) if len(shape) == 2 else 4000)
    table = spikes(PoissonGroup(4, rates, dt_rate=0.5), 40_000)
    patterns = np.array(list(itertools.product([0, 1], repeat=4)))
    for bin, each in enumerate(np.broadcast_to(p.reshape(2, -1), (2, 4))):
        here = table.reshape(-1, 2, 5, 4)[:, bin].reshape(-1, 4)
        expected = len(here) * np.prod(np.where(patterns, each, 1 - each), axis=1)
        seen = np.bincount(here @ [8, 4, 2, 1], minlength=16)
        assert not seen[expected == 0].any()
        assert fits(seen[expected > 0], expected[expected > 0])


def test_a_rate_that_changes_to_itself_gives_the_bits_of_a_constant_one():
    rate = np.array([5.0, 300.0, 4000.0])
    constant, changing = PoissonGroup(3, rate), PoissonGroup(3, np.tile(rate, (7, 1)), dt_rate=30.0)
    assert np.array_equal(spikes(constant, 2100), spikes(changing, 2100))
    assert not spikes(changing, 3000)[2100:].any()


# Currents


def test_step_current_is_zero_before_and_holds_its_last_value():
    got = drive(StepCurrent([0.2, 0.3, 0.6], [5.0, -1.0, 2.0]), 9)
    assert got[:, 0].tolist() == [0, 0, 5, -1, -1, -1, 2, 2, 2]
    each = drive(StepCurrent([0.0, 0.1], [[1.0, 2.0], [3.0, 4.0]]), 3, n=2)
    assert each.tolist() == [[1, 2], [3, 4], [3, 4]]


def test_ramp_current_is_the_straight_line_at_the_start_of_each_step():
    got = drive(RampCurrent(1.0, 3.0, [10.0, -4.0], initial=2.0), 50, n=2)
    t = np.arange(50) * DT
    for column, final in zip(got.T, (10.0, -4.0), strict=True):
        line = np.interp(t, [1.0, 3.0], [2.0, final])
        assert np.allclose(column, np.where(np.arange(50) < 10, 0.0, line), rtol=0, atol=1e-14)  # rounding of t
    assert (got[30:] == [10.0, -4.0]).all() and (got[10] == 2.0).all()


def test_sampled_currents_are_not_copied_for_a_run():
    for current, rows in (
        (c, c.values if hasattr(c, "values") else c.amplitudes)
        for c in (ArrayCurrent(np.ones((9, 2)), 0.1), StepCurrent([0.1, 0.2], np.ones((2, 2))))
    ):
        assert np.shares_memory(current.stream(2, DT, None).rows, rows)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 2), st.integers(0, 100))
def test_array_current_repeats_every_value_and_ends_with_zero(length, every, n, seed):
    values = np.random.default_rng(seed).normal(size=(length, n))
    got = drive(ArrayCurrent(values, every * DT), length * every + 3, n=n)
    assert np.array_equal(got, np.vstack([np.repeat(values, every, axis=0), np.zeros((3, n))]))
    assert np.array_equal(drive(ArrayCurrent(values[:, 0], every * DT), length * every, n=7)[::every, 0], values[:, 0])


def test_f12_ornstein_uhlenbeck_current_is_stationary_from_the_first_step():
    got = drive(OUCurrent(100.0, 20.0, 2.0), 400, n=4000, seed=1) - 100.0
    for k in (0, 1, 399):
        assert abs(got[k].mean()) < 5 * 20 / np.sqrt(4000)
        assert abs(got[k].std() / 20 - 1) < 5 / np.sqrt(2 * 4000)
    for lag in (1, 10, 40):
        products = got[7] * got[7 + lag]
        assert abs(products.mean() - 400 * np.exp(-lag * DT / 2.0)) < 5 * products.std() / np.sqrt(4000)


def test_f12_step_of_the_ornstein_uhlenbeck_process_is_exact():
    got = drive(OUCurrent(0.0, 1.0, 10.0), 500, n=2000)
    kicks = got[1:] - np.exp(-0.01) * got[:-1]
    # 0.14071719 of the stationary SD; Euler-Maruyama would give 0.14142136, 0.5 % or 7 sigma more
    assert abs(kicks.std() / 0.14071719 - 1) < 4 / np.sqrt(2 * kicks.size)
    normals = np.random.default_rng(0).standard_normal((500, 2000))
    x = normals[0]
    for k in range(1, 500):
        x = np.exp(-0.01) * x + np.sqrt(1 - np.exp(-0.02)) * normals[k]
    assert np.allclose(got[-1], x, rtol=0, atol=1e-12)  # rounding of 500 steps


def test_ornstein_uhlenbeck_parameters_of_each_neuron():
    got = drive(OUCurrent([0.0, 5.0, -3.0], [0.0, 1.0, 2.0], [1.0, 0.1, 0.5]), 40_000, n=3)
    assert (got[:, 0] == 0).all()
    for column, mean, sigma, tau in ((got[:, 1], 5.0, 1.0, 0.1), (got[:, 2], -3.0, 2.0, 0.5)):
        e = np.exp(-DT / tau)
        independent = 40_000 * (1 - e) / (1 + e)  # effective number of draws for the mean, the hardest moment
        assert abs(column.mean() - mean) < 5 * sigma / np.sqrt(independent)
        assert abs(column.std() / sigma - 1) < 5 / np.sqrt(2 * independent)


def test_f13_membrane_deviation_under_a_current_held_for_delta():
    tau, C, delta, h, sd = 10.0, 250.0, 1.0, 0.1, 100.0
    values = sd * np.random.default_rng(0).standard_normal((2000, 400))
    current = drive(ArrayCurrent(values, delta), 20_000, n=400)
    e = np.exp(-h / tau)  # the exact step of C V' = -C V / tau + I for I constant over it
    v = scipy.signal.lfilter([0.0, tau / C * (1 - e)], [1.0, -e], current, axis=0)[1000::10]
    expected = sd * tau / C * np.sqrt((1 - np.exp(-delta / tau)) / (1 + np.exp(-delta / tau)))
    independent = v.size * np.tanh(delta / tau)  # squares of an AR(1) with factor exp(-delta / tau)
    assert abs(v.std() / expected - 1) < 5 / np.sqrt(2 * independent)


# Poisson input


@settings(deadline=None, max_examples=60)
@given(
    n_sources=st.one_of(st.integers(1, 40), st.sampled_from([1000, 10_000, 1_000_000])),
    p=st.one_of(st.sampled_from([0.0, 1.0, 0.5, 1e-9]), st.floats(0, 1)),
    seed=st.integers(0, 1000),
)
def test_counts_are_the_inverse_of_the_binomial_law(n_sources, p, seed):
    got = drive(PoissonInput(n_sources, p * 10_000, 1.0, Delta()), 50, n=4, seed=seed)
    u = np.random.default_rng(seed).random((50, 4))
    p = p * 10_000 * DT / 1000  # as rounded
    wanted = scipy.stats.binom.ppf(u, n_sources, p)
    if p == 0:  # SciPy has -1 for u = 0 only
        wanted = np.zeros_like(u)
    below, above = scipy.stats.binom.cdf(wanted - 1, n_sources, p), scipy.stats.binom.cdf(wanted, n_sources, p)
    clear = np.minimum(np.abs(u - below), np.abs(u - above)) > 1e-9  # two codes for the law may round differently
    assert np.array_equal(got[clear], wanted[clear])


def counts_of(u, n_sources, p):
    """The counts that these uniform draws give."""

    class Given:
        def random(self, shape):
            return np.broadcast_to(u, shape).copy()

    return PoissonInput(n_sources, p * 10_000, 1.0, Delta()).stream(len(u), DT, Given()).take(0, 1)[0]


def test_a_draw_on_a_step_of_the_cumulative_law_belongs_to_the_count_above():
    # two sources of probability 1/2: the law is 1/4, 3/4, 1, all exact in binary
    assert counts_of([0.0, 0.25 - 2**-53, 0.25, 0.75, 1 - 2**-53], 2, 0.5).tolist() == [0, 0, 1, 2, 2]


@pytest.mark.parametrize(("n_sources", "p"), [(1600, 8e-4), (1000, 0.5), (10**6, 0.01), (20_000, 1e-7)])
def test_the_rarest_draws_reach_the_tails_of_the_law(n_sources, p):
    tail = np.array([1e-15, 1e-12, 1e-6])  # below, to the digits that 1 - u keeps above
    law = scipy.stats.binom(n_sources, p)
    assert counts_of(tail, n_sources, p).tolist() == law.ppf(tail).tolist()
    assert counts_of(1 - tail[1:], n_sources, p).tolist() == law.isf(tail[1:]).tolist()


@pytest.mark.parametrize(("n_sources", "rate"), [(1600, 8.0), (20, 5000.0), (100_000, 100.0)])
def test_f34_counts_per_step_are_binomial(n_sources, rate):
    counts = drive(PoissonInput(n_sources, rate, 1.0, Delta()), 200, n=500)
    law = scipy.stats.binom(n_sources, rate * DT / 1000)
    edges = np.unique(law.ppf(np.linspace(0.01, 0.99, 12)))
    assert fits(np.histogram(counts, [-0.5, *(edges + 0.5), np.inf])[0], np.diff([0, *law.cdf(edges), 1]))
    size = counts.size
    assert abs(counts.mean() - law.mean()) < 5 * law.std() / np.sqrt(size)
    assert abs(counts.var() / law.var() - 1) < 5 * np.sqrt((2 + 1 / law.var()) / size)  # excess kurtosis ~ 1 / variance


def test_weights_rates_and_source_numbers_of_each_neuron():
    n_sources, rate, weight = (
        np.array([10, 1000, 10, 5]),
        np.array([0.0, 8.0, 800.0, 10_000.0]),
        np.array([1, -2, 3, 0.5]),
    )
    got = drive(PoissonInput(n_sources, rate, weight, Exponential(tau=5.0)), 20_000, n=4) / weight
    p = rate * DT / 1000
    assert (got == np.round(got)).all()
    assert (got[:, 0] == 0).all() and (got[:, 3] == 5).all()
    sd = np.sqrt(n_sources * p * (1 - p) / 20_000)
    assert (np.abs(got.mean(0) - n_sources * p) <= 5 * sd + 1e-12).all()


def test_neurons_and_steps_are_independent():
    counts = drive(PoissonInput(1000, 10.0, 1.0, Delta()), 2000, n=20)
    correlation = np.corrcoef(counts.T)[np.triu_indices(20, 1)]
    assert np.abs(correlation).max() < 5 / np.sqrt(2000)
    centred = counts - counts.mean()
    assert abs((centred[1:] * centred[:-1]).mean() / counts.var()) < 5 / np.sqrt(40_000)


def test_f11_campbell_moments_of_a_membrane_under_poisson_input():
    J, rate, tau, n_sources = 0.1, 10.0, 20.0, 1000
    counts = drive(PoissonInput(n_sources, rate, J, Delta()), 30_000, n=60)
    e = np.exp(-DT / tau)
    v = scipy.signal.lfilter([1.0], [1.0, -e], counts, axis=0)[3000:]
    nu = n_sources * rate / 1000  # per ms; J nu tau = 20 mV, J^2 nu tau / 2 = 1 mV^2
    independent = v.size * DT / (2 * tau)
    sd = np.sqrt(J**2 * nu * tau / 2)
    # on the grid v is read after the input of its step, which adds half a step's worth: h / (2 tau) = 0.25 %
    assert abs(v.mean() - J * nu * tau * (1 + DT / (2 * tau))) < 5 * sd / np.sqrt(independent)
    assert abs(v.std() / sd - 1) < 5 / np.sqrt(2 * independent) + 0.0025


# Refused, and shown


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SpikeSource(0, [], []), ValueError, "n must be at least 1"),
        (lambda: SpikeSource(2.0, [], []), TypeError, "n must be an integer"),
        (lambda: SpikeSource(2, [2], [1.0]), ValueError, "ids must lie in 0..1, got 2"),
        (lambda: SpikeSource(2, [-1], [1.0]), ValueError, "ids must lie in 0..1, got -1"),
        (lambda: SpikeSource(2, [0.5], [1.0]), TypeError, "ids must be integers"),
        (lambda: SpikeSource(2, [True], [1.0]), TypeError, "ids must be integers"),
        (lambda: SpikeSource(2, None, [1.0]), ValueError, r"ids must have shape \(n_spikes,\)"),
        (lambda: SpikeSource(2, [0, 1], [1.0]), ValueError, r"times must be a number or have shape \(2,\)"),
        (lambda: SpikeSource(2, [0], [np.nan]), ValueError, "times must be finite"),
        (lambda: SpikeSource(2, [0], [-1.0]), ValueError, "times must be at least 0 ms, got -1 ms"),
        (lambda: SpikeSource(2, [0], ["a"]), TypeError, "times must hold real numbers"),
        (lambda: PoissonGroup(3, -1.0), ValueError, "rate must be at least 0 Hz, got -1"),
        (lambda: PoissonGroup(3, [1.0, 2.0]), ValueError, r"rate must be a number or have shape \(3,\), got \(2,\)"),
        (lambda: PoissonGroup(3, None), TypeError, "rate must hold real numbers"),
        (lambda: PoissonGroup(3, np.nan), ValueError, "rate must be finite"),
        (lambda: PoissonGroup(3, 1.0, start=-1.0), ValueError, "start must be at least 0"),
        (lambda: PoissonGroup(3, 1.0, start=2.0, stop=2.0), ValueError, "stop must be above start=2 ms, got 2 ms"),
        (lambda: PoissonGroup(3, 1.0, stop="5"), TypeError, "stop must be a number"),
        (lambda: PoissonGroup(3, True), TypeError, "rate must hold numbers, got booleans"),
        (lambda: PoissonGroup(3, np.ones(5)), ValueError, "give dt_rate if it changes with time"),
        (
            lambda: PoissonGroup(3, 5.0, dt_rate=1.0),
            ValueError,
            r"rate must have shape \(T,\) or \(T, 3\) with dt_rate",
        ),
        (lambda: PoissonGroup(3, np.ones((5, 2)), dt_rate=1.0), ValueError, r"\(T, 3\) with dt_rate, got \(5, 2\)"),
        (lambda: PoissonGroup(3, [], dt_rate=1.0), ValueError, r"with dt_rate, got \(0,\)"),
        (lambda: PoissonGroup(3, [1.0, -2.0], dt_rate=1.0), ValueError, "rate must be at least 0 Hz, got -2"),
        (lambda: PoissonGroup(3, [1.0, np.nan], dt_rate=1.0), ValueError, "rate must be finite"),
        (lambda: PoissonGroup(3, [1.0], dt_rate=0.0), ValueError, "dt_rate must be above 0"),
        (lambda: PoissonGroup(3, [1.0], dt_rate="1"), TypeError, "dt_rate must be a number"),
        (lambda: StepCurrent([], []), ValueError, "times must be at least 0 ms and increasing"),
        (lambda: StepCurrent([1.0, 1.0], [1.0, 2.0]), ValueError, "times must be at least 0 ms and increasing"),
        (lambda: StepCurrent([-1.0], [1.0]), ValueError, "times must be at least 0 ms"),
        (lambda: StepCurrent(1.0, 2.0), ValueError, "times must have 1 dimensions"),
        (lambda: StepCurrent([1.0], [1.0, 2.0]), ValueError, "amplitudes must have one row for each of the 1 times"),
        (lambda: StepCurrent([1.0], [np.inf]), ValueError, "amplitudes must be finite"),
        (lambda: StepCurrent([1.0], [True]), TypeError, "amplitudes must hold numbers, got booleans"),
        (lambda: SpikeSource(1, [0], [True]), TypeError, "times must hold numbers, got booleans"),
        (lambda: ArrayCurrent([True, False], 1.0), TypeError, "values must hold numbers, got booleans"),
        (lambda: PoissonInput(2, 1.0, True, Delta()), TypeError, "weight must hold numbers, got booleans"),
        (lambda: PoissonInput(2, 1.0, 1.0, Exponential), TypeError, "synapse must be a synapse such as Delta"),
        (lambda: RampCurrent(2.0, 1.0, 5.0), ValueError, "stop must be above start=2 ms, got 1 ms"),
        (lambda: RampCurrent(0.0, 1.0, None), TypeError, "final must hold real numbers"),
        (lambda: RampCurrent(0.0, 1.0, 1.0, initial=np.nan), ValueError, "initial must be finite"),
        (lambda: ArrayCurrent([], 0.1), ValueError, "values must hold at least one value"),
        (lambda: ArrayCurrent(5.0, 0.1), ValueError, "values must have 1 or 2 dimensions"),
        (lambda: ArrayCurrent([1.0], 0.0), ValueError, "dt_array must be above 0"),
        (lambda: ArrayCurrent([1.0], None), TypeError, "dt_array must be a number"),
        (lambda: OUCurrent(0.0, -1.0, 1.0), ValueError, "sigma must be at least 0 pA, got -1"),
        (lambda: OUCurrent(0.0, 1.0, 0.0), ValueError, "tau must be above 0 ms, got 0"),
        (lambda: OUCurrent("a", 1.0, 1.0), TypeError, "mean must hold real numbers"),
        (lambda: PoissonInput(0, 1.0, 1.0, Delta()), ValueError, "n_sources must be at least 1, got 0"),
        (lambda: PoissonInput([1, 0], 1.0, 1.0, Delta()), ValueError, "n_sources must be at least 1, got 0"),
        (lambda: PoissonInput(2.5, 1.0, 1.0, Delta()), TypeError, "n_sources must be an integer"),
        (lambda: PoissonInput([2.5], 1.0, 1.0, Delta()), TypeError, "n_sources must be an integer or an array"),
        (lambda: PoissonInput(2, -1.0, 1.0, Delta()), ValueError, "rate must be at least 0 Hz"),
        (lambda: PoissonInput(2, 1.0, np.nan, Delta()), ValueError, "weight must be finite"),
        (lambda: PoissonInput(2, 1.0, 1.0, None), TypeError, "synapse must be a synapse such as Delta"),
        (lambda: PoissonInput(2, 1.0, 1.0, 5.0), TypeError, "synapse must be a synapse such as Delta"),
    ],
    ids=itertools.count(),
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            StepCurrent([0.25], [1.0]),
            "times must be a whole number of steps of dt=0.1 ms, got 0.25 ms; take 0.2 or 0.3",
        ),
        (StepCurrent([0.2], [[1.0, 2.0]]), r"amplitudes must have shape \(T,\) or \(T, 3\) for a group of 3 neurons"),
        (RampCurrent(0.0, 0.25, 1.0), "stop must be a whole number of steps"),
        (RampCurrent(0.0, 0.2, [1.0, 2.0]), r"final must be a number or have shape \(3,\) for a group of 3 neurons"),
        (ArrayCurrent([1.0], 0.15), "dt_array must be a whole number of steps of dt=0.1 ms, got 0.15 ms"),
        (ArrayCurrent([[1.0, 2.0]], 0.1), r"values must have shape \(T,\) or \(T, 3\)"),
        (OUCurrent([1.0, 2.0], 1.0, 1.0), r"mean must be a number or have shape \(3,\)"),
        (PoissonInput([1, 2], 1.0, 1.0, Delta()), r"n_sources must be a number or have shape \(3,\)"),
        (PoissonInput(1, [1.0], 1.0, Delta()), r"rate must be a number or have shape \(3,\)"),
        (PoissonInput(1, 1.0, [1.0], Delta()), r"weight must be a number or have shape \(3,\)"),
        (PoissonInput(1, 20_000.0, 1.0, Delta()), "rate must be at most 1000 / dt = 10000 Hz"),
    ],
    ids=itertools.count(),
)
def test_what_does_not_fit_the_group_or_the_grid_is_named(record, message):
    with pytest.raises(ValueError, match=message):
        record.stream(3, DT, np.random.default_rng(0))


def test_records_do_not_change_with_the_arrays_they_were_made_of():
    values = np.array([1.0, 2.0])
    current = ArrayCurrent(values, 0.1)
    values[0] = 7.0
    assert current.values[0] == 1.0 and not current.values.flags.writeable


def test_texts_name_units():
    assert repr(PoissonGroup(3, [1.0, 2.0, 9.0])) == "PoissonGroup(n=3, rate=1..9 Hz)"
    assert repr(PoissonGroup(3, [1.0, 9.0], dt_rate=0.5)) == "PoissonGroup(n=3, rate=1..9 Hz, dt_rate=0.5)"
    assert repr(OUCurrent(100, 20, 5)) == "OUCurrent(mean=100 pA, sigma=20 pA, tau=5 ms)"
    assert repr(StepCurrent([1.0], [5.0])) == "StepCurrent(times=[1.] ms, amplitudes=[5.] pA)"


# In a network


@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_given_spikes_are_recorded_at_the_times_given_in_both_conventions(timing):
    net = Network(dt=DT, timing=timing, seed=0)
    source = net.add(SpikeSource(3, [0, 2, 2], [1.0, 0.5, 4.0]), name="source")
    net.record(source, "spikes")
    trains = net.run(5.0).spikes["source"]
    assert trains.times.tolist() == [0.5, 1.0, 4.0] and trains.ids.tolist() == [2, 0, 2]


def test_reset_gives_the_same_random_inputs_and_chunks_of_runs_do_not_matter():
    net = Network(dt=DT, seed=4)
    cells = net.add(LIF(5, tau_m=20.0, C_m=200.0, E_L=-60.0, V_th=-50.0, V_reset=-60.0, t_ref=2.0), name="cells")
    net.add(PoissonGroup(20, 100.0), name="noise")
    net.stimulate(cells, OUCurrent(50.0, 20.0, 5.0))
    net.stimulate(cells, PoissonInput(100, 10.0, 0.2, Delta()))
    net.record(net.groups[1], "spikes")
    net.record(cells, "v", every=1.0)
    whole = net.run(100.0)
    net.reset()
    pieces = [net.run(25.0) for _ in range(4)]
    times = np.concatenate([p.spikes["noise"].times for p in pieces])
    assert np.array_equal(times, whole.spikes["noise"].times) and times.size > 100
    last = [run.states["cells", "v"].values[-1] for run in (whole, pieces[-1])]
    assert np.array_equal(*last)
