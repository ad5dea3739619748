"""Whole networks against a twin that loops over steps and neurons, and against themselves run in other ways."""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass, field
from math import exp
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from penstock import Uniform
from penstock.spiking import (
    LIF,
    Alpha,
    Delta,
    DoubleExponential,
    Exponential,
    Izhikevich,
    Pulse,
    TsodyksMarkram,
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
    n: int
    scheme: str  # "exact", "frozen" (exponential Euler) or "euler"
    tau_m: np.ndarray
    C_m: np.ndarray
    E_L: np.ndarray
    V_th: np.ndarray
    V_reset: np.ndarray
    ref: np.ndarray  # steps
    I_e: np.ndarray
    soft: bool
    current: np.ndarray  # (N_STEPS, n) pA
    v: np.ndarray
    states: dict = field(default_factory=dict)  # synapse -> [x, g], two lists of n numbers
    last: list = field(default_factory=list)  # step of the last spike (brian2)
    wait: list = field(default_factory=list)  # updates still held (nest)


@dataclass
class Source:
    n: int
    spikes: list  # units that spike, by step


@dataclass
class Edge:
    """One synapse, from unit i to unit j of whole groups."""

    pre: int
    i: int
    post: int
    j: int
    synapse: object
    w: float
    d: int


def exact_gain(synapse, h, tau_m, C_m):
    """mV per unit of (x, g) after a step, in the textbook forms, which need different time constants."""
    e_m = exp(-h / tau_m)
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
        return 0.0, 0.0
    if isinstance(synapse, Exponential):
        return 0.0, g * (1 - h / synapse.tau if euler else exp(-h / synapse.tau))
    if euler:
        r, d = (synapse.tau,) * 2 if isinstance(synapse, Alpha) else (synapse.tau_rise, synapse.tau_decay)
        return x - h / d * x, g + h / r * (x - g)
    if isinstance(synapse, Alpha):
        decayed = exp(-h / synapse.tau)
        return decayed * x, decayed * (g + h * x / synapse.tau)
    r, d = synapse.tau_rise, synapse.tau_decay
    return exp(-h / d) * x, exp(-h / r) * g + d / (d - r) * (exp(-h / d) - exp(-h / r)) * x


def membrane_after(p, i, k, h):
    """The potential of neuron i one step later."""
    v, tau, C, g_L = p.v[i], p.tau_m[i], p.C_m[i], p.C_m[i] / p.tau_m[i]
    constant = p.I_e[i] + p.current[k, i]
    if p.scheme == "exact":
        e_m = exp(-h / tau)
        v = p.E_L[i] + (v - p.E_L[i]) * e_m + tau / C * (1 - e_m) * constant
        for synapse, (x, g) in p.states.items():
            c_x, c_g = exact_gain(synapse, h, tau, C)
            v += c_x * x[i] + c_g * g[i]
        return v
    slope, total = g_L * (p.E_L[i] - v) + constant, g_L
    for synapse, (_, g) in p.states.items():
        if synapse.reversal is None:
            slope += g[i]
        else:
            slope += g[i] * (synapse.reversal - v)
            total += g[i]
    if p.scheme == "euler":
        return v + h / C * slope
    return v + slope / total * (1 - exp(-total * h / C))


class Twin:
    """The steps of the two conventions, neuron by neuron and synapse by synapse."""

    def __init__(self, groups, edges, h, nest):
        self.groups, self.edges, self.h, self.nest, self.k = groups, edges, h, nest, 0
        self.emitted = [{} for _ in groups]  # group -> step -> units
        self.spikes = [[] for _ in groups]  # (label in steps, unit)
        self.trace = [[np.array(p.v)] if isinstance(p, Neurons) else None for p in groups]
        for p in groups:
            if isinstance(p, Neurons):
                p.last, p.wait = [-(10**6)] * p.n, [0] * p.n

    def step(self):
        k = self.k
        free = [self.integrate(p, k) if isinstance(p, Neurons) else None for p in self.groups]
        spiking = [list(p.spikes[k]) if isinstance(p, Source) else [] for p in self.groups]
        if not self.nest:  # threshold before delivery, reset after it
            for p, may, out in zip(self.groups, free, spiking, strict=True):
                if isinstance(p, Neurons):
                    out += [i for i in range(p.n) if p.v[i] > p.V_th[i] and may[i]]
                    for i in out:
                        p.last[i] = k
                        may[i] = p.ref[i] == 0  # flagged at once: jumps of this step are lost as well
        for at, out in enumerate(spiking):
            self.emitted[at][k] = out
        self.deliver(k, free)
        for at, (p, may, out) in enumerate(zip(self.groups, free, spiking, strict=True)):
            if isinstance(p, Neurons):
                if self.nest:
                    out += [i for i in range(p.n) if p.v[i] >= p.V_th[i] and may[i]]
                for i in out:
                    p.v[i] = p.v[i] - (p.V_th[i] - p.V_reset[i]) if p.soft else p.V_reset[i]
                    p.wait[i] = p.ref[i]
                self.trace[at].append(np.array(p.v))
            self.spikes[at] += [(k + self.nest, i) for i in out]
        self.k += 1

    def integrate(self, p, k):
        """Advance potentials and synaptic states; return which neurons were not held."""
        if self.nest:
            free = [p.wait[i] == 0 for i in range(p.n)]
            p.wait = [max(0, wait - 1) for wait in p.wait]
        else:
            free = [k - p.last[i] >= p.ref[i] for i in range(p.n)]
        p.v = [membrane_after(p, i, k, self.h) if free[i] else p.v[i] for i in range(p.n)]
        for synapse, (x, g) in p.states.items():
            for i in range(p.n):
                x[i], g[i] = after(synapse, self.h, x[i], g[i], p.scheme == "euler")
        return free

    def deliver(self, k, free):
        for edge in self.edges:
            if edge.i in self.emitted[edge.pre].get(k - edge.d, ()):
                p = self.groups[edge.post]
                if isinstance(edge.synapse, Delta):
                    if free[edge.post][edge.j]:
                        p.v[edge.j] += edge.w
                else:
                    x, g = p.states[edge.synapse]
                    (g if isinstance(edge.synapse, Exponential | Pulse) else x)[edge.j] += gain(edge.synapse) * edge.w


def gain(synapse):
    """Jump of the state that makes the peak of g one."""
    if isinstance(synapse, Exponential | Pulse):
        return 1.0
    if isinstance(synapse, Alpha):
        return np.e
    r, d = synapse.tau_rise, synapse.tau_decay
    peak_at = r * d / (d - r) * np.log(d / r)
    return 1 / (d / (d - r) * (exp(-peak_at / d) - exp(-peak_at / r)))


# ------------------------------------------------------------------------------------------------- random networks
CURRENTS = [Delta(), Pulse(), Exponential(3.0), Exponential(7.0), Alpha(2.0), DoubleExponential(1.0, 6.0)]
CONDUCTANCES = [Exponential(5.0, reversal=0.0), Exponential(10.0, reversal=-80.0), Alpha(2.0, reversal=0.0)]


def draw_neurons(rng, n, scheme, per_neuron, soft):
    def parameter(low, high):
        return rng.uniform(low, high, n) if per_neuron else np.full(n, rng.uniform(low, high))

    threshold = parameter(-52.0, -48.0)
    return Neurons(
        n=n,
        scheme=scheme,
        tau_m=parameter(8.0, 30.0),
        C_m=parameter(150.0, 300.0),
        E_L=parameter(-58.0, -42.0),  # some fire by themselves
        V_th=threshold,
        V_reset=threshold - parameter(5.0, 12.0),
        ref=rng.integers(0, 6, n) if per_neuron else np.full(n, rng.integers(0, 6)),
        I_e=parameter(0.0, 100.0),
        soft=soft,
        current=rng.uniform(-30.0, 60.0, (N_STEPS, n)),
        v=rng.uniform(-65.0, -50.0, n),
    )


def draw_edges(rng, pre, post, synapse, nest):
    """Random pairs of two slices, repeated pairs and self-connections among them."""
    (pre_at, pre_slice), (post_at, post_slice) = pre, post
    n_edges = int(rng.integers(0, 2 * len(pre_slice) * len(post_slice) + 1))
    i, j = rng.integers(0, len(pre_slice), n_edges), rng.integers(0, len(post_slice), n_edges)
    size = 3.0 if isinstance(synapse, Delta) else 200.0 if isinstance(synapse, Pulse) else 60.0
    w = rng.uniform(-size, 2 * size, n_edges)
    if synapse.reversal is not None:
        w = rng.uniform(0.0, 6.0, n_edges)  # nS
    d = rng.integers(int(nest), 15, n_edges)
    return [
        Edge(pre_at, pre_slice[a], post_at, post_slice[b], synapse, float(weight), int(delay))
        for a, b, weight, delay in zip(i, j, w, d, strict=True)
    ]


def draw_network(seed, schemes, nest, per_neuron=True, soft=False):
    """Groups of the given schemes and one source, with projections between random slices of them."""
    rng = np.random.default_rng(seed)
    groups = [draw_neurons(rng, int(rng.integers(1, 7)), scheme, per_neuron, soft) for scheme in schemes]
    n = int(rng.integers(1, 6))
    groups.append(Source(n, [list(np.flatnonzero(rng.random(n) < 0.1)) for _ in range(N_STEPS)]))
    projections = []
    for _ in range(int(rng.integers(1, 9))):
        pre_at, post_at = int(rng.integers(len(groups))), int(rng.integers(len(schemes)))
        synapses = CURRENTS if groups[post_at].scheme == "exact" else CURRENTS + CONDUCTANCES
        synapse = synapses[rng.integers(len(synapses))]
        pre, post = ((at, random_slice(rng, groups[at].n)) for at in (pre_at, post_at))
        projections.append((pre, post, synapse, draw_edges(rng, pre, post, synapse, nest)))
    for (_, _), (post_at, _), synapse, _ in projections:
        if synapse.n_states:
            n = groups[post_at].n
            groups[post_at].states.setdefault(synapse, [[0.0] * n, [0.0] * n])
    for p in groups[:-1]:
        if p.scheme == "frozen" and all(synapse.reversal is None for synapse in p.states):
            p.scheme = "exact"  # exponential Euler is for conductances only
    return groups, projections


def random_slice(rng, n):
    start = int(rng.integers(0, n))
    return range(start, int(rng.integers(start + 1, n + 1)))


class Listed:
    """A connector of given synapses: units of the two groups, weights and delays (ms); pairs may repeat."""

    def __init__(self, pre, post, weights, delays):
        order = np.lexsort((post, pre))
        self.pre, self.post, self.delays = pre[order], post[order], delays[order]
        self.weights = None if weights is None else weights[order]

    def __call__(self, n_pre, n_post, rng, diagonal):
        indptr = np.searchsorted(self.pre, np.arange(n_pre + 1)).astype(np.uint64)
        return Edges(indptr, self.post.astype(np.uint32), self.weights, self.delays)


def listed(edges, pre, post):
    """The connector of some `Edge`s between two slices."""
    columns = np.array([(edge.i - pre.start, edge.j - post.start, edge.w, edge.d * DT) for edge in edges]).reshape(
        -1, 4
    )
    return Listed(columns[:, 0].astype(int), columns[:, 1].astype(int), columns[:, 2], columns[:, 3])


def build(groups, projections, nest):
    """The same network for the engine."""
    net = Network(dt=DT, timing="nest" if nest else "brian2")
    handles = []
    for at, p in enumerate(groups):
        if isinstance(p, Source):
            spikes = [((k + nest) * DT, i) for k, units in enumerate(p.spikes) for i in units]
            times, ids = np.array([t for t, _ in spikes]), np.array([i for _, i in spikes], np.int64)
            handles.append(net.add(SpikeSource(p.n, ids, times), name=f"p{at}"))
            continue
        numbers = {name: getattr(p, name) for name in ("tau_m", "C_m", "E_L", "V_th", "V_reset", "I_e")}
        numbers["t_ref"] = p.ref * DT
        if all(np.ptp(value) == 0 for value in numbers.values()):
            numbers = {name: float(value[0]) for name, value in numbers.items()}
        model = LIF(p.n, soft_reset=p.soft, integrator="euler" if p.scheme == "euler" else "exact", **numbers)
        handles.append(net.add(model, name=f"p{at}", v=p.v))
        net.stimulate(handles[at], ArrayCurrent(p.current, DT))
        net.record(handles[at], "v", every=DT)
    for (pre_at, pre), (post_at, post), synapse, edges in projections:
        pre_group, post_group = handles[pre_at][pre.start : pre.stop], handles[post_at][post.start : post.stop]
        net.connect(pre_group, post_group, synapse, listed(edges, pre, post))
    for handle in handles:
        net.record(handle, "spikes")
    return net


def compare(seed, schemes, timing, per_neuron=True, soft=False):
    """Run both and compare every spike, every potential and the synaptic states at the end."""
    nest = timing == "nest"
    groups, projections = draw_network(seed, schemes, nest, per_neuron, soft)
    net = build(groups, projections, nest)
    res = net.run(N_STEPS * DT, progress=False)
    twin = Twin(groups, [edge for *_, edges in projections for edge in edges], DT, nest)
    for _ in range(N_STEPS):
        twin.step()
    for at, p in enumerate(groups):
        trains = res.spikes[f"p{at}"]
        got = sorted(zip(np.rint(trains.times / DT).astype(int).tolist(), trains.ids.tolist(), strict=True))
        assert got == sorted((int(k), int(i)) for k, i in twin.spikes[at])
        if isinstance(p, Neurons):
            assert_allclose(res.states[f"p{at}", "v"].values, twin.trace[at][1:], atol=1e-10, rtol=0)
            for number, (_, g) in enumerate(p.states.values(), 1):
                name = "g" if number == 1 else f"g{number}"
                assert_allclose(net.get(net.groups[at], name), g, atol=1e-10 * (1 + np.abs(g).max()), rtol=0)
    return sum(map(len, twin.spikes[:-1]))


SEED = st.integers(0, 2**32 - 1)
TIMING = st.sampled_from(["brian2", "nest"])
SCHEME = st.sampled_from(["exact", "frozen", "euler"])


@given(seed=SEED, timing=TIMING, schemes=st.lists(SCHEME, min_size=1, max_size=3), per_neuron=st.booleans())
@settings(deadline=None, max_examples=80)
def test_networks_are_those_of_a_loop_over_neurons(seed, timing, schemes, per_neuron):
    compare(seed, schemes, timing, per_neuron)


@given(seed=SEED, timing=TIMING, scheme=SCHEME)
@settings(deadline=None, max_examples=20)
def test_networks_with_soft_reset_are_those_of_a_loop_over_neurons(seed, timing, scheme):
    compare(seed, [scheme, "exact"], timing, soft=True)


@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_the_random_networks_do_spike(timing):
    assert np.median([compare(seed, ["exact", "frozen", "euler"], timing) for seed in range(9)]) > 20


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
