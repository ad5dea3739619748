"""The BLAS limit: held inside, given back after."""

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
