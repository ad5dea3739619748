"""Peak memory of what streams its states: fits, memory and processing capacity, Lyapunov exponents."""

import measure  # first: it sets the thread counts that libraries read when they load

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

LIMIT = 300  # MB, of the whole process

CHILD = """
import resource, time
import numpy as np
from penstock.analysis import information_processing_capacity, lyapunov_spectrum, memory_capacity
from penstock.reservoirs import ESN, Regressor

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def inputs():
    return np.random.default_rng(0).uniform(-1, 1, T)

def fit(u):
    Regressor(esn).fit(u[:-1], u[1:])

T, N = {n_steps}, {n_units}
esn = ESN.random(N, density=10 / N, input_scaling=0.25, seed=0)
esn.run(np.zeros(40))
before, start = peak(), time.process_time()
{task}
print(before, peak(), time.process_time() - start)
"""

TASKS = {  # the longest first: two processes run side by side
    "information processing capacity, delays 0..30": (
        "information_processing_capacity(esn, max_delays=[30], n_steps=T, seed=0, progress=False)"
    ),
    "memory capacity, 2N delays": "memory_capacity(esn, 2 * N, n_steps=T, seed=0, progress=False)",
    "fit of a readout, one output": "fit(inputs())",
    "Lyapunov exponents, two": "lyapunov_spectrum(esn, inputs(), 2, progress=False)",
}


def measured(name, n_units, n_steps):
    """Megabytes after imports and a first short run, at the end, and CPU seconds, of a fresh process."""
    code = CHILD.format(task=TASKS[name], n_units=n_units, n_steps=n_steps)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return tuple(map(float, done.stdout.split()))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short and small run")
    n_units, n_steps = (200, 50_000) if parser.parse_args().quick else (1000, 1_000_000)
    started = time.time()
    sizes = [(name, n_units, n_steps) for name in TASKS]
    sizes.append(("memory capacity, 2N delays", n_units, n_steps // 50))  # whose blocks are left out one by one
    for name, *_ in sizes[:4]:
        measured(name, 50, 6000)  # kernels compile, which takes memory of its own
    with ThreadPoolExecutor(2) as pool:  # memory does not mind what runs beside it
        found = list(pool.map(lambda size: measured(*size), sizes))
    stored = [8e-6 * n_units * length for _, _, length in sizes]
    measure.publish(
        "streamed",
        "Peak memory of analyses that stream their states",
        measure.machine(),
        f"ESN of {n_units} units with ten synapses each. Resident memory (`ru_maxrss`) of a whole fresh process with a "
        "warm cache, MB: after imports and a first short run, and at the end. Stored states alone would take what the "
        f"column says. CPU seconds of two processes side by side; {time.time() - started:.0f} s in all.",
        "From 100 steps per unit in each of the ten blocks of its standard error, memory capacity of a network of this "
        "size keeps nothing of the blocks; below, as in the last row, it keeps their sums.",
        measure.table(
            ["", "T", "before", "peak", "stored states", "CPU s"],
            [
                [name, length, f"{before:.0f}", f"**{peak:.0f}**", f"{states:.0f}", f"{seconds:.0f}"]
                for (name, _, length), (before, peak, seconds), states in zip(sizes, found, stored, strict=True)
            ],
        ),
        rows=[
            measure.row(f"{name}, N = {n_units}, T = {length}", peak, at_most=LIMIT, unit="MB", clock="peak memory")
            for (name, _, length), (_, peak, _) in list(zip(sizes, found, strict=True))[: len(TASKS)]
        ],
    )


if __name__ == "__main__":
    main()
