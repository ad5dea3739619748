"""Pruning at random that is right on average: what stays is the stronger for it, w / p if kept with probability p."""

import numpy as np
import scipy.sparse as sp

from penstock.analysis.linearisation import stationary_covariance
from penstock.analysis.network_report import as_links, to_dense
from penstock.analysis.pruning import (
    Pruned,
    as_keep,
    check_flag,
    observed_run,
    prepared,
    pruned_to,
    synapses,
    with_synapses,
)
from penstock.checks import as_finite_array, as_matrix, seed_sequence
from penstock.system import System, as_system
from penstock.threads import one_blas_thread

__all__ = ["prune_noise", "prune_spectral"]


def prune_noise(
    system: System,
    keep: float,
    *,
    covariance=None,
    u=None,
    correct_diagonal: bool = False,
    seed,
    allow_disconnected: bool = False,
) -> Pruned:
    """Keep every synapse with a probability that its weight and the covariance of its units under noise decide.

    p_ij = min(1, kappa |w_ij| (C_ii + C_jj - 2 C_ij)) for w_ij > 0, with + 2 C_ij for w_ij < 0; kappa is such that a
    fraction `keep` of the synapses is kept on average. What is kept becomes w_ij / p_ij, so that the mean over draws
    is W itself. Synapses of units onto themselves are all kept; a synapse of probability zero is lost.

    Large factors 1 / p make the spectral radius of one draw larger than that of W: rescale it where that matters, see
    `prune_magnitude`.

    Parameters
    ----------
    system, allow_disconnected
        As in `prune_magnitude`.
    keep : float
        Fraction of the synapses that stay on average, in (0, 1].
    covariance : array, shape (N, N), optional
        C, symmetric and with no negative eigenvalue; by default `noise_covariance` of the system.
    u : array, shape (T, m), optional
        A noisy input; the covariance is then that of the states it drives.
    correct_diagonal : bool
        Whether W_ii loses what the |w_ij| of the other synapses of its row gained in all. That keeps every row sum
        of a graph Laplacian, whose diagonal is minus the sum of its row.
    seed : int or SeedSequence
        Which synapses stay.

    Returns
    -------
    Pruned

    Raises
    ------
    TypeError, ValueError
        As in `prune_magnitude`, or if there is no covariance: a linearisation that is not stable, or none at all.

    References
    ----------
    E. Moore, R. Chaudhuri (2020), Using noise to probe recurrent neural network structure and prune synapses, NeurIPS.
    The formula is given here from secondary sources, and its diagonal for networks with self-connections is our own.

    Examples
    --------
    >>> from penstock.reservoirs import ESN
    >>> prune_noise(ESN.random(100, seed=0), 0.3, seed=1).n_synapses
    2989
    """
    system, keep = prepared(system, allow_disconnected), as_keep(keep)
    rng = np.random.default_rng(seed_sequence(seed))
    check_flag("correct_diagonal", correct_diagonal)
    if covariance is not None and u is not None:
        raise TypeError("covariance and u must not both be given: u is there to measure the covariance")
    if covariance is None:
        covariance = noise_covariance(system, u)
    old = as_links(system.recurrent_matrix())
    W = drawn(system, keep_probabilities(old, abs(to_dense(old)), covariance, keep), rng)
    if correct_diagonal:
        W = W - sp.diags_array(abs(W).sum(axis=1) - abs(old).sum(axis=1), format="csr")
    return pruned_to(system, W, allow_disconnected=allow_disconnected)


@one_blas_thread
def noise_covariance(system: System, u=None, *, washout: int | None = None) -> np.ndarray:
    """Return the covariance of the observed units under noise: of the linearised system, or along a driven run.

    Without `u`, C = A C A^T + 1 with A the Jacobian at rest (state and inputs zero), for white noise of variance 1 on
    every number of the state. For a flow dx/dt = A x take ``scipy.linalg.solve_continuous_lyapunov(A, -np.eye(n))``.

    Parameters
    ----------
    system : System
        Any system.
    u : array, shape (T, m), or int, optional
        Inputs, noise as a rule, or the number of steps of an autonomous system.
    washout : int, optional
        Steps of `u` left out at the beginning, by default a tenth.

    Returns
    -------
    array, shape (N, N)

    Raises
    ------
    TypeError
        If the system has no Jacobian and no `u` is given.
    ValueError
        If the linearisation is not stable, or `u` too short.

    Examples
    --------
    >>> from penstock.reservoirs import ESN
    >>> noise_covariance(ESN([[0.6]], [[1.0]])).round(4)  # 1 / (1 - 0.6²)
    array([[1.5625]])
    """
    system = as_system(system)
    if u is not None:
        states = observed_run(system, u, washout)
        if len(states) < 2:
            raise ValueError(f"u must leave at least two steps after the washout, got {len(states)}")
        return np.atleast_2d(np.cov(states, rowvar=False))
    try:
        A = np.asarray(system.jacobian(np.zeros(system.n_units), np.zeros(system.n_inputs)), np.float64)
    except TypeError as error:
        raise TypeError(f"u must be given, a noisy input, since there is no linearisation: {error}") from None
    return stationary_covariance(A)[system.observed, system.observed]


def noise_importance(W, covariance) -> sp.csr_array:
    """Return |w_ij| (C_ii + C_jj - 2 C_ij) of every synapse, with + 2 C_ij where w_ij is negative.

    For C = (L + eps)^-1 / 2, the covariance of dx/dt = -(L + eps) x under white noise with L a graph Laplacian, it is
    half the weight of a link times its effective resistance; all add up to N - 1 for a connected graph (Foster).

    Parameters
    ----------
    W : array or sparse array, shape (N, N)
        Weights; those on the diagonal have no importance.
    covariance : array, shape (N, N)
        C.

    Returns
    -------
    csr_array, shape (N, N)

    Raises
    ------
    TypeError, ValueError
        If a matrix is not finite or its shape does not fit, or C is not symmetric or gives a link less than nothing.

    Examples
    --------
    >>> import numpy as np
    >>> ring = np.roll(np.eye(5), 1, axis=0) + np.roll(np.eye(5), -1, axis=0)
    >>> C = np.linalg.inv(2 * np.eye(5) - ring + 1e-9 * np.eye(5)) / 2
    >>> round(float(noise_importance(ring, C).sum()), 6)
    4.0
    """
    W = as_links(as_matrix("W", W, (None, None), np.float64))
    C = as_finite_array("covariance", covariance, ndim=2)
    if W.shape[0] != W.shape[1] or C.shape != W.shape:
        raise ValueError(f"covariance and W must have the same shape (N, N), got {C.shape} and {W.shape}")
    if np.abs(C - C.T).max(initial=0.0) > 1e-8 * np.abs(C).max(initial=0.0):
        raise ValueError("covariance must be symmetric")
    to, of = np.repeat(np.arange(len(C)), np.diff(W.indptr)), W.indices
    distance = C[to, to] + C[of, of] - 2 * np.sign(W.data) * C[to, of]
    distance[to == of] = 0.0
    if distance.min(initial=0.0) < -1e-9 * np.abs(C).max():
        worst = distance.argmin()
        raise ValueError(
            f"covariance must have no negative eigenvalue, got C_ii + C_jj ∓ 2 C_ij = {distance[worst]:.3g} "
            f"for ({to[worst]}, {of[worst]})"
        )
    return sp.csr_array((np.abs(W.data) * distance.clip(min=0.0), W.indices, W.indptr), W.shape)


def keep_probabilities(W, strengths, covariance, keep: float) -> np.ndarray:
    """Return the probabilities (N, N) of keeping synapses, p_ij = min(1, kappa s_ij (C_ii + C_jj ∓ 2 C_ij)).

    The sign is minus for positive weights and plus for negative ones; kappa is such that a fraction `keep` of all
    synapses stays in the mean. Synapses of units onto themselves all stay. The strengths s (N, N) must be above 0 where
    W (N, N) has a synapse.
    """
    W, strengths = to_dense(W), as_finite_array("strengths", strengths, ndim=2)
    if strengths.shape != W.shape or not (strengths[W != 0] > 0).all():
        raise ValueError(f"strengths must have shape {W.shape} and be above 0 at every synapse of W")
    importance = to_dense(noise_importance(np.sign(W) * strengths, covariance))
    p, itself = (W != 0).astype(np.float64), np.eye(len(W), dtype=bool)
    others, alone = (W != 0) & ~itself, np.count_nonzero(np.diag(W))
    p[others] = sampling_probabilities(importance[others], keep * np.count_nonzero(W) - alone)
    return p


def drawn(system, p, rng) -> sp.csr_array:
    """Return a recurrent matrix whose synapses are kept with probabilities p (N, N), and are then w / p."""
    to, of, weights = synapses(system)
    p = p[to, of]
    kept = rng.random(len(p)) < p
    return with_synapses(system, to[kept], of[kept], weights[kept] / p[kept])


def prune_spectral(system: System, keep: float, *, seed, allow_disconnected: bool = False) -> Pruned:
    """Keep every link with a probability that its effective resistance decides: the graph keeps its Laplacian.

    The graph has the weights a_ij = (|w_ij| + |w_ji|) / 2; p = min(1, kappa a_ij R_ij) with R_ij the effective
    resistance between i and j. Both synapses of a link stay or go together, and become w / p, so that the mean over
    draws is W, and x^T L x of the graph is kept within a factor 1 ± eps for all x at once if kappa is of the order
    ln(N) / eps². Synapses of units onto themselves are all kept.

    Parameters
    ----------
    system, allow_disconnected
        As in `prune_magnitude`.
    keep : float
        Fraction of the synapses that stay on average, in (0, 1]; kappa follows from it.
    seed : int or SeedSequence
        Which links stay.

    Returns
    -------
    Pruned

    Raises
    ------
    TypeError, ValueError
        As in `prune_magnitude`.

    References
    ----------
    D. A. Spielman, N. Srivastava (2011), Graph sparsification by effective resistances, SIAM Journal on Computing 40,
    1913. They draw links with replacement; here each is drawn once, by itself.

    Examples
    --------
    >>> from penstock.reservoirs import ESN
    >>> prune_spectral(ESN.random(100, seed=0), 0.3, seed=1).n_synapses
    3042
    """
    system, keep = prepared(system, allow_disconnected), as_keep(keep)
    rng = np.random.default_rng(seed_sequence(seed))
    to, of, weights = synapses(system)
    n, itself = system.recurrent_matrix().shape[0], to == of
    a = np.abs(to_dense(system.recurrent_matrix())).astype(np.float64)
    a = (a + a.T) / 2
    link, which = np.unique(np.minimum(to, of)[~itself] * n + np.maximum(to, of)[~itself], return_inverse=True)
    i, j = np.divmod(link, n)
    share = (a[i, j] * _resistances(a)[i, j]).clip(0.0, 1.0)
    p_link = sampling_probabilities(share, keep * len(weights) - itself.sum(), np.bincount(which, minlength=len(link)))
    stays, p, kept = rng.random(len(link)) < p_link, np.ones(len(weights)), itself.copy()
    p[~itself], kept[~itself] = p_link[which], stays[which]
    W = sp.csr_array((weights[kept] / p[kept], (to[kept], of[kept])), (n, n))
    return pruned_to(system, W, allow_disconnected=allow_disconnected)


@one_blas_thread
def _resistances(a):
    """Return the effective resistances (n, n) between the nodes of a graph with conductances a, part by part."""
    from scipy.sparse.csgraph import connected_components

    a = a - np.diag(np.diag(a))
    part = connected_components(sp.csr_array(a), directed=False)[1]
    same = part[:, None] == part
    # the constant on every part, which L maps to zero, is given an eigenvalue of the size of the others
    L = np.diag(a.sum(axis=1)) - a + same * (a.sum() / len(a) ** 2)
    L[np.diag_indices_from(L)] += (a.sum(axis=1) == 0) * (a.sum() == 0)
    G = np.linalg.inv(L)
    d = np.diag(G)
    return np.where(same, d[:, None] + d - 2 * G, 0.0)


def sampling_probabilities(importance, expected: float, sizes=None) -> np.ndarray:
    """Return p = min(1, kappa importance) whose sum, each counted `sizes` times, is `expected` if that can be."""
    sizes = np.ones(len(importance)) if sizes is None else np.asarray(sizes, np.float64)
    if expected < 0 or (expected == 0 and len(importance)):
        raise ValueError("keep must be larger, got fewer synapses than units have onto themselves, which all stay")
    positive = importance > 0
    if sizes[positive].sum() <= expected:
        return positive.astype(np.float64)
    order = np.argsort(-importance, kind="stable")
    largest, size = importance[order], sizes[order]
    capped = np.concatenate([[0.0], np.cumsum(size)[:-1]])  # synapses before the first that is not capped
    rest = np.cumsum((largest * size)[::-1])[::-1]
    kappa = (expected - capped) / np.where(rest > 0, rest, np.inf)
    first = np.flatnonzero(kappa * largest <= 1)[0]
    return np.minimum(1.0, kappa[first] * importance)
