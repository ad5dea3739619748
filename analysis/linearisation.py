"""A system along its run as a linear one: from its Jacobians, or fitted to its states if it has none."""

from typing import NamedTuple

import numpy as np

from penstock.analysis.lyapunov import MIN_STEPS, as_course, lyapunov_spectrum
from penstock.checks import as_finite_array, as_int, as_positive_float
from penstock.scaling import spectral_radius
from penstock.system import as_system
from penstock.threads import one_blas_thread

__all__ = ["Linearisation", "linearise_run", "linearise_states"]


class Linearisation(NamedTuple):
    """Hold the linear model of a driven or autonomous system about its running state."""

    A: np.ndarray
    """(n, n) deviations of one step on: x' = A x."""
    local_exponents: np.ndarray
    """(N,) mean growth rate of a disturbance of one observed unit alone, over `horizon` steps, in 1 / time."""
    units: np.ndarray
    """(N,) the observed units among the n of A."""
    horizon: int
    residual: float
    """Share of the states' variance that one step of a fitted model misses; 0 for Jacobians."""
    kind: str


@one_blas_thread
def linearise_run(system, u=None, *, horizon: int = 10, n_points: int = 20, seed=0) -> Linearisation:
    """Linearise a system along its run: the mean Jacobian, and how a disturbance of each unit alone grows.

    The local exponent of unit i is the mean over the points of ``ln |J_h … J_1 e_i| / (horizon * dt)``, the finite-time
    Lyapunov exponent of the tangent that begins in unit i alone. For long horizons all tend to the leading exponent.
    Norms below the rounding, 2.2e-16, count as that, so a unit that is forgotten at once has a finite exponent.

    Parameters
    ----------
    system : System
        A system with Jacobians.
    u : array, shape (T, m), optional
        Inputs of a driven system, of which the first tenth is washout; None for an autonomous one, run for 1000 steps.
    horizon : int
        Steps a disturbance grows.
    n_points : int
        Evenly spaced points of the run.
    seed : int or SeedSequence
        Seed of the start of an autonomous system.

    Returns
    -------
    Linearisation

    Raises
    ------
    ValueError, TypeError
        If an argument is of no use, the run too short, or the system has no Jacobian.

    Examples
    --------
    >>> from penstock import Map
    >>> halves = Map(lambda x, u: 0.5 * x, n_units=2)
    >>> linearise_run(halves).local_exponents.round(4).tolist()  # ln 0.5
    [-0.6931, -0.6931]
    """
    system, course, states, units = _run(system, u, horizon, n_points, seed)
    before = np.vstack([course.x0[None], states[:-1]])
    starts = np.linspace(0, len(states) - horizon, n_points).astype(int)
    A = system.jacobians(before[starts], course.inputs[starts]).mean(axis=0)
    alone, logs = np.eye(system.n_units, dtype=system.dtype)[:, units], np.zeros(len(units))
    for start in starts:
        _, pushed = system.push(before[start], course.inputs[start : start + horizon], alone)
        logs += _log_norms(pushed)
    exponents = logs / (n_points * horizon * system.dt)
    return Linearisation(np.asarray(A, float), exponents, units, horizon, 0.0, "Jacobians along the run")


@one_blas_thread
def linearise_states(system, u=None, *, horizon: int = 10, penalty: float = 1e-4, seed=0) -> Linearisation:
    """Fit a linear model to the observed states of a run, x' = A x + B u' + c: for systems without Jacobians.

    The local exponent of unit i is ``ln |A^horizon e_i| / (horizon * dt)``. It is one of the fitted model, averaged
    over the run, and knows nothing of single spikes.

    Parameters
    ----------
    system, u, horizon, seed
        As for `linearise_run`.
    penalty : float
        Ridge penalty on A, as a share of the mean variance of the states.

    Returns
    -------
    Linearisation
        `units` are all of A, in the order of the observed units.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock import Map
    >>> system = Map(lambda x, u: 0.5 * x + u, n_units=1, n_inputs=1)
    >>> u = np.random.default_rng(0).normal(size=(400, 1))
    >>> linearise_states(system, u, penalty=1e-9).A.round(6).tolist()
    [[0.5]]
    """
    penalty = as_positive_float("penalty", penalty)
    system, course, states, units = _run(system, u, horizon, 1, seed)
    x = np.vstack([course.x0[None], states])[:, units].astype(float)
    drive = np.column_stack([course.inputs, np.ones(len(states))])
    past, present = _without(drive, x[:-1]), _without(drive, x[1:])
    shrink = penalty * len(past) * max(float(past.var(axis=0).mean()), np.finfo(float).tiny)
    A = np.linalg.solve(past.T @ past + shrink * np.eye(len(units)), past.T @ present).T
    missed = float(((present - past @ A.T) ** 2).sum() / max(((x[1:] - x[1:].mean(axis=0)) ** 2).sum(), 1e-300))
    exponents = _log_norms(np.linalg.matrix_power(A, horizon)) / (horizon * system.dt)
    every = np.arange(len(units))
    return Linearisation(A, exponents, every, horizon, missed, "linear model fitted to the states")


def has_jacobian(system) -> bool:
    """Whether a system gives Jacobians; one on a grid of spikes refuses."""
    try:
        system.jacobian(np.zeros(system.n_units), np.zeros(system.n_inputs))
    except TypeError:
        return False
    except FloatingPointError:  # none at zero, where the run need not pass
        return True
    return True


def linearise(system, u, seed) -> Linearisation:
    """Linearise by Jacobians if there are any, else by a fit to the states."""
    return (linearise_run if has_jacobian(system) else linearise_states)(system, u, seed=seed)


def linear_exponents(system, u=None, *, seed=0, progress: bool = False) -> np.ndarray:
    """Return all Lyapunov exponents, descending; of the model fitted by `linearise_states` if there are no Jacobians.

    Those of a fitted model are ``ln |eig A| / dt``: the decay of its modes, a stand-in for systems on a grid of spikes.
    Directions that are lost in one step count as shrunk to the rounding, 2.2e-16 per step.

    Examples
    --------
    >>> from penstock import Map
    >>> linear_exponents(Map(lambda x, u: 0.5 * x, n_units=1)).round(4).tolist()
    [-0.6931]
    """
    system = as_system(system)
    if has_jacobian(system):
        length = {} if system.n_inputs else {"n_steps": 1000}
        exponents = lyapunov_spectrum(system, u, seed=seed, progress=progress, **length).exponents
    else:
        sizes = np.abs(np.linalg.eigvals(linearise_states(system, u, seed=seed).A))
        exponents = np.log(np.maximum(sizes, np.finfo(float).tiny)) / system.dt
    return np.sort(np.maximum(exponents, np.log(np.finfo(float).eps) / system.dt))[::-1]


@one_blas_thread
def stationary_covariance(A) -> np.ndarray:
    """Return the covariance of x' = A x + independent white noise of variance 1: C = A C A^T + 1, A of shape (n, n).

    Raises
    ------
    ValueError
        If the spectral radius of A is not below 1.

    Examples
    --------
    >>> stationary_covariance([[0.6]]).round(6).tolist()  # 1 / (1 - 0.36)
    [[1.5625]]
    """
    import scipy

    A = as_finite_array("A", A, ndim=2)
    radius = spectral_radius(A)
    if radius >= 1:
        raise ValueError(
            f"system must have a stable linearisation, or noise adds up without end; its spectral radius is "
            f"{radius:.4g}: give covariance=np.cov(states.T) of a run's states (T, N)"
        )
    covariance = scipy.linalg.solve_discrete_lyapunov(A, np.eye(len(A)))
    return (covariance + covariance.T) / 2


def _run(system, u, horizon, n_points, seed):
    """Return the system, its settled course with all states, and the observed units."""
    system = as_system(system)
    horizon, n_points = as_int("horizon", horizon), as_int("n_points", n_points)
    length = None if system.n_inputs else 1000
    course = as_course(system, u, length, None, None, seed, max(MIN_STEPS, horizon + n_points))
    return system, course, system.run(course.inputs, course.x0), np.arange(system.n_units)[system.observed]


def _without(drive, x) -> np.ndarray:
    """Return what a linear function of `drive` leaves of x."""
    return x - drive @ np.linalg.lstsq(drive, x, rcond=None)[0]


def _log_norms(columns) -> np.ndarray:
    return np.log(np.maximum(np.linalg.norm(np.asarray(columns, float), axis=0), np.finfo(float).eps))
