"""FORCE: published behaviour, the ridge regression inside it, and the closed loop that it leaves."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from penstock import Map, Readout, SystemDefaults
from penstock.analysis import fixed_points, lyapunov_spectrum
from penstock.reservoirs import ESN, DeepESN, ResESN, force_train

pytestmark = pytest.mark.filterwarnings("ignore::penstock.reservoirs.EchoStateWarning")

PERIOD = 60
SINE = np.sin(2 * np.pi * np.arange(40 * PERIOD) / PERIOD)
SHORT = np.sin(np.arange(40) / 3)


def network(seed, n_units=200):
    return ESN.random(n_units, spectral_radius=1.5, density=0.1, leak=0.3, seed=seed)


def small(n_inputs=1, seed=0):
    return ESN.random(12, n_inputs=n_inputs, spectral_radius=1.2, bias_scaling=0.1, leak=0.5, seed=seed)


def frequency_and_amplitude(z):
    """Cycles per step at the highest peak of the spectrum, to 1 / (16 T), and the amplitude of a sine of that power."""
    spectrum = np.abs(np.fft.rfft((z - z.mean()) * np.hanning(len(z)), 16 * len(z)))
    return spectrum.argmax() / (16 * len(z)), np.sqrt(2) * z.std()


def lag_aligned_correlation(z, target):
    half = len(z) // 2
    return max(np.corrcoef(z[lag : lag + half], target[:half])[0, 1] for lag in range(PERIOD))


def free_run(result, n_steps=20 * PERIOD):
    return result.readout(result.closed_loop().run(n_steps, x0=result.state))[:, 0]


# --- published behaviour: Sussillo and Abbott 2009, figures 1 and 2 --------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_error_is_small_from_the_first_periods_and_the_weights_come_to_rest(seed):
    result = force_train(network(seed), SINE, progress=False)
    error = np.sqrt((result.error.reshape(-1, PERIOD) ** 2).mean(axis=1))
    assert error[1] < 0.1  # of a sine of root mean square 0.71: "small from the start"
    assert error[-1] < 0.03
    change = np.sqrt((result.weight_change.reshape(40, -1) ** 2).mean(axis=1))
    assert change[-5:].mean() < 0.1 * change[0]  # a tenth is far above what is measured, 1e-3 to 5e-2


@pytest.mark.parametrize("seed", range(4))
def test_the_trained_network_goes_on_with_the_sine_alone(seed):
    result = force_train(network(seed), SINE, progress=False)
    z = free_run(result)
    frequency, amplitude = frequency_and_amplitude(z[-15 * PERIOD :])
    # the resolution is 1 / 240 of the frequency; phase may drift, so nothing is compared point by point
    assert abs(frequency * PERIOD - 1) < 0.01
    assert abs(amplitude - 1) < 0.05
    assert lag_aligned_correlation(z[-4 * PERIOD :], SINE) > 0.98


def test_with_random_weights_of_the_same_length_it_makes_no_sine():
    trained = force_train(network(0), SINE, progress=False)
    W = np.random.default_rng(1).standard_normal((1, 200))
    W *= np.linalg.norm(trained.readout.W_out) / np.linalg.norm(W)
    z = free_run(dataclasses.replace(trained, readout=Readout(W, 0.0)))
    assert frequency_and_amplitude(z)[1] < 0.5
    assert lag_aligned_correlation(z[-4 * PERIOD :], SINE) < 0.9


def test_training_turns_chaos_into_a_stable_cycle():
    system = network(0)
    result = force_train(system, SINE, progress=False)
    before = lyapunov_spectrum(system, np.zeros(12_000), n_exponents=1, washout=2000, x0=result.state)
    assert before.exponents[0] > 3 * before.standard_errors[0]
    after = lyapunov_spectrum(result.closed_loop(), n_exponents=2, n_steps=3000, washout=500, x0=result.state)
    assert abs(after.exponents[0]) < before.exponents[0] / 10  # along the cycle neither growth nor decay
    assert after.exponents[1] < -before.exponents[0] / 10  # and all else decays


def test_fixed_points_of_the_closed_loop_are_found():
    result = force_train(small(), SINE, progress=False)
    closed = result.closed_loop()
    points = fixed_points(closed, x0=closed.run(100, x0=result.state)[::10])
    assert len(points.points) > 0
    for point in points.points:
        assert_allclose(closed.step(point, np.empty(0)), point, atol=1e-9)


# --- exact facts ----------------------------------------------------------------------------------------------------


def by_hand(system, target, u, x, W, alpha, every, washout, forgetting=1.0):
    """The published loop, line by line: drive, read, then the textbook update."""
    P, outputs, changes = np.eye(W.shape[1]) / alpha, [], []
    z = W @ x[system.observed]
    for t in range(len(target)):
        x = system.step(x, np.concatenate([u[t], z]))
        r = x[system.observed]
        z = W @ r
        outputs.append(z)
        if t >= washout and (t - washout + 1) % every == 0:
            k = P @ r
            c = 1 / (forgetting + r @ k)
            dW = -np.outer(z - target[t], c * k)
            P = (P - c * np.outer(k, k)) / forgetting
            W = W + dW
            changes.append(np.linalg.norm(dW, axis=1))
    return W, np.array(outputs), np.array(changes), x


SYSTEMS = {
    "ESN": lambda: small(3),
    "ResESN": lambda: ResESN.random(11, n_inputs=3, alpha=0.8, beta=0.2, seed=1),
    "DeepESN": lambda: DeepESN.random(8, n_inputs=3, n_layers=2, leak=0.5, seed=1),
    "Map": lambda: Map(lambda x, u: np.tanh(0.9 * np.roll(x, 1) + u.sum()), n_units=5, n_inputs=3),
}


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("forgetting", [1.0, 0.95])
def test_training_equals_the_published_loop_line_by_line(name, every, forgetting):
    system, rng = SYSTEMS[name](), np.random.default_rng(0)
    target, u = rng.standard_normal((50, 2)), rng.standard_normal((50, 1))
    x0, W = (
        rng.standard_normal(system.n_units),
        0.1 * rng.standard_normal((2, len(np.zeros(system.n_units)[system.observed]))),
    )
    settings = {"alpha": 0.5, "every": every, "washout": 7, "forgetting": forgetting}
    result = force_train(system, target, u=u, x0=x0, W_out=W, progress=False, **settings)
    W, outputs, changes, x = by_hand(system, target, u, x0, W, **settings)
    # feedback carries each rounding on: 50 steps of a system that hardly expands
    assert_allclose(result.readout.W_out, W, atol=1e-9)
    assert_allclose(result.outputs, outputs, atol=1e-9)
    assert_allclose(result.weight_change, changes, atol=1e-9)
    assert_allclose(result.state, x, atol=1e-9)
    assert_array_equal(result.update_steps, np.arange(7 + every - 1, 50, every))
    assert_array_equal(result.readout.offset, 0)


def test_the_weights_are_ridge_regression_on_the_states_that_training_visited():
    system, alpha = small(), 0.3
    result = force_train(system, SHORT, alpha=alpha, every=2, x0=np.ones(12), progress=False)
    fed_back = np.concatenate([[0.0], result.outputs[:-1, 0]])
    states = system.run(fed_back, x0=np.ones(12))
    X, Y = states[result.update_steps], SHORT[result.update_steps]
    expected = np.linalg.solve(X.T @ X + alpha * np.eye(12), X.T @ Y)
    assert_allclose(result.readout.W_out[0], expected, atol=1e-9)  # 20 updates, Gram matrix over penalty 1e2


def test_the_closed_loop_goes_on_from_where_training_ended():
    system = small()
    result = force_train(system, SHORT, progress=False)
    z = result.readout.W_out @ result.state
    assert_allclose(result.closed_loop().run(1, x0=result.state)[0], system.step(result.state, z), atol=1e-14)
    assert result.closed_loop().n_inputs == 0
    driven = force_train(small(2), SHORT, u=SHORT, progress=False)
    assert driven.closed_loop().n_inputs == 1


def test_same_seed_same_bits_and_another_seed_another_start():
    one, again, other = (force_train(small(), SHORT, seed=seed, progress=False) for seed in (3, 3, 4))
    assert_array_equal(one.outputs, again.outputs)
    assert abs(one.outputs - other.outputs).max() > 1e-3
    assert_array_equal(one.readout.W_out, again.readout.W_out)


def test_arguments_are_left_alone():
    x0, W, target = np.ones(12), np.ones((1, 12)), SHORT.copy()
    force_train(small(), target, x0=x0, W_out=W, progress=False)
    assert_array_equal(x0, 1)
    assert_array_equal(W, 1)
    assert_array_equal(target, SHORT)


def test_an_object_with_step_alone_and_a_float32_network_can_be_trained():
    class Bare:
        n_units, n_inputs = 3, 1

        def step(self, x, u):
            return np.tanh(np.array([[0, 1.5, 0], [-1.5, 0, 0.5], [0.3, 0, 0.9]]) @ x + u)

    assert np.isfinite(force_train(Bare(), SHORT, progress=False).readout.W_out).all()
    network = small()
    single = dataclasses.replace(network, W=network.W.astype(np.float32))
    result = force_train(single, SHORT, progress=False)
    assert result.state.dtype == np.float32
    # 40 steps, each with rounding errors of 1e-7, in a loop that expands a little
    assert_allclose(result.outputs, force_train(network, SHORT, progress=False).outputs, atol=1e-3)


def test_repr_and_figure_carry_the_settings():
    import matplotlib

    matplotlib.use("Agg")
    result = force_train(small(), SHORT, alpha=2.0, every=4, washout=4, progress=False)
    for part in ("9 updates", "alpha=2", "every=4", "forgetting=1", "washout=4", "ESN(n_units=12"):
        assert part in repr(result)
    ax = result.plot()
    assert ax.get_yscale() == "log" and ax.get_xlabel() == "step" and ax.get_legend() is not None


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_inputs", "target", "options", "message"),
    [
        (1, np.ones((9, 2)), {}, "target must have 1 to 1 channels, which enter the last inputs of system, got 2"),
        (1, np.ones((9, 0)), {}, "target must have 1 to 1 channels"),
        (1, np.where(np.arange(9) == 4, np.nan, 1.0), {}, r"target must be finite, got nan at index \(4,\)"),
        (1, np.ones((9, 1, 1)), {}, "target must have 1 or 2 dimensions"),
        (1, np.ones(1), {}, r"target must be longer than washout \+ every = 2 steps, got 1"),
        (1, np.ones(9), {"washout": 8}, r"target must be longer than washout \+ every = 10 steps, got 9"),
        (2, np.ones(9), {}, r"u must be given, shape \(9, 1\): system has 1 more inputs than outputs"),
        (2, np.ones(9), {"u": np.ones(8)}, r"u must have shape \(9, 1\): as many steps as target, .* got \(8, 1\)"),
        (1, np.ones(9), {"u": np.ones(9)}, r"u must have shape \(9, 0\)"),
        (1, np.ones(9), {"alpha": 0.0}, "alpha must be above 0, got 0"),
        (1, np.ones(9), {"alpha": -1.0}, "alpha must be above 0, got -1"),
        (1, np.ones(9), {"forgetting": 0.0}, r"forgetting must lie in \(0, 1\], got 0"),
        (1, np.ones(9), {"forgetting": 1.5}, r"forgetting must lie in \(0, 1\], got 1.5"),
        (1, np.ones(9), {"every": 0}, "every must be at least 1, got 0"),
        (1, np.ones(9), {"washout": -1}, "washout must be at least 0, got -1"),
        (1, np.ones(9), {"x0": np.ones(5)}, r"x0 must have shape \(12,\)"),
        (1, np.ones(9), {"W_out": np.ones((1, 5))}, r"W_out must have shape \(1, 12\), got \(1, 5\)"),
    ],
)
def test_bad_arguments_are_named(n_inputs, target, options, message):
    with pytest.raises(ValueError, match=message):
        force_train(small(n_inputs), target, **options)


def test_an_autonomous_system_and_something_else_are_refused():
    closed = force_train(small(), SHORT, progress=False).closed_loop()
    with pytest.raises(ValueError, match="target must have 1 to 0 channels"):
        force_train(closed, SHORT)
    with pytest.raises(TypeError, match="system must be a System"):
        force_train("network", SHORT)
    with pytest.raises(TypeError, match="seed must be"):
        force_train(small(), SHORT, seed=None)


def test_divergence_names_the_step():
    class Explosive(SystemDefaults):
        n_units, n_inputs = 2, 1

        def step(self, x, u):
            with np.errstate(over="ignore", invalid="ignore"):
                return 1e40 * x + u

    with pytest.raises(FloatingPointError, match=r"diverged at step \d"):
        force_train(Explosive(), SHORT, progress=False)
