"""Can spiking networks learn to make a sine by themselves? FORCE with Izhikevich, LIF and theta neurons.

A chaotic network gets its own output back. For five seconds the output weights follow recursive least squares, so that
the output is the sine of 5 Hz; then they are left alone, and the network goes on without a teacher.

W. Nicola, C. Clopath (2017), Supervised learning in spiking neural networks with FORCE training, Nat. Commun. 8, 2208:
their parameters, but 1000 neurons of each kind instead of 2000, and dt = 0.02 ms instead of 0.01 ms for theta neurons.

What to see: nothing ties the phase of the free run to the clock of the sine. A frequency off by 1 % loses a quarter of
a period in five seconds, and with it the correlation at one lag for all of them, though every second alone looks right.
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock.spiking import ForceNetwork

N, SEEDS = 1000, range(3)
NETWORKS = {
    "Izhikevich": ForceNetwork.izhikevich,
    "LIF": ForceNetwork.lif,
    "theta": lambda n, seed: ForceNetwork.theta(n, seed=seed, dt=0.02, every=25),
}


def sine(t):
    """Return the target at times t (ms): 5 Hz."""
    return np.sin(2 * np.pi * 5 * t / 1000)


def draw(results):
    """Draw output over target in the three phases, and a raster of 60 neurons around the end of learning."""
    figure = plt.figure(figsize=(11, 7.5), layout="constrained")
    axes = figure.subplots(len(results), 4, gridspec_kw={"width_ratios": (1, 1, 1, 1.3)})
    for row, (name, result) in zip(axes, results.items(), strict=True):
        result.plot(row[:3])
        for ax in row[:3]:
            ax.set_ylim(-1.7, 1.7)
            if ax.get_legend():
                ax.get_legend().remove()
        row[0].set_ylabel(f"{name}\noutput z")
        row[1].tick_params(labelleft=False)
        row[2].tick_params(labelleft=False)
        draw_spikes(row[3], result)
    axes[0, 0].legend(
        *axes[0, 0].get_legend_handles_labels(), frameon=False, fontsize="small", loc="upper left", ncols=2
    )
    for row in axes[:-1]:
        for ax in row:
            ax.set_xlabel("")
    for row in axes[1:]:
        for ax in row:
            ax.set_title("")
    figure.savefig("force_spiking.png", dpi=120)


def draw_spikes(ax, result):
    """Draw the spikes of 60 neurons around the end of learning."""
    times, ids = result.spikes.times / 1000, result.spikes.ids
    shown = (ids < 60) & (times > 9.5) & (times <= 10.5)
    ax.plot(times[shown], ids[shown], "|", color="k", markersize=3, markeredgewidth=0.7)
    ax.axvline(10.0, color="C3", linewidth=1, linestyle="--")
    ax.set(xlabel="time (s)", ylabel="neuron", xlim=(9.5, 10.5), ylim=(-1, 60))
    ax.set_title("spikes, end of learning dashed", fontsize="medium")


def main():
    """Train every network for every seed, print what its free run is, draw the first."""
    print(f"{N} neurons, 15 s: learning from 5 to 10 s, then free; target 5 Hz, amplitude 1")
    print(f"{'':12}seed  error learning  free: Hz  amplitude  correlation  in 1 s windows   rates (Hz)")
    kept = {}
    for name, make in NETWORKS.items():
        for seed in SEEDS:
            result = make(N, seed=seed).force(sine, progress=False)
            kept.setdefault(name, result)
            learning = slice(result.lesson.start, result.lesson.stop)
            error = np.sqrt((result.error[learning] ** 2).mean())
            amplitude = np.sqrt(2) * result.output[result.free].std()
            aligned, short = result.lag_aligned_correlation()[0], result.lag_aligned_correlation(1000.0)[0]
            rates = " -> ".join(f"{rate:.1f}" for rate in result.rates)
            print(
                f"{name:12}{seed:4}{error:16.3f}{result.frequency[0]:10.3f}{amplitude:11.3f}"
                f"{aligned:13.3f}{short:16.3f}   {rates}"
            )
    draw(kept)
    print("wrote force_spiking.png")


if __name__ == "__main__":
    main()
