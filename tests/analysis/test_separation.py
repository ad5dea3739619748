import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.signal import lfilter
from scipy.stats import entropy

from penstock import Map, Signs, ridge
from penstock.analysis import (
    autocorrelation_time,
    effective_degrees_of_freedom,
    generalisation_rank,
    henrici_number,
    kernel_rank,
    participation_ratio,
    separation,
)
from penstock.reservoirs import ESN

module = importlib.import_module("penstock.analysis.separation")


def linear(A, C):
    return Map(lambda x, u: A @ x + C @ u, n_units=len(A), n_inputs=C.shape[1])


def rotation(n, radius, seed=0):
    rng = np.random.default_rng(seed)
    return radius * np.linalg.qr(rng.standard_normal((n, n)))[0], rng.standard_normal((n, 1))


def register(n):
    return Map(lambda x, u: np.concatenate([u, x[:-1]]), n_units=n, n_inputs=1)


# Ranks


@pytest.mark.parametrize("shared", [1, 7, 30])
def test_shared_steps_shrink_the_deviations_of_a_linear_system_by_its_power(shared):
    """States are a common vector and A^s times the difference that the streams brought: A = .8 O keeps its shape."""
    A, C = rotation(8, 0.8)
    start = kernel_rank(linear(A, C), n_streams=12, n_steps=60 - shared, seed=0)
    after = generalisation_rank(linear(A, C), n_streams=12, n_steps=60, shared_steps=shared, seed=0)
    # the streams of both calls differ: build the states of the second from its own streams by matrix powers
    u = module._streams(start.input_law, (12, 60, 1), shared, 0.0, 0)[:, :, 0]
    powers = np.array([np.linalg.matrix_power(A, 59 - t) @ C[:, 0] for t in range(60)])
    assert_allclose(after.states, u @ powers, atol=1e-12)
    before = u[:, : 60 - shared] @ powers[shared:]
    exact = 0.8**shared * np.linalg.svd(before - before.mean(axis=0), compute_uv=False)
    assert_allclose(after.centred_singular_values, exact, atol=1e-12)
    common = u[0, 60 - shared :] @ powers[60 - shared :]
    predicted = np.linalg.svd(common + before @ np.linalg.matrix_power(A, shared).T, compute_uv=False)
    assert after.rank == (predicted > 1e-2 * predicted[0]).sum()


def test_largest_deviation_shrinks_by_the_spectral_radius_per_shared_step():
    A, C = rotation(6, 0.8)
    sizes = [
        generalisation_rank(linear(A, C), n_streams=40, n_steps=200, shared_steps=s, seed=1).centred_singular_values[0]
        for s in (20, 30, 40)
    ]
    # the same length of independent steps would give exactly .8^10; 160 to 180 of them forget the rest to 1e-15
    ratios = np.array(sizes[1:]) / np.array(sizes[:-1])
    assert_allclose(ratios, 0.8**10, rtol=0.35)
    assert (sizes[2] / sizes[0]) ** (1 / 20) == pytest.approx(0.8, abs=0.01)


def test_a_register_keeps_all_streams_apart_until_they_share_its_length():
    assert kernel_rank(register(6), n_streams=20, seed=0).rank == 6
    ranks = [generalisation_rank(register(6), n_streams=20, shared_steps=s, seed=0).rank for s in range(8)]
    # s shared inputs are one common vector, the other 6 - s are free
    assert ranks == [6, 6, 5, 4, 3, 2, 1, 1]


def test_ranks_of_known_systems():
    memoryless = linear(np.zeros((5, 5)), np.arange(1.0, 6)[:, None])
    one = kernel_rank(memoryless, seed=0)
    assert one.rank == 1 and one.entropy_rank == pytest.approx(1, abs=1e-6)
    assert kernel_rank(linear(np.zeros((5, 5)), np.eye(5)[:, :3]), seed=0).rank == 3
    assert kernel_rank(register(8), n_streams=3, seed=0).rank == 3
    still = kernel_rank(linear(np.zeros((2, 2)), np.zeros((2, 1))), seed=0)
    assert (still.rank, still.entropy_rank) == (0, 0.0)


def test_entropy_rank_is_the_exponential_of_the_entropy_of_the_singular_values():
    result = kernel_rank(ESN.random(10, seed=0), n_streams=15, seed=3)
    s = np.linalg.svd(result.states, compute_uv=False)
    assert_allclose(result.singular_values, s, rtol=1e-12)
    assert result.entropy_rank == pytest.approx(np.exp(entropy(s)), rel=1e-10)
    assert 1 <= result.entropy_rank <= 10
    assert result.rank == (s > 0.01 * s[0]).sum()


def test_states_are_those_of_the_streams_one_by_one():
    system = ESN.random(7, n_inputs=2, seed=0)
    result = generalisation_rank(system, n_streams=4, n_steps=30, shared_steps=10, jitter=0.1, seed=5)
    u = module._streams(result.input_law, (4, 30, 2), 10, 0.1, 5)
    assert_allclose(result.states, [system.run(one)[-1] for one in u], atol=1e-13)
    # jitter of a tenth of the standard deviation, over 4 * 10 * 2 numbers
    shared = u[:, -10:]
    assert np.std(shared - shared.mean(axis=0)) == pytest.approx(0.1 * np.sqrt(1 / 3) * np.sqrt(3 / 4), rel=0.3)
    assert np.ptp(u[:, :-10], axis=0).min() > 0.05


def test_jitter_alone_moves_a_linear_system_in_proportion():
    A, C = rotation(6, 0.7)
    settings = dict(n_streams=10, n_steps=50, shared_steps=50, seed=0)
    one, two = (generalisation_rank(linear(A, C), jitter=jitter, **settings) for jitter in (1e-3, 4e-3))
    assert_allclose(two.centred_singular_values, 4 * one.centred_singular_values, rtol=1e-6)
    assert one.rank == 1


def test_separation_is_the_difference_of_both_ranks():
    system = ESN.random(20, seed=0, input_scaling=0.5)
    settings = dict(n_streams=25, n_steps=80, tol=1e-3, seed=2)
    result = separation(system, shared_steps=20, **settings)
    kernel, other = kernel_rank(system, **settings), generalisation_rank(system, shared_steps=20, **settings)
    assert result.difference == kernel.rank - other.rank > 0
    assert result.entropy_difference == kernel.entropy_rank - other.entropy_rank


def test_streams_in_small_blocks_of_time_change_nothing(monkeypatch):
    system = ESN.random(12, seed=0)
    whole = kernel_rank(system, n_steps=40, seed=0)
    monkeypatch.setattr(module, "BLOCK_BYTES", 8 * 12 * 12 * 7)
    assert_array_equal(kernel_rank(system, n_steps=40, seed=0).states, whole.states)


def test_same_seed_same_streams():
    system = ESN.random(5, seed=0)
    one, same, other = (separation(system, jitter=0.1, seed=s) for s in (1, np.random.SeedSequence(1), 2))
    assert_array_equal(one.generalisation.states, same.generalisation.states)
    assert one.kernel.entropy_rank == same.kernel.entropy_rank != other.kernel.entropy_rank


@pytest.mark.parametrize(
    ("settings", "error", "fragment"),
    [
        ({"n_streams": 0}, ValueError, "n_streams must be at least 1"),
        ({"n_steps": 0}, ValueError, "n_steps must be at least 1"),
        ({"shared_steps": 200}, ValueError, "shared_steps must be at most n_steps = 100"),
        ({"shared_steps": 100}, ValueError, "all streams would be the same"),
        ({"shared_steps": -1}, ValueError, "shared_steps must be at least 0"),
        ({"jitter": -0.1}, ValueError, "jitter must be at least 0"),
        ({"tol": 0.0}, ValueError, "tol must lie in (0, 1]"),
        ({"input_law": 3}, TypeError, "input_law must be a function"),
        ({"input_law": lambda rng, size: np.zeros(2)}, ValueError, "input_law(rng, size) must return"),
        ({"seed": None}, TypeError, "seed must be"),
    ],
)
def test_bad_input_is_named(settings, error, fragment):
    with pytest.raises(error) as raised:
        generalisation_rank(ESN.random(5, seed=0), **{"seed": 0, **settings})
    assert fragment in str(raised.value)


def test_systems_of_no_use_are_named():
    with pytest.raises(TypeError, match="system must be a System"):
        kernel_rank("esn", seed=0)
    with pytest.raises(ValueError, match="system must have inputs"):
        kernel_rank(Map(lambda x, u: 0.5 * x, n_units=2), seed=0)


# Participation ratio


def test_naive_ratio_of_white_noise_is_n_over_one_plus_n_over_t():
    rng = np.random.default_rng(0)
    results = [participation_ratio(rng.standard_normal((200, 100))) for _ in range(10)]
    # 66.67 to leading order, 66.4 measured
    assert np.mean([result.naive for result in results]) == pytest.approx(100 / (1 + 100 / 200), rel=0.01)
    # the corrected one: spread of each about 1
    assert np.mean([result.independent for result in results]) == pytest.approx(100, abs=2)
    assert np.mean([result.value for result in results]) == pytest.approx(100, abs=2)


def test_corrected_ratio_is_right_where_the_naive_one_is_a_third_too_small():
    rng = np.random.default_rng(1)
    variances = np.linspace(0.2, 2, 30)
    truth = variances.sum() ** 2 / (variances**2).sum()
    results = [participation_ratio(rng.standard_normal((51, 30)) * np.sqrt(variances)) for _ in range(300)]
    corrected = np.array([result.independent for result in results])
    # the ratio of two unbiased numbers is itself off by a per cent or so
    assert corrected.mean() == pytest.approx(truth, abs=0.02 * truth + 3 * corrected.std() / np.sqrt(300))
    assert np.mean([result.naive for result in results]) < 0.75 * truth


def test_correlated_states_are_worth_fewer_steps():
    """x' = a x + noise in every unit: sum of a^2|k| over all lags is (1 + a^2) / (1 - a^2)."""
    a, T, rng = 0.9, 1000, np.random.default_rng(2)
    exact = T * (1 - a**2) / (1 + a**2)
    results = [
        participation_ratio(lfilter([1], [1, -a], rng.standard_normal((T + 200, 40)), axis=0)[200:]) for _ in range(60)
    ]
    assert np.mean([result.n_effective for result in results]) == pytest.approx(exact, rel=0.06)
    values = np.array([result.value for result in results])
    assert values.mean() == pytest.approx(40, abs=0.03 * 40)
    assert np.mean([result.independent for result in results]) < 30
    # the error is the spread within a factor
    assert 0.5 < np.mean([result.standard_error for result in results]) / values.std(ddof=1) < 2.5


def test_oscillating_states_are_not_taken_for_independent_ones():
    t = np.arange(2000)
    states = np.column_stack([np.cos(0.1 * t), np.sin(0.1 * t)])
    result = participation_ratio(states)
    assert result.naive == pytest.approx(2, abs=1e-2)
    assert result.n_effective < 20


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-6, 1e6))
def test_ratio_is_free_of_units_and_of_the_frame(seed, scale):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((80, 5)) * [1, 2, 3, 4, 5]
    rotated = scale * (x @ np.linalg.qr(rng.standard_normal((5, 5)))[0]) + scale
    one, two = participation_ratio(x), participation_ratio(rotated)
    assert_allclose([two.value, two.naive, two.n_effective], [one.value, one.naive, one.n_effective], rtol=1e-8)
    assert 1 - 1e-9 <= one.naive <= 5


def test_states_on_a_line_have_dimension_one():
    x = np.outer(np.random.default_rng(0).standard_normal(4000), [1.0, -2.0, 0.5])
    result = participation_ratio(x)
    assert result.naive == pytest.approx(1, abs=1e-12)
    assert result.value == pytest.approx(1, abs=5e-3)
    wide = participation_ratio(x[:30].repeat(50, axis=1))
    assert wide.naive == pytest.approx(1, abs=1e-12)


# Small measures


def test_autocorrelation_time_of_a_filtered_noise():
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((400_000, 1))
    units = [lfilter([1], [1, -a], noise, axis=0) for a in (0.0, 0.5, 0.9, -0.5)]
    times = autocorrelation_time(np.hstack([*units, np.zeros_like(noise)]))
    exact = [(1 + a) / (1 - a) for a in (0.0, 0.5, 0.9, -0.5)]
    # the error is about sqrt(2 (2 M + 1) / T) with a window M of eight times
    assert_allclose(times[:4], exact, rtol=0.08)
    assert np.isnan(times[4])


def test_effective_degrees_of_freedom_is_the_trace_of_the_hat_matrix_of_ridge():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 6)) * [1, 2, 3, 4, 5, 6] + 7
    for alpha in (0.0, 3.0, 1e4):
        fits = np.array([ridge(x, y, alpha=alpha)(x)[:, 0] for y in np.eye(40)])
        # the offset takes one more
        assert effective_degrees_of_freedom(x, alpha) == pytest.approx(np.trace(fits) - 1, rel=1e-8)


def test_degrees_of_freedom_without_penalty_are_the_rank():
    rng = np.random.default_rng(0)
    for steps in (8, 2000):
        x = rng.standard_normal((steps, 3)) @ rng.standard_normal((3, 60))  # 57 directions of rounding
        assert effective_degrees_of_freedom(x, 0.0) == 3


@pytest.mark.parametrize("size", [1e-100, 1e100])
def test_participation_ratio_does_not_depend_on_the_units(size):
    x = np.random.default_rng(0).standard_normal((200, 4))
    one, other = participation_ratio(x), participation_ratio(size * x)
    assert_allclose([other.value, other.standard_error, other.naive], [one.value, one.standard_error, one.naive])


def test_henrici_number_by_its_definition():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((12, 12))
    power = (np.abs(np.linalg.eigvals(A)) ** 2).sum()
    assert henrici_number(A) == pytest.approx(np.sqrt((A**2).sum() - power), rel=1e-10)
    assert henrici_number(np.diag([1.0, 2.0]) + np.array([[0, 3.0], [0, 0]])) == pytest.approx(3)
    for normal in (A + A.T, A - A.T, np.linalg.qr(A)[0], np.eye(5)):
        assert henrici_number(normal) < 1e-12
    assert henrici_number(np.eye(5, k=1)) == pytest.approx(2)


def test_bad_states_are_named():
    for function, least in (
        (participation_ratio, 20),
        (autocorrelation_time, 20),
        (lambda x: effective_degrees_of_freedom(x, 1.0), 2),
    ):
        with pytest.raises(ValueError, match=f"states must have at least {least} steps"):
            function(np.zeros((least - 1, 3)))
        with pytest.raises(ValueError, match="states must vary"):
            function(np.ones((50, 3)))
        with pytest.raises(ValueError, match="states must be finite"):
            function(np.full((50, 3), np.nan))
        with pytest.raises(ValueError, match="states must have 2 dimensions"):
            function(np.zeros(50))
    with pytest.raises(ValueError, match="alpha must be at least 0"):
        effective_degrees_of_freedom(np.eye(30), -1.0)
    with pytest.raises(ValueError, match="A must be square"):
        henrici_number(np.zeros((2, 3)))


def test_results_say_what_produced_them_and_draw_themselves():
    import matplotlib.pyplot as plt

    result = separation(ESN.random(6, seed=0), input_law=Signs(0.5), shared_steps=10, jitter=0.2, seed=7)
    text = repr(result)
    for part in (
        "kernel Rank",
        "generalisation Rank",
        "sharing the last 10",
        "jitter 0.2",
        "Signs(scale=0.5)",
        "seed 7",
    ):
        assert part in text
    axes = result.plot()
    assert axes.get_yscale() == "log" and axes.get_xlabel() == "index of the singular value"
    assert_allclose(axes.lines[0].get_ydata() * result.kernel.singular_values[0], result.kernel.singular_values)
    assert result.kernel.plot() is not axes
    plt.close("all")
    assert "worth" in repr(participation_ratio(np.random.default_rng(0).standard_normal((100, 3))))
