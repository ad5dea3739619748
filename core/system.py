"""The System contract: the only thing that models and analyses know of each other."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np

from penstock.checks import as_finite_array, as_inputs, as_int, as_state
from penstock.orthogonal import orthonormalise
from penstock.threads import one_blas_thread

__all__ = ["System", "SystemDefaults", "as_system", "numerical_jacobian"]


@runtime_checkable
class System(Protocol):
    """Whatever evolves in time as x_t = F(x_{t-1}, u_t).

    Attributes
    ----------
    n_units : int
        Dimension n of the state.
    n_inputs : int
        Dimension m of the input, 0 for an autonomous system.
    dt : float
        Time between two steps, 1.0 for maps.
    observed : slice
        The part of the state that a readout sees; `slice(None)` for all of it.
    dtype : numpy.dtype
        float64 or float32, the type of the states.
    """

    @property
    def n_units(self) -> int: ...  # noqa: D102
    @property
    def n_inputs(self) -> int: ...  # noqa: D102
    @property
    def dt(self) -> float: ...  # noqa: D102
    @property
    def observed(self) -> slice: ...  # noqa: D102
    @property
    def dtype(self) -> np.dtype: ...  # noqa: D102

    def step(self, x, u) -> np.ndarray:
        """Return the next state: (n,), (m,) -> (n,)."""
        ...

    def run(self, u, x0=None) -> np.ndarray:
        """Return the states of a series, (T, m) -> (T, n), or of a batch, (B, T, m) -> (B, T, n)."""
        ...

    def blocks(self, u, size, x0=None) -> Iterator[np.ndarray]:
        """Yield the states of `run` in blocks of at most `size` steps, so that nothing need be stored."""
        ...

    def jacobian(self, x, u) -> np.ndarray:
        """Return d step / d x at (x, u): (n, n), column vectors, J[i, j] = d x'_i / d x_j."""
        ...

    def input_jacobian(self, x, u) -> np.ndarray:
        """Return d step / d u at (x, u): (n, m)."""
        ...

    def push(self, x, u, basis) -> tuple[np.ndarray, np.ndarray]:
        """Return state (n,) and tangent basis (n, k) carried through all of u (T, m)."""
        ...


class SystemDefaults:
    """What a model inherits when it does not write it: `run`, `blocks`, `jacobian` and `push` from `step` alone.

    A subclass gives `n_units`, `n_inputs` and `step`. For speed it overrides `_run` and `_push`, which receive
    checked arrays and work in place; `run`, `blocks` and `push` stay here, so that every model meets bad input in
    the same way.
    `run` never remembers: it starts from zero unless `x0` is given, and is continued with ``x0=states[-1]``.
    """

    n_units: int
    n_inputs: int
    dt: float = 1.0
    observed: slice = slice(None)
    dtype: np.dtype = np.dtype(np.float64)

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        raise NotImplementedError(f"{type(self).__name__} must define step(x, u)")

    def run(self, u, x0=None):
        """Return the states of a series or of a batch of series.

        Parameters
        ----------
        u : array, shape (T, m) or (B, T, m)
            Inputs; (T,) if the system has one input; a number of steps if it has none.
        x0 : array, shape (n,) or (B, n), optional
            State before the first step, zero by default.

        Returns
        -------
        array, shape (T, n) or (B, T, n)
            The state after every step.

        Raises
        ------
        ValueError, TypeError
            If `u` or `x0` has the wrong shape or type, or is not finite.
        FloatingPointError
            If a state stops being finite: names the step and the unit.
        """
        u = as_inputs(u, self.n_inputs, self.dtype)
        x0 = as_state(x0, self.n_units, u.shape[0] if u.ndim == 3 else None, self.dtype)
        states = np.empty((*u.shape[:-1], self.n_units), self.dtype)
        if self._run(u, x0, states):
            _raise_diverged(states)
        return states

    def blocks(self, u, size, x0=None):
        """Yield the states of `run` in blocks of at most `size` steps along time; only one block is in memory."""
        size = as_int("size", size)
        u = as_inputs(u, self.n_inputs, self.dtype)
        x0 = as_state(x0, self.n_units, u.shape[0] if u.ndim == 3 else None, self.dtype)
        return self._each_block(u, size, x0)

    def _each_block(self, u, size, x):
        for start in range(0, u.shape[-2], size):
            try:
                states = self.run(u[..., start : start + size, :], x)
            except FloatingPointError as error:
                raise FloatingPointError(f"{error} (counted from step {start})") from None
            x = states[..., -1, :].copy()
            yield states

    def jacobian(self, x, u):
        """Return d step / d x at (x, u), shape (n, n): complex step where it holds, else central differences."""
        x, u = self._point(x, u)
        return numerical_jacobian(lambda x: self.step(x, u), x)

    def input_jacobian(self, x, u):
        """Return d step / d u at (x, u), shape (n, m), in the same way."""
        x, u = self._point(x, u)
        return numerical_jacobian(lambda u: self.step(x, u), u, self.n_units)

    @one_blas_thread
    def push(self, x, u, basis):
        """Carry a state and a tangent basis through all of `u`: x (n,), u (T, m), basis (n, k) -> (x, basis).

        The basis moves as V <- J V with the Jacobian of every step and is not normalised on the way.

        Raises
        ------
        ValueError, TypeError
            If a shape or type does not fit.
        FloatingPointError
            If the state or the basis stops being finite.
        """
        u = as_inputs(u, self.n_inputs, self.dtype)
        if u.ndim != 2:
            raise ValueError(f"u must be one series of shape (T, {self.n_inputs}), got {u.shape}")
        x = as_state(x, self.n_units, None, self.dtype)
        basis = as_finite_array("basis", basis, self.dtype, ndim=2)
        if basis.shape[0] != self.n_units:
            raise ValueError(f"basis must have shape ({self.n_units}, k), got {basis.shape}")
        rows = np.array(basis.T, order="C")
        none = np.empty((0, rows.shape[0], 0), self.dtype)
        start = x.copy()
        self._push(x, u, rows, none, none)
        if not np.isfinite(x).all():
            self.run(u, start)  # names the step and the unit
        if not np.isfinite(rows).all():
            raise FloatingPointError(f"the tangents overflowed within {len(u)} steps; push fewer steps at a time")
        return x, rows.T

    def lure_blocks(self):
        """Return the layers as `LureBlock`s, from the input up; none if the model has no such form."""
        return ()

    def _point(self, x, u):
        """Return a checked state and input; the input may be a number if there is one channel."""
        x = as_state(x, self.n_units, None, np.result_type(self.dtype, np.float64))
        u = np.atleast_1d(as_finite_array("u", u, ndim=(0, 1)))
        if u.shape != (self.n_inputs,):
            raise ValueError(f"u must have shape ({self.n_inputs},) at one step, got {u.shape}")
        return x, u

    def _run(self, u, x0, out) -> bool:
        """Fill `out` with the states; return whether one of them is not finite."""
        if u.ndim == 3:
            return any([self._run(one, x, states) for one, x, states in zip(u, x0, out, strict=True)])
        x = x0
        for t, u_t in enumerate(u):
            x = self.step(x, u_t)
            if np.shape(x) != x0.shape:
                raise ValueError(f"step(x, u) must return shape {x0.shape}, got {np.shape(x)}")
            out[t] = x
        return not np.isfinite(out).all()

    def _push(self, x, u, V, dU, tape) -> None:
        """Carry x (n,) and the tangents V (k, n), stored as rows, through u in place.

        dU (T, k, m) are tangents of the inputs and tape (T, k, n) records V after every step, so that layers can be
        chained; either may have length 0 for none.
        """
        for t, u_t in enumerate(u):
            pushed = V @ self.jacobian(x, u_t).T
            if dU.shape[0]:
                pushed += dU[t] @ self.input_jacobian(x, u_t).T
            V[:] = pushed
            x[:] = self.step(x, u_t)
            if tape.shape[0]:
                tape[t] = V

    def _push_qr(self, x, u, V, interval, logs) -> None:
        """Carry x (n,) and orthonormal rows V (k, n) through u in place, orthonormalising every `interval` steps.

        logs (segments, k) receives ln |R_ii| of every segment; the last segment may be shorter.
        """
        none = np.empty((0, V.shape[0], 0), self.dtype)
        for segment, start in enumerate(range(0, u.shape[0], interval)):
            self._push(x, u[start : start + interval], V, none, none)
            orthonormalise(V, logs[segment])


def as_system(system) -> SystemDefaults:
    """Return `system` itself, or an object that has at least `n_units` and `step(x, u)` made into a System.

    Whatever else the object has of the contract (`run`, `jacobian`, `push`, …) is used, the rest derived.

    Raises
    ------
    TypeError
        If `system` is a class, or lacks `n_units` or `step`.
    """
    if isinstance(system, SystemDefaults):
        return system
    if isinstance(system, type):
        raise TypeError(f"system must be a System, got the class {system.__name__}; make one, {system.__name__}(…)")
    for name in ("n_units", "step"):
        if not hasattr(system, name):
            raise TypeError(
                f"system must be a System, got {system!r} without `{name}`; "
                "a System needs n_units, n_inputs and step(x, u)"
            )
    return _Given(system)


class _Given(SystemDefaults):
    """A user's object: what it has of the contract is its own, the rest is derived from its `step`."""

    def __init__(self, system):
        self._system = system
        self.n_units = as_int("system.n_units", system.n_units)
        self.n_inputs = as_int("system.n_inputs", getattr(system, "n_inputs", 0), minimum=0)
        for name in ("dt", "observed", "dtype", "run", "jacobian", "input_jacobian", "push", "lure_blocks"):
            if hasattr(system, name):
                setattr(self, name, getattr(system, name))

    def step(self, x, u):
        return np.asarray(self._system.step(x, u))

    def __repr__(self):
        return repr(self._system)

    def _push(self, x, u, V, dU, tape):
        if not hasattr(self._system, "push") or dU.shape[0] or tape.shape[0]:
            super()._push(x, u, V, dU, tape)
            return
        state, basis = self._system.push(x, u, V.T)
        x[:], V[:] = state, np.asarray(basis).T


def _raise_diverged(states) -> None:
    *series, step, unit = (int(i) for i in np.argwhere(~np.isfinite(states))[0])
    raise FloatingPointError(
        f"the state diverged: unit {unit} is {states[(*series, step, unit)]} at step {step}"
        + (f" of series {series[0]}" if series else "")
        + "; lower the spectral radius or the input scaling, or use a bounded activation"
    )


def numerical_jacobian(function, x, n_rows=None):
    """Complex step, checked against central differences and replaced by them where the two disagree."""
    if x.size == 0:
        return np.empty((n_rows, 0))
    scale = max(1.0, float(np.abs(x).max()))
    coarse = _central_differences(function, x, 1e-6 * scale)
    try:
        exact = np.column_stack([np.imag(function(x + 1e-20j * e)) / 1e-20 for e in np.eye(x.size)])
    except (TypeError, ValueError, AttributeError):
        return coarse
    if _agree(exact, coarse):
        return exact
    # either the complex step is wrong, or the rule so steep that the differences were too coarse
    return exact if _agree(exact, _central_differences(function, x, 1e-8 * scale)) else coarse


def _central_differences(function, x, h):
    return np.column_stack([(function(x + h * e) - function(x - h * e)) / (2 * h) for e in np.eye(x.size)])


def _agree(exact, central):
    return np.abs(exact - central).max() <= 1e-6 * max(1.0, float(np.abs(central).max()))
