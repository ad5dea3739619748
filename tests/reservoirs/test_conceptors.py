"""Conceptors: their definition, their logic, networks run through them, and patterns loaded into a network."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm, null_space, orth
from scipy.sparse import eye_array

import penstock
from penstock.analysis import lyapunov_spectrum, stability
from penstock.reservoirs import ESN, Conceptor, Conceptored, DeepESN, load_patterns

pytestmark = pytest.mark.filterwarnings("ignore::penstock.reservoirs.EchoStateWarning")

ATOL = 1e-12  # matrices of order 1, a few products and one inverse of moderate condition


def states(n_steps=40, n_units=6, seed=0):
    return np.random.default_rng(seed).standard_normal((n_steps, n_units)) * np.linspace(0.05, 2, n_units)


def projector(*vectors):
    basis = orth(np.array(vectors).T)
    return Conceptor(basis @ basis.T)


def jaeger_and(A, B):
    """Definition 4 of Jaeger (2014): pseudo-inverses on the intersection of the two ranges."""
    off_range = [null_space(matrix, rcond=1e-9) for matrix in (A, B)]
    common = null_space(np.hstack([*off_range, np.zeros((len(A), 1))]).T, rcond=1e-9)
    inverse = [np.linalg.pinv(matrix, rcond=1e-9) for matrix in (A, B)]
    return common @ np.linalg.inv(common.T @ (inverse[0] + inverse[1] - np.eye(len(A))) @ common) @ common.T


@st.composite
def conceptors(draw, n=5):
    """Conceptors with eigenvalues among 0, 1 and numbers between, in random directions."""
    values = draw(st.lists(st.sampled_from([0.0, 0.0, 0.02, 0.3, 0.5, 0.9, 1.0]), min_size=n, max_size=n))
    Q = np.linalg.qr(np.random.default_rng(draw(st.integers(0, 10**6))).standard_normal((n, n)))[0]
    return Conceptor(Q * values @ Q.T)


# --- definition -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aperture", [0.1, 1.0, 30.0])
def test_conceptor_is_the_regularised_identity_of_its_states(aperture):
    x = states()
    R = x.T @ x / len(x)
    C = Conceptor.of(x, aperture).C
    np.testing.assert_allclose(C, R @ np.linalg.inv(R + np.eye(6) / aperture**2), atol=ATOL)
    # the gradient of mean ‖x - C x‖² + ‖C‖² / a² vanishes
    np.testing.assert_allclose((C - np.eye(6)) @ R + C / aperture**2, 0, atol=ATOL)
    s = np.linalg.eigvalsh(R)[::-1]
    values = Conceptor.of(x, aperture).singular_values
    np.testing.assert_allclose(values, s / (s + aperture**-2), atol=ATOL)
    assert values[-1] >= 0 and values[0] < 1
    assert Conceptor.of(x, aperture).quota == pytest.approx(np.mean(s / (s + aperture**-2)))


def test_blocks_give_the_conceptor_of_the_whole_run():
    esn, u = ESN.random(20, seed=0), np.random.default_rng(1).uniform(-1, 1, 200)
    whole = Conceptor.of(esn.run(u), 10.0).C
    np.testing.assert_allclose(Conceptor.of(esn.blocks(u, 33), 10.0).C, whole, atol=ATOL)
    batch = esn.run(np.stack([u[:, None], -u[:, None]]))
    np.testing.assert_allclose(Conceptor.of(batch, 10.0).C, Conceptor.of(np.vstack(batch), 10.0).C, atol=ATOL)


def test_extreme_apertures_block_everything_or_project_onto_the_span():
    x = states(3, 6)  # three states span three of six dimensions
    np.testing.assert_array_equal(Conceptor.of(x, 0.0).C, np.zeros((6, 6)))
    basis = orth(x.T)
    np.testing.assert_allclose(Conceptor.of(x, np.inf).C, basis @ basis.T, atol=ATOL)


def test_aperture_adaptation_multiplies_the_aperture():
    x = states()
    np.testing.assert_allclose(Conceptor.of(x, 0.7).with_aperture(5.0).C, Conceptor.of(x, 3.5).C, atol=ATOL)
    C, gamma = Conceptor.of(x, 0.7).C, 2.0
    closed = C @ np.linalg.inv(C + (np.eye(6) - C) / gamma**2)
    np.testing.assert_allclose(Conceptor(C).with_aperture(gamma).C, closed, atol=ATOL)
    np.testing.assert_allclose((~Conceptor(C).with_aperture(gamma)).C, (~Conceptor(C)).with_aperture(0.5).C, atol=ATOL)


def test_aperture_limits_make_the_conceptor_hard():
    c = Conceptor(np.diag([0.0, 0.3, 1.0]))
    np.testing.assert_allclose(c.with_aperture(0.0).C, np.diag([0.0, 0.0, 1.0]), atol=1e-15)
    np.testing.assert_allclose(c.with_aperture(np.inf).C, np.diag([0.0, 1.0, 1.0]), atol=1e-15)
    np.testing.assert_allclose(c.with_aperture(1.0).C, c.C, atol=1e-15)
    np.testing.assert_allclose(c.with_aperture(1e200).C, np.diag([0.0, 1.0, 1.0]), atol=1e-15)


def test_projectors_stay_projectors_at_any_aperture():
    P = projector(*states(3, 7))  # eigenvalues 0 and 1 up to rounding, which apertures of 0 and inf would blow up
    for gamma in (0.0, 1e-9, 1e9, np.inf):
        np.testing.assert_allclose(P.with_aperture(gamma).C, P.C, atol=ATOL)


def test_similarity_is_the_cosine_between_the_matrices():
    a, b = Conceptor(np.diag([1.0, 0.5, 0.0])), Conceptor(np.diag([0.0, 0.5, 1.0]))
    assert a.similarity(a) == pytest.approx(1.0)
    assert a.similarity(b) == pytest.approx(0.25 / 1.25)
    assert projector([1.0, 0, 0]).similarity(projector([0, 1.0, 0])) == pytest.approx(0.0, abs=1e-15)
    with pytest.raises(ValueError, match="conceptor that is zero"):
        a.similarity(Conceptor(np.zeros((3, 3))))


def test_evidence_is_the_quadratic_form_and_adds_up_with_its_negation():
    c, x = Conceptor.of(states(), 1.0), states(7, seed=1)
    np.testing.assert_allclose(c.evidence(x), [one @ c.C @ one for one in x], rtol=1e-12)
    np.testing.assert_allclose(c.evidence(x) + (~c).evidence(x), (x**2).sum(axis=1), rtol=1e-12)
    assert c.evidence(x[0]).shape == ()


def test_evidence_tells_the_patterns_that_drive_a_network_apart():
    esn = ESN.random(50, input_scaling=1.5, bias_scaling=0.2, seed=0)
    t = np.arange(400)
    runs = [esn.run(np.sin(t / period))[100:] for period in (1.1, 1.6, 2.4)]
    classes = [Conceptor.of(run[:200], 10.0) for run in runs]
    unit = [run[200:] / np.linalg.norm(run[200:], axis=1, keepdims=True) for run in runs]
    best = [np.mean([c.evidence(run) for c in classes], axis=1).argmax() for run in unit]
    assert best == [0, 1, 2]


# --- logic ----------------------------------------------------------------------------------------------------------


def test_logic_of_commuting_conceptors_has_a_closed_form():
    b, c = np.array([0.2, 0.5, 0.9, 0.0, 1.0, 0.4]), np.array([0.3, 0.5, 1e-9, 0.7, 1.0, 1.0])
    B, C = Conceptor(np.diag(b)), Conceptor(np.diag(c))
    np.testing.assert_allclose(np.diag((B & C).C), b * c / (b + c - b * c), atol=1e-15)
    with np.errstate(invalid="ignore"):
        either = np.where(b * c == 1, 1.0, (b + c - 2 * b * c) / (1 - b * c))
    np.testing.assert_allclose(np.diag((B | C).C), either, atol=1e-15)
    np.testing.assert_allclose(np.diag((~B).C), 1 - b, atol=1e-15)


def test_and_is_the_inverse_formula_where_that_exists():
    A, B = Conceptor.of(states(), 1.0), Conceptor.of(states(seed=1), 2.0)
    inverse = np.linalg.inv(np.linalg.inv(A.C) + np.linalg.inv(B.C) - np.eye(6))
    np.testing.assert_allclose((A & B).C, inverse, atol=1e-11)  # inverses of condition up to 1e3


@pytest.mark.parametrize("ranks", [(3, 4), (2, 2), (6, 2), (1, 5)])
def test_and_of_singular_conceptors_is_jaegers_on_the_intersection_of_ranges(ranks):
    first, second = states(ranks[0], seed=2), states(ranks[1], seed=3)
    second[0] = first[0]  # one direction in common at least
    A, B = Conceptor.of(first, 1.0), Conceptor.of(second, 1.5)
    expected = jaeger_and(A.C, B.C)
    assert np.linalg.norm(expected) > 0.1
    np.testing.assert_allclose((A & B).C, expected, atol=1e-9)  # the definition inverts eigenvalues down to 1e-3


def test_or_is_the_conceptor_of_the_summed_correlations():
    x, y = states(), states(seed=1)
    merged = Conceptor.of(np.sqrt(2) * np.vstack([x, y]), 3.0)  # R of both together is (R_x + R_y) / 2
    np.testing.assert_allclose((Conceptor.of(x, 3.0) | Conceptor.of(y, 3.0)).C, merged.C, atol=ATOL)
    few = Conceptor.of(x[:2], 3.0) | Conceptor.of(y[:2], 3.0)
    np.testing.assert_allclose(few.C, Conceptor.of(np.sqrt(2) * np.vstack([x[:2], y[:2]]), 3.0).C, atol=ATOL)


def test_logic_holds_for_spectra_that_fall_down_to_rounding():
    esn, t = ESN.random(80, input_scaling=1.5, bias_scaling=0.2, seed=0), np.arange(600)
    x, y = (esn.run(np.sin(t / period))[100:] for period in (1.1, 1.6))
    a, b = Conceptor.of(x, 10.0), Conceptor.of(y, 10.0)
    assert a.singular_values[-1] < 1e-12  # sines move few of the 80 directions
    merged = Conceptor.of(np.sqrt(2) * np.vstack([x, y]), 10.0)
    np.testing.assert_allclose((a | b).C, merged.C, atol=1e-10)
    np.testing.assert_allclose(((a & b) & ~a).C, (a & (b & ~a)).C, atol=1e-10)
    assert np.linalg.eigvalsh(a.C - (a & b).C).min() > -1e-12


def test_projectors_and_is_the_intersection_and_or_the_span():
    a, b, c, d = np.random.default_rng(0).standard_normal((4, 7))
    np.testing.assert_allclose((projector(a, b, c) & projector(c, d)).C, projector(c).C, atol=1e-10)
    np.testing.assert_allclose((projector(a, b, c) | projector(c, d)).C, projector(a, b, c, d).C, atol=1e-10)
    np.testing.assert_allclose((projector(a) & projector(b)).C, 0, atol=1e-10)  # skew lines meet in the origin
    np.testing.assert_allclose((projector(a, b) & ~projector(a, b)).C, 0, atol=1e-10)
    np.testing.assert_allclose((projector(a, b) | ~projector(a, b)).C, np.eye(7), atol=1e-10)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10**6), st.sampled_from([1e-12, 1e-9, 1e-8, 1e-7, 1e-6, 1e-3]))
def test_ranges_that_nearly_meet_still_give_conceptors(seed, angle):
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    skew = rng.standard_normal((4, 4))
    levels = [0, 1, 1e-16, 1e-12, 1e-8, 0.3, 0.9, 1 - 1e-8, 1 - 1e-12]
    a, b = (
        Conceptor(basis * rng.choice(levels, 4) @ basis.T) for basis in (Q, expm(angle * (skew - skew.T)) @ Q)
    )  # their intersection hangs on the last digits, but what it is lies below both
    for both in (a & b, b & a):
        assert np.linalg.eigvalsh(a.C - both.C).min() > -1e-7
        assert np.linalg.eigvalsh(b.C - both.C).min() > -1e-7
    assert np.linalg.eigvalsh((a | b).C - a.C).min() > -1e-7


def test_faint_conceptors_keep_their_digits():
    faint = Conceptor(np.diag([1e-10, 3e-12, 0.5]))
    values = np.array([1e-10, 3e-12, 0.5])
    np.testing.assert_allclose(np.diag((faint & faint).C), values / (2 - values), rtol=1e-3)  # eigenvalues err by 1e-16


@settings(deadline=None, max_examples=60)
@given(conceptors(), conceptors(), conceptors())
def test_laws_of_the_logic(a, b, c):
    # inverses are of I - (I - A)(I - B): random ranges of 5 dimensions seldom nearly meet, which costs digits
    close = {"atol": 1e-8}
    one, zero = Conceptor(np.eye(5)), Conceptor(np.zeros((5, 5)))
    np.testing.assert_allclose((~~a).C, a.C, **close)
    np.testing.assert_allclose((~(a & b)).C, (~a | ~b).C, **close)
    np.testing.assert_allclose((~(a | b)).C, (~a & ~b).C, **close)
    np.testing.assert_allclose((a & b).C, (b & a).C, **close)
    np.testing.assert_allclose(((a & b) & c).C, (a & (b & c)).C, **close)
    np.testing.assert_allclose((a & one).C, a.C, **close)
    np.testing.assert_allclose((a & zero).C, zero.C, **close)
    np.testing.assert_allclose((a | zero).C, a.C, **close)
    np.testing.assert_allclose((a | one).C, one.C, **close)
    # AND lets no more through than either, OR no less, in every direction
    assert np.linalg.eigvalsh(a.C - (a & b).C).min() > -1e-8
    assert np.linalg.eigvalsh((a | b).C - a.C).min() > -1e-8


# --- a system under a conceptor -------------------------------------------------------------------------------------


def test_run_is_the_published_update():
    esn = ESN.random(12, n_inputs=2, leak=0.6, bias_scaling=0.3, seed=0)
    C = Conceptor.of(states(9, 12), 2.0)
    u, x = np.random.default_rng(1).uniform(-1, 1, (20, 2)), np.zeros(12)
    for u_t, row in zip(u, Conceptored(esn, C).run(u), strict=True):
        x = C.C @ (0.4 * x + 0.6 * np.tanh(esn.W @ x + esn.W_in @ u_t + esn.bias))
        np.testing.assert_allclose(row, x, atol=1e-14)


def test_the_identity_changes_nothing_and_a_projector_keeps_states_in_its_range():
    esn, u = ESN.random(12, seed=0), np.random.default_rng(1).uniform(-1, 1, 50)
    np.testing.assert_allclose(Conceptored(esn, Conceptor(np.eye(12))).run(u), esn.run(u), atol=1e-14)
    P = projector(*states(3, 12))
    inside = Conceptored(esn, P).run(u)
    np.testing.assert_allclose(inside @ P.C, inside, atol=1e-14)
    assert np.linalg.matrix_rank(inside) == 3


def test_a_contracting_network_stays_certified_under_a_conceptor():
    system = Conceptored(ESN.random(12, spectral_radius=0.4, leak=0.7, seed=0), Conceptor.of(states(9, 12), 2.0))
    (block,) = system.lure_blocks()
    x, u = np.full(12, 0.1), np.array([0.5])
    D = 1 - np.tanh(block.C @ x + system.system.W_in @ u) ** 2
    np.testing.assert_allclose(block.A + block.B * D @ block.C, system.jacobian(x, u), atol=1e-14)
    assert stability(system, progress=False).certified
    assert Conceptored(DeepESN.random(12, n_layers=3, seed=0), Conceptor(np.eye(12))).lure_blocks() == ()


def test_arrays_of_the_piecewise_linear_form_step_as_the_system_does():
    relu = ESN.random(6, activation=penstock.relu, leak=0.5, bias_scaling=1.0, seed=0)
    system, u = Conceptored(relu, Conceptor.of(states(), 1.0)), np.array([0.3])
    A, B, C, d, h = system.piecewise_linear(u)
    for x in states(10):
        np.testing.assert_allclose(A @ x + B @ np.maximum(C @ x + d, 0) + h, system.step(x, u), atol=1e-13)


def test_float32_stays_float32():
    esn = ESN.random(12, dtype=np.float32, seed=0)
    system, u = Conceptored(esn, Conceptor.of(states(9, 12), 2.0)), np.linspace(-1, 1, 30)
    assert system.run(u).dtype == np.float32 == system.dtype
    double = Conceptored(ESN.random(12, seed=0), system.conceptor)
    np.testing.assert_allclose(system.run(u), double.run(u), atol=1e-5)  # 30 steps with roundings of 1e-7


def test_divergence_is_named():
    growing = ESN(3 * np.eye(2), np.zeros((2, 0)), activation=penstock.identity)
    with pytest.raises(FloatingPointError, match="unit 0 is inf at step"):
        Conceptored(growing, Conceptor(np.eye(2))).run(900, x0=[1.0, 0.0])


def test_divergence_by_the_conceptor_itself_is_named():
    v = np.sqrt([0.5, 1 / 6, 1 / 6, 1 / 6])
    still = ESN(np.eye(4), np.zeros((4, 0)), activation=penstock.identity)
    with pytest.raises(FloatingPointError, match="unit 0 is inf at step 0"):  # the row of v_0 v sums to 1.37
        Conceptored(still, Conceptor(np.outer(v, v))).run(1, x0=np.full(4, 1.7e308))


# --- loaded patterns ------------------------------------------------------------------------------------------------

PERIODS = (8.8342522, 9.8342522)
FIVE = np.array([0.9, -0.4, 0.1, -1.0, 0.6])
T = np.arange(1500)
PATTERNS = [np.sin(2 * np.pi * T / PERIODS[0]), np.sin(2 * np.pi * T / PERIODS[1]), FIVE[T % 5]]


def loaded(seed=0, **keywords):
    """Jaeger's first demonstration: 100 units of radius 1.5, inputs of deviation 1.5, biases of deviation 0.2."""
    esn = ESN.random(100, spectral_radius=1.5, input_scaling=1.5 * 3**0.5, bias_scaling=0.2 * 3**0.5, seed=seed)
    return load_patterns(esn, PATTERNS, aperture=100.0, **keywords)


def aligned_error(series, pattern):
    """Error relative to the pattern's deviation, at the best of all phases."""
    n = np.arange(len(series))
    if pattern == 2:
        shifts = [FIVE[(n + k) % 5] for k in range(5)]
    else:
        shifts = [np.sin(2 * np.pi * n / PERIODS[pattern] + p) for p in np.linspace(0, 2 * np.pi, 721)]
    return min(np.sqrt(np.mean((series - shift) ** 2) / shift.var()) for shift in shifts)


@pytest.mark.parametrize("seed", range(3))
def test_loaded_patterns_are_regenerated_under_their_conceptors_and_not_without(seed):
    result = loaded(seed)
    free_errors = []
    for pattern in range(3):
        start = result.starts[pattern]
        own = result.readout(result.recall(pattern).run(600, x0=start))[500:, 0]
        # Jaeger's demonstration reaches errors of the order of 0.01; here after 500 steps without any input
        assert aligned_error(own, pattern) < 0.01
        free_errors.append(aligned_error(result.readout(result.system.run(600, x0=start))[500:, 0], pattern))
    assert max(free_errors) > 0.5  # one autonomous network cannot do all three


def test_another_patterns_conceptor_turns_the_network_to_that_pattern():
    result = loaded()
    y = result.readout(result.recall(1).run(900, x0=result.starts[0]))[800:, 0]
    assert aligned_error(y, 1) < 0.01
    assert aligned_error(y, 0) > 0.5


def test_a_recalled_pattern_goes_on_without_a_seam():
    result = loaded()
    y = result.readout(result.recall(0).run(30, x0=result.starts[0]))[:, 0]
    # the phase that the driven state holds: 30 steps drift less than 2 % of the amplitude
    np.testing.assert_allclose(y, np.sin(2 * np.pi * np.arange(1500, 1530) / PERIODS[0]), atol=0.02)


def test_a_recalled_sine_is_a_closed_curve_with_largest_exponent_zero():
    result = loaded()
    spectrum = lyapunov_spectrum(
        result.recall(0), n_exponents=2, n_steps=4000, washout=500, x0=result.starts[0], progress=False
    )
    assert abs(spectrum.exponents[0]) < 2e-3  # of order 1 / n_steps, per step
    assert spectrum.exponents[1] < -5e-3


def test_retrained_weights_solve_the_normal_equations_of_the_internalised_input():
    esn = ESN.random(30, leak=0.6, input_scaling=1.5, bias_scaling=0.2, seed=1)
    u = [np.sin(T[:600] / 1.3), np.sin(T[:400] / 2.1)]
    result = load_patterns(esn, u, washout=50, alpha=0.01)
    runs = [esn.run(one) for one in u]
    before = np.vstack([run[49:-1] for run in runs])
    drive = before @ esn.W.T + np.concatenate([one[50:] for one in u])[:, None] @ esn.W_in.T
    W = np.linalg.solve(before.T @ before + 0.01 * np.eye(30), before.T @ drive).T
    np.testing.assert_allclose(result.system.W, W, atol=1e-8)  # a condition number of 1e5
    pulled = np.sqrt(np.mean((before @ W.T - drive)[:550] ** 2))
    assert result.loading_error[0] == pytest.approx(pulled, rel=1e-6)
    assert result.system.n_inputs == 0 and result.system.leak == 0.6
    np.testing.assert_array_equal(result.starts, [run[-1] for run in runs])
    np.testing.assert_allclose(result.conceptors[1].C, Conceptor.of(runs[1][50:], 10.0).C, atol=ATOL)


def test_patterns_of_several_channels_and_apertures_of_each():
    esn = ESN.random(60, n_inputs=2, input_scaling=1.5, bias_scaling=0.2, seed=0)
    circle = np.stack([np.sin(T / 2), np.cos(T / 2)], axis=1)
    result = load_patterns(esn, [circle, circle[::-1]], aperture=[30.0, 60.0])
    assert result.apertures.tolist() == [30.0, 60.0]
    for pattern, turn in ((0, 1.0), (1, -1.0)):
        y = result.readout(result.recall(pattern).run(200, x0=result.starts[pattern]))[100:]
        np.testing.assert_allclose(np.linalg.norm(y, axis=1), 1, atol=0.05)  # stays on the unit circle
        angle = np.diff(np.unwrap(np.arctan2(y[:, 0], y[:, 1])))
        np.testing.assert_allclose(angle, 0.5 * turn, atol=0.05)


def test_sparse_leaky_networks_with_two_inputs_load_the_same_weights():
    leak = np.linspace(0.3, 1.0, 20)
    sparse = ESN.random(20, n_inputs=2, density=0.3, leak=leak, bias_scaling=0.2, seed=0)
    dense = ESN(sparse.W.toarray(), sparse.W_in, sparse.bias, leak)
    circle = np.stack([np.sin(T[:700] / 2), np.cos(T[:700] / 2)], axis=1)
    one, two = (load_patterns(esn, [circle, circle[::-1]], washout=100) for esn in (sparse, dense))
    np.testing.assert_allclose(one.system.W, two.system.W, atol=1e-9)  # a ridge whose condition is at most 1e7
    np.testing.assert_array_equal(one.system.leak, leak)


def test_single_precision_patterns_are_loaded_in_double():
    single = ESN.random(20, bias_scaling=0.2, dtype=np.float32, seed=0)
    u = np.sin(T[:800] / 2).astype(np.float32)
    result = load_patterns(single, [u], washout=100, alpha=1e-8)
    x = single.run(u)
    before = x[99:-1].astype(float)
    drive = (x[99:-1] @ single.W.T + u[100:, None] @ single.W_in.T).astype(float)
    assert result.system.dtype == np.float32
    U, s, Vt = np.linalg.svd(before, full_matrices=False)
    exact = drive.T @ U * (s / (s**2 + 1e-8)) @ Vt
    np.testing.assert_array_equal(result.system.W, exact.astype(np.float32))


def test_patterns_that_were_not_loaded_are_named():
    result = loaded()
    with pytest.raises(ValueError, match="pattern must be below 3, counted from 0, got 3"):
        result.recall(3)
    with pytest.raises(ValueError, match="pattern must be at least 0"):
        result.recall(-1)


def test_same_network_same_bits():
    np.testing.assert_array_equal(loaded().system.W, loaded().system.W)


# --- what users see -------------------------------------------------------------------------------------------------


def test_reprs_say_what_they_hold():
    result = loaded()
    assert "3 patterns in ESN(n_units=100, n_inputs=0" in repr(result)
    assert "alpha 0.0001 for W, 0.01 for the readout; washout 500 steps" in repr(result)
    assert repr(Conceptor(np.diag([1.0, 0.6, 0.2, 0.2]))) == (
        "Conceptor(n_units=4, quota=0.5, 2 of 4 singular values above 1/2)"
    )


def test_plots_show_the_singular_values():
    from matplotlib import pyplot as plt

    result = loaded()
    ax = result.plot()
    assert len(ax.lines) == 3
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), result.conceptors[1].singular_values)
    assert result.conceptors[0].plot(ax) is ax
    plt.close("all")


@pytest.mark.parametrize(
    ("C", "message"),
    [
        (np.ones((2, 3)), "C must be a square array"),
        ([[0.5, 0.1], [0.0, 0.5]], "C must be symmetric"),
        (np.diag([0.5, 1.1]), r"C must have eigenvalues in \[0, 1\], got 0.5 to 1.1"),
        (np.diag([-0.5, 0.1]), r"C must have eigenvalues in \[0, 1\]"),
        ([[np.nan]], "C must be finite"),
    ],
)
def test_what_is_no_conceptor_is_refused(C, message):
    with pytest.raises(ValueError, match=message):
        Conceptor(C)


def test_bad_states_and_apertures_are_refused():
    c = Conceptor(np.eye(3))
    with pytest.raises(ValueError, match="aperture must be at least 0"):
        Conceptor.of(states(), -1.0)
    with pytest.raises(ValueError, match="aperture must be at least 0"):
        Conceptor.of(states(), np.nan)
    with pytest.raises(TypeError, match="gamma must be a number"):
        c.with_aperture("wide")
    with pytest.raises(ValueError, match="states must have 2 or 3 dimensions"):
        Conceptor.of(np.ones(4), 1.0)
    with pytest.raises(ValueError, match="states must hold at least one state"):
        Conceptor.of(np.empty((0, 4)), 1.0)
    with pytest.raises(ValueError, match="states must have 4 units in every block, got 1"):
        Conceptor.of(iter([np.ones((2, 4)), np.ones((2, 1))]), 1.0)
    with pytest.raises(TypeError, match=r"C must be a dense array, got a sparse one"):
        Conceptor(eye_array(3))
    with pytest.raises(ValueError, match=r"states must have shape \(…, 3\), got \(2, 4\)"):
        c.evidence(np.ones((2, 4)))
    with pytest.raises(TypeError, match="must be a Conceptor"):
        c & np.eye(3)
    with pytest.raises(ValueError, match="must have 3 units, got 2"):
        c | Conceptor(np.eye(2))
    with pytest.raises(ValueError, match="conceptor must have 12 units like system, got 3"):
        Conceptored(ESN.random(12, seed=0), c)
    with pytest.raises(TypeError, match="conceptor must be a Conceptor"):
        Conceptored(ESN.random(12, seed=0), np.eye(12))
    with pytest.raises(TypeError, match="system must be a System"):
        Conceptored(np.eye(3), c)


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"esn": np.eye(3)}, TypeError, "esn must be an ESN with inputs"),
        ({"esn": ESN(np.eye(3), np.empty((3, 0)))}, TypeError, "esn must be an ESN with inputs"),
        ({"patterns": []}, ValueError, "patterns must hold at least one pattern"),
        ({"patterns": np.ones((2, 900))}, TypeError, "patterns must be a list of arrays"),
        ({"patterns": [np.ones(900), np.ones(500)]}, ValueError, r"patterns\[1\] must be one series of more than"),
        ({"patterns": [np.ones((900, 2))]}, ValueError, r"patterns\[0\]: u must have shape \(T, 1\)"),
        ({"patterns": [np.ones(900), None]}, TypeError, r"patterns\[1\]: u must hold real numbers"),
        ({"washout": 0}, ValueError, "washout must be at least 1"),
        ({"alpha": 0.0}, ValueError, "alpha must be above 0"),
        ({"readout_alpha": -1.0}, ValueError, "readout_alpha must be above 0"),
        ({"aperture": [1.0, 2.0, 3.0]}, ValueError, "aperture must be a number or one for each of 2 patterns, got 3"),
        ({"aperture": -2.0}, ValueError, "aperture must be at least 0"),
    ],
)
def test_bad_arguments_of_loading_are_named(keywords, error, message):
    arguments = {"esn": ESN.random(10, seed=0), "patterns": [np.sin(T / 2), np.sin(T / 3)]} | keywords
    with pytest.raises(error, match=message):
        load_patterns(arguments.pop("esn"), arguments.pop("patterns"), **arguments)
