"""Numba's disk cache lives in a folder named by the hash of all sources: it misses edits to helpers in other files."""

import hashlib
import importlib.util
import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _source_hash() -> str:
    spec = importlib.util.find_spec("penstock")
    installed = [Path(folder) for folder in (spec.submodule_search_locations if spec else None) or ()]
    folders = [ROOT / name for name in ("core", "reservoirs", "spiking", "analysis", "data")] + installed
    files = sorted({file.resolve() for folder in folders for file in folder.rglob("*.py")})
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"penstock-numba-{_source_hash()}"))
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: a second thread only waits
