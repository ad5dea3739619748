"""Synapses: the course of a post-synaptic current or conductance, its exact effect on the membrane, and its changes.

A synapse is a linear filter of the arriving spikes, carried by at most two states per neuron and kind:

    x' = -x / tau_decay,    g' = (x - g) / tau_rise,    v' = -v / tau_m + g / C_m,    a spike of weight w: x += gain w.

All entries of the exact step are divided differences of the exponential at -dt/tau_decay, -dt/tau_rise and -dt/tau_m.
They are computed in forms without a singularity, so that any two or all three time constants may be equal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, expm1, log1p

import numpy as np

from penstock.checks import as_finite_array, as_finite_float, as_int, as_positive_float
from penstock.spiking.values import as_numbers

__all__ = ["Alpha", "Delta", "DoubleExponential", "Exponential", "Modulation", "Pulse", "TsodyksMarkram"]


@dataclass(frozen=True)
class Delta:
    """Make the potential jump by the weight (mV) when a spike arrives.

    v += w, unless the target is refractory (its potential is held: the spike is lost).

    Examples
    --------
    >>> from penstock.spiking import Delta
    >>> Delta()
    Delta()
    """

    n_states = 0
    gain = 1.0
    reversal = None
    name = None

    def decay(self, dt, euler=False):
        """Return zeros: there is no state."""
        return 0.0, 0.0, 0.0

    def effect(self, dt, tau_m, C_m):
        """Return zeros: there is no current."""
        return 0.0, 0.0


@dataclass(frozen=True)
class Pulse:
    """Inject the weight (pA) for one time step after a spike arrives.

    Parameters
    ----------
    name : str, optional
        Name of the state (pA) in recordings; "g", "g2", … if not given.

    Examples
    --------
    >>> from penstock.spiking import Pulse
    >>> Pulse().decay(0.1)
    (0.0, 1.0, 0.0)
    """

    name: str | None = None
    n_states = 1
    gain = 1.0
    reversal = None

    def __post_init__(self):
        _check_name(self.name)

    def decay(self, dt, euler=False):
        """Return (d_x, d_g, k) of a step: the current lasts for one."""
        return 0.0, 1.0, 0.0

    def effect(self, dt, tau_m, C_m):
        """Return (0, c_g): mV gained in a step of `dt` (ms) per pA held over it."""
        return 0.0, -(tau_m / C_m) * np.expm1(-dt / np.asarray(tau_m))


@dataclass(frozen=True)
class Exponential:
    """Let a current or conductance jump by the weight and decay exponentially.

    g' = -g / tau; g += w when a spike arrives. Its integral is w tau.

    Parameters
    ----------
    tau : float
        Time constant (ms).
    reversal : float, optional
        Reversal potential E (mV). Given, g is a conductance: weights are in nS and the current is g (E - v).
        Otherwise g is the current itself and weights are in pA (negative: inhibition).
    name : str, optional
        Name of the state in recordings; "g", "g2", … if not given.

    Examples
    --------
    >>> from penstock.spiking import Exponential
    >>> inhibition = Exponential(10.0, reversal=-80.0, name="gi")
    >>> round(inhibition.decay(0.1)[1], 6)  # the part of g that is lost in 0.1 ms
    0.00995
    """

    tau: float
    reversal: float | None = None
    name: str | None = None
    n_states = 1
    gain = 1.0

    def __post_init__(self):
        _check(self, "tau")

    def decay(self, dt, euler=False):
        """Return (0, d_g, 0) of a step of `dt` (ms): ``g <- g - d_g g``, exact or by Euler's rule."""
        return 0.0, _euler_part(self, dt, self.tau) if euler else -expm1(-dt / self.tau), 0.0

    def effect(self, dt, tau_m, C_m):
        """Return (0, c_g): mV gained in a step of `dt` (ms) per pA of g at its start, as `tau_m` (ms), `C_m` (pF)."""
        tau_m = np.asarray(tau_m, dtype=np.float64)
        return 0.0, dt / C_m * _difference(-dt / self.tau, -dt / tau_m)


@dataclass(frozen=True)
class Modulation:
    """Let spikes set free a modulator that decays, acts on no membrane, and is there for the rules of plasticity.

    m' = -m / tau; m += w when a spike arrives. `ThreeFactor` and `LocalLearning` read it by its name.

    Parameters
    ----------
    tau : float
        Time constant (ms).
    name : str
        Name of the state of the target; weights and the state have no unit.

    Examples
    --------
    >>> from penstock.spiking import Modulation
    >>> Modulation(200.0).effect(0.1, 20.0, 200.0)
    (0.0, 0.0)
    """

    tau: float
    name: str = "dopamine"
    n_states = 1
    gain = 1.0
    reversal = None
    acts = False

    def __post_init__(self):
        object.__setattr__(self, "tau", as_positive_float("tau", self.tau))
        if self.name is None:
            raise ValueError("name must be a word such as 'dopamine', got None")
        _check_name(self.name)

    def decay(self, dt, euler=False):
        """Return (0, d_g, 0) of a step of `dt` (ms): ``m <- m - d_g m``, exact or by Euler's rule."""
        return 0.0, _euler_part(self, dt, self.tau) if euler else -expm1(-dt / self.tau), 0.0

    def effect(self, dt, tau_m, C_m):
        """Return zeros: there is no current."""
        return 0.0, 0.0


class _Cascade:
    """The hooks of synapses with two states: x decays, g follows it."""

    n_states = 2
    tau_rise: float
    tau_decay: float

    @property
    def gain(self) -> float:
        """Jump of x per weight that makes the peak of g the weight: e for equal time constants."""
        fast, slow = sorted((self.tau_rise, self.tau_decay))
        z = (slow - fast) / fast  # g, the same for exchanged time constants, peaks at t = slow log1p(z) / z
        return self.tau_rise / fast * exp(log1p(z) / z if z else 1.0)

    def decay(self, dt, euler=False):
        """Return (d_x, d_g, k) of a step of `dt` (ms): ``g <- g - d_g g + k x``, then ``x <- x - d_x x``."""
        if euler:
            rise, fall = (_euler_part(self, dt, tau) for tau in (self.tau_rise, self.tau_decay))
            return fall, rise, rise
        rise, fall = dt / self.tau_rise, dt / self.tau_decay
        return -expm1(-fall), -expm1(-rise), rise * float(_difference(-rise, -fall))

    def effect(self, dt, tau_m, C_m):
        """Return (c_x, c_g): mV gained in a step of `dt` (ms) per unit of x, per pA of g, both at its start."""
        rise, fall, leak = dt / self.tau_rise, dt / self.tau_decay, dt / np.asarray(tau_m, dtype=np.float64)
        return rise * dt / C_m * _second_difference(-fall, -rise, -leak), dt / C_m * _difference(-rise, -leak)


@dataclass(frozen=True)
class Alpha(_Cascade):
    """Let a current or conductance rise and fall as an alpha function with the weight as its peak.

    g(t) = w e (t / tau) exp(-t / tau), with the peak w at t = tau; two states x' = -x / tau, g' = (x - g) / tau and
    x += e w when a spike arrives. Its integral is e w tau.

    Parameters
    ----------
    tau : float
        Time constant (ms), the time of the peak.
    reversal : float, optional
        Reversal potential E (mV) of a conductance (weights in nS); None for a current (weights in pA).
    name : str, optional
        Name of g in recordings; "g", "g2", … if not given. x is called that with "_x" after it.

    Examples
    --------
    >>> from penstock.spiking import Alpha
    >>> round(Alpha(0.5).gain, 6)
    2.718282
    """

    tau: float
    reversal: float | None = None
    name: str | None = None

    def __post_init__(self):
        _check(self, "tau")

    @property
    def tau_rise(self) -> float:
        """Time constant of g (ms): `tau`."""
        return self.tau

    @property
    def tau_decay(self) -> float:
        """Time constant of x (ms): `tau`."""
        return self.tau


@dataclass(frozen=True)
class DoubleExponential(_Cascade):
    """Let a current or conductance rise and fall with two time constants and the weight as its peak.

    g(t) = w N (exp(-t / tau_decay) - exp(-t / tau_rise)), N such that the peak is w; two states x' = -x / tau_decay,
    g' = (x - g) / tau_rise. Equal time constants give `Alpha`; g does not change when the two are exchanged.

    Parameters
    ----------
    tau_rise, tau_decay : float
        Time constants (ms).
    reversal : float, optional
        Reversal potential E (mV) of a conductance (weights in nS); None for a current (weights in pA).
    name : str, optional
        Name of g in recordings; "g", "g2", … if not given. x is called that with "_x" after it.

    Examples
    --------
    >>> from penstock.spiking import DoubleExponential
    >>> nmda = DoubleExponential(2.0, 100.0, reversal=0.0)
    >>> round(nmda.gain, 4)  # x jumps by this much more than g will reach
    1.0831
    """

    tau_rise: float
    tau_decay: float
    reversal: float | None = None
    name: str | None = None

    def __post_init__(self):
        _check(self, "tau_rise", "tau_decay")


@dataclass(frozen=True, eq=False, repr=False)
class TsodyksMarkram:
    """Change synapses with use: each spike spends a part u of the resources R and raises u for the next one.

    At a presynaptic spike the synapse acts with the weight w u R. From one spike to the next, Delta ms later,

        R <- 1 + (R - R u - 1) exp(-Delta / tau_rec)        (with the old u)
        u <- U + u (1 - U) exp(-Delta / tau_fac)

    from R = 1, u = U at the first. Depressing for large U and tau_rec, facilitating for small U and large tau_fac.

    Parameters
    ----------
    U : float, array (n_synapses,) or law
        Part of the resources spent by a first spike, in (0, 1]. Here and below a law is a callable
        ``(rng, size) -> array`` that draws a value for each synapse; arrays follow the order of source, then target.
    tau_rec : float, array (n_synapses,) or law
        Time constant of recovery (ms), at least 0; 0 means no depression.
    tau_fac : float, array (n_synapses,) or law
        Time constant of facilitation (ms), at least 0; 0 means no facilitation.

    References
    ----------
    M. Tsodyks, K. Pawelzik, H. Markram (1998), Neural networks with dynamic synapses, Neural Computation 10.

    Examples
    --------
    >>> from penstock.spiking import TsodyksMarkram
    >>> depressing = TsodyksMarkram(U=0.5, tau_rec=800.0, tau_fac=0.0)
    >>> depressing.responses([0.0, 50.0, 100.0, 150.0]).round(4)
    array([0.5   , 0.2651, 0.1548, 0.103 ])
    """

    U: float | np.ndarray | Callable
    tau_rec: float | np.ndarray | Callable
    tau_fac: float | np.ndarray | Callable

    def __post_init__(self):
        for field in ("U", "tau_rec", "tau_fac"):
            value = getattr(self, field)
            if value is None or isinstance(value, bool | np.bool_ | type):
                raise TypeError(f"{field} must be a number, an array or a law, got {value!r}")
            if not callable(value):
                value = _in_range(field, np.array(as_numbers(field, value)))
                value.flags.writeable = False
                object.__setattr__(self, field, value if value.ndim else float(value))

    def __repr__(self):
        parts = (getattr(self, field) for field in ("U", "tau_rec", "tau_fac"))
        shown = [f"({len(p)} values)" if isinstance(p, np.ndarray) else repr(p) for p in parts]
        return f"TsodyksMarkram(U={shown[0]}, tau_rec={shown[1]}, tau_fac={shown[2]})"

    def draw(self, n_synapses, rng):
        """Return U, tau_rec (ms), tau_fac (ms) of all synapses, arrays (n_synapses,); laws are drawn in this order.

        Parameters
        ----------
        n_synapses : int
            Number of synapses.
        rng : numpy.random.Generator
            Source of the draws.

        Raises
        ------
        ValueError
            If an array has another length, or a law draws values out of range.
        """
        n_synapses = as_int("n_synapses", n_synapses, minimum=0)
        return tuple(self._draw(field, n_synapses, rng) for field in ("U", "tau_rec", "tau_fac"))

    def _draw(self, field, n_synapses, rng):
        value = getattr(self, field)
        if callable(value):
            value = _in_range(field, as_finite_array(field, value(rng, n_synapses)))
        if np.shape(value) not in ((), (n_synapses,)):
            raise ValueError(
                f"{field} must be a number or have one value per synapse, shape ({n_synapses},), got {np.shape(value)}"
            )
        return np.array(np.broadcast_to(value, n_synapses), dtype=np.float64)

    def responses(self, times):
        """Return u R at each spike of a train, shape (n_spikes,): the responses in units of the weight.

        Parameters
        ----------
        times : array, shape (n_spikes,)
            Spike times (ms), ascending. U and both time constants must be numbers.
        """
        times = as_finite_array("times", times, ndim=1)
        if (np.diff(times) < 0).any():
            raise ValueError("times must ascend, got a spike before its predecessor; sort them")
        parameters = self.U, self.tau_rec, self.tau_fac
        if not all(isinstance(value, float) for value in parameters):
            raise ValueError(f"responses needs numbers as parameters, got {self!r}")
        U, tau_rec, tau_fac = (float(value) for value in parameters)  # type: ignore[arg-type]
        u, R, out = U, 1.0, np.empty(times.size)
        for i in range(times.size):
            if i:
                interval = times[i] - times[i - 1]
                R = 1.0 + (R - R * u - 1.0) * _left(interval, tau_rec)
                u = U + u * (1.0 - U) * _left(interval, tau_fac)
            out[i] = u * R
        return out


def _left(interval, tau):
    """Return exp(-interval / tau), for tau = 0 too: then nothing is left, however short the interval."""
    return exp(-interval / tau) if tau else 0.0


def _in_range(field, value):
    if field == "U" and ((value <= 0) | (value > 1)).any():
        raise ValueError(f"U must lie in (0, 1], got {value[(value <= 0) | (value > 1)].flat[0]}")
    if field != "U" and (value < 0).any():
        raise ValueError(f"{field} must be at least 0 ms, got {value[value < 0].flat[0]}")
    return value


def _euler_part(synapse, dt, tau):
    """Return the part lost in a step of Euler's rule, which turns into an alternation of signs for longer steps."""
    if dt > tau:
        raise ValueError(
            f"dt must be at most the time constants of a synapse on neurons with integrator='euler', "
            f"got dt={dt:g} ms and {synapse!r}"
        )
    return dt / tau


def _check(synapse, *time_constants):
    """Replace the numbers of a synapse by clean floats, so that equal synapses compare as equal."""
    for field in time_constants:
        object.__setattr__(synapse, field, as_positive_float(field, getattr(synapse, field)))
    if synapse.reversal is not None:
        object.__setattr__(synapse, "reversal", as_finite_float("reversal", synapse.reversal))
    _check_name(synapse.name)


def _check_name(name):
    if name is not None and (not isinstance(name, str) or not name.isidentifier()):
        raise ValueError(f"name must be a word such as 'ge' or None, got {name!r}")


# --- divided differences of the exponential: exact for arguments equal, nearly equal or far apart ------------------
def _difference(a, b):
    """Return (exp(a) - exp(b)) / (a - b), exp(a) where they are equal."""
    a, b = np.maximum(a, b), np.minimum(a, b)
    return np.exp(a) * _phi(b - a)


def _phi(x):
    """Return expm1(x) / x, 1 at 0."""
    zero = x == 0
    return np.where(zero, 1.0, np.expm1(x) / np.where(zero, 1.0, x))


_N_TERMS = 17  # of the series below: the first one left out is under 1e-17 of the sum


def _second_difference(a, b, c):
    """Return the divided difference of exp at three points, exp(a) / 2 where all are equal."""
    c, b, a = np.sort(np.stack(np.broadcast_arrays(a, b, c)), axis=0)
    near = a - c < 1.0
    far = (_difference(a, b) - _difference(b, c)) / np.where(near, 1.0, a - c)
    # about their mean, exp's series becomes a sum over the complete symmetric polynomials of the three deviations
    mean = (a + b + c) / 3.0
    x, y, z = (np.where(near, point - mean, 0.0) for point in (a, b, c))
    one, two, three = np.ones_like(x), np.ones_like(x), np.ones_like(x)
    total, factorial = 0.5 * three, 2.0
    for k in range(1, _N_TERMS):
        one = x * one
        two = one + y * two
        three = two + z * three
        factorial *= k + 2
        total = total + three / factorial
    return np.where(near, np.exp(mean) * total, far)
