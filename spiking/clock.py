"""Model time in whole steps: every duration is a number of steps or an error that says which durations would do."""

import numpy as np

from penstock.checks import as_finite_float
from penstock.spiking.values import as_numbers

__all__ = ["steps_of", "steps_of_each"]

_OFF_GRID = 1e-6  # of a step: 1.5 ms / 0.1 ms is 15 up to rounding, 1.55 ms is not
_MOST = 2**31  # steps, more than a network counts


def steps_of(name: str, duration, dt: float, minimum: int = 0) -> int:
    """Return the duration (ms) as a number of steps of `dt` (ms)."""
    duration = as_finite_float(name, duration)
    return int(steps_of_each(name, duration, dt, minimum))


def steps_of_each(name: str, durations, dt: float, minimum: int = 0) -> np.ndarray:
    """Return durations (ms) as int64 numbers of steps of `dt` (ms), each at least `minimum`."""
    durations = as_numbers(name, durations)
    steps = np.rint(durations / dt)
    least = durations / dt < minimum - _OFF_GRID
    if least.any():
        raise ValueError(f"{name} must be at least {_clean(minimum * dt):g} ms, got {durations[least].flat[0]:g} ms")
    if (steps > _MOST).any():
        value = durations[steps > _MOST].flat[0]
        raise ValueError(f"{name} must be at most 2^31 steps, {_MOST * dt:g} ms with dt={dt:g} ms, got {value:g} ms")
    wrong = np.abs(durations / dt - steps) > _OFF_GRID
    if wrong.any():
        value = float(durations[wrong].flat[0])
        around = {int(np.floor(value / dt)), int(np.ceil(value / dt))}
        near = [_clean(k * dt) for k in sorted(around) if k >= minimum]
        raise ValueError(
            f"{name} must be a whole number of steps of dt={dt:g} ms, got {value:g} ms; "
            f"take {' or '.join(f'{n:g}' for n in near)} ms, or another dt"
        )
    return steps.astype(np.int64)


def _clean(value) -> float:
    return float(f"{value:.12g}")
