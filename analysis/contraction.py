"""Certificates that a network contracts: norms in which every step brings any two states closer, whatever the input."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy  # its parts load at first use

from penstock.checks import as_finite_array, as_positive_float
from penstock.lure import LureBlock
from penstock.scaling import spectral_radius
from penstock.threads import one_blas_thread

__all__ = ["Certificate", "ContinuousCertificate", "contraction_certificate"]

EPS = float(np.finfo(float).eps)
REFINED = 200  # units up to which scalings and rates are optimised: beyond, one decomposition takes too long
CERTIFIED = 1 - 1e-12  # rates below it contract, whatever the rounding of a norm
RATE_TOLERANCE = 1e-3  # of the bisections for a rate


@dataclass(frozen=True, eq=False, repr=False)
class Certificate:
    """A norm ‖L x‖ in which one step brings any two states closer by at least the factor `rate`, for every input.

    ‖L (F(x, u) - F(y, u))‖ <= rate ‖L (x - y)‖ for all x, y and u, whatever the biases.

    Attributes
    ----------
    kind : str
        Where the norm comes from.
    rate : float
        Largest growth per step of a distance; the system contracts if it is below 1.
    transform : array, shape (n,) or (n, n)
        L; a vector stands for a diagonal matrix.
    order : float
        2 for the Euclidean norm of L x, inf for its largest entry.
    """

    kind: str
    rate: float
    transform: np.ndarray
    order: float

    def distance(self, x, y):
        """Return ‖L (x - y)‖ for states of shape (n,) or a series (T, n) of them."""
        difference = np.asarray(x, np.float64) - np.asarray(y, np.float64)
        scaled = difference * self.transform if self.transform.ndim == 1 else difference @ self.transform.T
        return np.linalg.norm(scaled, self.order, axis=-1)

    def __repr__(self):
        return f"Certificate: {self.kind}, distances shrink at least by {self.rate:.4g} per step, for every input"


class Sector(NamedTuple):
    """x' = A x + B f(C x + drive) with the slopes of f in [0, 1]; `joint` is B C if B D C = D B C or B C D."""

    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    joint: np.ndarray | None

    @property
    def centre(self):
        """The Jacobian in the middle of the slopes; all others differ from it by B Δ C / 2, Δ diagonal in [-1, 1]."""
        return self.A + 0.5 * (self.B @ self.C)

    @property
    def envelope(self):
        """The largest modulus of every entry of the Jacobian (a bound of it if B and C are both full)."""
        spread = np.abs(self.joint) if self.joint is not None else np.abs(self.B) @ np.abs(self.C)
        return np.abs(self.centre) + 0.5 * spread


def as_sector(block: LureBlock) -> Sector:
    """Move the slopes of a block to [0, 1], and a diagonal B or C into its partner."""
    A, B, C = (np.asarray(matrix, np.float64) for matrix in block[:3])
    low, high = block.slopes
    A, B, n = A + low * (B @ C), (high - low) * B, len(A)
    if B.shape == (n, n) and _is_diagonal(B):
        C = np.diagonal(B)[:, None] * C
        return Sector(A, np.eye(n), C, C)
    if C.shape == (n, n) and _is_diagonal(C):
        B = B * np.diagonal(C)
        return Sector(A, B, np.eye(n), B)
    return Sector(A, B, C, None)


def published_norm(block: LureBlock) -> float:
    """Return ‖A‖ + slope ‖B‖ ‖C‖: (1 - a) + a ‖W‖ of a leaky network, alpha + beta ‖W‖ of a residual one."""
    return _norm(block.A) + max(map(abs, block.slopes)) * _norm(block.B) * _norm(block.C)


def certificates(block: LureBlock, quadratic_up_to: int = 500) -> Iterator[Certificate]:
    """Yield the norms that are known to hold, in this order: Euclidean, row sums, weighted rows, scaled, quadratic.

    The last is left out if there is none, and of more than 200 units if there are more than `quadratic_up_to` or
    another norm is certified already (`searches_quadratic`).
    """
    sector = as_sector(block)
    ones = np.ones(len(sector.A))
    euclidean = _euclidean(sector, ones)  # by the triangle inequality never above the published one
    yield Certificate("Euclidean norm", euclidean, ones, 2)
    envelope = sector.envelope
    rows = float(envelope.sum(axis=1).max())
    yield Certificate("row sums", rows, ones, np.inf)
    right, left = perron_vector(envelope), perron_vector(envelope.T)
    weighted = float((envelope @ right / right).max())
    yield Certificate("weighted row sums", weighted, 1 / right, np.inf)
    scaling, rate = _best_scaling(sector, np.sqrt(left / right), euclidean)
    yield Certificate("scaled Euclidean norm", rate, scaling, 2)
    if searches_quadratic(len(ones), min(euclidean, rows, weighted, rate), quadratic_up_to):
        quadratic = _quadratic(sector, scaling, rate)
        if quadratic is not None:
            yield quadratic


def searches_quadratic(n_units, rate, quadratic_up_to) -> bool:
    """Whether a quadratic form is looked for, given the least rate of the other norms."""
    return n_units <= REFINED or (rate >= CERTIFIED and n_units <= quadratic_up_to)


def perron_vector(matrix):
    """Return v > 0 with the largest (M v)_i / v_i next to the spectral radius of a non-negative M.

    Powers of a dense M get there in a few steps. Else v = (r - M)^-1 1 is positive for every r above the radius, and
    then M v < r v; repeated, it is the Perron vector.
    """
    n, size = len(matrix), float(matrix.sum(axis=1).max())
    best = np.ones(n)
    if size == 0:
        return best
    v = best
    for _ in range(40):
        image = matrix @ v
        if not image.min() > 1e-12 * image.max():
            break
        ratios, v = image / v, image / image.max()
        if np.ptp(ratios) <= 4 * EPS * ratios.max():
            return v
    radius = spectral_radius(matrix)
    for margin in (1e-9, 1e-6, 1e-3, 1e-1):
        factor = scipy.linalg.lu_factor((radius + margin * size) * np.eye(n) - matrix, check_finite=False)
        v = np.ones(n)
        for _ in range(3):
            v = scipy.linalg.lu_solve(factor, v, check_finite=False)
            if not np.isfinite(v).all() or v.min() <= 1e-12 * v.max():
                break
            v /= v.max()
            if (matrix @ v / v).max() < (matrix @ best / best).max():
                best = v
    return best


def _euclidean(sector, s) -> float:
    """Return a bound of ‖S J S^-1‖ over all slopes: the better of the centred one and that of the envelope."""
    if sector.joint is not None and not sector.A.any():
        return _norm(s[:, None] * sector.joint / s)  # the centre is half of it, and the envelope no better
    envelope = _norm(s[:, None] * sector.envelope / s)
    centre = _norm(s[:, None] * sector.centre / s)
    if sector.joint is not None:
        return min(envelope, centre + 0.5 * _norm(s[:, None] * sector.joint / s))
    B, C = s[:, None] * sector.B, sector.C / s
    columns, rows = np.linalg.norm(B, axis=0), np.linalg.norm(C, axis=1)
    t = np.sqrt(np.where((columns > 0) & (rows > 0), columns, 1) / np.where((columns > 0) & (rows > 0), rows, 1))
    spread = min(_norm(B / t) * _norm(t[:, None] * C), _norm(B) * _norm(C))
    return min(envelope, centre + 0.5 * spread)


def _best_scaling(sector, perron, euclidean):
    """Return the diagonal S of the least Euclidean bound found, and the bound.

    It is convex in ln S, and started from the best of the known ones. The Perron scaling makes the norm of the envelope
    equal to its spectral radius, so the result is never above it.
    """
    n = len(perron)
    balanced = 1 / scipy.linalg.matrix_balance(sector.envelope, permute=False, separate=True)[1][0]
    known = [np.ones(n), balanced, perron]
    bounds = [euclidean, _euclidean(sector, balanced), _euclidean(sector, perron)]
    best, least = known[int(np.argmin(bounds))], min(bounds)
    if n > REFINED or sector.joint is None or _floor(sector) >= 1:
        return best, least
    parts = [(1.0, sector.joint)]
    if np.abs(sector.A).max() > 0:  # otherwise the centre is half of the joint matrix
        parts = [(1.0, sector.centre), (0.5, sector.joint)]
    logs = np.log(best)
    for power in (8, 32, 128):  # Schatten norms: smooth, and closer and closer to the largest singular value
        logs = scipy.optimize.minimize(
            _smooth_norm, logs, args=(parts, power), jac=True, method="L-BFGS-B", options={"maxiter": 40}
        ).x
        found = np.exp(logs - logs.mean())
        if np.isfinite(found).all() and (bound := _euclidean(sector, found)) < least:
            best, least = found, bound
    return best, least


def _floor(sector) -> float:
    """Return a rate that no norm undercuts: the largest spectral radius with equal slopes of 0, 1/2 and 1."""
    return max(spectral_radius(sector.A + d * (sector.B @ sector.C)) for d in (0.0, 0.5, 1.0))


def _smooth_norm(logs, parts, power):
    """Return the sum of the Schatten norms of the scaled parts and its gradient by ln S."""
    total, slope = 0.0, np.zeros_like(logs)
    for weight, matrix in parts:
        U, sigma, Vt = np.linalg.svd(matrix * np.exp(logs[:, None] - logs))
        if sigma[0] == 0:
            continue
        shares = (sigma / sigma[0]) ** power
        norm = weight * sigma[0] * shares.sum() ** (1 / power)
        total += norm
        slope += norm * ((U**2 - Vt.T**2) @ (shares / shares.sum()))
    return total, slope


def _quadratic(sector, scaling, upper):
    """Return the certificate of the circle criterion with the least rate, None if there is none to be had.

    Of a large network only rates below 1 are looked for, and coarsely.
    """
    large = len(scaling) > REFINED
    if upper <= 0:
        return None
    multipliers = [np.ones(len(sector.C))]
    if sector.joint is not None:
        multipliers.insert(0, scaling**2)  # with it the criterion is never worse than the scaled norm
    high = upper * (1 + 1e-6)  # a bound may be met without margin
    high = min(high, 1 - 1e-9) if large else high
    if not any(_may_have_metric(sector, m, high) for m in multipliers) or (low := _floor(sector)) >= 1:
        return None
    found = _first_metric(sector, multipliers, high)
    best = high
    while found is not None and high - low > (50 if large else 1) * RATE_TOLERANCE * high:
        rate = 0.5 * (low + high)
        P = _first_metric(sector, multipliers, rate)
        low, high = (rate, high) if P is None else (low, rate)
        found, best = (found, best) if P is None else (P, rate)
    return None if found is None else Certificate("quadratic form", best, np.linalg.cholesky(found).T, 2)


def _first_metric(sector, multipliers, rate):
    return next((P for m in multipliers if (P := _metric(sector, m, rate)) is not None), None)


def _may_have_metric(sector, multiplier, rate) -> bool:
    """Whether 2 Λ - Λ G - G' Λ > 0 at the frequencies 0 and 1/2, G = C (z - A)^-1 B: necessary, and quickly checked."""
    for z in (rate, -rate):
        try:
            response = sector.C @ np.linalg.solve(z * np.eye(len(sector.A)) - sector.A, sector.B)
        except np.linalg.LinAlgError:
            return False  # an eigenvalue of A of this modulus
        weighted = multiplier[:, None] * response
        if not _is_positive(2 * np.diag(multiplier) - weighted - weighted.T):
            return False
    return True


def _metric(sector, multiplier, rate):
    """Return P > 0 with ‖x' - y'‖_P <= rate ‖x - y‖_P for all inputs, checked beyond rounding; None if not found.

    For slopes in [0, 1] the increments obey w_i (C x - w)_i >= 0. Hence the matrix inequality
    [[A' P A - P, A' P B + C' Λ], [., B' P B - 2 Λ]] < 0 with any diagonal Λ > 0 suffices (A and B divided by the
    rate). The Riccati equation of its Schur complement is solved by doubling.
    """
    if not _may_have_metric(sector, multiplier, rate):
        return None
    A, B, C = sector.A / rate, sector.B / rate, sector.C
    n = len(A)
    reward = C.T @ (multiplier[:, None] * C) / 2
    reward += 1e-7 * (np.trace(reward) / n or 1.0) * np.eye(n)
    F, G, P = A + 0.5 * (B @ C), (B / (2 * multiplier)) @ B.T, reward
    for _ in range(30):
        step = np.linalg.norm(F)
        # P only grows on its way, so that the lower right corner of the inequality, once violated, stays so
        if not step < 1e50 or (_diagonal_of(B, P) >= 2 * multiplier).any():
            return None
        if step < 1e-9:
            break
        try:
            solved = np.linalg.solve(np.eye(n) - G @ P, np.hstack([F, G @ F.T]))
        except np.linalg.LinAlgError:
            return None
        G, P, F = G + F @ solved[:, n:], P + F.T @ P @ solved[:, :n], F @ solved[:, :n]
        G, P = 0.5 * (G + G.T), 0.5 * (P + P.T)
    return P if _holds(A, B, C, P, multiplier) else None


def _diagonal_of(B, P):
    """The diagonal of B' P B."""
    return np.diagonal(B) ** 2 * np.diagonal(P) if _is_diagonal(B) else np.einsum("ij,ij->j", B, P @ B)


def _holds(A, B, C, P, multiplier) -> bool:
    """Whether P > 0 and the inequality hold beyond the rounding of their products, bounded by absolute row sums."""
    if not np.isfinite(P).all() or not _is_positive(P):
        return False
    both = np.hstack([A, B])
    inequality = both.T @ P @ both
    size = np.abs(both.T) @ (np.abs(P) @ np.abs(both).sum(axis=1))
    cross, n = C.T * multiplier, len(A)
    inequality[:n, :n] -= P
    inequality[:n, n:] += cross
    inequality[n:, :n] += cross.T
    inequality[n:, n:] -= 2 * np.diag(multiplier)
    size[:n] += np.abs(P).sum(axis=1) + np.abs(cross).sum(axis=1)
    size[n:] += np.abs(cross).sum(axis=0) + 2 * multiplier
    return _is_positive(-inequality, 2 * EPS * len(inequality) * float(size.max()))


def _is_positive(matrix, margin=0.0) -> bool:
    """Whether a symmetric matrix, less `margin` and the rounding of its Cholesky factor, is positive definite."""
    margin += EPS * float(np.abs(np.diagonal(matrix)).sum())
    try:
        np.linalg.cholesky(matrix - margin * np.eye(len(matrix)))
    except np.linalg.LinAlgError:
        return False
    return True


@dataclass(frozen=True, eq=False, repr=False)
class ContinuousCertificate:
    """Whether tau dx/dt = -x + W phi(x) + u contracts for every input, and the diagonal metric that shows it.

    Attributes
    ----------
    certified : bool
        Whether the rate is above 0.
    rate : float
        Distances in the metric shrink at least like exp(-rate t), t in the unit of tau; not above 0: no statement.
    P : array, shape (n,)
        Diagonal of the metric: the distance is the root of sum_i P_i (x_i - y_i)^2.
    condition : str
        The condition that gave it.
    spectral_abscissa : float
        Largest real part of g |W| - I without its negative self-connections; below 0 means Hurwitz.
    scaled_norm : float
        g ‖P^1/2 W P^-1/2‖ of the metric.
    slope, tau : float
        g, the largest slope of phi, and the time constant.
    """

    certified: bool
    rate: float
    P: np.ndarray
    condition: str
    spectral_abscissa: float
    scaled_norm: float
    slope: float
    tau: float

    def __repr__(self):
        verdict = (
            f"contracts for every input, rate {self.rate:.4g} per unit of time ({self.condition})"
            if self.certified
            else "undecided: neither condition holds"
        )
        return (
            f"ContinuousCertificate: {verdict}\n"
            f"  slope {self.slope:g}, tau {self.tau:g}, {len(self.P)} units\n"
            f"  g |W| - I    largest real part {self.spectral_abscissa:.4g}\n"
            f"  scaled norm  {self.scaled_norm:.4g}"
        )


@one_blas_thread
def contraction_certificate(W, *, slope: float = 1.0, tau: float = 1.0) -> ContinuousCertificate:
    """Find a diagonal metric in which tau dx/dt = -x + W phi(x) + u contracts for every input.

    Two conditions are tried, for slopes of phi between 0 and g: g |W| - I Hurwitz (absolute values entrywise, negative
    self-connections set to 0), where P_i = l_i / r_i with r = -M^-1 1 and l = -M^-T 1 solves P M + M^T P < 0; and
    g ‖P^1/2 W P^-1/2‖ < 1, minimised over P. The metric is checked by eigenvalues before it is returned. The same
    certificate holds for phi(W x + u) in place of W phi(x) + u.

    Parameters
    ----------
    W : array, shape (n, n)
        Recurrent weights, W[i, j] from unit j to unit i.
    slope : float
        Largest slope g of phi; its least is 0. 1 for tanh and relu, 1/4 for the sigmoid.
    tau : float
        Time constant.

    Returns
    -------
    ContinuousCertificate
        Metric and rate; `certified` tells whether there is one.

    Raises
    ------
    ValueError, TypeError
        If W is not a square matrix of finite numbers, or slope or tau is not above 0.

    References
    ----------
    L. Kozachkov, M. Ennis, J.-J. Slotine, RNNs of RNNs: recursive construction of stable assemblies of recurrent
    neural networks, NeurIPS 2022.

    Examples
    --------
    >>> contraction_certificate([[0.0, 8.0], [0.1, 0.0]])  # |W| has radius sqrt(0.8) = 0.894
    ContinuousCertificate: contracts for every input, rate 0.1056 per unit of time (g |W| - I Hurwitz)
      slope 1, tau 1, 2 units
      g |W| - I    largest real part -0.1056
      scaled norm  0.8944
    """
    W = as_finite_array("W", W, ndim=2)
    if W.shape[0] != W.shape[1] or not len(W):
        raise ValueError(f"W must be square and not empty, got shape {W.shape}")
    slope, tau = as_positive_float("slope", slope), as_positive_float("tau", tau)
    metzler = slope * np.abs(W) - np.eye(len(W))
    np.fill_diagonal(metzler, slope * np.maximum(np.diagonal(W), 0) - 1)
    absolute = metzler + np.eye(len(W))
    right, left = perron_vector(absolute), perron_vector(absolute.T)
    perron = np.sqrt(left / right)
    sector = Sector(np.zeros_like(W), np.eye(len(W)), slope * W, slope * W)
    scaling, _ = _best_scaling(sector, perron, _norm(sector.joint))
    by_rows = -_largest_symmetric(perron[:, None] * metzler / perron)
    by_norm = 1 - _norm(scaling[:, None] * slope * W / scaling)
    s, rate, condition = max(
        [(perron, by_rows, "g |W| - I Hurwitz"), (scaling, by_norm, "scaled norm below 1/g")], key=_rate_first
    )
    return ContinuousCertificate(
        certified=bool(rate > len(W) * EPS * _norm(metzler)),
        rate=float(rate / tau),
        P=s**2,
        condition=condition,
        spectral_abscissa=spectral_radius(absolute) - 1,
        scaled_norm=_norm(s[:, None] * slope * W / s),
        slope=slope,
        tau=tau,
    )


def _rate_first(choice) -> float:
    return choice[1]


def _largest_symmetric(matrix) -> float:
    """Return the largest eigenvalue of the symmetric part: the growth rate of the Euclidean norm."""
    return float(np.linalg.eigvalsh(0.5 * (matrix + matrix.T))[-1])


def _norm(matrix) -> float:
    """Return the largest singular value."""
    if matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] and _is_diagonal(matrix):
        return float(np.abs(np.diagonal(matrix)).max(initial=0.0))
    return float(np.linalg.norm(matrix, 2)) if matrix.size else 0.0


def _is_diagonal(matrix) -> bool:
    return np.count_nonzero(matrix) == np.count_nonzero(np.diagonal(matrix))
