"""Memory capacity of any driven system: how much of its past input a linear readout can recover from its state."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from penstock.analysis.regression import (
    N_BLOCKS,
    adjust,
    count_observed,
    draw_inputs,
    score_held_out,
    score_in_sample,
    steps_needed,
)
from penstock.analysis.sums import EPS, Plan, observed_rows
from penstock.checks import as_finite_array, as_fraction, as_int, seed_sequence
from penstock.laws import Law, Signs, Uniform
from penstock.progress import track
from penstock.system import System, as_system
from penstock.threads import one_blas_thread

__all__ = [
    "ADJUSTED",
    "MC1",
    "MC1B",
    "MC2",
    "MC3",
    "MemoryCapacity",
    "MemoryOverScale",
    "Protocol",
    "memory_capacity",
    "memory_over_input_scale",
]

BUFFER_BYTES = 2**22  # of states, coordinates and targets in one block


def _check_callable(name, value) -> None:
    if not callable(value):
        raise TypeError(f"{name} must be a function, got {value!r}")


@dataclass(frozen=True)
class Protocol:
    """Say how a memory capacity is measured: every published number belongs to one such set of choices.

    Parameters
    ----------
    name : str
        What results print.
    input_law : callable
        Law of the independent inputs, ``(rng, size) -> array``; see `penstock.laws`.
    n_train : int or None
        Steps to which the readout is fitted, washout not counted; None for 50 per observed unit, at least 5000.
    n_test : int
        Further steps on which it is scored by squared correlation; 0 scores the fitted steps themselves by R^2.
    washout : int
        Steps discarded first (more, if the longest delay is longer, so that every delayed input exists).
    first_delay : int
        The shortest delay, 0 for the present input. Sums from 0 and sums from 1 differ by MC_0.
    delays_per_unit : int
        The number of delays is this times the number N of observed units.
    adjusted : bool
        In-sample scores only: whether R^2 is adjusted for the number of regressors, so that chance scores 0.
    capped : bool
        Whether the total is cut off at N.
    cut : float or None
        Singular values of the centred states below `cut` times the largest are dropped; None for N times 2.2e-16.
    """

    name: str
    input_law: Law = field(default_factory=lambda: Uniform(-0.8, 0.8))
    n_train: int | None = None
    n_test: int = 0
    washout: int = 500
    first_delay: int = 0
    delays_per_unit: int = 2
    adjusted: bool = False
    capped: bool = False
    cut: float | None = None

    def __post_init__(self):
        _check_callable("input_law", self.input_law)
        if self.n_train is not None:
            as_int("n_train", self.n_train)
        for name, minimum in (("n_test", 0), ("washout", 0), ("first_delay", 0), ("delays_per_unit", 1)):
            as_int(name, getattr(self, name), minimum)
        if self.cut is not None:
            as_fraction("cut", self.cut)
        if self.adjusted and self.n_test:
            raise ValueError(f"adjusted must be False for a held-out score (n_test = {self.n_test})")
        if self.n_test and self.n_train is None:
            raise ValueError("n_train must be a number of steps if n_test is one, got None")

    def __str__(self):
        score = "held-out squared correlation" if self.n_test else "in-sample R^2"
        return f"{self.name}: {'adjusted ' if self.adjusted else ''}{score}{', total cut off at N' * self.capped}"


ADJUSTED = Protocol("ADJUSTED", adjusted=True)
"""In-sample adjusted R^2 over delays 0..2N-1: unbiased, and with lag 0 counted the capacity lies between 0 and N."""

MC1 = Protocol("MC1", n_train=4900, n_test=1000, washout=100, first_delay=1, cut=1e-15**0.5)
"""Code of andreaceni/ResESN: 5000 training steps less the washout, 1000 test steps, delays 1..2N.

The published code inverts the Gram matrix of the states with a relative cut of 1e-15, that of the states is its root.
"""

MC1B = Protocol("MC1B", n_train=4900, n_test=900, washout=100, first_delay=1, cut=1e-15)
"""Code of NennoMP/DeepResESN: as MC1, but test steps lose a washout too and the states are decomposed directly."""

MC2 = Protocol("MC2", Signs(), n_train=9900, washout=100, capped=True, cut=2.2e-12)
"""Ballarin, Grigoryeva, Ortega (arXiv 2502.04832): two-valued inputs, in-sample R^2 over delays 0..2N-1, at most N."""

MC3 = Protocol("MC3", n_train=4000, n_test=1000, washout=1000, first_delay=1, cut=9e-13)
"""Code of gallicch/DeepESN_octave: 6000 steps, of which 1000 washout, 4000 training and 1000 test, delays 1..2N."""


@dataclass(frozen=True, repr=False, eq=False)
class MemoryCapacity:
    """Hold a measured memory curve, its errors and the settings that decided it.

    Attributes
    ----------
    total : float
        Sum of the curve, cut off at N if the protocol says so.
    standard_error : float
        Of the total: jackknife over ten contiguous blocks of the scored steps (the readout of a held-out protocol
        stays as fitted). It errs on the large side, by half where all delays are empty. If the sums of all blocks
        would take more than 32 MB (530 units with 2N delays do), blocks of 100 steps per unit or more are not stored
        but fitted one by one, and the error is that of a mean of ten, in which what chance explains of empty delays
        counts with its smaller variance over all steps. It covers one system and one input law, not the spread over
        random systems.
    per_delay, delay_standard_error : array, shape (K,)
        MC_k, summed over the input channels, and the asymptotic error of each alone. Errors of different delays
        are correlated: do not add them in quadrature.
    per_channel : array, shape (K, m)
        MC_k of every input channel.
    null_level : float
        Expected `per_delay` at a delay of which the state knows nothing.
    delays : array of int, shape (K,)
        The delays k.
    n_units, rank : int
        Observed units N, and directions of the state that passed the cut.
    n_train, n_test, washout : int
        Steps fitted, scored apart from the fit (0 for in-sample), and discarded.
    protocol : Protocol
        With every override filled in.
    input_law : callable
        Law of the inputs, scale included.
    target : callable or None
        The function of the delayed input that was recovered, None for the input itself.
    seed : int or SeedSequence
        Seed of the inputs.
    """

    total: float
    standard_error: float
    per_delay: np.ndarray
    delay_standard_error: np.ndarray
    per_channel: np.ndarray
    null_level: float
    delays: np.ndarray
    n_units: int
    rank: int
    n_train: int
    n_test: int
    washout: int
    protocol: Protocol
    input_law: Law
    target: Callable | None
    seed: int | np.random.SeedSequence

    @property
    def null_total(self) -> float:
        """Total expected of a system without any memory."""
        return self.null_level * len(self.delays)

    @property
    def unbiased_total(self) -> float:
        """Sum of the curve with the null level of every delay removed and no cap: 0 without any memory."""
        if self.protocol.adjusted:
            return float(self.per_channel.sum())
        n, regressors = self._sample
        return float(adjust(self.per_channel, n, regressors).sum())

    def chance_level(self, p: float = 0.05) -> float:
        """Return the `per_delay` that a delay of which the state knows nothing exceeds with probability `p`."""
        n, regressors = self._sample
        m = self.per_channel.shape[1]
        if regressors == 0:
            return 0.0
        from scipy.special import betaincinv  # here, because it is slow to import

        r2 = betaincinv(m * regressors / 2, m * (n - 1 - regressors) / 2, 1 - as_fraction("p", p))
        return float(m * (adjust(r2, n, regressors) if self.protocol.adjusted else r2))

    @property
    def _sample(self) -> tuple[int, int]:
        """Scored steps and the regressors fitted to them: a held-out prediction is a single one."""
        return (self.n_test, min(self.rank, 1)) if self.n_test else (self.n_train, self.rank)

    def plot(self, ax=None):
        """Draw the memory curve with its error band and null level; return the matplotlib axes."""
        from penstock.analysis.plots import plot_memory_curve

        return plot_memory_curve(self, ax)

    def __repr__(self):
        m = self.per_channel.shape[1]
        steps = f"{self.n_train} steps" + (f" fitted, {self.n_test} scored" if self.n_test else "")
        lines = [
            f"MemoryCapacity: {self.total:.4g} ± {self.standard_error:.2g} (standard error)",
            f"  delays      {self.delays[0]}..{self.delays[-1]} steps; MC_{self.delays[0]} = {self.per_delay[0]:.4g}, "
            f"MC_{self.delays[-1]} = {self.per_delay[-1]:.2g}",
            f"  units       {self.n_units} observed, rank {self.rank}",
            f"  protocol    {self.protocol}",
            f"  length      {steps}, washout {self.washout}",
            f"  input       {_text(self.input_law)}, {m} channel{'s' * (m > 1)}, seed {self.seed}",
            f"  target      {_text(self.target) if self.target else 'the input itself'}",
            f"  by chance   {self.null_level:.2g} per delay, {self.null_total:.2g} in total; "
            f"unbiased total {self.unbiased_total:.4g}",
        ]
        return "\n".join(lines)


@one_blas_thread
def memory_capacity(
    system: System,
    max_delay: int | None = None,
    *,
    protocol: Protocol = ADJUSTED,
    n_steps: int | None = None,
    washout: int | None = None,
    input_law: Law | None = None,
    target: Callable[[np.ndarray], np.ndarray] | None = None,
    seed: int | np.random.SeedSequence,
    progress: bool = True,
) -> MemoryCapacity:
    """Measure how well a linear readout of the state recovers inputs of up to `max_delay` steps ago.

    MC_k is the greatest squared correlation of ``w . x_t + b`` with ``u_{t-k}`` for independent inputs u, and the
    capacity their sum over k. The states are streamed once, in memory that does not grow with their number; all
    delays share one factorisation as accurate as an SVD of the stored states.

    Parameters
    ----------
    system : System
        Any system with inputs. The readout sees ``system.observed``, N units.
    max_delay : int, optional
        The longest delay in steps; by default the protocol's, 2N delays in all.
    protocol : Protocol, optional
        What is measured: `ADJUSTED` (unbiased), or `MC1`, `MC1B`, `MC2`, `MC3` to compare with published numbers.
        The arguments below override its fields.
    n_steps : int, optional
        Recorded steps, washout not counted; a held-out protocol splits them in its own proportion.
    washout : int, optional
        Steps discarded before recording; the longest delay, if that is more.
    input_law : callable, optional
        Law of the inputs, ``(rng, size) -> array``, independent over steps and channels. The capacity of a nonlinear
        system depends on its scale: see `memory_over_input_scale`.
    target : callable, optional
        Vectorised function f; the readout then recovers f(u_{t-k}), e.g. ``lambda u: np.sin(np.pi * u)``.
    seed : int or SeedSequence
        Seed of the inputs.
    progress : bool, optional
        Whether a bar appears when the run takes longer than two seconds.

    Returns
    -------
    MemoryCapacity
        Total, curve, standard errors, null level and settings.

    Raises
    ------
    TypeError, ValueError
        If an argument is of no use, or there are too few steps for the units or the delays.
    FloatingPointError
        If a state stops being finite.

    References
    ----------
    H. Jaeger, Short term memory in echo state networks, GMD Report 152 (2001). G. Ballarin, L. Grigoryeva,
    J.-P. Ortega, Memory of recurrent networks: do we compute it right?, JMLR 25(243) (2024).

    Examples
    --------
    A shift register of five units remembers its five last inputs:

    >>> from penstock import SystemDefaults
    >>> class ShiftRegister(SystemDefaults):
    ...     n_units, n_inputs = 5, 1
    ...     def step(self, x, u):
    ...         return np.concatenate([u, x[:-1]])
    >>> result = memory_capacity(ShiftRegister(), max_delay=20, n_steps=1000, seed=0)
    >>> abs(result.total - 5) < 0.2
    True
    >>> result.per_delay[:5].round(12).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    system = as_system(system)
    plan = _make_plan(system, max_delay, protocol, n_steps, washout, input_law)
    if target is not None:
        _check_callable("target", target)
    u = _draw_inputs(plan, system.n_inputs, seed)
    y = _make_targets(u, target)
    rows = observed_rows(system, u, plan, "memory capacity", progress)
    score = score_held_out if plan.protocol.n_test else score_in_sample
    curve, rank, replicates = score(rows, y, plan)
    per_channel = curve.reshape(system.n_inputs, -1)[:, ::-1].T.copy()
    return _make_result(per_channel, rank, replicates, plan, target, seed)


@dataclass(frozen=True, repr=False, eq=False)
class MemoryOverScale:
    """Hold memory capacities measured over a range of input scales.

    Attributes
    ----------
    scales : array, shape (S,)
        Factors on the inputs.
    totals, standard_errors : array, shape (S,)
        Memory capacity at every scale and its standard error.
    capacities : tuple of MemoryCapacity
        The full results.
    """

    scales: np.ndarray
    totals: np.ndarray
    standard_errors: np.ndarray
    capacities: tuple[MemoryCapacity, ...]

    @property
    def bounds(self) -> tuple[float, float]:
        """Between what the capacity can lie: N above; below 1 for two-valued inputs if delay 0 counts, else 0.

        Saturated units still recover a two-valued input. Of other laws they keep the sign alone, e.g. 3/4 of the
        variance of uniform inputs.
        """
        first = self.capacities[0]
        recovered = isinstance(first.input_law, Signs) and first.target is None and first.delays[0] == 0
        return (1.0 if recovered else 0.0), float(first.n_units)

    def plot(self, ax=None):
        """Draw capacity against input scale between its bounds; return the matplotlib axes."""
        from penstock.analysis.plots import plot_memory_over_scale

        return plot_memory_over_scale(self, ax)

    def __repr__(self):
        first = self.capacities[0]
        columns = zip(self.scales, self.totals, self.standard_errors, strict=True)
        rows = [f"  {scale:<10.4g}  {total:.4g} ± {error:.2g}" for scale, total, error in columns]
        law = _text(first.protocol.input_law)
        return "\n".join([f"MemoryOverScale: {first.protocol}; at the first scale {law}", "  scale       total", *rows])


def memory_over_input_scale(
    system: System,
    scales,
    *,
    max_delay: int | None = None,
    protocol: Protocol = ADJUSTED,
    n_steps: int | None = None,
    washout: int | None = None,
    input_law: Law | None = None,
    target: Callable[[np.ndarray], np.ndarray] | None = None,
    seed: int | np.random.SeedSequence,
    progress: bool = True,
) -> MemoryOverScale:
    """Measure the memory capacity at every factor of `scales` on the inputs: u -> gamma u, the same draw each time.

    By its input scale alone the capacity of a tanh network takes any value between N (small inputs: a linear network)
    and 1 (large inputs: units that keep the sign of the last input), hence a single number says little.

    Parameters
    ----------
    system : System
        Any system with inputs.
    scales : array, shape (S,)
        Factors above 0 on the inputs.
    max_delay, protocol, n_steps, washout, input_law, target, seed
        As in `memory_capacity`.
    progress : bool, optional
        Whether a bar over the scales appears when the run takes longer than two seconds.

    Returns
    -------
    MemoryOverScale
        Totals and standard errors, shape (S,), and the full results.

    References
    ----------
    G. Ballarin, L. Grigoryeva, J.-P. Ortega, Memory capacity of nonlinear recurrent networks: is it informative?,
    arXiv 2502.04832 (2025).

    Examples
    --------
    >>> from penstock import SystemDefaults
    >>> class Ring(SystemDefaults):
    ...     n_units, n_inputs = 3, 1
    ...     def step(self, x, u):
    ...         return np.tanh(0.5 * np.roll(x, 1) + np.array([1.0, 2.0, 3.0]) * u)
    >>> curve = memory_over_input_scale(Ring(), [0.001, 100.0], protocol=MC2, max_delay=20, seed=0)
    >>> curve.totals.round(1).tolist()
    [3.0, 1.0]
    """
    system = as_system(system)
    scales = as_finite_array("scales", scales, ndim=1)
    if not scales.size or scales.min() <= 0:
        raise ValueError(f"scales must be numbers above 0, at least one, got {scales.tolist()}")
    _check_protocol(protocol)
    law = protocol.input_law if input_law is None else input_law
    _check_callable("input_law", law)
    settings: dict = dict(protocol=protocol, n_steps=n_steps, washout=washout, target=target, seed=seed, progress=False)
    capacities = tuple(
        memory_capacity(system, max_delay, input_law=_scaled(law, float(scale)), **settings)
        for scale in track(scales, len(scales), "memory over input scale", progress)
    )
    totals, errors = np.array([(one.total, one.standard_error) for one in capacities]).T
    return MemoryOverScale(scales, totals, errors, capacities)


# What is run: sizes, inputs, targets


def _make_plan(system, max_delay, protocol, n_steps, washout, input_law) -> Plan:
    n_units = count_observed(system, "to remember")
    protocol = _complete(protocol, n_units, n_steps, washout, input_law)
    first = protocol.first_delay
    last = first + protocol.delays_per_unit * n_units - 1
    if max_delay is not None:
        last = as_int("max_delay", max_delay, minimum=first)
    _check_lengths(protocol, n_units, last)
    width = 8 * (system.n_units + 2 * n_units + system.n_inputs * (last - first + 1))
    size = int(np.clip(BUFFER_BYTES // width, 256, 8192))
    cut = n_units * EPS if protocol.cut is None else protocol.cut
    delays = np.arange(first, last + 1)
    span = max(size, min(len(delays), 4096))  # transforms as long as the delays cost least per row
    return Plan(protocol, delays, n_units, _edges(protocol), max(protocol.washout, last), size, cut, span)


def _complete(protocol, n_units, n_steps, washout, input_law) -> Protocol:
    """Fill the overrides and the default length into the protocol, whose own checks then see them."""
    _check_protocol(protocol)
    changes: dict = {}
    if input_law is not None:
        changes["input_law"] = input_law
    if washout is not None:
        changes["washout"] = as_int("washout", washout, minimum=0)
    if n_steps is not None:
        n_steps = as_int("n_steps", n_steps)
        share = protocol.n_test / (protocol.n_test + protocol.n_train) if protocol.n_test else 0.0
        changes["n_test"] = round(share * n_steps)
        changes["n_train"] = n_steps - changes["n_test"]
    elif protocol.n_train is None:
        changes["n_train"] = max(50 * n_units, 5000)
    return replace(protocol, **changes)


def _check_protocol(protocol) -> None:
    if not isinstance(protocol, Protocol):
        raise TypeError(f"protocol must be a Protocol such as ADJUSTED or MC1, got {protocol!r}")


def _check_lengths(protocol, n_units, last) -> None:
    n_train, n_test = protocol.n_train, protocol.n_test
    spare = 0 if n_test else -(-n_train // N_BLOCKS)
    if n_train - spare < n_units + 3:
        need = n_units + 3 if n_test else steps_needed(n_units)
        raise ValueError(
            f"n_steps must give at least {need} training steps for {n_units} observed units, got {n_train}; "
            f"50 per unit give a fair estimate"
        )
    if n_test and n_test < 2 * N_BLOCKS:
        raise ValueError(f"n_steps must give at least {2 * N_BLOCKS} test steps, got {n_test}")
    if last >= n_train:
        raise ValueError(f"max_delay must be below the number of training steps, got {last} for {n_train} steps")


def _edges(protocol) -> np.ndarray:
    """Ten segments of the rows, or, held out, one of training rows and ten of test rows."""
    n_train, n_test = protocol.n_train, protocol.n_test
    if not n_test:
        return np.linspace(0, n_train, N_BLOCKS + 1).astype(int)
    return np.append(0, n_train + np.linspace(0, n_test, N_BLOCKS + 1).astype(int))


def _draw_inputs(plan, n_inputs, seed) -> np.ndarray:
    size = (plan.discard + int(plan.edges[-1]), n_inputs)
    return draw_inputs(plan.protocol.input_law, size, np.random.default_rng(seed_sequence(seed)))


def _make_targets(u, target) -> np.ndarray:
    y = u if target is None else as_finite_array("target(u)", target(u))
    if y.shape != u.shape:
        raise ValueError(f"target(u) must keep the shape {u.shape} of its argument, got {y.shape}")
    spread = y.std(axis=0)
    # sin(pi u) of u = +1 and -1 is no signal but the rounding of one
    if (spread <= 1e-13 * u.std(axis=0)).any():
        raise ValueError(f"the target must vary with the input, got standard deviation {np.min(spread):.1e}")
    return y


def _make_result(per_channel, rank, replicates, plan, target, seed) -> MemoryCapacity:
    protocol, m = plan.protocol, per_channel.shape[1]
    n, regressors = (protocol.n_test, min(rank, 1)) if protocol.n_test else (protocol.n_train, rank)
    r2 = np.clip(per_channel, 0.0, 1.0)
    variance = (1 - r2) ** 2 * (4 * r2 / n + 2 * regressors / n**2)
    total = float(per_channel.sum())
    return MemoryCapacity(
        total=min(total, float(plan.n_units)) if protocol.capped else total,
        standard_error=float(np.sqrt((N_BLOCKS - 1) * replicates.var())),
        per_delay=per_channel.sum(axis=1),
        delay_standard_error=np.sqrt(variance.sum(axis=1)),
        per_channel=per_channel,
        null_level=0.0 if protocol.adjusted else m * regressors / (n - 1),
        delays=plan.delays,
        n_units=plan.n_units,
        rank=rank,
        n_train=protocol.n_train,
        n_test=protocol.n_test,
        washout=plan.discard,
        protocol=protocol,
        input_law=protocol.input_law,
        target=target,
        seed=seed,
    )


# Small things


def _text(function) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


@dataclass(frozen=True)
class _Scaled:
    """A factor times any law that cannot scale itself."""

    law: Law
    factor: float

    def __call__(self, rng, size):
        return self.factor * self.law(rng, size)


def _scaled(law, factor) -> Law:
    return law.scaled(factor) if hasattr(law, "scaled") else _Scaled(law, factor)
