"""What event-driven networks share: steps that hold every spike at its exact time, tangents, spike trains."""

from functools import cached_property
from typing import Any

import numpy as np
import scipy

from penstock.checks import as_finite_float, as_inputs, as_state, as_vector
from penstock.spiking.trains import SpikeTrains
from penstock.system import SystemDefaults, raise_diverged

__all__: list[str] = []

FINISHED, GRAZING, RUNAWAY = 0, 1, 2  # how a call of a kernel ends


class EventSystem(SystemDefaults):
    """A spiking network whose step advances `dt` of time from spike to spike.

    A subclass gives `_advance(u, x, V, dU, out, tape, log, ending)`, which writes into `ending` how it ended, at which
    step and unit, and the number of spikes.
    """

    W: np.ndarray
    W_in: Any

    @property
    def n_neurons(self) -> int:
        """Number N of neurons."""
        return self.W.shape[0]

    @property
    def n_inputs(self) -> int:
        """Number of input channels m, 0 for an autonomous network."""
        return self.W_in.shape[1]

    @property
    def observed(self) -> slice:
        """The potentials."""
        return slice(0, self.n_neurons)

    def step(self, x, u):
        """Return the state after `dt` of time under the constant input u: (n,), (m,) -> (n,)."""
        x, u = self._point(x, u)
        return self.run(u[None], x)[0]

    def jacobian(self, x, u):
        """Return d step / d x at (x, u), shape (n, n): flow and saltation of every spike in the step."""
        x, u = self._point(x, u)
        V = np.eye(self.n_units)
        self._push(x, u[None], V, np.empty((0, self.n_units, 0)), np.empty((0, self.n_units, 0)))
        return V.T

    def input_jacobian(self, x, u):
        """Return d step / d u at (x, u), shape (n, m)."""
        x, u = self._point(x, u)
        V = np.zeros((self.n_inputs, self.n_units))
        self._push(x, u[None], V, np.eye(self.n_inputs)[None], np.empty((0, self.n_inputs, 0)))
        return V.T

    def spikes(self, u, x0=None) -> SpikeTrains:
        """Return the exact spike times of a run.

        Parameters
        ----------
        u : array, shape (T, m)
            Inputs of T > 0 steps, as in `run`; a number of steps for an autonomous network.
        x0 : array, shape (n,), optional
            State before the first step, zero by default.

        Returns
        -------
        SpikeTrains
            Times (ms) from 0 to ``T * dt``.
        """
        u = as_inputs(u, self.n_inputs)
        if u.ndim != 2:
            raise ValueError(f"u must be one series of shape (T, {self.n_inputs}), got {u.shape}")
        if not len(u):
            raise ValueError("u must have at least one step, got none")
        x0 = as_state(x0, self.n_units, None)
        states, none = np.empty((len(u), self.n_units)), np.empty((0, self.n_units))
        log = np.empty((max(64, 4 * self.n_neurons), 2))
        while True:
            count = self._carry(u, x0.copy(), none, _NONE, states, _NONE, log)
            if count <= len(log):
                break
            log = np.empty((count, 2))
        if not np.isfinite(states).all():
            raise_diverged(states)
        end = len(u) * self.dt
        times = np.minimum(log[:count, 0], end)
        return SpikeTrains(times, log[:count, 1].astype(np.int64), self.n_neurons, t_stop=end)

    @cached_property
    def _columns(self):
        """W by presynaptic neuron: weights, targets, and where those of each neuron begin."""
        columns = scipy.sparse.csc_array(self.W)
        columns.eliminate_zeros()
        columns.sort_indices()
        return columns.data, columns.indices.astype(np.uint32), columns.indptr.astype(np.uint32)

    def _run(self, u, x0, out):
        if u.ndim == 3:
            return any([self._run(one, x, states) for one, x, states in zip(u, x0, out, strict=True)])
        self._carry(u, x0, np.empty((0, x0.size)), _NONE, out, _NONE, _NO_LOG)
        return not np.isfinite(out).all()

    def _push(self, x, u, V, dU, tape):
        self._carry(u, x, V, dU, np.empty((0, x.size)), tape, _NO_LOG)

    def _carry(self, u, x, V, dU, out, tape, log):
        """Advance; return the number of spikes, or raise."""
        ending = np.zeros(4, np.int64)
        u, dU = (
            np.require(u, requirements=["C", "W"]),
            np.require(dU, requirements=["C", "W"]),
        )  # one type: compiled once
        self._advance(u, x, V, dU, out, tape, log, ending)
        status, step, unit, count = ending.tolist()
        if status == GRAZING:
            raise FloatingPointError(
                f"unit {unit} meets its threshold with slope 0 in step {step}, where tangents do not exist; "
                "start elsewhere, or use penstock.analysis.replica_growth"
            )
        if status == RUNAWAY:
            raise FloatingPointError(
                f"neurons fire without end in step {step}, of which the last is unit {unit}: pulses lift them over "
                "threshold again and again; lower the excitatory weights, or give the neurons a refractory period"
            )
        return count

    def _advance(self, u, x, V, dU, out, tape, log, ending):
        raise NotImplementedError


def set_fields(record, **values):
    """Write the checked fields of a frozen record."""
    for name, value in values.items():
        object.__setattr__(record, name, value)


def as_parameters(n, **values):
    """Return every parameter, a number or an array (n,), as a read-only array (n,)."""
    return {name: as_vector(name, _number(name, value), n) for name, value in values.items()}


def demand(name, values, allowed, rule):
    """Raise if some entry of `values` is not allowed."""
    if not np.all(allowed):
        raise ValueError(f"{name} must be {rule}, got {np.broadcast_to(values, np.shape(allowed))[~allowed][0]:g}")


def described(values):
    """Return a number that all neurons share, or the range of what they have."""
    low, high = values.min(), values.max()
    return f"{low:g}" if low == high else f"<{low:g} to {high:g}>"


def _number(name, value):
    return as_finite_float(name, value) if np.ndim(value) == 0 else value


_NONE, _NO_LOG = np.empty((0, 0, 0)), np.empty((0, 2))
