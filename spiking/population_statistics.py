"""Statistics of a population's spike trains: correlation, synchrony, spectrum; times in ms, rates in Hz."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy

from penstock.checks import as_finite_array, as_positive_float
from penstock.spiking.train_statistics import cv, firing_rates
from penstock.spiking.trains import SpikeTrains, as_trains, counts_of

__all__ = [
    "PowerSpectrum",
    "StatisticsComparison",
    "compare_statistics",
    "count_correlation",
    "power_spectrum",
    "synchrony",
]


def count_correlation(trains: SpikeTrains, bin: float = 2.0) -> np.ndarray:
    """Return the Pearson correlation of the spike counts of every two units, shape (n, n).

    Independent trains give 0 with standard deviation 1 / sqrt(number of bins). Units whose count is the same in all
    bins get NaN in their row and column.

    Parameters
    ----------
    trains : SpikeTrains
        At least two bins must fit. The counts take 16 n n_bins bytes: pass a selection of a large population.
    bin : float
        Length of the bins (ms).

    Examples
    --------
    >>> from penstock.spiking import SpikeTrains, count_correlation
    >>> trains = SpikeTrains([1.0, 1.0, 5.0, 7.0], [0, 1, 2, 2], 3, t_stop=8.0)
    >>> count_correlation(trains, 4.0)
    array([[ 1.,  1., -1.],
           [ 1.,  1., -1.],
           [-1., -1.,  1.]])
    """
    counts = counts_of(trains, "bin", bin).astype(float)
    counts -= counts.mean(axis=0)
    size = np.sqrt((counts**2).sum(axis=0))
    counts /= np.where(size > 0, size, np.nan)
    return (counts.T @ counts).clip(-1.0, 1.0)


def synchrony(signals) -> float:
    """Return Golomb's chi: chi^2 is the variance of the mean signal over the mean variance of the signals.

    It is 1 for equal signals and of order 1 / sqrt(n) for independent ones. Units whose signal does not vary take part.

    Parameters
    ----------
    signals : array, shape (n_times, n)
        ``trains.filtered(tau)``, ``trains.counts(bin)``, membrane potentials: any signal of every unit. The result
        depends on how spikes are smoothed; state it.

    Returns
    -------
    float
        chi, in [0, 1]; NaN if no signal varies.

    References
    ----------
    D. Golomb, J. Rinzel (1994), Clustering in globally coupled inhibitory neurons, Physica D 72. D. Golomb (2007),
    Neuronal synchrony measures, Scholarpedia 2.

    Examples
    --------
    >>> from penstock.spiking import SpikeTrains, synchrony
    >>> together = SpikeTrains([3.0, 3.0, 8.0, 8.0], [0, 1, 0, 1], 2, t_stop=10.0)
    >>> synchrony(together.filtered(2.0))
    1.0
    """
    if isinstance(signals, SpikeTrains):
        raise TypeError("signals must be an array, got SpikeTrains; take trains.filtered(tau) or trains.counts(bin)")
    signals = as_finite_array("signals", signals, ndim=2)
    if not signals.size:
        raise ValueError(f"signals must hold at least one time and unit, got shape {signals.shape}")
    mean_variance = signals.var(axis=0).mean()
    return float(np.sqrt(signals.mean(axis=1).var() / mean_variance)) if mean_variance > 0 else float("nan")


@dataclass(frozen=True, eq=False, repr=False)
class PowerSpectrum:
    """Hold the power spectrum of a population rate.

    Attributes
    ----------
    frequencies : array, shape (n_frequencies,)
        Frequencies above 0, up to the one of half the sampling (Hz).
    power : array, shape (n_frequencies,)
        Two-sided power density (Hz^2 / Hz).
    poisson_level : float
        The flat spectrum of independent Poisson trains of the same mean rate: rate / n (Hz^2 / Hz).
    n, bin, segment : int, float, float
        Number of units, bins (ms), and length of the averaged pieces (ms), whose inverse is the resolution.
    """

    frequencies: np.ndarray
    power: np.ndarray
    poisson_level: float
    n: int
    bin: float
    segment: float

    def plot(self, ax=None):
        """Draw the power over frequency with the level of Poisson trains; return the matplotlib axes."""
        from penstock.spiking.plots import plot_power_spectrum

        return plot_power_spectrum(self, ax)

    def __repr__(self):
        peak = int(np.argmax(self.power))
        low, high = self.frequencies[[0, -1]]
        return (
            f"PowerSpectrum: {len(self.power)} frequencies, {low:.4g} to {high:.4g} Hz\n"
            f"  peak            {self.power[peak]:.4g} Hz^2/Hz at {self.frequencies[peak]:.4g} Hz\n"
            f"  Poisson trains  {self.poisson_level:.4g} Hz^2/Hz ({self.n} units)"
        )


def power_spectrum(trains: SpikeTrains, *, bin: float = 1.0, segment: float | None = None) -> PowerSpectrum:
    """Return the power spectrum of the population rate (spikes per unit and second) by Welch's method.

    Hann windows, half overlapping, of the rate less its mean. The density is two-sided, so that a Poisson train of
    rate nu has power nu at all frequencies, and the mean over n independent ones nu / n.

    Parameters
    ----------
    trains : SpikeTrains
        The population.
    bin : float
        Bins of the rate (ms). The highest frequency is 500 / bin Hz.
    segment : float, optional
        Length of the averaged pieces (ms), by default an eighth of the window; frequencies are 1000 / segment Hz apart.

    References
    ----------
    P. D. Welch (1967), The use of fast Fourier transform for the estimation of power spectra, IEEE Trans. Audio
    Electroacoust. 15.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.spiking import SpikeTrains, power_spectrum
    >>> every_25_ms = np.arange(0.0, 2000.0, 25.0)
    >>> spectrum = power_spectrum(SpikeTrains(every_25_ms, np.zeros(80, int), 1, t_stop=2000.0), bin=5.0)
    >>> float(spectrum.frequencies[np.argmax(spectrum.power)])
    40.0
    """
    rate = as_trains("trains", trains).rate(bin)
    segment = trains.duration / 8 if segment is None else as_positive_float("segment", segment)
    length = int(segment / bin + 1e-9)
    if not 2 <= length <= len(rate):
        raise ValueError(
            f"segment must hold at least 2 bins of {bin:g} ms and fit into {len(rate) * bin:g} ms, got {segment:g} ms"
        )
    # the mean of the whole: removing that of each piece would take a sixth of the power at the lowest frequency
    rate = rate - rate.mean()
    f, power = scipy.signal.welch(rate, 1000 / bin, nperseg=length, return_onesided=False, detrend=False)
    positive = slice(1, length // 2 + 1)
    level = trains.mean_rate / trains.n
    return PowerSpectrum(np.abs(f[positive]), power[positive], level, trains.n, float(bin), length * float(bin))


@dataclass(frozen=True, eq=False, repr=False)
class StatisticsComparison:
    """Hold how far the activity of two networks differs, as Kolmogorov-Smirnov distances in [0, 1].

    Attributes
    ----------
    rate_distance, cv_distance, correlation_distance : float
        Largest difference of the two cumulative distributions over units (over pairs for correlations); NaN if one
        of the two has no unit with that statistic.
    rates, cvs, correlations : (array, array)
        The values themselves of the first and the second, without NaN: firing rates (Hz), CVs of intervals, and
        count correlations of pairs.
    bin : float
        Bins of the counts (ms).
    """

    rate_distance: float
    cv_distance: float
    correlation_distance: float
    rates: tuple[np.ndarray, np.ndarray]
    cvs: tuple[np.ndarray, np.ndarray]
    correlations: tuple[np.ndarray, np.ndarray]
    bin: float

    def plot(self, ax=None):
        """Draw the cumulative distributions of both; return the three axes (`ax`, if given, must be three)."""
        from penstock.spiking.plots import plot_statistics_comparison

        return plot_statistics_comparison(self, ax)

    def __repr__(self):
        rows = []
        for name, unit in (("rate", " Hz"), ("cv", ""), ("correlation", "")):
            means = [f"{values.mean():.4g}{unit}" if len(values) else "none" for values in getattr(self, f"{name}s")]
            rows.append(f"  {name:<12}{getattr(self, f'{name}_distance'):.4f}  (means {means[0]} and {means[1]})")
        return "\n".join([f"StatisticsComparison: Kolmogorov-Smirnov distances, counts in {self.bin:g} ms", *rows])


def compare_statistics(first: SpikeTrains, second: SpikeTrains, *, bin: float = 2.0) -> StatisticsComparison:
    """Compare two networks by the distributions of their rates, interval CVs and pairwise count correlations.

    The distances say nothing alone (pairs are not independent, so there is no p-value): measure those between seeds of
    one network, and hold the distance between two simulators against them.

    Parameters
    ----------
    first, second : SpikeTrains
        The two recordings, without their initial transients. Units without a statistic (less than three spikes for CV,
        no change of count for correlation) are left out of it. All pairs are taken: `select` some hundred units.
    bin : float
        Bins of the counts (ms).

    References
    ----------
    T. C. Potjans, M. Diesmann (2014), The cell-type specific cortical microcircuit, Cereb. Cortex 24, whose published
    implementations are compared in this way.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.spiking import SpikeTrains, compare_statistics
    >>> rng = np.random.default_rng(0)
    >>> a, b = (SpikeTrains(rng.uniform(0, 5000, 800), rng.integers(0, 20, 800), 20, t_stop=5000) for _ in range(2))
    >>> compare_statistics(a, a).rate_distance, compare_statistics(a, b).rate_distance < 0.5
    (0.0, True)
    """
    both = as_trains("first", first), as_trains("second", second)
    rates = _of_both(both, firing_rates)
    cvs = _of_both(both, cv)
    correlations = _of_both(both, lambda trains: count_correlation(trains, bin)[np.triu_indices(trains.n, 1)])
    in_rate, in_cv, in_correlation = (_distance(*values) for values in (rates, cvs, correlations))
    return StatisticsComparison(in_rate, in_cv, in_correlation, rates, cvs, correlations, float(bin))


def _of_both(both, statistic: Callable) -> tuple[np.ndarray, np.ndarray]:
    first, second = (values[~np.isnan(values)] for values in map(statistic, both))
    return first, second


def _distance(first, second) -> float:
    """Return the Kolmogorov-Smirnov distance of two samples, NaN if one is empty."""
    if not (len(first) and len(second)):
        return float("nan")
    return float(scipy.stats.ks_2samp(first, second, method="asymp").statistic)
