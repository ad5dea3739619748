"""Cost of the memory-capacity curve against loops of ridge fits and ReservoirPy, and of starting up."""

import measure  # first: it sets the thread counts that libraries read when they load

import subprocess
import sys
import time

import numpy as np
from reservoirpy.nodes import Reservoir, Ridge
from reservoirpy.observables import memory_capacity as peer_capacity
from sklearn.linear_model import Ridge as SklearnRidge

from penstock.analysis import memory_capacity
from penstock.reservoirs import ESN


def numpy_fit(X, y):
    """One ridge fit by the normal equations and its in-sample R²."""
    centred, target = X - X.mean(axis=0), y - y.mean()
    w = np.linalg.solve(centred.T @ centred + 1e-8 * np.eye(X.shape[1]), centred.T @ target)
    return 1 - ((target - centred @ w) ** 2).sum() / (target**2).sum()


def sklearn_fit(X, y):
    return SklearnRidge(alpha=1e-8).fit(X, y).score(X, y)


def row(n_units, n_steps, probes=20):
    """Seconds for delays 1..2N: ours whole, the loops from `probes` delays."""
    esn = ESN.random(n_units, input_scaling=0.25, seed=0)
    rng = np.random.default_rng(0)
    n_delays = 2 * n_units
    u = rng.uniform(-0.8, 0.8, (n_steps + n_delays, 1))
    X = esn.run(u)[n_delays:]
    delays = np.linspace(1, n_delays, probes).astype(int)
    targets = [u[n_delays - k : n_delays - k + n_steps, 0] for k in delays]

    def ours():
        return memory_capacity(esn, n_delays, n_steps=n_steps, seed=0, progress=False)

    times = measure.interleaved(
        {
            "ours": ours,
            "states": lambda: [None for _ in esn.blocks(u, 1000)],
            "numpy": lambda: [numpy_fit(X, y) for y in targets],
            "sklearn": lambda: [sklearn_fit(X, y) for y in targets],
        },
        repeats=5,
    )
    scale = n_delays / probes
    seconds = {name: times[name][0] * (scale if name in ("numpy", "sklearn") else 1) for name in times}
    return [
        n_units,
        n_steps,
        n_delays,
        *(f"{seconds[name]:.3f}" for name in ("states", "ours", "numpy", "sklearn")),
        f"**{seconds['numpy'] / seconds['ours']:.0f}**",
        f"{seconds['sklearn'] / seconds['ours']:.0f}",
    ]


def against_reservoirpy(n_units, n_steps):
    """ReservoirPy's own function fits on four fifths of the steps and scores the rest: the same length for ours."""
    esn = ESN.random(n_units, input_scaling=0.25, seed=0)
    k_max = 2 * n_units
    series = np.random.default_rng(0).uniform(-0.8, 0.8, (n_steps, 1))

    def peer():
        reservoir = Reservoir(units=n_units, W=esn.W, Win=esn.W_in, bias=np.zeros(n_units), lr=1.0)
        return peer_capacity(reservoir >> Ridge(ridge=1e-8), k_max=k_max, series=series, seed=0)

    def ours():
        return memory_capacity(esn, k_max, n_steps=n_steps, seed=0, progress=False)

    times = measure.interleaved({"ours": ours, "peer": peer}, repeats=7)
    return [
        n_units,
        n_steps,
        k_max,
        f"{times['peer'][0]:.3f}",
        f"{times['ours'][0]:.3f}",
        f"**{times['peer'][0] / times['ours'][0]:.1f}**",
        f"{float(np.sum(peer())):.2f}",
        f"{ours().total:.2f} ± {ours().standard_error:.2f}",
    ]


START = {
    "`import penstock`": "import penstock",
    "first cached result": (
        "import numpy as np; from penstock.reservoirs import ESN; ESN.random(100, seed=0).run(np.zeros(100))"
    ),
    "first cached memory capacity": (
        "from penstock.reservoirs import ESN; from penstock.analysis import memory_capacity; "
        "memory_capacity(ESN.random(100, seed=0), seed=0)"
    ),
    "`import reservoirpy`": "import reservoirpy",
}


def start_up(code, repeats=9):
    """Process CPU seconds of a fresh interpreter, less that of an empty one."""
    probe = "import time; start = time.process_time(); {}; print(time.process_time() - start)"
    seconds = []
    for _ in range(repeats + 1):
        done = subprocess.run([sys.executable, "-c", probe.format(code)], capture_output=True, text=True, check=True)
        seconds.append(float(done.stdout))
    return float(np.median(seconds[1:])), min(seconds[1:])


def main():
    measure.pin()
    started = time.time()
    starts = [[name, *(f"{value:.2f}" for value in start_up(code))] for name, code in START.items()]
    peers = [against_reservoirpy(*sizes) for sizes in ((100, 2000), (100, 6000), (300, 6000))]
    rows = [row(100, 6000), row(300, 6000), row(1000, 10_000, probes=4)]
    measure.publish(
        "memory",
        "Memory capacity over all delays 1..2N, and start-up",
        measure.machine("reservoirpy", "scikit-learn"),
        f"{measure.bandwidth()}. One core, one thread, process CPU seconds, medians of 5 to 9; "
        f"{time.time() - started:.0f} s in all.",
        "Dense leaky-free ESN, radius 0.9. The loops fit delay after delay on stored states (states not counted), "
        "extrapolated from 20 delays (4 at N = 1000); ours includes the states, jackknife errors and everything else.",
        measure.table(
            [
                "N",
                "steps",
                "delays",
                "states alone",
                "penstock",
                "loop of NumPy ridge",
                "loop of scikit-learn",
                "× NumPy loop",
                "× scikit-learn loop",
            ],
            rows,
        ),
        "## ReservoirPy's own memory_capacity",
        "Same recurrent and input weights and as many steps; 2000 = 10 k_max is its default at N = 100. "
        "Its total is not corrected for chance.",
        measure.table(["N", "steps", "delays", "ReservoirPy", "penstock", "ratio", "its total", "our total"], peers),
        "## Start-up of a fresh process, warm cache (median, least)",
        measure.table(["", "CPU s", "least"], starts),
    )


if __name__ == "__main__":
    main()
