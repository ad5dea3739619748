"""How fast nearby trajectories part where there are no tangents: two replicas of a system, or a measured series."""

from dataclasses import dataclass

import numpy as np

from penstock.analysis.lyapunov import MIN_STEPS, N_BLOCKS, as_course
from penstock.checks import as_finite_array, as_int, as_positive_float
from penstock.progress import track
from penstock.system import System, as_system
from penstock.threads import one_blas_thread

__all__ = ["ReplicaGrowth", "SeriesExponent", "replica_growth", "rosenstein_exponent"]

STRETCHES = 10  # of a series, for the jackknife
STRAIGHT = 0.25  # by which the slopes over the thirds of a straight stretch may differ from their middle
SHARE = 0.4  # of the whole rise that a straight stretch must span, below the bend at DONE
DONE = 0.8
CLOSE = 4.0  # nats by which distances must rise, so that bend and transient leave a stretch between them


@dataclass(frozen=True, repr=False, eq=False)
class ReplicaGrowth:
    """Hold the growth rate of the distance between replicas of a system.

    Attributes
    ----------
    exponent : float
        Mean of ln(distance / delta) per unit of time. It belongs to the size `delta`: in the limit of small ones it is
        the leading Lyapunov exponent. -inf if replicas merged.
    standard_error : float
        From 20 blocks in time; replicas are not counted as independent, for they all turn to the same direction.
    per_replica : array, shape (R,)
        The rate of every replica.
    finite_time : array, shape (20,)
        The rate in every block.
    delta : float
        Distance to which replicas are brought back.
    factors : tuple of float
        Smallest and largest factor by which a distance changed before it was brought back.
    merged : int
        How often a replica fell onto the reference exactly; it was put back in a random direction.
    kind : str
        "driven" or "autonomous".
    interval, n_steps, washout : int
        Steps between two renormalisations, steps measured, and steps discarded before.
    dt : float
        Time of one step.
    seed : int or SeedSequence
        Seed of the start and of the directions.
    """

    exponent: float
    standard_error: float
    per_replica: np.ndarray
    finite_time: np.ndarray
    delta: float
    factors: tuple[float, float]
    merged: int
    kind: str
    interval: int
    n_steps: int
    washout: int
    dt: float
    seed: int | np.random.SeedSequence

    @property
    def converged(self) -> bool:
        """Whether the distances stayed within a factor of 1000 of `delta`, so that the rate belongs to that size."""
        return not self.merged and self.factors[0] > 1e-3 and self.factors[1] < 1e3

    def plot(self, ax=None):
        """Draw the rate of every block and their mean; return the matplotlib axes."""
        from penstock.analysis.plots import plot_replica_growth

        return plot_replica_growth(self, ax)

    def __repr__(self):
        unit = "per step" if self.dt == 1 else "per unit of time"
        lines = [
            f"ReplicaGrowth: {self.exponent:.4g} ± {self.standard_error:.1g} nats {unit} at distance {self.delta:.2g}",
            f"  replicas    {len(self.per_replica)}, brought back every {self.interval} steps; distances changed by "
            f"{self.factors[0]:.2g} to {self.factors[1]:.2g}",
            f"  length      {self.n_steps} steps of {self.dt:g}, washout {self.washout}; {self.kind}, seed {self.seed}",
        ]
        if self.merged:
            lines.append(f"  NOT CONVERGED: replicas merged {self.merged} times; raise delta or lower interval")
        elif not self.converged:
            lines.append("  NOT CONVERGED: distances strayed far from delta; lower interval")
        return "\n".join(lines)


@one_blas_thread
def replica_growth(
    system: System,
    u=None,
    *,
    delta: float | None = None,
    n_replicas: int = 4,
    interval: int = 10,
    n_steps: int | None = None,
    washout: int | None = None,
    x0=None,
    seed: int | np.random.SeedSequence = 0,
    progress: bool = True,
) -> ReplicaGrowth:
    """Measure how fast replicas at distance `delta` part, or come together, without any derivative.

    Each replica runs under the same inputs as the reference; every `interval` steps the logarithm of its distance is
    noted and the distance brought back to `delta`. Steps need not be differentiable: noise that is part of the inputs,
    thresholds and spikes on a grid of times are allowed, but what is found then holds for that `delta`.

    Parameters
    ----------
    system : System
        Any system; only its `run` is used.
    u : array, shape (T, m), optional
        Inputs of a driven system.
    delta : float, optional
        Euclidean distance; by default the square root of the rounding, 1.5e-8 in float64 and 3.5e-4 in float32, times
        the largest entry of the state if that is above 1.
    n_replicas : int
        Replicas, which start in independent directions.
    interval : int
        Steps between two renormalisations.
    n_steps, washout : int, optional
        As in `lyapunov_spectrum`.
    x0 : array, shape (n,), optional
        As in `lyapunov_spectrum`.
    seed : int or SeedSequence
        Seed of the start and of the directions.
    progress : bool
        Whether a bar appears when the run takes longer than two seconds.

    Returns
    -------
    ReplicaGrowth

    Raises
    ------
    TypeError, ValueError
        If an argument is of no use, or the run too short.
    FloatingPointError
        If a state stops being finite.

    References
    ----------
    G. Benettin, L. Galgani, J.-M. Strelcyn, Phys. Rev. A 14, 2338 (1976). E. Aurell et al., Predictability in the
    large, J. Phys. A 30, 1 (1997).

    Examples
    --------
    >>> import numpy as np
    >>> from penstock import Map
    >>> from penstock.analysis import replica_growth
    >>> logistic = Map(lambda x, u: 4 * x * (1 - x), n_units=1)
    >>> result = replica_growth(logistic, n_steps=5000)
    >>> bool(abs(result.exponent - np.log(2)) < 0.01)
    True
    """
    system = as_system(system)
    n_replicas, interval = as_int("n_replicas", n_replicas), as_int("interval", interval)
    if delta is not None:
        as_positive_float("delta", delta)
    course = as_course(system, u, n_steps, washout, x0, seed, MIN_STEPS * interval)
    rounding = float(np.finfo(system.dtype).eps) * max(1.0, float(np.abs(course.x0).max()))
    if delta is None:
        delta = float(np.sqrt(np.finfo(system.dtype).eps)) * max(1.0, float(np.abs(course.x0).max()))
    elif delta < 100 * rounding:
        raise ValueError(f"delta must be at least {100 * rounding:.2g}, 100 times the rounding, got {delta}")
    growth, merged = _grow(system, course, delta, n_replicas, interval, progress)
    return _make_growth(growth, merged, delta, system, course, interval, seed)


def _grow(system, course, delta, n_replicas, interval, progress):
    """Return ln(distance / delta) after every interval (intervals, R), and how often replicas merged."""
    rng, x, n_units = course.frame_seed, course.x0, system.n_units
    apart = rng.standard_normal((n_replicas, n_units))
    skipped = -(-course.frame_steps // interval)
    starts = range(0, len(course.inputs) - interval + 1, interval)
    growth, merged = np.empty((len(starts), n_replicas)), 0
    for row, start in enumerate(track(starts, len(starts), "replicas", progress)):
        apart *= delta / np.linalg.norm(apart, axis=1, keepdims=True)
        u = course.inputs[start : start + interval]
        replicas = np.concatenate([x[None], x + apart]).astype(system.dtype)
        begun = np.linalg.norm((replicas[1:] - replicas[0]).astype(np.float64), axis=1)  # delta, but for rounding
        if not (begun > 0.5 * delta).all():
            raise ValueError(
                f"delta must be well above the rounding of states of size {np.abs(x).max():.2g}, got {delta}"
            )
        last = system.run(np.broadcast_to(u, (n_replicas + 1, *u.shape)), replicas)[:, -1]
        x, apart = last[0], (last[1:] - last[0]).astype(np.float64)
        distance = np.linalg.norm(apart, axis=1)
        with np.errstate(divide="ignore"):
            growth[row] = np.log(distance) - np.log(begun)
        together = distance == 0
        apart[together] = rng.standard_normal((int(together.sum()), n_units))
        merged += int(together.sum()) if row >= skipped else 0
    return growth[skipped:], merged


def _make_growth(growth, merged, delta, system, course, interval, seed):
    rates = growth / (interval * system.dt)
    blocks = np.array([block.mean() for block in np.array_split(rates, N_BLOCKS)])
    finite = np.isfinite(blocks).all()
    return ReplicaGrowth(
        exponent=float(rates.mean()),
        standard_error=float(blocks.std(ddof=1) / np.sqrt(N_BLOCKS)) if finite else 0.0,
        per_replica=rates.mean(axis=0),
        finite_time=blocks,
        delta=float(delta),
        factors=(float(np.exp(growth.min())), float(np.exp(growth.max()))),
        merged=merged,
        kind="driven" if system.n_inputs else "autonomous",
        interval=interval,
        n_steps=len(growth) * interval,
        washout=course.washout,
        dt=float(system.dt),
        seed=seed,
    )


# --- from a measured series -----------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False, eq=False)
class SeriesExponent:
    """Hold an estimate, from data alone, of a leading exponent; not to be mixed with those computed from a system.

    Attributes
    ----------
    exponent, standard_error : float
        Slope of the divergence over the fitted range, nats per unit of time, and its error: by the jackknife over ten
        stretches of the series, and if the range was chosen automatically, joined with the largest difference to the
        slopes of all other ranges that are straight enough, which is often more.
    divergence : array, shape (H + 1,)
        Mean logarithm of the distance of neighbours after 0..H steps.
    times : array, shape (H + 1,)
        The times of those.
    fit : tuple of int
        First and last step of the fitted range.
    residual : float
        Root mean square distance of the fitted points from the line, in nats.
    n_pairs : int
        Pairs of neighbours followed.
    delay, dimension, theiler : int
        Of the embedding, and the steps by which neighbours must be apart in time.
    dt : float
        Time between two samples.
    doubts : tuple of str
        Why the slope may not be an exponent; empty if nothing speaks against it.
    """

    exponent: float
    standard_error: float
    divergence: np.ndarray
    times: np.ndarray
    fit: tuple[int, int]
    residual: float
    n_pairs: int
    delay: int
    dimension: int
    theiler: int
    dt: float
    doubts: tuple[str, ...]

    @property
    def converged(self) -> bool:
        """Whether no check speaks against the number; `doubts` says what does."""
        return not self.doubts

    def plot(self, ax=None):
        """Draw the divergence and the fitted line; return the matplotlib axes."""
        from penstock.analysis.plots import plot_divergence

        return plot_divergence(self, ax)

    def __repr__(self):
        unit = "per step" if self.dt == 1 else "per unit of time"
        rise = self.divergence[self.fit[1]] - self.divergence[self.fit[0]]
        return "\n".join(
            [
                f"SeriesExponent: {self.exponent:.4g} ± {self.standard_error:.1g} nats {unit}, "
                "an ESTIMATE FROM DATA (Rosenstein)",
                f"  fit         steps {self.fit[0]} to {self.fit[1]} of {len(self.divergence) - 1}, over which "
                f"distances grow {np.exp(rise):.3g}-fold; {self.residual:.2g} nats off the line",
                f"  embedding   dimension {self.dimension}, delay {self.delay}, neighbours {self.theiler} steps apart",
                f"  pairs       {self.n_pairs}",
                *(f"  NOT CONVERGED: {doubt}" for doubt in self.doubts),
            ]
        )


def rosenstein_exponent(
    series,
    *,
    dimension: int,
    delay: int = 1,
    dt: float = 1.0,
    theiler: int | None = None,
    horizon: int | None = None,
    fit: tuple[int, int] | None = None,
) -> SeriesExponent:
    """Estimate the leading Lyapunov exponent from a measured series, by how fast embedded neighbours part.

    A fallback for data without a model: the result depends on embedding and range, noise and filters bias it, and
    there is a positive slope for noise too. Look at `.plot()`: without a straight stretch there is no exponent, and
    the result says that it has not converged. Expect errors of ten to twenty percent for flows.

    Parameters
    ----------
    series : array, shape (T,) or (T, d)
        Samples; columns are embedded together.
    dimension, delay : int
        Number of delayed copies and the steps between them.
    dt : float
        Time between two samples.
    theiler : int, optional
        Neighbours must be further apart in time than this, so that they are neighbours in space; by default the mean
        period of the series (the inverse of the mean frequency of its power spectrum).
    horizon : int, optional
        Steps for which pairs are followed; by default ten times `theiler`, at most a tenth of the series.
    fit : tuple of int, optional
        First and last step of the straight stretch. By default the straightest one, that whose thirds have the most
        equal slopes, of those that span 40 % of the whole rise and end before 80 % of it; the slopes of the thirds may
        differ by a quarter from their middle.

    Returns
    -------
    SeriesExponent

    Raises
    ------
    TypeError, ValueError
        If an argument is of no use, or the series too short or constant.

    References
    ----------
    M. T. Rosenstein, J. J. Collins, C. J. De Luca, A practical method for calculating largest Lyapunov exponents from
    small data sets, Physica D 65, 117 (1993).

    Examples
    --------
    >>> from penstock import Map
    >>> from penstock.analysis import rosenstein_exponent
    >>> logistic = Map(lambda x, u: 4 * x * (1 - x), n_units=1)
    >>> series = logistic.run(2000, x0=[0.3])[:, 0]
    >>> estimate = rosenstein_exponent(series, dimension=2, horizon=10, fit=(0, 5))
    >>> bool(abs(estimate.exponent - 0.693) < 0.05)
    True
    """
    series = as_finite_array("series", series, ndim=(1, 2))
    series = series.reshape(len(series), -1)
    dimension, delay, dt = as_int("dimension", dimension), as_int("delay", delay), as_positive_float("dt", dt)
    if not np.ptp(series, axis=0).any():
        raise ValueError("series must vary, got a constant one")
    theiler = _mean_period(series) if theiler is None else as_int("theiler", theiler, minimum=0)
    horizon = max(1, min(10 * max(1, theiler), len(series) // 10)) if horizon is None else as_int("horizon", horizon)
    points = _embed(series, dimension, delay)
    n_pairs = len(points) - horizon
    if n_pairs < max(20, 2 * (theiler + 1)):
        raise ValueError(
            f"series must be longer than {len(series)} samples for dimension {dimension}, delay {delay}, "
            f"horizon {horizon} and theiler {theiler}, of which {max(0, n_pairs)} starts are left"
        )
    sums, counts = _divergences(points, _neighbours(points[:n_pairs], theiler), horizon)
    curve = sums.sum(axis=0) / counts.sum(axis=0)
    first, last, apart, doubts = _straight_stretch(curve) if fit is None else _given_stretch(fit, curve)
    steps = np.arange(first, last + 1)
    without_one = ((sums.sum(axis=0) - sums) / np.maximum(counts.sum(axis=0) - counts, 1))[:, steps]
    slopes = np.polyfit(steps, without_one.T, 1)[0]
    slope, height = np.polyfit(steps, curve[steps], 1)
    off = curve[steps] - height - slope * steps
    return SeriesExponent(
        exponent=float(slope / dt),
        standard_error=float(np.hypot(np.std(slopes) * np.sqrt(STRETCHES - 1), apart) / dt),
        divergence=curve,
        times=np.arange(horizon + 1) * dt,
        fit=(first, last),
        residual=float(np.sqrt(np.mean(off**2))),
        n_pairs=n_pairs,
        delay=delay,
        dimension=dimension,
        theiler=theiler,
        dt=dt,
        doubts=tuple(doubts),
    )


def _mean_period(series):
    """The inverse of the mean frequency of the power spectrum, in steps."""
    power = (np.abs(np.fft.rfft(series - series.mean(axis=0), axis=0)) ** 2).sum(axis=1)[1:]
    frequencies = np.fft.rfftfreq(len(series))[1:]
    return int(np.ceil(power.sum() / (power * frequencies).sum()))


def _embed(series, dimension, delay):
    """Delay vectors (M, dimension * d), oldest sample first."""
    length = len(series) - (dimension - 1) * delay
    return np.concatenate([series[i * delay : i * delay + max(0, length)] for i in range(dimension)], axis=1)


def _neighbours(points, theiler):
    """Index of the nearest point of each that is more than `theiler` steps away in time."""
    from scipy.spatial import cKDTree  # here, because it is slow to import

    tree, found = cKDTree(points), np.full(len(points), -1)
    open_, count = np.arange(len(points)), 4
    while open_.size:
        count = min(count, len(points))
        candidates = tree.query(points[open_], k=count)[1]
        allowed = np.abs(candidates - open_[:, None]) > theiler
        best = np.argmax(allowed, axis=1)
        has_one = allowed[np.arange(len(open_)), best]
        found[open_[has_one]] = candidates[has_one, best[has_one]]
        open_, count = open_[~has_one], 4 * count
    return found


def _divergences(points, neighbours, horizon):
    """Sums over ten stretches of the series of ln distance after 0..horizon steps, and how many are not zero."""
    start = np.arange(len(neighbours))
    edges = np.linspace(0, len(start), STRETCHES + 1).astype(int)[:-1]
    sums, counts = np.empty((2, STRETCHES, horizon + 1))
    for step in range(horizon + 1):
        distance = np.linalg.norm(points[start + step] - points[neighbours + step], axis=1)
        sums[:, step] = np.add.reduceat(np.log(np.where(distance > 0, distance, 1.0)), edges)
        counts[:, step] = np.add.reduceat((distance > 0).astype(float), edges)
    if (counts.sum(axis=0) == 0).any():
        raise ValueError("series must not repeat itself exactly: all neighbours coincide")
    return sums, counts


def _given_stretch(fit, curve):
    """Return first and last step, no error for their choice, and what speaks against them."""
    if np.shape(fit) != (2,):
        raise ValueError(f"fit must be a first and a later last step, got {fit!r}")
    first, last = (as_int("fit", step, minimum=0) for step in fit)
    if not first < last < len(curve):
        raise ValueError(f"fit must be a first and a later last step up to the horizon of {len(curve) - 1}, got {fit}")
    bend, doubts = float(_bend(curve, np.array([first]), np.array([last]))[0]), []
    if last - first >= 3 and bend > STRAIGHT:
        doubts.append("the slope changes within the fitted range; choose a straight one by the plot")
    return first, last, 0.0, doubts


def _straight_stretch(curve):
    """Return first and last step of the straightest stretch, the error of that choice, and what speaks against it."""
    horizon = len(curve) - 1
    rise = float(np.median(curve[-(horizon // 4 + 1) :]) - curve[0])
    stop = max(1, int(np.argmax(curve >= curve[0] + DONE * rise))) if rise > 0 else horizon
    steps = np.unique(np.linspace(0, stop, min(stop, 90) + 1).round().astype(int))
    first, last = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    long = last - first >= 3  # shorter ones have no thirds
    first, last = first[long], last[long]
    bend = _bend(curve, first, last)
    straight = (bend <= STRAIGHT) & (curve[last] - curve[first] >= SHARE * rise)
    if rise <= 0.5 or not straight.any():
        return (
            0,
            stop,
            np.inf,
            ["no stretch is straight: there is no exponent to be read off, or `horizon` is too short"],
        )
    first, last, bend = first[straight], last[straight], bend[straight]
    slopes, best = (curve[last] - curve[first]) / (last - first), int(np.argmin(bend))
    doubts = []
    if rise < CLOSE:
        doubts.append(
            f"neighbours part by a factor of {np.exp(rise):.2g} only, too few to see a straight stretch: "
            "lengthen the series or the horizon, or lower the dimension"
        )
    return int(first[best]), int(last[best]), float(np.abs(slopes - slopes[best]).max()), doubts


def _bend(curve, first, last):
    """Half the range of the slopes over the thirds of every stretch, relative to the slope of the whole."""
    third = np.maximum(1, np.round((last - first) / 3).astype(int))
    one, two = np.minimum(first + third, last), np.maximum(last - third, first)
    pairs = ((first, one), (one, np.maximum(two, one + 1)), (two, last))
    slopes = np.stack([(curve[np.minimum(b, last)] - curve[a]) / np.maximum(b - a, 1) for a, b in pairs])
    whole = np.abs(curve[last] - curve[first]) / (last - first)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 0, np.ptp(slopes, axis=0) / 2 / whole, np.inf)
