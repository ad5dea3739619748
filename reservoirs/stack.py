"""Deep reservoirs by composition: layers that run one after the other, and two constructors for the usual stacks."""

from dataclasses import dataclass

import numpy as np

from penstock.checks import as_int, as_non_negative_float, seed_sequence
from penstock.reservoirs.esn import ESN, set_fields
from penstock.reservoirs.residual import ResESN
from penstock.system import SystemDefaults

__all__ = ["DeepESN", "DeepResESN", "Stack"]

_TAPE_ELEMENTS = 4_000_000  # tangents of one layer kept for the next: at most 32 MB at a time


@dataclass(frozen=True, eq=False, repr=False)
class Stack(SystemDefaults):
    """Run layers on top of each other: the states of one are the inputs of the next, in the same time step.

    x^l_t = F^l(x^l_{t-1}, x^{l-1}_t), with x^0_t = u_t. The state is the concatenation of all layers. There is no
    feedback between layers, so the Jacobian is block lower-triangular and its spectrum the union of the layers'.

    Parameters
    ----------
    layers : sequence of SystemDefaults
        At least one model or adapter; the inputs of every layer match the units of the one before.
    concat : bool
        Whether a readout sees all layers (the default) or the last one only; sets `observed`.
    feed_input : bool
        Whether layers after the first see the input too: their inputs are [x^{l-1}_t, u_t].

    Raises
    ------
    ValueError
        If there is no layer, or the sizes or types of two layers do not fit.
    TypeError
        If a layer is not a system.

    References
    ----------
    C. Gallicchio, A. Micheli, L. Pedrelli (2017), Deep reservoir computing: a critical experimental analysis,
    Neurocomputing 268.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.reservoirs import ESN
    >>> deep = Stack([ESN.random(60, seed=0), ESN.random(40, n_inputs=60, seed=1)])
    >>> deep.n_units, deep.run(np.ones(10)).shape
    (100, (10, 100))
    """

    layers: tuple
    concat: bool = True
    feed_input: bool = False

    _no_recurrent_matrix = "every layer has its own; change a layer and stack again"

    def __post_init__(self):
        layers = tuple(self.layers)
        if not layers:
            raise ValueError("layers must hold at least one system, got none")
        for number, layer in enumerate(layers, start=1):
            if not isinstance(layer, SystemDefaults):
                raise TypeError(f"layer {number} must be a penstock system, got {layer!r}")
        extra = layers[0].n_inputs if self.feed_input else 0
        for number, (below, above) in enumerate(zip(layers, layers[1:], strict=False), start=2):
            wanted = below.n_units + extra
            if above.n_inputs != wanted:
                raise ValueError(f"layer {number} must have n_inputs={wanted} to match, got {above.n_inputs}")
            if above.timed and not self.feed_input:
                raise ValueError(
                    f"layer {number} must not be timed, or feed_input be True: its last input would be a state below"
                )
            for what in ("dtype", "dt"):
                if getattr(above, what) != getattr(below, what):
                    like = getattr(below, what)
                    raise ValueError(
                        f"layer {number} must have {what} {like} like the first, got {getattr(above, what)}"
                    )
        set_fields(self, layers=layers)

    @property
    def n_units(self):
        """Units of all layers together."""
        return sum(layer.n_units for layer in self.layers)

    @property
    def n_inputs(self):
        """Input channels of the first layer."""
        return self.layers[0].n_inputs

    @property
    def dtype(self):
        """Type of the states."""
        return self.layers[0].dtype

    @property
    def dt(self):
        """Time between two steps, the same in all layers."""
        return self.layers[0].dt

    @property
    def timed(self):
        """Whether the last input is the time since the step before, as it is if it is so for any layer."""
        return any(layer.timed for layer in self.layers)

    @property
    def observed(self):
        """The units a readout sees."""
        if self.concat:
            return slice(None)
        last = self.layers[-1]
        start, stop, stride = last.observed.indices(last.n_units)
        below = self.n_units - last.n_units
        return slice(below + start, below + stop, stride)

    def __repr__(self):
        inside = "\n".join(f"  {layer!r}".replace("\n", "\n  ") for layer in self.layers)
        return f"Stack(n_units={self.n_units}, concat={self.concat}, feed_input={self.feed_input}) of\n{inside}"

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        return np.concatenate([layer.step(own, drive) for layer, own, drive in self._walk(x, u)])

    def jacobian(self, x, u):
        """Return the block lower-triangular d step / d x; shape (n, n)."""
        return self._chain(*self._point(x, u))[0]

    def input_jacobian(self, x, u):
        """Return d step / d u; shape (n, m)."""
        return self._chain(*self._point(x, u))[1]

    def lure_blocks(self):
        """Return the `LureBlock`s of all layers, from the input up; none if a layer has no such form."""
        blocks = [layer.lure_blocks() for layer in self.layers]
        return tuple(block for own in blocks for block in own) if all(blocks) else ()

    def _parts(self, array):
        """Split the last axis into the layers."""
        return np.split(array, np.cumsum([layer.n_units for layer in self.layers])[:-1], axis=-1)

    def _drive(self, below, u):
        """The inputs of a layer from the states below and the inputs of the stack."""
        return np.concatenate([below, u], axis=-1) if self.feed_input else below

    def _walk(self, x, u):
        """Yield every layer with its own state and its inputs at one step."""
        drive = u
        for layer, own in zip(self.layers, self._parts(x), strict=True):
            yield layer, own, drive
            drive = self._drive(layer.step(own, drive), u)

    def _chain(self, x, u):
        """Carry the derivative of every layer's new state by (x, u) upwards by the chain rule."""
        n_units, n_inputs = self.n_units, self.n_inputs
        by_both = np.eye(n_units + n_inputs)
        by_input = by_drive = by_both[n_units:]
        rows, start = [], 0
        for layer, own, drive in self._walk(x, u):
            by_own = by_both[start : start + layer.n_units]
            new = layer.jacobian(own, drive) @ by_own + layer.input_jacobian(own, drive) @ by_drive
            rows.append(new)
            by_drive = np.concatenate([new, by_input]) if self.feed_input else new
            start += layer.n_units
        whole = np.concatenate(rows)
        return whole[:, :n_units], whole[:, n_units:]

    @property
    def _batch_gain(self):
        return min(layer._batch_gain for layer in self.layers)

    def _run(self, u, x0, out):
        drive, diverged, start = u, False, 0
        for layer, own in zip(self.layers, self._parts(x0), strict=True):
            states = np.empty((*u.shape[:-1], layer.n_units), self.dtype)
            diverged |= layer._run(drive, own.copy(), states)
            out[..., start : start + layer.n_units] = states
            drive = self._drive(states, u)
            start += layer.n_units
        return diverged

    def _push(self, x, u, V, dU, tape):
        size = max(1, _TAPE_ELEMENTS // max(1, V.size))
        for start in range(0, u.shape[0], size):
            steps = slice(start, start + size)
            self._push_chunk(x, u[steps], V, dU[steps], tape[steps])

    def _push_chunk(self, x, u, V, dU, tape):
        """Push layer by layer; each leaves its states and tangents of every step for the next."""
        n_steps, start, drive, by_drive = u.shape[0], 0, u, dU
        for layer in self.layers:
            part = slice(start, start + layer.n_units)
            start = part.stop
            own, rows = x[part].copy(), V[:, part].copy()
            states = np.empty((n_steps, layer.n_units), self.dtype)
            layer._run(drive, own.copy(), states)
            needed = tape.shape[0] or part.stop < self.n_units
            kept = np.empty((n_steps if needed else 0, *rows.shape), self.dtype)
            layer._push(own, drive, rows, by_drive, kept)
            x[part], V[:, part] = own, rows
            if tape.shape[0]:
                tape[..., part] = kept
            if needed:
                drive, by_drive = self._drive(states, u), self._tangents_above(kept, dU)

    def _tangents_above(self, kept, dU):
        """The input tangents of the next layer."""
        if not self.feed_input:
            return kept
        by_input = dU if dU.shape[0] else np.zeros((*kept.shape[:2], self.n_inputs), self.dtype)
        return np.concatenate([kept, by_input], axis=-1)


class DeepESN:
    """Make a stack of echo-state networks: `DeepESN.random` returns a `Stack` of `ESN`."""

    @staticmethod
    def random(n_units, *, n_layers=3, n_inputs=1, inter_scaling=1.0, inter=None, concat=True, seed, **first):
        """Return a deep echo-state network.

        x^l_t = (1 - a_l) x^l_{t-1} + a_l tanh(W^l x^l_{t-1} + W_in^l x^{l-1}_t + b^l), without delay between layers.

        Parameters
        ----------
        n_units : int
            Units of all layers together: n_units // n_layers each, the remainder to the first. With
            ``concat=False`` the budget is split all the same.
        n_layers, n_inputs : int
            Number of layers and of input channels.
        inter_scaling : float
            Input scaling of the layers after the first.
        inter : dict, optional
            Any other settings of `ESN.random` in which the layers after the first differ.
        concat : bool
            Whether a readout sees all layers or the last one.
        seed : int or numpy.random.SeedSequence
            One independent stream per layer.
        **first
            Settings of `ESN.random` for all layers.

        Returns
        -------
        Stack

        Examples
        --------
        >>> [layer.n_units for layer in DeepESN.random(100, n_layers=3, seed=0).layers]
        [34, 33, 33]
        """
        return _deep(ESN, n_units, n_layers, n_inputs, inter_scaling, inter, concat, seed, first)


class DeepResESN:
    """Make a stack of residual reservoirs: `DeepResESN.random` returns a `Stack` of `ResESN`."""

    @staticmethod
    def random(n_units, *, n_layers=3, n_inputs=1, inter_scaling=1.0, inter=None, concat=True, seed, **first):
        """Return a deep residual echo-state network; the arguments of `DeepESN.random` with those of `ResESN.random`.

        h^l_t = alpha_l O^l h^l_{t-1} + beta_l tanh(W^l h^l_{t-1} + W_in^l h^{l-1}_t + b^l).

        References
        ----------
        M. Pinna, A. Ceni, C. Gallicchio (2025), arXiv 2508.21172.

        Examples
        --------
        >>> deep = DeepResESN.random(100, n_layers=2, alpha=0.9, beta=0.1, inter={"alpha": 0.5}, seed=0)
        >>> [layer.alpha for layer in deep.layers]
        [0.9, 0.5]
        """
        return _deep(ResESN, n_units, n_layers, n_inputs, inter_scaling, inter, concat, seed, first)


def _deep(model, n_units, n_layers, n_inputs, inter_scaling, inter, concat, seed, first):
    n_units, n_layers = as_int("n_units", n_units), as_int("n_layers", n_layers)
    if n_layers > n_units:
        raise ValueError(f"n_layers must be at most n_units={n_units}, got {n_layers}")
    sizes = [n_units // n_layers] * n_layers
    sizes[0] += n_units % n_layers
    if not isinstance(inter, dict | None) or {"n_units", "n_inputs", "seed"} & set(inter or {}):
        raise ValueError(f"inter must be a dict of settings other than sizes and seed, got {inter!r}")
    as_non_negative_float("inter_scaling", inter_scaling)
    later = {**first, "input_scaling": inter_scaling, **(inter or {})}
    layers, below = [], n_inputs
    for number, (size, child) in enumerate(zip(sizes, seed_sequence(seed).spawn(n_layers), strict=True)):
        layers.append(model.random(size, n_inputs=below, seed=child, **(later if number else first)))
        below = size
    return Stack(tuple(layers), concat)
