"""The BLAS limit: held while anyone is inside, and given back by the last one out."""

import subprocess
import sys

import pytest
import scipy.linalg  # noqa: F401  so that its BLAS is loaded
from threadpoolctl import ThreadpoolController, threadpool_limits

from penstock.threads import one_blas_thread


def blas_threads():
    return {library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()}


def test_limit_holds_inside_and_is_given_back_also_after_an_error():
    @one_blas_thread
    def inside():
        assert blas_threads() == {1}
        raise RuntimeError

    with threadpool_limits(2, user_api="blas"):
        with pytest.raises(RuntimeError):
            inside()
        assert blas_threads() == {2}


OVERLAP = """
import os
os.environ["OPENBLAS_NUM_THREADS"] = "2"
from threading import Event, Thread
import scipy.linalg
from threadpoolctl import ThreadpoolController
from penstock.threads import one_blas_thread

def blas():
    return sorted({library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()})

inside, leave, out = Event(), Event(), Event()

@one_blas_thread
def first():
    inside.set()
    leave.wait(20)

@one_blas_thread
def second():
    leave.set()
    out.wait(20)
    return blas()

one = Thread(target=first)
seen = []
two = Thread(target=lambda: seen.append(second()))
one.start(); inside.wait(20); two.start(); one.join(20); out.set(); two.join(20)
print(seen, blas())
"""


def test_limit_survives_callers_that_overlap():
    done = subprocess.run([sys.executable, "-c", OVERLAP], capture_output=True, text=True)
    assert done.stdout.strip() == "[[1]] [2]", done.stderr
