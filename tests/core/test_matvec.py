"""Mat-vec kernels of all forms against NumPy, on directed matrices: a transposition must fail."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from penstock.checks import as_matrix
from penstock.matvec import add_matvec, affine, kernel_form, matmul_rows, matmul_sparse


@njit(error_model="numpy")
def _add(W, x, z):
    add_matvec(W, x, z)


@njit(error_model="numpy")
def _rows(W, X, Z):
    matmul_rows(W, X, Z)


@njit(error_model="numpy")
def _affine(W, x, bias, z):
    affine(W, x, bias, z)


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
