"""What a run of FORCE on a spiking network gives: outputs, the decoder, how good the free run is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from penstock.spiking.clock import steps_of
from penstock.spiking.force_kernels import Lesson
from penstock.spiking.trains import SpikeTrains

if TYPE_CHECKING:
    from penstock.spiking.force import ForceNetwork, ForceSystem

__all__ = ["SpikingForce"]


class FreeRun(NamedTuple):
    """Free run of a network with a fixed decoder.

    Parameters
    ----------
    times : array, shape (T,)
        Ends of the steps (ms), from 0.
    output : array, shape (T, k)
        Outputs z.
    spikes : SpikeTrains
        Spikes, at the ends of their steps.
    state : array, shape (6 n + k,)
        State at the end.
    """

    times: np.ndarray
    output: np.ndarray
    spikes: SpikeTrains
    state: np.ndarray

    def __repr__(self):
        return f"FreeRun({self.times[-1]:g} ms, {self.output.shape[1]} outputs, {self.spikes.mean_rate:.3g} Hz)"


@dataclass(frozen=True, eq=False, repr=False)
class SpikingForce:
    """Hold a run in which FORCE trained a spiking network, and what it learned.

    Attributes
    ----------
    network : ForceNetwork
        The network, its decoder not included.
    times : array, shape (T,)
        Ends of the steps (ms).
    output, target : array, shape (T, k)
        Outputs z and targets x at these times.
    decoder : array, shape (n, k)
        Weights φ after learning.
    spikes : SpikeTrains
        Spikes, at the ends of their steps.
    state : array, shape (6 n + k,)
        State at the end: r, v, u, s, h, hr, z.
    lesson : Lesson or None
        When learning began and ended and every how many steps it took place (steps), P0, normalised, forgetting.
    """

    network: "ForceNetwork"
    times: np.ndarray
    output: np.ndarray
    target: np.ndarray
    decoder: np.ndarray
    spikes: SpikeTrains
    state: np.ndarray
    lesson: Lesson | None

    @property
    def error(self) -> np.ndarray:
        """Output minus target, (T, k)."""
        return self.output - self.target

    @property
    def n_updates(self) -> int:
        """Number of updates of the decoder."""
        return 0 if self.lesson is None else len(range(self.lesson.start, self.lesson.stop, self.lesson.every))

    @property
    def free(self) -> slice:
        """The steps after learning."""
        return slice(0 if self.lesson is None else self.lesson.stop, len(self.times))

    @property
    def frequency(self) -> np.ndarray:
        """Frequency of the highest peak in the spectrum of each output in the free run (Hz), shape (k,)."""
        return np.array([_peak_frequency(z, self.network.dt) for z in self._free_part(self.output).T])

    @property
    def target_frequency(self) -> np.ndarray:
        """The same of the target."""
        return np.array([_peak_frequency(x, self.network.dt) for x in self._free_part(self.target).T])

    @property
    def rates(self) -> tuple[float, float, float]:
        """Mean rate of the neurons (Hz) before, while and after learning; NaN for a part without time."""
        steps = (0, 0, 0) if self.lesson is None else (0, self.lesson.start, self.lesson.stop)
        ends = self.network.dt * np.array([*steps, len(self.times)])
        fired = np.diff(np.searchsorted(self.spikes.times, ends + 0.5 * self.network.dt))
        with np.errstate(invalid="ignore"):
            return tuple(1000 * fired / (np.diff(ends) * self.network.n))

    def lag_aligned_correlation(self, window=None) -> np.ndarray:
        """Return the correlation of output and target in the free run at the best lag, shape (k,).

        The phase of a free run drifts: point by point, a good copy a little late counts as a bad one. Lags reach to a
        quarter of the window in both directions; what overlaps counts.

        Parameters
        ----------
        window : float, optional
            Length (ms) of windows with a lag of their own, over which the result is a mean: longer than four periods of
            the target. By default one lag serves the whole free run, so that a frequency off by a quarter of a period
            in all that time already costs.
        """
        pairs = self._free_part(self.output), self._free_part(self.target)
        size = len(pairs[0]) if window is None else steps_of("window", window, self.network.dt, 4)
        if size > len(pairs[0]):
            raise ValueError(
                f"window must be at most the free run, {self.network.dt * len(pairs[0]):g} ms, got {window:g}"
            )
        cuts = [slice(first, first + size) for first in range(0, len(pairs[0]) - size + 1, size)]
        columns = list(zip(*(part.T for part in pairs), strict=True))
        return np.array([np.mean([_best_correlation(z[cut], x[cut], size // 4) for cut in cuts]) for z, x in columns])

    def run(self, duration, *, inputs=None, progress=True) -> FreeRun:
        """Go on freely from the end for `duration` (ms)."""
        return self.network.run(duration, self.decoder, state=self.state, inputs=inputs, progress=progress)

    def system(self) -> "ForceSystem":
        """Return the trained network as a System, whose analyses begin at the end of this run."""
        return self.network.system(self.decoder).starting_at(self.state)

    def plot(self, ax=None):
        """Draw outputs and targets around the beginning and the end of learning and at the end; return the axes."""
        from penstock.spiking.plots import plot_spiking_force

        return plot_spiking_force(self, ax)

    def __repr__(self):
        before, while_learning, after = self.rates
        lines = [f"SpikingForce: {self.times[-1]:g} ms, {self.n_updates} updates of {self.decoder.shape[1]} outputs"]
        if self.lesson is not None and self.free.start < self.free.stop:
            found, wanted = self.frequency, self.target_frequency
            lines += [
                f"  error        {_rms(self.error[self._learning]):.3g} while learning, "
                f"{_rms(self.error[self.free]):.3g} after (root mean square)",
                f"  frequency    {', '.join(f'{f:.4g}' for f in found)} Hz, "
                f"target {', '.join(f'{f:.4g}' for f in wanted)} Hz",
                f"  correlation  {', '.join(f'{c:.4f}' for c in self.lag_aligned_correlation())} at the best lag",
            ]
        lines += [
            f"  rates        {before:.3g}, {while_learning:.3g}, {after:.3g} Hz before, while and after learning",
            f"  network      {self.network!r}",
        ]
        return "\n".join(lines)

    @property
    def _learning(self):
        return slice(0, 0) if self.lesson is None else slice(self.lesson.start, self.lesson.stop)

    def _free_part(self, series):
        if self.free.stop - self.free.start < 4:
            raise ValueError(
                "the run ends with learning: force(…) must go on after learn[1], or use result.run(duration)"
            )
        return series[self.free]


def _peak_frequency(z, dt):
    """Return the frequency (Hz) of the highest peak of the spectrum, interpolated by zeros; dt in ms."""
    size = 16 * len(z)
    spectrum = np.abs(np.fft.rfft((z - z.mean()) * np.hanning(len(z)), size))
    return float(spectrum.argmax() * 1000.0 / (size * dt))


def _best_correlation(z, x, limit):
    """Return the highest correlation of z[i + lag] and x[i] over lags from -limit to limit."""
    n = len(z)
    z, x = z - z.mean(), x - x.mean()
    size = 2 ** int(np.ceil(np.log2(2 * n)))
    products = np.fft.irfft(np.fft.rfft(z, size) * np.conj(np.fft.rfft(x, size)), size)
    lags = np.arange(-limit, limit + 1)
    overlap = n - np.abs(lags)
    sums = [np.concatenate([[0.0], np.cumsum(part)]) for part in (z, z * z, x, x * x)]
    ends = {"z": (np.maximum(lags, 0), n + np.minimum(lags, 0)), "x": (np.maximum(-lags, 0), n - np.maximum(lags, 0))}
    z_sum, z_square = (one[ends["z"][1]] - one[ends["z"][0]] for one in sums[:2])
    x_sum, x_square = (one[ends["x"][1]] - one[ends["x"][0]] for one in sums[2:])
    spread = (z_square - z_sum**2 / overlap) * (x_square - x_sum**2 / overlap)
    covariance = products[lags % size] - z_sum * x_sum / overlap
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.nan_to_num(covariance / np.sqrt(np.maximum(spread, 0.0)), posinf=0.0).max())


def _rms(errors):
    return np.sqrt((errors**2).mean())
