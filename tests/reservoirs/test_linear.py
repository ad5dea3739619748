import re
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import solve_discrete_lyapunov
from scipy.signal import cont2discrete
from scipy.stats import kstest

from penstock import load
from penstock.analysis import controllability_rank, linear_memory_curve, memory_capacity
from penstock.matvec import kernel_form
from penstock.reservoirs import (
    ESN,
    InverseSquareRate,
    LagT,
    LegendreMemory,
    LegT,
    LinearMemory,
    Stack,
    WarpedLegS,
    modal_readout,
)
from penstock.reservoirs.drawing import EchoStateWarning
from penstock.weights import aperiodic_signs, ring

MIXED = np.array([0.9, 0.8j, -0.5, 0.6 - 0.7j])
WEIGHTS = np.array([[1, 2], [1j, 2], [0.5, 1], [1 - 1j, 0.3]])

MEMORIES = {
    "lru": lambda: LinearMemory.lru(40, r_min=0.3, r_max=0.95, seed=0),
    "slow phases": lambda: LinearMemory.lru(20, r_min=0.5, r_max=0.95, max_phase=0.6, seed=1),
    "ParalESN": lambda: LinearMemory.lru(20, r_min=0.3, r_max=0.9, leak=0.6, seed=2),
    "ring": lambda: LinearMemory.ring(40, weight=0.95),
    "delay line": lambda: LinearMemory.delay_line(40),
    "diagonal": lambda: LinearMemory.diagonal(np.linspace(-0.9, 0.9, 10)),
    "pairs and real modes": lambda: LinearMemory.diagonal(MIXED),
    "random": lambda: LinearMemory.random(40, spectral_radius=0.95, seed=0),
    "sparse": lambda: LinearMemory.random(40, spectral_radius=0.95, density=0.2, seed=0),
    "state space": lambda: LinearMemory.state_space(8, dt_min=0.1, dt_max=0.2, seed=0),
}
each_memory = pytest.mark.parametrize("name", MEMORIES)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


# Modes


def test_modes_follow_the_complex_recursion():
    memory, u = LinearMemory.diagonal(MIXED, WEIGHTS), noise(50, 2)
    z, series = np.zeros(4, complex), []
    for u_t in u:
        z = MIXED * z + WEIGHTS @ u_t
        series.append(z)
    z = np.array(series)
    assert memory.n_units == 6
    expected = np.column_stack([z[:, [1, 3]].real, z[:, [1, 3]].imag, z[:, [0, 2]].real])
    assert_allclose(memory.run(u), expected, atol=1e-14)
    C = np.array([1 + 2j, 3 - 1j, 0.5j, -1j])
    assert_allclose(memory.run(u) @ modal_readout(C, MIXED), 2 * (z @ C).real, atol=1e-13)
    both = modal_readout(np.stack([C, 2j * C]), MIXED)
    assert_allclose(memory.run(u) @ both.T, 2 * np.stack([z @ C, z @ (2j * C)], axis=1).real, atol=1e-13)


def test_white_noise_gives_every_mode_variance_one():
    memory = LinearMemory.diagonal(MIXED)
    W = memory.W.toarray()
    covariance = solve_discrete_lyapunov(W, memory.W_in @ memory.W_in.T).diagonal()
    assert_allclose([*(covariance[:2] + covariance[2:4]), *covariance[4:]], 1.0, atol=1e-12)


def test_mode_kernels_carry_the_tangents_of_a_layer_below():
    upper = replace(LinearMemory.lru(8, n_inputs=6, seed=3), bias=np.arange(8.0))
    stack, u = Stack([LinearMemory.diagonal(MIXED, WEIGHTS), upper]), noise(7, 2)
    x, V = noise(14, seed=1), noise(14, 3, seed=2)
    end, pushed = stack.push(x, u, V)
    for u_t in u:
        V, x = stack.jacobian(x, u_t) @ V, stack.step(x, u_t)
    assert_allclose(pushed, V, atol=1e-13)
    assert_allclose(end, x, atol=1e-13)


def test_single_precision_is_kept():
    double = LinearMemory.diagonal(MIXED, WEIGHTS)
    single = LinearMemory.diagonal(MIXED, WEIGHTS, dtype=np.float32)
    u = noise(30, 2)
    states = single.run(u)
    assert states.dtype == single.dtype == np.float32
    assert_allclose(states, double.run(u), atol=1e-5)  # thirty roundings of 1e-7 of states of size 5
    x, V = single.push(states[-1], u, np.eye(6))
    assert x.dtype == V.dtype == np.float32
    assert_allclose(V, double.push(states[-1], u, np.eye(6))[1], atol=1e-6)
    for make in (
        lambda dtype: LinearMemory.ring(5, dtype=dtype),
        lambda dtype: LinearMemory.delay_line(5, dtype=dtype),
        lambda dtype: LinearMemory.random(5, dtype=dtype, seed=0),
        lambda dtype: LinearMemory.lru(4, dtype=dtype, seed=0),
        lambda dtype: LinearMemory.state_space(3, dtype=dtype, seed=0),
    ):
        assert make(np.float32).dtype == make(np.float32).W_in.dtype == np.float32


@pytest.mark.parametrize("change", ["dense", "weight cut", "one entry moved"])
def test_other_matrices_run_without_the_kernels_of_modes(change):
    memory, u = LinearMemory.diagonal(MIXED, WEIGHTS), noise(20, 2)
    W = memory.W.toarray()
    if change == "weight cut":
        W[0, 2] = 0.0
    if change == "one entry moved":
        W[4, 5] = 0.1
    other = replace(memory, W=W if change == "dense" else sp.csr_array(W))
    x = np.zeros(6)
    for u_t, x_t in zip(u, other.run(u), strict=True):
        x = W @ x + memory.W_in @ u_t
        assert_allclose(x_t, x, atol=1e-13)
    assert "modes" not in repr(other) and "modes(2 pairs, 2 real)" in repr(memory)
    assert "modes" not in repr(replace(memory, W_in=sp.csr_array(memory.W_in)))


def test_pruned_modes_still_run_as_modes():
    """Weights set to 0, and then taken out: a pair that no longer turns, a pair and a real mode that are gone."""
    memory, u = LinearMemory.diagonal([0.9, 0.8 + 0.3j, 0.4 - 0.2j, 0.1j, -0.05], np.ones(5)), noise(20, 1)
    for floor, modes in ((0.07, "2 real"), (0.25, "2 real"), (0.35, None)):
        W = memory.W.copy()
        W.data = np.where(abs(W.data) > floor, W.data, 0.0)
        kept, taken = replace(memory, W=W), W.copy()
        taken.eliminate_zeros()
        taken = replace(memory, W=taken)
        x = np.zeros(8)
        for u_t, one, two in zip(u, kept.run(u), taken.run(u), strict=True):
            x = W.toarray() @ x + memory.W_in @ u_t
            assert_allclose(one, x, atol=1e-14)
            assert_allclose(two, x, atol=1e-14)
        for pruned in (kept, taken):
            assert ("modes(3 pairs" in repr(pruned)) == (modes is not None)
            expected = np.linalg.eigvals(W.toarray())
            assert_allclose(np.sort_complex(pruned.eigenvalues), np.sort_complex(expected), atol=1e-14)


def test_a_saved_memory_runs_as_fast_and_to_the_same_bits(tmp_path):
    u = noise(20, 2)
    for i, memory in enumerate((LinearMemory.diagonal(MIXED, WEIGHTS), LinearMemory.delay_line(7, n_inputs=2))):
        memory.save(tmp_path / str(i))
        again = load(tmp_path / str(i))
        assert_array_equal(again.run(u), memory.run(u))
        assert repr(again) == repr(memory) and type(again) is LinearMemory
        assert type(kernel_form(again.W)[1]) is type(kernel_form(memory.W)[1])  # of a line the shift


def test_divergence_of_modes_is_named():
    growing = replace(LinearMemory.diagonal([0.5j, 0.1], [0.0, 1.0]), W=30 * LinearMemory.diagonal([0.5j, 0.1]).W)
    for u in (np.ones((900, 1)), np.ones((3, 900, 1))):
        with pytest.raises(FloatingPointError, match=r"unit 2 is inf at step 6\d\d"), np.errstate(all="ignore"):
            growing.run(u)
    with pytest.raises(FloatingPointError, match=r"unit 2 is inf at step 6\d\d"), np.errstate(all="ignore"):
        growing.push(np.zeros(3), np.ones((900, 1)), np.zeros((3, 1)))


@each_memory
def test_it_is_an_esn_without_leak_and_nonlinearity(name):
    memory, u = MEMORIES[name](), noise(25, 1)
    esn = ESN(memory.W, memory.W_in, activation=memory.activation)
    assert_allclose(memory.run(u), esn.run(u), atol=1e-13)
    assert isinstance(memory, ESN) and memory.leak == 1.0


@settings(deadline=None, max_examples=20)
@given(a=st.floats(-3, 3), b=st.floats(-3, 3), seed=st.integers(0, 99))
def test_memories_superpose(a, b, seed):
    memory, u, v = LinearMemory.lru(10, r_max=0.95, seed=seed), noise(20, 1, seed=seed), noise(20, 1, seed=seed + 1)
    assert_allclose(memory.run(a * u + b * v), a * memory.run(u) + b * memory.run(v), atol=1e-12)


def test_bias_is_added_and_a_loop_closed():
    memory, u = LinearMemory.diagonal(MIXED, WEIGHTS), noise(20, 2)
    biased = replace(memory, bias=np.arange(6.0))
    constant = replace(memory, W_in=np.column_stack([memory.W_in, np.arange(6.0)]))
    assert_allclose(biased.run(u), constant.run(np.column_stack([u, np.ones(20)])), atol=1e-13)
    W_out = 0.1 * noise(2, 6)
    closed, x = memory.close(W_out), np.ones(6)
    states = closed.run(10, x0=x)
    for state in states:
        x = memory.W @ x + memory.W_in @ (W_out @ x)
        assert_allclose(state, x, atol=1e-13)


# What they remember


@each_memory
def test_exact_memory_sums_to_the_number_of_units(name):
    memory = MEMORIES[name]()
    assert controllability_rank(memory.W, memory.W_in) == memory.n_units
    # the curve ends when 1e-12 is missing
    assert linear_memory_curve(memory.W, memory.W_in).sum() == pytest.approx(memory.n_units, abs=1e-10)


@pytest.mark.parametrize("memory", [LegendreMemory, LegT, LagT, WarpedLegS])
def test_exact_memory_of_polynomials_sums_to_their_number(memory):
    memory = memory.of(12, 20.0)
    assert linear_memory_curve(memory.W, memory.W_in).sum() == pytest.approx(12, abs=1e-10)


@pytest.mark.parametrize("name", ["lru", "ring", "diagonal", "random", "delay line"])
def test_simulated_memory_meets_the_exact_curve(name):
    n = 8
    memory = {
        "lru": LinearMemory.lru(n, r_min=0.4, r_max=0.9, seed=0),
        "ring": LinearMemory.ring(n, weight=0.9),
        "diagonal": LinearMemory.diagonal([0.9, 0.5, 0.2, -0.3, -0.6, -0.85, 0.75, -0.1]),
        "random": LinearMemory.random(n, seed=0),
        "delay line": LinearMemory.delay_line(n),
    }[name]
    simulated = memory_capacity(memory, n_steps=4000, max_delay=60, seed=1)
    exact = np.zeros(61)
    curve = linear_memory_curve(memory.W, memory.W_in)[:61]
    exact[: len(curve)] = curve
    # one lag: standard error below .5 / sqrt(4000) = .008 where R^2 is not near 0 or 1
    assert_allclose(simulated.per_delay, exact[simulated.delays], atol=0.035)
    assert simulated.total == pytest.approx(exact[simulated.delays].sum(), abs=5 * simulated.standard_error + 1e-3)


def test_ring_has_the_closed_form_of_the_simple_cycle():
    n, r = 20, 0.9
    memory = LinearMemory.ring(n, weight=r)
    curve = linear_memory_curve(memory.W, memory.W_in)
    assert curve[0] == pytest.approx(0.985219, abs=5e-7)
    k = np.arange(len(curve))
    assert_allclose(curve, (1 - r ** (2 * n)) * r ** (2 * n * (k // n)), atol=1e-11)
    assert curve[1:].sum() == pytest.approx(n - 1 + r ** (2 * n), abs=1e-10)
    assert_array_equal(memory.W_in[:, 0], aperiodic_signs(n))


@settings(deadline=None, max_examples=25)
@given(signs=st.lists(st.sampled_from([-1.0, 1.0]), min_size=3, max_size=14))
def test_a_pattern_of_signs_reaches_the_modes_where_its_transform_is_not_zero(signs):
    n = len(signs)
    reached = int((np.abs(np.fft.fft(signs)) > 1e-9).sum())
    assert controllability_rank(ring(n, 0.9), signs) == reached


def test_the_first_ten_decimals_of_pi_lose_a_mode_and_the_ring_passes_them_over():
    W, first = ring(10, 0.9), aperiodic_signs(10)
    assert first.sum() == 0  # no part in the constant mode
    assert linear_memory_curve(W, first).sum() == pytest.approx(9, abs=1e-10)
    simulated = memory_capacity(LinearMemory(W, first[:, None]), n_steps=4000, max_delay=100, seed=0)
    assert simulated.total == pytest.approx(9, abs=5 * simulated.standard_error)
    memory = LinearMemory.ring(10)
    assert linear_memory_curve(memory.W, memory.W_in).sum() == pytest.approx(10, abs=1e-10)
    decimals = aperiodic_signs(30)
    first = next(k for k in range(20) if controllability_rank(W, decimals[k : k + 10]) == 10)
    assert_array_equal(memory.W_in[:, 0], decimals[first : first + 10])


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 10, 12, 37, 100])
def test_channels_of_a_ring_have_signs_of_their_own_that_miss_no_mode(n):
    memory = LinearMemory.ring(n, n_inputs=3, input_scaling=0.5)
    assert_array_equal(np.abs(memory.W_in), 0.5)
    if n != 2:  # no two signs reach both modes
        assert np.abs(np.fft.fft(memory.W_in, axis=0)).min() > 1e-6
    if n > 10:
        assert len({tuple(column) for column in memory.W_in.T}) == 3


def test_delay_line_is_a_shift_register_for_every_channel():
    u = noise(9, 1)
    states = LinearMemory.delay_line(4, weight=0.5).run(u)
    for i in range(4):
        assert_allclose(states[i:, i], 0.5**i * u[: 9 - i, 0], atol=1e-15)
    memory, u = LinearMemory.delay_line(7, n_inputs=3), noise(9, 3)
    states = memory.run(u)
    lines = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]
    for unit, (channel, delay) in enumerate(lines):
        assert_array_equal(states[delay:, unit], u[: 9 - delay, channel])
    assert isinstance(kernel_form(memory.W)[1], int)  # the vector kernel of rings
    assert_array_equal(LinearMemory.delay_line(1).run([1.0, 2.0]), [[1.0], [2.0]])


def test_a_pair_takes_two_units_and_a_real_mode_one():
    """A real mode kept as a pair would have a unit that is never driven."""
    pairs = LinearMemory.diagonal([0.5j, 0.3 + 0.4j, 0.7 - 0.2j])
    assert pairs.n_units == controllability_rank(pairs.W, pairs.W_in) == 6
    assert LinearMemory.diagonal([0.5, 0.3 + 0j]).n_units == 2
    assert controllability_rank(np.diag([0.5, 0.5]), [1.0, 2.0]) == 1


# Laws of the random ones


def test_lru_eigenvalues_are_uniform_on_a_ring():
    r_min, r_max, n = 0.5, 0.99, 20_000
    values = LinearMemory.lru(2 * n, r_min=r_min, r_max=r_max, max_phase=2.0, seed=0).eigenvalues
    values = values[::2]
    squares, phases = np.abs(values) ** 2, np.angle(values)
    # standard error of the mean: range / sqrt(12 n)
    assert squares.mean() == pytest.approx(0.61505, abs=4 * (r_max**2 - r_min**2) / np.sqrt(12 * n))
    assert kstest((squares - r_min**2) / (r_max**2 - r_min**2), "uniform").pvalue > 1e-3
    assert kstest(np.abs(phases) / 2.0, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(squares, np.abs(phases))[0, 1]) < 4 / np.sqrt(n)


def test_lru_inputs_are_complex_normal_and_normalised():
    n, m = 4000, 3
    memory = LinearMemory.lru(2 * n, n_inputs=m, input_scaling=2.0, seed=0)
    a, b = memory.W.diagonal()[:n], memory.W.diagonal(-n)[:n]
    B = memory.W_in / (2 * np.tile(np.sqrt(1 - a**2 - b**2), 2))[:, None]
    # sums of 8000 squares per channel
    assert_allclose((B**2).mean(axis=0), 1 / (2 * m), rtol=4 * np.sqrt(2 / (2 * n)))
    assert kstest(B.ravel() * np.sqrt(2 * m), "norm").pvalue > 1e-3
    assert abs((B[:n] * B[n:]).mean()) < 4 / (2 * m) / np.sqrt(n * m)


def test_leak_mixes_the_modes_with_the_past():
    plain, leaky = (LinearMemory.lru(20, r_max=0.9, leak=leak, seed=4) for leak in (1.0, 0.3))
    a, b = plain.W.diagonal()[:10], plain.W.diagonal(-10)[:10]
    assert_allclose(leaky.W.diagonal()[:10], 0.7 + 0.3 * a, atol=1e-15)
    assert_allclose(leaky.W.diagonal(-10)[:10], 0.3 * b, atol=1e-15)
    moduli = [np.abs(m.W.diagonal()[:10] + 1j * m.W.diagonal(-10)[:10]) for m in (plain, leaky)]
    gain = 0.3 * np.sqrt((1 - moduli[1] ** 2) / (1 - moduli[0] ** 2))
    assert_allclose(leaky.W_in[:, 0], np.tile(gain, 2) * plain.W_in[:, 0], rtol=1e-12)


def test_random_memories_have_the_weights_of_an_esn():
    memory, esn = LinearMemory.random(30, density=0.2, seed=5), ESN.random(30, density=0.2, seed=5)
    assert_array_equal(memory.W.toarray(), esn.W.toarray())
    assert_array_equal(memory.W_in, esn.W_in)
    with pytest.warns(EchoStateWarning, match="LinearMemory"):
        LinearMemory.random(30, spectral_radius=1.1, seed=0)


@each_memory
def test_eigenvalues_are_those_of_the_matrix(name):
    memory = MEMORIES[name]()
    values, W = memory.eigenvalues, memory.W
    expected = np.linalg.eigvals(W.toarray() if sp.issparse(W) else W)
    assert (np.diff(np.abs(values)) <= 0).all()
    distance = np.abs(values[:, None] - expected)
    assert distance.min(axis=0).max() < 1e-10 and distance.min(axis=1).max() < 1e-10


# State-space kernels


def test_impulse_response_of_sampled_modes_is_the_state_space_kernel():
    """K_l = 2 Re sum_n C_n (exp(A_n dt) - 1) / A_n exp(A_n dt l)."""
    rng = np.random.default_rng(0)
    poles = -0.5 + 1j * np.pi * np.arange(32)
    C = rng.standard_normal(32) + 1j * rng.standard_normal(32)
    for dt in (0.001, 0.1):
        memory = LinearMemory.sampled(poles, dt=dt)
        impulse = np.zeros(400)
        impulse[0] = 1.0
        response = memory.run(impulse) @ modal_readout(C, poles)
        by_sum = [
            2 * sum((c * (np.exp(A * dt) - 1) / A * np.exp(A * dt * k)).real for c, A in zip(C, poles, strict=True))
            for k in range(400)
        ]
        # 64 terms of size dt |C|; exp(x) - 1 of the plain sum has lost 1e-16 / (.5 dt) of the slowest
        assert_allclose(response, by_sum, atol=1e-13)


def test_sampling_is_exact_for_held_inputs():
    """Against SciPy's zero-order hold of the real matrices of the continuous system."""
    poles, B, dt = np.array([-0.3 + 2j, -1.5, -0.2 - 5j]), np.array([[1 + 1j, 0.5], [2.0, 1.0], [-1j, 3.0]]), 0.2
    A = np.zeros((5, 5))
    for i, pole in enumerate(poles[[0, 2]]):
        A[i, i], A[i, i + 2], A[i + 2, i], A[i + 2, i + 2] = pole.real, -pole.imag, pole.imag, pole.real
    A[4, 4] = -1.5
    real_B = np.concatenate([B[[0, 2]].real, B[[0, 2]].imag, B[[1]].real])
    Ad, Bd, *_ = cont2discrete((A, real_B, np.eye(5), np.zeros((5, 2))), dt, "zoh")
    memory = LinearMemory.sampled(poles, dt=dt, W_in=B)
    assert_allclose(memory.W.toarray(), Ad, atol=1e-14)
    assert_allclose(memory.W_in, Bd, atol=1e-14)
    steps = LinearMemory.sampled(poles, dt=[0.1, 0.2, 0.3], W_in=B)
    assert_allclose(steps.W.diagonal()[4], np.exp(-0.3), atol=1e-15)


def test_the_poles_decide_what_a_pair_is():
    """A pair that decays to 0 within a step still has two units, where `modal_readout` looks for them."""
    memory = LinearMemory.sampled([-800 + 1j, -1.0], dt=1.0, W_in=[1j, 1.0])
    assert_allclose(memory.run([1.0]) @ modal_readout([1.0, 0.0], [-800 + 1j, -1.0]), 2 * (-1j / (-800 + 1j)).real)
    assert memory.n_units == 3


def test_state_space_channels_have_modes_and_steps_of_their_own():
    memory = LinearMemory.state_space(1, n_inputs=500, seed=0)
    dt = np.log(memory.W.diagonal()) / -0.5
    assert kstest(np.log(dt / 0.001) / np.log(100), "uniform").pvalue > 1e-3
    assert_allclose(memory.W_in.diagonal(), -np.expm1(-0.5 * dt) / 0.5, rtol=1e-9)
    assert np.count_nonzero(memory.W_in) == 500

    memory = LinearMemory.state_space(4, n_inputs=2, real_part=InverseSquareRate()([0.0, 1.0, 2.0, 5.0]), seed=1)
    assert memory.n_units == 14
    dt = -0.1 * np.log(memory.W.diagonal()[-2:])
    pairs = memory.W.diagonal()[:6] + 1j * memory.W.diagonal(-6)[:6]
    rates = np.tile([-1 / 1.1, -1 / 4.1, -1 / 25.1], 2)
    assert_allclose(pairs, np.exp((rates + 1j * np.pi * np.tile([1, 2, 3], 2)) * np.repeat(dt, 3)), atol=1e-13)
    driven = memory.W_in != 0
    assert (driven.sum(axis=1) <= 1).all()
    assert_array_equal(driven[:, 0], [True] * 3 + [False] * 3 + [True] * 3 + [False] * 3 + [True, False])


# Bad input


@pytest.mark.parametrize(
    ("make", "error", "fragment"),
    [
        (lambda: LinearMemory.diagonal([0.5, 1.0]), ValueError, "eigenvalues must lie inside the unit circle, got mod"),
        (
            lambda: LinearMemory.diagonal([1.2j]),
            ValueError,
            "got modulus 1.2 in float64; scale them, for instance by 0.8",
        ),
        (
            lambda: LinearMemory.diagonal([1 - 1e-9], dtype=np.float32),
            ValueError,
            "eigenvalues must lie inside the unit",
        ),
        (lambda: LinearMemory.diagonal([[1], [1, 2]]), ValueError, "eigenvalues must be a regular array"),
        (lambda: LinearMemory.diagonal([]), ValueError, "eigenvalues must have shape (n_modes,)"),
        (lambda: LinearMemory.diagonal([[0.5]]), ValueError, "eigenvalues must have shape (n_modes,)"),
        (lambda: LinearMemory.diagonal([np.nan]), ValueError, "eigenvalues must be finite"),
        (lambda: LinearMemory.diagonal(None), TypeError, "eigenvalues must hold numbers"),
        (lambda: LinearMemory.diagonal(["a"]), TypeError, "eigenvalues must hold numbers"),
        (lambda: LinearMemory.diagonal([True]), TypeError, "eigenvalues must hold numbers"),
        (lambda: LinearMemory.diagonal([0.5j, -0.5j]), ValueError, "one of each complex pair, got both of"),
        (
            lambda: LinearMemory.diagonal([0.5], np.ones((2, 1))),
            ValueError,
            "W_in must have shape (1, m), a row for every mode",
        ),
        (lambda: LinearMemory.diagonal([0.5], 1.0), ValueError, "W_in must have shape (1, m), a row for every mode"),
        (lambda: LinearMemory.diagonal([0.5], [1j]), ValueError, "W_in must be real where the mode is"),
        (lambda: LinearMemory.diagonal([0.5], [np.inf]), ValueError, "W_in must be finite"),
        (lambda: LinearMemory.diagonal([0.5], dtype=int), ValueError, "dtype must be float64 or float32"),
        (lambda: LinearMemory.lru(5, seed=0), ValueError, "n_units must be even, two real units"),
        (lambda: LinearMemory.lru(4, r_min=0.9, r_max=0.5, seed=0), ValueError, "r_min must be below r_max=0.5"),
        (lambda: LinearMemory.lru(4, r_min=-0.1, seed=0), ValueError, "r_min must be at least 0"),
        (lambda: LinearMemory.lru(4, r_max=1.01, seed=0), ValueError, "r_max must be at most 1, or modes grow"),
        (lambda: LinearMemory.lru(4, max_phase=7.0, seed=0), ValueError, "max_phase must be at most 2 pi"),
        (lambda: LinearMemory.lru(4, max_phase=0.0, seed=0), ValueError, "max_phase must be above 0"),
        (lambda: LinearMemory.lru(4, leak=0.0, seed=0), ValueError, "leak must lie in (0, 1]"),
        (lambda: LinearMemory.lru(4, leak=[0.1], seed=0), TypeError, "leak must be a number"),
        (lambda: LinearMemory.lru(4, input_scaling=-1.0, seed=0), ValueError, "input_scaling must be at least 0"),
        (lambda: LinearMemory.lru(4, n_inputs=0, seed=0), ValueError, "n_inputs must be at least 1"),
        (lambda: LinearMemory.lru(4.0, seed=0), TypeError, "n_units must be an integer"),
        (lambda: LinearMemory.lru(4, seed=None), TypeError, "seed must be"),
        (lambda: LinearMemory.ring(5, weight=1.1), ValueError, "weight must lie in [-1, 1]"),
        (lambda: LinearMemory.ring(5, weight=None), TypeError, "weight must be a number"),
        (lambda: LinearMemory.ring(0), ValueError, "n_units must be at least 1"),
        (lambda: LinearMemory.ring(5, input_scaling=-1), ValueError, "input_scaling must be at least 0"),
        (lambda: LinearMemory.delay_line(2, n_inputs=3), ValueError, "n_inputs must be at most n_units=2"),
        (lambda: LinearMemory.delay_line(2, weight=np.nan), ValueError, "weight must be finite"),
        (lambda: LinearMemory.delay_line(True), TypeError, "n_units must be an integer"),
        (lambda: LinearMemory.sampled([0.5], dt=1.0), ValueError, "poles must have a negative real part"),
        (lambda: LinearMemory.sampled([3j], dt=1.0), ValueError, "poles must have a negative real part"),
        (lambda: LinearMemory.sampled([-1 + 3j, -1 - 3j], dt=1.0), ValueError, "poles must hold one of each complex"),
        (lambda: LinearMemory.sampled([-1.0], dt=0.0), ValueError, "dt must be above 0"),
        (lambda: LinearMemory.sampled([-1.0], dt=[1.0, 2.0]), ValueError, "dt must be a number or have shape (1,)"),
        (lambda: LinearMemory.sampled([-1.0], dt="1"), TypeError, "dt must hold real numbers"),
        (lambda: LinearMemory.sampled([-1.0], dt=1e-20), ValueError, "exp(poles dt) must lie inside the unit circle"),
        (lambda: LinearMemory.sampled([-1.0], dt=1.0, W_in=[1.0, 2.0]), ValueError, "W_in must have shape (1, m)"),
        (lambda: LinearMemory.sampled([-1.0], dt=1.0, W_in=2.0), ValueError, "W_in must have shape (1, m)"),
        (lambda: LinearMemory.sampled([-1.0], dt=1.0, W_in=[1j]), ValueError, "W_in must be real where the mode is"),
        (lambda: LinearMemory.state_space(0, seed=0), ValueError, "n_modes must be at least 1"),
        (
            lambda: LinearMemory.state_space(3, real_part=0.5, seed=0),
            ValueError,
            "poles must have a negative real part",
        ),
        (lambda: LinearMemory.state_space(3, dt_min=1.0, seed=0), ValueError, "dt_min must be at most dt_max=0.1"),
        (lambda: LinearMemory.state_space(3, dt_min=0.0, seed=0), ValueError, "dt_min must be above 0"),
        (lambda: LinearMemory(np.ones((2, 3)), np.ones((2, 1))), ValueError, "W must be square"),
        (lambda: LinearMemory(np.eye(2), np.ones((3, 1))), ValueError, "W_in must have shape (2, any)"),
        (lambda: modal_readout([1.0, 2.0], [0.5]), ValueError, "coefficients must have shape (1,) or (k, 1)"),
        (lambda: modal_readout(1.0, [0.5]), ValueError, "coefficients must have shape (1,) or (k, 1)"),
        (lambda: modal_readout([None], [0.5]), TypeError, "coefficients must hold numbers"),
    ],
)
def test_bad_input_is_named(make, error, fragment):
    with pytest.raises(error, match=re.escape(fragment)):
        make()
