from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose, assert_array_equal

from penstock.spiking import (
    LIF,
    Network,
    PoissonGroup,
    SpikeTrains,
    compare_statistics,
    mean_field_rates,
    power_spectrum,
)
from penstock.spiking.plots import plot_raster, plot_rasters, plot_rate, plot_recording, plot_states


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def poisson(n, rate=30.0, duration=300.0, seed=0):
    rng = np.random.default_rng(seed)
    size = rng.poisson(n * rate * duration / 1000)
    return SpikeTrains(rng.uniform(0, duration, size), rng.integers(0, n, size), n, t_stop=duration)


def drawn(ax):
    """Draw for good, so that nothing fails later than it should, and return the axes' labels."""
    ax.figure.canvas.draw()
    return ax.get_xlabel(), ax.get_ylabel()


@pytest.mark.parametrize("n", [1, 12, 3000])
def test_a_raster_has_a_mark_per_spike_at_its_time_and_unit(n):
    trains = poisson(n)
    ax = trains.plot()
    (marks,) = ax.lines
    assert_array_equal(marks.get_xydata(), np.column_stack([trains.times, trains.ids]))
    assert drawn(ax) == ("time (ms)", "unit")
    assert ax.get_xlim() == (0, 300) and ax.get_ylim() == (-0.5, n - 0.5)


def test_marks_fill_their_rows_and_no_more():
    ax = poisson(12).plot()
    drawn(ax)
    row = ax.get_window_extent().height * 72 / ax.figure.dpi / 12  # points
    assert 0.4 * row < ax.lines[0].get_markersize() < row


def test_given_axes_are_drawn_into():
    ax = plt.subplots()[1]
    assert plot_raster(poisson(3), ax, color="C1") is ax and poisson(3).plot_rate(ax) is ax
    assert len(plt.get_fignums()) == 1


def test_populations_stand_above_each_other_the_first_on_top():
    exc, inh = poisson(40), poisson(10, rate=60.0, seed=1)
    ax = plot_rasters({"exc": exc, "inh": inh})
    above, below = (line.get_ydata() for line in ax.lines)
    assert_array_equal(above, exc.ids)
    assert_allclose(below - inh.ids, 41, rtol=1e-15)  # a gap of 2 % of 50 units
    assert ax.yaxis_inverted() and above.max() < below.min()
    assert drawn(ax)[0] == "time (ms)"
    assert [label.get_text().split("\n")[0] for label in ax.get_yticklabels()] == ["exc", "inh"]
    assert f"{exc.mean_rate:.3g} Hz" in ax.get_yticklabels()[0].get_text()
    assert len({line.get_color() for line in ax.lines}) == 2


def test_the_rate_is_drawn_in_its_bins_with_its_mean():
    trains = poisson(20)
    ax = trains.plot_rate(bin=25.0)
    values, edges, _ = ax.patches[0].get_data()
    assert_allclose(values, trains.counts(25.0).sum(axis=1) / 20 / 0.025)
    assert_allclose(edges, np.arange(0, 301, 25))
    assert_allclose(ax.lines[0].get_ydata(), trains.mean_rate)
    assert drawn(ax) == ("time (ms)", "rate per unit (Hz)")
    with pytest.raises(ValueError, match="bin must be at most the window"):
        plot_rate(trains, bin=500.0)


@pytest.mark.parametrize("n", [2, 30])
def test_states_are_a_line_per_unit(n):
    times = np.arange(0.0, 10.0, 0.5)
    states = SimpleNamespace(times=times, values=np.outer(times, np.arange(n)), units=np.arange(n) + 5)
    ax = plot_states(states, ylabel="g (nS)")
    for line, values in zip(ax.lines, states.values.T, strict=True):
        assert_array_equal(line.get_xydata(), np.column_stack([times, values]))
    assert drawn(ax) == ("time (ms)", "g (nS)")
    assert (ax.get_legend() is None) == (n > 10)
    if n == 2:
        assert [text.get_text() for text in ax.get_legend().get_texts()] == ["unit 5", "unit 6"]


def test_a_spectrum_is_drawn_with_the_level_of_poisson_trains():
    spectrum = power_spectrum(poisson(5))
    ax = spectrum.plot()
    assert_array_equal(ax.lines[0].get_xydata(), np.column_stack([spectrum.frequencies, spectrum.power]))
    assert_allclose(ax.lines[1].get_ydata(), spectrum.poisson_level)
    assert drawn(ax) == ("frequency (Hz)", "power of the rate (Hz²/Hz)")


def test_mean_field_rates_are_a_bar_per_population_with_its_cv():
    neuron = dict(tau_m=10.0, V_th=15.0, V_reset=0.0, t_ref=2.0)
    field = mean_field_rates(np.zeros((3, 3)), np.zeros((3, 3)), E_L=[10.0, 16.0, 30.0], **neuron)
    ax = field.plot(names=["E", "I", "S"])
    assert_allclose([bar.get_width() for bar in ax.patches], field.rates)
    assert drawn(ax) == ("rate (Hz)", "population") and ax.yaxis_inverted()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["E", "I", "S"]
    assert [text.get_text() for text in ax.texts] == ["CV nan", "CV 0.00", "CV 0.00"]
    assert field.plot(ax) is ax
    with pytest.raises(ValueError, match="names must be 3, one per population, got 2"):
        field.plot(names=["E", "I"])


def test_compared_networks_are_drawn_as_cumulative_distributions():
    comparison = compare_statistics(poisson(9), poisson(9, seed=1))
    axes = comparison.plot()
    assert [drawn(ax)[0] for ax in axes] == ["firing rate (Hz)", "CV of intervals", "count correlation"]
    for which in range(2):
        values = axes[0].lines[which].get_xdata()
        assert_array_equal(np.unique(values[np.isfinite(values)]), np.unique(comparison.rates[which]))
    assert "0.000" in compare_statistics(poisson(9), poisson(9)).plot()[0].get_title()
    given = plt.subplots(1, 3)[1]
    assert comparison.plot(given)[2] is given[2]
    with pytest.raises(ValueError, match="ax must be three axes, got 1"):
        comparison.plot(given[0])


# --- what a run recorded --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recording():
    net = Network(dt=0.1, seed=0)
    cells = net.add(LIF(4, tau_m=10, C_m=200, E_L=-49, V_th=-50, V_reset=-60, t_ref=5), name="cells")
    source = net.add(PoissonGroup(30, rate=50.0), name="source")
    net.record(cells, "spikes")
    net.record(source, "spikes")
    net.record(cells, "rate", every=5.0)
    net.record(cells[[0, 2]], "v", every=0.5)
    return net.run(100.0, progress=False)


def test_a_recording_is_drawn_as_raster_rates_and_states(recording):
    first = recording.plot()
    raster, rates, states = first.figure.axes
    assert first is raster
    assert [label.get_text().split("\n")[0] for label in raster.get_yticklabels()] == ["cells", "source"]
    assert_array_equal(rates.patches[0].get_data().values, recording.rates["cells"].values)
    assert [tuple(line.get_ydata()) for line in states.lines] == [
        tuple(v) for v in recording.states["cells", "v"].values.T
    ]
    assert drawn(states) == ("time (ms)", "v (mV)\ncells") and drawn(rates)[0] == ""
    assert all(ax.get_xlim() == (0, 100) for ax in (raster, rates, states))


def test_a_population_has_the_same_colour_in_raster_and_rates(recording):
    raster, rates, _ = recording.plot().figure.axes
    assert raster.lines[0].get_color() == "C0"
    assert_allclose(rates.patches[0].get_edgecolor(), plt.matplotlib.colors.to_rgba("C0"))


def test_given_axes_get_the_first_panel_only(recording):
    ax = plt.subplots()[1]
    assert recording.plot(ax) is ax and len(ax.figure.axes) == 1 and len(ax.lines) == 2


@pytest.mark.parametrize(
    ("kept", "label"), [("rates", "rate per\nunit (Hz)"), ("states", "v (mV)\ncells")], ids=["rates", "states"]
)
def test_recordings_without_spikes_are_drawn_too(recording, kept, label):
    part = {name: getattr(recording, name) if name == kept else {} for name in ("spikes", "rates", "states")}
    ax = plot_recording(SimpleNamespace(**part, t_start=0.0, t_stop=100.0))
    assert drawn(ax) == ("time (ms)", label) and len(ax.figure.axes) == 1


def test_empty_recordings_are_refused():
    with pytest.raises(ValueError, match=r"recording holds nothing to draw; .*net.record"):
        plot_recording(SimpleNamespace(spikes={}, rates={}, states={}))
    with pytest.raises(ValueError, match="trains must hold at least one population"):
        plot_rasters({})
