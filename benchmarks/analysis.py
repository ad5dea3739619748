"""Lyapunov spectra, visibility graphs, fixed points and capacities, each against its nearest peer."""

import measure  # first: it sets the thread counts that libraries read when they load

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import roofline
from numba import njit
from pynamicalsys import ContinuousDynamicalSystem, DiscreteDynamicalSystem

from penstock import Flow, Map
from penstock.analysis import (
    fixed_points,
    horizontal_visibility_graph,
    information_processing_capacity,
    lyapunov_spectrum,
    visibility_graph,
)
from penstock.reservoirs import ESN


def ratio(times, peer, ours="ours"):
    return f"**{times[peer][0] / times[ours][0]:.1f}**"


# Lyapunov spectra of networks


def naive_spectrum(esn, u, k):
    """Form J, multiply, factorise by NumPy, at every step."""
    W, W_in, a = esn.W, esn.W_in, esn.leak
    x, Q, logs = np.zeros(len(W)), np.eye(len(W))[:, :k], np.zeros(k)
    for u_t in u:
        y = np.tanh(W @ x + W_in @ u_t)
        J = (1 - a) * np.eye(len(W)) + (a * (1 - y * y))[:, None] * W
        x = (1 - a) * x + a * y
        Q, R = np.linalg.qr(J @ Q)
        logs += np.log(np.abs(np.diagonal(R)))
    return logs / len(u)


def spectrum_row(n_units, k, n_steps):
    """Milliseconds per step; the fixed cost of a call (blocks, sum rule) is in ours; all naive steps cost alike."""
    n_naive = min(n_steps // 10, 20)
    esn = ESN.random(n_units, leak=0.5, spectral_radius=0.9, seed=0)
    u = np.random.default_rng(0).uniform(-1, 1, (n_steps, 1))

    results = {}

    def ours(interval):
        results[interval] = lyapunov_spectrum(esn, u, k, washout=0, interval=interval, progress=False)

    ours(None)
    tasks = {"naive": lambda: naive_spectrum(esn, u[:n_naive], k), "adaptive": lambda: ours(None)}
    if results[None].interval != (1, 1):
        tasks["every"] = lambda: ours(1)
    times = measure.interleaved(tasks, repeats=1 if n_units >= 1000 and k < n_units else 3, at_least=0.0)
    times["naive"] = times["naive"].scaled(n_steps / n_naive)
    times.setdefault("every", times["adaptive"])
    found = {interval: results[interval].exponents for interval in results}
    error = f"{np.abs(np.sort(found[None]) - np.sort(found[1])).max():.0e}" if 1 in found else ""
    ms = [f"{1e3 * times[name][0] / n_steps:.3g}" for name in ("naive", "every", "adaptive")]
    used = "–".join(map(str, sorted(set(results[None].interval))))
    # a product with the basis at every step, QR and forming Q at the longest interval used; if that is one step for
    # many, the product with a triangle and LU
    flops = 2 * n_units**2 * k + (4 * n_units * k**2 - 4 / 3 * k**3) / max(results[None].interval)
    if results[None].interval == (1, 1):
        flops = 2 * n_units**2 * k - k**3 / 3
    row = measure.row(
        f"Lyapunov spectrum, {'all' if k == n_units else k} exponents, N = {n_units}: a step",
        times["adaptive"].scaled(1 / n_steps),
        "NumPy, QR every step",
        times["naive"].scaled(1 / n_steps),
        goal=5 if k < n_units else 3 if n_units == 1000 else None,
        bound=roofline.bound(flops=flops),
        label=f"Lyapunov, {'all' if k == n_units else k} of {n_units}" if n_units == 1000 else "",
    )
    line = [
        n_units,
        k,
        n_steps,
        *ms,
        ratio(times, "naive", "every"),
        ratio(times, "naive", "adaptive"),
        used,
        error,
    ]
    return line, row


# Small systems


@njit
def lorenz(x, u):
    return 10.0 * (x[1] - x[0]), x[0] * (28.0 - x[2]) - x[1], x[0] * x[1] - 8.0 / 3.0 * x[2]


@njit
def lorenz_jacobian(x, u):
    return (-10.0, 10.0, 0.0), (28.0 - x[2], -1.0, -x[0]), (x[1], x[0], -8.0 / 3.0)


@njit
def henon(x, u):
    return 1.0 - 1.4 * x[0] * x[0] + x[1], 0.3 * x[0]


@njit
def henon_jacobian(x, u):
    return (-2.8 * x[0], 1.0), (0.3, 0.0)


def small_rows():
    dt, n = 0.01, 200_000
    flow = Flow(lorenz, n_units=3, dt=dt, rule_jacobian=lorenz_jacobian)
    bare = Flow(lorenz, n_units=3, dt=dt)
    hmap, x0 = Map(henon, n_units=2, rule_jacobian=henon_jacobian), [0.1, 0.1]
    peer_flow = ContinuousDynamicalSystem(model="lorenz system")
    peer_flow.integrator("rk4", time_step=dt)
    peer_map = DiscreteDynamicalSystem(model="henon map")
    start = np.array([1.0, 1.0, 20.0])

    def ours(system, first, interval):
        return lyapunov_spectrum(system, n_steps=n, washout=0, x0=first, interval=interval, progress=False)

    def theirs():
        return peer_flow.lyapunov(start, n * dt, parameters=[10.0, 28.0, 8 / 3])

    def theirs_map():
        return peer_map.lyapunov(np.array(x0), n, parameters=[1.4, 0.3])

    flows = {
        "pynamicalsys 1.7, QR every step": theirs,
        "penstock, QR every step": lambda: ours(flow, start, 1),
        "penstock, adaptive QR": lambda: ours(flow, start, None),
        "penstock, adaptive QR, no Jacobian given": lambda: ours(bare, start, None),
    }
    maps = {
        "pynamicalsys 1.7, QR every step": theirs_map,
        "penstock, QR every step": lambda: ours(hmap, x0, 1),
        "penstock, adaptive QR": lambda: ours(hmap, x0, None),
    }
    lines, rows = [], []
    for label, tasks in (("Lorenz-63, RK4, 3 tangents", flows), ("Hénon map, 2 tangents", maps)):
        times = measure.interleaved(tasks, repeats=5)
        peer = times["pynamicalsys 1.7, QR every step"]
        rows.append(
            measure.row(
                f"Lyapunov spectrum, {label}: a step",
                times["penstock, adaptive QR"].scaled(1 / n),
                "pynamicalsys",
                peer.scaled(1 / n),
                label="Lyapunov, Lorenz-63" if label.startswith("Lorenz") else "",
            )
        )
        for name, task in tasks.items():
            value = task()
            exponents = value.exponents if hasattr(value, "exponents") else np.asarray(value)
            text = ", ".join(f"{e:.3f}" for e in exponents)
            lines.append([label, name, f"{1e6 * times[name][0] / n:.3f}", f"**{peer[0] / times[name][0]:.1f}**", text])
    return lines, rows


START = """
import time
import numpy as np
from numba import njit
from penstock import Flow
from penstock.analysis import lyapunov_spectrum

@njit
def lorenz(x, u):
    return 10.0 * (x[1] - x[0]), x[0] * (28.0 - x[2]) - x[1], x[0] * x[1] - 8.0 / 3.0 * x[2]

flow = Flow(lorenz, n_units=3, dt=0.01)
start = time.process_time()
lyapunov_spectrum(flow, n_steps=2000, x0=[1.0, 1.0, 20.0], progress=False)
print(time.process_time() - start)
"""


def start_up():
    """CPU seconds of the first spectrum of a user's compiled flow, in the first process and in later ones."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "first.py"
        script.write_text(START)
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        run = [sys.executable, str(script)]
        seconds = [
            float(subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout)
            for _ in range(6)
        ]
    return [["first process, cold cache", f"{seconds[0]:.2f}"], ["later processes", f"{np.median(seconds[1:]):.2f}"]]


# Graphs


def graph_row(n_steps):
    import ts2vg

    series = np.random.default_rng(0).standard_normal(n_steps)
    times = measure.interleaved(
        {
            "ours": lambda: horizontal_visibility_graph(series),
            "horizontal": lambda: ts2vg.HorizontalVG().build(series),
            "natural ours": lambda: visibility_graph(series),
            "natural": lambda: ts2vg.NaturalVG().build(series),
        },
        repeats=5,
    )
    same = horizontal_visibility_graph(series).n_edges == ts2vg.HorizontalVG().build(series).n_edges
    # ts2vg computes slopes from absolute times, whose rounding loses links of long series
    lost = visibility_graph(series).n_edges - ts2vg.NaturalVG().build(series).n_edges
    ms = {name: f"{1e3 * value[0]:.2f}" for name, value in times.items()}
    # the series is read, both ends of every link written: eight bytes each
    n_links = {"horizontal": 2 * n_steps, "natural": visibility_graph(series).n_edges}
    rows = [
        measure.row(
            f"{kind} visibility graph of {n_steps:,} points",
            times[ours],
            "ts2vg",
            times[kind],
            bound=roofline.bound(traffic=[(8 * n_steps + 16 * n_links[kind], 2**28)]),
            label="visibility graph, 1e6 points" if (n_steps, kind) == (1_000_000, "horizontal") else "",
        )
        for kind, ours in (("horizontal", "ours"), ("natural", "natural ours"))
    ]
    line = [
        n_steps,
        ms["horizontal"],
        ms["ours"],
        ratio(times, "horizontal"),
        ms["natural"],
        ms["natural ours"],
        ratio(times, "natural", "natural ours"),
        f"{'same' if same else 'NOT THE SAME'}, {lost}",
    ]
    return line, rows


# Fixed points


def adam_fixed_points(W, starts, iterations=5000):
    """The usual search, gradient descent by Adam on the speed, in PyTorch, all starts as one batch."""
    import torch

    torch.set_num_threads(1)
    W = torch.tensor(W.T)
    x = torch.tensor(starts, requires_grad=True)
    optimiser = torch.optim.Adam([x], lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, 1e-4 ** (1 / iterations))
    for _ in range(iterations):
        q = 0.5 * ((torch.tanh(x @ W) - x) ** 2).sum(dim=1)
        optimiser.zero_grad()
        q.sum().backward()
        optimiser.step()
        schedule.step()
    return x.detach().numpy()


def fixed_point_rows():
    rng = np.random.default_rng(1)
    W = 1.5 * rng.standard_normal((100, 100)) / 10
    starts = rng.standard_normal((200, 100))
    network = ESN(W, np.empty((100, 0)))
    lines, times = [], []
    for name, task in (
        ("Adam on q, 5000 iterations (PyTorch)", lambda: adam_fixed_points(W, starts)),
        ("penstock", lambda: fixed_points(network, x0=starts, progress=False)),
    ):
        task()
        begun = time.process_time()
        found = task()
        seconds = time.process_time() - begun
        times.append(seconds)
        points = found if isinstance(found, np.ndarray) else found.points
        q = 0.5 * ((np.tanh(points @ W.T) - points) ** 2).sum(axis=1)
        tight = points[q < 1e-20]
        distinct = len(np.unique(tight.round(6), axis=0)) if len(tight) else 0
        lines.append([name, f"{seconds:.2f}", int((q < 1e-12).sum()), len(tight), distinct])
    peer, ours = times
    return lines, measure.row("fixed points of tanh(W x), N = 100, 200 starts", ours, "PyTorch, Adam", peer)


# Capacities


def plain_capacity(X, u, products):
    """Capacities by a QR of the stored states and a loop over the products."""
    from numpy.polynomial.legendre import legval

    Q = np.linalg.qr(X - X.mean(axis=0))[0]
    longest = max(max(product) for product in products)
    result = []
    for product in products:
        y = np.ones(len(X))
        for delay, degree in product.items():
            y = y * np.sqrt(2 * degree + 1) * legval(u[longest - delay : len(u) - delay], np.eye(degree + 1)[degree])
        y -= y.mean()
        result.append(((Q.T @ y) ** 2).sum() / (y @ y))
    return np.array(result)


def capacity_row(n_units, n_steps):
    esn = ESN.random(n_units, input_scaling=0.5, bias_scaling=0.3, seed=0)
    delays = [60, 40, 16]
    result = information_processing_capacity(esn, max_delays=delays, n_steps=n_steps, seed=0, progress=False)
    products = [
        {int(k): int(d) for d, k in zip(degrees, delays, strict=True) if d}
        for degrees, delays in zip(result.degrees, result.delays, strict=True)
    ]
    u = np.random.default_rng(0).uniform(-1, 1, n_steps + 60)
    X = esn.run(u)[60:]
    times = measure.interleaved(
        {
            "plain": lambda: plain_capacity(X, u, products),
            "ours": lambda: information_processing_capacity(
                esn, max_delays=delays, n_steps=n_steps, seed=0, progress=False
            ),
        },
        repeats=3,
        at_least=0.0,
    )
    row = measure.row(
        f"information processing capacity, {len(products)} products, N = {n_units}, T = {n_steps}",
        times["ours"],
        "NumPy, QR and loop",
        times["plain"],
        bound=roofline.bound(flops=2 * n_units * n_steps * len(products)),
        label=f"capacities, N = {n_units}" if n_units == 100 else "",
    )
    line = [
        n_units, n_steps, len(products), f"{times['plain'][0]:.2f}", f"{times['ours'][0]:.2f}", ratio(times, "plain")
    ]  # fmt: skip
    return line, row


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smallest sizes only")
    few = 1 if parser.parse_args().quick else None
    measure.pin()
    begun = time.time()
    starts = start_up()
    small, small_lines = small_rows()
    networks = [spectrum_row(*sizes) for sizes in ((200, 200, 1000), (500, 500, 300), (1000, 1000, 600))[:few]]
    leading = [spectrum_row(*sizes) for sizes in ((200, 10, 4000), (500, 10, 1000), (1000, 10, 400))[:few]]
    graphs = [graph_row(n) for n in (10_000, 100_000, 1_000_000)[:few]]
    points, point_line = fixed_point_rows()
    capacities = [capacity_row(*sizes) for sizes in ((20, 40_000), (100, 20_000))[:few]]
    measure.publish(
        "analysis",
        "Analysis of dynamical systems",
        measure.machine("pynamicalsys", "ts2vg", "torch"),
        f"{measure.bandwidth()}. One core, one thread, process CPU time, medians of 3 to 5 interleaved runs; "
        f"{time.time() - begun:.0f} s in all.",
        "## Lyapunov spectra of a leaky echo-state network (leak 0.5, dense), ms per step",
        "Naive: form the Jacobian, multiply, `numpy.linalg.qr`, every step. Ours is a whole call, with the blocks for "
        "the errors and the check of the sum rule. Difference: adaptive against every step, largest of all exponents; "
        "where adaptive is every step, it is measured once.",
        measure.table(
            [
                "N",
                "exponents",
                "steps",
                "naive",
                "QR every step",
                "adaptive",
                "× every step",
                "× adaptive",
                "interval",
                "difference",
            ],
            [line for line, _ in networks + leading],
        ),
        "## Small systems, µs per step of 200,000",
        measure.table(["system", "", "µs per step", "× peer", "exponents"], small),
        "CPU seconds of the first spectrum of a user's compiled flow, imports not counted:",
        measure.table(["", "s"], starts),
        "## Visibility graphs, ms",
        "ts2vg loses a few links of long natural graphs (2 of 2,951,203 at T = 1e6, by exact fractions); ours not.",
        measure.table(
            [
                "T",
                "ts2vg horizontal",
                "penstock",
                "ratio",
                "ts2vg natural",
                "penstock",
                "ratio",
                "horizontal links, natural links ts2vg loses",
            ],
            [line for line, _ in graphs],
        ),
        "## Fixed points of tanh(W x), N = 100, gain 1.5, 200 starts",
        "Ours adds starts between the points it found. Ends and distinct points with q = speed² / 2 below the bound.",
        measure.table(["", "CPU s", "ends with q < 1e-12", "q < 1e-20", "distinct"], points),
        "## Information processing capacity, s",
        "Plain: QR of stored states (not counted), a loop over the products. Ours runs the states and jackknifes too.",
        measure.table(["N", "steps", "products", "plain NumPy", "penstock", "ratio"], [line for line, _ in capacities]),
        rows=[row for _, row in networks + leading + capacities]
        + small_lines
        + [row for _, pair in graphs for row in pair]
        + [point_line],
    )


if __name__ == "__main__":
    main()
