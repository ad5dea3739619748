"""Adapters: a user's own map or flow, jitted or plain, as a System."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numba.core.registry import CPUDispatcher

from penstock.checks import as_int, as_positive_float
from penstock.system import SystemDefaults, numerical_jacobian

__all__ = ["Flow", "Map"]


@dataclass(frozen=True, eq=False, repr=False)
class Map(SystemDefaults):
    """Make a System of a map x_t = rule(x_{t-1}, u_t).

    Parameters
    ----------
    rule : function
        ``rule(x, u)`` with x of shape (n,) and u of shape (m,) gives a new array (n,). A function compiled with
        `numba.njit` runs in a compiled loop, which is compiled once per process.
    n_units, n_inputs : int
        Sizes n and m; m = 0 for an autonomous map.
    rule_jacobian : function, optional
        ``rule_jacobian(x, u)`` gives d rule / d x, shape (n, n). Compared with central differences at three random
        points. Without it the Jacobian comes from the complex step, or central differences where that fails.
    dt : float
        Time between two steps.

    Raises
    ------
    ValueError, TypeError
        If the rule does not give n values, or the Jacobian contradicts it.

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
        _check_rule("rule", self)
        _check_jacobian(self, self.rule, self.rule_jacobian)

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        return np.asarray(_plain(self.rule)(x, u))

    def __repr__(self):
        return f"Map({_name(self.rule)}, n_units={self.n_units}, n_inputs={self.n_inputs}, dt={self.dt})"

    def jacobian(self, x, u):
        """Return d step / d x at (x, u); shape (n, n)."""
        if self.rule_jacobian is None:
            return super().jacobian(x, u)
        return np.asarray(self.rule_jacobian(*self._point(x, u)), np.float64)

    def _run(self, u, x0, out):
        if not isinstance(self.rule, CPUDispatcher):
            return super()._run(u, x0, out)
        for one, x, states in zip(*_as_batch(u, x0, out), strict=True):
            _iterate_map(self.rule, one, x, states)
        return not np.isfinite(out).all()


@dataclass(frozen=True, eq=False, repr=False)
class Flow(SystemDefaults):
    """Make a System of a differential equation dx/dt = rule(x, u), by Runge-Kutta steps of order 4.

    The input is held over every time `dt`, which is cut into `substeps` equal Runge-Kutta steps. The Jacobian is that
    of the numerical step.

    Parameters
    ----------
    rule : function
        ``rule(x, u)`` with x of shape (n,) and u of shape (m,) gives dx/dt (n,), a new array; plain or `numba.njit`.
    n_units, n_inputs : int
        Sizes n and m; m = 0 for an autonomous flow.
    dt : float
        Time between two steps of the System.
    substeps : int
        Runge-Kutta steps in each.
    rule_jacobian : function, optional
        ``rule_jacobian(x, u)`` gives d rule / d x, shape (n, n); checked as in `Map`.

    Raises
    ------
    ValueError, TypeError
        If the rule does not give n values, or the Jacobian contradicts it.

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
        _check_rule("rule", self)
        _check_jacobian(self, self.rule, self.rule_jacobian)

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
            f"Flow({_name(self.rule)}, n_units={self.n_units}, n_inputs={self.n_inputs}, dt={self.dt}, "
            f"substeps={self.substeps})"
        )

    def jacobian(self, x, u):
        """Return d step / d x at (x, u), the exact derivative of the numerical step; shape (n, n)."""
        if self.rule_jacobian is None:
            return super().jacobian(x, u)
        x, u = self._point(x, u)
        rule, slope, h = _plain(self.rule), self.rule_jacobian, self.dt / self.substeps
        one = V = np.eye(self.n_units)
        for _ in range(self.substeps):
            k1, l1 = rule(x, u), slope(x, u) @ one
            k2, l2 = rule(x + 0.5 * h * k1, u), slope(x + 0.5 * h * k1, u) @ (one + 0.5 * h * l1)
            k3, l3 = rule(x + 0.5 * h * k2, u), slope(x + 0.5 * h * k2, u) @ (one + 0.5 * h * l2)
            k4, l4 = rule(x + h * k3, u), slope(x + h * k3, u) @ (one + h * l3)
            x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            V = (one + h / 6 * (l1 + 2 * l2 + 2 * l3 + l4)) @ V
        return V

    def _run(self, u, x0, out):
        if not isinstance(self.rule, CPUDispatcher):
            return super()._run(u, x0, out)
        for one, x, states in zip(*_as_batch(u, x0, out), strict=True):
            _iterate_flow(self.rule, self.dt / self.substeps, self.substeps, one, x, states)
        return not np.isfinite(out).all()


def _plain(rule):
    """The Python function behind a compiled one, which also takes complex arguments."""
    return rule.py_func if isinstance(rule, CPUDispatcher) else rule


def _name(rule):
    return getattr(rule, "__name__", repr(rule))


def _as_batch(u, x0, out):
    return (u, x0, out) if u.ndim == 3 else (u[None], x0[None], out[None])


def _check_rule(name, system):
    if not callable(system.rule):
        raise TypeError(f"{name} must be a function of (x, u), got {system.rule!r}")
    n_units = as_int("n_units", system.n_units)
    n_inputs = as_int("n_inputs", system.n_inputs, minimum=0)
    as_positive_float("dt", system.dt)
    with np.errstate(all="ignore"):
        try:
            value = np.asarray(_plain(system.rule)(np.zeros(n_units), np.zeros(n_inputs)))
        except TypeError as error:
            raise TypeError(f"{name} must be a function of (x, u): {error}") from error
    if value.shape != (n_units,):
        raise ValueError(f"{name}(x, u) must return shape ({n_units},), got {value.shape}")
    if value.dtype.kind not in "fiub":
        raise TypeError(f"{name}(x, u) must return real numbers, got dtype {value.dtype}")


def _check_jacobian(system, rule, rule_jacobian):
    """Compare an analytic Jacobian with central differences at random points: a wrong one is refused."""
    if rule_jacobian is None:
        return
    if not callable(rule_jacobian):
        raise TypeError(f"rule_jacobian must be a function of (x, u), got {rule_jacobian!r}")
    rng = np.random.default_rng(0)
    for _ in range(3):
        x, u = rng.uniform(-0.5, 0.5, system.n_units), rng.uniform(-0.5, 0.5, system.n_inputs)
        given = np.asarray(rule_jacobian(x, u))
        if given.shape != (system.n_units, system.n_units):
            raise ValueError(f"rule_jacobian must return shape {(system.n_units,) * 2}, got {given.shape}")
        if not np.isfinite(_plain(rule)(x, u)).all():
            continue  # outside the rule's domain there is nothing to compare with
        error = np.abs(given - numerical_jacobian(lambda x, u=u: np.asarray(_plain(rule)(x, u)), x)).max()
        if not error <= 1e-5 * max(1.0, np.abs(given).max()):
            raise ValueError(f"rule_jacobian must be d rule / d x, but differs from differences by {error:.2g} at {x}")


@njit(nogil=True, error_model="numpy")
def _iterate_map(rule, u, x, out):
    for t in range(u.shape[0]):
        x[:] = rule(x, u[t])
        out[t] = x


@njit(nogil=True, error_model="numpy")
def _iterate_flow(rule, h, substeps, u, x, out):
    for t in range(u.shape[0]):
        for _ in range(substeps):
            k1 = rule(x, u[t])
            k2 = rule(x + 0.5 * h * k1, u[t])
            k3 = rule(x + 0.5 * h * k2, u[t])
            k4 = rule(x + h * k3, u[t])
            x += h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        out[t] = x
