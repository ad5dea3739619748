"""Does a column of spiking neurons keep apart what went into it? The separation of Maass et al. (2002).

1. The spikes of a column of 135 neurons that answers two input trains at distance 0.2.
2. Distance of the states against time, for pairs of inputs at distances 0.4, 0.2, 0.1 and 0 (the same train, other
   initial potentials): mean and standard error over pairs.
3. Its mean over time against the distance of the inputs, for all four.

Inputs are Poisson trains of 20 Hz for 500 ms into all neurons. Distance of inputs: trains convolved with
exp(-(t / 5 ms)²), integral of the squared difference over T, divided by T, no root. Distance of states: spike trains
convolved with exp(-t / 30 ms), mean over neurons of the squared difference, no root. As in the script among Brian2's
examples, which draws the published figure with 200 pairs per distance; here there are 60, on three columns.

The order of the four curves is the published one. That the state distance grows for 0.2 to 0.3 s is not found here: it
is largest in the first 50 ms, when all synapses between excitatory neurons are fresh. They recover within 1.1 s and are
depressed ever after. Brian2 gives the same curves for the same column and inputs.

W. Maass, T. Natschläger, H. Markram (2002), Real-time computing without stable states, Neural Comput. 14, 2531.
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock import Uniform
from penstock.spiking import SpikeSource, SpikeTrains, maass_column

DURATION, RATE = 500.0, 20.0  # ms, Hz
DISTANCES, N_PAIRS, COLUMNS = (0.4, 0.2, 0.1, 0.0), 60, (1, 2, 3)
N_TRAINS = 1500  # to choose pairs from


def poisson_trains(rng):
    """Return trains on the grid of 0.1 ms, at most one spike per step."""
    at, ids = np.nonzero(rng.random((int(DURATION * 10), N_TRAINS)) < RATE / 10_000)
    return SpikeTrains(at * 0.1, ids, N_TRAINS, t_stop=DURATION, dt=0.1)


def input_distances(trains):
    """Return the distances (N, N) between all trains; samples every ms integrate kernels of 5 ms to all digits."""
    signals = trains.smoothed(lambda t: np.exp(-((t / 5.0) ** 2)), (-30.0, 30.0)).T
    products = signals @ signals.T
    squares = np.diag(products)
    return (squares[:, None] + squares - 2 * products) / DURATION


def choose_pairs(trains, rng):
    """Return {distance: pairs of trains within 0.01 of it}, no train twice; at 0 every pair is one train."""
    distances = input_distances(trains)
    chosen = {}
    for target in DISTANCES:
        near = np.argwhere(np.triu(np.abs(distances - target) < 0.01, 1)) if target else np.arange(N_TRAINS)[:, None]
        pairs, used = [], set()
        for pair in rng.permutation(near).tolist():
            if len(pairs) < N_PAIRS and not used & set(pair):
                used |= set(pair)
                pairs.append((trains[pair[0]], trains[pair[-1]]))
        chosen[target] = pairs
    return chosen


def respond(column, train, rng):
    """Return the spikes of a column, from new initial potentials."""
    net = maass_column(column, source=SpikeSource(1, np.zeros(len(train), int), train))
    for group in net.groups[1:]:
        net.set(group, v=Uniform(13.5, 15.0)(rng, len(group)))
        net.record(group, "spikes")
    return net.run(DURATION, progress=False).spikes


def states(spikes):
    """Return the filtered spikes of all neurons after every ms."""
    return np.hstack([spikes[name].filtered(30.0) for name in "EI"])


def separation(pairs, rng):
    """Return the distance of the states over time (pairs, ms)."""
    curves = []
    for k, (one, other) in enumerate(pairs):
        column = COLUMNS[k % len(COLUMNS)]
        a, b = (states(respond(column, train, rng)) for train in (one, other))
        curves.append(((a - b) ** 2).mean(axis=1))
    return np.array(curves)


def draw(example, curves, rng):
    """Draw the three panels."""
    figure, axes = plt.subplots(1, 3, figsize=(14, 4.6), layout="constrained", width_ratios=(5, 5, 3))
    for row, train in enumerate(example):
        spikes, colour = respond(COLUMNS[0], train, np.random.default_rng(row)), f"C{row}"
        axes[0].plot(spikes["E"].times, spikes["E"].ids + 150 * row, "|", ms=3, color=colour)
        axes[0].plot(spikes["I"].times, spikes["I"].ids + 108 + 150 * row, ".", ms=3, color=colour)
        axes[0].plot(train, np.full(len(train), 143 + 150 * row), "kv", ms=5)
    axes[0].set(xlabel="time (ms)", yticks=[67, 217], xlim=(0, DURATION))
    axes[0].set_yticklabels(["first input", "second input"], rotation=90, va="center")
    axes[0].set_title("One column, two inputs at distance 0.2\n(▼ input, | excitatory, • inhibitory)")
    time = np.arange(1, int(DURATION) + 1)
    for line, (distance, curve) in zip(("-", "--", "-.", ":"), curves.items(), strict=True):
        mean, error = curve.mean(axis=0), curve.std(axis=0, ddof=1) / np.sqrt(len(curve))
        axes[1].plot(time, mean, line, label=f"{distance:g}")
        axes[1].fill_between(time, mean - error, mean + error, alpha=0.25, lw=0)
        axes[2].errorbar(distance, curve.mean(), curve.mean(axis=1).std(ddof=1) / np.sqrt(len(curve)), fmt="o")
    axes[1].set(xlabel="time (ms)", ylabel="distance of states", xlim=(0, DURATION), ylim=(0, 2.5))
    axes[1].set_title(f"Separation over time\n({N_PAIRS} pairs each, band: standard error)")
    axes[1].legend(title="distance of inputs")
    axes[2].set(xlabel="distance of inputs", ylabel="distance of states, mean over time", ylim=(0, None))
    axes[2].set_title("Separation grows\nwith the distance of inputs")
    figure.savefig("liquid_column.png", dpi=110)


def main():
    rng = np.random.default_rng(0)
    pairs = choose_pairs(poisson_trains(rng), rng)
    curves = {distance: separation(pairs[distance], rng) for distance in DISTANCES}
    print("Distance of states (mean ± standard error over pairs)")
    print(f"{'inputs':>7}{'pairs':>7}{'at 50 ms':>16}{'200 ms':>16}{'500 ms':>16}{'mean over time':>18}")
    for distance, curve in curves.items():
        parts = [*curve[:, [49, 199, 499]].T, curve.mean(axis=1)]
        texts = [f"{x.mean():.3f} ± {x.std(ddof=1) / np.sqrt(len(x)):.3f}" for x in parts]
        print(f"{distance:7.1f}{len(curve):7d}" + "".join(f"{text:>16}" for text in texts[:3]) + f"{texts[3]:>18}")
    draw(pairs[0.2][0], curves, rng)
    print("wrote liquid_column.png")


if __name__ == "__main__":
    main()
