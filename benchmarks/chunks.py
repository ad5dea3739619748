"""One long series: certified chunks and threads against the run step by step and ReservoirPy, same weights, one run."""

import measure  # first: it sets the thread counts that libraries read when they load
import roofline

import argparse
import time

import numpy as np
from reservoirpy.nodes import Reservoir

from penstock import certified_run
from penstock.reservoirs import ESN

CASES = [  # N, steps, leak, type, times ReservoirPy asked
    (300, 10_000, 1.0, np.float64, None),
    (1000, 40_000, 1.0, np.float64, 3),
    (1000, 20_000, 0.3, np.float64, None),
    (1000, 20_000, 1.0, np.float32, None),
    (3000, 20_000, 1.0, np.float64, None),
    (3000, 8000, 1.0, np.float32, None),
]
PAIRS = [(300, 20_000, np.float64), (1000, 4000, np.float64), (1000, 4000, np.float32), (3000, 500, np.float64)]
LONG = [(1000, 40_000), (3000, 16_000)]


def network(n_units, leak, dtype, rng):
    """A dense ESN of spectral radius about 0.9, and the same for ReservoirPy."""
    W = (rng.standard_normal((n_units, n_units)) * 0.9 / np.sqrt(n_units)).astype(dtype)
    W_in = rng.uniform(-1, 1, (n_units, 1)).astype(dtype)
    peer = Reservoir(units=n_units, W=W, Win=W_in, bias=np.zeros(n_units, dtype), lr=leak, dtype=dtype)
    return ESN(W, W_in, leak=leak), peer


def chunked(n_units, n_steps, leak, dtype, goal, rng):
    """Chunks on the whole series; one step after the other and ReservoirPy on its beginning, which costs the same."""
    esn, peer = network(n_units, leak, dtype, rng)
    u = rng.uniform(-1, 1, (n_steps, 1)).astype(dtype)
    few = int(np.clip(4e8 / n_units**2, 50, n_steps))
    times = measure.interleaved(
        {"chunks": lambda: certified_run(esn, u), "steps": lambda: esn.run(u[:few]), "peer": lambda: peer.run(u[:few])},
        repeats=5,
        at_least=0,
    )
    counts = {"chunks": n_steps, "steps": few, "peer": few}
    times = {name: times[name].scaled(1 / counts[name]) for name in times}
    run = certified_run(esn, u)
    error = np.abs(run.states - esn.run(u)).max()
    us = {name: 1e6 * times[name].median for name in times}
    kind = np.dtype(dtype).name
    name = f"ESN, dense, N = {n_units}, leak {leak:g}, certified chunks: a step of {n_steps}"
    row = measure.row(
        name + (", float32" if kind == "float32" else ""),
        times["chunks"],
        "ReservoirPy",
        times["peer"],
        goal=goal,
        bound=roofline.esn_step(n_units, None, kind, run.n_chunks),
        label=f"ESN chunks, {n_units}{', float32' if kind == 'float32' else ''}" if leak == 1 and n_units > 300 else "",
    )
    line = [n_units, n_steps, f"{leak:g}", kind, f"{us['peer']:.1f}", f"{us['steps']:.1f}", f"{us['chunks']:.1f}"]
    line += [f"**{us['peer'] / us['chunks']:.1f}**", f"{us['steps'] / us['chunks']:.1f}", run.n_chunks, run.overlap]
    return [*line, f"{run.overlap_error:.0e}", f"{error:.0e}"], row


def threaded(n_units, n_steps, dtype, rng):
    """Wall time of one series step by step, and of a batch of 32, with one thread and with two."""
    esn, _ = network(n_units, 0.3, dtype, rng)
    u = rng.uniform(-1, 1, (n_steps, 1)).astype(dtype)
    batch = np.ascontiguousarray(np.broadcast_to(u[: max(20, n_steps // 16)], (32, max(20, n_steps // 16), 1)))
    seconds = {}
    for inputs, what in ((u, "one series"), (batch, "32 series")):

        def clocked(n_threads, inputs=inputs):
            with measure.cores(n_threads):
                return esn.run(inputs)

        results = [clocked(1), clocked(2)]
        assert (results[0] == results[1]).all(), "the number of threads changes bits"
        walls = measure.interleaved(
            {1: lambda: clocked(1), 2: lambda: clocked(2)}, repeats=9, at_least=0, clock=time.perf_counter
        )
        per = inputs.shape[0] * (inputs.shape[1] if inputs.ndim == 3 else 1)
        seconds[what] = {n: wall.scaled(1 / per) for n, wall in walls.items()}
    kind = np.dtype(dtype).name
    rows = [
        measure.row(
            f"ESN, dense, N = {n_units}, {what}{', float32' if kind == 'float32' else ''}, 2 threads: a step",
            wall[2],
            "penstock, 1 thread",
            wall[1],
            goal=1.7 if what == "one series" and n_units >= 1000 else None,
            clock="wall",
            label=f"2 threads, ESN {n_units}" if (n_units, kind, what) == (1000, "float64", "one series") else "",
        )
        for what, wall in seconds.items()
    ]
    line = [n_units, kind]
    for wall in seconds.values():
        line += [
            f"{1e6 * wall[1].median:.1f}",
            f"{1e6 * wall[2].median:.1f}",
            f"**{wall[1].median / wall[2].median:.2f}**",
        ]
    return line, rows


def threaded_chunks(n_units, n_steps, rng):
    """Wall time of one long series in certified chunks, with one thread and with two."""
    esn, _ = network(n_units, 1.0, np.float64, rng)
    u = rng.uniform(-1, 1, (n_steps, 1))

    def clocked(n_threads):
        with measure.cores(n_threads):
            return certified_run(esn, u).states

    assert (clocked(1) == clocked(2)).all(), "the number of threads changes bits"
    walls = measure.interleaved(
        {1: lambda: clocked(1), 2: lambda: clocked(2)}, repeats=3, at_least=0, clock=time.perf_counter
    )
    walls = {n: wall.scaled(1 / n_steps) for n, wall in walls.items()}
    row = measure.row(
        f"ESN, dense, N = {n_units}, certified chunks, 2 threads: a step of {n_steps}",
        walls[2],
        "penstock, 1 thread",
        walls[1],
        goal=1.7,
        clock="wall",
    )
    us = [f"{1e6 * wall.median:.1f}" for wall in walls.values()]
    return [n_units, n_steps, *us, f"**{walls[1].median / walls[2].median:.2f}**"], row


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smallest sizes only")
    options = parser.parse_args()
    measure.pin()
    rng = np.random.default_rng(0)
    chunks = [chunked(*case, rng) for case in CASES[: 1 if options.quick else None]]
    pairs = [threaded(*pair, rng) for pair in PAIRS[: 1 if options.quick else None]]
    long = [threaded_chunks(*pair, rng) for pair in LONG[: 1 if options.quick else None]]
    measure.publish(
        "chunks",
        "One long series: certified chunks and two threads",
        measure.machine("reservoirpy"),
        f"{measure.bandwidth()}.",
        "Dense leaky ESN, radius 0.9, one input. One core, one thread, process CPU time in µs per step, medians of 5 "
        "interleaved runs; the run step by step and ReservoirPy on the first steps. Error: the largest difference of "
        "all states from those of the run step by step; overlap error: what the certificate says.",
        measure.table(
            "N, steps, leak, type, ReservoirPy, step by step, chunks, × ReservoirPy, × step by step, number of chunks, "
            "overlap, overlap error, error".split(", "),
            [line for line, _ in chunks],
        ),
        "## Two threads",
        "Wall time in µs per series and step, medians of 9 interleaved runs; leak 0.3. The states are the same bits.",
        measure.table(
            "N, type, one series: 1 thread, 2 threads, ratio, 32 series: 1 thread, 2 threads, ratio".split(", "),
            [line for line, _ in pairs],
        ),
        "One long series in certified chunks, no leak, wall time in µs per step, medians of 3.",
        measure.table(["N", "steps", "1 thread", "2 threads", "ratio"], [line for line, _ in long]),
        rows=[row for _, row in chunks] + [row for _, rows in pairs for row in rows] + [row for _, row in long],
    )


if __name__ == "__main__":
    main()
