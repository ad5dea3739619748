"""FORCE on spiking networks in compiled loops: neurons in blocks, spikes as events, least squares in blocks of rank B.

Three things make it fast. The states of 64 neurons and their coefficients lie beside each other (rows of a block),
so that a step is one pass of vector instructions. Filtered spikes r and outputs z = φ' r are linear in the spikes:
between two updates they follow from the spikes alone, and so does q = P r, by adding one row of P per spike. And P,
the inverse correlation of n² numbers, is changed once in B updates by one matrix product; in between its B last
terms are kept apart, P = c (P_0 - V' V).
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg
from numba import njit

from penstock.online import ROUNDING
from penstock.progress import track
from penstock.vmath import all_finite

__all__ = ["IZHIKEVICH", "LIF_EULER", "THETA", "Lesson", "simulate", "table"]

IZHIKEVICH, LIF_EULER, THETA = range(3)
"""Kinds of neurons."""

# Rows of a block, as distances: of the states, and of the coefficients. If the neurons are alike, one block of these
# serves all but the last
_WIDTH = np.uint64(64)
_V, _U, _S, _H = (_WIDTH * np.uint64(row) for row in range(4))
_PEAK, _BIAS, _A, _B, _C, _D, _E, _F = (_WIDTH * np.uint64(row) for row in range(8))
_STATES, _COEFFICIENTS = np.uint64(4), np.uint64(8)
# Izhikevich   A dt k / C, B vr, C vt, D dt / C, E dt a, F b
# LIF          A dt / tau_m, B E_L, C tau_m / C_m
# theta        A dt / tau_m
_ZERO, _ONE = np.uint64(0), np.uint64(1)

_RANK = 64
"""Updates between two changes of P."""
_INTERVAL = 128
"""Steps, at most, over which filtered spikes are advanced at once."""
_CHUNK = 2000
"""Steps between two returns to Python, which moves the progress bar."""


class Lesson(NamedTuple):
    """How to learn: in steps `start` to `stop`, every so many steps, from P = P0 times the identity."""

    start: int
    stop: int
    every: int
    P0: float
    normalised: bool
    forgetting: float


def table(peak, bias, coefficients, n) -> np.ndarray:
    """Return the coefficients of n neurons in blocks (n_blocks, 8, 64); only the last two if they are all numbers.

    What fills up the last block stays at 0 and never fires.
    """
    rows = [np.asarray(row, np.float64) for row in (peak, bias, *coefficients)]
    n_blocks = -(-n // 64)
    kept = min(n_blocks, 2) if all(row.ndim == 0 for row in rows) else n_blocks
    blocks = np.zeros((kept, 8, 64))
    blocks[:, 0] = np.inf
    for row, values in enumerate(rows):
        flat = blocks[:, row].ravel()
        flat[: n - 64 * (n_blocks - kept)] = values
        blocks[:, row] = flat.reshape(-1, 64)
    return blocks


def _places(n):
    """Return where the first state of every neuron lies in the flat blocks of states."""
    units = np.arange(n)
    return units // 64 * 256 + units % 64


class Machine:
    """What a run works on: the arrays of the kernel, made from a network and its state."""

    def __init__(self, network, decoder, state):
        n, k = len(decoder), decoder.shape[1]
        self.n, self.k, self.places = n, k, _places(n)
        self.kind, coefficients, ends = network.neuron_table()
        self.cells, self.coefficients = np.zeros(-(-n // 64) * 256), coefficients.reshape(-1)
        by_source = network.W0.tocsc()
        wiring = (by_source.indptr.astype(np.uint64), self.places[by_source.indices].astype(np.uint32), by_source.data)
        fan = np.zeros((k + network.n_inputs, len(self.cells) // 4))
        fan[:k, :n], fan[k:, :n] = network.E.T, network.E_in.T
        gain = 1000.0 / network.rate_unit / (network.tau_r * network.tau_d)
        self.net = (*wiring, fan, self.places.astype(np.uint64), *ends)
        self.powers = _powers(network.dt, network.tau_r, network.tau_d)
        self.numbers = network.dt, gain
        self.phi = np.array(decoder.T, order="C")
        self.r, self.hr, self.z = state[:n].copy(), state[5 * n : 6 * n].copy(), state[6 * n :].copy()
        for row in range(4):
            self.cells[self.places + 64 * row] = state[(1 + row) * n : (2 + row) * n]

    def state(self) -> np.ndarray:
        """Return r, v, u, s, h, hr and z as one vector (6 n + k,)."""
        rows = [self.cells[self.places + 64 * row] for row in range(4)]
        return np.concatenate([self.r, *rows, self.hr, self.z])

    def advance(self, span, teacher, series, log, trace):
        """Advance a stretch of steps in place; return the next step, negative if the network diverged."""
        states = (self.cells, self.r, self.hr, self.z, self.phi)
        rules = (self.numbers, self.powers, self.coefficients)
        return _advance(self.kind, span, self.net, rules, states, teacher, series, log, trace)


def _powers(dt, tau_r, tau_d):
    """Return over m steps: the factors that r and hr keep, and what hr adds to r, (3, interval + 1)."""
    m = np.arange(_INTERVAL + 1)
    keep_r, keep_hr = np.exp(-dt / tau_r) ** m, np.exp(-dt / tau_d) ** m
    added = np.zeros(_INTERVAL + 1)
    for i in range(_INTERVAL):
        added[i + 1] = keep_r[1] * added[i] + dt * keep_hr[i]
    return np.array([keep_r, keep_hr, added])


class _Teacher:
    """Recursive least squares: P is changed once in `_RANK` updates, their terms wait in V, P = scale (P - V' V)."""

    def __init__(self, machine, lesson):
        n = machine.n
        self.P, self.V = np.eye(n) * lesson.P0, np.empty((_RANK, n))
        self.q, self.y = lesson.P0 * machine.r, lesson.P0 * machine.hr  # P r and P hr, without the terms in V
        self.used, self.lesson, self.machine = np.zeros(1, np.int64), lesson, machine
        self.numbers = np.array([1.0, lesson.forgetting, float(lesson.normalised), 0.0])
        self.arrays = (self.P, self.V, self.q, self.y, self.used, self.numbers)

    def flush_if_full(self):
        """Put the terms in V into P once there are `_RANK`; stop forgetting while rounding would destroy P."""
        if self.used[0] < _RANK:
            return
        scale, V, machine = self.numbers[0], self.V, self.machine
        for vector, filtered in ((self.q, machine.r), (self.y, machine.hr)):
            vector[:] = scale * (vector - V.T @ (V @ filtered))
        # P is symmetric: BLAS changes its transpose in place
        scipy.linalg.blas.dgemm(-scale, V.T, V.T, beta=scale, c=self.P.T, trans_b=True, overwrite_c=True)
        self.numbers[0], self.used[0] = 1.0, 0
        if self.lesson.forgetting < 1:
            limit = ROUNDING * (1 - self.lesson.forgetting) * machine.n / max(self.numbers[3], 1e-300)
            self.numbers[1] = self.lesson.forgetting if np.trace(self.P) <= limit else 1.0


_NO_TEACHER = (np.empty((0, 0)), np.empty((0, 0)), np.empty(0), np.empty(0), np.zeros(1, np.int64), np.zeros(4))


class Simulated(NamedTuple):
    """Outputs (T, k), spikes as (step, unit), the state at the end and the decoder (n, k)."""

    output: np.ndarray
    steps: np.ndarray
    units: np.ndarray
    state: np.ndarray
    decoder: np.ndarray


def simulate(network, state, decoder, target, inputs, lesson=None, *, progress=False, trace=None) -> Simulated:
    """Run a network over all rows of `target` (T, k), which only a lesson looks at, and `inputs` (T, m)."""
    machine, n_steps = Machine(network, decoder, state), len(target)
    trace = np.empty((0, 0)) if trace is None else trace
    output, room = np.empty_like(target), machine.n * _INTERVAL + _CHUNK * 64
    log = np.empty(room, np.int64), np.empty(room, np.uint32), np.zeros(1, np.int64)
    teacher: _Teacher | None = None
    spikes: list = []
    for first, stop in track(_stretches(n_steps, lesson), -(-n_steps // _CHUNK), "FORCE", progress):
        arrays, origin, every = _NO_TEACHER, 0, 0
        learning = lesson is not None and lesson.start <= first < lesson.stop
        if lesson is not None and learning:
            teacher = teacher or _Teacher(machine, lesson)
            arrays, origin, every = teacher.arrays, lesson.start, lesson.every
        while first < stop:
            span = (first, stop, origin, every)
            first = machine.advance(span, arrays, (target, inputs, output), log, trace)
            if first < 0:
                raise FloatingPointError(
                    f"the network diverged at {-network.dt * first:.6g} ms: lower G or Q; "
                    "if it was learning, lower P0 or raise forgetting"
                )
            spikes.append([part[: log[2][0]].copy() for part in log[:2]])
            if learning and teacher is not None:
                teacher.flush_if_full()
    at, units = (np.concatenate([pair[i] for pair in spikes] or [log[i][:0]]) for i in range(2))
    end = machine.state()
    if not np.isfinite(end).all():
        raise FloatingPointError(f"the network diverged before {network.dt * n_steps:.6g} ms: lower G or dt")
    return Simulated(output, at, units, end, machine.phi.T.copy())


def _stretches(n_steps, lesson):
    """Return (first, stop) of stretches of at most a chunk, cut where learning begins and ends."""
    phases = () if lesson is None else (lesson.start, lesson.stop)
    cuts = sorted({*range(0, n_steps, _CHUNK), n_steps, *phases})
    return list(zip(cuts[:-1], cuts[1:], strict=True))


# --- kernels --------------------------------------------------------------------------------------------------------

_split_sums = njit(error_model="numpy", fastmath={"reassoc", "nsz", "contract"})
_fused = njit(error_model="numpy", fastmath={"contract"})


@njit(cache=True, nogil=True, error_model="numpy")
def _advance(kind, span, net, rules, states, teacher, series, log, trace):
    """Advance from step span[0] to span[1] or until V or the log is full; return the next step, < 0 if it diverged.

    Updates fall on the steps span[2] + a multiple of span[3]; none if that is 0.
    """
    first, stop, origin, every = span
    fan, places = net[3], net[4]
    cells, r, hr, z, phi = states
    target, inputs, output = series
    at, units, counted = log
    (dt, gain), powers = rules[0], rules[1]
    keep = powers[0, 1]
    n, k = r.size, len(phi)
    fed, drive, z_r, z_hr, row = np.zeros(len(fan)), np.empty(64), np.empty(k), np.empty(k), np.empty(n)
    longest = 1 if trace.shape[0] else _INTERVAL
    counted[0], t = 0, first
    while t < stop and counted[0] + n * longest <= at.size:
        due = origin + (t - origin + every - 1) // every * every if every else stop
        end, began, logged = min(t + longest, stop, due + 1), t, counted[0]
        _decode(phi, r, z_r)
        _decode(phi, hr, z_hr)
        fade = 1.0
        while t < end:
            for c in range(k):
                fed[c] = z[c]
            for c in range(inputs.shape[1]):
                fed[k + c] = inputs[t, c]
            spiking = counted[0]
            counted[0] = _step(kind, cells, rules[2], fan, fed, drive, keep, fade * dt, units, spiking, n)
            fade *= powers[1, 1]
            for c in range(k):
                z_r[c] = keep * z_r[c] + dt * z_hr[c]
                z_hr[c] *= powers[1, 1]
                z[c] = output[t, c] = z_r[c]
            for a in range(spiking, counted[0]):
                at[a] = t
                _fire(kind, cells, net, units[a], gain / fade)
                for c in range(k):
                    z_hr[c] += gain * phi[c, units[a]]
            t += 1
        for i in range(places.size):
            cells[places[i] + _H] *= fade
        m = t - began
        _advance_filtered(r, hr, powers, m)
        for a in range(logged, counted[0]):
            left = t - 1 - at[a]
            r[units[a]] += gain * powers[2, left]
            hr[units[a]] += gain * powers[1, left]
        if every:
            _advance_products(teacher, powers, m, gain, at, units, logged, counted[0], t)
            if due < t and not _learn(teacher, r, phi, z, target[due], row):
                return t
        if not all_finite(z):
            return -t
        if trace.shape[0]:
            _note(trace[began], states, places)
    return t


@_fused
def _step(kind, cells, coefficients, fan, fed, drive, keep, add, units, count, n):
    """Advance all membranes and currents by one step; log who fires; return the number of logged spikes."""
    block, size = _COEFFICIENTS * _WIDTH, np.uint64(n)
    apart, last = block if coefficients.size > 2 * 8 * 64 else _ZERO, np.uint64(coefficients.size) - block
    start, rule, unit = _ZERO, _ZERO, _ZERO
    while unit < size:
        if unit + _WIDTH >= size:
            rule = last
        weights, factor = fan[0], fed[0]
        for i in range(_WIDTH):
            drive[i] = weights[unit + i] * factor
        for c in range(1, fed.size):
            if fed[c] != 0:
                weights, factor = fan[c], fed[c]
                for i in range(_WIDTH):
                    drive[i] += weights[unit + i] * factor
        if kind == IZHIKEVICH:
            fired = _izhikevich(cells, start, coefficients, rule, drive, keep, add)
        elif kind == LIF_EULER:
            fired = _lif(cells, start, coefficients, rule, drive, keep, add)
        else:
            fired = _theta(cells, start, coefficients, rule, drive, keep, add)
        if fired > 0:
            for i in range(min(_WIDTH, size - unit)):
                if cells[start + i] >= coefficients[rule + i + _PEAK]:
                    units[count] = unit + i
                    count += 1
        start, rule, unit = start + _STATES * _WIDTH, rule + apart, unit + _WIDTH
    return count


@_fused
def _izhikevich(cells, start, coefficients, rule, drive, keep, add):
    fired = 0
    for i in range(_WIDTH):
        a, c = start + i, rule + i
        v, u, s = cells[a], cells[a + _U], cells[a + _S]
        from_rest = v - coefficients[c + _B]
        current = s + drive[i] + coefficients[c + _BIAS] - u
        bend = coefficients[c + _A] * from_rest * (v - coefficients[c + _C])
        new = v + bend + coefficients[c + _D] * current
        cells[a] = new
        cells[a + _U] = u + coefficients[c + _E] * (coefficients[c + _F] * from_rest - u)
        cells[a + _S] = keep * s + add * cells[a + _H]
        fired += 1 if new >= coefficients[c + _PEAK] else 0
    return fired


@_fused
def _lif(cells, start, coefficients, rule, drive, keep, add):
    """Where u counts the steps for which v is still held."""
    fired = 0
    for i in range(_WIDTH):
        a, c = start + i, rule + i
        v, u, s = cells[a], cells[a + _U], cells[a + _S]
        rest = coefficients[c + _B] + coefficients[c + _C] * (s + drive[i] + coefficients[c + _BIAS])
        new = v if u > 0 else v + coefficients[c + _A] * (rest - v)
        cells[a] = new
        cells[a + _U] = u - 1.0 if u > 1 else 0.0
        cells[a + _S] = keep * s + add * cells[a + _H]
        fired += 1 if new >= coefficients[c + _PEAK] else 0
    return fired


@_fused
def _theta(cells, start, coefficients, rule, drive, keep, add):
    """With 1 - cos v = 2 sin²(v / 2); the series of sin is exact to rounding on half a turn."""
    fired = 0
    for i in range(_WIDTH):
        a, c = start + i, rule + i
        v, s = cells[a], cells[a + _S]
        x = (v - np.rint(v * (0.5 / np.pi)) * (2 * np.pi)) * 0.5
        y = x * x
        p = -1.0 / 25852016738884976640000.0 * y + 1.0 / 51090942171709440000.0
        p = p * y - 1.0 / 121645100408832000.0
        p = p * y + 1.0 / 355687428096000.0
        p = p * y - 1.0 / 1307674368000.0
        p = p * y + 1.0 / 6227020800.0
        p = p * y - 1.0 / 39916800.0
        p = p * y + 1.0 / 362880.0
        p = p * y - 1.0 / 5040.0
        p = p * y + 1.0 / 120.0
        p = p * y - 1.0 / 6.0
        sine = x + x * y * p
        rising = 2.0 * sine * sine
        current = s + drive[i] + coefficients[c + _BIAS]
        new = v + coefficients[c + _A] * (rising + (2.0 - rising) * (np.pi * np.pi) * current)
        cells[a] = new
        cells[a + _S] = keep * s + add * cells[a + _H]
        fired += 1 if new >= coefficients[c + _PEAK] else 0
    return fired


@njit(error_model="numpy")
def _fire(kind, cells, net, unit, size):
    """Reset a neuron and add its weights, times `size`, to h of its targets."""
    indptr, targets, weights, _, places, resets, jumps = net
    place = places[unit]
    cells[place] = resets[unit]
    cells[place + _U] = jumps[unit] + (cells[place + _U] if kind == IZHIKEVICH else 0.0)
    for edge in range(indptr[unit], indptr[unit + _ONE]):
        cells[targets[edge] + _H] += size * weights[edge]


@_split_sums
def _dot(a, b):
    s = 0.0
    for i in range(a.size):
        s += a[i] * b[i]
    return s


@njit(error_model="numpy")
def _decode(phi, filtered, out):
    for c in range(len(phi)):
        out[c] = _dot(phi[c], filtered)


@_fused
def _advance_filtered(r, hr, powers, m):
    keep_r, keep_hr, added = powers[0, m], powers[1, m], powers[2, m]
    for i in range(r.size):
        r[i] = keep_r * r[i] + added * hr[i]
        hr[i] *= keep_hr


@_fused
def _advance_products(teacher, powers, m, gain, at, units, first, last, t):
    """Let q = P r and y = P hr follow r and hr over m steps: a row of P per spike."""
    P, _, q, y, _, _ = teacher
    _advance_filtered(q, y, powers, m)
    for a in range(first, last):
        left = t - 1 - at[a]
        to_q, to_y, row = gain * powers[2, left], gain * powers[1, left], P[units[a]]
        for i in range(q.size):
            q[i] += to_q * row[i]
            y[i] += to_y * row[i]


@_fused
def _learn(teacher, r, phi, z, target, k):
    """Update the decoder, and note the change of P in V; return whether V has room for another."""
    _, V, q, _, used, rules = teacher
    scale, forgetting = rules[0], rules[1]
    for i in range(k.size):
        k[i] = q[i]
    for b in range(used[0]):
        v, part = V[b], _dot(V[b], r)
        for i in range(k.size):
            k[i] -= part * v[i]
    for i in range(k.size):
        k[i] *= scale
    size = forgetting + _dot(r, k)
    for c in range(len(phi)):
        step = (z[c] - target[c]) / (size if rules[2] else 1.0)
        for i in range(k.size):
            phi[c, i] -= step * k[i]
    root, v = 1.0 / np.sqrt(scale * size), V[used[0]]
    for i in range(k.size):
        v[i] = root * k[i]
    rules[0], rules[3] = scale / forgetting, max(rules[3], _dot(r, r))
    used[0] += 1
    return used[0] < len(V)


@njit(error_model="numpy")
def _note(out, states, places):
    """Write the whole state."""
    cells, r, hr, z, _ = states
    n = r.size
    for i in range(n):
        out[i], out[5 * n + i] = r[i], hr[i]
        for row in range(4):
            out[(1 + row) * n + i] = cells[places[i] + np.uint64(row) * _WIDTH]
    for c in range(z.size):
        out[6 * n + c] = z[c]
