"""Delay embedding of measured series, the choice of its delay and dimension, and the correlation dimension."""

from dataclasses import dataclass

import numpy as np

from penstock.checks import as_finite_array, as_int, as_positive_float
from penstock.progress import track

__all__ = [
    "CorrelationDimension",
    "FalseNeighbours",
    "MutualInformation",
    "correlation_dimension",
    "delay_embedding",
    "false_neighbours",
    "mutual_information_delay",
]

N_BLOCKS = 20  # of reference points, for standard errors
PER_OCTAVE = 2  # radii per factor of two: finer slopes show the grain of evenly spaced points
N_RADII = 20
CLEAR = 0.1  # largest relative standard error of a slope in a flat window
MIN_PAIRS = 200  # below that a radius is too noisy to show


def delay_embedding(series, dimension, delay=1) -> np.ndarray:
    """Return the delay vectors (s_t, s_{t+delay}, .., s_{t+(dimension-1) delay}), one per row.

    Parameters
    ----------
    series : array, shape (T,) or (T, m)
        A measured series of one or m channels.
    dimension : int
        Copies of the series side by side, d.
    delay : int
        Steps between two copies.

    Returns
    -------
    array, shape (T - (d - 1) delay, d m)
        All channels of the first time, then of the second, and so on.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, or the series is too short for one vector.

    References
    ----------
    F. Takens, Detecting strange attractors in turbulence, Lect. Notes Math. 898, 366 (1981).

    Examples
    --------
    >>> delay_embedding([1.0, 2.0, 3.0, 4.0], 2, delay=2)
    array([[1., 3.],
           [2., 4.]])
    """
    series = as_columns("series", series)
    dimension, delay = as_int("dimension", dimension), as_int("delay", delay)
    span = (dimension - 1) * delay
    if len(series) <= span:
        raise ValueError(f"series must have more than (dimension - 1) * delay = {span} steps, got {len(series)}")
    length = len(series) - span
    return np.hstack([series[k * delay : k * delay + length] for k in range(dimension)])


# Choice of the delay


@dataclass(frozen=True, eq=False, repr=False)
class MutualInformation:
    """Hold the mutual information of a series with its own past, and the delay at its first minimum.

    Attributes
    ----------
    delay : int
        The first minimum in steps; the lowest delay measured if there is none.
    converged : bool
        Whether there is a minimum before the longest delay.
    information : array, shape (K + 1,)
        I(s_t; s_{t+k}) in nats for k = 0..K, at k = 0 the entropy of the binned series.
    null_level : float
        Expected information of independent values, from the finite sample alone.
    n_bins : int
        Bins per axis, equally filled.
    """

    delay: int
    converged: bool
    information: np.ndarray
    null_level: float
    n_bins: int

    def plot(self, ax=None):
        """Draw the information over the delay with the chosen one; return the matplotlib axes."""
        from penstock.analysis.plots import plot_mutual_information

        return plot_mutual_information(self, ax)

    def __repr__(self):
        found = "first minimum" if self.converged else "NOT CONVERGED: no minimum, lowest value"
        return (
            f"MutualInformation: delay {self.delay} steps ({found})\n"
            f"  information {self.information[self.delay]:.3g} nats there, by chance {self.null_level:.2g}\n"
            f"  delays      0..{len(self.information) - 1}, {self.n_bins} equally filled bins per axis"
        )


def mutual_information_delay(series, *, max_delay=100, n_bins=16) -> MutualInformation:
    """Choose the delay of an embedding at the first minimum of the mutual information of s_t and s_{t+k}.

    I_k = sum p(a, b) ln p(a, b) / (p(a) p(b)) over the bins of both values.

    Parameters
    ----------
    series : array, shape (T,)
        One channel.
    max_delay : int
        The longest delay in steps.
    n_bins : int
        Bins per axis, each holding as many values as the next.

    Returns
    -------
    MutualInformation
        Delay, curve, and whether there was a minimum.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, the series is constant or too short.

    References
    ----------
    A. M. Fraser, H. L. Swinney, Phys. Rev. A 33, 1134 (1986).

    Examples
    --------
    A noisy sine of period 40 is least informative about itself a quarter of a period later:

    >>> s = np.sin(2 * np.pi * np.arange(4000) / 40) + 0.3 * np.random.default_rng(0).standard_normal(4000)
    >>> mutual_information_delay(s, max_delay=20).delay
    10
    """
    series = _one_channel(series)
    max_delay, n_bins = as_int("max_delay", max_delay), as_int("n_bins", n_bins, minimum=2)
    need = max_delay + n_bins**2
    if len(series) < need:
        raise ValueError(f"series must have at least max_delay + n_bins**2 = {need} steps, got {len(series)}")
    edges = np.quantile(series, np.arange(1, n_bins) / n_bins)
    symbols = np.searchsorted(edges, series, side="right")
    curve = np.array([_information(symbols[: len(series) - k], symbols[k:], n_bins) for k in range(max_delay + 1)])
    lower = (curve[1:-1] < curve[:-2]) & (curve[1:-1] <= curve[2:])
    found = bool(lower.any())
    delay = int(np.argmax(lower)) + 1 if found else 1 + int(np.argmin(curve[1:]))
    filled = len(np.unique(symbols))  # fewer than n_bins if values repeat
    return MutualInformation(delay, found, curve, (filled - 1) ** 2 / (2 * len(series)), n_bins)


def _information(a, b, n_bins) -> float:
    joint = np.bincount(a * n_bins + b, minlength=n_bins**2).reshape(n_bins, n_bins) / len(a)
    independent = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    seen = joint > 0
    return float(np.sum(joint[seen] * np.log(joint[seen] / independent[seen])))


# Choice of the dimension


@dataclass(frozen=True, eq=False, repr=False)
class FalseNeighbours:
    """Hold the fraction of false nearest neighbours over the embedding dimension.

    Attributes
    ----------
    dimension : int
        The first dimension with at most `tolerance` false neighbours; the best one if there is none.
    converged : bool
        Whether there is one.
    fractions : array, shape (D,)
        Fraction of false neighbours in dimension 1..D.
    delay, theiler : int
        Steps of the embedding, and steps within which points do not count as neighbours.
    tolerance, ratio, size_ratio : float
        As given.
    """

    dimension: int
    converged: bool
    fractions: np.ndarray
    delay: int
    theiler: int
    tolerance: float
    ratio: float
    size_ratio: float

    def plot(self, ax=None):
        """Draw the fraction of false neighbours over the dimension; return the matplotlib axes."""
        from penstock.analysis.plots import plot_false_neighbours

        return plot_false_neighbours(self, ax)

    def __repr__(self):
        found = "" if self.converged else f" (NOT CONVERGED: never down to {self.tolerance:.2g})"
        return (
            f"FalseNeighbours: dimension {self.dimension}{found}\n"
            f"  fractions   {' '.join(f'{f:.3g}' for f in self.fractions)} in dimension 1..{len(self.fractions)}\n"
            f"  embedding   delay {self.delay}, Theiler window {self.theiler} steps\n"
            f"  false if    pushed apart {self.ratio:g} times, or to {self.size_ratio:g} times the series' size"
        )


def false_neighbours(
    series, delay, *, theiler, max_dimension=8, tolerance=0.01, ratio=15.0, size_ratio=2.0, progress=True
) -> FalseNeighbours:
    """Choose the dimension of an embedding: where nearest neighbours stay neighbours when a coordinate is added.

    The neighbour j of i at distance R_d is false if ``|s_{i+d delay} - s_{j+d delay}| > ratio R_d``, or if R_{d+1}
    exceeds `size_ratio` standard deviations of the series. The second rule keeps noise from passing for a
    low-dimensional attractor.

    Parameters
    ----------
    series : array, shape (T,)
        One channel.
    delay : int
        Steps between two coordinates; see `mutual_information_delay`.
    theiler : int
        Points at most this many steps apart are neighbours in time, not in space, and do not count.
    max_dimension : int
        Dimensions tried.
    tolerance : float
        Fraction of false neighbours that is allowed.
    ratio, size_ratio : float
        Thresholds of the two rules.
    progress : bool, optional
        Whether a bar appears when the run takes longer than two seconds.

    Returns
    -------
    FalseNeighbours
        Dimension, fractions, and whether the tolerance was met.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, the series is constant or too short.

    References
    ----------
    M. B. Kennel, R. Brown, H. D. I. Abarbanel, Phys. Rev. A 45, 3403 (1992).

    Examples
    --------
    >>> from penstock.data import henon
    >>> false_neighbours(henon(2000)[:, 0], 1, theiler=0, max_dimension=4).dimension
    2
    """
    series = _one_channel(series)
    delay, theiler = as_int("delay", delay), as_int("theiler", theiler, minimum=0)
    max_dimension = as_int("max_dimension", max_dimension)
    tolerance, ratio = as_positive_float("tolerance", tolerance), as_positive_float("ratio", ratio)
    size_ratio = as_positive_float("size_ratio", size_ratio)
    need = max_dimension * delay + 2 * theiler + 3
    if len(series) < need:
        raise ValueError(f"series must have at least {need} steps for these arguments, got {len(series)}")
    rules = ratio, size_ratio * series.std()
    dimensions = track(range(1, max_dimension + 1), max_dimension, "false neighbours", progress)
    fractions = np.array([_false_fraction(series, d, delay, theiler, rules) for d in dimensions])
    good = fractions <= tolerance
    best = int(np.argmax(good)) if good.any() else int(np.argmin(fractions))
    return FalseNeighbours(best + 1, bool(good.any()), fractions, delay, theiler, tolerance, ratio, size_ratio)


def _false_fraction(series, dimension, delay, theiler, rules) -> float:
    ratio, size = rules
    points = delay_embedding(series[:-delay], dimension, delay)
    distance, neighbour = _nearest(points, theiler)
    new = series[dimension * delay :]
    gap = np.abs(new - new[neighbour])
    # a rounding error between points that repeat is no separation
    false = (gap > ratio * distance) & (gap > 1e-12 * size)
    return float(np.mean(false | (np.hypot(gap, distance) > size)))


def _nearest(points, theiler) -> tuple[np.ndarray, np.ndarray]:
    """Return distance and index of the nearest point more than `theiler` steps away: a k-d tree, asked for more."""
    from scipy.spatial import cKDTree

    tree, n = cKDTree(points), len(points)
    distance, neighbour = np.full(n, np.inf), np.zeros(n, dtype=int)
    todo, k = np.arange(n), 4
    while len(todo):
        k = min(k, n)
        d, j = tree.query(points[todo], k)
        far = np.abs(j - todo[:, None]) > theiler
        first, found = far.argmax(axis=1), far.any(axis=1)
        rows = np.flatnonzero(found)
        distance[todo[rows]], neighbour[todo[rows]] = d[rows, first[rows]], j[rows, first[rows]]
        todo, k = todo[~found], 4 * k
    return distance, neighbour


# Correlation dimension


@dataclass(frozen=True, eq=False, repr=False)
class CorrelationDimension:
    """Hold a correlation dimension, the curve it was read from and where.

    Attributes
    ----------
    dimension, spread : float
        Mean of the local slope d ln C / d ln r over the widest flat window, and its standard deviation there.
    takens, takens_error : float
        Takens-Theiler estimate from all pairs closer than the upper end of the window, and its standard error.
    window : (float, float)
        The radii between which the slope is flat.
    converged : bool
        Whether the window spans at least a factor of two.
    radii, correlation, n_pairs : array, shape (R,)
        Radii r, the fraction C(r) of pairs closer than r, and their number.
    slope, slope_error : array, shape (R - 1,)
        Local slope between neighbouring radii, and its standard error, up to sqrt(2) too large where pairs are few.
    n_points, theiler : int
        Points, and steps within which pairs are left out.
    p, flatness : float
        The norm, and the relative deviation allowed in a flat window beside two standard errors.
    """

    dimension: float
    spread: float
    takens: float
    takens_error: float
    window: tuple[float, float]
    converged: bool
    radii: np.ndarray
    correlation: np.ndarray
    n_pairs: np.ndarray
    slope: np.ndarray
    slope_error: np.ndarray
    n_points: int
    theiler: int
    p: float
    flatness: float

    def plot(self, ax=None):
        """Draw the local slope with its window, and the curve C(r) beside it; return the axes of the slope."""
        from penstock.analysis.plots import plot_correlation_dimension

        return plot_correlation_dimension(self, ax)

    def __repr__(self):
        low, high = self.window
        note = "" if self.converged else ": NOT CONVERGED, less than a factor of two"
        norm = {1.0: "sum", 2.0: "Euclidean", np.inf: "maximum"}.get(self.p, f"p = {self.p:g}")
        return "\n".join(
            [
                f"CorrelationDimension: {self.dimension:.4g} ± {self.spread:.2g} (spread of the local slope)",
                f"  Takens      {self.takens:.4g} ± {self.takens_error:.2g} (standard error), pairs below {high:.3g}",
                f"  window      r = {low:.3g}..{high:.3g}, flat to {self.flatness:.1%}{note}",
                f"  points      {self.n_points}, Theiler window {self.theiler} steps, {norm} norm",
                f"  curve       {len(self.radii)} radii {self.radii[0]:.3g}..{self.radii[-1]:.3g}, "
                f"{self.n_pairs[0]:.0f}..{self.n_pairs[-1]:.3g} pairs",
            ]
        )


def correlation_dimension(points, *, theiler, radii=None, p=2.0, flatness=0.02, progress=True) -> CorrelationDimension:
    """Estimate the correlation dimension D2 of a cloud of points or a trajectory.

    C(r) is the fraction of pairs closer than r, pairs at most `theiler` steps apart left out; D2 is the slope of
    ln C over ln r where that slope is flat. Also given: D = -1 / mean(ln(r_ij / r_0)) over the pairs below r_0.

    Parameters
    ----------
    points : array, shape (T, d) or (T,)
        Points in the order of time.
    theiler : int
        Several autocorrelation times, in steps: neighbours in time say nothing of the attractor and pull the value
        towards 1. 0 for independent points.
    radii : array, shape (R,), optional
        Increasing radii; by default two per octave up to a quarter of the points' root mean square size. Those with
        fewer than 200 pairs are dropped.
    p : float, optional
        Norm of the distances: 2 Euclidean, ``np.inf`` maximum.
    flatness : float, optional
        A window is flat if every local slope in it is within this fraction and two standard errors of their mean, and
        known to 10 %.
    progress : bool, optional
        Whether a bar appears when the run takes longer than two seconds.

    Returns
    -------
    CorrelationDimension
        Both estimates with their errors, the curve and the window.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, the points do not differ, or fewer than three radii hold enough pairs.

    References
    ----------
    P. Grassberger, I. Procaccia, Physica D 9, 189 (1983). J. Theiler, Phys. Rev. A 34, 2427 (1986). J. Theiler,
    Phys. Lett. A 133, 195 (1988).

    Examples
    --------
    A circle, visited at random:

    >>> angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 2000)
    >>> result = correlation_dimension(np.column_stack([np.cos(angle), np.sin(angle)]), theiler=0)
    >>> abs(result.dimension - 1) < 0.03 and abs(result.takens - 1) < 0.03
    True
    """
    points = as_columns("points", points)
    theiler, p = as_int("theiler", theiler, minimum=0), _norm(p)
    flatness = as_positive_float("flatness", flatness)
    size = np.sqrt(points.var(axis=0).sum())
    if size <= 1e-13 * np.abs(points).max():
        raise ValueError(f"points must differ, got {len(points)} equal ones")
    if len(points) < 2 * theiler + 2 * N_BLOCKS:
        raise ValueError(f"points must be at least 2 theiler + {2 * N_BLOCKS} = {2 * theiler + 2 * N_BLOCKS}, "
                         f"got {len(points)}")  # fmt: skip
    radii = _default_radii(size) if radii is None else _given_radii(radii)
    counts, possible = _pair_counts(points, radii, theiler, p, progress)
    kept = counts.sum(axis=0) >= 2 * MIN_PAIRS  # every pair is counted from both its ends
    if kept.sum() < 3:
        raise ValueError(f"radii must hold at least {MIN_PAIRS} pairs at three of them, got {int(kept.sum())} such "
                         "radii: use larger ones or more points")  # fmt: skip
    return _read_curve(radii[kept], counts[:, kept], possible, (len(points), theiler, p, flatness))


def _default_radii(size) -> np.ndarray:
    return 0.25 * size * 2.0 ** (-np.arange(N_RADII)[::-1] / PER_OCTAVE)


def _given_radii(radii) -> np.ndarray:
    radii = as_finite_array("radii", radii, ndim=1)
    if len(radii) < 3 or radii[0] <= 0 or (np.diff(radii) <= 0).any():
        raise ValueError(f"radii must be at least three positive increasing numbers, got {radii}")
    return radii


def _pair_counts(points, radii, theiler, p, progress) -> tuple[np.ndarray, int]:
    """Return ordered pairs (i, j) within each radius, (blocks of i, R), and how many pairs were looked at."""
    from scipy.spatial import cKDTree

    n = len(points)
    tree = cKDTree(points)
    edges = np.linspace(0, n, N_BLOCKS + 1).astype(int)
    counts = np.empty((N_BLOCKS, len(radii)))
    for b in track(range(N_BLOCKS), N_BLOCKS, "correlation dimension", progress):
        counts[b] = cKDTree(points[edges[b] : edges[b + 1]]).count_neighbors(tree, radii, p=p)
    counts -= np.diff(edges)[:, None]  # every point is its own neighbour
    for lag in range(1, theiler + 1):
        distance = np.linalg.norm(points[lag:] - points[:-lag], ord=p, axis=1)
        for first in (0, lag):  # the pair seen from its earlier and from its later point
            block = np.searchsorted(edges, np.arange(first, first + n - lag), side="right") - 1
            level = np.searchsorted(radii, distance)  # the smallest radius that holds the pair
            cell = np.bincount(block * (len(radii) + 1) + level, minlength=N_BLOCKS * (len(radii) + 1))
            counts -= cell.reshape(N_BLOCKS, -1)[:, :-1].cumsum(axis=1)
    return counts, n * (n - 1) - theiler * (2 * n - theiler - 1)


def _read_curve(radii, counts, possible, settings) -> CorrelationDimension:
    total, log_r = counts.sum(axis=0), np.log(radii)
    slope = np.diff(np.log(total)) / np.diff(log_r)
    slope_error = _jackknife(lambda c: np.diff(np.log(np.maximum(c, 0.5))) / np.diff(log_r), counts)
    n_points, theiler, p, flatness = settings
    first, last, dimension, spread = _widest_flat(log_r, slope, slope_error, flatness)
    pairs = slice(0, last + 1)
    return CorrelationDimension(
        dimension=dimension,
        spread=spread,
        takens=_takens(log_r[pairs], total[pairs]),
        takens_error=float(_jackknife(lambda c: _takens(log_r[pairs], np.maximum(c[pairs], 0.5)), counts)),
        window=(float(radii[first]), float(radii[last])),
        converged=bool(radii[last] >= 1.999 * radii[first]),
        radii=radii,
        correlation=total / possible,
        n_pairs=total / 2,
        slope=slope,
        slope_error=slope_error,
        n_points=n_points,
        theiler=theiler,
        p=p,
        flatness=flatness,
    )


def _jackknife(statistic, counts) -> np.ndarray:
    """Return the standard error of a statistic of the summed counts by leaving out one block of points at a time.

    Leaving out a block leaves its points as neighbours of the others: half the influence of a point on a mean over
    pairs is missing, hence the factor of two. Where pairs are few and all independent sqrt(2) would do: never too low.
    """
    total, n = counts.sum(axis=0), len(counts)
    values = np.array([statistic(total - block) for block in counts])
    return 2 * np.sqrt((n - 1) * values.var(axis=0))


def _takens(log_r, counts) -> float:
    """Return C(r_0) / integral of C dr/r, the form of -1 / mean(ln(r_ij / r_0)), with power laws between the radii."""
    grows = counts[1:] > counts[:-1]
    growth = np.log(np.where(grows, counts[1:] / counts[:-1], np.exp(1.0)))
    mean = np.where(grows, np.diff(counts) / growth, counts[1:])  # logarithmic mean, exact for a power law
    # below the first radius the same power law is assumed: C_1 / D is missing from the integral
    return float((counts[-1] - counts[0]) / (mean @ np.diff(log_r)))


def _widest_flat(log_r, slope, error, flatness) -> tuple[int, int, float, float]:
    """Return first and last radius of the widest flat window, its mean slope and spread; of equals the flattest."""
    best, found = (-1.0, 0.0), (0, 1, float(slope[0]), float("inf"))
    for first in range(len(slope)):
        for last in range(first + 1, len(slope) + 1):
            s, e = slope[first:last], error[first:last]
            weights = 1 / (e**2 + (flatness * np.abs(s).mean()) ** 2 + 1e-12)
            mean = float(weights @ s / weights.sum())
            if (np.abs(s - mean) > flatness * abs(mean) + 2 * e).any() or (last > first + 1 and e.max() > CLEAR * mean):
                continue
            spread = float(np.sqrt(weights @ (s - mean) ** 2 / weights.sum())) if last - first > 1 else float(e[0])
            score = (round(float(log_r[last] - log_r[first]), 9), -spread)
            if score > best:
                best, found = score, (first, last, mean, spread)
    return found


# Checks


def as_columns(name, value) -> np.ndarray:
    """Return a series (T,) or (T, m) as columns (T, m)."""
    value = as_finite_array(name, value, ndim=(1, 2))
    value = value[:, None] if value.ndim == 1 else value
    if value.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {value.shape}")
    return value


def _one_channel(series) -> np.ndarray:
    series = as_finite_array("series", series, ndim=1)
    if series.size == 0 or np.ptp(series) <= 1e-13 * np.abs(series).max():
        raise ValueError(f"series must vary, got a constant one of {series.size} steps")
    return series


def _norm(p) -> float:
    if p == np.inf:
        return np.inf
    if as_positive_float("p", p) < 1:
        raise ValueError(f"p must be at least 1, got {p}")
    return float(p)
