"""Conceptors: soft projections onto the states that a pattern visits, their logic, and networks run through them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real

import numpy as np
import scipy  # its parts load at first use

from penstock.checks import as_finite_array, as_inputs, as_int, as_positive_float
from penstock.readout import Readout, ridge
from penstock.reservoirs.esn import ESN, set_fields
from penstock.system import Around, SystemDefaults, as_system
from penstock.threads import one_blas_thread

__all__ = ["Conceptor", "Conceptored", "LoadedPatterns", "load_patterns"]

_ROUNDING = 1e-8  # by which a matrix may miss symmetry or [0, 1] and still be meant as a conceptor


@dataclass(frozen=True, eq=False, repr=False)
class Conceptor:
    """Hold a conceptor: a symmetric matrix whose eigenvalues in [0, 1] say how far each direction is let through.

    ``~a`` is NOT, ``a & b`` is AND, ``a | b`` is OR. De Morgan's laws and double negation hold; for hard projectors
    (eigenvalues 0 and 1) AND projects onto the intersection of the ranges and OR onto their span. A mixture
    ``Conceptor((1 - mu) * a.C + mu * b.C)`` morphs one pattern into another.

    Parameters
    ----------
    C : array, shape (N, N)
        The matrix. `Conceptor.of` computes it from states.

    Raises
    ------
    ValueError
        If `C` is not square, not symmetric, or has eigenvalues outside [0, 1].

    References
    ----------
    H. Jaeger (2014), Controlling recurrent neural networks by conceptors, arXiv 1403.3369; logic in section 3.9.

    Examples
    --------
    >>> import numpy as np
    >>> a = Conceptor.of(np.array([[3.0, 0.0], [0.0, 0.0]]), aperture=1.0)  # mean square 4.5 along the first unit
    >>> np.diag(a.C).round(3).tolist(), np.diag((~a).C).round(3).tolist()
    ([0.818, 0.0], [0.182, 1.0])
    >>> a & ~a
    Conceptor(n_units=2, quota=0.08738, 0 of 2 singular values above 1/2)
    """

    C: np.ndarray

    def __post_init__(self):
        C = as_finite_array("C", self.C, ndim=2)
        if C.shape[0] != C.shape[1] or C.size == 0:
            raise ValueError(f"C must be a square array and not empty, got shape {C.shape}")
        if np.abs(C - C.T).max() > _ROUNDING:
            raise ValueError(f"C must be symmetric, got entries that differ by {np.abs(C - C.T).max():.3g}")
        C = 0.5 * (C + C.T)
        C.flags.writeable = False
        set_fields(self, C=C)
        low, high = self._decomposed[0][[0, -1]]
        if low < -_ROUNDING or high > 1 + _ROUNDING:
            raise ValueError(f"C must have eigenvalues in [0, 1], got {low:.6g} to {high:.6g}")

    @classmethod
    @one_blas_thread
    def of(cls, states, aperture):
        """Return the conceptor of states: C = R (R + a^-2 I)^-1 with R = sum_t x_t x_t^T / T and aperture a.

        It minimises mean ‖x - C x‖^2 + a^-2 ‖C‖^2. Eigenvalues s of R become s / (s + a^-2), below 1.

        Parameters
        ----------
        states : array, shape (T, N) or (B, T, N), or iterator of such arrays
            States, or blocks of them as ``system.blocks(u, size)`` yields: then they are never stored together.
        aperture : float
            Aperture a, at least 0. 0 blocks everything, inf is the hard projector onto the span of the states.
        """
        s, U = np.linalg.eigh(_correlation(states))
        return cls(_assemble(_let_through(s, _over_square(1.0, _as_aperture("aperture", aperture))), U))

    @property
    def n_units(self):
        """Dimension N of the states."""
        return self.C.shape[0]

    @property
    def singular_values(self):
        """Singular values (the eigenvalues) in [0, 1], the largest first; shape (N,)."""
        return np.clip(self._decomposed[0][::-1], 0.0, 1.0)

    @property
    def quota(self):
        """Mean singular value: the share of the state space that is let through."""
        return float(self.singular_values.mean())

    @one_blas_thread
    def with_aperture(self, gamma):
        """Return phi(C, gamma) = C (C + gamma^-2 (I - C))^-1, the aperture multiplied by `gamma` (0 to inf)."""
        s, U = np.clip(self._decomposed[0], 0.0, 1.0), self._decomposed[1]
        blocked = np.where(1 - s > _cut(s), 1 - s, 0.0)
        return Conceptor(_assemble(_let_through(s, _over_square(blocked, _as_aperture("gamma", gamma))), U))

    def similarity(self, other):
        """Return trace(A B) / (‖A‖ ‖B‖) in Frobenius norms: 1 for equal directions and weights, 0 for disjoint ones."""
        A, B = self.C, self._other(other).C
        norms = np.linalg.norm(A) * np.linalg.norm(B)
        if norms == 0:
            raise ValueError("the similarity of a conceptor that is zero is not defined; use a larger aperture")
        return float((A * B).sum() / norms)

    def evidence(self, states):
        """Return x^T C x of states (…, N), shape (…): how much of each lies where the conceptor lets it through.

        To classify, compare the evidence of every class's conceptor, or add that for none of the others,
        ``(~(b | c)).evidence(x)``. States of different length compare after normalisation.
        """
        x = as_finite_array("states", states)
        if x.ndim == 0 or x.shape[-1] != self.n_units:
            raise ValueError(f"states must have shape (…, {self.n_units}), got {x.shape}")
        return ((x @ self.C) * x).sum(axis=-1)

    def plot(self, ax=None):
        """Draw the singular values, the largest first; return the matplotlib axes."""
        from penstock.reservoirs.plots import plot_conceptors

        return plot_conceptors([self], ax)

    def __invert__(self):
        return Conceptor(np.eye(self.n_units) - self.C)

    def __and__(self, other):
        return Conceptor(_intersect(self._decomposed, self._other(other)._decomposed))

    def __or__(self, other):
        (a, U), (b, V) = self._decomposed, self._other(other)._decomposed
        return Conceptor(np.eye(self.n_units) - _intersect((1 - a, U), (1 - b, V)))

    def __repr__(self):
        wide = int((self.singular_values > 0.5).sum())
        return (
            f"Conceptor(n_units={self.n_units}, quota={self.quota:.4g}, "
            f"{wide} of {self.n_units} singular values above 1/2)"
        )

    @cached_property
    @one_blas_thread
    def _decomposed(self):
        return np.linalg.eigh(self.C)

    def _other(self, other):
        if not isinstance(other, Conceptor):
            raise TypeError(f"the other operand must be a Conceptor, got {other!r}")
        if other.n_units != self.n_units:
            raise ValueError(f"the other conceptor must have {self.n_units} units, got {other.n_units}")
        return other


@dataclass(frozen=True, eq=False, repr=False)
class Conceptored(Around):
    """Run a system through a conceptor: x_t = C F(x_{t-1}, u_t).

    Parameters
    ----------
    system : System
        The rule F, usually the autonomous network of `load_patterns`.
    conceptor : Conceptor
        Of as many units; C acts on the whole state.

    Raises
    ------
    TypeError, ValueError
        If one of them is of another kind, or their sizes differ.

    References
    ----------
    H. Jaeger (2014), Controlling recurrent neural networks by conceptors, arXiv 1403.3369.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.reservoirs import ESN
    >>> esn = ESN.random(30, seed=0)
    >>> states = esn.run(np.sin(np.arange(300)))
    >>> Conceptored(esn, Conceptor.of(states, aperture=10.0)).run(np.sin(np.arange(50.0))).shape
    (50, 30)
    """

    system: SystemDefaults
    conceptor: Conceptor

    def __post_init__(self):
        system = as_system(self.system)
        if not isinstance(self.conceptor, Conceptor):
            raise TypeError(f"conceptor must be a Conceptor, got {self.conceptor!r}")
        if self.conceptor.n_units != system.n_units:
            raise ValueError(f"conceptor must have {system.n_units} units like system, got {self.conceptor.n_units}")
        set_fields(self, system=system)

    def __repr__(self):
        return f"Conceptored({self.system!r}, {self.conceptor!r})"

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        return self._C @ self.system.step(x, u)

    def jacobian(self, x, u):
        """Return d step / d x = C J; shape (n, n)."""
        return self.conceptor.C @ self.system.jacobian(x, u)

    def input_jacobian(self, x, u):
        """Return d step / d u; shape (n, m)."""
        return self.conceptor.C @ self.system.input_jacobian(x, u)

    def lure_blocks(self):
        """Return the one layer of the system with its A and B multiplied by C; none if it has not exactly one."""
        blocks = self.system.lure_blocks()
        C = self.conceptor.C
        return tuple(block._replace(A=C @ block.A, B=C @ block.B) for block in blocks) if len(blocks) == 1 else ()

    def piecewise_linear(self, u):
        """Return the system's (A, B, C, d, h) with A, B and h multiplied by the conceptor; None if it has none."""
        form = self.system.piecewise_linear(u)
        if form is None:
            return None
        A, B, C, d, h = form
        project = self.conceptor.C
        return project @ A, project @ B, C, d, project @ h

    def _jacobians(self, X, U):
        return self.conceptor.C @ self.system.jacobians(X, U)

    @cached_property
    def _C(self):
        return self.conceptor.C.astype(self.dtype)

    @one_blas_thread
    @np.errstate(over="ignore", invalid="ignore")  # `run` says where a state diverged
    def _run(self, u, x0, out):
        x, free = x0, np.empty((*x0.shape[:-1], 1, self.n_units), self.dtype)
        for t in range(u.shape[-2]):
            if self.system._run(np.ascontiguousarray(u[..., t : t + 1, :]), x, free):
                out[..., t:, :] = free
                return True
            x = free[..., 0, :] @ self._C
            out[..., t, :] = x
        return not np.isfinite(x).all()

    def _push(self, x, u, V, dU, tape):
        none = np.empty((0, V.shape[0], 0), self.dtype)
        for t in range(u.shape[0]):
            self.system._push(x, u[t : t + 1], V, dU[t : t + 1], none)
            x[:], V[:] = x @ self._C, V @ self._C
            if tape.shape[0]:
                tape[t] = V


@dataclass(frozen=True, eq=False, repr=False)
class LoadedPatterns:
    """Hold a network that has internalised several patterns, and the conceptor that calls up each.

    Attributes
    ----------
    system : ESN
        The autonomous network, its W retrained; without a conceptor it mixes the patterns.
    readout : Readout
        From states to patterns, one for all.
    conceptors : tuple of Conceptor
        One for each pattern.
    starts : array, shape (P, N)
        Last driven state of every pattern, from which it goes on in phase.
    loading_error : array, shape (P,)
        Root mean square of W x_{t-1} - (W* x_{t-1} + W_in u_t) over units and steps: what the drive has lost.
    readout_error : array, shape (P,)
        Root mean square error of the readout on the driven states, in units of the pattern.
    apertures : array, shape (P,)
        Of the conceptors.
    washout : int
        Steps left out at the start of every pattern.
    alpha, readout_alpha : float
        Ridge penalties of the retrained weights and of the readout.
    """

    system: ESN
    readout: Readout
    conceptors: tuple[Conceptor, ...]
    starts: np.ndarray
    loading_error: np.ndarray
    readout_error: np.ndarray
    apertures: np.ndarray
    washout: int
    alpha: float
    readout_alpha: float

    def recall(self, pattern):
        """Return the network under the conceptor of that pattern, counted from 0: a System without inputs."""
        pattern = as_int("pattern", pattern, minimum=0)
        if pattern >= len(self.conceptors):
            raise ValueError(f"pattern must be below {len(self.conceptors)}, counted from 0, got {pattern}")
        return Conceptored(self.system, self.conceptors[pattern])

    def plot(self, ax=None):
        """Draw the singular values of all conceptors; return the matplotlib axes."""
        from penstock.reservoirs.plots import plot_conceptors

        return plot_conceptors(self.conceptors, ax)

    def __repr__(self):
        lines = [
            f"LoadedPatterns: {len(self.conceptors)} patterns in {self.system!r}",
            "  pattern  aperture  quota    loading error  readout error (rms)",
        ]
        columns = zip(self.apertures, self.conceptors, self.loading_error, self.readout_error, strict=True)
        for number, (aperture, conceptor, loading, reading) in enumerate(columns):
            lines.append(f"  {number:<7}  {aperture:<8.3g}  {conceptor.quota:<7.3g}  {loading:<13.3g}  {reading:.3g}")
        lines.append(
            f"  alpha {self.alpha:g} for W, {self.readout_alpha:g} for the readout; washout {self.washout} steps"
        )
        return "\n".join(lines)


@one_blas_thread
def load_patterns(
    esn: ESN,
    patterns: Sequence[np.ndarray],
    *,
    aperture: float | Sequence[float] = 10.0,
    washout: int = 500,
    alpha: float = 1e-4,
    readout_alpha: float = 1e-2,
) -> LoadedPatterns:
    """Load several patterns into one network, each of which it then generates by itself under its conceptor.

    The network is driven by every pattern in turn. Its recurrent weights are retrained to do the input's part, W
    minimising ``sum_t ‖W x_{t-1} - (W* x_{t-1} + W_in u_t)‖^2 + alpha ‖W‖^2``; a ridge readout learns the patterns;
    the states under each pattern give its conceptor. Pattern j is generated by x_t = C_j F(x_{t-1}).

    Parameters
    ----------
    esn : ESN
        Network with inputs, weights W*. Jaeger's settings: 100 units, spectral radius 1.5, input scaling 1.5, bias
        scaling 0.2.
    patterns : sequence of arrays, shape (T_j,) or (T_j, m)
        At least one; lengths may differ.
    aperture : float or sequence of floats
        Aperture of all conceptors, or of each. Too small ones let a pattern fade, too large ones let it drift.
    washout : int
        Steps left out at the start of every pattern, at least 1.
    alpha, readout_alpha : float
        Ridge penalties above 0 of the weights and of the readout, beside sums over all steps.

    Returns
    -------
    LoadedPatterns
        ``loaded.recall(j)`` is the network under conceptor j, ``loaded.readout`` reads the pattern from its states.

    Raises
    ------
    TypeError, ValueError
        If `esn` is no ESN with inputs, a pattern does not fit it or is not longer than the washout, or a setting is
        out of range.

    References
    ----------
    H. Jaeger (2014), Controlling recurrent neural networks by conceptors, arXiv 1403.3369, sections 3.2 to 3.4.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.reservoirs import ESN
    >>> esn = ESN.random(100, spectral_radius=0.9, input_scaling=1.5, bias_scaling=0.2, seed=0)
    >>> t = np.arange(1000)
    >>> loaded = load_patterns(esn, [np.sin(t / 1.4), np.sin(t / 2.2)])
    >>> states = loaded.recall(1).run(60, x0=loaded.starts[1])
    >>> bool(np.abs(loaded.readout(states)[:, 0] - np.sin(np.arange(1000, 1060) / 2.2)).max() < 0.1)
    True
    """
    if not isinstance(esn, ESN) or esn.n_inputs == 0:
        raise TypeError(f"esn must be an ESN with inputs, got {esn!r}")
    washout = as_int("washout", washout)
    alpha, readout_alpha = as_positive_float("alpha", alpha), as_positive_float("readout_alpha", readout_alpha)
    series = _as_patterns(patterns, esn, washout)
    apertures = _as_apertures(aperture, len(series))

    runs = [esn.run(u) for u in series]
    states, inputs = [x[washout:] for x in runs], [u[washout:] for u in series]
    before = [x[washout - 1 : -1] for x in runs]
    drives = [x @ esn.W.T + u @ esn.W_in.T for x, u in zip(before, inputs, strict=True)]
    W = _ridge_weights(np.concatenate(before), np.concatenate(drives), alpha)
    readout = ridge(np.concatenate(states), np.concatenate(inputs), readout_alpha)
    return LoadedPatterns(
        system=replace(esn, W=W.astype(esn.dtype), W_in=np.empty((esn.n_units, 0))),
        readout=readout,
        conceptors=tuple(Conceptor.of(x, a) for x, a in zip(states, apertures, strict=True)),
        starts=np.array([x[-1] for x in runs]),
        loading_error=np.array([_rms(x @ W.T - drive) for x, drive in zip(before, drives, strict=True)]),
        readout_error=np.array([_rms(readout(x) - u) for x, u in zip(states, inputs, strict=True)]),
        apertures=apertures,
        washout=washout,
        alpha=alpha,
        readout_alpha=readout_alpha,
    )


# --- checks ---------------------------------------------------------------------------------------------------------


def _as_aperture(name, value):
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    aperture = np.float64(float(value))
    if not aperture >= 0:
        raise ValueError(f"{name} must be at least 0 (inf allowed), got {value}")
    return aperture


def _as_apertures(aperture, count):
    each = [aperture] * count if np.ndim(aperture) == 0 else list(aperture)
    if len(each) != count:
        raise ValueError(f"aperture must be a number or one for each of {count} patterns, got {len(each)}")
    return np.array([_as_aperture("aperture", one) for one in each])


def _as_patterns(patterns, esn, washout):
    """Return every pattern as an array (T, m) longer than the washout."""
    if isinstance(patterns, np.ndarray) or not isinstance(patterns, Iterable):
        raise TypeError(f"patterns must be a list of arrays, one for each pattern, got {type(patterns).__name__}")
    series = []
    for number, pattern in enumerate(patterns):
        try:
            series.append(as_inputs(pattern, esn.n_inputs, esn.dtype))
        except (TypeError, ValueError) as error:
            raise type(error)(f"patterns[{number}]: {error}") from None
    if not series:
        raise ValueError("patterns must hold at least one pattern, got none")
    for number, u in enumerate(series):
        if u.ndim != 2 or len(u) <= washout:
            raise ValueError(
                f"patterns[{number}] must be one series of more than washout={washout} steps, got shape {u.shape}"
            )
    return series


# --- linear algebra -------------------------------------------------------------------------------------------------


def _correlation(states):
    """Return R = X^T X / T of states (T, N), or of blocks of them."""
    gram, count = np.zeros((0, 0)), 0
    for block in states if hasattr(states, "__next__") else [states]:
        x = as_finite_array("states", block, ndim=(2, 3))
        x = x.reshape(-1, x.shape[-1])
        if count and x.shape[1] != len(gram):
            raise ValueError(f"states must have {len(gram)} units in every block, got {x.shape[1]}")
        gram, count = x.T @ x + (gram if count else 0.0), count + len(x)
    if count == 0 or gram.size == 0:
        raise ValueError("states must hold at least one state, got none")
    return gram / count


def _cut(s):
    """Eigenvalues at most this far from 0 are rounding."""
    return len(s) * np.finfo(np.float64).eps * np.abs(s).max(initial=0.0)


def _over_square(value, aperture):
    """Return value / aperture^2, with 0 / 0^2 = 0 and value / inf^2 = 0."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        return np.where(value == 0, 0.0, value / aperture**2)


def _let_through(s, penalty):
    """Return s / (s + penalty), 0 where s is."""
    safe = np.where(s > _cut(s), s, 1.0)
    return np.where(s > _cut(s), safe / (safe + penalty), 0.0)


def _assemble(s, U):
    return (U * s) @ U.T


@one_blas_thread
def _intersect(A, B):
    """Return (A^-1 + B^-1 - I)^-1 of two eigendecompositions (s, U), which holds for singular ones too.

    As A^-1 = I + U diag((1 - s) / s) U^T, it is (G^T G)^-1 with the rows I and sqrt((1 - s) / s) U^T of both in G. An
    eigenvalue 0 is raised to rounding: Jaeger's pseudo-inverse on the intersection of the ranges is the limit. Sorted
    rows and pivoted columns keep the QR decomposition of such unequal rows accurate (A. Cox, N. Higham, 1998, Stability
    of Householder QR factorization for weighted least squares problems), and the result lies in [0, I] in any case.
    """
    rows = [np.eye(len(A[0]))]
    for s, U in (A, B):
        s = np.clip(s, np.finfo(np.float64).eps, 1.0)
        rows.append(np.sqrt((1 - s) / s)[:, None] * U.T)
    G = np.concatenate(rows)
    G = G[np.argsort(-np.abs(G).max(axis=1))]
    R, order = scipy.linalg.qr(G, mode="r", pivoting=True)
    root = np.empty_like(rows[0])
    root[order] = scipy.linalg.solve_triangular(R[: len(root)], np.eye(len(root)))
    return root @ root.T


def _ridge_weights(X, Y, alpha):
    """Return W without offset that minimises ‖Y - X W^T‖^2 + alpha ‖W‖^2."""
    U, s, Vt = np.linalg.svd(X.astype(np.float64), full_matrices=False)
    return (Y.T @ U * (s / (s**2 + alpha))) @ Vt


def _rms(error):
    return float(np.sqrt(np.mean(error**2)))
