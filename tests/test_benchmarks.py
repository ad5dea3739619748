"""The benchmarks' own arithmetic: medians, exponents, bounds and the report. Nothing here is timed."""

import importlib
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import scipy.stats

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def benchmarks():
    # measure.py sets thread counts when it is imported, which are not for the other tests
    with mock.patch.dict(os.environ), mock.patch.object(sys, "path", [str(FOLDER), *sys.path]):
        return SimpleNamespace(
            **{name: importlib.import_module(name) for name in ("run", "measure", "growth", "roofline")}
        )


@pytest.fixture
def plain_machine(benchmarks, monkeypatch):
    """1 GB/s from everywhere, 2 GF/s, 10 ns per tanh, 1 ns per gather."""
    both = {"float64": 1.0, "float32": 1.0}
    scaled = [{kind: scale for kind in both} for scale in (2e9, 1e9, 1e-8, 1e-8, 1e-9)]
    probes = benchmarks.roofline.Probes(np.full(8, 1e9), *scaled)
    monkeypatch.setattr(benchmarks.roofline, "probes", lambda: probes)
    return benchmarks.roofline


ROW = {
    "workload": "states", "label": "", "unit": "s", "clock": "CPU", "ours": [2e-3, 1.5e-3, 3e-3], "peer": "other",
    "theirs": [8e-3, 7e-3, 9e-3], "goal": 3, "at_most": None, "bound": [1e-3, "memory"],
}  # fmt: skip


def test_every_table_has_a_script_and_every_script_a_table(benchmarks):
    scripts = {path.stem for path in FOLDER.glob("*.py")} - {"run", "measure", "roofline"}
    assert scripts == set(benchmarks.run.TABLES)


def test_the_exponent_of_a_power_law_is_its_power(benchmarks):
    sizes = np.array([10.0, 30.0, 100.0, 300.0])
    slope, error = benchmarks.growth.exponent(sizes, 3e-6 * sizes**1.7)
    assert slope == pytest.approx(1.7, abs=1e-12) and error < 1e-12


def test_exponents_and_errors_are_those_of_a_linear_regression_of_the_logarithms(benchmarks):
    sizes, values = np.array([1.0, 2.0, 4.0, 8.0, 16.0]), np.array([1.0, 3.0, 5.0, 11.0, 30.0])
    other = scipy.stats.linregress(np.log(sizes), np.log(values))
    assert benchmarks.growth.exponent(sizes, values) == pytest.approx((other.slope, other.stderr), rel=1e-12)


def test_seconds_are_median_least_and_quartiles(benchmarks):
    assert benchmarks.measure.Seconds.of([5.0, 1.0, 3.0, 2.0, 4.0]) == (3.0, 1.0, 2.0, 4.0)
    assert benchmarks.measure.Seconds.of([1.0]).scaled(2.0) == (2.0, 2.0, 2.0, 2.0)


def test_tasks_take_turns_and_the_first_call_is_not_counted(benchmarks):
    calls, clock = [], iter(range(100))
    tasks = {name: lambda name=name: calls.append(name) for name in "ab"}
    times = benchmarks.measure.interleaved(tasks, repeats=3, at_least=0, clock=lambda: next(clock))
    assert "".join(calls) == "ab" + 3 * "ab"
    assert times["a"] == times["b"] == (1.0, 1.0, 1.0, 1.0)  # the clock ticks once per call


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells the peak of the resident set")
def test_peak_memory_is_that_of_the_largest_moment(benchmarks):
    def task():
        np.ones(2**23)  # 64 MiB, freed at once
        np.ones(2**20)

    assert 56 < benchmarks.measure.peak_memory(task) < 80  # pages that were free before do not count


def test_bounds_are_the_longer_of_memory_and_arithmetic(plain_machine):
    assert plain_machine.bound(traffic=[(1e9, 8e9)], flops=1e9) == (1.0, "memory")
    assert plain_machine.bound(traffic=[(1e9, 8e9)], flops=3e9, tanh=1e8) == (2.5, "multiply-adds")
    assert plain_machine.bound(tanh=3.0) + plain_machine.bound(gathers=1.0) == (pytest.approx(3.1e-8), "tanh")


def test_a_dense_step_reads_all_weights_and_a_batch_shares_them(plain_machine):
    assert plain_machine.esn_step(100) == (pytest.approx(80_000 / 1e9), "memory")
    # ten series: 80 us of weights against 10 * (2e4 / 2e9 + 100 * 1e-8) = 110 us
    assert plain_machine.esn_step(100, batch=10) == (pytest.approx(11e-6), "multiply-adds")
    assert plain_machine.esn_step(100, 500) == (pytest.approx(0.5e-6 + 1e-6), "tanh")


@pytest.mark.parametrize(
    ("spread", "unit", "text"),
    [
        ((158e-6, 146e-6, 171e-6), "s", "158 (146–171) µs"),
        ((1234.0, 1234.0, 1234.0), "MB", "1,234 MB"),
        ((0.5e-9,) * 3, "s", "0.5 ns"),
    ],
)
def test_quantities_have_readable_units(benchmarks, spread, unit, text):
    assert benchmarks.run.quantity(spread, unit) == text


def test_a_line_tells_ratio_goal_and_part_of_the_roofline(benchmarks):
    assert benchmarks.run.line(ROW) == [
        "states", "2 (1.5–3) ms", "other: 8 (7–9) ms", "**4×**", "≥ 3× met", "50 % (memory)"
    ]  # fmt: skip


def test_a_missed_goal_tells_what_the_bound_would_allow(benchmarks):
    assert benchmarks.run.verdict(ROW | {"goal": 10}) == "≥ 10× **missed**, bound 8×"
    assert benchmarks.run.verdict(ROW | {"goal": None, "at_most": 0.002}) == "≤ 0.002 s met"
    assert benchmarks.run.verdict(ROW | {"theirs": None}) == ""


def test_the_report_counts_goals_and_names_what_is_missing(benchmarks):
    table = {"title": "States", "command": "x", "machine": "m", "probes": "p", "summary": ""}
    text = benchmarks.run.report({"reservoirs": table | {"rows": [ROW, ROW | {"goal": 10}]}})
    assert "1 of 2 goals are met" in text
    assert "`spiking.py` has not been measured: `pip install brian2`" in text
    assert "`reservoirs.py`" not in text


def test_packages_that_are_not_installed_are_found_out(benchmarks):
    assert benchmarks.run.missing(sys.executable, ["numpy", "no_such_package"]) == ["no_such_package"]
