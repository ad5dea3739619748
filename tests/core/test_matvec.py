"""Mat-vec kernels of all forms against NumPy, on directed matrices: a transposition must fail."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from penstock.checks import as_matrix
from penstock.matvec import FEW_ROWS, add_matvec, affine, kernel_form, matmul_rows, matmul_sparse
from penstock.matvec import _rows as _rows_kernel


@njit(error_model="numpy")
def _add(W, x, z):
    add_matvec(W, x, z)


@njit(error_model="numpy")
def _rows(W, X, Z):
    matmul_rows(W, X, Z)


@njit(error_model="numpy")
def _affine(W, x, bias, z):
    affine(W, x, bias, z)


@njit(error_model="numpy")
def _by_rows(W, x, z):
    _rows_kernel(W, x, z)


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
        x, z = rng.standard_normal(n).astype(dtype), rng.standard_normal(n).astype(dtype)
        exact = z + (W.toarray() if sp.issparse(W) else W).astype(float) @ x
        _add(kernel_form(W), x, z)
        np.testing.assert_allclose(z, exact, atol=tolerance, err_msg=name)
        _affine(kernel_form(W), x, x, z)
        np.testing.assert_allclose(z, x + W @ x, atol=tolerance, err_msg=name)
        X = rng.standard_normal((3, n)).astype(dtype)
        Z = np.empty_like(X)
        _rows(kernel_form(W), X, Z)
        np.testing.assert_allclose(Z, (W @ X.T).T, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("k", [0, 1, 2, 3, 4, 5, 6, 7, 11, FEW_ROWS, FEW_ROWS + 1])
def test_any_number_of_rows_meets_a_dense_matrix_as_in_numpy(k, order, dtype):
    # sizes that the tiles of four rows by three or two vectors do and do not divide
    rng = np.random.default_rng(k)
    for n, m in ((1, 9), (3, 5), (4, 1), (8, 16), (13, 10), (7, 0)):
        W = np.asarray(rng.standard_normal((n, m)).astype(dtype), order=order)
        X, Z, plain = rng.standard_normal((k, m)).astype(dtype), np.full((k, n), 7, dtype), np.empty((k, n), dtype)
        _rows(W, X, Z)
        matmul_rows(W, X, plain)  # called from Python: the twin
        exact = X.astype(float) @ W.T.astype(float)
        tolerance = 100 * np.finfo(dtype).eps  # at most 16 products of order 1
        np.testing.assert_allclose(Z, exact, atol=tolerance)
        np.testing.assert_allclose(plain, exact, atol=tolerance)


def test_few_rows_do_not_mix():
    # powers of two and zeros: every sum is exact, so a wrong weight or vector anywhere shows
    W = 2.0 ** (np.arange(9 * 7).reshape(9, 7) % 11)
    for k in (2, 3, 7, FEW_ROWS):
        for r in range(k):
            X, beyond = np.zeros((k, 7)), np.full((k + 2, 9), -1.0)
            X[r], Z = np.eye(7)[r % 7], beyond[:k]
            _rows(W, X, Z)
            assert (beyond[k:] == -1).all()  # nothing is written past the last row
            expected = np.zeros((k, 9))
            expected[r] = W[:, r % 7]
            np.testing.assert_array_equal(Z, expected)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (8, 1), (4, 0)])
def test_rectangular_input_weights(shape):
    rng = np.random.default_rng(0)
    dense = rng.standard_normal(shape)
    for matrix, order in ((dense, "C"), (dense, "F"), (sp.csr_array(dense), "C")):
        z, x = np.zeros(shape[0]), rng.standard_normal(shape[1])
        form = kernel_form(as_matrix("W_in", matrix, shape, np.float64, order))
        _add(form, x, z)
        np.testing.assert_allclose(z, matrix @ x, atol=1e-14)
        _affine(form, x, np.ones(shape[0]), z)
        np.testing.assert_allclose(z, 1 + matrix @ x, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_single_column_is_added_like_rows_of_length_one(dtype, order):
    # one fused multiply-add per unit, as the rows do it: all sums and exact zeros come out bit for bit
    rng = np.random.default_rng(4)
    for n in (1, 3, 8, 101):
        column, start = rng.standard_normal((n, 1)).astype(dtype), rng.standard_normal(n).astype(dtype)
        for factor in (0.0, 1.7):
            z, by_rows = start.copy(), start.copy()
            x = np.array([factor], dtype)
            _add(np.asarray(column, order=order), x, z)
            _by_rows(np.ascontiguousarray(column), x, by_rows)
            np.testing.assert_array_equal(z, by_rows)
            exact = start.astype(float) + column[:, 0].astype(float) * float(x[0])
            np.testing.assert_allclose(z, exact, rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)


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
