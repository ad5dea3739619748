"""The bridge to the package ncps: its trained liquid and closed-form cells as Systems, and Systems as its layers.

Reading takes the tensors only: neither PyTorch nor ncps is imported, and training the module further leaves the System
as it is. ncps (with PyTorch) is imported when one of its layers is made.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp

from penstock.checks import as_int
from penstock.readout import Readout
from penstock.reservoirs.esn import as_dtype, to_dense
from penstock.reservoirs.liquid import LTC, SPARSE_BELOW
from penstock.reservoirs.ncps_cfc import cfc_from_ncps, cfc_to_ncps
from penstock.reservoirs.ncps_tensors import (
    MIXED_MEMORY,
    filled,
    import_ncps,
    size_of,
    tensor,
    type_name,
    unwrapped,
    wired_layers,
)
from penstock.reservoirs.solvers import fused

__all__ = ["cfc_from_ncps", "cfc_to_ncps", "ltc_from_ncps", "ltc_to_ncps", "readout_from_ncps"]

_POSITIVE = ("w", "sensory_w", "cm", "gleak")


def ltc_from_ncps(cell, *, timed=False, dt=1.0, dtype=np.float64) -> LTC:
    """Return an LTC trained with ncps as a System of arrays, with the same states; behind `LTC.from_ncps`.

    Matrices are transposed (ncps has rows for the neurons that send), softplus is applied to the parameters of a cell
    with implicit constraints, and synapses that the wiring masks are left out: with less than half of them present the
    LTC is sparse. The constant epsilon that ncps adds to its denominators, 1e-8 and mostly below float32 rounding,
    goes into g_leak, with g_leak v_leak held: nothing is left out. The output map is read by `readout_from_ncps`.

    A layer of ncps given `timespans` of shape (B, T) for B > 1 spreads them over the units instead of the batch: it
    fails or, for B = n, computes something else. Its cell, called with elapsed times (B, 1), is right, and so is this
    System.

    Parameters
    ----------
    cell : ncps.torch.LTCCell or ncps.torch.LTC
        The trained module.
    timed : bool
        Whether the last input of every step is the elapsed time, `timespans` of ncps.
    dt : float
        Elapsed time of every step if not `timed`; ncps takes 1.
    dtype : numpy.dtype
        float64, in which float32 parameters are exact, or float32.

    Returns
    -------
    LTC

    Raises
    ------
    TypeError
        If `cell` is another module.
    ValueError
        If its tensors do not fit each other, a constrained parameter is negative, or it has a mixed memory.
    """
    dtype = as_dtype(dtype)
    if getattr(cell, "use_mixed", False):
        raise ValueError(MIXED_MEMORY.format("an LTC"))
    cell = unwrapped(cell)
    if not all(hasattr(cell, name) for name in ("erev", "sensory_erev", "gleak", "_ode_unfolds")):
        hint = "; CfC.from_ncps reads it" if hasattr(cell, "ff1") or hasattr(cell, "layer_0") else ""
        raise TypeError(f"cell must be an LTC or LTCCell of ncps.torch, got {type_name(cell)}{hint}")
    n, m = size_of(cell, "gleak")[0], size_of(cell, "sensory_w")[0]
    mask, sensory_mask = tensor(cell, "sparsity_mask", (n, n)), tensor(cell, "sensory_sparsity_mask", (m, n))
    recurrent = _synapses(cell, "", mask, dtype)
    sensory = _synapses(cell, "sensory_", sensory_mask, dtype)
    C_m, g_leak, v_leak = (_constrained(cell, name, (n,)) for name in ("cm", "gleak", "vleak"))
    if not (C_m > 0).all():
        raise ValueError(f"cell must have cm above 0, got 0 at {int(np.argmin(C_m))}: that unit has no state")
    if epsilon := float(getattr(cell, "_epsilon", 0.0)):
        g_leak, v_leak = g_leak + epsilon, g_leak * v_leak / (g_leak + epsilon)
    weight, bias = (tensor(cell, f"input_{part}", (m,), default) for part, default in (("w", 1.0), ("b", 0.0)))
    return LTC(
        recurrent["w"],
        sensory["w"],
        recurrent["erev"],
        sensory["erev"],
        sigma=recurrent["sigma"],
        mu=recurrent["mu"],
        sigma_in=sensory["sigma"],
        mu_in=sensory["mu"],
        C_m=C_m.astype(dtype),
        g_leak=g_leak.astype(dtype),
        v_leak=v_leak.astype(dtype),
        input_weight=weight.astype(dtype),
        input_bias=bias.astype(dtype),
        dt=dt,
        unfolds=as_int("cell._ode_unfolds", cell._ode_unfolds),
        timed=timed,
    )


def ltc_to_ncps(ltc, *, n_motor=None) -> Any:
    """Return a layer `ncps.torch.LTC` with the states of an LTC, to be trained further; behind `LTC.to_ncps`.

    The layer has the type of the LTC, explicit constraints (call ``layer.rnn_cell.apply_weight_constraints()`` after
    every optimiser step) and no epsilon: `LTC.from_ncps` of it returns the same bits. Its output map starts as the
    identity. A timed LTC needs its elapsed times as `timespans`.

    Parameters
    ----------
    ltc : LTC
        With the solver `fused`, and ``dt=1`` unless it is timed: ncps knows no other.
    n_motor : int, optional
        The first n_motor units are the outputs; all by default.

    Raises
    ------
    ImportError
        If ncps is not installed.
    TypeError, ValueError
        If `ltc` is not an LTC, or one that ncps cannot hold.
    """
    if not isinstance(ltc, LTC):
        raise TypeError(f"ltc must be an LTC, got {ltc!r}")
    if ltc.solver is not fused:
        raise ValueError(f"ltc must have the solver fused, got {ltc.solver.__name__}: ncps computes no other step")
    if not ltc.timed and ltc.dt != 1.0:
        raise ValueError(f"ltc must have dt=1, got {ltc.dt}: set C_m=C_m / dt and dt=1, which is the same map")
    n, m = np.shape(ltc.W_in)
    n_motor = n if n_motor is None else as_int("n_motor", n_motor)
    if n_motor > n:
        raise ValueError(f"n_motor must be at most n_units = {n}, got {n_motor}")
    torch_ncps, wirings = import_ncps()
    W, sensory = _pattern(ltc.W, ltc.E), _pattern(ltc.W_in, ltc.E_in)
    wiring = wirings.Wiring(n)
    wiring.set_output_dim(n_motor)
    wiring.build(m)
    wiring.adjacency_matrix = _polarity(W, _entries(ltc.E, W))
    wiring.sensory_adjacency_matrix = _polarity(sensory, _entries(ltc.E_in, sensory))
    layer = torch_ncps.LTC(m, wiring, ode_unfolds=ltc.unfolds, epsilon=0.0, implicit_param_constraints=False)
    tensors = {"gleak": ltc.g_leak, "vleak": ltc.v_leak, "cm": ltc.C_m}
    tensors |= {"input_w": ltc.input_weight, "input_b": ltc.input_bias}
    for name, value in {"w": ltc.W, "erev": ltc.E, "sigma": ltc.sigma, "mu": ltc.mu}.items():
        tensors[name] = _entries(value, W).T
    for name, value in {"w": ltc.W_in, "erev": ltc.E_in, "sigma": ltc.sigma_in, "mu": ltc.mu_in}.items():
        tensors[f"sensory_{name}"] = _entries(value, sensory).T
    return filled(layer, layer.rnn_cell, tensors, ltc.dtype)


def _synapses(cell, prefix, mask, dtype):
    """Return w, erev, sigma and mu in our orientation; where the wiring masks most synapses, as CSR of one pattern."""
    present = (mask != 0).T
    values = {"w": mask * _constrained(cell, f"{prefix}w", mask.shape, mask)}
    values |= {name: tensor(cell, f"{prefix}{name}", mask.shape) for name in ("erev", "sigma", "mu")}
    values = {name: value.T.astype(dtype) for name, value in values.items()}
    if present.sum() >= SPARSE_BELOW * present.size:
        absent = {"w": 0.0, "erev": 0.0, "sigma": 1.0, "mu": 1.0}
        return {name: np.where(present, value, dtype.type(absent[name])) for name, value in values.items()}
    columns, indptr = np.nonzero(present)[1], np.concatenate([[0], np.cumsum(present.sum(axis=1))])
    return {
        name: sp.csr_array((value[present], columns, indptr), shape=present.shape) for name, value in values.items()
    }


def _constrained(cell, name, shape, mask=None):
    """Return a parameter as ncps uses it: softplus of the stored one, or itself, which must not be negative."""
    value = tensor(cell, name, shape)
    if name not in _POSITIVE:
        return value
    if getattr(cell, "_implicit_param_constraints", False):
        return np.logaddexp(0.0, value)
    used = value if mask is None else np.where(mask != 0, value, 0.0)
    if used.min(initial=0.0) < 0:
        at = tuple(int(i) for i in np.unravel_index(used.argmin(), shape))
        raise ValueError(
            f"cell must have {name} of at least 0, got {used[at]} at {at}: it was trained without constraints; call "
            "its apply_weight_constraints after every optimiser step, or train with implicit_param_constraints=True"
        )
    return used


def _pattern(W, E):
    """Return where there are synapses, bool (n, m): in the pattern of a sparse W; elsewhere but where W and E are 0."""
    if not sp.issparse(W):
        return (W != 0) | (np.broadcast_to(to_dense(E) if sp.issparse(E) else E, W.shape) != 0)
    pattern = np.zeros(W.shape, bool)
    pattern[np.repeat(np.arange(W.shape[0]), np.diff(W.indptr)), W.indices] = True
    return pattern


def _entries(value, pattern):
    """Return a number, array or sparse array as a dense array of the pattern's shape, zero outside it."""
    dense = to_dense(value) if sp.issparse(value) else np.broadcast_to(np.asarray(value), pattern.shape)
    return np.where(pattern, dense, 0)


def _polarity(pattern, E):
    """Return the adjacency matrix of ncps, (senders, receivers), with the signs of the reversal potentials."""
    return np.where(pattern, np.where(E < 0, -1, 1), 0).T.astype(np.int32)


def readout_from_ncps(layer, *, dtype=np.float64) -> Readout:
    """Return the output map of a module of ncps as a `Readout` of the states of the imported System.

    Of an LTC it is the affine map of the motor units, which come first. Of a CfC it is the projection `fc`, or the
    identity; a wired one is read from its last layer. ``readout(states[:, system.observed])`` are the outputs of ncps.

    Parameters
    ----------
    layer : ncps.torch.LTC, LTCCell, CfC, CfCCell or WiredCfCCell
        The module.
    dtype : numpy.dtype
        float64 or float32.

    Raises
    ------
    TypeError
        If `layer` is another module.
    """
    dtype = as_dtype(dtype)
    cell = unwrapped(layer)
    if hasattr(cell, "gleak") and hasattr(cell, "motor_size"):
        n, k = size_of(cell, "gleak")[0], as_int("layer.motor_size", cell.motor_size)
        weight, bias = (tensor(cell, f"output_{part}", (k,), default) for part, default in (("w", 1.0), ("b", 0.0)))
        return Readout((weight[:, None] * np.eye(k, n)).astype(dtype), bias.astype(dtype))
    last = (wired_layers(cell) or [cell])[-1]
    if not hasattr(last, "ff1"):
        raise TypeError(f"layer must be an LTC or CfC of ncps.torch, or a cell of theirs, got {type_name(cell)}")
    n = size_of(last.ff1, "bias")[0]
    projection = getattr(layer, "fc", None)
    if not hasattr(projection, "weight"):
        return Readout(np.eye(n, dtype=dtype), np.zeros(n, dtype))
    k = size_of(projection, "weight")[0]
    W_out, offset = tensor(projection, "weight", (k, n), where="fc"), tensor(projection, "bias", (k,), where="fc")
    return Readout(W_out.astype(dtype), offset.astype(dtype))
