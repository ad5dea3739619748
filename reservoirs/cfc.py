"""Closed-form continuous-time cells: gated networks whose gates know the elapsed time."""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property

import numpy as np

from penstock.checks import (
    as_int,
    as_matrix,
    as_non_negative_float,
    as_positive_float,
    as_vector,
    float_type,
    generators,
    seed_sequence,
)
from penstock.readout import Readout
from penstock.reservoirs.cfc_drawing import draw_layer, draw_memory, wiring_masks
from penstock.reservoirs.cfc_kernels import advance, kernel_fields
from penstock.reservoirs.drawing import draw_bias, draw_input_weights
from penstock.reservoirs.elapsed import check_timed, split_elapsed
from penstock.reservoirs.esn import Weighted, as_dtype, set_fields, to_dense
from penstock.reservoirs.heads import (
    N_HEADS,
    backbone_code,
    backbone_slope,
    lecun_tanh,
    memory_slopes,
    mode_code,
    mode_slopes,
    pure,
    remember,
    with_gate,
)
from penstock.reservoirs.stack import Stack
from penstock.threads import one_blas_thread

__all__ = ["CfC"]


@dataclass(frozen=True, eq=False, repr=False)
class CfC(Weighted):
    """Run a closed-form continuous-time cell: a gated network whose gates are functions of the elapsed time t.

    z = W h + W_in u + b goes through the further layers, z <- W_l f(z) + b_l, of which the last makes the heads:
    (f, g, a, b) for the modes `with_gate` and `no_gate`, f alone for `pure`. With the time gate s = sigmoid(a t + b)

    - `with_gate`: h' = (1 - s) tanh(f) + s tanh(g), within ±1;
    - `no_gate`: h' = tanh(f) + s tanh(g), within ±2;
    - `pure`: h' = A - A exp(-t (\\|w_tau\\| + \\|f\\|)) f.

    With a mixed memory an LSTM cell steps first, and its output takes the place of h: c' = s(z_3 + 1) c + s(z_2)
    tanh(z_1), h = s(z_4) tanh(c'), with (z_1, z_2, z_3, z_4) of its own weights and s the sigmoid; the state is
    then [h', c'], of which a readout sees h'.

    It is a cell of its own, and no accurate solver of an `LTC`: at t = 0 the closed form is not the state it starts
    from, and for large t it goes to A whatever the fixed point. Over 200 random neurons of one variable and t up to 5
    its mean distance from the solution of the equation is 0.4 to 0.55, by how they are drawn: as much as the states
    themselves spread. For a step of an `LTC` without iterations take ``solver=exponential_euler`` there.

    Parameters
    ----------
    W : array, shape (r, n)
        Weights of the first layer on the state: r units of the backbone, or all heads on top of each other, r = 4 n
        (n for `pure`), in a cell without backbone. float32 makes a float32 model; a zero is a missing synapse.
    W_in : array, shape (r, m)
        Weights of the first layer on the inputs; the elapsed time is none of them.
    bias : float or array, shape (r,)
        Bias of the first layer.
    layers : sequence of pairs (array, array)
        Weights and bias of the further layers; the last one makes the heads f, g, a, b on top of each other.
    mode : function
        `with_gate`, `no_gate` or `pure`.
    activation : function
        What bends every layer of the backbone, f in the equation: `lecun_tanh`, `silu`, `gelu`, `penstock.tanh` or
        `penstock.relu`.
    w_tau, A : float or array, shape (n,), optional
        Leak and late state of the mode `pure`, 0 and 1 if not given; the other modes have none.
    memory : tuple of three arrays, optional
        W (4 n, n), W_in (4 n, m) and bias (4 n,) of the LSTM cell: candidate, input, forget and output gate on top
        of each other. 1 is added to the forget gate.
    dt : float
        Elapsed time t of every step, if not `timed`.
    timed : bool
        Whether the last input is the time since the step before, as `elapsed_inputs` makes it; then n_inputs = m + 1.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, a number is not finite, `dt` is not positive, or a setting belongs to another mode.

    References
    ----------
    R. Hasani et al. (2022), Closed-form continuous-time neural networks, Nature Machine Intelligence 4. Mixed memory:
    M. Lechner, R. Hasani (2020), Learning long-term dependencies in irregularly-sampled time series, arXiv 2006.04418.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.reservoirs import elapsed_inputs
    >>> cell = CfC.random(50, timed=True, seed=0)
    >>> cell
    CfC(n_units=50, n_inputs=2, mode=with_gate, backbone=[128], memory=False, timed=True, float64)
    >>> cell.run(elapsed_inputs([0.3, 0.1, 0.5], [0.0, 0.5, 2.0])).shape
    (3, 50)
    """

    W: np.ndarray
    W_in: np.ndarray
    bias: np.ndarray | float = 0.0
    _: KW_ONLY
    layers: tuple = ()
    mode: Callable = with_gate
    activation: Callable = lecun_tanh
    w_tau: np.ndarray | float | None = None
    A: np.ndarray | float | None = None
    memory: tuple | None = None
    dt: float = 1.0
    timed: bool = False

    _no_recurrent_matrix = "its states reach the next step through a backbone and several heads"

    def __post_init__(self):
        n_heads = N_HEADS[mode_code(self.mode)]
        backbone_code(self.activation)
        dtype = float_type(self.W)
        W = _matrix("W", self.W, (None, None), dtype)
        rows, n = W.shape
        if n == 0:
            raise ValueError(f"W must have at least one column, one for every unit, got shape {W.shape}")
        W_in = _matrix("W_in", self.W_in, (rows, None), dtype)
        layers = _check_layers(self.layers, rows, dtype)
        made = len(layers[-1][1]) if layers else rows
        if made != n_heads * n:
            what = "the last layer" if layers else "W, without layers on top,"
            raise ValueError(
                f"{what} must have {n_heads * n} rows, {n_heads} per unit for {self.mode.__name__}, got {made}"
            )
        w_tau, A = (
            _of_pure(self.mode, name, getattr(self, name), default, n, dtype)
            for name, default in (("w_tau", 0.0), ("A", 1.0))
        )
        memory = _check_memory(self.memory, n, W_in.shape[1], dtype)
        bias, dt = as_vector("bias", self.bias, rows, dtype), as_positive_float("dt", self.dt)
        fields = {"w_tau": w_tau, "A": A, "memory": memory, "dt": dt, "timed": check_timed(self.timed)}
        set_fields(self, W=W, W_in=W_in, bias=bias, layers=layers, **fields)

    @classmethod
    def random(
        cls,
        n_units,
        *,
        n_inputs=1,
        backbone_units=128,
        backbone_layers=1,
        activation=lecun_tanh,
        mode=with_gate,
        memory=False,
        recurrent_scaling=1.0,
        input_scaling=1.0,
        dt=1.0,
        timed=False,
        dtype=np.float64,
        seed,
    ):
        """Return a cell with the published initial weights: each layer and head uniform in ±sqrt(6 / (fan in + out)).

        Biases are uniform in ±1 / sqrt(fan in); the memory has orthonormal recurrent columns and biases within ±0.1.
        As drawn, 100 units driven by noise in ±1 have a largest Lyapunov exponent of about -0.2 per step and a memory
        capacity of 16. `recurrent_scaling` moves them: 1.2 gives -0.1 and 18, at 1.4 chaos begins, and at 2 the
        capacity is 1. As drawn the exponent is -0.02 for `no_gate` and -0.9 for `pure`; with a memory it is -0.2 and
        reaches 0 at 2.3.

        Parameters
        ----------
        n_units, n_inputs : int
            Sizes n and m; the elapsed time of a `timed` cell comes on top.
        backbone_units, backbone_layers : int
            Width and number of the layers between input and heads; 0 layers for a cell without backbone.
        activation, mode, dt, timed
            As in the class.
        memory : bool
            Whether the cell has a mixed memory.
        recurrent_scaling : float
            Factor of the weights on the state.
        input_scaling : float or array, shape (m,)
            Factor of the weights on the inputs, of all channels or each.
        dtype : numpy.dtype
            float64 or float32.
        seed : int or numpy.random.SeedSequence
            Recurrent and input weights, biases, layers and memory come from independent streams.

        Returns
        -------
        CfC

        Raises
        ------
        ValueError, TypeError
            If a size or a setting is out of its range.
        """
        n, m, dtype = as_int("n_units", n_units), as_int("n_inputs", n_inputs, minimum=0), as_dtype(dtype)
        n_hidden, width = (
            as_int("backbone_layers", backbone_layers, minimum=0),
            as_int("backbone_units", backbone_units),
        )
        n_heads, gain = N_HEADS[mode_code(mode)], as_non_negative_float("recurrent_scaling", recurrent_scaling)
        if not isinstance(memory, bool):
            raise TypeError(f"memory must be True or False, got {memory!r}; arrays go to CfC(…, memory=…)")
        for_first, for_W_in, for_bias, for_layers, for_memory = seed_sequence(seed).spawn(5)
        rows, copies = (width, 1) if n_hidden else (n, n_heads)
        limit, rng = math.sqrt(6 / (rows + m + n)), np.random.default_rng(for_first)
        W = gain * limit * rng.uniform(-1, 1, (rows * copies, n))
        W_in = limit * draw_input_weights(rows * copies, m, input_scaling, for_W_in)
        bias = draw_bias(rows * copies, 1 / math.sqrt(m + n), for_bias)
        hidden = [(width, 1)] * (n_hidden - 1) + [(n, n_heads)] * (n_hidden > 0)
        rng = np.random.default_rng(for_layers)
        layers = tuple(draw_layer(rows, width, copies, rng) for rows, copies in hidden)
        drawn = draw_memory(n, m, gain, np.random.default_rng(for_memory)) if memory else None
        settings = {"mode": mode, "activation": activation, "memory": drawn, "dt": dt, "timed": timed}
        return cls(W.astype(dtype), W_in, bias, layers=layers, **settings)

    @staticmethod
    def wired(
        wiring,
        *,
        mode=with_gate,
        as_released=False,
        concat=True,
        dt=1.0,
        timed=False,
        dtype=np.float64,
        seed,
    ):
        """Return cells without backbone wired by a neural circuit policy: inter, command and motor neurons in a stack.

        A weight is drawn as by `random` and kept where the wiring has a synapse. A wiring without layers becomes a
        stack of one. The order of the states is that of the layers.

        Parameters
        ----------
        wiring : Wiring
            Of `NCP`, `AutoNCP` and the like: synapses within a layer and from the one below.
        mode, dt, timed
            As in the class. The layers of a timed stack see the input too, with zero weights, to learn the time.
        as_released : bool
            Whether, as in the released code, each layer is fully connected to itself whatever the wiring says, and the
            heads a and b of the time gates see all units.
        concat : bool
            Whether a readout sees all layers, or the motor neurons alone.
        dtype : numpy.dtype
            float64 or float32.
        seed : int or numpy.random.SeedSequence
            One independent stream per layer.

        Returns
        -------
        Stack

        Raises
        ------
        ValueError, TypeError
            If the wiring has synapses that jump over a layer or lead down, or a setting is out of its range.

        Examples
        --------
        >>> from penstock.reservoirs import AutoNCP
        >>> stack = CfC.wired(AutoNCP(28, 4, n_inputs=2), seed=0)
        >>> [layer.n_units for layer in stack.layers]
        [15, 9, 4]
        """
        if not isinstance(as_released, bool):
            raise TypeError(f"as_released must be True or False, got {as_released!r}")
        masks = wiring_masks(wiring)
        dtype, n_data = as_dtype(dtype), wiring.n_inputs
        layers: list[CfC] = []
        settings = {"mode": mode, "dt": dt, "timed": timed}
        for (from_below, own), rng in zip(masks, generators(seed, len(masks)), strict=True):
            own = np.ones_like(own) if as_released else own
            mask = np.concatenate([from_below, own], axis=1)
            rows, columns = mask.shape
            weights, bias = draw_layer(rows, columns, N_HEADS[mode_code(mode)], rng)
            n_masked = 2 * len(own) if as_released else len(weights)
            weights[:n_masked] *= np.tile(mask, (len(weights) // len(own), 1))[:n_masked]
            W_in, W = np.split(weights, [from_below.shape[1]], axis=1)
            if timed and layers:
                W_in = np.concatenate([W_in, np.zeros((len(W_in), n_data))], axis=1)
            layers.append(CfC(W.astype(dtype), W_in, bias, **settings))
        return Stack(tuple(layers), concat, feed_input=bool(timed))

    @classmethod
    def from_ncps(cls, cell, *, timed=False, dt=1.0, dtype=np.float64):
        """Return a cell trained with ncps as a system of arrays, with the same states.

        Parameters
        ----------
        cell : ncps.torch.CfCCell, WiredCfCCell or CfC
            The trained module; copies of its weights are taken, and neither ncps nor PyTorch is imported.
        timed : bool
            Whether the last input of every step is the elapsed time, `timespans` of ncps.
        dt : float
            Elapsed time of every step if not `timed`; ncps takes 1.
        dtype : numpy.dtype
            float64 or float32.

        Returns
        -------
        CfC or Stack
            A stack for a wired cell of several layers. Its projection is a readout, see `readout_from_ncps`.

        Raises
        ------
        TypeError, ValueError
            If `cell` is none of these, or holds what this class cannot.
        """
        from penstock.reservoirs.ncps import cfc_from_ncps

        return cfc_from_ncps(cell, timed=timed, dt=dt, dtype=dtype)

    def to_ncps(self):
        """Return the cell as an `ncps.torch.CfC` of its type with the same states, to be trained further; needs ncps.

        Raises
        ------
        ImportError
            If ncps is not installed.
        ValueError
            If ncps has no such cell: a `dt` of its own, or backbone layers of several widths.
        """
        from penstock.reservoirs.ncps import cfc_to_ncps

        return cfc_to_ncps(self)

    def __repr__(self):
        widths = [len(bias) for _, bias in ((self.W, self.bias), *self.layers)][:-1]
        return (
            f"CfC(n_units={self.n_units}, n_inputs={self.n_inputs}, mode={self.mode.__name__}, backbone={widths}, "
            f"memory={self.memory is not None}, timed={self.timed}, {self.dtype})"
        )

    @property
    def n_units(self):
        """Dimension of the state: n, or 2 n with a memory."""
        return self.W.shape[1] * (1 if self.memory is None else 2)

    @property
    def n_inputs(self):
        """Number of input channels: m, and the elapsed time of a timed cell."""
        return self.W_in.shape[1] + self.timed

    @property
    def observed(self):
        """The part of the state that a readout sees: h, not the cell state of the memory."""
        return slice(None) if self.memory is None else slice(0, self.W.shape[1])

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        data, t = split_elapsed(self, u)
        h, cell, _ = remember(self.memory, x, data)
        heads = self._heads(self.W @ h + self.W_in @ data + self.bias)
        h = self.mode(*heads, t, *self._late)
        return h if self.memory is None else np.concatenate([h, cell])

    def jacobian(self, x, u):
        """Return d step / d x at (x, u): the product rule over the heads; shape (n, n)."""
        return self._linear(x, u)[0]

    def input_jacobian(self, x, u):
        """Return d step / d u at (x, u), the elapsed time of a timed cell included; shape (n, m)."""
        return self._linear(x, u)[1]

    @one_blas_thread
    def close(self, W_out, offset=0.0):
        """Feed a linear readout u_t = W_out x_{t-1} + offset back: an autonomous cell with W + W_in W_out.

        With a memory, where the inputs enter twice, it is a `ClosedLoop`. A timed cell must be made regular before:
        ``dataclasses.replace(cell, timed=False, dt=…)``.
        """
        if self.memory is not None or self.timed:
            return super().close(W_out, offset)
        if isinstance(W_out, Readout):
            W_out, offset = W_out.W_out, W_out.offset
        W_out = _matrix("W_out", np.atleast_2d(W_out), self.W_in.shape[1:] + self.W.shape[1:], self.dtype)
        bias = self.bias + self.W_in @ as_vector("offset", offset, len(W_out), self.dtype)
        return replace(self, W=self.W + self.W_in @ W_out, W_in=self.W_in[:, :0], bias=bias)

    @property
    def _late(self):
        return (self.w_tau, self.A) if self.mode is pure else ()

    def _heads(self, z):
        """Return the heads (k, n) that the layers make of the first one."""
        for weights, bias in self.layers:
            z = weights @ self.activation(z) + bias
        return z.reshape(-1, self.W.shape[1])

    def _linear(self, x, u):
        """Return the Jacobians by state and input: the derivatives by both, carried through the layers."""
        x, u = self._point(x, u)
        data, t = split_elapsed(self, u)
        n, size = self.W.shape[1], self.n_units
        by_both = np.eye(size + data.size)
        h, cell, gates = remember(self.memory, x, data)
        by_h, by_cell = by_both[:n], by_both[n:size]
        if gates is not None:
            by_h, by_cell = memory_slopes(self.memory, x[n:], cell, gates)
        z, by_z = self.W @ h + self.W_in @ data + self.bias, self.W @ by_h + self.W_in @ by_both[size:]
        for weights, bias in self.layers:
            by_z = weights @ (backbone_slope(self.activation, z)[:, None] * by_z)
            z = weights @ self.activation(z) + bias
        heads = z.reshape(-1, n)
        gains, by_time = mode_slopes(self.mode, heads, t, self.w_tau, self.A)
        by_h = (gains[:, :, None] * by_z.reshape(*heads.shape, -1)).sum(axis=0)
        whole = np.concatenate([by_h, by_cell])
        by_time = np.concatenate([by_time, np.zeros(size - n)])[:, None]
        return whole[:, :size], np.concatenate([whole[:, size:], by_time[:, : int(self.timed)]], axis=1)

    @cached_property
    def _fields(self):
        return kernel_fields(self)

    def _advance(self, u, X, out, V, dU, tape):
        data, elapsed = split_elapsed(self, u)
        activation = 0 if self.activation is lecun_tanh else backbone_code(self.activation)
        return advance(self._fields, mode_code(self.mode), activation, data, elapsed, X, out, V, dU, tape)

    @one_blas_thread
    def _run(self, u, x0, out):
        no_rows, none = np.empty((0, 0), self.dtype), np.empty((0, 0, 0), self.dtype)
        if u.ndim == 2:
            u, x0, out = u[None], x0[None], out[None]
        return self._advance(u, x0, out, no_rows, none, none)

    def _push(self, x, u, V, dU, tape):
        self._advance(u[None], x[None], np.empty((1, len(u), x.size), self.dtype), V, dU, tape)


# --- checks ---------------------------------------------------------------------------------------------------------


def _matrix(name, value, shape, dtype):
    """Return a read-only dense matrix."""
    matrix = to_dense(as_matrix(name, value, shape, dtype))
    matrix.flags.writeable = False
    return matrix


def _check_layers(layers, rows, dtype):
    """Return clean pairs of weights and bias, each layer on the `rows` of the one below."""
    if not isinstance(layers, list | tuple):
        raise TypeError(f"layers must be a sequence of pairs (weights, bias), got {layers!r}")
    clean = []
    for number, pair in enumerate(layers):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise TypeError(f"layers[{number}] must be a pair (weights, bias), got {pair!r}")
        weights = _matrix(f"the weights of layers[{number}]", pair[0], (None, rows), dtype)
        rows = len(weights)
        clean.append((weights, as_vector(f"the bias of layers[{number}]", pair[1], rows, dtype)))
    return tuple(clean)


def _check_memory(memory, n, m, dtype):
    """Return clean arrays of the LSTM cell, or None."""
    if memory is None:
        return None
    if not isinstance(memory, list | tuple) or len(memory) != 3:
        raise TypeError(f"memory must be None or the three arrays (W, W_in, bias), got {memory!r}")
    W, W_in, bias = memory
    W, W_in = _matrix("memory W", W, (4 * n, n), dtype), _matrix("memory W_in", W_in, (4 * n, m), dtype)
    return W, W_in, as_vector("memory bias", bias, 4 * n, dtype)


def _of_pure(mode, name, value, default, n, dtype):
    """Return a vector that the mode `pure` has, None for the other modes."""
    if mode is pure:
        return as_vector(name, default if value is None else value, n, dtype)
    if value is not None:
        raise ValueError(f"{name} must be None for the mode {mode.__name__}: only `pure` has it, got {value!r}")
    return None
