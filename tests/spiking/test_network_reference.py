"""Whole networks against a twin in plain NumPy, and against themselves run in other ways."""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass, field, fields, replace
from math import exp
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from penstock import Uniform
from penstock.checks import generators
from penstock.spiking import (
    ALIF,
    LIF,
    AdEx,
    Alpha,
    Delta,
    DoubleExponential,
    Exponential,
    Izhikevich,
    Izhikevich2007,
    Pulse,
    TsodyksMarkram,
    kernels,
    recording,
)
from penstock.spiking.connectors import Edges, probability
from penstock.spiking.inputs import ArrayCurrent, OUCurrent, PoissonGroup, PoissonInput, SpikeSource
from penstock.spiking.network import Network

DT = 0.5  # ms: a coarse grid makes many spikes and arrivals meet in one step
N_STEPS = 120


# ---------------------------------------------------------------- a network as plain data, and the twin that steps it
@dataclass
class Neurons:
    """Neurons of one model: `number` holds its parameters, (n,) each."""

    model: str
    integrator: str
    n: int
    number: SimpleNamespace
    soft: bool
    current: np.ndarray  # (N_STEPS, n) pA
    state: dict  # v and the other variables of the model
    scalar: bool  # whether the engine gets a number in place of an array of equal ones
    synaptic: dict = field(default_factory=dict)  # synapse -> [x, g]
    kicks: list = field(default_factory=list)  # (synapse, amounts (N_STEPS, n))
    noise: np.ndarray | None = None  # (N_STEPS, n) mV


@dataclass
class Source:
    n: int
    spikes: list  # units that spike, by step


@dataclass
class Synapses:
    """Synapses between two groups, sorted by source and target; units are those of the whole groups."""

    pre: int
    post: int
    pre_slice: range
    post_slice: range
    synapse: object
    i: np.ndarray
    j: np.ndarray
    w: np.ndarray
    d: np.ndarray  # steps
    rule: TsodyksMarkram | None = None

    def __post_init__(self):
        self.by_delay = [(int(d), np.flatnonzero(self.d == d)) for d in np.unique(self.d)[::-1]]
        self.last = np.full(self.i.size, -np.inf)
        self.R, self.u = np.ones(self.i.size), np.ones(self.i.size)


def exact_gain(synapse, h, tau_m, C_m):
    """mV per unit of (x, g) after a step, in the textbook forms, which need different time constants."""
    e_m = np.exp(-h / tau_m)
    if isinstance(synapse, Pulse):
        return 0.0, tau_m / C_m * (1 - e_m)
    if isinstance(synapse, Exponential):
        return 0.0, tau_m * synapse.tau / (C_m * (synapse.tau - tau_m)) * (exp(-h / synapse.tau) - e_m)
    if isinstance(synapse, Alpha):  # with y1 = x / tau, y2 = g
        e_s, delta = exp(-h / synapse.tau), 1 / synapse.tau - 1 / tau_m
        return ((e_m - e_s) / delta**2 - h * e_s / delta) / C_m / synapse.tau, (e_m - e_s) / delta / C_m
    r, d = synapse.tau_rise, synapse.tau_decay
    from_g = tau_m * r / (C_m * (r - tau_m)) * (exp(-h / r) - e_m)
    from_x = tau_m * d / (C_m * (d - tau_m)) * (exp(-h / d) - e_m)
    return d / (d - r) * (from_x - from_g), from_g  # x0 = 1 makes g = d / (d - r) (exp(-t/d) - exp(-t/r))


def after(synapse, h, x, g, euler):
    """The synaptic states one step later."""
    if isinstance(synapse, Pulse):
        return 0 * x, 0 * g
    if isinstance(synapse, Exponential):
        return x, g * (1 - h / synapse.tau if euler else exp(-h / synapse.tau))
    if euler:
        r, d = (synapse.tau,) * 2 if isinstance(synapse, Alpha) else (synapse.tau_rise, synapse.tau_decay)
        return x - h / d * x, g + h / r * (x - g)
    if isinstance(synapse, Alpha):
        decayed = exp(-h / synapse.tau)
        return decayed * x, decayed * (g + h * x / synapse.tau)
    r, d = synapse.tau_rise, synapse.tau_decay
    return exp(-h / d) * x, exp(-h / r) * g + d / (d - r) * (exp(-h / d) - exp(-h / r)) * x


def gain(synapse):
    """Jump of the state that makes the peak of g one."""
    if isinstance(synapse, Delta | Exponential | Pulse):
        return 1.0
    if isinstance(synapse, Alpha):
        return np.e
    r, d = synapse.tau_rise, synapse.tau_decay
    peak_at = r * d / (d - r) * np.log(d / r)
    return 1 / (d / (d - r) * (exp(-peak_at / d) - exp(-peak_at / r)))


def leaky(p, k, h):
    """The states of LIF and ALIF neurons one step later: exact, exponential Euler with conductances, or Euler."""
    m, v = p.number, p.state["v"]
    constant = m.I_e + p.current[k]
    conductance = any(synapse.reversal is not None for synapse in p.synaptic)
    later = {}
    if p.model == "ALIF":
        decay = (lambda tau: 1 - h / tau) if p.integrator == "euler" else (lambda tau: np.exp(-h / tau))
        later = {"w": p.state["w"] * decay(m.tau_w), "theta": p.state["theta"] * decay(m.tau_theta)}
    if p.integrator == "exact" and not conductance:
        e_m = np.exp(-h / m.tau_m)
        later["v"] = m.E_L + (v - m.E_L) * e_m + m.tau_m / m.C_m * (1 - e_m) * constant
        for synapse, (x, g) in p.synaptic.items():
            c_x, c_g = exact_gain(synapse, h, m.tau_m, m.C_m)
            later["v"] += c_x * x + c_g * g
        if p.model == "ALIF":
            c_w = m.tau_m * m.tau_w / (m.C_m * (m.tau_w - m.tau_m)) * (np.exp(-h / m.tau_w) - e_m)
            later["v"] -= c_w * p.state["w"]
        if p.noise is not None:
            later["v"] += p.noise[k] * m.sigma * np.sqrt((1 - e_m**2) / 2)
        return later
    current, g_sum = synaptic_current(p, v)
    g_L = m.C_m / m.tau_m
    slope = g_L * (m.E_L - v) + constant + current - p.state.get("w", 0.0)
    total = g_L + g_sum
    step = h / m.C_m if p.integrator == "euler" else (1 - np.exp(-total * h / m.C_m)) / total
    return later | {"v": v + slope * step}


def synaptic_current(p, v):
    """Total synaptic current at potentials v, and the total conductance."""
    current, g_sum = np.zeros(p.n), np.zeros(p.n)
    for synapse, (_, g) in p.synaptic.items():
        current += g if synapse.reversal is None else g * (synapse.reversal - v)
        g_sum += 0.0 if synapse.reversal is None else g
    return current, g_sum


def adex(p, k, h):
    m, v, w = p.number, p.state["v"], p.state["w"]
    current, g_sum = synaptic_current(p, v)
    slope = m.g_L * (m.E_L - v + m.Delta_T * np.exp((v - m.V_T) / m.Delta_T)) - w + m.I_e + p.current[k] + current
    if p.integrator == "euler":
        return {"v": v + h / m.C_m * slope, "w": w + h / m.tau_w * (m.a * (v - m.E_L) - w)}
    total, rest = m.g_L + g_sum, m.a * (v - m.E_L)
    return {"v": v + slope / total * (1 - np.exp(-h * total / m.C_m)), "w": rest + (w - rest) * np.exp(-h / m.tau_w)}


def izhikevich(p, k, h):
    m, v, u = p.number, p.state["v"], p.state["u"]
    current = synaptic_current(p, v)[0] + m.I_e + p.current[k]

    def moved(v, h):
        return v + h * (0.04 * v**2 + m.p1 * v + m.p0 - u + current)

    new = moved(moved(v, h / 2), h / 2) if p.integrator == "half" else moved(v, h)
    seen = v if p.integrator == "euler" else new
    return {"v": new, "u": u + h * m.a * (m.b * (seen - m.v_u) - m.u_leak * u)}


def izhikevich_2007(p, k, h):
    m, v, u = p.number, p.state["v"], p.state["u"]
    current = synaptic_current(p, v)[0] + m.I_e + p.current[k]
    new = v + h / m.C * (m.k * (v - m.vr) * (v - m.vt) - u + current)
    recovery = np.where(new > m.v_switch, m.b_above, m.b) * (v - m.vr)
    recovery += np.where(new >= m.v_cubic, m.cubic * (v - m.v_cubic) ** 3, 0.0)
    return {"v": new, "u": u + h * m.a * (recovery - u)}


STEPS = {"LIF": leaky, "ALIF": leaky, "AdEx": adex, "Izhikevich": izhikevich, "Izhikevich2007": izhikevich_2007}


def threshold(p):
    m = p.number
    if p.model in ("LIF", "ALIF"):
        return m.V_th + p.state.get("theta", 0.0)
    if p.model == "AdEx":
        return m.V_cut
    return m.v_peak + (m.peak_slope * p.state["u"] if p.model == "Izhikevich2007" else 0.0)


def reset(p, i):
    """Change the states of the neurons i, which spiked."""
    m, s = p.number, p.state
    if p.model in ("LIF", "ALIF"):
        s["v"][i] = s["v"][i] - (m.V_th - m.V_reset)[i] if p.soft else m.V_reset[i]
        if p.model == "ALIF":
            s["w"][i] += m.b[i]
            s["theta"][i] += m.beta[i]
    elif p.model == "AdEx":
        s["v"][i] = m.V_reset[i]
        s["w"][i] += m.b[i]
    elif p.model == "Izhikevich":
        s["v"][i] = m.c[i]
        s["u"][i] += m.d[i]
    else:
        s["v"][i] = m.c[i] + m.c_slope[i] * s["u"][i]
        s["u"][i] = np.minimum(s["u"][i] + m.d[i], m.u_max[i])


class Twin:
    """The steps of the two conventions in plain NumPy."""

    def __init__(self, groups, projections, h, nest):
        self.groups, self.projections, self.h, self.nest, self.k = groups, projections, h, nest, 0
        self.emitted = [[] for _ in groups]  # group -> units by step
        self.spikes = [[] for _ in groups]  # (label in steps, unit)
        for p in groups:
            if isinstance(p, Neurons):
                p.last, p.wait = np.full(p.n, -(10**6)), np.zeros(p.n, int)

    def step(self):
        k = self.k
        free = [self.integrate(p, k) if isinstance(p, Neurons) else None for p in self.groups]
        spiking = [np.array(p.spikes[k], int) if isinstance(p, Source) else None for p in self.groups]
        if not self.nest:  # threshold before delivery, reset after it
            for at, p in enumerate(self.groups):
                if isinstance(p, Neurons):
                    spiking[at] = out = self.above(p, free[at])
                    p.last[out] = k
                    free[at][out] = p.number.ref[out] == 0  # flagged at once: jumps of this step are lost as well
        for at, out in enumerate(spiking):
            self.emitted[at].append(out)
        self.deliver(k, free)
        for at, p in enumerate(self.groups):
            if isinstance(p, Neurons):
                if self.nest:
                    self.emitted[at][k] = self.above(p, free[at])
                reset(p, self.emitted[at][k])
                p.wait[self.emitted[at][k]] = p.number.ref[self.emitted[at][k]]
            self.spikes[at] += [(k + self.nest, int(i)) for i in self.emitted[at][k]]
        self.k += 1

    def above(self, p, free):
        inclusive = self.nest if p.model in ("LIF", "ALIF", "AdEx") else p.integrator != "fig1"
        v, level = p.state["v"], threshold(p)
        return np.flatnonzero(((v >= level) if inclusive else (v > level)) & free)

    def integrate(self, p, k):
        """Advance the states; return which neurons were not held."""
        free = p.wait == 0 if self.nest else k - p.last >= p.number.ref
        p.wait = np.maximum(0, p.wait - 1)
        later = STEPS[p.model](p, k, self.h)
        later["v"] = np.where(free, later["v"], p.state["v"])
        p.state = later
        euler = p.model in ("LIF", "ALIF") and p.integrator == "euler"
        for synapse, (x, g) in p.synaptic.items():
            p.synaptic[synapse] = list(after(synapse, self.h, x, g, euler))
        return free

    def deliver(self, k, free):
        for q in self.projections:
            for d, synapses in q.by_delay:
                if k >= d and self.emitted[q.pre][k - d].size:
                    spiked = np.zeros(self.groups[q.pre].n, bool)
                    spiked[self.emitted[q.pre][k - d]] = True
                    now = synapses[spiked[q.i[synapses]]]
                    self.arrive(q.post, q.synapse, q.j[now], q.w[now] * self.use(q, now, k - d), free)
        for at, p in enumerate(self.groups):
            for synapse, amounts in getattr(p, "kicks", ()):
                self.arrive(at, synapse, np.arange(p.n), amounts[k], free)

    def use(self, q, now, emitted):
        """Part of the weight that plastic synapses act with."""
        if q.rule is None:
            return 1.0
        U, interval = q.rule.U, (emitted - q.last[now]) * self.h
        first = np.isinf(interval)
        R = 1 + (q.R[now] * (1 - q.u[now]) - 1) * np.exp(-interval / q.rule.tau_rec)
        u = U + q.u[now] * (1 - U) * np.exp(-interval / q.rule.tau_fac)
        q.R[now], q.u[now], q.last[now] = np.where(first, 1.0, R), np.where(first, U, u), emitted
        return q.R[now] * q.u[now]

    def arrive(self, post, synapse, j, amounts, free):
        p = self.groups[post]
        if isinstance(synapse, Delta):
            np.add.at(p.state["v"], j, np.where(free[post][j], amounts, 0.0))
        else:
            x, g = p.synaptic[synapse]
            np.add.at(g if isinstance(synapse, Exponential | Pulse) else x, j, gain(synapse) * amounts)


# ------------------------------------------------------------------------------------------------- random networks
CURRENTS = [Delta(), Pulse(), Exponential(3.0), Exponential(7.0), Alpha(2.0), DoubleExponential(1.0, 6.0)]
CONDUCTANCES = [Exponential(5.0, reversal=0.0), Exponential(10.0, reversal=-80.0), Alpha(2.0, reversal=0.0)]
LEAKY = {"tau_m": (8, 30), "C_m": (150, 300), "E_L": (-58, -42), "I_e": (0, 100)}  # some fire by themselves
LEAKY_ENDS = {"V_th": (-52, -48), "V_reset": (-62, -56), "t_ref": (0, 6)}
# ranges of the parameters: those that integration reads, those that only thresholds and resets read
RANGES = {
    "LIF": (LEAKY, LEAKY_ENDS),
    "ALIF": (LEAKY | {"tau_w": (31, 80), "tau_theta": (10, 60)}, LEAKY_ENDS | {"b": (0, 60), "beta": (0, 2)}),
    "AdEx": (
        {"C_m": (100, 200), "g_L": (8, 15), "E_L": (-65, -55), "V_T": (-52, -48), "Delta_T": (1, 3), "a": (-2, 4),
         "tau_w": (20, 80), "I_e": (100, 400)},
        {"V_cut": (-45, -35), "V_reset": (-65, -55), "b": (0, 60), "t_ref": (0, 6)},
    ),
    "Izhikevich": (
        {"a": (0.01, 0.1), "b": (0.18, 0.26), "p1": (4.95, 5.05), "p0": (139, 141), "v_u": (-3, 3),
         "u_leak": (0.9, 1.1), "I_e": (0, 15)},
        {"v_peak": (25, 35), "c": (-67, -50), "d": (1, 9)},
    ),
    "Izhikevich2007": (
        {"C": (100, 200), "k": (0.5, 0.9), "vr": (-62, -58), "vt": (-45, -40), "a": (0.01, 0.1), "b": (-2, 4),
         "b_above": (0, 5), "v_switch": (-65, -50), "cubic": (0, 0.002), "v_cubic": (-60, -40), "I_e": (50, 300)},
        {"v_peak": (25, 40), "peak_slope": (-0.05, 0.05), "c": (-55, -45), "d": (20, 120), "c_slope": (-0.05, 0.05),
         "u_max": (50, 600)},
    ),
}  # fmt: skip
MODELS = {"LIF": LIF, "ALIF": ALIF, "AdEx": AdEx, "Izhikevich": Izhikevich, "Izhikevich2007": Izhikevich2007}
SCHEMES = [
    "LIF exact", "LIF euler", "ALIF exact", "ALIF euler", "AdEx euler", "AdEx exponential_euler", "Izhikevich euler",
    "Izhikevich fig1", "Izhikevich half", "Izhikevich2007",
]  # fmt: skip


def draw_neurons(rng, scheme, n, per_neuron, soft=False, noisy=False):
    """Neurons whose parameters differ in "none", in "ends" (threshold and reset) or in "all"."""
    model, _, integrator = scheme.partition(" ")
    number = SimpleNamespace()
    for each, ranges in zip((per_neuron == "all", per_neuron != "none"), RANGES[model], strict=True):
        for name, (low, high) in ranges.items():
            setattr(number, name, rng.uniform(low, high, n) if each else np.full(n, rng.uniform(low, high)))
    number.ref = np.floor(getattr(number, "t_ref", np.zeros(n))).astype(int)
    number.t_ref = number.ref * DT
    number.sigma = np.full(n, 2.0 * noisy)
    state = {name: np.zeros(n) for name in MODELS[model].variables}
    state["v"] = rng.uniform(-65.0, -50.0, n)
    for name in set(state) - {"v"}:
        state[name] = rng.uniform(0.0, 1.0, n) - 14.0 * (model == "Izhikevich")
    current = rng.uniform(-30.0, 60.0, (N_STEPS, n)) / (10.0 if model == "Izhikevich" else 1.0)
    soft = soft and model in ("LIF", "ALIF")
    return Neurons(model, integrator, n, number, soft, current, state, scalar=per_neuron != "all" and n % 2 > 0)


def draw_weights(rng, synapse, p, size):
    if isinstance(synapse, Delta):
        return rng.uniform(-3.0, 6.0, size)
    if synapse.reversal is not None:
        return rng.uniform(0.0, 6.0, size) / {"Izhikevich": 100.0, "Izhikevich2007": 10.0}.get(p.model, 1.0)  # nS
    high = 100.0 if isinstance(synapse, Pulse) else 50.0
    return rng.uniform(-high, 2 * high, size) / (10.0 if p.model == "Izhikevich" else 1.0)


def draw_synapses(rng, groups, pre, post, synapse, nest):
    """Synapses between two slices: pairs at random, some repeated; or every source onto a range of targets or all."""
    pre_slice, post_slice = random_slice(rng, groups[pre].n), random_slice(rng, groups[post].n)
    n_pre, n_post = len(pre_slice), len(post_slice)
    shape, least = rng.choice(["random", "ranges", "all"]), int(nest)
    if shape == "random" or n_pre * n_post > 50_000:
        n = int(rng.integers(0, min(2 * n_pre * n_post, 3000) + 1))
        i, j = rng.integers(0, n_pre, n), rng.integers(0, n_post, n)
        d = rng.integers(least, 15, n)
    else:
        starts = np.zeros(n_pre, int) if shape == "all" else rng.integers(0, n_post, n_pre) // 2
        stops = np.full(n_pre, n_post) if shape == "all" else rng.integers(starts, n_post + 1)
        i = np.repeat(np.arange(n_pre), stops - starts)
        j = np.concatenate([np.arange(a, b) for a, b in zip(starts, stops, strict=True)])
        d = np.full(i.size, rng.integers(least, 15))
    order = np.lexsort((j, i))
    w = draw_weights(rng, synapse, groups[post], i.size)
    if rng.random() < 0.3:
        w[:] = w[:1].sum()
    rule = None
    if rng.random() < 0.3:
        rule = TsodyksMarkram(U=0.4, tau_rec=rng.uniform(10, 100), tau_fac=rng.uniform(1, 50))
    i, j, d = i[order] + pre_slice.start, j[order] + post_slice.start, d[order]
    return Synapses(pre, post, pre_slice, post_slice, synapse, i, j, w, d, rule)


def random_slice(rng, n):
    if rng.random() < 0.3:
        return range(n)
    start = int(rng.integers(0, n))
    return range(start, int(rng.integers(start + 1, n + 1)))


def draw_network(seed, schemes, nest, per_neuron, soft=False, sizes=None, synapses=None):
    """Groups of the given schemes and one source, with projections between random slices of them."""
    rng = np.random.default_rng(seed)
    sizes = [int(rng.integers(1, 20)) for _ in schemes] if sizes is None else sizes
    groups = [draw_neurons(rng, *each, per_neuron, soft) for each in zip(schemes, sizes, strict=True)]
    n = int(rng.integers(1, 20))
    groups.append(Source(n, [list(np.flatnonzero(rng.random(n) < 0.1)) for _ in range(N_STEPS)]))
    projections = []
    for _ in range(int(rng.integers(1, 9))):
        pre, post = int(rng.integers(len(groups))), int(rng.integers(len(schemes)))
        choice = CURRENTS + CONDUCTANCES if synapses is None else synapses
        projections.append(draw_synapses(rng, groups, pre, post, choice[rng.integers(len(choice))], nest))
    return groups, projections


class Listed:
    """A connector of given synapses: units of the two groups, weights and delays (ms); pairs may repeat."""

    def __init__(self, pre, post, weights, delays):
        order = np.lexsort((post, pre))
        self.pre, self.post, self.delays = pre[order], post[order], delays[order]
        self.weights = None if weights is None else weights[order]

    def __call__(self, n_pre, n_post, rng, diagonal):
        indptr = np.searchsorted(self.pre, np.arange(n_pre + 1)).astype(np.uint64)
        return Edges(indptr, self.post.astype(np.uint32), self.weights, self.delays)


def build(groups, projections, nest, seed=0):
    """The same network for the engine; drives of random numbers go into the data for the twin."""
    net = Network(dt=DT, timing="nest" if nest else "brian2", seed=seed)
    handles = []
    for at, p in enumerate(groups):
        if isinstance(p, Source):
            spikes = [((k + nest) * DT, i) for k, units in enumerate(p.spikes) for i in units]
            times, ids = np.array([t for t, _ in spikes]), np.array([i for _, i in spikes], np.int64)
            handles.append(net.add(SpikeSource(p.n, ids, times), name=f"p{at}"))
            continue
        names = [field.name for field in fields(MODELS[p.model]) if hasattr(p.number, field.name)]
        numbers = {name: getattr(p.number, name) for name in names}
        if p.scalar:
            numbers = {name: value if np.ptp(value) else float(value[0]) for name, value in numbers.items()}
        if p.model in ("LIF", "ALIF"):
            numbers["soft_reset"] = p.soft
        if p.integrator:
            numbers["integrator"] = p.integrator
        handles.append(net.add(MODELS[p.model](p.n, **numbers), name=f"p{at}", **p.state))
        net.stimulate(handles[at], ArrayCurrent(p.current, DT))
    for q in projections:
        one = q.w.size > 1 and np.ptp(q.w) == 0
        edges = Listed(q.i - q.pre_slice.start, q.j - q.post_slice.start, None if one else q.w, q.d * DT)
        pre, post = (handles[at][s.start : s.stop] for at, s in ((q.pre, q.pre_slice), (q.post, q.post_slice)))
        net.connect(pre, post, q.synapse, edges, weight=q.w[0] if one else None, short_term=q.rule)
    return net


def stimulate(net, groups, rng, synapses=CURRENTS):
    """Let random currents and random spikes act on slices; the twin replays their numbers."""
    for at, p in enumerate(groups):
        if isinstance(p, Neurons):
            scale = 0.1 if p.model == "Izhikevich" else 1.0
            part, other = random_slice(rng, p.n), random_slice(rng, p.n)
            synapse = synapses[rng.integers(len(synapses))]
            weight = np.abs(draw_weights(rng, synapse, p, len(other))) / 3
            net.stimulate(net.groups[at][part.start : part.stop], OUCurrent(20.0 * scale, 30.0 * scale, 5.0))
            net.stimulate(net.groups[at][other.start : other.stop], PoissonInput(20, 15.0, weight, synapse))
            ou, poisson = (
                d.source.stream(len(d.target), DT, generators(d.seed, 1)[0]).take(0, N_STEPS) for d in net.drives[-2:]
            )
            p.current = p.current.copy()
            p.current[:, part.start : part.stop] += ou
            amounts = np.zeros((N_STEPS, p.n))
            amounts[:, other.start : other.stop] = poisson
            p.kicks.append((synapse, amounts))
            if p.number.sigma.any():
                p.noise = np.random.default_rng(net.populations[at].seed).standard_normal((N_STEPS, p.n))


def compare(net, groups, projections):
    """Run both and compare every spike and all states; return the number of spikes of neurons.

    After every step the twin takes over the engine's states, within rounding of its own: in Izhikevich and AdEx neurons
    rounding grows by orders of magnitude before a spike.
    """
    for at, p in enumerate(groups):
        if isinstance(p, Neurons):
            p.synaptic = {r.synapse: [np.zeros(p.n), np.zeros(p.n)] for r in net.populations[at].receptors}
            for name in p.state:
                net.record(net.groups[at], name, every=DT)
        net.record(net.groups[at], "spikes")
    res = net.run(N_STEPS * DT, progress=False)
    twin = Twin(groups, projections, DT, net.timing == "nest")
    states = {(at, name): [] for at, p in enumerate(groups) if isinstance(p, Neurons) for name in p.state}
    for k in range(N_STEPS):
        twin.step()
        for (at, name), values in states.items():
            values.append(groups[at].state[name])
            groups[at].state[name] = res.states[f"p{at}", name].values[k].copy()
    for (at, name), values in states.items():
        recorded = res.states[f"p{at}", name].values
        assert_allclose(recorded, values, rtol=1e-10, atol=1e-10, err_msg=f"{name} of p{at}")
    for at, p in enumerate(groups):
        trains = res.spikes[f"p{at}"]
        got = np.c_[np.rint(trains.times / DT).astype(int), trains.ids]
        assert_array_equal(got, np.array(twin.spikes[at], int).reshape(-1, 2))
        if isinstance(p, Neurons):
            for receptor in net.populations[at].receptors:
                _, g = p.synaptic[receptor.synapse]
                assert_allclose(net.get(net.groups[at], receptor.name), g, atol=1e-10 * (1 + np.abs(g).max()), rtol=0)
    return sum(map(len, twin.spikes[:-1]))


SEED = st.integers(0, 2**32 - 1)
NEST = st.booleans()
PER_NEURON = st.sampled_from(["none", "ends", "all"])


@given(SEED, NEST, st.lists(st.sampled_from(SCHEMES), min_size=1, max_size=3), PER_NEURON, st.booleans())
@settings(deadline=None, max_examples=45)
def test_networks_are_those_of_plain_numpy(seed, nest, schemes, per_neuron, soft):
    groups, projections = draw_network(seed, schemes, nest, per_neuron, soft)
    compare(build(groups, projections, nest), groups, projections)


@given(SEED, NEST, st.sampled_from(SCHEMES), PER_NEURON)
@settings(deadline=None, max_examples=25)
def test_networks_with_random_drives_and_noise_are_those_of_plain_numpy(seed, nest, scheme, per_neuron):
    """Currents only, where there is noise; the synapses of Poisson inputs may be new ones or those of projections."""
    groups, projections = draw_network(seed, [scheme], nest, per_neuron, synapses=CURRENTS)
    if scheme in ("LIF exact", "ALIF exact"):
        groups[0].number.sigma[:] = 2.0
    net = build(groups, projections, nest)
    stimulate(net, groups, np.random.default_rng(seed))
    compare(net, groups, projections)


@pytest.mark.parametrize("per_neuron", ["ends", "all"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_populations_of_several_tiles_are_those_of_plain_numpy(scheme, per_neuron):
    n, nest = [2049, 1025, 1024, 2047][(SCHEMES.index(scheme) + len(per_neuron)) % 4], SCHEMES.index(scheme) % 2 == 0
    groups, projections = draw_network(n, [scheme, "LIF exact"], nest, per_neuron, sizes=[n, 1025], synapses=CURRENTS)
    net = build(groups, projections, nest)
    stimulate(net, groups, np.random.default_rng(n))
    assert compare(net, groups, projections) > 100


PAIRS = {"currents": [Exponential(3.0), Exponential(7.0)], "conductances": CONDUCTANCES[:2], "pulse": CURRENTS[1:3]}


@pytest.mark.parametrize("nest", [False, True])
@pytest.mark.parametrize("n", [1, 65, 1024, 2050])
@pytest.mark.parametrize("synapses", PAIRS.values(), ids=PAIRS)
def test_the_pass_for_pairs_of_synapses_is_that_of_plain_numpy(n, synapses, nest):
    """Shared parameters or ones that differ at threshold and reset; a current that all share, then one for each."""
    rng = np.random.default_rng(n)
    for per_neuron, shared in (("none", True), ("ends", True), ("none", False)):
        cells = draw_neurons(rng, "LIF exact", n, per_neuron)
        groups = [replace(cells, scalar=True), Source(9, [list(range(k % 9)) for k in range(N_STEPS)])]
        projections = [draw_synapses(rng, groups, 1, 0, synapse, nest) for synapse in synapses]
        if shared:
            groups[0].current = np.full((N_STEPS, n), 20.0) * np.arange(N_STEPS)[:, None] / N_STEPS
        net = build(groups, projections, nest)
        if shared:
            net.drives.clear()
            net.stimulate(net.groups[0], ArrayCurrent(groups[0].current[:, 0], DT))
        compare(net, groups, projections)
        assert net._flat.populations[0, kernels.PAIR] == 1


@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_all_to_all_weights_act_as_those_of_a_list_of_synapses(timing):
    """One matrix of weights: whole, with a range for every source, in any order of synapses; the same bits."""
    rng = np.random.default_rng(3)
    W = rng.uniform(50.0, 400.0, (70, 1100))
    ranges = W.copy()
    for row in ranges:
        a, b = np.sort(rng.integers(0, 1101, 2))
        row[:a] = row[b:] = 0.0
    for matrix, kind in ((W, kernels.TO_ALL), (ranges, kernels.TO_RANGE)):
        results = []
        for split in (False, True):
            net = Network(dt=DT, timing=timing)
            source = net.add(PoissonGroup(70, rate=20.0), name="source")
            cells = net.add(LIF(1100, E_L=-60.0, V_reset=-60.0, V_th=-50.0), name="cells")
            i, j = np.nonzero(matrix)
            if split:  # a synapse of weight 0 and another delay makes it a list
                i, j = np.append(i, 0), np.append(j, 0)
            weights, delays = (
                np.append(matrix[matrix != 0], [0.0] * split),
                np.append(np.ones(i.size - split), [2.0] * split),
            )
            net.connect(source, cells, Exponential(5.0), Listed(i, j, weights, delays))
            net.record(cells, "spikes")
            results.append((net.run(100.0, progress=False).spikes["cells"], net.get(cells, "v")))
            assert net._flat.projections[0, kernels.CONTIGUOUS] == (0 if split else kind)
        (one, v), (other, same_v) = results
        assert one.times.size > 1000
        assert_array_equal(one.times, other.times)
        assert_array_equal(one.ids, other.ids)
        assert_array_equal(v, same_v)


@pytest.mark.parametrize("targets", [[0, 1, 1, *range(3, 12)], [0, 2, 1, *range(3, 12)]], ids=["repeated", "exchanged"])
def test_as_many_synapses_as_a_range_has_targets_are_no_range(targets):
    net = Network(dt=DT)
    source, cells = net.add(SpikeSource(2, [0, 1], [0.0, 0.0])), net.add(LIF(12, V_th=1e6))
    weights = 2.0 ** np.arange(24)  # any sum tells which ones it has
    indptr = np.array([0, 12, 24], np.uint64)
    net.connect(
        source, cells, Exponential(5.0), lambda *_: Edges(indptr, np.array(targets * 2, np.uint32)), weight=weights
    )
    net.run(DT, progress=False)
    assert_array_equal(net.get(cells, "g"), np.bincount(targets * 2, weights, 12))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_random_networks_do_spike(scheme):
    spikes = []
    for seed in range(4):
        groups, projections = draw_network(seed, [scheme], seed % 2 == 1, "all")
        spikes.append(compare(build(groups, projections, seed % 2 == 1), groups, projections))
    assert np.median(spikes) > 10


@pytest.mark.parametrize(("timing", "spikes"), [("brian2", 0), ("nest", 1)])
def test_a_potential_at_the_threshold_is_above_it_in_nest_only(timing, spikes):
    net = Network(dt=0.1, timing=timing)
    cell = net.add(LIF(1, E_L=0.0, V_th=0.0, V_reset=-1.0, t_ref=1.0), v=0.0)  # rests exactly at its threshold
    net.record(cell, "spikes")
    assert net.run(0.5, progress=False).spikes["group0"].times.size == spikes


# --------------------------------------------------------------- one network, run in other ways: the same bits (F36)
def everything(timing="brian2", seed=4):
    """A network with every kind of chance: noise, Poisson and coloured input, drawn edges, weights and plasticity."""
    net = Network(dt=0.1, timing=timing, seed=seed)
    settings_ = {"tau_m": 20.0, "C_m": 200.0, "E_L": -52.0, "V_th": -50.0, "V_reset": -60.0}
    exc = net.add(LIF(80, t_ref=5.0, sigma=3.0, **settings_), name="exc", v=Uniform(-60.0, -50.0))
    inh = net.add(LIF(20, t_ref=np.repeat([1.0, 2.0], 10), **settings_), name="inh", v=Uniform(-60.0, -50.0))
    cells = net.add(Izhikevich(30), name="cells")
    noise = net.add(PoissonGroup(40, rate=50.0), name="noise")
    delay = Uniform(0.1, 6.0)
    net.connect(exc, inh, Exponential(5.0), probability(0.2), weight=Uniform(5.0, 60.0), delay=delay)
    net.connect(inh, exc, Exponential(10.0), probability(0.2), weight=-60.0, delay=delay)
    net.connect(exc[:50], exc[20:], Alpha(2.0), probability(0.1), weight=Uniform(5.0, 60.0), delay=1.5)
    plastic = TsodyksMarkram(Uniform(0.1, 0.6), 200.0, Uniform(1.0, 50.0))
    net.connect(noise, inh, Exponential(3.0, reversal=0.0), probability(0.3), weight=2.0, delay=2.0, short_term=plastic)
    net.connect(exc, cells, Delta(), probability(0.2), weight=Uniform(0.0, 4.0), delay=delay)
    net.stimulate(cells, OUCurrent(4.0, 3.0, 5.0))
    net.stimulate(exc, PoissonInput(100, 10.0, 8.0, Exponential(5.0)))
    for name, group in (("exc", exc), ("inh", inh), ("cells", cells)):
        assert group.name == name
        net.record(group, "spikes")
    return net


def parts(net):
    """All spikes and all states at the end of a run of 200 ms."""
    return spikes_of([net.run(200.0, progress=False)]), states_of(net)


def spikes_of(results):
    names = results[0].spikes
    return [
        np.concatenate([getattr(res.spikes[name], part) for res in results])
        for name in names
        for part in ("times", "ids")
    ]


def states_of(net):
    return [p.states[name].copy() for p in net.populations for name in p.states]


def assert_same_bits(got, want):
    for one, other in zip([*got[0], *got[1]], [*want[0], *want[1]], strict=True):
        assert_array_equal(one, other)


@pytest.fixture(scope="module", params=["brian2", "nest"])
def reference(request):
    got = parts(everything(request.param))
    assert min(times.size for times in got[0]) > 40
    return request.param, got


@pytest.mark.parametrize("durations", [[20.0] * 10, [0.1, 0.3, 7.3, 92.3, 100.0]], ids=["even", "uneven"])
def test_one_run_is_many_runs(reference, durations):
    timing, want = reference
    net = everything(timing)
    results = [net.run(duration, progress=False) for duration in durations]
    assert_same_bits((spikes_of(results), states_of(net)), want)
    assert [res.t_start for res in results] == np.cumsum([0.0, *durations[:-1]]).round(9).tolist()


def test_samples_may_be_rarer_than_inner_chunks(monkeypatch):
    monkeypatch.setattr(recording, "_CHUNK", 5)
    net = Network(dt=0.1)
    cell = net.add(LIF(1, tau_m=10.0, E_L=0.0, V_th=50.0, V_reset=-1.0), name="cell", v=40.0)
    net.record(cell, "v", every=1.7)
    trace = net.run(5.2, progress=False).states["cell", "v"]
    assert_array_equal(trace.times, [1.7, 3.4, 5.1])
    assert_allclose(trace.values[:, 0], 40 * np.exp(-trace.times / 10), rtol=1e-13)


def test_inner_chunks_and_a_full_log_of_spikes_do_not_show(reference, monkeypatch):
    timing, want = reference
    monkeypatch.setattr(recording, "_CHUNK", 17)
    monkeypatch.setattr(recording, "_LOG", 1)
    assert_same_bits(parts(everything(timing)), want)


def test_recorders_change_nothing(reference):
    timing, want = reference
    net = everything(timing)
    for group in net.groups:
        net.record(group, "rate", every=3.0)
    exc, inh, cells, _ = net.groups
    net.record(exc[[3, 0, 50]], "v", every=0.7)
    net.record(inh, "g", every=0.1)
    net.record(cells[5:9], "u")
    assert_same_bits(parts(net), want)


def test_the_network_goes_back_to_its_beginning(reference):
    timing, want = reference
    net = everything(timing)
    net.run(33.3, progress=False)  # spikes are on their way, currents in the middle
    net.reset()
    assert net.time == 0.0
    assert_same_bits(parts(net), want)


def test_spikes_on_their_way_arrive_though_the_network_is_laid_out_anew(reference):
    timing, want = reference
    net = everything(timing)
    before = net.run(50.0, progress=False)
    exc, inh, *_ = net.groups
    net.connect(exc, inh, Exponential(5.0), probability(0.1), weight=0.0, delay=9.0)  # a longer memory of spikes
    net.projections[0].weights = net.projections[0].weights
    after = net.run(150.0, progress=False)
    assert_same_bits((spikes_of([before, after]), states_of(net)), want)


def test_another_seed_is_another_network(reference):
    timing, want = reference
    other = parts(everything(timing, seed=5))
    assert not all(np.array_equal(one, two) for one, two in zip(other[0], want[0], strict=True))


def digest(timing):
    """A text that stands for every bit of `parts`."""
    spikes, states = parts(everything(timing))
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in [*spikes, *states])).hexdigest()


@pytest.mark.parametrize("threads", [1, 2])
def test_another_process_with_other_threads_makes_the_same_bits(threads):
    code = "import test_network_reference as t; print(t.digest('brian2'), t.digest('nest'))"
    env = os.environ | {"NUMBA_NUM_THREADS": str(threads), "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [digest("brian2"), digest("nest")]


@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_permuted_neurons_make_permuted_spikes(timing):
    n, rng = 60, np.random.default_rng(8)
    pre, post = np.nonzero(rng.random((n, n)) < 0.2)
    delays = 0.1 * rng.integers(1, 40, pre.size)
    inhibitory = np.arange(n) % 5 == 0
    current, v = rng.uniform(80.0, 200.0, n), rng.uniform(-60.0, -50.0, n)

    def run(place):
        """Neuron i stands at place[i]. Weights of one size per state: their sums are the same in any order."""
        at = np.argsort(place)
        net = Network(dt=0.1, timing=timing)
        model = LIF(n, tau_m=20.0, C_m=200.0, E_L=-60.0, V_th=-50.0, V_reset=-60.0, t_ref=2.0, I_e=current[at])
        cells = net.add(model, name="cells", v=v[at])
        for synapse, kind, weight in ((Exponential(5.0), ~inhibitory, 16.2), (Exponential(10.0), inhibitory, -90.0)):
            chosen = kind[pre]
            edges = Listed(place[pre[chosen]], place[post[chosen]], None, delays[chosen])
            net.connect(cells, cells, synapse, edges, weight=weight)
        net.record(cells, "spikes")
        trains = net.run(300.0, progress=False).spikes["cells"]
        return sorted(zip(trains.times.tolist(), at[trains.ids].tolist(), strict=True))

    want = run(np.arange(n))
    assert len(want) > 400
    assert run(rng.permutation(n)) == want
