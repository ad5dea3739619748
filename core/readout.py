"""Linear readouts."""

from dataclasses import dataclass

import numpy as np

from penstock.checks import as_finite_array, as_non_negative_float, float_type
from penstock.threads import one_blas_thread

__all__ = ["Readout", "ridge"]


@dataclass(frozen=True, eq=False)
class Readout:
    """Read outputs from states: y = W_out x + offset.

    Attributes
    ----------
    W_out : array, shape (n_outputs, n_units)
        Weights.
    offset : array, shape (n_outputs,)
        Constant part.

    Examples
    --------
    >>> import numpy as np
    >>> Readout(np.array([[1.0, -1.0]]), np.array([0.5]))(np.array([[3.0, 1.0]]))
    array([[2.5]])
    """

    W_out: np.ndarray
    offset: np.ndarray

    def __post_init__(self):
        dtype = float_type(self.W_out)
        W_out = as_finite_array("W_out", self.W_out, dtype, ndim=2)
        offset = as_finite_array("offset", self.offset, dtype, ndim=(0, 1))
        if offset.ndim and offset.shape != W_out.shape[:1]:
            raise ValueError(f"offset must have shape ({W_out.shape[0]},) to match W_out, got {offset.shape}")
        object.__setattr__(self, "W_out", W_out)
        object.__setattr__(self, "offset", np.array(np.broadcast_to(offset, W_out.shape[:1])))

    def __call__(self, states):
        """Return the outputs of states (…, n_units): an array (…, n_outputs)."""
        states = as_finite_array("states", states, self.W_out.dtype)
        if states.ndim == 0 or states.shape[-1] != self.W_out.shape[1]:
            raise ValueError(f"states must have shape (…, {self.W_out.shape[1]}), got {states.shape}")
        return states @ self.W_out.T + self.offset

    def __repr__(self):
        return f"Readout(n_units={self.W_out.shape[1]}, n_outputs={self.W_out.shape[0]})"


@one_blas_thread
def ridge(states, targets, alpha=1e-6):
    """Fit a linear readout with an unpenalised offset by ridge regression.

    Minimises sum_t ‖y_t - W_out x_t - c‖² + alpha ‖W_out‖², by a singular value decomposition of the centred states.

    Parameters
    ----------
    states : array, shape (T, n_units)
        States x_t.
    targets : array, shape (T,) or (T, n_outputs)
        Targets y_t.
    alpha : float
        Penalty, at least 0. With 0, directions below 1e-15 of the largest singular value are left out.

    Returns
    -------
    Readout

    Raises
    ------
    ValueError, TypeError
        If the shapes do not match, a number is not finite, or alpha is negative.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((50, 3))
    >>> np.round(ridge(x, x @ [1.0, 2.0, 3.0] + 4.0, alpha=0.0).W_out, 6)
    array([[1., 2., 3.]])
    """
    states = as_finite_array("states", states)
    if states.ndim != 2 or states.shape[1] == 0:
        raise ValueError(
            f"states must have shape (T, n_units) (reshape batches to (B * T, n_units)), got {states.shape}"
        )
    targets = as_finite_array("targets", targets, ndim=(1, 2))
    targets = targets[:, None] if targets.ndim == 1 else targets
    if targets.shape[0] != states.shape[0] or states.shape[0] < 2 or targets.shape[1] == 0:
        raise ValueError(f"targets must have shape ({states.shape[0]}, …) and 2 rows or more, got {targets.shape}")
    alpha = as_non_negative_float("alpha", alpha)
    center, middle = states.mean(axis=0), targets.mean(axis=0)
    U, s, Vt = np.linalg.svd(states - center, full_matrices=False)
    kept = s > 1e-15 * s.max(initial=0.0)
    U, s, Vt = U[:, kept], s[kept], Vt[kept]
    W_out = ((U.T @ (targets - middle)) * (s / (s**2 + alpha))[:, None]).T @ Vt
    return Readout(W_out, middle - W_out @ center)
