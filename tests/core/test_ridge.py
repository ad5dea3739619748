"""`Ridge` against scikit-learn, dense formulas and brute force."""

import tracemalloc

import numpy as np
import pytest
import sklearn.linear_model
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import penstock
from penstock import Ridge, moments, ridge

ALPHAS = np.logspace(-3, 3, 7)
LEARNED = ("coef_", "intercept_", "alpha_", "alphas_", "scores_")

rng = np.random.default_rng(0)
X = rng.standard_normal((90, 6)) @ rng.standard_normal((6, 6)) + 3.0
Y = X[:, :2] - X[:, 2:4] + 2.0 * rng.standard_normal((90, 2)) - 1.0
WEIGHT = rng.uniform(0.1, 2.0, 90)


def same(one, two, **tolerance):
    for name in LEARNED:
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), **tolerance, err_msg=name)


def same_bits(one, two):
    for name in LEARNED:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)


def cut(*arrays, sizes):
    """A function that yields the rows in blocks of these sizes, the last one again and again."""

    def blocks():
        start, left = 0, list(sizes)
        while start < len(arrays[0]):
            size = left.pop(0) if len(left) > 1 else max(1, left[0])
            yield tuple(None if array is None else array[start : start + size] for array in arrays)
            start += size

    return blocks


@pytest.fixture
def small_chunks(monkeypatch):
    """Sums over many chunks of seven rows, as if there were millions of rows."""
    monkeypatch.setattr(moments, "LEAST_ROWS", 7)
    monkeypatch.setattr(moments, "CHUNK", 0)


# The solution


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("alpha", [0.0, 1e-6, 0.1, 100.0])
def test_it_is_scikit_learns_ridge(alpha, weight, small_chunks):
    ours = Ridge(alpha).fit(X, Y, weight)
    theirs = sklearn.linear_model.Ridge(alpha=alpha, solver="svd").fit(X, Y, weight)
    # 1e-10: the Gram matrix squares a condition number of about 1e2
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-10)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-10)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-10, atol=1e-11)  # of outputs of size 5


def test_it_solves_the_normal_equations_with_a_free_intercept():
    ones = np.column_stack([X, np.ones(len(X))])
    penalty = 0.7 * np.diag([1.0] * 6 + [0.0])
    solution = np.linalg.solve(ones.T @ (WEIGHT[:, None] * ones) + penalty, ones.T @ (WEIGHT[:, None] * Y))
    model = Ridge(0.7).fit(X, Y, WEIGHT)
    np.testing.assert_allclose(np.column_stack([model.coef_, model.intercept_]), solution.T, rtol=1e-10)


def test_one_penalty_per_output_is_that_of_each_output_alone():
    Z = np.column_stack([Y, rng.standard_normal(90)])  # the last one has nothing to do with X
    model = Ridge(ALPHAS).fit(X, Z)
    assert len(set(model.alpha_)) > 1
    for j in range(3):
        alone = Ridge(ALPHAS).fit(X, Z[:, j])
        np.testing.assert_array_equal(alone.alpha_, model.alpha_[j : j + 1])
        np.testing.assert_allclose(alone.coef_[0], model.coef_[j], rtol=1e-12)
        np.testing.assert_allclose(Ridge(model.alpha_[j]).fit(X, Z[:, j]).coef_[0], model.coef_[j], rtol=1e-12)


def test_without_penalty_directions_of_rounding_are_left_out():
    twice = np.hstack([X, X])
    for alpha in (0.0, 1e-300):
        model = Ridge(alpha).fit(twice, Y)
        expected = sklearn.linear_model.LinearRegression().fit(X, Y)
        np.testing.assert_allclose(model.predict(twice), expected.predict(X), rtol=1e-10, atol=1e-11)
        np.testing.assert_allclose(model.coef_[:, :6], model.coef_[:, 6:], rtol=1e-9)  # the shortest solution


def test_fewer_rows_than_features_are_fine():
    wide, y = rng.standard_normal((10, 40)), rng.standard_normal(10)
    expected = sklearn.linear_model.Ridge(alpha=0.5, solver="svd").fit(wide, y)
    np.testing.assert_allclose(Ridge(0.5).fit(wide, y).coef_[0], expected.coef_, rtol=1e-10)
    theirs = sklearn.linear_model.RidgeCV(ALPHAS, store_cv_results=True).fit(wide, y)
    ours = Ridge(ALPHAS, leave_one_out=True).fit(wide, y)
    # 1e-9: 1 - leverage is down to 1e-5, and keeps eleven digits
    np.testing.assert_allclose(ours.scores_[:, 0], theirs.cv_results_.mean(axis=0), rtol=1e-9)
    for exact in (False, True):
        model = Ridge(leave_one_out=exact).fit(wide, y)
        assert np.isfinite(model.coef_).all() and np.isfinite(model.scores_[:, 0].min())


# The choice of alpha


def hat(alpha, weight):
    """The matrix that takes sqrt(weight) y to sqrt(weight) times its prediction."""
    root = np.sqrt(weight)
    design = np.column_stack([X, np.ones(len(X))]) * root[:, None]
    return design @ np.linalg.solve(design.T @ design + alpha * np.diag([1.0] * 6 + [0.0]), design.T), root


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_gcv_is_the_textbook_formula(weight, small_chunks):
    model = Ridge(ALPHAS).fit(X, Y, weight)
    s = np.ones(90) if weight is None else weight
    for alpha, score in zip(ALPHAS, model.scores_, strict=True):
        H, root = hat(alpha, s)
        residual = root[:, None] * Y - H @ (root[:, None] * Y)
        expected = (residual**2).sum(axis=0) / s.sum() / (np.trace(np.eye(90) - H) / 90) ** 2
        np.testing.assert_allclose(score, expected, rtol=1e-10)
    np.testing.assert_array_equal(model.alpha_, ALPHAS[model.scores_.argmin(axis=0)])


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_leave_one_out_is_what_refits_without_each_row_give(weight, small_chunks):
    model = Ridge(ALPHAS, leave_one_out=True).fit(X, Y, weight)
    s = np.ones(90) if weight is None else weight
    for i in (0, 5):
        errors = np.empty((90, 2))
        for t in range(90):
            rest = np.arange(90) != t
            refit = sklearn.linear_model.Ridge(ALPHAS[i], solver="svd").fit(X[rest], Y[rest], s[rest])
            errors[t] = refit.predict(X[t : t + 1])[0] - Y[t]
        np.testing.assert_allclose(model.scores_[i], (s[:, None] * errors**2).sum(axis=0) / s.sum(), rtol=1e-10)


def test_leave_one_out_chooses_as_scikit_learn_does():
    model = Ridge(ALPHAS, leave_one_out=True).fit(X, Y)
    theirs = sklearn.linear_model.RidgeCV(ALPHAS, alpha_per_target=True, store_cv_results=True).fit(X, Y)
    np.testing.assert_allclose(model.scores_, theirs.cv_results_.mean(axis=0).T, rtol=1e-10)
    np.testing.assert_array_equal(model.alpha_, theirs.alpha_)
    np.testing.assert_allclose(model.coef_, theirs.coef_, rtol=1e-10)


def test_many_outputs_are_scored_as_each_alone():
    Z = X @ rng.standard_normal((6, 40)) + rng.standard_normal((90, 40))  # more outputs than features: alphas in turns
    model = Ridge(ALPHAS, leave_one_out=True).fit(X, Z)
    for j in (0, 39):
        np.testing.assert_allclose(
            Ridge(ALPHAS, leave_one_out=True).fit(X, Z[:, j]).scores_[:, 0], model.scores_[:, j], rtol=1e-12
        )


def test_scores_hold_on_features_as_ill_conditioned_as_a_reservoirs():
    t = np.arange(400.0)
    waves = np.sin(np.outer(t, 0.05 + 0.002 * np.arange(60)))  # singular values over more than 7 decades
    y = np.sin(0.07 * t) ** 3
    centred, middle = waves - waves.mean(axis=0), y - y.mean()
    U, s, _ = np.linalg.svd(centred, full_matrices=False)
    alphas = s[0] ** 2 * 10.0 ** np.arange(-13, 1)
    for exact in (False, True):
        scores = Ridge(alphas, leave_one_out=exact).fit(waves, y).scores_[:, 0]
        for alpha, score in zip(alphas, scores, strict=True):
            share = s**2 / (s**2 + alpha)
            residual = middle - U @ (share * (U.T @ middle))
            leverage = 1 / 400 + U**2 @ share if exact else (1 + share.sum()) / 400
            # 2 %: at the least alpha, 1e-13, the Gram matrix has lost all but its last three digits
            assert score == pytest.approx(np.mean((residual / (1 - leverage)) ** 2), rel=2e-2 if alpha < 1e-9 else 1e-5)


def test_the_default_path_does_not_know_the_scale_of_the_features():
    one = Ridge().fit(X, Y)
    largest = np.linalg.norm(X - X.mean(axis=0), 2) ** 2
    assert one.alphas_.min() == pytest.approx(1e-12 * largest) and one.alphas_.max() == pytest.approx(1e2 * largest)
    for scale in (2.0**-30, 2.0**30):  # powers of two round to the same bits
        other = Ridge().fit(scale * X, Y)
        np.testing.assert_array_equal(other.predict(scale * X), one.predict(X))
        np.testing.assert_array_equal(other.alphas_, scale**2 * one.alphas_)
    np.testing.assert_allclose(Ridge().fit(1e-7 * X, 1e5 * Y).predict(1e-7 * X), 1e5 * one.predict(X), rtol=1e-10)


def test_a_perfect_fit_is_scored_by_its_rounding():
    exact = X @ rng.standard_normal((6, 20))
    model = Ridge().fit(X, exact)
    assert (model.scores_ >= np.finfo(float).eps * exact.var(axis=0)).all()
    np.testing.assert_allclose(model.predict(X), exact, atol=1e-5)  # of size 5: the penalty is below 1e-8 of it


def test_of_equal_scores_the_largest_alpha_wins():
    varied = np.column_stack([Y[:, 0], np.full(90, 0.1)])
    for exact in (False, True):
        model = Ridge([1e-3, 10.0, 1.0], leave_one_out=exact).fit(X, varied)
        assert model.alpha_[1] == 10.0
        np.testing.assert_array_equal(model.scores_[:, 1], 0.0)


def test_a_row_that_fits_itself_has_no_leave_one_out_error():
    only = np.column_stack([X, np.arange(90) == 4])
    for weight in (None, WEIGHT):
        model = Ridge([0.0, 1.0], leave_one_out=True).fit(only, Y, weight)
        assert np.isinf(model.scores_[0]).all() and np.isfinite(model.scores_[1]).all()
    assert np.isinf(Ridge([0.0, 1.0]).fit(X[:7], Y[:7]).scores_[0]).all()  # 7 parameters, 7 rows
    assert Ridge([0.0, 0.0]).fit(X[:5], Y[:5]).alpha_.tolist() == [0.0, 0.0]


def test_one_alpha_needs_no_second_pass():
    calls = []

    def blocks():
        calls.append(1)
        return iter([(X, Y)])

    scores = Ridge(0.3, leave_one_out=True).fit_blocks(blocks).scores_
    assert len(calls) == 1
    np.testing.assert_array_equal(scores, Ridge(0.3).fit(X, Y).scores_)
    Ridge(leave_one_out=True).fit_blocks(blocks)
    assert len(calls) == 3


# Weights, gaps, blocks


def test_integer_weights_are_copies_of_rows():
    copies = rng.integers(0, 4, 90)
    weighted, repeated = Ridge(0.5).fit(X, Y, copies), Ridge(0.5).fit(X.repeat(copies, 0), Y.repeat(copies, 0))
    # all are of order one, but some are differences in which relative errors mean nothing
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=0, atol=1e-11)
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=0, atol=1e-11)


@pytest.mark.parametrize("exact", [False, True])
def test_rows_of_weight_zero_do_not_count(exact):
    weight = np.where(np.arange(90) % 3 == 0, 0.0, WEIGHT)
    model = Ridge(leave_one_out=exact).fit(X, Y, weight)
    same(model, Ridge(leave_one_out=exact).fit(X[weight > 0], Y[weight > 0], weight[weight > 0]), rtol=1e-12)


@pytest.mark.parametrize("exact", [False, True])
def test_only_ratios_of_weights_matter_to_the_choice(exact):
    one, other = (Ridge(leave_one_out=exact).fit(X, Y, scale * WEIGHT) for scale in (1.0, 1e3))
    np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-10)
    np.testing.assert_allclose(one.scores_, other.scores_, rtol=1e-10)
    np.testing.assert_allclose(1e3 * one.alpha_, other.alpha_, rtol=1e-10)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("exact", [False, True])
def test_missing_targets_are_rows_missing_from_that_output(exact, weight, small_chunks):
    Z = np.column_stack([Y, Y @ [1.0, 2.0], Y @ [2.0, 1.0], Y[:, 0] ** 2])
    Z[:20, 0] = Z[70:, 1] = Z[70:, 2] = np.nan  # outputs 1 and 2 have the same gap
    Z[rng.random(90) < 0.3, 3] = np.nan
    model = Ridge(ALPHAS, leave_one_out=exact).fit(X, Z, weight)
    for j in range(5):
        there = ~np.isnan(Z[:, j])
        own = None if weight is None else weight[there]
        alone = Ridge(ALPHAS, leave_one_out=exact).fit(X[there], Z[there, j], own)
        np.testing.assert_allclose(model.coef_[j], alone.coef_[0], rtol=1e-10)
        np.testing.assert_allclose(model.intercept_[j], alone.intercept_[0], rtol=1e-10)
        np.testing.assert_allclose(model.scores_[:, j], alone.scores_[:, 0], rtol=1e-10)
        assert model.alpha_[j] == alone.alpha_[0]


@settings(deadline=None, max_examples=25)
@given(sizes=st.lists(st.integers(0, 60), min_size=1, max_size=6), exact=st.booleans(), gaps=st.booleans())
def test_blocks_of_any_sizes_give_the_bits_of_the_whole(sizes, exact, gaps):
    Z = np.where(gaps & (np.arange(90) % 7 == 0)[:, None] & [True, False], np.nan, Y)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moments, "LEAST_ROWS", 16)
        patch.setattr(moments, "CHUNK", 0)
        whole = Ridge(leave_one_out=exact).fit(X, Z, WEIGHT)
        same_bits(whole, Ridge(leave_one_out=exact).fit_blocks(cut(X, Z, WEIGHT, sizes=sizes)))


def test_the_size_of_the_chunks_does_not_matter(monkeypatch):
    whole = Ridge(leave_one_out=True).fit(X, Y, WEIGHT)
    monkeypatch.setattr(moments, "CHUNK", 0)
    for rows in (1, 7, 64):
        monkeypatch.setattr(moments, "LEAST_ROWS", rows)
        same(Ridge(leave_one_out=True).fit(X, Y, WEIGHT), whole, rtol=1e-9)


def test_permuted_rows_give_the_same(small_chunks):
    order = rng.permutation(90)
    same(Ridge(leave_one_out=True).fit(X[order], Y[order]), Ridge(leave_one_out=True).fit(X, Y), rtol=1e-9)


@pytest.mark.parametrize("exact", [False, True])
def test_offsets_of_features_and_targets_do_not_matter(exact, small_chunks):
    offset = 2.0**20 * np.arange(1, 7)  # of at most 23 bits, so that 30 are left to the deviations
    coarse = np.round(X * 2.0**25) / 2.0**25  # exact beside the offset
    one = Ridge(leave_one_out=exact).fit(coarse, Y)
    other = Ridge(leave_one_out=exact).fit(coarse + offset, Y + 1e3)
    # sums of uncentred squares would be wrong by 2^46 2^-52, several percent; deviations keep 30 bits
    np.testing.assert_allclose(other.coef_, one.coef_, rtol=1e-8)
    np.testing.assert_allclose(other.scores_, one.scores_, rtol=1e-8)
    np.testing.assert_allclose(other.predict(coarse + offset), one.predict(coarse) + 1e3, rtol=1e-9)


def test_float32_rows_are_summed_in_float64():
    single = X.astype(np.float32)
    same_bits(Ridge().fit(single, Y), Ridge().fit(single.astype(np.float64), Y))
    assert Ridge().fit(single, Y.astype(np.float32)).coef_.dtype == np.float64
    assert Ridge().fit(single, Y).predict(single).dtype == np.float64


def test_memory_does_not_grow_with_the_rows():
    def peak(n_rows):
        def blocks():
            rng = np.random.default_rng(0)
            for _ in range(n_rows // 100):
                x = rng.standard_normal((100, 60))
                yield x, x[:, :3] + rng.standard_normal((100, 3)), None

        tracemalloc.start()
        Ridge(leave_one_out=True).fit_blocks(blocks)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10_000)  # what is loaded on first use
    few, many = peak(10_000), peak(40_000)  # 40 000 rows are 19 MB, a chunk of 4161 rows 2 MB
    assert many < 1.05 * few and many < 14e6


def test_bits_do_not_depend_on_the_threads():
    x = np.random.default_rng(0).standard_normal((3000, 300))
    y = x[:, :5] ** 2 + x[:, 5:10]
    models, outputs = [], []
    for threads in (1, 2):
        with threadpool_limits(threads):
            models.append(Ridge(leave_one_out=True).fit(x, y))
            outputs.append(models[-1].predict(x))
    same_bits(*models)
    np.testing.assert_array_equal(*outputs)


def test_fitting_twice_gives_the_same_bits():
    model = Ridge(leave_one_out=True).fit(X, Y)
    first = {name: getattr(model, name) for name in LEARNED}
    model.fit(X, Y)
    for name in LEARNED:
        np.testing.assert_array_equal(getattr(model, name), first[name])


def test_data_are_not_changed():
    x, y, s = X.copy(), Y.copy(), WEIGHT.copy()
    y[3, 1] = np.nan
    before = y.copy()
    Ridge(leave_one_out=True).fit(x, y, s)
    for now, then in ((x, X), (y, before), (s, WEIGHT)):
        np.testing.assert_array_equal(now, then)


# Constants


def test_a_constant_feature_gets_no_weight(small_chunks):
    for constant in (0.0, 0.1, 1e6 / 3):
        model = Ridge().fit(np.column_stack([X, np.full(90, constant)]), Y)
        np.testing.assert_allclose(model.coef_[:, 6], 0.0, atol=1e-15)  # the others are of size 1
        np.testing.assert_allclose(model.coef_[:, :6], Ridge().fit(X, Y).coef_, rtol=1e-9)
    for weight in (np.ones(90), WEIGHT):  # sums of 0.1 are rounded, and the mean so that the rest is not 0
        flat = Ridge().fit(np.full((90, 2), 0.1), Y, weight)
        np.testing.assert_array_equal(flat.coef_, 0.0)
        mean = np.average(Y, axis=0, weights=weight)
        np.testing.assert_allclose(flat.predict(np.full((1, 2), 7.0))[0], mean, rtol=1e-12)


def test_a_constant_output_is_its_intercept(small_chunks):
    for weight in (None, WEIGHT):
        model = Ridge().fit(X, np.column_stack([Y, np.full(90, 0.1)]), weight)
        np.testing.assert_array_equal(model.predict(X)[:, 2], 0.1)
        np.testing.assert_array_equal(model.coef_[2], 0.0)


def test_constant_targets_alone_are_refused():
    with pytest.raises(ValueError, match="Y must vary in at least one output, got constant targets only"):
        Ridge().fit(X, np.full((90, 2), [0.1, 3.0]))


# Predicting, scoring, keeping


def test_flat_targets_give_flat_predictions():
    model = Ridge().fit(X, Y[:, 0])
    assert model.predict(X).shape == (90,) and model.coef_.shape == (1, 6) and model.intercept_.shape == (1,)
    column = Ridge().fit(X, Y[:, :1])
    assert column.predict(X).shape == (90, 1)
    same_bits(model, column)
    same_bits(model, Ridge().fit(X.tolist(), Y[:, 0].tolist()))


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_score_is_r2_averaged_over_outputs(weight):
    model = Ridge(50.0).fit(X, Y)
    assert model.score(X, Y, weight) == pytest.approx(r2_score(Y, model.predict(X), sample_weight=weight), rel=1e-12)
    gaps = Y.copy()
    gaps[:30, 0] = np.nan
    s = np.ones(90) if weight is None else weight
    parts = [r2_score(y[~np.isnan(y)], p[~np.isnan(y)], sample_weight=s[~np.isnan(y)])
             for y, p in zip(gaps.T, model.predict(X).T, strict=True)]  # fmt: skip
    assert model.score(X, gaps, weight) == pytest.approx(np.mean(parts), rel=1e-12)
    flat = Ridge().fit(X, Y[:, 0])
    assert flat.score(X, Y[:, 0]) == pytest.approx(penstock.metrics.r2(Y[:, 0], flat.predict(X)), rel=1e-12)


def test_the_readout_predicts_the_same():
    model = Ridge().fit(X, Y)
    np.testing.assert_array_equal(model.readout_(X), model.predict(X))
    np.testing.assert_allclose(Ridge(0.1).fit(X, Y).readout_.W_out, ridge(X, Y, 0.1).W_out, rtol=1e-10)


def test_it_is_saved_and_loaded(tmp_path):
    model = Ridge(ALPHAS, leave_one_out=True).fit(X, Y[:, 0])
    penstock.save(model, tmp_path / "readout")
    again = penstock.load(tmp_path / "readout")
    same_bits(model, again)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_a_failing_fit_leaves_what_was_learnt():
    model = Ridge().fit(X, Y)
    before = model.predict(X)
    bad = Y.copy()
    bad[80, 1] = np.inf
    with pytest.raises(ValueError, match="Y must be finite"):
        model.fit(X[:, :3], bad)
    model.set_params(alpha=-1.0)
    with pytest.raises(ValueError, match="alpha must be at least 0"):
        model.fit(X[:, :3], Y)
    np.testing.assert_array_equal(model.predict(X), before)


# scikit-learn's tools


def test_tools_of_scikit_learn_take_it():
    model = Ridge(ALPHAS, leave_one_out=True).fit(X, Y)
    copy = clone(model)
    np.testing.assert_array_equal(copy.alpha, ALPHAS)
    assert copy.leave_one_out and copy.alpha is not ALPHAS
    assert not hasattr(copy, "coef_") and is_regressor(copy) and not is_classifier(copy)
    folds = cross_val_score(Ridge(1.0), X, Y, cv=3)
    np.testing.assert_allclose(folds, cross_val_score(sklearn.linear_model.Ridge(1.0), X, Y, cv=3), rtol=1e-10)
    search = {"ridge__alpha": [1e-2, 10.0, 1e4]}
    ours = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), search, cv=3).fit(X, Y)
    theirs = GridSearchCV(make_pipeline(StandardScaler(), sklearn.linear_model.Ridge()), search, cv=3).fit(X, Y)
    assert ours.best_params_ == theirs.best_params_
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-10)


# Bad input


@pytest.mark.parametrize(
    ("alpha", "message"),
    [
        (-1.0, r"alpha must be at least 0, got -1\.0"),
        ([1.0, -2.0], r"alpha must be at least 0, got -2\.0"),
        ([], "alpha must hold at least one penalty"),
        (np.nan, "alpha must be finite, got nan"),
        ([1.0, np.inf], "alpha must be finite, got inf"),
        ([[1.0]], "alpha must have 0 or 1 dimensions"),
    ],
)
def test_bad_penalties_are_named(alpha, message):
    with pytest.raises(ValueError, match=message):
        Ridge(alpha).fit(X, Y)


def changed(array, where, value):
    array = array.copy()
    array[where] = value
    return array


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((changed(X, (80, 2), np.nan), Y), r"X must be finite, got nan at index \(80, 2\)"),
        ((X, changed(Y, (70, 1), -np.inf)), r"Y must be finite, got -inf at index \(70, 1\)"),
        ((X, changed(Y, np.s_[:, 1], np.nan)), r"Y must hold 2 values or more .* got 0 in output 1"),
        ((X, changed(Y, np.s_[1:, 1], np.nan)), r"got 1 in output 1"),
        ((X, np.full(90, np.nan)), "got 0 in output 0"),
        ((X[:1], Y[:1]), "X must have 2 rows or more, got 1"),
        ((X[:0], Y[:0]), "X must have 2 rows or more, got 0"),
        ((X[:, :0], Y), r"X must have shape \(T, n_features\), got \(90, 0\)"),
        ((X[:, 0], Y), "X must have 2 dimensions"),
        ((X, Y[:-1]), r"Y must have shape \(90,\) or \(90, n_outputs\) to match X, got \(89, 2\)"),
        ((X, Y[:, :0]), r"got \(90, 0\)"),
        ((X, Y[None]), r"got \(1, 90, 2\)"),
        ((X, None), "Y must be given, got None"),
        ((X, Y, WEIGHT[:-1]), r"sample_weight must have shape \(90,\) to match X, got \(89,\)"),
        ((X, Y, -WEIGHT), "sample_weight must be at least 0"),
        ((X, Y, changed(WEIGHT, 5, np.nan)), "sample_weight must be finite, got nan"),
        ((X, Y, np.zeros(90)), "a sample_weight that is zero, got 0 in output 0"),
        ((1e200 * X, Y), "numbers whose squares are finite"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_bad_data_are_named(args, message, small_chunks):
    model = Ridge()
    with pytest.raises(ValueError, match=message):
        model.fit(*args)
    assert not hasattr(model, "coef_")


def test_bad_blocks_are_named(monkeypatch):
    with pytest.raises(TypeError, match="blocks must be a function that returns an iterator"):
        Ridge().fit_blocks([(X, Y, None)])
    with pytest.raises(TypeError, match=r"blocks\(\) must yield tuples \(X, Y, weights\), got ndarray"):
        Ridge().fit_blocks(lambda: [X, Y])
    with pytest.raises(ValueError, match="blocks must all have 6 features and 2 outputs as the first, got 5 and 2"):
        Ridge().fit_blocks(lambda: [(X, Y), (X[:, :5], Y)])
    with pytest.raises(ValueError, match=r"X must be finite, got nan at index \(99, 1\)"):
        Ridge().fit_blocks(lambda: [(X, Y), (changed(X, (9, 1), np.nan), Y)])
    with pytest.raises(TypeError, match="Y must hold real numbers"):
        Ridge().fit(X, ["a"] * 90)
    once = iter([(X, Y)])
    with pytest.raises(ValueError, match=r"blocks\(\) must yield the same rows whenever it is called, got 90, then 0"):
        Ridge(leave_one_out=True).fit_blocks(lambda: once)
    monkeypatch.setattr(moments, "PATTERN_BYTES", 0)
    many = np.where(rng.random((90, 30)) < 0.5, np.nan, 1.0) * X[:, :1]
    with pytest.raises(ValueError, match="Y may be NaN in at most 64 different sets of outputs with 6 features"):
        Ridge().fit(X, many)


def test_bad_predictions_are_named():
    with pytest.raises(NotFittedError, match="this Ridge is not fitted yet; call fit first"):
        Ridge().predict(X)
    with pytest.raises(NotFittedError):
        Ridge().readout_  # noqa: B018
    model = Ridge().fit(X, Y)
    with pytest.raises(ValueError, match=r"X must have shape \(T, 6\) as in fit, got \(90, 5\)"):
        model.predict(X[:, :5])
    with pytest.raises(ValueError, match="Y must be 2 outputs as in fit"):
        model.score(X, Y[:, :1])
    with pytest.raises(ValueError, match="Y must vary in every output to be scored, got output 1 constant"):
        model.score(X, changed(Y, np.s_[:, 1], 0.1))
    with pytest.raises(ValueError, match="output 0 constant or missing"):
        model.score(X, changed(Y, np.s_[:, 0], np.nan))
