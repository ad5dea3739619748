"""How benchmarks measure: one pinned core, one thread, process CPU time, medians of interleaved repeats.

Import this before NumPy: thread counts are read when the libraries load.
"""

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).resolve().parent / "results"


def pin() -> None:
    """Keep this process on one core, where the system allows it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def interleaved(tasks: dict, repeats: int = 7, at_least: float = 0.02) -> dict:
    """Return {name: (median, minimum)} of the CPU seconds of one call of every task.

    The tasks take turns, so that a slow moment of the machine hits all of them. Short ones are called often enough
    per turn to fill `at_least` seconds. The first call of each, which may compile, is not counted.
    """
    calls = {}
    for name, task in tasks.items():
        task()
        start = time.process_time()
        task()
        calls[name] = max(1, int(at_least / max(time.process_time() - start, 1e-6)))
    seconds = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            start = time.process_time()
            for _ in range(calls[name]):
                task()
            seconds[name].append((time.process_time() - start) / calls[name])
    return {name: (float(np.median(values)), min(values)) for name, values in seconds.items()}


def machine(*packages: str) -> str:
    """Return one line on the processor and the versions measured."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "numba", *packages))
    return f"{model}, {os.cpu_count()} cores; Python {platform.python_version()}, {versions}"


def bandwidth() -> str:
    """Return a two-second probe of the machine: memory streams and matrix products, one thread."""
    large, small = np.ones(40_000_000), np.ones((1000, 1000))
    product = np.empty_like(small)
    times = interleaved({"sum": lambda: large.sum(), "gemm": lambda: np.dot(small, small, product)}, repeats=5)
    return (
        f"{large.nbytes / times['sum'][0] / 1e9:.1f} GB/s read from memory, "
        f"{2e9 / times['gemm'][0] / 1e9:.0f} GF/s in a float64 matrix product (N = 1000)"
    )


def table(header: list[str], rows: list[list]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def publish(name: str, title: str, *parts: str) -> None:
    """Print a report and write it whole to benchmarks/results/<name>.md."""
    command = f"python benchmarks/{Path(sys.argv[0]).name} {' '.join(sys.argv[1:])}".strip()
    text = "\n\n".join([f"# {title}", f"Made by `{command}`.", *parts]) + "\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    unfinished = RESULTS / f".{name}.md"
    unfinished.write_text(text)
    unfinished.replace(RESULTS / f"{name}.md")
