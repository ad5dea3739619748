"""Mat-vec kernels of all forms against NumPy, on directed matrices: a transposition must fail."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit, typeof

from penstock.checks import as_matrix
from penstock.matvec import BATCH_ROWS, add_matvec, affine, kernel_form, matmul_rows, matmul_sparse


@njit(error_model="numpy")
def _products(W, x, bias, X, added, shifted, Z):
    """All products of one form at once: one compilation instead of three."""
    add_matvec(W, x, added)
    affine(W, x, bias, shifted)
    matmul_rows(W, X, Z)


@njit(error_model="numpy")
def _rows(W, X, Z):
    matmul_rows(W, X, Z)


def products(W, x, bias, X):
    added, Z = bias.copy(), np.full((len(X), bias.size), 7, x.dtype)
    _products(W, x, bias, X, added, shifted := np.full_like(bias, 7), Z)
    return added, shifted, Z


def matrices(n, rng):
    dense = rng.standard_normal((n, n))
    thin = np.where(rng.random((n, n)) < 0.3, dense, 0.0)
    shifted = np.diag(dense[0])[:, np.roll(np.arange(n), n // 3)]
    return {
        "dense": dense,
        "csr": sp.csr_array(thin),
        "empty": sp.csr_array((n, n)),
        "permutation": sp.csr_array(np.diag(dense[0])[rng.permutation(n)]),
        "shift": sp.csr_array(shifted),
        "diagonal": sp.csr_array(np.diag(dense[0])),
    }


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 40), seed=st.integers(0, 2**32 - 1), single=st.booleans())
def test_every_form_equals_numpy(n, seed, single):
    rng = np.random.default_rng(seed)
    dtype = np.float32 if single else np.float64
    # n products of order 1, each rounded once, and n additions
    tolerance = 4 * n * np.finfo(dtype).eps * 10
    for name, matrix in matrices(n, rng).items():
        W = as_matrix("W", matrix, (n, n), dtype)
        x, bias, X = (rng.standard_normal(shape).astype(dtype) for shape in (n, n, (3, n)))
        exact = (W.toarray() if sp.issparse(W) else W).astype(float)
        added, shifted, Z = products(kernel_form(W), x, bias, X)
        np.testing.assert_allclose(added, bias + exact @ x, atol=tolerance, err_msg=name)
        np.testing.assert_array_equal(shifted, added, err_msg=name)
        np.testing.assert_allclose(Z, X @ exact.T, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("k", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 23, 33])
def test_any_number_of_rows_meets_a_dense_matrix_as_in_numpy(k, dtype):
    # sizes that the tiles of four, six or eight rows, and vectors of four or eight lanes, do and do not divide
    rng = np.random.default_rng(k)
    for n, m in ((0, 3), (1, 9), (3, 5), (4, 1), (5, 7), (6, 8), (8, 16), (13, 10), (14, 4), (7, 0)):
        W, X = rng.standard_normal((n, m)).astype(dtype), rng.standard_normal((k, m)).astype(dtype)
        beyond, plain = np.full((k + 1) * n, 7, dtype), np.empty((k, n), dtype)
        Z = beyond[: k * n].reshape(k, n)
        _rows(W, X, Z)
        matmul_rows(W, X, plain)  # called from Python: the twin
        exact = X.astype(float) @ W.T.astype(float)
        tolerance = 100 * np.finfo(dtype).eps  # at most 16 products of order 1
        np.testing.assert_allclose(Z, exact, atol=tolerance)
        np.testing.assert_allclose(plain, exact, atol=tolerance)
        np.testing.assert_array_equal(beyond[k * n :], 7)  # nothing is written past the last row


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("k", [1, 3, 8, 14])
def test_what_is_not_finite_stays_in_its_row(k, bad):
    X, W, Z = np.ones((k, 6)), np.ones((5, 6)), np.empty((k, 5))
    X[k - 1, 5] = bad
    _rows(W, X, Z)
    np.testing.assert_array_equal(Z, np.where(np.arange(k) == k - 1, bad, 6.0)[:, None] * np.ones(5))


def test_rows_do_not_mix():
    # powers of two and zeros: every sum is exact, so a wrong weight or vector anywhere shows
    W = 2.0 ** (np.arange(9 * 7).reshape(9, 7) % 11)
    for k in (2, 3, 7, 8, 13):
        for r in range(k):
            X, Z, expected = np.zeros((k, 7)), np.empty((k, 9)), np.zeros((k, 9))
            X[r], expected[r] = np.eye(7)[r % 7], W[:, r % 7]
            _rows(W, X, Z)
            np.testing.assert_array_equal(Z, expected)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_bits_of_a_row_depend_neither_on_its_place_nor_on_the_others(dtype):
    rng = np.random.default_rng(6)
    W, X = rng.standard_normal((13, 37)).astype(dtype), rng.standard_normal((40, 37)).astype(dtype)
    whole, part = np.empty((len(X), 13), dtype), np.empty((len(X), 13), dtype)
    _rows(W, X, whole)
    for size in (BATCH_ROWS, BATCH_ROWS + 1, 2 * BATCH_ROWS + 3):
        for start in (0, 1, 3, len(X) - size):
            _rows(W, X[start : start + size], part[:size])
            np.testing.assert_array_equal(part[:size], whole[start : start + size])


def test_sums_over_many_rows_round_once_per_term():
    # (1 + 2^-30) (1 - 2^-30) = 1 - 2^-60 rounds to 1, so that only a fused sum keeps what is left beside -1
    W, X, Z = np.array([[1.0, 1 + 2.0**-30]]), np.tile([-1.0, 1 - 2.0**-30], (16, 1)), np.empty((16, 1))
    _rows(W, X, Z)
    np.testing.assert_array_equal(Z, -(2.0**-60))


def test_input_weights_of_any_width_are_one_type():
    forms = [kernel_form(as_matrix("W_in", np.ones((5, m)), (5, m), np.float64, "F")) for m in (0, 1, 2, 3)]
    assert len({typeof(form) for form in forms}) == 1
    assert isinstance(kernel_form(as_matrix("W", np.ones((1, 1)), (1, 1), np.float64)), np.ndarray)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (8, 1), (4, 0), (9, 17)])
def test_rectangular_input_weights(shape):
    rng = np.random.default_rng(0)
    dense = rng.standard_normal(shape)
    for matrix, order in ((dense, "C"), (dense, "F"), (sp.csr_array(dense), "C")):
        x, X = rng.standard_normal(shape[1]), rng.standard_normal((3, shape[1]))
        form = kernel_form(as_matrix("W_in", matrix, shape, np.float64, order))
        added, shifted, Z = products(form, x, np.ones(shape[0]), X)
        for result in (added, shifted):
            np.testing.assert_allclose(result, 1 + matrix @ x, atol=1e-13)
        np.testing.assert_allclose(Z, X @ dense.T, atol=1e-13)


def test_columns_of_an_array_are_added_as_in_numpy():
    rng = np.random.default_rng(5)
    W, x, bias, X = np.asfortranarray(rng.standard_normal((5, 11))), *map(rng.standard_normal, (11, 5, (3, 11)))
    added, shifted, Z = products(W, x, bias, X)
    np.testing.assert_allclose(added, bias + W @ x, atol=1e-13)
    np.testing.assert_array_equal(shifted, added)
    np.testing.assert_allclose(Z, X @ W.T, atol=1e-13)


def test_a_single_column_is_fused_like_any_other():
    # bias + w x with one rounding: 1 - 2^-60 - 1, which two roundings would make 0
    w, x, bias = np.full((5, 1), 1 + 2.0**-30), np.array([1 - 2.0**-30]), np.full(5, -1.0)
    form = kernel_form(as_matrix("W_in", w, (5, 1), np.float64, "F"))
    np.testing.assert_array_equal(products(form, x, bias, x[None])[0], -(2.0**-60))


def test_sparse_batch_product_equals_numpy():
    rng = np.random.default_rng(1)
    W = sp.random_array((30, 30), density=0.2, rng=rng, format="csr")
    X, Z = rng.standard_normal((30, 7)), rng.standard_normal((30, 7))
    exact = Z + W.toarray() @ X
    matmul_sparse(kernel_form(as_matrix("W", W, (30, 30), np.float64)), X, Z)
    np.testing.assert_allclose(Z, exact, atol=1e-13)


def test_forms_follow_the_structure():
    rng = np.random.default_rng(2)
    kinds = {name: kernel_form(as_matrix("W", m, (9, 9), np.float64)) for name, m in matrices(9, rng).items()}
    assert isinstance(kinds["dense"], np.ndarray) and kinds["dense"].flags.c_contiguous
    assert len(kinds["csr"]) == len(kinds["empty"]) == 3
    assert kinds["csr"][1].dtype == kinds["csr"][2].dtype == kinds["permutation"][1].dtype == np.uint32
    assert kinds["diagonal"][1] == 0 and isinstance(kinds["shift"][1], int)


def test_plain_python_versions_equal_numpy():
    rng = np.random.default_rng(3)
    x, bias, X = rng.standard_normal(9), rng.standard_normal(9), rng.standard_normal((3, 9))
    for name, matrix in matrices(9, rng).items():
        W, z, Z = kernel_form(as_matrix("W", matrix, (9, 9), np.float64)), np.empty(9), np.empty((3, 9))
        affine(W, x, bias, z)
        np.testing.assert_allclose(z, bias + matrix @ x, atol=1e-14, err_msg=name)
        matmul_rows(W, X, Z)
        np.testing.assert_allclose(Z, (matrix @ X.T).T, atol=1e-14, err_msg=name)
