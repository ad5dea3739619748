"""The forecaster against exact recurrences, loops by hand, and the seam between known values and forecasts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone as sklearn_clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.neighbors import KNeighborsRegressor

import penstock
from penstock import RLS, Map, Ridge, identity
from penstock.analysis import fixed_points, lyapunov_spectrum
from penstock.data import lorenz63, mackey_glass
from penstock.params import Parameters
from penstock.reservoirs import ESN, NVAR, DeepESN, Drawn, Forecaster

RNG = np.random.default_rng(0)
T = np.arange(1000)
SINES = 3 + np.sin(0.5 * T) + 0.5 * np.sin(1.3 * T + 1)
"""Obeys a linear recurrence of order 4 about its mean 3."""


def shift_register(n_units):
    return ESN(np.eye(n_units, k=-1), np.eye(n_units, 1), activation=identity)


def network(n_inputs=1, **settings):
    return ESN.random(30, n_inputs=n_inputs, bias_scaling=0.3, leak=0.6, seed=1, **settings)


@pytest.fixture(scope="module")
def glass():
    return mackey_glass(3600, tau=17)


@pytest.fixture(scope="module")
def small(glass):
    """A good model of 200 units."""
    esn = ESN.random(200, leak=0.5, input_scaling=0.3, bias_scaling=0.3, seed=0)
    return Forecaster(esn).fit(glass[:2000])


# --- alignment: exact recurrences ---


@pytest.mark.parametrize("readout", [Ridge(0.0), LinearRegression()], ids=repr)
def test_a_sum_of_sines_is_continued_exactly(readout):
    truth = SINES[600:900]
    forecast = Forecaster(shift_register(4), readout, washout=10).fit(SINES[:600]).forecast(300, truth=truth)
    assert_allclose(forecast.series, truth, atol=1e-8)  # rounding grows about linearly: roots lie on the unit circle
    assert forecast.error.max() < 1e-8 and forecast.valid_steps() == 300
    assert np.abs(forecast.series[:-1] - truth[1:]).max() > 0.1  # a step early
    assert np.abs(forecast.series[1:] - truth[:-1]).max() > 0.1  # a step late


def test_three_delays_are_too_few_for_two_sines():
    model = Forecaster(shift_register(3), Ridge(0.0), washout=10).fit(SINES[:600])
    assert model.forecast(300, truth=SINES[600:900]).error.max() > 0.1


def test_a_decaying_oscillation_of_order_two_is_continued_exactly():
    y = np.empty(500)
    y[:2] = 1.0, 0.9
    for t in range(2, 500):
        y[t] = 1.9 * y[t - 1] - 0.995 * y[t - 2]
    forecast = Forecaster(shift_register(2), Ridge(0.0), washout=5).fit(y[:400]).forecast(100)
    assert_allclose(forecast.series, y[400:], atol=1e-9)


def test_a_vector_rotates_on():
    angle = np.outer(T[:400], [0.3, 0.3])
    y = np.sin(angle + [0, np.pi / 2])
    mirror = ESN(np.zeros((2, 2)), np.eye(2), activation=identity)
    assert_allclose(Forecaster(mirror, Ridge(0.0), washout=1).fit(y[:200]).forecast(200).series, y[200:], atol=1e-9)


def test_exogenous_inputs_of_a_row_act_on_the_value_of_that_row():
    """y_t = 0.5 y_{t-1} + z_t, from units that hold nothing but [z_t, y_{t-1}]."""
    z = RNG.standard_normal(500)
    y = np.zeros(500)
    for t in range(1, 500):
        y[t] = 0.5 * y[t - 1] + z[t]
    mirror = ESN(np.zeros((2, 2)), np.eye(2), activation=identity)
    model = Forecaster(mirror, Ridge(0.0), washout=5).fit(y[:300], exogenous=z[:300])
    assert_allclose(model.forecast(200, exogenous=z[300:]).series, y[300:], atol=1e-12)
    later = model.forecast(100, y[:400], exogenous=z, truth=y[400:])
    assert later.error.max() < 1e-12
    pairs = np.stack([y[:400], y[50:450]]), np.stack([z[:450], z[50:]])
    assert_allclose(model.forecast(50, pairs[0], exogenous=pairs[1]).series[1], y[450:], atol=1e-12)


# --- the seam ---


def test_the_first_forecast_is_the_next_prediction(small, glass):
    for model in (small, Forecaster(NVAR(1, n_delays=4), increments=True).fit(glass[:500])):
        known = glass[: 2000 if model is small else 500]
        predicted = model.predict(np.append(known, 0.0))[-1]  # of the unknown value, which it does not see
        assert_allclose(model.forecast(1).series[0], predicted, rtol=1e-11)
        assert_allclose(model.observe(model.synchronise()), [predicted], rtol=1e-11)


def test_errors_grow_from_the_one_step_residual_without_a_kink(glass):
    esn = ESN.random(100, leak=0.5, input_scaling=0.3, bias_scaling=0.3, seed=0)
    model = Forecaster(esn).fit(glass[:2000])
    starts = np.arange(2100, 3500, 70)
    warmups, truths = (np.stack([glass[s + a : s + b] for s in starts]) for a, b in ((-400, 0), (0, 30)))
    error = np.sqrt((model.forecast(30, warmups, truth=truths).error ** 2).mean(axis=0))
    residual = np.std(model.predict(glass)[2100:3500] - glass[2100:3500]) / glass[:2000].std()
    assert 0.5 < error[0] / residual < 2  # 20 starts
    growth = error[1:] / error[:-1]
    assert growth.max() < 4 and error[9] < 50 * error[0]  # an off-by-one is a jump to 0.1, thousands of residuals
    assert error[0] < 1e-3


def test_the_default_warmup_is_the_training_series(small, glass):
    assert_array_equal(small.forecast(50).series, small.forecast(50, glass[:2000]).series)
    noisy = Forecaster(network(), teacher_noise=0.1).fit(SINES[:300])  # the noise is in training only
    assert_array_equal(noisy.forecast(50).series, noisy.forecast(50, SINES[:300]).series)


def test_of_several_series_the_last_is_continued(glass):
    parts = [glass[:700], glass[1000:1600]]
    model = Forecaster(network()).fit(parts)
    assert_allclose(model.forecast(20).series, model.forecast(20, parts[1]).series, rtol=1e-9)


def test_several_starts_are_each_alone(small, glass):
    warmups = np.stack([glass[s : s + 300] for s in (0, 500, 900)])
    many = small.forecast(40, warmups)
    assert many.series.shape == (3, 40) and many.n_starts == 3
    assert_array_equal(small.forecast(40, list(warmups)).series, many.series)
    for own, warmup in zip(many.series, warmups, strict=True):
        assert_allclose(
            own, small.forecast(40, warmup).series, atol=1e-6
        )  # chaos: rounding times 1e3 at weights of 1e4


def test_the_closed_loop_runs_the_forecast(small):
    loop = small.closed_loop()
    states = loop.run(99, small.synchronise())
    forecast = small.forecast(100).series
    assert_allclose(small.observe(states)[:, 0], forecast[1:], rtol=1e-12)


def test_a_long_forecast_is_cut_into_blocks_without_a_seam(small):
    long = small.forecast(6000).series  # blocks are of 5243 steps
    assert_allclose(long[:3000], small.forecast(3000).series, rtol=1e-12)  # readouts of blocks round otherwise


def deep(n_inputs):
    return DeepESN.random(9, n_layers=2, n_inputs=n_inputs, seed=0)


@pytest.mark.parametrize("make", [network, lambda n: network(n, density=0.2), deep], ids=["dense", "sparse", "deep"])
def test_forecasts_are_the_loop_by_hand(make):
    y = np.c_[SINES, np.cos(0.2 * T)][:300]
    z = np.sin(0.5 * T[:340])[:, None]
    system = make(3)
    model = Forecaster(system, Ridge(1e-3), washout=20, standardise=False).fit(y, exogenous=z[:300])
    W, c = model.readout_.coef_, model.readout_.intercept_
    x = np.zeros(system.n_units)
    for t in range(300):
        x = system.step(x, np.append(z[t], y[t - 1] if t else [0.0, 0.0]))
    value, series = y[-1], []
    for t in range(300, 340):
        x = system.step(x, np.append(z[t], value))
        value = W @ x[system.observed] + c
        series.append(value)
    assert_allclose(model.forecast(40, exogenous=z[300:]).series, series, atol=1e-9)  # other orders of sums


# --- what it does to series ---


def test_units_of_the_series_do_not_matter():
    plain, scaled = (Forecaster(network(), Ridge(1e-3)).fit(s[:600]).forecast(50) for s in (SINES, 1000 * SINES - 5000))
    assert_allclose(scaled.series, 1000 * plain.series - 5000, atol=1e-5)  # of 1000, rounding fed back 50 times


def test_lists_stacks_and_columns_are_the_same():
    parts = [SINES[:300], SINES[400:700]]
    a, b, c = (
        Forecaster(network(), Ridge(1e-3)).fit(form)
        for form in (parts, np.stack(parts)[..., None], [part[:, None] for part in parts])
    )
    assert a.forecast(10).series.shape == (10,) and b.forecast(10).series.shape == c.forecast(10).series.shape == (
        10,
        1,
    )
    assert_array_equal(a.forecast(10).series, b.forecast(10).series[:, 0])
    assert_array_equal(a.forecast(10).series, c.forecast(10).series[:, 0])


class Still(Parameters):
    """A readout that has learnt nothing."""

    def fit(self, X, Y):
        self.coef_, self.intercept_ = np.zeros((1, X.shape[1])), np.zeros(1)
        return self

    def predict(self, X):
        return np.zeros(len(X))


def test_increments_without_weights_are_persistence():
    model = Forecaster(network(), Still(), increments=True).fit(SINES[:300])
    assert_allclose(model.forecast(20).series, SINES[299], rtol=1e-12)
    assert_allclose(model.predict(SINES[:300])[1:], SINES[:299], rtol=1e-12)
    assert_allclose(Forecaster(network(), Still()).fit(SINES[:300]).forecast(20).series, SINES[:300].mean(), rtol=1e-12)


def test_increments_of_a_straight_line_go_on():
    line = 0.5 * T[:200] + 2
    still = Map(lambda x, u: 0 * x, n_units=1, n_inputs=1)
    model = Forecaster(still, LinearRegression(), washout=1, increments=True).fit(line)
    assert_allclose(model.forecast(30).series, 0.5 * np.arange(200, 230) + 2, rtol=1e-10)


def test_teacher_noise_shrinks_weights_as_errors_in_variables_do():
    """From x_t = y_{t-1} + noise of s standard deviations the weight of an AR(1) is rho / (1 + s²)."""
    y = np.zeros(40_000)
    e = np.random.default_rng(1).standard_normal(len(y))
    for t in range(1, len(y)):
        y[t] = 0.8 * y[t - 1] + e[t]
    mirror = ESN([[0.0]], [[1.0]], activation=identity)
    for increments in (False, True):
        model = Forecaster(mirror, Ridge(0.0), teacher_noise=0.5, seed=3, increments=increments).fit(y)
        slope = model.readout_.coef_[0, 0] + increments  # the value before, noise and all, is added
        assert_allclose(slope, 0.8 / 1.25, atol=0.02)  # four standard errors
        assert_array_equal(model.fit(y).readout_.coef_[0, 0] + increments, slope)
        assert_allclose(model.forecast(1).series[0], slope * y[-1], atol=0.05)  # the last state has no noise
    other = Forecaster(mirror, Ridge(0.0), teacher_noise=0.5, seed=4).fit(y)
    assert (
        other.readout_.coef_[0, 0]
        != Forecaster(mirror, Ridge(0.0), teacher_noise=0.5, seed=3).fit(y).readout_.coef_[0, 0]
    )


def test_twice_is_the_same_to_the_last_bit():
    model = Forecaster(network())
    first = model.fit(SINES[:500]).forecast(50).series
    assert_array_equal(model.forecast(50).series, first)
    model.predict(SINES), model.score(SINES), model.forecast(7, SINES[100:400])
    assert_array_equal(model.forecast(50).series, first)
    assert_array_equal(model.fit(SINES[:500]).forecast(50).series, first)
    assert_array_equal(sklearn_clone(model).fit(SINES[:500]).forecast(50).series, first)


def test_the_closed_loop_stays_that_of_its_time():
    model = Forecaster(NVAR(1, n_delays=4, orders=(1,)), KNeighborsRegressor(2)).fit(SINES[:300])
    loop, start = model.closed_loop(), model.synchronise()
    before = loop.run(20, start)
    model.fit(SINES[:300] ** 2)
    assert_array_equal(loop.run(20, start), before)


def test_a_readout_of_neighbours_forecasts_what_is_periodic():
    """Every window of a series of period 25 is known, so that its neighbour's next value is right."""
    y = np.sin(2 * np.pi * T[:225] / 25) + 0.5 * np.sin(4 * np.pi * T[:225] / 25)
    model = Forecaster(shift_register(5), KNeighborsRegressor(1), washout=10).fit(y[:200])
    assert_allclose(np.tile(model.forecast(25).series, 1), y[200:], atol=1e-12)
    assert model.closed_loop().run(3, model.synchronise()).shape == (3, 5)


def test_float32_systems_forecast_as_far_as_their_rounding():
    model = Forecaster(network(dtype=np.float32), Ridge(1e-2)).fit(SINES[:600])
    double = Forecaster(network(), Ridge(1e-2)).fit(SINES[:600])
    assert model.states(SINES[:300]).dtype == np.float32 and model.closed_loop().dtype == np.float32
    assert_allclose(model.forecast(20).series, double.forecast(20).series, atol=1e-3)


@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=10)
def test_the_order_of_units_does_not_matter(seed):
    esn, order = network(), np.random.default_rng(seed).permutation(30)
    other = ESN(esn.W[np.ix_(order, order)], esn.W_in[order], esn.bias[order], esn.leak)
    a, b = (Forecaster(system, Ridge(1e-3)).fit(SINES[:400]).forecast(20).series for system in (esn, other))
    assert_allclose(a, b, atol=1e-8)


def test_online_readouts_learn_on_from_further_series():
    parts = [SINES[:300], SINES[300:700]]
    for increments in (False, True):
        model = Forecaster(network(), RLS(1e-3), standardise=False, increments=increments)
        model.partial_fit(parts[0]).partial_fit(parts[1])
        whole = Forecaster(network(), Ridge(1e-3), standardise=False, increments=increments).fit(parts)
        assert_allclose(model.readout_.coef_, whole.readout_.coef_, atol=1e-6)  # condition 1e8
        assert_allclose(model.forecast(10).series, whole.forecast(10).series, atol=1e-6)
    assert not hasattr(Forecaster(), "partial_fit")


# --- analysis of the trained loop ---


def test_the_loop_of_a_linear_recurrence_has_its_exponents_and_fixed_point():
    """y_t = 0.9 y_{t-1} + 1 + what excites it: ln 0.9, and the fixed point 10."""
    y = np.empty(300)
    y[0] = 0.0
    kicks = RNG.standard_normal(300)
    for t in range(1, 300):
        y[t] = 0.9 * y[t - 1] + 1 + kicks[t]
    mirror = ESN(np.zeros((2, 2)), np.eye(2), activation=identity)
    model = Forecaster(mirror, Ridge(0.0), washout=5).fit(y, exogenous=kicks)
    loop = model.closed_loop()
    assert loop.n_inputs == 1
    resting = np.tile(model.inputs_(np.zeros(1)), (400, 1))
    exponents = lyapunov_spectrum(loop, resting, n_exponents=1, washout=100, seed=0, progress=False).exponents
    assert_allclose(exponents[0], np.log(0.9), atol=1e-9)
    assert_allclose(model.observe(loop.run(resting)[-1]), [10.0], atol=1e-9)


def test_sines_are_neutral_and_rest_at_their_mean():
    model = Forecaster(shift_register(4), Ridge(0.0), washout=10).fit(SINES[:600])
    loop = model.closed_loop()
    assert loop.n_inputs == 0
    assert_allclose(np.abs(np.linalg.eigvals(loop.jacobian(np.zeros(4), []))), 1, atol=1e-9)  # roots exp(±0.5i), …
    points = fixed_points(loop, n_starts=3, seed=0, progress=False).points
    assert_allclose(model.observe(points), np.full((len(points), 1), 3.0), atol=1e-6)
    exponents = lyapunov_spectrum(loop, n_steps=500, x0=model.synchronise(), seed=0, progress=False).exponents
    assert_allclose(exponents, 0, atol=0.01)  # bounded factors of a neutral map over 500 steps


# --- results ---


def test_a_forecast_knows_its_error_by_its_norm():
    model = Forecaster(network(2), Ridge(1e-3)).fit(np.c_[SINES, 2 * SINES][:500])
    truth = np.c_[SINES, 2 * SINES][500:520] + 1
    forecast = model.forecast(20, truth=truth)
    scale = np.sqrt(5 * SINES[:500].var())  # var + 4 var
    assert_allclose(forecast.scale, scale, rtol=1e-12)
    assert_allclose(forecast.error, np.linalg.norm(forecast.series - truth, axis=1) / scale, rtol=1e-12)
    assert forecast.valid_steps() == 0 and forecast.valid_steps(100.0) == 20
    assert_allclose(forecast.valid_lyapunov_times(0.9, dt=0.1, threshold=100.0), 20 * 0.09, rtol=1e-12)
    assert "relative error at most 0.4" in repr(forecast) and "‖y - ŷ‖" in repr(forecast)


def test_a_figure_shows_forecast_truth_and_where_it_ends(small, glass):
    from matplotlib import pyplot as plt

    forecast = small.forecast(30, truth=np.r_[glass[2000:2010], glass[2010:2030] + 1])
    ax = forecast.plot()
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert_array_equal(lines["forecast"].get_ydata(), forecast.series)
    assert_array_equal(lines["truth"].get_xdata(), np.arange(1, 31))
    assert lines["relative error above 0.4"].get_xdata()[0] == 10.5  # the eleventh step is wrong by far
    plt.close(ax.figure)
    several = small.forecast(5, np.stack([glass[:300], glass[300:600]]))
    assert_array_equal(several.plot().get_lines()[0].get_ydata(), several.series[0])
    plt.close("all")


def test_scores_are_of_one_step(small, glass):
    predicted, known = small.predict(glass)[100:], glass[100:]
    assert_allclose(small.score(glass), 1 - np.mean((predicted - known) ** 2) / known.var(), rtol=1e-12)


def test_searches_and_cross_validation_take_it(glass):
    recipe = Drawn(ESN.random, n_units=40, seed=0, bias_scaling=0.3)
    folds = TimeSeriesSplit(2, test_size=300)
    model = Forecaster(recipe, Ridge(1e-4), washout=50)
    search = GridSearchCV(model, {"system__leak": [0.5, 1e-6]}, cv=folds).fit(glass[:1000])
    assert search.best_params_ == {"system__leak": 0.5}  # frozen units tell nothing
    scores = cross_val_score(Forecaster(recipe, Ridge(1e-4), washout=50), glass[:1000], cv=folds)
    assert (scores > 0.9).all()


def test_a_saved_model_forecasts_the_same_bits(small, tmp_path):
    for model in (small, Forecaster(network(), increments=True).fit(SINES)):
        model.save(tmp_path / "model")
        assert_array_equal(penstock.load(tmp_path / "model").forecast(50).series, model.forecast(50).series)


# --- chaos ---


def test_a_small_network_follows_mackey_glass(small, glass):
    forecast = small.forecast(300, truth=glass[2000:2300])
    assert_allclose(forecast.series[:20], glass[2000:2020], atol=3e-2)  # the truth; other BLAS move it by 3e-3
    assert forecast.valid_steps() > 150  # half of what it reaches: horizons move by 40 % with rounding


def test_defaults_untouched_follow_mackey_glass_for_400_steps(glass):
    forecast = Forecaster().fit(glass[:3000]).forecast(500, truth=glass[3000:3500])
    assert forecast.valid_steps() >= 400


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_500_units_follow_mackey_glass_for_450_of_500_steps(glass, seed):
    model = Forecaster(Forecaster().system.set_params(seed=seed)).fit(glass[:3000], progress=False)
    assert model.forecast(500, truth=glass[3000:3500]).valid_steps() >= 450


# --- bad input ---


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.forecast(0), "horizon must be at least 1, got 0"),
        (lambda m: m.forecast(-3), "horizon must be at least 1, got -3"),
        (lambda m: m.forecast(2.5), "horizon must be an integer"),
        (lambda m: m.forecast(5, np.ones((4, 30, 2))), "warmup must have 1 channels as at fit, got 2"),
        (lambda m: m.forecast(5, [SINES, SINES[:500]]), "warmup must be series of one length"),
        (lambda m: m.forecast(5, []), "warmup must hold at least one series"),
        (lambda m: m.forecast(5, SINES * np.nan), "warmup must be finite"),
        (lambda m: m.forecast(5, truth=SINES[:4]), r"truth must have the shape \(5,\) of the forecast, got \(4,\)"),
        (lambda m: m.forecast(5, exogenous=SINES[:5]), "exogenous must be None for a model that was fitted without"),
        (lambda m: m.predict(SINES, exogenous=SINES), "exogenous must be None for a model that was fitted without"),
        (lambda m: m.predict(np.c_[SINES, SINES]), "series must have 1 channels as at fit, got 2"),
        (lambda m: m.score(SINES[:50]), "washout must be below 50"),
        (lambda m: m.forecast(3).valid_steps(), "truth must be given to forecast"),
        (lambda m: m.forecast(3, truth=SINES[:3]).valid_steps(0), "threshold must be above 0"),
        (lambda m: m.forecast(3, truth=SINES[:3]).valid_lyapunov_times(-1), "exponent must be above 0"),
    ],
)
def test_bad_input_is_named(call, message):
    model = Forecaster(network()).fit(SINES[:300])
    with pytest.raises((ValueError, TypeError), match=message):
        call(model)


@pytest.mark.parametrize(
    ("exogenous", "message"),
    [
        (None, r"exogenous must be given as at fit, with shape \(5, 2\), got None"),
        (np.ones((4, 2)), r"exogenous must have shape \(5, 2\), got \(4, 2\)"),
        (np.ones(5), r"exogenous must have shape \(5, 2\), got \(5,\)"),
    ],
)
def test_exogenous_inputs_are_as_at_fit(exogenous, message):
    model = Forecaster(network(3)).fit(SINES[:300], exogenous=np.c_[SINES, SINES][:300])
    with pytest.raises(ValueError, match=message):
        model.forecast(5, exogenous=exogenous)
    with pytest.raises(ValueError, match="exogenous must be given as at fit, 2 channels"):
        model.predict(SINES)


@pytest.mark.parametrize(
    ("series", "settings", "message"),
    [
        ([], {}, "series must hold at least one series, got an empty list"),
        (np.empty(0), {}, "at least one step"),
        (np.full(300, np.nan), {}, "series must be finite"),
        (np.ones(300), {}, r"series must vary, got the constant \[1.0\]: there is nothing to learn"),
        (SINES[:100], {}, "washout must be below 100"),
        (SINES, {"system": network(2)}, r"system must have n_inputs=1 \(0 inputs and 1 outputs fed back\), got 2"),
        (SINES, {"increments": True, "readout": KNeighborsRegressor()}, "readout must be linear where increments"),
        (SINES, {"seed": None, "teacher_noise": 0.1}, "seed must be a non-negative integer"),
    ],
)
def test_bad_series_are_named_and_leave_the_old_model(series, settings, message):
    model = Forecaster(network()).fit(SINES[:300])
    before = model.forecast(20).series
    with pytest.raises((ValueError, TypeError), match=message):
        model.set_params(**settings).fit(series)
    assert_array_equal(model.forecast(20).series, before)


def test_fit_comes_first():
    for call in (
        lambda m: m.forecast(5),
        lambda m: m.predict(SINES),
        lambda m: m.score(SINES),
        lambda m: m.closed_loop(),
        lambda m: m.synchronise(),
        lambda m: m.observe(np.zeros(3)),
    ):
        with pytest.raises(AttributeError, match="this Forecaster is not fitted yet; call fit first"):
            call(Forecaster())


def test_a_forecast_that_runs_off_says_where():
    doubling = Forecaster(NVAR(1, n_delays=1, orders=(1, 2)), Ridge(0.0), washout=1, standardise=False)
    x = np.array([2.0 ** (2.0**-k) for k in range(40, 0, -1)])  # x' = x²
    with (
        pytest.raises(FloatingPointError, match="the forecast diverged; a larger penalty"),
        np.errstate(over="ignore", invalid="ignore"),
    ):
        doubling.fit(x).forecast(50)


@pytest.mark.slow
def test_the_closed_loop_of_lorenz_has_its_largest_exponent():
    """Sprott (2003): 0.9056 per unit of time; the spectrum begins on the attractor that was learnt."""
    model = Forecaster(Drawn(ESN.random, n_units=300, leak=0.5, input_scaling=0.3, bias_scaling=0.3, seed=0))
    closed = model.fit(lorenz63(4000, dt=0.02), progress=False).closed_loop()
    np.testing.assert_array_equal(closed.start, model.synchronise())
    spectrum = lyapunov_spectrum(closed, n_exponents=1, n_steps=20_000, progress=False)
    # 400 units of time: three standard errors, and the error of what is learnt from 80 units of time
    assert abs(spectrum.exponents[0] / 0.02 - 0.9056) < 3 * spectrum.standard_errors[0] / 0.02 + 0.03
