"""The two benchmark networks of Vogels and Abbott, 4000 neurons each: spikes, rates and irregularity in one figure.

Left CUBA (a spike adds a current), right COBA (it adds a conductance). From top: spikes of every tenth neuron in the
first second, rates of both populations in bins of 5 ms, and how neurons differ in rate and in irregularity, from 200 ms
to 2 s. The same networks in Brian2, where it is installed, make the same spikes in the first second, every single one.

After T. P. Vogels, L. F. Abbott (2005), J. Neurosci. 25, 10786, in the variant of R. Brette et al. (2007), J. Comput.
Neurosci. 23, 349, benchmarks 2 and 1, without delays, in steps of 0.1 ms.
"""

from importlib.util import find_spec

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock.spiking import compare_with_brian2, cv, vogels_abbott_coba, vogels_abbott_cuba

NETWORKS = {"CUBA, currents": vogels_abbott_cuba, "COBA, conductances": vogels_abbott_coba}
SHOWN, SETTLED, DURATION = 1000.0, 200.0, 2000.0  # ms
MIN_INTERVALS = 5  # of a neuron whose irregularity is shown
COLORS = {"E": "C0", "I": "C3"}


def simulate(build):
    """Return the spikes of both populations and the comparison with Brian2, None where it is not installed."""
    net = build(seed=1)
    comparison = compare_with_brian2(net, SHOWN, progress=False) if find_spec("brian2") else None
    for group in net.groups:
        net.record(group, "spikes")
    return net.run(DURATION, progress=False).spikes, comparison


def irregularity(trains):
    """Return the coefficient of variation of the intervals of neurons that have enough, from 200 ms on."""
    settled = trains.between(SETTLED, DURATION)
    return cv(settled)[settled.spike_counts > MIN_INTERVALS]


def verdict(comparison):
    """Return what the comparison with Brian2 found, in a few words."""
    if comparison is None:
        return "Brian2 not installed"
    if comparison.equal:
        return f"Brian2: all {comparison.n_spikes_brian2:,} spikes the same"
    return f"Brian2 differs from {comparison.first_difference.time:g} ms on"


def draw(results):
    """Draw a column per network."""
    figure, axes = plt.subplots(4, 2, figsize=(11, 11), height_ratios=[3, 1.6, 1.6, 1.6], layout="constrained")
    for column, (title, (spikes, comparison)) in zip(axes.T, results.items(), strict=True):
        draw_raster(column[0], spikes)
        column[0].set_title(f"{title}\n{verdict(comparison)}")
        for name, trains in spikes.items():
            rate = trains.between(0.0, SHOWN).rate(5.0)
            column[1].stairs(rate, 5.0 * np.arange(len(rate) + 1), color=COLORS[name], baseline=None, linewidth=1.2)
            settled = trains.between(SETTLED, DURATION)
            style = {"histtype": "step", "color": COLORS[name], "density": True, "linewidth": 1.6}
            rates = settled.spike_counts / (DURATION - SETTLED) * 1000
            column[2].hist(np.clip(rates, 0, 60), bins=np.arange(0, 61, 2.5), label=name, **style)
            column[3].hist(irregularity(trains), bins=np.arange(0, 3.01, 0.1), label=name, **style)
        column[1].set(xlabel="time (ms)", ylabel="rate (Hz)", xlim=(0, SHOWN), ylim=(0, None))
        column[2].set(xlabel="rate of a neuron (Hz; all above 60 in the last bin)", ylabel="density")
        column[3].set(xlabel=f"CV of its intervals (neurons with {MIN_INTERVALS} or more)", ylabel="density")
        for ax in column[2:]:
            ax.legend(loc="upper right", frameon=False)
    axes[0, 0].set_ylabel("every 10th neuron")
    figure.savefig("cuba_coba.png", dpi=110)


def draw_raster(ax, spikes):
    """Draw the spikes of every tenth neuron, the inhibitory ones on top."""
    first, ticks = 0, []
    for name, trains in spikes.items():
        shown = (trains.ids % 10 == 0) & (trains.times < SHOWN)
        ax.plot(trains.times[shown], first + trains.ids[shown] // 10, ".", color=COLORS[name], markersize=1.8)
        ticks.append(first + trains.n / 20)
        first += trains.n // 10
    ax.set_yticks(ticks, [f"{name}\n{trains.n}" for name, trains in spikes.items()])
    for label, name in zip(ax.get_yticklabels(), spikes, strict=True):
        label.set_color(COLORS[name])
    ax.set(xlabel="time (ms)", xlim=(0, SHOWN), ylim=(-2, first + 2))


def main():
    results = {title: simulate(build) for title, build in NETWORKS.items()}
    print(f"{'network':<20}{'spikes in 1 s':>14}{'E, Hz':>8}{'I, Hz':>8}{'CV':>7}  (rates and CV from 0.2 to 2 s)")
    for title, (spikes, comparison) in results.items():
        rates = [trains.between(SETTLED, DURATION).mean_rate for trains in spikes.values()]
        total = sum(trains.between(0.0, SHOWN).n_spikes for trains in spikes.values())
        mean_cv = np.mean(np.concatenate([irregularity(trains) for trains in spikes.values()]))
        print(f"{title:<20}{total:>14,}{rates[0]:8.2f}{rates[1]:8.2f}{mean_cv:7.2f}  {verdict(comparison)}")
    draw(results)
    print("wrote cuba_coba.png")


if __name__ == "__main__":
    main()
