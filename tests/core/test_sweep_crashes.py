"""Sweeps under fire: killed processes, lost workers, full disks and company on the same store; processes are real."""

import json
import os
import select
import subprocess
import sys
import time
import warnings

import pytest

from penstock.sweep import load_sweep

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")

SCRIPT = """
import os, random, resource, signal, sys, time
from penstock.sweep import load_sweep, sweep


def square(i, seed):
    os.write(log, f"{i}\\n".encode())
    time.sleep(0.002)
    return {"square": i * i, "root": i**0.5, "drawn": seed, "text": "x" * (i % 50)}


def run():
    return sweep(square, {"i": list(range(n_tasks))}, store=folder, n_jobs=1, progress=False)


def use(name):
    global folder, logged, log
    folder, logged = f"{sys.argv[1]}/{name}", f"{sys.argv[1]}/{name}.log"
    log = os.open(logged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def forked(action):
    child = os.fork()
    if child == 0:
        try:
            action()
        except OSError as error:
            print(error, flush=True)
        os._exit(0)
    return child


def recorded():
    found = load_sweep(folder).records if os.path.exists(folder + "/sweep.json") else []
    return {record["point"]["i"] for record in found}


def begun(before):
    return [int(line) for line in open(logged).read()[before:].split()]


def killed():
    chance = random.Random(1)
    for attempt in range(20):
        before, known = os.path.getsize(logged), recorded()
        child = forked(run)
        tasks = chance.randrange(20) if attempt % 5 else -1  # every fifth one while it starts
        while len(begun(before)) < tasks:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.01))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert not known & set(begun(before)), "computed again after it had been recorded"
    before, known = os.path.getsize(logged), recorded()
    run()
    assert sorted(begun(before)) == sorted(set(range(n_tasks)) - known)
    assert 0 < len(known) < n_tasks


def full():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    run()


n_tasks = 500
use("killed")
killed()
n_tasks = 300
use("together")
for child in [forked(run), forked(run)]:
    os.waitpid(child, 0)
use("full")
os.waitpid(forked(full), 0)
print(len(recorded()), len(begun(0)))
run()
"""


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory):
    """The folder where it all happened, and what was said."""
    folder = tmp_path_factory.mktemp("crashes")
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def assert_complete(store, n_tasks):
    """Every task has one record in the files, and each is right to the last bit."""
    lines = [line for file in store.glob("records-*") for line in file.read_bytes().split(b"\n")]
    whole = [json.loads(line)["record"]["point"]["i"] for line in lines if line.endswith(b"}}")]
    assert sorted(whole) == list(range(n_tasks))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = load_sweep(store)
    assert [r["point"]["i"] for r in result.records] == list(range(n_tasks)) and result.missing == 0
    for i, record in enumerate(result.records):
        expected = {"square": i * i, "root": i**0.5, "drawn": record["seed"], "text": "x" * (i % 50)}
        assert record["result"] == expected and record["status"] == "ok"


def begun(folder, name):
    return [int(line) for line in (folder / f"{name}.log").read_text().split()]


def test_a_sweep_killed_at_20_random_moments_has_every_record_once_and_computes_none_again(aftermath):
    folder, _ = aftermath
    assert_complete(folder / "killed", 500)
    assert 500 <= len(begun(folder, "killed")) <= 520  # at each moment the task in flight, no more


def test_two_processes_on_one_store_share_the_work_and_compute_nothing_twice(aftermath):
    folder, _ = aftermath
    assert sorted(begun(folder, "together")) == list(range(300))
    assert_complete(folder / "together", 300)
    assert len(list((folder / "together").glob("records-*"))) == 2


def test_a_disk_that_the_kernel_says_is_full_loses_the_record_in_flight_only(aftermath):
    folder, said = aftermath
    message, counts = said.splitlines()
    safe, started = map(int, counts.split())
    assert 50 < safe == started - 1 and f"{safe} finished tasks are safe" in message and "File too large" in message
    assert_complete(folder / "full", 300)
    assert len(begun(folder, "full")) == 301


def test_a_worker_ends_with_its_parent():
    from penstock import sweep_run

    reading, writing = os.pipe()
    if (parent := os.fork()) == 0:
        if os.fork() == 0:  # the worker, in the middle of a long task
            sweep_run._with_tasks(lambda tasks, alone, seeded: time.sleep(100), [], True, False, os.getppid())
        time.sleep(0.2)
        os._exit(0)
    os.close(writing)
    os.waitpid(parent, 0)
    assert select.select([reading], [], [], 50)[0] and os.read(reading, 1) == b""  # nobody has it open any more
    os.close(reading)


WORKERS = """
import fcntl, os, sys, time
from penstock.sweep import sweep

folder = sys.argv[1]


def root(i):
    global alive
    alive = open(f"{folder}/alive", "a+")
    fcntl.lockf(alive, fcntl.LOCK_SH)
    with open(f"{folder}/log", "a") as log:
        log.write(f"{i}\\n")
    if not os.path.exists(f"{folder}/again") and i >= 4:
        time.sleep(300)
    if i == 5 or (i == 2 + 4 and not os.path.exists(f"{folder}/once")):
        open(f"{folder}/once", "w").close()
        os.kill(os.getpid(), 9)
    return i**0.5


if __name__ == "__main__":
    sweep(root, {"i": list(range(12))}, store=folder + "/store", n_jobs=2, progress=False)
"""


@pytest.mark.slow
def test_workers_end_with_their_killed_sweep_and_killed_workers_are_replaced_when_it_goes_on(tmp_path):
    import fcntl

    script = tmp_path / "script.py"
    script.write_text(WORKERS)
    log = tmp_path / "log"
    log.touch()
    with subprocess.Popen([sys.executable, script, tmp_path]) as sweeping:
        end = time.monotonic() + 100
        while len(log.read_text().split()) < 6 and time.monotonic() < end:
            time.sleep(0.05)
        sweeping.kill()
    with open(tmp_path / "alive", "r+") as alive:
        while True:
            try:
                fcntl.lockf(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)  # no worker has it any more
                break
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.05)
    assert {r["point"]["i"] for r in load_sweep(tmp_path / "store").records} == {0, 1, 2, 3}
    (tmp_path / "again").touch()
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, timeout=150, check=True)
    assert "1 of 12 tasks failed, the first at i=5: WorkerLost" in done.stderr and "died 3 times" in done.stderr
    result = load_sweep(tmp_path / "store")
    values = {r["point"]["i"]: r["result"]["value"] for r in result.records if r["result"]}
    assert values == {i: i**0.5 for i in range(12) if i != 5} and result.missing == 0
    assert [log.read_text().split().count(str(i)) for i in range(4)] == [1, 1, 1, 1]
