"""Hyper-parameter search: Optuna's own trials are the reference, and published minima."""

import doctest
import math
import os
import runpy
import signal
import subprocess
import sys
from collections import deque
from functools import partial
from statistics import fmean

import numpy as np
import pytest

from penstock.hyper_search import search
from penstock.sweep import load_sweep, sweep

optuna = pytest.importorskip("optuna")
pytestmark = pytest.mark.extras

PLANE = {"x": (-5.0, 10.0), "y": (0.0, 15.0)}
serial = partial(search, n_jobs=1, progress=False)


def branin(x, y):
    """Least 0.397887 (Dixon and Szegö 1978)."""
    hill = (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2
    return hill + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def brittle(x, y):
    if x > 5:
        raise ArithmeticError("too far")
    return math.nan if x < -4 else branin(x, y)


def two_results(x, y):
    return {"error": branin(x, y), "size": x}


def noisy(x, seed):
    return x + np.random.default_rng(seed).standard_normal()


def points(found):
    return [trial.params for trial in found.study.trials]


# --- what is found ---------------------------------------------------------------------------------------------------


def test_the_minimum_of_branin_is_found():
    found = serial(branin, PLANE, n_trials=64)
    assert 0.397887 <= found.best_value < 1.4  # random search of 64 points: 1.5 on average over seeds
    assert branin(**found.best) == found.best_value == found.values.min()


def test_trials_one_by_one_are_those_of_optuna_itself():
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=5))
    study.optimize(lambda trial: branin(trial.suggest_float("x", -5, 10), trial.suggest_float("y", 0, 15)), 24)
    found = serial(branin, PLANE, n_trials=24, seed=5, batch=1)
    assert points(found) == [trial.params for trial in study.trials]
    assert found.best == study.best_params


def test_the_greatest_value_is_searched_at_the_points_of_the_least_of_its_negative():
    least = serial(branin, PLANE, n_trials=24)
    greatest = serial(lambda x, y: -branin(x, y), PLANE, n_trials=24, maximise=True)
    assert points(greatest) == points(least)
    assert greatest.best == least.best and greatest.best_value == -least.best_value
    assert (greatest.best_values == -least.best_values).all()


def test_all_kinds_of_parameters_arrive_as_python_values_within_their_ranges():
    seen = []

    def record(width, count, rate, kind):
        seen.append((width, count, rate, kind))
        return rate

    space = {
        "width": (1, 2),
        "count": optuna.distributions.IntDistribution(3, 9, step=3),
        "rate": optuna.distributions.FloatDistribution(1e-3, 1.0, log=True),
        "kind": ["a", None, True, np.float64(0.5)],
    }
    found = serial(record, space, n_trials=40)
    widths, counts, rates, kinds = zip(*seen, strict=True)
    assert all(type(w) is float and 1 <= w <= 2 for w in widths)
    assert set(counts) == {3, 6, 9}
    assert min(rates) < 0.03 < 0.3 < max(rates)  # logarithmic: a third of the trials each before the sampler learns
    assert set(kinds) == {"a", None, True, 0.5} and not any(isinstance(kind, np.generic) for kind in kinds)
    assert found.best_value == min(rates)


def test_the_value_of_a_trial_is_the_mean_over_its_repeats_which_are_those_of_a_sweep():
    found = serial(noisy, {"x": (0, 1)}, n_trials=5, repeats=3, seed=7)
    assert [fmean(r["result"]["value"] for r in records) for records in found.trials] == pytest.approx(found.values)
    swept = sweep(noisy, points(found), repeats=3, seed=7, store=None, n_jobs=1, progress=False)
    for mine, theirs in zip(found.records, swept.records, strict=True):
        assert (mine["key"], mine["seed"], mine["result"]) == (theirs["key"], theirs["seed"], theirs["result"])
    assert len({record["seed"] for record in found.records}) == 15


def test_a_point_that_is_tried_twice_is_evaluated_once():
    calls = []
    found = serial(lambda k: calls.append(k) or k, {"k": [3, 1, 2]}, n_trials=16)
    assert sorted(calls) == [1, 2, 3] and len(found) == 16 and len(found.evaluations) == 3
    assert found.best == {"k": 1}
    assert found.values.tolist() == [point["k"] for point in points(found)]


def test_one_of_several_results_is_searched_by():
    found = serial(two_results, PLANE, n_trials=10, value="error")
    assert found.values.tolist() == [branin(**point) for point in points(found)]
    assert found.records[3]["result"]["size"] == points(found)[3]["x"]
    with pytest.raises(ValueError, match="value must be the result to search by, one of 'error', 'size', got None"):
        serial(two_results, PLANE, n_trials=10)
    with pytest.raises(ValueError, match="value must be one of the results 'error', 'size', got 'nrmse'"):
        serial(two_results, PLANE, n_trials=10, value="nrmse")


def test_the_order_of_the_parameters_changes_nothing():
    turned = serial(branin, dict(reversed(PLANE.items())), n_trials=20)
    assert points(turned) == points(serial(branin, PLANE, n_trials=20))
    assert turned.evaluations.records[0]["point"].keys() == PLANE.keys()


def test_the_example_in_the_docstring_holds():
    text = search.__doc__.replace("# doctest: +SKIP", "")
    example = doctest.DocTestParser().get_doctest(text, {}, "search", None, None)
    assert doctest.DocTestRunner().run(example) == (0, 4)


# --- failures --------------------------------------------------------------------------------------------------------


def test_errors_and_values_that_are_not_finite_are_told_as_failed_trials():
    with pytest.warns(UserWarning, match="tasks failed.*too far"):
        found = serial(brittle, PLANE, n_trials=40)
    x = np.array([point["x"] for point in points(found)])
    failed = np.array([trial.state == optuna.trial.TrialState.FAIL for trial in found.study.trials])
    assert (failed == ((x > 5) | (x < -4))).all() and 5 < failed.sum() < 30
    assert (np.isnan(found.values) == failed).all()
    assert len(found.failures) == (x > 5).sum()
    assert {record["error"]["type"] for record in found.failures} == {"ArithmeticError"}
    best = [min((v for v in found.values[: i + 1] if v == v), default=np.nan) for i in range(40)]
    assert np.array_equal(found.best_values, best, equal_nan=True)


def test_a_search_of_which_all_trials_failed_has_no_best():
    with pytest.warns(UserWarning, match="4 of 4 tasks failed"):
        found = serial(lambda x: 1 / 0, {"x": (0, 1)}, n_trials=4)
    with pytest.raises(ValueError, match="all 4 trials failed"):
        found.best  # noqa: B018
    assert "4 trials, 4 failed" in repr(found)


@pytest.mark.parametrize("wrong", ["text", None, True, 1j])
def test_a_function_without_a_number_is_refused(wrong):
    with pytest.raises(TypeError, match="function must return a number to search by"):
        serial(lambda x: {"value": wrong}, {"x": (0, 1)}, n_trials=4)
    with pytest.raises(ValueError, match="no result may be called 'trial'"):
        serial(lambda x: {"trial": 1.0}, {"x": (0, 1)}, n_trials=4)


# --- the store -------------------------------------------------------------------------------------------------------


def test_more_trials_go_on_where_fewer_stopped(tmp_path):
    calls = deque()  # a list would count as a part of the function that has changed

    def counted(x, y):
        calls.append((x, y))
        return branin(x, y)

    first = serial(counted, PLANE, n_trials=13, store=tmp_path)  # stops within a batch
    again = serial(counted, PLANE, n_trials=29, store=tmp_path)
    whole = serial(branin, PLANE, n_trials=29)
    assert points(first) == points(whole)[:13] and points(again) == points(whole)
    assert (again.values == whole.values).all() and len(calls) == 29
    fewer = serial(counted, PLANE, n_trials=5, store=tmp_path)
    assert len(fewer) == len(fewer.evaluations) == 5 and fewer.evaluations.missing == 0 and len(calls) == 29
    kept = load_sweep(tmp_path)
    assert [record["point"] for record in kept.records] == points(whole) and kept.missing == 0


def test_failed_evaluations_stay_failed_until_they_are_retried(tmp_path):
    mended = tmp_path / "mended"

    def fragile(x):
        if x > 0.5 and not mended.exists():
            raise ArithmeticError("broken")
        return x

    run = partial(serial, fragile, {"x": (0, 1)}, n_trials=8, store=tmp_path / "store")
    with pytest.warns(UserWarning, match="broken"):
        failed = np.isnan(run().values)
    mended.touch()
    with pytest.warns(UserWarning, match="broken"):
        assert (np.isnan(run().values) == failed).all()
    assert 0 < failed.sum() < 8
    again = run(retry_failed=True)
    assert again.values.tolist() == [point["x"] for point in points(again)]


def test_a_failed_point_that_is_tried_twice_is_retried_once():
    calls = []

    def picky(k):
        calls.append(k)
        return 1 / (k - 2)

    with pytest.warns(UserWarning, match="1 of 3 tasks failed"):
        found = serial(picky, {"k": [1, 2, 3]}, n_trials=24, batch=2, retry_failed=True)
    assert sorted(calls) == [1, 2, 3] and np.isnan(found.values).sum() > 1


SCRIPT = """
import os, signal, sys
from penstock.hyper_search import search

def bowl(x, y, seed):
    with open(os.environ["CALLS"], "a") as calls:
        calls.write("x")
    if os.path.getsize(os.environ["CALLS"]) == int(os.environ["DEATH"]):
        os.kill(os.getpid(), signal.SIGKILL)
    return (x - 1) ** 2 + (y + 2) ** 2 + seed * 1e-22

def run(store):
    return search(bowl, {"x": (-5, 5), "y": (-5, 5)}, n_trials=26, store=store, n_jobs=1, progress=False)

if __name__ == "__main__":
    run(sys.argv[1])
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_killed_search_ends_with_the_trials_of_one_that_was_not(tmp_path, monkeypatch):
    script, calls, store = tmp_path / "script.py", tmp_path / "calls", tmp_path / "store"
    script.write_text(SCRIPT)
    monkeypatch.setenv("CALLS", str(calls))
    monkeypatch.setenv("DEATH", "13")  # in the second batch of eight
    assert subprocess.run([sys.executable, script, store]).returncode == -signal.SIGKILL
    assert len(load_sweep(store).records) == 12
    monkeypatch.setenv("DEATH", "0")
    run = runpy.run_path(str(script), run_name="script")["run"]
    resumed = run(store)
    assert calls.stat().st_size == 27  # the one in flight is computed again, nothing else
    whole = run(None)
    assert points(resumed) == points(whole) and resumed.values.tolist() == whole.values.tolist()
    assert [r["result"] for r in resumed.records] == [r["result"] for r in whole.records]


def test_another_search_on_the_same_store_is_refused(tmp_path):
    run = partial(serial, branin, n_trials=2, store=tmp_path)
    run(PLANE)
    changes = {
        "space": {"space": {"x": (-5, 10), "y": (0, 14)}},
        "seed 0, got 1": {"seed": 1},
        "batch 8, got 4": {"batch": 4},
        "sampler": {"sampler": optuna.samplers.RandomSampler},
        "maximise False, got True": {"maximise": True},
        "repeats 1, got 2": {"repeats": 2},
    }
    for message, change in changes.items():
        with pytest.raises(ValueError, match=f"is of a search with {message}.*choose another store"):
            run(**{"space": PLANE, **change})
    with pytest.raises(ValueError, match="is of another version of .*brittle|branin"):
        serial(brittle, PLANE, n_trials=2, store=tmp_path)
    with pytest.raises(ValueError, match="holds no sweep but a search"):
        sweep(branin, {"x": [1.0], "y": [2.0]}, store=tmp_path, n_jobs=1)
    sweep(branin, {"x": [1.0], "y": [2.0]}, store=tmp_path / "sweep", n_jobs=1, progress=False)
    with pytest.raises(ValueError, match="holds no search but a sweep"):
        run(PLANE, store=tmp_path / "sweep")


def test_a_search_with_a_wrong_value_can_be_mended_on_its_store(tmp_path):
    run = partial(serial, two_results, PLANE, store=tmp_path)
    for wrong in (None, "eror"):
        with pytest.raises(ValueError, match="value must be "):
            run(n_trials=20, value=wrong)
    seconds = [record["seconds"] for record in load_sweep(tmp_path).records]
    found = run(n_trials=20, value="error")
    assert found.values.tolist() == [branin(**point) for point in points(found)]
    assert [record["seconds"] for record in found.records[:8]] == seconds
    with pytest.raises(ValueError, match="is of a search with value 'error', got 'size': choose another store"):
        run(n_trials=20, value="size")


def test_samplers_are_told_apart_by_what_is_fixed_of_them(tmp_path):
    def run(**fixed):
        return serial(branin, PLANE, n_trials=2, store=tmp_path, sampler=partial(optuna.samplers.TPESampler, **fixed))

    assert points(run(n_startup_trials=2)) == points(run(n_startup_trials=2))
    with pytest.raises(ValueError, match="is of a search with sampler"):
        run(n_startup_trials=3)


@pytest.mark.parametrize("progress", [False, True])
def test_another_version_of_optuna_is_told_where_search_was_called(tmp_path, monkeypatch, progress):
    serial(branin, PLANE, n_trials=2, store=tmp_path)
    monkeypatch.setattr(optuna, "__version__", "99.0")
    with pytest.warns(UserWarning, match=r"by Optuna \d.*, this is 99.0: it may ask for other points") as told:
        search(branin, PLANE, n_trials=2, store=tmp_path, n_jobs=1, progress=progress)
    assert [warning.filename for warning in told] == [__file__]


# --- processes -------------------------------------------------------------------------------------------------------


def test_two_threads_make_the_trials_of_one():
    one = serial(branin, PLANE, n_trials=30)
    two = search(branin, PLANE, n_trials=30, n_jobs=2, backend="threading", progress=False)
    assert points(two) == points(one) and (two.values == one.values).all()
    assert [r["key"] for r in two.records] == [r["key"] for r in one.records]


@pytest.mark.slow
def test_two_processes_make_the_trials_of_one():
    def local(x, y):  # a function of no module, as in a notebook
        return (x - 1) ** 2 + y

    one = serial(local, PLANE, n_trials=16)
    two = search(local, PLANE, n_trials=16, n_jobs=2, progress=False)
    assert points(two) == points(one) and (two.values == one.values).all()
    assert os.getpid() not in {record["pid"] for record in two.records}


def test_optuna_is_quiet_and_as_loud_as_before_afterwards(capfd):
    optuna.logging.set_verbosity(optuna.logging.INFO)
    serial(branin, PLANE, n_trials=3)
    with pytest.raises(KeyboardInterrupt):
        serial(interrupted, {"x": (0, 1)}, n_trials=3)
    assert optuna.logging.get_verbosity() == optuna.logging.INFO
    assert capfd.readouterr() == ("", "")


def interrupted(x):
    raise KeyboardInterrupt


def test_an_interrupted_search_says_what_is_safe(tmp_path):
    calls = []

    def third_is_interrupted(x):
        calls.append(x)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return x

    with pytest.raises(KeyboardInterrupt, match=r"stopped: 2 of 10 tasks are safe .* the same call goes on"):
        serial(third_is_interrupted, {"x": (0.0, 1.0)}, n_trials=5, repeats=2, store=tmp_path)
    assert len(load_sweep(tmp_path).records) == 2


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_the_table_has_a_row_for_each_record():
    pytest.importorskip("pandas")
    found = serial(noisy, {"x": (0, 1)}, n_trials=4, repeats=2)
    table = found.to_pandas()
    assert list(table.columns) == ["trial", "x", "repeat", "seed", "value", "seconds", "status"]
    assert table["trial"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert table.groupby("trial")["value"].mean().to_numpy() == pytest.approx(found.values)


def test_the_plot_shows_values_best_and_failures():
    with pytest.warns(UserWarning, match="tasks failed"):
        found = serial(brittle, PLANE, n_trials=20)
    values, best, failed = found.plot().get_lines()
    assert values.get_ydata().tolist() == found.values[~np.isnan(found.values)].tolist()
    assert np.array_equal(best.get_ydata(), found.best_values, equal_nan=True)
    assert failed.get_xdata().tolist() == np.flatnonzero(np.isnan(found.values)).tolist()


def test_repr_says_what_was_found_where(tmp_path):
    found = serial(branin, PLANE, n_trials=9, store=tmp_path)
    first, second, third = repr(found).splitlines()
    assert first.endswith("for the least value: 9 trials, 0 failed")
    assert second.startswith(f"best {found.best_value:.6g} at x={found.best['x']:.6g}, y=")
    assert third == f"in {str(tmp_path)!r}"


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": None}, "space must be a dict"),
        ({"space": {}}, "space must name at least one parameter"),
        ({"space": {3: (0, 1)}}, "space must have names of parameters as keys, got 3"),
        ({"space": {"seed": (0, 1)}}, "space must not have a parameter 'seed'"),
        ({"space": {"trial": (0, 1)}}, "space must not have a parameter 'trial'"),
        ({"space": {"x": (1, 0)}}, r"space\['x'\] must be a pair \(low, high\) with low < high"),
        ({"space": {"x": (0, math.nan)}}, r"space\['x'\]\[1\] must be finite"),
        ({"space": {"x": (0, True)}}, r"space\['x'\]\[1\] must be a number, got True"),
        ({"space": {"x": ("a", "b")}}, r"space\['x'\]\[0\] must be a number, got 'a'"),
        ({"space": {"x": (0, 1, 2)}}, r"space\['x'\] must be a pair"),
        ({"space": {"x": "ab"}}, r"space\['x'\] must be a pair"),
        ({"space": {"x": []}}, r"space\['x'\] must have at least one choice"),
        ({"space": {"x": [[1], [2]]}}, r"space\['x'\] must have numbers, strings, bools or None as choices"),
        ({"space": {"x": [1, True]}}, r"space\['x'\] must have choices that differ"),
        ({"space": {"x": [1.0, math.inf]}}, r"space\['x'\] must be finite"),
        ({"space": {"z": (0, 1)}}, "function must take the parameters z by name"),
        ({"function": 3}, "function must be a function"),
        ({"n_trials": 0}, "n_trials must be at least 1"),
        ({"n_trials": 2.5}, "n_trials must be an integer"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"repeats": True}, "repeats must be an integer"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"seed": 2**32}, "seed must be at most 4294967295, got 4294967296"),
        ({"seed": None}, "seed must be an integer"),
        ({"n_jobs": 0}, "n_jobs must be at least 1, or -1"),
        ({"maximise": "yes"}, "maximise must be True or False"),
        ({"progress": 1}, "progress must be True or False"),
        ({"value": 3}, "value must be the name of a result"),
        ({"store": 3}, "store must be a folder"),
        ({"sampler": "tpe"}, "sampler must be a class of optuna.samplers or a function of seed="),
        ({"sampler": dict}, "sampler must return a sampler of Optuna"),
    ],
)
def test_bad_input_is_refused_before_the_work(change, message, tmp_path):
    def never(x):
        raise AssertionError("called")

    given = {"function": never, "space": {"x": (0, 1)}, "n_trials": 2, "n_jobs": 1, **change}
    with pytest.raises((TypeError, ValueError), match=message):
        search(given.pop("function"), given.pop("space"), **{"store": tmp_path / "store", **given})
    assert not (tmp_path / "store").exists()


def test_a_made_sampler_is_refused_as_it_cannot_be_seeded_anew():
    with pytest.raises(TypeError, match="sampler must be a class"):
        serial(branin, PLANE, n_trials=2, sampler=optuna.samplers.RandomSampler(seed=1))


def test_without_optuna_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r'pip install "penstock\[optuna\]"'):
        serial(branin, PLANE, n_trials=2)
