"""Online readouts against ridge regression, the normal equations, the Wiener solution and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LinearRegression
from sklearn.linear_model import Ridge as TheirRidge

import penstock
from penstock import LMS, NLMS, RLS
from penstock.params import clone
from penstock.readout import ridge

T = 120


def data(n=7, k=2, seed=0):
    """Correlated states far from the origin, targets that a line does not fit exactly."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((T, n)) @ rng.standard_normal((n, n)) + 3
    return X, X @ rng.standard_normal((n, k)) + rng.standard_normal((T, k)) - 5


def weighted_ridge(X, Y, alpha, forgetting=1.0, centred=True):
    """Solve the normal equations of weights λ^(T-t) and penalty λ^T alpha: W, offset and inverse Gram matrix."""
    weights = forgetting ** np.arange(len(X) - 1, -1, -1.0)
    center, middle = (weights @ array / weights.sum() if centred else np.zeros(array.shape[1]) for array in (X, Y))
    D = X - center
    gram = (D.T * weights) @ D + forgetting ** len(X) * alpha * np.eye(X.shape[1])
    W = np.linalg.solve(gram, (D.T * weights) @ (Y - middle)).T
    return W, middle - W @ center, np.linalg.inv(gram)


# --- RLS ------------------------------------------------------------------------------------------------------------

# rounding of 120 rank-one updates, relative: about cond(gram) times 1e-16, and cond is below 1e5
EXACT = {"rtol": 1e-10, "atol": 1e-10}


@pytest.mark.parametrize("n", [1, 2, 7, 8])
@pytest.mark.parametrize("alpha", [1e-2, 1.0, 100.0])
def test_rls_without_forgetting_equals_ridge_with_a_free_offset(n, alpha):
    X, Y = data(n)
    ours, batch, theirs = RLS(alpha).fit(X, Y), ridge(X, Y, alpha), TheirRidge(alpha=alpha).fit(X, Y)
    assert_allclose(ours.coef_, theirs.coef_, **EXACT)
    assert_allclose(ours.intercept_, theirs.intercept_, **EXACT)
    assert_allclose(ours.coef_, batch.W_out, **EXACT)
    assert_allclose(ours.predict(X), theirs.predict(X), **EXACT)


@pytest.mark.parametrize("n", [1, 7, 8])
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("forgetting", [1.0, 0.99, 0.9])
def test_rls_equals_the_weighted_normal_equations_and_p_their_inverse(n, centred, forgetting):
    X, Y = data(n)
    readout = RLS(0.3, forgetting=forgetting, fit_intercept=centred).fit(X, Y)
    W, offset, P = weighted_ridge(X, Y, 0.3, forgetting, centred)
    assert_allclose(readout.coef_, W, **EXACT)
    assert_allclose(readout.intercept_, offset, **EXACT)
    assert_allclose(np.tril(readout.P_[0]), np.tril(P), rtol=1e-8, atol=1e-10 * abs(P).max())


def test_textbook_rls_equals_ridge_after_any_number_of_updates():
    X, Y = data()
    readout = RLS(2.0, fit_intercept=False)
    for t in range(20):
        readout.partial_fit(X[t : t + 1], Y[t : t + 1])
        assert_allclose(readout.coef_, weighted_ridge(X[: t + 1], Y[: t + 1], 2.0, centred=False)[0], **EXACT)
        assert_array_equal(readout.intercept_, 0)


def test_centred_rls_equals_ridge_after_any_number_of_updates():
    X, Y = data()
    readout = RLS(2.0, forgetting=0.9)
    for t in range(20):
        readout.partial_fit(X[t : t + 1], Y[t : t + 1])
        W, offset, _ = weighted_ridge(X[: t + 1], Y[: t + 1], 2.0, 0.9)
        assert_allclose(readout.coef_, W, **EXACT)
        assert_allclose(readout.intercept_, offset, **EXACT)


def test_a_vanishing_penalty_is_least_squares():
    X, Y = data()
    # the penalty moves the solution by alpha / smallest eigenvalue of the Gram matrix, 1e-8 / 1
    assert_allclose(RLS(1e-8).fit(X, Y).predict(X), LinearRegression().fit(X, Y).predict(X), atol=1e-6)


def test_each_output_with_gaps_is_the_ridge_regression_of_its_own_rows():
    X, Y = data(k=4)
    gaps = np.random.default_rng(1).random((T, 4)) < 0.3
    gaps[:, 3] = gaps[:, 1]
    Y = np.where(gaps, np.nan, Y)
    readout = RLS(0.5, forgetting=0.98).fit(X, Y)
    for j in range(4):
        rows = ~gaps[:, j]
        W, offset, _ = weighted_ridge(X[rows], Y[rows, j : j + 1], 0.5, 0.98)
        assert_allclose(readout.coef_[j : j + 1], W, **EXACT)
        assert_allclose(readout.intercept_[j], offset[0], **EXACT)
    assert readout.P_.shape == (3, 7, 7)  # outputs 1 and 3 share one


def test_outputs_without_gaps_share_one_p():
    assert RLS().fit(*data(k=5)).P_.shape == (1, 7, 7)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.integers(1, T - 1), max_size=4),
    st.sampled_from([RLS(0.1, forgetting=0.97), RLS(fit_intercept=False), LMS(1e-4), NLMS(0.3)]),
    st.integers(0, 2**20),
    st.floats(0, 0.5),
)
def test_fit_equals_partial_fits_of_pieces_bit_for_bit(cuts, readout, seed, gaps):
    X, Y = data(8, 3)
    Y = np.where(np.random.default_rng(seed).random(Y.shape) < gaps, np.nan, Y)
    whole, pieces = clone(readout).fit(X, Y), clone(readout)
    edges = [0, *sorted(set(cuts)), T]
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        pieces.partial_fit(X[start:stop], Y[start:stop])
    assert_array_equal(pieces.coef_, whole.coef_)
    assert_array_equal(pieces.intercept_, whole.intercept_)


def test_rows_one_by_one_equal_one_fit_bit_for_bit():
    X, Y = data(8)
    whole, single = RLS(forgetting=0.9).fit(X, Y), RLS(forgetting=0.9)
    for x, y in zip(X, Y, strict=True):
        single.partial_fit(x[None], y[None])
    assert_array_equal(single.coef_, whole.coef_)
    assert_array_equal(np.tril(single.P_), np.tril(whole.P_))


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(30)))
def test_without_forgetting_the_order_of_rows_does_not_matter(order):
    X, Y = data()
    one, other = RLS(0.1).fit(X[:30], Y[:30]), RLS(0.1).fit(X[order], Y[order])
    assert_allclose(other.coef_, one.coef_, **EXACT)


def test_only_forgetting_adapts_to_a_change():
    X, _ = data(5)
    X = np.tile(X, (10, 1))
    before, after = np.random.default_rng(2).standard_normal((2, 5))
    Y = np.where(np.arange(len(X)) < len(X) // 2, X @ before, X @ after)
    # 0.9^600 = 1e-27 of the old rule is left; without forgetting it keeps half of the weight
    assert_allclose(RLS(forgetting=0.9).fit(X, Y).coef_[0], after, atol=1e-9)
    assert_allclose(RLS(1e-9).fit(X, Y).coef_[0], (before + after) / 2, atol=0.05)


def test_a_stuck_input_does_not_wind_up():
    X, Y = data()
    stuck = np.repeat(X[-1:], 20_000, axis=0)  # 0.98^20,000 = 1e-175: P would be 1e+170 where nothing is new
    readout = RLS(1e-2, forgetting=0.98).fit(X, Y).partial_fit(stuck, np.repeat(Y[-1:], len(stuck), axis=0))
    assert np.trace(readout.P_[0]) < 1e14
    X_back, rule = np.tile(X, (5, 1)), np.random.default_rng(3).standard_normal(7)
    readout = readout.partial_fit(X_back, np.stack([X_back @ rule] * 2, axis=1))
    # 0.98^600 = 5e-6 of the weight of the old rows is left, in directions that differ 1e2-fold in power
    assert_allclose(readout.coef_, [rule, rule], atol=5e-4)


def test_lost_precision_is_an_error_that_names_row_and_remedy():
    X, Y = data(4)
    X = 1e8 * np.hstack([X, X[:, :1]])  # exactly collinear, and Gram matrix over penalty 1e45
    readout = RLS(1e-25)
    with pytest.raises(
        FloatingPointError, match=r"lost its precision to rounding at row \d+: raise alpha \(now 1e-25\)"
    ):
        readout.fit(X, Y)
    assert not hasattr(readout, "coef_")


@pytest.mark.parametrize("n_rows", [1, 5])
@pytest.mark.parametrize("gaps", [True, False])
def test_a_failure_at_one_output_leaves_all_as_they_were(n_rows, gaps):
    X, Y = data(4)
    before, after = (RLS().fit(X, Y) for _ in range(2))
    X_new, Y_new = X[:n_rows].copy(), Y[:n_rows].copy()
    X_new[-1] = 1e200  # its square overflows
    Y_new[-1, 0] = np.nan if gaps else 0.0  # the first output does not see that row
    with pytest.raises(FloatingPointError, match=f"lost its precision to rounding at row {n_rows - 1}"):
        after.partial_fit(X_new, Y_new)
    for readout in (before, after):
        readout.partial_fit(X[:2], Y[:2])
    for name, value in vars(before).items():
        assert_array_equal(getattr(after, name), value)


# --- LMS and NLMS ---------------------------------------------------------------------------------------------------


def gradient_steps(X, Y, rate, normalised, with_intercept):
    """The rule, one row and output at a time."""
    W = np.zeros((Y.shape[1], X.shape[1] + 1))
    for x, y in zip(X, Y, strict=True):
        x = np.append(x, float(with_intercept))
        for j in range(len(W)):
            if not np.isnan(y[j]):
                W[j] += rate * (y[j] - W[j] @ x) * x / (x @ x if normalised else 1)
    return W[:, :-1], W[:, -1]


@pytest.mark.parametrize("with_intercept", [True, False])
@pytest.mark.parametrize("readout", [LMS(1e-3), NLMS(0.7)])
def test_gradient_readouts_equal_their_rule_row_by_row(readout, with_intercept):
    X, Y = data(5, 3)
    Y[np.random.default_rng(4).random(Y.shape) < 0.2] = np.nan
    readout = clone(readout).set_params(fit_intercept=with_intercept).fit(X, Y)
    W, c = gradient_steps(X, Y, readout.learning_rate, isinstance(readout, NLMS), with_intercept)
    assert_allclose(readout.coef_, W, rtol=1e-11, atol=1e-12)  # sums in another order, 120 contracting steps
    assert_allclose(readout.intercept_, c, rtol=1e-11, atol=1e-12)


def test_lms_settles_around_the_wiener_solution_with_the_known_misadjustment():
    rng = np.random.default_rng(5)
    n_rows, k, rate, noise = 20_000, 60, 5e-3, 0.3
    x = rng.standard_normal((n_rows, 3))
    X = np.stack([x[:, 0], 0.6 * x[:, 0] + 0.8 * x[:, 1], x[:, 2]], axis=1)
    Y = (X @ [1.0, -2.0, 0.5] + 0.7)[:, None] + noise * rng.standard_normal((n_rows, k))
    readout = LMS(rate).fit(X, Y)
    wiener = LinearRegression().fit(X, Y.mean(axis=1))
    deviation = readout.coef_ - wiener.coef_
    # each weight fluctuates by sqrt(rate / 2) noise = 0.015 about the solution: the mean of 60 by 0.002; 5 of those
    assert_allclose(deviation.mean(axis=0), 0, atol=5 * noise * np.sqrt(rate / 2 / k))
    assert_allclose(readout.intercept_.mean(), wiener.intercept_, atol=5 * noise * np.sqrt(rate / 2 / k))
    # variance rate noise² / 2 to first order in rate (2 % here); 180 values give it to 11 %, of which three
    assert_allclose((deviation**2).mean(), rate * noise**2 / 2, rtol=0.33)


def test_lms_on_a_constant_input_decays_geometrically():
    X, Y = np.full((9, 1), 2.0), np.full(9, 6.0)
    for rate in (0.1, 0.3, 0.45):  # the error shrinks by 1 - 4 rate per row; 0.45 < 2 / 4 alternates but converges
        readout = LMS(rate, fit_intercept=False).fit(X, Y)
        assert_allclose(readout.coef_, 3 * (1 - (1 - 4 * rate) ** 9), rtol=1e-13)


def test_lms_beyond_its_bound_is_an_error_that_names_row_and_bound():
    X, Y = data(3, 1)
    X = np.tile(X, (20, 1))
    Y = np.tile(Y, (20, 1))
    full = np.hstack([X, np.ones((len(X), 1))])
    bound = 2 / np.linalg.eigvalsh(full.T @ full / len(X)).max()
    readout = LMS(0.1 * bound).fit(X, Y)
    before = readout.coef_.copy()
    readout.set_params(learning_rate=3 * bound)
    with pytest.raises(FloatingPointError, match=rf"diverged at row \d+: .*2 / λ_max = {bound:.3g} for these X"):
        readout.partial_fit(X, Y)
    assert_array_equal(readout.coef_, before)
    with pytest.raises(FloatingPointError, match="diverged at row"):
        readout.fit(X, Y)
    assert_array_equal(readout.coef_, before)
    readout.set_params(learning_rate=0.1 * bound).partial_fit(X, Y)


def test_lms_notices_divergence_before_it_overflows():
    X, Y = np.full((60, 1), 1.0), np.ones(60)
    # the error grows by 2 per row, from 1: a million after 20 rows
    with pytest.raises(FloatingPointError, match=r"diverged at row (19|20|21):.*= 2 for these X, got 3"):
        LMS(3.0, fit_intercept=False).fit(X, Y)


@pytest.mark.parametrize("factor", [2.0**-30, 2.0**40])
def test_nlms_does_not_depend_on_the_scale_of_its_inputs(factor):
    X, Y = data()
    one = NLMS(0.5, fit_intercept=False).fit(X, Y)
    scaled = NLMS(0.5, fit_intercept=False).fit(factor * X, Y)
    assert_array_equal(scaled.predict(factor * X), one.predict(X))  # a power of two scales without rounding
    assert_allclose(NLMS(0.5, fit_intercept=False).fit(1e5 * X, Y).coef_, one.coef_ / 1e5, rtol=1e-10)


@pytest.mark.parametrize("with_intercept", [True, False])
def test_nlms_of_rate_one_removes_the_error_of_the_last_row(with_intercept):
    X, Y = data()
    readout = NLMS(1.0, fit_intercept=with_intercept).fit(X, Y)
    assert_allclose(readout.predict(X[-1:]), Y[-1:], rtol=1e-12)


def test_nlms_learns_nothing_from_a_row_of_zeros():
    readout = NLMS(fit_intercept=False).fit(*data())
    before = readout.coef_.copy()
    assert_array_equal(readout.partial_fit(np.zeros((1, 7)), [[1.0, 2.0]]).coef_, before)


# --- what all share -------------------------------------------------------------------------------------------------

every_readout = pytest.mark.parametrize("readout", [RLS(), RLS(forgetting=0.99), LMS(1e-4), NLMS()], ids=repr)


@every_readout
def test_fitting_twice_and_predicting_twice_give_the_same_bits(readout):
    X, Y = data()
    readout = clone(readout).fit(X, Y)
    first = readout.predict(X)
    assert_array_equal(readout.predict(X), first)
    assert_array_equal(readout.fit(X, Y).predict(X), first)
    assert_array_equal(clone(readout).fit(X, Y).predict(X), first)


@every_readout
def test_outputs_are_learnt_independently_of_each_other(readout):
    X, Y = data(k=3)
    whole = clone(readout).fit(X, Y)
    for j in range(3):
        alone = clone(readout).fit(X, Y[:, j])
        assert_array_equal(alone.coef_, whole.coef_[j : j + 1])
        assert_allclose(alone.predict(X), whole.predict(X)[:, j], rtol=1e-12)  # products in another order


@every_readout
def test_float32_and_lists_are_taken_and_left_alone(readout):
    X, Y = (array.astype(np.float32) for array in data())
    kept = X.copy(), Y.copy()
    single = clone(readout).fit(X, Y)
    assert_array_equal(clone(readout).fit(X.astype(float).tolist(), Y.astype(float).tolist()).coef_, single.coef_)
    assert_array_equal(X, kept[0])
    assert_array_equal(Y, kept[1])


@every_readout
def test_a_refused_call_leaves_what_was_learnt(readout):
    X, Y = data()
    readout = clone(readout).fit(X, Y)
    before = readout.predict(X)
    with pytest.raises(ValueError, match="columns as before"):
        readout.partial_fit(X[:, :3], Y)
    with pytest.raises(ValueError, match="columns as before"):
        readout.partial_fit(X, Y[:, 0])
    with pytest.raises(ValueError, match="X must be finite"):
        readout.fit(np.full((3, 7), np.nan), Y[:3])
    assert_array_equal(readout.predict(X), before)
    readout.partial_fit(X[:2], np.full((2, 2), np.nan))  # nothing to learn from, and no error
    assert_array_equal(readout.predict(X), before)


@every_readout
def test_bad_data_are_named(readout):
    X, Y = data()
    readout = clone(readout)
    for bad, message in (
        ((X[0], Y), "X must have 2 dimensions"),
        ((X[:0], Y[:0]), r"X must have shape \(T, n\), neither of them 0"),
        ((X, Y[:-1]), rf"Y must have shape \({T},\) or \({T}, n_outputs\) to match X"),
        ((X, np.where(Y > 0, np.inf, Y)), "Y must be finite or NaN, got infinity at row"),
        ((X, np.where([True, False], np.nan, Y)), "Y must hold a number in every column, got only NaN in column 0"),
    ):
        with pytest.raises(ValueError, match=message):
            readout.fit(*bad)
    with pytest.raises(TypeError, match="Y must hold real numbers"):
        readout.fit(X, ["a"] * T)
    with pytest.raises(AttributeError, match="is not fitted yet; call fit first"):
        readout.predict(X)
    with pytest.raises(ValueError, match=r"X must have shape \(T, 7\) as in fit, got \(4, 3\)"):
        readout.fit(X, Y).predict(X[:4, :3])


@pytest.mark.parametrize(
    ("readout", "error", "message"),
    [
        (RLS(0.0), ValueError, "alpha must be above 0, got 0"),
        (RLS(-1.0), ValueError, "alpha must be above 0, got -1"),
        (RLS(forgetting=0.0), ValueError, r"forgetting must lie in \(0, 1\], got 0"),
        (RLS(forgetting=1.1), ValueError, r"forgetting must lie in \(0, 1\], got 1.1"),
        (RLS(forgetting="0.9"), TypeError, "forgetting must be a number"),
        (RLS(fit_intercept="no"), TypeError, "fit_intercept must be True or False"),
        (LMS(0.0), ValueError, "learning_rate must be above 0, got 0"),
        (LMS(np.nan), ValueError, "learning_rate must be finite"),
        (NLMS(0.0), ValueError, r"learning_rate of NLMS must lie in \(0, 2\), got 0"),
        (NLMS(2.0), ValueError, r"learning_rate of NLMS must lie in \(0, 2\), got 2"),
    ],
)
def test_bad_parameters_are_named_and_nothing_is_learnt(readout, error, message):
    with pytest.raises(error, match=message):
        readout.fit(*data())
    assert not hasattr(readout, "coef_")


def test_scikit_learn_searches_and_scores():
    from sklearn.model_selection import GridSearchCV, cross_val_score

    X, Y = data(k=1)
    search = GridSearchCV(RLS(), {"alpha": [1e-3, 1e3], "forgetting": [1.0, 0.5]}).fit(X, Y[:, 0])
    assert search.best_params_ == {"alpha": 1e-3, "forgetting": 1.0}
    theirs = cross_val_score(TheirRidge(alpha=0.1), X, Y[:, 0])
    assert_allclose(cross_val_score(RLS(0.1), X, Y[:, 0]), theirs, rtol=1e-9)


@every_readout
def test_saved_and_loaded_readouts_go_on_learning_with_the_same_bits(readout, tmp_path):
    X, Y = data()
    readout = clone(readout).fit(X[:50], Y[:50])
    penstock.save(readout, tmp_path / "readout")
    loaded = penstock.load(tmp_path / "readout")
    assert_array_equal(loaded.partial_fit(X[50:], Y[50:]).coef_, readout.partial_fit(X[50:], Y[50:]).coef_)


@pytest.mark.parametrize(
    ("readout", "name", "shape"),
    [
        *((RLS(), name, shape) for name, shape in [("P_", (1, 2, 2)), ("x_mean_", (1, 1)), ("totals_", (1, 1))]),
        *((RLS(), name, (1,)) for name in ("intercept_", "y_mean_", "group_")),
        *((LMS(1e-4), name, (0,)) for name in ("intercept_", "largest_")),
        (NLMS(), "intercept_", (0,)),
    ],
)
def test_what_was_learnt_in_wrong_shapes_never_reaches_a_kernel(readout, name, shape, tmp_path):
    """A file may hold anything, and compiled loops would write beyond the end of it."""
    X, Y = data()
    readout = clone(readout).fit(X, Y)
    setattr(readout, name, np.zeros(shape))
    penstock.save(readout, tmp_path / "readout")
    with pytest.raises(ValueError, match=f"{name} must have shape"):
        penstock.load(tmp_path / "readout").partial_fit(X, Y)


def test_a_fitted_one_is_a_readout():
    X, Y = data()
    readout = RLS().fit(X, Y)
    assert_array_equal(readout.readout_(X), readout.predict(X))
    assert repr(RLS(0.1, forgetting=0.9)) == "RLS(alpha=0.1, forgetting=0.9)"
    assert repr(LMS(0.1)) == "LMS(0.1)"
