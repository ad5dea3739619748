"""Classification of series and of their steps: features and readouts by hand, labels of any kind, bad input."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import linear_model
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC

from penstock import LMS, RLS, Ridge, identity
from penstock.reservoirs import ESN, Classifier, DeepESN, Drawn, last_state, mean_state, series
from penstock.weights import delay_line

RNG = np.random.default_rng(0)
SYSTEM = ESN.random(20, n_inputs=2, spectral_radius=0.8, input_scaling=0.5, bias_scaling=0.2, seed=1)
KINDS = RNG.permutation(np.arange(60) % 3)
WAVES = [
    np.sin(np.arange(20 + i % 7)[:, None] * [0.3 + 0.25 * kind, 0.5] + RNG.uniform(0, 6))
    + 0.1 * RNG.standard_normal((20 + i % 7, 2))
    for i, kind in enumerate(KINDS)
]
TEXT = np.array(["a", "b", "c"])[KINDS]
STACK = np.stack([wave[:20] for wave in WAVES])
LINE = ESN(delay_line(4), np.eye(4)[:, :1], activation=identity)  # x_t = (u_t, u_{t-1}, u_{t-2}, u_{t-3})


def run_by_hand(system, u):
    """States of the network, step by step."""
    x, states = np.zeros(system.n_units), []
    for now in u:
        x = np.tanh(system.W @ x + system.W_in @ now + system.bias)
        states.append(x)
    return np.array(states)


def standardised(parts, others=None):
    whole = np.concatenate(parts)
    return [(part - whole.mean(axis=0)) / whole.std(axis=0) for part in (parts if others is None else others)]


def normal_equations(F, Y, alpha):
    """Ridge regression with an unpenalised constant."""
    F1 = np.hstack([F, np.ones((len(F), 1))])
    penalty = alpha * np.diag([1.0] * F.shape[1] + [0.0])
    return np.linalg.solve(F1.T @ F1 + penalty, F1.T @ Y)


# --- what is computed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pool", "of"), [(mean_state, lambda s: s.mean(axis=0)), (last_state, lambda s: s[-1])])
@pytest.mark.parametrize("washout", [0, 7])
def test_outputs_are_one_hot_ridge_regression_on_pooled_states(pool, of, washout):
    train, test = WAVES[:40], WAVES[40:]
    model = Classifier(SYSTEM, Ridge(alpha=0.1), pool=pool, washout=washout).fit(train, KINDS[:40])
    features = [
        np.array([of(run_by_hand(SYSTEM, u)[washout:]) for u in standardised(train, part)]) for part in (train, test)
    ]
    weights = normal_equations(features[0], np.eye(3)[KINDS[:40]], 0.1)
    outputs = features[1] @ weights[:-1] + weights[-1]
    # the network's kernel and hand loop round apart by 1e-15 a step, the solver by its condition number, about 1e4
    assert_allclose(model.decision_function(test), outputs, atol=1e-9)
    assert_array_equal(model.predict(test), outputs.argmax(axis=1))
    assert model.score(test, KINDS[40:]) == np.mean(outputs.argmax(axis=1) == KINDS[40:])


def test_series_apart_by_their_mean_are_told_apart_at_the_middle():
    """A single memoryless unit sees the mean; two classes of means -1 and 3 divide at 1, outputs there being ½."""
    unit = ESN(np.zeros((1, 1)), np.ones((1, 1)), activation=identity)
    X = [np.array([-2.0, 0.0]), np.array([-1.0]), np.array([3.0, 3.0, 3.0]), np.array([2.0, 4.0])]
    model = Classifier(unit, Ridge(alpha=0.0), standardise=False).fit(X, ["low", "low", "high", "high"])
    assert model.classes_.tolist() == ["high", "low"]
    # the line through (-1, 1) and (3, 0) for "low" is (3 - x) / 4, for "high" (x + 1) / 4: their difference (1 - x) / 2
    given = [np.array([1.0]), np.array([0.5, 1.0]), np.array([5.0, -1.0])]
    assert_allclose(model.decision_function(given), [0.0, 0.125, -0.5], atol=1e-12)
    assert model.predict(given[1:]).tolist() == ["low", "high"]


def test_labels_of_the_input_two_steps_ago_are_learned_perfectly_and_not_one_step_off():
    u = RNG.choice([-1.0, 1.0], 500)
    label = np.where(np.roll(u, 2) > 0, "up", "down")
    for system, low, high in [(LINE, 1.0, 1.0), (ESN(delay_line(2), np.eye(2)[:, :1], activation=identity), 0.4, 0.6)]:
        model = Classifier(system, pool=None, washout=2).fit(u[:300], label[:300])
        # 200 coin flips have a standard deviation of 0.035
        assert low <= model.score(u[300:], label[300:]) <= high
    model = Classifier(LINE, Ridge(alpha=0.0), pool=None, washout=2, standardise=False).fit(u, label)
    # ±1 regressed on itself: u_{t-2} for "up" minus that for "down"
    assert_allclose(model.decision_function(u)[2:], np.roll(u, 2)[2:], atol=1e-10)


def test_steps_of_the_washout_are_neither_learned_nor_scored():
    u = RNG.choice([-1.0, 1.0], 200)
    label = np.roll(u, 1) > 0
    wrong = np.where(np.arange(200) < 50, ~label, label)
    model = Classifier(LINE, pool=None, washout=50).fit(u, wrong)
    assert model.score(u, wrong) == 1.0
    assert_array_equal(model.predict(u)[1:], label[1:])


def test_streamed_blocks_give_the_readout_of_all_steps(monkeypatch):
    u = [RNG.standard_normal((700, 2)), RNG.standard_normal((300, 2)), RNG.standard_normal((901, 2))]
    label = [np.roll(part[:, 0], 1) > 0 for part in u]
    whole = Classifier(SYSTEM, Ridge(alpha=1e-2), pool=None, washout=270).fit(u, label)
    outputs = whole.decision_function(u)
    means = Classifier(SYSTEM, Ridge(alpha=1e-2), washout=270).fit(u, [0, 1, 0]).decision_function(u)
    monkeypatch.setattr(series, "BLOCK_ELEMENTS", 1)  # blocks of 256 steps, the first of which is all washout
    pieces = Classifier(SYSTEM, Ridge(alpha=1e-2), pool=None, washout=270).fit(u, label)
    assert_allclose(pieces.readout_.coef_, whole.readout_.coef_, atol=1e-11)  # batches and single runs round apart
    for mine, other in zip(pieces.decision_function(u), outputs, strict=True):
        assert_allclose(mine, other, atol=1e-11)
    again = Classifier(SYSTEM, Ridge(alpha=1e-2), washout=270).fit(u, [0, 1, 0])
    assert_allclose(again.decision_function(u), means, atol=1e-11)


@pytest.mark.parametrize(("concat", "width"), [(True, 15), (False, 5)])
def test_a_deep_system_is_read_from_the_layers_it_shows(concat, width):
    deep = DeepESN.random(15, n_layers=3, n_inputs=2, concat=concat, seed=0)
    model = Classifier(deep).fit(WAVES, KINDS)
    assert model.readout_.coef_.shape == (3, width)
    pooled = np.array([deep.run(u)[:, deep.observed].mean(axis=0) for u in standardised(WAVES)])
    assert_allclose(model.readout_.predict(pooled), model.decision_function(WAVES), atol=1e-10)


def test_states_are_those_of_the_system_driven_by_standardised_series():
    model = Classifier(SYSTEM).fit(WAVES, KINDS)
    for states, u in zip(model.states(WAVES[:3]), standardised(WAVES)[:3], strict=True):
        assert_allclose(states, run_by_hand(SYSTEM, u), atol=1e-12)
    assert model.states(STACK).shape == (60, 20, 20)


# --- forms of data ----------------------------------------------------------------------------------------------------


def test_a_list_is_judged_as_each_series_alone_and_a_stack_as_its_list():
    model = Classifier(SYSTEM).fit(WAVES, KINDS)
    alone = np.concatenate([model.decision_function([wave]) for wave in WAVES])
    assert_allclose(model.decision_function(WAVES), alone, atol=1e-11)  # batches and single runs round apart
    assert_array_equal(model.predict(WAVES), [model.predict([wave])[0] for wave in WAVES])
    assert_array_equal(model.decision_function(STACK), model.decision_function(list(STACK)))


def test_one_channel_may_come_without_its_axis():
    flat = [wave[:, 0] for wave in WAVES]
    X = [wave[:, :1] for wave in WAVES]
    model, other = Classifier().fit(flat, KINDS), Classifier().fit(X, KINDS)
    assert_array_equal(model.decision_function(flat), other.decision_function(X))
    assert_array_equal(model.decision_function(X), other.decision_function(flat))


def test_per_step_answers_come_in_the_form_of_the_data():
    model = Classifier(SYSTEM, pool=None).fit(WAVES, [np.full(len(w), k) for w, k in zip(WAVES, KINDS, strict=True)])
    assert [len(labels) for labels in model.predict(WAVES)] == [len(wave) for wave in WAVES]
    assert model.predict(STACK).shape == (60, 20) and model.decision_function(STACK).shape == (60, 20, 3)
    assert model.predict(WAVES[0]).shape == (20,) and model.decision_function(WAVES[0]).shape == (20, 3)
    assert_array_equal(model.predict(STACK)[4], model.predict(STACK[4]))
    grid = np.tile(KINDS[:, None], 20)
    assert model.score(STACK, grid) == np.mean(model.predict(STACK) == grid)


LABELS = {
    "text": np.array(["ant", "bee", "wasp"]),
    "from one": np.array([1, 2, 3]),
    "with gaps": np.array([-7, 0, 1000]),
    "whole floats": np.array([0.0, 1.0, 5.0]),
    "objects": np.array(["x", "yy", "zzz"], dtype=object),
    "dates": np.array(["2020-01-01", "2021-01-01", "2022-01-01"], dtype="datetime64[D]"),
    "bytes": np.array([b"a", b"b", b"c"]),
    "uint8": np.array([1, 2, 200], dtype=np.uint8),
}


@pytest.mark.parametrize("form", [np.asarray, list])
@pytest.mark.parametrize("names", LABELS.values(), ids=LABELS)
def test_labels_of_any_kind_come_back(names, form):
    model = Classifier(SYSTEM).fit(WAVES, form(names[KINDS]))
    assert_array_equal(model.classes_, names)
    assert_array_equal(model.predict(WAVES), names[Classifier(SYSTEM).fit(WAVES, KINDS).predict(WAVES)])
    assert model.score(WAVES, form(names[KINDS])) > 0.9
    steps = [np.tile(names[kind], len(wave)) for kind, wave in zip(KINDS, WAVES, strict=True)]
    per_step = Classifier(SYSTEM, pool=None).fit(WAVES, [form(part) for part in steps])
    assert set(per_step.predict(WAVES[0]).tolist()) <= set(names.tolist())


def test_booleans_come_back_as_booleans_and_decide_by_sign():
    model = Classifier(SYSTEM).fit(WAVES, KINDS > 0)
    outputs = model.decision_function(WAVES)
    assert model.predict(WAVES).dtype == bool and outputs.shape == (60,)
    assert_array_equal(outputs > 0, model.predict(WAVES))


def test_a_class_seen_only_in_the_washout_is_none():
    label = np.where(np.arange(100) < 10, 7, np.arange(100) % 2)
    assert Classifier(LINE, pool=None, washout=10).fit(RNG.standard_normal(100), label).classes_.tolist() == [0, 1]


# --- readouts ---------------------------------------------------------------------------------------------------------

READOUTS = {
    "LogisticRegression": linear_model.LogisticRegression(),
    "RidgeClassifier": linear_model.RidgeClassifier(),
    "LinearSVC": LinearSVC(),
    "GaussianNB": GaussianNB(),  # has probabilities, but no decision function
    "pipeline": make_pipeline(StandardScaler(), linear_model.LogisticRegression(max_iter=1000)),
    "Lasso": linear_model.Lasso(1e-3),
    "scikit-learn's Ridge": linear_model.Ridge(1e-3),
    "Ridge": Ridge(leave_one_out=True),
    "RLS": RLS(),
}


@pytest.mark.parametrize(("pool", "n_classes"), [(mean_state, 3), (mean_state, 2), (None, 3), (None, 2)])
@pytest.mark.parametrize("readout", READOUTS.values(), ids=READOUTS)
def test_any_readout_is_fitted_to_features_and_labels_as_by_hand(readout, pool, n_classes):
    labels = np.array(["a", "b", "c"])[KINDS[:30] % n_classes]
    states = [run_by_hand(SYSTEM, u) for u in standardised(WAVES[:30])]
    if pool:
        features = np.array([own.mean(axis=0) for own in states])
    else:
        features, labels = np.concatenate(states), [np.tile(k, len(own)) for k, own in zip(labels, states, strict=True)]
    model = Classifier(SYSTEM, clone(readout), pool=pool).fit(WAVES[:30], labels)
    predicted, outputs = model.predict(WAVES[:30]), model.decision_function(WAVES[:30])
    if pool is None:
        predicted, outputs, labels = map(np.concatenate, (predicted, outputs, labels))
    classes, codes = np.unique(labels, return_inverse=True)
    if hasattr(readout, "predict_proba") or hasattr(readout, "decision_function"):
        assert_array_equal(predicted, clone(readout).fit(features, labels).predict(features))
    else:
        by_hand = clone(readout).fit(features, np.eye(n_classes)[codes]).predict(features)
        assert_array_equal(predicted, classes[by_hand.argmax(axis=1)])
    assert_array_equal(predicted, classes[(outputs > 0).astype(int) if n_classes == 2 else outputs.argmax(axis=1)])
    assert not hasattr(readout, "classes_") and not hasattr(readout, "coef_")  # only its clone was fitted


def test_scikit_learns_own_readouts_get_features_and_labels_as_by_hand():
    features = np.array([run_by_hand(SYSTEM, u).mean(axis=0) for u in standardised(WAVES)])
    by_hand = linear_model.RidgeClassifier(alpha=0.1).fit(features, KINDS)
    model = Classifier(SYSTEM, linear_model.RidgeClassifier(alpha=0.1)).fit(WAVES, KINDS)
    assert_allclose(model.decision_function(WAVES), by_hand.decision_function(features), atol=1e-9)
    # a ridge regression on 0 and 1 is that on ±1 halved and moved: the same winners
    assert_array_equal(Classifier(SYSTEM, Ridge(alpha=0.1)).fit(WAVES, KINDS).predict(WAVES), by_hand.predict(features))


def test_static_data_are_classified_as_by_ridge_regression_alone():
    """Without memory, and with series of one step, nothing is left of the system but its identity."""
    X, y = make_classification(100, 6, n_informative=4, random_state=0)
    nothing = ESN(np.zeros((6, 6)), np.eye(6), activation=identity)
    model = Classifier(nothing, Ridge(alpha=1.0), standardise=False).fit(X[:, None, :], y)
    reference = linear_model.RidgeClassifier(alpha=1.0).fit(X, y)
    assert_allclose(model.decision_function(X[:, None, :]), reference.decision_function(X), atol=1e-10)


ONLINE = {"RLS": RLS(), "LMS": LMS(0.05), "SGD": linear_model.SGDClassifier(shuffle=False, random_state=0)}


@pytest.mark.parametrize("pool", [mean_state, None])
@pytest.mark.parametrize("readout", ONLINE.values(), ids=ONLINE)
def test_learning_in_parts_is_learning_at_once(readout, pool):
    labels = KINDS if pool else [np.tile(kind, len(wave)) for kind, wave in zip(KINDS, WAVES, strict=True)]
    at_once = Classifier(SYSTEM, readout, pool=pool, standardise=False, washout=2).partial_fit(WAVES, labels)
    parts = Classifier(SYSTEM, readout, pool=pool, standardise=False, washout=2)
    for i in range(0, 60, 20):
        parts.partial_fit(WAVES[i : i + 20], labels[i : i + 20], classes=[2, 0, 1])
    # series are run in other batches, whose rounding learning passes on
    given = [at_once.decision_function(WAVES), parts.decision_function(WAVES)]
    given = given if pool else [np.concatenate(own) for own in given]
    assert_allclose(given[1], given[0], atol=1e-8)
    if isinstance(readout, RLS | LMS):
        whole = clone(parts).fit(WAVES, labels).decision_function(WAVES)
        assert_allclose(whole if pool else np.concatenate(whole), given[0], atol=1e-8)


def test_learning_goes_on_with_the_classes_and_the_scaling_of_the_first_call():
    model = Classifier(SYSTEM, RLS()).partial_fit(WAVES[:20], TEXT[:20] == "a", classes=[True, False])
    scaling = model.inputs_
    assert model.partial_fit([10 * wave for wave in WAVES[:1]], [True]).inputs_ is scaling  # one class will do then
    model = Classifier(SYSTEM, RLS()).partial_fit(WAVES[:2], ["b", "b"], classes=["c", "b", "a"])
    assert model.classes_.tolist() == ["a", "b", "c"] and model.decision_function(WAVES).shape == (60, 3)
    before = model.decision_function(WAVES)
    for X, y, message in [
        (WAVES, ["d", *TEXT[1:]], r"y must hold labels of classes \['a', 'b', 'c'\], got 'd'"),
        ([wave[:, :1] for wave in WAVES], TEXT, "X must have 2 channels as at fit, got 1"),
        (WAVES, TEXT[1:], "one label for each of the 60 series"),
        (WAVES[0], TEXT, "X must be several series"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.partial_fit(X, y)
    assert_array_equal(model.decision_function(WAVES), before)
    model.set_params(pool=lambda states: states.mean(axis=0) if len(states) < 26 else states)
    with pytest.raises(ValueError, match="pool must turn"):  # after some series have been learned from
        model.partial_fit(WAVES, TEXT)
    assert_array_equal(model.set_params(pool=mean_state).decision_function(WAVES), before)
    with pytest.raises(ValueError, match="y must hold at least two classes, got only 'b'"):
        Classifier(SYSTEM, RLS()).partial_fit(WAVES[:2], ["b", "b"])
    with pytest.raises(AttributeError, match="partial_fit needs an online readout such as RLS"):
        Classifier(SYSTEM).partial_fit(WAVES, KINDS)
    assert not hasattr(Classifier(SYSTEM), "partial_fit")


# --- scikit-learn's tools ---------------------------------------------------------------------------------------------


def test_grid_search_redraws_the_reservoir():
    recipe = Drawn(ESN.random, n_units=15, seed=0)
    search = GridSearchCV(
        Classifier(recipe), {"system__spectral_radius": [0.1, 0.9], "washout": [0, 5], "readout__alpha": [1e-3]}, cv=3
    ).fit(WAVES, KINDS)
    assert search.best_score_ == max(search.cv_results_["mean_test_score"]) > 0.5
    assert search.best_estimator_.system_.n_inputs == 2 and recipe.settings == {"n_units": 15, "seed": 0}
    radius = np.abs(np.linalg.eigvals(search.best_estimator_.system_.W)).max()
    assert_allclose(radius, search.best_params_["system__spectral_radius"], rtol=1e-8)


def test_cross_validation_on_a_list_of_arrays_is_stratified_and_equals_the_loop():
    model, folds = Classifier(SYSTEM, Ridge(alpha=1e-2)), StratifiedKFold(3)
    by_hand = []
    for train, test in folds.split(WAVES, KINDS):
        fitted = clone(model).fit([WAVES[i] for i in train], KINDS[train])
        by_hand.append(np.mean(fitted.predict([WAVES[i] for i in test]) == KINDS[test]))
    assert cross_val_score(model, WAVES, KINDS, cv=folds).tolist() == by_hand
    assert cross_val_score(model, WAVES, KINDS, cv=3).tolist() == by_hand  # a classifier's folds are stratified
    assert cross_val_score(model, STACK, KINDS > 0, cv=3, scoring="roc_auc").mean() > 0.8
    assert cross_val_predict(model, WAVES, KINDS, cv=folds, method="decision_function").shape == (60, 3)


def test_the_last_stage_of_a_pipeline():
    halved = FunctionTransformer(lambda X: [x[::2] for x in X], check_inverse=False)
    model = make_pipeline(halved, Classifier(SYSTEM)).fit(WAVES, KINDS)
    alone = Classifier(SYSTEM).fit([wave[::2] for wave in WAVES], KINDS)
    assert_array_equal(model.decision_function(WAVES), alone.decision_function([wave[::2] for wave in WAVES]))
    assert model.set_params(classifier__washout=3).fit(WAVES, KINDS)[-1].washout == 3


def test_clones_are_unfitted_and_equal_in_their_parameters():
    model = Classifier(Drawn(ESN.random, n_units=5, seed=0), pool=last_state, washout=2).fit(WAVES, KINDS)
    copy = clone(model)
    assert not hasattr(copy, "classes_") and repr(copy) == repr(model)
    assert copy.system is not model.system and copy.system.get_params() == model.system.get_params()
    assert_array_equal(copy.fit(WAVES, KINDS).decision_function(WAVES), model.decision_function(WAVES))


# --- the same numbers, and nothing half-trained -----------------------------------------------------------------------


@pytest.mark.parametrize("pool", [mean_state, None])
def test_fitting_or_predicting_twice_gives_the_same_bits(pool):
    labels = KINDS if pool else [np.tile(kind, len(wave)) for kind, wave in zip(KINDS, WAVES, strict=True)]
    model = Classifier(pool=pool).fit(WAVES, labels)
    first = [model.decision_function(WAVES) for _ in range(2)]
    model.predict(WAVES[:3])
    again = model.fit(WAVES, labels).decision_function(WAVES)
    for other in (first[1], again, clone(model).fit(WAVES, labels).decision_function(WAVES)):
        for mine, theirs in zip(first[0], other, strict=True):
            assert_array_equal(mine, theirs)


def test_data_and_parameters_are_left_as_they_were():
    X, y = [wave.copy() for wave in WAVES], KINDS.copy()
    Classifier(SYSTEM).fit(X, y).predict(X)
    assert all(np.array_equal(x, wave) for x, wave in zip(X, WAVES, strict=True)) and np.array_equal(y, KINDS)


@pytest.mark.parametrize(
    ("settings", "y"),
    [({"readout": LMS(1e9)}, KINDS), ({"pool": lambda s: s}, KINDS), ({}, KINDS[:-1]), ({"washout": 20}, KINDS)],
)
def test_a_fit_that_fails_leaves_the_old_one(settings, y):
    model = Classifier(SYSTEM).fit(WAVES, KINDS)
    before, known = model.decision_function(WAVES), set(vars(model))
    old = {name: getattr(model, name) for name in settings}
    model.set_params(**settings)
    with pytest.raises((ValueError, FloatingPointError)):
        model.fit(WAVES, y)
    assert set(vars(model)) == known
    assert_array_equal(model.set_params(**old).decision_function(WAVES), before)
    fresh = Classifier(SYSTEM).set_params(**settings)
    with pytest.raises((ValueError, FloatingPointError)):
        fresh.fit(WAVES, y)
    assert not [name for name in vars(fresh) if name.endswith("_")]


# --- bad input --------------------------------------------------------------------------------------------------------

STEPS = [np.tile(kind, len(wave)) for kind, wave in zip(KINDS, WAVES, strict=True)]


@pytest.mark.parametrize(
    ("settings", "X", "y", "error", "message"),
    [
        ({}, WAVES, STEPS, ValueError, "y must hold one label per series, got arrays, .*choose pool=None"),
        ({}, STACK, np.zeros((60, 20)), ValueError, "y must hold one label per series.*pool=None"),
        ({}, WAVES, np.concatenate(STEPS), ValueError, "y must hold one label for each of the 60 series in X, got 13"),
        ({"pool": None}, WAVES, KINDS, ValueError, "y must hold an array of labels, one per step.*pool=mean_state"),
        ({"pool": None}, STACK, TEXT, ValueError, "y must hold an array of labels, one per step"),
        ({"pool": None}, WAVES[0], "a", ValueError, "y must hold an array of labels, one per step"),
        ({"pool": None}, WAVES, STEPS[:-1], ValueError, "y must have the lengths of X"),
        ({"pool": None}, WAVES, [s[:-1] for s in STEPS], ValueError, "y must have the lengths of X"),
        ({"pool": None}, WAVES[0], STEPS[0][1:], ValueError, "y must have the lengths of X"),
        ({"pool": None}, WAVES, [np.tile("a", 20), *STEPS[1:]], ValueError, "text and numbers"),
        ({}, WAVES, KINDS[:-1], ValueError, "y must hold one label for each of the 60 series in X, got 59"),
        ({}, WAVES, None, TypeError, "y must be an array or list of labels, got None"),
        ({}, WAVES, 3, TypeError, "y must be an array or list of labels, got 3"),
        ({}, WAVES, np.zeros(60), ValueError, r"at least two classes, got only 0.0"),
        ({}, WAVES, ["a"] * 60, ValueError, r"at least two classes, got only 'a'"),
        ({}, WAVES, [np.nan, *KINDS[1:]], ValueError, "y must hold a label for every series or step, got NaN"),
        ({}, WAVES, [np.nan, *TEXT[1:]], ValueError, "y must hold a label for every series or step, got None or NaN"),
        ({}, WAVES, [None, *TEXT[1:]], ValueError, "y must hold a label for every series or step, got None or NaN"),
        ({}, WAVES, np.array([None, *TEXT[1:]]), ValueError, "y must hold a label .* got None or NaN"),
        ({}, WAVES, [3, *TEXT[1:]], ValueError, "y must hold labels of one kind, got text and numbers"),
        ({}, WAVES, KINDS + 0.25, ValueError, "got continuous numbers such as .*Regressor"),
        ({}, WAVES[0], KINDS, ValueError, r"X must be several series.* one of 20 steps and 2 channels; give \[X\]"),
        ({}, STACK[:, :, 0], KINDS, ValueError, r"one of 60 steps and 20 channels.*X\[:, :, None\]"),
        ({}, [], [], ValueError, "X must hold at least one series, got an empty list"),
        ({}, np.empty((0, 5, 2)), [], ValueError, "X must hold at least one series, got shape"),
        ({}, [WAVES[0], WAVES[1][:, :1]], [0, 1], ValueError, r"X\[1\] must have 2 channels"),
        ({}, [WAVES[0], WAVES[1][:0]], [0, 1], ValueError, r"X\[1\] must have at least one step"),
        ({}, [WAVES[0], WAVES[1] * np.nan], [0, 1], ValueError, r"X\[1\] must be finite, got nan"),
        ({}, [WAVES[0], np.array([["a", "b"]])], [0, 1], TypeError, r"X\[1\] must hold real numbers"),
        ({"washout": 20}, WAVES, KINDS, ValueError, "washout must be below 20, the steps of the shortest series in X"),
        ({"washout": -1}, WAVES, KINDS, ValueError, "washout must be at least 0"),
        ({"washout": 2.0}, WAVES, KINDS, TypeError, "washout must be an integer"),
        ({"pool": "mean"}, WAVES, KINDS, TypeError, "pool must be a function of states such as mean_state, or None"),
        ({"pool": np.mean}, WAVES, KINDS, ValueError, r"pool must turn .* features \(p,\), got shape \(\)"),
        ({"pool": lambda s: s}, WAVES, KINDS, ValueError, r"pool must turn .* got shape \(20, 20\)"),
        ({"pool": np.ravel}, WAVES, KINDS, ValueError, r"as many features .* got shape \(420,\) after \(400,\)"),
        (
            {"pool": lambda s: s[0] / 0 * np.inf},
            [u * 0 for u in WAVES],
            KINDS,
            ValueError,
            r"pool\(states\) must be fi",
        ),
        ({"system": LINE}, WAVES, KINDS, ValueError, r"system must have n_inputs=2 \(the channels of X\), got 1"),
        ({"system": "ESN"}, WAVES, KINDS, TypeError, "system must"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_bad_data_are_named_and_explained(settings, X, y, error, message):
    with pytest.raises(error, match=message):
        Classifier(**{"system": SYSTEM, **settings}).fit(X, y)


@pytest.mark.parametrize("verb", ["predict", "decision_function", "states", "score"])
def test_nothing_is_judged_before_fit_or_with_other_channels(verb):
    arguments = (WAVES, KINDS) if verb == "score" else (WAVES,)
    with pytest.raises(AttributeError, match="this Classifier is not fitted yet; call fit first"):
        getattr(Classifier(SYSTEM), verb)(*arguments)
    model = Classifier().fit([wave[:, 0] for wave in WAVES], KINDS)
    with pytest.raises(ValueError, match="X must have 1 channels as at fit, got 2"):
        getattr(model, verb)(*arguments)


@pytest.mark.parametrize("verb", ["predict", "decision_function"])
def test_bad_new_series_are_named_and_explained(verb):
    model = Classifier(SYSTEM, washout=15).fit(WAVES, KINDS)
    judge = getattr(model, verb)
    with pytest.raises(ValueError, match="washout must be below 10"):
        judge([WAVES[0], WAVES[1][:10]])
    with pytest.raises(ValueError, match=r"X must be several series.*give \[X\]"):
        judge(WAVES[0])
    with pytest.raises(ValueError, match="at least one series"):
        judge([])
    with pytest.raises(ValueError, match="X must be finite, got inf"):
        judge(np.full((2, 20, 2), np.inf))
    with pytest.raises(ValueError, match="one label for each of the 60 series"):
        model.score(WAVES, KINDS[:5])


def test_a_system_that_diverges_says_so():
    growing = ESN(1e300 * np.eye(2), np.eye(2), activation=identity)
    with pytest.raises(FloatingPointError):
        Classifier(growing).fit(WAVES, KINDS)
