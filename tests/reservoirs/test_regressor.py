"""The regressor against normal equations on states run by hand, shift registers and scikit-learn's own models."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import linear_model
from sklearn.cross_decomposition import PLSRegression
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import penstock
from penstock import LMS, NLMS, RLS, Map, Ridge, SystemDefaults, identity
from penstock.reservoirs import ESN, NVAR, Drawn, Regressor

RNG = np.random.default_rng(0)
LENGTHS = (60, 45, 80)
WASHOUT = 20


def network(n_inputs=2, n_units=12, **settings):
    return ESN.random(n_units, n_inputs=n_inputs, bias_scaling=0.3, leak=0.6, seed=1, **settings)


def series(k, lengths=LENGTHS, seed=0):
    rng = np.random.default_rng(seed)
    return [3 + 2 * rng.standard_normal((length, k)) for length in lengths]


def shift_register(n_units):
    return ESN(np.eye(n_units, k=-1), np.eye(n_units, 1), activation=identity)


def states_of(system, drive):
    """The plain loop from rest."""
    x, states = np.zeros(system.n_units), []
    for u in drive:
        x = system.step(x, u)
        states.append(x)
    return np.array(states)


def ridge_by_hand(X, y, weights, alpha):
    """Weights and constant of one output by the normal equations, missing targets left out."""
    seen = ~np.isnan(y)
    X, y, s = X[seen], y[seen], weights[seen]
    x_mean, y_mean = s @ X / s.sum(), s @ y / s.sum()
    X, y = X - x_mean, y - y_mean
    w = np.linalg.solve((X.T * s) @ X + alpha * np.eye(X.shape[1]), (X.T * s) @ y)
    return w, y_mean - x_mean @ w


def moments(parts):
    whole = np.concatenate(parts)
    return np.nanmean(whole, axis=0), np.nanstd(whole, axis=0)


@pytest.mark.parametrize("feedback", [None, 0.7])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("standardise", [False, True])
def test_weights_solve_the_normal_equations_on_states_run_by_hand(feedback, weighted, standardise):
    U, Y = series(2), series(3, seed=1)
    if feedback is None:  # true outputs that are fed back must be known
        Y[0][30:35, 1] = Y[2][70, 0] = np.nan
    weights = [RNG.uniform(0.5, 2, len(u)) for u in U] if weighted else None
    esn = network(2 if feedback is None else 5)
    model = Regressor(esn, Ridge(0.1), washout=WASHOUT, standardise=standardise, feedback_scaling=feedback)
    model.fit(U, Y, weights, progress=False)

    (u_mean, u_std), (y_mean, y_std) = (moments(part) if standardise else (0.0, 1.0) for part in (U, Y))
    U, Y = [(u - u_mean) / u_std for u in U], [(y - y_mean) / y_std for y in Y]
    drives = U
    if feedback is not None:
        drives = [np.hstack([u, feedback * np.vstack([np.zeros(3), y[:-1]])]) for u, y in zip(U, Y, strict=True)]
    X = np.concatenate([states_of(esn, drive)[WASHOUT:] for drive in drives])
    targets = np.concatenate([y[WASHOUT:] for y in Y])
    s = np.concatenate([w[WASHOUT:] for w in weights]) if weighted else np.ones(len(X))
    for j, y in enumerate(targets.T):
        w, c = ridge_by_hand(X, y, s, 0.1)
        assert_allclose(model.readout_.coef_[j], w, atol=1e-10)  # condition below 1e4
        assert_allclose(model.readout_.intercept_[j], c, atol=1e-10)


def test_predictions_with_feedback_are_the_loop_by_hand():
    U, Y = series(2), series(1, seed=1)
    esn = network(3)
    model = Regressor(esn, Ridge(1.0), washout=WASHOUT, standardise=False, feedback_scaling=0.5).fit(U, Y)
    predicted = model.predict(U)
    for u, own in zip(U, predicted, strict=True):
        x = np.zeros(esn.n_units)
        for u_t, y_t in zip(u, own, strict=True):
            x = esn.step(x, np.append(u_t, 0.5 * (model.readout_.coef_ @ x + model.readout_.intercept_)))
            assert_allclose(y_t, model.readout_.coef_ @ x + model.readout_.intercept_, atol=1e-11)  # folded weights


def test_feedback_generates_what_no_input_tells():
    """y_t = 0.9 y_{t-1} + u_t from units that hold nothing but [u_t, y_{t-1}]."""
    u = RNG.standard_normal(500)
    y = np.zeros(500)
    for t in range(1, 500):
        y[t] = 0.9 * y[t - 1] + u[t]
    mirror = ESN(np.zeros((2, 2)), np.eye(2), activation=identity)
    model = Regressor(mirror, Ridge(0.0), washout=5, feedback_scaling=1.0).fit(u[:300], y[:300])
    assert_allclose(model.predict(u[:300])[100:], y[100:300], atol=1e-4)  # another start, 0.9^100 of it is left
    assert Regressor(mirror, Ridge(0.0), washout=100, feedback_scaling=1.0).fit(u, y).score(u, y) > 1 - 1e-8
    blind = Regressor(ESN(np.zeros((1, 1)), np.eye(1), activation=identity)).fit(u[:300], y[:300])
    assert blind.score(u[300:], y[300:]) < 0.5  # var(u) / var(y) = 1 - 0.81


@pytest.mark.parametrize("delay", [0, 1, 4])
def test_a_shift_register_of_k_units_recalls_delay_k_minus_1_and_no_longer_one(delay):
    u = RNG.uniform(-1, 1, 2000)
    target = np.concatenate([np.zeros(delay), u[: len(u) - delay]])
    exact = Regressor(shift_register(delay + 1), Ridge(0.0), washout=10).fit(u[:1000], target[:1000])
    assert_allclose(exact.predict(u)[10:], target[10:], atol=1e-13)  # rounding of the scaling
    later = np.concatenate([np.zeros(delay + 1), u[: len(u) - delay - 1]])
    assert (
        Regressor(shift_register(delay + 1), washout=10).fit(u[:1000], later[:1000]).score(u[1000:], later[1000:])
        < 0.05
    )
    ahead = np.append(u[1:], 0.0)
    assert (
        Regressor(shift_register(delay + 1), washout=10).fit(u[:1000], ahead[:1000]).score(u[1000:], ahead[1000:])
        < 0.05
    )


# --- forms ---


def test_a_list_is_every_series_alone_and_a_stack_is_a_list():
    U, Y = series(2, (50, 50, 50)), series(1, (50, 50, 50), seed=1)
    model = Regressor(network(), Ridge(0.1), washout=10).fit(U, Y)
    stacked = Regressor(network(), Ridge(0.1), washout=10).fit(np.stack(U), np.stack(Y)[..., 0])
    assert_array_equal(model.readout_.coef_, stacked.readout_.coef_)
    alone = [model.predict(u) for u in U]
    for one, own in zip(alone, model.predict(U), strict=True):
        assert_allclose(own, one, atol=1e-12)  # a product per step rounds otherwise
    assert_array_equal(stacked.predict(np.stack(U)), np.stack(model.predict(U))[..., 0])


def test_unequal_series_of_any_number_are_each_alone():
    lengths = RNG.integers(11, 40, 150)  # more than run together
    U, Y = series(2, lengths), series(1, lengths, seed=1)
    model = Regressor(network(), Ridge(0.1), washout=10).fit(U, Y)
    X = np.concatenate([states_of(network(), (u - moments(U)[0]) / moments(U)[1])[10:] for u in U])
    y = (np.concatenate([y[10:, 0] for y in Y]) - moments(Y)[0]) / moments(Y)[1]
    assert_allclose(model.readout_.coef_[0], ridge_by_hand(X, y, np.ones(len(y)), 0.1)[0], atol=1e-10)
    for u, own in zip(U, model.predict(U), strict=True):
        assert_allclose(own, model.predict(u), atol=1e-12)


def test_flat_targets_give_flat_predictions_and_flat_inputs_are_one_channel():
    u, y = series(1)[2][:, 0], series(1, seed=1)[2][:, 0]
    model = Regressor(network(1), washout=10)
    assert model.fit(u, y).predict(u).shape == (80,)
    flat = model.predict(u)
    assert_array_equal(model.fit(u[:, None], y[:, None]).predict(u)[:, 0], flat)


def test_twice_is_the_same_to_the_last_bit():
    U, Y = series(2), series(1, seed=1)
    model = Regressor(network(3), washout=10, feedback_scaling=0.5, teacher_noise=0.1, seed=3)
    first = [model.fit(U, Y).predict(U), model.predict(U), model.fit(U, Y).predict(U)]
    for other in first[1:]:
        for a, b in zip(first[0], other, strict=True):
            assert_array_equal(a, b)


def test_float32_systems_keep_float32_states_and_predict_the_same():
    U, Y = series(2), series(1, seed=1)
    single, double = (Regressor(network(dtype=t), Ridge(0.1), washout=10).fit(U, Y) for t in (np.float32, np.float64))
    assert single.states(U[0]).dtype == np.float32
    assert_allclose(single.predict(U[0]), double.predict(U[0]), atol=1e-4)  # two roundings of 6e-8, 60 steps


@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=15)
def test_the_order_of_units_does_not_matter(seed):
    U, Y = series(2), series(2, seed=1)
    esn, order = network(), np.random.default_rng(seed).permutation(12)
    other = ESN(esn.W[np.ix_(order, order)], esn.W_in[order], esn.bias[order], esn.leak)
    a, b = (Regressor(system, Ridge(0.1), washout=10).fit(U, Y).predict(U[0]) for system in (esn, other))
    assert_allclose(a, b, atol=1e-10)


def test_units_of_inputs_and_targets_do_not_matter():
    U, Y = series(2), series(1, seed=1)
    model = Regressor(network(), Ridge(0.1), washout=10)
    plain = model.fit(U, Y).predict(U[0])
    scaled = model.fit([100 * u - 7 for u in U], [5 * y + 3 for y in Y]).predict(100 * U[0] - 7)
    assert_allclose(scaled, 5 * plain + 3, rtol=1e-10)


def test_a_system_that_diverges_behind_the_end_of_a_short_series_only_is_no_error():
    escape = Map(lambda x, u: 5 * x**2 + u, n_units=1, n_inputs=1)  # leaves [-0.2, 0.2] for good
    rng = np.random.default_rng(0)
    short, long = rng.uniform(0, 0.04, 30), rng.uniform(-0.02, 0.02, 60)
    short[-1] = 0.9
    model = Regressor(escape, washout=5, standardise=False)
    with np.errstate(over="ignore"):
        model.fit([short, long], [np.roll(short, 1), np.roll(long, 1)])
        assert np.isfinite(model.predict([short, long])[0]).all()
        with pytest.raises(FloatingPointError, match=r"step 3\d.*series 1"):
            model.predict([long, np.append(short, long)])


# --- readouts ---


@pytest.mark.parametrize(
    ("readout", "k"),
    [
        (linear_model.LinearRegression(), 3),
        (linear_model.LinearRegression(fit_intercept=False), 3),
        (linear_model.Ridge(0.3), 1),
        (linear_model.Ridge(0.3), 3),
        (linear_model.Lasso(0.01), 1),
        (linear_model.Lasso(0.01), 3),
        (PLSRegression(3), 2),
        (KNeighborsRegressor(4), 1),
        (KNeighborsRegressor(4), 3),
        (make_pipeline(StandardScaler(), linear_model.Ridge(0.3)), 2),
    ],
    ids=repr,
)
def test_models_of_scikit_learn_read_the_states_as_they_would_by_hand(readout, k):
    U, Y = series(2), series(k, seed=1)
    model = Regressor(network(), readout, washout=10, standardise=False).fit(U, Y)
    X, y = np.concatenate([states_of(network(), u)[10:] for u in U]), np.concatenate([y[10:] for y in Y])
    by_hand = readout.fit(X, y[:, 0] if k == 1 else y).predict(states_of(network(), U[1]))
    assert_allclose(model.predict(U[1]), by_hand.reshape(-1, k), atol=1e-8)  # coordinate descent stops at 1e-4 alike


def test_coefficients_behind_a_link_function_are_not_taken_for_linear():
    u = RNG.uniform(-1, 1, 300)
    y = np.exp(u)
    mirror = ESN([[0.0]], [[1.0]], activation=identity)
    model = Regressor(mirror, linear_model.PoissonRegressor(alpha=0, tol=1e-8), washout=1, standardise=False).fit(u, y)
    assert_allclose(model.predict(u), y, rtol=1e-4)  # exp(u) is its model


def test_a_readout_of_neighbours_closes_loops():
    U, Y = series(2), series(1, seed=1)
    knn = KNeighborsRegressor(3)
    esn = network(3)
    model = Regressor(esn, knn, washout=10, standardise=False, feedback_scaling=0.5).fit(U, Y)
    x = np.zeros(12)
    for u_t, y_t in zip(U[0], model.predict(U[0]), strict=True):
        x = esn.step(x, np.append(u_t, 0.5 * model.readout_.predict(x[None])[0]))
        assert_array_equal(y_t, model.readout_.predict(x[None])[0])


@pytest.mark.parametrize("readout", [RLS(0.1), LMS(0.01), NLMS(0.1)], ids=repr)
def test_online_readouts_go_on_where_they_were(readout):
    U, Y = series(2), series(2, seed=1)
    Y[1][30, 0] = np.nan
    whole = Regressor(network(), readout, washout=10).fit(U, Y)
    X = np.concatenate([whole.states(u)[10:] for u in U])
    y = np.concatenate([((y - moments(Y)[0]) / moments(Y)[1])[10:] for y in Y])
    assert_allclose(whole.readout_.coef_, readout.fit(X, y).coef_, atol=1e-12)  # a batch of states rounds otherwise
    parts = Regressor(network(), readout, washout=10, standardise=False).partial_fit(U[0], Y[0])
    parts.partial_fit(U[1:], Y[1:])
    raw = Regressor(network(), readout, washout=10, standardise=False).fit(U, Y)
    assert_allclose(parts.readout_.coef_, raw.readout_.coef_, rtol=1e-9, atol=1e-12)


def test_rls_without_forgetting_is_ridge():
    U, Y = series(2), series(2, seed=1)
    online, batch = (Regressor(network(), readout, washout=10).fit(U, Y) for readout in (RLS(0.1), Ridge(0.1)))
    assert_allclose(online.readout_.coef_, batch.readout_.coef_, atol=1e-9)


def test_stochastic_gradient_of_scikit_learn_is_online_too():
    u = RNG.uniform(-1, 1, 3000)
    sgd = linear_model.SGDRegressor(learning_rate="constant", eta0=0.02, alpha=0.0, random_state=0)
    model = Regressor(shift_register(3), sgd, washout=3)
    target = np.concatenate([[0.0, np.nan], u[:-2]])
    for piece in np.split(np.arange(3000), 3):
        model.partial_fit(u[piece], target[piece])
    assert model.score(u[3:], target[3:]) > 0.999


def test_partial_fit_is_there_only_where_the_readout_is_online():
    assert hasattr(Regressor(readout=RLS()), "partial_fit")
    assert not hasattr(Regressor(), "partial_fit")
    with pytest.raises(AttributeError, match="online readout such as RLS"):
        _ = Regressor().partial_fit


class Mirror(SystemDefaults):
    """Units that see the input, and record the largest block of states asked for."""

    n_inputs = 1

    def __init__(self, n_units):
        self.n_units, self.largest, self.blocks_run = n_units, 0, 0
        self.W_in = np.random.default_rng(0).standard_normal(n_units)

    def step(self, x, u):
        return np.tanh(self.W_in * u[0])

    def _run(self, u, x0, out):
        np.tanh(u * self.W_in, out=out)
        self.largest, self.blocks_run = max(self.largest, out.size), self.blocks_run + 1
        return False


@pytest.mark.parametrize("readout", [Ridge(1.0), RLS()], ids=repr)
def test_states_of_long_series_are_never_stored(readout):
    n_units, n_steps = (256, 40_000) if isinstance(readout, Ridge) else (64, 40_000)
    u, system = RNG.uniform(-1, 1, n_steps), Mirror(n_units)
    tracemalloc.start()
    try:
        Regressor(system, readout).fit(u, u**3, progress=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert system.largest <= 2**20
    assert peak < 50e6  # a block of 8 MB and copies of it; the states are 82 MB (or 20 MB, in blocks of 8)


def test_a_bar_is_made_only_after_the_first_block_and_not_without_progress(monkeypatch):
    system, seen = Mirror(64), []

    def bar(items, **settings):
        seen.append(system.blocks_run)
        return items

    monkeypatch.setattr("tqdm.auto.tqdm", bar)
    u = RNG.uniform(-1, 1, 40_000)
    Regressor(system).fit(u, u**3, progress=False).predict(u, progress=False)
    assert seen == []
    system.blocks_run = 0
    Regressor(system).fit(u, u**3)
    assert seen == [1]


# --- scikit-learn ---


def test_searches_pipelines_and_cross_validation_take_it():
    u = RNG.uniform(-1, 1, (600, 1))
    y = np.concatenate([np.zeros(5), u[:-5, 0]])
    recipe = Drawn(ESN.random, n_units=20, seed=0)
    folds = TimeSeriesSplit(3)
    radii = {"system__spectral_radius": [0.0001, 0.9]}  # without memory, with
    search = GridSearchCV(Regressor(recipe, washout=20), radii, cv=folds).fit(u, y)
    assert search.best_params_ == {"system__spectral_radius": 0.9}
    assert "spectral_radius" not in recipe.settings
    pipeline = make_pipeline(StandardScaler(), Regressor(recipe, washout=20))
    pipeline.set_params(regressor__system__spectral_radius=0.9, regressor__readout__alpha=1e-6)
    scores = cross_val_score(pipeline, u, y, cv=folds)
    assert scores.shape == (3,) and (scores > 0.2).all()
    own = Regressor(Drawn(ESN.random, n_units=20, seed=0, spectral_radius=0.9), Ridge(1e-6), washout=20)
    own.fit(u[:450], y[:450])
    assert_allclose(scores[-1], own.score(u[450:], y[450:]), rtol=1e-6)  # standardised once or twice


@pytest.mark.slow
def test_another_process_draws_and_fits_the_same_bits():
    u = RNG.uniform(-1, 1, (300, 1))
    y = np.roll(u[:, 0], 2)
    grid = {"system__spectral_radius": [0.5, 0.9]}
    model = Regressor(Drawn(ESN.random, n_units=20, seed=0), washout=20)
    here, there = (GridSearchCV(model, grid, cv=2, n_jobs=n).fit(u, y).cv_results_["mean_test_score"] for n in (1, 2))
    assert_array_equal(here, there)


def test_a_saved_model_predicts_the_same_bits(tmp_path):
    U, Y = series(2), series(1, seed=1)
    model = Regressor(network(3), washout=10, feedback_scaling=0.5).fit(U, Y)
    model.save(tmp_path / "model")
    assert_array_equal(penstock.load(tmp_path / "model").predict(U[0]), model.predict(U[0]))


def test_parameters_changed_after_fit_count_from_the_next_fit_on():
    U, Y = series(2), series(1, seed=1)
    model = Regressor(network(3), washout=10, feedback_scaling=0.5).fit(U, Y)
    before = model.predict(U[0])
    assert_array_equal(model.set_params(feedback_scaling=0.1).predict(U[0]), before)


# --- bad input ---

u_, y_ = np.sin(np.arange(200.0)), np.cos(np.arange(200.0))


@pytest.mark.parametrize(
    ("X", "y", "settings", "message"),
    [
        ([], [], {}, "X must hold at least one series, got an empty list"),
        (u_, [], {}, "y must hold at least one series"),
        (u_, y_[:150], {}, r"y must have the lengths of X, \[200\], got \[150\]"),
        ([u_, u_], [y_], {}, "y must have the lengths of X"),
        ([u_] * 9, [y_] * 8, {}, "8 series"),
        (u_, np.full(200, np.nan), {}, "y must have a value in every channel, got only NaN in channel 0"),
        (u_, np.ones(200), {}, r"y must vary, got the constant \[1.0\]"),
        (u_, np.r_[y_[:100], np.ones(100)], {}, "must vary"),  # constant after the washout
        (np.where(u_ > 0.9, np.nan, u_), y_, {}, "X must be finite"),
        (u_, np.where(u_ > 0.9, np.inf, y_), {}, "y must be finite"),
        (u_, np.where(u_ > 0.9, np.nan, y_), {"feedback_scaling": 1.0, "system": NVAR(2)}, "y must be finite"),
        ([u_, np.c_[u_, u_]], [y_, y_], {}, r"X\[1\] must have 1 channels like the first series, got 2"),
        (u_, np.array(["a"] * 200), {}, "y must hold real numbers"),
        (u_, y_, {"washout": 200}, "washout must be below 200"),
        (u_, y_, {"washout": -1}, "washout must be at least 0"),
        (u_, y_, {"system": ESN.random(5, n_inputs=2, seed=0)}, r"system must have n_inputs=1 \(1 inputs\), got 2"),
        (u_, y_, {"feedback_scaling": 1.0, "system": NVAR(1)}, "1 inputs and 1 outputs fed back"),
        (u_, y_, {"feedback_scaling": "1"}, "feedback_scaling must be a number"),
        (u_, y_, {"teacher_noise": 0.1}, "teacher_noise must be 0 without feedback"),
        (u_, y_, {"teacher_noise": -0.1}, "teacher_noise must be at least 0"),
        (u_, y_, {"system": ESN}, "system must be a System, got the class ESN"),
    ],
)
def test_bad_input_is_named_and_leaves_the_old_model(X, y, settings, message):
    model = Regressor(NVAR(1)).fit(u_, y_)
    before = model.predict(u_)
    with pytest.raises((ValueError, TypeError), match=message):
        model.set_params(**settings).fit(X, y)
    assert_array_equal(model.predict(u_), before)


def test_divergence_in_training_leaves_the_old_model():
    model = Regressor(NVAR(1)).fit(u_, y_)
    before = model.predict(u_)
    explosive = Map(lambda x, u: 1e10 * x + u, n_units=1, n_inputs=1)
    with pytest.raises(FloatingPointError, match="unit 0 is"), np.errstate(over="ignore", invalid="ignore"):
        model.set_params(system=explosive).fit(u_, y_)
    assert_array_equal(model.predict(u_), before)


def test_a_failing_partial_fit_leaves_the_old_readout():
    linear = Map(lambda x, u: 2 * x * (np.abs(x) > 0.5) + u, n_units=1, n_inputs=1)  # leaves [-0.5, 0.5] for good
    quiet, loud = 0.1 * u_, np.r_[0.1 * u_, 1.0, np.zeros(1200)]
    model = Regressor(linear, RLS(), washout=10, standardise=False).fit(quiet, y_)
    weights, before = model.readout_.coef_, model.predict(quiet)
    with pytest.raises(FloatingPointError, match="series 1"), np.errstate(over="ignore"):
        model.partial_fit([quiet, loud], [u_, np.resize(y_, len(loud))])
    assert_array_equal(model.readout_.coef_, weights)
    assert_array_equal(model.predict(quiet), before)


def test_new_data_must_have_the_channels_of_fit():
    model = Regressor(washout=10)
    with pytest.raises(AttributeError, match="call fit first"):
        model.predict(u_)
    with pytest.raises(AttributeError, match="call fit first"):
        model.score(u_, y_)
    model.fit(u_, y_)
    for X in (np.c_[u_, u_], [np.c_[u_, u_]]):
        with pytest.raises(ValueError, match="X must have 1 channels as at fit, got 2"):
            model.predict(X)
    with pytest.raises(ValueError, match="y must have 1 channels as at fit, got 2"):
        model.score(u_, np.c_[y_, y_])
    with pytest.raises(ValueError, match="washout must be below 10"):
        model.score(u_[:10], y_[:10])


@pytest.mark.parametrize("weights", [-np.ones(200), np.ones((200, 2))])
def test_weights_are_one_number_at_least_0_for_every_step(weights):
    with pytest.raises(ValueError, match="sample_weight must be one number of at least 0"):
        Regressor().fit(u_, y_, weights)


def test_weights_for_a_readout_that_takes_none_are_refused():
    with pytest.raises(ValueError, match="sample_weight must be None, for the readout takes none: KNeighbors"):
        Regressor(readout=KNeighborsRegressor()).fit(u_, y_, np.ones(200))


def test_gaps_in_some_channels_need_a_readout_that_takes_them():
    Y = np.c_[y_, u_]
    Y[150, 0] = np.nan
    with pytest.raises(ValueError, match="Ridge takes any gaps"):
        Regressor(readout=linear_model.LinearRegression()).fit(u_, Y)
    Y[150] = np.nan
    assert Regressor(readout=linear_model.LinearRegression()).fit(u_, Y).score(u_, Y) > 0.99
