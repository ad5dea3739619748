"""How far can a network be pruned? A score against the share of synapses kept, over seeds."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from penstock.analysis.network_report import count_synapses
from penstock.checks import as_finite_array, as_int, seed_sequence
from penstock.progress import track
from penstock.scaling import spectral_radius
from penstock.system import as_system

__all__ = ["SparsitySweep", "sparsity_sweep"]


@dataclass(frozen=True, eq=False, repr=False)
class SparsitySweep:
    """Hold the scores of a system pruned to K sparsities with S seeds each.

    Attributes
    ----------
    keeps : array, shape (K,)
        What the pruner was asked to keep, as given.
    scores : array, shape (K, S)
        Scores of the pruned systems.
    unpruned : array, shape (S,)
        Scores before pruning.
    synapses, units : array of int, shapes (K, S)
        Weights that are not 0, and units, of the pruned systems.
    n_synapses, n_units : array of int, shapes (S,)
        The same before pruning.
    spectral_radius : array, shape (K, S)
        Largest eigenvalue modulus of the pruned recurrent matrices.
    leading_exponent : array, shape (K, S)
        What the function of that name gave; nan without one.
    seeds : tuple of int
        The seeds.
    """

    keeps: np.ndarray
    scores: np.ndarray
    unpruned: np.ndarray
    synapses: np.ndarray
    units: np.ndarray
    n_synapses: np.ndarray
    n_units: np.ndarray
    spectral_radius: np.ndarray
    leading_exponent: np.ndarray
    seeds: tuple[int, ...]

    @property
    def mean(self) -> np.ndarray:
        """Mean score over the seeds, shape (K,)."""
        return self.scores.mean(axis=1)

    @property
    def standard_errors(self) -> np.ndarray:
        """Standard errors of the means, shape (K,); nan for one seed."""
        return _standard_error(self.scores)

    @property
    def density(self) -> np.ndarray:
        """Share of the synapses that were kept indeed, mean over the seeds, shape (K,)."""
        return (self.synapses / self.n_synapses).mean(axis=1)

    def plot(self, ax=None):
        """Draw the score, and below it spectral radius and leading exponent, over the share kept; return both axes.

        `ax` may be a pair of axes, or a single one for the score alone.
        """
        from penstock.analysis.plots import plot_sparsity_sweep

        return plot_sparsity_sweep(self, ax)

    def __repr__(self):
        whole, error = self.unpruned.mean(), _standard_error(self.unpruned[None])[0]
        lines = [
            f"SparsitySweep: {len(self.keeps)} sparsities, {len(self.seeds)} seeds; mean ± standard error",
            f"  {'keep':>6} {'synapses':>9} {'units':>7} {'score':>20} {'radius':>8} {'exponent':>9}",
            f"  {'whole':>6} {self.n_synapses.mean():9.0f} {self.n_units.mean():7.0f} {whole:11.4g} ± {error:6.2g}",
        ]
        for i, keep in enumerate(self.keeps):
            lines.append(
                f"  {keep:6.3g} {self.synapses[i].mean():9.0f} {self.units[i].mean():7.0f} {self.mean[i]:11.4g} ± "
                f"{self.standard_errors[i]:6.2g} {self.spectral_radius[i].mean():8.3g} "
                f"{self.leading_exponent[i].mean():9.3g}"
            )
        return "\n".join(lines)


def sparsity_sweep(
    system,
    pruner: Callable,
    keeps,
    score: Callable,
    *,
    seeds: Iterable[int],
    leading_exponent: Callable | None = None,
    progress: bool = True,
) -> SparsitySweep:
    """Prune to several sparsities with several seeds, and score what is left.

    Parameters
    ----------
    system : System or callable
        The system to prune, or a function ``draw(seed) -> System`` of a SeedSequence, for a new one for every seed.
    pruner : callable
        ``pruner(system, keep=…, seed=…) -> Pruned``, one of the ``prune_…`` functions or yours, with ``partial`` for
        its settings. One that has no `seed` is called without.
    keeps : array, shape (K,)
        Shares to keep, in (0, 1].
    score : callable
        ``score(system) -> float``.
    seeds : iterable of int
        Each gives independent seeds for the drawing and the pruning; the same for every `keep`.
    leading_exponent : callable, optional
        ``leading_exponent(system) -> float``, to be recorded beside the score, such as
        ``lambda system: lyapunov_spectrum(system, u, 1).exponents[0]``.
    progress : bool
        Whether a bar appears when it takes longer than two seconds.

    Returns
    -------
    SparsitySweep

    Raises
    ------
    ValueError, TypeError
        If an argument is of no use. What a pruner raises comes through, with the share and the seed in a note.

    Examples
    --------
    >>> from penstock.analysis import memory_capacity, prune_magnitude, sparsity_sweep
    >>> from penstock.reservoirs import ESN
    >>> def draw(seed):
    ...     return ESN.random(50, spectral_radius=0.9, seed=seed)
    >>> def score(esn):
    ...     return memory_capacity(esn, n_steps=500, seed=0).total
    >>> sweep = sparsity_sweep(draw, prune_magnitude, [0.5, 0.2], score, seeds=range(3))
    >>> sweep.density.round(2)
    array([0.5, 0.2])
    """
    keeps = _as_keeps(keeps)
    for name, function in (("pruner", pruner), ("score", score), ("leading_exponent", leading_exponent)):
        if not callable(function) and (name != "leading_exponent" or function is not None):
            raise TypeError(f"{name} must be a function, got {function!r}")
    numbers = _as_seeds(seeds)
    before, after = np.empty((3, len(numbers))), np.empty((5, len(keeps), len(numbers)))
    jobs = [(row, column) for column in range(len(numbers)) for row in range(-1, len(keeps))]
    for row, column in track(jobs, len(jobs), "sparsities", progress):
        for_system, for_pruner = seed_sequence(numbers[column]).spawn(2)
        if row < 0:
            whole = _draw(system, for_system)
            before[:, column] = *_sizes(whole), _number("score", score(whole))
            continue
        pruned = _prune(pruner, whole, float(keeps[row]), for_pruner, numbers[column])
        exponent = np.nan if leading_exponent is None else _number("leading_exponent", leading_exponent(pruned))
        radius = spectral_radius(pruned.recurrent_matrix())
        after[:, row, column] = *_sizes(pruned), _number("score", score(pruned)), radius, exponent
    return SparsitySweep(
        keeps=keeps,
        scores=after[2],
        unpruned=before[2],
        synapses=after[0].astype(np.int64),
        units=after[1].astype(np.int64),
        n_synapses=before[0].astype(np.int64),
        n_units=before[1].astype(np.int64),
        spectral_radius=after[3],
        leading_exponent=after[4],
        seeds=numbers,
    )


def _as_keeps(keeps) -> np.ndarray:
    keeps = as_finite_array("keeps", keeps, ndim=1)
    if keeps.size == 0 or keeps.min() <= 0 or keeps.max() > 1:
        raise ValueError(f"keeps must be shares in (0, 1], got {keeps.tolist()}")
    return keeps


def _as_seeds(seeds) -> tuple[int, ...]:
    if not isinstance(seeds, Iterable):
        raise TypeError(f"seeds must be several integers, such as range(10), got {seeds!r}")
    numbers = tuple(as_int("every one of seeds", seed, minimum=0) for seed in seeds)
    if not numbers:
        raise ValueError("seeds must hold at least one seed, got none")
    return numbers


def _draw(system, seed):
    if hasattr(system, "step"):
        return as_system(system)
    if not callable(system):
        raise TypeError(f"system must be a System or a function draw(seed) that returns one, got {system!r}")
    return as_system(system(seed))


def _number(name, value) -> float:
    """Return what a function gave as a float; nan and infinity are numbers here."""
    if isinstance(value, bool) or np.ndim(value) or not np.issubdtype(np.asarray(value).dtype, np.number):
        raise TypeError(f"{name}(system) must return a number, got {value!r}")
    return float(value)


def _prune(pruner, system, keep, seed, number):
    """Return the pruned system; say in a note at which share and seed a pruner failed."""
    seeded = {"seed": seed} if _takes_seed(pruner) else {}
    try:
        pruned = pruner(system, keep=keep, **seeded)
    except Exception as error:
        error.add_note(f"while pruning to keep = {keep:g} with seed {number}")
        raise
    if not hasattr(pruned, "system"):
        raise TypeError(f"pruner must return a Pruned, as the prune_… functions do, got {pruned!r}")
    return as_system(pruned.system)


def _takes_seed(pruner) -> bool:
    parameters = inspect.signature(pruner).parameters.values()
    return any(p.name == "seed" or p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


def _sizes(system) -> tuple[float, float]:
    W = system.recurrent_matrix()
    return float(count_synapses(W)), float(W.shape[0])


def _standard_error(scores) -> np.ndarray:
    count = scores.shape[1]
    return scores.std(axis=1, ddof=1) / np.sqrt(count) if count > 1 else np.full(len(scores), np.nan)
