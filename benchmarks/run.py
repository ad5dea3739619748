"""Measure every table against the installed peers and write benchmarks/RESULTS.md and results/speed.png.

    python benchmarks/run.py                                  # everything
    python benchmarks/run.py --only reservoirs training       # these tables; the others stay as they are
    python benchmarks/run.py --python spiking=/path/python force=/path/python   # with another interpreter
    python benchmarks/run.py --quick                          # smallest sizes, into a temporary folder: does it work?
    python benchmarks/run.py --only                           # measures nothing, writes report and figure anew

Every script runs in a process of its own, writes results/<name>.md and its lines of the report to results/<name>.json,
with machine and versions; the report is made of all the JSON files there are. So tables may be measured one by one,
and those that need Brian2 under an interpreter that has it, by --python or by running this under it with --only.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TABLES = {  # script: what it imports that penstock does not need
    "reservoirs": ("reservoirpy",),
    "chunks": ("reservoirpy",),
    "memory": ("reservoirpy", "sklearn"),
    "training": ("reservoirpy", "sklearn"),
    "streamed": (),
    "sweeps": ("reservoirpy",),
    "analysis": ("pynamicalsys", "ts2vg", "torch"),
    "spiking": ("brian2",),
    "force": ("brian2",),
    "liquid": ("torch", "ncps"),
    "growth": (),
}
PACKAGES = {"sklearn": "scikit-learn", "reservoirpy": "reservoirpy==0.4.2"}
UNITS = {"s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")), "MB": ((1.0, "MB"),)}
NOTES = """\
Every line is measured with its peer in one process or in processes that take turns, on the same arrays; the scripts
compare the results before they quote a time. One pinned core, one thread, process CPU time, unless it says wall. In
brackets the quartiles of the repeats. *Goal*: times as fast as the peer, or a largest value; where it is missed, also
what a program at the bound would reach. *Of roofline*: the least time that the machine needs for the bytes or the
arithmetic, as a part of the time measured, and which of the two; above 100 % a faster algorithm than that of the bound
was used, or the data came from a nearer cache than the model says.

The bounds use the probes that every table took at its start (below): bytes at the bandwidth of the level of memory
that holds them, multiply-adds at their highest rate, tanh and exp at the rate of the package's vector versions in L1,
gathers and synaptic events at that of a bare loop; the longer of memory and arithmetic counts.

- **ESN, dense**: all weights are read and multiplied once per step of a batch; a tanh per unit. **Sparse**: a gather
  per weight, in a batch a row of states per weight. **Ring**: a tanh per unit. Storing the states is not counted.
- **States and readout**: the steps, then the symmetric product of the states, N² T operations.
- **Ridge path**: that product and the leverages, 3 N² T operations. **Capacities**: every product with every state.
- **Memory capacity**: the states at the rate of a matrix product, and the symmetric product.
- **Lyapunov**: the product of weights and basis at every step, QR and forming its Q at the longest interval used; where
  that is one step, the product with a triangular basis and LU.
- **Spiking**: the state of every neuron (26 bytes) is read and written at every step; then an event per synapse of a
  spike (two if plastic; a row of 8-byte weights if all-to-all). **FORCE** reads half of P per update as well.
- **LTC**: a sigmoid, at the cost of a tanh, per synapse and unfold. **CfC**: weights, multiply-adds and tanh.
- **Visibility graphs**: the series is read, both ends of every link written.
"""


def missing(python, names) -> list[str]:
    """Return those of the packages that an interpreter does not find, as pip names them."""
    code = "import sys, importlib.util as i; print(*[n for n in sys.argv[1:] if i.find_spec(n) is None])"
    found = subprocess.run([python, "-c", code, *names], capture_output=True, text=True, check=True).stdout
    return [PACKAGES.get(name, name) for name in found.split()]


def measure_tables(names, pythons, results, quick) -> list[str]:
    """Run the scripts one after the other; return a line on each."""
    lines = []
    for name in names:
        python, start = pythons.get(name, sys.executable), time.time()
        absent = missing(python, TABLES[name])
        if absent:
            lines.append(f"{name}: skipped, pip install {' '.join(absent)}")
        else:
            print(f"--- {name}", flush=True)
            command = [python, str(HERE / f"{name}.py"), *(["--quick"] if quick else [])]
            done = subprocess.run(command, env=os.environ | {"BENCHMARK_RESULTS": str(results)})
            lines.append(f"{name}: {'FAILED' if done.returncode else 'done'} after {time.time() - start:.0f} s")
        print(lines[-1], flush=True)
    return lines


def load(results) -> dict:
    """Return {name of the table: what its script wrote}, in the order of `TABLES`."""
    files = {name: results / f"{name}.json" for name in TABLES}
    return {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}


def quantity(spread, unit) -> str:
    """Return the median and, if they differ from it, the quartiles: '158 (146–171) µs'."""
    scale, name = next(((s, n) for s, n in UNITS[unit] if spread[0] >= s), UNITS[unit][-1])
    median, lower, upper = (_digits(value / scale) for value in spread)
    return f"{median} {name}" if lower == upper else f"{median} ({lower}–{upper}) {name}"


def ratio(row) -> float | None:
    """Return how many times the peer takes."""
    return row["theirs"][0] / row["ours"][0] if row["theirs"] and row["ours"][0] else None


def verdict(row) -> str:
    """Return the goal and whether it is met, or nothing."""
    times = ratio(row)
    if row["goal"] is not None and times is not None:
        if times >= row["goal"]:
            return f"≥ {row['goal']:g}× met"
        most = f", bound {_digits(row['theirs'][0] / row['bound'][0])}×" if row["bound"] else ""
        return f"≥ {row['goal']:g}× **missed**{most}"
    if row["at_most"] is not None:
        return f"≤ {row['at_most']:g} {row['unit']} {'met' if row['ours'][0] <= row['at_most'] else '**missed**'}"
    return ""


def line(row) -> list[str]:
    """Return the cells of one workload."""
    times, unit = ratio(row), row["unit"]
    clock = " (wall)" if row["clock"] == "wall" else ""
    fraction = f"{100 * row['bound'][0] / row['ours'][0]:.0f} % ({row['bound'][1]})" if row["bound"] else ""
    theirs = f"{row['peer']}: {quantity(row['theirs'], unit)}" if row["theirs"] else ""
    return [
        row["workload"] + clock, quantity(row["ours"], unit), theirs,
        "" if times is None else f"**{_digits(times)}×**", verdict(row), fraction,
    ]  # fmt: skip


def report(tables) -> str:
    """Return the text of RESULTS.md."""
    rows = [row for table in tables.values() for row in table["rows"]]
    asked = [verdict(row) for row in rows if verdict(row)]
    parts = [
        "# Benchmarks",
        "Made by `python benchmarks/run.py`; see its docstring for single tables and other interpreters. "
        f"{sum('met' in text for text in asked)} of {len(asked)} goals are met.",
        NOTES.rstrip(),
    ]
    header = ["workload", "penstock", "peer", "ratio", "goal", "of roofline"]
    for name, table in tables.items():
        parts += [
            f"## {table['title']}",
            f"[All of the table](results/{name}.md), `{table['command']}`. {table['machine']}.",
            f"Probes: {table['probes']}.",
            *([_table(header, [line(row) for row in table["rows"]])] if table["rows"] else []),
            *([table["summary"]] if table.get("summary") else []),
        ]
    for name in TABLES:
        if name not in tables:
            needs = " ".join(PACKAGES.get(package, package) for package in TABLES[name])
            parts.append(f"`{name}.py` has not been measured" + (f": `pip install {needs}`." if needs else "."))
    return "\n\n".join(parts) + "\n"


def draw(tables, path):
    """Draw the ratios of the labelled rows as horizontal bars, coloured by peer."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [row for table in tables.values() for row in table["rows"] if row["label"] and ratio(row)]
    rows.sort(key=ratio)
    family = {row["peer"]: row["peer"].split(",")[0] for row in rows}  # "NumPy, dense" is NumPy
    peers = list(dict.fromkeys(family[row["peer"]] for row in reversed(rows)))
    colours = {peer: f"C{i}" for i, peer in enumerate(peers)}
    figure, ax = plt.subplots(figsize=(10, 1.6 + 0.31 * len(rows)), layout="constrained")
    for place, row in enumerate(rows):
        times = ratio(row)
        ax.barh(place, times - 1, left=1, color=colours[family[row["peer"]]])
        side = {"xytext": (4, 0), "ha": "left"} if times >= 1 else {"xytext": (-4, 0), "ha": "right"}
        ax.annotate(f"{_digits(times)}×", (times, place), textcoords="offset points", va="center", fontsize=12, **side)
    ax.axvline(1, color="0.2")
    ax.set_yticks(range(len(rows)), [row["label"] for row in rows], fontsize=12)
    ends = [ratio(row) for row in rows]
    ax.set(xscale="log", ylim=(-0.7, len(rows) - 0.3), xlim=(min(0.5, *ends) / 2.2, 2.2 * max(ends)))
    ax.set_xlabel("times as fast as the peer, in the same run (1× = equal)", fontsize=13)
    ax.xaxis.set_major_formatter("{x:g}×")
    ax.tick_params(axis="x", labelsize=12)
    ax.grid(axis="x", alpha=0.3)
    ax.set_axisbelow(True)
    handles = [plt.Rectangle((0, 0), 1, 1, color=colours[peer]) for peer in peers]
    ax.legend(handles, peers, title="peer", loc="lower right", fontsize=12, title_fontsize=12)
    figure.savefig(path, dpi=100)


def _digits(value) -> str:
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.3g}"


def _table(header, rows) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=TABLES, default=list(TABLES), metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="smallest sizes, into a temporary folder")
    parser.add_argument("--python", nargs="+", default=[], metavar="NAME=PATH", help="interpreters of single tables")
    options = parser.parse_args()
    pythons = dict(pair.split("=", 1) for pair in options.python)
    unknown = set(pythons) - set(TABLES)
    if unknown:
        parser.error(f"--python must name tables, one of {', '.join(TABLES)}, got {', '.join(sorted(unknown))}")
    home = Path(tempfile.mkdtemp()) if options.quick else HERE
    results = home / "results"
    done = measure_tables(options.only, pythons, results, options.quick)
    tables = load(results)
    if any(row["label"] for table in tables.values() for row in table["rows"]):
        draw(tables, results / "speed.png")
    (home / "RESULTS.md").write_text(report(tables))
    print("\n".join([*done, f"wrote {home / 'RESULTS.md'}"]))
    sys.exit(any("FAILED" in text for text in done))


if __name__ == "__main__":
    main()
