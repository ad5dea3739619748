"""Numba's disk cache lives in a folder named by the hash of the leaf files whose functions kernels inline.

Numba notices an edit to the file of a cached kernel, but not one to the functions it inlines from other files; those
stand in the leaf files only (the kernel law, which `test_house.py` checks).
"""

import hashlib
import importlib.util
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]


LEAVES = ("vmath.py", "matvec.py", "barrier.py")


def _source_hash() -> str:
    spec = importlib.util.find_spec("penstock")
    installed = [Path(folder) for folder in (spec.submodule_search_locations if spec else None) or ()]
    files = sorted({(folder / leaf).resolve() for folder in [ROOT / "core", *installed] for leaf in LEAVES})
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"penstock-numba-{_source_hash()}"))
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: a second thread only waits

# the same examples in every run; --hypothesis-profile=default draws others
settings.register_profile("same", derandomize=True)
settings.load_profile("same")

# files that run every model: one process runs them all, so that a kernel compiles once
EVERY_MODEL = ("test_contract.py", "test_closed_loop.py", "test_store.py")

# in those files what runs a spiking network, whose kernel the doctests compile in the other process at about that time
SPIKING = ("test_what_a_spiking_run_recorded_comes_back",)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Keep the tests of a file in one process where pytest-xdist shares them out."""
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            group = "every model" if item.path.name in EVERY_MODEL else str(item.path)
            if item.name in SPIKING:
                group = str(Path(__file__).with_name("test_house.py"))
            item.add_marker(pytest.mark.xdist_group(group))
