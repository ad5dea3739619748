"""How well a generated series reproduces a measured one: its geometry and its spectrum."""

from dataclasses import dataclass

import numpy as np

from penstock.analysis.embedding import as_columns
from penstock.checks import (
    as_int,
    as_non_negative_float,
    as_positive_float,
    seed_sequence,
)
from penstock.progress import track

__all__ = [
    "ALL_POINTS",
    "ALRNN",
    "GTF",
    "GTF_LEGACY",
    "MixtureDivergence",
    "ReconstructionVariant",
    "SpectralDistance",
    "StateSpaceDivergence",
    "spectral_distance",
    "state_space_divergence",
    "state_space_divergence_mixtures",
]

BUFFER_BYTES = 2**24  # of distances in one block


@dataclass(frozen=True)
class ReconstructionVariant:
    """Say how the two attractor measures are computed: values of different variants are not comparable.

    Parameters
    ----------
    name : str
        What results print.
    margin : float
        The grid spans the range of the reference and this many of its standard deviations more on either side.
    half_width : float or None
        If given, the grid spans this many standard deviations to both sides of zero instead.
    overflow : bool
        Whether points outside the grid fall into one more cell. Otherwise they are dropped and the rest counts as all.
    lowest_bin : bool
        Whether points in the lowest bin of an axis count.
    repeat_edge : bool
        Whether the spectrum is continued beyond its ends with the end value repeated (c b a | a b c) when it is
        smoothed, or without (c b | a b c).
    """

    name: str
    margin: float = 0.1
    half_width: float | None = None
    overflow: bool = False
    lowest_bin: bool = True
    repeat_edge: bool = True

    def __post_init__(self):
        as_non_negative_float("margin", self.margin)
        if self.half_width is not None:
            as_positive_float("half_width", self.half_width)


ALL_POINTS = ReconstructionVariant("ALL_POINTS", overflow=True)
"""The grid of GTF with an overflow cell: a series that escapes scores high. The default."""

GTF = ReconstructionVariant("GTF", repeat_edge=False)
"""Code of DurstewitzLab/GTF-shPLRNN: points outside the grid are dropped. Its "reflect" does not repeat the edge."""

GTF_LEGACY = ReconstructionVariant("GTF_LEGACY", half_width=2.0, repeat_edge=False)
"""The older grid of the same code, two standard deviations to both sides of zero: for standardised series."""

ALRNN = ReconstructionVariant("ALRNN", margin=0.0, lowest_bin=False)
"""Python code of DurstewitzLab/ALRNN-DSR: no margin, and the lowest bin and the maximum of every axis are dropped."""


# Geometry


@dataclass(frozen=True, eq=False, repr=False)
class StateSpaceDivergence:
    """Hold the divergence of two histograms over state space.

    Attributes
    ----------
    value : float
        KL(p_true || p_generated) in nats; infinite if no generated point counts.
    floor : float
        The same between the first and the second half of the reference, on the same grid: what finite length alone
        produces.
    outside : float
        Fraction of generated points outside the grid.
    n_bins, n_dimensions : int
        Bins per axis and axes.
    smoothing : float
        Laplace smoothing, added to the count of every cell.
    smoothing_share : float
        Fraction of the reference's probability that is smoothing, not data: grows with n_bins^n_dimensions.
    n_occupied : int
        Cells with a point of either series.
    n_true, n_generated : int
        Lengths.
    variant : ReconstructionVariant
        The grid, and what happens outside it.
    """

    value: float
    floor: float
    outside: float
    n_bins: int
    n_dimensions: int
    smoothing: float
    smoothing_share: float
    n_occupied: int
    n_true: int
    n_generated: int
    variant: ReconstructionVariant

    def __repr__(self):
        return "\n".join(
            [
                f"StateSpaceDivergence: {self.value:.4g} nats, floor {self.floor:.3g} (halves of the reference)",
                f"  variant     {self.variant.name}, {self.n_bins} bins on each of {self.n_dimensions} axes, "
                f"{self.n_occupied} cells occupied",
                f"  smoothing   {self.smoothing:g} per cell, {self.smoothing_share:.2%} of the probability",
                f"  points      {self.n_true} true, {self.n_generated} generated, {self.outside:.2%} of them outside",
            ]
        )


def state_space_divergence(true, generated, *, n_bins=30, smoothing=1e-5, variant=ALL_POINTS) -> StateSpaceDivergence:
    """Compare where two series spend their time: the divergence KL(p_true || p_generated) of their histograms.

    D = sum_k p_k ln(p_k / q_k) over the cells k of a grid laid over the reference, p_k = (n_k + a) / (n + a K) with
    smoothing a. Only occupied cells are stored, so that no number of dimensions is too large for memory; but beyond
    five the cells are mostly empty: see `state_space_divergence_mixtures`.

    Parameters
    ----------
    true, generated : array, shape (T, d) or (T,)
        The reference and the series to judge; lengths may differ.
    n_bins : int, optional
        Bins per axis.
    smoothing : float, optional
        Laplace smoothing a, in counts.
    variant : ReconstructionVariant, optional
        `ALL_POINTS`, or `GTF`, `GTF_LEGACY`, `ALRNN` to compare with published numbers.

    Returns
    -------
    StateSpaceDivergence
        Value, floor and settings.

    Raises
    ------
    ValueError, TypeError
        If the dimensions differ, a series is not finite, or the reference is constant in one dimension.

    References
    ----------
    G. Koppe et al., PLOS Comput. Biol. 15, e1007263 (2019). F. Hess, Z. Monfared, M. Brenner, D. Durstewitz,
    Generalized teacher forcing for learning chaotic dynamics, ICML (2023).

    Examples
    --------
    Of a series nine points out of ten have escaped: ln 10, unless those are dropped.

    >>> true = np.random.default_rng(0).random((10_000, 2))
    >>> escaped = true + 1000.0 * (np.arange(10_000) % 10 > 0)[:, None]
    >>> round(state_space_divergence(true, escaped, n_bins=5).value, 2)
    2.31
    >>> round(state_space_divergence(true, escaped, n_bins=5, variant=GTF).value, 2)
    0.01
    """
    true, generated = _two_series(true, generated)
    n_bins, smoothing = as_int("n_bins", n_bins, minimum=2), as_positive_float("smoothing", smoothing)
    variant = _variant(variant)
    if len(true) < 4:
        raise ValueError(f"true must have at least 4 steps, got {len(true)}")
    points = np.concatenate([true, generated])
    bins, outside, counted = _bins(points, true, n_bins, variant)
    cells = np.where(counted, _number_rows(bins), -1)
    n, half = len(true), len(true) // 2
    if true.shape[1] * np.log10(n_bins) > 200:
        raise ValueError(f"true must have fewer dimensions for {n_bins} bins per axis, got {true.shape[1]}; "
                         "see state_space_divergence_mixtures")  # fmt: skip
    n_cells = float(n_bins) ** true.shape[1] + variant.overflow
    n_kept = int(counted[:n].sum())
    return StateSpaceDivergence(
        value=_histogram_divergence(cells[:n], cells[n:], n_cells, smoothing),
        floor=_histogram_divergence(cells[:half], cells[half:n], n_cells, smoothing),
        outside=float(outside[n:].mean()),
        n_bins=n_bins,
        n_dimensions=true.shape[1],
        smoothing=smoothing,
        smoothing_share=float(smoothing * n_cells / (n_kept + smoothing * n_cells)),
        n_occupied=len(np.unique(cells[counted])),
        n_true=n,
        n_generated=len(generated),
        variant=variant,
    )


def _bins(points, reference, n_bins, variant) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the bin of every point on every axis (T, d), which points are outside the grid, and which count."""
    spread = reference.std(axis=0, ddof=1)
    low, high = reference.min(axis=0) - variant.margin * spread, reference.max(axis=0) + variant.margin * spread
    if variant.half_width is not None:
        low, high = -variant.half_width * spread, variant.half_width * spread
    with np.errstate(over="ignore"):  # infinitely far is outside, too
        position = np.floor((points - low) / (high - low) * n_bins)
    bins = np.clip(position, -1, n_bins).astype(np.int64)
    outside = ((bins < 0) | (bins >= n_bins)).any(axis=1)
    counted = np.ones(len(points), dtype=bool) if variant.overflow else ~outside
    if not variant.lowest_bin:
        counted &= (bins != 0).all(axis=1)
    bins[outside] = n_bins  # one cell for all of them
    return bins, outside, counted


def _number_rows(bins) -> np.ndarray:
    """Return one number per distinct row, column by column, so that no product of bin counts overflows."""
    number = np.zeros(len(bins), dtype=np.int64)
    for column in bins.T:
        number = np.unique(number * (column.max() + 1) + column, return_inverse=True)[1]
    return number


def _histogram_divergence(p_cells, q_cells, n_cells, smoothing) -> float:
    """Return KL(p || q) of smoothed counts from the cell of every point, -1 for points that do not count."""
    p_cells, q_cells = p_cells[p_cells >= 0], q_cells[q_cells >= 0]
    if len(p_cells) == 0 or len(q_cells) == 0:
        return np.inf
    size = int(max(p_cells.max(), q_cells.max())) + 1
    p_counts, q_counts = np.bincount(p_cells, minlength=size), np.bincount(q_cells, minlength=size)
    occupied = (p_counts > 0) | (q_counts > 0)
    p = (p_counts[occupied] + smoothing) / (len(p_cells) + smoothing * n_cells)
    q = (q_counts[occupied] + smoothing) / (len(q_cells) + smoothing * n_cells)
    p_empty, q_empty = (smoothing / (len(x) + smoothing * n_cells) for x in (p_cells, q_cells))
    empty = (n_cells - occupied.sum()) * p_empty * np.log(p_empty / q_empty)
    return float(p @ np.log(p / q) + empty)


@dataclass(frozen=True, eq=False, repr=False)
class MixtureDivergence:
    """Hold the divergence of two Gaussian mixtures, one Gaussian on every point of a series.

    Attributes
    ----------
    value, standard_error : float
        Mean of ln p_true - ln p_generated over samples of p_true, in nats, and its Monte-Carlo error.
    floor : float
        The same between the first and the second half of the reference.
    variance : float
        Of every Gaussian, per dimension.
    n_samples, n_true, n_generated, n_dimensions : int
        Samples, points of both mixtures, and dimensions.
    seed : int or SeedSequence
        Seed of the samples.
    """

    value: float
    standard_error: float
    floor: float
    variance: float
    n_samples: int
    n_true: int
    n_generated: int
    n_dimensions: int
    seed: int | np.random.SeedSequence

    def __repr__(self):
        return "\n".join(
            [
                f"MixtureDivergence: {self.value:.4g} ± {self.standard_error:.2g} nats (Monte-Carlo error), "
                f"floor {self.floor:.3g} (halves of the reference)",
                f"  variant     Gaussian of variance {self.variance:g} at every point, {self.n_dimensions} dimensions",
                f"  points      {self.n_true} true, {self.n_generated} generated",
                f"  samples     {self.n_samples}, all kept; seed {self.seed}",
            ]
        )


def state_space_divergence_mixtures(
    true, generated, *, variance=1.0, n_samples=1000, max_points=10_000, seed=0, progress=True
) -> MixtureDivergence:
    """Compare where two series spend their time in many dimensions: KL of Gaussian mixtures, by Monte Carlo.

    p(x) = (1/T) sum_t N(x; x_t, variance) for each series, D = mean of ln p_true(x) - ln p_generated(x) over samples x
    of p_true. Everything stays in logarithms: the published code drops the samples whose likelihood underflows, which
    are those that count most.

    Parameters
    ----------
    true, generated : array, shape (T, d) or (T,)
        The reference and the series to judge; lengths may differ. `variance` is in their units: standardise them
        together first (published values do, with the mean and deviation of the reference).
    variance : float, optional
        Of every Gaussian, per dimension.
    n_samples : int, optional
        Monte-Carlo samples.
    max_points : int, optional
        Only the first so many points of each series are used.
    seed : int or SeedSequence, optional
        Seed of the samples.
    progress : bool, optional
        Whether a bar appears when the run takes longer than two seconds.

    Returns
    -------
    MixtureDivergence
        Value, Monte-Carlo error, floor and settings.

    Raises
    ------
    ValueError, TypeError
        If the dimensions differ, a series is not finite, or the reference is constant in one dimension.

    References
    ----------
    J. R. Hershey, P. A. Olsen, ICASSP (2007). M. Brenner et al., Tractable dendritic RNNs for reconstructing nonlinear
    dynamical systems, ICML (2022).

    Examples
    --------
    Far apart, the divergence is about half the squared distance over the variance:

    >>> true = 0.01 * np.random.default_rng(0).standard_normal((100, 8))
    >>> round(state_space_divergence_mixtures(true, true + 100.0, n_samples=100).value / (8 * 100**2 / 2), 2)
    1.0
    """
    true, generated = _two_series(true, generated)
    variance, n_samples = as_positive_float("variance", variance), as_int("n_samples", n_samples, minimum=2)
    max_points = as_int("max_points", max_points, minimum=2)
    if len(true) < 2:
        raise ValueError(f"true must have at least 2 steps, got {len(true)}")
    rng = np.random.default_rng(seed_sequence(seed))
    true, generated = true[:max_points], generated[:max_points]
    halves = true[: len(true) // 2], true[len(true) // 2 :]
    # four mixtures on two sets of samples
    means, where = [true, generated, *halves], [0, 0, 1, 1]
    samples = [_draw(points, variance, n_samples, rng) for points in (true, halves[0])]
    jobs = track(zip(means, where, strict=True), 4, "mixtures", progress)
    p, q, p_half, q_half = (_log_likelihood(samples[k], points, variance) for points, k in jobs)
    return MixtureDivergence(
        value=float(np.mean(p - q)),
        standard_error=float(np.std(p - q, ddof=1) / np.sqrt(n_samples)),
        floor=float(np.mean(p_half - q_half)),
        variance=variance,
        n_samples=n_samples,
        n_true=len(true),
        n_generated=len(generated),
        n_dimensions=true.shape[1],
        seed=seed,
    )


def _draw(points, variance, n_samples, rng) -> np.ndarray:
    chosen = points[rng.integers(len(points), size=n_samples)]
    return chosen + np.sqrt(variance) * rng.standard_normal(chosen.shape)


def _log_likelihood(samples, points, variance) -> np.ndarray:
    """Return ln p of every sample, without the constant that all mixtures of one variance share."""
    from scipy.spatial.distance import cdist
    from scipy.special import logsumexp

    size = max(1, BUFFER_BYTES // (8 * len(points)))
    blocks = [samples[i : i + size] for i in range(0, len(samples), size)]
    exponents = (-cdist(block, points, "sqeuclidean") / (2 * variance) for block in blocks)
    return np.concatenate([logsumexp(e, axis=1) for e in exponents]) - np.log(len(points))


# Spectra


@dataclass(frozen=True, eq=False, repr=False)
class SpectralDistance:
    """Hold the distance of two power spectra.

    Attributes
    ----------
    value : float
        Hellinger distance, mean over the dimensions: 0 for equal spectra, 1 for spectra that do not overlap.
    per_dimension : array, shape (d,)
        Of every dimension.
    floor : float
        The same between the halves of the reference, smoothed over the same range of frequencies.
    frequencies : array, shape (F,)
        In cycles per unit of time.
    true_spectrum, generated_spectrum : array, shape (F, d)
        Smoothed power, summing to one.
    smoothing : float
        Standard deviation of the Gaussian, in bins of the spectrum, which are 1 / (n_steps dt) wide.
    n_steps : int
        Length of either series.
    variant : ReconstructionVariant
        How the spectrum is continued beyond its ends.
    """

    value: float
    per_dimension: np.ndarray
    floor: float
    frequencies: np.ndarray
    true_spectrum: np.ndarray
    generated_spectrum: np.ndarray
    smoothing: float
    n_steps: int
    variant: ReconstructionVariant

    def plot(self, ax=None):
        """Draw both spectra, averaged over the dimensions; return the matplotlib axes."""
        from penstock.analysis.plots import plot_spectra

        return plot_spectra(self, ax)

    def __repr__(self):
        per = " ".join(f"{x:.3g}" for x in self.per_dimension[:8]) + " .." * (len(self.per_dimension) > 8)
        return "\n".join(
            [
                f"SpectralDistance: {self.value:.4g} (Hellinger), floor {self.floor:.3g} (halves of the reference)",
                f"  dimensions  {per}",
                f"  variant     {self.variant.name}, smoothed over {self.smoothing:g} bins of {self.n_steps} steps",
            ]
        )


def spectral_distance(true, generated, *, smoothing=20.0, dt=1.0, variant=ALL_POINTS) -> SpectralDistance:
    """Compare the power spectra of two series: their Hellinger distance, mean over the dimensions.

    Each dimension is standardised, its power |rfft|^2 smoothed by a Gaussian cut at four standard deviations and
    normalised to p with sum 1; D = ||sqrt p - sqrt q||_2 / sqrt 2. The form sqrt(1 - sum sqrt(p q)) of the AL-RNN code
    is the same number, but rounding makes the root of a negative number of it for some equal spectra.

    Parameters
    ----------
    true, generated : array, shape (T, d) or (T,)
        The reference and the series to judge, of one length.
    smoothing : float, optional
        Standard deviation of the Gaussian in bins, 0 for none. A bin is 1 / (T dt) wide: values of series of different
        lengths are comparable only with `smoothing` in proportion to T.
    dt : float, optional
        Time between two steps, for the frequencies.
    variant : ReconstructionVariant, optional
        `ALL_POINTS` and `ALRNN` smooth alike, `GTF` differs at the ends of the spectrum.

    Returns
    -------
    SpectralDistance
        Value, floor and both spectra.

    Raises
    ------
    ValueError, TypeError
        If shapes differ, a series is not finite, or is constant in one dimension: a constant has no spectrum.

    References
    ----------
    D. Mikhaeil, Z. Monfared, D. Durstewitz, On the difficulty of learning chaotic dynamics with RNNs, NeurIPS (2022).
    M. Brenner, C. Hemmer, Z. Monfared, D. Durstewitz, Almost-linear RNNs, NeurIPS (2024).

    Examples
    --------
    Two sines of different frequencies, in one dimension of two:

    >>> t = np.arange(1000)
    >>> true = np.column_stack([np.sin(0.1 * t), np.sin(0.2 * t)])
    >>> other = np.column_stack([np.sin(0.1 * t), np.sin(0.9 * t)])
    >>> spectral_distance(true, other, smoothing=1.0).per_dimension.round(2)
    array([0.  , 0.99])
    """
    true, generated = _two_series(true, generated)
    smoothing, dt = as_non_negative_float("smoothing", smoothing), as_positive_float("dt", dt)
    variant = _variant(variant)
    if len(true) != len(generated):
        raise ValueError(f"generated must have the length of true, {len(true)}, got {len(generated)}: cut the longer")
    if len(true) < 8:
        raise ValueError(f"true must have at least 8 steps, got {len(true)}")
    half = len(true) // 2
    p, q = (_spectrum(name, x, smoothing, variant) for name, x in (("true", true), ("generated", generated)))
    halves = [_spectrum("each half of true", x, smoothing / 2, variant) for x in (true[:half], true[half : 2 * half])]
    distances = _hellinger(p, q)
    return SpectralDistance(
        value=float(distances.mean()),
        per_dimension=distances,
        floor=float(_hellinger(*halves).mean()),
        frequencies=np.fft.rfftfreq(len(true), dt),
        true_spectrum=p,
        generated_spectrum=q,
        smoothing=smoothing,
        n_steps=len(true),
        variant=variant,
    )


def _spectrum(name, x, smoothing, variant) -> np.ndarray:
    from scipy.ndimage import gaussian_filter1d

    size = np.abs(x).max(axis=0)
    x = x / np.where(size > 0, size, 1.0)  # squares of large numbers would overflow
    z = x - x.mean(axis=0)
    if (np.abs(z).max(axis=0) <= 1e-12).any():
        column = int(np.argmin(np.abs(z).max(axis=0)))
        raise ValueError(f"{name} must vary in every dimension, got a constant in dimension {column}: no spectrum")
    power = np.abs(np.fft.rfft(z / z.std(axis=0), axis=0)) ** 2
    if smoothing:
        mode = "reflect" if variant.repeat_edge else "mirror"  # SciPy's names
        power = gaussian_filter1d(power, smoothing, axis=0, mode=mode, truncate=4.0)
    return power / power.sum(axis=0)


def _hellinger(p, q) -> np.ndarray:
    return np.linalg.norm(np.sqrt(p) - np.sqrt(q), axis=0) / np.sqrt(2)


# Checks


def _two_series(true, generated) -> tuple[np.ndarray, np.ndarray]:
    true, generated = as_columns("true", true), as_columns("generated", generated)
    if true.shape[1] != generated.shape[1]:
        raise ValueError(f"generated must have the {true.shape[1]} dimensions of true, got {generated.shape[1]}")
    spread = np.ptp(true, axis=0)
    if (spread <= 1e-13 * np.abs(true).max(axis=0)).any():
        raise ValueError(f"true must vary in every dimension, got a constant in dimension {int(np.argmin(spread))}")
    return true, generated


def _variant(variant) -> ReconstructionVariant:
    if not isinstance(variant, ReconstructionVariant):
        raise TypeError(f"variant must be a ReconstructionVariant such as GTF or ALRNN, got {variant!r}")
    return variant
