"""What a forecast is: the series, its error at every step and how long it stays valid."""

from dataclasses import dataclass

import numpy as np

from penstock.checks import as_positive_float
from penstock.metrics import valid_steps

__all__ = ["Forecast"]


@dataclass(frozen=True, eq=False, repr=False)
class Forecast:
    """Hold a forecast, or one for each of B starts.

    Attributes
    ----------
    series : array, shape (T,), (T, d), (B, T) or (B, T, d)
        What is forecast, in the units and the form of the training series; the first row is one step ahead.
    truth : array of the shape of `series`, or None
        What happened, if it was given.
    error : array, shape (T,) or (B, T), or None
        Relative Euclidean error ‖y_t - ŷ_t‖ / scale at every step.
    scale : float
        Size of the training series, sqrt(mean ‖y - mean y‖²).
    n_starts : int or None
        Number of starts B; None for a single forecast without that axis.
    """

    series: np.ndarray
    truth: np.ndarray | None
    error: np.ndarray | None
    scale: float
    n_starts: int | None = None

    def valid_steps(self, threshold=0.4):
        """Return the number of steps before the error first exceeds the threshold, all of them if it never does.

        An int, or an array (B,) for B starts.
        """
        threshold = as_positive_float("threshold", threshold)
        if self.error is None:
            raise ValueError("truth must be given to forecast, so that there is an error, got None")
        steps = valid_steps(self.error, threshold)
        return int(steps) if self.error.ndim == 1 else steps

    def valid_lyapunov_times(self, exponent, *, dt=1.0, threshold=0.4):
        """Return the same in Lyapunov times, steps · dt · exponent.

        Parameters
        ----------
        exponent : float
            Largest Lyapunov exponent of the true system, in nats per unit of time.
        dt : float, optional
            Time between two steps.
        threshold : float, optional
            Relative error that is still valid.
        """
        return self.valid_steps(threshold) * (as_positive_float("exponent", exponent) * as_positive_float("dt", dt))

    def plot(self, ax=None):
        """Draw the forecast over the truth, one line for every channel; return the matplotlib axes."""
        from penstock.reservoirs.plots import plot_forecast

        return plot_forecast(self, ax)

    def __repr__(self):
        lines = [f"Forecast: series of shape {self.series.shape}"]
        if self.error is not None:
            valid, total = np.median(self.valid_steps()), self.error.shape[-1]
            of = f", median of {self.n_starts} starts" if self.n_starts else ""
            lines.append(f"  valid       {valid:g} of {total} steps (relative error at most 0.4{of})")
            shown = [f"{np.median(self.error[..., k - 1]):.2g} at {k}" for k in (1, 10, 100, 1000) if k <= total]
            lines.append(f"  error       {', '.join(shown)} (‖y - ŷ‖ / {self.scale:.4g}, the size of the series)")
        return "\n".join(lines)
