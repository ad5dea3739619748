"""How benchmarks measure: one pinned core, one thread, process CPU time, medians of interleaved repeats.

Import this before NumPy: thread counts are read when the libraries load.
"""

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

import json
import platform
import resource
import sys
import time
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

RESULTS = Path(os.environ.get("BENCHMARK_RESULTS", Path(__file__).resolve().parent / "results"))
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


class Seconds(NamedTuple):
    """Time of one call: median, least and quartiles of the repeats."""

    median: float
    least: float
    lower: float
    upper: float

    @classmethod
    def of(cls, values) -> "Seconds":
        lower, median, upper = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
        return cls(median, float(np.min(values)), lower, upper)

    def scaled(self, factor) -> "Seconds":
        return Seconds(*(factor * value for value in self))


def pin() -> None:
    """Keep this process on one core, where the system allows it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(CORES)})


@contextmanager
def cores(n_threads):
    """Let a ``with`` block run on `n_threads` cores and threads; the clock there is `time.perf_counter`."""
    from penstock.threads import use_threads

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(CORES)[-n_threads:])
    try:
        with use_threads(n_threads):
            yield
    finally:
        pin()


def interleaved(tasks: dict, repeats: int = 7, at_least: float = 0.02, clock=time.process_time) -> dict[str, Seconds]:
    """Return {name: Seconds of one call} of every task, by default in CPU time.

    The tasks take turns, so that a slow moment of the machine hits all of them. Short ones are called often enough
    per turn to fill `at_least` seconds; 0 calls all of them once. The first call, which may compile, is not counted.
    """
    calls = {}
    for name, task in tasks.items():
        task()
        start = clock()
        if at_least:
            task()
        calls[name] = max(1, int(at_least / max(clock() - start, 1e-6)))
    seconds = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            start = clock()
            for _ in range(calls[name]):
                task()
            seconds[name].append((clock() - start) / calls[name])
    return {name: Seconds.of(values) for name, values in seconds.items()}


def peak_memory(task) -> float:
    """Return by how many MB the resident set of this process grows at most while `task` runs (0 off Linux)."""
    status, peak = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not status.exists():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        task()
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    peak.write_text("5")  # the peak so far is forgotten

    def read(field):
        return int(status.read_text().split(field + ":")[1].split()[0])

    before = read("VmRSS")
    task()
    return (read("VmHWM") - before) / 1024


def machine(*packages: str) -> str:
    """Return one line on the processor and the versions measured."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    versions = ", ".join(f"{name} {version(name)}" for name in ("penstock", "numpy", "scipy", "numba", *packages))
    return f"{model}, {os.cpu_count()} cores; Python {platform.python_version()}, {versions}"


def bandwidth() -> str:
    """Return a line on what the machine can do at most, one thread; see `roofline.probes`."""
    import roofline

    return str(roofline.probes())


def table(header: list[str], rows: list[list]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def row(
    workload, ours, peer="", theirs=None, *, goal=None, at_most=None, bound=None, unit="s", clock="CPU", label=""
) -> dict:
    """Return one line of benchmarks/RESULTS.md.

    Parameters
    ----------
    workload : str
        What is computed, with its sizes and, if it is not float64, its type.
    ours, theirs : Seconds or float
        Of penstock and of the peer, for the same work (one step, one run); or any other number in `unit`.
    peer : str
        Name of the peer; colours of the figure go by it.
    goal : float, optional
        The ratio theirs / ours that was asked.
    at_most : float, optional
        The value of ours that was asked.
    bound : roofline.Bound, optional
        What the machine needs at least; see roofline.py.
    clock : str
        CPU, or wall where several threads or processes work.
    label : str
        A short name, which puts it into the figure of the README.
    """

    def spread(value):
        one = isinstance(value, int | float)
        return [float(value)] * 3 if one else [value.median, value.lower, value.upper]

    return {
        "workload": workload,
        "label": label,
        "unit": unit,
        "clock": clock,
        "ours": spread(ours),
        "peer": peer,
        "theirs": None if theirs is None else spread(theirs),
        "goal": goal,
        "at_most": at_most,
        "bound": None if bound is None else [float(bound.seconds), bound.by],
    }


def publish(name: str, title: str, *parts: str, rows=(), summary: str = "") -> None:
    """Print a report and write it whole to results/<name>.md.

    What RESULTS.md shows of it goes to results/<name>.json: the first part, which is the line of `machine`, the
    `rows`, and a `summary` in Markdown.
    """
    command = f"python benchmarks/{Path(sys.argv[0]).name} {' '.join(sys.argv[1:])}".strip()
    text = "\n\n".join([f"# {title}", f"Made by `{command}`.", *parts]) + "\n"
    print(text)
    RESULTS.mkdir(parents=True, exist_ok=True)
    _write(RESULTS / f"{name}.md", text)
    about = {"title": title, "command": command, "machine": parts[0], "probes": bandwidth()}
    about |= {"rows": list(rows), "summary": summary}
    _write(RESULTS / f"{name}.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")


def _write(path, text):
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_text(text)
    unfinished.replace(path)
