"""A folder that keeps every finished task: append-only files of records, each line whole or ignored.

``sweep.json`` says what the records are of; ``records-<host>-<process>-<chance>.jsonl`` holds the records of one
process, a JSON object per line with the checksum of its record before it; ``lock`` holds the claims. Nobody ever
changes a line, or writes into the file of another process. Of several records of a task the first good one counts,
else the last.
"""

import errno
import hashlib
import json
import os
import socket
import threading
import time
import warnings
from collections import deque
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from uuid import uuid4

from penstock.sweep_claims import Claims
from penstock.sweep_values import decode, encode, from_text

__all__ = ["Store"]

FORMAT = 1
MANIFEST = "sweep.json"
TEMPORARY = ".sweep.json-{}.tmp"
LOCK = "lock"
SPARE = 2**16
"""Bytes that must be free before the work starts."""
HEAD, MIDDLE, TAIL = b'{"check":"', b'","record":', b"}"
CHECK = 16
START = len(HEAD) + CHECK + len(MIDDLE)
PAUSES = 10
"""Quick tasks wait for the disk a tenth of the time at most: after a sync, none for so many times its duration."""


class Store:
    """The records of a folder, by key; without a folder, in memory only.

    Parameters
    ----------
    folder : str or os.PathLike or None
        Where the records are kept.
    readonly : bool, optional
        Whether nothing is written.

    Attributes
    ----------
    records : dict
        The record that counts of each key, as it was added: a dict with ``key`` and ``status`` ("ok" or "error").
    attempts : dict
        How many records of each key there are.
    news : deque
        Keys whose records were found in the files of other processes, one for each record, oldest first.
    """

    def __init__(self, folder, *, readonly: bool = False):
        self.folder = None if folder is None else Path(folder)
        self.records: dict[str, dict] = {}
        self.attempts: dict[str, int] = {}
        self.news: deque[str] = deque()
        self._lock = threading.RLock()
        self._read_up_to: dict[str, list[int]] = {}  # bytes and lines of each file
        self._over: set[str] = set()  # files whose process is gone
        self._own: _Writer | None = None
        self._claims: Claims | None = None
        if self.folder is not None and not readonly:
            _make_ready(self.folder)
            self._claims = Claims(str(self.folder / LOCK))
        self.refresh()
        self.news.clear()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self) -> None:
        """Give back all claims and close the file of records."""
        with self._lock:
            own, claims, self._own, self._claims = self._own, self._claims, None, None
            try:
                if own is not None:
                    with _explained(self.folder):
                        own.close()
            finally:
                if claims is not None:
                    claims.close()

    # --- what the records are of ------------------------------------------------------------------------------------

    def read_manifest(self) -> dict | None:
        """Return what ``sweep.json`` says, None if there is none yet.

        Raises
        ------
        ValueError
            If the file is not one of penstock, or of a newer format.
        """
        if self.folder is None:
            return None
        path = self.folder / MANIFEST
        try:
            manifest = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ValueError(f"{str(path)!r} is damaged ({error}): remove it, the records stay") from None
        if not isinstance(manifest, dict) or manifest.get("format") != "penstock sweep":
            raise ValueError(f"{str(path)!r} is not penstock's: choose another folder as store")
        if manifest.get("version") != FORMAT:
            raise ValueError(
                f"{str(path)!r} has format version {manifest.get('version')}, written by penstock "
                f"{manifest.get('penstock')}; this penstock reads version {FORMAT}"
            )
        return manifest

    def settle(self, check) -> dict:
        """Write the manifest that ``check(old)`` returns, given the old one or None; return the old one or {}.

        No two processes do so at a time. Nothing is written if `check` raises, or returns what is there.
        """
        if self.folder is None or self._claims is None:
            check(None)
            return {}
        with self._claims.manifest():
            old = self.read_manifest()
            text = _as_file({"format": "penstock sweep", "version": FORMAT, **check(old)})
            if old is None or text != _as_file(old):  # the order of the parameters counts
                with _explained(self.folder):
                    if self._claims.work:  # then nobody else is writing one, and this is of a killed process
                        for left in self.folder.glob(TEMPORARY.format("*")):
                            left.unlink(missing_ok=True)
                    _write_whole(self.folder / MANIFEST, text)
            return old or {}

    # --- claims ------------------------------------------------------------------------------------------------------

    def claim(self, key: str) -> bool:
        """Take a task that nobody is computing; return whether it is ours. Then `refresh`: it may be done already."""
        return self._claims is None or self._claims.take(key)

    def release(self, key: str) -> None:
        """Give a claimed task back."""
        if self._claims is not None:
            self._claims.free(key)

    # --- records ----------------------------------------------------------------------------------------------------

    def add(self, *records: dict) -> None:
        """Write records, and only then count them; each a dict with ``key`` and ``status``.

        What is written survives the death of this process at once. The death of the machine it survives at once too,
        but for records that follow another within a few milliseconds: those within the next moments.

        Raises
        ------
        OSError
            If they cannot be written: the disk is full, for one. What was added before is safe.
        """
        with self._lock:
            if self.folder is not None:
                lines = [_line({**record, **_encoded(record)}) for record in records]
                with _explained(self.folder, f"{len(self.records)} finished tasks are safe"):
                    self._append(lines)
            for record in records:
                self._count(record)

    def _append(self, lines):
        if self._claims is None:
            raise OSError(errno.EBADF, "the store is closed or was opened to be read")
        if self._own is None:
            name = _own_name()
            self._claims.take(name)  # for as long as this process may write to it, and before anybody sees it
            self._own = _Writer(self.folder, name)
        try:
            self._own.write(lines)
        except BaseException:
            own, self._own = self._own, None  # its last line may be torn: a later record goes to a new file
            os.close(own.fd)
            raise

    def refresh(self) -> None:
        """Read what other processes have recorded since, and put their keys into `news`."""
        if self.folder is None:
            return
        with self._lock:
            own = None if self._own is None else self._own.name
            for name in sorted(os.listdir(self.folder)):
                if name.startswith("records-") and name.endswith(".jsonl") and name != own and name not in self._over:
                    self._read(name)

    def _read(self, name):
        over = self._claims is not None and self._claims.is_free(name)  # asked first: what is read then is all
        done, lines = self._read_up_to.setdefault(name, [0, 0])
        with open(self.folder / name, "rb") as file:  # type: ignore[operator]
            if os.fstat(file.fileno()).st_size > done:
                file.seek(done)
                whole, _, _ = file.read().rpartition(b"\n")  # what has no end yet is being written, or torn
                for number, line in enumerate(whole.split(b"\n") if whole else (), lines + 1):
                    self._read_line(line, name, number)
                if whole:
                    self._read_up_to[name] = [done + len(whole) + 1, lines + whole.count(b"\n") + 1]
        if over:
            self._over.add(name)

    def _read_line(self, line, name, number):
        try:
            record = _record(line)
        except (ValueError, TypeError, KeyError) as error:
            where = f"{self.folder}/{name}, line {number}, is damaged ({error})"
            warnings.warn(f"{where}: its task will be computed again", stacklevel=6)
        else:
            self._count(record)
            self.news.append(record["key"])

    def _count(self, record):
        key = record["key"]
        known = self.records.get(key)
        self.attempts[key] = self.attempts.get(key, 0) + 1
        if known is None or known["status"] != "ok":
            self.records[key] = record


def _encoded(record) -> dict:
    """Return the point and the result of a record as JSON trees."""
    point = {name: encode(value, name) for name, value in record.get("point", {}).items()}
    result = record.get("result")
    if result is None:
        return {"point": point}
    return {"point": point, "result": {name: encode(value, name, results=True) for name, value in result.items()}}


def _as_file(manifest) -> bytes:
    return json.dumps(manifest, indent=1, allow_nan=False).encode("ascii") + b"\n"


def _line(record) -> bytes:
    text = _WRITE(record).encode("ascii")
    check = hashlib.sha256(text).hexdigest()[:CHECK].encode("ascii")
    return b"".join((HEAD, check, MIDDLE, text, TAIL, b"\n"))


def _record(line) -> dict[str, Any]:
    text = line[START : -len(TAIL)]
    check = hashlib.sha256(text).hexdigest()[:CHECK].encode("ascii")
    if line[:START] != HEAD + check + MIDDLE or line[-len(TAIL) :] != TAIL:
        raise ValueError("its checksum does not fit")
    record = from_text(text.decode("ascii"))
    record["key"], record["status"]
    for part in ("point", "result"):
        if record.get(part) is not None:
            record[part] = {name: decode(tree) for name, tree in record[part].items()}
    return record


# --- files -----------------------------------------------------------------------------------------------------------


class _Writer:
    """The file of this process's records: every line by one call of the system.

    What `write` has written survives the death of the process. It is on the disk, and survives that of the machine,
    when `write` returns; or, if the last sync was a moment ago, with one of the next records, at the latest when the
    system writes its buffers, by default within half a minute.
    """

    def __init__(self, folder, name):
        self.name = name
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        self.fd = os.open(folder / self.name, flags | getattr(os, "O_BINARY", 0), 0o666)
        self.due = 0.0
        _sync_folder(folder)

    def write(self, lines):
        for line in lines:
            _write_all(self.fd, line)
        if time.monotonic() >= self.due:
            self.sync()

    def sync(self):
        start = time.monotonic()
        os.fsync(self.fd)
        end = time.monotonic()
        self.due = end + PAUSES * (end - start)

    def close(self):
        try:
            self.sync()
        finally:
            os.close(self.fd)


def _own_name():
    host = "".join(c if c.isalnum() else "_" for c in socket.gethostname())[:40]
    return f"records-{host}-{os.getpid()}-{uuid4().hex[:8]}.jsonl"


def _write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _write_whole(path, data):
    """Put a file in its place at once, when all of it is on the disk."""
    temporary = path.with_name(TEMPORARY.format(uuid4().hex))
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            _write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder):
    """Make a new name in a folder last, where folders can be opened (not on Windows)."""
    if os.name == "posix":
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems sync files only
                raise
        finally:
            os.close(fd)


def _make_ready(folder):
    """Make the folder, and see that it can be written to before hours of work."""
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder, buffering=0) as probe:
            _write_all(probe.fileno(), bytes(SPARE))
            os.fsync(probe.fileno())


class _explained:
    """Say in an OSError which folder it is about and what to do."""

    def __init__(self, folder, safe=""):
        self.folder, self.safe = folder, safe

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if not isinstance(error, OSError):
            return
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "make space" if full else "give a folder that can be written to"
        safe = f"; {self.safe}, the same call goes on from there" if self.safe else ""
        text = f"store must be writable: {error.strerror or error}; {remedy}, or another store{safe}"
        raise OSError(error.errno, text, str(self.folder)) from error


_WRITE = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode  # keys in their order: that of the results
