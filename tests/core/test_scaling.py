"""Spectral radius, norm and scaling against LAPACK's full spectra and closed forms."""

from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from penstock import scaling
from penstock.laws import Signs
from penstock.scaling import (
    scale_fast,
    scale_leaky,
    scale_spectral_norm,
    scale_spectral_radius,
    spectral_norm,
    spectral_radius,
)
from penstock.weights import (
    antisymmetric,
    barabasi_albert,
    bernoulli,
    block_diagonal,
    cycle_with_jumps,
    delay_line,
    erdos_renyi,
    low_rank_masked,
    normal,
    orthogonal,
    permutation,
    ring,
    sparse,
    uniform,
    watts_strogatz,
)


def dense(W):
    return W.toarray() if sp.issparse(W) else W


def lapack_radius(W):
    return np.abs(np.linalg.eigvals(dense(W))).max()


FAMILIES = {
    "uniform": uniform,
    "normal": normal,
    "bernoulli": bernoulli,
    "antisymmetric": antisymmetric,
    "orthogonal": orthogonal,
    "sparse": partial(sparse, density=0.03),
    "per_row": partial(sparse, per_row=2),
    "low_rank": partial(low_rank_masked, rank=2),
    "permutation": permutation,
    "erdos_renyi": partial(erdos_renyi, p=0.02),
    "watts_strogatz": partial(watts_strogatz, values=Signs()),
    "barabasi_albert": barabasi_albert,
}

# Radius


@pytest.mark.parametrize("draw", FAMILIES.values(), ids=FAMILIES)
def test_radius_is_that_of_the_full_spectrum(draw):
    for n in (5, 60, 250):
        W = draw(n, seed=n)
        # 1e-10 relative; the absolute part is for patterns without a cycle, whose zeros LAPACK blurs
        assert_allclose(spectral_radius(W), lapack_radius(W), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("draw", [uniform, antisymmetric, orthogonal, permutation, partial(sparse, density=1.0)])
def test_radius_of_one_or_two_units(draw):
    for n in (1, 2):
        W = draw(n, seed=n)
        trace, determinant = np.trace(dense(W)), np.linalg.det(dense(W)) if n == 2 else 0.0
        assert_allclose(spectral_radius(W), np.abs(np.roots([1, -trace, determinant])).max(), rtol=1e-12)


@pytest.mark.parametrize("draw", FAMILIES.values(), ids=FAMILIES)
def test_radius_from_arnoldi_is_that_of_the_full_spectrum(draw):
    W = draw(420, seed=0)
    assert_allclose(spectral_radius(W), lapack_radius(W), rtol=1e-10)


@pytest.mark.parametrize("draw", [uniform, partial(sparse, density=0.05)], ids=["uniform", "sparse"])
def test_arnoldi_meets_the_full_spectrum_on_many_matrices(draw, monkeypatch):
    monkeypatch.setattr(scaling, "_DENSE_SIZE", 199)
    for seed in range(8):
        W = draw(200, seed=1000 + seed)
        assert_allclose(spectral_radius(W), lapack_radius(W), rtol=1e-10, err_msg=f"seed {seed}")


@pytest.mark.slow
@pytest.mark.parametrize("n", [401, 500])
def test_arnoldi_meets_the_full_spectrum_on_many_larger_matrices(n):
    for seed in range(30):
        for W in (uniform(n, seed=seed), sparse(n, density=0.05, seed=seed)):
            assert_allclose(spectral_radius(W), lapack_radius(W), rtol=1e-10, err_msg=f"seed {seed}")


def test_arnoldi_withholds_what_it_cannot_vouch_for():
    # triangular, so the radius is 0.5; but up to rounding numbers of modulus 1.5 are eigenvalues too
    W = np.tril(uniform(450, seed=0), -1) + np.diag(np.linspace(0, 0.5, 450))
    assert scaling._arpack(scaling._arnoldi_radius, W) is None
    assert spectral_radius(W) == 0.5


def test_arnoldi_is_what_large_matrices_use():
    # else the tests above would compare LAPACK with itself
    for W in (uniform(450, seed=0), sparse(450, density=0.05, seed=0)):
        assert_allclose(scaling._arpack(scaling._arnoldi_radius, W), lapack_radius(W), rtol=1e-12)


def characteristic_polynomial(W):
    """Exact integer coefficients, leading one first (Faddeev and LeVerrier)."""
    n, coefficients = len(W), [1]
    W, M = W.astype(object), np.zeros((n, n), object)
    for k in range(1, n + 1):
        M = W @ M + coefficients[-1] * np.eye(n, dtype=int).astype(object)
        coefficients.append(-(W @ M).trace() // k)
    return coefficients


@given(arrays(np.int64, st.integers(1, 6).map(lambda n: (n, n)), elements=st.integers(-2, 2)))
@settings(max_examples=80, deadline=None)
def test_radius_of_small_integer_matrices(W):
    expected = np.abs(np.roots(np.array(characteristic_polynomial(W), float))).max(initial=0)
    for form in (W, sp.csr_array(W)):  # rounding blurs a six-fold root by eps^(1/6) = 2.5e-3 at norm 1
        assert_allclose(spectral_radius(form), expected, rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize(("n", "weight"), [(1, 0.7), (2, 0.7), (10, -0.9), (5000, 0.95)])
def test_radius_of_a_ring_is_its_weight(n, weight):
    assert spectral_radius(ring(n, weight)) == abs(weight)
    if n <= 10:
        assert spectral_radius(ring(n, weight).toarray()) == abs(weight)


def test_radius_of_one_cycle_is_the_geometric_mean_of_its_weights():
    W = sp.csr_array(ring(900) * np.geomspace(1e-3, 1e3, 900))  # the mean of the logarithms is 0
    assert_allclose(spectral_radius(W), 1.0, rtol=1e-13)
    weak = ring(900).toarray()
    weak[0, -1] = 1e-300
    assert_allclose(spectral_radius(weak), 10 ** (-300 / 900), rtol=1e-13)


def test_radius_of_permutations_is_one():
    assert spectral_radius(permutation(3000, seed=0)) == 1.0
    assert spectral_radius(permutation(50, seed=0).toarray()) == 1.0


@pytest.mark.parametrize("n", [50, 600])
def test_radius_of_scaled_orthogonal_matrices(n):
    assert_allclose(spectral_radius(0.8 * orthogonal(n, seed=1)), 0.8, rtol=1e-13)


@pytest.mark.parametrize("n", [1, 4, 3000])
def test_radius_of_nilpotent_patterns_is_exactly_zero(n):
    assert spectral_radius(delay_line(n, 0.9)) == 0.0
    order = np.random.default_rng(0).permutation(n)
    assert spectral_radius(sp.csr_array(delay_line(n, 0.9)[order][:, order])) == 0.0
    if n == 4:
        assert spectral_radius(np.triu(np.ones((4, 4)), 1)) == 0.0


def test_radius_of_defective_matrices_is_exact():
    jordan = 0.5 * np.eye(40) + np.eye(40, k=1)  # rounding would move the 40-fold eigenvalue by 40 %
    order = np.random.default_rng(1).permutation(40)
    assert spectral_radius(jordan) == 0.5
    assert spectral_radius(sp.csr_array(jordan[order][:, order])) == 0.5


@pytest.mark.parametrize(("n", "weight", "feedback"), [(50, 0.5, 0.05), (300, 1.0, 1e-10), (450, 1.0, -1e-3)])
def test_radius_of_a_delay_line_with_feedback(n, weight, feedback):
    # similar to a symmetric matrix by factors up to 10^1500: LAPACK alone is wrong by 1300 % on the second
    expected = 2 * np.sqrt(abs(weight * feedback)) * np.cos(np.pi / (n + 1))
    assert_allclose(spectral_radius(delay_line(n, weight, feedback)), expected, rtol=1e-12)
    if n == 300:
        assert_allclose(spectral_radius(delay_line(n, weight, feedback).toarray()), expected, rtol=1e-12)
        assert lapack_radius(delay_line(n, weight, feedback)) > 10 * expected


def test_radius_of_clustered_and_periodic_spectra():
    W = cycle_with_jumps(450, 0.9, 0.3, 9)
    assert_allclose(spectral_radius(W), lapack_radius(W), rtol=1e-10)
    lattice = watts_strogatz(450, neighbours=4, p=0.0, values=lambda rng, size: np.ones(size), seed=0)
    assert_allclose(spectral_radius(lattice), 4.0, rtol=1e-12)  # all rows sum to 4
    two = np.zeros((500, 500))  # two groups that only drive each other: the spectrum comes in pairs +-
    two[:250, 250:], two[250:, :250] = uniform(250, seed=0), uniform(250, seed=1)
    assert_allclose(spectral_radius(two), lapack_radius(two), rtol=1e-10)


def test_radius_of_a_union_is_the_largest():
    parts = [0.3 * uniform(30, seed=0), ring(40, 0.6), sparse(50, density=0.1, seed=1), delay_line(20, 5.0)]
    expected = max(lapack_radius(parts[0]), 0.6, lapack_radius(parts[2]))
    W = block_diagonal(parts)
    assert_allclose(spectral_radius(W), expected, rtol=1e-12)
    one_way = W.toarray()
    one_way[:30, 30:] = 1.0  # links in one direction only leave the spectrum as it is
    assert_allclose(spectral_radius(one_way), expected, rtol=1e-12)


@pytest.mark.parametrize("n", [60, 450])
@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_radius_and_norm_of_huge_and_tiny_matrices(n, factor):
    for W in (uniform(n, seed=0), sparse(n, density=0.2, seed=0)):
        assert_allclose(spectral_radius(W * factor), factor * lapack_radius(W), rtol=1e-10)
        assert_allclose(spectral_norm(W * factor), factor * np.linalg.norm(dense(W), 2), rtol=1e-10)


def test_radius_is_kept_by_renumbering_and_transposition():
    W = sparse(450, per_row=3, seed=0)
    order = np.random.default_rng(0).permutation(450)
    assert_allclose(spectral_radius(W[order][:, order]), spectral_radius(W), rtol=1e-12)
    assert_allclose(spectral_radius(W.T), spectral_radius(W), rtol=1e-12)


def test_radius_repeats_to_the_bit():
    for W in (uniform(450, seed=0), sparse(450, density=0.05, seed=0)):
        assert spectral_radius(W) == spectral_radius(W)


def test_duplicates_and_stored_zeros_count_for_what_they_are():
    twice = sp.coo_array(([0.25, 0.25, 0.0, 1.0], ([0, 0, 1, 1], [1, 1, 1, 0])), shape=(2, 2))
    assert_allclose(spectral_radius(twice), np.sqrt(0.5), rtol=1e-15)
    unsummed = sp.csr_array((np.array([0.25, 0.25, 1.0]), np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 2))
    assert_allclose(spectral_radius(unsummed), np.sqrt(0.5), rtol=1e-15)
    assert_allclose(scale_spectral_radius(unsummed, 1.0).toarray() @ [1, 0], [0, np.sqrt(2)], rtol=1e-15)
    assert unsummed.nnz == 3


# Norm


@pytest.mark.parametrize("n", [5, 60, 420])
@pytest.mark.parametrize("draw", FAMILIES.values(), ids=FAMILIES)
def test_norm_is_the_largest_singular_value(draw, n):
    W = draw(n, seed=3)
    expected = np.linalg.svd(dense(W), compute_uv=False)[0]
    assert_allclose(spectral_norm(W), expected, rtol=1e-12)
    assert_allclose(spectral_norm(dense(W)), expected, rtol=1e-12)


def test_norms_known_exactly():
    assert spectral_norm(ring(3000, -0.7)) == 0.7
    assert spectral_norm(delay_line(3000, 0.7)) == 0.7
    assert spectral_norm(sp.csr_array((4, 4))) == 0.0
    star = sp.csr_array((np.ones(900), (np.zeros(900, int), np.arange(900))))  # one row of 900 ones
    star.resize(900, 900)
    assert_allclose(spectral_norm(star), 30.0, rtol=1e-14)
    assert_allclose(spectral_norm(star.T), 30.0, rtol=1e-14)
    lattice = watts_strogatz(900, neighbours=4, p=0.0, values=lambda rng, size: np.ones(size), seed=0)
    assert_allclose(spectral_norm(lattice), 4.0, rtol=1e-12)


# Scaling


@pytest.mark.parametrize("n", [80, 420])
@pytest.mark.parametrize("kind", [uniform, partial(sparse, density=0.1)], ids=["dense", "sparse"])
def test_scaled_matrices_have_what_was_asked_for(kind, n):
    W = kind(n, seed=1)
    assert_allclose(lapack_radius(scale_spectral_radius(W, 0.9)), 0.9, rtol=1e-10)
    assert_allclose(np.linalg.norm(dense(scale_spectral_norm(W, 0.9)), 2), 0.9, rtol=1e-12)
    scaled = dense(scale_spectral_radius(W, 0.9))
    assert_allclose(scaled / dense(scaled).max(), dense(W) / dense(W).max(), rtol=1e-14)


@pytest.mark.parametrize(("n", "leak"), [(60, 0.05), (60, 0.5), (60, 1.0), (420, 0.3)])
@pytest.mark.parametrize("kind", [uniform, partial(sparse, density=0.5)], ids=["dense", "sparse"])
def test_leak_aware_scaling_gives_the_leaky_map_its_radius(kind, leak, n):
    W = kind(n, seed=2)
    scaled = scale_leaky(W, 0.8, leak=leak)
    assert_allclose(lapack_radius((1 - leak) * np.eye(n) + leak * dense(scaled)), 0.8, rtol=1e-10)
    off = ~np.eye(n, dtype=bool)  # off the diagonal W is only multiplied
    factors = dense(scaled)[off & (dense(W) != 0)] / dense(W)[off & (dense(W) != 0)]
    assert_allclose(factors, factors[0], rtol=1e-12)


def test_leak_aware_scaling_by_hand():
    # V = (I + W) / 2 = [[.5, .5], [.5, .5]] has radius 1; V / 2, times 2, minus I
    for W in (np.array([[0.0, 1], [1, 0]]), ring(2)):
        assert_array_equal(dense(scale_leaky(W, 0.5, leak=0.5)), [[-0.5, 0.5], [0.5, -0.5]])


def test_without_leak_both_rules_agree():
    W = uniform(50, seed=0)
    assert_allclose(scale_leaky(W, 0.7, leak=1), scale_spectral_radius(W, 0.7), rtol=1e-14)


def test_fast_scaling_is_the_published_factor():
    W = uniform(75, seed=0)
    assert_allclose(scale_fast(W, 0.9), W * 0.9 * np.sqrt(3 / 75), rtol=1e-15)
    assert_allclose(scale_fast(W, 0.9), W * (0.9 / np.sqrt(75)) * (6 / np.sqrt(12)), rtol=1e-15)


# Realised radius of fast scaling to 1, mean and deviation over draws, from the reference measurements.
@pytest.mark.parametrize(("n", "mean", "deviation"), [(50, 1.050, 0.054), (100, 1.067, 0.042), (200, 1.041, 0.025)])
def test_fast_scaling_runs_high_by_the_known_amount(n, mean, deviation):
    radii = [lapack_radius(scale_fast(uniform(n, seed=seed), 1.0)) for seed in range(30)]
    # two means over some thirty draws each: 3 standard errors of their difference
    assert abs(np.mean(radii) - mean) < 3 * deviation * np.sqrt(2 / 30)
    # a deviation from 30 draws is known to 1 / sqrt(58) = 13 %; 3 errors of the ratio of two are 55 %
    assert 0.45 < np.std(radii, ddof=1) / deviation < 1.55


@pytest.mark.parametrize(
    ("draw", "std"),
    [
        (partial(normal, std=2.0), 2.0),
        (bernoulli, 1.0),
        (partial(sparse, density=0.2), np.sqrt(0.2 / 3)),
    ],
    ids=["normal", "bernoulli", "sparse"],
)
def test_fast_scaling_of_other_laws_takes_their_deviation(draw, std):
    radii = [lapack_radius(scale_fast(draw(150, seed=seed), 0.9, std=std)) for seed in range(12)]
    # 1 to 7 percent high at this size for every law: the circular law is universal
    assert 0.9 * 1.01 < np.mean(radii) < 0.9 * 1.07


SCALERS = {
    "radius": partial(scale_spectral_radius, spectral_radius=0.5),
    "norm": partial(scale_spectral_norm, spectral_norm=0.5),
    "fast": partial(scale_fast, spectral_radius=0.5),
    "leaky": partial(scale_leaky, spectral_radius=0.5, leak=0.5),
}


@pytest.mark.parametrize("scale", SCALERS.values(), ids=SCALERS)
def test_the_argument_stays_and_the_kind_is_kept(scale):
    for W in (uniform(20, seed=0), sparse(20, density=0.3, seed=0)):
        before = W.copy()
        parts = (W.data, W.indices, W.indptr) if sp.issparse(W) else (W,)
        for part in parts:
            part.flags.writeable = False  # as models hold them
        scaled = scale(W)
        assert type(scaled) is type(W) and scaled.dtype == np.float64
        assert_array_equal(dense(W), dense(before))
        for part in (scaled.data, scaled.indices, scaled.indptr) if sp.issparse(scaled) else (scaled,):
            assert part.flags.writeable and not any(np.shares_memory(part, own) for own in parts)
        single = scale(W.astype(np.float32))
        assert single.dtype == np.float32
        assert_allclose(dense(single), dense(scaled), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", SCALERS.values(), ids=SCALERS)
def test_lists_integers_and_other_formats_are_taken(scale):
    W = np.array([[1, 2], [3, 4]])
    for other in (W.tolist(), W.astype(float), sp.csc_array(W), sp.coo_array(W)):
        assert_allclose(dense(scale(other)), scale(W), rtol=1e-14)
    assert isinstance(scale(sp.csc_array(W)), sp.csr_array)


def test_a_target_of_zero_leaves_nothing():
    W = sparse(20, density=0.3, seed=0)
    assert scale_spectral_radius(W, 0.0).nnz == 0
    assert_array_equal(scale_fast(uniform(5, seed=0), 0), np.zeros((5, 5)))


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
def test_what_has_radius_zero_cannot_be_scaled(kind):
    line = kind(delay_line(5).toarray())
    with pytest.raises(ValueError, match=r"W must have a spectral radius above 0 to be scaled to 0\.9, got 0\.0"):
        scale_spectral_radius(line, 0.9)
    with pytest.raises(ValueError, match=r"W must have a spectral norm above 0"):
        scale_spectral_norm(kind(np.zeros((3, 3))), 0.9)
    with pytest.raises(ValueError, match=r"W must have a spectral radius of the leaky map above 0"):
        scale_leaky(kind(-np.eye(3)), 0.9, leak=0.5)
    with pytest.raises(ValueError, match=r"to be scaled to 0\.9, got 1e-320"):  # no finite factor does it
        scale_spectral_radius(kind(np.diag([1e-320, 0.0])), 0.9)


@pytest.mark.parametrize("function", [spectral_radius, spectral_norm, *SCALERS.values()])
def test_bad_matrices_are_named(function):
    with pytest.raises(ValueError, match=r"W must be a square matrix with at least one unit, got shape \(2, 3\)"):
        function(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"W must be a square matrix with at least one unit, got shape \(0, 0\)"):
        function(np.ones((0, 0)))
    with pytest.raises(ValueError, match=r"W must have shape"):
        function(np.ones(3))
    with pytest.raises(ValueError, match=r"W must be finite"):
        function(np.array([[np.nan]]))
    with pytest.raises(TypeError, match=r"W must hold real numbers"):
        function(np.array([[1j]]))


def test_bad_targets_are_named():
    W = uniform(5, seed=0)
    for scale in (scale_spectral_radius, scale_fast, partial(scale_leaky, leak=0.5)):
        with pytest.raises(ValueError, match="spectral_radius must be at least 0, got -1"):
            scale(W, -1)
        with pytest.raises(TypeError, match="spectral_radius must be a number, got 'a'"):
            scale(W, "a")
    with pytest.raises(ValueError, match="spectral_norm must be finite, got inf"):
        scale_spectral_norm(W, np.inf)
    with pytest.raises(ValueError, match=r"leak must lie in \(0, 1\], got 0"):
        scale_leaky(W, 0.9, leak=0)
    with pytest.raises(ValueError, match="std must be above 0, got 0"):
        scale_fast(W, 0.9, std=0)
