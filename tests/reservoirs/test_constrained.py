"""Primal-dual training: gradients, the constraint at every step, and what it guarantees."""

import numpy as np
import pytest
from scipy.optimize import brentq

from penstock import Readout, identity, relu, sigmoid, tanh
from penstock.analysis import stability
from penstock.reservoirs import ESN, train_constrained
from penstock.reservoirs.constrained import project_rows

pytestmark = pytest.mark.filterwarnings("ignore::penstock.reservoirs.EchoStateWarning")


def uniform(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape)


def delayed_mixture(n_series=64, n_steps=30, seed=0):
    """Inputs, and the target 0.5 u_{t-2} + 0.3 u_{t-1}."""
    u = uniform(n_series, n_steps, 1, seed=seed)
    d = np.zeros_like(u)
    d[:, 1:] += 0.3 * u[:, :-1]
    d[:, 2:] += 0.5 * u[:, :-2]
    return u, d


def small_network(n_units=12, seed=0, **keywords):
    return ESN.random(n_units, spectral_radius=0.3, input_scaling=0.5, seed=seed, **keywords)


def train(esn, u, d, **keywords):
    return train_constrained(esn, u, d, **{"progress": False, "learning_rate": 0.4} | keywords)


def row_sums(W):
    return np.abs(W).sum(axis=1)


# --- gradients ------------------------------------------------------------------------------------------------------


def loss(parts, esn, u, d, washout):
    """Mean square error, one step of one series at a time; for complex parameters too."""
    W, W_in, bias, W_out, offset = parts
    total = 0.0
    for series, target in zip(u, d, strict=True):
        h = np.zeros(len(W))
        for t in range(len(series)):
            h = (1 - esn.leak) * h + esn.leak * esn.activation(W @ h + W_in @ series[t] + bias)
            if t >= washout:
                total = total + ((W_out @ h + offset - target[t]) ** 2).sum()
    return total / d[:, washout:].size


def complex_step_gradient(parts, *data):
    gradient = [np.empty_like(part) for part in parts]
    for number, part in enumerate(parts):
        for index in np.ndindex(part.shape):
            moved = [np.array(other, complex) for other in parts]
            moved[number][index] += 1e-30j
            gradient[number][index] = loss(moved, *data).imag / 1e-30
    return gradient


def parts_of(esn, readout):
    return [np.array(part) for part in (esn.W, esn.W_in, esn.bias, readout.W_out, readout.offset)]


@pytest.mark.parametrize("activation", [tanh, sigmoid, relu, identity])
@pytest.mark.parametrize("leak", [1.0, np.array([0.3, 0.6, 1.0, 0.8])])
@pytest.mark.parametrize("washout", [0, 3])
def test_one_step_goes_down_the_gradient_of_the_complex_step(activation, leak, washout):
    esn = ESN(0.4 * uniform(4, 4), uniform(4, 2, seed=1), uniform(4, seed=2), leak, activation)
    readout = Readout(uniform(3, 4, seed=3), uniform(3, seed=4))
    u, d = uniform(2, 7, 2, seed=5), uniform(2, 7, 3, seed=6)
    result = train(esn, u, d, readout=readout, n_steps=1, washout=washout, learning_rate=0.01, contraction_rate=np.inf)
    before, after = parts_of(esn, readout), parts_of(result.system, result.readout)
    assert result.loss[0] == pytest.approx(loss(before, esn, u, d, washout), rel=1e-13)
    for old, new, slope in zip(before, after, complex_step_gradient(before, esn, u, d, washout), strict=True):
        np.testing.assert_allclose((old - new) / 0.01, slope, atol=1e-12)  # the division magnifies rounding by 100


def test_momentum_is_nesterovs():
    esn, readout = ESN(0.3 * uniform(3, 3), uniform(3, 1), uniform(3)), Readout(uniform(1, 3), 0.2)
    u, d = uniform(2, 6, 1), uniform(2, 6, 1, seed=1)
    result = train(esn, u, d, readout=readout, n_steps=3, learning_rate=0.1, momentum=0.8, contraction_rate=np.inf)
    w, v = parts_of(esn, readout), [0.0] * 5
    for _ in range(3):
        g = complex_step_gradient(w, esn, u, d, 0)
        v = [0.8 * v_i - 0.1 * g_i for v_i, g_i in zip(v, g, strict=True)]
        w = [w_i + 0.8 * v_i - 0.1 * g_i for w_i, v_i, g_i in zip(w, v, g, strict=True)]
    for mine, theirs in zip(parts_of(result.system, result.readout), w, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-13)


def test_error_is_that_of_the_trained_system_and_readout():
    u, d = delayed_mixture(8)
    result = train(small_network(leak=0.7), u, d, n_steps=30, washout=4)
    y = result.readout(result.system.run(u))
    assert result.error == pytest.approx(np.mean((y - d)[:, 4:] ** 2), rel=1e-12)


# --- the projection -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [0.1, 0.99, 4.0])
def test_rows_are_projected_to_the_nearest_point_of_the_ball(bound):
    W = uniform(50, 20) * np.logspace(-2, 1, 50)[:, None]
    projected = project_rows(W, bound)
    for row, mine in zip(W, projected, strict=True):
        expected = row
        if np.abs(row).sum() > bound:  # soft thresholding, the threshold from a root finder
            size = np.abs(row)
            threshold = brentq(lambda c, size=size: np.maximum(size - c, 0).sum() - bound, 0, size.max(), xtol=1e-15)
            expected = np.sign(row) * np.maximum(size - threshold, 0)
        np.testing.assert_allclose(mine, expected, atol=1e-12)  # the root finder's own error, times 20 entries


def test_projected_rows_hold_the_bound_rounding_included():
    for n in (1, 2, 7, 300):
        W = project_rows(1e4 * uniform(200, n, seed=n), 0.99)
        assert row_sums(W).max() <= 0.99
        assert row_sums(W[:, ::-1]).max() <= 0.99
        np.testing.assert_array_equal(project_rows(W, 0.99), W)
    np.testing.assert_array_equal(project_rows(uniform(5, 5), np.inf), uniform(5, 5))
    np.testing.assert_array_equal(project_rows(np.zeros((2, 2)), 1.0), np.zeros((2, 2)))


# --- the constraint -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    u, d = delayed_mixture(200)
    return train(small_network(), u, d, batch_size=20, seed=0)


def test_working_check_of_the_delayed_mixture(trained):
    """Recomputed for the reference: 4.6e-4 with largest row sum 0.994, against 6.6e-4 and 4.12 without constraint."""
    assert trained.error < 1.5e-3  # three times that figure, which depends on the draw; the target's variance is 0.11
    assert 0.9 < trained.largest_row_sum[-1] <= 0.99
    assert len(trained.loss) == 1500
    assert (trained.multipliers >= 0).all() and trained.multipliers.max() > 0


def test_row_sums_hold_the_bound_at_every_step(trained):
    assert len(trained.largest_row_sum) == 1501
    assert trained.largest_row_sum.max() <= 0.99
    assert row_sums(trained.system.W).max() == trained.largest_row_sum[-1]


def test_without_the_constraint_the_row_sums_exceed_it():
    u, d = delayed_mixture(200)
    free = train(small_network(), u, d, batch_size=20, seed=0, n_steps=800, contraction_rate=np.inf)
    assert free.error < 3e-3
    assert free.largest_row_sum[-1] > 1.3
    assert not free.multipliers.any()
    assert "not constrained" in repr(free)


@pytest.mark.parametrize(("activation", "gamma"), [(tanh, 1.0), (sigmoid, 0.25), (relu, 1.0), (identity, 1.0)])
def test_the_bound_is_the_rate_over_the_largest_slope(activation, gamma):
    u, d = delayed_mixture(10)
    start = ESN.random(12, spectral_radius=8.0, activation=activation, seed=0)
    result = train(start, u, d, n_steps=40, learning_rate=0.05, contraction_rate=0.9)
    assert result.bound == pytest.approx(0.9 / gamma, rel=1e-15)
    assert result.largest_row_sum.max() <= result.bound  # from the start on, which lay far outside
    assert stability(result.system, progress=False).rate <= 0.9 + 1e-12


def test_trajectories_from_different_starts_meet_geometrically(trained):
    u = uniform(300, 1, seed=9)
    starts = uniform(6, 12, seed=10)
    for esn, leak in (
        (trained.system, 1.0),
        (train(small_network(leak=0.3), *delayed_mixture(8), n_steps=300).system, 0.3),
    ):
        rate = 1 - leak * (1 - 0.99)
        runs = np.array([esn.run(u, x0=start) for start in starts])
        for a in range(6):
            for b in range(a):
                apart = np.abs(runs[a] - runs[b]).max(axis=1)
                bound = rate ** np.arange(1, 301) * np.abs(starts[a] - starts[b]).max()
                assert (apart <= bound).all()  # at its end the bound is 0.05 or more, far from rounding
        assert stability(esn, progress=False).certified


# --- the multipliers ------------------------------------------------------------------------------------------------


def scalar_teacher(weight):
    """Inputs, and the answers of h_t = w h_{t-1} + u_t."""
    u = uniform(50, 8, 1)
    return u, ESN([[weight]], [[1.0]], activation=identity).run(u)


def test_an_optimum_inside_the_bound_is_found_and_its_multiplier_is_idle():
    u, d = scalar_teacher(0.5)
    start = ESN([[-0.2]], [[1.0]], activation=identity)
    result = train(start, u, d, readout=Readout([[1.0]], 0.0), contraction_rate=0.9, n_steps=1500, learning_rate=0.1)
    np.testing.assert_allclose(result.system.W, 0.5, atol=1e-6)
    assert result.error < 1e-12
    assert result.multipliers.tolist() == [0.0]


def test_an_optimum_outside_ends_on_the_bound_with_the_multiplier_of_kuhn_and_tucker():
    u, d = scalar_teacher(1.3)
    start, readout = ESN([[0.3]], [[1.0]], activation=identity), Readout([[1.0]], 0.0)
    rates = {"learning_rate": 0.05, "penalty_rate": 0.05, "multiplier_rate": 2.0}
    result = train(start, u, d, readout=readout, contraction_rate=0.9, n_steps=2000, **rates)
    np.testing.assert_allclose(result.system.W, 0.9, atol=1e-9)
    parts = parts_of(result.system, result.readout)
    gradient = complex_step_gradient(parts, start, u, d, 0)
    # at rest: rate of learning * dJ/dW + rate of the penalty * lambda sign(W) = 0, and all other slopes vanish
    np.testing.assert_allclose(result.multipliers, -gradient[0][0], rtol=1e-6)
    assert result.multipliers[0] > 1
    np.testing.assert_allclose(np.concatenate([part.ravel() for part in gradient[1:]]), 0, atol=1e-7)


def test_multipliers_take_the_published_step_before_the_projection():
    u, d = scalar_teacher(1.3)
    start, readout = ESN([[0.9]], [[1.0]], activation=identity), Readout([[1.0]], 0.0)
    rates = {"learning_rate": 0.05, "penalty_rate": 0.5, "multiplier_rate": 2.0}
    one = train(start, u, d, readout=readout, contraction_rate=0.9, n_steps=1, **rates)
    slope = complex_step_gradient(parts_of(start, readout), start, u, d, 0)[0][0, 0]
    # the first update has no multiplier yet: W leaves the bound by the gradient's step alone
    assert one.multipliers[0] == pytest.approx(2.0 * -0.05 * slope, rel=1e-9)
    two = train(start, u, d, readout=readout, contraction_rate=0.9, n_steps=2, **rates)
    slope = complex_step_gradient(parts_of(one.system, one.readout), start, u, d, 0)[0][0, 0]
    excess = one.system.W[0, 0] - 0.05 * slope - 0.5 * one.multipliers[0] - 0.9
    assert two.multipliers[0] == pytest.approx(max(0.0, one.multipliers[0] + 2.0 * excess), rel=1e-9)


# --- data, seeds, errors --------------------------------------------------------------------------------------------


def test_one_series_is_a_batch_of_one_and_one_target_needs_no_axis():
    u, d = delayed_mixture(3)
    whole = train(small_network(), u, d, n_steps=5)
    flat = train(small_network(), u, d[..., 0], n_steps=5)
    np.testing.assert_array_equal(whole.system.W, flat.system.W)
    alone = train(small_network(), u[0, :, 0], d[0, :, 0], n_steps=5)
    np.testing.assert_array_equal(alone.system.W, train(small_network(), u[:1], d[:1], n_steps=5).system.W)


def test_batches_visit_every_series_once_before_any_again():
    u, d = delayed_mixture(6)
    still = {"n_steps": 4, "learning_rate": 1e-300, "batch_size": 3, "seed": 1}
    result = train(small_network(), u, d, readout=Readout(np.zeros((1, 12)), 0.0), **still)
    # a zero readout answers 0: two batches of three together have the loss of all six
    everything = np.mean(d**2)
    np.testing.assert_allclose(result.loss.reshape(2, 2).mean(axis=1), everything, rtol=1e-12)


def test_the_last_batch_of_a_round_takes_what_is_left():
    u, d = delayed_mixture(5)
    result = train(small_network(), u, d, n_steps=6, learning_rate=1e-300, batch_size=2, seed=1)
    # rounds of two, two and one: weighted by their sizes, every round has the loss of all five
    np.testing.assert_allclose(result.loss.reshape(2, 3) @ [0.4, 0.4, 0.2], np.mean(d**2), rtol=1e-12)


def test_same_seed_same_bits_and_another_seed_another_order():
    u, d = delayed_mixture(12)
    runs = [train(small_network(), u, d, n_steps=20, batch_size=4, seed=seed) for seed in (3, 3, 4)]
    np.testing.assert_array_equal(runs[0].system.W, runs[1].system.W)
    assert not np.array_equal(runs[0].system.W, runs[2].system.W)


def test_start_is_left_alone_and_sparse_or_float32_starts_train_in_float64():
    u, d = delayed_mixture(4)
    for start in (small_network(), small_network(density=0.3), small_network(dtype=np.float32)):
        before = start.run(u[0])
        result = train(start, u, d, n_steps=3)
        np.testing.assert_array_equal(start.run(u[0]), before)
        assert result.system.dtype == np.float64 and isinstance(result.system.W, np.ndarray)
        assert result.largest_row_sum.max() <= 0.99


def test_a_start_that_diverges_is_named():
    u, d = delayed_mixture(4)
    with pytest.raises(FloatingPointError, match=r"the training diverged at step \d+, .*lower learning_rate"):
        train(small_network(activation=identity), u, d, learning_rate=1e4, n_steps=200, contraction_rate=np.inf)


def test_repr_and_plot_tell_the_course(trained):
    from matplotlib import pyplot as plt

    text = repr(trained)
    assert "after 1500 steps" in text and "at most 0.99 at every step" in text and "batch_size 20" in text
    ax = trained.plot()
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), trained.loss)
    right = ax.figure.axes[1]
    np.testing.assert_array_equal(right.lines[0].get_ydata(), trained.largest_row_sum)
    assert list(right.lines[1].get_ydata()) == [0.99, 0.99]
    plt.close("all")


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"esn": np.eye(3)}, TypeError, "esn must be an ESN"),
        ({"inputs": np.ones((4, 5, 2))}, ValueError, "u must have shape"),
        ({"targets": np.ones((4, 6, 1))}, ValueError, r"targets must have shape \(4, 5\) or \(4, 5, 'k'\)"),
        ({"targets": np.ones(4)}, ValueError, "targets must have shape"),
        ({"targets": np.full((4, 5), np.nan)}, ValueError, "targets must be finite"),
        ({"readout": np.ones((1, 12))}, TypeError, "readout must be a penstock.Readout"),
        ({"readout": Readout(np.ones((2, 12)), 0.0)}, ValueError, r"readout must have weights \(1, 12\)"),
        ({"n_steps": 0}, ValueError, "n_steps must be at least 1"),
        ({"washout": 5}, ValueError, "washout must be below the 5 steps"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate must be above 0"),
        ({"penalty_rate": -1.0}, ValueError, "penalty_rate must be at least 0"),
        ({"multiplier_rate": -1.0}, ValueError, "multiplier_rate must be at least 0"),
        ({"contraction_rate": 1.5}, ValueError, r"contraction_rate must lie in \(0, 1\]"),
        ({"contraction_rate": 0.0}, ValueError, r"contraction_rate must lie in \(0, 1\]"),
        ({"momentum": 1.0}, ValueError, r"momentum must lie in \[0, 1\)"),
        ({"batch_size": 5, "seed": 0}, ValueError, "batch_size must be at most the 4 series"),
        ({"batch_size": 2}, TypeError, "seed must be a non-negative integer, got None"),
    ],
)
def test_bad_arguments_are_named(keywords, error, message):
    arguments = {"esn": small_network(), "inputs": np.ones((4, 5, 1)), "targets": np.ones((4, 5, 1))} | keywords
    positional = [arguments.pop(name) for name in ("esn", "inputs", "targets")]
    with pytest.raises(error, match=message):
        train_constrained(*positional, **arguments)
