"""Cost of a reservoir's states against ReservoirPy and tuned NumPy: same weights, same inputs, one thread, one run."""

import measure  # first: it sets the thread counts that libraries read when they load

import argparse
import itertools

import numpy as np
import roofline
import scipy.sparse as sp
from reservoirpy.nodes import Reservoir

from penstock.reservoirs import ESN
from penstock.weights import ring

LEAK = 0.3
PATTERNS = {"dense": 1.0, "density 0.1": 0.1, "10 per row": None}
GOALS = {  # (N, W, type, series): times as fast as ReservoirPy
    (100, "dense", "float64", 1): 8,
    (100, "dense", "float32", 1): 15,
    (300, "dense", "float64", 1): 2,
    (300, "dense", "float32", 1): 4,
    (1000, "dense", "float64", 1): 1,
    (1000, "dense", "float32", 1): 2,
    (1000, "dense", "float64", 32): 7,
    (1000, "dense", "float32", 32): 15,
    (3000, "dense", "float64", 1): 1,
    (3000, "dense", "float64", 128): 15,
    (3000, "dense", "float32", 128): 30,
    (100, "10 per row", "float64", 1): 12,
    (1000, "10 per row", "float64", 1): 3,
    (100, "10 per row", "float64", 32): 35,
    (1000, "10 per row", "float64", 32): 5,
    (1000, "10 per row", "float32", 32): 12,
}


DRAWN = [  # in the figure
    (100, "dense", "float64", 1),
    (1000, "dense", "float64", 1),
    (1000, "dense", "float64", 32),
    (1000, "dense", "float32", 32),
    (3000, "dense", "float32", 128),
    (100, "10 per row", "float64", 1),
    (1000, "10 per row", "float64", 1),
]


def weights(n_units, pattern, dtype, rng):
    """Random weights of spectral radius about 0.9, dense or CSR."""
    density = 10 / n_units if PATTERNS[pattern] is None else PATTERNS[pattern]
    W_in = rng.uniform(-1, 1, (n_units, 1)).astype(dtype)
    W = rng.standard_normal((n_units, n_units)) * 0.9 / np.sqrt(n_units * density)
    if density < 1:
        kept = np.argsort(rng.random((n_units, n_units)), axis=1) < round(density * n_units)
        return sp.csr_array(np.where(kept, W, 0.0).astype(dtype)), W_in
    return W.astype(dtype), W_in


def numpy_states(W, W_in, u):
    """States by the best plain loop: inputs projected at once, no temporaries, in-place tanh."""
    states = u @ W_in.T
    x, z = np.zeros_like(states[0]), np.empty_like(states[0])
    for row in states:
        if sp.issparse(W):
            row += W @ x
        else:
            np.dot(W, x, out=z)
            row += z
        np.tanh(row, out=row)
        row *= LEAK
        x *= 1 - LEAK
        x += row
        row[:] = x
    return states


def cell(n_units, pattern, dtype, batch, rng):
    """Microseconds per sequence and step: a line of the table, and one of the report or none."""
    W, W_in = weights(n_units, pattern, dtype, rng)
    cost = 3e-6 + 1.5e-9 * (W.nnz if sp.issparse(W) else W.size)
    n_steps = int(np.clip(0.1 / cost / batch, 20, 5000))
    u = rng.uniform(-1, 1, (batch, n_steps, 1)).astype(dtype)
    ours = ESN(W, W_in, leak=LEAK)
    peer_W = sp.csr_matrix(W) if sp.issparse(W) else W
    peer = Reservoir(units=n_units, W=peer_W, Win=W_in, bias=np.zeros(n_units, dtype), lr=LEAK, dtype=dtype)
    # ReservoirPy and NumPy loop over the series: two of them tell the cost of each
    few = list(u[:2]) if batch > 1 else [u[0]]
    own = u if batch > 1 else u[0]
    times = measure.interleaved(
        {
            "ours": lambda: ours.run(own),
            "peer": lambda: [peer.run(one) for one in few],
            "numpy": lambda: [numpy_states(W, W_in, one) for one in few],
        },
        repeats=5 if n_units >= 1000 else 9,
    )
    peer.reset()
    difference = np.abs(ours.run(u)[0] - peer.run(u[0])).max()
    steps = {name: n_steps * (batch if name == "ours" else len(few)) for name in times}
    times = {name: times[name].scaled(1 / steps[name]) for name in times}
    us = {name: 1e6 * times[name].median for name in times}
    line = [
        n_units,
        pattern,
        np.dtype(dtype).name,
        batch,
        f"{us['peer']:.2f}",
        f"{us['numpy']:.2f}",
        f"{us['ours']:.3f}",
        f"{1e6 * times['ours'].least:.3f}",
        f"**{us['peer'] / us['ours']:.1f}**",
        f"{us['numpy'] / us['ours']:.1f}",
        f"{difference:.0e}",
    ]
    goal = GOALS.get((n_units, pattern, line[2], batch))
    return line, None if goal is None else headline(line, times, goal, W)


def headline(line, times, goal, W):
    """The line of benchmarks/RESULTS.md."""
    n_units, pattern, kind, batch = line[:4]
    name = f"ESN, {pattern}, N = {n_units}, {f'{batch} series' if batch > 1 else 'one series'}: a step"
    bound = roofline.esn_step(n_units, W.nnz if sp.issparse(W) else None, kind, batch)
    label = f"ESN {pattern}, {n_units}{f' × {batch}' if batch > 1 else ''}{', float32' if kind == 'float32' else ''}"
    return measure.row(
        name + (", float32" if kind == "float32" else ""),
        times["ours"],
        "ReservoirPy",
        times["peer"],
        goal=goal,
        bound=bound,
        label=label if (n_units, pattern, kind, batch) in DRAWN else "",
    )


def structured(n_units, rng):
    """A ring against a dense NumPy loop with the same matrix, and against SciPy's CSR product."""
    W_in, u = rng.uniform(-1, 1, (n_units, 1)), rng.uniform(-1, 1, (min(400, 400_000 // n_units), 1))
    esn = ESN(0.9 * ring(n_units), W_in, leak=LEAK)
    full = esn.W.toarray()
    times = measure.interleaved(
        {
            "ours": lambda: esn.run(u),
            "dense": lambda: numpy_states(full, W_in, u),
            "csr": lambda: numpy_states(esn.W, W_in, u),
        }
    )
    times = {name: times[name].scaled(1 / len(u)) for name in times}
    us = {name: 1e6 * times[name].median for name in times}
    difference = np.abs(esn.run(u) - numpy_states(full, W_in, u)).max()
    row = measure.row(
        f"ESN, ring, N = {n_units}: a step",
        times["ours"],
        "NumPy, dense",
        times["dense"],
        goal=80 if n_units == 1024 else None,
        bound=roofline.bound(tanh=n_units),
        label="ESN ring, 1024" if n_units == 1024 else "",
    )
    line = [
        n_units,
        f"{us['dense']:.1f}",
        f"{us['csr']:.1f}",
        f"{us['ours']:.2f}",
        f"**{us['dense'] / us['ours']:.0f}**",
        f"{us['csr'] / us['ours']:.1f}",
        f"{1e3 * us['ours'] / n_units:.1f}",
        f"{difference:.0e}",
    ]
    return line, row


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, nargs="+", default=[100, 300, 1000, 3000])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--quick", action="store_true", help="smallest sizes only")
    options = parser.parse_args()
    if options.quick:
        options.units, options.batches = [100], [1, 32]
    measure.pin()
    rng = np.random.default_rng(0)
    grid = itertools.product(options.units, PATTERNS, (np.float64, np.float32), options.batches)
    grid = [point for point in grid if point[:2] != (3000, "density 0.1")]  # a minute saved
    cells = [cell(*point, rng) for point in grid]
    names = ["N", "W", "type", "series", "ReservoirPy", "NumPy tuned", "penstock", "(least)"]
    ratios = ["× ReservoirPy", "× NumPy", "largest difference"]
    rings = [structured(n, rng) for n in (128, 1024, 4096)[: 1 if options.quick else 3]]
    measure.publish(
        "reservoirs",
        "States of leaky echo-state networks",
        measure.machine("reservoirpy"),
        f"{measure.bandwidth()}. One core, one thread. Process CPU time in µs per series and step, medians of 5 to 9 "
        "interleaved repeats after a first call; all states are stored; leak 0.3, one input.",
        measure.table(names + ratios, [line for line, _ in cells]),
        "## Simple cycle (ring) against the same matrix stored dense",
        measure.table(
            ["N", "NumPy dense", "NumPy CSR", "penstock", "× dense", "× CSR", "ns per unit", "largest difference"],
            [line for line, _ in rings],
        ),
        rows=[row for _, row in cells + rings if row],
    )


if __name__ == "__main__":
    main()
