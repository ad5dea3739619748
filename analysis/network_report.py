"""What a recurrent network is before and after pruning: size, spectrum, connections, exponent and memory."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from penstock.analysis.linearisation import has_jacobian
from penstock.analysis.lyapunov import LyapunovSpectrum, lyapunov_spectrum
from penstock.analysis.memory import MemoryCapacity, memory_capacity
from penstock.checks import seed_sequence
from penstock.scaling import spectral_radius
from penstock.system import System, as_system
from penstock.threads import one_blas_thread

__all__ = ["NetworkSummary", "PruningReport", "network_summary", "pruning_report"]


@dataclass(frozen=True, eq=False, repr=False)
class NetworkSummary:
    """Hold the measures of one recurrent network; a synapse is an entry of W that is not zero.

    Attributes
    ----------
    n_units, n_synapses : int
        Units N and synapses E.
    density : float
        E / N².
    n_parameters : int
        Numbers that synapses and input weights take: one each, four for `LTC`. Biases, time constants, an encoder and
        a readout are not counted.
    spectral_radius : float
        Of W.
    strong_components, weak_components : int
        Parts whose units reach each other along the synapses, and whatever their direction.
    largest_component : int
        Units of the largest strong part.
    degree_heterogeneity : float
        <k²> / <k>², k the synapses of a unit, in and out, without those onto itself; 1 if all have equally many.
    reciprocity : float
        Share of synapses that one in the other direction answers, without those of units onto themselves.
    lyapunov : LyapunovSpectrum or None
        The largest exponent, if it was asked for and the system has tangents. A `Liquid` has none, since its map jumps
        where a spike appears: `replica_growth` measures how disturbances of a given size grow instead, and
        `penstock.spiking.event_driven` gives tangents to the networks it can take.
    memory : MemoryCapacity or None
        If it was asked for.
    system : System
        The network itself.
    note : str
        Why there is no exponent, if it was asked for.
    """

    n_units: int
    n_synapses: int
    density: float
    n_parameters: int
    spectral_radius: float
    strong_components: int
    weak_components: int
    largest_component: int
    degree_heterogeneity: float
    reciprocity: float
    lyapunov: LyapunovSpectrum | None
    memory: MemoryCapacity | None
    system: Any
    note: str = ""

    @property
    def largest_exponent(self) -> float | None:
        """Largest Lyapunov exponent per unit of time, None if it was not measured; see `note`."""
        return None if self.lyapunov is None else float(self.lyapunov.exponents[0])

    @property
    def memory_capacity(self) -> float | None:
        """Total memory capacity, None if it was not measured."""
        return None if self.memory is None else self.memory.total

    @cached_property
    def eigenvalues(self) -> np.ndarray:
        """Eigenvalues of W, complex, shape (N,)."""
        return one_blas_thread(np.linalg.eigvals)(to_dense(self.system.recurrent_matrix())).astype(np.complex128)

    @cached_property
    def betweenness(self) -> np.ndarray:
        """Share of the shortest paths between other units that pass through a unit, every synapse one step; (N,)."""
        import networkx as nx

        return _by_unit(nx.betweenness_centrality(self.to_networkx()))

    @cached_property
    def pagerank(self) -> np.ndarray:
        """PageRank of the units along the synapses, weighted by |w|; sums to 1, shape (N,)."""
        import networkx as nx

        return _by_unit(nx.pagerank(self.to_networkx()))

    def to_networkx(self):
        """Return the synapses as a `networkx.DiGraph`, j -> i for W[i, j], with |w| as the attribute ``weight``."""
        import networkx as nx

        W = as_links(self.system.recurrent_matrix())
        return nx.from_scipy_sparse_array(sp.csr_array(abs(W).T), create_using=nx.DiGraph)

    def __repr__(self):
        rows = [f"  {name:<22}{_text(value):>12}" for name, value in _rows(self)]
        return "\n".join(["NetworkSummary", *rows, *_notes(self)])


@dataclass(frozen=True, eq=False, repr=False)
class PruningReport:
    """Hold the measures of a network before and after pruning, each a `NetworkSummary`.

    Attributes
    ----------
    before, after : NetworkSummary
    """

    before: NetworkSummary
    after: NetworkSummary

    def plot(self, ax=None):
        """Draw the eigenvalues of W before and after; return the axes."""
        from penstock.analysis.plots import plot_pruning_report

        return plot_pruning_report(self, ax)

    def __repr__(self):
        lines = [f"PruningReport         {'before':>14}{'after':>12}"]
        pairs = zip(_rows(self.before), _rows(self.after), strict=True)
        lines += [f"  {name:<22}{_text(a):>12}{_text(b):>12}" for (name, a), (_, b) in pairs]
        return "\n".join([*lines, *_notes(self.before)])


def pruning_report(
    before: System, after: System, *, u=None, memory: bool = False, seed=None, progress: bool = True
) -> PruningReport:
    """Compare a system before and after pruning: size, spectrum, connections and, if asked for, exponent and memory.

    Parameters
    ----------
    before, after : System
        Systems with a recurrent matrix.
    u : array, shape (T, m), or int, optional
        Inputs along which the largest Lyapunov exponent is measured, or the number of steps of an autonomous system;
        None leaves it out. Systems without tangents, such as a `Liquid`, have none: the report says so.
    memory : bool
        Whether `memory_capacity` is measured, with its defaults: delays up to 2N.
    seed : int or SeedSequence, optional
        Seed of exponents and memory, the same for both systems; wanted if they are measured.
    progress : bool
        Whether bars appear when a measurement takes longer than two seconds.

    Returns
    -------
    PruningReport
        It prints as a table. ``report.after.betweenness``, ``.pagerank`` and ``.eigenvalues`` are computed when asked
        for.

    Raises
    ------
    TypeError, ValueError
        If a system has no recurrent matrix, or an argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.analysis import prune_random
    >>> from penstock.reservoirs import ESN
    >>> pruned = prune_random(ESN.random(50, spectral_radius=0.9, seed=0), 0.2, seed=0)
    >>> u = np.random.default_rng(0).uniform(-1, 1, 1000)
    >>> pruning_report(pruned.before, pruned.system, u=u, seed=0)
    PruningReport                 before       after
      units                           50          50
      synapses                      2500         500
      density                          1         0.2
      parameters                    2550         550
      spectral radius                0.9      0.4257
      strong components                1           1
      weak components                  1           1
      largest component               50          50
      degree heterogeneity             1       1.037
      reciprocity                      1      0.2041
      largest exponent             -0.2537     -0.9388
    """
    arguments = {"u": u, "memory": memory, "seed": seed, "progress": progress}
    return PruningReport(network_summary(before, **arguments), network_summary(after, **arguments))


def network_summary(
    system: System, *, u=None, memory: bool = False, seed=None, progress: bool = True
) -> NetworkSummary:
    """Measure one network; the parameters are those of `pruning_report`.

    Returns
    -------
    NetworkSummary

    Examples
    --------
    >>> from penstock.reservoirs import ESN
    >>> from penstock.weights import ring
    >>> summary = network_summary(ESN.random(10, weights=ring, seed=0))
    >>> summary.strong_components, summary.largest_component, summary.degree_heterogeneity
    (1, 10, 1.0)
    """
    if not isinstance(memory, bool):
        raise TypeError(f"memory must be True or False, got {memory!r}")
    if u is not None or memory:
        seed = seed_sequence(seed)
    system = as_system(system)
    W = as_links(system.recurrent_matrix())
    n, weights = W.shape[0], W.nnz + count_synapses(getattr(system, "W_in", np.empty(0)))
    exponent, note = (None, "") if u is None else _largest_exponent(system, u, seed, progress)
    strong, weak = (_components(W, connection) for connection in ("strong", "weak"))
    return NetworkSummary(
        n_units=n,
        n_synapses=W.nnz,
        density=W.nnz / n**2,
        n_parameters=weights * (1 + len(system._synapse_fields)),
        spectral_radius=spectral_radius(W),
        strong_components=len(strong),
        weak_components=len(weak),
        largest_component=int(strong.max()),
        degree_heterogeneity=degree_heterogeneity(W),
        reciprocity=_reciprocity(_links(W)),
        lyapunov=exponent,
        memory=memory_capacity(system, seed=seed, progress=progress) if memory else None,
        system=system,
        note=note,
    )


def as_links(W) -> sp.csr_array:
    """Return a copy of W in CSR form without stored zeros."""
    W = sp.csr_array(W, copy=True)
    W.sum_duplicates()
    W.eliminate_zeros()
    return W


def count_synapses(W) -> int:
    """Return how many entries of W are not zero."""
    return int(np.count_nonzero(W.data if sp.issparse(W) else W))


def to_dense(W) -> np.ndarray:
    """Return W as an array."""
    return W.toarray() if sp.issparse(W) else np.asarray(W)


def _components(W, connection):
    from scipy.sparse.csgraph import connected_components

    return np.bincount(connected_components(W, connection=connection)[1])


def degree_heterogeneity(W) -> float:
    """Return <k²> / <k>², k the synapses of a unit, in and out, itself left out; nan if there are none."""
    k = degrees(W)
    return float((k**2).mean() / k.mean() ** 2) if k.any() else float("nan")


def degrees(W) -> np.ndarray:
    """Return the synapses of every unit, in and out, those onto itself left out; (N,)."""
    links = _links(W)
    return np.asarray(links.sum(axis=0) + links.sum(axis=1), np.float64)


def _links(W):
    links = as_links(sp.csr_array(W) != 0).astype(np.int64)
    links.setdiag(0)
    links.eliminate_zeros()
    return links


def _reciprocity(links):
    return float(links.multiply(links.T).sum() / links.nnz) if links.nnz else float("nan")


def _largest_exponent(system, u, seed, progress):
    """Return the leading exponent, or None, and why there is none."""
    if not has_jacobian(system):
        return None, f"no exponent: {type(system).__name__} has no tangents; see replica_growth"
    if system.n_inputs == 0:
        return lyapunov_spectrum(system, n_exponents=1, n_steps=u, seed=seed, progress=progress), ""
    return lyapunov_spectrum(system, u, 1, seed=seed, progress=progress), ""


def _by_unit(values):
    return np.array([values[unit] for unit in range(len(values))])


def _rows(summary):
    """Return the measures of a summary with their names; those that were not measured are left out."""
    names = [field.name for field in fields(summary)][:-4] + ["largest_exponent", "memory_capacity"]
    rows = [(name.removeprefix("n_").replace("_", " "), getattr(summary, name)) for name in names]
    return [(name, value) for name, value in rows if value is not None]


def _notes(summary):
    return [f"  {summary.note}"] if summary.note else []


def _text(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)
