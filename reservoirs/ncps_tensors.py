"""Tensors of modules of ncps, read by duck typing, and layers of ncps filled with arrays."""

from typing import Any

import numpy as np

__all__ = ["MIXED_MEMORY", "filled", "import_ncps", "size_of", "tensor", "type_name", "unwrapped", "wired_layers"]

MIXED_MEMORY = (
    "cell must not have a mixed memory, got {} with mixed_memory=True: its LSTM moves the state before the cell does, "
    "which only a CfC without wiring can express here"
)
"""Why a module is refused."""


def unwrapped(module):
    """Return the cell of a layer; a cell as it is."""
    return getattr(module, "rnn_cell", module)


def type_name(thing):
    """Return the name of the class of a thing; a class itself is called one."""
    return f"the class {thing.__name__}" if isinstance(thing, type) else type(thing).__name__


def tensor(module, name, shape, default=None, where=""):
    """Return a parameter as a float64 array of the given shape, or `default` where the module has none."""
    value: Any = getattr(module, name, None)
    full = f"{where}.{name}" if where else name
    if value is None and default is not None:
        return np.full(shape, default)
    if not hasattr(value, "detach"):
        raise TypeError(f"cell must have a tensor {full}, got {value!r}")
    value = value.detach().cpu().double().numpy()
    if not np.isfinite(value).all():
        raise ValueError(f"cell must have a finite {full}, got NaN or infinite entries: did its training diverge?")
    if shape is not None and value.shape != shape:
        raise ValueError(f"cell must have {full} of shape {shape} to fit its other tensors, got {value.shape}")
    return value


def size_of(module, name):
    """Return the shape of a parameter."""
    return tensor(module, name, None).shape


def import_ncps():
    """Return ncps.torch and ncps.wirings; says what to install if there are none."""
    try:
        import ncps.torch
        import ncps.wirings
    except ImportError as error:
        raise ImportError("to_ncps needs the package ncps and PyTorch: pip install ncps torch") from error
    return ncps.torch, ncps.wirings


def filled(layer, part, tensors, dtype):
    """Give a layer the type and the parameters of a part of it their values; return the layer."""
    layer = layer.double() if dtype == np.float64 else layer.float()
    parameters = dict(part.named_parameters())
    for name, value in tensors.items():
        data = parameters[name].data
        data.copy_(data.new_tensor(np.ascontiguousarray(value)))
    return layer


def wired_layers(cell):
    """Return the cells of a wired cell, from the inputs up; none for any other module."""
    layers: list[Any] = []
    while hasattr(cell, f"layer_{len(layers)}"):
        layers.append(getattr(cell, f"layer_{len(layers)}"))
    return layers
