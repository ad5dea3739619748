import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from penstock import Map
from penstock.analysis import prediction_error, valid_prediction_time
from penstock.data import henon, logistic
from penstock.reservoirs import ESN

# Prediction error


def test_the_true_map_errs_by_nothing_and_a_wrong_one_by_its_closed_form():
    x = np.cumprod(np.full(60, 1.02))
    right, wrong = (Map(lambda x, u, g=g: g * x, n_units=1) for g in (1.02, 1.0))
    assert_allclose(prediction_error(right, x, n_steps=5).curve, 0, atol=1e-25)
    result = prediction_error(wrong, x, n_steps=5)
    starts = x[:55]
    for n in range(1, 6):
        assert_allclose(result.curve[n - 1], np.mean((starts * (1.02**n - 1)) ** 2), rtol=1e-10)
    assert_allclose(result.curve, result.persistence)  # that map is the forecast of no change
    assert result.value == result.curve[-1] and result.n_starts == 55


def test_chaos_forgets_the_forecast_and_the_null_level_says_where():
    x = henon(3000)
    nearly = Map(lambda x, u: np.array([1 - 1.4 * x[0] ** 2 + x[1] + 1e-6, 0.3 * x[0]]), n_units=2)
    result = prediction_error(nearly, x[:600], n_steps=3)
    # error after one step: 1e-6 in one of two coordinates
    assert_allclose(result.curve[0], 1e-12 / 2, rtol=1e-6)
    assert_allclose(result.null_level, x[:600].var(axis=0).mean())
    assert result.standard_error > 0


def test_hidden_states_observed_through_a_readout():
    rng = np.random.default_rng(0)
    W = 0.3 * rng.standard_normal((4, 4))
    system = Map(lambda x, u: np.tanh(W @ x + 1.0), n_units=4)
    states = system.run(60, x0=rng.standard_normal(4))
    readout = rng.standard_normal((4, 2))
    result = prediction_error(system, states @ readout, n_steps=6, states=states, observe=lambda x: x @ readout)
    assert_allclose(result.curve, 0, atol=1e-28)


def test_driven_systems_take_the_inputs_that_lead_to_the_data():
    esn = ESN.random(12, seed=0)
    u = np.random.default_rng(0).uniform(-1, 1, 80)
    states = esn.run(u)
    assert_allclose(prediction_error(esn, states, n_steps=7, u=u).curve, 0, atol=1e-28)
    assert prediction_error(esn, states, n_steps=7, u=np.roll(u, 1)).value > 1e-4


# Valid prediction time


def test_exponential_error_crosses_at_its_closed_form():
    dt, exponent, n = 0.01, 0.9056, 2000
    t = dt * np.arange(1, n + 1)
    truth = np.tile(np.sign(np.sin(t))[:, None], (5, 1, 1))
    first = 10.0 ** -np.arange(1, 6)
    forecast = truth + (first[:, None] * np.exp(exponent * t))[:, :, None]
    result = valid_prediction_time(truth, forecast, dt=dt, exponent=exponent, scale=1.0)
    exact = np.log(0.4 / first)
    assert_allclose(result.lyapunov_times, exact, atol=1.01 * dt * exponent)  # whole steps
    assert_allclose(result.median, exact[2], atol=0.01)
    assert_allclose(result.quartiles, exact[[1, 3]], atol=0.01)
    assert_allclose(result.time, result.steps * dt)
    assert_array_equal(result.exceeded, True)


def test_steps_are_those_before_the_first_error_however_good_it_gets_later():
    truth = np.array([1.0, -1.0] * 5)  # size 1
    forecast = truth.copy()
    forecast[3] += 0.41
    assert valid_prediction_time(truth, forecast).steps[0] == 3
    forecast[3] = truth[3] + 0.39
    result = valid_prediction_time(truth, forecast)
    assert result.steps[0] == 10 and not result.exceeded[0]
    assert "NOT REACHED in 1 of 1" in repr(result) and "single start" in repr(result)
    assert valid_prediction_time(truth, forecast, threshold=0.3).steps[0] == 3


def test_norm_is_euclidean_over_dimensions_and_scale_that_of_the_series():
    truth = np.random.default_rng(0).standard_normal((3, 50, 4)) + 5
    forecast = truth.copy()
    forecast[:, 10] += [[0.1, 0, 0, 0], [3.0, 3.0, 3.0, 3.0], [0, 1.0, 1.0, 0]]
    result = valid_prediction_time(truth, forecast)
    flat = truth.reshape(-1, 4)
    scale = np.sqrt(np.mean(np.sum((flat - flat.mean(axis=0)) ** 2, axis=1)))
    assert_allclose(result.scale, scale)
    assert_allclose(result.error[:, 10], [0.1 / scale, 6 / scale, np.sqrt(2) / scale])
    assert_array_equal(result.steps, [50, 10, 10])


def test_a_forecast_that_diverges_is_wrong_from_there_on():
    truth = np.array([1.0, -1.0] * 5)
    for bad in (np.nan, np.inf, 1e308):
        forecast = truth.copy()
        forecast[6] = bad
        assert valid_prediction_time(truth, forecast).steps[0] == 6
    forecast[6] = np.nan
    assert (valid_prediction_time(truth, forecast).error[0, 6:] == np.inf).all()


def test_logistic_map_is_lost_after_the_time_its_exponent_allows():
    n_starts, e0 = 400, 1e-9
    starts = logistic(n_starts)
    truth, forecast = starts.copy(), starts + e0
    rows = []
    for _ in range(80):
        truth, forecast = 4 * truth * (1 - truth), np.clip(4 * forecast * (1 - forecast), 0, 1)
        rows.append((truth, forecast))
    y, z = np.array(rows).transpose(1, 2, 0)[..., None]
    result = valid_prediction_time(y, z, exponent=np.log(2))
    # ln(threshold * size / e0), size 1/sqrt 8; typical growth differs from the exponent by a factor of order one
    assert abs(result.median - np.log(0.4 / np.sqrt(8) / e0)) < 1.5
    low, high = result.quartiles
    assert low <= result.median <= high and low < high


# Figures, texts and bad input


def test_figures_show_the_numbers():
    import matplotlib.pyplot as plt

    x, y = np.random.default_rng(0).standard_normal((2, 500, 2))
    error = prediction_error(Map(lambda x, u: 0.9 * x, n_units=2), x, n_steps=4)
    assert_allclose(error.plot().lines[0].get_ydata(), error.curve)
    broken = np.concatenate([y[None, :40], np.full((1, 40, 2), np.nan), x[None, :40]])
    time = valid_prediction_time(np.tile(x[:40], (3, 1, 1)), broken, exponent=0.5, dt=0.1)
    ax = time.plot()
    assert ax.get_xlabel() == "Lyapunov times"
    assert_allclose(ax.lines[0].get_xdata()[-1], 40 * 0.1 * 0.5)
    plt.close("all")
    for result, words in (
        (error, ("4 steps ahead", "null level", "one step")),
        (time, ("quartiles", "Lyapunov times", "threshold")),
    ):
        for word in words:
            assert word in repr(result)


X = np.random.default_rng(0).standard_normal((100, 2))
STILL = Map(lambda x, u: x, n_units=2)


@pytest.mark.parametrize(
    ("call", "error", "fragment"),
    [
        (lambda: prediction_error(STILL, X[:15], n_steps=10), ValueError, "data must have at least n_steps + 10"),
        (lambda: prediction_error(STILL, X[:, :1]), ValueError, "states must be given"),
        (lambda: prediction_error(STILL, X, states=X[:5]), ValueError, "states must have shape (100, 2)"),
        (lambda: prediction_error(STILL, X, u=X), ValueError, "u must be None"),
        (lambda: prediction_error(ESN.random(2, seed=0), X), ValueError, "u must be given for a driven system"),
        (lambda: prediction_error(STILL, X, observe=lambda x: x[..., :1]), ValueError, "observe(states) must give"),
        (lambda: prediction_error(3, X), TypeError, "step"),
        (lambda: valid_prediction_time(X, X[:50]), ValueError, "forecast must have the shape (100, 2)"),
        (lambda: valid_prediction_time(np.ones(9), np.ones(9)), ValueError, "truth must vary"),
        (lambda: valid_prediction_time(X, X, threshold=0.0), ValueError, "threshold must be above 0"),
        (lambda: valid_prediction_time(X, X, exponent=-0.1), ValueError, "exponent must be above 0"),
        (lambda: valid_prediction_time(X, X.astype(str)), TypeError, "forecast must hold real numbers"),
    ],
)
def test_bad_input_is_named(call, error, fragment):
    with pytest.raises(error) as raised:
        call()
    assert fragment in str(raised.value)
