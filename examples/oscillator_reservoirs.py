"""Oscillators and long expressive memory as reservoirs, beside a leaky echo-state network: what each is good for.

Four networks of 100 readable units with fixed random weights and a linear readout: a leaky echo-state network, random
oscillators (RON), an untrained coRNN and an untrained LEM. Every kind has the best of 24 settings, chosen for each
question by itself on one network and on validation data; five other networks are then measured on test data.

1. Memory of independent inputs, delay by delay.
2. NARMA-10, and Mackey-Glass 84 steps ahead: error on test data.
3. All Lyapunov exponents of the networks chosen for NARMA-10, along its inputs. Those of RON sum to what its damping
   alone prescribes.

Sources: Jaeger et al. (2007) for leaky networks; Ceni et al. (2024, RON); Rusch and Mishra (2021, coRNN); Rusch et al.
(2022, LEM). The last two are trained by gradients in their papers, so nothing here speaks of those results.
"""

from itertools import product

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock.analysis import lyapunov_spectrum, memory_capacity
from penstock.data import mackey_glass_task, narma
from penstock.reservoirs import ESN, LEM, RON, CoRNN, Regressor

N_UNITS, SEEDS, MAX_DELAY = 100, range(1, 6), 100
TASKS = {"NARMA-10": narma(10, seed=0), "Mackey-Glass + 84": mackey_glass_task(84)}


def grid(**choices):
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]


def ron(epsilon, **settings):
    """Oscillators whose dampings lie within half of `epsilon` about it; stiffnesses of 1.35 to 4.05."""
    return RON.random(N_UNITS, epsilon=epsilon, epsilon_range=epsilon, bias_scaling=0.1, **settings)


KINDS = {
    "leaky ESN": (
        lambda **settings: ESN.random(N_UNITS, bias_scaling=0.1, **settings),
        grid(leak=[0.1, 0.3, 0.6, 1.0], spectral_radius=[0.9, 0.99], input_scaling=[0.03, 0.1, 0.3]),
    ),
    "RON": (ron, grid(dt=[0.05, 0.1, 0.25, 0.5], epsilon=[0.5, 1.5], input_scaling=[0.03, 0.1, 0.3])),
    "coRNN": (
        lambda **settings: CoRNN.random(N_UNITS, **settings),
        grid(dt=[0.1, 0.25, 0.5], epsilon=[0.5, 1.5], recurrent_scaling=[1, 3], input_scaling=[1, 5]),
    ),
    "LEM": (
        lambda **settings: LEM.random(N_UNITS, **settings),
        grid(dt=[0.1, 0.3, 0.6, 1.0], recurrent_scaling=[1, 2], input_scaling=[0.3, 1, 3]),
    ),
}


def capacity(system, seed):
    return memory_capacity(system, MAX_DELAY, n_steps=4000, seed=seed, progress=False)


def error(system, task, part):
    """Return RMSE over standard deviation on one part of a task, of a readout fitted to the training part."""
    model = Regressor(system, washout=task.washout)
    model.fit(task.inputs[task.train], task.targets[task.train], progress=False)
    return np.sqrt(1 - model.score(task.inputs[part], task.targets[part], progress=False))


def choose():
    """Return {question: {kind: settings}}, each the best on network 0 and validation data."""
    best = {question: {} for question in ("memory", *TASKS)}
    for kind, (make, settings) in KINDS.items():
        systems = [make(**one, seed=0) for one in settings]
        best["memory"][kind] = settings[np.argmax([capacity(system, 0).total for system in systems])]
        for name, task in TASKS.items():
            best[name][kind] = settings[np.argmin([error(system, task, task.validation) for system in systems])]
    return best


def measure(best):
    """Return memory results and test errors of five other networks per kind, and spectra of the first of them."""
    memory, errors, spectra = {}, {name: {} for name in TASKS}, {}
    drive = TASKS["NARMA-10"].inputs[:1200]
    drive = (drive - drive.mean()) / drive.std()
    for kind, (make, _) in KINDS.items():
        memory[kind] = [capacity(make(**best["memory"][kind], seed=seed), 100 + seed) for seed in SEEDS]
        for name, task in TASKS.items():
            systems = [make(**best[name][kind], seed=seed) for seed in SEEDS]
            errors[name][kind] = np.array([error(system, task, task.test) for system in systems])
        first = make(**best["NARMA-10"][kind], seed=SEEDS[0])
        spectra[kind] = first, lyapunov_spectrum(first, drive, washout=200, seed=0, progress=False)
    return memory, errors, spectra


def draw(memory, errors, spectra):
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.8), layout="constrained")
    for i, kind in enumerate(KINDS):
        curves = np.array([result.per_delay for result in memory[kind]])
        axes[0].plot(curves.mean(axis=0), color=f"C{i}", lw=2, label=kind)
        axes[0].fill_between(range(curves.shape[1]), curves.min(axis=0), curves.max(axis=0), color=f"C{i}", alpha=0.2)
        for row, by_kind in enumerate(errors.values()):
            places = row + 0.18 * (i - 1.5) + np.linspace(-0.04, 0.04, len(SEEDS))
            axes[1].plot(places, by_kind[kind], "o", color=f"C{i}", ms=5, label=kind if row == 0 else None)
        axes[2].plot(spectra[kind][1].per_step, color=f"C{i}", lw=2, label=kind)
    axes[0].set(xlabel="delay (steps)", ylabel="memory capacity of the delay", xlim=(0, 60), ylim=(-0.03, 1.03))
    axes[0].set_title("Memory of independent inputs\n(mean and range of 5 networks)")
    axes[1].set(yscale="log", ylabel="RMSE / sd, test data", xlim=(-0.6, 1.6))
    axes[1].set_xticks(range(len(errors)), errors)
    axes[1].set_yticks([0.1, 0.2, 0.3, 0.4, 0.5], ["0.1", "0.2", "0.3", "0.4", "0.5"])
    axes[1].yaxis.minorticks_off()
    axes[1].set_title("Two tasks (5 networks each)")
    axes[2].axhline(0, color="0.4", lw=0.8)
    axes[2].set(xlabel="index", ylabel="Lyapunov exponent (nats per step)", ylim=(-5, 0.4))
    axes[2].set_title("Exponents along the inputs of NARMA-10\n(ESN: 100 variables, the others: 200)")
    for ax in axes:
        ax.legend()
    figure.savefig("oscillator_reservoirs.png", dpi=110)


def main():
    best = choose()
    memory, errors, spectra = measure(best)
    print(
        f"{'kind':<11}{'memory':>8}{'± sd':>7}" + "".join(f"{name:>19}{'± sd':>8}" for name in TASKS) + "   exponent 1"
    )
    for kind in KINDS:
        totals = np.array([result.total for result in memory[kind]])
        scores = "".join(f"{by[kind].mean():19.4f}{by[kind].std(ddof=1):8.4f}" for by in errors.values())
        print(f"{kind:<11}{totals.mean():8.1f}{totals.std(ddof=1):7.1f}{scores}{spectra[kind][1].per_step[0]:13.3f}")
    for question, by_kind in best.items():
        print(f"settings for {question}:")
        for kind, settings in by_kind.items():
            print(f"  {kind:<10}", ", ".join(f"{name}={value}" for name, value in settings.items()))
    network, spectrum = spectra["RON"]
    exact = np.log(np.abs(1 - network.dt * network.epsilon)).sum()
    print(f"RON: exponents sum to {spectrum.per_step.sum():.9f} per step, its damping prescribes {exact:.9f}")
    draw(memory, errors, spectra)
    print("wrote oscillator_reservoirs.png")


if __name__ == "__main__":
    main()
