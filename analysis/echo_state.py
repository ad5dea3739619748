"""Do runs from different starts meet under the same input, how fast, and where along a parameter does that end?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from penstock.analysis.lyapunov import lyapunov_spectrum
from penstock.checks import as_finite_array, as_inputs, as_int, as_positive_float, as_state, seed_sequence
from penstock.progress import track
from penstock.system import System, as_system
from penstock.threads import one_blas_thread

__all__ = ["EchoStateIndex", "EdgeOfChaos", "echo_state_index", "edge_of_chaos"]

FLOOR = 1e-13  # of the size of a float64 state: below it two runs differ by rounding only
BLOCKS = 10  # of the decay, for its error
BLOCK_BYTES = 2**24


@dataclass(frozen=True, eq=False, repr=False)
class EchoStateIndex:
    """Hold distances between runs from different starts under one input.

    Attributes
    ----------
    index : float
        Mean over starts and over all steps after the washout of ‖x_t - x_t^(p)‖ (Gallicchio).
    standard_error : float
        Its standard error over the starts; inf for a single one.
    tail_index : float
        Mean over starts and over the last `tail` steps of ‖x_t - x_t^(p)‖ / ‖x_t‖, which no transient dominates.
    decay_rate, decay_error : float
        Mean growth of ln ‖x_t - x_t^(p)‖ per unit of time until the first run reaches the floor, the first quarter of
        that time or the washout left out, and its standard error from ten blocks of steps. If the runs meet it is
        the largest conditional Lyapunov exponent; if they stay apart it is near 0 and says nothing. NaN if they meet
        within two steps.
    fitted : tuple of int
        First and last step of the fit.
    forgotten : array of bool, shape (P,)
        Which runs ended within the floor, 1e-13 of the size of the state (5e-5 in float32), of the reference.
    distances : array, shape (P, T)
        ‖x_t - x_t^(p)‖ after every step.
    n_starts, n_steps, washout, tail : int
        Starts P, steps T, and the steps of the two windows.
    floor : float
        Distance, of the size of the state, below which two runs differ by rounding only: 1e-13, 5e-5 in float32.
    spread : float
        Starts are uniform in ±spread.
    seed : int or SeedSequence
        Seed of the starts.
    dt : float
        Time of one step.
    """

    index: float
    standard_error: float
    tail_index: float
    decay_rate: float
    decay_error: float
    fitted: tuple[int, int]
    forgotten: np.ndarray
    distances: np.ndarray
    n_starts: int
    n_steps: int
    washout: int
    tail: int
    floor: float
    spread: float
    seed: int | np.random.SeedSequence
    dt: float

    @property
    def converged(self) -> bool:
        """Whether all runs met, so that the rate of decay is an exponent and the index may tend to 0."""
        return bool(self.forgotten.all())

    def plot(self, ax=None):
        """Draw the distances over time, logarithmic, with the fitted decay; return the matplotlib axes."""
        from penstock.analysis.plots import plot_echo_state_index

        return plot_echo_state_index(self, ax)

    def __repr__(self):
        met = int(self.forgotten.sum())
        apart = "" if self.converged else "; NO EXPONENT unless the runs still approach: some have not met"
        return "\n".join(
            [
                f"EchoStateIndex: {self.index:.4g} ± {self.standard_error:.2g} (mean distance after the washout)",
                f"  tail        {self.tail_index:.4g} of the size of the state, last {self.tail} steps",
                f"  decay       {self.decay_rate:.4g} ± {self.decay_error:.2g} per unit of time, "
                f"steps {self.fitted[0]} to {self.fitted[1]}{apart}",
                f"  forgotten   {met} of {self.n_starts} starts (within {self.floor:.2g} of the size of the state)",
                f"  length      {self.n_steps} steps, washout {self.washout}",
                f"  starts      uniform in ±{self.spread:g}, seed {self.seed}",
            ]
        )


@one_blas_thread
def echo_state_index(
    system: System,
    u=None,
    *,
    n_steps: int | None = None,
    n_starts: int = 10,
    washout: int | None = None,
    tail: int | None = None,
    spread: float = 1.0,
    x0=None,
    seed: int | np.random.SeedSequence,
    progress: bool = True,
) -> EchoStateIndex:
    """Measure how far runs from random starts stay from a reference run under the same input.

    The index is the mean distance after a washout; 0 if the system forgets its start. For a
    linear system it does not depend on the input.

    Parameters
    ----------
    system : System
        Any system.
    u : array, shape (T, m), optional
        One input series.
    n_steps : int, optional
        Steps T of a system without inputs, washout included.
    n_starts : int
        Random starts P, uniform in ±spread; the P + 1 runs are one batch.
    washout : int, optional
        Steps left out of the index, by default a tenth.
    tail : int, optional
        Steps at the end over which the relative index is taken, by default a tenth.
    spread : float
        Half-width of the law of the starts.
    x0 : array, shape (n,), optional
        Start of the reference; by default zero for driven systems and another random start for autonomous ones.
    seed : int or SeedSequence
        Seed of the starts.
    progress : bool
        Whether a bar appears when the run takes longer than two seconds.

    Returns
    -------
    EchoStateIndex
        Index, relative index of the tail, and rate of decay.

    Raises
    ------
    ValueError, TypeError
        If an argument is of no use, or the washout or the tail is longer than the input.
    FloatingPointError
        If a state stops being finite: the runs do not even stay bounded.

    References
    ----------
    C. Gallicchio, Chasing the echo state property, ESANN 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.reservoirs import ESN
    >>> u = np.sin(np.arange(300.0))
    >>> result = echo_state_index(ESN.random(50, spectral_radius=0.8, seed=0), u, seed=1)
    >>> result.tail_index < 1e-9, bool(result.decay_rate < 0)
    (True, True)
    """
    system = as_system(system)
    n_starts, spread = as_int("n_starts", n_starts), as_positive_float("spread", spread)
    u = _one_series(system, u, n_steps)
    T = len(u)
    washout = T // 10 if washout is None else as_int("washout", washout, minimum=0)
    tail = max(1, T // 10) if tail is None else as_int("tail", tail)
    if washout >= T or tail > T:
        raise ValueError(f"washout and tail must be shorter than the {T} steps of u, got {washout} and {tail}")
    rng = np.random.default_rng(seed_sequence(seed))
    starts = rng.uniform(-spread, spread, (n_starts + 1, system.n_units))
    if (
        system.n_inputs or x0 is not None
    ):  # the reference, at whose default an autonomous system might have a fixed point
        starts[-1] = as_state(x0, system.n_units, None)
    distances, size = _distances(system, u, starts, progress)
    floor = FLOOR * np.finfo(system.dtype).eps / np.finfo(np.float64).eps
    start, stop = _window(distances, floor * size, washout)
    usual = np.sqrt(np.mean(size**2)) or distances[:, 0].mean()
    rate, error = _decay(distances[:, start:stop], system.dt)
    means = distances[:, washout:].mean(axis=1)
    return EchoStateIndex(
        index=float(means.mean()),
        standard_error=float(means.std(ddof=1) / np.sqrt(n_starts)) if n_starts > 1 else np.inf,
        tail_index=float(np.mean(distances[:, -tail:] / np.where(size > 0, size, usual or 1.0)[-tail:])),
        decay_rate=rate,
        decay_error=error,
        fitted=(start, stop),
        forgotten=distances[:, -1] <= floor * usual,
        distances=distances,
        n_starts=n_starts,
        n_steps=T,
        washout=washout,
        tail=tail,
        floor=float(floor),
        spread=spread,
        seed=seed,
        dt=float(system.dt),
    )


def _one_series(system, u, n_steps):
    """Return checked inputs (T, m), empty ones for a system without inputs."""
    if system.n_inputs == 0:
        if u is not None:
            raise ValueError("u must be None for a system without inputs; say how long by n_steps")
        if n_steps is None:
            raise ValueError("n_steps must be the number of steps of this system without inputs, got None")
        return as_inputs(as_int("n_steps", n_steps, minimum=2), 0, system.dtype)
    if u is None:
        raise ValueError(f"u must be inputs of shape (T, {system.n_inputs}) of this driven system, got None")
    if n_steps is not None:
        raise ValueError(f"n_steps must be None for a driven system, which runs to the end of u, got {n_steps}")
    u = as_inputs(u, system.n_inputs, system.dtype)
    if u.ndim != 2:
        raise ValueError(f"u must be one series of shape (T, {system.n_inputs}), got {u.shape}")
    if len(u) < 2:
        raise ValueError(f"u must have at least 2 steps, got {len(u)}")
    return u


def _distances(system, u, starts, progress):
    """Return ‖x_t - x_t^(p)‖, shape (P, T), and ‖x_t‖, shape (T,), from one batched run."""
    n_runs, T = len(starts), len(u)
    batch = np.broadcast_to(u, (n_runs, *u.shape))
    size = int(np.clip(BLOCK_BYTES // (8 * n_runs * system.n_units), 1, T))
    distances, norms, end = np.empty((n_runs - 1, T)), np.empty(T), 0
    for states in track(system.blocks(batch, size, starts), -(-T // size), "echo-state index", progress):
        part = slice(end, end + states.shape[1])
        distances[:, part] = np.linalg.norm(states[:-1] - states[-1], axis=-1)
        norms[part] = np.linalg.norm(states[-1], axis=-1)
        end = part.stop
    return distances, norms


def _window(distances, floor, washout):
    """Return first and last step of the decay: before any run has met the floor, without the alignment at the start."""
    met = np.flatnonzero((distances <= floor).any(axis=0))
    stop = int(met[0]) if len(met) else distances.shape[1]
    return min(washout, stop // 4), stop


def _decay(distances, dt):
    """Return the mean growth of ln d per unit of time and its error from blocks; all starts share the input."""
    if distances.shape[1] < 3:
        return np.nan, np.nan
    logs = np.log(distances).mean(axis=0)
    edges = np.linspace(0, len(logs) - 1, min(BLOCKS, len(logs) - 1) + 1).round().astype(int)
    growth = np.diff(logs[edges]) / np.diff(edges) / dt
    return float((logs[-1] - logs[0]) / (len(logs) - 1) / dt), float(growth.std(ddof=1) / np.sqrt(len(growth)))


@dataclass(frozen=True, eq=False, repr=False)
class EdgeOfChaos:
    """Hold the largest Lyapunov exponent over a parameter, and where it crosses 0.

    Attributes
    ----------
    values : array, shape (V,)
        The parameter, increasing.
    exponents, standard_errors : array, shape (V, S)
        Largest exponent of every value and seed, per unit of time, and its standard error.
    crossings : array, shape (S,)
        Value at the first change of sign of every seed, interpolated linearly; NaN if there is none.
    crossing, crossing_error : float
        Their mean and its standard error over the seeds that cross; NaN if none does, or only one for the error.
        The finite grid and the finite size of the systems shift it: see the spacing of `values`.
    seeds : tuple of int
        Seeds of the systems.
    kind : str
        "driven" (conditional exponents along the given input) or "autonomous".
    doubtful : array of bool, shape (V, S)
        Which exponents may not have converged.
    """

    values: np.ndarray
    exponents: np.ndarray
    standard_errors: np.ndarray
    crossings: np.ndarray
    crossing: float
    crossing_error: float
    seeds: tuple[int, ...]
    kind: str
    doubtful: np.ndarray

    def plot(self, ax=None):
        """Draw the exponents of all seeds, their mean and the crossing; return the matplotlib axes."""
        from penstock.analysis.plots import plot_edge_of_chaos

        return plot_edge_of_chaos(self, ax)

    def __repr__(self):
        n, crossed = len(self.seeds), int(np.isfinite(self.crossings).sum())
        rows = zip(self.values, self.exponents, strict=True)
        return "\n".join(
            [
                f"EdgeOfChaos: largest exponent crosses 0 at {self.crossing:.4g} ± {self.crossing_error:.2g} "
                f"({crossed} of {n} seeds)",
                f"  {self.kind}; {int(self.doubtful.sum())} of {self.doubtful.size} exponents in doubt",
                "  value       largest exponent: mean, least and most over the seeds",
                *(f"  {value:<10.4g}  {one.mean():.4g}, {one.min():.4g}, {one.max():.4g}" for value, one in rows),
            ]
        )


@one_blas_thread
def edge_of_chaos(
    make: Callable[[float, int], System],
    values,
    u=None,
    *,
    seeds,
    n_steps: int | None = None,
    washout: int | None = None,
    progress: bool = True,
) -> EdgeOfChaos:
    """Follow the largest Lyapunov exponent over a parameter and find where it crosses 0.

    Parameters
    ----------
    make : function
        ``make(value, seed)`` returns a system.
    values : array, shape (V,)
        At least two values of the parameter, increasing.
    u : array, shape (T, m), optional
        Input of driven systems, the same for all: the exponents are conditional on it.
    seeds : sequence of int
        Seeds of the systems, and of the tangents.
    n_steps, washout : int, optional
        As in `lyapunov_spectrum`.
    progress : bool
        Whether a bar appears when the sweep takes longer than two seconds.

    Returns
    -------
    EdgeOfChaos
        Exponents and crossings.

    Raises
    ------
    ValueError, TypeError
        If an argument is of no use, or `make` does not return a system.
    FloatingPointError
        If a system diverges: names its value and seed.

    References
    ----------
    N. Bertschinger, T. Natschläger, Real-time computation at the edge of chaos in recurrent neural networks, Neural
    Computation 16 (2004). H. Sompolinsky, A. Crisanti, H. Sommers, Chaos in random neural networks, PRL 61 (1988).

    Examples
    --------
    >>> from penstock import identity
    >>> from penstock.reservoirs import ESN
    >>> make = lambda radius, seed: ESN([[radius]], [[1.0]], activation=identity)
    >>> edge_of_chaos(make, [0.8, 0.9, 1.0, 1.1], np.zeros(200), seeds=[0]).crossing
    1.0
    """
    if not callable(make):
        raise TypeError(f"make must be a function (value, seed) that returns a system, got {make!r}")
    values = as_finite_array("values", values, ndim=1)
    if len(values) < 2 or (np.diff(values) <= 0).any():
        raise ValueError(f"values must be at least two increasing numbers, got {values.tolist()}")
    seeds = tuple(as_int("seeds", seed, minimum=0) for seed in np.atleast_1d(seeds).tolist())
    if not seeds:
        raise ValueError("seeds must hold at least one seed, got none")
    pairs = [(value, seed) for value in values.tolist() for seed in seeds]
    settings: dict = dict(n_steps=n_steps, washout=washout, progress=False)
    spectra = [
        _spectrum(make, value, seed, u, settings) for value, seed in track(pairs, len(pairs), "edge of chaos", progress)
    ]
    shape = len(values), len(seeds)
    exponents = np.array([one.exponents[0] for one in spectra]).reshape(shape)
    crossings = np.array([_first_crossing(values, column) for column in exponents.T])
    found = crossings[np.isfinite(crossings)]
    return EdgeOfChaos(
        values=values,
        exponents=exponents,
        standard_errors=np.array([one.standard_errors[0] for one in spectra]).reshape(shape),
        crossings=crossings,
        crossing=float(found.mean()) if len(found) else np.nan,
        crossing_error=float(found.std(ddof=1) / np.sqrt(len(found))) if len(found) > 1 else np.nan,
        seeds=seeds,
        kind=spectra[0].kind,
        doubtful=np.array([bool(one.doubts) for one in spectra]).reshape(shape),
    )


def _spectrum(make, value, seed, u, settings):
    system = as_system(make(value, seed))
    try:
        return lyapunov_spectrum(system, u, 1, seed=seed, **settings)
    except FloatingPointError as error:
        raise FloatingPointError(f"make({value:g}, {seed}): {error}") from None


def _first_crossing(values, curve):
    """Return where the piecewise linear curve first changes its sign, NaN if nowhere."""
    for i in range(len(values) - 1):
        low, high = curve[i], curve[i + 1]
        if low == 0:
            return float(values[i])
        if low * high < 0:  # in the middle where one is -inf, that of a singular Jacobian
            share = low / (low - high) if np.isfinite([low, high]).all() else 0.5
            return float(values[i] + (values[i + 1] - values[i]) * share)
    return float(values[-1]) if curve[-1] == 0 else np.nan
