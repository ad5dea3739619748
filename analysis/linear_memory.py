"""Exact memory of linear systems x_t = A x_{t-1} + C u_t: nothing is simulated."""

import math
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numba import njit
from scipy.linalg import eig, lapack, schur, solve_triangular
from scipy.sparse.csgraph import breadth_first_order, connected_components

from penstock.checks import (
    as_finite_array,
    as_finite_float,
    as_int,
    as_matrix,
    as_non_negative_float,
    as_positive_float,
    as_vector,
)
from penstock.threads import one_blas_thread

__all__ = [
    "ControllableModes",
    "NoiseLimitedCapacity",
    "controllability_rank",
    "controllable_modes",
    "linear_memory_curve",
    "linear_step_memory",
    "noise_limited_capacity",
]

CLUSTER = 1e-4  # eigenvalues closer than this times the largest are examined together
RESOLUTION = 1e-10  # a direction driven by less than this relative to the input is not driven
MOST_DELAYS = 10**7


class ControllableModes(NamedTuple):
    """Hold the eigenvalues (r,) that the input reaches, complex, and by how little the weakest of them is driven."""

    eigenvalues: np.ndarray
    margin: float


class NoiseLimitedCapacity(NamedTuple):
    """Hold a total memory capacity under noise and its curve (K,) over the delays 0..K-1."""

    total: float
    per_delay: np.ndarray


@one_blas_thread
def linear_memory_curve(A, C, *, tol: float = 1e-12, max_delay: int | None = None) -> np.ndarray:
    """Return the exact memory curve MC_0, MC_1, ... of ``x_t = A x_{t-1} + C u_t``, shape (K,).

    MC_k = (A^k C)' G^-1 (A^k C) with G = sum_j A^j C C' A'^j, which sums to the controllability rank. G is far too
    ill-conditioned to be inverted. The same numbers are the leverages of the space spanned by the sequences of powers
    of the eigenvalues, of which a cascade of all-pass sections (Takenaka-Malmquist) is an orthonormal basis.

    Parameters
    ----------
    A : array or sparse, shape (N, N)
        Recurrent matrix; the modes that C drives must be stable.
    C : array, shape (N,) or (N, 1)
        Input vector. Only the modes it drives matter, not how strongly.
    tol : float, optional
        The curve ends when what is missing from the rank falls below this.
    max_delay : int, optional
        The curve ends at this delay at the latest.

    Returns
    -------
    array, shape (K,)
        MC_k for k = 0..K-1, never increasing.

    Raises
    ------
    ValueError
        If shapes do not fit, a driven mode is not stable, or the curve needs more than ten million delays.

    References
    ----------
    L. Gonon, L. Grigoryeva, J.-P. Ortega, Memory and forecasting capacities of nonlinear recurrent networks (2020),
    for the total. Uncontrollable parts of defective matrices are recognised by their zeros only.

    Examples
    --------
    A single unit forgets geometrically, MC_k = (1 - a^2) a^2k:

    >>> linear_memory_curve([[0.5]], [1.0], max_delay=3).round(6).tolist()
    [0.75, 0.1875, 0.046875, 0.011719]
    """
    A, C = _check_pair(A, C)
    if C.shape[1] != 1:
        raise ValueError(f"C must have one column: the curve is defined for one input, got shape {C.shape}")
    tol = as_positive_float("tol", tol)
    limit = None if max_delay is None else as_int("max_delay", max_delay, minimum=0) + 1
    eigenvalues = controllable_modes(A, C).eigenvalues
    _check_stable(eigenvalues)
    if limit is None:
        limit = _enough_delays(eigenvalues, tol)
    return _cascade_curve(eigenvalues, tol, limit)


@one_blas_thread
def controllability_rank(A, C) -> int:
    """Return the rank of [C, AC, .., A^(N-1) C], the number of modes that the inputs reach.

    The rank of that matrix itself is numerically meaningless from N of about 15 on. Here a mode counts if its left
    eigenvector meets C (Popov-Belevitch-Hautus); close eigenvalues are examined together.

    Parameters
    ----------
    A : array or sparse, shape (N, N)
        Recurrent matrix.
    C : array, shape (N,) or (N, m)
        Input matrix.

    Returns
    -------
    int
        The rank, the total memory capacity of the linear system if it is stable.

    Examples
    --------
    The two units are copies of each other, so that one mode, their difference, is never driven:

    >>> controllability_rank([[0.5, 0.0], [0.0, 0.5]], [1.0, 1.0])
    1
    """
    return len(controllable_modes(A, C).eigenvalues)


@one_blas_thread
def controllable_modes(A, C) -> ControllableModes:
    """Return the eigenvalues of the part of (A, C) that the inputs reach, shape (r,), with the margin of the decision.

    Parameters
    ----------
    A, C
        As in `controllability_rank`.

    Returns
    -------
    ControllableModes
        The eigenvalues and the margin: the weakest relative drive |w'C| / (|w| |C|) among them (left eigenvectors w).
        A margin near 1e-10 means that the rank is a matter of taste.

    Examples
    --------
    >>> modes = controllable_modes([[0.5, 0.0], [0.0, 0.3]], [1.0, 0.0])
    >>> modes.eigenvalues.real.tolist(), modes.margin
    ([0.5], 1.0)
    """
    A, C = _check_pair(A, C)
    reached = _reached_units(A, C)
    A, C = A[np.ix_(reached, reached)], C[reached]
    if not len(A):
        return ControllableModes(np.empty(0, complex), 0.0)
    eigenvalues, left = eig(A, left=True, right=False)
    if _clusters(eigenvalues).max() + 1 == len(A):
        drives = np.linalg.norm(left.conj().T @ C, axis=1) / np.linalg.norm(C)
        driven = drives > RESOLUTION
        return ControllableModes(eigenvalues[driven], float(drives[driven].min(initial=1.0)))
    T, Z = schur(A.conj().T, output="complex")
    labels = _clusters(T.diagonal())
    parts = [_examine_cluster(T, Z, C, labels == label) for label in range(labels.max() + 1)]
    drives = np.concatenate([strengths for _, strengths in parts])
    return ControllableModes(np.concatenate([values for values, _ in parts]), float(drives.min(initial=1.0)))


@one_blas_thread
def noise_limited_capacity(
    A,
    C,
    *,
    noise_variance: float | None = None,
    snr_db: float | None = None,
    internal_variance: float = 0.0,
    tol: float = 1e-12,
    max_delay: int | None = None,
) -> NoiseLimitedCapacity:
    """Return the exact memory capacity of a noisy linear system, total and per delay.

    The readout sees x_t + noise of variance s^2, and every step adds noise of variance q to every unit:
    MC_k = c_k' (G + H + s^2 I)^-1 c_k with c_k = A^k C, G = A G A' + C C' and H = A H A' + q I, for inputs of unit
    variance. The total is the trace of G (G + H + s^2 I)^-1.

    Parameters
    ----------
    A : array or sparse, shape (N, N)
        Recurrent matrix, spectral radius below 1.
    C : array, shape (N,) or (N, m)
        Input matrix; times the standard deviation of the inputs, if that is not 1.
    noise_variance : float, optional
        Variance s^2 of the observation noise on every unit.
    snr_db : float, optional
        Instead of it the signal-to-noise ratio in decibels: s^2 = (trace G / N) 10^(-snr_db / 10).
    internal_variance : float, optional
        Variance q of the noise inside the recursion.
    tol, max_delay
        The curve ends when less than `tol` is missing from the total, or at `max_delay`.

    Returns
    -------
    NoiseLimitedCapacity
        The total over all delays and the curve, shape (K,), summed over the inputs.

    Raises
    ------
    ValueError
        If shapes do not fit, A is not stable, not exactly one of `noise_variance` and `snr_db` is given, or the noise
        is so weak that the answer would be rounding.

    References
    ----------
    O. White, D. Lee, H. Sompolinsky, Short-term memory in orthogonal neural networks, PRL 92 (2004).

    Examples
    --------
    One unit with as much noise as signal keeps half of its capacity, which is 1:

    >>> noise_limited_capacity([[0.5]], [1.0], snr_db=0.0).total
    0.5
    """
    A, C = _check_pair(A, C)
    _check_stable(np.linalg.eigvals(A))
    G = _accumulate(A, C @ C.T)
    internal_variance = as_non_negative_float("internal_variance", internal_variance)
    noise = _observation_variance(G, noise_variance, snr_db)
    smallest = 1e-14 * np.linalg.norm(G, 2)
    if noise + internal_variance <= smallest:
        raise ValueError(
            f"noise_variance must be above {smallest:.1e} for these matrices, got {noise:.1e}: below, the capacity "
            f"is decided by rounding; see linear_memory_curve for the system without noise"
        )
    identity = np.eye(len(A))
    total_covariance = G + noise * identity
    if internal_variance:
        total_covariance += _accumulate(A, internal_variance * identity)
    if not G.any():  # nothing reaches the state
        return NoiseLimitedCapacity(0.0, np.zeros(1))
    L = np.linalg.cholesky(total_covariance)
    total = float(np.trace(solve_triangular(L, solve_triangular(L, G, lower=True).T, lower=True)))
    limit = MOST_DELAYS if max_delay is None else as_int("max_delay", max_delay, minimum=0) + 1
    return NoiseLimitedCapacity(total, _noisy_curve(A, C, L, total, as_positive_float("tol", tol), limit))


@one_blas_thread
def linear_step_memory(A, C, readout=None, *, amplitude=1.0, n_steps: int = 1024) -> np.ndarray:
    """Return the memory function of a step input of ``x_t = A x_{t-1} + C u_t``, ``y = readout @ x``, in closed form.

    M(t) = ‖readout A^(t+1) C u‖ for a step of size u: what `step_memory` measures as ‖y_{t+1} - y_t‖, without the
    rounding of that difference, so down to the smallest numbers.

    Parameters
    ----------
    A : array or sparse, shape (N, N)
        Recurrent matrix.
    C : array, shape (N,) or (N, m)
        Input matrix.
    readout : array, shape (N,) or (n_outputs, N), optional
        Output weights; by default y = x.
    amplitude : float or array, shape (m,), optional
        Size of the step in every input channel.
    n_steps : int, optional
        Steps with the input on, at least 2.

    Returns
    -------
    array, shape (n_steps - 1,)
        M(t) for t = 0, 1, ...

    Raises
    ------
    ValueError, TypeError
        If a shape does not fit or a number is not finite.
    FloatingPointError
        If A is unstable and the memory overflows within `n_steps`.

    References
    ----------
    S. Wang, Z. Li, Q. Li, Inverse approximation theory for nonlinear recurrent neural networks, ICLR (2024).

    Examples
    --------
    >>> linear_step_memory([[0.5]], [2.0], n_steps=5)
    array([1.   , 0.5  , 0.25 , 0.125])
    """
    A, C = _check_pair(A, C)
    n_steps = as_int("n_steps", n_steps, minimum=2)
    weights = np.eye(len(A)) if readout is None else np.atleast_2d(as_finite_array("readout", readout, ndim=(1, 2)))
    if weights.shape[1] != len(A):
        raise ValueError(f"readout must have shape ({len(A)},) or (n_outputs, {len(A)}), got {np.shape(readout)}")
    x = C @ as_vector("amplitude", amplitude, C.shape[1])
    memory = np.empty(n_steps - 1)
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(len(memory)):
            x = A @ x
            memory[t] = math.hypot(*(weights @ x))  # squares would underflow at 1e-162
    if not np.isfinite(memory).all():
        raise FloatingPointError(f"M overflows at t={np.isfinite(memory).argmin()}: A is unstable; ask for fewer steps")
    return memory


def _check_pair(A, C) -> tuple[np.ndarray, np.ndarray]:
    A = as_matrix("A", A, (None, None), np.float64)
    if A.shape[0] != A.shape[1]:
        raise ValueError(f"A must be square, got shape {A.shape}")
    if not sp.issparse(C):
        C = np.asarray(C)
        C = C[:, None] if C.ndim == 1 else C
    C = as_matrix("C", C, (A.shape[0], None), np.float64)
    return tuple(M.toarray() if sp.issparse(M) else M for M in (A, C))


def _check_stable(eigenvalues) -> None:
    radius = np.abs(eigenvalues).max(initial=0.0)
    if radius >= 1:
        raise ValueError(f"A must have its driven eigenvalues inside the unit circle, got modulus {radius:.6g}")


# Controllability


def _reached_units(A, C) -> np.ndarray:
    """Return the units at the end of a chain of nonzero weights from an input: the others never move."""
    n = len(A)
    links = np.zeros((n + 1, n + 1), dtype=bool)
    links[:n, :n] = A.T != 0
    links[n, :n] = (C != 0).any(axis=1)
    order = breadth_first_order(sp.csr_array(links), n, return_predecessors=False)
    return np.sort(order[order < n])


def _clusters(eigenvalues) -> np.ndarray:
    """Label the groups of eigenvalues that hang together at less than the cluster distance."""
    near = np.abs(eigenvalues[:, None] - eigenvalues) <= CLUSTER * np.abs(eigenvalues).max()
    return connected_components(sp.csr_array(near), directed=False)[1]


def _examine_cluster(T, Z, C, members) -> tuple[np.ndarray, np.ndarray]:
    """Return the driven eigenvalues of one cluster, `members` of the diagonal of T, and how strongly they are driven.

    T, Z are the Schur form of A'. The cluster's eigenvectors of A', left ones of A, are turned to the front. There
    y = Z' x obeys the small system y_t = T' y_{t-1} + Z' C u_t, whose reachable space is built step by step.
    """
    T, Z, *_ = lapack.ztrsen(members.astype(np.int32), T, Z, job="N")
    size = int(members.sum())
    small, drive = T[:size, :size].conj().T, Z[:, :size].conj().T @ C / np.linalg.norm(C)
    shifted = small - np.trace(small) / size * np.eye(size)
    unit = np.linalg.norm(T, 2) or 1.0
    basis, strengths = _reachable_basis(shifted / unit, drive)
    return np.linalg.eigvals(basis.conj().T @ small @ basis), strengths


def _reachable_basis(A, C) -> tuple[np.ndarray, np.ndarray]:
    """Return an orthonormal basis (n, r) of what C and powers of A on it span, and the norm that each vector had."""
    basis, new = np.empty((len(A), 0), complex), C
    strengths: list[float] = []
    while basis.shape[1] < len(A):
        for _ in range(2):  # twice is enough
            new = new - basis @ (basis.conj().T @ new)
        left, singular, _ = np.linalg.svd(new, full_matrices=False)
        keep = singular > RESOLUTION
        if not keep.any():
            break
        basis, new = np.hstack([basis, left[:, keep]]), A @ left[:, keep]
        strengths.extend(singular[keep])
    return basis, np.array(strengths)


# The curves


def _enough_delays(eigenvalues, tol) -> int:
    """Refuse what would not end: the slowest mode alone decays as radius^(2k)."""
    radius = np.abs(eigenvalues).max(initial=0.0)
    if radius > 0 and np.log(tol) / (2 * np.log(radius)) > MOST_DELAYS:
        raise ValueError(f"max_delay must be given, got None with a mode of modulus {radius:.12g} that never fades")
    return MOST_DELAYS


def _cascade_curve(eigenvalues, tol, limit) -> np.ndarray:
    """Run the all-pass sections until the curve has summed to their number, or fades below rounding."""
    sections = np.zeros(len(eigenvalues), complex)
    parts: list[np.ndarray] = []
    length, missing = 0, float(len(eigenvalues))
    while length < limit and missing > tol and not (parts and parts[-1][-1] < 1e-17):
        part = np.empty(min(max(256, length), limit - length))
        _allpass_cascade(eigenvalues, sections, length == 0, part)
        parts.append(part)
        length += len(part)
        missing -= part.sum()
    return _trim(np.concatenate(parts), len(eigenvalues), tol) if parts else np.zeros(1)


def _trim(curve, total, tol) -> np.ndarray:
    """Return the curve up to the delay from which less than `tol` is missing."""
    enough = np.cumsum(curve) >= total - tol
    return curve[: int(enough.argmax()) + 1] if enough.any() else curve


def _noisy_curve(A, C, L, total, tol, limit) -> np.ndarray:
    parts: list[np.ndarray] = []
    length, missing, column = 0, total, C
    while length < limit and missing > tol and not (parts and parts[-1].sum() < 1e-17):
        columns = []
        for _ in range(min(64, limit - length)):
            columns.append(column)
            column = A @ column
        z = solve_triangular(L, np.hstack(columns), lower=True, overwrite_b=True)
        parts.append((z * z).sum(axis=0).reshape(len(columns), -1).sum(axis=1))
        length += len(columns)
        missing -= parts[-1].sum()
    return _trim(np.concatenate(parts), total, tol)


def _accumulate(A, Q) -> np.ndarray:
    """Return the sum over j of A^j Q A'^j by doubling (Smith): symmetric, and no matrix is inverted."""
    total = Q
    while True:
        step = A @ total @ A.T
        if np.linalg.norm(step) <= np.finfo(float).eps * np.linalg.norm(total):
            return total
        total = total + (step + step.T) / 2
        A = A @ A


def _observation_variance(G, noise_variance, snr_db) -> float:
    if (noise_variance is None) == (snr_db is None):
        raise ValueError(f"give either noise_variance or snr_db, got {noise_variance} and {snr_db}")
    if snr_db is None:
        return as_non_negative_float("noise_variance", noise_variance)
    return float(np.trace(G) / len(G) * 10 ** (-as_finite_float("snr_db", snr_db) / 10))


@njit(cache=True, nogil=True, error_model="numpy")
def _allpass_cascade(eigenvalues, sections, from_start, out):
    """Fill `out` with further values of the curve; `sections` holds the state of the cascade."""
    for t in range(out.size):
        signal = 1.0 + 0.0j if from_start and t == 0 else 0.0j
        leverage = 0.0
        for k in range(eigenvalues.size):
            pole, old = eigenvalues[k], sections[k]
            new = pole * old + signal
            sections[k] = new
            signal = old - pole.conjugate() * new
            radius = abs(pole)
            leverage += (1.0 - radius) * (1.0 + radius) * (new.real * new.real + new.imag * new.imag)
        out[t] = leverage
