"""Columns: recurrent networks on a grid, connected by distance, ready to be the network of a liquid."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from penstock.checks import (
    as_finite_array,
    as_int,
    as_non_negative_float,
    as_positive_float,
    generators,
    seed_sequence,
)
from penstock.laws import Gamma, Law, Uniform
from penstock.spiking.connectors import all_to_all, distance_dependent
from penstock.spiking.inputs import SpikeSource
from penstock.spiking.network import Network
from penstock.spiking.neurons import LIF
from penstock.spiking.synapses import Exponential, TsodyksMarkram

__all__ = ["GridPositions", "grid_positions", "heterogeneous_liquid", "maass_column"]

_TAU_E, _TAU_I = Gamma(20.0, shape=3.0), Gamma(10.0, shape=3.0)  # ms


class GridPositions(NamedTuple):
    """Positions of neurons on a grid of unit spacing.

    Parameters
    ----------
    E, I : array of int, shape (n_E, 3) and (n_I, 3)
        Of the excitatory and the inhibitory neurons.
    """

    E: np.ndarray
    I: np.ndarray  # noqa: E741


def grid_positions(seed, *, n: int | None = None, grid: tuple[int, int, int] = (3, 3, 15)) -> GridPositions:
    """Return the points of a grid, a fifth of them, chosen at random, inhibitory.

    Parameters
    ----------
    seed : int or SeedSequence
        Seed of the choice.
    n : int, optional
        Number of neurons, on as many points chosen at random; all points by default.
    grid : (int, int, int)
        Points along each side.

    Examples
    --------
    >>> from penstock.spiking import grid_positions
    >>> [p.shape for p in grid_positions(0)]
    [(108, 3), (27, 3)]
    """
    sides = _as_grid(grid)
    points = np.indices(sides).reshape(3, -1).T
    n = len(points) if n is None else as_int("n", n, minimum=2)
    if n > len(points):
        raise ValueError(f"n must be at most {len(points)}, the points of grid={sides}, got {n}")
    chosen = np.random.default_rng(seed_sequence(seed)).permutation(len(points))[:n]
    n_exc = n - max(1, round(n / 5))
    return GridPositions(points[np.sort(chosen[:n_exc])], points[np.sort(chosen[n_exc:])])


def maass_column(
    seed, *, source: SpikeSource | None = None, reach: float = 2.0, grid: tuple[int, int, int] = (3, 3, 15)
) -> Network:
    """Return the column of Maass, Natschläger and Markram: 135 neurons with dynamic synapses, a fifth inhibitory.

    On a grid of 3 x 3 x 15 points, 20 % of the neurons, at random, are inhibitory. 30 ms dv/dt = -v + 13.5 mV +
    1 MOhm I, threshold 15 mV, reset 13.5 mV, refractory for 3 ms (E) and 2 ms (I), v uniform in 13.5..15 mV at the
    start. Neurons at distance D are connected with probability C exp(-(D / reach)^2). All synapses are exponential
    currents with Tsodyks-Markram plasticity:

    ======  ===  ========  ========  ==========  =====  ===========  ===========
    pair    C    mean A    tau (ms)  delay (ms)  U      tau_rec (s)  tau_fac (s)
    ======  ===  ========  ========  ==========  =====  ===========  ===========
    E to E  0.3  30 nA     3         1.5         0.5    1.1          0.05
    E to I  0.2  60 nA     3         0.8         0.05   0.125        1.2
    I to E  0.4  -19 nA    6         0.8         0.25   0.7          0.02
    I to I  0.1  -19 nA    6         0.8         0.32   0.144        0.06
    ======  ===  ========  ========  ==========  =====  ===========  ===========

    A follows a gamma law of shape 1; U, tau_rec and tau_fac normal laws with a standard deviation of half the mean. The
    input reaches all neurons without plasticity: 18 nA to E (3 ms), 9 nA to I (6 ms).

    Parameters
    ----------
    seed : int or SeedSequence
        Seed of positions, connections, parameters and initial potentials.
    source : SpikeSource, optional
        The input, one unit or more; ``SpikeSource(1, [], [])``, which an encoder can feed, by default. The rest of the
        network does not depend on it.
    reach : float
        Scale lambda of the connections' length, in points of the grid: 0 connects nobody.
    grid : (int, int, int)
        Points along each side; a larger grid is a larger column.

    Returns
    -------
    Network
        Groups "input", "E" and "I", in steps of 0.1 ms; currents "I_fast" (3 ms) and "I_slow" (6 ms).

    Notes
    -----
    Ours, where the paper leaves it open: draws of U and time constants that are not positive are drawn again, uniform
    between 0 and twice the mean (the paper: "an appropriate uniform distribution"), U above 1 counts as 1, and no
    neuron has a synapse on itself. The script of the figure among Brian2's examples puts the mean in place of such
    draws, takes 0.5 itself for the deviation of U, allows self-connections, and has a third state of the synapse,
    which matters only as far as 3 and 6 ms are not far below the times of recovery.

    References
    ----------
    W. Maass, T. Natschläger, H. Markram (2002), Real-time computing without stable states: a new framework for neural
    computation based on perturbations, Neural Comput. 14, 2531.

    Examples
    --------
    >>> from penstock.spiking import SpikeSource, maass_column
    >>> net = maass_column(0, source=SpikeSource(1, [0, 0], [10.0, 60.0]))
    >>> [(group.name, len(group)) for group in net.groups]
    [('input', 1), ('E', 108), ('I', 27)]
    """
    reach = as_non_negative_float("reach", reach)
    source = SpikeSource(1, [], []) if source is None else source
    if not isinstance(source, SpikeSource):
        raise TypeError(f"source must be a SpikeSource, got {source!r}")
    seeds = seed_sequence(seed).spawn(2)
    positions = grid_positions(seeds[0], grid=grid)
    net = Network(dt=0.1, seed=seeds[1])
    stimulus = net.add(source, name="input")
    cells = {}
    for name, t_ref in (("E", 3.0), ("I", 2.0)):
        points = getattr(positions, name)
        model = LIF(len(points), tau_m=30.0, C_m=3e4, E_L=0.0, V_th=15.0, V_reset=13.5, t_ref=t_ref, I_e=13_500.0)
        cells[name] = net.add(model, name=name, v=Uniform(13.5, 15.0))
    for name, weight, synapse in (("E", 18e3, _FAST), ("I", 9e3, _SLOW)):
        net.connect(stimulus, cells[name], synapse, all_to_all(), weight=weight)
    for (pre, post), (C, A, synapse, delay, *dynamics) in _PAIRS.items():
        net.connect(
            cells[pre],
            cells[post],
            synapse,
            distance_dependent(getattr(positions, pre), getattr(positions, post), _Falling(C, reach)),
            weight=_Times(np.sign(A), Gamma(abs(A), shape=1.0)),
            delay=delay,
            short_term=TsodyksMarkram(
                *(_PositiveNormal(mean, most) for mean, most in zip(dynamics, _MOST, strict=True))
            ),
        )
    return net


def heterogeneous_liquid(
    n: int,
    *,
    tau_e: Law | float = _TAU_E,
    tau_i: Law | float = _TAU_I,
    weight: float = 50.0,
    inhibition: float = 3.0,
    I_e: float = 140.0,
    reach: float = 2.0,
    dt: float = 0.5,
    seed,
) -> Network:
    """Return a network of LIF neurons whose membrane time constants differ, drawn from a law per population.

    tau_i dv_i/dt = -65 mV - v_i + 0.1 GOhm (I_e + I_i), threshold -50 mV, reset -65 mV, refractory for 2 ms, v uniform
    in -65..-50 mV at the start. All neurons have the same resistance, so that they need the same current to fire, but
    the slow ones average over longer. Neurons stand on a cube of grid points, a fifth of them, at random, inhibitory,
    and are connected with probability C exp(-(D / reach)^2), C = 0.3 (E to E), 0.2 (E to I), 0.4 (I to E), 0.1 (I to
    I), as in `maass_column`. Synapses are exponential currents, 5 ms from E and 10 ms from I, with delays of 1 ms.

    Parameters
    ----------
    n : int
        Number of neurons.
    tau_e, tau_i : law or float
        Membrane time constants (ms) of the excitatory and the inhibitory neurons: gamma laws of shape 3 and mean 20 and
        10 by default. A number makes the population homogeneous, and changes nothing else.
    weight : float
        Weight (pA) of synapses from E to E; those from E to I have twice as much.
    inhibition : float
        Weight of synapses from I is -weight * inhibition.
    I_e : float
        Constant current (pA) into all neurons; 150 pA would take them to the threshold.
    reach : float
        Scale lambda of the connections' length, in points of the grid.
    dt : float
        Time step (ms), a divisor of 1 ms.
    seed : int or SeedSequence
        Seed of positions, connections, time constants and initial potentials, independent of each other.

    Returns
    -------
    Network
        Groups "E" and "I"; synaptic currents "I_E" and "I_I". Inputs are for the user to add: a `CurrentInjection` into
        "E" with weights up to ±200 pA fits these thresholds.

    Notes
    -----
    The form of the equations and of the connections is that of the heterogeneous recurrent spiking networks (HRSNN).
    All numbers are ours: chosen so that neither few inputs silence it nor many saturate it.

    References
    ----------
    B. Chakraborty, S. Mukhopadhyay (2023), Heterogeneous recurrent spiking neural network for spatio-temporal
    classification, Front. Neurosci. 17, 994517. N. Perez-Nieves, V. C. H. Leung, P. L. Dragotti, D. F. M. Goodman
    (2021), Neural heterogeneity promotes robust learning, Nat. Commun. 12, 5791 (gamma laws of time constants).

    Examples
    --------
    >>> from penstock.spiking import CurrentInjection, Liquid, heterogeneous_liquid
    >>> net = heterogeneous_liquid(200, seed=0)
    >>> liquid = Liquid(net, CurrentInjection.random(net.groups[0], scale=200.0, seed=1))
    >>> liquid.n_neurons
    200
    """
    n, weight = as_int("n", n, minimum=2), as_non_negative_float("weight", weight)
    inhibition, reach = as_non_negative_float("inhibition", inhibition), as_non_negative_float("reach", reach)
    side = next(k for k in range(1, n + 1) if k**3 >= n)
    place, chance, rest = seed_sequence(seed).spawn(3)
    positions = grid_positions(place, n=n, grid=(side, side, side))
    net = Network(dt=dt, seed=rest)
    cells = {}
    for name, law, rng in zip("EI", (tau_e, tau_i), generators(chance, 2), strict=True):
        tau = _time_constants(f"tau_{name.lower()}", law, len(getattr(positions, name)), rng)
        model = LIF(tau.size, tau_m=tau, C_m=tau / _R, E_L=-65.0, V_th=-50.0, V_reset=-65.0, t_ref=2.0, I_e=I_e)
        cells[name] = net.add(model, name=name, v=Uniform(-65.0, -50.0))
    for (pre, post), (C, *_) in _PAIRS.items():
        J = -weight * inhibition if pre == "I" else weight * (2.0 if post == "I" else 1.0)
        near = distance_dependent(getattr(positions, pre), getattr(positions, post), _Falling(C, reach))
        net.connect(cells[pre], cells[post], _FROM[pre], near, weight=J, delay=1.0)
    return net


def _time_constants(name, law, n, rng) -> np.ndarray:
    tau = as_finite_array(name, law(rng, n)) if callable(law) else np.full(n, as_positive_float(name, law))
    if tau.shape != (n,) or tau.min() <= 0:
        raise ValueError(f"{name} must draw {n} values above 0 ms, got shape {tau.shape} and least {tau.min():g}")
    return tau


# C, mean A (pA), synapse, delay (ms), mean U, tau_rec (ms), tau_fac (ms)
_FAST, _SLOW = Exponential(3.0, name="I_fast"), Exponential(6.0, name="I_slow")
_PAIRS = {
    ("E", "E"): (0.3, 30e3, _FAST, 1.5, 0.5, 1100.0, 50.0),
    ("E", "I"): (0.2, 60e3, _FAST, 0.8, 0.05, 125.0, 1200.0),
    ("I", "E"): (0.4, -19e3, _SLOW, 0.8, 0.25, 700.0, 20.0),
    ("I", "I"): (0.1, -19e3, _SLOW, 0.8, 0.32, 144.0, 60.0),
}
_MOST = (1.0, np.inf, np.inf)

# of the heterogeneous liquid
_R = 0.1  # GOhm
_FROM = {"E": Exponential(5.0, name="I_E"), "I": Exponential(10.0, name="I_I")}


@dataclass(frozen=True)
class _Falling:
    """C exp(-(D / reach)^2); with reach 0 nobody is connected."""

    C: float
    reach: float

    def __call__(self, distance):
        return self.C * np.exp(-((distance / self.reach) ** 2)) if self.reach else np.zeros(np.shape(distance))


@dataclass(frozen=True)
class _Times:
    """A law times a number of either sign."""

    factor: float
    law: Law

    def __call__(self, rng, size):
        return self.factor * self.law(rng, size)


@dataclass(frozen=True)
class _PositiveNormal:
    """Normal of standard deviation mean / 2; draws that are not positive anew, uniform up to twice the mean."""

    mean: float
    most: float

    def __call__(self, rng, size):
        x = self.mean + self.mean / 2 * rng.standard_normal(size)
        again = self.mean * 2 * (1 - rng.random(size))  # above 0
        return np.minimum(np.where(x > 0, x, again), self.most)


def _as_grid(grid):
    if not isinstance(grid, tuple | list) or len(grid) != 3:
        raise TypeError(f"grid must be three numbers of points, such as (3, 3, 15), got {grid!r}")
    return tuple(as_int("grid", side) for side in grid)
