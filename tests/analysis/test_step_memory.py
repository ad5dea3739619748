import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from penstock import Map
from penstock.analysis import step_memory
from penstock.reservoirs import ESN


def linear(A, C):
    return Map(lambda x, u: A @ x + C @ u, n_units=len(A), n_inputs=C.shape[1])


def random_linear(n, m, seed, radius=0.8):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, n))
    return A * radius / np.abs(np.linalg.eigvals(A)).max(), rng.standard_normal((n, m)), rng.standard_normal(n)


def test_linear_network_has_its_impulse_response():
    A, C, c = random_linear(10, 1, 0)
    result = step_memory(linear(A, C), amplitude=-1.7, n_steps=60, readout=c)
    exact = [abs(c @ np.linalg.matrix_power(A, t + 1) @ C[:, 0]) * 1.7 for t in range(59)]
    # roundings of outputs of size 30
    assert_allclose(result.memory, exact, atol=4e-14)
    assert result.drift == 0 and result.settled


def test_several_channels_and_outputs_are_met_together():
    A, C, _ = random_linear(6, 3, 1)
    readout = np.random.default_rng(2).standard_normal((2, 6))
    step = np.array([1.0, -2.0, 0.5])
    result = step_memory(linear(A, C), amplitude=step, n_steps=30, readout=readout)
    exact = [np.linalg.norm(readout @ np.linalg.matrix_power(A, t + 1) @ C @ step) for t in range(29)]
    assert_allclose(result.memory, exact, atol=1e-13)
    whole = step_memory(linear(A, C), amplitude=step, n_steps=30)
    exact = [np.linalg.norm(np.linalg.matrix_power(A, t + 1) @ C @ step) for t in range(29)]
    assert_allclose(whole.memory, exact, atol=1e-13)
    assert_array_equal(step_memory(linear(A, C), amplitude=2.0, n_steps=9).amplitude, [2.0, 2.0, 2.0])


def test_a_leaky_unit_decays_exponentially():
    result = step_memory(linear(np.array([[0.9]]), np.ones((1, 1))), n_steps=100)
    assert result.exponential.rate == pytest.approx(-np.log(0.9), abs=1e-9)
    assert result.exponential.prefactor == pytest.approx(0.9, rel=1e-8)
    # relative rounding of M, at the end 1e-16 / 1e-4
    assert result.exponential.residual < 1e-9
    assert result.power_law.residual > 0.3


def test_slowest_mode_decides_the_rate_once_the_others_are_gone():
    A = np.diag([0.95, 0.5, -0.3])
    result = step_memory(linear(A, np.ones((3, 1))), n_steps=300, fit_from=60)
    assert result.exponential.rate == pytest.approx(-np.log(0.95), rel=1e-8)
    assert result.fitted[0] == 60


def test_a_convolution_with_a_power_law_decays_as_one():
    n, exponent = 200, 1.3
    register = Map(lambda x, u: np.concatenate([u, x[:-1]]), n_units=n, n_inputs=1)
    result = step_memory(register, n_steps=n - 1, readout=3.0 * np.arange(n + 0.0, 0, -1)[::-1] ** -exponent)
    # y_{t+1} - y_t is the coefficient at delay t + 1, 3 (t + 2)^-p, fitted against (t + 1)^-p from t = 20
    assert_allclose(result.memory, 3.0 * np.arange(2.0, n) ** -exponent, atol=1e-13)
    late = step_memory(register, n_steps=n - 1, fit_from=20, readout=3.0 * np.arange(0.0, n).clip(0.5) ** -exponent)
    assert late.power_law.rate == pytest.approx(exponent, abs=1e-9)
    assert late.power_law.prefactor == pytest.approx(3.0, rel=1e-8)
    assert late.power_law.residual < 1e-9 < late.exponential.residual


def test_small_steps_of_a_network_at_rest_meet_its_linear_part():
    esn = ESN.random(10, spectral_radius=0.7, bias_scaling=0.0, seed=0)
    J, C = esn.jacobian(np.zeros(10), [0.0]), esn.input_jacobian(np.zeros(10), [0.0])
    result = step_memory(esn, amplitude=1e-5, n_steps=20)
    exact = [np.linalg.norm(np.linalg.matrix_power(J, t + 1) @ C[:, 0]) * 1e-5 for t in range(19)]
    # the cubic term of tanh, 1e-15 each step
    assert_allclose(result.memory, exact, atol=1e-13)


def test_bias_is_washed_out_before_the_step():
    esn = ESN.random(10, spectral_radius=0.7, bias_scaling=0.5, seed=0)
    result = step_memory(esn, n_steps=30)
    rest = esn.run(np.zeros(2000))[-1]
    states = esn.run(np.ones(30), rest)
    assert_allclose(result.memory, np.linalg.norm(np.diff(states, axis=0), axis=1), atol=1e-14)
    assert result.settled and result.drift < 1e-14
    early = step_memory(esn, n_steps=30, washout=2)
    assert not early.settled and "NOT settled" in repr(early)


def test_a_chaotic_network_is_said_not_to_settle():
    wild = Map(lambda x, u: 3.9 * x * (1 - x) + 1e-3 * u + 0.01 * (x == 0), n_units=1, n_inputs=1)
    assert not step_memory(wild, n_steps=100).settled


def test_finite_memory_is_fitted_where_there_is_any():
    register = Map(lambda x, u: np.concatenate([u, x[:-1]]), n_units=2, n_inputs=1)
    result = step_memory(register, n_steps=20)
    assert_allclose(result.memory, [1.0] + [0.0] * 18)
    assert np.isnan(result.exponential.rate) and len(result.fitted) == 1
    assert step_memory(Map(lambda x, u: u, n_units=1, n_inputs=1), n_steps=5).fitted.size == 0


def test_values_before_the_fit_do_not_end_it():
    # the response arrives after three steps: M(0) = M(1) = 0, then 0.9^t
    A = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.9]])
    result = step_memory(linear(A, np.array([[1.0], [0.0], [0.0]])), readout=[0.0, 0.0, 1.0], n_steps=60, fit_from=4)
    assert_allclose(result.memory[:4], [0, 1, 0.9, 0.81], atol=1e-15)
    assert result.exponential.rate == pytest.approx(-np.log(0.9), abs=1e-9)
    assert result.fitted[0] == 4


def test_without_washout_it_is_checked_that_zero_is_at_rest():
    assert step_memory(linear(np.array([[0.5]]), np.ones((1, 1))), washout=0, n_steps=9).settled
    biased = step_memory(Map(lambda x, u: 0.5 * x + u + 1, n_units=1, n_inputs=1), washout=0, n_steps=9)
    assert biased.drift == 1 and not biased.settled


@pytest.mark.parametrize("washout", [0, 1, 3])
def test_drift_is_the_change_in_the_last_step_at_rest(washout):
    result = step_memory(Map(lambda x, u: 0.5 * x + u + 1, n_units=1, n_inputs=1), washout=washout, n_steps=5)
    assert result.drift == 0.5 ** max(washout - 1, 0)  # 0, 1, 1.5, 1.75, ..
    # from x = 2 - 2^(1 - washout) towards 4: the distance halves in every step, and M is half the distance
    assert_allclose(result.memory, (4 - (2 - 2 * 0.5**washout)) * 0.5 ** np.arange(2.0, 6.0))


def test_rounding_is_not_fitted():
    result = step_memory(linear(np.array([[0.5]]), np.ones((1, 1))), n_steps=1000)
    assert result.fitted[-1] < 60  # .5^44 is 1e-13 of the output
    assert result.exponential.rate == pytest.approx(np.log(2), abs=1e-3)


@pytest.mark.parametrize(
    ("settings", "error", "fragment"),
    [
        ({"amplitude": 0.0}, ValueError, "amplitude must not be 0"),
        ({"amplitude": [1.0, 2.0]}, ValueError, "amplitude must be a number or have shape (1,)"),
        ({"amplitude": np.nan}, ValueError, "amplitude must be finite"),
        ({"n_steps": 1}, ValueError, "n_steps must be at least 2"),
        ({"n_steps": 2.0}, TypeError, "n_steps must be an integer"),
        ({"washout": -1}, ValueError, "washout must be at least 0"),
        ({"fit_from": 9, "n_steps": 10}, ValueError, "fit_from must be at most n_steps - 2 = 8"),
        ({"readout": np.ones(3)}, ValueError, "readout must have shape (5,)"),
    ],
)
def test_bad_input_is_named(settings, error, fragment):
    with pytest.raises(error) as raised:
        step_memory(ESN.random(5, seed=0), **settings)
    assert fragment in str(raised.value)


def test_systems_of_no_use_are_named():
    with pytest.raises(TypeError, match="system must be a System"):
        step_memory(None)
    with pytest.raises(ValueError, match="system must have inputs"):
        step_memory(Map(lambda x, u: 0.5 * x, n_units=2))
    with pytest.raises(FloatingPointError, match="diverged"), np.errstate(all="ignore"):
        step_memory(Map(lambda x, u: 3 * x + u, n_units=1, n_inputs=1), n_steps=2000)


def test_result_says_what_produced_it_and_draws_itself():
    import matplotlib.pyplot as plt

    result = step_memory(ESN.random(5, seed=0), amplitude=0.5, n_steps=50)
    for part in ("exponential rate", "power law", "of 49 values", "step of [0.5] after 500 steps", "settled"):
        assert part in repr(result)
    axes = result.plot()
    assert axes.get_yscale() == "log" and axes.get_ylabel() == "memory function M(t)"
    assert_allclose(axes.lines[0].get_ydata(), result.memory)
    step_memory(Map(lambda x, u: u, n_units=1, n_inputs=1), n_steps=5).plot()
    plt.close("all")


def test_rounding_of_single_precision_is_not_fitted():
    esn = ESN.random(6, seed=0, dtype=np.float32)
    result = step_memory(esn, n_steps=400)
    assert result.fitted.size < 100  # M falls to the rounding of single precision, 1e-7, and stays there
    assert result.memory[result.fitted].min() > 1e-6


def test_a_slow_approach_to_rest_is_not_settled():
    slow = Map(lambda x, u: 0.9 * x + u + 1, n_units=1, n_inputs=1)
    assert not step_memory(slow, washout=60, n_steps=9).settled  # it still moves by 0.9^59 = 2e-3
    assert step_memory(slow, washout=200, n_steps=9).settled
