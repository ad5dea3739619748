"""The store: lines whole or ignored, nothing lost but what is in flight, claims that die with their owner."""

import errno
import os
import subprocess
import sys
import threading
from contextlib import nullcontext

import pytest

from penstock import sweep_store
from penstock.sweep_claims import _byte
from penstock.sweep_store import Store


def record(i, status="ok"):
    return {"key": f"key {i}", "status": status, "point": {"i": i}, "result": {"x": i / 7} if status == "ok" else None}


def filled(folder, count=5):
    with Store(folder) as store:
        for i in range(count):
            store.add(record(i))
    [file] = folder.glob("records-*.jsonl")
    return file


def read(folder):
    return Store(folder, readonly=True).records


def test_records_come_back_the_same(tmp_path):
    filled(tmp_path)
    assert read(tmp_path) == {f"key {i}": record(i) for i in range(5)}


def test_every_cut_of_the_last_line_loses_that_record_only(tmp_path):
    file = filled(tmp_path, 3)
    whole = file.read_bytes()
    last = whole[:-1].rindex(b"\n") + 1
    for length in range(last, len(whole), 5):
        file.write_bytes(whole[:length])
        assert list(read(tmp_path)) == ["key 0", "key 1"]
    assert file.read_bytes() == whole[:length]  # no reader cuts it off


@pytest.mark.parametrize("damage", [b"\0", b"x", b"\xff"])
def test_a_damaged_line_is_reported_with_file_and_line_and_costs_one_record(tmp_path, damage):
    file = filled(tmp_path)
    lines = file.read_bytes().splitlines(keepends=True)
    middle = len(lines[2]) // 2
    lines[2] = lines[2][:middle] + damage + lines[2][middle + 1 :]
    file.write_bytes(b"".join(lines))
    with pytest.warns(UserWarning, match=rf"{file.name}, line 3, is damaged .* computed again"):
        assert sorted(read(tmp_path)) == ["key 0", "key 1", "key 3", "key 4"]


def test_every_single_bit_counts(tmp_path):
    file = filled(tmp_path, 1)
    whole = file.read_bytes()
    for place in range(0, len(whole) - 1, 4):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        if whole[place] ^ 1 != ord("\n"):
            with pytest.warns(UserWarning, match="line 1, is damaged"):
                assert read(tmp_path) == {}


def test_a_good_record_wins_over_errors_and_the_first_good_one_over_later_ones(tmp_path):
    with Store(tmp_path) as store:
        store.add(record(1, "error"))
        store.add(record(1), {**record(1), "result": {"x": 99}}, record(1, "error"))
        assert store.records["key 1"]["result"] == {"x": 1 / 7} and store.attempts["key 1"] == 4
    assert read(tmp_path)["key 1"]["result"] == {"x": 1 / 7}


def test_another_process_s_records_are_seen_as_they_come(tmp_path):
    with Store(tmp_path) as ours, Store(tmp_path) as theirs:
        for i in range(3):
            theirs.add(record(i))
            ours.refresh()
            assert list(ours.news) == [f"key {j}" for j in range(i + 1)]
        ours.add(record(7))
        theirs.refresh()
        assert "key 7" in theirs.records and len(list(tmp_path.glob("records-*"))) == 2


@pytest.mark.parametrize(("call", "short"), [("write", False), ("write", True), ("fsync", False)])
def test_a_full_disk_loses_the_record_in_flight_only(tmp_path, monkeypatch, call, short):
    calls, real_write, real = [], os.write, getattr(os, call)

    def full(fd, *data):
        calls.append(fd)
        if len(calls) > 3:
            if short and data:
                real_write(fd, bytes(data[0][:10]))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, *data)

    monkeypatch.setattr(sweep_store, "PAUSES", 0)
    with Store(tmp_path) as store:
        store.add(record(0))
        monkeypatch.setattr(os, call, full)
        with pytest.raises(OSError, match=r"No space left .* make space, .* \d finished tasks are safe") as caught:
            for i in range(1, 9):
                store.add(record(i))
        assert caught.value.errno == errno.ENOSPC and str(tmp_path) in str(caught.value)
        monkeypatch.undo()
        safe = set(store.records)
        assert safe == {f"key {i}" for i in range(4)}
        in_flight = set(read(tmp_path)) - safe
        assert in_flight == (set() if call == "write" else {"key 4"})  # written, but perhaps not for ever
        store.add(record(8))  # there is space again
    assert set(read(tmp_path)) == safe | in_flight | {"key 8"}


def test_the_disk_is_waited_for_at_most_a_tenth_of_the_time_and_at_the_end(tmp_path, monkeypatch):
    now, syncs, real = [0.0], [], os.fsync

    def slow(fd):
        real(fd)
        syncs.append(now[0])
        now[0] += 1.0

    with Store(tmp_path) as store:
        store.add(record(0))
        monkeypatch.setattr(os, "fsync", slow)
        monkeypatch.setattr(sweep_store.time, "monotonic", lambda: now[0])
        store._own.due = 0.0
        for i in range(1, 42):
            store.add(record(i))
            assert len(read(tmp_path)) == i + 1  # a process that is killed now has lost nothing
            now[0] += 0.5
    assert syncs == [0.0, 11.0, 22.0, 23.5]  # the last one when the store closes


def test_writes_in_small_pieces_make_whole_lines(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data[:7])))
    filled(tmp_path)
    assert len(read(tmp_path)) == 5


def test_a_full_disk_is_told_before_the_work(tmp_path, monkeypatch):
    def full(fd, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match=r"store must be writable: No space left on device; make space.*results"):
        Store(tmp_path / "results")
    monkeypatch.undo()
    assert list((tmp_path / "results").iterdir()) == []


def test_a_file_in_place_of_the_folder_is_told_before_the_work(tmp_path):
    (tmp_path / "results").write_text("")
    for folder in (tmp_path / "results", tmp_path / "results" / "inside"):
        with pytest.raises(OSError, match=r"store must be writable: .*; give a folder .*results"):
            Store(folder)


def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(tmp_path, monkeypatch):
    real = os.open

    def refuse(path, flags, *mode):
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, "Read-only file system")
        return real(path, flags, *mode)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match="store must be writable: Read-only file system"):
        Store(tmp_path)


def test_the_manifest_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    with Store(tmp_path) as store:
        assert store.settle(lambda old: {"a": 1}) == {}
        before = (tmp_path / "sweep.json").read_bytes()

        def full(fd):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="make space"):
            store.settle(lambda old: {"a": 2})
        monkeypatch.undo()
        assert (tmp_path / "sweep.json").read_bytes() == before
        assert store.settle(lambda old: {"a": old["a"] + 1})["a"] == 1
        assert store.read_manifest()["a"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "sweep.json"]


@pytest.mark.parametrize(
    ("text", "fragment"),
    [("{", "damaged"), ("[]", "not penstock's"), ('{"format": "penstock sweep", "version": 9}', "version 9")],
)
def test_a_strange_manifest_is_refused(tmp_path, text, fragment):
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(ValueError, match=fragment):
        Store(tmp_path).read_manifest()


def test_the_order_of_results_and_parameters_stays(tmp_path):
    with Store(tmp_path) as store:
        store.add({"key": "k", "status": "ok", "point": {"z": 1, "a": 2}, "result": {"last": 1, "first": 2}})
        store.settle(lambda old: {"grid": {"z": [1], "a": [2]}})
        store.settle(lambda old: {"grid": {"a": [2], "z": [1]}})
        assert list(store.read_manifest()["grid"]) == ["a", "z"]
    assert [list(read(tmp_path)["k"][part]) for part in ("point", "result")] == [["z", "a"], ["last", "first"]]


def test_what_a_process_killed_while_it_wrote_the_manifest_left_is_removed_by_the_next(tmp_path, monkeypatch):
    with Store(tmp_path) as store:
        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", lambda *paths: os.kill(os.getpid(), 9))
            if (child := os.fork()) == 0:
                Store(tmp_path).settle(lambda old: {"n": 1})
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
        assert len(list(tmp_path.glob(".*"))) == 1 and store.read_manifest() is None
        store.settle(lambda old: {"n": 2})
        assert list(tmp_path.glob(".*")) == [] and store.read_manifest()["n"] == 2


def test_a_folder_that_cannot_be_synced_is_no_error_but_a_full_disk_is(tmp_path, monkeypatch):
    for number, raised in [(errno.EINVAL, False), (errno.ENOSPC, True)]:

        def refuse(fd, number=number):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(OSError) if raised else nullcontext():
            sweep_store._sync_folder(tmp_path)


def test_a_claim_keeps_others_out_until_given_back(tmp_path):
    with Store(tmp_path) as ours, Store(tmp_path) as theirs:
        assert ours.claim("a") and not theirs.claim("a") and not ours.claim("a") and theirs.claim("b")
        ours.release("a")
        assert theirs.claim("a")
        theirs.close()
        assert ours.claim("a") and ours.claim("b")


OTHER = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
for byte in map(int, sys.argv[2:]):
    try:
        print(bool(fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte) is None), flush=True)
    except BlockingIOError:
        print(False, flush=True)
sys.stdin.readline()
"""


def test_claims_hold_between_processes_and_die_with_them(tmp_path):
    with Store(tmp_path) as store:
        assert store.claim("ours")
        command = [sys.executable, "-c", OTHER, str(tmp_path / "lock"), str(_byte("ours")), str(_byte("theirs"))]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert (other.stdout.readline(), other.stdout.readline()) == ("False\n", "True\n")
            assert not store.claim("theirs")
            other.kill()
        assert store.claim("theirs")


def test_without_locks_everything_may_be_claimed(tmp_path, monkeypatch):
    from penstock import sweep_claims

    monkeypatch.setattr(sweep_claims, "fcntl", None)
    with Store(tmp_path) as ours, Store(tmp_path) as theirs:
        assert ours.claim("a")
        theirs.add(record(1))
        ours.refresh()
        assert "key 1" in ours.records


def test_threads_of_one_process_may_add_at_once(tmp_path):
    with Store(tmp_path) as store:
        threads = [
            threading.Thread(target=lambda t=t: [store.add(record(9 * t + i)) for i in range(9)]) for t in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(read(tmp_path)) == 36


def test_without_a_folder_records_are_in_memory():
    with Store(None) as store:
        store.add(record(3))
        assert store.claim("a") and store.records["key 3"] == record(3) and store.read_manifest() is None
