"""What one core can do at most, by probes of two seconds in all, and the least time that a kernel needs on it.

A bound is the longer of two times. One is that of the bytes which must be read, at the bandwidth of the level of memory
which holds them all. The other is that of the arithmetic: fused multiply-adds at the rate of a loop that does nothing
else or of a matrix product, whichever is higher; tanh and exp at that of our own vector versions over an array in L1;
gathers (one term of a sparse product) and events (one synapse of a spike) at that of a bare loop. Writes are not
counted. It is a bound for the algorithm that is named, not for the question: another algorithm may beat it.
"""

import measure  # first: it sets the thread counts that libraries read when they load

from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit

from penstock import vmath

SIZES = 2.0 ** np.array([14, 16, 18, 20, 22, 24, 26, 28])  # bytes read again and again
LEVELS = {"L1": 2.0**14, "L2": 2.0**18, "L3": 2.0**23, "memory": 2.0**28}
FLOPS = 16  # of an element in the loop of multiply-adds
ROUNDS = 50  # of loops over small arrays, so that the call does not count


class Bound(NamedTuple):
    """The least seconds and what decides them."""

    seconds: float
    by: str

    def scaled(self, factor) -> "Bound":
        return Bound(factor * self.seconds, self.by)

    def __add__(self, other) -> "Bound":  # one after the other
        return Bound(self.seconds + other.seconds, self.by if self.seconds > other.seconds else other.by)


class Probes(NamedTuple):
    """Bytes per second at `SIZES`, operations per second, and seconds per element, by type."""

    read: np.ndarray
    multiply_add: dict
    product: dict
    tanh: dict
    exp: dict
    gather: dict

    def bandwidth(self, n_bytes) -> float:
        """Return bytes per second of reading `n_bytes` again and again."""
        return float(np.interp(np.log(max(n_bytes, 1.0)), np.log(SIZES), self.read))

    def __str__(self):
        read = ", ".join(f"{self.bandwidth(size) / 1e9:.0f} {name}" for name, size in LEVELS.items())
        parts = [f"GB/s read: {read}"]
        for name, scale, unit in (
            ("multiply_add", 1e-9, "GF/s multiply-add"),
            ("product", 1e-9, "GF/s matrix product (N = 1000)"),
            ("tanh", 1e9, "ns per tanh"),
            ("exp", 1e9, "ns per exp"),
            ("gather", 1e9, "ns per gather"),
        ):
            values = " / ".join(f"{scale * getattr(self, name)[kind]:.3g}" for kind in ("float64", "float32"))
            parts.append(f"{values} {unit}")
        return "; ".join(parts) + " (float64 / float32)"


@cache
def probes() -> Probes:
    """Measure the machine, in about two seconds."""
    return Probes(_read(), *(dict(zip(("float64", "float32"), pair, strict=True)) for pair in _arithmetic()))


@cache
def scatter(n_targets, n_synapses) -> float:
    """Return the seconds of one synaptic event: add to a random one of `n_targets`, read from that many indices."""
    rng = np.random.default_rng(0)
    index, sums = rng.integers(n_targets, size=n_synapses).astype(np.uint32), np.zeros(n_targets)
    return _least(lambda: _add_to(sums, index, 1e-9)) / n_synapses


def bound(*, traffic=(), flops=0.0, tanh=0.0, exp=0.0, gathers=0.0, events=0.0, dtype=np.float64) -> Bound:
    """Return the longer of the times of memory, `traffic` = pairs (bytes, bytes of all that is read), and arithmetic.

    `events` is in seconds, of `scatter`.
    """
    kind, machine = np.dtype(dtype).name, probes()
    memory = sum(n_bytes / machine.bandwidth(held) for n_bytes, held in traffic)
    parts = {
        "multiply-adds": flops / max(machine.multiply_add[kind], machine.product[kind]),
        "tanh": tanh * machine.tanh[kind] + exp * machine.exp[kind],
        "gathers": gathers * machine.gather[kind],
        "events": events,
    }
    work = sum(parts.values())
    return Bound(memory, "memory") if memory > work else Bound(work, max(parts, key=parts.get))


def esn_step(n_units, n_nonzero=None, dtype=np.float64, batch=1) -> Bound:
    """Return the bound of one step of one series of an echo-state network.

    Dense weights (`n_nonzero` None) are read once per step of the batch, each multiplied once per series. Sparse ones
    cost a gather per weight; in a batch a row of the states, of all series, per weight. Then a tanh per unit.
    """
    size = np.dtype(dtype).itemsize
    if n_nonzero is None:
        weights = n_units**2 * size
        whole = bound(traffic=[(weights, weights)], flops=2 * n_units**2 * batch, tanh=n_units * batch, dtype=dtype)
    elif batch == 1:
        whole = bound(gathers=n_nonzero, tanh=n_units, dtype=dtype)
    else:
        states = n_units * batch * size
        traffic = [(n_nonzero * batch * size, states)]
        whole = bound(traffic=traffic, flops=2 * n_nonzero * batch, tanh=n_units * batch, dtype=dtype)
    return whole.scaled(1 / batch)


def _least(task, seconds=0.05):
    return measure.interleaved({"": task}, repeats=3, at_least=seconds / 3)[""].least


def _read():
    largest = np.ones(int(SIZES[-1]) // 8)
    rounds = np.maximum(1, 2**23 // SIZES).astype(int)
    tasks = [lambda n=int(size) // 8, r=r: _sum(largest[:n], r) for size, r in zip(SIZES, rounds, strict=True)]
    return np.array([size * r / _least(task) for size, r, task in zip(SIZES, rounds, tasks, strict=True)])


def _arithmetic():
    """Yield pairs (float64, float32): multiply-adds, matrix products, tanh, exp, gathers."""
    kinds = np.float64, np.float32
    x = {kind: np.linspace(-0.9, 0.9, 2048).astype(kind) for kind in kinds}
    square = {kind: np.ones((1000, 1000), kind) for kind in kinds}
    index = np.random.default_rng(0).integers(1000, size=10_000).astype(np.uint32)
    values = {kind: np.ones(10_000, kind) for kind in kinds}
    for rate in (
        lambda kind: FLOPS * ROUNDS * 2048 / _least(lambda: _multiply_add(x[kind], x[kind].copy(), ROUNDS)),
        lambda kind: 2e9 / _least(lambda: np.dot(square[kind], square[kind])),
        lambda kind: _least(lambda: _tanh(x[kind], x[kind].copy(), ROUNDS)) / 2048 / ROUNDS,
        lambda kind: _least(lambda: _exp(x[kind], x[kind].copy(), ROUNDS)) / 2048 / ROUNDS,
        lambda kind: _least(lambda: _gather(values[kind], index, x[kind])) / 10_000,
    ):
        yield [rate(kind) for kind in kinds]


_loop = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
_exact_loop = njit(cache=True, nogil=True, error_model="numpy")


@_loop
def _sum(x, rounds):
    total, other, half = 0.0, 0.0, len(x) // 2
    for _ in range(rounds):
        for i in range(half):  # two sums: one waits for its additions
            total += x[i]
            other += x[half + i]
    return total + other


@_loop
def _multiply_add(x, y, rounds):
    for _ in range(rounds):
        for i in range(len(x)):
            a = x[i]
            y[i] = (((((((y[i] * a + a) * a + a) * a + a) * a + a) * a + a) * a + a) * a + a) * a + a


@_exact_loop
def _tanh(x, y, rounds):
    for _ in range(rounds):
        for i in range(len(x)):
            y[i] = vmath.tanh(x[i])


@_exact_loop
def _exp(x, y, rounds):
    for _ in range(rounds):
        for i in range(len(x)):
            y[i] = vmath.exp(x[i])


@_loop
def _gather(values, index, x):
    total = values[0]
    for k in range(len(values)):
        total += values[k] * x[index[k]]
    return total


@_exact_loop
def _add_to(sums, index, weight):
    for k in range(len(index)):
        sums[index[k]] += weight
