"""Separation and dimension of states: how many directions inputs drive apart, and how many the states really use."""

from dataclasses import dataclass

import numpy as np

from penstock.analysis.regression import N_BLOCKS, count_observed, draw_inputs
from penstock.analysis.sums import EPS
from penstock.checks import as_finite_array, as_fraction, as_int, as_matrix, as_non_negative_float, generators
from penstock.laws import Law, Uniform
from penstock.progress import track
from penstock.system import System, as_system
from penstock.threads import one_blas_thread

__all__ = [
    "ParticipationRatio",
    "Rank",
    "Separation",
    "autocorrelation_time",
    "effective_degrees_of_freedom",
    "generalisation_rank",
    "henrici_number",
    "kernel_rank",
    "participation_ratio",
    "separation",
]

BLOCK_BYTES = 2**25  # of the states of all streams in one block


@dataclass(frozen=True, repr=False, eq=False)
class Rank:
    """Hold the rank of the states that m input streams lead to.

    Attributes
    ----------
    rank : int
        Singular values above `tol` times the largest.
    entropy_rank : float
        ``exp(-sum p_i ln p_i)`` of the singular values divided by their sum: a rank without a threshold, from 1 to m.
    singular_values, centred_singular_values : array, shape (min(m, N),)
        Of the states, and of their deviations from the mean over the streams; both decreasing.
    states : array, shape (m, N)
        The observed states after the last step.
    n_steps, shared_steps : int
        Steps of every stream, and those at the end that all share.
    jitter : float
        Standard deviation of the noise on the shared steps, relative to that of the inputs.
    tol, input_law, seed
        As given.
    """

    rank: int
    entropy_rank: float
    singular_values: np.ndarray
    centred_singular_values: np.ndarray
    states: np.ndarray
    n_steps: int
    shared_steps: int
    jitter: float
    tol: float
    input_law: Law
    seed: int | np.random.SeedSequence

    def plot(self, ax=None):
        """Draw the singular values with the threshold; return the matplotlib axes."""
        from penstock.analysis.plots import plot_singular_values

        return plot_singular_values([self], ax)

    def __repr__(self):
        m, n = self.states.shape
        kind = f"sharing the last {self.shared_steps}" if self.shared_steps else "independent"
        jitter = f", jitter {self.jitter:g}" if self.jitter else ""
        return "\n".join(
            [
                f"Rank: {self.rank} of at most {min(m, n)} at a relative threshold of {self.tol:g}",
                f"  entropy     {self.entropy_rank:.4g}",
                f"  streams     {m} of {self.n_steps} steps, {kind}{jitter}; {n} observed units",
                f"  input       {getattr(self.input_law, '__qualname__', None) or self.input_law!r}, seed {self.seed}",
            ]
        )


@dataclass(frozen=True, repr=False, eq=False)
class Separation:
    """Hold the kernel rank and the generalisation rank of one system.

    Attributes
    ----------
    kernel, generalisation : Rank
        For streams that differ throughout, which should be told apart, and for streams that differ in their past or by
        noise only, which should not.
    difference, entropy_difference : float
        What is left of the first when the second is subtracted: largest where a system computes best.
    """

    kernel: Rank
    generalisation: Rank

    @property
    def difference(self) -> int:
        """Kernel rank less generalisation rank."""
        return self.kernel.rank - self.generalisation.rank

    @property
    def entropy_difference(self) -> float:
        """The same of the entropy ranks."""
        return self.kernel.entropy_rank - self.generalisation.entropy_rank

    def plot(self, ax=None):
        """Draw the singular values of both with the threshold; return the matplotlib axes."""
        from penstock.analysis.plots import plot_singular_values

        return plot_singular_values([self.kernel, self.generalisation], ax)

    def __repr__(self):
        head = f"Separation: {self.difference} in rank, {self.entropy_difference:.4g} in entropy rank"
        return "\n".join([head, "kernel " + repr(self.kernel), "generalisation " + repr(self.generalisation)])


@one_blas_thread
def kernel_rank(
    system: System,
    *,
    n_streams: int | None = None,
    n_steps: int = 100,
    input_law: Law | None = None,
    tol: float = 1e-2,
    seed: int | np.random.SeedSequence,
    progress: bool = True,
) -> Rank:
    """Return the rank of the states after m independent input streams: how many of them a readout can tell apart.

    Parameters
    ----------
    system : System
        Any system with inputs; it starts from zero. The readout sees ``system.observed``, N units.
    n_streams : int, optional
        Number m of streams, N by default.
    n_steps : int, optional
        Length of every stream in steps.
    input_law : callable, optional
        Law of the inputs, ``(rng, size) -> array``; `Uniform(-1, 1)` by default.
    tol : float, optional
        A singular value counts if it is above `tol` times the largest. It stands for the noise that the readout meets:
        with a tiny one nearly every system has full rank.
    seed : int or SeedSequence
        Seed of the inputs.
    progress : bool, optional
        Whether a bar appears when the run takes longer than two seconds.

    Returns
    -------
    Rank

    Raises
    ------
    TypeError, ValueError
        If an argument is of no use.
    FloatingPointError
        If a state stops being finite.

    References
    ----------
    R. Legenstein, W. Maass, Edge of chaos and prediction of computational performance for neural circuit models,
    Neural Networks 20, 323 (2007).

    Examples
    --------
    A shift register of four units keeps four inputs, and any four streams apart:

    >>> from penstock import Map
    >>> register = Map(lambda x, u: np.concatenate([u, x[:-1]]), n_units=4, n_inputs=1)
    >>> kernel_rank(register, seed=0).rank
    4
    """
    return _rank(system, n_streams, n_steps, 0, 0.0, input_law, tol, seed, progress)


@one_blas_thread
def generalisation_rank(
    system: System,
    *,
    n_streams: int | None = None,
    n_steps: int = 100,
    shared_steps: int = 50,
    jitter: float = 0.0,
    input_law: Law | None = None,
    tol: float = 1e-2,
    seed: int | np.random.SeedSequence,
    progress: bool = True,
) -> Rank:
    """Return the rank of the states after m streams that share their end: what the system fails to forget or smooth.

    Parameters
    ----------
    system, n_streams, n_steps, input_law, tol, seed, progress
        As in `kernel_rank`.
    shared_steps : int, optional
        The last steps of the streams, equal in all of them; `n_steps` for streams that differ by `jitter` alone.
    jitter : float, optional
        Standard deviation of normal noise added to the shared steps, relative to that of the inputs.

    Returns
    -------
    Rank

    Raises
    ------
    TypeError, ValueError
        If an argument is of no use, or all streams would be the same.
    FloatingPointError
        If a state stops being finite.

    References
    ----------
    Legenstein and Maass (2007), as for `kernel_rank`. L. Büsing, B. Schrauwen, R. Legenstein, Connectivity, dynamics,
    and memory in reservoir computing with binary and analog neurons, Neural Computation 22, 1272 (2010).

    Examples
    --------
    After three shared steps, a shift register of four units tells streams apart by one input alone:

    >>> from penstock import Map
    >>> register = Map(lambda x, u: np.concatenate([u, x[:-1]]), n_units=4, n_inputs=1)
    >>> generalisation_rank(register, shared_steps=3, seed=0).rank  # the shared inputs, and the other one
    2
    """
    n_steps, shared_steps = as_int("n_steps", n_steps), as_int("shared_steps", shared_steps, minimum=0)
    jitter = as_non_negative_float("jitter", jitter)
    if shared_steps > n_steps:
        raise ValueError(f"shared_steps must be at most n_steps = {n_steps}, got {shared_steps}")
    if shared_steps == n_steps and jitter == 0:
        raise ValueError(
            f"shared_steps must be below n_steps = {n_steps} if jitter is 0: all streams would be the same"
        )
    return _rank(system, n_streams, n_steps, shared_steps, jitter, input_law, tol, seed, progress)


def separation(
    system: System,
    *,
    n_streams: int | None = None,
    n_steps: int = 100,
    shared_steps: int = 50,
    jitter: float = 0.0,
    input_law: Law | None = None,
    tol: float = 1e-2,
    seed: int | np.random.SeedSequence,
    progress: bool = True,
) -> Separation:
    """Return the kernel rank and the generalisation rank on the same streams, and their difference.

    Parameters
    ----------
    system, n_streams, n_steps, shared_steps, jitter, input_law, tol, seed, progress
        As in `generalisation_rank`.

    Returns
    -------
    Separation

    Examples
    --------
    >>> from penstock import Map
    >>> register = Map(lambda x, u: np.concatenate([u, x[:-1]]), n_units=4, n_inputs=1)
    >>> separation(register, shared_steps=3, seed=0).difference
    2
    """
    shared = dict(n_streams=n_streams, n_steps=n_steps, input_law=input_law, tol=tol, seed=seed, progress=progress)
    generalisation = generalisation_rank(system, shared_steps=shared_steps, jitter=jitter, **shared)
    return Separation(kernel_rank(system, **shared), generalisation)


def _rank(system, n_streams, n_steps, shared_steps, jitter, law, tol, seed, progress) -> Rank:
    system = as_system(system)
    n_units = count_observed(system, "to tell apart")
    n_streams = n_units if n_streams is None else as_int("n_streams", n_streams)
    n_steps, tol = as_int("n_steps", n_steps), as_fraction("tol", tol)
    law = Uniform(-1.0, 1.0) if law is None else law
    u = _streams(law, (n_streams, n_steps, system.n_inputs), shared_steps, jitter, seed)
    states = _last_states(system, u, progress)
    values = np.linalg.svd(states, compute_uv=False)
    share = values[values > 0] / values.sum() if values.any() else np.ones(0)
    return Rank(
        rank=int((values > tol * values.max()).sum()),
        entropy_rank=float(np.exp(-(share * np.log(share)).sum())) if share.size else 0.0,
        singular_values=values,
        centred_singular_values=np.linalg.svd(states - states.mean(axis=0), compute_uv=False),
        states=states,
        n_steps=n_steps,
        shared_steps=shared_steps,
        jitter=jitter,
        tol=tol,
        input_law=law,
        seed=seed,
    )


def _streams(law, shape, shared_steps, jitter, seed) -> np.ndarray:
    """Return input streams (m, T, n_inputs), the end of the first copied to all."""
    drawing, shaking = generators(seed, 2)
    u = draw_inputs(law, shape, drawing)
    if shared_steps:
        u[:, -shared_steps:] = u[0, -shared_steps:]
        noise = shaking.standard_normal((shape[0], shared_steps, shape[2]))
        u[:, -shared_steps:] += jitter * u.std() * noise
    return u


def _last_states(system, u, progress) -> np.ndarray:
    """Run all streams as one batch, keeping one block of states at a time."""
    size = int(np.clip(BLOCK_BYTES // (8 * u.shape[0] * system.n_units), 1, u.shape[1]))
    blocks = system.blocks(u, size)
    for block in track(blocks, -(-u.shape[1] // size), "states of all streams", progress):
        last = block[:, -1, system.observed]
    return np.array(last, dtype=np.float64)


# Dimension of states


@dataclass(frozen=True, repr=False, eq=False)
class ParticipationRatio:
    """Hold estimates of the dimension ``(tr C)^2 / tr(C^2)`` of states with covariance C.

    Attributes
    ----------
    value, standard_error : float
        The estimate with the effective number of steps, and its error: jackknife over ten contiguous blocks.
    naive : float
        With the sample covariance in the place of C. Too small: white noise in N units gives about N / (1 + N / T).
    independent : float
        Unbiased numerator and denominator for normal, independent steps; too small if steps are correlated.
    n_effective : float
        Independent steps worth as much as the T correlated ones, ``T / sum_k (tr R_k / tr C)^2`` over the lags k, R_k
        the autocovariance; exact if all directions share one autocorrelation.
    n_units, n_steps : int
        N and T.
    """

    value: float
    standard_error: float
    naive: float
    independent: float
    n_effective: float
    n_units: int
    n_steps: int

    def __repr__(self):
        return "\n".join(
            [
                f"ParticipationRatio: {self.value:.4g} ± {self.standard_error:.2g} (standard error) of {self.n_units}",
                f"  naive       {self.naive:.4g}; {self.independent:.4g} if all steps were independent",
                f"  length      {self.n_steps} steps, worth {self.n_effective:.4g} independent ones",
            ]
        )


@one_blas_thread
def participation_ratio(states) -> ParticipationRatio:
    """Estimate the number of directions that states occupy, ``(tr C)^2 / tr(C^2)``: N if all vary alike, 1 on a line.

    Parameters
    ----------
    states : array, shape (T, N)
        States of one run, transient removed.

    Returns
    -------
    ParticipationRatio
        The estimate corrected for the finite number of correlated steps, and the uncorrected ones.

    Raises
    ------
    ValueError
        If there are fewer than 20 steps, or no unit varies.

    Examples
    --------
    Three of ten units carry white noise:

    >>> rng = np.random.default_rng(0)
    >>> x = np.pad(rng.standard_normal((5000, 3)), ((0, 0), (0, 7)))
    >>> round(participation_ratio(x).value, 1)
    3.0
    """
    x = _as_varying("states", states)
    x = x / np.abs(x).max()  # fourth powers of other sizes would overflow
    T = len(x)
    squares = (x @ x.T if T <= x.shape[1] else x.T @ x) / (T - 1)  # both have the same traces
    n_effective = T / _squared_correlations(x)
    # the correction exists from two independent steps on
    value = _dimension(x, min(max(n_effective - 1, 2.0), T - 1))
    parts = np.array_split(np.arange(T), N_BLOCKS)
    without = [_dimension(np.delete(x, part, axis=0), max((n_effective - 1) * 0.9, 2.0)) for part in parts]
    return ParticipationRatio(
        value=value,
        standard_error=float(np.sqrt((N_BLOCKS - 1) * np.var(without))) if np.isfinite(without).all() else np.inf,
        naive=float(np.trace(squares) ** 2 / (squares**2).sum()),
        independent=_dimension(x, T - 1),
        n_effective=float(n_effective),
        n_units=x.shape[1],
        n_steps=T,
    )


def _as_varying(name, states, least=2 * N_BLOCKS) -> np.ndarray:
    """Return the deviations of states (T, N) from their mean."""
    x = as_finite_array(name, states, ndim=2)
    if len(x) < least:
        raise ValueError(f"{name} must have at least {least} steps, got shape {x.shape}")
    deviations = x - x.mean(axis=0)
    if not np.abs(deviations).max(initial=0.0) > 1e-13 * np.abs(x).max(initial=0.0):
        raise ValueError(f"{name} must vary, got the same state at every step")
    return deviations


def _dimension(x, n) -> float:
    """Return the ratio of unbiased estimates for the sample covariance S of n + 1 independent normal steps."""
    x = x - x.mean(axis=0)
    squares = (x @ x.T if len(x) <= x.shape[1] else x.T @ x) / (len(x) - 1)
    trace, power = np.trace(squares), (squares**2).sum()
    trace_of_square = n**2 / ((n - 1) * (n + 2)) * (power - trace**2 / n)
    if trace_of_square <= 0:  # fewer effective steps than directions: nothing bounds the dimension
        return float("inf")
    return float((trace**2 - 2 * trace_of_square / n) / trace_of_square)


def _squared_correlations(x) -> float:
    """Return ``sum_k (tr R_k / tr C)^2`` over all lags k that matter."""
    correlation = _autocorrelation(x).sum(axis=1)
    return float(_windowed((correlation / correlation[0])[:, None] ** 2)[0])


def _windowed(values) -> np.ndarray:
    """Return ``1 + 2 sum_k values_k`` over the lags k = 1..M, the window M being at least 8 times the result."""
    sums = 2 * np.cumsum(values, axis=0) - 1
    enough = np.arange(len(sums))[:, None] >= 8 * np.maximum(sums, 1.0)  # alternating values sum to less than 1
    end = np.where(enough.any(axis=0), enough.argmax(axis=0), len(sums) - 1)
    return sums[end, np.arange(values.shape[1])]


def _autocorrelation(x) -> np.ndarray:
    """Return the autocovariances (T // 2, N) of deviations x, by FFT."""
    from scipy.fft import irfft, next_fast_len, rfft  # here, because it is slow to import

    T = len(x)
    size = next_fast_len(2 * T, real=True)
    return irfft(np.abs(rfft(x, size, axis=0)) ** 2, size, axis=0)[: T // 2] / T


@one_blas_thread
def autocorrelation_time(states) -> np.ndarray:
    """Return the integrated autocorrelation time ``1 + 2 sum_k r_k`` of every unit in steps, shape (N,).

    A mean over T steps is as good as one over T / tau independent ones. The sum ends at the first lag M with
    ``M >= 8 max(tau(M), 1)``. A unit that does not vary has NaN.

    Parameters
    ----------
    states : array, shape (T, N)
        States of one run, transient removed; T should be hundreds of times the result.

    Returns
    -------
    array, shape (N,)

    References
    ----------
    A. Sokal, Monte Carlo methods in statistical mechanics, in Functional Integration (1997).

    Examples
    --------
    White noise has 1, ``x' = 0.5 x + noise`` has ``(1 + 0.5) / (1 - 0.5)``:

    >>> from scipy.signal import lfilter
    >>> noise = np.random.default_rng(0).standard_normal((200_000, 1))
    >>> autocorrelation_time(np.hstack([noise, lfilter([1], [1, -0.5], noise, axis=0)])).round(1).tolist()
    [1.0, 3.0]
    """
    x = _as_varying("states", states)
    covariance = _autocorrelation(x)
    still = np.abs(x).max(axis=0) <= 1e-13 * np.abs(x).max()
    return np.where(still, np.nan, _windowed(covariance / np.where(still, 1.0, covariance[0])))


@one_blas_thread
def effective_degrees_of_freedom(states, alpha: float) -> float:
    """Return how many independent coefficients a ridge readout fits, ``sum_i s_i^2 / (s_i^2 + alpha)``.

    The s_i are the singular values of the centred states, and `alpha` the penalty as in `penstock.ridge`.

    Parameters
    ----------
    states : array, shape (T, N)
        The states that the readout is fitted to.
    alpha : float
        Penalty, at least 0.

    Returns
    -------
    float
        Between 0 and the rank, which it is for 0.

    Examples
    --------
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]] * 5)
    >>> round(effective_degrees_of_freedom(x, 10.0), 6)  # s^2 = 10 and 40
    1.3
    """
    alpha = as_non_negative_float("alpha", alpha)
    x = _as_varying("states", states, least=2)
    values = np.linalg.svd(x, compute_uv=False)
    values = values[values > values[0] * max(x.shape) * EPS]
    return float((values / (values + alpha / values)).sum())


@one_blas_thread
def henrici_number(A) -> float:
    """Return how far a matrix is from normal, ``sqrt(|A|_F^2 - sum_i |lambda_i|^2)``: 0 if its modes are orthogonal.

    Parameters
    ----------
    A : array or sparse, shape (N, N)
        Any square matrix.

    Returns
    -------
    float

    Examples
    --------
    >>> henrici_number([[0.5, 2.0], [0.0, 0.3]])
    2.0
    """
    A = as_matrix("A", A, (None, None), np.float64)
    if A.shape[0] != A.shape[1]:
        raise ValueError(f"A must be square, got shape {A.shape}")
    from scipy.linalg import schur  # here, because it is slow to import

    # the part above the diagonal of the Schur form: no difference of large numbers
    triangle, _ = schur(np.asarray(A.toarray() if hasattr(A, "toarray") else A), output="complex")
    return float(np.linalg.norm(np.triu(triangle, 1)))
