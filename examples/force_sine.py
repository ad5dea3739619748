"""FORCE: a chaotic network learns to produce a sine, and goes on with it alone.

A network of 500 units (tau = 10 ms, steps of 1 ms, recurrent weights of radius 1.5, one in ten present) receives its
own output back. Before training, with random output weights, it is chaotic. Recursive least squares with an update
every 2 ms holds the output on the sine from the first period on, while the weights still move; they come to rest, and
the loop is left alone.

D. Sussillo, L. F. Abbott (2009), Generating coherent patterns of activity from chaotic neural networks, Neuron 63.
Theirs is the network tau x' = -x + g J tanh(x) + w_f z, read out from tanh(x). Ours is the leaky echo-state network,
tau x' = -x + tanh(g J x + w_f z), read out from x: the same family, with the input filtered on another side (K. D.
Miller, F. Fumarola 2012, Neural Computation 24), so that settings carry over but single numbers do not. The weights
start small rather than at unit length, and the target is a sine of 10 Hz instead of a sum of four.

What to see: the phase of the free run is not tied to any clock, so frequency, amplitude and the correlation at the
best lag are compared, never the sine point by point. The largest exponent, positive before (of seed 4 hardly), ends
near zero: a cycle. Where it lies a little below, even the phase is held: a cycle of a whole number of steps locks to
them.
"""

import warnings
from dataclasses import replace

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock import Readout
from penstock.analysis import lyapunov_spectrum
from penstock.reservoirs import ESN, EchoStateWarning, force_train

N_UNITS, PERIOD, DT = 500, 100, 1e-3  # steps, seconds
N_TRAINED, N_FREE, SEEDS = 30, 40, range(6)


def sine(n_periods):
    """Return the target (T,)."""
    return np.sin(2 * np.pi * np.arange(n_periods * PERIOD) / PERIOD)


def train(seed):
    """Return the weights and outputs (T,) before training, the training, and the outputs of the free run (T,)."""
    esn = ESN.random(N_UNITS, spectral_radius=1.5, density=0.1, leak=0.1, seed=seed)
    rng = np.random.default_rng(seed)
    W_out = 0.3 * rng.standard_normal((1, N_UNITS)) / np.sqrt(N_UNITS)
    start = esn.close(Readout(W_out, 0.0)).run(10 * PERIOD, x0=0.5 * rng.standard_normal(N_UNITS))
    training = force_train(esn, sine(N_TRAINED), x0=start[-1], W_out=W_out, every=2, alpha=1.0)
    free = training.readout(training.closed_loop().run(N_FREE * PERIOD, x0=training.state))
    return W_out, start @ W_out[0], training, free[:, 0]


def frequency_and_amplitude(z):
    """Return the frequency of the highest peak of the spectrum (Hz) and the amplitude of a sine of that power."""
    spectrum = np.abs(np.fft.rfft((z - z.mean()) * np.hanning(len(z)), 16 * len(z)))
    return spectrum.argmax() / (16 * len(z) * DT), np.sqrt(2) * z.std()


def best_correlation(z):
    """Return the correlation with the sine at the best of all lags within a period."""
    target = sine(10)
    return max(np.corrcoef(z[lag : lag + len(target)], target)[0, 1] for lag in range(PERIOD))


def largest_exponents(training, W_before):
    """Return the largest Lyapunov exponent of the closed loop with the weights before and after (1 / s)."""
    before = replace(training, readout=Readout(W_before, 0.0))
    loops = (before.closed_loop(), training.closed_loop())
    runs = [lyapunov_spectrum(loop, n_exponents=1, n_steps=3000, washout=500, x0=training.state) for loop in loops]
    return [run.exponents[0] / DT for run in runs]


def draw(before, training, free, exponents):
    """Draw the three phases, the course of the training, and the exponents of all seeds."""
    figure = plt.figure(figsize=(11, 6), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.15))
    axes, ms = top.subplots(1, 3, sharey=True), 1e3 * DT
    shown = 5 * PERIOD
    phases = (
        ("before, random weights", before[-shown:]),
        ("training, first 5 periods", training.outputs[:shown, 0]),
        (f"after, free run, periods {N_FREE - 4}–{N_FREE}", free[-shown:]),
    )
    axes[1].plot(ms * np.arange(shown), sine(5), color="0.6", lw=3, label="target")
    for ax, (title, z) in zip(axes, phases, strict=True):
        ax.plot(ms * np.arange(shown), z, color="C3", lw=1.2, label="output z")
        ax.set(xlabel="time (ms)", xlim=(0, ms * shown), ylim=(-1.6, 1.6))
        ax.set_title(title, fontsize="medium")
        ax.legend(frameon=False, fontsize="small", loc="upper right", ncols=2)
    axes[0].set_ylabel("output z")
    left, right = bottom.subplots(1, 2)
    training.plot(left)
    left.set_xlabel("step of training (1 ms)")
    right.plot(SEEDS, exponents[:, 0], "o", color="C0", label="before")
    right.plot(SEEDS, exponents[:, 1], "s", color="C3", label="after")
    right.axhline(0, color="0.3", lw=1, ls="--")
    right.set(xlabel="seed of the network", ylabel="largest Lyapunov exponent (1/s)")
    right.legend(frameon=False)
    figure.savefig("force_sine.png", dpi=120)


def main():
    """Train one network per seed, print what its free run is, draw the figure."""
    warnings.simplefilter("ignore", EchoStateWarning)  # chaos is wanted here
    print(f"{N_UNITS} units, {N_TRAINED} periods of training, then free; target {1 / PERIOD / DT:g} Hz, amplitude 1")
    print(
        "seed  error, last period  weight change, first -> last period    Hz     amplitude  correlation  exponent (1/s)"
    )
    exponents, kept = [], None
    for seed in SEEDS:
        W_before, before, training, free = train(seed)
        exponents.append(largest_exponents(training, W_before))
        kept = kept or (before, training, free)
        frequency, amplitude = frequency_and_amplitude(free[-20 * PERIOD :])
        error = np.sqrt((training.error[-PERIOD:] ** 2).mean())
        first, last = (np.sqrt((rows**2).mean()) for rows in np.split(training.weight_change, [50, -50])[::2])
        print(
            f"{seed:>4}{error:18.4f}{first:22.1e} -> {last:.1e}{frequency:18.3f}{amplitude:10.3f}"
            f"{best_correlation(free[-12 * PERIOD :]):12.4f}{exponents[-1][0]:10.1f} -> {exponents[-1][1]:.2f}"
        )
    draw(*kept, np.array(exponents))
    print("wrote force_sine.png")


if __name__ == "__main__":
    main()
