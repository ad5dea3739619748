"""Time-parallel runs: overlapping chunks of one series as a batch, certified where they meet, or step by step."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from penstock.checks import as_fraction, as_inputs, as_int, as_state
from penstock.matvec import panel_rows
from penstock.system import as_system, raise_diverged

__all__ = ["CertifiedRun", "certified_run", "fast_blocks"]

PROBE = 32  # steps between two looks at how far the past is forgotten
ROUNDING = 32  # times the precision: differences that are left when nothing else is
LEAST_GAIN = 1.15  # expected, below which a run goes step by step
PANELS = 2  # vectors full of chunks at a time: more cost more overlap, fewer feed no matrix product
WIDE_GAIN, LONG = 2.5, 60  # gain of a batch, and overlaps in a run, from which twice as many feed two threads better
FROM_MEMORY = 4.0  # gain of a batch from which weights come from memory
STREAM_BYTES = 2**25  # of states that a stream of blocks holds; four times as much beside weights from memory


@dataclass(frozen=True, eq=False, repr=False)
class CertifiedRun:
    """Hold the states of a run and what certifies them.

    Attributes
    ----------
    states : array, shape (T, n)
        The state after every step.
    n_chunks : int
        Chunks that were run as one batch; 1 for a run step by step.
    overlap : int
        Steps w that every chunk but the first was run ahead of its own beginning, from zero.
    overlap_error : float
        Largest difference between the state from which a chunk goes on and the last state before it, every unit's as a
        fraction of the largest value that it has had; 0.0 for a run step by step. So the states are those of a run that
        is displaced by so much, at most twice per chunk. Where a displacement never grows beyond c times itself and has
        shrunk to q < 1 of itself a chunk's length later, no state is further than about 2 c overlap_error / (1 - q)
        from the run step by step.
    n_sequential : int
        Steps that were run one after the other.
    reason : str
        Why the run went step by step, wholly or in part; empty if it did not.
    """

    states: np.ndarray
    n_chunks: int
    overlap: int
    overlap_error: float
    n_sequential: int
    reason: str = ""

    def __repr__(self):
        T, n = self.states.shape
        how = f"{self.n_chunks} chunks, overlap {self.overlap} steps, overlap error {self.overlap_error:.1e}"
        if self.n_chunks == 1:
            how = "step by step"
        return f"CertifiedRun(n_steps={T}, n_units={n}, {how}{f': {self.reason}' if self.reason else ''})"


def certified_run(system, u, x0=None, *, chunks="auto", overlap=None, tolerance=None) -> CertifiedRun:
    """Run one long series as a batch of overlapping chunks, and certify the states where the chunks meet.

    A system with fading memory forgets where it began. The series is cut into chunks; every chunk but the first begins
    w steps early, from zero, and all advance together: one matrix product per step instead of a matrix-vector product.
    A chunk is accepted if its state at its own beginning is the last state of the chunk before, within `tolerance` for
    every unit; if not, it is run again from there until both agree. What does not agree within the length of a chunk,
    as in a chaotic system, is run step by step: no state is returned that was not certified or computed so.

    Parameters
    ----------
    system : System
        Any system; those gain that run a batch faster than its series one by one.
    u : array, shape (T, m)
        Inputs of one series; (T,) if the system has one input.
    x0 : array, shape (n,), optional
        State before the first step, zero by default.
    chunks : int or "auto", optional
        Number of chunks, of which those shorter than 32 steps are not tried; "auto" for as many as pay for this system
        and length, which may be one.
    overlap : int, optional
        Steps w; by default as many as the system takes, on the first inputs, to forget its start to rounding, and a
        quarter more.
    tolerance : float, optional
        Largest overlap error accepted, as a fraction of the largest value of every unit; by default 1e-12, for float32
        1e-5.

    Returns
    -------
    CertifiedRun
        States and certificate. The same arguments give the same bits, whatever the number of threads.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit, or there are more chunks than steps.
    FloatingPointError
        If a state stops being finite: names the step and the unit.

    Notes
    -----
    Overlaps are found by what rounding leaves, so states differ from those of the run step by step about as much as
    those of two orders of summation do. Inputs that make a forgetful system chaotic for a while amplify either.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.reservoirs import ESN
    >>> esn = ESN.random(50, spectral_radius=0.9, seed=0)
    >>> u = np.random.default_rng(0).uniform(-1, 1, 8000)
    >>> run = certified_run(esn, u, chunks=8)
    >>> run.n_chunks, run.overlap_error < 1e-12, bool(abs(run.states - esn.run(u)).max() < 1e-12)
    (8, True, True)
    >>> chaotic = ESN(3 * esn.W, esn.W_in / 100)
    >>> certified_run(chaotic, u, chunks=8).n_chunks
    1
    """
    system = as_system(system)
    u = as_inputs(u, system.n_inputs, system.dtype)
    if u.ndim != 2:
        raise ValueError(f"u must be one series of shape (T, {system.n_inputs}) to be cut into chunks, got {u.shape}")
    x0 = as_state(x0, system.n_units, None, system.dtype)
    n_chunks = _as_chunks(chunks, len(u))
    if overlap is not None:
        overlap = as_int("overlap", overlap)
    tolerance = _as_tolerance(tolerance, system.dtype)
    return _fill(system, u, x0, np.empty((len(u), system.n_units), system.dtype), n_chunks, overlap, tolerance)


def fast_blocks(system, u, size, x0=None) -> Iterator[np.ndarray]:
    """Yield ``system.blocks(u, size, x0)``, in certified chunks where those pay: what fits and analyses stream."""
    if system._batch_gain < LEAST_GAIN:
        return system.blocks(u, size, x0)
    return system.blocks(u, size, x0, chunks="auto")


def certified_blocks(system, u, size, x, chunks) -> Iterator[np.ndarray]:
    """Yield the states of one checked series in blocks of at most `size` steps, computed in batches of chunks."""
    return _blocks(system, u, size, x, _as_chunks(chunks, len(u)))


def _blocks(system, u, size, x, n_chunks):
    tolerance, overlap = _as_tolerance(None, system.dtype), None
    n_bytes = STREAM_BYTES * (4 if system._batch_gain >= FROM_MEMORY else 1)
    length = max(_rows_that_pay(system) * PROBE, n_bytes // (system.n_units * system.dtype.itemsize))
    buffer = np.empty((min(length, len(u)), system.n_units), system.dtype)
    for start in range(0, len(u), length):
        inputs = u[start : start + length]
        try:
            run = _fill(system, inputs, x, buffer[: len(inputs)], n_chunks, overlap, tolerance)
        except FloatingPointError as error:
            raise FloatingPointError(f"{error} (counted from step {start})") from None
        if 2 * run.n_sequential > len(inputs):  # it will hardly be better in the next part
            n_chunks = 1
        overlap, x = run.overlap, run.states[-1].copy()
        for first in range(0, len(inputs), size):
            yield run.states[first : first + size].copy()


def _as_chunks(chunks, n_steps) -> int | None:
    """Return a number of chunks, None for "auto"."""
    if isinstance(chunks, str) and chunks == "auto":
        return None
    if isinstance(chunks, str):
        raise ValueError(f'chunks must be a number or "auto", got {chunks!r}')
    n_chunks = as_int("chunks", chunks)
    if n_chunks > max(1, n_steps):
        raise ValueError(f"chunks must be at most the number of steps, {n_steps}, got {n_chunks}")
    return n_chunks


def _as_tolerance(tolerance, dtype) -> float:
    if tolerance is None:
        return 1e-12 if dtype == np.float64 else 1e-5
    return as_fraction("tolerance", tolerance)


def _fill(system, u, x, out, n_chunks, overlap, tolerance) -> CertifiedRun:
    """Fill `out` with the states from x on, in n_chunks, None for as many as pay, or step by step."""
    rows = n_chunks or _rows_that_pay(system)
    longest = _longest_overlap(system, len(u) // rows, n_chunks)
    if rows == 1 or longest < PROBE:
        reason = f"chunks of {len(u) // rows} steps are too short" if n_chunks else "chunks do not pay"
        return _step_by_step(system, u, x, out, 0, "" if rows == 1 else reason)
    begin, scale = 0, np.abs(x)
    if overlap is None:
        begin, overlap = _steps_to_forget(system, u, x, out, scale, longest, tolerance)
        if overlap > longest:
            reason = f"the system does not forget its start within {longest} steps"
            return _step_by_step(system, u, x, out, begin, reason)
    if n_chunks is None and system._batch_gain >= WIDE_GAIN and len(u) - begin >= LONG * overlap:
        rows *= 2
    length = (len(u) - begin) // rows
    if overlap > length:
        reason = f"an overlap of {overlap} steps is longer than chunks of {length}"
        return _step_by_step(system, u, x, out, begin, reason)
    end = begin + rows * length
    pieces, x_begin = u[begin:end].reshape(rows, length, system.n_inputs), out[begin - 1] if begin else x
    accepted, error = _run_chunks(system, pieces, x_begin, out[begin:end], scale, overlap, tolerance)
    sequential = begin + accepted * length
    _step_by_step(system, u, x, out, sequential)
    reason = "" if accepted == rows else f"chunks part from step {sequential} on"
    return CertifiedRun(out, max(1, accepted), overlap, error, begin + len(u) - sequential, reason)


def _rows_that_pay(system) -> int:
    return PANELS * panel_rows(system.dtype.itemsize)


def _longest_overlap(system, length, n_chunks) -> int:
    """Return how many steps chunks may overlap: with "auto", as far as it is expected to pay."""
    gain = 2.0 if n_chunks else system._batch_gain / LEAST_GAIN - 1
    return int(length * min(1.0, max(0.0, gain)))


def _step_by_step(system, u, x, out, begin, reason="") -> CertifiedRun:
    """Fill out[begin:], whose state before is x for begin = 0."""
    if begin < len(u):
        _run_or_raise(system, u, x, out, begin, len(u))
    return CertifiedRun(out, 1, 0, 0.0, len(u), reason)


def _run_or_raise(system, u, x, out, begin, end) -> None:
    before = out[begin - 1] if begin else x
    if system._run(u[begin:end], before.copy(), out[begin:end]):
        raise_diverged(out[:end])


def _steps_to_forget(system, u, x, out, scale, longest, tolerance) -> tuple[int, int]:
    """Run the first steps, and beside them the system from zero, until both agree to rounding.

    Returns the steps run and the overlap that they advise, longer than `longest` if that is not enough. Raises the
    `scale` of every unit to the largest value seen.
    """
    aside = np.empty((PROBE, system.n_units), system.dtype)
    floor = ROUNDING * np.finfo(system.dtype).eps
    z, distances = np.zeros_like(x), []
    _run_or_raise(system, u, x, out, 0, PROBE)
    begin = PROBE
    while begin + PROBE <= len(u):
        block = slice(begin, begin + PROBE)
        _run_or_raise(system, u, x, out, begin, begin + PROBE)
        bad, begin = _diverges(system, u[block], z, aside), begin + PROBE
        if bad:
            break
        z = aside[-1].copy()
        np.maximum(scale, np.abs(out[begin - 1]), out=scale)
        distances.append(float(_distances(out[begin - 1], z, scale)))
        steps = PROBE * len(distances)
        still = len(distances) > 1 and distances[-1] > distances[-2] / 2
        if distances[-1] <= floor or (distances[-1] <= tolerance and still):
            return begin, -(-5 * steps // (4 * PROBE)) * PROBE
        if _expected(distances, floor) * PROBE > longest:
            break
    return begin, longest + 1


def _diverges(system, u, x, out) -> bool:
    """Fill `out` from x on, where the run itself may never go; return whether that diverged."""
    try:
        with np.errstate(all="ignore"):
            return system._run(u, x.copy(), out)
    except FloatingPointError:  # a solver that gives up
        return True


def _expected(distances, floor) -> float:
    """Return how many looks it takes until the distance falls to the floor, at the rate since the first of them."""
    if len(distances) < 4:
        return float(len(distances))
    rate = np.log(distances[0] / distances[-1]) / (len(distances) - 1) if distances[0] > 0 else 0.0
    return len(distances) + np.log(distances[-1] / floor) / rate if rate > 0 else float("inf")


def _run_chunks(system, u, x, out, scale, overlap, tolerance) -> tuple[int, float]:
    """Fill out (rows * length, n) by chunks u (rows, length, m); return how many are accepted and their error."""
    rows, length, _ = u.shape
    body = out.reshape(rows, length, -1)
    begins = np.zeros((rows, system.n_units), system.dtype)
    before = np.maximum(np.arange(rows) - 1, 0)  # the first runs ahead for nothing: whole vectors cost less
    if _advance(system, u[before, length - overlap :], begins):
        return 0, 0.0
    begins[0] = x
    if _diverges(system, u, begins, body):
        return 0, 0.0
    inside = np.zeros(rows)
    errors, scales = _boundaries(begins, body, scale)
    apart = np.flatnonzero(~(errors <= tolerance))
    if apart.size:
        begins[apart] = body[apart - 1, -1]
        if _repair(system, u, body, apart, scales, tolerance, inside):
            return int(apart[0]), float(errors[: apart[0]].max())
        errors, _ = _boundaries(begins, body, scale)
        apart = np.flatnonzero(~(errors <= tolerance))
    accepted = int(apart[0]) if apart.size else rows
    return accepted, float(np.maximum(errors, inside)[:accepted].max())


def _boundaries(begins, body, scale) -> tuple[np.ndarray, np.ndarray]:
    """Return how far every chunk begins from the end of the one before, and the scales of the units until then."""
    largest = np.abs(body[:-1, ::PROBE]).max(axis=1)
    scales = np.maximum.accumulate(np.concatenate([scale[None], largest]))
    errors = np.zeros(len(begins))
    errors[1:] = _distances(begins[1:], body[:-1, -1], scales[1:])
    return errors, scales


def _distances(x, y, scale) -> np.ndarray:
    """Return the largest difference of any unit of states (…, n), as a fraction of its scale."""
    with np.errstate(over="ignore", invalid="ignore"):
        return (np.abs(x - y) / np.maximum(scale, np.finfo(scale.dtype).tiny)).max(axis=-1)


def _advance(system, u, x) -> bool:
    """Carry the states x (rows, n) through u (rows, steps, m) in place, without storing them; whether one diverged."""
    aside = np.empty((len(u), PROBE, x.shape[1]), x.dtype)
    for start in range(0, u.shape[1], PROBE):
        inputs = np.ascontiguousarray(u[:, start : start + PROBE])
        states = aside if inputs.shape[1] == PROBE else aside[:, : inputs.shape[1]].copy()
        if _diverges(system, inputs, x, states):
            return True
        x[:] = states[:, -1]
    return False


def _repair(system, u, body, apart, scales, tolerance, errors) -> bool:
    """Run chunks again from the last state of the chunk before until they meet their old states.

    Notes in `errors` (rows,) how far apart they met; a chunk that did not is new to its end. Returns whether one
    diverged.
    """
    x = body[apart - 1, -1]
    for start in range(0, u.shape[1], PROBE):
        steps = slice(start, min(start + PROBE, u.shape[1]))
        old, new = body[apart, steps.stop - 1], np.empty((len(apart), steps.stop - start, x.shape[1]), x.dtype)
        if _diverges(system, u[apart, steps], x, new):
            return True
        body[apart, steps] = new
        distances = _distances(new[:, -1], old, scales[apart])
        left = ~(distances <= tolerance)
        errors[apart[~left]] = distances[~left]
        apart, x = apart[left], new[left, -1]
        if not apart.size:
            break
    return False
