"""Ridge readouts against scikit-learn and closed forms."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge

from penstock import Readout, ridge

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((80, 6)) + 3.0, rng.standard_normal((80, 2)) - 1.0


@pytest.mark.parametrize("alpha", [1e-6, 0.1, 100.0])
def test_ridge_equals_scikit_learn(alpha):
    ours, theirs = ridge(X, Y, alpha), Ridge(alpha=alpha).fit(X, Y)
    np.testing.assert_allclose(ours.W_out, theirs.coef_, rtol=1e-9)
    np.testing.assert_allclose(ours(X), theirs.predict(X), rtol=1e-9)


def test_no_penalty_is_least_squares_also_when_rank_deficient():
    np.testing.assert_allclose(ridge(X, Y, 0.0)(X), LinearRegression().fit(X, Y).predict(X), rtol=1e-10)
    twice = np.hstack([X, X])
    np.testing.assert_allclose(ridge(twice, Y, 0.0)(twice), ridge(X, Y, 0.0)(X), rtol=1e-10)


def test_one_target_may_be_flat():
    np.testing.assert_array_equal(ridge(X, Y[:, 0]).W_out, ridge(X, Y[:, :1]).W_out)


def test_readouts_take_lists_and_a_scalar_offset():
    np.testing.assert_array_equal(Readout([[1.0, 2.0]], 0.5)([[1.0, 1.0]]), [[3.5]])


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"targets must have shape \(80, …\)"):
        ridge(X, Y[:-1])
    with pytest.raises(ValueError, match=r"states must have shape \(T, n_units\) \(reshape"):
        ridge(X.reshape(4, 20, 6), Y)
    with pytest.raises(ValueError, match=r"targets must have shape \(0, …\)"):
        ridge(np.zeros((0, 4)), np.zeros(0))
    with pytest.raises(ValueError, match="states must be finite"):
        ridge(X, Y)(np.full((1, 6), np.nan))
    with pytest.raises(ValueError, match=r"alpha must be at least 0, got -1"):
        ridge(X, Y, -1.0)
    with pytest.raises(ValueError, match=r"targets must be finite, got nan at index \(3, 0\)"):
        ridge(X, np.where(np.arange(80) == 3, np.nan, 0.0)[:, None])
    with pytest.raises(ValueError, match=r"offset must have shape \(1,\)"):
        Readout(np.ones((1, 3)), np.zeros(2))
    with pytest.raises(ValueError, match=r"states must have shape \(…, 6\), got \(80, 5\)"):
        ridge(X, Y)(X[:, :5])


def test_ridge_is_the_function_and_no_module_hides_it():
    """A module of that name would take its place in the package once something imports it.

    `sweep` is the exception: the package itself imports that module before it takes the function from it, so that
    the function comes last.
    """
    import inspect
    import pkgutil

    import penstock

    modules = {module.name for module in pkgutil.iter_modules(penstock.__path__)}
    objects = {name for name in penstock.__all__ if not inspect.ismodule(getattr(penstock, name))}
    import penstock.sweep

    assert penstock.ridge is ridge and callable(penstock.sweep) and modules & objects == {"sweep"}
