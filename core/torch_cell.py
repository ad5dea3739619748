"""A cell trained in PyTorch as a System. PyTorch is imported when a cell is made, never with penstock."""

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from penstock.checks import as_finite_array, as_int, as_positive_float, as_vector
from penstock.readout import Readout
from penstock.system import SystemDefaults

__all__ = ["TorchCell"]


@dataclass(frozen=True, eq=False, repr=False)
class TorchCell(SystemDefaults):
    """Make a System of a PyTorch cell x_t = module(u_t, x_{t-1}), with Jacobians by automatic differentiation.

    The module is copied and its parameters frozen: training yours further does not change the System.

    Parameters
    ----------
    module : torch.nn.Module or function
        A `torch.nn.RNNCell`, `GRUCell` or `LSTMCell`; an RNN, GRU or LSTM layer of one layer and one direction, read
        as its cell; or anything else that takes a batch ``module(u, x)``, u (B, m) and x (B, n), in the argument
        order of PyTorch's cells, to the next x (B, n). It must be deterministic: call its `eval` method first if it
        has dropout. The state of an LSTM is [h, c], of which a readout sees h. A function is not copied.
    n_units, n_inputs : int, optional
        Sizes n and m; read from `hidden_size` and `input_size` where the module has them. m = 0 for an autonomous
        module, which still gets u of shape (B, 0).
    dt : float
        Time between two steps.
    dtype : numpy.dtype, optional
        float64 or float32; by default the type of the module's parameters, float64 for a function. With float64 the
        copy of a float32 module computes in float64, as fixed points and small exponents need.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    TypeError
        If `module` cannot be called, or is a layer for whole series that has no single cell.
    ValueError
        If sizes are missing or wrong, two calls differ (dropout), or the rows of a batch influence each other.

    Examples
    --------
    >>> import torch                                                              # doctest: +SKIP
    >>> cell = TorchCell(torch.nn.GRUCell(3, 64), dtype="float64")                # doctest: +SKIP
    >>> cell                                                                      # doctest: +SKIP
    TorchCell(GRUCell, n_units=64, n_inputs=3, dt=1.0, float64)
    >>> cell.jacobian(np.zeros(64), np.zeros(3)).shape                            # doctest: +SKIP
    (64, 64)
    """

    module: Any
    n_units: Any = None
    n_inputs: Any = None
    dt: float = 1.0
    dtype: Any = None

    def __post_init__(self):
        torch = _torch()
        module, dtype = _frozen(torch, self.module, self.dtype)
        n_units, n_inputs = self.n_units, self.n_inputs
        if n_units is None and isinstance(getattr(module, "hidden_size", None), int):
            n_units = module.hidden_size * (2 if isinstance(module, torch.nn.LSTMCell) else 1)
        if n_inputs is None:
            n_inputs = getattr(module, "input_size", None)
        for name, size in (("n_units", n_units), ("n_inputs", n_inputs)):
            if size is None:
                raise ValueError(f"{name} must be given: {_name(module)} does not tell its size")
        n_units, n_inputs = as_int("n_units", n_units), as_int("n_inputs", n_inputs, minimum=0)
        as_positive_float("dt", self.dt)
        for name, value in (("module", module), ("n_units", n_units), ("n_inputs", n_inputs), ("dtype", dtype)):
            object.__setattr__(self, name, value)
        _check_step(torch, self)

    @cached_property
    def observed(self):  # type: ignore[override]
        """The units a readout sees: h of an LSTM, all of others."""
        torch = _torch()
        return slice(0, self.n_units // 2) if isinstance(self.module, torch.nn.LSTMCell) else slice(None)

    def __repr__(self):
        return (
            f"TorchCell({_name(self.module)}, n_units={self.n_units}, n_inputs={self.n_inputs}, dt={self.dt}, "
            f"{self.dtype})"
        )

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        if np.iscomplexobj(x) or np.iscomplexobj(u):
            raise TypeError("x and u must be real: the derivatives of a TorchCell come from PyTorch")
        with _torch().no_grad():
            return self._array(self._next(self._tensor(u)[None], self._tensor(x)[None])[0])

    def jacobian(self, x, u):
        """Return d step / d x at (x, u), by automatic differentiation; shape (n, n)."""
        return self._array(self._derivative(0)(*self._tensors(x, u)))

    def input_jacobian(self, x, u):
        """Return d step / d u at (x, u), by automatic differentiation; shape (n, m)."""
        point = self._tensors(x, u)
        return self._array(self._derivative(1)(*point)) if self.n_inputs else np.empty((self.n_units, 0), self.dtype)

    def close(self, W_out, offset=0.0):
        """Feed a linear readout u_t = W_out x_{t-1} + offset back: an autonomous TorchCell.

        Parameters
        ----------
        W_out : array, shape (m, n), or Readout
            Readout of the inputs from the observed units (h of an LSTM); a fitted `Readout` brings its own offset.
        offset : float or array, shape (m,)
            Constant part of the readout.

        Returns
        -------
        TorchCell
            Without inputs. Start it from the last state of the driven cell: ``closed.run(500, x0=states[-1])``.
        """
        if isinstance(W_out, Readout):
            W_out, offset = W_out.W_out, W_out.offset
        seen = len(range(self.n_units)[self.observed])
        W_out = as_finite_array("W_out", np.atleast_2d(W_out), self.dtype, ndim=2)
        if W_out.shape != (self.n_inputs, seen):
            raise ValueError(f"W_out must have shape ({self.n_inputs}, {seen}), got {W_out.shape}")
        offset = np.array(as_vector("offset", offset, self.n_inputs, self.dtype))  # torch wants to be able to write
        loop = _Closed(self, self._tensor(W_out), self._tensor(offset))
        return TorchCell(loop, self.n_units, 0, self.dt, self.dtype)

    def _next(self, u, x):
        """One step of a batch of tensors."""
        torch = _torch()
        if isinstance(self.module, torch.nn.LSTMCell):
            return torch.cat(self.module(u, x.chunk(2, -1)), -1)
        return self.module(u, x)

    def _one(self, x, u):
        return self._next(u[None], x[None]).reshape(self.n_units)

    def _derivative(self, argument):
        self._check_derivatives()
        return _torch().func.jacrev(self._one, argnums=argument)

    @cached_property
    def _device(self):
        if not hasattr(self.module, "parameters"):
            return getattr(self.module, "device", None)
        return next((tensor.device for tensor in self.module.parameters()), None)

    def _tensor(self, array):
        return _torch().tensor(np.asarray(array, self.dtype), device=self._device)

    def _array(self, tensor):
        return np.array(tensor.detach().cpu().numpy(), order="C")

    def _tensors(self, x, u):
        return tuple(self._tensor(part) for part in self._point(x, u))

    def _run(self, u, x0, out):
        series, starts, kept = (u, x0, out) if u.ndim == 3 else (u[None], x0[None], out[None])
        inputs, states = self._tensor(series), self._tensor(starts)
        with _torch().no_grad():
            for t in range(inputs.shape[1]):
                states = self._next(inputs[:, t], states)
                kept[:, t] = states.cpu().numpy()
        return not np.isfinite(out).all()

    def _jacobians(self, X, U):
        return self._array(_torch().func.vmap(self._derivative(0))(self._tensor(X), self._tensor(U)))

    def _push(self, x, u, V, dU, tape):
        self._check_derivatives()
        state, rows, inputs = self._tensor(x), self._tensor(V), self._tensor(u)
        for t in range(len(u)):
            moved = self._tensor(dU[t]) if dU.shape[0] else None
            state, rows = self._pushed(state, inputs[t], rows, moved)
            if tape.shape[0]:
                tape[t] = rows.cpu().numpy()
        x[:], V[:] = state.cpu().numpy(), rows.cpu().numpy()

    def _pushed(self, x, u, rows, moved):
        """Return the next x and the tangents J v + F_u du of all rows, which make the batch.

        J^T w is linear in w, so its derivative by w along v is J v: two backward passes, and no J.
        """
        torch = _torch()
        with torch.enable_grad():
            X, U = (part.repeat(len(rows) + 1, 1).requires_grad_() for part in (x, u))
            new = self._next(U, X) + 0.0 * X  # so that a derivative of zero is one, too
            w = torch.zeros_like(new, requires_grad=True)
            by_state, by_input = torch.autograd.grad(new, (X, U), w, create_graph=True, allow_unused=True)
            along = (by_state[:-1] * rows).sum()
            if moved is not None and by_input is not None:
                along = along + (by_input[:-1] * moved).sum()
            (pushed,) = torch.autograd.grad(along, w)
        return new[-1].detach(), pushed[:-1]

    @cached_property
    def _derivatives_hold(self):
        """Whether PyTorch's derivative agrees with central differences in one of three places (others: a kink)."""
        rng, h = np.random.default_rng(0), 1e-6 if self.dtype == np.float64 else 1e-3
        for _ in range(3):
            x, u, v, du = (rng.uniform(-0.5, 0.5, size) for size in (self.n_units, self.n_inputs) * 2)
            tensors = [self._tensor(part) for part in (x, u, v[None], du[None])]
            pushed = self._array(self._pushed(*tensors)[1][0])
            central = (self.step(x + h * v, u + h * du) - self.step(x - h * v, u - h * du)) / (2 * h)
            if np.linalg.norm(pushed - central) <= 0.01 * np.linalg.norm(central) + 0.01:
                return True
        return False

    def _check_derivatives(self):
        if not self._derivatives_hold:
            raise ValueError(
                "module must be differentiable by PyTorch, but its derivative contradicts central differences: look "
                "for detach, no_grad, thresholds or surrogate gradients; penstock.Map differentiates without PyTorch"
            )


class _Closed:
    """The step of a cell that reads its own input off its state."""

    def __init__(self, cell, W_out, offset):
        self.cell, self.W_out, self.offset, self.device = cell, W_out, offset, cell._device
        self.__name__ = f"closed {_name(cell.module)}"

    def __call__(self, u, x):
        return self.cell._next(x[:, self.cell.observed] @ self.W_out.T + self.offset, x)


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError('TorchCell needs PyTorch: pip install "penstock[torch]"') from error
    return torch


def _name(module):
    return getattr(module, "__name__", type(module).__name__)


def _frozen(torch, module, dtype):
    """Return the module as a frozen copy of a type, and that type; a function as it is."""
    if not callable(module) or isinstance(module, type):
        raise TypeError(f"module must be a torch cell or a function of (u, x), got {module!r}")
    allowed = {np.dtype(np.float64): torch.float64, np.dtype(np.float32): torch.float32}
    if dtype is not None and (dtype := np.dtype(dtype)) not in allowed:
        raise ValueError(f"dtype must be float64 or float32, got {dtype}")
    if not isinstance(module, torch.nn.Module):
        return module, np.dtype(np.float64) if dtype is None else dtype
    _refuse_chance(torch, module)
    module = copy.deepcopy(_as_cell(torch, module)).requires_grad_(False)
    if dtype is None:
        kinds = {p.dtype for p in module.parameters()} or {torch.float64}
        dtype = next((kind for kind, name in allowed.items() if kinds == {name}), None)
        if dtype is None:
            raise ValueError(f"module must hold float64 or float32 parameters, got {kinds}; give dtype")
    return module.to(allowed[dtype]), dtype


def _refuse_chance(torch, module):
    """Refuse parts that draw or learn while they run."""
    nn = torch.nn
    for name, part in module.named_modules():
        drops = isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0
        learns = isinstance(part, nn.modules.batchnorm._BatchNorm)
        if part.training and (drops or learns):
            where = f" at {name}" if name else ""
            raise ValueError(
                f"module must be in evaluation mode, got a training {part}{where}: call its `eval` method first"
            )


def _as_cell(torch, module):
    """Return the cell of a recurrent layer; any other module as it is."""
    nn = torch.nn
    if not isinstance(module, nn.RNNBase):
        return module
    kinds = {"RNN_TANH": nn.RNNCell, "RNN_RELU": nn.RNNCell, "GRU": nn.GRUCell, "LSTM": nn.LSTMCell}
    if module.num_layers > 1 or module.bidirectional or module.proj_size or module.mode not in kinds:
        raise TypeError(
            f"module must be one cell, got {module}: only one layer in one direction, without projection, is read as "
            "its cell; for several layers see penstock.reservoirs.rnn_from_torch and Stack"
        )
    own = module.weight_hh_l0
    extra = {"nonlinearity": module.nonlinearity} if module.mode.startswith("RNN") else {}
    cell = kinds[module.mode](
        module.input_size, module.hidden_size, module.bias, device=own.device, dtype=own.dtype, **extra
    )
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in module.state_dict().items()})
    return cell.train(module.training)


def _check_step(torch, cell):
    """Try a batch of three points twice, and each point by itself."""
    rng = np.random.default_rng(0)
    u, x = (cell._tensor(rng.uniform(-0.5, 0.5, (3, size))) for size in (cell.n_inputs, cell.n_units))
    try:
        with torch.no_grad():
            first, again = cell._next(u, x), cell._next(u, x)
            alone = [cell._next(u[b : b + 1], x[b : b + 1]) for b in range(3)]
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise ValueError(
            f"module(u, x) must take u of shape (B, {cell.n_inputs}) and x of shape (B, {cell.n_units}), both "
            f"{cell.dtype}: {error}"
        ) from error
    if not isinstance(first, torch.Tensor) or first.shape != x.shape or first.dtype != x.dtype:
        got = f"{tuple(first.shape)} of {first.dtype}" if isinstance(first, torch.Tensor) else type(first).__name__
        raise ValueError(f"module(u, x) must return shape (B, {cell.n_units}) of {x.dtype}, got {got}")
    if not torch.equal(first.nan_to_num(), again.nan_to_num()):
        raise ValueError(
            "module must be deterministic, but two calls with the same (u, x) differ: call its `eval` method first"
        )
    if not torch.allclose(first, torch.cat(alone), rtol=1e-4, atol=1e-5, equal_nan=True):
        raise ValueError("module(u, x) must treat the rows of a batch alike and apart, but alone they move differently")
