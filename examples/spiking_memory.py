"""What do spiking liquids remember, beside rate reservoirs of the same size? One call per system and question.

1. Memory capacity: how well linear readouts recover the input of k samples ago.
2. Information processing capacity: which functions of past inputs they recover, by total degree.

Five systems of 100 readable units with one input: an echo state network, a liquid time-constant network, and three
spiking liquids on the same grid of connections, 80 % excitatory: equal LIF neurons, Izhikevich neurons, and LIF neurons
whose time constants are drawn from gamma laws (HRSNN). In the liquids each input acts for 10 ms as a current, and the
readout sees spikes filtered with 30 ms. The ESN has no bias: it is odd, so it holds no even degrees. All settings are
ours: chosen by hand, not optimised, for any of the five.

Sources: Jaeger (2001); Dambre, Verstraeten, Schrauwen, Massar (2012); Maass, Natschläger, Markram (2002); Chakraborty
and Mukhopadhyay (2023), who find that different time constants remember more.
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock import Uniform
from penstock.analysis import information_processing_capacity, memory_capacity
from penstock.reservoirs import ESN, LTC
from penstock.spiking import (
    CurrentInjection,
    Exponential,
    Izhikevich,
    Liquid,
    Network,
    from_edges,
    heterogeneous_liquid,
)

N_UNITS, LAW = 100, Uniform(-0.8, 0.8)
DELAYS = {1: 25, 2: 10, 3: 5, 4: 3}  # the longest ones searched, by degree


def lif_liquid(**time_constants):
    """Return a liquid of LIF neurons; without arguments their time constants differ."""
    net = heterogeneous_liquid(N_UNITS, **time_constants, seed=1)
    return Liquid(net, CurrentInjection.random(net.groups[0], scale=200.0, seed=2))


def izhikevich_liquid():
    """Return a liquid of Izhikevich neurons with the connections of the LIF liquids.

    Neurons as in the network of 2003, regular spiking to chattering and fast spiking, with currents in its units.
    """
    wired, rng = heterogeneous_liquid(N_UNITS, seed=1), np.random.default_rng(3)
    n_exc, n_inh = map(len, wired.groups)
    r_e, r_i = rng.random(n_exc), rng.random(n_inh)
    net = Network(dt=0.5, seed=4)
    cells = {
        "E": net.add(Izhikevich(n_exc, a=0.02, b=0.2, c=-65 + 15 * r_e**2, d=8 - 6 * r_e**2, I_e=4.0), name="E"),
        "I": net.add(Izhikevich(n_inh, a=0.02 + 0.08 * r_i, b=0.25 - 0.05 * r_i, c=-65.0, d=2.0), name="I"),
    }
    for p in wired.projections:
        synapse, weight = (
            (Exponential(5.0, name="I_E"), 1.0) if p.pre.name == "E" else (Exponential(10.0, name="I_I"), -1.0)
        )
        net.connect(
            cells[p.pre.name], cells[p.post.name], synapse, from_edges(*p.edges()[:2]), weight=weight, delay=1.0
        )
    return Liquid(net, CurrentInjection.random(cells["E"], scale=10.0, seed=2))


SYSTEMS = {
    "ESN": lambda: ESN.random(N_UNITS, spectral_radius=0.95, input_scaling=0.2, seed=1),
    "LTC": lambda: LTC.random(N_UNITS, dt=0.02, seed=1),
    "LIF": lambda: lif_liquid(tau_e=20.0, tau_i=10.0),
    "Izhikevich": izhikevich_liquid,
    "HRSNN": lif_liquid,
}


def draw(memories, capacities):
    """Draw the memory curves and the degrees of the capacities."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained", width_ratios=(3, 2))
    styles = {name: {"color": f"C{i}", "linestyle": "--" if i < 2 else "-"} for i, name in enumerate(SYSTEMS)}
    for name, memory in memories.items():
        left.plot(memory.delays, memory.per_delay, label=f"{name} ({memory.total:.1f})", linewidth=2, **styles[name])
    left.set(xlabel="delay k (samples)", ylabel="memory capacity MC$_k$", xlim=(0, 25), ylim=(-0.02, 1.02))
    left.set_title("What linear readouts recover of past inputs")
    left.legend(title="system (total of 0–25)")
    bottom = np.zeros(len(SYSTEMS))
    for d in range(1, len(DELAYS) + 1):
        part = np.array([capacity.by_degree[d - 1] for capacity in capacities.values()])
        right.bar(list(SYSTEMS), part, bottom=bottom, color=plt.cm.viridis(d / 4.5), label=str(d))
        bottom += part
    right.set(ylabel="information processing capacity", ylim=(0, 1.1 * bottom.max()))
    searched = ", ".join(str(longest) for longest in DELAYS.values())
    right.set_title(f"Functions of past inputs, by degree\n(of delays up to {searched} samples)")
    right.legend(title="degree")
    figure.savefig("spiking_memory.png", dpi=110)


def main():
    memories, capacities = {}, {}
    print(f"{'system':<12}{'MC':>7}{'± SE':>7}{'  IPC by degree 1..4':<28}{'all':>7}{'± SE':>7}{'rank':>6}")
    for name, make in SYSTEMS.items():
        system = make()
        memories[name] = memory = memory_capacity(system, 25, n_steps=8000, input_law=LAW, seed=5, progress=False)
        capacities[name] = capacity = information_processing_capacity(
            system, max_delays=DELAYS, n_steps=20_000, input_law=LAW, seed=6, progress=False
        )
        degrees = "".join(f"{part:7.2f}" for part in capacity.by_degree)
        print(
            f"{name:<12}{memory.total:7.2f}{memory.standard_error:7.2f}{degrees}"
            f"{capacity.total:7.2f}{capacity.standard_error:7.2f}{capacity.rank:6d}"
        )
    draw(memories, capacities)
    print("wrote spiking_memory.png")


if __name__ == "__main__":
    main()
