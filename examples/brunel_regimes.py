"""The four regimes of Brunel's sparse network, 12,500 neurons, against its mean-field theory.

One column per regime: spikes of 50 neurons (top) and the rate of all excitatory neurons with the rate that the theory
gives dashed (bottom). With weak inhibition all neurons fire in one or two volleys, regularly (SR); with strong
inhibition and drive they fire irregularly while the population oscillates fast (SI fast); at moderate drive the
asynchronous irregular state is left (AI), the one for which the theory is meant; near threshold the population
oscillates slowly (SI slow).
The theory gives the rate of the asynchronous state to 1 %, but not how irregular its intervals are (CV): it takes the
input of a neuron as Poisson, while the sources are as regular as the neuron itself and their sums lack slow
fluctuations (see `BrunelRates`; B. Dummer, S. Wieland, B. Lindner, Front. Comput. Neurosci. 8, 104, 2014). In the
synchronous states it is not meant to hold. CVs need many intervals: windows of a few of them leave the long ones out.

After N. Brunel, J. Comput. Neurosci. 8, 183 (2000), Fig. 8, model A in steps of 0.1 ms.
"""

from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock.spiking import brunel, brunel_rates, cv, synchrony


class Regime(NamedTuple):
    """Strength of inhibition, external rate over threshold rate, and how long to simulate and to show (ms)."""

    g: float
    eta: float
    duration: float
    shown: float


REGIMES = {
    "SR": Regime(3.0, 2.0, 160.0, 50.0),
    "SI fast": Regime(6.0, 4.0, 900.0, 100.0),
    "AI": Regime(5.0, 2.0, 1100.0, 200.0),
    "SI slow": Regime(4.5, 0.9, 4100.0, 400.0),
}
SETTLED = 100.0  # ms
MIN_INTERVALS = 4  # of a neuron whose irregularity counts
SMOOTHING = 3.0  # ms, time constant of the exponential filter before synchrony is measured


def simulate(regime):
    """Return the settled spikes of both populations."""
    net = brunel(regime.g, regime.eta, seed=1)
    for group in net.groups:
        net.record(group, "spikes")
    spikes = net.run(regime.duration, progress=False).spikes
    return {name: trains.between(SETTLED, regime.duration) for name, trains in spikes.items()}


def irregularity(trains):
    """Return the mean coefficient of variation of the intervals of neurons that have enough."""
    return cv(trains)[trains.spike_counts > MIN_INTERVALS].mean()


def draw(results):
    """Draw a column per regime."""
    figure, axes = plt.subplots(
        2, len(results), figsize=(15, 6.4), height_ratios=[1.5, 1], sharex="col", layout="constrained"
    )
    for column, (name, (regime, spikes, theory)) in zip(axes.T, results.items(), strict=True):
        trains = spikes["E"].between(SETTLED, SETTLED + regime.shown)
        shown = trains.ids < 50
        column[0].plot(trains.times[shown] - SETTLED, trains.ids[shown], "|k", markersize=4, markeredgewidth=1.2)
        column[0].set_title(f"{name}\ng = {regime.g:g}, η = {regime.eta:g}", fontsize=15)
        bin = 0.2 if regime.shown < 100 else 0.5 if regime.shown < 200 else 1.0  # ms
        rate = trains.rate(bin)
        column[1].stairs(rate, bin * np.arange(len(rate) + 1), color="C0", baseline=None, label="simulated (E)")
        column[1].axhline(theory.rates[-1], color="C3", linestyle="--", linewidth=2, label="mean field")
        column[1].set(xlim=(0, regime.shown), ylim=(0, None))
        column[1].set_xlabel("time (ms)", fontsize=13)
    axes[0, 0].set_ylabel("50 excitatory neurons", fontsize=13)
    axes[1, 0].set_ylabel("population rate (Hz)", fontsize=13)
    for ax in axes.flat:
        ax.tick_params(labelsize=12)
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=13)
    figure.savefig("brunel_regimes.png", dpi=110)


def main():
    results = {}
    print(f"{'regime':<10}{'g':>5}{'η':>5}{'E, Hz':>8}{'I, Hz':>8}{'theory':>8}{'CV':>7}{'theory':>8}{'synchrony':>11}")
    for name, regime in REGIMES.items():
        spikes, theory = simulate(regime), brunel_rates(regime.g, regime.eta)
        chi = synchrony(spikes["E"].select(np.arange(1000)).filtered(SMOOTHING))
        print(
            f"{name:<10}{regime.g:5.1f}{regime.eta:5.1f}{spikes['E'].mean_rate:8.1f}{spikes['I'].mean_rate:8.1f}"
            f"{theory.rates[-1]:8.1f}{irregularity(spikes['E']):7.2f}{theory.cv[-1]:8.2f}{chi:11.2f}"
        )
        results[name] = regime, spikes, theory
    draw(results)
    print(f"from {SETTLED:g} ms on; synchrony: Golomb's chi of 1000 neurons filtered with {SMOOTHING:g} ms")
    print("wrote brunel_regimes.png")


if __name__ == "__main__":
    main()
