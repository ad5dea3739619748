"""Figures of spiking networks, time in ms, potentials in mV, rates in Hz; Matplotlib is imported on use."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

__all__ = [
    "plot_mean_field",
    "plot_power_spectrum",
    "plot_raster",
    "plot_rasters",
    "plot_rate",
    "plot_recording",
    "plot_spiking_force",
    "plot_states",
    "plot_statistics_comparison",
    "plot_trace",
]


_STATE_LABELS = {"v": "v (mV)", "theta": "theta (mV)", "w": "w (pA)"}
"""Units of the states that have the same in all models."""


def plot_raster(trains, ax=None, *, color="k"):
    """Draw a mark per spike, units over time (ms); return the axes."""
    ax = _axes(ax)
    _draw_spikes(ax, trains, 0, trains.n, color)
    ax.set(xlabel="time (ms)", ylabel="unit", xlim=(trains.t_start, trains.t_stop), ylim=(-0.5, trains.n - 0.5))
    _whole_ticks(ax)
    ax.set_title(f"{trains.n} units, {trains.mean_rate:.3g} Hz", fontsize="medium")
    return ax


def plot_rasters(trains: Mapping, ax=None):
    """Draw the spikes of several populations {name: SpikeTrains} above each other, a colour each; return the axes.

    The first is on top; its name and mean rate stand beside it.
    """
    if not trains:
        raise ValueError("trains must hold at least one population, got none; record its spikes")
    ax = _axes(ax, height=4.5)
    total = sum(one.n for one in trains.values())
    gap, first, ticks, names = 0.02 * total, 0.0, [], []
    for number, (name, one) in enumerate(trains.items()):
        _draw_spikes(ax, one, first, total, f"C{number % 10}")
        ticks.append(first + one.n / 2)
        names.append(f"{name}\n{one.mean_rate:.3g} Hz")
        first += one.n + gap
    windows = np.array([(one.t_start, one.t_stop) for one in trains.values()])
    ax.set(xlabel="time (ms)", xlim=(windows[:, 0].min(), windows[:, 1].max()), ylim=(first - gap - 0.5, -0.5))
    ax.set_yticks(ticks, names)
    ax.tick_params(axis="y", length=0)
    return ax


def plot_rate(trains, ax=None, *, bin: float = 5.0, label=None):
    """Draw the population rate (Hz) in bins of `bin` ms over time (ms), and its mean dashed; return the axes."""
    ax = _axes(ax)
    rate = trains.rate(bin)
    edges = trains.t_start + bin * np.arange(len(rate) + 1)
    steps = ax.stairs(rate, edges, fill=True, alpha=0.35, label=label or f"bins of {bin:g} ms")
    mean = f"mean {trains.mean_rate:.3g} Hz"
    ax.axhline(trains.mean_rate, color=steps.get_facecolor()[:3], linestyle="--", linewidth=1, label=mean)
    ax.set(xlabel="time (ms)", ylabel="rate per unit (Hz)", xlim=(trains.t_start, trains.t_stop), ylim=(0, None))
    _legend_above(ax, ncols=2)
    return ax


def plot_states(states, ax=None, *, ylabel="v (mV)"):
    """Draw recorded states, `.values` (n_times, n_units) over `.times` (ms), a line per unit; return the axes."""
    ax = _axes(ax)
    many = states.values.shape[1] > 10
    for number, (unit, values) in enumerate(zip(states.units, states.values.T, strict=True)):
        width, alpha = (0.6, 0.5) if many else (1.0, 1.0)
        ax.plot(states.times, values, linewidth=width, alpha=alpha, color=f"C{number % 10}", label=f"unit {unit}")
    ax.set(xlabel="time (ms)", ylabel=ylabel)
    if len(states.times) > 1:
        ax.set_xlim(states.times[0], states.times[-1])
    if not many:
        _legend_above(ax, ncols=5)
    return ax


def plot_recording(recording, ax=None):
    """Draw what a run recorded above each other: raster, rates, each state; return the axes of the first panel.

    The others are in ``.figure.axes``. Into a given `ax` only the first goes. Raster and rates share their colours.
    """
    panels = _panels(recording)
    if not panels:
        raise ValueError('recording holds nothing to draw; record something, with net.record(group, "spikes")')
    if ax is not None:
        panels[0][1](ax)
        return ax
    from matplotlib import pyplot as plt

    heights = [height for height, _ in panels]
    figure = plt.figure(figsize=(6, sum(heights)), layout="constrained")
    axes = figure.subplots(len(panels), 1, height_ratios=heights, sharex=True, squeeze=False).ravel()
    for one, (_, draw) in zip(axes, panels, strict=True):
        draw(one)
        one.set_xlim(recording.t_start, recording.t_stop)
        one.label_outer()
    return axes[0]


def _panels(recording) -> list[tuple[float, Callable]]:
    """Return the height (inches) and the drawing function of every panel of a recording."""
    panels: list[tuple[float, Callable]] = []
    if recording.spikes:
        panels.append((3.5, partial(plot_rasters, recording.spikes)))
    if recording.rates:
        panels.append((1.6, partial(_draw_rates, recording)))
    for (name, variable), states in recording.states.items():
        label = f"{_STATE_LABELS.get(variable, variable)}\n{name}"
        panels.append((1.6, partial(plot_states, states, ylabel=label)))
    return panels


def _draw_rates(recording, ax):
    """Draw the recorded rates, in the colours that the populations have in the raster."""
    names = list(dict.fromkeys([*recording.spikes, *recording.rates]))
    for name, rate in recording.rates.items():
        ax.stairs(rate.values, rate.times, baseline=None, label=name, color=f"C{names.index(name) % 10}")
    ax.set(xlabel="time (ms)", ylabel="rate per\nunit (Hz)", ylim=(0, None))
    _legend_above(ax, ncols=5)


def plot_power_spectrum(spectrum, ax=None):
    """Draw the power (Hz^2/Hz) over frequency (Hz), both logarithmic, with the level of Poisson trains; return axes."""
    ax = _axes(ax)
    ax.loglog(spectrum.frequencies, spectrum.power, label=f"{spectrum.n} unit{'s' * (spectrum.n > 1)}")
    if spectrum.poisson_level > 0:
        ax.axhline(spectrum.poisson_level, color="0.3", linestyle="--", linewidth=1, label="independent Poisson trains")
    ax.set(xlabel="frequency (Hz)", ylabel="power of the rate (Hz²/Hz)")
    _legend_above(ax, ncols=2)
    return ax


def plot_mean_field(field, ax=None, *, names=None):
    """Draw the rate of each population (Hz) as a bar, its interval CV beside it; return the axes."""
    names = [str(number) for number in range(len(field.rates))] if names is None else list(names)
    if len(names) != len(field.rates):
        raise ValueError(f"names must be {len(field.rates)}, one per population, got {len(names)}")
    ax = _axes(ax)
    bars = ax.barh(names, field.rates)
    ax.bar_label(bars, [f"CV {cv:.2f}" for cv in field.cv], padding=3, fontsize="small")
    ax.invert_yaxis()
    ax.margins(x=0.15)
    ax.set(xlabel="rate (Hz)", ylabel="population")
    return ax


def plot_statistics_comparison(comparison, ax=None):
    """Draw the cumulative distributions of rates, CVs and correlations of both networks; return three axes."""
    from matplotlib import pyplot as plt

    if ax is None:
        ax = plt.subplots(1, 3, figsize=(7.5, 2.6), sharey=True, layout="constrained")[1]
    axes = np.ravel(ax)
    if len(axes) != 3:
        raise ValueError(f"ax must be three axes, got {len(axes)}")
    panels = (("rate", "firing rate (Hz)"), ("cv", "CV of intervals"), ("correlation", "count correlation"))
    for one, (name, label) in zip(axes, panels, strict=True):
        for values, which in zip(getattr(comparison, f"{name}s"), ("first", "second"), strict=True):
            if len(values):
                one.ecdf(values, label=which)
        one.set_xlabel(label)
        one.set_title(f"KS distance {getattr(comparison, f'{name}_distance'):.3f}", fontsize="medium")
    axes[0].set_ylabel("cumulative fraction")
    axes[0].legend(frameon=False, fontsize="small", loc="lower right")
    return axes


def _draw_spikes(ax, trains, first, total, color):
    """Draw spikes as strokes that fill most of a row, or dots where rows are thinner than those."""
    row = ax.figure.get_figheight() * ax.get_position().height * 72 / total  # points
    marker = ("|", min(0.8 * row, 14.0), 1.0) if row > 3 else (".", max(1.5 * row, 1.2), 0.0)
    style = dict(zip(("marker", "markersize", "markeredgewidth"), marker, strict=True))
    ax.plot(trains.times, trains.ids + first, linestyle="", color=color, rasterized=trains.n_spikes > 5000, **style)


def _legend_above(ax, ncols):
    """Put the legend above the axes, where it hides nothing."""
    ax.legend(frameon=False, fontsize="small", loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=ncols)


def _whole_ticks(ax):
    """Let a unit axis show whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    ax.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def plot_trace(trace, ax=None):
    """Draw the potential of one neuron (mV) over time (ms), and its input, scaled to a strip below; return the axes."""
    ax = _axes(ax)
    current, low = trace.pattern.input, min(trace.v.min(), -80.0)
    shape = (current - current.min()) / (np.ptp(current) or 1.0)
    ax.plot(trace.t, trace.v, color="C0", linewidth=1)
    ax.plot(trace.t, low - 32 + 18 * shape, color="C3", linewidth=1)
    ax.set(xlabel="time (ms)", ylabel="v (mV)", xlim=trace.t[[0, -1]], ylim=(low - 40, 55))
    ax.set_title(trace.pattern.name, fontsize="medium")
    return ax


def plot_spiking_force(result, ax=None, *, span=1000.0):
    """Draw outputs over targets in the `span` (ms) before learning, at its end and at the end; return three axes."""
    from matplotlib import pyplot as plt

    if ax is None:
        ax = plt.subplots(1, 3, figsize=(9, 2.6), sharey=True, layout="constrained")[1]
    axes = np.ravel(ax)
    if len(axes) != 3:
        raise ValueError(f"ax must be three axes, got {len(axes)}")
    dt, last = result.network.dt, len(result.times)
    start, stop = (result.lesson.start, result.lesson.stop) if result.lesson else (last, last)
    for one, end, title in zip(axes, (start, stop, last), ("before learning", "while learning", "after"), strict=True):
        shown = slice(max(0, end - round(span / dt)), end)
        times = result.times[shown] / 1000
        for x, z in zip(result.target[shown].T, result.output[shown].T, strict=True):
            one.plot(times, x, color="0.6", linewidth=3, label="target")
            one.plot(times, z, color="C3", linewidth=1, label="output")
        one.set(xlabel="time (s)")
        one.set_title(title, fontsize="medium")
    axes[0].set_ylabel("output z")
    axes[0].legend(*(part[:2] for part in axes[0].get_legend_handles_labels()), frameon=False, fontsize="small")
    return axes


def _axes(ax, height=3.0):
    """Return `ax`, or the axes of a new figure."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=(6, height), layout="constrained")[1]
