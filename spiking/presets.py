"""Published firing patterns: named parameter sets with their scheme, step, start and input, ready to run.

A published pattern is more than its parameters: another integration scheme, step or input convention fires other
spikes. Every preset is therefore a whole experiment on one neuron, and `FiringPattern.run` repeats it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np

from penstock.checks import as_finite_array, as_finite_float, as_int, as_positive_float
from penstock.spiking.clock import steps_of
from penstock.spiking.inputs import ArrayCurrent
from penstock.spiking.network import Network
from penstock.spiking.neurons import AdEx, Izhikevich, Izhikevich2007

__all__ = [
    "ADEX_2005",
    "ADEX_2008",
    "IZHIKEVICH_2003",
    "IZHIKEVICH_2004",
    "IZHIKEVICH_2007",
    "FiringPattern",
    "Presets",
    "Trace",
]


@dataclass(frozen=True, eq=False, repr=False)
class FiringPattern:
    """Hold one published experiment on one neuron.

    Change parts of it with `dataclasses.replace`: another current, step or scheme.

    Parameters
    ----------
    name : str
        Name in the literature.
    neuron : AdEx, Izhikevich or Izhikevich2007
        Model and parameters, ``n = 1``, its integrator included.
    current : float or function
        Input (pA; mV/ms for `Izhikevich`): a constant, or ``current(t)`` for an array of times (ms).
    dt : float
        Step (ms).
    duration : float
        Length of the run (ms), a whole number of steps.
    initial : dict, optional
        States at the start, where they differ from ``neuron.initial()``.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from penstock.spiking import IZHIKEVICH_2004
    >>> pattern = IZHIKEVICH_2004["tonic spiking"]
    >>> pattern.run().spikes
    array([13.  , 17.  , 31.5 , 59.25, 86.75])
    >>> replace(pattern, dt=0.01).run().spikes.size
    5
    >>> pattern.neurons(800)
    Izhikevich(800, d=6, integrator=fig1)
    """

    name: str
    neuron: Any
    current: float | Callable[[np.ndarray], np.ndarray]
    dt: float
    duration: float
    initial: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self):
        steps_of("duration", self.duration, as_positive_float("dt", self.dt), minimum=1)
        if not isinstance(self.neuron, AdEx | Izhikevich | Izhikevich2007):
            raise TypeError(f"neuron must be AdEx, Izhikevich or Izhikevich2007, got {self.neuron!r}")
        if self.neuron.n != 1:
            raise ValueError(f"neuron must have n = 1, got {self.neuron.n}")
        if not callable(self.current) and not isinstance(self.current, Real):
            raise TypeError(f"current must be a number or a function of time, got {self.current!r}")
        if not callable(self.current):
            as_finite_float("current", self.current)
        if not isinstance(self.initial, Mapping):
            raise TypeError(f"initial must be a mapping of states to numbers, got {self.initial!r}")
        for name, value in self.initial.items():
            if name not in self.neuron.variables:
                raise ValueError(f"initial must name states of {', '.join(self.neuron.variables)}, got {name!r}")
            as_finite_float(f"initial {name}", value)

    def __repr__(self):
        return f"FiringPattern({self.name!r}, {self.neuron}, dt={self.dt:g} ms, duration={self.duration:g} ms)"

    @property
    def t(self) -> np.ndarray:
        """Times (ms) at which the steps start: 0, dt, … below `duration`."""
        return np.round(np.arange(steps_of("duration", self.duration, self.dt)) * self.dt, 9)

    @property
    def input(self) -> np.ndarray:
        """Current in every step, that of the time at which it starts."""
        times = self.t
        values = as_finite_array("current", self.current(times) if callable(self.current) else self.current)
        if values.shape not in ((), times.shape):
            raise ValueError(f"current(t) must have the shape of t, {times.shape}, got {values.shape}")
        return np.array(np.broadcast_to(values, times.shape))

    def neurons(self, n: int):
        """Return `n` neurons with the parameters of this pattern, for a network."""
        return replace(self.neuron, n=as_int("n", n))

    def run(self) -> "Trace":
        """Return spikes and states of the experiment."""
        second = self.neuron.variables[1]
        net = Network(dt=self.dt, timing="brian2", seed=0)
        group = net.add(self.neuron, name="neuron", **(self.neuron.initial() | dict(self.initial)))
        net.stimulate(group, ArrayCurrent(self.input, self.dt))
        for variable in ("spikes", "v", second):
            net.record(group, variable)
        result = net.run(self.duration, progress=False)
        v, recovery = (result.states["neuron", variable].values[:, 0].copy() for variable in ("v", second))
        at = np.rint(result.spikes["neuron"].times / self.dt).astype(int)
        v[at] = self.neuron.coefficients(self.dt, False)[0]  # the peak; the state is reset already
        return Trace(self, self.t, v, recovery, self.t[at])


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """Hold what a `FiringPattern` did.

    Times are those of the published scripts: sample k, at t = k dt, is the state after the update of step k, and a
    spike in that step has the same time. (A `Recording` labels the same state (k + 1) dt.)

    Parameters
    ----------
    pattern : FiringPattern
        The experiment.
    t : array, shape (T,)
        Times (ms).
    v : array, shape (T,)
        Potential (mV); the peak in the samples of spikes, where the state is reset already.
    recovery : array, shape (T,)
        The second variable, u or w, after the reset.
    spikes : array, shape (n_spikes,)
        Spike times (ms).
    """

    pattern: FiringPattern
    t: np.ndarray
    v: np.ndarray
    recovery: np.ndarray
    spikes: np.ndarray

    def __repr__(self):
        return f"Trace({self.pattern.name!r}, {self.spikes.size} spikes in {self.t[-1]:g} ms)"

    def crossings(self, level: float = 0.0) -> np.ndarray:
        """Return the times (ms) of the samples at or above `level` (mV) that follow one below it."""
        above = self.v >= as_finite_float("level", level)
        return self.t[1:][above[1:] & ~above[:-1]]

    def plot(self, ax=None):
        """Draw the potential with the input below it; return the axes."""
        from penstock.spiking.plots import plot_trace

        return plot_trace(self, ax)


class Presets(Mapping):
    """Hold the firing patterns of one paper by name."""

    def __init__(self, source: str, patterns: list[FiringPattern]):
        self.source = source
        self._patterns = {pattern.name: pattern for pattern in patterns}

    def __getitem__(self, name: str) -> FiringPattern:
        if name not in self._patterns:
            raise KeyError(f"name must be one of {', '.join(self._patterns)}, got {name!r}")
        return self._patterns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._patterns)

    def __len__(self) -> int:
        return len(self._patterns)

    def __repr__(self):
        return f"Presets({self.source}: {', '.join(self._patterns)})"


def _after(start, value, before=0.0):
    """Return a current that jumps at `start`; all windows are open intervals, as in the scripts."""
    return lambda t: np.where(t > start, value, before)


def _pulses(value, length, *starts):
    return lambda t: np.where(np.any([(t > start) & (t < start + length) for start in starts], axis=0), value, 0.0)


def _ramp(start, slope, base=0.0):
    return lambda t: base + np.where(t > start, slope * (t - start), 0.0)


def _pattern(name, a, b, c, d, v, dt, duration, current, u=None, **special):
    """Return a pattern of the scripts of 2003 and 2004: their scheme, u = b v at the start unless given."""
    neuron = Izhikevich(1, a=a, b=b, c=c, d=d, integrator="fig1", **special)
    return FiringPattern(name, neuron, current, dt, duration, {"v": v, "u": b * v if u is None else u})


def _threshold_variability(t):
    return _pulses(1.0, 5, 10, 80)(t) + _pulses(-6.0, 5, 70)(t)


def _bistability(t):
    return 0.24 + _pulses(1.0, 5, 37.5, 216)(t)


def _two_ramps(t):
    return np.select([t < 200, t < 300, t < 312.5], [t / 25, 0.0, (t - 300) / 12.5 * 4], 0.0)


def _inhibition(t):
    return np.where((t < 50) | (t > 250), 80.0, 75.0)


def _step_and_pulse(t):
    return _after(10, -0.5, before=-2.0)(t) + _pulses(10.5, 5, 60)(t)


_CLASS_1 = {"p1": 4.1, "p0": 108.0}
_FLAT = {"v_u": -65.0, "u_leak": 0.0}

IZHIKEVICH_2003 = Presets(
    "Izhikevich (2003), IEEE Trans. Neural Networks 14, figure 2",
    [
        _pattern("RS", 0.02, 0.2, -65, 8, -63, 0.25, 150, _after(15, 14.0)),
        _pattern("IB", 0.02, 0.2, -55, 4, -70, 0.25, 150, _after(15, 11.0)),
        _pattern("CH", 0.02, 0.2, -50, 2, -70, 0.25, 150, _after(15, 10.0)),
        _pattern("FS", 0.1, 0.2, -65, 2, -70, 0.25, 150, _after(15, 10.0)),
        _pattern("TC", 0.02, 0.25, -65, 0.05, -63, 0.25, 150, _after(30, 1.5)),
        _pattern("TC burst", 0.02, 0.25, -65, 0.05, -87, 0.25, 150, _after(45, 0.0, before=-25.0)),
        _pattern("RZ", 0.1, 0.26, -65, 2, -70, 0.25, 100, _step_and_pulse),
        _pattern("LTS", 0.02, 0.25, -65, 2, -63, 0.25, 250, _after(25, 10.0)),
    ],
)
"""The eight cells of the paper: parameters as in its figure, input and scheme as in its script."""

IZHIKEVICH_2004 = Presets(
    "Izhikevich (2004), IEEE Trans. Neural Networks 15, figure 1",
    [
        _pattern("tonic spiking", 0.02, 0.2, -65, 6, -70, 0.25, 100, _after(10, 14.0)),
        _pattern("phasic spiking", 0.02, 0.25, -65, 6, -64, 0.25, 200, _after(20, 0.5)),
        _pattern("tonic bursting", 0.02, 0.2, -50, 2, -70, 0.25, 220, _after(22, 15.0)),
        _pattern("phasic bursting", 0.02, 0.25, -55, 0.05, -64, 0.2, 200, _after(20, 0.6)),
        _pattern("mixed mode", 0.02, 0.2, -55, 4, -70, 0.25, 160, _after(16, 10.0)),
        _pattern("spike frequency adaptation", 0.01, 0.2, -65, 8, -70, 0.25, 85, _after(8.5, 30.0)),
        _pattern("class 1 excitable", 0.02, -0.1, -55, 6, -60, 0.25, 300, _ramp(30, 0.075), **_CLASS_1),
        _pattern("class 2 excitable", 0.2, 0.26, -65, 0, -64, 0.25, 300, _ramp(30, 0.015, base=-0.5)),
        _pattern("spike latency", 0.02, 0.2, -65, 6, -70, 0.2, 100, _pulses(7.04, 3, 10)),
        _pattern("subthreshold oscillation", 0.05, 0.26, -60, 0, -62, 0.25, 200, _pulses(2.0, 5, 20)),
        _pattern("resonator", 0.1, 0.26, -60, -1, -62, 0.25, 400, _pulses(0.65, 4, 40, 60, 280, 320)),
        _pattern(
            "integrator",
            0.02,
            -0.1,
            -55,
            6,
            -60,
            0.25,
            100,
            _pulses(9.0, 2, 100 / 11, 100 / 11 + 5, 70, 80),
            **_CLASS_1,
        ),
        _pattern("rebound spike", 0.03, 0.25, -60, 4, -64, 0.2, 200, _pulses(-15.0, 5, 20)),
        _pattern("rebound burst", 0.03, 0.25, -52, 0, -64, 0.2, 200, _pulses(-15.0, 5, 20)),
        _pattern("threshold variability", 0.03, 0.25, -60, 4, -64, 0.25, 100, _threshold_variability),
        _pattern("bistability", 0.1, 0.26, -60, 0, -61, 0.25, 300, _bistability),
        _pattern("depolarising after-potential", 1, 0.2, -60, -21, -70, 0.1, 50, _pulses(20.0, 2, 9)),
        _pattern("accommodation", 0.02, 1, -55, 4, -65, 0.5, 400, _two_ramps, u=-16.0, **_FLAT),
        _pattern("inhibition-induced spiking", -0.02, -1, -60, 8, -63.8, 0.5, 350, _inhibition),
        _pattern("inhibition-induced bursting", -0.026, -1, -45, -2, -63.8, 0.5, 350, _inhibition),
    ],
)
"""The twenty patterns of the figure in its order, A to T. The last one is ill-conditioned: its number of spikes depends
strongly on the scheme."""


def _cell(name, duration, current, **parameters):
    return FiringPattern(name, Izhikevich2007(1, **parameters), current, 0.0025, duration)


IZHIKEVICH_2007 = Presets(
    "Izhikevich (2007), Dynamical Systems in Neuroscience, chapter 8",
    [
        _cell("RS", 520, 100.0),
        _cell("IB", 600, 500.0, C=150, k=1.2, vr=-75, vt=-45, v_peak=50, a=0.01, b=5, c=-56, d=130),
        _cell("CH", 210, 400.0, C=50, k=1.5, v_peak=25, b=1, c=-40, d=150),
        _cell(
            "LTS",
            320,
            200.0,
            k=1,
            vr=-56,
            vt=-42,
            v_peak=40,
            peak_slope=-0.1,
            b=8,
            c=-53,
            c_slope=0.04,
            d=20,
            u_max=670,
        ),
        _cell("FS", 100, 200.0, C=20, k=1, vr=-55, v_peak=25, a=0.2, b=0, c=-45, d=0, cubic=0.025, v_cubic=-55),
        _cell(
            "TC",
            650,
            100.0,
            C=200,
            k=1.6,
            vt=-50,
            peak_slope=0.1,
            a=0.01,
            b=15,
            v_switch=-65,
            c=-60,
            c_slope=-0.1,
            d=10,
        ),
        _cell(
            "RTN",
            650,
            70.0,
            C=40,
            k=0.25,
            vr=-65,
            vt=-45,
            v_peak=0,
            a=0.015,
            b=10,
            b_above=2,
            v_switch=-65,
            c=-55,
            d=50,
        ),
    ],
)
"""Seven cell types of chapter 8 at one of their currents; `dataclasses.replace(pattern, current=…)` gives others."""


def _pulse_2005(t):
    return np.where((t >= 20) & (t < 120), 1000.0, 0.0)


ADEX_2005 = Presets(
    "Brette and Gerstner (2005), J. Neurophysiology 94",
    [
        FiringPattern("regular spiking", AdEx(1), _pulse_2005, 0.1, 140.0),
        FiringPattern("bursting", AdEx(1, tau_w=20, b=500, V_reset=-45.4), _pulse_2005, 0.1, 140.0),
        FiringPattern("fast spiking", AdEx(1, a=2 * 281 / 144, b=0), _pulse_2005, 0.1, 140.0),
    ],
)
"""Three neurons of the model's first paper, driven by 1 nA for 100 ms."""


def _adex(name, current, *, C_m, g_L, E_L, a, tau_w, b, V_reset):
    leak = AdEx(1, C_m=C_m, g_L=g_L, E_L=E_L, V_T=-50, Delta_T=2, V_cut=0, V_reset=V_reset)
    return FiringPattern(name, replace(leak, a=a, tau_w=tau_w, b=b), current, 0.1, 600.0)


ADEX_2008 = Presets(
    "Naud, Marcille, Clopath, Gerstner (2008), Biological Cybernetics 99",
    [
        _adex("tonic", 500.0, C_m=200, g_L=10, E_L=-70, a=2, tau_w=30, b=0, V_reset=-58),
        _adex("adapting", 500.0, C_m=200, g_L=12, E_L=-70, a=2, tau_w=300, b=60, V_reset=-58),
        _adex("initial burst", 400.0, C_m=130, g_L=18, E_L=-58, a=4, tau_w=150, b=120, V_reset=-50),
        _adex("regular bursting", 210.0, C_m=200, g_L=10, E_L=-58, a=2, tau_w=120, b=100, V_reset=-46),
        _adex("delayed accelerating", 300.0, C_m=200, g_L=12, E_L=-70, a=-10, tau_w=300, b=0, V_reset=-58),
        _adex("delayed regular bursting", 110.0, C_m=100, g_L=10, E_L=-65, a=-10, tau_w=90, b=30, V_reset=-47),
        _adex("transient", 180.0, C_m=100, g_L=10, E_L=-65, a=10, tau_w=90, b=100, V_reset=-47),
        _adex("irregular", 160.0, C_m=100, g_L=12, E_L=-60, a=-11, tau_w=130, b=30, V_reset=-48),
    ],
)
"""Eight firing patterns of the model, parameters adapted by P. Müller to match the figures of the paper."""
