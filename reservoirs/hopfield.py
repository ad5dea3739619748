"""Modern (continuous) Hopfield networks: an associative memory whose fixed points can be counted."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from penstock.checks import as_finite_array, as_matrix, as_positive_float, float_type
from penstock.matvec import affine
from penstock.reservoirs.esn import set_fields
from penstock.system import SystemDefaults
from penstock.vmath import all_finite, exp

__all__ = ["ModernHopfield"]


@dataclass(frozen=True, eq=False, repr=False)
class ModernHopfield(SystemDefaults):
    """Retrieve stored patterns: an autonomous map towards the patterns that resemble the state.

    x_t = X^T p, p = softmax(beta X x_{t-1}), with the patterns as rows of X. The Jacobian beta X^T (diag p - p p^T) X
    is symmetric and positive semi-definite, and `energy` never increases. As beta grows the fixed points are first
    one average of all patterns, then averages of similar ones, then every pattern by itself.

    Parameters
    ----------
    patterns : array, shape (P, N)
        Stored patterns. float32 patterns make a float32 model.
    beta : float
        Inverse temperature, above 0.

    Raises
    ------
    ValueError, TypeError
        If there is no pattern, a number is not finite, or beta is not above 0.

    References
    ----------
    H. Ramsauer et al. (2021), Hopfield networks is all you need, ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> memory = ModernHopfield(np.eye(3), beta=20.0)
    >>> memory
    ModernHopfield(n_units=3, n_patterns=3, beta=20.0, float64)
    >>> memory.run(5, x0=[0.6, 0.3, 0.1])[-1].round(3)
    array([1., 0., 0.])
    """

    patterns: np.ndarray
    beta: float

    n_inputs = 0

    def __post_init__(self):
        dtype = float_type(self.patterns)
        patterns = as_matrix("patterns", np.asarray(self.patterns), (None, None), dtype)
        if patterns.size == 0:
            raise ValueError(f"patterns must hold at least one pattern (P, N), got shape {patterns.shape}")
        set_fields(self, patterns=patterns, beta=as_positive_float("beta", self.beta))

    @property
    def n_units(self):
        """Dimension N of a pattern."""
        return self.patterns.shape[1]

    @property
    def dtype(self):
        """Type of the states: that of the patterns."""
        return self.patterns.dtype

    def __repr__(self):
        n_patterns, n_units = self.patterns.shape
        return f"ModernHopfield(n_units={n_units}, n_patterns={n_patterns}, beta={self.beta}, {self.dtype})"

    def step(self, x, u):
        """Return the next state: (n,) -> (n,); u is empty."""
        return self._attention(x) @ self.patterns

    def jacobian(self, x, u):
        """Return d step / d x = beta X^T (diag p - p p^T) X; shape (n, n)."""
        x, _ = self._point(x, u)
        p = self._attention(x)
        mean = p @ self.patterns
        return self.beta * ((self.patterns.T * p) @ self.patterns - np.outer(mean, mean))

    def input_jacobian(self, x, u):
        """Return the empty d step / d u; shape (n, 0)."""
        self._point(x, u)
        return np.empty((self.n_units, 0))

    def energy(self, states):
        """Return the energy of every state: (…, n) -> (…).

        E = -ln(sum_i exp(beta x_i · x)) / beta + x · x / 2 + ln(P) / beta + M^2 / 2, M the largest norm of a pattern.
        """
        states = as_finite_array("states", states)
        if states.ndim == 0 or states.shape[-1] != self.n_units:
            raise ValueError(f"states must have shape (…, {self.n_units}), got {states.shape}")
        X, beta = self.patterns.astype(np.float64), self.beta
        overlap = beta * states @ X.T
        top = overlap.max(axis=-1)
        log_mean = top + np.log(np.exp(overlap - top[..., None]).mean(axis=-1))
        return -log_mean / beta + (states**2).sum(axis=-1) / 2 + (X**2).sum(axis=1).max() / 2

    def _attention(self, x):
        overlap = self.beta * (self.patterns @ x)
        p = np.exp(overlap - np.real(overlap).max())
        return p / p.sum()

    def _run(self, u, x0, out):
        if u.ndim == 3:
            return any([_run_series(self.patterns, self.beta, x, states) for x, states in zip(x0, out, strict=True)])
        return _run_series(self.patterns, self.beta, x0, out)

    def _push(self, x, u, V, dU, tape):
        _push_series(self.patterns, self.beta, u.shape[0], x, V, tape)


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _attend(X, beta, x, none, p):
    """Write softmax(beta X x) into p."""
    affine(X, x, none, p)
    top = p[0]
    for i in range(p.size):
        top = max(top, p[i])
    scale, total = x.dtype.type(beta), x.dtype.type(0)
    for i in range(p.size):
        p[i] = exp(scale * (p[i] - top))
        total += p[i]
    for i in range(p.size):
        p[i] /= total


@njit(cache=True, nogil=True, error_model="numpy")
def _run_series(X, beta, x, out):
    """Run one series; return whether a state was not finite."""
    p, none, nowhere = np.empty_like(X[:, 0]), np.zeros_like(X[:, 0]), np.zeros_like(x)
    for t in range(out.shape[0]):
        _attend(X, beta, x, none, p)
        affine(X.T, p, nowhere, x)
        out[t] = x
    return not all_finite(x)


@njit(cache=True, nogil=True, error_model="numpy")
def _push_series(X, beta, n_steps, x, V, tape):
    """Carry the state and the tangents, rows of V: v <- beta X^T (diag p - p p^T) X v."""
    p, none, nowhere, y = np.empty_like(X[:, 0]), np.zeros_like(X[:, 0]), np.zeros_like(x), np.empty_like(X[:, 0])
    scale = x.dtype.type(beta)
    for t in range(n_steps):
        _attend(X, beta, x, none, p)
        for k in range(V.shape[0]):
            affine(X, V[k], none, y)
            mean = x.dtype.type(0)
            for i in range(p.size):
                mean += p[i] * y[i]
            for i in range(p.size):
                y[i] = scale * p[i] * (y[i] - mean)
            affine(X.T, y, nowhere, V[k])
        affine(X.T, p, nowhere, x)
        if tape.shape[0]:
            tape[t] = V
