"""Reservoirs whose memory is a travelling wave: what goes round, what runs out, and what it is good for.

1. A pulse in a closed ring goes round for ever; in an open chain it is lost at the end; at half speed it disperses.
2. The exact memory curves of linear chains of 60 units. At unit speed a chain is a shift register: it remembers its 60
   last inputs, and nothing else. At lower speed it reaches further back, but less sharply: the total remains 60.
3. The copy task: recall ten symbols, each one of eight, after a delay. Input is one-hot in ten channels (eight symbols,
   blank, go), every reservoir has 300 units, nothing is trained but a linear readout, which sees the states with noise
   of 1 % of their size. A wave reservoir gives each channel 30 positions of its own.

What to see: the open chain is right exactly as long as the symbol, length + delay steps back, is still in it. The ring
is right at any delay: blanks have a channel of their own, so that the symbols go round with nothing added to them. This
is a property of the task, not memory in general: after a second sequence the ring would hold the sum of both. Decay
makes the ring safe and forgetful. The others mix all inputs in all units and forget gradually; without the noise each
of them would reach much further, since a linear readout then finds any trace however faint.

After T. A. Keller, L. Muller, T. Sejnowski, M. Welling (2024), ICLR, arXiv 2309.08045, whose wave networks are trained
and start from such kernels; their copy task has 100 positions in 6 channels. Sizes and readout here are ours.
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock import ridge
from penstock.analysis import linear_memory_curve
from penstock.data import copy_memory
from penstock.reservoirs import ES2N, ESN, WaveReservoir
from penstock.weights import ring

LENGTH, N_INPUTS, N_POSITIONS = 10, 10, 30
N_UNITS = N_INPUTS * N_POSITIONS
DELAYS = (1, 3, 6, 10, 15, 19, 20, 25, 35, 50, 100, 200)
NOISE = 0.01
TRAIN, TEST = slice(0, 100), slice(100, 150)

MIXING = {"n_inputs": N_INPUTS, "input_scaling": 0.1, "seed": 0}
RESERVOIRS = {
    "waves, closed ring": WaveReservoir.travelling(N_POSITIONS, n_inputs=N_INPUTS),
    "waves, ring with decay 0.9": WaveReservoir.travelling(N_POSITIONS, n_inputs=N_INPUTS, decay=0.9),
    "waves, open chain": WaveReservoir.travelling(N_POSITIONS, n_inputs=N_INPUTS, closed=False),
    "ES2N": ES2N.random(N_UNITS, beta=0.05, **MIXING),
    "ESN, one ring of all units": ESN.random(N_UNITS, spectral_radius=0.98, weights=ring, **MIXING),
    "ESN, random": ESN.random(N_UNITS, spectral_radius=0.98, **MIXING),
}


def pulses(n_positions=60, n_steps=150):
    """Return {title: states (T, n)} after a single input."""
    u = np.r_[1.0, np.zeros(n_steps - 1)]
    kinds = {
        "closed ring": {},
        "open chain": {"closed": False},
        "closed ring, speed 1/2": {"speed": 0.5},
    }
    return {name: WaveReservoir.travelling(n_positions, **settings).run(u) for name, settings in kinds.items()}


def memory_curves(n_positions=60, max_delay=800):
    """Return {speed: exact memory curve of the open linear chain}."""
    curves = {}
    for speed in (1.0, 0.9, 0.5, 0.25):
        chain = WaveReservoir.travelling(n_positions, speed=speed, closed=False)
        curves[speed] = linear_memory_curve(chain.W, chain.W_in, max_delay=max_delay)
    return curves


def recall():
    """Return {name: share of symbols recalled, one per delay}, on sequences that no readout was fitted to."""
    accuracy = {name: [] for name in RESERVOIRS}
    for delay in DELAYS:
        task = copy_memory(delay, length=LENGTH, n_series=TEST.stop, seed=delay)
        for name, system in RESERVOIRS.items():
            X, Y = system.run(task.inputs)[:, -LENGTH:], task.targets[:, -LENGTH:]
            X += NOISE * np.sqrt(np.mean(X**2)) * np.random.default_rng(delay).standard_normal(X.shape)
            readout = ridge(np.concatenate(X[TRAIN]), np.concatenate(Y[TRAIN]), 1e-9)
            accuracy[name].append((readout(X[TEST]).argmax(axis=2) == Y[TEST].argmax(axis=2)).mean())
    return accuracy


def draw(states, curves, accuracy):
    """Draw the three pulses, the memory curves and the recall."""
    figure = plt.figure(figsize=(13, 8.5), layout="constrained")
    grid = figure.add_gridspec(2, 6)
    tops = [figure.add_subplot(grid[0, 2 * k : 2 * k + 2]) for k in range(3)]
    for ax, (name, picture) in zip(tops, states.items(), strict=True):
        image = ax.imshow(picture.T, origin="lower", aspect="auto", cmap="Blues", vmin=0, vmax=0.3)
        ax.set(title=f"Pulse in a {name}".replace("a open", "an open"), xlabel="time (steps)", ylabel="position")
    figure.colorbar(image, ax=tops[-1], label="state", extend="max")
    left, right = figure.add_subplot(grid[1, :3]), figure.add_subplot(grid[1, 3:])
    for speed, curve in curves.items():
        left.plot(np.r_[curve, np.zeros(300)], linewidth=2, label=f"speed {speed:g}")
    left.set(xlabel="delay k (steps)", ylabel="memory capacity MC$_k$", ylim=(-0.02, 1.05), xlim=(0, 300))
    left.set_title("Open linear chains of 60 units, exact: every total is 60")
    left.legend()
    for (name, values), marker in zip(accuracy.items(), "osD^vx", strict=True):
        right.plot(DELAYS, values, marker=marker, markersize=6, label=name)
    right.axhline(1 / 8, color="0.4", linestyle=":", label="guessing, 1/8")
    right.axvline(N_POSITIONS - LENGTH, color="0.7", linewidth=1, zorder=0)
    right.annotate(
        "end of the\nopen chain", (N_POSITIONS - LENGTH, 0.02), (-4, 0), textcoords="offset points", ha="right"
    )
    right.set(xscale="log", xlabel="delay (steps)", ylabel="symbols recalled", ylim=(0, 1.04))
    right.set_title(f"Copy task, {LENGTH} symbols, {N_UNITS} units, noise {NOISE:.0%}")
    right.legend(fontsize="small", loc="center left", bbox_to_anchor=(0, 0.46))
    figure.savefig("travelling_waves.png", dpi=110)


def main():
    curves, accuracy = memory_curves(), recall()
    print("Memory of open linear chains of 60 units, exact")
    print(f"{'speed':>8}{'first 60 delays':>18}{'all':>8}")
    for speed, curve in curves.items():
        print(f"{speed:8.2f}{curve[:60].sum():18.1f}{curve.sum():8.1f}")
    print(f"\nCopy task: share of the symbols recalled after a delay; {N_UNITS} units each, noise {NOISE:.0%}")
    print(f"{'reservoir':<28}" + "".join(f"{delay:6d}" for delay in DELAYS))
    for name, values in accuracy.items():
        print(f"{name:<28}" + "".join(f"{value:6.2f}" for value in values))
    draw(pulses(), curves, accuracy)
    print("wrote travelling_waves.png")


if __name__ == "__main__":
    main()
