"""A thousand small networks, fitted and scored: an ensemble on two threads against ReservoirPy on two processes."""

import measure  # first: it sets the thread counts that libraries read when they load
import roofline

import argparse
import tempfile
import time

import numpy as np
from joblib import Parallel, delayed

from penstock import sweep
from penstock.data import narma
from penstock.metrics import nrmse_std
from penstock.reservoirs import ESN, Ensemble
from penstock.ridge_regression import Ridge
from penstock.threads import use_threads

N_UNITS, N_STEPS, N_TRAIN, WASHOUT, ALPHA = 100, 1000, 700, 100, 1e-6
N_NETWORKS, N_SETTINGS = 20, 50
TASK = narma(10, n_steps=N_STEPS, seed=0)


def shared(dtype):
    """Twenty networks with fifty settings each."""
    rng = np.random.default_rng(1)
    networks = [ESN.random(N_UNITS, bias_scaling=1.0, dtype=dtype, seed=seed) for seed in range(N_NETWORKS)]
    return Ensemble.over(
        networks,
        spectral_radius=rng.uniform(0.5, 1.1, N_SETTINGS),
        input_scaling=rng.uniform(0.1, 1.0, N_SETTINGS),
        bias_scaling=rng.uniform(0.0, 0.5, N_SETTINGS),
        leak=rng.uniform(0.3, 1.0, N_SETTINGS),
    )


def different(dtype):
    """As many networks, each with a W of its own, of spectral radius about 0.9."""
    rng = np.random.default_rng(2)
    shapes = (N_UNITS, N_UNITS), (N_UNITS, 1), (N_UNITS,)
    scales = 0.9 / np.sqrt(N_UNITS), 0.5, 0.2
    draws = (
        [(s * rng.standard_normal(n)).astype(dtype) for n, s in zip(shapes, scales, strict=True)] for _ in "x" * 1000
    )
    return Ensemble(
        [ESN(W, W_in, bias, leak) for (W, W_in, bias), leak in zip(draws, rng.uniform(0.3, 1, 1000), strict=True)]
    )


def ours(ensemble):
    """Errors of all members on the last part of the series."""
    u, y = TASK.inputs, TASK.targets
    fit = ensemble.fit(u[:N_TRAIN], y[:N_TRAIN], washout=WASHOUT, alpha=ALPHA, progress=False)
    return fit.score(u[N_TRAIN:], y[N_TRAIN:], x0=fit.last_states, progress=False).nrmse[:, 0]


def peers(arrays):
    """The same errors from ReservoirPy, for some networks given by their arrays: states, then its ridge regression."""
    from reservoirpy.nodes import Reservoir
    from reservoirpy.nodes import Ridge as PeerRidge

    errors = []
    for W, W_in, bias, leak in arrays:
        u, y = (np.asarray(part, W.dtype).reshape(-1, 1) for part in (TASK.inputs, TASK.targets))
        states = Reservoir(units=len(W), W=W, Win=W_in, bias=bias, lr=leak, dtype=W.dtype).run(u)
        readout = PeerRidge(ridge=ALPHA).fit(states[WASHOUT:N_TRAIN], y[WASHOUT:N_TRAIN])
        errors.append(nrmse_std(y[N_TRAIN:], readout.run(states[N_TRAIN:])))
    return errors


def one_network(number):
    """One ESN as a task of `penstock.sweep`, which knows nothing of the others."""
    u, y = TASK.inputs, TASK.targets
    rng = np.random.default_rng(number)
    W = 0.9 / np.sqrt(N_UNITS) * rng.standard_normal((N_UNITS, N_UNITS))
    states = ESN(W, rng.uniform(-0.5, 0.5, (N_UNITS, 1)), leak=0.7).run(u)
    readout = Ridge(ALPHA).fit(states[WASHOUT:N_TRAIN], y[WASHOUT:N_TRAIN])
    return nrmse_std(y[N_TRAIN:], readout.predict(states[N_TRAIN:]))


def timed(function):
    """Return wall seconds, CPU seconds of this process, and the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def row(name, ensemble, pool, n_peers, repeats):
    """One row of the table: the whole ensemble by ours, a part of it by the peer, turn by turn."""
    members = [ensemble[i] for i in np.linspace(0, len(ensemble) - 1, n_peers).astype(int)]
    arrays = [(esn.W, esn.W_in, esn.bias, float(esn.leak)) for esn in members]
    tasks = [delayed(peers)(arrays[start::8]) for start in range(8)]
    times = {"two": [], "one": [], "peer": []}
    for repeat in range(repeats + 1):  # the first, which compiles and starts processes, does not count
        for n_threads, key in ((2, "two"), (1, "one")):
            with use_threads(n_threads):
                *seconds, errors = timed(lambda: ours(ensemble))
            times[key] += [seconds] if repeat else []
        wall, _, found = timed(lambda: pool(tasks))
        times["peer"] += [(wall * len(ensemble) / n_peers, 0.0)] if repeat else []
    median = {key: np.median(values, axis=0) for key, values in times.items()}
    least = {key: np.min(values, axis=0) for key, values in times.items()}
    expected = np.concatenate([np.array(found[start]) for start in range(8)])
    numbers = np.concatenate([np.linspace(0, len(ensemble) - 1, n_peers).astype(int)[start::8] for start in range(8)])
    # states and symmetric products of every network, at the rate of matrix products, on two cores
    kind = name.split(", ")[-1]
    work = roofline.bound(flops=3 * N_UNITS**2 * N_STEPS, tanh=N_UNITS * N_STEPS, dtype=kind)
    headline = measure.row(
        f"{len(ensemble):,} ESNs, {name}, 2 threads",
        measure.Seconds.of([wall for wall, _ in times["two"]]),
        "ReservoirPy, joblib",
        measure.Seconds.of([wall for wall, _ in times["peer"]]),
        goal=15,
        bound=work.scaled(len(ensemble) / 2),
        clock="wall",
        label=f"1000 ESNs, {name.rsplit(',', 1)[0]}" if kind == "float64" else "",
    )
    line = [
        name,
        f"{median['peer'][0]:.2f}",
        f"{median['two'][0]:.3f} ({least['two'][0]:.3f})",
        f"{median['one'][0]:.3f}",
        f"{median['two'][1]:.3f}",
        f"**{median['peer'][0] / median['two'][0]:.1f}**",
        f"{median['one'][0] / median['two'][0]:.2f}",
        f"{np.abs(errors[numbers] - expected).max():.0e}",
    ]
    return line, headline


def task_overhead(n_tasks):
    """Wall seconds per task of `penstock.sweep`, and of the same tasks in a plain loop in this process."""
    one_network(0)
    alone = timed(lambda: [one_network(number) for number in range(n_tasks)])[0] / n_tasks
    rows = []
    for n_jobs in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            grid = {"number": list(range(n_tasks))}
            if n_jobs == 2:
                sweep(one_network, {"number": [0, 1]}, store=f"{folder}/warm", n_jobs=2, progress=False)
            wall = time.perf_counter()
            sweep(one_network, grid, store=f"{folder}/store", n_jobs=n_jobs, progress=False)
            wall = time.perf_counter() - wall
        overhead = 1e3 * (wall * n_jobs / n_tasks - alone)
        rows.append([n_jobs, n_tasks, f"{1e3 * alone:.2f}", f"{1e3 * wall / n_tasks:.2f}", f"{overhead:.2f}"])
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=int, default=60, help="networks run by ReservoirPy")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--quick", action="store_true", help="few networks and repeats")
    options = parser.parse_args()
    if options.quick:
        options.peers, options.repeats, options.tasks = 16, 1, 50
    with Parallel(n_jobs=2) as pool:
        cells = [
            row(f"{name}, {np.dtype(dtype).name}", make(dtype), pool, options.peers, options.repeats)
            for name, make in (("20 W × 50 settings", shared), ("1,000 W", different))
            for dtype in (np.float64, np.float32)
        ]
    drawing = timed(lambda: shared(np.float64))[0]
    header = [
        "1,000 networks",
        "ReservoirPy, 2 processes, s",
        "penstock, 2 threads, s (least)",
        "1 thread, s",
        "CPU, s",
        "× ReservoirPy",
        "× 1 thread",
        "largest difference of scores",
    ]
    measure.publish(
        "sweeps",
        "A sweep of 1,000 small networks",
        measure.machine("reservoirpy", "joblib"),
        measure.bandwidth(),
        f"N = {N_UNITS}, dense; NARMA10 of {N_STEPS} steps, fitted on {N_TRAIN} of them ({WASHOUT} of washout, ridge "
        f"penalty {ALPHA:g}) and scored on the rest. Wall seconds, medians of {options.repeats} turns after a first; "
        f"ReservoirPy (`Reservoir.run`, `Ridge`) through joblib on two warm processes, its time for {options.peers} of "
        "the networks multiplied up to all. Drawing is not counted: with spectral radii that is "
        f"{drawing:.2f} s for 20 networks, once for all their settings.",
        measure.table(header, [line for line, _ in cells]),
        "The same kind of network one per task of `penstock.sweep`, each result on disk at once. Overhead: wall time "
        "per task and worker beyond that of a plain loop in one process.",
        measure.table(
            ["workers", "tasks", "plain loop, ms per task", "sweep, ms per task", "overhead, ms per task"],
            task_overhead(options.tasks),
        ),
        rows=[row for _, row in cells],
    )


if __name__ == "__main__":
    main()
