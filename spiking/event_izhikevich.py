"""Networks of quadratic neurons with recovery (Izhikevich) from spike to spike, with their tangents."""

from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit

from penstock.checks import as_int, as_matrix, as_positive_float
from penstock.spiking.events import EventSystem, as_parameters, demand, described, set_fields

__all__ = ["EventIzhikevich"]

Parameter = Any  # a number, or an array of one per neuron


@dataclass(frozen=True, eq=False, repr=False)
class EventIzhikevich(EventSystem):
    """Run a network of Izhikevich neurons whose spikes are located in time, not counted on a grid.

    dv/dt = p2 v^2 + p1 v + p0 + (I + W_in u + s - w) / C and dw/dt = a (b (v - v_w) - w); a spike at v_peak sets v to
    c, adds d to w (the recovery, called u in the papers) and sends W[j, i] to every neuron j: a jump of v_j (mV)
    without `tau_syn`, of the current s_j with it, ds/dt = -s / tau_syn. The state is [v, w] or [v, w, s]. The defaults
    are the equation of 2003, in which currents count in mV/ms; `form_2007` makes the one with units.

    Between spikes classical Runge-Kutta steps of at most `h` are taken; a spike is located by bisection of the length
    of such a step, and of pulses only those that receive them feel a shorter one. The tangents are those of the steps,
    with the saltation matrix S = Dg + (F_after - Dg F_before) e_i^T / F_i of every spike. Both belong to the flow but
    for errors of order h^4. Pulses that lift others over v_peak make a cascade as in `EventLIF`.

    Parameters
    ----------
    W : array or sparse array, shape (N, N)
        Recurrent weights, W[j, i] from neuron i to neuron j: mV, or the unit of I with `tau_syn`.
    a, b, c, d : float or array, shape (N,)
        Rate (1/ms) and sensitivity of w, reset of v (mV, below v_peak), jump of w.
    I : float or array, shape (N,)
        Constant current.
    v_peak : float or array, shape (N,)
        Potential of a spike (mV).
    p2, p1, p0, v_w, C : float or array, shape (N,)
        Coefficients of dv/dt, the potential at which w rests at 0 (mV), and the capacitance.
    W_in : array, shape (N, m), optional
        Input weights; None for an autonomous network.
    tau_syn : float or array, shape (N,), optional
        Time constant of the synaptic current of each neuron (ms); None for delta pulses.
    h : float
        Longest Runge-Kutta step (ms).
    dt : float
        Time of one step (ms), over which inputs are constant.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit or a number lies outside its range.
    FloatingPointError
        If a cascade never ends; in tangents, if a potential meets v_peak with slope 0.

    References
    ----------
    E. M. Izhikevich, Simple model of spiking neurons, IEEE Trans. Neural Networks 14, 1569 (2003). F. Bizzarri,
    A. Brambilla, G. Storti Gajani, Lyapunov exponents computation for hybrid neurons, J. Comput. Neurosci. 35 (2013).

    Examples
    --------
    A regular spiking neuron has a limit cycle: one exponent is zero, the other tells how fast the cycle attracts.

    >>> from penstock.analysis import lyapunov_spectrum
    >>> from penstock.spiking import EventIzhikevich
    >>> cell = EventIzhikevich([[0.0]], a=0.02, b=0.2, c=-65.0, d=8.0, I=10.0)
    >>> exponents = lyapunov_spectrum(cell, n_steps=2000).exponents
    >>> bool(abs(exponents[0]) < 1e-2), bool(exponents[1] < -0.02)
    (True, True)
    """

    W: np.ndarray
    _: KW_ONLY
    a: Parameter = 0.02
    b: Parameter = 0.2
    c: Parameter = -65.0
    d: Parameter = 8.0
    I: Parameter = 0.0  # noqa: E741
    v_peak: Parameter = 30.0
    p2: Parameter = 0.04
    p1: Parameter = 5.0
    p0: Parameter = 140.0
    v_w: Parameter = 0.0
    C: Parameter = 1.0
    W_in: Any = None  # array (n, m) or None
    tau_syn: Parameter | None = None
    h: float = 0.01
    dt: float = 1.0

    def __post_init__(self):
        W = as_matrix("W", self.W, (None, None), np.float64)
        n = as_int("the number of neurons", W.shape[0])
        if W.shape != (n, n):
            raise ValueError(f"W must have shape ({n}, {n}), got {W.shape}")
        W_in = np.zeros((n, 0)) if self.W_in is None else self.W_in
        names = ("a", "b", "c", "d", "I", "v_peak", "p2", "p1", "p0", "v_w", "C")
        given = {name: getattr(self, name) for name in names}
        if self.tau_syn is not None:
            given["tau_syn"] = self.tau_syn
        cells = as_parameters(n, **given)
        for name in {"p2", "C", "tau_syn"} & cells.keys():
            demand(name, cells[name], cells[name] > 0, "above 0")
        demand("c", cells["c"], cells["c"] < cells["v_peak"], "below v_peak")
        W_in = as_matrix("W_in", W_in, (n, None), np.float64)
        h, dt = as_positive_float("h", self.h), as_positive_float("dt", self.dt)
        set_fields(self, W=W, W_in=W_in, h=h, dt=dt, **cells)
        lowest = -self.p1 / (2 * self.p2)  # of the parabola: all between there and c part in time
        start = np.zeros(self.n_units)
        start[:n] = self.c + (np.arange(n) + 0.5) / n * (lowest - self.c)
        start[n : 2 * n] = self.b * (start[:n] - self.v_w)
        set_fields(self, start=start)

    @classmethod
    def form_2007(cls, W, *, C, k, vr, vt, a, b, c, d, v_peak, I=0.0, **others):  # noqa: E741
        """Return neurons of the form of 2007, C dv/dt = k (v - vr) (v - vt) - w + I and dw/dt = a (b (v - vr) - w).

        Parameters
        ----------
        W : array or sparse array, shape (N, N)
            Recurrent weights: mV, or pA with `tau_syn`.
        C, k, vr, vt, a, b, c, d, v_peak, I : float or array, shape (N,)
            Capacitance (pF), gain (nS/mV), rest and threshold (mV), rate (1/ms), sensitivity (nS), reset (mV), jump
            (pA), peak (mV), current (pA).
        **others
            W_in, tau_syn, h and dt.
        """
        W = as_matrix("W", W, (None, None), np.float64)
        cell = as_parameters(W.shape[0], C=C, k=k, vr=vr, vt=vt)
        for name in ("C", "k"):
            demand(name, cell[name], cell[name] > 0, "above 0")
        C, vr, vt, p2 = cell["C"], cell["vr"], cell["vt"], cell["k"] / cell["C"]
        square = {"p2": p2, "p1": -p2 * (vr + vt), "p0": p2 * vr * vt, "v_w": vr, "C": C}
        return cls(W, a=a, b=b, c=c, d=d, I=I, v_peak=v_peak, **square, **others)

    @property
    def n_units(self) -> int:
        """Dimension of the state: 2 N, or 3 N with `tau_syn`."""
        return (2 if self.tau_syn is None else 3) * self.n_neurons

    def __repr__(self):
        synapses = "delta pulses" if self.tau_syn is None else f"tau_syn={described(self.tau_syn)}"
        cells = ", ".join(f"{name}={described(getattr(self, name))}" for name in "abcd")
        return (
            f"EventIzhikevich(n_neurons={self.n_neurons}, n_inputs={self.n_inputs}, {synapses}, {cells}, "
            f"h={self.h:g}, dt={self.dt:g})"
        )

    @cached_property
    def _fields(self):
        rate = np.zeros(self.n_neurons) if self.tau_syn is None else 1 / self.tau_syn
        cells = (self.p2, self.p1, self.p0, 1 / self.C, self.a, self.b, self.v_w, rate, self.c, self.d, self.v_peak)
        n_parts = int(np.ceil(self.dt / self.h - 1e-9))
        # copies: arrays read from a file may be written to, which to a kernel is another type
        return self._columns, np.stack(cells), np.array(self.W_in), np.array(self.I), n_parts, float(self.dt)

    def _advance(self, u, x, V, dU, out, tape, log, ending):
        _advance(self._fields, u, x, V, dU, out, tape, log, ending)


# --- kernels --------------------------------------------------------------------------------------------------------
# Rows of the table of parameters; GAIN is 1 / C, RATE 1 / tau_syn or 0.
P2, P1, P0, GAIN, A, B, V_W, RATE, C, D, PEAK = range(11)
# Rows of Y (12, N), a step under way: potential, recovery and synaptic current of each neuron at its own time NOW, the
# same at the end of the Runge-Kutta step (AHEAD) and their slopes before a spike (BEFORE).
V, W, S, DRIVE, NOW, DUE, AHEAD, BEFORE = 0, 1, 2, 3, 4, 5, 6, 9
# T (4, N, k): tangents of V, W, S, DRIVE as they were when `small` (N, 4, 3) was last the identity: since then the
# tangent small[i, c] has grown from the unit vector along V, W, S or from a unit of drive.
# Rows of `lists`: the neurons touched by a cascade, those of its present generation, and by neuron: 0 not touched,
# 1 touched, 2 has forgotten its potential.
TOUCHED, FIRING, MARK = range(3)
STATUS, STEP, UNIT, COUNT = range(4)  # of `ending`, COUNT of spikes


@njit(cache=True, nogil=True, error_model="numpy")
def _slopes(cells, i, v, w, s, drive):
    """Return the time derivatives of potential, recovery and current."""
    dv = (cells[P2, i] * v + cells[P1, i]) * v + cells[P0, i] + cells[GAIN, i] * (drive + s - w)
    return dv, cells[A, i] * (cells[B, i] * (v - cells[V_W, i]) - w), -cells[RATE, i] * s


@njit(cache=True, nogil=True, error_model="numpy")
def _flow(cells, i, v, w, s, drive, h):
    """Return the state of neuron i one classical Runge-Kutta step later."""
    half = 0.5 * h
    v1, w1, s1 = _slopes(cells, i, v, w, s, drive)
    v2, w2, s2 = _slopes(cells, i, v + half * v1, w + half * w1, s + half * s1, drive)
    v3, w3, s3 = _slopes(cells, i, v + half * v2, w + half * w2, s + half * s2, drive)
    v4, w4, s4 = _slopes(cells, i, v + h * v3, w + h * w3, s + h * s3, drive)
    v += h / 6 * (v1 + 2 * v2 + 2 * v3 + v4)
    w += h / 6 * (w1 + 2 * w2 + 2 * w3 + w4)
    return v, w, s + h / 6 * (s1 + 2 * s2 + 2 * s3 + s4)


@njit(cache=True, nogil=True, error_model="numpy")
def _carry(cells, Y, small, i, h):
    """Carry the tangents small[i] through that step from the state in Y."""
    g, a, b, rate, half = cells[GAIN, i], cells[A, i], cells[B, i], cells[RATE, i], 0.5 * h
    v, w, s, drive = Y[V, i], Y[W, i], Y[S, i], Y[DRIVE, i]
    v1, w1, s1 = _slopes(cells, i, v, w, s, drive)
    v2, w2, s2 = _slopes(cells, i, v + half * v1, w + half * w1, s + half * s1, drive)
    v3 = _slopes(cells, i, v + half * v2, w + half * w2, s + half * s2, drive)[0]
    bend, at_0 = 2 * cells[P2, i], 2 * cells[P2, i] * v + cells[P1, i]
    for c in range(4):
        dv, dw, ds = small[i, c, 0], small[i, c, 1], small[i, c, 2]
        push = g if c == 3 else 0.0
        x, y, z, slope, weight, reach = dv, dw, ds, at_0, h / 6, half
        for stage in range(4):
            kv, kw, ks = slope * x + g * (z - y) + push, a * (b * x - y), -rate * z
            small[i, c, 0] += weight * kv
            small[i, c, 1] += weight * kw
            small[i, c, 2] += weight * ks
            x, y, z = dv + reach * kv, dw + reach * kw, ds + reach * ks
            slope = at_0 + bend * (half * v1 if stage == 0 else half * v2 if stage == 1 else h * v3)
            weight, reach = h / 6 if stage == 2 else h / 3, h if stage == 1 else half


@njit(cache=True, nogil=True, error_model="numpy")
def _flush(T, small, i):
    """Bring the tangents of neuron i up to date."""
    m = small[i]
    for r in range(T.shape[2]):
        v, w, s, push = T[V, i, r], T[W, i, r], T[S, i, r], T[DRIVE, i, r]
        for part in range(3):
            T[part, i, r] = m[V, part] * v + m[W, part] * w + m[S, part] * s + m[DRIVE, part] * push
    m[:] = 0.0
    m[V, V] = m[W, W] = m[S, S] = 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def _look_ahead(cells, Y, i, end):
    """Take neuron i to the end of the Runge-Kutta step, on trial; note when it meets its peak on the way, or inf."""
    v, w, s, drive, now, peak = Y[V, i], Y[W, i], Y[S, i], Y[DRIVE, i], Y[NOW, i], cells[PEAK, i]
    Y[AHEAD, i], Y[AHEAD + 1, i], Y[AHEAD + 2, i] = _flow(cells, i, v, w, s, drive, end - now)
    Y[DUE, i] = np.inf
    if v >= peak:
        Y[DUE, i] = now
    elif Y[AHEAD, i] >= peak:
        low, high = 0.0, end - now
        middle = 0.5 * high
        while low < middle < high:
            if _flow(cells, i, v, w, s, drive, middle)[0] >= peak:
                high = middle
            else:
                low = middle
            middle = 0.5 * (low + high)
        Y[DUE, i] = now + high


@njit(cache=True, nogil=True, error_model="numpy")
def _touch(cells, Y, T, small, lists, i, t, n_touched):
    """Bring neuron i to the time of a cascade and keep its slopes before it; return how many are touched."""
    h = t - Y[NOW, i]
    if T.shape[2]:
        _carry(cells, Y, small, i, h)
        _flush(T, small, i)
    Y[V, i], Y[W, i], Y[S, i] = _flow(cells, i, Y[V, i], Y[W, i], Y[S, i], Y[DRIVE, i], h)
    dv, dw, ds = _slopes(cells, i, Y[V, i], Y[W, i], Y[S, i], Y[DRIVE, i])
    Y[NOW, i], Y[BEFORE, i], Y[BEFORE + 1, i], Y[BEFORE + 2, i] = t, dv, dw, ds
    lists[TOUCHED, n_touched], lists[MARK, i] = i, 1
    return n_touched + 1


@njit(cache=True, nogil=True, error_model="numpy")
def _fire(columns, cells, dt, Y, T, small, shift, lists, first, t, end, log, ending):
    """Let neuron `first` fire at time t, or all that are above their peak if it is -1, and whom they lift."""
    weights, targets, starts = columns
    n, k, n_touched, n_firing = Y.shape[1], T.shape[2], np.int64(0), 0
    limit = ending[COUNT] + 1000 + 100 * n
    shift[:] = 0.0
    for i in range(n):
        if i == first or (first < 0 and Y[V, i] > cells[PEAK, i]):
            n_touched = _touch(cells, Y, T, small, lists, i, t, n_touched)
            lists[FIRING, n_firing] = i
            n_firing += 1
    if first >= 0:
        Y[V, first] = cells[PEAK, first]
        dv, dw, ds = _slopes(cells, first, Y[V, first], Y[W, first], Y[S, first], Y[DRIVE, first])
        Y[BEFORE, first], Y[BEFORE + 1, first] = dv, dw
        if k and not dv > 1e-9 * (cells[PEAK, first] - cells[C, first]):
            ending[STATUS], ending[UNIT] = 1, first
            return
        for r in range(k):
            shift[r] = -T[V, first, r] / dv
    while n_firing:
        for q in range(n_firing):
            i = lists[FIRING, q]
            if ending[COUNT] < log.shape[0]:
                log[ending[COUNT], 0], log[ending[COUNT], 1] = ending[STEP] * dt + t, i
            ending[COUNT] += 1
            for p in range(starts[i], starts[i + 1]):
                j = np.int64(targets[p])
                if lists[MARK, j] == 0:
                    n_touched = _touch(cells, Y, T, small, lists, j, t, n_touched)
                Y[S if cells[RATE, j] > 0 else V, j] += weights[p]
        for q in range(n_firing):
            i = lists[FIRING, q]
            Y[V, i], lists[MARK, i] = cells[C, i], 2
            Y[W, i] += cells[D, i]
        n_firing = 0
        for q in range(n_touched):
            j = lists[TOUCHED, q]
            if Y[V, j] > cells[PEAK, j]:
                lists[FIRING, n_firing] = j
                n_firing += 1
        if ending[COUNT] > limit:
            ending[STATUS], ending[UNIT] = 2, lists[FIRING, 0]
            return
    for q in range(n_touched):
        j = lists[TOUCHED, q]
        keep = 0.0 if lists[MARK, j] == 2 else 1.0
        dv, dw, ds = _slopes(cells, j, Y[V, j], Y[W, j], Y[S, j], Y[DRIVE, j])
        dv, dw, ds = keep * Y[BEFORE, j] - dv, Y[BEFORE + 1, j] - dw, Y[BEFORE + 2, j] - ds
        for r in range(k):
            T[V, j, r] = keep * T[V, j, r] + dv * shift[r]
            T[W, j, r] += dw * shift[r]
            T[S, j, r] += ds * shift[r]
        lists[MARK, j] = 0
        _look_ahead(cells, Y, j, end)


@njit(cache=True, nogil=True, error_model="numpy")
def _advance(net, u, x, rows, dU, out, tape, log, ending):
    """Carry x and its tangents, the rows (k, n_units), through u; `ending` says how it went."""
    columns, cells, W_in, bias, n_parts, dt = net
    n, k, m = bias.size, rows.shape[0], u.shape[1]
    Y, T, shift, lists = np.zeros((12, n)), np.zeros((4, n, k)), np.empty(k), np.zeros((3, n), np.int64)
    small = np.zeros((n, 4, 3))
    blocks = x.size // n
    for i in range(n):
        small[i, V, V] = small[i, W, W] = small[i, S, S] = 1.0
        for b in range(blocks):
            Y[b, i] = x[b * n + i]
            for r in range(k):
                T[b, i, r] = rows[r, b * n + i]
    for t in range(u.shape[0]):
        ending[STEP], limit = t, ending[COUNT] + (100 + np.int64(100 * dt)) * n
        for i in range(n):
            Y[DRIVE, i] = bias[i]
            for c in range(m):
                Y[DRIVE, i] += W_in[i, c] * u[t, c]
            for r in range(k if dU.shape[0] else 0):
                T[DRIVE, i, r] = 0.0
                for c in range(m):
                    T[DRIVE, i, r] += W_in[i, c] * dU[t, r, c]
        begin = 0.0
        for part in range(n_parts):
            end = dt * (part + 1) / n_parts
            above = False
            for i in range(n):
                Y[NOW, i] = begin
                _look_ahead(cells, Y, i, end)
                above = above or Y[V, i] > cells[PEAK, i]
            while True:
                first, earliest = -1, begin
                if not above:
                    earliest = np.inf
                    for i in range(n):
                        if Y[DUE, i] < earliest:
                            first, earliest = i, Y[DUE, i]
                    if first < 0:
                        break
                _fire(columns, cells, dt, Y, T, small, shift, lists, first, earliest, end, log, ending)
                if ending[COUNT] > limit:
                    ending[STATUS], ending[UNIT] = 2, first
                if ending[STATUS]:
                    return
                above = False
            for i in range(n):
                if k:
                    _carry(cells, Y, small, i, end - Y[NOW, i])
                Y[V, i], Y[W, i], Y[S, i] = Y[AHEAD, i], Y[AHEAD + 1, i], Y[AHEAD + 2, i]
            begin = end
        for i in range(n):
            if k:
                _flush(T, small, i)
            for b in range(blocks):
                x[b * n + i] = Y[b, i]
                for r in range(k if tape.shape[0] else 0):
                    tape[t, r, b * n + i] = T[b, i, r]
                if out.shape[0]:
                    out[t, b * n + i] = x[b * n + i]
    for i in range(n):
        for b in range(blocks):
            for r in range(k):
                rows[r, b * n + i] = T[b, i, r]
