"""What does a million steps of data buy? The memory of 500 units, read by a readout that is fitted as the states go by.

An echo-state network reads a random input. For every length T of the training series a ridge readout learns the inputs
of the past 150 steps from its states, which are never stored: memory does not grow with T. It is scored on 50,000 other
steps by the squared correlation MC_k of output and input k steps ago.

A readout with N weights that is fitted to T steps adds noise of variance (1 - MC_k) c to its output, with
c = N / (T - N - 1), so that MC_k(T) = MC_k^2 / (MC_k + (1 - MC_k) c) with the MC_k of endless data: the lines. Faint
memories of long ago need the longest series. The MC_k of endless data are extrapolated from the longest series: its
point sets the line and is drawn hollow, the others test it.

    python examples/million_steps.py --units 1000     # takes three times as long
"""

import argparse
import resource
import time

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock import Ridge
from penstock.reservoirs import ESN

LENGTHS = (1000, 3000, 10_000, 30_000, 100_000, 1_000_000)
DELAYS, WASHOUT, BLOCK, N_TEST = 150, 500, 1000, 50_000


def rows(esn, u):
    """Return a function that yields blocks of states with the inputs of 1 to `DELAYS` steps ago, past the washout."""
    past = np.lib.stride_tricks.sliding_window_view(u[:-1, 0], DELAYS)[:, ::-1]  # row t: u of t - 1, …, t - DELAYS

    def blocks():
        start = esn.run(u[:WASHOUT])[-1]
        places = range(WASHOUT, len(u), BLOCK)
        for t, X in zip(places, esn.blocks(u[WASHOUT:], BLOCK, start), strict=True):
            yield X, past[t - DELAYS : t - DELAYS + len(X)]

    return blocks


def held_out(models, blocks):
    """Return the squared correlation of every output of every model with its target, (len(models), DELAYS)."""
    n, sums = 0, np.zeros((5, len(models), DELAYS))
    for X, Y in blocks():
        n += len(X)
        for i, model in enumerate(models):
            Z = model.predict(X)
            sums[:, i] += [part.sum(axis=0) for part in (Y, Z, Y * Y, Z * Z, Y * Z)]
    y, z, yy, zz, yz = sums / n
    return (yz - y * z) ** 2 / ((yy - y * y) * (zz - z * z))


def expected(endless, n_units, length):
    """Return MC_k after `length` steps, where endless data would show `endless`."""
    return endless**2 / (endless + (1 - endless) * n_units / (length - n_units - 1))


def extrapolated(found, n_units, length):
    """Return the MC_k of endless data from those found after `length` steps: the inverse of `expected`."""
    c = n_units / (length - n_units - 1)
    return (found * (1 - c) + np.sqrt((found * (1 - c)) ** 2 + 4 * found * c)) / 2


def draw(curves, endless, n_units):
    """Draw the memory curves, and what is still missing of the total."""
    plt.rcParams["font.size"] = 13
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
    delays, colours = np.arange(1, DELAYS + 1), plt.get_cmap("viridis")(np.linspace(0, 0.9, 4))
    for length, colour in zip((1000, 10_000, 100_000, 1_000_000), colours, strict=True):
        left.plot(delays, curves[length], color=colour, linewidth=2.5, label=f"T = {length:,}")
        left.plot(delays, expected(endless, n_units, length), color="0.2", linewidth=0.8)
    left.set(xlabel="delay k (steps)", ylabel="memory MC$_k$, held out", xlim=(0, 110), yscale="log", ylim=(1e-4, 1.6))
    left.set_title(f"What {n_units} units remember, by length of training")
    left.plot([], [], color="0.2", linewidth=0.8, label="expected")
    left.legend(title="training steps")
    missing = [endless.sum() - curves[length].sum() for length in LENGTHS]
    fine = np.logspace(np.log10(LENGTHS[0]), np.log10(LENGTHS[-1]), 60)
    right.loglog(LENGTHS[:-1], missing[:-1], "o", markersize=9, label="measured")
    right.loglog(LENGTHS[-1], missing[-1], "o", markersize=9, color="C0", fillstyle="none", label="sets the line")
    theory = [(endless - expected(endless, n_units, length)).sum() for length in fine]
    right.loglog(fine, theory, color="0.2", label="expected")
    right.set(xlabel="training steps T", ylabel="memory not yet found (of the sum over k)")
    right.set_title(f"What is still missing of {endless.sum():.1f}")
    right.grid(alpha=0.3)
    right.legend()
    figure.savefig("million_steps.png", dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=500)
    n_units = parser.parse_args().units
    esn = ESN.random(n_units, density=10 / n_units, spectral_radius=0.95, input_scaling=0.1, seed=0)
    rng = np.random.default_rng(1)
    u = rng.uniform(-1, 1, (WASHOUT + LENGTHS[-1], 1))
    test = rows(esn, rng.uniform(-1, 1, (WASHOUT + N_TEST, 1)))
    Ridge(1e-9).fit_blocks(rows(esn, u[: WASHOUT + BLOCK]))  # compiles or loads what the times should not count
    models, seconds = {}, {}
    for length in LENGTHS:
        start = time.process_time()
        models[length] = Ridge(1e-9).fit_blocks(rows(esn, u[: WASHOUT + length]))
        seconds[length] = time.process_time() - start
    curves = dict(zip(LENGTHS, held_out(list(models.values()), test), strict=True))
    endless = extrapolated(curves[LENGTHS[-1]], n_units, LENGTHS[-1])
    print(f"{n_units} units, 10 weights each; memory summed over delays 1 to {DELAYS}, held out")
    print(f"{'steps':>10}{'memory':>9}{'expected':>10}{'CPU s':>8}{'steps per s':>13}")
    for length in LENGTHS:
        theory = f"{expected(endless, n_units, length).sum():.2f}" if length < LENGTHS[-1] else "from it"
        rate = length / seconds[length]
        print(f"{length:10,}{curves[length].sum():9.2f}{theory:>10}{seconds[length]:8.2f}{rate:13,.0f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"peak memory of the process {peak:.0f} MB; the states alone would fill {8e-6 * n_units * LENGTHS[-1]:,.0f} MB"
    )
    draw(curves, endless, n_units)
    print("wrote million_steps.png")


if __name__ == "__main__":
    main()
