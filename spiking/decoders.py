"""Decoders: what a readout sees of the spikes of a liquid."""

from dataclasses import dataclass

import numpy as np
import scipy

from penstock.checks import as_positive_float

__all__ = ["FilteredSpikes"]


@dataclass(frozen=True)
class FilteredSpikes:
    """Filter the spikes of every neuron by a decaying exponential.

    tau dr/dt = -r, and r += 1 at a spike; read at the end of a sample.

    Parameters
    ----------
    tau : float
        Time constant (ms), positive.

    Raises
    ------
    ValueError, TypeError
        If `tau` is not a positive number.

    References
    ----------
    W. Maass, T. Natschläger, H. Markram (2002), Real-time computing without stable states, Neural Computation 14
    (30 ms).

    Examples
    --------
    >>> FilteredSpikes(tau=20.0)
    FilteredSpikes(tau=20.0)
    """

    tau: float = 30.0

    def __post_init__(self):
        object.__setattr__(self, "tau", as_positive_float("tau", self.tau))

    def decode(self, at, units, start, *, steps: int, dt: float, out) -> None:
        """Write the traces after every sample into `out` (T, n).

        Parameters
        ----------
        at, units : array of int, shape (n_spikes,)
            Step, counted from the beginning of the first sample, and neuron of every spike, in order.
        start : array, shape (n,)
            Traces before the first sample.
        steps : int
            Steps of a sample.
        dt : float
            Duration of a step (ms).
        out : array, shape (T, n)
            Filled with the traces.
        """
        sums = np.zeros(out.shape)
        np.add.at(sums, (at // steps, units), np.exp(-(steps - 1 - at % steps) * (dt / self.tau)))
        kept = np.exp(-steps * dt / self.tau)
        out[:] = scipy.signal.lfilter([1.0], [1.0, -kept], sums, axis=0, zi=kept * start[None])[0]
