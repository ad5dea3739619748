"""Neuron models: records of parameters that know their update as a table of coefficients.

Units are ms, mV, pA, nS and pF everywhere. Every parameter is one number for all neurons or an array of one per neuron.
"""

from dataclasses import KW_ONLY, dataclass, fields
from typing import ClassVar

import numpy as np

from penstock.checks import as_finite_float, as_int, as_positive_float, as_vector
from penstock.spiking.values import as_numbers

__all__ = ["ALIF", "LIF", "AdEx", "Izhikevich", "Izhikevich2007"]

Parameter = float | np.ndarray
_MAY_BE_INFINITE = ("u_max", "v_switch")


@dataclass(frozen=True, eq=False, repr=False)
class _Neurons:
    """What all models share: the check of their numbers, their text, and the hooks the compiled engine reads."""

    n: int
    variables: ClassVar[tuple[str, ...]] = ("v",)
    inclusive: ClassVar[bool | None] = None
    integrators: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        object.__setattr__(self, "n", as_int("n", self.n))
        for field in fields(self):
            if field.type is Parameter:
                object.__setattr__(self, field.name, _parameter(field.name, getattr(self, field.name), self.n))
        chosen = getattr(self, "integrator", None)
        if self.integrators and chosen not in self.integrators:
            raise ValueError(f"integrator must be one of {', '.join(self.integrators)}, got {chosen!r}")
        self._check()

    def _check(self):
        """Raise if the numbers do not fit each other."""

    def __len__(self):
        return self.n

    def __repr__(self):
        given = (field for field in fields(self)[1:] if not _same(getattr(self, field.name), field.default))
        return f"{type(self).__name__}({', '.join([str(self.n), *(_text(self, field.name) for field in given)])})"

    @property
    def membrane(self):
        """(tau_m, C_m) if the membrane is integrated exactly, None where the currents are frozen over the step."""
        return None

    def following(self, v) -> dict:
        """Return the initial values that follow from given potentials v: none here."""
        return {}


def _parameter(name, value, n):
    """Return a number as a float or an array (n,) read-only; infinity only where it switches a rule off."""
    if name not in _MAY_BE_INFINITE:
        return _finite(name, value, n)
    try:
        off = np.isposinf(np.asarray(value))
    except (TypeError, ValueError):  # no numbers: say so
        return _finite(name, value, n)
    finite = _finite(name, np.where(off, 0.0, value), n)
    value = np.where(off, np.inf, finite)
    value.flags.writeable = False
    return value[()]


def _finite(name, value, n):
    if isinstance(value, list | tuple) or np.ndim(value) > 0:
        return as_vector(name, as_numbers(name, value), n)
    return as_finite_float(name, value[()] if isinstance(value, np.ndarray) else value)


def _same(value, default):
    return value is default or (np.ndim(value) == 0 and value == default)


def _text(record, name):
    value = getattr(record, name)
    shown = f"<{value.min():g} to {value.max():g}>" if isinstance(value, np.ndarray) else value
    return f"{name}={shown:g}" if isinstance(shown, float) else f"{name}={shown}"


def _demand(name, value, allowed, rule):
    """Raise if some entry of `value` is not allowed."""
    if not np.all(allowed):
        wrong = np.broadcast_to(value, np.shape(allowed))[~np.asarray(allowed)]
        raise ValueError(f"{name} must be {rule}, got {float(wrong.flat[0]):g}")


def _positive(record, *names):
    for name in names:
        _demand(name, getattr(record, name), np.asarray(getattr(record, name)) > 0, "above 0")


def _non_negative(record, *names):
    for name in names:
        _demand(name, getattr(record, name), np.asarray(getattr(record, name)) >= 0, "at least 0")


def _below(record, low, high):
    """Raise unless the parameter `low` is below the parameter `high` in every neuron."""
    lows, highs = np.broadcast_arrays(getattr(record, low), getattr(record, high))
    wrong = np.flatnonzero(~(lows < highs))
    if wrong.size:
        pair = f"{low}={lows.flat[wrong[0]]:g} and {high}={highs.flat[wrong[0]]:g}"
        raise ValueError(f"{low} must be below {high}, got {pair}")


def _demand_steps(dt, **time_constants):
    """Raise if Euler's rule with steps of `dt` (ms) would turn a decay into an alternation of signs."""
    for name, tau in time_constants.items():
        _demand(name, tau, np.asarray(tau) >= dt, f"at least dt={dt:g} ms with integrator='euler'")


def _overlap(x, y):
    """Return (exp(-x) - exp(-y)) / (y - x), smooth through x = y: what a decay by x leaves to one by y."""
    gap = np.abs(np.asarray(y) - x)
    mean = -np.expm1(-gap) / np.where(gap == 0, 1.0, gap)
    return np.exp(-np.minimum(x, y)) * np.where(gap == 0, 1.0, mean)


# The rows of a model's table, as the kernels read them. Of a decay they hold d, the part lost in a step: dt / tau by
# Euler's rule, else 1 - exp(-dt / tau), which keeps its digits however short the step.
#   all models       0 threshold, 1 its slope on the second variable, 2 reset
#   LIF, ALIF        exact: 3 d of v, 4 mV per pA, 5 mV of E_L and I_e, 6 mV of noise
#                    Euler, or with conductances: 3 g_L, 4 g_L E_L + I_e, 5 dt / C_m, 6 nothing
#                    7 drop at a soft reset or 0
#   ALIF             8 d of w, 9 mV taken by each pA of w (exact), 10 b, 11 d of theta, 12 beta
#   AdEx             3 dt / C_m, 4 g_L, 5 E_L, 6 V_T, 7 Delta_T, 8 a, 9 d of w, 10 b, 11 I_e
#   Izhikevich       3 a, 4 b, 5 d, 6 p1, 7 p0 + I_e, 8 v_u, 9 u_leak, 10 unused, 11 dt
#   Izhikevich2007   3 dt / C, 4 k, 5 vr, 6 vt, 7 dt a, 8 b, 9 d, 10 c_slope, 11 u_max, 12 b_above, 13 v_switch,
#                    14 cubic, 15 v_cubic, 16 I_e
def _rows(*rows) -> np.ndarray:
    """Return the table (rows,) if every entry is a number, else (rows, n)."""
    return np.stack(np.broadcast_arrays(*rows)).astype(np.float64)


class _Leaky(_Neurons):
    """The leaky membrane of LIF and ALIF."""

    tau_m: Parameter
    C_m: Parameter
    E_L: Parameter
    V_th: Parameter
    V_reset: Parameter
    t_ref: Parameter
    I_e: Parameter
    sigma: Parameter
    soft_reset: bool
    integrator: str
    integrators: ClassVar[tuple[str, ...]] = ("exact", "euler")

    def _check(self):
        _positive(self, "tau_m", "C_m")
        _non_negative(self, "t_ref", "sigma")
        _below(self, "V_reset", "V_th")
        if not isinstance(self.soft_reset, bool | np.bool_):
            raise TypeError(f"soft_reset must be True or False, got {self.soft_reset!r}")
        if self.integrator == "euler":
            self._refuse_noise("integrator='euler'; the noise step is exact: take integrator='exact'")

    def _refuse_noise(self, where):
        if np.any(np.asarray(self.sigma) > 0):
            raise ValueError(f"sigma must be 0 with {where}, got {np.max(self.sigma):g}")

    @property
    def kind(self) -> int:
        """0 exact (the engine takes 1, exponential Euler, where a synapse is a conductance), 2 Euler."""
        return 2 if self.integrator == "euler" else 0

    @property
    def membrane(self):
        """(tau_m, C_m) if the membrane is integrated exactly, None where the currents are frozen over the step."""
        return None if self.integrator == "euler" else (self.tau_m, self.C_m)

    def initial(self) -> dict:
        """Return the states at time 0: v = E_L, no adaptation."""
        return {name: self.E_L if name == "v" else 0.0 for name in self.variables}

    def _leaky_rows(self, dt, conductance):
        drop = self.V_th - self.V_reset if self.soft_reset else 0.0
        ends = (self.V_th, 0.0, self.V_reset)
        if self.kind == 2:
            _demand_steps(dt, tau_m=self.tau_m)
        if conductance or self.kind == 2:
            self._refuse_noise("conductance synapses: its exact step is that of a constant leak")
            g_L = self.C_m / self.tau_m
            return *ends, g_L, g_L * self.E_L + self.I_e, dt / self.C_m, 0.0, drop
        lost = -np.expm1(-dt / self.tau_m)
        c_I = self.tau_m / self.C_m * lost
        noise = self.sigma * np.sqrt(-np.expm1(-2 * dt / self.tau_m) / 2)
        return *ends, lost, c_I, self.E_L * lost + c_I * self.I_e, noise, drop


@dataclass(frozen=True, eq=False, repr=False)
class LIF(_Leaky):
    """Describe leaky integrate-and-fire neurons.

    tau_m dv/dt = E_L - v + (tau_m / C_m) (I_e + I_syn) + sigma sqrt(tau_m) xi(t); a spike at V_th sets v to V_reset
    and holds it there for t_ref.

    The default integrator is exact for any dt, while no spike falls into a step: propagators of the membrane and of
    current synapses, and the exact Ornstein-Uhlenbeck step of the noise. With a conductance synapse it becomes
    exponential Euler (conductances frozen over the step). ``integrator="euler"`` is forward Euler for v and for the
    synaptic states, as Brian2's ``method="euler"``; no time constant may then be shorter than dt.

    Parameters
    ----------
    n : int
        Number of neurons.
    tau_m : float or array, shape (n,)
        Membrane time constant (ms), positive.
    C_m : float or array, shape (n,)
        Capacitance (pF), positive; the leak conductance is C_m / tau_m (nS).
    E_L : float or array, shape (n,)
        Resting potential (mV); it may lie above V_th (a neuron that fires by itself).
    V_th, V_reset : float or array, shape (n,)
        Threshold and reset (mV), V_reset below V_th.
    t_ref : float or array, shape (n,)
        Refractory time (ms), at least 0, a whole number of steps.
    I_e : float or array, shape (n,)
        Constant current (pA).
    sigma : float or array, shape (n,)
        Size of the white current noise, expressed in mV: without a threshold the potential has standard deviation
        sigma / sqrt(2). Needs the exact integrator and current synapses.
    soft_reset : bool
        Subtract V_th - V_reset at a spike instead of setting v to V_reset: the overshoot is kept.
    integrator : {"exact", "euler"}
        Scheme, see above.

    Raises
    ------
    ValueError, TypeError
        If a parameter is not a finite number, has another shape or lies outside its range.

    References
    ----------
    S. Rotter, M. Diesmann (1999), Exact digital simulation of time-invariant linear systems with applications to
    neuronal modeling, Biological Cybernetics 81. The defaults are those of NEST's iaf_psc_exp.

    Examples
    --------
    >>> from penstock.spiking import LIF
    >>> LIF(3200, tau_m=20, C_m=200, E_L=-49, V_th=-50, V_reset=-60, t_ref=5)
    LIF(3200, tau_m=20, C_m=200, E_L=-49, V_th=-50, V_reset=-60, t_ref=5)
    """

    n: int
    _: KW_ONLY
    tau_m: Parameter = 10.0
    C_m: Parameter = 250.0
    E_L: Parameter = -70.0
    V_th: Parameter = -55.0
    V_reset: Parameter = -70.0
    t_ref: Parameter = 2.0
    I_e: Parameter = 0.0
    sigma: Parameter = 0.0
    soft_reset: bool = False
    integrator: str = "exact"

    def coefficients(self, dt: float, conductance: bool) -> np.ndarray:
        """Return the coefficients of one step of `dt` (ms) as a table (8,) or (8, n)."""
        return _rows(*self._leaky_rows(as_positive_float("dt", dt), conductance))


@dataclass(frozen=True, eq=False, repr=False)
class ALIF(_Leaky):
    """Describe leaky integrate-and-fire neurons that tire: by a current, a rising threshold, or both.

    As `LIF`, with an adaptation current w (pA) that is subtracted from the input, tau_w dw/dt = -w and w += b at a
    spike, and a threshold V_th + theta (mV), tau_theta dtheta/dt = -theta and theta += beta at a spike. Both decay
    during the refractory time too. With the exact integrator w acts on v as one more exponential current, exactly;
    with Euler and with conductances it is frozen over the step. The new spike does not see its own jump of theta.

    Parameters
    ----------
    n, tau_m, C_m, E_L, V_th, V_reset, t_ref, I_e, sigma, soft_reset, integrator
        As in `LIF`.
    tau_w : float or array, shape (n,)
        Time constant of the adaptation current (ms), positive.
    b : float or array, shape (n,)
        Jump of the adaptation current at a spike (pA).
    tau_theta : float or array, shape (n,)
        Time constant of the threshold (ms), positive.
    beta : float or array, shape (n,)
        Jump of the threshold at a spike (mV).

    Raises
    ------
    ValueError, TypeError
        If a parameter is not a finite number, has another shape or lies outside its range.

    References
    ----------
    G. Bellec, D. Salaj, A. Subramoney, R. Legenstein, W. Maass (2018), Long short-term memory and learning-to-learn in
    networks of spiking neurons, NeurIPS 31 (threshold form). S. Mensi et al. (2012), Parameter extraction and
    classification of three cortical neuron types reveals two distinct adaptation mechanisms, J. Neurophysiology 107.

    Examples
    --------
    >>> from penstock.spiking import ALIF
    >>> ALIF(100, tau_theta=200, beta=1.8)
    ALIF(100, tau_theta=200, beta=1.8)
    """

    n: int
    _: KW_ONLY
    tau_m: Parameter = 10.0
    C_m: Parameter = 250.0
    E_L: Parameter = -70.0
    V_th: Parameter = -55.0
    V_reset: Parameter = -70.0
    t_ref: Parameter = 2.0
    tau_w: Parameter = 100.0
    b: Parameter = 0.0
    tau_theta: Parameter = 100.0
    beta: Parameter = 0.0
    I_e: Parameter = 0.0
    sigma: Parameter = 0.0
    soft_reset: bool = False
    integrator: str = "exact"
    variables: ClassVar[tuple[str, ...]] = ("v", "w", "theta")

    def _check(self):
        super()._check()
        _positive(self, "tau_w", "tau_theta")

    def coefficients(self, dt: float, conductance: bool) -> np.ndarray:
        """Return the coefficients of one step of `dt` (ms) as a table (13,) or (13, n)."""
        dt = as_positive_float("dt", dt)
        v_th, _, *leaky = self._leaky_rows(dt, conductance)
        if self.kind == 2:
            _demand_steps(dt, tau_w=self.tau_w, tau_theta=self.tau_theta)
            d_w, d_theta = dt / self.tau_w, dt / self.tau_theta
        else:
            d_w, d_theta = -np.expm1(-dt / self.tau_w), -np.expm1(-dt / self.tau_theta)
        c_w = dt / self.C_m * _overlap(dt / self.tau_m, dt / self.tau_w)
        return _rows(v_th, 1.0, *leaky, d_w, c_w, self.b, d_theta, self.beta)


@dataclass(frozen=True, eq=False, repr=False)
class AdEx(_Neurons):
    """Describe adaptive exponential integrate-and-fire neurons.

    C_m dv/dt = g_L (E_L - v) + g_L Delta_T exp((v - V_T) / Delta_T) - w + I_e + I_syn, tau_w dw/dt = a (v - E_L) - w;
    a spike at V_cut sets v to V_reset and adds b to w.

    Parameters
    ----------
    n : int
        Number of neurons.
    C_m, g_L : float or array, shape (n,)
        Capacitance (pF) and leak conductance (nS), positive.
    E_L, V_T : float or array, shape (n,)
        Leak and effective threshold potentials (mV).
    Delta_T : float or array, shape (n,)
        Slope factor (mV), positive; towards 0 the model becomes a LIF with threshold V_T.
    a : float or array, shape (n,)
        Subthreshold adaptation (nS), of either sign.
    tau_w : float or array, shape (n,)
        Time constant of the adaptation (ms), positive.
    b : float or array, shape (n,)
        Jump of the adaptation current at a spike (pA).
    V_reset : float or array, shape (n,)
        Reset (mV), below V_cut.
    V_cut : float or array, shape (n,), optional
        Potential that counts as a spike (mV); V_T + 5 Delta_T if not given. It is kept as a number: give None again
        where `dataclasses.replace` changes V_T or Delta_T.
    t_ref : float or array, shape (n,)
        Refractory time of v (ms), at least 0, a whole number of steps; w moves on meanwhile.
    I_e : float or array, shape (n,)
        Constant current (pA).
    integrator : {"euler", "exponential_euler"}
        Forward Euler, the scheme of the published scripts, for dt up to C_m / g_L and tau_w, or exact decay of leak
        and w with the exponential term and the currents frozen over the step.

    Raises
    ------
    ValueError, TypeError
        If a parameter is not a finite number, has another shape or lies outside its range.

    References
    ----------
    R. Brette, W. Gerstner (2005), Adaptive exponential integrate-and-fire model as an effective description of
    neuronal activity, J. Neurophysiology 94. The defaults are its regular spiking neuron.

    Examples
    --------
    >>> from penstock.spiking import AdEx
    >>> AdEx(10, tau_w=20, b=500, V_reset=-45.4)  # bursts
    AdEx(10, tau_w=20, b=500, V_reset=-45.4, V_cut=-40.4)
    """

    n: int
    _: KW_ONLY
    C_m: Parameter = 281.0
    g_L: Parameter = 30.0
    E_L: Parameter = -70.6
    V_T: Parameter = -50.4
    Delta_T: Parameter = 2.0
    a: Parameter = 4.0
    tau_w: Parameter = 144.0
    b: Parameter = 80.5
    V_reset: Parameter = -70.6
    V_cut: Parameter | None = None
    t_ref: Parameter = 0.0
    I_e: Parameter = 0.0
    integrator: str = "euler"
    variables: ClassVar[tuple[str, ...]] = ("v", "w")
    integrators: ClassVar[tuple[str, ...]] = ("euler", "exponential_euler")

    def _check(self):
        _positive(self, "C_m", "g_L", "Delta_T", "tau_w")
        _non_negative(self, "t_ref")
        cut = self.V_T + 5 * self.Delta_T if self.V_cut is None else self.V_cut
        object.__setattr__(self, "V_cut", _parameter("V_cut", cut, self.n))
        _below(self, "V_reset", "V_cut")

    @property
    def kind(self) -> int:
        """5 Euler, 6 exponential Euler."""
        return 5 if self.integrator == "euler" else 6

    def initial(self) -> dict:
        """Return the states at time 0: v = E_L, w = 0."""
        return {"v": self.E_L, "w": 0.0}

    def coefficients(self, dt: float, conductance: bool) -> np.ndarray:
        """Return the coefficients of one step of `dt` (ms) as a table (12,) or (12, n)."""
        dt = as_positive_float("dt", dt)
        if self.kind == 5:
            _demand_steps(dt, **{"C_m / g_L": self.C_m / self.g_L, "tau_w": self.tau_w})
        d_w = dt / self.tau_w if self.kind == 5 else -np.expm1(-dt / self.tau_w)
        membrane = (dt / self.C_m, self.g_L, self.E_L, self.V_T, self.Delta_T)
        return _rows(self.V_cut, 0.0, self.V_reset, *membrane, self.a, d_w, self.b, self.I_e)


@dataclass(frozen=True, eq=False, repr=False)
class Izhikevich(_Neurons):
    """Describe the neurons of Izhikevich (2003), any of its twenty firing patterns.

    dv/dt = 0.04 v^2 + p1 v + p0 - u + I_e + I_syn, du/dt = a (b (v - v_u) - u_leak u); a spike at v_peak sets v to c
    and adds d to u. Currents count in the units of dv/dt (mV/ms), as in the paper, although other models take pA.

    The scheme belongs to the model, like dt: the same pattern fires other numbers of spikes with another one.
    ``"euler"``: v and u from the old values, spike if v >= v_peak. ``"fig1"``, of the script of the 2004 figure: u from
    the new v, spike if v > v_peak. ``"half"``, of the 2003 network script: two half-steps of v, then one step of u from
    the new v, spike if v >= v_peak.

    Parameters
    ----------
    n : int
        Number of neurons.
    a : float or array, shape (n,)
        Rate of u (1/ms), of either sign.
    b : float or array, shape (n,)
        Sensitivity of u to v.
    c : float or array, shape (n,)
        Reset of v (mV), below v_peak.
    d : float or array, shape (n,)
        Jump of u at a spike.
    p1, p0 : float or array, shape (n,)
        Linear and constant term of dv/dt; 4.1 and 108 in two of the patterns.
    v_u, u_leak : float or array, shape (n,)
        Offset (mV) and leak of u; -65 and 0 in one of the patterns.
    I_e : float or array, shape (n,)
        Constant current (mV/ms).
    v_peak : float or array, shape (n,)
        Potential that counts as a spike (mV).
    integrator : {"euler", "fig1", "half"}
        Scheme, see above.

    Raises
    ------
    ValueError, TypeError
        If a parameter is not a finite number, has another shape or lies outside its range.

    References
    ----------
    E. M. Izhikevich (2003), Simple model of spiking neurons, IEEE Trans. Neural Networks 14.
    E. M. Izhikevich (2004), Which model to use for cortical spiking neurons?, IEEE Trans. Neural Networks 15.

    Examples
    --------
    >>> from penstock.spiking import Izhikevich
    >>> Izhikevich(800, c=-50, d=2)  # chattering
    Izhikevich(800, c=-50, d=2)
    """

    n: int
    _: KW_ONLY
    a: Parameter = 0.02
    b: Parameter = 0.2
    c: Parameter = -65.0
    d: Parameter = 8.0
    p1: Parameter = 5.0
    p0: Parameter = 140.0
    v_u: Parameter = 0.0
    u_leak: Parameter = 1.0
    I_e: Parameter = 0.0
    v_peak: Parameter = 30.0
    integrator: str = "euler"
    variables: ClassVar[tuple[str, ...]] = ("v", "u")
    integrators: ClassVar[tuple[str, ...]] = ("euler", "fig1", "half")
    t_ref: ClassVar[float] = 0.0

    def _check(self):
        _below(self, "c", "v_peak")

    @property
    def kind(self) -> int:
        """7 Euler, 8 the figure's scheme, 9 half-steps."""
        return 7 + self.integrators.index(self.integrator)

    @property
    def inclusive(self) -> bool:
        """Whether v = v_peak is a spike: not in the figure's scheme."""
        return self.integrator != "fig1"

    def initial(self) -> dict:
        """Return the states at time 0: v = -65 mV, u = b v."""
        return {"v": -65.0} | self.following(-65.0)

    def following(self, v) -> dict:
        """Return u = b v, its initial value where a network is given v only."""
        return {"u": self.b * v}

    def coefficients(self, dt: float, conductance: bool) -> np.ndarray:
        """Return the coefficients of one step of `dt` (ms) as a table (12,) or (12, n)."""
        dt = as_positive_float("dt", dt)
        ends = (self.v_peak, 0.0, self.c)
        return _rows(*ends, self.a, self.b, self.d, self.p1, self.p0 + self.I_e, self.v_u, self.u_leak, 0.0, dt)


@dataclass(frozen=True, eq=False, repr=False)
class Izhikevich2007(_Neurons):
    """Describe the neurons of Izhikevich's book (2007), with the special rules of its cell types as parameters.

    C dv/dt = k (v - vr) (v - vt) - u + I_e + I_syn, du/dt = a (U(v) - u). A spike at v >= v_peak + peak_slope u
    sets v to c + c_slope u, then u to min(u + d, u_max). U(v) = b (v - vr), with b_above in place of b where
    v > v_switch, plus cubic (v - v_cubic)^3 where v >= v_cubic. Forward Euler: both from the old values, but these two
    conditions on v from its new value, as in the published scripts.

    The defaults are the regular spiking cell; `penstock.spiking.IZHIKEVICH_2007` has the others.

    Parameters
    ----------
    n : int
        Number of neurons.
    C : float or array, shape (n,)
        Capacitance (pF), positive.
    k : float or array, shape (n,)
        Gain (nS/mV), positive.
    vr, vt : float or array, shape (n,)
        Resting and instantaneous threshold potential (mV).
    a : float or array, shape (n,)
        Rate of u (1/ms).
    b : float or array, shape (n,)
        Slope of U (nS).
    c : float or array, shape (n,)
        Reset (mV), below v_peak.
    d : float or array, shape (n,)
        Jump of u at a spike (pA).
    v_peak : float or array, shape (n,)
        Potential that counts as a spike (mV).
    peak_slope, c_slope : float or array, shape (n,)
        Change of peak and reset with u (mV/pA).
    u_max : float or array, shape (n,)
        Highest u after a spike (pA).
    b_above, v_switch : float or array, shape (n,)
        Slope of U (nS) where v lies above v_switch (mV).
    cubic, v_cubic : float or array, shape (n,)
        Factor (pA/mV^3) and foot (mV) of the cubic part of U.
    I_e : float or array, shape (n,)
        Constant current (pA).

    Raises
    ------
    ValueError, TypeError
        If a parameter is not a finite number, has another shape or lies outside its range.

    References
    ----------
    E. M. Izhikevich (2007), Dynamical Systems in Neuroscience, MIT Press, chapter 8.

    Examples
    --------
    >>> from penstock.spiking import Izhikevich2007
    >>> Izhikevich2007(5, C=20, k=1, vr=-55, a=0.2, b=0, c=-45, d=0, v_peak=25, cubic=0.025, v_cubic=-55)  # fast
    Izhikevich2007(5, C=20, k=1, vr=-55, a=0.2, b=0, c=-45, d=0, v_peak=25, cubic=0.025, v_cubic=-55)
    """

    n: int
    _: KW_ONLY
    C: Parameter = 100.0
    k: Parameter = 0.7
    vr: Parameter = -60.0
    vt: Parameter = -40.0
    a: Parameter = 0.03
    b: Parameter = -2.0
    c: Parameter = -50.0
    d: Parameter = 100.0
    v_peak: Parameter = 35.0
    peak_slope: Parameter = 0.0
    c_slope: Parameter = 0.0
    u_max: Parameter = np.inf
    b_above: Parameter = 0.0
    v_switch: Parameter = np.inf
    cubic: Parameter = 0.0
    v_cubic: Parameter = 0.0
    I_e: Parameter = 0.0
    variables: ClassVar[tuple[str, ...]] = ("v", "u")
    inclusive: ClassVar[bool] = True
    kind: ClassVar[int] = 10
    t_ref: ClassVar[float] = 0.0

    def _check(self):
        _positive(self, "C", "k")
        _below(self, "c", "v_peak")

    def initial(self) -> dict:
        """Return the states at time 0: v = vr, u = 0."""
        return {"v": self.vr, "u": 0.0}

    def coefficients(self, dt: float, conductance: bool) -> np.ndarray:
        """Return the coefficients of one step of `dt` (ms) as a table (17,) or (17, n)."""
        dt = as_positive_float("dt", dt)
        ends = (self.v_peak, self.peak_slope, self.c)
        membrane = (dt / self.C, self.k, self.vr, self.vt)
        recovery = (dt * self.a, self.b, self.d, self.c_slope, self.u_max)
        special = (self.b_above, self.v_switch, self.cubic, self.v_cubic)
        return _rows(*ends, *membrane, *recovery, *special, self.I_e)
