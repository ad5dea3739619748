"""What do synapses learn from spikes alone, and what does a third factor add?

1. Additive pair STDP lets 1000 synapses onto one neuron compete: their weights go to either bound. The same neuron and
   input with soft bounds keep one peak (S. Song, K. Miller, L. Abbott (2000), Nature Neuroscience 3; M. van Rossum,
   G. Bi, G. Turrigiano (2000), J. Neuroscience 20).
2. Inhibitory plasticity brings the rate of excitatory neurons from far above to a target of 3 Hz (T. Vogels et al.
   (2011), Science 334). Scaled by us: 800 + 200 neurons in place of 8000 + 2000, half of all pairs connected, weights
   smaller by 2.5, learning rate 0.12 nS.
3. A pair of spikes marks its synapse as eligible; a reward seconds later turns the mark into weight, up or down by the
   order of the pair (E. Izhikevich (2007), Cerebral Cortex 17: tau_c = 1 s, tau_d = 0.2 s).
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock import Uniform
from penstock.spiking import (
    LIF,
    Exponential,
    InhibitorySTDP,
    Modulation,
    Network,
    PairSTDP,
    PoissonGroup,
    SpikeSource,
    ThreeFactor,
    all_to_all,
    one_to_one,
    probability,
)

LARGEST = 0.1  # nS, a hundredth of the leak
RULES = {
    "additive": PairSTDP(0.001, 0.00105, w_max=LARGEST),
    "soft bounds": PairSTDP(0.001, 0.00105, w_max=LARGEST, mu_plus=1.0, mu_minus=1.0),
}
TARGET = 3.0  # Hz
SECONDS = 30


# ---------------------------------------------------------------------------------------------------- competition
def compete(rule, duration=300_000.0):
    """Return the weights (nS) of 1000 Poisson inputs after learning, and the rate of the neuron in the last third."""
    net = Network(dt=0.5, seed=1)
    inputs = net.add(PoissonGroup(1000, rate=15.0), name="inputs")
    leak = {"tau_m": 10.0, "C_m": 100.0, "E_L": -74.0, "V_th": -54.0, "V_reset": -60.0, "t_ref": 0.0}
    cell = net.add(LIF(1, **leak), name="cell")
    synapse = Exponential(5.0, reversal=0.0)
    projection = net.connect(
        inputs, cell, synapse, all_to_all(), weight=Uniform(0.0, LARGEST), delay=0.0, plasticity=rule
    )
    net.record(cell, "rate", duration / 3)
    rate = net.run(duration, progress=False).rates["cell"].values[-1]
    return projection.weights, rate


# ------------------------------------------------------------------------------------------ inhibition to a target rate
def balance():
    """Return the rates (Hz) of the excitatory neurons in bins of 0.1 s."""
    net = Network(dt=0.1, seed=1)
    leak = {"tau_m": 20.0, "C_m": 200.0, "E_L": -60.0, "V_reset": -60.0, "V_th": -50.0, "t_ref": 5.0}
    start = Uniform(-60.0, -50.0)
    exc = net.add(LIF(800, I_e=200.0, integrator="euler", **leak), name="E", v=start)
    inh = net.add(LIF(200, I_e=200.0, integrator="euler", **leak), name="I", v=start)
    ge, gi = Exponential(5.0, reversal=0.0, name="ge"), Exponential(10.0, reversal=-80.0, name="gi")
    for post in (exc, inh):
        net.connect(exc, post, ge, probability(0.5), weight=0.12)
    net.connect(inh, inh, gi, probability(0.5), weight=1.2)
    rule = InhibitorySTDP(0.12, TARGET, w_max=100.0)
    net.connect(inh, exc, gi, probability(0.5), weight=0.0, plasticity=rule)
    net.record(exc, "rate", 100.0)
    return net.run(1000.0 * SECONDS, progress=False).rates["E"].values


# ---------------------------------------------------------------------------------------------- reward that comes late
def reward():
    """Return delays of a reward (s), changes of the weight for both orders of a pair, and the closed form of one."""
    delays = np.arange(0.0, 4001.0, 100.0)
    n = delays.size
    units = np.arange(n)
    changes = []
    for late in (1.0, 20.0):  # of the arrival: 9 ms before the neuron's spike, or 10 ms after it
        net = Network(dt=0.1)
        first = net.add(SpikeSource(n, units, np.full(n, 100.0)), name="first")
        kick = net.add(SpikeSource(n, units, np.full(n, 109.9)), name="kick")
        dopamine = net.add(SpikeSource(n, units, 110.0 + delays), name="dopamine")
        cells = net.add(LIF(n, t_ref=5.0), name="cells")
        net.connect(kick, cells, Exponential(0.1, name="kick"), one_to_one(), weight=1e5)
        net.connect(dopamine, cells, Modulation(200.0), one_to_one(), weight=1.0)
        rule = ThreeFactor(PairSTDP(1.0, 1.0, w_max=10.0), tau_c=1000.0, learning_rate=1e-3)
        synapses = net.connect(first, cells, Exponential(5.0), one_to_one(), weight=5.0, delay=late, plasticity=rule)
        net.run(12_000.0, progress=False)
        changes.append(synapses.weights - 5.0)
    closed = np.exp(-9.0 / 20.0) * np.exp(-delays / 1000.0) / (1 / 1.0 + 1 / 0.2)
    return delays / 1000.0, changes, closed


def draw(learned, rates, rewarded):
    """Draw the three panels."""
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.6), layout="constrained")
    bins = np.linspace(0, LARGEST, 26)
    for i, (name, (weights, _)) in enumerate(learned.items()):
        axes[0].hist(weights, bins, color=f"C{i}", alpha=0.6, label=name)
    axes[0].set(xlabel="weight (nS)", ylabel="synapses of 1000", title="STDP of one neuron under Poisson input")
    axes[0].legend(title="rule")
    times = 0.1 * (np.arange(rates.size) + 0.5)
    axes[1].plot(times, rates, color="C0", linewidth=1, alpha=0.4, label="bins of 0.1 s")
    axes[1].plot(np.arange(SECONDS) + 0.5, rates.reshape(-1, 10).mean(axis=1), color="C0", lw=2, label="bins of 1 s")
    axes[1].axhline(TARGET, color="0.2", linestyle="--", label="target 3 Hz")
    axes[1].set(yscale="log", xlabel="time (s)", ylabel="rate of E neurons (Hz)", ylim=(0.5, 200))
    axes[1].set_title("Inhibitory plasticity finds the target")
    axes[1].legend()
    delays, (before, after), closed = rewarded
    axes[2].plot(delays, before, "o", color="C3", ms=4, label="arrival 9 ms before the spike")
    axes[2].plot(delays, after, "o", color="C0", ms=4, label="arrival 10 ms after it")
    axes[2].plot(delays, closed, color="0.3", lw=1, label="closed form")
    axes[2].axhline(0, color="0.8", lw=1, zorder=0)
    axes[2].set(xlabel="reward after the pair of spikes (s)", ylabel="change of the weight (pA)")
    axes[2].set_title("A late reward finds what it rewards")
    axes[2].legend()
    figure.savefig("stdp_network.png", dpi=110)


def main():
    learned = {name: compete(rule) for name, rule in RULES.items()}
    print("1000 synapses onto one neuron, Poisson input of 15 Hz, 300 s of pair STDP")
    print(f"{'rule':<14}{'below 20 %':>12}{'20 to 80 %':>12}{'above 80 %':>12}{'rate (Hz)':>12}")
    for name, (weights, rate) in learned.items():
        shares = np.histogram(weights / LARGEST, [-0.001, 0.2, 0.8, 1.001])[0] / 10.0
        print(f"{name:<14}" + "".join(f"{share:11.1f}%" for share in shares) + f"{rate:12.1f}")
    rates = balance()
    blocks = rates[100:].reshape(-1, 50).mean(axis=1)
    error = blocks.std(ddof=1) / np.sqrt(blocks.size)
    print(f"\nE neurons under inhibitory plasticity, target {TARGET:g} Hz: first 0.1 s {rates[0]:.0f} Hz, ", end="")
    print(f"10 to {SECONDS} s {blocks.mean():.2f} ± {error:.2f} Hz (mean ± SE over blocks of 5 s)")
    rewarded = reward()
    delays, (before, after), closed = rewarded
    print("\nOne pair of spikes, then a reward: change of the weight (pA)")
    print(f"{'reward after (s)':<32}" + "".join(f"{t:8.0f}" for t in delays[::10]))
    for name, values in (("arrival 9 ms before the spike", before), ("arrival 10 ms after the spike", after)):
        print(f"{name:<32}" + "".join(f"{value:8.4f}" for value in values[::10]))
    print(f"largest difference from the closed form: {np.abs(before - closed).max():.0e} pA")
    draw(learned, rates, rewarded)
    print("wrote stdp_network.png")


if __name__ == "__main__":
    main()
