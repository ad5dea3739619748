"""Primal-dual training of a recurrent network that keeps its echo states at every step."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from penstock.checks import (
    as_finite_array,
    as_finite_float,
    as_fraction,
    as_inputs,
    as_int,
    as_non_negative_float,
    as_positive_float,
    seed_sequence,
)
from penstock.progress import track
from penstock.readout import Readout
from penstock.reservoirs.esn import ESN, to_dense
from penstock.threads import one_blas_thread
from penstock.vmath import activation_slope

__all__ = ["ConstrainedTraining", "project_rows", "train_constrained"]


@dataclass(frozen=True, eq=False, repr=False)
class ConstrainedTraining:
    """Hold a trained network, its readout, and the course of the training.

    Attributes
    ----------
    system : ESN
        The trained network, in float64.
    readout : Readout
        The trained readout.
    error : float
        Mean square error of the two on all series given, steps before the washout left out.
    loss : array, shape (n_steps,)
        Mean square error of the series of every step, before its update.
    largest_row_sum : array, shape (n_steps + 1,)
        max_i sum_j |W_ij| at the start and after every update.
    multipliers : array, shape (N,)
        lambda_i at the end: the pressure of the loss on every row; 0 where the constraint is idle.
    bound : float
        What no row sum exceeds, contraction_rate / gamma; inf if untied.
    contraction_rate : float
        Factor by which the nonlinear part brings two states closer in the max norm, at every step and input.
    settings : dict
        The other arguments.
    """

    system: ESN
    readout: Readout
    error: float
    loss: np.ndarray
    largest_row_sum: np.ndarray
    multipliers: np.ndarray
    bound: float
    contraction_rate: float
    settings: dict[str, Any]

    def plot(self, ax=None):
        """Draw the loss and the largest row sum over the steps; return the matplotlib axes."""
        from penstock.reservoirs.plots import plot_constrained_training

        return plot_constrained_training(self, ax)

    def __repr__(self):
        active = int((self.multipliers > 0).sum())
        tied = "not constrained"
        if np.isfinite(self.bound):
            tied = f"at most {self.bound:.4g} at every step, states approach by {self.contraction_rate:g} or faster"
        settings = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        return "\n".join(
            [
                f"ConstrainedTraining: mean square error {self.error:.4g} after {len(self.loss)} steps "
                f"(first step {self.loss[0]:.4g})",
                f"  row sums     largest {self.largest_row_sum[-1]:.4g} at the end; {tied}",
                f"  multipliers  {active} of {len(self.multipliers)} above 0, largest {self.multipliers.max():.3g}",
                f"  settings     {settings}",
                f"  system       {self.system!r}",
            ]
        )


@one_blas_thread
def train_constrained(
    esn: ESN,
    inputs,
    targets,
    *,
    readout: Readout | None = None,
    n_steps: int = 1500,
    learning_rate: float = 0.1,
    penalty_rate: float = 0.02,
    multiplier_rate: float = 0.05,
    contraction_rate: float = 0.99,
    momentum: float = 0.0,
    washout: int = 0,
    batch_size: int | None = None,
    seed: int | np.random.SeedSequence | None = None,
    progress: bool = True,
) -> ConstrainedTraining:
    """Train all weights of a network by gradient descent under a constraint that guarantees its echo states.

    h_t = (1 - a) h_{t-1} + a f(W h_{t-1} + W_in u_t + b) and y_t = W_out h_t + c minimise the mean square error
    subject to sum_j |W_ij| <= r / gamma for every row i, with gamma the largest slope of f (1 for tanh, 1/4 for the
    sigmoid) and r < 1: then f(W h + …) brings any two states closer by the factor r, in the max norm, for every
    input. Every step takes the gradient by backpropagation through the whole series, then

    W <- W - learning step - penalty_rate diag(lambda) sign(W),
    lambda_i <- max(0, lambda_i + multiplier_rate (sum_j |W_ij| - r / gamma)),

    and last projects each row onto the ball sum_j |W_ij| <= r / gamma. So the constraint holds at every step, not only
    in the limit; the multipliers see the row sums as they were before the projection.

    Parameters
    ----------
    esn : ESN
        Where the training starts. Rows of W beyond the bound are projected first, which makes them sparse: draw W
        small. A sparse W becomes dense.
    inputs : array, shape (B, T, m) or (T, m)
        A batch of series or one; (T,) if m = 1. States start from zero.
    targets : array, shape (B, T, k) or (B, T), or (T, k) or (T,) for one series
        What the readout should say at every step.
    readout : Readout, optional
        Where the readout starts; zero by default.
    n_steps : int
        Updates.
    learning_rate, penalty_rate, multiplier_rate : float
        Step sizes of the loss gradient (above 0), of the penalty and of the multipliers (at least 0). Without the
        last two, training is plain projected gradient descent.
    contraction_rate : float
        r in (0, 1]; with 1 states may approach at no fixed rate. inf trains without constraint, for comparison.
    momentum : float
        Of Nesterov, in [0, 1).
    washout : int
        Steps at the start of every series that the loss leaves out.
    batch_size : int, optional
        Series per update, drawn without replacement until all were seen (the last update of a round takes what is
        left); all of them by default.
    seed : int or SeedSequence, optional
        Of the order of the batches; needed only with `batch_size`.
    progress : bool
        Whether a bar appears when the training takes longer than two seconds.

    Returns
    -------
    ConstrainedTraining
        With `system` and `readout`, and the loss and the row sums of every step.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit or a setting is out of range.
    FloatingPointError
        If the loss stops being finite: names the step.

    References
    ----------
    J. Chen, L. Deng (2014), A primal-dual method for training recurrent neural networks constrained by the echo-state
    property, ICLR, arXiv 1311.6091.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.analysis import stability
    >>> from penstock.reservoirs import ESN
    >>> u = np.random.default_rng(0).uniform(-1, 1, (20, 30, 1))
    >>> target = 0.5 * np.roll(u, 1, axis=1)
    >>> start = ESN.random(8, spectral_radius=0.2, input_scaling=0.3, seed=0)
    >>> trained = train_constrained(start, u, target, washout=1, learning_rate=0.4, n_steps=300)
    >>> bool(trained.loss[-1] < 0.1 * trained.loss[0]), bool(trained.largest_row_sum.max() <= 0.99)
    (True, True)
    >>> stability(trained.system).certified
    True
    """
    if not isinstance(esn, ESN):
        raise TypeError(f"esn must be an ESN, got {esn!r}")
    u, d = _as_batch(esn, inputs, targets)
    n_steps, washout = as_int("n_steps", n_steps), as_int("washout", washout, minimum=0)
    if washout >= len(u):
        raise ValueError(f"washout must be below the {len(u)} steps of a series, got {washout}")
    rates = _Rates.checked(learning_rate, penalty_rate, multiplier_rate, momentum)
    contraction_rate = _as_contraction_rate(contraction_rate)
    bound = contraction_rate / esn.lure_blocks()[0].slopes[1]
    batches = _batches(u.shape[1], batch_size, seed)
    weights = _start(esn, _as_readout(readout, esn.n_units, d.shape[2]), bound)

    velocity = _Weights(*(np.zeros_like(part) for part in weights))
    multipliers, loss, sums = np.zeros(esn.n_units), np.empty(n_steps), np.empty(n_steps + 1)
    sums[0] = _row_sums(weights.W).max()
    for step in track(range(n_steps), n_steps, "constrained training", progress):
        batch = next(batches)
        loss[step], gradient = _loss_and_gradient(weights, esn, u[:, batch], d[:, batch], washout)
        _check_course(step, loss[step], gradient)
        penalty = rates.penalty_rate * multipliers[:, None] * np.sign(weights.W)
        weights, velocity = _descend(weights, velocity, gradient, rates)
        weights, multipliers = _constrain(weights, multipliers, penalty, bound, rates)
        sums[step + 1] = _row_sums(weights.W).max()
    settings = {"washout": washout, "batch_size": u.shape[1] if batch_size is None else batch_size, "seed": seed}
    return ConstrainedTraining(
        system=replace(esn, W=weights.W, W_in=weights.W_in, bias=weights.bias),
        readout=Readout(weights.W_out, weights.offset),
        error=_errors(weights, _states(weights, esn, u)[1], d, washout)[1],
        loss=loss,
        largest_row_sum=sums,
        multipliers=multipliers,
        bound=bound,
        contraction_rate=contraction_rate,
        settings=rates._asdict() | settings,
    )


def project_rows(W, bound):
    """Return the nearest matrix whose rows satisfy sum_j |W_ij| <= bound, rounding included.

    Rows within the bound stay as they are; the others are shrunk towards zero by one threshold each.

    Parameters
    ----------
    W : array, shape (n, m)
        Any matrix.
    bound : float
        Above 0; inf leaves `W` as it is.

    References
    ----------
    J. Duchi, S. Shalev-Shwartz, Y. Singer, T. Chandra (2008), Efficient projections onto the l1-ball for learning in
    high dimensions, ICML.

    Examples
    --------
    >>> project_rows(np.array([[2.0, -1.0, 0.0], [0.3, 0.3, 0.3]]), 2.0).round(9)
    array([[ 1.5, -0.5,  0. ],
           [ 0.3,  0.3,  0.3]])
    """
    W = np.array(W, np.float64)
    outside = np.flatnonzero(_row_sums(W) > bound)
    size = np.abs(W[outside])
    ordered = -np.sort(-size, axis=1)
    # a little inside, so that the sum of the rounded entries, in whatever order, is not above the bound
    radius = bound * (1 - 4 * W.shape[1] * np.finfo(np.float64).eps)
    excess = (np.cumsum(ordered, axis=1) - radius) / np.arange(1, W.shape[1] + 1)
    kept = (ordered > excess).sum(axis=1)
    threshold = excess[np.arange(len(outside)), kept - 1]
    shrunk = np.maximum(size - threshold[:, None], 0.0)
    shrunk *= np.minimum(1.0, radius / shrunk.sum(axis=1, keepdims=True))  # the difference of large entries rounds
    W[outside] = np.copysign(shrunk, W[outside])
    return W


# --- checks ---------------------------------------------------------------------------------------------------------


def _as_batch(esn, inputs, targets):
    """Return inputs (T, B, m) and targets (T, B, k), time first so that every step is one block."""
    u = as_inputs(inputs, esn.n_inputs)
    d = as_finite_array("targets", targets, ndim=(1, 2, 3))
    if d.ndim == u.ndim - 1:
        d = d[..., None]
    if d.shape[:-1] != u.shape[:-1] or d.ndim != u.ndim or d.size == 0:
        raise ValueError(f"targets must have shape {u.shape[:-1]} or {(*u.shape[:-1], 'k')}, got {np.shape(targets)}")
    if u.ndim == 2:
        u, d = u[None], d[None]
    return np.ascontiguousarray(u.swapaxes(0, 1)), np.ascontiguousarray(d.swapaxes(0, 1))


class _Rates(NamedTuple):
    """Step sizes of the updates."""

    learning_rate: float
    penalty_rate: float
    multiplier_rate: float
    momentum: float

    @classmethod
    def checked(cls, learning_rate, penalty_rate, multiplier_rate, momentum):
        if not 0 <= as_finite_float("momentum", momentum) < 1:
            raise ValueError(f"momentum must lie in [0, 1), got {momentum}")
        return cls(
            as_positive_float("learning_rate", learning_rate),
            as_non_negative_float("penalty_rate", penalty_rate),
            as_non_negative_float("multiplier_rate", multiplier_rate),
            float(momentum),
        )


def _as_contraction_rate(value):
    """Return a contraction rate in (0, 1], or inf."""
    if isinstance(value, float) and np.isposinf(value):
        return float(value)
    return as_fraction("contraction_rate", value)


def _as_readout(readout, n_units, n_outputs):
    if readout is None:
        return Readout(np.zeros((n_outputs, n_units)), np.zeros(n_outputs))
    if not isinstance(readout, Readout):
        raise TypeError(f"readout must be a penstock.Readout, got {readout!r}")
    if readout.W_out.shape != (n_outputs, n_units):
        raise ValueError(f"readout must have weights ({n_outputs}, {n_units}), got {readout.W_out.shape}")
    return readout


def _batches(n_series, batch_size, seed) -> Iterator[np.ndarray | slice]:
    """Return an endless iterator of the series of each update."""
    if batch_size is None:
        return repeat(slice(None))
    batch_size = as_int("batch_size", batch_size)
    if batch_size > n_series:
        raise ValueError(f"batch_size must be at most the {n_series} series, got {batch_size}")
    return _shuffled(np.random.default_rng(seed_sequence(seed)), n_series, batch_size)


def _shuffled(rng, n_series, batch_size):
    while True:
        order = rng.permutation(n_series)
        for start in range(0, n_series, batch_size):
            yield order[start : start + batch_size]


# --- loss, gradient and update --------------------------------------------------------------------------------------


class _Weights(NamedTuple):
    """Everything that is trained."""

    W: np.ndarray
    W_in: np.ndarray
    bias: np.ndarray
    W_out: np.ndarray
    offset: np.ndarray


def _start(esn, readout, bound):
    W = project_rows(to_dense(esn.W), bound)
    parts = (to_dense(esn.W_in), esn.bias, readout.W_out, readout.offset)
    return _Weights(W, *(np.array(part, np.float64) for part in parts))


def _row_sums(W):
    return np.abs(W).sum(axis=1)


def _states(weights, esn, u):
    """Return f(…) (T, B, N) and the states (T + 1, B, N) from zero on."""
    with np.errstate(over="ignore", invalid="ignore"):  # the caller looks at the loss
        y = u @ weights.W_in.T + weights.bias
        h = np.zeros((len(u) + 1, *y.shape[1:]))
        for t in range(len(u)):
            y[t] = esn.activation(h[t] @ weights.W.T + y[t])
            h[t + 1] = (1 - esn.leak) * h[t] + esn.leak * y[t]
    return y, h


def _errors(weights, h, d, washout):
    """Return y - d, zero before the washout, and the mean square of the rest."""
    with np.errstate(over="ignore", invalid="ignore"):
        error = h[1:] @ weights.W_out.T + weights.offset - d
        error[:washout] = 0.0
        return error, float((error**2).sum() / error[washout:].size)


def _loss_and_gradient(weights, esn, u, d, washout):
    """Return the mean square error and its gradient by backpropagation through time."""
    y, h = _states(weights, esn, u)
    error, loss = _errors(weights, h, d, washout)
    if not np.isfinite(loss):
        return loss, weights
    error *= 2.0 / error[washout:].size
    direct = error @ weights.W_out  # by the output of the same step
    gain = esn.leak * activation_slope(esn.activation, y)
    by_drive, by_state = np.empty_like(y), np.zeros_like(h[0])
    for t in reversed(range(len(u))):
        by_state += direct[t]
        by_drive[t] = gain[t] * by_state
        by_state = (1 - esn.leak) * by_state + by_drive[t] @ weights.W
    gradient = _Weights(
        W=_outer(by_drive, h[:-1]),
        W_in=_outer(by_drive, u),
        bias=by_drive.sum(axis=(0, 1)),
        W_out=_outer(error, h[1:]),
        offset=error.sum(axis=(0, 1)),
    )
    return loss, gradient


def _outer(left, right):
    """Return sum over steps and series of left right^T."""
    return left.reshape(-1, left.shape[2]).T @ right.reshape(-1, right.shape[2])


def _check_course(step, loss, gradient):
    if not (np.isfinite(loss) and all(np.isfinite(part).all() for part in gradient)):
        raise FloatingPointError(f"the training diverged at step {step}, loss {loss}; lower learning_rate")


def _descend(weights, velocity, gradient, rates):
    """Return weights and velocity after one step of Nesterov's method, plain descent without momentum."""
    rate, momentum = rates.learning_rate, rates.momentum
    velocity = _Weights(*(momentum * v - rate * g for v, g in zip(velocity, gradient, strict=True)))
    moves = zip(weights, velocity, gradient, strict=True)
    return _Weights(*(w + momentum * v - rate * g for w, v, g in moves)), velocity


def _constrain(weights, multipliers, penalty, bound, rates):
    """Return the weights with penalised and projected rows, and the multipliers after their step."""
    if np.isinf(bound):
        return weights, multipliers
    free = weights.W - penalty
    excess = _row_sums(free) - bound  # before the projection, after which no row would press
    return weights._replace(W=project_rows(free, bound)), np.maximum(0.0, multipliers + rates.multiplier_rate * excess)
