"""Recurrent modules that contract for every input, each with the metric that proves it."""

from dataclasses import dataclass

import numpy as np
import scipy  # its parts load at first use

from penstock.checks import as_finite_array, as_fraction, as_int, as_non_negative_float, as_positive_float, generators
from penstock.reservoirs.certificates import EPS, growth, least_multiple
from penstock.reservoirs.esn import set_fields
from penstock.scaling import spectral_radius
from penstock.threads import one_blas_thread
from penstock.weights import orthogonal, sparse

__all__ = [
    "StableModule",
    "absolute_value_metric",
    "singular_value_metric",
    "sparse_module",
    "stable_module",
    "svd_module",
    "symmetric_metric",
    "symmetric_module",
]

FLOOR = 0.01  # of 1 - rate of symmetric weights: nearer to 1 the metric of a negative definite W would degenerate
WIDENING = 100.0  # of the range of a diagonal metric, up to which a better rate is taken


@dataclass(frozen=True, eq=False, repr=False)
class StableModule:
    """Hold weights W and the metric P in which tau x' = -x + W phi(x) + input contracts.

    Two states under the same input approach each other: (x - y)^T P (x - y) shrinks at least like exp(-2 rate t / tau),
    whatever the input, for every phi with slopes between 0 and `slope`. Made by `svd_module`, `sparse_module`,
    `symmetric_module` and `stable_module`.

    Attributes
    ----------
    W : array, shape (n, n)
        Recurrent weights.
    metric : array, shape (n, n)
        Symmetric positive definite P.
    rate : float
        Contraction rate per tau, proven beyond rounding. Not above 0: nothing is claimed.
    condition : str
        The condition that was checked: "absolute value", "symmetric" or "singular value".
    slope : float
        Largest slope g of phi.
    """

    W: np.ndarray
    metric: np.ndarray
    rate: float
    condition: str
    slope: float

    def __post_init__(self):
        W, slope = _as_weights(self.W, self.slope)
        metric = as_finite_array("metric", self.metric, ndim=2)
        if metric.shape != W.shape:
            raise ValueError(f"metric must have shape {W.shape} like W, got {metric.shape}")
        W, metric = W.copy(), metric.copy()
        W.flags.writeable = metric.flags.writeable = False
        set_fields(self, W=W, metric=metric, slope=slope)

    @property
    def n_units(self) -> int:
        """Number of units n."""
        return len(self.W)

    @property
    def certified(self) -> bool:
        """Whether the module contracts by this condition."""
        return bool(self.rate > 0)

    def __repr__(self):
        verdict = f"contracts at rate {self.rate:.4g} per tau" if self.certified else f"NOT CERTIFIED ({self.rate:.4g})"
        return (
            f"StableModule: {self.n_units} units, {verdict}, condition: {self.condition}, slopes up to {self.slope:g}"
        )


# --- drawing modules ------------------------------------------------------------------------------------------------


@one_blas_thread
def svd_module(n_units: int, *, gain: float = 0.9, spread: float = 0.5, slope: float = 1.0, seed) -> StableModule:
    """Draw a module by its singular values: W = Phi^-1 U S V^T Phi, which contracts in the metric Phi^2.

    U and V are random orthogonal, the singular values S_i = s exp(-z_i^2) with z_i normal and s such that the largest
    is gain / slope, and Phi_i = exp(spread z'_i). Then ``slope ‖P^1/2 W P^-1/2‖ = gain`` < 1, while the plain norm of W
    may be far above 1.

    Parameters
    ----------
    n_units : int
        Number of units.
    gain : float
        Largest scaled singular value times `slope`, in (0, 1); the contraction rate is 1 - gain per tau.
    spread : float
        Standard deviation of ln Phi; 0 makes the plain norm the measure.
    slope : float
        Largest slope g of the activation: 1 for tanh and relu, 1/4 for the sigmoid.
    seed : int or SeedSequence
        Seed of U, V, S and Phi.

    Returns
    -------
    StableModule

    Raises
    ------
    ValueError, TypeError
        If a setting lies outside its range.

    References
    ----------
    L. Kozachkov, M. Ennis, J.-J. Slotine, RNNs of RNNs: recursive construction of stable assemblies of recurrent
    neural networks, NeurIPS 2022 (arXiv 2106.08928), "SVD combo net".

    Examples
    --------
    >>> svd_module(8, gain=0.9, seed=0)
    StableModule: 8 units, contracts at rate 0.1 per tau, condition: singular value, slopes up to 1
    """
    n, gain, slope = as_int("n_units", n_units), _as_gain(gain), as_positive_float("slope", slope)
    spread = as_non_negative_float("spread", spread)
    rng, for_U, for_V = generators(seed, 3)
    decay, z = np.exp(-(rng.standard_normal(n) ** 2)), rng.standard_normal(n)
    singular = gain / slope * decay / decay.max()
    U, V = (orthogonal(n, seed=int(one.integers(2**63))) for one in (for_U, for_V))
    with np.errstate(all="ignore"):
        phi = np.exp(spread * z)
        W, metric = (U * singular) @ V.T * (phi / phi[:, None]), np.diag(phi**2)
    _check_spread(spread, W, metric)
    return _by_singular_values(W, metric, slope)


@one_blas_thread
def sparse_module(n_units: int, *, density: float = 0.1, gain: float = 0.9, slope: float = 1.0, seed) -> StableModule:
    """Draw a sparse module by its absolute values: the spectral radius of g |W| is `gain`.

    round(density n^2) weights at random positions, uniform in ±1 before the scaling. Negative self-connections count as
    0 in |W|. Without any cycle the weights are left as drawn: the radius is 0 whatever their size.

    Parameters
    ----------
    n_units : int
        Number of units.
    density : float
        Fraction of non-zero weights, in (0, 1].
    gain : float
        Spectral radius of g |W|, in (0, 1); the contraction rate is 1 - gain per tau, or somewhat less where units
        do not all reach each other and the exact rate would cost an ill-conditioned metric.
    slope : float
        Largest slope g of the activation.
    seed : int or SeedSequence
        Seed of positions and weights.

    Returns
    -------
    StableModule

    Raises
    ------
    ValueError, TypeError
        If a setting lies outside its range.

    References
    ----------
    Kozachkov, Ennis, Slotine (2022), "Sparse combo net".

    Examples
    --------
    >>> sparse_module(32, density=0.1, gain=0.8, seed=0).condition
    'absolute value'
    """
    n, gain, slope = as_int("n_units", n_units), _as_gain(gain), as_positive_float("slope", slope)
    W = sparse(n, density=as_fraction("density", density), seed=seed).toarray()
    radius = spectral_radius(_magnitudes(W, slope))
    return absolute_value_metric(W * (gain / radius) if radius > 0 else W, slope=slope)


@one_blas_thread
def symmetric_module(n_units: int, *, gain: float = 0.9, spread: float = 0.5, slope: float = 1.0, seed) -> StableModule:
    """Draw a symmetric module: g W = gain - (A^T A - least eigenvalue of it), with A normal.

    Its largest eigenvalue is gain / slope, its least may lie far below -1.

    Parameters
    ----------
    n_units : int
        Number of units.
    gain : float
        Largest eigenvalue of g W, in (0, 1); the contraction rate is 1 - gain per tau.
    spread : float
        Standard deviation of the entries of A is ``spread / sqrt(n_units)``: the eigenvalues of g W reach down to about
        ``gain - 4 spread^2``.
    slope : float
        Largest slope g of the activation.
    seed : int or SeedSequence
        Seed of A.

    Returns
    -------
    StableModule

    Raises
    ------
    ValueError, TypeError
        If a setting lies outside its range.

    References
    ----------
    Kozachkov, Ennis, Slotine (2022), theorem on symmetric weights.

    Examples
    --------
    >>> symmetric_module(16, gain=0.5, seed=0)
    StableModule: 16 units, contracts at rate 0.5 per tau, condition: symmetric, slopes up to 1
    """
    n, gain, slope = as_int("n_units", n_units), _as_gain(gain), as_positive_float("slope", slope)
    spread = as_non_negative_float("spread", spread)
    A = spread / np.sqrt(n) * generators(seed, 1)[0].standard_normal((n, n))
    with np.errstate(all="ignore"):
        gram = A.T @ A
    _check_spread(spread, gram)
    gram -= np.linalg.eigvalsh(gram)[0] * np.eye(n)
    W = (gain * np.eye(n) - 0.5 * (gram + gram.T)) / slope
    return symmetric_metric(W, slope=slope)


def _as_gain(gain):
    gain = as_positive_float("gain", gain)
    if gain >= 1:
        raise ValueError(f"gain must lie below 1, where modules contract, got {gain}")
    return gain


def _check_spread(spread, *drawn):
    if not all(np.isfinite(matrix).all() for matrix in drawn):
        raise ValueError(f"spread must leave weights and metric finite, got {spread}; 0.5 is usual")


# --- proving that given weights contract ----------------------------------------------------------------------------


@one_blas_thread
@np.errstate(all="ignore")  # what overflows is not certified
def absolute_value_metric(W, *, slope: float = 1.0) -> StableModule:
    """Check the absolute-value condition: g |W| - I is Hurwitz, its negative self-connections set to 0.

    Let N = g |W|, with r = (s - N)^-1 1 and l = (s - N)^-T 1 for an s just above the spectral radius of N. Both are
    positive (M-matrix), N r < s r and N^T l < s l, and P = diag(l / r) makes P (N - I) + (N - I)^T P < -2 (1 - s) P:
    that symmetric matrix has no negative entry off its diagonal and sends the positive vector r to a negative one.
    Every Jacobian -I + W D has entries below those of N - I (off the diagonal in absolute value), so the rate 1 - s
    holds for all of them.

    Parameters
    ----------
    W : array, shape (n, n)
        Recurrent weights.
    slope : float
        Largest slope g of the activation.

    Returns
    -------
    StableModule
        Not `certified` where the condition fails.

    Raises
    ------
    ValueError, TypeError
        If W is not a square matrix of finite numbers, or slope is not above 0.

    Examples
    --------
    >>> absolute_value_metric([[-5.0, 8.0], [0.1, 0.0]])  # |W| counts as radius sqrt(0.8) = 0.894
    StableModule: 2 units, contracts at rate 0.1056 per tau, condition: absolute value, slopes up to 1
    """
    W, slope = _as_weights(W, slope)
    N, n = _magnitudes(W, slope), len(W)
    radius, best, P, widest = spectral_radius(N), -np.inf, np.eye(n), np.inf
    for margin in (0.5, 0.25, 0.1, 0.03, 1e-2, 1e-3, 1e-6, 1e-9):
        r, left = positive_vectors(N, radius + margin * (1 - radius if radius < 1 else radius))
        p = left / r / np.mean(left / r)
        if not (p.min() > 0 and p.max() < widest * p.min()):
            break  # units that do not all reach each other: the rest of the rate would cost too much conditioning
        widest = min(widest, WIDENING * p.max() / p.min())
        product = p[:, None] * (N - np.eye(n))
        rate = -least_multiple(0.5 * (product + product.T), np.diag(p), np.abs(product + product.T))
        if rate > best:
            best, P = rate, np.diag(p)
    return StableModule(W, P, best, "absolute value", slope)


@one_blas_thread
@np.errstate(all="ignore")  # what overflows is not certified
def symmetric_metric(W, *, slope: float = 1.0) -> StableModule:
    """Check the condition for symmetric weights: g W < I.

    With k the largest eigenvalue of g W, the rate is 1 - k in the metric P = (2 k - g W)^-1. Proof: the increments
    w = phi(x) - phi(y), e = x - y obey w_i (g e_i - w_i) >= 0, so d/dt e^T P e + 2 (1 - k) e^T P e is at most the
    quadratic form of [[-2 k P, P g W + I], [., -2 I]] in (e, w / g). P commutes with W, so that eigenvalue by
    eigenvalue it is negative where (p w + 1)^2 <= 4 k p; with p = 1 / (2 k - w) that is w <= k. The rate is the best
    possible: it is met at slopes g. k is not taken below 0.01.

    Parameters
    ----------
    W : array, shape (n, n)
        Symmetric recurrent weights.
    slope : float
        Largest slope g of the activation.

    Returns
    -------
    StableModule
        Not `certified` where the condition fails.

    Raises
    ------
    ValueError, TypeError
        If W is not symmetric or slope is not above 0.

    Examples
    --------
    >>> symmetric_metric([[-3.0, 2.0], [2.0, -1.0]])  # eigenvalues 0.236 and -4.236
    StableModule: 2 units, contracts at rate 0.7639 per tau, condition: symmetric, slopes up to 1
    """
    W, slope = _as_weights(W, slope)
    if not _is_symmetric(W):
        raise ValueError(f"W must be symmetric, got a largest difference of {np.abs(W - W.T).max():.3g} from W^T")
    W = 0.5 * (W + W.T)
    w, Q = np.linalg.eigh(slope * W)
    P = (Q / (2 * max(w[-1], FLOOR) - w)) @ Q.T
    P = 0.5 * (P + P.T)
    Y = P @ (slope * W) + np.eye(len(W))
    size = (np.abs(P) @ np.abs(slope * W) + np.eye(len(W))) @ np.abs(Y.T)
    return StableModule(W, P, 1 - least_multiple(0.25 * Y @ Y.T, P, size), "symmetric", slope)


@one_blas_thread
@np.errstate(all="ignore")  # what overflows is not certified
def singular_value_metric(W, *, slope: float = 1.0) -> StableModule:
    """Check the singular-value condition: g ‖P^1/2 W P^-1/2‖ < 1 for a diagonal P, sought by a descent.

    The Schatten norms of D W D^-1, convex in ln D, stand in for the largest singular value, which has kinks. Whatever
    the descent returns is a valid metric; only its rate depends on it.

    Parameters
    ----------
    W : array, shape (n, n)
        Recurrent weights.
    slope : float
        Largest slope g of the activation.

    Returns
    -------
    StableModule
        Not `certified` if no such P was found.

    Raises
    ------
    ValueError, TypeError
        If W is not a square matrix of finite numbers, or slope is not above 0.

    Examples
    --------
    >>> singular_value_metric([[0.0, 9.0], [-0.05, 0.0]])  # scaled: sqrt(9 * 0.05) = 0.67
    StableModule: 2 units, contracts at rate 0.3292 per tau, condition: singular value, slopes up to 1
    """
    W, slope = _as_weights(W, slope)
    r, left = positive_vectors(np.abs(W), (1 + 1e-3) * max(spectral_radius(np.abs(W)), EPS))
    balanced = 1 / scipy.linalg.matrix_balance(W, permute=False, separate=True)[1][0]
    known = [d for d in (np.ones(len(W)), balanced, np.sqrt(left / r)) if np.isfinite(d).all() and d.min() > 0]
    best = min(known, key=lambda d: _scaled_norm(W, d))
    logs = np.log(best)
    for power in (8, 32, 128):
        logs = scipy.optimize.minimize(
            _schatten, logs, args=(W, power), jac=True, method="L-BFGS-B", options={"maxiter": 60}
        ).x
        best = min((best, np.exp(logs - logs.mean())), key=lambda d: _scaled_norm(W, d))
    return _by_singular_values(W, np.diag(best**2), slope)


@one_blas_thread
def stable_module(W, *, slope: float = 1.0) -> StableModule:
    """Return given weights with the metric of the condition under which they contract fastest.

    Parameters
    ----------
    W : array, shape (n, n)
        Recurrent weights.
    slope : float
        Largest slope g of the activation.

    Returns
    -------
    StableModule
        Not `certified` if none of the conditions holds: W may contract all the same.

    Raises
    ------
    ValueError, TypeError
        If W is not a square matrix of finite numbers, or slope is not above 0.

    Examples
    --------
    >>> stable_module([[0.0, 2.0], [0.0, 0.0]]).certified, stable_module([[1.5]]).certified
    (True, False)
    """
    W, slope = _as_weights(W, slope)
    found = [absolute_value_metric(W, slope=slope), singular_value_metric(W, slope=slope)]
    if _is_symmetric(W):
        found.append(symmetric_metric(W, slope=slope))
    return max(found, key=lambda module: module.rate)


def _as_weights(W, slope):
    W = as_finite_array("W", W, ndim=2)
    if W.shape[0] != W.shape[1] or not len(W):
        raise ValueError(f"W must be square and not empty, got shape {W.shape}")
    return W, as_positive_float("slope", slope)


def _is_symmetric(W):
    return bool(np.abs(W - W.T).max() <= 8 * EPS * np.abs(W).max())


def _magnitudes(W, slope):
    """Return g |W| with negative self-connections set to 0."""
    N = slope * np.abs(W)
    np.fill_diagonal(N, slope * np.maximum(np.diagonal(W), 0))
    return N


def positive_vectors(N, s):
    """Return r = (s - N)^-1 1 and l = (s - N)^-T 1, which are positive for s above the spectral radius of N >= 0."""
    ones, matrix = np.ones(len(N)), s * np.eye(len(N)) - N
    with np.errstate(all="ignore"):
        try:
            return np.linalg.solve(matrix, ones), np.linalg.solve(matrix.T, ones)
        except np.linalg.LinAlgError:
            return np.full_like(ones, np.nan), np.full_like(ones, np.nan)


def _by_singular_values(W, P, slope):
    return StableModule(W, P, 1 - slope * growth(W, P), "singular value", slope)


def _scaled_norm(W, d):
    return float(np.linalg.norm(d[:, None] * W / d, 2))


def _schatten(logs, W, power):
    """Return the Schatten norm of D W D^-1 and its gradient by ln D."""
    U, sigma, Vt = np.linalg.svd(W * np.exp(logs[:, None] - logs))
    if sigma[0] == 0:
        return 0.0, np.zeros_like(logs)
    shares = (sigma / sigma[0]) ** power
    norm = sigma[0] * shares.sum() ** (1 / power)
    return norm, norm * ((U**2 - Vt.T**2) @ (shares / shares.sum()))
