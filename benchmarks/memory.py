"""Cost of the memory-capacity curve against loops of ridge fits and ReservoirPy, and of starting up."""

import measure  # first: it sets the thread counts that libraries read when they load

import argparse
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import roofline
from reservoirpy.nodes import Reservoir, Ridge
from reservoirpy.observables import memory_capacity as peer_capacity
from sklearn.linear_model import Ridge as SklearnRidge

from penstock.analysis import ADJUSTED, memory_capacity
from penstock.reservoirs import ESN

FROM_1 = replace(ADJUSTED, first_delay=1)


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
        return memory_capacity(esn, n_delays, protocol=FROM_1, n_steps=n_steps, seed=0, progress=False)

    times = measure.interleaved(
        {
            "ours": ours,
            "states": lambda: [None for _ in esn.blocks(u, 1000)],
            "numpy": lambda: [numpy_fit(X, y) for y in targets],
            "sklearn": lambda: [sklearn_fit(X, y) for y in targets],
        },
        repeats=5 if n_units < 1000 else 3,
        at_least=0.0,
    )
    times |= {name: times[name].scaled(n_delays / probes) for name in ("numpy", "sklearn")}
    seconds = {name: times[name].median for name in times}
    line = [
        n_units,
        n_steps,
        n_delays,
        *(f"{seconds[name]:.3f}" for name in ("states", "ours", "numpy", "sklearn")),
        f"**{seconds['numpy'] / seconds['ours']:.0f}**",
        f"{seconds['sklearn'] / seconds['ours']:.0f}",
    ]
    name = f"memory capacity, delays 1..{n_delays}, N = {n_units}, T = {n_steps}"
    rows = [
        measure.row(
            name,
            times["ours"],
            peer,
            times[key],
            goal={300: 50, 1000: 100}.get(n_units) if key == "numpy" else None,
            bound=bound(n_units, n_steps),
            label=f"memory capacity, {n_units}, against loop" if n_units == 1000 and key == "numpy" else "",
        )
        for key, peer in (("numpy", "NumPy, loop of fits"), ("sklearn", "scikit-learn, loop of fits"))
    ]
    return line, rows


def bound(n_units, n_steps):
    """The states at the rate of a matrix product, and the symmetric product of the states."""
    return roofline.bound(flops=3 * n_units**2 * n_steps, tanh=n_units * n_steps)


def against_reservoirpy(n_units, n_steps):
    """Delays 1..k_max of `n_steps` inputs: ReservoirPy's function runs from input k_max on and discards k_max states.

    Four fifths of what is left, about, are fitted and the others scored. Ours runs and scores as many.
    """
    esn = ESN.random(n_units, input_scaling=0.25, seed=0)
    k_max = 2 * n_units
    series = np.random.default_rng(0).uniform(-0.8, 0.8, (n_steps, 1))
    found = {}

    def peer():
        reservoir = Reservoir(units=n_units, W=esn.W, Win=esn.W_in, bias=np.zeros(n_units), lr=1.0)
        found["peer"] = peer_capacity(reservoir >> Ridge(ridge=1e-8), k_max=k_max, series=series, seed=0)

    def ours():
        found["ours"] = memory_capacity(
            esn, k_max, protocol=FROM_1, n_steps=n_steps - 2 * k_max, washout=k_max, seed=0, progress=False
        )

    times = measure.interleaved({"ours": ours, "peer": peer}, repeats=7 if n_units < 1000 else 3, at_least=0.0)
    least = bound(n_units, n_steps - k_max)
    row = measure.row(
        f"memory capacity, delays 1..{k_max}, N = {n_units}, T = {n_steps}",
        times["ours"],
        "ReservoirPy",
        times["peer"],
        goal={100: 3, 300: 3, 1000: 5}[n_units],
        bound=least,
        label=f"memory capacity, {n_units}, {n_steps} steps" if n_units != 300 and n_steps != 2000 else "",
    )
    line = [
        n_units,
        n_steps,
        k_max,
        f"{times['peer'].median:.3f}",
        f"{times['ours'].median:.3f}",
        f"**{times['peer'].median / times['ours'].median:.1f}**",
        f"{times['peer'].median / least.seconds:.1f}",
        f"{float(np.sum(found['peer'])):.2f}",
        f"{found['ours'].total:.2f} ± {found['ours'].standard_error:.2f}",
    ]
    return line, row


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


def start_up(code, repeats=5):
    """Process CPU seconds of a fresh interpreter, less that of an empty one."""
    probe = "import time; start = time.process_time(); {}; print(time.process_time() - start)"
    seconds = []
    for _ in range(repeats + 1):
        done = subprocess.run([sys.executable, "-c", probe.format(code)], capture_output=True, text=True, check=True)
        seconds.append(float(done.stdout))
    return float(np.median(seconds[1:])), min(seconds[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smallest sizes only")
    few = 1 if parser.parse_args().quick else None
    measure.pin()
    started = time.time()
    starts = [[name, *(f"{value:.2f}" for value in start_up(code))] for name, code in START.items()]
    peers = [against_reservoirpy(*sizes) for sizes in ((100, 2000), (100, 6000), (300, 6000), (1000, 20_000))[:few]]
    loops = [row(*sizes) for sizes in ((100, 6000), (300, 6000), (1000, 10_000, 4))[:few]]
    measure.publish(
        "memory",
        "Memory capacity over all delays 1..2N, and start-up",
        measure.machine("reservoirpy", "scikit-learn"),
        f"{measure.bandwidth()}. One core, one thread, process CPU seconds, medians of 3 to 7; "
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
            [line for line, _ in loops],
        ),
        "## ReservoirPy's own memory_capacity",
        "Same recurrent and input weights, as many states run and as many scored; 2000 = 10 k_max is its default at "
        "N = 100. Its total is not corrected for chance. *At the bound*: the ratio if ours took no more than the "
        "arithmetic of its states at the rate of a matrix product, 2 N² per step and a tanh per unit, and of their "
        "symmetric product, N² per step. Whitening takes N² per step more, and the products with all delays about "
        "half as much by Fourier transforms, neither of which the bound counts.",
        measure.table(
            ["N", "inputs", "delays", "ReservoirPy", "penstock", "ratio", "at the bound", "its total", "our total"],
            [line for line, _ in peers],
        ),
        "## Start-up of a fresh process, warm cache (median, least)",
        measure.table(["", "CPU s", "least"], starts),
        rows=[line for _, rows in loops for line in rows]
        + [line for _, line in peers]
        + [measure.row("first result of a fresh process, warm cache", float(starts[1][1]), at_most=1.2)],
    )


if __name__ == "__main__":
    main()
