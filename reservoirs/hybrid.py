"""Hybrid reservoirs: an imperfect model of the physics beside a reservoir, both read by one readout."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from penstock.checks import as_int
from penstock.reservoirs.esn import set_fields
from penstock.system import Around, SystemDefaults, as_system, numerical_jacobian

__all__ = ["Hybrid"]


@dataclass(frozen=True, eq=False, repr=False)
class Hybrid(Around):
    """Run a model of the physics beside a reservoir that sees the model's forecast too.

    r_t = F(r_{t-1}, [K(u_t); u_t]), with F the reservoir and K the model, which turns the present value into its
    forecast of the next. The state is [r_t; K(u_t)], so that a linear readout weighs the model against the reservoir:
    where the model is perfect it learns to take the model's word, where the model is useless the reservoir's.

    Parameters
    ----------
    system : System
        The reservoir F, whose inputs are the outputs of K and then u: with K of as many outputs as u has channels,
        ``ESN.random(500, n_inputs=2 * m, …)``.
    model : System or function
        K. Either a System without randomness whose state is what is forecast, such as a `penstock.Flow` with `dt` the
        time between two samples; inputs of its own are then the first channels of u, the state the last ones. Or a
        function ``model(U)`` of rows U (T, m) with values (T, k).
    n_inputs : int, optional
        Number m of channels of u, for a function; half the inputs of the reservoir by default.
    model_jacobian : function, optional
        ``model_jacobian(u)`` gives d K / d u, (k, m), at one u (m,), for a function; numerical by default.

    Raises
    ------
    ValueError, TypeError
        If the sizes of reservoir and model do not fit, or the model does not give one row for every row.

    Notes
    -----
    The model needs u in its own units: forecast with ``Forecaster(hybrid, standardise=False)`` and let the input
    scaling of the reservoir, one number per channel, do the rest.

    References
    ----------
    J. Pathak, A. Wikner, R. Fussell, S. Chandra, B. R. Hunt, M. Girvan, E. Ott (2018), Hybrid forecasting of chaotic
    processes: using machine learning in conjunction with a knowledge-based model, Chaos 28, 041101.

    Examples
    --------
    A Lorenz model whose last coefficient is 5 % wrong, beside 100 units:

    >>> import numpy as np
    >>> from penstock import Flow
    >>> from penstock.reservoirs import ESN
    >>> def lorenz(x, u, beta=1.05 * 8 / 3):
    ...     return 10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - beta * x[2]
    >>> model = Flow(lambda x, u: np.array(lorenz(x, u)), n_units=3, dt=0.02)
    >>> hybrid = Hybrid(ESN.random(100, n_inputs=6, input_scaling=0.02, seed=0), model)
    >>> hybrid
    Hybrid(n_units=103, n_inputs=3, model=Flow) of
      ESN(n_units=100, n_inputs=6, leak=1.0, activation=tanh, W=dense, float64)
    >>> hybrid.run([[1.0, 1.0, 1.0]])[0, -3:].round(3)
    array([1.049, 1.524, 0.971])
    """

    system: SystemDefaults
    model: Any
    _: KW_ONLY
    n_inputs: Any = None
    model_jacobian: Callable | None = None

    def __post_init__(self):
        system = as_system(self.system)
        stop, stride = system.observed.indices(system.n_units)[1:]
        if stop != system.n_units or stride != 1:
            raise ValueError(f"system must be observed up to its last unit, got observed={system.observed}")
        model: Any = self.model if _is_rule(self.model) else as_system(self.model)
        if self.model_jacobian is not None and (not callable(self.model_jacobian) or not _is_rule(model)):
            raise TypeError(f"model_jacobian must be a function and go with one, got {self.model_jacobian!r}")
        n_inputs = _count_inputs(system, model, self.n_inputs)
        set_fields(self, system=system, model=model, n_inputs=n_inputs)
        if self.n_outputs < 1:
            raise ValueError(
                f"system must have inputs for the model and for u, which has {n_inputs} channels, got {system.n_inputs}"
            )
        zero = np.zeros((1, n_inputs))
        if _is_rule(model):
            self._check(np.asarray(model(zero)), zero)
        elif model.n_units != self.n_outputs:
            raise ValueError(
                f"system must have {model.n_units} inputs for the model and {n_inputs} for u, got {system.n_inputs}"
            )

    @property
    def n_outputs(self):
        """Number k of values that the model forecasts."""
        return self.system.n_inputs - self.n_inputs

    @property
    def n_units(self):
        """Units of the reservoir, and the outputs of the model behind them."""
        return self.system.n_units + self.n_outputs

    @property
    def observed(self):
        """What a readout sees: the reservoir's observed units, and the model."""
        return slice(self.system.observed.indices(self.system.n_units)[0], None)

    def _about(self):
        name = self.model.__name__ if hasattr(self.model, "__name__") else type(self.model).__name__
        return f"n_units={self.n_units}, n_inputs={self.n_inputs}, model={name}"

    def step(self, x, u):
        """Return the next state: (n + k,), (m,) -> (n + k,)."""
        u = np.asarray(u)
        forecast = self._forecast_one(u)
        return np.concatenate([self.system.step(x[: -self.n_outputs], np.concatenate([forecast, u])), forecast])

    def jacobian(self, x, u):
        """Return d step / d x: that of the reservoir, and zero for the model; shape (n + k, n + k)."""
        x, u = self._point(x, u)
        n = self.system.n_units
        whole = np.zeros((self.n_units, self.n_units))
        whole[:n, :n] = self.system.jacobian(x[:n], np.concatenate([self._forecast_one(u), u]))
        return whole

    def input_jacobian(self, x, u):
        """Return d step / d u = [F_u [K_u; 1]; K_u]; shape (n + k, m)."""
        x, u = self._point(x, u)
        by_model = self._model_jacobian(u)
        direct = np.concatenate([by_model, np.eye(self.n_inputs)])
        drive = np.concatenate([self._forecast_one(u), u])
        return np.concatenate([self.system.input_jacobian(x[: -self.n_outputs], drive) @ direct, by_model])

    def _forecast(self, u):
        """Return the forecasts of rows u (T, m): (T, k)."""
        if _is_rule(self.model):
            return self._check(np.asarray(self.model(u)), u)
        apart = self.model.n_inputs
        return self.model.run(u[:, None, :apart], u[:, apart:])[:, 0]

    def _forecast_one(self, u):
        """Return the forecast of one value; it may be complex."""
        if _is_rule(self.model):
            return self._check(np.asarray(self.model(u[None])), u[None])[0]
        apart = self.model.n_inputs
        return self.model.step(u[apart:], u[:apart])

    def _model_jacobian(self, u):
        """Return d K / d u at one value: (k, m)."""
        shape = self.n_outputs, self.n_inputs
        if not _is_rule(self.model):
            apart = self.model.n_inputs
            parts = [f(u[apart:], u[:apart]) for f in (self.model.input_jacobian, self.model.jacobian)]
            return np.concatenate(parts, axis=1)
        if self.model_jacobian is None:
            return numerical_jacobian(self._forecast_one, u)
        jacobian = np.asarray(self.model_jacobian(u), np.float64)
        if jacobian.shape != shape:
            raise ValueError(f"model_jacobian(u) must return shape {shape}, got {jacobian.shape}")
        return jacobian

    def _check(self, forecast, u):
        if forecast.shape != (len(u), self.n_outputs):
            raise ValueError(
                f"model(U) must return shape (T, {self.n_outputs}), the {self.system.n_inputs} inputs of system less "
                f"{self.n_inputs} of u, got {forecast.shape} for T={len(u)}"
            )
        if forecast.dtype.kind not in "fiub" and not np.iscomplexobj(u):
            raise TypeError(f"model(U) must return real numbers, got dtype {forecast.dtype}")
        return forecast

    def _drive(self, u):
        """Return [K(u); u] for u (…, m), of the type of the reservoir."""
        rows = u.reshape(-1, self.n_inputs).astype(np.float64, copy=False)
        forecast = self._forecast(rows) if len(rows) else np.empty((0, self.n_outputs))
        return np.concatenate([forecast.reshape(*u.shape[:-1], self.n_outputs), u], axis=-1, dtype=self.dtype)

    def _run(self, u, x0, out):
        drive, k = self._drive(u), self.n_outputs
        states = np.empty((*u.shape[:-1], self.system.n_units), self.dtype)
        if np.isfinite(drive).all():
            diverged = self.system._run(drive, np.ascontiguousarray(x0[..., :-k]), states)
        else:
            states[...], diverged = 0.0, True  # the columns of the model say where
        out[..., :-k], out[..., -k:] = states, drive[..., :k]
        return diverged

    def _push(self, x, u, V, dU, tape):
        if u.shape[0] == 0:
            return
        k, drive = self.n_outputs, self._drive(u)
        own, rows = x[:-k].copy(), V[:, :-k].copy()
        inner = np.empty((tape.shape[0], *rows.shape), self.dtype)
        by_drive, by_model = dU, np.zeros((u.shape[0] if tape.shape[0] else 1, len(V), k), self.dtype)
        if dU.shape[0]:
            slopes = np.array([self._model_jacobian(one.astype(np.float64)) for one in u])
            by_model = (dU @ slopes.transpose(0, 2, 1)).astype(self.dtype)
            by_drive = np.concatenate([by_model, dU], axis=-1)
        self.system._push(own, drive, rows, by_drive, inner)
        x[:-k], x[-k:] = own, drive[-1, :k]
        V[:, :-k], V[:, -k:] = rows, by_model[-1]
        if tape.shape[0]:
            tape[..., :-k], tape[..., -k:] = inner, by_model


def _is_rule(model):
    """Return whether the model is a function of rows rather than a System."""
    return callable(model) and not hasattr(model, "step")


def _count_inputs(system, model, n_inputs):
    """Return the number of channels of u."""
    if not _is_rule(model):
        if n_inputs is not None and n_inputs != model.n_inputs + model.n_units:
            raise ValueError(f"n_inputs must be that of the model, {model.n_inputs + model.n_units}, got {n_inputs}")
        return model.n_inputs + model.n_units
    if n_inputs is not None:
        return as_int("n_inputs", n_inputs)
    if system.n_inputs % 2 or system.n_inputs == 0:
        raise ValueError(
            f"system must have 2 m inputs, [K(u); u], got {system.n_inputs}; or give n_inputs, the channels of u"
        )
    return system.n_inputs // 2
