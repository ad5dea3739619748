from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import block_diag, expm, orthogonal_procrustes, subspace_angles
from scipy.stats import ortho_group

from penstock.analysis import (
    cka,
    cka_biased,
    delay_operator,
    dynamical_similarity,
    operator_distance,
    principal_angles,
    procrustes,
    weight_distance,
)
from penstock.analysis.similarity import _exchange_gain

ROUNDING = 1e-12  # of sums over a few hundred products of order one


def gaussian(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def rotation(n, seed=0):
    return ortho_group.rvs(n, random_state=seed)


# Kernel alignment


def test_unbiased_alignment_is_the_u_statistic_of_gram_matrices():
    X, Y = gaussian(30, 4), gaussian(30, 50, seed=1)
    Y[:, :4] += X

    def hsic(K, L):
        n, one = len(K), np.ones(len(K))
        K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
        sums = one @ K @ one * (one @ L @ one) / ((n - 1) * (n - 2))
        return (np.trace(K @ L) + sums - 2 / (n - 2) * one @ K @ L @ one) / (n * (n - 3))

    K, L = X @ X.T, Y @ Y.T  # not centred: the statistic does not need it
    assert_allclose(cka(X, Y), hsic(K, L) / np.sqrt(hsic(K, K) * hsic(L, L)), rtol=1e-10)


def test_biased_alignment_is_that_of_centred_gram_matrices():
    X, Y = gaussian(40, 7), gaussian(40, 60, seed=1) + 3
    H = np.eye(40) - 1 / 40
    K, L = H @ X @ X.T @ H, H @ Y @ Y.T @ H
    exact = np.sum(K * L) / np.sqrt(np.sum(K * K) * np.sum(L * L))
    assert_allclose(cka_biased(X, Y), exact, rtol=1e-11)


def test_independent_representations_look_alike_only_to_the_biased_measure():
    # 50 samples by 100 features: .67 biased, -.002 +- .026 unbiased in an independent computation
    values = np.array([(cka_biased(X, Y), cka(X, Y)) for X, Y in (gaussian(2, 50, 100, seed=s) for s in range(40))])
    biased, unbiased = values.mean(axis=0)
    assert abs(biased - 0.67) < 0.01
    assert abs(unbiased) < 3 * 0.026 / np.sqrt(40)
    assert_allclose(values[:, 1].std(), 0.026, rtol=0.35)  # a deviation of 40 values is known to 11 %


@given(st.integers(0, 1000), st.floats(1e-3, 1e3), st.integers(2, 40))
@settings(deadline=None, max_examples=20)
def test_rotation_scale_and_shift_leave_alignment_alone(seed, scale, p):
    X = gaussian(20, p, seed=seed)
    Y = X[:, :1] + gaussian(20, 3, seed=seed + 1)
    moved = scale * X @ rotation(p, seed) + 5 * scale
    for measure in (cka, cka_biased):
        assert_allclose(measure(X, moved), 1, rtol=1e-10)
        assert_allclose(measure(moved, Y), measure(X, Y), rtol=1e-9, atol=1e-10)
        assert_allclose(measure(X, Y), measure(Y, X), rtol=1e-12)


# Procrustes


def test_rotation_is_scipys_and_the_distance_the_nuclear_norm():
    X, Y = gaussian(30, 5), gaussian(30, 5, seed=1)
    result = procrustes(X, Y, centre=False, normalise=False)
    R, nuclear = orthogonal_procrustes(Y, X)
    assert_allclose(result.R, R, atol=1e-12)
    assert_allclose(result.distance**2, np.sum(X**2) + np.sum(Y**2) - 2 * nuclear, rtol=ROUNDING)
    assert_allclose(result.aligned, Y @ R, atol=ROUNDING)
    assert_allclose(result.angle, np.arccos(nuclear / np.linalg.norm(X) / np.linalg.norm(Y)), rtol=1e-10)


@given(st.integers(0, 1000), st.floats(1e-3, 1e3))
@settings(deadline=None, max_examples=15)
def test_moved_copies_coincide_to_rounding(seed, scale):
    X = gaussian(25, 4, seed=seed)
    Y = scale * (X @ rotation(4, seed) + 7)
    result = procrustes(X, Y)
    assert result.distance < 1e-13 and result.angle < 1e-13  # not the square root of rounding
    assert_allclose(result.aligned, result.reference, atol=1e-13)
    assert_allclose(result.R @ result.R.T, np.eye(4), atol=1e-13)
    assert procrustes(X, Y, normalise=False).distance == pytest.approx(
        abs(1 - scale) * np.linalg.norm(X - X.mean(axis=0)), rel=1e-9, abs=1e-9
    )


def test_fewer_features_are_filled_up_with_zeros():
    X = gaussian(20, 2)
    Y = np.column_stack([X, np.zeros((20, 3))]) @ rotation(5)
    assert procrustes(X, Y).distance < 1e-13
    assert procrustes(X, Y).R.shape == (5, 5)


def test_shape_angle_is_a_metric():
    shapes = [gaussian(12, 3, seed=s) for s in range(8)]
    d = np.array([[procrustes(a, b).angle for b in shapes] for a in shapes])
    assert_allclose(d, d.T, atol=1e-12)
    assert (d[:, :, None] <= d[:, None, :] + d.T[None] + 1e-12).all()  # triangles


# Subspaces


def test_angles_of_known_planes():
    # planes spanned by (e1, e2) and (cos a e1 + sin a e3, cos b e2 + sin b e4)
    for a, b in ((0.3, 1.2), (1e-9, 0.5), (0.0, np.pi / 2)):
        X = np.eye(4)[:, :2]
        Y = np.array([[np.cos(a), 0], [0, np.cos(b)], [np.sin(a), 0], [0, np.sin(b)]])
        mixed = Y @ [[1.0, 2.0], [3.0, -1.0]]  # another basis of the same plane
        assert_allclose(principal_angles(X, mixed), [a, b], atol=1e-14)


def test_angles_are_scipys_where_those_are_accurate():
    X, Y = gaussian(20, 3), gaussian(20, 5, seed=1)
    for a, b in ((X, Y), (Y, X), (1e200 * X, 1e-200 * Y)):
        assert_allclose(principal_angles(a, b), subspace_angles(X, Y)[::-1], rtol=1e-10)


def test_angles_of_subspaces_of_different_dimension():
    X = gaussian(9, 4)
    inside = X @ gaussian(4, 2, seed=1)
    assert_allclose(principal_angles(X, inside), 0, atol=1e-14)
    outside = np.linalg.qr(np.column_stack([X, gaussian(9, 2, seed=2)]))[0][:, 4:]
    assert_allclose(principal_angles(X, outside), np.pi / 2, atol=1e-12)


# Operators


def test_rotated_copies_have_distance_zero():
    for n in (1, 2, 3, 6, 9):
        A = gaussian(n, n, seed=n)
        C = rotation(n, n) if n > 1 else np.eye(1)
        for flip in (1, -1):  # both determinants
            D = C * np.where(np.arange(n) == 0, flip, 1)
            result = operator_distance(A, D.T @ A @ D)
            assert result.distance < 1e-13 * n * np.linalg.norm(A)
            assert result.angle < 1e-12
            assert result.converged
            assert_allclose(result.C @ result.C.T, np.eye(n), atol=1e-12)


def test_symmetric_operators_have_the_closed_form():
    A, B = gaussian(7, 7), gaussian(7, 7, seed=1)
    A, B = A + A.T, B + B.T
    result = operator_distance(A, B)
    exact = np.linalg.norm(np.linalg.eigvalsh(A) - np.linalg.eigvalsh(B))
    for value in (result.distance, result.lower_bound, result.rotation_distance, result.reflection_distance):
        assert_allclose(value, exact, rtol=1e-12)
    assert result.exact
    assert_allclose(np.linalg.norm(A - result.C @ B @ result.C.T), exact, rtol=1e-12)
    # the search, which does not know the closed form, finds it as well
    nearly = operator_distance(A + 1e-9 * np.triu(np.ones((7, 7))), B)
    assert not nearly.exact
    assert_allclose(nearly.distance, exact, atol=1e-7)


def test_normal_operators_attain_the_matching_distance_of_eigenvalues():
    # rotations with growth: eigenvalues r exp(+- i w), matched in the order of their pairs
    def spirals(pairs):
        return block_diag(*[r * expm(w * np.array([[0, -1], [1, 0]])) for r, w in pairs])

    A, B = spirals([(0.9, 0.2), (0.5, 1.5)]), spirals([(0.8, 0.3), (0.6, 1.2)])
    C = rotation(4, 3)
    result = operator_distance(A, C @ B @ C.T)
    pairs = [abs(0.9 * np.exp(0.2j) - 0.8 * np.exp(0.3j)), abs(0.5 * np.exp(1.5j) - 0.6 * np.exp(1.2j))]
    assert_allclose(result.distance, np.sqrt(2 * np.sum(np.square(pairs))), rtol=1e-9)


def test_eigenvalues_bound_nothing_for_non_normal_operators():
    e = 1e-4
    A, B = np.array([[0, 1], [e, 0]]), np.array([[0.0, 1.0], [0.0, 0.0]])
    result = operator_distance(A, B)
    matching = np.linalg.norm(np.sort(np.linalg.eigvals(A)) - 0)
    assert_allclose(matching, np.sqrt(2 * e), rtol=1e-9)  # .014
    assert_allclose(result.distance, e, rtol=1e-9)
    assert_allclose(result.singular_value_bound, e, rtol=1e-9)
    assert_allclose(result.symmetric_skew_bound, e, rtol=1e-9)


def test_two_dimensional_optimum_is_that_of_a_scan_over_all_rotations_and_reflections():
    for seed in range(6):
        A, B = gaussian(2, 2, seed=seed), gaussian(2, 2, seed=seed + 100)
        angles = np.linspace(0, 2 * np.pi, 4001)
        c, s = np.cos(angles), np.sin(angles)
        turns = np.array([[c, -s], [s, c]]).transpose(2, 0, 1)
        result = operator_distance(A, B)
        for value, C in (
            (result.rotation_distance, turns),
            (result.reflection_distance, turns @ np.diag([1.0, -1.0])),
        ):
            scan = np.linalg.norm(A - C @ B @ C.transpose(0, 2, 1), axis=(1, 2)).min()
            assert scan * (1 - 1e-5) - 1e-5 < value <= scan + 1e-9  # the scan misses the optimum by (0.0016/2)^2
        assert result.distance == min(result.rotation_distance, result.reflection_distance)


def test_both_determinants_are_needed_and_in_odd_dimensions_equal():
    A = gaussian(4, 4)
    flip = np.diag([-1.0, 1, 1, 1])
    result = operator_distance(A, flip @ A @ flip)
    assert result.reflection_distance < 1e-12 < 0.1 < result.rotation_distance
    odd = operator_distance(gaussian(5, 5), gaussian(5, 5, seed=1), n_starts=3)
    assert_allclose(odd.rotation_distance, odd.reflection_distance, rtol=1e-12)


@given(st.integers(0, 10_000), st.integers(2, 5))
@settings(deadline=None, max_examples=6)
def test_optimum_lies_between_its_bounds_and_any_rotation(seed, n):
    A, B = gaussian(n, n, seed=seed), gaussian(n, n, seed=seed + 1)
    result = operator_distance(A, B, n_starts=2)
    assert result.lower_bound <= result.distance * (1 + 1e-9)
    for C in ortho_group.rvs(n, size=50, random_state=seed):
        assert result.distance <= np.linalg.norm(A - C @ B @ C.T)
    a, b = np.linalg.norm(A), np.linalg.norm(B)
    overlap = np.sum(A * (result.C @ B @ result.C.T)) / (a * b)
    assert_allclose(result.angle, np.arccos(overlap), rtol=1e-7, atol=1e-7)
    # the same optimum serves both measures
    assert_allclose(result.distance**2, a**2 + b**2 - 2 * a * b * np.cos(result.angle), rtol=1e-9)


def test_result_is_a_stationary_point_and_symmetric_in_its_arguments():
    A, B = gaussian(6, 6), gaussian(6, 6, seed=1)
    result = operator_distance(A, B)
    M = result.C @ B @ result.C.T
    # d/dt ||A - exp(tW) M exp(-tW)||^2 = 0 for every skew W: [A, M^T] + [A^T, M] has to be symmetric, i.e. zero
    skew = A @ M.T - M.T @ A + A.T @ M - M @ A.T
    assert np.abs(skew - skew.T).max() < 1e-7 * np.linalg.norm(A) * np.linalg.norm(B)
    assert result.converged
    assert_allclose(operator_distance(B, A).distance, result.distance, rtol=1e-6)


def test_search_agrees_with_many_more_starts():
    A, B = gaussian(8, 8) / 3, gaussian(8, 8, seed=1) / 3
    few, many = operator_distance(A, B), operator_distance(A, B, n_starts=30, seed=5)
    assert_allclose(few.distance, many.distance, rtol=1e-6)
    assert few.n_hits >= 1 and few.n_starts == 14


def test_same_seed_same_bits():
    A, B = gaussian(5, 5), gaussian(5, 5, seed=1)
    assert operator_distance(A, B, seed=3).distance == operator_distance(A, B, seed=3).distance
    assert_array_equal(operator_distance(A, B, seed=3).C, operator_distance(A, B, seed=3).C)


# Trajectories


def linear_series(A, n_steps, seed=0, noise=0.0):
    rng = np.random.default_rng(seed)
    x = [rng.standard_normal(len(A))]
    for _ in range(n_steps - 1):
        x.append(A @ x[-1] + noise * rng.standard_normal(len(A)))
    return np.array(x)


ROTATING = block_diag(*[expm(w * np.array([[0, -1], [1, 0]])) for w in (0.2, 0.7)]) * 0.999


def test_fitted_operator_has_the_eigenvalues_of_the_linear_system():
    x = linear_series(ROTATING, 300)
    fit = delay_operator(x)
    assert_allclose(np.sort_complex(np.linalg.eigvals(fit.operator)), np.sort_complex(np.linalg.eigvals(ROTATING)))
    assert_allclose(fit.r2, 1, atol=1e-12)
    one_channel = delay_operator(x[:, 0] + x[:, 2], n_delays=4, rank=4)  # the rest comes from its delays
    eigenvalues = np.sort_complex(np.linalg.eigvals(one_channel.operator))
    assert_allclose(eigenvalues, np.sort_complex(np.linalg.eigvals(ROTATING)), rtol=1e-8)


def test_trials_are_never_joined():
    trials = [linear_series(ROTATING, length, seed) for seed, length in enumerate((40, 25, 60))]
    for n_delays, delay in ((1, 1), (2, 3)):
        fit = delay_operator(trials, n_delays=n_delays, delay=delay, rank=4)
        # one pair across a boundary would spoil the exact fit
        assert_allclose(fit.r2, 1, atol=1e-12)
        assert fit.n_vectors == 125 - 3 * (n_delays - 1) * delay
    joined = delay_operator(np.vstack(trials), rank=4)
    assert joined.r2 < 1 - 1e-4
    batch = np.stack([linear_series(ROTATING, 30, seed) for seed in range(3)])
    assert_array_equal(delay_operator(batch).operator, delay_operator(list(batch)).operator)


def test_ridge_fit_is_sklearns():
    from sklearn.linear_model import Ridge

    x = linear_series(ROTATING, 80, noise=0.3)
    fit = delay_operator(x, n_delays=2, rank=5, ridge=0.1)
    V = np.linalg.svd(np.hstack([x[:-1], x[1:]]), full_matrices=False)[0][:, :5]
    theirs = Ridge(alpha=0.1, fit_intercept=False).fit(V[:-1], V[1:]).coef_
    assert_allclose(fit.operator, theirs, atol=1e-12)


def test_dynamics_seen_through_any_invertible_observation_are_the_same():
    x = linear_series(ROTATING, 200, noise=0.1)
    seen = x @ gaussian(4, 4, seed=4)
    result = dynamical_similarity(x, seen, n_delays=2)
    assert result.distance < 1e-9  # the condition of the observation times rounding
    other = linear_series(ROTATING @ ROTATING, 200, noise=0.1)
    assert dynamical_similarity(x, other, n_delays=2, n_starts=2).distance > 0.1


def test_rotations_of_two_speeds_are_at_the_angle_between_them():
    t = np.arange(400)
    a, b = (np.column_stack([np.cos(w * t), np.sin(w * t)]) for w in (0.3, 0.5))
    result = dynamical_similarity(a, b)
    # rotation matrices by 0.3 and 0.5: cosine of their angle is cos(0.2); whitening over whole periods only: 1 %
    assert_allclose(result.angle, 0.2, rtol=0.02)
    assert_allclose(result.distance, 2 * np.sqrt(2) * np.sin(0.1), rtol=0.02)
    assert result.lower_bound <= result.distance


def test_different_numbers_of_channels_share_the_smaller_rank():
    x = linear_series(ROTATING, 300)
    result = dynamical_similarity(x, x[:, 0] + x[:, 2], n_delays=4)
    assert result.X.rank == result.Y.rank == 4
    assert dynamical_similarity(x, x[:, :2], n_starts=1).X.rank == 2


# Weights


def test_renumbered_network_is_the_same():
    W, order = gaussian(30, 30), np.random.default_rng(1).permutation(30)
    result = weight_distance(W, W[order][:, order], n_starts=3)
    assert result.distance == 0
    assert_array_equal(order[result.permutation], np.arange(30))
    assert result.as_numbered > 10


def test_distance_is_the_best_of_all_permutations():
    for seed in range(6):
        W1, W2 = gaussian(6, 6, seed=seed), gaussian(6, 6, seed=seed + 50)
        best = min(np.linalg.norm(W1 - W2[np.ix_(p, p)]) for p in permutations(range(6)))
        result = weight_distance(W1, W2, n_starts=20)
        assert_allclose(result.distance, best, rtol=1e-12)
        assert result.lower_bound <= best
        assert_allclose(result.relative, best / np.hypot(np.linalg.norm(W1), np.linalg.norm(W2)))


def test_gain_of_an_exchange_is_the_change_of_the_overlap():
    A, B = gaussian(5, 5), gaussian(5, 5, seed=1)
    gain = _exchange_gain(A, B)
    for r in range(5):
        for s in range(5):
            order = np.arange(5)
            order[[r, s]] = order[[s, r]]
            assert_allclose(gain[r, s], np.sum(A * B[order][:, order]) - np.sum(A * B), atol=1e-12)


def test_noisy_copy_is_recognised():
    W, order = gaussian(40, 40), np.random.default_rng(1).permutation(40)
    noise = 0.3 * gaussian(40, 40, seed=2)
    result = weight_distance(W, (W + noise)[order][:, order], n_starts=4)
    assert_allclose(result.distance, np.linalg.norm(noise), rtol=1e-12)
    assert weight_distance(W, gaussian(40, 40, seed=5), n_starts=2).relative > 0.8


def test_weight_search_repeats_itself():
    W1, W2 = gaussian(12, 12), gaussian(12, 12, seed=1)
    a, b = (weight_distance(W1, W2, seed=4) for _ in range(2))
    assert_array_equal(a.permutation, b.permutation)


# Texts and bad input


@pytest.mark.parametrize("size", [1e-150, 1e150])
def test_alignment_does_not_depend_on_the_units(size):
    X, Y = gaussian(30, 4), gaussian(30, 6, seed=1)
    for measure in (cka, cka_biased):
        assert_allclose(measure(size * X, Y), measure(X, Y), rtol=1e-12)


def test_unbiased_alignment_is_the_correlation_of_u_centred_gram_matrices():
    # Szekely and Rizzo (2014): zero diagonal, row and column means of U-centring
    X, Y = gaussian(12, 5) + 3, gaussian(12, 7, seed=1)
    n = 12

    def centred(Z):
        K = Z @ Z.T
        K[np.diag_indices(n)] = 0
        rows = K.sum(axis=0) / (n - 2)
        K = K - rows - rows[:, None] + K.sum() / ((n - 1) * (n - 2))
        K[np.diag_indices(n)] = 0
        return K

    K, L = centred(X - X.mean(axis=0)), centred(Y)
    assert_allclose(cka(X, Y), np.sum(K * L) / (np.linalg.norm(K) * np.linalg.norm(L)), rtol=1e-11)


def test_rows_given_as_nested_lists_are_one_trajectory():
    x = linear_series(ROTATING, 40)
    assert_array_equal(delay_operator(x.tolist()).operator, delay_operator(x).operator)
    assert delay_operator([x.tolist(), x[:30].tolist()]).n_trials == 2
    assert delay_operator([x[:, 0], x[:30, 0]], n_delays=2).n_trials == 2


def test_weak_rotations_have_the_second_order_distance():
    # B = A turned by exp(e K): zero distance, however near; scaled by 1 + e: at most e ||A||
    A = gaussian(6, 6, seed=3)
    result = operator_distance(A, 1.001 * A)
    assert result.distance <= 0.001 * np.linalg.norm(A) * (1 + 1e-12)
    assert_allclose(result.lower_bound, 0.001 * np.linalg.norm(A), rtol=1e-9)  # of the singular values
    assert result.converged


def test_large_operators_descend_to_a_stationary_point():
    A, B = gaussian(20, 20) / 5, gaussian(20, 20, seed=1) / 5
    result = operator_distance(A, B, n_starts=2)
    assert result.converged and result.lower_bound < result.distance < np.linalg.norm(A - B)


def test_reprs_say_what_decided():
    x = linear_series(ROTATING, 200, noise=0.1)
    text = repr(dynamical_similarity(x, x[::-1], n_delays=2, rank=3, ridge=0.01, n_starts=2))
    for word in ("DynamicalSimilarity", "rad", "lower bound", "det C", "rank 3", "2 delays", "ridge 0.01", "R^2"):
        assert word in text
    assert "closed form" in repr(operator_distance(np.eye(2), np.diag([1.0, 2.0])))
    assert "lower bound" in repr(weight_distance(np.eye(3), np.ones((3, 3))))
    assert "rank" in repr(delay_operator(x))


@pytest.mark.parametrize(
    ("call", "fragment"),
    [
        (lambda: cka(gaussian(5, 2), gaussian(6, 2)), "same number of rows (samples), got 5 and 6"),
        (lambda: cka(gaussian(3, 2), gaussian(3, 2)), "at least 4 rows"),
        (lambda: cka(np.ones((9, 2)), gaussian(9, 2)), "X must vary over its rows"),
        (lambda: cka(np.eye(6), gaussian(6, 2)), "X must not have all its 6 samples at equal distances"),
        (lambda: cka_biased(gaussian(9, 2), np.ones((9, 2))), "Y must vary over its rows"),
        (lambda: procrustes(gaussian(9, 2), np.full((9, 2), np.nan)), "Y must be finite"),
        (lambda: procrustes(np.empty((0, 2)), np.empty((0, 2))), "X must not be empty"),
        (lambda: principal_angles(np.zeros((4, 2)), gaussian(4, 2)), "X must not be zero"),
        (lambda: principal_angles(np.ones(4), gaussian(4, 2)), "X must have 2 dimensions"),
        (lambda: operator_distance(gaussian(2, 3), gaussian(2, 3)), "A must be square"),
        (lambda: operator_distance(np.eye(2), np.eye(3)), "B must have the shape (2, 2) of A"),
        (lambda: operator_distance(np.eye(2), np.zeros((2, 2))), "B must not be zero"),
        (lambda: delay_operator([gaussian(9, 2), gaussian(9, 3)]), "X must have the same channels in every trial"),
        (lambda: delay_operator([gaussian(9, 2), gaussian(3, 2)], n_delays=4), "got 3 in trial 1"),
        (lambda: delay_operator(gaussian(9, 2), rank=3), "rank must be at most 2"),
        (lambda: delay_operator(gaussian(9, 2), ridge=-1.0), "ridge must be at least 0"),
        (lambda: delay_operator(np.zeros((9, 2))), "X must not be zero throughout"),
        (lambda: weight_distance(gaussian(2, 3), gaussian(2, 3)), "W1 must be square"),
        (lambda: weight_distance(np.eye(2), np.eye(3)), "W2 must have the shape (2, 2)"),
        (lambda: weight_distance(np.zeros((2, 2)), np.zeros((2, 2))), "must not both be zero"),
    ],
)
def test_bad_input_is_named(call, fragment):
    with pytest.raises(ValueError) as error:
        call()
    assert fragment in str(error.value)
