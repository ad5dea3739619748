"""What did training make of a network? Two trained networks under the microscope, each against what is true.

1. A tanh RNN of 64 units, trained in PyTorch on the 3-bit flip-flop (three channels, each remembering the sign of its
   last pulse). Read in by `rnn_from_torch`, searched for fixed points without input: a cube of eight stable points
   stores the bits; 12 saddles on its edges, 6 on its faces and one point in its middle part them.
2. An echo-state network of 300 units, its readout trained to predict Lorenz-63 one step ahead and fed back: an
   autonomous System. Its three leading Lyapunov exponents, its dimension, fixed points and attractor measures against
   those of the differential equation itself, which goes through the same functions.

The cube: D. Sussillo, O. Barak (2013), Opening the black box, Neural Computation 25. The exponents of a closed loop:
J. Pathak, Z. Lu, B. Hunt, M. Girvan, E. Ott (2017), Chaos 27. Sizes and settings are ours.

What to see: the exponents agree to a few hundredths, the contracting one too if the network's own exponents lie below
it (radius 0.3 per step of 0.02: -60 per unit of time). The loop has fixed points where Lorenz has them.

Needs PyTorch: pip install ".[torch]".
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numba import njit

from penstock import Flow, ridge
from penstock.analysis import (
    fixed_points,
    lyapunov_spectrum,
    spectral_distance,
    state_space_divergence,
    valid_prediction_time,
)
from penstock.data import flip_flop
from penstock.reservoirs import ESN, rnn_from_torch

try:
    import torch
except ImportError as error:
    raise SystemExit('this example trains a network with PyTorch: pip install ".[torch]"') from error

DT, N_TRAIN, N_STARTS = 0.02, 10_000, 50


def train_flip_flop(n_units=64, n_rounds=1500, seed=0):
    """Return an RNN trained on the flip-flop as a System."""
    torch.manual_seed(seed)
    rnn, out = torch.nn.RNN(3, n_units, batch_first=True), torch.nn.Linear(n_units, 3)
    optimiser = torch.optim.Adam([*rnn.parameters(), *out.parameters()], lr=3e-3)
    for number in range(n_rounds):
        task = flip_flop(3, n_steps=50, n_series=64, p_pulse=0.15, seed=number)
        inputs, targets = (torch.tensor(a, dtype=torch.float32) for a in (task.inputs, task.targets))
        loss = ((out(rnn(inputs)[0]) - targets) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(rnn.parameters(), 1.0)
        optimiser.step()
        if loss < 0.002:
            break
    print(f"flip-flop: mean squared error {float(loss.detach()):.4f} after {number + 1} batches")
    return rnn_from_torch(rnn)


@njit
def lorenz(x, u):
    """Return the velocity of Lorenz-63."""
    return 10.0 * (x[1] - x[0]), x[0] * (28.0 - x[2]) - x[1], x[0] * x[1] - 8.0 / 3.0 * x[2]


@njit
def lorenz_jacobian(x, u):
    """Return its derivative, row by row."""
    return (-10.0, 10.0, 0.0), (28.0 - x[2], -1.0, -x[0]), (x[1], x[0], -8.0 / 3.0)


def forecasts(esn, closed, readout, u):
    """Return truth and forecasts of twelve time units from many starts, (S, T, 3) each."""
    horizon = int(12 / DT)
    states = esn.run(u)
    starts = np.linspace(N_TRAIN, len(u) - horizon - 1, N_STARTS).astype(int)
    run = closed.run(np.zeros((N_STARTS, horizon, 0)), x0=states[starts])
    ahead = np.concatenate([states[starts][:, None], run[:, :-1]], axis=1)
    return np.array([u[s + 1 : s + 1 + horizon] for s in starts]), readout(ahead)


def main():
    """Train both, print the measures, draw the figure."""
    torch.set_num_threads(1)
    cube = train_flip_flop()
    states = cube.run(flip_flop(3, n_steps=400, n_series=4, p_pulse=0.15, seed=10**6).inputs)
    points = fixed_points(cube)
    print(points, end="\n\n")

    flow = Flow(lorenz, n_units=3, dt=DT, substeps=2, rule_jacobian=lorenz_jacobian)
    truth = flow.run(45_000, x0=[1.0, 1.0, 1.0])[5000:]
    mean, spread = truth[:N_TRAIN].mean(axis=0), truth[:N_TRAIN].std(axis=0)
    u = (truth - mean) / spread
    esn = ESN.random(300, n_inputs=3, spectral_radius=0.3, input_scaling=0.1, bias_scaling=0.5, seed=1)
    driven = esn.run(u[:N_TRAIN])
    readout = ridge(driven[200:-1], u[201:N_TRAIN], 1e-7)
    closed = esn.close(readout)
    generated = readout(closed.run(30_000, x0=driven[-1]))

    theirs = lyapunov_spectrum(flow, n_steps=100_000, x0=truth[0])
    ours = lyapunov_spectrum(closed, n_exponents=5, n_steps=40_000, x0=driven[-1])
    rates, errors = ours.exponents / DT, ours.standard_errors / DT
    print(f"Lorenz-63, per unit of time: {theirs}\n")
    print(f"closed loop, per step of {DT}: {ours}\nper unit of time: {rates.round(3)} ± {errors.round(3)}\n")
    valid = valid_prediction_time(*forecasts(esn, closed, readout, u), dt=DT, exponent=0.9056, scale=np.sqrt(3))
    print(valid)
    print(state_space_divergence(u[N_TRAIN:], generated))
    print(spectral_distance(u[N_TRAIN : N_TRAIN + 30_000], generated))
    true_points = fixed_points(flow)
    found = fixed_points(closed, x0=driven[::500])
    read = readout(found.points) * spread + mean
    print("fixed points of Lorenz:", *true_points.points.round(2).tolist())
    print("of the closed loop:    ", *read.round(2).tolist())

    figure, axes = plt.subplots(1, 3, figsize=(12.5, 4), layout="constrained")
    points.plot(states, axes[0])
    axes[0].set_title("3-bit flip-flop RNN: the cube", fontsize="medium")
    ax = axes[1]
    view = generated[:4000] * spread + mean
    ax.plot(*truth[:4000, [0, 2]].T, color="0.75", linewidth=0.7, label="Lorenz-63")
    ax.plot(*view[:, [0, 2]].T, color="C0", linewidth=0.4, label="closed loop")
    ax.plot(*true_points.points[:, [0, 2]].T, "k+", markersize=11, label="its fixed points")
    near = np.abs(read[:, 2] - 25) < 40  # a far one, if any, is an artefact outside the attractor
    ax.plot(*read[near][:, [0, 2]].T, "o", mfc="none", color="C3", label="the loop's")
    ax.set(xlabel="x", ylabel="z")
    ax.legend(frameon=False, fontsize="small", loc="upper center", ncols=2)
    ax.set_ylim(-3, 62)
    ax = axes[2]
    ax.errorbar(np.arange(1, 6), rates, errors, fmt="o", capsize=3, label="closed loop, 5 of 300")
    ax.plot(np.arange(1, 4), theirs.exponents, "k+", markersize=13, label="Lorenz-63")
    for index, pair in enumerate(zip(rates, theirs.exponents, strict=False), start=1):
        ax.annotate("{:.3f}\n({:.3f})".format(*pair), (index + 0.12, pair[0] - 1), fontsize="small", va="top")
    ax.axhline(0, color="0.3", linewidth=1, linestyle="--")
    ax.set(xlabel="index", ylabel="Lyapunov exponent (nats per unit of time)", xticks=range(1, 6))
    ax.legend(frameon=False)
    figure.savefig("trained_network_dynamics.png", dpi=150)
    print("wrote trained_network_dynamics.png")


if __name__ == "__main__":
    main()
