"""Fixed and slow points: against closed forms, SciPy and systems built so that all their points are known."""

import itertools

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import brentq

import penstock
from penstock import Flow, Map, SystemDefaults
from penstock.analysis import fixed_points, slow_points
from penstock.analysis.roots import Shooting, lipschitz_of_jacobian
from penstock.reservoirs import ESN, PLRNN, DeepESN, ModernHopfield, ResESN

QUIET = {"progress": False}


def rows_sorted(points, digits=9):
    return points[np.lexsort(np.round(points, digits).T[::-1])] + 0.0


def flip_flop(n_units, seed, gain=2.0):
    """x' = tanh(W x) of n units whose points are known: Q tanh(gain Q^T .) with Q three disjoint groups of units.

    Three groups of equal units hold one bit each: a group of k units with weights gain / k among themselves.
    """
    groups = np.arange(n_units) % 3
    W = gain * (groups[:, None] == groups[None]) / np.bincount(groups)[groups][:, None]
    order = np.random.default_rng(seed).permutation(n_units)
    return ESN(W[np.ix_(order, order)], np.zeros((n_units, 0))), groups[order]


def rotated_flip_flop(n_units, seed):
    """x' = Q tanh(2 Q^T x) on three random orthonormal directions Q, the rest of the space decays at once."""
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n_units, 3)))[0]
    return Map(
        lambda x, u: Q @ np.tanh(2 * (Q.T @ x)),
        n_units,
        rule_jacobian=lambda x, u: 2 * (Q / np.cosh(2 * (Q.T @ x)) ** 2) @ Q.T,
    ), Q


LORENZ = Flow(
    lambda x, u: np.array([10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]]),
    n_units=3,
    dt=0.001,
    rule_jacobian=lambda x, u: np.array([[-10, 10, 0], [28 - x[2], -1, -x[0]], [x[1], x[0], -8 / 3]]),
)


# What is found


def test_bistable_neuron_has_the_three_points_of_x_equals_tanh_2x():
    found = fixed_points(Map(lambda x, u: np.tanh(2 * x), 1), n_starts=60, **QUIET)
    # 0 and ±.9575040241 with slope .1663720878 (analysis.md 7.4); the root again by SciPy's brentq
    root = brentq(lambda x: np.tanh(2 * x) - x, 0.5, 1, xtol=1e-15)
    assert_allclose(np.sort(found.points[:, 0]), [-root, 0, root], atol=1e-14)  # rounding
    assert_allclose(root, 0.9575040241, atol=5e-11)  # digits printed
    assert_allclose(np.sort(found.eigenvalues[:, 0].real), [0.1663720878, 0.1663720878, 2], atol=5e-11)
    assert found.kinds.tolist() == ["stable", "stable", "unstable"]
    assert found.starts.total == found.starts.converged + found.starts.slow + found.starts.failed


@pytest.mark.parametrize("make", [lambda: flip_flop(30, 0)[0], lambda: rotated_flip_flop(20, 1)[0]], ids=["ESN", "map"])
def test_three_bit_flip_flop_has_27_points_of_which_8_stable(make):
    found = fixed_points(make(), **QUIET)
    assert len(found) == 27 and found.stable.sum() == 8
    # a product of three bistable units: 12 edges, 6 faces and the centre have 1, 2 and 3 unstable directions
    assert np.bincount(found.indices).tolist() == [8, 12, 6, 1]
    assert found.isolated.all()


def test_the_27_points_are_the_cube_in_the_right_coordinates():
    system, Q = rotated_flip_flop(20, 1)
    found = fixed_points(system, **QUIET)
    cube = np.array(list(itertools.product([-0.957504024077, 0.0, 0.957504024077], repeat=3)))
    assert_allclose(rows_sorted(found.points @ Q, 6), rows_sorted(cube, 6), atol=1e-11)  # digits given
    assert_allclose(found.points, found.points @ Q @ Q.T, atol=1e-14)  # nothing off the cube


def test_points_of_an_echo_state_network_are_certified():
    found = fixed_points(flip_flop(30, 0)[0], n_starts=60, **QUIET)
    assert found.certified.all() and (found.radii < 1e-12).all()


def test_lorenz_points_and_their_rates_in_continuous_time():
    found = fixed_points(LORENZ, n_starts=40, **QUIET)
    c = np.sqrt(72)  # sqrt(beta (rho - 1))
    assert_allclose(rows_sorted(found.points), [[-c, -c, 27], [0, 0, 0], [c, c, 27]], atol=1e-9)
    origin = np.argmin(np.linalg.norm(found.points, axis=1))
    # 7.4; RK4 at dt = 0.001 changes a rate r by about r (r dt)^4 / 120, 5e-8 for r = -22.8
    expected = [-22.827723, -2.666667, 11.827723]
    assert_allclose(np.sort(found.rates[origin].real), expected, atol=2e-6)
    spiral = found.rates[(origin + 1) % 3]
    assert_allclose(np.sort(spiral.real), [-13.854578, 0.093956, 0.093956], atol=2e-6)
    assert_allclose(np.sort(spiral.imag), [-10.194505, 0, 10.194505], atol=2e-6)
    assert_allclose(np.abs(found.frequencies[(origin + 1) % 3]).max(), 10.194505 / (2 * np.pi), atol=1e-6)
    assert_allclose(found.time_constants[origin].min(), -1 / 11.827723, rtol=1e-6)  # grows: negative


def test_quadratic_map_has_the_two_points_of_its_quadratic_equation():
    a, b = 1.4, 0.3
    found = fixed_points(Map(lambda x, u: np.array([1 - a * x[0] ** 2 + x[1], b * x[0]]), 2), **QUIET)
    x = (-(1 - b) + np.array([-1, 1]) * np.sqrt((1 - b) ** 2 + 4 * a)) / (2 * a)
    assert_allclose(rows_sorted(found.points), np.column_stack([x, b * x]), atol=1e-14)
    assert found.kinds.tolist() == ["saddle", "saddle"]


def test_stored_patterns_of_a_hopfield_network_are_found_with_their_averages():
    # orthogonal patterns, so that the network is the softmax map on overlaps: p = softmax(beta N p)
    n, beta = 16, 0.5
    patterns = np.array([np.kron(np.kron(np.kron(a, b), c), d) for a, b, c, d in _walsh(3)])
    found = fixed_points(ModernHopfield(patterns, beta), **QUIET)
    p = found.points @ patterns.T / n
    assert_allclose(p.sum(axis=1), 1, atol=1e-12)  # every point is an average of patterns
    sizes = np.sort((p > 0.05).sum(axis=1))
    # gain beta N = 8: each pattern, and each average of two and of three of them, in all 3 + 3 + 1 points
    assert sizes.tolist() == [1, 1, 1, 2, 2, 2, 3]
    assert found.stable.sum() == 3 and ((p[found.stable] > 0.9).sum(axis=1) == 1).all()
    assert (np.abs(found.eigenvalues.imag) < 1e-12).all() and (found.eigenvalues.real > -1e-12).all()  # symmetric, psd
    assert_allclose(p, np.exp(8 * p) / np.exp(8 * p).sum(axis=1, keepdims=True), atol=1e-12)


def _walsh(count):
    one, sign = np.ones(2), np.array([1.0, -1.0])
    codes = [(one, one, one, sign), (one, one, sign, one), (one, sign, one, one)]
    return codes[:count]


def test_hopfield_network_retrieves_single_patterns_at_high_beta_and_one_average_at_low():
    patterns = np.random.default_rng(0).choice([-1.0, 1.0], (5, 40))
    high = fixed_points(ModernHopfield(patterns, 1.0), **QUIET)
    near = np.abs(high.points[high.stable][:, None] - patterns[None]).max(axis=2).min(axis=0)
    assert high.stable.sum() == 5 and (near < 1e-6).all()  # error 2 (N-1) exp(-beta Delta), Delta about 30
    low = fixed_points(ModernHopfield(patterns, 0.01), **QUIET)
    assert len(low) == 1 and low.stable.all()


def test_the_fixed_point_of_the_reference_piecewise_linear_network():
    plrnn = PLRNN([-0.0222311, 0.96461297], [[0, -0.64375], [0.52505308, 0]], [0.37298253, -0.97931491])
    found = fixed_points(plrnn, n_starts=60, **QUIET)
    assert_allclose(found.points, [[0.364871, -22.260649]], atol=5e-7)  # digits printed
    assert_allclose(found.eigenvalues, [[0.964613, -0.022231]], atol=5e-7)
    assert found.certified.all()  # the linear piece that holds it


@pytest.mark.parametrize("distance", [1e-3, 1e-5])
def test_two_points_close_together_are_both_reported(distance):
    found = fixed_points(Map(lambda x, u: x - 0.5 * (x**2 - distance**2 / 4), 1), n_starts=30, **QUIET)
    # error of a root: rounding over the slope, 1e-16 / distance
    assert_allclose(np.sort(found.points[:, 0]), [-distance / 2, distance / 2], atol=1e-10)
    assert found.kinds.tolist() == ["stable", "unstable"]


def test_a_double_root_is_one_marginal_point():
    found = fixed_points(Map(lambda x, u: x + x**2, 1), n_starts=30, **QUIET)
    assert found.kinds.tolist() == ["marginal"] and not found.certified.any()
    assert abs(found.points[0, 0]) < 2e-6  # x^2 <= tol


def test_a_network_of_100_units_has_the_origin_and_a_symmetric_pair_at_gain_1_5():
    W = np.random.default_rng(0).standard_normal((100, 100)) * 0.15
    found = fixed_points(ESN(W, np.zeros((100, 0))), n_starts=60, **QUIET)
    norms = np.linalg.norm(found.points, axis=1)
    assert norms.min() < 1e-12 and len(found) % 2 == 1  # odd map: the origin and pairs
    assert_allclose(rows_sorted(found.points, 6), rows_sorted(-found.points, 6), atol=1e-10)
    assert found.certified.all() and found.starts.converged > 10
    origin = np.argmin(norms)
    assert_allclose(np.sort(np.abs(found.eigenvalues[origin])), np.sort(np.abs(np.linalg.eigvals(W))), rtol=1e-9)


# Continua


def test_a_line_attractor_is_one_continuum_not_many_points():
    v = np.full(5, 5**-0.5)
    integrator = np.outer(v, v) + 0.5 * (np.eye(5) - np.outer(v, v))
    found = fixed_points(Map(lambda x, u: integrator @ x, 5), n_starts=80, **QUIET)
    assert (found.manifold == 1).all() and found.stable.all() and 3 < len(found) < 60
    assert_allclose(found.points, found.points @ np.outer(v, v), atol=1e-12)
    assert "continuum of dimension 1" in repr(found)


def test_a_ring_attractor_and_its_centre_are_told_apart():
    found = fixed_points(Map(lambda x, u: x + 0.3 * x * (1 - x @ x), 2), n_starts=80, **QUIET)
    radius = np.linalg.norm(found.points, axis=1)
    assert_allclose(radius[~found.isolated], 1, atol=1e-12)
    assert_allclose(radius[found.isolated], [0], atol=1e-12)
    assert found.kinds[found.isolated].tolist() == ["unstable"] and (found.manifold[~found.isolated] == 1).all()
    # a ring has radial multiplier 1 - 0.6
    assert_allclose(np.abs(found.eigenvalues[~found.isolated][:, 1]), 0.4, atol=1e-9)


def test_an_isolated_point_near_a_line_of_points_is_not_swallowed():
    # y' = y + y (y - .01) (..) would be degenerate; here x moves only off the line y = 0 and at y = .01 stops at x = 0
    rule = Map(lambda x, u: np.array([x[0] - x[1] * x[0], x[1] - x[1] * (x[1] - 0.01)]), 2)
    found = fixed_points(rule, n_starts=80, **QUIET)
    assert_allclose(found.points[found.isolated], [[0, 0.01]], atol=1e-10)
    assert_allclose(found.points[~found.isolated][:, 1], 0, atol=1e-6)


def test_the_identity_is_a_continuum_of_full_dimension():
    found = fixed_points(Map(lambda x, u: x * 1.0, 3), n_starts=60, **QUIET)
    assert (found.manifold == 3).all() and len(found) < 60


# Identities


def test_every_leak_has_the_same_points_and_eigenvalues_1_minus_a_plus_a_mu():
    base = ESN.random(20, n_inputs=1, spectral_radius=0.9, bias_scaling=0.5, seed=4)
    W = 1.8 * base.W
    plain = fixed_points(ESN(W, base.W_in, base.bias), u=0.3, **QUIET)
    assert len(plain)
    for leak in (0.1, 0.5):
        leaky = ESN(W, base.W_in, base.bias, leak)
        same = fixed_points(leaky, u=0.3, x0=plain.points, **QUIET)
        assert_allclose(rows_sorted(same.points, 6), rows_sorted(plain.points, 6), atol=1e-10)
        match = [np.argmin(np.linalg.norm(same.points - x, axis=1)) for x in plain.points]
        for mine, theirs in zip(same.eigenvalues[match], plain.eigenvalues, strict=True):
            expected = 1 - leak + leak * theirs
            gaps = np.abs(mine[:, None] - expected[None]).min(axis=1)
            assert gaps.max() < 1e-8  # non-normal 20 x 20: eigenvalues to the root of rounding at worst


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 1000), gain=st.floats(0.2, 3.0))
def test_every_point_is_where_the_step_leaves_it(seed, gain):
    W = gain * np.random.default_rng(seed).standard_normal((4, 4)) / 2
    system = ESN(W, np.zeros((4, 0)), bias=0.1)
    found = fixed_points(system, n_starts=200, seed=seed, **QUIET)
    assert len(found)  # Brouwer: tanh maps the cube into itself
    for x, speed in zip(found.points, found.speeds, strict=True):
        assert_allclose(np.linalg.norm(np.tanh(W @ x + 0.1) - x), speed, atol=1e-15)
        assert speed <= 1e-12 * max(1, np.linalg.norm(x))


def test_curvature_bound_holds_between_random_states():
    esn = ESN.random(20, spectral_radius=0.9, leak=0.4, seed=0)
    bound, rng = lipschitz_of_jacobian(esn), np.random.default_rng(0)
    # 4 / (3 sqrt 3) a ‖W‖², the largest |tanh''|
    assert_allclose(bound, 4 / (3 * np.sqrt(3)) * 0.4 * np.linalg.norm(esn.W, 2) ** 2, rtol=1e-12)
    for _ in range(50):
        x, y = rng.standard_normal((2, 20))
        gap = esn.jacobian(x, [0.0]) - esn.jacobian(y, [0.0])
        assert np.linalg.norm(gap, 2) <= bound * np.linalg.norm(x - y)


def test_linear_prediction_is_exact_for_a_linear_map_and_quadratic_for_others():
    rotation = 0.9 * np.array([[0.8, -0.6], [0.6, 0.8]])
    linear = fixed_points(Map(lambda x, u: rotation @ x + 1, 2), **QUIET)
    assert (linear.linear_errors < 1e-12).all()
    curved = fixed_points(Map(lambda x, u: 0.5 * x + x**2, 1), x0=[0.1], **QUIET)
    # from d = ±0.01: the neglected d^2, relative to d
    assert_allclose(curved.linear_errors[0, 0], 0.01, rtol=1e-9)


# Inputs and starts


@pytest.mark.parametrize("side", [1, -1])
def test_points_of_a_neuron_vanish_at_its_fold(side):
    # x = tanh(2 x + u) and slope 2 (1 - x^2) = 1: x = ±sqrt(1/2), u = artanh(x) - 2 x = ∓(sqrt 2 - ln(1 + sqrt 2))
    fold = side * (np.sqrt(2) - np.log(1 + np.sqrt(2)))
    neuron = Map(lambda x, u: np.tanh(2 * x + u), 1, 1)
    inputs = fold * np.array([0.9, 0.999, 0.999999, 1.000001, 1.001, 1.1])[:, None]
    found = fixed_points(neuron, inputs, n_starts=60, **QUIET)
    assert np.bincount(found.input_index).tolist() == [3, 3, 3, 1, 1, 1]
    assert found.index_sum.tolist() == [1] * 6
    near = found.at(2).points[:, 0]
    # about the fold (u - u*) / 2 = 2 sqrt(1/2) (x - x*)^2: derivatives of tanh(2 x + u) - x; next order 1e-3
    gap = np.diff(np.sort(np.abs(near))[:2])[0]
    assert_allclose(gap, 2 * np.sqrt(0.5 * abs(fold) * 1e-6 / (2 * np.sqrt(0.5))), rtol=1e-3)


def test_every_input_has_its_own_points():
    neuron = Map(lambda x, u: np.tanh(2 * x + u), 1, 1)
    inputs = np.array([[0.0], [2.0], [-2.0]])
    found = fixed_points(neuron, inputs, n_starts=60, **QUIET)
    assert np.bincount(found.input_index).tolist() == [3, 1, 1]
    for k, (u,) in enumerate(inputs):
        for x in found.at(k).points[:, 0]:
            assert_allclose(np.tanh(2 * x + u), x, atol=1e-14)
    assert "at 3 inputs" in repr(found) and "index sum 1 at 3 of 3 inputs" in repr(found)


def test_given_starts_alone_lead_to_their_points_and_to_those_between_and_mirrored():
    neuron = Map(lambda x, u: np.tanh(2 * x), 1)
    found = fixed_points(neuron, x0=[0.8], **QUIET)
    assert_allclose(np.sort(found.points[:, 0]), [-0.957504024077, 0, 0.957504024077], atol=1e-11)  # digits given
    # the start; its mirror image; the mirror image of that, and halfway; those of the middle with two halfway
    assert found.starts.total == 1 + 1 + 2 + 3
    shifted = Map(lambda x, u: np.tanh(2 * (x - 5)) + 5, 1)  # the mirror image -5.96 leads back to a known point
    assert_allclose(fixed_points(shifted, x0=[5.8], **QUIET).points.max(), 5.957504024077, atol=1e-11)


@pytest.mark.parametrize("n_states", [1, 8])
def test_given_corners_of_a_flip_flop_lead_to_the_saddles_between_them(n_states):
    system, Q = rotated_flip_flop(20, 1)
    corners = np.array(list(itertools.product([-0.9, 0.9], repeat=3))) @ Q.T
    found = fixed_points(system, x0=corners[:n_states], **QUIET)
    # one corner has its mirror image alone, and the centre between them; all eight have the whole cube
    assert np.bincount(found.indices).tolist() == ([2, 0, 0, 1] if n_states == 1 else [8, 12, 6, 1])


# Index sums


def test_index_sum_of_a_bistable_neuron_is_one_and_misses_what_is_left_out():
    found = fixed_points(Map(lambda x, u: np.tanh(2 * x), 1), **QUIET)
    assert found.signs.tolist() == [1, 1, -1]  # stable, stable, unstable: sign of 1 - slope
    assert found.index_sum.tolist() == [1] and "index sum 1, as of all points" in repr(found)
    stable = found._take(np.flatnonzero(found.stable))
    assert stable.index_sum.tolist() == [2] and "index sum 2; in a bounded system it is 1" in repr(stable)


def test_index_sum_of_a_flip_flop_is_one():
    found = fixed_points(flip_flop(30, 0)[0], **QUIET)
    # (2 - 1)^3: a product of three neurons
    assert found.index_sum.tolist() == [1] and np.array_equal(found.signs, (-1) ** found.indices)


def test_a_crippled_search_is_betrayed_by_its_index_sum():
    rng = np.random.default_rng(4)
    W = 2 * np.eye(4) + 0.2 * rng.standard_normal((4, 4))
    network = ESN(W, np.zeros((4, 0)), 0.3 * rng.standard_normal(4))
    crippled = fixed_points(network, n_starts=4, max_iterations=3, **QUIET)
    whole = fixed_points(network, **QUIET)
    assert len(crippled) < len(whole) and crippled.index_sum[0] != 1 and "points are missing" in repr(crippled)
    assert whole.index_sum[0] == 1


def test_index_sum_of_flows_counts_real_growing_modes():
    # det(I - exp(A dt)) has the sign of det(-A): -1 at the origin of Lorenz (one real growing mode), +1 at the spirals
    found = fixed_points(LORENZ, n_starts=40, **QUIET)
    origin = np.linalg.norm(found.points, axis=1) < 1e-6
    assert found.signs[origin].tolist() == [-1] and found.signs[~origin].tolist() == [1, 1]
    by_rate = [np.sign(np.linalg.det(-LORENZ.rule_jacobian(x, None))) for x in found.points]
    assert found.signs.tolist() == by_rate and found.index_sum.tolist() == [1]


def test_index_sum_of_an_unbounded_map_need_not_be_one():
    henon = Map(lambda x, u: np.array([1 - 1.4 * x[0] ** 2 + x[1], 0.3 * x[0]]), 2)
    # det(I - J) = 1 - b + 2 a x: of opposite sign at the two roots
    assert fixed_points(henon, **QUIET).index_sum.tolist() == [0]


def test_index_sum_is_not_given_where_a_point_has_no_sign():
    for rule in (lambda x, u: x + x**2, lambda x, u: x * 1.0):  # a double root, a continuum
        found = fixed_points(Map(rule, 1), n_starts=20, **QUIET)
        assert np.isnan(found.index_sum).all() and "index sum" not in repr(found)
    slow = slow_points(Map(lambda x, u: x + 0.001 + x**2, 1), max_speed=0.01, n_starts=20, **QUIET)
    assert len(slow) and np.isnan(slow.index_sum).all() and "index sum" not in repr(slow)


def bistable_pairs(seed):
    """Up to six tanh units with self-couplings, of gain 1 to 3: up to hundred points."""
    rng = np.random.default_rng(seed)
    n, gain, bias = int(rng.integers(2, 7)), rng.uniform(1, 3), rng.choice([0, 0.1, 0.5, 1.0])
    W = gain * rng.standard_normal((n, n)) / np.sqrt(n) + rng.choice([0, gain]) * np.eye(n)
    return ESN(W, np.empty((n, 0)), bias * rng.standard_normal(n))


@pytest.mark.slow
def test_default_search_of_small_networks_is_complete_by_its_index_sum():
    sums = [fixed_points(bistable_pairs(seed), **QUIET).index_sum[0] for seed in range(60)]
    assert np.sum(np.array(sums) != 1) <= 2  # measured 1 of 60; with 16 trajectories and no repeats it was 10


def test_same_seed_same_bits_and_another_seed_the_same_points():
    system = flip_flop(12, 0)[0]
    one, two, three = (fixed_points(system, n_starts=100, seed=seed, **QUIET) for seed in (1, 1, 2))
    assert np.array_equal(one.points, two.points) and np.array_equal(one.linear_errors, two.linear_errors)
    assert_allclose(rows_sorted(one.points, 6), rows_sorted(three.points, 6), atol=1e-12)


def test_float32_models_are_solved_in_float64():
    system = flip_flop(12, 0)[0]
    single = ESN(system.W.astype(np.float32), system.W_in)
    assert single.dtype == np.float32
    found = fixed_points(single, **QUIET)
    assert found.points.dtype == found.speeds.dtype == np.float64
    assert len(found) == 27 and (found.speeds < 1e-13).all()  # far below the 1e-7 of float32


def test_a_step_in_single_precision_gets_a_tolerance_it_can_reach():
    class Single(SystemDefaults):
        n_units, n_inputs, dtype = 2, 0, np.dtype(np.float32)

        def step(self, x, u):
            return np.tanh(np.float32(0.5) * np.asarray(x, np.float32) + np.float32(0.25))

        def jacobian(self, x, u):
            return np.diag(0.5 / np.cosh(0.5 * np.asarray(x) + 0.25) ** 2)

    found = fixed_points(Single(), n_starts=20, **QUIET)
    root = brentq(lambda x: np.tanh(0.5 * x + 0.25) - x, 0, 1, xtol=1e-14)
    assert found.tol == 1e-6 and found.speeds.dtype == np.float64
    assert_allclose(found.points, [[root, root]], atol=1e-6)


def test_batched_jacobians_are_used_where_offered():
    class Batched(SystemDefaults):
        n_units, n_inputs = 2, 0

        def step(self, x, u):
            return np.tanh(2 * x)

        def jacobian(self, x, u):
            raise AssertionError("one at a time")

        def jacobians(self, X, U):
            return (2 / np.cosh(2 * X) ** 2)[:, :, None] * np.eye(2)

    assert len(fixed_points(Batched(), n_starts=100, **QUIET)) == 9


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_torch_cell_has_the_points_of_its_equation(dtype):
    torch = pytest.importorskip("torch")
    cell = torch.nn.RNNCell(1, 2)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.weight_hh[:] = 2 * torch.eye(2)
    found = fixed_points(penstock.TorchCell(cell, dtype=dtype), n_starts=40, **QUIET)
    assert len(found) == 9 and found.stable.sum() == 4 and found.isolated.all()
    grid = np.array(list(itertools.product([-0.957504024077, 0, 0.957504024077], repeat=2)))
    # rounding of float32 times 1 / (1 - slope)
    assert_allclose(rows_sorted(found.points, 3), grid, atol=1e-11 if dtype == "float64" else 1e-6)


def test_an_object_with_step_alone_will_do():
    class Plain:
        n_units = 1

        def step(self, x, u):
            return np.cos(x)

    found = fixed_points(Plain(), n_starts=20, **QUIET)
    near = found.points[np.argmin(np.abs(found.points - 0.739))]
    assert_allclose(near, 0.7390851332151607, atol=1e-14)  # the Dottie number


@pytest.mark.parametrize(
    "model",
    [
        lambda: ResESN.random(15, alpha=0.5, beta=0.9, bias_scaling=0.2, spectral_radius=1.4, seed=0),
        lambda: DeepESN.random(8, n_layers=2, bias_scaling=0.2, seed=0),
        lambda: ESN.random(15, activation=penstock.sigmoid, seed=0),
    ],
    ids=["ResESN", "DeepESN", "sigmoid"],
)
@pytest.mark.filterwarnings("ignore::penstock.reservoirs.drawing.EchoStateWarning")
def test_models_come_to_rest_at_points_found(model):
    system = model()
    found = fixed_points(system, u=0.2, n_starts=60, **QUIET)
    end = system.run(np.full((5000, 1), 0.2), x0=np.full(system.n_units, 0.01))[-1]
    if np.linalg.norm(system.step(end, np.array([0.2])) - end) < 1e-10:
        assert np.linalg.norm(found.points[found.stable] - end, axis=1).min() < 1e-7
    assert len(found)


# Nothing found, slow points


def test_a_map_without_fixed_points_gives_an_empty_result_that_says_so():
    found = fixed_points(Map(lambda x, u: x + 1, 2), n_starts=20, **QUIET)
    assert len(found) == 0 and found.points.shape == (0, 2) and found.eigenvalues.shape == (0, 2)
    assert "no fixed point found from 20 starts" in repr(found)
    assert_allclose(found.smallest_speed, np.sqrt(2))
    assert found.stable.shape == found.kinds.shape == (0,)
    found.plot()
    matplotlib.pyplot.close("all")


def test_the_ghost_of_a_saddle_node_is_a_slow_point():
    ghost = Map(lambda x, u: np.array([x[0] + 1e-3 + x[0] ** 2, 0.5 * x[1]]), 2)
    assert len(fixed_points(ghost, n_starts=30, **QUIET)) == 0
    slow = slow_points(ghost, max_speed=0.01, n_starts=30, **QUIET)
    assert_allclose(slow.points, [[0, 0]], atol=1e-5)  # a minimum is known to the root of rounding
    assert_allclose(slow.speeds, [1e-3], rtol=1e-6)
    assert slow.slow and "1 slow point" in repr(slow)


def test_slow_points_leave_fixed_points_out():
    # x' = x + e (x^2 + s)(x - 3): a fixed point at 3 and a minimum of the speed e |(x^2 + s)(x - 3)| near 0
    def rate(x):
        return 0.01 * (x**2 + 0.01) * (x - 3)

    slow = slow_points(Map(lambda x, u: x - rate(x), 1), max_speed=0.01, n_starts=60, **QUIET)
    stationary = min(np.roots(np.polyder(np.poly1d([1, -3, 0.01, -0.03]))), key=abs)
    assert_allclose(slow.points, [[stationary]], atol=1e-5)
    assert_allclose(slow.speeds, abs(rate(stationary)), rtol=1e-9)


def test_starts_that_diverge_do_not_spoil_the_others():
    found = fixed_points(Map(lambda x, u: x**3 * 5, 1), **QUIET)  # almost all starts blow up
    assert_allclose(np.sort(found.points[:, 0]), [-(5**-0.5), 0, 5**-0.5], atol=1e-14)


# Wrong arguments


@pytest.mark.parametrize(
    ("arguments", "error", "fragment"),
    [
        ({"u": [0.1, 0.2, 0.3]}, ValueError, "u must be a frozen input of shape"),
        ({"u": np.nan}, ValueError, "u must be finite"),
        ({"n_starts": 0}, ValueError, "n_starts must be at least 1"),
        ({"n_starts": 2.5}, TypeError, "n_starts must be an integer"),
        ({"tol": 0.0}, ValueError, "tol must be above 0"),
        ({"noise": -1.0}, ValueError, "noise must be at least 0"),
        ({"max_iterations": 0}, ValueError, "max_iterations must be at least 1"),
        ({"x0": np.zeros((2, 3))}, ValueError, "x0 must have shape"),
        ({"x0": [np.inf]}, ValueError, "x0 must be finite"),
        ({"seed": None}, TypeError, "seed must be"),
    ],
)
@pytest.mark.parametrize("function", [fixed_points, slow_points])
def test_bad_arguments_are_named(function, arguments, error, fragment):
    with pytest.raises(error, match=fragment):
        function(Map(lambda x, u: np.tanh(x + u), 1, 1), **arguments)


def test_bad_systems_are_named():
    with pytest.raises(TypeError, match="system must be a System"):
        fixed_points(3)
    with pytest.raises(ValueError, match="u must be None for a system without inputs"):
        fixed_points(Map(lambda x, u: x, 1), u=0.0)
    with pytest.raises(ValueError, match=r"several inputs as rows, u\[:, None\]"):
        fixed_points(Map(lambda x, u: x + u, 1, 1), u=[0.0, 1.0])
    with pytest.raises(ValueError, match="max_speed must be above 0"):
        slow_points(Map(lambda x, u: x, 1), max_speed=0.0)
    with pytest.raises(FloatingPointError, match="pass x0 in the domain"):
        fixed_points(Map(lambda x, u: np.full(1, np.nan) * x, 1), **QUIET)


# Drawing


def test_plot_has_axes_with_names_and_a_filled_marker_per_stable_point():
    system, _ = rotated_flip_flop(6, 0)
    found = fixed_points(system, **QUIET)
    ax = found.plot(np.array([system.run(20, x0=x) for x in 0.3 * np.eye(6)]))
    assert "principal component 1" in ax.get_xlabel()
    labels = ax.get_legend_handles_labels()[1]
    assert "stable: 8" in labels and "unstable or saddle: 19" in labels
    matplotlib.pyplot.close("all")


def test_plot_of_several_inputs_has_their_scale():
    neurons = ESN(2 * np.eye(2), np.ones((2, 1)))
    found = fixed_points(neurons, np.linspace(-1, 1, 5)[:, None], n_starts=60, **QUIET)
    ax = found.plot()
    scale = ax.figure.axes[-1]
    assert scale.get_ylabel() == "input" and scale.get_ylim() == (-1, 1)
    matplotlib.pyplot.close("all")


def test_shooting_jacobian_agrees_with_differences():
    shooting = Shooting(LORENZ, np.zeros((3, 0)))
    z = np.random.default_rng(0).standard_normal(9)
    numeric = penstock.system.numerical_jacobian(shooting.residual, z)
    assert_allclose(shooting.jacobians(z[None])[0], numeric, atol=1e-8)  # central differences
