"""scikit-learn's own checks of estimators, and its tools on all that have `fit` and `predict`."""

import warnings

import joblib
import numpy as np
import pytest
import sklearn.linear_model
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_is_fitted

import penstock
from penstock import LMS, NLMS, RLS, EligibilityLMS, Ridge
from penstock.reservoirs import ESN, Classifier, Drawn, Forecaster, Regressor, last_state

VERSION = tuple(map(int, sklearn.__version__.split(".")[:2]))

# Without recurrence the order of the rows cannot matter, and most of scikit-learn's checks hold for series as well.
MEMORYLESS = Drawn(ESN.random, n_units=30, spectral_radius=0.0, input_scaling=0.2, bias_scaling=0.3, seed=0)

WORDING = {
    "check_complex_data": "our error is a TypeError, and in words of our own",
    "check_estimators_empty_data_messages": "our own words",
    "check_estimators_nan_inf": "our own words",
    "check_fit2d_predict1d": "our own words",
    "check_n_features_in_after_fitting": "our own words",
    "check_requires_y_none": "our own words",
}
OBJECTS = {"check_dtype_object": "an array of objects is an error here: it comes from series of unequal length"}
ROWS = {**WORDING, **OBJECTS}
SERIES = {
    **ROWS,
    "check_fit2d_1sample": "our own words",
    "check_fit1d": "a 1-D array is a series of one channel",
    "check_parameters_default_constructible": "None becomes the default system, which can then be searched over",
}
NO_WEIGHTS = {
    f"check_{name}": "the readout takes no weights"
    for name in (
        "sample_weights_pandas_series sample_weights_not_an_array sample_weights_list all_zero_sample_weights_error "
        "sample_weights_shape sample_weights_not_overwritten sample_weight_equivalence_on_dense_data"
    ).split()
}
ORDER = {
    "check_methods_sample_order_invariance": "a forecast depends on the values before it",
    "check_methods_subset_invariance": "a forecast depends on the values before it",
}
CASES = {
    "Ridge": (
        Ridge(),
        {
            **ROWS,
            "check_fit2d_1sample": "our own words",
            "check_sample_weight_equivalence_on_dense_data": "targets are called Y, not y",
        },
    ),
    "RLS": (RLS(), ROWS),
    "LMS": (
        LMS(1e-5),
        {**ROWS, "check_regressors_train": "a rate that suits all the checks is too small for this one"},
    ),
    "NLMS": (NLMS(), ROWS),
    "EligibilityLMS": (
        EligibilityLMS(1e-5, 0.5),
        {**ROWS, "check_regressors_train": "a rate that suits all the checks is too small for this one"},
    ),
    "Regressor": (
        Regressor(MEMORYLESS, washout=0),
        {**SERIES, "check_sample_weight_equivalence_on_dense_data": "without a row the rest is another series"},
    ),
    "Regressor online": (Regressor(MEMORYLESS, RLS(), washout=0), {**SERIES, **NO_WEIGHTS}),
    "Forecaster": (Forecaster(MEMORYLESS, washout=0), {**SERIES, **ORDER}),
    "Forecaster online": (Forecaster(MEMORYLESS, RLS(), washout=0), {**SERIES, **ORDER}),
    "Classifier": (
        Classifier(MEMORYLESS, pool=None),
        {**SERIES, "check_supervised_y_2d": "labels of shape (n, 1) are refused"},
    ),
}


@pytest.mark.skipif(VERSION < (1, 6), reason="checks that are expected to fail can be named since scikit-learn 1.6")
@pytest.mark.parametrize("name", CASES)
def test_checks_of_scikit_learn_pass_but_for_those_that_cannot(name):
    estimator, cannot = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checks = estimator_checks.check_estimator(estimator, expected_failed_checks=cannot, on_skip=None, on_fail=None)
    assert len(checks) > 35
    assert not [f"{check['check_name']}: {check['exception']!r}" for check in checks if check["status"] == "failed"]
    if VERSION >= (1, 9):  # older ones check less
        held = {check["check_name"] for check in checks if check["status"] == "passed"}  # some need pandas
        assert sorted(held & set(cannot)) == []


# --- what the checks leave out ----------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
U = RNG.standard_normal((120, 2))
Y = np.roll(U[:, 0], 1)
WAVES = [U[i : i + 12] for i in range(0, 108, 9)]
KINDS = np.array(["a", "b", "c"])[np.arange(12) % 3]
SMALL = Drawn(ESN.random, n_units=8, seed=0)
FITS = {
    "Ridge": lambda: Ridge().fit(U, Y),
    "RLS": lambda: RLS().fit(U, Y),
    "LMS": lambda: LMS(0.01).fit(U, Y),
    "NLMS": lambda: NLMS().fit(U, Y),
    "EligibilityLMS": lambda: EligibilityLMS(0.01, 2.0).fit(U, Y, gate=np.arange(120) % 2),
    "Regressor": lambda: Regressor(SMALL, washout=5).fit(U, Y),
    "Regressor online": lambda: Regressor(SMALL, RLS(), washout=3).fit(U, Y),
    "Regressor Lasso": lambda: Regressor(SMALL, sklearn.linear_model.Lasso(1e-3), washout=5).fit(U, Y),
    "Regressor fed back": lambda: Regressor(SMALL, feedback_scaling=0.5, washout=5).fit(U, Y),
    "Forecaster": lambda: Forecaster(SMALL, washout=5).fit(U),
    "Forecaster online": lambda: Forecaster(SMALL, RLS(), washout=3).fit(U),
    "Forecaster Lasso": lambda: Forecaster(SMALL, sklearn.linear_model.Lasso(1e-3), washout=5).fit(U),
    "Forecaster increments": lambda: Forecaster(SMALL, increments=True, washout=5).fit(U),
    "Classifier": lambda: Classifier(SMALL).fit(WAVES, KINDS),
    "Classifier online": lambda: Classifier(SMALL, RLS(), pool=last_state).fit(WAVES, KINDS),
    "Classifier Lasso": lambda: Classifier(SMALL, sklearn.linear_model.Lasso(1e-3)).fit(WAVES, KINDS),
    "Classifier logistic": lambda: Classifier(SMALL, sklearn.linear_model.LogisticRegression()).fit(WAVES, KINDS),
    "Classifier per step": lambda: Classifier(SMALL, pool=None).fit(U, Y > 0),
}


def data_for(name):
    return WAVES if name.startswith("Classifier") and "per step" not in name else U


@pytest.mark.parametrize("name", FITS)
def test_saved_and_loaded_it_predicts_the_same_bits(name, tmp_path):
    model, X = FITS[name](), data_for(name)
    model.save(tmp_path / "model.npz")
    joblib.dump(model, tmp_path / "model.joblib")
    for other in (penstock.load(tmp_path / "model.npz"), joblib.load(tmp_path / "model.joblib")):
        assert repr(other) == repr(model)
        assert_array_equal(other.predict(X), model.predict(X))
        if hasattr(model, "decision_function"):
            assert_array_equal(other.decision_function(X), model.decision_function(X))
        if hasattr(model, "forecast"):
            assert_array_equal(other.forecast(5).series, model.forecast(5).series)
            assert_array_equal(other.closed_loop().run(5), model.closed_loop().run(5))


@pytest.mark.parametrize("name", ["RLS", "LMS", "NLMS", "EligibilityLMS", *(name for name in FITS if "online" in name)])
def test_a_loaded_online_model_goes_on_learning_alike(name, tmp_path):
    model, X = FITS[name](), data_for(name)
    model.save(tmp_path / "model.npz")
    y = KINDS[:5] if name.startswith("Classifier") else Y[:5]
    after = [each.partial_fit(X[:5], y).predict(X) for each in (model, penstock.load(tmp_path / "model.npz"))]
    assert_array_equal(*after)


@pytest.mark.parametrize("name", FITS)
def test_scikit_learn_knows_whether_it_is_fitted_and_what_it_is(name):
    model = FITS[name]()
    fresh = clone(model)
    check_is_fitted(model)
    for call in (check_is_fitted, lambda m: m.predict(data_for(name))):
        with pytest.raises(NotFittedError):
            call(fresh)
    assert is_classifier(model) is name.startswith("Classifier")
    assert is_regressor(model) == (not name.startswith(("Classifier", "Forecaster")))


@pytest.mark.skipif(VERSION < (1, 6), reason="tags are methods since scikit-learn 1.6")
def test_tags_tell_what_is_taken():
    assert sklearn.utils.get_tags(Classifier()).input_tags.three_d_array
    assert not sklearn.utils.get_tags(Classifier()).input_tags.two_d_array
    assert sklearn.utils.get_tags(Classifier(pool=None)).input_tags.two_d_array
    assert not sklearn.utils.get_tags(Forecaster()).target_tags.required


def test_steps_are_cross_validated_in_the_order_of_time():
    folds, model = TimeSeriesSplit(3), Regressor(SMALL, washout=5)
    by_hand = [clone(model).fit(U[a], Y[a]).score(U[b], Y[b]) for a, b in folds.split(U)]
    assert cross_val_score(model, U, Y, cv=folds).tolist() == by_hand
    forecaster = Forecaster(SMALL, washout=5)
    by_hand = [clone(forecaster).fit(U[a]).score(U[b]) for a, b in folds.split(U)]
    assert cross_val_score(forecaster, U, cv=folds).tolist() == by_hand


def test_searches_in_two_threads_find_the_same_numbers():
    grid = {"system__leak": [0.3, 1.0], "readout__alpha": [1e-6, 1e-2], "washout": [5, 9]}
    search = GridSearchCV(Regressor(SMALL), grid, cv=TimeSeriesSplit(2))
    alone = clone(search).fit(U, Y)
    with joblib.parallel_backend("threading", n_jobs=2):
        together = clone(search).fit(U, Y)
    assert_array_equal(alone.cv_results_["mean_test_score"], together.cv_results_["mean_test_score"])
    assert alone.best_params_ == together.best_params_
    assert SMALL.settings == {"n_units": 8, "seed": 0}  # the recipe that was given is never drawn into


BAD = {
    "sparse": (csr_array(U), TypeError, "must be a dense array, got a sparse one"),
    "complex": (U + 0j, TypeError, "must hold real numbers, got dtype complex128"),
    "text": (U.astype(str), TypeError, "must hold real numbers, got dtype <U32"),
    "objects": (U.astype(object), TypeError, "must hold real numbers, got dtype object"),
    "NaN": (np.full_like(U, np.nan), ValueError, r"must be finite, got nan at index \(0, 0\)"),
    "infinite": (np.full_like(U, np.inf), ValueError, r"must be finite, got inf at index \(0, 0\)"),
    "nothing": (None, (TypeError, ValueError), "must .*, got "),
    "rows without columns": (np.empty((120, 0)), ValueError, r"must have .*, got .*\(120, 0\)"),
    "columns without rows": (np.empty((0, 2)), ValueError, "must have "),
    "other channels": (U[:, :1], ValueError, "must have .*, got"),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", [name for name in FITS if "Classifier" not in name or "per step" in name])
def test_what_cannot_be_used_is_refused_by_name(name, bad):
    model = FITS[name]()
    before = model.predict(U)
    argument = "series" if name.startswith("Forecaster") else "X"
    X, error, message = BAD[bad]
    no_rows = bad == "columns without rows" and isinstance(model, Ridge | RLS | LMS | NLMS)  # nothing in, nothing out
    if not no_rows:
        with pytest.raises(error, match=f"{argument} {message}"):
            model.predict(X)
    if bad != "other channels":
        with pytest.raises(error, match=f"{argument} {message}"):
            model.fit(X, Y[:0] if no_rows else Y > 0)
    assert_array_equal(model.predict(U), before)
