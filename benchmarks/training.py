"""Cost of training and of closed loops, against scikit-learn and ReservoirPy."""

import measure  # first: it sets the thread counts that libraries read when they load

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import roofline
import scipy.sparse as sp
from sklearn.linear_model import RidgeCV

from penstock import Readout, Ridge
from penstock.data import mackey_glass
from penstock.reservoirs import ESN

LEAK = 0.3

# A path of penalties with exact leave-one-out


def features(kind, n_steps, n_units):
    """States and next value of a teacher-forced reservoir, or white features and a noisy target."""
    rng = np.random.default_rng(0)
    if kind == "white noise":
        X = rng.standard_normal((n_steps, n_units))
        return X, X[:, 0] + rng.standard_normal(n_steps)
    series = mackey_glass(n_steps + 501, tau=17)
    if kind == "reservoir, noisy series":
        series = series + 0.05 * rng.standard_normal(len(series))
    states = ESN.random(n_units, spectral_radius=0.9, leak=LEAK, seed=0).run(series[:-1])
    return states[500:], series[501:]


def path_row(kind, n_steps, n_units, repeats):
    """Seconds of 20 penalties, scored by exact leave-one-out: a line of the table and one of the report."""
    X, y = features(kind, n_steps, n_units)
    alphas = np.linalg.norm(X - X.mean(axis=0), 2) ** 2 * np.logspace(-11, 0, 20)
    exact, free = Ridge(alphas, leave_one_out=True), Ridge(alphas)
    peer = RidgeCV(alphas, store_cv_results=True)
    times = measure.interleaved({"exact": lambda: exact.fit(X, y), "free": lambda: free.fit(X, y)}, repeats=7)
    times |= measure.interleaved({"peer": lambda: peer.fit(X, y)}, repeats=repeats, at_least=0.0)
    difference = np.abs(exact.scores_[:, 0] / peer.cv_results_.mean(axis=0) - 1)
    ours, theirs = (np.log10(model.alpha_ / alphas[-1]).item() for model in (exact, peer))
    row = measure.row(
        f"ridge path, 20 penalties, exact leave-one-out, {kind}, N = {n_units}, T = {n_steps}",
        times["exact"],
        "scikit-learn",
        times["peer"],
        goal=20,
        bound=roofline.bound(flops=3 * n_units**2 * n_steps),  # a Gram matrix and the projections on its eigenvectors
        label="ridge path, leave-one-out" if kind == "reservoir" else "",
    )
    line = [
        kind,
        f"{times['peer'][0]:.2f}",
        f"{times['exact'][0]:.3f}",
        f"{times['exact'][1]:.3f}",
        f"**{times['peer'][0] / times['exact'][0]:.1f}**",
        f"{times['free'][0]:.3f}",
        f"{times['peer'][0] / times['free'][0]:.0f}",
        f"{np.median(difference):.0e}, {difference.max():.0e}",
        f"{ours:.1f}, {theirs:.1f}",
    ]
    return line, row


# States and readout together, in processes of their own


def training_data(n_steps, n_units, n_outputs=5):
    """Sparse weights with ten entries per row, inputs, and delayed inputs as targets."""
    rng = np.random.default_rng(0)
    columns = np.argsort(rng.random((n_units, n_units)), axis=1)[:, :10].ravel()
    values = rng.standard_normal(10 * n_units) * 0.9 / np.sqrt(10)
    W = sp.csr_matrix((values, columns, np.arange(0, 10 * n_units + 1, 10)), shape=(n_units, n_units))
    u = rng.uniform(-1, 1, (n_steps, 1))
    Y = np.column_stack([np.roll(u[:, 0], 2 * delay) for delay in range(1, n_outputs + 1)])
    return W, rng.uniform(-1, 1, (n_units, 1)), u, Y


def streamed(W, W_in, u, Y):
    """Weights of ours: states go into the sums block by block."""
    esn = ESN(sp.csr_array(W), W_in, leak=LEAK)

    def blocks():
        starts = range(0, len(u), 512)
        return ((X, Y[start : start + 512]) for start, X in zip(starts, esn.blocks(u, 512), strict=True))

    return Ridge(1.0).fit_blocks(blocks).coef_


def stored(W, W_in, u, Y):
    """Weights of ReservoirPy: all states, then their products."""
    from reservoirpy.nodes import Reservoir
    from reservoirpy.nodes import Ridge as PeerRidge

    reservoir = Reservoir(units=len(W_in), W=W, Win=W_in, bias=np.zeros(len(W_in)), lr=LEAK)
    readout = PeerRidge(ridge=1.0)
    readout.fit(reservoir.run(u), Y)
    return readout.Wout.T


def worker(name, n_steps, n_units, path):
    """Fit once after a small warm-up; write the weights, print CPU seconds and the growth of memory in MB."""
    measure.pin()
    fit = {"streamed": streamed, "stored": stored}[name]
    fit(*training_data(1500, 100))
    data = training_data(n_steps, n_units)
    result = {}

    def task():
        start = time.process_time()
        result["weights"] = fit(*data)
        result["seconds"] = time.process_time() - start

    megabytes = measure.peak_memory(task)
    np.save(path, result["weights"])
    print(json.dumps([result["seconds"], megabytes]))


def fit_row(n_steps, n_units, repeats):
    """CPU seconds and memory of collecting states and fitting a readout, processes taking turns."""
    results = {"streamed": [], "stored": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for name, result in results.items():
                command = [
                    sys.executable,
                    __file__,
                    "--worker",
                    name,
                    str(n_steps),
                    str(n_units),
                    f"{folder}/{name}.npy",
                ]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                result.append(json.loads(done.stdout))
        ours, theirs = (np.load(Path(folder) / f"{name}.npy") for name in results)
    (ours_s, ours_mb), (peer_s, peer_mb) = (np.median(result, axis=0) for result in results.values())
    ours_times, peer_times = (measure.Seconds.of(np.array(result)[:, 0]) for result in results.values())
    gram = roofline.bound(flops=n_units**2 * n_steps)
    rows = [
        measure.row(
            f"states and ridge readout, 10 per row, N = {n_units}, T = {n_steps}",
            ours_times,
            "ReservoirPy",
            peer_times,
            goal=2,
            bound=gram + roofline.esn_step(n_units, 10 * n_units).scaled(n_steps),
            label=f"states and ridge, {n_units}",
        ),
        measure.row("the same: memory beyond the data", ours_mb, "ReservoirPy", peer_mb, unit="MB", at_most=300),
    ]
    line = [
        n_units,
        n_steps,
        f"{peer_s:.2f}",
        f"{ours_s:.2f}",
        f"{np.min(results['streamed'], axis=0)[0]:.2f}",
        f"**{peer_s / ours_s:.2f}**",
        f"{peer_mb:.0f}",
        f"{ours_mb:.0f}",
        f"{np.abs(ours - theirs).max() / np.abs(theirs).max():.0e}",
    ]
    return line, rows


def readouts(repeats, quick):
    """The parts of the report on readouts, and its lines in RESULTS.md."""
    sizes = (2000, 100) if quick else (20_000, 500)
    paths = [path_row(kind, *sizes, repeats) for kind in ("reservoir", "reservoir, noisy series", "white noise")]
    line, rows = fit_row(*((5000, 200) if quick else (100_000, 1000)), repeats)
    parts = [
        "## Twenty penalties with exact leave-one-out",
        f"N = {sizes[1]} features, T = {sizes[0]} rows, one target, penalties 1e-11 to 1 times the largest eigenvalue. "
        "Reservoir: states of a dense ESN (radius 0.9, leak 0.3) that reads a Mackey-Glass series; directions below "
        "rounding need no products. White noise: independent features, the worst case. GCV: the same path scored by "
        "generalised cross-validation, the default. Differences of scores are relative, median and largest over the "
        "path; ill-conditioned ones differ because a Gram matrix squares the condition number.",
        measure.table(
            [
                "features",
                "RidgeCV, s",
                "penstock, s",
                "(least)",
                "ratio",
                "by GCV, s",
                "ratio",
                "difference of scores",
                "log10 of relative alpha: ours, RidgeCV",
            ],
            [path for path, _ in paths],
        ),
        "## States and readout together",
        "Ten weights per row, five targets, the same matrices and penalty; ReservoirPy's `Reservoir.run` and "
        "`Ridge.fit` against `Ridge.fit_blocks` over `ESN.blocks`. Fresh processes in turns, after a small warm-up; "
        "memory is the growth of the resident set, inputs and targets not counted.",
        measure.table(
            [
                "N",
                "T",
                "ReservoirPy, s",
                "penstock, s",
                "(least)",
                "ratio",
                "ReservoirPy, MB",
                "penstock, MB",
                "largest difference of weights, relative",
            ],
            [line],
        ),
    ]
    return parts, [row for _, row in paths] + rows


# Closed loops


def loop_row(n_units, density, repeats, n_steps=1000):
    """Microseconds per step of a trained network that is fed its own output, with the same arrays on both sides."""
    from reservoirpy.nodes import Reservoir
    from reservoirpy.nodes import Ridge as PeerRidge

    esn = ESN.random(
        n_units, spectral_radius=0.9, input_scaling=0.3, bias_scaling=0.3, leak=0.5, density=density, seed=0
    )
    u = mackey_glass(3000)
    u = ((u - u.mean()) / u.std())[:, None]
    W = esn.W if density is None else sp.csr_matrix(esn.W)
    reservoir = Reservoir(units=n_units, W=W, Win=np.array(esn.W_in), bias=np.array(esn.bias), lr=0.5)
    readout = PeerRidge(ridge=1e-6)
    model = reservoir >> readout
    model.fit(u[:-1], u[1:], warmup=100)
    ours = Readout(readout.Wout.T, np.ravel(readout.bias))
    closed, start = esn.close(ours), esn.run(u)[-1]

    def peer():
        reservoir.state = {"out": start.copy()}
        outputs = [ours(start)]
        for _ in range(n_steps):
            outputs.append(model(outputs[-1]))
        return np.array(outputs)

    def penstock():
        return ours(np.vstack([start, closed.run(n_steps, start)]))

    difference = np.abs(penstock()[:20] - peer()[:20]).max()
    times = measure.interleaved({"penstock": penstock, "peer": peer}, repeats=repeats, at_least=0.2)
    times = {name: times[name].scaled(1 / n_steps) for name in times}
    mine, theirs = (1e6 * times[name].median for name in ("penstock", "peer"))
    kind = "dense" if density is None else f"{density:.0%} of W"
    n_nonzero = None if density is None else esn.W.nnz
    row = measure.row(
        f"closed loop, {kind}, N = {n_units}: a step",
        times["penstock"],
        "ReservoirPy",
        times["peer"],
        bound=roofline.esn_step(n_units, n_nonzero),
        label=f"closed loop, {kind}, {n_units}" if (n_units, kind) == (500, "10% of W") else "",
    )
    line = [
        n_units,
        "dense" if density is None else f"{density:.0%}",
        f"{theirs:.0f}",
        f"{mine:.1f}",
        f"{1e6 / mine:,.0f}",
        f"**{theirs / mine:.1f}**",
        f"{difference:.0e}",
    ]
    return line, row


def loops(repeats, quick):
    """The part of the report on closed loops, and its lines in RESULTS.md."""
    sizes = (100,) if quick else (100, 500, 1000)
    cells = [loop_row(n_units, density, repeats) for n_units in sizes for density in (0.1, None)]
    header = ["N", "W", "ReservoirPy, us per step", "penstock", "steps/s", "ratio", "difference over 20 steps"]
    parts = [
        "## Closed loops",
        "Leaky ESN trained on Mackey-Glass, its output fed back for 1000 steps, outputs included; the same matrices "
        "and readout. ReservoirPy: `y = model(y)` in a loop.",
        measure.table(header, [line for line, _ in cells]),
    ]
    return parts, [row for _, row in cells]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="of the slow peers")
    parser.add_argument("--quick", action="store_true", help="smallest sizes only")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        name, n_steps, n_units, path = options.worker
        worker(name, int(n_steps), int(n_units), path)
        return
    measure.pin()
    repeats = 2 if options.quick else options.repeats
    loop_parts, loop_rows = loops(repeats, options.quick)
    readout_parts, readout_rows = readouts(repeats, options.quick)
    measure.publish(
        "training",
        "Training, and closed loops",
        measure.machine("reservoirpy", "scikit-learn"),
        f"{measure.bandwidth()}. One core, one thread, process CPU seconds, medians.",
        *loop_parts,
        *readout_parts,
        rows=readout_rows + loop_rows,
    )


if __name__ == "__main__":
    main()
