"""Projections: the synapses between two groups, and how they are arranged by source and delay."""

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from penstock.checks import as_finite_array
from penstock.spiking import kernels as K
from penstock.spiking.clock import steps_of_each
from penstock.spiking.edges import Edges
from penstock.spiking.group import Group
from penstock.spiking.values import as_numbers

__all__ = ["Arrangement", "Learning", "Projection", "arrange", "checked"]


class Arrangement(NamedTuple):
    """Synapses by source and, within a source, by delay, the longest first; within a delay as the connector has them.

    Parameters
    ----------
    pointers : array of uint32, shape (n_pre * n_delays + 1,)
        Where the synapses of each source and delay begin.
    targets : array of uint32, shape (n_synapses,)
        Units of the target group.
    weights : array, shape (1,) or (n_synapses,)
        One for all, or one each.
    delay_steps : array of int, shape (n_delays,)
        The different delays, longest first.
    short_term : array, shape (6, n_synapses), or None
        U, dt/tau_rec, dt/tau_fac, R, u, step of the last spike.
    """

    pointers: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    delay_steps: np.ndarray
    short_term: np.ndarray | None


@dataclass(eq=False)
class Learning:
    """What the synapses of a plastic projection remember; spikes and their traces are counted in steps.

    Parameters
    ----------
    pre : array, shape (n_sources * n_delays, 3), or (n_sources, 3) if delays are dendritic
        Of the trace of presynaptic spikes: step of the last change, the fast and the slow value then.
    post : array, shape (n_targets, 3), or (n_targets * n_delays, 3) if delays are dendritic
        The same of postsynaptic spikes.
    per_target : array, shape (n_targets,)
        Of a third factor d, the integral of d exp(-t / tau_c); of local learning, psi; else empty.
    eligibility : array, shape (n_synapses, 2) or (n_synapses, 1)
        Of three-factor rules, c exp(t / tau_c) and the integral when the weight was last brought up to date; of local
        learning, e; else empty.
    pointers, synapses, traces : arrays of uint32
        Where the synapses onto each row of `post` begin, their numbers, and their rows of `pre`.
    """

    pre: np.ndarray
    post: np.ndarray
    per_target: np.ndarray
    eligibility: np.ndarray
    pointers: np.ndarray
    synapses: np.ndarray
    traces: np.ndarray

    @classmethod
    def of(cls, rule, n_pre: int, n_post: int, arranged: Arrangement) -> "Learning":
        """Return what synapses that have seen no spike remember."""
        n_delays, n = arranged.delay_steps.size, arranged.targets.size
        both = (n_pre, n_post * n_delays) if rule.dendritic else (n_pre * n_delays, n_post)
        n_marks = {K.STDP: 0, K.THREE_FACTOR: 2, K.LOCAL: 1}[rule.kind]
        if rule.kind == K.LOCAL:  # it looks at potentials, not at spikes of the targets
            links = np.zeros(1, np.uint32), np.zeros(0, np.uint32), np.zeros(0, np.uint32)
            both = both[0], 0
        else:
            links = _incoming(arranged, n_delays, both[1], rule.dendritic)
        return cls(
            np.zeros((both[0], 3)),
            np.zeros((both[1], 3)),
            np.zeros(n_post if n_marks else 0),
            np.zeros((n, n_marks)),
            *links,
        )

    @property
    def arrays(self) -> list[np.ndarray]:
        """All of it."""
        return [getattr(self, f.name) for f in fields(self)]

    def forget(self) -> None:
        """Return to before the first spike."""
        for array in (self.pre, self.post, self.per_target, self.eligibility):
            array[:] = 0.0


def _incoming(arranged, n_delays, n_rows, dendritic):
    """Return the synapses onto each row of postsynaptic traces: where they begin, their numbers, their rows of pre."""
    runs = np.diff(arranged.pointers.astype(np.int64))
    group = np.repeat(np.arange(runs.size), runs)  # of source and delay
    row = arranged.targets.astype(np.int64)
    if dendritic:
        row, group = row * n_delays + group % max(n_delays, 1), group // max(n_delays, 1)
    order = np.argsort(row, kind="stable")
    pointers = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n_rows))])
    return tuple(a.astype(np.uint32) for a in (pointers, order, group[order]))


@dataclass(eq=False, repr=False)
class Projection:
    """The synapses from one group to another, kept by source; within a source those of the longest delay stand first.

    ``edges()`` lists them; ``weights`` may be set between two runs. Where they are plastic, runs change them.
    """

    pre: Group
    post: Group
    synapse: Any
    state_name: str
    dt: float
    pointers: np.ndarray
    targets: np.ndarray
    given_weights: np.ndarray
    delay_steps: np.ndarray
    short_term: np.ndarray | None
    since: int  # the first step whose spikes it carries
    plasticity: Any = None  # PairSTDP and the like
    learning: Learning | None = None
    scaling: Any = None  # SynapticScaling
    counts: np.ndarray | None = None  # spikes of each target since weights were scaled

    def __len__(self):
        return self.targets.size

    def __repr__(self):
        delays = np.unique(self.delay_steps) * self.dt
        span = f"{delays[0]:g}" if delays.size == 1 else f"{delays[0]:g} to {delays[-1]:g}" if delays.size else "no"
        rules = "".join(f", {rule}" for rule in (self.plasticity, self.scaling) if rule is not None)
        ends = f"{self.pre.name} -> {self.post.name}"
        return f"Projection({ends}, {len(self)} synapses, {self.synapse}, delay {span} ms{rules})"

    @property
    def name(self) -> str:
        """Names of the groups, ``'pre' -> 'post'``."""
        return f"{self.pre.name!r} -> {self.post.name!r}"

    @property
    def weights(self) -> np.ndarray:
        """Weight of each synapse, in the order of ``edges()``: mV, pA or nS, as the synapse has it.

        A spike acts with the weight at its arrival: spikes on their way feel the weights set meanwhile. ``reset`` keeps
        the weights as they are, learned ones too.
        """
        if self.learning is None or self.plasticity.kind != K.THREE_FACTOR:
            return np.broadcast_to(self.given_weights, self.targets.shape).copy()
        mark, before = self.learning.eligibility.T
        gained = mark * (self.learning.per_target[self.targets] - before)
        return np.clip(self.given_weights + gained, self.plasticity.w_min, self.plasticity.w_max)

    @weights.setter
    def weights(self, values):
        values = as_numbers("weights", values)
        if values.size not in (1, len(self)):
            raise ValueError(f"weights must be one number or one for each of {len(self)} synapses, got {values.size}")
        if self.learning is not None:
            self.plasticity.check_weights(values, self.name)
            if self.plasticity.kind == K.THREE_FACTOR:  # what was gained so far belongs to the old weights
                self.learning.eligibility[:, 1] = self.learning.per_target[self.targets]
        if values.size in (1, self.given_weights.size):
            self.given_weights[:] = values
        else:
            self.given_weights = values.copy()
            self.pre.population.network._changed()

    def edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return source and target (units of ``pre`` and ``post``), weight and delay (ms) of every synapse."""
        if not len(self):
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
        ends = self.pointers.astype(np.int64)
        runs = (ends[1:] - ends[:-1]).reshape(len(self.pre), -1)
        pre = np.repeat(np.arange(len(self.pre)), runs.sum(1))
        delays = np.repeat(np.broadcast_to(self.delay_steps * self.dt, runs.shape).ravel(), runs.ravel())
        return pre, self.targets.astype(np.int64), self.weights, delays


def checked(edges, n_pre: int, n_post: int) -> Edges:
    """Return what a connector made if it is sound: the compiled run trusts it."""
    if not isinstance(edges, Edges):
        raise TypeError(f"connector must return penstock.spiking.Edges, got {type(edges).__name__}")
    indptr, targets = np.asarray(edges.indptr), np.asarray(edges.targets)
    for name, array in (("an indptr", indptr), ("targets", targets)):
        if array.dtype.kind not in "iu":
            raise TypeError(f"connector must return {name} of integers, got dtype {array.dtype}")
    if indptr.shape != (n_pre + 1,) or indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any():
        raise ValueError(f"connector must return an indptr of {n_pre + 1} numbers that ascend from 0")
    if targets.shape != (int(indptr[-1]),) or (targets.size and not 0 <= targets.min() <= targets.max() < n_post):
        raise ValueError(f"connector must return {int(indptr[-1])} targets in 0..{n_post - 1}")
    if targets.size >= 2**32:
        raise ValueError(f"connector must return fewer than 2^32 synapses, got {targets.size}; split the groups")
    return edges._replace(indptr=indptr.astype(np.int64), targets=targets.astype(np.uint32, copy=False))


def arrange(edges: Edges, *, weight, delay, short_term, dt: float, least: int, rng) -> Arrangement:
    """Return the synapses of `edges` with their weights, delays of at least `least` steps, and plasticity."""
    n, n_pre = edges.targets.size, edges.indptr.size - 1
    weights = _weights(weight, edges.weights, n, rng)
    steps = _delay_steps(delay, edges.delays, n, dt, least, rng)
    plastic = None if short_term is None else _short_term(short_term, n, dt, rng)
    distinct = np.unique(steps)[::-1] if n else np.zeros(0, np.int64)
    if distinct.size < 2:
        return Arrangement(edges.indptr.astype(np.uint32), edges.targets, weights, distinct, plastic)
    rows = np.repeat(np.arange(n_pre), edges.indptr[1:] - edges.indptr[:-1])
    key = rows * distinct.size + np.searchsorted(-distinct, -steps)
    order = np.argsort(key, kind="stable")
    pointers = np.concatenate([[0], np.cumsum(np.bincount(key, minlength=n_pre * distinct.size))])
    return Arrangement(
        pointers.astype(np.uint32),
        edges.targets[order],
        weights[order] if weights.size > 1 else weights,
        distinct,
        None if plastic is None else plastic[:, order],
    )


def _weights(weight, brought, n, rng) -> np.ndarray:
    if weight is None:
        if brought is None:
            raise ValueError("weight must be given: a number, one for each synapse, or a law such as Uniform(1, 2)")
        weight = brought
    elif brought is not None:
        raise ValueError("weight must be None: the connector brings weights of its own")
    values = as_numbers("weight", weight(rng, n) if callable(weight) else weight)
    if values.shape not in ((), (n,)):
        raise ValueError(f"weight must be one number or one for each of {n} synapses, got shape {values.shape}")
    return np.array(values).reshape(-1)


def _delay_steps(delay, brought, n, dt, least, rng) -> np.ndarray:
    if delay is None:
        delay = least * dt if brought is None else brought
    elif brought is not None:
        raise ValueError("delay must be None: the connector brings delays of its own")
    if callable(delay):
        drawn = as_finite_array("delay", delay(rng, n))
        delay = np.maximum(np.floor(drawn / dt + 0.5), least) * dt
    steps = steps_of_each("delay", delay, dt, least)
    if steps.shape not in ((), (n,)):
        raise ValueError(f"delay must be one number or one for each of {n} synapses, got shape {steps.shape}")
    return steps.reshape(-1)


def _short_term(rule, n, dt, rng) -> np.ndarray:
    """Return the table of a Tsodyks-Markram rule: parameters per step, then the state before any spike."""
    U, tau_rec, tau_fac = rule.draw(n, rng)
    with np.errstate(divide="ignore", over="ignore"):
        rates = np.minimum(dt / tau_rec, _FAST), np.minimum(dt / tau_fac, _FAST)
    return np.array([U, *rates, np.ones(n), U, np.full(n, -1.0)])


_FAST = 1e100  # per step: nothing is left after one, and the number stays finite
