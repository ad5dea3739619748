"""Cost of spiking networks against Brian2: time of the run, time to the first result, and a cortical microcircuit."""

import measure  # first: it sets the thread counts that libraries read when they load

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import numpy as np
import roofline

BIOLOGICAL_MS = 1000.0
CPU_CLOCK = "std::clock_t cpu_start = std::clock();"
CPU_REPORT = (
    'std::ofstream(brian::results_dir + "cpu.txt") << double(std::clock() - cpu_start) / CLOCKS_PER_SEC << std::endl;'
)

# Wiring, initial states and inputs, given to all simulators


def save_networks(folder):
    """Write the arrays of every network."""
    from penstock.spiking import vogels_abbott_edges

    pre, post = vogels_abbott_edges(1)
    np.savez(folder / "cuba.npz", pre=pre, post=post, v=-60 + 10 * np.random.default_rng(2).random(4000))
    rng = np.random.default_rng(2)
    v = -60 + 5 * rng.standard_normal(4000) - 5
    ge, gi = 1.5 * rng.standard_normal(4000) + 4, 12 * rng.standard_normal(4000) + 20
    np.savez(folder / "coba.npz", pre=pre, post=post, v=v, ge=ge, gi=gi)
    rng = np.random.default_rng(1)
    post = np.concatenate([np.sort(rng.choice(20_000, 100, replace=False)) for _ in range(20_000)])
    np.savez(folder / "large.npz", pre=np.repeat(np.arange(20_000), 100), post=post, v=rng.uniform(-60, -50, 20_000))
    np.savez(folder / "plastic.npz", **plastic_arrays())
    np.savez(folder / "izhikevich.npz", **izhikevich_arrays())


def plastic_arrays():
    """4000 neurons with 100 targets each, delays of 0.1 to 5 ms from the excitatory ones, weights within bounds."""
    rng = np.random.default_rng(4)
    post = np.concatenate([np.sort(rng.choice(4000, 100, replace=False)) for _ in range(4000)])
    return {
        "pre": np.repeat(np.arange(4000), 100),
        "post": post,
        "v": rng.uniform(-60, -50, 4000),
        "w": rng.uniform(8.0, 24.4, 320_000),
        "delay": rng.integers(1, 51, 320_000) * 0.1,
    }


def izhikevich_arrays():
    """Parameters, weights by source, and a second of thalamic noise."""
    rng = np.random.default_rng(3)
    r_e, r_i = rng.random(800), rng.random(200)
    w = np.concatenate([0.5 * rng.random((1000, 800)), -rng.random((1000, 200))], axis=1).T.ravel()
    noise = rng.standard_normal((int(BIOLOGICAL_MS), 1000)) * np.where(np.arange(1000) < 800, 5.0, 2.0)
    return {
        "a": np.concatenate([np.full(800, 0.02), 0.02 + 0.08 * r_i]),
        "b": np.concatenate([np.full(800, 0.2), 0.25 - 0.05 * r_i]),
        "c": np.concatenate([-65 + 15 * r_e**2, np.full(200, -65.0)]),
        "d": np.concatenate([8 - 6 * r_e**2, np.full(200, 2.0)]),
        "w": w,
        "noise": noise,
    }


# The networks of penstock


def penstock_network(name, folder):
    """The network of that name as a user would write it, its spikes recorded."""
    from penstock.spiking import izhikevich_2003, vogels_abbott_coba, vogels_abbott_cuba

    if name == "cuba":
        net = vogels_abbott_cuba(1)
    elif name == "coba":
        net = vogels_abbott_coba(1)
    elif name == "izhikevich":
        net = izhikevich_2003(3, noise=np.load(folder / "izhikevich.npz")["noise"])
    elif name == "plastic":
        net = plastic_network(np.load(folder / "plastic.npz"))
    else:
        net = large_network(np.load(folder / "large.npz"))
    for group in net.groups:
        net.record(group, "spikes")
    return net


def plastic_network(data):
    """Neurons of CUBA, excitatory synapses under additive STDP."""
    from penstock.spiking import LIF, Exponential, Network, PairSTDP, from_edges

    net = Network(dt=0.1, seed=0)
    neurons = LIF(4000, tau_m=20, C_m=200, E_L=-49, V_th=-50, V_reset=-60, t_ref=5)
    cells = net.add(neurons, name="cells", v=data["v"])
    pre, post, n_exc = data["pre"], data["post"], 3200
    rule = PairSTDP(0.16, 0.168, w_max=32.4)
    exc, inh = pre < n_exc, pre >= n_exc
    net.connect(
        cells[:n_exc], cells, Exponential(5.0, name="ge"), from_edges(pre[exc], post[exc]), weight=data["w"],
        delay=data["delay"], plasticity=rule,
    )  # fmt: skip
    net.connect(
        cells[n_exc:], cells, Exponential(10.0, name="gi"), from_edges(pre[inh] - n_exc, post[inh]), weight=-90.0
    )
    return net


def large_network(data):
    """20,000 neurons of CUBA with 100 targets each."""
    from penstock.spiking import LIF, Exponential, Network, from_edges

    net = Network(dt=0.1, seed=0)
    neurons = LIF(20_000, tau_m=20, C_m=200, E_L=-49, V_th=-50, V_reset=-60, t_ref=5)
    cells = net.add(neurons, name="cells", v=data["v"])
    pre, post, n_exc = data["pre"], data["post"], 16_000
    exc, inh = (
        from_edges(pre[pre < n_exc], post[pre < n_exc]),
        from_edges(pre[pre >= n_exc] - n_exc, post[pre >= n_exc]),
    )
    net.connect(cells[:n_exc], cells, Exponential(5.0, name="ge"), exc, weight=16.2, delay=0.0)
    net.connect(cells[n_exc:], cells, Exponential(10.0, name="gi"), inh, weight=-90.0, delay=0.0)
    return net


# The same networks as scripts of Brian2


def brian2_current(data, n, n_exc):
    """CUBA: exact integration, one group, two sets of synapses."""
    from brian2 import Synapses

    cells = brian2_cuba_cells(data, n)
    exc = Synapses(cells, cells, on_pre="ge += 1.62*mV")
    inh = Synapses(cells, cells, on_pre="gi -= 9*mV")
    connect(data, n_exc, exc, inh)
    return cells, exc, inh


def brian2_cuba_cells(data, n):
    """The neurons of CUBA."""
    from brian2 import NeuronGroup, ms, mV

    model = """
    dv/dt = (E_L - v + ge + gi) / tau_m : volt (unless refractory)
    dge/dt = -ge / tau_e : volt
    dgi/dt = -gi / tau_i : volt
    """
    names = {"E_L": -49 * mV, "tau_m": 20 * ms, "tau_e": 5 * ms, "tau_i": 10 * ms, "V_th": -50 * mV, "V_r": -60 * mV}
    cells = NeuronGroup(
        n, model, threshold="v > V_th", reset="v = V_r", refractory=5 * ms, method="exact", namespace=names
    )
    cells.v = data["v"] * mV
    return cells


def brian2_coba(data, n, n_exc):
    """COBA: exponential Euler, conductances in units of the leak."""
    from brian2 import NeuronGroup, Synapses, ms, mV

    model = """
    dv/dt = (E_L - v + ge * (E_e - v) + gi * (E_i - v)) / tau_m : volt (unless refractory)
    dge/dt = -ge / tau_e : 1
    dgi/dt = -gi / tau_i : 1
    """
    names = {"E_L": -60 * mV, "E_e": 0 * mV, "E_i": -80 * mV, "V_th": -50 * mV, "V_r": -60 * mV}
    names |= {"tau_m": 20 * ms, "tau_e": 5 * ms, "tau_i": 10 * ms}
    cells = NeuronGroup(
        n, model, threshold="v > V_th", reset="v = V_r", refractory=5 * ms, method="exponential_euler", namespace=names
    )
    cells.v, cells.ge, cells.gi = data["v"] * mV, data["ge"], data["gi"]
    exc = Synapses(cells, cells, on_pre="ge += 0.6")
    inh = Synapses(cells, cells, on_pre="gi += 6.7")
    connect(data, n_exc, exc, inh)
    return cells, exc, inh


def brian2_plastic(data):
    """CUBA with event-driven STDP."""
    from brian2 import Synapses, ms, mV

    cells = brian2_cuba_cells(data, 4000)
    inh = Synapses(cells, cells, on_pre="gi -= 9*mV")
    names = {"tau": 20 * ms, "up": 0.016 * mV, "down": -0.0168 * mV, "w_max": 3.24 * mV}
    plastic = Synapses(
        cells,
        cells,
        "w : volt\ndx/dt = -x / tau : volt (event-driven)\ndy/dt = -y / tau : volt (event-driven)",
        on_pre="ge_post += w\nx += up\nw = clip(w + y, 0*volt, w_max)",
        on_post="y += down\nw = clip(w + x, 0*volt, w_max)",
        namespace=names,
    )
    connect(data, 3200, plastic, inh)
    plastic.w = data["w"] / 10 * mV
    plastic.pre.delay = data["delay"] * ms
    return cells, plastic, inh


def connect(data, n_exc, exc, inh):
    """Make the synapses of excitatory and of inhibitory neurons, by number."""
    from_exc = data["pre"] < n_exc
    exc.connect(i=data["pre"][from_exc], j=data["post"][from_exc])
    inh.connect(i=data["pre"][~from_exc], j=data["post"][~from_exc])


def brian2_izhikevich(data):
    """The network of 2003 in its own scheme: two half-steps of v and one of u per millisecond, given noise."""
    from brian2 import NeuronGroup, Synapses, TimedArray, defaultclock, ms

    defaultclock.dt = 1 * ms
    model = "v : 1\nu : 1\nI : 1\na : 1 (constant)\nb : 1 (constant)\nc : 1 (constant)\nd : 1 (constant)"
    step = """
    I_now = I + noise(t, i)
    v += 0.5 * (0.04 * v**2 + 5 * v + 140 - u + I_now)
    v += 0.5 * (0.04 * v**2 + 5 * v + 140 - u + I_now)
    u += a * (b * v - u)
    I = 0
    """
    names = {"noise": TimedArray(data["noise"], dt=1 * ms)}
    cells = NeuronGroup(1000, model, threshold="v >= 30", reset="v = c\nu += d", namespace=names)
    cells.run_regularly(step, when="groups")
    for name in "abcd":
        setattr(cells, name, data[name])
    cells.v, cells.u = -65.0, data["b"] * -65.0
    synapses = Synapses(cells, cells, "w : 1", on_pre="I_post += w")
    synapses.connect()
    synapses.w = data["w"]
    return cells, synapses


def brian2_network(name, folder):
    """The network of that name, its objects in one explicit Network, and the monitor of its spikes."""
    from brian2 import Network, SpikeMonitor

    with np.load(folder / f"{name}.npz") as file:
        data = dict(file)
    if name == "izhikevich":
        objects = brian2_izhikevich(data)
    elif name == "coba":
        objects = brian2_coba(data, 4000, 3200)
    elif name == "plastic":
        objects = brian2_plastic(data)
    else:
        objects = brian2_current(data, len(data["v"]), len(data["v"]) * 4 // 5)
    monitor = SpikeMonitor(objects[0])
    return Network(*objects, monitor), monitor


# Workers: one simulator with one network, which run on demand


def penstock_task(name, folder):
    """Return the function that runs once and gives (CPU seconds of the run, number of spikes)."""
    net = penstock_network(name, folder)
    weights = [projection.weights for projection in net.projections if projection.plasticity]

    def task():
        net.reset()
        for projection, initial in zip(net.projections, weights, strict=False):
            projection.weights = initial
        start = time.process_time()
        result = net.run(BIOLOGICAL_MS, progress=False)
        seconds = time.process_time() - start
        return seconds, sum(len(trains.times) for trains in result.spikes.values())

    return task


def cython_task(name, folder):
    """The same for Brian2's run-time mode: the loop alone, from the first report to the last."""
    import brian2

    brian2.prefs.codegen.target = "cython"
    brian2.prefs.codegen.runtime.cython.cache_dir = str(folder / "cython")
    net, monitor = brian2_network(name, folder)
    net.store()
    moments = []

    def task():
        net.restore()
        moments.clear()
        net.run(
            BIOLOGICAL_MS * brian2.ms,
            report=lambda *_: moments.append(time.process_time()),
            report_period=1e6 * brian2.second,
            namespace={},
        )
        return moments[-1] - moments[0], int(monitor.num_spikes)

    return task


def standalone_task(name, folder):
    """The same for Brian2's C++ programs: CPU time of the loop alone, read inside the program."""
    import brian2

    directory = str(folder / f"{name}_standalone")
    brian2.set_device("cpp_standalone", build_on_run=False)
    net, monitor = brian2_network(name, folder)
    device = brian2.get_device()
    device.insert_code("before_network_run", CPU_CLOCK)
    device.insert_code("after_network_run", CPU_REPORT)
    net.run(BIOLOGICAL_MS * brian2.ms, namespace={})
    device.build(directory=directory, compile=True, run=False, with_output=False)

    def task():
        device.run(with_output=False)
        return float((Path(device.results_dir) / "cpu.txt").read_text()), int(monitor.num_spikes)

    return task


TASKS = {"penstock": penstock_task, "cython": cython_task, "standalone": standalone_task}


def worker(simulator, name, folder, once):
    """Run at every line read, after one run to warm up; or run once and stop."""
    measure.pin()
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what simulators print goes elsewhere
    task = TASKS[simulator](name, folder)
    print(json.dumps(task()), file=answer, flush=True)
    while not once and sys.stdin.readline():
        print(json.dumps(task()), file=answer, flush=True)


class Worker:
    """A process with one simulator and one network, warm after its making."""

    def __init__(self, simulator, name, folder):
        command = [sys.executable, __file__, "--worker", simulator, name, str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.run_number(first=True)

    def run_number(self, first=False):
        """Run once: CPU seconds of the loop and the number of spikes."""
        if not first:
            self.process.stdin.write("run\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self.process.args)} stopped")
        return json.loads(line)

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


# Reports


NETWORKS = {
    "cuba": "CUBA-4000",
    "coba": "COBA-4000",
    "large": "20,000 x 100",
    "plastic": "4000 x 100, STDP",
    "izhikevich": "Izhikevich-1000",
}


def peers():
    """Return the simulators present, and a line on those that are not."""
    if find_spec("brian2") is None:
        return ["penstock"], "Brian2 is not installed: its columns are missing (`pip install brian2`)."
    if which("g++") is None and which("c++") is None:
        return ["penstock"], "No C++ compiler: Brian2's cython and C++ modes are missing."
    return ["penstock", "cython", "standalone"], ""


PEERS = {"cython": "Brian2 cython", "standalone": "Brian2 C++"}
GOALS = {("cuba", "standalone"): 2, ("cuba", "cython"): 10, ("large", "standalone"): 1.8, ("large", "cython"): 3}


def spiking_bound(name, folder, n_spikes):
    """The least seconds of a run: the state of every neuron is read and written at every step, then the events.

    v, ge and gi or v, u and I, and two bytes of flags; an Izhikevich spike adds a row of float64 weights; a plastic one
    reads and writes a weight at either end of every synapse.
    """
    with np.load(folder / f"{name}.npz") as file:
        n_neurons = len(file["v"]) if "v" in file else 1000
        fan_out = len(file["pre"]) / n_neurons if "pre" in file else 1000
    n_steps = BIOLOGICAL_MS / (1.0 if name == "izhikevich" else 0.1)
    state = n_neurons * (3 * 8 + 2)
    traffic = [(2 * state * n_steps, state)]
    events = n_spikes * fan_out
    if name == "izhikevich":
        return roofline.bound(traffic=[*traffic, (8 * events, 8e6)])
    visits = events * (2 if name == "plastic" else 1)
    return roofline.bound(traffic=traffic) + roofline.bound(
        events=visits * roofline.scatter(n_neurons, round(n_neurons * fan_out))
    )


def headlines(name, title, folder, seconds, n_spikes):
    """The lines of benchmarks/RESULTS.md on one network."""
    ours = measure.Seconds.of(seconds["penstock"])
    bound = spiking_bound(name, folder, n_spikes)
    peers = [peer for peer in seconds if peer != "penstock"]
    if not peers:
        return [measure.row(f"{title}: 1 s", ours, bound=bound)]
    return [
        measure.row(
            f"{title}: 1 s",
            ours,
            PEERS[peer],
            measure.Seconds.of(seconds[peer]),
            goal=GOALS.get((name, peer)),
            bound=bound,
            label=title if name in ("cuba", "plastic") or (name, peer) == ("izhikevich", "standalone") else "",
        )
        for peer in peers
    ]


def run_rows(simulators, folder, repeats):
    """Time of the run alone, warm processes taking turns: lines of the table, and of the report."""
    rows, lines = [], []
    for name, title in NETWORKS.items():
        workers = {simulator: Worker(simulator, name, folder) for simulator in simulators}
        results = {simulator: [] for simulator in simulators}
        for _ in range(repeats):
            for simulator, process in workers.items():
                results[simulator].append(process.run_number())
        for process in workers.values():
            process.close()
        seconds = {simulator: np.array(result)[:, 0] for simulator, result in results.items()}
        counts = {simulator: {int(n) for _, n in result} for simulator, result in results.items()}
        lines += headlines(name, title, folder, seconds, max(counts["penstock"]))
        row = [title, f"{np.median(seconds['penstock']):.4f}", f"{seconds['penstock'].min():.4f}"]
        for peer in simulators[1:]:
            ratio = np.median(seconds[peer]) / np.median(seconds["penstock"])
            row += [f"{np.median(seconds[peer]):.4f}", f"{seconds[peer].min():.4f}", f"**{ratio:.2f}**"]
        everyone = set.union(*counts.values())
        row.append(f"{everyone.pop():,}, equal" if len(everyone) == 1 else f"{counts}")
        rows.append(row)
        print(row, flush=True)
    return rows, lines


def whole(simulator, name, folder, cache):
    """CPU and wall seconds of a fresh process from its start to the result of one run, compilers included."""
    command = [sys.executable, __file__, "--worker", simulator, name, str(folder), "--once"]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def start_rows(simulators, folder, repeats, names):
    """Seconds to the first result: empty caches, then full ones."""
    rows = []
    for name in names:
        cold, warm = {}, {simulator: [] for simulator in simulators}
        with tempfile.TemporaryDirectory() as fresh:
            fresh = Path(fresh)
            (fresh / f"{name}.npz").write_bytes((folder / f"{name}.npz").read_bytes())
            for simulator in simulators:
                cold[simulator] = whole(simulator, name, fresh, fresh / "numba")
            for _ in range(repeats):
                for simulator in simulators:
                    warm[simulator].append(whole(simulator, name, fresh, fresh / "numba"))
        row = [NETWORKS[name]]
        for simulator in simulators:
            cpu, wall = np.median(warm[simulator], axis=0)
            row += [f"{cold[simulator][0]:.1f}", f"{cpu:.2f}" + (f" ({wall:.2f})" if simulator == "penstock" else "")]
        rows.append(row)
        print(row, flush=True)
    return rows


# The microcircuit


def microcircuit(scale=0.1, k_scale=0.3, warm_up=500.0, seconds=10, seed=1):
    """Build and run it in this process: CPU seconds, memory, rates and their standard errors."""
    from penstock.spiking import potjans_diesmann

    measure.pin()
    answer = {}
    start = time.process_time()
    net = potjans_diesmann(scale, seed, k_scale=k_scale)
    answer["build"] = time.process_time() - start
    answer["synapses"] = sum(len(projection) for projection in net.projections)
    for group in net.groups:
        net.record(group, "spikes")
    net.run(warm_up, progress=False)
    start = time.process_time()
    spikes = net.run(1000.0 * seconds, progress=False).spikes
    answer["run"] = (time.process_time() - start) / seconds
    answer["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    by_second = {name: trains.rate(1000.0) for name, trains in spikes.items()}
    answer["rates"] = {name: [rates.mean(), rates.std(ddof=1) / seconds**0.5] for name, rates in by_second.items()}
    print(json.dumps(answer))


def microcircuit_part():
    """The part of the report on the microcircuit."""
    command = [sys.executable, __file__, "--microcircuit"]
    answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    full = dict(zip(answer["rates"], (0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829), strict=True))
    rows = [[name, f"{mean:.3f} ± {error:.3f}", full[name]] for name, (mean, error) in answer["rates"].items()]
    return [
        "## Microcircuit of Potjans and Diesmann, a tenth of the neurons, three tenths of the in-degrees",
        f"{answer['synapses']:,} synapses with weights and delays of their own; dt 0.1 ms. Built in "
        f"{answer['build']:.2f} s, {answer['run']:.2f} s per second of model time, {answer['memory']:.2f} GiB at most "
        "in the process. Rates over 10 s after 500 ms, ± the standard error from the seconds. In-degrees shrink and "
        "weights grow as `potjans_diesmann` tells, which also has the rates of other scales.",
        measure.table(["population", "rate, Hz", "full network (NEST), Hz"], rows),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="of the runs")
    parser.add_argument("--starts", type=int, default=1, help="of the warm starts; 0: leave all starts out")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--started", nargs="+", choices=NETWORKS, default=["cuba"], help="whose starts are measured")
    parser.add_argument("--quick", action="store_true", help="one network, few repeats, no starts")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--microcircuit", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        simulator, name, folder = options.worker
        worker(simulator, name, Path(folder), options.once)
        return
    if options.microcircuit:
        microcircuit()
        return
    if options.quick:
        options.networks, options.repeats, options.starts = ["cuba"], 2, 0
    measure.pin()
    for name in set(NETWORKS) - set(options.networks):
        del NETWORKS[name]
    simulators, missing = peers()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        save_networks(folder)
        runs, lines = run_rows(simulators, folder, options.repeats)
        started = [name for name in NETWORKS if name in options.started]
        starts = start_rows(simulators, folder, options.starts, started) if options.starts else []
    measure.publish("spiking", "Spiking networks", *report(simulators, missing, options, runs, starts), rows=lines)


def report(simulators, missing, options, runs, starts):
    """The parts of the report."""
    header = ["network", "penstock, s", "(least)"]
    for peer in simulators[1:]:
        header += [f"{PEERS[peer]}, s", "(least)", "ratio"]
    first = ["network", "penstock cold, s", "warm (wall)"]
    for peer in simulators[1:]:
        first += [f"{PEERS[peer]} cold, s", "warm"]
    parts = [
        measure.machine(*(["brian2"] if simulators[1:] else [])),
        f"{measure.bandwidth()}. One core, one thread, process CPU seconds. {missing}".strip(),
        "## One second of model time",
        f"Medians of {options.repeats} runs of warm processes in turns, spikes of all neurons recorded, the same "
        "wiring, initial state and input everywhere. penstock: the whole call of `Network.run`. Brian2 cython: the "
        "loop alone, from the first progress report to the last, without the preparation of each `run`. Brian2 C++: "
        "the loop alone, by the CPU clock of the program, without loading and saving.",
        "CUBA-4000 and COBA-4000: `vogels_abbott_cuba(1)` and `vogels_abbott_coba(1)`, 320,150 synapses, dt 0.1 ms, "
        "exact integration and exponential Euler. 20,000 x 100: neurons, weights and time constants of CUBA, 16,000 "
        "excitatory and 4000 inhibitory, 100 random targets each. 4000 x 100, STDP: a fifth of it, every excitatory "
        "synapse with a weight and a delay (0.1 to 5 ms) of its own, additive STDP of all pairs. Izhikevich-1000: "
        "`izhikevich_2003(3)`, all-to-all, dt 1 ms, scheme of half-steps, tabulated noise.",
        measure.table([*header, "spikes"], runs),
    ]
    if starts:
        parts += [
            "## To the first result",
            "CPU seconds of a fresh process from its start to the spikes of 1 s: imports, building the network and "
            f"compilers included. Cold: empty caches. Warm: median of {options.starts} with the caches of the cold "
            "one; for Brian2 C++ an unchanged program in the same directory. penstock draws the wiring, Brian2 reads "
            "it from a file.",
            measure.table(first, starts),
        ]
    return parts if options.quick else [*parts, *microcircuit_part()]


if __name__ == "__main__":
    main()
