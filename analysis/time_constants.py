"""Time constants drawn for the widest Lyapunov spectrum that has no positive exponent."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from penstock.analysis.linearisation import linear_exponents
from penstock.checks import as_finite_array, as_int, as_vector, generators
from penstock.progress import track
from penstock.recurrent import field_names
from penstock.system import as_system

__all__ = ["TimeConstants", "tune_time_constants"]

INFEASIBLE = 1e6  # added to a positive leading exponent, so that every permitted choice is better


@dataclass(frozen=True, eq=False, repr=False)
class TimeConstants:
    """Hold a system with time constants of a Gamma law.

    Attributes
    ----------
    system : System
        The system with its new time constants.
    tau : array, shape (N,)
        Time constants of the units, in the system's unit of time.
    mean, shape : float
        Mean and shape of the Gamma law; its coefficient of variation is ``shape ** -0.5``.
    before, after : array, shapes (n,)
        Lyapunov exponents, descending; see `linear_exponents`.
    n_evaluations : int
        Choices of mean and shape that were tried.
    """

    system: Any
    tau: np.ndarray
    mean: float
    shape: float
    before: np.ndarray
    after: np.ndarray
    n_evaluations: int

    @property
    def feasible(self) -> bool:
        """Whether no exponent is positive; if not, this is the choice with the least leading one of all tried."""
        return bool(self.after[0] <= 0)

    def plot(self, ax=None):
        """Draw the exponents before and after; return the matplotlib axes."""
        from penstock.analysis.plots import plot_time_constants

        return plot_time_constants(self, ax)

    def __repr__(self):
        (b, c), (v, w) = ((float(e[0]), quartile_width(e)) for e in (self.before, self.after))
        return (
            f"TimeConstants(Gamma of mean {self.mean:.4g} and shape {self.shape:.4g}, best of {self.n_evaluations}: "
            f"leading exponent {b:.4g} to {v:.4g}, between quartiles {c:.4g} to {w:.4g}"
            f"{'' if self.feasible else '; NO choice without a positive exponent'})\n  {self.system!r}"
        )


def with_leaks(system, tau) -> Any:
    """Return a system with a leak, such as an ESN, whose units have time constants tau: a = 1 - exp(-dt / tau).

    Parameters
    ----------
    system : System
        A record with a field `leak`.
    tau : float or array, shape (N,)
        Time constants above 0, in the system's unit of time.

    Raises
    ------
    TypeError
        If the system has no leak: it is named.
    ValueError
        If a time constant is not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.reservoirs import ESN
    >>> with_leaks(ESN.random(2, seed=0), [1.0, 1 / np.log(2)]).leak.round(4).tolist()
    [0.6321, 0.5]
    """
    system = as_system(system)
    if "leak" not in field_names(system):
        raise TypeError(
            f"{type(system).__name__} has no field `leak` to hold time constants: give with_time_constants=…, a "
            "function (system, tau) -> System, or leave out the step by time_constants=False"
        )
    tau = as_vector("tau", tau, len(range(system.n_units)[system.observed]))
    if tau.min() <= 0:
        raise ValueError(f"tau must be above 0, got {tau.min()}")
    changed = replace(system, leak=-np.expm1(-system.dt / tau))
    return changed if system.start is None else changed.starting_at(system.start)


def tune_time_constants(
    system,
    u=None,
    *,
    with_time_constants: Callable | None = None,
    mean_bounds: tuple[float, float] | None = None,
    shape_bounds: tuple[float, float] = (0.5, 20.0),
    n_evaluations: int = 30,
    seed: int | np.random.SeedSequence,
    progress: bool = True,
) -> TimeConstants:
    """Draw time constants from the Gamma law whose spectrum is widest, among those with no positive exponent.

    Step 4 of Lyapunov noise pruning. Width is the distance between the quartiles of all exponents, which a single
    unit that forgets at once does not change. Every unit keeps its quantile of the law while mean and shape are
    varied, so that the two numbers decide alone. Instead of the paper's Bayesian optimisation `scipy.optimize.direct`
    divides the rectangle of their logarithms (a global search without derivatives or chance). The law, its two
    parameters and the objective are a reconstruction.

    Parameters
    ----------
    system : System
        The system.
    u : array, shape (T, m), optional
        Inputs of a driven system along which exponents are measured; some hundred steps will do.
    with_time_constants : callable, optional
        ``with_time_constants(system, tau) -> System``, tau (N,) for the N units of the recurrent matrix. By default the
        leaks of a system that has such become ``1 - exp(-dt / tau)``. For an LTC give ``lambda ltc, tau: replace(ltc,
        C_m=tau * ltc.g_leak)``, for a spiking network a function that makes it anew with these membrane time constants.
    mean_bounds : (float, float), optional
        Least and greatest mean, in the system's unit of time; one and 20 steps by default.
    shape_bounds : (float, float)
        Least and greatest shape.
    n_evaluations : int
        Choices that are tried, about: the search ends with the division it is at.
    seed : int or SeedSequence
        Seed of the quantiles.
    progress : bool
        Whether a bar appears when the search takes longer than two seconds.

    Returns
    -------
    TimeConstants

    Raises
    ------
    TypeError, ValueError
        If the system has no time constants, or an argument is of no use.

    References
    ----------
    D. R. Jones, C. D. Perttunen, B. E. Stuckman, Lipschitzian optimization without the Lipschitz constant, J. Optim.
    Theory Appl. 79, 157 (1993).

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.reservoirs import ESN
    >>> u = np.random.default_rng(0).uniform(-1, 1, 300)
    >>> tuned = tune_time_constants(ESN.random(30, leak=0.5, seed=0), u, n_evaluations=10, seed=0)
    >>> tuned.feasible, quartile_width(tuned.after) > quartile_width(tuned.before)
    (True, True)
    """
    import scipy

    system = as_system(system)
    change, mean_range = search_of(system, with_time_constants, mean_bounds, n_evaluations)
    bounds = [mean_range, _log_bounds("shape_bounds", shape_bounds)]
    (rng,) = generators(seed, 1)
    quantiles = rng.random(system.recurrent_matrix().shape[0])
    before = linear_exponents(system, u)
    bar, tried = track(range(n_evaluations), n_evaluations, "time constants", progress), []

    def cost(logs):
        next(bar, None)
        mean, shape = np.exp(logs)
        tau = np.maximum(mean / shape * scipy.special.gammaincinv(shape, quantiles), 1e-6 * mean)
        changed = change(system, tau)
        exponents = linear_exponents(changed, u)
        value = INFEASIBLE + exponents[0] if exponents[0] > 0 else -quartile_width(exponents)
        tried.append((value, changed, tau, float(mean), float(shape), exponents))
        return value

    scipy.optimize.direct(cost, bounds, maxfun=n_evaluations, locally_biased=True)
    _, changed, tau, mean, shape, after = min(tried, key=lambda choice: choice[0])
    return TimeConstants(changed, tau, mean, shape, before, after, len(tried))


def search_of(system, with_time_constants, mean_bounds, n_evaluations) -> tuple[Callable, tuple[float, float]]:
    """Return the function (system, tau) -> System and the bounds of the mean's logarithm, all arguments checked."""
    as_int("n_evaluations", n_evaluations)
    bounds = _log_bounds("mean_bounds", (system.dt, 20 * system.dt) if mean_bounds is None else mean_bounds)
    if with_time_constants is None:
        with_leaks(system, system.dt)  # has it any?
        return with_leaks, bounds
    if not callable(with_time_constants):
        raise TypeError(f"with_time_constants must be a function (system, tau), got {with_time_constants!r}")
    return with_time_constants, bounds


def quartile_width(exponents) -> float:
    """Return the distance between the quartiles of exponents."""
    low, high = np.quantile(exponents, [0.25, 0.75])
    return float(high - low)


def _log_bounds(name, bounds) -> tuple[float, float]:
    low, high = as_finite_array(name, bounds, ndim=1) if np.size(bounds) == 2 else (np.nan, np.nan)
    if not 0 < low < high:
        raise ValueError(f"{name} must be two numbers above 0, the lower first, got {bounds!r}")
    return float(np.log(low)), float(np.log(high))
