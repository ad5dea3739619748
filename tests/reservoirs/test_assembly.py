"""Assemblies of stable networks: certificates against brute force over all slopes, closed forms and trajectories."""

import dataclasses
from functools import partial
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import solve_ivp
from scipy.linalg import eigh, expm

import penstock
from penstock.analysis import (
    contraction_certificate,
    echo_state_index,
    effective_spectral_radius,
    lyapunov_spectrum,
    stability,
)
from penstock.reservoirs import (
    Assembly,
    StableModule,
    absolute_value_metric,
    singular_value_metric,
    sparse_module,
    stable_module,
    svd_module,
    symmetric_metric,
    symmetric_module,
)
from penstock.reservoirs.certificates import growth

SEEDS = st.integers(0, 2**32 - 1)
DRAWN = {
    "svd": svd_module,
    "svd wide": partial(svd_module, spread=1.5, gain=0.99),
    "sparse": partial(sparse_module, density=0.5),
    "symmetric": symmetric_module,
    "symmetric steep": partial(symmetric_module, spread=1.2, gain=0.4),
}
each_kind = pytest.mark.parametrize("kind", list(DRAWN))


def corners(n, slope=1.0):
    """All slopes at their ends: a convex function of the slopes is largest at one of them."""
    return slope * np.array(list(product((0.0, 1.0), repeat=n)))


def scaled(E, M):
    """The same map and metric in units in which M has a unit diagonal, so that no digits are lost to its range."""
    d = np.sqrt(np.diagonal(M))
    return d[:, None] * E / d, M / np.outer(d, d)


def norm(E, M):
    """‖E‖_M by an eigenvalue."""
    E, M = scaled(E, M)
    return np.sqrt(max(eigh(E.T @ M @ E, M, eigvals_only=True)[-1], 0.0))


def growth_in_continuous_time(module):
    """The largest growth rate of a distance in the metric, over all slopes."""
    rates = []
    for d in corners(len(module.W), module.slope):
        flow, P = scaled(module.W * d - np.eye(len(d)), module.metric)
        flow = P @ flow
        rates.append(eigh(0.5 * (flow + flow.T), P, eigvals_only=True)[-1])
    return max(rates)


def largest_step(assembly, metric):
    """The largest ‖J‖ in a metric over all slopes: what the certificate bounds."""
    block = assembly.lure_blocks()[0]
    return max(norm(block.A + block.B * d, metric) for d in corners(len(metric), block.slopes[1]))


def coupled(modules, strength, seed, **settings):
    """Modules with uniform couplings between all of them."""
    rng, sizes = np.random.default_rng(seed), [len(module.W) for module in modules]
    couplings = {
        (i, j): strength * rng.uniform(-1, 1, (sizes[i], sizes[j])) for i in range(len(sizes)) for j in range(i)
    }
    return Assembly.of(modules, couplings, W_in=rng.uniform(-1, 1, (sum(sizes), 2)), **settings)


# --- modules ---------------------------------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("slope", [1.0, 0.25])
def test_no_slopes_beat_the_rate_of_a_module(kind, slope):
    for seed in range(3):
        module = DRAWN[kind](7, slope=slope, seed=seed)
        assert module.certified
        # 1e-12: the rounding of the eigenvalues of this test
        assert growth_in_continuous_time(module) <= -module.rate + 1e-12


@pytest.mark.parametrize("maker", [svd_module, symmetric_module])
def test_the_rate_of_a_drawn_module_is_one_less_its_gain(maker):
    for gain in (0.3, 0.9, 0.999):
        # proven rates are at most the true one, by a slack of about 1e-14 times the condition of the metric
        assert 1 - gain - 1e-8 < maker(12, gain=gain, seed=4).rate <= 1 - gain


def test_the_rate_of_a_sparse_module_is_one_less_its_gain():
    for seed in range(5):
        assert_allclose(sparse_module(30, density=0.3, gain=0.9, seed=seed).rate, 0.1, atol=1e-8)  # all units connected
        assert 0.05 <= sparse_module(30, density=0.05, gain=0.9, seed=seed).rate <= 0.1  # half of it for conditioning


def test_symmetric_weights_meet_their_rate_at_full_slopes():
    module = symmetric_module(7, gain=0.6, spread=2.0, seed=1)
    assert np.linalg.eigvalsh(module.W)[0] < -3  # far from a norm below 1
    assert_allclose(np.linalg.eigvalsh(module.W)[-1] - 1, -module.rate, atol=1e-8)


def test_scaled_singular_values_allow_large_plain_norms():
    norms = [np.linalg.norm(svd_module(8, spread=1.0, seed=seed).W, 2) for seed in range(10)]
    assert max(norms) > 3.4  # reservoirs.md, section 11


def test_rates_equal_those_of_the_analysis_layer():
    rng = np.random.default_rng(0)
    for n, scale in ((4, 0.5), (9, 0.5), (9, 0.6)):
        W = scale * rng.standard_normal((n, n)) / np.sqrt(n)
        ours, theirs = stable_module(W), contraction_certificate(W)
        assert ours.certified
        # two searches for the best metric, which is flat at its optimum
        assert_allclose(ours.rate, theirs.rate, atol=1e-4)


def test_the_absolute_value_rate_is_the_spectral_radius_of_the_magnitudes():
    W = np.random.default_rng(1).uniform(-0.2, 0.2, (8, 8))
    np.fill_diagonal(W, -7.0)  # negative self-connections only help
    magnitudes = np.abs(W)
    np.fill_diagonal(magnitudes, 0.0)
    expected = 1 - np.abs(np.linalg.eigvals(0.9 * magnitudes)).max()
    assert_allclose(absolute_value_metric(W, slope=0.9).rate, expected, atol=1e-8)


def test_feedforward_weights_contract_however_large():
    module = absolute_value_metric(np.triu(100.0 * np.ones((4, 4)), 1))
    assert module.rate > 0.4
    assert growth_in_continuous_time(module) <= -module.rate + 1e-12


@given(SEEDS, st.integers(1, 6), st.floats(0.01, 3.0))
@settings(deadline=None, max_examples=40)
def test_what_is_certified_holds_for_all_slopes(seed, n, scale):
    W = scale * np.random.default_rng(seed).standard_normal((n, n))
    symmetric = 0.5 * (W + W.T)
    for module in (absolute_value_metric(W), singular_value_metric(W), symmetric_metric(symmetric)):
        if module.certified:
            assert growth_in_continuous_time(module) <= -module.rate + 1e-9 * np.linalg.cond(module.metric) ** 0.5


def test_expanding_weights_are_not_certified():
    W = np.array([[1.5, 0.0], [0.0, 0.0]])
    for check in (absolute_value_metric, singular_value_metric, symmetric_metric, stable_module):
        module = check(W)
        assert not module.certified
        assert "NOT CERTIFIED" in repr(module)


# --- the step of the assembly ----------------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("activation", [penstock.tanh, penstock.sigmoid])
def test_no_slopes_beat_the_factor_of_an_assembly(kind, activation):
    slope = 0.25 if activation is penstock.sigmoid else 1.0
    modules = [DRAWN[kind](n, slope=slope, seed=n) for n in (4, 3, 2)]
    for strength, dt in ((0.0, 0.3), (3.0, 0.3), (3.0, 0.01), (50.0, 0.1)):
        assembly = coupled(modules, strength, seed=1, dt=dt, activation=activation)
        certificate = assembly.certificate()
        assert certificate.verified
        assert certificate.residual < 1e-14  # M L + L^T M = 0 to rounding
        largest = largest_step(assembly, certificate.metric)
        # the rounding of exp(dt L) grows with the angle, at most 50 * 0.1 * 9 radians here
        assert largest <= certificate.factor * (1 + 1e-12)
        assert_array_equal(certificate.metric, assembly.metric)


@pytest.mark.parametrize("kind", ["svd", "symmetric", "symmetric steep"])
def test_couplings_leave_the_factor_of_the_modules_alone(kind):
    modules = [DRAWN[kind](6, gain=0.7, seed=seed) for seed in range(3)]
    h = 1 - np.exp(-0.3)
    for strength in (0.0, 1.0, 100.0):
        certificate = coupled(modules, strength, seed=2).certificate()
        # 1 - h (1 - gain) of the docstring; the proof needs a slack
        assert_allclose(certificate.factor, 1 - h * 0.3, atol=1e-7)
        assert certificate.factor >= 1 - h * 0.3


def test_symmetric_weights_keep_their_factor_down_to_the_stated_eigenvalue():
    h = 1 - np.exp(-0.3)
    limit = -2 * (1 - h) / h
    Q = np.linalg.qr(np.random.default_rng(3).standard_normal((5, 5)))[0]
    factors = []
    for least in (0.999 * limit, 1.3 * limit):
        W = Q @ np.diag([0.5, 0.2, -1.0, -3.0, least]) @ Q.T
        assembly = Assembly.of([symmetric_metric(0.5 * (W + W.T))], W_in=np.ones((5, 1)))
        factors.append(assembly.certificate().factor)
        assert largest_step(assembly, assembly.metric) <= factors[-1] * (1 + 1e-12)
    assert_allclose(factors[0], 1 - 0.5 * h, atol=1e-6)
    assert factors[1] > 1.05  # (1 - h) + h W, at full slopes, is then below -1 in that direction


def test_negative_self_connections_are_bounded_by_the_step_without_them():
    # at slope 0 only the leak is left, exp(-0.3), though at slope 1 a self-connection of -1 would take more
    assert_allclose(plain(W=-EYE).certificate().factor, np.exp(-0.3), rtol=1e-12)
    assert plain(W=-EYE).certificate().factor >= np.exp(-0.3)


def test_svd_modules_contract_at_every_step_length():
    modules = [svd_module(5, gain=0.8, seed=seed) for seed in range(2)]
    for dt in (1e-3, 0.3, 3.0, 100.0):
        certificate = coupled(modules, 2.0, seed=0, dt=dt, tau=2.0).certificate()
        h = 1 - np.exp(-dt / 2.0)
        assert_allclose(certificate.factor, 1 - 0.2 * h, atol=1e-9)
        assert_allclose(certificate.rate, -np.log(certificate.factor) / dt, rtol=1e-12)


def test_without_weights_the_step_is_exact():
    modules = [
        StableModule(np.zeros((n, n)), np.diag(np.arange(1.0, n + 1)), 1.0, "absolute value", 1.0) for n in (3, 4)
    ]
    assembly = coupled(modules, 10.0, seed=0, dt=0.2, tau=0.5)
    x0 = np.random.default_rng(1).standard_normal(7)
    states = assembly.run(np.zeros((40, 2)), x0)
    times = 0.2 * np.arange(1, 41)
    exact = np.array([expm((assembly.L - np.eye(7)) * t / 0.5) @ x0 for t in times])
    assert_allclose(states, exact, atol=1e-12)
    # a rotation in the metric, so that only the leak is left of distances
    distance = assembly.certificate().distance
    assert_allclose(distance(states, 0 * states), distance(x0, 0 * x0) * np.exp(-times / 0.5), rtol=1e-11)


def test_steps_converge_to_the_equation_with_order_one():
    modules = [DRAWN[kind](5, seed=3) for kind in ("svd", "symmetric")]
    u = np.array([0.7, -0.4])
    errors = []
    for dt in (0.004, 0.002, 0.001):
        assembly = coupled(modules, 0.5, seed=4, dt=dt, tau=1.5, bias=0.3)

        def equation(_, x, one=assembly):
            W = one.W.toarray() if hasattr(one.W, "toarray") else one.W
            return (-x + W @ np.tanh(x) + one.W_in @ u + one.bias + one.L @ x) / one.tau

        exact = solve_ivp(equation, (0, 2), np.ones(10), rtol=1e-9, atol=1e-11).y[:, -1]
        states = assembly.run(np.tile(u, (round(2 / dt), 1)), np.ones(10))
        errors.append(np.abs(states[-1] - exact).max())
    ratios = np.array(errors[:-1]) / errors[1:]
    assert ((ratios > 1.9) & (ratios < 2.1)).all()  # halving the step halves the error


# --- what the certificate promises -----------------------------------------------------------------------------------


def section_11(strength=1.0):
    """Three 8-unit SVD modules, coupled by random upper blocks to ‖L‖_2 = 25.7 times `strength`."""
    modules = [svd_module(8, gain=0.9, spread=0.3, seed=seed) for seed in range(3)]
    rng = np.random.default_rng(7)
    blocks = {pair: rng.standard_normal((8, 8)) for pair in ((0, 1), (0, 2), (1, 2))}
    plain = Assembly.of(modules, blocks, W_in=np.zeros((24, 2)))
    factor = 25.7 * strength / np.linalg.norm(plain.L, 2)
    return modules, {pair: factor * B for pair, B in blocks.items()}


def test_distances_of_a_strongly_coupled_assembly_shrink_at_every_step():
    """reservoirs.md, section 11: 7.10 -> .199 in t = 4 for its own draws, in 20,000 steps without an increase."""
    modules, blocks = section_11()
    assembly = Assembly.of(modules, blocks, W_in=np.zeros((24, 2)), dt=2e-4)
    certificate = assembly.certificate()
    assert certificate.verified
    assert_allclose(np.linalg.norm(assembly.L, 2), 25.7, rtol=1e-12)
    starts = np.random.default_rng(8).standard_normal((2, 24))
    both = assembly.run(np.zeros((2, 20_000, 2)), starts)
    distances = np.concatenate([[certificate.distance(*starts)], certificate.distance(*both)])
    assert (np.diff(distances) < 0).all()
    assert distances[-1] < distances[0] * np.exp(-certificate.rate * 4)
    assert_allclose(certificate.rate, 0.1, atol=2e-4)  # 1 - gain; the step costs dt / 2
    assert 0.005 < distances[-1] / distances[0] < 0.1  # .028 there


def test_couplings_without_balance_are_refused_and_diverge():
    """reservoirs.md, section 11: B + .9 B^T in place of B - M^-1 B^T M diverges."""
    modules, blocks = section_11()
    assembly = Assembly.of(modules, blocks, W_in=np.zeros((24, 2)), dt=0.01)
    upper = np.triu(np.kron(np.ones((3, 3)) - np.eye(3), np.ones((8, 8))))
    B = np.where(upper, assembly.L, 0.0)
    loose = dataclasses.replace(assembly, L=B + 0.9 * B.T)
    certificate = loose.certificate()
    assert not certificate.verified
    assert certificate.rate < 0
    assert certificate.residual > 0.1
    assert "NOT CERTIFIED: the couplings may stretch distances" in repr(certificate)
    with pytest.raises(FloatingPointError, match="the state diverged"):
        loose.run(np.zeros((20_000, 2)), np.full(24, 0.1))


def test_explicit_euler_breaks_what_the_assembly_keeps():
    """reservoirs.md, section 11: with ‖L‖ about 130 and dt = .002 explicit Euler diverged (1e8)."""
    modules, blocks = section_11(strength=130 / 25.7)
    assembly = Assembly.of(modules, blocks, W_in=np.zeros((24, 2)), dt=0.002)
    W, x = assembly.W.toarray() if hasattr(assembly.W, "toarray") else assembly.W, np.full(24, 0.1)
    for _ in range(4000):
        x = x + 0.002 * (-x + W @ np.tanh(x) + assembly.L @ x)
    assert np.abs(x).max() > 1e6
    assert assembly.certificate().verified
    states = assembly.run(np.zeros((4000, 2)), np.full(24, 0.1))
    distance = assembly.certificate().distance(states, 0 * states)  # the origin is a fixed point
    assert (np.diff(distance) < 0).all()


@given(SEEDS, st.floats(0, 1e3), st.sampled_from(list(DRAWN)), st.floats(0.01, 0.3))
@settings(deadline=None, max_examples=25)
def test_any_couplings_keep_the_certificate_and_trajectories_obey_it(seed, strength, kind, dt):
    modules = [DRAWN[kind](n, seed=seed) for n in (5, 1, 4)]
    alone = coupled(modules, 0.0, seed, dt=dt).certificate()
    assume(alone.verified)  # strong negative self-connections contract in continuous time, not at every dt
    assembly = coupled(modules, strength, seed, dt=dt)
    certificate = assembly.certificate()
    assert certificate.verified
    assert certificate.factor <= alone.factor * (1 + 1e-9)
    rng = np.random.default_rng(seed)
    u, starts = rng.standard_normal((60, 2)), 3 * rng.standard_normal((2, 10))
    paths = assembly.run(np.stack([u, u]), starts)
    distances = np.concatenate([[certificate.distance(*starts)], certificate.distance(*paths)])
    floor = 1e-12 * np.abs(np.linalg.cholesky(certificate.metric)).max() * np.abs(paths).max()  # rounding of the states
    assert (distances[1:] <= certificate.factor * distances[:-1] + floor).all()


def test_feedforward_couplings_need_no_condition():
    modules = [svd_module(3, gain=0.8, seed=seed) for seed in range(3)]
    rng = np.random.default_rng(5)
    forward = {(1, 0): 20 * rng.standard_normal((3, 3)), (2, 0): rng.standard_normal((3, 3))}
    assembly = Assembly.of(modules, W_in=np.ones((9, 1)), feedforward=forward)
    certificate = assembly.certificate()
    assert certificate.verified
    assert certificate.n_groups == 3
    assert norm(expm(0.3 * assembly.L), assembly.metric) > 2  # not in the metric of the modules
    assert largest_step(assembly, certificate.metric) <= certificate.factor < 1
    slowest = 1 - (1 - np.exp(-0.3)) * 0.2
    assert slowest <= certificate.factor <= slowest + 0.1 * (1 - slowest) + 1e-12


def test_feedforward_into_a_balanced_pair_is_certified():
    modules = [svd_module(3, seed=seed) for seed in range(3)]
    couplings, forward = {(1, 2): 5 * np.ones((3, 3))}, {(1, 0): 30 * np.eye(3), (2, 0): np.eye(3)}
    certificate = Assembly.of(modules, couplings, W_in=np.ones((9, 1)), feedforward=forward).certificate()
    assert certificate.verified
    assert certificate.n_groups == 2
    with pytest.raises(ValueError, match=r"feedforward must close no circle of modules, got \(1, 2\)"):
        Assembly.of(modules, couplings, W_in=np.ones((9, 1)), feedforward={(1, 2): np.eye(3)})


# --- against the analysis layer --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["svd", "sparse", "symmetric"])
def test_largest_exponent_and_index_obey_the_certificate(kind):
    assembly = coupled([DRAWN[kind](5, seed=seed) for seed in range(3)], 2.0, seed=6)
    certificate = assembly.certificate()
    u = np.random.default_rng(2).uniform(-1, 1, (1500, 2))
    largest = lyapunov_spectrum(assembly, u, 1, progress=False).exponents[0]
    assert largest <= -certificate.rate  # an exact bound of every product of Jacobians, and it is not tight
    index = echo_state_index(assembly, u, seed=0, progress=False)
    assert index.index < 1e-6
    assert effective_spectral_radius(assembly) <= certificate.factor


def test_the_exponent_of_uncoupled_linear_symmetric_modules_is_the_rate():
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    W = Q @ np.diag([0.8, -1.0, -2.0, -3.0]) @ Q.T
    assembly = Assembly.of(
        2 * [symmetric_metric(0.5 * (W + W.T))], W_in=np.ones((8, 2)), activation=penstock.identity, dt=0.1
    )
    exponents = lyapunov_spectrum(assembly, np.zeros((1000, 2)), 2, progress=False).exponents
    # twice the eigenvalue 1 - h (1 - 0.8), far above the others; the proof has a slack
    assert_allclose(exponents, -assembly.certificate().rate, atol=1e-6)


def test_the_circle_criterion_of_the_analysis_layer_agrees():
    for seed in range(2):
        assembly = coupled([svd_module(4, gain=0.5, spread=0.3, seed=seed + k) for k in range(3)], 1.0, seed)
        found, certificate = stability(assembly, progress=False), assembly.certificate()
        assert found.certified
        assert certificate.verified
        # both are upper bounds of the same growth; no norm undercuts the spectral radius at equal slopes
        assert min(found.rate, certificate.factor) >= found.radius_at_rest


def test_an_unstable_module_is_unstable_for_the_analysis_layer_too():
    assembly = Assembly(np.diag([1.2, 0.1]), np.ones((2, 1)), np.zeros((2, 2)), np.eye(2), (1, 1))
    certificate = assembly.certificate()
    assert not certificate.verified
    assert "module 0 has no factor below 1" in repr(certificate)
    assert_allclose(certificate.factor, 1 + 0.2 * (1 - np.exp(-0.3)), atol=1e-12)
    assert stability(assembly, progress=False).necessary_violated


def test_relu_assemblies_are_piecewise_linear():
    assembly = Assembly.random(9, n_modules=2, n_inputs=2, activation=penstock.relu, bias_scaling=0.5, seed=1)
    rng = np.random.default_rng(3)
    for _ in range(5):
        x, u = rng.standard_normal(9), rng.standard_normal(2)
        A, B, C, d, h = assembly.piecewise_linear(u)
        assert_allclose(assembly.step(x, u), A @ x + B @ np.maximum(C @ x + d, 0) + h, atol=1e-14)
    assert Assembly.random(9, seed=1).piecewise_linear(np.zeros(1)) is None


# --- construction ----------------------------------------------------------------------------------------------------


def test_same_seed_same_bits_and_new_channels_change_nothing_else():
    one, two = (Assembly.random(23, n_inputs=m, bias_scaling=0.1, seed=5) for m in (1, 3))
    again = Assembly.random(23, bias_scaling=0.1, seed=5)
    assert_array_equal(one.run(np.ones(50)), again.run(np.ones(50)))
    assert_array_equal(one.L, two.L)
    assert_array_equal(np.asarray(one.W.todense()), np.asarray(two.W.todense()))
    assert one.sizes == (6, 6, 6, 5)


def test_random_couplings_have_the_radius_asked_for():
    for module in (svd_module, sparse_module, symmetric_module):
        assembly = Assembly.random(20, module=module, coupling_radius=7.0, seed=2)
        # L is similar to a skew matrix: its radius is its norm in the metric
        assert_allclose(np.abs(np.linalg.eigvals(assembly.L)).max(), 7.0, rtol=1e-6)
        assert_allclose(assembly.coupling_radius, 7.0, rtol=1e-9)


def test_single_precision_is_certified_up_to_its_rounding():
    double = coupled([svd_module(4, seed=seed) for seed in range(2)], 2.0, seed=0)
    single = dataclasses.replace(double, W=double.W.astype(np.float32))
    u = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    assert single.run(u).dtype == np.float32
    assert_allclose(single.run(u), double.run(u), atol=1e-5)  # a contraction: roundings of 1e-7 do not add up
    assert single.certificate().verified
    assert_allclose(single.certificate().coupling_growth, 1, atol=1e-6)


def test_single_precision_is_certified_as_it_runs():
    # 1 - 1e-9 is 1 in float32, so that this state stands still instead of shrinking
    still = Assembly(np.zeros((2, 2), np.float32), np.ones((2, 1)), np.zeros((2, 2)), EYE, (1, 1), dt=1e-9)
    assert_array_equal(still.run(np.zeros(1000), np.ones(2))[-1], np.ones(2))
    assert not still.certificate().verified
    # rounding of keep and of h W: relative 6e-8 of either, and two in 50 draws beyond the factor without it
    for seed in range(50):
        W = np.random.default_rng(seed).uniform(0.5, 0.9, (1, 1)).astype(np.float32)
        dt = float(np.random.default_rng(seed + 100).uniform(0.01, 0.5))
        one = Assembly(W, np.ones((1, 1)), np.zeros((1, 1)), np.eye(1), (1,), dt=dt, activation=penstock.identity)
        keep, h = np.float32(np.exp(-dt)), np.float32(1 - np.exp(-dt))
        assert float(keep) + float(h * W[0, 0]) <= one.certificate().factor


def worst_radius(assembly):
    """The largest spectral radius of the step as it runs, over all slopes at their ends."""
    keep, h = float(assembly.dtype.type(assembly._keep)), assembly.dtype.type(1 - assembly._keep)
    E = assembly.lure_blocks()[0].A / assembly._keep if assembly._keep else np.zeros_like(assembly.L)
    gain, slope = (h * assembly.W).astype(float), assembly.lure_blocks()[0].slopes[1]
    steps = [E @ (keep * np.eye(len(gain)) + gain * d) for d in corners(len(gain), slope)]
    return max(np.abs(np.linalg.eigvals(step)).max() for step in steps)


@given(
    seed=SEEDS,
    dt=st.sampled_from([1e-17, 1e-12, 1e-8, 1e-3, 0.3, 5.0]),
    scale=st.sampled_from([0.3, 0.9, 1.0, 3.0]),
    spread=st.sampled_from([0.0, 1.0, 7.0, 12.0]),
    loose=st.sampled_from([0.0, 1e-8, 1e-3, 1.0]),
    dtype=st.sampled_from([np.float64, np.float32]),
    activation=st.sampled_from([penstock.tanh, penstock.sigmoid, penstock.identity]),
)
@settings(deadline=None, max_examples=150)
def test_nothing_that_expands_is_verified(seed, dt, scale, spread, loose, dtype, activation):
    """Any weights, couplings and metrics, also nearly singular ones: the certificate may fail, but must not lie."""
    rng, pair = np.random.default_rng(seed), np.kron(EYE, np.ones((2, 2)))
    blocks, weights = [], []
    for _ in range(2):
        Q = np.linalg.qr(rng.standard_normal((2, 2)))[0]
        block = Q * 10.0 ** (spread * rng.uniform(-1, 1, 2)) @ Q.T
        blocks.append(0.5 * (block + block.T))
        weights.append(scale * Q * rng.choice([1.0, -1.0, 0.5], 2) @ Q.T)  # norms just at 1 among them
    metric, W = (np.kron(np.diag([1, 0]), one) + np.kron(np.diag([0, 1]), two) for one, two in (blocks, weights))
    B = np.triu(rng.standard_normal((4, 4)) * (1 - pair))
    L = B - np.linalg.lstsq(metric, B.T @ metric, rcond=None)[0] + loose * rng.standard_normal((4, 4))
    try:
        assembly = Assembly(W.astype(dtype), np.ones((4, 1)), L, metric, (2, 2), dt=dt, activation=activation)
    except ValueError:
        return  # no metric
    certificate = assembly.certificate()
    if certificate.verified:
        # 1e-9: rounding of the eigenvalues of this test, of matrices far from normal
        assert worst_radius(assembly) < 1 + 1e-9
        assert certificate.factor < 1


def test_proven_norms_are_bounds_in_metrics_that_lose_digits():
    """‖E‖_P in 60 digits, where E^T P E cancels to parts in 1e6 or 1e8: some bounds would be too low without margin."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(60):
        for seed, wide in product(range(60), (3, 4)):
            rng = np.random.default_rng(seed)
            Q, U = (np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(2))
            lengths = 10.0 ** np.linspace(-wide, wide, 3)
            P, root = Q * lengths @ Q.T, Q * np.sqrt(lengths) @ Q.T
            P, E = 0.5 * (P + P.T), Q / np.sqrt(lengths) @ Q.T @ U @ root  # a rotation in P
            lower = mpmath.cholesky(mpmath.matrix(P.tolist()))
            turned = lower.T * mpmath.matrix(E.tolist()) * (lower**-1).T
            exact = mpmath.sqrt(max(mpmath.eigsy(turned.T * turned, eigvals_only=True)))
            assert exact <= growth(E, P)


def test_modules_beyond_all_bounds_are_not_certified_and_say_nothing():
    for W in ([[1e200]], [[0.0, 1e200], [1e-150, 0.0]], 1e200 * EYE):
        assert not stable_module(W).certified
    chain = {(k + 1, k): 1e3 * EYE for k in range(24)}  # its weights would leave the range of floats
    modules = [svd_module(2, seed=seed) for seed in range(25)]
    assert not Assembly.of(modules, W_in=np.ones((50, 1)), feedforward=chain).certificate().verified
    for metric in (1e308 * EYE, 5e-324 * EYE):
        assert not plain(metric=metric).certificate().verified


def test_plain_matrices_are_given_their_metric():
    parts = [np.array([[0.0, 30.0], [0.01, 0.0]]), np.array([[-40.0, 1.0], [1.0, -2.0]])]
    certificate = Assembly.of(parts, {(1, 0): np.ones((2, 2))}, W_in=np.ones((4, 1)), dt=0.02).certificate()
    assert certificate.verified
    assert certificate.conditions[0] != "circle criterion"


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (ValueError, "gain must lie below 1", lambda: svd_module(4, gain=1.0, seed=0)),
        (ValueError, "spread must be at least 0", lambda: svd_module(4, spread=-1.0, seed=0)),
        (TypeError, "seed must be", lambda: symmetric_module(4, seed=None)),
        (ValueError, "density must lie in", lambda: sparse_module(4, density=0.0, seed=0)),
        (ValueError, "W must be square", lambda: stable_module(np.ones((2, 3)))),
        (ValueError, "W must be finite", lambda: absolute_value_metric([[np.nan]])),
        (ValueError, "slope must be above 0", lambda: singular_value_metric([[0.1]], slope=0.0)),
        (ValueError, "W must be symmetric", lambda: symmetric_metric([[0.0, 1.0], [0.0, 0.0]])),
        (ValueError, r"modules\[1\] must contract by itself", lambda: of([np.zeros((2, 2)), 2 * np.eye(2)])),
        (ValueError, r"modules\[0\] must contract", lambda: of([svd_module(4, slope=0.25, seed=0)])),
        (ValueError, "modules must be a sequence", lambda: of([])),
        (ValueError, "modules must be a sequence", lambda: of(np.zeros((2, 2)))),
        (ValueError, "modules must be a sequence", lambda: of(None)),
        (ValueError, "modules must be a sequence", lambda: of("ab")),
        (TypeError, r"modules\[1\]: W must hold real numbers", lambda: of([np.zeros((2, 2)), None])),
        (ValueError, "metric must have shape", lambda: StableModule(np.eye(2), np.eye(3), 1.0, "symmetric", 1.0)),
        (ValueError, "W must be finite", lambda: StableModule([[np.nan]], [[1.0]], 1.0, "symmetric", 1.0)),
        (ValueError, "spread must leave weights and metric finite", lambda: svd_module(8, spread=400.0, seed=0)),
        (ValueError, "spread must leave weights", lambda: symmetric_module(8, spread=1e200, seed=0)),
        (TypeError, "module must return a StableModule of 2", lambda: random_of(lambda n, **_: np.eye(n))),
        (TypeError, "module must return a StableModule of 2", lambda: random_of(lambda n, **_: svd_module(3, seed=0))),
        (ValueError, r"x and y must have shape", lambda: plain().certificate().distance(np.ones(2), np.ones(3))),
        (ValueError, r"couplings must connect two of the 2 modules", lambda: of(PAIR, {(0, 2): np.eye(2)})),
        (ValueError, r"couplings must connect two of the 2 modules", lambda: of(PAIR, {(1, 1): np.eye(2)})),
        (ValueError, r"couplings\[0, 1\] must have shape \(2, 2\)", lambda: of(PAIR, {(0, 1): np.ones((2, 3))})),
        (TypeError, "couplings must have pairs", lambda: of(PAIR, {0: np.eye(2)})),
        (TypeError, "couplings must be a mapping", lambda: of(PAIR, np.eye(4))),
        (ValueError, "feedforward must close no circle", lambda: of(PAIR, feedforward={(0, 1): EYE, (1, 0): EYE})),
        (ValueError, "W_in must have shape", lambda: Assembly.of(PAIR, W_in=np.ones((3, 1)))),
        (ValueError, "sizes must sum to the 2 units", lambda: plain(sizes=(1, 2))),
        (TypeError, "sizes must be the numbers of units", lambda: plain(sizes=2)),
        (ValueError, "W must be block diagonal", lambda: plain(W=np.ones((2, 2)))),
        (ValueError, "metric must be block diagonal", lambda: plain(metric=np.eye(2) + 0.1)),
        (ValueError, "metric must be positive definite", lambda: plain(metric=-np.eye(2))),
        (ValueError, "metric must be symmetric", lambda: plain(metric=np.array([[1, 0.2], [0, 1]]), sizes=(2,))),
        (ValueError, "L must have shape", lambda: plain(L=np.eye(3))),
        (ValueError, "L must have a finite exp", lambda: plain(L=1e5 * np.ones((2, 2)))),
        (ValueError, "tau must be above 0", lambda: plain(tau=0.0)),
        (ValueError, "dt must be above 0", lambda: plain(dt=-0.1)),
        (ValueError, "activation must be one of", lambda: plain(activation=np.tanh)),
        (ValueError, "n_modules must be at most n_units", lambda: Assembly.random(3, n_modules=4, seed=0)),
        (TypeError, "module must be a function", lambda: Assembly.random(8, module="svd", seed=0)),
        (ValueError, "coupling_radius must be at least 0", lambda: Assembly.random(8, coupling_radius=-1.0, seed=0)),
    ],
)
def test_bad_input_is_named(error, message, call):
    with pytest.raises(error, match=message):
        call()


EYE = np.eye(2)
PAIR = [np.zeros((2, 2)), 0.5 * EYE]


def of(modules, couplings=None, **settings):
    return Assembly.of(modules, couplings, W_in=np.ones((4, 1)), **settings)


def plain(**parts):
    fields = {"W": 0.5 * EYE, "W_in": np.ones((2, 1)), "L": np.zeros((2, 2)), "metric": EYE, "sizes": (1, 1)}
    return Assembly(**{**fields, **parts})


def random_of(module):
    return Assembly.random(4, n_modules=2, module=module, seed=0)
