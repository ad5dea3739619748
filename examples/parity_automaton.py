"""What algorithm did a network learn? The automaton inside a recurrent network trained on streaming parity.

A ReLU network of 100 units reads bits one by one and says, at every step, whether it has seen an odd number of ones.
It is trained on all strings of 10 bits. At first it keeps more and more strings apart, each in a state of its own, and
is no better than chance on long ones; then states merge and, at once, it is right on strings of any length.
`extract_automaton` groups the states it takes, `minimise` removes those that no string can tell apart, and two are
left: the textbook solution. (Before epoch 50 two are left as well, of a machine that does something else.)

After L. van Rossem, A. Saxe (2025), Algorithm development in neural networks: insights from the streaming parity task,
ICML, arXiv 2507.09897: units, initial scale 0.1, start from a state of ones, squared error, SGD at 0.02 and the greedy
grouping are theirs. Ours: momentum 0.9, outputs asked for at every step, the empty string among them, no random strings
of shorter length.

Needs PyTorch: pip install ".[torch]".
"""

from itertools import product

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock.analysis import Automaton, automaton_fidelity, extract_automaton, minimise
from penstock.reservoirs import rnn_from_torch

try:
    import torch
except ImportError as error:
    raise SystemExit('this example trains a network with PyTorch: pip install ".[torch]"') from error

N_UNITS, LENGTH, GAIN, EPOCHS, EVERY = 100, 10, 0.1, 160, 4
PARITY = Automaton([[0, 1], [1, 0]], [0, 1])
BITS = np.eye(2)  # the inputs that stand for 0 and 1


def strings(length):
    """Return all strings of bits as inputs (B, T, 2) and the one-hot parity after 0..T bits, (B, T + 1, 2)."""
    bits = np.array(list(product((0, 1), repeat=length)))
    parity = np.cumsum(np.pad(bits, ((0, 0), (1, 0))), axis=1) % 2
    return BITS[bits], BITS[parity]


def make(seed):
    """Return the network and its readout, with small weights."""
    torch.manual_seed(seed)
    rnn, out = torch.nn.RNN(2, N_UNITS, nonlinearity="relu", batch_first=True), torch.nn.Linear(N_UNITS, 2)
    for name, parameter in (*rnn.named_parameters(), *out.named_parameters()):
        if "bias" in name:
            torch.nn.init.zeros_(parameter)
        else:
            torch.nn.init.xavier_normal_(parameter, gain=GAIN)
    return rnn, out


def freeze(rnn, out):
    """Return the network as a System, and its readout as a function of the states."""
    W_out, offset = (p.detach().double().numpy().copy() for p in (out.weight, out.bias))
    return rnn_from_torch(rnn), lambda states: (states @ W_out.T + offset).argmax(axis=1)


def train(seed=0):
    """Train; yield (epoch, system, readout) every few epochs, the first before training."""
    rnn, out = make(seed)
    inputs, targets = (torch.tensor(a, dtype=torch.float32) for a in strings(LENGTH))
    optimiser = torch.optim.SGD([*rnn.parameters(), *out.parameters()], lr=0.02, momentum=0.9)
    shuffle = torch.Generator().manual_seed(seed)
    for epoch in range(EPOCHS + 1):
        if epoch % EVERY == 0:
            yield epoch, *freeze(rnn, out)
        for rows in torch.randperm(len(inputs), generator=shuffle).split(128):
            first = torch.ones(1, len(rows), N_UNITS)
            hidden = torch.cat([first.transpose(0, 1), rnn(inputs[rows], first)[0]], dim=1)
            loss = ((out(hidden) - targets[rows]) ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def draw_states(ax, system, title):
    """Draw the states after all strings of 3 to 8 bits in their two leading components, by parity."""
    states = np.concatenate(
        [system.run(strings(length)[0], np.ones((2**length, N_UNITS)))[:, -1] for length in range(3, 9)]
    )
    odd = np.concatenate([strings(length)[1][:, -1, 1] for length in range(3, 9)]) > 0
    centred = states - states.mean(axis=0)
    plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    for which, colour, label in ((~odd, "C0", "even number of ones"), (odd, "C1", "odd")):
        ax.scatter(*plane[which].T, s=12, color=colour, alpha=0.6, linewidths=0, label=label)
    ax.set(xlabel="component 1", ylabel="component 2")
    ax.set_title(title, fontsize="medium")
    ax.legend(frameon=False)


def main():
    """Train, extract an automaton at every stage, print the last one, draw the figure."""
    torch.set_num_threads(1)
    one = np.ones(N_UNITS)
    stages = []
    for epoch, system, readout in train():
        found = extract_automaton(system, BITS, LENGTH - 1, readout=readout, x0=one, progress=False)
        test = automaton_fidelity(PARITY, system, BITS, readout=readout, x0=one, length=200, n_strings=50, seed=1)
        stages.append((epoch, system, found, minimise(found.automaton), test.per_step[-1]))
    epochs, _, found, smallest, right = zip(*stages, strict=True)
    print(found[-1])
    print(f"minimised: {smallest[-1]}, the parity automaton: {smallest[-1].isomorphic(PARITY)}")
    print(f"right after 200 fresh bits: {right[0]:.2f} before training, {right[-1]:.2f} after")

    figure, axes = plt.subplots(2, 2, figsize=(9, 7.5), layout="constrained")
    ax = axes[0, 0]
    ax.plot(epochs, [f.automaton.n_states for f in found], label="states extracted")
    ax.plot(epochs, [a.n_states for a in smallest], label="states after minimising")
    ax.set(yscale="log", xlabel="epoch", ylabel="number of states")
    twin = ax.twinx()
    twin.plot(epochs, right, "k:", label="right after 200 bits")
    twin.set(ylabel="fraction right", ylim=(0, 1.05))
    handles = ax.get_lines() + twin.get_lines()
    ax.legend(handles, [line.get_label() for line in handles], frameon=False, loc="center right")
    halfway = next(i for i, fraction in enumerate(right) if fraction > 0.9) - 2
    draw_states(axes[0, 1], stages[halfway][1], f"epoch {epochs[halfway]}, before the transition")
    draw_states(axes[1, 0], stages[-1][1], f"epoch {epochs[-1]}")
    smallest[-1].plot(axes[1, 1])
    axes[1, 1].set_title("minimised: symbols on arrows, outputs in states", fontsize="medium")
    figure.savefig("parity_automaton.png", dpi=150)
    print("wrote parity_automaton.png")


if __name__ == "__main__":
    main()
