"""The state of a network as one vector: everything it needs to go on as if it had never been stopped.

Its parts, one after the other: what the decoder gives; membranes, synapses and resources of short-term plasticity; the
refractory steps left; the spikes on their way, as bits; what the encoder remembers; the number of samples so far.
"""

from dataclasses import dataclass

import numpy as np

from penstock.spiking import kernels as K

__all__ = ["Layout"]

_BITS = 8  # of spikes in one number: small ones, so that the size of a state stays that of its potentials


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the parts of the state stand in the vector, and in the arrays of a network laid out for the kernel.

    Units are numbered through all populations; `neurons` are those of the populations of neurons, in this order.
    """

    neurons: np.ndarray
    number: np.ndarray  # of each unit among the neurons, -1 for sources
    places: np.ndarray  # of the states in the flat array of states
    waiting: np.ndarray  # units whose spikes may be on their way at the end of a sample
    longest: int  # delay (steps)
    observed: slice
    states: slice
    refractory: slice
    on_their_way: slice
    encoder: slice
    clock: int

    @classmethod
    def of(cls, net, n_states: int) -> "Layout":
        """Return the layout for a network that has been flattened, and an encoder that remembers `n_states` numbers."""
        flat = net._flat
        first = np.cumsum([0] + [p.n for p in net.populations])
        ranges = [np.arange(a, b) for a, b in zip(first, first[1:], strict=False)]
        cells = [p for p in net.populations if not p.is_source]
        places = [p.place[name] + np.arange(p.n) for p in cells for name in p.states]
        places += _resources(flat)
        senders = {id(p.pre.population) for p in net.projections if p.delay_steps.size and p.delay_steps[0] > 0}
        waiting = [r for p, r in zip(net.populations, ranges, strict=True) if id(p) in senders]
        neurons = np.concatenate([r for p, r in zip(net.populations, ranges, strict=True) if not p.is_source])
        longest = flat.history[0].shape[0] - 1
        words = -(-longest // _BITS)
        sizes = [neurons.size, sum(map(len, places)), neurons.size, words * sum(map(len, waiting)), n_states, 1]
        ends = np.cumsum([0, *sizes])
        observed, states, refractory, on_their_way, encoder, _ = map(slice, ends.tolist(), ends[1:].tolist())
        number = np.full(int(first[-1]), -1)
        number[neurons] = np.arange(neurons.size)
        return cls(
            neurons,
            number,
            np.concatenate(places),
            np.concatenate([np.zeros(0, np.int64), *waiting]),
            longest,
            observed,
            states,
            refractory,
            on_their_way,
            encoder,
            clock=int(ends[-2]),
        )

    @property
    def size(self) -> int:
        """Length of the vector."""
        return self.clock + 1

    def load(self, net, x, steps: int):
        """Put a network into the state x, `steps` steps to a sample; return the spikes on their way (steps, units)."""
        flat = net._flat
        state, ready = flat.neurons[:2]
        net.step = k = max(0, int(np.rint(x[self.clock]))) * steps
        state[self.places] = x[self.states]
        ready[:] = 0.0
        ready[self.neurons] = k + np.maximum(np.rint(x[self.refractory]), 0.0)
        ring, spiked = flat.history
        spiked[:] = 0
        ago, units = self._on_their_way(x)
        for p, row in zip(range(len(net.populations)), flat.populations, strict=True):
            first, n = row[K.FIRST], row[K.SIZE]
            mine = (units >= first) & (units < first + n)
            for age in np.unique(ago[mine]):
                ids = units[mine & (ago == age)] - first
                slot = (k - age) % ring.shape[0]
                ring[slot, first : first + ids.size] = ids
                spiked[slot, p] = ids.size
        return k - ago, units

    def _on_their_way(self, x):
        """Return the spikes of the last steps: how many steps ago (1 for the step before), and by which unit."""
        words = np.clip(np.rint(x[self.on_their_way]), 0, 2**_BITS - 1).astype(np.int64)
        words = words.reshape(-(-self.longest // _BITS), self.waiting.size)
        ages = np.arange(1, self.longest + 1)
        bits = (words[(ages - 1) // _BITS] >> ((ages - 1) % _BITS)[:, None]) & 1
        ago, which = np.nonzero(bits)
        return ages[ago], self.waiting[which]

    def initial(self, net) -> np.ndarray:
        """Return the vector of a network that has not run: initial states, nothing on its way."""
        x = np.zeros(self.size)
        state = net._flat.neurons[0].copy()
        for p in net.populations:
            for name, values in p.initial.items():
                state[p.place[name] : p.place[name] + p.n] = values
        table = net._flat.synapses[5]
        if table.size:
            for place, values in zip(_resources(net._flat), (1.0, table[0], -1.0), strict=True):
                state[place] = values
        x[self.states] = state[self.places]
        return x

    def write_refractory(self, at, neurons, hold, before, steps, out):
        """Write the steps for which neurons are held after every sample; `before` (n,) are those before the first."""
        out[:] = np.maximum(before - steps * np.arange(1, len(out) + 1)[:, None], 0.0)
        hold = hold[neurons]
        for later in range(int(hold.max(initial=0.0) // steps) + 1):
            t = at // steps + later
            rest = at + hold - (t + 1) * steps
            held = (t < len(out)) & (rest > 0)
            out[t[held], neurons[held]] = rest[held]  # in order of spikes: the last one holds the longest

    def write_on_their_way(self, at, units, steps, out):
        """Write the bits of the spikes of the last steps after every sample; `at` of earlier spikes is negative."""
        bits = np.zeros((len(out), -(-self.longest // _BITS), self.waiting.size))
        place = np.full(self.number.size, -1)
        place[self.waiting] = np.arange(self.waiting.size)
        mine = place[units] >= 0
        at, units = at[mine], place[units[mine]]
        for later in range(self.longest // steps + 1):
            t = at // steps + later
            age = (t + 1) * steps - 1 - at
            seen = (t >= 0) & (t < len(out)) & (age < self.longest)
            np.add.at(bits, (t[seen], age[seen] // _BITS, units[seen]), 2.0 ** (age[seen] % _BITS))
        out[:] = bits.reshape(len(out), -1)


def _resources(flat):
    """Return the places of R, u and the last spike of synapses with short-term plasticity among the states."""
    state, table = flat.neurons[0], flat.synapses[5]
    at = (table.ctypes.data - state.ctypes.data) // state.itemsize
    return [at + row * table.shape[1] + np.arange(table.shape[1]) for row in (3, 4, 5)] if table.size else []
