"""Closed loops: a system whose last inputs are what a readout makes of its own state."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from penstock.checks import as_int
from penstock.readout import Readout
from penstock.system import Around, SystemDefaults, as_system

__all__ = ["ClosedLoop", "PassThrough"]


@dataclass(frozen=True, eq=False, repr=False)
class ClosedLoop(Around):
    """Feed a readout back into the last inputs of a system.

    x_t = F(x_{t-1}, [u_t, R(x_{t-1})]). Whatever inputs are left over, u_t, stay inputs; with none left the loop is
    autonomous.

    Parameters
    ----------
    system : System
        What is driven, F.
    readout : Readout or callable
        R, from the observed states (…, n_observed) to the k outputs (…, k) that enter the last k channels.

    Raises
    ------
    ValueError, TypeError
        If the readout does not fit the system.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock import Map, Readout
    >>> leak = Map(lambda x, u: 0.5 * x + u, n_units=1, n_inputs=1)
    >>> closed = ClosedLoop(leak, Readout([[0.25]], 0.0))
    >>> closed.n_inputs, closed.run(2, x0=[1.0])[:, 0]
    (0, array([0.75  , 0.5625]))
    """

    system: SystemDefaults
    readout: Callable[[np.ndarray], np.ndarray]

    def __post_init__(self):
        object.__setattr__(self, "system", as_system(self.system))
        if not callable(self.readout):
            raise TypeError(f"readout must be a Readout or a function of states, got {self.readout!r}")
        if self.system.timed:
            raise ValueError(
                "system must step regularly: its last input is an elapsed time, which no readout can feed; give "
                "dataclasses.replace(system, timed=False, dt=…)"
            )
        if not 0 < self.n_fed <= self.system.n_inputs:
            most = self.system.n_inputs
            raise ValueError(f"readout must have 1 to {most} outputs, the inputs of system, got {self.n_fed}")

    @cached_property
    def n_fed(self):
        """Number k of outputs that are fed back."""
        n_observed = len(range(*self.observed.indices(self.n_units)))
        if isinstance(self.readout, Readout) and self.readout.W_out.shape[1] != n_observed:
            raise ValueError(f"readout must read {n_observed} units, got W_out of shape {self.readout.W_out.shape}")
        shape = np.shape(self.readout(np.zeros((1, n_observed), self.dtype)))
        if len(shape) != 2 or shape[0] != 1:
            raise ValueError(
                f"readout must turn states (T, {n_observed}) into outputs (T, k), got shape {shape} for T=1"
            )
        return shape[1]

    @property
    def n_inputs(self):
        """Inputs that are left: those of the system but for the fed ones."""
        return self.system.n_inputs - self.n_fed

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        return self.system.step(x, self._drive(x, u))

    def jacobian(self, x, u):
        """Return d step / d x = F_x + F_u R_x; shape (n, n). Numerical where the readout is not linear."""
        if not isinstance(self.readout, Readout):
            return super().jacobian(x, u)
        x, u = self._point(x, u)
        drive = self._drive(x, u)
        jacobian = np.array(self.system.jacobian(x, drive))
        jacobian[:, self.observed] += self.system.input_jacobian(x, drive)[:, self.n_inputs :] @ self.readout.W_out
        return jacobian

    def input_jacobian(self, x, u):
        """Return d step / d u of the inputs that are left; shape (n, m)."""
        x, u = self._point(x, u)
        return self.system.input_jacobian(x, self._drive(x, u))[:, : self.n_inputs]

    def _drive(self, x, u):
        """Return the inputs of the system: those from outside, then the outputs; any leading axes."""
        x = x[..., self.observed]
        if isinstance(self.readout, Readout):  # without its checks, for speed and complex numbers
            outputs = x @ self.readout.W_out.T + self.readout.offset
        else:
            outputs = np.array(self.readout(x if x.ndim > 1 else x[None]), order="C").reshape(*x.shape[:-1], -1)
        if self.n_inputs == 0:
            return outputs
        return np.concatenate([np.broadcast_to(u, (*x.shape[:-1], self.n_inputs)), outputs], axis=-1)

    def _run(self, u, x0, out):
        kernel = getattr(self.system, "_run_fed", None)
        if kernel is not None and isinstance(self.readout, Readout):
            readout = self.readout.W_out.astype(self.dtype), self.readout.offset.astype(self.dtype)
            series = [(u, x0, out)] if u.ndim == 2 else zip(u, x0, out, strict=True)
            return any([kernel(*readout, *one) for one in series])
        x, new = x0.copy(), np.empty_like(x0)[..., None, :]
        for t in range(u.shape[-2]):
            drive = self._drive(x, u[..., t, :]).astype(self.dtype, copy=False)
            diverged = self.system._run(drive[..., None, :], x, new)
            out[..., t, :] = x[:] = new[..., 0, :]
            if diverged:
                out[..., t + 1 :, :] = x[..., None, :]  # a unit that is not finite once stays so
                return True
        return False

    def _push(self, x, u, V, dU, tape):
        if not isinstance(self.readout, Readout):
            return super()._push(x, u, V, dU, tape)
        W, none = self.readout.W_out, np.empty((0, *V.shape), self.dtype)
        outside = np.zeros((V.shape[0], self.n_inputs), self.dtype)
        for t in range(u.shape[0]):
            drive = self._drive(x, u[t]).astype(self.dtype, copy=False)
            by_output = V[:, self.observed] @ W.T
            by_drive = np.concatenate([dU[t] if dU.shape[0] else outside, by_output], axis=1, dtype=self.dtype)
            self.system._push(x, drive[None], V, by_drive[None], none)
            if tape.shape[0]:
                tape[t] = V


@dataclass(frozen=True, eq=False, repr=False)
class PassThrough(Around):
    """Keep the last inputs of a system beside its state, so that a readout sees them too.

    The state is [x_t, v_t]: x_t = F(x_{t-1}, u_t) and v_t, the last k channels of u_t. A readout may so connect inputs
    to outputs directly, or learn the change of an output that is fed back.

    Parameters
    ----------
    system : System
        What is driven, F.
    n_kept : int
        Number k of channels kept.

    Examples
    --------
    >>> from penstock.reservoirs import ESN
    >>> PassThrough(ESN.random(3, seed=0), 1).run([5.0, 6.0])[:, -1]
    array([5., 6.])
    """

    system: SystemDefaults
    n_kept: int
    observed = slice(None)

    def __post_init__(self):
        system = as_system(self.system)
        n_kept = as_int("n_kept", self.n_kept, minimum=0)
        if not 0 < n_kept <= system.n_inputs:
            raise ValueError(f"n_kept must lie in 1…{system.n_inputs}, the inputs of system, got {n_kept}")
        object.__setattr__(self, "system", system)
        object.__setattr__(self, "n_kept", n_kept)

    @property
    def n_units(self):
        """Units of the system and channels kept."""
        return self.system.n_units + self.n_kept

    def _about(self):
        return f"n_units={self.n_units}, n_kept={self.n_kept}"

    def step(self, x, u):
        """Return the next state: (n + k,), (m,) -> (n + k,)."""
        return np.concatenate([self.system.step(x[: -self.n_kept], u), u[self.n_inputs - self.n_kept :]])

    def jacobian(self, x, u):
        """Return d step / d x: that of the system, and zero for the inputs; shape (n + k, n + k)."""
        x, u = self._point(x, u)
        whole = np.zeros((self.n_units, self.n_units))
        whole[: -self.n_kept, : -self.n_kept] = self.system.jacobian(x[: -self.n_kept], u)
        return whole

    def input_jacobian(self, x, u):
        """Return d step / d u: that of the system, and the identity below it; shape (n + k, m)."""
        x, u = self._point(x, u)
        kept = np.eye(self.n_kept, self.n_inputs, self.n_inputs - self.n_kept)
        return np.concatenate([self.system.input_jacobian(x[: -self.n_kept], u), kept])

    def _run(self, u, x0, out):
        states = np.empty((*u.shape[:-1], self.system.n_units), self.dtype)
        diverged = self.system._run(u, np.ascontiguousarray(x0[..., : -self.n_kept]), states)
        out[..., : -self.n_kept], out[..., -self.n_kept :] = states, u[..., self.n_inputs - self.n_kept :]
        return diverged

    def _push(self, x, u, V, dU, tape):
        if u.shape[0] == 0:
            return
        k, m = self.n_kept, self.n_inputs
        own, rows = x[:-k].copy(), V[:, :-k].copy()
        inner = np.empty((tape.shape[0], *rows.shape), self.dtype)
        self.system._push(own, u, rows, dU, inner)
        x[:-k], x[-k:] = own, u[-1, m - k :]
        V[:, :-k], V[:, -k:] = rows, dU[-1, :, m - k :] if dU.shape[0] else 0.0
        if tape.shape[0]:
            tape[..., :-k], tape[..., -k:] = inner, dU[..., m - k :] if dU.shape[0] else 0.0
