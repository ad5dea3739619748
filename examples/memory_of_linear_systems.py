"""What do linear memories of equal size remember? Exact memory curves, delays read back, and the curse of memory.

1. Exact memory curves of eight linear memories of 24 units. The total is 24 for each: they differ in where it lies.
2. Reading back a band-limited input: error against delay, of the fixed Legendre decoder and of trained readouts, all
   of which see the same noise.
3. Memory functions |y(k) - y(k - 1)| after a step of the input at time 0, of readouts trained on a target whose memory
   decays as a power law.

Sources: Gonon, Grigoryeva, Ortega (2020) for the totals; Voelker, Kajic, Eliasmith (2019, LMU); Gu et al. (2020,
HiPPO); Orvieto et al. (2023, LRU); Rodan and Tino (2011, ring); Wang and Li (2024, StableSSM) for the target of the
third panel.
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import scipy.signal

from penstock import ridge
from penstock.analysis import controllability_rank, linear_memory_curve, linear_step_memory
from penstock.data import linear_functional, polynomial_kernel
from penstock.metrics import nrmse_std
from penstock.reservoirs import LagT, LegendreMemory, LinearMemory, WarpedLegS

N_UNITS, WINDOW = 24, 60
CUTOFF = 0.08  # cycles per step: about five periods per window
NOISE = 1e-3  # of each unit's standard deviation, seen by all readouts
HORIZON, FAR = 100, 1000  # steps of the training series, and how far the memory function is followed

MEMORIES = {
    "Legendre (LMU, LegT)": LegendreMemory.of(N_UNITS, WINDOW),
    "Laguerre (LagT)": LagT.of(N_UNITS, 2.0),
    "LegS, fixed scale": WarpedLegS.of(N_UNITS, WINDOW / 2),
    "LRU": LinearMemory.lru(N_UNITS, r_min=0.5, r_max=0.98, seed=0),
    "LRU, slow phases": LinearMemory.lru(N_UNITS, r_min=0.5, r_max=0.98, max_phase=2 * np.pi * CUTOFF, seed=0),
    "ring": LinearMemory.ring(N_UNITS, weight=0.98),
    "random": LinearMemory.random(N_UNITS, spectral_radius=0.98, seed=0),
    "delay line": LinearMemory.delay_line(N_UNITS),
}
STYLES = {name: {"color": f"C{i}", "linestyle": "--" if i > 4 else "-"} for i, name in enumerate(MEMORIES)}


def band_limited(n_steps, seed):
    """Return Gaussian noise without frequencies above the cutoff, of variance 1."""
    taps = scipy.signal.firwin(401, CUTOFF, fs=1.0)
    u = scipy.signal.oaconvolve(np.random.default_rng(seed).standard_normal(n_steps + 400), taps, mode="valid")
    return u / u.std()


def noisy_states(memory, u, seed):
    """Return the states divided by their standard deviations, with observation noise, and those deviations."""
    states = memory.run(u)
    sizes = states.std(axis=0)
    return states / sizes + NOISE * np.random.default_rng(seed).standard_normal(states.shape), sizes


def errors_over_delay(delays):
    """Return {name: NRMSE of the delayed input on new data, per delay}, and that of the untrained Legendre decoder."""
    n_steps, washout = 6000, 500
    u = band_limited(n_steps, seed=1)
    targets = np.column_stack([np.roll(u, k) for k in delays])
    fit, test = slice(washout, n_steps // 2), slice(n_steps // 2, n_steps)
    errors = {}
    for name, memory in MEMORIES.items():
        states, _ = noisy_states(memory, u, seed=2)
        outputs = ridge(states[fit], targets[fit], 1e-6)(states[test])
        errors[name] = np.array([nrmse_std(*pair) for pair in zip(targets[test].T, outputs.T, strict=True)])
    legendre = MEMORIES["Legendre (LMU, LegT)"]
    inside = delays[delays + 0.5 <= WINDOW]
    states, sizes = noisy_states(legendre, u, seed=2)
    read = states[test] @ (legendre.decoder(inside + 0.5) * sizes).T
    decoded = np.array([nrmse_std(*pair) for pair in zip(targets[test].T[: inside.size], read.T, strict=True)])
    return errors, (inside, decoded)


def learned_memory_functions():
    """Return {name: (NRMSE on new series, exact memory function of the trained readout)}."""
    train, test = (linear_functional(polynomial_kernel, HORIZON, n_series=500, seed=seed) for seed in (0, 1))
    functions = {}
    for name, memory in MEMORIES.items():
        states = memory.run(train.inputs).reshape(-1, N_UNITS)
        sizes = states.std(axis=0)
        readout = ridge(states / sizes, train.targets.reshape(-1, 1), 1e-6)
        weights = readout.W_out / sizes
        outputs = memory.run(test.inputs) @ weights.T + readout.offset
        function = linear_step_memory(memory.W, memory.W_in, weights, n_steps=FAR + 1)
        functions[name] = nrmse_std(test.targets.ravel(), outputs.ravel()), function
    return functions


def draw(curves, delays, errors, decoded, functions):
    """Draw the three panels and the legend of all."""
    plt.rcParams["font.size"] = 15
    figure, ((top, right), (below, rest)) = plt.subplots(2, 2, figsize=(13, 11), layout="constrained")
    lags = np.arange(1, FAR + 1)
    for name, curve in curves.items():
        top.plot(delays, np.pad(curve, (0, delays.size))[: delays.size], linewidth=2.5, label=name, **STYLES[name])
        right.plot(delays, errors[name], linewidth=2.5, **STYLES[name])
        below.plot(lags, functions[name][1], linewidth=1.5, **STYLES[name])
    top.set(xlim=(-1, 100), ylim=(-0.02, 1.04), xlabel="delay k (steps)", ylabel="exact memory capacity MC$_k$")
    top.set_title(f"White noise: every curve sums to {N_UNITS},\nthe number of units")
    right.plot(*decoded, color="k", linestyle="-.", linewidth=2.5, label="LMU, fixed decoder")
    right.axvline(WINDOW, color="0.6", linewidth=1)
    right.annotate("window of\nLMU", (WINDOW, 1.4e-4), (5, 0), textcoords="offset points")
    right.set(yscale="log", ylim=(1e-4, 2), xlim=(-1, 100), xlabel="delay k (steps)", ylabel="NRMSE = RMSE / sd")
    right.set_title(f"Input below {CUTOFF} cycles per step,\nread back under noise of {NOISE:g} sd")
    below.plot(
        lags, polynomial_kernel(lags), color="k", linestyle=":", linewidth=3, label="target, $(1 + k/10)^{-1.1}$"
    )
    below.axvline(HORIZON, color="0.6", linewidth=1)
    below.annotate("end of\ntraining\nseries", (HORIZON, 2e-8), (-5, 0), textcoords="offset points", ha="right")
    below.set(xscale="log", yscale="log", ylim=(1e-8, 3), xlim=(1, FAR))
    below.set(xlabel="delay k (steps)", ylabel="memory function |y(k) $-$ y(k$-$1)|")
    below.set_title("A target with a power-law memory,\nlearned by ridge regression")
    lines = [line for axis in (top, right, below) for line in axis.get_legend_handles_labels()[0]]
    rest.legend(handles=lines, loc="center", fontsize=17)
    rest.axis("off")
    figure.savefig("memory_of_linear_systems.png", dpi=90)


def main():
    delays = np.arange(101)
    curves = {name: linear_memory_curve(memory.W, memory.W_in) for name, memory in MEMORIES.items()}
    errors, decoded = errors_over_delay(delays)
    functions = learned_memory_functions()
    print(
        f"{N_UNITS} units each. Half: delays that hold half of the memory. NRMSE of band-limited input 20 and 50 steps"
    )
    print("ago on new data, by ridge regression, and of a functional with a power-law memory")
    print(f"{'memory':<22}{'rank':>5}{'sum of MC':>11}{'half':>7}{'20 ago':>10}{'50 ago':>10}{'power law':>11}")
    for name, memory in MEMORIES.items():
        half = int((np.cumsum(curves[name]) >= N_UNITS / 2).argmax()) + 1
        print(
            f"{name:<22}{controllability_rank(memory.W, memory.W_in):>5}{curves[name].sum():>11.6f}{half:>7}"
            f"{errors[name][20]:>10.4f}{errors[name][50]:>10.4f}{functions[name][0]:>11.2g}"
        )
    print(f"{'fixed decoder of LMU':<45}{decoded[1][20]:>10.4f}{decoded[1][50]:>10.4f}")
    draw(curves, delays, errors, decoded, functions)
    print("wrote memory_of_linear_systems.png")


if __name__ == "__main__":
    main()
