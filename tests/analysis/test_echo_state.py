"""Echo-state index and edge of chaos against closed forms, loops of single runs and the Lyapunov exponent."""

import numpy as np
import pytest

from penstock import Map, identity
from penstock.analysis import echo_state_index, edge_of_chaos, lyapunov_spectrum
from penstock.reservoirs import ES2N, ESN, DeepESN, ResESN
from penstock.weights import orthogonal

pytestmark = pytest.mark.filterwarnings("ignore::penstock.reservoirs.EchoStateWarning")


def noise(n_steps, seed=0, scale=1.0):
    return np.random.default_rng(seed).uniform(-scale, scale, (n_steps, 1))


# --- echo-state index -----------------------------------------------------------------------------------------------


def test_the_index_is_the_mean_distance_of_single_runs():
    model, u = ESN.random(12, spectral_radius=1.2, leak=0.3, seed=0), noise(60)
    found = echo_state_index(model, u, n_starts=4, washout=20, tail=10, spread=0.5, seed=7)
    starts = np.random.default_rng(7).uniform(-0.5, 0.5, (5, 12))[:4]
    reference = model.run(u)
    distances = np.array([np.linalg.norm(model.run(u, x0) - reference, axis=1) for x0 in starts])
    # states of a batch and of single runs differ by rounding
    np.testing.assert_allclose(found.distances, distances, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(found.index, distances[:, 20:].mean(), rtol=1e-9)
    size = np.linalg.norm(reference, axis=1)
    np.testing.assert_allclose(found.tail_index, (distances / size)[:, -10:].mean(), rtol=1e-9)
    np.testing.assert_allclose(found.standard_error, distances[:, 20:].mean(axis=1).std(ddof=1) / 2, rtol=1e-8)


def test_the_index_of_a_linear_system_does_not_depend_on_the_input_and_decays_by_its_radius():
    model = ESN(0.95 * orthogonal(10, seed=0), np.ones((10, 1)), activation=identity)
    several = [echo_state_index(model, noise(200, seed, scale), seed=3) for seed, scale in ((0, 1), (1, 10))]
    starts = np.random.default_rng(3).uniform(-1, 1, (11, 10))[:10]
    # an orthogonal matrix keeps lengths: distances are those of the starts times 0.95^t
    exact = np.linalg.norm(starts, axis=1)[:, None] * 0.95 ** np.arange(1, 201)
    for found in several:
        # rounding of states of size 10 to 100
        np.testing.assert_allclose(found.distances, exact, rtol=1e-8, atol=1e-13)
        np.testing.assert_allclose(found.index, exact[:, 20:].mean(), rtol=1e-8)
        np.testing.assert_allclose(found.decay_rate, np.log(0.95), rtol=1e-7)
    np.testing.assert_allclose(several[0].index, several[1].index, rtol=1e-8)


SLOW = {
    "ESN": lambda: ESN.random(40, spectral_radius=0.95, input_scaling=0.3, seed=0),
    "leaky": lambda: ESN.random(40, leak=0.2, spectral_radius=0.9, seed=1),
    "deep": lambda: DeepESN.random(40, n_layers=2, leak=0.3, spectral_radius=0.9, seed=2),
    "ResESN": lambda: ResESN.random(40, alpha=0.9, beta=0.1, seed=3),
    "ES2N": lambda: ES2N.random(40, beta=0.1, seed=4),
    "map": lambda: Map(lambda x, u: np.tanh(0.97 * x + 0.3 * u), n_units=1, n_inputs=1),
}


@pytest.mark.parametrize("name", list(SLOW))
def test_decay_rate_is_the_conditional_lyapunov_exponent(name):
    model, u = SLOW[name](), noise(1000)
    found = echo_state_index(model, u, seed=5)
    assert found.forgotten.all()
    start, stop = found.fitted
    # over the steps that the decay saw, not over all: finite-time exponents differ
    exponent = lyapunov_spectrum(model, u[:stop], 1, washout=start, progress=False)
    error = np.hypot(found.decay_error, exponent.standard_errors[0])
    # 0.01: oscillation of the distances with complex eigenvalues, within a factor of two over a hundred steps
    assert abs(found.decay_rate - exponent.exponents[0]) < 3 * error + 0.01
    assert found.decay_error < 0.1


def test_the_decay_is_fitted_before_rounding_and_after_alignment():
    found = echo_state_index(ESN.random(30, spectral_radius=0.5, seed=0), noise(400), seed=0)
    start, stop = found.fitted
    assert found.distances[:, :stop].min() > 1e-13 * 0.1 and start == min(40, stop // 4)
    # what remains is rounding: far below 1e-13 of the states, or exactly nothing
    assert found.tail_index < 1e-13 and found.index < 1e-13


def test_a_chaotic_system_does_not_forget():
    model = ESN.random(100, n_inputs=0, spectral_radius=2.5, seed=0)
    found = echo_state_index(model, n_steps=400, seed=0)
    assert not found.forgotten.any() and found.tail_index > 0.3
    assert abs(found.decay_rate) < 0.05  # the distance stays at the size of the attractor
    assert "0 of 10 starts" in repr(found) and "NO EXPONENT" in repr(found) and not found.converged


def test_an_autonomous_reference_does_not_sit_on_the_fixed_point_at_the_origin():
    # two stable states, the origin unstable: a run from the origin would stay there
    model = ESN(2.0 * np.eye(1), np.empty((1, 0)))
    found = echo_state_index(model, n_steps=100, n_starts=40, seed=0)
    far = found.distances[:, -1] > 1
    np.testing.assert_allclose(found.distances[far, -1], 2 * 0.9575040240772687, rtol=1e-9)
    assert 0.2 < far.mean() < 0.8  # the signs of the starts


def test_zero_input_gives_finite_numbers():
    found = echo_state_index(ESN.random(20, spectral_radius=0.5, seed=0), np.zeros(300), seed=0)
    assert found.forgotten.all() and np.isfinite([found.index, found.tail_index, found.decay_rate]).all()
    np.testing.assert_allclose(found.decay_rate, np.log(0.5), atol=0.02)  # the linearisation at the origin


def test_single_precision_has_its_own_floor():
    setting, u = {"n_inputs": 2, "spectral_radius": 0.9, "seed": 0}, noise(1000).reshape(500, 2)
    found = echo_state_index(ESN.random(30, dtype=np.float32, **setting), u, seed=0)
    double = echo_state_index(ESN.random(30, **setting), u, seed=0)
    assert found.forgotten.all() and found.fitted[1] < double.fitted[1]
    assert abs(found.decay_rate - double.decay_rate) < 3 * np.hypot(found.decay_error, double.decay_error)
    assert "within 5.4e-05 of the size" in repr(found) and "within 1e-13 of the size" in repr(double)


def test_the_reference_starts_where_it_is_told_to():
    model = ESN([[0.5]], [[1.0]], activation=identity)
    found = echo_state_index(model, np.zeros(20), x0=[3.0], n_starts=1, seed=3)
    start = np.random.default_rng(3).uniform(-1, 1, (2, 1))[0, 0]
    np.testing.assert_allclose(found.distances[0], (3 - start) * 0.5 ** np.arange(1, 21), rtol=1e-12)
    free = Map(lambda x, u: 0.5 * x, n_units=1)
    found = echo_state_index(free, n_steps=20, x0=[3.0], n_starts=1, seed=3)
    np.testing.assert_allclose(found.distances[0], (3 - start) * 0.5 ** np.arange(1, 21), rtol=1e-12)


def test_blocks_do_not_change_the_distances(monkeypatch):
    import importlib

    module = importlib.import_module("penstock.analysis.echo_state")
    model, u = ESN.random(15, seed=0), noise(100)
    whole = echo_state_index(model, u, seed=0)
    monkeypatch.setattr(module, "BLOCK_BYTES", 8 * 11 * 15 * 7)
    assert (echo_state_index(model, u, seed=0).distances == whole.distances).all()


def test_time_is_in_units_of_dt():
    rule = {"n_units": 1, "n_inputs": 1}
    one = echo_state_index(Map(lambda x, u: 0.5 * x + u, **rule), noise(100), seed=0)
    # the last distance fitted is about 1e-13 of the state and known to a few 1e-16: 1e-2 in ln over 30 steps at worst
    assert one.decay_rate == pytest.approx(np.log(0.5), rel=1e-3)

    class Timed:
        n_units, n_inputs, dt = 1, 1, 0.1

        def step(self, x, u):
            return 0.5 * x + u

    assert echo_state_index(Timed(), noise(100), seed=0).decay_rate == pytest.approx(np.log(0.5) / 0.1, rel=1e-3)


def test_a_system_that_forgets_at_once_has_no_decay_rate():
    found = echo_state_index(Map(lambda x, u: 0 * x + u, n_units=1, n_inputs=1), noise(50), seed=0)
    assert found.index == 0 and found.forgotten.all() and np.isnan(found.decay_rate)


def test_bad_input_to_the_index_is_named():
    model = ESN.random(5, seed=0)
    for changes, message in (
        ({"n_starts": 0}, "n_starts must be at least 1"),
        ({"spread": 0.0}, "spread must be above 0"),
        ({"washout": 50}, "washout and tail must be shorter than the 50 steps"),
        ({"tail": 51}, "washout and tail must be shorter"),
        ({"tail": 0}, "tail must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            echo_state_index(model, np.zeros(50), **{"seed": 0, **changes})
    free = Map(lambda x, u: 0.5 * x, n_units=1)
    for system, arguments, message in (
        (free, {}, "n_steps must be the number of steps"),
        (free, {"u": 100}, "u must be None for a system without inputs"),
        (free, {"n_steps": 1}, "n_steps must be at least 2"),
        (model, {}, "u must be inputs of shape"),
        (model, {"u": np.zeros(50), "n_steps": 50}, "n_steps must be None for a driven system"),
        (model, {"u": np.zeros(50), "x0": np.zeros(3)}, "x0 must have shape"),
    ):
        with pytest.raises(ValueError, match=message):
            echo_state_index(system, **arguments, seed=0)
    with pytest.raises(TypeError, match="system must be a System"):
        echo_state_index(None, np.zeros(50), seed=0)
    with pytest.raises(TypeError, match="seed must be"):
        echo_state_index(model, np.zeros(50), seed=None)
    with pytest.raises(ValueError, match="u must be one series"):
        echo_state_index(model, np.zeros((2, 50, 1)), seed=0)
    with pytest.raises(ValueError, match="u must have at least 2 steps"):
        echo_state_index(model, np.zeros(1), seed=0)
    with pytest.raises(FloatingPointError, match="diverged"):
        echo_state_index(ESN([[3.0]], [[1.0]], activation=identity), np.ones(900), seed=0)


# --- edge of chaos --------------------------------------------------------------------------------------------------


def linear(radius, seed):
    return ESN.random(8, spectral_radius=radius, activation=identity, seed=seed)


def test_linear_systems_cross_exactly_at_radius_one():
    found = edge_of_chaos(linear, [0.8, 0.9, 1.0, 1.1], noise(600), seeds=[0, 1, 2], progress=False)
    # the exponent is ln of the radius; a complex leading pair makes growth oscillate, averaged over 540 steps
    np.testing.assert_allclose(found.exponents, np.log(found.values)[:, None] * np.ones(3), atol=5e-3)
    np.testing.assert_allclose(found.crossing, 1.0, atol=5e-3)


def test_the_crossing_is_interpolated():
    make = lambda radius, seed: ESN([[radius]], [[1.0]], activation=identity)  # noqa: E731
    found = edge_of_chaos(make, [0.9, 1.2], np.zeros(200), seeds=[0])
    expected = 0.9 + 0.3 * -np.log(0.9) / (np.log(1.2) - np.log(0.9))
    np.testing.assert_allclose(found.crossing, expected, rtol=1e-9)
    assert np.isnan(found.crossing_error) and found.kind == "driven"
    none = edge_of_chaos(make, [0.5, 0.9], np.zeros(200), seeds=[0, 1])
    assert np.isnan(none.crossing) and np.isnan(none.crossings).all() and "0 of 2 seeds" in repr(none)


def test_singular_systems_put_the_crossing_in_the_middle():
    # x' = v x + u: -inf at 0
    make = lambda v, seed: Map(lambda x, u: v * x + u, n_units=1, n_inputs=1)  # noqa: E731
    found = edge_of_chaos(make, [0.0, 1.5], np.ones(60), seeds=[0])
    assert np.isneginf(found.exponents[0, 0]) and found.crossing == 0.75


def test_systems_that_diverge_are_named_by_value_and_seed():
    make = lambda v, seed: ESN([[v]], [[1.0]], activation=identity)  # noqa: E731
    with pytest.raises(FloatingPointError, match=r"make\(20, 3\): the state diverged"):
        edge_of_chaos(make, [0.5, 20.0], np.ones(600), seeds=[3])


def test_crossings_are_averaged_over_seeds_with_their_error():
    # the edge of this family lies at 1 / (1 + seed/10)
    make = lambda value, seed: ESN([[value * (1 + seed / 10)]], [[1.0]], activation=identity)  # noqa: E731
    found = edge_of_chaos(make, np.linspace(0.5, 1.2, 36), np.zeros(60), seeds=[0, 1, 2], progress=False)
    exact = 1 / np.array([1.0, 1.1, 1.2])
    # linear interpolation of a logarithm over 0.02: error below 0.02^2 / 8
    np.testing.assert_allclose(found.crossings, exact, atol=6e-5)
    np.testing.assert_allclose(found.crossing, exact.mean(), atol=6e-5)
    np.testing.assert_allclose(found.crossing_error, exact.std(ddof=1) / np.sqrt(3), atol=6e-5)


def test_leak_does_not_move_the_edge_of_a_positive_linear_loop():
    make = lambda radius, seed: ESN([[radius]], [[1.0]], leak=0.3, activation=identity)  # noqa: E731
    found = edge_of_chaos(make, [0.7, 1.0, 1.3], np.zeros(200), seeds=[0])
    np.testing.assert_allclose(found.exponents[:, 0], np.log(0.7 + 0.3 * found.values), atol=1e-12)
    assert found.crossing == 1.0


def random_network(g, seed):
    return ESN.random(100, n_inputs=0, spectral_radius=g, seed=seed)


def test_random_networks_leave_the_origin_at_one_and_are_chaotic_well_above():
    found = edge_of_chaos(random_network, [0.8, 1.8, 2.4], seeds=[0, 1], n_steps=800, washout=300, progress=False)
    # below 1 all runs end at the origin, where the exponent is ln g; the transient is gone after 300 steps
    np.testing.assert_allclose(found.exponents[0], np.log(0.8), atol=5e-3)
    # with 100 units the onset of chaos lies somewhat above 1 (limit cycles first); by 1.8 all are chaotic
    assert (found.exponents[1:] > 3 * found.standard_errors[1:]).all()
    assert found.kind == "autonomous" and np.isfinite(found.crossings).all()


def test_input_moves_the_edge_up():
    make = lambda g, seed: ESN.random(50, spectral_radius=g, seed=seed)  # noqa: E731
    values = [1.0, 2.0, 3.0]
    weak = edge_of_chaos(make, values, noise(500, scale=0.1), seeds=[0, 2], progress=False)
    strong = edge_of_chaos(make, values, noise(500, scale=20.0), seeds=[0, 2], progress=False)
    # units driven to saturation have slopes near 0: chaos is suppressed by the input
    assert (weak.exponents > strong.exponents).all() and (weak.exponents[-1] > 0).all()
    assert (strong.exponents < 0).all() and np.isnan(strong.crossing)


def test_same_seed_same_bits():
    one, two = (edge_of_chaos(linear, [0.9, 1.1], noise(100), seeds=[3], progress=False) for _ in range(2))
    assert (one.exponents == two.exponents).all()
    model = ESN.random(10, seed=0)
    a, b = (echo_state_index(model, noise(100), seed=4) for _ in range(2))
    assert (a.distances == b.distances).all()


def test_bad_input_to_the_sweep_is_named():
    u = np.zeros(100)
    with pytest.raises(TypeError, match="make must be a function"):
        edge_of_chaos(linear(0.9, 0), [0.8, 1.0], u, seeds=[0])
    with pytest.raises(TypeError, match="system must be a System"):
        edge_of_chaos(lambda value, seed: None, [0.8, 1.0], u, seeds=[0])
    for values in ([1.0], [1.0, 0.9], [1.0, 1.0]):
        with pytest.raises(ValueError, match="values must be at least two increasing"):
            edge_of_chaos(linear, values, u, seeds=[0])
    with pytest.raises(ValueError, match="values must be finite"):
        edge_of_chaos(linear, [0.8, np.nan], u, seeds=[0])
    with pytest.raises(ValueError, match="seeds must hold at least one"):
        edge_of_chaos(linear, [0.8, 1.0], u, seeds=[])
    with pytest.raises(TypeError, match="seeds must be an integer"):
        edge_of_chaos(linear, [0.8, 1.0], u, seeds=[0.5])
    with pytest.raises(ValueError, match="u must be"):
        edge_of_chaos(linear, [0.8, 1.0], seeds=[0])


def test_plots_carry_the_numbers():
    found = echo_state_index(ESN.random(10, seed=0), noise(200), n_starts=3, seed=0)
    ax = found.plot()
    assert len(ax.lines) == 4 and f"{found.decay_rate:.3g}" in ax.get_legend().get_texts()[-1].get_text()
    edge = edge_of_chaos(linear, [0.8, 1.2], noise(100), seeds=[0, 1], progress=False)
    ax = edge.plot()
    np.testing.assert_allclose(ax.lines[2].get_ydata(), edge.exponents.mean(axis=1), rtol=1e-14)
    assert f"{edge.crossing:.3g}" in ax.get_legend().get_texts()[-1].get_text()
