"""Closed-form cells of the package ncps as Systems, and back."""

from collections.abc import Callable
from typing import Any

import numpy as np

from penstock.checks import as_int
from penstock.reservoirs.cfc import CfC
from penstock.reservoirs.esn import as_dtype, to_dense
from penstock.reservoirs.heads import gelu, lecun_tanh, no_gate, pure, silu, with_gate
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
from penstock.reservoirs.stack import Stack
from penstock.vmath import relu, tanh

__all__ = ["cfc_from_ncps", "cfc_to_ncps"]

_MODES: dict[str, Callable] = {"default": with_gate, "no_gate": no_gate, "pure": pure}
_ACTIVATIONS = {"LeCun": lecun_tanh, "Tanh": tanh, "ReLU": relu, "SiLU": silu, "GELU": gelu}


def cfc_from_ncps(cell, *, timed=False, dt=1.0, dtype=np.float64) -> CfC | Stack:
    """Return a CfC trained with ncps as a System of arrays, with the same states; behind `CfC.from_ncps`.

    Sparsity masks are multiplied into the weights. A wired cell of several layers (inter, command, motor) becomes a
    `Stack` of cells of which a readout sees the last, in the state order of ncps. The final projection of a layer is
    read by `readout_from_ncps`. About `timespans` of batches see `ltc_from_ncps`.

    Parameters
    ----------
    cell : ncps.torch.CfCCell, WiredCfCCell or CfC
        The trained module, in evaluation mode if it has dropout.
    timed : bool
        Whether the last input of every step is the elapsed time, `timespans` of ncps.
    dt : float
        Elapsed time of every step if not `timed`; ncps takes 1.
    dtype : numpy.dtype
        float64, in which float32 parameters are exact, or float32.

    Returns
    -------
    CfC or Stack

    Raises
    ------
    TypeError
        If `cell` is another module.
    ValueError
        If its tensors do not fit each other, it drops units, or it is wired and has a mixed memory.
    """
    dtype = as_dtype(dtype)
    memory = getattr(cell, "lstm", None) if getattr(cell, "use_mixed", False) else None
    cell = unwrapped(cell)
    parts = wired_layers(cell) or [cell]
    if memory is not None and len(parts) > 1:
        raise ValueError(MIXED_MEMORY.format("a wired CfC"))
    settings = {"dt": dt, "timed": timed}
    n_data = _n_inputs(parts[0])
    first = _cfc_layer(parts[0], dtype, memory, 0, settings)
    extra = n_data if timed else 0  # a timed layer further up is fed all inputs, and uses the elapsed time alone
    layers = [first, *(_cfc_layer(part, dtype, None, extra, settings) for part in parts[1:])]
    return first if len(layers) == 1 else Stack(tuple(layers), concat=False, feed_input=bool(timed))


def cfc_to_ncps(cfc) -> Any:
    """Return a layer `ncps.torch.CfC` with the states of a CfC, to be trained further; behind `CfC.to_ncps`.

    The layer has the type of the CfC; one of float64 with a mixed memory must be given its start, since its own is
    float32. A timed CfC needs its elapsed times as `timespans`. Zeros of a masked cell are ordinary weights of it.

    Parameters
    ----------
    cfc : CfC
        With ``dt=1`` unless it is timed, and backbone layers of one width: ncps knows no other.

    Raises
    ------
    ImportError
        If ncps is not installed.
    TypeError, ValueError
        If `cfc` is not a CfC, or one that ncps cannot hold.
    """
    if not isinstance(cfc, CfC):
        raise TypeError(f"cfc must be a CfC, got {cfc!r}")
    if not cfc.timed and cfc.dt != 1.0:
        raise ValueError(f"cfc must have dt=1, got {cfc.dt}: ncps takes the elapsed time as timespans; set timed=True")
    dense: list[Any] = [(np.hstack([to_dense(cfc.W_in), to_dense(cfc.W)]), cfc.bias)]
    dense += [(to_dense(W), bias) for W, bias in cfc.layers]
    *backbone, heads = dense
    widths = {len(bias) for _, bias in backbone}
    if len(widths) > 1:
        raise ValueError(f"cfc must have backbone layers of one width, got {sorted(widths)}: ncps knows no other")
    n, m = to_dense(cfc.W).shape[1], to_dense(cfc.W_in).shape[1]
    torch_ncps, _ = import_ncps()
    layer = torch_ncps.CfC(
        m,
        n,
        mixed_memory=cfc.memory is not None,
        mode={function: name for name, function in _MODES.items()}[cfc.mode],
        activation=cfc.activation.__name__,
        backbone_units=widths.pop() if widths else 1,
        backbone_layers=len(backbone),
    )
    tensors: dict[str, Any] = {}
    for number, (W, bias) in enumerate(backbone):
        tensors |= {f"backbone.{2 * number}.weight": W, f"backbone.{2 * number}.bias": bias}
    for name, W, bias in zip(_head_names(cfc.mode), *(np.split(part, len(part) // n) for part in heads), strict=True):
        tensors |= {f"{name}.weight": W, f"{name}.bias": bias}
    if cfc.mode is pure:
        tensors |= {"w_tau": _row(cfc.w_tau, n), "A": _row(cfc.A, n)}
    layer = filled(layer, layer.rnn_cell, tensors, cfc.dtype)
    if cfc.memory is not None:
        W, W_in, bias = (to_dense(part) for part in cfc.memory)
        named = {"recurrent_map.weight": W, "input_map.weight": W_in, "input_map.bias": bias}
        filled(layer, layer.lstm, named, cfc.dtype)
    return layer


def _cfc_layer(cell, dtype, memory, extra, settings):
    """Return one cell; `extra` unused data channels follow its own inputs."""
    mode = getattr(cell, "mode", None)
    if not hasattr(cell, "ff1") or mode not in _MODES:
        hint = "; LTC.from_ncps reads it" if hasattr(cell, "gleak") else ""
        raise TypeError(f"cell must be a CfC, CfCCell or WiredCfCCell of ncps.torch, got {type_name(cell)}{hint}")
    pieces, activation = _backbone(cell)
    n, width = size_of(cell.ff1, "weight")
    heads = [_head(cell, name, n, width) for name in _head_names(_MODES[mode])]
    pieces.append(tuple(np.concatenate(part) for part in zip(*heads, strict=True)))
    m = _n_inputs(cell)
    (whole, bias), *rest = [tuple(part.astype(dtype) for part in piece) for piece in pieces]
    if whole.shape[1] != m + n:
        raise ValueError(f"cell must read {m} inputs and {n} units, got a first layer of {whole.shape[1]} columns")
    vectors = {}
    if mode == "pure":
        vectors = {name: tensor(cell, name, (1, n))[0].astype(dtype) for name in ("w_tau", "A")}
    return CfC(
        whole[:, m:],
        np.hstack([whole[:, :m], np.zeros((len(whole), extra), dtype)]),
        bias,
        layers=tuple(rest),
        mode=_MODES[mode],
        activation=activation,
        memory=None if memory is None else _memory(memory, n, m, dtype),
        **vectors,
        **settings,
    )


def _head(cell, name, n, width):
    """Return weights and bias of a head, with the mask of the candidate heads multiplied in."""
    head = getattr(cell, name)
    W, bias = tensor(head, "weight", (n, width), where=name), tensor(head, "bias", (n,), where=name)
    masked = getattr(cell, "sparsity_mask", None) is not None and name in ("ff1", "ff2")
    return (W * tensor(cell, "sparsity_mask", (n, width)) if masked else W), bias


def _head_names(mode):
    return ("ff1",) if mode is pure else ("ff1", "ff2", "time_a", "time_b")


def _backbone(cell):
    """Return weights and biases of the backbone, and its activation; ncps drops units after its second layer only."""
    modules = [] if cell.backbone is None else list(cell.backbone)
    pieces, bends, below = [], [], None
    for number, module in enumerate(modules):
        if hasattr(module, "weight"):
            rows, columns = size_of(module, "weight")
            if below not in (None, columns):
                raise ValueError(f"cell must have backbone.{number} of {below} columns, got {columns}")
            where, below = f"backbone.{number}", rows
            pieces.append((tensor(module, "weight", None, where=where), tensor(module, "bias", (rows,), where=where)))
        elif type_name(module) in _ACTIVATIONS and getattr(module, "approximate", "none") == "none":
            bends.append(_ACTIVATIONS[type_name(module)])
        elif getattr(module, "p", None) is None:
            raise TypeError(f"cell must have a backbone of ncps, got {module!r} in it")
        elif module.training and module.p > 0:
            raise ValueError(f"cell must not drop units, got dropout {module.p} in training: call its `eval` method")
    if len(bends) != len(pieces) or len(set(bends)) > 1:
        names = [bend.__name__ for bend in bends]
        raise ValueError(f"cell must have one activation after each of its {len(pieces)} backbone layers, got {names}")
    return pieces, bends[0] if bends else lecun_tanh


def _memory(lstm, n, m, dtype):
    """Return W, W_in and bias of the LSTM of a mixed memory."""
    if not (hasattr(lstm, "recurrent_map") and hasattr(lstm, "input_map")):
        raise TypeError(f"cell must have a mixed memory of ncps, got {type_name(lstm)} as its lstm")
    maps = lstm.recurrent_map, lstm.input_map
    W, W_in = (tensor(part, "weight", (4 * n, size), where="lstm") for part, size in zip(maps, (n, m), strict=True))
    bias = tensor(lstm.input_map, "bias", (4 * n,), where="lstm")
    return W.astype(dtype), W_in.astype(dtype), bias.astype(dtype)


def _n_inputs(cell):
    return as_int("cell.input_size", getattr(cell, "input_size", 0), minimum=0)


def _row(value, n):
    return np.broadcast_to(np.asarray(value), n)[None]
