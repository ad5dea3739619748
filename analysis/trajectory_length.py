"""Trajectory length: how far the states of a system travel in the plane of their principal components."""

import numpy as np

from penstock.checks import as_finite_array, as_int
from penstock.threads import one_blas_thread

__all__ = ["principal_components", "trajectory_length"]


@one_blas_thread
def principal_components(states, n_components: int = 2) -> np.ndarray:
    """Return the states in their leading principal components, centred: the shadow of the trajectory that varies most.

    Parameters
    ----------
    states : array, shape (T, n)
        The trajectory, one state per row; (T,) for one unit.
    n_components : int, optional
        Number k of components, at most n.

    Returns
    -------
    array, shape (T, k)
        Largest variance first. Every component has the sign that makes its value of greatest size positive.

    Raises
    ------
    ValueError, TypeError
        If the states are no trajectory of two points or more, or have fewer than k units.

    Examples
    --------
    >>> import numpy as np
    >>> principal_components(np.outer([0.0, 0.2, 1.0], [3.0, 4.0]), 1)[:, 0].round(12)  # a line of length 5
    array([-2., -1.,  3.])
    """
    states = _as_trajectories(states, as_int("n_components", n_components))
    if states.ndim != 2:
        raise ValueError(f"states must be one trajectory of shape (T, n), got {states.shape}")
    return _projected(states, n_components)


@one_blas_thread
def trajectory_length(states, n_components: int | None = 2) -> float | np.ndarray:
    """Return the length of a trajectory in its leading principal components, as the sum of its chords.

    The measure with which liquid time-constant networks were called more expressive than other networks: how long the
    image of a simple input curve is. It is in the unit of the states, and so grows with their scale alone; compare only
    networks whose states have the same. It measures what is sampled: sparse samples cut corners, and a network that
    diverges has a length without limit.

    Parameters
    ----------
    states : array, shape (T, n) or (B, T, n)
        A trajectory, one state per row, or B of them; (T,) for one unit.
    n_components : int or None, optional
        Number k of principal components, of each trajectory its own; None for the length in the space of all units.

    Returns
    -------
    float or array, shape (B,)

    Raises
    ------
    ValueError, TypeError
        If the states are no trajectory of two points or more, or have fewer than k units.

    References
    ----------
    M. Raghu et al. (2017), On the expressive power of deep neural networks, ICML. R. Hasani et al. (2021), Liquid
    time-constant networks, AAAI.

    Examples
    --------
    A circle of radius 2, its chords and its circumference:

    >>> import numpy as np
    >>> t = np.linspace(0, 2 * np.pi, 200)
    >>> circle = 2 * np.column_stack([np.sin(t), np.cos(t)])
    >>> round(trajectory_length(circle), 3), round(4 * np.pi, 3)
    (12.566, 12.566)
    """
    states = _as_trajectories(states, n_components)
    each = states if states.ndim == 3 else states[None]
    if n_components is not None:
        each = [_projected(one, n_components) for one in each]
    lengths = np.array([np.linalg.norm(np.diff(one, axis=0), axis=1).sum() for one in each])
    return lengths if states.ndim == 3 else float(lengths[0])


def _as_trajectories(states, n_components):
    """Return checked states (T, n) or (B, T, n)."""
    states = as_finite_array("states", states, ndim=(1, 2, 3))
    states = states[:, None] if states.ndim == 1 else states
    if states.shape[-2] < 2:
        raise ValueError(f"states must hold at least two points in time, got shape {states.shape}")
    if n_components is not None and as_int("n_components", n_components) > states.shape[-1]:
        raise ValueError(f"n_components must be at most the number of units {states.shape[-1]}, got {n_components}")
    return states


def _projected(states, n_components):
    """Return the principal components of one trajectory (T, n): (T, k); those that do not exist are zero."""
    centred = states - states.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    components = (left * sizes)[:, :n_components]
    peaks = components[np.abs(components).argmax(axis=0), np.arange(components.shape[1])]
    components = components * np.where(peaks < 0, -1.0, 1.0)
    return np.pad(components, ((0, 0), (0, n_components - components.shape[1])))
