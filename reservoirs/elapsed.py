"""Irregular sampling: the time since the step before as one more input channel."""

import numpy as np

from penstock.checks import as_finite_array

__all__ = ["check_timed", "elapsed_inputs", "split_elapsed"]


def elapsed_inputs(u, times):
    """Return inputs with the time since the sample before as the last channel, for a system with ``timed=True``.

    Parameters
    ----------
    u : array, shape (T, m), (T,) or (B, T, m)
        Inputs at the times.
    times : array, shape (T,) or (B, T)
        Time stamps, strictly increasing, in the unit of the system's time constants. The first step gets the first
        interval.

    Returns
    -------
    array, shape (T, m + 1) or (B, T, m + 1)
        The inputs, and the elapsed time of every step.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, a number is not finite, or the time stamps do not increase.

    Examples
    --------
    >>> elapsed_inputs([0.1, 0.2, 0.3], [0.0, 1.0, 1.5])
    array([[0.1, 1. ],
           [0.2, 1. ],
           [0.3, 0.5]])
    """
    u = as_finite_array("u", u, ndim=(1, 2, 3))
    u = u[:, None] if u.ndim == 1 else u
    times = as_finite_array("times", times, ndim=(1, 2))
    if times.shape not in (u.shape[:-1], u.shape[-2:-1]):
        raise ValueError(f"times must have shape {u.shape[:-1]}, one per row of u, got {times.shape}")
    if times.shape[-1] < 2:
        raise ValueError(f"times must hold at least two time stamps, got {times.shape[-1]}")
    gaps = np.diff(times, axis=-1)
    if not (gaps > 0).all():
        at = np.argwhere(gaps <= 0)[0]
        stamps = times[tuple(at[:-1])][at[-1] : at[-1] + 2]
        raise ValueError(f"times must increase strictly, got {stamps[0]} and then {stamps[1]} at {at[-1] + 1}")
    gaps = np.broadcast_to(np.concatenate([gaps[..., :1], gaps], axis=-1), u.shape[:-1])
    return np.concatenate([u, gaps[..., None]], axis=-1)


def check_timed(timed) -> bool:
    """Return whether the last input is an elapsed time, if that is what `timed` says."""
    if not isinstance(timed, bool | np.bool_):
        raise TypeError(f"timed must be True or False, got {timed!r}")
    return bool(timed)


def split_elapsed(system, u):
    """Return the data channels of `u` (…, m), contiguous, and the elapsed time of every step (…,).

    Raises
    ------
    ValueError
        If an elapsed time is not positive: names the step.
    """
    if not system.timed:
        return u, np.full(u.shape[:-1], system.dt, system.dtype)
    elapsed = np.real(u[..., -1])
    if not (elapsed > 0).all():
        at = tuple(int(i) for i in np.argwhere(~(elapsed > 0))[0])
        raise ValueError(
            f"u must hold positive elapsed times in its last channel, got {elapsed[at]} at step {at[-1] if at else 0}"
            "; penstock.reservoirs.elapsed_inputs makes them from time stamps, and dataclasses.replace(system, "
            "timed=False, dt=…) steps regularly"
        )
    return np.ascontiguousarray(u[..., :-1]), np.ascontiguousarray(u[..., -1])
