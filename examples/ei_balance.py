"""How much inhibition does a reservoir want, and can its units find out by themselves?

1. Memory capacity against the global ratio of inhibition to excitation, every inhibitory weight scaled alike.
2. The error on NARMA10 (one step ahead) against the same ratio.

Beside both curves, the same networks with inhibition set unit by unit: by a single step of design towards the rate 1/2,
and by local rules towards rates of 1/2, or of a different rate for every unit, drawn from Beta(2, 2).

After K. Srinivasan, D. Plenz, M. Girvan (2025), Boosting reservoir computing with brain-inspired adaptive dynamics,
arXiv 2504.12480: the same equations and rules in a smaller and sparser network of 100 units with a lower gain. All
comparisons are paired: the same network, input and test series, over 16 seeds. The design was chosen among four by
runs of four of these seeds. On 16 other seeds the gain by local adaptation is the same, but near balance the top is
flat: memory at I/E 1.11 less that at 0.90 is +0.15 ± 0.25 there, so which side is better is not settled.
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock import Uniform, ridge
from penstock.analysis import memory_capacity
from penstock.data import narma
from penstock.metrics import nrmse_std
from penstock.reservoirs import (
    EIReservoir,
    adapt_inhibition,
    adapt_inhibition_hebbian,
    balance_inhibition,
    design_inhibition,
)

SEEDS = range(16)
RATIOS = np.array([0.4, 0.5, 0.625, 0.8, 0.9, 1.0, 1 / 0.9, 1.25, 1.6, 2.0, 2.5])  # in pairs r and 1 / r
LOCAL = ("designed, 1/2", "adapted by own rate, 1/2", "adapted by link, 1/2", "adapted by link, Beta")
UNIT = Uniform(-1.0, 1.0)  # law of the input of both tasks and of the adaptation
FIT, TEST = slice(200, 2500), slice(2500, 4000)


def make_network(seed):
    """Return a network of 80 excitatory and 20 inhibitory units, 8 + 2 inputs each."""
    settings = {"in_degree": 10, "spread": 0.58, "gain": 4.0, "input_scaling": 0.1, "input_fraction": 1.0}
    return EIReservoir.random(100, **settings, seed=seed)


def adapt(network, seed):
    """Return the four networks whose units set their own inhibition, in the order of LOCAL."""
    rng = np.random.default_rng(1000 + seed)
    u, uneven = UNIT(rng, 20_000), rng.beta(2, 2, network.n_units)
    return (
        design_inhibition(network, 0.5).system,
        adapt_inhibition(network, u, 0.5, learning_rate=0.02).system,
        adapt_inhibition_hebbian(network, u, 0.5, learning_rate=0.02).system,
        adapt_inhibition_hebbian(network, u, uneven, learning_rate=0.02).system,
    )


def capacity(network, seed):
    """Return the total memory capacity, adjusted R² over delays 0..99."""
    return memory_capacity(network, 99, n_steps=4000, washout=200, input_law=UNIT, seed=2000 + seed).total


def narma_error(network, seed):
    """Return the NRMSE (RMSE / standard deviation) on the test part of NARMA10, one step ahead."""
    task = narma(10, n_steps=4000, lag=1, seed=3000 + seed)
    states = network.run(4 * task.inputs - 1)
    readout = ridge(states[FIT], task.targets[FIT], 1e-9)
    return nrmse_std(task.targets[TEST], readout(states[TEST]))


def measure():
    """Return the scores of all seeds, global (2, seeds, ratios) and local (2, seeds, 4), and the local ratios."""
    measures = (capacity, narma_error)
    scanned, local, found = np.empty((2, len(SEEDS), len(RATIOS))), np.empty((2, len(SEEDS), 4)), []
    for row, seed in enumerate(SEEDS):
        network = make_network(seed)
        scaled, adapted = [balance_inhibition(network, ratio) for ratio in RATIOS], adapt(network, seed)
        for k, measure_one in enumerate(measures):
            scanned[k, row] = [measure_one(one, seed) for one in scaled]
            local[k, row] = [measure_one(one, seed) for one in adapted]
        found.append([one.ratio for one in adapted])
    return scanned, local, np.array(found)


def mean_and_error(values):
    """Return the mean over seeds and its standard error."""
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))


def difference(first, second):
    """Return the mean paired difference over seeds and its standard error as text."""
    return "{:+.3f} ± {:.3f}".format(*mean_and_error(first - second))


def report(scanned, local, found):
    """Print the two curves, then balance and gains as paired differences.

    The best of a scan profits from chance: differences to each network's own best ratio flatter the scan.
    """
    print(f"{len(SEEDS)} networks of 100 units; mean ± standard error over networks\n")
    print(f"{'':<28}{'I/E':>6}{'memory capacity':>20}{'NARMA10 NRMSE':>20}")
    rows = [("all scaled alike", r, scanned[:, :, i]) for i, r in enumerate(RATIOS)]
    rows += [(name, found[:, i].mean(), local[:, :, i]) for i, name in enumerate(LOCAL)]
    for name, ratio, (memory, error) in rows:
        texts = ["{:.{d}f} ± {:.{d}f}".format(*mean_and_error(v), d=d) for v, d in ((memory, 2), (error, 3))]
        print(f"{name:<28}{ratio:6.2f}{texts[0]:>20}{texts[1]:>20}")
    for k, (name, sign) in enumerate((("memory capacity", 1), ("NARMA10 NRMSE", -1))):
        curve = sign * scanned[k]
        print("\n{}: networks do best at I/E = {:.2f} ± {:.2f}".format(name, *mean_and_error(RATIOS[curve.argmax(1)])))
        for i in range(5):
            above, below = scanned[k, :, -1 - i], scanned[k, :, i]
            print(f"  I/E {RATIOS[-1 - i]:.2f} - I/E {RATIOS[i]:.2f}: {difference(above, below)}")
        common, own = scanned[k][:, curve.mean(axis=0).argmax()], sign * curve.max(axis=1)
        for i, way in enumerate(LOCAL):
            print(f"  {way:<26} - best ratio for all {difference(local[k, :, i], common)}", end="")
            print(f", - best for each {difference(local[k, :, i], own)}")


def draw(scanned, local, found):
    """Draw the two panels."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
    for ax, curve, points in zip(axes, scanned, local, strict=True):
        ax.errorbar(RATIOS, *mean_and_error(curve), color="0.3", marker="o", capsize=3, label="all scaled alike")
        ax.axvline(1, color="0.6", linestyle=":", linewidth=1)
        for i, name in enumerate(LOCAL):
            ratio, error = mean_and_error(found[:, i])
            ratio *= (0.92, 1.0, 1.08, 1.0)[i]  # the first three lie at 1.00: shifted apart
            middle, spread = mean_and_error(points[:, i])
            ax.errorbar(ratio, middle, spread, error, fmt="sD^v"[i], markersize=6, capsize=3, color=f"C{i}", label=name)
        ax.set(xscale="log", xlabel="total inhibition / total excitation (points at 1.00 drawn apart)")
        ax.set_xticks([0.4, 0.6, 1, 1.6, 2.5], ["0.4", "0.6", "1", "1.6", "2.5"])
        ax.minorticks_off()
    axes[0].set(ylabel="memory capacity (steps)", ylim=(0, 20))
    axes[0].set_title("Memory: the best common ratio is near balance,\ninhibition set by every unit itself is better")
    axes[1].set(ylabel="NRMSE = RMSE / sd, NARMA10", ylim=(0, 0.85))
    axes[1].set_title("NARMA10, one step ahead: set by the units,\ninhibition is as good as the best common ratio")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig("ei_balance.png", dpi=110)


def main():
    results = measure()
    report(*results)
    draw(*results)
    print("wrote ei_balance.png")


if __name__ == "__main__":
    main()
