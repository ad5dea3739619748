"""Growth without tangents: replicas against tangents, and Rosenstein's estimate against nolds and known exponents."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from penstock import Map, SystemDefaults
from penstock.analysis import lyapunov_spectrum, replica_growth, rosenstein_exponent
from penstock.checks import generators
from penstock.reservoirs import ESN


def logistic():
    return Map(lambda x, u: 4 * x * (1 - x), n_units=1, rule_jacobian=lambda x, u: np.array([4 - 8 * x]))


def logistic_series(n_steps, x0=0.3):
    return logistic().run(n_steps, x0=[x0])[:, 0]


# --- replicas -------------------------------------------------------------------------------------------------------


def test_replicas_of_a_reservoir_grow_at_its_leading_exponent():
    esn, u = ESN.random(20, leak=0.5, seed=0), np.random.default_rng(0).uniform(-1, 1, 4000)
    exact = lyapunov_spectrum(esn, u, n_exponents=1, washout=400)
    found = replica_growth(esn, u, washout=400, interval=5)
    # different first directions: what they had of the leading one, a factor of a few, is left after 3600 steps
    assert found.exponent == pytest.approx(exact.exponents[0], abs=1e-3)
    assert found.converged and found.kind == "driven"


def test_replicas_grow_as_tangents_in_the_same_direction():
    esn, u = ESN.random(20, leak=0.5, seed=0), np.random.default_rng(0).uniform(-1, 1, (1000, 1))
    found = replica_growth(esn, u, washout=100, interval=5, n_replicas=2, seed=7)
    x = esn.run(u[:50])[-1]
    V = generators(7, 2)[1].standard_normal((2, 20)).T  # the second generator draws the directions
    logs = np.zeros(2)
    for t in range(50, 1000):
        V = esn.jacobian(x, u[t]) @ V
        x = esn.step(x, u[t])
        if t >= 100:
            logs += np.log(np.linalg.norm(V, axis=0))
        V = V / (np.linalg.norm(V, axis=0) if t >= 99 else 1.0)
    # rounding of the states, 1e-16 / delta = 1e-8 at each of 180 renormalisations, divided by 5 steps
    np.testing.assert_allclose(found.per_replica, logs / 900, atol=1e-8)


def test_replicas_of_a_linear_map_grow_at_its_largest_modulus():
    A = np.array([[0.9, 0.4], [0.0, 0.5]])
    system = Map(lambda x, u: A @ x + 0.1, n_units=2)
    assert replica_growth(system, n_steps=800).exponent == pytest.approx(np.log(0.9), abs=1e-7)


def test_replicas_of_the_logistic_map_grow_by_ln_2():
    result = replica_growth(logistic(), n_steps=20_000, interval=4)
    assert result.exponent == pytest.approx(np.log(2), abs=5 * result.standard_error + 1e-3)
    assert result.delta == pytest.approx(1.49e-8, rel=1e-2)


class Quantised(SystemDefaults):
    """The tent map rounded to a grid of 1e-4: of derivative zero, yet it spreads at large sizes."""

    n_units, n_inputs = 1, 0

    def step(self, x, u):
        return np.round((1 - np.abs(2 * np.mod(np.real(x), 1.0) - 1)) * 0.99999, 4)


def test_the_rate_belongs_to_the_size():
    coarse = replica_growth(Quantised(), delta=1e-2, interval=1, n_steps=4000, x0=[0.3217])
    assert coarse.exponent == pytest.approx(np.log(2), abs=0.1)  # a grid of 1e-4 beside 1e-2, and folds within 1e-2
    fine = replica_growth(Quantised(), delta=1e-8, interval=1, n_steps=400, x0=[0.3217])
    assert fine.merged > 0 and np.isneginf(fine.exponent) and not fine.converged
    assert "replicas merged" in repr(fine)


def test_a_long_interval_is_noticed():
    result = replica_growth(logistic(), n_steps=4000, interval=40)
    assert not result.converged and "strayed far from delta" in repr(result)


def test_replicas_see_the_same_noise():
    esn = ESN.random(10, seed=1)
    noise = np.random.default_rng(0).standard_normal((2000, 1))
    assert replica_growth(esn, noise).exponent < 0


def test_the_same_seed_gives_the_same_bits():
    one, two = (replica_growth(logistic(), n_steps=1000, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.finite_time, two.finite_time)


def test_bad_arguments_of_replicas_are_named():
    with pytest.raises(ValueError, match="delta must be above 0"):
        replica_growth(logistic(), delta=0.0)
    with pytest.raises(ValueError, match="delta must be at least 2.2e-14, 100 times the rounding"):
        replica_growth(logistic(), delta=1e-16)
    with pytest.raises(ValueError, match="n_replicas must be at least 1"):
        replica_growth(logistic(), n_replicas=0)
    with pytest.raises(ValueError, match="interval must be at least 1"):
        replica_growth(logistic(), interval=0)
    with pytest.raises(ValueError, match="n_steps must be at least 400, got 100"):
        replica_growth(logistic(), n_steps=100)
    with pytest.raises(ValueError, match="u must be the inputs"):
        replica_growth(ESN.random(4, seed=0))


# --- series ---------------------------------------------------------------------------------------------------------


def nolds_measures():
    """The algorithms of nolds without its data sets, whose import fails on some Pythons."""
    package = importlib.util.find_spec("nolds")
    if package is None:
        pytest.skip("nolds is not installed")
    spec = importlib.util.spec_from_file_location("nolds_measures", Path(package.origin).with_name("measures.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_divergence_is_that_of_nolds():
    measures = nolds_measures()
    series, horizon, theiler = logistic_series(600), 8, 5
    slope, (steps, curve, _) = measures.lyap_r(
        series, emb_dim=3, lag=1, min_tsep=theiler, trajectory_len=horizon + 1, fit="poly", debug_data=True
    )
    ours = rosenstein_exponent(series, dimension=3, theiler=theiler, horizon=horizon, fit=(0, horizon))
    np.testing.assert_array_equal(steps, np.arange(horizon + 1))
    np.testing.assert_allclose(ours.divergence, curve, atol=1e-12)  # the same pairs: rounding
    assert ours.exponent == pytest.approx(slope, abs=1e-12)


def test_the_logistic_map_is_estimated_within_five_percent():
    estimate = rosenstein_exponent(logistic_series(3000), dimension=2, theiler=3, horizon=12, fit=(0, 6))
    assert estimate.exponent == pytest.approx(np.log(2), rel=0.05)  # folds bend the line; Rosenstein found 0.659
    assert 0 < estimate.standard_error < 0.05
    assert "ESTIMATE FROM DATA" in repr(estimate)


def henon(n_steps):
    rule = Map(lambda x, u: np.array([1 - 1.4 * x[0] ** 2 + x[1], 0.3 * x[0]]), n_units=2)
    return rule.run(n_steps + 100, x0=[0.1, 0.1])[100:, 0]


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("n_steps", [1000, 4000])
@pytest.mark.parametrize(("make", "true"), [(logistic_series, np.log(2)), (henon, 0.4192)])
def test_by_default_maps_are_estimated_within_the_stated_error(make, true, n_steps, dimension):
    estimate = rosenstein_exponent(make(n_steps), dimension=dimension)
    assert estimate.converged and abs(estimate.exponent - true) < estimate.standard_error < 0.15 * true


def test_by_default_noise_and_tori_are_not_given_an_exponent():
    rng, t = np.random.default_rng(0), np.arange(2000) * 0.0999
    correlated = np.convolve(rng.standard_normal(2000), 0.95 ** np.arange(200))[:2000]
    for series in (rng.standard_normal(2000), correlated, np.sin(t) + 0.01 * rng.standard_normal(2000)):
        for dimension in (1, 2, 5):
            estimate = rosenstein_exponent(series, dimension=dimension)
            assert "NOT CONVERGED" in repr(estimate) and not estimate.converged
            by_eye = "part by a factor of" in estimate.doubts[0]
            assert by_eye or estimate.standard_error == np.inf
    torus = np.sin(t) + 0.5 * np.sin(np.sqrt(2) * t)
    assert not rosenstein_exponent(torus, dimension=4, delay=12).converged


def test_a_bent_range_is_noticed():
    series = logistic_series(2000)
    assert rosenstein_exponent(series, dimension=2, horizon=30, fit=(1, 7)).converged
    bent = rosenstein_exponent(series, dimension=2, horizon=30, fit=(1, 20))
    assert "the slope changes within the fitted range" in repr(bent)


def test_the_error_is_the_jackknife_over_stretches():
    series, first, last = logistic_series(398), 1, 5
    found = rosenstein_exponent(series, dimension=1, theiler=3, horizon=8, fit=(first, last))
    n_pairs = 390
    apart = np.abs(np.subtract.outer(np.arange(n_pairs), np.arange(n_pairs)))
    gaps = np.where(apart <= 3, np.inf, np.abs(np.subtract.outer(series[:n_pairs], series[:n_pairs])))
    partner = gaps.argmin(axis=1)
    logs = np.array([[np.log(abs(series[i + k] - series[j + k])) for k in range(9)] for i, j in enumerate(partner)])
    kept = [np.delete(logs, rows, axis=0).mean(axis=0) for rows in np.split(np.arange(n_pairs), 10)]
    steps = np.arange(first, last + 1)
    slopes = np.array([np.polyfit(steps, curve[steps], 1)[0] for curve in kept])
    error = np.sqrt(9 / 10 * ((slopes - slopes.mean()) ** 2).sum())
    assert found.standard_error == pytest.approx(error, rel=1e-9)
    assert found.exponent == pytest.approx(np.polyfit(steps, logs.mean(axis=0)[steps], 1)[0], rel=1e-12)


def test_time_scales_the_estimate():
    series = logistic_series(1000)
    one = rosenstein_exponent(series, dimension=2, horizon=10, fit=(0, 5))
    tenth = rosenstein_exponent(series, dimension=2, horizon=10, fit=(0, 5), dt=0.1)
    assert tenth.exponent == pytest.approx(10 * one.exponent) and tenth.times[-1] == pytest.approx(1.0)


def test_a_sine_does_not_diverge():
    t = np.arange(3000) * 0.0999
    estimate = rosenstein_exponent(np.sin(t), dimension=2, delay=15, horizon=60, fit=(0, 60))
    assert abs(estimate.exponent) < 2e-3  # neighbours on a circle keep their distance; chance and the ends leave 1e-4
    assert 55 <= estimate.theiler <= 70  # the period, 62.9 steps, but for leakage


@pytest.mark.slow
def test_lorenz63_is_estimated_within_fifteen_percent():
    from numba import njit

    from penstock import Flow

    @njit
    def rule(x, u):
        return np.array([10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]])

    series = Flow(rule, 3, dt=0.01).run(30_000, x0=[1.0, 1.0, 20.0])[2000:, 0]
    estimate = rosenstein_exponent(series, dimension=5, delay=8, dt=0.01, horizon=300, fit=(50, 200))
    assert estimate.exponent == pytest.approx(0.9056, rel=0.15)  # what such estimates reach; NeuroKit printed 0.02
    long = rosenstein_exponent(series[:20_000], dimension=3, delay=10, dt=0.01)
    coarse = rosenstein_exponent(series[::5][:5000], dimension=3, delay=2, dt=0.05)
    for one in (long, coarse):
        assert one.converged and abs(one.exponent - 0.9056) < one.standard_error < 0.25
    # 50 units of time: neighbours are not near enough to part exponentially before they reach the attractor's width
    short = rosenstein_exponent(series[:5000], dimension=3, delay=10, dt=0.01)
    assert not short.converged and "neighbours part by a factor of" in repr(short)
    assert not rosenstein_exponent(series[:5000], dimension=1, dt=0.01).converged


def test_neighbours_are_the_nearest_beyond_the_theiler_window():
    from penstock.analysis.growth import _neighbours

    points = np.random.default_rng(0).standard_normal((80, 2)).cumsum(axis=0)
    apart = np.abs(np.subtract.outer(np.arange(80), np.arange(80)))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    distance[apart <= 7] = np.inf
    np.testing.assert_array_equal(_neighbours(points, 7), distance.argmin(axis=1))


def test_results_draw_themselves():
    from matplotlib import pyplot as plt

    estimate = rosenstein_exponent(logistic_series(500), dimension=2, horizon=10)
    assert "ln distance" in estimate.plot().get_ylabel()
    assert "growth rate" in replica_growth(logistic(), n_steps=500, interval=2).plot().get_ylabel()
    plt.close("all")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dimension": 0}, "dimension must be at least 1"),
        ({"dimension": 2, "delay": 0}, "delay must be at least 1"),
        ({"dimension": 2, "dt": 0.0}, "dt must be above 0"),
        ({"dimension": 2, "theiler": -1}, "theiler must be at least 0"),
        ({"dimension": 2, "horizon": 295}, "series must be longer than 300 samples"),
        ({"dimension": 2, "horizon": 10, "fit": (5, 5)}, "fit must be a first and a later last step"),
        ({"dimension": 2, "horizon": 10, "fit": (0, 11)}, "fit must be a first and a later last step"),
        ({"dimension": 2, "horizon": 10, "fit": 3}, "fit must be a first and a later last step, got 3"),
    ],
)
def test_bad_arguments_of_series_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        rosenstein_exponent(logistic_series(300), **arguments)


def test_series_without_divergence_are_refused():
    with pytest.raises(ValueError, match="series must vary"):
        rosenstein_exponent(np.ones(300), dimension=2)
    with pytest.raises(ValueError, match="series must not repeat itself exactly"):
        rosenstein_exponent(np.tile([0.0, 1.0, 3.0], 100), dimension=2, horizon=5)
    with pytest.raises(ValueError, match="series must be finite"):
        rosenstein_exponent(np.full(300, np.nan), dimension=2)
