"""Adapters: a user's own map or flow, jitted or plain, as a System."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba.core.errors import NumbaError
from numba.core.registry import CPUDispatcher

from penstock.checks import as_int, as_positive_float
from penstock.orthogonal import FEW
from penstock.pinning import specialise
from penstock.rules import by_complex_step, by_differences, by_jacobian, carry, iterate
from penstock.system import SystemDefaults, numerical_jacobian

__all__ = ["Flow", "Map", "as_plain", "check_jacobian", "check_rule", "name_of"]

UNROLLED = 4
"""Up to so many units or tangents the loops are compiled for exactly that number: half the time of a Lorenz step."""


class _Compiled(SystemDefaults):
    """Run and push a jitted rule in one compiled loop over the steps; a plain one goes through Python.

    A step is `_substeps` times the explicit scheme of `_scheme`: x <- keep x + sum of b_s rule(x_s), where the next
    stage x_{s+1} = x + a_s rule(x_s). A map has one stage and keeps nothing. Tangents go through the same stages, which
    makes them the exact derivative of the numerical step.
    """

    rule: Callable
    rule_jacobian: Callable | None
    _substeps: int = 1

    @property
    def _scheme(self) -> tuple[float, np.ndarray, np.ndarray]:
        """What is kept of x, the reach a_s to the next stage, and the weights b_s."""
        return 0.0, np.zeros(1), np.ones(1)

    def __getstate__(self):
        """Leave compiled code behind when copied to another process."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_iterate", "_carriers")}

    @cached_property
    def _iterate(self):
        return specialise(iterate, self.rule)

    @cached_property
    def _carriers(self) -> dict:
        """Kernels by derivative and number of unrolled tangents; None where the derivative proved wrong."""
        return {}

    def _run(self, u, x0, out):
        if not isinstance(self.rule, CPUDispatcher):
            return super()._run(u, x0, out)
        for one, x, states in zip(*_as_batch(u, x0, out), strict=True):
            self._iterate(_unrolled(self.n_units), *self._scheme, self._substeps, one, x, states)
        return not np.isfinite(out).all()

    def _push(self, x, u, V, dU, tape):
        if not self._carry(x, u, V, dU, tape, 0, np.empty((0, len(V)))):
            super()._push(x, u, V, dU, tape)

    def _push_qr(self, x, u, V, interval, logs):
        none = np.empty((0, len(V), 0))
        if len(V) > FEW or not self._carry(x, u, V, none, none, interval, logs):
            super()._push_qr(x, u, V, interval, logs)

    def _carry(self, x, u, V, dU, tape, interval, logs) -> bool:
        """Push through all of u in compiled code, by the first derivative that holds; return whether one did."""
        if not isinstance(self.rule, CPUDispatcher):
            return False
        start = x.copy(), V.copy()
        for derive in self._derivatives(dU.shape[0] > 0):
            push = self._carrier(derive, len(V))
            if push is None:
                continue
            contradicted = push(u, x, V, dU, tape, interval, logs)
            if not contradicted:
                return True
            if derive is by_jacobian:
                raise ValueError(
                    "rule_jacobian must be d rule / d x, but differs from differences of the rule within step "
                    f"{contradicted - 1}, near state {x}"
                )
            x[:], V[:] = start
        return False

    def _derivatives(self, by_input):
        """The ways to a tangent, best first; an analytic Jacobian knows nothing of the inputs."""
        if self.rule_jacobian is None or by_input:
            return (by_complex_step, by_differences)
        if isinstance(self.rule_jacobian, CPUDispatcher):
            return (by_jacobian, by_complex_step, by_differences)
        return (by_complex_step,)  # else Python, with the Jacobian given

    def _carrier(self, derive, k):
        """The kernel for a derivative and k tangents, None if it does not compile or fails at random points."""
        key = derive, min(k, UNROLLED + 1)
        if key not in self._carriers:
            slope = self.rule_jacobian if derive is by_jacobian else self.rule
            kernel = specialise(carry, self.rule, slope, derive)

            def push(u, x, V, *rest):
                sizes = _unrolled(self.n_units), _unrolled(len(V))
                contradicted = kernel(*sizes, *self._scheme, self._substeps, u, x, V, *rest)
                logs = rest[-1]  # squares as yet
                with np.errstate(divide="ignore"):
                    np.multiply(np.log(logs, out=logs), 0.5, out=logs)
                return contradicted

            self._carriers[key] = push if self._holds(derive, push, k) else None
        return self._carriers[key]

    def _holds(self, derive, push, k) -> bool:
        rng = np.random.default_rng(0)
        none = np.empty((0, k, 0))
        for _ in range(3):
            x, u = rng.uniform(-0.5, 0.5, self.n_units), rng.uniform(-0.5, 0.5, (1, self.n_inputs))
            V = rng.standard_normal((k, self.n_units))
            try:
                if push(u, x, V, none, none, 0, np.empty((0, k))):
                    return False
            except (NumbaError, NotImplementedError, TypeError):  # it does not compile: no complex numbers, say
                if derive is by_differences:
                    raise
                return False
        return True


@dataclass(frozen=True, eq=False, repr=False)
class Map(_Compiled):
    """Make a System of a map x_t = rule(x_{t-1}, u_t).

    Parameters
    ----------
    rule : function
        ``rule(x, u)`` with x of shape (n,) and u of shape (m,) gives the next state: a new array (n,), or a tuple of n
        numbers. A function compiled with `numba.njit` runs in a compiled loop, and so do its tangents.
    n_units, n_inputs : int
        Sizes n and m; m = 0 for an autonomous map.
    rule_jacobian : function, optional
        ``rule_jacobian(x, u)`` gives d rule / d x, an array (n, n) or a tuple of n tuples. Compared with differences of
        the rule at random points and, if jitted, along every trajectory pushed. Without it tangents come from the
        complex step, compared in the same way, or from central differences where that fails.
    dt : float
        Time between two steps.

    Raises
    ------
    ValueError, TypeError
        If the rule does not give n values, or the Jacobian contradicts it.

    Notes
    -----
    For speed jit the rule and return tuples, which unlike arrays cost no memory allocation: a Hénon step with two
    tangents and their orthonormalisation takes less than 0.1 microseconds. A Jacobian that is to be an array is best
    filled into `np.empty((n, n))`, since every inner list of ``np.array([[...]])`` is allocated as well. A jitted
    `rule_jacobian` halves the time of small systems; on large ones with local couplings the complex step is quicker
    than a dense Jacobian.

    Compiled code is kept on disk, so that the next process starts at once, unless the rule reads what cannot be hashed
    (arrays above 1 MB, classes, modules other than NumPy's own functions and plain values). Globals and closures are
    read when the System first runs.

    Examples
    --------
    >>> import numpy as np
    >>> logistic = Map(lambda x, u: 4 * x * (1 - x), n_units=1)
    >>> logistic.run(3, x0=[0.3])[:, 0]
    array([0.84      , 0.5376    , 0.99434496])
    >>> logistic.jacobian([0.3], [])
    array([[1.6]])
    """

    rule: Callable
    n_units: int
    n_inputs: int = 0
    rule_jacobian: Callable | None = None
    dt: float = 1.0

    def __post_init__(self):
        check_rule(self)
        check_jacobian(self)

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        return np.asarray(_plain(self.rule)(x, u))

    def __repr__(self):
        return f"Map({name_of(self.rule)}, n_units={self.n_units}, n_inputs={self.n_inputs}, dt={self.dt})"

    def jacobian(self, x, u):
        """Return d step / d x at (x, u); shape (n, n)."""
        if self.rule_jacobian is None:
            return super().jacobian(x, u)
        return np.asarray(_plain(self.rule_jacobian)(*self._point(x, u)), np.float64)


@dataclass(frozen=True, eq=False, repr=False)
class Flow(_Compiled):
    """Make a System of a differential equation dx/dt = rule(x, u), by Runge-Kutta steps of order 4.

    The input is held over every time `dt`, which is cut into `substeps` equal Runge-Kutta steps. The Jacobian is that
    of the numerical step. For steps of controlled error see `penstock.AdaptiveFlow`.

    Parameters
    ----------
    rule : function
        ``rule(x, u)`` with x of shape (n,) and u of shape (m,) gives dx/dt: a new array (n,), or a tuple of n numbers;
        plain or `numba.njit`.
    n_units, n_inputs : int
        Sizes n and m; m = 0 for an autonomous flow.
    dt : float
        Time between two steps of the System.
    substeps : int
        Runge-Kutta steps in each.
    rule_jacobian : function, optional
        ``rule_jacobian(x, u)`` gives d rule / d x, an array (n, n) or a tuple of n tuples; checked as in `Map`.

    Raises
    ------
    ValueError, TypeError
        If the rule does not give n values, or the Jacobian contradicts it.

    Notes
    -----
    For speed jit the rule and its Jacobian and return tuples, see `Map`. A Lorenz step with three tangents then takes
    about 0.15 microseconds, 0.2 with orthonormalisation at every step, 0.4 without the Jacobian; with arrays 0.7, or
    1 to 2 if the Jacobian is an ``np.array`` of lists.

    Examples
    --------
    >>> import numpy as np
    >>> decay = Flow(lambda x, u: -x, n_units=1, dt=0.1)
    >>> np.allclose(decay.run(10, x0=[1.0])[-1], np.exp(-1.0), rtol=1e-6)
    True
    """

    rule: Callable
    n_units: int
    n_inputs: int = 0
    dt: float = 0.01
    substeps: int = 1
    rule_jacobian: Callable | None = None

    def __post_init__(self):
        as_int("substeps", self.substeps)
        check_rule(self)
        check_jacobian(self)

    @property
    def _scheme(self):
        h = self.dt / self.substeps
        return 1.0, np.array([h / 2, h / 2, h, 0.0]), np.array([h / 6, h / 3, h / 3, h / 6])

    @property
    def _substeps(self):
        return self.substeps

    def step(self, x, u):
        """Return the state a time dt later: (n,), (m,) -> (n,)."""
        rule, h = _plain(self.rule), self.dt / self.substeps
        for _ in range(self.substeps):
            k1 = np.asarray(rule(x, u))
            k2 = np.asarray(rule(x + 0.5 * h * k1, u))
            k3 = np.asarray(rule(x + 0.5 * h * k2, u))
            k4 = np.asarray(rule(x + h * k3, u))
            x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return x

    def __repr__(self):
        return (
            f"Flow({name_of(self.rule)}, n_units={self.n_units}, n_inputs={self.n_inputs}, dt={self.dt}, "
            f"substeps={self.substeps})"
        )

    def jacobian(self, x, u):
        """Return d step / d x at (x, u), the exact derivative of the numerical step; shape (n, n)."""
        if self.rule_jacobian is None:
            return super().jacobian(x, u)
        x, u = self._point(x, u)
        h, one = self.dt / self.substeps, np.eye(self.n_units)
        rule, slope = (as_plain(function) for function in (self.rule, self.rule_jacobian))
        V = one
        for _ in range(self.substeps):
            k1, l1 = rule(x, u), slope(x, u) @ one
            k2, l2 = rule(x + 0.5 * h * k1, u), slope(x + 0.5 * h * k1, u) @ (one + 0.5 * h * l1)
            k3, l3 = rule(x + 0.5 * h * k2, u), slope(x + 0.5 * h * k2, u) @ (one + 0.5 * h * l2)
            k4, l4 = rule(x + h * k3, u), slope(x + h * k3, u) @ (one + h * l3)
            x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            V = (one + h / 6 * (l1 + 2 * l2 + 2 * l3 + l4)) @ V
        return V


def _plain(rule):
    """The Python function behind a compiled one, which also takes complex arguments."""
    return rule.py_func if isinstance(rule, CPUDispatcher) else rule


def as_plain(rule):
    """Return a rule in plain Python whose values are arrays; it takes complex arguments where the rule does."""
    plain = _plain(rule)
    return lambda x, u: np.asarray(plain(x, u))


def name_of(rule):
    """Return what to call a rule in a repr."""
    return getattr(rule, "__name__", repr(rule))


def _as_batch(u, x0, out):
    return (u, x0, out) if u.ndim == 3 else (u[None], x0[None], out[None])


def _unrolled(size, worth=True):
    """A thing of length `size`, known to the compiler if small."""
    return (0,) * size if worth and 0 < size <= UNROLLED else np.empty(size)


def check_rule(system):
    """Check that a rule gives n real numbers, and the sizes and dt of its system."""
    rule = system.rule
    if not callable(rule):
        raise TypeError(f"rule must be a function of (x, u), got {rule!r}")
    n_units = as_int("n_units", system.n_units)
    n_inputs = as_int("n_inputs", system.n_inputs, minimum=0)
    as_positive_float("dt", system.dt)
    with np.errstate(all="ignore"):
        try:
            value = np.asarray(_plain(rule)(np.zeros(n_units), np.zeros(n_inputs)))
        except TypeError as error:
            raise TypeError(f"rule must be a function of (x, u): {error}") from error
    if value.shape != (n_units,):
        raise ValueError(f"rule(x, u) must return shape ({n_units},), got {value.shape}")
    if value.dtype.kind not in "fiub":
        raise TypeError(f"rule(x, u) must return real numbers, got dtype {value.dtype}")


def check_jacobian(system):
    """Compare an analytic Jacobian with central differences at random points: a wrong one is refused."""
    slope, rule = system.rule_jacobian, as_plain(system.rule)
    if slope is None:
        return
    if not callable(slope):
        raise TypeError(f"rule_jacobian must be a function of (x, u), got {slope!r}")
    rng = np.random.default_rng(0)
    for _ in range(3):
        x, u = rng.uniform(-0.5, 0.5, system.n_units), rng.uniform(-0.5, 0.5, system.n_inputs)
        given = np.asarray(_plain(slope)(x, u))
        if given.shape != (system.n_units, system.n_units):
            raise ValueError(f"rule_jacobian must return shape {(system.n_units,) * 2}, got {given.shape}")
        if not np.isfinite(rule(x, u)).all():
            continue  # outside the rule's domain there is nothing to compare with
        error = np.abs(given - numerical_jacobian(lambda x, u=u: rule(x, u), x)).max()
        if not error <= 1e-5 * max(1.0, np.abs(given).max()):
            raise ValueError(f"rule_jacobian must be d rule / d x, but differs from differences by {error:.2g} at {x}")
