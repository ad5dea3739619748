"""Waves in rows and rings: against shift registers, the convolution written out, and eigenvalues from the matrix."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from penstock import relu, ridge, tanh
from penstock.analysis import controllability_rank, linear_memory_curve, memory_capacity
from penstock.data import copy_memory
from penstock.matvec import kernel_form
from penstock.reservoirs import WaveReservoir, wave_matrix, wave_spectrum
from penstock.scaling import spectral_norm
from penstock.weights import delay_line, ring

N = 12
U = np.random.default_rng(0).uniform(-1, 1, 40)
weights = st.floats(-2, 2, width=32)
kernels = st.integers(1, 3).flatmap(lambda c: hnp.arrays(float, (c, c, 3), elements=weights))


def linear(n_positions=N, **settings):
    return WaveReservoir.travelling(n_positions, **settings)


def convolution(kernel, h, closed):
    """The sum over channels and neighbours in loops; h is (c, n)."""
    n_channels, n = h.shape
    out = np.zeros_like(h)
    for to in range(n_channels):
        for source in range(n_channels):
            for p in range(n):
                for k in range(3):
                    q = p + k - 1
                    if closed or 0 <= q < n:
                        out[to, p] += kernel[to, source, k] * h[source, q % n]
    return out


@given(kernel=kernels, n=st.integers(1, 6), closed=st.booleans())
@settings(deadline=None, max_examples=40)
def test_matrix_is_the_convolution(kernel, n, closed):
    W = wave_matrix(kernel, n, closed=closed)
    h = np.random.default_rng(1).standard_normal((len(kernel), n))
    assert_allclose(W @ h.ravel(), convolution(kernel, h, closed).ravel(), atol=1e-13)  # 9 terms of order 4
    assert (W.data != 0).all() and W.has_canonical_format


def test_opposite_neighbours_cancel_in_a_ring_of_two():
    W = wave_matrix([1.0, 0.5, -1.0], 2)
    assert W.nnz == 2 and (W.diagonal() == 0.5).all()


def test_unit_waves_are_the_ring_and_the_delay_line():
    assert_array_equal(wave_matrix([0.9, 0, 0], N).toarray(), ring(N, 0.9).toarray())
    assert_array_equal(wave_matrix([0.9, 0, 0], N, closed=False).toarray(), delay_line(N, 0.9).toarray())
    assert_array_equal(wave_matrix([0.9, 0, 0.1], N, closed=False).toarray(), delay_line(N, 0.9, 0.1).toarray())


def test_rings_at_unit_speed_use_the_kernels_of_shift_and_permutation():
    assert kernel_form(linear().W)[1] == 1
    data, indices = kernel_form(linear(n_channels=3, decay=[1.0, 0.9, 0.8]).W)
    assert indices.shape == data.shape == (3 * N,)


def test_open_chain_is_a_shift_register():
    states = linear(closed=False).run(U)
    for p in range(N):
        assert_array_equal(states[p:, p], U[: len(U) - p])
        assert (states[:p, p] == 0).all()


def test_ring_adds_what_went_round():
    states = linear().run(U)
    for t in range(len(U)):
        for p in range(N):
            assert abs(states[t, p] - U[t - p :: -N].sum() * (t >= p)) < 1e-14


def test_released_kernel_runs_to_lower_positions():
    states = WaveReservoir.from_kernel([0.0, 0.0, 1.0], N).run(U[:N])
    for t in range(N):  # until the wave wraps
        for i in range(N):
            delay = (N - i) % N
            assert states[t, i] == (U[t - delay] if t >= delay else 0.0)
    assert_array_equal(states[:, 1:][:, ::-1], linear().run(U[:N])[:, 1:])


@pytest.mark.parametrize("closed", [False, True])
def test_decay_makes_the_memory_geometric(closed):
    decay = 0.9
    states = linear(closed=closed, decay=decay).run(U)
    for t in range(len(U)):
        for p in range(N):
            rounds = range(p, t + 1, N) if closed else range(p, min(t, p) + 1, N)
            expected = sum(decay**k * U[t - k] for k in rounds)
            assert abs(states[t, p] - expected) < 1e-14  # up to 40 products of numbers below 1


def test_relu_changes_nothing_for_inputs_that_are_not_negative():
    u = np.abs(U)
    for speed, closed in ((1.0, True), (0.3, False)):
        rectified = WaveReservoir.travelling(N, speed=speed, closed=closed, activation=relu).run(u)
        assert_array_equal(rectified, linear(speed=speed, closed=closed).run(u))
    assert (WaveReservoir.travelling(N, activation=relu).run(-u) == 0).all()


def test_wave_at_fractional_speed_spreads_as_a_binomial_law():
    """The upwind scheme moves each parcel on with probability ν: position after t steps is binomial."""
    from scipy.stats import binom

    pulse = np.r_[1.0, np.zeros(30)]
    states = linear(40, speed=0.3, closed=False).run(pulse)
    assert_allclose(states[30], binom.pmf(np.arange(40), 30, 0.3), atol=1e-15)


@pytest.mark.parametrize("speed, decay", [(1.0, 1.0), (0.5, 1.0), (0.25, 0.9)])
def test_memory_of_an_open_chain_is_the_number_of_units(speed, decay):
    wave = linear(20, speed=speed, decay=decay, closed=False)
    curve = linear_memory_curve(wave.W, wave.W_in, max_delay=800)
    assert controllability_rank(wave.W, wave.W_in) == 20
    assert abs(curve.sum() - 20) < 1e-9  # the cascade's own rounding
    if speed == 1.0:
        assert_allclose(curve[:20], 1, atol=1e-12)  # and nothing beyond
    else:
        assert curve[19] < 0.999 and curve[20:].sum() > 0.5  # dispersed, beyond n


def test_measured_memory_of_an_open_chain_is_n():
    result = memory_capacity(linear(closed=False), 2 * N, n_steps=2000, seed=0, progress=False)
    assert_allclose(result.per_delay[:N], 1, atol=1e-12)  # a readout of one unit is exact
    assert abs(result.total - N) < 4 * result.standard_error + 0.05


def test_memory_of_the_decaying_ring_is_that_of_a_simple_cycle():
    wave = linear(20, decay=0.9)
    curve = linear_memory_curve(wave.W, wave.W_in)
    k = np.arange(len(curve))
    # Rodan and Tino (2011): every round trip keeps r^(2n) of the power
    assert_allclose(curve, (1 - 0.9**40) * 0.9 ** (40 * (k // 20)), atol=1e-9)
    assert abs(curve.sum() - 20) < 1e-9


def same_numbers(found, expected, atol):
    """Whether two lists of complex numbers agree up to their order."""
    from scipy.optimize import linear_sum_assignment

    distance = np.abs(found[:, None] - expected)
    rows, columns = linear_sum_assignment(distance)
    return distance[rows, columns].max() < atol


@given(kernel=kernels, n=st.integers(1, 7))
@settings(deadline=None, max_examples=40)
def test_spectrum_of_the_ring_is_that_of_its_matrix(kernel, n):
    from_matrix = np.linalg.eigvals(wave_matrix(kernel, n).toarray())
    # a block with a double eigenvalue and one eigenvector resolves it to sqrt(eps) only, a triple one to its third root
    assert same_numbers(wave_spectrum(kernel, n), from_matrix, 2e-4)


def test_spectrum_of_one_ring_is_the_fourier_transform_of_its_kernel():
    row = np.zeros(N)
    row[[-1, 0, 1]] = 0.2, 0.5, 0.3  # from the positions before, here and after
    assert same_numbers(wave_spectrum([0.2, 0.5, 0.3], N), np.fft.fft(row), 1e-14)


@pytest.mark.parametrize(
    "kernel",
    [
        [0.4, 0.1, 0.3],
        [-0.4, 0.1, 0.3],
        np.stack([np.eye(2), np.diag([0.5, -0.5]), np.diag([0.2, 0.1])], axis=2),
        np.random.default_rng(2).standard_normal((2, 2, 3)),
    ],
    ids=["symmetrisable", "rotating", "two kinds", "mixing"],
)
def test_spectrum_of_open_chains_is_that_of_their_matrix(kernel):
    from_matrix = np.linalg.eigvals(wave_matrix(kernel, 7, closed=False).toarray())
    assert same_numbers(wave_spectrum(kernel, 7, closed=False), from_matrix, 1e-9)


def test_one_way_chains_are_defective_and_at_unit_speed_nilpotent():
    kernel = np.random.default_rng(3).standard_normal((2, 2, 3))
    kernel[..., 2] = 0
    spectrum, middle = wave_spectrum(kernel, 50, closed=False), np.linalg.eigvals(kernel[..., 1])
    assert same_numbers(spectrum, np.tile(middle, 50), 1e-14)
    det = np.linalg.det(wave_matrix(kernel, 50, closed=False).toarray())  # block triangular
    assert_allclose(np.prod(spectrum), det, rtol=1e-9)
    assert (wave_spectrum([1.0, 0.0, 0.0], 50, closed=False) == 0).all()
    assert (np.linalg.matrix_power(linear(closed=False).W.toarray(), N) == 0).all()


@given(kernel=kernels, n=st.integers(1, 6), closed=st.booleans())
@settings(deadline=None, max_examples=30)
def test_norm_is_at_most_the_sum_of_the_norms_of_the_kernel(kernel, n, closed):
    bound = sum(np.linalg.norm(kernel[..., k], 2) for k in range(3))
    assert np.linalg.norm(wave_matrix(kernel, n, closed=closed).toarray(), 2) <= bound * (1 + 1e-12) + 1e-12
    assert np.abs(wave_spectrum(kernel, n, closed=closed)).max() <= bound * (1 + 1e-6) + 1e-12


def test_travelling_waves_shrink_by_their_decay():
    wave = linear(n_channels=2, speed=[0.3, 1.0], decay=[0.8, 0.95])
    assert_allclose(spectral_norm(wave.W), 0.95, rtol=1e-8)  # iterated
    assert_allclose(np.linalg.norm(wave.W.toarray(), 2), 0.95, rtol=1e-13)


def test_every_input_drives_channels_of_its_own():
    wave = linear(4, n_channels=5, n_inputs=2, input_scaling=[2.0, 3.0])
    encoder = wave.W_in.reshape(5, 4, 2)
    assert_array_equal(encoder[:, 0], [[2, 0], [0, 3], [2, 0], [0, 3], [2, 0]])
    assert not encoder[:, 1:].any()
    assert linear(4, n_inputs=3).n_units == 12
    ones = linear(4, n_channels=2, n_inputs=3, input_scaling=np.ones((2, 3)))
    assert_array_equal(ones.W_in.reshape(2, 4, 3)[:, 0], np.ones((2, 3)))


def test_without_inputs_a_state_goes_round():
    wave = linear(5, n_inputs=0)
    x0 = np.arange(5.0)
    assert_array_equal(wave.run(7, x0)[-1], np.roll(x0, 7))


def test_type_bias_and_activation_are_those_asked_for():
    wave = WaveReservoir.travelling(5, bias=0.1, activation=tanh, dtype=np.float32)
    assert wave.dtype == wave.W.dtype == wave.W_in.dtype == np.float32 and wave.activation is tanh
    assert_allclose(wave.step(np.zeros(5), np.zeros(1)), np.tanh(0.1), rtol=1e-6)


def test_ring_recalls_copied_symbols_after_any_delay_the_open_chain_only_within_its_length():
    """The blank has a channel of its own, so the symbols go round alone; 10 symbols, 12 positions."""
    accuracy = {}
    for closed in (True, False):
        for delay in (2, 3, 50):
            task = copy_memory(delay, length=10, n_series=60, seed=1)
            states = WaveReservoir.travelling(12, n_inputs=10, closed=closed).run(task.inputs)
            train, test = slice(0, 40), slice(40, 60)
            readout = ridge(states[train][task.mask[train]], task.targets[train][task.mask[train]])
            answer = readout(states[test][task.mask[test]]).argmax(axis=1)
            accuracy[closed, delay] = (answer == task.targets[test][task.mask[test]].argmax(axis=1)).mean()
    assert accuracy[True, 2] == accuracy[True, 3] == accuracy[True, 50] == 1
    # recall looks back length + delay = 12 steps, and the chain 11
    assert accuracy[False, 2] < 0.5 and accuracy[False, 50] < 0.25
    task = copy_memory(1, length=10, n_series=60, seed=1)
    states = WaveReservoir.travelling(12, n_inputs=10, closed=False).run(task.inputs)
    readout = ridge(states[task.mask], task.targets[task.mask])
    assert (readout(states[task.mask]).argmax(axis=1) == task.targets[task.mask].argmax(axis=1)).all()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: wave_matrix([1.0, 0.0], 4), r"kernel must have shape \(3,\) or \(c, c, 3\), got \(1, 1, 2\)"),
        (lambda: wave_matrix(np.ones((2, 3, 3)), 4), r"kernel must have shape .* got \(2, 3, 3\)"),
        (lambda: wave_matrix(np.ones((0, 0, 3)), 4), "kernel must have shape"),
        (lambda: wave_matrix([1.0, np.nan, 0.0], 4), "kernel must be finite"),
        (lambda: wave_matrix([1, 0, 0], 0), "n_positions must be at least 1"),
        (lambda: wave_spectrum(np.ones((2, 3)), 4), "kernel must have shape"),
        (lambda: WaveReservoir.travelling(0), "n_positions must be at least 1"),
        (lambda: WaveReservoir.travelling(4, speed=0), r"speed must lie in \(0, 1\], got 0"),
        (lambda: WaveReservoir.travelling(4, speed=-1.0), r"speed must lie in \(0, 1\]"),
        (lambda: WaveReservoir.travelling(4, speed=[0.5, 0.5]), r"speed must be a number or have shape \(1,\)"),
        (lambda: WaveReservoir.travelling(4, n_channels=2, speed=[0.5, 1.5]), r"speed must lie in \(0, 1\], got \[0.5"),
        (lambda: WaveReservoir.travelling(4, decay=1.1), r"decay must lie in \(0, 1\]"),
        (lambda: WaveReservoir.travelling(4, decay=np.nan), "decay must be finite"),
        (lambda: WaveReservoir.travelling(4, n_channels=2, n_inputs=3), "n_channels must be at least n_inputs=3.* 2;"),
        (lambda: WaveReservoir.travelling(4, n_inputs=2, input_scaling=[1.0] * 3), r"have shape \(2,\) or \(2, 2\)"),
        (lambda: WaveReservoir.travelling(4, input_scaling=np.inf), "input_scaling must be finite"),
        (lambda: WaveReservoir.travelling(4, activation=np.tanh), "activation must be one of"),
        (lambda: WaveReservoir.travelling(4, bias=np.ones(3)), "bias must be a number or have shape"),
        (lambda: WaveReservoir.travelling(4, dtype=int), "dtype must be float64 or float32"),
    ],
)
def test_useless_values_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: wave_matrix(None, 4), "kernel must hold real numbers"),
        (lambda: wave_matrix("fwd", 4), "kernel must hold real numbers"),
        (lambda: wave_matrix([1, 0, 0], 4.0), "n_positions must be an integer"),
        (lambda: wave_matrix([1, 0, 0], 4, closed="no"), "closed must be True or False, got 'no'"),
        (lambda: WaveReservoir.travelling(4, closed=None), "closed must be True or False"),
        (lambda: WaveReservoir.travelling(4, speed="fast"), "speed must be a number"),
        (lambda: WaveReservoir.travelling(4, decay=None), "decay must be a number"),
        (lambda: WaveReservoir.travelling(4, decay=True), "decay must be a number"),
        (lambda: WaveReservoir.travelling(4, n_channels=1.5), "n_channels must be an integer"),
        (lambda: WaveReservoir.travelling(4, n_inputs=None), "n_inputs must be an integer"),
        (lambda: WaveReservoir.travelling(4, input_scaling=True), "input_scaling must be a number"),
        (lambda: WaveReservoir.travelling(4, input_scaling="big"), "input_scaling must be a number"),
    ],
)
def test_values_of_the_wrong_type_are_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call()
