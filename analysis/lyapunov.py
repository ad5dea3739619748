"""Lyapunov exponents of any system, driven or left to itself: how fast nearby states part or come together."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from penstock.checks import as_inputs, as_int, as_state, generators
from penstock.orthogonal import lean_logs, orthonormalise
from penstock.progress import track
from penstock.system import System, as_system
from penstock.threads import one_blas_thread

__all__ = ["LyapunovSpectrum", "lyapunov_spectrum"]

N_BLOCKS = 20  # of the standard errors; every check merges or halves them
MIN_STEPS = 2 * N_BLOCKS
MAX_INTERVAL = 1024


@dataclass(frozen=True, repr=False, eq=False)
class LyapunovSpectrum:
    """Hold Lyapunov exponents, how well they are known, and what they imply.

    Attributes
    ----------
    exponents : array, shape (k,)
        Natural logarithms per unit of time (per step if dt = 1), in the order of the frame: descending but for
        exponents closer than their errors. -inf where the Jacobians are singular.
    standard_errors : array, shape (k,)
        From 20 blocks of the run; 0 beside an exponent of -inf.
    trace, trace_times : array, shape (rows, k) and (rows,)
        The estimates up to each time after the washout: how they settled.
    finite_time : array, shape (20, k)
        Exponents of every block alone, each over a time ``n_steps * dt / 20``.
    kind : str
        "driven" (conditional exponents, given the inputs) or "autonomous".
    n_units, n_steps, washout : int
        Dimension of the state, steps measured, and steps discarded before.
    dt : float
        Time between two steps.
    interval : tuple of int
        Fewest and most steps between two factorisations.
    largest_ratio : float
        Largest R_11 / R_kk, fastest over slowest growth, between two factorisations (from 13 exponents on of pivots,
        of the same order). Beyond about 1e12 in float64 and 1e5 in float32 the trailing exponents drown in rounding.
    sum_residual : float or None
        Largest error per step of ``sum ln R_ii = sum ln |det J|`` over sampled segments; None without all exponents.
    doubts : tuple of str
        Why the numbers may not have converged; empty if nothing speaks against them.
    seed : int or SeedSequence
        Seed of the start and of the frame.
    """

    exponents: np.ndarray
    standard_errors: np.ndarray
    trace: np.ndarray
    trace_times: np.ndarray
    finite_time: np.ndarray
    kind: str
    n_units: int
    n_steps: int
    washout: int
    dt: float
    interval: tuple[int, int]
    largest_ratio: float
    sum_residual: float | None
    doubts: tuple[str, ...]
    seed: int | np.random.SeedSequence

    @property
    def converged(self) -> bool:
        """Whether no check speaks against the numbers; `doubts` says what does."""
        return not self.doubts

    @property
    def per_step(self) -> np.ndarray:
        """The exponents per step instead of per unit of time; shape (k,)."""
        return self.exponents * self.dt

    @property
    def kaplan_yorke_dimension(self) -> float | None:
        """D = j + (lambda_1 + … + lambda_j) / |lambda_j+1| with the last j whose sum is not negative.

        0 if all exponents are negative, the number of units if all sums are not. None if the sums of the computed
        exponents stay positive while there are further ones: compute more.
        """
        return _kaplan_yorke(self.exponents, self.n_units)

    @property
    def kaplan_yorke_error(self) -> float | None:
        """Standard error of the dimension, by the jackknife over the blocks; None if there is no dimension."""
        return self._jackknife(_kaplan_yorke)

    @property
    def entropy_bound(self) -> float | None:
        """Sum of the positive exponents, which bounds the entropy rate (Ruelle) in nats per unit of time.

        None if even the last computed exponent is positive while there are further ones.
        """
        return _positive_sum(self.exponents, self.n_units)

    @property
    def entropy_bound_error(self) -> float | None:
        """Standard error of the bound, by the jackknife over the blocks."""
        return self._jackknife(_positive_sum)

    @property
    def zero_exponent(self) -> int | None:
        """Index of the exponent that is zero within three standard errors; None if there is none, or inputs drive it.

        An autonomous flow that is not at a fixed point has one, along its velocity. Maps and driven systems need not.
        """
        if self.kind == "driven":
            return None
        nearest = int(np.argmin(np.abs(self.exponents)))
        return nearest if abs(self.per_step[nearest]) <= 3 * self.standard_errors[nearest] * self.dt + 1e-9 else None

    def _jackknife(self, function):
        with np.errstate(invalid="ignore"):
            rest = [np.delete(self.finite_time, block, axis=0).mean(axis=0) for block in range(N_BLOCKS)]
        values = [function(exponents, self.n_units) for exponents in rest]
        if None in values or function(self.exponents, self.n_units) is None:
            return None
        return float(np.std(values) * np.sqrt(N_BLOCKS - 1))

    def plot(self, ax=None):
        """Draw the spectrum with its errors and how the estimates settled; return the two axes.

        `ax` may be a pair of axes, or a single one for the spectrum alone.
        """
        from penstock.analysis.plots import plot_lyapunov_spectrum

        return plot_lyapunov_spectrum(self, ax)

    def __repr__(self):
        unit = "per step" if self.dt == 1 else "per unit of time"
        clearly_positive = int((self.exponents > 3 * self.standard_errors).sum())
        lines = [
            f"LyapunovSpectrum: {_list(self.exponents, self.standard_errors)} nats {unit} (± standard error)",
            f"  kind        {self._kind_text()}",
            f"  exponents   {len(self.exponents)} of {self.n_units}, {clearly_positive} above 0 by 3 standard errors",
            f"  dimension   {self._dimension_text()} (Kaplan-Yorke)",
            f"  entropy     {_bound_text(self.entropy_bound, self.entropy_bound_error)}",
            f"  length      {self.n_steps} steps of {self.dt:g}, washout {self.washout}, seed {self.seed}",
            f"  QR          every {' to '.join(map(str, sorted(set(self.interval))))} steps, "
            f"largest R_11/R_kk {self.largest_ratio:.2g}",
        ]
        if self.sum_residual is not None:
            lines.append(f"  sum rule    ln |det J| missed by at most {self.sum_residual:.1g} per step")
        lines += [f"  NOT CONVERGED: {doubt}" for doubt in self.doubts]
        return "\n".join(lines)

    def _kind_text(self):
        if self.kind == "driven":
            return "driven: conditional exponents, of which none need be zero"
        if self.zero_exponent is None:
            return "autonomous; no exponent is zero within 3 standard errors"
        return f"autonomous; exponent {self.zero_exponent} (counted from 0) is zero within 3 standard errors"

    def _dimension_text(self):
        if self.kaplan_yorke_dimension is None:
            return f"unknown: the sum of {len(self.exponents)} exponents is still positive, more are needed"
        error = self.kaplan_yorke_error
        return f"{self.kaplan_yorke_dimension:.4g}" + ("" if error is None else f" ± {error:.2g}")


@one_blas_thread
def lyapunov_spectrum(
    system: System,
    u=None,
    n_exponents: int | None = None,
    *,
    n_steps: int | None = None,
    washout: int | None = None,
    x0=None,
    interval: int | None = None,
    seed: int | np.random.SeedSequence = 0,
    progress: bool = True,
) -> LyapunovSpectrum:
    """Measure the leading or all Lyapunov exponents, along inputs `u` or of an autonomous system.

    A frame of tangents is carried along, V <- J V, and factorised V = Q R every few steps; then
    ``lambda_i = sum ln |R_ii| / (n_steps * dt)``. Given inputs, these are the conditional exponents: negative ones
    are necessary for the echo-state property.

    Parameters
    ----------
    system : System
        Any system; exponents of a numerical flow are those of its numerical step.
    u : array, shape (T, m), optional
        Inputs of a driven system; (T,) if it has one. None for an autonomous system.
    n_exponents : int, optional
        The number k of leading exponents; by default all.
    n_steps : int, optional
        Steps to measure, washout not counted, for autonomous systems: by default 1000 units of time, at least 10,000
        steps and at most a million. A driven system is measured to the end of `u`.
    washout : int, optional
        Steps discarded first, by default a tenth of the length: taken from the beginning of `u`, or added to
        `n_steps`. In the first half the state settles, in the second the frame does as well.
    x0 : array, shape (n,), optional
        Start. By default zero for driven systems, and small positive random numbers, from `seed`, for autonomous ones,
        whose origin may be a fixed point. A closed loop is best started from the last state of its driven network.
    interval : int, optional
        Steps between two factorisations. By default chosen as it runs, as many as keep the fastest growth below 1e6
        times the slowest (1e3 in float32), so that the contracting end is never lost; what exceeded that is repeated.
        One step for 256 and more exponents of a dense float64 `ESN`, where that is faster.
        The run must be 40 times as long.
    seed : int or SeedSequence
        Seed of the frame and of the start; the exponents do not depend on it beyond their errors.
    progress : bool
        Whether a bar appears when the run takes longer than two seconds.

    Returns
    -------
    LyapunovSpectrum

    Raises
    ------
    TypeError, ValueError
        If an argument is of no use, or the run too short.
    FloatingPointError
        If the state diverges or a tangent is not finite.

    References
    ----------
    G. Benettin, L. Galgani, A. Giorgilli, J.-M. Strelcyn, Meccanica 15 (1980), 9 and 21. K. Geist, U. Parlitz,
    W. Lauterborn, Comparison of different methods for computing Lyapunov exponents, Prog. Theor. Phys. 83 (1990) 875.

    Examples
    --------
    The exponents of the cat map are ln((3 ± sqrt 5) / 2):

    >>> import numpy as np
    >>> from penstock import Map
    >>> from penstock.analysis import lyapunov_spectrum
    >>> A = np.array([[2.0, 1.0], [1.0, 1.0]])
    >>> cat = Map(lambda x, u: A @ x % 1.0, n_units=2, rule_jacobian=lambda x, u: A)
    >>> lyapunov_spectrum(cat, n_steps=1000).exponents.round(6).tolist()
    [0.962424, -0.962424]

    A reservoir forgets its start if its leading exponent, given the inputs, is negative:

    >>> from penstock.reservoirs import ESN
    >>> esn = ESN.random(50, spectral_radius=0.9, seed=0)
    >>> u = np.random.default_rng(0).uniform(-1, 1, 2000)
    >>> bool(lyapunov_spectrum(esn, u, n_exponents=1).exponents[0] < 0)
    True
    """
    system = as_system(system)
    k = as_exponents("n_exponents", n_exponents, system.n_units)
    shortest = MIN_STEPS * (1 if interval is None else as_int("interval", interval))  # every half block ends with a QR
    course = as_course(system, u, n_steps, washout, x0, seed, shortest)
    frame = Frame(system, course.x0, k, interval, course.frame_seed)
    frame.settle(course)
    growth, edges, residual = _measure(frame, course, progress)
    return _make_result(growth, edges, residual, frame, course, seed)


# --- the run --------------------------------------------------------------------------------------------------------


class Course(NamedTuple):
    """Where a measurement starts and what drives it."""

    x0: np.ndarray  # after the state's own transient
    inputs: np.ndarray  # (frame_steps + n_steps, m)
    frame_steps: int  # further washout, for the frame
    n_steps: int
    washout: int
    frame_seed: np.random.Generator


def as_exponents(name, count, n_units):
    """Return a number of exponents or vectors, by default all."""
    if count is None:
        return n_units
    if as_int(name, count) > n_units:
        raise ValueError(f"{name} must be at most n_units = {n_units}, got {count}")
    return int(count)


def as_course(system, u, n_steps, washout, x0, seed, min_steps) -> Course:
    """Check the arguments that all tangent methods share, and let the state settle for half of the washout."""
    for_start, for_frame = generators(seed, 2)
    if washout is not None:
        as_int("washout", washout, minimum=0)
    if system.n_inputs:
        inputs, washout = _driven_inputs(system, u, n_steps, washout, min_steps)
    else:
        inputs, washout = _free_inputs(system, u, n_steps, washout, min_steps)
        if x0 is None:
            x0 = for_start.uniform(0, 0.1, system.n_units) if system.start is None else system.start
    x = as_state(x0, system.n_units, None, system.dtype)
    alone = washout // 2
    try:
        for states in system.blocks(inputs[:alone], max(1, 2**18 // system.n_units), x):
            x = states[-1]
    except FloatingPointError as error:
        raise FloatingPointError(f"{error}; or start elsewhere by x0") from None
    x = np.array(x, system.dtype)
    return Course(x, inputs[alone:], washout - alone, len(inputs) - washout, washout, for_frame)


def _driven_inputs(system, u, n_steps, washout, min_steps):
    if u is None:
        raise ValueError(
            f"u must be the inputs of shape (T, {system.n_inputs}) of this driven system, got None; "
            "close the loop first to analyse it without inputs"
        )
    if n_steps is not None:
        raise ValueError(f"n_steps must be None for a driven system, which runs to the end of u, got {n_steps}")
    u = as_inputs(u, system.n_inputs, system.dtype)
    if u.ndim != 2:
        raise ValueError(f"u must be one series of shape (T, {system.n_inputs}), got {u.shape}")
    washout = len(u) // 10 if washout is None else washout
    if len(u) - washout < min_steps:
        raise ValueError(f"u must be at least {min_steps} steps longer than the washout of {washout}, got {len(u)}")
    return u, washout


def _free_inputs(system, u, n_steps, washout, min_steps):
    if u is not None:
        raise ValueError("u must be None for a system without inputs; say how long by n_steps")
    if n_steps is None:
        n_steps = int(np.clip(1000 / system.dt, 10_000, 1_000_000))
    n_steps = as_int("n_steps", n_steps, min_steps)
    washout = max(100, n_steps // 10) if washout is None else washout
    return np.empty((washout + n_steps, 0), system.dtype), washout


class Frame:
    """A state and its frame of tangents on their way, with the interval between two factorisations."""

    def __init__(self, system, x, k, interval, rng):
        single = np.dtype(system.dtype) == np.float32
        each_step = getattr(system, "_each_step", None)  # for models that gain by it
        self.system, self.x = system, x
        self.fixed = interval is not None or (each_step is not None and each_step(k))
        self.interval = interval or 1
        self.limit = np.log(1e3 if single else 1e6)  # of ln R_11 / R_kk
        self.huge = np.log(1e12 if single else 1e100)  # of the growth itself
        self.rng = rng
        self.V = rng.standard_normal((k, system.n_units)).astype(system.dtype)
        self.wait, self.hold = 0, 2
        self.restart()

    def restart(self):
        """Start to measure: forget the record of the transient, and give collapsed vectors a new direction."""
        collapsed = np.linalg.norm(self.V, axis=1) < 0.5
        self.V[collapsed] = self.rng.standard_normal((int(collapsed.sum()), self.V.shape[1]))
        self.V = np.ascontiguousarray(np.linalg.qr(self.V.T)[0].T)
        self.lost = np.zeros(len(self.V), bool)
        self.shortest, self.longest, self.largest = np.inf, 1, 0.0

    def settle(self, course):
        """Carry the frame through its transient, while the interval finds its length."""
        start = 0
        while start < course.frame_steps:
            stop = min(course.frame_steps, start + 8 * self.interval)
            self.advance(course.inputs[start:stop])
            start = stop
        if start:
            self.restart()

    def advance(self, u):
        """Carry state and frame through u (T, m); return their growth, sum ln |R_ii| (k,)."""
        first = interval = min(self.interval, len(u))
        while True:
            x, V = self.x.copy(), self.V.copy()
            logs = np.empty((-(-len(u) // interval), len(V)))
            with np.errstate(all="ignore"):
                self.system._push_qr(x, u, V, interval, logs)
                spread = self._spread(logs)
            if spread <= self.limit or interval == 1 or self.fixed:
                break
            interval //= 2
        growth = logs.sum(axis=0)
        if not np.isfinite(x).all() or np.isnan(growth).any() or np.isposinf(growth).any():
            self._raise_not_finite(u, x, interval)
        self.x, self.V = x, V
        self.lost |= np.isneginf(growth)
        self.largest = max(self.largest, self.ratio)
        self._adapt(first, interval, spread)
        return growth

    def lean(self):
        """Return what the factorisations up to now left out, ln |R_ii| (k,) of the frame."""
        return np.where(self.lost, 0.0, lean_logs(self.V))

    def straighten(self):
        """Make the frame exactly orthonormal; return the same."""
        logs = np.empty(len(self.V))
        orthonormalise(self.V, logs)
        return np.where(self.lost, 0.0, logs)

    def _adapt(self, first, interval, spread):
        """Note the interval that held, and choose the next: longer if twice the spread would do, but not at once
        after that has failed."""
        if interval == first < self.interval:  # cut by the end of the row, which says nothing
            interval = self.interval
        elif not self.fixed:
            if interval < first:
                self.wait, self.hold = self.hold, min(2 * self.hold, 256)
            self.wait -= 1
            longer = 2 * spread <= 0.8 * self.limit and self.wait < 0
            self.interval = min(2 * interval, MAX_INTERVAL) if longer else interval
        self.shortest, self.longest = min(self.shortest, interval), max(self.longest, interval)

    def _spread(self, logs):
        """ln R_11 / R_kk of the worst segment, or more if the growth itself comes near overflow."""
        alive, self.ratio = np.ascontiguousarray(logs.T[~self.lost] if self.lost.any() else logs.T), 0.0
        if alive.size == 0:
            return 0.0
        fastest, slowest = alive.max(axis=0), alive.min(axis=0)
        spread = float((fastest - slowest).max())
        if not np.isfinite(spread):
            return np.inf
        self.ratio = spread
        return max(spread, float(max(fastest.max(), -slowest.min())) * self.limit / self.huge)

    def _raise_not_finite(self, u, x, interval):
        if not np.isfinite(x).all():
            self.system.run(u, self.x)  # names the step and the unit
            raise FloatingPointError("the state stopped being finite; start elsewhere by x0")
        remedy = "check system.jacobian" if interval == 1 else f"lower interval = {interval}"
        raise FloatingPointError(f"the tangents stopped being finite: {remedy}")


def _measure(frame, course, progress):
    """Return the growth (rows, k), the edges (rows + 1,) of the rows in steps, and the residual of the sum rule."""
    k, n_units = frame.V.shape
    per_row = max(np.clip(2**15 // (k * n_units), 25, 4000), frame.interval if frame.fixed else 1)
    rows = 2 * N_BLOCKS * int(np.clip(course.n_steps // (2 * N_BLOCKS * per_row), 1, 12))
    edges = np.linspace(0, course.n_steps, rows + 1).round().astype(int)
    growth, residuals = np.zeros((rows, k)), []
    probes = _probes(rows, course.n_steps) if k == n_units else {}
    lean = np.zeros(k)  # the frame starts orthonormal
    for row in track(range(rows), rows, "Lyapunov exponents", progress):
        u = course.inputs[course.frame_steps + edges[row] : course.frame_steps + edges[row + 1]]
        probe = 0 if frame.lost.any() else probes.get(row, 0)  # a collapsed vector is no part of a determinant
        growth[row] -= lean
        if probe:
            before = frame.x.copy()
            growth[row] += frame.advance(u[:probe])
            total = (growth[row] + frame.lean()).sum()
            residuals.append(_sum_error(total, frame.system, before, u[:probe]) / probe)
        if probe < len(u):
            growth[row] += frame.advance(u[probe:])
        lean = frame.lean() if row < rows - 1 else frame.straighten()
        growth[row] += lean
    return growth, edges, max(residuals) if residuals else None


def _probes(rows, n_steps):
    """The rows at whose start the sum rule is tried, with how many steps: a twentieth of the run, at most 8 steps."""
    budget = min(8, n_steps // 20)
    places = np.unique(np.linspace(0, rows - 1, min(4, budget)).astype(int))
    return {int(row): min(budget // len(places), n_steps // rows) for row in places}


def _sum_error(total, system, x, u):
    """How far sum ln |R_ii| = `total` is from the sum of ln |det J| along u from x."""
    jacobians = []
    for u_t in u:
        jacobians.append(system.jacobian(x, u_t))
        x = system.step(x, u_t)
    if np.isneginf(total):
        return 0.0 if any(np.linalg.matrix_rank(J) < len(J) for J in jacobians) else np.inf
    return abs(total - sum(float(np.linalg.slogdet(J)[1]) for J in jacobians))


# --- the answer -----------------------------------------------------------------------------------------------------


def _make_result(growth, edges, residual, frame, course, seed):
    n_steps, dt = course.n_steps, frame.system.dt
    total = np.cumsum(growth, axis=0)
    blocks = _merge(growth, edges, N_BLOCKS) / dt
    exponents = total[-1] / (n_steps * dt)
    interval = (int(frame.shortest), frame.longest)
    doubts = _doubts(exponents * dt, _merge(growth, edges, 2 * N_BLOCKS), residual, frame)
    return LyapunovSpectrum(
        exponents=exponents,
        standard_errors=_standard_error(blocks),
        trace=total / (edges[1:, None] * dt),
        trace_times=edges[1:] * dt,
        finite_time=blocks,
        kind="driven" if frame.system.n_inputs else "autonomous",
        n_units=frame.system.n_units,
        n_steps=n_steps,
        washout=course.washout,
        dt=float(dt),
        interval=interval,
        largest_ratio=float(np.exp(min(frame.largest, 700))),
        sum_residual=None if residual is None else float(residual),
        doubts=doubts,
        seed=seed,
    )


def _merge(growth, edges, count):
    """Mean growth per step (count, k) of the rows taken together in `count` blocks."""
    steps = np.diff(edges[:: len(growth) // count])
    return growth.reshape(count, -1, growth.shape[1]).sum(axis=1) / steps[:, None]


def _standard_error(blocks):
    """Standard error of the mean of independent blocks; 0 where it is -inf."""
    finite = np.isfinite(blocks).all(axis=0)
    return np.where(finite, np.std(np.where(finite, blocks, 0), axis=0, ddof=1), 0) / np.sqrt(len(blocks))


def _doubts(per_step, halves, residual, frame):
    """What speaks against the exponents per step: `halves` (40, k) are those of every half block."""
    from scipy.special import ndtri, stdtrit  # here, because it is slow to import

    finite = np.isfinite(halves).all(axis=0)
    halves, k = halves[:, finite], max(1, int(finite.sum()))
    single = np.dtype(frame.system.dtype) == np.float32
    doubts = []
    noise = (1e-4 if single else 1e-7) * (1 + np.abs(per_step[finite]))  # nothing below it is worth a doubt
    centred = halves - halves.mean(axis=0)
    spread = (centred**2).mean(axis=0)
    # correlation of neighbours: a merged pair has the variance 1 + correlation times that of independent ones
    correlation = (centred[1:] * centred[:-1]).mean(axis=0) / np.maximum(spread, noise**2)
    if (correlation > -ndtri(1e-3 / k) / np.sqrt(len(halves))).any():
        doubts.append("the blocks are not independent, so the standard errors are too small; run longer")
    first, second = np.split(halves, 2)
    gap = np.abs(first.mean(axis=0) - second.mean(axis=0))
    error = np.sqrt((np.var(first, axis=0, ddof=1) + np.var(second, axis=0, ddof=1)) / len(first))
    if (gap > stdtrit(N_BLOCKS - 2, 1 - 5e-4 / k) * error + noise).any():
        doubts.append("the two halves of the run disagree; lengthen the washout or the run")
    if frame.largest > np.log(1e5 if single else 1e12):
        lost = f"interval = {frame.longest} steps loses the contracting end in rounding; shorten it"
        alone = "the Jacobian is singular but for rounding, in which the trailing exponents drown; ask for fewer"
        doubts.append(lost if frame.longest > 1 else alone)
    if residual is not None and not residual <= (1e-3 if single else 1e-6) * frame.system.n_units:
        doubts.append("the exponents do not add up to ln |det J|; check system.jacobian against system.push")
    return tuple(doubts)


def _kaplan_yorke(exponents, n_units):
    exponents = np.sort(exponents)[::-1]
    sums = np.cumsum(exponents)
    if exponents[0] < 0:
        return 0.0
    if (sums >= 0).all():
        return float(n_units) if len(sums) == n_units else None
    j = int(np.argmax(sums < 0))
    return float(j + sums[j - 1] / -exponents[j])


def _positive_sum(exponents, n_units):
    if len(exponents) < n_units and exponents.min() > 0:
        return None
    return float(exponents[exponents > 0].sum())


def _list(exponents, errors, longest=6):
    """The exponents with their errors, the middle left out if there are many."""
    texts = [f"{value:.4g} ± {error:.1g}" for value, error in zip(exponents, errors, strict=True)]
    if len(texts) > longest:
        texts = [*texts[: longest - 2], "…", texts[-1]]
    return ", ".join(texts)


def _bound_text(bound, error):
    if bound is None:
        return "unknown: all computed exponents are positive, more are needed"
    return f"at most {bound:.4g} ± {error or 0:.2g} nats (sum of the positive exponents)"
