"""Orthonormalising in place, against NumPy's QR."""

import numpy as np
import pytest

from penstock.orthogonal import (
    FEW,
    _gram_schmidt,
    lean_logs,
    orthonormalise,
    push_triangular,
    renormalise,
    triangularise,
)

SIZES = [(1, 1), (3, 7), (FEW, FEW), (FEW + 1, FEW + 1), (30, 90), (90, 90)]  # Gram-Schmidt and LAPACK


def frame(k, n, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal((k, n)).astype(dtype)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_become_the_basis_and_logs_the_diagonal_of_r(size, dtype):
    V, logs = frame(*size, dtype), np.empty(size[0])
    Q, R = np.linalg.qr(V.T.astype(np.float64))
    rounding = np.finfo(dtype).eps * np.linalg.cond(R) * 10
    orthonormalise(V, logs)
    np.testing.assert_allclose(logs, np.log(np.abs(np.diag(R))), atol=rounding)
    np.testing.assert_allclose(np.abs(np.einsum("kn,nk->k", V, Q)), 1, atol=rounding)  # each row, but for its sign
    np.testing.assert_allclose(V @ V.T, np.eye(size[0]), atol=50 * np.finfo(dtype).eps)


@pytest.mark.parametrize("size", SIZES)
def test_renormalised_rows_keep_their_spans(size):
    V, logs = frame(*size), np.empty(size[0])
    Q, R = np.linalg.qr(V.T)
    renormalise(V, logs)
    condition = np.linalg.cond(R)
    logs += lean_logs(V)  # what it left out
    np.testing.assert_allclose(logs, np.log(np.abs(np.diag(R))), atol=1e-15 * condition**2)
    lower = V @ Q  # triangular if the first i rows span what the first i columns of Q do
    assert np.abs(np.triu(lower, 1)).max() < 1e-14 * condition


def test_what_renormalise_misses_the_next_makes_up_for():
    """Sums over a product that ends orthonormal are exact, although single logarithms are off by 1e-5 and more."""
    rng = np.random.default_rng(1)
    factors = [np.diag(np.logspace(0, -5, 20)) @ np.linalg.qr(rng.standard_normal((20, 20)))[0] for _ in range(10)]
    totals = []
    for first in (orthonormalise, renormalise):
        V, logs = np.eye(20), np.empty((10, 20))
        for t, J in enumerate(factors):
            V[:] = V @ J.T
            (orthonormalise if t == 9 else first)(V, logs[t])
        totals.append(logs.sum(axis=0))
    np.testing.assert_allclose(totals[1], totals[0], atol=1e-9)  # 1e5 times rounding, over ten factors
    np.testing.assert_allclose(totals[1].sum(), 10 * np.log(np.logspace(0, -5, 20)).sum(), atol=1e-9)


@pytest.mark.parametrize("function", [orthonormalise, renormalise])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("k", [5, 40])
def test_a_dependent_vector_has_minus_infinity_and_no_nan(function, dtype, k):
    V, logs = frame(k, 60, dtype), np.empty(k)
    V[3] = V[0] - 2 * V[2]
    function(V, logs)
    assert np.isneginf(logs[3]) and np.isfinite(np.delete(logs, 3)).all()
    if function is orthonormalise or k <= FEW:
        others = np.delete(V, 3, axis=0)
        np.testing.assert_allclose(others @ others.T, np.eye(k - 1), atol=100 * np.finfo(dtype).eps)
    else:
        assert np.linalg.cond(V) < 1e3  # independent again, if not orthogonal
    assert np.isfinite(V).all()


@pytest.mark.parametrize("k", [4, 30])
def test_a_tiny_vector_is_not_a_dependent_one(k):
    V, logs = frame(k, 40), np.empty(k)
    V[-1] *= 1e-40
    expected = np.log(np.abs(np.diag(np.linalg.qr(V[:-1].T, mode="r"))))
    orthonormalise(V, logs)
    np.testing.assert_allclose(logs[:-1], expected, atol=1e-12)
    assert -100 < logs[-1] < -85  # ln 1e-40 = -92


@pytest.mark.parametrize("k", [4, 30])
def test_zero_rows_have_minus_infinity(k):
    V, logs = np.zeros((k, 40)), np.zeros(k)
    orthonormalise(V, logs)
    assert np.isneginf(logs).all() and np.isfinite(V).all()


@pytest.mark.parametrize("size", [(20, 20), (20, 50)])
def test_triangular_rows_and_their_growth_are_those_of_a_pivoted_lu(size):
    from scipy.linalg import lu

    V, logs = frame(*size), np.empty(size[0])
    P, L, R = lu(V.T)
    order = triangularise(V, logs)
    np.testing.assert_allclose(V, L.T, atol=5e-14)  # eps times the conditioning, about 50
    np.testing.assert_allclose(logs, np.log(np.abs(np.diag(R))), atol=1e-13)
    np.testing.assert_array_equal(np.eye(size[1])[order], P.T)


@pytest.mark.parametrize("size", [(1, 4), (5, 9), (20, 20), (20, 50)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_lean_logs_are_the_diagonal_of_r_of_what_renormalise_left(size, dtype):
    V = frame(*size, dtype)
    renormalise(V, np.empty(size[0]))
    before = V.copy()
    expected = np.log(np.abs(np.diag(np.linalg.qr(V.T.astype(np.float64), mode="r"))))
    # eps times the conditioning squared, 1e4 of triangles; in single precision the rows lean little
    np.testing.assert_allclose(lean_logs(V), expected, atol=1e-11 if dtype == np.float64 else 1e-5)
    np.testing.assert_array_equal(V, before)


@pytest.mark.parametrize("size", [(40, 40), (40, 41)])
def test_lean_logs_of_rows_that_are_nearly_dependent(size):
    """A triangle of ones and minus ones, whose conditioning of 2^40 pivots do allow: no Gram matrix would do."""
    V = np.triu(-np.ones(size), 1) + np.eye(*size)
    expected = np.log(np.abs(np.diag(np.linalg.qr(V.T, mode="r"))))
    np.testing.assert_allclose(lean_logs(V), expected, atol=1e-12)


def test_rows_in_single_precision_stay_nearly_orthonormal():
    """As triangles would magnify their rounding by the conditioning of these, some hundreds."""
    V, logs = frame(60, 80, np.float32), np.empty(60)
    renormalise(V, logs)
    np.testing.assert_allclose(V @ V.T, np.eye(60), atol=1e-3)  # eps times the conditioning squared, 1e3


def test_a_vector_that_is_not_finite_shows_in_its_logarithm():
    V, logs = frame(20, 30), np.empty(20)
    V[4, 7] = np.nan
    renormalise(V, logs)
    assert np.isnan(logs).any()


@pytest.mark.parametrize("size", [(20, 20), (20, 50)])
@pytest.mark.parametrize("start", ["dense", "triangular"])
def test_the_triangular_push_is_the_product_of_the_jacobians(size, start):
    (k, n), n_steps = size, 300  # long enough for errors that add up to show
    rng = np.random.default_rng(0)
    W, keep, gains = rng.standard_normal((n, n)) / np.sqrt(n), rng.uniform(0, 1, n), rng.uniform(0.5, 1, (n_steps, n))
    V, logs, ends = frame(k, n), np.empty((n_steps, k)), np.empty((2, k))
    (renormalise if start == "triangular" else orthonormalise)(V, ends[0])
    ends[0] = lean_logs(V) if start == "triangular" else 0
    Q = np.linalg.qr(V.T)[0]
    expected = np.zeros(k)
    for g in gains:
        Q, R = np.linalg.qr(keep[:, None] * Q + g[:, None] * (W @ Q))
        expected += np.log(np.abs(np.diag(R)))
    push_triangular(np.ascontiguousarray(W.T), keep, gains, V, logs)
    ends[1] = lean_logs(V)
    # eps times the conditioning and the growth ratio of a step, about 100 each, for every step
    np.testing.assert_allclose(logs.sum(axis=0) + ends[1] - ends[0], expected, atol=1e-9)
    spans = np.linalg.qr(V.T)[0]
    np.testing.assert_allclose(np.abs(np.einsum("nk,nk->k", spans, Q)), 1, atol=1e-9)


def test_the_kernel_is_plain_python_too():
    V, logs, W, compiled = frame(4, 9), np.empty(4), frame(4, 9), np.empty(4)
    _gram_schmidt.py_func(V, logs)
    orthonormalise(W, compiled)
    np.testing.assert_allclose(logs, compiled, atol=1e-14)
    np.testing.assert_allclose(V, W, atol=1e-14)
