"""Wave reservoirs: channels of units in a row or a ring, coupled to their neighbours only."""

import numpy as np
import scipy.sparse as sp

from penstock.checks import as_finite_array, as_finite_float, as_fraction, as_int, as_vector
from penstock.reservoirs.esn import ESN, as_dtype
from penstock.vmath import identity

__all__ = ["WaveReservoir", "wave_matrix", "wave_spectrum"]


def wave_matrix(kernel, n_positions, *, closed=True):
    """Return the convolution with a kernel of three as a sparse matrix W (c n, c n), for c channels of n positions.

    Unit ``o n + p`` is channel o at position p. From channel i it receives kernel[o, i, 0], kernel[o, i, 1] and
    kernel[o, i, 2] times the units at p - 1, p and p + 1. By the triangle inequality the norm of W is at most the sum
    of the norms of the three (c, c) matrices; in a single closed channel of weights >= 0 it is their sum.

    Parameters
    ----------
    kernel : array, shape (3,) or (c, c, 3)
        Weights, those of one channel or of c; the layout of a convolution in torch, (out, in, position).
    n_positions : int
        Positions n of a channel.
    closed : bool
        Whether the ends meet: position n - 1 lies before position 0. Else what runs off an end is lost.

    Returns
    -------
    scipy.sparse.csr_array, shape (c n, c n)

    Raises
    ------
    ValueError, TypeError
        If an argument is of no use.

    Examples
    --------
    >>> wave_matrix([0.75, 0.25, 0.0], 3).toarray()
    array([[0.25, 0.  , 0.75],
           [0.75, 0.25, 0.  ],
           [0.  , 0.75, 0.25]])
    """
    kernel, n, closed = _check_kernel(kernel), as_int("n_positions", n_positions), _check_closed(closed)
    n_channels = len(kernel)
    to, source, k = np.nonzero(kernel)
    position = np.arange(n)[:, None]
    neighbour = position + k - 1
    rows, columns = to * n + position, source * n + neighbour % n
    kept = slice(None) if closed else (neighbour >= 0) & (neighbour < n)
    data = np.broadcast_to(kernel[to, source, k], rows.shape)
    size = n_channels * n
    places = rows[kept].ravel(), columns[kept].ravel()  # some twice: in a ring of two both neighbours are one unit
    W = sp.coo_array((data[kept].ravel(), places), (size, size)).tocsr()  # adds these up
    W.eliminate_zeros()
    return W


def wave_spectrum(kernel, n_positions, *, closed=True):
    """Return the eigenvalues (c n,) of `wave_matrix`, complex, from the kernel instead of the matrix.

    A ring is diagonal in Fourier space: the eigenvalues are those of K_0 e^{-iθ} + K_1 + K_2 e^{iθ} at θ = 2 π j / n,
    for one channel the discrete Fourier transform of the kernel. An open chain whose channels do not mix has
    b + 2 sqrt(a c) cos(π j / (n + 1)), j = 1..n, for kernel [a, b, c]; if its waves run one way only, n times the
    eigenvalues of K_1, which no numerical method finds from a long chain. All others are computed from the matrix.

    Parameters
    ----------
    kernel, n_positions, closed
        As in `wave_matrix`.

    Returns
    -------
    array of complex, shape (c n,)

    Raises
    ------
    ValueError, TypeError
        If an argument is of no use.

    Examples
    --------
    >>> wave_spectrum([1.0, 0.0, 0.0], 4).round(12) + 0.0
    array([ 1.+0.j,  0.-1.j, -1.+0.j,  0.+1.j])
    >>> bool((wave_spectrum([1.0, 0.0, 0.0], 4, closed=False) == 0).all())
    True
    """
    K, n, closed = _check_kernel(kernel), as_int("n_positions", n_positions), _check_closed(closed)
    before, here, after = np.moveaxis(K, 2, 0)
    if closed:
        turn = np.exp(2j * np.pi * np.arange(n) / n)[:, None, None]
        return np.linalg.eigvals(before / turn + here + after * turn).ravel()
    if not (K * (1 - np.eye(len(K)))[:, :, None]).any():
        a, b, c = (part.diagonal()[:, None] for part in (before, here, after))
        return (b + 2 * np.sqrt(a * c + 0j) * np.cos(np.pi * np.arange(1, n + 1) / (n + 1))).ravel()
    if not before.any() or not after.any():
        return np.tile(np.linalg.eigvals(here).astype(complex), n)
    return np.linalg.eigvals(wave_matrix(K, n, closed=False).toarray()).astype(complex)


class WaveReservoir:
    """Make reservoirs through which the inputs travel as waves; both constructors return an `ESN` with sparse W.

    h_t = f(K * h_{t-1} + V u_t + b), where K * is the convolution of c channels of n positions with a kernel of three,
    and V drives position 0 of every channel only. Unit ``o n + p`` is channel o at position p, so that
    ``states.reshape(-1, c, n)`` are pictures in time and space.

    At unit speed and with f the identity, the default, a chain open at its end is a shift register:
    h_{t, p} = u_{t-p}, with memory capacity exactly n per channel. A closed ring wraps,
    h_{t, p} = u_{t-p} + u_{t-p-n} + …, and is only marginally stable: without decay it forgets nothing, and sums that
    random inputs leave behind wander off.

    References
    ----------
    T. A. Keller, L. Muller, T. Sejnowski, M. Welling (2024), Traveling waves encode the recent past and enhance
    sequence learning, ICLR, arXiv 2309.08045. There kernel and encoder are where training starts from; the released
    code starts with the kernel [0, 0, 1], whose waves run to lower positions, the mirror image on the ring.

    Examples
    --------
    >>> chain = WaveReservoir.travelling(4, closed=False)
    >>> chain.run([1.0, 2.0, 3.0])
    array([[1., 0., 0., 0.],
           [2., 1., 0., 0.],
           [3., 2., 1., 0.]])
    """

    @staticmethod
    def travelling(
        n_positions,
        *,
        n_channels=None,
        speed=1.0,
        decay=1.0,
        closed=True,
        n_inputs=1,
        input_scaling=1.0,
        bias=0.0,
        activation=identity,
        dtype=np.float64,
    ):
        """Return channels that do not mix, whose waves run from position 0 upwards.

        The kernel is decay [speed, 1 - speed, 0], the upwind scheme of the one-way wave equation. Below unit speed
        waves disperse while they travel. The norm of W is at most the largest decay, so that all decays below 1 make
        a contraction.

        Parameters
        ----------
        n_positions : int
            Positions n of a channel; N = c n units.
        n_channels : int, optional
            Channels c, by default one per input.
        speed : float or array, shape (c,)
            Positions per step, in (0, 1].
        decay : float or array, shape (c,)
            Factor per step, in (0, 1].
        closed : bool
            Whether the channels are rings; else what reaches their end is lost.
        n_inputs, input_scaling, bias, activation, dtype
            As in `from_kernel`.

        Returns
        -------
        ESN

        Raises
        ------
        ValueError, TypeError
            If an argument is of no use, or there are fewer channels than inputs.

        Examples
        --------
        Two channels that remember one input with different depth and grain:

        >>> WaveReservoir.travelling(50, n_channels=2, speed=[1.0, 0.25], closed=False)
        ESN(n_units=100, n_inputs=1, leak=1.0, activation=identity, W=sparse(148 non-zeros), float64)
        """
        n_inputs = as_int("n_inputs", n_inputs, minimum=0)
        n_channels = max(n_inputs, 1) if n_channels is None else as_int("n_channels", n_channels)
        speed, decay = _fractions("speed", speed, n_channels), _fractions("decay", decay, n_channels)
        kernel = np.zeros((n_channels, n_channels, 3))
        each = np.arange(n_channels)
        kernel[each, each] = decay[:, None] * np.column_stack([speed, 1 - speed, np.zeros(n_channels)])
        return WaveReservoir.from_kernel(
            kernel,
            n_positions,
            closed=closed,
            n_inputs=n_inputs,
            input_scaling=input_scaling,
            bias=bias,
            activation=activation,
            dtype=dtype,
        )

    @staticmethod
    def from_kernel(
        kernel,
        n_positions,
        *,
        closed=True,
        n_inputs=1,
        input_scaling=1.0,
        bias=0.0,
        activation=identity,
        dtype=np.float64,
    ):
        """Return the reservoir of any kernel of three, that of a trained network for instance.

        Parameters
        ----------
        kernel : array, shape (3,) or (c, c, 3)
            Weights (to channel, from channel, position - 1, 0 and + 1), as in `wave_matrix`.
        n_positions : int
            Positions n of a channel.
        closed : bool
            Whether the channels are rings.
        n_inputs : int
            Inputs m. Channel o is driven by input o mod m, so there must be at least as many channels as inputs.
        input_scaling : float or array, shape (m,) or (c, m)
            Weight of every input at position 0; (c, m) is the whole encoder. The published one is all ones, where
            several inputs add up in every channel.
        bias, activation
            As in `ESN`, but linear by default. The published activation is relu, the same for inputs that are not
            negative; it loses the negative part of signed ones.
        dtype : numpy.dtype
            float64 or float32.

        Returns
        -------
        ESN
            With W in sparse form; O(N) per step where channels do not mix.

        Raises
        ------
        ValueError, TypeError
            If an argument is of no use, or there are fewer channels than inputs.

        Examples
        --------
        >>> released = WaveReservoir.from_kernel([0.0, 0.0, 1.0], 4)
        >>> released.run([1.0, 2.0, 3.0])[-1]
        array([3., 0., 1., 2.])
        """
        kernel, dtype = _check_kernel(kernel), as_dtype(dtype)
        W = wave_matrix(kernel, n_positions, closed=closed)
        n_inputs = as_int("n_inputs", n_inputs, minimum=0)
        V = np.zeros((len(kernel), n_positions, n_inputs))
        V[:, 0] = _encoder(input_scaling, len(kernel), n_inputs)
        return ESN(W.astype(dtype), V.reshape(W.shape[0], n_inputs), bias, activation=activation)


def _check_kernel(kernel):
    """Return a kernel (c, c, 3)."""
    kernel = as_finite_array("kernel", kernel)
    if kernel.ndim == 1:
        kernel = kernel[None, None]
    if kernel.ndim != 3 or kernel.shape[0] != kernel.shape[1] or kernel.shape[2] != 3 or kernel.size == 0:
        raise ValueError(f"kernel must have shape (3,) or (c, c, 3), got {kernel.shape}")
    return kernel


def _check_closed(closed):
    if not isinstance(closed, bool | np.bool_):
        raise TypeError(f"closed must be True or False, got {closed!r}")
    return bool(closed)


def _fractions(name, value, n_channels):
    """Return one number in (0, 1] per channel."""
    if np.ndim(value) == 0:
        return np.full(n_channels, as_fraction(name, value))
    values = as_vector(name, value, n_channels)
    if not ((values > 0) & (values <= 1)).all():
        raise ValueError(f"{name} must lie in (0, 1], got {values.tolist()}")
    return values


def _encoder(scaling, n_channels, n_inputs):
    """Return the weights (c, m) of the inputs at position 0."""
    if np.ndim(scaling) == 0:
        scaling = as_finite_float("input_scaling", scaling)
    scaling = as_finite_array("input_scaling", scaling, ndim=(0, 1, 2))
    if scaling.shape not in ((), (n_inputs,), (n_channels, n_inputs)):
        raise ValueError(
            f"input_scaling must be a number or have shape ({n_inputs},) or ({n_channels}, {n_inputs}), "
            f"got {scaling.shape}"
        )
    if scaling.ndim == 2:
        return scaling
    if n_channels < n_inputs:
        raise ValueError(
            f"n_channels must be at least n_inputs={n_inputs}, so that every input has a channel of its own, got "
            f"{n_channels}; or give the whole encoder as input_scaling of shape ({n_channels}, {n_inputs})"
        )
    return (np.arange(n_channels)[:, None] % max(n_inputs, 1) == np.arange(n_inputs)) * scaling
