"""Claims: which process is computing which task, known to all processes of a store and freed by the death of one."""

import hashlib
import os
import threading
from contextlib import contextmanager
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: no claims, and two processes may compute the same task, of which one record counts
    fcntl = None  # type: ignore[assignment]

__all__ = ["Claims"]

MANIFEST = 0
"""The byte that is held while the manifest is read and written."""


class Claims:
    """Locks on single bytes of one file, a byte for each key.

    The kernel frees a process's locks when it dies, however it dies, so that no claim outlives its owner. POSIX locks
    belong to the process: claims of its threads are told apart by the set that all objects for the same file share.
    """

    def __init__(self, path: str):
        self._file = _shared(path)
        self._mine: set[int] = set()

    @property
    def work(self) -> bool:
        """Whether claims keep anybody out: not on Windows, nor on file systems without locks."""
        return self._file.works

    def take(self, key: str) -> bool:
        """Claim a key without waiting; return whether it is now ours."""
        byte = _byte(key)
        if byte in self._mine or not self._file.take(byte):
            return False
        self._mine.add(byte)
        return True

    def free(self, key: str) -> None:
        """Give a claimed key back."""
        byte = _byte(key)
        if byte in self._mine:
            self._mine.discard(byte)
            self._file.free(byte)

    def is_free(self, key: str) -> bool:
        """Whether no process or thread holds a key; without locks nothing is known to be free."""
        byte = _byte(key)
        if not self._file.works or not self._file.take(byte):
            return False
        self._file.free(byte)
        return True

    @contextmanager
    def manifest(self):
        """Hold the manifest, waiting for whoever holds it."""
        with self._file.manifest():
            yield

    def close(self) -> None:
        """Give everything back."""
        for byte in self._mine:
            self._file.free(byte)
        self._mine.clear()
        _leave(self._file)


class _LockFile:
    """The open file of locks: one for all users in this process, as closing any would free the locks of all."""

    def __init__(self, path):
        self.path, self.users, self.held = path, 0, set()
        self.lock, self.manifest_lock = threading.Lock(), threading.Lock()
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        self.works = fcntl is not None and self._supported()

    def _supported(self):
        try:
            fcntl.lockf(self.fd, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 2**62 + 1)
            fcntl.lockf(self.fd, fcntl.LOCK_UN, 1, 2**62 + 1)
        except BlockingIOError:
            return True
        except OSError:  # ENOLCK, ENOTSUP: a network file system without a lock service
            return False
        return True

    def stands(self) -> bool:
        """Whether the path still leads to this file: the folder may have been removed and made again."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self.fd))
        except FileNotFoundError:
            return False

    def take(self, byte) -> bool:
        with self.lock:
            if byte in self.held:
                return False
            if self.works:
                try:
                    fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
                except OSError:
                    return False
            self.held.add(byte)
            return True

    def free(self, byte):
        with self.lock:
            self.held.discard(byte)
            if self.works:
                fcntl.lockf(self.fd, fcntl.LOCK_UN, 1, byte)

    @contextmanager
    def manifest(self):
        with self.manifest_lock:
            if self.works:
                fcntl.lockf(self.fd, fcntl.LOCK_EX, 1, MANIFEST)
            try:
                yield
            finally:
                if self.works:
                    fcntl.lockf(self.fd, fcntl.LOCK_UN, 1, MANIFEST)


_FILES: dict[Any, _LockFile] = {}
_FILES_LOCK = threading.Lock()


def _shared(path) -> _LockFile:
    with _FILES_LOCK:
        name = os.path.realpath(path), os.getpid()  # a forked child has none of its parent's locks
        file = _FILES.get(name)
        if file is None or not file.stands():
            file = _FILES[name] = _LockFile(path)
        file.users += 1
        return file


def _leave(file):
    with _FILES_LOCK:
        file.users -= 1
        if file.users == 0:
            for name in [name for name, known in _FILES.items() if known is file]:
                del _FILES[name]
            os.close(file.fd)


def _byte(key) -> int:
    """Return the byte of a key, 1 to 2**60."""
    return 1 + (int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little") >> 4)
