"""The System contract: the only thing that models and analyses know of each other."""

import warnings
from collections.abc import Iterator
from copy import copy
from typing import Protocol, runtime_checkable

import numpy as np

from penstock.checks import as_finite_array, as_inputs, as_int, as_positive_float, as_state
from penstock.orthogonal import renormalise
from penstock.recurrent import keep_units, recurrent_matrix, with_recurrent
from penstock.threads import one_blas_thread

__all__ = ["Around", "System", "SystemDefaults", "as_system", "numerical_jacobian"]


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
    start: np.ndarray | None = None  # where an analysis of an autonomous system begins; None to draw a state
    timed: bool = False  # whether the last input is the time since the step before: irregular sampling
    _batch_gain: float = 1.0  # how much less a step costs in a batch of 8 to 16 series than in a series alone
    _no_recurrent_matrix: str = ""  # why W is not the recurrence that `recurrent_matrix` could give
    _synapse_fields: tuple = ()  # fields that say more of every synapse of W

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        raise NotImplementedError(f"{type(self).__name__} must define step(x, u)")

    def run(self, u, x0=None, *, chunks=None):
        """Return the states of a series or of a batch of series.

        Parameters
        ----------
        u : array, shape (T, m) or (B, T, m)
            Inputs; (T,) if the system has one input; a number of steps if it has none.
        x0 : array, shape (n,) or (B, n), optional
            State before the first step, zero by default.
        chunks : int or "auto", optional
            Run one long series as so many overlapping chunks side by side, or as many as pay: faster for large dense
            networks that forget, and certified to agree with the run step by step; see `penstock.certified_run`.

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
        if chunks is not None:
            from penstock.chunks import certified_run

            return certified_run(self, u, x0, chunks=chunks).states
        u = as_inputs(u, self.n_inputs, self.dtype)
        x0 = as_state(x0, self.n_units, u.shape[0] if u.ndim == 3 else None, self.dtype)
        states = np.empty((*u.shape[:-1], self.n_units), self.dtype)
        if self._run(u, x0, states):
            raise_diverged(states)
        return states

    def blocks(self, u, size, x0=None, *, chunks=None):
        """Yield the states of `run` in blocks of at most `size` steps along time; only one block is in memory.

        With `chunks`, which acts on one series as in `run`, some 32 MB of states are, 128 MB beside dense weights of
        2000 units and more, and the certificate of every such part is the same.
        """
        size = as_int("size", size)
        u = as_inputs(u, self.n_inputs, self.dtype)
        x0 = as_state(x0, self.n_units, u.shape[0] if u.ndim == 3 else None, self.dtype)
        if chunks is not None and u.ndim == 2:
            from penstock.chunks import certified_blocks

            return certified_blocks(self, u, size, x0, chunks)
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

    def jacobians(self, X, U):
        """Return d step / d x at many points: X (B, n), U (B, m) or (m,) for all -> (B, n, n).

        A subclass overrides `_jacobians`, which receives checked float64 arrays.
        """
        X = as_finite_array("X", X, np.result_type(self.dtype, np.float64), ndim=2)
        U = as_finite_array("U", U, ndim=(1, 2))
        n, m = self.n_units, self.n_inputs
        if X.shape[1] != n:
            raise ValueError(f"X must have shape (B, {n}), got {X.shape}")
        if U.shape not in ((m,), (len(X), m)):
            raise ValueError(f"U must have shape ({len(X)}, {m}) or ({m},), got {U.shape}")
        return self._jacobians(X, np.broadcast_to(U, (len(X), m)))

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

    def close(self, W_out, offset=0.0):
        """Feed a readout R back into the last inputs: x_t = F(x_{t-1}, [u_t, R(x_{t-1})]).

        Parameters
        ----------
        W_out : Readout, array of shape (k, n_observed), or callable
            The readout, its weights, or any function of states (…, n_observed) with values (…, k).
        offset : float or array, shape (k,)
            Constant part, where `W_out` are weights.

        Returns
        -------
        System
            Autonomous if k is the number of inputs. Start it from the last state of the driven system.
        """
        from penstock.closed_loop import ClosedLoop
        from penstock.readout import Readout

        return ClosedLoop(self, W_out if callable(W_out) else Readout(np.atleast_2d(W_out), offset))

    def save(self, path):
        """Write the system to one file; see `penstock.save`."""
        from penstock.store import save

        save(self, path)

    def starting_at(self, x0):
        """Return the same system, whose analyses begin at `x0` (n_units,) where they would else draw a state.

        A trained closed loop may have other attractors than the one it was trained on; `run` still starts from zero.
        """
        system = copy(self)
        object.__setattr__(system, "start", as_state(x0, self.n_units, None, self.dtype))
        return system

    def recurrent_matrix(self):
        """Return the weights (N, N) between the observed units, W[i, j] from unit j to unit i: an array or `csr_array`.

        Raises
        ------
        TypeError
            If the system has no one matrix whose entries may be chosen freely; says why.
        """
        return recurrent_matrix(self)

    def with_recurrent(self, W):
        """Return the same system with other recurrent weights W (N, N), dense or sparse.

        Raises
        ------
        TypeError
            If the system has no such matrix; see `recurrent_matrix`.
        ValueError
            If W is not finite or of another shape, or if the model refuses it.
        """
        return with_recurrent(self, W)

    def keep_units(self, units):
        """Return a system of some of the units only, in their order: without the others' weights, biases, ….

        Parameters
        ----------
        units : array of int, or of bool with shape (N,)
            The units that stay, at least one, of the N that `recurrent_matrix` has.

        Raises
        ------
        TypeError, ValueError
            If the system has no recurrent matrix, or a unit does not exist or is named twice, or if what remains is
            not a model of its kind (part of an orthogonal matrix is not orthogonal).
        """
        return keep_units(self, units)

    def lure_blocks(self):
        """Return the layers as `LureBlock`s, from the input up; none if the model has no such form."""
        return ()

    def piecewise_linear(self, u):
        """Return the arrays (A, B, C, d, h) of x' = A x + B relu(C x + d) + h at frozen input u (m,); None if not so.

        A (n, n), B (n, P), C (P, n), d (P,) and h (n,) in float64: fixed points and cycles then follow exactly.
        """
        return None

    def _jacobians(self, X, U):
        """Return the Jacobian at every row of X (B, n) and U (B, m): (B, n, n)."""
        J = [self.jacobian(x, u) for x, u in zip(X, U, strict=True)]
        return np.array(J).reshape(len(X), self.n_units, self.n_units)

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
            end = self.step(x, u_t)
            if not np.isfinite(end).all():
                x[:] = end
                return  # `push` says where the state diverged
            pushed = V @ self.jacobian(x, u_t).T
            if dU.shape[0]:
                pushed += dU[t] @ self.input_jacobian(x, u_t).T
            V[:], x[:] = pushed, end
            if tape.shape[0]:
                tape[t] = V

    def _push_qr(self, x, u, V, interval, logs) -> None:
        """Carry x (n,) and orthonormal rows V (k, n) through u in place, orthonormalising every `interval` steps.

        logs (segments, k) receives ln |R_ii| of every segment; the last segment may be shorter. The rows left in V may
        only span the same spaces as orthonormal ones would (`renormalise`): add the logs of a final
        `orthonormalise(V, …)`, and the sums are exact.
        """
        none = np.empty((0, V.shape[0], 0), self.dtype)
        for segment, start in enumerate(range(0, u.shape[0], interval)):
            self._push(x, u[start : start + interval], V, none, none)
            renormalise(V, logs[segment])


class Around(SystemDefaults):
    """A system around another, `system`, whose sizes, time step and type are those of the inner one."""

    system: SystemDefaults
    _no_recurrent_matrix = "its weights are those of the system inside; change that one and wrap it again"

    @property
    def n_units(self):
        """Units of the system inside."""
        return self.system.n_units

    @property
    def n_inputs(self):
        """Input channels of the system inside."""
        return self.system.n_inputs

    @property
    def dtype(self):
        """Type of the states."""
        return self.system.dtype

    @property
    def dt(self):
        """Time between two steps."""
        return self.system.dt

    @property
    def timed(self):
        """Whether the last input is the time since the step before."""
        return self.system.timed

    @property
    def observed(self):
        """The units a readout sees."""
        return self.system.observed

    def __repr__(self):
        inside = f"  {self.system!r}".replace("\n", "\n  ")
        return f"{type(self).__name__}({self._about()}) of\n{inside}"

    def _about(self):
        """Return what the repr says of the outer system."""
        return f"n_units={self.n_units}, n_inputs={self.n_inputs}"


def as_system(system) -> SystemDefaults:
    """Return `system` itself, or an object that has at least `n_units` and `step(x, u)` made into a System.

    Whatever else the object has of the contract (`run`, `jacobian`, `push`, …) is used, the rest derived. Without
    `n_inputs` it is autonomous.

    Raises
    ------
    TypeError
        If `system` is a class, or lacks `n_units` or `step`.

    Examples
    --------
    >>> class Leaky:
    ...     n_units, n_inputs = 1, 1
    ...     def step(self, x, u):
    ...         return 0.5 * x + u
    >>> as_system(Leaky()).run([1.0, 0.0])[:, 0]
    array([1. , 0.5])
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
    if not callable(system.step):
        raise TypeError(f"system.step must be a function step(x, u), got {system.step!r}")
    return _Given(system)


class _Given(SystemDefaults):
    """A user's object: what it has of the contract is its own, the rest is derived from its `step`."""

    def __init__(self, system):
        self._system = system
        self.n_units = as_int("system.n_units", system.n_units)
        self.n_inputs = as_int("system.n_inputs", getattr(system, "n_inputs", 0), minimum=0)
        own = ("observed", "jacobian", "jacobians", "input_jacobian", "push", "lure_blocks")
        for name in (*own, "piecewise_linear", "recurrent_matrix", "with_recurrent", "keep_units"):
            if hasattr(system, name):
                setattr(self, name, getattr(system, name))
        self.dt = as_positive_float("system.dt", getattr(system, "dt", 1.0))
        self.dtype = np.dtype(getattr(system, "dtype", np.float64))
        if self.dtype not in (np.float64, np.float32):
            raise TypeError(f"system.dtype must be float64 or float32, got {self.dtype}")

    def step(self, x, u):
        image = np.asarray(self._system.step(x, u))
        if image.shape != (self.n_units,):
            raise ValueError(f"step(x, u) must return shape ({self.n_units},), got {image.shape}")
        return image

    def __repr__(self):
        return repr(self._system)

    def _each_block(self, u, size, x):
        own = getattr(self._system, "blocks", None)
        return own(u, size, x) if own else super()._each_block(u, size, x)

    def _run(self, u, x0, out):
        if not hasattr(self._system, "run"):
            return super()._run(u, x0, out)
        out[...] = self._system.run(u, x0)
        return not np.isfinite(out).all()

    def _push(self, x, u, V, dU, tape):
        if not hasattr(self._system, "push") or dU.shape[0] or tape.shape[0]:
            super()._push(x, u, V, dU, tape)
            return
        state, basis = self._system.push(x, u, V.T)
        x[:], V[:] = state, np.asarray(basis).T


def raise_diverged(states) -> None:
    *series, step, unit = (int(i) for i in np.argwhere(~np.isfinite(states))[0])
    raise FloatingPointError(
        f"the state diverged: unit {unit} is {states[(*series, step, unit)]} at step {step}"
        + (f" of series {series[0]}" if series else "")
        + "; lower the spectral radius or the input scaling, or use a bounded activation"
    )


def numerical_jacobian(function, x, n_rows=None):
    """Return d function / d x: the complex step, or central differences where those contradict it.

    Raises
    ------
    FloatingPointError
        If the function is not finite at x, or neither derivative is.
    """
    x = np.asarray(x, np.float64)
    if x.size == 0:
        return np.empty((n_rows, 0))
    scale = max(1.0, float(np.abs(x).max()))
    value = np.asarray(function(x))
    if not np.isfinite(value).all():
        raise FloatingPointError(f"the state diverged: step(x, u) is not finite at {x}")
    single = value.dtype == np.float32
    coarse = _central_differences(function, x, (5e-3 if single else 1e-6) * scale)
    exact = _complex_step(function, x)
    if exact is None or not np.isfinite(exact).all():
        exact = None if np.isfinite(coarse).all() else exact
    elif not np.isfinite(coarse).all():
        coarse = exact  # the differences leave the domain, or overflow
    jacobian = coarse if exact is None else _believe(exact, coarse, function, x, scale, value, single)
    if not np.isfinite(jacobian).all():
        raise FloatingPointError(f"the derivative of step(x, u) is not finite at {x}")
    return jacobian


def _believe(exact, coarse, function, x, scale, value, single):
    """Return the complex step if differences of some reach agree with it, else the coarse ones."""
    if single:
        return exact if _agree(exact, coarse, 1e-3, 1e-3 * float(np.abs(value).max())) else coarse
    if _agree(exact, coarse, 1e-6, 2e-9 * float(np.abs(value).max())):
        return exact
    # either the complex step is wrong, or the rule so steep that the differences were too coarse
    for reach in (1e-8 * scale, 1e-6 * float(np.abs(x).max())):
        if reach > 0 and _agree(exact, _central_differences(function, x, reach), 1e-6, 0.0):
            return exact
    return coarse


def _complex_step(function, x):
    """Im function(x + i h e) / h, None if the function does not take complex numbers or drops the imaginary part."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            return np.column_stack([np.imag(function(x + 1e-20j * e)) / 1e-20 for e in np.eye(x.size)])
    except (TypeError, ValueError, AttributeError, np.exceptions.ComplexWarning):
        return None


def _central_differences(function, x, h):
    with np.errstate(invalid="ignore", over="ignore"):
        rows = [np.asarray(function(x + h * e), np.float64) - function(x - h * e) for e in np.eye(x.size)]
        return np.column_stack(rows) / (2 * h)


def _agree(exact, central, relative, rounding):
    """Whether two Jacobians are equal relative to the steepest slope, and to what rounding hides."""
    return np.abs(exact - central).max() <= relative * float(np.abs(central).max()) + rounding
