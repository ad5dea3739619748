"""What recorders keep: labels of samples, bins of rates, and runs that no recorder and no cut changes."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import penstock.spiking.recording as recording_file
from penstock import Uniform
from penstock.spiking import (
    ALIF,
    LIF,
    Delta,
    Exponential,
    Network,
    OUCurrent,
    PoissonGroup,
    PoissonInput,
    SpikeSource,
    StepCurrent,
    all_to_all,
    probability,
)

CELL = {"tau_m": 20.0, "C_m": 200.0, "E_L": -60.0, "V_th": -50.0, "V_reset": -60.0, "t_ref": 2.0}


def leaky(n=8, timing="brian2"):
    """Cells that never spike, driven by 50 pA from time 0: v = -60 + 5 (1 - exp(-t / 20))."""
    net = Network(dt=0.1, timing=timing)
    cells = net.add(LIF(n, **CELL, I_e=50.0), name="cells", v=-60.0)
    return net, cells


def course(times):
    return -60.0 + 5.0 * -np.expm1(-times / 20.0)


def busy(timing="brian2", records=True, dt=0.1):
    """Cells and a source that spike at random, with noise of every kind, and synapses with delays."""
    net = Network(dt=dt, timing=timing, seed=11)
    source = net.add(PoissonGroup(20, rate=60.0), name="source")
    cells = net.add(LIF(30, **CELL, sigma=2.0), name="cells", v=Uniform(-60.0, -50.0))
    net.connect(source, cells, Exponential(5.0), probability(0.4), weight=50.0, delay=Uniform(0.1, 6.0))
    net.connect(cells, cells, Exponential(5.0), probability(0.3), weight=Uniform(0, 40), delay=Uniform(0.1, 12.0))
    net.stimulate(cells, OUCurrent(50.0, 40.0, 5.0))
    net.stimulate(cells[5:25], PoissonInput(100, 10.0, 5.0, Exponential(5.0)))
    net.record(cells, "spikes")
    if records:
        net.record(source, "spikes")
        net.record(cells[[7, 0, 29]], "v", every=0.7)
        net.record(cells, "g", every=0.1)
        net.record(cells[3:20], "rate", every=2.3)
        net.record(source, "rate")
    return net


def same(one, other, only=None):
    for name, trains in one.spikes.items():
        if only in (None, name):
            assert_array_equal(trains.times, other.spikes[name].times)
            assert_array_equal(trains.ids, other.spikes[name].ids)
    if only is None:
        for kept in ("states", "rates"):
            for name, samples in getattr(one, kept).items():
                for mine, its in zip(samples, getattr(other, kept)[name], strict=True):
                    assert_array_equal(mine, its)


# ------------------------------------------------------------------------------------------------------------ states
@pytest.mark.parametrize("timing", ["brian2", "nest"])
@pytest.mark.parametrize("every", [None, 0.1, 0.5, 0.7, 3.0])
def test_a_state_recorded_at_t_is_the_state_at_t(timing, every):
    """Against the closed form, through runs whose ends the interval does not divide."""
    net, cells = leaky(timing=timing)
    net.record(cells, "v", every=every)
    parts = [net.run(duration, progress=False).states["cells", "v"] for duration in (1.0, 0.1, 12.3, 6.6)]
    times = np.concatenate([part.times for part in parts])
    step = 0.1 if every is None else every
    assert_allclose(times, step * np.arange(1, int(20.0 / step + 1e-9) + 1), atol=1e-9)
    values = np.concatenate([part.values for part in parts])
    assert_allclose(values, np.tile(course(times)[:, None], 8), atol=1e-11)  # 200 steps of rounding


def test_times_are_free_of_rounding():
    net, cells = leaky()
    net.record(cells, "v", every=0.3)
    assert net.run(1.0, progress=False).states["cells", "v"].times.tolist() == [0.3, 0.6, 0.9]


def test_an_interval_longer_than_a_run_waits_for_its_time():
    net, cells = leaky()
    net.record(cells, "v", every=2.5)
    counts = [len(net.run(1.0, progress=False).states["cells", "v"].times) for _ in range(10)]
    assert counts == [0, 0, 1, 0, 1, 0, 0, 1, 0, 1]


def test_chosen_units_come_in_the_order_given():
    net, cells = leaky()
    net.set(cells, v=np.arange(8.0) - 60.0)
    net.record(cells[[6, 1, 3]], "v")
    states = net.run(0.1, progress=False).states["cells", "v"]
    assert_array_equal(states.units, [6, 1, 3])
    assert_allclose(states.values[0], -60 + np.array([6, 1, 3]) * np.exp(-0.1 / 20) + course(0.1) + 60, atol=1e-12)


def test_a_synaptic_state_is_recorded_after_the_deliveries_of_its_step():
    """A spike labelled 1 ms without delay raises g within the step from 1 to 1.1 ms: first seen at 1.1 ms, whole."""
    net = Network(dt=0.1)
    source, cell = net.add(SpikeSource(1, [0], [1.0])), net.add(LIF(1, **CELL), name="cell")
    net.connect(source, cell, Exponential(5.0), all_to_all(), weight=3.0)
    net.record(cell, "g")
    times, values, _ = net.run(2.0, progress=False).states["cell", "g"]
    expected = np.where(times < 1.05, 0.0, 3.0 * np.exp(-(times - 1.1) / 5.0))
    assert_allclose(values[:, 0], expected, atol=1e-12)


def test_what_a_run_returned_does_not_change_in_the_next():
    net, cells = leaky()
    net.record(cells, "v")
    first = net.run(1.0, progress=False).states["cells", "v"].values
    kept = first.copy()
    net.run(1.0, progress=False)
    net.reset()
    assert_array_equal(first, kept)


def test_a_recorder_added_between_runs_starts_there():
    net, cells = leaky()
    net.record(cells, "v")
    net.run(1.0, progress=False)
    net.record(cells[:2], "spikes")
    result = net.run(1.0, progress=False)
    assert result.spikes["cells"].n == 2
    assert_allclose(result.states["cells", "v"].times[[0, -1]], [1.1, 2.0])


# ------------------------------------------------------------------------------------------------------------ spikes
@pytest.mark.parametrize(("timing", "label"), [("brian2", 0.0), ("nest", 0.1)])
def test_spikes_are_labelled_by_the_timing(timing, label):
    """A cell above threshold from the start spikes in step 0: its start is 0, its end 0.1 ms."""
    net = Network(dt=0.1, timing=timing)
    cell = net.add(LIF(1, **CELL), name="cell", v=-30.0)
    net.record(cell, "spikes")
    trains = net.run(1.0, progress=False).spikes["cell"]
    assert_allclose(trains.times, [label])
    assert (trains.t_start, trains.t_stop, trains.n, trains.dt) == (0.0, 1.0, 1, 0.1)


@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_a_source_is_recorded_as_it_was_given(timing):
    rng = np.random.default_rng(0)
    steps, ids = np.unique(np.c_[rng.integers(1, 99, 150), rng.integers(0, 7, 150)], axis=0).T
    mine = (ids >= 2) & (ids < 6)
    for cuts in ([10.0], [0.1, 3.0, 6.9]):
        net = Network(dt=0.1, timing=timing)
        source = net.add(SpikeSource(7, ids, 0.1 * steps), name="source")
        net.record(source[2:6], "spikes")
        parts = [net.run(duration, progress=False).spikes["source"] for duration in cuts]
        assert_allclose(np.concatenate([part.times for part in parts]), 0.1 * steps[mine], atol=1e-9)
        assert_array_equal(np.concatenate([part.ids for part in parts]), ids[mine] - 2)


def test_units_of_a_part_are_counted_in_it_in_its_order():
    net = Network(dt=0.1)
    source = net.add(SpikeSource(5, [0, 1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4, 0.5]), name="source")
    net.record(source[[4, 0, 2]], "spikes")
    trains = net.run(1.0, progress=False).spikes["source"]
    assert_allclose(trains.times, [0.1, 0.3, 0.5])
    assert_array_equal(trains.ids, [1, 2, 0])


# ------------------------------------------------------------------------------------------------------------- rates
@pytest.mark.parametrize("timing", ["brian2", "nest"])
@pytest.mark.parametrize("width", [0.1, 1.0, 2.3, 7.0, 100.0])
def test_rates_are_counts_of_spikes_over_units_and_width(timing, width):
    """Runs that cut bins: each piece is divided by its own width. Bins hold the spikes of their steps."""
    net = busy(timing, records=False)
    cells = net.groups[1]
    net.record(cells[4:17], "rate", every=width)
    for duration in (20.0, 0.3, 22.2):
        start = net.time
        result = net.run(duration, progress=False)
        times, values = result.rates["cells"]
        inner = np.arange(np.floor(start / width) + 1, np.ceil(net.time / width - 1e-9)) * width
        edges = np.concatenate([[start], inner[(inner > start + 1e-9) & (inner < net.time - 1e-9)], [net.time]])
        assert_allclose(times, edges, atol=1e-9)
        trains = result.spikes["cells"]
        begins = trains.times - 0.1 * (timing == "nest")  # of the step of each spike
        mine = begins[(trains.ids >= 4) & (trains.ids < 17)]
        counts = np.histogram(mine, edges - 1e-6)[0]  # spikes lie on the edges: each belongs to the bin it begins
        assert counts.sum() == mine.size > 0 or duration < 1
        assert_allclose(values, 1000.0 * counts / (13 * np.diff(edges)), rtol=1e-12)


def test_the_rate_of_a_source_of_known_rate():
    net = Network(dt=0.1)
    net.record(net.add(PoissonGroup(1000, rate=50.0), name="source"), "rate", every=10.0)
    rate = net.run(1000.0, progress=False).rates["source"].values
    assert abs(rate.mean() - 50.0) < 3 * np.sqrt(50.0 / 1000)  # three standard errors of 50,000 spikes
    assert rate.size == 100 and abs(rate.std() / np.sqrt(50.0 / 10.0) - 1) < 0.3


# --------------------------------------------------------------------------------- nothing changes what is recorded
@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_recorders_change_no_spike(timing):
    bare, full = busy(timing, records=False), busy(timing)
    one, other = bare.run(80.0, progress=False), full.run(80.0, progress=False)
    same(one, other, only="cells")
    assert one.spikes["cells"].n_spikes > 50
    assert_array_equal(bare.get(bare.groups[1], "v"), full.get(full.groups[1], "v"))


@pytest.mark.parametrize("timing", ["brian2", "nest"])
@pytest.mark.parametrize(("name", "size"), [("_LOG", 1), ("_CHUNK", 16), ("_CHUNK", 77), ("_TABLE", 100)])
def test_chunks_and_a_log_that_overflows_change_nothing(monkeypatch, timing, name, size):
    """A log that holds one spike per unit is full after almost every step that has spikes."""
    whole = busy(timing)
    whole.connect(whole.groups[1], whole.groups[1], Delta(), probability(0.1), weight=3.0, delay=1.0)
    whole.stimulate(whole.groups[1], StepCurrent([20.0, 40.0], [800.0, 0.0]))  # many spikes
    expected = [whole.run(50.0, progress=False), whole.run(13.7, progress=False)]
    monkeypatch.setattr(recording_file, name, size)
    whole.reset()
    for one in expected:
        same(one, whole.run(one.t_stop - one.t_start, progress=False))
    assert expected[0].spikes["cells"].n_spikes > 200


def test_every_unit_may_spike_in_every_step(monkeypatch):
    """The most spikes there can be: 40 units without refractory period, 50 steps; the log holds one step."""
    monkeypatch.setattr(recording_file, "_LOG", 1)
    net = Network(dt=0.1)
    cells = net.add(LIF(40, **{**CELL, "t_ref": 0.0}, I_e=1e6), name="cells")
    net.record(cells, "spikes")
    trains = net.run(5.0, progress=False).spikes["cells"]
    assert_array_equal(trains.ids, np.tile(np.arange(40), 50))
    assert_allclose(trains.times, np.repeat(0.1 * np.arange(50), 40), atol=1e-9)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(1, 120), min_size=1, max_size=6), st.integers(1, 40), st.integers(1, 40))
def test_records_of_pieces_are_those_of_the_whole(pieces, every, width):
    """States at their times, and counts that add up, whatever cuts, intervals and bins."""

    def build():
        net = busy(records=False)
        net.record(net.groups[1], "v", every=0.1 * every)
        net.record(net.groups[1], "rate", every=0.1 * width)
        return net

    whole, cut = build(), build()
    one = whole.run(0.1 * sum(pieces), progress=False)
    parts = [cut.run(0.1 * n, progress=False) for n in pieces]
    states = [part.states["cells", "v"] for part in parts]
    assert_array_equal(np.concatenate([s.times for s in states]), one.states["cells", "v"].times)
    assert_array_equal(np.concatenate([s.values for s in states]), one.states["cells", "v"].values)
    counts = sum((p.rates["cells"].values * np.diff(p.rates["cells"].times)).sum() for p in parts) * 30 / 1000
    assert_allclose(counts, one.spikes["cells"].n_spikes, atol=1e-6)


# --------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize("variable", [None, 1, ("v",), ["spikes"], True])
def test_a_variable_is_a_name(variable):
    net, cells = leaky()
    with pytest.raises(TypeError, match='variable must be a name such as "spikes" or "v"'):
        net.record(cells, variable)


@pytest.mark.parametrize("variable", ["V", "w", "g", "spike", "rates", ""])
def test_unknown_variables_are_named_with_those_that_exist(variable):
    net, cells = leaky()
    with pytest.raises(ValueError, match=f"'cells' has no state '{variable}'; its states are 'v'"):
        net.record(cells, variable)


@pytest.mark.parametrize("every", [0.0, -1.0, 0.25, np.nan, "1", True, [1.0]])
@pytest.mark.parametrize("variable", ["v", "rate"])
def test_intervals_are_whole_steps(variable, every):
    net, cells = leaky()
    with pytest.raises((TypeError, ValueError), match="every must"):
        net.record(cells, variable, every=every)
    assert not net.recorders


def test_spikes_are_all_kept():
    net, cells = leaky()
    with pytest.raises(ValueError, match="every must be None for spikes, which are all kept, got 1.0"):
        net.record(cells, "spikes", every=1.0)


@pytest.mark.parametrize("variable", ["spikes", "v", "rate"])
def test_a_second_record_of_the_same_is_refused_not_ignored(variable):
    net, cells = leaky()
    net.record(cells[:3], variable)
    with pytest.raises(ValueError, match=f"'{variable}' of 'cells' is recorded already; record all units wanted at"):
        net.record(cells[3:], variable)


# ------------------------------------------------------------------------------------------------------------- looks
def test_a_recording_says_what_it_holds():
    text = repr(busy().run(10.0, progress=False))
    for part in ("Recording(0 to 10 ms)", "spikes of 'cells': SpikeTrains(n=30", "'v' of 'cells': (14, 3) samples",
                 "rate of 'cells': 5 bins", "rate of 'source': 10 bins"):  # fmt: skip
        assert part in text


def test_the_figure_of_a_recording_has_a_panel_for_raster_rates_and_each_state():
    result = busy().run(20.0, progress=False)
    figure = result.plot().figure
    assert len(figure.axes) == 4  # spikes, rates, v, g
    assert figure.axes[-1].get_xlabel() == "time (ms)" and figure.axes[0].get_xlim() == (0.0, 20.0)
    plt.close(figure)


def test_an_empty_recording_says_how_to_fill_it():
    net, cells = leaky()
    net.connect(cells, cells, Delta(), all_to_all(), weight=1.0)
    with pytest.raises(ValueError, match="net.record"):
        net.run(1.0, progress=False).plot()


def test_samples_and_rates_say_what_they_hold_and_draw_themselves():
    net = Network(dt=0.5, seed=0)
    cells = net.add(LIF(3, I_e=600.0), name="cells")
    net.record(cells[:2], "v", every=1.0)
    net.record(cells, "rate", every=10.0)
    recording = net.run(40.0)
    states, rate = recording.states["cells", "v"], recording.rates["cells"]
    assert repr(states) == "States(1 to 40 ms, 40 samples of 2 units)"
    assert repr(rate) == f"Rate(0 to 40 ms, 4 bins, mean {rate.values.mean():.4g} Hz)"
    lines = states.plot().get_lines()
    assert [line.get_ydata().tolist() for line in lines] == states.values.T.tolist()


class Held:
    """A current whose rows hold for five steps each; `held` hands them out once, `take` in every step."""

    rows = 500.0 * np.random.default_rng(0).random((40, 6))

    def __init__(self, width, hides=False):
        self.rows, self.hides = self.rows[:, :width], hides

    def stream(self, n, dt, rng):
        return Taken(self.rows) if self.hides else self

    def take(self, k0, k1):
        return self.rows[np.arange(k0, k1) // 5]

    def held(self, k0, k1):
        return self.rows[k0 // 5 : k1 // 5], 5


class Taken:
    def __init__(self, rows):
        self.rows = rows

    take = Held.take


@pytest.mark.parametrize("model", [LIF, ALIF])  # the pass for two synapses, and the general way
@pytest.mark.parametrize(("width", "size", "more"), [(1, 6, False), (6, 6, False), (6, 6, True), (5, 5, False)])
def test_rows_of_currents_that_hold_for_steps_are_those_of_every_step(model, width, size, more):
    """To the bit; with a second current, or into a part of the neurons, rows are taken for every step."""
    results = []
    for hides in (False, True):
        net = Network(dt=0.1, seed=1)
        cells = net.add(model(6), name="cells")
        for tau in (3.0, 8.0):
            net.connect(cells, cells, Exponential(tau), all_to_all(), weight=20.0, delay=0.1)
        net.stimulate(cells[:size], Held(width, hides))
        if more:
            net.stimulate(cells, StepCurrent([0.0], [100.0]))
        net.record(cells, "v")
        results.append([net.run(ms, progress=False).states["cells", "v"].values for ms in (10.0, 10.0)])
    assert_array_equal(*results)
    driven = np.concatenate(results[0])[:, :size]
    assert (np.ptp(driven, axis=0) > 5.0).all()
