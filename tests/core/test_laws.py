"""The gamma law: its moments and polynomials are those of the law that SciPy has."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from numpy.testing import assert_allclose

from penstock import Gamma
from penstock.laws import orthonormal_polynomials


@pytest.mark.parametrize(("mean", "shape"), [(20.0, 3.0), (5.0, 1.0), (0.3, 0.5)])
def test_gamma_draws_follow_the_law_and_its_moments(mean, shape):
    law, reference = Gamma(mean, shape), scipy.stats.gamma(shape, scale=mean / shape)
    draws = law(np.random.default_rng(0), 20_000)
    assert scipy.stats.kstest(draws, reference.cdf).pvalue > 1e-4
    assert_allclose([law.mean, law.variance], [reference.mean(), reference.var()], rtol=1e-14)
    assert law(np.random.default_rng(0), (3, 4)).shape == (3, 4)


def test_a_scaled_gamma_law_is_that_of_the_scaled_variable():
    law = Gamma(20.0, shape=3.0)
    scaled = law.scaled(2.5)
    assert scaled == Gamma(50.0, shape=3.0)
    draws = [each(np.random.default_rng(1), 10) for each in (law, scaled)]
    assert_allclose(draws[1], 2.5 * draws[0], rtol=1e-14)


@pytest.mark.parametrize("shape", [0.7, 1.0, 3.0])
def test_gamma_polynomials_are_orthonormal_under_the_law(shape):
    law = Gamma(20.0, shape)
    nodes, weights = scipy.special.roots_genlaguerre(12, shape - 1)  # exact for products up to degree 23
    values = orthonormal_polynomials(law, nodes * 20.0 / shape, 6)
    assert_allclose((values * (weights / weights.sum())) @ values.T, np.eye(7), atol=1e-11)
    assert (np.diff(values[:, -1]) > 0).all() and values[-1, -1] > 0  # leading coefficients are positive


@pytest.mark.parametrize(
    ("mean", "shape", "error", "message"),
    [
        (0.0, 1.0, ValueError, "mean must be above 0, got 0.0"),
        (1.0, -2.0, ValueError, "shape must be above 0, got -2.0"),
        (np.nan, 1.0, ValueError, "mean must be finite"),
        (1.0, None, TypeError, "shape must be a number, got None"),
        (True, 1.0, TypeError, "mean must be a number"),
    ],
)
def test_messages(mean, shape, error, message):
    with pytest.raises(error, match=message):
        Gamma(mean, shape)
