"""What does spike-timing-dependent plasticity make of a network whose axons differ in delay?

After E. M. Izhikevich (2006), Polychronization: computation with spikes, Neural Computation 18: 800 regular spiking
and 200 fast spiking neurons with 100 targets each, delays of 1 to 20 ms from the excitatory neurons and of 1 ms from
the others, and one random neuron kicked per millisecond. Every excitatory synapse learns from the order of spikes:
causal pairs strengthen it, the others weaken it, weights between 0 and 10.

1. The raster of the first second and of one after a minute, with the mean rates.
2. The excitatory weights at the beginning and after that minute.
3. A polychronous group: three neurons with strong synapses on a fourth are made to fire, the others are at rest. Fired
   in the order that lets their spikes arrive together, they fire the fourth and through it others, each at its time;
   fired in synchrony, they fire nobody.

In this model weights change once per second only. So the network runs from one change to the next, and `learn` works
out the change from the spikes recorded meanwhile. (Rules that act at every spike run inside: `PairSTDP`.)

A delay of d ms here is a delay of d + 1 ms in the paper. There, in millisecond t, spikes are found and their neurons
reset, then spikes arrive, then all potentials move on; here potentials move on first. Millisecond t of the paper is the
second half of step t - 1 and the first half of step t, and its first second ends after 999 steps.
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock.spiking import Izhikevich, Network, Pulse, from_edges

N_EXC, N = 800, 1000
N_TARGETS, N_DELAYS = 100, 20
LTP, LTD, DECAY, DRIFT, KEPT, MAXIMUM = 0.1, 0.12, 0.95, 0.01, 0.9, 10.0
SECONDS = 60


class Thalamus:
    """Kick one random neuron in every millisecond: a drive of 20 mV/ms."""

    def stream(self, n, dt, rng):
        """Return the stream of currents of `n` neurons."""
        self.n, self.rng = n, rng
        return self

    def take(self, k0, k1):
        """Return the currents (k1 - k0, n) of the steps k0 to k1."""
        return _kicks(k1 - k0, self.n, np.arange(k1 - k0), self.rng.integers(self.n, size=k1 - k0), 20.0)


class Stimuli:
    """Kick given neurons at given times (ms), so strongly that they fire unless `size` (mV/ms) is less."""

    def __init__(self, times, neurons, size=400.0):
        self.times, self.neurons, self.size = times, neurons, size

    def stream(self, n, dt, rng):
        """Return the stream of currents of `n` neurons."""
        self.n = n
        return self

    def take(self, k0, k1):
        """Return the currents (k1 - k0, n) of the steps k0 to k1."""
        now = (self.times >= k0) & (self.times < k1)
        return _kicks(k1 - k0, self.n, self.times[now] - k0, self.neurons[now], self.size)


def _kicks(steps, n, times, neurons, size):
    current = np.zeros((steps, n))
    current[times, neurons] = size
    return current


def draw_synapses(seed):
    """Return source, target, weight and delay (ms) of all synapses: 5 of each delay per excitatory neuron."""
    rng = np.random.default_rng(seed)
    others = np.arange(N - 1)
    targets = [rng.choice(others, N_TARGETS, replace=False) for _ in range(N_EXC)]
    targets = [t + (t >= i) for i, t in enumerate(targets)]  # nobody excites itself
    targets += [rng.choice(N_EXC, N_TARGETS, replace=False) for _ in range(N_EXC, N)]
    sources = np.repeat(np.arange(N), N_TARGETS)
    excites = sources < N_EXC
    slots = np.tile(np.arange(N_TARGETS) * N_DELAYS // N_TARGETS, N)
    return sources, np.concatenate(targets), np.where(excites, 6.0, -5.0), np.where(excites, slots, 0).astype(float)


def build(synapses, seed=0, drive=None):
    """Return the network, the group of all its neurons and the plastic synapses."""
    exc = np.arange(N) < N_EXC
    net = Network(dt=1.0, seed=seed)
    model = Izhikevich(N, a=np.where(exc, 0.02, 0.1), d=np.where(exc, 8.0, 2.0), integrator="half")
    cells = net.add(model, name="cells", v=-65.0)
    parts = []
    for mask in (synapses[0] < N_EXC, synapses[0] >= N_EXC):
        pre, post, weights, delays = (values[mask] for values in synapses)
        parts.append(net.connect(cells, cells, Pulse(), from_edges(pre, post, weights=weights, delays=delays)))
    net.stimulate(cells, Thalamus() if drive is None else drive)
    net.record(cells, "spikes")
    return net, cells, parts[0]


# --------------------------------------------------------------------------------------------------------- plasticity
class Learning:
    """The plasticity of the excitatory synapses of a network, from the spikes of one run after the other.

    Each neuron has a trace that a spike sets to 1 and every millisecond multiplies by 0.95. A spike of the target adds
    0.1 times the source's trace, as it was d + 1 ms ago, to the synapse's change; the arrival of a spike, d ms after
    it, takes 0.12 times the target's trace from it. Every second the weight moves by the change + 0.01, and 0.9 of
    the change is kept.
    """

    def __init__(self, projection):
        self.projection = projection
        self.pre, self.post, _, delays = projection.edges()
        self.delay = delays.astype(np.int64)
        self.change = np.zeros(self.pre.size)
        self.trace = np.zeros((N_DELAYS + 1, N))  # rows: the last milliseconds, and the one to come
        self.spikes = np.zeros((N_DELAYS, N), bool)
        self.into, self.into_first = _by_neuron(self.post)
        self.out_of, self.out_first = _by_neuron(self.pre)

    def learn(self, trains):
        """Change the weights after a run with these spikes."""
        steps = (trains.times - trains.t_start).astype(np.int64)
        self._extend(steps, trains.ids, int(trains.duration))
        for when, synapses in self._hits(steps + N_DELAYS, trains.ids, self.into, self.into_first):
            gain = LTP * self.trace[when - self.delay[synapses] - 1, self.pre[synapses]]
            self.change += np.bincount(synapses, gain, self.change.size)
        for when, synapses in self._hits(*np.nonzero(self.spikes), self.out_of, self.out_first):
            when = when + self.delay[synapses]
            now = (when >= N_DELAYS) & (when < len(self.spikes))  # arrives in this run
            loss = LTD * self.trace[when[now], self.post[synapses[now]]]
            self.change -= np.bincount(synapses[now], loss, self.change.size)
        self.projection.weights = np.clip(self.projection.weights + DRIFT + self.change, 0.0, MAXIMUM)
        self.change *= KEPT

    def _extend(self, steps, ids, duration):
        """Append the spikes and traces of a run to those of the last milliseconds before it."""
        spikes = np.zeros((duration, N), bool)
        spikes[steps, ids] = True
        self.spikes = np.concatenate([self.spikes[-N_DELAYS:], spikes])
        self.trace = np.concatenate([self.trace[-N_DELAYS - 1 :], np.empty((duration, N))])
        for k in range(N_DELAYS, N_DELAYS + duration):
            self.trace[k, self.spikes[k]] = 1.0
            np.multiply(self.trace[k], DECAY, out=self.trace[k + 1])

    def _hits(self, when, who, order, first):
        """Yield the synapses of spiking neurons, `order[first[i]:first[i + 1]]` of neuron i, with the time of each."""
        for a in range(0, len(who), 2000):  # spikes at a time
            n = (first[1:] - first[:-1])[who[a : a + 2000]]
            place = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
            yield np.repeat(when[a : a + 2000], n), order[np.repeat(first[who[a : a + 2000]], n) + place]


def _by_neuron(neurons):
    return np.argsort(neurons, kind="stable"), np.concatenate([[0], np.cumsum(np.bincount(neurons, minlength=N))])


def run_seconds(net, learning, n_seconds):
    """Run some seconds with plasticity; return the spikes of each second."""
    seconds = []
    for _ in range(n_seconds):
        trains = net.run(999.0 if net.time == 0 else 1000.0, progress=False).spikes["cells"]
        learning.learn(trains)
        seconds.append(trains)
    return seconds


def rates(trains):
    """Return the mean rates (Hz) of the excitatory and the inhibitory neurons."""
    return trains.select(np.arange(N_EXC)).mean_rate, trains.select(np.arange(N_EXC, N)).mean_rate


# ---------------------------------------------------------------------------------------------- a polychronous group
TRIAL, START = 300, 10  # ms between two trials, in which the network comes to rest again; first spike


def find_patterns(pre, post, weights, delays, n_targets=60):
    """Return three neurons with strong synapses on one target and the times that let their spikes arrive together.

    One pattern for each of the first targets that have such synapses with delays 5 ms or more apart: arrays of sources
    (n_patterns, 3), targets (n_patterns,) and times (n_patterns, 3).
    """
    found = []
    for target in range(N_EXC):
        strong = np.flatnonzero((post == target) & (weights > 0.95 * MAXIMUM))
        order = strong[np.argsort(delays[strong])]
        triple = order[[0, order.size // 2, -1]] if order.size else order
        if triple.size and np.diff(delays[triple]).min() >= 5:
            found.append((pre[triple], target, delays[triple].max() - delays[triple]))
    return [np.array(part) for part in zip(*found[:n_targets], strict=True)]


def evoke(synapses, sources, times):
    """Fire each row of `sources` at its `times` in a network at rest; return the spikes (times, neurons) of each."""
    starts = START + TRIAL * np.arange(len(sources))[:, None]
    drive = Stimuli((starts + times).astype(np.int64).ravel(), np.asarray(sources).ravel())
    net, cells, _ = build(synapses, drive=drive)
    net.set(cells, v=-70.0, u=-14.0)  # the resting state
    trials = [net.run(TRIAL, progress=False).spikes["cells"] for _ in sources]
    return [(trains.times - trains.t_start - START, trains.ids) for trains in trials]


def find_group(synapses):
    """Return the sources, target, timed and synchronous trial of the pattern that makes most others fire."""
    sources, targets, times = find_patterns(*synapses)
    timed, synchronous = evoke(synapses, sources, times), evoke(synapses, sources, np.zeros_like(times))
    works = [j in a[1] and j not in b[1] for j, a, b in zip(targets, timed, synchronous, strict=True)]
    best = max(np.flatnonzero(works), key=lambda k: len(timed[k][1]))
    return sources[best], targets[best], timed[best], synchronous[best], np.mean(works), len(works)


# ------------------------------------------------------------------------------------------------------------- figure
def draw_raster(ax, trains, when):
    """Draw one second, excitatory neurons below the inhibitory ones."""
    ax.scatter(trains.times / 1000, trains.ids, s=1, c=np.where(trains.ids < N_EXC, "C0", "C3"), linewidths=0)
    ax.set(xlabel="time (s)", ylabel="neuron", ylim=(0, N), xlim=(trains.t_start / 1000, trains.t_stop / 1000))
    ax.set_title("{}\nexcitatory {:.1f} Hz, inhibitory {:.1f} Hz".format(when, *rates(trains)))


def draw_trial(ax, trial, rows, sources, target, title):
    """Draw the spikes of a trial, one row for each neuron of the group in the order in which they fire."""
    times, ids = trial
    for name, colour, mask in (
        ("fired from outside", "k", np.isin(ids, sources)),
        ("their target", "C1", ids == target),
        ("others", "C0", ~np.isin(ids, [*sources, target])),
    ):
        ax.scatter(times[mask], [rows[i] for i in ids[mask]], s=22, color=colour, label=name)
    ax.set(xlabel="time (ms)", ylim=(-1, len(rows)), title=title)


def draw(seconds, weights, group):
    """Draw the figure."""
    figure, axes = plt.subplot_mosaic("AAABBB;CCDDEE", figsize=(10, 7), layout="constrained")
    draw_raster(axes["A"], seconds[0], "First second")
    draw_raster(axes["B"], seconds[-1], f"After {SECONDS} s of learning")
    axes["C"].hist(weights, np.linspace(0, MAXIMUM, 41), color="C0", label=f"after {SECONDS} s")
    axes["C"].axvline(6, color="0.4", linestyle="--", label="at the beginning, all")
    axes["C"].set(xlabel="excitatory weight (mV/ms)", ylabel="synapses", title="Weights part")
    axes["C"].legend(frameon=False)
    sources, target, timed, synchronous = group[:4]
    order = list(dict.fromkeys(timed[1][np.argsort(timed[0], kind="stable")]))
    order += [i for i in dict.fromkeys(synchronous[1]) if i not in order]
    rows = {neuron: row for row, neuron in enumerate(order)}
    draw_trial(axes["D"], timed, rows, sources, target, "Fired with the right delays:\na chain of spikes")
    draw_trial(axes["E"], synchronous, rows, sources, target, "Fired in synchrony:\nnobody follows")
    axes["D"].set_ylabel("neuron of the group, by first spike")
    for name in "DE":
        axes[name].set_xlim(-3, timed[0].max() + 5)
    axes["E"].legend(frameon=False, loc="upper right")
    figure.savefig("polychronization.png", dpi=110)


def main():
    synapses = draw_synapses(seed=1)
    net, _, plastic = build(synapses, seed=1)
    seconds = run_seconds(net, Learning(plastic), SECONDS + 1)
    print(f"{'second':>9}{'excitatory (Hz)':>18}{'inhibitory (Hz)':>18}")
    for first, last in ((1, 1), (2, 10), (11, 30), (31, 50), (51, SECONDS)):
        exc, inh = np.mean([rates(one) for one in seconds[first - 1 : last]], axis=0)
        print(f"{first if first == last else f'{first}-{last}':>9}{exc:18.2f}{inh:18.2f}")
    weights = plastic.weights
    print(f"weights above 9.5: {np.mean(weights > 9.5):.0%}, below 0.5: {np.mean(weights < 0.5):.0%}")
    learned = [np.concatenate(both) for both in zip(*[p.edges() for p in net.projections], strict=True)]
    group = find_group(learned)
    _, _, timed, synchronous, works, n_patterns = group
    print(f"{n_patterns} patterns of three neurons: {works:.0%} fire their target if timed and not if synchronous;")
    n_timed, n_synchronous = len(np.unique(timed[1])), len(np.unique(synchronous[1]))
    print(f"in the one drawn {n_timed} neurons fire if timed, {n_synchronous} if synchronous")
    draw(seconds, weights, group)
    print("wrote polychronization.png")


if __name__ == "__main__":
    main()
