"""What does a reservoir spend its units on? Linear memory, squares, products: the capacity profile of four models.

Every unit can hold one independent function of the past inputs, so all capacities together are at most the number of
units, 50 here. `information_processing_capacity` measures them one by one, for the Legendre polynomials of inputs
uniform in ±1: degree 1 is the linear memory, the rest is nonlinear processing.

Left and middle: an echo-state network, a leaky one, ES2N and a residual network, same size and input scaling, and where
in the past their capacity lies. Right: the echo-state network over its input scaling.

The measure: J. Dambre, D. Verstraeten, B. Schrauwen, S. Massar (2012), Scientific Reports 2, 514. Settings are ours.

What to see: the sum is the same for all, close to the number of units; models differ in what they buy with it. ES2N
spends it on linear memory that reaches far back, a ring of residual units on recent inputs. Louder inputs trade memory
for nonlinearity. Where a bar stops short of its line, the rest sits in degrees above 5, or is too faint to tell from
chance.
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock.analysis import information_processing_capacity, plot_capacity_profiles
from penstock.reservoirs import ES2N, ESN, ResESN
from penstock.weights import ring

N_UNITS, N_STEPS = 50, 20_000
SHARED = {"spectral_radius": 0.9, "input_scaling": 0.3, "bias_scaling": 0.3, "seed": 0}
MODELS = {
    "ESN": ESN.random(N_UNITS, **SHARED),
    "leaky ESN\n(leak 0.5)": ESN.random(N_UNITS, leak=0.5, **SHARED),
    "ES2N\n(β = 0.1)": ES2N.random(N_UNITS, beta=0.1, **SHARED),
    "ResESN\n(α 0.7, ring)": ResESN.random(N_UNITS, alpha=0.7, beta=0.3, skip=ring, **SHARED),
}
SCALINGS = (0.03, 0.1, 0.3, 1.0, 3.0)


def profile(system):
    """Return the capacities of a system up to degree 5."""
    return information_processing_capacity(system, n_steps=N_STEPS, max_degree=5, seed=1, progress=False)


def main():
    """Measure all, print one block per model, draw the figure."""

    models = {name: profile(system) for name, system in MODELS.items()}
    for name, result in models.items():
        print(f"{name.splitlines()[0]}: {result}\n")
    loud = [profile(ESN.random(N_UNITS, **{**SHARED, "input_scaling": scaling})) for scaling in SCALINGS]

    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    plot_capacity_profiles(list(models.values()), list(models), axes[0])
    axes[0].legend().remove()
    axes[0].tick_params(axis="x", labelsize="small")
    ax = axes[1]
    for name, result in models.items():
        by_delay = result.by_degree_and_delay.sum(axis=0)
        ax.plot(np.arange(len(by_delay)), by_delay, label=name.splitlines()[0])
    ax.set(xlabel="longest delay of the product (steps)", ylabel="capacity, all degrees", xlim=(0, 60))
    ax.legend(frameon=False)
    plot_capacity_profiles(loud, [f"{scaling:g}" for scaling in SCALINGS], axes[2])
    axes[2].set(xlabel="input scaling of the ESN")
    figure.savefig("capacity_profile.png", dpi=150)
    print("wrote capacity_profile.png")


if __name__ == "__main__":
    main()
