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

from penstock.analysis.linearisation import Linearisation, linear_exponents, linearise, stationary_covariance
from penstock.analysis.network_report import count_synapses, to_dense
from penstock.analysis.noise_pruning import noise_importance, sampling_probabilities
from penstock.analysis.pruning import Pruned, as_keep, prepared, pruned_to, pruned_to_units, with_synapses
from penstock.analysis.pruning import synapses as synapses_of
from penstock.analysis.time_constants import quartile_width, time_constant_setter, tune_time_constants
from penstock.checks import (
    as_finite_array,
    as_finite_float,
    as_fraction,
    as_int,
    as_vector,
    generators,
    seed_sequence,
)
from penstock.scaling import spectral_radius

__all__ = [
    "Delocalised",
    "LyapunovPruned",
    "PruningStep",
    "degree_heterogeneity",
    "delocalise_eigenvectors",
    "inverse_participation",
    "keep_probabilities",
    "prune_betweenness",
    "prune_lyapunov_noise",
    "prune_lyapunov_synapses",
    "synapse_exponents",
    "weighted_betweenness",
]

FLOOR = 1e-3  # of the mean |exponent|: less than that counts as that in a harmonic mean, which one zero would make zero
ROOM = 0.05  # of the synapses, which step 3 may add where step 2 has made no room


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


def keep_probabilities(W, strengths, covariance, keep: float) -> np.ndarray:
    """Return the probability of keeping every synapse, p_ij = min(1, kappa s_ij (C_ii + C_jj ∓ 2 C_ij)).

    The sign is minus for positive weights and plus for negative ones; kappa is such that a fraction `keep` of all
    synapses stays in the mean. Synapses of units onto themselves all stay. With strengths |w_ij| this is `prune_noise`,
    with those of `synapse_exponents` Lyapunov noise pruning.

    Parameters
    ----------
    W : array or sparse array, shape (N, N)
        Recurrent matrix.
    strengths : array, shape (N, N)
        s_ij, above 0 where W has a synapse.
    covariance : array, shape (N, N)
        C of the units under noise.
    keep : float
        Fraction in (0, 1].

    Returns
    -------
    array, shape (N, N)
        0 where W has no synapse.

    References
    ----------
    E. Moore, R. Chaudhuri, Using noise to probe recurrent neural network structure and prune synapses, NeurIPS (2020).

    Examples
    --------
    >>> import numpy as np
    >>> W = np.array([[0.0, 0.5], [-0.5, 0.0]])
    >>> keep_probabilities(W, np.abs(W), [[1.0, 0.5], [0.5, 1.0]], 0.5)
    array([[0.  , 0.25],
           [0.75, 0.  ]])
    """
    W, keep = to_dense(W), as_keep(keep)
    strengths = as_finite_array("strengths", strengths, ndim=2)
    if strengths.shape != W.shape or not (strengths[W != 0] > 0).all():
        raise ValueError(f"strengths must have shape {W.shape} and be above 0 at every synapse of W")
    importance = to_dense(noise_importance(np.sign(W) * strengths, covariance))
    p, itself = (W != 0).astype(float), np.eye(len(W), dtype=bool)
    others, alone = (W != 0) & ~itself, int(((W != 0) & itself).sum())
    p[others] = sampling_probabilities(importance[others], keep * (others.sum() + alone) - alone)
    return p


def prune_lyapunov_synapses(
    system,
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
    system, keep = prepared(system), as_keep(keep)
    rng, for_start = generators(seed, 1)[0], seed_sequence(seed).spawn(2)[1]
    W = to_dense(system.recurrent_matrix())
    if linearisation is None:
        linearisation = linearise(system, u, for_start)
    if covariance is None:
        covariance = stationary_covariance(linearisation.A)[np.ix_(linearisation.units, linearisation.units)]
    strengths = synapse_exponents(W, linearisation.local_exponents, hops=hops)
    to, of, weights = synapses_of(system)
    p = keep_probabilities(W, strengths, covariance, keep)[to, of]
    stays = rng.random(len(p)) < p
    W = with_synapses(system, to[stays], of[stays], weights[stays] / p[stays])
    return pruned_to(system, W, allow_disconnected=allow_disconnected)


# --- step 2: units --------------------------------------------------------------------------------------------------


def weighted_betweenness(W) -> np.ndarray:
    """Return the betweenness centrality of every unit on shortest directed paths, a synapse being 1 / |w| long; (N,).

    ``sum over s, t of g_st(r) / g_st``, the share of the shortest paths from s to t that pass r, over the number of
    pairs without r, (N - 1)(N - 2), as networkx has it.

    Examples
    --------
    >>> import numpy as np
    >>> weighted_betweenness(np.diag([1.0, 1.0], -1)).tolist()  # 0 -> 1 -> 2
    [0.0, 0.5, 0.0]
    """
    import networkx as nx

    W = sp.coo_array(W)
    (to, of), graph = W.coords, nx.DiGraph()
    graph.add_nodes_from(range(W.shape[0]))
    synapse = (W.data != 0) & (to != of)
    lengths = 1 / np.abs(W.data[synapse]).astype(float)
    graph.add_weighted_edges_from(zip(of[synapse].tolist(), to[synapse].tolist(), lengths.tolist(), strict=True))
    return np.array(list(nx.betweenness_centrality(graph, weight="weight").values()), float)


def prune_betweenness(system, keep: float = 0.9, *, allow_disconnected: bool = False) -> Pruned:
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
    system, keep = prepared(system), as_keep(keep)
    W = system.recurrent_matrix()
    count = max(1, round(keep * W.shape[0]))
    best = np.argsort(-weighted_betweenness(W), kind="stable")[:count]
    return pruned_to_units(system, np.sort(best), allow_disconnected=allow_disconnected)


# --- step 3: synapses that widen eigenvectors -----------------------------------------------------------------------


def degree_heterogeneity(W) -> float:
    """Return ``<k^2> / <k>^2``, k the number of synapses of a unit, in and out, itself left out; 1 if all are equal."""
    degrees = _degrees(to_dense(W) != 0)
    if not degrees.any():
        raise ValueError("W must have a synapse between two units, got none")
    return float((degrees**2).mean() / degrees.mean() ** 2)


def inverse_participation(W, n_vectors: int = 10) -> float:
    """Return the mean of ``sum_i |v_i|^4`` over the leading eigenvectors v of W, of norm 1.

    1 for vectors on a single unit, 1 / N for vectors spread evenly over all. `n_vectors` of largest modulus are taken.

    Examples
    --------
    >>> import numpy as np
    >>> inverse_participation(np.diag([1.0, 2.0]), 2), inverse_participation(np.roll(np.eye(4), 1, axis=0), 4)
    (1.0, 0.25)
    """
    W = to_dense(W)
    n_vectors = min(as_int("n_vectors", n_vectors), len(W))
    values, vectors = np.linalg.eig(W)
    leading = np.argsort(-np.abs(values), kind="stable")[:n_vectors]
    return round(float((np.abs(vectors[:, leading]) ** 4).sum(axis=0).mean()), 12)


@dataclass(frozen=True, eq=False, repr=False)
class Delocalised(Pruned):
    """Hold a system with added synapses, as `Pruned` does, and what they changed.

    Attributes
    ----------
    heterogeneity, participation : tuple of float
        `degree_heterogeneity` and `inverse_participation` before and after.
    target : float
        What the inverse participation ratio should come below.
    n_added, n_rounds : int
        Synapses added, and batches tried.
    """

    heterogeneity: tuple[float, float] = field(kw_only=True)
    participation: tuple[float, float] = field(kw_only=True)
    target: float = field(kw_only=True)
    n_added: int = field(kw_only=True)
    n_rounds: int = field(kw_only=True)

    @property
    def reached(self) -> bool:
        """Whether the inverse participation ratio came down to the target before synapses or rounds ran out."""
        return self.participation[1] <= self.target

    def __repr__(self):
        (h0, h1), (q0, q1) = self.heterogeneity, self.participation
        return (
            f"Delocalised({self.n_added} synapses added in {self.n_rounds} rounds, heterogeneity {h0:.4g} to {h1:.4g}, "
            f"inverse participation {q0:.4g} to {q1:.4g}{'' if self.reached else ', target not reached'})\n"
            f"  {self.system!r}"
        )


def delocalise_eigenvectors(
    system,
    target: float = 0.9,
    *,
    max_added: int | None = None,
    n_vectors: int = 10,
    max_rounds: int = 60,
    seed: int | np.random.SeedSequence,
) -> Delocalised:
    """Add synapses that raise the degree heterogeneity until the leading eigenvectors have become wider.

    Step 3 of Lyapunov noise pruning. Batches of synapses are drawn between units two synapses apart, whatever the
    direction (the neighbourhood), better connected ones more often. A batch stays if the heterogeneity ``<k^2>/<k>^2``
    rises and the inverse participation ratio falls, both: the paper's rule of acceptance is unknown. A new synapse
    takes its weight, and so its sign, from one that its sending unit has; units without any send none. A batch that the
    system refuses, since it has no synapses of that kind between two populations, does not stay either.

    Parameters
    ----------
    system : System
        Any system with a recurrent matrix that takes new synapses.
    target : float
        Inverse participation ratio to reach, as a fraction, in (0, 1], of that at the beginning.
    max_added : int, optional
        Synapses that may be added, by default 5 % of those there are.
    n_vectors : int
        Leading eigenvectors, as in `inverse_participation`.
    max_rounds : int
        Batches that are tried.
    seed : int or SeedSequence
        Seed of the draws.

    Returns
    -------
    Delocalised

    Examples
    --------
    >>> from penstock.reservoirs import ESN
    >>> wider = delocalise_eigenvectors(ESN.random(50, density=0.1, seed=0), 0.9, seed=0)
    >>> wider.heterogeneity[1] > wider.heterogeneity[0], wider.participation[1] < wider.participation[0]
    (True, True)
    """
    system, target = prepared(system), as_fraction("target", target)
    n_vectors, max_rounds = as_int("n_vectors", n_vectors), as_int("max_rounds", max_rounds)
    old = to_dense(system.recurrent_matrix())
    room = round(ROOM * count_synapses(old)) if max_added is None else as_int("max_added", max_added, minimum=0)
    (rng,) = generators(seed, 1)
    W, start = old.copy(), inverse_participation(old, n_vectors)
    now, rounds, batch = start, 0, max(1, room // 10)
    while now > target * start and room > 0 and rounds < max_rounds:
        rounds += 1
        tried = _with_local_synapses(W, min(batch, room), rng)
        wider = inverse_participation(tried, n_vectors)
        better = wider < now and degree_heterogeneity(tried) > degree_heterogeneity(W)
        if better and _takes(system, tried):
            room -= count_synapses(tried) - count_synapses(W)
            W, now = tried, wider
    done = pruned_to(system, sp.csr_array(W), allow_disconnected=True)
    return Delocalised(
        done.system,
        done.kept,
        done.units,
        before=system,
        heterogeneity=(degree_heterogeneity(old), degree_heterogeneity(W)),
        participation=(start, now),
        target=target * start,
        n_added=count_synapses(W) - count_synapses(old),
        n_rounds=rounds,
    )


def _takes(system, W) -> bool:
    """Whether a system accepts the synapses of W; a network of populations may have none of that kind."""
    try:
        system.with_recurrent(sp.csr_array(W))
    except ValueError:
        return False
    return True


def _with_local_synapses(W, count, rng) -> np.ndarray:
    """Return W with up to `count` synapses more between units two apart, drawn by the product of their degrees."""
    links = (W != 0) | (W != 0).T
    np.fill_diagonal(links, False)
    free = (links.astype(float) @ links > 0) & (W == 0) & (W != 0).any(axis=0)  # of senders with a weight to copy
    np.fill_diagonal(free, False)
    to, of = np.nonzero(free)
    W = W.copy()
    if to.size:
        degrees = _degrees(W != 0)
        chance = degrees[to] * degrees[of]
        chosen = rng.choice(to.size, min(count, to.size), replace=False, p=chance / chance.sum())
        sent = [W[:, j][W[:, j] != 0] for j in of[chosen]]
        W[to[chosen], of[chosen]] = [rng.choice(own) for own in sent]
    return W


def _degrees(linked) -> np.ndarray:
    linked = linked & ~np.eye(len(linked), dtype=bool)
    return linked.sum(axis=0).astype(float) + linked.sum(axis=1)


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
    system,
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
        Whether a bar appears when step 4 takes longer than two seconds.

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
    system, keep = prepared(system), as_keep(keep)
    _check_switches(synapses, nodes, delocalise, time_constants)
    if time_constants:  # before any work: can it be done at all?
        time_constant_setter(system, with_time_constants)
    seeds, loose = seed_sequence(seed).spawn(4), {"allow_disconnected": allow_disconnected}
    now, units, steps = system, np.arange(system.recurrent_matrix().shape[0]), [_record("before", system, u)]
    if synapses:
        now = prune_lyapunov_synapses(now, keep, u=u, seed=seeds[0], **loose).system
        steps.append(_record("synapses", now, u))
    room, full = None, steps[-1].n_synapses
    if nodes:
        fewer = prune_betweenness(now, 1.0 - nodes, **loose)
        now, units = fewer.system, fewer.units
        steps.append(_record("nodes", now, u))
        room = full - steps[-1].n_synapses
    if delocalise is not None:
        now = delocalise_eigenvectors(now, delocalise, max_added=room, seed=seeds[2]).system
        steps.append(_record("delocalise", now, u))
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
        steps.append(_record("time constants", now, u))
    kept = np.zeros(system.recurrent_matrix().shape, bool)
    kept[np.ix_(units, units)] = to_dense(now.recurrent_matrix()) != 0
    kept.flags.writeable = False
    return LyapunovPruned(now, kept, units, before=system, steps=tuple(steps))


def _check_switches(synapses, nodes, delocalise, time_constants):
    for name, value in (("synapses", synapses), ("time_constants", time_constants)):
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False, got {value!r}")
    if not 0 <= as_finite_float("nodes", nodes) < 1:
        raise ValueError(f"nodes must be the fraction to remove, in [0, 1), got {nodes}")
    if delocalise is not None:
        as_fraction("delocalise", delocalise)
    if not (synapses or nodes or delocalise is not None or time_constants):
        raise ValueError("at least one step must be on, got synapses=False, nodes=0, delocalise=None, …")


def _record(name, system, u) -> PruningStep:
    """Measure the network as it is after a step."""
    W = to_dense(system.recurrent_matrix())
    known = u is not None or not system.n_inputs
    exponents = linear_exponents(system, u) if known else np.full(2, np.nan)
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
