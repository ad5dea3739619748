"""Members of an ensemble: which of them share W and run side by side, and which run by themselves."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from penstock.reservoirs.ensemble_kernels import BAND, advance, advance_each, n_lanes
from penstock.reservoirs.esn import ESN, to_dense
from penstock.vmath import activation_code

FEWEST = 3
"""So many networks that share W make a panel; fewer run faster one by one."""
VECTORS = 3
"""Vectors of networks side by side in a panel: W is read once for all, and their rows stay in the caches."""
PANEL_ROWS, OWN_ROWS = 63, 256
"""Steps between two updates of the Gram matrices, of a panel and of a network of its own.

An odd number, lest the rows of all networks of a panel lie whole pages apart and push each other out of the cache.
"""
PANEL_BYTES = 2**26
"""Of the Gram matrices of a panel."""
GROUP, GROUP_BYTES = 16, 2**21
"""So many networks with a W of their own make a group, and as many bytes of W at most."""


class Member(NamedTuple):
    """A network of an ensemble: `system`, or a network that differs from it by factors and leak; W may be shared."""

    system: Any
    shared: np.ndarray | None = None  # W up to a factor, the same object for all that share it
    factor: float = 1.0  # of `shared`
    radius: float = 1.0  # of system.W
    inputs: float = 1.0
    biases: float = 1.0
    leak: float | None = None

    def build(self):
        """Return the network by itself."""
        esn = self.system
        if (self.radius, self.inputs, self.biases) == (1.0, 1.0, 1.0) and self.leak is None:
            return esn
        leak = esn.leak if self.leak is None else self.leak
        return ESN(esn.W * self.radius, esn.W_in * self.inputs, esn.bias * self.biases, leak, esn.activation)


def with_shared_weights(members) -> list[Member]:
    """Return the members, each with a W that others have up to a factor too."""
    known: dict[tuple, list[np.ndarray]] = {}
    found: dict[int, tuple] = {}  # by the identity of the system: settings of one network share it
    for i, member in enumerate(members):
        esn = member.system
        if member.shared is not None or not isinstance(esn, ESN) or hasattr(esn.W, "nnz"):
            continue
        if id(esn) not in found:
            found[id(esn)] = _shared(esn.W, known)
        W, factor = found[id(esn)]
        members[i] = member._replace(shared=W, factor=factor * member.radius)
    return members


def _shared(W, known) -> tuple[np.ndarray, float]:
    """Return a known matrix and the factor that makes it W, to rounding; W itself, made known, if there is none."""
    pivot = int(np.abs(W).argmax())
    value = W.flat[pivot]
    alike = known.setdefault((pivot, (W[0] * value > 0).tobytes()), [])
    slack = 4 * np.finfo(W.dtype).eps
    for other in alike:
        factor = float(value) / float(other.flat[pivot]) if other.flat[pivot] else 1.0
        if np.allclose(W[0], factor * other[0], slack, 0.0) and np.allclose(W, factor * other, slack, 0.0):
            return other, factor
    alike.append(W)
    return W, 1.0


def parts_of(members) -> "Iterator[Panel | Group | Own]":
    """Yield the members in panels, in groups, or by themselves."""
    sharing: dict[tuple, list[int]] = {}
    for i, member in enumerate(members):
        key = (i,) if member.shared is None else (id(member.shared), activation_code(member.system.activation))
        sharing.setdefault(key, []).append(i)
    alone: dict[tuple | None, list[int]] = {}
    for numbers in sharing.values():
        if len(numbers) < FEWEST or members[numbers[0]].shared is None:
            for i in numbers:
                alone.setdefault(_shape(members[i].system), []).append(i)
        else:
            yield from _panels(numbers, members)
    for shape, numbers in alone.items():
        size = 1 if shape is None else min(GROUP, GROUP_BYTES // members[numbers[0]].system.W.nbytes)
        for start in range(0, len(numbers), max(1, size)):
            some = numbers[start : start + max(1, size)]
            systems = [members[i].build() for i in some]
            yield Own(some[0], systems[0]) if len(some) == 1 else Group(some, systems)


def _shape(system):
    """Return what networks of a group have in common, None for a system that runs by itself."""
    if not isinstance(system, ESN):
        return None
    W, W_in = system._fields[:2]
    alike = isinstance(W, np.ndarray) and isinstance(W_in, tuple) and len(W_in) == 1
    return (system.n_inputs, activation_code(system.activation)) if alike else None


def _panels(numbers, members):
    """Cut the members that share W into panels of about `VECTORS` vectors, fewer where Gram matrices are large."""
    system = members[numbers[0]].system
    lanes = n_lanes(system.dtype)
    limit = max(lanes, min(VECTORS * lanes, PANEL_BYTES // (8 * system.n_units**2)))
    n_vectors = -(-len(numbers) // lanes)
    n_panels = max(1, round(len(numbers) / limit))
    for some in np.array_split(np.arange(n_vectors), n_panels):
        own = numbers[some[0] * lanes : (some[-1] + 1) * lanes]
        yield Panel(own, [members[i] for i in own])


def _states(part, u, carried, out):
    """Run a part through u and write the states into out (R, T, N)."""
    rows = np.empty((len(part.numbers), len(u), 1 + out.shape[2]))
    part.advance(u, carried, rows)
    out[part.numbers] = rows[:, :, 1:]


class Panel:
    """Networks that share W up to a factor, side by side: states (N, P) with zeros up to whole vectors."""

    n_rows, states = PANEL_ROWS, _states

    def __init__(self, numbers, members):
        first, lanes = members[0].system, n_lanes(members[0].system.dtype)
        self.numbers, self.members = np.array(numbers), members
        self.n_units, self.dtype, self.code = first.n_units, first.dtype, activation_code(first.activation)
        self.width = -(-len(numbers) // lanes) * lanes

    def start(self, x0):
        """Return what a run carries: the fields of the kernel, made for it, states and scratch."""
        X = np.zeros((self.n_units, self.width), self.dtype)
        X[:, : len(self.numbers)] = x0[self.numbers].T
        fields = self._fields()
        return fields, X, np.zeros((len(fields[0]), self.width), self.dtype)

    def _fields(self):
        n, m = self.n_units, self.members[0].system.n_inputs
        W = np.zeros((-(-n // BAND) * BAND, n), self.dtype)
        W[:n] = self.members[0].shared
        W_in = np.zeros((m, n, self.width), self.dtype)
        bias, radius, keep, leak = np.zeros((4, n, self.width), self.dtype)
        for r, member in enumerate(self.members):
            esn = member.system
            rate = np.asarray(esn.leak if member.leak is None else member.leak, self.dtype)
            W_in[:, :, r] = to_dense(esn.W_in).T * self.dtype.type(member.inputs)
            bias[:, r], radius[:, r] = esn.bias * self.dtype.type(member.biases), member.factor
            keep[:, r], leak[:, r] = 1 - rate, rate
        return W, W_in.reshape(m, n * self.width), bias.ravel(), radius.ravel(), keep.ravel(), leak.ravel()

    def advance(self, u, carried, rows, reference=None):
        """Run through u and write the states less a reference into rows (P, T or 0, 1 + N + …), from column 1."""
        fields, X, Z = carried
        reference = np.zeros_like(X) if reference is None else np.ascontiguousarray(reference.T)
        advance(fields, self.code, u, X, Z, reference, rows)

    def last(self, carried):
        """Return the states (P, N)."""
        return carried[1][:, : len(self.numbers)].T.copy()

    def reference(self, carried):
        """Return the observed states, of all lanes."""
        return carried[1].T.copy()


class Group:
    """Small networks of one shape, each with weights of its own, one after the other in a kernel: states (P, N)."""

    n_rows, states = PANEL_ROWS, _states

    def __init__(self, numbers, systems):
        self.numbers, self.systems = np.array(numbers), systems
        self.code = activation_code(systems[0].activation)

    def start(self, x0):
        """Return what a run carries: the fields of the kernel, made for it, and states."""
        W, W_in, *others = zip(*(esn._fields for esn in self.systems), strict=True)
        fields = np.stack(W), np.stack([one for (one,) in W_in]), *map(np.stack, others)
        return fields, x0[self.numbers].astype(fields[0].dtype)

    def advance(self, u, carried, rows, reference=None):
        """Run through u and write the states less a reference into rows (P, T or 0, 1 + N + …), from column 1."""
        fields, X = carried
        advance_each(fields, self.code, u, X, np.zeros_like(X) if reference is None else reference, rows)

    def last(self, carried):
        """Return the states (P, N)."""
        return carried[1].copy()

    reference = last


class Own:
    """A system by itself."""

    n_rows = OWN_ROWS

    def __init__(self, number, system):
        self.numbers, self.system = np.array([number]), system

    def start(self, x0):
        """Return what a run carries: a list of the state."""
        return [x0[self.numbers[0]].copy()]

    def advance(self, u, carried, rows, reference=0.0):
        """Run through u and write the observed states less a reference into rows (1, T or 0, 1 + N + …)."""
        out = np.empty((1, len(u), self.system.n_units), self.system.dtype)
        self._fill(u, carried, out[0])
        if rows.shape[1]:
            seen = out[:, :, self.system.observed]
            np.subtract(seen, reference, out=rows[:, :, 1 : 1 + seen.shape[2]], dtype=np.float64)

    def states(self, u, carried, out):
        """Run through u and write the states into out (R, T, N)."""
        self._fill(u, carried, out[self.numbers[0]])

    def _fill(self, u, carried, out):
        if len(u):
            self.system._run(u, carried[0], out)
            carried[0] = out[-1].copy()

    def last(self, carried):
        """Return the state (1, N)."""
        return carried[0][None].copy()

    def reference(self, carried):
        """Return the observed state (1, n)."""
        return carried[0][None, self.system.observed].copy()
