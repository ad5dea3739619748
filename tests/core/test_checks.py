"""Checks: every message names the argument, what was given and what would be right."""

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp

from penstock import Normal, Signs, Uniform, checks


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: checks.as_int("n", 2.5), TypeError, r"n must be an integer, got 2\.5"),
        (lambda: checks.as_int("n", True), TypeError, "n must be an integer, got True"),
        (lambda: checks.as_int("n", -3), ValueError, "n must be at least 1, got -3"),
        (lambda: checks.as_finite_float("a", "x"), TypeError, "a must be a number, got 'x'"),
        (lambda: checks.as_finite_float("a", np.inf), ValueError, "a must be finite, got inf"),
        (lambda: checks.as_positive_float("a", 0), ValueError, "a must be above 0, got 0"),
        (lambda: checks.as_non_negative_float("a", -1), ValueError, "a must be at least 0, got -1"),
        (lambda: checks.as_fraction("density", 1.5), ValueError, r"density must lie in \(0, 1\], got 1\.5"),
        (lambda: checks.as_fraction("density", 0), ValueError, r"density must lie in \(0, 1\], got 0"),
        (lambda: checks.as_finite_array("x", [1j]), TypeError, "x must hold real numbers"),
        (lambda: checks.as_finite_array("x", [[1]], ndim=1), ValueError, "x must have 1 dimensions"),
        (lambda: checks.as_matrix("W", np.eye(2), (3, None), float), ValueError, r"W must have shape \(3, any\)"),
        (lambda: checks.as_matrix("W", np.full((1, 1), np.nan), (1, 1), float), ValueError, "W must be finite"),
        (lambda: checks.as_matrix("W", sp.csr_array(1j * np.eye(2)), (2, 2), float), TypeError, "W must hold real"),
        (lambda: checks.as_matrix("W", [[1, 2], [3]], (2, 2), float), ValueError, "W must be a regular array"),
        (lambda: checks.as_matrix("W", nx.path_graph(2), (2, 2), float), TypeError, "penstock.weights.from_graph"),
        (lambda: checks.seed_sequence(None), TypeError, "seed must be a non-negative integer, got None"),
        (lambda: checks.seed_sequence(-1), ValueError, "seed must be at least 0, got -1"),
        (lambda: Uniform(1.0, 1.0), ValueError, "low must be below high"),
        (lambda: Normal(-1.0), ValueError, "std must be above 0"),
        (lambda: Signs(0.0), ValueError, "scale must be above 0"),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_matrices_are_private_copies():
    given, sparse_given = np.eye(3), sp.csr_array(np.eye(3))
    dense, sparse = (checks.as_matrix("W", m, (3, 3), np.float64) for m in (given, sparse_given))
    given[0, 0] = sparse_given.data[0] = 7.0
    assert dense[0, 0] == sparse[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        dense[0, 0] = 2.0


def test_seed_sequences_are_not_used_up():
    seed = np.random.SeedSequence(5)
    draws = [checks.generators(seed, 2)[1].random() for _ in range(2)]
    assert draws[0] == draws[1] == checks.generators(5, 2)[1].random()


@pytest.mark.parametrize("law", [Uniform(-0.3, 1.0), Normal(0.7), Signs(0.2)])
def test_laws_have_the_moments_they_state(law):
    x = law(np.random.default_rng(0), 200_000)
    # five standard errors of a mean and of a variance
    assert abs(x.mean() - law.mean) < 5 * x.std() / np.sqrt(x.size)
    assert abs(x.var() - law.variance) <= 5 * np.std((x - x.mean()) ** 2) / np.sqrt(x.size) + 1e-6
    np.testing.assert_allclose(law.scaled(3.0)(np.random.default_rng(0), 9), 3 * law(np.random.default_rng(0), 9))
