"""Pruning: take synapses or units away from any system with a recurrent matrix, and compare before and after.

=========================  ==========================================  ========================================
function                   what stays                                  weights that stay
=========================  ==========================================  ========================================
`prune_magnitude`          the largest |w|                             as they were
`prune_random`             any                                         as they were
`prune_activity`           the largest |w_ij| <|x_j|>                  as they were
`prune_noise`              at random, by the covariance under noise    w / p: unbiased
`prune_spectral`           at random, by effective resistance          w / p: unbiased
`prune_units`              the units with the largest scores           as they were
`remove_synapses`          all others                                  as they were
`remove_units`             all others                                  as they were
=========================  ==========================================  ========================================
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from penstock.analysis.network_report import PruningReport, as_links, count_synapses, pruning_report, to_dense
from penstock.checks import as_finite_array, as_fraction, as_int, seed_sequence
from penstock.recurrent import as_units
from penstock.system import System, SystemDefaults, as_system

__all__ = [
    "Pruned",
    "prune_activity",
    "prune_magnitude",
    "prune_random",
    "prune_units",
    "remove_synapses",
    "remove_units",
    "rewire",
    "unit_activity",
]

SPARSE_BELOW = 0.2
"""Density below which CSR runs faster: the break-even of an ESN lies at 0.2 to 0.3 for states, 0.15 to 0.2 for tangents
(100 to 1000 units; at 0.1 CSR is 1.5 to 2.6 times as fast as dense, at 0.5 half as fast)."""


@dataclass(frozen=True, eq=False, repr=False)
class Pruned:
    """Hold a pruned system and what is left of the old one.

    Attributes
    ----------
    system : System
        The pruned system; its recurrent matrix is sparse where that is faster.
    kept : array of bool, shape (N, N)
        Where the pruned system has synapses, counted in the N units there were before: [i, j] from unit j to unit i.
    units : array of int, shape (n,)
        The units that are left.
    before : System
        The system before pruning.
    report : PruningReport
        Before and after, computed when first asked for. `pruning_report` also measures exponents and memory.
    """

    system: Any
    kept: np.ndarray
    units: np.ndarray
    before: Any = field(kw_only=True)

    @property
    def n_synapses(self) -> int:
        """Number of synapses left."""
        return int(self.kept.sum())

    @cached_property
    def report(self) -> PruningReport:
        """Compare before and after; see `pruning_report`."""
        return pruning_report(self.before, self.system)

    def plot(self, ax=None):
        """Draw the eigenvalues of the recurrent matrix before and after; return the axes."""
        return self.report.plot(ax)

    def __repr__(self):
        W, n = self.before.recurrent_matrix(), len(self.kept)
        total = count_synapses(W)
        return f"Pruned({self.n_synapses} of {total} synapses, {len(self.units)} of {n} units)\n  {self.system!r}"


# --- what every pruning does ----------------------------------------------------------------------------------------


def pruned_to(system, W, *, allow_disconnected: bool) -> Pruned:
    """Return the system with the recurrent matrix W (N, N), in the faster form, checked for what it lost."""
    old = system.recurrent_matrix()
    kept = to_dense(W) != 0
    check_connected(old, kept, np.arange(len(kept)), allow_disconnected)
    return Pruned(system.with_recurrent(faster_form(W, old)), _frozen(kept), np.arange(len(kept)), before=system)


def pruned_to_units(system, units, *, allow_disconnected: bool) -> Pruned:
    """Return the system of some units only, checked for what it lost."""
    W = system.recurrent_matrix()
    units = as_units("units", units, W.shape[0])
    kept = np.zeros(W.shape, bool)
    kept[np.ix_(units, units)] = to_dense(W)[np.ix_(units, units)] != 0
    check_connected(W, kept, units, allow_disconnected)
    return Pruned(system.keep_units(units), _frozen(kept), units, before=system)


def check_connected(W, kept, units, allow_disconnected: bool) -> None:
    """Raise ValueError if no synapse is left, or units that were connected, in whatever direction, no longer are."""
    if allow_disconnected:
        return
    remedy = "keep more, or give allow_disconnected=True if that may be"
    if count_synapses(W) and not kept.any():
        raise ValueError(f"at least one synapse must stay, got none of {count_synapses(W)}; {remedy}")
    before, after = _parts(W)[units], _parts(kept[np.ix_(units, units)])
    n_before, n_after = len(np.unique(before)), len(np.unique(after))
    if n_after > n_before:
        raise ValueError(
            f"the network must stay connected, but its {len(units)} units fall into {n_after} parts, "
            f"{n_before} before; {remedy}"
        )


def _parts(W):
    """Return the number of the weakly connected part of every unit."""
    from scipy.sparse.csgraph import connected_components

    return connected_components(sp.csr_array(W != 0), connection="weak")[1]


def faster_form(W, like=None):
    """Return W as a `csr_array` if that runs faster, or if `like` is sparse, else as an array."""
    if sp.issparse(like) or count_synapses(W) < SPARSE_BELOW * max(W.shape[0] * W.shape[1], 1):
        return as_links(W)
    return to_dense(W)


def synapses(system):
    """Return the synapses of a system, row by row, as arrays (to, from, weight): the entries that are not zero."""
    W = as_links(system.recurrent_matrix())
    return np.repeat(np.arange(W.shape[0]), np.diff(W.indptr)), W.indices.astype(np.int64), W.data


def with_synapses(system, to, of, weights):
    """Return the matrix of these synapses in the shape and type of the system's."""
    shape = system.recurrent_matrix().shape
    return sp.csr_array((np.asarray(weights), (to, of)), shape)


def prepared(system, allow_disconnected: bool = False) -> SystemDefaults:
    """Return a System that has a recurrent matrix with synapses; raise TypeError or ValueError otherwise."""
    check_flag("allow_disconnected", allow_disconnected)
    system = as_system(system)
    if not count_synapses(system.recurrent_matrix()):
        raise ValueError("system must have at least one synapse to prune, got a recurrent matrix of zeros")
    return system


def check_flag(name: str, value) -> None:
    """Raise TypeError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")


def as_keep(keep) -> float:
    """Return the fraction to keep as a float in (0, 1]; a count is refused."""
    if isinstance(keep, int | np.integer) and not isinstance(keep, bool):
        raise TypeError(f"keep must be the fraction that stays, a float in (0, 1], got the integer {keep}")
    return as_fraction("keep", keep)


def _keep_best(system, keep, scores, allow_disconnected):
    """Return the system with the synapses of the largest scores, the earlier of equal ones."""
    to, of, weights = synapses(system)
    count = round(as_keep(keep) * len(weights))
    best = np.sort(np.argsort(-scores, kind="stable")[:count])
    W = with_synapses(system, to[best], of[best], weights[best])
    return pruned_to(system, W, allow_disconnected=allow_disconnected)


def _frozen(array):
    array.flags.writeable = False
    return array


# --- synapses -------------------------------------------------------------------------------------------------------


def prune_magnitude(system: System, keep: float, *, allow_disconnected: bool = False) -> Pruned:
    """Keep the synapses with the largest weights |w|, a fraction `keep` of those there are.

    The spectral radius falls with every synapse; restore it where that is wanted, as in the example.

    Parameters
    ----------
    system : System
        Any system with a recurrent matrix; an entry that is zero is no synapse.
    keep : float
        Fraction of the synapses that stay, in (0, 1]; of equal weights the first ones, row by row.
    allow_disconnected : bool
        Whether the network may lose all synapses, or fall into more parts than before.

    Returns
    -------
    Pruned

    Raises
    ------
    TypeError
        If the system has no recurrent matrix, or `keep` is a count.
    ValueError
        If `keep` lies outside (0, 1], or the network would be emptied or disconnected: units that a path of synapses
        joined before, whatever their direction, are no longer joined.

    References
    ----------
    S. Han, J. Pool, J. Tran, W. Dally (2015), Learning both weights and connections for efficient neural networks,
    NeurIPS.

    Examples
    --------
    >>> from penstock.reservoirs import ESN
    >>> from penstock.scaling import scale_spectral_radius, spectral_radius
    >>> pruned = prune_magnitude(ESN.random(100, spectral_radius=0.9, seed=0), 0.1)
    >>> pruned
    Pruned(1000 of 10000 synapses, 100 of 100 units)
      ESN(n_units=100, n_inputs=1, leak=1.0, activation=tanh, W=sparse(1000 non-zeros), float64)
    >>> round(spectral_radius(pruned.system.W), 3)
    0.47
    >>> rescaled = pruned.system.with_recurrent(scale_spectral_radius(pruned.system.W, 0.9))
    >>> round(spectral_radius(rescaled.W), 6)
    0.9
    """
    system = prepared(system, allow_disconnected)
    return _keep_best(system, keep, np.abs(synapses(system)[2]), allow_disconnected)


def prune_random(system: System, keep: float, *, seed, allow_disconnected: bool = False) -> Pruned:
    """Keep a fraction `keep` of the synapses, any of them with equal probability: what other methods must beat.

    The degrees change as well; `rewire` gives the null that keeps them.

    Parameters
    ----------
    system, keep, allow_disconnected
        As in `prune_magnitude`.
    seed : int or SeedSequence
        Which synapses stay.

    Returns
    -------
    Pruned

    Raises
    ------
    TypeError, ValueError
        As in `prune_magnitude`.

    Examples
    --------
    >>> from penstock.reservoirs import ESN
    >>> prune_random(ESN.random(100, seed=0), 0.3, seed=1).n_synapses
    3000
    """
    system, rng = prepared(system, allow_disconnected), np.random.default_rng(seed_sequence(seed))
    return _keep_best(system, keep, rng.permutation(len(synapses(system)[2])), allow_disconnected)


def prune_activity(
    system: System, keep: float, u, *, washout: int | None = None, allow_disconnected: bool = False
) -> Pruned:
    """Keep the synapses that carry most, those with the largest |w_ij| <|x_j|>, a fraction `keep` of them.

    To take the least active units away instead, give their activity to `prune_units`.

    Parameters
    ----------
    system, keep, allow_disconnected
        As in `prune_magnitude`.
    u, washout
        The run in which the activity <|x_j|> is measured; see `unit_activity`.

    Returns
    -------
    Pruned

    Raises
    ------
    TypeError, ValueError
        As in `prune_magnitude`, or if `u` does not fit the system.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.reservoirs import ESN
    >>> u = np.random.default_rng(0).uniform(-1, 1, 500)
    >>> prune_activity(ESN.random(100, seed=0), 0.3, u).n_synapses
    3000
    """
    system, keep = prepared(system, allow_disconnected), as_keep(keep)
    _, of, weights = synapses(system)
    return _keep_best(system, keep, np.abs(weights) * unit_activity(system, u, washout=washout)[of], allow_disconnected)


def remove_synapses(system: System, synapses, *, allow_disconnected: bool = False) -> Pruned:
    """Take the given synapses away.

    Parameters
    ----------
    system, allow_disconnected
        As in `prune_magnitude`.
    synapses : array of bool, shape (N, N)
        True at [i, j] to remove the synapse from unit j to unit i, if there is one.

    Returns
    -------
    Pruned

    Raises
    ------
    TypeError, ValueError
        As in `prune_magnitude`, or if `synapses` is no such array.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.reservoirs import ESN
    >>> remove_synapses(ESN.random(40, seed=0), np.eye(40, dtype=bool)).n_synapses == 40 * 39
    True
    """
    system = prepared(system, allow_disconnected)
    W, gone = to_dense(system.recurrent_matrix()), np.asarray(synapses)
    if gone.dtype != bool:
        raise TypeError(f"synapses must be an array of bool, True where to remove, got dtype {gone.dtype}")
    if gone.shape != W.shape:
        raise ValueError(f"synapses must have shape {W.shape}, got {gone.shape}")
    return pruned_to(system, np.where(gone, 0, W), allow_disconnected=allow_disconnected)


def unit_activity(system: System, u, *, washout: int | None = None) -> np.ndarray:
    """Return the mean of |x| of every observed unit along a run: the rates of a spiking network, for example.

    Parameters
    ----------
    system : System
        Any system.
    u : array, shape (T, m), or int
        Inputs, or the number of steps of an autonomous system.
    washout : int, optional
        Steps left out at the beginning, by default a tenth of them.

    Returns
    -------
    array, shape (N,)

    Raises
    ------
    TypeError, ValueError
        If `u` does not fit the system, or no steps are left.
    """
    return np.abs(observed_run(as_system(system), u, washout)).mean(axis=0)


def observed_run(system, u, washout):
    """Return the observed states (T, N) of a run from zero, after the washout."""
    states = system.run(u)
    if states.ndim != 2:
        raise ValueError(f"u must be one series of shape (T, {system.n_inputs}), got a batch of {len(states)}")
    washout = len(states) // 10 if washout is None else as_int("washout", washout, minimum=0)
    if washout >= len(states):
        raise ValueError(f"u must be longer than the washout of {washout} steps, got {len(states)}")
    return states[washout:, system.observed].astype(np.float64)


def rewire(system: System, *, n_trades: int = 10, seed) -> System:
    """Return the system with its synapses drawn anew: every unit keeps its number of them, in and out, of either sign.

    The null for the structure that a pruning leaves. Pairs of units trade targets (curveball) that the other has not,
    positive and negative synapses apart; every network of these degrees that trades can reach becomes equally likely.
    A unit keeps the weights that it sends, for other targets. Units get no synapse onto themselves, and lose none.

    Parameters
    ----------
    system : System
        A system with a recurrent matrix. One that has more than a weight per synapse (LTC) refuses synapses it did not
        have; a network without gaps stays as it is.
    n_trades : int
        Trades per unit and sign.
    seed : int or SeedSequence
        Which partners trade what.

    Returns
    -------
    System

    Raises
    ------
    TypeError, ValueError
        If the system has no recurrent matrix, or refuses the new one.

    References
    ----------
    G. Strona et al. (2014), A fast and unbiased procedure to randomize ecological binary matrices with fixed row and
    column totals, Nature Communications 5, 4114. C. J. Carstens (2015), Proof of uniform sampling of binary matrices
    with fixed row sums and column sums for the fast curveball algorithm, Physical Review E 91, 042812.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.reservoirs import ESN
    >>> esn = ESN.random(50, density=0.1, seed=0)
    >>> null = rewire(esn, seed=1)
    >>> bool(((null.W > 0).sum(axis=1) == (esn.W > 0).sum(axis=1)).all()), abs(null.W - esn.W).nnz > 100
    (True, True)
    """
    system, n_trades = prepared(system), as_int("n_trades", n_trades)
    old = system.recurrent_matrix()
    W, rng = np.array(to_dense(old), order="F"), np.random.default_rng(seed_sequence(seed))
    for sign in (1, -1):
        if len(W) > 1 and (np.sign(W) == sign).any():
            one = rng.integers(len(W), size=n_trades * len(W))
            other = (one + rng.integers(1, len(W), size=one.size)) % len(W)
            for a, b in zip(one, other, strict=True):
                _trade(W, sign, a, b, rng)
    return system.with_recurrent(faster_form(W, old))


def _trade(W, sign, a, b, rng):
    """Let units a and b exchange at random the targets that one reaches with this sign and the other not at all."""
    free = np.flatnonzero((W[:, a] != 0) ^ (W[:, b] != 0))
    free = free[(np.sign(W[free, a] + W[free, b]) == sign) & (free != a) & (free != b)]
    mine = W[free, a] != 0
    weights_a, weights_b = W[free[mine], a], W[free[~mine], b]
    free = rng.permutation(free)
    W[free, a], W[free, b] = 0.0, 0.0
    W[free[: weights_a.size], a], W[free[weights_a.size :], b] = weights_a, weights_b


# --- units ----------------------------------------------------------------------------------------------------------


def prune_units(system: System, keep: float, *, by, allow_disconnected: bool = False) -> Pruned:
    """Keep the units with the largest scores, a fraction `keep` of those there are.

    Parameters
    ----------
    system, allow_disconnected
        As in `prune_magnitude`.
    keep : float
        Fraction of the units that stay, in (0, 1]; of equal scores the first ones.
    by : array, shape (N,)
        The score of every unit: `unit_activity`, or ``betweenness`` and ``pagerank`` of a `network_summary`, ….

    Returns
    -------
    Pruned

    Raises
    ------
    TypeError, ValueError
        As in `prune_magnitude`, if the scores do not fit, or if the model cannot lose units.

    Examples
    --------
    >>> from penstock.analysis import network_summary
    >>> from penstock.reservoirs import ESN
    >>> esn = ESN.random(40, density=0.2, seed=0)
    >>> prune_units(esn, 0.75, by=network_summary(esn).betweenness)
    Pruned(215 of 320 synapses, 30 of 40 units)
      ESN(n_units=30, n_inputs=1, leak=1.0, activation=tanh, W=sparse(215 non-zeros), float64)
    """
    system, keep = prepared(system, allow_disconnected), as_keep(keep)
    n = system.recurrent_matrix().shape[0]
    scores = as_finite_array("by", by, ndim=1)
    if scores.shape != (n,):
        raise ValueError(f"by must have shape ({n},), one score for every unit, got {scores.shape}")
    best = np.argsort(-scores, kind="stable")[: round(keep * n)]
    if not best.size:
        raise ValueError(f"keep must leave at least one unit, got {keep:.6g} of {n}")
    return pruned_to_units(system, best, allow_disconnected=allow_disconnected)


def remove_units(system: System, units, *, allow_disconnected: bool = False) -> Pruned:
    """Take the given units away, with all their synapses.

    Parameters
    ----------
    system, allow_disconnected
        As in `prune_magnitude`.
    units : array of int, or of bool with shape (N,)
        The units to remove.

    Returns
    -------
    Pruned

    Raises
    ------
    TypeError, ValueError
        As in `prune_magnitude`, if a unit does not exist, none would be left, or the model cannot lose units.

    Examples
    --------
    >>> from penstock.reservoirs import ESN
    >>> remove_units(ESN.random(40, seed=0), [0, 3]).n_synapses == 38**2
    True
    """
    system = prepared(system, allow_disconnected)
    n = system.recurrent_matrix().shape[0]
    left = np.setdiff1d(np.arange(n), as_units("units", units, n))
    if not left.size:
        raise ValueError(f"units must leave at least one unit, got all {n}")
    return pruned_to_units(system, left, allow_disconnected=allow_disconnected)
