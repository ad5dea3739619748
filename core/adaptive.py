"""A user's differential equation, solved by SciPy with controlled error, as a System."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock.adapters import as_plain, check_jacobian, check_rule, name_of
from penstock.checks import as_positive_float
from penstock.system import SystemDefaults, numerical_jacobian
from penstock.threads import one_blas_thread

__all__ = ["AdaptiveFlow"]


@dataclass(frozen=True, eq=False, repr=False)
class AdaptiveFlow(SystemDefaults):
    """Make a System of a differential equation dx/dt = rule(x, u), by a SciPy solver that controls its error.

    The input is held over every time `dt`, and the solver starts anew with each. Tangents solve the variational
    equation dV/dt = (d rule / d x) V together with the state, under the same error control. Much slower than
    `Flow`; for stiff equations and as a reference.

    Parameters
    ----------
    rule : function
        ``rule(x, u)`` with x of shape (n,) and u of shape (m,) gives dx/dt, an array (n,) or a tuple of n numbers.
    n_units, n_inputs : int
        Sizes n and m; m = 0 for an autonomous flow.
    dt : float
        Time between two steps of the System.
    rule_jacobian : function, optional
        ``rule_jacobian(x, u)`` gives d rule / d x, an array (n, n) or a tuple of n tuples. Compared with central
        differences at three random points. Without it the slopes come from the complex step, or central differences
        where that fails.
    rtol, atol : float
        Relative and absolute error that the solver allows in one of its steps, in the units of x.
    method : subclass of scipy.integrate.OdeSolver, optional
        The solver: `scipy.integrate.DOP853` by default; for stiff equations `Radau`, `BDF` or `LSODA` of the same
        module.

    Raises
    ------
    ValueError, TypeError
        If the rule does not give n values, or the Jacobian contradicts it.
    FloatingPointError
        If the solver gives up: the state diverges, or the equation is too stiff for it.

    Examples
    --------
    >>> import numpy as np
    >>> decay = AdaptiveFlow(lambda x, u: -x, n_units=1, dt=1.0)
    >>> np.allclose(decay.run(2, x0=[1.0])[:, 0], np.exp([-1.0, -2.0]), rtol=1e-9)
    True
    """

    rule: Callable
    n_units: int
    n_inputs: int = 0
    dt: float = 0.01
    rule_jacobian: Callable | None = None
    rtol: float = 1e-10
    atol: float = 1e-12
    method: Any = None

    def __post_init__(self):
        for name in ("rtol", "atol"):
            as_positive_float(name, getattr(self, name))
        from scipy.integrate import DOP853, OdeSolver  # here and below, because it is slow to import

        if self.method is None:
            object.__setattr__(self, "method", DOP853)
        if not (isinstance(self.method, type) and issubclass(self.method, OdeSolver)):
            raise TypeError(f"method must be a solver class such as scipy.integrate.Radau, got {self.method!r}")
        check_rule(self)
        check_jacobian(self)

    def __repr__(self):
        return (
            f"AdaptiveFlow({name_of(self.rule)}, n_units={self.n_units}, n_inputs={self.n_inputs}, dt={self.dt}, "
            f"{self.method.__name__}, rtol={self.rtol:g}, atol={self.atol:g})"
        )

    def step(self, x, u):
        """Return the state a time dt later: (n,), (m,) -> (n,)."""
        rule = as_plain(self.rule)
        return self._solve(lambda t, x: rule(x, u), np.asarray(x, np.float64))

    def jacobian(self, x, u):
        """Return d step / d x at (x, u), from the variational equation; shape (n, n)."""
        x, u = self._point(x, u)
        return self._variation(x, u, np.eye(self.n_units), None)[1].T

    def input_jacobian(self, x, u):
        """Return d step / d u at (x, u), from the variational equation; shape (n, m)."""
        x, u = self._point(x, u)
        return self._variation(x, u, np.zeros((self.n_inputs, self.n_units)), np.eye(self.n_inputs))[1].T

    def _push(self, x, u, V, dU, tape):
        for t, u_t in enumerate(u):
            x[:], V[:] = self._variation(x, u_t, V, dU[t] if dU.shape[0] else None)
            if tape.shape[0]:
                tape[t] = V

    def _variation(self, x, u, V, du):
        """Solve for the state and the tangents V (k, n) over one dt; du (k, m) are tangents of the held input."""
        if not np.isfinite(V).all():
            return self.step(x, u), V
        n, rule, slope = self.n_units, as_plain(self.rule), self._slope()
        # tangents are linear, so they are solved for at the size of the state, where atol means the same for them
        scale = (
            np.abs(V).max(axis=1, initial=0.0)
            if du is None
            else np.maximum(np.abs(V).max(axis=1, initial=0.0), np.abs(du).max(axis=1, initial=0.0))
        )
        scale = np.where(scale > 0, scale, 1.0)[:, None]

        def both(t, y):
            now, tangents = y[:n], y[n:].reshape(-1, n)
            grown = tangents @ slope(now, u).T
            if du is not None:
                grown += du / scale @ numerical_jacobian(lambda u: rule(now, u), u, n).T
            return np.concatenate([rule(now, u), grown.ravel()])

        end = self._solve(both, np.concatenate([x, (V / scale).ravel()]))
        return end[:n], end[n:].reshape(-1, n) * scale

    def _slope(self):
        if self.rule_jacobian is not None:
            return as_plain(self.rule_jacobian)
        rule = as_plain(self.rule)
        return lambda x, u: numerical_jacobian(lambda x: rule(x, u), x)

    @one_blas_thread
    def _solve(self, slope, start):
        from scipy.integrate import solve_ivp

        with np.errstate(over="ignore", invalid="ignore"):
            solution = solve_ivp(
                slope, (0.0, self.dt), start, method=self.method, rtol=self.rtol, atol=self.atol, t_eval=[self.dt]
            )
        if not solution.success:
            raise FloatingPointError(
                f"{self.method.__name__} gave up from state {start[: self.n_units]}: {solution.message} The state "
                "diverges, or the equation is stiff: for those pass method=scipy.integrate.Radau"
            )
        return solution.y[:, -1]
