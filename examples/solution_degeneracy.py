"""Do networks trained on the same task find the same solution? Compared in behaviour, dynamics and weights.

Six tanh RNNs of 32 units for each of three tasks, flip-flops of 1, 2 and 3 bits, differ only in their random start. All
solve their task. Then
- behaviour: the spread of the error outside of what they were trained on (pulses five times as rare, series five times
  as long);
- dynamics: dynamical similarity analysis of every pair, the distance of their linear operators up to a rotation, and
  the fixed points of each (3^bits if they store bits the textbook way);
- weights: the distance of every pair of recurrent matrices up to the numbering of the units.

After A. Huang, S. Singh, F. Martinelli, K. Rajan (2024), Measuring and controlling solution degeneracy across
task-trained recurrent neural networks, arXiv 2410.03972, at a hundredth of its size: 18 networks instead of 3,400. Its
finding is that harder tasks lead to more alike dynamics and less alike weights. Sizes and measures in detail are ours.

What to see: every network has the 3^bits fixed points of the textbook solution: the same mechanism, carried by weights
that are as far from each other as weights put in random order (dashed). The dynamics grow more alike with the task, as
in the paper; its other finding, weights less alike, does not show at this size.

Needs PyTorch: pip install ".[torch]".
"""

from itertools import combinations

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock.analysis import delay_operator, fixed_points, operator_distance, weight_distance
from penstock.data import flip_flop
from penstock.reservoirs import ESN

try:
    import torch
except ImportError as error:
    raise SystemExit('this example trains networks with PyTorch: pip install ".[torch]"') from error

N_UNITS, N_NETWORKS, TASKS, RANK = 32, 6, (1, 2, 3), 8


def train(n_bits, n_rounds=700):
    """Train all networks of a task side by side; return them as Systems, and their readouts (networks, N + 1, bits)."""
    generator = torch.Generator().manual_seed(n_bits)
    shapes = ((N_UNITS, N_UNITS), (n_bits + 1, N_UNITS), (N_UNITS + 1, n_bits))  # the last row is the bias
    W, W_in, W_out = (
        torch.nn.Parameter(torch.randn(N_NETWORKS, *shape, generator=generator) / np.sqrt(shape[0])) for shape in shapes
    )
    optimiser = torch.optim.Adam([W, W_in, W_out], lr=3e-3)
    for number in range(n_rounds):
        task = flip_flop(n_bits, n_steps=40, n_series=32, p_pulse=0.15, seed=number)
        inputs = np.pad(task.inputs, ((0, 0), (0, 0), (0, 1)), constant_values=1.0)
        drive = torch.einsum("btm,kmn->tkbn", torch.tensor(inputs, dtype=torch.float32), W_in)
        x, states = torch.zeros_like(drive[0]), []
        for now in drive:
            x = torch.tanh(torch.baddbmm(now, x, W))
            states.append(x)
        outputs = torch.stack(states) @ W_out[:, :-1] + W_out[:, -1:]
        targets = torch.tensor(task.targets, dtype=torch.float32).transpose(0, 1)[:, None]
        losses = ((outputs - targets) ** 2).mean(dim=(0, 2, 3))
        optimiser.zero_grad()
        losses.sum().backward()
        torch.nn.utils.clip_grad_norm_([W, W_in, W_out], 1.0)
        optimiser.step()
    W, W_in, W_out = (p.detach().double().numpy() for p in (W, W_in, W_out))
    return [ESN(a.T, b[:-1].T, bias=b[-1]) for a, b in zip(W, W_in, strict=True)], W_out


def measure(networks, W_out, n_bits):
    """Return errors on and off the training conditions, fixed points, operators, weight distances, those by chance."""
    usual = flip_flop(n_bits, n_steps=40, n_series=100, p_pulse=0.15, seed=10**6)
    other = flip_flop(n_bits, n_steps=200, n_series=100, p_pulse=0.03, seed=10**6 + 1)
    errors = np.array([
        [((net.run(task.inputs) @ out[:-1] + out[-1] - task.targets) ** 2).mean() for task in (usual, other)]
        for net, out in zip(networks, W_out, strict=True)
    ])  # fmt: skip
    counts = [len(fixed_points(net, progress=False)) for net in networks]
    operators = [delay_operator(net.run(usual.inputs), rank=RANK, ridge=1e-3).operator for net in networks]
    weights = [
        weight_distance(a.W, b.W, n_starts=3, progress=False).relative for a, b in combinations(networks, 2)
    ]  # fmt: skip
    shuffle = np.random.default_rng(n_bits)
    mixed = [shuffle.permuted(net.W.ravel()).reshape(net.W.shape) for net in networks]
    chance = np.mean(
        [weight_distance(a, b, n_starts=3, progress=False).relative for a, b in combinations(mixed[:4], 2)]
    )
    return errors, counts, operators, weights, chance


def main():
    """Train and compare, print a table, draw the figure."""
    torch.set_num_threads(1)
    errors, counts, operators, weights, chance = zip(*(measure(*train(bits), bits) for bits in TASKS), strict=True)
    every = [operator for task in operators for operator in task]
    distances = np.zeros((len(every), len(every)))
    for i, j in combinations(range(len(every)), 2):
        distances[i, j] = distances[j, i] = operator_distance(every[i], every[j], n_starts=4, progress=False).angle
    rows, columns = np.triu_indices(N_NETWORKS, 1)
    dynamics = [
        distances[k : k + N_NETWORKS, k : k + N_NETWORKS][rows, columns] for k in range(0, len(every), N_NETWORKS)
    ]
    print("bits  error   error elsewhere    fixed points            DSA angle (rad)   weight distance   by chance")
    for bits, e, c, d, w, null in zip(TASKS, errors, counts, dynamics, weights, chance, strict=True):
        print(f"{bits}     {e[:, 0].mean():.4f}  {e[:, 1].mean():.4f} ± {e[:, 1].std(ddof=1):.4f}    {c!s:<22s}  "
              f"{d.mean():.3f} ± {d.std():.3f}     {np.mean(w):.3f} ± {np.std(w):.3f}     {null:.3f}")  # fmt: skip

    figure, axes = plt.subplots(1, 4, figsize=(14, 3.7), layout="constrained")
    panels = (
        ("fixed points of a network", counts),
        ("DSA angle of a pair (rad)", dynamics),
        ("weight distance of a pair (relative)", weights),
    )
    for ax, (label, values) in zip(axes, panels, strict=False):
        for number, sample in enumerate(values):
            spread = 0.3 * np.linspace(-0.5, 0.5, len(sample))
            ax.plot(TASKS[number] + spread, sample, "o", color=f"C{number}", markersize=4, alpha=0.7)
            ax.plot(TASKS[number], np.mean(sample), "_", color="black", markersize=26)
        ax.set(xlabel="bits of the flip-flop", ylabel=label, xticks=TASKS)
    axes[0].plot(TASKS, 3.0 ** np.array(TASKS), "k:", label="3^bits")
    axes[0].set_yscale("log")
    axes[0].set_yticks([3, 9, 27], ["3", "9", "27"])
    axes[0].minorticks_off()
    axes[0].legend(frameon=False)
    axes[2].plot(TASKS, chance, "k--", linewidth=1, label="weights in random order")
    axes[2].legend(frameon=False)
    image = axes[3].imshow(distances, cmap="viridis")
    figure.colorbar(image, ax=axes[3], label="DSA angle (rad)")
    middles = N_NETWORKS * np.arange(len(TASKS)) + N_NETWORKS / 2 - 0.5
    axes[3].set_xticks(middles, TASKS)
    axes[3].set_yticks(middles, TASKS)
    axes[3].set(xlabel="bits", ylabel="bits")
    axes[3].set_title("dynamics of all 18 networks", fontsize="medium")
    figure.savefig("solution_degeneracy.png", dpi=150)
    print("wrote solution_degeneracy.png")


if __name__ == "__main__":
    main()
