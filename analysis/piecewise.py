"""Exact fixed points and cycles of piecewise-linear networks x' = A x + B relu(C x + d) + h, from their regions."""

import numpy as np

from penstock.analysis.periodic import PeriodicOrbits, make_orbits
from penstock.analysis.roots import EPS, Pieces, Root, Shooting, Starts, frozen_inputs, trajectories
from penstock.checks import as_int, seed_sequence
from penstock.progress import track
from penstock.system import System, as_system
from penstock.threads import one_blas_thread

__all__ = ["piecewise_linear_cycles", "search_piecewise_linear_cycles"]

N_STARTS = 4096
CHUNK_ENTRIES = 2**20  # matrix entries held at once
SINGULAR = 1e12  # condition number of I - F above which a region sequence is left undecided


@one_blas_thread
def piecewise_linear_cycles(
    system: System,
    period: int,
    u=None,
    *,
    max_sequences: int = 2**22,
    progress: bool = True,
) -> PeriodicOrbits:
    """Enumerate all cycles of prime period k of a piecewise-linear network: every region sequence is solved exactly.

    In a sequence of regions the network is affine, x_{i+1} = (A + B D_i C) x_i + B D_i d + h with D_i the components
    that are on, and one linear system gives the candidate. It is a cycle if and only if it visits the regions assumed.
    With P rectified components there are 2^(P k) sequences, of which one per rotation is solved; period 1 gives all
    fixed points.

    Parameters
    ----------
    system : System
        A network that offers ``piecewise_linear(u)``, the arrays (A, B, C, d, h) of
        x' = A x + B relu(C x + d) + h at frozen input, or whose `lure_blocks` are that with d = 0.
    period : int
        Prime period k.
    u : float or array, shape (m,), optional
        Frozen input, zero by default.
    max_sequences : int
        Refuse beyond so many sequences.
    progress : bool
        Whether a bar appears when the enumeration takes longer than two seconds.

    Returns
    -------
    PeriodicOrbits
        With `regions` (K, k, P) and `complete`: False if a linear system was singular to rounding, in which case
        a continuum of cycles may have been missed.

    Raises
    ------
    ValueError, TypeError
        If the system is not piecewise linear or there are too many sequences.

    References
    ----------
    L. Eisenmann, Z. Monfared, N. Göring, D. Durstewitz, Bifurcations and loss jumps in RNN training, NeurIPS (2023).

    Examples
    --------
    >>> from penstock.reservoirs import PLRNN
    >>> plrnn = PLRNN([-0.0222311, 0.96461297], [[0, -0.64375], [0.52505308, 0]], [0.37298253, -0.97931491])
    >>> piecewise_linear_cycles(plrnn, 1).orbits.round(6)
    array([[[  0.364871, -22.260649]]])
    >>> len(piecewise_linear_cycles(plrnn, 3))
    0
    """
    system, period = as_system(system), as_int("period", period)
    pieces, shooting = _prepare(system, period, u)
    P, max_sequences = len(pieces.d), as_int("max_sequences", max_sequences)
    if P * period > np.log2(max_sequences):
        raise ValueError(
            f"max_sequences must be at least 2^{P * period} for {P} rectified components and period {period}, got "
            f"{max_sequences}; search with search_piecewise_linear_cycles"
        )
    found = _Found(shooting, pieces)
    size, total = _chunk(period, P, len(pieces.A)), 2 ** (P * period)
    for start in track(range(0, total, size), -(-total // size), "region sequences", progress):
        codes = np.arange(start, min(start + size, total))
        found.add(_unpack(codes[_is_first_rotation(codes, period, P)], period, P))
    complete = found.n_singular == 0
    return found.collect(Starts(total, len(found.roots), 0, total - len(found.roots)), complete)


@one_blas_thread
def search_piecewise_linear_cycles(
    system: System,
    period: int,
    u=None,
    *,
    n_starts: int = N_STARTS,
    max_iterations: int = 50,
    seed: int | np.random.SeedSequence = 0,
    progress: bool = True,
) -> PeriodicOrbits:
    """Search cycles of prime period k of a piecewise-linear network with too many region sequences to enumerate.

    From many region sequences, half of them seen on trajectories and half drawn from the regions these visit: solve
    for the candidate of the sequence; if it does not visit the regions assumed, go on with those it does visit.
    Every cycle returned is exact, but others may exist.

    Parameters
    ----------
    system, period, u, progress
        As in `piecewise_linear_cycles`.
    n_starts : int
        Region sequences to start from.
    max_iterations : int
        Changes of sequence per start.
    seed : int or numpy.random.SeedSequence
        Of the starts.

    Returns
    -------
    PeriodicOrbits
        With `regions` (K, k, P); `complete` is False.

    References
    ----------
    L. Eisenmann, Z. Monfared, N. Göring, D. Durstewitz, Bifurcations and loss jumps in RNN training, NeurIPS (2023).

    Examples
    --------
    >>> from penstock.reservoirs import PLRNN
    >>> plrnn = PLRNN([0.8377689, 0.96461297], [[0, -0.64375], [0.52505308, 0]], [0.37298253, -0.97931491])
    >>> len(search_piecewise_linear_cycles(plrnn, 16, n_starts=500))
    2
    """
    system, period = as_system(system), as_int("period", period)
    pieces, shooting = _prepare(system, period, u)
    n_starts, max_iterations = as_int("n_starts", n_starts), as_int("max_iterations", max_iterations)
    rng = np.random.default_rng(seed_sequence(seed))
    found = _Found(shooting, pieces)
    sequences, done = _start_sequences(shooting, pieces, n_starts, rng), 0
    for _ in track(range(max_iterations), max_iterations, "region sequences", progress):
        visited, solved = found.add(sequences)
        done += int(solved.sum())
        sequences = np.unique(visited[~solved], axis=0)
        if not len(sequences):
            break
    counts = Starts(n_starts, min(done, n_starts), 0, max(n_starts - done, 0))
    return found.collect(counts, complete=False)


# The form


def _prepare(system, period, u) -> tuple[Pieces, Shooting]:
    inputs = frozen_inputs(system, u)
    if len(inputs) != 1:
        raise ValueError(f"u must be one frozen input of shape ({system.n_inputs},), got {inputs.shape}")
    shooting = Shooting(system, np.repeat(inputs, period, axis=0))
    if shooting.pieces is None:
        raise TypeError(
            f"system must be piecewise linear, got {system!r}; give it a method piecewise_linear(u) that returns the "
            "arrays (A, B, C, d, h) of x' = A x + B relu(C x + d) + h"
        )
    return shooting.pieces, shooting


# Region sequences


def _chunk(period, P, n):
    return max(1, CHUNK_ENTRIES // max(1, n * n + period * (P + n)))


def _unpack(codes, period, P):
    """Bits of the codes as region sequences: (S,) -> (S, k, P)."""
    bits = (codes[:, None] >> np.arange(period * P, dtype=codes.dtype)) & 1
    return bits.reshape(-1, period, P).astype(bool)


def _is_first_rotation(codes, period, P):
    """Whether a code is smaller than all its rotations: one per cycle, and none that repeats a shorter one."""
    first, mask, turned = np.ones(len(codes), bool), 2 ** (P * period) - 1, codes
    for _ in range(period - 1):
        turned = ((turned << P) | (turned >> (P * (period - 1)))) & mask
        first &= codes < turned
    return first


def _start_sequences(shooting, pieces, n_starts, rng):
    """(S, k, P): pieces of trajectories, and sequences drawn from the regions visited or met by scattered states."""
    paths, p = trajectories(shooting, rng), shooting.period
    first = np.argwhere(np.isfinite(paths[:, p - 1 :, 0]))
    b, t = first[rng.integers(len(first), size=n_starts // 2)].T
    seen = pieces.regions(paths[b[:, None], t[:, None] + np.arange(p)])
    flat = paths[np.isfinite(paths[..., 0])]
    scattered = flat.std(axis=0) * rng.standard_normal((len(flat), flat.shape[1])) * 10.0 ** rng.uniform(-1, 1)
    pool = np.unique(pieces.regions(np.concatenate([flat, scattered])), axis=0)
    drawn = pool[rng.integers(len(pool), size=(n_starts - n_starts // 2, p))]
    return np.unique(np.concatenate([seen, drawn]), axis=0)


# Candidates


class _Found:
    """Cycles found so far, by the regions they visit."""

    def __init__(self, shooting, pieces):
        self.shooting, self.pieces = shooting, pieces
        self.roots: list[Root] = []
        self.regions: dict[bytes, np.ndarray] = {}
        self.edges: list[np.ndarray] = []  # cycles that touch a border, which several sequences give
        self.n_singular = self.n_shorter = 0

    def add(self, sequences):
        """Solve sequences (S, k, P), keep the real cycles; return the regions visited and which were real."""
        period, P = sequences.shape[1:]
        size = _chunk(period, P, len(self.pieces.A))
        visited, real = [sequences[:0]], [np.zeros(0, bool)]
        for start in range(0, len(sequences), size):
            part = sequences[start : start + size]
            X, inverse_norm, regular = _candidates(self.pieces, part)
            self.n_singular += int((~regular).sum())
            outputs = X @ self.pieces.C.T + self.pieces.d
            edge = 64 * EPS * inverse_norm[:, None, None] * _scale(self.pieces, X)[:, None, None]
            on = outputs > 0
            agrees = ((on == part) | (np.abs(outputs) <= edge)).all(axis=(1, 2)) & regular
            for i in np.flatnonzero(agrees):
                self._keep(X[i], part[i], float(inverse_norm[i]), bool((np.abs(outputs[i]) <= edge[i]).any()))
            visited.append(np.where(regular[:, None, None], on, part))
            real.append(agrees | ~regular)
        return np.concatenate(visited), np.concatenate(real)

    def _keep(self, X, regions, inverse_norm, touches):
        period = len(X)
        key = min(np.packbits(np.roll(regions, -k, axis=0)).tobytes() for k in range(period))
        if key in self.regions or (touches and any(_same_cycle(X, other) for other in self.edges)):
            return
        if any(_closes(X, k) for k in range(1, period) if period % k == 0):
            self.regions[key] = regions
            self.n_shorter += 1
            self.roots.append(_SHORTER)
            return
        if touches:
            self.edges.append(X)
        z = X.ravel()
        residual = float(np.linalg.norm(self.shooting.residual(z)))
        error = inverse_norm * (residual + 4 * EPS * _scale(self.pieces, X[None])[0])
        self.regions[key] = regions
        self.roots.append(Root(z, residual, inverse_norm, not touches, error, error, 0))

    def collect(self, starts, complete):
        pairs = [(root, on) for root, on in zip(self.roots, self.regions.values(), strict=True) if root is not _SHORTER]
        P = len(self.pieces.d)
        regions = np.array([on for _, on in pairs], bool).reshape(-1, self.shooting.period, P)
        roots = [root for root, _ in pairs]
        return make_orbits(self.shooting, roots, starts, self.n_shorter, 1e-12, regions, complete)


_SHORTER = Root(np.empty(0), 0.0, 0.0, False, 0.0, 0.0, 0)


def _candidates(pieces, sequences):
    """Solve z = F z + c of every sequence; return orbits (S, k, n), ‖(I - F)^-1‖ and whether I - F is regular."""
    A, B, C, d, h = pieces
    count, period, _ = sequences.shape
    n = len(A)
    F, c = np.tile(np.eye(n), (count, 1, 1)), np.zeros((count, n))
    for k in range(period):
        BD = B * sequences[:, k, None, :]
        M = A + BD @ C
        F, c = M @ F, np.einsum("sij,sj->si", M, c) + BD @ d + h
    gap = np.eye(n) - F
    values = np.linalg.svd(gap, compute_uv=False)
    regular = values[:, -1] * SINGULAR > np.maximum(values[:, 0], 1.0)
    gap[~regular] = np.eye(n)
    X = np.empty((count, period, n))
    X[:, 0] = np.linalg.solve(gap, c[..., None])[..., 0]
    for k in range(period - 1):  # the orbit of the affine pieces assumed, which is that of the network if it is real
        on = sequences[:, k] * (X[:, k] @ C.T + d)
        X[:, k + 1] = X[:, k] @ A.T + on @ B.T + h
    return X, 1 / np.maximum(values[:, -1], 1e-300), regular


def _scale(pieces, X):
    """Size of the terms that cancel at a border, for every orbit of (S, k, n)."""
    size = np.linalg.norm(X, axis=2).max(axis=1) * np.linalg.norm(pieces.C, 2)
    return size + np.abs(pieces.d).max(initial=0.0) + np.abs(pieces.h).max(initial=0.0)


def _closes(X, k):
    return np.linalg.norm(np.roll(X, -k, axis=0) - X) <= 1e-9 * np.linalg.norm(X)


def _same_cycle(X, other):
    return any(np.linalg.norm(np.roll(X, -k, axis=0) - other) <= 1e-9 * np.linalg.norm(other) for k in range(len(X)))
