"""Cost of liquid and closed-form cells, against ncps on PyTorch: the same networks, states compared."""

import measure  # first: it sets the thread counts that libraries read when they load

import argparse
import time

import numpy as np
import roofline
import torch
from ncps.torch import LTC as PeerLTC
from ncps.torch import CfC as PeerCfC
from ncps.wirings import AutoNCP

from penstock.reservoirs import LTC, CfC, exponential_euler, exponential_midpoint, fused, rk4

N_INPUTS = 2
LIQUID = [  # units, batch, wired, steps of the peer
    (32, 1, False, 200),
    (32, 1, True, 200),
    (32, 16, False, 100),
    (128, 1, False, 100),
    (128, 1, True, 100),
    (128, 16, False, 20),
    (512, 1, False, 10),
    (512, 1, True, 10),
    (512, 16, False, 3),
]
CLOSED_FORM = [(32, 1, 500), (32, 16, 500), (128, 1, 500), (128, 16, 500)]  # units, batch, steps


def peer_layer(kind, units, wired):
    """A layer as ncps initialises it, seeded."""
    torch.manual_seed(0)
    return kind(N_INPUTS, AutoNCP(units, units // 4) if wired else units)


def compare(layer, ours, double, batch, steps, repeats):
    """Return the Seconds of one step of the peer, of ours in float32 and in float64, and the largest difference.

    The peer gives its motor units only; its last state is whole, and is what is compared.
    """
    x = torch.rand(batch, steps, N_INPUTS, generator=torch.Generator().manual_seed(1))
    u = x.numpy() if batch > 1 else x[0].numpy()
    # small networks run long enough for the call not to count
    repeated = max(1, 400 // steps) if batch * ours.n_units**2 < 100_000 else 1
    long = np.concatenate([u] * repeated, axis=-2)
    with torch.no_grad():
        last = layer(x)[1].numpy()
        times = measure.interleaved(
            {"peer": lambda: layer(x), "ours": lambda: ours.run(long), "double": lambda: double.run(long)}, repeats
        )
    difference = np.abs(ours.run(u)[..., -1, :] - last).max()
    peer = times["peer"].scaled(1 / steps)
    return peer, *(times[name].scaled(1 / long.shape[-2]) for name in ("ours", "double")), difference


def row(name, figures):
    """Return a line of the tables."""
    peer, single, double, difference = figures
    ratio = peer.median / single.median
    figures = [
        f"{1e6 * peer.median:.0f}",
        f"{1e6 * single.median:.2f}",
        f"**{ratio:.0f}**",
        f"{1e6 * double.median:.2f}",
    ]
    return [*name, *figures, f"{difference:.0e}"]


def liquid_rows(repeats, sizes):
    """LTC, six unfolds, fused: lines of the table, and of the report. The bound: a sigmoid per synapse and unfold."""
    for units, batch, wired, steps in sizes:
        layer = peer_layer(PeerLTC, units, wired)
        ours, double = (LTC.from_ncps(layer, dtype=dtype) for dtype in (np.float32, np.float64))
        wiring = f"AutoNCP, {ours.W.nnz} synapses" if wired else "full"
        figures = compare(layer, ours, double, batch, steps, repeats)
        n_sigmoids = batch * (6 * (ours.W.nnz if wired else units**2) + N_INPUTS * units)
        bound = roofline.bound(tanh=n_sigmoids, dtype=np.float32)
        name = f"LTC, {wiring}, {units} units, {batch} series, float32: a step"
        drawn = (units, batch, wired) in ((32, 1, True), (128, 1, True), (512, 16, False))
        label = f"LTC{' wired' if wired else ''}, {units}{f' × {batch}' if batch > 1 else ''}" if drawn else ""
        yield (
            row([units, batch, wiring], figures),
            measure.row(name, figures[1], "ncps", figures[0], goal=15 if wired else 8, bound=bound, label=label),
        )


def closed_form_rows(repeats, sizes):
    """CfC with a backbone of 128 units. The bound: its tanh, multiply-adds and, for one series, weights."""
    for units, batch, steps in sizes:
        layer = peer_layer(PeerCfC, units, wired=False)
        ours, double = (CfC.from_ncps(layer, dtype=dtype) for dtype in (np.float32, np.float64))
        figures = compare(layer, ours, double, batch, steps, repeats)
        n_weights = 128 * (units + N_INPUTS) + 4 * 128 * units
        bound = roofline.bound(
            traffic=[(4 * n_weights, 4 * n_weights)],
            flops=2 * n_weights * batch,
            tanh=(128 + 3 * units) * batch,
            dtype=np.float32,
        )
        name = f"CfC, {units} units, {batch} series, float32: a step"
        label = f"CfC, {units}" if (units, batch) == (32, 1) else ""
        yield row([units, batch], figures), measure.row(name, figures[1], "ncps", figures[0], bound=bound, label=label)


def solver_rows(repeats):
    """Error after ten time units, and cost, of every solver at every number of unfolds: 32 units, float64."""
    u = np.random.default_rng(0).uniform(0, 1, (10, N_INPUTS))
    exact = LTC.random(32, n_inputs=N_INPUTS, solver=rk4, unfolds=2000, seed=0).run(u)
    for unfolds in (1, 3, 6, 12, 24):
        cells = [unfolds]
        for solver in (fused, exponential_euler, exponential_midpoint, rk4):
            ltc = LTC.random(32, n_inputs=N_INPUTS, solver=solver, unfolds=unfolds, seed=0)
            long = np.tile(u, (20, 1))
            try:
                error = np.abs(ltc.run(u) - exact).max()
                seconds = measure.interleaved({"run": lambda ltc=ltc, long=long: ltc.run(long)}, repeats)["run"][0]
                cells.append(f"{error:.0e} ({1e6 * seconds / len(long):.1f})")
            except FloatingPointError:
                cells.append("diverges")
        yield cells


def first_result():
    """CPU seconds of the first run, when kernels are cached."""
    start = time.process_time()
    LTC.random(32, seed=0).run(np.zeros(10))
    return time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="smallest sizes only")
    options = parser.parse_args()
    repeats, few = (2, 2) if options.quick else (options.repeats, None)
    measure.pin()
    torch.set_num_threads(1)
    first = first_result()
    liquid = list(liquid_rows(repeats, LIQUID[:few]))
    closed_form = list(closed_form_rows(repeats, CLOSED_FORM[:few]))
    header = ["ncps, µs per step", "float32, µs", "ratio", "float64, µs", "largest difference"]
    measure.publish(
        "liquid",
        "Liquid and closed-form cells",
        measure.machine("torch", "ncps"),
        f"{measure.bandwidth()}. One thread, process CPU time, medians of {repeats} turns. A step is one sample of "
        f"every series of the batch. Networks are those ncps draws, imported with `from_ncps`; the difference is "
        f"that of the last states. First LTC of a process that has imported penstock: {first:.2f} s.",
        "## LTC, fused solver, six unfolds",
        measure.table(["units", "batch", "wiring", *header], [line for line, _ in liquid]),
        "## CfC, backbone of 128 units",
        measure.table(["units", "batch", *header], [line for line, _ in closed_form]),
        "## Solvers",
        "Largest error of ten steps of unit time against the Runge-Kutta rule with 2000 unfolds, and µs per step, "
        "of a full LTC with 32 units in float64.",
        measure.table(
            ["unfolds", "fused", "exponential Euler", "exponential midpoint", "Runge-Kutta"], list(solver_rows(repeats))
        ),
        rows=[row for _, row in liquid + closed_form],
    )


if __name__ == "__main__":
    main()
