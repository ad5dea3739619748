"""A whole trajectory solved at once by Newton's method (DEER), as a reference and as a probe of stability."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from penstock.checks import as_inputs, as_int, as_positive_float, as_state
from penstock.progress import track
from penstock.system import System, as_system
from penstock.threads import one_blas_thread

__all__ = ["ParallelRun", "associative_scan", "parallel_run", "sequential_scan"]

BLOCK_BYTES = 2**25  # of Jacobians held at a time
TOLERANCES = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-5}


def sequential_scan(A, b) -> np.ndarray:
    """Return the solution (T, n) of d_t = A_t d_{t-1} + b_t with d_{-1} = 0, step by step.

    Parameters
    ----------
    A : array, shape (T, n, n) or (T, n)
        Matrices, or diagonals of matrices.
    b : array, shape (T, n)
        Vectors.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    A, d = _as_recurrence(A, b)
    for t in range(1, len(d)):
        d[t] += A[t] @ d[t - 1] if A.ndim == 3 else A[t] * d[t - 1]
    return d


def associative_scan(A, b) -> np.ndarray:
    """Return the same as `sequential_scan` in about 2 log2 T rounds, each over many steps at once.

    Neighbouring steps are composed, (A', b')∘(A, b) = (A' A, A' b + b'), the half as long recurrence is solved in the
    same way, and the steps between follow from it. That is T products of matrices, n times the work of the sequential
    scan: it needs more than n processors to pay. With diagonals the work is twice the sequential one, and NumPy is
    faster with it. Arguments and errors are those of `sequential_scan`.

    Examples
    --------
    >>> associative_scan(np.full((3, 1), 0.5), np.ones((3, 1))).ravel()
    array([1.  , 1.5 , 1.75])
    """
    A, d = _as_recurrence(A, b)
    if len(d) > 1:
        first, second = A[:-1:2], A[1::2]
        composed = second @ first if A.ndim == 3 else second * first
        d[1::2] = associative_scan(composed, _times(second, d[:-1:2]) + d[1::2])
        d[2::2] += _times(A[2::2], d[1:-1:2])
    return d


@dataclass(frozen=True, eq=False, repr=False)
class ParallelRun:
    """Hold the trajectory that Newton's method found, and how it got there.

    Attributes
    ----------
    states : array, shape (T, n)
        The last iterate: the states of the run if `converged`. It may not be finite if it ran away.
    changes : array, shape (K,)
        Largest change of any state in every iteration, relative to max(1, |x|); NaN in the last one if it ran away.
    converged : bool
        Whether the last change was within `tol`.
    n_settled : int
        Leading steps that are final: one more after every completed iteration, and all that the last of these changed
        by no more than `tol`.
    reason : str
        Why the iteration ended.
    diagonal, tol
        As asked for.
    """

    states: np.ndarray
    changes: np.ndarray
    converged: bool
    n_settled: int
    reason: str
    diagonal: bool
    tol: float

    @property
    def n_iterations(self) -> int:
        """Number of iterations K; the last is counted, which found nothing to change, or ran away."""
        return len(self.changes)

    def plot(self, ax=None):
        """Draw the largest change of every iteration, logarithmic, and the tolerance; return the matplotlib axes."""
        from penstock.analysis.plots import plot_parallel_run

        return plot_parallel_run(self, ax)

    def __repr__(self):
        method = "quasi-DEER" if self.diagonal else "DEER"
        return (
            f"ParallelRun: {self.n_iterations} iterations, {'converged' if self.converged else 'NOT CONVERGED'}\n"
            f"  method      {method}, tolerance {self.tol:.2g}, last change {self.changes[-1]:.2g}\n"
            f"  end         {self.reason}\n"
            f"  settled     {self.n_settled} of {len(self.states)} steps"
        )


@one_blas_thread
def parallel_run(
    system: System,
    u,
    *,
    x0=None,
    diagonal: bool = False,
    scan: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    tol: float | None = None,
    max_iterations: int = 100,
    progress: bool = True,
) -> ParallelRun:
    """Solve x_t = F(x_{t-1}, u_t) for all t together by Newton's method, from a trajectory of zeros.

    With F_t and J_t the map and its Jacobian along the last iterate X, the next one solves the linear recurrence
    x_t = F_t + J_t (x_{t-1} - X_{t-1}), which can be scanned in parallel. Every iteration makes at least one more
    leading state exact, whatever J, so that T iterations suffice; near the solution the number of right digits doubles.
    Nothing is damped or clipped: an iterate that is not finite ends the iteration.

    **The number of iterations is a probe of stability.** It grows with the largest Lyapunov exponent, as the examples
    show: a handful where it is clearly negative, hundreds where it is positive, and then the more the longer the
    series. But many iterations do not prove chaos. The first one linearises about zeros, so that with strong inputs a
    radius above 1 costs iterations though the driven system is stable: ESNs of 50 units (T = 1000, u in (-0.5, 0.5),
    input scaling 1) at spectral radii 0.5, 0.9, 1.1, 1.2 and 1.5 took 4, 6, 14, 26 and 97 iterations, at exponents
    -0.72, -0.16, -0.03, -0.02 and -0.01.

    **On a few processors this does not pay.** The sequential `run` needs T n^2 operations; an iteration needs as many
    for the map, again for the Jacobians, and for a parallel scan T n^3 / P on P processors, which never wins for n > P.
    With diagonals only (quasi-DEER) the scan is cheap, and there is something to win if the iterations are fewer than
    the times that a column of a matrix product is faster than a product with one vector: 3 to 9 for n = 100 to 2000 on
    one thread. The ESN above takes 32 iterations at radius 0.5 and over 100 at 0.9. All in all this function took 85 to
    450 times as long as `run` for n = 10 to 300, with diagonals 300 to 4500 times. Batches of series or of seeds are
    what makes good use of a CPU.

    Parameters
    ----------
    system : System
        Any system.
    u : array, shape (T, m), or int
        One input series; the number of steps of an autonomous system.
    x0 : array, shape (n,), optional
        State before the first step, zero by default.
    diagonal : bool
        Whether only the diagonals of the Jacobians are used.
    scan : function, optional
        ``scan(A, b)``, by default `sequential_scan` for full Jacobians and `associative_scan` for diagonals, which
        are the faster ones on a CPU.
    tol : float, optional
        Largest change of an iteration, relative to max(1, |x|), at which it ends; 1e-10, for float32 1e-5.
    max_iterations : int
        Iterations at most.
    progress : bool
        Whether a bar appears when the run takes longer than two seconds.

    Returns
    -------
    ParallelRun

    Raises
    ------
    ValueError, TypeError
        If an argument is of no use.

    References
    ----------
    Y. H. Lim, Q. Zhu, J. Selfridge, M. F. Kasim (2024), Parallelizing non-linear sequential models over the sequence
    length, ICLR, arXiv 2309.12252. X. Gonzalez, A. Warrington, J. Smith, S. Linderman (2024), Towards scalable and
    stable parallelization of nonlinear RNNs, NeurIPS, arXiv 2407.19115, for diagonals and exact leading states.
    X. Gonzalez, L. Kozachkov, D. Zoltowski, K. Clarkson, S. Linderman (2025), Predictability enables parallelization
    of nonlinear state space models, arXiv 2508.16817, for the part of the Lyapunov exponent.

    Examples
    --------
    >>> from penstock.analysis import lyapunov_spectrum
    >>> from penstock.reservoirs import ESN
    >>> u = np.random.default_rng(1).uniform(-0.5, 0.5, 1000)
    >>> esn = ESN.random(50, spectral_radius=0.9, input_scaling=0.2, seed=2)
    >>> result = parallel_run(esn, u[:400])
    >>> result.converged, bool(abs(result.states - esn.run(u[:400])).max() < 1e-12)
    (True, True)

    Largest exponent and number of iterations of three networks; the last is chaotic and does not converge in 100:

    >>> for gain in (1 / 3, 1.0, 2.2):
    ...     system = ESN(gain * esn.W, esn.W_in)
    ...     exponent = lyapunov_spectrum(system, u, 1).exponents[0]
    ...     print(f"{exponent:5.1f} {parallel_run(system, u[:400]).n_iterations:4d}")
     -1.2    3
     -0.1    4
      0.1  100
    """
    system = as_system(system)
    u = as_inputs(u, system.n_inputs, system.dtype)
    if u.ndim != 2 or not len(u):
        raise ValueError(f"u must be one series of at least one step, shape (T, {system.n_inputs}), got {u.shape}")
    x0 = as_state(x0, system.n_units, None, system.dtype)
    if not isinstance(diagonal, bool | np.bool_):
        raise TypeError(f"diagonal must be True or False, got {diagonal!r}")
    tol = TOLERANCES[np.dtype(system.dtype)] if tol is None else as_positive_float("tol", tol)
    scan = scan if scan is not None else associative_scan if diagonal else sequential_scan
    if not callable(scan):
        raise TypeError(f"scan must be a function (A, b), as sequential_scan, got {scan!r}")
    max_iterations = as_int("max_iterations", max_iterations)
    states, changes, n_settled, reason = np.zeros((len(u), system.n_units), system.dtype), [], 0, ""
    for k in track(range(1, max_iterations + 1), max_iterations, "parallel run", progress):
        try:
            new = _iterate(system, u, x0, states, diagonal, scan)
        except FloatingPointError as error:
            changes.append(np.nan)
            reason = f"iteration {k} met states where the system is not finite: {error}"
            break
        change, states = _change(states, new), new
        changes.append(change.max())
        n_settled = _settled(change, k, tol)
        if np.isnan(change).any():
            reason = f"the linearised run of iteration {k} overflows from step {int(np.isnan(change).argmax())} on"
            break
        if change.max() <= tol:
            reason = f"iteration {k} changed nothing beyond the tolerance"
            break
    converged = bool(changes[-1] <= tol)
    reason = reason or f"max_iterations={max_iterations} reached"
    return ParallelRun(states, np.array(changes), converged, n_settled, reason, bool(diagonal), tol)


def _change(old, new):
    """Return the largest change (T,) of every step relative to max(1, |x|), NaN where it is not finite."""
    with np.errstate(invalid="ignore"):
        change = (np.abs(new - old) / np.maximum(1, np.abs(new))).max(axis=1)
    return np.where(np.isfinite(new).all(axis=1), change, np.nan)


def _settled(change, k, tol):
    """Return how many leading steps are final after k iterations."""
    still = ~(change <= tol)  # NaN too
    return min(max(k, int(still.argmax())), len(change)) if still.any() else len(change)


def _iterate(system, u, x0, states, diagonal, scan):
    """Return the next iterate, block by block; every block begins with the change at the end of the one before."""
    n = system.n_units
    size = max(1, BLOCK_BYTES // (8 * n * n))
    before = np.concatenate([x0[None], states[:-1]])
    new, change = np.empty_like(states), np.zeros(n)
    for start in range(0, len(u), size):
        part = slice(start, start + size)
        X, U = before[part], u[part]
        F = np.asarray(system.run(U[:, None], X)[:, 0], np.float64)  # a batch of series of one step
        J = system.jacobians(X, U)
        if diagonal:
            J = np.ascontiguousarray(np.diagonal(J, axis1=1, axis2=2))
        with np.errstate(over="ignore", invalid="ignore"):
            gap = F - states[part]
            gap[0] += J[0] @ change if J.ndim == 3 else J[0] * change
            changes = np.concatenate([change[None], scan(J, gap)])
            new[part] = F + _times(J, changes[:-1])  # not states + change, which would round at the size of the states
        change = changes[-1]
    return new


def _as_recurrence(A, b):
    """Return A and a fresh b as arrays that fit."""
    A, b = np.asarray(A), np.asarray(b)
    if b.ndim != 2 or A.shape not in (b.shape, (*b.shape, b.shape[1])):
        raise ValueError(f"A must have shape (T, n, n) or (T, n) to match b of shape (T, n), got {A.shape}, {b.shape}")
    return A, np.array(b, np.result_type(A, b))


def _times(A, x):
    """Return A_t x_t for every t."""
    return np.matmul(A, x[:, :, None])[:, :, 0] if A.ndim == 3 else A * x
