"""The cortical microcircuit of Potjans and Diesmann, in full or scaled down: nothing is recorded until asked for."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from penstock.checks import as_positive_float
from penstock.spiking.connectors import fixed_total
from penstock.spiking.inputs import PoissonInput
from penstock.spiking.network import Network
from penstock.spiking.neurons import LIF
from penstock.spiking.synapses import Exponential

__all__ = ["potjans_diesmann"]


class _Layer(NamedTuple):
    """A population at full size; probabilities of synapses are from the eight populations in order."""

    n: int
    probabilities: tuple[float, ...]
    n_external: int
    rate: float  # of the full network (Hz), for the compensation
    v_mean: float  # initial potential (mV)
    v_std: float


_LAYERS = {
    "L23E": _Layer(20683, (0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0, 0.0076, 0), 1600, 0.903, -68.28, 5.36),
    "L23I": _Layer(5834, (0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0, 0.0042, 0), 1500, 2.965, -63.16, 4.57),
    "L4E": _Layer(21915, (0.0077, 0.0059, 0.0497, 0.135, 0.0067, 0.0003, 0.0453, 0), 2100, 4.414, -63.33, 4.74),
    "L4I": _Layer(5479, (0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0, 0.1057, 0), 1900, 5.876, -63.45, 4.94),
    "L5E": _Layer(4850, (0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0), 2000, 7.569, -63.11, 4.94),
    "L5I": _Layer(1065, (0.0548, 0.0269, 0.0257, 0.0022, 0.06, 0.3158, 0.0086, 0), 1900, 8.633, -61.66, 4.55),
    "L6E": _Layer(14395, (0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252), 2900, 1.105, -66.72, 5.46),
    "L6I": _Layer(2948, (0.0364, 0.001, 0.0034, 0.0005, 0.0277, 0.008, 0.0658, 0.1443), 2100, 7.829, -61.43, 4.48),
}
_TAU_M, _TAU_SYN, _C_M, _RATE_EXTERNAL = 10.0, 0.5, 250.0, 8.0
# a current of 1 pA that decays in tau_syn lifts the potential by this much (mV) at its peak
_PEAK = _TAU_SYN / _C_M * (_TAU_SYN / _TAU_M) ** (_TAU_SYN / (_TAU_M - _TAU_SYN))
_WEIGHT = 0.15 / _PEAK  # pA


def potjans_diesmann(scale: float, seed: int, *, k_scale: float | None = None, dt: float = 0.1) -> Network:
    """Return the microcircuit of 1 mm² of early sensory cortex: four layers, eight populations, no thalamic input.

    Exponential currents (0.5 ms) with a post-synaptic potential of 0.15 mV, from L4E to L23E twice that, inhibition -4
    times; the weights are normal with a relative deviation of 0.1. Delays are normal, 1.5 ± 0.75 ms (E) and 0.75 ±
    0.375 ms (I), rounded to the grid and drawn again below half a step. Synapses of two populations are drawn pair by
    pair with replacement (multapses and autapses happen), to the fixed total of ln(1 - p) / ln(1 - 1 / (N_pre N_post)).
    Every neuron has 1500 to 2900 external sources of 8 Hz, as Poisson input. Timing is NEST's.

    Numbers of neurons are multiplied by `scale`, in-degrees, external ones included, by `k_scale`. To keep the mean and
    the variance of the input of every neuron, weights are divided by sqrt(k_scale), and the current

        0.001 tau_syn (1 - sqrt(k_scale)) (sum of w K rate over all sources, external ones included)    (pA)

    replaces the mean that is lost, with in-degrees K, weights w and rates (Hz) of the full network.

    Parameters
    ----------
    scale : float
        Factor of the numbers of neurons, in (0, 1]. The full network has 77,169 neurons and 3e8 synapses.
    seed : int
        Seed of everything drawn.
    k_scale : float, optional
        Factor of the in-degrees, in (0, 1]; `scale` if not given, as in the scripts for NEST. There are
        ``3e8 * scale * k_scale`` synapses.
    dt : float
        Time step (ms).

    Returns
    -------
    Network
        Groups "L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I".

    Notes
    -----
    Rates in Hz after 500 ms: the full network by NEST; a tenth of its neurons by NEST (one second, from the reference
    data in its repository) and here (seed 1, 10 s), at two values of `k_scale`, with the standard error of the last:

    =====  =======  =====  =====  =====  =====  =====  =====  =====  =====
    scale  k_scale  L23E   L23I   L4E    L4I    L5E    L5I    L6E    L6I
    =====  =======  =====  =====  =====  =====  =====  =====  =====  =====
    1      1        0.903  2.965  4.414  5.876  7.569  8.633  1.105  7.829
    0.1    0.1      0.44   2.02   3.94   4.96   5.7    7.6    0.83   6.9
    0.1    0.1      0.470  2.156  3.959  5.010  6.979  7.739  0.864  7.061
    0.1    0.3      0.725  2.795  4.361  5.763  7.834  8.662  1.118  7.759
    .      ±        0.014  0.017  0.014  0.008  0.074  0.012  0.008  0.012
    =====  =======  =====  =====  =====  =====  =====  =====  =====  =====

    The compensation cannot keep the shape of the input. Few inputs make few and large jumps, which lower the rates,
    most where they are low. Many inputs from few neurons are shared: correlations grow with k_scale / scale and raise
    the rates; 0.1 with 1 swings in synchrony, L23E at 1.8 Hz. A tenth of the neurons with three tenths of the inputs
    (9e6 synapses, 0.4 GB) lies between. Older scripts compensate for other rates (0.971, 2.868, 4.746, 5.396, 8.142,
    9.078, 0.991, 7.523 Hz), which at a tenth makes up to 45 % more: rates of small versions compare only between equal
    compensations.

    References
    ----------
    T. C. Potjans, M. Diesmann (2014), The cell-type specific cortical microcircuit, Cerebral Cortex 24, 785.
    S. J. van Albada, M. Helias, M. Diesmann (2015), Scalability of asynchronous networks is limited by one-to-one
    mapping between effective connectivity and correlations, PLoS Comput. Biol. 11, e1004490.

    Examples
    --------
    >>> from penstock.spiking import potjans_diesmann
    >>> net = potjans_diesmann(0.02, seed=0)
    >>> {group.name: len(group) for group in net.groups}["L23E"]
    414
    """
    scale = _as_fraction("scale", scale)
    k_scale = scale if k_scale is None else _as_fraction("k_scale", k_scale)
    net, synapse = Network(dt=dt, timing="nest", seed=seed), Exponential(_TAU_SYN)
    weights, numbers = _full_weights(), _full_numbers()
    for layer, current in zip(_LAYERS.items(), _lost_current(weights, numbers, k_scale), strict=True):
        _add_layer(net, *layer, current, scale)
    for i, post in enumerate(net.groups[:]):
        n_external = round(k_scale * _LAYERS[post.name].n_external)
        net.stimulate(post, PoissonInput(n_external, _RATE_EXTERNAL, _WEIGHT / np.sqrt(k_scale), synapse))
        for j, pre in enumerate(net.groups[:]):
            total = round(numbers[i, j] * scale * k_scale)
            if total:
                weight = _normal(weights[i, j] / np.sqrt(k_scale), 0.1)
                delay = _delays(0.75 if j % 2 else 1.5, dt)
                net.connect(pre, post, synapse, fixed_total(total, self_connections=True), weight=weight, delay=delay)
    return net


def _as_fraction(name, value) -> float:
    value = as_positive_float(name, value)
    if value > 1:
        raise ValueError(f"{name} must lie in (0, 1], got {value:g}")
    return value


def _add_layer(net, name, layer, current, scale):
    n = max(1, round(scale * layer.n))
    neurons = LIF(n, tau_m=_TAU_M, C_m=_C_M, E_L=-65.0, V_th=-50.0, V_reset=-65.0, t_ref=2.0, I_e=current)
    net.add(neurons, name=name, v=_normal(layer.v_mean, abs(layer.v_std / layer.v_mean)))


def _full_weights() -> np.ndarray:
    """Mean weight (pA) to population i from population j."""
    weights = np.tile(_WEIGHT * np.array([1.0, -4.0] * 4), (8, 1))
    weights[0, 2] *= 2
    return weights


def _full_numbers() -> np.ndarray:
    """Number of synapses to population i from population j in the full network."""
    sizes = np.array([layer.n for layer in _LAYERS.values()], dtype=np.float64)
    p = np.array([layer.probabilities for layer in _LAYERS.values()])
    return np.log1p(-p) / np.log1p(-1 / np.outer(sizes, sizes))


def _lost_current(weights, numbers, k_scale) -> np.ndarray:
    """Mean current (pA) that every population loses when in-degrees shrink and weights grow by their root."""
    sizes, _, external, rates, *_ = (np.array(column) for column in zip(*_LAYERS.values(), strict=True))
    per_second = (weights * numbers / sizes[:, None]) @ rates + _WEIGHT * external * _RATE_EXTERNAL
    return 1e-3 * _TAU_SYN * (1 - np.sqrt(k_scale)) * per_second


def _normal(mean, relative_std) -> Callable:
    """Law: normal with a deviation relative to its mean."""
    return lambda rng, size: mean + abs(mean) * relative_std * rng.standard_normal(size)


def _delays(mean, dt) -> Callable:
    """Law: normal with a deviation of half its mean, drawn again below dt / 2."""

    def law(rng, size):
        delays = rng.normal(mean, mean / 2, size)
        while (low := delays < dt / 2).any():
            delays[low] = rng.normal(mean, mean / 2, low.sum())
        return delays

    return law
