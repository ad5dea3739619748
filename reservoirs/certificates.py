"""The proof that an assembly of stable networks contracts: matrix inequalities that hold beyond rounding."""

from dataclasses import dataclass

import numpy as np
import scipy  # its parts load at first use
import scipy.sparse as sp

from penstock.checks import as_finite_array
from penstock.threads import one_blas_thread

__all__ = ["AssemblyCertificate"]

EPS = float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False, repr=False)
class AssemblyCertificate:
    """Hold the proof, or its failure, that an assembly contracts for every input and bias.

    ‖F(x, u) - F(y, u)‖_M <= factor ‖x - y‖_M for all x, y and u, with ‖e‖_M^2 = e^T M e, beyond rounding.

    Attributes
    ----------
    verified : bool
        Whether the factor is below 1.
    factor : float
        Largest growth of a distance per step: the slowest module's times that of the couplings.
    rate : float
        -ln(factor) / dt: distances shrink at least like exp(-rate t).
    metric : array, shape (N, N)
        M, block diagonal. Modules that are only fed by others carry less weight.
    module_factors : array, shape (n_modules,)
        Contraction factor of one step of every module alone.
    conditions : tuple of str
        The condition behind each: "absolute value", "singular value" or, for metrics that are not diagonal,
        "circle criterion" (which covers symmetric weights); "none" where nothing was proven.
    coupling_growth : float
        ‖exp(dt L / tau)‖_M: 1 to rounding for balanced couplings, hardly above it with feed-forward ones.
    residual : float
        ‖M L + L^T M‖ / ‖M L‖ within the groups; rounding if the couplings are balanced.
    n_groups : int
        Groups of modules that reach each other in a circle; couplings between groups are feed-forward.
    """

    verified: bool
    factor: float
    rate: float
    metric: np.ndarray
    module_factors: np.ndarray
    conditions: tuple[str, ...]
    coupling_growth: float
    residual: float
    n_groups: int

    def distance(self, x, y):
        """Return ‖x - y‖_M for states of shape (N,) or series (T, N) of them."""
        n = len(self.metric)
        x, y = as_finite_array("x", x), as_finite_array("y", y)
        if x.shape[-1:] != (n,) or y.shape[-1:] != (n,):
            raise ValueError(f"x and y must have shape (…, {n}), got {x.shape} and {y.shape}")
        e = x - y
        return np.sqrt(np.maximum(np.sum((e @ self.metric) * e, axis=-1), 0.0))

    def __repr__(self):
        if self.verified:
            verdict = f"contracts for every input by {self.factor:.6g} per step, rate {self.rate:.4g} per unit of time"
        else:
            verdict = f"NOT CERTIFIED: {self._failure()}"
        kinds = ", ".join(f"{self.conditions.count(kind)} by {kind}" for kind in dict.fromkeys(self.conditions))
        return (
            f"AssemblyCertificate: {verdict}\n"
            f"  modules    {len(self.conditions)} ({kinds}), slowest factor {self.module_factors.max():.6g}\n"
            f"  couplings  growth 1{self.coupling_growth - 1:+.2g}, residual of M L + L^T M {self.residual:.2g}, "
            f"{self.n_groups} group{'s' if self.n_groups > 1 else ''}"
        )

    def _failure(self):
        loose = np.flatnonzero(self.module_factors >= 1)
        if len(loose):
            return f"module {loose[0]} has no factor below 1 in its metric at this dt (change dt, or scale it down)"
        return (
            f"the couplings may stretch distances by {self.coupling_growth:.4g} per step "
            "(balanced ones are L = B - M^-1 B^T M; see Assembly.of)"
        )


@one_blas_thread
@np.errstate(all="ignore")  # what overflows proves nothing
def certify(gain, L, E, metric, *, sizes, keep, slope, dt) -> AssemblyCertificate:
    """Prove that x -> E (keep x + gain f(x) + drive) contracts in the metric, slopes of f in [0, slope].

    Gain h W and metric are block diagonal with blocks of `sizes`; E is the exponential of the couplings L over dt.
    """
    parts, module = module_slices(sizes), module_of_unit(sizes)
    bounds = [_module_factor(slope * gain[part, part], metric[part, part], keep) for part in parts]
    factors = np.array([factor for factor, _ in bounds])
    groups = coupled_groups(L, sizes)
    settled, stretch = _settle(E, metric, _depths(L, sizes, groups)[module], factors.max())
    factor = float(factors.max() * stretch)
    return AssemblyCertificate(
        verified=factor < 1,
        factor=factor,
        rate=float(-np.log(factor) / dt),
        metric=settled,
        module_factors=factors,
        conditions=tuple(condition for _, condition in bounds),
        coupling_growth=stretch,
        residual=_imbalance(L, metric, groups[module]),
        n_groups=int(groups.max()) + 1,
    )


# --- how units are numbered ---------------------------------------------------------------------------------------


def module_slices(sizes):
    ends = np.cumsum(sizes)
    return [slice(int(end - n), int(end)) for n, end in zip(sizes, ends, strict=True)]


def module_of_unit(sizes):
    """Return the module of every unit; shape (N,)."""
    return np.repeat(np.arange(len(sizes)), sizes)


# --- the proof ------------------------------------------------------------------------------------------------------


def _module_factor(gain, P, keep) -> tuple[float, str]:
    """Return a proven f with ‖keep I + gain D‖_P <= f for all slopes D in [0, 1], and its condition."""
    if np.count_nonzero(P) > len(P):
        return _circle_factor(gain, P, keep) if keep < 1 else (np.inf, "none")
    envelope = np.abs(gain)  # of the Jacobian, entry by entry
    np.fill_diagonal(envelope, np.maximum(keep, np.abs(keep + np.diagonal(gain))))
    by_values, by_norm = growth(envelope, P), keep + growth(gain, P)
    return (by_values, "absolute value") if by_values < by_norm else (by_norm, "singular value")


def _circle_factor(gain, P, keep) -> tuple[float, str]:
    """Return the factor of the circle criterion: the least f with S(m) <= f^2 P for a multiplier m > 0.

    The increments w = f(x) - f(y) obey w_i (e_i - w_i) >= 0, the largest slope being part of the gain G, so that
    ‖keep e + G w‖_P^2 + 2 m w^T (e - w) <= f^2 ‖e‖_P^2 suffices. Maximised over w, its left side is e^T S e with
    S = keep^2 P + Y (2 m - G^T P G)^-1 Y^T and Y = keep P G + m. The least f^2 is convex in m.
    """
    gram, cross, identity = gain.T @ P @ gain, keep * P @ gain, np.eye(len(P))
    least = max(0.5 * float(np.linalg.eigvalsh(0.5 * (gram + gram.T))[-1]), np.finfo(float).tiny)

    def bound(log_ratio, proven=False):
        m = least + np.exp(log_ratio)
        try:
            factor = scipy.linalg.cholesky(2 * m * identity - gram, lower=True)
            Z = scipy.linalg.solve_triangular(factor, (cross + m * identity).T, lower=True)
            S = keep**2 * P + Z.T @ Z
            if not proven:
                return float(scipy.linalg.eigh(S, P, eigvals_only=True)[-1])
        except (np.linalg.LinAlgError, ValueError):  # the bracket is not positive, or not finite
            return np.inf
        condition = np.linalg.cond(factor) ** 2  # by which rounding of the bracket reaches S
        return least_multiple(S, P, condition * (np.abs(P) + np.abs(Z.T) @ np.abs(Z)))

    centre = np.log((1 - keep) * np.trace(P) / len(P))  # f h P is right in the metric of symmetric weights
    best = scipy.optimize.minimize_scalar(bound, bounds=(centre - 15, centre + 15), method="bounded").x
    rho = bound(best, proven=True)
    return (float(np.sqrt(rho)), "circle criterion") if np.isfinite(rho) else (np.inf, "none")


def coupled_groups(L, sizes):
    """Return the group of every module: those that reach each other along couplings in a circle."""
    places = module_slices(sizes)
    graph = np.array([[bool(L[i, j].any()) for j in places] for i in places])
    return scipy.sparse.csgraph.connected_components(sp.csr_array(graph.astype(np.int8)), connection="strong")[1]


def _depths(L, sizes, groups):
    """Return for every module the longest chain of groups that feeds it."""
    places, depth = module_slices(sizes), np.zeros(len(sizes))
    feeds = [
        (i, j)
        for i in range(len(sizes))
        for j in range(len(sizes))
        if groups[i] != groups[j] and L[places[i], places[j]].any()
    ]
    for _ in range(len(sizes)):  # longest paths of a graph without circles
        for i, j in feeds:
            depth[groups == groups[i]] = max(depth[i], depth[j] + 1)
    return depth


def _settle(E, metric, depth, factor):
    """Return the metric, fed modules weighted down as far as their couplings need, and the growth by E in it."""
    if not depth.any() or not factor < 1:
        return metric, growth(E, metric)
    allowed = 1 + 0.1 * (1 / factor - 1)
    for power in (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48):
        weights = 2.0 ** (-power * depth)
        weighted = metric * np.outer(weights, weights)
        stretch = growth(E, weighted)
        if stretch <= allowed:
            return weighted, stretch
    return metric, growth(E, metric)


def _imbalance(L, metric, groups):
    """Return ‖M L + L^T M‖ / ‖M L‖ within the groups."""
    product = np.where(groups[:, None] == groups, metric @ L, 0.0)
    size = float(np.linalg.norm(product))
    return float(np.linalg.norm(product + product.T)) / size if size else 0.0


# --- norms proven beyond rounding -----------------------------------------------------------------------------------


@np.errstate(all="ignore")
def growth(E, P) -> float:
    """Return a proven bound of ‖E‖_P, the least f with E^T P E <= f^2 P, hardly above it; inf if there is none."""
    absolute = np.abs(E)
    rho = least_multiple(E.T @ P @ E, P, absolute.T @ np.abs(P) @ absolute)
    return float(np.sqrt(max(rho, 0.0)) * (1 + 2 * EPS))


def least_multiple(G, P, size) -> float:
    """Return a rho, hardly above the least, with rho P - G > 0 beyond the rounding of both; inf if none was found.

    `size` bounds the sums of absolute products behind the entries of G.
    """
    n, d = len(P), 1 / np.sqrt(np.diagonal(P))
    scaling = np.outer(d, d)  # to a unit diagonal of P
    G, P, size = 0.5 * (G + G.T) * scaling, P * scaling, size * scaling
    if not (np.isfinite(G).all() and np.isfinite(P).all() and _is_positive(P, 0.0)):
        return np.inf
    try:
        rho = float(scipy.linalg.eigh(G, P, eigvals_only=True)[-1])  # a subset alone may not converge in clusters
    except np.linalg.LinAlgError:
        return np.inf
    scale = max(1.0, abs(rho))
    margin = 4 * n * EPS * float((size + 2 * scale * np.abs(P)).sum(axis=1).max())
    for slack in 10.0 ** np.arange(-15, -1):
        trial = rho + slack * scale
        if _is_positive(trial * P - G, margin):
            return trial
    return np.inf


def _is_positive(matrix, margin) -> bool:
    """Whether a symmetric matrix, less `margin` and the rounding of its Cholesky factor, is positive definite."""
    margin = margin + (len(matrix) + 2) * EPS * float(np.abs(np.diagonal(matrix)).sum())
    try:
        np.linalg.cholesky(matrix - margin * np.eye(len(matrix)))
    except np.linalg.LinAlgError:
        return False
    return True
