"""Leaky integrate-and-fire networks from spike to spike: exact times, exact tangents, no time step to converge in."""

from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit

from penstock.checks import as_int, as_matrix, as_positive_float
from penstock.spiking.events import EventSystem, as_parameters, demand, described, set_fields

__all__ = ["EventLIF"]

Parameter = Any  # a number, or an array of one per neuron


@dataclass(frozen=True, eq=False, repr=False)
class EventLIF(EventSystem):
    """Run a network of leaky integrate-and-fire neurons without a time grid: every spike has its exact time.

    tau_m dV/dt = I + W_in u - V between spikes. A neuron that reaches V_th sends W[j, i] (mV) to every neuron j and is
    set to V_reset. Without `tau_syn` the pulse is a jump of V_j; with it, a jump of the synaptic current s_j (in mV),
    tau_m dV/dt = I + W_in u + s - V and tau_syn ds/dt = -s. The state is [V], or [V, s]; with refractory periods the
    time left of them (ms) follows as one more number per neuron. One step advances `dt` of time under a constant u.

    The tangent of a step is that of the flow, with the saltation matrix of every spike in it,
    S = Dg + (F_after - Dg F_before) e_i^T / F_i, so that Lyapunov exponents are those of the true dynamics. (The
    Jacobian of a network on a grid of times ignores that spikes move in time: its exponents are only the leaks.)

    *Cascades.* A pulse that lifts others over their threshold makes them fire at the same instant, generation by
    generation: those above threshold send their pulses, then they are reset, as `Network` does with delays of 0. The
    time of the whole cascade is that of its initiator. A neuron set to V_reset forgets its potential, so that every
    neuron that another one lifts loses a dimension: an exponent is -inf. With `soft_reset` V_th - V_reset is
    subtracted instead, and nothing is lost. Neurons above V_th at the beginning of a step fire at once, together.
    Neurons that reach it at the same instant by themselves fire one after the other in their order.

    Parameters
    ----------
    W : array or sparse array, shape (N, N)
        Recurrent weights (mV), W[j, i] from neuron i to neuron j.
    tau_m : float or array, shape (N,)
        Membrane time constant (ms).
    I : float or array, shape (N,)
        Where the potential would settle without spikes (mV): rest plus resistance times current.
    V_th, V_reset : float or array, shape (N,)
        Threshold and reset (mV), V_reset below V_th.
    W_in : array, shape (N, m), optional
        Input weights (mV per unit of u); None for an autonomous network.
    tau_syn : float or array, shape (N,), optional
        Time constant of the synaptic current of each neuron (ms); None for delta pulses.
    t_ref : float or array, shape (N,)
        Refractory time (ms), during which V is held at V_reset and delta pulses are lost.
    soft_reset : bool
        Whether V_th - V_reset is subtracted at a spike. It differs in cascades only; t_ref must be 0.
    dt : float
        Time of one step (ms). It sets how long inputs last, not the accuracy.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit or a number lies outside its range.
    FloatingPointError
        If a cascade never ends; in tangents, if a potential meets its threshold with slope 0.

    References
    ----------
    M. Mueller, Chaos, Solitons & Fractals 5, 1671 (1995), saltation at threshold events. R. Zillmer, R. Livi,
    A. Politi, A. Torcini, Phys. Rev. E 74, 036203 (2006), stable chaos. M. Monteforte, F. Wolf, Phys. Rev. X 2,
    041007 (2012).

    Examples
    --------
    A single neuron has the exact period tau_m ln((I - V_reset) / (I - V_th)):

    >>> import numpy as np
    >>> from penstock.spiking import EventLIF
    >>> one = EventLIF([[0.0]], tau_m=10.0, I=1.2, V_th=1.0, V_reset=0.0)
    >>> one.spikes(60)[0].round(9).tolist()
    [17.917594692, 35.835189385, 53.752784077]

    Inhibitory networks part from each other for long, but are not chaotic: of their exponents, one per ms, the
    largest is the neutral one along time.

    >>> from penstock.analysis import lyapunov_spectrum
    >>> rng = np.random.default_rng(0)
    >>> W = np.where(rng.random((20, 20)) < 0.3, -1.0, 0.0)
    >>> np.fill_diagonal(W, 0.0)
    >>> net = EventLIF(W, tau_m=10.0, I=rng.uniform(18, 22, 20), V_th=15.0, V_reset=0.0)
    >>> exponents = lyapunov_spectrum(net, n_steps=4000, washout=4000).exponents
    >>> bool(abs(exponents[0]) < 1e-4), bool((exponents[1:] < 0).all())
    (True, True)
    """

    W: np.ndarray
    _: KW_ONLY
    tau_m: Parameter
    I: Parameter  # noqa: E741
    V_th: Parameter
    V_reset: Parameter
    W_in: Any = None  # array (n, m) or None
    tau_syn: Parameter | None = None
    t_ref: Parameter = 0.0
    soft_reset: bool = False
    dt: float = 1.0

    def __post_init__(self):
        W = as_matrix("W", self.W, (None, None), np.float64)
        n = as_int("the number of neurons", W.shape[0])
        if W.shape != (n, n):
            raise ValueError(f"W must have shape ({n}, {n}), got {W.shape}")
        W_in = np.zeros((n, 0)) if self.W_in is None else self.W_in
        given = {name: getattr(self, name) for name in ("tau_m", "I", "V_th", "V_reset", "t_ref")}
        if self.tau_syn is not None:
            given["tau_syn"] = self.tau_syn
        cells = as_parameters(n, **given)
        for name in ("tau_m", "tau_syn"):
            if name in cells:
                demand(name, cells[name], cells[name] > 0, "above 0")
        demand("t_ref", cells["t_ref"], cells["t_ref"] >= 0, "at least 0")
        demand("V_reset", cells["V_reset"], cells["V_reset"] < cells["V_th"], "below V_th")
        if not isinstance(self.soft_reset, bool | np.bool_):
            raise TypeError(f"soft_reset must be True or False, got {self.soft_reset!r}")
        if self.soft_reset and cells["t_ref"].any():
            raise ValueError(f"soft_reset must be False with t_ref above 0, got t_ref={described(cells['t_ref'])}")
        W_in = as_matrix("W_in", W_in, (n, None), np.float64)
        set_fields(self, W=W, W_in=W_in, dt=as_positive_float("dt", self.dt), **cells)
        apart = (np.arange(n) + 0.5) / n  # of each other: at one potential all would fire as one
        start = np.zeros(self.n_units)
        start[:n] = self.V_reset + apart * (self.V_th - self.V_reset)
        set_fields(self, start=start)

    @property
    def n_units(self) -> int:
        """Dimension of the state: N, and N more with `tau_syn`, and N more with refractory periods."""
        return len(self._blocks) * self.n_neurons

    def __repr__(self):
        synapses = "delta pulses" if self.tau_syn is None else f"tau_syn={described(self.tau_syn)}"
        held = f", t_ref={described(self.t_ref)}" if self.t_ref.any() else ", soft_reset" if self.soft_reset else ""
        return (
            f"EventLIF(n_neurons={self.n_neurons}, n_inputs={self.n_inputs}, {synapses}, "
            f"tau_m={described(self.tau_m)}{held}, dt={self.dt:g})"
        )

    @cached_property
    def _blocks(self):
        """Which of potential 0, synaptic current 1 and time left of the refractory period 2 are states."""
        kept = [0, *([1] if self.tau_syn is not None else []), *([2] if self.t_ref.any() else [])]
        return np.array(kept, np.uint32)

    @cached_property
    def _fields(self):
        n, pulses = self.n_neurons, self.tau_syn is None
        tau_syn = np.zeros(n) if self.tau_syn is None else self.tau_syn
        cells = np.stack([self.tau_m, tau_syn, self.V_th, self.V_reset, self.t_ref])
        rule = (bool(self.soft_reset), pulses, float(self.dt))
        # copies: arrays read from a file may be written to, which to a kernel is another type
        return self._columns, cells, np.array(self.W_in), np.array(self.I), self._blocks, rule

    def _advance(self, u, x, V, dU, out, tape, log, ending):
        _advance(self._fields, u, x, V, dU, out, tape, log, ending)


# --- kernels --------------------------------------------------------------------------------------------------------
# Rows of the table of parameters.
TAU_M, TAU_SYN, V_TH, V_RESET, T_REF = range(5)
# Rows of Y (8, N), a step under way: the first three are the potential, synaptic current and refractory time left of
# each neuron at its own time NOW, T (4, N, k) their tangents at that time, T[DRIVE] those of the drive.
V, S, REST, DRIVE, NOW, DUE, SLOPE, S_BEFORE = range(8)
# Rows of `lists`: the neurons touched by a cascade, those of its present generation, and by neuron: 0 not touched,
# 1 touched, 2 has forgotten its potential.
TOUCHED, FIRING, MARK = range(3)
STATUS, STEP, UNIT, COUNT = range(4)  # of `ending`, COUNT of spikes


@njit(cache=True, nogil=True, error_model="numpy")
def _potential(v, s, drive, tau, tau_s, t):
    """Return the potential after a time t without spikes, and its slopes on v and on s: smooth through tau = tau_s."""
    a = t / tau
    e = np.exp(-a)
    if tau_s == 0.0:
        return drive + (v - drive) * e, e, 0.0
    b = t / tau_s
    gap = abs(b - a)
    effect = a * np.exp(-min(a, b)) * (-np.expm1(-gap) / gap if gap > 0 else 1.0)
    return drive + (v - drive) * e + s * effect, e, effect


@njit(cache=True, nogil=True, error_model="numpy")
def _until(v, s, drive, tau, tau_s, theta, left):
    """Return the time until the potential first meets theta, 0 if it is above; inf if that is later than `left`."""
    if v > theta:
        return 0.0
    end = _potential(v, s, drive, tau, tau_s, left)[0]
    if s == 0.0:
        if end < theta or drive <= theta:
            return np.inf
        return min(max(tau * np.log1p((theta - v) / (drive - theta)), 0.0), left)
    high, rise = left, drive + s - v
    if end < theta:  # it may have been above in between: where its slope, a sum of two exponentials, is 0
        y = rise * tau_s / s
        z = y * (1 / tau - 1 / tau_s)
        if s < 0 or rise <= 0 or z <= -1:
            return np.inf
        high = y * np.log1p(z) / z if z != 0 else y
        if not high < left or _potential(v, s, drive, tau, tau_s, high)[0] < theta:
            return np.inf
    if v == theta and rise > 0:
        return 0.0
    low, t = 0.0, 0.5 * high
    for _ in range(100):
        value = _potential(v, s, drive, tau, tau_s, t)[0]
        if value < theta:
            low = t
        else:
            high = t
        newton = t - (value - theta) * tau / (drive + s * np.exp(-t / tau_s) - value)
        following = newton if low < newton < high else 0.5 * (low + high)
        # the error after a step of Newton is the square of the step: from 1e-9 on only rounding is left
        if abs(following - t) <= (1e-9 if following == newton else 1e-16) * left or following == t:
            return following
        t = following
    return t


@njit(cache=True, nogil=True, error_model="numpy")
def _look_ahead(cells, Y, i, dt):
    """Note when neuron i will fire, if no pulse reaches it before the end of the step; else inf."""
    left, start, s, tau_s = dt - Y[NOW, i], Y[NOW, i], Y[S, i], cells[TAU_SYN, i]
    rest = Y[REST, i]
    Y[DUE, i] = np.inf
    if rest >= left:
        return
    if rest > 0:
        if tau_s > 0:
            s *= np.exp(-rest / tau_s)
        left -= rest
        start += rest
    Y[DUE, i] = start + _until(Y[V, i], s, Y[DRIVE, i], cells[TAU_M, i], tau_s, cells[V_TH, i], left)


@njit(cache=True, nogil=True, error_model="numpy")
def _bring(cells, Y, T, i, t):
    """Bring neuron i and its tangents to time t: held while refractory, then free."""
    left, k, tau, tau_s = t - Y[NOW, i], T.shape[2], cells[TAU_M, i], cells[TAU_SYN, i]
    Y[NOW, i] = t
    if Y[REST, i] > 0:
        held = min(Y[REST, i], left)
        decay = np.exp(-held / tau_s) if tau_s > 0 else 0.0
        Y[S, i] *= decay
        Y[REST, i] -= held
        left -= held
        for r in range(k):
            T[S, i, r] *= decay
        if Y[REST, i] > 0:
            return
        slope = (Y[DRIVE, i] + Y[S, i] - Y[V, i]) / tau
        for r in range(k):  # a later release leaves less time to rise
            T[V, i, r] -= slope * T[REST, i, r]
            T[REST, i, r] = 0.0
    Y[V, i], e, effect = _potential(Y[V, i], Y[S, i], Y[DRIVE, i], tau, tau_s, left)
    decay = np.exp(-left / tau_s) if tau_s > 0 else 0.0
    Y[S, i] *= decay
    for r in range(k):
        T[V, i, r] = e * T[V, i, r] + effect * T[S, i, r] + (1 - e) * T[DRIVE, i, r]
        T[S, i, r] *= decay


@njit(cache=True, nogil=True, error_model="numpy")
def _touch(cells, Y, T, lists, i, t, n_touched):
    """Bring neuron i to the time of a cascade and keep its slope before it; return how many are touched."""
    _bring(cells, Y, T, i, t)
    Y[SLOPE, i] = 0.0 if Y[REST, i] > 0 else (Y[DRIVE, i] + Y[S, i] - Y[V, i]) / cells[TAU_M, i]
    Y[S_BEFORE, i] = Y[S, i]
    lists[TOUCHED, n_touched], lists[MARK, i] = i, 1
    return n_touched + 1


@njit(cache=True, nogil=True, error_model="numpy")
def _fire(columns, cells, rule, Y, T, shift, lists, first, t, log, ending):
    """Let neuron `first` fire at time t, or all that are above threshold if it is -1, and whom they lift."""
    (weights, targets, starts), (soft, pulses, dt) = columns, rule
    n, k, n_touched, n_firing = Y.shape[1], T.shape[2], np.int64(0), 0
    limit = ending[COUNT] + 1000 + 100 * n
    shift[:] = 0.0
    for i in range(n):
        if i == first or (first < 0 and Y[V, i] > cells[V_TH, i] and Y[REST, i] <= 0):
            n_touched = _touch(cells, Y, T, lists, i, t, n_touched)
            lists[FIRING, n_firing] = i
            n_firing += 1
    if first >= 0:
        tau, theta = cells[TAU_M, first], cells[V_TH, first]
        Y[V, first], Y[SLOPE, first] = theta, (Y[DRIVE, first] + Y[S, first] - theta) / tau
        if k and not Y[SLOPE, first] > 1e-9 * (theta - cells[V_RESET, first]) / tau:
            ending[STATUS], ending[UNIT] = 1, first
            return
        for r in range(k):
            shift[r] = -T[V, first, r] / Y[SLOPE, first]
    while n_firing:
        for q in range(n_firing):
            i = lists[FIRING, q]
            if ending[COUNT] < log.shape[0]:
                log[ending[COUNT], 0], log[ending[COUNT], 1] = ending[STEP] * dt + t, i
            ending[COUNT] += 1
            for p in range(starts[i], starts[i + 1]):
                j = np.int64(targets[p])
                if lists[MARK, j] == 0:
                    n_touched = _touch(cells, Y, T, lists, j, t, n_touched)
                if not pulses:
                    Y[S, j] += weights[p]
                elif Y[REST, j] <= 0:
                    Y[V, j] += weights[p]
        for q in range(n_firing):
            i = lists[FIRING, q]
            if soft:
                Y[V, i] -= cells[V_TH, i] - cells[V_RESET, i]
            else:
                Y[V, i], Y[REST, i], lists[MARK, i] = cells[V_RESET, i], cells[T_REF, i], 2
        n_firing = 0
        for q in range(n_touched):
            j = lists[TOUCHED, q]
            if Y[V, j] > cells[V_TH, j] and Y[REST, j] <= 0:
                lists[FIRING, n_firing] = j
                n_firing += 1
        if ending[COUNT] > limit:
            ending[STATUS], ending[UNIT] = 2, lists[FIRING, 0]
            return
    for q in range(n_touched):
        j = lists[TOUCHED, q]
        keep, held = 0.0 if lists[MARK, j] == 2 else 1.0, Y[REST, j] > 0
        after = 0.0 if held else (Y[DRIVE, j] + Y[S, j] - Y[V, j]) / cells[TAU_M, j]
        gain = keep * Y[SLOPE, j] - after
        gain_s = 0.0 if pulses else (Y[S, j] - Y[S_BEFORE, j]) / cells[TAU_SYN, j]
        for r in range(k):
            T[V, j, r] = keep * T[V, j, r] + gain * shift[r]
            T[S, j, r] += gain_s * shift[r]
            if held and keep == 0:
                T[REST, j, r] = shift[r]
        lists[MARK, j] = 0
        _look_ahead(cells, Y, j, dt)


@njit(cache=True, nogil=True, error_model="numpy")
def _advance(lif, u, x, rows, dU, out, tape, log, ending):
    """Carry x and its tangents, the rows (k, n_units), through u; `ending` says how it went."""
    columns, cells, W_in, bias, blocks, rule = lif
    dt = rule[2]
    n, k, m = bias.size, rows.shape[0], u.shape[1]
    Y, T, shift, lists = np.zeros((8, n)), np.zeros((4, n, k)), np.empty(k), np.zeros((3, n), np.int64)
    for b in range(blocks.size):
        for i in range(n):
            over = blocks[b] == REST and x[b * n + i] <= 0  # who is not refractory stays so: no tangent, like no time
            Y[blocks[b], i] = 0.0 if over else x[b * n + i]
            for r in range(k):
                T[blocks[b], i, r] = 0.0 if over else rows[r, b * n + i]
    for t in range(u.shape[0]):
        ending[STEP], limit = t, ending[COUNT] + (100 + np.int64(100 * dt)) * n
        above = False
        for i in range(n):
            Y[NOW, i], Y[DRIVE, i] = 0.0, bias[i]
            for c in range(m):
                Y[DRIVE, i] += W_in[i, c] * u[t, c]
            for r in range(k if dU.shape[0] else 0):
                T[DRIVE, i, r] = 0.0
                for c in range(m):
                    T[DRIVE, i, r] += W_in[i, c] * dU[t, r, c]
            _look_ahead(cells, Y, i, dt)
            above = above or (Y[V, i] > cells[V_TH, i] and Y[REST, i] <= 0)
        while True:
            first, earliest = -1, 0.0
            if not above:
                earliest = np.inf
                for i in range(n):
                    if Y[DUE, i] < earliest:
                        first, earliest = i, Y[DUE, i]
                if first < 0:
                    break
            _fire(columns, cells, rule, Y, T, shift, lists, first, earliest, log, ending)
            if ending[COUNT] > limit:
                ending[STATUS], ending[UNIT] = 2, first
            if ending[STATUS]:
                return
            above = False
        for i in range(n):
            _bring(cells, Y, T, i, dt)
        for b in range(blocks.size):
            for i in range(n):
                x[b * n + i] = Y[blocks[b], i]
                for r in range(k if tape.shape[0] else 0):
                    tape[t, r, b * n + i] = T[blocks[b], i, r]
                if out.shape[0]:
                    out[t, b * n + i] = x[b * n + i]
    for b in range(blocks.size):
        for i in range(n):
            for r in range(k):
                rows[r, b * n + i] = T[blocks[b], i, r]
