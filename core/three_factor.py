"""Online readout of three factors: the error, a gate, and an eligibility trace of the states."""

import numpy as np
import scipy  # its parts load at first use

from penstock.checks import as_finite_array, as_non_negative_float, as_positive_float
from penstock.online import DIVERGED, LMS, descend

__all__ = ["EligibilityLMS"]


class EligibilityLMS(LMS):
    """Fit a linear readout by the gated delta rule on eligibility traces: W <- W + rate · g (y - W x - c) eᵀ.

    At every row the traces e first follow the states x, then the weights learn from three factors: error, gate, trace,

        e <- a e + (1 - a) x,   a = exp(-1 / tau),
        W <- W + rate · g (y - W x - c) eᵀ,   c <- c + rate · g (y - W x - c) e₀,

    g the gate of that row (attention, reward, novelty) and e₀ the trace of the constant 1. All traces start from zero,
    and go on whether the gate is open or not.

    Parameters
    ----------
    learning_rate : float
        Above 0; well below the smallest 2 Re μ / |μ|² over the eigenvalues μ of the mean of g e xᵀ, or learning
        diverges.
    tau : float
        Time constant of the trace in rows, at least 0: that in ms over the interval of the rows. 0 is `LMS`.
    fit_intercept : bool
        Whether to fit c, else 0.

    Attributes
    ----------
    coef_ : array, shape (k, n)
        Weights W.
    intercept_ : array, shape (k,)
        Constant part c.
    trace_ : array, shape (n + 1,)
        Traces e after the last row, e₀ the last of them.

    Notes
    -----
    In the mean, weights move as W <- W + rate (E[g y eᵀ] - W E[g x eᵀ]) and rest at E[g y eᵀ] E[g x eᵀ]⁻¹, the
    instrumental-variable estimate: least squares only for tau = 0 or targets that are linear in the states. With a gate
    that is always open and a small rate they do settle: a low-pass filter is strictly positive real, so that no μ has a
    negative real part. W is linear in the targets: where an event happens with probability p, y = kernel or else 0, it
    rests at p times the W of y = kernel. No row's gain shrinks with the number of rows before it: the rule goes on
    adapting, within about 1 / (rate eᵀx) open rows in the direction of a state x, and goes on fluctuating.

    The trace of continuous time, e' = -e / tau + x per row, is tau times as large: its rate times tau is the rate here.

    References
    ----------
    N. Frémaux, W. Gerstner (2016), Neuromodulated spike-timing-dependent plasticity, and theory of three-factor
    learning rules, Front. Neural Circuits 9, 85. D. R. Morgan (1980), An analysis of multiple correlation cancellation
    loops with a filter in the auxiliary path, IEEE Trans. Acoust. Speech Signal Process. 28, 454 (filtered-x LMS).

    Examples
    --------
    >>> import numpy as np
    >>> from penstock import EligibilityLMS
    >>> X = np.random.default_rng(0).standard_normal((2000, 2))
    >>> gate = np.arange(2000) % 4 < 2  # learns in half of the rows
    >>> EligibilityLMS(0.1, tau=0.5).fit(X, X @ [1.0, 2.0] + 3.0, gate=gate).predict(np.zeros((1, 2))).round(6)
    array([3.])
    """

    trace_: np.ndarray

    def __init__(self, learning_rate, tau, *, fit_intercept=True):
        self.learning_rate = learning_rate
        self.tau = tau
        self.fit_intercept = fit_intercept

    def fit(self, X, Y, *, gate=None):
        """Learn from scratch, row after row.

        Parameters
        ----------
        X : array, shape (T, n)
            States.
        Y : array, shape (T,) or (T, k)
            Targets. A NaN shuts the gate of that output at that row.
        gate : array, shape (T,), optional
            Factor of the learning rate at every row, at least 0; 1 if not given.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter, shape or number is out of range.
        FloatingPointError
            If learning diverges: names the row. What was learnt by earlier calls stays.
        """
        return self._start(X, Y, gate)

    def partial_fit(self, X, Y, *, gate=None):
        """Go on learning from further rows, as `fit` on all rows at once would; the first call is a `fit`.

        The traces go on too; `reset_trace` ends an episode.
        """
        return self._go_on(X, Y, gate)

    def reset_trace(self):
        """Set the traces to zero, as where rows begin that do not follow the last ones; return self."""
        if hasattr(self, "trace_"):
            self.trace_ = np.zeros_like(self.trace_)
        return self

    def _learnt_shapes(self, k, n):
        return {**super()._learnt_shapes(k, n), "trace_": (n + 1,)}

    def _learn(self, X, Y, further, gate=None):
        rate, tau = as_positive_float("learning_rate", self.learning_rate), as_non_negative_float("tau", self.tau)
        gate = _as_gate(gate, len(X))
        traces = _follow(X, self.trace_ if further else np.zeros(X.shape[1] + 1), tau)
        credit = traces if gate is None else traces * gate[:, None]
        if gate is not None:
            Y = np.where(gate[:, None] > 0, Y, np.nan)  # nothing is learnt there, and so nothing diverges
        directions = np.ascontiguousarray(credit[:, :-1])
        W, c, largest, row = descend(
            self, X, Y, rate, limit=DIVERGED, further=further, credit=(directions, credit[:, -1].copy())
        )
        if row >= 0:
            bound = _bound(X, credit, bool(self.fit_intercept))
            raise FloatingPointError(
                f"EligibilityLMS diverged at row {row}: learning_rate must lie well below {bound:.3g} for these X, tau "
                f"and gate, got {rate:g}"
            )
        self.coef_, self.intercept_, self.largest_, self.trace_ = W, c, largest, traces[-1].copy()


def _as_gate(gate, n_rows):
    """Return a gate (T,) of at least 0, or None."""
    if gate is None:
        return None
    gate = as_finite_array("gate", gate, ndim=1)
    if gate.shape != (n_rows,):
        raise ValueError(f"gate must have shape ({n_rows},) to match X, got {gate.shape}")
    if gate.min() < 0:
        raise ValueError(f"gate must be at least 0, got {gate.min():g}")
    return gate


def _follow(X, before, tau):
    """Return the traces (T, n + 1) of the states and of the constant 1 after every row."""
    a = np.exp(-1 / tau) if tau else 0.0
    x = np.column_stack([X, np.ones(len(X))])
    return scipy.signal.lfilter([1 - a], [1.0, -a], x, axis=0, zi=a * before[None])[0]


def _bound(X, credit, with_intercept):
    """Return the rate at which the mean of the weights stops converging: the smallest 2 Re μ / |μ|² of mean e xᵀ."""
    n, scale = X.shape[1] + with_intercept, max(1.0, np.abs(X).max(), np.abs(credit).max())  # squares might overflow
    x = np.column_stack([X, np.ones(len(X))])[:, :n] / scale
    values = np.linalg.eigvals((credit[:, :n] / scale).T @ x / len(X))
    values = values[np.abs(values) > 1e-12 * np.abs(values).max()]
    return max(0.0, float((2 * values.real / np.abs(values) ** 2).min(initial=np.inf)) / scale / scale)
