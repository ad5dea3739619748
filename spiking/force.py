"""FORCE on spiking networks: outputs of a chaotic network, fed back, learn a signal that it then makes by itself."""

from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from penstock.checks import (
    as_finite_array,
    as_finite_float,
    as_fraction,
    as_int,
    as_matrix,
    as_positive_float,
    as_vector,
    generators,
)
from penstock.spiking import force_kernels as K
from penstock.spiking.clock import steps_of, steps_of_each
from penstock.spiking.force_results import FreeRun, SpikingForce
from penstock.spiking.neurons import LIF, Izhikevich2007
from penstock.spiking.trains import SpikeTrains
from penstock.system import SystemDefaults
from penstock.threads import one_blas_thread

__all__ = ["ForceNetwork", "Theta"]

_PLAIN = ("peak_slope", "c_slope", "cubic", "b_above")
"""Special rules of `Izhikevich2007` that these loops leave out."""


@dataclass(frozen=True, eq=False)
class Theta:
    """Describe theta neurons: tau_m dv/dt = 1 - cos v + π² (1 + cos v) (I_e + I); v is a phase, a spike is v = π.

    At constant I + I_e > 0 the period is tau_m / sqrt(I + I_e).

    Parameters
    ----------
    n : int
        Number of neurons.
    tau_m : float or array, shape (n,)
        Time constant (ms), positive.
    I_e : float or array, shape (n,)
        Constant current, without a unit.

    References
    ----------
    G. B. Ermentrout, N. Kopell (1986), SIAM J. Appl. Math. 46, 233, in the scaling of Nicola and Clopath (2017).
    """

    n: int
    _: KW_ONLY
    tau_m: float | np.ndarray = 1000.0
    I_e: float | np.ndarray = 0.0

    def __post_init__(self):
        n = as_int("n", self.n)
        object.__setattr__(self, "n", n)
        for name in ("tau_m", "I_e"):
            value = getattr(self, name)
            value = as_vector(name, value, n) if np.ndim(value) else as_finite_float(name, value)
            object.__setattr__(self, name, value)
        if np.min(self.tau_m) <= 0:
            raise ValueError(f"tau_m must be above 0 ms, got {np.min(self.tau_m):g} ms")

    def __repr__(self):
        return f"Theta({self.n})"


@dataclass(frozen=True, eq=False, repr=False)
class ForceNetwork:
    """Hold a spiking network with feedback from its outputs, as Nicola and Clopath (2017) train it.

    Neuron i receives the current s_i + (E z)_i + (E_in x)_i. With e_τ = exp(-dt / τ), every step does, in this order:
    the membranes (forward Euler, all from the old values); find who fires; then, with R = 1000 Hz / rate_unit,

        s <- e_τr s + dt h,   h  <- e_τd h  + R / (τr τd) sum of W0_ij over the j that fire,
        r <- e_τr r + dt hr,  hr <- e_τd hr + R / (τr τd) of those that fire,   z = φᵀ r,

    then the update of the decoder φ, if it is time for one, then the resets. The z from before the update is what acts
    in the next step.

    Parameters
    ----------
    W0 : array or sparse array, shape (n, n)
        Weights, W0[i, j] from neuron j to i, in units of current per `rate_unit`.
    E : array, shape (n, k) or (n,)
        Feedback weights of the k outputs (currents).
    neurons : Izhikevich2007, LIF or Theta
        The neurons; of Izhikevich2007 only the plain rule, LIF with ``integrator="euler"``.
    E_in : array, shape (n, m), optional
        Weights of m inputs from outside (currents), such as a clock of many pulses (HDTS).
    v0 : float or array, shape (n,)
        Potentials at the start (mV).
    tau_r, tau_d : float
        Rise and decay of the filtered spikes (ms).
    dt : float
        Step (ms).
    rate_unit : float
        The rate (Hz) at which a filtered spike train r is 1 on average: 1000 as published for Izhikevich neurons, 1
        for the others.
    every : int
        Steps between two updates, where `force` is not told otherwise.
    P0 : float
        Size of P at the start, where `force` is not told otherwise.

    References
    ----------
    W. Nicola, C. Clopath (2017), Supervised learning in spiking neural networks with FORCE training, Nat. Commun. 8,
    2208; numbers and order of operations from their programs (ModelDB 190565).

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.spiking import ForceNetwork
    >>> net = ForceNetwork.izhikevich(200, seed=0)
    >>> net
    ForceNetwork(200 Izhikevich2007, 3932 weights, 1 output, dt=0.04 ms)
    >>> result = net.force(lambda t: np.sin(0.01 * np.pi * t), duration=400.0, learn=(100, 300), progress=False)
    >>> result.output.shape, result.n_updates
    ((10000, 1), 250)
    """

    W0: Any  # dense or CSR
    E: np.ndarray
    neurons: Izhikevich2007 | LIF | Theta
    _: KW_ONLY
    E_in: Any = None  # array (n, m) or None
    v0: float | np.ndarray = 0.0
    tau_r: float = 2.0
    tau_d: float = 20.0
    dt: float = 0.04
    rate_unit: float = 1000.0
    every: int = 20
    P0: float = 2.0

    def __post_init__(self):
        n = _check_neurons(self.neurons)
        E = as_finite_array("E", self.E, ndim=(1, 2))
        E = as_matrix("E", E[:, None] if E.ndim == 1 else E, (n, None), np.float64)
        if E.shape[1] == 0:
            raise ValueError(f"E must have shape ({n}, k) with k outputs, at least 1, got {E.shape}")
        E_in = np.zeros((n, 0)) if self.E_in is None else self.E_in
        clean = {
            "W0": sp.csr_array(as_matrix("W0", self.W0, (n, n), np.float64)),
            "E": E,
            "E_in": as_matrix("E_in", E_in, (n, None), np.float64),
            "v0": as_vector("v0", self.v0, n),
            "every": as_int("every", self.every),
        }
        for name in ("tau_r", "tau_d", "dt", "rate_unit", "P0"):
            clean[name] = as_positive_float(name, getattr(self, name))
        for name, value in clean.items():
            object.__setattr__(self, name, value)
        self.neuron_table()  # what does not fit dt says so

    # --- the published networks -------------------------------------------------------------------------------------

    @classmethod
    def izhikevich(cls, n=2000, *, seed, n_outputs=1, G=5e3, Q=5e3, p=0.1, dt=0.04, **other) -> "ForceNetwork":
        """Draw the network of Izhikevich neurons that learns a sine (figure 2).

        W0 = G N(0, 1) / (p sqrt n) with probability p, else 0; E = Q U(-1, 1) (pA); v0 uniform from vr to v_peak.
        C = 250 pF, k = 2.5 nS/mV, vr = -60, vt = -19.2, v_peak = 30, c = -65 mV, a = 0.01 / ms, b = -2 nS, d = 200 pA,
        1000 pA. The text of the paper has b = 0, its programs b = -2.

        Parameters
        ----------
        n, n_outputs : int
            Neurons and outputs.
        seed : int or SeedSequence
            Seed of W0, E and v0.
        G, Q : float
            Strength of the weights (pA per kHz) and of the feedback (pA).
        p : float
            Probability of a connection, in (0, 1].
        dt : float
            Step (ms).
        **other
            Further fields of the record, such as `tau_d`, or other `neurons`.
        """
        neurons = Izhikevich2007(n, C=250, k=2.5, vr=-60, vt=-19.2, v_peak=30, c=-65, a=0.01, b=-2, d=200, I_e=1000)
        settings = dict(neurons=neurons, dt=dt)
        return cls._draw(n, n_outputs, seed, (G, Q, p), (-60.0, 30.0), balanced=False, settings=settings | other)

    @classmethod
    def lif(cls, n=2000, *, seed, n_outputs=1, G=0.04, Q=10.0, p=0.1, dt=0.05, **other) -> "ForceNetwork":
        """Draw the network of LIF neurons that learns a sine (figure 2): as `izhikevich`, but every row of W0 balanced.

        tau_m = 10 ms, threshold -40, reset -65 mV, refractory for 2 ms (at the start too), resting at the threshold;
        v0 uniform from -65 to 30 mV. G in mV per Hz, Q in mV. The mean of the weights of a row is taken from them.
        P0 = 5e-6, updates every 50 steps.
        """
        neurons = LIF(n, tau_m=10, C_m=10, E_L=-40, V_th=-40, V_reset=-65, t_ref=2, integrator="euler")
        settings = dict(neurons=neurons, dt=dt, rate_unit=1.0, every=50, P0=5e-6)
        return cls._draw(n, n_outputs, seed, (G, Q, p), (-65.0, 30.0), balanced=True, settings=settings | other)

    @classmethod
    def theta(cls, n=2000, *, seed, n_outputs=1, G=10.0, Q=1e4, p=0.1, dt=0.01, **other) -> "ForceNetwork":
        """Draw the network of theta neurons that learns a sine (figure 2): as `lif`, with v0 uniform from -π to π.

        tau_m = 1 s. G per Hz, Q without a unit. P0 = 1e-5, updates every 50 steps.
        """
        settings = dict(neurons=Theta(n), dt=dt, rate_unit=1.0, every=50, P0=1e-5)
        return cls._draw(n, n_outputs, seed, (G, Q, p), (-np.pi, np.pi), balanced=True, settings=settings | other)

    @classmethod
    def _draw(cls, n, n_outputs, seed, strengths, ends, *, balanced, settings):
        n, k, (G, Q, p) = as_int("n", n), as_int("n_outputs", n_outputs), strengths
        G, Q, p = as_positive_float("G", G), as_positive_float("Q", Q), as_fraction("p", p)
        for_weights, for_feedback, for_start = generators(seed, 3)
        W0 = _random_weights(n, p, G / (p * np.sqrt(n)), for_weights)
        if balanced:
            per_row = np.diff(W0.indptr)
            W0.data -= np.repeat(W0.sum(axis=1) / np.maximum(per_row, 1), per_row)
        drawn = {"E": Q * for_feedback.uniform(-1, 1, (n, k)), "v0": for_start.uniform(ends[0], ends[1], n)}
        return cls(W0, **(drawn | settings))

    # --- looking ----------------------------------------------------------------------------------------------------

    @property
    def n(self) -> int:
        """Number of neurons."""
        return self.neurons.n

    @property
    def n_outputs(self) -> int:
        """Number k of outputs."""
        return self.E.shape[1]

    @property
    def n_inputs(self) -> int:
        """Number m of inputs from outside."""
        return self.E_in.shape[1]

    def __repr__(self):
        k, m = self.n_outputs, self.n_inputs
        inputs = f", {m} inputs" if m else ""
        return (
            f"ForceNetwork({self.n} {type(self.neurons).__name__}, {self.W0.nnz} weights, "
            f"{k} output{'s' * (k > 1)}{inputs}, dt={self.dt:g} ms)"
        )

    def initial_state(self) -> np.ndarray:
        """Return r, v, u, s, h, hr, each (n,), and z (k,), at the start: v = v0, LIF neurons refractory, the rest 0."""
        state = np.zeros(6 * self.n + self.n_outputs)
        state[self.n : 2 * self.n] = self.v0
        if isinstance(self.neurons, LIF):
            state[2 * self.n : 3 * self.n] = steps_of_each("t_ref of neurons", self.neurons.t_ref, self.dt)
        return state

    def neuron_table(self):
        """Return the kind of the neurons, their blocks for the loops, and reset and jump of each."""
        neurons, n, dt = self.neurons, self.n, self.dt
        if isinstance(neurons, LIF):
            euler = (dt / neurons.tau_m, neurons.E_L, neurons.tau_m / neurons.C_m)
            held = steps_of_each("t_ref of neurons", neurons.t_ref, dt)
            return _table(K.LIF_EULER, neurons.V_th, neurons.I_e, euler, (neurons.V_reset, held), n)
        if isinstance(neurons, Theta):
            return _table(K.THETA, np.pi, neurons.I_e, (dt / neurons.tau_m,), (-np.pi, 0.0), n)
        membrane = (dt * neurons.k / neurons.C, neurons.vr, neurons.vt, dt / neurons.C)
        rules = (*membrane, dt * neurons.a, neurons.b)
        return _table(K.IZHIKEVICH, neurons.v_peak, neurons.I_e, rules, (neurons.c, neurons.d), n)

    # --- running ----------------------------------------------------------------------------------------------------

    @one_blas_thread
    def force(
        self,
        target,
        *,
        learn=(5000.0, 10000.0),
        duration=15000.0,
        inputs=None,
        every=None,
        P0=None,
        normalised=True,
        forgetting=1.0,
        progress=True,
    ) -> SpikingForce:
        """Run the network, learning its decoder in a part of the run by recursive least squares.

        At every update, with e = z - x, k = P r and P = P0 times the identity at first,

            φ <- φ - k eᵀ / (λ + rᵀk),   P <- (P - k kᵀ / (λ + rᵀk)) / λ.

        With λ = 1 the decoder is then the ridge regression of all x so far on their r with penalty 1 / P0.

        Parameters
        ----------
        target : array, shape (T, k) or (T,), or function
            What the outputs are to be; row t belongs to time (t + 1) dt. A function gets all times (ms).
        learn : (float, float) or None
            When learning begins and ends (ms); the first update falls on the first step. None: never.
        duration : float
            How long to run (ms), where `target` is a function.
        inputs : array, shape (T, m), optional
            Inputs from outside, a row per step.
        every : int, optional
            Steps between two updates.
        P0 : float, optional
            Size of P at the start, the inverse of a penalty: r in units of `rate_unit`.
        normalised : bool
            Whether to divide the step of φ by λ + rᵀk. The published programs do not; their first steps then overshoot,
            and the decoder is no ridge regression.
        forgetting : float
            Factor λ in (0, 1] per update; 1 for a while when rounding would else destroy P.
        progress : bool
            Whether to show a progress bar after two seconds.

        Returns
        -------
        SpikingForce

        Raises
        ------
        ValueError, TypeError
            If a shape or number does not fit.
        FloatingPointError
            If the outputs stop being finite.

        Notes
        -----
        P takes 8 n² bytes. The cost per update is one row of P per spike since the last one, and n² multiplications in
        a matrix product.
        """
        target = self._as_target(target, duration)
        lesson = self._lesson(learn, len(target), every, P0, normalised, forgetting)
        inputs, decoder = self._as_inputs(inputs, len(target)), np.zeros((self.n, self.n_outputs))
        run = K.simulate(self, self.initial_state(), decoder, target, inputs, lesson, progress=progress)
        times = self.dt * np.arange(1, len(target) + 1)
        return SpikingForce(self, times, run.output, target, run.decoder, self._trains(run), run.state, lesson)

    def run(self, duration, decoder, *, state=None, inputs=None, progress=True) -> FreeRun:
        """Run the network freely with a decoder (n, k) for `duration` (ms), from a state or from the start."""
        steps = steps_of("duration", duration, self.dt, 1)
        decoder = as_matrix("decoder", decoder, (self.n, self.n_outputs), np.float64)
        state = self.initial_state() if state is None else self._as_state(state)
        target = np.zeros((steps, self.n_outputs))
        run = K.simulate(self, state, decoder, target, self._as_inputs(inputs, steps), progress=progress)
        return FreeRun(self.dt * np.arange(1, steps + 1), run.output, self._trains(run), run.state)

    def system(self, decoder) -> "ForceSystem":
        """Return the network with a decoder (n, k) as a System whose analyses begin at the start of this network."""
        return ForceSystem(self, decoder)

    def _trains(self, run):
        stop = self.dt * len(run.output)
        return SpikeTrains(self.dt * (run.steps + 1), run.units, self.n, t_stop=stop, dt=self.dt)

    def _as_target(self, target, duration):
        if callable(target):
            steps = steps_of("duration", duration, self.dt, 1)
            target = target(self.dt * np.arange(1, steps + 1))
            if np.shape(target)[:1] != (steps,):
                raise ValueError(f"target must return one row per time, {steps}, got shape {np.shape(target)}")
        target = as_finite_array("target", target, ndim=(1, 2))
        target = target[:, None] if target.ndim == 1 else target
        if target.shape[1] != self.n_outputs or not len(target):
            raise ValueError(f"target must have shape (T, {self.n_outputs}), a row per step, got {target.shape}")
        return target

    def _as_inputs(self, inputs, steps):
        if inputs is None and self.n_inputs == 0:
            return np.zeros((steps, 0))
        if inputs is None:
            raise ValueError(
                f"inputs must be given, shape ({steps}, {self.n_inputs}): E_in has {self.n_inputs} columns"
            )
        inputs = as_finite_array("inputs", inputs, ndim=(1, 2))
        inputs = inputs[:, None] if inputs.ndim == 1 else inputs
        if inputs.shape != (steps, self.n_inputs):
            raise ValueError(f"inputs must have shape ({steps}, {self.n_inputs}), a row per step, got {inputs.shape}")
        return inputs

    def _as_state(self, state):
        state = as_finite_array("state", state, ndim=1)
        if state.shape != (6 * self.n + self.n_outputs,):
            raise ValueError(f"state must have shape ({6 * self.n + self.n_outputs},), got {state.shape}")
        return state

    def _lesson(self, learn, steps, every, P0, normalised, forgetting):
        every = as_int("every", self.every if every is None else every)
        P0 = as_positive_float("P0", self.P0 if P0 is None else P0)
        forgetting = as_fraction("forgetting", forgetting)
        if not isinstance(normalised, bool | np.bool_):
            raise TypeError(f"normalised must be True or False, got {normalised!r}")
        if learn is None:
            return None
        if not isinstance(learn, tuple | list) or len(learn) != 2:
            raise TypeError(f"learn must be two times (ms), begin and end, or None, got {learn!r}")
        start, stop = (steps_of("learn", time, self.dt, 0) for time in learn)
        if not start < stop <= steps:
            raise ValueError(
                f"learn must be two times (ms), one after the other and within the run of {self.dt * steps:g} ms, "
                f"got {tuple(learn)}"
            )
        return K.Lesson(start, stop, every, P0, bool(normalised), forgetting)


class ForceSystem(SystemDefaults):
    """A spiking network with a trained decoder as a System.

    The state is r, v, u, s, h and hr of all n neurons and the outputs z (k,), in this order; the filtered spikes r are
    what is observed. Inputs are those from outside.
    """

    _no_recurrent_matrix = "it is W0 with the feedback of the outputs; change W0 of the ForceNetwork and learn again"

    def __init__(self, network, decoder):
        self.network, self.dt = network, network.dt
        self.decoder = as_matrix("decoder", decoder, (network.n, network.n_outputs), np.float64)
        self.n_units, self.n_inputs = 6 * network.n + network.n_outputs, network.n_inputs
        self.observed, self.start = slice(0, network.n), network.initial_state()

    def __repr__(self):
        return f"ForceSystem(n_units={self.n_units}, n_inputs={self.n_inputs}, dt={self.dt:g})"

    def output(self, states) -> np.ndarray:
        """Return the outputs z (…, k) of states (…, 6 n + k)."""
        return np.asarray(states)[..., 6 * self.network.n :]

    def step(self, x, u):
        """Return the next state: (6 n + k,), (m,) -> (6 n + k,)."""
        x, u = self._point(x, u)
        states = np.empty((1, self.n_units))
        self._run(u[None], x, states)
        return states[0]

    def jacobian(self, x, u):
        """Refuse: the state jumps at spikes, and no derivative of one step tells what becomes of a perturbation."""
        raise TypeError("a spiking network has no Jacobian: for exact tangents see event_driven, else replica_growth")

    def _run(self, u, x0, out):
        if u.ndim == 3:
            return any([self._run(one, x, states) for one, x, states in zip(u, x0, out, strict=True)])
        target = np.zeros((len(u), self.network.n_outputs))
        out.fill(np.nan)  # what a run that diverges does not reach
        with suppress(FloatingPointError):
            K.simulate(self.network, x0, self.decoder, target, u, trace=out)
        return not np.isfinite(out).all()

    def _push(self, x, u, V, dU, tape):
        self.jacobian(x, u)


# helpers


def _check_neurons(neurons):
    """Return the number of neurons; raise if the loops do not know their rule."""
    if isinstance(neurons, LIF):
        if neurons.integrator != "euler" or neurons.soft_reset or np.any(neurons.sigma):
            raise ValueError(
                f"neurons must be LIF(…, integrator='euler') without noise and with a hard reset, got {neurons!r}"
            )
    elif isinstance(neurons, Izhikevich2007):
        special = [name for name in _PLAIN if np.any(getattr(neurons, name))]
        special += [name for name in ("u_max", "v_switch") if not np.all(np.isinf(getattr(neurons, name)))]
        if special:
            raise ValueError(f"neurons must follow the plain rule, got {special[0]} in {neurons!r}")
    elif not isinstance(neurons, Theta):
        raise TypeError(f"neurons must be Izhikevich2007, LIF or Theta, got {neurons!r}")
    return neurons.n


def _table(kind, peak, bias, coefficients, after, n):
    """Return the kind, the coefficients in blocks, and (reset, jump) of every neuron."""
    ends = [np.array(np.broadcast_to(np.asarray(one, np.float64), n)) for one in after]
    return kind, K.table(peak, bias, coefficients, n), ends


def _random_weights(n, p, size, rng):
    """Return size N(0, 1) at every place with probability p, else 0, as a CSR array."""
    counts, columns = [], []
    for start in range(0, n, 256):  # so that no dense matrix is made
        rows, found = np.nonzero(rng.random((min(256, n - start), n)) < p)
        counts.append(np.bincount(rows, minlength=min(256, n - start)))
        columns.append(found)
    at = np.concatenate(columns)
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    return sp.csr_array((size * rng.standard_normal(len(at)), at, indptr), shape=(n, n))
