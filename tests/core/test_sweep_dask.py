"""Sweeps and searches on a Dask cluster of two worker processes over loopback: the records of one process."""

import os
import signal
import sys
import time
from itertools import chain, repeat

import joblib
import numpy as np
import pytest

from penstock import dask_tasks
from penstock.dask_tasks import active_client, run_on_dask
from penstock.hyper_search import search
from penstock.sweep import load_sweep, sweep

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.extras

GRID = {"scale": [1.0, 2.0, 4.0], "n": [1, 5]}
FACTS = ("key", "point", "repeat", "seed", "status", "result")


@pytest.fixture(scope="module")
def client():
    import dask

    patient = {f"distributed.comm.timeouts.{what}": "120s" for what in ("connect", "tcp")}  # on a busy machine
    with (
        dask.config.set(patient),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def make_noise():
    """Return a function that no worker could import: it travels by value, as from a script or a notebook."""

    def noise(scale, n, seed):
        draws = np.random.default_rng(seed).standard_normal(n)
        return {"mean": scale * draws.mean(), "n_draws": n}

    return noise


def facts(result):
    return [{name: record[name] for name in FACTS} for record in result.records]


def log_calls(folder):
    """Return a function that leaves a file for every call, and the names of these."""

    def logged(i):
        with open(os.path.join(folder, f"{i}-{time.time_ns()}"), "w"):
            pass
        return i

    return logged, lambda: os.listdir(folder)


def test_the_script_unchanged_has_the_records_of_one_process(client):
    def script():
        return sweep(make_noise(), GRID, repeats=3, store=None, seed=5, progress=False)

    with joblib.parallel_config(backend="dask"):
        on_cluster = script()
    with joblib.parallel_config(n_jobs=1):
        here = script()
    assert facts(on_cluster) == facts(here) and len(here) == 18
    workers = {record["pid"] for record in on_cluster.records}
    assert os.getpid() not in workers
    assert workers <= set(client.run(os.getpid).values())


def test_the_backend_by_its_name_stores_what_one_process_stores(client, tmp_path):
    one = sweep(make_noise(), GRID, repeats=2, store=tmp_path / "one", n_jobs=1, progress=False)
    two = sweep(make_noise(), GRID, repeats=2, store=tmp_path / "two", backend="dask", progress=False)
    assert facts(two) == facts(one)
    assert facts(load_sweep(tmp_path / "two")) == facts(load_sweep(tmp_path / "one"))


def test_a_worker_killed_in_a_task_is_replaced_and_the_task_run_again(client, tmp_path):
    logged, calls = log_calls(tmp_path)

    def deadly_once(i):
        first = not any(name.startswith(f"{i}-") for name in os.listdir(tmp_path))
        logged(i)
        if i == 3 and first:
            os.kill(os.getpid(), signal.SIGKILL)
        return i * i

    result = sweep(deadly_once, {"i": range(8)}, store=None, backend="dask", progress=False)
    assert [record["result"]["value"] for record in result.records] == [i * i for i in range(8)]
    assert len(calls()) >= 9


def test_a_task_that_kills_every_worker_is_recorded_as_failed(client, tmp_path, monkeypatch):
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 0)  # else four workers die before Dask gives up

    def deadly(i):
        if i == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return i

    with pytest.warns(UserWarning, match="1 of 1 tasks failed, the first at i=2: WorkerLost"):
        result = sweep(deadly, {"i": [2]}, store=tmp_path, backend="dask", progress=False)
    assert (result.records[0]["result"], result.records[0]["error"]["type"]) == (None, "WorkerLost")
    assert load_sweep(tmp_path).failures == result.failures


def test_errors_are_recorded_with_their_traceback_and_retried_when_asked_for(client, tmp_path):
    mended = tmp_path / "mended"

    def fragile(i):
        if i == 1 and not mended.exists():
            raise ArithmeticError("broken")
        return i

    def run(**given):
        return sweep(fragile, {"i": range(4)}, store=tmp_path / "store", backend="dask", progress=False, **given)

    with pytest.warns(UserWarning, match="1 of 4 tasks failed"):
        (failure,) = run().failures
    assert failure["error"]["type"] == "ArithmeticError" and "in fragile" in failure["error"]["traceback"]
    mended.touch()
    assert [record["result"]["value"] for record in run(retry_failed=True).records] == [0, 1, 2, 3]


def test_an_interrupted_sweep_goes_on_and_computes_nothing_twice(client, tmp_path):
    (tmp_path / "calls").mkdir()
    logged, calls = log_calls(tmp_path / "calls")
    caller, store, pause = os.getpid(), tmp_path / "store", tmp_path / "pause"
    pause.touch()

    def stops_the_caller(i):
        if i == 5 and pause.exists():
            while sum(file.stat().st_size > 0 for file in store.glob("records-*")) == 0:
                time.sleep(0.01)
            os.kill(caller, signal.SIGINT)
            while pause.exists():
                time.sleep(0.01)
            return None  # nobody waits for it any more
        return logged(i)

    def run():
        return sweep(stops_the_caller, {"i": range(12)}, store=store, backend="dask", progress=False)

    with pytest.raises(KeyboardInterrupt, match="of 12 tasks are safe"):
        run()
    kept = {record["point"]["i"] for record in load_sweep(store).records}
    before = calls()
    pause.unlink()
    assert 0 < len(kept) < 12
    assert [record["result"]["value"] for record in run().records] == list(range(12))
    assert kept.isdisjoint(int(name.partition("-")[0]) for name in set(calls()) - set(before))


def test_a_search_on_the_cluster_makes_the_trials_of_one_process(client):
    pytest.importorskip("optuna")

    def bowl(x, y, seed):
        return (x - 1) ** 2 + y**2 + seed * 1e-22

    space = {"x": (-5, 5), "y": (-5, 5)}
    here = search(bowl, space, n_trials=20, n_jobs=1, progress=False)
    there = search(bowl, space, n_trials=20, backend="dask", progress=False)
    assert [trial.params for trial in there.study.trials] == [trial.params for trial in here.study.trials]
    assert (there.values == here.values).all()


def test_tasks_that_dask_drops_are_an_error_and_no_failures(client):
    results = run_on_dask(client, time.sleep, [(0.0,), (1.0,), (1.0,)])
    assert next(results)[1:] == (None, None)
    client.cancel(list(map(distributed.Future, client.futures)), force=True)
    with pytest.raises(RuntimeError, match="Dask gave up the tasks under way"):
        list(results)


def test_a_cluster_may_shrink_and_grow(client, monkeypatch):
    cores = chain([8, 8, 1, 1, 4], repeat(2))
    monkeypatch.setattr(dask_tasks, "_window", lambda client: next(cores))
    tasks = [(i,) for i in range(20)]
    assert sorted(run_on_dask(client, abs, tasks)) == [((i,), i, None) for i in range(20)]


def test_dask_is_used_when_it_is_chosen_and_else_not(client):
    assert active_client() is None and active_client("loky") is None
    assert active_client("dask") is client
    with joblib.parallel_config(backend="dask"):
        assert active_client() is client and active_client("loky") is None
        with joblib.parallel_config(backend="threading"):
            assert active_client() is None


def test_without_dask_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r'pip install "penstock\[dask\]"'):
        sweep(make_noise(), GRID, store=None, backend="dask")


def test_without_a_cluster_the_error_says_how_to_make_one(monkeypatch):
    monkeypatch.setattr(distributed, "get_client", _no_client)
    with pytest.raises(ValueError, match=r"backend must have a cluster to be .dask., got none.*distributed.Client\(\)"):
        sweep(make_noise(), GRID, store=None, backend="dask")


def _no_client():
    raise ValueError("No clients found")
