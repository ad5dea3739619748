"""How time and memory grow: an echo-state network's states and readout with N, T and the batch, spikes with synapses.

Every point is a process of its own, on one core: the least CPU seconds of up to three calls, and the growth of the
resident set in one more. Exponents are slopes of a straight line through the logarithms, with its standard error.
"""

import measure  # first: it sets the thread counts that libraries read when they load

import argparse
import json
import subprocess
import sys
import time

import numpy as np

N_STEPS, FAN_OUT = 1000, 100
TASKS = {  # name: (symbol, sizes, label); sizes of --quick are the first three
    "dense": ("N", (150, 300, 600, 1200, 2400), "states, dense"),
    "sparse": ("N", (150, 300, 600, 1200, 2400), "states, 10 per row"),
    "fit": ("N", (150, 300, 600, 1200, 2400), "readout, streamed"),
    "long": ("T", (3000, 10_000, 30_000, 100_000, 300_000), "states, N = 300"),
    "streamed": ("T", (3000, 10_000, 30_000, 100_000, 300_000), "readout, streamed"),
    "batch": ("B", (4, 8, 16, 32, 64, 128), "states, N = 500"),
    "spiking": ("synapses", (100_000, 300_000, 1_000_000, 3_000_000), "LIF network, 0.2 s"),
}
PANELS = {  # symbol: what the axis says
    "N": f"units N (T = {N_STEPS})",
    "T": "steps T (10 per row, N = 300)",
    "B": "series B (dense, N = 500, T = 200)",
    "synapses": f"synapses ({FAN_OUT} per neuron)",
}


def sparse_esn(n_units):
    """Ten weights per row, spectral radius about 0.9."""
    import scipy.sparse as sp

    from penstock.reservoirs import ESN

    rng = np.random.default_rng(0)
    values = rng.standard_normal(10 * n_units) * 0.9 / np.sqrt(10)
    places = rng.integers(n_units, size=10 * n_units), np.repeat(np.arange(n_units), 10)
    W = sp.csr_array((values, places[::-1]), shape=(n_units, n_units))
    return ESN(W, rng.uniform(-1, 1, (n_units, 1)), leak=0.3)


def dense_esn(n_units):
    """All coupled, spectral radius about 0.9."""
    from penstock.reservoirs import ESN

    rng = np.random.default_rng(0)
    W = rng.standard_normal((n_units, n_units)) * 0.9 / np.sqrt(n_units)
    return ESN(W, rng.uniform(-1, 1, (n_units, 1)), leak=0.3)


def fit(esn, u):
    """Ridge readout of the input five steps ago, the states never stored."""
    from penstock import Ridge

    target = np.roll(u, 5)

    def blocks():
        starts = range(0, len(u), 500)
        return ((X, target[start : start + 500]) for start, X in zip(starts, esn.blocks(u, 500), strict=True))

    return Ridge(1.0).fit_blocks(blocks)


def spikes(n_synapses):
    """Build neurons of CUBA with random targets and run them for 0.2 s."""
    from penstock.spiking import LIF, Exponential, Network, from_edges

    n, rng = n_synapses // FAN_OUT, np.random.default_rng(0)
    n_exc = n * 4 // 5
    net = Network(dt=0.1, seed=0)
    neurons = LIF(n, tau_m=20, C_m=200, E_L=-49, V_th=-50, V_reset=-60, t_ref=5)
    cells = net.add(neurons, name="cells", v=rng.uniform(-60, -50, n))
    for part, size, name, tau, weight in (
        (cells[:n_exc], n_exc, "ge", 5.0, 16.2),
        (cells[n_exc:], n - n_exc, "gi", 10.0, -90.0),
    ):
        pre, post = np.repeat(np.arange(size), FAN_OUT), rng.integers(n, size=size * FAN_OUT)
        net.connect(part, cells, Exponential(tau, name=name), from_edges(pre, post), weight=weight, delay=0)
    net.record(cells, "spikes")
    return net


def prepare(name, size):
    """Return the function to be measured at one size."""
    rng = np.random.default_rng(1)
    if name in ("dense", "sparse", "fit"):
        esn, u = (dense_esn if name == "dense" else sparse_esn)(size), rng.uniform(-1, 1, (N_STEPS, 1))
        return (lambda: fit(esn, u)) if name == "fit" else (lambda: esn.run(u))
    if name in ("long", "streamed"):
        esn, u = sparse_esn(300), rng.uniform(-1, 1, (size, 1))
        return (lambda: fit(esn, u)) if name == "streamed" else (lambda: esn.run(u))
    if name == "batch":
        esn, u = dense_esn(500), rng.uniform(-1, 1, (size, 200, 1))
        return lambda: esn.run(u)
    net = spikes(size)

    def task():
        net.reset()
        return net.run(200.0, progress=False)

    return task


def worker(name, size):
    """Print the seconds and the MB of one point; the memory of a spiking network includes its synapses."""
    measure.pin()
    prepare(name, TASKS[name][1][0])()  # kernels are compiled or loaded
    if name == "spiking":
        memory = measure.peak_memory(lambda: prepare(name, size)())
        task = prepare(name, size)
    else:
        task = prepare(name, size)
        memory = measure.peak_memory(task)
    seconds = []
    while len(seconds) < 3 and sum(seconds) < 2:
        start = time.process_time()
        task()
        seconds.append(time.process_time() - start)
    print(json.dumps([min(seconds), memory]))


def exponent(sizes, values):
    """Return the slope of log(values) over log(sizes), and its standard error."""
    x, y = np.log(sizes), np.log(values)
    (slope, start), residual = np.polyfit(x, y, 1), 0.0
    residual = y - start - slope * x
    error = np.sqrt(residual @ residual / max(len(x) - 2, 1) / ((x - x.mean()) ** 2).sum())
    return float(slope), float(error)


def points(quick):
    """Return {name: array of (size, seconds, MB)}."""
    found = {}
    for name, (_, sizes, _) in TASKS.items():
        rows = []
        for size in sizes[: 3 if quick else None]:
            command = [sys.executable, __file__, "--worker", name, str(size)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rows.append([size, *json.loads(done.stdout)])
        found[name] = np.array(rows)
        print(name, rows, flush=True)
    return found


def draw(found, path):
    """Draw time (left, full lines) and memory (right, broken lines) in four panels."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams["font.size"] = 13
    figure, axes = plt.subplots(2, 2, figsize=(12, 10), layout="constrained")
    for (symbol, text), ax in zip(PANELS.items(), axes.flat, strict=True):
        right, colours, marks = ax.twinx(), iter(("C0", "C1", "C2")), iter("os^")
        for name, (kind, _, label) in TASKS.items():
            if kind != symbol:
                continue
            size, seconds, memory = found[name].T
            style = {"color": next(colours), "marker": next(marks), "linewidth": 2, "markersize": 7}
            time_slope, memory_slope = (
                exponent(size, np.maximum(y, 0.1 * (y is memory)))[0] for y in (seconds, memory)
            )
            letter = symbol[0].upper()
            text_of = f"{label}: s ∝ {letter}$^{{{time_slope:.2f}}}$, MB ∝ {letter}$^{{{memory_slope:.2f}}}$"
            ax.loglog(size, seconds, label=text_of, **style)
            right.loglog(size, np.maximum(memory, 0.1), linestyle="--", markerfacecolor="white", **style)
            ax.set_xticks(size, [f"{value:,.0f}" for value in size])
            ax.xaxis.set_minor_formatter("")
        ax.set(xlabel=text, ylabel="CPU seconds (full lines)")
        right.set_ylabel("MB (broken lines)")
        for one in (ax, right):  # room for the legend
            low, high = one.get_ylim()
            one.set_ylim(low, high * (high / low) ** 0.45)
        ax.legend(loc="upper left", fontsize=11.5)
        ax.grid(alpha=0.3)
    figure.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three sizes each")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        name, size = options.worker
        worker(name, int(size))
        return
    measure.pin()
    found = points(options.quick)
    measure.RESULTS.mkdir(parents=True, exist_ok=True)
    draw(found, measure.RESULTS / "growth.png")
    lines = []
    for name, values in found.items():
        symbol, _, label = TASKS[name]
        slopes = [f"{slope:.2f} ± {error:.2f}" for slope, error in (exponent(values[:, 0], y) for y in
                  (values[:, 1], np.maximum(values[:, 2], 0.1)))]  # fmt: skip
        ends = [f"{value:,.0f}" for value in values[[0, -1], 0]]
        seconds = [f"{value:.3g}" for value in values[[0, -1], 1]]
        memory = [f"{value:.3g}" for value in values[[0, -1], 2]]
        lines.append(
            [label, f"{symbol} = {' to '.join(ends)}", slopes[0], slopes[1], " to ".join(seconds), " to ".join(memory)]
        )
    header = ["what", "against", "exponent of time", "exponent of memory", "CPU s", "MB"]
    text = (
        f"N: {N_STEPS} steps. T: ten weights per row, N = 300. B: dense, N = 500, 200 steps. Synapses: {FAN_OUT} per "
        "neuron, their number grows. Readout: a ridge fit over blocks of 500 states, which are not stored. Memory: by "
        "how much the resident set of the process grows in one call, the network itself not counted, but for the "
        "spiking one. Least of up to three calls; slopes of straight lines through the logarithms, ± standard error."
    )
    table = measure.table(header, lines)
    figure = "![Time and memory against N, T, batch and synapses](results/growth.png)"
    measure.publish(
        "growth", "Growth of the cost", measure.machine(), f"{measure.bandwidth()}.", text, table,
        summary="\n\n".join([text, table, figure]),
    )  # fmt: skip


if __name__ == "__main__":
    main()
