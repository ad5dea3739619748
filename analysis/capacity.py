"""Information processing capacity: how much of every function of the past input a linear readout can recover."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from penstock.analysis.products import Products, ProductTargets, count_products, first_shell, partitions, shell
from penstock.analysis.regression import (
    N_BLOCKS,
    Subspace,
    count_observed,
    draw_inputs,
    find_subspace,
    score_targets,
    steps_needed,
)
from penstock.analysis.sums import EPS, Plan, observed_rows
from penstock.checks import as_finite_float, as_int, as_non_negative_float, seed_sequence
from penstock.laws import Law, Uniform, orthonormal_polynomials
from penstock.system import System, as_system
from penstock.threads import one_blas_thread

__all__ = ["InformationProcessingCapacity", "information_processing_capacity"]

ROWS = 1024  # of one block: those of a group of products stay in the cache
CROSS_BYTES = 2**26  # of the products of states and targets in one pass over the states


@dataclass(frozen=True, repr=False, eq=False)
class InformationProcessingCapacity:
    """Hold the capacities of all products searched, their totals and the settings that decided them.

    Chance lets any T steps explain a little of everything, on average `null_level`. A total comes in three kinds.
    `total` sums the products above the threshold, less what chance adds to each; capacities too small to be seen are
    missing. `unbiased_total` sums all products less chance: nothing is missing, but the error is larger. `raw_total`
    sums all products as they are, and grows with their number. Papers mostly sum the products above the threshold as
    they are: `thresholded_total`.

    Attributes
    ----------
    total, standard_error : float
        Sum over the products above the threshold of what is not chance, and its error: jackknife over ten contiguous
        blocks of the steps, for these products; as in `MemoryCapacity`, blocks of long runs of large systems are
        fitted one by one. It covers one system and one input law, not the spread over systems.
    by_degree, by_degree_standard_error : array, shape (D,)
        The same by total degree d = 1..D; degree d at index d - 1.
    unbiased_total, unbiased_standard_error : float
        Sum over all products of what is not chance: 0 for a system without any memory. The jackknife errs on the
        large side, by up to a factor 1.4 where most products are irrelevant.
    unbiased_by_degree, unbiased_by_degree_standard_error : array, shape (D,)
        The same by total degree.
    raw_total : float
        Sum of the capacities of all products; exceeds the truth by about `expected_excess`.
    by_degree_and_delay : array, shape (D, K + 1)
        The summands of `total`, by total degree and by the longest delay of the product.
    degrees, delays, channels : array of int, shape (P, S)
        The products: factor s of product p is the polynomial of degree ``degrees[p, s]`` of input channel
        ``channels[p, s]`` at delay ``delays[p, s]``. Unused factors have degree 0 and delay -1.
    capacity, significant : array, shape (P,)
        Capacity C of every product, between 0 and 1, as regression on the T steps gives it, and whether it is above
        the threshold.
    null_level, threshold : array, shape (P,)
        Capacity of the product if it is irrelevant: its mean, about rank / T, more for high degrees, whose power lies
        in the steps of highest leverage; and what it exceeds with probability `p`, in proportion.
    p : float
        That probability.
    rank, bound : int, float
        Directions of the observed states that passed the cut, and what all capacities together cannot exceed: the
        rank, or less by what the noise floor hides.
    searched : dict
        Longest delay searched for every pattern of degrees, such as (2, 1).
    limited : tuple
        The patterns whose search ended at its limit rather than at empty delays: capacity may be missing there.
    n_units, n_steps, washout : int
        Observed units N, recorded steps T, and steps discarded.
    input_law, noise_floor, seed
        As given.
    """

    total: float
    standard_error: float
    by_degree: np.ndarray
    by_degree_standard_error: np.ndarray
    unbiased_total: float
    unbiased_standard_error: float
    unbiased_by_degree: np.ndarray
    unbiased_by_degree_standard_error: np.ndarray
    raw_total: float
    by_degree_and_delay: np.ndarray
    degrees: np.ndarray
    delays: np.ndarray
    channels: np.ndarray
    capacity: np.ndarray
    significant: np.ndarray
    null_level: np.ndarray
    threshold: np.ndarray
    p: float
    rank: int
    bound: float
    searched: dict[tuple[int, ...], int]
    limited: tuple[tuple[int, ...], ...]
    n_units: int
    n_steps: int
    washout: int
    input_law: Law
    noise_floor: float
    seed: int | np.random.SeedSequence

    @property
    def unbiased(self) -> np.ndarray:
        """Capacity of every product less what chance adds, (P,): 0 on average for an irrelevant one."""
        return _unbiased(self.capacity, self.null_level)

    @property
    def thresholded_total(self) -> float:
        """Sum of the capacities above the threshold as they are, chance included."""
        return float(self.capacity[self.significant].sum())

    @property
    def expected_excess(self) -> float:
        """What chance adds to `raw_total`: `null_level` for every irrelevant product, less for the others."""
        return float((self.null_level * np.where(self.significant, 1 - self.capacity, 1.0)).sum())

    @property
    def completeness(self) -> float:
        """Share of `bound` that `total` reaches: 1 for fading memory, if the search was wide enough."""
        return self.total / self.bound if self.bound else 0.0

    @property
    def memory_capacity(self) -> float:
        """Unbiased total of degree 1: the linear memory, as `memory_capacity` measures it over these delays."""
        return float(self.unbiased_by_degree[0])

    def of(self, degrees: Mapping) -> float:
        """Return the capacity of one product, given as ``{delay: degree}`` or ``{(delay, channel): degree}``.

        Raises
        ------
        ValueError
            If the product was not searched.
        """
        wanted = {key if isinstance(key, tuple) else (key, 0): degree for key, degree in degrees.items()}
        candidates = np.flatnonzero((self.degrees > 0).sum(axis=1) == len(wanted))
        for (delay, channel), degree in wanted.items():
            factor = (self.delays == delay) & (self.channels == channel) & (self.degrees == degree)
            candidates = candidates[factor[candidates].any(axis=1)]
        if len(candidates) != 1 or not wanted:
            raise ValueError(f"degrees must name a product that was searched, got {dict(degrees)}")
        return float(self.capacity[candidates[0]])

    def plot(self, ax=None):
        """Draw the capacities above the threshold over the longest delay, degrees stacked; return the axes."""
        from penstock.analysis.plots import plot_capacity_profile

        return plot_capacity_profile(self, ax)

    def __repr__(self):
        threshold = np.median(self.threshold) if len(self.threshold) else 0.0
        lines = [
            f"InformationProcessingCapacity: {self.total:.4g} ± {self.standard_error:.2g} (standard error) of at most "
            f"{self.bound:.4g}, {self.completeness:.1%}",
            *map(self._degree_line, range(1, len(self.by_degree) + 1)),
            f"  products    {len(self.capacity)} searched, {self.significant.sum()} above {threshold:.2g} "
            f"(passed by chance with probability {self.p:g})",
            f"  unbiased    {self.unbiased_total:.4g} ± {self.unbiased_standard_error:.2g} without threshold; raw sum "
            f"{self.raw_total:.4g}, of which {self.expected_excess:.3g} by chance",
            f"  search      {self._search_text()}",
            f"  units       {self.n_units} observed, rank {self.rank}, noise floor {self.noise_floor:g}",
            f"  length      {self.n_steps} steps, washout {self.washout}",
            f"  input       {getattr(self.input_law, '__qualname__', None) or self.input_law!r}, "
            f"{self.channels.max(initial=0) + 1} searched channel(s), seed {self.seed}",
        ]
        return "\n".join(lines)

    def _degree_line(self, degree):
        delays = [delay for pattern, delay in self.searched.items() if sum(pattern) == degree]
        reach = f"delays 0..{max(delays)}" if delays else "not searched"
        value, error = self.by_degree[degree - 1], self.by_degree_standard_error[degree - 1]
        return f"  degree {degree:<4} {value:.4g} ± {error:.2g}, {reach}"

    def _search_text(self):
        if not self.limited and self.completeness > 0.9:
            return "complete: it ended at empty delays, or covers the delays asked for"
        if not self.limited:
            return (
                "ended at empty delays, or covers the delays asked for; the rest of the bound lies below the "
                "threshold, in higher degrees, beyond longer gaps, or in what does not fade"
            )
        ends = (f"at {self.searched[q]}" if q in self.searched else "before any delay" for q in self.limited)
        parts = [f"{'+'.join(map(str, pattern))} {end}" for pattern, end in zip(self.limited, ends, strict=True)]
        more = f" and {len(parts) - 4} more" if len(parts) > 4 else ""
        return f"NOT complete, capacity may be missed: hit its limit for degrees {', '.join(parts[:4])}{more}"


@one_blas_thread
def information_processing_capacity(
    system: System,
    *,
    max_degree: int | None = None,
    max_delays: Mapping[int, int] | Sequence[int] | None = None,
    input_law: Law | None = None,
    n_steps: int | None = None,
    washout: int | None = None,
    p: float = 1e-4,
    noise_floor: float = 0.0,
    patience: int = 5,
    max_products: int = 20_000,
    seed: int | np.random.SeedSequence,
    progress: bool = True,
) -> InformationProcessingCapacity:
    """Measure how well a linear readout of the state recovers every polynomial of the past inputs, one by one.

    The targets are products ``y_t = prod_j phi_{d_j}(u_{t - k_j})`` over distinct delays k_j, with polynomials phi
    orthonormal under the law of the independent inputs, hence uncorrelated with each other. C(y) is the share of the
    variance of y that linear regression on the states explains. All of them together are at most the rank of the
    states, and equal to it if the memory fades: the profile tells what the units spend themselves on.

    Without `max_delays` the search grows by itself: for every pattern of degrees (such as 2 + 1, one square and one
    linear factor) the longest delay increases until `patience` delays in a row hold nothing. Where the rank is not
    reached, the result says so: capacity may lie beyond longer gaps.

    Parameters
    ----------
    system : System
        Any system with inputs. The readout sees ``system.observed``, N units.
    max_degree : int, optional
        The highest total degree; 5, or that of `max_delays`.
    max_delays : mapping or sequence, optional
        The longest delay for every total degree, ``{1: 50, 2: 20}`` or ``[50, 20]``: exactly these products are
        searched, and degrees that a mapping leaves out are not.
    input_law : callable, optional
        Law of the inputs, ``(rng, size) -> array``, independent over steps and channels; `Uniform(-1, 1)` by default.
        It decides the polynomials (see `penstock.laws.orthonormal_polynomials`), and its scale how nonlinear the
        system is. High degrees of unbounded laws rest on few steps and need long runs.
    n_steps : int, optional
        Recorded steps T, washout not counted; 200 per observed unit, at least 20000, by default. Capacities below
        about r/T, r the rank, drown in chance.
    washout : int, optional
        Steps discarded first; by default 3 N, at least 500, or the longest of `max_delays`. A growing search goes no
        further back than this.
    p : float, optional
        Probability with which an irrelevant product passes the threshold, the ``chi2(r)`` quantile over T.
    noise_floor : float, optional
        Standard deviation of white noise on the states that the readout sees, relative to their root mean square
        deviation. With 0 a noiseless simulation credits even a nonlinearity of 1e-6 with full capacity. The effect of
        the noise is computed, none is drawn.
    patience : int, optional
        Consecutive empty delays that end a growing search, counted from the nearest product that holds anything; four
        times as many for single factors, which cost little, and for the input itself at least as many as the system
        has units. A memory with longer gaps needs more.
    max_products : int, optional
        The most products to try.
    seed : int or SeedSequence
        Seed of the inputs.
    progress : bool, optional
        Whether a bar appears over every pass that takes longer than two seconds.

    Returns
    -------
    InformationProcessingCapacity
        Totals with their errors, by degree and by delay, and the table of all products.

    Raises
    ------
    TypeError, ValueError
        If an argument is of no use, or there are too few steps for the units.
    FloatingPointError
        If a state stops being finite.

    References
    ----------
    J. Dambre, D. Verstraeten, B. Schrauwen, S. Massar, Information processing capacity of dynamical systems,
    Scientific Reports 2, 514 (2012).

    Examples
    --------
    Two units that hold a quadratic function of the input and a product of two inputs:

    >>> from penstock import Map
    >>> system = Map(lambda x, u: np.array([u[0], x[0] * u[0], u[0] ** 2]), n_units=3, n_inputs=1)
    >>> result = information_processing_capacity(system, max_degree=2, n_steps=5000, seed=0)
    >>> [round(result.of(product), 6) for product in ({0: 1}, {0: 1, 1: 1}, {0: 2})]
    [1.0, 1.0, 1.0]
    >>> bool(abs(result.total - 3) < 0.01)
    True
    """
    system = as_system(system)
    law = Uniform(-1.0, 1.0) if input_law is None else input_law
    reach = _check_delays(max_delays, max_degree)
    plan = _make_plan(system, reach, n_steps, washout)
    p = _as_probability("p", p)
    noise_floor = as_non_negative_float("noise_floor", noise_floor)
    limits = _Limits(plan.discard, as_int("patience", patience), as_int("max_products", max_products), system)
    u = _draw_inputs(plan, law, system.n_inputs, seed)
    polynomials = orthonormal_polynomials(law, u, len(reach))[1:].copy()  # which frees the constant
    if not len(polynomials):
        raise ValueError("input_law must give values that vary, got a constant")
    patterns = [q for d in range(1, len(reach) + 1) for q in partitions(d, len(polynomials)) if reach[d - 1] != SKIP]
    searches = [_Search(pattern, limits, reach[sum(pattern) - 1]) for pattern in patterns]
    _check_count(searches, limits)
    measured = _measure(system, u, polynomials, searches, plan, p, noise_floor, progress)
    return _make_result(*measured, searches, len(reach), plan, p, law, noise_floor, seed)


# What is asked for


GROW, SKIP = -1, -2  # in the place of a longest delay


def _check_delays(max_delays, max_degree) -> list[int]:
    """Return the longest delay for degrees 1, 2, ..."""
    if max_degree is not None:
        max_degree = as_int("max_degree", max_degree)
    if max_delays is None:
        return [GROW] * (max_degree or 5)
    if isinstance(max_delays, str) or not isinstance(max_delays, Mapping | Sequence | np.ndarray):
        raise TypeError(f"max_delays must be a sequence of delays or a dict {{degree: delay}}, got {max_delays!r}")
    if not isinstance(max_delays, Mapping):
        max_delays = dict(enumerate(max_delays, start=1))
    if not max_delays:
        raise ValueError("max_delays must give at least one degree a delay, got none")
    highest = max(as_int("degree in max_delays", degree) for degree in max_delays)
    if max_degree is not None and highest > max_degree:
        raise ValueError(f"max_delays must not go beyond max_degree = {max_degree}, got a delay for degree {highest}")
    delays = {degree: as_int(f"max_delays for degree {degree}", k, minimum=0) for degree, k in max_delays.items()}
    return [delays.get(degree, SKIP) for degree in range(1, highest + 1)]


def _make_plan(system, reach, n_steps, washout) -> Plan:
    n_units = count_observed(system, "to process")
    n_steps = max(200 * n_units, 20_000) if n_steps is None else as_int("n_steps", n_steps)
    need = steps_needed(n_units)
    if n_steps < need:
        raise ValueError(
            f"n_steps must be at least {need} for {n_units} observed units, got {n_steps}; "
            "200 per unit give a fair estimate"
        )
    washout = max(500, 3 * n_units) if washout is None else as_int("washout", washout, minimum=0)
    edges = np.linspace(0, n_steps, N_BLOCKS + 1).astype(int)
    return Plan(None, np.arange(0), n_units, edges, max(washout, *reach), ROWS, n_units * EPS, ROWS)


def _as_probability(name, value) -> float:
    value = as_finite_float(name, value)
    if not 0 < value < 1:
        raise ValueError(f"{name} must be a probability between 0 and 1, got {value}")
    return value


def _draw_inputs(plan, law, n_inputs, seed) -> np.ndarray:
    size = (plan.discard + int(plan.edges[-1]), n_inputs)
    return draw_inputs(law, size, np.random.default_rng(seed_sequence(seed)))


def _check_count(searches, limits) -> None:
    """Refuse, before anything runs, what was asked for explicitly and is too much."""
    asked = [search for search in searches if search.target != GROW]
    count = sum(search.count(delay) for search in asked for delay in range(search.first, search.target + 1))
    if count > limits.max_products:
        raise ValueError(f"max_products must be at least {count} for these max_delays, got {limits.max_products}")


# Which products are tried


@dataclass
class _Limits:
    """What all searches share."""

    longest: int
    patience: int
    max_products: int
    system: System
    lag: int | None = None  # the longest delay of the nearest product that holds anything

    @property
    def n_channels(self):
        return self.system.n_inputs


@dataclass
class _Search:
    """The search over one pattern of degrees, one longest delay (shell of products) after another."""

    pattern: tuple[int, ...]
    limits: _Limits
    target: int  # the longest delay asked for, or GROW
    full: list[bool] = field(default_factory=list)  # whether something was found, shell after shell
    limited: bool = False

    @property
    def first(self):
        return first_shell(self.pattern, self.limits.n_channels)

    @property
    def reach(self):
        """The next delay to try."""
        return self.first + len(self.full)

    @property
    def patience(self):
        if len(self.pattern) > 1:
            return self.limits.patience
        # between the units that are observed, a chain of them all may hide every delay but the longest
        return max(4 * self.limits.patience, self.limits.system.n_units if self.pattern == (1,) else 0)

    @property
    def least(self):
        """The delay up to which empty ones say nothing: nothing was found nearer by any search."""
        if self.limits.lag is None:
            return self.limits.system.n_units if len(self.pattern) == 1 else 0
        return self.limits.lag + self.limits.patience

    @property
    def done(self):
        if self.limited or self.target != GROW:
            return self.limited or self.reach > self.target
        empty = len(self.full) >= self.patience and not any(self.full[-self.patience :])
        return empty and self.reach > min(self.least, self.limits.longest)

    def count(self, delay):
        return count_products(self.pattern, delay, self.limits.n_channels)

    def next_delays(self, budget):
        """Return the shells to try next, as many as the budget allows; without any the search has met its limit."""
        known = 0 if self.limits.lag is None else self.least + 1
        stop = self.target + 1 if self.target != GROW else max(self.reach + self.patience, known)
        delays = []
        for delay in range(self.reach, min(stop, self.limits.longest + 1)):
            budget -= self.count(delay)
            if budget < 0:
                break
            delays.append(delay)
        self.limited = not delays
        return delays


class _Scores(NamedTuple):
    """What the regression tells of P products."""

    products: Products
    capacity: np.ndarray  # (P,)
    replicates: np.ndarray  # (blocks, P), with one block left out
    null_level: np.ndarray  # (P,)
    threshold: np.ndarray  # (P,)


def _measure(system, u, polynomials, searches, plan, p, noise_floor, progress) -> tuple[_Scores, Subspace]:
    """Search, and return the scores of all products tried, ordered by degree and delay, and the space of the states."""
    width = max((len(search.pattern) for search in searches), default=1)
    n_steps = int(plan.edges[-1])

    def rows(what):
        return observed_rows(system, u, plan, f"information processing capacity, {what}", progress)

    nothing = Products.joined([], width)
    subspace = find_subspace(rows("states"), ProductTargets(polynomials, nothing, plan), plan, noise_floor)
    if _chance_level(p, n_steps, subspace.shares) >= 1:
        raise ValueError(
            f"n_steps must be larger: with rank {subspace.shares.size}, {n_steps} steps tell nothing from chance; "
            "200 per unit give a fair estimate"
        )
    chunk = max(CROSS_BYTES // (8 * (N_BLOCKS + 1) * plan.n_units), 256)
    found: list[_Scores] = []
    budget = searches[0].limits.max_products if searches else 0
    while any(not search.done for search in searches):
        shells = list(_next_shells(searches, budget, width))
        batch = Products.joined([one for _, one in shells], width)
        first, budget = len(found), budget - len(batch.degrees)
        for start in range(0, len(batch.degrees), chunk):
            products = batch.take(slice(start, start + chunk))
            targets = ProductTargets(polynomials, products, plan, subspace)
            capacity, replicates = score_targets(rows("products"), targets, subspace, plan)
            level = _chance_level(p, n_steps, subspace.shares) * _relative(targets.null_levels, n_steps, subspace)
            found.append(_Scores(products, capacity, replicates, targets.null_levels, level))
        if shells:
            _judge_shells(shells, found[first:], p, n_steps, subspace)
    return _joined(found, width), subspace


def _relative(null_levels, n_steps, subspace) -> np.ndarray:
    """Return the null levels in units of the mean leverage; 1 if the states do not vary."""
    return null_levels * n_steps / subspace.shares.sum() if subspace.shares.size else np.ones_like(null_levels)


def _joined(found, width) -> _Scores:
    products = Products.joined([one.products for one in found], width)
    order = np.lexsort((products.longest_delays, products.total_degrees))
    none = _Scores(products, np.empty(0), np.empty((N_BLOCKS, 0)), np.empty(0), np.empty(0))
    fields = (np.concatenate(part, axis=-1)[..., order] for part in list(zip(none, *found, strict=True))[1:])
    return _Scores(products.take(order), *fields)


def _next_shells(searches, budget, width):
    """Yield the next shells of every search that is not done, lower degrees first, as (search, products)."""
    for search in searches:
        if not search.done:
            for delay in search.next_delays(budget):
                products = shell(search.pattern, delay, search.limits.n_channels, width)
                budget -= len(products.degrees)
                yield search, products


def _judge_shells(shells, found, p, n_steps, subspace) -> None:
    """Note for every shell whether it holds anything; the larger the shell, the more chance may raise its best."""
    excess = np.concatenate([one.capacity / _relative(one.null_level, n_steps, subspace) for one in found])
    ends = np.cumsum([len(products.degrees) for _, products in shells])
    for (search, products), part in zip(shells, np.split(excess, ends[:-1]), strict=True):
        full = bool(part.max() > _chance_level(p / len(products.degrees), n_steps, subspace.shares))
        limits = search.limits
        if full and (limits.lag is None or search.reach < limits.lag):
            limits.lag = search.reach
        search.full.append(full)


def _chance_level(p, n_steps, shares) -> float:
    """Return the capacity that an irrelevant product exceeds with probability `p`.

    T C is then a sum of squares of normal numbers weighted with `shares`: chi-squared if all are 1, and else well
    described by a multiple of chi-squared with the same mean and variance.
    """
    if not shares.size:
        return 0.0
    from scipy.special import chdtri  # here, because it is slow to import

    weight, power = shares.sum(), (shares**2).sum()
    return float(power / weight * chdtri(weight**2 / power, p) / n_steps)


# What is reported


def _unbiased(capacity, null_level):
    """Remove what chance adds: nothing to 1, the null level to 0."""
    return 1 - (1 - capacity) / (1 - null_level)


def _make_result(scores, subspace, searches, max_degree, plan, p, law, noise_floor, seed):
    products, capacity, replicates, null_level, threshold = scores
    n_steps = int(plan.edges[-1])
    n_left = n_steps - np.diff(plan.edges)[:, None]
    significant = capacity > threshold
    unbiased = _unbiased(capacity, null_level)
    without = _unbiased(replicates, null_level * n_steps / n_left)
    member = np.vstack([np.ones(len(capacity)), products.total_degrees == np.arange(1, max_degree + 1)[:, None]])

    def sums(chosen):
        """Totals (1 + D,) and their errors: all degrees together, then each."""
        return (member * chosen) @ unbiased, np.sqrt((N_BLOCKS - 1) * (without @ (member * chosen).T).var(axis=0))

    (kept, kept_error), (every, every_error) = sums(significant), sums(1.0)
    profile = np.zeros((max_degree, products.longest_delays.max(initial=0) + 1))
    at = (products.total_degrees[significant] - 1, products.longest_delays[significant])
    np.add.at(profile, at, unbiased[significant])
    return InformationProcessingCapacity(
        total=float(kept[0]),
        standard_error=float(kept_error[0]),
        by_degree=kept[1:],
        by_degree_standard_error=kept_error[1:],
        unbiased_total=float(every[0]),
        unbiased_standard_error=float(every_error[0]),
        unbiased_by_degree=every[1:],
        unbiased_by_degree_standard_error=every_error[1:],
        raw_total=float(capacity.sum()),
        by_degree_and_delay=profile,
        **products._asdict(),
        capacity=capacity,
        significant=significant,
        null_level=null_level,
        threshold=threshold,
        p=p,
        rank=subspace.shares.size,
        bound=float(subspace.shares.sum()),
        searched={search.pattern: search.reach - 1 for search in searches if search.full},
        limited=tuple(search.pattern for search in searches if search.limited),
        n_units=plan.n_units,
        n_steps=n_steps,
        washout=plan.discard,
        input_law=law,
        noise_floor=noise_floor,
        seed=seed,
    )
