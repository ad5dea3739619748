"""Synapses that widen eigenvectors: step 3 of Lyapunov noise pruning, a reconstruction; see `lyapunov_pruning`."""

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from penstock.analysis.network_report import count_synapses, degree_heterogeneity, degrees, to_dense
from penstock.analysis.pruning import Pruned, prepared, pruned_to
from penstock.checks import as_fraction, as_int, generators
from penstock.progress import track
from penstock.system import System
from penstock.threads import one_blas_thread

__all__ = ["Delocalised", "delocalise_eigenvectors"]

ROOM = 0.05  # of the synapses, which may be added where nothing else is asked for


@one_blas_thread
def inverse_participation(W, n_vectors: int = 10) -> float:
    """Return the mean of ``sum_i |v_i|^4`` over the leading eigenvectors v of W, of norm 1.

    1 for vectors on a single unit, 1 / N for vectors spread evenly over all. `n_vectors` of largest modulus are taken.

    Examples
    --------
    >>> import numpy as np
    >>> round(inverse_participation(np.roll(np.eye(4), 1, axis=0), 4), 12)  # plane waves
    0.25
    """
    W = to_dense(W).astype(np.float64)
    n_vectors = min(as_int("n_vectors", n_vectors), len(W))
    values, vectors = np.linalg.eig(W)
    leading = np.argsort(-np.abs(values), kind="stable")[:n_vectors]
    return float((np.abs(vectors[:, leading]) ** 4).sum(axis=0).mean())


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
    system: System,
    target: float = 0.9,
    *,
    max_added: int | None = None,
    n_vectors: int = 10,
    max_rounds: int = 60,
    seed: int | np.random.SeedSequence,
    progress: bool = True,
) -> Delocalised:
    """Add synapses that raise the degree heterogeneity until the leading eigenvectors have become wider.

    Step 3 of Lyapunov noise pruning. Batches of synapses are drawn between units two synapses apart, whatever the
    direction (the neighbourhood), by the product of their degrees. A batch stays if the heterogeneity ``<k^2>/<k>^2``
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
    progress : bool
        Whether a bar appears when it takes longer than two seconds; every batch costs the eigenvectors of W.

    Returns
    -------
    Delocalised

    Raises
    ------
    TypeError, ValueError
        If the system has no recurrent matrix or no synapse, or an argument is of no use.

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
    for _ in track(range(max_rounds), max_rounds, "wider eigenvectors", progress):
        if now <= target * start or room == 0:
            break
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
        k = degrees(W)
        chance = k[to] * k[of]
        chosen = rng.choice(to.size, min(count, to.size), replace=False, p=chance / chance.sum())
        sent = [W[:, j][W[:, j] != 0] for j in of[chosen]]
        W[to[chosen], of[chosen]] = [rng.choice(own) for own in sent]
    return W
