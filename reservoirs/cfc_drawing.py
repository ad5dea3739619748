"""Initial weights of closed-form cells, and where the layers of a wiring have synapses."""

import math

import numpy as np

from penstock.reservoirs.wiring import Wiring

__all__ = ["draw_layer", "draw_memory", "wiring_masks"]


def draw_layer(rows, columns, copies, rng):
    """Return weights and biases of so many layers (rows, columns) on top of each other, as PyTorch and Xavier do."""
    weights = math.sqrt(6 / (rows + columns)) * rng.uniform(-1, 1, (copies * rows, columns))
    return weights, rng.uniform(-1, 1, copies * rows) / math.sqrt(columns)


def draw_memory(n, m, gain, rng):
    """Return an LSTM cell with orthonormal recurrent columns times the gain."""
    W = np.linalg.qr(rng.standard_normal((4 * n, n)))[0]
    W_in = math.sqrt(6 / (4 * n + m)) * rng.uniform(-1, 1, (4 * n, m))
    return gain * W, W_in, rng.uniform(-0.1, 0.1, 4 * n)


def wiring_masks(wiring):
    """Return, for every layer, where it has synapses from below and from itself."""
    if not isinstance(wiring, Wiring):
        raise TypeError(f"wiring must be a penstock.reservoirs.Wiring, got {wiring!r}")
    layers = wiring.layers or (np.arange(wiring.n_units),)
    table = np.concatenate([wiring.sensory, wiring.adjacency], axis=1) != 0
    m = wiring.n_inputs
    sources, masks, kept = np.arange(m), [], 0
    for units in layers:
        masks.append((table[np.ix_(units, sources)] * 1.0, table[np.ix_(units, m + units)] * 1.0))
        kept += sum(int(mask.sum()) for mask in masks[-1])
        sources = m + units
    if kept != table.sum():
        raise ValueError(
            "wiring must lead from the inputs to the inter, command and motor layers one by one, or stay within one, "
            f"got {int(table.sum()) - kept} other synapses; an LTC takes any wiring"
        )
    return masks
