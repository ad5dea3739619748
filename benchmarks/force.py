"""Cost of FORCE on a spiking network: penstock against Brian2 with the learning in Python operations; marks by seed."""

import measure  # first: it sets the thread counts that libraries read when they load

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import roofline

MODEL_MS, LEARN = 900.0, (300.0, 600.0)
SETTINGS = (
    ("izhikevich", 1000, True),
    ("izhikevich", 1000, False),
    ("izhikevich", 2000, True),
    ("lif", 2000, True),
    ("lif", 2000, False),
    ("theta", 1000, True),
    ("theta", 1000, False),
)
KINDS = {"izhikevich": "Izhikevich", "lif": "LIF", "theta": "theta"}


def sine(t):
    """Return the target at times t (ms): 5 Hz."""
    return np.sin(2 * np.pi * 5 * t / 1000)


# The network of Izhikevich neurons in both simulators


def penstock_task(n, learning):
    """Return the function that runs once and gives (CPU seconds, spikes in the first 100 ms, spikes)."""
    from penstock.spiking import ForceNetwork

    net, learn = ForceNetwork.izhikevich(n, seed=0), LEARN if learning else None

    def task():
        start = time.process_time()
        result = net.force(sine, duration=MODEL_MS, learn=learn, progress=False)
        seconds = time.process_time() - start
        return seconds, int((result.spikes.times <= 100.0).sum()), result.spikes.n_spikes

    return task


STEP = """
I = s + E * z + 1000
old = v
v += dt_ms / 250 * (2.5 * (v + 60) * (v + 19.2) - u + I)
u += dt_ms * 0.01 * (-2 * (old + 60) - u)
s = s * keep_r + h * dt_ms
h *= keep_d
r = r * keep_r + hr * dt_ms
hr *= keep_d
"""


def brian2_task(n, learning, target, folder):
    """The same in Brian2, whose loop alone is timed: from the first progress report to the last.

    The state update is one block of code, the output z = φ' r a Python operation per step (NumPy's dot product), the
    least squares another every 20 steps (BLAS: a symmetric product, then a rank-one update in place).
    """
    import brian2
    from brian2 import Network, NeuronGroup, SpikeMonitor, Synapses, defaultclock, ms, network_operation
    from scipy.linalg import blas

    from penstock.spiking import ForceNetwork

    brian2.prefs.codegen.target = target
    brian2.prefs.codegen.runtime.cython.cache_dir = str(folder / "cython")
    net = ForceNetwork.izhikevich(n, seed=0)
    defaultclock.dt = net.dt * ms
    names = {"dt_ms": net.dt, "keep_r": np.exp(-net.dt / 2), "keep_d": np.exp(-net.dt / 20), "gain": 1 / 40}
    model = "v : 1\nu : 1\ns : 1\nh : 1\nr : 1\nhr : 1\nE : 1 (constant)\nz : 1 (shared)"
    reset = "v = -65\nu += 200\nhr += gain"
    cells = NeuronGroup(n, model, threshold="v >= 30", reset=reset, namespace=names)
    cells.run_regularly(STEP, when="groups")
    cells.v, cells.E = net.v0, net.E[:, 0]
    synapses = Synapses(cells, cells, "w : 1 (constant)", on_pre="h_post += w * gain", namespace=names)
    edges = net.W0.tocoo()
    synapses.connect(i=edges.col, j=edges.row)
    synapses.w = edges.data
    monitor = SpikeMonitor(cells)
    r, z = cells.variables["r"].get_value(), cells.variables["z"].get_value()
    learner = {"phi": np.zeros(n), "P": np.asfortranarray(2.0 * np.eye(n)), "step": 0}
    first, last = (round(time / net.dt) for time in LEARN)

    @network_operation(when="end")
    def read():
        z[:] = learner["phi"] @ r
        learner["step"] += 1

    @network_operation(dt=20 * net.dt * ms, when="end", order=1)
    def learn():
        step = learner["step"]  # steps done
        if learning and first < step <= last:
            k = blas.dsymv(1.0, learner["P"], r)
            size = 1 + r @ k
            learner["phi"] -= k * ((z[0] - sine(step * net.dt)) / size)
            blas.dsyr(-1 / size, k, a=learner["P"], overwrite_a=1)

    whole = Network(cells, synapses, monitor, read, learn)
    whole.store()
    moments = []

    def task():
        whole.restore()
        moments.clear()
        learner.update(phi=np.zeros(n), P=np.asfortranarray(2.0 * np.eye(n)), step=0)
        report = {"report": lambda *_: moments.append(time.process_time()), "report_period": 1e6 * brian2.second}
        whole.run(MODEL_MS * ms, namespace={}, **report)
        times = monitor.t / ms
        return moments[-1] - moments[0], int((times < 100.0 - net.dt / 2).sum()), int(monitor.num_spikes)

    return task


# Workers: one simulator each, which run on demand


def worker(simulator, n, learning, folder):
    """Run once to warm up, then at every line read."""
    measure.pin()
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what simulators print goes elsewhere
    task = penstock_task(n, learning) if simulator == "penstock" else brian2_task(n, learning, simulator, folder)
    print(json.dumps(task()), file=answer, flush=True)
    while sys.stdin.readline():
        print(json.dumps(task()), file=answer, flush=True)


class Worker:
    """A process with one simulator, warm after its making."""

    def __init__(self, simulator, n, learning, folder):
        command = [sys.executable, __file__, "--worker", simulator, str(n), str(int(learning)), str(folder)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.answer()

    def answer(self):
        """Read one result."""
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self.process.args)} stopped")
        return json.loads(line)

    def run(self):
        """Run once: CPU seconds, spikes at first, all spikes."""
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def compared(simulators, n, learning, repeats, folder):
    """Return a line: median CPU seconds of all, taking turns, whether first spikes agree; and those of the report."""
    workers = {simulator: Worker(simulator, n, learning, folder) for simulator in simulators}
    results = {simulator: [] for simulator in simulators}
    for _ in range(repeats):
        for simulator, process in workers.items():
            results[simulator].append(process.run())
    for process in workers.values():
        process.close()
    seconds = {simulator: np.median([result[0] for result in runs]) for simulator, runs in results.items()}
    lines = headlines(n, learning, results)
    row = [n, "with" if learning else "without", f"{seconds['penstock']:.3f}"]
    for peer in simulators[1:]:
        row += [f"{seconds[peer]:.2f}", f"**{seconds[peer] / seconds['penstock']:.0f}**"]
    first = {runs[0][1] for runs in results.values()}
    row.append(f"{first.pop():,}, equal" if len(first) == 1 else f"{[runs[0][1] for runs in results.values()]}")
    row.append(", ".join(f"{runs[0][2]:,}" for runs in results.values()))
    print(row, flush=True)
    return row, lines


def headlines(n, learning, results):
    """Lines of benchmarks/RESULTS.md.

    The bound: six numbers per neuron are read and written at every step (0.04 ms), a tenth of all neurons gets every
    spike, and half of P is read once per update.
    """
    ours, *peers = (measure.Seconds.of([run[0] for run in runs]) for runs in results.values())
    n_steps, n_updates = MODEL_MS / 0.04, 375 if learning else 0
    state, half, n_spikes = n * 6 * 8, n * n * 4, results["penstock"][0][2]
    bound = roofline.bound(
        traffic=[(2 * state * n_steps, state), (half * n_updates, half)],
        events=n_spikes * 0.1 * n * roofline.scatter(n, n * n // 10),
    )
    name = f"FORCE, {n} Izhikevich neurons, {'learning' if learning else 'running'}: {MODEL_MS / 1000:g} s"
    if not peers:
        return [measure.row(name, ours, bound=bound)]
    names = [f"Brian2 {simulator}" for simulator in list(results)[1:]]
    label = "FORCE, 1000 Izhikevich" if learning else ""
    return [
        measure.row(name, ours, peer, times, bound=bound, label=label if peer.endswith("cython") else "")
        for peer, times in zip(names, peers, strict=True)
    ]


# The whole run of 15 s, and what it learns


def marks(kind, n, normalised, seeds):
    """Return a row per seed: cost and marks of the published run, 5 s to learn of 15 s."""
    from penstock.spiking import ForceNetwork

    rows = []
    for seed in seeds:
        net = getattr(ForceNetwork, kind)(n, seed=seed)
        start = time.process_time()
        result = net.force(sine, normalised=normalised, progress=False)
        seconds = time.process_time() - start
        aligned, short = result.lag_aligned_correlation()[0], result.lag_aligned_correlation(1000.0)[0]
        amplitude = np.sqrt(2) * result.output[result.free].std()
        rule = "textbook" if normalised else "as published"
        rates = " → ".join(f"{rate:.1f}" for rate in result.rates)
        rows.append([KINDS[kind], n, rule, seed, f"{seconds:.2f}", f"{result.frequency[0]:.3f}"])
        rows[-1] += [f"{amplitude:.3f}", f"{aligned:.3f}", f"{short:.3f}", rates]
        print(rows[-1], flush=True)
    return rows


def summary(rows):
    """Return the lines on how many runs reach the marks."""
    found = np.array([[float(row[column]) for column in (5, 7, 8)] for row in rows])
    return (
        f"{len(rows)} runs: frequency {found[:, 0].min():.3f} to {found[:, 0].max():.3f} Hz; correlation at one lag at "
        f"least 0.9 in {(found[:, 1] >= 0.9).sum()}, within windows of 1 s in {(found[:, 2] >= 0.9).sum()}."
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="few repeats, one seed of the smallest network")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.seeds = 2, 1
    if options.worker:
        simulator, n, learning, folder = options.worker
        worker(simulator, int(n), bool(int(learning)), Path(folder))
        return
    measure.pin()
    simulators = ["penstock", "cython", "numpy"] if find_spec("brian2") else ["penstock"]
    with tempfile.TemporaryDirectory() as folder:
        cost = [compared(simulators, 1000, learning, options.repeats, Path(folder)) for learning in (True, False)]
    runs = []
    for kind, n, normalised in SETTINGS[: 1 if options.quick else None]:
        runs += marks(kind, n, normalised, range(options.seeds))
    table, lines = zip(*cost, strict=True)
    measure.publish(
        "force",
        "FORCE on spiking networks",
        *report(simulators, options, table, runs),
        rows=[line for pair in lines for line in pair],
    )


def report(simulators, options, cost, runs):
    """The parts of the report."""
    header = ["neurons", "learning", "penstock, s"]
    for peer in simulators[1:]:
        header += [f"Brian2 {peer}, s", "ratio"]
    whole = ["neurons", "n", "rule", "seed", "CPU s", "frequency, Hz", "amplitude", "at one lag", "1 s windows", "Hz"]
    return [
        measure.machine(*(["brian2"] if simulators[1:] else [])),
        f"{measure.bandwidth()}. One core, one thread, process CPU seconds.",
        f"## {MODEL_MS / 1000:g} s of model time, Izhikevich neurons, dt 0.04 ms",
        f"Medians of {options.repeats} runs of warm processes in turns; the same weights, feedback and initial state. "
        f"With learning: {LEARN[0]:g} to {LEARN[1]:g} ms, every 20 steps (375 updates), textbook rule. penstock: the "
        "whole call of `ForceNetwork.force`, spikes and outputs recorded. Brian2: the loop alone, from the first "
        "progress report to the last; a block of code for the state, a `network_operation` per step for z = φ' r, one "
        "per 20 steps for the least squares with BLAS (dsymv, dsyr in place); spikes recorded. Spikes: of the first "
        "100 ms, before chaos makes more of the rounding, and of the whole run in the order of the columns.",
        measure.table([*header, "spikes, 100 ms", "spikes"], cost),
        "## The sine of 5 Hz, 15 s of model time, learning from 5 to 10 s",
        "Parameters of Nicola and Clopath (2017). Amplitude: sqrt 2 times the standard deviation of the free run. "
        "Correlations of output and sine over the last 5 s, at the best lag: one for all of it, or one per second (a "
        "frequency off by 1 % costs the first, not the second). Rates before, while and after learning.",
        summary(runs),
        measure.table(whole, runs),
    ]


if __name__ == "__main__":
    main()
