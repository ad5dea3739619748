"""Cost of liquid and closed-form cells, against ncps on PyTorch: the same networks, states compared."""

import measure  # first: it sets the thread counts that libraries read when they load

import argparse
import time

import numpy as np
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
    """Return microseconds of one step of the peer, of ours in float32 and in float64, and the largest difference.

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
    n_long = long.shape[-2]
    peer, single, wide = (times["peer"][0] / steps, times["ours"][0] / n_long, times["double"][0] / n_long)
    return 1e6 * peer, 1e6 * single, 1e6 * wide, difference


def row(name, figures):
    """Return a line of the tables."""
    peer, single, double, difference = figures
    return [*name, f"{peer:.0f}", f"{single:.2f}", f"**{peer / single:.0f}**", f"{double:.2f}", f"{difference:.0e}"]


def liquid_rows(repeats):
    """LTC, six unfolds, fused."""
    for units, batch, wired, steps in LIQUID:
        layer = peer_layer(PeerLTC, units, wired)
        ours, double = (LTC.from_ncps(layer, dtype=dtype) for dtype in (np.float32, np.float64))
        wiring = f"AutoNCP, {ours.W.nnz} synapses" if wired else "full"
        yield row([units, batch, wiring], compare(layer, ours, double, batch, steps, repeats))


def closed_form_rows(repeats):
    """CfC with a backbone of 128 units."""
    for units, batch, steps in CLOSED_FORM:
        layer = peer_layer(PeerCfC, units, wired=False)
        ours, double = (CfC.from_ncps(layer, dtype=dtype) for dtype in (np.float32, np.float64))
        yield row([units, batch], compare(layer, ours, double, batch, steps, repeats))


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
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    measure.pin()
    torch.set_num_threads(1)
    first = first_result()
    header = ["ncps, µs per step", "float32, µs", "ratio", "float64, µs", "largest difference"]
    measure.publish(
        "liquid",
        "Liquid and closed-form cells",
        measure.machine("torch", "ncps") + f". {measure.bandwidth()}.",
        f"One thread, process CPU time, medians of {repeats} turns. A step is one sample of every series of the batch. "
        f"Networks are those ncps draws, imported with `from_ncps`; the difference is that of the last states. "
        f"First LTC of a process that has imported penstock: {first:.2f} s.",
        "## LTC, fused solver, six unfolds",
        measure.table(["units", "batch", "wiring", *header], list(liquid_rows(repeats))),
        "## CfC, backbone of 128 units",
        measure.table(["units", "batch", *header], list(closed_form_rows(repeats))),
        "## Solvers",
        "Largest error of ten steps of unit time against the Runge-Kutta rule with 2000 unfolds, and µs per step, "
        "of a full LTC with 32 units in float64.",
        measure.table(
            ["unfolds", "fused", "exponential Euler", "exponential midpoint", "Runge-Kutta"], list(solver_rows(repeats))
        ),
    )


if __name__ == "__main__":
    main()
