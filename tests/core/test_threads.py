"""How many threads there may be, and the BLAS limit: held while anyone is inside, given back by the last one out."""

import subprocess
import sys
from threading import Thread

import pytest
import scipy.linalg  # noqa: F401  so that its BLAS is loaded
from threadpoolctl import ThreadpoolController, threadpool_limits

from penstock.threads import in_threads, one_blas_thread, thread_count, use_threads


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


def counted_elsewhere(n_threads=None):
    """The count in another Python thread, which chooses its own number or none."""
    counts = []

    def count():
        if n_threads is None:
            counts.append(thread_count())
            return
        with use_threads(n_threads):
            counts.append(thread_count())

    other = Thread(target=count)
    other.start()
    other.join()
    return counts[0]


def test_a_choice_of_threads_is_the_process_s_but_for_threads_that_choose():
    with use_threads(3):
        assert (counted_elsewhere(), counted_elsewhere(5), thread_count()) == (3, 5, 3)
        with use_threads(1):
            assert thread_count() == counted_elsewhere() == 1
        assert thread_count() == 3


def test_choices_that_overlap_end_one_by_one():
    def block(n_threads):
        with use_threads(n_threads):
            yield thread_count()

    default = thread_count()
    first, second = block(7), block(8)
    assert (next(first), next(second), thread_count()) == (7, 8, 8)
    first.close()
    assert thread_count() == 8
    second.close()
    assert thread_count() == default
    with pytest.raises(RuntimeError), use_threads(9):
        raise RuntimeError
    assert thread_count() == default


def test_parts_come_back_in_order_and_do_not_share_themselves_out_again():
    def part(i):
        if i == 5:
            raise ValueError("part 5")
        return i, thread_count()

    with use_threads(2):
        assert list(in_threads(part, ((i,) for i in range(5)))) == [(i, 1) for i in range(5)]
        with pytest.raises(ValueError, match="part 5"):
            list(in_threads(part, [(i,) for i in range(8)]))


@pytest.mark.parametrize(
    ("count", "error"), [(0, ValueError), (-1, ValueError), (True, TypeError), (1.0, TypeError), (None, TypeError)]
)
def test_a_number_of_threads_is_a_positive_integer(count, error):
    with pytest.raises(error, match="n_threads"), use_threads(count):
        pass
