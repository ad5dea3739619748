"""Are liquid time-constant networks more expressive? Trajectory lengths of three kinds of network, like for like.

R. Hasani, M. Lechner, A. Amini, D. Rus, R. Grosu, Liquid time-constant networks, AAAI 2021, section 5: a circle is
given to random networks, and the length of their trajectories in two principal components is called expressive power.

    neural ODE   x' =                                        E f(W_in u + b) + E_r f(W x + b_r)
    CT-RNN       x' = -x / tau                             + E f(W_in u + b) + E_r f(W x + b_r)
    LTC          x' = -x (1 / tau + |f(..u..)| + |f(..x..)|) + E f(W_in u + b) + E_r f(W x + b_r)

In the released script only the LTC has recurrence, and only its terms are multiplied by E and E_r, sums of N normal
numbers of standard deviation 2; the weights have standard deviation 2, where the paper writes the variance 2; and its
hard-tanh clips a vector only where all of its elements are beyond the limits. Here these differences are taken away
one after the other, with the same random numbers for all three.

What remains of the claim: given the same E, the LTC has the shortest trajectories of the three, since its gates also
damp. In units of their own size they are the longest, most clearly with recurrence; the table calls this "turns",
length / (2 pi rms radius), which is 1 for a circle.
"""

from functools import cache
from textwrap import fill
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock import relu, sigmoid, tanh
from penstock.analysis import principal_components, trajectory_length
from penstock.reservoirs.solvers import exponential_midpoint

KINDS = ("neural ODE", "CT-RNN", "LTC")
N_SAMPLES, N_INPUT_SAMPLES, SUBSTEPS = 10, 100, 20


def hard_tanh(z):
    """Return z clipped to [-1, 1], element by element."""
    return np.clip(z, -1, 1)


def hard_tanh_as_released(z):
    """Return z, but ones only if all elements of a vector are above 1, and minus ones if all are below -1."""
    above, below = (z >= 1).all(axis=-1, keepdims=True), (z <= -1).all(axis=-1, keepdims=True)
    return np.where(above, 1.0, np.where(below, -1.0, z))


class Setting(NamedTuple):
    """Which networks are compared; `alike` gives E to all of them, `recurrent` recurrence to all, none, or the LTC."""

    activation: callable
    width: int = 25
    weight_sd: float = 2**0.5
    alike: bool = True
    recurrent: bool | None = True


def circle(n_steps):
    """Return the input at the middle of every step: the published 100 samples of a circle, joined by lines."""
    t = np.linspace(0, 2 * np.pi, N_INPUT_SAMPLES)
    times = (np.arange(n_steps) + 0.5) * 2 * np.pi / n_steps
    return np.column_stack([np.interp(times, t, wave) for wave in (np.sin(t), np.cos(t))])


@cache
def states(kind, setting):
    """Return the states of ten random networks from zero, (10, T, N); the kinds share all random numbers."""
    f, n, sd, alike, recurrent = setting
    recurrent, alike = (kind == "LTC" if recurrent is None else recurrent), alike or kind == "LTC"
    rng, shape = np.random.default_rng(1), (N_SAMPLES, n)
    W_in, W = rng.normal(0, sd, (*shape, 2)), rng.normal(0, sd, (*shape, n))
    b, b_r, tau = rng.normal(size=shape), rng.normal(size=shape), np.abs(rng.normal(size=shape))
    E, E_r = (rng.normal(0, sd, (*shape, n)).sum(axis=-1) if alike else np.ones(shape) for _ in range(2))
    n_steps = (N_INPUT_SAMPLES - 1) * SUBSTEPS
    x, trajectory = np.zeros(shape), [np.zeros(shape)]
    for u in circle(n_steps):
        driven = f(W_in @ u + b)

        def coefficients(x, driven=driven):
            fed = f((W @ x[..., None])[..., 0] + b_r) if recurrent else np.zeros(shape)
            gates = np.abs(driven) + np.abs(fed)
            D = {"neural ODE": 0 * x, "CT-RNN": 1 / tau, "LTC": 1 / tau + gates}[kind]
            return D, E * driven + E_r * fed

        x = exponential_midpoint(coefficients, x, 2 * np.pi / n_steps)
        trajectory.append(x)
    return np.stack(trajectory, axis=1)


def measure(kind, setting):
    """Return median length and median turns over the networks; infinite if their states grow beyond 1e6."""
    with np.errstate(over="ignore", invalid="ignore"):
        X = states(kind, setting)
    if not (np.abs(X) < 1e6).all():
        return np.inf, np.nan
    radius = [np.sqrt((principal_components(one) ** 2).sum(axis=1).mean()) for one in X]
    lengths = trajectory_length(X)
    return np.median(lengths), np.median(lengths / (2 * np.pi * np.array(radius)))


def row(name, setting):
    """Print one line of a table."""
    cells = [measure(kind, setting) for kind in KINDS]
    print(f"{name:<34}" + "".join(f"{length:9.1f} ({turns:4.2f})" for length, turns in cells).replace("nan", "  -"))
    return cells


def head(text):
    """Print the head of a table."""
    print(f"{text:<34}" + "".join(f"{kind:>16}" for kind in KINDS))


def one_by_one(f):
    """Return the settings from the released one to like for like, by name."""
    return {
        "as released": Setting(f, weight_sd=2.0, alike=False, recurrent=None),
        "… weights of variance 2": Setting(f, alike=False, recurrent=None),
        "… and E, E_r for all": Setting(f, recurrent=None),
        "… and recurrence for all": Setting(f),
        "no recurrence for any": Setting(f, recurrent=False),
    }


def draw(released, alike, steps, activations):
    """Draw two samples of trajectories, lengths as the differences go, and turns for every activation."""
    figure, axes = plt.subplots(2, 2, figsize=(12, 10), layout="constrained")
    for ax, setting, title in ((axes[0, 0], released, "as released"), (axes[0, 1], alike, "like for like")):
        for i, kind in enumerate(KINDS):
            one = principal_components(states(kind, setting)[0])
            label = f"{kind}: length {trajectory_length(one):.0f}"
            ax.plot(*one.T, color=f"C{i}", linewidth=2, label=label)
        ax.plot(*circle(400).T, color="0.5", linestyle=":", label="input: length 6.28")
        ax.set(xlabel="principal component 1", ylabel="principal component 2", aspect="equal", adjustable="datalim")
        ax.set_title(f"One sample {title} (tanh, 25 units)")
        ax.legend(fontsize="small", loc="upper right")
    bars(axes[1, 0], {name: [cell[0] for cell in cells] for name, cells in steps.items()})
    axes[1, 0].set(yscale="log", ylabel="median length", title="Differences taken away one after the other (tanh)")
    bars(axes[1, 1], {name: [cell[1] for cell in cells] for name, cells in activations.items()})
    axes[1, 1].axhline(1, color="0.4", linestyle=":")
    axes[1, 1].set(
        ylim=(0, 1.6),
        ylabel="median turns: length / (2π rms radius)",
        title="Like for like, in units of their own size",
    )
    figure.savefig("ltc_expressivity.png", dpi=110)


def bars(ax, groups):
    """Draw a group of three bars for every name."""
    values = np.array(list(groups.values()))
    for i, kind in enumerate(KINDS):
        ax.bar(np.arange(len(groups)) + 0.27 * (i - 1), values[:, i], 0.25, color=f"C{i}", label=kind)
        for at in np.flatnonzero(np.isnan(values[:, i])):
            ax.text(at + 0.27 * (i - 1), 0.02, "diverges", rotation=90, ha="center", color=f"C{i}", fontsize="small")
    labels = [name if "\n" in name else fill(name.removeprefix("… "), 14) for name in groups]
    ax.set_xticks(range(len(groups)), labels, fontsize="small")
    ax.legend(fontsize="small", loc="upper left")


def main():
    print(f"Median length and (turns), {N_SAMPLES} networks, 2 principal components; the input circle: 6.28 (1.00)\n")
    head("tanh, 25 units")
    steps = {name: row(name, setting) for name, setting in one_by_one(tanh).items()}
    print("recomputed from the script, 6 samples       17.6            11.9           108.6\n")
    head("hard-tanh, 25 units")
    row("as released, whole vectors clipped", one_by_one(hard_tanh_as_released)["as released"])
    for name, setting in one_by_one(hard_tanh).items():
        row(name.replace("as released", "… clip of every element"), setting)
    print("recomputed from the script, 6 samples       19.4            12.7           108.4\n")
    head("like for like")
    activations = {}
    for f in (tanh, hard_tanh, sigmoid, relu):
        name = f.__name__.replace("_", "-")
        activations[f"{name}\nW = 0"] = row(f"{name}, 25 units, feedforward", Setting(f, recurrent=False))
        activations[f"{name}\nwith W"] = row(f"{name}, 25 units, recurrent", Setting(f))
    for width in (50, 100):
        row(f"tanh, {width} units, recurrent", Setting(tanh, width))
    print("\ninf: states beyond 1e6 (relu with recurrent weights of variance 2 and nothing that saturates)")
    draw(one_by_one(tanh)["as released"], Setting(tanh), steps, activations)
    print("wrote ltc_expressivity.png")


if __name__ == "__main__":
    main()
