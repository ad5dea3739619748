"""Lyapunov exponents: closed forms, exact identities, published values, and what must be refused or doubted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from published import LORENZ63, LORENZ96

from penstock import Flow, Map, SystemDefaults
from penstock.analysis import LyapunovSpectrum, lyapunov_spectrum
from penstock.orthogonal import orthonormalise
from penstock.reservoirs import ESN, ResESN, ResRMN, Stack

GOLDEN = np.log((3 + np.sqrt(5)) / 2)


def constant(A, modulo=1.0, dt=1.0):
    """x' = A x mod 1: bounded, with a constant Jacobian."""
    return Map(lambda x, u: A @ x % modulo, n_units=len(A), rule_jacobian=lambda x, u: A, dt=dt)


def logistic(dt=1.0):
    return Map(lambda x, u: 4 * x * (1 - x), n_units=1, rule_jacobian=lambda x, u: np.array([4 - 8 * x]), dt=dt)


def henon():
    return Map(
        lambda x, u: np.array([1 - 1.4 * x[0] ** 2 + x[1], 0.3 * x[0]]),
        n_units=2,
        rule_jacobian=lambda x, u: np.array([[-2.8 * x[0], 1.0], [0.3, 0.0]]),
    )


@njit
def lorenz63(x, u):
    return np.array([10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]])


@njit
def lorenz63_jacobian(x, u):
    return np.array([[-10.0, 10.0, 0.0], [28 - x[2], -1.0, -x[0]], [x[1], x[0], -8 / 3]])


def inputs(n_steps, n_inputs=1, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n_steps, n_inputs))


def log_dets(system, u, washout):
    """Mean ln |det J| over the measured steps, by LU of every Jacobian."""
    states = np.concatenate([np.zeros((1, system.n_units)), system.run(u)])
    dets = [
        np.linalg.slogdet(system.jacobian(x, u_t))[1] for x, u_t in zip(states[washout:-1], u[washout:], strict=True)
    ]
    return np.mean(dets)


# --- closed forms ---------------------------------------------------------------------------------------------------


def test_the_cat_map_has_the_logarithms_of_its_eigenvalues():
    result = lyapunov_spectrum(constant(np.array([[2.0, 1.0], [1.0, 1.0]])), n_steps=400)
    np.testing.assert_allclose(result.exponents, [GOLDEN, -GOLDEN], atol=1e-14)  # rounding of sums of 400 terms
    assert result.kaplan_yorke_dimension == pytest.approx(2, abs=1e-12)
    assert result.converged and result.zero_exponent is None
    assert result.entropy_bound == pytest.approx(GOLDEN)


def test_the_kaplan_yorke_map_has_ln_2_and_ln_alpha():
    alpha = 0.2
    system = Map(
        lambda x, u: np.array([(2 * x[0] + 1e-9) % 1.0, alpha * x[1] + np.cos(4 * np.pi * x[0])]),
        n_units=2,
        rule_jacobian=lambda x, u: np.array([[2.0, 0.0], [-4 * np.pi * np.sin(4 * np.pi * x[0]), alpha]]),
    )
    result = lyapunov_spectrum(system, n_steps=2000)
    # triangular Jacobians: sums are exact, and the frame turns within bounds, an error of order 1 / n_steps
    assert result.exponents.sum() == pytest.approx(np.log(2 * alpha), abs=1e-13)
    np.testing.assert_allclose(result.exponents, [np.log(2), np.log(alpha)], atol=5e-3)
    assert result.kaplan_yorke_dimension == pytest.approx(1 + np.log(2) / -np.log(alpha), abs=5e-3)


def test_the_logistic_map_has_ln_2():
    result = lyapunov_spectrum(logistic(), n_steps=20_000)
    assert result.exponents[0] == pytest.approx(np.log(2), abs=5 * result.standard_errors[0] + 1e-4)
    assert result.standard_errors[0] < 1e-3
    assert result.kaplan_yorke_dimension == 1


def test_standard_errors_are_honest():
    """Of the Henon map over 30 starts: the spread of the estimates is what each of them states."""
    results = [lyapunov_spectrum(henon(), n_exponents=1, n_steps=800, seed=seed) for seed in range(30)]
    spread = np.std([result.exponents[0] for result in results])
    stated = np.sqrt(np.mean([result.standard_errors[0] ** 2 for result in results]))
    assert 0.6 < spread / stated < 1.6  # the spread of 30 is known to 13 %, its square root law to the correlations


def test_henon_exponents_add_up_to_the_logarithm_of_its_determinant():
    result = lyapunov_spectrum(henon(), n_steps=20_000)
    assert result.exponents.sum() == pytest.approx(np.log(0.3), abs=1e-12)
    assert result.exponents[0] == pytest.approx(0.4192, abs=4 * result.standard_errors[0])  # Sprott 2003: 0.41922
    assert result.sum_residual < 1e-13


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 16), scale=st.floats(0.3, 3))
def test_linear_maps_have_the_logarithms_of_their_eigenvalues(seed, n, scale):
    rng = np.random.default_rng(seed)
    moduli = scale * 0.7 ** np.arange(n)
    basis = rng.standard_normal((n, n)) + 2 * np.eye(n)
    A = basis @ np.diag(moduli * rng.choice([-1, 1], n)) @ np.linalg.inv(basis)
    result = lyapunov_spectrum(constant(A), n_steps=60, washout=400, seed=seed)
    # the frame has settled to 0.7^200; what is left is rounding magnified by the conditioning of A
    np.testing.assert_allclose(result.exponents, np.log(moduli), atol=1e-9 * np.linalg.cond(basis))
    # the determinant of A is itself known to eps times its conditioning, per column
    known = 10 * n * np.finfo(float).eps * np.linalg.cond(A)
    assert result.exponents.sum() == pytest.approx(np.linalg.slogdet(A)[1], abs=max(1e-11, known))


def test_a_linear_reservoir_has_those_of_its_matrix_whatever_drives_it():
    from penstock import identity

    esn = ESN.random(12, leak=0.4, activation=identity, seed=2)
    result = lyapunov_spectrum(esn, inputs(20_000))
    moduli = np.abs(np.linalg.eigvals(0.6 * np.eye(12) + 0.4 * esn.W))
    # complex pairs turn the frame for ever: an error of order 1 / n_steps
    np.testing.assert_allclose(np.sort(result.exponents), np.sort(np.log(moduli)), atol=1e-3)
    assert result.exponents.sum() == pytest.approx(np.log(moduli).sum(), abs=1e-11)


def test_exponents_are_per_unit_of_time():
    slow, fast = lyapunov_spectrum(logistic(dt=1.0), n_steps=500), lyapunov_spectrum(logistic(dt=0.25), n_steps=500)
    np.testing.assert_allclose(fast.exponents, 4 * slow.exponents, rtol=1e-13)
    np.testing.assert_allclose(fast.standard_errors, 4 * slow.standard_errors, rtol=1e-13)
    np.testing.assert_allclose(fast.per_step, slow.per_step, rtol=1e-13)
    assert fast.trace_times[-1] == 125


# --- reservoirs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_units", [8, 40])  # either side of the change from Gram-Schmidt to LAPACK
@pytest.mark.parametrize("leak", [0.2, 0.5, 1.0])
def test_exponents_of_a_reservoir_add_up_to_its_mean_log_determinant(n_units, leak):
    esn, u = ESN.random(n_units, leak=leak, spectral_radius=0.95, bias_scaling=0.1, seed=1), inputs(600)
    result = lyapunov_spectrum(esn, u, washout=60)
    assert result.exponents.sum() == pytest.approx(log_dets(esn, u, 60), abs=1e-10)
    assert result.sum_residual < 1e-10
    assert result.largest_ratio <= 1e6
    assert result.kind == "driven" and result.zero_exponent is None


def test_a_directed_network_follows_the_product_of_its_jacobians_not_of_their_transposes():
    rng = np.random.default_rng(0)
    n_units, washout = 14, 300
    W = np.triu(rng.standard_normal((n_units, n_units)), -1) * 1.2  # far from normal
    esn, u = ESN(W, rng.standard_normal((n_units, 1)), 0.5), inputs(900)
    states = np.concatenate([np.zeros((1, n_units)), esn.run(u)])

    def spectrum(transpose):
        V, logs = np.linalg.qr(rng.standard_normal((n_units, n_units)))[0], []
        for x, u_t in zip(states[washout // 2 : -1], u[washout // 2 :], strict=True):
            J = (1 - np.tanh(W @ x + esn.W_in @ u_t + 0.5) ** 2)[:, None] * W
            V, R = np.linalg.qr((J.T if transpose else J) @ V)
            logs.append(np.log(np.abs(np.diag(R))))
        return np.mean(logs[washout - washout // 2 :], axis=0)

    result = lyapunov_spectrum(esn, u, washout=washout)
    # frames that started differently agree as far as they have settled within half the washout
    np.testing.assert_allclose(result.exponents, spectrum(False), atol=2e-3)
    assert np.abs(result.exponents - spectrum(True)).max() > 0.02


def test_the_spectrum_of_a_stack_is_the_union_of_its_layers():
    u = inputs(6000)
    below, above = ESN.random(7, leak=0.5, seed=1), ESN.random(6, n_inputs=7, leak=0.8, seed=2)
    whole = lyapunov_spectrum(Stack([below, above]), u)
    union = [lyapunov_spectrum(below, u).exponents, lyapunov_spectrum(above, below.run(u)).exponents]
    # block triangular: frames of the layers mix within bounds, an error of order 1 / n_steps
    np.testing.assert_allclose(np.sort(whole.exponents), np.sort(np.concatenate(union)), atol=5e-3)
    assert whole.exponents.sum() == pytest.approx(np.sum(np.concatenate(union)), abs=1e-10)


def test_the_linear_branch_of_a_residual_network_has_ln_alpha_throughout():
    network = ResESN.random(20, alpha=0.83, beta=0.0, seed=0)
    result = lyapunov_spectrum(network, inputs(300))
    np.testing.assert_allclose(result.exponents, np.log(0.83), atol=1e-13)


def test_a_network_with_linear_memory_adds_that_memory_to_its_spectrum():
    network = ResRMN.random(9, n_memory=5, memory_radius=0.7, alpha=0.95, beta=0.05, seed=1)
    u = inputs(3000)
    result = lyapunov_spectrum(network, u, washout=300)
    J = network.jacobian(np.zeros(14), u[0])
    memory, states = J[:5, :5], np.concatenate([np.zeros((1, 14)), network.run(u)])
    blocks = [network.jacobian(x, u_t)[5:, 5:] for x, u_t in zip(states[300:-1], u[300:], strict=True)]
    assert not J[:5, 5:].any()  # the memory hears nothing of the network
    exact = np.log(np.abs(np.linalg.eigvals(memory))).sum() + np.mean([np.linalg.slogdet(B)[1] for B in blocks])
    assert result.exponents.sum() == pytest.approx(exact, abs=1e-10)
    slow = np.sort(np.log(np.abs(np.linalg.eigvals(memory))))
    np.testing.assert_allclose(np.sort(result.exponents)[:5], slow, atol=5e-3)  # order 1 / n_steps, as above


@pytest.mark.parametrize(("gain", "low", "high"), [(0.8, -0.25, -0.15), (2.0, 0.06, 0.25)])
def test_random_networks_turn_chaotic_beyond_unit_gain(gain, low, high):
    """x' = tanh(g W x): ln of the spectral radius below 1; about .147 at g = 2 (reference, N = 400)."""
    W = np.random.default_rng(0).standard_normal((100, 100)) / 10
    result = lyapunov_spectrum(ESN(gain * W, np.empty((100, 0))), n_exponents=1, n_steps=1500)
    assert low < result.exponents[0] < high


def test_the_contracting_end_is_kept_where_a_long_interval_loses_it():
    esn, u = ESN.random(60, leak=0.5, spectral_radius=0.95, seed=0), inputs(1000)
    each = lyapunov_spectrum(esn, u, interval=1)
    adaptive, fixed = lyapunov_spectrum(esn, u), lyapunov_spectrum(esn, u, interval=20)
    np.testing.assert_allclose(adaptive.exponents, each.exponents, atol=1e-9)  # 1e6 times rounding
    assert adaptive.converged and adaptive.interval[1] > 1 and adaptive.largest_ratio <= 1e6
    assert np.abs(fixed.exponents - each.exponents).max() > 0.05
    assert any("loses the contracting end" in doubt for doubt in fixed.doubts)
    np.testing.assert_allclose(fixed.exponents[:10], each.exponents[:10], atol=1e-9)  # the leading ones never care


def test_the_sum_of_many_segments_is_exact_once_the_frame_is_straight():
    """Single segments may be off by the squared ratio R_11 / R_kk times rounding, here 1e-4; their sum is not."""
    rng = np.random.default_rng(0)
    J = np.linalg.qr(rng.standard_normal((30, 30)))[0] @ np.diag(np.logspace(0, -3, 30))
    system, V, logs = constant(J), np.linalg.qr(rng.standard_normal((30, 30)))[0], np.empty((21, 30))
    system._push_qr(np.zeros(30), np.empty((40, 0)), V, 2, logs[:20])
    orthonormalise(V, logs[20])
    np.testing.assert_allclose(V @ V.T, np.eye(30), atol=1e-14)
    assert logs.sum() == pytest.approx(40 * np.linalg.slogdet(J)[1], abs=1e-9)  # 1e6 times rounding


def test_a_sudden_contraction_is_repeated_with_a_shorter_interval():
    """Calm for most of the run, then a ratio of 1e4 per step: nothing is lost although the interval had grown."""

    class Squeezed(SystemDefaults):
        n_units, n_inputs = 2, 1
        turn = np.array([[0.6, -0.8], [0.8, 0.6]])

        def step(self, x, u):
            return self.jacobian(x, u) @ x

        def jacobian(self, x, u):
            return self.turn @ np.diag([1.0, np.exp(-9.0 * float(u[0]))])

    u = np.zeros((1000, 1))
    u[500:540] = 1
    result = lyapunov_spectrum(Squeezed(), u, washout=0)
    assert result.exponents.sum() == pytest.approx(-9 * 40 / 1000, abs=1e-12)
    assert result.interval[0] == 1 and result.interval[1] > 8
    assert result.largest_ratio <= 1e6


@pytest.mark.parametrize("n_units", [10, 30])
def test_singular_jacobians_give_minus_infinity_and_no_nan(n_units):
    from penstock import identity

    rng = np.random.default_rng(0)
    rank = n_units - 4
    W = rng.standard_normal((n_units, rank)) @ rng.standard_normal((rank, n_units)) / n_units
    esn = ESN(W, np.ones((n_units, 1)), activation=identity)
    result = lyapunov_spectrum(esn, inputs(800))
    nonzero = np.sort(np.log(np.abs(np.linalg.eigvals(W))))[4:]
    np.testing.assert_allclose(np.sort(result.exponents[:rank]), nonzero, atol=0.02)  # complex pairs: order 1 / n_steps
    assert np.isneginf(result.exponents[rank:]).all()
    assert (result.standard_errors[rank:] == 0).all()
    assert not np.isnan(result.trace).any() and not np.isnan(result.finite_time).any()
    assert result.sum_residual == 0
    assert "-inf" in repr(result)


def test_growth_rates_of_a_step_beyond_rounding_are_doubted():
    """The last exponent, ln 1e-13, drowns in the rounding of the first."""
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    result = lyapunov_spectrum(constant(turn @ np.diag([0.9, 0.5, 1e-13]) @ turn.T), n_steps=100)
    assert any("singular but for rounding" in doubt for doubt in result.doubts)


def test_single_precision_agrees_as_far_as_it_can():
    double = ESN.random(30, n_inputs=2, leak=0.5, seed=3)  # two inputs: the kernels that other tests compile
    single = ESN(double.W.astype(np.float32), double.W_in, double.bias, 0.5)
    u = inputs(1500, 2)
    exact, rough = lyapunov_spectrum(double, u), lyapunov_spectrum(single, u)
    assert rough.largest_ratio <= 1e3
    np.testing.assert_allclose(rough.exponents, exact.exponents, atol=1e-4)  # 1e3 times the rounding of 6e-8
    assert rough.converged


def test_a_large_reservoir_has_the_exponents_of_a_plain_qr_at_each_step():
    """From 256 tangents on they are carried as triangles; the same flag, so the same sums, but for rounding."""
    from penstock.analysis.lyapunov import Frame

    esn, u = ESN.random(256, leak=0.5, bias_scaling=0.1, seed=0), inputs(40)
    frame = Frame(esn, np.zeros(256), 256, None, np.random.default_rng(0))
    x, Q, expected = np.zeros(256), frame.V.T, np.zeros(256)
    for u_t in u:
        J = esn.jacobian(x, u_t)
        x = esn.step(x, u_t)
        Q, R = np.linalg.qr(J @ Q)
        expected += np.log(np.abs(np.diag(R)))
    found = frame.advance(u[:25]) + frame.advance(u[25:]) + frame.straighten()
    # eps times the conditioning of the triangles, about 500, times the growth ratio of a step, about 50
    np.testing.assert_allclose(found / 40, expected / 40, atol=1e-12)
    assert frame.longest == 1


@pytest.mark.parametrize("k", [8, 22])
def test_many_tangents_of_sparse_networks_are_pushed_by_the_product_of_the_jacobians(k):
    below, above = ESN.random(12, density=0.3, leak=0.5, seed=1), ESN.random(10, n_inputs=12, density=0.4, seed=2)
    stack, u, V = Stack([below, above]), inputs(6), np.random.default_rng(0).standard_normal((22, k))
    x, expected = np.full(22, 0.1), V
    for u_t in u:
        expected = stack.jacobian(x, u_t) @ expected
        x = stack.step(x, u_t)
    end, pushed = stack.push(np.full(22, 0.1), u, V)
    np.testing.assert_allclose(end, x, atol=1e-14)
    np.testing.assert_allclose(pushed, expected, atol=1e-13)


def test_leading_exponents_are_those_of_the_full_spectrum():
    esn, u = ESN.random(25, leak=0.5, seed=3), inputs(3000)
    full, leading = lyapunov_spectrum(esn, u), lyapunov_spectrum(esn, u, n_exponents=3)
    np.testing.assert_allclose(leading.exponents, full.exponents[:3], atol=5e-3)  # frames settle at 1 / n_steps
    assert leading.sum_residual is None


# --- flows ----------------------------------------------------------------------------------------------------------


def test_lorenz63_has_its_published_spectrum_and_the_exact_sum():
    flow = Flow(lorenz63, 3, dt=0.003, rule_jacobian=lorenz63_jacobian)
    result = lyapunov_spectrum(flow, n_steps=2_000_000, progress=False)
    leading, zero, last = result.exponents
    assert leading == pytest.approx(LORENZ63.exponents[0], rel=5e-3)
    assert last == pytest.approx(LORENZ63.exponents[2], rel=5e-3)
    assert abs(zero) < 1e-3 and result.zero_exponent == 1
    assert result.exponents.sum() == pytest.approx(-41 / 3, abs=1e-6)  # the trace; order 4 leaves 8e-7 at this step
    assert result.kaplan_yorke_dimension == pytest.approx(LORENZ63.dimension, abs=2e-3)
    assert result.converged and result.sum_residual < 1e-12


def test_a_flow_at_a_fixed_point_has_no_zero_exponent():
    decay = Flow(lambda x, u: np.array([-1.0, -3.0]) * x, 2, dt=0.05)
    result = lyapunov_spectrum(decay, n_steps=400)
    np.testing.assert_allclose(result.exponents, [-1, -3], atol=1e-4)  # order 4: (0.15)^5 / 120 / 0.05 = 1e-5
    assert result.zero_exponent is None and result.kaplan_yorke_dimension == 0


def test_a_limit_cycle_has_one_zero_exponent():
    """z' = z (1 - |z|^2) + i z: exponents 0 and -2."""

    def rule(x, u):
        growth = 1 - x[0] ** 2 - x[1] ** 2
        return np.array([growth * x[0] - x[1], growth * x[1] + x[0]])

    result = lyapunov_spectrum(Flow(rule, 2, dt=0.05), n_steps=2000)
    np.testing.assert_allclose(result.exponents, [0, -2], atol=1e-4)  # order 4
    assert result.zero_exponent == 0


@pytest.mark.slow
def test_lorenz96_has_its_published_leading_exponent_and_dimension():
    @njit
    def lorenz96(x, u):
        n, out = x.size, np.empty_like(x)
        for i in range(n):
            out[i] = (x[(i + 1) % n] - x[(i + n - 2) % n]) * x[(i + n - 1) % n] - x[i] + 8.0
        return out

    @njit
    def jacobian(x, u):
        n = x.size
        J = np.zeros((n, n))
        for i in range(n):
            ahead, behind, second = (i + 1) % n, (i + n - 1) % n, (i + n - 2) % n
            J[i, i] -= 1.0
            J[i, ahead] += x[behind]
            J[i, second] -= x[behind]
            J[i, behind] += x[ahead] - x[second]
        return J

    flow = Flow(lorenz96, 40, dt=0.01, rule_jacobian=jacobian)
    result = lyapunov_spectrum(flow, n_steps=100_000, washout=5000, progress=False)
    error = 3 * result.standard_errors[0]
    assert LORENZ96.leading[0] - error < result.exponents[0] < LORENZ96.leading[1] + error
    error = 3 * result.kaplan_yorke_error
    assert LORENZ96.dimension[0] - error < result.kaplan_yorke_dimension < LORENZ96.dimension[1] + error
    assert 12 <= (result.exponents > 0).sum() <= 14  # 13, and the one beside the zero exponent
    assert result.exponents.sum() == pytest.approx(-40, abs=1e-3)  # the trace, to the order of the step
    assert result.entropy_bound == pytest.approx(result.exponents[result.exponents > 0].sum())


# --- what the result says of itself ---------------------------------------------------------------------------------


def dimension_of(exponents, n_units):
    from penstock.analysis.lyapunov import _kaplan_yorke

    return _kaplan_yorke(np.array(exponents), n_units)


def test_the_kaplan_yorke_dimension_by_hand():
    assert dimension_of([0.9056, 0.0, -14.572], 3) == pytest.approx(2 + 0.9056 / 14.572)
    assert dimension_of([-0.1, 0.5, -1.0], 3) == pytest.approx(2.4)  # order does not matter
    assert dimension_of([-0.1, -0.2], 2) == 0
    assert dimension_of([0.3, 0.1], 2) == 2  # expanding throughout: the dimension of the space
    assert dimension_of([0.5, -0.2], 3) is None  # cannot be known from two
    assert dimension_of([0.5, -np.inf], 3) == 1
    assert dimension_of([0.5, 0.1, -0.6], 3) == 3  # conservative


def test_too_few_exponents_refuse_dimension_and_entropy():
    result = lyapunov_spectrum(constant(np.array([[2.0, 1.0], [1.0, 1.0]])), n_exponents=1, n_steps=100)
    assert result.kaplan_yorke_dimension is None and result.kaplan_yorke_error is None
    assert result.entropy_bound is None
    assert "more are needed" in repr(result)


def test_blocks_and_trace_end_at_the_exponents():
    result = lyapunov_spectrum(ESN.random(10, seed=0), inputs(2200), washout=200)
    np.testing.assert_array_equal(result.trace[-1], result.exponents)
    assert result.trace_times[-1] == result.n_steps == 2000
    np.testing.assert_allclose(result.finite_time.mean(axis=0), result.exponents, atol=1e-13)
    error = result.finite_time.std(axis=0, ddof=1) / np.sqrt(20)
    np.testing.assert_allclose(result.standard_errors, error, rtol=1e-12)


def test_a_run_that_drifts_says_so():
    u = inputs(2000) * np.linspace(0, 3, 2000)[:, None]  # ever more saturated
    result = lyapunov_spectrum(ESN.random(10, seed=0), u)
    assert not result.converged
    assert "NOT CONVERGED: the two halves of the run disagree" in repr(result)


def test_slowly_changing_inputs_make_the_blocks_too_short():
    t = np.arange(3000)
    u = 3 * np.sign(np.sin(2 * np.pi * (t / 1000) ** 1.0))[:, None] * (np.sin(2 * np.pi * t / 1000) > 0)[:, None]
    result = lyapunov_spectrum(ESN.random(10, seed=0), u, washout=0)
    assert any("not independent" in doubt for doubt in result.doubts)


def test_a_push_that_contradicts_the_jacobian_is_noticed():
    class Wrong(SystemDefaults):
        n_units, n_inputs = 3, 0

        def step(self, x, u):
            return np.array([0.5, 0.4, 0.3]) * x

        def _push(self, x, u, V, dU, tape):
            V *= 0.9 ** len(u)

    result = lyapunov_spectrum(Wrong(), n_steps=100)
    assert result.sum_residual > 1 and not result.converged
    assert "do not add up" in repr(result)


def test_the_same_seed_gives_the_same_bits_and_another_the_same_exponents():
    esn, u = ESN.random(15, leak=0.5, seed=0), inputs(2000)
    one, two, other = (lyapunov_spectrum(esn, u, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.exponents, two.exponents)
    np.testing.assert_allclose(one.exponents, other.exponents, atol=5e-3)  # order 1 / n_steps
    np.testing.assert_array_equal(
        lyapunov_spectrum(henon(), n_steps=100).exponents[0], lyapunov_spectrum(henon(), n_steps=100).exponents[0]
    )


def test_an_autonomous_system_does_not_start_at_the_origin():
    """The origin is a fixed point of the logistic map, of exponent ln 4."""
    assert lyapunov_spectrum(logistic(), n_steps=500).exponents[0] < 1
    assert lyapunov_spectrum(logistic(), n_steps=500, x0=[0.0]).exponents[0] == pytest.approx(np.log(4))


def test_a_step_alone_is_enough():
    class Given:
        n_units, n_inputs = 2, 1

        def step(self, x, u):
            return np.array([0.5, 0.25]) * x + u

    result = lyapunov_spectrum(Given(), inputs(300))
    np.testing.assert_allclose(result.exponents, np.log([0.5, 0.25]), atol=1e-9)


def test_results_print_their_settings_and_draw_themselves():
    result = lyapunov_spectrum(ESN.random(10, seed=0), inputs(500))
    assert isinstance(result, LyapunovSpectrum)
    text = repr(result)
    for part in ("nats per step", "driven", "10 of 10", "450 steps", "washout 50", "largest R_11/R_kk", "sum rule"):
        assert part in text
    spectrum, trace = result.plot()
    assert spectrum.get_xlabel() == "index i" and "washout" in trace.get_xlabel()
    from matplotlib import pyplot as plt

    assert result.plot(spectrum) is spectrum
    plt.close("all")


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "u must be the inputs of shape"),
        ({"u": inputs(30)}, "u must be at least 40 steps longer than the washout of 3, got 30"),
        ({"u": inputs(100), "washout": 90}, "u must be at least 40 steps longer than the washout of 90"),
        ({"u": inputs(100), "n_steps": 50}, "n_steps must be None for a driven system"),
        ({"u": inputs(100), "n_exponents": 6}, "n_exponents must be at most n_units = 5, got 6"),
        ({"u": inputs(100), "n_exponents": 0}, "n_exponents must be at least 1"),
        ({"u": inputs(100), "interval": 0}, "interval must be at least 1, got 0"),
        ({"u": inputs(100), "interval": 5}, "u must be at least 200 steps longer than the washout of 10, got 100"),
        ({"u": inputs(100), "washout": -1}, "washout must be at least 0"),
        ({"u": inputs(100), "x0": np.zeros(4)}, "x0 must have shape"),
        ({"u": inputs(100)[None]}, "u must be one series"),
        ({"u": inputs(100) * np.nan}, "u must be finite"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        lyapunov_spectrum(ESN.random(5, seed=0), **arguments)


def test_bad_arguments_of_autonomous_systems_are_named():
    with pytest.raises(ValueError, match="u must be None for a system without inputs"):
        lyapunov_spectrum(logistic(), inputs(100))
    with pytest.raises(ValueError, match="n_steps must be at least 40, got 10"):
        lyapunov_spectrum(logistic(), n_steps=10)
    with pytest.raises(TypeError, match="system must be a System"):
        lyapunov_spectrum(object())
    with pytest.raises(TypeError, match="seed must be"):
        lyapunov_spectrum(logistic(), n_steps=100, seed=None)


def test_states_and_tangents_that_are_not_finite_raise():
    grows = Map(lambda x, u: 3 * x, n_units=1)
    with np.errstate(over="ignore"), pytest.raises(FloatingPointError, match="the state diverged"):
        lyapunov_spectrum(grows, n_steps=2000)

    class Broken(SystemDefaults):
        n_units, n_inputs = 2, 0

        def step(self, x, u):
            return 0.5 * x

        def jacobian(self, x, u):
            return np.full((2, 2), np.nan)

    with pytest.raises(FloatingPointError, match="the tangents stopped being finite: check system.jacobian"):
        lyapunov_spectrum(Broken(), n_steps=100)
    with pytest.raises(FloatingPointError, match="lower interval = 700"):
        lyapunov_spectrum(constant(3.0 * np.eye(2)), n_steps=28_000, interval=700)
