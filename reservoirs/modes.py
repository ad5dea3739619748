"""Complex modes kept as real units: their matrices, the weights that read them, and kernels that turn them.

The units are the real parts of all complex pairs, then their imaginary parts, then the modes with a real eigenvalue.
"""

import numpy as np
import scipy.sparse as sp
from numba import njit

from penstock.matvec import affine
from penstock.vmath import all_finite

__all__ = [
    "as_inside",
    "as_mode_weights",
    "as_modes",
    "find_modes",
    "modal_matrix",
    "modal_readout",
    "push_modes",
    "run_modes",
]


def modal_readout(coefficients, eigenvalues):
    """Return the real output weights (…, N) that read 2 Re sum_n C_n z_n from the units of `LinearMemory.diagonal`.

    Parameters
    ----------
    coefficients : array, shape (n_modes,) or (k, n_modes)
        C, complex.
    eigenvalues : array, shape (n_modes,)
        The eigenvalues, or poles, that the memory was made from: which of them are real decides on its units.

    Returns
    -------
    array, shape (N,) or (k, N)

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit or a number is not finite.

    Examples
    --------
    >>> from penstock.reservoirs import LinearMemory
    >>> memory = LinearMemory.diagonal([0.5, 0.8j], [1.0, 1.0])
    >>> memory.run([1.0, 0.0, 0.0]) @ modal_readout([1.0, 1 + 1j], [0.5, 0.8j])  # 2 Re(0.5^k + (1 + i) (0.8 i)^k)
    array([ 4.  , -0.6 , -0.78])
    """
    C, eigenvalues = _as_complex("coefficients", coefficients), _as_complex("eigenvalues", eigenvalues)
    if eigenvalues.ndim != 1 or C.ndim not in (1, 2) or C.shape[-1] != eigenvalues.size:
        raise ValueError(
            f"coefficients must have shape ({eigenvalues.size},) or (k, {eigenvalues.size}) to match eigenvalues "
            f"(n_modes,), got {C.shape} and {eigenvalues.shape}"
        )
    real = eigenvalues.imag == 0
    pairs = C[..., ~real]
    return 2 * np.concatenate([pairs.real, -pairs.imag, C[..., real].real], axis=-1)


def as_modes(name, values):
    """Return finite eigenvalues or poles (n_modes,), complex, of every pair only one."""
    values = _as_complex(name, values)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name} must have shape (n_modes,) and not be empty, got shape {values.shape}")
    pairs = set(values[values.imag != 0].tolist())
    double = [value for value in pairs if value.conjugate() in pairs]
    if double:
        raise ValueError(f"{name} must hold one of each complex pair, got both of {double[0]:.6g}")
    return values


def as_inside(name, eigenvalues, dtype):
    """Return eigenvalues rounded to `dtype`, if they lie inside the unit circle even so."""
    eigenvalues = eigenvalues.astype(np.result_type(dtype, np.complex64)).astype(np.complex128)
    largest = np.abs(eigenvalues).max()
    if largest >= 1:
        raise ValueError(
            f"{name} must lie inside the unit circle, got modulus {largest:.6g} in {dtype}; scale them, for instance "
            f"by {0.99 / largest:.3g}"
        )
    return eigenvalues


def as_mode_weights(W_in, real):
    """Return input weights as a complex array (n_modes, m), real for the modes that are."""
    W_in = _as_complex("W_in", W_in)
    W_in = W_in[:, None] if W_in.ndim == 1 else W_in
    if W_in.ndim != 2 or len(W_in) != len(real):
        raise ValueError(f"W_in must have shape ({len(real)}, m), a row for every mode, got {W_in.shape}")
    if W_in[real].imag.any():
        raise ValueError("W_in must be real where the mode is, got a complex weight of a real mode")
    return W_in


def modal_matrix(pairs, real):
    """Return [[Re, -Im, 0], [Im, Re, 0], [0, 0, real]], diagonal blocks, as CSR with sorted indices."""
    p = pairs.size
    first, second, rest = np.arange(p), np.arange(p, 2 * p), np.arange(2 * p, 2 * p + real.size)
    rows = np.concatenate([first, first, second, second, rest])
    columns = np.concatenate([first, second, first, second, rest])
    data = np.concatenate([pairs.real, -pairs.imag, pairs.imag, pairs.real, real])
    n = 2 * p + real.size
    return sp.csr_array(sp.coo_array((data, (rows, columns)), shape=(n, n)))


def find_modes(W):
    """Return (a, b, real) if W is `modal_matrix(a + 1j * b, real)` with at least one pair, else None."""
    rows, columns = W.nonzero()
    distances = np.setdiff1d(np.abs(rows - columns), 0)
    if distances.size != 1 or 2 * distances[0] > W.shape[0]:
        return None
    p = int(distances[0])
    a, b, real = W.diagonal()[:p], W.diagonal(-p)[:p], W.diagonal()[2 * p :]
    if (W != modal_matrix(a + 1j * b, real)).nnz:
        return None
    return tuple(np.ascontiguousarray(part, W.dtype) for part in (a, b, real))


def _as_complex(name, value):
    """Return a finite complex array."""
    try:
        value = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be a regular array: {error}") from None
    if value.dtype.kind not in "fiuc":
        raise TypeError(f"{name} must hold numbers, real or complex, got dtype {value.dtype}")
    if not np.isfinite(value).all():
        raise ValueError(f"{name} must be finite, got NaN or infinite entries")
    return value.astype(np.complex128)


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(error_model="numpy")
def _turn(a, b, real, z, x):
    """Do x <- lambda x + z: the pairs' real parts, their imaginary parts, the real modes."""
    p = a.size
    first, second, rest, z_first, z_second, z_rest = x[:p], x[p : 2 * p], x[2 * p :], z[:p], z[p : 2 * p], z[2 * p :]
    for i in range(p):
        re, im = first[i], second[i]
        first[i] = a[i] * re - b[i] * im + z_first[i]
        second[i] = b[i] * re + a[i] * im + z_second[i]
    for i in range(real.size):
        rest[i] = real[i] * rest[i] + z_rest[i]


@njit(cache=True, nogil=True, error_model="numpy")
def run_modes(modes, u, x, out):
    """Run one series; return whether a state was not finite."""
    a, b, real, W_in, bias = modes
    z = np.empty_like(x)
    for t in range(u.shape[0]):
        affine(W_in, u[t], bias, z)
        _turn(a, b, real, z, x)
        row = out[t]
        for i in range(x.size):
            row[i] = x[i]
    return not all_finite(x)  # a unit that is not finite once stays so


@njit(cache=True, nogil=True, error_model="numpy")
def push_modes(modes, u, x, V, dU, tape):
    """Carry the state and the tangents, rows of V, through u: v <- lambda v + W_in du."""
    a, b, real, W_in, bias = modes
    z, none = np.zeros_like(x), np.zeros_like(x)
    for t in range(u.shape[0]):
        affine(W_in, u[t], bias, z)
        _turn(a, b, real, z, x)
        z[:] = 0
        for r in range(V.shape[0]):
            if dU.shape[0]:
                affine(W_in, dU[t, r], none, z)
            _turn(a, b, real, z, V[r])
        if tape.shape[0]:
            tape[t] = V
