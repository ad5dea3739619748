"""Linear memories: rings, delay lines, complex modes and random matrices that hold past inputs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from penstock.checks import (
    as_finite_float,
    as_fraction,
    as_int,
    as_non_negative_float,
    as_positive_float,
    as_vector,
    generators,
    seed_sequence,
)
from penstock.reservoirs.drawing import draw_input_weights, draw_recurrent, warn_at_origin
from penstock.reservoirs.esn import ESN, as_dtype, describe_matrix, to_dense
from penstock.reservoirs.modes import (
    as_inside,
    as_mode_weights,
    as_modes,
    find_modes,
    modal_matrix,
    push_modes,
    run_modes,
)
from penstock.scaling import scale_spectral_radius
from penstock.vmath import identity
from penstock.weights import aperiodic_signs, uniform
from penstock.weights import ring as ring_matrix

__all__ = ["LinearMemory"]


@dataclass(frozen=True, eq=False, repr=False)
class LinearMemory(ESN):
    """Run a linear memory.

    x_t = W x_{t-1} + W_in u_t + b: an `ESN` without leak and without nonlinearity. Whatever W is, as long as it is
    stable, N units that the input reaches recall N past inputs in all; W decides which. A ring, a delay line and
    a diagonal cost O(N) per step, so do complex modes.

    Complex modes z_t = lambda z_{t-1} + B u_t are kept as real units: the real parts of all pairs first, then their
    imaginary parts, then the modes with a real eigenvalue, one unit each.

    Parameters
    ----------
    W : array or sparse array, shape (N, N)
        Recurrent weights, W[i, j] from unit j to unit i. float32 weights make a float32 model.
    W_in : array or sparse array, shape (N, m)
        Input weights.
    bias : float or array, shape (N,)
        Bias b.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit or a number is not finite.

    See Also
    --------
    penstock.analysis.linear_memory_curve : what it remembers, exactly: ``linear_memory_curve(memory.W, memory.W_in)``.

    References
    ----------
    L. Gonon, L. Grigoryeva, J.-P. Ortega, Memory and forecasting capacities of nonlinear recurrent networks (2020).

    Examples
    --------
    >>> memory = LinearMemory.lru(20, r_min=0.5, r_max=0.95, seed=0)
    >>> memory
    LinearMemory(n_units=20, n_inputs=1, W=modes(10 pairs, 0 real), float64)
    >>> memory.run(np.ones(5)).shape
    (5, 20)
    """

    leak: float = field(default=1.0, init=False)
    activation: Callable = field(default_factory=lambda: identity, init=False)

    @classmethod
    def random(
        cls,
        n_units,
        *,
        n_inputs=1,
        spectral_radius=0.9,
        input_scaling=1.0,
        weights=uniform,
        density=None,
        scale=scale_spectral_radius,
        dtype=np.float64,
        seed,
    ):
        """Return a memory with random weights; all parameters as in `ESN.random`, whose draws these are.

        Warns
        -----
        EchoStateWarning
            If the spectral radius is above 1, so that the memory grows.
        """
        n_units, dtype = as_int("n_units", n_units), as_dtype(dtype)
        for_W, for_W_in = seed_sequence(seed).spawn(2)
        W_in = draw_input_weights(n_units, n_inputs, input_scaling, for_W_in)
        W = draw_recurrent(n_units, spectral_radius, for_W, weights=weights, density=density, scale=scale)
        memory = cls(W.astype(dtype), W_in)
        if spectral_radius is None or spectral_radius > 1 or scale is not scale_spectral_radius:
            warn_at_origin(repr(memory), memory.W)
        return memory

    @classmethod
    def ring(cls, n_units, *, n_inputs=1, weight=0.9, input_scaling=1.0, dtype=np.float64):
        """Return a simple cycle, W[i, i-1] = weight, with input weights of one size and aperiodic signs.

        Its memory curve is ``(1 - weight^2N) weight^(2N floor(k / N))``, N in all. The signs are those of the decimals
        of pi (`penstock.weights.aperiodic_signs`), every channel its own stretch. A stretch that misses a mode of the
        ring would cost memory, the first ten decimals for one; the next one is taken then. Two units have none that
        reaches both modes.

        Parameters
        ----------
        n_units, n_inputs : int
            Sizes N and m.
        weight : float
            Weight of every link, in [-1, 1]; at ±1 nothing fades, and states grow with the length of the series.
        input_scaling : float
            Size of the input weights.
        dtype : numpy.dtype
            float64 or float32.

        References
        ----------
        A. Rodan, P. Tino, Minimum complexity echo state network, IEEE Trans. Neural Netw. 22 (2011).

        Examples
        --------
        >>> LinearMemory.ring(4, weight=0.5).run([1.0, 0.0, 0.0])
        array([[-1.  , -1.  , -1.  ,  1.  ],
               [ 0.5 , -0.5 , -0.5 , -0.5 ],
               [-0.25,  0.25, -0.25, -0.25]])
        """
        n_units, n_inputs = as_int("n_units", n_units), as_int("n_inputs", n_inputs)
        if abs(as_finite_float("weight", weight)) > 1:
            raise ValueError(f"weight must lie in [-1, 1], or the memory grows without bound, got {weight}")
        signs = as_non_negative_float("input_scaling", input_scaling) * _reaching_signs(n_units, n_inputs)
        return cls(ring_matrix(n_units, weight).astype(as_dtype(dtype)), signs.T)

    @classmethod
    def delay_line(cls, n_units, *, n_inputs=1, weight=1.0, dtype=np.float64):
        """Return a chain of units through which the inputs move: x_i(t) = weight^i u(t - i), and no more after N.

        Several channels have a line each, of lengths that differ by one at most.

        Parameters
        ----------
        n_units, n_inputs : int
            Sizes N and m, m at most N.
        weight : float
            Weight of every link.
        dtype : numpy.dtype
            float64 or float32.

        Examples
        --------
        >>> LinearMemory.delay_line(3).run([1.0, 2.0, 3.0, 4.0])[-1]
        array([4., 3., 2.])
        """
        n_units, n_inputs = as_int("n_units", n_units), as_int("n_inputs", n_inputs)
        if n_inputs > n_units:
            raise ValueError(f"n_inputs must be at most n_units={n_units}, a unit for each, got {n_inputs}")
        starts = np.arange(n_inputs) * n_units // n_inputs
        W, W_in = ring_matrix(n_units, 1.0), np.zeros((n_units, n_inputs))
        W.data[:] = as_finite_float("weight", weight)
        W.data[starts] = 0.0  # a link of weight 0 stays stored: the kernel of the ring is the fastest
        W_in[starts, np.arange(n_inputs)] = 1.0
        return cls(W.astype(as_dtype(dtype)), W_in)

    @classmethod
    def diagonal(cls, eigenvalues, W_in=None, *, dtype=np.float64):
        """Return independent modes z_t = lambda z_{t-1} + B u_t, real ones and complex pairs.

        Parameters
        ----------
        eigenvalues : array, shape (n_modes,)
            Inside the unit circle; real ones, and one of each complex pair.
        W_in : array, shape (n_modes, m) or (n_modes,), optional
            Input weights B, which may be complex where the eigenvalue is. By default sqrt(1 - |lambda|^2) for one
            input: white noise of variance 1 then gives every mode E |z|^2 = 1.
        dtype : numpy.dtype
            float64 or float32.

        Returns
        -------
        LinearMemory
            Units in the order of the class: real parts of the pairs, imaginary parts, real modes. To read modes,
            `modal_readout`.

        Raises
        ------
        ValueError
            If an eigenvalue, rounded to `dtype`, is not inside the unit circle, both of a pair are given, or a shape
            does not fit.

        Examples
        --------
        >>> memory = LinearMemory.diagonal([0.5, 0.8j])
        >>> memory.n_units, memory.eigenvalues
        (3, array([0. +0.8j, 0. -0.8j, 0.5+0.j ]))
        """
        dtype, given = as_dtype(dtype), as_modes("eigenvalues", eigenvalues)
        eigenvalues, real = as_inside("eigenvalues", given, dtype), given.imag == 0
        W_in = as_mode_weights(_unit_variance(given) if W_in is None else W_in, real)
        return cls._of_modes(eigenvalues, W_in, real, dtype)

    @classmethod
    def lru(
        cls,
        n_units,
        *,
        n_inputs=1,
        r_min=0.0,
        r_max=1.0,
        max_phase=2 * np.pi,
        input_scaling=1.0,
        leak=1.0,
        dtype=np.float64,
        seed,
    ):
        """Return the modes of a linear recurrent unit: eigenvalues uniform on a ring in the complex plane.

        lambda = r exp(i phi) with r^2 uniform in [r_min^2, r_max^2] and phi in [0, max_phase];
        z_t = lambda z_{t-1} + sqrt(1 - |lambda|^2) B u_t, with B complex normal of variance 1 / m in all.

        Parameters
        ----------
        n_units : int
            Real units N, an even number: two for every mode.
        n_inputs : int
            Input channels m.
        r_min, r_max : float
            Radii of the ring, 0 <= r_min < r_max <= 1; then E |lambda|^2 = (r_min^2 + r_max^2) / 2.
        max_phase : float
            Largest phase, in (0, 2 pi]; a small one makes slow modes only.
        input_scaling : float
            Factor of B.
        leak : float
            In (0, 1]: lambda becomes 1 - leak + leak lambda and the input is scaled by it, the mixing of ParalESN.
        dtype : numpy.dtype
            float64 or float32.
        seed : int or numpy.random.SeedSequence
            Draws radii, phases and B.

        Raises
        ------
        ValueError, TypeError
            If `n_units` is odd or a parameter lies outside its range.

        References
        ----------
        A. Orvieto et al., Resurrecting recurrent neural networks for long sequences, ICML (2023).
        M. Pinna et al., ParalESN, arXiv 2601.22296, for the leak.

        Examples
        --------
        >>> memory = LinearMemory.lru(1000, r_min=0.5, r_max=0.99, seed=0)
        >>> round(float(np.mean(abs(memory.eigenvalues) ** 2)), 2), (0.5**2 + 0.99**2) / 2
        (0.61, 0.61505)
        """
        n_units, n_inputs, dtype = as_int("n_units", n_units), as_int("n_inputs", n_inputs), as_dtype(dtype)
        if n_units % 2:
            raise ValueError(f"n_units must be even, two real units for every complex mode, got {n_units}")
        r_min, r_max = _check_radii(r_min, r_max)
        max_phase, leak = as_positive_float("max_phase", max_phase), as_fraction("leak", leak)
        if max_phase > 2 * np.pi:
            raise ValueError(f"max_phase must be at most 2 pi, got {max_phase}")
        input_scaling = as_non_negative_float("input_scaling", input_scaling)
        radius_rng, phase_rng, input_rng = generators(seed, 3)
        radii = np.sqrt(radius_rng.uniform(r_min**2, r_max**2, n_units // 2))
        modes = radii * np.exp(1j * phase_rng.uniform(0, max_phase, n_units // 2))
        modes = 1 - leak + leak * modes
        B = input_rng.standard_normal((n_inputs, n_units // 2, 2)) @ [1, 1j] / np.sqrt(2 * n_inputs)
        return cls.diagonal(modes, leak * input_scaling * _unit_variance(modes)[:, None] * B.T, dtype=dtype)

    @classmethod
    def sampled(cls, poles, *, dt, W_in=None, dtype=np.float64):
        """Return continuous modes z' = A z + B u sampled every `dt`, exact for inputs held between two samples.

        lambda = exp(A dt) and B becomes B (exp(A dt) - 1) / A (zero-order hold).

        Parameters
        ----------
        poles : array, shape (n_modes,)
            A: negative real part; real ones, and one of each complex pair.
        dt : float or array, shape (n_modes,)
            Time between two samples, for all modes or each.
        W_in : array, shape (n_modes, m) or (n_modes,), optional
            B; 1 by default, for one input.
        dtype : numpy.dtype
            float64 or float32.

        Raises
        ------
        ValueError
            If a pole is not stable, `dt` is not above 0, or so small that exp(A dt) rounds to 1, or a shape does not
            fit.

        Examples
        --------
        A leaky integrator of time constant 2 approaches 2 under a constant input:

        >>> LinearMemory.sampled([-0.5], dt=0.1).run(np.ones(400))[-1].round(6)
        array([2.])
        """
        dtype, poles = as_dtype(dtype), as_modes("poles", poles)
        if poles.real.max() >= 0:
            raise ValueError(f"poles must have a negative real part, or modes never fade, got {poles.real.max():.6g}")
        dt, real = as_vector("dt", dt, len(poles)), poles.imag == 0
        if (dt <= 0).any():
            raise ValueError(f"dt must be above 0, got {dt.min():g}")
        W_in = as_mode_weights(np.ones(len(poles)) if W_in is None else W_in, real)
        eigenvalues = as_inside("exp(poles dt)", np.exp(poles * dt), dtype)
        return cls._of_modes(eigenvalues, (np.expm1(poles * dt) / poles)[:, None] * W_in, real, dtype)

    @classmethod
    def state_space(cls, n_modes, *, n_inputs=1, real_part=-0.5, dt_min=0.001, dt_max=0.1, dtype=np.float64, seed):
        """Return the diagonal state-space memory of the S4D and StableSSM layers, each channel with modes of its own.

        Poles A_n = real_part + i pi n for n = 0..n_modes - 1, `sampled` with a step of the channel's own, dt
        log-uniform in [dt_min, dt_max]. The mode n = 0 is real, one unit; so N = m (2 n_modes - 1).

        Parameters
        ----------
        n_modes : int
            Modes per channel.
        n_inputs : int
            Channels m.
        real_part : float or array, shape (n_modes,)
            Below 0, for all modes or each; `penstock.reservoirs.InverseSquareRate` and others make stable ones of any
            number.
        dt_min, dt_max : float
            Range of the time steps, above 0.
        dtype : numpy.dtype
            float64 or float32.
        seed : int or numpy.random.SeedSequence
            Draws the time steps.

        Raises
        ------
        ValueError, TypeError
            If a real part is not negative, dt_min is above dt_max, or a size is not a positive integer.

        References
        ----------
        S. Wang, Q. Li, StableSSM: alleviating the curse of memory in state-space models through stable
        reparameterization, ICML (2024).

        Examples
        --------
        >>> LinearMemory.state_space(8, n_inputs=2, seed=0)
        LinearMemory(n_units=30, n_inputs=2, W=modes(14 pairs, 2 real), float64)
        """
        n_modes, n_inputs = as_int("n_modes", n_modes), as_int("n_inputs", n_inputs)
        dt_min, dt_max = as_positive_float("dt_min", dt_min), as_positive_float("dt_max", dt_max)
        if dt_min > dt_max:
            raise ValueError(f"dt_min must be at most dt_max={dt_max}, got {dt_min}")
        poles = as_vector("real_part", real_part, n_modes) + 1j * np.pi * np.arange(n_modes)
        (rng,) = generators(seed, 1)
        dt = np.exp(rng.uniform(np.log(dt_min), np.log(dt_max), n_inputs))
        channels = np.repeat(np.eye(n_inputs), n_modes, axis=0)
        return cls.sampled(np.tile(poles, n_inputs), dt=np.repeat(dt, n_modes), W_in=channels, dtype=dtype)

    @classmethod
    def _of_modes(cls, eigenvalues, W_in, real, dtype):
        """Return the units of modes; `real` tells which of them take one unit, two the others."""
        W = modal_matrix(eigenvalues[~real], eigenvalues[real].real)
        return cls(W.astype(dtype), np.concatenate([W_in[~real].real, W_in[~real].imag, W_in[real].real]))

    @property
    def eigenvalues(self):
        """Eigenvalues of W, complex (N,), the largest modulus first; those of modes exactly, else from their blocks."""
        if self._modes is not None:
            a, b, real = (part.astype(np.float64) for part in self._modes)
            values = np.concatenate([np.stack([a + 1j * b, a - 1j * b], axis=1).ravel(), real])
        else:
            values = _block_eigenvalues(self.W)
        return values[np.argsort(-np.abs(values), kind="stable")]

    def __repr__(self):
        W = describe_matrix(self.W)
        if self._modes is not None:
            W = f"modes({self._modes[0].size} pairs, {self._modes[2].size} real)"
        return f"LinearMemory(n_units={self.n_units}, n_inputs={self.n_inputs}, W={W}, {self.dtype})"

    @cached_property
    def _modes(self):
        """Real and imaginary parts of the pairs and the real eigenvalues if W is made of modes, else None."""
        return find_modes(self.W) if sp.issparse(self.W) and not sp.issparse(self.W_in) else None

    def _run(self, u, x0, out):
        if self._modes is None:
            return super()._run(u, x0, out)
        fields = (*self._modes, self.W_in, self.bias)
        if u.ndim == 2:
            return run_modes(fields, u, x0, out)
        return any([run_modes(fields, one, x, states) for one, x, states in zip(u, x0, out, strict=True)])

    def _push(self, x, u, V, dU, tape):
        if self._modes is None:
            return super()._push(x, u, V, dU, tape)
        push_modes((*self._modes, self.W_in, self.bias), u, x, V, dU, tape)


# --- parts of the constructors --------------------------------------------------------------------------------------


def _check_radii(r_min, r_max):
    r_min, r_max = as_non_negative_float("r_min", r_min), as_positive_float("r_max", r_max)
    if r_max > 1:
        raise ValueError(f"r_max must be at most 1, or modes grow, got {r_max}")
    if r_min >= r_max:
        raise ValueError(f"r_min must be below r_max={r_max}, got {r_min}")
    return r_min, r_max


def _unit_variance(eigenvalues):
    radii = np.abs(eigenvalues)
    return np.sqrt((1 - radii) * (1 + radii))


def _reaching_signs(n_units, n_inputs):
    """Return signs (m, N): successive stretches of the decimals of pi that have a part in every mode of a ring."""
    spare = 8 + n_inputs
    digits = aperiodic_signs(n_units * (n_inputs + spare))
    start = 0
    stretches: list[np.ndarray] = []
    while len(stretches) < n_inputs:
        signs = digits[start : start + n_units]
        reaches = np.abs(np.fft.fft(signs)).min() > 1e-6 or n_units == 2
        if reaches or start + n_units * (n_inputs - len(stretches) + 1) > digits.size:
            stretches.append(signs)
        start += n_units if reaches else 1
    return np.array(stretches)


def _block_eigenvalues(W):
    """Return the eigenvalues of W from its strongly connected parts: those of a triangular W are its diagonal."""
    _, part_of_unit = connected_components(sp.csr_array(W != 0), connection="strong")
    order = np.argsort(part_of_unit, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(part_of_unit[order])) + 1)
    W = np.asarray(to_dense(W), np.float64)
    return np.concatenate([np.linalg.eigvals(W[np.ix_(part, part)]) for part in parts]).astype(complex)
