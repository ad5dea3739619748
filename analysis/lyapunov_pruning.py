"""Lyapunov noise pruning, an implementable reconstruction: four steps, each of them alone or all in turn.

The method is that of Chakraborty, Kang, Kumar and Mukhopadhyay (ICLR 2024), as abstract and reviews tell it. The
formulas of the steps are not confirmed there, and no public code was found: every choice of ours is named where it is
made, and nothing here claims to reproduce the tables of the paper.

====  ============================  ================================================================================
step  function                      what it does
====  ============================  ================================================================================
1     `prune_lyapunov_synapses`     keeps synapses at random, by local exponents and the covariance under noise
2     `prune_betweenness`           removes the units that the fewest shortest paths run through
3     `delocalise_eigenvectors`     adds synapses that make degrees unequal and eigenvectors wider
4     `tune_time_constants`         draws new time constants: the widest spectrum that has no positive exponent
all   `prune_lyapunov_noise`        the steps in turn, each to be switched off, with a record
====  ============================  ================================================================================
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from penstock.analysis.delocalisation import delocalise_eigenvectors, inverse_participation
from penstock.analysis.linearisation import Linearisation, linear_exponents, linearise, stationary_covariance
from penstock.analysis.network_report import count_synapses, degree_heterogeneity, to_dense
from penstock.analysis.noise_pruning import drawn, keep_probabilities
from penstock.analysis.pruning import Pruned, as_keep, check_flag, prepared, prune_units, pruned_to
from penstock.analysis.time_constants import quartile_width, search_of, tune_time_constants
from penstock.checks import as_finite_float, as_fraction, as_int, as_vector, seed_sequence
from penstock.scaling import spectral_radius
from penstock.system import System

__all__ = ["LyapunovPruned", "PruningStep", "prune_betweenness", "prune_lyapunov_noise", "prune_lyapunov_synapses"]

FLOOR = 1e-3  # of the mean |exponent|: less than that counts as that in a harmonic mean, which one zero would make zero


# --- step 1: synapses -----------------------------------------------------------------------------------------------


def synapse_exponents(W, local_exponents, *, hops: int = 1) -> np.ndarray:
    """Return l_ij of every synapse j -> i: the harmonic mean of the sizes of the local exponents around its two units.

    The mean is over i, j and all units within `hops` synapses of either, whatever their direction. Exponents straddle
    zero, where a harmonic mean has no bound, so their absolute values are taken, and none below a thousandth of their
    mean: a choice of ours, by which a synapse between units that neither forget nor grow has a small l_ij.

    Parameters
    ----------
    W : array or sparse array, shape (N, N)
        Recurrent matrix.
    local_exponents : array, shape (N,)
        Local exponents of the units, `linearise_run(…).local_exponents`.
    hops : int
        0 for the two units alone, 1 for their neighbours too, ….

    Returns
    -------
    array, shape (N, N)
        l_ij where W has a synapse, 0 elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> synapse_exponents(np.array([[0.0, 0.5], [0.0, 0.0]]), [-1.0, 3.0])  # 2 / (1 + 1/3)
    array([[0. , 1.5],
           [0. , 0. ]])
    """
    W, hops = to_dense(W), as_int("hops", hops, minimum=0)
    sizes = np.abs(as_vector("local_exponents", local_exponents, len(W)))
    if not sizes.any():
        raise ValueError("local_exponents must not all be 0")
    inverse = 1 / np.maximum(sizes, FLOOR * sizes.mean())
    linked, near = ((W != 0) | (W != 0).T).astype(float), np.eye(len(W))
    for _ in range(hops):
        near = ((near + near @ linked) > 0).astype(float)
    total, count = near @ inverse, near.sum(axis=1)
    together = total[:, None] + total - (near * inverse) @ near.T  # sums over the union of two neighbourhoods
    return np.where(W != 0, (count[:, None] + count - near @ near.T) / together, 0.0)


def prune_lyapunov_synapses(
    system: System,
    keep: float = 0.5,
    *,
    u=None,
    linearisation: Linearisation | None = None,
    covariance=None,
    hops: int = 1,
    allow_disconnected: bool = False,
    seed: int | np.random.SeedSequence,
) -> Pruned:
    """Keep synapses at random by local exponents and noise covariance; what stays is w / p, so the mean stays W.

    Step 1 of Lyapunov noise pruning: the probabilities of noise pruning with |w_ij| replaced by `synapse_exponents`.
    The covariance is that of the linearised system under white noise, `stationary_covariance`. No correction of the
    diagonal is made: in a system of steps its entries would be synapses of units onto themselves.

    Parameters
    ----------
    system : System
        Any system with a recurrent matrix.
    keep : float
        Fraction of the synapses that stay in the mean, in (0, 1].
    u : array, shape (T, m), optional
        Inputs along which a driven system is linearised.
    linearisation : Linearisation, optional
        By default `linearise_run` of a system with Jacobians, `linearise_states` of any other.
    covariance : array, shape (N, N), optional
        Covariance of the N observed units; an empirical one, ``np.cov(states.T)``, will do.
    hops : int
        Neighbourhood of the harmonic means; see `synapse_exponents`.
    allow_disconnected : bool
        As in `prune_magnitude`.
    seed : int or SeedSequence
        Seed of the choice.

    Returns
    -------
    Pruned

    Raises
    ------
    ValueError, TypeError
        If an argument is of no use, the linearisation is unstable and no covariance given, or the network would be
        emptied or disconnected.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.reservoirs import ESN
    >>> esn = ESN.random(50, density=0.3, leak=0.5, seed=0)
    >>> prune_lyapunov_synapses(esn, 0.5, u=np.sin(np.arange(300.0)), seed=0).n_synapses
    374
    """
    system, keep = prepared(system, allow_disconnected), as_keep(keep)
    for_draw, for_start = seed_sequence(seed).spawn(2)
    W = to_dense(system.recurrent_matrix())
    if linearisation is None:
        linearisation = linearise(system, u, for_start)
    elif not isinstance(linearisation, Linearisation):
        raise TypeError(f"linearisation must come from linearise_run or linearise_states, got {linearisation!r}")
    if covariance is None:
        covariance = stationary_covariance(linearisation.A)[np.ix_(linearisation.units, linearisation.units)]
    strengths = synapse_exponents(W, linearisation.local_exponents, hops=hops)
    p = keep_probabilities(W, strengths, covariance, keep)
    W = drawn(system, p, np.random.default_rng(for_draw))
    return pruned_to(system, W, allow_disconnected=allow_disconnected)


# --- step 2: units --------------------------------------------------------------------------------------------------


def weighted_betweenness(W) -> np.ndarray:
    """Return the betweenness centrality of every unit on shortest directed paths, a synapse being 1 / |w| long; (N,).

    ``sum over s, t of g_st(r) / g_st``, the share of the shortest paths from s to t that pass r, over the number of
    pairs without r, (N - 1)(N - 2): what ``networkx.betweenness_centrality`` gives, in a twentieth of its time.

    References
    ----------
    U. Brandes, A faster algorithm for betweenness centrality, J. Math. Sociol. 25, 163 (2001).

    Examples
    --------
    >>> import numpy as np
    >>> weighted_betweenness(np.diag([1.0, 1.0], -1)).tolist()  # 0 -> 1 -> 2
    [0.0, 0.5, 0.0]
    """
    from scipy.sparse.csgraph import dijkstra

    links = sp.coo_array(W)
    (to, of), n = links.coords, links.shape[0]
    synapse = (links.data != 0) & (to != of)
    to, of, length = to[synapse], of[synapse], 1 / np.abs(links.data[synapse]).astype(np.float64)
    between = np.zeros(n)
    for source, far in enumerate(dijkstra(sp.csr_array((length, (of, to)), (n, n)))):
        # what lies on shortest paths from here, to within the rounding of sums, nearest first
        on = np.flatnonzero((far[of] + length <= far[to] * (1 + 1e-12)) & np.isfinite(far[to]))
        on = on[np.argsort(far[to[on]], kind="stable")]
        steps, paths, share = list(zip(of[on].tolist(), to[on].tolist(), strict=True)), [0.0] * n, [0.0] * n
        paths[source] = 1.0
        for j, i in steps:
            paths[i] += paths[j]
        for j, i in reversed(steps):
            share[j] += paths[j] / paths[i] * (1 + share[i])
        share[source] = 0.0
        between += share
    return between / max((n - 1) * (n - 2), 1)


def prune_betweenness(system: System, keep: float = 0.9, *, allow_disconnected: bool = False) -> Pruned:
    """Keep the units of highest `weighted_betweenness`, a fraction `keep` of them.

    Step 2 of Lyapunov noise pruning; the threshold of the paper is unknown. Of equal units the first stay.

    Parameters
    ----------
    system : System
        Any system with a recurrent matrix.
    keep : float
        Fraction of the units that stay, in (0, 1].
    allow_disconnected : bool
        As in `prune_magnitude`.

    Returns
    -------
    Pruned

    Examples
    --------
    >>> from penstock.reservoirs import ESN
    >>> prune_betweenness(ESN.random(50, density=0.1, seed=0), 0.8).system.n_units
    40
    """
    system, keep = prepared(system, allow_disconnected), as_keep(keep)
    between = weighted_betweenness(system.recurrent_matrix())
    return prune_units(system, keep, by=between, allow_disconnected=allow_disconnected)


# --- all steps ------------------------------------------------------------------------------------------------------


class PruningStep(NamedTuple):
    """Hold what a network was after one step; the exponents are nan where none were asked for."""

    name: str
    n_units: int
    n_synapses: int
    spectral_radius: float
    heterogeneity: float
    participation: float
    leading_exponent: float
    spread: float
    """Between the quartiles of the Lyapunov exponents."""
    system: Any
    """The network itself: the steps before it, without those after."""


@dataclass(frozen=True, eq=False, repr=False)
class LyapunovPruned(Pruned):
    """Hold a pruned system, as `Pruned` does, with a record of the steps that made it.

    Attributes
    ----------
    steps : tuple of PruningStep
        The network before the first step and after each.
    """

    steps: tuple[PruningStep, ...] = field(kw_only=True)

    def __repr__(self):
        head = "step            units synapses  radius <k²>/<k>²    IPR  lambda_1  spread"
        rows = [
            f"  {s.name:<15} {s.n_units:5} {s.n_synapses:8} {s.spectral_radius:7.3f} {s.heterogeneity:9.3f} "
            f"{s.participation:6.3f} {s.leading_exponent:9.4f} {s.spread:7.4f}"
            for s in self.steps
        ]
        return "\n".join([f"LyapunovPruned({self.n_synapses} synapses, {len(self.units)} units)", f"  {head}", *rows])


def prune_lyapunov_noise(
    system: System,
    keep: float = 0.5,
    *,
    u=None,
    seed: int | np.random.SeedSequence,
    synapses: bool = True,
    nodes: float = 0.1,
    delocalise: float | None = 0.9,
    time_constants: bool = True,
    with_time_constants=None,
    mean_bounds: tuple[float, float] | None = None,
    n_evaluations: int = 30,
    allow_disconnected: bool = False,
    progress: bool = True,
) -> LyapunovPruned:
    """Prune an untrained network by local exponents, noise, centrality and degrees, then give it new time constants.

    The four steps of Lyapunov noise pruning, an implementable reconstruction: see the functions of the single steps,
    which this one calls in turn. Step 3 puts back at most as many synapses as step 2 took, so that no more than `keep`
    of them are left in the mean (5 % of those there are, where there was no step 2).

    Parameters
    ----------
    system : System
        Any system with a recurrent matrix.
    keep : float
        Fraction of the synapses that step 1 keeps in the mean, in (0, 1].
    u : array, shape (T, m), optional
        Inputs of a driven system: along them it is linearised, and its exponents measured. Without them, systems
        without inputs run by themselves.
    seed : int or SeedSequence
        Every step has its own stream, so that switching one off does not change the draws of another.
    synapses : bool
        Whether step 1, `prune_lyapunov_synapses`, is done.
    nodes : float
        Fraction of the units that step 2, `prune_betweenness`, removes, in [0, 1); 0 for no such step.
    delocalise : float or None
        Target of step 3, `delocalise_eigenvectors`; None for no such step.
    time_constants : bool
        Whether step 4, `tune_time_constants`, is done; a system without time constants is refused by name.
    with_time_constants, mean_bounds, n_evaluations
        Of step 4; see `tune_time_constants`.
    allow_disconnected : bool
        As in `prune_magnitude`.
    progress : bool
        Whether bars appear when a spectrum, step 3 or step 4 takes longer than two seconds.

    Returns
    -------
    LyapunovPruned
        With `steps`, the record of what each step changed.

    Raises
    ------
    ValueError, TypeError
        If an argument is of no use, the network would be emptied or disconnected, or a step is not possible.

    References
    ----------
    B. Chakraborty, B. Kang, H. Kumar, S. Mukhopadhyay, Sparse spiking neural network: exploiting heterogeneity in
    timescales for pruning recurrent SNN, ICLR (2024), arXiv:2403.03409.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.reservoirs import ESN
    >>> u = np.random.default_rng(0).uniform(-1, 1, 300)
    >>> pruned = prune_lyapunov_noise(ESN.random(50, density=0.3, leak=0.5, seed=0), 0.5, u=u, seed=0, n_evaluations=5)
    >>> [step.name for step in pruned.steps]
    ['before', 'synapses', 'nodes', 'delocalise', 'time constants']
    >>> pruned.system.n_units, bool(pruned.steps[-1].leading_exponent <= 0)
    (45, True)
    """
    system, keep = prepared(system, allow_disconnected), as_keep(keep)
    _check_switches(synapses, nodes, delocalise, time_constants)
    if time_constants:  # before any work: can it be done at all?
        search_of(system, with_time_constants, mean_bounds, n_evaluations)
    if u is None and system.n_inputs and (synapses or time_constants):
        raise ValueError(
            f"u must be the inputs of shape (T, {system.n_inputs}) of this driven system, got None; "
            "only nodes and delocalise need none"
        )
    _check_nodes(system, nodes)
    seeds = seed_sequence(seed).spawn(4)
    units, steps = np.arange(system.recurrent_matrix().shape[0]), [_record("before", system, u, progress)]
    now: Any = system

    def record(name, system):
        steps.append(_record(name, system, u, progress))

    if synapses:
        now = prune_lyapunov_synapses(now, keep, u=u, seed=seeds[0], allow_disconnected=allow_disconnected).system
        record("synapses", now)
    room, full = None, steps[-1].n_synapses
    if nodes:
        fewer = prune_betweenness(now, 1.0 - nodes, allow_disconnected=allow_disconnected)
        now, units = fewer.system, fewer.units
        record("nodes", now)
        room = full - steps[-1].n_synapses
    if delocalise is not None:
        now = delocalise_eigenvectors(now, delocalise, max_added=room, seed=seeds[2], progress=progress).system
        record("delocalise", now)
    if time_constants:
        now = tune_time_constants(
            now,
            u,
            with_time_constants=with_time_constants,
            mean_bounds=mean_bounds,
            n_evaluations=n_evaluations,
            seed=seeds[3],
            progress=progress,
        ).system
        record("time constants", now)
    kept = np.zeros(system.recurrent_matrix().shape, bool)
    kept[np.ix_(units, units)] = to_dense(now.recurrent_matrix()) != 0
    kept.flags.writeable = False
    return LyapunovPruned(now, kept, units, before=system, steps=tuple(steps))


def _check_switches(synapses, nodes, delocalise, time_constants):
    check_flag("synapses", synapses)
    check_flag("time_constants", time_constants)
    if not 0 <= as_finite_float("nodes", nodes) < 1:
        raise ValueError(f"nodes must be the fraction to remove, in [0, 1), got {nodes}")
    if delocalise is not None:
        as_fraction("delocalise", delocalise)
    if not (synapses or nodes or delocalise is not None or time_constants):
        raise ValueError("at least one step must be on, got synapses=False, nodes=0, delocalise=None, …")


def _check_nodes(system, nodes):
    """Raise ValueError if step 2 is on for a model that cannot lose units, before any long work."""
    n = system.recurrent_matrix().shape[0]
    if nodes and n > 1:
        try:
            system.keep_units(np.arange(n - 1))
        except ValueError as error:
            raise ValueError(f"nodes must be 0 for this system: {error}") from None


def _record(name, system, u, progress) -> PruningStep:
    """Measure the network as it is after a step."""
    W = to_dense(system.recurrent_matrix())
    known = u is not None or not system.n_inputs
    exponents = linear_exponents(system, u, progress=progress) if known else np.full(2, np.nan)
    return PruningStep(
        name,
        len(W),
        count_synapses(W),
        spectral_radius(W),
        degree_heterogeneity(W),
        inverse_participation(W),
        float(exponents[0]),
        quartile_width(exponents),
        system,
    )
